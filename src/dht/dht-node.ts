/**
 * One node of the DHT, on one socket (BEP 5): answers queries, keeps its table fresh, and runs lookups.
 *
 * Nothing here waits: the owner calls `tick` and `connectionTimeout` when their time has come.
 */

import type { DhtLookup, DhtRoutingBucket, DhtNode as LiveNode } from '../alert/dht-alerts.ts'
import type { Entry } from '../bencode/entry.ts'
import { bytesToHex } from '../core/bytes.ts'
import { Sha1Hash } from '../core/digest.ts'
import { type Endpoint, endpointToString, isUnspecified, isV6 } from '../core/endpoint.ts'
import { AnnounceFlags, DhtModule } from '../core/enums.ts'
import type { Rng } from '../core/rng.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import * as C from '../stats/counter-ids.ts'
import type { Counters } from '../stats/counters.ts'
import type { DhtObserver } from './dht-observer.ts'
import type { DhtPacketSocket } from './dht-socket.ts'
import type { NodesCallback, TokenNode } from './find-data.ts'
import { GetItem, type ItemCallback } from './get-item.ts'
import { GetPeers, ObfuscatedGetPeers, type PeersCallback } from './get-peers.ts'
import { Item } from './item.ts'
import { type KrpcMessage, KrpcType } from './krpc.ts'
import { KrpcWriter } from './krpc-writer.ts'
import { distanceExp, generateId, generatePrefixMask, generateRandomId, verifyId } from './node-id.ts'
import { ObserverFlag } from './observer.ts'
import { PutItem } from './put-item.ts'
import { type QueriedNode, QueryHandlers } from './query-handlers.ts'
import { Bootstrap } from './refresh.ts'
import { RoutingTable } from './routing-table.ts'
import { RpcManager } from './rpc-manager.ts'
import { SampleInfohashes, type SamplesCallback } from './sample-infohashes.ts'
import type { SecretIds } from './secret-id.ts'
import { DirectRequest, RefreshQuery, type ResponseCallback, SingleQuery } from './single-query.ts'
import type { DhtStorageInterface } from './storage.ts'
import type { Traversal } from './traversal.ts'
import type { TraversalNode } from './traversal-port.ts'
import { WriteTokens } from './write-token.ts'

export interface DhtNodeOptions {
  readonly socket: DhtPacketSocket
  /** The id of an earlier run, all zeros for none. It is kept if it fits our address. */
  readonly id: Sha1Hash
  readonly settings: SessionSettings
  readonly counters: Counters
  readonly observer: DhtObserver
  readonly storage: DhtStorageInterface
  readonly rng: Rng
  readonly secretIds: SecretIds
  /** ms of the session's clock. */
  now(): number
  /** @param packet valid during the call. @returns false if it cannot leave */
  send(packet: Uint8Array, to: Endpoint, isAnswer: boolean): boolean
  /** Whether a query may be answered now. */
  hasQuota(): boolean
  /** Our node of a family, `null` if there is none. */
  nodeOf(family: 4 | 6): DhtNode | null
}

/** What a node is doing. */
export interface DhtStatus {
  readonly ourId: Sha1Hash
  readonly localEndpoint: Endpoint
  readonly table: DhtRoutingBucket[]
  readonly requests: DhtLookup[]
}

const BUCKET_SIZE = 8
/** How often the neighbourhood is looked up as long as few nodes are known. */
const SELF_REFRESH_MS = 10 * 60_000
/** With so many buckets, enough nodes are known. */
const ENOUGH_DEPTH = 4
const STORAGE_TICK_MS = 2 * 60_000
const NO_ID = new Sha1Hash()

export class DhtNode implements TraversalNode, QueriedNode {
  readonly socket: DhtPacketSocket
  readonly family: 4 | 6
  readonly nodesKey: 'nodes' | 'nodes6'
  readonly table: RoutingTable
  readonly rpc: RpcManager
  readonly settings: SessionSettings
  readonly counters: Counters
  readonly observer: DhtObserver
  readonly log: DhtObserver
  readonly storage: DhtStorageInterface
  readonly rng: Rng
  readonly secretIds: SecretIds
  readonly tokens: WriteTokens
  readonly now: () => number
  readonly #options: DhtNodeOptions
  readonly #handlers: QueryHandlers
  readonly #writer = new KrpcWriter()
  /** The lookups that are running. */
  readonly #traversals = new Set<Traversal>()
  #id: Sha1Hash
  #searches = 0
  #lastStorageTick: number
  #lastSelfRefresh = Number.NEGATIVE_INFINITY
  #closed = false

  constructor(options: DhtNodeOptions) {
    const { socket, settings, observer, rng } = options
    this.#options = options
    this.socket = socket
    this.family = isV6(socket.local[0]) ? 6 : 4
    this.nodesKey = this.family === 6 ? 'nodes6' : 'nodes'
    this.settings = settings
    this.counters = options.counters
    this.observer = observer
    this.log = observer
    this.storage = options.storage
    this.rng = rng
    this.secretIds = options.secretIds
    this.now = () => options.now()
    this.#id = this.#chooseId(options.id)
    this.#lastStorageTick = this.now()
    this.tokens = new WriteTokens(rng)
    this.table = new RoutingTable({
      id: this.#id,
      family: this.family,
      bucketSize: BUCKET_SIZE,
      settings,
      now: this.now,
      log: observer,
    })
    this.rpc = new RpcManager({
      id: this.#id,
      family: this.family,
      settings,
      table: this.table,
      rng,
      log: observer,
      now: this.now,
      send: (packet, to) => options.send(packet, to, false),
    })
    this.#handlers = new QueryHandlers(this)
  }

  /** Our id. */
  get nid(): Sha1Hash {
    return this.#id
  }

  /** The id is bound to our address as others see it. @see BEP 42 */
  #chooseId(saved: Sha1Hash): Sha1Hash {
    const external = this.socket.externalAddress()
    // an id made of the unspecified address would be everybody's
    if (isUnspecified(external)) return saved.isAllZeros() ? generateRandomId(this.rng) : saved
    return saved.isAllZeros() || !verifyId(saved, external) ? generateId(external, this.rng) : saved
  }

  /** Our address as others see it has changed: the id may have to. */
  updateNodeId(): void {
    const external = this.socket.externalAddress()
    if (isUnspecified(external) || verifyId(this.#id, external)) return
    this.#log(() => `our address is ${external} now: another id`)
    this.#id = generateId(external, this.rng)
    this.table.updateNodeId(this.#id)
    this.rpc.updateNodeId(this.#id)
  }

  /** Ends all lookups; nothing is sent any more. */
  close(): void {
    this.#closed = true
    this.rpc.close()
  }

  // ---- packets -----------------------------------------------------------------------------------

  /**
   * A packet came, to our socket or another one.
   *
   * @param message borrowed
   */
  incoming(socket: DhtPacketSocket, message: KrpcMessage, from: Endpoint): void {
    const { type } = message
    // nothing is said to what is broken: the sender may be forged, and we would multiply what it sends
    if (type === KrpcType.none || this.#closed) return
    const ours = socket === this.socket
    if (type === KrpcType.query) {
      if (ours) this.#answer(message, from)
      return
    }
    if (type === KrpcType.error) {
      this.#log(() => {
        const error = message.errorText()
        return error === null ? 'a malformed error came' : `error ${error.code} came: ${error.text}`
      })
    }
    if (!this.rpc.incoming(message, from) || !ours) return
    // Deviation: libtorrent also believes those it has not asked, and forged senders are as many as one likes
    const address = message.externalAddress()
    if (address !== null) this.observer.setExternalAddress(socket, address, from[0])
  }

  #answer(query: KrpcMessage, from: Endpoint): void {
    if (this.settings.dhtReadOnly) return
    if (!this.#options.hasQuota()) {
      this.counters.inc(C.DHT_DHT_MESSAGES_IN_DROPPED)
      return
    }
    const writer = this.#writer
    writer.clear()
    this.#handlers.answer(query, from, writer)
    this.#options.send(writer.view(), from, true)
  }

  /** Nobody listens there. */
  unreachable(endpoint: Endpoint): void {
    this.rpc.unreachable(endpoint)
  }

  // ---- time --------------------------------------------------------------------------------------

  /** Refreshes one node or, as long as few are known, the neighbourhood. */
  tick(): void {
    const now = this.now()
    if (this.#lastSelfRefresh + SELF_REFRESH_MS < now && this.table.depth() < ENOUGH_DEPTH) {
      this.#lastSelfRefresh = now
      new Bootstrap(this, this.secretIds.mark(this.#id), null).start()
      return
    }
    const entry = this.table.nextRefresh()
    if (entry === null || entry.id.equals(this.#id)) return
    this.#refresh(entry.endpoint, 159 - distanceExp(this.#id, entry.id), entry.id)
  }

  /** Looks for queries without an answer. @returns ms until the next call */
  connectionTimeout(): number {
    const delay = this.rpc.tick()
    const now = this.now()
    if (now - this.#lastStorageTick >= STORAGE_TICK_MS) {
      this.#lastStorageTick = now
      this.storage.tick()
    }
    return delay
  }

  /** Write tokens are made with another secret from now on. */
  newWriteKey(): void {
    this.tokens.rotate()
  }

  // ---- the table ---------------------------------------------------------------------------------

  /** Looks up our neighbourhood, beginning with these nodes, else those we know or the routers. */
  bootstrap(nodes: readonly Endpoint[], done: () => void): void {
    const lookup = new Bootstrap(this, this.secretIds.mark(this.#id), () => done())
    this.#lastSelfRefresh = this.now()
    for (const endpoint of nodes) lookup.addEntry(NO_ID, endpoint, ObserverFlag.initial)
    this.#log(() => `bootstrap from ${nodes.length} nodes`)
    lookup.start()
  }

  addRouterNode(endpoint: Endpoint): void {
    this.#log(() => `router: ${endpointToString(endpoint)}`)
    this.table.addRouterNode(endpoint)
  }

  /** Asks a node something: it is put into the table if it answers. One of the other family is not asked. */
  addNode(endpoint: Endpoint): void {
    if (!this.table.nativeAddress(endpoint[0]) || this.#closed) return
    this.#refresh(endpoint, this.table.numActiveBuckets, NO_ID)
  }

  /** Asks a node for nodes of a bucket, or only whether it is there if the bucket is full. */
  #refresh(endpoint: Endpoint, bucket: number, id: Sha1Hash): void {
    const query = new RefreshQuery(this)
    if (this.table.isFull(bucket)) {
      this.counters.inc(C.DHT_DHT_PING_OUT)
      query.send({ method: 'ping' }, endpoint, id)
      return
    }
    // `get_peers` brings nodes as `find_node` does
    this.counters.inc(C.DHT_DHT_GET_PEERS_OUT)
    const infoHash = this.#idInBucket(bucket)
    query.send({ method: 'get_peers', infoHash, noseed: false, bootstrap: false }, endpoint, id)
  }

  /** A random id that shares `bucket` + 1 bits with ours, made so that it is known again. */
  #idInBucket(bucket: number): Sha1Hash {
    const mask = generatePrefixMask(Math.min(160, bucket + 1)).view()
    const own = this.#id.view()
    const out = this.secretIds.generate().toBytes()
    for (let i = 0; i < out.length; i++) out[i] = (out[i]! & ~mask[i]!) | (own[i]! & mask[i]!)
    return new Sha1Hash(out)
  }

  tableOf(family: 4 | 6): RoutingTable | null {
    return this.#options.nodeOf(family)?.table ?? null
  }

  liveNodes(): LiveNode[] {
    const nodes: LiveNode[] = []
    this.table.forEachNode(({ id, endpoint }) => nodes.push({ nid: id, endpoint }), null)
    return nodes
  }

  status(): DhtStatus {
    return {
      ourId: this.#id,
      localEndpoint: this.socket.local,
      table: this.table.status(),
      requests: Array.from(this.#traversals, traversal => traversal.status()),
    }
  }

  // ---- lookups -----------------------------------------------------------------------------------

  /**
   * Looks up the peers of a swarm.
   *
   * @param found called with the peers of each node that knows some
   * @param done  gets the nodes to announce to
   * @param noseeds asks for peers that are no seeds
   */
  getPeers(infoHash: Sha1Hash, found: PeersCallback | null, done: NodesCallback | null, noseeds: boolean): void {
    const Lookup = this.settings.dhtPrivacyLookups ? ObfuscatedGetPeers : GetPeers
    new Lookup(this, infoHash, found, done, noseeds).start()
  }

  /**
   * Looks up the peers of a swarm, and announces that we are one.
   *
   * @param port  0 for that of our listen socket
   * @param flags `AnnounceFlags`
   */
  announce(infoHash: Sha1Hash, port: number, flags: number, found: PeersCallback): void {
    this.#log(() => `announce of ${infoHash}, port ${port}`)
    const ssl = (flags & AnnounceFlags.sslTorrent) !== 0
    const listenPort = port === 0 ? this.observer.getListenPort(ssl, this.socket) : port
    const seed = (flags & AnnounceFlags.seed) !== 0
    this.getPeers(infoHash, found, nodes => this.#announceTo(nodes, infoHash, listenPort, flags), seed)
  }

  #announceTo(nodes: readonly TokenNode[], infoHash: Sha1Hash, port: number, flags: number): void {
    this.#log(() => `announcing ${infoHash} to ${nodes.length} nodes, port ${port}`)
    const seed = (flags & AnnounceFlags.seed) !== 0
    const impliedPort = (flags & AnnounceFlags.impliedPort) !== 0
    const query = new SingleQuery(this)
    for (const { id, endpoint, token } of nodes) {
      this.counters.inc(C.DHT_DHT_ANNOUNCE_PEER_OUT)
      query.send({ method: 'announce_peer', infoHash, port, token, seed, impliedPort }, endpoint, id)
    }
  }

  /** @param found called once, with an empty item if none was found */
  getImmutableItem(target: Sha1Hash, found: (item: Item) => void): void {
    this.#log(() => `get of ${target}`)
    GetItem.immutable(this, target, item => found(item), null).start()
  }

  /** @param found called for each newer version, the last time with `true` */
  getMutableItem(key: Uint8Array, salt: Uint8Array, found: ItemCallback): void {
    this.#log(() => `get of key ${bytesToHex(key)}`)
    GetItem.mutable(this, key, salt, found, null).start()
  }

  /** @param done gets how many nodes have stored it */
  putImmutableItem(item: Item, done: (responses: number) => void): void {
    const target = item.target()
    this.#log(() => `put of ${target}`)
    const put = new PutItem(this, (_item, responses) => done(responses))
    put.setItem(item)
    GetItem.immutable(this, target, null, nodes => begin(put, nodes)).start()
  }

  /**
   * Stores a new version of an item.
   *
   * @param change gets a copy of the version that is there, which may be empty, and puts the new one into it
   * @param done   gets the item, and how many nodes have stored it
   */
  putMutableItem(
    key: Uint8Array,
    salt: Uint8Array,
    change: (item: Item) => void,
    done: (item: Item, responses: number) => void,
  ): void {
    this.#log(() => `put of key ${bytesToHex(key)}`)
    const put = new PutItem(this, done)
    const found = (item: Item, authoritative: boolean): void => {
      if (!authoritative) return
      const next = copyOf(item)
      change(next)
      put.setItem(next)
    }
    GetItem.mutable(this, key, salt, found, nodes => begin(put, nodes)).start()
  }

  sampleInfohashes(to: Endpoint, target: Sha1Hash, done: SamplesCallback): void {
    this.#log(() => `sample of info-hashes from ${endpointToString(to)}, near ${target}`)
    new SampleInfohashes(this, done).ask(to, target)
  }

  /** @param entry a dictionary with `q` and `a` @param done gets the answer, `null` for none */
  directRequest(to: Endpoint, entry: { readonly [key: string]: Entry }, done: ResponseCallback): void {
    if (!new DirectRequest(this, done).send({ method: 'direct', entry }, to, NO_ID)) done(null, to)
  }

  // ---- TraversalNode -----------------------------------------------------------------------------

  searchId(): number {
    return this.#searches++
  }

  outgoingGetPeers(target: Sha1Hash, sent: Sha1Hash, to: Endpoint): void {
    this.observer.outgoingGetPeers(target, sent, to)
  }

  addTraversal(traversal: Traversal): void {
    this.#traversals.add(traversal)
  }

  removeTraversal(traversal: Traversal): void {
    this.#traversals.delete(traversal)
  }

  #log(text: () => string): void {
    if (this.observer.shouldLog(DhtModule.node)) this.observer.log(DhtModule.node, text())
  }
}

function copyOf(item: Item): Item {
  const copy = Item.ofKey(item.publicKey, item.salt)
  if (item.encoded !== null) copy.setMutable(item.encoded, item.salt, item.seq, item.publicKey, item.signature)
  return copy
}

function begin(put: PutItem, nodes: readonly TokenNode[]): void {
  put.setTargets(nodes)
  put.start()
}
