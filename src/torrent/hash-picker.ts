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
/** What a run costs besides its pieces. */
const LOOKS_PER_RUN = 8

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
  /** By the first piece in the torrent. In order of files, to begin with. */
  readonly #runs = new Map<PieceIndex, RunWish>()
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
      const offset = files.pieceIndexAtFile(file)
      for (let first = 0; first < files.fileNumPieces(file); first += RUN) {
        const run = { file, first, asked: NEVER, requests: 0, rejects: 0 }
        if (!this.#isKnown(run)) this.#runs.set(offset + first, run)
      }
    }
  }

  /** Whether nothing is left to ask for. */
  get done(): boolean {
    return this.#blocks.size === 0 && (this.#runs.size === 0 || this.#trees.complete)
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
    const isLong = this.#files.fileSize(file) > this.#files.pieceLength()
    if (base !== this.#pieceLevels || !isLong) return base === 0
    const left = this.#files.fileNumPieces(file) - index
    return index % RUN === 0 && left > 0 && (count === RUN || (count < RUN && count >= left))
  }

  /** An answer to a request has come, and the trees have taken what it proves. What is missing still is asked for again. */
  received(file: FileIndex, request: HashRequest): void {
    for (const piece of this.#blocks.keys()) if (this.#trees.blockHashes(piece) !== null) this.#blocks.delete(piece)
    if (!this.#trees.isValidRequest(file, request)) return
    const run = this.#runOf(file, request)
    if (run !== undefined && this.#isKnown(run)) this.#runs.delete(this.#firstPiece(run))
    for (const wish of this.#wishesOf(file, request)) {
      wish.asked = NEVER
      wish.rejects = 0
    }
  }

  /** A peer will not answer a request. */
  rejected(file: FileIndex, request: HashRequest): void {
    if (!this.#trees.isValidRequest(file, request)) return
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
    if (this.#trees.complete) this.#runs.clear()
    const lacking: RunWish[] = []
    let looks = 0
    for (const run of this.#runs.values()) {
      if (!isDue(run, now)) continue
      const length = this.#length(run)
      if (!this.#hasOneOf(run, length, has)) {
        lacking.push(run)
        looks += length * (1 + this.#trees.otherFiles(run.file).length) + LOOKS_PER_RUN
        if (looks < MAX_LOOKS) continue
        // the others have their turn when it is asked again
        for (const passed of lacking) this.#moveToEnd(passed)
        return null
      }
      if (this.#isKnown(run)) {
        // pieces have proven each other
        this.#runs.delete(this.#firstPiece(run))
        continue
      }
      note(run, now)
      // one hash alone is nothing that may be asked for
      const leafs = Math.max(2, merkleNumLeafs(length))
      const layers = this.#trees.layersToKnown(this.#firstPiece(run))
      return this.#request(run.file, this.#pieceLevels, run.first, leafs, layers)
    }
    return null
  }

  #moveToEnd(run: RunWish): void {
    this.#runs.delete(this.#firstPiece(run))
    this.#runs.set(this.#firstPiece(run), run)
  }

  /** In the torrent. */
  #firstPiece(run: RunWish): PieceIndex {
    return this.#files.pieceIndexAtFile(run.file) + run.first
  }

  #length(run: RunWish): number {
    return Math.min(RUN, this.#files.fileNumPieces(run.file) - run.first)
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
   * @param layersToKnown layers from the first hash of the run up to the first node that is known
   */
  #request(file: FileIndex, base: number, index: number, count: number, layersToKnown: number): HashRequest {
    // the node that is known needs no proof, nor do those that follow from the run itself
    const proofLayers = Math.max(0, layersToKnown - 1, merkleNumLayers(count) - 1)
    return { root: this.#files.root(file).view(), base, index, count, proofLayers }
  }

  /** The run that a request was made for. */
  #runOf(file: FileIndex, { base, index }: HashRequest): RunWish | undefined {
    if (base !== this.#pieceLevels) return undefined
    const first = this.#trees.firstFile(file)
    const run = this.#runs.get(this.#files.pieceIndexAtFile(first) + index)
    // an index from a peer may lead into another file
    return run?.file === first && run.first === index ? run : undefined
  }

  /** What a request was made for. */
  #wishesOf(file: FileIndex, request: HashRequest): Wish[] {
    const run = this.#runOf(file, request)
    const out: Wish[] = run === undefined ? [] : [run]
    if (request.base !== 0) return out
    const first = this.#trees.firstFile(file)
    const piece = Math.floor(request.index / 2 ** this.#pieceLevels)
    for (const each of [first, ...this.#trees.otherFiles(first)]) {
      const wish = this.#blocks.get(this.#files.pieceIndexAtFile(each) + piece)
      if (wish !== undefined) out.push(wish)
    }
    return out
  }

  /** Whether the hashes of a run are known. */
  #isKnown(run: RunWish): boolean {
    const first = this.#firstPiece(run)
    const end = first + this.#length(run)
    for (let piece = first; piece < end; piece++) if (this.#trees.pieceRoot(piece) === null) return false
    return true
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
