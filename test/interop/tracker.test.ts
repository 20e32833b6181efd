import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:dgram'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Sha1Hash } from '../../src/core/digest.ts'
import { ProtocolVersion, TrackerEvent } from '../../src/core/enums.ts'
import { LibtorrentErrors } from '../../src/core/error-table.ts'
import type { TrackerRequest } from '../../src/tracker/announce-request.ts'
import { type Opentracker, startOpentracker } from './lib/opentracker.ts'
import { type HostSocket, TrackerHost } from './lib/tracker-host.ts'

interface PackageTracker {
  readonly http: Server
  readonly udp4: Socket
  readonly udp6: Socket
  on(event: 'error', listener: () => void): void
  listen(port: number, hostname: Record<string, string>, done: () => void): void
  close(done: () => void): void
}

// bytes of every kind, so that escaping matters
const HASH = new Sha1Hash(Uint8Array.from({ length: 20 }, (_, i) => (i * 37 + 200) & 255))
const UNKNOWN = new Sha1Hash(new Uint8Array(20).fill(7))

let host: TrackerHost
let v4: HostSocket
let other: HostSocket
let v6: HostSocket

beforeAll(async () => {
  host = new TrackerHost({ minAnnounceInterval: 1 })
  v4 = await host.bind('127.0.0.1', 6881)
  other = await host.bind('127.0.0.1', 6882)
  v6 = await host.bind('::1', 6883)
})

afterAll(async () => {
  await host.close()
})

function request(url: string, socket: HostSocket, over: Partial<TrackerRequest> = {}): TrackerRequest {
  return {
    url,
    trackerId: '',
    scrape: false,
    highPriority: false,
    event: TrackerEvent.started,
    infoHash: HASH,
    version: ProtocolVersion.V1,
    peerId: new Uint8Array([...Buffer.from('-LT2100-'), ...randomBytes(12)]),
    downloaded: 0,
    uploaded: 0,
    left: 100,
    corrupt: 0,
    redundant: 0,
    key: 1,
    numWant: 50,
    ipv4: [],
    ipv6: [],
    socket,
    privateTorrent: false,
    triggeredManually: false,
    isBlocked: null,
    ...over,
  }
}

/** A seed and a leech meet, are counted, and leave. */
async function meet(url: string, seedAt: HostSocket, leechAt: HostSocket, infoHash = HASH): Promise<void> {
  const seed = request(url, seedAt, { left: 0, infoHash })
  const leech = request(url, leechAt, { infoHash })
  const first = await host.ask(seed)
  expect(first.error, first.message).toBeNull()
  const second = await host.ask(leech)
  const { response } = second
  expect(response).not.toBeNull()
  const found = [...response!.peers4, ...response!.peers6].map(endpoint => endpoint.join(' '))
  expect(found).toContain(`${seedAt.local[0]} ${seedAt.listenPort}`)
  expect(response).toMatchObject({ complete: 1, incomplete: 1 })
  expect(response!.interval).toBeGreaterThan(0)
  expect(second.trackerIp).toBe(leechAt.local[0])

  const scraped = await host.ask({ ...leech, scrape: true, event: TrackerEvent.none })
  expect(scraped.scrape?.slice(0, 2), scraped.error?.message()).toEqual([1, 1])

  const done = await host.ask({ ...leech, left: 0, event: TrackerEvent.completed })
  expect(done.error).toBeNull()
  const again = await host.ask({ ...leech, scrape: true, event: TrackerEvent.none })
  expect(again.scrape?.slice(0, 2)).toEqual([2, 0])

  for (const each of [seed, leech]) await host.ask({ ...each, event: TrackerEvent.stopped, numWant: 0 })
  const empty = await host.ask({ ...leech, scrape: true, event: TrackerEvent.none })
  if (empty.error === null) expect(empty.scrape?.slice(0, 2)).toEqual([0, 0])
}

describe('opentracker', () => {
  let tracker: Opentracker

  beforeAll(async () => {
    tracker = await startOpentracker({ infoHashes: [HASH.toString()] })
  })

  afterAll(async () => {
    await tracker.stop()
  })

  test('brings peers together over HTTP', async () => {
    await meet(tracker.httpUrl, v4, other)
  })

  test('brings peers together over UDP', async () => {
    await meet(tracker.udpUrl, v4, other)
  })

  test('refuses an info-hash it does not know, in its own words', async () => {
    const http = await host.ask(request(tracker.httpUrl, v4, { infoHash: UNKNOWN }))
    expect(http.error?.is(LibtorrentErrors.trackerFailure)).toBe(true)
    expect(http.message).toContain('not authorized')
  })

  test('is not asked from an IPv6 socket', async () => {
    for (const url of [tracker.httpUrl, tracker.udpUrl]) {
      const outcome = await host.ask(request(url, v6))
      expect(outcome.error?.is(LibtorrentErrors.announceSkipped), outcome.error?.message()).toBe(true)
    }
  })
})

describe('the tracker of the bittorrent-tracker package', () => {
  let server: PackageTracker
  const urls: Record<string, string> = {}

  beforeAll(async () => {
    // its main entry would load the WebRTC client, and it has no types
    const { default: TrackerServer } = (await import('bittorrent-tracker/server' as string)) as {
      default: new (options: Record<string, boolean>) => PackageTracker
    }
    server = new TrackerServer({ udp: true, http: true, ws: false, stats: false })
    server.on('error', () => {})
    await new Promise<void>(resolve => server.listen(0, { http: '::', udp: '127.0.0.1', udp6: '::1' }, () => resolve()))
    const port = (at: Server | Socket) => (at.address() as AddressInfo).port
    urls['http4'] = `http://127.0.0.1:${port(server.http)}/announce`
    urls['http6'] = `http://[::1]:${port(server.http)}/announce`
    urls['udp4'] = `udp://127.0.0.1:${port(server.udp4)}/announce`
    urls['udp6'] = `udp://[::1]:${port(server.udp6)}/announce`
  })

  afterAll(async () => {
    await new Promise<void>(resolve => server.close(() => resolve()))
  })

  // 7-bit bytes: its encoder writes keys of scrape answers as UTF-8
  const hash = () => new Sha1Hash(Uint8Array.from(randomBytes(20), byte => byte & 127))

  test('brings peers together over HTTP and IPv4', async () => {
    await meet(urls['http4']!, v4, other, hash())
  })

  test('brings peers together over UDP and IPv4', async () => {
    await meet(urls['udp4']!, v4, other, hash())
  })

  test('answers over HTTP and IPv6', async () => {
    const infoHash = hash()
    const seed = await host.ask(request(urls['http6']!, v6, { left: 0, infoHash }))
    expect(seed.error, seed.message).toBeNull()
    const leech = await host.ask(request(urls['http6']!, v6, { infoHash }))
    expect(leech.response?.peers6).toContainEqual(['::1', v6.listenPort])
    expect(leech.trackerIp).toBe('::1')
  })

  test('answers over UDP and IPv6', async () => {
    const infoHash = hash()
    const seed = await host.ask(request(urls['udp6']!, v6, { left: 0, infoHash }))
    expect(seed.error, seed.message).toBeNull()
    expect(seed.response).toMatchObject({ complete: 1, incomplete: 0 })
  })
})

describe('a tracker that is none', () => {
  let server: Server
  let base = ''

  beforeAll(async () => {
    server = createServer((message, answer) => {
      const url = new URL(message.url ?? '/', 'http://x')
      const go = (status: number, headers: Record<string, string>, body: string | Buffer) => {
        answer.writeHead(status, headers)
        answer.end(body)
      }
      if (url.pathname === '/announce/garbage') go(200, {}, randomBytes(5000))
      else if (url.pathname === '/announce/huge') go(200, {}, Buffer.alloc(3_000_000, 'l'))
      else if (url.pathname === '/announce/loop') go(302, { location: message.url ?? '' }, '')
      else if (url.pathname === '/announce/moved') go(302, { location: `/announce/here${url.search}` }, '')
      else if (url.pathname === '/announce/inside') go(302, { location: `/admin${url.search}` }, '')
      else if (url.pathname === '/announce/here') go(200, {}, 'd8:intervali900e5:peers0:e')
      else if (url.pathname === '/announce/never') answer.writeHead(200).write('d')
      else go(404, {}, 'no')
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', () => resolve()))
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })

  afterAll(async () => {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  })

  const ask = (path: string) => host.ask(request(base + path, v4))

  test('and sends garbage, too much, or redirects without end is an error', async () => {
    expect((await ask('/announce/garbage')).error?.category().name()).toBe('bdecode')
    expect((await ask('/announce/huge')).error?.message()).toBe('File too large')
    expect((await ask('/announce/loop')).error?.category().name()).toBe('http')
    const missing = await ask('/announce/x')
    expect([missing.error?.value(), missing.message]).toEqual([404, 'Not Found'])
  })

  test('and has moved is followed, but not to where announces do not go on this machine', async () => {
    expect((await ask('/announce/moved')).response?.interval).toBe(900)
    expect((await ask('/announce/inside')).error?.is(LibtorrentErrors.ssrfMitigation)).toBe(true)
  })

  test('and answers without end is given up in time', async () => {
    host.settings.stopTrackerTimeout = 1
    const from = performance.now()
    const outcome = await host.ask(request(`${base}/announce/never`, v4, { event: TrackerEvent.stopped }))
    expect(outcome.error?.is(LibtorrentErrors.timedOut)).toBe(true)
    expect(performance.now() - from).toBeLessThan(3000)
  })

  test('and listens to nothing is an error', async () => {
    const outcome = await host.ask(request('http://127.0.0.1:1/announce', v4))
    expect(outcome.error?.message()).toBe('Connection refused')
    host.settings.trackerReceiveTimeout = 1
    const silent = await host.ask(request('udp://127.0.0.1:1/announce', v4))
    expect(silent.error).not.toBeNull()
    const unknown = await host.ask(request('http://tracker.invalid/announce', v4))
    expect(unknown.error?.message()).toMatch(/^Host not found/)
  })
})
