import type { AlertQueuePort } from '../../../src/alert/alert-queue.ts'

/** A world in which deferred functions run when the test says so. */
export class FakePort implements AlertQueuePort {
  nowMs = 5_000
  seconds = 1_700_000_000
  readonly #deferred: (() => void)[] = []
  readonly clock = { now: () => this.nowMs, posixSeconds: () => this.seconds }

  defer(fn: () => void): void {
    this.#deferred.push(fn)
  }

  get deferred(): number {
    return this.#deferred.length
  }

  /** Ends the turn: runs what was deferred. @returns what it threw */
  endTurn(): unknown[] {
    const errors: unknown[] = []
    for (let fn = this.#deferred.shift(); fn !== undefined; fn = this.#deferred.shift()) {
      try {
        fn()
      } catch (error) {
        errors.push(error)
      }
    }
    return errors
  }
}
