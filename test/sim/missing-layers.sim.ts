/** Torrents that are all there, and whose v2 hashes nobody has told. */

import { describe, expect, test } from 'vitest'
import { TorrentErrorAlert } from '../../src/alert/torrent-alerts.ts'
import { Bitfield } from '../../src/core/bitfield.ts'
import { BLOCK_SIZE } from '../../src/core/brands.ts'
import { InfoHash } from '../../src/core/digest.ts'
import { ProtocolVersion, TorrentFlags } from '../../src/core/enums.ts'
import { LibtorrentErrors as E } from '../../src/core/error-table.ts'
import type { AddTorrentParams } from '../../src/metainfo/add-torrent-params.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { loadTorrentBuffer } from '../../src/metainfo/load-torrent.ts'
import { readResumeData } from '../../src/metainfo/resume-read.ts'
import { writeResumeDataBuf } from '../../src/metainfo/resume-write.ts'
import { writeTorrentFileBuf } from '../../src/metainfo/write-torrent-file.ts'
import { TorrentHandleFlags } from '../../src/torrent/handle-flags.ts'
import { buildResumeParams } from '../../src/torrent/resume-state.ts'
import { FakePeer } from './lib/fake-peer.ts'
import type { SimDrive } from './lib/sim-disk.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeFilesTorrent, type NodeOptions, type SimTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'
import { AllHashes, answerHashes, asMagnet, torrentOf, withoutLayers } from './lib/v2.ts'

const PIECE = 4 * BLOCK_SIZE
const HYBRID = 0

function numPieces(torrent: SimTorrent): number {
  return Math.ceil(torrent.content.length / PIECE)
}

/** What resume data without v2 hashes says: these pieces are there. */
function resumed(torrent: SimTorrent, has: 'all' | readonly number[]): (params: AddTorrentParams) => void {
  return params => {
    withoutLayers(params)
    params.haveBits = new Bitfield(numPieces(torrent), has === 'all')
    if (has !== 'all') for (const piece of has) params.haveBits.setBit(piece)
  }
}

/** Pieces that a session hashes from now on, and how many at once. */
function watchHashing(node: SwarmNode): { pieces: number[]; most: number } {
  const seen = { pieces: [] as number[], most: 0 }
  const { disk } = node.engine
  const hash = disk.hashPieces.bind(disk)
  let atOnce = 0
  disk.hashPieces = (storage, first, count, want, done) => {
    for (let i = 0; i < count; i++) seen.pieces.push(first + i)
    seen.most = Math.max(seen.most, ++atOnce)
    hash(storage, first, count, want, result => {
      atOnce--
      done(result)
    })
  }
  return seen
}

/** A peer that has all of it but speaks v1, so that it cannot be asked for hashes. */
function v1Seed(sim: Simulation, torrent: SimTorrent, to: SwarmNode, address = '81.2.0.1'): FakePeer {
  const peer = FakePeer.connect(sim.host(address, { addresses: [address] }), to.endpoint, {
    infoHash: torrent.infoHash.toBytes(),
    peerId: Buffer.from(`-XX0000-${address.padEnd(12, '-')}`),
  })
  peer.seed(torrent.content, PIECE)
  return peer
}

/** A peer that has all of it, and tells all hashes. */
function v2Seed(sim: Simulation, torrent: SimTorrent, to: SwarmNode): FakePeer {
  const { infoHashes } = loadTorrentBuffer(torrent.file)
  const peer = FakePeer.connect(sim.host('v2', { addresses: ['81.2.0.2'] }), to.endpoint, {
    infoHash: infoHashes.get(ProtocolVersion.V2).toBytes(),
    peerId: Buffer.from('-XX0000-000000000002'),
  })
  peer.seed(torrent.content, PIECE)
  answerHashes(peer, new AllHashes(torrent))
  return peer
}

function layers(torrent: SimTorrent): Uint8Array[] {
  const { trees } = new AllHashes(torrent)
  return Array.from({ length: loadTorrentBuffer(torrent.file).ti!.numFiles() }, (_, f) => trees.pieceLayer(f)!)
}

function knowsLayers(node: SwarmNode): boolean {
  return torrentOf(node).content!.proofs!.trees.complete
}

function resumeData(node: SwarmNode): Uint8Array {
  return node.engine.turn.call(() => writeResumeDataBuf(buildResumeParams(torrentOf(node), true)))
}

function errors(node: SwarmNode): number[] {
  return node.alerts.filter(alert => alert instanceof TorrentErrorAlert).map(({ error }) => error.value())
}

/** All that is asked of a seed that knows its layers: a torrent file, and hashes for who has none. */
function expectLayers(sim: Simulation, swarm: Swarm, node: SwarmNode): void {
  const { torrent } = swarm
  expect(node.handle.pieceLayers()).toEqual(layers(torrent))
  expect(node.handle.torrentFileWithHashes()).not.toBeNull()
  const params = node.handle.getResumeData(TorrentHandleFlags.saveInfoDict)
  const file = loadTorrentBuffer(writeTorrentFileBuf(params))
  expect(file.merkleTrees).toEqual(loadTorrentBuffer(torrent.file).merkleTrees)
  const leech = swarm.add('v2 leech', {
    params: params => {
      asMagnet(params)
      params.infoHashes = new InfoHash(loadTorrentBuffer(torrent.file).infoHashes.v2)
    },
  })
  leech.connectTo(node)
  swarm.complete(60_000)
  sim.run(1000)
  expect(leech.handle.pieceLayers()).toEqual(layers(torrent))
}

/** A disk that has all of it, and in one piece a bit is not right. */
function spoilt(sim: Simulation, torrent: SimTorrent, piece: number): SimDrive {
  const content = torrent.content.slice()
  content[piece * PIECE + 7]! ^= 1
  const node = new Swarm(sim, { ...torrent, content }).add('before', { has: 'all' })
  node.close()
  return node.drive
}

/** A session whose resume data has no hashes, of a torrent on a slow disk: hashing takes a second a piece. */
function slowly(sim: Simulation, options: NodeOptions = {}, flags: number = HYBRID) {
  const torrent = makeFilesTorrent([8 * PIECE], PIECE, flags)
  const swarm = new Swarm(sim, torrent)
  const node = swarm.add('seed', { has: 'all', params: resumed(torrent, 'all'), ...options })
  Object.assign(node.drive.options, { hashBytesPerSecond: PIECE })
  return { torrent, swarm, node, hashing: watchHashing(node) }
}

describe('a hybrid torrent that was completed by its v1 hashes', () => {
  test.each([
    ['one file', [8 * PIECE], [0, 1, 2, 3], [0, 1, 2, 3]],
    ['one file, but for a piece', [8 * PIECE], [0, 1, 2, 4, 5, 6, 7], [0, 1, 2, 4, 5, 6, 7]],
    ['one file that ends within a piece', [2 * PIECE + 5], [2], [2]],
    ['several files', [3 * PIECE, 2 * PIECE - 7, 5 * PIECE + 1], [1, 3, 4, 10], [1, 3, 4, 10]],
    ['files of a piece at most', [PIECE, PIECE - 1, BLOCK_SIZE, 1, 0], [0, 2], []],
    ['files of a piece at most and a longer one', [PIECE, 100, PIECE + 1, BLOCK_SIZE], [0, 1, 3, 4], [3]],
  ])('knows its layers: %s', (_what, sizes, has, hashed) => {
    simulate(1, sim => {
      const torrent = makeFilesTorrent(sizes, PIECE, HYBRID)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('node', { has, params: resumed(torrent, has) })
      const hashing = watchHashing(node)
      sim.run(1000)
      expect(node.handle.status().numPieces).toBe(has.length)
      v1Seed(sim, torrent, node)
      swarm.complete(60_000)
      sim.run(1000)
      expect(hashing.pieces.sort((a, b) => a - b)).toEqual(hashed)
      expectLayers(sim, swarm, node)
      expect(errors(node)).toEqual([])
      swarm.close()
    })
  })

  test('that came by a v1 link, and was ended and begun anew, does so too, and keeps them', () => {
    simulate(2, sim => {
      const torrent = makeFilesTorrent([6 * PIECE, 2 * PIECE + 9], PIECE, HYBRID)
      const swarm = new Swarm(sim, torrent)
      const metadata = loadTorrentBuffer(torrent.file).ti!.infoSection()
      let node = swarm.add('node', {
        settings: { download_rate_limit: 2 * PIECE },
        params: params => {
          asMagnet(params)
          params.infoHashes = new InfoHash(params.infoHashes.v1)
        },
      })
      expect(node.handle.setMetadata(metadata)).toBe(true)
      v1Seed(sim, torrent, node)
      sim.runUntilSo(() => node.handle.status().numPieces > 2, 60_000, 'some pieces')
      const begun = resumeData(node)
      node.close()
      const again = (data: Uint8Array) =>
        swarm.restart(node, {
          params: params => void Object.assign(params, readResumeData(data), { savePath: params.savePath }),
        })
      node = again(begun)
      sim.run(1000)
      expect(node.handle.status().numPieces).toBeGreaterThan(2)
      v1Seed(sim, torrent, node, '81.2.0.3')
      swarm.complete(60_000)
      sim.runUntilSo(() => knowsLayers(node), 10_000, 'the layers')
      const ended = resumeData(node)
      node.close()
      node = again(ended)
      const hashing = watchHashing(node)
      sim.run(1000)
      expect(hashing.pieces).toEqual([])
      expectLayers(sim, swarm, node)
      swarm.close()
    })
  })

  test('does so for a file that is complete before the others', () => {
    simulate(3, sim => {
      const torrent = makeFilesTorrent([3 * PIECE, 4 * PIECE], PIECE, HYBRID)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('node', { has: [0, 1, 4], params: resumed(torrent, [0, 1, 4]) })
      sim.run(1000)
      for (const piece of [5, 6]) node.handle.piecePriority(piece, 0)
      v1Seed(sim, torrent, node)
      sim.runUntilSo(() => node.handle.status().isFinished, 60_000, 'what is wanted')
      sim.run(1000)
      expect(node.handle.pieceLayers().map(layer => layer.length)).toEqual([96, 0])
      swarm.close()
    })
  })

  test('has an error if its v2 hashes are of something else', () => {
    simulate(4, sim => {
      const torrent = makeFilesTorrent([4 * PIECE], PIECE, HYBRID, 1, false, 2)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('node', { has: [0, 1, 2], params: resumed(torrent, [0, 1, 2]) })
      sim.run(1000)
      v1Seed(sim, torrent, node)
      sim.runUntilSo(() => errors(node).length > 0, 60_000, 'the error')
      expect(errors(node)).toEqual([E.torrentInconsistentHashes])
      expect(node.handle.status().numPieces).toBe(0)
      expect((node.handle.flags() & TorrentFlags.paused) !== 0).toBe(true)
      sim.run(10_000)
      expect(errors(node)).toHaveLength(1)
      swarm.close()
    })
  })

  test('is checked if its files are not what they were', () => {
    simulate(5, sim => {
      const torrent = makeFilesTorrent([4 * PIECE], PIECE, HYBRID)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('node', { drive: spoilt(sim, torrent, 1), params: resumed(torrent, 'all') })
      sim.run(5000)
      expect(node.handle.status().numPieces).toBe(3)
      expect(errors(node)).toEqual([])
      v1Seed(sim, torrent, node)
      swarm.complete(60_000)
      sim.run(1000)
      expectLayers(sim, swarm, node)
      swarm.close()
      expect(node.holds(torrent)).toBe(true)
    })
  })
})

describe('a v2 torrent of which resume data says that all is there', () => {
  test('knows its layers', () => {
    simulate(11, sim => {
      const torrent = makeFilesTorrent([5 * PIECE, PIECE, 2 * PIECE + 3], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('node', { has: 'all', params: resumed(torrent, 'all') })
      sim.run(1000)
      expect(node.isSeeding).toBe(true)
      expectLayers(sim, swarm, node)
      swarm.close()
    })
  })

  test.each([
    ['v2 only', CreateFlags.v2Only, false],
    ['whose v1 hashes are not looked at', HYBRID, true],
  ])('is checked if that is not so: %s', (_what, flags, v1Disabled) => {
    simulate(12, sim => {
      const torrent = makeFilesTorrent([5 * PIECE, 3 * PIECE], PIECE, flags)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('node', {
        drive: spoilt(sim, torrent, 2),
        params: params => {
          resumed(torrent, 'all')(params)
          if (v1Disabled) params.flags |= TorrentFlags.disableV1Hashes
        },
      })
      sim.run(5000)
      // those of the second file prove each other, those of the first wait for hashes
      expect(node.handle.status().numPieces).toBe(3)
      expect(errors(node)).toEqual([])
      v2Seed(sim, torrent, node)
      swarm.complete(60_000)
      expect(errors(node)).toEqual([])
      expect(node.handle.pieceLayers()).toEqual(layers(torrent))
      swarm.close()
      expect(node.holds(torrent)).toBe(true)
    })
  })

  test('is not hashed in seed mode, but after it', () => {
    simulate(13, sim => {
      const torrent = makeFilesTorrent([5 * PIECE], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('node', {
        has: 'all',
        params: params => {
          withoutLayers(params)
          params.flags |= TorrentFlags.seedMode
        },
      })
      const hashing = watchHashing(node)
      sim.run(5000)
      expect(hashing.pieces).toEqual([])
      node.handle.unsetFlags(TorrentFlags.seedMode)
      sim.run(5000)
      expect(hashing.pieces).toEqual([0, 1, 2, 3, 4])
      expectLayers(sim, swarm, node)
      swarm.close()
    })
  })

  test('is not hashed if nothing is to be checked', () => {
    simulate(14, sim => {
      const torrent = makeFilesTorrent([5 * PIECE], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('node', {
        has: 'all',
        params: resumed(torrent, 'all'),
        settings: { disable_hash_checks: true },
      })
      const hashing = watchHashing(node)
      sim.run(5000)
      expect(hashing.pieces).toEqual([])
      swarm.close()
    })
  })
})

describe('while pieces are hashed for their layer', () => {
  test('others wait for no more than two', () => {
    simulate(21, sim => {
      const { swarm, node, hashing } = slowly(sim)
      sim.runUntilSo(() => knowsLayers(node), 20_000, 'the layers')
      expect([hashing.pieces.length, hashing.most]).toEqual([8, 2])
      swarm.close()
    })
  })

  test('the torrent may be paused, and goes on with it when it does', () => {
    simulate(22, sim => {
      const { swarm, node, hashing } = slowly(sim)
      sim.run(2500)
      node.handle.pause()
      sim.run(10_000)
      expect(node.whats()).toContain('torrent_paused')
      expect(hashing.pieces).toEqual([0, 1, 2, 3])
      expect(knowsLayers(node)).toBe(false)
      node.handle.resume()
      sim.runUntilSo(() => knowsLayers(node), 20_000, 'the layers')
      // what was under way is done again
      expect(hashing.pieces).toEqual([0, 1, 2, 3, 2, 3, 4, 5, 6, 7])
      expect(hashing.most).toBe(2)
      swarm.close()
    })
  })

  test('the torrent may be paused and go on at once', () => {
    simulate(23, sim => {
      const { swarm, node, hashing } = slowly(sim)
      sim.run(2500)
      node.handle.pause()
      sim.run(10)
      node.handle.resume()
      sim.runUntilSo(() => knowsLayers(node), 20_000, 'the layers')
      expect(hashing.pieces).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
      swarm.close()
    })
  })

  test('the session may be paused', () => {
    simulate(24, sim => {
      const { swarm, node, hashing } = slowly(sim)
      sim.run(2500)
      node.engine.turn.call(() => node.engine.setPaused(true))
      sim.run(10_000)
      expect(hashing.pieces).toEqual([0, 1, 2, 3])
      node.engine.turn.call(() => node.engine.setPaused(false))
      sim.runUntilSo(() => knowsLayers(node), 20_000, 'the layers')
      swarm.close()
    })
  })

  test('the torrent may be checked, which tells them', () => {
    simulate(25, sim => {
      const { torrent, swarm, node, hashing } = slowly(sim)
      sim.run(2500)
      node.handle.forceRecheck()
      sim.runUntilSo(() => knowsLayers(node) && node.isSeeding, 60_000, 'the check')
      expect(node.handle.pieceLayers()).toEqual(layers(torrent))
      expect(hashing.pieces).toEqual([0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7])
      swarm.close()
    })
  })

  test.each(['removed', 'closed with its session'])('the torrent may be %s', how => {
    simulate(26, sim => {
      const { swarm, node, hashing } = slowly(sim)
      sim.run(2500)
      if (how === 'removed') node.engine.turn.call(() => node.engine.removeTorrent(torrentOf(node), 0))
      else node.close()
      sim.run(10_000)
      expect(node.whats()).toContain('torrent_removed')
      expect(hashing.pieces).toEqual([0, 1, 2, 3])
      swarm.close()
    })
  })

  test('it may be saved, and is to be saved again when they are known', () => {
    simulate(31, sim => {
      const { swarm, node } = slowly(sim)
      sim.run(2500)
      node.handle.saveResumeData()
      expect(node.handle.needSaveResumeData(TorrentHandleFlags.ifDownloadProgress)).toBe(false)
      sim.runUntilSo(() => knowsLayers(node), 20_000, 'the layers')
      expect(node.handle.needSaveResumeData(TorrentHandleFlags.ifDownloadProgress)).toBe(true)
      swarm.close()
    })
  })

  test('it may be saved and ended, and begins anew', () => {
    simulate(27, sim => {
      const { torrent, swarm, node } = slowly(sim)
      sim.run(2500)
      const data = resumeData(node)
      node.close()
      const again = swarm.restart(node, {
        params: params => void Object.assign(params, readResumeData(data), { savePath: params.savePath }),
      })
      sim.runUntilSo(() => knowsLayers(again), 20_000, 'the layers')
      expect(again.handle.pieceLayers()).toEqual(layers(torrent))
      swarm.close()
    })
  })

  test('the disk may fail, which stops the torrent, and be well again', () => {
    simulate(28, sim => {
      const { swarm, node } = slowly(sim)
      sim.run(2500)
      node.drive.failure = 'EIO'
      sim.run(5000)
      expect(node.whats()).toContain('file_error')
      expect(node.handle.status().errc.failed()).toBe(true)
      expect(knowsLayers(node)).toBe(false)
      node.drive.failure = null
      node.handle.resume()
      sim.runUntilSo(() => knowsLayers(node), 20_000, 'the layers')
      swarm.close()
    })
  })

  test('a peer may tell the hashes, which ends it', () => {
    simulate(29, sim => {
      const { torrent, swarm, node, hashing } = slowly(sim, { settings: { close_redundant_connections: false } })
      sim.run(2500)
      v2Seed(sim, torrent, node)
      sim.run(20_000)
      expect(knowsLayers(node)).toBe(true)
      expect(hashing.pieces.length).toBeLessThan(8)
      expect(errors(node)).toEqual([])
      swarm.close()
    })
  })

  test.each(['with its own bytes', 'with others'])('the user may give a piece anew: %s', what => {
    simulate(30, sim => {
      const { torrent, swarm, node } = slowly(sim, {}, CreateFlags.v2Only)
      sim.run(2500)
      const bytes = torrent.content.slice(PIECE, 2 * PIECE)
      if (what === 'with others') bytes[0]! ^= 1
      node.handle.addPiece(1, bytes, TorrentHandleFlags.overwriteExisting)
      sim.run(60_000)
      expect(errors(node)).toEqual([])
      if (what === 'with others') {
        expect(node.handle.status().numPieces).toBe(0)
        v2Seed(sim, torrent, node)
      }
      sim.runUntilSo(() => knowsLayers(node) && node.isSeeding, 60_000, 'the layers')
      swarm.close()
      expect(node.holds(torrent)).toBe(true)
    })
  })
})
