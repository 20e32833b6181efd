/**
 * Sizes and counts of the pieces, blocks and files of one torrent.
 *
 * This is the door at which a number from the wire becomes a `PieceIndex`: behind `piece(n)` nothing
 * checks the range again. Values that hot code reads are plain fields.
 */

import { BLOCK_SIZE, type BlockIndex, type FileIndex, type PieceIndex } from '../core/brands.ts'
import { IndexRange } from '../core/index-range.ts'
import type { FileStorage } from './file-storage.ts'

export class Geometry {
  readonly files: FileStorage
  /** In bytes, pad files included. */
  readonly totalSize: number
  /** Of all pieces but the last, in bytes. */
  readonly pieceLength: number
  readonly numPieces: number
  readonly numFiles: number
  /** In all pieces but the last. */
  readonly blocksPerPiece: number
  /** In bytes. */
  readonly lastPieceSize: number
  readonly lastPieceBlocks: number
  /** Of the whole torrent, as v1 counts them. */
  readonly numBlocks: number
  /** Pieces end where their file does, without padding: true for torrents that are v2 only. */
  readonly v2Only: boolean
  /** Whether there are pad files. */
  readonly hasPadding: boolean

  /** @param v1 whether the torrent has v1 hashes, which are over whole pieces, padding included */
  constructor(files: FileStorage, v1: boolean) {
    this.files = files
    this.totalSize = files.totalSize()
    this.pieceLength = files.pieceLength()
    this.numPieces = files.numPieces()
    this.numFiles = files.numFiles()
    this.blocksPerPiece = files.blocksPerPiece()
    this.lastPieceSize = this.totalSize - (this.numPieces - 1) * this.pieceLength
    this.lastPieceBlocks = Math.ceil(this.lastPieceSize / BLOCK_SIZE)
    this.numBlocks = (this.numPieces - 1) * this.blocksPerPiece + this.lastPieceBlocks
    this.v2Only = !v1
    this.hasPadding = files.sizeOnDisk() !== this.totalSize
  }

  /** `n` as the index of a piece, `null` if there is no such piece. */
  piece(n: number): PieceIndex | null {
    return Number.isInteger(n) && n >= 0 && n < this.numPieces ? (n as PieceIndex) : null
  }

  /** `n` as the index of a file, `null` if there is no such file. */
  file(n: number): FileIndex | null {
    return Number.isInteger(n) && n >= 0 && n < this.numFiles ? (n as FileIndex) : null
  }

  /** In bytes, padding included. */
  pieceSize(piece: PieceIndex): number {
    return piece === this.numPieces - 1 ? this.lastPieceSize : this.pieceLength
  }

  /** Padding included. */
  blocksInPiece(piece: PieceIndex): number {
    return piece === this.numPieces - 1 ? this.lastPieceBlocks : this.blocksPerPiece
  }

  /** What is requested for a block, in bytes; 0 if in a v2-only torrent all of it is padding. */
  blockSize(piece: PieceIndex, block: BlockIndex): number {
    return Math.max(0, Math.min(BLOCK_SIZE, this.requestSize(piece) - block * BLOCK_SIZE))
  }

  /** Whether a range is one whole block, the only thing this library ever asks for. */
  isBlock(piece: number, start: number, length: number): boolean {
    const p = this.piece(piece)
    if (p === null || start < 0 || start % BLOCK_SIZE !== 0 || length <= 0) return false
    return length === this.blockSize(p, start / BLOCK_SIZE)
  }

  /** What is requested of a piece, in bytes: in a v2-only torrent without the padding behind its file. */
  requestSize(piece: PieceIndex): number {
    return this.v2Only ? this.files.pieceSize2(piece) : this.pieceSize(piece)
  }

  /**
   * Whether a peer may ask for this range: inside the piece, and not empty.
   *
   * Deviation: of a v2-only torrent libtorrent 2.1 refuses what goes over the end of the file in the piece. 2.0, which
   * most clients are made with, asks for whole blocks there and takes zeros for what is behind, so it gets them.
   */
  isValidRequest(piece: number, start: number, length: number): boolean {
    const p = this.piece(piece)
    return p !== null && start >= 0 && length > 0 && start + length <= this.pieceSize(p)
  }

  /** The file in which a piece ends. */
  lastFileOfPiece(piece: PieceIndex): FileIndex {
    return this.files.lastFileIndexAtPiece(piece) as FileIndex
  }

  /** Bytes of padding at the end of pieces, of those that end in some. Padding elsewhere is downloaded like any data. */
  *paddingOfPieces(): Generator<[piece: PieceIndex, bytes: number]> {
    if (!this.hasPadding) return
    const { files, pieceLength } = this
    for (let f = 0; f < this.numFiles; f++) {
      if (!files.padFileAt(f) || files.fileSize(f) === 0) continue
      const end = files.fileOffset(f) + files.fileSize(f)
      if (end % pieceLength !== 0 && end !== this.totalSize) continue
      let left = files.fileSize(f)
      for (let piece = Math.ceil(end / pieceLength) - 1; left > 0; piece--) {
        const inPiece = Math.min(left, Math.min(end, (piece + 1) * pieceLength) - piece * pieceLength)
        yield [piece, inPiece]
        left -= inPiece
      }
    }
  }

  /** The pieces that have bytes of a file; none for an empty one. */
  piecesOfFile(file: FileIndex): IndexRange {
    const start = this.files.fileOffset(file)
    const first = Math.floor(start / this.pieceLength)
    const size = this.files.fileSize(file)
    if (size === 0) return new IndexRange(first, first)
    return new IndexRange(first, Math.floor((start + size - 1) / this.pieceLength) + 1)
  }
}
