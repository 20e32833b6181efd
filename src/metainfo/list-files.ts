/** Collects the files below a path, for a torrent to be made of them. */

import { resolve } from 'node:path'
import { FileFlags } from '../core/enums.ts'
import { errnoError, LibtorrentError } from '../core/error-code.ts'
import { directoryNames, linkTarget, statPath, workingDirectory } from '../core/local-files.ts'
import { CreateFileEntry, pathElements } from './create-file-entry.ts'
import { CreateFlags } from './create-flags.ts'
import type { FileStorage } from './file-storage.ts'

/** Decides which files and directories are taken; gets the full path. */
export type FilePredicate = (path: string) => boolean

/** Directories inside one another; a deeper tree is taken for a cycle of links. */
const MAX_DEPTH = 100

/**
 * Lists a file, or all files below a directory, in the order the file system gives them.
 *
 * Paths in the result start with the last part of `path`. What cannot be read is left out.
 *
 * @param path      file or directory
 * @param predicate paths for which it returns false are left out, directories with all they hold
 * @param flags     `CreateTorrent.symlinks`: keep links inside the torrent as links, and drop those that leave it;
 *   `CreateTorrent.noAttributes`: leave out hidden and executable bits
 * @throws LibtorrentError `EILSEQ` for a file whose name is not UTF-8
 */
export function listFiles(path: string, predicate: FilePredicate, flags?: number): CreateFileEntry[]
export function listFiles(path: string, flags?: number): CreateFileEntry[]
export function listFiles(path: string, second?: FilePredicate | number, third = 0): CreateFileEntry[] {
  const predicate = typeof second === 'function' ? second : null
  const flags = typeof second === 'number' ? second : third
  const clean = trimSlash(toSlashes(path))
  let full = isAbsolute(clean) ? clean : join(toSlashes(workingDirectory()), clean.replace(/^\.\//, ''))
  // `.` and `..` are no names for a torrent
  if (/(?:^|\/)\.\.?$/.test(full)) full = toSlashes(resolve(full))
  const cut = full.lastIndexOf('/')
  const lister = new Lister(cut === 0 ? '/' : full.slice(0, cut), predicate, flags)
  lister.add(full.slice(cut + 1), 0)
  return lister.files
}

/**
 * As {@link listFiles}, adding to a file storage.
 *
 * @deprecated use `listFiles`
 */
export function addFiles(storage: FileStorage, path: string, predicate: FilePredicate, flags?: number): void
export function addFiles(storage: FileStorage, path: string, flags?: number): void
export function addFiles(storage: FileStorage, path: string, second?: FilePredicate | number, third = 0): void {
  const files = typeof second === 'function' ? listFiles(path, second, third) : listFiles(path, second ?? third)
  for (const file of files) storage.addFile(file.filename, file.size, file.flags, file.mtime, file.symlink)
}

class Lister {
  readonly files: CreateFileEntry[] = []
  readonly #parent: string
  readonly #predicate: FilePredicate | null
  readonly #flags: number

  /** @param parent the directory that names are relative to */
  constructor(parent: string, predicate: FilePredicate | null, flags: number) {
    this.#parent = parent
    this.#predicate = predicate
    this.#flags = flags
  }

  /** @param name path below the parent directory */
  add(name: string, depth: number): void {
    const full = join(this.#parent, name)
    if (this.#predicate !== null && !this.#predicate(full)) return
    const keepLinks = (this.#flags & CreateFlags.symlinks) !== 0
    const status = statPath(full, !keepLinks)
    if (status instanceof Error) {
      // Deviation: a torrent silently without one of its files helps nobody. Other failures are passed over.
      if (name.includes('\ufffd')) throw new LibtorrentError(errnoError('EILSEQ'), full)
      return
    }
    if (status.isDirectory) {
      const names = depth < MAX_DEPTH ? directoryNames(full) : []
      if (names instanceof Error) return
      for (const leaf of names) this.add(`${name}/${leaf}`, depth + 1)
      return
    }
    const attributes = (this.#flags & CreateFlags.noAttributes) === 0
    let flags = 0
    if (attributes && status.isExecutable) flags |= FileFlags.flagExecutable
    if (attributes && status.isSymlink) flags |= FileFlags.flagSymlink
    if (keepLinks && (flags & FileFlags.flagSymlink) !== 0) {
      const target = this.#target(full, name)
      if (target !== null) this.files.push(new CreateFileEntry(name, 0, flags, status.mtime, target))
    } else {
      this.files.push(new CreateFileEntry(name, status.size, flags, status.mtime))
    }
  }

  /** Where a link points, relative to the root of the torrent; `null` if outside it or not wanted. @see BEP 47 */
  #target(full: string, name: string): string | null {
    const stored = linkTarget(full)
    if (stored instanceof Error) return null
    const link = toSlashes(stored)
    const root = join(this.#parent, pathElements(name)[0] ?? '')
    const target = relativeInside(root, isAbsolute(link) ? link : join(full.slice(0, full.lastIndexOf('/')), link))
    if (target === null || target === '') return null
    if (this.#predicate !== null && !this.#predicate(join(root, target))) return null
    return target
  }
}

/** Path from `base` to `target` without `.` and `..`; `null` if it is not below `base`. */
function relativeInside(base: string, target: string): string | null {
  const from = pathElements(base)
  const to = pathElements(target)
  for (let i = 0; i < from.length; i++) if (from[i] !== to[i]) return null
  const out: string[] = []
  for (const part of to.slice(from.length)) {
    if (part === '.') continue
    if (part !== '..') out.push(part)
    else if (out.pop() === undefined) return null
  }
  return out.join('/')
}

function toSlashes(path: string): string {
  return process.platform === 'win32' ? path.replaceAll('\\', '/') : path
}

function trimSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

function isAbsolute(path: string): boolean {
  return path.startsWith('/') || (process.platform === 'win32' && /^[a-zA-Z]:/.test(path))
}

function join(branch: string, leaf: string): string {
  if (branch === '' || branch === '.') return leaf
  if (leaf === '' || leaf === '.') return branch
  return branch.endsWith('/') ? branch + leaf : `${branch}/${leaf}`
}
