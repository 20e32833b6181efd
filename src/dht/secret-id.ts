/** Random ids that we recognise when they come back: who uses one as an info-hash has picked it out of DHT traffic. */

import { equalAt } from '../core/bytes.ts'
import { Sha1Hash } from '../core/digest.ts'
import { sha1 } from '../core/hash.ts'
import { type Rng, randomBytes } from '../core/rng.ts'
import { generateRandomId, NODE_ID_SIZE } from './node-id.ts'

/** Where the random part of the mark begins, and where what it makes with the secret. */
const SALT_AT = NODE_ID_SIZE - 8
const MARK_AT = NODE_ID_SIZE - 4

/** Marks the ids of one session, all its nodes together. */
export class SecretIds {
  readonly #rng: Rng
  /** Four bytes of secret, four of salt. */
  readonly #input: Uint8Array

  constructor(rng: Rng) {
    this.#rng = rng
    this.#input = randomBytes(rng, 8)
  }

  /** The same id with its last eight bytes marked. */
  mark(id: Sha1Hash): Sha1Hash {
    const bytes = id.toBytes()
    bytes.set(randomBytes(this.#rng, 4), SALT_AT)
    bytes.set(this.#markOf(bytes), MARK_AT)
    return new Sha1Hash(bytes)
  }

  /** A random id that is marked. */
  generate(): Sha1Hash {
    return this.mark(generateRandomId(this.#rng))
  }

  /** Whether the id is one that was marked here. */
  verify(id: Sha1Hash): boolean {
    const bytes = id.view()
    return equalAt(this.#markOf(bytes), 0, bytes, MARK_AT, 4)
  }

  #markOf(id: Uint8Array): Uint8Array {
    this.#input.set(id.subarray(SALT_AT, MARK_AT), 4)
    return sha1(this.#input).subarray(0, 4)
  }
}
