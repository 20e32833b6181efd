/** Packets of the DHT as they come in: checked, and read in place (BEP 5). */

import { bdecodeNode, PacketBdecoder } from '../bencode/bdecode.ts'
import type { BdecodeNode } from '../bencode/bdecode-node.ts'
import {
  TOKEN_DICT,
  TOKEN_END,
  TOKEN_INTEGER,
  TOKEN_LIST,
  TOKEN_STRING,
  type TokenTable,
} from '../bencode/token-table.ts'
import { bytesToBinary } from '../core/bytes.ts'
import { Sha1Hash } from '../core/digest.ts'
import { addressFromBytes } from '../core/endpoint.ts'
import { BdecodeErrors } from '../core/error-table.ts'

/** The longest packet that is read; what is longer does not fit a datagram on its way. */
export const MAX_PACKET_SIZE = 1500
/** A packet with a transaction id and a type cannot be this short. */
const TOO_SHORT = 20
const DEPTH = 10
const TOKENS = 500

const D = 0x64
const E = 0x65

/** What a packet is: the character under `y`. */
export const KrpcType = Object.freeze({ none: 0, query: 0x71, response: 0x72, error: 0x65 } as const)
export type KrpcType = (typeof KrpcType)[keyof typeof KrpcType]

/** What a query asks for: the word under `q`. */
export const KrpcMethod = Object.freeze({
  unknown: 0,
  ping: 1,
  findNode: 2,
  getPeers: 3,
  announcePeer: 4,
  get: 5,
  put: 6,
  sampleInfohashes: 7,
} as const)
export type KrpcMethod = (typeof KrpcMethod)[keyof typeof KrpcMethod]

/**
 * Whether a datagram may be one of the DHT: looks at its size and its ends only.
 *
 * What it refuses may be for somebody else who shares the socket.
 */
export function isKrpcPacket(packet: Uint8Array): boolean {
  const size = packet.length
  return size > TOO_SHORT && packet[0] === D && packet[size - 1] === E
}

/**
 * One packet. An object is used for all packets, so what it says is valid until the next one is decoded.
 *
 * The fields that end in `Token` are indices into `table`, -1 for what is absent or of the wrong type.
 * Of a key that is there twice the first one counts.
 */
export class KrpcMessage {
  readonly table: TokenTable
  /** Another character under `y`, or none, gives `none`. */
  type: KrpcType = KrpcType.none
  /** `t`, a string. */
  transactionToken = -1
  /** `q`, a string. */
  queryToken = -1
  /** `a`, a dictionary. */
  argumentsToken = -1
  /** `r`, a dictionary. */
  responseToken = -1
  /** `e`, a list. */
  errorToken = -1
  /** `ip`, a string. */
  ipToken = -1
  /** The sender does not answer queries, so it has no place in a routing table. @see BEP 43 */
  readOnly = false

  constructor(table: TokenTable) {
    this.table = table
  }

  /** What a query asks for. */
  method(): KrpcMethod {
    const query = this.queryToken
    if (query < 0) return KrpcMethod.unknown
    const { table } = this
    switch (table.stringLength(query)) {
      case 3:
        if (table.stringIs(query, 'get')) return KrpcMethod.get
        return table.stringIs(query, 'put') ? KrpcMethod.put : KrpcMethod.unknown
      case 4:
        return table.stringIs(query, 'ping') ? KrpcMethod.ping : KrpcMethod.unknown
      case 9:
        if (table.stringIs(query, 'find_node')) return KrpcMethod.findNode
        return table.stringIs(query, 'get_peers') ? KrpcMethod.getPeers : KrpcMethod.unknown
      case 13:
        return table.stringIs(query, 'announce_peer') ? KrpcMethod.announcePeer : KrpcMethod.unknown
      case 17:
        return table.stringIs(query, 'sample_infohashes') ? KrpcMethod.sampleInfohashes : KrpcMethod.unknown
      default:
        return KrpcMethod.unknown
    }
  }

  /** The word under `q`, one character a byte; empty if there is none. */
  queryName(): string {
    return this.queryToken < 0 ? '' : bytesToBinary(this.table.string(this.queryToken))
  }

  /** What every query must have: its name, and arguments with the sender's id. @returns the text to answer, '' if fine */
  checkQuery(): string {
    if (this.queryToken < 0) return "missing 'q' key"
    if (this.argumentsToken < 0) return "missing 'a' key"
    const id = this.table.findKind(this.argumentsToken, 'id', TOKEN_STRING)
    if (id < 0) return "missing 'id' key"
    return this.table.stringLength(id) === 20 ? '' : "invalid value for 'id'"
  }

  /** The id of the sender of a query or response, `null` if it says none of 20 bytes. */
  senderId(): Sha1Hash | null {
    const dict = this.type === KrpcType.query ? this.argumentsToken : this.responseToken
    return dict < 0 ? null : readHash(this.table, this.table.findKind(dict, 'id', TOKEN_STRING))
  }

  /** The transaction id as a number if it has two bytes, as ours do; -1 else. */
  transactionId(): number {
    const token = this.transactionToken
    if (token < 0 || this.table.stringLength(token) !== 2) return -1
    const at = this.table.stringStart(token)
    return (this.table.buffer[at]! << 8) | this.table.buffer[at + 1]!
  }

  /** Our address as the sender sees it, `null` if it does not say. @see BEP 42 */
  externalAddress(): string | null {
    if (this.ipToken < 0) return null
    const size = this.table.stringLength(this.ipToken)
    if (size < 4) return null
    return addressFromBytes(this.table.buffer, this.table.stringStart(this.ipToken), size >= 16 ? 16 : 4)
  }

  /** Code and text of an error, `null` if it has not both. */
  errorText(): { code: number; text: string } | null {
    if (this.errorToken < 0) return null
    const { table } = this
    const code = this.errorToken + 1
    if (table.kind(code) !== TOKEN_INTEGER) return null
    const text = code + 1
    if (table.kind(text) !== TOKEN_STRING) return null
    return { code: table.int(code), text: bytesToBinary(table.string(text)) }
  }

  /** The whole packet as a node over a copy of it, for those who keep it. */
  toNode(): BdecodeNode {
    return bdecodeNode(this.table.buffer.slice(0, this.table.end(0)), { depth: DEPTH, tokens: TOKENS })
  }

  /** Reads the top level of what was decoded into `table`. @internal */
  read(): void {
    this.type = KrpcType.none
    this.transactionToken = -1
    this.queryToken = -1
    this.argumentsToken = -1
    this.responseToken = -1
    this.errorToken = -1
    this.ipToken = -1
    this.readOnly = false
    const { table } = this
    const { words, buffer } = table
    let seen = 0
    let key = 1
    for (;;) {
      const kind = words[2 * key]! & 7
      if (kind === TOKEN_END) break
      const at = (words[2 * key]! >>> 3) + words[2 * key + 1]!
      const value = key + 1
      const length = (words[2 * value]! >>> 3) - at
      const field = length === 1 ? single(buffer[at]!) : length === 2 ? double(buffer[at]!, buffer[at + 1]!) : 0
      // the first of two counts, whatever its type
      if (field !== 0 && (seen & field) === 0) {
        seen |= field
        this.#take(field, value, words[2 * value]! & 7)
      }
      key = table.next(value)
    }
  }

  #take(field: number, value: number, kind: number): void {
    switch (field) {
      case FIELD_T:
        if (kind === TOKEN_STRING) this.transactionToken = value
        return
      case FIELD_Y:
        if (kind === TOKEN_STRING) this.type = typeOf(this.table, value)
        return
      case FIELD_Q:
        if (kind === TOKEN_STRING) this.queryToken = value
        return
      case FIELD_A:
        if (kind === TOKEN_DICT) this.argumentsToken = value
        return
      case FIELD_R:
        if (kind === TOKEN_DICT) this.responseToken = value
        return
      case FIELD_E:
        if (kind === TOKEN_LIST) this.errorToken = value
        return
      case FIELD_IP:
        if (kind === TOKEN_STRING) this.ipToken = value
        return
      case FIELD_RO:
        this.readOnly = kind === TOKEN_INTEGER && this.table.int(value) !== 0
    }
  }
}

const FIELD_T = 1
const FIELD_Y = 2
const FIELD_Q = 4
const FIELD_A = 8
const FIELD_R = 16
const FIELD_E = 32
const FIELD_IP = 64
const FIELD_RO = 128

function single(c: number): number {
  switch (c) {
    case 0x61:
      return FIELD_A
    case 0x65:
      return FIELD_E
    case 0x71:
      return FIELD_Q
    case 0x72:
      return FIELD_R
    case 0x74:
      return FIELD_T
    case 0x79:
      return FIELD_Y
    default:
      return 0
  }
}

function double(first: number, second: number): number {
  if (first === 0x69 && second === 0x70) return FIELD_IP
  return first === 0x72 && second === 0x6f ? FIELD_RO : 0
}

function typeOf(table: TokenTable, value: number): KrpcType {
  if (table.stringLength(value) !== 1) return KrpcType.none
  const c = table.buffer[table.stringStart(value)]!
  return c === KrpcType.query || c === KrpcType.response || c === KrpcType.error ? c : KrpcType.none
}

/** The hash in the string at `token`, `null` if that is -1 or not 20 bytes long. */
export function readHash(table: TokenTable, token: number): Sha1Hash | null {
  if (token < 0 || table.stringLength(token) !== 20) return null
  return Sha1Hash.at(table.buffer, table.stringStart(token))
}

/** Decodes one packet after the other, without memory of its own for each. */
export class KrpcDecoder {
  readonly #decoder = new PacketBdecoder({ depth: DEPTH, tokens: TOKENS })
  readonly #message = new KrpcMessage(this.#decoder.table)

  /**
   * @param packet borrowed: the message refers to it
   * @returns the message, valid until the next call; `null` if it is no dictionary, broken, or beyond a limit
   */
  decode(packet: Uint8Array): KrpcMessage | null {
    if (packet.length > MAX_PACKET_SIZE) return null
    if (this.#decoder.decode(packet) !== BdecodeErrors.noError) return null
    const message = this.#message
    if (message.table.kind(0) !== TOKEN_DICT) return null
    message.read()
    return message
  }
}

/** What a dictionary of arguments must or may have under one key. */
export interface KeyRule {
  readonly key: string
  /** A `TOKEN_*` kind; 0 for any. */
  readonly kind: number
  /** Length of a string; 0 for any. */
  readonly size: number
  /** A value of another kind or size counts as absent; without this it is an error. */
  readonly optional: boolean
}

/**
 * Looks up keys of a dictionary, checking what they must be.
 *
 * @param found gets the token of each rule's value, -1 where there is none
 * @returns the text to answer if a rule is broken, '' if none is
 */
export function verifyKeys(table: TokenTable, dict: number, rules: readonly KeyRule[], found: Int32Array): string {
  for (let i = 0; i < rules.length; i++) {
    const { key, kind, size, optional } = rules[i]!
    let value = table.find(dict, key)
    if (value >= 0 && kind !== 0 && table.kind(value) !== kind) value = -1
    if (value < 0 && !optional) return `missing '${key}' key`
    if (value >= 0 && size > 0 && table.stringLength(value) !== size) {
      if (!optional) return `invalid value for '${key}'`
      value = -1
    }
    found[i] = value
  }
  return ''
}
