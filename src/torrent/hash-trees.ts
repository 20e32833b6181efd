/** The merkle trees of a torrent's files: what is known of its v2 hashes (BEP 52). */

import { Bitfield } from '../core/bitfield.ts'
import type { FileIndex, PieceIndex } from '../core/brands.ts'
import { bytesEqual, bytesToBinary, equalAt } from '../core/bytes.ts'
import type { FileStorage } from '../metainfo/file-storage.ts'
import { HASH_SIZE, merkleNumLayers, merkleNumLeafs, merklePadAt, merkleSubtreeRoot } from '../metainfo/merkle.ts'
import { getHashes, nodesToCompute, pieceToHash } from '../metainfo/merkle-serve.ts'
import { MerkleTree } from '../metainfo/merkle-tree.ts'
import type { FileTrees } from '../metainfo/piece-layers.ts'
import { type HashRequest, isPlausible, uncleCount } from '../wire/hash-messages.ts'
import { HashCandidates } from './hash-candidates.ts'

/** Pieces that are decided by new knowledge. */
export interface RootVerdict {
  /** Their data is right. */
  readonly passed: PieceIndex[]
  /** Their data is wrong; which of their blocks is known if their block hashes are. */
  readonly failed: PieceIndex[]
  /** At least one of them is wrong, nobody knows which: they stay undecided. */
  readonly doubtful: PieceIndex[]
}

/** Outcome of {@link HashTrees.addHashes}. */
export interface AddedPieces extends RootVerdict {
  /** Pieces whose block hashes have become known. Pieces of one block are not listed: their hash is that of the block. */
  readonly blocks: PieceIndex[]
}

const NONE = new Uint8Array(0)

/**
 * Root of the part of a tree that a piece covers.
 *
 * @param blockHashes hashes of its blocks, 32 bytes each; missing ones at the end are zeros
 * @param leafCount   a power of two: blocks per piece, or the leaves of the whole file if that is not longer than a piece
 */
export function pieceRootOf(blockHashes: Uint8Array, leafCount: number): Uint8Array {
  if (blockHashes.length === 0) return merklePadAt(merkleNumLayers(leafCount))
  return merkleSubtreeRoot(blockHashes, leafCount, 0)
}

/**
 * The merkle trees of a torrent's files. Pieces are the torrent's piece indices unless said otherwise.
 *
 * Files that are not longer than a piece need no tree: the root of the file is that of the piece. Longer files of the
 * same root and size are the same file several times over: they share a tree, the first of them giving it its name,
 * while each has its own data.
 */
export class HashTrees {
  readonly #files: FileStorage
  readonly #pieceLength: number
  /** Longer files: the first one with the same root and size. Others: themselves. */
  readonly #first: Int32Array
  /** The other files that share the tree of a file. */
  readonly #others = new Map<FileIndex, FileIndex[]>()
  readonly #trees = new Map<FileIndex, MerkleTree>()
  readonly #candidates = new Map<FileIndex, HashCandidates>()
  /** Trees that lack piece hashes. */
  #missing = 0
  #byRoot: Map<string, FileIndex> | null = null

  /** @param files of a v2 torrent, not to change any more */
  constructor(files: FileStorage) {
    this.#files = files
    this.#pieceLength = files.pieceLength()
    const count = files.numFiles()
    this.#first = new Int32Array(count)
    const byRoot = new Map<string, FileIndex>()
    for (let file = 0; file < count; file++) {
      this.#first[file] = file
      if (!this.#hasTree(file) || this.#isSmall(file)) continue
      const key = `${files.fileSize(file)}:${bytesToBinary(files.rootView(file)!)}`
      const first = byRoot.get(key)
      if (first === undefined) {
        byRoot.set(key, file)
        this.#missing++
        continue
      }
      this.#first[file] = first
      const others = this.#others.get(first)
      if (others === undefined) this.#others.set(first, [file])
      else others.push(file)
    }
  }

  /**
   * Takes what a torrent file or resume data knows, in the forms of `AddTorrentParams`. What the root does not prove is
   * left out, so nobody needs to say what is verified: `verifiedLeafHashes` is for others to read. To be called before pieces are hashed.
   *
   * @param trees a piece layer, if it is nothing else, is kept: it must not change any more
   */
  load(trees: readonly Uint8Array[], masks: readonly Bitfield[]): void {
    const count = Math.min(this.#first.length, trees.length)
    for (let file = 0; file < count; file++) {
      const hashes = trees[file]!
      if (hashes.length === 0 || !this.#hasTree(file)) continue
      const tree = this.#existing(file) ?? this.#makeTree(file)
      // a torrent file's layers are in its metadata and in the parameters it is added with: they are hashed once
      if (tree.pieceLayer === hashes) continue
      const before = tree.hasPieceLayer
      const mask = masks[file]
      if (mask === undefined || mask.empty()) tree.loadTree(hashes)
      else tree.loadSparseTree(hashes, mask)
      if (this.#isSmall(file) && !tree.isComplete) continue
      this.#trees.set(this.#first[file]!, tree)
      this.#noteComplete(tree, before)
    }
  }

  /** The hash of every piece is known. */
  get complete(): boolean {
    return this.#missing === 0
  }

  /** Bytes of all hashes that are stored; piece layers shared with the `TorrentInfo` are counted. */
  get memoryBytes(): number {
    let bytes = this.#first.byteLength
    for (const tree of this.#trees.values()) bytes += tree.memoryBytes
    for (const candidates of this.#candidates.values()) bytes += candidates.memoryBytes
    return bytes
  }

  /**
   * Root that the piece must have, a view of 32 bytes. For a file of at most a piece it is the file's root.
   *
   * @returns `null` if it is not known yet, or the piece is padding
   */
  pieceRoot(piece: PieceIndex): Uint8Array | null {
    const file = this.#files.fileIndexAtPiece(piece)
    if (!this.#hasTree(file)) return null
    if (this.#isSmall(file)) return this.#files.rootView(file)
    return this.#existing(file)?.pieceRoot(this.#inFile(file, piece)) ?? null
  }

  /** Proven SHA-256 of the piece's blocks, 32 bytes each: a view. `null` if they are not known. */
  blockHashes(piece: PieceIndex): Uint8Array | null {
    const file = this.#files.fileIndexAtPiece(piece)
    if (!this.#hasTree(file)) return null
    if (this.#files.fileNumBlocks(file) === 1) return this.#files.rootView(file)
    return this.#existing(file)?.blockHashes(this.#inFile(file, piece)) ?? null
  }

  /**
   * Takes the root that was computed from the data of a piece.
   *
   * If nothing is known to compare it with it is kept as a candidate, until hashes come, or candidates for all pieces
   * under a known node are there. If those do not add up, it cannot be told which is wrong: libtorrent gives all of them
   * up, here they wait for hashes that tell.
   *
   * @param root 32 bytes, copied
   * @returns the pieces that are decided now, this and others, whose candidates are forgotten; none: still unknown
   */
  setPieceRoot(piece: PieceIndex, root: Uint8Array): RootVerdict {
    const verdict: RootVerdict = { passed: [], failed: [], doubtful: [] }
    const file = this.#files.fileIndexAtPiece(piece)
    const known = this.pieceRoot(piece)
    if (known !== null || !this.#hasTree(file)) {
      this.forgetPieceRoot(piece)
      const passed = known === null || bytesEqual(known, root)
      ;(passed ? verdict.passed : verdict.failed).push(piece)
      return verdict
    }
    const tree = this.#treeOf(file)
    const before = tree.hasPieceLayer
    let candidates = this.#candidates.get(file)
    if (candidates === undefined) this.#candidates.set(file, (candidates = new HashCandidates(tree.numPieces)))
    const own = this.#inFile(file, piece)
    candidates.set(own, root)
    this.#settle(file, tree, own, own + 1, verdict)
    // what passed is known now to files of the same root too
    if (verdict.passed.length > 0) {
      const first = this.#inFile(file, verdict.passed[0]!)
      this.#settleOthers(file, tree, first, first + verdict.passed.length, verdict)
      this.#noteComplete(tree, before)
    }
    return verdict
  }

  /** Whether the hash of the piece is known, or one computed from its data waits to be proven. Padding has none. */
  hasRoot(piece: PieceIndex): boolean {
    if (this.pieceRoot(piece) !== null) return true
    const file = this.#files.fileIndexAtPiece(piece)
    return this.#candidates.get(file)?.has(this.#inFile(file, piece)) === true
  }

  /** The data of the piece is gone or doubtful. */
  forgetPieceRoot(piece: PieceIndex): void {
    if (this.#candidates.size === 0) return
    const file = this.#files.fileIndexAtPiece(piece)
    const candidates = this.#candidates.get(file)
    if (candidates === undefined) return
    candidates.delete(this.#inFile(file, piece))
    if (candidates.count === 0) this.#candidates.delete(file)
  }

  forgetPieceRoots(): void {
    this.#candidates.clear()
  }

  /**
   * Takes the answer to a request.
   *
   * @returns what is decided by it, in all files of that root and size; `null`, with nothing changed, if it is not
   *   proven, or is no answer to such a request
   */
  addHashes(file: FileIndex, request: HashRequest, hashes: Uint8Array): AddedPieces | null {
    if (!this.isValidRequest(file, request)) return null
    const { base, index, count, proofLayers } = request
    if (hashes.length !== (count + uncleCount(count, proofLayers)) * HASH_SIZE) return null
    const tree = this.#existing(file) ?? this.#makeTree(file)
    const before = tree.hasPieceLayer
    const run = count * HASH_SIZE
    const added = tree.addHashes(base, index, hashes.subarray(0, run), hashes.subarray(run))
    if (added === null) return null
    this.#trees.set(this.#first[file]!, tree)
    const out: AddedPieces = { passed: [], failed: [], doubtful: [], blocks: [] }
    const first = this.#first[file]!
    const sharing = [first, ...this.otherFiles(first)]
    for (let decided = -1; decided < out.passed.length; ) {
      // candidates of one file that prove each other decide those of the others
      decided = out.passed.length
      for (const each of sharing) this.#settle(each, tree, added.firstPiece, added.endPiece, out)
    }
    this.#noteComplete(tree, before)
    for (const each of sharing) {
      const offset = this.#files.pieceIndexAtFile(each)
      for (const piece of added.blocks) out.blocks.push(piece + offset)
    }
    return out
  }

  /** Run and uncles, as the `hashes` message has them; `null` if a needed hash is not known, or there is no such run. */
  getHashes(file: FileIndex, request: HashRequest): Uint8Array | null {
    if (!this.isValidRequest(file, request)) return null
    const tree = this.#existing(file)
    return tree === undefined ? null : getHashes(tree, request)
  }

  /** Most nodes that `getHashes` has to compute, because they are not stored. */
  nodesToCompute(file: FileIndex, request: HashRequest): number {
    const tree = this.#existing(file)
    return tree === undefined ? 0 : nodesToCompute(tree, request)
  }

  /** The one piece whose block hashes would let `getHashes` answer a request; `null` if one piece would not do. */
  pieceToHash(file: FileIndex, request: HashRequest): PieceIndex | null {
    if (!this.isValidRequest(file, request)) return null
    const tree = this.#existing(file) ?? this.#makeTree(file)
    const piece = pieceToHash(tree, request)
    return piece === null ? null : piece + this.#files.pieceIndexAtFile(file)
  }

  /**
   * As `getHashes`, with the block hashes of that piece computed from disk. They are not kept.
   *
   * @returns `null` if they do not prove the piece's root, or are not enough
   */
  getHashesWith(file: FileIndex, request: HashRequest, piece: PieceIndex, blockHashes: Uint8Array): Uint8Array | null {
    if (!this.isValidRequest(file, request)) return null
    const tree = this.#existing(file) ?? this.#makeTree(file)
    const own = this.#inFile(file, piece)
    if (own < 0 || own >= tree.numPieces) return null
    const root = tree.pieceRoot(own)
    if (root === null || blockHashes.length !== tree.blocksInPiece(own) * HASH_SIZE) return null
    if (!equalAt(pieceRootOf(blockHashes, 2 ** tree.pieceLevels), 0, root, 0, HASH_SIZE)) return null
    return getHashes(tree, request, { piece: own, hashes: blockHashes })
  }

  /**
   * Block hashes of a piece are of no use any more (it is there): frees them unless those of a whole file, longer than a
   * piece, are stored.
   */
  dropBlockHashes(piece: PieceIndex): void {
    const file = this.#files.fileIndexAtPiece(piece)
    if (!this.#hasTree(file)) return
    if (this.#isSmall(file)) this.#trees.delete(file)
    else this.#existing(file)?.dropBlockHashes(this.#inFile(file, piece))
  }

  /** The same piece in all files that share its tree, itself among them. */
  twins(piece: PieceIndex): PieceIndex[] {
    const file = this.#files.fileIndexAtPiece(piece)
    const first = this.#first[file]!
    const own = this.#inFile(file, piece)
    return [first, ...this.otherFiles(first)].map(each => this.#files.pieceIndexAtFile(each) + own)
  }

  /** The first file with this root, -1 if there is none. */
  fileOfRoot(root: Uint8Array): FileIndex {
    if (this.#byRoot === null) {
      this.#byRoot = new Map()
      for (let file = this.#first.length - 1; file >= 0; file--) {
        if (this.#hasTree(file)) this.#byRoot.set(bytesToBinary(this.#files.rootView(file)!), file)
      }
    }
    return root.length === HASH_SIZE ? (this.#byRoot.get(bytesToBinary(root)) ?? -1) : -1
  }

  /** The file whose tree a file shares: itself, or the first one of the same root and size. */
  firstFile(file: FileIndex): FileIndex {
    return this.#first[file]!
  }

  /** The other files that share the tree of a first file. */
  otherFiles(first: FileIndex): readonly FileIndex[] {
    return this.#others.get(first) ?? []
  }

  /** Layers from a piece's node up to the first that is known; 0 if the hash of the piece is. */
  layersToKnown(piece: PieceIndex): number {
    const file = this.#files.fileIndexAtPiece(piece)
    if (!this.#hasTree(file) || this.#isSmall(file)) return 0
    const own = this.#inFile(file, piece)
    return this.#existing(file)?.layersToKnown(own) ?? merkleNumLayers(merkleNumLeafs(this.#files.fileNumPieces(file)))
  }

  /** Whether there may be such a run in the tree of a file, with such a proof. */
  isValidRequest(file: FileIndex, request: HashRequest): boolean {
    const { base, index, count, proofLayers } = request
    if (!(file >= 0 && file < this.#first.length) || !isPlausible(request) || !this.#hasTree(file)) return false
    const layers = merkleNumLayers(merkleNumLeafs(this.#files.fileNumBlocks(file)))
    return base < layers && index + count <= 2 ** (layers - base) && proofLayers < layers - base
  }

  /** Hashes of a file's pieces, 32 bytes each: a view. Of a file of at most a piece it is the root. `null` if one is missing. */
  pieceLayer(file: FileIndex): Uint8Array | null {
    if (!this.#hasTree(file)) return NONE
    return this.#isSmall(file) ? this.#files.rootView(file) : (this.#existing(file)?.pieceLayer ?? null)
  }

  /**
   * Piece layer of each file as a .torrent has them: 32 bytes per piece, none for files of at most a piece. Views.
   *
   * @returns `null` as long as one is missing
   */
  pieceLayers(): Uint8Array[] | null {
    if (!this.complete) return null
    const out: Uint8Array[] = new Array(this.#first.length)
    for (let file = 0; file < out.length; file++) {
      out[file] = this.#hasTree(file) && !this.#isSmall(file) ? this.#existing(file)!.pieceLayer! : NONE
    }
    return out
  }

  /** What is known, for resume data. */
  resume(): FileTrees {
    const out: FileTrees = { trees: [], masks: [], verified: [] }
    const empty = new Bitfield()
    for (let file = 0; file < this.#first.length; file++) {
      const tree = this.#hasTree(file) ? this.#existing(file) : undefined
      const first = this.#first[file]!
      const { hashes, mask } =
        tree === undefined
          ? { hashes: NONE, mask: empty }
          : first === file
            ? tree.buildSparseVector()
            : { hashes: out.trees[first]!, mask: out.masks[first]! }
      out.trees.push(hashes)
      out.masks.push(mask)
      out.verified.push(first === file ? (tree?.verifiedLeafs() ?? empty) : out.verified[first]!)
    }
    return out
  }

  /** Whether a file has a root: it is not empty, no padding and no symlink. */
  #hasTree(file: FileIndex): boolean {
    const files = this.#files
    return files.fileSize(file) > 0 && !files.padFileAt(file) && files.rootView(file) !== null
  }

  #isSmall(file: FileIndex): boolean {
    return this.#files.fileSize(file) <= this.#pieceLength
  }

  #inFile(file: FileIndex, piece: PieceIndex): number {
    return piece - this.#files.pieceIndexAtFile(file)
  }

  #existing(file: FileIndex): MerkleTree | undefined {
    return this.#trees.get(this.#first[file]!)
  }

  #makeTree(file: FileIndex): MerkleTree {
    const files = this.#files
    return new MerkleTree(files.fileNumBlocks(file), files.blocksPerPiece(), files.rootView(file)!)
  }

  #treeOf(file: FileIndex): MerkleTree {
    let tree = this.#existing(file)
    if (tree === undefined) this.#trees.set(this.#first[file]!, (tree = this.#makeTree(file)))
    return tree
  }

  #noteComplete(tree: MerkleTree, hadLayer: boolean): void {
    if (!hadLayer && tree.hasPieceLayer) this.#missing--
  }

  /** Decides candidates of a file in a range of its pieces. */
  #settle(file: FileIndex, tree: MerkleTree, first: number, end: number, verdict: RootVerdict): void {
    const candidates = this.#candidates.get(file)
    if (candidates === undefined) return
    const offset = this.#files.pieceIndexAtFile(file)
    candidates.settle(tree, first, end, (piece, verdictOf) => {
      verdict[verdictOf].push(piece + offset)
    })
    if (candidates.count === 0) this.#candidates.delete(file)
  }

  /** As `#settle`, for the files that share the tree of another. */
  #settleOthers(file: FileIndex, tree: MerkleTree, first: number, end: number, verdict: RootVerdict): void {
    const owner = this.#first[file]!
    for (const other of [owner, ...this.otherFiles(owner)]) {
      if (other !== file) this.#settle(other, tree, first, end, verdict)
    }
  }
}
