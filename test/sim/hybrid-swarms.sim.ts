import { describe, expect, test } from 'vitest'
import { PeerLogAlert } from '../../src/alert/log-alerts.ts'
import { PeerDisconnectedAlert, PeerErrorAlert } from '../../src/alert/peer-alerts.ts'
import { InfoHash } from '../../src/core/digest.ts'
import { AlertCategory, PexFlags, ProtocolVersion } from '../../src/core/enums.ts'
import { LibtorrentErrors as E } from '../../src/core/error-table.ts'
import type { AddTorrentParams } from '../../src/metainfo/add-torrent-params.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { loadTorrentBuffer } from '../../src/metainfo/load-torrent.ts'
import type { PeerConnection } from '../../src/peer/peer-connection.ts'
import { FakePeer } from './lib/fake-peer.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeFilesTorrent, type SimTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 64 * 1024
const SIZES = [3 * PIECE + 5, PIECE, 100]
const V2_BIT = Uint8Array.of(0, 0, 0, 0, 0, 0x10, 0, 0x14)
const NO_BIT = Uint8Array.of(0, 0, 0, 0, 0, 0x10, 0, 0x04)

function hybrid(): SimTorrent {
  return makeFilesTorrent(SIZES, PIECE, 0)
}

/** The 20 bytes that handshakes name a torrent by. */
function named(torrent: SimTorrent, version: ProtocolVersion): Uint8Array {
  return loadTorrentBuffer(torrent.file).infoHashes.get(version).toBytes()
}

function torrentOf(node: SwarmNode) {
  return node.engine.registry.find(node.handle.infoHashes())!
}

function connections(node: SwarmNode): readonly PeerConnection[] {
  return torrentOf(node).swarm.connections
}

/** Known peers, and whether they are thought to have the v2 hash. */
function known(node: SwarmNode): Record<string, boolean> {
  const entries = torrentOf(node).swarm.known?.entries() ?? []
  return Object.fromEntries(entries.map(({ address, protocolV2 }) => [address, protocolV2]))
}

/** Error codes that connections ended with. */
function ends(node: SwarmNode): number[] {
  return node.alerts
    .filter(alert => alert instanceof PeerDisconnectedAlert || alert instanceof PeerErrorAlert)
    .map(alert => alert.error.value())
}

/** Info hash of a handshake, and whether it offers the other one. */
function read(handshake: Buffer | null): [infoHash: string, offersV2: boolean] {
  return [handshake!.toString('hex', 28, 48), (handshake![27]! & 0x10) !== 0]
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

describe('a connection of two sessions', () => {
  test.each([
    ['hybrid', 0, true],
    ['v2-only', CreateFlags.v2Only, true],
    ['v1-only', CreateFlags.v1Only, false],
  ])('of a %s torrent', (_kind, flags, isV2) => {
    simulate(1, sim => {
      const torrent = makeFilesTorrent(SIZES, PIECE, flags)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 100_000 } } })
      const leech = swarm.add('leech')
      leech.connectTo(seed)
      sim.run(1500)
      for (const node of [seed, leech]) {
        expect(connections(node).map(({ protocolV2 }) => protocolV2)).toEqual([isV2])
        expect(Object.values(known(node))).toEqual([isV2])
      }
      swarm.complete(60_000)
      swarm.close()
      expect(leech.holds(torrent)).toBe(true)
    })
  })

  test.each([ProtocolVersion.V1, ProtocolVersion.V2])('that was found by one hash of a hybrid (%i)', version => {
    simulate(2, sim => {
      const torrent = hybrid()
      const both = loadTorrentBuffer(torrent.file).infoHashes
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 100_000 } } })
      sim.run(2000)
      const leech = swarm.add('leech', {
        params: (params: AddTorrentParams) => {
          Object.assign(params, { ti: null, merkleTrees: [], merkleTreeMask: [], verifiedLeafHashes: [] })
          params.infoHashes = version === ProtocolVersion.V1 ? new InfoHash(both.v1) : new InfoHash(both.v2)
        },
      })
      leech.connectTo(seed)
      sim.run(1000)
      expect(leech.handle.infoHashes().equals(both)).toBe(true)
      const isV2 = version === ProtocolVersion.V2
      for (const node of [seed, leech]) {
        expect(connections(node).map(({ protocolV2 }) => protocolV2)).toEqual([isV2])
      }
      swarm.close()
    })
  })
})

describe('who was found to have the v2 hash', () => {
  test('is called by it the next time', () => {
    simulate(3, sim => {
      const torrent = hybrid()
      const [v1, v2] = [named(torrent, ProtocolVersion.V1), named(torrent, ProtocolVersion.V2)]
      const peers: FakePeer[] = []
      const runtime = sim.host('upgrader', { addresses: ['81.2.3.4'] })
      FakePeer.listen(runtime, ['81.2.3.4', 6881], { infoHash: v2, reserved: NO_BIT }, peer => {
        peers.push(peer)
        peer.onHandshake = () => void runtime.setTimer(1000, () => peer.close())
      })
      const swarm = new Swarm(sim, torrent)
      const leech = swarm.add('leech', { settings: { min_reconnect_time: 1 } })
      leech.handle.connectPeer(['81.2.3.4', 6881])
      sim.runUntil(() => peers.length === 2 && peers[1]!.handshake !== null, 60_000, 'the second connection')
      expect(peers.map(({ handshake }) => read(handshake))).toEqual([
        [hex(v1), true],
        [hex(v2), false],
      ])
      swarm.close()
    })
  })

  test('is called by the v1 hash nevertheless, if we lack the other', () => {
    simulate(4, sim => {
      const torrent = makeFilesTorrent(SIZES, PIECE)
      const peers: FakePeer[] = []
      const runtime = sim.host('peer', { addresses: ['81.2.3.4'] })
      FakePeer.listen(runtime, ['81.2.3.4', 6881], { infoHash: torrent.infoHash.toBytes() }, peer => peers.push(peer))
      const swarm = new Swarm(sim, torrent)
      const leech = swarm.add('leech')
      leech.handle.connectPeer(['81.2.3.4', 6881], 0, PexFlags.pexLtV2)
      sim.runUntil(() => peers.length === 1 && peers[0]!.handshake !== null, 60_000, 'the connection')
      expect(known(leech)).toEqual({ '81.2.3.4': false })
      expect(read(peers[0]!.handshake)).toEqual([torrent.infoHash.toString(), false])
      swarm.close()
    })
  })
})

describe('two that connect to each other at the same moment', () => {
  const both = loadTorrentBuffer(hybrid().file).infoHashes
  test.each([
    ['the v2 hash', new InfoHash(both.v2), 0],
    ['the v1 hash, though it was said to have the other', new InfoHash(both.v1), PexFlags.pexLtV2],
  ])('meet, also if one of them has the link only, with %s', (_what, infoHashes, flags) => {
    simulate(4, sim => {
      const swarm = new Swarm(sim, hybrid())
      const leech = swarm.add('leech', {
        params: (params: AddTorrentParams) => {
          Object.assign(params, { ti: null, merkleTrees: [], merkleTreeMask: [], verifiedLeafHashes: [], infoHashes })
        },
      })
      // of two such connections the one of the lower address is kept: the one that names what the other does not know
      const seed = swarm.add('seed', { has: 'all', host: { addresses: ['10.0.0.1'] } })
      sim.run(2000)
      seed.handle.connectPeer(leech.endpoint as [string, number], 0, flags)
      leech.connectTo(seed)
      swarm.complete(200_000, [leech])
      swarm.close()
    })
  })
})

describe('trackers are told of both hashes of a hybrid torrent', () => {
  test.each(['httpUrl', 'udpUrl'] as const)('and their answers tell who has which (%s)', url => {
    simulate(5, sim => {
      const torrent = hybrid()
      const hashes = [ProtocolVersion.V1, ProtocolVersion.V2].map(version => hex(named(torrent, version)))
      const tracker = new FakeTracker(sim, sim.host('tracker', { addresses: ['81.200.1.1'] }))
      tracker.addPeer(hashes[0]!, '81.2.0.1', 7000)
      tracker.addPeer(hashes[1]!, '81.2.0.2', 7000)
      for (const hash of hashes) tracker.addPeer(hash, '81.2.0.3', 7000)
      const swarm = new Swarm(sim, torrent)
      const leech = swarm.add('leech', { params: params => void (params.trackers = [tracker[url]]) })
      sim.run(20_000)
      expect(new Set(tracker.announces.map(({ infoHash }) => infoHash))).toEqual(new Set(hashes))
      expect(known(leech)).toEqual({ '81.2.0.1': false, '81.2.0.2': true, '81.2.0.3': true })
      swarm.close()
    })
  })

  test('and peers that are given by name count too', () => {
    simulate(6, sim => {
      const torrent = hybrid()
      const [v1, v2] = [ProtocolVersion.V1, ProtocolVersion.V2].map(version => hex(named(torrent, version)))
      sim.names.set('one.test', { addresses: ['81.2.0.1'] })
      sim.names.set('two.test', { addresses: ['81.2.0.2'] })
      const tracker = new FakeTracker(sim, sim.host('tracker', { addresses: ['81.200.1.1'] }))
      tracker.respond = ({ infoHash }) => {
        const name = infoHash === v2 ? 'two.test' : 'one.test'
        expect([v1, v2]).toContain(infoHash)
        return { body: `d8:intervali1800e5:peersld2:ip8:${name}7:peer id20:${'p'.repeat(20)}4:porti7000eeee` }
      }
      const swarm = new Swarm(sim, torrent)
      const leech = swarm.add('leech', { params: params => void (params.trackers = [tracker.httpUrl]) })
      sim.run(20_000)
      expect(known(leech)).toEqual({ '81.2.0.1': false, '81.2.0.2': true })
      swarm.close()
    })
  })
})

test('of a v2-only torrent all peers are v2, wherever they are from', () => {
  simulate(7, sim => {
    const torrent = makeFilesTorrent(SIZES, PIECE, CreateFlags.v2Only)
    const v2 = named(torrent, ProtocolVersion.V2)
    const tracker = new FakeTracker(sim, sim.host('tracker', { addresses: ['81.200.1.1'] }))
    tracker.addPeer(hex(v2), '81.2.0.2', 7000)
    const swarm = new Swarm(sim, torrent)
    const leech = swarm.add('leech', {
      params: params => {
        params.trackers = [tracker.httpUrl]
        params.peers = [['81.2.0.1', 7000]]
      },
    })
    leech.handle.connectPeer(['81.2.0.3', 7000])
    FakePeer.connect(sim.host('incoming', { addresses: ['81.2.0.4'] }), leech.endpoint, { infoHash: v2 })
    sim.run(20_000)
    expect(tracker.announces.map(({ infoHash }) => infoHash)).toEqual([hex(v2)])
    expect(known(leech)).toEqual({ '81.2.0.1': true, '81.2.0.2': true, '81.2.0.3': true, '81.2.0.4': true })
    swarm.close()
  })
})

describe('one peer in both swarms', () => {
  function twice(sim: Simulation, settings: Record<string, boolean>, addresses: readonly [string, string]) {
    const torrent = hybrid()
    const swarm = new Swarm(sim, torrent)
    const seed = swarm.add('seed', { has: 'all', settings })
    sim.run(2000)
    const peerId = Buffer.from('-XX0000-abcdefghijkl')
    const made = new Map([...new Set(addresses)].map(address => [address, sim.host(address, { addresses: [address] })]))
    const peers = [ProtocolVersion.V1, ProtocolVersion.V2].map((version, i) => {
      const options = { infoHash: named(torrent, version), peerId, reserved: NO_BIT }
      const peer = FakePeer.connect(made.get(addresses[i]!)!, seed.endpoint, options)
      sim.run(2000)
      return peer
    })
    const left = connections(seed).map(({ protocolV2 }) => protocolV2)
    const open = peers.map(({ closed }) => closed === null)
    swarm.close()
    return { left, open, ends: ends(seed) }
  }

  test('has one connection: which, both ends know', () => {
    simulate(8, sim => {
      const { left, open, ends } = twice(sim, {}, ['81.2.0.1', '81.2.0.2'])
      expect(left).toHaveLength(1)
      expect(open.filter(Boolean)).toHaveLength(1)
      expect(open.indexOf(true)).toBe(left[0] ? 1 : 0)
      expect(ends[0]).toBe(E.duplicatePeerId)
    })
  })

  test('has one connection per address', () => {
    simulate(9, sim => {
      const { left, open, ends } = twice(sim, {}, ['81.2.0.1', '81.2.0.1'])
      expect([left, open]).toEqual([[false], [true, false]])
      expect(ends[0]).toBe(E.duplicatePeerId)
    })
  })

  test('has two if that is allowed', () => {
    simulate(10, sim => {
      const settings = { allow_multiple_connections_per_pid: true, allow_multiple_connections_per_ip: true }
      const { left, open } = twice(sim, settings, ['81.2.0.1', '81.2.0.1'])
      expect([left, open]).toEqual([
        [false, true],
        [true, true],
      ])
    })
  })
})

describe('what an incoming connection is answered', () => {
  test.each([
    ['v1 hash', ProtocolVersion.V1, NO_BIT, ProtocolVersion.V1, true],
    ['v1 hash and the bit', ProtocolVersion.V1, V2_BIT, ProtocolVersion.V2, false],
    ['v2 hash', ProtocolVersion.V2, NO_BIT, ProtocolVersion.V2, false],
  ] as const)('%s', (_what, version, reserved, answer, offers) => {
    simulate(11, sim => {
      const torrent = hybrid()
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all' })
      sim.run(2000)
      const runtime = sim.host('peer', { addresses: ['81.2.0.1'] })
      const peer = FakePeer.connect(runtime, seed.endpoint, { infoHash: named(torrent, version), reserved })
      sim.run(2000)
      expect(read(peer.handshake)).toEqual([hex(named(torrent, answer)), offers])
      expect(peer.messages.length).toBeGreaterThan(0)
      expect(peer.closed).toBe(null)
      swarm.close()
    })
  })
})

test('hash messages on a v1 connection end it, also of a hybrid torrent', () => {
  for (const id of [21, 22, 23]) {
    simulate(12, sim => {
      const torrent = hybrid()
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all' })
      sim.run(2000)
      const runtime = sim.host('peer', { addresses: ['81.2.0.1'] })
      const peer = FakePeer.connect(runtime, seed.endpoint, { infoHash: named(torrent, ProtocolVersion.V1) })
      sim.run(1000)
      peer.send(id, new Uint8Array(48))
      sim.run(1000)
      expect(peer.closed).not.toBe(null)
      expect(ends(seed)).toEqual([E.invalidMessage])
      swarm.close()
    })
  }
})

test('hash messages are logged', () => {
  simulate(13, sim => {
    const torrent = hybrid()
    const swarm = new Swarm(sim, torrent)
    const seed = swarm.add('seed', { has: 'all', settings: { alert_mask: AlertCategory.peerLog } })
    sim.run(2000)
    const runtime = sim.host('peer', { addresses: ['81.2.0.1'] })
    const peer = FakePeer.connect(runtime, seed.endpoint, { infoHash: named(torrent, ProtocolVersion.V2) })
    sim.run(1000)
    const files = loadTorrentBuffer(torrent.file).ti!.layout()
    const numbers = Buffer.from(Uint32Array.of(1, 2, 0, 3).buffer).swap32()
    peer.send(21, files.root(2).view(), numbers)
    peer.send(21, new Uint8Array(32).fill(9), numbers)
    peer.send(23, files.root(0).view(), numbers)
    sim.run(1000)
    expect(peer.messages.filter(({ id }) => id === 23).map(({ payload }) => payload.toString('hex', 32))).toEqual([
      numbers.toString('hex'),
      numbers.toString('hex'),
    ])
    const lines = seed.alerts.filter(alert => alert instanceof PeerLogAlert && alert.message().includes('HASH'))
    expect(lines.map(alert => alert.message().replace(/^.*?(?=[<=]=)/, ''))).toEqual([
      '<== HASH_REQUEST [ file: 2 base: 1 idx: 2 cnt: 0 proofs: 3 ]',
      '==> HASH_REJECT [ base: 1 idx: 2 cnt: 0 proofs: 3 ]',
      '<== HASH_REQUEST [ file: -1 base: 1 idx: 2 cnt: 0 proofs: 3 ]',
      '==> HASH_REJECT [ base: 1 idx: 2 cnt: 0 proofs: 3 ]',
      '<== HASH_REJECT [ file: 0 base: 1 idx: 2 cnt: 0 proofs: 3 ]',
    ])
    swarm.close()
  })
})

test('a peer that floods us with hash requests and does not read costs little memory', () => {
  simulate(14, sim => {
    const torrent = hybrid()
    const swarm = new Swarm(sim, torrent)
    const seed = swarm.add('seed', { has: 'all' })
    sim.run(2000)
    const runtime = sim.host('peer', { addresses: ['81.2.0.1'] })
    const peer = FakePeer.connect(runtime, seed.endpoint, { infoHash: named(torrent, ProtocolVersion.V2) })
    sim.run(1000)
    const files = loadTorrentBuffer(torrent.file).ti!.layout()
    const request = Buffer.concat([Uint8Array.of(0, 0, 0, 49, 21), files.root(0).view(), Buffer.alloc(16)])
    const [connection] = connections(seed)
    peer.stream.pause()
    let most = 0
    for (let i = 0; i < 200; i++) {
      peer.raw(Buffer.concat(new Array(1000).fill(request)))
      sim.run(100)
      most = Math.max(most, connection!.link.unsentBytes)
      expect(connection!.hashes.waiting).toBeLessThanOrEqual(257)
    }
    // ten megabytes of requests, the answers of which would be as many
    expect(most).toBeLessThan(1_500_000)
    expect(connection!.disconnecting || connection!.receiving.pausedForSending).toBe(true)
    swarm.close()
  })
})
