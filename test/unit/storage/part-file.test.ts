import { describe, expect, test } from 'vitest'
import { PartMap, partEntryOffset, partHeaderSize } from '../../../src/storage/part-file.ts'

function u32(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at)
}

describe('the part file', () => {
  test('has a header of two numbers and one per piece, rounded up to a kilobyte', () => {
    expect([1, 254, 255, 510].map(partHeaderSize)).toEqual([1024, 1024, 2048, 2048])
    expect(partEntryOffset(0)).toBe(8)
  })

  test('gives slots in order of first use, and freed ones first', () => {
    const map = new PartMap(10, 100)
    expect([map.allocate(7), map.allocate(2), map.allocate(7)]).toEqual([1024, 1124, 1024])
    expect(map.offset(3)).toBe(-1)
    map.free(7)
    map.free(7)
    expect(map.has(7)).toBe(false)
    expect(map.allocate(5)).toBe(1024)
    expect(map.allocate(6)).toBe(1224)
    expect(map.size).toBe(3)
  })

  test('survives being written and read', () => {
    const map = new PartMap(300, 4096)
    map.allocate(299)
    map.allocate(0)
    map.allocate(17)
    map.free(0)
    const header = map.header()
    expect(header.length).toBe(2048)
    expect([u32(header, 0), u32(header, 4)]).toEqual([300, 4096])
    expect(u32(header, partEntryOffset(299))).toBe(0)
    expect(u32(header, partEntryOffset(17))).toBe(2)
    expect(u32(header, partEntryOffset(1))).toBe(0xffffffff)
    const again = new PartMap(300, 4096)
    expect(again.load(header)).toBe(true)
    expect(again.pieces().sort((a, b) => a - b)).toEqual([17, 299])
    expect(again.offset(17)).toBe(2048 + 2 * 4096)
    // The hole that was left is used first.
    expect(again.allocate(5)).toBe(2048 + 4096)
  })

  test.each([
    ['cut short', (h: Uint8Array) => h.subarray(0, 1000)],
    ['of another number of pieces', (h: Uint8Array) => h.map((b, i) => (i === 3 ? 9 : b))],
    ['of another piece size', (h: Uint8Array) => h.map((b, i) => (i === 7 ? 9 : b))],
    ['empty', () => new Uint8Array(0)],
  ])('counts as empty when its header is %s', (_, spoil) => {
    const map = new PartMap(10, 100)
    map.allocate(1)
    const again = new PartMap(10, 100)
    expect(again.load(spoil(map.header()))).toBe(false)
    expect(again.size).toBe(0)
  })

  test('ignores entries that point beyond its slots or at one that is taken', () => {
    const map = new PartMap(4, 100)
    const header = map.header()
    const view = new DataView(header.buffer)
    view.setUint32(partEntryOffset(0), 4)
    view.setUint32(partEntryOffset(1), 2)
    view.setUint32(partEntryOffset(2), 2)
    view.setUint32(partEntryOffset(3), 0x80000000)
    expect(map.load(header)).toBe(true)
    expect(map.pieces()).toEqual([1])
  })
})
