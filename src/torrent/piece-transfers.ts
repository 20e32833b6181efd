/**
 * The blocks of pieces in flight: which slot a block arrives in, when a piece is whole, and what is
 * written out early when memory runs short.
 *
 * A block is `empty`, `filled` (in a slot), `spilling` (in a slot, being written) or `onDisk` (written
 * while its piece is incomplete, now or in an earlier run). A slot that a peer is filling belongs to
 * that peer's lease and is not known here until `fill`: in end game two peers fill two slots, and the
 * first one that completes wins.
 */

import type { BlockIndex, PieceIndex } from '../core/brands.ts'
import type { BlockSource, DiskError } from '../storage/disk-io.ts'
import type { Slot, SlotOwner, SlotPool } from '../storage/slab.ts'

const EMPTY = 0
const FILLED = 1
const SPILLING = 2
const ON_DISK = 3

/** A run of slots for a whole piece is taken only while it leaves this share of the budget free. */
const RUN_SHARE = 0.5
/** Longer pieces take single slots: a run of them would reserve memory long before it is filled. */
const MAX_RUN = 256

/** What `PieceTransfers` needs from its torrent. */
export interface TransferHost {
  blocksInPiece(piece: PieceIndex): number
  /** Blocks that are not all padding; padding, at the end of a piece, is never received. */
  payloadBlocks(piece: PieceIndex): number
  /** Writes blocks of an incomplete piece; the slots are the job's from here on. */
  spill(piece: PieceIndex, blocks: { block: BlockIndex; slot: Slot }[], done: (error: DiskError | null) => void): void
  /** The blocks are on disk now. */
  blocksSpilled(piece: PieceIndex, blocks: readonly BlockIndex[]): void
  /** The blocks could not be written and are lost. */
  spillFailed(piece: PieceIndex, blocks: readonly BlockIndex[], error: DiskError): void
}

class Transfer {
  readonly states: Uint8Array
  readonly slots: Int32Array
  /** First slot of the piece's run, -1 for none; `runFree` has a 1 for each slot of it that is unused. */
  run: Slot = -1
  runFree: Uint8Array | null = null
  filled = 0
  spilling = 0
  onDisk = 0
  /** Blocks of padding; they are among those on disk. */
  padding = 0
  /** When the oldest filled block came, ms. */
  since = 0
  committing = false

  constructor(blocks: number) {
    this.states = new Uint8Array(blocks)
    this.slots = new Int32Array(blocks).fill(-1)
  }
}

export class PieceTransfers {
  readonly #host: TransferHost
  readonly #pool: SlotPool
  readonly #owner: () => SlotOwner
  readonly #transfers = new Map<PieceIndex, Transfer>()
  #filledBlocks = 0
  #spillingBlocks = 0

  /** @param owner the storage that slots are taken for */
  constructor(host: TransferHost, pool: SlotPool, owner: () => SlotOwner) {
    this.#host = host
    this.#pool = pool
    this.#owner = owner
  }

  /** Filled blocks in memory that no job has taken yet. */
  get filledBlocks(): number {
    return this.#filledBlocks
  }

  get spilling(): boolean {
    return this.#spillingBlocks > 0
  }

  /** Some block of an incomplete piece is not on disk. */
  get hasUnwritten(): boolean {
    return this.#filledBlocks + this.#spillingBlocks > 0
  }

  /** A slot to receive a block into. @returns -1 if memory is used up: free some with {@link spill} */
  lease(piece: PieceIndex, block: BlockIndex): Slot {
    const t = this.#open(piece)
    if (t.runFree !== null && t.runFree[block] === 1) {
      t.runFree[block] = 0
      return t.run + block
    }
    return this.#pool.allocate(this.#owner())
  }

  /** Slots for neighbouring blocks. @returns `null` if one of them is here already, or memory is used up */
  leaseRun(piece: PieceIndex, first: BlockIndex, count: number): Slot[] | null {
    const t = this.#open(piece)
    if (t.committing) return null
    for (let b = first; b < first + count; b++) if (t.states[b] !== EMPTY) return null
    const slots: Slot[] = []
    for (let b = first; b < first + count; b++) {
      const slot = this.lease(piece, b)
      if (slot < 0) {
        for (let i = 0; i < slots.length; i++) this.abandon(piece, first + i, slots[i]!)
        return null
      }
      slots.push(slot)
    }
    return slots
  }

  /** As {@link fill} for each slot that `leaseRun` gave. */
  fillRun(piece: PieceIndex, first: BlockIndex, slots: readonly Slot[], now: number): void {
    const t = this.#transfers.get(piece)!
    const count = slots.length
    for (let i = 0; i < count; i++) {
      t.states[first + i] = FILLED
      t.slots[first + i] = slots[i]!
    }
    if (t.filled === 0) t.since = now
    t.filled += count
    this.#filledBlocks += count
  }

  /** Gives a lease back unfilled. */
  abandon(piece: PieceIndex, block: BlockIndex, slot: Slot): void {
    const t = this.#transfers.get(piece)
    if (t !== undefined && t.runFree !== null && !t.committing && slot === t.run + block) {
      t.runFree[block] = 1
      if (t.filled + t.spilling + t.onDisk === t.padding) this.#close(piece, t)
    } else this.#pool.release(slot)
  }

  /**
   * A leased slot holds its whole block now.
   *
   * @returns false if the block was there already; the slot is free again then
   */
  fill(piece: PieceIndex, block: BlockIndex, slot: Slot, now: number): boolean {
    const t = this.#open(piece)
    if (t.committing || t.states[block] !== EMPTY) {
      this.abandon(piece, block, slot)
      return false
    }
    t.states[block] = FILLED
    t.slots[block] = slot
    if (t.filled++ === 0) t.since = now
    this.#filledBlocks++
    return true
  }

  /** True if every block is in memory or on disk and none is on its way between. */
  isWhole(piece: PieceIndex): boolean {
    const t = this.#transfers.get(piece)
    return t !== undefined && !t.committing && t.filled + t.onDisk === t.states.length
  }

  /**
   * Takes a whole piece's blocks for its commit; their slots belong to the job.
   *
   * The piece stays known, so that late copies of its blocks are refused, until {@link finished}.
   */
  takeForCommit(piece: PieceIndex): BlockSource[] {
    const t = this.#transfers.get(piece)!
    const sources: BlockSource[] = new Array(t.states.length)
    for (let b = 0; b < sources.length; b++) {
      sources[b] = t.states[b] === FILLED ? t.slots[b]! : 'disk'
      this.#releaseReserved(t, b)
    }
    this.#filledBlocks -= t.filled
    t.filled = 0
    t.run = -1
    t.runFree = null
    t.committing = true
    return sources
  }

  /** A piece is done with, whatever came of it: nothing of it is held any more but what its commit has. */
  finished(piece: PieceIndex): void {
    const t = this.#transfers.get(piece)
    if (t === undefined) return
    if (!t.committing) {
      this.#releaseSlots(t)
      this.#filledBlocks -= t.filled
      this.#spillingBlocks -= t.spilling
    }
    this.#transfers.delete(piece)
  }

  /** Blocks that are on disk, of an incomplete piece or of one that is not known to be right. */
  restore(piece: PieceIndex, blocks: Iterable<BlockIndex>): void {
    const t = this.#open(piece)
    for (const b of blocks) {
      if (t.states[b] !== EMPTY) continue
      t.states[b] = ON_DISK
      t.onDisk++
    }
    // nothing is to come
    if (t.onDisk === t.states.length) this.#releaseRun(t)
  }

  /** Forgets everything; jobs under way keep their slots. */
  clear(): void {
    for (const [piece, t] of this.#transfers) {
      if (!t.committing) this.#releaseSlots(t)
      this.#transfers.delete(piece)
    }
    this.#filledBlocks = 0
    this.#spillingBlocks = 0
  }

  /**
   * Writes filled blocks of incomplete pieces.
   *
   * @param before only pieces whose oldest block came before this moment
   * @param atMost stop once about this many blocks are on their way
   * @returns how many blocks were handed to the disk
   */
  spill(before: number, atMost: number = Number.POSITIVE_INFINITY): number {
    let count = 0
    for (const [piece, t] of this.#transfers) {
      if (count >= atMost) break
      if (t.committing || t.filled === 0 || t.since >= before) continue
      count += this.#spillPiece(piece, t)
    }
    return count
  }

  /** Gives up slots that are reserved for blocks to come: their pieces take single slots from now on. */
  releaseRuns(): void {
    for (const t of this.#transfers.values()) if (!t.committing) this.#releaseRun(t)
  }

  /**
   * Blocks that are on disk, per incomplete piece that has some: for resume data. A piece whose commit is under way is one of
   * them: what was written of it before would be lost if the program ended now.
   */
  *unfinished(): Generator<{ piece: PieceIndex; onDisk: (block: BlockIndex) => boolean; blocks: number }> {
    for (const [piece, t] of this.#transfers) {
      if (t.onDisk === t.padding) continue
      const payload = t.states.length - t.padding
      yield { piece, blocks: t.states.length, onDisk: block => block < payload && t.states[block] === ON_DISK }
    }
  }

  checkInvariant(): void {
    let filled = 0
    for (const [piece, t] of this.#transfers) {
      if (t.committing) continue
      const count = (state: number) => t.states.reduce((n, s) => n + (s === state ? 1 : 0), 0)
      if (count(FILLED) !== t.filled || count(SPILLING) !== t.spilling || count(ON_DISK) !== t.onDisk) {
        throw new Error(`PieceTransfers: counts of piece ${piece} do not match its blocks`)
      }
      filled += t.filled
    }
    if (filled !== this.#filledBlocks) throw new Error('PieceTransfers: filledBlocks is wrong')
  }

  #open(piece: PieceIndex): Transfer {
    let t = this.#transfers.get(piece)
    if (t === undefined) {
      const blocks = this.#host.blocksInPiece(piece)
      t = new Transfer(blocks)
      if (blocks <= MAX_RUN && this.#pool.inUse + blocks <= this.#pool.budget * RUN_SHARE) {
        t.run = this.#pool.allocateRun(blocks, this.#owner())
        if (t.run >= 0) t.runFree = new Uint8Array(blocks).fill(1)
      }
      // reading padding from the disk gives its zeros, so it counts as being there
      for (let b = this.#host.payloadBlocks(piece); b < blocks; b++) {
        t.states[b] = ON_DISK
        t.onDisk++
        t.padding++
      }
      this.#transfers.set(piece, t)
    }
    return t
  }

  #spillPiece(piece: PieceIndex, t: Transfer): number {
    const blocks: { block: BlockIndex; slot: Slot }[] = []
    for (let b = 0; b < t.states.length; b++) {
      if (t.states[b] !== FILLED) continue
      t.states[b] = SPILLING
      blocks.push({ block: b, slot: t.slots[b]! })
      t.slots[b] = -1
    }
    t.filled -= blocks.length
    t.spilling += blocks.length
    this.#filledBlocks -= blocks.length
    this.#spillingBlocks += blocks.length
    this.#host.spill(piece, blocks, error => this.#spilled(piece, t, blocks, error))
    return blocks.length
  }

  #spilled(piece: PieceIndex, t: Transfer, blocks: { block: BlockIndex }[], error: DiskError | null): void {
    if (this.#transfers.get(piece) !== t) return
    this.#spillingBlocks -= blocks.length
    t.spilling -= blocks.length
    const indices = blocks.map(b => b.block)
    for (const b of indices) t.states[b] = error === null ? ON_DISK : EMPTY
    if (error === null) {
      t.onDisk += blocks.length
      this.#host.blocksSpilled(piece, indices)
    } else this.#host.spillFailed(piece, indices, error)
  }

  #releaseRun(t: Transfer): void {
    if (t.runFree === null) return
    for (let b = 0; b < t.runFree.length; b++) this.#releaseReserved(t, b)
    t.run = -1
    t.runFree = null
  }

  #releaseSlots(t: Transfer): void {
    for (let b = 0; b < t.slots.length; b++) {
      if (t.states[b] === FILLED) this.#pool.release(t.slots[b]!)
      this.#releaseReserved(t, b)
    }
  }

  /** The slot of the run that is kept for a block: also a block that was filled in another slot can have one. */
  #releaseReserved(t: Transfer, block: BlockIndex): void {
    if (t.runFree !== null && t.runFree[block] === 1) this.#pool.release(t.run + block)
  }

  #close(piece: PieceIndex, t: Transfer): void {
    this.#releaseSlots(t)
    this.#transfers.delete(piece)
  }
}
