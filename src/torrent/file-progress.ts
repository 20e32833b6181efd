/** How many bytes of each file are verified, and which files are complete. */

import type { FileIndex, PieceIndex } from '../core/brands.ts'

/** What is read of the files; `FileStorage` is one. */
export interface ProgressLayout {
  numFiles(): number
  numPieces(): number
  pieceLength(): number
  totalSize(): number
  pieceSize(piece: PieceIndex): number
  fileSize(file: FileIndex): number
  fileOffset(file: FileIndex): number
  fileIndexAtOffset(offset: number): number
  padFileAt(file: FileIndex): boolean
}

/** Made when first asked for; costs 8 bytes a file. Each piece must be reported once. */
export class FileProgress {
  readonly #layout: ProgressLayout
  readonly #bytes: Float64Array

  /** @param have pieces there are already; one pass over pieces and files */
  constructor(layout: ProgressLayout, have: (piece: PieceIndex) => boolean) {
    this.#layout = layout
    this.#bytes = new Float64Array(layout.numFiles())
    const length = layout.pieceLength()
    const total = layout.totalSize()
    const pieces = layout.numPieces()
    let file = 0
    for (let piece = 0; piece < pieces; piece++) {
      if (!have(piece)) continue
      let at = piece * length
      const end = Math.min(at + length, total)
      while (file < this.#bytes.length && layout.fileOffset(file) + layout.fileSize(file) <= at) file++
      for (let f = file; at < end; f++) at += this.#credit(f, at, end)
    }
  }

  /**
   * A piece is ours now.
   *
   * @param completed called for each file, pad files not, that this piece completes; in order
   */
  pieceDone(piece: PieceIndex, completed: ((file: FileIndex) => void) | null = null): void {
    const layout = this.#layout
    let at = piece * layout.pieceLength()
    const end = at + layout.pieceSize(piece)
    for (let file = layout.fileIndexAtOffset(at); at < end; file++) {
      const added = this.#credit(file, at, end)
      at += added
      if (added > 0 && completed !== null && this.#bytes[file]! >= layout.fileSize(file) && !layout.padFileAt(file)) {
        completed(file)
      }
    }
  }

  /** A piece is lost. */
  pieceLost(piece: PieceIndex): void {
    const layout = this.#layout
    let at = piece * layout.pieceLength()
    const end = at + layout.pieceSize(piece)
    for (let file = layout.fileIndexAtOffset(at); at < end; file++) {
      const size = Math.min(layout.fileOffset(file) + layout.fileSize(file), end) - at
      this.#bytes[file]! -= size
      at += size
    }
  }

  /** By file. */
  toArray(): number[] {
    return Array.from(this.#bytes)
  }

  /** Adds what of `[at, end)` is in the file. @returns how much */
  #credit(file: FileIndex, at: number, end: number): number {
    const layout = this.#layout
    const size = Math.max(0, Math.min(layout.fileOffset(file) + layout.fileSize(file), end) - at)
    this.#bytes[file]! += size
    return size
  }
}
