import { describe, expect, test } from 'vitest'
import { allInSameBucket, classifyPrefix, findReplaceable, mostlyVerifiedNodes } from '../../../src/dht/bucket.ts'
import { NEVER, NOT_PINGED, NodeEntry, UNKNOWN_RTT } from '../../../src/dht/node-entry.ts'
import { fakeNode, hash } from './node-samples.ts'

const VERIFIED_ID = hash('5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401')

describe('node entry', () => {
  test('that was only heard of', () => {
    const node = new NodeEntry(VERIFIED_ID, ['124.31.75.21', 6881], 1000)
    expect([node.pinged, node.confirmed, node.failCount, node.verified]).toEqual([false, false, 0, true])
    expect([node.rtt, node.timeoutCount, node.lastQueried]).toEqual([UNKNOWN_RTT, NOT_PINGED, NEVER])
    node.timedOut()
    expect(node.failCount).toBe(0)
  })

  test('that has answered', () => {
    const node = new NodeEntry(VERIFIED_ID, ['124.31.75.22', 6881], 1000, 40, true)
    expect([node.pinged, node.confirmed, node.failCount, node.verified]).toEqual([true, true, 0, false])
    expect([node.rtt, node.lastQueried]).toEqual([40, 1000])
  })

  test('counts failures, never so many that it looks like a new one', () => {
    const node = new NodeEntry(VERIFIED_ID, ['124.31.75.21', 6881], 0, 40, true)
    node.timedOut()
    expect([node.failCount, node.confirmed]).toEqual([1, false])
    for (let i = 0; i < 300; i++) node.timedOut()
    expect([node.failCount, node.pinged]).toEqual([254, true])
  })

  test('moves its round-trip time by a third, and ignores an unknown one', () => {
    const node = new NodeEntry(VERIFIED_ID, ['124.31.75.21', 6881], 0)
    node.updateRtt(100)
    expect(node.rtt).toBe(100)
    node.updateRtt(UNKNOWN_RTT)
    expect(node.rtt).toBe(100)
    node.updateRtt(200)
    expect(node.rtt).toBe(66 + 66)
  })

  test('is better with an id bound to its address, then with a lower round-trip time', () => {
    expect(fakeNode(true, 10).betterThan(fakeNode(false, 5))).toBe(true)
    expect(fakeNode(true, 5).betterThan(fakeNode(false, 10))).toBe(true)
    expect(fakeNode(false, 10).betterThan(fakeNode(true, 5))).toBe(false)
    expect(fakeNode(false, 5).betterThan(fakeNode(true, 10))).toBe(false)
    for (const verified of [true, false]) {
      expect(fakeNode(verified, 5).betterThan(fakeNode(verified, 10))).toBe(true)
      expect(fakeNode(verified, 10).betterThan(fakeNode(verified, 5))).toBe(false)
      expect(fakeNode(verified, 5).betterThan(fakeNode(verified, 5))).toBe(false)
    }
  })

  test('packs itself for answers', () => {
    const v4 = new NodeEntry(VERIFIED_ID, ['124.31.75.21', 0x1234], 0)
    expect(Buffer.from(v4.compact()).toString('hex')).toBe(`${VERIFIED_ID}7c1f4b151234`)
    const v6 = new NodeEntry(VERIFIED_ID, ['2001:db8::1', 0xabcd], 0)
    expect(Buffer.from(v6.compact()).toString('hex')).toBe(`${VERIFIED_ID}20010db8000000000000000000000001abcd`)
  })
})

describe('networks', () => {
  const CASES: [string, string, boolean][] = [
    ['10.255.255.0', '10.255.255.255', true],
    ['11.0.0.0', '10.255.255.255', false],
    ['0.0.0.0', '128.255.255.255', false],
    ['0.0.0.0', '127.255.255.255', false],
    ['255.255.255.0', '255.255.255.255', true],
    ['255.254.255.0', '255.255.255.255', false],
    ['0.0.0.0', '0.0.0.0', true],
    ['255.255.255.255', '255.255.255.255', true],
    ['::1', '::ffff:ffff:ffff:ffff', true],
    ['::2:0:0:0:0', '::1:ffff:ffff:ffff:ffff', false],
    ['::ff:0:0:0:0', '::ffff:ffff:ffff:ffff', false],
    ['::7f:0:0:0:0', '::ffff:ffff:ffff:ffff', false],
    ['7f::', 'ff::', false],
    ['ff::', 'ff::', true],
    ['::', '::', true],
    ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', true],
  ]

  test.each(CASES)('%s and %s: %s', (a, b, near) => {
    const one = new NodeEntry(VERIFIED_ID, [a, 1], 0)
    const other = new NodeEntry(VERIFIED_ID, [b, 2], 0)
    expect(one.inNetworkOf(other)).toBe(near)
    expect(other.inNetworkOf(one)).toBe(near)
  })
})

describe('bucket', () => {
  const nodes = (flags: string) => [...flags].map(flag => fakeNode(flag === 'v'))

  test.each(['', 'v', 'v-', 'vv-', 'vvv-'])('with "%s" is mostly verified', flags => {
    expect(mostlyVerifiedNodes(nodes(flags))).toBe(true)
  })

  test.each(['v-v-v-v-v-v-', '-v-', '-', '--', '---'])('with "%s" is not', flags => {
    expect(mostlyVerifiedNodes(nodes(flags))).toBe(false)
  })

  /** `id` with a digit replaced. */
  const digit = (at: number, value: number) => {
    const id = 'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd'
    return hash(id.slice(0, at) + value.toString(16) + id.slice(at + 1))
  }

  test('tells parts of the last bucket apart by the bits that follow', () => {
    for (const bucket of [0, 8, 12]) {
      const at = bucket / 4
      for (let i = 0; i < 16; i++) {
        expect(classifyPrefix(bucket, true, 8, digit(at, i)), `${bucket} ${i}`).toBe(i >> 1)
        expect(classifyPrefix(bucket, true, 16, digit(at, i)), `${bucket} ${i}`).toBe(i)
        expect(classifyPrefix(bucket, true, 2, digit(at, i)), `${bucket} ${i}`).toBe(i >> 3)
      }
    }
  })

  test('leaves out the bit that the ids of any other bucket share', () => {
    for (let i = 0; i < 16; i++) {
      expect(classifyPrefix(12, false, 8, digit(3, i))).toBe(i & 7)
      expect(classifyPrefix(11, false, 8, digit(3, i))).toBe(i >> 1)
      expect(classifyPrefix(12, false, 256, digit(3, i))).toBe(((i & 7) << 5) | 0x19)
    }
  })

  test.each([
    [0, '8000000000000000000000000000000000000000', [], true],
    [3, '8000000000000000000000000000000000000003', [], true],
    [0, '8000000000000000000000000000000000000000', ['0000000000000000000000000000000000000000'], false],
    [
      0,
      '8000000000000000000000000000000000000000',
      ['8000000000000000000000000000000000000000', 'f000000000000000000000000000000000000000'],
      true,
    ],
    [
      0,
      '8000000000000000000000000000000000000000',
      ['8000000000000000000000000000000000000000', '0000000000000000000000000000000000000000'],
      false,
    ],
    [
      4,
      '0800000000000000000000000000000000000000',
      ['0800000000000000000000000000000000000000', '0000000000000000000000000000000000000000'],
      false,
    ],
    [
      4,
      '0800000000000000000000000000000000000000',
      ['0800000000000000000000000000000000000000', '0800000000000000000000000000000000000000'],
      true,
    ],
    [
      13,
      '0005000000000000000000000000000000000000',
      ['0007000000000000000000000000000000000000', '0004000000000000000000000000000000000000'],
      true,
    ],
  ] as [number, string, string[], boolean][])(
    'a split at bit %d of %s beside %j moves all or none: %s',
    (bit, id, others, same) => {
      const nodes = others.map(other => fakeNode(true, 0, hash(other)))
      expect(allInSameBucket(nodes, hash(id), bit)).toBe(same)
    },
  )
})

describe('replacing a node of a full bucket', () => {
  const NEW_ID = hash('9fcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd')
  const bucket = (rows: [first: string, rtt: number, timeouts?: number][]) =>
    rows.map(([first, rtt, timeouts]) => fakeNode(true, rtt, hash(first + 'f'.repeat(39)), timeouts ?? 0xff))
  const pick = (rtt: number, rows: [string, number, number?][]) =>
    findReplaceable(fakeNode(true, rtt, NEW_ID), bucket(rows), 0, 8, true)

  test('takes the place of a slower one with the same bits', () => {
    const row = ['1', '3', '5', '7', '9', 'b', 'd', 'f'].map(first => [first, 50] as [string, number])
    expect(pick(0, row)).toBe(4)
  })

  test('and of no other if that is the quicker one', () => {
    const row = ['1', '3', '5', '7', '9', 'b', 'd', 'f'].map(
      first => [first, first === '9' ? 50 : 500] as [string, number],
    )
    expect(pick(100, row)).toBe(-1)
    expect(pick(50, row)).toBe(-1)
    expect(pick(49, row)).toBe(4)
  })

  test('takes that of the slowest whose bits others have too, if nobody has its bits', () => {
    const rows: [string, number][] = [
      ['1', 900],
      ['3', 50],
      ['5', 50],
      ['7', 50],
      ['b', 50],
      ['b', 51],
      ['d', 50],
      ['f', 50],
    ]
    expect(pick(1000, rows)).toBe(5)
  })

  test('takes that of the one that failed most often, whatever its bits', () => {
    const rows: [string, number, number?][] = ['1', '3', '5', '7', '9', 'b', 'd', 'f'].map(first => [first, 50])
    rows[2] = ['5', 10, 1]
    rows[7] = ['f', 10, 2]
    expect(pick(60, rows)).toBe(7)
  })
})
