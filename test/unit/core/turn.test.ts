import { expect, test } from 'vitest'
import { Turn } from '../../../src/core/turn.ts'

function world(onCrash: (error: unknown, where: string) => void = error => void log.push(`crash ${error}`)): Turn {
  log.length = 0
  return new Turn(
    () => clock.now,
    onCrash,
    () => log.push('end'),
  )
}
const log: string[] = []
const clock = { now: 0 }

test('the clock is read once a turn, however deep it nests', () => {
  const turn = world()
  clock.now = 5
  turn.run('a', () => {
    clock.now = 9
    turn.run('b', () => log.push(`${turn.now}`))
  })
  expect(log).toEqual(['5', 'end'])
  turn.run('c', () => log.push(`${turn.now}`))
  expect(log.slice(2)).toEqual(['9', 'end'])
})

test('effects run at the end, then what was put off, until nothing is left', () => {
  const turn = world()
  turn.run('a', () => {
    turn.later(() => {
      log.push('later')
      turn.atEnd({ endOfTurn: () => log.push('second effect') })
    })
    turn.atEnd({ endOfTurn: () => log.push('effect') })
    log.push('body')
  })
  expect(log).toEqual(['body', 'effect', 'later', 'second effect', 'end'])
})

test('what is thrown goes to the crash handler, and the rest of the turn happens', () => {
  const turn = world()
  turn.run('a', () => {
    turn.later(() => {
      throw new Error('two')
    })
    turn.later(() => log.push('three'))
    throw new Error('one')
  })
  expect(log).toEqual(['crash Error: one', 'crash Error: two', 'three', 'end'])
  expect(turn.active).toBe(false)
})

test('a crash handler that throws does not leave the turn open', () => {
  const turn = world(error => {
    throw error
  })
  expect(() =>
    turn.run('a', () => {
      turn.later(() => {
        throw new Error('late')
      })
    }),
  ).toThrow('late')
  expect(turn.active).toBe(false)
})

test('errors of the public API reach its caller', () => {
  const turn = world()
  expect(() =>
    turn.call(() => {
      throw new TypeError('wrong')
    }),
  ).toThrow('wrong')
  expect(turn.call(() => 7)).toBe(7)
  expect(log).toEqual(['end', 'end'])
})
