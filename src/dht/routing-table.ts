/**
 * The routing table (BEP 5): nodes in buckets by distance from our own id, the last bucket holding all that are nearer.
 *
 * Differs from the Kademlia paper as libtorrent does: nodes are not marked stale but count their failures, buckets far
 * from us are larger, quick nodes and those with ids bound to their addresses (BEP 42) replace others.
 */

import type { DhtRoutingBucket } from '../alert/dht-alerts.ts'
import { equalAt, readUint32 } from '../core/bytes.ts'
import { Sha1Hash } from '../core/digest.ts'
import { type Endpoint, endpointsEqual, endpointToString, isV4 } from '../core/endpoint.ts'
import { DhtModule } from '../core/enums.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import { allInSameBucket, Bucket, classifyPrefix, findReplaceable, mostlyVerifiedNodes } from './bucket.ts'
import type { DhtLog } from './dht-log.ts'
import { NEVER, NodeEntry } from './node-entry.ts'
import { closerAt, distanceExpAt, NODE_ID_SIZE, verifyId } from './node-id.ts'

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

/** How much larger the first buckets are with `dht_extended_routing_table`. */
const EXTENDED = [16, 8, 4, 2]
/** A bucket that somebody seems to tamper with has its nodes asked again if they were not for so long. */
const RECHECK_AFTER = 5 * 60 * 1000
/** No real network needs more buckets: ids are being made up. */
const SANE_BUCKETS = 50
const MAX_BUCKETS = 159

export class RoutingTable {
  readonly #family: 4 | 6
  readonly #bucketSize: number
  readonly #settings: RoutingTableSettings
  readonly #now: () => number
  readonly #log: DhtLog | null
  #id: Sha1Hash
  #buckets: Bucket[] = []
  #depth = 0
  /** All nodes of the table, live ones and replacements, by address. */
  readonly #byAddress = new Map<string, NodeEntry[]>()
  readonly #routers: Endpoint[] = []
  readonly #routersByAddress = new Map<string, number[]>()

  constructor(options: RoutingTableOptions) {
    this.#id = options.id
    this.#family = options.family
    this.#bucketSize = options.bucketSize ?? 8
    this.#settings = options.settings
    this.#now = options.now
    this.#log = options.log ?? null
  }

  /** Our own id. */
  get id(): Sha1Hash {
    return this.#id
  }

  /** Nodes a bucket holds; see also {@link bucketLimit}. */
  get bucketSize(): number {
    return this.#bucketSize
  }

  get numActiveBuckets(): number {
    return this.#buckets.length
  }

  /** The buckets, the farthest first. Read only. */
  get buckets(): readonly Bucket[] {
    return this.#buckets
  }

  /** Endpoints that lookups may begin with, and that never get into the table. */
  get routerNodes(): readonly Endpoint[] {
    return this.#routers
  }

  /** Nodes that bucket `i` holds, with the first buckets larger if the settings say so. */
  bucketLimit(i: number): number {
    return this.#settings.dhtExtendedRoutingTable ? this.#bucketSize * (EXTENDED[i] ?? 1) : this.#bucketSize
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
    const known = this.#at(endpoint)
    if (known !== null && equalAt(bytes, at, known.id.view(), 0, NODE_ID_SIZE) && !this.#isRouter(endpoint)) {
      if (known.verified || !this.#settings.dhtEnforceNodeId) this.#refresh(known)
      return
    }
    this.heardAbout(new Sha1Hash(bytes.subarray(at, at + NODE_ID_SIZE)), endpoint)
  }

  /** Adds a node, or brings it up to date. @returns whether it is in the table now */
  addNode(entry: NodeEntry): boolean {
    let status = this.#add(entry)
    while (status === NEEDS_SPLIT) {
      this.#split()
      if (this.#buckets.length > SANE_BUCKETS) return this.#add(entry) === ADDED
      const last = this.#buckets[this.#buckets.length - 1]!
      if (last.live.length > this.bucketLimit(this.#buckets.length - 1)) continue
      status = this.#add(entry)
      // neither a node that was there nor the new one went into the new bucket
      if (last.live.length === 0) {
        for (const node of last.replacements) this.#forget(node)
        this.#buckets.pop()
      }
    }
    return status === ADDED
  }

  /** A node did not answer. */
  nodeFailed(id: Sha1Hash, endpoint: Endpoint): void {
    if (id.equals(this.#id)) return
    const index = this.#bucketFor(id)
    const { live, replacements } = this.#buckets[index]!
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
      if (node.failCount >= this.#settings.dhtMaxFailCount || !node.pinged) this.#remove(node, live)
      return
    }
    this.#remove(node, live)
    this.#fill(index)
    this.#prune()
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
    out.length = 0
    const buckets = this.#buckets
    const limit = count === 0 ? this.#bucketSize : count
    if (buckets.length === 0) return
    const start = Math.min(159 - distanceExpAt(this.#id.view(), bytes, at), buckets.length - 1)
    for (let i = start; i < buckets.length; i++) {
      collect(buckets[i]!.live, bytes, at, limit, includeFailed, out)
      if (out.length >= limit) break
    }
    // distances within the buckets after the target's overlap, those of the others do not
    if (start + 1 < buckets.length) sortByDistance(out, bytes, at)
    for (let i = start - 1; i >= 0 && out.length < limit; i--) {
      collect(buckets[i]!.live, bytes, at, limit, includeFailed, out)
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
    this.#byAddress.clear()
    const old = this.#buckets
    this.#buckets = []
    for (const bucket of old) for (const node of bucket.live) this.addNode(node)
    for (const bucket of old) for (const node of bucket.replacements) this.addNode(node)
  }

  /** Calls back for each node in use and each replacement, `null` for none of them. */
  forEachNode(live: ((node: NodeEntry) => void) | null, replacement: ((node: NodeEntry) => void) | null = live): void {
    for (const bucket of this.#buckets) {
      if (live !== null) for (const node of bucket.live) live(node)
      if (replacement !== null) for (const node of bucket.replacements) replacement(node)
    }
  }

  /** How many nodes are in use, stand by, and of those in use have answered when last asked. */
  size(): { nodes: number; replacements: number; confirmed: number } {
    let nodes = 0
    let replacements = 0
    let confirmed = 0
    for (const bucket of this.#buckets) {
      nodes += bucket.live.length
      replacements += bucket.replacements.length
      for (const node of bucket.live) if (node.confirmed) confirmed++
    }
    return { nodes, replacements, confirmed }
  }

  /** An estimate of how many nodes the whole network has. */
  numGlobalNodes(): number {
    let full = 0
    let size = 0
    for (const bucket of this.#buckets) {
      size = bucket.live.length
      if (size < this.#bucketSize) break
      full++
    }
    if (full === 0) return 1 + size
    if (size < Math.trunc(this.#bucketSize / 2)) return 2 ** full * this.#bucketSize
    return 2 ** (full + 1) * size
  }

  /** How far down from the farthest the buckets are at least half full; -1 without buckets. */
  depth(): number {
    const half = Math.trunc(this.#bucketSize / 2)
    const buckets = this.#buckets
    if (buckets.length === 0) return -1
    if (this.#depth >= buckets.length) this.#depth = buckets.length - 1
    while (this.#depth < buckets.length - 1 && buckets[this.#depth + 1]!.live.length >= half) this.#depth++
    while (this.#depth > 0 && buckets[this.#depth - 1]!.live.length < half) this.#depth--
    return this.#depth
  }

  /** Whether a bucket can take neither nodes nor replacements. */
  isFull(i: number): boolean {
    const bucket = this.#buckets[i]
    if (bucket === undefined) return false
    return bucket.live.length >= this.bucketLimit(i) && bucket.replacements.length >= this.#bucketSize
  }

  /** One entry a bucket, for `DhtStatsAlert`. */
  status(): DhtRoutingBucket[] {
    return this.#buckets.map(({ live, replacements }) => ({
      numNodes: live.length,
      numReplacements: replacements.length,
      lastActive: 0,
    }))
  }

  /** @throws Error if the parts of the table do not agree: for tests */
  checkInvariant(): void {
    let count = 0
    this.forEachNode(node => {
      count++
      if (this.#byAddress.get(node.address)?.includes(node) !== true) {
        throw new Error(`node ${node.id} is not found by its address`)
      }
      if (!this.nativeAddress(node.address)) throw new Error(`node ${node.id} is of the other family`)
    })
    this.forEachNode(node => {
      if (!node.pinged) throw new Error(`node ${node.id} is in use but never answered`)
    }, null)
    this.#buckets.forEach(({ live, replacements }, i) => {
      for (const node of [...live, ...replacements]) {
        if (this.#bucketFor(node.id) !== i) throw new Error(`node ${node.id} is in the wrong bucket`)
      }
    })
    let indexed = 0
    for (const nodes of this.#byAddress.values()) indexed += nodes.length
    if (indexed !== count) throw new Error(`${indexed} nodes by address, ${count} in buckets`)
  }

  #add(entry: NodeEntry): number {
    if (!this.nativeAddress(entry.address) || this.#isRouter(entry.endpoint)) return FAILED
    const restrict = this.#settings.dhtRestrictRoutingIps
    if (this.#byAddress.has(entry.address)) {
      const existing = this.#at(entry.endpoint)
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
        const index = this.#bucketFor(existing.id)
        this.#removeFrom(existing, index)
      } else if (entry.pinged) {
        this.#evictChangedId(existing, entry)
        return FAILED
      } else if (restrict) {
        // nobody has confirmed the new id: may be an attempt to poison the table
        return FAILED
      }
    }
    if (entry.id.equals(this.#id)) return FAILED
    return this.#addToBucket(entry, this.#bucketFor(entry.id))
  }

  #addToBucket(entry: NodeEntry, index: number): number {
    const { live, replacements } = this.#buckets[index]!
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
      this.#remove(spare, replacements)
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
      this.#insert(entry, live)
      return ADDED
    }
    if (this.#canSplit(entry, index)) return NEEDS_SPLIT
    const last = index === this.#buckets.length - 1
    if (entry.confirmed && this.#replace(entry, live, index, limit, last)) return ADDED

    if (replacements.length >= this.#bucketSize) {
      // a node that never answered is worth less than any other
      const unpinged = replacements.find(node => !node.pinged)
      if (unpinged === undefined) {
        return this.#replace(entry, replacements, index, this.#bucketSize, last) ? ADDED : FAILED
      }
      this.#remove(unpinged, replacements)
    }
    this.#insert(entry, replacements)
    return ADDED
  }

  /** Only the last bucket can be split, and only for a node that answers. */
  #canSplit(entry: NodeEntry, index: number): boolean {
    const { live } = this.#buckets[index]!
    if (index !== this.#buckets.length - 1 || this.#buckets.length >= MAX_BUCKETS) return false
    if (this.#settings.dhtPreferVerifiedNodeIds && !(entry.verified && mostlyVerifiedNodes(live))) return false
    if (!entry.confirmed) return false
    if (index > 0 && this.#buckets[index - 1]!.live.length <= 1) return false
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
    this.#forget(old)
    nodes[at] = entry
    this.#remember(entry)
    return true
  }

  /** Moves what is nearer to us than the last bucket should hold to a new one after it. */
  #split(): void {
    const index = this.#buckets.length - 1
    const { live, replacements } = this.#buckets[index]!
    const limit = this.bucketLimit(index)
    const newLimit = this.bucketLimit(index + 1)
    const fresh = new Bucket()
    this.#buckets.push(fresh)
    const own = this.#id.view()
    const stays = (node: NodeEntry) => distanceExpAt(own, node.id.view(), 0) >= 159 - index

    for (const node of live.splice(0)) (stays(node) ? live : fresh.live).push(node)
    if (live.length > limit) replacements.push(...live.splice(limit))
    for (const node of replacements.splice(0)) {
      if (stays(node)) (node.pinged && live.length < limit ? live : replacements).push(node)
      else (node.pinged && fresh.live.length < newLimit ? fresh.live : fresh.replacements).push(node)
    }
  }

  /** The node is alive: a replacement may become a node in use. */
  #refresh(node: NodeEntry): void {
    node.timeoutCount = 0
    this.#fill(this.#bucketFor(node.id))
    this.#prune()
  }

  /** Takes a node out of the table that has changed its id, which an attacker would do. */
  #evictChangedId(existing: NodeEntry, entry: NodeEntry): void {
    this.#logLine(() => `evicting node (changed ID): old: ${existing.id} new: ${entry.id} ${entry.address}`)
    const index = this.#bucketFor(existing.id)
    this.#removeFrom(existing, index)
    this.#fill(index)
    // its neighbours may be of the same kind: they are asked soon
    const now = this.#now()
    for (const node of this.#buckets[index]!.live) if (node.lastQueried + RECHECK_AFTER < now) node.lastQueried = NEVER
    this.#prune()
  }

  /** Puts replacements that have answered in use while there is room, the best first. */
  #fill(index: number): void {
    const { live, replacements } = this.#buckets[index]!
    const limit = this.bucketLimit(index)
    if (replacements.length === 0 || live.length >= limit || !replacements.some(node => node.pinged)) return
    replacements.sort((a, b) => (a.betterThan(b) ? -1 : b.betterThan(a) ? 1 : 0))
    for (let i = 0; i < replacements.length && live.length < limit; ) {
      if (replacements[i]!.pinged) live.push(...replacements.splice(i, 1))
      else i++
    }
  }

  /** Drops the last bucket if nothing is in it. */
  #prune(): void {
    const last = this.#buckets[this.#buckets.length - 1]
    if (last !== undefined && last.live.length === 0 && last.replacements.length === 0) this.#buckets.pop()
  }

  #leastRecentlyQueried(): NodeEntry | null {
    let candidate: NodeEntry | null = null
    for (let i = this.#buckets.length - 1; i >= 0; i--) {
      const { live, replacements } = this.#buckets[i]!
      for (const node of live) {
        if (node.lastQueried === NEVER) return node
        if (candidate === null || node.lastQueried < candidate.lastQueried) candidate = node
      }
      // a replacement that answers could be put in use
      if (i === this.#buckets.length - 1 || live.length < this.bucketLimit(i)) {
        const spare = replacements.find(node => !node.pinged && node.lastQueried === NEVER)
        if (spare !== undefined) return spare
      }
    }
    return candidate
  }

  /** Index of the bucket an id belongs in; the first bucket is made if there is none. */
  #bucketFor(id: Sha1Hash): number {
    if (this.#buckets.length === 0) this.#buckets.push(new Bucket())
    return Math.min(159 - distanceExpAt(this.#id.view(), id.view(), 0), this.#buckets.length - 1)
  }

  #at(endpoint: Endpoint): NodeEntry | null {
    const nodes = this.#byAddress.get(endpoint[0])
    if (nodes === undefined) return null
    for (let i = 0; i < nodes.length; i++) if (nodes[i]!.endpoint[1] === endpoint[1]) return nodes[i]!
    return null
  }

  #isRouter(endpoint: Endpoint): boolean {
    return this.#routers.length > 0 && this.#routersByAddress.get(endpoint[0])?.includes(endpoint[1]) === true
  }

  #insert(node: NodeEntry, nodes: NodeEntry[]): void {
    nodes.push(node)
    this.#remember(node)
  }

  #removeFrom(node: NodeEntry, index: number): void {
    const { live, replacements } = this.#buckets[index]!
    this.#remove(node, live.includes(node) ? live : replacements)
  }

  #remove(node: NodeEntry, nodes: NodeEntry[]): void {
    nodes.splice(nodes.indexOf(node), 1)
    this.#forget(node)
  }

  #remember(node: NodeEntry): void {
    const nodes = this.#byAddress.get(node.address)
    if (nodes === undefined) this.#byAddress.set(node.address, [node])
    else nodes.push(node)
  }

  #forget(node: NodeEntry): void {
    const nodes = this.#byAddress.get(node.address)!
    if (nodes.length === 1) this.#byAddress.delete(node.address)
    else nodes.splice(nodes.indexOf(node), 1)
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

function findId(nodes: readonly NodeEntry[], id: Sha1Hash): NodeEntry | null {
  const prefix = readUint32(id.view(), 0)
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i]!
    if (node.prefix === prefix && node.id.equals(id)) return node
  }
  return null
}

function findNetwork(nodes: readonly NodeEntry[], of: NodeEntry): NodeEntry | null {
  for (let i = 0; i < nodes.length; i++) if (nodes[i]!.inNetworkOf(of)) return nodes[i]!
  return null
}

/** Adds the closest of `nodes` to `out` until that has `limit`, the new ones in order among themselves. */
function collect(
  nodes: readonly NodeEntry[],
  bytes: Uint8Array,
  at: number,
  limit: number,
  includeFailed: boolean,
  out: NodeEntry[],
): void {
  const target = readUint32(bytes, at)
  const start = out.length
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i]!
    if (!includeFailed && node.timeoutCount !== 0) continue
    let k = out.length
    if (k < limit) out.push(node)
    else if (isCloser(node, out[k - 1]!, target, bytes, at)) k--
    else continue
    while (k > start && isCloser(node, out[k - 1]!, target, bytes, at)) {
      out[k] = out[k - 1]!
      k--
    }
    out[k] = node
  }
}

/** Insertion sort: what comes in is short and nearly in order. */
function sortByDistance(nodes: NodeEntry[], bytes: Uint8Array, at: number): void {
  const target = readUint32(bytes, at)
  for (let i = 1; i < nodes.length; i++) {
    const node = nodes[i]!
    let k = i
    while (k > 0 && isCloser(node, nodes[k - 1]!, target, bytes, at)) {
      nodes[k] = nodes[k - 1]!
      k--
    }
    nodes[k] = node
  }
}

function isCloser(a: NodeEntry, b: NodeEntry, target: number, bytes: Uint8Array, at: number): boolean {
  const x = (a.prefix ^ target) >>> 0
  const y = (b.prefix ^ target) >>> 0
  return x === y ? closerAt(bytes, at, a.id.view(), b.id.view()) : x < y
}
