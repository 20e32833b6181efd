/** SHA-1 and SHA-256: the only user of `node:crypto`'s hashes. */

import * as crypto from 'node:crypto'
import { Sha1Hash, Sha256Hash } from './digest.ts'

/**
 * One-shot digests. `crypto.hash` costs 9 us for a 16 KiB block, `createHash` 1 us more; WebCrypto's
 * `subtle.digest` 136 us, so it has no place here (`bench/piece-hash.js`).
 */
export function sha1(data: Uint8Array): Uint8Array {
  return crypto.hash('sha1', data, 'buffer')
}

export function sha256(data: Uint8Array): Uint8Array {
  return crypto.hash('sha256', data, 'buffer')
}

/**
 * As {@link sha256}, writing the 32 bytes to `target` at `at`.
 *
 * Taking the digest as a string of bytes saves half of what a hash of 64 bytes costs, which is making its Buffer.
 */
export function sha256Into(data: Uint8Array, target: Buffer, at: number): void {
  target.write(crypto.hash('sha256', data, 'binary'), at, 32, 'latin1')
}

/** SHA-1 of bytes that come in parts. */
export class Hasher {
  #hash = crypto.createHash('sha1')

  constructor(data?: Uint8Array) {
    if (data !== undefined) this.update(data)
  }

  update(data: Uint8Array): this {
    this.#hash.update(data)
    return this
  }

  /** Ends the computation; `reset()` starts another one. */
  final(): Sha1Hash {
    return new Sha1Hash(this.#hash.digest())
  }

  reset(): void {
    this.#hash = crypto.createHash('sha1')
  }
}

/** SHA-256 of bytes that come in parts. */
export class Hasher256 {
  #hash = crypto.createHash('sha256')

  constructor(data?: Uint8Array) {
    if (data !== undefined) this.update(data)
  }

  update(data: Uint8Array): this {
    this.#hash.update(data)
    return this
  }

  /** Ends the computation; `reset()` starts another one. */
  final(): Sha256Hash {
    return new Sha256Hash(this.#hash.digest())
  }

  reset(): void {
    this.#hash = crypto.createHash('sha256')
  }
}

/** Cryptographically strong random bytes, for the runtime's `Rng`. */
export function secureRandomFill(target: Uint8Array): void {
  crypto.randomFillSync(target)
}
