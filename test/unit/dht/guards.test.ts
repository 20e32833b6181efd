/** What keeps strangers from misusing a node: write tokens, the blocker of floods, networks that do not exist. */

import { describe, expect, test } from 'vitest'
import { SeededRng } from '../../../src/core/rng.ts'
import { SipKey, sipHash32 } from '../../../src/core/siphash.ts'
import { isDarkInternet } from '../../../src/dht/dark-internet.ts'
import { DosBlocker } from '../../../src/dht/dos-blocker.ts'
import { generateRandomId } from '../../../src/dht/node-id.ts'
import { WriteTokens } from '../../../src/dht/write-token.ts'
import { SampleEndpoints } from './node-samples.ts'

const rng = new SeededRng(5)

describe('write token', () => {
  const target = generateRandomId(rng)

  test('is good for one address and one target', () => {
    const tokens = new WriteTokens(rng)
    for (const address of ['1.2.3.4', '2001:db8::1', `fe80::1%${'x'.repeat(100)}`]) {
      const token = tokens.generate(address, target)
      expect(token).toHaveLength(4)
      expect(tokens.verify(token, address, target)).toBe(true)
      expect(tokens.verify(token, '1.2.3.5', target)).toBe(false)
      expect(tokens.verify(token, address, generateRandomId(rng))).toBe(false)
      expect(new WriteTokens(rng).verify(token, address, target)).toBe(false)
    }
  })

  test.each([0, 1, 3, 5, 20, 1000])('of %d bytes is none', length => {
    const tokens = new WriteTokens(rng)
    const token = new Uint8Array(length)
    token.set(tokens.generate('1.2.3.4', target).subarray(0, length))
    expect(tokens.verify(token, '1.2.3.4', target)).toBe(false)
  })

  test('with any bit changed is none', () => {
    const tokens = new WriteTokens(rng)
    for (let bit = 0; bit < 32; bit++) {
      const token = tokens.generate('1.2.3.4', target)
      token[bit >> 3]! ^= 1 << (bit & 7)
      expect(tokens.verify(token, '1.2.3.4', target)).toBe(false)
    }
  })

  test('outlives one change of the secret, and not two', () => {
    const tokens = new WriteTokens(rng)
    const token = tokens.generate('1.2.3.4', target)
    tokens.rotate()
    expect(tokens.verify(token, '1.2.3.4', target)).toBe(true)
    expect(tokens.generate('1.2.3.4', target)).not.toEqual(token)
    tokens.rotate()
    expect(tokens.verify(token, '1.2.3.4', target)).toBe(false)
  })

  test('is made of the address, a secret and the target', () => {
    const secret = new Uint8Array(16).fill(0x5a)
    const tokens = new WriteTokens({ ...new SeededRng(1), fill: bytes => bytes.set(secret) } as SeededRng)
    const message = Buffer.concat([target.view(), Buffer.from('1.2.3.4'), Buffer.alloc(8)])
    const want = Buffer.alloc(4)
    want.writeUInt32BE(sipHash32(new SipKey(secret), message, 27))
    expect(Buffer.from(tokens.generate('1.2.3.4', target))).toEqual(want)
    const packet = new Uint8Array(50)
    packet.set(target.view(), 9)
    tokens.generateInto('1.2.3.4', packet, 9, packet, 40)
    expect(Buffer.from(packet.subarray(40, 44))).toEqual(want)
  })
})

describe('blocker', () => {
  test.each(['10.10.10.10', '2001:db8::7'])('keeps out %s that floods, whoever else sends', spammer => {
    const blocker = new DosBlocker()
    const { v4, v6 } = new SampleEndpoints()
    let now = 12_345
    for (let i = 0; i < 1000; i++) {
      blocker.incoming(spammer, now++)
      expect(blocker.incoming(i % 2 === 0 ? v4()[0] : v6()[0], now++)).toBe(true)
    }
    expect(blocker.incoming(spammer, ++now)).toBe(false)
  })

  test('lets pass ten times the limit less one in ten seconds', () => {
    const blocker = new DosBlocker()
    const lines: string[] = []
    const log = { shouldLog: () => true, log: (_: number, line: string) => lines.push(line) }
    for (let i = 0; i < 49; i++) expect(blocker.incoming('1.2.3.4', 1000 + i, log)).toBe(true)
    expect(lines).toEqual([])
    expect(blocker.incoming('1.2.3.4', 1049, log)).toBe(false)
    expect(blocker.incoming('1.2.3.4', 1050, log)).toBe(false)
    expect(lines).toEqual(['BANNING PEER [ ip: 1.2.3.4 time: 49 ms count: 50 ]'])
  })

  test('starts to count again if they took ten seconds', () => {
    const blocker = new DosBlocker()
    for (let i = 0; i < 49; i++) blocker.incoming('1.2.3.4', 1000)
    expect(blocker.incoming('1.2.3.4', 11_000)).toBe(true)
    for (let i = 0; i < 49; i++) expect(blocker.incoming('1.2.3.4', 11_001)).toBe(true)
    expect(blocker.incoming('1.2.3.4', 11_002)).toBe(false)
  })

  test('hears a blocked node again when the time is up', () => {
    const blocker = new DosBlocker()
    blocker.setBlockTimer(30)
    for (let i = 0; i < 50; i++) blocker.incoming('1.2.3.4', 1000)
    expect(blocker.incoming('1.2.3.4', 30_999)).toBe(false)
    expect(blocker.incoming('1.2.3.4', 31_000)).toBe(true)
    expect(blocker.incoming('1.2.3.4', 31_001)).toBe(true)
  })

  test('has a limit of at least one packet a second, and one second of block', () => {
    const blocker = new DosBlocker()
    blocker.setRateLimit(-7)
    blocker.setBlockTimer(-7)
    for (let i = 0; i < 9; i++) expect(blocker.incoming('1.2.3.4', 1000)).toBe(true)
    expect(blocker.incoming('1.2.3.4', 1000)).toBe(false)
    expect(blocker.incoming('1.2.3.4', 2000)).toBe(true)
  })

  test('forgets who sent least when more than twenty send', () => {
    const blocker = new DosBlocker()
    blocker.setRateLimit(1)
    for (let i = 0; i < 20; i++) for (let k = 0; k < 8; k++) blocker.incoming(`1.2.3.${i}`, 1000 + i)
    for (let k = 0; k < 1; k++) blocker.incoming('1.2.3.0', 1100)
    // takes the slot of 1.2.3.1, which is the oldest of those with the lowest count
    blocker.incoming('9.9.9.9', 1200)
    expect(blocker.incoming('1.2.3.0', 1300)).toBe(false)
    expect(blocker.incoming('1.2.3.1', 1300)).toBe(true)
    expect(blocker.incoming('1.2.3.1', 1300)).toBe(true)
  })
})

test('networks that do not exist are known by their first number', () => {
  const dark = []
  for (let i = 0; i < 256; i++) if (isDarkInternet(`${i}.1.2.3`)) dark.push(i)
  expect(dark).toEqual([3, 6, 7, 9, 11, 19, 21, 22, 25, 26, 28, 29, 30, 33, 34, 48, 56])
  for (const v6 of ['3::1', '::1', '2001:db8::3', 'fe80::1%3.1']) expect(isDarkInternet(v6)).toBe(false)
})
