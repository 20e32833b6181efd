import { expect, test } from 'vitest'
import { crc32c } from '../../../src/core/crc32c.ts'
import { addressBytes, type Endpoint } from '../../../src/core/endpoint.ts'
import { peerPriority } from '../../../src/torrent/peer-rank.ts'

function hash(hex: string): number {
  return crc32c(Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex')))
}

test('the examples of BEP 40 come out', () => {
  expect(peerPriority(['123.213.32.10', 0], ['98.76.54.32', 0])).toBe(0xec2d7224)
  expect(peerPriority(['123.213.32.10', 0], ['123.213.32.234', 0])).toBe(0x99568189)
})

test('peers of different /16 are hashed with the last two bytes masked, lowest first', () => {
  expect(peerPriority(['230.12.123.3', 4], ['35.82.7.4', 3])).toBe(hash('23520504 e60c5101'))
})

test('peers of one /16 keep the third byte, of one /24 all four', () => {
  expect(peerPriority(['230.12.123.1', 1], ['230.12.7.255', 9])).toBe(hash('e60c0755 e60c7b01'))
  expect(peerPriority(['230.12.123.3', 1], ['230.12.123.255', 9])).toBe(hash('e60c7b03 e60c7bff'))
})

test('peers of one address are told apart by their ports', () => {
  expect(peerPriority(['230.12.123.3', 0x4d2], ['230.12.123.3', 0x12c])).toBe(hash('012c04d2'))
})

test('IPv6 keeps /48, and one byte more of what two peers share', () => {
  const a: Endpoint = ['ffff:ffff:ffff:ffff::1', 1]
  const b: Endpoint = ['ffff:ffff:ffff:ffff::2', 1]
  expect(peerPriority(a, b)).toBe(hash(Buffer.from([...addressBytes(a[0]), ...addressBytes(b[0])]).toString('hex')))
  expect(peerPriority(['2001::ffff:ffff:ffff:ffff', 1], ['2002::ffff:ffff:ffff:ffff', 1])).toBe(
    hash('20010000000000005555555555555555 20020000000000005555555555555555'),
  )
})

test('both ends compute the same', () => {
  const pairs: [Endpoint, Endpoint][] = [
    [
      ['1.2.3.4', 5],
      ['4.3.2.1', 6],
    ],
    [
      ['1.2.3.4', 5],
      ['1.2.3.4', 6],
    ],
    [
      ['::1', 5],
      ['2001:db8::5', 6],
    ],
  ]
  for (const [a, b] of pairs) expect(peerPriority(a, b)).toBe(peerPriority(b, a))
  expect(peerPriority(['1.2.3.4', 5], ['::1', 5])).toBe(0)
})
