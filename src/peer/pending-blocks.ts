/** Blocks asked of one peer, or about to be, in order. Blocks mostly arrive in order, so look-ups start at the oldest. */

import type { BlockIndex, PieceIndex } from '../core/brands.ts'

/** One request. */
export class PendingBlock {
  readonly piece: PieceIndex
  readonly block: BlockIndex
  readonly length: number
  /** Also asked of another peer (end game). */
  busy: boolean
  /** Took too long; the block may be asked of others meanwhile. */
  timedOut = false
  /** Cancelled, or never asked for: what comes is waste. */
  notWanted = false

  constructor(piece: PieceIndex, block: BlockIndex, length: number, busy: boolean) {
    this.piece = piece
    this.block = block
    this.length = length
    this.busy = busy
  }
}

export class PendingBlocks {
  #items: PendingBlock[] = []
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }

  at(index: number): PendingBlock {
    return this.#items[this.#head + index]!
  }

  push(item: PendingBlock): void {
    this.#items.push(item)
  }

  /** @param index 0 puts it first */
  insert(index: number, item: PendingBlock): void {
    this.#items.splice(this.#head + index, 0, item)
  }

  shift(): PendingBlock | undefined {
    if (this.#head === this.#items.length) return undefined
    const item = this.#items[this.#head++]!
    this.#compact()
    return item
  }

  pop(): PendingBlock | undefined {
    return this.length === 0 ? undefined : this.#items.pop()
  }

  /** @returns -1 if it is not there */
  indexOf(piece: PieceIndex, block: BlockIndex): number {
    const items = this.#items
    for (let i = this.#head; i < items.length; i++) {
      const item = items[i]!
      if (item.block === block && item.piece === piece) return i - this.#head
    }
    return -1
  }

  /** How many of the oldest are `count` blocks of a piece from `first` on, in order, plainly wanted and from this peer alone. */
  plainRun(piece: PieceIndex, first: BlockIndex, count: number): number {
    const limit = Math.min(count, this.length)
    for (let i = 0; i < limit; i++) {
      const item = this.#items[this.#head + i]!
      const plain = !item.busy && !item.timedOut && !item.notWanted
      if (!plain || item.block !== first + i || item.piece !== piece) return i
    }
    return limit
  }

  /** Drops the oldest. */
  drop(count: number): void {
    this.#head += count
    this.#compact()
  }

  removeAt(index: number): PendingBlock {
    if (index === 0) return this.shift()!
    return this.#items.splice(this.#head + index, 1)[0]!
  }

  some(test: (item: PendingBlock) => boolean): boolean {
    for (let i = this.#head; i < this.#items.length; i++) if (test(this.#items[i]!)) return true
    return false
  }

  clear(): void {
    this.#items = []
    this.#head = 0
  }

  #compact(): void {
    if (this.#head === this.#items.length) {
      this.#items.length = 0
      this.#head = 0
    } else if (this.#head >= 256 && this.#head * 2 >= this.#items.length) {
      this.#items.splice(0, this.#head)
      this.#head = 0
    }
  }

  *[Symbol.iterator](): Generator<PendingBlock> {
    for (let i = this.#head; i < this.#items.length; i++) yield this.#items[i]!
  }
}
