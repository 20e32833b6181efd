import { expect, test } from 'vitest'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { DhtNodeHints } from '../../../src/session/dht-node-hints.ts'

class Rig {
  enabled = true
  running = true
  readonly asked: string[] = []
  readonly lookups: { host: string; found: (addresses: readonly string[]) => void }[] = []
  readonly hints = new DhtNodeHints({
    rng: new SeededRng(1),
    isEnabled: () => this.enabled,
    isRunning: () => this.running,
    resolve: (host, found) => void this.lookups.push({ host, found }),
    ask: ([address, port]) => void this.asked.push(`${address}:${port}`),
  })
}

const node = (n: number): Endpoint => [`1.2.${n >> 8}.${n & 255}`, 6881]

test('a node is asked at once, and not again for a minute', () => {
  const { hints, asked } = new Rig()
  for (let i = 0; i < 100; i++) hints.add(node(1))
  hints.add(['1.2.0.1', 6882])
  expect(asked).toEqual(['1.2.0.1:6881', '1.2.0.1:6882'])
  for (let i = 0; i < 59; i++) hints.secondTick()
  hints.add(node(1))
  expect(asked).toHaveLength(2)
  hints.secondTick()
  hints.add(node(1))
  expect(asked).toHaveLength(3)
})

test('many are asked five a second; two hundred may wait, who are then replaced by chance', () => {
  const { hints, asked } = new Rig()
  for (let i = 0; i < 100; i++) hints.add(node(i))
  expect(asked).toHaveLength(20)
  hints.secondTick()
  expect(asked).toHaveLength(25)
  for (let i = 100; i < 10_000; i++) hints.add(node(i))
  expect(asked).toHaveLength(25)
  for (let i = 0; i < 100; i++) hints.secondTick()
  expect(asked).toHaveLength(225)
  expect(new Set(asked).size).toBe(225)
  // most of those asked came when there was no room any more
  expect(asked.filter(text => Number(text.split('.')[2]) > 0).length).toBeGreaterThan(100)
  for (let i = 0; i < 10; i++) hints.secondTick()
  for (let i = 20_000; i < 20_100; i++) hints.add(node(i))
  expect(asked).toHaveLength(245)
})

test('what is named before the DHT runs is asked when it does', () => {
  const rig = new Rig()
  rig.running = false
  rig.hints.add(node(1))
  rig.hints.add(node(2))
  rig.hints.secondTick()
  expect(rig.asked).toEqual([])
  rig.running = true
  rig.hints.resume()
  expect(rig.asked).toEqual(['1.2.0.1:6881', '1.2.0.2:6881'])
})

test('names are looked up twenty at a time, each once, and only while the DHT is switched on', () => {
  const rig = new Rig()
  rig.enabled = false
  for (let i = 0; i < 1000; i++) rig.hints.addName(`host-${i % 50}`, 6881)
  expect(rig.lookups).toEqual([])
  rig.enabled = true
  rig.hints.resume()
  expect(rig.lookups).toHaveLength(20)
  rig.lookups[0]!.found(['9.9.9.9', '2001:db8::9'])
  rig.lookups[1]!.found([])
  expect(rig.asked).toEqual(['9.9.9.9:6881', '2001:db8::9:6881'])
  expect(rig.lookups).toHaveLength(22)
  for (let i = 2; i < rig.lookups.length; i++) rig.lookups[i]!.found([])
  expect(rig.lookups.map(({ host }) => host)).toEqual(Array.from({ length: 50 }, (_, i) => `host-${i}`))
})

test('of more names than may wait, two hundred are looked up', () => {
  const rig = new Rig()
  for (let i = 0; i < 10_000; i++) rig.hints.addName(`host-${i}`, 6881)
  for (let i = 0; i < rig.lookups.length; i++) rig.lookups[i]!.found([])
  expect(rig.lookups).toHaveLength(220)
})

test('what is no port is passed over', () => {
  const { hints, lookups } = new Rig()
  for (const port of [0, -1, 65536, 1.5, Number.NaN]) hints.addName('node.example', port)
  expect(lookups).toEqual([])
  hints.addName('node.example', 65535)
  expect(lookups).toHaveLength(1)
})
