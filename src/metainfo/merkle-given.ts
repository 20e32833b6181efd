/** Nodes of a merkle tree as resume data has them: all of them, or those that a mask marks. Nothing is proven yet. */

import type { Bitfield } from '../core/bitfield.ts'
import { HASH_SIZE, merkleIsZero, merkleNode } from './merkle.ts'

/** Nodes by their number in the tree, breadth first. */
export interface GivenNodes {
  /** Of the array they lie in, in bytes. */
  readonly length: number
  /** A view; `null` if it is not given. */
  node(index: number): Uint8Array | null
  /** A view of `count` nodes; `null` if one of them is not given. */
  run(first: number, count: number): Uint8Array | null
  /** Whether one of `count` nodes may be given. */
  any(first: number, count: number): boolean
}

/** A whole tree; nodes of zeros are not given. */
export class WholeTree implements GivenNodes {
  readonly #hashes: Uint8Array

  constructor(hashes: Uint8Array) {
    this.#hashes = hashes
  }

  get length(): number {
    return this.#hashes.length
  }

  node(index: number): Uint8Array | null {
    return merkleIsZero(this.#hashes, index) ? null : merkleNode(this.#hashes, index)
  }

  run(first: number, count: number): Uint8Array | null {
    for (let i = first; i < first + count; i++) if (merkleIsZero(this.#hashes, i)) return null
    return this.#hashes.subarray(first * HASH_SIZE, (first + count) * HASH_SIZE)
  }

  any(): boolean {
    return true
  }
}

/** Bits of the mask between two entries of `#before`. */
const STEP = 256

/** The nodes marked in a mask, in order. */
export class MaskedNodes implements GivenNodes {
  readonly #hashes: Uint8Array
  readonly #mask: Bitfield
  /** Bits of the mask that count. */
  readonly #size: number
  /** Bits set before each multiple of {@link STEP}. */
  readonly #before: Uint32Array

  /** @param size nodes of the tree: what the mask has beyond is passed over */
  constructor(hashes: Uint8Array, mask: Bitfield, size: number) {
    this.#hashes = hashes
    this.#mask = mask
    this.#size = Math.min(mask.size(), size)
    this.#before = new Uint32Array(Math.ceil(this.#size / STEP) + 1)
    let count = 0
    for (let i = 0; i < this.#size; i++) {
      if (i % STEP === 0) this.#before[i / STEP] = count
      if (mask.getBit(i)) count++
    }
    this.#before[this.#before.length - 1] = count
  }

  get length(): number {
    return this.#hashes.length
  }

  node(index: number): Uint8Array | null {
    if (index >= this.#size || !this.#mask.getBit(index)) return null
    return this.#take(this.#rank(index), 1)
  }

  run(first: number, count: number): Uint8Array | null {
    if (first + count > this.#size) return null
    const at = this.#rank(first)
    return this.#rank(first + count) - at === count ? this.#take(at, count) : null
  }

  any(first: number, count: number): boolean {
    return first < this.#size && this.#rank(Math.min(first + count, this.#size)) > this.#rank(first)
  }

  /** Bits set before `index`, at most the size. */
  #rank(index: number): number {
    const start = index - (index % STEP)
    let count = this.#before[start / STEP]!
    for (let i = start; i < index; i++) if (this.#mask.getBit(i)) count++
    return count
  }

  #take(at: number, count: number): Uint8Array | null {
    const end = (at + count) * HASH_SIZE
    if (at === 0 && end === this.#hashes.length) return this.#hashes
    return end > this.#hashes.length ? null : this.#hashes.subarray(at * HASH_SIZE, end)
  }
}
