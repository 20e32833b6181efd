/** The jobs of the disk pool: what each asks a worker to do, and what it tells its caller in the end. */

import type { PieceIndex } from '../../core/brands.ts'
import { Operation } from '../../core/enums.ts'
import { libtorrentError } from '../../core/error-code.ts'
import { LibtorrentErrors } from '../../core/error-table.ts'
import { DiskFailure, fromWireError } from '../disk-error.ts'
import type { CommitResult, DiskError, HashResult, PieceHashes } from '../disk-io.ts'
import { JobState, type QueuedJob, type StorageQueue } from '../disk-jobs.ts'
import { allocates, fileKey, PART_KEY, type StorageState } from '../storage-state.ts'
import type { Steps } from '../storage-steps.ts'
import {
  BLOCK_ON_DISK,
  type FileTask,
  SLICE,
  SliceFlags,
  type WireAnswer,
  type WireJob,
  WireOp,
  type WireSlices,
} from '../worker-protocol.ts'
import type { PoolJob } from './worker-pool.ts'

const NO_KEYS: readonly number[] = []

/** Base of all jobs. */
export abstract class Job implements QueuedJob, PoolJob {
  readonly storage: StorageState
  readonly keys: readonly number[]
  readonly shared: boolean
  readonly fence: boolean
  readonly bulk: boolean
  state: JobState = JobState.new
  waitingFor = 0
  /** Its owner has lost interest: it is not started any more, and a running one may stop early. */
  cancelled = false
  /** Must not start before the storage's files are closed in all workers. */
  closesFiles = false

  constructor(storage: StorageState, keys: readonly number[], shared: boolean, fence: boolean, bulk: boolean) {
    this.storage = storage
    this.keys = keys
    this.shared = shared
    this.fence = fence
    this.bulk = bulk
  }

  get queue(): StorageQueue {
    return this.storage.queue
  }

  /** The next thing for a worker to do; `null` if there is nothing (more). Called when the job's turn has come. */
  abstract wire(): WireJob | null
  /** @returns true if there is another step */
  abstract answered(answer: WireAnswer): boolean
  /** The worker was lost or the job given up. */
  abstract failed(error: DiskError): void
  /** Tells the caller. Called once, after `answered`, `failed`, or a `wire` that gave `null`. */
  abstract deliver(): void
}

/** Hash a piece and write it, or (without hashes) just write some of its blocks. */
export class WriteJob extends Job {
  readonly #piece: PieceIndex
  readonly #slots: readonly number[]
  readonly #hashes: PieceHashes | null
  readonly #wantBlockHashes: boolean
  readonly #sync: () => boolean
  readonly #release: (job: WriteJob, slots: readonly number[], error: DiskError | null) => void
  readonly #done: (result: CommitResult) => void
  /** Bytes that wait to be written. */
  readonly writeBytes: number
  #slices: WireSlices = []
  #result: CommitResult = { error: null, v1Passed: null, v2Passed: null, blockHashes: null }

  constructor(
    storage: StorageState,
    piece: PieceIndex,
    slots: readonly number[],
    hashes: PieceHashes | null,
    wantBlockHashes: boolean,
    sync: () => boolean,
    release: (job: WriteJob, slots: readonly number[], error: DiskError | null) => void,
    done: (result: CommitResult) => void,
  ) {
    super(storage, writeKeys(storage, piece), false, false, false)
    this.#piece = piece
    this.#slots = slots
    this.#hashes = hashes
    this.#wantBlockHashes = wantBlockHashes
    this.#sync = sync
    this.#release = release
    this.#done = done
    let count = 0
    for (const slot of slots) if (slot >= 0) count++
    this.writeBytes = count * 16384
  }

  /** Blocks that were written before and are read to hash the piece. */
  get blocksReadBack(): number {
    if (this.#hashes === null || (this.#hashes.v1 === null && this.#hashes.v2 === null)) return 0
    let count = 0
    for (const slot of this.#slots) if (slot === BLOCK_ON_DISK) count++
    return count
  }

  get written(): boolean {
    return this.#result.error === null && this.#result.v1Passed !== false && this.#result.v2Passed !== false
  }

  wire(): WireJob | null {
    const storage = this.storage
    const pieceLength = storage.files.pieceLength()
    const pieceSize = storage.pieceSize(this.#piece)
    this.#slices = storage.slices(this.#piece * pieceLength, pieceSize, true)
    const failure = this.#allocationFailure() ?? this.#obstacle()
    if (failure !== null) {
      this.#result = { ...this.#result, error: failure }
      return null
    }
    return {
      op: WireOp.commit,
      id: 0,
      cell: 0,
      storage: storage.id,
      slices: this.#slices,
      slots: this.#slots,
      pieceSize,
      pieceLength,
      v1: this.#hashes?.v1 ?? null,
      v2: this.#hashes?.v2 ?? null,
      blocks: this.#hashes?.blocks ?? null,
      wantBlockHashes: this.#wantBlockHashes,
      part: storage.partUpdate(this.#slices, this.#piece),
      sync: this.#sync(),
    }
  }

  answered(answer: WireAnswer): boolean {
    this.#result = {
      error: fromWireError(answer.error),
      v1Passed: answer.v1State === 0 ? null : answer.v1State === 1,
      v2Passed: answer.v2State === 0 ? null : answer.v2State === 1,
      blockHashes: answer.blockHashes,
    }
    if (this.written || (this.#result.error === null && this.#hashes?.blocks != null)) {
      const slices = this.#slices
      for (let s = 0; s < slices.length; s += SLICE.stride) {
        const flags = slices[s + SLICE.flags] as number
        if ((flags & SliceFlags.truncate) !== 0) this.storage.setCreated(slices[s + SLICE.file] as number)
        if ((flags & SliceFlags.part) !== 0) this.storage.partOnDisk = true
      }
    }
    return false
  }

  failed(error: DiskError): void {
    this.#result = { error, v1Passed: null, v2Passed: null, blockHashes: null }
  }

  deliver(): void {
    this.#release(this, this.#slots, this.#result.error)
    this.#done(this.#result)
  }

  /** Looks at the files that are written to for the first time since they were closed. */
  #obstacle(): DiskError | null {
    const slices = this.#slices
    for (let s = 0; s < slices.length; s += SLICE.stride) {
      if (((slices[s + SLICE.flags] as number) & SliceFlags.truncate) === 0) continue
      const found = obstacle(this.storage, slices[s + SLICE.file] as number)
      if (found !== null) return found
    }
    return null
  }

  #allocationFailure(): DiskError | null {
    for (const key of this.keys) {
      const failure = key < PART_KEY ? this.storage.allocationFailures?.get(-2 - key) : undefined
      if (failure !== undefined) return failure
    }
    return null
  }
}

/**
 * Why a file must not be opened for writing: another storage has it open under the same path, or it still has another
 * name, under which a torrent may count on what it holds.
 */
function obstacle(storage: StorageState, file: number): DiskError | null {
  const free = storage.claim(file)
  if (free && !storage.mayHaveOtherNames(file)) return null
  const known = free ? storage.allocationFailures?.get(file) : undefined
  return known ?? { code: libtorrentError(LibtorrentErrors.fileCollision), operation: Operation.fileOpen, file }
}

/**
 * A write has its piece for itself, and things that are still coming into being: the part file, files to be allocated
 * or to be given content of their own.
 */
function writeKeys(storage: StorageState, piece: PieceIndex): number[] {
  const keys = [piece as number]
  const allocating = allocates(storage)
  const separating = !storage.namesKnown || storage.otherNames !== null
  if (!allocating && !separating && (storage.partOnDisk || storage.priorities.length === 0)) return keys
  const start = piece * storage.files.pieceLength()
  for (const file of storage.filesIn(start, storage.pieceSize(piece))) {
    if (storage.inPart(file)) {
      if (!storage.partOnDisk && !keys.includes(PART_KEY)) keys.push(PART_KEY)
    } else if ((allocating && !storage.created(file)) || (separating && storage.mayHaveOtherNames(file))) {
      keys.push(fileKey(file))
    }
  }
  return keys
}

/** Read a range of a piece into slots, or without slots into memory of its own. */
export class ReadJob extends Job {
  readonly #piece: PieceIndex
  readonly #begin: number
  readonly #length: number
  readonly #slots: readonly number[] | null
  readonly #done: (error: DiskError | null, data: Uint8Array | null) => void
  #error: DiskError | null = null
  #data: Uint8Array | null = null

  constructor(
    storage: StorageState,
    piece: PieceIndex,
    offset: number,
    length: number,
    slots: readonly number[] | null,
    done: (error: DiskError | null, data: Uint8Array | null) => void,
  ) {
    super(storage, [piece], true, false, false)
    this.#piece = piece
    this.#begin = offset
    this.#length = length
    this.#slots = slots
    this.#done = done
  }

  get length(): number {
    return this.#length
  }

  wire(): WireJob {
    const start = this.#piece * this.storage.files.pieceLength() + this.#begin
    return {
      op: WireOp.read,
      id: 0,
      cell: 0,
      storage: this.storage.id,
      piece: this.#piece,
      begin: this.#begin,
      slices: this.storage.slices(start, this.#length, false),
      length: this.#length,
      slots: this.#slots,
    }
  }

  answered(answer: WireAnswer): boolean {
    this.#error = fromWireError(answer.error)
    this.#data = answer.data
    return false
  }

  failed(error: DiskError): void {
    this.#error = error
  }

  deliver(): void {
    this.#done(this.#error, this.#data)
  }
}

/** Hash pieces as they are on disk. */
export class HashJob extends Job {
  readonly #first: PieceIndex
  readonly #count: number
  readonly #want: { readonly v1: boolean; readonly v2: boolean; readonly blockHashes: boolean }
  readonly #done: (result: HashResult) => void
  #result: HashResult = { error: null, v1: null, v2: null, blockHashes: null }

  constructor(
    storage: StorageState,
    first: PieceIndex,
    count: number,
    want: { readonly v1: boolean; readonly v2: boolean; readonly blockHashes: boolean },
    done: (result: HashResult) => void,
  ) {
    const keys = Array.from({ length: count }, (_, i) => first + i)
    super(storage, keys, true, false, true)
    this.#first = first
    this.#count = count
    this.#want = want
    this.#done = done
  }

  wire(): WireJob {
    const pieceLength = this.storage.files.pieceLength()
    const start = this.#first * pieceLength
    const length = Math.min(this.#count * pieceLength, this.storage.files.totalSize() - start)
    return {
      op: WireOp.hash,
      id: 0,
      cell: 0,
      storage: this.storage.id,
      slices: this.storage.slices(start, length, false),
      length,
      pieceLength,
      v1: this.#want.v1,
      v2: this.#want.v2,
      blockHashes: this.#want.blockHashes,
    }
  }

  answered(answer: WireAnswer): boolean {
    this.#result = {
      error: fromWireError(answer.error),
      v1: answer.v1,
      v2: answer.v2,
      blockHashes: answer.blockHashes,
    }
    return false
  }

  failed(error: DiskError): void {
    this.#result = { error, v1: null, v2: null, blockHashes: null }
  }

  deliver(): void {
    this.#done(this.#result)
  }
}

/** Fenced work in steps; see `storage-steps.ts`. */
export class StepsJob<R> extends Job {
  #steps: Steps<R> | null = null
  readonly #begin: () => Steps<R>
  readonly #done: (error: DiskError | null, result: R | null) => void
  #next: IteratorResult<FileTask, R> | null = null
  #error: DiskError | null = null
  #result: R | null = null

  /** @param begin makes the steps when the job's turn has come */
  constructor(
    storage: StorageState,
    closesFiles: boolean,
    begin: () => Steps<R>,
    done: (error: DiskError | null, result: R | null) => void,
  ) {
    super(storage, NO_KEYS, false, true, false)
    this.closesFiles = closesFiles
    this.#begin = begin
    this.#done = done
  }

  wire(): WireJob | null {
    if (this.#steps === null) {
      const steps = this.#begin()
      this.#steps = steps
      this.#advance(() => steps.next())
    }
    const next = this.#next
    if (next === null || next.done === true) return null
    return { op: WireOp.file, id: 0, cell: 0, storage: this.storage.id, task: next.value }
  }

  answered(answer: WireAnswer): boolean {
    const error = fromWireError(answer.error)
    const steps = this.#steps!
    this.#advance(() =>
      error === null
        ? steps.next({ numbers: answer.numbers, data: answer.data })
        : steps.throw(new DiskFailure(error.code, error.operation, error.file)),
    )
    return this.#next !== null && this.#next.done !== true
  }

  failed(error: DiskError): void {
    this.#error = error
  }

  deliver(): void {
    this.#done(this.#error, this.#result)
  }

  #advance(step: () => IteratorResult<FileTask, R>): void {
    try {
      this.#next = step()
      if (this.#next.done === true) this.#result = this.#next.value
      // who has the old file open would go on reading that
      else if (this.#next.value.kind === 'placeCopy' && this.#next.value.replace) this.closesFiles = true
    } catch (error) {
      this.#next = null
      if (!(error instanceof DiskFailure)) throw error
      this.#error = { code: error.code, operation: error.operation, file: error.file }
    }
  }
}

/** Bytes of zeros written at a time. */
const ALLOCATE_STEP = 16 << 20

/** Gives a file all its disk space, in steps between other jobs. */
export class AllocateJob extends Job {
  readonly #file: number

  constructor(storage: StorageState, file: number) {
    super(storage, [fileKey(file)], false, false, true)
    this.#file = file
  }

  wire(): WireJob | null {
    const storage = this.storage
    if (storage.created(this.#file)) return null
    const found = obstacle(storage, this.#file)
    if (found !== null) {
      this.failed(found)
      return null
    }
    return {
      op: WireOp.file,
      id: 0,
      cell: 0,
      storage: storage.id,
      task: {
        kind: 'allocate',
        file: this.#file,
        path: storage.path(this.#file),
        flags: storage.files.fileFlags(this.#file) & SliceFlags.executable,
        fileSize: storage.files.fileSize(this.#file),
        step: ALLOCATE_STEP,
      },
    }
  }

  answered(answer: WireAnswer): boolean {
    const error = fromWireError(answer.error)
    if (error !== null) this.failed(error)
    else if (answer.numbers![0]! > 0) return true
    else this.storage.setCreated(this.#file)
    return false
  }

  /** The writes that wait for the file find the reason when their turn comes, and fail with it. */
  failed(error: DiskError): void {
    this.storage.allocationFailures ??= new Map()
    this.storage.allocationFailures.set(this.#file, error)
  }

  deliver(): void {
    this.storage.allocating?.delete(this.#file)
  }
}
