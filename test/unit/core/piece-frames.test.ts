import { expect, test } from 'vitest'
import { FRAME_SIZE, framedLength, framedPayload } from '../../../src/core/piece-frames.ts'

test('payload and headers of messages in a row are told apart at every byte', () => {
  expect([framedLength(0), framedLength(1), framedLength(16384), framedLength(16385)]).toEqual([0, 14, 16397, 16411])
  let payload = 0
  for (let at = 0; at < 2 * FRAME_SIZE + 100; at++) {
    expect(framedPayload(at)).toBe(payload)
    if (at % FRAME_SIZE >= 13) payload++
  }
  expect(framedPayload(framedLength(40_000))).toBe(40_000)
})
