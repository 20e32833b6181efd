/** Gives files of a torrent that would overwrite one another, or stand where a directory must be, other names. */

import { FileFlags } from '../core/enums.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import type { FileStorage } from './file-storage.ts'
import { failLoad } from './parse-file-entry.ts'
import { asciiLower, joinPath, pathExtension, withoutExtension } from './path.ts'

/**
 * Finds names that are the same but for the case of letters.
 *
 * Pad files of the same size may share a name. All others after the first get `.1`, `.2` ... before their
 * extension.
 *
 * @param maxCollisions tries to find a free name, over all files, before this is taken for an attack
 * @returns the new paths by file index, empty for nearly every torrent
 * @throws LibtorrentError `tooManyDuplicateFilenames`
 */
export function resolveDuplicateFilenames(files: FileStorage, maxCollisions: number): Record<number, string> {
  return new NameHashes(files).allDistinct() ? {} : renameDuplicates(files, maxCollisions)
}

const OFFSET_1 = 0x811c9dc5 | 0
const OFFSET_2 = 0x2f0b4c47 | 0
const PRIME_1 = 0x01000193
const PRIME_2 = 0x5bd1e995
const SLASH = 0x2f

const LOWER = new Uint8Array(256)
for (let i = 0; i < 256; i++) LOWER[i] = i >= 65 && i <= 90 ? i + 32 : i

/**
 * The quick look: hashes of all paths in lower case, without making text of them.
 *
 * Two hashes of 32 bits make accidents unlikely. Whoever forges equal ones, or crowds the table, only gets the
 * careful way, whose tables cannot be crowded.
 */
class NameHashes {
  readonly #files: FileStorage
  /** Pairs of hashes, open addressing; `#used` marks slots that are taken. */
  readonly #slots: Int32Array
  readonly #used: Uint8Array
  readonly #mask: number
  #probesLeft: number
  #h1 = 0
  #h2 = 0

  constructor(files: FileStorage) {
    this.#files = files
    let entries = files.numFiles()
    for (const path of files.paths()) entries += countElements(path)
    let size = 16
    while (size < entries * 2) size *= 2
    this.#slots = new Int32Array(size * 2)
    this.#used = new Uint8Array(size)
    this.#mask = size - 1
    this.#probesLeft = 1000 + 8 * entries
  }

  allDistinct(): boolean {
    const files = this.#files
    const paths = files.paths()
    const name = new TextEncoder().encode(files.name())
    /** Hash state behind each directory and its separator, with the torrent's name in front and without. */
    const states = new Int32Array(paths.length * 4)
    for (let i = 0; i < paths.length; i++) {
      const path = Buffer.from(paths[i]!, 'utf8')
      this.#start()
      this.#addDirectory(path, false)
      states[4 * i + 2] = this.#h1
      states[4 * i + 3] = this.#h2
      this.#start()
      this.#bytes(name, 0, name.length)
      this.#byte(SLASH)
      this.#addDirectory(path, true)
      states[4 * i] = this.#h1
      states[4 * i + 1] = this.#h2
    }
    const source = files.sourceView()
    for (let i = 0; i < files.numFiles(); i++) {
      const path = files.pathIndexOf(i)
      if (path < 0) this.#start()
      else {
        const at = 4 * path + (files.lacksRoot(i) ? 2 : 0)
        this.#h1 = states[at]!
        this.#h2 = states[at + 1]!
      }
      const nameAt = files.borrowedNameAt(i)
      if (nameAt >= 0) this.#bytes(source, nameAt, nameAt + files.borrowedNameLength(i))
      else {
        const own = Buffer.from(files.fileName(i), 'utf8')
        this.#bytes(own, 0, own.length)
      }
      if (!this.#insert()) return false
    }
    return true
  }

  /** Goes over a directory and its separator; `enter` puts it and those above it into the table. */
  #addDirectory(path: Uint8Array, enter: boolean): void {
    if (path.length === 0) return
    let from = 0
    for (let at = 0; at <= path.length; at++) {
      if (at < path.length && path[at] !== SLASH) continue
      this.#bytes(path, from, at)
      from = at + 1
      // one that is there already is the same directory, or in the worst case reported later
      if (enter) this.#insert()
      this.#byte(SLASH)
    }
  }

  #start(): void {
    this.#h1 = OFFSET_1
    this.#h2 = OFFSET_2
  }

  #byte(c: number): void {
    this.#h1 = Math.imul(this.#h1 ^ c, PRIME_1)
    this.#h2 = Math.imul((this.#h2 << 5) ^ (this.#h2 >>> 27) ^ c, PRIME_2)
  }

  #bytes(b: Uint8Array, from: number, to: number): void {
    let h1 = this.#h1
    let h2 = this.#h2
    for (let i = from; i < to; i++) {
      const c = LOWER[b[i]!]!
      h1 = Math.imul(h1 ^ c, PRIME_1)
      h2 = Math.imul((h2 << 5) ^ (h2 >>> 27) ^ c, PRIME_2)
    }
    this.#h1 = h1
    this.#h2 = h2
  }

  /** @returns false if the hash was there, or the table is too crowded to tell */
  #insert(): boolean {
    const h1 = this.#h1
    const h2 = this.#h2
    const slots = this.#slots
    let slot = (h1 ^ (h1 >>> 15) ^ Math.imul(h2, 0x9e3779b1)) & this.#mask
    while (this.#used[slot] === 1) {
      if (slots[2 * slot] === h1 && slots[2 * slot + 1] === h2) return false
      if (--this.#probesLeft < 0) return false
      slot = (slot + 1) & this.#mask
    }
    this.#used[slot] = 1
    slots[2 * slot] = h1
    slots[2 * slot + 1] = h2
    return true
  }
}

function countElements(path: string): number {
  let count = 1
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) count++
  return count
}

const DIRECTORY = -1

/** The careful way: full paths in lower case. */
function renameDuplicates(files: FileStorage, maxCollisions: number): Record<number, string> {
  const taken = new Map<string, number>()
  const name = asciiLower(files.name())
  for (const path of files.paths()) {
    let whole = joinPath(name, asciiLower(path))
    while (whole !== '' && taken.get(whole) === undefined) {
      taken.set(whole, DIRECTORY)
      whole = whole.slice(0, Math.max(0, whole.lastIndexOf('/')))
    }
  }
  const renamed: Record<number, string> = {}
  let collisions = 0
  for (let i = 0; i < files.numFiles(); i++) {
    const path = files.filePath(i)
    const key = asciiLower(path)
    const other = taken.get(key)
    if (other === undefined) {
      taken.set(key, i)
      continue
    }
    if (other !== DIRECTORY && samePadding(files, i, other)) continue
    const base = withoutExtension(path)
    const extension = pathExtension(path)
    for (let n = 1; ; n++) {
      const candidate = `${base}.${n}${extension}`
      const candidateKey = asciiLower(candidate)
      if (!taken.has(candidateKey)) {
        taken.set(candidateKey, i)
        renamed[i] = candidate
        break
      }
      if (++collisions > maxCollisions) failLoad(LibtorrentErrors.tooManyDuplicateFilenames)
    }
  }
  return renamed
}

function samePadding(files: FileStorage, a: number, b: number): boolean {
  const both = files.fileFlags(a) & files.fileFlags(b)
  return (both & FileFlags.flagPadFile) !== 0 && files.fileSize(a) === files.fileSize(b)
}
