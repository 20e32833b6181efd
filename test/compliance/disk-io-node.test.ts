/** What the worker back-end does with real files. */

import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Bitfield } from '../../src/core/bitfield.ts'
import { MoveFlags, StorageMode, TorrentFlags } from '../../src/core/enums.ts'
import { operationName } from '../../src/core/operation.ts'
import {
  type CheckResult,
  CheckStatus,
  type CommitResult,
  type DiskError,
  type DiskIo,
  type HashResult,
  type ReadResult,
  type StorageHandle,
} from '../../src/storage/disk-io.ts'
import { createNodeDisk } from '../../src/storage/node/disk-pool.ts'
import {
  BLOCK,
  contentOf,
  EXECUTABLE,
  fillSlots,
  MadeLayout,
  NO_HASHES,
  optionsFor,
  PAD,
  pieceOf,
  type Runner,
  SYMLINK,
  sha1,
  writeAll,
} from './disk-io-lib.ts'
import { nodeDiskWorld, SETTINGS, untilTrue } from './disk-io-worlds.ts'

const PIECE = 2 * BLOCK
const FILES = new MadeLayout(PIECE, [
  { path: 't/a', size: PIECE + 100 },
  { path: 't/b', size: 50 },
  { path: 't/.pad/1', size: PIECE - 150, flags: PAD },
  { path: 't/run', size: PIECE + 7, flags: EXECUTABLE },
])
const CONTENT = contentOf(FILES)

let disk: DiskIo
let root: string
let cleanUp: () => void

beforeEach(() => {
  const world = nodeDiskWorld.make()
  disk = world.disk
  root = world.savePath
  cleanUp = world.cleanUp
})

afterEach(async () => {
  let over = false
  disk.close(() => {
    over = true
  })
  await until(() => over, 'the end of the disk')
  cleanUp()
})

function until(condition: () => boolean, what: string): Promise<void> {
  return untilTrue(condition, what, () => disk.submit())
}

const run: Runner = async start => {
  let result: unknown[] | undefined
  start((...args) => {
    result = args
  })
  disk.submit()
  await until(() => result !== undefined, 'the end of a job')
  return result as never
}

async function commit(
  storage: StorageHandle,
  layout: MadeLayout,
  content: Uint8Array,
  piece: number,
): Promise<CommitResult> {
  const bytes = pieceOf(layout, content, piece)
  const slots = fillSlots(disk, bytes)
  const hashes = { v1: sha1(bytes), v2: null }
  return (await run<[CommitResult]>(done => disk.commitPiece(storage, piece, slots, hashes, false, done)))[0]
}

async function read(storage: StorageHandle, piece: number, offset: number, length: number): Promise<ReadResult> {
  return (await run<[ReadResult]>(done => disk.read(storage, piece, offset, length, {}, done)))[0]
}

async function check(
  storage: StorageHandle,
  have: Bitfield | null,
  flags = 0,
  links: readonly string[] = [],
): Promise<CheckResult> {
  const resume = have === null ? null : { flags, haveBits: have }
  return (await run<[CheckResult]>(done => disk.checkFiles(storage, resume, links, done)))[0]
}

function told(error: DiskError | null): readonly [string, string, number] | null {
  return error === null ? null : [error.code.message(), operationName(error.operation), error.file]
}

function fileBytes(layout: MadeLayout, content: Uint8Array, file: number): Buffer {
  return Buffer.from(content.subarray(layout.fileOffset(file), layout.fileOffset(file) + layout.fileSize(file)))
}

/** Descriptors of this process that point below a directory. */
function descriptorsBelow(directory: string): string[] {
  const out: string[] = []
  for (const fd of fs.readdirSync('/proc/self/fd')) {
    try {
      const target = fs.readlinkSync(`/proc/self/fd/${fd}`)
      if (target.startsWith(directory)) out.push(target)
    } catch {
      // closed meanwhile
    }
  }
  return out
}

describe('files on disk', () => {
  test('each file gets its bytes, its size, its mode; pad files do not exist', async () => {
    const storage = disk.addStorage(optionsFor(FILES, root))
    await writeAll(run, disk, storage, FILES, CONTENT)
    for (const file of [0, 1, 3]) {
      const name = path.join(root, FILES.filePath(file))
      expect(fs.readFileSync(name).equals(fileBytes(FILES, CONTENT, file))).toBe(true)
    }
    expect(fs.existsSync(path.join(root, 't/.pad'))).toBe(false)
    expect(fs.statSync(path.join(root, 't/run')).mode & 0o100).toBe(0o100)
    expect(fs.statSync(path.join(root, 't/a')).mode & 0o100).toBe(0)
  })

  test('the first write brings a file to its size; a longer one is cut', async () => {
    fs.mkdirSync(path.join(root, 't'))
    fs.writeFileSync(path.join(root, 't/run'), Buffer.alloc(3 * PIECE))
    const storage = disk.addStorage(optionsFor(FILES, root))
    await commit(storage, FILES, CONTENT, 0)
    expect(fs.statSync(path.join(root, 't/a')).size).toBe(PIECE + 100)
    expect(fs.statSync(path.join(root, 't/run')).size).toBe(3 * PIECE)
    await commit(storage, FILES, CONTENT, 2)
    expect(fs.statSync(path.join(root, 't/run')).size).toBe(PIECE + 7)
  })

  test('a sparse file has holes, an allocated one has none', async () => {
    const big = new MadeLayout(PIECE, [{ path: 'big', size: 64 * PIECE }])
    const content = contentOf(big)
    for (const mode of [StorageMode.storageModeSparse, StorageMode.storageModeAllocate]) {
      const savePath = path.join(root, String(mode))
      const storage = disk.addStorage(optionsFor(big, savePath, { mode }))
      const results = await Promise.all([3, 60, 0].map(piece => commit(storage, big, content, piece)))
      expect(results.map(r => r.error)).toEqual([null, null, null])
      const stat = fs.statSync(path.join(savePath, 'big'))
      expect(stat.size).toBe(64 * PIECE)
      if (mode === StorageMode.storageModeAllocate) expect(stat.blocks * 512).toBeGreaterThanOrEqual(64 * PIECE)
      else expect(stat.blocks * 512).toBeLessThan(32 * PIECE)
      const bytes = fs.readFileSync(path.join(savePath, 'big'))
      for (const piece of [3, 60, 0]) {
        expect(bytes.subarray(piece * PIECE, (piece + 1) * PIECE).equals(pieceOf(big, content, piece))).toBe(true)
      }
    }
  })

  test('a file that must be allocated and does not fit fails the write at once', async () => {
    const huge = new MadeLayout(2 ** 24, [{ path: 'huge', size: 2 ** 50 }])
    const storage = disk.addStorage(optionsFor(huge, root, { mode: StorageMode.storageModeAllocate }))
    const slots = fillSlots(disk, new Uint8Array(2 ** 24))
    const [result] = await run<[CommitResult]>(done => disk.commitPiece(storage, 0, slots, NO_HASHES, false, done))
    expect(result.error?.code.message()).toMatch(/No space left on device|File too large/)
    expect(disk.slots.inUse).toBe(0)
  })

  test('a name that is taken by a directory, or runs through a file, is an error of that file', async () => {
    fs.mkdirSync(path.join(root, 't/a'), { recursive: true })
    const storage = disk.addStorage(optionsFor(FILES, root))
    expect(told((await commit(storage, FILES, CONTENT, 0)).error)).toEqual(['Is a directory', 'file_open', 0])
    fs.rmSync(path.join(root, 't'), { recursive: true })
    fs.writeFileSync(path.join(root, 't'), '')
    const error = (await commit(storage, FILES, CONTENT, 0)).error
    expect(error?.code.message()).toBe('Not a directory')
    expect(disk.slots.inUse).toBe(0)
    fs.rmSync(path.join(root, 't'))
    expect((await commit(storage, FILES, CONTENT, 0)).error).toBeNull()
  })

  test('a file cut short from outside gives "file too short" to reads and hashes', async () => {
    const storage = disk.addStorage(optionsFor(FILES, root))
    await writeAll(run, disk, storage, FILES, CONTENT)
    fs.truncateSync(path.join(root, 't/a'), 100)
    const result = await read(storage, 0, 0, BLOCK)
    result.release()
    expect(told(result.error)).toEqual(['file too short', 'file_read', 0])
    const [hashes] = await run<[HashResult]>(done =>
      disk.hashPieces(storage, 0, 4, { v1: true, v2: false, blockHashes: false }, done),
    )
    expect(told(hashes.error)).toEqual(['file too short', 'file_read', 0])
    expect(hashes.v1).toEqual(new Uint8Array(0))
  })

  test('released files are closed in every worker', async () => {
    const storage = disk.addStorage(optionsFor(FILES, root))
    await Promise.all([0, 1, 2, 3].map(piece => commit(storage, FILES, CONTENT, piece)))
    expect(
      disk
        .openFiles(storage)
        .map(f => f.file)
        .sort(),
    ).toEqual([0, 1, 3])
    expect(descriptorsBelow(root).length).toBeGreaterThan(0)
    await run<[DiskError | null]>(done => disk.releaseFiles(storage, done))
    expect(descriptorsBelow(root)).toEqual([])
    expect(disk.openFiles(storage)).toEqual([])
  })

  test('a worker keeps no more files open than its share of the limit', async () => {
    const many = new MadeLayout(
      PIECE,
      Array.from({ length: 64 }, (_, i) => ({ path: `many/${i}`, size: BLOCK })),
    )
    const content = contentOf(many)
    const storage = disk.addStorage(optionsFor(many, root))
    await writeAll(run, disk, storage, many, content)
    expect(descriptorsBelow(root).length).toBeLessThanOrEqual(SETTINGS.filePoolSize)
    disk.applySettings({ ...SETTINGS, filePoolSize: 4 })
    await writeAll(run, disk, storage, many, content)
    expect(descriptorsBelow(root).length).toBeLessThanOrEqual(4)
  })
})

describe('the part file', () => {
  // Piece 0 is all wanted, piece 1 half, the others not at all.
  const SHARED = new MadeLayout(PIECE, [
    { path: 's/wanted', size: PIECE + 100 },
    { path: 's/unwanted', size: 2 * PIECE },
  ])
  const BYTES = contentOf(SHARED)
  const options = { filePriorities: [4, 0], partFileName: '.x.parts' }

  test('takes the bytes of unwanted files, in the documented format', async () => {
    const storage = disk.addStorage(optionsFor(SHARED, root, options))
    await writeAll(run, disk, storage, SHARED, BYTES)
    expect(fs.existsSync(path.join(root, 's/unwanted'))).toBe(false)
    const part = fs.readFileSync(path.join(root, '.x.parts'))
    expect([part.readUInt32BE(0), part.readUInt32BE(4)]).toEqual([4, PIECE])
    const slots = [0, 1, 2, 3].map(piece => part.readUInt32BE(8 + piece * 4))
    expect(slots[0]).toBe(0xffffffff)
    expect(slots.slice(1).sort()).toEqual([0, 1, 2])
    for (const piece of [1, 2, 3]) {
      const bytes = pieceOf(SHARED, BYTES, piece)
      const from = piece === 1 ? 100 : 0
      const at = 1024 + slots[piece]! * PIECE
      expect(part.subarray(at + from, at + bytes.length).equals(bytes.subarray(from))).toBe(true)
    }
    const result = await read(storage, 1, 0, PIECE)
    expect(Buffer.concat(result.views).equals(pieceOf(SHARED, BYTES, 1))).toBe(true)
    result.release()
  })

  test('is found again by the next session, and by way of priorities empties into the files', async () => {
    const before = disk.addStorage(optionsFor(SHARED, root, options))
    await writeAll(run, disk, before, SHARED, BYTES)
    disk.removeStorage(before)
    const storage = disk.addStorage(optionsFor(SHARED, root, options))
    const result = await read(storage, 2, 0, PIECE)
    expect(Buffer.concat(result.views).equals(pieceOf(SHARED, BYTES, 2))).toBe(true)
    result.release()
    const answer = await run<[DiskError | null, readonly number[]]>(done =>
      disk.setFilePriorities(storage, [4, 4], done),
    )
    expect(answer).toEqual([null, [4, 4]])
    expect(fs.readFileSync(path.join(root, 's/unwanted')).equals(fileBytes(SHARED, BYTES, 1))).toBe(true)
    const again = await read(storage, 3, 0, 100)
    expect(Buffer.concat(again.views).equals(pieceOf(SHARED, BYTES, 3))).toBe(true)
    again.release()
  })

  test('is not used for an unwanted file that is on disk', async () => {
    const storage = disk.addStorage(optionsFor(SHARED, root))
    await writeAll(run, disk, storage, SHARED, BYTES)
    await run<[DiskError | null, readonly number[]]>(done => disk.setFilePriorities(storage, [4, 0], done))
    await commit(storage, SHARED, BYTES, 2)
    expect(fs.existsSync(path.join(root, '.0123456789abcdef.parts'))).toBe(false)
    const result = await read(storage, 2, 0, PIECE)
    expect(result.error).toBeNull()
    result.release()
  })

  test('an unwanted piece that it does not have is missing', async () => {
    const storage = disk.addStorage(optionsFor(SHARED, root, options))
    const result = await read(storage, 2, 0, BLOCK)
    result.release()
    expect(told(result.error)).toEqual(['No such file or directory', 'partfile_read', 1])
  })

  test('moves and is deleted with the files', async () => {
    const storage = disk.addStorage(optionsFor(SHARED, root, options))
    await writeAll(run, disk, storage, SHARED, BYTES)
    const to = path.join(root, 'moved')
    await run<[DiskError | null, string, boolean]>(done => disk.moveStorage(storage, to, 0, done))
    expect(fs.readdirSync(root)).toEqual(['moved'])
    expect(fs.readdirSync(to).sort()).toEqual(['.x.parts', 's'])
    const result = await read(storage, 3, 0, 100)
    expect(result.error).toBeNull()
    result.release()
    await run<[DiskError | null]>(done => disk.deleteFiles(storage, 1, done))
    expect(fs.readdirSync(to)).toEqual([])
  })
})

describe('moving, renaming, deleting', () => {
  test('a move that may not replace stops at the first file in its way, and nothing has moved', async () => {
    const storage = disk.addStorage(optionsFor(FILES, path.join(root, 'from')))
    await writeAll(run, disk, storage, FILES, CONTENT)
    const to = path.join(root, 'to')
    fs.mkdirSync(path.join(to, 't'), { recursive: true })
    fs.writeFileSync(path.join(to, 't/b'), 'mine')
    const refused = await run<[DiskError | null, string, boolean]>(done =>
      disk.moveStorage(storage, to, MoveFlags.failIfExist, done),
    )
    expect(told(refused[0])).toEqual(['File exists', 'file_stat', 1])
    expect(refused[1]).toBe(path.join(root, 'from'))
    expect(fs.readFileSync(path.join(to, 't/b'), 'utf8')).toBe('mine')
    const kept = await run<[DiskError | null, string, boolean]>(done =>
      disk.moveStorage(storage, to, MoveFlags.dontReplace, done),
    )
    expect(kept).toEqual([null, to, true])
    expect(fs.readFileSync(path.join(to, 't/b'), 'utf8')).toBe('mine')
    expect(fs.existsSync(path.join(to, 't/a'))).toBe(true)
  })

  test('a move that fails half-way is undone', async () => {
    const storage = disk.addStorage(optionsFor(FILES, path.join(root, 'from')))
    await writeAll(run, disk, storage, FILES, CONTENT)
    const to = path.join(root, 'to')
    fs.mkdirSync(path.join(to, 't/run/full'), { recursive: true })
    const [error, where] = await run<[DiskError | null, string, boolean]>(done =>
      disk.moveStorage(storage, to, 0, done),
    )
    expect(error?.file).toBe(3)
    expect(where).toBe(path.join(root, 'from'))
    expect(fs.readdirSync(path.join(root, 'from/t')).sort()).toEqual(['a', 'b', 'run'])
    expect(fs.readdirSync(path.join(to, 't'))).toEqual(['run'])
  })

  test('a save path that is only reset leaves the files, and asks for a check or not', async () => {
    const storage = disk.addStorage(optionsFor(FILES, path.join(root, 'from')))
    await writeAll(run, disk, storage, FILES, CONTENT)
    const to = path.join(root, 'to')
    const reset = (flags: MoveFlags): Promise<[DiskError | null, string, boolean]> =>
      run<[DiskError | null, string, boolean]>(done => disk.moveStorage(storage, to, flags, done))
    expect(await reset(MoveFlags.resetSavePath)).toEqual([null, to, true])
    expect(await reset(MoveFlags.resetSavePathUnchecked)).toEqual([null, to, false])
    expect(fs.readdirSync(path.join(root, 'from/t'))).toHaveLength(3)
    expect((await check(storage, null)).status).toBe(CheckStatus.noFiles)
  })

  test('a renamed file moves, also to an absolute path, and stays there when the storage moves', async () => {
    const storage = disk.addStorage(optionsFor(FILES, path.join(root, 'from')))
    await writeAll(run, disk, storage, FILES, CONTENT)
    const away = path.join(root, 'away/b')
    expect(await run<[DiskError | null]>(done => disk.renameFile(storage, 1, away, done))).toEqual([null])
    expect(fs.readFileSync(away).equals(fileBytes(FILES, CONTENT, 1))).toBe(true)
    await run<[DiskError | null, string, boolean]>(done => disk.moveStorage(storage, path.join(root, 'to'), 0, done))
    expect(fs.existsSync(away)).toBe(true)
    const result = await read(storage, 1, 100, 50)
    expect(Buffer.concat(result.views).equals(fileBytes(FILES, CONTENT, 1))).toBe(true)
    result.release()
  })

  test('renaming a file never replaces another', async () => {
    const storage = disk.addStorage(optionsFor(FILES, root))
    await writeAll(run, disk, storage, FILES, CONTENT)
    fs.writeFileSync(path.join(root, 'mine'), 'mine')
    const [error] = await run<[DiskError | null]>(done => disk.renameFile(storage, 1, 'mine', done))
    expect(told(error)).toEqual(['File exists', 'file_rename', 1])
    expect(error!.code.category().name()).toBe('generic')
    expect(fs.readFileSync(path.join(root, 'mine'), 'utf8')).toBe('mine')
    const result = await read(storage, 1, 100, 50)
    expect(Buffer.concat(result.views).equals(fileBytes(FILES, CONTENT, 1))).toBe(true)
    result.release()
  })

  test('of two files with the same name the first one is written, also when it is not open', async () => {
    const two = new MadeLayout(PIECE, [
      { path: 't/a', size: PIECE },
      { path: 't/b', size: PIECE },
    ])
    const content = contentOf(two)
    const renamed = new Map([
      [0, 'x/same'],
      [1, `${root}//x/./same`],
    ])
    const storage = disk.addStorage(optionsFor(two, root, { renamed }))
    const collision = ['torrent file collides with file from another torrent', 'file_open', 1]
    expect(told((await commit(storage, two, content, 1)).error)).toEqual(collision)
    expect((await commit(storage, two, content, 0)).error).toBeNull()
    await run<[DiskError | null]>(done => disk.releaseFiles(storage, done))
    expect(told((await commit(storage, two, content, 1)).error)).toEqual(collision)
    expect(fs.readFileSync(path.join(root, 'x/same')).equals(fileBytes(two, content, 0))).toBe(true)
    expect(await run<[DiskError | null]>(done => disk.renameFile(storage, 1, 'x/other', done))).toEqual([null])
    expect((await commit(storage, two, content, 1)).error).toBeNull()
    expect(fs.readFileSync(path.join(root, 'x/same')).equals(fileBytes(two, content, 0))).toBe(true)
    expect(fs.readFileSync(path.join(root, 'x/other')).equals(fileBytes(two, content, 1))).toBe(true)
  })

  test('two torrents that name one file in two ways do not both write it', async () => {
    const one = disk.addStorage(optionsFor(FILES, root, { renamed: new Map([[0, `${root}/./same`]]) }))
    const two = disk.addStorage(optionsFor(FILES, root, { renamed: new Map([[0, 'x//../same']]) }))
    expect((await commit(one, FILES, CONTENT, 0)).error).toBeNull()
    expect(told((await commit(two, FILES, CONTENT, 0)).error)).toEqual([
      'torrent file collides with file from another torrent',
      'file_open',
      0,
    ])
  })

  test('a directory where a file should be is not renamed', async () => {
    const storage = disk.addStorage(optionsFor(FILES, root))
    fs.mkdirSync(path.join(root, FILES.filePath(1), 'mine'), { recursive: true })
    const [error] = await run<[DiskError | null]>(done => disk.renameFile(storage, 1, 'other', done))
    expect(told(error)).toEqual(['Is a directory', 'file_rename', 1])
    expect(fs.existsSync(path.join(root, FILES.filePath(1), 'mine'))).toBe(true)
  })

  test('deleting leaves what is not ours', async () => {
    const storage = disk.addStorage(optionsFor(FILES, root))
    await writeAll(run, disk, storage, FILES, CONTENT)
    fs.writeFileSync(path.join(root, 't/mine'), '')
    const [error] = await run<[DiskError | null]>(done => disk.deleteFiles(storage, 1, done))
    expect(told(error)).toEqual(['Directory not empty', 'file_remove', -1])
    expect(fs.readdirSync(path.join(root, 't'))).toEqual(['mine'])
  })
})

test('a move to another device copies, holes included', async () => {
  // On most systems /dev/shm is a file system of its own; where it is not this is a move like any other.
  const shm = fs.mkdtempSync(fs.existsSync('/dev/shm') ? '/dev/shm/disk-io-' : path.join(root, 'shm-'))
  try {
    const sparse = new MadeLayout(PIECE, [{ path: 'x/holes', size: 64 * PIECE }])
    const content = contentOf(sparse)
    const storage = disk.addStorage(optionsFor(sparse, root))
    await commit(storage, sparse, content, 40)
    const to = path.join(shm, 'to')
    const moved = await run<[DiskError | null, string, boolean]>(done => disk.moveStorage(storage, to, 0, done))
    expect(moved).toEqual([null, to, false])
    expect(fs.existsSync(path.join(root, 'x'))).toBe(false)
    const stat = fs.statSync(path.join(to, 'x/holes'))
    expect(stat.size).toBe(64 * PIECE)
    expect(stat.blocks * 512).toBeLessThan(32 * PIECE)
    const result = await read(storage, 40, 0, PIECE)
    expect(Buffer.concat(result.views).equals(pieceOf(sparse, content, 40))).toBe(true)
    result.release()
  } finally {
    fs.rmSync(shm, { recursive: true, force: true })
  }
})

describe('checking', () => {
  const LINKED = new MadeLayout(PIECE, [
    { path: 'k/data', size: PIECE },
    { path: 'k/sub/empty', size: 0 },
    { path: 'k/sub/link', size: 0, flags: SYMLINK, target: 'k/data' },
  ])

  test('makes empty files and relative links', async () => {
    const storage = disk.addStorage(optionsFor(LINKED, root))
    expect((await check(storage, null)).status).toBe(CheckStatus.noFiles)
    expect(fs.statSync(path.join(root, 'k/sub/empty')).size).toBe(0)
    expect(fs.readlinkSync(path.join(root, 'k/sub/link'))).toBe('../data')
    expect((await check(storage, null)).status).toBe(CheckStatus.noFiles)
  })

  test('resume data of a seed needs every file at its size', async () => {
    const storage = disk.addStorage(optionsFor(FILES, root))
    await writeAll(run, disk, storage, FILES, CONTENT)
    const all = new Bitfield(FILES.numPieces(), true)
    expect((await check(storage, all)).status).toBe(CheckStatus.ok)
    await run<[DiskError | null]>(done => disk.releaseFiles(storage, done))
    fs.truncateSync(path.join(root, 't/b'), 10)
    const short = await check(storage, all)
    expect([short.status, told(short.error)]).toEqual([
      CheckStatus.needFullCheck,
      ['mismatching file size', 'check_resume', 1],
    ])
    fs.rmSync(path.join(root, 't/a'))
    const gone = await check(storage, all)
    expect([gone.status, told(gone.error)]).toEqual([
      CheckStatus.needFullCheck,
      ['mismatching file size', 'file_stat', 0],
    ])
    expect((await check(storage, all, TorrentFlags.noVerifyFiles)).status).toBe(CheckStatus.ok)
  })

  test('resume data of a part needs only the files it has pieces of', async () => {
    const storage = disk.addStorage(optionsFor(FILES, root))
    await commit(storage, FILES, CONTENT, 3)
    const have = new Bitfield(FILES.numPieces())
    have.setBit(3)
    expect((await check(storage, have)).status).toBe(CheckStatus.ok)
    have.setBit(0)
    expect(told((await check(storage, have)).error)).toEqual(['mismatching file size', 'file_stat', 0])
  })

  test('a file that is too long is named', async () => {
    fs.mkdirSync(path.join(root, 't'))
    fs.writeFileSync(path.join(root, 't/b'), Buffer.alloc(99))
    const storage = disk.addStorage(optionsFor(FILES, root))
    const result = await check(storage, null)
    expect([result.status, result.oversizedFile]).toEqual([CheckStatus.needFullCheck, 1])
  })

  test('files that another torrent has are linked, and then need a check', async () => {
    const source = disk.addStorage(optionsFor(FILES, path.join(root, 'old')))
    await writeAll(run, disk, source, FILES, CONTENT)
    const storage = disk.addStorage(optionsFor(FILES, path.join(root, 'new')))
    const links = [path.join(root, 'old/t/a'), '', '', '']
    expect((await check(storage, null, 0, links)).status).toBe(CheckStatus.needFullCheck)
    expect(fs.statSync(path.join(root, 'new/t/a')).ino).toBe(fs.statSync(path.join(root, 'old/t/a')).ino)
    const broken = await check(storage, null, 0, ['', path.join(root, 'nowhere'), '', ''])
    expect(told(broken.error)).toEqual(['No such file or directory', 'file_hard_link', 1])
  })
})

describe('a disk that hangs', () => {
  /** Opening a FIFO blocks until its other end is opened: as good as a dead mount. */
  test('does not hold up other storages, and is only held to a quarter of the slots when it has failed', async () => {
    const hung = new MadeLayout(PIECE, [{ path: 'fifo', size: 8 * PIECE }])
    execFileSync('mkfifo', [path.join(root, 'fifo')])
    const stuck = disk.addStorage(optionsFor(hung, root))
    let ended = 0
    for (let piece = 0; piece < 8; piece++) {
      disk.read(stuck, piece, 0, BLOCK, {}, result => {
        result.release()
        expect(result.error).not.toBeNull()
        ended++
      })
    }
    disk.submit()
    const storage = disk.addStorage(optionsFor(FILES, path.join(root, 'fine')))
    for (let piece = 0; piece < FILES.numPieces(); piece++) {
      expect((await commit(storage, FILES, CONTENT, piece)).error).toBeNull()
    }
    await run<[DiskError | null]>(done => disk.stop(storage, done))
    expect(ended).toBe(0)
    // Wakes the workers: each positioned read of a FIFO fails at once.
    const writer = fs.openSync(path.join(root, 'fifo'), fs.constants.O_RDWR)
    await until(() => ended === 8, 'the hung reads')
    fs.closeSync(writer)
  })

  test('a storage in error keeps to a quarter of the slots until a write succeeds', async () => {
    fs.mkdirSync(path.join(root, 't/a'), { recursive: true })
    const storage = disk.addStorage(optionsFor(FILES, root))
    await commit(storage, FILES, CONTENT, 0)
    const held: number[] = []
    for (let slot = disk.slots.allocate(storage); slot >= 0; slot = disk.slots.allocate(storage)) held.push(slot)
    expect(held.length).toBe(disk.slots.budget / 4)
    expect(disk.slots.underPressureFor(storage)).toBe(true)
    expect(disk.slots.underPressure).toBe(false)
    for (const slot of held) disk.slots.release(slot)
    fs.rmdirSync(path.join(root, 't/a'))
    await commit(storage, FILES, CONTENT, 0)
    expect(disk.slots.underPressureFor(storage)).toBe(false)
  })
})

test('blocks in the read cache are whole messages, and are there at once the second time', async () => {
  const storage = disk.addStorage(optionsFor(FILES, root))
  await commit(storage, FILES, CONTENT, 0)
  const length = pieceOf(FILES, CONTENT, 0).length
  const flags = { framed: true }
  expect(disk.readCached!(storage, 0, 0, length, flags)).toBeNull()
  const [first] = await run<[ReadResult]>(done => disk.read(storage, 0, 0, length, flags, done))
  const second = disk.readCached!(storage, 0, 0, length, flags)!
  expect([first.framed, second.framed]).toEqual([true, true])
  const bytes = Buffer.concat(first.views)
  expect(bytes.length).toBe(length + Math.ceil(length / BLOCK) * 13)
  expect(Buffer.concat(second.views).equals(bytes)).toBe(true)
  const plain = disk.readCached!(storage, 0, 0, length, {})!
  expect(Buffer.concat(plain.views).equals(pieceOf(FILES, CONTENT, 0))).toBe(true)
  // a part of a block is no message of the cache
  const part = disk.readCached!(storage, 0, 0, BLOCK + 100, flags)!
  expect(part.framed).not.toBe(true)
  expect(Buffer.concat(part.views).equals(pieceOf(FILES, CONTENT, 0).subarray(0, BLOCK + 100))).toBe(true)
  for (const result of [first, second, plain, part]) result.release()
})

test('reads go on when readers hold all the memory of the read cache', async () => {
  const large = new MadeLayout(64 * BLOCK, [{ path: 'large', size: 64 * BLOCK * 2 }])
  const content = contentOf(large)
  const small = createNodeDisk({ settings: SETTINGS, readCacheBytes: 16 * BLOCK })
  const storage = small.addStorage(optionsFor(large, root))
  fs.writeFileSync(path.join(root, 'large'), content)
  const results: ReadResult[] = []
  for (let offset = 0; offset < 64 * BLOCK; offset += 4 * BLOCK) {
    small.read(storage, 1, offset, 4 * BLOCK, {}, result => results.push(result))
  }
  await untilTrue(
    () => results.length === 16,
    'all reads',
    () => small.submit(),
  )
  const all = Buffer.concat(results.flatMap(result => [...result.views]))
  expect(all.length).toBe(64 * BLOCK)
  expect(results.every(result => result.error === null)).toBe(true)
  for (const result of results) result.release()
  let over = false
  small.close(() => {
    over = true
  })
  await until(() => over, 'the end of the small disk')
})

describe('what goes wrong where nobody expects it', () => {
  let crashes: unknown[] = []
  let other: DiskIo

  beforeEach(() => {
    crashes = []
    other = createNodeDisk({
      settings: SETTINGS,
      turn: fn => {
        try {
          fn()
        } catch (error) {
          crashes.push(error)
        }
      },
    })
  })

  afterEach(async () => {
    let over = false
    other.close(() => {
      over = true
    })
    await until(() => over, 'the end of the other disk')
  })

  async function readOf(storage: StorageHandle): Promise<ReadResult> {
    let result: ReadResult | null = null
    other.read(storage, 0, 0, 100, {}, r => {
      result = r
    })
    await untilTrue(
      () => result !== null,
      'a read',
      () => other.submit(),
    )
    return result!
  }

  test('fails its job, is told in a turn, and does nothing to the jobs after it', async () => {
    const broken = new MadeLayout(PIECE, [{ path: 't/a', size: PIECE }])
    const storage = other.addStorage(optionsFor(broken, root))
    fs.mkdirSync(path.join(root, 't'))
    fs.writeFileSync(path.join(root, 't/a'), contentOf(broken))
    const bug = new Error('a bug')
    broken.fileSize = () => {
      throw bug
    }
    const failed = await readOf(storage)
    expect(failed.error!.code.message()).toBe('Input/output error')
    expect(operationName(failed.error!.operation)).toBe('exception')
    expect(crashes).toEqual([bug])
    const whole = other.addStorage(optionsFor(new MadeLayout(PIECE, [{ path: 't/a', size: PIECE }]), root))
    const good = await readOf(whole)
    expect(good.error).toBeNull()
    good.release()
    expect((await readOf(storage)).error).not.toBeNull()
  })

  test('a worker that dies fails its jobs, and the next ones get another worker', async () => {
    // a message that no worker can make sense of: it throws outside of all jobs
    const poisoned = new MadeLayout(PIECE, [{ path: 't/a', size: PIECE }])
    const storage = other.addStorage(optionsFor(poisoned, root))
    const { postMessage } = Worker.prototype
    const fatal = vi.spyOn(Worker.prototype, 'postMessage').mockImplementation(function (this: Worker, message) {
      postMessage.call(this, message.type === 'jobs' ? { type: 'jobs', jobs: null } : message)
    })
    const failed = await readOf(storage)
    fatal.mockRestore()
    expect(failed.error!.code.message()).toBe('Input/output error')
    expect(crashes.map(String)).toEqual([expect.stringContaining('TypeError')])
    fs.mkdirSync(path.join(root, 't'))
    fs.writeFileSync(path.join(root, 't/a'), contentOf(poisoned))
    const good = await readOf(storage)
    expect(good.error).toBeNull()
    good.release()
  })
})

test('a part file that was deleted while the torrent was stopped is made anew, with its header', async () => {
  const shared = new MadeLayout(PIECE, [
    { path: 's/wanted', size: PIECE + 100 },
    { path: 's/unwanted', size: 2 * PIECE },
  ])
  const content = contentOf(shared)
  const storage = disk.addStorage(optionsFor(shared, root, { filePriorities: [4, 0], partFileName: '.x.parts' }))
  await commit(storage, shared, content, 1)
  await run<[DiskError | null]>(done => disk.stop(storage, done))
  fs.rmSync(path.join(root, '.x.parts'))
  await commit(storage, shared, content, 3)
  const part = fs.readFileSync(path.join(root, '.x.parts'))
  expect([part.readUInt32BE(0), part.readUInt32BE(4), part.readUInt32BE(8 + 3 * 4)]).toEqual([4, PIECE, 1])
})

describe('statistics', () => {
  test('count jobs while there are some, by kind, and those that a fence holds back', async () => {
    const storage = disk.addStorage(optionsFor(FILES, root))
    await writeAll(run, disk, storage, FILES, CONTENT)
    const { fenced: none, ...idle } = disk.stats()
    expect(idle).toMatchObject({ readJobs: 0, writeJobs: 0, blockedJobs: 0, writingThreads: 0 })
    expect(idle.threads).toBeGreaterThan(0)
    const ends: string[] = []
    const bytes = pieceOf(FILES, CONTENT, 0)
    disk.read(storage, 0, 0, 100, {}, result => {
      result.release()
      ends.push('read')
    })
    disk.renameFile(storage, 1, 't/c', () => ends.push('rename'))
    disk.stop(storage, () => ends.push('stop'))
    disk.commitPiece(storage, 0, fillSlots(disk, bytes), { v1: sha1(bytes), v2: null }, false, () => ends.push('write'))
    const busy = disk.stats()
    expect(busy).toMatchObject({ readJobs: 1, writeJobs: 1, blockedJobs: 3 })
    expect(busy.fenced).toEqual({ ...none, renameFile: 1, stop: 1 })
    await until(() => ends.length === 4, 'all jobs')
    expect(disk.stats()).toMatchObject({ readJobs: 0, writeJobs: 0, blockedJobs: 0, fenced: none })
  })

  test('tell of open files, and of blocks read again to hash their piece', async () => {
    const storage = disk.addStorage(optionsFor(FILES, root))
    const bytes = pieceOf(FILES, CONTENT, 0)
    const [slot, other] = fillSlots(disk, bytes)
    await run(done => disk.spill(storage, 0, [{ block: 0, slot: slot! }], done))
    const before = disk.stats()
    expect(before.filePoolSize).toBe(1)
    expect(before.filePoolMisses).toBe(1)
    expect(before.blocksReadBack).toBe(0)
    await run(done => disk.commitPiece(storage, 0, ['disk', other!], { v1: sha1(bytes), v2: null }, false, done))
    const after = disk.stats()
    expect(after.blocksReadBack).toBe(1)
    expect(after.filePoolHits + after.filePoolMisses).toBeGreaterThan(1)
    await run(done => disk.releaseFiles(storage, done))
    expect(disk.stats().filePoolSize).toBe(0)
  })
})
