import { describe, expect, test } from 'vitest'
import { bencode } from '../../../src/bencode/bencode.ts'
import { bytesToText, textToBytes } from '../../../src/core/bytes.ts'
import { ed25519CreateKeypair, ed25519CreateSeed } from '../../../src/core/ed25519.ts'
import {
  canonicalString,
  Item,
  itemTargetId,
  mutableItemTargetId,
  signMutableItem,
  verifyMutableItem,
} from '../../../src/dht/item.ts'

const hex = (b: Uint8Array) => Buffer.from(b).toString('hex')
const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))
const NO_SALT = new Uint8Array(0)

/** Of BEP 44. */
const PUBLIC_KEY = bytes('77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548')
const SECRET_KEY = bytes(
  'e06d3183d14159228433ed599221b80bd0a5ce8352e4bdf0262f76786ef1c74d' +
    'b7e7a9fea2c0eb269d61e3b38e450a22e754941ac78479d6c54e1faf6037881d',
)
const VALUE = textToBytes('12:Hello World!')
const FOOBAR = textToBytes('foobar')

describe('test vectors of BEP 44', () => {
  test('1: mutable', () => {
    expect(bytesToText(canonicalString(VALUE, NO_SALT, 1))).toBe('3:seqi1e1:v12:Hello World!')
    const signature = signMutableItem(VALUE, NO_SALT, 1, PUBLIC_KEY, SECRET_KEY)
    expect(hex(signature)).toBe(
      '305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff' +
        '1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01',
    )
    expect(verifyMutableItem(VALUE, NO_SALT, 1, PUBLIC_KEY, signature)).toBe(true)
    expect(mutableItemTargetId(NO_SALT, PUBLIC_KEY).toString()).toBe('4a533d47ec9c7d95b1ad75f576cffc641853b750')
  })

  test('2: mutable with salt', () => {
    expect(bytesToText(canonicalString(VALUE, FOOBAR, 1))).toBe('4:salt6:foobar3:seqi1e1:v12:Hello World!')
    const signature = signMutableItem(VALUE, FOOBAR, 1, PUBLIC_KEY, SECRET_KEY)
    expect(hex(signature)).toBe(
      '6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d' +
        'df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08',
    )
    expect(verifyMutableItem(VALUE, FOOBAR, 1, PUBLIC_KEY, signature)).toBe(true)
    expect(mutableItemTargetId(FOOBAR, PUBLIC_KEY).toString()).toBe('411eba73b6f087ca51a3795d9c8c938d365e32c1')
  })

  test('3: immutable', () => {
    expect(itemTargetId(VALUE).toString()).toBe('e5f96f6f38320f0f33959cb4d3d656452117aadb')
  })
})

test('a signature is over value, salt and version', () => {
  const signature = signMutableItem(VALUE, FOOBAR, 7, PUBLIC_KEY, SECRET_KEY)
  const verify = (v: Uint8Array, salt: Uint8Array, seq: number | bigint) =>
    verifyMutableItem(v, salt, seq, PUBLIC_KEY, signature)
  expect(verify(VALUE, FOOBAR, 7)).toBe(true)
  expect(verify(VALUE, FOOBAR, 7n)).toBe(true)
  expect(verify(textToBytes('12:Hello world!'), FOOBAR, 7)).toBe(false)
  expect(verify(VALUE, textToBytes('foobaz'), 7)).toBe(false)
  expect(verify(VALUE, NO_SALT, 7)).toBe(false)
  expect(verify(VALUE, FOOBAR, 8)).toBe(false)
})

describe('item', () => {
  test('is empty at first', () => {
    const item = new Item()
    expect([item.isEmpty, item.isMutable, item.value, item.encoded, item.seq]).toEqual([true, false, null, null, 0])
    expect(() => item.target()).toThrow(/no target/)
  })

  test('that is immutable has the exact bytes it was found as', () => {
    const encoded = textToBytes('d1:bi1e1:ai2ee')
    const item = new Item()
    item.setImmutable(encoded)
    encoded.fill(0)
    expect([item.isEmpty, item.isMutable]).toEqual([false, false])
    expect(bytesToText(item.encoded!)).toBe('d1:bi1e1:ai2ee')
    expect({ ...(item.value as object) }).toEqual({ a: 2, b: 1 })
    expect(item.target()).toEqual(itemTargetId(textToBytes('d1:bi1e1:ai2ee')))
    item.clear()
    expect([item.isEmpty, item.value]).toEqual([true, null])
  })

  test('that is immutable is made of a value', () => {
    const item = Item.ofValue({ a: [1, 'two'] })
    expect(bytesToText(item.encoded!)).toBe('d1:ali1e3:twoee')
  })

  test('that is to be found by its key knows its target', () => {
    const item = Item.ofKey(PUBLIC_KEY, FOOBAR)
    expect([item.isEmpty, item.isMutable]).toEqual([true, true])
    expect(item.target().toString()).toBe('411eba73b6f087ca51a3795d9c8c938d365e32c1')
  })

  test('that is mutable is signed, and taken by others only with that signature', () => {
    const [pk, sk] = ed25519CreateKeypair(ed25519CreateSeed())
    const item = new Item()
    item.sign('Hello World!', FOOBAR, 2n ** 60n, pk, sk)
    expect([item.isMutable, item.seq, hex(item.publicKey), hex(item.salt)]).toEqual([
      true,
      2n ** 60n,
      hex(pk),
      hex(FOOBAR),
    ])
    expect(bytesToText(item.encoded!)).toBe('12:Hello World!')
    const other = Item.ofKey(pk, FOOBAR)
    expect(other.setVerified(item.encoded!, FOOBAR, 5, pk, item.signature)).toBe(false)
    expect(other.isEmpty).toBe(true)
    expect(other.setVerified(item.encoded!, FOOBAR, 2n ** 60n, pk, item.signature)).toBe(true)
    expect(other.value).toEqual(textToBytes('Hello World!'))
    expect(hex(other.signature)).toBe(hex(item.signature))
    expect(other.setVerified(VALUE, FOOBAR, 5, pk, new Uint8Array(64))).toBe(false)
    expect(other.seq).toBe(2n ** 60n)
  })

  test('does not share bytes with whom it got them from', () => {
    const salt = FOOBAR.slice()
    const value = VALUE.slice()
    const key = PUBLIC_KEY.slice()
    const signature = signMutableItem(value, salt, 3, key, SECRET_KEY)
    const item = new Item()
    item.setMutable(value, salt, 3, key, signature)
    for (const given of [salt, value, key, signature]) given.fill(0)
    expect(verifyMutableItem(item.encoded!, item.salt, item.seq, item.publicKey, item.signature)).toBe(true)
  })

  test('has at most 1000 bytes', () => {
    expect(Item.ofValue('x'.repeat(996)).encoded).toHaveLength(1000)
    expect(() => Item.ofValue('x'.repeat(997))).toThrow('a DHT item has at most 1000 bytes, not 1001')
    expect(() => new Item().sign(bencode('x'.repeat(1000)), NO_SALT, 1, PUBLIC_KEY, SECRET_KEY)).toThrow(RangeError)
  })
})
