import { expect, test } from 'vitest'
import { SeededRng } from '../../../src/core/rng.ts'
import { PendingBlock, PendingBlocks } from '../../../src/peer/pending-blocks.ts'

test('a list of pending blocks behaves as an array does', () => {
  const rng = new SeededRng(7)
  const blocks = new PendingBlocks()
  let model: PendingBlock[] = []
  for (let step = 0; step < 20_000; step++) {
    const item = new PendingBlock(step, step % 7, 16384, step % 3 === 0)
    switch (rng.below(8)) {
      case 0:
      case 1:
      case 2:
        blocks.push(item)
        model.push(item)
        break
      case 3: {
        const at = rng.below(model.length + 1)
        blocks.insert(at, item)
        model.splice(at, 0, item)
        break
      }
      case 4:
        expect(blocks.shift()).toBe(model.shift())
        break
      case 5:
        expect(blocks.pop()).toBe(model.pop())
        break
      case 6: {
        if (model.length === 0) break
        const at = rng.below(model.length)
        const wanted = model[at]!
        expect(blocks.indexOf(wanted.piece, wanted.block)).toBe(at)
        expect(blocks.removeAt(at)).toBe(wanted)
        model.splice(at, 1)
        break
      }
      default:
        if (rng.below(200) === 0) {
          blocks.clear()
          model = []
        }
        expect(blocks.indexOf(-1, 0)).toBe(-1)
    }
    expect(blocks.length).toBe(model.length)
    if (step % 50 === 0) {
      expect([...blocks]).toEqual(model)
      expect(blocks.some(({ busy }) => busy)).toBe(model.some(({ busy }) => busy))
    }
  }
})

test('a plain run is what was asked for in this order, of one peer, and is wanted', () => {
  const blocks = new PendingBlocks()
  for (let b = 0; b < 8; b++) blocks.push(new PendingBlock(5, b, 16384, b === 6))
  expect(blocks.plainRun(5, 0, 4)).toBe(4)
  expect(blocks.plainRun(5, 0, 100)).toBe(6)
  expect([blocks.plainRun(5, 1, 4), blocks.plainRun(4, 0, 4)]).toEqual([0, 0])
  blocks.at(3).timedOut = true
  expect(blocks.plainRun(5, 0, 8)).toBe(3)
  blocks.at(1).notWanted = true
  expect(blocks.plainRun(5, 0, 8)).toBe(1)
  blocks.drop(4)
  expect([blocks.length, blocks.plainRun(5, 4, 8), blocks.at(0).block]).toEqual([4, 2, 4])
  blocks.drop(4)
  expect([blocks.length, blocks.plainRun(5, 0, 1)]).toEqual([0, 0])
})
