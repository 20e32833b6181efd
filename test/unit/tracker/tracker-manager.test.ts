import { describe, expect, test } from 'vitest'
import { TrackerEvent } from '../../../src/core/enums.ts'
import { World } from './fakes.ts'

const OK = 'd5:peers0:e'
const url = (n: number) => `http://t${n}/announce`
const hosts = (world: World) => world.requests.map(r => new URL(r.options.url).hostname)

describe('the queue of HTTP requests', () => {
  test('holds what exceeds max_concurrent_http_announces, first come first served', () => {
    const world = new World({ maxConcurrentHttpAnnounces: 2 })
    for (let i = 0; i < 5; i++) world.queue({ url: url(i) })
    expect(hosts(world)).toEqual(['t0', 't1'])
    expect(world.queued).toBe(3)
    expect(world.manager.numRequests).toBe(2)
    world.answer(0, OK)
    expect(hosts(world)).toEqual(['t0', 't1', 't2'])
    expect(world.queued).toBe(2)
    for (let i = 1; i < 5; i++) world.answer(i, OK)
    expect(world.manager.isEmpty).toBe(true)
    expect(world.queued).toBe(0)
  })

  test('lets high priority go first', () => {
    const world = new World({ maxConcurrentHttpAnnounces: 1 })
    for (let i = 0; i < 3; i++) world.queue({ url: url(i) })
    world.queue({ url: url(9), highPriority: true })
    world.answer(0, OK)
    expect(hosts(world)).toEqual(['t0', 't9'])
  })

  test('does not run the clock of a request that waits', () => {
    const world = new World({ maxConcurrentHttpAnnounces: 1 })
    const first = world.queue({ url: url(0) })
    const second = world.queue({ url: url(1) })
    world.pass(30)
    expect(first.log).toHaveLength(1)
    expect(second.log).toHaveLength(0)
    expect(hosts(world)).toEqual(['t0', 't1'])
    world.pass(30)
    expect(second.log).toHaveLength(1)
  })

  test('does not hold up UDP requests', () => {
    const world = new World({ maxConcurrentHttpAnnounces: 1 })
    world.names.set('u', ['1.1.1.1'])
    world.queue({ url: url(0) })
    world.queue({ url: url(1) })
    world.queue({ url: 'udp://u:1' })
    world.settle()
    expect(world.sent).toHaveLength(1)
    expect(world.manager.numRequests).toBe(2)
  })

  test('a requester may queue another request from its callback', () => {
    const world = new World({ maxConcurrentHttpAnnounces: 1 })
    const requester = world.queue({ url: url(0) })
    requester.trackerRequestError = () => world.queue({ url: url(1) })
    world.pass(30)
    expect(hosts(world)).toEqual(['t0', 't1'])
  })
})

describe('closing', () => {
  test('aborts everything but announces of stopped, silently', () => {
    const world = new World({ maxConcurrentHttpAnnounces: 2 })
    world.names.set('u', ['1.1.1.1'])
    const gone = [world.queue({ url: url(0) }), world.queue({ url: 'udp://u:1' })]
    const stays = world.queue({ url: url(1), event: TrackerEvent.stopped })
    const waits = world.queue({ url: url(2), event: TrackerEvent.stopped })
    gone.push(world.queue({ url: url(3) }))
    world.settle()
    world.manager.stop()
    world.settle()
    expect(hosts(world)).toEqual(['t0', 't1', 't2'])
    expect(world.idles).toBe(0)
    world.answer(1, OK)
    world.answer(2, OK)
    expect(stays.log.concat(waits.log)).toEqual(['response', 'response'])
    for (const requester of gone) expect(requester.log).toEqual([])
    expect(world.idles).toBe(1)
  })

  test('takes announces of stopped only', () => {
    const world = new World()
    world.manager.stop()
    expect(world.idles).toBe(1)
    const refused = world.queue()
    const late = world.queue({ event: TrackerEvent.stopped })
    world.settle()
    expect(refused.log).toEqual([])
    expect(world.requests).toHaveLength(1)
    world.pass(5)
    expect(late.log).toEqual(['error timed out | sock_read |  | 0'])
    expect(world.idles).toBe(2)
  })

  test('may abort those too', () => {
    const world = new World()
    const requester = world.queue({ event: TrackerEvent.stopped })
    world.manager.stop()
    world.manager.abortAllRequests(true)
    expect(world.manager.isEmpty).toBe(true)
    expect(world.requests[0]?.aborted).toBe(true)
    expect(requester.log).toEqual([])
    expect(world.idles).toBe(1)
  })

  test('a packet or answer that comes later is ignored', () => {
    const world = new World()
    world.names.set('u', ['1.1.1.1'])
    const requester = world.queue({ url: 'udp://u:1' })
    world.settle()
    world.manager.abortAllRequests()
    expect(world.manager.incomingPacket(['1.1.1.1', 1], world.sent[0]!.packet.slice(8))).toBe(false)
    expect(requester.log).toEqual([])
  })
})

test('what comes from the HTTP client and the resolver enters through a turn', () => {
  const world = new World()
  world.queue()
  world.answer(0, OK)
  expect(world.turns).toBe(3)
  world.names.set('u', ['1.1.1.1'])
  world.queue({ url: 'udp://u:1' })
  world.settle()
  expect(world.turns).toBe(4)
})

test('ten thousand requests wait and are served without delay', () => {
  const world = new World()
  for (let i = 0; i < 10_000; i++) world.queue({ url: url(i) })
  for (let i = 0; i < 10_000; i++) world.answer(i, OK)
  expect(world.manager.isEmpty).toBe(true)
})
