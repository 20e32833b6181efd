/**
 * Answers the queries of other nodes (BEP 5, 32, 33, 43, 44, 51).
 *
 * The error codes and texts are libtorrent's. An object serves all queries of a node: what an answer is made of is kept
 * from one to the next.
 */

import { softError } from '../bencode/soft-error.ts'
import { TOKEN_END, TOKEN_INTEGER, TOKEN_LIST, TOKEN_STRING, type TokenTable } from '../bencode/token-table.ts'
import { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import { DhtModule } from '../core/enums.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import * as C from '../stats/counter-ids.ts'
import type { Counters } from '../stats/counters.ts'
import type { DhtObserver } from './dht-observer.ts'
import { itemTargetId, MAX_ITEM_SIZE, MAX_SALT_SIZE, mutableItemTargetId, verifyMutableItem } from './item.ts'
import { type KeyRule, type KrpcMessage, KrpcMethod, readHash, verifyKeys } from './krpc.ts'
import { encodeError, encodeForeignReply, encodeReply, KrpcReply } from './krpc-encode.ts'
import type { KrpcWriter } from './krpc-writer.ts'
import { type NodeEntry, UNKNOWN_RTT } from './node-entry.ts'
import { verifyIdAt } from './node-id.ts'
import { PeersReply } from './peers-reply.ts'
import type { DhtStorageInterface } from './storage.ts'
import { WRITE_TOKEN_SIZE, type WriteTokens } from './write-token.ts'

/** The part of a routing table that answers need. */
export interface QueriedTable {
  /** @see RoutingTable.heardAboutAt */
  heardAboutAt(bytes: Uint8Array, at: number, endpoint: Endpoint): void
  nodeSeen(id: Sha1Hash, endpoint: Endpoint, rtt: number): boolean
  /** @see RoutingTable.findNodeAt */
  findNodeAt(bytes: Uint8Array, at: number, count: number, includeFailed: boolean, out: NodeEntry[]): void
}

/** The node that is asked. */
export interface QueriedNode {
  /** Our id. */
  readonly nid: Sha1Hash
  readonly family: 4 | 6
  readonly table: QueriedTable
  readonly storage: DhtStorageInterface
  readonly settings: Pick<SessionSettings, 'dhtEnforceNodeId'>
  readonly tokens: WriteTokens
  readonly counters: Counters
  readonly observer: DhtObserver
  /** The table of our node of a family, `null` if there is none. */
  tableOf(family: 4 | 6): QueriedTable | null
}

/** The codes of BEP 5 and BEP 44. */
const PROTOCOL_ERROR = 203
const MESSAGE_TOO_BIG = 205
const INVALID_SIGNATURE = 206
const SALT_TOO_BIG = 207
const CAS_MISMATCH = 301
const OLD_SEQUENCE_NUMBER = 302

const NO_BYTES = new Uint8Array(0)

function must(key: string, kind: number, size = 0): KeyRule {
  return { key, kind, size, optional: false }
}

function may(key: string, kind: number, size = 0): KeyRule {
  return { key, kind, size, optional: true }
}

const FIND_NODE = [must('target', TOKEN_STRING, 20), may('want', TOKEN_LIST)]
const GET_PEERS = [
  must('info_hash', TOKEN_STRING, 20),
  may('noseed', TOKEN_INTEGER),
  may('scrape', TOKEN_INTEGER),
  may('want', TOKEN_LIST),
]
const ANNOUNCE_PEER = [
  must('info_hash', TOKEN_STRING, 20),
  must('port', TOKEN_INTEGER),
  must('token', TOKEN_STRING),
  may('n', TOKEN_STRING),
  may('seed', TOKEN_INTEGER),
  may('implied_port', TOKEN_INTEGER),
]
const PUT = [
  must('token', TOKEN_STRING),
  must('v', 0),
  may('seq', TOKEN_INTEGER),
  may('k', TOKEN_STRING, 32),
  may('sig', TOKEN_STRING, 64),
  may('cas', TOKEN_INTEGER),
  may('salt', TOKEN_STRING),
]
const GET = [may('seq', TOKEN_INTEGER), must('target', TOKEN_STRING, 20), may('want', TOKEN_LIST)]

export class QueryHandlers {
  readonly #node: QueriedNode
  readonly #found = new Int32Array(8)
  readonly #reply = new KrpcReply()
  readonly #peers = new PeersReply()
  readonly #nodes: NodeEntry[] = []
  readonly #nodes6: NodeEntry[] = []
  readonly #token = new Uint8Array(WRITE_TOKEN_SIZE)
  /** Of the error that a query is answered with, if it is. */
  #errorCode = PROTOCOL_ERROR

  constructor(node: QueriedNode) {
    this.#node = node
  }

  /**
   * Answers one query.
   *
   * @param query borrowed
   * @param out   gets the answer, whatever the query is like
   */
  answer(query: KrpcMessage, from: Endpoint, out: KrpcWriter): void {
    const node = this.#node
    const broken = query.checkQuery()
    if (broken !== '') {
      encodeError(out, query, PROTOCOL_ERROR, broken, null, null)
      return
    }
    const { table } = query
    const id = table.stringStart(table.findKind(query.argumentsToken, 'id', TOKEN_STRING))
    if (node.settings.dhtEnforceNodeId && !verifyIdAt(table.buffer, id, from[0])) {
      encodeError(out, query, PROTOCOL_ERROR, 'invalid node ID', from, null)
      return
    }
    // who is read-only does not answer, and so is of no use to others
    if (!query.readOnly) node.table.heardAboutAt(table.buffer, id, from)
    if (node.observer.answersRequests) {
      const foreign = node.observer.onDhtRequest(query.queryName(), from, query.toNode())
      if (foreign !== null) {
        encodeForeignReply(out, query, from, foreign)
        return
      }
    }
    this.#reply.clear()
    const error = this.#handle(query, from)
    if (error !== '') encodeError(out, query, this.#errorCode, error, from, node.nid)
    else encodeReply(out, query, from, node.nid, this.#reply)
  }

  /** @returns why it cannot be done; empty if it was */
  #handle(query: KrpcMessage, from: Endpoint): string {
    switch (query.method()) {
      case KrpcMethod.ping:
        this.#node.counters.inc(C.DHT_DHT_PING_IN)
        return ''
      case KrpcMethod.findNode:
        return this.#findNode(query)
      case KrpcMethod.getPeers:
        return this.#getPeers(query, from)
      case KrpcMethod.announcePeer:
        return this.#announcePeer(query, from)
      case KrpcMethod.get:
        return this.#get(query, from)
      case KrpcMethod.put:
        return this.#put(query, from)
      case KrpcMethod.sampleInfohashes:
        return this.#sampleInfohashes(query)
      default:
        return this.#unknown(query)
    }
  }

  #findNode(query: KrpcMessage): string {
    const { counters } = this.#node
    const broken = this.#verify(query, FIND_NODE, C.DHT_DHT_INVALID_FIND_NODE)
    if (broken !== '') return broken
    counters.inc(C.DHT_DHT_FIND_NODE_IN)
    this.#addNodes(query.table, this.#found[0]!, this.#found[1]!)
    return ''
  }

  #getPeers(query: KrpcMessage, from: Endpoint): string {
    const { counters, observer, storage } = this.#node
    const broken = this.#verify(query, GET_PEERS, C.DHT_DHT_INVALID_GET_PEERS)
    if (broken !== '') return broken
    const { table } = query
    const found = this.#found
    const infoHash = Sha1Hash.at(table.buffer, table.stringStart(found[0]!))
    counters.inc(C.DHT_DHT_GET_PEERS_IN)
    this.#addNodes(table, found[0]!, found[3]!)
    observer.getPeers(infoHash)
    this.#peers.clear()
    const noseed = isSet(table, found[1]!)
    const full = storage.getPeers(infoHash, noseed, isSet(table, found[2]!), from[0], this.#peers.dict)
    this.#peers.moveTo(this.#reply)
    // without a token the asker announces to our neighbours: that widens the circle of nodes that know the swarm
    if (!full) this.#addToken(from, infoHash)
    if (this.#reply.values !== null && observer.shouldLog(DhtModule.node)) {
      observer.log(DhtModule.node, `${this.#reply.values.length} peers of ${infoHash} told`)
    }
    return ''
  }

  #announcePeer(query: KrpcMessage, from: Endpoint): string {
    const node = this.#node
    const { counters } = node
    const broken = this.#verify(query, ANNOUNCE_PEER, C.DHT_DHT_INVALID_ANNOUNCE)
    if (broken !== '') return broken
    const { table } = query
    const found = this.#found
    const port = isSet(table, found[5]!) ? from[1] : table.int(found[1]!)
    if (port < 0 || port >= 65536) return this.#fail(C.DHT_DHT_INVALID_ANNOUNCE, 'invalid port')
    const infoHash = Sha1Hash.at(table.buffer, table.stringStart(found[0]!))
    node.observer.announce(infoHash, from[0], port)
    if (!this.#verifyToken(table, found[2]!, infoHash, from)) {
      return this.#fail(C.DHT_DHT_INVALID_ANNOUNCE, 'invalid token')
    }
    counters.inc(C.DHT_DHT_ANNOUNCE_PEER_IN)
    // the token came back, so the address is not forged
    if (!query.readOnly) node.table.nodeSeen(query.senderId()!, from, UNKNOWN_RTT)
    const name = found[3]! < 0 ? NO_BYTES : table.string(found[3]!)
    node.storage.announcePeer(infoHash, [from[0], port], name, isSet(table, found[4]!))
    return ''
  }

  #get(query: KrpcMessage, from: Endpoint): string {
    const { counters, storage } = this.#node
    const broken = this.#verify(query, GET, C.DHT_DHT_INVALID_GET)
    if (broken !== '') return broken
    counters.inc(C.DHT_DHT_GET_IN)
    const { table } = query
    const found = this.#found
    const target = Sha1Hash.at(table.buffer, table.stringStart(found[1]!))
    const reply = this.#reply
    this.#addToken(from, target)
    this.#addNodes(table, found[1]!, found[2]!)
    // who says a version knows that the item is mutable
    if (found[0]! < 0) {
      reply.value = storage.getImmutableItem(target)
      if (reply.value !== null) return ''
    }
    const seq = found[0]! < 0 ? 0 : integer(table, found[0]!)
    const item = storage.getMutableItem(target, seq, found[0]! < 0)
    if (item === null) return ''
    reply.seq = item.seq
    reply.value = item.value ?? null
    reply.signature = item.signature ?? null
    reply.key = item.publicKey ?? null
    return ''
  }

  #put(query: KrpcMessage, from: Endpoint): string {
    const node = this.#node
    const { table } = query
    const broken = this.#verify(query, PUT, C.DHT_DHT_INVALID_PUT)
    if (broken !== '') return broken
    // a value that is not encoded in the one right way does not keep its signature when it is passed on
    const soft = softError(table, query.argumentsToken)
    if (soft !== '') return this.#fail(C.DHT_DHT_INVALID_PUT, soft)
    node.counters.inc(C.DHT_DHT_PUT_IN)
    const found = this.#found
    const value = table.buffer.subarray(table.offset(found[1]!), table.end(found[1]!))
    if (value.length > MAX_ITEM_SIZE) return this.#fail(C.DHT_DHT_INVALID_PUT, 'message too big', MESSAGE_TOO_BIG)
    const salt = found[6]! < 0 ? NO_BYTES : table.string(found[6]!)
    if (salt.length > MAX_SALT_SIZE) return this.#fail(C.DHT_DHT_INVALID_PUT, 'salt too big', SALT_TOO_BIG)
    // Deviation: with a key but no signature, libtorrent stores a value that nobody has signed where the owner's belongs
    const key = found[2]! >= 0 && found[3]! >= 0 && found[4]! >= 0 ? table.string(found[3]!) : null
    const target = key === null ? itemTargetId(value) : mutableItemTargetId(salt, key)
    if (!this.#verifyToken(table, found[0]!, target, from)) return this.#fail(C.DHT_DHT_INVALID_PUT, 'invalid token')
    if (key !== null) {
      const refused = this.#putMutable(table, target, value, salt, key, from)
      if (refused !== '') return refused
    } else node.storage.putImmutableItem(target, value, from[0])
    if (!query.readOnly) node.table.nodeSeen(query.senderId()!, from, UNKNOWN_RTT)
    return ''
  }

  /** @returns why the item is not stored; empty if it is */
  #putMutable(
    table: TokenTable,
    target: Sha1Hash,
    value: Uint8Array,
    salt: Uint8Array,
    key: Uint8Array,
    from: Endpoint,
  ): string {
    const { storage } = this.#node
    const found = this.#found
    const counter = C.DHT_DHT_INVALID_PUT
    const seq = integer(table, found[2]!)
    if (seq < 0) return this.#fail(counter, 'invalid (negative) sequence number')
    const signature = table.string(found[4]!)
    if (!verifyMutableItem(value, salt, seq, key, signature)) {
      return this.#fail(counter, 'invalid signature', INVALID_SIGNATURE)
    }
    const has = storage.getMutableItemSeq(target)
    // two writers that read the same version would else overwrite each other unseen
    if (has !== null && found[5]! >= 0 && table.bigInt(found[5]!) !== BigInt(has)) {
      return this.#fail(counter, 'CAS mismatch', CAS_MISMATCH)
    }
    if (has !== null && has > seq) return this.#fail(counter, 'old sequence number', OLD_SEQUENCE_NUMBER)
    storage.putMutableItem(target, value, signature, seq, key, salt, from[0])
    return ''
  }

  #sampleInfohashes(query: KrpcMessage): string {
    const { counters, storage } = this.#node
    const broken = this.#verify(query, FIND_NODE, C.DHT_DHT_INVALID_SAMPLE_INFOHASHES)
    if (broken !== '') return broken
    counters.inc(C.DHT_DHT_SAMPLE_INFOHASHES_IN)
    const sample = storage.getInfohashesSample()
    this.#reply.interval = sample.interval
    this.#reply.num = sample.num
    this.#reply.samples = sample.samples
    this.#addNodes(query.table, this.#found[0]!, this.#found[1]!)
    return ''
  }

  /** Queries of the future: what has a target is answered as `find_node`. */
  #unknown(query: KrpcMessage): string {
    const { table, argumentsToken } = query
    let target = table.findKind(argumentsToken, 'target', TOKEN_STRING)
    if (readHash(table, target) === null) {
      target = table.findKind(argumentsToken, 'info_hash', TOKEN_STRING)
      if (readHash(table, target) === null) {
        this.#errorCode = PROTOCOL_ERROR
        return 'unknown message'
      }
    }
    this.#addNodes(table, target, table.findKind(argumentsToken, 'want', TOKEN_LIST))
    return ''
  }

  /**
   * Puts the nodes closest to a target into the answer: of our family, or of those that are wanted.
   *
   * @param want token of a list of families, -1 for none. @see BEP 32
   */
  #addNodes(table: TokenTable, target: number, want: number): void {
    const node = this.#node
    const at = table.stringStart(target)
    if (want < 0) {
      this.#addNodesOf(node.family, node.table, table.buffer, at)
      return
    }
    for (let item = want + 1; table.kind(item) !== TOKEN_END; item = table.next(item)) {
      if (table.kind(item) !== TOKEN_STRING) continue
      const family = table.stringIs(item, 'n4') ? 4 : table.stringIs(item, 'n6') ? 6 : 0
      if (family === 0 || (family === 4 ? this.#reply.nodes : this.#reply.nodes6) !== null) continue
      const wanted = node.tableOf(family)
      if (wanted !== null) this.#addNodesOf(family, wanted, table.buffer, at)
    }
  }

  #addToken(to: Endpoint, hash: Sha1Hash): void {
    this.#node.tokens.generateInto(to[0], hash.view(), 0, this.#token, 0)
    this.#reply.token = this.#token
  }

  #addNodesOf(family: 4 | 6, from: QueriedTable, target: Uint8Array, at: number): void {
    const out = family === 4 ? this.#nodes : this.#nodes6
    from.findNodeAt(target, at, 0, false, out)
    if (family === 4) this.#reply.nodes = out
    else this.#reply.nodes6 = out
  }

  /** @returns what is wrong with the arguments; empty if nothing is */
  #verify(query: KrpcMessage, rules: readonly KeyRule[], counter: number): string {
    const broken = verifyKeys(query.table, query.argumentsToken, rules, this.#found)
    return broken === '' ? '' : this.#fail(counter, broken)
  }

  #verifyToken(table: TokenTable, token: number, target: Sha1Hash, from: Endpoint): boolean {
    const { observer, tokens } = this.#node
    const length = table.stringLength(token)
    if (length !== WRITE_TOKEN_SIZE && observer.shouldLog(DhtModule.node)) {
      observer.log(DhtModule.node, `a token of ${length} bytes`)
    }
    return tokens.verify(table.string(token), from[0], target)
  }

  /** Counts a query that cannot be done. @returns the text */
  #fail(counter: number, text: string, code: number = PROTOCOL_ERROR): string {
    this.#node.counters.inc(counter)
    this.#errorCode = code
    return text
  }
}

/** Whether there is an integer other than 0. */
function isSet(table: TokenTable, token: number): boolean {
  return token >= 0 && table.int(token) !== 0
}

/** Exact, whatever its size. */
function integer(table: TokenTable, token: number): number | bigint {
  const value = table.int(token)
  return Number.isSafeInteger(value) ? value : table.bigInt(token)
}
