/** A merkle tree in the form of resume data: hashes, and a mask that says which nodes they are. */

import { Bitfield } from '../core/bitfield.ts'
import { HASH_SIZE, merkleFirstLeaf, merkleLayerStart } from './merkle.ts'
import type { MerkleTree } from './merkle-tree.ts'
import type { UpperTree } from './merkle-upper.ts'

export interface SavedTree {
  /** 32 bytes for each node in the mask, in order. */
  readonly hashes: Uint8Array
  readonly mask: Bitfield
}

/** Nodes of a tree whose mask is as long as the tree: it takes a byte for each in resume data. */
const MAX_MASK = 1 << 24

/**
 * The nodes that are needed to get a tree back.
 *
 * The mask has a bit for each node, as libtorrent 2.0 reads that many however long it is. Of trees of 2^24 nodes and
 * more (files over 64 GiB) it ends with the last node that is there, and block hashes of single pieces are left out:
 * they are not worth a mask of that size.
 *
 * @param blockLayer all block hashes, if they are known
 * @param pieces     those whose block hashes are known
 */
export function saveTree(
  tree: MerkleTree,
  upper: UpperTree,
  blockLayer: Uint8Array | null,
  pieces: readonly number[],
): SavedTree {
  if (blockLayer !== null) {
    return { hashes: blockLayer, mask: maskOf(tree, merkleFirstLeaf(2 ** tree.levels), tree.numBlocks) }
  }
  const withBlocks = pieces.length > 0 && tree.size < MAX_MASK
  const { layer } = upper
  if (layer !== null && !withBlocks) {
    // the root goes without saying
    if (tree.numPieces === 1) return { hashes: new Uint8Array(0), mask: new Bitfield() }
    return { hashes: layer, mask: maskOf(tree, merkleLayerStart(tree.levels - tree.pieceLevels), tree.numPieces) }
  }
  const nodes: number[] = []
  upper.forEachToSave(index => nodes.push(index))
  if (withBlocks) for (const piece of pieces) markBelow(tree, piece, nodes)
  if (nodes.length === 0) return { hashes: new Uint8Array(0), mask: new Bitfield() }
  nodes.sort((a, b) => a - b)
  const mask = maskOf(tree, nodes.at(-1)!, 1)
  const hashes = new Uint8Array(nodes.length * HASH_SIZE)
  for (let i = 0; i < nodes.length; i++) {
    mask.setBit(nodes[i]!)
    hashes.set(tree.node(nodes[i]!)!, i * HASH_SIZE)
  }
  return { hashes, mask }
}

/** A mask that has a run of nodes. */
function maskOf(tree: MerkleTree, first: number, count: number): Bitfield {
  const mask = new Bitfield(tree.size < MAX_MASK ? tree.size : first + count)
  for (let i = first; i < first + count; i++) mask.setBit(i)
  return mask
}

/** Adds the nodes below a piece's to a list. Padding of the block layer is left out: zeros would mean "not known". */
function markBelow(tree: MerkleTree, piece: number, nodes: number[]): void {
  for (let depth = 1; depth <= tree.pieceLevels; depth++) {
    const start = merkleLayerStart(tree.levels - tree.pieceLevels + depth) + piece * 2 ** depth
    const end = depth < tree.pieceLevels ? 2 ** depth : tree.blocksInPiece(piece)
    for (let i = 0; i < end; i++) nodes.push(start + i)
  }
}
