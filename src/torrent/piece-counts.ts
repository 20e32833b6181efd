/** Which pieces are had, and how many pieces and bytes are had and wanted; padding is told apart. */

import { Bitfield } from '../core/bitfield.ts'
import type { PieceIndex } from '../core/brands.ts'
import type { PieceMap } from './piece-map.ts'

/** A set of pieces, as far as its size in bytes depends on it. */
export interface PieceCount {
  readonly numPieces: number
  /** Bytes of those pieces that are pad files. */
  readonly padBytes: number
  /** The last piece, which may be shorter, is one of them. */
  readonly lastPiece: boolean
}

/**
 * See the head of the file. A piece is wanted if its priority is not 0, filtered otherwise; "had" is `PiecePicker`'s loose
 * sense.
 *
 * Priorities are read from the `PieceMap`; its `wanted` bits are kept up to date here.
 */
export class PieceCounts {
  readonly #map: PieceMap
  readonly #pieceLength: number
  readonly #lastPieceSize: number
  readonly #bits: Bitfield
  readonly #padBytes = new Map<PieceIndex, number>()

  // `filtered`: priority 0 and not had; `haveFiltered`: and had.
  #numHave = 0
  #numFiltered = 0
  #numHaveFiltered = 0
  #allPad = 0
  #havePad = 0
  #filteredPad = 0
  #haveFilteredPad = 0

  /**
   * @param pieceLength   bytes of every piece but the last
   * @param lastPieceSize bytes
   */
  constructor(map: PieceMap, pieceLength: number, lastPieceSize: number) {
    this.#map = map
    this.#pieceLength = pieceLength
    this.#lastPieceSize = lastPieceSize
    this.#bits = new Bitfield(map.numPieces)
  }

  // ---- pieces

  has(piece: PieceIndex): boolean {
    return this.#bits.getBit(piece)
  }

  /** The pieces we have, as the `bitfield` message packs them. Not a copy: read only. */
  haveBits(): Bitfield {
    return this.#bits
  }

  numHave(): number {
    return this.#numHave
  }

  /**
   * Pieces wanted and not had.
   *
   * Deviation: libtorrent adds the pieces had and filtered, which are not missing.
   */
  numWantLeft(): number {
    return this.#map.numPieces - this.#numHave - this.#numFiltered
  }

  /** Every wanted piece is had. */
  isFinished(): boolean {
    return this.#map.numPieces - this.#numFiltered <= this.#numHave
  }

  isSeeding(): boolean {
    return this.#numHave === this.#map.numPieces
  }

  /** Padding at the end of a piece. */
  padBytes(piece: PieceIndex): number {
    return this.#padBytes.size === 0 ? 0 : (this.#padBytes.get(piece) ?? 0)
  }

  // ---- sets of pieces

  /** Pieces not filtered, had or not. */
  want(): PieceCount {
    const { numPieces, priority } = this.#map
    return {
      numPieces: numPieces - this.#numFiltered - this.#numHaveFiltered,
      padBytes: this.#allPad - this.#filteredPad - this.#haveFilteredPad,
      lastPiece: priority[numPieces - 1] !== 0,
    }
  }

  /** Pieces had of those not filtered. */
  haveWant(): PieceCount {
    const last = this.#map.numPieces - 1
    return {
      numPieces: this.#numHave - this.#numHaveFiltered,
      padBytes: this.#havePad - this.#haveFilteredPad,
      lastPiece: this.has(last) && this.#map.priority[last] !== 0,
    }
  }

  /** Pieces had. */
  have(): PieceCount {
    return { numPieces: this.#numHave, padBytes: this.#havePad, lastPiece: this.has(this.#map.numPieces - 1) }
  }

  /** Bytes of a set of pieces, padding not counted. */
  bytesOf(count: PieceCount): number {
    const bytes = count.numPieces * this.#pieceLength - count.padBytes
    return count.lastPiece ? bytes - this.#pieceLength + this.#lastPieceSize : bytes
  }

  // ---- changes

  /** Says how many bytes at the end of a piece are padding; at most once a piece. */
  setPadBytes(piece: PieceIndex, bytes: number): void {
    this.#padBytes.set(piece, bytes)
    this.#allPad += bytes
    const filtered = this.#map.priority[piece] === 0
    if (this.has(piece)) {
      this.#havePad += bytes
      if (filtered) this.#haveFilteredPad += bytes
    } else if (filtered) this.#filteredPad += bytes
  }

  gained(piece: PieceIndex): void {
    if (this.#bits.getBit(piece)) return
    this.#bits.setBit(piece)
    this.#map.setWanted(piece, false)
    this.#numHave++
    const pad = this.padBytes(piece)
    this.#havePad += pad
    if (this.#map.priority[piece] !== 0) return
    this.#numFiltered--
    this.#filteredPad -= pad
    this.#numHaveFiltered++
    this.#haveFilteredPad += pad
  }

  gainedAll(): void {
    this.#map.wanted.fill(0)
    this.#bits.setAll()
    this.#numHaveFiltered += this.#numFiltered
    this.#numFiltered = 0
    this.#haveFilteredPad += this.#filteredPad
    this.#filteredPad = 0
    this.#numHave = this.#map.numPieces
    this.#havePad = this.#allPad
  }

  lost(piece: PieceIndex): void {
    if (!this.#bits.getBit(piece)) return
    this.#bits.clearBit(piece)
    this.#numHave--
    const pad = this.padBytes(piece)
    this.#havePad -= pad
    if (this.#map.priority[piece] !== 0) {
      this.#map.setWanted(piece, true)
      return
    }
    this.#numFiltered++
    this.#filteredPad += pad
    this.#numHaveFiltered--
    this.#haveFilteredPad -= pad
  }

  /** The priority of the piece has become 0, or is 0 no more. */
  filterChanged(piece: PieceIndex): void {
    const filtered = this.#map.priority[piece] === 0
    const sign = filtered ? 1 : -1
    const pad = this.padBytes(piece)
    if (this.has(piece)) {
      this.#numHaveFiltered += sign
      this.#haveFilteredPad += sign * pad
    } else {
      this.#numFiltered += sign
      this.#filteredPad += sign * pad
      this.#map.setWanted(piece, !filtered)
    }
  }

  /** The counts agree with the pieces. Throws an `Error` if not; O(pieces), for tests. */
  checkInvariant(): void {
    const { numPieces, priority } = this.#map
    let have = 0
    let filtered = 0
    let haveFiltered = 0
    let havePad = 0
    let filteredPad = 0
    let haveFilteredPad = 0
    for (let i = 0; i < numPieces; i++) {
      const had = this.has(i)
      const off = priority[i] === 0
      if (this.#map.isWanted(i) !== (!had && !off)) throw new Error(`wanted bit of ${i}`)
      const pad = this.padBytes(i)
      if (had) {
        have++
        havePad += pad
      }
      if (off && had) {
        haveFiltered++
        haveFilteredPad += pad
      } else if (off) {
        filtered++
        filteredPad += pad
      }
    }
    const expected = [have, havePad, filtered, filteredPad, haveFiltered, haveFilteredPad].join()
    const kept = [this.#numHave, this.#havePad, this.#numFiltered, this.#filteredPad]
    const counted = [...kept, this.#numHaveFiltered, this.#haveFilteredPad].join()
    if (counted !== expected) throw new Error(`pieces and padding are counted as ${counted}, expected ${expected}`)
  }
}
