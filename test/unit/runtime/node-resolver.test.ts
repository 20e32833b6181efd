import { expect, test } from 'vitest'
import type { ErrorCode } from '../../../src/core/error-code.ts'
import { type LookupFunction, NodeResolver } from '../../../src/runtime/node-resolver.ts'

/** A resolver with a clock and a system that the test moves by hand. */
function setUp() {
  const time = { now: 0 }
  const asked: string[] = []
  const answers: Parameters<LookupFunction>[1][] = []
  const resolver = new NodeResolver({ now: () => time.now, posixSeconds: () => 0 }, (host, found) => {
    asked.push(host)
    answers.push(found)
  })
  const got: (string | readonly string[])[] = []
  const note = (error: ErrorCode | null, addresses: readonly string[]) =>
    void got.push(error === null ? addresses : error.message())
  const tick = () => new Promise<void>(resolve => queueMicrotask(resolve))
  return { time, asked, answers, resolver, got, note, tick }
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code })
}

test('two look-ups of one host at a time are one question', () => {
  const { asked, answers, resolver, got, note } = setUp()
  resolver.resolve('a.test', {}, note)
  resolver.resolve('a.test', {}, note)
  expect(asked).toEqual(['a.test'])
  answers[0]!(null, [{ address: '192.0.2.1' }, { address: '192.0.2.1' }, { address: '2001:DB8::1' }])
  expect(got).toEqual([
    ['192.0.2.1', '2001:db8::1'],
    ['192.0.2.1', '2001:db8::1'],
  ])
})

test('an answer is kept for 1200 s, or as long as set', async () => {
  const { time, asked, answers, resolver, got, note, tick } = setUp()
  resolver.resolve('a.test', {}, note)
  answers[0]!(null, [{ address: '192.0.2.1' }])
  time.now = 1_200_000
  resolver.resolve('a.test', {}, note)
  expect(got.length).toBe(1)
  await tick()
  expect(got.length).toBe(2)
  time.now = 1_200_001
  resolver.resolve('a.test', {}, note)
  expect(asked.length).toBe(2)
  answers[1]!(null, [{ address: '192.0.2.2' }])
  resolver.setCacheTimeout(10)
  time.now += 10_001
  resolver.resolve('a.test', {}, note)
  expect(asked.length).toBe(3)
})

test('a failure is kept for an eighth of that', async () => {
  const { time, asked, answers, resolver, got, note, tick } = setUp()
  resolver.resolve('a.test', {}, note)
  answers[0]!(failure('ENOTFOUND'), [])
  time.now = 150_000
  resolver.resolve('a.test', {}, note)
  await tick()
  expect(got).toEqual(['Host not found (authoritative)', 'Host not found (authoritative)'])
  time.now = 150_001
  resolver.resolve('a.test', {}, note)
  expect(asked.length).toBe(2)
  answers[1]!(failure('EAI_AGAIN'), [])
  expect(got.at(-1)).toBe('Host not found (non-authoritative), try again later')
})

test('cacheOnly takes stale answers, and never asks', async () => {
  const { time, asked, answers, resolver, got, note, tick } = setUp()
  resolver.resolve('a.test', { cacheOnly: true }, note)
  await tick()
  resolver.resolve('a.test', {}, note)
  answers[0]!(null, [{ address: '192.0.2.1' }])
  time.now = 1e9
  resolver.resolve('a.test', { cacheOnly: true }, note)
  await tick()
  expect(asked).toEqual(['a.test'])
  expect(got).toEqual(['Host not found (authoritative)', ['192.0.2.1'], ['192.0.2.1']])
})

test('abort ends the look-ups that may be ended, and their late answers are still cached', async () => {
  const { answers, resolver, got, note, tick } = setUp()
  resolver.resolve('a.test', { abortOnShutdown: true }, note)
  resolver.resolve('a.test', {}, note)
  resolver.abort()
  expect(got).toEqual([])
  await tick()
  expect(got).toEqual(['Operation canceled'])
  answers[0]!(null, [{ address: '192.0.2.1' }])
  expect(got).toEqual(['Operation canceled', ['192.0.2.1']])
  resolver.abort()
  await tick()
  expect(got.length).toBe(2)
})

test('an answer without addresses is an error', () => {
  const { answers, resolver, got, note } = setUp()
  resolver.resolve('a.test', {}, note)
  answers[0]!(null, [])
  expect(got).toEqual(['The query is valid, but it does not have associated data'])
})

test('the cache is bounded', () => {
  const { asked, answers, resolver, note } = setUp()
  for (let i = 0; i < 800; i++) {
    resolver.resolve(`h${i}.test`, {}, note)
    answers[i]!(null, [{ address: '192.0.2.1' }])
  }
  resolver.resolve('h0.test', {}, note)
  expect(asked.length).toBe(801)
  resolver.resolve('h799.test', {}, note)
  expect(asked.length).toBe(801)
})
