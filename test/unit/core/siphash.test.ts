import { describe, expect, test } from 'vitest'
import { SipKey, sipHash32 } from '../../../src/core/siphash.ts'

/** Low words of what CPython 3.11 makes of the messages 0, 1, 2, ... under the key of PYTHONHASHSEED=12345. */
const VECTORS: [length: number, hash: number][] = [
  [1, 0x2fbdf63a],
  [7, 0x2fee6ffd],
  [8, 0x3928c942],
  [9, 0xf18abecc],
  [15, 0xd017b99e],
  [16, 0xea370595],
  [29, 0x7f4c03db],
  [63, 0xc779cd10],
]
const PYTHON_KEY = Buffer.from('a0dcc36dc46d5525906c6fd0dbe43efc', 'hex')

function key(first = 0): SipKey {
  return new SipKey(Uint8Array.from({ length: 16 }, (_, i) => first + i))
}

/** With bytes behind the message that must not count. */
function message(length: number): Uint8Array {
  return Uint8Array.from({ length: length + 8 }, (_, i) => (i < length ? i : 0xff))
}

describe('sipHash32', () => {
  test.each(VECTORS)('a message of %i bytes', (length, hash) => {
    expect(sipHash32(new SipKey(PYTHON_KEY), message(length), length)).toBe(hash)
  })

  test('no message: the first vector of the Rust library, key 0, 1, 2, ...', () => {
    expect(sipHash32(key(), message(0), 0)).toBe(0x050fc4dc)
  })

  test('another key gives another hash', () => {
    expect(sipHash32(key(1), message(8), 8)).not.toBe(sipHash32(key(), message(8), 8))
  })

  test('a key of another length is refused', () => {
    expect(() => new SipKey(new Uint8Array(15))).toThrow(RangeError)
  })
})
