/**
 * What was read ahead for peers: lines of 256 KiB of a piece, the one unused for longest out first. A seed
 * answers most requests from here without waiting for a worker. Lines that are still being sent stay in
 * memory after they were dropped.
 */

import { BLOCK_SIZE, type PieceIndex } from '../core/brands.ts'
import { framedLength } from '../core/piece-frames.ts'
import type { DiskError } from './disk-io.ts'
import type { Slab, Slot } from './slab.ts'

/** Bytes of a line; the last one of a piece may be shorter. */
export const LINE_SIZE = 256 * 1024
/** No piece has more lines. */
const LINES_PER_PIECE = 4096

/** One cached range of a piece. */
export interface CacheLine {
  readonly storage: number
  readonly piece: PieceIndex
  /** Number of the line in its piece. */
  readonly index: number
  readonly length: number
  readonly slots: readonly Slot[]
  /** Filled: `views` may be used. */
  ready: boolean
  /** Why it could not be filled; it is dropped then. */
  error: DiskError | null
  /** Readers that have not released it. */
  refs: number
  /** Somebody has asked for bytes of it. */
  touched: boolean
  /** Not in the cache any more; its memory goes with the last reader. */
  dropped: boolean
  /** Called when it is ready or has failed. */
  waiting: (() => void)[]
  newer: CacheLine | null
  older: CacheLine | null
}

/**
 * Memory the cache makes do with until lines have to go before they were asked for. A small one is faster for a few
 * peers, since its bytes are still in the processor's cache when they are sent; the system's page cache is behind it.
 */
const MODEST_BYTES = 8 << 20

/** Bounded cache of {@link CacheLine}s over a slab of its own, with room for the headers of messages. */
export class ReadCache {
  /** Lines that had to go before anybody asked for them, with all memory in use: too much is read ahead. */
  wasted = 0
  readonly #slab: Slab
  readonly #byStorage = new Map<number, Map<number, CacheLine>>()
  #newest: CacheLine | null = null
  #oldest: CacheLine | null = null
  /** Slots that are used without need. */
  #modest = MODEST_BYTES / BLOCK_SIZE

  constructor(slab: Slab) {
    this.#slab = slab
  }

  /** Bytes of slots in use, dropped lines that are still read included. */
  get bytes(): number {
    return this.#slab.inUse * BLOCK_SIZE
  }

  /** Whether the line is there, without marking it as used. */
  has(storage: number, piece: PieceIndex, index: number): boolean {
    return this.#byStorage.get(storage)?.has(piece * LINES_PER_PIECE + index) === true
  }

  /** Marks the line as just used. */
  get(storage: number, piece: PieceIndex, index: number): CacheLine | undefined {
    const line = this.#byStorage.get(storage)?.get(piece * LINES_PER_PIECE + index)
    if (line !== undefined && line !== this.#newest) {
      this.#unlink(line)
      this.#link(line)
    }
    return line
  }

  /** A new line to be filled, held by the caller and by the job that fills it. @returns `null` if all memory is held by readers */
  create(storage: number, piece: PieceIndex, index: number, length: number): CacheLine | null {
    const slots = this.#slots(Math.ceil(length / BLOCK_SIZE))
    if (slots === null) return null
    const line: CacheLine = {
      storage,
      piece,
      index,
      length,
      slots,
      ready: false,
      error: null,
      // One for the caller, one for the job that fills it.
      refs: 2,
      touched: false,
      dropped: false,
      waiting: [],
      newer: null,
      older: null,
    }
    let lines = this.#byStorage.get(storage)
    if (lines === undefined) {
      lines = new Map()
      this.#byStorage.set(storage, lines)
    }
    lines.set(piece * LINES_PER_PIECE + index, line)
    this.#link(line)
    return line
  }

  /** Appends views of `[start, end)` of the line, one for each block. */
  views(line: CacheLine, start: number, end: number, out: Uint8Array[]): void {
    for (let at = start; at < end; ) {
      const block = Math.floor(at / BLOCK_SIZE)
      const within = at - block * BLOCK_SIZE
      const stop = Math.min(end, (block + 1) * BLOCK_SIZE)
      const view = this.#slab.view(line.slots[block]!)
      out.push(stop - at === BLOCK_SIZE ? view : view.subarray(within, within + stop - at))
      at = stop
    }
  }

  /**
   * Appends views of `[start, end)` of the line as whole `piece` messages. Neighbouring slots become one view.
   *
   * @param start of a block
   * @param end of a block, or of the line
   */
  frames(line: CacheLine, start: number, end: number, out: Uint8Array[]): void {
    const slots = line.slots
    for (let at = start; at < end; ) {
      const first = Math.floor(at / BLOCK_SIZE)
      let last = first
      while ((last + 1) * BLOCK_SIZE < end && slots[last + 1] === slots[last]! + 1) last++
      const stop = Math.min(end, (last + 1) * BLOCK_SIZE)
      out.push(this.#slab.rawView(slots[first]!, framedLength(stop - at)))
      at = stop
    }
  }

  retain(line: CacheLine): void {
    line.refs++
  }

  release(line: CacheLine): void {
    line.refs--
    if (line.refs === 0 && line.dropped) this.#free(line)
  }

  /** Forgets a line that could not be filled, or is out of date. */
  drop(line: CacheLine): void {
    if (line.dropped) return
    line.dropped = true
    const lines = this.#byStorage.get(line.storage)!
    lines.delete(line.piece * LINES_PER_PIECE + line.index)
    if (lines.size === 0) this.#byStorage.delete(line.storage)
    this.#unlink(line)
    if (line.refs === 0) this.#free(line)
  }

  dropPiece(storage: number, piece: PieceIndex, pieceSize: number): void {
    const lines = this.#byStorage.get(storage)
    if (lines === undefined) return
    for (let index = 0; index * LINE_SIZE < pieceSize; index++) {
      const line = lines.get(piece * LINES_PER_PIECE + index)
      if (line !== undefined) this.drop(line)
    }
  }

  dropStorage(storage: number): void {
    const lines = this.#byStorage.get(storage)
    if (lines !== undefined) for (const line of [...lines.values()]) this.drop(line)
  }

  #slots(count: number): Slot[] | null {
    while (this.#slab.inUse + count > this.#modest) if (!this.#evictOne()) break
    let run = this.#slab.allocateRun(count)
    // A few evictions usually make a run, since lines come and go in runs of the same length.
    for (let tries = 0; run < 0 && tries < 4 && this.#evictOne(); tries++) run = this.#slab.allocateRun(count)
    if (run >= 0) return Array.from({ length: count }, (_, i) => run + i)
    while (this.#slab.inUse + count > this.#slab.budget) if (!this.#evictOne()) return null
    return Array.from({ length: count }, () => this.#slab.allocate())
  }

  #evictOne(): boolean {
    for (let line = this.#oldest; line !== null; line = line.newer) {
      if (line.refs > 0) continue
      if (!line.touched) this.#tooSmall()
      this.drop(line)
      return true
    }
    return false
  }

  #tooSmall(): void {
    if (this.#modest < this.#slab.budget) this.#modest *= 2
    else this.wasted++
  }

  #free(line: CacheLine): void {
    for (const slot of line.slots) this.#slab.release(slot)
  }

  #link(line: CacheLine): void {
    line.older = this.#newest
    line.newer = null
    if (this.#newest !== null) this.#newest.newer = line
    this.#newest = line
    this.#oldest ??= line
  }

  #unlink(line: CacheLine): void {
    if (line.newer !== null) line.newer.older = line.older
    else this.#newest = line.older
    if (line.older !== null) line.older.newer = line.newer
    else this.#oldest = line.newer
    line.newer = line.older = null
  }
}
