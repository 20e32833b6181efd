/** The pieces a super seeding torrent shows to one peer. @see BEP 16 */

import type { PieceIndex } from '../core/brands.ts'

/** No piece. */
export const NO_PIECE = -1

/** Pieces shown to one peer: the newest, and the one before, which it may still be asking for. */
export class SuperSeedView {
  #current: PieceIndex = NO_PIECE
  #previous: PieceIndex = NO_PIECE

  /** It is being shown one piece or two. */
  get active(): boolean {
    return this.#current !== NO_PIECE
  }

  /** The peer may ask for the piece. */
  shows(piece: PieceIndex): boolean {
    return piece !== NO_PIECE && (piece === this.#current || piece === this.#previous)
  }

  /**
   * Shows one more piece; the caller sends `have`.
   *
   * @param replaced the one it has got by now: it is dropped first; `NO_PIECE` to drop the older one
   */
  show(piece: PieceIndex, replaced: PieceIndex = NO_PIECE): void {
    if (replaced !== NO_PIECE && this.#current === replaced) {
      this.#current = this.#previous
      this.#previous = replaced
    }
    this.#previous = this.#current
    this.#current = piece
  }

  /** Ends it. @returns true if it was on: the caller then sends all it has */
  end(): boolean {
    const was = this.active
    this.#current = NO_PIECE
    this.#previous = NO_PIECE
    return was
  }
}
