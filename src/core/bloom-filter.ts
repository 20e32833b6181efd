/** Bloom filters as BEP 33 has them: two bits for each member. */

import { addressBytes } from './endpoint.ts'
import { sha1 } from './hash.ts'

/** A set of which one can tell what is surely not in it, and about how many are. */
export class BloomFilter {
  readonly #bits: Uint8Array

  /** @param size bytes, 1 to 8192, or the bits of a filter, which are copied */
  constructor(size: number | Uint8Array) {
    this.#bits = new Uint8Array(size as number)
  }

  /** @param hash a digest; its first four bytes count */
  set(hash: Uint8Array): void {
    setBits(hash, this.#bits)
  }

  /** Whether it may be a member. */
  find(hash: Uint8Array): boolean {
    return hasBits(hash, this.#bits)
  }

  /** An estimate of how many members there are. */
  size(): number {
    const bits = this.#bits.length * 8
    const zeros = Math.min(countZeroBits(this.#bits), bits - 1)
    return Math.log(zeros / bits) / (2 * Math.log(1 - 1 / bits))
  }

  /** A copy of the bits. */
  toBytes(): Uint8Array {
    return this.#bits.slice()
  }
}

/** What an address is known by in such filters: SHA-1 over its bytes. */
export function hashAddress(address: string): Uint8Array {
  return sha1(addressBytes(address))
}

/** Sets the two bits that `hash` stands for. */
export function setBits(hash: Uint8Array, bits: Uint8Array): void {
  const a = firstBit(hash, bits)
  const b = secondBit(hash, bits)
  bits[a >> 3]! |= 1 << (a & 7)
  bits[b >> 3]! |= 1 << (b & 7)
}

/** Whether the two bits that `hash` stands for are set. */
export function hasBits(hash: Uint8Array, bits: Uint8Array): boolean {
  const a = firstBit(hash, bits)
  const b = secondBit(hash, bits)
  return (bits[a >> 3]! & (1 << (a & 7))) !== 0 && (bits[b >> 3]! & (1 << (b & 7))) !== 0
}

export function countZeroBits(bits: Uint8Array): number {
  let zeros = bits.length * 8
  for (let i = 0; i < bits.length; i++) for (let b = bits[i]!; b !== 0; b &= b - 1) zeros--
  return zeros
}

function firstBit(hash: Uint8Array, bits: Uint8Array): number {
  return (hash[0]! | (hash[1]! << 8)) % (bits.length * 8)
}

function secondBit(hash: Uint8Array, bits: Uint8Array): number {
  return (hash[2]! | (hash[3]! << 8)) % (bits.length * 8)
}
