/** Fixed-size hash values: 20-byte SHA-1, 32-byte SHA-256, and the pair that names a torrent (BEP 3, BEP 52). */

import { binaryToBytes, bytesToBinary, bytesToHex, compareBytes, equalAt, hexToBytes } from './bytes.ts'
import { ProtocolVersion } from './enums.ts'

abstract class Digest {
  protected readonly bytes: Uint8Array
  #key: string | null = null

  protected constructor(size: number, value?: Uint8Array | string) {
    this.bytes = new Uint8Array(size)
    if (value !== undefined) this.assign(value)
  }

  /**
   * Replaces the value.
   *
   * @param value raw bytes, the same as a binary string (one character a byte), or hex digits; of
   *   bytes beyond the size the first are taken
   * @throws RangeError if it is too short
   */
  assign(value: Uint8Array | string): void {
    const size = this.bytes.length
    const raw = typeof value === 'string' ? textBytes(value, size) : value
    if (raw === null || raw.length < size) {
      throw new RangeError(`${this.constructor.name}: expected ${size} bytes or ${size * 2} hex digits`)
    }
    this.bytes.set(raw.length === size ? raw : raw.subarray(0, size))
    this.#key = null
  }

  clear(): void {
    this.bytes.fill(0)
    this.#key = null
  }

  isAllZeros(): boolean {
    for (let i = 0; i < this.bytes.length; i++) if (this.bytes[i] !== 0) return false
    return true
  }

  /** A copy. */
  toBytes(): Uint8Array {
    return this.bytes.slice()
  }

  /** The bytes themselves: read only, for code that would else copy on a hot path. @internal */
  view(): Uint8Array {
    return this.bytes
  }

  /** The bytes as a binary string: the cheapest `Map` key. @internal */
  key(): string {
    this.#key ??= this.makeKey()
    return this.#key
  }

  protected makeKey(): string {
    return bytesToBinary(this.bytes)
  }

  /** Lower-case hex. */
  toString(): string {
    return bytesToHex(this.bytes)
  }

  toJSON(): string {
    return this.toString()
  }

  /** Zero bits before the first one, counted from the most significant. */
  countLeadingZeroes(): number {
    for (let i = 0; i < this.bytes.length; i++) {
      const b = this.bytes[i]!
      if (b !== 0) return i * 8 + Math.clz32(b) - 24
    }
    return this.bytes.length * 8
  }
}

function textBytes(value: string, size: number): Uint8Array | null {
  if (value.length === size * 2) {
    const bytes = hexToBytes(value)
    if (bytes !== null) return bytes
  }
  return value.length === size ? binaryToBytes(value) : null
}

/** A SHA-1 digest; also peer ids and node ids. All zeros unless given a value. */
export class Sha1Hash extends Digest {
  constructor(value?: Uint8Array | string) {
    super(20, value)
  }

  /** The 20 bytes at `at`. A packet of the DHT makes two of them: without a view each takes a third of the time. @internal */
  static at(bytes: Uint8Array, at: number): Sha1Hash {
    const hash = new Sha1Hash()
    for (let i = 0; i < 20; i++) hash.bytes[i] = bytes[at + i]!
    return hash
  }

  /** The same as of other digests, in half the time: each `get_peers` of the DHT looks one up. */
  protected override makeKey(): string {
    const b = this.bytes
    // biome-ignore format: one row
    return String.fromCharCode(b[0]!, b[1]!, b[2]!, b[3]!, b[4]!, b[5]!, b[6]!, b[7]!, b[8]!, b[9]!, b[10]!, b[11]!, b[12]!, b[13]!, b[14]!, b[15]!, b[16]!, b[17]!, b[18]!, b[19]!)
  }

  /** In bytes. */
  static size(): number {
    return 20
  }

  static max(): Sha1Hash {
    return new Sha1Hash(new Uint8Array(20).fill(0xff))
  }

  static min(): Sha1Hash {
    return new Sha1Hash()
  }

  equals(other: Sha1Hash): boolean {
    return equalAt(this.bytes, 0, other.view(), 0, 20)
  }

  lessThan(other: Sha1Hash): boolean {
    return compareBytes(this.bytes, other.view()) < 0
  }
}

/** A SHA-256 digest. All zeros unless given a value. */
export class Sha256Hash extends Digest {
  constructor(value?: Uint8Array | string) {
    super(32, value)
  }

  /** In bytes. */
  static size(): number {
    return 32
  }

  static max(): Sha256Hash {
    return new Sha256Hash(new Uint8Array(32).fill(0xff))
  }

  static min(): Sha256Hash {
    return new Sha256Hash()
  }

  equals(other: Sha256Hash): boolean {
    return equalAt(this.bytes, 0, other.view(), 0, 32)
  }

  lessThan(other: Sha256Hash): boolean {
    return compareBytes(this.bytes, other.view()) < 0
  }
}

/**
 * What names a torrent: its v1 info-hash, its v2 info-hash, or both (hybrid). All zeros means "has none".
 *
 * @see BEP 52
 */
export class InfoHash {
  v1: Sha1Hash = new Sha1Hash()
  v2: Sha256Hash = new Sha256Hash()

  constructor(v1?: Sha1Hash, v2?: Sha256Hash)
  constructor(v2: Sha256Hash)
  constructor(first?: Sha1Hash | Sha256Hash, second?: Sha256Hash) {
    if (first instanceof Sha256Hash) this.v2 = first
    else if (first !== undefined) this.v1 = first
    if (second !== undefined) this.v2 = second
  }

  hasV1(): boolean {
    return !this.v1.isAllZeros()
  }

  hasV2(): boolean {
    return !this.v2.isAllZeros()
  }

  has(version: ProtocolVersion): boolean {
    return version === ProtocolVersion.V1 ? this.hasV1() : this.hasV2()
  }

  /** The v1 hash, or the v2 hash cut to 20 bytes as handshakes, trackers and the DHT carry it. */
  get(version: ProtocolVersion): Sha1Hash {
    return version === ProtocolVersion.V1 ? this.v1 : truncate(this.v2)
  }

  /** The truncated v2 hash where there is one, the v1 hash else. */
  getBest(): Sha1Hash {
    return this.hasV2() ? truncate(this.v2) : this.v1
  }

  equals(other: InfoHash): boolean {
    return this.v1.equals(other.v1) && this.v2.equals(other.v2)
  }

  lessThan(other: InfoHash): boolean {
    return this.v1.equals(other.v1) ? this.v2.lessThan(other.v2) : this.v1.lessThan(other.v1)
  }

  /** Hex of the hashes there are, `v1:v2`, each empty if it is not there. Fit as a `Map` key. */
  toString(): string {
    return `${this.hasV1() ? this.v1 : ''}:${this.hasV2() ? this.v2 : ''}`
  }
}

function truncate(hash: Sha256Hash): Sha1Hash {
  return new Sha1Hash(hash.view().subarray(0, 20))
}
