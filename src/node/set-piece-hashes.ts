/** Hashes the files of a new torrent on worker threads that live as long as the call. */

import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { FileFlags, type Operation } from '../core/enums.ts'
import {
  ErrorCode,
  errnoError,
  errorCodeOf,
  LibtorrentError,
  libtorrentError,
  MiscErrors,
  miscCategory,
} from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import type { CreateTorrent } from '../metainfo/create-torrent.ts'
import { type HashFailure, HashJob, type HashPlan, STOP, type WorkerReport, type WorkerTask } from './hash-job.ts'

/** Bytes that a thread takes at a time: enough to read ahead, little enough to share out the end evenly. */
const RUN_BYTES = 8 * 1024 * 1024
/** Torrents up to this size are hashed before a worker would have started. */
const SMALL_BYTES = 4 * 1024 * 1024
const SMALL_FILES = 64
const MAX_THREADS = 16

/** Called for each piece, in order, when it is hashed. Returning `false` stops. */
export type PieceProgress = (piece: number) => unknown

export interface SetPieceHashesOptions {
  /** `hashing_threads` is the number of threads to hash on; as many as there are processors unless set. */
  readonly settings?: { readonly hashing_threads?: number }
  /** Stops the work; the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal
}

/** A file could not be read. */
export class HashFilesError extends LibtorrentError {
  readonly operation: Operation
  /** Path of the file. */
  readonly file: string

  constructor(code: ErrorCode, operation: Operation, file: string) {
    super(code, file)
    this.name = 'HashFilesError'
    this.operation = operation
    this.file = file
  }
}

/**
 * Hashes the files of `torrent` and sets its hashes.
 *
 * The event loop stays free: the files are read on worker threads, which end when the work is done. Torrents of a
 * few MiB are hashed here, a piece at a time between other events. (So is everything where this module
 * runs as TypeScript source, because workers need the compiled file.)
 *
 * @param path the directory that the file names of `torrent` are relative to
 * @throws HashFilesError if a file is missing, cannot be read, or is shorter than the torrent says
 * @throws LibtorrentError `ECANCELED` if `progress` returned `false`; what `progress` threw; the reason of `signal`.
 *   The hashes of the torrent are then as before
 */
export function setPieceHashes(
  torrent: CreateTorrent,
  path: string,
  progress?: PieceProgress,
  options?: SetPieceHashesOptions,
): Promise<void>
export function setPieceHashes(torrent: CreateTorrent, path: string, options: SetPieceHashesOptions): Promise<void>
export async function setPieceHashes(
  torrent: CreateTorrent,
  path: string,
  third?: PieceProgress | SetPieceHashesOptions,
  fourth: SetPieceHashesOptions = {},
): Promise<void> {
  const progress = typeof third === 'function' ? third : null
  const options = typeof third === 'object' ? third : fourth
  options.signal?.throwIfAborted()
  if (torrent.totalSize() === 0) throw new LibtorrentError(libtorrentError(LibtorrentErrors.torrentInvalidLength))
  const plan = planOf(torrent, path)
  const report = new ProgressInOrder(plan, progress, options.signal)
  const small = torrent.totalSize() <= SMALL_BYTES && plan.paths.length <= SMALL_FILES
  if (small || import.meta.url.endsWith('.ts')) await hashHere(plan, report)
  else await hashOnWorkers(plan, report, threadCount(options))
  torrent.adoptHashes(plan.v1?.slice() ?? null, plan.v2?.slice() ?? null)
}

function planOf(torrent: CreateTorrent, path: string): HashPlan {
  const files = torrent.fileList()
  const sizes = new Float64Array(new SharedArrayBuffer(files.length * 8))
  const offsets = new Float64Array(new SharedArrayBuffer((files.length + 1) * 8))
  const pads = new Uint8Array(new SharedArrayBuffer(files.length))
  const paths: string[] = new Array(files.length)
  for (let i = 0; i < files.length; i++) {
    const file = files[i]!
    sizes[i] = file.size
    offsets[i + 1] = offsets[i]! + file.size
    pads[i] = (file.flags & FileFlags.flagPadFile) !== 0 ? 1 : 0
    paths[i] = pads[i] === 1 ? '' : join(path, file.filename)
  }
  const first = torrent.isV1Only() ? null : torrent.firstHashes()
  const shared = (length: number) => new Uint8Array(new SharedArrayBuffer(length))
  return {
    paths,
    sizes,
    offsets,
    pads,
    pieceLength: torrent.pieceLength(),
    numPieces: torrent.numPieces(),
    v1: torrent.isV2Only() ? null : shared(torrent.numPieces() * 20),
    v2: first === null ? null : shared(first[files.length]! * 32),
    v2First: first,
  }
}

function threadCount(options: SetPieceHashesOptions): number {
  const wanted = options.settings?.hashing_threads ?? availableParallelism()
  return Math.max(1, Math.min(wanted, MAX_THREADS))
}

/** Turns runs that end in any order into one call per piece in order, and says when to stop. */
class ProgressInOrder {
  readonly plan: HashPlan
  readonly #progress: PieceProgress | null
  readonly #signal: AbortSignal | undefined
  readonly #done = new Set<number>()
  #next = 0

  constructor(plan: HashPlan, progress: PieceProgress | null, signal: AbortSignal | undefined) {
    this.plan = plan
    this.#progress = progress
    this.#signal = signal
  }

  get signal(): AbortSignal | undefined {
    return this.#signal
  }

  /** All pieces were reported. */
  get complete(): boolean {
    return this.#next >= this.plan.numPieces
  }

  /** @throws what ends the work */
  runDone(run: number, runLength: number): void {
    this.#done.add(run)
    while (this.#done.delete(this.#next / runLength)) {
      const end = Math.min(this.#next + runLength, this.plan.numPieces)
      if (this.#progress === null) this.#next = end
      while (this.#next < end) {
        this.#signal?.throwIfAborted()
        if (this.#progress!(this.#next) === false) throw new LibtorrentError(errnoError('ECANCELED'))
        this.#next++
      }
    }
  }
}

function errorOf(failure: HashFailure, plan: HashPlan): HashFilesError {
  const code = failure.cause === null ? new ErrorCode(MiscErrors.eof, miscCategory()) : errorCodeOf(failure.cause)
  return new HashFilesError(code, failure.operation, plan.paths[failure.file]!)
}

async function hashHere(plan: HashPlan, report: ProgressInOrder): Promise<void> {
  const job = new HashJob(plan)
  try {
    for (let piece = 0; piece < plan.numPieces; piece++) {
      await new Promise<void>(resolve => setImmediate(resolve))
      report.signal?.throwIfAborted()
      const failure = job.hashPiece(piece)
      if (failure !== null) throw errorOf(failure, plan)
      report.runDone(piece, 1)
    }
  } finally {
    job.close()
  }
}

async function hashOnWorkers(plan: HashPlan, report: ProgressInOrder, threads: number): Promise<void> {
  const perRun = Math.min(RUN_BYTES / plan.pieceLength, plan.numPieces / (threads * 4))
  const runLength = Math.max(1, Math.floor(perRun))
  const control = new Int32Array(new SharedArrayBuffer(8))
  const task: WorkerTask = { plan, runLength, control }
  // loaded here: most programs that import this package make no torrents
  const { Worker } = await import('node:worker_threads')
  report.signal?.throwIfAborted()
  const workers: Worker[] = []
  return new Promise((resolve, reject) => {
    let settled = false
    const settle = (error: unknown) => {
      if (settled) return
      settled = true
      report.signal?.removeEventListener('abort', onAbort)
      if (error === null) resolve()
      else {
        // Workers look at this between pieces; those that wait for a slow disk are cut off.
        Atomics.store(control, STOP, 1)
        Promise.all(workers.map(worker => worker.terminate())).then(() => reject(error), reject)
      }
    }
    const onAbort = () => settle(report.signal!.reason)
    const onReport = (message: WorkerReport) => {
      if (settled) return
      if (typeof message !== 'number') {
        settle(errorOf(message, plan))
        return
      }
      try {
        report.runDone(message, runLength)
      } catch (error) {
        settle(error)
        return
      }
      if (report.complete) settle(null)
    }
    report.signal?.addEventListener('abort', onAbort)
    const count = Math.min(threads, Math.ceil(plan.numPieces / runLength))
    let running = count
    for (let i = 0; i < count; i++) {
      const worker = new Worker(new URL('./hash-worker.js', import.meta.url), { workerData: task, name: 'hash' })
      workers.push(worker)
      worker.on('message', onReport)
      worker.on('error', settle)
      worker.on('exit', () => {
        if (--running === 0) settle(new Error('setPieceHashes: the workers ended before the work'))
      })
    }
  })
}
