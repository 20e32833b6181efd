/** Which hashes of a v2 torrent to ask for, and of whom (BEP 52). */

import type { FileIndex, PieceIndex } from '../core/brands.ts'
import type { FileStorage } from '../metainfo/file-storage.ts'
import { merkleNumLayers, merkleNumLeafs } from '../metainfo/merkle.ts'
import { type HashRequest, MAX_HASHES } from '../wire/hash-messages.ts'
import type { HashTrees } from './hash-trees.ts'

/** Piece hashes that are asked for at once. */
const RUN = 512
/** After this time without an answer the same hashes are asked for again, in milliseconds. As libtorrent. */
const MIN_REQUEST_INTERVAL = 3000
/** Most pieces that are looked at for one peer, so that peers with few pieces of a big torrent cost little. */
const MAX_LOOKS = 16_384

const NEVER = Number.NEGATIVE_INFINITY

/** Something to ask for. */
interface Wish {
  /** When it was asked for last. */
  asked: number
  requests: number
  rejects: number
}

/** A run of piece hashes. */
interface RunWish extends Wish {
  /** The first one of its root and size. */
  readonly file: FileIndex
  /** First piece, counted in the file. */
  readonly first: number
}

/**
 * Which hashes to ask for: block hashes of failed pieces first, then piece layers in runs of 512.
 *
 * What a peer was asked for may be asked of the next one after three seconds, or once it was rejected; after every other
 * rejection the three seconds are waited for, so that peers who reject everything are not asked without end.
 */
export class HashPicker {
  readonly #files: FileStorage
  readonly #trees: HashTrees
  readonly #isHad: (piece: PieceIndex) => boolean
  /** In order of files; those that are known are taken out. */
  #runs: RunWish[] = []
  /** Place in `#runs` to look from. */
  #cursor = 0
  readonly #blocks = new Map<PieceIndex, Wish>()
  readonly #pieceLevels: number

  /**
   * @param trees with what is known already
   * @param isHad of a piece that is had no block hashes are wanted any more
   */
  constructor(files: FileStorage, trees: HashTrees, isHad: (piece: PieceIndex) => boolean = () => false) {
    this.#files = files
    this.#trees = trees
    this.#isHad = isHad
    this.#pieceLevels = merkleNumLayers(files.blocksPerPiece())
    if (trees.complete) return
    for (let file = 0; file < files.numFiles(); file++) {
      if (files.padFileAt(file) || files.fileSize(file) <= files.pieceLength() || trees.firstFile(file) !== file)
        continue
      // a request names its file by the root: it could not be told from one for the other file
      if (trees.fileOfRoot(files.root(file).view()) !== file) continue
      for (let first = 0; first < files.fileNumPieces(file); first += RUN) {
        if (!this.#isKnown(file, first)) this.#runs.push({ file, first, asked: NEVER, requests: 0, rejects: 0 })
      }
    }
  }

  /** Whether nothing is left to ask for. */
  get done(): boolean {
    return this.#runs.length === 0 && this.#blocks.size === 0
  }

  /**
   * The next request for a peer, noted as asked.
   *
   * @param has whether the peer has a piece
   * @param now milliseconds, monotonic
   * @returns `null` if there is nothing it could help with now
   */
  pick(has: (piece: PieceIndex) => boolean, now: number): HashRequest | null {
    return this.#pickBlocks(has, now) ?? this.#pickRun(has, now)
  }

  /** Block hashes of the piece are wanted. Not if they are known, or the piece has too many blocks for one request. */
  wantBlocks(piece: PieceIndex): void {
    if (this.#blocks.has(piece) || this.#trees.blockHashes(piece) !== null) return
    const file = this.#files.fileIndexAtPiece(piece)
    if (this.#trees.fileOfRoot(this.#files.root(file).view()) !== this.#trees.firstFile(file)) return
    if (this.#files.padFileAt(file) || 2 ** this.#levelsOfPiece(file) > MAX_HASHES) return
    this.#blocks.set(piece, { asked: NEVER, requests: 0, rejects: 0 })
  }

  /**
   * Whether hashes are such as may be asked for: of a run of pieces that begins where ours do, or of blocks. As libtorrent,
   * which takes no others. It costs little to see whether such are known.
   */
  isAskedLike(file: FileIndex, { base, index, count }: HashRequest): boolean {
    if (base !== this.#pieceLevels || !this.#isLong(file)) return base === 0
    const left = this.#files.fileNumPieces(file) - index
    return index % RUN === 0 && left > 0 && (count === RUN || (count < RUN && count >= left))
  }

  /** An answer to a request has come, and the trees have taken what it proves. What is missing still is asked for again. */
  received(file: FileIndex, request: HashRequest): void {
    this.#forgetKnown()
    for (const wish of this.#wishesOf(file, request)) {
      wish.asked = NEVER
      wish.rejects = 0
    }
  }

  /** A peer will not answer a request. */
  rejected(file: FileIndex, request: HashRequest): void {
    for (const wish of this.#wishesOf(file, request)) {
      wish.requests = Math.max(0, wish.requests - 1)
      if (++wish.rejects % 2 === 1) wish.asked = NEVER
    }
  }

  #pickBlocks(has: (piece: PieceIndex) => boolean, now: number): HashRequest | null {
    let best: PieceIndex = -1
    let fewest = Number.POSITIVE_INFINITY
    for (const [piece, wish] of this.#blocks) {
      if (this.#isHad(piece) || this.#trees.blockHashes(piece) !== null) this.#blocks.delete(piece)
      else if (wish.requests < fewest && isDue(wish, now) && has(piece)) {
        best = piece
        fewest = wish.requests
      }
    }
    if (best < 0) return null
    note(this.#blocks.get(best)!, now)
    const file = this.#files.fileIndexAtPiece(best)
    const levels = this.#levelsOfPiece(file)
    const index = (best - this.#files.pieceIndexAtFile(file)) * 2 ** this.#pieceLevels
    return this.#request(file, 0, index, 2 ** levels, this.#trees.layersToKnown(best) + levels)
  }

  #pickRun(has: (piece: PieceIndex) => boolean, now: number): HashRequest | null {
    // downloaded pieces that add up to a file have told their hashes
    if (this.#trees.complete) this.#runs = []
    const count = this.#runs.length
    let looks = 0
    for (let i = 0; i < count; i++) {
      const at = (this.#cursor + i) % count
      const run = this.#runs[at]!
      if (!isDue(run, now)) continue
      if (looks >= MAX_LOOKS) {
        // the rest is for another time
        this.#cursor = at
        return null
      }
      const length = Math.min(RUN, this.#files.fileNumPieces(run.file) - run.first)
      looks += length
      if (!this.#hasOneOf(run, length, has) || this.#isKnown(run.file, run.first)) continue
      note(run, now)
      // one hash alone is nothing that may be asked for
      const leafs = Math.max(2, merkleNumLeafs(length))
      const layers = this.#trees.layersToKnown(this.#files.pieceIndexAtFile(run.file) + run.first)
      return this.#request(run.file, this.#pieceLevels, run.first, leafs, layers)
    }
    return null
  }

  /** Whether a peer has a piece of a run, in one of the files of that root. */
  #hasOneOf(run: RunWish, length: number, has: (piece: PieceIndex) => boolean): boolean {
    for (const file of [run.file, ...this.#trees.otherFiles(run.file)]) {
      const first = this.#files.pieceIndexAtFile(file) + run.first
      for (let piece = first; piece < first + length; piece++) if (has(piece)) return true
    }
    return false
  }

  /**
   * @param layersToKnown layers from the base, or from the node over the whole run, to the first node that is known
   */
  #request(file: FileIndex, base: number, index: number, count: number, layersToKnown: number): HashRequest {
    // the node that is known needs no proof, nor do those that follow from the run itself
    const proofLayers = Math.max(0, layersToKnown - 1, merkleNumLayers(count) - 1)
    return { root: this.#files.root(file).view(), base, index, count, proofLayers }
  }

  /** What a request was made for. */
  #wishesOf(file: FileIndex, { base, index }: HashRequest): Wish[] {
    const first = this.#trees.firstFile(file)
    if (base === this.#pieceLevels && this.#isLong(first)) {
      return this.#runs.filter(run => run.file === first && run.first === index)
    }
    if (base !== 0) return []
    const out: Wish[] = []
    for (const each of [first, ...this.#trees.otherFiles(first)]) {
      const piece = this.#files.pieceIndexAtFile(each) + Math.floor(index / 2 ** this.#pieceLevels)
      const wish = this.#blocks.get(piece)
      if (wish !== undefined) out.push(wish)
    }
    return out
  }

  #forgetKnown(): void {
    const before = this.#runs.length
    if (before > 0) this.#runs = this.#runs.filter(run => !this.#isKnown(run.file, run.first))
    if (this.#runs.length < before) this.#cursor = 0
    for (const piece of this.#blocks.keys()) if (this.#trees.blockHashes(piece) !== null) this.#blocks.delete(piece)
  }

  /** Whether the hashes of a run are known. */
  #isKnown(file: FileIndex, first: number): boolean {
    const offset = this.#files.pieceIndexAtFile(file)
    const end = Math.min(first + RUN, this.#files.fileNumPieces(file))
    for (let piece = first; piece < end; piece++) if (this.#trees.pieceRoot(offset + piece) === null) return false
    return true
  }

  #isLong(file: FileIndex): boolean {
    return this.#files.fileSize(file) > this.#files.pieceLength()
  }

  /** Layers from a piece's node down to its blocks. */
  #levelsOfPiece(file: FileIndex): number {
    return Math.min(this.#pieceLevels, merkleNumLayers(merkleNumLeafs(this.#files.fileNumBlocks(file))))
  }
}

function isDue(wish: Wish, now: number): boolean {
  return now - wish.asked >= MIN_REQUEST_INTERVAL
}

function note(wish: Wish, now: number): void {
  wish.asked = now
  wish.requests++
}
