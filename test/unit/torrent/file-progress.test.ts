import { expect, test } from 'vitest'
import { SeededRng } from '../../../src/core/rng.ts'
import { FileProgress } from '../../../src/torrent/file-progress.ts'
import { FakeLayout } from './fake-layout.ts'

test('a piece counts for each file it has bytes of', () => {
  const progress = new FileProgress(new FakeLayout(10, [15, 3, 0, 12]), () => false)
  progress.pieceDone(1)
  expect(progress.toArray()).toEqual([5, 3, 0, 2])
  progress.pieceLost(1)
  expect(progress.toArray()).toEqual([0, 0, 0, 0])
})

test('a file is complete with its last piece, pad files never are', () => {
  const progress = new FileProgress(new FakeLayout(10, [15, -5, 10, 7]), () => false)
  const completed: number[] = []
  for (const piece of [1, 0, 3, 2]) progress.pieceDone(piece, file => completed.push(file))
  expect(completed).toEqual([0, 3, 2])
  expect(progress.toArray()).toEqual([15, 5, 10, 7])
})

test('what is there already is counted in one pass', () => {
  const progress = new FileProgress(new FakeLayout(10, [15, -5, 10, 7]), piece => piece !== 1)
  expect(progress.toArray()).toEqual([10, 0, 10, 7])
})

test('counting at once and piece by piece agree, whatever the files', () => {
  for (let seed = 0; seed < 50; seed++) {
    const rng = new SeededRng(seed)
    const sizes = Array.from({ length: 1 + rng.below(30) }, () => (rng.below(5) === 0 ? -1 : 1) * rng.below(40))
    if (!sizes.some(s => s !== 0)) sizes.push(1)
    const layout = new FakeLayout(1 + rng.below(30), sizes)
    const have = new Set<number>()
    const stepwise = new FileProgress(layout, () => false)
    const completed = new Set<number>()
    for (let n = 0; n < layout.numPieces() * 2; n++) {
      const piece = rng.below(layout.numPieces())
      if (have.has(piece)) {
        have.delete(piece)
        stepwise.pieceLost(piece)
        completed.clear()
      } else {
        have.add(piece)
        stepwise.pieceDone(piece, file => {
          expect(completed.has(file)).toBe(false)
          completed.add(file)
        })
      }
    }
    const atOnce = new FileProgress(layout, piece => have.has(piece))
    expect(atOnce.toArray()).toEqual(stepwise.toArray())
  }
})
