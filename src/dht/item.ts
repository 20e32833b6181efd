/** Items that the DHT stores (BEP 44): immutable ones, and mutable ones signed by their owner. */

import { bdecode } from '../bencode/bdecode.ts'
import { bencode } from '../bencode/bencode.ts'
import type { Entry } from '../bencode/entry.ts'
import { concatBytes, textToBytes } from '../core/bytes.ts'
import { Sha1Hash } from '../core/digest.ts'
import { ed25519Sign, ed25519Verify } from '../core/ed25519.ts'
import { sha1 } from '../core/hash.ts'

/** Version of a mutable item: exact, a `bigint` only beyond 2^53. Both kinds compare with `<`. */
export type SequenceNumber = number | bigint

/** Most bytes of a bencoded value. */
export const MAX_ITEM_SIZE = 1000
/** Most bytes of a salt. */
export const MAX_SALT_SIZE = 64
export const PUBLIC_KEY_SIZE = 32
export const SIGNATURE_SIZE = 64

const NO_BYTES = new Uint8Array(0)

/** Where an immutable item is stored. @param value bencoded */
export function itemTargetId(value: Uint8Array): Sha1Hash {
  return new Sha1Hash(sha1(value))
}

/** Where a mutable item is stored. @param salt empty for none @param publicKey 32 bytes */
export function mutableItemTargetId(salt: Uint8Array, publicKey: Uint8Array): Sha1Hash {
  return new Sha1Hash(sha1(salt.length === 0 ? publicKey : concatBytes([publicKey, salt])))
}

/** The bytes that the signature of a mutable item is over. @param value bencoded */
export function canonicalString(value: Uint8Array, salt: Uint8Array, seq: SequenceNumber): Uint8Array {
  const head = textToBytes(`3:seqi${seq}e1:v`)
  if (salt.length === 0) return concatBytes([head, value])
  return concatBytes([textToBytes(`4:salt${salt.length}:`), salt, head, value])
}

/**
 * Signs a mutable item.
 *
 * @param v         the bencoded value
 * @param salt      empty for none
 * @param publicKey 32 bytes @param secretKey 64 bytes, see `ed25519CreateKeypair`
 * @returns 64 bytes
 * @throws RangeError for keys of another length
 * @see BEP 44
 */
export function signMutableItem(
  v: Uint8Array,
  salt: Uint8Array,
  seq: SequenceNumber,
  publicKey: Uint8Array,
  secretKey: Uint8Array,
): Uint8Array {
  return ed25519Sign(canonicalString(v, salt, seq), publicKey, secretKey)
}

/** Whether the signature of a mutable item is right. @param v the bencoded value */
export function verifyMutableItem(
  v: Uint8Array,
  salt: Uint8Array,
  seq: SequenceNumber,
  publicKey: Uint8Array,
  signature: Uint8Array,
): boolean {
  return ed25519Verify(signature, canonicalString(v, salt, seq), publicKey)
}

/** One item, as lookups find it and puts store it. Its byte arrays are copies of its own, read only. */
export class Item {
  #encoded: Uint8Array | null = null
  #value: Entry | null = null
  #salt: Uint8Array = NO_BYTES
  #publicKey: Uint8Array = new Uint8Array(PUBLIC_KEY_SIZE)
  #signature: Uint8Array = new Uint8Array(SIGNATURE_SIZE)
  #seq: SequenceNumber = 0
  #isMutable = false

  /** An item that is to be found by its key. @param publicKey 32 bytes */
  static ofKey(publicKey: Uint8Array, salt: Uint8Array): Item {
    const item = new Item()
    item.#publicKey = publicKey.slice()
    item.#salt = salt.slice()
    item.#isMutable = true
    return item
  }

  /** An immutable item. @throws what `bencode` throws, RangeError if it is larger than 1000 bytes */
  static ofValue(value: Entry): Item {
    const item = new Item()
    item.setImmutable(encode(value))
    return item
  }

  /** Whether it has no value, none being found yet. */
  get isEmpty(): boolean {
    return this.#encoded === null
  }

  get isMutable(): boolean {
    return this.#isMutable
  }

  /** The exact bytes that are stored, `null` if it is empty. */
  get encoded(): Uint8Array | null {
    return this.#encoded
  }

  /** What is stored, `null` if it is empty. */
  get value(): Entry | null {
    if (this.#value === null && this.#encoded !== null) this.#value = bdecode(this.#encoded)
    return this.#value
  }

  /** Empty for none. */
  get salt(): Uint8Array {
    return this.#salt
  }

  /** 32 bytes; zeros for an immutable item. */
  get publicKey(): Uint8Array {
    return this.#publicKey
  }

  /** 64 bytes; zeros for an immutable item, or an empty one. */
  get signature(): Uint8Array {
    return this.#signature
  }

  get seq(): SequenceNumber {
    return this.#seq
  }

  /** Where it is stored. @throws Error if it is immutable and empty */
  target(): Sha1Hash {
    if (this.#isMutable) return mutableItemTargetId(this.#salt, this.#publicKey)
    if (this.#encoded === null) throw new Error('an immutable item without a value has no target')
    return itemTargetId(this.#encoded)
  }

  /** Forgets the value. */
  clear(): void {
    this.#encoded = null
    this.#value = null
  }

  /** Makes it an immutable item. @param encoded the bencoded value, well formed */
  setImmutable(encoded: Uint8Array): void {
    this.#setValue(encoded)
    this.#isMutable = false
  }

  /** Makes it a mutable item, without a look at the signature. @param encoded the bencoded value, well formed */
  setMutable(
    encoded: Uint8Array,
    salt: Uint8Array,
    seq: SequenceNumber,
    publicKey: Uint8Array,
    signature: Uint8Array,
  ): void {
    this.#setValue(encoded)
    this.#salt = salt.slice()
    this.#seq = seq
    this.#publicKey = publicKey.slice()
    this.#signature = signature.slice()
    this.#isMutable = true
  }

  /** As {@link setMutable}, if the signature is right. @returns whether it is */
  setVerified(
    encoded: Uint8Array,
    salt: Uint8Array,
    seq: SequenceNumber,
    publicKey: Uint8Array,
    signature: Uint8Array,
  ): boolean {
    if (!verifyMutableItem(encoded, salt, seq, publicKey, signature)) return false
    this.setMutable(encoded, salt, seq, publicKey, signature)
    return true
  }

  /**
   * Makes it a mutable item, and signs it.
   *
   * @throws what `bencode` throws, RangeError if the value is larger than 1000 bytes or for keys of a wrong length
   */
  sign(value: Entry, salt: Uint8Array, seq: SequenceNumber, publicKey: Uint8Array, secretKey: Uint8Array): void {
    const encoded = encode(value)
    this.setMutable(encoded, salt, seq, publicKey, signMutableItem(encoded, salt, seq, publicKey, secretKey))
  }

  #setValue(encoded: Uint8Array): void {
    this.#encoded = encoded.slice()
    this.#value = null
  }
}

function encode(value: Entry): Uint8Array {
  const encoded = bencode(value)
  if (encoded.length > MAX_ITEM_SIZE) {
    throw new RangeError(`a DHT item has at most ${MAX_ITEM_SIZE} bytes, not ${encoded.length}`)
  }
  return encoded
}
