import { describe, expect, test } from 'vitest'
import { binaryToBytes, bytesToBinary } from '../../../src/core/bytes.ts'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import {
  decodePex,
  encodePex,
  MAX_PEX_LENGTH,
  type PexMessage,
  type PexPeers,
  pexKey,
} from '../../../src/wire/ut-pex.ts'

const decode = (text: string) => decodePex(binaryToBytes(text))

const A = '\x0a\x00\x00\x01\x1a\xe1'
const B = '\x01\x02\x03\x04\x00\x50'
const A6 = '\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1'
const EMPTY = { added: [], added6: [], dropped: [], dropped6: [] }

function list(peers: PexPeers): [string, number, number][] {
  return Array.from({ length: peers.length }, (_, i) => [...peers.endpoint(i), peers.flags(i)])
}

function plain(message: PexMessage | null) {
  if (message === null) return null
  const { added, added6, dropped, dropped6 } = message
  return { added: list(added), added6: list(added6), dropped: list(dropped), dropped6: list(dropped6) }
}

describe('reading', () => {
  test('a message with everything', () => {
    const text =
      `d5:added12:${A}${B}7:added.f2:\x02\x9d6:added618:${A6}8:added6.f1:\x04` +
      `7:dropped6:${B}8:dropped636:${A6}${A6}e`
    const message = decode(text)!
    expect(plain(message)).toEqual({
      added: [
        ['10.0.0.1', 6881, 2],
        ['1.2.3.4', 80, 0x9d],
      ],
      added6: [['2001:db8::1', 6881, 4]],
      dropped: [['1.2.3.4', 80, 0]],
      dropped6: [
        ['2001:db8::1', 6881, 0],
        ['2001:db8::1', 6881, 0],
      ],
    })
    expect([message.numAdded, message.numDropped]).toEqual([3, 3])
  })

  test('keys in any order, with others among them, and bytes after the end', () => {
    const text = `d7:dropped0:5:extrali1ed1:ai2eee7:added.f1:\x015:added6:${A}5:otheri9eerubbish`
    expect(plain(decode(text))).toEqual({ ...EMPTY, added: [['10.0.0.1', 6881, 1]] })
  })

  test('what is absent or of another type is empty', () => {
    expect(plain(decode('de'))).toEqual(EMPTY)
    expect(plain(decode('d5:addedi5e7:added.fle6:added6de7:droppedi0e8:dropped6lee'))).toEqual(EMPTY)
  })

  test('peers without one flag each are left out, and counted', () => {
    for (const flags of ['', '7:added.f0:', '7:added.f1:\x01', '7:added.f3:\x01\x01\x01', '7:added.fi1e']) {
      const message = decode(`d5:added12:${A}${B}${flags}e`)!
      expect([plain(message), message.numAdded], flags).toEqual([EMPTY, 2])
    }
    for (const flags of ['', '8:added6.f2:\x01\x01']) {
      expect(plain(decode(`d6:added618:${A6}${flags}e`)), flags).toEqual(EMPTY)
    }
  })

  test('of a list whose end is cut the whole peers count', () => {
    expect(plain(decode(`d5:added11:${A}${B.slice(1)}7:added.f1:\x017:dropped7:${B}\x01e`))).toEqual({
      ...EMPTY,
      added: [['10.0.0.1', 6881, 1]],
      dropped: [['1.2.3.4', 80, 0]],
    })
    expect(plain(decode(`d5:added5:${A.slice(1)}7:added.f0:8:dropped617:${A6.slice(1)}e`))).toEqual(EMPTY)
  })

  test('an IPv4 address in the clothes of IPv6 is an IPv4 address', () => {
    const mapped = `${'\0'.repeat(10)}\xff\xff\x0a\0\0\x01\x1a\xe1`
    expect(plain(decode(`d6:added618:${mapped}8:added6.f1:\0e`))!.added6).toEqual([['10.0.0.1', 6881, 0]])
  })

  test('what is no dictionary is refused, wherever a message is cut', () => {
    const whole = `d5:added6:${A}7:added.f1:\x026:added618:${A6}8:added6.f1:\x007:dropped6:${B}8:dropped60:e`
    expect(plain(decode(whole))).not.toBeNull()
    for (let end = 0; end < whole.length; end++) expect(decode(whole.slice(0, end)), `${end}`).toBeNull()
    for (const text of ['le', 'i5e', '4:spam', 'd', 'd5:added', 'd5:added-1:e', 'x', `d5:added99:${A}e`]) {
      expect(decode(text), text).toBeNull()
    }
  })

  test('garbage neither throws nor hangs', () => {
    const rng = new SeededRng(7)
    const good = binaryToBytes(`d5:added6:${A}7:added.f1:\x026:added618:${A6}8:added6.f1:\x00e`)
    for (let round = 0; round < 5000; round++) {
      const bytes = good.slice(0, 1 + rng.below(good.length))
      for (let n = rng.below(4); n >= 0; n--) bytes[rng.below(bytes.length)] = rng.below(256)
      const message = decodePex(bytes)
      if (message !== null) plain(message)
      const noise = new Uint8Array(rng.below(200))
      rng.fill(noise)
      decodePex(noise)
    }
  })

  test('a message of many values is refused before it costs much', () => {
    expect(decode(`d1:al${'le'.repeat(MAX_PEX_LENGTH / 2 - 10)}ee`)).toBeNull()
    expect(decode('l'.repeat(MAX_PEX_LENGTH))).toBeNull()
  })

  test('of a list beyond all measure a thousand peers are looked at', () => {
    const count = Math.floor(MAX_PEX_LENGTH / 6) - 50
    const message = decode(`d7:dropped${count * 6}:${A.repeat(count)}e`)!
    expect([message.dropped.length, message.dropped.claimed, message.numDropped]).toEqual([1000, count, count])
  })
})

describe('writing', () => {
  const peers: [Endpoint, number][] = [
    [['10.0.0.1', 6881], 2],
    [['2001:db8::1', 6881], 5],
    [['1.2.3.4', 80], 0],
  ]
  const added = peers.map(([endpoint, flags]) => ({ endpoint, flags }))

  test('addresses go to the list of their family, with their flags', () => {
    const dropped: Endpoint[] = [
      ['2001:db8::1', 6881],
      ['1.2.3.4', 80],
    ]
    expect(bytesToBinary(encodePex(added, dropped))).toBe(
      `d5:added12:${A}${B}7:added.f2:\x02\x006:added618:${A6}8:added6.f1:\x057:dropped6:${B}8:dropped618:${A6}e`,
    )
  })

  test('with nothing to tell, all keys are there', () => {
    expect(bytesToBinary(encodePex([], []))).toBe('d5:added0:7:added.f0:6:added60:8:added6.f0:7:dropped0:8:dropped60:e')
  })

  test('what is written is read again', () => {
    expect(plain(decodePex(encodePex(added, [])))).toEqual({
      ...EMPTY,
      added: [
        ['10.0.0.1', 6881, 2],
        ['1.2.3.4', 80, 0],
      ],
      added6: [['2001:db8::1', 6881, 5]],
    })
  })
})

test('an endpoint has the same key in a message and out of one', () => {
  const message = decode(`d7:dropped6:${A}8:dropped618:${A6}e`)!
  expect(pexKey(['10.0.0.1', 6881])).toBe(message.dropped.key(0))
  expect(pexKey(['2001:db8::1', 6881])).toBe(message.dropped6.key(0))
})
