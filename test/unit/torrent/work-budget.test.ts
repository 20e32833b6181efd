import { expect, test } from 'vitest'
import { WorkBudget } from '../../../src/torrent/work-budget.ts'

test('so much may be done at once, then so much a second', () => {
  const budget = new WorkBudget(10, 100)
  expect(budget.mayWork(0)).toBe(true)
  budget.spend(99)
  expect(budget.mayWork(0)).toBe(true)
  budget.spend(1)
  expect(budget.mayWork(0)).toBe(false)
  expect(budget.mayWork(1000)).toBe(true)
  budget.spend(10)
  expect(budget.mayWork(1000)).toBe(false)
})

test('work that is larger than the budget is done, and paid for afterwards', () => {
  const budget = new WorkBudget(10, 100)
  expect(budget.mayWork(5000)).toBe(true)
  budget.spend(600)
  expect(budget.mayWork(54_999)).toBe(false)
  expect(budget.mayWork(55_100)).toBe(true)
})

test('rest does not add up to more than what may be done at once', () => {
  const budget = new WorkBudget(10, 100)
  expect(budget.mayWork(1e9)).toBe(true)
  budget.spend(100)
  expect(budget.mayWork(1e9)).toBe(false)
  // a clock that seems to go back gives nothing
  expect(budget.mayWork(0)).toBe(false)
})
