import { describe, expect, test } from 'vitest'
import { PeerBanAlert, PeerErrorAlert } from '../../src/alert/peer-alerts.ts'
import { BLOCK_SIZE } from '../../src/core/brands.ts'
import { ProtocolVersion } from '../../src/core/enums.ts'
import { LibtorrentErrors as E } from '../../src/core/error-table.ts'
import { SeededRng } from '../../src/core/rng.ts'
import type { AddTorrentParams } from '../../src/metainfo/add-torrent-params.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { loadTorrentBuffer } from '../../src/metainfo/load-torrent.ts'
import { FakePeer, PeerMessage } from './lib/fake-peer.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeFilesTorrent, type SimTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'
import {
  AllHashes,
  answerHashes,
  asMagnet,
  HASH_REJECT,
  HASH_REQUEST,
  HASHES,
  onHashRequest,
  rejectHashes,
  torrentOf,
  wholeTrees,
  withoutLayers,
} from './lib/v2.ts'

const PIECE = 4 * BLOCK_SIZE
const HYBRID = 0
const LIAR = '82.2.2.2'

function peerOptions(infoHash: Uint8Array, address: string) {
  return { infoHash, peerId: Buffer.from(`-XX0000-${address.padEnd(12, '-')}`) }
}

/** A scripted peer that connects. */
function join(sim: Simulation, torrent: SimTorrent, to: SwarmNode, address: string): FakePeer {
  const runtime = sim.host(address, { addresses: [address] })
  return FakePeer.connect(runtime, to.endpoint, peerOptions(torrent.infoHash.toBytes(), address))
}

function asked(peer: FakePeer, id: number): number {
  return peer.messages.filter(message => message.id === id).length
}

function bans(node: SwarmNode): string[] {
  return node.alerts.filter(alert => alert instanceof PeerBanAlert).map(alert => alert.ep[0])
}

function hashRequest(torrent: SimTorrent, file: number, ...numbers: number[]): Buffer {
  const head = Buffer.alloc(16)
  for (const [i, number] of numbers.entries()) head.writeUInt32BE(number, 4 * i)
  const root = loadTorrentBuffer(torrent.file).ti!.layout().root(file).view()
  return Buffer.concat([Uint8Array.of(0, 0, 0, 49, HASH_REQUEST), root, head])
}

describe('a flood of 100,000 hash requests', () => {
  test('that would have us compute nodes costs little, and the others keep their rate', () => {
    simulate(1, sim => {
      const torrent = makeFilesTorrent([600 * BLOCK_SIZE], BLOCK_SIZE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all' })
      sim.run(1000)
      const leech = swarm.add('leech', { host: { down: { bytesPerSecond: 2_000_000 } } })
      leech.connectTo(seed)
      const peer = join(sim, torrent, seed, '81.2.0.1')
      sim.run(500)
      const many = Buffer.concat(new Array(1000).fill(hashRequest(torrent, 0, 0, 0, 2, 9)))
      for (let i = 0; i < 100; i++) {
        peer.raw(many)
        sim.run(45)
      }
      // 9.8 MB at 2 MB a second
      swarm.complete(2000)
      expect(peer.closed).toBeNull()
      expect(asked(peer, HASHES) + asked(peer, HASH_REJECT)).toBe(100_000)
      expect(asked(peer, HASHES)).toBeGreaterThan(100)
      // 502 nodes each, half a second's work at a microsecond each, and more as time passes
      expect(asked(peer, HASHES)).toBeLessThan(1500)
      swarm.close()
    })
  })

  test('for block hashes of all pieces has few of them read, and the others keep their rate', () => {
    simulate(2, sim => {
      const torrent = makeFilesTorrent([64 * PIECE], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all' })
      sim.run(1000)
      const before = seed.engine.disk.stats().blocksHashed
      const leech = swarm.add('leech', { host: { down: { bytesPerSecond: 400_000 } } })
      leech.connectTo(seed)
      const peer = join(sim, torrent, seed, '81.2.0.1')
      sim.run(500)
      const start = sim.clock.now()
      // as many under way as are put up with
      let n = 0
      const next = () => peer.raw(hashRequest(torrent, 0, 0, 4 * (n++ % 64), 4, 6))
      peer.onMessage = ({ id }) => {
        if (id === HASHES || id === HASH_REJECT) next()
      }
      for (let i = 0; i < 20; i++) next()
      sim.runUntilSo(() => leech.isSeeding, 20_000, 'the torrent')
      // 4.2 MB at 400 kB a second
      expect(sim.clock.now() - start).toBeLessThan(12_500)
      const blocks = seed.engine.disk.stats().blocksHashed - before
      expect(peer.closed).toBeNull()
      expect(Math.abs(asked(peer, HASHES) - blocks / 4)).toBeLessThan(50)
      expect(asked(peer, HASH_REJECT)).toBeGreaterThan(1000)
      // at five milliseconds and a bit each: half a second's work, and a fiftieth of each second
      expect(blocks / 4).toBeGreaterThan(100)
      expect(blocks / 4).toBeLessThan(150)
      swarm.close()
    })
  })

  test('that outruns the disk costs the connection', () => {
    simulate(3, sim => {
      const torrent = makeFilesTorrent([8 * PIECE], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all' })
      sim.run(1000)
      const peer = join(sim, torrent, seed, '81.2.0.1')
      sim.run(500)
      const all = Buffer.concat(Array.from({ length: 1000 }, (_, n) => hashRequest(torrent, 0, 0, 4 * (n % 8), 4, 3)))
      for (let i = 0; i < 100 && peer.closed === null; i++) peer.raw(all)
      sim.run(1000)
      const errors = seed.alerts.filter(alert => alert instanceof PeerErrorAlert)
      expect(errors.map(alert => alert.error.value())).toEqual([E.invalidHashRequest])
      expect(seed.engine.disk.stats().queuedJobs).toBe(0)
      swarm.close()
    })
  })
})

describe('hash requests of ours', () => {
  test('that all peers reject are not repeated without end, and an honest one who comes later is asked', () => {
    simulate(11, sim => {
      const torrent = makeFilesTorrent([12 * PIECE], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const leech = swarm.add('leech', { params: withoutLayers })
      leech.handle.piecePriority(0, 0)
      const peers = [1, 2, 3, 4, 5].map(n => {
        const peer = join(sim, torrent, leech, `81.2.0.${n}`)
        peer.seed(torrent.content, PIECE)
        rejectHashes(peer)
        return peer
      })
      sim.run(300_000)
      expect(leech.handle.status().numPieces).toBe(0)
      for (const peer of peers) {
        expect(peer.closed).toBeNull()
        expect(asked(peer, HASH_REQUEST)).toBeGreaterThan(2)
        expect(asked(peer, HASH_REQUEST)).toBeLessThan(15)
      }
      const honest = join(sim, torrent, leech, '81.2.0.9')
      answerHashes(honest, new AllHashes(torrent))
      const seed = honest.onMessage
      honest.onHandshake = () => honest.sendBitfield(new Array(12).fill(true))
      honest.onMessage = seed
      sim.runUntilSo(() => leech.handle.status().numPieces === 11, 10_000, 'the hashes')
      swarm.close()
    })
  })

  test('that are answered after minutes are answers all the same', () => {
    simulate(12, sim => {
      const torrent = makeFilesTorrent([12 * PIECE], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const leech = swarm.add('leech', { params: withoutLayers, settings: { close_redundant_connections: false } })
      leech.handle.piecePriority(0, 0)
      const hashes = new AllHashes(torrent)
      const runtime = sim.host('slow', { addresses: ['81.2.0.1'] })
      const peer = FakePeer.connect(runtime, leech.endpoint, peerOptions(torrent.infoHash.toBytes(), '81.2.0.1'))
      peer.seed(torrent.content, PIECE)
      onHashRequest(peer, request => {
        runtime.setTimer(200_000, () => peer.send(HASHES, request.head, hashes.answer(request)))
      })
      for (let i = 0; i < 21; i++) {
        sim.run(10_000)
        if (peer.closed === null) peer.sendKeepAlive()
      }
      expect(peer.closed).toBeNull()
      expect(leech.handle.status().numPieces).toBe(11)
      swarm.close()
    })
  })

  test('stop when what they are about has come another way', () => {
    simulate(13, sim => {
      const torrent = makeFilesTorrent([12 * PIECE], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const leech = swarm.add('leech', { settings: { close_redundant_connections: false } })
      leech.handle.piecePriority(0, 0)
      const liar = join(sim, torrent, leech, LIAR)
      let spoilt = 0
      liar.seed(torrent.content, PIECE, (_, block) => {
        if (spoilt++ === 0) block[0]! ^= 1
      })
      rejectHashes(liar)
      sim.run(2000)
      expect(bans(leech)).toEqual([LIAR])
      const good = join(sim, torrent, leech, '81.2.0.2')
      good.seed(torrent.content, PIECE)
      rejectHashes(good)
      sim.runUntilSo(() => leech.handle.status().isFinished, 20_000, 'the pieces')
      const before = asked(good, HASH_REQUEST)
      expect(before).toBeGreaterThan(0)
      sim.run(200_000)
      expect(asked(good, HASH_REQUEST)).toBe(before)
      expect(torrentOf(leech).content!.proofs!.trees.memoryBytes).toBeLessThan(2000)
      swarm.close()
    })
  })
})

describe('pieces that do not add up to the root of their file', () => {
  test.each(['the same', 'another'])(
    'are got again if nobody tells their hashes (the bad block is %s each time)',
    what => {
      simulate(21, sim => {
        const torrent = makeFilesTorrent([12 * PIECE], PIECE, CreateFlags.v2Only)
        const swarm = new Swarm(sim, torrent)
        const leech = swarm.add('leech', { params: withoutLayers })
        const rng = new SeededRng(5)
        const liar = join(sim, torrent, leech, LIAR)
        liar.seed(torrent.content, PIECE, ({ piece, begin }, block) => {
          if (piece !== 3 || begin !== 0) return
          if (what === 'another') rng.fill(block)
          else block[0]! ^= 1
        })
        rejectHashes(liar)
        sim.run(30_000)
        expect(leech.handle.status().numPieces).toBe(0)
        expect(leech.whats()).not.toContain('hash_failed')
        const good = join(sim, torrent, leech, '81.2.0.2')
        good.seed(torrent.content, PIECE)
        rejectHashes(good)
        swarm.complete(900_000)
        expect(bans(leech)).toEqual([LIAR])
        swarm.close()
        expect(leech.holds(torrent)).toBe(true)
      })
    },
  )
})

test('a bad block that two peers were asked for is left to the other one', () => {
  simulate(31, sim => {
    const torrent = makeFilesTorrent([PIECE], PIECE, CreateFlags.v2Only)
    const swarm = new Swarm(sim, torrent)
    const leech = swarm.add('leech')
    const spoiler = (address: string) => {
      const peer = join(sim, torrent, leech, address)
      peer.seed(torrent.content, PIECE, ({ begin }, block) => {
        if (begin === 0) block[0]! ^= 1
      })
      return peer
    }
    // the piece fails, and is watched once an honest peer has told its block hashes
    rejectHashes(spoiler(LIAR))
    sim.run(2000)
    expect(bans(leech)).toEqual([LIAR])
    const honest = join(sim, torrent, leech, '81.2.0.2')
    honest.onHandshake = () => honest.sendBitfield([true])
    honest.onMessage = ({ id, payload }) => {
      if (id === PeerMessage.interested) honest.send(PeerMessage.unchoke)
      if (id === PeerMessage.cancel) honest.send(PeerMessage.reject, payload)
    }
    answerHashes(honest, new AllHashes(torrent))
    sim.run(2000)
    expect(torrentOf(leech).content!.proofs!.watches(0)).toBe(true)
    expect(honest.requests).toHaveLength(4)
    spoiler('82.2.2.3')
    sim.runUntilSo(() => bans(leech).length === 2, 60_000, 'the second ban')
    sim.run(200)
    expect(
      honest.messages.filter(({ id, payload }) => id === PeerMessage.cancel && payload.readUInt32BE(4) === 0),
    ).toEqual([])
    for (const { piece, begin, length } of honest.requests) {
      honest.sendBlock(piece, begin, torrent.content.subarray(begin, begin + length))
    }
    swarm.complete(5000)
    swarm.close()
    expect(leech.holds(torrent)).toBe(true)
  })
})

describe('in a swarm of thirty', () => {
  const SIZES = [8 * PIECE, 3 * PIECE + 100, 7]

  /** A peer that whoever asks the tracker is told of. */
  function liarIn(sim: Simulation, torrent: SimTorrent, tracker: FakeTracker, setUp: (peer: FakePeer) => void): void {
    const runtime = sim.host('liar', { addresses: [LIAR], up: { bytesPerSecond: 200_000 } })
    const v2 = loadTorrentBuffer(torrent.file).infoHashes.get(ProtocolVersion.V2)
    FakePeer.listen(runtime, ['0.0.0.0', 6881], peerOptions(v2.toBytes(), LIAR), setUp)
    for (const hash of [v2, torrent.infoHash]) tracker.addPeer(hash.toString(), LIAR, 6881)
  }

  function thirty(sim: Simulation, torrent: SimTorrent, tracker: FakeTracker, params: (p: AddTorrentParams) => void) {
    const swarm = new Swarm(sim, torrent)
    const options = {
      host: { up: { bytesPerSecond: 400_000 }, down: { bytesPerSecond: 1_000_000 } },
      settings: { min_announce_interval: 5 },
    }
    const withTracker = (change: (p: AddTorrentParams) => void) => (p: AddTorrentParams) => {
      change(p)
      p.trackers = [tracker.httpUrl]
    }
    swarm.add('seed', { ...options, has: 'all', params: withTracker(() => {}) })
    sim.run(1000)
    for (let i = 0; i < 28; i++) swarm.add(`leech ${i}`, { ...options, params: withTracker(params) })
    return swarm
  }

  test.each([
    ['v2 only', CreateFlags.v2Only],
    ['hybrid', HYBRID],
  ])('a peer that corrupts blocks costs a block each, and it alone is banned (%s)', (_kind, flags) => {
    simulate(41, sim => {
      const torrent = makeFilesTorrent(SIZES, PIECE, flags)
      const tracker = new FakeTracker(sim, sim.host('tracker'), { intervalSeconds: 30 })
      let spoilt = 0
      let sent = 0
      liarIn(sim, torrent, tracker, peer => {
        peer.seed(torrent.content, PIECE, (_, block) => {
          if (sent++ % 3 !== 0) return
          block[block.length >> 1]! ^= 0x10
          spoilt++
        })
        answerHashes(peer, new AllHashes(torrent))
      })
      const trees = wholeTrees(torrent)
      const swarm = thirty(sim, torrent, tracker, params => {
        params.merkleTrees = trees
        params.merkleTreeMask = []
      })
      swarm.complete(300_000)
      expect(spoilt).toBeGreaterThan(0)
      const banned = swarm.nodes.flatMap(bans)
      expect(banned.length).toBeGreaterThan(0)
      expect(banned.filter(address => address !== LIAR)).toEqual([])
      const failed = swarm.nodes.reduce((sum, node) => sum + torrentOf(node).failedBytes, 0)
      expect(failed).toBeGreaterThan(0)
      expect(failed).toBeLessThanOrEqual(spoilt * BLOCK_SIZE)
      const again = swarm.nodes.slice(1).reduce((sum, node) => {
        const { totalPayloadDownload, total } = node.handle.status()
        return sum + totalPayloadDownload - torrentOf(node).redundantBytes - total
      }, 0)
      // a hybrid torrent's last block of a file is got with its padding; one may be cut off when a connection ends
      const extra = 28 * BLOCK_SIZE * (flags === HYBRID ? 2 : 1)
      expect(again).toBeLessThanOrEqual(spoilt * BLOCK_SIZE + extra)
      swarm.close()
      for (const node of swarm.nodes) expect(node.holds(torrent), node.name).toBe(true)
    })
  })

  test('that knows no piece hashes a peer that tells wrong ones is found out, and all complete', () => {
    simulate(42, sim => {
      const torrent = makeFilesTorrent(SIZES, PIECE, CreateFlags.v2Only)
      const tracker = new FakeTracker(sim, sim.host('tracker'), { intervalSeconds: 30 })
      let lies = 0
      liarIn(sim, torrent, tracker, peer => {
        peer.seed(torrent.content, PIECE)
        const hashes = new AllHashes(torrent)
        onHashRequest(peer, request => {
          const wrong = hashes.answer(request)
          wrong[40]! ^= 1
          lies++
          peer.send(HASHES, request.head, wrong)
        })
      })
      const swarm = thirty(sim, torrent, tracker, asMagnet)
      swarm.complete(300_000)
      expect(lies).toBeGreaterThan(0)
      const errors = swarm.nodes.flatMap(node => node.alerts.filter(alert => alert instanceof PeerErrorAlert))
      expect(errors.map(alert => alert.ep[0]).filter(address => address !== LIAR)).toEqual([])
      expect(new Set(errors.map(alert => alert.error.value()))).toEqual(new Set([E.invalidHashes]))
      expect(swarm.nodes.flatMap(bans)).toEqual([])
      for (const node of swarm.nodes) expect(node.whats()).not.toContain('hash_failed')
      swarm.close()
      for (const node of swarm.nodes) expect(node.holds(torrent), node.name).toBe(true)
    })
  })
})
