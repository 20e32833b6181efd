/** Packed bits, most significant first in each byte, as the `bitfield` message has them (BEP 3). */

const POPCOUNT = new Uint8Array(256)
for (let i = 1; i < 256; i++) POPCOUNT[i] = POPCOUNT[i >> 1]! + (i & 1)

/**
 * A fixed number of bits. Spare bits of the last byte are always zero.
 *
 * `new Bitfield(bits, value?)` makes one filled with `value`; `new Bitfield(bytes, bits)` copies
 * bits out of packed bytes.
 */
export class Bitfield {
  #bits = 0
  #bytes: Uint8Array

  constructor(bits?: number, value?: boolean)
  constructor(bytes: Uint8Array, bits: number)
  constructor(first: number | Uint8Array = 0, second: number | boolean = false) {
    this.#bytes = new Uint8Array(0)
    if (typeof first === 'number') this.resize(first, second === true)
    else this.assign(first, second as number)
  }

  static from(values: ArrayLike<boolean>): Bitfield {
    const out = new Bitfield(values.length)
    for (let i = 0; i < values.length; i++) if (values[i]) out.setBit(i)
    return out
  }

  /** Replaces the content with `bits` bits taken from packed bytes; missing bytes are zeros. */
  assign(bytes: Uint8Array, bits: number): void {
    const size = (bits + 7) >> 3
    this.#bits = bits
    this.#bytes = new Uint8Array(size)
    this.#bytes.set(bytes.subarray(0, size))
    this.#clearSpare()
  }

  getBit(index: number): boolean {
    return (this.#bytes[index >> 3]! & (0x80 >> (index & 7))) !== 0
  }

  setBit(index: number): void {
    if (index < 0 || index >= this.#bits) throw new RangeError(`Bitfield: index ${index} is not below ${this.#bits}`)
    this.#bytes[index >> 3]! |= 0x80 >> (index & 7)
  }

  clearBit(index: number): void {
    if (index < 0 || index >= this.#bits) throw new RangeError(`Bitfield: index ${index} is not below ${this.#bits}`)
    this.#bytes[index >> 3]! &= ~(0x80 >> (index & 7))
  }

  /** Number of bits. */
  size(): number {
    return this.#bits
  }

  numBytes(): number {
    return this.#bytes.length
  }

  empty(): boolean {
    return this.#bits === 0
  }

  /** The packed bytes themselves, not a copy. */
  data(): Uint8Array {
    return this.#bytes
  }

  /** Number of set bits. */
  count(): number {
    let n = 0
    const bytes = this.#bytes
    for (let i = 0; i < bytes.length; i++) n += POPCOUNT[bytes[i]!]!
    return n
  }

  /** False for a field of no bits, as in libtorrent. */
  allSet(): boolean {
    if (this.#bits === 0) return false
    const whole = this.#bits >> 3
    for (let i = 0; i < whole; i++) if (this.#bytes[i] !== 0xff) return false
    const rest = this.#bits & 7
    return rest === 0 || this.#bytes[whole] === ((0xff << (8 - rest)) & 0xff)
  }

  noneSet(): boolean {
    for (let i = 0; i < this.#bytes.length; i++) if (this.#bytes[i] !== 0) return false
    return true
  }

  /** -1 if no bit is set. */
  findFirstSet(): number {
    for (let i = 0; i < this.#bytes.length; i++) {
      const b = this.#bytes[i]!
      if (b !== 0) return i * 8 + Math.clz32(b) - 24
    }
    return -1
  }

  /** -1 if every bit is set. */
  findLastClear(): number {
    for (let i = this.#bits - 1; i >= 0; i--) if (!this.getBit(i)) return i
    return -1
  }

  setAll(): void {
    this.#bytes.fill(0xff)
    this.#clearSpare()
  }

  clearAll(): void {
    this.#bytes.fill(0)
  }

  /** Keeps the bits there are; new ones get `value`. */
  resize(bits: number, value = false): void {
    const before = this.#bits
    const grown = new Uint8Array((bits + 7) >> 3)
    grown.set(this.#bytes.subarray(0, grown.length))
    this.#bytes = grown
    this.#bits = bits
    if (value && bits > before) {
      let i = before
      for (; i < bits && (i & 7) !== 0; i++) this.setBit(i)
      grown.fill(0xff, i >> 3)
    }
    this.#clearSpare()
  }

  clone(): Bitfield {
    return new Bitfield(this.#bytes, this.#bits)
  }

  equals(other: Bitfield): boolean {
    if (other.#bits !== this.#bits) return false
    for (let i = 0; i < this.#bytes.length; i++) if (this.#bytes[i] !== other.#bytes[i]) return false
    return true
  }

  toArray(): boolean[] {
    const out: boolean[] = new Array(this.#bits)
    for (let i = 0; i < this.#bits; i++) out[i] = this.getBit(i)
    return out
  }

  *[Symbol.iterator](): Generator<boolean> {
    for (let i = 0; i < this.#bits; i++) yield this.getBit(i)
  }

  #clearSpare(): void {
    const rest = this.#bits & 7
    if (rest !== 0) this.#bytes[this.#bytes.length - 1]! &= 0xff << (8 - rest)
  }
}
