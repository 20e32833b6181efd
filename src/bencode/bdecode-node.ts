/** Lazy views of a parsed bencoded buffer: nothing is copied, and nothing is built before it is asked for. */

import { bytesToBinary } from '../core/bytes.ts'
import { TOKEN_DICT, TOKEN_END, TOKEN_INTEGER, TOKEN_LIST, TOKEN_STRING, type TokenTable } from './token-table.ts'

const Type = Object.freeze({ noneT: 0, dictT: 1, listT: 2, stringT: 3, intT: 4 })
type Type = (typeof Type)[keyof typeof Type]

const NO_BYTES = new Uint8Array(0)

/**
 * One value of a bencoded buffer, or none.
 *
 * Nodes are small and made on demand; strings are views of the buffer, which must not change. Keys to look
 * up are binary strings, one character (0-255) per byte. Reading a node as another type than it has is a
 * logic error and throws; looking up what is not there gives a node of type `none`.
 */
export class BdecodeNode {
  static readonly Type: typeof Type = Type

  #table: TokenTable | null
  #token: number
  /** The child found last, so that a loop over `listAt(i)` or `dictAt(i)` does not start over each time. */
  #lastIndex = 0
  #lastToken = -1
  #size = -1

  /** `new BdecodeNode()` is the node of type `none`; others come from `bdecodeNode()`. */
  constructor(table: TokenTable | null = null, token = -1) {
    this.#table = token >= 0 ? table : null
    this.#token = token
  }

  /** The tokens behind this node, `null` if it is none. @internal */
  table(): TokenTable | null {
    return this.#table
  }

  /** Index of its token. @internal */
  token(): number {
    return this.#token
  }

  type(): Type {
    if (this.#table === null) return Type.noneT
    const kind = this.#table.kind(this.#token)
    return kind === TOKEN_END ? Type.noneT : (kind as Type)
  }

  /** Makes this the node of type `none`. */
  clear(): void {
    this.#table = null
    this.#token = -1
    this.#lastIndex = 0
    this.#lastToken = -1
    this.#size = -1
  }

  /** The bencoded bytes of this value: a view. Empty for none. */
  dataSection(): Uint8Array {
    const t = this.#table
    return t === null ? NO_BYTES : t.buffer.subarray(t.offset(this.#token), t.end(this.#token))
  }

  /** Where `dataSection()` starts in the buffer, -1 for none. */
  dataOffset(): number {
    return this.#table === null ? -1 : this.#table.offset(this.#token)
  }

  /** @throws RangeError beyond the end */
  listAt(i: number): BdecodeNode {
    const t = this.#of(TOKEN_LIST, 'listAt')
    return new BdecodeNode(t, this.#child(t, i, 1))
  }

  /** The string at `i`; `defaultVal` if another type is there. */
  listStringValueAt(i: number, defaultVal: Uint8Array = NO_BYTES): Uint8Array {
    const t = this.#of(TOKEN_LIST, 'listStringValueAt')
    const child = this.#child(t, i, 1)
    return t.kind(child) === TOKEN_STRING ? t.string(child) : defaultVal
  }

  /** The integer at `i`; `defaultVal` if another type is there. */
  listIntValueAt(i: number, defaultVal = 0): number {
    const t = this.#of(TOKEN_LIST, 'listIntValueAt')
    const child = this.#child(t, i, 1)
    return t.kind(child) === TOKEN_INTEGER ? t.int(child) : defaultVal
  }

  listSize(): number {
    const t = this.#of(TOKEN_LIST, 'listSize')
    if (this.#size < 0) this.#size = t.childCount(this.#token)
    return this.#size
  }

  /** Key and value at `i`, in the order of the buffer. @throws RangeError beyond the end */
  dictAt(i: number): [key: string, value: BdecodeNode] {
    const t = this.#of(TOKEN_DICT, 'dictAt')
    const key = this.#child(t, i, 2)
    return [bytesToBinary(t.string(key)), new BdecodeNode(t, key + 1)]
  }

  /** As `dictAt`, the key as a node too. */
  dictAtNode(i: number): [key: BdecodeNode, value: BdecodeNode] {
    const t = this.#of(TOKEN_DICT, 'dictAtNode')
    const key = this.#child(t, i, 2)
    return [new BdecodeNode(t, key), new BdecodeNode(t, key + 1)]
  }

  /** Number of keys. */
  dictSize(): number {
    const t = this.#of(TOKEN_DICT, 'dictSize')
    if (this.#size < 0) this.#size = t.childCount(this.#token) / 2
    return this.#size
  }

  /** The value of the first such key, or none. */
  dictFind(key: string): BdecodeNode {
    const t = this.#of(TOKEN_DICT, 'dictFind')
    return new BdecodeNode(t, t.find(this.#token, key))
  }

  dictFindDict(key: string): BdecodeNode {
    return this.#findKind(key, TOKEN_DICT)
  }

  dictFindList(key: string): BdecodeNode {
    return this.#findKind(key, TOKEN_LIST)
  }

  dictFindString(key: string): BdecodeNode {
    return this.#findKind(key, TOKEN_STRING)
  }

  dictFindInt(key: string): BdecodeNode {
    return this.#findKind(key, TOKEN_INTEGER)
  }

  /** The string under `key`, a view; `defaultValue` if it is absent or of another type. */
  dictFindStringValue(key: string, defaultValue: Uint8Array = NO_BYTES): Uint8Array {
    const t = this.#of(TOKEN_DICT, 'dictFindStringValue')
    const value = t.findKind(this.#token, key, TOKEN_STRING)
    return value < 0 ? defaultValue : t.string(value)
  }

  /** The integer under `key`; `defaultVal` if it is absent or of another type. */
  dictFindIntValue(key: string, defaultVal = 0): number {
    return this.#of(TOKEN_DICT, 'dictFindIntValue').findInt(this.#token, key, defaultVal)
  }

  /** Rounded beyond 2^53 (see `bigIntValue`); 0 if it does not fit 64 bits with sign. */
  intValue(): number {
    return this.#of(TOKEN_INTEGER, 'intValue').int(this.#token)
  }

  /** As `intValue`, exact. */
  bigIntValue(): bigint {
    return this.#of(TOKEN_INTEGER, 'bigIntValue').bigInt(this.#token)
  }

  /** A view of the bytes. */
  stringValue(): Uint8Array {
    return this.#of(TOKEN_STRING, 'stringValue').string(this.#token)
  }

  /** Where the bytes of the string start in the buffer. */
  stringOffset(): number {
    return this.#of(TOKEN_STRING, 'stringOffset').stringStart(this.#token)
  }

  /** In bytes. */
  stringLength(): number {
    return this.#of(TOKEN_STRING, 'stringLength').stringLength(this.#token)
  }

  #findKind(key: string, kind: number): BdecodeNode {
    const t = this.#of(TOKEN_DICT, 'dictFind')
    return new BdecodeNode(t, t.findKind(this.#token, key, kind))
  }

  #of(kind: number, where: string): TokenTable {
    const t = this.#table
    if (t === null || t.kind(this.#token) !== kind) {
      throw new TypeError(`BdecodeNode.${where}: the node is of type ${this.type()}`)
    }
    return t
  }

  /** Token of child `i`, each child being `step` siblings. */
  #child(t: TokenTable, i: number, step: number): number {
    let token = this.#token + 1
    let at = 0
    if (this.#lastToken >= 0 && this.#lastIndex <= i) {
      token = this.#lastToken
      at = this.#lastIndex
    }
    if (i < 0 || !Number.isInteger(i)) throw new RangeError(`BdecodeNode: no child ${i}`)
    while (t.kind(token) !== TOKEN_END) {
      if (at === i) {
        this.#lastIndex = i
        this.#lastToken = token
        return token
      }
      token = t.next(token)
      if (step === 2) token = t.next(token)
      at++
    }
    throw new RangeError(`BdecodeNode: no child ${i}`)
  }
}
