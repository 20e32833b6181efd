/** Files that torrents share, on real file systems. */

import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MoveFlags, StorageMode } from '../../src/core/enums.ts'
import { operationName } from '../../src/core/operation.ts'
import {
  type CheckResult,
  CheckStatus,
  type CommitResult,
  type DiskError,
  type DiskIo,
  type ReadResult,
  type StorageHandle,
  type StorageOptions,
} from '../../src/storage/disk-io.ts'
import { BLOCK, contentOf, fillSlots, MadeLayout, optionsFor, pieceOf, type Runner, sha1 } from './disk-io-lib.ts'
import { nodeDiskWorld, untilTrue } from './disk-io-worlds.ts'

const PIECE = 2 * BLOCK
const FILES = new MadeLayout(PIECE, [{ path: 't/a', size: 3 * PIECE + 9 }])
const CONTENT = contentOf(FILES)
/** Another directory, on another device if there is one that can be written to. */
const ELSEWHERE = ['/dev/shm', '/run/shm', os.homedir(), '/var/tmp'].find(directory => isOtherDevice(directory))

let disk: DiskIo
let root: string
let far: string
let cleanUp: () => void

beforeEach(() => {
  const world = nodeDiskWorld.make()
  disk = world.disk
  root = world.savePath
  far = fs.mkdtempSync(path.join(ELSEWHERE ?? root, 'far-'))
  cleanUp = () => {
    world.cleanUp()
    fs.rmSync(far, { recursive: true, force: true })
  }
})

afterEach(async () => {
  let over = false
  disk.close(() => {
    over = true
  })
  await untilTrue(
    () => over,
    'the end of the disk',
    () => disk.submit(),
  )
  cleanUp()
})

function isOtherDevice(directory: string): boolean {
  try {
    fs.accessSync(directory, fs.constants.W_OK)
    return fs.statSync(directory).dev !== fs.statSync(os.tmpdir()).dev
  } catch {
    return false // there is no such directory here
  }
}

const run: Runner = async start => {
  let result: unknown[] | undefined
  start((...args) => {
    result = args
  })
  await untilTrue(
    () => result !== undefined,
    'the end of a job',
    () => disk.submit(),
  )
  return result as never
}

function add(directory: string, more: Partial<StorageOptions> = {}, layout = FILES): StorageHandle {
  return disk.addStorage(optionsFor(layout, directory, more))
}

async function check(storage: StorageHandle, link: string): Promise<CheckResult> {
  return (await run<[CheckResult]>(done => disk.checkFiles(storage, null, link === '' ? [] : [link], done)))[0]
}

/** @param flip changes the bytes */
async function commit(storage: StorageHandle, piece: number, flip = 0): Promise<CommitResult> {
  const bytes = pieceOf(FILES, CONTENT, piece).map(byte => byte ^ flip)
  const slots = fillSlots(disk, bytes)
  const hashes = { v1: sha1(bytes), v2: null }
  return (await run<[CommitResult]>(done => disk.commitPiece(storage, piece, slots, hashes, false, done)))[0]
}

async function write(storage: StorageHandle): Promise<void> {
  for (let piece = 0; piece < FILES.numPieces(); piece++) expect((await commit(storage, piece)).error).toBeNull()
}

async function read(storage: StorageHandle, piece: number): Promise<Buffer> {
  const length = pieceOf(FILES, CONTENT, piece).length
  const [result] = await run<[ReadResult]>(done => disk.read(storage, piece, 0, length, {}, done))
  expect(result.error).toBeNull()
  const bytes = Buffer.concat(result.views)
  result.release()
  return bytes
}

function told(error: DiskError | null): readonly [string, string, number] | null {
  return error === null ? null : [error.code.message(), operationName(error.operation), error.file]
}

function list(directory: string): string[] {
  return fs.readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()
}

/** What piece 1 of a linked file is after it was written anew. */
function withNewPiece(): Buffer {
  const out = Buffer.from(CONTENT)
  for (let i = PIECE; i < 2 * PIECE; i++) out[i]! ^= 255
  return out
}

const COLLISION = ['torrent file collides with file from another torrent', 'file_open', 0]

describe('a link', () => {
  test('is one file of two names; a symbolic link on the way is followed', async () => {
    const old = add(path.join(root, 'old'))
    await write(old)
    fs.symlinkSync(path.join(root, 'old/t/a'), path.join(root, 'by-way'))
    expect((await check(add(path.join(root, 'new')), path.join(root, 'by-way'))).status).toBe(CheckStatus.needFullCheck)
    const [one, two] = ['old/t/a', 'new/t/a'].map(name => fs.lstatSync(path.join(root, name)))
    expect([two!.ino, two!.isFile(), two!.nlink]).toEqual([one!.ino, true, 2])
  })

  test('is not made to a directory, or to a file that has grown', async () => {
    await write(add(path.join(root, 'old')))
    const storage = add(path.join(root, 'new'))
    expect(told((await check(storage, path.join(root, 'old/t'))).error)).toEqual([
      'mismatching file size',
      'file_hard_link',
      0,
    ])
    fs.appendFileSync(path.join(root, 'old/t/a'), 'x')
    expect(told((await check(storage, path.join(root, 'old/t/a'))).error)).toEqual([
      'mismatching file size',
      'file_hard_link',
      0,
    ])
    expect(fs.existsSync(path.join(root, 'new'))).toBe(false)
  })

  test('is undone before the file is written to; the other torrent keeps what it has', async () => {
    const old = add(path.join(root, 'old'))
    await write(old)
    await run<[DiskError | null]>(done => disk.releaseFiles(old, done))
    fs.chmodSync(path.join(root, 'old/t/a'), 0o640)
    const storage = add(path.join(root, 'new'))
    await check(storage, path.join(root, 'old/t/a'))
    // descriptors of what is to be replaced, in as many workers as take part
    await Promise.all([0, 1, 2, 3].map(piece => read(storage, piece)))
    expect((await commit(storage, 1, 255)).error).toBeNull()
    const [one, two] = ['old/t/a', 'new/t/a'].map(name => fs.statSync(path.join(root, name)))
    expect([one!.nlink, two!.nlink, two!.mode & 0o777]).toEqual([1, 1, 0o640])
    expect(fs.readFileSync(path.join(root, 'old/t/a')).equals(CONTENT)).toBe(true)
    expect(fs.readFileSync(path.join(root, 'new/t/a')).equals(withNewPiece())).toBe(true)
    for (const piece of [0, 1, 2, 3]) {
      expect((await read(storage, piece)).equals(pieceOf(FILES, withNewPiece(), piece)), `piece ${piece}`).toBe(true)
    }
    expect(list(root)).toEqual(['new', 'new/t', 'new/t/a', 'old', 'old/t', 'old/t/a'])
    // once is enough
    const { ino } = fs.statSync(path.join(root, 'new/t/a'))
    await run<[DiskError | null]>(done => disk.releaseFiles(storage, done))
    expect((await commit(storage, 2, 255)).error).toBeNull()
    expect(fs.statSync(path.join(root, 'new/t/a')).ino).toBe(ino)
  })

  test.each([
    ['by a torrent that was not checked', false, StorageMode.storageModeSparse],
    ['by one that gives files their space first', true, StorageMode.storageModeAllocate],
    ['by one that was not checked and gives files their space', false, StorageMode.storageModeAllocate],
  ])('that somebody else has made is undone too, before the file is written to %s', async (_name, checked, mode) => {
    fs.mkdirSync(path.join(root, 'new/t'), { recursive: true })
    // a file that is too long is cut, which must not reach the other name either
    fs.writeFileSync(path.join(root, 'precious'), Buffer.concat([CONTENT, Buffer.from('more')]))
    fs.linkSync(path.join(root, 'precious'), path.join(root, 'new/t/a'))
    const storage = add(path.join(root, 'new'), { mode })
    if (checked) await check(storage, '')
    const results = await Promise.all([1, 2].map(piece => commit(storage, piece, piece === 1 ? 255 : 0)))
    expect(results.map(result => result.error)).toEqual([null, null])
    expect(fs.readFileSync(path.join(root, 'precious')).toString('latin1')).toBe(
      `${Buffer.from(CONTENT).toString('latin1')}more`,
    )
    expect(fs.readFileSync(path.join(root, 'new/t/a')).equals(withNewPiece())).toBe(true)
  })

  test('is undone if the file was moved onto it without a check, or renamed', async () => {
    fs.mkdirSync(path.join(root, 'new/t'), { recursive: true })
    fs.mkdirSync(path.join(root, 'other'))
    for (const name of ['new/t/a', 'other/b']) {
      fs.writeFileSync(path.join(root, `${name}.precious`), CONTENT)
      fs.linkSync(path.join(root, `${name}.precious`), path.join(root, name))
    }
    const storage = add(path.join(root, 'nowhere'))
    await check(storage, '')
    const to = path.join(root, 'new')
    await run<unknown[]>(done => disk.moveStorage(storage, to, MoveFlags.resetSavePathUnchecked, done))
    expect((await commit(storage, 1, 255)).error).toBeNull()
    fs.rmSync(path.join(root, 'new/t/a'))
    await run<[DiskError | null]>(done => disk.renameFile(storage, 0, path.join(root, 'other/b'), done))
    expect((await commit(storage, 1, 255)).error).toBeNull()
    for (const name of ['new/t/a', 'other/b']) {
      expect(fs.readFileSync(path.join(root, `${name}.precious`)).equals(CONTENT), name).toBe(true)
    }
    expect(fs.readFileSync(path.join(root, 'other/b')).equals(withNewPiece())).toBe(true)
  })

  test.each([
    ['moved', (storage: StorageHandle) => disk.moveStorage(storage, path.join(root, 'there'), 0, () => {})],
    ['renamed', (storage: StorageHandle) => disk.renameFile(storage, 0, 't/b', () => {})],
  ])('is not taken for one where a file is %s while writes wait', async (_how, begin) => {
    const storage = add(path.join(root, 'here'))
    await check(storage, '')
    expect((await commit(storage, 0)).error).toBeNull()
    begin(storage)
    const results = await Promise.all([1, 2].map(piece => commit(storage, piece)))
    expect(results.map(({ error }) => told(error))).toEqual([null, null])
    expect((await commit(storage, 3)).error).toBeNull()
    expect(list(root).filter(name => fs.statSync(path.join(root, name)).isFile()).length).toBe(1)
  })

  test('that is there when a file is moved onto it is undone before the next write', async () => {
    fs.mkdirSync(path.join(root, 'there/t'), { recursive: true })
    fs.writeFileSync(path.join(root, 'precious'), CONTENT)
    fs.linkSync(path.join(root, 'precious'), path.join(root, 'there/t/a'))
    const storage = add(path.join(root, 'here'))
    await check(storage, '')
    const to = path.join(root, 'there')
    await run<unknown[]>(done => disk.moveStorage(storage, to, MoveFlags.dontReplace, done))
    expect((await commit(storage, 1, 255)).error).toBeNull()
    expect(fs.readFileSync(path.join(root, 'precious')).equals(CONTENT)).toBe(true)
    expect(fs.readFileSync(path.join(root, 'there/t/a')).equals(withNewPiece())).toBe(true)
  })

  test('that cannot be undone keeps the file from being written to', async () => {
    await write(add(path.join(root, 'old')))
    const storage = add(path.join(root, 'new'))
    await check(storage, path.join(root, 'old/t/a'))
    const inTheWay = path.join(root, 'new/t/.0123456789abcdef.0.copy')
    fs.mkdirSync(path.join(inTheWay, 'x'), { recursive: true })
    expect((await commit(storage, 1, 255)).error).not.toBeNull()
    expect((await commit(storage, 2, 255)).error).not.toBeNull()
    expect(fs.readFileSync(path.join(root, 'old/t/a')).equals(CONTENT)).toBe(true)
    fs.rmSync(inTheWay, { recursive: true })
    expect((await commit(storage, 1, 255)).error).toBeNull()
    expect(fs.readFileSync(path.join(root, 'old/t/a')).equals(CONTENT)).toBe(true)
    expect(fs.readFileSync(path.join(root, 'new/t/a')).equals(withNewPiece())).toBe(true)
  })
})

test('there is another device to test copies on: else link-files.test.ts is all there is', () => {
  if (ELSEWHERE === undefined) console.warn('no second device: copies are tested with a made-up link call only')
  expect(far).not.toBe('')
})

describe.runIf(ELSEWHERE !== undefined)('to another device', () => {
  test('a file is copied, and nothing else is left there', async () => {
    await write(add(path.join(root, 'old')))
    const result = await check(add(path.join(far, 'new')), path.join(root, 'old/t/a'))
    expect([result.status, result.error]).toEqual([CheckStatus.needFullCheck, null])
    expect(list(far)).toEqual(['new', 'new/t', 'new/t/a'])
    expect(fs.readFileSync(path.join(far, 'new/t/a')).equals(CONTENT)).toBe(true)
    expect(fs.statSync(path.join(far, 'new/t/a')).nlink).toBe(1)
  })

  test('a half-made copy of a crash does no harm', async () => {
    await write(add(path.join(root, 'old')))
    fs.mkdirSync(path.join(far, 'new/t'), { recursive: true })
    fs.writeFileSync(path.join(far, 'new/t/.0123456789abcdef.0.copy'), 'half')
    expect((await check(add(path.join(far, 'new')), path.join(root, 'old/t/a'))).error).toBeNull()
    expect(list(far)).toEqual(['new', 'new/t', 'new/t/a'])
  })

  const LARGE = new MadeLayout(16 << 20, [{ path: 't/large', size: 90 << 20 }])

  function makeLarge(): string {
    const file = path.join(root, 'large')
    fs.writeFileSync(file, '')
    fs.truncateSync(file, 90 << 20)
    const fd = fs.openSync(file, 'r+')
    for (const at of [0, 17 << 20, (90 << 20) - 5]) fs.writeSync(fd, Buffer.from('bytes'), 0, 5, at)
    fs.closeSync(fd)
    return file
  }

  test('a large file is copied in steps, holes as holes, and others get their turn', async () => {
    const file = makeLarge()
    let checked: CheckResult | null = null
    const order: string[] = []
    disk.checkFiles(add(far, {}, LARGE), null, [file], result => {
      checked = result
      order.push('copied')
    })
    disk.submit()
    const other = add(path.join(root, 'other'))
    for (let piece = 0; piece < 4; piece++) await commit(other, piece)
    order.push('written')
    await untilTrue(
      () => checked !== null,
      'the copy',
      () => disk.submit(),
    )
    expect(checked!.error).toBeNull()
    const copy = fs.readFileSync(path.join(far, 't/large'))
    expect(copy.equals(fs.readFileSync(file))).toBe(true)
    expect(fs.statSync(path.join(far, 't/large')).blocks * 512).toBeLessThan(8 << 20)
    expect(new Set(order)).toEqual(new Set(['copied', 'written']))
  })

  test.each(['abandoned', 'deleted', 'removed', 'closed'])('a copy of a torrent that is %s ends soon', async how => {
    const file = makeLarge()
    const storage = add(far, {}, LARGE)
    let checked = 0
    disk.checkFiles(storage, null, [file], () => checked++)
    disk.submit()
    if (how === 'abandoned') disk.abandonCopies!(storage)
    if (how === 'deleted') disk.deleteFiles(storage, 1, () => {})
    if (how === 'removed') disk.removeStorage(storage)
    if (how === 'closed') {
      const before = disk
      let over = false
      before.close(() => {
        over = true
      })
      const next = nodeDiskWorld.make()
      disk = next.disk
      const first = cleanUp
      cleanUp = () => {
        first()
        next.cleanUp()
      }
      await untilTrue(
        () => over,
        'the end of the disk',
        () => before.submit(),
      )
    }
    await untilTrue(
      () => checked > 0,
      'the check',
      () => disk.submit(),
    )
    expect(checked).toBe(1)
    expect(list(far).filter(name => name !== 't')).toEqual([])
  })

  test('a copy that fails leaves nothing', async () => {
    const file = makeLarge()
    const storage = add(far, {}, LARGE)
    let result: CheckResult | null = null
    disk.checkFiles(storage, null, [file], r => {
      result = r
    })
    disk.submit()
    await untilTrue(
      () => fs.existsSync(path.join(far, 't/.0123456789abcdef.0.copy')) || result !== null,
      'the copy to begin',
      () => {},
    )
    fs.truncateSync(file, 1000)
    await untilTrue(
      () => result !== null,
      'the check',
      () => disk.submit(),
    )
    // or the copy was faster
    if (result!.error !== null) {
      expect(list(far).filter(name => name !== 't')).toEqual([])
      expect(result!.error.file).toBe(0)
    } else expect(fs.statSync(path.join(far, 't/large')).size).toBe(90 << 20)
  })
})

describe('a file that is in two torrents under one path', () => {
  test.each([
    ['grow', StorageMode.storageModeSparse],
    ['are given their space', StorageMode.storageModeAllocate],
  ])('is written by one of them at a time: files that %s', async (_name, mode) => {
    const one = add(root, { mode })
    const two = add(root, { mode, partFileName: '.fedcba.parts' })
    expect((await commit(one, 0)).error).toBeNull()
    expect(told((await commit(two, 1)).error)).toEqual(COLLISION)
    expect((await commit(one, 1)).error).toBeNull()
    // both may read
    expect((await read(two, 1)).equals(pieceOf(FILES, CONTENT, 1))).toBe(true)
    await run<[DiskError | null]>(done => disk.releaseFiles(one, done))
    expect((await commit(two, 2)).error).toBeNull()
    expect(told((await commit(one, 3)).error)).toEqual(COLLISION)
    disk.removeStorage(two)
    await untilTrue(
      () => disk.stats().fenced.stop === 0 && disk.stats().queuedJobs + disk.stats().runningJobs === 0,
      'the end of a storage',
      () => disk.submit(),
    )
    expect((await commit(one, 3)).error).toBeNull()
  })

  test('stays with who writes it when the other wants it after all', async () => {
    const one = add(root)
    const two = add(root, { partFileName: '.fedcba.parts', filePriorities: [0] })
    expect((await commit(two, 0)).error).toBeNull()
    expect(list(root)).toEqual(['.fedcba.parts'])
    expect((await commit(one, 1)).error).toBeNull()
    const [error, priorities] = await run<[DiskError | null, readonly number[]]>(done =>
      disk.setFilePriorities(two, [4], done),
    )
    expect(told(error)).toEqual(COLLISION)
    expect(priorities).toEqual([0])
  })
})
