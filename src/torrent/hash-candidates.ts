/** Piece hashes that were computed from data before there was anything to compare them with. */

import { equalAt } from '../core/bytes.ts'
import { HASH_SIZE, merklePadAt } from '../metainfo/merkle.ts'
import type { MerkleTree } from '../metainfo/merkle-tree.ts'

/** Pieces whose hashes are stored together. */
const PAGE = 512
const NO_HASHES = new Uint8Array(0)

/** What a candidate turned out to be. */
export type Verdict = 'passed' | 'failed' | 'doubtful'

interface Page {
  readonly hashes: Uint8Array
  /** One byte a piece. */
  readonly has: Uint8Array
  count: number
}

/** Candidates of one file. Pieces are counted in the file. */
export class HashCandidates {
  readonly #pieces: number
  readonly #pages = new Map<number, Page>()
  #count = 0

  constructor(pieces: number) {
    this.#pieces = pieces
  }

  /** Number of candidates. */
  get count(): number {
    return this.#count
  }

  get memoryBytes(): number {
    return this.#pages.size * Math.min(PAGE, this.#pieces) * (HASH_SIZE + 1)
  }

  has(piece: number): boolean {
    return this.#get(piece) !== null
  }

  set(piece: number, root: Uint8Array): void {
    const number = Math.floor(piece / PAGE)
    let page = this.#pages.get(number)
    if (page === undefined) {
      const size = Math.min(PAGE, this.#pieces)
      page = { hashes: new Uint8Array(size * HASH_SIZE), has: new Uint8Array(size), count: 0 }
      this.#pages.set(number, page)
    }
    page.hashes.set(root, (piece % PAGE) * HASH_SIZE)
    if (page.has[piece % PAGE] === 1) return
    page.has[piece % PAGE] = 1
    page.count++
    this.#count++
  }

  delete(piece: number): void {
    const page = this.#pages.get(Math.floor(piece / PAGE))
    if (page === undefined || page.has[piece % PAGE] !== 1) return
    page.has[piece % PAGE] = 0
    this.#count--
    if (--page.count === 0) this.#pages.delete(Math.floor(piece / PAGE))
  }

  /**
   * Decides the candidates of a range of pieces as far as the tree allows, and forgets those.
   *
   * A candidate whose piece hash is known is compared with it. Where a node further up is the first that is known,
   * all pieces under it can be decided at once, when there are candidates for all of them: if they are right the
   * tree takes them. If not, one or more are wrong; they stay candidates.
   *
   * @param decided called for each of them
   */
  settle(tree: MerkleTree, first: number, end: number, decided: (piece: number, verdict: Verdict) => void): void {
    for (let piece = this.#next(first, end); piece >= 0; ) {
      const layers = tree.layersToKnown(piece)
      const start = Math.floor(piece / 2 ** layers) * 2 ** layers
      const stop = Math.min(start + 2 ** layers, this.#pieces)
      if (layers === 0) {
        const passed = equalAt(this.#get(piece)!, 0, tree.pieceRoot(piece)!, 0, HASH_SIZE)
        this.delete(piece)
        decided(piece, passed ? 'passed' : 'failed')
      } else if (this.#hasAll(start, stop)) {
        const passed = this.#offer(tree, start, stop, 2 ** layers)
        const verdict = passed ? 'passed' : stop - start > 1 ? 'doubtful' : 'failed'
        for (let i = start; i < stop; i++) {
          if (verdict !== 'doubtful') this.delete(i)
          decided(i, verdict)
        }
      }
      piece = this.#next(stop, end)
    }
  }

  #get(piece: number): Uint8Array | null {
    const page = this.#pages.get(Math.floor(piece / PAGE))
    if (page === undefined || page.has[piece % PAGE] !== 1) return null
    return page.hashes.subarray((piece % PAGE) * HASH_SIZE, ((piece % PAGE) + 1) * HASH_SIZE)
  }

  /** The first candidate from a piece on, -1 if there is none before `end`. */
  #next(from: number, end: number): number {
    for (let piece = from; piece < end; ) {
      const page = this.#count === 0 ? null : this.#pages.get(Math.floor(piece / PAGE))
      if (page === null) return -1
      const pageEnd = Math.min(end, (Math.floor(piece / PAGE) + 1) * PAGE)
      if (page === undefined) piece = pageEnd
      else for (; piece < pageEnd; piece++) if (page.has[piece % PAGE] === 1) return piece
    }
    return -1
  }

  #hasAll(first: number, end: number): boolean {
    if (end - first > this.#count) return false
    for (let piece = first; piece < end; ) {
      const page = this.#pages.get(Math.floor(piece / PAGE))
      if (page === undefined) return false
      const pageEnd = Math.min(end, (Math.floor(piece / PAGE) + 1) * PAGE)
      if (page.count === page.has.length) piece = pageEnd
      else for (; piece < pageEnd; piece++) if (page.has[piece % PAGE] !== 1) return false
    }
    return true
  }

  /** Gives the tree the hashes of all pieces under a node. @returns whether they are right */
  #offer(tree: MerkleTree, first: number, end: number, leafs: number): boolean {
    const whole = first === 0 && end === this.#pieces
    const roots = new Uint8Array((whole ? end : leafs) * HASH_SIZE)
    for (let i = first; i < end; i++) roots.set(this.#get(i)!, (i - first) * HASH_SIZE)
    if (whole) return tree.loadPieceLayer(roots)
    const pad = merklePadAt(tree.pieceLevels)
    for (let i = end - first; i < leafs; i++) roots.set(pad, i * HASH_SIZE)
    return tree.addHashes(tree.pieceLevels, first, roots, NO_HASHES) !== null
  }
}
