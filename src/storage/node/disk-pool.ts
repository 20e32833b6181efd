/**
 * Disk back-end on worker threads. The main thread keeps the truth about each storage and decides what
 * runs when; workers do the blocking I/O and the hashing.
 */

import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import type { BlockIndex, FileIndex, PieceIndex } from '../../core/brands.ts'
import { BLOCK_SIZE } from '../../core/brands.ts'
import { IoBufferMode, type MoveFlags, Operation } from '../../core/enums.ts'
import { PIECE_HEADER_SIZE } from '../../core/piece-frames.ts'
import { checkSteps } from '../checker.ts'
import { abortedError } from '../disk-error.ts'
import {
  type BlockSource,
  type CheckResult,
  CheckStatus,
  type CommitResult,
  type DiskError,
  type DiskIo,
  type DiskSettings,
  type DiskStats,
  type FencedKind,
  type HashResult,
  NO_DISK_STATS,
  type OpenFile,
  type PieceHashes,
  type ReadFlags,
  type ReadResult,
  type ResumeFacts,
  type StorageHandle,
  type StorageOptions,
} from '../disk-io.ts'
import { separateSteps } from '../linker.ts'
import { ReadCache } from '../read-cache.ts'
import { Slab, type Slot, type SlotPool } from '../slab.ts'
import { allocates, StorageState } from '../storage-state.ts'
import { deleteSteps, loadPartSteps, moveSteps, prioritySteps, renameSteps, type Steps } from '../storage-steps.ts'
import { BLOCK_NOT_GIVEN, BLOCK_ON_DISK } from '../worker-protocol.ts'
import { WriteClaims } from '../write-claims.ts'
import { JobEngine } from './job-engine.ts'
import { AllocateJob, HashJob, type Job, StepsJob, WriteJob } from './jobs.ts'
import { failedRead, LineReader } from './line-reader.ts'
import type { PoolLimits } from './worker-pool.ts'

/** Less would starve fast transfers. */
const MIN_WRITE_BUDGET = 32 << 20
const READ_BUDGET = 32 << 20

/** What {@link createNodeDisk} needs. */
export interface NodeDiskOptions {
  readonly settings: DiskSettings
  /** Every batch of callbacks runs inside this; the engine's door. Errors of the disk itself are thrown inside it too. */
  readonly turn?: (fn: () => void) => void
  /** Bytes of the read cache; 32 MiB if absent. */
  readonly readCacheBytes?: number
}

/** Files on disk, worked on by `worker_threads`, which are started on first use. */
export function createNodeDisk(options: NodeDiskOptions): DiskIo {
  return new NodeDisk(options)
}

class NodeDisk implements DiskIo {
  readonly #slab: Slab
  readonly #readSlab: Slab
  readonly #cache: ReadCache
  readonly #reader: LineReader
  readonly #engine: JobEngine
  readonly #storages = new Map<number, StorageState>()
  readonly #claims = new WriteClaims()
  /** Hash jobs that have not ended: they can be called off. */
  readonly #hashing = new Map<StorageState, Set<HashJob>>()
  #settings: DiskSettings
  #nextStorage = 1
  #closed = false
  #queuedWriteBytes = 0
  #blocksWritten = 0
  #blocksReadBack = 0
  #writeJobs = 0
  readonly #fencedJobs: Record<FencedKind, number> = { ...NO_DISK_STATS.fenced }

  constructor(options: NodeDiskOptions) {
    this.#settings = options.settings
    const turn = options.turn ?? (fn => fn())
    const defer = (fn: () => void): void => queueMicrotask(() => turn(fn))
    this.#engine = new JobEngine({
      limits: poolLimits(options.settings),
      segments: () => [this.#slab.segments(), this.#readSlab.segments()],
      turn,
      fenceEnded: job => this.#limit(job.storage),
      crashed: error =>
        turn(() => {
          throw error
        }),
    })
    this.#slab = new Slab({
      budgetBytes: writeBudget(options.settings),
      defer,
      onSegment: (index, memory) => this.#engine.addSegment(0, index, memory),
    })
    this.#readSlab = new Slab({
      budgetBytes: options.readCacheBytes ?? READ_BUDGET,
      headBytes: PIECE_HEADER_SIZE,
      defer,
      onSegment: (index, memory) => this.#engine.addSegment(1, index, memory),
    })
    this.#cache = new ReadCache(this.#readSlab)
    this.#reader = new LineReader(this.#cache, {
      addRead: job => {
        this.#loadPart(job.storage)
        this.#add(job)
      },
      later: fn => this.#engine.later(fn),
    })
  }

  get slots(): SlotPool {
    return this.#slab
  }

  addStorage(options: StorageOptions): StorageHandle {
    const state = new StorageState(this.#nextStorage++, options, this.#claims)
    this.#storages.set(state.id, state)
    return state
  }

  removeStorage(storage: StorageHandle): void {
    const state = this.#storages.get(storage.id)
    if (state === undefined || state.removed) throw new Error('DiskIo: no such storage')
    state.removed = true
    state.abandoned = true
    if (this.#closed) return
    this.#cancelHashing(state)
    // Not before what was asked for until now is done.
    this.#add(
      new StepsJob<void>(state, true, nothingToDo, () => {
        this.#storages.delete(state.id)
        this.#claims.release(state.id)
        this.#cache.dropStorage(state.id)
        this.#engine.openFiles.forget(state.id)
        this.#slab.setLimited(state, false)
      }),
    )
    this.submit()
  }

  commitPiece(
    storage: StorageHandle,
    piece: PieceIndex,
    sources: readonly BlockSource[],
    hashes: PieceHashes,
    wantBlockHashes: boolean,
    done: (result: CommitResult) => void,
  ): void {
    const slots = sources.map(source => (source === 'disk' ? BLOCK_ON_DISK : source))
    this.#write(storage, piece, slots, hashes, wantBlockHashes, done)
  }

  spill(
    storage: StorageHandle,
    piece: PieceIndex,
    blocks: readonly { readonly block: BlockIndex; readonly slot: Slot }[],
    done: (error: DiskError | null) => void,
  ): void {
    const state = this.#storages.get(storage.id)
    const count = state === undefined ? 0 : Math.ceil(state.pieceSize(piece) / BLOCK_SIZE)
    const slots: number[] = new Array(count).fill(BLOCK_NOT_GIVEN)
    for (const { block, slot } of blocks) slots[block] = slot
    this.#write(storage, piece, slots, null, false, result => done(result.error))
  }

  read(
    storage: StorageHandle,
    piece: PieceIndex,
    offset: number,
    length: number,
    flags: ReadFlags,
    done: (result: ReadResult) => void,
  ): void {
    const state = this.#usable(storage)
    if (state === null) {
      this.#engine.later(() => done(failedRead(abortedError(Operation.fileRead))))
      return
    }
    this.#reader.read(state, piece, offset, length, flags, done)
  }

  readCached(
    storage: StorageHandle,
    piece: PieceIndex,
    offset: number,
    length: number,
    flags: ReadFlags,
  ): ReadResult | null {
    const state = this.#usable(storage)
    return state === null ? null : this.#reader.readCached(state, piece, offset, length, flags)
  }

  readAhead(storage: StorageHandle, piece: PieceIndex, offset: number): void {
    const state = this.#usable(storage)
    if (state !== null) this.#reader.readAhead(state, piece, offset)
  }

  hashPieces(
    storage: StorageHandle,
    first: PieceIndex,
    count: number,
    want: { readonly v1: boolean; readonly v2: boolean; readonly blockHashes: boolean },
    done: (result: HashResult) => void,
  ): void {
    const state = this.#usable(storage)
    if (state === null) {
      const error = abortedError(Operation.fileRead)
      this.#engine.later(() => done({ error, v1: null, v2: null, blockHashes: null }))
      return
    }
    this.#loadPart(state)
    const job = new HashJob(state, first, count, want, result => {
      jobs.delete(job)
      if (jobs.size === 0) this.#hashing.delete(state)
      done(result)
    })
    const jobs = this.#hashing.get(state) ?? new Set()
    this.#hashing.set(state, jobs.add(job))
    this.#add(job)
  }

  checkFiles(
    storage: StorageHandle,
    resume: ResumeFacts | null,
    links: readonly string[],
    done: (result: CheckResult) => void,
  ): void {
    this.#fenced(
      'checkFiles',
      storage,
      true,
      state => checkSteps(state, resume, links),
      (error, result) => {
        done(result ?? { status: CheckStatus.failed, error, oversizedFile: -1 })
      },
    )
  }

  abandonCopies(storage: StorageHandle): void {
    const state = this.#usable(storage)
    if (state !== null) state.abandoned = true
  }

  moveStorage(
    storage: StorageHandle,
    path: string,
    flags: MoveFlags,
    done: (error: DiskError | null, path: string, needFullCheck: boolean) => void,
  ): void {
    this.#fenced(
      'moveStorage',
      storage,
      true,
      state => moveSteps(state, resolve(path), flags),
      (error, needCheck, state) => {
        done(error, state === null ? path : state.savePath, needCheck === true)
      },
    )
  }

  renameFile(storage: StorageHandle, file: FileIndex, name: string, done: (error: DiskError | null) => void): void {
    this.#fenced(
      'renameFile',
      storage,
      true,
      state => renameSteps(state, file, name),
      error => done(error),
    )
  }

  deleteFiles(storage: StorageHandle, flags: number, done: (error: DiskError | null) => void): void {
    const state = this.#usable(storage)
    if (state !== null) this.#cancelHashing(state)
    this.abandonCopies(storage)
    this.#fenced(
      'deleteFiles',
      storage,
      true,
      s => deleteSteps(s, flags),
      error => done(error),
    )
  }

  setFilePriorities(
    storage: StorageHandle,
    priorities: readonly number[],
    done: (error: DiskError | null, priorities: readonly number[]) => void,
  ): void {
    this.#fenced(
      'setFilePriorities',
      storage,
      false,
      state => prioritySteps(state, priorities),
      (error, _, state) => {
        done(error, state === null ? priorities : state.priorities)
      },
    )
  }

  releaseFiles(storage: StorageHandle, done: (error: DiskError | null) => void): void {
    this.#fenced('releaseFiles', storage, true, nothingToDo, error => done(error))
  }

  stop(storage: StorageHandle, done: (error: DiskError | null) => void): void {
    const state = this.#usable(storage)
    if (state !== null) this.#cancelHashing(state)
    this.#fenced('stop', storage, true, nothingToDo, error => done(error))
  }

  openFiles(storage: StorageHandle): readonly OpenFile[] {
    return this.#engine.openFiles.list(storage.id)
  }

  stats(): DiskStats {
    const sums = this.#engine.sums
    return {
      queuedWriteBytes: this.#queuedWriteBytes,
      readCacheBytes: this.#cache.bytes,
      blocksInUse: this.#slab.inUse + this.#readSlab.inUse,
      queuedJobs: this.#engine.queued,
      runningJobs: this.#engine.running,
      readJobs: this.#reader.jobs,
      writeJobs: this.#writeJobs,
      fenced: { ...this.#fencedJobs },
      blockedJobs: this.#engine.held,
      threads: this.#engine.threads,
      writingThreads: this.#engine.writing,
      filePoolSize: this.#engine.openFiles.size,
      blocksWritten: this.#blocksWritten,
      blocksRead: this.#reader.blocksRead,
      blocksReadBack: this.#blocksReadBack,
      readCacheHits: this.#reader.cacheHits,
      ...sums,
      jobTime: sums.readTime + sums.writeTime + sums.hashTime,
    }
  }

  applySettings(settings: DiskSettings): void {
    this.#settings = settings
    this.#slab.setBudget(writeBudget(settings))
    this.#engine.setLimits(poolLimits(settings))
  }

  submit(): void {
    this.#engine.dispatch()
  }

  close(done: () => void): void {
    if (this.#closed) throw new Error('DiskIo: closed twice')
    this.#closed = true
    for (const state of this.#storages.values()) state.abandoned = true
    for (const jobs of this.#hashing.values()) for (const job of jobs) this.#engine.cancel(job)
    this.#engine.close(done)
  }

  /** `null` if the storage is gone or the disk is closed: the call then answers "aborted". */
  #usable(storage: StorageHandle): StorageState | null {
    const state = this.#storages.get(storage.id)
    return state === undefined || state.removed || this.#closed ? null : state
  }

  #add(job: Job): void {
    this.#engine.add(job)
    if (job.fence) this.#limit(job.storage)
  }

  /** A storage that cannot write at present must not take all slots. */
  #limit(state: StorageState): void {
    this.#slab.setLimited(state, state.failing || state.queue.fence.raised)
  }

  #write(
    storage: StorageHandle,
    piece: PieceIndex,
    slots: readonly number[],
    hashes: PieceHashes | null,
    wantBlockHashes: boolean,
    done: (result: CommitResult) => void,
  ): void {
    const state = this.#usable(storage)
    if (state === null) {
      const error = abortedError(Operation.fileWrite)
      this.#engine.later(() => {
        for (const slot of slots) if (slot >= 0) this.#slab.release(slot)
        done({ error, v1Passed: null, v2Passed: null, blockHashes: null })
      })
      return
    }
    this.#loadPart(state)
    this.#separate(state, piece)
    this.#allocate(state, piece)
    const sync = (): boolean => this.#settings.writeMode === IoBufferMode.writeThrough
    const job = new WriteJob(state, piece, slots, hashes, wantBlockHashes, sync, this.#written, done)
    this.#queuedWriteBytes += job.writeBytes
    this.#writeJobs++
    // What was or is being read of the piece is older than what reads asked for from now on must give.
    this.#cache.dropPiece(state.id, piece, state.pieceSize(piece))
    this.#add(job)
  }

  readonly #written = (job: WriteJob, slots: readonly number[], error: DiskError | null): void => {
    const state = job.storage
    let count = 0
    for (const slot of slots) {
      if (slot < 0) continue
      count++
      this.#slab.release(slot)
    }
    this.#queuedWriteBytes -= job.writeBytes
    this.#writeJobs--
    if (error === null) this.#blocksReadBack += job.blocksReadBack
    if (job.written) this.#blocksWritten += count
    if (state.failing !== (error !== null)) {
      state.failing = error !== null
      this.#limit(state)
    }
  }

  /** Makes sure the part file's header is known before a job touches unwanted files. */
  #loadPart(state: StorageState): void {
    if (state.partLoaded || state.partLoading) return
    state.partLoading = true
    this.#add(
      new StepsJob<void>(
        state,
        false,
        () => loadPartSteps(state, null),
        error => {
          state.partLoading = false
          // Without a header that can be read the part file counts as empty; jobs that need it will say why.
          if (error !== null) state.partLoaded = true
        },
      ),
    )
  }

  /**
   * Gives the files of a piece that have other names content of their own before the piece is written: another torrent
   * may have one of those names. Nothing else of the storage goes on meanwhile.
   */
  #separate(state: StorageState, piece: PieceIndex): void {
    if (state.namesKnown && state.otherNames === null) return
    const start = piece * state.files.pieceLength()
    for (const file of state.filesIn(start, state.pieceSize(piece))) {
      if (!state.mayHaveOtherNames(file) || state.inPart(file) || state.separating?.has(file)) continue
      state.separating ??= new Set()
      state.separating.add(file)
      state.allocationFailures?.delete(file)
      this.#add(
        new StepsJob<void>(
          state,
          false,
          () => separateSteps(state, file),
          () => {
            state.separating?.delete(file)
          },
        ),
      )
    }
  }

  /** In allocate mode: gives the files of a piece their space before the piece is written. */
  #allocate(state: StorageState, piece: PieceIndex): void {
    if (!allocates(state)) return
    const start = piece * state.files.pieceLength()
    for (const file of state.filesIn(start, state.pieceSize(piece))) {
      if (state.created(file) || state.priority(file) === 0 || state.allocating?.has(file)) continue
      state.allocating ??= new Set()
      state.allocating.add(file)
      state.allocationFailures?.delete(file)
      this.#add(new AllocateJob(state, file))
    }
  }

  #fenced<R>(
    kind: FencedKind,
    storage: StorageHandle,
    closesFiles: boolean,
    begin: (state: StorageState) => Steps<R>,
    done: (error: DiskError | null, result: R | null, state: StorageState | null) => void,
  ): void {
    const state = this.#usable(storage)
    if (state === null) {
      this.#engine.later(() => done(abortedError(Operation.unknown), null, null))
      return
    }
    this.#cache.dropStorage(state.id)
    this.#fencedJobs[kind]++
    this.#add(
      new StepsJob<R>(
        state,
        closesFiles,
        () => {
          // While nothing is open, files may be changed from outside: look at them afresh.
          if (closesFiles) state.forgetCreated()
          return begin(state)
        },
        (error, result) => {
          this.#fencedJobs[kind]--
          done(error, result, state)
        },
      ),
    )
  }

  #cancelHashing(state: StorageState): void {
    for (const job of this.#hashing.get(state) ?? []) this.#engine.cancel(job)
  }
}

function* nothingToDo(): Steps<void> {}

/**
 * Deviation: libtorrent lets 100 MiB of blocks wait for the disk. Here payload of unfinished pieces is counted too. More
 * than 32 MiB gains nothing: what the disk cannot take at once, it cannot take later either, and peers pause meanwhile.
 */
function writeBudget(settings: DiskSettings): number {
  return Math.max(MIN_WRITE_BUDGET, settings.maxQueuedDiskBytes / 4)
}

/** Hashing is done by the same workers, so `hashing_threads` is not looked at. */
function poolLimits(settings: DiskSettings): PoolLimits {
  const workers = Math.max(1, Math.min(settings.aioThreads, Math.max(2, Math.min(availableParallelism(), 4))))
  return { workers, maxWorkers: Math.max(settings.aioThreads, workers + 1), maxFiles: settings.filePoolSize }
}
