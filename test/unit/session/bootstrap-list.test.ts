import { expect, test } from 'vitest'
import { parseHostPorts } from '../../../src/session/bootstrap-list.ts'

test.each<[string, [string, number][]]>([
  ['', []],
  ['dht.libtorrent.org:25401', [['dht.libtorrent.org', 25401]]],
  [
    ' router.example:1 ,10.0.0.1 : 2,\tother.example:65535',
    [
      ['router.example', 1],
      ['10.0.0.1', 2],
      ['other.example', 65535],
    ],
  ],
  ['[2001:db8::1]:6881', [['2001:db8::1', 6881]]],
  ['no-port,:5,host:,host:0,host:65536,host:x, ,', []],
  ['host:80x', [['host', 80]]],
])('%j', (text, expected) => {
  expect(parseHostPorts(text)).toEqual(expected)
})
