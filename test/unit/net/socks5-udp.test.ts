import { describe, expect, test } from 'vitest'
import { bytesToHex, hexToBytes } from '../../../src/core/bytes.ts'
import { unwrapRelayed, wrapForRelay, wrapForRelayByName } from '../../../src/net/socks5-udp.ts'

const PAYLOAD = Uint8Array.of(0xaa, 0xbb)
const V6 = '20010db8000000000000000000000001'

function unwrap(hex: string): string | null {
  const relayed = unwrapRelayed(hexToBytes(hex.replaceAll(' ', ''))!)
  return relayed === null ? null : `${relayed.from?.join(' ') ?? 'by name'} ${bytesToHex(relayed.payload)}`
}

describe('the header of relayed packets', () => {
  test('has the address to send on to', () => {
    expect(bytesToHex(wrapForRelay(['1.2.3.4', 6969], PAYLOAD))).toBe(
      '000000 01 01020304 1b39 aabb'.replaceAll(' ', ''),
    )
    expect(bytesToHex(wrapForRelay(['2001:db8::1', 80], PAYLOAD))).toBe(`00000004${V6}0050aabb`)
  })

  test('has a name where the proxy is to look it up; an address in text is an address', () => {
    const hex = (host: string) => bytesToHex(wrapForRelayByName(host, 80, PAYLOAD)!)
    expect(hex('t.ex')).toBe('000000 03 04 742e6578 0050 aabb'.replaceAll(' ', ''))
    expect(hex('1.2.3.4')).toBe('000000 01 01020304 0050 aabb'.replaceAll(' ', ''))
    expect(hex('2001:DB8::1')).toBe(`00000004${V6}0050aabb`)
    expect(hex('a'.repeat(255))).toHaveLength(2 * (4 + 1 + 255 + 2 + 2))
    expect(wrapForRelayByName('a'.repeat(256), 80, PAYLOAD)).toBe(null)
  })

  test('tells who sent the packet', () => {
    expect(unwrap('000000 01 01020304 1b39 aabb')).toBe('1.2.3.4 6969 aabb')
    expect(unwrap(`000000 04 ${V6} 0050 aa`)).toBe('2001:db8::1 80 aa')
    expect(unwrap('000000 03 04 742e6578 0050 aa')).toBe('by name aa')
    expect(unwrap(`000000 03 07 ${Buffer.from('1.2.3.4').toString('hex')} 0050 aa`)).toBe('1.2.3.4 80 aa')
    expect(unwrap('000000 03 00 0050 aa')).toBe('by name aa')
    expect(unwrap('ffff00 01 01020304 1b39 aabb')).toBe('1.2.3.4 6969 aabb')
  })

  test('survives wrapping and unwrapping', () => {
    for (const to of [['9.8.7.6', 65535] as const, ['2001:db8::7', 1] as const]) {
      const relayed = unwrapRelayed(wrapForRelay(to, PAYLOAD))!
      expect(relayed.from).toEqual(to)
      expect(relayed.payload).toEqual(PAYLOAD)
    }
  })

  test.each([
    ['000000 01 01020304 1b39 aa', 'IPv4'],
    [`000000 04 ${V6} 0050 aa`, 'IPv6'],
    ['000000 03 04 742e6578 0050 aa', 'a name'],
  ])('cut anywhere it is dropped: %s', hex => {
    const whole = hex.replaceAll(' ', '')
    expect(unwrap(whole)).not.toBe(null)
    for (let length = 0; length < whole.length; length += 2) expect(unwrap(whole.slice(0, length))).toBe(null)
  })

  test.each([
    ['000001 01 01020304 1b39 aabb', 'a first fragment'],
    ['000081 01 01020304 1b39 aabb', 'a last fragment'],
    ['000000 00 01020304 1b39 aabb', 'no form of address'],
    ['000000 02 01020304 1b39 aabb', 'an unknown form'],
    ['000000 ff 01020304 1b39 aabb', 'an unknown form'],
    ['000000 03 ff 742e6578 0050 aa', 'a name longer than the packet'],
  ])('%s is dropped: %s', hex => {
    expect(unwrap(hex)).toBe(null)
  })
})
