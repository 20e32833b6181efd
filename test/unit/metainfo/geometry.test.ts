import { expect, test } from 'vitest'
import type { BlockIndex, FileIndex, PieceIndex } from '../../../src/core/brands.ts'
import { FileFlags } from '../../../src/core/enums.ts'
import { FileStorage } from '../../../src/metainfo/file-storage.ts'
import { Geometry } from '../../../src/metainfo/geometry.ts'

const PIECE = 0x8000

function layout(v2: boolean): FileStorage {
  const fs = new FileStorage()
  fs.setPieceLength(PIECE)
  const add = (name: string, size: number, fill: number) =>
    fs.addFile(`t/${name}`, size, 0, 0, '', v2 && size > 0 ? new Uint8Array(32).fill(fill) : null)
  add('a', 40_000, 1)
  add('empty', 0, 2)
  add('b', 100_000, 3)
  fs.setNumPieces(Math.ceil(fs.totalSize() / PIECE))
  return fs
}

test('sizes and counts of pieces and blocks', () => {
  const g = new Geometry(layout(false), true)
  expect([g.numPieces, g.numFiles, g.totalSize, g.blocksPerPiece]).toEqual([5, 3, 140_000, 2])
  expect([g.lastPieceSize, g.lastPieceBlocks, g.numBlocks, g.hasPadding]).toEqual([8928, 1, 9, false])
  const last = g.piece(4)!
  expect([g.pieceSize(g.piece(0)!), g.pieceSize(last), g.blocksInPiece(last)]).toEqual([PIECE, 8928, 1])
  expect([g.blockSize(g.piece(0)!, 1 as BlockIndex), g.blockSize(last, 0 as BlockIndex)]).toEqual([16384, 8928])
})

test('only indices that exist come through the door', () => {
  const g = new Geometry(layout(false), true)
  for (const n of [-1, 5, 4294967295, 0.5, Number.NaN]) expect(g.piece(n)).toBeNull()
  for (const n of [-1, 3, 0.5]) expect(g.file(n)).toBeNull()
  expect([g.piece(4), g.file(2)]).toEqual([4, 2])
})

test('requests must be inside their piece, blocks whole', () => {
  const g = new Geometry(layout(false), true)
  expect(g.isValidRequest(0, 0, PIECE)).toBe(true)
  expect(g.isValidRequest(0, 5, 100)).toBe(true)
  for (const [p, start, length] of [
    [0, 1, PIECE],
    [0, 0, 0],
    [0, -1, 5],
    [5, 0, 1],
    [4, 8900, 29],
  ] as const) {
    expect(g.isValidRequest(p, start, length)).toBe(false)
  }
  expect([g.isBlock(0, 16384, 16384), g.isBlock(4, 0, 8928)]).toEqual([true, true])
  for (const [p, start, length] of [
    [0, 0, 8000],
    [0, 5, 16384],
    [4, 0, 16384],
    [5, 0, 16384],
    [0, PIECE, 16384],
  ] as const) {
    expect(g.isBlock(p, start, length)).toBe(false)
  }
})

test('files and pieces', () => {
  const g = new Geometry(layout(false), true)
  const range = (file: number) => Array.from(g.piecesOfFile(file as FileIndex))
  expect([range(0), range(1), range(2)]).toEqual([[0, 1], [], [1, 2, 3, 4]])
  expect(g.lastFileOfPiece(1 as PieceIndex)).toBe(2)
})

test('in a v2-only torrent padding is not asked for', () => {
  const g = new Geometry(layout(true), false)
  expect([g.hasPadding, g.numPieces, g.v2Only]).toEqual([true, 6, true])
  const end = g.piece(1)!
  expect([g.pieceSize(end), g.requestSize(end)]).toEqual([PIECE, 40_000 - PIECE])
  expect([g.blockSize(end, 0 as BlockIndex), g.blockSize(end, 1 as BlockIndex)]).toEqual([40_000 - PIECE, 0])
  expect([g.isBlock(1, 0, 40_000 - PIECE), g.isBlock(1, 0, 16384)]).toEqual([true, false])
  expect(new Geometry(layout(true), true).requestSize(end)).toBe(PIECE)
})

test('padding counts where pieces end', () => {
  const fs = new FileStorage()
  fs.setPieceLength(PIECE)
  const add = (name: string, size: number, flags = 0) => fs.addFile(`t/${name}`, size, flags, 0, '', null)
  add('a', 40_000)
  add('pad to the end of piece 1', 2 * PIECE - 40_000, FileFlags.flagPadFile)
  add('b', 100)
  add('pad within piece 2', 1000, FileFlags.flagPadFile)
  add('c', PIECE - 1100 - 10)
  add('pad over pieces 2 to 4', 10 + 2 * PIECE, FileFlags.flagPadFile)
  add('empty pad', 0, FileFlags.flagPadFile)
  add('d', 5)
  add('pad at the end', 7, FileFlags.flagPadFile)
  fs.setNumPieces(Math.ceil(fs.totalSize() / PIECE))
  const padding = new Map(new Geometry(fs, true).paddingOfPieces())
  expect([...padding].sort(([a], [b]) => a - b)).toEqual([
    [1, 2 * PIECE - 40_000],
    [2, 10],
    [3, PIECE],
    [4, PIECE],
    [5, 7],
  ])
  expect([...new Geometry(layout(false), true).paddingOfPieces()]).toEqual([])
})
