import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { operationName } from '../../../src/core/operation.ts'
import { fromWireError, type WireError } from '../../../src/storage/disk-error.ts'
import { JobRunner } from '../../../src/storage/node/job-runner.ts'
import { readFully, WorkerFiles, writeFully, writeViews } from '../../../src/storage/node/worker-files.ts'
import { Slab } from '../../../src/storage/slab.ts'
import {
  BLOCK_NOT_GIVEN,
  BLOCK_ON_DISK,
  SliceFlags,
  type WireCommit,
  type WireHash,
  type WireSlices,
} from '../../../src/storage/worker-protocol.ts'

const BLOCK = 16384

let root: string
let files: WorkerFiles
let slab: Slab
let runner: JobRunner

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'job-runner-'))
  files = new WorkerFiles(8)
  slab = new Slab({ budgetBytes: 1 << 24, defer: fn => fn() })
  slab.release(slab.allocate())
  runner = new JobRunner(files, [slab.segments(), []])
})

afterEach(() => {
  files.closeAll()
  fs.rmSync(root, { recursive: true, force: true })
})

function sha1(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha1').update(bytes).digest())
}

function commit(slices: WireSlices, slots: readonly number[], more: Partial<WireCommit> = {}): WireCommit {
  let pieceSize = 0
  for (let s = 0; s < slices.length; s += 6) pieceSize += slices[s + 4] as number
  return {
    op: 0,
    id: 1,
    cell: 0,
    storage: 1,
    slices,
    slots,
    pieceSize,
    pieceLength: 4 * BLOCK,
    v1: null,
    v2: null,
    blocks: null,
    wantBlockHashes: false,
    part: null,
    sync: false,
    ...more,
  }
}

function told(error: WireError | null): readonly [string, string, number] | null {
  const e = fromWireError(error)
  return e === null ? null : [e.code.message(), operationName(e.operation), e.file]
}

const never = (): boolean => false

describe('a worker', () => {
  test('answers a full disk with the system error, and goes on working', () => {
    const slot = slab.allocateRun(1)
    const full = runner.run(commit([3, 0, '/dev/full', 0, BLOCK, BLOCK], [slot]), never)
    expect(told(full.error)).toEqual(['No space left on device', 'file_write', 3])
    const name = path.join(root, 'deep/er/file')
    const fine = runner.run(commit([3, SliceFlags.truncate, name, 0, BLOCK, BLOCK], [slot], { sync: true }), never)
    expect(fine.error).toBeNull()
    expect(fs.statSync(name).size).toBe(BLOCK)
    expect(fine.files).toEqual([0, 1, 3, 0, 1, 1, 3, 2])
  })

  test('writes only the blocks that were given, and hashes the others from disk', () => {
    const name = path.join(root, 'f')
    const bytes = Uint8Array.from({ length: 4 * BLOCK }, (_, i) => (i * 7) >> 5)
    fs.writeFileSync(name, Buffer.alloc(4 * BLOCK))
    const run = slab.allocateRun(4)
    for (let i = 0; i < 4; i++) slab.copyIn(run + i, 0, bytes.subarray(i * BLOCK, (i + 1) * BLOCK))
    const slices: WireSlices = [0, 0, name, 0, 4 * BLOCK, 4 * BLOCK]
    runner.run(commit(slices, [run, BLOCK_NOT_GIVEN, run + 2, BLOCK_NOT_GIVEN]), never)
    const partly = fs.readFileSync(name)
    expect(partly.subarray(BLOCK, 2 * BLOCK).every(b => b === 0)).toBe(true)
    expect(partly.subarray(2 * BLOCK, 3 * BLOCK).equals(bytes.subarray(2 * BLOCK, 3 * BLOCK))).toBe(true)
    const sources = [BLOCK_ON_DISK, run + 1, BLOCK_ON_DISK, run + 3]
    const wrong = runner.run(commit(slices, sources, { v1: new Uint8Array(20) }), never)
    expect([wrong.v1State, told(wrong.error)]).toEqual([2, null])
    expect(fs.readFileSync(name).equals(partly)).toBe(true)
    const right = runner.run(commit(slices, sources, { v1: sha1(bytes) }), never)
    expect([right.v1State, told(right.error)]).toEqual([1, null])
    expect(fs.readFileSync(name).equals(bytes)).toBe(true)
  })

  test('a block that should be on disk and is not fails the commit', () => {
    const slot = slab.allocateRun(1)
    const slices: WireSlices = [0, 0, path.join(root, 'none'), 0, 2 * BLOCK, 2 * BLOCK]
    const answer = runner.run(commit(slices, [slot, BLOCK_ON_DISK], { v1: new Uint8Array(20) }), never)
    expect(told(answer.error)).toEqual(['No such file or directory', 'file_open', 0])
    // The half-fed hasher must not be used again.
    const whole = slab.view(slot).fill(5)
    const next = runner.run(commit([0, 0, path.join(root, 'x'), 0, BLOCK, BLOCK], [slot], { v1: sha1(whole) }), never)
    expect([next.v1State, next.error]).toEqual([1, null])
  })

  test('stops between pieces when its job is cancelled', () => {
    const name = path.join(root, 'h')
    fs.writeFileSync(name, Buffer.alloc(8 * BLOCK))
    const job: WireHash = {
      op: 2,
      id: 1,
      cell: 0,
      storage: 1,
      slices: [0, 0, name, 0, 8 * BLOCK, 8 * BLOCK],
      length: 8 * BLOCK,
      pieceLength: BLOCK,
      v1: true,
      v2: false,
      blockHashes: false,
    }
    let looks = 0
    const answer = runner.run(job, () => ++looks > 3)
    expect(told(answer.error)?.[0]).toBe('Operation canceled')
    expect(answer.v1?.length).toBe(3 * 20)
    const again = runner.run(job, never)
    expect([again.error, again.v1?.length, again.blocksHashed]).toEqual([null, 8 * 20, 8])
  })

  test('reads pieces over many small files with one open each', () => {
    const slices: WireSlices = []
    const all: Buffer[] = []
    for (let i = 0; i < 50; i++) {
      const name = path.join(root, `s${i}`)
      const bytes = Buffer.alloc(100 + i, i)
      fs.writeFileSync(name, bytes)
      all.push(bytes)
      slices.push(i, 0, name, 0, bytes.length, bytes.length)
    }
    const bytes = Buffer.concat(all)
    const job: WireHash = {
      op: 2,
      id: 1,
      cell: 0,
      storage: 1,
      slices,
      length: bytes.length,
      pieceLength: 1000,
      v1: true,
      v2: false,
      blockHashes: false,
    }
    const answer = runner.run(job, never)
    expect(answer.error).toBeNull()
    const expected = []
    for (let at = 0; at < bytes.length; at += 1000) expected.push(sha1(bytes.subarray(at, at + 1000)))
    expect(Buffer.compare(answer.v1!, Buffer.concat(expected))).toBe(0)
    const opened = answer.files!.filter((_, i) => i % 4 === 0).filter(kind => kind === 1).length
    expect(opened).toBe(50)
    expect(files.size).toBe(8)
  })
})

describe('open files', () => {
  test('a name that has changed is opened anew, reading becomes writing, and all are closed on demand', () => {
    const a = path.join(root, 'a')
    fs.writeFileSync(a, 'a')
    const reading = files.openForRead(1, 0, a, 0)
    expect(files.openForRead(1, 0, a, 0)).toBe(reading)
    const writing = files.openForWrite(1, 0, a, 0, 1).fd
    expect(files.openForRead(1, 0, a, 0)).toBe(writing)
    expect(files.takeCounts()).toEqual({ fileHits: 2, fileMisses: 2 })
    expect(files.takeCounts()).toEqual({ fileHits: 0, fileMisses: 0 })
    fs.renameSync(a, path.join(root, 'b'))
    files.openForWrite(1, 0, path.join(root, 'b'), 0, 1)
    expect(files.size).toBe(1)
    files.openForWrite(2, 0, path.join(root, 'c'), 0, 1)
    files.closeStorage(1)
    expect(files.size).toBe(1)
    expect(files.takeEvents()!.length % 4).toBe(0)
    expect(files.takeEvents()).toBeNull()
  })

  test('files that come into being are written in small steps, others in large ones', () => {
    const fresh = files.openForWrite(1, 0, path.join(root, 'fresh'), SliceFlags.truncate, 1 << 20)
    const views = [new Uint8Array(40_000).fill(1), new Uint8Array(30_000).fill(2)]
    expect(writeViews(fresh, views, 0, 7, 0)).toBe(3 + 2)
    const old = path.join(root, 'old')
    fs.writeFileSync(old, new Uint8Array(1 << 20).fill(9))
    expect(writeViews(files.openForWrite(1, 1, old, 0, 1 << 20), views, 0, 7, 1)).toBe(1)
    const expected = Buffer.concat(views)
    for (const name of ['fresh', 'old']) {
      expect(fs.readFileSync(path.join(root, name)).subarray(0, expected.length).equals(expected)).toBe(true)
    }
  })

  test('views of any number and size are written in order', () => {
    const name = path.join(root, 'v')
    const fd = fs.openSync(name, 'w+')
    const views = Array.from({ length: 3000 }, (_, i) => new Uint8Array(i % 7).fill(i & 255))
    writeViews({ fd, step: 1 << 20 }, views, 5, 7, 0)
    const expected = Buffer.concat([Buffer.alloc(5), ...views])
    expect(fs.readFileSync(name).equals(expected)).toBe(true)
    const back = new Uint8Array(expected.length - 5)
    readFully(fd, back, 5, 8, 0)
    expect(Buffer.compare(back, expected.subarray(5))).toBe(0)
    expect(() => readFully(fd, new Uint8Array(10), expected.length - 9, 8, 4)).toThrow('file too short')
    expect(writeFully(fd, new Uint8Array(0), 0, 7, 0)).toBe(0)
    fs.closeSync(fd)
  })
})
