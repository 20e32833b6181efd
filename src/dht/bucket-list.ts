/** The buckets of a routing table, and its nodes by address: what is in one is in the other. */

import type { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import { Bucket, fillBucket, splitBucket } from './bucket.ts'
import type { NodeEntry } from './node-entry.ts'
import { distanceExpAt } from './node-id.ts'
import { NodeIndex } from './node-index.ts'

/** How much larger the first buckets are with `dht_extended_routing_table`. */
const EXTENDED = [16, 8, 4, 2]

export class BucketList {
  /** Nodes a bucket holds, a power of two; the first ones may hold more. */
  readonly size: number
  readonly #settings: Pick<SessionSettings, 'dhtExtendedRoutingTable'>
  readonly #index = new NodeIndex()
  #own: Uint8Array
  #buckets: Bucket[] = []

  /** @param id our own id */
  constructor(id: Sha1Hash, size: number, settings: Pick<SessionSettings, 'dhtExtendedRoutingTable'>) {
    this.#own = id.view()
    this.size = size
    this.#settings = settings
  }

  /** The farthest first. Read only. */
  get all(): readonly Bucket[] {
    return this.#buckets
  }

  get last(): Bucket | undefined {
    return this.#buckets[this.#buckets.length - 1]
  }

  isLast(i: number): boolean {
    return i === this.#buckets.length - 1
  }

  /** @param i index of a bucket there is */
  at(i: number): Bucket {
    return this.#buckets[i]!
  }

  /** Nodes that bucket `i` holds. */
  limit(i: number): number {
    return this.#settings.dhtExtendedRoutingTable ? this.size * (EXTENDED[i] ?? 1) : this.size
  }

  /** Index of the bucket an id belongs in; the first bucket is made if there is none. */
  indexFor(id: Sha1Hash): number {
    if (this.#buckets.length === 0) this.#buckets.push(new Bucket())
    return this.indexAt(id.view(), 0)
  }

  /** As {@link indexFor}, of the id at `at` in `bytes`; -1 without buckets. */
  indexAt(bytes: Uint8Array, at: number): number {
    return Math.min(159 - distanceExpAt(this.#own, bytes, at), this.#buckets.length - 1)
  }

  hasAddress(address: string): boolean {
    return this.#index.hasAddress(address)
  }

  /** The node at an endpoint, `null` if there is none. */
  find(endpoint: Endpoint): NodeEntry | null {
    return this.#index.find(endpoint)
  }

  /** @param nodes a list of one of the buckets */
  insert(node: NodeEntry, nodes: NodeEntry[]): void {
    nodes.push(node)
    this.#index.add(node)
  }

  /** @param nodes the list that has the node */
  remove(node: NodeEntry, nodes: NodeEntry[]): void {
    nodes.splice(nodes.indexOf(node), 1)
    this.#index.remove(node)
  }

  /** Removes a node from the bucket with index `i`. */
  removeFrom(node: NodeEntry, i: number): void {
    const { live, replacements } = this.at(i)
    this.remove(node, live.includes(node) ? live : replacements)
  }

  /** Puts a node in the place of the one at `k` of a list. */
  replaceAt(nodes: NodeEntry[], k: number, node: NodeEntry): void {
    this.#index.remove(nodes[k]!)
    nodes[k] = node
    this.#index.add(node)
  }

  /** Puts replacements in use while there is room. */
  fill(i: number): void {
    fillBucket(this.at(i), this.limit(i))
  }

  /** Moves what is nearer to us than the last bucket should hold to a new one after it. @returns the new one */
  split(): Bucket {
    const i = this.#buckets.length - 1
    const stays = (node: NodeEntry) => distanceExpAt(this.#own, node.id.view(), 0) >= 159 - i
    const fresh = splitBucket(this.at(i), stays, this.limit(i), this.limit(i + 1))
    this.#buckets.push(fresh)
    return fresh
  }

  /** Drops the last bucket with all that is in it. */
  dropLast(): void {
    const bucket = this.#buckets.pop()
    for (const node of bucket?.live ?? []) this.#index.remove(node)
    for (const node of bucket?.replacements ?? []) this.#index.remove(node)
  }

  /** Drops the last bucket if nothing is in it. */
  prune(): void {
    const { last } = this
    if (last !== undefined && last.live.length === 0 && last.replacements.length === 0) this.#buckets.pop()
  }

  /** Takes all buckets out, and begins anew with another id. @returns the old buckets */
  restart(id: Sha1Hash): Bucket[] {
    const old = this.#buckets
    this.#own = id.view()
    this.#buckets = []
    this.#index.clear()
    return old
  }

  /** @throws Error if the parts do not agree: for tests */
  checkInvariant(): void {
    let count = 0
    this.#buckets.forEach(({ live, replacements }, i) => {
      for (const node of live) if (!node.pinged) throw new Error(`node ${node.id} is in use but never answered`)
      for (const node of [...live, ...replacements]) {
        count++
        if (this.indexFor(node.id) !== i) throw new Error(`node ${node.id} is in the wrong bucket`)
        if (!this.#index.has(node)) throw new Error(`node ${node.id} is not found by its address`)
      }
    })
    if (this.#index.count() !== count) throw new Error(`${this.#index.count()} nodes by address, ${count} in buckets`)
  }
}
