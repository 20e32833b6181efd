import { describe, expect, test } from 'vitest'
import { ExternalIpAlert } from '../../src/alert/session-alerts.ts'
import { bencode } from '../../src/bencode/bencode.ts'
import { type Endpoint, parseV4 } from '../../src/core/endpoint.ts'
import { verifyId } from '../../src/dht/node-id.ts'
import { IpSource } from '../../src/net/ip-voter.ts'
import { peerPriority } from '../../src/torrent/peer-rank.ts'
import { DhtNet } from './lib/dht-net.ts'
import { FakePeer, PeerMessage } from './lib/fake-peer.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { addTorrent, makeTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 64 * 1024
const PUBLIC = '81.9.9.9'

const told = (node: SwarmNode) =>
  node.alerts.filter(alert => alert instanceof ExternalIpAlert).map(alert => alert.externalAddress)
const known = (node: SwarmNode) =>
  Object.fromEntries(node.engine.listen.sockets.map(socket => [socket.local[0], node.engine.external.of(socket)]))

describe('our external address', () => {
  test('behind a translator is what peers see, and belongs to the listen socket they are connected through', () => {
    simulate(1, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const hidden = swarm.add('hidden', {
        host: { addresses: ['10.1.1.1', 'fd00::1'], nat: { publicAddress: PUBLIC, kind: 'open' } },
      })
      const changes: string[] = []
      hidden.engine.external.onChanged((socket, address) => void changes.push(`${socket.local[0]} ${address}`))
      for (let n = 1; n <= 3; n++) {
        swarm.add(`${n}`, { has: 'all', host: { addresses: [`81.1.0.${n}`], up: { bytesPerSecond: 20_000 } } })
      }
      sim.run(2000)
      for (const seed of swarm.nodes.slice(1)) hidden.connectTo(seed)
      sim.run(10_000)
      expect(told(hidden)).toEqual([PUBLIC])
      expect(known(hidden)).toEqual({ '10.1.1.1': PUBLIC, 'fd00::1': null })
      expect(changes).toEqual([`10.1.1.1 ${PUBLIC}`])
      expect(hidden.engine.discovery.externalEndpoint('81.1.0.1')).toEqual([PUBLIC, 6881])
      expect(hidden.engine.discovery.externalEndpoint('10.1.1.7')).toEqual(['10.1.1.1', 6881])
      expect(told(swarm.nodes[1]!)).toEqual(['81.1.0.1'])
      swarm.close()
    })
  })

  test('is forgotten with its listen socket, and kept with it', () => {
    simulate(2, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const settings = { listen_interfaces: '81.5.0.1:6881,81.5.0.2:6881' }
      const node = swarm.add('node', { host: { addresses: ['81.5.0.1', '81.5.0.2'] }, settings })
      sim.run(1000)
      const [one, two] = node.engine.listen.sockets
      for (const [socket, address] of [
        [one, '81.7.0.1'],
        [two, '81.7.0.2'],
      ] as const) {
        node.engine.turn.call(() => node.engine.external.voteFor(socket!, address, 8, '99.0.0.1'))
      }
      expect(known(node)).toEqual({ '81.5.0.1': '81.7.0.1', '81.5.0.2': '81.7.0.2' })
      node.engine.turn.call(() => node.engine.applySettings({ listen_interfaces: '81.5.0.1:6881,81.5.0.2:7000' }))
      sim.run(1000)
      expect(known(node)).toEqual({ '81.5.0.1': '81.7.0.1', '81.5.0.2': null })
      swarm.close()
    })
  })

  test('is taken from trackers', () => {
    simulate(3, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker', { addresses: ['81.2.0.1'] }))
      tracker.respond = () => ({
        body: Buffer.from('d11:external ip4:\x51\x09\x09\x098:intervali1800e5:peers0:e', 'latin1'),
      })
      const torrent = makeTorrent(8 * PIECE, PIECE, 1, [tracker.httpUrl])
      const node = new Swarm(sim, torrent).add('node', { host: { addresses: ['10.1.1.1', 'fd00::1'] } })
      sim.run(5000)
      expect(told(node)).toEqual([PUBLIC])
      expect(known(node)).toEqual({ '10.1.1.1': PUBLIC, 'fd00::1': null })
      node.close()
    })
  })
})

const LIE = '66.6.6.6'
const ROUTER = 'router.example'
const v4 = (address: string) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(parseV4(address))
  return bytes
}

/** A network of honest nodes and liars; the router tells the truth. */
function dhtOf(sim: Simulation, honest: number, liars: number): DhtNet {
  const net = new DhtNet(sim)
  for (let i = 0; i < honest; i++) {
    net.add()
    if (i < liars) net.addLiar(LIE)
    sim.run(200)
  }
  sim.run(30_000)
  sim.names.set(ROUTER, { addresses: [net.nodes[0]!.address] })
  return net
}

/** A session behind a translator, in the DHT. */
function hiddenNode(swarm: Swarm): SwarmNode {
  return swarm.add('hidden', {
    host: { addresses: ['10.1.1.1'], nat: { publicAddress: PUBLIC, kind: 'open' } },
    settings: { enable_dht: true, dht_bootstrap_nodes: `${ROUTER}:6881` },
    params: params => {
      params.ti = null
    },
  })
}

/** Counts what others say to a session: lies by their source. */
function votesOf(node: SwarmNode): { lies: number[]; truths: number } {
  const votes = { lies: [] as number[], truths: 0 }
  const { external } = node.engine
  const vote = external.voteFor.bind(external)
  external.voteFor = (socket, address, source, voter) => {
    if (address === LIE) votes.lies.push(source)
    else votes.truths++
    vote(socket, address, source, voter)
  }
  return votes
}

const nidOf = (node: SwarmNode) => node.engine.dht.tracker!.nodes[0]!.nid

describe('votes of nodes, peers and trackers', () => {
  test('make the node id (BEP 42) and the ranks of peers (BEP 40), and liars in the minority change nothing', () => {
    simulate(10, sim => {
      dhtOf(sim, 60, 20)
      const lying = (n: number) => {
        const tracker = new FakeTracker(sim, sim.host(`tracker ${n}`, { addresses: [`81.2.0.${n}`] }), {
          name: `tracker-${n}`,
        })
        const external = v4(LIE).toString('latin1')
        tracker.respond = () => ({
          body: Buffer.from(`d11:external ip4:${external}8:intervali1800e5:peers0:e`, 'latin1'),
        })
        return tracker.httpUrl
      }
      const torrent = makeTorrent(8 * PIECE, PIECE)
      const hidden = hiddenNode(new Swarm(sim, torrent))
      const votes = votesOf(hidden)
      hidden.handle.connectPeer(['81.40.0.1', 6881])
      const [entry] = [...hidden.engine.registry.byHash(torrent.infoHash)!.swarm.known!.entries()]
      const rank = () => entry!.rank(hidden.engine.discovery.externalEndpoint('81.40.0.1'))
      const before = rank()
      sim.run(30_000)
      expect(told(hidden)[0]).toBe(PUBLIC)
      // the address makes another id, and other ranks
      expect(verifyId(nidOf(hidden), PUBLIC)).toBe(true)
      const right = peerPriority([PUBLIC, 6881], ['81.40.0.1', 6881])
      expect([before >>> 0 === right, rank() >>> 0 === right]).toEqual([false, true])

      // a few trackers and peers lie too
      addTorrent(hidden, makeTorrent(PIECE, PIECE, 2, [1, 2].map(lying)), '/other')
      for (let n = 1; n <= 4; n++) {
        const listener = sim.host(`liar peer ${n}`, { addresses: [`81.41.${n}.1`] })
        const options = { infoHash: torrent.infoHash.toBytes(), peerId: Buffer.from(`-XX0000-00000000000${n}`) }
        FakePeer.listen(listener, [`81.41.${n}.1`, 6881], options, peer => {
          peer.onHandshake = () =>
            peer.send(PeerMessage.extended, Uint8Array.of(0), bencode({ m: {}, yourip: v4(LIE) }))
        })
        hidden.handle.connectPeer([`81.41.${n}.1`, 6881])
      }
      const nid = nidOf(hidden)
      for (let minute = 0; minute < 20; minute++) {
        sim.run(60_000)
        expect(known(hidden)).toEqual({ '10.1.1.1': PUBLIC })
      }
      expect(told(hidden)).toEqual([PUBLIC])
      expect(nidOf(hidden).equals(nid)).toBe(true)
      expect(rank() >>> 0).toBe(right)
      // of each kind some have lied
      expect(new Set(votes.lies)).toEqual(new Set([IpSource.dht, IpSource.peer, IpSource.tracker]))
      expect(votes.lies.length).toBeGreaterThan(30)
      expect(votes.truths).toBeGreaterThan(votes.lies.length)
      hidden.close()
    })
  })

  test('put right what a liar has said first', () => {
    simulate(11, sim => {
      dhtOf(sim, 60, 20)
      const swarm = new Swarm(sim, makeTorrent(8 * PIECE, PIECE))
      const hidden = hiddenNode(swarm)
      sim.run(10)
      const [socket] = hidden.engine.listen.sockets
      hidden.engine.turn.call(() => hidden.engine.external.voteFor(socket!, LIE, IpSource.peer, '99.0.0.1'))
      sim.run(1)
      expect(told(hidden)).toEqual([LIE])
      const limit = sim.clock.now() + 600_000
      while (known(hidden)['10.1.1.1'] !== PUBLIC && sim.clock.now() < limit) sim.run(1000)
      expect(told(hidden)).toEqual([LIE, PUBLIC])
      expect(verifyId(nidOf(hidden), PUBLIC)).toBe(true)
      expect(hidden.engine.discovery.externalEndpoint('81.40.0.1')).toEqual<Endpoint>([PUBLIC, 6881])
      sim.run(600_000)
      expect(told(hidden)).toEqual([LIE, PUBLIC])
      hidden.close()
    })
  })
})
