/** Buckets of the routing table: which nodes one keeps. */

import { readInt32 } from '../core/bytes.ts'
import type { Sha1Hash } from '../core/digest.ts'
import type { NodeEntry } from './node-entry.ts'
import { byteAtBit } from './node-id.ts'

/** The nodes at one distance from our own id. */
export class Bucket {
  /** Nodes in use: all have answered us at least once. */
  readonly live: NodeEntry[] = []
  /** Nodes that take the place of those that fail. */
  readonly replacements: NodeEntry[] = []
}

/** The node with this id, `null` if it is not among them. */
export function findId(nodes: readonly NodeEntry[], id: Sha1Hash): NodeEntry | null {
  const prefix = readInt32(id.view(), 0)
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i]!
    if (node.prefix === prefix && node.id.equals(id)) return node
  }
  return null
}

/** A node in the network of another one, `null` if there is none. */
export function findNetwork(nodes: readonly NodeEntry[], of: NodeEntry): NodeEntry | null {
  for (let i = 0; i < nodes.length; i++) if (nodes[i]!.inNetworkOf(of)) return nodes[i]!
  return null
}

/**
 * Which part of its bucket an id falls in, 0 to `bucketSize - 1`: the bits that follow those all ids of the bucket share.
 *
 * @param last       whether this is the last bucket, whose ids do not share the bit that tells buckets apart
 * @param bucketSize a power of two, 2 to 256
 */
export function classifyPrefix(bucket: number, last: boolean, bucketSize: number, id: Sha1Hash): number {
  const shift = Math.clz32(bucketSize - 1) - 24
  return byteAtBit(id.view(), bucket + (last ? 0 : 1)) >>> shift
}

/** Whether two thirds of the nodes have ids bound to their addresses. @see BEP 42 */
export function mostlyVerifiedNodes(nodes: readonly NodeEntry[]): boolean {
  let verified = 0
  for (const node of nodes) if (node.verified) verified++
  if (verified === 0 && nodes.length > 0) return false
  return verified >= Math.trunc((nodes.length * 2) / 3)
}

/** Whether the nodes and `id` agree in bit `bucket`: a split would move all of them or none. */
export function allInSameBucket(nodes: readonly NodeEntry[], id: Sha1Hash, bucket: number): boolean {
  const at = bucket >> 3
  const mask = 0x80 >> (bucket & 7)
  const bit = id.view()[at]! & mask
  for (const node of nodes) if ((node.id.view()[at]! & mask) !== bit) return false
  return true
}

/** Puts replacements that have answered in use while there is room, the best first. */
export function fillBucket({ live, replacements }: Bucket, limit: number): void {
  if (replacements.length === 0 || live.length >= limit || !replacements.some(node => node.pinged)) return
  replacements.sort((a, b) => (a.betterThan(b) ? -1 : b.betterThan(a) ? 1 : 0))
  for (let i = 0; i < replacements.length && live.length < limit; ) {
    if (replacements[i]!.pinged) live.push(...replacements.splice(i, 1))
    else i++
  }
}

/**
 * Moves nodes to a new bucket, and puts replacements in use where there is room then.
 *
 * @param stays    which nodes are not to be moved
 * @param limit    nodes that the bucket holds
 * @param newLimit nodes that the new one holds; it gets all of those in use, be they more
 */
export function splitBucket(
  { live, replacements }: Bucket,
  stays: (node: NodeEntry) => boolean,
  limit: number,
  newLimit: number,
): Bucket {
  const fresh = new Bucket()
  for (const node of live.splice(0)) (stays(node) ? live : fresh.live).push(node)
  if (live.length > limit) replacements.push(...live.splice(limit))
  for (const node of replacements.splice(0)) {
    if (stays(node)) (node.pinged && live.length < limit ? live : replacements).push(node)
    else (node.pinged && fresh.live.length < newLimit ? fresh.live : fresh.replacements).push(node)
  }
  return fresh
}

/**
 * Which node of a full bucket `entry` should take the place of, -1 for none.
 *
 * The one that failed most often, if one failed. Else ids are to be spread over the bucket, so that lookups get far with
 * each step: if there are ids in the same part of the bucket the worst of them goes, should it be worse than `entry`;
 * if there are none, the worst of all parts that have more than one.
 *
 * @param limit how many nodes the bucket holds, a power of two
 */
export function findReplaceable(
  entry: NodeEntry,
  nodes: readonly NodeEntry[],
  bucket: number,
  limit: number,
  last: boolean,
): number {
  let stale = 0
  for (let i = 1; i < nodes.length; i++) if (nodes[i]!.failCount > nodes[stale]!.failCount) stale = i
  if (nodes[stale]!.failCount > 0) return stale

  const counts = new Uint16Array(limit)
  const slots = new Uint8Array(nodes.length)
  for (let i = 0; i < nodes.length; i++) {
    const slot = classifyPrefix(bucket, last, limit, nodes[i]!.id)
    slots[i] = slot
    counts[slot]!++
  }
  const own = classifyPrefix(bucket, last, limit, entry.id)
  const taken = counts[own]! > 0
  let worst = -1
  for (let i = 0; i < nodes.length; i++) {
    if (taken ? slots[i] !== own : counts[slots[i]!]! < 2) continue
    if (worst < 0 || nodes[worst]!.betterThan(nodes[i]!)) worst = i
    else if (slots[i]! < slots[worst]! && !nodes[i]!.betterThan(nodes[worst]!)) worst = i
  }
  return worst >= 0 && taken && !entry.betterThan(nodes[worst]!) ? -1 : worst
}
