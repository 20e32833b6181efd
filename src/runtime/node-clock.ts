/** Time, timers and randomness of this process. */

import { randomFillSync } from 'node:crypto'
import type { Rng } from '../core/rng.ts'
import type { Clock, TimerHandle } from '../core/runtime.ts'

/** The monotonic clock of the process, and the system's wall clock. */
export class NodeClock implements Clock {
  now(): number {
    return performance.now()
  }

  posixSeconds(): number {
    return Math.floor(Date.now() / 1000)
  }
}

/** The longest delay that `setTimeout` takes. */
const MAX_DELAY = 0x7fffffff

/** One `setTimeout`, or several in a row: for delays beyond its range, and because it may fire a fraction early. */
export class NodeTimer implements TimerHandle {
  readonly #due: number
  #fn: (() => void) | null
  #timeout: NodeJS.Timeout

  constructor(delayMs: number, fn: () => void) {
    this.#due = performance.now() + delayMs
    this.#fn = fn
    this.#timeout = setTimeout(this.#fire, wait(delayMs))
  }

  cancel(): void {
    this.#fn = null
    clearTimeout(this.#timeout)
  }

  readonly #fire = () => {
    const left = this.#due - performance.now()
    if (left > 0) {
      this.#timeout = setTimeout(this.#fire, wait(left))
      return
    }
    const fn = this.#fn
    this.#fn = null
    fn?.()
  }
}

function wait(ms: number): number {
  return ms > 0 ? Math.min(Math.ceil(ms), MAX_DELAY) : 0
}

/** Cryptographically strong numbers, drawn from the system in blocks. */
export class NodeRng implements Rng {
  readonly #pool = new Uint32Array(1024)
  #at = 1024

  uint32(): number {
    if (this.#at === this.#pool.length) {
      randomFillSync(this.#pool)
      this.#at = 0
    }
    const value = this.#pool[this.#at]!
    this.#pool[this.#at++] = 0
    return value
  }

  below(limit: number): number {
    // Draws from the incomplete last multiple of `limit` would favour small results.
    const fair = 0x100000000 - (0x100000000 % limit)
    for (;;) {
      const value = this.uint32()
      if (value < fair) return value % limit
    }
  }

  fill(target: Uint8Array): void {
    if (target.length > SHORT) {
      randomFillSync(target)
      return
    }
    // ids and keys: asking the system for each would cost more than all else in adding a torrent
    let word = 0
    for (let i = 0; i < target.length; i++) {
      word = (i & 3) === 0 ? this.uint32() : word >>> 8
      target[i] = word
    }
  }

  fork(): Rng {
    return this
  }
}

/** Bytes that are rather taken from the pool. */
const SHORT = 64
