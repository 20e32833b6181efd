import { expect, test } from 'vitest'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import { hasAnnounceArguments, isError, isIdna, parseUrl, urlProtocol } from '../../../src/tracker/tracker-url.ts'

const parts = (url: string) => {
  const out = parseUrl(url)
  return isError(out) ? out.value() : [out.protocol, out.auth, out.hostname, out.port, out.path]
}

test.each([
  ['http://foo:bar@host.com:80/path/to/file', ['http', 'foo:bar', 'host.com', 80, '/path/to/file']],
  ['http://host.com/path/to/file', ['http', '', 'host.com', -1, '/path/to/file']],
  ['ftp://host.com:21/path', ['ftp', '', 'host.com', 21, '/path']],
  ['http://192.168.0.1/a:b', ['http', '', '192.168.0.1', -1, '/a:b']],
  ['http://[2001:ff00::1]:42/p', ['http', '', '2001:ff00::1', 42, '/p']],
  ['http://[::1]', ['http', '', '::1', -1, '/']],
  ['http://192.168.0.1/path/to@/file', ['http', '', '192.168.0.1', -1, '/path/to@/file']],
  ['http://host.com?a=b', ['http', '', 'host.com', -1, '/?a=b']],
  ['udp://tracker:6969', ['udp', '', 'tracker', 6969, '/']],
  ['  http://host/', ['http', '', 'host', -1, '/']],
])('%s is taken apart', (url, expected) => {
  expect(parts(url)).toEqual(expected)
})

test.each([
  ['asdasd', LibtorrentErrors.unsupportedUrlProtocol],
  ['http:/host', LibtorrentErrors.unsupportedUrlProtocol],
  ['http://[2001:ff00::1/p', LibtorrentErrors.expectedCloseBracketInAddress],
  ['http:///path', LibtorrentErrors.invalidHostname],
  ['http://ho st/', LibtorrentErrors.invalidHostname],
  ['http://ho\r\nst/', LibtorrentErrors.invalidHostname],
  ['http://hämster/', LibtorrentErrors.invalidHostname],
  ['http://host:abc/', LibtorrentErrors.invalidPort],
  ['http://host:65536/', LibtorrentErrors.invalidPort],
  ['http://host:-1/', LibtorrentErrors.invalidPort],
])('%s is refused', (url, error) => {
  expect(parts(url)).toBe(error)
})

test('internationalised names are recognised in every label', () => {
  for (const name of ['xn--foo-bar', 'a.xn--b.c', 'XN--x', 'a.b.Xn--c']) expect(isIdna(name), name).toBe(true)
  for (const name of ['foo', 'axn--b', 'xn-a', 'a.b.c', '']) expect(isIdna(name), name).toBe(false)
})

test('parameters of an announce are recognised by their whole name', () => {
  expect(hasAnnounceArguments('a=1&info_hash=2')).toBe(true)
  expect(hasAnnounceArguments('Event')).toBe(true)
  expect(hasAnnounceArguments('passkey=1&airport=2&portal=3')).toBe(false)
  expect(hasAnnounceArguments('')).toBe(false)
})

test('the protocol is what stands before the first colon', () => {
  expect(urlProtocol('UDP://x')).toBe('udp')
  expect(urlProtocol('nonsense')).toBe('')
})
