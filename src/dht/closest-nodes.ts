/** Choosing the nodes that are closest to a target, without looking at more of their ids than is needed. */

import { readInt32 } from '../core/bytes.ts'
import type { NodeEntry } from './node-entry.ts'
import { closerAt } from './node-id.ts'

/** Turns the order of numbers without a sign into that of numbers with one, which are cheaper. */
const SIGN = 1 << 31

/** Adds the closest of `nodes` to `out` until that has `limit`, the new ones in order among themselves. */
export function collectClosest(
  nodes: readonly NodeEntry[],
  bytes: Uint8Array,
  at: number,
  limit: number,
  includeFailed: boolean,
  out: NodeEntry[],
): void {
  const flipped = readInt32(bytes, at) ^ SIGN
  const start = out.length
  /** Key of the last one once there are enough. */
  let worst = 0
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i]!
    if (!includeFailed && node.timeoutCount !== 0) continue
    const key = node.prefix ^ flipped
    let k = out.length
    if (k < limit) out.push(node)
    else if (key < worst || (key === worst && closerAt(bytes, at, node.id.view(), out[k - 1]!.id.view()))) k--
    else continue
    for (; k > start; k--) {
      const other = out[k - 1]!
      const otherKey = other.prefix ^ flipped
      if (otherKey < key || (otherKey === key && !closerAt(bytes, at, node.id.view(), other.id.view()))) break
      out[k] = other
    }
    out[k] = node
    if (out.length === limit) worst = out[limit - 1]!.prefix ^ flipped
  }
}

/** Insertion sort: what comes in is short and nearly in order. */
export function sortByDistance(nodes: NodeEntry[], bytes: Uint8Array, at: number): void {
  const flipped = readInt32(bytes, at) ^ SIGN
  for (let i = 1; i < nodes.length; i++) {
    const node = nodes[i]!
    const key = node.prefix ^ flipped
    let k = i
    for (; k > 0; k--) {
      const other = nodes[k - 1]!
      const otherKey = other.prefix ^ flipped
      if (otherKey < key || (otherKey === key && !closerAt(bytes, at, node.id.view(), other.id.view()))) break
      nodes[k] = other
    }
    nodes[k] = node
  }
}
