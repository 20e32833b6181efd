import { describe, expect, test } from 'vitest'
import { PeerDisconnectedAlert } from '../../src/alert/peer-alerts.ts'
import { InfoHash } from '../../src/core/digest.ts'
import { TorrentFlags } from '../../src/core/enums.ts'
import { LibtorrentErrors } from '../../src/core/error-table.ts'
import { FakePeer, PeerMessage } from './lib/fake-peer.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeTorrent, type NodeOptions, type SimTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 64 * 1024
const PIECES = 32

/** Peers in private networks have privileges. */
function far(n: number) {
  return { addresses: [`81.5.${n >> 8}.${(n & 255) + 1}`] }
}

describe('a super seeding seed', () => {
  const superSeeding: NodeOptions = {
    has: 'all',
    params: params => {
      params.flags |= TorrentFlags.superSeeding
    },
  }

  /** Payload the seed has sent when all of its leeches are done, in copies of the torrent. */
  function copies(options: NodeOptions): number {
    let sent = 0
    simulate(1, sim => {
      const swarm = new Swarm(sim, makeTorrent(PIECES * PIECE, PIECE))
      const seed = swarm.add('seed', { ...options, host: { up: { bytesPerSecond: 400_000 } } })
      const line = { up: { bytesPerSecond: 200_000 }, down: { bytesPerSecond: 1_000_000 } }
      for (let i = 0; i < 5; i++) swarm.add(`leech ${i}`, { host: line })
      sim.run(2000)
      for (const a of swarm.nodes) for (const b of swarm.nodes) if (a.name < b.name) b.connectTo(a)
      swarm.complete(300_000)
      sent = seed.handle.status().totalPayloadUpload / swarm.torrent.content.length
      swarm.close()
      for (const node of swarm.nodes) expect(node.holds(swarm.torrent), node.name).toBe(true)
    })
    return sent
  }

  test('sends each piece about once, and the leeches pass it on', () => {
    const once = copies(superSeeding)
    expect(once).toBeGreaterThanOrEqual(1)
    expect(once).toBeLessThan(1.5)
    expect(copies({ has: 'all' })).toBeGreaterThan(2)
  })

  test('shows a peer two pieces, and the next one when the peer has one of them', () => {
    simulate(2, sim => {
      const { torrent, nodes } = superSeedAlone(sim)
      const peers = [0, 1, 2].map(n => watcher(sim, torrent, nodes[0]!, n))
      sim.run(3000)
      const shown = peers.map(piecesShown)
      expect(shown.map(pieces => pieces.length)).toEqual([2, 2, 2])
      // none to two of them
      expect(new Set(shown.flat()).size).toBe(6)
      sim.run(20_000)
      expect(peers.map(piecesShown)).toEqual(shown)
      for (let i = 0; i < 4; i++) {
        const before = piecesShown(peers[0]!)
        peers[0]!.sendHave(before[i]!)
        sim.run(1000)
        expect(piecesShown(peers[0]!)).toHaveLength(3 + i)
      }
      expect(new Set(peers.flatMap(piecesShown)).size).toBe(10)
      // what somebody has already is shown last
      const last = watcher(sim, torrent, nodes[0]!, 3)
      last.onMessage = ({ id, payload }) => {
        if (id === PeerMessage.have) last.sendHave(payload.readUInt32BE())
      }
      sim.run(10_000)
      const got = piecesShown(peers[0]!).slice(0, 4)
      const order = piecesShown(last)
      expect(order.slice(0, PIECES - 10).filter(piece => got.includes(piece))).toEqual([])
      nodes[0]!.close()
    })
  })

  test('refuses requests for what it has not shown, and shows all when it is told to seed as usual', () => {
    simulate(3, sim => {
      const { torrent, nodes } = superSeedAlone(sim)
      const node = nodes[0]!
      const peer = watcher(sim, torrent, node, 0)
      sim.run(3000)
      const shown = piecesShown(peer)
      const hidden = Array.from({ length: PIECES }, (_, i) => i).find(i => !shown.includes(i))!
      peer.sendRequest(hidden, 0, 16_384)
      peer.sendRequest(shown[0]!, 0, 16_384)
      sim.run(1000)
      const answers = (id: number) =>
        peer.messages.filter(message => message.id === id).map(m => m.payload.readUInt32BE(0))
      expect(answers(PeerMessage.reject)).toEqual([hidden])
      expect(answers(PeerMessage.piece)).toEqual([shown[0]])
      node.handle.unsetFlags(TorrentFlags.superSeeding)
      sim.run(1000)
      const bits = peer.messages.find(({ id }) => id === PeerMessage.bitfield)!.payload
      expect([...bits]).toEqual(new Array(PIECES / 8).fill(255))
      peer.sendRequest(hidden, 0, 16_384)
      sim.run(1000)
      expect(answers(PeerMessage.piece)).toEqual([shown[0], hidden])
      node.close()
    })
  })

  function superSeedAlone(sim: Simulation): Swarm {
    const swarm = new Swarm(sim, makeTorrent(PIECES * PIECE, PIECE))
    swarm.add('seed', superSeeding)
    sim.run(2000)
    return swarm
  }

  /** A peer without anything that is interested. */
  function watcher(sim: Simulation, torrent: SimTorrent, to: SwarmNode, n: number): FakePeer {
    const peer = FakePeer.connect(sim.host(`watcher ${n}`), to.endpoint, {
      infoHash: torrent.infoHash.toBytes(),
      peerId: Buffer.from(`-XX0000-${String(n).padStart(12, '0')}`),
    })
    peer.onHandshake = () => {
      peer.send(PeerMessage.haveNone)
      peer.send(PeerMessage.interested)
    }
    return peer
  }

  function piecesShown(peer: FakePeer): number[] {
    return peer.messages.filter(({ id }) => id === PeerMessage.have).map(({ payload }) => payload.readUInt32BE(0))
  }
})

/** Scripted peers that wait for a session to connect, and note when it does. */
class Crowd {
  readonly hosts: readonly string[]
  /** Who was connected to, and when. */
  readonly accepted: { readonly who: number; readonly atMs: number }[] = []

  constructor(sim: Simulation, torrent: SimTorrent, count: number) {
    this.hosts = Array.from({ length: count }, (_, n) => {
      const { addresses } = far(n)
      const runtime = sim.host(`peer ${n}`, { addresses })
      const options = {
        infoHash: torrent.infoHash.toBytes(),
        peerId: Buffer.from(`-XX0000-${String(n).padStart(12, '0')}`),
      }
      FakePeer.listen(runtime, ['0.0.0.0', 6881], options, peer => {
        this.accepted.push({ who: n, atMs: sim.clock.now() })
        peer.onHandshake = () => peer.send(PeerMessage.haveNone)
        // not to be taken for dead
        peer.onMessage = ({ id }) => {
          if (id === -1) peer.sendKeepAlive()
        }
      })
      return addresses[0]!
    })
  }

  /** Who was connected to in a span of time. */
  between(from: number, to: number): number[] {
    return this.accepted.filter(({ atMs }) => atMs > from && atMs <= to).map(({ who }) => who)
  }

  /** Makes them known to a session. */
  tell(node: SwarmNode): void {
    for (const address of this.hosts) node.handle.connectPeer([address, 6881])
  }
}

describe('peer turnover', () => {
  const settings = { connections_limit: 20, peer_turnover: 10, peer_turnover_interval: 60, connection_speed: 100 }

  /** Peers the session let go of to try others. */
  function turnedOver(node: SwarmNode): number {
    return node.alerts.filter(
      alert => alert instanceof PeerDisconnectedAlert && alert.error.value() === LibtorrentErrors.optimisticDisconnect,
    ).length
  }

  function crowded(
    sim: Simulation,
    options: NodeOptions,
    known: number,
    connections = -1,
  ): { node: SwarmNode; crowd: Crowd } {
    const torrent = makeTorrent(8 * PIECE, PIECE)
    const crowd = new Crowd(sim, torrent, known)
    const node = new Swarm(sim, torrent).add('a', {
      ...options,
      host: { addresses: ['81.6.0.1'] },
    })
    node.handle.setMaxConnections(connections)
    sim.run(1000)
    crowd.tell(node)
    return { node, crowd }
  }

  test('exchanges some, when the session is at its limit and knows more', () => {
    simulate(10, sim => {
      const { node, crowd } = crowded(sim, { settings }, 60)
      sim.run(20_000)
      expect(crowd.accepted).toHaveLength(20)
      expect(turnedOver(node)).toBe(0)
      // ten percent after 90 seconds, and then once in a minute
      sim.run(80_000)
      expect(turnedOver(node)).toBe(2)
      sim.run(60_000 * 4)
      expect(turnedOver(node)).toBe(10)
      expect(crowd.accepted).toHaveLength(30)
      expect(new Set(crowd.accepted.map(({ who }) => who)).size).toBe(30)
      expect(node.handle.status().numPeers).toBe(20)
      node.close()
    })
  })

  test('exchanges some of a torrent that is at its own limit', () => {
    simulate(11, sim => {
      const { node, crowd } = crowded(sim, { settings: { ...settings, connections_limit: 200 } }, 60, 20)
      sim.run(100_000)
      expect(turnedOver(node)).toBe(2)
      expect(crowd.accepted).toHaveLength(22)
      node.close()
    })
  })

  test.each([
    ['without anybody else to try', settings, 20, -1],
    ['with a limit so low that it would disrupt', { ...settings, connections_limit: 5 }, 60, -1],
    ['with such a limit of the torrent', { ...settings, connections_limit: 200 }, 60, 5],
  ])('is none %s', (_, pack, known, connections) => {
    simulate(12, sim => {
      const { node } = crowded(sim, { settings: pack }, known, connections)
      sim.run(300_000)
      expect(turnedOver(node)).toBe(0)
      node.close()
    })
  })

  test.each([
    [17, 0],
    [18, 1],
  ])('begins at the cutoff, and exchanges one at least (%i peers of 30, 60 percent)', (peers, expected) => {
    simulate(13, sim => {
      const pack = { ...settings, connections_limit: 30, peer_turnover: 1, peer_turnover_cutoff: 60 }
      // it connects to nobody any more when it hears of more
      const { node } = crowded(sim, { settings: pack }, peers)
      sim.run(20_000)
      expect(node.handle.status().numPeers).toBe(peers)
      node.engine.turn.call(() => node.engine.applySettings({ connection_speed: 0 }))
      for (let n = 1; n <= 20; n++) node.handle.connectPeer([`81.8.0.${n}`, 6881])
      sim.run(80_000)
      expect(turnedOver(node)).toBe(expected)
      node.close()
    })
  })

  test('lets go of those that gave least', () => {
    simulate(14, sim => {
      const torrent = makeTorrent(250 * PIECE, PIECE)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('a', {
        host: { addresses: ['81.6.0.1'] },
        settings: { ...settings, connections_limit: 8, peer_turnover: 50 },
      })
      const seeds = [5, 2, 7, 4, 1, 8, 3, 6].map(n =>
        swarm.add(`seed ${n}`, {
          has: 'all',
          host: { addresses: [`81.7.0.${n}`], up: { bytesPerSecond: 3000 * n } },
          params: params => {
            params.flags |= TorrentFlags.seedMode
          },
        }),
      )
      sim.run(2000)
      for (const seed of seeds) node.connectTo(seed)
      sim.run(2000)
      for (let n = 1; n <= 12; n++) node.handle.connectPeer([`81.8.0.${n}`, 6881])
      sim.runUntilSo(() => turnedOver(node) > 0, 100_000)
      const left = [...node.engine.connections].filter(peer => !peer.connecting).map(({ endpoint }) => endpoint[0])
      expect(left.sort()).toEqual(['81.7.0.5', '81.7.0.6', '81.7.0.7', '81.7.0.8'])
      swarm.close()
    })
  })
})

describe('the connect boost', () => {
  const settings = { connection_speed: 5, torrent_connect_boost: 20 }

  /** Whom a session connects to that hears of sixty peers from a tracker. */
  function boosted(sim: Simulation, options: NodeOptions): { node: SwarmNode; crowd: Crowd; at: number } {
    const tracker = new FakeTracker(sim, sim.host('tracker'))
    const torrent = makeTorrent(8 * PIECE, PIECE, 1, [tracker.httpUrl])
    const crowd = new Crowd(sim, torrent, 60)
    for (const address of crowd.hosts) tracker.addPeer(torrent.infoHash.toString(), address, 6881)
    const node = new Swarm(sim, torrent).add('a', { host: { addresses: ['81.6.0.1'] }, ...options })
    sim.runUntil(() => crowd.accepted.length > 0, 20_000)
    return { node, crowd, at: sim.clock.now() }
  }

  test('connects to many peers of a new torrent at once, and then to few at a time', () => {
    simulate(20, sim => {
      const { node, crowd, at } = boosted(sim, { settings })
      sim.run(5000)
      expect(crowd.accepted.filter(({ atMs }) => atMs < at + 50)).toHaveLength(20)
      // what it was ahead it makes up for
      expect(crowd.accepted.length).toBeGreaterThan(20)
      expect(crowd.accepted.length).toBeLessThanOrEqual(30)
      sim.run(8000)
      expect(crowd.accepted).toHaveLength(60)
      node.close()
    })
  })

  test('is none if it is turned off', () => {
    simulate(21, sim => {
      const { node, crowd } = boosted(sim, { settings: { ...settings, torrent_connect_boost: 0 } })
      expect(crowd.accepted.length).toBeLessThanOrEqual(5)
      sim.run(5000)
      expect(crowd.accepted.length).toBeGreaterThanOrEqual(25)
      expect(crowd.accepted.length).toBeLessThanOrEqual(31)
      node.close()
    })
  })

  test('keeps to the limit of the session', () => {
    simulate(22, sim => {
      const { node, crowd } = boosted(sim, { settings: { ...settings, connections_limit: 12 } })
      sim.run(5000)
      expect(crowd.accepted).toHaveLength(12)
      node.close()
    })
  })

  test('serves a magnet link that names its peers', () => {
    simulate(23, sim => {
      const torrent = makeTorrent(8 * PIECE, PIECE)
      const crowd = new Crowd(sim, torrent, 60)
      sim.run(100)
      const node = new Swarm(sim, torrent).add('a', {
        host: { addresses: ['81.6.0.1'] },
        settings,
        params: params => {
          params.ti = null
          params.infoHashes = new InfoHash(torrent.infoHash)
          params.peers = crowd.hosts.map(address => [address, 6881])
        },
      })
      sim.run(500)
      expect(crowd.accepted).toHaveLength(20)
      node.close()
    })
  })

  test('comes again after a pause', () => {
    simulate(24, sim => {
      const { node, crowd } = boosted(sim, { settings: { ...settings, min_reconnect_time: 1 } })
      sim.run(20_000)
      expect(node.handle.status().numPeers).toBe(60)
      node.handle.pause()
      sim.run(70_000)
      const at = sim.clock.now()
      node.handle.resume()
      sim.run(500)
      expect(crowd.between(at, sim.clock.now()).length).toBeGreaterThanOrEqual(20)
      node.close()
    })
  })
})
