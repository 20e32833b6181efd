/** What the counters are called: the public description of the session statistics. */

import { MetricType } from '../core/enums.ts'
import { FIRST_GAUGE } from './counter-ids.ts'
import { METRIC_NAMES } from './metric-names.ts'

/** Name and kind of one counter or gauge, and where it stands in `SessionStatsAlert.counters()`. */
export class StatsMetric {
  readonly name: string
  readonly valueIndex: number
  /** `MetricType.counter` only grows, `MetricType.gauge` goes up and down. */
  readonly type: MetricType

  constructor(name = '', valueIndex = 0, type: MetricType = MetricType.counter) {
    this.name = name
    this.valueIndex = valueIndex
    this.type = type
  }
}

let indexByName: Map<string, number> | null = null

/** Every metric, by index. A new array at each call. */
export function sessionStatsMetrics(): StatsMetric[] {
  return METRIC_NAMES.map(
    (name, index) => new StatsMetric(name, index, index < FIRST_GAUGE ? MetricType.counter : MetricType.gauge),
  )
}

/** Where a metric such as `net.recv_bytes` stands in `SessionStatsAlert.counters()`. @returns -1 if unknown */
export function findMetricIdx(name: string): number {
  indexByName ??= new Map(METRIC_NAMES.map((metric, index) => [metric, index]))
  return indexByName.get(name) ?? -1
}
