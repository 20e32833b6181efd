/** Names that the files of a torrent have on this machine, where they differ from its metadata. */

import type { FileStorage } from './file-storage.ts'
import { isCompletePath, joinPath, splitFirst, splitLast } from './path.ts'

/** What a new path is relative to. */
type Mode = 'torrent' | 'save path' | 'absolute'

interface Rename {
  readonly mode: Mode
  readonly path: string
}

/** New paths of some files of a torrent; the others keep theirs. */
export class RenamedFiles {
  readonly #renames = new Map<number, Rename>()

  /** The path of a file, under `savePath` unless it is absolute. */
  filePath(fs: FileStorage, index: number, savePath = ''): string {
    const rename = this.#renames.get(index)
    if (rename === undefined) return fs.filePath(index, savePath)
    switch (rename.mode) {
      case 'absolute':
        return rename.path
      case 'save path':
        return joinPath(savePath, rename.path)
      case 'torrent':
        return joinPath(joinPath(savePath, fs.name()), rename.path)
    }
  }

  /** The last part of its path. */
  fileName(fs: FileStorage, index: number): string {
    const rename = this.#renames.get(index)
    return rename === undefined ? fs.fileName(index) : splitLast(rename.path)[1]
  }

  fileAbsolutePath(fs: FileStorage, index: number): boolean {
    const rename = this.#renames.get(index)
    return rename === undefined ? fs.fileAbsolutePath(index) : rename.mode === 'absolute'
  }

  /**
   * Gives a file a new path.
   *
   * @param newFilename absolute, or relative to the save path; empty changes nothing
   */
  renameFile(fs: FileStorage, index: number, newFilename: string): void {
    if (!(index >= 0 && index < fs.numFiles())) throw new RangeError(`RenamedFiles: no file ${index}`)
    if (newFilename === '') return
    if (isCompletePath(newFilename)) {
      this.#renames.set(index, { mode: 'absolute', path: newFilename })
      return
    }
    const [first, rest] = splitFirst(newFilename)
    if (first === fs.name() && rest !== '') this.#renames.set(index, { mode: 'torrent', path: rest })
    else this.#renames.set(index, { mode: 'save path', path: newFilename })
  }

  /** All new paths by file index, fit for `importFilenames`. */
  exportFilenames(fs: FileStorage): Record<number, string> {
    const out: Record<number, string> = {}
    for (const [index, rename] of this.#renames) {
      out[index] = rename.mode === 'torrent' ? joinPath(fs.name(), rename.path) : rename.path
    }
    return out
  }

  /** Adds new paths; those of files that do not exist are passed over. */
  importFilenames(fs: FileStorage, filenames: Readonly<Record<number, string>>): void {
    for (const [key, path] of Object.entries(filenames)) {
      const index = Number(key)
      if (Number.isInteger(index) && index >= 0 && index < fs.numFiles()) this.renameFile(fs, index, path)
    }
  }

  /** Number of files that have a new path. @internal */
  size(): number {
    return this.#renames.size
  }
}
