/** Open files of one disk worker: positioned reads and writes, least recently used closed first. */

import * as fs from 'node:fs'
import * as path from 'node:path'
import { FileOpenMode, Operation } from '../../core/enums.ts'
import { diskFailure, shortRead, shortWrite } from '../disk-error.ts'
import { SliceFlags, type WirePart } from '../worker-protocol.ts'
import { makeDirectories } from './make-directories.ts'

interface OpenEntry extends WriteTarget {
  readonly storage: number
  readonly file: number
  readonly path: string
  readonly writable: boolean
}

/** What `openForWrite` gives. */
export interface WriteTarget {
  readonly fd: number
  /** Bytes per write call. */
  readonly step: number
}

/** Map keys of the files of one storage are consecutive numbers; file counts stay far below this. */
const FILES_PER_STORAGE = 2 ** 26
/** Key of a storage's part file. */
const PART_SLOT = FILES_PER_STORAGE - 1
/** The kernel takes no more views in one call. */
const MAX_IOV = 1024
/** Bytes per write call to a file that has its disk space: one to sixteen calls a MiB make 0.03 s of CPU a GiB. */
const WRITE_STEP = 256 * 1024
/**
 * Bytes per write call to a file that is coming into being. Larger ones make the kernel take its page cache in larger
 * pieces of memory; where those are scarce, or new to a virtual machine, a GiB costs 0.3 to 2.7 s of CPU instead of 0.45.
 */
const FRESH_WRITE_STEP = 16 * 1024

/** Descriptors by storage and file. */
export class WorkerFiles {
  readonly #open = new Map<number, OpenEntry>()
  #limit: number
  /** `[1 opened or 0 closed, storage, file, mode]` each, since the last `takeEvents`. */
  #events: number[] = []
  /** Since the last `takeCounts`. */
  #hits = 0
  #misses = 0

  constructor(limit: number) {
    this.#limit = Math.max(1, limit)
  }

  get size(): number {
    return this.#open.size
  }

  setLimit(limit: number): void {
    this.#limit = Math.max(1, limit)
    this.#evict(this.#limit)
  }

  takeEvents(): number[] | null {
    if (this.#events.length === 0) return null
    const out = this.#events
    this.#events = []
    return out
  }

  /** How often a file that was asked for was open, or was not, since the last call. */
  takeCounts(): { readonly fileHits: number; readonly fileMisses: number } {
    const counts = { fileHits: this.#hits, fileMisses: this.#misses }
    this.#hits = 0
    this.#misses = 0
    return counts
  }

  /**
   * A descriptor of the file.
   *
   * @param flags `SliceFlags` bits: `truncate` brings the file to `fileSize`, `executable` and `part` as named
   */
  openForWrite(storage: number, file: number, name: string, flags: number, fileSize: number): WriteTarget {
    const key = keyOf(storage, file, flags)
    let entry = this.#lookup(key, name)
    if (entry?.writable === true) this.#hits++
    else {
      this.#misses++
      if (entry !== undefined) this.#close(key, entry)
      const fd = openOrCreate(name, (flags & SliceFlags.executable) !== 0, file)
      const step = isFresh(fd, fileSize, file) ? FRESH_WRITE_STEP : WRITE_STEP
      entry = this.#remember(key, { storage, file, path: name, writable: true, fd, step })
    }
    if ((flags & SliceFlags.truncate) !== 0) setSize(entry.fd, fileSize, file)
    return entry
  }

  /** A descriptor to read from. */
  openForRead(storage: number, file: number, name: string, flags: number): number {
    const key = keyOf(storage, file, flags)
    let entry = this.#lookup(key, name)
    if (entry !== undefined) this.#hits++
    else {
      this.#misses++
      let fd: number
      try {
        fd = fs.openSync(name, 'r')
      } catch (error) {
        throw diskFailure(error, Operation.fileOpen, file)
      }
      entry = this.#remember(key, { storage, file, path: name, writable: false, fd, step: 0 })
    }
    return entry.fd
  }

  /** Closes what is open of a storage. */
  closeStorage(storage: number): void {
    for (const [key, entry] of this.#open) if (entry.storage === storage) this.#close(key, entry)
  }

  closeAll(): void {
    for (const [key, entry] of this.#open) this.#close(key, entry)
  }

  #lookup(key: number, name: string): OpenEntry | undefined {
    const entry = this.#open.get(key)
    if (entry === undefined) return undefined
    if (entry.path !== name) {
      this.#close(key, entry)
      return undefined
    }
    this.#open.delete(key)
    this.#open.set(key, entry)
    return entry
  }

  #remember(key: number, entry: OpenEntry): OpenEntry {
    this.#evict(this.#limit - 1)
    this.#open.set(key, entry)
    this.#events.push(1, entry.storage, entry.file, entry.writable ? FileOpenMode.readWrite : FileOpenMode.readOnly)
    return entry
  }

  #evict(keep: number): void {
    while (this.#open.size > keep) {
      const [key, entry] = this.#open.entries().next().value as [number, OpenEntry]
      this.#close(key, entry)
    }
  }

  #close(key: number, entry: OpenEntry): void {
    this.#open.delete(key)
    this.#events.push(0, entry.storage, entry.file, 0)
    try {
      fs.closeSync(entry.fd)
    } catch {
      // The descriptor is gone either way; data that could not be written has been reported by the write.
    }
  }
}

function keyOf(storage: number, file: number, flags: number): number {
  return storage * FILES_PER_STORAGE + ((flags & SliceFlags.part) !== 0 ? PART_SLOT : file)
}

/** Opens for reading and writing; missing directories are made. */
function openOrCreate(name: string, executable: boolean, file: number): number {
  const flags = fs.constants.O_RDWR | fs.constants.O_CREAT
  const mode = executable ? 0o777 : 0o666
  try {
    return fs.openSync(name, flags, mode)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw diskFailure(error, Operation.fileOpen, file)
  }
  try {
    makeDirectories(path.dirname(name))
  } catch (error) {
    throw diskFailure(error, Operation.mkdir, file)
  }
  try {
    return fs.openSync(name, flags, mode)
  } catch (error) {
    throw diskFailure(error, Operation.fileOpen, file)
  }
}

/** Less than half of the file has disk space. */
function isFresh(fd: number, fileSize: number, file: number): boolean {
  try {
    return fs.fstatSync(fd).blocks * 512 < fileSize / 2
  } catch (error) {
    throw diskFailure(error, Operation.fileStat, file)
  }
}

function setSize(fd: number, size: number, file: number): void {
  try {
    if (fs.fstatSync(fd).size !== size) fs.ftruncateSync(fd, size)
  } catch (error) {
    throw diskFailure(error, Operation.fileTruncate, file)
  }
}

/** Fills the view from the file. A file that ends before is an error. @returns number of system calls */
export function readFully(fd: number, view: Uint8Array, position: number, operation: Operation, file: number): number {
  let at = 0
  let calls = 0
  while (at < view.length) {
    let n: number
    try {
      n = fs.readSync(fd, view, at, view.length - at, position + at)
    } catch (error) {
      throw diskFailure(error, operation, file)
    }
    calls++
    if (n === 0) throw shortRead(operation, file)
    at += n
  }
  return calls
}

/** Fills the views one after the other. @returns number of system calls */
export function readViews(
  fd: number,
  views: readonly Uint8Array[],
  position: number,
  operation: Operation,
  file: number,
): number {
  let calls = 0
  let at = position
  for (let first = 0; first < views.length; first += MAX_IOV) {
    const batch = views.slice(first, first + MAX_IOV)
    let n: number
    try {
      n = fs.readvSync(fd, batch, at)
    } catch (error) {
      throw diskFailure(error, operation, file)
    }
    calls++
    for (const view of batch) {
      // a read that stopped short is carried on view by view: it may be the end of the file
      const here = Math.min(n, view.length)
      if (here < view.length) calls += readFully(fd, view.subarray(here), at + here, operation, file)
      n -= here
      at += view.length
    }
  }
  return calls
}

/** Writes all of the view, `step` bytes at a time. @returns number of system calls */
export function writeFully(
  fd: number,
  view: Uint8Array,
  position: number,
  operation: Operation,
  file: number,
  step: number = FRESH_WRITE_STEP,
): number {
  let at = 0
  let calls = 0
  while (at < view.length) {
    let n: number
    try {
      n = fs.writeSync(fd, view, at, Math.min(step, view.length - at), position + at)
    } catch (error) {
      throw diskFailure(error, operation, file)
    }
    calls++
    if (n === 0) throw shortWrite(operation, file)
    at += n
  }
  return calls
}

/** Writes the views one after the other. @returns number of system calls */
export function writeViews(
  target: WriteTarget,
  views: readonly Uint8Array[],
  position: number,
  operation: Operation,
  file: number,
): number {
  const { fd, step } = target
  if (views.length === 1) return writeFully(fd, views[0]!, position, operation, file, step)
  if (step < WRITE_STEP) return writeRest(fd, views, 0, position, operation, file)
  let calls = 0
  let at = position
  for (let first = 0; first < views.length; first += MAX_IOV) {
    const batch = views.slice(first, first + MAX_IOV)
    let length = 0
    for (const view of batch) length += view.length
    let n: number
    try {
      n = fs.writevSync(fd, batch, at)
    } catch (error) {
      throw diskFailure(error, operation, file)
    }
    calls++
    if (n < length) calls += writeRest(fd, batch, n, at, operation, file)
    at += length
  }
  return calls
}

/** Carries on after a vectored write that stopped short, view by view. */
function writeRest(
  fd: number,
  views: readonly Uint8Array[],
  written: number,
  position: number,
  operation: Operation,
  file: number,
): number {
  let calls = 0
  let start = 0
  for (const view of views) {
    const skip = Math.max(0, Math.min(view.length, written - start))
    if (skip < view.length) calls += writeFully(fd, view.subarray(skip), position + start + skip, operation, file)
    start += view.length
  }
  return calls
}

/** Brings the header of a part file into being, then the entries of the pieces being written. */
export function writePartEntries(fd: number, part: WirePart): void {
  if (part.header !== null) writeFully(fd, part.header, 0, Operation.partfileWrite, -1)
  const entry = new Uint8Array(4)
  for (let i = 0; i < part.entries.length; i += 2) {
    new DataView(entry.buffer).setUint32(0, part.entries[i + 1]!)
    writeFully(fd, entry, part.entries[i]!, Operation.partfileWrite, -1)
  }
}

/** Waits until the file's data is on the medium. */
export function syncFile(fd: number, file: number): void {
  try {
    fs.fdatasyncSync(fd)
  } catch (error) {
    throw diskFailure(error, Operation.fileWrite, file)
  }
}
