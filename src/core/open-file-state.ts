/** One open file of a torrent, as the API shows it. */

import type { FileOpenMode } from './enums.ts'

export class OpenFileState {
  readonly fileIndex: number
  /** A combination of `FileOpenMode`. */
  readonly openMode: FileOpenMode
  /** When it was last read or written. */
  readonly lastUse: Date

  constructor(fileIndex = 0, openMode: FileOpenMode = 0, lastUse: Date = new Date(0)) {
    this.fileIndex = fileIndex
    this.openMode = openMode
    this.lastUse = lastUse
  }
}
