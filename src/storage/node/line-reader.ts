/**
 * Reads for peers: from the cache if it is there, else a whole line of it at once; into memory of its own
 * when all cache memory is being sent.
 */

import { BLOCK_SIZE, type PieceIndex } from '../../core/brands.ts'
import type { DiskError, ReadFlags, ReadResult } from '../disk-io.ts'
import { type CacheLine, LINE_SIZE, type ReadCache } from '../read-cache.ts'
import type { StorageState } from '../storage-state.ts'
import { ReadJob } from './jobs.ts'

/** What a {@link LineReader} needs from its owner. */
export interface ReaderPort {
  /** Queues a job. */
  addRead(job: ReadJob): void
  /** Calls back in a turn of its own. */
  later(fn: () => void): void
}

/** Answers reads over a {@link ReadCache}. */
export class LineReader {
  /** Since the start. */
  blocksRead = 0
  cacheHits = 0
  readonly #cache: ReadCache
  readonly #port: ReaderPort

  constructor(cache: ReadCache, port: ReaderPort) {
    this.#cache = cache
    this.#port = port
  }

  /** As `DiskIo.read`. */
  read(
    state: StorageState,
    piece: PieceIndex,
    offset: number,
    length: number,
    flags: ReadFlags,
    done: (result: ReadResult) => void,
  ): void {
    const first = Math.floor(offset / LINE_SIZE)
    const last = Math.floor((offset + length - 1) / LINE_SIZE)
    const lines: CacheLine[] = []
    for (let index = first; index <= last; index++) {
      const line = this.#line(state, piece, index)
      if (line === null) {
        for (const held of lines) this.#cache.release(held)
        this.#readUncached(state, piece, offset, length, done)
        return
      }
      lines.push(line)
    }
    // Someone who starts on a line after the one before it will most likely go on to the next.
    const goesOn =
      first > 0 && offset === first * LINE_SIZE && this.#cache.get(state.id, piece, first - 1) !== undefined
    if (goesOn || flags.sequential === true) this.#readAhead(state, piece, last + 1)
    let pending = 0
    const settle = (): void => {
      if (--pending > 0) return
      done(this.#readFrom(lines, offset, length))
    }
    for (const line of lines) {
      if (line.ready) continue
      pending++
      line.waiting.push(settle)
    }
    if (pending > 0) return
    this.cacheHits += Math.ceil(length / BLOCK_SIZE)
    pending = 1
    this.#port.later(settle)
  }

  /** A line, held once; being filled if it was not there. `null` if there is no memory for it. */
  #line(state: StorageState, piece: PieceIndex, index: number): CacheLine | null {
    const found = this.#cache.get(state.id, piece, index)
    if (found !== undefined) {
      this.#cache.retain(found)
      return found
    }
    const offset = index * LINE_SIZE
    const line = this.#cache.create(state.id, piece, index, Math.min(LINE_SIZE, state.pieceSize(piece) - offset))
    if (line === null) return null
    const job = new ReadJob(state, piece, offset, line.length, line.slots, error => {
      if (error === null) {
        line.ready = true
        this.blocksRead += line.slots.length
      } else {
        line.error = error
        this.#cache.drop(line)
      }
      this.#cache.release(line)
      const waiting = line.waiting
      line.waiting = []
      for (const fn of waiting) fn()
    })
    this.#port.addRead(job)
    return line
  }

  /** Starts to fill a line that will be asked for soon, if there is memory to spare. */
  #readAhead(state: StorageState, piece: PieceIndex, index: number): void {
    if (index * LINE_SIZE >= state.pieceSize(piece)) return
    const line = this.#line(state, piece, index)
    if (line !== null) this.#cache.release(line)
  }

  #readFrom(lines: readonly CacheLine[], offset: number, length: number): ReadResult {
    const views: Uint8Array[] = []
    let error: DiskError | null = null
    for (const line of lines) {
      error ??= line.error
      const start = Math.max(offset - line.index * LINE_SIZE, 0)
      const end = Math.min(offset + length - line.index * LINE_SIZE, line.length)
      if (error === null) this.#cache.views(line, start, end, views)
    }
    const release = (): void => {
      for (const line of lines) this.#cache.release(line)
    }
    return { error, views: error === null ? views : [], release }
  }

  /** All cache memory is being sent: this one gets memory of its own, and is not kept. */
  #readUncached(
    state: StorageState,
    piece: PieceIndex,
    offset: number,
    length: number,
    done: (result: ReadResult) => void,
  ): void {
    this.#port.addRead(
      new ReadJob(state, piece, offset, length, null, (error, data) => {
        this.blocksRead += Math.ceil(length / BLOCK_SIZE)
        done(error === null ? { error: null, views: [data!], release: noRelease } : failedRead(error))
      }),
    )
  }
}

function noRelease(): void {}

/** The answer to a read that gave nothing. */
export function failedRead(error: DiskError): ReadResult {
  return { error, views: [], release: noRelease }
}
