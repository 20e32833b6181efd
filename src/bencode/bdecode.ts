/** Decoder of bencoded buffers (BEP 3): one pass over the bytes, strict, with limits. */

import { bytesToBinary } from '../core/bytes.ts'
import { bdecodeCategory, ErrorCode, LibtorrentError } from '../core/error-code.ts'
import { BdecodeErrors } from '../core/error-table.ts'
import { BdecodeNode } from './bdecode-node.ts'
import type { Entry } from './entry.ts'
import { plainValue } from './plain-value.ts'
import {
  MAX_OFFSET,
  TOKEN_DICT,
  TOKEN_END,
  TOKEN_INTEGER,
  TOKEN_LIST,
  TOKEN_STRING,
  TokenTable,
} from './token-table.ts'

/** What a decoder accepts before it gives up. */
export interface BdecodeLimits {
  /** Lists and dictionaries inside one another; 100 unless given. */
  readonly depth?: number
  /** Values, keys and ends of lists and dictionaries together; 2,000,000 unless given. */
  readonly tokens?: number
}

/** Outcome of a decode that does not throw. */
export interface BdecodeResult {
  /** The value; after an error what was read until there, closed properly. */
  readonly node: BdecodeNode
  readonly error: BdecodeErrors
  /** Offset of the byte that was wrong, -1 without an error. */
  readonly position: number
}

/** A buffer is not bencoded, or exceeds a limit. */
export class BdecodeError extends LibtorrentError {
  /** Offset of the offending byte. */
  readonly position: number

  constructor(error: BdecodeErrors, position: number) {
    super(new ErrorCode(error, bdecodeCategory()))
    this.name = 'BdecodeError'
    this.position = position
  }
}

const DEPTH = 100
const TOKENS = 2_000_000

/**
 * Decodes to lazy views that refer to `buffer`, which must not change while they are used.
 *
 * Bytes after the first value are ignored; `node.dataSection().length` tells where it ended.
 *
 * @throws BdecodeError; TypeError if it is given anything but bytes
 */
export function bdecodeNode(buffer: Uint8Array, limits?: BdecodeLimits): BdecodeNode {
  checkBytes(buffer)
  const r = tryBdecode(buffer, limits)
  if (r.error !== BdecodeErrors.noError) throw new BdecodeError(r.error, r.position)
  return r.node
}

/** As {@link bdecodeNode}, reporting failure by value: for input from the network. */
export function tryBdecode(buffer: Uint8Array, limits?: BdecodeLimits): BdecodeResult {
  const bytes = plain(buffer)
  const size = bytes.length
  const table = new TokenTable(bytes, size <= 1024 ? (size >> 1) + 8 : (size >> 6) + 512)
  const depth = limits?.depth ?? DEPTH
  return new Parser(table, depth, Math.min(depth, size), limits?.tokens ?? TOKENS).run()
}

/**
 * Decodes one packet after the other into the same table, so that a packet costs no memory.
 *
 * What is read of a packet is valid until the next one is decoded.
 */
export class PacketBdecoder {
  /** The tokens of the last packet; meaningless after an error. */
  readonly table: TokenTable
  readonly #parser: Parser

  constructor(limits: Required<BdecodeLimits>) {
    this.table = new TokenTable(new Uint8Array(0), limits.tokens + 2 * limits.depth + 16)
    this.#parser = new Parser(this.table, limits.depth, limits.depth, limits.tokens)
  }

  /** @param packet borrowed until the next call */
  decode(packet: Uint8Array): BdecodeErrors {
    const bytes = plain(packet)
    this.table.buffer = bytes
    return bytes.length > MAX_OFFSET ? BdecodeErrors.limitExceeded : this.#parser.parse()
  }
}

/**
 * Decodes to plain values.
 *
 * Strings are views of one private copy of `buffer`. Of a key that is there twice the last value counts.
 * Integers keep their exact value also where they do not fit 64 bits.
 *
 * @throws BdecodeError; TypeError if it is given anything but bytes
 */
export function bdecode(buffer: Uint8Array, limits?: BdecodeLimits): Entry {
  checkBytes(buffer)
  const table = bdecodeNode(new Uint8Array(buffer), limits).table()!
  return plainValue(table)
}

/** From JavaScript anything may come; taken for bytes it would give misleading errors. Bytes of another realm are bytes. */
function checkBytes(value: unknown): void {
  if (ArrayBuffer.isView(value) && (value as Partial<Uint8Array>).BYTES_PER_ELEMENT === 1) return
  throw new TypeError(`bdecode: expected a Uint8Array, not ${typeof value === 'object' ? kindOf(value) : typeof value}`)
}

function kindOf(value: object | null): string {
  return value === null ? 'null' : (value.constructor?.name ?? 'an object')
}

/** A `Buffer` as what it also is: its `slice` and `subarray` would differ from those of a `Uint8Array`. */
function plain(buffer: Uint8Array): Uint8Array {
  if (buffer.constructor === Uint8Array) return buffer
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}

/** Parser state; all but the limits and the stacks is of the buffer at hand. */
class Parser {
  readonly #depthLimit: number
  readonly #tokenLimit: number
  readonly #table: TokenTable
  /** Word indices of the open lists and dictionaries. */
  readonly #stack: Int32Array
  /** What each open level expects when the level above it is closed. */
  readonly #pending: Uint8Array
  /** Where reading stopped. */
  #at = 0
  /** Where the error is, which for integers is not where reading stopped. */
  #errorAt = -1

  /** @param levels how deep the buffer can nest at all: no more than the limit, nor than it has bytes */
  constructor(table: TokenTable, depthLimit: number, levels: number, tokenLimit: number) {
    this.#table = table
    this.#depthLimit = depthLimit
    this.#tokenLimit = tokenLimit
    this.#stack = new Int32Array(Math.max(0, levels) + 1)
    this.#pending = new Uint8Array(this.#stack.length)
  }

  run(): BdecodeResult {
    if (this.#table.buffer.length > MAX_OFFSET)
      return { node: new BdecodeNode(), error: BdecodeErrors.limitExceeded, position: 0 }
    const error = this.parse()
    const node = new BdecodeNode(this.#table, 0)
    if (error === BdecodeErrors.noError) return { node, error, position: -1 }
    return { node, error, position: this.#errorAt >= 0 ? this.#errorAt : this.#at }
  }

  /** Fills the table; after an error it is closed so that what was read is a valid value. */
  parse(): BdecodeErrors {
    const table = this.#table
    const b = table.buffer
    const end = b.length
    let words = table.words
    let room = words.length - 2 * SPARE
    let w = 0
    let at = 0
    let tokensLeft = this.#tokenLimit
    const depthLimit = this.#depthLimit
    const stack = this.#stack
    const pending = this.#pending
    let depth = 0
    /** 0: in a list or at the top; 1: a key comes; 2: a value comes. */
    let expect = 0
    let error: BdecodeErrors = BdecodeErrors.noError

    for (;;) {
      if (at >= end) {
        error = BdecodeErrors.unexpectedEof
        break
      }
      if (depth >= depthLimit) {
        error = BdecodeErrors.depthExceeded
        break
      }
      if (--tokensLeft < 0) {
        error = BdecodeErrors.limitExceeded
        break
      }
      if (w >= room) {
        words = grow(table, Math.min((w / at) * (end - at), 2 * tokensLeft))
        room = words.length - 2 * SPARE
      }
      const t = b[at]!
      const digit = t - 0x30

      if (digit >= 0 && digit <= 9) {
        const start = at
        let length = digit
        at++
        if (at >= end) {
          error = BdecodeErrors.unexpectedEof
          break
        }
        let c = b[at]!
        while (c !== 0x3a) {
          const d = c - 0x30
          if (d < 0 || d > 9) {
            error = BdecodeErrors.expectedDigit
            break
          }
          if (length >= MAYBE_OVERFLOW && overflows(b, start, at)) {
            error = BdecodeErrors.overflow
            break
          }
          length = length * 10 + d
          at++
          if (at >= end) {
            error = BdecodeErrors.expectedColon
            break
          }
          c = b[at]!
        }
        if (error !== BdecodeErrors.noError) break
        if (length > end - at - 1) {
          error = BdecodeErrors.unexpectedEof
          break
        }
        at++
        const header = at - start
        if (header > MAX_STRING_HEADER) {
          error = BdecodeErrors.limitExceeded
          break
        }
        words[w] = start * 8 + TOKEN_STRING
        words[w + 1] = header
        w += 2
        at += length
        if (expect !== 0) expect = 3 - expect
      } else if (t === 0x65) {
        if (depth === 0) {
          error = BdecodeErrors.unexpectedEof
          break
        }
        if (expect === 2) {
          error = BdecodeErrors.expectedValue
          break
        }
        words[w] = at * 8 + TOKEN_END
        words[w + 1] = 1
        w += 2
        const top = stack[--depth]!
        words[top + 1] = (w - top) >>> 1
        at++
        if (depth > 0) expect = pending[depth - 1]!
      } else if (expect === 1) {
        error = BdecodeErrors.expectedDigit
        break
      } else if (t === 0x64 || t === 0x6c) {
        // when this one is closed its parent goes on with the next key, or the next item
        if (depth > 0) pending[depth - 1] = expect === 2 ? 1 : 0
        stack[depth++] = w
        words[w] = at * 8 + (t === 0x64 ? TOKEN_DICT : TOKEN_LIST)
        words[w + 1] = 1
        w += 2
        at++
        expect = t === 0x64 ? 1 : 0
        continue
      } else if (t === 0x69) {
        const start = at
        at++
        if (at >= end) error = BdecodeErrors.unexpectedEof
        else {
          if (b[at] === 0x2d) at++
          const first = at
          let c = 0
          for (;;) {
            if (at >= end) {
              error = BdecodeErrors.unexpectedEof
              break
            }
            c = b[at]!
            if (c === 0x65 && at > first) break
            if (c < 0x30 || c > 0x39) {
              error = BdecodeErrors.expectedDigit
              break
            }
            at++
          }
          if (at - first > MAX_DIGITS) error = BdecodeErrors.overflow
        }
        if (error !== BdecodeErrors.noError) {
          this.#errorAt = at
          at = start
          break
        }
        words[w] = start * 8 + TOKEN_INTEGER
        words[w + 1] = 1
        w += 2
        at++
        if (expect === 2) expect = 1
      } else {
        error = BdecodeErrors.expectedValue
        break
      }
      if (depth === 0) break
    }

    this.#at = at
    if (error !== BdecodeErrors.noError) {
      w = this.#close(stack, depth, w, expect === 2)
      words = table.words
    }
    words[w] = at * 8 + TOKEN_END
    words[w + 1] = 1
    table.count = (w >>> 1) + 1
    return error
  }

  /** Ends all open lists and dictionaries, a key that lacks its value getting an empty dictionary. */
  #close(stack: Int32Array, depth: number, w: number, lacksValue: boolean): number {
    const table = this.#table
    const at = this.#at * 8
    while (depth > 0) {
      if (w + 2 * SPARE > table.words.length) grow(table, 0)
      const words = table.words
      if (lacksValue) {
        words[w] = at + TOKEN_DICT
        words[w + 1] = 2
        words[w + 2] = at + TOKEN_END
        words[w + 3] = 1
        w += 4
      }
      lacksValue = false
      words[w] = at + TOKEN_END
      words[w + 1] = 1
      w += 2
      const top = stack[--depth]!
      words[top + 1] = (w - top) >>> 1
    }
    if (w + 2 * SPARE > table.words.length) grow(table, 0)
    return w
  }
}

/** Tokens that one step may add without a look at the capacity. */
const SPARE = 4
/** Longest `length:` prefix. */
const MAX_STRING_HEADER = 17
/** Digits of an integer; whether it fits 64 bits is seen when it is read. */
const MAX_DIGITS = 20

/** From here on ten times the length may exceed 2^63 - 1, and a double no longer tells exactly. */
const MAYBE_OVERFLOW = 900_000_000_000_000

/** Whether the digits from `start` to `last` say more than 2^63 - 1. */
function overflows(b: Uint8Array, start: number, last: number): boolean {
  return BigInt(bytesToBinary(b.subarray(start, last + 1))) > 0x7fffffffffffffffn
}

/**
 * Makes room for more tokens, once in most cases: fresh memory costs more than all of the parsing.
 *
 * @param more words still to come if the rest of the buffer is like what was read
 */
function grow(table: TokenTable, more: number): Uint32Array {
  const { length } = table.words
  const words = new Uint32Array(2 * Math.ceil((Math.max(length * 1.5, length + more * 1.05) + 32) / 2))
  words.set(table.words)
  table.words = words
  return words
}
