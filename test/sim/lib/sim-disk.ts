/** A disk in virtual time: slow, and faulty when told to be. What it holds survives the session that wrote it. */

import { BLOCK_SIZE, type FileIndex, type PieceIndex } from '../../../src/core/brands.ts'
import type { MoveFlags } from '../../../src/core/enums.ts'
import { errnoError } from '../../../src/core/error-code.ts'
import { Operation } from '../../../src/core/operation.ts'
import {
  type BlockSource,
  type CheckResult,
  CheckStatus,
  type CommitResult,
  type DiskError,
  type DiskIo,
  type DiskSettings,
  type DiskStats,
  type HashResult,
  type OpenFile,
  type PieceHashes,
  type ReadFlags,
  type ReadResult,
  type ResumeFacts,
  type StorageHandle,
  type StorageOptions,
} from '../../../src/storage/disk-io.ts'
import { createMemoryDisk } from '../../../src/storage/memory-disk.ts'
import type { Slot, SlotPool } from '../../../src/storage/slab.ts'
import type { EventLog } from './event-log.ts'
import type { SimClock } from './sim-clock.ts'

export interface SimDriveOptions {
  /** Per job. */
  readonly seekMs?: number
  readonly readBytesPerSecond?: number
  readonly writeBytesPerSecond?: number
  readonly hashBytesPerSecond?: number
}

const DEFAULTS: Required<SimDriveOptions> = {
  seekMs: 2,
  readBytesPerSecond: 100e6,
  writeBytesPerSecond: 100e6,
  hashBytesPerSecond: 500e6,
}

/** The hardware: it outlives the sessions that use it, and its faults are set here. */
export class SimDrive {
  readonly options: Required<SimDriveOptions>
  /** By save path and torrent: what was written when the storage was last removed. */
  readonly contents = new Map<string, Map<PieceIndex, Uint8Array>>()
  /** Bytes that may still be written before the disk is full. */
  freeBytes = Number.POSITIVE_INFINITY
  /** Blocks that are still written as they came; in each one after that a bit flips before it is hashed. */
  blocksUntilCorruption = Number.POSITIVE_INFINITY
  /** Set: jobs fail with this `errno` name. */
  failure: string | null = null
  #failingWrites: { readonly name: string; readonly which: (savePath: string) => boolean } | null = null
  #hung: ((savePath: string) => boolean) | null = null
  readonly #wake = new Set<() => void>()

  constructor(options: SimDriveOptions = {}) {
    this.options = { ...DEFAULTS, ...options }
  }

  /** Writes to the storages that `which` picks fail with this `errno` name; `null`: no more. */
  failWrites(name: string | null, which: (savePath: string) => boolean = () => true): void {
    this.#failingWrites = name === null ? null : { name, which }
  }

  /** @internal */
  writeFailure(savePath: string): string | null {
    return this.#failingWrites?.which(savePath) === true ? this.#failingWrites.name : null
  }

  /** Nothing moves any more, in all storages or in those whose save path `which` picks. */
  hang(which: (savePath: string) => boolean = () => true): void {
    this.#hung = which
  }

  unhang(): void {
    this.#hung = null
    for (const wake of [...this.#wake]) wake()
  }

  /** Puts a torrent's data there as if an earlier session had written it. */
  fill(savePath: string, partFileName: string, pieces: ReadonlyMap<PieceIndex, Uint8Array>): void {
    this.contents.set(`${savePath}/${partFileName}`, new Map(pieces))
  }

  isHung(savePath: string): boolean {
    return this.#hung?.(savePath) === true
  }

  /** @internal */
  onUnhang(wake: () => void): void {
    this.#wake.add(wake)
  }

  /** @internal */
  forget(wake: () => void): void {
    this.#wake.delete(wake)
  }
}

interface Job {
  readonly costMs: number
  /** Starts the job on the disk below. */
  readonly run: () => void
}

/** One storage: its own queue, so that it does not wait for the others. */
class SimStorage implements StorageHandle {
  readonly id: number
  readonly options: StorageOptions
  readonly below: StorageHandle
  readonly written = new Set<PieceIndex>()
  savePath: string
  readonly collected: Job[] = []
  readonly queue: Job[] = []
  busy = false
  removed = false

  constructor(id: number, options: StorageOptions, below: StorageHandle) {
    this.id = id
    this.options = options
    this.below = below
    this.savePath = options.savePath
  }

  get key(): string {
    return `${this.savePath}/${this.options.partFileName}`
  }

  pieceSize(piece: PieceIndex): number {
    const { files } = this.options
    return Math.min(files.pieceLength(), files.totalSize() - piece * files.pieceLength())
  }

  /** The file may come into being by itself: what there is of it in the end is kept. */
  keepFile(file: FileIndex): void {
    const { files } = this.options
    const end = files.fileOffset(file) + files.fileSize(file)
    const first = Math.floor(files.fileOffset(file) / files.pieceLength())
    for (let piece = first; piece * files.pieceLength() < end; piece++) this.written.add(piece)
  }
}

/** `DiskIo` of one session on a {@link SimDrive}: the memory back-end, with the drive's time and faults in front. */
export class SimDisk implements DiskIo {
  readonly #clock: SimClock
  readonly #log: EventLog
  readonly #drive: SimDrive
  readonly #door: (fn: () => void) => void
  readonly #below: DiskIo
  readonly #storages = new Map<number, SimStorage>()
  readonly #wake = () => {
    for (const storage of this.#storages.values()) this.#next(storage)
  }
  /** With jobs that were not handed over yet; also removed ones, whose jobs are aborted. */
  readonly #touched = new Set<SimStorage>()
  #nextId = 1
  #closing: (() => void) | null = null

  /** @param door what callbacks run inside: the turn of an engine */
  constructor(
    clock: SimClock,
    log: EventLog,
    drive: SimDrive = new SimDrive(),
    door: (fn: () => void) => void = fn => fn(),
  ) {
    this.#clock = clock
    this.#log = log
    this.#drive = drive
    this.#door = door
    this.#below = createMemoryDisk({ defer: fn => clock.defer(() => door(fn)) })
    drive.onUnhang(this.#wake)
  }

  get slots(): SlotPool {
    return this.#below.slots
  }

  addStorage(options: StorageOptions): StorageHandle {
    const storage = new SimStorage(this.#nextId++, options, this.#below.addStorage(options))
    this.#storages.set(storage.id, storage)
    const kept = this.#drive.contents.get(storage.key)
    if (kept !== undefined) this.#restore(storage, kept)
    return storage
  }

  removeStorage(handle: StorageHandle): void {
    const storage = this.#storage(handle)
    if (storage.removed) throw new Error('SimDisk: removed twice')
    storage.removed = true
    this.#add(storage, 0, () => {
      this.#keep(storage, () => {
        this.#below.removeStorage(storage.below)
        this.#below.submit()
        this.#storages.delete(storage.id)
        this.#mayClose()
      })
    })
  }

  commitPiece(
    handle: StorageHandle,
    piece: PieceIndex,
    sources: readonly BlockSource[],
    hashes: PieceHashes,
    wantBlockHashes: boolean,
    done: (result: CommitResult) => void,
  ): void {
    const storage = this.#storage(handle)
    const size = storage.pieceSize(piece)
    const { hashBytesPerSecond, writeBytesPerSecond } = this.#drive.options
    this.#add(storage, this.#cost(size, hashBytesPerSecond) + this.#cost(size, writeBytesPerSecond), () => {
      const fault = this.#writeFault(storage, piece, size)
      if (fault !== null) {
        for (const source of sources) if (typeof source === 'number') this.slots.release(source)
        done({ error: fault, v1Passed: null, v2Passed: null, blockHashes: null })
        return
      }
      for (const source of sources) if (typeof source === 'number') this.#mayCorrupt(source)
      storage.written.add(piece)
      this.#below.commitPiece(storage.below, piece, sources, hashes, wantBlockHashes, result => {
        this.#log.add(`disk ${storage.key} piece ${piece}: v1 ${result.v1Passed}, v2 ${result.v2Passed}`)
        done(result)
      })
    })
  }

  spill(
    handle: StorageHandle,
    piece: PieceIndex,
    blocks: readonly { readonly block: number; readonly slot: Slot }[],
    done: (error: DiskError | null) => void,
  ): void {
    const storage = this.#storage(handle)
    const size = blocks.length * BLOCK_SIZE
    this.#add(storage, this.#cost(size, this.#drive.options.writeBytesPerSecond), () => {
      const fault = this.#writeFault(storage, piece, size)
      if (fault !== null) {
        for (const { slot } of blocks) this.slots.release(slot)
        done(fault)
        return
      }
      storage.written.add(piece)
      this.#below.spill(storage.below, piece, blocks, done)
    })
  }

  read(
    handle: StorageHandle,
    piece: PieceIndex,
    offset: number,
    length: number,
    flags: ReadFlags,
    done: (result: ReadResult) => void,
  ): void {
    const storage = this.#storage(handle)
    this.#add(storage, this.#cost(length, this.#drive.options.readBytesPerSecond), () => {
      const fault = this.#fault(storage, piece, Operation.fileRead)
      if (fault !== null) done({ error: fault, views: [], release: () => {} })
      else this.#below.read(storage.below, piece, offset, length, flags, done)
    })
  }

  hashPieces(
    handle: StorageHandle,
    first: PieceIndex,
    count: number,
    want: { readonly v1: boolean; readonly v2: boolean; readonly blockHashes: boolean },
    done: (result: HashResult) => void,
  ): void {
    const storage = this.#storage(handle)
    const size = count * storage.options.files.pieceLength()
    const { hashBytesPerSecond, readBytesPerSecond } = this.#drive.options
    this.#add(storage, this.#cost(size, readBytesPerSecond) + this.#cost(size, hashBytesPerSecond), () => {
      const fault = this.#fault(storage, first, Operation.fileRead)
      if (fault !== null) done({ error: fault, v1: null, v2: null, blockHashes: null })
      else this.#below.hashPieces(storage.below, first, count, want, done)
    })
  }

  checkFiles(
    handle: StorageHandle,
    resume: ResumeFacts | null,
    links: readonly string[],
    done: (result: CheckResult) => void,
  ): void {
    const storage = this.#storage(handle)
    this.#add(storage, this.#drive.options.seekMs, () => {
      const fault = this.#fault(storage, 0, Operation.fileStat)
      if (fault !== null) done({ status: CheckStatus.failed, error: fault, oversizedFile: -1 })
      else {
        for (const [file, link] of links.entries()) if (link !== '') storage.keepFile(file)
        this.#below.checkFiles(storage.below, resume, links, done)
      }
    })
  }

  moveStorage(
    handle: StorageHandle,
    path: string,
    flags: MoveFlags,
    done: (error: DiskError | null, path: string, needFullCheck: boolean) => void,
  ): void {
    const storage = this.#storage(handle)
    this.#add(storage, this.#drive.options.seekMs, () => {
      const fault = this.#fault(storage, 0, Operation.fileRename)
      if (fault !== null) {
        done(fault, storage.savePath, false)
        return
      }
      this.#drive.contents.delete(storage.key)
      storage.savePath = path
      this.#below.moveStorage(storage.below, path, flags, done)
    })
  }

  renameFile(handle: StorageHandle, file: FileIndex, name: string, done: (error: DiskError | null) => void): void {
    this.#simple(handle, Operation.fileRename, done, below => this.#below.renameFile(below, file, name, done))
  }

  deleteFiles(handle: StorageHandle, flags: number, done: (error: DiskError | null) => void): void {
    const storage = this.#storage(handle)
    this.#simple(handle, Operation.fileRemove, done, below => {
      storage.written.clear()
      this.#drive.contents.delete(storage.key)
      this.#below.deleteFiles(below, flags, done)
    })
  }

  setFilePriorities(
    handle: StorageHandle,
    priorities: readonly number[],
    done: (error: DiskError | null, priorities: readonly number[]) => void,
  ): void {
    const failed = (error: DiskError | null) => done(error, priorities)
    this.#simple(handle, Operation.partfileMove, failed, below =>
      this.#below.setFilePriorities(below, priorities, done),
    )
  }

  releaseFiles(handle: StorageHandle, done: (error: DiskError | null) => void): void {
    this.#simple(handle, Operation.file, done, below => this.#below.releaseFiles(below, done))
  }

  stop(handle: StorageHandle, done: (error: DiskError | null) => void): void {
    this.#simple(handle, Operation.file, done, below => this.#below.stop(below, done))
  }

  openFiles(handle: StorageHandle): readonly OpenFile[] {
    return this.#below.openFiles(this.#storage(handle).below)
  }

  stats(): DiskStats {
    let queuedJobs = 0
    for (const storage of this.#storages.values()) queuedJobs += storage.queue.length
    return { ...this.#below.stats(), queuedJobs }
  }

  applySettings(settings: DiskSettings): void {
    this.#below.applySettings(settings)
  }

  submit(): void {
    for (const storage of this.#touched) {
      storage.queue.push(...storage.collected.splice(0))
      this.#next(storage)
    }
    this.#touched.clear()
  }

  close(done: () => void): void {
    this.#closing = done
    this.submit()
    const left = [...this.#storages.values()].filter(storage => !storage.removed)
    for (const storage of left) this.removeStorage(storage)
    this.submit()
    this.#mayClose()
  }

  #storage(handle: StorageHandle): SimStorage {
    if (!(handle instanceof SimStorage)) throw new Error('SimDisk: no such storage')
    return handle
  }

  #cost(bytes: number, bytesPerSecond: number): number {
    return this.#drive.options.seekMs / 2 + (bytes / bytesPerSecond) * 1000
  }

  #add(storage: SimStorage, costMs: number, run: () => void): void {
    storage.collected.push({ costMs, run })
    this.#touched.add(storage)
  }

  #simple(
    handle: StorageHandle,
    operation: Operation,
    failed: (error: DiskError | null) => void,
    run: (below: StorageHandle) => void,
  ): void {
    const storage = this.#storage(handle)
    this.#add(storage, this.#drive.options.seekMs, () => {
      const fault = this.#fault(storage, 0, operation)
      if (fault !== null) failed(fault)
      else run(storage.below)
    })
  }

  #next(storage: SimStorage): void {
    if (storage.busy || this.#drive.isHung(storage.savePath)) return
    const job = storage.queue.shift()
    if (job === undefined) return
    storage.busy = true
    this.#clock.after(job.costMs, () => this.#finish(storage, job))
  }

  #finish(storage: SimStorage, job: Job): void {
    if (this.#drive.isHung(storage.savePath)) {
      // It hung in the middle: the rest of the job comes when the disk is back.
      storage.busy = false
      storage.queue.unshift({ costMs: 0, run: job.run })
      return
    }
    storage.busy = false
    this.#door(() => {
      job.run()
      this.#below.submit()
    })
    this.#next(storage)
  }

  #fault(storage: SimStorage, piece: PieceIndex, operation: Operation): DiskError | null {
    if (this.#drive.failure === null) return null
    return this.#error(storage, piece, this.#drive.failure, operation)
  }

  #writeFault(storage: SimStorage, piece: PieceIndex, bytes: number): DiskError | null {
    const fault = this.#fault(storage, piece, Operation.fileWrite)
    if (fault !== null) return fault
    const name = this.#drive.writeFailure(storage.savePath)
    if (name !== null) return this.#error(storage, piece, name, Operation.fileWrite)
    if (bytes > this.#drive.freeBytes) return this.#error(storage, piece, 'ENOSPC', Operation.fileWrite)
    this.#drive.freeBytes -= bytes
    return null
  }

  #error(storage: SimStorage, piece: PieceIndex, name: string, operation: Operation): DiskError {
    this.#log.add(`disk ${storage.key} piece ${piece}: ${name}`)
    const { files } = storage.options
    return { code: errnoError(name), operation, file: files.fileIndexAtOffset(piece * files.pieceLength()) }
  }

  #mayCorrupt(slot: Slot): void {
    if (this.#drive.blocksUntilCorruption-- > 0) return
    this.#drive.blocksUntilCorruption = 0
    const view = this.slots.view(slot)
    view[0] = view[0]! ^ 1
  }

  /** Puts back what an earlier session wrote. The gaps read as zeros, as those of a sparse file do. */
  #restore(storage: SimStorage, kept: ReadonlyMap<PieceIndex, Uint8Array>): void {
    const zeros = new Uint8Array(1)
    for (let piece = 0; piece < storage.options.files.numPieces(); piece++) {
      const bytes = kept.get(piece) ?? zeros
      if (bytes !== zeros) storage.written.add(piece)
      for (let at = 0; at < bytes.length; at += BLOCK_SIZE) {
        const slot = this.slots.allocate()
        if (slot < 0) throw new Error('SimDisk: no slot to restore from')
        this.slots.copyIn(slot, 0, bytes.subarray(at, at + BLOCK_SIZE))
        this.#below.spill(storage.below, piece, [{ block: at / BLOCK_SIZE, slot }], () => {})
        this.#below.submit()
      }
    }
  }

  /** Takes what was written out of the memory back-end before it forgets it. */
  #keep(storage: SimStorage, done: () => void): void {
    const kept = new Map<PieceIndex, Uint8Array>()
    let left = storage.written.size
    if (left === 0) {
      done()
      return
    }
    for (const piece of storage.written) {
      this.#below.read(storage.below, piece, 0, storage.pieceSize(piece), {}, result => {
        if (result.error === null) kept.set(piece, Buffer.concat(result.views))
        result.release()
        if (--left > 0) return
        this.#drive.contents.set(storage.key, kept)
        done()
      })
    }
    this.#below.submit()
  }

  #mayClose(): void {
    const done = this.#closing
    if (done === null || this.#storages.size > 0) return
    this.#closing = null
    this.#drive.forget(this.#wake)
    this.#below.close(done)
  }
}
