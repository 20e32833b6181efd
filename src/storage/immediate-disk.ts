/** Common part of the back-ends without workers: jobs run at `submit`, answers come in a turn of their own. */

import { RingQueue } from '../core/ring-queue.ts'
import type { DiskSettings } from './disk-io.ts'
import { Slab } from './slab.ts'

/** What {@link createMemoryDisk} and {@link createDisabledDisk} need. */
export interface ImmediateDiskOptions {
  readonly settings?: Pick<DiskSettings, 'maxQueuedDiskBytes'>
  /** Runs a function after the present turn; a microtask if absent. */
  readonly defer?: (fn: () => void) => void
}

/** Bytes of the write budget if settings give less. */
const MIN_WRITE_BUDGET = 32 << 20

/** Queue of jobs that need no waiting. */
export class ImmediateJobs {
  readonly slab: Slab
  readonly #defer: (fn: () => void) => void
  /** Each does its work and returns what tells the owner. */
  readonly #queued = new RingQueue<() => () => void>()
  #ended: (() => void)[] = []
  #scheduled = false

  constructor(options: ImmediateDiskOptions) {
    this.#defer = options.defer ?? queueMicrotask
    this.slab = new Slab({ budgetBytes: budgetOf(options.settings), defer: this.#defer })
  }

  get queued(): number {
    return this.#queued.length
  }

  setBudget(settings: Pick<DiskSettings, 'maxQueuedDiskBytes'>): void {
    this.slab.setBudget(budgetOf(settings))
  }

  add(job: () => () => void): void {
    this.#queued.push(job)
  }

  run(): void {
    for (let job = this.#queued.shift(); job !== undefined; job = this.#queued.shift()) this.#ended.push(job())
    this.#schedule()
  }

  #schedule(): void {
    if (this.#ended.length === 0 || this.#scheduled) return
    this.#scheduled = true
    this.#defer(() => {
      this.#scheduled = false
      const ended = this.#ended
      this.#ended = []
      let told = 0
      try {
        while (told < ended.length) ended[told++]!()
      } finally {
        // A callback that throws must not cost the others theirs.
        this.#ended = [...ended.slice(told), ...this.#ended]
        this.#schedule()
      }
    })
  }
}

function budgetOf(settings: Pick<DiskSettings, 'maxQueuedDiskBytes'> | undefined): number {
  return Math.max(MIN_WRITE_BUDGET, settings?.maxQueuedDiskBytes ?? 0)
}
