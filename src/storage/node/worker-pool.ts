/**
 * The threads that do the blocking work. Knows nothing of torrents: it hands jobs to workers, a few ahead
 * each, and takes them back from a worker whose running job does not end.
 */

import { Worker } from 'node:worker_threads'
import {
  CLAIM_CELLS,
  NO_CELL,
  type ToWorker,
  type WireAnswer,
  type WireClose,
  type WireJob,
  type WorkerInit,
} from '../worker-protocol.ts'

/** What the pool sees of a job. */
export interface PoolJob {
  /** Long sequential work; fewer of these are given ahead, so that a short job need not wait for many. */
  readonly bulk: boolean
}

/** Receives what the pool has to say; always from an event of its own. What its methods throw goes to `crashed`. */
export interface PoolSink<J extends PoolJob> {
  /** Answers that came together. @param job `null`: the job was taken back or the worker is gone */
  answered(answers: readonly WireAnswer[], jobs: readonly J[]): void
  /** The job did not start and must be given again. */
  takenBack(job: J): void
  /** The worker that had the job died. */
  lost(job: J): void
  /** The job has been running for suspiciously long. */
  stalled(job: J): void
  /** Workers stopped or started: try to place jobs again. */
  capacity(): void
  /** A worker has failed, or something was thrown that nobody expects: to be told, nothing else. */
  crashed(error: unknown): void
}

/** What the pool needs of a `Worker`. */
export interface PoolWorker {
  postMessage(message: ToWorker): void
  on(event: 'message', fn: (answers: WireAnswer[]) => void): unknown
  on(event: 'error' | 'messageerror', fn: (error: unknown) => void): unknown
  on(event: 'exit', fn: () => void): unknown
  ref(): void
  unref(): void
  /** Ends it wherever it is; 'exit' follows. */
  terminate(): unknown
}

export interface PoolLimits {
  /** Workers in normal times. */
  readonly workers: number
  /** Workers when some hang. */
  readonly maxWorkers: number
  readonly maxFiles: number
}

/** Jobs given ahead to one worker, the running one included. */
const DEPTH = 4
const BULK_DEPTH = 2
/** A worker takes so many short jobs before another one is bothered. */
const PACKED = 2
/** A job that runs this long in two looks is stalled. */
const LOOK_MS = 250
/** A worker that has begun nothing yet may still be starting: it gets so many looks more. */
const START_LOOKS = 8
/** An extra worker leaves after this many looks without work. */
const IDLE_LOOKS = 24

interface InFlight<J> {
  readonly id: number
  readonly cell: number
  /** `null` for a close request. */
  job: J | null
  readonly closed: (() => void) | null
}

interface Thread<J> {
  readonly worker: PoolWorker
  readonly claims: Int32Array
  readonly freeCells: number[]
  /** In the order given; the first is running. */
  readonly inFlight: InFlight<J>[]
  outgoing: WireJob[]
  bulk: number
  stalled: boolean
  idleLooks: number
  /** Head of `inFlight` at the last look. */
  seen: number
  /** Looks to go before it can count as stalled without having begun anything. */
  startLooks: number
  leaving: boolean
}

/** Worker threads with their queues. */
export class WorkerPool<J extends PoolJob> {
  readonly #sink: PoolSink<J>
  readonly #segments: () => WorkerInit['segments']
  readonly #spawn: (init: WorkerInit) => PoolWorker
  readonly #threads: Thread<J>[] = []
  #limits: PoolLimits
  #nextId = 1
  #dirty = false
  #look: ReturnType<typeof setInterval> | null = null
  #onEmpty: (() => void) | null = null

  /**
   * @param segments of the slabs, for a worker that starts
   * @param spawn another way to start a worker, for tests
   */
  constructor(
    limits: PoolLimits,
    segments: () => WorkerInit['segments'],
    sink: PoolSink<J>,
    spawn: (init: WorkerInit) => PoolWorker = spawnThread,
  ) {
    this.#limits = limits
    this.#segments = segments
    this.#sink = sink
    this.#spawn = spawn
  }

  get size(): number {
    return this.#threads.length
  }

  /** Workers whose running job is one of these. */
  countRunning(is: (job: J) => boolean): number {
    let count = 0
    for (const { inFlight } of this.#threads) {
      const job = inFlight[0]?.job ?? null
      if (job !== null && is(job)) count++
    }
    return count
  }

  /** Workers that may be given to one storage at once. */
  get regular(): number {
    return this.#limits.workers
  }

  setLimits(limits: PoolLimits): void {
    const files = limits.maxFiles !== this.#limits.maxFiles
    this.#limits = limits
    if (files) this.#tellAll({ type: 'limit', maxFiles: this.#filesPerWorker() })
    for (let n = this.#threads.length - limits.maxWorkers; n > 0; n--) {
      const idle = this.#threads.find(t => t.inFlight.length === 0 && !t.leaving)
      if (idle !== undefined) this.#dismiss(idle)
    }
  }

  addSegment(pool: number, index: number, memory: SharedArrayBuffer): void {
    this.#tellAll({ type: 'segment', pool, index, memory })
  }

  /** Whether some worker would take one more job. */
  hasRoom(bulk: boolean): boolean {
    return this.#pick(bulk) !== null || this.#mayStart()
  }

  /**
   * Gives a job to the worker with the least to do, starting one if need be. `hasRoom` must be true.
   *
   * @returns the worker, for `closeStorage`
   * @throws if there is no worker and the system does not let one start
   */
  give(job: J, wire: WireJob): object {
    let thread = this.#pick(job.bulk)
    const crowded = thread === null || thread.inFlight.length >= (job.bulk ? 1 : PACKED)
    if (crowded && this.#mayStart()) {
      try {
        thread = this.#start()
      } catch (error) {
        // those there are do it, only later
        if (thread === null) throw error
        this.#sink.crashed(error)
      }
    }
    if (thread === null) throw new Error('WorkerPool: no room for a job')
    this.#send(thread, wire, job, null)
    if (job.bulk) thread.bulk++
    return thread
  }

  /** Closes a storage's files in one worker. `done` comes at once if the worker is gone or hangs. */
  closeStorage(of: object, storage: number, done: () => void): void {
    const thread = this.#threads.find(t => t === of)
    if (thread === undefined || thread.leaving) {
      this.#later(done)
      return
    }
    const wire: WireClose = { op: 3, id: 0, cell: 0, storage }
    // A worker that hangs closes when it wakes; its files must not hold up others until then.
    if (thread.stalled) {
      this.#send(thread, wire, null, () => {})
      this.#later(done)
    } else this.#send(thread, wire, null, done)
  }

  /** Asks a running job to stop at the next occasion. */
  cancel(job: J): void {
    for (const thread of this.#threads) {
      for (const entry of thread.inFlight) {
        if (entry.job === job) Atomics.compareExchange(thread.claims, entry.cell, -entry.id, 0)
      }
    }
  }

  /** Sends what was given since the last call. */
  flush(): void {
    if (!this.#dirty) return
    this.#dirty = false
    for (const thread of this.#threads) {
      if (thread.outgoing.length === 0) continue
      const jobs = thread.outgoing
      thread.outgoing = []
      try {
        this.#post(thread, { type: 'jobs', jobs })
      } catch (error) {
        // it never left: nobody will answer
        for (const { id } of jobs) this.#drop(this.#remove(thread, id))
        this.#settle(thread)
        this.#sink.crashed(error)
      }
    }
  }

  /** Ends all workers once they have nothing to do. No job may be given any more. */
  close(done: () => void): void {
    this.#onEmpty = done
    for (const thread of this.#threads.slice()) if (thread.inFlight.length === 0) this.#dismiss(thread)
    this.#checkEmpty()
  }

  #filesPerWorker(): number {
    return Math.max(1, Math.floor(this.#limits.maxFiles / this.#limits.workers))
  }

  #tellAll(message: ToWorker): void {
    for (const thread of this.#threads) this.#post(thread, message)
  }

  #post(thread: Thread<J>, message: ToWorker): void {
    thread.worker.postMessage(message)
  }

  #mayStart(): boolean {
    let useful = 0
    for (const thread of this.#threads) if (!thread.stalled && !thread.leaving) useful++
    return useful < this.#limits.workers && this.#threads.length < this.#limits.maxWorkers
  }

  #staying(): number {
    let count = 0
    for (const thread of this.#threads) if (!thread.leaving) count++
    return count
  }

  /**
   * A thread with room for the job. Bulk jobs go to the one with the least to do. Others stay on the first one
   * that has no more than one waiting: it need not be woken, and its caches are warm.
   */
  #pick(bulk: boolean): Thread<J> | null {
    if (!bulk) {
      for (const thread of this.#threads) {
        if (!thread.stalled && !thread.leaving && thread.bulk === 0 && thread.inFlight.length < PACKED) return thread
      }
    }
    let best: Thread<J> | null = null
    for (const thread of this.#threads) {
      if (thread.stalled || thread.leaving || thread.inFlight.length >= DEPTH) continue
      if (bulk && thread.bulk >= BULK_DEPTH) continue
      if (best === null || thread.inFlight.length < best.inFlight.length) best = thread
    }
    return best
  }

  #send(thread: Thread<J>, wire: WireJob, job: J | null, closed: (() => void) | null): void {
    const id = this.#nextId
    this.#nextId = id === 0x7fffffff ? 1 : id + 1
    wire.id = id
    // files are closed in any case, and there is no limit to how many storages close at once
    const cell = job === null ? NO_CELL : thread.freeCells.pop()!
    wire.cell = cell
    if (cell !== NO_CELL) Atomics.store(thread.claims, cell, id)
    if (thread.inFlight.length === 0) thread.worker.ref()
    thread.inFlight.push({ id, cell, job, closed })
    thread.idleLooks = 0
    thread.outgoing.push(wire)
    this.#dirty = true
    this.#look ??= setInterval(() => this.#enter(() => this.#lookAround()), LOOK_MS).unref()
  }

  #start(): Thread<J> {
    const claims = new SharedArrayBuffer(CLAIM_CELLS * 4)
    const init: WorkerInit = { segments: this.#segments(), claims, maxFiles: this.#filesPerWorker() }
    const worker = this.#spawn(init)
    const freeCells: number[] = []
    for (let i = CLAIM_CELLS - 1; i >= 0; i--) freeCells.push(i)
    const thread: Thread<J> = {
      worker,
      claims: new Int32Array(claims),
      freeCells,
      inFlight: [],
      outgoing: [],
      bulk: 0,
      stalled: false,
      idleLooks: 0,
      seen: 0,
      startLooks: START_LOOKS,
      leaving: false,
    }
    worker.unref()
    worker.on('message', (answers: WireAnswer[]) => this.#enter(() => this.#answered(thread, answers)))
    // An 'error' is followed by 'exit', where the jobs learn of it; without a listener it would end the process.
    worker.on('error', error => this.#sink.crashed(error))
    // Which jobs were answered is lost with the message: all of the worker's are.
    worker.on('messageerror', error => {
      this.#sink.crashed(error)
      worker.terminate()
    })
    worker.on('exit', () => this.#enter(() => this.#exited(thread)))
    this.#threads.push(thread)
    return thread
  }

  #answered(thread: Thread<J>, answers: readonly WireAnswer[]): void {
    const jobs: J[] = []
    const real: WireAnswer[] = []
    const closed: (() => void)[] = []
    for (const answer of answers) {
      const entry = this.#remove(thread, answer.id)
      if (entry === null) continue
      if (entry.job !== null) {
        jobs.push(entry.job)
        real.push(answer)
      }
      if (entry.closed !== null) closed.push(entry.closed)
    }
    thread.stalled = false
    thread.startLooks = 0
    if (real.length > 0) this.#sink.answered(real, jobs)
    for (const fn of closed) this.#enter(fn)
    this.#settle(thread)
    this.#sink.capacity()
  }

  #remove(thread: Thread<J>, id: number): InFlight<J> | null {
    const at = thread.inFlight.findIndex(entry => entry.id === id)
    if (at < 0) return null
    const entry = thread.inFlight.splice(at, 1)[0]!
    if (entry.cell !== NO_CELL) thread.freeCells.push(entry.cell)
    if (entry.job?.bulk) thread.bulk--
    return entry
  }

  /** After a worker has lost work: it need not keep the process alive, and may leave. */
  #settle(thread: Thread<J>): void {
    if (thread.inFlight.length > 0 || thread.leaving) return
    thread.worker.unref()
    if (this.#onEmpty !== null) this.#dismiss(thread)
  }

  #dismiss(thread: Thread<J>): void {
    if (thread.leaving) return
    thread.leaving = true
    thread.worker.ref()
    this.#post(thread, { type: 'exit' })
  }

  #exited(thread: Thread<J>): void {
    const at = this.#threads.indexOf(thread)
    if (at >= 0) this.#threads.splice(at, 1)
    const orphans = thread.inFlight.splice(0)
    for (const entry of orphans) this.#drop(entry)
    this.#checkEmpty()
    if (this.#onEmpty === null) this.#sink.capacity()
  }

  /** What was asked for will not be answered. */
  #drop(entry: InFlight<J> | null): void {
    if (entry === null) return
    this.#enter(() => entry.closed?.())
    const { job } = entry
    if (job !== null) this.#enter(() => this.#sink.lost(job))
  }

  /** The door of all events: what is thrown must not reach the event loop. */
  #enter(fn: () => void): void {
    try {
      fn()
    } catch (error) {
      this.#sink.crashed(error)
    }
  }

  #later(fn: () => void): void {
    queueMicrotask(() => this.#enter(fn))
  }

  #checkEmpty(): void {
    if (this.#threads.length > 0) return
    if (this.#look !== null) clearInterval(this.#look)
    this.#look = null
    const done = this.#onEmpty
    this.#onEmpty = null
    done?.()
  }

  /** Finds workers that hang and extra ones that are not needed any more. */
  #lookAround(): void {
    let busy = false
    let relieved = false
    for (const thread of this.#threads.slice()) {
      const head = thread.inFlight[0]
      if (head === undefined) {
        thread.seen = 0
        if (this.#staying() > this.#limits.workers && ++thread.idleLooks > IDLE_LOOKS) this.#dismiss(thread)
        continue
      }
      busy = true
      // Only a job seen twice counts: this thread may itself have been away, with the answer waiting.
      if (head.id !== thread.seen) {
        thread.seen = head.id
        continue
      }
      if (thread.stalled) continue
      const begun = head.cell === NO_CELL || Atomics.load(thread.claims, head.cell) !== head.id
      if (!begun && thread.startLooks-- > 0) continue
      thread.stalled = true
      relieved = true
      this.#relieve(thread)
    }
    if (relieved) this.#sink.capacity()
    if (!busy && this.#staying() <= this.#limits.workers && this.#look !== null) {
      clearInterval(this.#look)
      this.#look = null
    }
  }

  /** Takes back what waits behind the running job of a worker. */
  #relieve(thread: Thread<J>): void {
    const head = thread.inFlight[0]!
    if (head.job !== null) this.#sink.stalled(head.job)
    for (const entry of thread.inFlight.slice(1)) {
      if (entry.closed !== null) {
        // It will close when it wakes up; do not wait for that.
        this.#remove(thread, entry.id)
        this.#later(entry.closed)
      } else if (Atomics.compareExchange(thread.claims, entry.cell, entry.id, 0) === entry.id) {
        this.#remove(thread, entry.id)
        if (entry.job !== null) this.#sink.takenBack(entry.job)
      }
    }
  }
}

function spawnThread(init: WorkerInit): PoolWorker {
  return new Worker(workerUrl(), { workerData: init, execArgv: [], env: {} })
}

/** In a checkout, where the sources are run as they are, workers come from the built package: Node 20 runs no .ts. */
function workerUrl(): URL {
  return import.meta.url.endsWith('.ts')
    ? new URL('../../../dist/worker-main.js', import.meta.url)
    : new URL('./worker-main.js', import.meta.url)
}
