/**
 * The result of parsing a bencoded buffer: one flat table of tokens that refer to the buffer.
 *
 * A token is two 32-bit words, so a value of a million items is one allocation and not a million objects.
 * Values are found by walking indices; `BdecodeNode` is the public view of it, and code that reads
 * 100,000 files walks the table itself.
 */

/** Kinds of token. The first four match `BdecodeNode.Type`. */
export const TOKEN_DICT = 1
export const TOKEN_LIST = 2
export const TOKEN_STRING = 3
export const TOKEN_INTEGER = 4
export const TOKEN_END = 5

/** Offsets have 29 bits beside the 3 of the kind. */
export const MAX_OFFSET = 0x1fffffff

/**
 * Tokens of one parsed buffer, in the order of the bytes; a list or dictionary is followed by its items and an
 * `END`. The last token is an `END` that stands behind the value.
 *
 * Word 0: offset * 8 + kind. Word 1: for lists and dictionaries the number of tokens to the next sibling; for
 * strings the length of the `length:` prefix; 1 for the rest.
 */
export class TokenTable {
  /** What was parsed. Only a `PacketBdecoder` puts another buffer in its place. */
  buffer: Uint8Array
  words: Uint32Array
  count = 0

  constructor(buffer: Uint8Array, capacity: number) {
    this.buffer = buffer
    this.words = new Uint32Array(capacity * 2)
  }

  /** Kind of token `i`. */
  kind(i: number): number {
    return this.words[2 * i]! & 7
  }

  /** Where the text of token `i` starts in the buffer. */
  offset(i: number): number {
    return this.words[2 * i]! >>> 3
  }

  /** Index of the sibling after token `i`. */
  next(i: number): number {
    return (this.words[2 * i]! & 7) <= TOKEN_LIST ? i + this.words[2 * i + 1]! : i + 1
  }

  /** Where the text of token `i` ends. */
  end(i: number): number {
    return this.words[2 * this.next(i)]! >>> 3
  }

  /** First byte of the string of token `i`. */
  stringStart(i: number): number {
    return (this.words[2 * i]! >>> 3) + this.words[2 * i + 1]!
  }

  /** One past the last byte of the string of token `i`. */
  stringEnd(i: number): number {
    return this.words[2 * i + 2]! >>> 3
  }

  stringLength(i: number): number {
    return this.stringEnd(i) - this.stringStart(i)
  }

  /** A view of the bytes of string `i`. */
  string(i: number): Uint8Array {
    return this.buffer.subarray(this.stringStart(i), this.stringEnd(i))
  }

  /** Whether string `i` is these characters, one a byte. */
  stringIs(i: number, text: string): boolean {
    const at = this.stringStart(i)
    if (this.stringEnd(i) - at !== text.length) return false
    const b = this.buffer
    for (let k = 0; k < text.length; k++) if (b[at + k] !== text.charCodeAt(k)) return false
    return true
  }

  /** Token of the value of the first key that is `key`, -1 if there is none. `dict` must be a dictionary. */
  find(dict: number, key: string): number {
    let i = dict + 1
    while (this.kind(i) !== TOKEN_END) {
      const value = i + 1
      if (this.stringIs(i, key)) return value
      i = this.next(value)
    }
    return -1
  }

  /** As `find`, but -1 as well if that value is of another kind: a wrong type counts as absent. */
  findKind(dict: number, key: string, kind: number): number {
    const value = this.find(dict, key)
    return value >= 0 && this.kind(value) === kind ? value : -1
  }

  /** The integer under `key`; `missing` if there is none. */
  findInt(dict: number, key: string, missing: number): number {
    const value = this.findKind(dict, key, TOKEN_INTEGER)
    return value < 0 ? missing : this.int(value)
  }

  /** Items of the list, or keys and values together of the dictionary, at token `i`. */
  childCount(i: number): number {
    let n = 0
    let child = i + 1
    while (this.kind(child) !== TOKEN_END) {
      child = this.next(child)
      n++
    }
    return n
  }

  /**
   * Integer at token `i`, rounded beyond 2^53, and 0 where it does not fit 64 bits with sign, as libtorrent has it.
   */
  int(i: number): number {
    const b = this.buffer
    let at = this.offset(i) + 1
    const negative = b[at] === 0x2d
    if (negative) at++
    const start = at
    let value = 0
    for (let c = b[at]!; c !== 0x65; c = b[++at]!) value = value * 10 + (c - 0x30)
    if (at - start > 18 && this.bigInt(i) === 0n) return 0
    return negative && value !== 0 ? -value : value
  }

  /** Integer at token `i` exactly; 0 where it does not fit 64 bits with sign. */
  bigInt(i: number): bigint {
    const value = this.exact(i)
    // the sign is taken off before the range is checked, so the lowest 64-bit value is out of range
    return value > 0x7fffffffffffffffn || value < -0x7fffffffffffffffn ? 0n : value
  }

  /** Integer at token `i` whatever its size (the parser allows 20 digits). */
  exact(i: number): bigint {
    const from = this.offset(i) + 1
    let text = ''
    for (let at = from; this.buffer[at] !== 0x65; at++) text += String.fromCharCode(this.buffer[at]!)
    return BigInt(text)
  }
}
