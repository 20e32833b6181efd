/** Torrents of one session that have files in common: what is there already does not come again. */

import { describe, expect, test } from 'vitest'
import { MoveFlags, TorrentFlags } from '../../src/core/enums.ts'
import type { AddTorrentParams } from '../../src/metainfo/add-torrent-params.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { loadTorrentBuffer } from '../../src/metainfo/load-torrent.ts'
import type { TorrentHandle } from '../../src/session/torrent-handle.ts'
import { TorrentStatus } from '../../src/torrent/torrent-status.ts'
import { fileBytes, torrentOf } from './lib/shared-torrent.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { addTorrent, piecesOf, type SimTorrent, Swarm, SwarmNode } from './lib/swarm.ts'

const PIECE = 65536
const BIG = fileBytes(20 * PIECE + 777, 1)
const LITTLE = fileBytes(2 * PIECE + 5, 2)
const OLD = { 'a.txt': fileBytes(3000, 3), big: BIG }
const NEW = { big2: BIG, 'readme.txt': fileBytes(100, 4), little: LITTLE }
/** Aligned and padded: what v1 torrents need. */
const V1 = { flags: CreateFlags.v1Only | CreateFlags.canonicalFiles }

function progress(handle: TorrentHandle, torrent: SimTorrent): Record<string, number> {
  const files = loadTorrentBuffer(torrent.file).ti!.layout()
  const done = handle.fileProgress()
  const out: Record<string, number> = {}
  for (let file = 0; file < files.numFiles(); file++) {
    if (!files.padFileAt(file)) out[files.fileName(file)] = done[file]!
  }
  return out
}

/** A session that has one torrent, or part of it, and is given a second one. */
function second(
  sim: Simulation,
  first: SimTorrent,
  other: SimTorrent,
  has: 'all' | readonly number[] = 'all',
  change: (params: AddTorrentParams) => void = () => {},
  between: (node: SwarmNode) => void = () => {},
) {
  const node = new SwarmNode(sim, 'a', first, { has })
  sim.run(2000)
  between(node)
  const handle = addTorrent(node, other, '/other', [], change)
  sim.run(2000)
  return { node, handle, done: progress(handle, other) }
}

/** Connects to a seed of the second torrent, and gives the bytes that came until it was complete. */
function complete(sim: Simulation, torrent: SimTorrent, handle: TorrentHandle): number {
  const swarm = new Swarm(sim, torrent)
  const seed = swarm.add('seed', { has: 'all' })
  sim.run(1000)
  handle.connectPeer(seed.endpoint)
  sim.runUntilSo(() => handle.status().isSeeding, 120_000, 'the second torrent')
  swarm.close()
  return handle.status().totalPayloadDownload
}

describe('a file that another torrent has', () => {
  test('is found by its root, and the rest is downloaded', () => {
    simulate(1, sim => {
      const other = torrentOf('new', NEW, { pieceLength: 2 * PIECE })
      const { node, handle, done } = second(sim, torrentOf('old', OLD), other)
      expect(done).toEqual({ big2: BIG.length, 'readme.txt': 0, little: 0 })
      expect(handle.status().state).toBe(TorrentStatus.State.downloading)
      const payload = complete(sim, other, handle)
      expect(payload).toBe(LITTLE.length + 100)
      expect(node.whats()).not.toContain('hash_failed')
      node.close()
      const kept = node.drive.contents.get(`/other/.${other.infoHash}.parts`)!
      for (const [piece, bytes] of piecesOf(other, 'all')) {
        expect(Buffer.from(kept.get(piece)!).equals(bytes), `piece ${piece}`).toBe(true)
      }
    })
  })

  test('makes the other torrent a seed at once, if that is all of it', () => {
    simulate(2, sim => {
      const other = torrentOf(
        'new',
        { only: BIG, 'a.txt': OLD['a.txt'] },
        { similar: [torrentOf('old', OLD).infoHash] },
      )
      const { node, handle } = second(sim, torrentOf('old', OLD), other)
      expect(handle.status().state).toBe(TorrentStatus.State.seeding)
      expect(handle.status().totalPayloadDownload).toBe(0)
      node.close()
    })
  })

  test.each([
    ['of a hybrid torrent, for a v2 one', 0, CreateFlags.v2Only],
    ['of a v2 torrent, for a hybrid one', CreateFlags.v2Only, 0],
  ])('is found by its root: %s', (_name, one, two) => {
    simulate(3, sim => {
      const first = torrentOf('old', OLD, { flags: one })
      const { node, done } = second(sim, first, torrentOf('new', NEW, { flags: two }))
      expect(done['big2']).toBe(BIG.length)
      node.close()
    })
  })

  test('is found in a v1 torrent of the same collection, and not without that', () => {
    simulate(4, sim => {
      const plain = second(sim, torrentOf('old', OLD, V1), torrentOf('new', NEW, V1))
      expect(plain.done['big2']).toBe(0)
      plain.node.close()
    })
    simulate(4, sim => {
      const first = torrentOf('old', OLD, { ...V1, collections: ['zero', 'two'] })
      const other = torrentOf('new', NEW, { ...V1, collections: ['one', 'two'] })
      const { node, handle, done } = second(sim, first, other)
      expect(done['big2']).toBe(BIG.length)
      const payload = complete(sim, other, handle)
      expect(payload).toBeLessThan(5 * PIECE)
      node.close()
    })
  })

  test('is found if the new torrent names the old one as similar, or the old one the new one', () => {
    simulate(5, sim => {
      const first = torrentOf('old', OLD, V1)
      const { node, done } = second(sim, first, torrentOf('new', NEW, { ...V1, similar: [first.infoHash] }))
      expect(done['big2']).toBe(BIG.length)
      node.close()
    })
    simulate(5, sim => {
      const other = torrentOf('new', NEW, V1)
      const { node, done } = second(sim, torrentOf('old', OLD, { ...V1, similar: [other.infoHash] }), other)
      expect(done['big2']).toBe(BIG.length)
      node.close()
    })
  })

  test('is found under the name and the path that it was given', () => {
    simulate(6, sim => {
      const { node, done } = second(sim, torrentOf('old', OLD), torrentOf('new', NEW), 'all', undefined, node => {
        const files = loadTorrentBuffer(torrentOf('old', OLD).file).ti!.layout()
        const big = [...Array(files.numFiles()).keys()].find(file => files.fileName(file) === 'big')!
        node.handle.renameFile(big, 'elsewhere/renamed')
        node.handle.moveStorage('/moved', MoveFlags.alwaysReplaceFiles)
        sim.run(2000)
        expect(node.whats()).toContain('file_renamed')
        expect(node.whats()).toContain('storage_moved')
      })
      expect(done['big2']).toBe(BIG.length)
      node.close()
    })
  })

  test('serves a torrent that has begun without it, when that is checked again', () => {
    simulate(7, sim => {
      const first = torrentOf('old', OLD)
      const other = torrentOf('new', NEW)
      const node = new SwarmNode(sim, 'a', other, {})
      sim.run(2000)
      addTorrent(node, first, '/first', 'all')
      sim.run(2000)
      node.handle.forceRecheck()
      sim.run(5000)
      node.handle.resume()
      sim.run(2000)
      expect(progress(node.handle, other)['big2']).toBe(BIG.length)
      node.close()
    })
  })
})

describe('a file is not shared', () => {
  test('if it is not whole; but it need not be the whole torrent', () => {
    simulate(10, sim => {
      const first = torrentOf('old', OLD)
      const files = loadTorrentBuffer(first.file).ti!.layout()
      const big = [...Array(files.numFiles()).keys()].find(file => files.fileName(file) === 'big')!
      const begin = files.pieceIndexAtFile(big)
      const pieces = Array.from({ length: 21 }, (_, i) => begin + i)
      const whole = second(sim, first, torrentOf('new', NEW), pieces)
      expect(whole.node.handle.status().isSeeding).toBe(false)
      expect(whole.done['big2']).toBe(BIG.length)
      whole.node.close()
    })
    simulate(10, sim => {
      const first = torrentOf('old', OLD)
      const files = loadTorrentBuffer(first.file).ti!.layout()
      const big = [...Array(files.numFiles()).keys()].find(file => files.fileName(file) === 'big')!
      const pieces = Array.from({ length: 20 }, (_, i) => files.pieceIndexAtFile(big) + i)
      const part = second(sim, first, torrentOf('new', NEW), pieces)
      expect(part.done['big2']).toBe(0)
      part.node.close()
    })
  })

  test('if it is not wanted', () => {
    simulate(11, sim => {
      const { node, done } = second(sim, torrentOf('old', OLD), torrentOf('new', NEW), 'all', params => {
        params.flags |= TorrentFlags.defaultDontDownload
      })
      expect(done['big2']).toBe(0)
      node.close()
    })
  })

  test('by a torrent that was removed, or is moving', () => {
    simulate(12, sim => {
      const gone = second(sim, torrentOf('old', OLD), torrentOf('new', NEW), 'all', undefined, node => {
        node.engine.turn.call(() => node.engine.removeTorrent(node.handle.torrent(), 0))
      })
      expect(gone.done['big2']).toBe(0)
      gone.node.close()
    })
    simulate(12, sim => {
      const moving = second(sim, torrentOf('old', OLD), torrentOf('new', NEW), 'all', undefined, node => {
        node.handle.moveStorage('/moved', MoveFlags.alwaysReplaceFiles)
      })
      expect(moving.done['big2']).toBe(0)
      moving.node.close()
    })
  })

  test('if its torrent is deleted while it is looked for: it is downloaded', () => {
    simulate(13, sim => {
      const other = torrentOf('new', NEW)
      const node = new SwarmNode(sim, 'a', torrentOf('old', OLD), { has: 'all' })
      sim.run(2000)
      const handle = addTorrent(node, other, '/other')
      node.engine.turn.call(() => node.engine.removeTorrent(node.handle.torrent(), 1))
      sim.run(5000)
      complete(sim, other, handle)
      expect(handle.status().isSeeding).toBe(true)
      node.close()
    })
  })
})

describe('a file that turns out to be broken', () => {
  test('is repaired from the swarm, a piece at a time; the other torrent is as it was', () => {
    simulate(20, sim => {
      const first = torrentOf('old', OLD)
      const other = torrentOf('new', NEW)
      const node = new SwarmNode(sim, 'a', first, {
        has: 'all',
        params: params => {
          params.flags |= TorrentFlags.seedMode
        },
      })
      // what it says it has is not what is on its drive
      const files = loadTorrentBuffer(first.file).ti!.layout()
      const big = [...Array(files.numFiles()).keys()].find(file => files.fileName(file) === 'big')!
      node.close()
      const pieces = piecesOf(first, 'all')
      const broken = files.pieceIndexAtFile(big) + 7
      const bytes = pieces.get(broken)!.slice()
      bytes[100]! ^= 1
      pieces.set(broken, bytes)
      node.drive.fill('/save', `.${first.infoHash}.parts`, pieces)
      const again = new SwarmNode(sim, 'b', first, {
        drive: node.drive,
        params: params => {
          params.flags |= TorrentFlags.seedMode
        },
      })
      sim.run(2000)
      expect(again.handle.status().isSeeding).toBe(true)
      const handle = addTorrent(again, other, '/other')
      sim.run(2000)
      expect(progress(handle, other)['big2']).toBe(BIG.length - PIECE)
      expect(complete(sim, other, handle)).toBe(LITTLE.length + 100 + PIECE)
      again.close()
      expect(Buffer.from(again.drive.contents.get(`/save/.${first.infoHash}.parts`)!.get(broken)!).equals(bytes)).toBe(
        true,
      )
    })
  })
})
