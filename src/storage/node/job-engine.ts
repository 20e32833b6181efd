/**
 * Gets jobs done: takes them from the queues, has files closed where a job needs that, gives them to the
 * workers, and tells their owners, in turns, what has become of them.
 */

import { performance } from 'node:perf_hooks'
import { Operation } from '../../core/enums.ts'
import { errnoError } from '../../core/error-code.ts'
import { abortedError } from '../disk-error.ts'
import { DiskJobs, JobState } from '../disk-jobs.ts'
import type { WireAnswer, WorkerInit } from '../worker-protocol.ts'
import { type Job, WriteJob } from './jobs.ts'
import { OpenFileTable } from './open-file-table.ts'
import { type PoolLimits, type PoolSink, type PoolWorker, WorkerPool } from './worker-pool.ts'

/** Jobs of one storage that may be with the workers at once, per worker. */
const AHEAD = 4

/** What a {@link JobEngine} needs from its owner. */
export interface JobEngineOptions {
  readonly limits: PoolLimits
  /** Of the slabs, for workers that start. */
  readonly segments: () => WorkerInit['segments']
  /** Every batch of callbacks runs inside this. */
  readonly turn: (fn: () => void) => void
  /** An exclusive job has ended: its storage may work again. */
  readonly fenceEnded: (job: Job) => void
  /** Told of what was thrown that nobody expects. The job it came from has failed with `EIO`. */
  readonly crashed: (error: unknown) => void
  /** Another way to start a worker, for tests. */
  readonly spawn?: (init: WorkerInit) => PoolWorker
}

/** Queues, workers and deliveries of one disk. */
export class JobEngine {
  readonly openFiles: OpenFileTable = new OpenFileTable()
  /** Sums over all answers; times in microseconds. */
  readonly sums = {
    readTime: 0,
    writeTime: 0,
    hashTime: 0,
    readOps: 0,
    writeOps: 0,
    blocksHashed: 0,
    filePoolHits: 0,
    filePoolMisses: 0,
  }
  readonly #jobs = new DiskJobs<Job>()
  readonly #pool: WorkerPool<Job>
  readonly #turn: (fn: () => void) => void
  readonly #fenceEnded: (job: Job) => void
  readonly #crashed: (error: unknown) => void
  /** Jobs that have ended, and other callbacks that are due: told to their owners in one turn. */
  #ended: { deliver(): void }[] = []
  #deliveryScheduled = false
  #closing: (() => void) | null = null

  constructor(options: JobEngineOptions) {
    this.#turn = options.turn
    this.#fenceEnded = options.fenceEnded
    this.#crashed = options.crashed
    const sink: PoolSink<Job> = {
      answered: (answers, jobs) => this.#answered(answers, jobs),
      takenBack: job => this.#jobs.requeue(job),
      lost: job => this.#lost(job),
      stalled: job => {
        job.queue.stalled = true
      },
      capacity: () => this.dispatch(),
      crashed: options.crashed,
    }
    this.#pool = new WorkerPool<Job>(options.limits, options.segments, sink, options.spawn)
  }

  get queued(): number {
    return this.#jobs.queued
  }

  get running(): number {
    return this.#jobs.running
  }

  get held(): number {
    return this.#jobs.held
  }

  get threads(): number {
    return this.#pool.size
  }

  /** Workers that write now. */
  get writing(): number {
    return this.#pool.countRunning(job => job instanceof WriteJob)
  }

  setLimits(limits: PoolLimits): void {
    this.#pool.setLimits(limits)
    this.dispatch()
  }

  /** @param pool 0 the write slab, 1 the read slab */
  addSegment(pool: number, index: number, memory: SharedArrayBuffer): void {
    this.#pool.addSegment(pool, index, memory)
  }

  /** Queues a job; `dispatch` starts it. */
  add(job: Job): void {
    this.#jobs.add(job)
  }

  /** The job's owner wants it to end soon: it answers "aborted" unless it is done before. */
  cancel(job: Job): void {
    job.cancelled = true
    this.#pool.cancel(job)
  }

  /** Calls back in a turn of its own. */
  later(fn: () => void): void {
    this.#ended.push({ deliver: fn })
    this.#scheduleDelivery()
  }

  /** Ends what there is to do, then the workers. No job may be added after. */
  close(done: () => void): void {
    this.#closing = done
    this.dispatch()
    this.#checkClosed()
  }

  /** Gives the workers what they will take. Called outside of turns too: it does not throw. */
  dispatch(): void {
    // most turns have no job: the network's need not look for room among the workers
    while (this.#jobs.queued > 0 && this.#pool.hasRoom(false)) {
      const job = this.#jobs.take(
        queue => queue.running < (queue.stalled ? 1 : this.#pool.regular * AHEAD),
        this.#pool.hasRoom(true),
      )
      if (job === null) break
      try {
        this.#run(job)
      } catch (error) {
        this.#broken(job, error)
      }
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
      if (this.openFiles.hasOpen(job.storage.id)) {
        this.#closeFirst(job, this.openFiles.workersOf(job.storage.id))
        return
      }
    }
    const wire = job.wire()
    if (wire === null) {
      this.#finish(job)
      return
    }
    const worker = this.#pool.give(job, wire)
    this.openFiles.used(job.storage.id, worker)
  }

  /** Lets all workers close the storage's files; then the job takes its turn again. */
  #closeFirst(job: Job, workers: readonly object[]): void {
    let left = workers.length
    for (const worker of workers) {
      this.#pool.closeStorage(worker, job.storage.id, () => {
        if (--left > 0) return
        this.openFiles.forget(job.storage.id)
        this.#jobs.requeue(job)
        this.dispatch()
      })
    }
  }

  #answered(answers: readonly WireAnswer[], jobs: readonly Job[]): void {
    for (let i = 0; i < answers.length; i++) {
      const answer = answers[i]!
      const job = jobs[i]!
      this.#count(answer)
      if (answer.files !== null) this.openFiles.record(answer.files, performance.now())
      job.queue.stalled = false
      try {
        if (job.answered(answer)) this.#jobs.requeue(job)
        else this.#finish(job)
      } catch (error) {
        this.#broken(job, error)
      }
    }
    this.#deliver()
  }

  #count(answer: WireAnswer): void {
    const sums = this.sums
    sums.readTime += answer.readTime
    sums.writeTime += answer.writeTime
    sums.hashTime += answer.hashTime
    sums.readOps += answer.readOps
    sums.writeOps += answer.writeOps
    sums.blocksHashed += answer.blocksHashed
    sums.filePoolHits += answer.fileHits
    sums.filePoolMisses += answer.fileMisses
  }

  #broken(job: Job, error: unknown): void {
    if (job.state === JobState.running) this.#lost(job)
    this.#crashed(error)
  }

  /** Nobody knows what has become of it. */
  #lost(job: Job): void {
    job.queue.stalled = false
    job.failed({ code: errnoError('EIO'), operation: Operation.exception, file: -1 })
    this.#finish(job)
  }

  #finish(job: Job): void {
    this.#jobs.finish(job)
    if (job.fence) {
      // thousands of torrents are looked at once and never again
      if (!this.openFiles.hasOpen(job.storage.id)) this.openFiles.forget(job.storage.id)
      this.#fenceEnded(job)
    }
    this.#ended.push(job)
    this.#scheduleDelivery()
  }

  #scheduleDelivery(): void {
    if (this.#deliveryScheduled) return
    this.#deliveryScheduled = true
    queueMicrotask(() => {
      this.#deliveryScheduled = false
      this.#deliver()
      this.dispatch()
    })
  }

  #deliver(): void {
    if (this.#ended.length > 0) {
      const ended = this.#ended
      this.#ended = []
      try {
        this.#turn(() => this.#tell(ended))
      } catch (error) {
        this.#crashed(error)
      }
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
