import { describe, expect, test } from 'vitest'
import type { Alert } from '../../../src/alert/alert.ts'
import { AlertQueue } from '../../../src/alert/alert-queue.ts'
import { DhtBootstrapAlert } from '../../../src/alert/dht-alerts.ts'
import { LogAlert, PeerLogAlert } from '../../../src/alert/log-alerts.ts'
import { PortmapLogAlert } from '../../../src/alert/portmap-alerts.ts'
import {
  AlertsDroppedAlert,
  ListenSucceededAlert,
  StateUpdateAlert,
  UdpErrorAlert,
} from '../../../src/alert/session-alerts.ts'
import { SessionStatsAlert } from '../../../src/alert/stats-alerts.ts'
import { AlertCategory } from '../../../src/core/enums.ts'
import { FakePort } from './fake-port.ts'

const ALL = AlertCategory.all
const log = (text: string) => new LogAlert(text)
const high = () => new StateUpdateAlert([])
const critical = () => new ListenSucceededAlert('127.0.0.1', 6881, 0)
const texts = (alerts: readonly Alert[]) => alerts.map(a => a.message())

describe('the mask', () => {
  test('lets through classes with one of its bits', () => {
    const queue = new AlertQueue(new FakePort(), AlertCategory.error | AlertCategory.sessionLog, 100)
    expect(queue.wants(UdpErrorAlert)).toBe(true)
    expect(queue.wants(LogAlert)).toBe(true)
    expect(queue.wants(PeerLogAlert)).toBe(false)
    expect(queue.wants(PortmapLogAlert)).toBe(false)
  })

  test('of all bits lets everything through, signed or unsigned', () => {
    for (const mask of [ALL, -1]) expect(new AlertQueue(new FakePort(), mask, 1).wants(PeerLogAlert)).toBe(true)
  })

  test('does not hold back answers, which have no category', () => {
    expect(new AlertQueue(new FakePort(), 0, 100).wants(SessionStatsAlert)).toBe(true)
    expect(new AlertQueue(new FakePort(), 0, 100).wants(DhtBootstrapAlert)).toBe(false)
  })

  test('can be changed', () => {
    const queue = new AlertQueue(new FakePort(), 0, 100)
    queue.setMask(AlertCategory.sessionLog)
    expect(queue.mask).toBe(AlertCategory.sessionLog)
    expect(queue.wants(LogAlert)).toBe(true)
  })
})

describe('popping', () => {
  test('gives what waits in order, once', () => {
    const queue = new AlertQueue(new FakePort(), ALL, 100)
    queue.post(log('a'))
    queue.post(log('b'))
    expect(queue.pending).toBe(true)
    expect(texts(queue.pop())).toEqual(['a', 'b'])
    expect(queue.pending).toBe(false)
    expect(queue.pop()).toEqual([])
  })

  test('leaves the alerts of the last time alone', () => {
    const queue = new AlertQueue(new FakePort(), ALL, 100)
    queue.post(log('a'))
    const first = queue.pop()
    queue.post(log('b'))
    queue.pop()
    expect(texts(first)).toEqual(['a'])
  })

  test('alerts carry the time of their posting', () => {
    const port = new FakePort()
    const queue = new AlertQueue(port, ALL, 100)
    queue.post(log('a'))
    port.nowMs += 250
    queue.post(log('b'))
    port.nowMs += 800
    port.seconds += 1
    queue.post(log('c'))
    // the system time was set back
    port.seconds -= 100
    queue.post(log('d'))
    expect(queue.pop().map(a => a.timestamp().getTime() - 1_700_000_000_000)).toEqual([0, 250, 1050, -99_000])
  })
})

describe('the limit', () => {
  test('drops what is over it, and says so at the next pop', () => {
    const queue = new AlertQueue(new FakePort(), ALL, 3)
    for (let i = 0; i < 5; i++) queue.post(log(String(i)))
    const alerts = queue.pop()
    expect(texts(alerts)).toEqual(['0', '1', '2', 'dropped alerts: log '])
    const dropped = alerts[3] as AlertsDroppedAlert
    expect(dropped).toBeInstanceOf(AlertsDroppedAlert)
    expect(dropped.droppedAlerts[LogAlert.alertType]).toBe(true)
    expect(dropped.droppedAlerts.filter(Boolean).length).toBe(1)
    expect(dropped.droppedAlerts.length).toBe(128)
  })

  test('the report of drops is given once', () => {
    const queue = new AlertQueue(new FakePort(), ALL, 1)
    queue.post(log('a'))
    queue.post(log('b'))
    expect(queue.pop().length).toBe(2)
    queue.post(log('c'))
    expect(texts(queue.pop())).toEqual(['c'])
  })

  test('is twice as high for alerts of high priority and three times for critical ones', () => {
    const queue = new AlertQueue(new FakePort(), ALL, 2)
    for (let i = 0; i < 10; i++) queue.post(log('x'))
    expect(queue.size).toBe(2)
    for (let i = 0; i < 10; i++) queue.post(high())
    expect(queue.size).toBe(4)
    for (let i = 0; i < 10; i++) queue.post(critical())
    expect(queue.size).toBe(6)
    const last = queue.pop().at(-1) as AlertsDroppedAlert
    for (const type of [LogAlert, StateUpdateAlert, ListenSucceededAlert])
      expect(last.droppedAlerts[type.alertType]).toBe(true)
  })

  test('of zero drops everything', () => {
    const queue = new AlertQueue(new FakePort(), ALL, 0)
    queue.post(critical())
    expect(queue.pop()).toEqual([])
  })

  test('can be changed, and answers with the former one', () => {
    const queue = new AlertQueue(new FakePort(), ALL, 1)
    expect(queue.setLimit(2)).toBe(1)
    queue.post(log('a'))
    queue.post(log('b'))
    expect(queue.size).toBe(2)
  })
})

describe('notification', () => {
  test('comes after the turn, on the edge from empty to not empty only', () => {
    const port = new FakePort()
    const queue = new AlertQueue(port, ALL, 100)
    let calls = 0
    queue.setNotify(() => calls++)
    queue.post(log('a'))
    queue.post(log('b'))
    expect(calls).toBe(0)
    port.endTurn()
    expect(calls).toBe(1)
    queue.post(log('c'))
    port.endTurn()
    expect(calls).toBe(1)
    queue.pop()
    queue.post(log('d'))
    port.endTurn()
    expect(calls).toBe(2)
  })

  test('comes once when it is asked for while something waits', () => {
    const port = new FakePort()
    const queue = new AlertQueue(port, ALL, 100)
    queue.post(log('a'))
    port.endTurn()
    let calls = 0
    queue.setNotify(() => calls++)
    port.endTurn()
    expect(calls).toBe(1)
  })

  test('does not come when the alerts were popped in the same turn', () => {
    const port = new FakePort()
    const queue = new AlertQueue(port, ALL, 100)
    let calls = 0
    queue.setNotify(() => calls++)
    queue.post(log('a'))
    queue.pop()
    port.endTurn()
    expect(calls).toBe(0)
  })

  test('does not come after it was taken back', () => {
    const port = new FakePort()
    const queue = new AlertQueue(port, ALL, 100)
    let calls = 0
    queue.setNotify(() => calls++)
    queue.post(log('a'))
    queue.setNotify(null)
    port.endTurn()
    expect(calls).toBe(0)
  })

  test('a function may post and pop', () => {
    const port = new FakePort()
    const queue = new AlertQueue(port, ALL, 100)
    const seen: string[] = []
    queue.setNotify(() => {
      seen.push(...texts(queue.pop()))
      if (seen.length < 3) queue.post(log(`more ${seen.length}`))
    })
    queue.post(log('first'))
    port.endTurn()
    expect(seen).toEqual(['first', 'more 1', 'more 2'])
  })

  test('waiters are called once, also when something waits already', () => {
    const port = new FakePort()
    const queue = new AlertQueue(port, ALL, 100)
    const calls: string[] = []
    queue.whenPending(() => calls.push('one'))
    const cancel = queue.whenPending(() => calls.push('two'))
    cancel()
    queue.post(log('a'))
    port.endTurn()
    expect(calls).toEqual(['one'])
    queue.whenPending(() => calls.push('three'))
    port.endTurn()
    expect(calls).toEqual(['one', 'three'])
    queue.post(log('b'))
    port.endTurn()
    expect(calls).toEqual(['one', 'three'])
  })
})

describe('listeners', () => {
  test('get everything of a turn at its end, and the queue keeps nothing if nobody pops', () => {
    const port = new FakePort()
    const queue = new AlertQueue(port, ALL, 2)
    const seen: string[][] = []
    queue.listen(alerts => seen.push(texts(alerts)))
    for (let i = 0; i < 5; i++) queue.post(log(String(i)))
    expect(seen).toEqual([])
    port.endTurn()
    expect(seen).toEqual([['0', '1', '2', '3', '4']])
    expect(queue.pop()).toEqual([])
  })

  test('that come after a call get its answer, which was there at once', () => {
    const port = new FakePort()
    const queue = new AlertQueue(port, ALL, 1)
    queue.post(log('of an earlier turn'))
    port.endTurn()
    queue.post(log('answer'))
    const seen: string[] = []
    queue.listen(alerts => seen.push(...texts(alerts)))
    port.endTurn()
    expect(seen).toEqual(['answer'])
  })

  test('get a copy of what a polling program gets', () => {
    const port = new FakePort()
    const queue = new AlertQueue(port, ALL, 1)
    queue.pop()
    const seen: string[] = []
    queue.listen(alerts => seen.push(...texts(alerts)))
    queue.post(log('a'))
    queue.post(log('b'))
    port.endTurn()
    expect(seen).toEqual(['a', 'b'])
    expect(texts(queue.pop())).toEqual(['a', 'dropped alerts: log '])
  })

  test('are not called any more once ended', () => {
    const port = new FakePort()
    const queue = new AlertQueue(port, ALL, 10)
    const seen: string[] = []
    const end = queue.listen(alerts => seen.push(...texts(alerts)))
    queue.post(log('a'))
    port.endTurn()
    end()
    queue.post(log('b'))
    port.endTurn()
    expect(seen).toEqual(['a'])
    expect(texts(queue.pop())).toEqual(['b'])
  })

  test('that throw do not keep alerts from others, and their error is not lost', () => {
    const port = new FakePort()
    const queue = new AlertQueue(port, ALL, 10)
    const seen: string[] = []
    queue.listen(() => {
      throw new Error('of the program')
    })
    queue.listen(alerts => seen.push(...texts(alerts)))
    queue.post(log('a'))
    expect(port.endTurn()).toEqual([new Error('of the program')])
    expect(seen).toEqual(['a'])
  })

  test('with nobody listening a turn costs one deferred call at most', () => {
    const port = new FakePort()
    const queue = new AlertQueue(port, ALL, 1000)
    for (let i = 0; i < 100; i++) queue.post(log('x'))
    expect(port.deferred).toBe(1)
  })
})
