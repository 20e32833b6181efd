import { describe, expect, test } from 'vitest'
import { Bitfield } from '../../src/core/bitfield.ts'
import { TorrentFlags } from '../../src/core/enums.ts'
import type { AddTorrentParams } from '../../src/metainfo/add-torrent-params.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { loadTorrentBuffer } from '../../src/metainfo/load-torrent.ts'
import { readResumeData } from '../../src/metainfo/resume-read.ts'
import { writeResumeDataBuf } from '../../src/metainfo/resume-write.ts'
import { buildResumeParams } from '../../src/torrent/resume-state.ts'
import { simulate } from './lib/simulation.ts'
import { makeFilesTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'
import { asMagnet, torrentOf, withoutLayers } from './lib/v2.ts'

const PIECE = 64 * 1024
const SIZES = [3 * PIECE + 5, PIECE, 100]

/** What is saved now, as it is read back. */
function saved(node: SwarmNode, withInfo = false): AddTorrentParams {
  return readResumeData(node.engine.turn.call(() => writeResumeDataBuf(buildResumeParams(torrentOf(node), withInfo))))
}

describe('what the user sets while the files are looked at', () => {
  const torrent = makeFilesTorrent(SIZES, PIECE, CreateFlags.v2Only)
  const unwanted = (params: AddTorrentParams) => {
    params.piecePriorities = [4, 0, 0, 4, 0, 4]
  }

  test.each([
    ['pieces', (node: SwarmNode) => node.handle.prioritizePieces([4, 4, 4, 4, 4, 4]), [4, 4, 4, 4, 4, 4]],
    ['one piece', (node: SwarmNode) => node.handle.piecePriority(1, 7), [4, 7, 0, 4, 0, 4]],
    ['files', (node: SwarmNode) => node.handle.prioritizeFiles([4, 4, 4]), [4, 4, 4, 4, 4, 4]],
    ['nothing', () => {}, [4, 0, 0, 4, 0, 4]],
  ])('counts, not what it was added with: %s', (_what, set, expected) => {
    simulate(1, sim => {
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('leech', { params: unwanted })
      set(node)
      expect(torrentOf(node).state.kind).toBe('checkingResume')
      expect(node.handle.getPiecePriorities()).toEqual(expected)
      const isDefault = expected.every(priority => priority === 4)
      expect(saved(node).piecePriorities).toEqual(isDefault ? [] : expected)
      sim.run(1000)
      expect(torrentOf(node).ready).toBe(true)
      expect(node.handle.getPiecePriorities()).toEqual(expected)
      swarm.close()
    })
  })
})

describe('seed mode', () => {
  const some = new Bitfield(6, true)
  some.clearBit(2)
  test.each<[string, Partial<AddTorrentParams>, boolean]>([
    ['for all of it', {}, true],
    ['with all pieces had', { haveBits: new Bitfield(6, true) }, true],
    ['with a file that is not wanted', { filePriorities: [4, 4, 0] }, false],
    ['with a piece that is not wanted', { piecePriorities: [4, 4, 0] }, false],
    ['with a piece that is not had', { haveBits: some }, false],
  ])('%s', (_what, given, isSeed) => {
    simulate(2, sim => {
      const torrent = makeFilesTorrent(SIZES, PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('node', {
        has: [0, 1],
        params: params => Object.assign(params, given, { flags: params.flags | TorrentFlags.seedMode }),
      })
      expect((node.handle.flags() & TorrentFlags.seedMode) !== 0).toBe(isSeed)
      sim.run(2000)
      expect(node.isSeeding).toBe(isSeed)
      swarm.close()
    })
  })

  test('is not refused for padding, which nobody wants', () => {
    simulate(3, sim => {
      const torrent = makeFilesTorrent([PIECE + 1, PIECE], PIECE, 0)
      const layout = loadTorrentBuffer(torrent.file).ti!.layout()
      expect([0, 1, 2].map(file => layout.padFileAt(file))).toEqual([false, true, false])
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('node', {
        has: 'all',
        params: params =>
          Object.assign(params, { filePriorities: [4, 0, 4], flags: params.flags | TorrentFlags.seedMode }),
      })
      expect(node.handle.flags() & TorrentFlags.seedMode).not.toBe(0)
      swarm.close()
    })
  })
})

test('what a torrent was added with does not change with what becomes of it', () => {
  simulate(4, sim => {
    const torrent = makeFilesTorrent(SIZES, PIECE, CreateFlags.v2Only)
    const swarm = new Swarm(sim, torrent)
    let given: AddTorrentParams | null = null
    const node = swarm.add('node', {
      params: params => {
        asMagnet(params)
        given = params
      },
    })
    node.handle.prioritizeFiles([0, 7])
    node.handle.prioritizePieces([0, 7])
    expect(given!.filePriorities).toEqual([])
    expect(given!.piecePriorities).toEqual([])
    expect(node.handle.getFilePriorities()).toEqual([0, 7])
    swarm.close()
  })
})

test.each([CreateFlags.v2Only, 0])(
  'a link keeps what is known of the files for as long as nobody tells its metadata (flags %i)',
  flags => {
    simulate(5, sim => {
      const torrent = makeFilesTorrent(SIZES, PIECE, flags)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 100_000 } } })
      const first = swarm.add('leech', { params: withoutLayers })
      first.handle.renameFile(2, 'other/name')
      first.connectTo(seed)
      sim.runUntilSo(() => first.handle.status().numPieces >= 2, 60_000, 'two pieces')
      const once = saved(first)
      expect(once.ti).toBeNull()
      expect(once.haveBits.count()).toBeGreaterThanOrEqual(2)
      expect(once.merkleTrees.some(tree => tree.length > 0)).toBe(true)
      expect(once.renamedFiles).toEqual({ 2: 'other/name' })
      first.close()
      const keep = (from: AddTorrentParams) => (params: AddTorrentParams) =>
        void Object.assign(params, from, { savePath: params.savePath, peers: [] })
      const second = swarm.restart(first, { params: keep(once) })
      sim.run(5000)
      expect(second.handle.torrentFile()).toBeNull()
      const twice = saved(second)
      for (const key of ['haveBits', 'unfinishedBits', 'renamedFiles', 'merkleTrees', 'merkleTreeMask'] as const) {
        expect(twice[key], key).toEqual(once[key])
      }
      second.close()
      const third = swarm.restart(second, { params: keep(twice) })
      third.connectTo(seed)
      sim.runUntil(() => torrentOf(third).ready, 60_000, 'the metadata')
      expect(third.handle.status().numPieces).toBeGreaterThanOrEqual(2)
      swarm.complete(60_000)
      swarm.close()
      expect(third.holds(torrent)).toBe(true)
    })
  },
)
