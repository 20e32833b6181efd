/** Pieces worth suggesting to peers: rarely had, and read lately, so likely in the read cache. @see BEP 6 */

import type { Bitfield } from '../core/bitfield.ts'
import type { PieceIndex } from '../core/brands.ts'

/** Inverse of the weight of a new sample in the running mean. */
const INVERTED_GAIN = 30

/** See the head of the file. */
export class SuggestPieces {
  /** The best last. */
  #pieces: PieceIndex[] = []
  #mean = 0
  #samples = 0

  get size(): number {
    return this.#pieces.length
  }

  /**
   * A piece is in memory: it was read for a peer, or has just come. It is kept if it is no more common than the average
   * of those before it; so the first is, only if nobody has it.
   *
   * @param availability percent of the peers that have it
   * @param maxPieces `max_suggest_pieces`; the oldest go
   */
  pieceRead(piece: PieceIndex, availability: number, maxPieces: number): void {
    const mean = this.#mean
    this.#addSample(availability)
    if (availability > mean) return
    const at = this.#pieces.indexOf(piece)
    if (at !== -1) this.#pieces.splice(at, 1)
    this.#pieces.push(piece)
    if (this.#pieces.length > maxPieces) this.#pieces.splice(0, this.#pieces.length - Math.max(0, maxPieces))
  }

  /** A piece is ours no more. */
  pieceLost(piece: PieceIndex): void {
    const at = this.#pieces.indexOf(piece)
    if (at !== -1) this.#pieces.splice(at, 1)
  }

  /**
   * Pieces to suggest to a peer, the best last (so sent last, and remembered longest).
   *
   * @param has     what the peer has
   * @param already suggested to it
   * @param count   how many at most
   */
  pick(has: Bitfield | 'all', already: readonly PieceIndex[], count: number): PieceIndex[] {
    const out: PieceIndex[] = []
    if (has === 'all') return out
    for (let i = this.#pieces.length - 1; i >= 0 && out.length < count; i--) {
      const piece = this.#pieces[i]!
      if (!has.getBit(piece) && !already.includes(piece)) out.push(piece)
    }
    return out.reverse()
  }

  #addSample(value: number): void {
    if (this.#samples < INVERTED_GAIN) this.#samples++
    this.#mean += (value - this.#mean) / this.#samples
  }
}
