import { expect, test } from 'vitest'
import { Sha256Hash } from '../../../src/core/digest.ts'
import { FileFlags } from '../../../src/core/enums.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { SliceList } from '../../../src/metainfo/file-slice.ts'
import { FileStorage } from '../../../src/metainfo/file-storage.ts'
import { Filenames } from '../../../src/metainfo/filenames.ts'
import { RenamedFiles } from '../../../src/metainfo/renamed-files.ts'
import { errorOf } from './sample-torrents.ts'

/** The files of libtorrent's own example: sizes 1, 3, 0, 11 ... under one directory. */
function storage(sizes: number[], pieceLength = 16): FileStorage {
  const fs = new FileStorage()
  fs.setPieceLength(pieceLength)
  for (const [i, size] of sizes.entries()) fs.addFile(`test/d${i % 3}/f${i}`, size)
  fs.setNumPieces(Math.ceil(fs.totalSize() / pieceLength))
  return fs
}

const root = (byte: number) => new Uint8Array(32).fill(byte)

test('an empty storage is not valid', () => {
  const fs = new FileStorage()
  expect([fs.isValid(), fs.numFiles(), fs.totalSize(), fs.numPieces(), fs.name()]).toEqual([false, 0, 0, 0, ''])
})

test('the first part of the first path names the torrent', () => {
  const fs = storage([10, 20])
  expect(fs.name()).toBe('test')
  expect([fs.filePath(1), fs.filePath(1, '/save'), fs.fileName(1)]).toEqual(['test/d1/f1', '/save/test/d1/f1', 'f1'])
  fs.setName('renamed')
  expect(fs.filePath(0)).toBe('renamed/d0/f0')
})

test('a single file is its own name; other roots and absolute paths are kept', () => {
  const single = new FileStorage()
  single.addFile('alone', 5)
  expect([single.name(), single.filePath(0), single.filePath(0, 's')]).toEqual(['alone', 'alone', 's/alone'])
  const fs = new FileStorage()
  fs.addFile('a/x', 1)
  fs.addFile('b/c/y', 1)
  fs.addFile('/abs/z', 1)
  expect([fs.name(), fs.filePath(1, 's'), fs.filePath(2, 's')]).toEqual(['a', 's/b/c/y', '/abs/z'])
  expect([fs.fileAbsolutePath(1), fs.fileAbsolutePath(2)]).toEqual([false, true])
})

test('sizes, offsets, ranges', () => {
  const fs = storage([1, 0, 30, 5])
  expect(Array.from(fs.fileRange(), i => [fs.fileOffset(i), fs.fileSize(i)])).toEqual([
    [0, 1],
    [1, 0],
    [1, 30],
    [31, 5],
  ])
  expect([fs.totalSize(), fs.sizeOnDisk(), fs.numPieces(), fs.lastPiece(), fs.endPiece(), fs.endFile()]).toEqual([
    36, 36, 3, 2, 3, 4,
  ])
  expect([fs.pieceSize(0), fs.pieceSize(2)]).toEqual([16, 4])
  expect(Array.from(fs.pieceRange())).toEqual([0, 1, 2])
  expect([0, 1, 30, 31, 35].map(at => fs.fileIndexAtOffset(at))).toEqual([0, 2, 2, 3, 3])
  expect([0, 1, 2].map(p => [fs.fileIndexAtPiece(p), fs.lastFileIndexAtPiece(p)])).toEqual([
    [0, 2],
    [2, 3],
    [3, 3],
  ])
  expect([fs.pieceIndexAtFile(2), fs.lastPieceIndexAtFile(2), fs.pieceIndexAtFile(3)]).toEqual([0, 1, 1])
})

test('what is out of range is an error of the caller', () => {
  const fs = storage([1, 30])
  for (const call of [
    () => fs.fileSize(2),
    () => fs.fileName(-1),
    () => fs.filePath(Number.NaN),
    () => fs.pieceSize(2),
    () => fs.pieceSize(-1),
    () => fs.fileIndexAtOffset(31),
    () => fs.mapBlock(2, 0, 1),
    () => fs.mapBlock(0, -1, 1),
    () => fs.addFile('', 1),
    () => fs.addFile('test/x', -1),
    () => fs.addFile('test/x', 0.5),
  ]) {
    expect(call).toThrow(RangeError)
  }
})

test('a block maps to the slices of files it covers, empty files left out', () => {
  const fs = storage([1, 0, 30, 5])
  const slices = fs.mapBlock(0, 0, 33).map(s => [s.fileIndex, s.offset, s.size])
  expect(slices).toEqual([
    [0, 0, 1],
    [2, 0, 30],
    [3, 0, 2],
  ])
  expect(fs.mapBlock(1, 15, 1000).map(s => [s.fileIndex, s.offset, s.size])).toEqual([[3, 0, 5]])
  expect(fs.mapBlock(0, 0, 0)).toEqual([])
})

test('mapping agrees with walking byte by byte, and the form without objects with the other', () => {
  const rng = new SeededRng(3)
  const sizes = Array.from({ length: 40 }, () => (rng.below(4) === 0 ? 0 : rng.below(50)))
  sizes.push(7)
  const fs = storage(sizes)
  const owner: number[] = []
  for (const [i, size] of sizes.entries()) for (let k = 0; k < size; k++) owner.push(i)
  const list = new SliceList()
  for (let round = 0; round < 500; round++) {
    const piece = rng.below(fs.numPieces())
    const offset = rng.below(fs.pieceSize(piece))
    const size = rng.below(120)
    const slices = fs.mapBlock(piece, offset, size)
    fs.mapBlockInto(piece, offset, size, list)
    expect(slices.length).toBe(list.count)
    let at = piece * 16 + offset
    for (const [n, slice] of slices.entries()) {
      expect([list.files[n], list.offsets[n], list.sizes[n]]).toEqual([slice.fileIndex, slice.offset, slice.size])
      for (let k = 0; k < slice.size; k++, at++) expect(owner[at]).toBe(slice.fileIndex)
      expect(at).toBe(fs.fileOffset(slice.fileIndex) + slice.offset + slice.size)
    }
    expect(at).toBe(Math.min(fs.totalSize(), piece * 16 + offset + size))
  }
})

test('a range of a file maps to a piece; past the end there is none', () => {
  const fs = storage([1, 0, 30, 5])
  const map = (file: number, offset: number, size: number) => {
    const r = fs.mapFile(file, offset, size)
    return [r.piece, r.start, r.length]
  }
  expect(map(2, 20, 5)).toEqual([1, 5, 5])
  expect(map(3, 0, 1000)).toEqual([1, 15, 5])
  expect(map(3, 5, 1)).toEqual([3, 0, 0])
  expect(map(9, 0, 1)).toEqual([3, 0, 0])
})

test('flags, times and symlinks', () => {
  const fs = new FileStorage()
  fs.addFile('t/a', 5, FileFlags.flagExecutable, 77)
  fs.addFile('t/l', 0, FileFlags.flagSymlink | FileFlags.flagHidden, 0, 'a')
  fs.addFile('t/not', 0, FileFlags.flagSymlink)
  fs.addFile('t/p', 3, FileStorage.flagPadFile)
  expect(Array.from(fs.fileRange(), i => fs.fileFlags(i))).toEqual([4, 10, 0, 1])
  expect([fs.symlink(0), fs.symlink(1)]).toEqual(['', 't/a'])
  expect([fs.mtime(0), fs.mtime(3)]).toEqual([77, 0])
  expect([fs.padFileAt(3), fs.padFileAt(0), fs.sizeOnDisk(), fs.totalSize()]).toEqual([true, false, 5, 8])
})

test('v2 files are padded to the end of their piece, and pieces end with their file', () => {
  const fs = new FileStorage()
  fs.setPieceLength(0x8000)
  fs.addFile('test/a', 0x5000, 0, 0, '', root(1))
  fs.addFile('test/empty', 0)
  fs.addFile('test/b', 0x14000, 0, 0, '', root(2))
  fs.setNumPieces(Math.ceil(fs.totalSize() / 0x8000))
  expect(Array.from(fs.fileRange(), i => [fs.filePath(i), fs.fileSize(i), fs.fileFlags(i)])).toEqual([
    ['test/a', 0x5000, 0],
    ['test/.pad/12288', 0x3000, 1],
    ['test/empty', 0, 0],
    ['test/b', 0x14000, 0],
    ['test/.pad/16384', 0x4000, 1],
  ])
  expect([fs.v2(), fs.totalSize(), fs.sizeOnDisk(), fs.numPieces()]).toEqual([true, 0x20000, 0x19000, 4])
  expect([0, 1, 2, 3].map(p => [fs.pieceSize(p), fs.pieceSize2(p), fs.blocksInPiece2(p)])).toEqual([
    [0x8000, 0x5000, 2],
    [0x8000, 0x8000, 2],
    [0x8000, 0x8000, 2],
    [0x8000, 0x4000, 1],
  ])
  expect([fs.fileNumPieces(3), fs.fileNumBlocks(3), fs.fileNumPieces(2), fs.blocksPerPiece()]).toEqual([3, 5, 0, 2])
  expect(Array.from(fs.filePieceRange(3))).toEqual([0, 1, 2])
  expect([fs.fileFirstPieceNode(3), fs.fileFirstBlockNode(3)]).toEqual([3, 7])
  expect([fs.fileIndexForRoot(new Sha256Hash(root(2))), fs.fileIndexForRoot(new Sha256Hash(root(9)))]).toEqual([3, -1])
  expect(fs.root(0).toBytes()).toEqual(root(1))
})

test('files with and without a root do not mix, whatever the order; empty files and symlinks fit both', () => {
  const fs = new FileStorage()
  fs.setPieceLength(0x4000)
  fs.addFile('t/e', 0)
  fs.addFile('t/l', 0, FileFlags.flagSymlink, 0, 'e')
  fs.addFile('t/a', 1, 0, 0, '', root(1))
  expect(errorOf(() => fs.addFile('t/b', 1))).toBe(`libtorrent:${LibtorrentErrors.torrentMissingPiecesRoot}`)
  const v1 = storage([1])
  expect(errorOf(() => v1.addFile('test/b', 1, 0, 0, '', root(1)))).toBe(
    `libtorrent:${LibtorrentErrors.torrentInconsistentFiles}`,
  )
})

test('limits of one file, of all files, and of names', () => {
  const fs = new FileStorage()
  expect(errorOf(() => fs.addFile('t/a', FileStorage.maxFileSize + 1))).toBe('generic:27')
  expect(errorOf(() => fs.addFile(`t/${'x'.repeat(4096)}`, 1))).toBe('generic:36')
  expect(errorOf(() => fs.addFile(`t/${'\u00e9'.repeat(2048)}`, 1))).toBe('generic:36')
  expect(errorOf(() => fs.addFile(`t/${'x'.repeat(4095)}`, 1))).toBe('none')
  for (let i = 0; i < 16; i++) fs.addFile(`t/${i}`, FileStorage.maxFileSize)
  expect(errorOf(() => fs.addFile('t/z', FileStorage.maxFileSize))).toBe(
    `libtorrent:${LibtorrentErrors.torrentInvalidLength}`,
  )
})

test('100,000 files are added and found', () => {
  const fs = new FileStorage()
  fs.setPieceLength(0x4000)
  for (let i = 0; i < 100_000; i++) fs.addFile(`t/${i >> 8}/${i}`, 100)
  fs.setNumPieces(Math.ceil(fs.totalSize() / 0x4000))
  expect([fs.numFiles(), fs.totalSize(), fs.filePath(99_999)]).toEqual([100_000, 10_000_000, 't/390/99999'])
  expect(fs.fileIndexAtOffset(5_000_050)).toBe(50_000)
})

test('renamed files: inside the torrent, inside the save path, anywhere', () => {
  const fs = storage([1, 2, 3, 4])
  const names = new RenamedFiles()
  names.renameFile(fs, 0, 'test/other/name')
  names.renameFile(fs, 1, 'moved/name')
  names.renameFile(fs, 2, '/absolute/name')
  names.renameFile(fs, 3, '')
  const paths = [0, 1, 2, 3].map(i => names.filePath(fs, i, '/s'))
  expect(paths).toEqual(['/s/test/other/name', '/s/moved/name', '/absolute/name', '/s/test/d0/f3'])
  expect([0, 2, 3].map(i => names.fileName(fs, i))).toEqual(['name', 'name', 'f3'])
  expect([1, 2, 3].map(i => names.fileAbsolutePath(fs, i))).toEqual([false, true, false])
  const exported = names.exportFilenames(fs)
  expect(exported).toEqual({ 0: 'test/other/name', 1: 'moved/name', 2: '/absolute/name' })
  const again = new RenamedFiles()
  again.importFilenames(fs, { ...exported, 99: 'no such file', [-1]: 'nor this' })
  expect([0, 1, 2, 3].map(i => again.filePath(fs, i, '/s'))).toEqual(paths)
  expect(() => names.renameFile(fs, 4, 'x')).toThrow(RangeError)
})

test('filenames show a storage under its new names', () => {
  const fs = storage([1, 2])
  const renamed = new RenamedFiles()
  const names = new Filenames(fs, renamed)
  renamed.renameFile(fs, 1, 'x')
  expect([names.filePath(0), names.filePath(1, 's'), names.numFiles(), names.fileSize(1)]).toEqual([
    'test/d0/f0',
    's/x',
    2,
    2,
  ])
  expect([names.numPieces(), names.pieceLength(), names.endFile(), names.endPiece()]).toEqual([1, 16, 2, 1])
  expect(names.mapBlock(0, 0, 3).length).toBe(2)
  expect(names.mapFile(1, 0, 1).start).toBe(1)
})
