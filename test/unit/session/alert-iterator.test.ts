import { beforeEach, describe, expect, test } from 'vitest'
import type { Alert } from '../../../src/alert/alert.ts'
import { AlertIterator } from '../../../src/session/alert-iterator.ts'

let listeners: Set<(alerts: readonly Alert[]) => void>
let enders: Set<() => void>
let ended: boolean

beforeEach(() => {
  listeners = new Set()
  enders = new Set()
  ended = false
})

function make(signal?: AbortSignal): AlertIterator {
  return new AlertIterator(
    {
      listen: listener => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      whenEnded: fn => {
        enders.add(fn)
        if (ended) fn()
        return () => enders.delete(fn)
      },
    },
    signal,
  )
}

/** Alerts are numbers here: the iterator does not look into them. */
function post(...numbers: number[]): void {
  for (const listener of [...listeners]) listener(numbers as unknown as Alert[])
}

function end(): void {
  ended = true
  for (const fn of [...enders]) fn()
}

const value = (n: number) => ({ done: false, value: n })
const DONE = { done: true, value: undefined }

test('gives what came before it was asked, and what comes after', async () => {
  const alerts = make()
  const first = alerts.next()
  post(1, 2)
  expect(await first).toEqual(value(1))
  expect(await alerts.next()).toEqual(value(2))
  const both = [alerts.next(), alerts.next()]
  post(3)
  post(4)
  expect(await Promise.all(both)).toEqual([value(3), value(4)])
})

test('return() ends it at once, with the calls that wait', async () => {
  const alerts = make()
  const waiting = [alerts.next(), alerts.next()]
  expect(await alerts.return()).toEqual(DONE)
  expect(await Promise.all(waiting)).toEqual([DONE, DONE])
  expect([listeners.size, enders.size]).toEqual([0, 0])
  expect(await alerts.next()).toEqual(DONE)
  expect(listeners.size).toBe(0)
})

test('return() before the first step, and twice', async () => {
  const alerts = make()
  expect(await alerts.return()).toEqual(DONE)
  expect(await alerts.return()).toEqual(DONE)
  expect(await alerts.next()).toEqual(DONE)
  expect(listeners.size).toBe(0)
})

test('throw() ends it and is rejected with what it was given', async () => {
  const alerts = make()
  const waiting = alerts.next()
  await expect(alerts.throw(new Error('enough'))).rejects.toThrow('enough')
  expect(await waiting).toEqual(DONE)
  expect(listeners.size).toBe(0)
})

test('listens from the first step on', async () => {
  const alerts = make()
  post(1)
  expect(listeners.size).toBe(0)
  const first = alerts.next()
  post(2)
  expect(await first).toEqual(value(2))
  await alerts[Symbol.asyncDispose]()
  expect(listeners.size).toBe(0)
})

describe('for await', () => {
  test('that is left takes nothing more', async () => {
    const seen: unknown[] = []
    const loop = (async () => {
      for await (const alert of make()) {
        seen.push(alert)
        if (seen.length === 2) break
      }
    })()
    post(1, 2, 3)
    await loop
    expect(seen).toEqual([1, 2])
    expect([listeners.size, enders.size]).toEqual([0, 0])
  })

  test('twice at once: both get all', async () => {
    const [a, b]: [unknown[], unknown[]] = [[], []]
    const read = async (into: unknown[], most: number) => {
      for await (const alert of make()) if (into.push(alert) === most) return
    }
    const loops = [read(a, 2), read(b, 3)]
    post(1, 2)
    await loops[0]
    post(3)
    await loops[1]
    expect([a, b]).toEqual([
      [1, 2],
      [1, 2, 3],
    ])
  })

  test('ends with the session, after what was posted before', async () => {
    const seen: unknown[] = []
    const loop = (async () => {
      for await (const alert of make()) seen.push(alert)
    })()
    post(1, 2)
    end()
    await loop
    expect(seen).toEqual([1, 2])
    expect([listeners.size, enders.size]).toEqual([0, 0])
    expect(await make().next()).toEqual(DONE)
    expect([listeners.size, enders.size]).toEqual([0, 0])
  })
})

describe('a signal', () => {
  test('ends it, although alerts wait', async () => {
    const abort = new AbortController()
    const alerts = make(abort.signal)
    const first = alerts.next()
    post(1, 2)
    expect(await first).toEqual(value(1))
    abort.abort()
    expect(await alerts.next()).toEqual(DONE)
    expect(listeners.size).toBe(0)
  })

  test('ends a call that waits', async () => {
    const abort = new AbortController()
    const waiting = make(abort.signal).next()
    abort.abort()
    expect(await waiting).toEqual(DONE)
  })

  test('that was aborted before: nothing is listened to', async () => {
    expect(await make(AbortSignal.abort()).next()).toEqual(DONE)
    expect(listeners.size).toBe(0)
  })
})
