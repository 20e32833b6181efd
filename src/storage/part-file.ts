/**
 * The part file: pieces of files that are not wanted but share a piece with ones that are.
 *
 * Format (libtorrent's, all numbers big-endian 32 bit): number of pieces, piece size, then for each piece
 * the slot it lies in or 0xffffffff; filled with zeros to a multiple of 1024. Slots of one piece size
 * follow. The slot map lives on the main thread; workers write header entries along with the data.
 */

import type { PieceIndex } from '../core/brands.ts'
import { readUint32, writeUint32 } from '../core/bytes.ts'

const NO_SLOT = 0xffffffff

/** Bytes before the first slot. */
export function partHeaderSize(numPieces: number): number {
  return ((2 + numPieces) * 4 + 1023) & ~1023
}

/** Where in the header a piece's slot number stands. */
export function partEntryOffset(piece: PieceIndex): number {
  return (2 + piece) * 4
}

/** Which piece lies in which slot. */
export class PartMap {
  readonly #numPieces: number
  readonly #pieceSize: number
  readonly #slots = new Map<PieceIndex, number>()
  #free: number[] = []
  #allocated = 0

  constructor(numPieces: number, pieceSize: number) {
    this.#numPieces = numPieces
    this.#pieceSize = pieceSize
  }

  /** Pieces in the part file. */
  get size(): number {
    return this.#slots.size
  }

  pieces(): PieceIndex[] {
    return [...this.#slots.keys()]
  }

  /**
   * Takes over the header of an existing file. One of another torrent's shape, or cut short, counts as empty;
   * entries that point beyond the last piece, or at a slot that is taken, are ignored.
   *
   * @returns whether the header was one of this torrent
   */
  load(header: Uint8Array): boolean {
    this.#slots.clear()
    this.#free = []
    this.#allocated = 0
    if (header.length < partHeaderSize(this.#numPieces)) return false
    if (readUint32(header, 0) !== this.#numPieces || readUint32(header, 4) !== this.#pieceSize) return false
    const used = new Set<number>()
    for (let piece = 0; piece < this.#numPieces; piece++) {
      const slot = readUint32(header, partEntryOffset(piece))
      if (slot >= this.#numPieces || used.has(slot)) continue
      used.add(slot)
      this.#slots.set(piece, slot)
      this.#allocated = Math.max(this.#allocated, slot + 1)
    }
    for (let slot = 0; slot < this.#allocated; slot++) if (!used.has(slot)) this.#free.push(slot)
    return true
  }

  /** The whole header as it should be on disk. */
  header(): Uint8Array {
    const out = new Uint8Array(partHeaderSize(this.#numPieces))
    writeUint32(out, 0, this.#numPieces)
    writeUint32(out, 4, this.#pieceSize)
    for (let piece = 0; piece < this.#numPieces; piece++) {
      writeUint32(out, partEntryOffset(piece), this.#slots.get(piece) ?? NO_SLOT)
    }
    return out
  }

  has(piece: PieceIndex): boolean {
    return this.#slots.has(piece)
  }

  /** Offset in the part file of a piece's first byte; -1 if the piece is not there. */
  offset(piece: PieceIndex): number {
    const slot = this.#slots.get(piece)
    return slot === undefined ? -1 : partHeaderSize(this.#numPieces) + slot * this.#pieceSize
  }

  /** Slot number of a piece as the header has it. */
  entry(piece: PieceIndex): number {
    return this.#slots.get(piece) ?? NO_SLOT
  }

  /** Offset of the piece's bytes, in a slot that is taken if the piece has none yet. */
  allocate(piece: PieceIndex): number {
    if (!this.#slots.has(piece)) this.#slots.set(piece, this.#free.shift() ?? this.#allocated++)
    return this.offset(piece)
  }

  /** Gives up a piece's slot. */
  free(piece: PieceIndex): void {
    const slot = this.#slots.get(piece)
    if (slot === undefined) return
    this.#slots.delete(piece)
    this.#free.push(slot)
  }
}
