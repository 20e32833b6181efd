/**
 * What v2 hashes say of the pieces of a torrent (BEP 52): which root a piece must have as far as that is known, pieces
 * that wait for theirs, and pieces whose blocks are judged one by one.
 *
 * A piece whose root is not known (a magnet link brings no piece layers) is downloaded and written all the same. Its own
 * root is kept; the piece counts as had once hashes from a peer prove it, or all pieces of its file together do.
 */

import { BLOCK_SIZE, type BlockIndex, type FileIndex, type PieceIndex } from '../core/brands.ts'
import { bytesEqual, equalAt } from '../core/bytes.ts'
import { sha256 } from '../core/hash.ts'
import type { FileStorage } from '../metainfo/file-storage.ts'
import { v2LeafCount } from '../metainfo/piece-hash.ts'
import type { HashRequest } from '../wire/hash-messages.ts'
import { type HashTrees, pieceRootOf, type RootVerdict } from './hash-trees.ts'

/** What comes of verdicts. Any call may end the torrent's download. */
export interface ProofHost {
  havePiece(piece: PieceIndex): boolean
  /** A piece that waited is right. */
  parkedPassed(piece: PieceIndex, blockHashes: Uint8Array | null): void
  /** A piece that waited is wrong. */
  parkedFailed(piece: PieceIndex, blockHashes: Uint8Array | null): void
  /** A piece that waited is one of several of which one at least is wrong; nobody can say which. */
  parkedDoubted(piece: PieceIndex, blockHashes: Uint8Array | null): void
  /** It is had, so its v1 hash was right if that was looked at; and its v2 hash is not. */
  inconsistentHashes(piece: PieceIndex): void
  /** The hashes of the blocks of a piece that is not had have become known. */
  blockHashesKnown(piece: PieceIndex, hashes: Uint8Array): void
}

export const DIGEST_SIZE = 32
/** Bytes of digests that are kept of blocks of pieces with unknown roots: they tell who sent what is bad, should it be. */
const MAX_KEPT_DIGESTS = 4 << 20
/** When hashes that would tell which of several pieces is wrong were refused so often, in so long, all are got again. */
const MAX_REFUSALS = 4
const PATIENCE_MS = 60_000
export const NOTHING_DECIDED: RootVerdict = Object.freeze({ passed: [], failed: [], doubtful: [] })

export class PieceProofs {
  readonly trees: HashTrees
  readonly #files: FileStorage
  readonly #host: ProofHost
  /** Pieces that wait for their root, with the hashes of their blocks if peers sent them. */
  readonly #parked = new Map<PieceIndex, Uint8Array | null>()
  /** Pieces that failed and whose block hashes a peer has told: each block is judged as it comes. */
  readonly #watched = new Set<PieceIndex>()
  /** Bytes of digests in `#parked`. */
  #keptDigests = 0
  /** Of those that wait, pieces one of which is wrong at least. */
  readonly #doubtful = new Set<PieceIndex>()
  #doubtfulSince = 0
  #refusals = 0

  constructor(trees: HashTrees, files: FileStorage, host: ProofHost) {
    this.trees = trees
    this.#files = files
    this.#host = host
  }

  watches(piece: PieceIndex): boolean {
    return this.#watched.has(piece)
  }

  /** Whether a block of a watched piece is what its hash says. @param bytes 16 KiB, of which a short block fills the first */
  isBlockRight(piece: PieceIndex, block: BlockIndex, bytes: Uint8Array): boolean {
    const hashes = this.trees.blockHashes(piece)
    const length = Math.min(BLOCK_SIZE, this.#files.pieceSize2(piece) - block * BLOCK_SIZE)
    if (hashes === null || length <= 0) return true
    return equalAt(sha256(bytes.subarray(0, length)), 0, hashes, block * DIGEST_SIZE, DIGEST_SIZE)
  }

  /** A piece whose root was not known was hashed. Ends with {@link settle}, once the piece itself is dealt with. */
  judge(piece: PieceIndex, root: Uint8Array): RootVerdict {
    // it may have come meanwhile
    const known = this.trees.pieceRoot(piece)
    if (known === null) return this.trees.setPieceRoot(piece, root)
    const right = bytesEqual(known, root)
    return { passed: right ? [piece] : [], failed: right ? [] : [piece], doubtful: [] }
  }

  judgeBlocks(piece: PieceIndex, blockHashes: Uint8Array): RootVerdict {
    const file = this.#files.fileIndexAtPiece(piece)
    const leafs = v2LeafCount(this.#files.fileSize(file), this.#files.pieceLength())
    return this.judge(piece, pieceRootOf(blockHashes, leafs))
  }

  /** All of the piece is on disk, and nobody knows yet whether it is right. */
  park(piece: PieceIndex, blockHashes: Uint8Array | null): void {
    this.#keptDigests -= this.#parked.get(piece)?.length ?? 0
    const kept = this.#keptDigests + (blockHashes?.length ?? 0) <= MAX_KEPT_DIGESTS ? blockHashes : null
    this.#keptDigests += kept?.length ?? 0
    this.#parked.set(piece, kept)
  }

  /** The data of a piece counts no more. @returns whether it waited for its root */
  forgetParked(piece: PieceIndex): boolean {
    const waited = this.#parked.has(piece)
    this.#unpark(piece, () => this.trees.forgetPieceRoot(piece))
    return waited
  }

  /** What a verdict says of other pieces than the one it came from. */
  settle(verdict: RootVerdict, but = -1): void {
    for (const piece of verdict.failed) {
      if (piece === but) continue
      if (this.#host.havePiece(piece)) {
        this.#host.inconsistentHashes(piece)
        return
      }
      this.#unpark(piece, (p, hashes) => this.#host.parkedFailed(p, hashes))
    }
    // what is had is not got again, so that waiting for the others would not end it
    const had = verdict.doubtful.find(piece => this.#host.havePiece(piece))
    if (had !== undefined) {
      this.#host.inconsistentHashes(had)
      return
    }
    for (const piece of verdict.doubtful) if (this.#parked.has(piece)) this.#doubtful.add(piece)
    for (const piece of verdict.passed) {
      if (piece !== but) this.#unpark(piece, (p, hashes) => this.#host.parkedPassed(p, hashes))
    }
  }

  #unpark(piece: PieceIndex, tell: (piece: PieceIndex, blockHashes: Uint8Array | null) => void): void {
    const blockHashes = this.#parked.get(piece)
    if (blockHashes === undefined) return
    this.#parked.delete(piece)
    this.#doubtful.delete(piece)
    this.#keptDigests -= blockHashes?.length ?? 0
    tell(piece, blockHashes)
  }

  /**
   * A peer did not tell the hashes it was asked for.
   *
   * Pieces that do not add up wait for hashes that tell which are wrong. If nobody has those, all are got again.
   *
   * Deviation: libtorrent does so at once, and blames all peers that had a part in them.
   */
  hashesRefused(now: number): void {
    if (this.#doubtful.size === 0) {
      this.#refusals = 0
      return
    }
    if (this.#refusals++ === 0) this.#doubtfulSince = now
    if (this.#refusals < MAX_REFUSALS || now - this.#doubtfulSince < PATIENCE_MS) return
    this.#refusals = 0
    for (const piece of [...this.#doubtful]) {
      this.trees.forgetPieceRoot(piece)
      this.#unpark(piece, (p, hashes) => this.#host.parkedDoubted(p, hashes))
    }
  }

  /** Hashes have come from a peer. @returns false if nothing proves them */
  hashesArrived(file: FileIndex, request: HashRequest, hashes: Uint8Array): boolean {
    const verdict = this.trees.addHashes(file, request, hashes)
    if (verdict === null) return false
    // files that are the same share them: some may be had
    for (const piece of verdict.blocks) if (!this.#host.havePiece(piece)) this.#watched.add(piece)
    for (const piece of verdict.blocks) {
      if (this.#watched.has(piece)) this.#host.blockHashesKnown(piece, this.trees.blockHashes(piece)!)
      else this.#dropBlockHashes(piece)
    }
    this.settle(verdict)
    return true
  }

  /** The piece is had. */
  passed(piece: PieceIndex): void {
    if (this.#watched.delete(piece)) this.#dropBlockHashes(piece)
  }

  #dropBlockHashes(piece: PieceIndex): void {
    if (!this.trees.twins(piece).some(twin => this.#watched.has(twin))) this.trees.dropBlockHashes(piece)
  }

  /** All pieces are had. */
  clear(): void {
    for (const piece of this.#watched) this.trees.dropBlockHashes(piece)
    this.#parked.clear()
    this.#keptDigests = 0
    this.#watched.clear()
    this.#doubtful.clear()
    this.#refusals = 0
  }

  /** What is on disk is not known any more. */
  forget(): void {
    this.clear()
    this.trees.forgetPieceRoots()
  }
}

/** What a verdict says of a piece; `null`: nothing. */
export function decision(verdict: RootVerdict, piece: PieceIndex): boolean | null {
  if (verdict.passed.includes(piece)) return true
  return verdict.failed.includes(piece) ? false : null
}

/** Blocks whose digests differ. */
export function differingBlocks(digests: Uint8Array, expected: Uint8Array): BlockIndex[] {
  const out: BlockIndex[] = []
  for (let at = 0; at < expected.length; at += DIGEST_SIZE) {
    if (!equalAt(digests, at, expected, at, DIGEST_SIZE)) out.push(at / DIGEST_SIZE)
  }
  return out
}
