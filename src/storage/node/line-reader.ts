/**
 * Reads for peers: from the cache if it is there, else a whole line of it at once; into memory of its own
 * when all cache memory is being sent.
 */

import { BLOCK_SIZE, type PieceIndex } from '../../core/brands.ts'
import type { DiskError, ReadFlags, ReadResult } from '../disk-io.ts'
import { type CacheLine, LINE_SIZE, type ReadCache } from '../read-cache.ts'
import type { Slot } from '../slab.ts'
import type { StorageState } from '../storage-state.ts'
import { ReadJob } from './jobs.ts'

/** Lines that one job reads at most: a message to a worker costs more than reading a line from the page cache. */
const MAX_AHEAD = 4
/** So many lines in a row that were asked for before they had to go allow one more line per job. */
const LINES_PER_STEP = 32

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
  /** Read jobs that are not done. */
  jobs = 0
  readonly #cache: ReadCache
  readonly #port: ReaderPort
  /** Lines per job while reads are sequential; fewer when lines read ahead go unused. */
  #ahead = MAX_AHEAD
  #wastedSeen = 0
  #goodLines = 0

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
      const line = this.#line(state, piece, index, flags.sequential === true)
      if (line === null) {
        for (const held of lines) this.#cache.release(held)
        this.#readUncached(state, piece, offset, length, done)
        return
      }
      lines.push(line)
      this.#touch(state, line, flags.sequential === true)
    }
    let pending = 0
    const settle = (): void => {
      if (--pending > 0) return
      done(this.#readFrom(lines, offset, length, isFramed(state, piece, offset, length, flags)))
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

  /** As `DiskIo.readCached`. */
  readCached(
    state: StorageState,
    piece: PieceIndex,
    offset: number,
    length: number,
    flags: ReadFlags,
  ): ReadResult | null {
    const index = Math.floor(offset / LINE_SIZE)
    const start = offset - index * LINE_SIZE
    if (start + length > LINE_SIZE) return null
    const line = this.#cache.get(state.id, piece, index)
    if (line === undefined || !line.ready) return null
    this.#cache.retain(line)
    if (!line.touched) this.#touch(state, line, flags.sequential === true)
    this.cacheHits += Math.ceil(length / BLOCK_SIZE)
    const views: Uint8Array[] = []
    const framed = isFramed(state, piece, offset, length, flags)
    if (framed) this.#cache.frames(line, start, start + length, views)
    else this.#cache.views(line, start, start + length, views)
    return { error: null, views, framed, release: () => this.#cache.release(line) }
  }

  /** As `DiskIo.readAhead`: does nothing when memory is short. */
  readAhead(state: StorageState, piece: PieceIndex, offset: number): void {
    const index = Math.floor(offset / LINE_SIZE)
    if (this.#ahead < MAX_AHEAD || this.#cache.has(state.id, piece, index)) return
    const line = this.#fill(state, piece, index, true)
    if (line !== null) this.#cache.release(line)
  }

  /** Someone begins with a line: whoever reads on will want the next ones. */
  #touch(state: StorageState, line: CacheLine, sequential: boolean): void {
    if (line.touched) return
    line.touched = true
    const { piece, index } = line
    if (!sequential && (index === 0 || !this.#cache.has(state.id, piece, index - 1))) return
    this.#adapt()
    const reach = index + (this.#ahead > 1 ? 2 : 1)
    for (let next = index + 1; next <= reach && next * LINE_SIZE < state.pieceSize(piece); next++) {
      if (!this.#cache.has(state.id, piece, next)) {
        const ahead = this.#fill(state, piece, next, true)
        if (ahead !== null) this.#cache.release(ahead)
        return
      }
    }
  }

  /** Reads less ahead when lines had to make room before they were asked for, more when all goes well. */
  #adapt(): void {
    const { wasted } = this.#cache
    if (wasted > this.#wastedSeen) {
      this.#wastedSeen = wasted
      this.#goodLines = 0
      this.#ahead = Math.max(1, this.#ahead >> 1)
    } else if (this.#ahead < MAX_AHEAD && ++this.#goodLines >= LINES_PER_STEP) {
      this.#goodLines = 0
      this.#ahead++
    }
  }

  /** A line, held once; being filled if it was not there. `null` if there is no memory for it. */
  #line(state: StorageState, piece: PieceIndex, index: number, sequential: boolean): CacheLine | null {
    const found = this.#cache.get(state.id, piece, index)
    if (found === undefined) return this.#fill(state, piece, index, sequential)
    this.#cache.retain(found)
    return found
  }

  /**
   * Starts to fill a line and, with the same job, the ones after it that will be asked for soon.
   *
   * @returns the line, held once; `null` if there is no memory for it
   */
  #fill(state: StorageState, piece: PieceIndex, index: number, sequential: boolean): CacheLine | null {
    const size = state.pieceSize(piece)
    const lines: CacheLine[] = []
    let slots: readonly Slot[] = []
    let length = 0
    const count = sequential ? this.#ahead : 1
    for (let i = index; i < index + count && i * LINE_SIZE < size && !this.#cache.has(state.id, piece, i); i++) {
      const line = this.#cache.create(state.id, piece, i, Math.min(LINE_SIZE, size - i * LINE_SIZE))
      if (line === null) break
      if (i > index) this.#cache.release(line)
      lines.push(line)
      slots = i === index ? line.slots : slots.concat(line.slots)
      length += line.length
    }
    if (lines.length === 0) return null
    this.#addJob(state, piece, index * LINE_SIZE, length, slots, error => {
      for (const line of lines) {
        // The error may concern another line, in a file that nobody asked for.
        if (error !== null && lines.length > 1 && line.waiting.length > 0) this.#refill(state, line)
        else this.#filled(line, error)
      }
    })
    return lines[0]!
  }

  #refill(state: StorageState, line: CacheLine): void {
    this.#addJob(state, line.piece, line.index * LINE_SIZE, line.length, line.slots, error => this.#filled(line, error))
  }

  #filled(line: CacheLine, error: DiskError | null): void {
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
  }

  #readFrom(lines: readonly CacheLine[], offset: number, length: number, framed: boolean): ReadResult {
    const views: Uint8Array[] = []
    let error: DiskError | null = null
    for (const line of lines) {
      error ??= line.error
      const start = Math.max(offset - line.index * LINE_SIZE, 0)
      const end = Math.min(offset + length - line.index * LINE_SIZE, line.length)
      if (error !== null) break
      if (framed) this.#cache.frames(line, start, end, views)
      else this.#cache.views(line, start, end, views)
    }
    const release = (): void => {
      for (const line of lines) this.#cache.release(line)
    }
    return { error, views: error === null ? views : [], framed, release }
  }

  /** All cache memory is being sent: this one gets memory of its own, and is not kept. */
  #readUncached(
    state: StorageState,
    piece: PieceIndex,
    offset: number,
    length: number,
    done: (result: ReadResult) => void,
  ): void {
    this.#addJob(state, piece, offset, length, null, (error, data) => {
      this.blocksRead += Math.ceil(length / BLOCK_SIZE)
      done(error === null ? { error: null, views: [data!], release: noRelease } : failedRead(error))
    })
  }

  #addJob(
    state: StorageState,
    piece: PieceIndex,
    offset: number,
    length: number,
    slots: readonly Slot[] | null,
    done: (error: DiskError | null, data: Uint8Array | null) => void,
  ): void {
    this.jobs++
    this.#port.addRead(
      new ReadJob(state, piece, offset, length, slots, (error, data) => {
        this.jobs--
        done(error, data)
      }),
    )
  }
}

/** The messages in the cache are those of whole blocks: their headers do not fit any other range. */
function isFramed(state: StorageState, piece: PieceIndex, offset: number, length: number, flags: ReadFlags): boolean {
  const end = offset + length
  return (
    flags.framed === true && offset % BLOCK_SIZE === 0 && (end % BLOCK_SIZE === 0 || end === state.pieceSize(piece))
  )
}

function noRelease(): void {}

/** The answer to a read that gave nothing. */
export function failedRead(error: DiskError): ReadResult {
  return { error, views: [], release: noRelease }
}
