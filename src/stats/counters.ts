/** The session's counters and gauges: one array of numbers, indexed by the constants of `counter-ids.ts`. */

import { NUM_COUNTERS } from './counter-ids.ts'

/**
 * Counts what happens in a session.
 *
 * A counter only grows, a gauge goes up and down (`FIRST_GAUGE` on). Values are exact to 2^53.
 */
export class Counters {
  readonly #values = new Float64Array(NUM_COUNTERS)

  /** Adds to a counter or gauge; gauges also take negative numbers. @internal */
  inc(index: number, by = 1): void {
    this.#values[index]! += by
  }

  /** @internal */
  set(index: number, value: number): void {
    this.#values[index] = value
  }

  /** Current value; `undefined` never: an index out of range reads 0. */
  get(index: number): number {
    return this.#values[index] ?? 0
  }

  /**
   * Moves a gauge towards a sample.
   *
   * @param ratio weight of the sample in percent, 0 to 100
   * @internal
   */
  blend(index: number, value: number, ratio: number): void {
    const current = this.#values[index]!
    this.#values[index] = Math.trunc((current * (100 - ratio) + value * ratio) / 100)
  }

  /** A copy of all values, as `session_stats_alert` carries it. @internal */
  snapshot(): Float64Array {
    return this.#values.slice()
  }

  /** Adds to a counter or gauge. @returns its new value */
  incStatsCounter(c: number, value = 1): number {
    this.#check(c)
    this.inc(c, value)
    return this.#values[c]!
  }

  /** Sets a counter or gauge. */
  setValue(c: number, value: number): void {
    this.#check(c)
    this.set(c, value)
  }

  /** Moves a gauge towards a sample by `ratio` percent, 0 to 100. */
  blendStatsCounter(c: number, value: number, ratio: number): void {
    this.#check(c)
    this.blend(c, value, ratio)
  }

  #check(index: number): void {
    if (!Number.isInteger(index) || index < 0 || index >= NUM_COUNTERS)
      throw new RangeError(`there is no counter ${index}`)
  }
}
