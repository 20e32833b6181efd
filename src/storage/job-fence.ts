/**
 * Exclusive jobs of one storage: a raised fence waits until all earlier jobs are finished, runs alone,
 * and holds back later jobs meanwhile.
 */

import { RingQueue } from '../core/ring-queue.ts'

/** What a fence looks at. */
export interface FencedJob {
  /** This job must be alone in its storage. */
  readonly fence: boolean
}

/** Admission of one storage's jobs, in order. */
export class JobFence<J extends FencedJob> {
  /** Jobs admitted and not finished. */
  #outstanding = 0
  /** Fence jobs that are waiting or running. */
  #raised = 0
  #held: RingQueue<J> | null = null

  get outstanding(): number {
    return this.#outstanding
  }

  /** True while a fence job waits or runs. */
  get raised(): boolean {
    return this.#raised > 0
  }

  /** Jobs held back, fence jobs among them. */
  get held(): number {
    return this.#held === null ? 0 : this.#held.length
  }

  /** @returns true if the job may go on now; else it is kept, and `finished` will release it */
  admit(job: J): boolean {
    if (job.fence) {
      this.#raised++
      if (this.#raised === 1 && this.#outstanding === 0) {
        this.#outstanding++
        return true
      }
    } else if (this.#raised === 0) {
      this.#outstanding++
      return true
    }
    this.#held ??= new RingQueue<J>()
    this.#held.push(job)
    return false
  }

  /** An admitted job is done. @param release gets each job that may go on now */
  finished(job: J, release: (job: J) => void): void {
    this.#outstanding--
    if (job.fence) this.#raised--
    const held = this.#held
    if (held === null) return
    while (held.length > 0) {
      const next = held.peek()!
      if (next.fence && this.#outstanding > 0) return
      held.shift()
      this.#outstanding++
      release(next)
      if (next.fence) return
    }
    this.#held = null
  }
}
