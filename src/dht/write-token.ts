/** Write tokens (BEP 5): proof that whoever announces or puts something has lately got an answer at its address. */

import { readUint32, writeUint32 } from '../core/bytes.ts'
import type { Sha1Hash } from '../core/digest.ts'
import { type Rng, randomBytes } from '../core/rng.ts'
import { SIPHASH_KEY_SIZE, SipKey, sipHash32 } from '../core/siphash.ts'

/** Bytes of a token. */
export const WRITE_TOKEN_SIZE = 4

const HASH_SIZE = 20
const MAX_ADDRESS = 64
/** Room that the hash needs behind the message. */
const PADDING = 8

/**
 * Makes tokens and knows them again.
 *
 * A token is a hash of what it is for and the asker's address under a secret key; the key changes now and then, and the one
 * before stays good.
 *
 * Deviation: libtorrent takes a SHA-1 with a secret of four bytes, few enough to be found out from some tokens. With SHA-1
 * the token would be a tenth of what a `get_peers` costs; nobody but us reads it, so it may be made in any way.
 */
export class WriteTokens {
  readonly #rng: Rng
  /** Target, address. */
  readonly #input = new Uint8Array(HASH_SIZE + MAX_ADDRESS + PADDING)
  #current: SipKey
  #previous: SipKey

  constructor(rng: Rng) {
    this.#rng = rng
    this.#current = this.#newKey()
    this.#previous = this.#newKey()
  }

  /** Starts to use another key: a token is good for one to two times as long as this is not called. */
  rotate(): void {
    this.#previous = this.#current
    this.#current = this.#newKey()
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

  #newKey(): SipKey {
    return new SipKey(randomBytes(this.#rng, SIPHASH_KEY_SIZE))
  }

  #compute(key: SipKey, address: string, hash: Uint8Array, hashAt: number): number {
    const input = this.#input
    for (let i = 0; i < HASH_SIZE; i++) input[i] = hash[hashAt + i]!
    const size = Math.min(address.length, MAX_ADDRESS)
    for (let i = 0; i < size; i++) input[HASH_SIZE + i] = address.charCodeAt(i)
    return sipHash32(key, input, HASH_SIZE + size)
  }
}
