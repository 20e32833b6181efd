import { describe, expect, test } from 'vitest'
import { SipKey, sipHash32 } from '../../../src/core/siphash.ts'

/** Low words of the test vectors of the reference implementation: key and message are 0, 1, 2, ... */
const VECTORS: [length: number, hash: number][] = [
  [0, 0xdd0e0e31],
  [1, 0x93dc67fd],
  [7, 0x8b01d137],
  [8, 0x9a932462],
  [9, 0x0ba9e4b0],
  [15, 0x49be45e5],
  [16, 0x57c29bdb],
  [29, 0x87956571],
  [63, 0xeb064572],
]

function key(first = 0): SipKey {
  return new SipKey(Uint8Array.from({ length: 16 }, (_, i) => first + i))
}

/** With bytes behind the message that must not count. */
function message(length: number): Uint8Array {
  return Uint8Array.from({ length: length + 8 }, (_, i) => (i < length ? i : 0xff))
}

describe('sipHash32', () => {
  test.each(VECTORS)('a message of %i bytes', (length, hash) => {
    expect(sipHash32(key(), message(length), length)).toBe(hash)
  })

  test('another key gives another hash', () => {
    expect(sipHash32(key(1), message(8), 8)).not.toBe(sipHash32(key(), message(8), 8))
  })

  test('a key of another length is refused', () => {
    expect(() => new SipKey(new Uint8Array(15))).toThrow(RangeError)
  })
})
