/** Where the pieces that are still to be picked begin and end: what picking in sequence walks, and a user may limit. */

import type { PieceIndex } from '../core/brands.ts'
import type { PieceMap } from './piece-map.ts'

/**
 * See the head of the file.
 *
 * Every piece below `cursor` and from `reverseCursor` on is done: flushed or filtered. When all are, `cursor` is the number of
 * pieces and `reverseCursor` 0.
 */
export class PickCursors {
  readonly #map: PieceMap
  #cursor: PieceIndex = 0
  #reverseCursor: PieceIndex

  constructor(map: PieceMap) {
    this.#map = map
    this.#reverseCursor = map.numPieces
  }

  /** Lowest piece not had (and not filtered); the number of pieces if there is none. */
  get cursor(): PieceIndex {
    return this.#cursor
  }

  /** One past the highest piece not had (and not filtered); 0 if there is none. */
  get reverseCursor(): PieceIndex {
    return this.#reverseCursor
  }

  /**
   * Limits sequential picking to a range, until pieces of it complete.
   *
   * @param last inclusive
   */
  setRange(first: PieceIndex, last: PieceIndex): void {
    const map = this.#map
    this.#cursor = first
    this.#reverseCursor = last + 1
    while (this.#cursor < map.numPieces && map.isDone(this.#cursor)) this.#cursor++
    while (this.#reverseCursor > 0 && map.isDone(this.#reverseCursor - 1)) this.#reverseCursor--
    this.#closeIfEmpty()
  }

  /** A piece became flushed or filtered. */
  tighten(piece: PieceIndex): void {
    const map = this.#map
    if (piece === this.#cursor) {
      while (this.#cursor < this.#reverseCursor && map.isDone(this.#cursor)) this.#cursor++
    }
    if (piece === this.#reverseCursor - 1) {
      while (this.#reverseCursor > this.#cursor && map.isDone(this.#reverseCursor - 1)) this.#reverseCursor--
    }
    this.#closeIfEmpty()
  }

  /** A piece is to be picked again. */
  widen(piece: PieceIndex): void {
    if (piece < this.#cursor) this.#cursor = piece
    if (piece >= this.#reverseCursor) this.#reverseCursor = piece + 1
  }

  /** Every piece is done. */
  close(): void {
    this.#cursor = this.#map.numPieces
    this.#reverseCursor = 0
  }

  #closeIfEmpty(): void {
    if (this.#cursor >= this.#reverseCursor) this.close()
  }

  /** They stand at pieces that are to be picked. Throws an `Error` if not; for tests. */
  checkInvariant(): void {
    const map = this.#map
    if (this.#cursor === map.numPieces) {
      if (this.#reverseCursor !== 0) throw new Error('the reverse cursor of a finished torrent is not 0')
      return
    }
    if (this.#cursor >= this.#reverseCursor) throw new Error('cursors are not in order')
    if (map.isDone(this.#cursor)) throw new Error('the cursor is at a piece that is done')
    if (map.isDone(this.#reverseCursor - 1)) throw new Error('the reverse cursor is after a piece that is done')
  }
}
