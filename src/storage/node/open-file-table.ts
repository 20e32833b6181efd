/** Which files are open in the workers, as far as their answers have told. */

import type { FileIndex } from '../../core/brands.ts'
import { FileOpenMode } from '../../core/enums.ts'
import type { OpenFile } from '../disk-io.ts'

interface Entry {
  /** Workers that have it open. */
  count: number
  openMode: number
  lastUse: number
}

/** Open files by storage, and the workers that may have some. */
export class OpenFileTable {
  readonly #files = new Map<number, Map<FileIndex, Entry>>()
  readonly #workers = new Map<number, Set<object>>()

  /** A job of the storage went to the worker. */
  used(storage: number, worker: object): void {
    const workers = this.#workers.get(storage)
    if (workers === undefined) this.#workers.set(storage, new Set([worker]))
    else workers.add(worker)
  }

  workersOf(storage: number): object[] {
    return [...(this.#workers.get(storage) ?? [])]
  }

  /** @param events `[1 or 0, storage, file, mode]` each, as in `WireAnswer.files` */
  record(events: readonly number[], now: number): void {
    for (let i = 0; i + 3 < events.length; i += 4) {
      if (events[i] === 1) this.#opened(events[i + 1]!, events[i + 2]!, events[i + 3]!, now)
      else this.#closed(events[i + 1]!, events[i + 2]!)
    }
  }

  /** Whether a file of the storage is open somewhere; certain while none of its jobs is running. */
  hasOpen(storage: number): boolean {
    return this.#files.has(storage)
  }

  /** All files of the storage are closed. */
  forget(storage: number): void {
    this.#files.delete(storage)
    this.#workers.delete(storage)
  }

  /** Files that are open, each once for every worker that has it open. */
  get size(): number {
    let size = 0
    for (const files of this.#files.values()) for (const { count } of files.values()) size += count
    return size
  }

  list(storage: number): OpenFile[] {
    const out: OpenFile[] = []
    for (const [file, entry] of this.#files.get(storage) ?? []) {
      out.push({ file, openMode: entry.openMode, lastUse: entry.lastUse })
    }
    return out
  }

  #opened(storage: number, file: FileIndex, mode: number, now: number): void {
    let files = this.#files.get(storage)
    if (files === undefined) {
      files = new Map()
      this.#files.set(storage, files)
    }
    const entry = files.get(file)
    if (entry === undefined) {
      files.set(file, { count: 1, openMode: mode, lastUse: now })
      return
    }
    entry.count++
    entry.lastUse = now
    if (mode === FileOpenMode.readWrite) entry.openMode = mode
  }

  #closed(storage: number, file: FileIndex): void {
    const files = this.#files.get(storage)
    const entry = files?.get(file)
    if (files === undefined || entry === undefined) return
    entry.count--
    if (entry.count > 0) return
    files.delete(file)
    if (files.size === 0) this.#files.delete(storage)
  }
}
