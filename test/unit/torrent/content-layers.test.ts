import { expect, test } from 'vitest'
import { Sha256Hash } from '../../../src/core/digest.ts'
import { CreateFileEntry } from '../../../src/metainfo/create-file-entry.ts'
import { CreateFlags } from '../../../src/metainfo/create-flags.ts'
import { CreateTorrent } from '../../../src/metainfo/create-torrent.ts'
import { loadTorrentBuffer } from '../../../src/metainfo/load-torrent.ts'
import { TorrentInfo } from '../../../src/metainfo/torrent-info.ts'

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

test('files with the same content share the one layer that the torrent file has', () => {
  const info = twins().ti!
  expect(info.hasPieceLayers()).toBe(true)
  expect([0, 3, 6].map(piece => info.pieceRootView(piece)![0])).toEqual([1, 1, 100])
  expect(info.pieceLayer(1)).toEqual(info.pieceLayer(0))
})

test('an info dictionary alone gets its layers from the trees of resume data, and takes none that are not proven', () => {
  const params = twins()
  const bare = TorrentInfo.fromInfoSection(params.ti!.infoSection().slice())
  expect(bare.hasPieceLayers()).toBe(false)
  expect(bare.pieceRootView(0)).toBeNull()
  const whole = bare.withTrees(params.merkleTrees, params.merkleTreeMask)
  expect(whole.hasPieceLayers()).toBe(true)
  for (let piece = 0; piece < 9; piece++) expect(whole.pieceRootView(piece)).toEqual(params.ti!.pieceRootView(piece))
  const forged = params.merkleTrees.map(tree => tree.map(byte => byte ^ 1))
  expect(bare.withTrees(forged, params.merkleTreeMask).hasPieceLayers()).toBe(false)
  expect(bare.withTrees([], [])).toBe(bare)
})
