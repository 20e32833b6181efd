/**
 * One packed row per piece (availability, state, priority, place in the pick order) and the pick
 * order itself: buckets of equal rank, rarest first, random inside a bucket.
 *
 * A change of one piece's rank moves one element per bucket boundary it crosses, so a `have` message
 * costs a handful of writes however many pieces there are. Changes of many pieces at once only mark
 * the order as stale; it is rebuilt, in one counting sort, when it is next read.
 */

import type { Bitfield } from '../core/bitfield.ts'
import type { PieceIndex } from '../core/brands.ts'
import type { Rng } from '../core/rng.ts'

/** What a peer has: its bits, or `'all'` for a peer that has every piece. */
export type PeerPieces = Bitfield | 'all'

/** State of a piece in the picker; the first four are also the download queues. */
export const PieceState = Object.freeze({
  /** Some blocks are requested or here, some are open. */
  downloading: 0,
  /** No block is open, some are requested. */
  full: 1,
  /** Every block has arrived. */
  finished: 2,
  /** In flight when its priority became 0. */
  zeroPrio: 3,
  /** Not in flight. */
  open: 4,
  /** `downloading`, but asked for by slow ("reverse") peers only: ranked after open pieces. */
  downloadingReverse: 5,
  fullReverse: 6,
} as const)
export type PieceState = (typeof PieceState)[keyof typeof PieceState]

/** Number of download queues. */
export const NUM_QUEUES = 4

/** `place` of pieces that are ours and on disk. */
export const FLUSHED = -1

const DEFAULT_PRIORITY = 4
const PRIORITY_LEVELS = 8
/** Ranks per step of availability: in flight, open, in flight from reverse peers. */
const RANKS_PER_STEP = 3
/** Up to this many pieces of a bitfield are moved one by one rather than by a rebuild. */
const INCREMENTAL_LIMIT = 50
const INITIAL_BUCKETS = 64

/** See the head of the file. Fields are read by the picker's other parts; only this class writes the order. */
export class PieceMap {
  readonly numPieces: number
  /** Peers that have the piece, seeds not counted. */
  readonly peerCount: Uint16Array
  /** A `PieceState`. */
  readonly state: Uint8Array
  /** 0 to 7; 0 is "not wanted" (filtered). */
  readonly priority: Uint8Array
  /** Index in `order` if the piece is in it and the order is not stale; `FLUSHED`. */
  readonly place: Int32Array
  /** Packed bits, most significant first: neither ours nor filtered. */
  readonly wanted: Uint8Array
  /** Peers counted as having everything. */
  seeds = 0
  /** True if `order` must be rebuilt before it is read. */
  dirty = true

  readonly #rng: Rng
  #order: Int32Array = new Int32Array(0)
  #orderSize = 0
  /** `#ends[r]` is the end of bucket `r` in the order; it starts where `r - 1` ends. */
  #ends: Int32Array = new Int32Array(INITIAL_BUCKETS)
  #buckets = 1
  readonly #few = new Int32Array(INCREMENTAL_LIMIT)

  constructor(numPieces: number, rng: Rng) {
    this.numPieces = numPieces
    this.#rng = rng
    this.peerCount = new Uint16Array(numPieces)
    this.state = new Uint8Array(numPieces).fill(PieceState.open)
    this.priority = new Uint8Array(numPieces).fill(DEFAULT_PRIORITY)
    this.place = new Int32Array(numPieces)
    this.wanted = new Uint8Array((numPieces + 7) >> 3).fill(0xff)
    const spare = numPieces & 7
    if (spare !== 0) this.wanted[this.wanted.length - 1] = 0xff << (8 - spare)
  }

  /** Piece indices, best first. Only `orderSize` of them, and only after `freshen`. */
  get order(): Int32Array {
    return this.#order
  }

  get orderSize(): number {
    return this.#orderSize
  }

  bucketStart(rank: number): number {
    return rank === 0 ? 0 : this.#ends[rank - 1]!
  }

  bucketEnd(rank: number): number {
    return this.#ends[rank]!
  }

  flushed(piece: PieceIndex): boolean {
    return this.place[piece] === FLUSHED
  }

  /** Nothing is left to pick of it: flushed or filtered. */
  isDone(piece: PieceIndex): boolean {
    return this.place[piece] === FLUSHED || this.priority[piece] === 0
  }

  isWanted(piece: PieceIndex): boolean {
    return (this.wanted[piece >> 3]! & (0x80 >> (piece & 7))) !== 0
  }

  setWanted(piece: PieceIndex, wanted: boolean): void {
    if (wanted) this.wanted[piece >> 3]! |= 0x80 >> (piece & 7)
    else this.wanted[piece >> 3]! &= ~(0x80 >> (piece & 7))
  }

  /** The piece's download queue (0 to 3), or `PieceState.open`. */
  queue(piece: PieceIndex): number {
    const state = this.state[piece]!
    return state > PieceState.open ? state - PieceState.downloadingReverse : state
  }

  isReverse(piece: PieceIndex): boolean {
    return this.state[piece]! > PieceState.open
  }

  availability(piece: PieceIndex): number {
    return this.peerCount[piece]! + this.seeds
  }

  /**
   * Bucket of the piece in the pick order, -1 if it is not in it: filtered, ours, nobody has it, or
   * no block is open.
   *
   * Seeds do not change the relative order, so only the first one matters: it makes pieces nobody
   * else has pickable.
   */
  rank(piece: PieceIndex): number {
    const priority = this.priority[piece]!
    const state = this.state[piece]!
    const count = this.peerCount[piece]!
    if (priority === 0 || this.place[piece] === FLUSHED || (count === 0 && this.seeds === 0)) return -1
    let within = 0
    if (state === PieceState.open) within = 1
    else if (state === PieceState.downloadingReverse) within = 2
    else if (state !== PieceState.downloading) return -1
    return (count + 1) * (PRIORITY_LEVELS - priority) * RANKS_PER_STEP - RANKS_PER_STEP + within
  }

  /** Call after anything `rank` depends on has changed, with the rank it had before. */
  moved(piece: PieceIndex, before: number): void {
    if (this.dirty) return
    if (before === -1) {
      if (this.rank(piece) !== -1) this.#add(piece)
    } else this.#update(piece, before)
  }

  /** Call in place of `moved` when the piece becomes ours; `place` is the place it had. */
  takeOut(before: number, place: number): void {
    if (before !== -1 && !this.dirty) this.#removeAt(before, place)
  }

  /** One more peer has one piece. */
  inc(piece: PieceIndex): void {
    const before = this.rank(piece)
    this.peerCount[piece]!++
    this.moved(piece, before)
  }

  /** One peer less has one piece. */
  dec(piece: PieceIndex): void {
    if (this.peerCount[piece] === 0) this.#breakOneSeed()
    const before = this.rank(piece)
    this.peerCount[piece]!--
    this.moved(piece, before)
  }

  incAll(): void {
    if (++this.seeds === 1) this.dirty = true
  }

  /** A peer that has everything leaves, whichever way its pieces were counted. */
  decAll(): void {
    if (this.seeds > 0) {
      if (--this.seeds === 0) this.dirty = true
      return
    }
    for (let i = 0; i < this.numPieces; i++) this.peerCount[i]!--
    this.dirty = true
  }

  incBits(bits: Bitfield): void {
    const few = this.#collectFew(bits)
    if (few >= 0) {
      for (let i = 0; i < few; i++) this.inc(this.#few[i]!)
      return
    }
    const bytes = bits.data()
    const counts = this.peerCount
    for (let i = 0; i < bytes.length; i++) {
      const b = bytes[i]!
      if (b === 0) continue
      const base = i << 3
      for (let k = 0; k < 8; k++) if (b & (0x80 >> k)) counts[base + k]!++
    }
    this.dirty = true
  }

  decBits(bits: Bitfield): void {
    const few = this.#collectFew(bits)
    if (few >= 0) {
      for (let i = 0; i < few; i++) this.dec(this.#few[i]!)
      return
    }
    const bytes = bits.data()
    const counts = this.peerCount
    for (let i = 0; i < bytes.length; i++) {
      const b = bytes[i]!
      if (b === 0) continue
      const base = i << 3
      for (let k = 0; k < 8; k++) {
        if ((b & (0x80 >> k)) === 0) continue
        if (counts[base + k] === 0) this.#breakOneSeed()
        counts[base + k]!--
      }
    }
    this.dirty = true
  }

  /** Empties the order: nothing is left to pick. */
  clearOrder(): void {
    this.#orderSize = 0
    this.#ends.fill(0)
    this.#buckets = 1
    this.dirty = false
  }

  /** Makes the order valid. O(pieces) if it is stale, else nothing. */
  freshen(): void {
    if (this.dirty) this.#rebuild()
  }

  /** The order agrees with the ranks. Throws an `Error` if not; for tests. */
  checkInvariant(): void {
    if (this.dirty) return
    let listed = 0
    for (let piece = 0; piece < this.numPieces; piece++) {
      const rank = this.rank(piece)
      if (rank === -1) continue
      listed++
      const place = this.place[piece]!
      if (this.#order[place] !== piece) throw new Error(`piece ${piece} is not at its place ${place}`)
      if (place < this.bucketStart(rank) || place >= this.bucketEnd(rank)) {
        throw new Error(`piece ${piece} is at ${place}, outside bucket ${rank}`)
      }
    }
    if (listed !== this.#orderSize) throw new Error(`${this.#orderSize} pieces in order, expected ${listed}`)
    for (let r = 1; r < this.#buckets; r++) if (this.#ends[r]! < this.#ends[r - 1]!) throw new Error('buckets overlap')
    if (this.#ends[this.#buckets - 1] !== this.#orderSize) throw new Error('buckets do not cover the order')
  }

  /** Collects the set bits if they are few and the order is worth keeping; else -1. */
  #collectFew(bits: Bitfield): number {
    if (this.dirty) return -1
    const limit = Math.min(INCREMENTAL_LIMIT, bits.size() >> 1)
    const bytes = bits.data()
    let n = 0
    for (let i = 0; i < bytes.length; i++) {
      const b = bytes[i]!
      if (b === 0) continue
      for (let k = 0; k < 8; k++) {
        if ((b & (0x80 >> k)) === 0) continue
        if (n >= limit) return -1
        this.#few[n++] = (i << 3) + k
      }
    }
    return n
  }

  /** A peer counted as a seed turned out to miss a piece: count its pieces one by one. */
  #breakOneSeed(): void {
    if (this.seeds === 0) throw new Error('PieceMap: more pieces given back than counted')
    this.seeds--
    for (let i = 0; i < this.numPieces; i++) this.peerCount[i]!++
    this.dirty = true
  }

  #reserveBuckets(count: number): void {
    if (count <= this.#buckets) return
    if (count > this.#ends.length) {
      const grown = new Int32Array(Math.max(count, this.#ends.length * 2))
      grown.set(this.#ends)
      this.#ends = grown
    }
    this.#ends.fill(this.#orderSize, this.#buckets, count)
    this.#buckets = count
  }

  /** Opens a hole at the end and carries it down to the piece's bucket. */
  #add(piece: PieceIndex): void {
    const rank = this.rank(piece)
    this.#reserveBuckets(rank + 1)
    const ends = this.#ends
    let hole = this.#orderSize++
    for (let r = this.#buckets - 1; r > rank; r--) {
      ends[r]!++
      hole = this.#fill(hole, ends[r - 1]!)
    }
    ends[rank]!++
    this.#put(piece, hole, rank)
  }

  /** Carries the hole up to the end and drops it. */
  #removeAt(rank: number, place: number): void {
    const ends = this.#ends
    let hole = place
    for (let r = rank; r < this.#buckets; r++) hole = this.#fill(hole, --ends[r]!)
    this.#orderSize--
  }

  #update(piece: PieceIndex, before: number): void {
    const rank = this.rank(piece)
    if (rank === before) return
    let hole = this.place[piece]!
    if (rank === -1) {
      this.#removeAt(before, hole)
      return
    }
    this.#reserveBuckets(rank + 1)
    const ends = this.#ends
    if (rank < before) for (let r = before - 1; r >= rank; r--) hole = this.#fill(hole, ends[r]!++)
    else for (let r = before; r < rank; r++) hole = this.#fill(hole, --ends[r]!)
    this.#put(piece, hole, rank)
  }

  /** Moves the piece at `from` into the hole. @returns where the hole is now */
  #fill(hole: number, from: number): number {
    if (from !== hole) {
      const moved = this.#order[from]!
      this.#order[hole] = moved
      this.place[moved] = hole
    }
    return from
  }

  /** Puts the piece at a random place of its bucket, by swapping with what is there. */
  #put(piece: PieceIndex, hole: number, rank: number): void {
    const start = this.bucketStart(rank)
    const at = start + this.#rng.below(this.#ends[rank]! - start)
    if (at !== hole) {
      const other = this.#order[at]!
      this.#order[hole] = other
      this.place[other] = hole
    }
    this.#order[at] = piece
    this.place[piece] = at
  }

  #rebuild(): void {
    const { numPieces, place } = this
    if (this.#order.length < numPieces) this.#order = new Int32Array(numPieces)
    this.#orderSize = 0
    this.#buckets = 1
    this.#ends.fill(0)
    for (let piece = 0; piece < numPieces; piece++) {
      const rank = this.rank(piece)
      if (rank === -1) continue
      if (rank >= this.#buckets) this.#reserveBuckets(rank + 1)
      this.#ends[rank]!++
    }
    let size = 0
    for (let r = 0; r < this.#buckets; r++) {
      const count = this.#ends[r]!
      this.#ends[r] = size
      size += count
    }
    // Each end now is its bucket's start; it moves up as the bucket is filled, inside-out shuffled.
    let start = 0
    const starts = this.#ends.slice(0, this.#buckets)
    for (let piece = 0; piece < numPieces; piece++) {
      const rank = this.rank(piece)
      if (rank === -1) continue
      start = starts[rank]!
      const end = this.#ends[rank]!++
      const at = start + this.#rng.below(end - start + 1)
      if (at !== end) {
        const other = this.#order[at]!
        this.#order[end] = other
        place[other] = end
      }
      this.#order[at] = piece
      place[piece] = at
    }
    this.#orderSize = size
    this.dirty = false
  }
}
