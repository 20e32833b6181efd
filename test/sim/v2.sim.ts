import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { PeerBanAlert } from '../../src/alert/peer-alerts.ts'
import { TorrentErrorAlert } from '../../src/alert/torrent-alerts.ts'
import { BLOCK_SIZE } from '../../src/core/brands.ts'
import { InfoHash, type Sha1Hash } from '../../src/core/digest.ts'
import { ProtocolVersion, TorrentFlags } from '../../src/core/enums.ts'
import { LibtorrentErrors as E } from '../../src/core/error-table.ts'
import type { AddTorrentParams } from '../../src/metainfo/add-torrent-params.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { loadTorrentBuffer } from '../../src/metainfo/load-torrent.ts'
import { restorePieceLayers } from '../../src/metainfo/piece-layers.ts'
import { readResumeData } from '../../src/metainfo/resume-read.ts'
import { writeResumeDataBuf } from '../../src/metainfo/resume-write.ts'
import type { TorrentInfo } from '../../src/metainfo/torrent-info.ts'
import { PeerConnection } from '../../src/peer/peer-connection.ts'
import { buildResumeParams } from '../../src/torrent/resume-state.ts'
import { FakePeer } from './lib/fake-peer.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeFilesTorrent, type SimTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'
import { asMagnet, wholeTrees, withoutLayers } from './lib/v2.ts'

const PIECE = 64 * 1024
const HYBRID = 0
/** A block, a piece, a power of two, nothing, a few bytes, and two that end somewhere. */
const SIZES = [BLOCK_SIZE, PIECE, 4 * PIECE, 0, 7, 3 * PIECE + 100, 9 * PIECE - 1]

/** A client that has never heard of BitTorrent v2. */
function asV1Client(params: AddTorrentParams): void {
  withoutLayers(params)
  const ti = params.ti!
  const v1 = new InfoHash(ti.infoHashes().v1)
  params.infoHashes = v1
  params.ti = Object.assign(ti, { v2: () => false, infoHashes: () => v1 }) as TorrentInfo
}

/** A client that knows BitTorrent v2 only. */
function asV2Client(params: AddTorrentParams): void {
  const ti = params.ti!
  const v2 = new InfoHash(ti.infoHashes().v2)
  params.infoHashes = v2
  params.ti = Object.assign(ti, { v1: () => false, infoHashes: () => v2 }) as TorrentInfo
}

/** The torrent as a client of v2 calls it. */
function ofV2(torrent: SimTorrent): SimTorrent {
  const hashes = loadTorrentBuffer(torrent.file).ti!.infoHashes()
  return { ...torrent, infoHash: hashes.get(ProtocolVersion.V2) as Sha1Hash }
}

function finish(swarm: Swarm): void {
  const torrents = swarm.nodes.map(node => (node.handle.infoHashes().hasV1() ? swarm.torrent : ofV2(swarm.torrent)))
  swarm.close()
  for (const [i, node] of swarm.nodes.entries()) expect(node.holds(torrents[i]!), node.name).toBe(true)
}

// a session that makes itself a client of v1 does not know the bit that says v2
const { onInfoHash } = PeerConnection.prototype
beforeAll(() => {
  vi.spyOn(PeerConnection.prototype, 'onInfoHash').mockImplementation(function (
    this: PeerConnection,
    reserved: Uint8Array,
    infoHash: Uint8Array,
  ) {
    const isOld = v1Clients.some(node => node.engine.peers === this.session)
    onInfoHash.call(this, isOld ? reserved.map((byte, i) => (i === 7 ? byte & ~0x10 : byte)) : reserved, infoHash)
  })
})
afterAll(() => {
  vi.restoreAllMocks()
})
const v1Clients: SwarmNode[] = []

function bans(node: SwarmNode): string[] {
  return node.alerts.filter(alert => alert instanceof PeerBanAlert).map(alert => alert.ep[0])
}

/** Payload that came, over what the torrent has. */
function downloadedAgain(node: SwarmNode, torrent: SimTorrent): number {
  const padding = node.handle.torrentFile()!.layout()
  let pads = 0
  for (let f = 0; f < padding.numFiles(); f++) if (padding.padFileAt(f)) pads += padding.fileSize(f)
  return node.handle.status().totalPayloadDownload - (torrent.content.length - pads)
}

describe('swarms', () => {
  const kinds: [string, number, (i: number) => ((params: AddTorrentParams) => void) | undefined][] = [
    ['v2 only', CreateFlags.v2Only, () => undefined],
    ['hybrid', HYBRID, () => undefined],
    ['v2 only, by magnet link', CreateFlags.v2Only, () => asMagnet],
    ['hybrid, by magnet link', HYBRID, () => asMagnet],
    ['clients of v1, of v2 and of both', HYBRID, i => [asV1Client, asV2Client, undefined][i % 3]],
  ]
  test.each(kinds)('of thirty complete: %s', (_name, flags, kindOf) => {
    simulate(11, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker'), { intervalSeconds: 60 })
      const swarm = new Swarm(sim, makeFilesTorrent(SIZES, PIECE, flags))
      const line = { up: { bytesPerSecond: 500_000 }, down: { bytesPerSecond: 2_000_000 } }
      const settings = { min_announce_interval: 10 }
      const trackers = (params: AddTorrentParams) => {
        params.trackers = [tracker.httpUrl]
      }
      swarm.add('seed', { has: 'all', host: line, settings, params: trackers })
      sim.run(2000)
      for (let i = 0; i < 29; i++) {
        const params = (p: AddTorrentParams) => {
          kindOf(i)?.(p)
          trackers(p)
        }
        const node = swarm.add(`leech ${i}`, { host: line, settings, params })
        if (kindOf(i) === asV1Client) v1Clients.push(node)
      }
      swarm.complete(600_000)
      finish(swarm)
    })
  })

  test('a client of v1 and one of v2 meet in a hybrid that has nothing itself', () => {
    simulate(12, sim => {
      const swarm = new Swarm(sim, makeFilesTorrent(SIZES, PIECE, HYBRID))
      const old = swarm.add('v1', { has: 'all', params: asV1Client })
      v1Clients.push(old)
      const both = swarm.add('both')
      const young = swarm.add('v2', { params: asV2Client })
      both.connectTo(old)
      young.connectTo(both)
      swarm.complete(120_000)
      finish(swarm)
    })
  })

  test('a hybrid connection is upgraded, and the peer is one peer in both swarms', () => {
    simulate(13, sim => {
      const swarm = new Swarm(sim, makeFilesTorrent(SIZES, PIECE, HYBRID))
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 50_000 } } })
      const leech = swarm.add('leech')
      leech.connectTo(seed)
      sim.run(3000)
      expect([...leech.engine.connections].map(peer => peer.protocolV2)).toEqual([true])
      expect([...seed.engine.connections].map(peer => peer.protocolV2)).toEqual([true])
      seed.connectTo(leech)
      sim.run(3000)
      expect(leech.handle.status().numPeers).toBe(1)
      swarm.complete(120_000)
      finish(swarm)
    })
  })
})

describe('hashes', () => {
  test('of the pieces come from peers, and the resume data has them', () => {
    simulate(21, sim => {
      const torrent = makeFilesTorrent(SIZES, PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all' })
      const leech = swarm.add('leech', { params: withoutLayers })
      // of files that are a piece, or less, the root is all there is to know
      const known = leech.handle.pieceLayers().map(layer => layer.length / 32)
      expect(known.filter(length => length > 1)).toEqual([])
      leech.connectTo(seed)
      swarm.complete(60_000)
      const whole = loadTorrentBuffer(torrent.file)
      const resume = leech.engine.turn.call(() => {
        const torrents = [...leech.engine.registry.all()]
        return readResumeData(writeResumeDataBuf(buildResumeParams(torrents[0]!, true)))
      })
      const layers = (params: AddTorrentParams) =>
        restorePieceLayers(params.ti!.layout(), params.merkleTrees, params.merkleTreeMask).trees
      expect(layers(resume)).toEqual(layers(whole))
      expect(leech.handle.pieceLayers()).toEqual(seed.handle.pieceLayers())
      finish(swarm)
    })
  })

  test('that are not known do not keep whole files from being found right', () => {
    simulate(22, sim => {
      const swarm = new Swarm(sim, makeFilesTorrent(SIZES, PIECE, CreateFlags.v2Only))
      const node = swarm.add('alone', { has: 'all', params: withoutLayers })
      sim.run(10_000)
      expect(node.isSeeding).toBe(true)
      expect(node.handle.pieceLayers().every(layer => layer.length % 32 === 0)).toBe(true)
      finish(swarm)
    })
  })

  test('that are not known let what is on disk wait for them; what is bad is then fetched again', () => {
    simulate(23, sim => {
      const torrent = makeFilesTorrent([12 * PIECE], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all' })
      const spoilt = { ...torrent, content: torrent.content.slice() }
      spoilt.content[5 * PIECE + 9]! ^= 1
      const drive = new Swarm(sim, spoilt)
      const node = drive.add('half', { has: [0, 1, 2, 3, 5, 8], params: withoutLayers })
      sim.run(10_000)
      expect(node.handle.status().numPieces).toBe(0)
      node.connectTo(seed)
      drive.complete(60_000)
      // five of twelve were there
      expect(node.handle.status().totalPayloadDownload).toBe(7 * PIECE)
      node.close()
      seed.close()
      expect(node.holds(torrent)).toBe(true)
    })
  })

  test('that a liar sends cost it its connection, and the others go on', () => {
    simulate(24, sim => {
      const torrent = makeFilesTorrent([40 * PIECE], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const liar = sim.host('liar', { addresses: ['82.2.2.2'] })
      let lies = 0
      const ended: number[] = []
      FakePeer.listen(liar, ['0.0.0.0', 6881], { infoHash: torrent.infoHash.toBytes() }, peer => {
        peer.seed(torrent.content, PIECE, () => {})
        peer.onClosed = () => ended.push(peer.closed?.value() ?? 0)
        peer.onMessage = ({ id, payload }) => {
          if (id !== 21) return
          lies++
          const count = payload.readUInt32BE(40)
          const proofs = payload.readUInt32BE(44)
          const uncles = Math.max(0, proofs - Math.ceil(Math.log2(count)) + 1)
          peer.send(22, payload, Buffer.alloc((count + uncles) * 32, 7))
        }
      })
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 100_000 } } })
      const leech = swarm.add('leech', { params: withoutLayers })
      leech.connectTo({ endpoint: ['82.2.2.2', 6881] })
      sim.run(1000)
      leech.connectTo(seed)
      swarm.complete(120_000)
      expect(lies).toBeGreaterThan(0)
      expect(ended.length).toBeGreaterThan(0)
      const errors = leech.alerts.filter(alert => alert.what() === 'peer_error').map(alert => alert.message())
      expect(errors.join()).toContain('invalid hashes')
      finish(swarm)
    })
  })

  test('of v1 and v2 that disagree stop the torrent: the v2 ones came with the torrent', () => {
    simulate(25, sim => inconsistent(sim))
  })

  test('of v1 and v2 that disagree stop the torrent: the v2 ones come later', () => {
    simulate(26, sim => inconsistent(sim, [0, 1, 2, 3]))
  })

  test('of v1 and v2 that disagree stop the torrent: the root does not fit all the pieces together', () => {
    simulate(27, sim => inconsistent(sim, 'all'))
  })
})

/**
 * A hybrid torrent whose v1 and v2 hashes are of different content, and a seed of each.
 *
 * @param before the leech does not know the v2 hashes of pieces, and gets these by their v1 hashes first
 */
function inconsistent(sim: Simulation, before: 'all' | readonly number[] | null = null): void {
  const torrent = makeFilesTorrent([8 * PIECE], PIECE, HYBRID, 1, false, 2)
  const swarm = new Swarm(sim, torrent)
  const v1Seed = swarm.add('v1 seed', { has: before ?? 'all', params: asV1Client })
  v1Clients.push(v1Seed)
  const v2Seed = new Swarm(sim, { ...ofV2(torrent), content: torrent.v2Content! }).add('v2 seed', {
    has: 'all',
    params: asV2Client,
  })
  const leech = swarm.add('leech', before === null ? {} : { params: withoutLayers })
  leech.connectTo(v1Seed)
  sim.run(10_000)
  if (before !== null && before !== 'all') {
    expect(leech.handle.status().numPieces).toBe(before.length)
    v2Seed.connectTo(leech)
    sim.run(10_000)
  }
  const errors = leech.alerts.filter(alert => alert instanceof TorrentErrorAlert)
  expect(errors.map(alert => alert.error.value())).toEqual([E.torrentInconsistentHashes])
  expect(leech.handle.status().numPieces).toBe(0)
  expect((leech.handle.flags() & TorrentFlags.paused) !== 0).toBe(true)
  swarm.close()
  v2Seed.close()
}

describe('a peer that corrupts blocks', () => {
  const SPOILT = 5

  /** Every so many blocks have a bit flipped. */
  function spoil(torrent: SimTorrent): (request: unknown, block: Uint8Array) => void {
    let count = 0
    return (_request, block) => {
      if (count++ % SPOILT === 0) block[block.length >> 1]! ^= 0x10
      expect(torrent.content.length).toBeGreaterThan(0)
    }
  }

  /** All block hashes, as resume data of a client that keeps them has them. */
  function withBlockHashes(params: AddTorrentParams, torrent: SimTorrent): void {
    params.merkleTrees = wholeTrees(torrent)
    params.merkleTreeMask = []
  }

  test.each([31, 32, 33])(
    'one block is fetched again for each it spoils, once block hashes are known (seed %i)',
    seed => {
      simulate(seed, sim => {
        const torrent = makeFilesTorrent([16 * PIECE], PIECE, CreateFlags.v2Only)
        const swarm = new Swarm(sim, torrent)
        const liar = sim.host('liar', { addresses: ['82.2.2.2'], up: { bytesPerSecond: 60_000 } })
        let spoilt = 0
        FakePeer.listen(liar, ['0.0.0.0', 6881], { infoHash: torrent.infoHash.toBytes() }, peer => {
          const spoilOne = spoil(torrent)
          peer.seed(torrent.content, PIECE, (request, block) => {
            const before = block[block.length >> 1]
            spoilOne(request, block)
            if (block[block.length >> 1] !== before) spoilt++
          })
        })
        const good = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 60_000 } } })
        const leech = swarm.add('leech', { params: params => withBlockHashes(params, torrent) })
        leech.connectTo({ endpoint: ['82.2.2.2', 6881] })
        leech.connectTo(good)
        swarm.complete(300_000)
        expect(spoilt).toBeGreaterThan(0)
        expect(bans(leech)).toEqual(['82.2.2.2'])
        expect(downloadedAgain(leech, torrent)).toBeLessThanOrEqual(spoilt * BLOCK_SIZE)
        finish(swarm)
      })
    },
  )

  test.each([34, 35, 36])('is found and banned alone where only piece hashes were known (seed %i)', seed => {
    simulate(seed, sim => {
      const torrent = makeFilesTorrent([16 * PIECE], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const liar = sim.host('liar', { addresses: ['82.2.2.2'], up: { bytesPerSecond: 60_000 } })
      FakePeer.listen(liar, ['0.0.0.0', 6881], { infoHash: torrent.infoHash.toBytes() }, peer =>
        peer.seed(torrent.content, PIECE, spoil(torrent)),
      )
      const seeds = [1, 2].map(i => swarm.add(`seed ${i}`, { has: 'all', host: { up: { bytesPerSecond: 60_000 } } }))
      const leech = swarm.add('leech')
      leech.connectTo({ endpoint: ['82.2.2.2', 6881] })
      for (const good of seeds) leech.connectTo(good)
      swarm.complete(300_000)
      expect(leech.whats()).toContain('hash_failed')
      expect(bans(leech)).toEqual(['82.2.2.2'])
      finish(swarm)
    })
  })
})

describe('restart', () => {
  test.each([CreateFlags.v2Only, HYBRID])(
    'goes on where it was, without the hashes being fetched again (flags %i)',
    flags => {
      simulate(41, sim => {
        const torrent = makeFilesTorrent(SIZES, PIECE, flags)
        const swarm = new Swarm(sim, torrent)
        const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 100_000 } } })
        const first = swarm.add('leech', { params: withoutLayers })
        first.connectTo(seed)
        sim.run(6000)
        expect(first.isSeeding).toBe(false)
        const before = first.handle.status().numPieces
        expect(before).toBeGreaterThan(0)
        const data = first.engine.turn.call(() =>
          writeResumeDataBuf(buildResumeParams([...first.engine.registry.all()][0]!, true)),
        )
        first.close()
        const again = swarm.restart(first, {
          params: params => Object.assign(params, readResumeData(data), { savePath: params.savePath }),
        })
        sim.run(1000)
        expect(again.handle.status().numPieces).toBeGreaterThanOrEqual(before)
        expect(again.handle.pieceLayers()).toEqual(seed.handle.pieceLayers())
        again.connectTo(seed)
        swarm.complete(60_000)
        finish(swarm)
        expect(torrent.infoHash).toEqual(
          loadTorrentBuffer(torrent.file)
            .ti!.infoHashes()
            .get(flags === HYBRID ? ProtocolVersion.V1 : ProtocolVersion.V2),
        )
      })
    },
  )
})
