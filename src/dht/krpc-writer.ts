/** The buffer that packets of the DHT are written into: one for all, so that a packet costs no memory. */

import { addressBytes, isV4 } from '../core/endpoint.ts'

/** Fewer bytes than this are cheaper to copy in a loop than by a call (`bench/krpc.js`). */
const LOOP_BELOW = 12
/** The same for a part of an array, of which a view has to be made first. */
const LOOP_PART_BELOW = 64

/** Appends bencoded pieces to a buffer that grows as needed. */
export class KrpcWriter {
  #buffer: Uint8Array
  #view: Uint8Array
  #at = 0

  constructor(capacity = 2048) {
    this.#buffer = new Uint8Array(capacity)
    this.#view = this.#buffer
  }

  clear(): void {
    this.#at = 0
  }

  /** What was written, as a view that the next packet overwrites. */
  view(): Uint8Array {
    // packets of one kind mostly are of one length, and a view costs as much as writing half of a packet
    const view = this.#view
    if (view.length === this.#at && view.buffer === this.#buffer.buffer) return view
    this.#view = this.#buffer.subarray(0, this.#at)
    return this.#view
  }

  /** Text as it stands, one byte a character. */
  raw(text: string): void {
    const n = text.length
    const at = this.#reserve(n)
    const b = this.#buffer
    for (let i = 0; i < n; i++) b[at + i] = text.charCodeAt(i)
  }

  /** Bytes as they stand. */
  bytes(value: Uint8Array): void {
    const n = value.length
    const at = this.#reserve(n)
    const b = this.#buffer
    if (n >= LOOP_BELOW) b.set(value, at)
    else for (let i = 0; i < n; i++) b[at + i] = value[i]!
  }

  /** The bytes of `source` from `start` to `end`. */
  range(source: Uint8Array, start: number, end: number): void {
    const n = end - start
    const at = this.#reserve(n)
    const b = this.#buffer
    if (n >= LOOP_PART_BELOW) b.set(source.subarray(start, end), at)
    else for (let i = 0; i < n; i++) b[at + i] = source[start + i]!
  }

  /** A bencoded string. */
  string(value: Uint8Array): void {
    this.stringHead(value.length)
    this.bytes(value)
  }

  /** The beginning of a bencoded string whose bytes follow. */
  stringHead(length: number): void {
    this.#decimal(length)
    this.#byte(0x3a)
  }

  /** A bencoded integer. */
  int(value: number | bigint): void {
    this.#byte(0x69)
    if (typeof value === 'number' && value >= 0 && value < 0x7fffffff) this.#decimal(value)
    else this.raw(String(value))
    this.#byte(0x65)
  }

  /** The bytes of an address, 4 or 16. */
  address(address: string): void {
    if (!isV4(address)) {
      this.bytes(addressBytes(address))
      return
    }
    const at = this.#reserve(4)
    const b = this.#buffer
    let octet = 0
    let n = at
    for (let i = 0; i < address.length; i++) {
      const c = address.charCodeAt(i)
      if (c === 0x2e) {
        b[n++] = octet
        octet = 0
      } else octet = octet * 10 + (c - 0x30)
    }
    b[n] = octet
  }

  /** Two bytes, big-endian. */
  uint16(value: number): void {
    const at = this.#reserve(2)
    this.#buffer[at] = value >>> 8
    this.#buffer[at + 1] = value
  }

  #byte(value: number): void {
    const at = this.#reserve(1)
    this.#buffer[at] = value
  }

  /** @param value a whole number, 0 to 2^31 - 1 */
  #decimal(value: number): void {
    let digits = 1
    for (let limit = 10; value >= limit; limit *= 10) digits++
    let at = this.#reserve(digits) + digits
    const b = this.#buffer
    let rest = value | 0
    do {
      const next = (rest / 10) | 0
      b[--at] = 0x30 + rest - next * 10
      rest = next
    } while (rest > 0)
  }

  #reserve(count: number): number {
    const at = this.#at
    const need = at + count
    if (need > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(need, this.#buffer.length * 2))
      grown.set(this.#buffer.subarray(0, at))
      this.#buffer = grown
    }
    this.#at = need
    return at
  }
}
