/**
 * Disk back-end on worker threads. The main thread keeps the truth about each storage and decides what
 * runs when; workers do the blocking I/O and the hashing.
 */

import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import type { BlockIndex, FileIndex, PieceIndex } from '../../core/brands.ts'
import { BLOCK_SIZE } from '../../core/brands.ts'
import { IoBufferMode, type MoveFlags, Operation } from '../../core/enums.ts'
import { errnoError } from '../../core/error-code.ts'
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
  type HashResult,
  type OpenFile,
  type PieceHashes,
  type ReadFlags,
  type ReadResult,
  type ResumeFacts,
  type StorageHandle,
  type StorageOptions,
} from '../disk-io.ts'
import { DiskJobs } from '../disk-jobs.ts'
import { type CacheLine, LINE_SIZE, ReadCache } from '../read-cache.ts'
import { Slab, type Slot, type SlotPool } from '../slab.ts'
import { allocates, StorageState } from '../storage-state.ts'
import { deleteSteps, loadPartSteps, moveSteps, prioritySteps, renameSteps, type Steps } from '../storage-steps.ts'
import { BLOCK_NOT_GIVEN, BLOCK_ON_DISK, type WireAnswer } from '../worker-protocol.ts'
import { AllocateJob, HashJob, type Job, ReadJob, StepsJob, WriteJob } from './jobs.ts'
import { OpenFileTable } from './open-file-table.ts'
import { type PoolLimits, WorkerPool } from './worker-pool.ts'

/** Less would starve fast transfers. */
const MIN_WRITE_BUDGET = 32 << 20
const READ_BUDGET = 32 << 20
/** Jobs of one storage that may be with the workers at once, per worker. */
const AHEAD = 4

/** What {@link createNodeDisk} needs. */
export interface NodeDiskOptions {
  readonly settings: DiskSettings
  /** Every batch of callbacks runs inside this; the engine's door. */
  readonly turn?: (fn: () => void) => void
  /** Bytes of the read cache; 32 MiB if absent. */
  readonly readCacheBytes?: number
}

/** Files on disk, worked on by `worker_threads`, which are started on first use. */
export function createNodeDisk(options: NodeDiskOptions): DiskIo {
  return new NodeDisk(options)
}

class NodeDisk implements DiskIo {
  readonly #turn: (fn: () => void) => void
  readonly #slab: Slab
  readonly #readSlab: Slab
  readonly #cache: ReadCache
  readonly #jobs = new DiskJobs<Job>()
  readonly #pool: WorkerPool<Job>
  readonly #storages = new Map<number, StorageState>()
  readonly #openFiles = new OpenFileTable()
  /** Jobs that have ended, and other callbacks that are due: told to their owners in one turn. */
  #ended: { deliver(): void }[] = []
  #deliveryScheduled = false
  #settings: DiskSettings
  #nextStorage = 1
  #closing: (() => void) | null = null
  #closed = false
  #queuedWriteBytes = 0
  readonly #sums = {
    blocksWritten: 0,
    blocksRead: 0,
    blocksHashed: 0,
    readCacheHits: 0,
    writeOps: 0,
    readOps: 0,
    readTime: 0,
    writeTime: 0,
    hashTime: 0,
    writeJobs: 0,
  }

  constructor(options: NodeDiskOptions) {
    this.#settings = options.settings
    this.#turn = options.turn ?? (fn => fn())
    const inTurn = (fn: () => void): void => queueMicrotask(() => this.#turn(fn))
    this.#slab = new Slab({
      budgetBytes: writeBudget(options.settings),
      defer: inTurn,
      onSegment: (index, memory) => this.#pool.addSegment(0, index, memory),
    })
    this.#readSlab = new Slab({
      budgetBytes: options.readCacheBytes ?? READ_BUDGET,
      defer: inTurn,
      onSegment: (index, memory) => this.#pool.addSegment(1, index, memory),
    })
    this.#cache = new ReadCache(this.#readSlab)
    this.#pool = new WorkerPool<Job>(
      poolLimits(options.settings),
      () => [this.#slab.segments(), this.#readSlab.segments()],
      {
        answered: (answers, jobs) => this.#answered(answers, jobs),
        takenBack: job => this.#jobs.requeue(job),
        lost: job => this.#lost(job),
        stalled: job => {
          job.queue.stalled = true
        },
        capacity: () => this.#dispatch(),
      },
    )
  }

  get slots(): SlotPool {
    return this.#slab
  }

  addStorage(options: StorageOptions): StorageHandle {
    const state = new StorageState(this.#nextStorage++, options)
    this.#storages.set(state.id, state)
    return state
  }

  removeStorage(storage: StorageHandle): void {
    const state = this.#storages.get(storage.id)
    if (state === undefined || state.removed) throw new Error('DiskIo: no such storage')
    state.removed = true
    if (this.#closed) return
    this.#cancelHashing(state)
    // Not before what was asked for until now is done.
    this.#add(
      new StepsJob<void>(state, true, nothingToDo, () => {
        this.#storages.delete(state.id)
        this.#cache.dropStorage(state.id)
        this.#openFiles.forget(state.id)
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
      this.#later(() => done(failedRead(abortedError(Operation.fileRead))))
      return
    }
    const first = Math.floor(offset / LINE_SIZE)
    const last = Math.floor((offset + length - 1) / LINE_SIZE)
    const lines: CacheLine[] = []
    for (let index = first; index <= last; index++) {
      const line = this.#line(state, piece, index)
      if (line === null) {
        for (const held of lines) this.#cache.release(held)
        this.#readUncached(state, piece, offset, length, done)
        return
      }
      lines.push(line)
    }
    // Someone who starts on a line after the one before it will most likely go on to the next.
    const goesOn =
      first > 0 && offset === first * LINE_SIZE && this.#cache.get(state.id, piece, first - 1) !== undefined
    if (goesOn || flags.sequential === true) this.#readAhead(state, piece, last + 1)
    let pending = 0
    const settle = (): void => {
      if (--pending > 0) return
      done(this.#readFrom(lines, offset, length))
    }
    for (const line of lines) {
      if (line.ready) continue
      pending++
      line.waiting.push(settle)
    }
    if (pending > 0) return
    this.#sums.readCacheHits += Math.ceil(length / BLOCK_SIZE)
    pending = 1
    this.#later(settle)
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
      this.#later(() => done({ error, v1: null, v2: null, blockHashes: null }))
      return
    }
    this.#loadPart(state)
    const job = new HashJob(state, first, count, want, result => {
      this.#hashing.delete(job)
      done(result)
    })
    this.#hashing.add(job)
    this.#add(job)
  }

  checkFiles(
    storage: StorageHandle,
    resume: ResumeFacts | null,
    links: readonly string[],
    done: (result: CheckResult) => void,
  ): void {
    this.#fenced(
      storage,
      true,
      state => checkSteps(state, resume, links),
      (error, result) => {
        done(result ?? { status: CheckStatus.failed, error, oversizedFile: -1 })
      },
    )
  }

  moveStorage(
    storage: StorageHandle,
    path: string,
    flags: MoveFlags,
    done: (error: DiskError | null, path: string, needFullCheck: boolean) => void,
  ): void {
    this.#fenced(
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
      storage,
      true,
      state => renameSteps(state, file, name),
      error => done(error),
    )
  }

  deleteFiles(storage: StorageHandle, flags: number, done: (error: DiskError | null) => void): void {
    const state = this.#usable(storage)
    if (state !== null) this.#cancelHashing(state)
    this.#fenced(
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
      storage,
      false,
      state => prioritySteps(state, priorities),
      (error, _, state) => {
        done(error, state === null ? priorities : state.priorities)
      },
    )
  }

  releaseFiles(storage: StorageHandle, done: (error: DiskError | null) => void): void {
    this.#fenced(storage, true, nothingToDo, error => done(error))
  }

  stop(storage: StorageHandle, done: (error: DiskError | null) => void): void {
    const state = this.#usable(storage)
    if (state !== null) this.#cancelHashing(state)
    this.#fenced(storage, true, nothingToDo, error => done(error))
  }

  clearPiece(storage: StorageHandle, piece: PieceIndex): void {
    const state = this.#usable(storage)
    if (state !== null) this.#cache.dropPiece(state.id, piece, state.pieceSize(piece))
  }

  openFiles(storage: StorageHandle): readonly OpenFile[] {
    return this.#openFiles.list(storage.id)
  }

  stats(): DiskStats {
    const sums = this.#sums
    return {
      queuedWriteBytes: this.#queuedWriteBytes,
      readCacheBytes: this.#cache.bytes,
      blocksInUse: this.#slab.inUse + this.#readSlab.inUse,
      queuedJobs: this.#jobs.queued,
      runningJobs: this.#jobs.running,
      ...sums,
      jobTime: sums.readTime + sums.writeTime + sums.hashTime,
    }
  }

  applySettings(settings: DiskSettings): void {
    this.#settings = settings
    this.#slab.setBudget(writeBudget(settings))
    this.#pool.setLimits(poolLimits(settings))
    this.#dispatch()
  }

  submit(): void {
    this.#dispatch()
  }

  close(done: () => void): void {
    if (this.#closed) throw new Error('DiskIo: closed twice')
    this.#closed = true
    this.#closing = done
    for (const job of this.#hashing) this.#cancel(job)
    this.#dispatch()
    this.#checkClosed()
  }

  // -- entering jobs

  readonly #hashing = new Set<HashJob>()

  /** `null` if the storage is gone or the disk is closed: the call then answers "aborted". */
  #usable(storage: StorageHandle): StorageState | null {
    const state = this.#storages.get(storage.id)
    return state === undefined || state.removed || this.#closed ? null : state
  }

  #add(job: Job): void {
    this.#jobs.add(job)
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
      this.#later(() => {
        for (const slot of slots) if (slot >= 0) this.#slab.release(slot)
        done({ error, v1Passed: null, v2Passed: null, blockHashes: null })
      })
      return
    }
    this.#loadPart(state)
    this.#allocate(state, piece)
    const sync = (): boolean => this.#settings.writeMode === IoBufferMode.writeThrough
    const job = new WriteJob(state, piece, slots, hashes, wantBlockHashes, sync, this.#written, done)
    this.#queuedWriteBytes += job.writeBytes
    this.#sums.writeJobs++
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
    if (job.written) this.#sums.blocksWritten += count
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
    storage: StorageHandle,
    closesFiles: boolean,
    begin: (state: StorageState) => Steps<R>,
    done: (error: DiskError | null, result: R | null, state: StorageState | null) => void,
  ): void {
    const state = this.#usable(storage)
    if (state === null) {
      this.#later(() => done(abortedError(Operation.unknown), null, null))
      return
    }
    this.#cache.dropStorage(state.id)
    this.#add(
      new StepsJob<R>(
        state,
        closesFiles,
        () => begin(state),
        (error, result) => done(error, result, state),
      ),
    )
  }

  #cancelHashing(state: StorageState): void {
    for (const job of this.#hashing) if (job.storage === state) this.#cancel(job)
  }

  #cancel(job: Job): void {
    job.cancelled = true
    this.#pool.cancel(job)
  }

  // -- reading

  /** A line, held once; being filled if it was not there. `null` if there is no memory for it. */
  #line(state: StorageState, piece: PieceIndex, index: number): CacheLine | null {
    const found = this.#cache.get(state.id, piece, index)
    if (found !== undefined) {
      this.#cache.retain(found)
      return found
    }
    this.#loadPart(state)
    const offset = index * LINE_SIZE
    const line = this.#cache.create(state.id, piece, index, Math.min(LINE_SIZE, state.pieceSize(piece) - offset))
    if (line === null) return null
    const job = new ReadJob(state, piece, offset, line.length, line.slots, error => {
      if (error === null) {
        line.ready = true
        this.#sums.blocksRead += line.slots.length
      } else {
        line.error = error
        this.#cache.drop(line)
      }
      this.#cache.release(line)
      const waiting = line.waiting
      line.waiting = []
      for (const fn of waiting) fn()
    })
    this.#add(job)
    return line
  }

  /** Starts to fill a line that will be asked for soon, if there is memory to spare. */
  #readAhead(state: StorageState, piece: PieceIndex, index: number): void {
    if (index * LINE_SIZE >= state.pieceSize(piece)) return
    const line = this.#line(state, piece, index)
    if (line !== null) this.#cache.release(line)
  }

  #readFrom(lines: readonly CacheLine[], offset: number, length: number): ReadResult {
    const views: Uint8Array[] = []
    let error: DiskError | null = null
    for (const line of lines) {
      error ??= line.error
      const start = Math.max(offset - line.index * LINE_SIZE, 0)
      const end = Math.min(offset + length - line.index * LINE_SIZE, line.length)
      if (error === null) this.#cache.views(line, start, end, views)
    }
    const release = (): void => {
      for (const line of lines) this.#cache.release(line)
    }
    return { error, views: error === null ? views : [], release }
  }

  /** All cache memory is being sent: this one gets memory of its own, and is not kept. */
  #readUncached(
    state: StorageState,
    piece: PieceIndex,
    offset: number,
    length: number,
    done: (result: ReadResult) => void,
  ): void {
    this.#loadPart(state)
    this.#add(
      new ReadJob(state, piece, offset, length, null, (error, data) => {
        this.#sums.blocksRead += Math.ceil(length / BLOCK_SIZE)
        done(error === null ? { error: null, views: [data!], release: noRelease } : failedRead(error))
      }),
    )
  }

  // -- running jobs

  #dispatch(): void {
    while (this.#pool.hasRoom(false)) {
      const job = this.#jobs.take((queue, bulk) => {
        if (bulk && !this.#pool.hasRoom(true)) return false
        return queue.running < (queue.stalled ? 1 : this.#pool.regular * AHEAD)
      })
      if (job === null) break
      this.#run(job)
    }
    this.#pool.flush()
  }

  #run(job: Job): void {
    if (job.cancelled) {
      job.failed(abortedError(Operation.fileRead))
      this.#finish(job)
      return
    }
    if (job.closesFiles) {
      job.closesFiles = false
      const workers = this.#openFiles.workersOf(job.storage.id)
      if (workers.length > 0) {
        this.#closeFirst(job, workers)
        return
      }
    }
    const wire = job.wire()
    if (wire === null) {
      this.#finish(job)
      return
    }
    const worker = this.#pool.give(job, wire)
    this.#openFiles.used(job.storage.id, worker)
  }

  /** Lets all workers close the storage's files; then the job takes its turn again. */
  #closeFirst(job: Job, workers: readonly object[]): void {
    let left = workers.length
    for (const worker of workers) {
      this.#pool.closeStorage(worker, job.storage.id, () => {
        if (--left > 0) return
        this.#openFiles.forget(job.storage.id)
        this.#jobs.requeue(job)
        this.#dispatch()
      })
    }
  }

  #answered(answers: readonly WireAnswer[], jobs: readonly Job[]): void {
    for (let i = 0; i < answers.length; i++) {
      const answer = answers[i]!
      const job = jobs[i]!
      this.#count(answer)
      if (answer.files !== null) this.#openFiles.record(answer.files, performance.now())
      job.queue.stalled = false
      if (job.answered(answer)) this.#jobs.requeue(job)
      else this.#finish(job)
    }
    this.#deliver()
  }

  #count(answer: WireAnswer): void {
    const sums = this.#sums
    sums.readTime += answer.readTime
    sums.writeTime += answer.writeTime
    sums.hashTime += answer.hashTime
    sums.readOps += answer.readOps
    sums.writeOps += answer.writeOps
    sums.blocksHashed += answer.blocksHashed
  }

  #lost(job: Job): void {
    job.queue.stalled = false
    job.failed({ code: errnoError('EIO'), operation: Operation.exception, file: -1 })
    this.#finish(job)
  }

  #finish(job: Job): void {
    this.#jobs.finish(job)
    if (job.fence) this.#limit(job.storage)
    this.#ended.push(job)
    this.#scheduleDelivery()
  }

  // -- telling the owners

  #later(fn: () => void): void {
    this.#ended.push({ deliver: fn })
    this.#scheduleDelivery()
  }

  #scheduleDelivery(): void {
    if (this.#deliveryScheduled) return
    this.#deliveryScheduled = true
    queueMicrotask(() => {
      this.#deliveryScheduled = false
      this.#deliver()
      this.#dispatch()
    })
  }

  #deliver(): void {
    if (this.#ended.length > 0) {
      const ended = this.#ended
      this.#ended = []
      this.#turn(() => this.#tell(ended))
    }
    this.#checkClosed()
  }

  /** A callback that throws must not cost the others theirs: they come in the next turn. */
  #tell(ended: readonly { deliver(): void }[]): void {
    let told = 0
    try {
      while (told < ended.length) ended[told++]!.deliver()
    } finally {
      if (told < ended.length) {
        this.#ended = [...ended.slice(told), ...this.#ended]
        this.#scheduleDelivery()
      }
    }
  }

  #checkClosed(): void {
    if (this.#closing === null || this.#jobs.queued + this.#jobs.running > 0) return
    if (this.#ended.length > 0) return
    const done = this.#closing
    this.#closing = null
    this.#pool.close(() => queueMicrotask(() => this.#turn(done)))
  }
}

function* nothingToDo(): Steps<void> {}

function noRelease(): void {}

function failedRead(error: DiskError): ReadResult {
  return { error, views: [], release: noRelease }
}

/**
 * Deviation: `max_queued_disk_bytes` is 1 MiB by default in libtorrent, where it counts only blocks that wait
 * for the disk. Here payload of unfinished pieces is counted too, so less than 32 MiB would throttle peers.
 */
function writeBudget(settings: DiskSettings): number {
  return Math.max(MIN_WRITE_BUDGET, settings.maxQueuedDiskBytes)
}

function poolLimits(settings: DiskSettings): PoolLimits {
  const workers = Math.max(1, Math.min(settings.aioThreads, Math.max(2, Math.min(availableParallelism(), 4))))
  return { workers, maxWorkers: Math.max(settings.aioThreads, workers + 1), maxFiles: settings.filePoolSize }
}
