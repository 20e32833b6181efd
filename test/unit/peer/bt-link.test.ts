import { expect, test } from 'vitest'
import type { Stream } from '../../../src/core/runtime.ts'
import { Turn } from '../../../src/core/turn.ts'
import { BtLink, type BtLinkOwner } from '../../../src/peer/bt-link.ts'

/** A link whose owner grants `quota` bytes a time, over a stream that takes what it is given when it is told to. */
function linkWith(quota: number) {
  const flushed: (() => void)[] = []
  let written = 0
  const stream = {
    setHandler: () => {},
    write: (views: readonly Uint8Array[], onFlushed?: () => void) => {
      for (const view of views) written += view.length
      if (onFlushed !== undefined) flushed.push(onFlushed)
    },
  } as unknown as Stream
  const owner = { sendQuota: () => quota, linkSent: () => {}, linkDrained: () => {} } as unknown as BtLinkOwner
  const turn = new Turn(
    () => 0,
    error => {
      throw error
    },
  )
  const link = new BtLink(stream, owner, turn)
  return {
    link,
    turn,
    written: () => written,
    drain: () => {
      for (const done of flushed.splice(0)) done()
    },
  }
}

test('what the rate limit had no room for goes out later, though nothing is added', () => {
  const { link, turn, written, drain } = linkWith(100)
  let released = false
  turn.run('test', () =>
    link.writeBlock([new Uint8Array(250)], () => {
      released = true
    }),
  )
  expect(written()).toBe(100)
  drain()
  expect(written()).toBe(200)
  expect(released).toBe(false)
  drain()
  expect([written(), link.unsentBytes]).toEqual([250, 50])
  drain()
  expect([released, link.unsentBytes]).toEqual([true, 0])
})
