/**
 * Arithmetic of merkle trees over flat arrays of 32-byte SHA-256 hashes (BEP 52).
 *
 * A whole tree is one `Uint8Array` in breadth-first order: node 0 is the root, the children of node `i` are `2i + 1`
 * and `2i + 2`. The number of leaves is a power of two; leaves beyond the data are zeros. An all-zero
 * node means "not known".
 */

import type { Bitfield } from '../core/bitfield.ts'
import { equalAt } from '../core/bytes.ts'
import { sha256 } from '../core/hash.ts'

/** Bytes of one node. */
export const HASH_SIZE = 32

/** Leaves a tree needs for so many blocks: the next power of two. `blocks` >= 1. */
export function merkleNumLeafs(blocks: number): number {
  let leafs = 1
  while (leafs < blocks) leafs *= 2
  return leafs
}

/** Nodes of a tree with `leafs` (a power of two) leaves. */
export function merkleNumNodes(leafs: number): number {
  return 2 * leafs - 1
}

/** Layers under the root of a tree with `leafs` (a power of two) leaves; 0 if the root is the leaf. */
export function merkleNumLayers(leafs: number): number {
  return 31 - Math.clz32(leafs)
}

/** Index of the first leaf of a tree with `leafs` leaves. */
export function merkleFirstLeaf(leafs: number): number {
  return leafs - 1
}

/** Index of the first node of a layer, counted from 0 at the root. */
export function merkleLayerStart(layer: number): number {
  return 2 ** layer - 1
}

/** Index of the node `offset` of a layer. */
export function merkleToFlatIndex(layer: number, offset: number): number {
  return merkleLayerStart(layer) + offset
}

/** Layer of a node, 0 for the root. */
export function merkleGetLayer(index: number): number {
  return 31 - Math.clz32(index + 1)
}

/** Place of a node in its layer. */
export function merkleGetLayerOffset(index: number): number {
  return index - merkleLayerStart(merkleGetLayer(index))
}

/** The root (0) has none: `index` >= 1. */
export function merkleGetParent(index: number): number {
  return (index - 1) >>> 1
}

/** The other child of the same parent; `index` >= 1. */
export function merkleGetSibling(index: number): number {
  return index % 2 === 1 ? index + 1 : index - 1
}

/** The leftmost descendant `depth` layers down. */
export function merkleGetFirstChild(index: number, depth = 1): number {
  return (index + 1) * 2 ** depth - 1
}

const pair = new Uint8Array(2 * HASH_SIZE)

/** The node over two children. @param left, right 32 bytes each */
export function mergeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  pair.set(left)
  pair.set(right, HASH_SIZE)
  return sha256(pair)
}

/** As {@link mergeHash} of two hashes that follow one another in `hashes` from node `index` on. */
export function mergePairAt(hashes: Uint8Array, index: number): Uint8Array {
  return sha256(hashes.subarray(index * HASH_SIZE, (index + 2) * HASH_SIZE))
}

/** A view of node `index`. */
export function merkleNode(tree: Uint8Array, index: number): Uint8Array {
  return tree.subarray(index * HASH_SIZE, (index + 1) * HASH_SIZE)
}

/** True if node `index` is all zeros, that is not known. */
export function merkleIsZero(tree: Uint8Array, index: number): boolean {
  const at = index * HASH_SIZE
  for (let i = at; i < at + HASH_SIZE; i++) if (tree[i] !== 0) return false
  return true
}

/** Pad hashes by height, 0 being that of a leaf: zeros. Grown on demand, 32 entries at most in practice. */
const pads: Uint8Array[] = [new Uint8Array(HASH_SIZE)]

/** Hash of a subtree of `height` layers over leaves of zeros. Shared: do not write to it. */
export function merklePadAt(height: number): Uint8Array {
  for (let h = pads.length; h <= height; h++) pads.push(mergeHash(pads[h - 1]!, pads[h - 1]!))
  return pads[height]!
}

/**
 * Pad hash of the layer with `pieces` nodes in a tree with `blocks` leaves (both powers of two). Shared.
 */
export function merklePad(blocks: number, pieces: number): Uint8Array {
  let height = 0
  for (let n = pieces; n < blocks; n *= 2) height++
  return merklePadAt(height)
}

/**
 * Root over a layer of hashes, the layer filled up to a power of two with `pad`.
 *
 * @param leaves one or more hashes of 32 bytes, one after the other
 * @param pad    fills the layer; zeros unless given, `merklePad(...)` for a piece layer
 */
export function merkleRoot(leaves: Uint8Array, pad: Uint8Array = merklePadAt(0)): Uint8Array {
  let count = leaves.length / HASH_SIZE
  if (count < 1 || !Number.isInteger(count)) throw new RangeError('merkleRoot: expected one or more hashes of 32 bytes')
  if (count === 1) return leaves.slice()
  // the first round reads the input, the others fold the scratch layer in place
  const scratch = new Uint8Array(((count + 1) >>> 1) * HASH_SIZE)
  let from = leaves
  while (count > 1) {
    const pairs = count >>> 1
    for (let i = 0; i < pairs; i++) scratch.set(mergePairAt(from, 2 * i), i * HASH_SIZE)
    if (count % 2 === 1) scratch.set(mergeHash(merkleNode(from, count - 1), pad), pairs * HASH_SIZE)
    pad = mergeHash(pad, pad)
    count = (count + 1) >>> 1
    from = scratch
  }
  return scratch.slice(0, HASH_SIZE)
}

/**
 * Computes all nodes above a run of nodes of one layer.
 *
 * @param leafs      length of the run, a power of two
 * @param levelStart index of its first node; the first leaf of the tree unless given
 */
export function merkleFillTree(tree: Uint8Array, leafs: number, levelStart = merkleFirstLeaf(leafs)): void {
  let size = leafs
  while (size > 1) {
    let parent = merkleGetParent(levelStart)
    for (let i = levelStart; i < levelStart + size; i += 2, parent++) tree.set(mergePairAt(tree, i), parent * HASH_SIZE)
    levelStart = merkleGetParent(levelStart)
    size /= 2
  }
}

/**
 * Computes the nodes that follow from a tree of which some are known, then clears those that no chain of known
 * nodes connects to the root.
 */
export function merkleFillPartialTree(tree: Uint8Array): void {
  const nodes = tree.length / HASH_SIZE
  const leafs = (nodes + 1) / 2
  for (let i = leafs - 2; i >= 0; i--) {
    const child = 2 * i + 1
    if (merkleIsZero(tree, child) || merkleIsZero(tree, child + 1)) continue
    tree.set(mergePairAt(tree, child), i * HASH_SIZE)
  }
  for (let parent = 0, i = 1; i < nodes; parent++, i += 2) {
    const leftZero = merkleIsZero(tree, i)
    const rightZero = merkleIsZero(tree, i + 1)
    if (merkleIsZero(tree, parent) || leftZero || rightZero) tree.fill(0, i * HASH_SIZE, (i + 2) * HASH_SIZE)
  }
}

/** Clears a run of nodes of one layer and all above it, up to and with the node that stands over the whole run. */
export function merkleClearTree(tree: Uint8Array, leafs: number, levelStart: number): void {
  let size = leafs
  for (;;) {
    tree.fill(0, levelStart * HASH_SIZE, (levelStart + size) * HASH_SIZE)
    if (size === 1) return
    levelStart = merkleGetParent(levelStart)
    size /= 2
  }
}

/** Whether `parent` stands over `left` and `right`. */
export function merkleValidateNode(left: Uint8Array, right: Uint8Array, parent: Uint8Array): boolean {
  return equalAt(mergeHash(left, right), 0, parent, 0, HASH_SIZE)
}

/**
 * Inserts a node and the siblings ("uncles") that prove it, if they do.
 *
 * Nodes that are known already are trusted: meeting one ends the walk, with success if it is equal.
 * After a failure the tree is as it was.
 *
 * @param tree   the root, at least, is known
 * @param index  where `node` belongs
 * @param uncles hashes of 32 bytes, from the sibling of `node` upwards
 * @returns true if the chain reached a known node with the right value
 */
export function merkleValidateAndInsertProofs(
  tree: Uint8Array,
  index: number,
  node: Uint8Array,
  uncles: Uint8Array,
): boolean {
  if (equalAt(tree, index * HASH_SIZE, node, 0, HASH_SIZE)) return true
  if (!merkleIsZero(tree, index)) return false
  const count = Math.floor(uncles.length / HASH_SIZE)
  // what is computed on the way goes into the tree only when the end is known to be right
  const chain: Uint8Array[] = [node]
  let cursor = index
  for (let i = 0; i < count && cursor > 0; i++) {
    const sibling = merkleGetSibling(cursor)
    const uncle = merkleNode(uncles, i)
    if (!merkleIsZero(tree, sibling) && !equalAt(tree, sibling * HASH_SIZE, uncle, 0, HASH_SIZE)) return false
    const own = chain[i]!
    const hash = sibling > cursor ? mergeHash(own, uncle) : mergeHash(uncle, own)
    const parent = merkleGetParent(cursor)
    if (equalAt(tree, parent * HASH_SIZE, hash, 0, HASH_SIZE)) {
      insertChain(tree, index, chain, uncles)
      return true
    }
    if (!merkleIsZero(tree, parent)) return false
    chain.push(hash)
    cursor = parent
  }
  return false
}

function insertChain(tree: Uint8Array, index: number, chain: readonly Uint8Array[], uncles: Uint8Array): void {
  let cursor = index
  for (let i = 0; i < chain.length; i++) {
    tree.set(chain[i]!, cursor * HASH_SIZE)
    tree.set(merkleNode(uncles, i), merkleGetSibling(cursor) * HASH_SIZE)
    cursor = merkleGetParent(cursor)
  }
}

/**
 * Copies from `source` the nodes that an unbroken chain from `root` proves.
 *
 * @param target   as long as `source`; what it has is kept
 * @param verified one bit per block; set where its leaf was proven
 */
export function merkleValidateCopy(source: Uint8Array, target: Uint8Array, root: Uint8Array, verified: Bitfield): void {
  if (source.length === 0 || !equalAt(source, 0, root, 0, HASH_SIZE)) return
  const nodes = source.length / HASH_SIZE
  const firstLeaf = nodes - (nodes + 1) / 2
  target.set(root)
  for (let i = 0; i < firstLeaf; i++) {
    if (merkleIsZero(target, i)) continue
    const left = 2 * i + 1
    if (!equalAt(mergePairAt(source, left), 0, target, i * HASH_SIZE, HASH_SIZE)) continue
    target.set(source.subarray(left * HASH_SIZE, (left + 2) * HASH_SIZE), left * HASH_SIZE)
    const block = left - firstLeaf
    if (block >= 0 && block < verified.size()) {
      verified.setBit(block)
      // the right one may be the first leaf of padding, which has no bit
      if (block + 1 < verified.size()) verified.setBit(block + 1)
    }
  }
}

/** Whether the parents of the lowest layer match it. */
export function merkleValidateSingleLayer(tree: Uint8Array): boolean {
  const nodes = tree.length / HASH_SIZE
  if (nodes === 1) return true
  for (let i = (nodes + 1) / 2 - 1; i < nodes; i += 2) {
    if (!equalAt(mergePairAt(tree, i), 0, tree, merkleGetParent(i) * HASH_SIZE, HASH_SIZE)) return false
  }
  return true
}

/** A run of leaves that can be checked against one known node. */
export interface KnownSubtree {
  readonly leafsStart: number
  readonly leafsSize: number
  readonly rootIndex: number
}

/**
 * The largest subtree around a leaf whose leaves are all known and whose root is the first known node above.
 *
 * The caller checks the hash at `rootIndex`.
 *
 * @param block      the leaf, counted in its layer
 * @param validLeafs leaves that stand for data; those beyond are zeros and count as known
 */
export function merkleFindKnownSubtree(tree: Uint8Array, block: number, validLeafs: number): KnownSubtree {
  const firstLeaf = Math.floor(tree.length / HASH_SIZE / 2)
  let leafsStart = block
  let leafsSize = 1
  let rootIndex = merkleGetSibling(firstLeaf + block)
  for (let i = block; ; i >>>= 1) {
    const right = i % 2 === 1
    const first = leafsStart + (right ? -leafsSize : leafsSize)
    const count = Math.min(leafsSize, validLeafs - first)
    for (let j = 0; j < count; j++) {
      if (merkleIsZero(tree, firstLeaf + first + j)) return { leafsStart, leafsSize, rootIndex }
    }
    if (right) leafsStart -= leafsSize
    leafsSize *= 2
    rootIndex = merkleGetParent(rootIndex)
    if (!merkleIsZero(tree, rootIndex)) return { leafsStart, leafsSize, rootIndex }
  }
}
