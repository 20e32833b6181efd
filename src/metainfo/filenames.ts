/** The files of a torrent under the names they have on this machine. */

import type { Sha256Hash } from '../core/digest.ts'
import type { IndexRange } from '../core/index-range.ts'
import type { PeerRequest } from '../core/peer-request.ts'
import type { FileSlice } from './file-slice.ts'
import type { FileStorage } from './file-storage.ts'
import type { RenamedFiles } from './renamed-files.ts'

/** A `FileStorage` seen through a `RenamedFiles`; follows changes of both. */
export class Filenames {
  readonly #files: FileStorage
  readonly #renamed: RenamedFiles

  constructor(fs: FileStorage, rf: RenamedFiles) {
    this.#files = fs
    this.#renamed = rf
  }

  filePath(index: number, savePath = ''): string {
    return this.#renamed.filePath(this.#files, index, savePath)
  }

  fileAbsolutePath(index: number): boolean {
    return this.#renamed.fileAbsolutePath(this.#files, index)
  }

  fileSize(index: number): number {
    return this.#files.fileSize(index)
  }

  fileOffset(index: number): number {
    return this.#files.fileOffset(index)
  }

  /** Combination of `FileFlags`. */
  fileFlags(index: number): number {
    return this.#files.fileFlags(index)
  }

  padFileAt(index: number): boolean {
    return this.#files.padFileAt(index)
  }

  symlink(index: number): string {
    return this.#files.symlink(index)
  }

  root(index: number): Sha256Hash {
    return this.#files.root(index)
  }

  numFiles(): number {
    return this.#files.numFiles()
  }

  endFile(): number {
    return this.#files.endFile()
  }

  fileRange(): IndexRange {
    return this.#files.fileRange()
  }

  numPieces(): number {
    return this.#files.numPieces()
  }

  endPiece(): number {
    return this.#files.endPiece()
  }

  pieceLength(): number {
    return this.#files.pieceLength()
  }

  mapBlock(piece: number, offset: number, size: number): FileSlice[] {
    return this.#files.mapBlock(piece, offset, size)
  }

  mapFile(file: number, offset: number, size: number): PeerRequest {
    return this.#files.mapFile(file, offset, size)
  }
}
