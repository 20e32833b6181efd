import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { MetricType } from '../../../src/core/enums.ts'
import * as ids from '../../../src/stats/counter-ids.ts'
import { Counters } from '../../../src/stats/counters.ts'
import { findMetricIdx, StatsMetric, sessionStatsMetrics } from '../../../src/stats/metric-table.ts'

const inventory = new URL('../../../../shared/api/metrics.json', import.meta.url)

describe('counters', () => {
  test('begin at zero and add up', () => {
    const counters = new Counters()
    expect(counters.get(ids.NET_RECV_BYTES)).toBe(0)
    counters.inc(ids.NET_RECV_BYTES, 1000)
    counters.inc(ids.NET_RECV_BYTES)
    expect(counters.get(ids.NET_RECV_BYTES)).toBe(1001)
    expect(counters.get(ids.NET_SENT_BYTES)).toBe(0)
  })

  test('gauges go up and down', () => {
    const counters = new Counters()
    counters.inc(ids.PEER_NUM_TCP_PEERS, 2)
    counters.inc(ids.PEER_NUM_TCP_PEERS, -1)
    expect(counters.get(ids.PEER_NUM_TCP_PEERS)).toBe(1)
    counters.set(ids.PEER_NUM_TCP_PEERS, 9)
    expect(counters.get(ids.PEER_NUM_TCP_PEERS)).toBe(9)
  })

  test('are exact beyond 32 bits', () => {
    const counters = new Counters()
    counters.inc(ids.NET_RECV_BYTES, 2 ** 52)
    counters.inc(ids.NET_RECV_BYTES, 1)
    expect(counters.get(ids.NET_RECV_BYTES)).toBe(2 ** 52 + 1)
  })

  test('a gauge blends in a sample in whole numbers', () => {
    const counters = new Counters()
    counters.set(ids.DISK_REQUEST_LATENCY, 100)
    counters.blend(ids.DISK_REQUEST_LATENCY, 203, 10)
    expect(counters.get(ids.DISK_REQUEST_LATENCY)).toBe(110)
    counters.blendStatsCounter(ids.DISK_REQUEST_LATENCY, 7, 100)
    expect(counters.get(ids.DISK_REQUEST_LATENCY)).toBe(7)
  })

  test('the public calls check the index', () => {
    const counters = new Counters()
    expect(counters.incStatsCounter(0)).toBe(1)
    expect(counters.incStatsCounter(0, 4)).toBe(5)
    counters.setValue(0, 3)
    expect(counters.get(0)).toBe(3)
    for (const bad of [-1, ids.NUM_COUNTERS, 1.5]) {
      expect(() => counters.incStatsCounter(bad)).toThrow(RangeError)
      expect(() => counters.setValue(bad, 1)).toThrow(RangeError)
      expect(() => counters.blendStatsCounter(bad, 1, 1)).toThrow(RangeError)
      expect(counters.get(bad)).toBe(0)
    }
  })

  test('a snapshot does not change any more', () => {
    const counters = new Counters()
    const before = counters.snapshot()
    counters.inc(3)
    expect(before[3]).toBe(0)
    expect(counters.snapshot()[3]).toBe(1)
    expect(before.length).toBe(ids.NUM_COUNTERS)
  })
})

describe('metrics', () => {
  test('each has its name, index and kind', () => {
    const metrics = sessionStatsMetrics()
    expect(metrics.length).toBe(ids.NUM_COUNTERS)
    metrics.forEach((metric, index) => {
      expect(metric).toBeInstanceOf(StatsMetric)
      expect(metric.valueIndex).toBe(index)
      expect(findMetricIdx(metric.name)).toBe(index)
    })
    expect(metrics[ids.NET_RECV_BYTES]).toMatchObject({ name: 'net.recv_bytes', type: MetricType.counter })
    expect(metrics[ids.PEER_NUM_TCP_PEERS]).toMatchObject({ name: 'peer.num_tcp_peers', type: MetricType.gauge })
  })

  test('an unknown one has index -1', () => {
    expect(findMetricIdx('net.nothing')).toBe(-1)
    expect(findMetricIdx('')).toBe(-1)
  })

  test.runIf(existsSync(inventory))('are those of the inventory', () => {
    const { metrics } = JSON.parse(readFileSync(inventory, 'utf8')) as {
      metrics: { name: string; kind: 'counter' | 'gauge'; index: number }[]
    }
    expect(sessionStatsMetrics().map(m => [m.name, m.valueIndex, m.type])).toEqual(
      metrics.map(m => [m.name, m.index, MetricType[m.kind]]),
    )
  })
})
