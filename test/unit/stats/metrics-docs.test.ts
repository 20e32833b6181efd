import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { MetricType } from '../../../src/core/enums.ts'
import * as ids from '../../../src/stats/counter-ids.ts'
import { sessionStatsMetrics } from '../../../src/stats/metric-table.ts'

const text = readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8')
const rows = new Map(
  [...text.matchAll(/^\| `([\w.]+)` \| (\w+) \| (yes|not yet|cannot here)(: .+)? \|$/gm)].map(m => [m[1]!, m]),
)

/** Metrics whose index is worked out: the first, and offsets from it. */
const COMPUTED: readonly (readonly [string, readonly number[]])[] = [
  // sockets of peers: TCP, SOCKS5, HTTP
  ['PEER_NUM_TCP_PEERS', [0, 1, 2]],
  ['SOCK_BUFS_SOCKET_SEND_SIZE3', Array.from({ length: 18 }, (_, i) => i)],
  ['SOCK_BUFS_SOCKET_RECV_SIZE3', Array.from({ length: 18 }, (_, i) => i)],
  ['DISK_DISK_READ_LATENCY1', Array.from({ length: 20 }, (_, i) => i)],
]

/** Indices of the metrics that the source names outside of the table. */
function countedInSource(): Set<number> {
  const src = new URL('../../../src/', import.meta.url)
  const words = new Set<string>()
  const sums = new Set<string>()
  for (const file of readdirSync(src, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file.endsWith('counter-ids.ts')) continue
    const code = readFileSync(new URL(file.replaceAll('\\', '/'), src), 'utf8')
    for (const [word] of code.matchAll(/\b[A-Z]+_[A-Z0-9_]+\b/g)) words.add(word)
    for (const match of code.matchAll(/\bC\.([A-Z0-9_]+) \+/g)) sums.add(match[1]!)
  }
  const byName = new Map<string, number>(Object.entries(ids))
  byName.delete('NUM_COUNTERS')
  byName.delete('FIRST_GAUGE')
  expect([...sums].sort()).toEqual(COMPUTED.map(([first]) => first).sort())
  const found = new Set<number>()
  for (const [name, index] of byName) if (words.has(name)) found.add(index)
  for (const [first, offsets] of COMPUTED) for (const offset of offsets) found.add(byName.get(first)! + offset)
  return found
}

test('the documentation has every metric once, with its kind', () => {
  const metrics = sessionStatsMetrics()
  expect(text.match(/^\| `/gm)).toHaveLength(metrics.length)
  expect([...rows.keys()].sort()).toEqual(metrics.map(({ name }) => name).sort())
  for (const { name, type } of metrics) {
    expect(rows.get(name)?.[2], name).toBe(type === MetricType.counter ? 'counter' : 'gauge')
  }
})

test('a metric is said to be counted if, and only if, the source counts it', () => {
  const counted = countedInSource()
  for (const { name, valueIndex } of sessionStatsMetrics()) {
    expect(rows.get(name)?.[3] === 'yes', name).toBe(counted.has(valueIndex))
  }
})

test('a metric that is not counted says why', () => {
  for (const [name, row] of rows) if (row[3] !== 'yes') expect(row[4], name).toMatch(/^: \w+/)
})
