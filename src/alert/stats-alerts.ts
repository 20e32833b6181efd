/** Alerts that carry the session statistics. */

import { AlertPriority } from '../core/enums.ts'
import { METRIC_NAMES } from '../stats/metric-names.ts'
import { Alert } from './alert.ts'

/** Answers `postSessionStats()`. */
export class SessionStatsAlert extends Alert {
  static override readonly alertType = 70
  static override readonly staticCategory: number = 0
  static override readonly priority: AlertPriority = AlertPriority.critical
  readonly #counters: Float64Array
  #byName: Readonly<Record<string, number>> | null = null

  constructor(counters: Float64Array) {
    super()
    this.#counters = counters
  }

  /** Counters and gauges by name: `values['net.recv_bytes']`. */
  get values(): Readonly<Record<string, number>> {
    this.#byName ??= Object.fromEntries(METRIC_NAMES.map((name, index) => [name, this.#counters[index]!]))
    return this.#byName
  }

  /** Counters and gauges by `StatsMetric.valueIndex`. */
  counters(): Float64Array {
    return this.#counters
  }

  override message(): string {
    return `session stats (${this.#counters.length} values): ${this.#counters.join(', ')}`
  }
}

/** Names the columns of the `message()` of `SessionStatsAlert`; posted once when a log of them begins. */
export class SessionStatsHeaderAlert extends Alert {
  static override readonly alertType = 92
  static override readonly staticCategory: number = 0
  static override readonly priority: AlertPriority = AlertPriority.normal

  override message(): string {
    return `session stats header: ${METRIC_NAMES.join(', ')}`
  }
}
