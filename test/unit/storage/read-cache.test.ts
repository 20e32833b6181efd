import { describe, expect, test } from 'vitest'
import { FRAME_SIZE, PIECE_HEADER_SIZE } from '../../../src/core/piece-frames.ts'
import { type CacheLine, LINE_SIZE, ReadCache } from '../../../src/storage/read-cache.ts'
import { SEGMENT_SLOTS, Slab } from '../../../src/storage/slab.ts'

const BLOCK = 16384

function make(lines: number): { slab: Slab; cache: ReadCache } {
  const slab = new Slab({ budgetBytes: lines * LINE_SIZE, headBytes: PIECE_HEADER_SIZE, defer: fn => fn() })
  return { slab, cache: new ReadCache(slab) }
}

/** A line that was filled and is not being read. */
function filled(cache: ReadCache, storage: number, piece: number, index: number, length = LINE_SIZE): CacheLine {
  const line = cache.create(storage, piece, index, length)!
  line.ready = true
  cache.release(line)
  cache.release(line)
  return line
}

describe('the read cache', () => {
  test('finds a line by storage, piece and number', () => {
    const { cache } = make(8)
    const line = filled(cache, 1, 5, 2)
    expect(cache.get(1, 5, 2)).toBe(line)
    expect([cache.get(2, 5, 2), cache.get(1, 5, 3), cache.get(1, 4, 2)]).toEqual([undefined, undefined, undefined])
    expect(cache.bytes).toBe(LINE_SIZE)
  })

  test('drops the line unused for longest when memory is short', () => {
    const { cache, slab } = make(3)
    for (let piece = 0; piece < 3; piece++) filled(cache, 1, piece, 0)
    cache.get(1, 0, 0)
    filled(cache, 1, 3, 0)
    expect([0, 1, 2, 3].map(piece => cache.get(1, piece, 0) !== undefined)).toEqual([true, false, true, true])
    expect(slab.inUse * BLOCK).toBe(3 * LINE_SIZE)
  })

  test('keeps lines that are read, and says so when nothing else is left', () => {
    const { cache, slab } = make(2)
    const held = cache.create(1, 0, 0, LINE_SIZE)!
    const other = cache.create(1, 1, 0, LINE_SIZE)!
    expect(cache.create(1, 2, 0, LINE_SIZE)).toBeNull()
    cache.release(other)
    expect(cache.create(1, 2, 0, LINE_SIZE)).toBeNull()
    cache.release(other)
    expect(cache.create(1, 2, 0, LINE_SIZE)).not.toBeNull()
    expect(cache.get(1, 1, 0)).toBeUndefined()
    expect(cache.get(1, 0, 0)).toBe(held)
    slab.checkInvariant()
  })

  test('frees a dropped line with its last reader, and finds it no more', () => {
    const { cache, slab } = make(2)
    const line = filled(cache, 1, 7, 0)
    cache.retain(line)
    cache.dropPiece(1, 7, LINE_SIZE)
    expect(cache.get(1, 7, 0)).toBeUndefined()
    expect(slab.inUse).toBe(16)
    cache.drop(line)
    cache.release(line)
    expect(slab.inUse).toBe(0)
  })

  test('drops all lines of a storage, and only those', () => {
    const { cache } = make(8)
    filled(cache, 1, 0, 0)
    filled(cache, 1, 9, 1)
    filled(cache, 2, 0, 0)
    cache.dropStorage(1)
    cache.dropStorage(3)
    expect(cache.bytes).toBe(LINE_SIZE)
    expect(cache.get(2, 0, 0)).toBeDefined()
  })

  test('gives views of any range, one per block', () => {
    const { cache, slab } = make(2)
    const line = cache.create(1, 0, 0, LINE_SIZE)!
    line.slots.forEach((slot, i) => {
      slab.view(slot).fill(i)
    })
    const out: Uint8Array[] = []
    cache.views(line, BLOCK, 2 * BLOCK, out)
    expect(out).toHaveLength(1)
    expect(out[0]).toBe(slab.view(line.slots[1]!))
    out.length = 0
    cache.views(line, BLOCK - 3, 3 * BLOCK + 5, out)
    const joined = Buffer.concat(out)
    expect(out).toHaveLength(4)
    expect(joined.length).toBe(2 * BLOCK + 8)
    expect([joined[0], joined[3], joined[3 + BLOCK], joined[3 + 2 * BLOCK]]).toEqual([0, 1, 2, 3])
  })

  test('gives whole messages as they lie in memory, one view per run of slots', () => {
    const { cache, slab } = make(2)
    const line = cache.create(1, 0, 0, 5 * BLOCK + 100)!
    const raw = slab.rawView(line.slots[0]!, 6 * FRAME_SIZE)
    for (let i = 0; i < 6; i++) raw.fill(i, i * FRAME_SIZE, (i + 1) * FRAME_SIZE)
    const out: Uint8Array[] = []
    cache.frames(line, 0, 5 * BLOCK + 100, out)
    cache.frames(line, BLOCK, 3 * BLOCK, out)
    expect(out.map(view => view.length)).toEqual([5 * FRAME_SIZE + 113, 2 * FRAME_SIZE])
    expect([out[0]![0], out[0]![FRAME_SIZE - 1], out[0]!.at(-1)]).toEqual([0, 0, 5])
    expect([out[1]![0], out[1]!.at(-1)]).toEqual([1, 2])
  })

  test('works with slots that lie apart when there is no run', () => {
    const { cache, slab } = make((SEGMENT_SLOTS * BLOCK) / LINE_SIZE)
    // Every second slot is taken: no two free ones are neighbours.
    const all = Array.from({ length: SEGMENT_SLOTS }, () => slab.allocateRun(1))
    expect(all).not.toContain(-1)
    for (let i = 0; i < all.length; i += 2) slab.release(all[i]!)
    const line = cache.create(1, 0, 0, 4 * BLOCK)!
    line.slots.forEach((slot, i) => {
      slab.view(slot).fill(i)
    })
    const out: Uint8Array[] = []
    cache.views(line, 10, 4 * BLOCK - 10, out)
    const joined = Buffer.concat(out)
    expect(joined.length).toBe(4 * BLOCK - 20)
    for (let i = 0; i < joined.length; i++) if (joined[i] !== Math.floor((i + 10) / BLOCK)) throw new Error(`at ${i}`)
    const frames: Uint8Array[] = []
    cache.frames(line, 0, 4 * BLOCK, frames)
    expect(frames.map(view => view[PIECE_HEADER_SIZE])).toEqual([0, 1, 2, 3])
    expect(frames.map(view => view.length)).toEqual(new Array(4).fill(FRAME_SIZE))
  })
})
