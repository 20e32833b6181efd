import { describe, expect, test } from 'vitest'
import { PeerLogAlert } from '../../src/alert/log-alerts.ts'
import { PeerDisconnectedAlert, PeerErrorAlert } from '../../src/alert/peer-alerts.ts'
import { bencode } from '../../src/bencode/bencode.ts'
import type { Endpoint } from '../../src/core/endpoint.ts'
import { AlertCategory, CloseReason, TorrentFlags } from '../../src/core/enums.ts'
import { LibtorrentErrors as E } from '../../src/core/error-table.ts'
import { loadTorrentBuffer } from '../../src/metainfo/load-torrent.ts'
import { IpFilter } from '../../src/net/ip-filter.ts'
import { PeerInfo } from '../../src/peer/peer-info.ts'
import * as C from '../../src/stats/counter-ids.ts'
import { PeerSource } from '../../src/torrent/peer-entry.ts'
import { encodePex } from '../../src/wire/ut-pex.ts'
import { inArena } from './lib/arena.ts'
import { FakePeer, PeerMessage } from './lib/fake-peer.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeTorrent, type NodeOptions, type SimTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 16 * 1024
const torrent = makeTorrent(20 * PIECE, PIECE)
const privateTorrent = makeTorrent(20 * PIECE, PIECE, 1, [], true)

const outside = (n: number) => ({ addresses: [`81.5.${n >> 8}.${n & 255}`] })

const withoutPex: NodeOptions['params'] = params => {
  params.flags |= TorrentFlags.disablePex
}

/** The addresses a session is connected to, and how it knows of them. */
function peersOf(node: SwarmNode): Map<string, number> {
  return new Map(
    node.handle
      .getPeerInfo()
      .map(info => [info.remoteEndpoint()[0], info.source & ~(PeerInfo.incoming | PeerInfo.resumeData)]),
  )
}

function address(node: SwarmNode): string {
  return node.endpoint[0]
}

/** One peer in the middle, to which two others connect that know of nobody else. */
function three(sim: Simulation, of: SimTorrent, options: NodeOptions = {}, middleOptions: NodeOptions = options) {
  const swarm = new Swarm(sim, of)
  const middle = swarm.add('middle', { ...middleOptions, host: { addresses: ['81.5.0.1'] } })
  const left = swarm.add('left', { ...options, host: { addresses: ['81.5.0.2'] } })
  const right = swarm.add('right', { ...options, host: { addresses: ['81.5.0.3'] } })
  sim.run(1000)
  left.connectTo(middle)
  right.connectTo(middle)
  return { swarm, middle, left, right }
}

describe('two peers that know a third', () => {
  test('are introduced to each other within a minute', () => {
    simulate(1, sim => {
      const { swarm, middle, left, right } = three(sim, torrent)
      sim.run(70_000)
      const [seenLeft, seenRight] = [peersOf(left), peersOf(right)]
      expect([...seenLeft.keys()].sort()).toEqual([address(middle), address(right)])
      expect([...seenRight.keys()].sort()).toEqual([address(middle), address(left)])
      // whoever made the connection knew the other from the exchange
      expect(seenLeft.get(address(right))! | seenRight.get(address(left))!).toBe(PeerInfo.pex)
      for (const node of [left, right]) expect(node.engine.counters.get(C.SES_NUM_INCOMING_PEX)).toBeGreaterThan(0)
      expect(middle.engine.counters.get(C.SES_NUM_OUTGOING_PEX)).toBeGreaterThan(1)
      swarm.close()
    })
  })

  test('are told when it is turned on, and not before', () => {
    simulate(2, sim => {
      const { swarm, middle, left, right } = three(sim, torrent, {}, { params: withoutPex })
      sim.run(300_000)
      for (const node of [left, right]) {
        expect([...peersOf(node).keys()]).toEqual([address(middle)])
        expect(node.engine.counters.get(C.SES_NUM_INCOMING_PEX)).toBe(0)
      }
      middle.handle.unsetFlags(TorrentFlags.disablePex)
      sim.run(70_000)
      expect(peersOf(left).has(address(right))).toBe(true)
      swarm.close()
    })
  })

  test('do not take what they are told if they have it turned off', () => {
    simulate(3, sim => {
      const { swarm, middle, left, right } = three(sim, torrent, { params: withoutPex }, {})
      sim.run(300_000)
      expect(middle.engine.counters.get(C.SES_NUM_OUTGOING_PEX)).toBeGreaterThan(1)
      for (const node of [left, right]) expect([...peersOf(node).keys()]).toEqual([address(middle)])
      swarm.close()
    })
  })

  test('are not introduced in a private torrent, which does not offer the message either', () => {
    simulate(4, sim => {
      const { swarm, middle, left, right } = three(sim, privateTorrent)
      const watcher = watch(sim, privateTorrent, middle)
      sim.run(300_000)
      for (const node of [left, right]) {
        expect([...peersOf(node).keys()]).toEqual([address(middle)])
        expect(node.engine.counters.get(C.SES_NUM_OUTGOING_PEX)).toBe(0)
      }
      expect(watcher.offered).toBe(false)
      expect(watcher.pex).toEqual([])
      // and what comes all the same is no message it knows
      watcher.tell([[['81.5.0.77', 6881], 0]])
      sim.run(1000)
      expect(endOf(middle, watcher.peer)).toMatchObject({ what: 'peer_error', value: E.invalidMessage })
      expect(middle.engine.counters.get(C.SES_NUM_INCOMING_PEX)).toBe(0)
      swarm.close()
    })
  })

  test('are introduced before the metadata is known', () => {
    simulate(5, sim => {
      const params: NodeOptions['params'] = p => {
        p.infoHashes = p.ti!.infoHashes()
        p.ti = null
      }
      const { swarm, left, right } = three(sim, torrent, { params })
      sim.run(70_000)
      expect(left.handle.status().hasMetadata).toBe(false)
      expect(peersOf(left).has(address(right))).toBe(true)
      swarm.close()
    })
  })

  test('are introduced over IPv6', () => {
    simulate(6, sim => {
      const swarm = new Swarm(sim, torrent)
      const [middle, left, right] = [1, 2, 3].map(n => swarm.add(`${n}`, { host: { addresses: [`2001:db8::${n}`] } }))
      sim.run(1000)
      left!.connectTo(middle!)
      right!.connectTo(middle!)
      sim.run(70_000)
      expect([...peersOf(left!).keys()].sort()).toEqual(['2001:db8::1', '2001:db8::3'])
      swarm.close()
    })
  })
})

test('a torrent that turns out to be private lets go of peers it should not know', () => {
  simulate(7, sim => {
    const swarm = new Swarm(sim, torrent)
    const node = swarm.add('node', { host: outside(1), params: withoutPex })
    const sources = [PeerSource.pex, PeerSource.dht | PeerSource.lsd, PeerSource.tracker | PeerSource.pex, 0]
    const others = sources.map((_, n) => swarm.add(`other ${n}`, { host: outside(n + 2), params: withoutPex }))
    const incoming = swarm.add('incoming', { host: outside(9), params: withoutPex })
    sim.run(1000)
    for (const [n, other] of others.entries()) node.handle.connectPeer(other.endpoint as Endpoint, sources[n])
    incoming.connectTo(node)
    sim.run(5000)
    for (const [n, source] of sources.entries()) node.handle.connectPeer([`81.9.0.${n}`, 6881], source)
    expect([peersOf(node).size, node.handle.status().listPeers]).toEqual([5, 9])
    const [inner] = node.engine.registry.all()
    node.engine.turn.call(() => inner!.swarm.forgetPublicPeers())
    inner!.swarm.list.checkInvariant()
    expect([...peersOf(node).keys()].sort()).toEqual([others[2]!, others[3]!, incoming].map(address).sort())
    expect(node.handle.status().listPeers).toBe(5)
    swarm.close()
  })
})

test('a magnet link that turns out to be of a private torrent exchanges no more peers', () => {
  simulate(8, sim => {
    const swarm = new Swarm(sim, privateTorrent)
    const node = swarm.add('node', {
      host: outside(1),
      params: params => {
        params.ti = null
      },
    })
    sim.run(1000)
    const met: FakePeer[] = []
    const options = { infoHash: privateTorrent.infoHash.toBytes(), peerId: Buffer.from('-XX0000-met123456789') }
    FakePeer.listen(sim.host('met', { addresses: ['81.6.0.9'] }), ['81.6.0.9', 6881], options, peer => met.push(peer))
    const watcher = watch(sim, privateTorrent, node, 7000, 1)
    sim.run(1000)
    expect(watcher.offered).toBe(true)
    watcher.tell([[['81.6.0.9', 6881], 0]])
    sim.run(3000)
    expect(met.map(peer => peer.closed)).toEqual([null])
    expect(watcher.pex).toHaveLength(1)

    // the metadata comes; the one who has it stays, since it came by itself
    const section = loadTorrentBuffer(privateTorrent.file).ti!.infoSection()
    const answer = watcher.peer.onMessage
    watcher.peer.onMessage = message => {
      answer(message)
      if (message.id !== PeerMessage.extended || message.payload[0] !== 9) return
      const head = { msg_type: 1, piece: 0, total_size: section.length }
      watcher.peer.send(PeerMessage.extended, Uint8Array.of(2), bencode(head), section)
    }
    const ids = { ut_metadata: 9, ut_pex: 5 }
    watcher.peer.send(PeerMessage.extended, Uint8Array.of(0), bencode({ m: ids, metadata_size: section.length }))
    sim.run(3000)
    expect(node.handle.status().hasMetadata).toBe(true)
    expect(met.map(peer => peer.closed === null)).toEqual([false])
    expect([watcher.peer.closed, node.handle.status().listPeers]).toEqual([null, 1])

    // what it goes on telling is passed over
    const others = [2, 3].map(n => watch(sim, privateTorrent, node, 7000 + n, n))
    for (let i = 0; i < 10; i++) watcher.tell([[[`81.6.1.${i}`, 6881], 0]])
    sim.run(200_000)
    expect([watcher.peer.closed, node.handle.status().listPeers]).toEqual([null, 3])
    expect(watcher.pex).toHaveLength(1)
    for (const other of others) expect([other.offered, other.pex]).toEqual([false, []])
    swarm.close()
  })
})

/** A scripted peer, and the exchange messages it gets. */
interface Watcher {
  readonly peer: FakePeer
  offered: boolean
  readonly pex: { readonly atMs: number; readonly text: string }[]
  tell(added: readonly [Endpoint, number][], dropped?: readonly Endpoint[]): void
}

function watch(sim: Simulation, of: SimTorrent, at: SwarmNode, listenPort = 0, n = 250): Watcher {
  const peer = FakePeer.connect(sim.host(`watcher ${n}`, { addresses: [`81.6.0.${n}`] }), at.endpoint, {
    infoHash: of.infoHash.toBytes(),
    peerId: Buffer.from(`-XX0000-${String(n).padStart(12, '0')}`),
  })
  const watcher: Watcher = {
    peer,
    offered: false,
    pex: [],
    tell(added, dropped = []) {
      const peers = added.map(([endpoint, flags]) => ({ endpoint, flags }))
      peer.send(PeerMessage.extended, Uint8Array.of(1), encodePex(peers, dropped))
    },
  }
  peer.onHandshake = () => {
    const port = listenPort === 0 ? '' : `1:pi${listenPort}e`
    peer.send(PeerMessage.extended, Uint8Array.of(0), Buffer.from(`d1:md6:ut_pexi5ee${port}e`))
    peer.send(PeerMessage.haveNone)
  }
  peer.onMessage = ({ id, payload }) => {
    if (id === -1) peer.sendKeepAlive()
    if (id !== PeerMessage.extended) return
    const text = payload.subarray(1).toString('latin1')
    if (payload[0] === 0) watcher.offered = text.includes('6:ut_pexi1e')
    else if (payload[0] === 5) watcher.pex.push({ atMs: sim.clock.now(), text })
  }
  return watcher
}

/** How the session's connection to a scripted peer ended. */
function endOf(node: SwarmNode, peer: FakePeer) {
  for (const alert of node.alerts) {
    if (!(alert instanceof PeerErrorAlert || alert instanceof PeerDisconnectedAlert)) continue
    if (alert.ep[0] !== peer.stream.local[0]) continue
    return {
      what: alert.what(),
      value: alert.error.value(),
      text: alert.error.message(),
      reason: alert instanceof PeerDisconnectedAlert ? alert.reason : null,
    }
  }
  return null
}

const compact = (...bytes: number[]) => String.fromCharCode(...bytes)

describe('what a session tells', () => {
  test('is a message a minute: all its peers, then who came and who left, and how they can be reached', () => {
    simulate(10, sim => {
      const swarm = new Swarm(sim, torrent)
      const mask = AlertCategory.peerLog | AlertCategory.peer
      const node = swarm.add('node', { host: outside(1), settings: { alert_mask: mask } })
      sim.run(1000)
      const first = watch(sim, torrent, node, 7001, 1)
      sim.run(5000)
      expect([first.offered, first.pex]).toEqual([true, []])
      // the second one does not say where it listens, and nobody is told of it
      const second = watch(sim, torrent, node, 0, 2)
      sim.run(1500)
      const all = `d5:added6:${compact(81, 6, 0, 1, 27, 89)}7:added.f1:\x006:added60:8:added6.f0:7:dropped0:8:dropped60:e`
      expect(first.pex.map(({ text }) => text)).toEqual([all])
      expect(second.pex.map(({ text }) => text)).toEqual([all])
      const third = watch(sim, torrent, node, 7003, 3)
      sim.run(30_000)
      third.peer.close()
      const fourth = watch(sim, torrent, node, 7004, 4)
      sim.run(90_000)
      fourth.peer.close()
      sim.run(120_000)
      const times = first.pex.map(({ atMs }) => atMs)
      for (let i = 1; i < times.length; i++) expect(times[i]! - times[i - 1]!).toBeGreaterThan(59_000)
      const later = first.pex.slice(1).map(({ text }) => text)
      const four = compact(81, 6, 0, 4, 27, 92)
      expect(later.filter(text => text.includes(compact(81, 6, 0, 3)))).toEqual([])
      expect(later.filter(text => text.includes(`5:added6:${four}`))).toHaveLength(1)
      expect(later.filter(text => text.includes(`7:dropped6:${four}`))).toHaveLength(1)
      expect(later.filter(text => text.includes(compact(81, 6, 0, 2)))).toEqual([])
      const logged = node.alerts.filter(alert => alert instanceof PeerLogAlert).map(alert => alert.message())
      expect(logged.some(text => /==> PEX_FULL \[ added: 1 msg_size: \d+ \]$/.test(text))).toBe(true)
      expect(logged.some(text => /==> PEX_DIFF \[ dropped: \d added: \d msg_size: \d+ \]$/.test(text))).toBe(true)
      swarm.close()
    })
  })

  test('says who is a seed', () => {
    simulate(11, sim => {
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('node', { host: outside(1), settings: { close_redundant_connections: false } })
      const seed = swarm.add('seed', { has: 'all', host: outside(2), settings: { close_redundant_connections: false } })
      sim.run(1000)
      node.connectTo(seed)
      sim.run(3000)
      const watcher = watch(sim, torrent, node)
      sim.run(3000)
      const [message] = watcher.pex
      expect(message!.text).toContain(`5:added6:${compact(81, 5, 0, 2, 26, 225)}7:added.f1:\x02`)
      swarm.close()
    })
  })
})

describe('what a session is told', () => {
  test('makes it connect, but for what its filters and settings forbid', () => {
    simulate(20, sim => {
      const swarm = new Swarm(sim, torrent)
      const settings = { no_connect_privileged_ports: true }
      const node = swarm.add('node', { host: outside(1), settings })
      const good = swarm.add('good', { host: outside(2) })
      sim.run(1000)
      const filter = new IpFilter()
      filter.addRule('81.5.0.9', '81.5.0.9', 1)
      node.engine.turn.run('test', () => node.engine.connects.setIpFilter(filter))
      const watcher = watch(sim, torrent, node)
      sim.run(1000)
      watcher.tell([
        [good.endpoint as Endpoint, 0],
        [['81.5.0.9', 6881], 0],
        [['81.5.0.10', 80], 0],
        [['10.0.0.1', 6881], 0],
        [['81.5.0.11', 0], 0],
      ])
      sim.run(5000)
      expect([...peersOf(node).keys()].sort()).toEqual([good.endpoint[0], watcher.peer.stream.local[0]].sort())
      expect(node.handle.status().listPeers).toBe(2)
      // port 0 is a privileged one, too
      expect(node.whats().filter(what => what === 'peer_blocked')).toHaveLength(3)
      swarm.close()
    })
  })

  test('is at most max_pex_peers from one peer', () => {
    simulate(21, sim => {
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('node', { host: outside(1), settings: { max_pex_peers: 20 } })
      sim.run(1000)
      const watcher = watch(sim, torrent, node)
      sim.run(1000)
      for (let round = 0; round < 5; round++) {
        watcher.tell(Array.from({ length: 200 }, (_, i) => [[`81.7.${round}.${i}`, 6881], 0]))
      }
      sim.run(2000)
      expect(node.handle.status().listPeers).toBe(21)
      swarm.close()
    })
  })
})

describe('a hostile peer', () => {
  const bomb = (added: number) =>
    encodePex(
      Array.from({ length: added }, (_, i) => ({
        endpoint: [`9.${(i >> 8) & 255}.${i & 255}.1`, 7] as const,
        flags: 0xff,
      })),
      [],
    )

  test.each([
    [
      'floods',
      (tell: (payload: Uint8Array) => void) => {
        for (let i = 0; i < 7; i++) tell(bomb(60))
      },
      'peer_disconnected',
      E.tooFrequentPex,
      'pex messages sent too frequent (possible attack)',
      CloseReason.pexTooFrequent,
    ],
    [
      'sends too much at once',
      (tell: (payload: Uint8Array) => void) => tell(new Uint8Array(500 * 1024 + 1)),
      'peer_error',
      E.pexMessageTooLarge,
      'pex message too large',
      null,
    ],
    [
      'sends rubbish',
      (tell: (payload: Uint8Array) => void) => tell(Buffer.from('rubbish')),
      'peer_error',
      E.invalidPexMessage,
      'invalid pex message',
      null,
    ],
  ] as const)('that %s is cut off, and nobody else suffers', (_, attack, what, value, text, reason) => {
    inArena(30, {}, arena => {
      const peer = arena.attackAfterHandshake()
      peer.send(PeerMessage.extended, Uint8Array.of(0), Buffer.from('d1:md6:ut_pexi5eee'))
      attack(payload => peer.send(PeerMessage.extended, Uint8Array.of(1), payload))
      arena.sim.runUntil(() => peer.closed !== null, 20_000, 'the end of the attack')
      expect(endOf(arena.victim, peer)).toEqual({ what, value, text, reason })
      expect(arena.victim.handle.status().listPeers).toBeLessThan(60)
      arena.finish()
    })
  })

  test('that never named the message may not send it', () => {
    inArena(31, {}, arena => {
      const peer = arena.attackAfterHandshake()
      peer.send(PeerMessage.extended, Uint8Array.of(1), bomb(1))
      arena.sim.runUntil(() => peer.closed !== null, 20_000, 'the end of the attack')
      expect(endOf(arena.victim, peer)).toMatchObject({ what: 'peer_error', value: E.invalidMessage })
      arena.finish()
    })
  })

  test('that fills the largest messages with the same, or with local addresses, costs little', () => {
    inArena(32, {}, arena => {
      const many = 70_000
      const same = Buffer.from(
        `d5:added${many * 6}:${'\x09\x09\x09\x09\x00\x07'.repeat(many)}7:added.f${many}:${'\0'.repeat(many)}e`,
        'latin1',
      )
      const few = 25_000
      const local = Buffer.from(
        `d6:added6${few * 18}:${`\xfd${'\0'.repeat(16)}\x07`.repeat(few)}8:added6.f${few}:${'\0'.repeat(few)}e`,
        'latin1',
      )
      const drops = Buffer.from(`d8:dropped6${few * 18}:${`\xfd${'\0'.repeat(16)}\x07`.repeat(few)}e`, 'latin1')
      const peer = arena.attackAfterHandshake()
      peer.send(PeerMessage.extended, Uint8Array.of(0), Buffer.from('d1:md6:ut_pexi5eee'))
      for (const payload of [same, local, drops]) peer.send(PeerMessage.extended, Uint8Array.of(1), payload)
      arena.sim.run(5000)
      expect(arena.victim.engine.counters.get(C.SES_NUM_INCOMING_PEX)).toBe(3)
      expect(arena.victim.handle.status().listPeers).toBe(3)
      arena.finish()
    })
  })
})

test('a swarm in which each knows one other finds together, and all have everything', () => {
  simulate(40, sim => {
    const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
    for (let n = 0; n < 30; n++) {
      const line = { up: { bytesPerSecond: 100_000 }, addresses: [`81.5.0.${n + 1}`] }
      swarm.add(`node ${n}`, { host: line, ...(n === 0 ? { has: 'all' as const } : {}) })
    }
    sim.run(1000)
    for (let n = 1; n < 30; n++) swarm.nodes[n]!.connectTo(swarm.nodes[n - 1]!)
    sim.run(5000)
    const degrees = swarm.nodes.slice(10).map(node => peersOf(node).size)
    expect(Math.max(...degrees)).toBeGreaterThan(5)
    swarm.complete()
    swarm.close()
    for (const node of swarm.nodes) expect(node.holds(swarm.torrent), node.name).toBe(true)
  })
})
