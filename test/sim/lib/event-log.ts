/** What happened in a simulation: the last lines for people, a digest of all for "same seed, same log". */

import type { SimClock } from './sim-clock.ts'

const KEPT_LINES = 2000

export class EventLog {
  readonly #clock: SimClock
  #lines: string[] = []
  #digest = 0x811c9dc5
  #count = 0

  constructor(clock: SimClock) {
    this.#clock = clock
  }

  add(line: string): void {
    const text = `${this.#clock.now().toFixed(3)} ${line}`
    for (let i = 0; i < text.length; i++) this.#digest = Math.imul(this.#digest ^ text.charCodeAt(i), 0x01000193)
    this.#count++
    this.#lines.push(text)
    if (this.#lines.length >= KEPT_LINES * 2) this.#lines = this.#lines.slice(-KEPT_LINES)
  }

  /** Counts an event that is not worth a line. */
  mix(value: number): void {
    this.#digest = Math.imul(this.#digest ^ (value | 0), 0x01000193)
    this.#digest = Math.imul(this.#digest ^ Math.floor(this.#clock.now() * 1000), 0x01000193)
    this.#count++
  }

  /** Number and hash of all events since the start. */
  get digest(): string {
    return `${this.#count}:${(this.#digest >>> 0).toString(16)}`
  }

  last(count = 40): readonly string[] {
    return this.#lines.slice(-count)
  }
}
