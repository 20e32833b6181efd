import { expect, test } from 'vitest'
import { HashPicker } from '../../../src/torrent/hash-picker.ts'
import { HashTrees } from '../../../src/torrent/hash-trees.ts'
import { layoutOf, V2File } from '../metainfo/v2-files.ts'

test('a tree is carried from a seed to another by the requests of the picker', () => {
  for (const [blocks, perPiece] of [
    [1029, 1],
    [4 * 1029, 4],
    [513, 1],
    [513 * 2 - 1, 2],
    [9, 4],
    [3, 1],
    [8, 4],
  ] as const) {
    const file = new V2File(blocks, perPiece)
    const files = layoutOf(perPiece, file)
    const seed = new HashTrees(files)
    seed.load([file.pieceLayer()], [], [])
    expect(seed.complete, `${blocks}/${perPiece}`).toBe(false)
    seed.load(...file.layerTrees())
    expect(seed.complete).toBe(true)
    const trees = new HashTrees(files)
    const picker = new HashPicker(files, trees)
    let count = 0
    for (; ; count++) {
      const request = picker.pick(() => true, 0)
      if (request === null) break
      const index = trees.fileOfRoot(request.root)
      const hashes = seed.getHashes(index, request)!
      expect(hashes).not.toBeNull()
      expect(trees.addHashes(index, request, hashes)).toEqual({ passed: [], failed: [], doubtful: [], blocks: [] })
      picker.received(index, request)
    }
    expect(count).toBe(Math.ceil(Math.ceil(blocks / perPiece) / 512))
    expect(trees.complete).toBe(true)
    expect(picker.done).toBe(true)
    expect(trees.pieceLayers()).toEqual([file.pieceLayer()])
  }
})
