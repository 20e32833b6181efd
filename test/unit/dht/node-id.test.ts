import { describe, expect, test } from 'vitest'
import { Sha1Hash } from '../../../src/core/digest.ts'
import { randomBytes, SeededRng } from '../../../src/core/rng.ts'
import {
  byteAtBit,
  closerTo,
  distanceExp,
  generateId,
  generateIdImpl,
  generatePrefixMask,
  generateRandomId,
  minDistanceExp,
  verifyId,
} from '../../../src/dht/node-id.ts'
import { SecretIds } from '../../../src/dht/secret-id.ts'
import { hash, SampleEndpoints } from './node-samples.ts'

const rng = new SeededRng(1)

describe('distance', () => {
  test.each([
    ['ffffffffffffffffffffffffffffffffffffffff', '0000000000000000000000000000000000000000', 159],
    ['ffffffffffffffffffffffffffffffffffffffff', '7fffffffffffffffffffffffffffffffffffffff', 159],
    ['ffffffffffffffffffffffffffffffffffffffff', 'ffffffffffffffffffffffffffffffffffffffff', 0],
    ['ffffffffffffffffffffffffffffffffffffffff', 'fffffffffffffffffffffffffffffffffffffffe', 0],
    ['8000000000000000000000000000000000000000', 'fffffffffffffffffffffffffffffffffffffffe', 158],
    ['c000000000000000000000000000000000000000', 'fffffffffffffffffffffffffffffffffffffffe', 157],
    ['e000000000000000000000000000000000000000', 'fffffffffffffffffffffffffffffffffffffffe', 156],
    ['f000000000000000000000000000000000000000', 'fffffffffffffffffffffffffffffffffffffffe', 155],
    ['f8f2340985723049587230495872304958703294', 'f743589043000f023980f90e203980d090c38400', 155],
    ['ffff740985723049587230495872304958703294', 'ffff889043000f023980f90e203980d090c38400', 143],
  ])('of %s and %s is 2^%d and less than twice that', (a, b, exponent) => {
    expect(distanceExp(hash(a), hash(b))).toBe(exponent)
    expect(distanceExp(hash(b), hash(a))).toBe(exponent)
  })

  test('is the highest bit of the number that the xor of both ids is', () => {
    for (let i = 0; i < 200; i++) {
      const a = randomBytes(rng, 20)
      const b = i % 2 === 0 ? randomBytes(rng, 20) : a.slice()
      if (i % 2 === 1) b[rng.below(20)]! ^= 1 << rng.below(8)
      const d = BigInt(`0x${new Sha1Hash(a)}`) ^ BigInt(`0x${new Sha1Hash(b)}`)
      expect(distanceExp(new Sha1Hash(a), new Sha1Hash(b))).toBe(d === 0n ? 0 : d.toString(2).length - 1)
    }
  })

  test('closer is strictly closer, and equal ids are not', () => {
    const number = (id: Sha1Hash) => BigInt(`0x${id}`)
    for (let i = 0; i < 200; i++) {
      const target = generateRandomId(rng)
      const a = generateRandomId(rng)
      // ids that share all bytes but one
      const other = a.toBytes()
      other[i % 20]! ^= 1 + rng.below(255)
      const b = new Sha1Hash(other)
      const want = (number(a) ^ number(target)) < (number(b) ^ number(target))
      expect(closerTo(target, a, b)).toBe(want)
      expect(closerTo(target, b, a)).toBe(!want)
      expect(closerTo(target, a, a)).toBe(false)
    }
  })

  test('to the nearest of several ids', () => {
    const two = hash('0000000000000000000000000000000000000002')
    const four = hash('0000000000000000000000000000000000000004')
    const eight = hash('0000000000000000000000000000000000000008')
    expect(minDistanceExp(Sha1Hash.min(), [two])).toBe(1)
    expect(minDistanceExp(Sha1Hash.min(), [two, two, four])).toBe(1)
    expect(minDistanceExp(Sha1Hash.min(), [two, two, four, eight])).toBe(1)
    expect(minDistanceExp(Sha1Hash.min(), [eight, four, four])).toBe(2)
    expect(minDistanceExp(Sha1Hash.min(), [])).toBe(160)
  })
})

describe('bits', () => {
  test.each([
    [0, '0000000000000000000000000000000000000000'],
    [1, '8000000000000000000000000000000000000000'],
    [2, 'c000000000000000000000000000000000000000'],
    [8, 'ff00000000000000000000000000000000000000'],
    [11, 'ffe0000000000000000000000000000000000000'],
    [17, 'ffff800000000000000000000000000000000000'],
    [37, 'fffffffff8000000000000000000000000000000'],
    [159, 'fffffffffffffffffffffffffffffffffffffffe'],
    [160, 'ffffffffffffffffffffffffffffffffffffffff'],
  ])('a mask of %d bits', (bits, mask) => {
    expect(generatePrefixMask(bits).toString()).toBe(mask)
  })

  test('a byte that starts at any bit', () => {
    const id = generateRandomId(rng)
    const bits = `${BigInt(`0x${id}`).toString(2).padStart(160, '0')}00000000`
    for (let i = 0; i < 160; i++) {
      const want = Number.parseInt(bits.slice(i, i + 8), 2)
      expect(byteAtBit(id.view(), i)).toBe(want)
    }
  })
})

describe('ids bound to addresses (BEP 42)', () => {
  test.each([
    ['124.31.75.21', 1, '5fbfbf'],
    ['21.75.31.124', 86, '5a3ce9'],
    ['65.23.51.170', 22, 'a5d432'],
    ['84.124.73.14', 65, '1b0321'],
    ['43.213.53.83', 90, 'e56f6c'],
  ])('%s with %d', (address, r, prefix) => {
    const id = generateIdImpl(address, r, rng).view()
    const want = Buffer.from(prefix, 'hex')
    expect([id[0], id[1], id[2]! & 0xf8, id[19]]).toEqual([want[0], want[1], want[2]! & 0xf8, r])
  })

  test.each([
    ['124.31.75.21', '5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401'],
    ['21.75.31.124', '5a3ce9c14e7a08645677bbd1cfe7d8f956d53256'],
    ['65.23.51.170', 'a5d43220bc8f112a3d426c84764f8c2a1150e616'],
    ['84.124.73.14', '1b0321dd1bb1fe518101ceef99462b947a01ff41'],
    ['43.213.53.83', 'e56f6cbf5b7c4be0237986d5243b87aa6d51305a'],
    ['2001:b829:2123:be84:e16c:d6ae:5290:49f1', '0a8ad123be84e16cd6ae529049f1f1bbe9ebb304'],
  ])('of %s may be %s, but with none of the first 21 bits changed', (address, id) => {
    expect(verifyId(hash(id), address)).toBe(true)
    for (let bit = 0; bit < 24; bit++) {
      const bytes = hash(id).toBytes()
      bytes[bit >> 3]! ^= 0x80 >> (bit & 7)
      expect(verifyId(new Sha1Hash(bytes), address), `bit ${bit}`).toBe(bit >= 21)
    }
  })

  test('are right for their address and hardly ever for another', () => {
    const endpoints = new SampleEndpoints()
    let accidents = 0
    for (let i = 0; i < 500; i++) {
      const [address] = i % 2 === 0 ? endpoints.v4() : endpoints.v6()
      const id = generateId(address, rng)
      expect(verifyId(id, address)).toBe(true)
      if (verifyId(id, i % 2 === 0 ? endpoints.v6()[0] : endpoints.v4()[0])) accidents++
    }
    expect(accidents).toBe(0)
  })

  test.each(['10.0.0.1', '192.168.3.4', '172.16.1.1', '169.254.3.4', '127.0.0.1', '::1', 'fe80::1%eth0', 'fd00::1'])(
    'are not asked for on the local network: %s',
    address => {
      expect(verifyId(hash('0123456789abcdef0123456789abcdef01234567'), address)).toBe(true)
    },
  )

  test('are spread over the whole space', () => {
    const endpoints = new SampleEndpoints()
    const reference = generateId(endpoints.v4()[0], rng)
    const samples = 20_000
    const buckets = new Array<number>(160).fill(0)
    for (let i = 0; i < samples; i++) buckets[159 - distanceExp(reference, generateId(endpoints.v4()[0], rng))]!++
    for (let i = 0, want = samples / 2; i < 25; i++, want /= 2) {
      expect(Math.abs(buckets[i]! - want), `bucket ${i}`).toBeLessThan(samples / 20)
    }
  })
})

describe('secret ids', () => {
  test('are known again, and nothing else is', () => {
    const ids = new SecretIds(rng)
    const id = ids.generate()
    expect(ids.verify(id)).toBe(true)
    for (const at of [12, 15, 16, 19]) {
      const changed = id.toBytes()
      changed[at]! ^= 0x55
      expect(ids.verify(new Sha1Hash(changed)), `byte ${at}`).toBe(false)
    }
    expect(new SecretIds(rng).verify(id)).toBe(false)
  })

  test('keep the beginning of the id that is marked', () => {
    const ids = new SecretIds(rng)
    const id = generateRandomId(rng)
    const marked = ids.mark(id)
    expect(ids.verify(id)).toBe(false)
    expect(ids.verify(marked)).toBe(true)
    expect(marked.toString().slice(0, 24)).toBe(id.toString().slice(0, 24))
    expect(ids.mark(id).equals(marked)).toBe(false)
  })
})
