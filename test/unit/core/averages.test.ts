import { describe, expect, test } from 'vitest'
import { SlidingAverage } from '../../../src/core/averages.ts'
import { SeededRng } from '../../../src/core/rng.ts'

describe('sliding average', () => {
  test('is 0 without samples and the sample itself with one', () => {
    const a = new SlidingAverage(4)
    expect([a.mean(), a.avgDeviation(), a.numSamples()]).toEqual([0, 0, 0])
    a.addSample(500)
    expect([a.mean(), a.avgDeviation(), a.numSamples()]).toEqual([500, 0, 1])
  })

  test('is the plain mean at first', () => {
    const a = new SlidingAverage(4)
    a.addSample(-10)
    a.addSample(10)
    expect(a.mean()).toBe(0)
    expect(a.avgDeviation()).toBe(20)
  })

  test('converges to what samples scatter around, and tells how far', () => {
    const rng = new SeededRng(1)
    const a = new SlidingAverage(4)
    const b = new SlidingAverage(10)
    for (let i = 0; i < 1000; i++) {
      a.addSample(123_456)
      b.addSample(1000 + rng.below(101) - 50)
    }
    expect(a.mean()).toBe(123_456)
    expect(a.avgDeviation()).toBe(0)
    expect(Math.abs(b.mean() - 1000)).toBeLessThan(40)
    expect(b.avgDeviation()).toBeGreaterThan(10)
    expect(b.avgDeviation()).toBeLessThan(45)
    expect(b.numSamples()).toBe(10)
  })

  test('a new sample has the share that the gain says', () => {
    const a = new SlidingAverage(10)
    for (let i = 0; i < 10; i++) a.addSample(0)
    a.addSample(1000)
    expect(a.mean()).toBe(100)
  })
})
