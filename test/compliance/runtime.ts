/** What clock, timers, names and randomness of every `Runtime` must do. */

import { describe, expect, test } from 'vitest'
import type { ErrorCode } from '../../src/core/error-code.ts'
import type { WorldFactory } from './runtime-worlds.ts'

/** Runs the suite on one world. */
export function runtimeSuite(factory: WorldFactory): void {
  describe(`runtime: ${factory.name}`, () => {
    timerTests(factory)

    test('numeric hosts answer themselves, in canonical form, in a later event', async () => {
      const world = factory.make()
      const answers: (readonly string[])[] = []
      world.a.resolver.resolve('192.0.2.1', {}, (_error, addresses) => answers.push(addresses))
      world.a.resolver.resolve('2001:DB8::0:1', { cacheOnly: true }, (_error, addresses) => answers.push(addresses))
      world.a.resolver.resolve('::ffff:192.0.2.2', {}, (_error, addresses) => answers.push(addresses))
      expect(answers).toEqual([])
      await world.until(() => answers.length === 3, 'the answers')
      expect(answers).toEqual([['192.0.2.1'], ['2001:db8::1'], ['192.0.2.2']])
    })

    test('a host that does not exist and a cache that is empty give "host not found"', async () => {
      const world = factory.make()
      const answers: (ErrorCode | null)[] = []
      world.a.resolver.resolve('nothing.invalid', { cacheOnly: true }, error => answers.push(error))
      expect(answers).toEqual([])
      await world.until(() => answers.length === 1, 'the answer')
      expect(answers[0]!.message()).toBe('Host not found (authoritative)')
    })

    test('localhost is a loopback address, and is then in the cache', async () => {
      const world = factory.make()
      const answers: (readonly string[])[] = []
      const note = (_error: ErrorCode | null, addresses: readonly string[]) => void answers.push(addresses)
      world.a.resolver.resolve('localhost', {}, note)
      world.a.resolver.resolve('localhost', { abortOnShutdown: true }, note)
      await world.until(() => answers.length === 2, 'the answers')
      world.a.resolver.resolve('localhost', { cacheOnly: true }, note)
      await world.until(() => answers.length === 3, 'the cached answer')
      for (const addresses of answers) expect(addresses.some(a => a === '127.0.0.1' || a === '::1')).toBe(true)
    })

    test('the random numbers stay in their range', () => {
      const { rng } = factory.make().a
      for (const limit of [1, 2, 3, 1000, 0x100000000]) {
        for (let i = 0; i < 50; i++) {
          const value = rng.below(limit)
          expect(Number.isInteger(value) && value >= 0 && value < limit).toBe(true)
        }
      }
      const bytes = new Uint8Array(64)
      rng.fork('a part').fill(bytes)
      expect(new Set(bytes).size).toBeGreaterThan(16)
    })

    test('every network has a canonical address and a prefix', () => {
      for (const { address, prefixLength, name } of factory.make().a.interfaces()) {
        expect(name).not.toBe('')
        expect(prefixLength).toBeGreaterThan(0)
        expect(prefixLength).toBeLessThanOrEqual(address.includes(':') ? 128 : 32)
      }
    })
  })
}

function timerTests(factory: WorldFactory): void {
  test('a timer never fires early, nor inside setTimer, nor after cancel', async () => {
    const world = factory.make()
    const { clock } = world.a
    const late: number[] = []
    for (const delay of [0, 0.4, 1, 3, 7.5]) {
      const due = clock.now() + delay
      world.a.setTimer(delay, () => late.push(clock.now() - due))
    }
    let cancelled = 0
    const timer = world.a.setTimer(2, () => cancelled++)
    timer.cancel()
    timer.cancel()
    expect(late).toEqual([])
    await world.until(() => late.length === 5, 'all timers')
    await world.settle()
    for (const ms of late) expect(ms).toBeGreaterThanOrEqual(0)
    expect(cancelled).toBe(0)
  })

  test('timers fire in the order of their times, also when set inside one another', async () => {
    const world = factory.make()
    const fired: string[] = []
    world.a.setTimer(30, () => fired.push('third'))
    world.a.setTimer(2, () => {
      fired.push('first')
      world.a.setTimer(8, () => fired.push('second'))
    })
    await world.until(() => fired.length === 3, 'all timers')
    expect(fired).toEqual(['first', 'second', 'third'])
  })

  test('a timer cancelled by an earlier one stays silent', async () => {
    const world = factory.make()
    let fired = false
    const second = world.a.setTimer(5, () => {
      fired = true
    })
    world.a.setTimer(1, () => second.cancel())
    await world.settle()
    expect(fired).toBe(false)
  })

  test('a delay beyond 2^31 ms does not fire at once', async () => {
    const world = factory.make()
    let fired = false
    const timer = world.a.setTimer(2 ** 33, () => {
      fired = true
    })
    await world.settle()
    expect(fired).toBe(false)
    timer.cancel()
  })

  test('deferred work comes after the turn and before any other event, in order', async () => {
    const world = factory.make()
    const order: string[] = []
    world.a.setTimer(0, () => {
      world.a.afterPoll(() => order.push('poll'))
      world.a.setTimer(0, () => order.push('timer'))
      world.a.defer(() => {
        order.push('deferred 1')
        world.a.defer(() => order.push('deferred 3'))
      })
      world.a.defer(() => order.push('deferred 2'))
      order.push('turn')
    })
    await world.until(() => order.length === 6, 'everything')
    expect(order.slice(0, 4)).toEqual(['turn', 'deferred 1', 'deferred 2', 'deferred 3'])
    expect(order).toContain('poll')
    expect(order).toContain('timer')
  })

  test('time goes on, and the wall clock is whole seconds', async () => {
    const world = factory.make()
    const { clock } = world.a
    const before = clock.now()
    await world.settle()
    expect(clock.now()).toBeGreaterThan(before)
    expect(Number.isInteger(clock.posixSeconds())).toBe(true)
    expect(clock.posixSeconds()).toBeGreaterThan(1_500_000_000)
  })
}
