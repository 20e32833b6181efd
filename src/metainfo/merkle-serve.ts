/** Answers to requests for hashes out of a file's merkle tree (BEP 52). */

import { HASH_SIZE, merkleGetSibling, merkleLayerStart, merkleNumLayers, merkleNumLeafs } from './merkle.ts'
import type { GivenBlocks, MerkleTree } from './merkle-tree.ts'

/** A run of hashes of one layer, and how far up it is to be proven. */
export interface HashRun {
  /** Layers above the blocks. */
  readonly base: number
  /** First hash, counted in its layer. */
  readonly index: number
  readonly count: number
  /** Layers above `base` to prove; those that follow from the run itself are counted, but not sent. */
  readonly proofLayers: number
}

/** Most hashes that are read to compute the nodes of one answer. */
const MAX_READ = 1 << 14

/**
 * A run of hashes with their proofs, as a peer asks for them.
 *
 * Layers that would take much hashing are not served: BEP 52 asks for those of blocks and pieces only.
 *
 * @param given block hashes of a piece besides those that the tree has, known to be right
 * @returns the run and then the siblings, upwards; `null` if one of them is not known, or there is no such run
 */
export function getHashes(tree: MerkleTree, run: HashRun, given: GivenBlocks | null = null): Uint8Array | null {
  const { base, index, count, proofLayers } = run
  if (!canServe(tree, run)) return null
  const layer = tree.levels - base
  const ownLayers = merkleNumLayers(merkleNumLeafs(count))
  const out = new Uint8Array((count + Math.max(0, proofLayers - ownLayers + 1)) * HASH_SIZE)
  const first = merkleLayerStart(layer) + index
  let at = 0
  for (let i = 0; i < count; i++, at += HASH_SIZE) {
    const node = tree.node(first + i, given)
    if (node === null) return null
    out.set(node, at)
  }
  for (let i = ownLayers; i <= proofLayers; i++, at += HASH_SIZE) {
    const uncle = tree.node(uncleAt(layer, index, i), given)
    if (uncle === null) return null
    out.set(uncle, at)
  }
  return out
}

/** Most nodes that `getHashes` has to compute for a run. */
export function nodesToCompute(tree: MerkleTree, { base, index, count, proofLayers }: HashRun): number {
  if (index + count > 2 ** Math.max(0, tree.levels - base)) return 0
  let nodes = count * tree.nodesBelow(base)
  for (let i = merkleNumLayers(merkleNumLeafs(count)); i <= proofLayers; i++) nodes += tree.nodesBelow(base + i)
  return nodes
}

/** The one piece whose block hashes would let `getHashes` answer; `null` if one piece would not do. */
export function pieceToHash(tree: MerkleTree, run: HashRun): number | null {
  const { base, index, count, proofLayers } = run
  if (base >= tree.pieceLevels || !canServe(tree, run)) return null
  const perPiece = 2 ** (tree.pieceLevels - base)
  const last = Math.min(Math.floor((index + count - 1) / perPiece), tree.numPieces - 1)
  let missing: number | null = null
  for (let piece = Math.floor(index / perPiece); piece <= last; piece++) {
    if (tree.blockHashes(piece) !== null) continue
    if (missing !== null) return null
    missing = piece
  }
  if (missing === null || tree.pieceRoot(missing) === null) return null
  // siblings below the piece layer are in the first piece
  const firstUncle = Math.max(merkleNumLayers(merkleNumLeafs(count)), tree.pieceLevels - base)
  for (let i = firstUncle; i <= proofLayers; i++) {
    if (!tree.hasNode(uncleAt(tree.levels - base, index, i))) return null
  }
  return missing
}

/** Whether there is such a run, with such a proof, and it is not too much work. */
function canServe(tree: MerkleTree, { base, index, count, proofLayers }: HashRun): boolean {
  if (base + proofLayers >= tree.levels || index + count > 2 ** (tree.levels - base)) return false
  const stored = base < tree.pieceLevels ? 0 : tree.pieceLevels
  return count * 2 ** (base - stored) <= MAX_READ
}

/** Sibling of the node that stands `layers` above the first one of a run. */
function uncleAt(layer: number, index: number, layers: number): number {
  return merkleGetSibling(merkleLayerStart(layer - layers) + Math.floor(index / 2 ** layers))
}
