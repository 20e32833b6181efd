/** The merkle tree of one file of a v2 torrent, holding what is known of it (BEP 52). */

import { Bitfield } from '../core/bitfield.ts'
import { equalAt } from '../core/bytes.ts'
import {
  HASH_SIZE,
  mergeHash,
  merkleFirstLeaf,
  merkleGetLayer,
  merkleGetParent,
  merkleGetSibling,
  merkleLayerStart,
  merkleNode,
  merkleNumLayers,
  merkleNumLeafs,
  merkleNumNodes,
  merklePadAt,
  merkleSubtreeRoot,
  merkleTreeOver,
} from './merkle.ts'
import { type GivenNodes, MaskedNodes, WholeTree } from './merkle-given.ts'
import { type SavedTree, saveTree } from './merkle-save.ts'
import { UpperTree } from './merkle-upper.ts'

/** Hashes of the blocks of a piece that the tree does not hold. */
export interface GivenBlocks {
  readonly piece: number
  readonly hashes: Uint8Array
}

/** What has become known by new hashes. Pieces are counted in the file. */
export interface AddedHashes {
  /** All pieces whose hash has become known are among these, from the first... */
  readonly firstPiece: number
  /** ...up to, but not including, this one. */
  readonly endPiece: number
  /** Pieces whose block hashes have become known. */
  readonly blocks: number[]
}

/**
 * What is known of one file's tree: the nodes down to the pieces ({@link UpperTree}), and the hashes of blocks, of all
 * of them or of single pieces. Whatever is in here is proven by the root.
 *
 * Nodes are numbered breadth first, the root being 0; pieces and blocks are counted in the file; hashes are 32 bytes
 * each, one after the other. Arrays that are handed out are views: not to be written to.
 */
export class MerkleTree {
  readonly numBlocks: number
  readonly numPieces: number
  /**
   * Layers between a piece's node and its blocks; 0 if a piece is a block. In a file that is not longer than a piece
   * the piece's node is the root.
   */
  readonly pieceLevels: number
  /** Layers under the root. */
  readonly levels: number
  readonly #root: Uint8Array
  readonly #upper: UpperTree
  /** Block hashes of single pieces. Not used if pieces are blocks. */
  #blocks: Map<number, Uint8Array> | null = null
  /** All block hashes. */
  #blockLayer: Uint8Array | null = null

  /**
   * @param numBlocks      16 KiB blocks of the file, at least 1
   * @param blocksPerPiece a power of two
   * @param root           32 bytes, kept
   */
  constructor(numBlocks: number, blocksPerPiece: number, root: Uint8Array) {
    if (numBlocks < 1) throw new RangeError('MerkleTree: expected at least one block')
    if (root.length !== HASH_SIZE) throw new RangeError('MerkleTree: expected a root of 32 bytes')
    const pieceLevels = merkleNumLayers(blocksPerPiece)
    if (2 ** pieceLevels !== blocksPerPiece) throw new RangeError('MerkleTree: blocks per piece: no power of two')
    this.#root = root
    this.numBlocks = numBlocks
    this.levels = merkleNumLayers(merkleNumLeafs(numBlocks))
    this.pieceLevels = Math.min(pieceLevels, this.levels)
    this.numPieces = Math.ceil(numBlocks / 2 ** this.pieceLevels)
    this.#upper = new UpperTree(root, this.numPieces, this.pieceLevels)
  }

  /** Number of nodes, padding included. */
  get size(): number {
    return merkleNumNodes(2 ** this.levels)
  }

  /** The hash of every piece is known. */
  get hasPieceLayer(): boolean {
    return this.#upper.complete
  }

  /** The hash of every block is known. */
  get isComplete(): boolean {
    return this.#blockLayer !== null || (this.pieceLevels === 0 && this.#upper.complete)
  }

  /** Bytes of all hashes, those shared with a `TorrentInfo` included. */
  get memoryBytes(): number {
    let bytes = this.#upper.memoryBytes + (this.#blockLayer?.length ?? 0)
    for (const hashes of this.#blocks?.values() ?? []) bytes += hashes.length
    return bytes
  }

  /**
   * Takes a whole tree, unknown nodes being zeros, as far as it is proven by the root. Nothing changes if its size or
   * root is wrong.
   */
  loadTree(hashes: Uint8Array): void {
    if (hashes.length !== this.size * HASH_SIZE || !equalAt(hashes, 0, this.#root, 0, HASH_SIZE)) return
    this.#load(new WholeTree(hashes))
  }

  /**
   * Takes the nodes marked in `mask`, as far as they can be proven.
   *
   * @param hashes those nodes, in order. Kept if they are the piece layer and nothing else, so that it can be shared:
   *   they must not change any more
   */
  loadSparseTree(hashes: Uint8Array, mask: Bitfield): void {
    this.#load(new MaskedNodes(hashes, mask, this.size))
  }

  /**
   * Takes the hashes of all pieces, as .torrent files have them.
   *
   * @param layer kept if it is right, so that it can be shared: it must not change any more
   * @returns false, and nothing changes, if they do not add up to the root
   */
  loadPieceLayer(layer: Uint8Array): boolean {
    return this.#upper.loadLayer(layer)
  }

  /** Hashes of all pieces: the array itself. `null` if they are not all known. */
  get pieceLayer(): Uint8Array | null {
    return this.#upper.layer
  }

  /** Hash of a piece: a view, `null` if it is not known. */
  pieceRoot(piece: number): Uint8Array | null {
    return this.#upper.pieceRoot(piece)
  }

  /** Layers from a piece's node up to the first that is known; 0 if the hash of the piece is. */
  layersToKnown(piece: number): number {
    return this.#upper.layersToKnown(piece)
  }

  /** Hashes of a piece's blocks: a view, `null` if they are not known. */
  blockHashes(piece: number): Uint8Array | null {
    if (this.pieceLevels === 0) return this.pieceRoot(piece)
    const all = this.#blockLayer
    if (all === null) return this.#blocks?.get(piece) ?? null
    const at = piece * HASH_SIZE * 2 ** this.pieceLevels
    return all.subarray(at, at + this.blocksInPiece(piece) * HASH_SIZE)
  }

  blocksInPiece(piece: number): number {
    return Math.min(2 ** this.pieceLevels, this.numBlocks - piece * 2 ** this.pieceLevels)
  }

  /** Forgets the block hashes of a piece, unless those of the whole file are stored. */
  dropBlockHashes(piece: number): void {
    this.#blocks?.delete(piece)
    if (this.#blocks?.size === 0) this.#blocks = null
  }

  /** Whether a node is known. Padding always is. */
  hasNode(index: number): boolean {
    if (index < merkleNumNodes(2 ** (this.levels - this.pieceLevels))) return this.#upper.has(index)
    return this.#isPadding(index) || this.blockHashes(this.#pieceOf(index)) !== null
  }

  /**
   * A node, `null` if it is not known. May be a view.
   *
   * @param given block hashes of a piece, which the caller knows to be right
   */
  node(index: number, given: GivenBlocks | null = null): Uint8Array | null {
    if (index < merkleNumNodes(2 ** (this.levels - this.pieceLevels))) return this.#upper.node(index)
    const level = merkleGetLayer(index)
    const height = this.levels - level
    if (this.#isPadding(index)) return merklePadAt(height)
    const piece = this.#pieceOf(index)
    const hashes = given?.piece === piece ? given.hashes : this.blockHashes(piece)
    if (hashes === null) return null
    const first = (index - merkleLayerStart(level)) * 2 ** height - piece * 2 ** this.pieceLevels
    const blocks = hashes.subarray(first * HASH_SIZE, (first + 2 ** height) * HASH_SIZE)
    return height === 0 ? blocks : merkleSubtreeRoot(blocks, 2 ** height, 0)
  }

  /**
   * Takes a run of hashes of one layer with the siblings that prove it.
   *
   * @param base   layer, counted from the blocks: any from the piece layer on, or 0 for the blocks of whole pieces
   * @param index  first one in its layer: a multiple of the length of the run
   * @param hashes a run that ends at a power of two; what is missing at its end is padding
   * @param uncles siblings from the run's root upwards; those beyond the first known node are not looked at
   * @returns `null`, with nothing changed, if they are not proven
   */
  addHashes(base: number, index: number, hashes: Uint8Array, uncles: Uint8Array): AddedHashes | null {
    const count = hashes.length / HASH_SIZE
    const leafs = merkleNumLeafs(count)
    const height = base + merkleNumLayers(leafs)
    if (!Number.isInteger(count) || count < 1 || index % leafs !== 0 || height > this.levels) return null
    if (index + leafs > 2 ** (this.levels - base) || index * 2 ** base >= this.numBlocks) return null
    if (height < this.pieceLevels || (base > 0 && base < this.pieceLevels)) return null
    const tree = merkleTreeOver(hashes, leafs, base)
    const start = merkleLayerStart(this.levels - height) + index / leafs
    const chain = this.#prove(start, merkleNode(tree, 0), uncles)
    if (chain === null) return null
    // from the top: a node is stored when its parent is known
    for (let i = chain.length - 1; i >= 0; i--) {
      const { node, hash, uncle } = chain[i]!
      this.#upper.set(merkleGetSibling(node), uncle)
      this.#upper.set(node, hash)
    }
    const blocks: number[] = []
    const firstPiece = Math.floor((index * 2 ** base) / 2 ** this.pieceLevels)
    if (base >= this.pieceLevels) this.#addUpper(base, index, tree, leafs)
    else {
      const above = leafs / 2 ** this.pieceLevels
      this.#upper.setPieces(firstPiece, tree.subarray(0, merkleNumNodes(above) * HASH_SIZE))
      this.#addBlocks(firstPiece, hashes, blocks)
    }
    // all that was not known under the last node of the chain may be now
    const levelsAbove = height - this.pieceLevels + chain.length
    const reached = Math.floor(firstPiece / 2 ** levelsAbove) * 2 ** levelsAbove
    return { firstPiece: reached, endPiece: Math.min(reached + 2 ** levelsAbove, this.numPieces), blocks }
  }

  /** Nodes that must be computed to tell one of a layer, counted from the blocks. */
  nodesBelow(layer: number): number {
    return layer < this.pieceLevels ? 2 ** layer - 1 : this.#upper.nodesBelow(layer - this.pieceLevels)
  }

  /**
   * The nodes that are needed to get the tree back from `loadSparseTree`, and which ones they are. See {@link saveTree}.
   *
   * @returns `hashes` may be the piece layer itself; both are empty if nothing but the root is known
   */
  buildSparseVector(): SavedTree {
    return saveTree(this, this.#upper, this.#blockLayer, this.#blocks === null ? [] : [...this.#blocks.keys()])
  }

  /** One bit a block: whether its hash is known. Empty if none is. */
  verifiedLeafs(): Bitfield {
    if (this.isComplete) return new Bitfield(this.numBlocks, true)
    if (this.pieceLevels === 0) {
      const out = new Bitfield(this.numBlocks)
      for (let i = 0; i < this.numBlocks; i++) if (this.pieceRoot(i) !== null) out.setBit(i)
      return out.noneSet() ? new Bitfield() : out
    }
    if (this.#blocks === null) return new Bitfield()
    const out = new Bitfield(this.numBlocks)
    for (const piece of this.#blocks.keys()) {
      const first = piece * 2 ** this.pieceLevels
      for (let i = 0; i < this.blocksInPiece(piece); i++) out.setBit(first + i)
    }
    return out
  }

  /** @throws Error if what the class promises about its fields does not hold. For tests. @internal */
  checkInvariant(): void {
    const assert = (ok: boolean, what: string) => {
      if (!ok) throw new Error(`MerkleTree: ${what}`)
    }
    this.#upper.checkInvariant()
    assert(this.#blocks === null || (this.#blockLayer === null && this.#blocks.size > 0), 'one form of block hashes')
    assert(this.#blockLayer === null || this.#upper.complete, 'block layer without piece layer')
    for (let piece = 0; piece < this.numPieces; piece++) {
      const hashes = this.blockHashes(piece)
      if (hashes === null) continue
      const root = this.pieceRoot(piece)
      const own = merkleSubtreeRoot(hashes, 2 ** this.pieceLevels, 0)
      assert(root !== null && equalAt(own, 0, root, 0, HASH_SIZE), `blocks of piece ${piece}`)
    }
  }

  #pieceOf(index: number): number {
    const level = merkleGetLayer(index)
    return Math.floor((index - merkleLayerStart(level)) / 2 ** (level - this.levels + this.pieceLevels))
  }

  #isPadding(index: number): boolean {
    const level = merkleGetLayer(index)
    return (index - merkleLayerStart(level)) * 2 ** (this.levels - level) >= this.numBlocks
  }

  #load(given: GivenNodes): void {
    const firstBlock = merkleFirstLeaf(2 ** this.levels)
    const blocks = given.run(firstBlock, this.numBlocks)
    if (blocks !== null && this.#loadBlockLayer(given, blocks)) return
    if (!this.#upper.complete) {
      const pieces = given.run(merkleLayerStart(this.levels - this.pieceLevels), this.numPieces)
      if (pieces === null || !this.#upper.loadLayer(own(given, pieces))) this.#upper.loadPartial(given)
    }
    if (this.pieceLevels === 0 || !given.any(firstBlock, this.numBlocks)) return
    for (let piece = 0; piece < this.numPieces; piece++) {
      const root = this.pieceRoot(piece)
      if (root === null) continue
      const hashes = given.run(firstBlock + piece * 2 ** this.pieceLevels, this.blocksInPiece(piece))
      if (hashes === null) continue
      if (!equalAt(merkleSubtreeRoot(hashes, 2 ** this.pieceLevels, 0), 0, root, 0, HASH_SIZE)) continue
      this.#setBlocks(piece, hashes.slice())
    }
  }

  #loadBlockLayer(given: GivenNodes, blocks: Uint8Array): boolean {
    if (this.pieceLevels === 0) return this.#upper.loadLayer(own(given, blocks))
    const layer = new Uint8Array(this.numPieces * HASH_SIZE)
    const run = HASH_SIZE * 2 ** this.pieceLevels
    for (let piece = 0; piece < this.numPieces; piece++) {
      const own = blocks.subarray(piece * run, (piece + 1) * run)
      layer.set(merkleSubtreeRoot(own, 2 ** this.pieceLevels, 0), piece * HASH_SIZE)
    }
    if (!this.#upper.loadLayer(layer)) return false
    this.#setBlockLayer(own(given, blocks))
    return true
  }

  #setBlockLayer(blocks: Uint8Array): void {
    this.#blockLayer = blocks
    this.#blocks = null
  }

  #setBlocks(piece: number, hashes: Uint8Array): void {
    this.#blocks ??= new Map()
    this.#blocks.set(piece, hashes)
  }

  /**
   * Climbs from a node to one that is known.
   *
   * @returns the nodes on the way, up to but without the known one; `null` if that has another hash, or is not reached
   */
  #prove(start: number, hash: Uint8Array, uncles: Uint8Array): Link[] | null {
    const chain: Link[] = []
    let node = start
    for (let i = 0; ; i++) {
      const known = this.#upper.node(node)
      if (known !== null) return equalAt(known, 0, hash, 0, HASH_SIZE) ? chain : null
      if ((i + 1) * HASH_SIZE > uncles.length) return null
      const uncle = merkleNode(uncles, i)
      chain.push({ node, hash, uncle })
      hash = node % 2 === 1 ? mergeHash(hash, uncle) : mergeHash(uncle, hash)
      node = merkleGetParent(node)
    }
  }

  /** Stores a proven run of nodes at or above the piece layer. */
  #addUpper(base: number, index: number, tree: Uint8Array, leafs: number): void {
    if (base === this.pieceLevels) {
      this.#upper.setPieces(index, tree)
      return
    }
    let from = 0
    for (let size = 1; size <= leafs; size *= 2) {
      const layer = this.levels - base - merkleNumLayers(leafs / size)
      const start = merkleLayerStart(layer) + (index / leafs) * size
      for (let i = 0; i < size; i++) this.#upper.set(start + i, merkleNode(tree, from + i))
      from = 2 * from + 1
    }
  }

  /** Stores proven block hashes of whole pieces. */
  #addBlocks(firstPiece: number, hashes: Uint8Array, added: number[]): void {
    if (this.#blockLayer !== null) return
    const run = HASH_SIZE * 2 ** this.pieceLevels
    for (let at = 0, piece = firstPiece; at < hashes.length && piece < this.numPieces; at += run, piece++) {
      if (this.blockHashes(piece) !== null) continue
      const own = hashes.slice(at, at + this.blocksInPiece(piece) * HASH_SIZE)
      // blocks that were left out as padding, by a run that is cut where the file does not end
      if (own.length < this.blocksInPiece(piece) * HASH_SIZE) continue
      this.#setBlocks(piece, own)
      added.push(piece)
    }
    if (this.#blocks?.size !== this.numPieces) return
    const all = new Uint8Array(this.numBlocks * HASH_SIZE)
    for (const [piece, own] of this.#blocks) all.set(own, piece * run)
    this.#setBlockLayer(all)
  }
}

/** A node that is not known yet, and the sibling that proves it. */
interface Link {
  readonly node: number
  readonly hash: Uint8Array
  readonly uncle: Uint8Array
}

/** A copy, unless all that was given is this. */
function own(given: GivenNodes, hashes: Uint8Array): Uint8Array {
  return hashes.length === given.length ? hashes : hashes.slice()
}
