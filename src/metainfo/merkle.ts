/**
 * Arithmetic of merkle trees over flat arrays of 32-byte SHA-256 hashes (BEP 52).
 *
 * A whole tree is one `Uint8Array` in breadth-first order: node 0 is the root, the children of node `i` are `2i + 1`
 * and `2i + 2`. The number of leaves is a power of two; leaves beyond the data are zeros. An all-zero
 * node means "not known".
 */

import { equalAt } from '../core/bytes.ts'
import { sha256, sha256Into } from '../core/hash.ts'

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

/** Layer of a node, 0 for the root. */
export function merkleGetLayer(index: number): number {
  return 31 - Math.clz32(index + 1)
}

/** The root (0) has none: `index` >= 1. */
export function merkleGetParent(index: number): number {
  return (index - 1) >>> 1
}

/** The other child of the same parent; `index` >= 1. */
export function merkleGetSibling(index: number): number {
  return index % 2 === 1 ? index + 1 : index - 1
}

const pair = new Uint8Array(2 * HASH_SIZE)

/** The node over two children. @param left, right 32 bytes each */
export function mergeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  pair.set(left)
  pair.set(right, HASH_SIZE)
  return sha256(pair)
}

/** As {@link mergeHash} of two hashes that follow one another in `hashes` from node `index` on, written to a node of `target`. */
function mergePairInto(hashes: Uint8Array, index: number, target: Buffer, node: number): void {
  sha256Into(hashes.subarray(index * HASH_SIZE, (index + 2) * HASH_SIZE), target, node * HASH_SIZE)
}

/** The same memory. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
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
  const scratch = Buffer.allocUnsafe(((count + 1) >>> 1) * HASH_SIZE)
  let from = leaves
  while (count > 1) {
    const pairs = count >>> 1
    for (let i = 0; i < pairs; i++) mergePairInto(from, 2 * i, scratch, i)
    if (count % 2 === 1) scratch.set(mergeHash(merkleNode(from, count - 1), pad), pairs * HASH_SIZE)
    pad = mergeHash(pad, pad)
    count = (count + 1) >>> 1
    from = scratch
  }
  return new Uint8Array(scratch.subarray(0, HASH_SIZE))
}

/**
 * Root over nodes that are the first of `leafs` ones.
 *
 * @param nodes  at least one, 32 bytes each
 * @param leafs  a power of two
 * @param height layers between the nodes and the blocks, which tells what the rest is filled up with
 */
export function merkleSubtreeRoot(nodes: Uint8Array, leafs: number, height: number): Uint8Array {
  let root = merkleRoot(nodes, merklePadAt(height))
  const own = merkleNumLeafs(nodes.length / HASH_SIZE)
  let level = height + merkleNumLayers(own)
  for (let n = own; n < leafs; n *= 2) root = mergeHash(root, merklePadAt(level++))
  return root
}

/**
 * Computes all nodes above a run of nodes of one layer.
 *
 * @param leafs      length of the run, a power of two
 * @param levelStart index of its first node; the first leaf of the tree unless given
 */
export function merkleFillTree(tree: Uint8Array, leafs: number, levelStart = merkleFirstLeaf(leafs)): void {
  const nodes = asBuffer(tree)
  let size = leafs
  while (size > 1) {
    let parent = merkleGetParent(levelStart)
    for (let i = levelStart; i < levelStart + size; i += 2, parent++) mergePairInto(nodes, i, nodes, parent)
    levelStart = merkleGetParent(levelStart)
    size /= 2
  }
}

/**
 * All nodes over a run of hashes, and the run itself.
 *
 * @param leafs  a power of two: what the run lacks is padding
 * @param height layers between the run and the blocks
 */
export function merkleTreeOver(hashes: Uint8Array, leafs: number, height: number): Uint8Array {
  const tree = new Uint8Array(merkleNumNodes(leafs) * HASH_SIZE)
  const firstLeaf = merkleFirstLeaf(leafs)
  tree.set(hashes, firstLeaf * HASH_SIZE)
  const pad = merklePadAt(height)
  for (let i = hashes.length / HASH_SIZE; i < leafs; i++) tree.set(pad, (firstLeaf + i) * HASH_SIZE)
  merkleFillTree(tree, leafs)
  return tree
}

/**
 * Computes the nodes of a tree that follow from others.
 *
 * @param root if given, it becomes node 0, and the nodes that no chain of hashes ties to it are cleared
 */
export function merkleFillPartialTree(tree: Uint8Array, root: Uint8Array | null): void {
  const nodes = tree.length / HASH_SIZE
  const bytes = asBuffer(tree)
  if (root !== null) tree.set(root)
  for (let i = (nodes - 1) / 2 - 1; i >= 0; i--) {
    const child = 2 * i + 1
    if (!merkleIsZero(tree, i) || merkleIsZero(tree, child) || merkleIsZero(tree, child + 1)) continue
    mergePairInto(tree, child, bytes, i)
  }
  if (root === null) return
  const above = Buffer.allocUnsafe(HASH_SIZE)
  for (let parent = 0, i = 1; i < nodes; parent++, i += 2) {
    const known = !merkleIsZero(tree, parent) && !merkleIsZero(tree, i) && !merkleIsZero(tree, i + 1)
    if (known) {
      mergePairInto(tree, i, above, 0)
      if (equalAt(above, 0, tree, parent * HASH_SIZE, HASH_SIZE)) continue
    }
    tree.fill(0, i * HASH_SIZE, (i + 2) * HASH_SIZE)
  }
}
