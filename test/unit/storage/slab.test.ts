import { describe, expect, test } from 'vitest'
import { SEGMENT_SLOTS, Slab } from '../../../src/storage/slab.ts'

const BLOCK = 16384
const MIB = 1 << 20

function make(budgetBytes: number): { slab: Slab; segments: number[]; run: () => void } {
  const segments: number[] = []
  const due: (() => void)[] = []
  const slab = new Slab({
    budgetBytes,
    onSegment: index => segments.push(index),
    defer: fn => due.push(fn),
  })
  return {
    slab,
    segments,
    run: () => {
      for (const fn of due.splice(0)) fn()
    },
  }
}

describe('slots', () => {
  test('are handed out up to the budget, and segments are made only when needed', () => {
    const { slab, segments } = make(32 * MIB)
    expect(segments).toEqual([])
    const seen = new Set<number>()
    for (let i = 0; i < 2 * SEGMENT_SLOTS; i++) seen.add(slab.allocate())
    expect(seen.size).toBe(2 * SEGMENT_SLOTS)
    expect(seen.has(-1)).toBe(false)
    expect(segments).toEqual([0, 1])
    expect(slab.allocate()).toBe(-1)
    expect(slab.allocateRun(1)).toBe(-1)
    slab.checkInvariant()
    for (const slot of seen) slab.release(slot)
    expect(slab.inUse).toBe(0)
    slab.checkInvariant()
  })

  test('are 16 KiB each, always the same view, and do not overlap', () => {
    const { slab } = make(MIB)
    const a = slab.allocate()
    const b = slab.allocate()
    expect(slab.view(a).length).toBe(BLOCK)
    expect(slab.view(a)).toBe(slab.view(a))
    slab.view(a).fill(1)
    slab.view(b).fill(2)
    expect(slab.view(a).every(byte => byte === 1)).toBe(true)
  })

  test('that are released twice, or were never given out, throw', () => {
    const { slab } = make(MIB)
    const slot = slab.allocate()
    slab.release(slot)
    expect(() => slab.release(slot)).toThrow('not in use')
    expect(() => slab.release(5000)).toThrow('not in use')
    expect(() => slab.release(-1)).toThrow('not in use')
  })

  test('of a run lie one after the other in memory', () => {
    const { slab } = make(32 * MIB)
    const first = slab.allocateRun(64)
    for (let i = 1; i < 64; i++) {
      expect(slab.view(first + i).byteOffset).toBe(slab.view(first).byteOffset + i * BLOCK)
      expect(slab.view(first + i).buffer).toBe(slab.view(first).buffer)
    }
    expect(slab.rawView(first, 20 * BLOCK).byteOffset).toBe(slab.view(first).byteOffset)
  })

  test('have room for a head before each, if that is wanted', () => {
    const slab = new Slab({ budgetBytes: 1 << 20, headBytes: 13, defer: fn => fn() })
    const first = slab.allocateRun(3)
    expect(slab.view(first + 1).byteOffset).toBe(slab.view(first).byteOffset + BLOCK + 13)
    const raw = slab.rawView(first + 1, 13 + BLOCK)
    expect(raw.byteOffset + 13).toBe(slab.view(first + 1).byteOffset)
    raw.fill(7)
    slab.copyIn(first + 1, 0, new Uint8Array(BLOCK).fill(9))
    expect([raw[12], raw[13], raw[13 + BLOCK - 1], slab.view(first + 2)[0]]).toEqual([7, 9, 9, 0])
  })

  test('never form a run over the end of a segment', () => {
    const { slab } = make(32 * MIB)
    slab.allocateRun(SEGMENT_SLOTS - 10)
    const run = slab.allocateRun(20)
    expect(run % SEGMENT_SLOTS).toBe(0)
    expect(slab.allocateRun(SEGMENT_SLOTS + 1)).toBe(-1)
  })

  test('taken singly leave room for runs', () => {
    const { slab } = make(16 * MIB)
    for (let i = 0; i < 512; i++) slab.allocate()
    expect(slab.allocateRun(512)).toBeGreaterThanOrEqual(0)
  })

  test('released in the middle are found again, as a run too', () => {
    const { slab } = make(16 * MIB)
    const first = slab.allocateRun(SEGMENT_SLOTS)
    for (let i = 100; i < 110; i++) slab.release(first + i)
    expect(slab.allocateRun(11)).toBe(-1)
    expect(slab.allocateRun(10)).toBe(first + 100)
    slab.checkInvariant()
  })
})

describe('copying in', () => {
  test('copies exactly the source, at every offset and length', () => {
    const { slab } = make(MIB)
    const slot = slab.allocate()
    const source = Uint8Array.from({ length: 300 }, (_, i) => i & 255)
    for (const [offset, length] of [
      [0, 1],
      [0, 300],
      [13, 299],
      [BLOCK - 300, 300],
      [BLOCK - 1, 1],
    ] as const) {
      slab.view(slot).fill(0xee)
      slab.copyIn(slot, offset, source.subarray(0, length))
      const expected = new Uint8Array(BLOCK).fill(0xee)
      expected.set(source.subarray(0, length), offset)
      expect(Buffer.compare(slab.view(slot), expected)).toBe(0)
    }
  })

  test('of nothing changes nothing; beyond the slot it throws', () => {
    const { slab } = make(MIB)
    const slot = slab.allocate()
    slab.view(slot).fill(7)
    slab.copyIn(slot, 5, new Uint8Array(0))
    expect(slab.view(slot).every(byte => byte === 7)).toBe(true)
    expect(() => slab.copyIn(slot, BLOCK - 1, new Uint8Array(2))).toThrow(RangeError)
    expect(() => slab.copyIn(slot, -1, new Uint8Array(2))).toThrow(RangeError)
  })
})

describe('pressure', () => {
  test('begins at 7/8 of the budget and ends below half, once, in a turn of its own', () => {
    const { slab, run } = make(MIB) // 64 slots
    let relief = 0
    slab.onRelief(() => relief++)
    const slots = Array.from({ length: 55 }, () => slab.allocate())
    expect(slab.underPressure).toBe(false)
    slots.push(slab.allocate())
    expect(slab.underPressure).toBe(true)
    while (slots.length > 32) slab.release(slots.pop()!)
    expect(slab.underPressure).toBe(true)
    slab.release(slots.pop()!)
    expect(slab.underPressure).toBe(false)
    expect(relief).toBe(0)
    run()
    expect(relief).toBe(1)
    while (slots.length > 0) slab.release(slots.pop()!)
    run()
    expect(relief).toBe(1)
  })

  test('a smaller budget takes effect at once, but takes nothing away', () => {
    const { slab } = make(2 * MIB)
    const slots = Array.from({ length: 100 }, () => slab.allocate())
    slab.setBudget(MIB)
    expect(slab.underPressure).toBe(true)
    expect(slab.allocate()).toBe(-1)
    for (const slot of slots) slab.release(slot)
    expect(slab.allocate()).toBeGreaterThanOrEqual(0)
  })

  test('an owner that is limited holds a quarter; the others are not concerned', () => {
    const { slab, run } = make(MIB)
    const one = { id: 1 }
    const two = { id: 2 }
    let relief = 0
    slab.onRelief(() => relief++)
    const before = slab.allocateRun(10, one)
    slab.setLimited(one, true)
    for (let i = 0; i < 6; i++) expect(slab.allocate(one)).toBeGreaterThanOrEqual(0)
    expect(slab.allocate(one)).toBe(-1)
    expect(slab.allocateRun(1, one)).toBe(-1)
    expect(slab.underPressureFor(one)).toBe(true)
    expect(slab.underPressureFor(two)).toBe(false)
    expect(slab.allocateRun(30, two)).toBeGreaterThanOrEqual(0)
    slab.release(before)
    expect(slab.heldBy(one)).toBe(15)
    expect(slab.underPressureFor(one)).toBe(false)
    slab.setLimited(one, false)
    run()
    expect(relief).toBe(1)
    for (let i = 0; i < 5; i++) expect(slab.allocate(one)).toBeGreaterThanOrEqual(0)
    slab.checkInvariant()
  })
})
