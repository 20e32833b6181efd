import { expect, test } from 'vitest'
import { PipelineDepth } from '../../../src/peer/pipeline-depth.ts'

const input = (downloadRate: number, more: { requestQueueTime?: number; rateLimit?: number } = {}) => ({
  downloadRate,
  requestQueueTime: 3,
  blockSize: 16384,
  rateLimit: 0,
  ...more,
})

test('slow start begins at four and grows by one for each block', () => {
  const depth = new PipelineDepth(500)
  expect(depth.update(input(0))).toBe(4)
  for (let i = 0; i < 20; i++) depth.blockReceived()
  expect(depth.update(input(0))).toBe(24)
})

test('slow start ends when the rate grows no more, but not while choked or idle', () => {
  const depth = new PipelineDepth(500)
  expect(depth.secondTick(0, false)).toBe(false)
  expect(depth.secondTick(50_000, false)).toBe(false)
  expect(depth.secondTick(100_000, false)).toBe(false)
  expect(depth.secondTick(100_000, true)).toBe(false)
  expect(depth.slowStart).toBe(true)
  expect(depth.secondTick(105_000, false)).toBe(true)
  expect(depth.slowStart).toBe(false)
  expect(depth.secondTick(105_000, false)).toBe(false)
})

test('after slow start the queue covers request_queue_time at the present rate', () => {
  const depth = new PipelineDepth(500)
  depth.endSlowStart()
  expect(depth.update(input(16384 * 10))).toBe(30)
  expect(depth.update(input(16384 * 10, { requestQueueTime: 1 }))).toBe(10)
  expect(depth.update(input(16384 * 1000))).toBe(500)
  expect(depth.update(input(100))).toBe(2)
  expect(depth.update(input(1e12))).toBe(500)
})

test('the limit is the setting, or what the peer says it takes, and never below two', () => {
  const depth = new PipelineDepth(500)
  depth.endSlowStart()
  depth.max = 50
  expect(depth.update(input(1e8))).toBe(50)
  depth.max = 1
  expect(depth.update(input(1e8))).toBe(2)
  depth.max = 1e9
  expect(depth.max).toBe(65535)
})

test('a rate limit keeps the queue from getting deeper than it lets through', () => {
  const depth = new PipelineDepth(500)
  for (let i = 0; i < 100; i++) depth.blockReceived()
  expect(depth.update(input(0, { rateLimit: 16384 }))).toBe(4)
})

test('a snubbed peer has one request until a block comes', () => {
  const depth = new PipelineDepth(500)
  depth.snub()
  expect([depth.desired, depth.update(input(1e7)), depth.snubbed, depth.slowStart]).toEqual([1, 1, true, false])
  depth.blockReceived()
  expect([depth.snubbed, depth.update(input(16384 * 5))]).toEqual([false, 15])
})
