/** Tokens of a bencoded buffer to plain JavaScript values. */

import { bytesToBinary } from '../core/bytes.ts'
import type { Entry } from './entry.ts'
import { TOKEN_END, TOKEN_INTEGER, TOKEN_LIST, TOKEN_STRING, type TokenTable } from './token-table.ts'

/** The value of a whole table; its strings are views of the table's buffer. */
export function plainValue(table: TokenTable): Entry {
  return new PlainBuilder(table).value()
}

/** Turns tokens into plain values. Depth was limited by the parser, so recursion is safe. */
class PlainBuilder {
  readonly #table: TokenTable
  readonly #words: Uint32Array
  readonly #buffer: Uint8Array
  #i = 0
  /** Keys met before, by a hash of their bytes: torrents repeat the same few a hundred thousand times. */
  readonly #keys: string[] = []
  readonly #keyAt = new Int32Array(64).fill(-1)
  readonly #keyLength = new Int32Array(64)

  constructor(table: TokenTable) {
    this.#table = table
    this.#words = table.words
    this.#buffer = table.buffer
  }

  value(): Entry {
    const words = this.#words
    const i = this.#i++
    switch (words[2 * i]! & 7) {
      case TOKEN_STRING:
        return this.#string(i)
      case TOKEN_INTEGER:
        return this.#integer(i)
      case TOKEN_LIST:
        return this.#list(i)
      default: {
        // keeps the shapes that objects of equal keys share, which `Object.create(null)` does not: twice as fast
        const dictionary: { [key: string]: Entry } = Object.setPrototypeOf({}, null)
        while ((words[2 * this.#i]! & 7) !== TOKEN_END) {
          const key = this.#key(this.#i++)
          dictionary[key] = this.value()
        }
        this.#i++
        return dictionary
      }
    }
  }

  /** Short lists are made at their size: one that grows by `push` reserves room for 17 at once. */
  #list(i: number): Entry[] {
    let list: Entry[]
    switch (this.#table.childCount(i)) {
      case 0:
        list = []
        break
      case 1:
        list = [this.value()]
        break
      case 2:
        list = [this.value(), this.value()]
        break
      case 3:
        list = [this.value(), this.value(), this.value()]
        break
      default:
        list = []
        while ((this.#words[2 * this.#i]! & 7) !== TOKEN_END) list.push(this.value())
    }
    this.#i++
    return list
  }

  #string(i: number): Uint8Array {
    const b = this.#buffer
    const words = this.#words
    const at = (words[2 * i]! >>> 3) + words[2 * i + 1]!
    // as `subarray`, without its detour over the species of the array
    return new Uint8Array(b.buffer, b.byteOffset + at, (words[2 * i + 2]! >>> 3) - at)
  }

  #integer(i: number): number | bigint {
    const table = this.#table
    const length = table.end(i) - table.offset(i)
    // "i" and "e" with up to 15 digits are exact in a double
    if (length <= 17) return table.int(i)
    const exact = table.exact(i)
    const rounded = Number(exact)
    return Number.isSafeInteger(rounded) ? rounded : exact
  }

  #key(i: number): string {
    const b = this.#buffer
    const words = this.#words
    const at = (words[2 * i]! >>> 3) + words[2 * i + 1]!
    const length = (words[2 * i + 2]! >>> 3) - at
    if (length === 0) return ''
    if (length > 16) return bytesToBinary(b.subarray(at, at + length))
    const slot = (b[at]! + length * 7 + b[at + length - 1]! * 3) & 63
    const known = this.#keyAt[slot]!
    if (known >= 0 && this.#keyLength[slot] === length) {
      let k = 0
      while (k < length && b[known + k] === b[at + k]) k++
      if (k === length) return this.#keys[slot]!
    }
    let text = ''
    for (let k = 0; k < length; k++) text += String.fromCharCode(b[at + k]!)
    this.#keys[slot] = text
    this.#keyAt[slot] = at
    this.#keyLength[slot] = length
    return text
  }
}
