/** Which files of a storage have which path: users may give two of them the same name. */

import type { FileIndex } from '../core/brands.ts'

/** Files by path. */
export class PathOwners {
  /** In most cases one file; several in ascending order. */
  readonly #files = new Map<string, FileIndex | FileIndex[]>()

  /** @param path absolute, in the form that `path.resolve` gives */
  add(path: string, file: FileIndex): void {
    const others = this.filesAt(path)
    this.#files.set(path, others.length === 0 ? file : [...others, file].sort((a, b) => a - b))
  }

  /** Undoes `add`. */
  remove(path: string, file: FileIndex): void {
    const left = this.filesAt(path).filter(other => other !== file)
    if (left.length === 0) this.#files.delete(path)
    else this.#files.set(path, left.length === 1 ? left[0]! : left)
  }

  /** Whose the path is: the first file's. -1 if it is nobody's. */
  owner(path: string): FileIndex {
    return this.filesAt(path)[0] ?? -1
  }

  filesAt(path: string): readonly FileIndex[] {
    const found = this.#files.get(path)
    if (found === undefined) return NO_FILES
    return typeof found === 'number' ? [found] : found
  }
}

const NO_FILES: readonly FileIndex[] = []
