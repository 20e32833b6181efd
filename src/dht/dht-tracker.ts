/**
 * The DHT of a session: one node for each socket (BEP 45), all on one storage. Takes packets in, and drives the nodes'
 * timers.
 */

import type { DhtNode as LiveNode } from '../alert/dht-alerts.ts'
import { Sha1Hash } from '../core/digest.ts'
import { type Endpoint, isV4, isV6 } from '../core/endpoint.ts'
import { DhtModule } from '../core/enums.ts'
import type { Rng } from '../core/rng.ts'
import type { TimerHandle } from '../core/runtime.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import * as C from '../stats/counter-ids.ts'
import type { Counters } from '../stats/counters.ts'
import { isDarkInternet } from './dark-internet.ts'
import { DhtNode, type DhtStatus } from './dht-node.ts'
import type { DhtObserver } from './dht-observer.ts'
import type { DhtPacketSocket } from './dht-socket.ts'
import { DhtState } from './dht-state.ts'
import { DosBlocker } from './dos-blocker.ts'
import type { ItemCallback } from './get-item.ts'
import type { Item, SequenceNumber } from './item.ts'
import { isKrpcPacket, KrpcDecoder } from './krpc.ts'
import type { SecretIds } from './secret-id.ts'
import { SendQuota } from './send-quota.ts'
import type { DhtStorageInterface } from './storage.ts'

export interface DhtTrackerOptions {
  readonly settings: SessionSettings
  readonly counters: Counters
  readonly observer: DhtObserver
  readonly storage: DhtStorageInterface
  readonly rng: Rng
  readonly secretIds: SecretIds
  /** Ids and nodes of an earlier run. */
  readonly state: DhtState
  /** ms of the session's clock. */
  now(): number
  /** Runs `fn` once, inside a turn. */
  setTimer(delayMs: number, fn: () => void): TimerHandle
}

interface Member {
  readonly socket: DhtPacketSocket
  readonly node: DhtNode
  timer: TimerHandle | null
}

/** Old write tokens are good for as long again. */
const KEY_REFRESH_MS = 5 * 60_000
const REFRESH_MS = 5000
const FIRST_TIMEOUT_MS = 1000
const V4_OVERHEAD = 28
const V6_OVERHEAD = 48

export class DhtTracker {
  readonly #options: DhtTrackerOptions
  readonly #members: Member[] = []
  readonly #decoder = new KrpcDecoder()
  readonly #blocker: DosBlocker
  readonly #quota: SendQuota
  /** What is not in use (any more): for sockets that are still to come. */
  #state: DhtState
  #running = false
  /** Called when a node has found its neighbours. */
  #bootstrapped: () => void = () => {}
  #keyTimer: TimerHandle | null = null
  #refreshTimer: TimerHandle | null = null
  #routers: Endpoint[] = []

  constructor(options: DhtTrackerOptions) {
    this.#options = options
    this.#state = options.state
    this.#quota = new SendQuota(options.settings.dhtUploadRateLimit, options.now())
    this.#blocker = new DosBlocker()
    this.#applyBlockerSettings()
  }

  /** Our nodes, in the order of their sockets' coming. */
  get nodes(): readonly DhtNode[] {
    return this.#members.map(member => member.node)
  }

  // ---- life --------------------------------------------------------------------------------------

  /**
   * Begins: all nodes look for their neighbours.
   *
   * @param bootstrapped called for each node that is done with that; without any, for the first that comes
   */
  start(bootstrapped: () => void): void {
    this.#running = true
    this.#bootstrapped = bootstrapped
    this.#refreshKeys()
    const { nodes, nodes6 } = this.#state
    for (const member of this.#members) {
      this.#startTimer(member, FIRST_TIMEOUT_MS)
      const known = member.node.family === 6 ? [...nodes6, ...nodes] : [...nodes, ...nodes6]
      member.node.bootstrap(known, bootstrapped)
    }
    this.#startRefresh()
    if (this.#members.length === 0) return
    this.#state = withoutNodes(this.#state)
    this.#bootstrapped = () => {}
  }

  stop(): void {
    this.#running = false
    this.#keyTimer?.cancel()
    this.#refreshTimer?.cancel()
    for (const member of this.#members) {
      member.timer?.cancel()
      member.node.close()
    }
  }

  newSocket(socket: DhtPacketSocket): void {
    const { settings, counters, observer, storage, rng, secretIds, now } = this.#options
    const saved = this.#state.nids.find(([address]) => address === socket.local[0])
    const member: Member = {
      socket,
      node: new DhtNode({
        socket,
        id: saved?.[1] ?? new Sha1Hash(),
        settings,
        counters,
        observer,
        storage,
        rng,
        secretIds,
        now,
        send: (packet, to, isAnswer) => this.#send(member, packet, to, isAnswer),
        hasQuota: () => this.#quota.has(settings.dhtUploadRateLimit, now()),
        nodeOf: family => this.#members.find(each => each.node.family === family)?.node ?? null,
      }),
      timer: null,
    }
    const { node } = member
    this.#members.push(member)
    for (const router of this.#routers) node.addRouterNode(router)
    this.#updateStorageNodeIds()
    if (observer.shouldLog(DhtModule.tracker)) {
      observer.log(DhtModule.tracker, `node ${node.nid} on ${socket.local[0]}`)
    }
    if (!this.#running) return
    this.#startTimer(member, FIRST_TIMEOUT_MS)
    node.bootstrap(node.family === 6 ? this.#state.nodes6 : this.#state.nodes, this.#bootstrapped)
    this.#bootstrapped = () => {}
  }

  /** The socket is closed. Its node's id and neighbours are kept for one that is opened in its place. */
  deleteSocket(socket: DhtPacketSocket): void {
    const at = this.#members.findIndex(member => member.socket === socket)
    if (at < 0) return
    const { observer } = this.#options
    if (observer.shouldLog(DhtModule.tracker)) {
      observer.log(DhtModule.tracker, `no node on ${socket.local[0]} any more`)
    }
    const [member] = this.#members.splice(at, 1)
    this.#state = keep(this.#state, member!)
    member!.timer?.cancel()
    member!.node.close()
    this.#updateStorageNodeIds()
  }

  /** Our address as others see it has changed. */
  updateNodeId(socket: DhtPacketSocket): void {
    this.#members.find(member => member.socket === socket)?.node.updateNodeId()
    this.#updateStorageNodeIds()
  }

  // ---- packets -----------------------------------------------------------------------------------

  /**
   * A datagram came.
   *
   * @param packet borrowed
   * @returns whether it was for the DHT
   */
  incomingPacket(socket: DhtPacketSocket, from: Endpoint, packet: Uint8Array): boolean {
    if (!isKrpcPacket(packet)) return false
    const { counters, settings, observer, now } = this.#options
    counters.inc(C.DHT_DHT_BYTES_IN, packet.length)
    counters.inc(C.NET_RECV_IP_OVERHEAD_BYTES, isV6(from[0]) ? V6_OVERHEAD : V4_OVERHEAD)
    counters.inc(C.DHT_DHT_MESSAGES_IN)
    if (settings.dhtIgnoreDarkInternet && isDarkInternet(from[0])) {
      counters.inc(C.DHT_DHT_MESSAGES_IN_DROPPED)
      return true
    }
    if (!this.#blocker.incoming(from[0], now(), observer)) {
      counters.inc(C.DHT_DHT_MESSAGES_IN_DROPPED)
      return true
    }
    const message = this.#decoder.decode(packet)
    observer.logPacket(true, packet, from)
    if (message === null) {
      counters.inc(C.DHT_DHT_MESSAGES_IN_DROPPED)
      return false
    }
    const members = this.#members
    for (let i = 0; i < members.length; i++) members[i]!.node.incoming(socket, message, from)
    return true
  }

  /** Nobody listens there. */
  unreachable(to: Endpoint): void {
    for (const { node } of this.#members) node.unreachable(to)
  }

  /** @returns false if it cannot leave */
  #send(member: Member, packet: Uint8Array, to: Endpoint, isAnswer: boolean): boolean {
    const { counters, observer } = this.#options
    // this packet goes out whatever is left; what is owed holds back the next query
    this.#quota.charge(packet.length)
    const v6 = isV6(to[0])
    // while bootstrapping, a node also asks nodes of the other family about its own
    const socket =
      isV6(member.socket.local[0]) === v6
        ? member.socket
        : this.#members.find(each => isV6(each.socket.local[0]) === v6)?.socket
    const sent = socket?.sendDht(packet, to, isAnswer) === true
    if (sent) {
      counters.inc(C.DHT_DHT_BYTES_OUT, packet.length)
      counters.inc(C.NET_SENT_IP_OVERHEAD_BYTES, v6 ? V6_OVERHEAD : V4_OVERHEAD)
      counters.inc(C.DHT_DHT_MESSAGES_OUT)
    } else counters.inc(C.DHT_DHT_MESSAGES_OUT_DROPPED)
    observer.logPacket(false, packet, to)
    return sent
  }

  // ---- nodes -------------------------------------------------------------------------------------

  addNode(endpoint: Endpoint): void {
    for (const { node } of this.#members) node.addNode(endpoint)
  }

  addRouterNode(endpoint: Endpoint): void {
    this.#routers.push(endpoint)
    for (const { node } of this.#members) node.addRouterNode(endpoint)
  }

  /** Whether there is anybody whom a lookup could begin with. */
  hasNodes(): boolean {
    return this.#routers.length > 0 || this.#members.some(({ node }) => node.table.size().nodes > 0)
  }

  /** The nodes that our node of that id has in its table, `null` if none of ours has it. */
  liveNodes(nid: Sha1Hash): LiveNode[] | null {
    const found = this.#members.find(({ node }) => node.nid.equals(nid))
    return found === undefined ? null : found.node.liveNodes()
  }

  /** What to keep for the next run. Node ids go by the local address: behind a NAT the external one is not known then. */
  state(): DhtState {
    let state = new DhtState()
    for (const member of this.#members) state = keep(state, member)
    return state
  }

  status(): DhtStatus[] {
    return this.#members.map(({ node }) => node.status())
  }

  updateStatsCounters(counters: Counters): void {
    const stored = this.#options.storage.counters()
    counters.set(C.DHT_DHT_TORRENTS, stored.torrents)
    counters.set(C.DHT_DHT_PEERS, stored.peers)
    counters.set(C.DHT_DHT_IMMUTABLE_DATA, stored.immutableData)
    counters.set(C.DHT_DHT_MUTABLE_DATA, stored.mutableData)
    let nodes = 0
    let replacements = 0
    let observers = 0
    for (const { node } of this.#members) {
      const size = node.table.size()
      nodes += size.nodes
      replacements += size.replacements
      observers += node.rpc.numAllocatedObservers
    }
    counters.set(C.DHT_DHT_NODES, nodes)
    counters.set(C.DHT_DHT_NODE_CACHE, replacements)
    counters.set(C.DHT_DHT_ALLOCATED_OBSERVERS, observers)
  }

  // ---- lookups -----------------------------------------------------------------------------------

  /** @param found called with peers as they are told, maybe many times */
  getPeers(infoHash: Sha1Hash, found: (peers: readonly Endpoint[]) => void): void {
    for (const { node } of this.#members) node.getPeers(infoHash, found, null, false)
  }

  /** @param port 0 for that of our listen socket @param flags `AnnounceFlags` */
  announce(infoHash: Sha1Hash, port: number, flags: number, found: (peers: readonly Endpoint[]) => void): void {
    for (const { node } of this.#members) node.announce(infoHash, port, flags, found)
  }

  /** @param found called once: with the item when the first node finds it, else with an empty one at the end */
  getImmutableItem(target: Sha1Hash, found: (item: Item) => void): void {
    let left = this.#members.length
    let told = false
    for (const { node } of this.#members) {
      node.getImmutableItem(target, item => {
        left--
        if (told || (item.isEmpty && left > 0)) return
        told = true
        found(item)
      })
    }
  }

  /** @param found called for each newer version, and at the end with `true` */
  getMutableItem(key: Uint8Array, salt: Uint8Array, found: ItemCallback): void {
    let left = this.#members.length
    let newest: SequenceNumber = 0
    let none = true
    for (const { node } of this.#members) {
      node.getMutableItem(key, salt, (item, authoritative) => {
        if (authoritative) left--
        const last = authoritative && left === 0
        const newer = none ? !item.isEmpty : item.seq > newest
        if (newer) {
          none = false
          newest = item.seq
        }
        if (newer || last) found(item, last)
      })
    }
  }

  /** @param done gets how many nodes have stored it, when all of ours are done */
  putImmutableItem(item: Item, done: (responses: number) => void): void {
    let left = this.#members.length
    let total = 0
    for (const { node } of this.#members) {
      node.putImmutableItem(item, responses => {
        total += responses
        if (--left === 0) done(total)
      })
    }
  }

  /**
   * @param change gets a copy of the version that is there, once for each of our nodes, and puts the next one into it
   * @param done   gets the item and how many nodes have stored it, when all of ours are done
   */
  putMutableItem(
    key: Uint8Array,
    salt: Uint8Array,
    change: (item: Item) => void,
    done: (item: Item, responses: number) => void,
  ): void {
    let left = this.#members.length
    let total = 0
    for (const { node } of this.#members) {
      node.putMutableItem(key, salt, change, (item, responses) => {
        total += responses
        if (--left === 0) done(item, total)
      })
    }
  }

  /** Asks one node; it is `null` if none of ours is of its family. */
  nodeFor(to: Endpoint): DhtNode | null {
    const v4 = isV4(to[0])
    return this.#members.find(({ node }) => (node.family === 4) === v4)?.node ?? null
  }

  // ---- time --------------------------------------------------------------------------------------

  #startTimer(member: Member, delay: number): void {
    member.timer = this.#options.setTimer(delay, () => {
      if (this.#running) this.#startTimer(member, member.node.connectionTimeout())
    })
  }

  #startRefresh(): void {
    this.#refreshTimer = this.#options.setTimer(REFRESH_MS, () => {
      if (!this.#running) return
      for (const { node } of this.#members) node.tick()
      this.#applyBlockerSettings()
      this.#startRefresh()
    })
  }

  #refreshKeys(): void {
    const { observer } = this.#options
    this.#keyTimer = this.#options.setTimer(KEY_REFRESH_MS, () => {
      if (this.#running) this.#refreshKeys()
    })
    for (const { node } of this.#members) node.newWriteKey()
    if (observer.shouldLog(DhtModule.tracker)) {
      observer.log(DhtModule.tracker, `new secrets for the tokens of ${this.#members.length} nodes`)
    }
  }

  #applyBlockerSettings(): void {
    const { settings } = this.#options
    this.#blocker.setBlockTimer(settings.dhtBlockTimeout)
    this.#blocker.setRateLimit(settings.dhtBlockRatelimit)
  }

  #updateStorageNodeIds(): void {
    this.#options.storage.updateNodeIds(this.#members.map(({ node }) => node.nid))
  }
}

function withoutNodes(state: DhtState): DhtState {
  const out = new DhtState()
  out.nids = state.nids
  return out
}

/** A state with one more node's id and neighbours. */
function keep(state: DhtState, { socket, node }: Member): DhtState {
  const out = new DhtState()
  const [address] = socket.local
  out.nids = [...state.nids.filter(([known]) => known !== address), [address, node.nid]]
  const endpoints: Endpoint[] = []
  node.table.forEachNode(({ endpoint }) => endpoints.push(endpoint))
  out.nodes = node.family === 4 ? [...state.nodes, ...endpoints] : state.nodes
  out.nodes6 = node.family === 6 ? [...state.nodes6, ...endpoints] : state.nodes6
  return out
}
