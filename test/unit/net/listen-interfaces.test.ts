import { describe, expect, test } from 'vitest'
import { parseInterfaceNames, parseListenInterfaces } from '../../../src/net/listen-interfaces.ts'

/** `device port flags`, for short. */
function parse(text: string): { ok: string[]; errors: readonly string[] } {
  const { interfaces, errors } = parseListenInterfaces(text)
  return { ok: interfaces.map(i => `${i.device} ${i.port} ${i.ssl ? 's' : ''}${i.local ? 'l' : ''}`.trim()), errors }
}

describe('listen_interfaces', () => {
  test('is a list of devices and addresses with ports, however it is spaced', () => {
    expect(parse('  a:4,b:35, c : 1000s, d: 351 ,e \t:42,foobar:1337s\n\r,[2001::1]:6881')).toEqual({
      ok: ['a 4', 'b 35', 'c 1000 s', 'd 351', 'e 42', 'foobar 1337 s', '2001::1 6881'],
      errors: [],
    })
    expect(parse('  nic\r\n:\t 12\r s ')).toEqual({ ok: ['nic 12 s'], errors: [] })
    expect(parse('')).toEqual({ ok: [], errors: [] })
    expect(parse(' , ,')).toEqual({ ok: [], errors: [] })
  })

  test.each([
    ['127.0.0.1:6882', '127.0.0.1 6882'],
    ['127.0.0.1:0', '127.0.0.1 0'],
    ['127.0.0.1:1234s', '127.0.0.1 1234 s'],
    ['127.0.0.1:1234l', '127.0.0.1 1234 l'],
    ['127.0.0.1:1234ls', '127.0.0.1 1234 sl'],
    ['[2001:ffff::1]:6882s', '2001:ffff::1 6882 s'],
    ['[::]:0', ':: 0'],
    ['[fe80::1%eth0]:1', 'fe80::1%eth0 1'],
    ['"eth,0":6881', '"eth,0" 6881'],
    ['"eth,0:6881"', 'eth,0 6881'],
    ['eth0:65535', 'eth0 65535'],
  ])('%s', (text, expected) => expect(parse(text).ok[0]).toBe(expected))

  test.each([
    'nic:99999999999999999999999',
    'nic:65536',
    'nic:  -3',
    'nic:',
    'nic :',
    'nic',
    'nic s',
    '[aaaa::1',
    '[aaaa::1]',
    '[aaaa::1]:',
    '[aaaa::1]:s',
    '[aaaa::1] :6881',
    '"',
  ])('%s is an error, told as it was written', text => expect(parse(text)).toEqual({ ok: [], errors: [text] }))

  test('an error does not keep the others from being read', () => {
    expect(parse('foo,bar,0.0.0.0:6881')).toEqual({ ok: ['0.0.0.0 6881'], errors: ['foo', 'bar'] })
    expect(parse('[aaaa::1,foobar:0')).toEqual({ ok: ['foobar 0'], errors: ['[aaaa::1'] })
    expect(parse('"abc,.",bar')).toEqual({ ok: [], errors: ['abc,.', 'bar'] })
    expect(parse('foo:,bar')).toEqual({ ok: [], errors: ['foo:', 'bar'] })
  })
})

test('outgoing_interfaces is a list of names', () => {
  expect(parseInterfaceNames('  a,b, c, d ,e \t,foobar\n\r,[::1]')).toEqual([
    'a',
    'b',
    'c',
    'd',
    'e',
    'foobar',
    '[::1]',
  ])
  expect(parseInterfaceNames('')).toEqual([])
  expect(parseInterfaceNames('a,')).toEqual(['a'])
})
