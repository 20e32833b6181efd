/** Write tokens (BEP 5): proof that whoever announces or puts something has lately got an answer at its address. */

import { readUint32, writeUint32 } from '../core/bytes.ts'
import type { Sha1Hash } from '../core/digest.ts'
import { sha1Prefix32 } from '../core/hash.ts'
import type { Rng } from '../core/rng.ts'

/** Bytes of a token. */
export const WRITE_TOKEN_SIZE = 4
/** How often `rotate()` should be called, ms: a token is good for one to two times as long. */
export const WRITE_TOKEN_ROTATION = 5 * 60 * 1000

const SECRET_SIZE = 16
const MAX_ADDRESS = 64

/**
 * Makes tokens and knows them again.
 *
 * A token is the beginning of a SHA-1 over the asker's address, a secret, and what the token is for; the secret changes now
 * and then, and the one before stays good.
 *
 * Deviation: libtorrent's secret has four bytes, few enough to be found out from some tokens.
 */
export class WriteTokens {
  readonly #rng: Rng
  /** Address, secret, target. */
  readonly #input = new Uint8Array(MAX_ADDRESS + SECRET_SIZE + 20)
  #current: Uint8Array
  #previous: Uint8Array

  constructor(rng: Rng) {
    this.#rng = rng
    this.#current = this.#newSecret()
    this.#previous = this.#newSecret()
  }

  /** Starts to use another secret. */
  rotate(): void {
    this.#previous = this.#current
    this.#current = this.#newSecret()
  }

  /**
   * Writes the token for `address` to `target` at `at`.
   *
   * @param hash 20 bytes from `hashAt` on: the info-hash, or the target of an item
   */
  generateInto(address: string, hash: Uint8Array, hashAt: number, target: Uint8Array, at: number): void {
    writeUint32(target, at, this.#compute(this.#current, address, hash, hashAt))
  }

  /** The token for `address` and an info-hash or the target of an item. */
  generate(address: string, infoHash: Sha1Hash): Uint8Array {
    const out = new Uint8Array(WRITE_TOKEN_SIZE)
    this.generateInto(address, infoHash.view(), 0, out, 0)
    return out
  }

  /** Whether `token` is one that was made for `address` and `infoHash` not long ago. */
  verify(token: Uint8Array, address: string, infoHash: Sha1Hash): boolean {
    if (token.length !== WRITE_TOKEN_SIZE) return false
    const value = readUint32(token, 0)
    const hash = infoHash.view()
    return (
      value === this.#compute(this.#current, address, hash, 0) ||
      value === this.#compute(this.#previous, address, hash, 0)
    )
  }

  #newSecret(): Uint8Array {
    const secret = new Uint8Array(SECRET_SIZE)
    this.#rng.fill(secret)
    return secret
  }

  #compute(secret: Uint8Array, address: string, hash: Uint8Array, hashAt: number): number {
    const input = this.#input
    let at = Math.min(address.length, MAX_ADDRESS)
    for (let i = 0; i < at; i++) input[i] = address.charCodeAt(i)
    for (let i = 0; i < SECRET_SIZE; i++) input[at++] = secret[i]!
    for (let i = 0; i < 20; i++) input[at++] = hash[hashAt + i]!
    return sha1Prefix32(input.subarray(0, at))
  }
}
