/** Priorities of files, and the priorities of pieces that follow from them. */

import type { FileIndex } from '../core/brands.ts'
import { DownloadPriority } from '../core/enums.ts'

/** What is read of the files; `FileStorage` is one. */
export interface PriorityLayout {
  numFiles(): number
  numPieces(): number
  pieceLength(): number
  fileSize(file: FileIndex): number
  fileOffset(file: FileIndex): number
  padFileAt(file: FileIndex): boolean
}

const { dontDownload, defaultPriority, topPriority } = DownloadPriority

/** Clamps to 0 to 7 and drops fractions. */
export function clampPriority(priority: number): DownloadPriority {
  return Math.max(dontDownload, Math.min(topPriority, Math.trunc(priority) || 0))
}

/**
 * The priority of each piece: the highest of the files it has bytes of; 0 if it has bytes of none that is wanted.
 *
 * @param files by file; those missing at the end have the default priority; pad files have 0 whatever it says
 */
export function filePrioritiesToPieces(layout: PriorityLayout, files: readonly DownloadPriority[]): Uint8Array {
  const pieces = new Uint8Array(layout.numPieces())
  const length = layout.pieceLength()
  const count = layout.numFiles()
  for (let file = 0; file < count; file++) {
    const size = layout.fileSize(file)
    const priority = file < files.length ? files[file]! : defaultPriority
    if (size === 0 || priority === dontDownload || layout.padFileAt(file)) continue
    const offset = layout.fileOffset(file)
    const last = Math.floor((offset + size - 1) / length)
    for (let piece = Math.floor(offset / length); piece <= last; piece++) {
      if (pieces[piece]! < priority) pieces[piece] = priority
    }
  }
  return pieces
}

/** Sets the priorities of pieces and says whether wanted and unwanted changed. `PiecePicker` is one. */
export interface PrioritySink {
  setPiecePriority(piece: number, priority: DownloadPriority): boolean
}

/**
 * Applies priorities to pieces from index 0 on, as many as are given.
 *
 * @returns true if a piece changed from filtered to not, or back: interest in peers must be looked at again
 */
export function applyPiecePriorities(picker: PrioritySink, priorities: ArrayLike<number>, numPieces: number): boolean {
  let changed = false
  const count = Math.min(priorities.length, numPieces)
  for (let i = 0; i < count; i++) if (picker.setPiecePriority(i, clampPriority(priorities[i]!))) changed = true
  return changed
}

/**
 * File priorities of one torrent, kept as the storage has them.
 *
 * A change goes to the storage first (the bytes of unwanted files live in the part file) and counts when the storage
 * has answered. Changes made meanwhile wait, so only one is ever on its way. May be used before the
 * metadata is known; `attach` then fits it to the files.
 */
export class Priorities {
  #layout: PriorityLayout | null
  /** May be shorter than the file list: the rest has the default priority. */
  #files: DownloadPriority[]
  #onItsWay: DownloadPriority[] | null = null
  readonly #deferred = new Map<FileIndex, DownloadPriority>()

  /** @param initial by file, as given when the torrent was added */
  constructor(layout: PriorityLayout | null = null, initial: readonly number[] = []) {
    this.#layout = layout
    this.#files = this.#fix(initial)
  }

  /** As the storage has it; 0 for pad files and files that do not exist. */
  filePriority(file: FileIndex): DownloadPriority {
    if (file < 0) return dontDownload
    if (this.#layout !== null && (file >= this.#layout.numFiles() || this.#layout.padFileAt(file))) return dontDownload
    return this.#files[file] ?? defaultPriority
  }

  /** By file; of every file once the metadata is known. */
  filePriorities(): DownloadPriority[] {
    const out = this.#files.slice()
    if (this.#layout !== null) this.#fill(out, this.#layout.numFiles())
    return out
  }

  /** What may be shorter than the file list: resume data and the storage take it so. */
  raw(): readonly DownloadPriority[] {
    return this.#files
  }

  /** Every file is wanted at the default priority. */
  get allDefault(): boolean {
    for (let i = 0; i < this.#files.length; i++) {
      if (this.#files[i] !== defaultPriority && !(this.#layout?.padFileAt(i) ?? false)) return false
    }
    return true
  }

  /** A change is with the storage. */
  get pending(): boolean {
    return this.#onItsWay !== null
  }

  /**
   * Sets all files; those missing at the end get the default. Overrides changes that wait.
   *
   * @returns what to give to the storage now
   */
  prioritizeFiles(priorities: readonly number[]): readonly DownloadPriority[] {
    this.#deferred.clear()
    this.#onItsWay = this.#fix(priorities)
    return this.#onItsWay
  }

  /**
   * Sets one file. A file that does not exist is ignored.
   *
   * @returns what to give to the storage now; `null`: nothing, a change on its way goes first
   */
  setFilePriority(file: FileIndex, priority: number): readonly DownloadPriority[] | null {
    if (file < 0 || (this.#layout !== null && file >= this.#layout.numFiles())) return null
    if (this.#onItsWay !== null) {
      this.#deferred.set(file, clampPriority(priority))
      return null
    }
    const next = this.#files.slice()
    this.#fill(next, file + 1)
    next[file] = clampPriority(priority)
    this.#onItsWay = this.#fix(next)
    return this.#onItsWay
  }

  /**
   * The storage has answered, or there is none and the change counts at once.
   *
   * @param priorities what it has now: also after an error, which may have stopped it half way
   * @returns whether anything changed, and the next change to give to the storage, if one waited
   */
  storageUpdated(priorities: readonly DownloadPriority[]): {
    changed: boolean
    next: readonly DownloadPriority[] | null
  } {
    const before = this.filePriorities()
    this.#files = this.#fix(priorities)
    this.#onItsWay = null
    const after = this.filePriorities()
    const changed = before.length !== after.length || before.some((p, i) => p !== after[i])
    if (this.#deferred.size === 0) return { changed, next: null }
    const merged = after.slice()
    for (const [file, priority] of this.#deferred) {
      this.#fill(merged, file + 1)
      merged[file] = priority
    }
    return { changed, next: this.prioritizeFiles(merged) }
  }

  /** Priorities of the pieces, once the metadata is known, for the change on its way or what there is. */
  piecePriorities(): Uint8Array {
    if (this.#layout === null) return new Uint8Array(0)
    return filePrioritiesToPieces(this.#layout, this.#onItsWay ?? this.#files)
  }

  #fill(list: DownloadPriority[], length: number): void {
    while (list.length < length) {
      list.push(this.#layout?.padFileAt(list.length) === true ? dontDownload : defaultPriority)
    }
  }

  /** In range, no longer than the file list, pad files not wanted. */
  #fix(priorities: readonly number[]): DownloadPriority[] {
    const count = this.#layout === null ? priorities.length : Math.min(priorities.length, this.#layout.numFiles())
    const out: DownloadPriority[] = new Array(count)
    for (let i = 0; i < count; i++) {
      out[i] = this.#layout?.padFileAt(i) === true ? dontDownload : clampPriority(priorities[i]!)
    }
    return out
  }
}
