/** The merkle tree of one file of a v2 torrent, holding what is known of it (BEP 52). */

import { Bitfield } from '../core/bitfield.ts'
import { bytesEqual, equalAt } from '../core/bytes.ts'
import {
  HASH_SIZE,
  mergeHash,
  merkleClearTree,
  merkleFillPartialTree,
  merkleFillTree,
  merkleFindKnownSubtree,
  merkleFirstLeaf,
  merkleGetFirstChild,
  merkleGetParent,
  merkleGetSibling,
  merkleIsZero,
  merkleNode,
  merkleNumLayers,
  merkleNumLeafs,
  merkleNumNodes,
  merklePadAt,
  merkleRoot,
  merkleToFlatIndex,
  merkleValidateAndInsertProofs,
  merkleValidateCopy,
  merkleValidateNode,
  merkleValidateSingleLayer,
} from './merkle.ts'

/** How much of the tree is in memory. */
const Mode = Object.freeze({
  /** The root only. */
  empty: 0,
  /** All nodes, unknown ones as zeros. */
  full: 1,
  /** The piece layer without its padding: all of it known and right. */
  pieceLayer: 2,
  /** The block layer without its padding: all of it known and right. */
  blockLayer: 3,
} as const)
type Mode = (typeof Mode)[keyof typeof Mode]

/** What new hashes said about pieces whose blocks were hashed before. */
export interface AddHashesResult {
  /** Pieces that are right. */
  readonly passed: number[]
  /** Pieces that are wrong, and which of their blocks; no blocks if that is not known yet. */
  readonly failed: { readonly piece: number; readonly blocks: number[] }[]
}

/** Outcome of {@link MerkleTree.setBlock}. */
export const SetBlockResult = Object.freeze({
  /** The blocks of the range are right. */
  ok: 0,
  /** Nothing to compare them with yet. */
  unknown: 1,
  /** One of the blocks in the range is wrong. */
  hashFailed: 2,
  /** This very block is wrong. */
  blockHashFailed: 3,
} as const)
export type SetBlockResult = (typeof SetBlockResult)[keyof typeof SetBlockResult]

export interface SetBlockOutcome {
  readonly result: SetBlockResult
  /** The blocks that the result is about. */
  readonly firstBlock: number
  readonly numBlocks: number
}

const NO_HASHES = new Uint8Array(0)

/**
 * What is known of one file's tree.
 *
 * All nodes above the block layer are either right or not known: they come in with proofs only. Hashes of blocks may
 * be wrong, since they are computed from data on disk before there is anything to compare them with;
 * those known to be right are marked. Complete layers are stored alone, as the rest follows from them.
 *
 * Nodes are numbered breadth first, the root being 0; hashes are 32 bytes each, one after the other.
 */
export class MerkleTree {
  readonly #root: Uint8Array
  readonly #numBlocks: number
  /**
   * Layers between a piece's node and its blocks; 0 if a piece is a block. In a file that is not longer than a piece
   * the piece's node is the root.
   */
  readonly #pieceLevels: number
  #mode: Mode = Mode.empty
  #tree: Uint8Array = NO_HASHES
  /** One bit a block, in `full` mode only. */
  #verified = new Bitfield()

  /**
   * @param numBlocks      16 KiB blocks of the file, at least 1
   * @param blocksPerPiece a power of two
   * @param root           32 bytes
   */
  constructor(numBlocks: number, blocksPerPiece: number, root: Uint8Array) {
    if (numBlocks < 1) throw new RangeError('MerkleTree: expected at least one block')
    if (root.length !== HASH_SIZE) throw new RangeError('MerkleTree: expected a root of 32 bytes')
    this.#root = root
    this.#numBlocks = numBlocks
    const levels = merkleNumLayers(blocksPerPiece)
    if (2 ** levels !== blocksPerPiece) throw new RangeError('MerkleTree: blocks per piece: no power of two')
    this.#pieceLevels = Math.min(levels, merkleNumLayers(merkleNumLeafs(numBlocks)))
  }

  /** A view, 32 bytes. */
  root(): Uint8Array {
    return this.#root
  }

  /** Number of nodes, padding included. */
  size(): number {
    return merkleNumNodes(this.#numLeafs())
  }

  /** One past the last node. */
  endIndex(): number {
    return this.size()
  }

  /**
   * Takes a whole tree, as far as it is proven by the root. Nothing changes if its size or root is wrong.
   */
  loadTree(hashes: Uint8Array): void {
    if (hashes.length !== this.size() * HASH_SIZE || !equalAt(hashes, 0, this.#root, 0, HASH_SIZE)) return
    if (hashes.length > HASH_SIZE) {
      this.#allocateFull()
      merkleValidateCopy(hashes, this.#tree, this.#root, this.#verified)
    }
    this.#optimize()
    this.#optimizePieceLayer()
  }

  /**
   * Takes the nodes marked in `mask`, as far as they can be proven; the tree becomes empty if one is wrong.
   *
   * @param hashes those nodes, in order
   */
  loadSparseTree(hashes: Uint8Array, mask: Bitfield): void {
    const maskSize = Math.min(mask.size(), this.size())
    const count = hashes.length / HASH_SIZE
    const firstBlock = this.#blockLayerStart()
    if (isSet(mask, firstBlock, firstBlock + this.#numBlocks, maskSize)) {
      this.#loadLayer(Mode.blockLayer, hashes, countSet(mask, firstBlock), this.#numBlocks)
      return
    }
    const firstPiece = this.#pieceLayerStart()
    const endPiece = firstPiece + this.#numPieces()
    if (
      this.#pieceLevels > 0 &&
      isSet(mask, firstPiece, endPiece, maskSize) &&
      countSet(mask, maskSize) === countSet(mask, endPiece)
    ) {
      this.#loadLayer(Mode.pieceLayer, hashes, countSet(mask, firstPiece), this.#numPieces())
      return
    }
    if (count === 0 || countSet(mask, maskSize) === 0) {
      this.#clear()
      return
    }
    this.#allocateFull()
    let next = 0
    for (let i = 0; i < maskSize && next < count; i++) {
      if (mask.getBit(i)) this.#tree.set(merkleNode(hashes, next++), i * HASH_SIZE)
    }
    merkleFillPartialTree(this.#tree)
    if (!this.#isRoot(this.#tree)) {
      this.#clear()
      return
    }
    // what is left is connected to the root, the hashes of blocks too
    for (let i = 0; i < this.#numBlocks; i++) {
      if (!merkleIsZero(this.#tree, firstBlock + i)) this.#verified.setBit(i)
    }
    this.#optimize()
  }

  /**
   * Takes the hashes of all pieces, as .torrent files have them.
   *
   * @returns false, and nothing changes, if they do not add up to the root
   */
  loadPieceLayer(layer: Uint8Array): boolean {
    if (this.#mode === Mode.blockLayer) return true
    if (layer.length !== this.#numPieces() * HASH_SIZE) return false
    if (!this.#isRoot(this.#rootOfLayer(layer, this.#pieceLevels))) return false
    if (this.#numBlocks === 1) this.#clear()
    else this.#setLayer(this.#pieceLevels === 0 ? Mode.blockLayer : Mode.pieceLayer, layer.slice())
    return true
  }

  /** Hashes of all pieces; empty if they are not known. In `full` mode unknown ones are zeros. */
  getPieceLayer(): Uint8Array {
    if (this.#mode === Mode.empty) return NO_HASHES
    if (this.#mode === Mode.pieceLayer) return this.#tree.slice()
    const pieces = this.#numPieces()
    if (this.#mode === Mode.full) {
      const start = this.#pieceLayerStart()
      return this.#tree.slice(start * HASH_SIZE, (start + pieces) * HASH_SIZE)
    }
    const out = new Uint8Array(pieces * HASH_SIZE)
    const run = HASH_SIZE << this.#pieceLevels
    for (let i = 0; i < pieces; i++) {
      const blocks = this.#tree.subarray(i * run, Math.min((i + 1) * run, this.#tree.length))
      out.set(subtreeRoot(blocks, 1 << this.#pieceLevels, 0), i * HASH_SIZE)
    }
    return out
  }

  /** Whether a node is known. */
  hasNode(index: number): boolean {
    switch (this.#mode) {
      case Mode.empty:
        return index === 0
      case Mode.full:
        return !merkleIsZero(this.#tree, index)
      case Mode.pieceLayer:
        return index < merkleGetFirstChild(this.#pieceLayerStart())
      case Mode.blockLayer:
        return index < this.#blockLayerStart() + this.#numBlocks
    }
  }

  /** Whether a node is `hash`; unknown ones are all zeros. */
  compareNode(index: number, hash: Uint8Array): boolean {
    return bytesEqual(this.node(index), hash)
  }

  /** A node, all zeros if it is not known. May be a view: not to be written to. */
  node(index: number): Uint8Array {
    if (this.#mode === Mode.empty) return index === 0 ? this.#root : merklePadAt(0)
    if (this.#mode === Mode.full) return merkleNode(this.#tree, index)
    const pieces = this.#mode === Mode.pieceLayer
    const start = pieces ? this.#pieceLayerStart() : this.#blockLayerStart()
    if (pieces && index >= merkleGetFirstChild(start)) return merklePadAt(0)
    let at = index
    let leafs = 1
    while (at < start) {
      at = merkleGetFirstChild(at)
      leafs *= 2
    }
    at -= start
    const height = pieces ? this.#pieceLevels : 0
    const count = this.#tree.length / HASH_SIZE
    if (at >= count) return merklePadAt(height + merkleNumLayers(leafs))
    const layer = this.#tree.subarray(at * HASH_SIZE, Math.min(at + leafs, count) * HASH_SIZE)
    return leafs === 1 ? layer : subtreeRoot(layer, leafs, height)
  }

  /** All nodes. */
  buildVector(): Uint8Array {
    if (this.#mode === Mode.full) return this.#tree.slice()
    const out = new Uint8Array(this.size() * HASH_SIZE)
    if (this.#mode === Mode.pieceLayer) {
      const leafs = merkleNumLeafs(this.#numPieces())
      const start = merkleFirstLeaf(leafs)
      out.set(this.#tree, start * HASH_SIZE)
      const pad = merklePadAt(this.#pieceLevels)
      for (let i = this.#numPieces(); i < leafs; i++) out.set(pad, (start + i) * HASH_SIZE)
      merkleFillTree(out, leafs)
    } else if (this.#mode === Mode.blockLayer) {
      out.set(this.#tree, this.#blockLayerStart() * HASH_SIZE)
      merkleFillTree(out, this.#numLeafs())
    }
    out.set(this.#root)
    return out
  }

  /** The nodes that are needed to get the tree back from `loadSparseTree`, and which ones they are. */
  buildSparseVector(): { readonly hashes: Uint8Array; readonly mask: Bitfield } {
    const mask = new Bitfield(this.size())
    if (this.#mode === Mode.empty) return { hashes: NO_HASHES, mask }
    if (this.#mode !== Mode.full) {
      const start = this.#mode === Mode.pieceLayer ? this.#pieceLayerStart() : this.#blockLayerStart()
      for (let i = 0; i < this.#tree.length / HASH_SIZE; i++) mask.setBit(start + i)
      return { hashes: this.#tree.slice(), mask }
    }
    for (let i = 0; i < mask.size(); i++) if (!merkleIsZero(this.#tree, i)) mask.setBit(i)
    const hashes = new Uint8Array(mask.count() * HASH_SIZE)
    let at = 0
    for (let i = 0; i < mask.size(); i++) {
      if (!mask.getBit(i)) continue
      hashes.set(merkleNode(this.#tree, i), at)
      at += HASH_SIZE
    }
    return { hashes, mask }
  }

  /** One bit a block: whether its hash is known to be right. */
  verifiedLeafs(): Bitfield {
    if (this.#mode === Mode.full) return this.#verified.clone()
    return new Bitfield(this.#numBlocks, this.isComplete())
  }

  /** True if all block hashes are known and right. */
  isComplete(): boolean {
    switch (this.#mode) {
      case Mode.empty:
        return this.#numBlocks === 1
      case Mode.pieceLayer:
        return this.#pieceLevels === 0
      case Mode.blockLayer:
        return true
      case Mode.full:
        return this.#verified.allSet()
    }
  }

  /** True if the hashes of all these blocks are known and right. */
  blocksVerified(first: number, count: number): boolean {
    if (this.#mode !== Mode.full) return this.isComplete()
    for (let i = first; i < first + count; i++) if (!this.#verified.getBit(i)) return false
    return true
  }

  /**
   * Takes a run of hashes of one layer with the siblings that prove it.
   *
   * Blocks that were hashed before are checked against what is now known.
   *
   * @param start           node of the first one
   * @param filePieceOffset first piece of the file, for the result
   * @param hashes          a run that ends at a power of two, or at the end of the file
   * @param uncles          siblings from the run's root upwards
   * @returns `null`, with nothing changed, if they are not proven
   */
  addHashes(start: number, filePieceOffset: number, hashes: Uint8Array, uncles: Uint8Array): AddHashesResult | null {
    const result: AddHashesResult = { passed: [], failed: [] }
    if (this.#mode === Mode.blockLayer) return result
    const count = hashes.length / HASH_SIZE
    const leafs = merkleNumLeafs(count)
    const subtree = this.#subtree(hashes, leafs, uncles.length / HASH_SIZE)
    const layers = merkleNumLayers(leafs)
    const subtreeRootIndex = ((start + 1) >>> layers) - 1
    if (count < 1 || ((start + 1) & (leafs - 1)) !== 0 || start + leafs > this.size()) return null
    this.#allocateFull()
    if (!merkleValidateAndInsertProofs(this.#tree, subtreeRootIndex, merkleNode(subtree, 0), uncles)) {
      this.#optimizePieceLayer()
      return null
    }
    this.#insertSubtree(start, subtree, leafs, filePieceOffset, result)
    const firstPiece = this.#pieceLayerStart()
    if (this.#pieceLevels !== 0 && start >= firstPiece && start < firstPiece + this.#numPieces()) {
      this.#checkPieces(start, count, filePieceOffset, hashes, result)
    }
    this.#optimize()
    return result
  }

  /**
   * Stores the hash of a block whose data we have, and compares it with what is known.
   *
   * @param hash 32 bytes
   */
  setBlock(block: number, hash: Uint8Array): SetBlockOutcome {
    const firstLeaf = this.#blockLayerStart()
    const index = firstLeaf + block
    if (this.blocksVerified(block, 1)) {
      const result = this.compareNode(index, hash) ? SetBlockResult.ok : SetBlockResult.blockHashFailed
      return { result, firstBlock: block, numBlocks: 1 }
    }
    this.#allocateFull()
    const tree = this.#tree
    tree.set(hash, index * HASH_SIZE)
    // hashing the nodes above makes sense only when there is one to compare with
    const { leafsStart, leafsSize, rootIndex } = merkleFindKnownSubtree(tree, block, this.#numBlocks)
    const range = { firstBlock: leafsStart, numBlocks: leafsSize }
    if (merkleIsZero(tree, rootIndex)) return { result: SetBlockResult.unknown, ...range }
    const root = tree.slice(rootIndex * HASH_SIZE, (rootIndex + 1) * HASH_SIZE)
    merkleFillTree(tree, leafsSize, firstLeaf + leafsStart)
    if (!equalAt(tree, rootIndex * HASH_SIZE, root, 0, HASH_SIZE)) {
      merkleClearTree(tree, leafsSize, firstLeaf + leafsStart)
      tree.set(root, rootIndex * HASH_SIZE)
      return { result: SetBlockResult.hashFailed, ...range }
    }
    this.#setVerified(leafsStart, leafsStart + leafsSize)
    // only then can it have been the last one missing
    if (block === this.#numBlocks - 1 || !merkleIsZero(tree, index + 1)) this.#optimize()
    return { result: SetBlockResult.ok, ...range }
  }

  /**
   * A run of hashes with their proofs, as a peer asks for them.
   *
   * @param base        layer, counted from the blocks
   * @param index       first one in its layer
   * @param proofLayers layers above `base` to prove
   * @returns the run and then the siblings; empty if one of them is not known
   */
  getHashes(base: number, index: number, count: number, proofLayers: number): Uint8Array {
    const layer = merkleNumLayers(this.#numLeafs()) - base
    const first = merkleToFlatIndex(layer, index)
    const known: Uint8Array[] = []
    for (let i = 0; i < count; i++) {
      // padding of the block layer is zeros, which does not mean "not known" there
      const isPad = base === 0 && index + i >= this.#numBlocks
      if (!isPad && !this.hasNode(first + i)) return NO_HASHES
      known.push(isPad ? merklePadAt(0) : this.node(first + i))
    }
    // layers that follow from the run itself
    const computable = merkleNumLayers(merkleNumLeafs(count)) - 1
    let node = first
    for (let i = 0; i < proofLayers; i++) {
      node = merkleGetParent(node)
      if (i < computable) continue
      const sibling = merkleGetSibling(node)
      if (!this.hasNode(node) || !this.hasNode(sibling)) return NO_HASHES
      known.push(this.node(sibling))
    }
    const out = new Uint8Array(known.length * HASH_SIZE)
    for (let i = 0; i < known.length; i++) out.set(known[i]!, i * HASH_SIZE)
    return out
  }

  /** @throws Error if what the class promises about its fields does not hold. For tests. @internal */
  checkInvariant(): void {
    const assert = (ok: boolean, what: string) => {
      if (!ok) throw new Error(`MerkleTree: ${what}`)
    }
    assert((this.#mode === Mode.full) === !this.#verified.empty(), 'verified bits go with the full tree')
    if (this.#mode === Mode.empty) assert(this.#tree.length === 0, 'an empty tree has no nodes')
    if (this.#mode === Mode.pieceLayer) {
      assert(this.#isRoot(this.#rootOfLayer(this.#tree, this.#pieceLevels)), 'piece layer')
    }
    if (this.#mode === Mode.blockLayer) assert(this.#isRoot(this.#rootOfLayer(this.#tree, 0)), 'block layer')
    if (this.#mode !== Mode.full) return
    assert(this.#isRoot(this.#tree), 'root of the full tree')
    const firstLeaf = this.#blockLayerStart()
    for (let i = 1; i < firstLeaf; i += 2) {
      const zero = merkleIsZero(this.#tree, i)
      assert(zero === merkleIsZero(this.#tree, i + 1), `siblings at ${i}`)
      assert(zero || this.#pairIsRight(i), `node ${i}`)
    }
    for (let block = 0; block < this.#numBlocks; block += 2) {
      if (!this.#verified.getBit(block)) continue
      assert(block + 1 >= this.#numBlocks || this.#verified.getBit(block + 1), `verified pair at ${block}`)
      assert(this.#pairIsRight(firstLeaf + block), `verified block ${block}`)
    }
    for (let i = firstLeaf + this.#numBlocks; i < this.size(); i++) assert(merkleIsZero(this.#tree, i), `padding ${i}`)
  }

  #pairIsRight(left: number): boolean {
    const t = this.#tree
    return merkleValidateNode(merkleNode(t, left), merkleNode(t, left + 1), merkleNode(t, merkleGetParent(left)))
  }

  #numLeafs(): number {
    return merkleNumLeafs(this.#numBlocks)
  }

  #numPieces(): number {
    return Math.ceil(this.#numBlocks / 2 ** this.#pieceLevels)
  }

  #blockLayerStart(): number {
    return merkleFirstLeaf(this.#numLeafs())
  }

  #pieceLayerStart(): number {
    return merkleFirstLeaf(merkleNumLeafs(this.#numPieces()))
  }

  /** Whether `hashes` starts with the root. */
  #isRoot(hashes: Uint8Array): boolean {
    return equalAt(hashes, 0, this.#root, 0, HASH_SIZE)
  }

  /** @param height layers between these nodes and the blocks */
  #rootOfLayer(hashes: Uint8Array, height: number): Uint8Array {
    return merkleRoot(hashes, merklePadAt(height))
  }

  #clear(): void {
    this.#setLayer(Mode.empty, NO_HASHES)
  }

  /** Goes to a mode without verified bits. */
  #setLayer(mode: Mode, hashes: Uint8Array): void {
    this.#mode = mode
    this.#tree = hashes
    this.#verified = new Bitfield()
  }

  /** Takes a layer out of `hashes`, from hash `first` on; the tree becomes empty if it is wrong. */
  #loadLayer(mode: Mode, hashes: Uint8Array, first: number, count: number): void {
    const layer = hashes.slice(first * HASH_SIZE, (first + count) * HASH_SIZE)
    const height = mode === Mode.pieceLayer ? this.#pieceLevels : 0
    if (layer.length === count * HASH_SIZE && this.#isRoot(this.#rootOfLayer(layer, height))) {
      if (this.#numBlocks === 1) this.#clear()
      else this.#setLayer(mode, layer)
    } else this.#clear()
  }

  #allocateFull(): void {
    if (this.#mode === Mode.full) return
    this.#tree = this.buildVector()
    this.#mode = Mode.full
    this.#verified = new Bitfield(this.#numBlocks)
  }

  /** Stores the block layer only, if all of it is known and right. */
  #optimize(): void {
    if (this.#mode !== Mode.full) return
    if (this.#numBlocks === 1) this.#clear()
    else if (this.#verified.allSet()) {
      const start = this.#blockLayerStart()
      this.#setLayer(Mode.blockLayer, this.#tree.slice(start * HASH_SIZE, (start + this.#numBlocks) * HASH_SIZE))
    }
  }

  /** Stores the piece layer only, if all of it is known and nothing below. */
  #optimizePieceLayer(): void {
    if (this.#mode !== Mode.full || this.#pieceLevels === 0) return
    const leafs = merkleNumLeafs(this.#numPieces())
    if (!merkleValidateSingleLayer(this.#tree.subarray(0, merkleNumNodes(leafs) * HASH_SIZE))) return
    const blocks = this.#blockLayerStart() * HASH_SIZE
    for (let i = blocks; i < this.#tree.length; i++) if (this.#tree[i] !== 0) return
    const start = this.#pieceLayerStart()
    this.#setLayer(Mode.pieceLayer, this.#tree.slice(start * HASH_SIZE, (start + this.#numPieces()) * HASH_SIZE))
  }

  #setVerified(first: number, end: number): void {
    const stop = Math.min(end, this.#numBlocks)
    for (let i = first; i < stop; i++) this.#verified.setBit(i)
  }

  /** The tree over a run of hashes, a run at the end of the file being padded. */
  #subtree(hashes: Uint8Array, leafs: number, uncles: number): Uint8Array {
    const tree = new Uint8Array(merkleNumNodes(leafs) * HASH_SIZE)
    const firstLeaf = merkleFirstLeaf(leafs)
    tree.set(hashes, firstLeaf * HASH_SIZE)
    // if the uncles lead up to the root their number tells how far down the run is
    const height = merkleNumLayers(this.#numLeafs()) - merkleNumLayers(leafs) - uncles
    const pad = merklePadAt(Math.max(0, height))
    for (let i = hashes.length / HASH_SIZE; i < leafs; i++) tree.set(pad, (firstLeaf + i) * HASH_SIZE)
    merkleFillTree(tree, leafs)
    return tree
  }

  /** Copies a proven subtree in, layer by layer upwards, comparing block hashes that were there before. */
  #insertSubtree(
    start: number,
    subtree: Uint8Array,
    leafs: number,
    filePieceOffset: number,
    result: AddHashesResult,
  ): void {
    const tree = this.#tree
    const firstLeaf = this.#blockLayerStart()
    let from = merkleFirstLeaf(leafs)
    let to = start
    for (let size = leafs; ; size /= 2) {
      for (let i = 0; i < size; i++) {
        const target = to + i
        const block = target - firstLeaf
        if (block >= 0 && !merkleIsZero(tree, target)) {
          const piece = (block >> this.#pieceLevels) + filePieceOffset
          if (equalAt(tree, target * HASH_SIZE, subtree, (from + i) * HASH_SIZE, HASH_SIZE)) {
            if (result.passed.at(-1) !== piece) result.passed.push(piece)
          } else {
            const blockInPiece = block & ((1 << this.#pieceLevels) - 1)
            const last = result.failed.at(-1)
            if (last?.piece === piece) last.blocks.push(blockInPiece)
            else result.failed.push({ piece, blocks: [blockInPiece] })
          }
        }
        if (block >= 0 && block < this.#numBlocks) this.#verified.setBit(block)
        tree.set(merkleNode(subtree, from + i), target * HASH_SIZE)
      }
      if (size === 1) return
      from = merkleGetParent(from)
      to = merkleGetParent(to)
    }
  }

  /** Checks the blocks of pieces whose hash has just become known, where all of them were hashed before. */
  #checkPieces(
    start: number,
    count: number,
    filePieceOffset: number,
    hashes: Uint8Array,
    result: AddHashesResult,
  ): void {
    const tree = this.#tree
    const firstLeaf = this.#blockLayerStart()
    const firstPiece = this.#pieceLayerStart()
    const blocksInPiece = 1 << this.#pieceLevels
    for (let i = 0; i < count && start + i - firstPiece < this.#numPieces(); i++) {
      const node = start + i
      const firstBlock = merkleGetFirstChild(node, this.#pieceLevels)
      const end = Math.min(firstBlock + blocksInPiece, firstLeaf + this.#numBlocks)
      if (anyZero(tree, firstBlock, end)) continue
      const piece = node - firstPiece + filePieceOffset
      merkleFillTree(tree, blocksInPiece, firstBlock)
      if (equalAt(tree, node * HASH_SIZE, hashes, i * HASH_SIZE, HASH_SIZE)) {
        result.passed.push(piece)
        this.#setVerified(firstBlock - firstLeaf, firstBlock - firstLeaf + blocksInPiece)
      } else {
        merkleClearTree(tree, blocksInPiece, firstBlock)
        tree.set(merkleNode(hashes, i), node * HASH_SIZE)
        result.failed.push({ piece, blocks: [] })
      }
    }
  }
}

function anyZero(tree: Uint8Array, first: number, end: number): boolean {
  for (let i = first; i < end; i++) if (merkleIsZero(tree, i)) return true
  return false
}

/** Whether all bits of a range are set. */
function isSet(mask: Bitfield, first: number, end: number, size: number): boolean {
  if (end > size) return false
  for (let i = first; i < end; i++) if (!mask.getBit(i)) return false
  return true
}

/** Bits set before `end`. */
function countSet(mask: Bitfield, end: number): number {
  let n = 0
  for (let i = 0; i < Math.min(end, mask.size()); i++) if (mask.getBit(i)) n++
  return n
}

/**
 * Root over nodes that are the first of `leafs` ones.
 *
 * @param height layers between them and the blocks, which tells what the rest is filled up with
 */
function subtreeRoot(nodes: Uint8Array, leafs: number, height: number): Uint8Array {
  let root = merkleRoot(nodes, merklePadAt(height))
  const own = merkleNumLeafs(nodes.length / HASH_SIZE)
  let level = height + merkleNumLayers(own)
  for (let n = own; n < leafs; n *= 2) root = mergeHash(root, merklePadAt(level++))
  return root
}
