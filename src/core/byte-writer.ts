/** Growable output buffer that all encoders write into. */

import { textToBytes, writeUint16, writeUint32, writeUint64 } from './bytes.ts'

export class ByteWriter {
  #buffer: Uint8Array
  #length = 0

  constructor(capacity = 256) {
    this.#buffer = new Uint8Array(capacity)
  }

  get length(): number {
    return this.#length
  }

  uint8(value: number): this {
    const at = this.#reserve(1)
    this.#buffer[at] = value
    return this
  }

  uint16(value: number): this {
    const at = this.#reserve(2)
    writeUint16(this.#buffer, at, value)
    return this
  }

  uint32(value: number): this {
    const at = this.#reserve(4)
    writeUint32(this.#buffer, at, value)
    return this
  }

  uint64(value: number): this {
    const at = this.#reserve(8)
    writeUint64(this.#buffer, at, value)
    return this
  }

  bytes(value: Uint8Array): this {
    const at = this.#reserve(value.length)
    this.#buffer.set(value, at)
    return this
  }

  /** Appends ASCII text, one byte per character. */
  ascii(value: string): this {
    const at = this.#reserve(value.length)
    for (let i = 0; i < value.length; i++) this.#buffer[at + i] = value.charCodeAt(i)
    return this
  }

  /** Appends text as UTF-8. */
  text(value: string): this {
    return this.bytes(textToBytes(value))
  }

  /** Overwrites four bytes written before, such as a length known only later. */
  patchUint32(at: number, value: number): void {
    writeUint32(this.#buffer, at, value)
  }

  clear(): void {
    this.#length = 0
  }

  /** What was written, as a view that the next write may overwrite. */
  view(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  /** What was written, as a copy the caller owns. */
  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length)
  }

  #reserve(count: number): number {
    const at = this.#length
    const need = at + count
    if (need > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(need, this.#buffer.length * 2))
      grown.set(this.#buffer.subarray(0, at))
      this.#buffer = grown
    }
    this.#length = need
    return at
  }
}
