import { expect, test } from 'vitest'
import type { Bitfield } from '../../../src/core/bitfield.ts'
import { Sha256Hash } from '../../../src/core/digest.ts'
import { CreateFileEntry } from '../../../src/metainfo/create-file-entry.ts'
import { CreateFlags } from '../../../src/metainfo/create-flags.ts'
import { CreateTorrent } from '../../../src/metainfo/create-torrent.ts'
import { loadTorrentBuffer } from '../../../src/metainfo/load-torrent.ts'
import { TorrentInfo } from '../../../src/metainfo/torrent-info.ts'
import { HashTrees } from '../../../src/torrent/hash-trees.ts'

const PIECE = 64 * 1024

/** Two files with the same content, and a third. */
function twins() {
  const entries = ['a', 'b', 'c'].map(name => new CreateFileEntry(`twins/${name}`, 3 * PIECE))
  const creator = new CreateTorrent(entries, PIECE, CreateFlags.v2Only)
  for (let file = 0; file < 3; file++) {
    for (let piece = 0; piece < 3; piece++) {
      creator.setHash2(file, piece, new Sha256Hash(new Uint8Array(32).fill((file === 2 ? 100 : 1) + piece)))
    }
  }
  return loadTorrentBuffer(creator.generateBuf())
}

function treesOf(info: TorrentInfo, trees: readonly Uint8Array[], masks: readonly Bitfield[]): HashTrees {
  const out = new HashTrees(info.layout())
  out.load(trees, masks)
  return out
}

test('files with the same content share the one layer that the torrent file has', () => {
  const params = twins()
  const info = params.ti!
  const trees = treesOf(info, params.merkleTrees, params.merkleTreeMask)
  expect(trees.complete).toBe(true)
  expect([0, 3, 6].map(piece => trees.pieceRoot(piece)![0])).toEqual([1, 1, 100])
  expect(info.pieceLayer(1)).toEqual(info.pieceLayer(0))
})

test('an info dictionary alone gets its layers from the trees of resume data, and takes none that are not proven', () => {
  const params = twins()
  const bare = TorrentInfo.fromInfoSection(params.ti!.infoSection().slice())
  const nothing = treesOf(bare, [], [])
  expect(nothing.complete).toBe(false)
  expect(nothing.pieceRoot(0)).toBeNull()
  const whole = treesOf(bare, params.merkleTrees, params.merkleTreeMask)
  expect(whole.complete).toBe(true)
  for (let file = 0; file < bare.numFiles(); file++) {
    for (let piece = 0; piece < 3; piece++) {
      const hash = params.ti!.pieceLayer(file).subarray(piece * 32, (piece + 1) * 32)
      expect(whole.pieceRoot(file * 3 + piece)).toEqual(hash)
    }
  }
  const forged = params.merkleTrees.map(tree => tree.map(byte => byte ^ 1))
  expect(treesOf(bare, forged, params.merkleTreeMask).complete).toBe(false)
})
