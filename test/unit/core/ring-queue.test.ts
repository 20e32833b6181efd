import { expect, test } from 'vitest'
import { RingQueue } from '../../../src/core/ring-queue.ts'
import { SeededRng } from '../../../src/core/rng.ts'

test('a ring queue behaves as an array does', () => {
  const rng = new SeededRng(3)
  const queue = new RingQueue<number>()
  let model: number[] = []
  for (let step = 0; step < 20_000; step++) {
    switch (rng.below(9)) {
      case 0:
      case 1:
      case 2:
        queue.push(step)
        model.push(step)
        break
      case 3:
        queue.unshift(step)
        model.unshift(step)
        break
      case 4:
      case 5:
        expect(queue.shift()).toBe(model.shift())
        break
      case 6:
        if (model.length === 0) expect(() => queue.replaceLast(step)).toThrow(RangeError)
        else {
          queue.replaceLast(step)
          model[model.length - 1] = step
        }
        break
      case 7: {
        const kept = model.filter(n => n % 5 !== 0)
        expect(queue.filter(n => n % 5 !== 0)).toBe(model.length - kept.length)
        model = kept
        break
      }
      default:
        if (rng.below(100) === 0) {
          queue.clear()
          model = []
        }
    }
    expect(queue.length).toBe(model.length)
    expect(queue.peek()).toBe(model[0])
    expect(queue.at(model.length - 1)).toBe(model.at(-1))
  }
  expect([...queue]).toEqual(model)
})
