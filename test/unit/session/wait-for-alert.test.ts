import { describe, expect, test } from 'vitest'
import type { Engine } from '../../../src/session/engine.ts'
import { SessionBase } from '../../../src/session/session-api.ts'

test('waiting for alerts that are there leaves room for everything else', async () => {
  const polls: (() => void)[] = []
  const engine = { alerts: { pending: true }, runtime: { afterPoll: (fn: () => void) => polls.push(fn) } }
  const session = new SessionBase(engine as unknown as Engine)
  let waited = 0
  const loop = (async () => {
    while (waited < 3) {
      expect(await session.waitForAlert(1000)).toBe(true)
      waited++
    }
  })()
  for (let i = 1; i <= 3; i++) {
    await new Promise(resolve => setImmediate(resolve))
    expect(waited).toBe(i - 1)
    polls.shift()!()
  }
  await loop
})

describe('an aborted wait', () => {
  function waiting(): { session: SessionBase; open: Set<string> } {
    const open = new Set<string>()
    const kept = (name: string, take: () => void) => {
      open.add(name)
      return take
    }
    const engine = {
      alerts: { pending: false, whenPending: () => kept('waiter', () => open.delete('waiter')) },
      runtime: { setTimer: () => ({ cancel: kept('timer', () => open.delete('timer')) }) },
    }
    return { session: new SessionBase(engine as unknown as Engine), open }
  }

  test('is rejected with the reason, and leaves nothing behind', async () => {
    const { session, open } = waiting()
    const abort = new AbortController()
    const wait = session.waitForAlert(1000, { signal: abort.signal })
    expect(open.size).toBe(2)
    abort.abort(new Error('enough'))
    await expect(wait).rejects.toThrow('enough')
    expect(open.size).toBe(0)
  })

  test('is rejected at once if it was aborted before', async () => {
    const { session, open } = waiting()
    const wait = session.waitForAlert(1000, { signal: AbortSignal.abort(new Error('before')) })
    await expect(wait).rejects.toThrow('before')
    expect(open.size).toBe(0)
  })
})
