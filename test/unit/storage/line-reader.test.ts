import { beforeEach, describe, expect, test } from 'vitest'
import { StorageMode } from '../../../src/core/enums.ts'
import { errnoError } from '../../../src/core/error-code.ts'
import { Operation } from '../../../src/core/operation.ts'
import { PIECE_HEADER_SIZE } from '../../../src/core/piece-frames.ts'
import type { FileLayout, ReadResult } from '../../../src/storage/disk-io.ts'
import type { ReadJob } from '../../../src/storage/node/jobs.ts'
import { LineReader } from '../../../src/storage/node/line-reader.ts'
import { LINE_SIZE, ReadCache } from '../../../src/storage/read-cache.ts'
import { Slab } from '../../../src/storage/slab.ts'
import { StorageState } from '../../../src/storage/storage-state.ts'
import type { WireAnswer } from '../../../src/storage/worker-protocol.ts'

const BLOCK = 16384
const PIECE = 1 << 20
const SEQUENTIAL = { sequential: true }

const FILES: FileLayout = {
  numFiles: () => 1,
  numPieces: () => 64,
  pieceLength: () => PIECE,
  totalSize: () => 64 * PIECE,
  fileSize: () => 64 * PIECE,
  fileOffset: () => 0,
  fileFlags: () => 0,
  filePath: () => 'a',
  symlink: () => '',
  fileIndexAtOffset: () => 0,
}

let slab: Slab
let cache: ReadCache
let reader: LineReader
let state: StorageState
let jobs: ReadJob[]

function make(lines: number): void {
  jobs = []
  slab = new Slab({ budgetBytes: lines * LINE_SIZE, headBytes: PIECE_HEADER_SIZE, defer: fn => fn() })
  cache = new ReadCache(slab)
  reader = new LineReader(cache, { addRead: job => jobs.push(job), later: fn => fn() })
}

beforeEach(() => {
  make(32)
  state = new StorageState(1, {
    files: FILES,
    renamed: new Map(),
    savePath: '/save',
    partFileDir: '',
    partFileName: '.parts',
    mode: StorageMode.storageModeSparse,
    filePriorities: [],
  })
})

function finish(job: ReadJob, failed = false): void {
  if (failed) job.failed({ code: errnoError('EIO'), operation: Operation.fileRead, file: 0 })
  else job.answered({ error: null, data: null } as WireAnswer)
  job.deliver()
}

function read(piece: number, offset: number, results: ReadResult[]): void {
  reader.read(state, piece, offset, BLOCK, SEQUENTIAL, result => results.push(result))
}

describe('reads for peers', () => {
  test('of a piece that is begun take the lines after it along', () => {
    const results: ReadResult[] = []
    read(3, 0, results)
    expect(jobs.map(job => job.length)).toEqual([4 * LINE_SIZE])
    expect(results).toEqual([])
    finish(jobs[0]!)
    expect(results[0]!.views.map(view => view.length)).toEqual([BLOCK])
    results[0]!.release()
    expect(reader.readCached(state, 3, PIECE - BLOCK, BLOCK, SEQUENTIAL)).not.toBeNull()
  })

  test('are answered at once where the bytes are in memory, and only there', () => {
    expect(reader.readCached(state, 3, 0, BLOCK, SEQUENTIAL)).toBeNull()
    reader.readAhead(state, 3, 0)
    reader.readAhead(state, 3, LINE_SIZE)
    expect(jobs).toHaveLength(1)
    expect(reader.readCached(state, 3, 0, BLOCK, SEQUENTIAL)).toBeNull()
    finish(jobs[0]!)
    const result = reader.readCached(state, 3, LINE_SIZE - BLOCK, BLOCK, SEQUENTIAL)!
    expect([result.error, result.views[0]!.length]).toEqual([null, BLOCK])
    cache.dropPiece(1, 3, PIECE)
    expect(slab.inUse).toBe(LINE_SIZE / BLOCK)
    result.release()
    expect(slab.inUse).toBe(0)
    expect(reader.readCached(state, 3, LINE_SIZE - 100, 200, SEQUENTIAL)).toBeNull()
  })

  test('do not fail because of bytes that nobody asked for', () => {
    const results: ReadResult[] = []
    read(3, 0, results)
    finish(jobs[0]!, true)
    expect(results).toEqual([])
    expect(jobs.map(job => job.length)).toEqual([4 * LINE_SIZE, LINE_SIZE])
    finish(jobs[1]!)
    expect(results[0]!.error).toBeNull()
    results[0]!.release()
    cache.dropPiece(1, 3, PIECE)
    expect(slab.inUse).toBe(0)
  })

  test('fail with the error of their own line', () => {
    const results: ReadResult[] = []
    read(3, 0, results)
    finish(jobs[0]!, true)
    finish(jobs[1]!, true)
    expect(results[0]!.error!.code.equals(errnoError('EIO'))).toBe(true)
    results[0]!.release()
    expect(slab.inUse).toBe(0)
  })

  test('take fewer lines along when those had to go before anybody asked for them', () => {
    make(8)
    for (let piece = 0; piece < 24; piece++) {
      const results: ReadResult[] = []
      read(piece, 0, results)
      for (const job of jobs.splice(0)) {
        if (piece === 0) expect(job.length).toBe(4 * LINE_SIZE)
        if (piece >= 20) expect(job.length).toBe(LINE_SIZE)
        finish(job)
      }
      results[0]!.release()
    }
  })
})
