/** Alerts about the DHT. */

import type { BdecodeNode } from '../bencode/bdecode-node.ts'
import type { Entry } from '../bencode/entry.ts'
import { bytesToHex, bytesToText } from '../core/bytes.ts'
import type { Sha1Hash } from '../core/digest.ts'
import { type Endpoint, endpointToString } from '../core/endpoint.ts'
import { AlertCategory, AlertPriority, type DhtModule, type Operation } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import { operationName } from '../core/operation.ts'
import { Alert } from './alert.ts'

/** A node of the DHT. */
export interface DhtNode {
  readonly nid: Sha1Hash
  readonly endpoint: Endpoint
}

/** One bucket of the routing table. */
export interface DhtRoutingBucket {
  /** Nodes in use. */
  readonly numNodes: number
  /** Nodes that stand by for those that fail. */
  readonly numReplacements: number
  /** Seconds since something happened in the bucket. */
  readonly lastActive: number
}

/** A lookup that is running. */
export interface DhtLookup {
  /** What kind it is, such as `get_peers`. */
  readonly type: string
  readonly outstandingRequests: number
  readonly timeouts: number
  readonly responses: number
  /** Requests that are kept in flight. */
  readonly branchFactor: number
  /** Nodes that could still be asked. */
  readonly nodesLeft: number
  /** Seconds since the last request was sent. */
  readonly lastSent: number
  /** Outstanding requests that are late and have raised the branch factor. */
  readonly firstTimeout: number
  readonly target: Sha1Hash
}

/** Indexed by `DhtModule`. */
const MODULES: readonly string[] = ['tracker', 'node', 'routing_table', 'rpc_manager', 'traversal']

const DIRECTION = Object.freeze({ incoming: 0, outgoing: 1 } as const)

/** A node announced to us that it is in a swarm. */
export class DhtAnnounceAlert extends Alert {
  static override readonly alertType = 55
  static override readonly staticCategory: number = AlertCategory.dht
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly ip: string
  readonly port: number
  readonly infoHash: Sha1Hash

  constructor(ip: string, port: number, infoHash: Sha1Hash) {
    super()
    this.ip = ip
    this.port = port
    this.infoHash = infoHash
  }

  override message(): string {
    return `incoming dht announce: ${this.ip}:${this.port} (${this.infoHash})`
  }
}

/** A node asked us for the peers of a swarm. */
export class DhtGetPeersAlert extends Alert {
  static override readonly alertType = 56
  static override readonly staticCategory: number = AlertCategory.dht
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly infoHash: Sha1Hash

  constructor(infoHash: Sha1Hash) {
    super()
    this.infoHash = infoHash
  }

  override message(): string {
    return `incoming dht get_peers: ${this.infoHash}`
  }
}

/** The first lookup is done: the DHT can be used. */
export class DhtBootstrapAlert extends Alert {
  static override readonly alertType = 62
  static override readonly staticCategory: number = AlertCategory.dht
  static override readonly priority: AlertPriority = AlertPriority.normal

  override message(): string {
    return 'DHT bootstrap complete'
  }
}

/** The DHT could not be started, or its bootstrap nodes not found. */
export class DhtErrorAlert extends Alert {
  static override readonly alertType = 73
  static override readonly staticCategory: number = AlertCategory.error | AlertCategory.dht
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** What was being done. */
  readonly op: Operation
  /** What went wrong. */
  readonly error: ErrorCode

  constructor(op: Operation, error: ErrorCode) {
    super()
    this.op = op
    this.error = error
  }

  override message(): string {
    return `DHT error [${operationName(this.op)}] (${this.error.value()}) ${this.error.message()}`
  }
}

/** Answers `dhtGetImmutableItem()`. */
export class DhtImmutableItemAlert extends Alert {
  static override readonly alertType = 74
  static override readonly staticCategory: number = AlertCategory.dht
  static override readonly priority: AlertPriority = AlertPriority.critical
  readonly target: Sha1Hash
  /** What is stored there; `null` if nothing was found. */
  readonly item: Entry | null
  readonly #describe: (item: Entry) => string

  constructor(target: Sha1Hash, item: Entry | null, describe: (item: Entry) => string) {
    super()
    this.target = target
    this.item = item
    this.#describe = describe
  }

  override message(): string {
    return `DHT immutable item ${this.target} [ ${this.item === null ? '' : this.#describe(this.item)} ]`
  }
}

/** Answers `dhtGetMutableItem()`; may come again when newer versions are found. */
export class DhtMutableItemAlert extends Alert {
  static override readonly alertType = 75
  static override readonly staticCategory: number = AlertCategory.dht
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** Public key, 32 bytes. */
  readonly key: Uint8Array
  /** 64 bytes. */
  readonly signature: Uint8Array
  /** Version of the item. */
  readonly seq: number
  readonly salt: Uint8Array
  /** What is stored there; `null` if nothing was found. */
  readonly item: Entry | null
  /** Whether this is the newest version of all that were found. */
  readonly authoritative: boolean
  readonly #describe: (item: Entry) => string

  constructor(
    key: Uint8Array,
    signature: Uint8Array,
    seq: number,
    salt: Uint8Array,
    item: Entry | null,
    authoritative: boolean,
    describe: (item: Entry) => string,
  ) {
    super()
    this.key = key
    this.signature = signature
    this.seq = seq
    this.salt = salt
    this.item = item
    this.authoritative = authoritative
    this.#describe = describe
  }

  override message(): string {
    const item = this.item === null ? '' : this.#describe(this.item)
    const kind = this.authoritative ? 'auth' : 'non-auth'
    return `DHT mutable item (key=${bytesToHex(this.key)} salt=${bytesToText(this.salt)} seq=${this.seq} ${kind}) [ ${item} ]`
  }
}

/** A put operation is done. */
export class DhtPutAlert extends Alert {
  static override readonly alertType = 76
  static override readonly staticCategory: number = AlertCategory.dht
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** The key of an immutable item; all zeros for a mutable one. */
  readonly target: Sha1Hash
  /** 32 bytes; zeros for an immutable item. */
  readonly publicKey: Uint8Array
  /** 64 bytes; zeros for an immutable item. */
  readonly signature: Uint8Array
  readonly salt: Uint8Array
  readonly seq: number
  /** How many nodes stored it. */
  readonly numSuccess: number

  constructor(
    target: Sha1Hash,
    publicKey: Uint8Array,
    signature: Uint8Array,
    salt: Uint8Array,
    seq: number,
    numSuccess: number,
  ) {
    super()
    this.target = target
    this.publicKey = publicKey
    this.signature = signature
    this.salt = salt
    this.seq = seq
    this.numSuccess = numSuccess
  }

  override message(): string {
    return this.target.isAllZeros()
      ? `DHT put complete (success=${this.numSuccess} key=${bytesToHex(this.publicKey)} sig=${bytesToHex(this.signature)} salt=${bytesToText(this.salt)} seq=${this.seq})`
      : `DHT put complete (success=${this.numSuccess} hash=${this.target})`
  }
}

/** We ask a node for the peers of a swarm. */
export class DhtOutgoingGetPeersAlert extends Alert {
  static override readonly alertType = 78
  static override readonly staticCategory: number = AlertCategory.dht
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly infoHash: Sha1Hash
  /** What was really sent: with `dht_privacy_lookups` only the beginning of the info-hash is right. */
  readonly obfuscatedInfoHash: Sha1Hash
  readonly endpoint: Endpoint

  constructor(infoHash: Sha1Hash, obfuscatedInfoHash: Sha1Hash, endpoint: Endpoint) {
    super()
    this.infoHash = infoHash
    this.obfuscatedInfoHash = obfuscatedInfoHash
    this.endpoint = endpoint
  }

  override message(): string {
    const sent = this.obfuscatedInfoHash.equals(this.infoHash) ? '' : ` [obfuscated: ${this.obfuscatedInfoHash}]`
    return `outgoing dht get_peers : ${this.infoHash}${sent} -> ${endpointToString(this.endpoint)}`
  }
}

/** Answers `postDhtStats()`. */
export class DhtStatsAlert extends Alert {
  static override readonly alertType = 83
  static override readonly staticCategory: number = 0
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** One entry a bucket. */
  readonly routingTable: readonly DhtRoutingBucket[]
  /** The lookups that are running. */
  readonly activeRequests: readonly DhtLookup[]
  /** Our node id. */
  readonly nid: Sha1Hash
  /** The socket of this node. */
  readonly localEndpoint: Endpoint

  constructor(
    routingTable: readonly DhtRoutingBucket[],
    activeRequests: readonly DhtLookup[],
    nid: Sha1Hash,
    localEndpoint: Endpoint,
  ) {
    super()
    this.routingTable = routingTable
    this.activeRequests = activeRequests
    this.nid = nid
    this.localEndpoint = localEndpoint
  }

  override message(): string {
    return `DHT stats: (${this.nid}) reqs: ${this.activeRequests.length} buckets: ${this.routingTable.length}`
  }
}

/** What a part of the DHT is doing. */
export class DhtLogAlert extends Alert {
  static override readonly alertType = 85
  static override readonly staticCategory: number = AlertCategory.dhtLog
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly module: DhtModule
  readonly #logMessage: string

  constructor(module: DhtModule, logMessage: string) {
    super()
    this.module = module
    this.#logMessage = logMessage
  }

  logMessage(): string {
    return this.#logMessage
  }

  override message(): string {
    return `DHT ${MODULES[this.module]}: ${this.#logMessage}`
  }
}

/** A packet was sent or received. */
export class DhtPktAlert extends Alert {
  static override readonly alertType = 86
  static override readonly staticCategory: number = AlertCategory.dhtLog
  static override readonly priority: AlertPriority = AlertPriority.normal
  static readonly Direction = DIRECTION
  /** The packet. */
  readonly pktBuf: Uint8Array
  readonly direction: DhtPktAlert.Direction
  /** Whom it went to or came from. */
  readonly node: Endpoint
  readonly #describe: (packet: Uint8Array) => string

  constructor(
    pktBuf: Uint8Array,
    direction: DhtPktAlert.Direction,
    node: Endpoint,
    describe: (packet: Uint8Array) => string,
  ) {
    super()
    this.pktBuf = pktBuf
    this.direction = direction
    this.node = node
    this.#describe = describe
  }

  override message(): string {
    return `${this.direction === DIRECTION.incoming ? '<==' : '==>'} [${endpointToString(this.node)}] ${this.#describe(this.pktBuf)}`
  }
}

export declare namespace DhtPktAlert {
  type Direction = (typeof DIRECTION)[keyof typeof DIRECTION]
}

/** A node told us peers of a swarm. */
export class DhtGetPeersReplyAlert extends Alert {
  static override readonly alertType = 87
  static override readonly staticCategory: number = AlertCategory.dhtOperation
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly infoHash: Sha1Hash
  readonly #peers: readonly Endpoint[]

  constructor(infoHash: Sha1Hash, peers: readonly Endpoint[]) {
    super()
    this.infoHash = infoHash
    this.#peers = peers
  }

  peers(): readonly Endpoint[] {
    return this.#peers
  }

  numPeers(): number {
    return this.#peers.length
  }

  override message(): string {
    return `incoming dht get_peers reply: ${this.infoHash}, peers ${this.#peers.length}`
  }
}

/** Answers `dhtDirectRequest()`. */
export class DhtDirectResponseAlert extends Alert {
  static override readonly alertType = 88
  static override readonly staticCategory: number = AlertCategory.dht
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** What was given along with the request. */
  readonly userdata: unknown
  /** Who was asked. */
  readonly endpoint: Endpoint
  readonly #response: BdecodeNode | null

  constructor(userdata: unknown, endpoint: Endpoint, response: BdecodeNode | null) {
    super()
    this.userdata = userdata
    this.endpoint = endpoint
    this.#response = response
  }

  /** `null` if no answer came in time. */
  response(): BdecodeNode | null {
    return this.#response
  }

  override message(): string {
    const response = this.#response === null ? '' : bytesToText(this.#response.dataSection())
    return `DHT direct response (address=${this.endpoint[0]}) [ ${response} ]`
  }
}

/** Answers `dhtLiveNodes()`. */
export class DhtLiveNodesAlert extends Alert {
  static override readonly alertType = 91
  static override readonly staticCategory: number = AlertCategory.dht
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** Our node whose table this is. */
  readonly nodeId: Sha1Hash
  readonly nodes: readonly DhtNode[]

  constructor(nodeId: Sha1Hash, nodes: readonly DhtNode[]) {
    super()
    this.nodeId = nodeId
    this.nodes = nodes
  }

  get numNodes(): number {
    return this.nodes.length
  }

  override message(): string {
    return `dht live nodes for id: ${this.nodeId}, nodes ${this.nodes.length}`
  }
}

/** Answers `dhtSampleInfohashes()`. */
export class DhtSampleInfohashesAlert extends Alert {
  static override readonly alertType = 93
  static override readonly staticCategory: number = AlertCategory.dhtOperation
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** The answering node's id. */
  readonly nodeId: Sha1Hash
  /** Who was asked. */
  readonly endpoint: Endpoint
  /** Seconds to wait before asking this node again. */
  readonly interval: number
  /** How many info-hashes the node knows in all. */
  readonly numInfohashes: number
  /** Some of them. */
  readonly samples: readonly Sha1Hash[]
  /** Nodes to ask next. */
  readonly nodes: readonly DhtNode[]

  constructor(
    nodeId: Sha1Hash,
    endpoint: Endpoint,
    interval: number,
    numInfohashes: number,
    samples: readonly Sha1Hash[],
    nodes: readonly DhtNode[],
  ) {
    super()
    this.nodeId = nodeId
    this.endpoint = endpoint
    this.interval = interval
    this.numInfohashes = numInfohashes
    this.samples = samples
    this.nodes = nodes
  }

  get numSamples(): number {
    return this.samples.length
  }

  get numNodes(): number {
    return this.nodes.length
  }

  override message(): string {
    return `incoming dht sample_infohashes reply from: ${endpointToString(this.endpoint)}, samples ${this.samples.length}`
  }
}
