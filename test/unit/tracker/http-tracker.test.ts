import { describe, expect, test } from 'vitest'
import { ProxyType, TrackerEvent } from '../../../src/core/enums.ts'
import { ErrorCode, libtorrentError, NetdbErrors, netdbCategory } from '../../../src/core/error-code.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import { Operation } from '../../../src/core/operation.ts'
import { FakeSocket, World } from './fakes.ts'

const OK = 'd8:intervali600e5:peers6:\x01\x02\x03\x04\x00\x50e'

describe('an HTTP request', () => {
  test('brings the answer, with the intervals not below min_announce_interval', () => {
    const world = new World()
    const requester = world.queue()
    expect(world.requests.length).toBe(1)
    world.answer(0, 'd8:intervali1e5:peers6:\x01\x02\x03\x04\x00\x50e')
    expect(requester.log).toEqual(['response'])
    expect(requester.ips).toEqual(['2.2.2.2'])
    expect(requester.responses[0]).toMatchObject({ interval: 300, peers4: [['1.2.3.4', 80]] })
    expect(world.manager.isEmpty).toBe(true)
    expect(world.sentTotal).toBeGreaterThan(100)
    expect(world.receivedTotal).toBeGreaterThan(100)
  })

  test('may be answered in pieces', () => {
    const world = new World()
    const requester = world.queue()
    const { sink } = world.requests[0]!
    sink.onHead({ status: 200, statusText: 'OK', headers: {}, url: '', remoteAddress: '' })
    const buffer = new Uint8Array(1)
    for (const c of OK) {
      buffer[0] = c.charCodeAt(0)
      sink.onData(buffer)
    }
    sink.onEnd()
    expect(requester.responses[0]?.peers4).toEqual([['1.2.3.4', 80]])
    expect(requester.ips).toEqual([null])
  })

  test('tells a warning before the answer it came with', () => {
    const world = new World()
    const requester = world.queue()
    world.answer(0, 'd5:peers0:15:warning message5:carefe')
    expect(requester.log).toEqual(['warning caref', 'response'])
  })

  test.each([
    ['d14:failure reason4:teste', 'error tracker sent a failure message | bittorrent | test | 1800'],
    ['d14:failure reason2:no8:intervali7200ee', 'error tracker sent a failure message | bittorrent | no | 7200'],
    ['d14:failure reason2:no8:retry in1:9e', 'error tracker sent a failure message | bittorrent | no | 540'],
    ['d14:failure reason2:no8:retry in5:nevere', 'error tracker sent a failure message | bittorrent | no | Infinity'],
    ['d5:peers5:aaaaae', "error missing or invalid 'peers' and 'peers6' entry | bittorrent |  | 1800"],
    ['i1e', 'error invalid tracker response | bittorrent |  | 1800'],
    ['?', 'error expected value (list, dict, int or string) in bencoded string | bittorrent |  | 1800'],
    ['', 'error unexpected end of file in bencoded string | bittorrent |  | 1800'],
  ])('with the answer %s fails', (body, line) => {
    const world = new World()
    const requester = world.queue()
    world.answer(0, body)
    expect(requester.log).toEqual([line])
  })

  test('fails with the status of the answer, whatever else it says', () => {
    for (const status of [404, 410, 500, 204, 302]) {
      const world = new World()
      const requester = world.queue()
      world.answer(0, OK, status)
      expect(requester.errors[0]?.value()).toBe(status)
      expect(requester.errors[0]?.category().name()).toBe('http')
      expect(world.requests[0]?.aborted).toBe(true)
    }
    const world = new World()
    const requester = world.queue()
    world.answer(0, '', 404, 'Not Here')
    expect(requester.log).toEqual(['error 404 Not Found | bittorrent | Not Here | 0'])
  })

  test('fails when the connection does', () => {
    const world = new World()
    const requester = world.queue()
    world.requests[0]?.sink.onError(new ErrorCode(NetdbErrors.hostNotFound, netdbCategory()), Operation.hostnameLookup)
    expect(requester.log).toEqual(['error Host not found (authoritative) | sock_read |  | 0'])
    expect(world.manager.isEmpty).toBe(true)
  })

  test('fails after tracker_completion_timeout, an announce of stopped after stop_tracker_timeout', () => {
    const world = new World()
    const slow = world.queue()
    const stopped = world.queue({ event: TrackerEvent.stopped })
    world.pass(4.5)
    expect(stopped.log).toEqual([])
    world.pass(0.5)
    expect(stopped.log).toEqual(['error timed out | sock_read |  | 0'])
    world.pass(24.5)
    expect(slow.log).toEqual([])
    world.pass(0.5)
    expect(slow.log).toEqual(['error timed out | sock_read |  | 0'])
    expect(world.requests.every(r => r.aborted)).toBe(true)
  })

  test('a trickle of bytes does not keep it alive', () => {
    const world = new World()
    const requester = world.queue()
    const { sink } = world.requests[0]!
    sink.onHead({ status: 200, statusText: 'OK', headers: {}, url: '', remoteAddress: '' })
    for (let i = 0; i < 100; i++) {
      sink.onData(new Uint8Array([0x64]))
      world.pass(0.5)
    }
    expect(requester.log).toHaveLength(1)
  })

  test('ends when the answer exceeds what may be received', () => {
    const world = new World({ trackerMaximumResponseLength: 1000 })
    const requester = world.queue()
    expect(world.requests[0]?.options.maxBodyBytes).toBe(1000)
    const { sink } = world.requests[0]!
    sink.onHead({ status: 200, statusText: 'OK', headers: {}, url: '', remoteAddress: '' })
    sink.onData(new Uint8Array(600))
    sink.onData(new Uint8Array(600))
    sink.onData(new Uint8Array(600))
    sink.onEnd()
    expect(requester.log[0]).toContain('File too large | sock_read')
    expect(requester.log).toHaveLength(1)
  })

  test.each([
    ['http://[::1/announce', LibtorrentErrors.expectedCloseBracketInAddress],
    ['http:///announce', LibtorrentErrors.invalidHostname],
    ['http://host:99999/announce', LibtorrentErrors.invalidPort],
    ['http:host', LibtorrentErrors.unsupportedUrlProtocol],
    ['ftp://host/announce', LibtorrentErrors.unsupportedUrlProtocol],
    ['wss://host/announce', LibtorrentErrors.unsupportedUrlProtocol],
    ['garbage', LibtorrentErrors.unsupportedUrlProtocol],
    ['', LibtorrentErrors.unsupportedUrlProtocol],
    ['http://1.2.3.4.5.6.7:80/announce', LibtorrentErrors.urlParseError],
  ])('to %s fails, but not before the call that queued it has returned', (url, error) => {
    const world = new World()
    const requester = world.queue({ url })
    expect(requester.log).toEqual([])
    world.settle()
    expect(requester.errors.map(e => e.value())).toEqual([error])
    expect(world.manager.isEmpty).toBe(true)
    expect(world.requests).toEqual([])
  })

  test('of a scrape without a scrape address fails', () => {
    const world = new World()
    const requester = world.queue({ scrape: true, url: 'http://host/a' })
    world.settle()
    expect(requester.errors[0]?.is(LibtorrentErrors.scrapeNotAvailable)).toBe(true)
  })

  test('from a listen socket that was closed fails', () => {
    const world = new World()
    const socket = new FakeSocket()
    socket.open = false
    const requester = world.queue({ socket })
    world.settle()
    expect(requester.errors[0]?.is(LibtorrentErrors.invalidListenSocket)).toBe(true)
  })

  test('brings the numbers of a scrape', () => {
    const world = new World()
    const requester = world.queue({ scrape: true })
    expect(world.requests[0]?.options.url).toContain('/scrape?info_hash=')
    world.answer(0, 'd5:filesd20:ababababababababababd8:completei1e10:downloadedi3e10:incompletei2eeee')
    expect(requester.log).toEqual(['scrape 1 2 3 -1'])
  })
})

describe('what the HTTP client is told', () => {
  const options = (over = {}, settings = {}) => {
    const world = new World(settings)
    world.queue(over)
    return world.requests[0]!.options
  }

  test('the user agent of the settings, none if empty, an inconspicuous one for anonymous sessions', () => {
    expect(options({}, { userAgent: 'me/1' }).headers).toEqual({ 'user-agent': 'me/1' })
    expect(options({}, { userAgent: '' }).headers).toEqual({})
    expect(options({}, { anonymousMode: true }).headers?.['user-agent']).toBe('curl/7.81.0')
    const priv = options({ privateTorrent: true }, { anonymousMode: true, userAgent: 'me/1' })
    expect(priv.headers?.['user-agent']).toBe('me/1')
  })

  test('whether certificates are checked, and how many redirects are followed', () => {
    expect(options()).toMatchObject({ verifyCertificate: true, maxRedirects: 5, timeoutMs: 30000 })
    expect(options({}, { validateHttpsTrackers: false }).verifyCertificate).toBe(false)
  })

  test('the address of the listen socket, unless it is bound to all or a proxy is between', () => {
    const socket = new FakeSocket(['10.0.0.1', 6881])
    expect(options().localAddress).toBeNull()
    expect(options({ socket }).localAddress).toBe('10.0.0.1')
    expect(
      options({ socket }, { proxyType: ProxyType.socks5, proxyHostname: 'p', proxyPort: 1 }).localAddress,
    ).toBeNull()
  })

  test('the proxy, if trackers go through it', () => {
    const proxy = {
      proxyType: ProxyType.httpPw,
      proxyHostname: 'p',
      proxyPort: 8080,
      proxyUsername: 'u',
      proxyPassword: 's',
    }
    expect(options().proxy).toBeNull()
    expect(options({}, proxy).proxy).toEqual({
      type: ProxyType.httpPw,
      hostname: 'p',
      port: 8080,
      username: 'u',
      password: 's',
    })
    expect(options({}, { ...proxy, proxyTrackerConnections: false }).proxy).toBeNull()
  })

  test('the port of the settings, of the listen socket, or else 1', () => {
    const socket = new FakeSocket()
    socket.listenPort = 0
    expect(options().url).toContain('&port=6881&')
    expect(options({ socket }).url).toContain('&port=1&')
    expect(options({}, { announcePort: 4242 }).url).toContain('&port=4242&')
  })
})

describe('addresses and hosts that are refused', () => {
  const start = (over = {}, settings = {}) => {
    const world = new World(settings)
    const requester = world.queue(over)
    const { options, sink } = world.requests[0]!
    const filter = (addresses: string[], url = options.url) => {
      const left = options.filterAddresses!(addresses, new URL(url))
      if (left instanceof ErrorCode) sink.onError(left, Operation.connect)
      return left
    }
    return { requester, options, sink, filter }
  }

  test('those that cannot be reached from the listen socket', () => {
    const one = start()
    expect(one.filter(['::1', '2.2.2.2'])).toEqual(['2.2.2.2'])
    const none = start()
    none.filter(['2001:db8::1'])
    expect(none.requester.errors[0]?.is(LibtorrentErrors.announceSkipped)).toBe(true)
  })

  test('this machine, unless the path is that of an announce', () => {
    const url = 'http://host/admin'
    const refused = start({ url })
    refused.filter(['127.0.0.1'])
    expect(refused.requester.errors[0]?.is(LibtorrentErrors.ssrfMitigation)).toBe(true)
    expect(start({ url }).filter(['127.0.0.1', '2.2.2.2'])).toEqual(['2.2.2.2'])
    expect(start().filter(['127.0.0.1'])).toEqual(['127.0.0.1'])
    expect(start({ url }, { ssrfMitigation: false }).filter(['127.0.0.1'])).toEqual(['127.0.0.1'])
    expect(start({ scrape: true }).filter(['127.0.0.1'])).toEqual(['127.0.0.1'])
    expect(start().filter(['127.0.0.1'], 'http://localhost/scrape')).toBeInstanceOf(ErrorCode)
    const redirected = start()
    expect(redirected.filter(['127.0.0.1'], 'http://localhost/admin')).toBeInstanceOf(ErrorCode)
  })

  test('those that the IP filter blocks', () => {
    const isBlocked = (address: string) => address === '6.6.6.6'
    expect(start({ isBlocked }).filter(['6.6.6.6', '2.2.2.2'])).toEqual(['2.2.2.2'])
    const none = start({ isBlocked })
    none.filter(['6.6.6.6'])
    expect(none.requester.errors[0]?.is(LibtorrentErrors.bannedByIpFilter)).toBe(true)
  })

  test('internationalised names, unless allowed', () => {
    const { options, sink, requester } = start()
    expect(options.filterUrl!(new URL('http://example.com/'))).toBeNull()
    const error = options.filterUrl!(new URL('http://xn--foo.com/'))
    expect(error?.is(LibtorrentErrors.blockedByIdna)).toBe(true)
    sink.onError(libtorrentError(LibtorrentErrors.blockedByIdna), Operation.unknown)
    expect(requester.log[0]).toContain('| sock_read |')
    expect(start({}, { allowIdna: true }).options.filterUrl!(new URL('http://xn--foo.com/'))).toBeNull()
  })
})
