import { describe, expect, test } from 'vitest'
import { SeededRng } from '../../../src/core/rng.ts'
import { PiecePicker } from '../../../src/torrent/piece-picker.ts'
import {
  applyPiecePriorities,
  clampPriority,
  filePrioritiesToPieces,
  Priorities,
} from '../../../src/torrent/priorities.ts'
import { FakeLayout } from './fake-layout.ts'

describe('pieces', () => {
  test('have the highest priority of the files in them', () => {
    const layout = new FakeLayout(10, [15, 10, 5, 20])
    expect([...filePrioritiesToPieces(layout, [1, 7, 0, 4])]).toEqual([1, 7, 7, 4, 4])
    expect([...filePrioritiesToPieces(layout, [0, 0, 3, 0])]).toEqual([0, 0, 3, 0, 0])
  })

  test('files not listed have the default priority; pad files and empty ones want nothing', () => {
    const layout = new FakeLayout(10, [15, -5, 0, 10, -10])
    expect([...filePrioritiesToPieces(layout, [0, 7, 7])]).toEqual([0, 0, 4, 0])
  })

  test('are set from the first on, clamped, and say whether anything became wanted or unwanted', () => {
    const picker = new PiecePicker(5 * 16384, 16384, new SeededRng(1))
    expect(applyPiecePriorities(picker, [9, 3], 5)).toBe(false)
    expect(picker.piecePriorities()).toEqual([7, 3, 4, 4, 4])
    expect(applyPiecePriorities(picker, [1, -3, 4, 4, 4, 0, 0], 5)).toBe(true)
    expect(picker.piecePriorities()).toEqual([1, 0, 4, 4, 4])
  })

  test('priorities that are no numbers count as 0', () => {
    expect([Number.NaN, -1, 8, 3.9, Number.POSITIVE_INFINITY].map(clampPriority)).toEqual([0, 0, 7, 3, 7])
  })
})

describe('files', () => {
  const layout = new FakeLayout(10, [15, -5, 10, 10])

  test('a change counts when the storage has answered', () => {
    const p = new Priorities(layout)
    expect(p.filePriorities()).toEqual([4, 0, 4, 4])
    const job = p.setFilePriority(2, 1)!
    expect([...job]).toEqual([4, 0, 1])
    expect([p.pending, p.filePriority(2)]).toEqual([true, 4])
    expect([...p.piecePriorities()], 'pieces follow at once').toEqual([4, 4, 1, 4])
    expect(p.storageUpdated(job)).toEqual({ changed: true, next: null })
    expect([p.pending, p.filePriority(2), p.allDefault]).toEqual([false, 1, false])
  })

  test('changes made meanwhile wait and go together', () => {
    const p = new Priorities(layout)
    const first = p.setFilePriority(0, 0)!
    expect(p.setFilePriority(2, 2)).toBeNull()
    expect(p.setFilePriority(3, 9)).toBeNull()
    const { next } = p.storageUpdated(first)
    expect(next).toEqual([0, 0, 2, 7])
    expect(p.storageUpdated(next!)).toEqual({ changed: true, next: null })
    expect(p.filePriorities()).toEqual([0, 0, 2, 7])
  })

  test('setting all of them overrides what waits', () => {
    const p = new Priorities(layout)
    const first = p.setFilePriority(0, 0)!
    p.setFilePriority(2, 2)
    const all = p.prioritizeFiles([1, 1, 1, 1, 1, 1])
    expect([...all]).toEqual([1, 0, 1, 1])
    p.storageUpdated(first)
    expect(p.storageUpdated(all)).toEqual({ changed: true, next: null })
    expect(p.filePriorities()).toEqual([1, 0, 1, 1])
  })

  test('after an error what the storage has counts', () => {
    const p = new Priorities(layout)
    p.prioritizeFiles([0, 0, 0, 0])
    expect(p.storageUpdated([0, 0, 4, 4]).changed).toBe(true)
    expect(p.filePriorities()).toEqual([0, 0, 4, 4])
  })

  test('files that do not exist have no priority and cannot be given one', () => {
    const p = new Priorities(layout)
    expect([p.filePriority(-1), p.filePriority(4), p.filePriority(1)]).toEqual([0, 0, 0])
    expect([p.setFilePriority(4, 1), p.setFilePriority(-1, 1), p.pending]).toEqual([null, null, false])
  })
})
