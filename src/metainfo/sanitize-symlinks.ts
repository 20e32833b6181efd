/** Keeps symlinks inside the torrent (BEP 47): one that points anywhere else is made to point to itself. */

import { FileFlags } from '../core/enums.ts'
import type { FileStorage } from './file-storage.ts'
import { isCompletePath, joinPath, splitFirst } from './path.ts'

/**
 * Links one path may lead through. Deviation: libtorrent has no limit, so its time grows with the square of their
 * number; a system would not open such a path anyway.
 */
const MAX_LINKS = 40

/**
 * Rewrites the symlinks of a torrent whose target is not one of its files, directories or other symlinks. Targets
 * relative to the link itself are accepted and made relative to the torrent. Costs nothing without symlinks.
 */
export function sanitizeSymlinks(files: FileStorage): void {
  if (files.hasSymlinks()) new SymlinkCheck(files).run()
}

class SymlinkCheck {
  readonly #files: FileStorage
  /** Every file by its path; of two with one path the first. */
  readonly #byPath = new Map<string, number>()
  /** Directories, with all that are above them. */
  readonly #directories = new Set<string>()
  /** Symlinks that may stand for a directory, and where they lead. */
  readonly #links = new Map<string, string>()
  /** Steps left before links that lead through links are given up on. */
  #budget: number

  constructor(files: FileStorage) {
    this.#files = files
    for (let i = 0; i < files.numFiles(); i++) {
      const path = files.innerPath(i)
      if (!this.#byPath.has(path)) this.#byPath.set(path, i)
    }
    for (const path of files.paths()) this.#addDirectory(path)
    this.#budget = 100_000 + 4 * files.numFiles()
  }

  run(): void {
    const files = this.#files
    const indirect: number[] = []
    for (let i = 0; i < files.numFiles(); i++) {
      if ((files.fileFlags(i) & FileFlags.flagSymlink) !== 0 && !this.#direct(i)) indirect.push(i)
    }
    for (const i of indirect) {
      if (!this.#reaches(files.innerSymlink(i))) files.setInnerSymlink(i, files.innerPath(i))
    }
  }

  /** Settles a link whose target needs no other link to be found. */
  #direct(i: number): boolean {
    const files = this.#files
    const target = files.innerSymlink(i)
    const own = files.innerPath(i)
    if (isCompletePath(target)) {
      files.setInnerSymlink(i, own)
      return true
    }
    if (this.#settle(own, target)) return true
    const path = files.pathIndexOf(i)
    if (path >= 0) {
      const relative = joinPath(files.paths()[path]!, target)
      if (this.#settle(own, relative)) {
        files.setInnerSymlink(i, relative)
        return true
      }
    }
    // whether it leads to a file or a directory is not known; taking it for a directory is the safe guess
    this.#links.set(own, target)
    return false
  }

  #settle(own: string, target: string): boolean {
    const file = this.#byPath.get(target)
    if (file !== undefined) {
      if ((this.#files.fileFlags(file) & FileFlags.flagSymlink) !== 0) this.#links.set(own, target)
      return true
    }
    if (!this.#directories.has(target)) return false
    this.#links.set(own, target)
    return true
  }

  /** Follows a path element by element, through links, each at most once. */
  #reaches(target: string): boolean {
    const traversed = new Set<string>()
    let at = splitFirst(target)[0].length
    while (at < target.length) {
      if (--this.#budget < 0) return false
      const branch = target.slice(0, at)
      if (!this.#directories.has(branch)) {
        const link = this.#links.get(branch)
        if (link === undefined || traversed.has(branch) || traversed.size === MAX_LINKS) return false
        traversed.add(branch)
        target = joinPath(link, target.slice(at + 1))
        // the path has changed: from its start again
        at = -1
      }
      const next = target.indexOf('/', at + 1)
      at = next < 0 ? target.length : next
    }
    return this.#byPath.has(target) || this.#directories.has(target)
  }

  #addDirectory(path: string): void {
    while (path !== '' && !this.#directories.has(path)) {
      this.#directories.add(path)
      path = path.slice(0, Math.max(0, path.lastIndexOf('/')))
    }
  }
}
