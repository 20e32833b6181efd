/**
 * Packets of the DHT as they go out, written straight into a buffer (BEP 5, 32, 33, 42, 43, 44, 51).
 *
 * Keys stand in the order of their bytes, as bencoding wants them.
 */

import { bencode } from '../bencode/bencode.ts'
import type { BencodeInput, Entry } from '../bencode/entry.ts'
import { binaryToBytes } from '../core/bytes.ts'
import type { Sha1Hash } from '../core/digest.ts'
import { type Endpoint, isV4 } from '../core/endpoint.ts'
import { versionMajor, versionMinor, versionTiny } from '../core/version.ts'
import type { KrpcMessage } from './krpc.ts'
import type { KrpcWriter } from './krpc-writer.ts'

/** Which client we are: two letters and our version in two bytes. */
const VERSION = `LT${String.fromCharCode(versionMajor, (versionMinor << 4) | versionTiny)}`
const QUERY_TAIL = binaryToBytes(`1:v4:${VERSION}1:y1:qe`)
const RESPONSE_TAIL = binaryToBytes(`1:v4:${VERSION}1:y1:re`)
const ERROR_TAIL = binaryToBytes(`1:v4:${VERSION}1:y1:ee`)

/** A node as responses carry it. */
export interface CompactNode {
  /** Id, address and port: 26 bytes for IPv4, 38 for IPv6. */
  compact(): Uint8Array
}

/** What a query asks. */
export type KrpcQuery =
  | { readonly method: 'ping' }
  | { readonly method: 'find_node' | 'get' | 'sample_infohashes'; readonly target: Sha1Hash }
  | {
      readonly method: 'get_peers'
      readonly infoHash: Sha1Hash
      /** Asks for peers that are no seeds. @see BEP 33 */
      readonly noseed: boolean
      /** Tells a router that we are new, and not just looking for somebody. */
      readonly bootstrap: boolean
    }
  | {
      readonly method: 'announce_peer'
      readonly infoHash: Sha1Hash
      readonly port: number
      readonly token: Uint8Array
      readonly seed: boolean
      /** The port is that which the packet comes from. */
      readonly impliedPort: boolean
    }
  | {
      readonly method: 'put'
      /** What is stored, bencoded. */
      readonly value: Uint8Array
      readonly token: Uint8Array
      /** Of a mutable item; `null` for an immutable one. @see BEP 44 */
      readonly signed: SignedPut | null
    }
  | {
      /** A query of the user's own, as a dictionary with `q` and `a`. */
      readonly method: 'direct'
      readonly entry: { readonly [key: string]: Entry }
    }

export interface SignedPut {
  /** Public key, 32 bytes. */
  readonly key: Uint8Array
  /** 64 bytes. */
  readonly signature: Uint8Array
  readonly seq: number | bigint
  /** Up to 64 bytes; empty for none. */
  readonly salt: Uint8Array
}

/** What all queries say beside what they ask. */
export interface QueryEnvelope {
  /** 0 to 65535. */
  readonly transactionId: number
  /** Our id. */
  readonly id: Sha1Hash
  /** The family of nodes to answer with, where it is not that of the packet; `null` else. @see BEP 32 */
  readonly want: 'n4' | 'n6' | null
  /** We do not answer queries. @see BEP 43 */
  readonly readOnly: boolean
}

/** Appends a query. */
export function encodeQuery(out: KrpcWriter, query: KrpcQuery, envelope: QueryEnvelope): void {
  if (query.method === 'direct') {
    out.bytes(directQuery(query.entry, envelope))
    return
  }
  out.raw('d1:ad')
  encodeArguments(out, query, envelope.id)
  if (envelope.want !== null) out.raw(`4:wantl2:${envelope.want}e`)
  out.raw('e1:q')
  out.raw(`${query.method.length}:${query.method}`)
  if (envelope.readOnly) out.raw('2:roi1e')
  out.raw('1:t2:')
  out.uint16(envelope.transactionId)
  out.bytes(QUERY_TAIL)
}

function encodeArguments(out: KrpcWriter, query: Exclude<KrpcQuery, { method: 'direct' }>, id: Sha1Hash): void {
  if (query.method === 'get_peers' && query.bootstrap) out.raw('2:bsi1e')
  out.raw('2:id20:')
  out.bytes(id.view())
  switch (query.method) {
    case 'ping':
      return
    case 'find_node':
    case 'get':
    case 'sample_infohashes':
      out.raw('6:target20:')
      out.bytes(query.target.view())
      return
    case 'get_peers':
      out.raw('9:info_hash20:')
      out.bytes(query.infoHash.view())
      if (query.noseed) out.raw('6:noseedi1e')
      return
    case 'announce_peer':
      if (query.impliedPort) out.raw('12:implied_porti1e')
      out.raw('9:info_hash20:')
      out.bytes(query.infoHash.view())
      out.raw('4:port')
      out.int(query.port)
      out.raw(query.seed ? '4:seedi1e5:token' : '4:seedi0e5:token')
      out.string(query.token)
      return
    case 'put':
      encodePut(out, query)
  }
}

function encodePut(out: KrpcWriter, query: Extract<KrpcQuery, { method: 'put' }>): void {
  const { signed } = query
  if (signed !== null) {
    out.raw('1:k')
    out.string(signed.key)
    if (signed.salt.length > 0) {
      out.raw('4:salt')
      out.string(signed.salt)
    }
    out.raw('3:seq')
    out.int(signed.seq)
    out.raw('3:sig')
    out.string(signed.signature)
  }
  out.raw('5:token')
  out.string(query.token)
  out.raw('1:v')
  out.bytes(query.value)
}

/** The user's dictionary with what is ours in its place. */
function directQuery(entry: { readonly [key: string]: Entry }, envelope: QueryEnvelope): Uint8Array {
  const given = entry['a']
  const own = typeof given === 'object' && !Array.isArray(given) && !(given instanceof Uint8Array) ? given : {}
  const args: { [key: string]: BencodeInput } = { ...own, id: envelope.id.view() }
  if (envelope.want !== null) {
    const want = own['want']
    args['want'] = [...(Array.isArray(want) ? want : []), envelope.want]
  }
  const packet: { [key: string]: BencodeInput } = {
    ...entry,
    a: args,
    t: Uint8Array.of(envelope.transactionId >>> 8, envelope.transactionId),
    v: binaryToBytes(VERSION),
    y: 'q',
  }
  if (envelope.readOnly) packet['ro'] = 1
  return bencode(packet)
}

/**
 * What a response says beside who we are; one object is used for all, `clear()` in between.
 *
 * All but numbers are borrowed until the response is written. `null`, and -1 for a count, leave a key out.
 */
export class KrpcReply {
  /** IPv4 nodes. */
  nodes: readonly CompactNode[] | null = null
  /** IPv6 nodes. */
  nodes6: readonly CompactNode[] | null = null
  /** What a later announce or put must show. */
  token: Uint8Array | null = null
  /** Compact endpoints of peers, 6 or 18 bytes each. */
  values: readonly Uint8Array[] | null = null
  /** Name of the torrent. */
  name: Uint8Array | null = null
  /** Bloom filter of the downloaders, 256 bytes. @see BEP 33 */
  downloaders: Uint8Array | null = null
  /** Bloom filter of the seeds, 256 bytes. @see BEP 33 */
  seeds: Uint8Array | null = null
  /** A stored value, bencoded. @see BEP 44 */
  value: Uint8Array | null = null
  /** Public key of a mutable item, 32 bytes. */
  key: Uint8Array | null = null
  /** 64 bytes. */
  signature: Uint8Array | null = null
  /** Version of a mutable item. */
  seq: number | bigint | null = null
  /** Info-hashes, 20 bytes each. @see BEP 51 */
  samples: Uint8Array | null = null
  /** Seconds until another sample. */
  interval = -1
  /** Info-hashes known in all. */
  num = -1

  clear(): void {
    this.nodes = null
    this.nodes6 = null
    this.token = null
    this.values = null
    this.name = null
    this.downloaders = null
    this.seeds = null
    this.value = null
    this.key = null
    this.signature = null
    this.seq = null
    this.samples = null
    this.interval = -1
    this.num = -1
  }
}

/**
 * Appends the response to a query.
 *
 * @param to the asker, told its own address (BEP 42) and port
 * @param id ours
 */
export function encodeReply(out: KrpcWriter, query: KrpcMessage, to: Endpoint, id: Sha1Hash, reply: KrpcReply): void {
  out.raw('d')
  writeIp(out, to)
  out.raw('1:rd')
  if (reply.downloaders !== null) writeString(out, '4:BFpe', reply.downloaders)
  if (reply.seeds !== null) writeString(out, '4:BFsd', reply.seeds)
  out.raw('2:id20:')
  out.bytes(id.view())
  if (reply.interval >= 0) writeInt(out, '8:interval', reply.interval)
  if (reply.key !== null) writeString(out, '1:k', reply.key)
  if (reply.name !== null) writeString(out, '1:n', reply.name)
  if (reply.nodes !== null) writeNodes(out, '5:nodes', reply.nodes)
  if (reply.nodes6 !== null) writeNodes(out, '6:nodes6', reply.nodes6)
  if (reply.num >= 0) writeInt(out, '3:num', reply.num)
  writeInt(out, '1:p', to[1])
  if (reply.samples !== null) writeString(out, '7:samples', reply.samples)
  if (reply.seq !== null) writeInt(out, '3:seq', reply.seq)
  if (reply.signature !== null) writeString(out, '3:sig', reply.signature)
  if (reply.token !== null) writeString(out, '5:token', reply.token)
  if (reply.value !== null) {
    out.raw('1:v')
    out.bytes(reply.value)
  }
  if (reply.values !== null) writeList(out, '6:values', reply.values)
  out.raw('e')
  writeTransaction(out, query)
  out.bytes(RESPONSE_TAIL)
}

/** As {@link encodeReply}, with a bencoded dictionary for `r` that somebody else made. */
export function encodeForeignReply(out: KrpcWriter, query: KrpcMessage, to: Endpoint, response: Uint8Array): void {
  out.raw('d')
  writeIp(out, to)
  out.raw('1:r')
  out.bytes(response)
  writeTransaction(out, query)
  out.bytes(RESPONSE_TAIL)
}

/**
 * Appends an error.
 *
 * @param to where the asker is told its address, `null` if it is not
 * @param id ours, where libtorrent has begun a response before it fails (`r` is then there as well); `null` else
 */
export function encodeError(
  out: KrpcWriter,
  query: KrpcMessage,
  code: number,
  text: string,
  to: Endpoint | null,
  id: Sha1Hash | null,
): void {
  out.raw('d1:eli')
  out.raw(`${code}e${text.length}:${text}e`)
  if (to !== null) writeIp(out, to)
  if (to !== null && id !== null) {
    out.raw('1:rd2:id20:')
    out.bytes(id.view())
    writeInt(out, '1:p', to[1])
    out.raw('e')
  }
  writeTransaction(out, query)
  out.bytes(ERROR_TAIL)
}

function writeIp(out: KrpcWriter, to: Endpoint): void {
  out.raw(isV4(to[0]) ? '2:ip6:' : '2:ip18:')
  out.address(to[0])
  out.uint16(to[1])
}

/** The asker's transaction id; empty if it sent none. */
function writeTransaction(out: KrpcWriter, query: KrpcMessage): void {
  const { table, transactionToken } = query
  out.raw('1:t')
  if (transactionToken < 0) {
    out.raw('0:')
    return
  }
  const start = table.stringStart(transactionToken)
  const end = table.stringEnd(transactionToken)
  out.stringHead(end - start)
  out.range(table.buffer, start, end)
}

function writeNodes(out: KrpcWriter, key: string, nodes: readonly CompactNode[]): void {
  out.raw(key)
  let size = 0
  for (let i = 0; i < nodes.length; i++) size += nodes[i]!.compact().length
  out.stringHead(size)
  for (let i = 0; i < nodes.length; i++) out.bytes(nodes[i]!.compact())
}

function writeList(out: KrpcWriter, key: string, items: readonly Uint8Array[]): void {
  out.raw(key)
  out.raw('l')
  for (let i = 0; i < items.length; i++) out.string(items[i]!)
  out.raw('e')
}

function writeString(out: KrpcWriter, key: string, value: Uint8Array): void {
  out.raw(key)
  out.string(value)
}

function writeInt(out: KrpcWriter, key: string, value: number | bigint): void {
  out.raw(key)
  out.int(value)
}
