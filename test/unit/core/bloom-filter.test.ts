import { describe, expect, test } from 'vitest'
import { BloomFilter, countZeroBits, hasBits, hashAddress, setBits } from '../../../src/core/bloom-filter.ts'
import { textToBytes } from '../../../src/core/bytes.ts'
import { sha1 } from '../../../src/core/hash.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('bloom filter', () => {
  test('finds what was set and, while it is nearly empty, nothing else', () => {
    const [one, two, three, four] = ['test1', 'test2', 'test3', 'test4'].map(text => sha1(textToBytes(text)))
    const filter = new BloomFilter(32)
    const found = () => [one, two, three, four].map(hash => filter.find(hash!))
    expect(found()).toEqual([false, false, false, false])
    filter.set(one!)
    expect(found()).toEqual([true, false, false, false])
    filter.set(four!)
    expect(found()).toEqual([true, false, false, true])
  })

  test('sets bits by the first four bytes, two little-endian numbers', () => {
    const bits = new Uint8Array(4)
    for (let i = 0; i < 32; i += 2) {
      const hash = Uint8Array.of(i, 0, i, 0)
      expect(hasBits(hash, bits)).toBe(false)
      setBits(hash, bits)
      expect(hasBits(hash, bits)).toBe(true)
    }
    expect(hex(bits)).toBe('55555555')
    const wide = new Uint8Array(256)
    setBits(Uint8Array.of(0x01, 0x02, 0xff, 0xff), wide)
    expect([wide[0x201 >> 3], wide[255]]).toEqual([1 << 1, 0x80])
  })

  test('needs both bits', () => {
    const bits = new Uint8Array(4)
    setBits(Uint8Array.of(3, 0, 3, 0), bits)
    expect(hasBits(Uint8Array.of(3, 0, 4, 0), bits)).toBe(false)
    expect(hasBits(Uint8Array.of(4, 0, 3, 0), bits)).toBe(false)
  })

  test('counts zeros', () => {
    const bits = Uint8Array.of(0x00, 0xff, 0x55, 0xaa)
    expect(countZeroBits(bits)).toBe(16)
    setBits(Uint8Array.of(4, 0, 4, 0), bits)
    expect(countZeroBits(bits)).toBe(15)
    expect(hex(bits)).toBe('10ff55aa')
  })

  test('is made of bytes, and gives bytes, without sharing them', () => {
    const bits = Uint8Array.of(0x10, 0xff, 0x55, 0xaa)
    const filter = new BloomFilter(bits)
    const hash = Uint8Array.of(1, 0, 2, 0)
    expect(hex(filter.toBytes())).toBe('10ff55aa')
    expect(filter.find(hash)).toBe(false)
    filter.set(hash)
    expect(filter.find(hash)).toBe(true)
    expect(hex(filter.toBytes())).toBe('16ff55aa')
    expect(hex(bits)).toBe('10ff55aa')
    filter.toBytes().fill(0)
    expect(filter.find(hash)).toBe(true)
  })

  test('of all ones still has a size, and an empty one nearly none', () => {
    expect(new BloomFilter(new Uint8Array(256).fill(0xff)).size()).toBeGreaterThan(7000)
    expect(new BloomFilter(256).size()).toBeCloseTo(0.5)
  })

  test('of 256 IPv4 and 1000 IPv6 addresses is that of BEP 33', () => {
    const filter = new BloomFilter(256)
    for (let i = 0; i < 256; i++) filter.set(hashAddress(`192.0.2.${i}`))
    expect(filter.size()).toBeCloseTo(257.8546, 4)
    expect(hex(filter.toBytes()).slice(0, 64)).toBe('24c0004020043000102012743e00480037110820422110008000c0e302854835')
    for (let i = 0; i < 1000; i++) filter.set(hashAddress(i === 0 ? '2001:db8::' : `2001:db8::${i.toString(16)}`))
    expect(filter.size()).toBeCloseTo(1224.93089, 5)
    expect(hex(filter.toBytes())).toBe(
      'f6c3f5eaa07ffd91bde89f777f26fb2bff37bdb8fb2bbaa2fd3ddde7bacfff75ee7ccbaefe5eedb1fbfaff67f6abff5e' +
        '43ddbca3fd9b9ffdf4ffd3e9dff12d1bdf59db53dbe9fa5b7ff3b8fdfcde1afb8bedd7be2f3ee71ebbbfe93bcdeefe14' +
        '8246c2bc5dbff7e7efdcf24fd8dc7adffd8fffdfddfff7a4bbeedf5cb95ce81fc7fcff1ff4ffffdfe5f7fdcbb7fd79b3' +
        'fa1fc77bfe07fff905b7b7ffc7fefeffe0b8370bb0cd3f5b7f2bd93feb4386cfdd6f7fd5bfaf2e9ebffffeecd67adbf7' +
        'c67f17efd5d75eba6ffeba7fff47a91eb1bfbb53e8abfb5762abe8ff237279bfefbfeef5ffc5febfdfe5adffadfee1fb' +
        '737ffffbfd9f6aeffeee76b6fd8f72ef',
    )
  })
})
