/**
 * Keeps jobs that touch the same thing in order. A thing is a number: a piece, or one of the negative keys
 * that a storage uses for its part file and for files that are being allocated.
 */

/** A job with the things it touches. */
export interface LockedJob {
  /** Distinct keys, in any order. */
  readonly keys: readonly number[]
  /** Jobs that only read may overlap with each other. */
  readonly shared: boolean
  /** Number of keys it waits for; kept by {@link KeyLocks}. */
  waitingFor: number
}

/** Readers-and-writer locks by key, first come first served. */
export class KeyLocks<J extends LockedJob> {
  /** Jobs per key: those at the front that may run together, then those that wait. */
  readonly #queues = new Map<number, J[]>()

  /** Keys in use. */
  get size(): number {
    return this.#queues.size
  }

  /** @returns true if the job holds all its keys; else `release` of others will hand it out */
  acquire(job: J): boolean {
    job.waitingFor = 0
    for (let i = 0; i < job.keys.length; i++) {
      const key = job.keys[i]!
      const queue = this.#queues.get(key)
      if (queue === undefined) {
        this.#queues.set(key, [job])
        continue
      }
      if (!job.shared || !queue.every(other => other.shared)) job.waitingFor++
      queue.push(job)
    }
    return job.waitingFor === 0
  }

  /** Gives back what the job holds or waits for. @param ready gets each job that now holds all its keys */
  release(job: J, ready: (job: J) => void): void {
    for (let i = 0; i < job.keys.length; i++) {
      const key = job.keys[i]!
      const queue = this.#queues.get(key)!
      if (queue.length === 1) {
        this.#queues.delete(key)
        continue
      }
      const before = grantedCount(queue)
      const at = queue.indexOf(job)
      queue.splice(at, 1)
      const had = at < before ? before - 1 : before
      const now = grantedCount(queue)
      for (let k = had; k < now; k++) {
        const next = queue[k]!
        next.waitingFor--
        if (next.waitingFor === 0) ready(next)
      }
    }
  }
}

/** How many jobs at the front of a queue may run. */
function grantedCount<J extends LockedJob>(queue: readonly J[]): number {
  if (queue.length === 0) return 0
  if (!queue[0]!.shared) return 1
  let n = 1
  while (n < queue.length && queue[n]!.shared) n++
  return n
}
