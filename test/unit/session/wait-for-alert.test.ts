import { expect, test } from 'vitest'
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
