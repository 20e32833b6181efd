/**
 * Which job runs next. Jobs of a storage pass its fence, then wait for the pieces they touch, then stand
 * in the storage's ready queue; storages take turns, so none waits for the backlog of another. No I/O here.
 */

import { RingQueue } from '../core/ring-queue.ts'
import { type FencedJob, JobFence } from './job-fence.ts'
import { KeyLocks, type LockedJob } from './key-locks.ts'

/** One unit of work as the queues see it. */
export interface QueuedJob extends FencedJob, LockedJob {
  /** Long sequential work (checking, allocating): gives way to other jobs. */
  readonly bulk: boolean
  readonly queue: StorageQueue
  /** Kept by {@link DiskJobs}. */
  state: JobState
}

/** Where a job is on its way. */
export const JobState = Object.freeze({ new: 0, held: 1, waiting: 2, ready: 3, running: 4, done: 5 } as const)
export type JobState = (typeof JobState)[keyof typeof JobState]

/** The jobs of one storage. */
export class StorageQueue {
  readonly id: number
  readonly fence: JobFence<QueuedJob> = new JobFence<QueuedJob>()
  readonly locks: KeyLocks<QueuedJob> = new KeyLocks<QueuedJob>()
  /** Jobs ready to run, urgent ones and bulk ones. */
  readonly ready: [RingQueue<QueuedJob> | null, RingQueue<QueuedJob> | null] = [null, null]
  /** Whether it stands in the ring of storages with ready jobs of that kind. */
  readonly inRing: [boolean, boolean] = [false, false]
  /** Jobs handed to workers and not answered. */
  running = 0
  /** One of its jobs has been running for suspiciously long: its disk may hang. */
  stalled = false

  constructor(id: number) {
    this.id = id
  }
}

/** One bulk job is taken after at most this many others. */
const URGENT_PER_BULK = 3

/** The queues of all storages. */
export class DiskJobs<J extends QueuedJob> {
  readonly #rings: [RingQueue<StorageQueue>, RingQueue<StorageQueue>] = [new RingQueue(), new RingQueue()]
  #urgentInARow = 0
  #queued = 0
  #running = 0
  #held = 0

  /** Jobs that are held back by fences, waiting fences among them. */
  get held(): number {
    return this.#held
  }

  /** Jobs that are not running yet. */
  get queued(): number {
    return this.#queued
  }

  get running(): number {
    return this.#running
  }

  /** Enters a new job. */
  add(job: J): void {
    this.#queued++
    if (job.queue.fence.admit(job)) this.#lock(job)
    else {
      job.state = JobState.held
      this.#held++
    }
  }

  /**
   * The next job to run; it counts as running from now on.
   *
   * @param allowed whether a storage may have one more job running
   * @param bulkAllowed whether any may have a bulk job: else none is asked
   */
  take(allowed: (queue: StorageQueue) => boolean, bulkAllowed = true): J | null {
    const bulkFirst = bulkAllowed && this.#urgentInARow >= URGENT_PER_BULK
    let job = this.#takeFrom(bulkFirst ? 1 : 0, allowed)
    if (job === null && bulkAllowed) job = this.#takeFrom(bulkFirst ? 0 : 1, allowed)
    if (job === null) return null
    this.#urgentInARow = job.bulk ? 0 : this.#urgentInARow + 1
    job.state = JobState.running
    job.queue.running++
    this.#queued--
    this.#running++
    return job
  }

  /** A running job goes back to the front of nothing in particular: it will be taken again. */
  requeue(job: J): void {
    this.#running--
    this.#queued++
    job.queue.running--
    this.#makeReady(job)
  }

  /** A running job has ended. Jobs that waited for it become ready. */
  finish(job: J): void {
    this.#running--
    job.queue.running--
    this.#leave(job)
  }

  #takeFrom(kind: 0 | 1, allowed: (queue: StorageQueue) => boolean): J | null {
    const ring = this.#rings[kind]
    for (let n = ring.length; n > 0; n--) {
      const queue = ring.shift()!
      const ready = queue.ready[kind]
      if (ready === null || ready.length === 0) {
        queue.inRing[kind] = false
        queue.ready[kind] = null
        continue
      }
      if (!allowed(queue)) {
        ring.push(queue)
        continue
      }
      const job = ready.shift() as J
      if (ready.length > 0) {
        ring.push(queue)
      } else {
        queue.inRing[kind] = false
        queue.ready[kind] = null
      }
      return job
    }
    return null
  }

  #lock(job: QueuedJob): void {
    if (job.queue.locks.acquire(job)) this.#makeReady(job)
    else job.state = JobState.waiting
  }

  #makeReady(job: QueuedJob): void {
    const kind = job.bulk ? 1 : 0
    const queue = job.queue
    job.state = JobState.ready
    queue.ready[kind] ??= new RingQueue<QueuedJob>()
    queue.ready[kind].push(job)
    if (queue.inRing[kind]) return
    queue.inRing[kind] = true
    this.#rings[kind].push(queue)
  }

  #leave(job: QueuedJob): void {
    job.state = JobState.done
    job.queue.locks.release(job, next => this.#makeReady(next))
    job.queue.fence.finished(job, next => {
      this.#held--
      this.#lock(next)
    })
  }
}
