/**
 * Memory for block payload: 16 KiB slots in shared segments that workers see too.
 *
 * A slot has one writer at a time: free -> leased (a peer fills it) -> in a job -> free. Slots need not
 * lie side by side for anything to work, so the slab cannot fragment into uselessness; but a piece in one
 * contiguous run is hashed and written in one go, so runs are taken from the low end of the slab and
 * single slots from the high end.
 */

import { Buffer } from 'node:buffer'
import { BLOCK_SIZE } from '../core/brands.ts'

declare const slotBrand: unique symbol

/** Number of a slot; its bytes are `SlotPool.view(slot)`. */
export type Slot = number & { readonly [slotBrand]?: true }

/** Whose slots they are: a storage of the disk back-end. */
export interface SlotOwner {
  readonly id: number
}

/** Hands out slots up to a budget. */
export interface SlotPool {
  /** Slots that are not free. */
  readonly inUse: number
  /** Slots that may be in use at once. */
  readonly budget: number
  /** True from when 7/8 of the budget are in use until it is under half: stop asking peers for more. */
  readonly underPressure: boolean

  /**
   * @param owner the storage the slot is for: while that storage is fenced or in error it may hold a
   *   quarter of the budget only, so that it cannot starve the others
   * @returns -1 if the budget is used up
   */
  allocate(owner?: SlotOwner): Slot
  /** `count` slots that lie one after the other in memory. @returns the first; -1 if there is no such run now */
  allocateRun(count: number, owner?: SlotOwner): Slot
  /** Makes the slot free. Each slot of a run is released by itself. */
  release(slot: Slot): void
  /** The 16 KiB of a slot; always the same view. */
  view(slot: Slot): Uint8Array
  /** Copies all of `source` into the slot from `offset` on: the one hot copy of a download. */
  copyIn(slot: Slot, offset: number, source: Uint8Array): void
  /** `underPressure`, or this storage has used up the share it is limited to at present. */
  underPressureFor(owner: SlotOwner): boolean
  /** The storage answers no more, or does again: as long as it does not, all such ones share a quarter of the budget. */
  setStalled(owner: SlotOwner, stalled: boolean): void
  /** Called, in a turn of its own, once `underPressure` went from true to false, and when a storage's limit ends. */
  onRelief(fn: () => void): void
}

/** Slots of one segment: 16 MiB of payload. */
export const SEGMENT_SLOTS = 1024

const FREE = 0
const USED = 1

class Segment {
  readonly memory: SharedArrayBuffer
  /** Target of the hot copy; see `Slab.copyIn`. */
  readonly buffer: Buffer
  readonly views: Uint8Array[] = []
  readonly state = new Uint8Array(SEGMENT_SLOTS)
  /** Owner id of each used slot, -1 for none. */
  readonly owners = new Int32Array(SEGMENT_SLOTS)
  free = SEGMENT_SLOTS

  constructor(headBytes: number) {
    const stride = headBytes + BLOCK_SIZE
    this.memory = new SharedArrayBuffer(SEGMENT_SLOTS * stride)
    this.buffer = Buffer.from(this.memory)
    for (let i = 0; i < SEGMENT_SLOTS; i++) {
      this.views.push(new Uint8Array(this.memory, i * stride + headBytes, BLOCK_SIZE))
    }
  }
}

/** What a {@link Slab} needs from its owner. */
export interface SlabOptions {
  /** Bytes that may be in use at once; rounded up to whole slots. */
  readonly budgetBytes: number
  /** Bytes between two slots, before each one's 16 KiB: room for the header of a message. None if absent. */
  readonly headBytes?: number
  /** A segment was added: workers must know it before a job names its slots. */
  readonly onSegment?: (index: number, memory: SharedArrayBuffer) => void
  /** Runs a function after the present turn. */
  readonly defer: (fn: () => void) => void
}

/** {@link SlotPool} over segments of 16 MiB that are added when first needed. */
export class Slab implements SlotPool {
  readonly #segments: Segment[] = []
  readonly #headBytes: number
  /** Distance of two slots. */
  readonly #stride: number
  readonly #onSegment: ((index: number, memory: SharedArrayBuffer) => void) | null
  readonly #defer: (fn: () => void) => void
  readonly #heldBy = new Map<number, number>()
  readonly #limited = new Set<number>()
  readonly #stalled = new Set<number>()
  readonly #relief: (() => void)[] = []
  #reliefDue = false
  #budget = 0
  #inUse = 0
  #underPressure = false

  constructor(options: SlabOptions) {
    this.#headBytes = options.headBytes ?? 0
    this.#stride = this.#headBytes + BLOCK_SIZE
    this.#onSegment = options.onSegment ?? null
    this.#defer = options.defer
    this.setBudget(options.budgetBytes)
  }

  get inUse(): number {
    return this.#inUse
  }

  get budget(): number {
    return this.#budget
  }

  get underPressure(): boolean {
    return this.#underPressure
  }

  /** Segments made so far, in order. */
  segments(): SharedArrayBuffer[] {
    return this.#segments.map(s => s.memory)
  }

  /** Slots in use beyond a smaller budget stay until they are released. */
  setBudget(bytes: number): void {
    this.#budget = Math.max(1, Math.ceil(bytes / BLOCK_SIZE))
    this.#updatePressure()
  }

  /** Slots the owner holds now. */
  heldBy(owner: SlotOwner): number {
    return this.#heldBy.get(owner.id) ?? 0
  }

  /** Starts or ends the restriction of an owner to a quarter of the budget. */
  setLimited(owner: SlotOwner, limited: boolean): void {
    if (limited) this.#limited.add(owner.id)
    else if (this.#limited.delete(owner.id)) this.#scheduleRelief()
  }

  setStalled(owner: SlotOwner, stalled: boolean): void {
    if (stalled) this.#stalled.add(owner.id)
    else if (this.#stalled.delete(owner.id)) this.#scheduleRelief()
  }

  underPressureFor(owner: SlotOwner): boolean {
    return this.#underPressure || !this.#mayHold(owner, 1)
  }

  onRelief(fn: () => void): void {
    this.#relief.push(fn)
  }

  allocate(owner?: SlotOwner): Slot {
    if (this.#inUse >= this.#budget) return -1
    if (owner !== undefined && !this.#mayHold(owner, 1)) return -1
    for (let s = this.#segments.length - 1; s >= 0; s--) {
      const segment = this.#segments[s]!
      if (segment.free === 0) continue
      const index = segment.state.lastIndexOf(FREE)
      this.#take(segment, index, 1, owner)
      return s * SEGMENT_SLOTS + index
    }
    if (!this.#mayGrow()) return -1
    const segment = this.#grow()
    this.#take(segment, SEGMENT_SLOTS - 1, 1, owner)
    return this.#segments.length * SEGMENT_SLOTS - 1
  }

  allocateRun(count: number, owner?: SlotOwner): Slot {
    if (count < 1 || count > SEGMENT_SLOTS) return -1
    if (this.#inUse + count > this.#budget) return -1
    if (owner !== undefined && !this.#mayHold(owner, count)) return -1
    for (let s = 0; s < this.#segments.length; s++) {
      const segment = this.#segments[s]!
      if (segment.free < count) continue
      const index = findRun(segment.state, count)
      if (index < 0) continue
      this.#take(segment, index, count, owner)
      return s * SEGMENT_SLOTS + index
    }
    if (!this.#mayGrow()) return -1
    const segment = this.#grow()
    this.#take(segment, 0, count, owner)
    return (this.#segments.length - 1) * SEGMENT_SLOTS
  }

  release(slot: Slot): void {
    const segment = this.#segments[Math.floor(slot / SEGMENT_SLOTS)]
    const index = slot % SEGMENT_SLOTS
    if (segment === undefined || segment.state[index] !== USED) {
      throw new Error(`Slab: slot ${slot} is released but not in use`)
    }
    segment.state[index] = FREE
    segment.free++
    this.#inUse--
    const owner = segment.owners[index]!
    if (owner >= 0) {
      const left = this.#heldBy.get(owner)! - 1
      if (left === 0) this.#heldBy.delete(owner)
      else this.#heldBy.set(owner, left)
      if (this.#limited.has(owner) && left < this.#budget / 8) this.#scheduleRelief()
    }
    this.#updatePressure()
  }

  view(slot: Slot): Uint8Array {
    return this.#segments[Math.floor(slot / SEGMENT_SLOTS)]!.views[slot % SEGMENT_SLOTS]!
  }

  /** Memory from the head of a slot on, heads and slots as they lie in a run that `allocateRun` made. */
  rawView(slot: Slot, length: number): Uint8Array {
    const segment = this.#segments[Math.floor(slot / SEGMENT_SLOTS)]!
    return new Uint8Array(segment.memory, (slot % SEGMENT_SLOTS) * this.#stride, length)
  }

  copyIn(slot: Slot, offset: number, source: Uint8Array): void {
    const length = source.length
    if (length === 0) return
    if (offset < 0 || offset + length > BLOCK_SIZE) throw new RangeError('Slab: copy beyond the end of a slot')
    const at = (slot % SEGMENT_SLOTS) * this.#stride + this.#headBytes + offset
    // `fill` with a pattern as long as the range is a copy. Unlike `set` and `Buffer.copy` it stays fast
    // when source and target are aligned differently in shared memory, which 13-byte message heads make
    // the normal case: 50 GB/s instead of 4 (bench/slot-copy.js).
    this.#segments[Math.floor(slot / SEGMENT_SLOTS)]!.buffer.fill(source, at, at + length)
  }

  /** Throws if the books do not balance. For tests. @internal */
  checkInvariant(): void {
    let used = 0
    for (const segment of this.#segments) {
      let here = 0
      for (const state of segment.state) here += state
      if (here !== SEGMENT_SLOTS - segment.free) throw new Error('Slab: free count of a segment is wrong')
      used += here
    }
    if (used !== this.#inUse) throw new Error('Slab: inUse is wrong')
    let held = 0
    for (const count of this.#heldBy.values()) held += count
    if (held > used) throw new Error('Slab: owners hold more than is in use')
  }

  #mayHold(owner: SlotOwner, count: number): boolean {
    const share = this.#stalled.has(owner.id) ? 4 * this.#stalled.size : this.#limited.has(owner.id) ? 4 : 1
    return this.heldBy(owner) + count <= this.#budget / share
  }

  #mayGrow(): boolean {
    return this.#segments.length * SEGMENT_SLOTS < this.#budget
  }

  #grow(): Segment {
    const segment = new Segment(this.#headBytes)
    this.#segments.push(segment)
    this.#onSegment?.(this.#segments.length - 1, segment.memory)
    return segment
  }

  #take(segment: Segment, index: number, count: number, owner: SlotOwner | undefined): void {
    segment.state.fill(USED, index, index + count)
    segment.owners.fill(owner === undefined ? -1 : owner.id, index, index + count)
    segment.free -= count
    this.#inUse += count
    if (owner !== undefined) this.#heldBy.set(owner.id, this.heldBy(owner) + count)
    this.#updatePressure()
  }

  #updatePressure(): void {
    if (this.#underPressure) {
      if (this.#inUse * 2 >= this.#budget) return
      this.#underPressure = false
      this.#scheduleRelief()
    } else if (this.#inUse * 8 >= this.#budget * 7) {
      this.#underPressure = true
    }
  }

  #scheduleRelief(): void {
    if (this.#reliefDue || this.#relief.length === 0) return
    this.#reliefDue = true
    this.#defer(() => {
      this.#reliefDue = false
      for (const fn of this.#relief) fn()
    })
  }
}

/** First index of `count` free slots in a row, -1 if there is none. */
function findRun(state: Uint8Array, count: number): number {
  let start = state.indexOf(FREE)
  while (start >= 0 && start + count <= state.length) {
    const used = state.indexOf(USED, start)
    const end = used < 0 ? state.length : used
    if (end - start >= count) return start
    if (used < 0) return -1
    start = state.indexOf(FREE, used)
  }
  return -1
}
