/**
 * The routing table (BEP 5): nodes in buckets by distance from our own id, the last bucket holding all that are nearer.
 *
 * Differs from the Kademlia paper as libtorrent does: nodes are not marked stale but count their failures, buckets far
 * from us are larger, quick nodes and those with ids bound to their addresses (BEP 42) replace others.
 */

import type { DhtRoutingBucket } from '../alert/dht-alerts.ts'
import { equalAt } from '../core/bytes.ts'
import { Sha1Hash } from '../core/digest.ts'
import { type Endpoint, endpointsEqual, endpointToString, isV4 } from '../core/endpoint.ts'
import { DhtModule } from '../core/enums.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import {
  allInSameBucket,
  type Bucket,
  classifyPrefix,
  findId,
  findNetwork,
  findReplaceable,
  mostlyVerifiedNodes,
} from './bucket.ts'
import { BucketList } from './bucket-list.ts'
import { collectClosest, sortByDistance } from './closest-nodes.ts'
import type { DhtLog } from './dht-log.ts'
import { NEVER, NodeEntry } from './node-entry.ts'
import { NODE_ID_SIZE, verifyId } from './node-id.ts'

export type RoutingTableSettings = Pick<
  SessionSettings,
  | 'dhtExtendedRoutingTable'
  | 'dhtRestrictRoutingIps'
  | 'dhtPreferVerifiedNodeIds'
  | 'dhtEnforceNodeId'
  | 'dhtMaxFailCount'
>

export interface RoutingTableOptions {
  /** Our own id. */
  readonly id: Sha1Hash
  /** Nodes of the other family are not taken. */
  readonly family: 4 | 6
  /** Nodes a bucket holds, a power of two; 8 unless given. */
  readonly bucketSize?: number
  readonly settings: RoutingTableSettings
  /** The session's clock, in ms. */
  readonly now: () => number
  readonly log?: DhtLog | null
}

/** What became of a node that was to be added. */
const FAILED = 0
const ADDED = 1
const NEEDS_SPLIT = 2

/** A bucket that somebody seems to tamper with has its nodes asked again if they were not for so long. */
const RECHECK_AFTER = 5 * 60 * 1000
/** No real network needs more buckets: ids are being made up. */
const SANE_BUCKETS = 50
const MAX_BUCKETS = 159

export class RoutingTable {
  readonly #family: 4 | 6
  readonly #settings: RoutingTableSettings
  readonly #now: () => number
  readonly #log: DhtLog | null
  #id: Sha1Hash
  #depth = 0
  readonly #buckets: BucketList
  readonly #routers: Endpoint[] = []
  readonly #routersByAddress = new Map<string, number[]>()

  constructor(options: RoutingTableOptions) {
    this.#id = options.id
    this.#family = options.family
    this.#settings = options.settings
    this.#buckets = new BucketList(options.id, options.bucketSize ?? 8, options.settings)
    this.#now = options.now
    this.#log = options.log ?? null
  }

  /** Our own id. */
  get id(): Sha1Hash {
    return this.#id
  }

  /** Nodes a bucket holds; see also {@link bucketLimit}. */
  get bucketSize(): number {
    return this.#buckets.size
  }

  get numActiveBuckets(): number {
    return this.#buckets.all.length
  }

  /** The buckets, the farthest first. Read only. */
  get buckets(): readonly Bucket[] {
    return this.#buckets.all
  }

  /** Endpoints that lookups may begin with, and that never get into the table. */
  get routerNodes(): readonly Endpoint[] {
    return this.#routers
  }

  /** Nodes that bucket `i` holds, with the first buckets larger if the settings say so. */
  bucketLimit(i: number): number {
    return this.#buckets.limit(i)
  }

  /** Whether an address is of the family of this table. */
  nativeAddress(address: string): boolean {
    return isV4(address) === (this.#family === 4)
  }

  addRouterNode(endpoint: Endpoint): void {
    const ports = this.#routersByAddress.get(endpoint[0])
    if (ports?.includes(endpoint[1])) return
    if (ports === undefined) this.#routersByAddress.set(endpoint[0], [endpoint[1]])
    else ports.push(endpoint[1])
    this.#routers.push(endpoint)
  }

  /**
   * A node has answered us.
   *
   * @param rtt ms it took, at most 0xffff, which means unknown
   * @returns whether it is in the table now
   */
  nodeSeen(id: Sha1Hash, endpoint: Endpoint, rtt: number): boolean {
    if (this.#settings.dhtEnforceNodeId && !verifyId(id, endpoint[0])) return false
    return this.addNode(new NodeEntry(id, endpoint, this.#now(), rtt, true))
  }

  /** A node was mentioned, or has asked us something; its address may be forged. */
  heardAbout(id: Sha1Hash, endpoint: Endpoint): void {
    if (this.#settings.dhtEnforceNodeId && !verifyId(id, endpoint[0])) return
    this.addNode(new NodeEntry(id, endpoint, this.#now()))
  }

  /** As {@link heardAbout}, of the id at `at` in borrowed `bytes`: costs little if we know the node. */
  heardAboutAt(bytes: Uint8Array, at: number, endpoint: Endpoint): void {
    const known = this.#buckets.find(endpoint)
    if (known !== null && !this.#isRouter(endpoint)) {
      if (equalAt(bytes, at, known.id.view(), 0, NODE_ID_SIZE)) {
        if (known.verified || !this.#settings.dhtEnforceNodeId) this.#refresh(known)
        return
      }
      // as below, for a node that says another id each time
      if (this.#settings.dhtRestrictRoutingIps && !known.id.isAllZeros()) return
    }
    this.heardAbout(Sha1Hash.at(bytes, at), endpoint)
  }

  /** Adds a node, or brings it up to date. @returns whether it is in the table now */
  addNode(entry: NodeEntry): boolean {
    let status = this.#add(entry)
    while (status === NEEDS_SPLIT) {
      const fresh = this.#buckets.split()
      if (this.numActiveBuckets > SANE_BUCKETS) return this.#add(entry) === ADDED
      if (fresh.live.length > this.bucketLimit(this.numActiveBuckets - 1)) continue
      status = this.#add(entry)
      // neither a node that was there nor the new one went into the new bucket
      if (fresh.live.length === 0 && this.#buckets.last === fresh) this.#buckets.dropLast()
    }
    return status === ADDED
  }

  /** A node did not answer. */
  nodeFailed(id: Sha1Hash, endpoint: Endpoint): void {
    if (id.equals(this.#id)) return
    const index = this.#buckets.indexFor(id)
    const { live, replacements } = this.#buckets.at(index)
    const node = findId(live, id)
    if (node === null) {
      const spare = findId(replacements, id)
      if (spare === null || !endpointsEqual(spare.endpoint, endpoint)) return
      spare.timedOut()
      this.#logFailed(spare)
      return
    }
    // somebody else claims the same id: says nothing about the node we have
    if (!endpointsEqual(node.endpoint, endpoint)) return
    if (replacements.length === 0) {
      node.timedOut()
      this.#logFailed(node)
      if (node.failCount >= this.#settings.dhtMaxFailCount || !node.pinged) this.#buckets.remove(node, live)
      return
    }
    this.#buckets.remove(node, live)
    this.#buckets.fill(index)
    this.#buckets.prune()
  }

  /**
   * Nodes close to `target`, the closest first.
   *
   * Takes whole buckets from that of the target on towards us, then those farther from us, until there are enough; only
   * of the last of them the closest are chosen.
   *
   * @param count         0 for as many as a bucket holds
   * @param includeFailed whether also nodes that failed the last time
   */
  findNode(target: Sha1Hash, count = 0, includeFailed = false): NodeEntry[] {
    const out: NodeEntry[] = []
    this.findNodeAt(target.view(), 0, count, includeFailed, out)
    return out
  }

  /** As {@link findNode}, of the target at `at` in `bytes`; replaces the contents of `out`. */
  findNodeAt(bytes: Uint8Array, at: number, count: number, includeFailed: boolean, out: NodeEntry[]): void {
    // setting the length takes a call of the runtime, and drops the memory
    while (out.length > 0) out.pop()
    const buckets = this.#buckets.all
    const limit = count === 0 ? this.bucketSize : count
    if (buckets.length === 0) return
    const start = this.#buckets.indexAt(bytes, at)
    for (let i = start; i < buckets.length; i++) {
      collectClosest(buckets[i]!.live, bytes, at, limit, includeFailed, out)
      if (out.length >= limit) break
    }
    // distances within the buckets after the target's overlap, those of the others do not
    if (start + 1 < buckets.length) sortByDistance(out, bytes, at)
    for (let i = start - 1; i >= 0 && out.length < limit; i--) {
      collectClosest(buckets[i]!.live, bytes, at, limit, includeFailed, out)
    }
  }

  /**
   * The node that should be asked next to keep the table fresh, near buckets first; it counts as asked now.
   *
   * @returns `null` if the table is empty
   */
  nextRefresh(): NodeEntry | null {
    const candidate = this.#leastRecentlyQueried()
    if (candidate !== null) candidate.lastQueried = this.#now()
    return candidate
  }

  /** Changes our own id; nodes move, and some may be dropped. */
  updateNodeId(id: Sha1Hash): void {
    this.#id = id
    const old = this.#buckets.restart(id)
    for (const bucket of old) for (const node of bucket.live) this.addNode(node)
    for (const bucket of old) for (const node of bucket.replacements) this.addNode(node)
  }

  /** Calls back for each node in use and each replacement, `null` for none of them. */
  forEachNode(live: ((node: NodeEntry) => void) | null, replacement: ((node: NodeEntry) => void) | null = live): void {
    for (const bucket of this.#buckets.all) {
      if (live !== null) for (const node of bucket.live) live(node)
      if (replacement !== null) for (const node of bucket.replacements) replacement(node)
    }
  }

  /** How many nodes are in use, stand by, and of those in use have answered when last asked. */
  size(): { nodes: number; replacements: number; confirmed: number } {
    let nodes = 0
    let replacements = 0
    let confirmed = 0
    for (const bucket of this.#buckets.all) {
      nodes += bucket.live.length
      replacements += bucket.replacements.length
      for (const node of bucket.live) if (node.confirmed) confirmed++
    }
    return { nodes, replacements, confirmed }
  }

  /** How far down from the farthest the buckets are at least half full; -1 without buckets. */
  depth(): number {
    const half = Math.trunc(this.bucketSize / 2)
    const buckets = this.#buckets.all
    if (buckets.length === 0) return -1
    if (this.#depth >= buckets.length) this.#depth = buckets.length - 1
    while (this.#depth < buckets.length - 1 && buckets[this.#depth + 1]!.live.length >= half) this.#depth++
    while (this.#depth > 0 && buckets[this.#depth - 1]!.live.length < half) this.#depth--
    return this.#depth
  }

  /** Whether a bucket can take neither nodes nor replacements. */
  isFull(i: number): boolean {
    const bucket = this.buckets[i]
    if (bucket === undefined) return false
    return bucket.live.length >= this.bucketLimit(i) && bucket.replacements.length >= this.bucketSize
  }

  /** One entry a bucket, for `DhtStatsAlert`. */
  status(): DhtRoutingBucket[] {
    return this.buckets.map(({ live, replacements }) => ({
      numNodes: live.length,
      numReplacements: replacements.length,
      lastActive: 0,
    }))
  }

  /** @throws Error if the parts of the table do not agree: for tests */
  checkInvariant(): void {
    this.#buckets.checkInvariant()
    this.forEachNode(({ id, address }) => {
      if (!this.nativeAddress(address)) throw new Error(`node ${id} is of the other family`)
    })
  }

  #add(entry: NodeEntry): number {
    if (!this.nativeAddress(entry.address) || this.#isRouter(entry.endpoint)) return FAILED
    const restrict = this.#settings.dhtRestrictRoutingIps
    if (this.#buckets.hasAddress(entry.address)) {
      const existing = this.#buckets.find(entry.endpoint)
      if (existing === null) {
        // a node with another port
        if (restrict) {
          this.#logLine(() => `ignoring node (duplicate IP): ${entry.id} ${entry.address}`)
          return FAILED
        }
      } else if (existing.id.equals(entry.id)) {
        if (entry.pinged) {
          existing.updateRtt(entry.rtt)
          existing.lastQueried = entry.lastQueried
        }
        this.#refresh(existing)
        return ADDED
      } else if (existing.id.isAllZeros()) {
        // its id was not known until now
        const index = this.#buckets.indexFor(existing.id)
        this.#buckets.removeFrom(existing, index)
      } else if (entry.pinged) {
        this.#evictChangedId(existing, entry)
        return FAILED
      } else if (restrict) {
        // nobody has confirmed the new id: may be an attempt to poison the table
        return FAILED
      }
    }
    if (entry.id.equals(this.#id)) return FAILED
    return this.#addToBucket(entry, this.#buckets.indexFor(entry.id))
  }

  #addToBucket(entry: NodeEntry, index: number): number {
    const { live, replacements } = this.#buckets.at(index)
    const limit = this.bucketLimit(index)

    const same = findId(live, entry.id)
    if (same !== null) {
      // another address claims the id of a node we have
      if (!endpointsEqual(same.endpoint, entry.endpoint)) return FAILED
      same.timeoutCount = 0
      same.updateRtt(entry.rtt)
      return ADDED
    }
    // taken out, as it may now replace a node in use
    const spare = findId(replacements, entry.id)
    if (spare !== null) {
      if (!endpointsEqual(spare.endpoint, entry.endpoint)) return FAILED
      spare.timeoutCount = 0
      spare.updateRtt(entry.rtt)
      this.#buckets.remove(spare, replacements)
      entry = spare
    }

    if (this.#settings.dhtRestrictRoutingIps) {
      const near = findNetwork(live, entry) ?? findNetwork(replacements, entry)
      if (near !== null) {
        this.#logLine(() => `ignoring node: ${entry.id} ${entry.address} existing node: ${near.id} ${near.address}`)
        return FAILED
      }
    }

    if (entry.pinged && live.length < limit) {
      this.#buckets.insert(entry, live)
      return ADDED
    }
    if (this.#canSplit(entry, index)) return NEEDS_SPLIT
    const last = this.#buckets.isLast(index)
    if (entry.confirmed && this.#replace(entry, live, index, limit, last)) return ADDED

    if (replacements.length >= this.bucketSize) {
      // a node that never answered is worth less than any other
      const unpinged = replacements.find(node => !node.pinged)
      if (unpinged === undefined) {
        return this.#replace(entry, replacements, index, this.bucketSize, last) ? ADDED : FAILED
      }
      this.#buckets.remove(unpinged, replacements)
    }
    this.#buckets.insert(entry, replacements)
    return ADDED
  }

  /** Only the last bucket can be split, and only for a node that answers. */
  #canSplit(entry: NodeEntry, index: number): boolean {
    const { live } = this.#buckets.at(index)
    if (!this.#buckets.isLast(index) || this.numActiveBuckets >= MAX_BUCKETS) return false
    if (!entry.confirmed) return false
    if (this.#settings.dhtPreferVerifiedNodeIds && !(entry.verified && mostlyVerifiedNodes(live))) return false
    if (index > 0 && this.#buckets.at(index - 1).live.length <= 1) return false
    return !allInSameBucket(live, entry.id, index)
  }

  #replace(entry: NodeEntry, nodes: NodeEntry[], bucket: number, limit: number, last: boolean): boolean {
    const at = findReplaceable(entry, nodes, bucket, limit, last)
    if (at < 0) return false
    const old = nodes[at]!
    if (old.failCount === 0) {
      this.#logLine(() => {
        const text = (node: NodeEntry) =>
          `[${node.verified ? 'verified' : 'not-verified'} ${node.rtt}ms ${classifyPrefix(bucket, last, limit, node.id)}]`
        return `replacing node with better one: ${entry.id} ${entry.address} ${text(entry)} vs. ${text(old)}`
      })
    }
    this.#buckets.replaceAt(nodes, at, entry)
    return true
  }

  /** The node is alive: a replacement may become a node in use. */
  #refresh(node: NodeEntry): void {
    node.timeoutCount = 0
    this.#buckets.fill(this.#buckets.indexFor(node.id))
    this.#buckets.prune()
  }

  /** Takes a node out of the table that has changed its id, which an attacker would do. */
  #evictChangedId(existing: NodeEntry, entry: NodeEntry): void {
    this.#logLine(() => `evicting node (changed ID): old: ${existing.id} new: ${entry.id} ${entry.address}`)
    const index = this.#buckets.indexFor(existing.id)
    this.#buckets.removeFrom(existing, index)
    this.#buckets.fill(index)
    // its neighbours may be of the same kind: they are asked soon
    const now = this.#now()
    for (const node of this.#buckets.at(index).live)
      if (node.lastQueried + RECHECK_AFTER < now) node.lastQueried = NEVER
    this.#buckets.prune()
  }

  #leastRecentlyQueried(): NodeEntry | null {
    let candidate: NodeEntry | null = null
    for (let i = this.numActiveBuckets - 1; i >= 0; i--) {
      const { live, replacements } = this.#buckets.at(i)
      for (const node of live) {
        if (node.lastQueried === NEVER) return node
        if (candidate === null || node.lastQueried < candidate.lastQueried) candidate = node
      }
      // a replacement that answers could be put in use
      if (this.#buckets.isLast(i) || live.length < this.bucketLimit(i)) {
        const spare = replacements.find(node => !node.pinged && node.lastQueried === NEVER)
        if (spare !== undefined) return spare
      }
    }
    return candidate
  }

  #isRouter(endpoint: Endpoint): boolean {
    return this.#routers.length > 0 && this.#routersByAddress.get(endpoint[0])?.includes(endpoint[1]) === true
  }

  #logLine(text: () => string): void {
    if (this.#log?.shouldLog(DhtModule.routingTable)) this.#log.log(DhtModule.routingTable, text())
  }

  #logFailed(node: NodeEntry): void {
    this.#logLine(() => {
      const seconds = Math.trunc((this.#now() - node.firstSeen) / 1000)
      return `NODE FAILED id: ${node.id} ip: ${endpointToString(node.endpoint)} fails: ${node.failCount} pinged: ${node.pinged ? 1 : 0} up-time: ${seconds}`
    })
  }
}
