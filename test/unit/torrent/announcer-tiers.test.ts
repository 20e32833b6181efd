import { describe, expect, test } from 'vitest'
import { InfoHash } from '../../../src/core/digest.ts'
import { errnoError, libtorrentError } from '../../../src/core/error-code.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { entries, FakeTorrent, socket, status, V1, V2 } from './announcer-fakes.ts'

const FOUR: [string, number][] = [
  ['http://t1', 0],
  ['http://t2', 0],
  ['http://t3', 1],
  ['http://t4', 1],
]

/** How often each tracker was asked. */
function counts(torrent: FakeTorrent): Record<string, number> {
  const out: Record<string, number> = {}
  for (const { url } of torrent.requests) out[url.slice(7)] = (out[url.slice(7)] ?? 0) + 1
  torrent.requests.length = 0
  return out
}

function hybrid(trackers: [string, number][], tiers: boolean, all: boolean): FakeTorrent {
  const torrent = new FakeTorrent(entries(...trackers), { announceToAllTiers: tiers, announceToAllTrackers: all })
  torrent.hash = new InfoHash(V1, V2)
  return torrent
}

describe('of the trackers that work', () => {
  test.each([
    ['one', false, false, { t1: 2 }],
    ['all of the first tier', false, true, { t1: 2, t2: 2 }],
    ['one of each tier', true, false, { t1: 2, t3: 2 }],
    ['all', true, true, { t1: 2, t2: 2, t3: 2, t4: 2 }],
  ])('%s is announced to, for each info-hash', (_name, tiers, all, expected) => {
    const torrent = hybrid(FOUR, tiers, all)
    torrent.start()
    torrent.pass(30)
    expect(counts(torrent)).toEqual(expected)
    torrent.pass(1830)
    expect(counts(torrent)).toEqual(expected)
  })

  test.each([
    ['one', false, false, { t1: 4 }],
    ['all', true, true, { t1: 4, t2: 4, t3: 4, t4: 4 }],
  ])('%s is announced to from each listen socket', (_name, tiers, all, expected) => {
    const torrent = hybrid(FOUR, tiers, all)
    torrent.sockets.push(socket('f8e0::10'))
    torrent.start()
    torrent.pass(30)
    expect(counts(torrent)).toEqual(expected)
  })
})

/** A tracker that only IPv4 or IPv6 sockets reach. */
function reachable(torrent: FakeTorrent, url: string, family: 4 | 6): void {
  torrent.answers.set(url, request =>
    request.socket.local[0].includes(':') === (family === 6) ? {} : libtorrentError(LibtorrentErrors.announceSkipped),
  )
}

describe('a listen socket whose family cannot reach a tracker', () => {
  test.each([
    ['the next one of the tier', 0, false, false, { dual: 2, six: 4 }],
    ['the next tier', 1, false, false, { dual: 2, six: 4 }],
    ['all of the tier', 0, false, true, { dual: 4, six: 4 }],
    ['all tiers', 1, true, false, { dual: 4, six: 4 }],
  ])('goes on to %s', (_name, tier, tiers, all, expected) => {
    const torrent = hybrid(
      [
        ['http://six', 0],
        ['http://dual', tier],
      ],
      tiers,
      all,
    )
    torrent.sockets.push(socket('f8e0::10'))
    reachable(torrent, 'http://six', 6)
    torrent.start()
    torrent.pass(10)
    expect(counts(torrent)).toEqual(expected)
  })

  test('is not used for that tracker again, until the sockets change', () => {
    const torrent = new FakeTorrent(entries('http://a'))
    torrent.answers.set('http://a', errnoError('EAFNOSUPPORT'))
    torrent.start()
    torrent.pass(10_000)
    expect(counts(torrent)).toEqual({ a: 1 })
    expect(torrent.shown()[0]?.endpoints[0]?.enabled).toBe(false)
    torrent.answers.delete('http://a')
    torrent.announcer.listenSocketsChanged(torrent.time)
    torrent.pass(60)
    expect(counts(torrent)).toEqual({ a: 1 })
    expect(torrent.shown()[0]?.endpoints[0]?.enabled).toBe(true)
  })
})

describe('a tracker that fails', () => {
  test('gives way to the next of its tier at once, and goes behind it', () => {
    const torrent = new FakeTorrent(entries(...FOUR))
    torrent.answers.set('http://t1', status(404))
    torrent.start()
    expect(torrent.take()).toEqual(['0: http://t1 started', '0: http://t2 started'])
    expect(torrent.shown().map(t => t.url)).toEqual(['http://t2', 'http://t1', 'http://t3', 'http://t4'])
    expect(torrent.announcer.lastWorkingUrl()).toBe('http://t2')
    torrent.pass(1800)
    expect(torrent.take()).toEqual(['1800: http://t2 none'])
  })

  test('gives way to the next tier if it was the last of its own', () => {
    const torrent = new FakeTorrent(entries(...FOUR))
    torrent.answers.set('http://t1', status(404)).set('http://t2', status(500)).set('http://t3', status(500))
    torrent.start()
    expect(torrent.take().map(l => l.slice(3))).toEqual([
      'http://t1 started',
      'http://t2 started',
      'http://t3 started',
      'http://t4 started',
    ])
  })

  test('is tried again at growing intervals', () => {
    const torrent = new FakeTorrent(entries('http://a'))
    torrent.answers.set('http://a', status(500))
    torrent.start()
    torrent.pass(5000)
    const times = torrent.take().map(line => Number.parseInt(line, 10))
    const gaps = times.slice(1).map((t, i) => t - times[i]!)
    // an announce is due a second early, since the timer has that slack
    for (const [i, gap] of [17, 55, 117, 205, 317, 455, 617, 805].entries()) {
      expect(Math.abs(gaps[i]! - gap), `${i}`).toBeLessThanOrEqual(1)
    }
  })

  test('beside one that works is tried again while the other keeps its interval', () => {
    const torrent = hybrid(
      [
        ['http://good', 0],
        ['http://bad', 1],
      ],
      true,
      true,
    )
    torrent.answers.set('http://bad', status(404))
    torrent.start()
    torrent.pass(30)
    expect(counts(torrent)).toEqual({ good: 2, bad: 4 })
    torrent.pass(1830)
    expect(counts(torrent)).toEqual({ good: 2, bad: 12 })
  })

  test('all of them: each is tried, then each again after its own delay', () => {
    const torrent = new FakeTorrent(entries(...FOUR))
    for (const [url] of FOUR) torrent.answers.set(url, status(500))
    torrent.start()
    expect(counts(torrent)).toEqual({ t1: 1, t2: 1, t3: 1, t4: 1 })
    torrent.pass(20)
    expect(counts(torrent)).toEqual({ t1: 1, t2: 1, t3: 1, t4: 1 })
    torrent.answers.set('http://t3', {})
    torrent.pass(60)
    expect(torrent.announcer.lastWorkingUrl()).toBe('http://t3')
  })

  test('in the first tier does not hold up the interval of one in the second', () => {
    const torrent = new FakeTorrent(entries(['http://bad', 0], ['http://good', 1]))
    torrent.answers.set('http://bad', status(500)).set('http://good', { interval: 600 })
    torrent.start()
    torrent.pass(4000)
    const good = torrent.take().filter(l => l.includes('good'))
    expect(good.map(l => Math.round(Number.parseInt(l, 10) / 600))).toEqual([0, 1, 2, 3, 4, 5, 6])
  })

  test('with 410 Gone is never asked again', () => {
    const torrent = new FakeTorrent(entries('http://a'))
    torrent.answers.set('http://a', status(410))
    torrent.start()
    torrent.pass(10_000)
    expect(counts(torrent)).toEqual({ a: 1 })
    expect(torrent.shown()[0]).toMatchObject({ failLimit: 1 })
  })

  test('as often as its fail limit is given up', () => {
    const torrent = new FakeTorrent([Object.assign(entries('http://a')[0]!, { failLimit: 3 })])
    torrent.answers.set('http://a', status(500))
    torrent.start()
    torrent.pass(10_000)
    expect(counts(torrent)).toEqual({ a: 3 })
  })
})

describe('prefer_udp_trackers', () => {
  test('tries the UDP tracker of a host before its HTTP one', () => {
    const urls = ['http://a/announce', 'udp://a:1/announce']
    const torrent = new FakeTorrent(entries(...urls))
    torrent.start()
    expect(torrent.take()).toEqual(['0: udp://a:1/announce started'])
    const other = new FakeTorrent(entries(...urls), { preferUdpTrackers: false })
    other.start()
    expect(other.take()).toEqual(['0: http://a/announce started'])
  })
})

test('shuffled tiers let different torrents begin with different trackers', () => {
  const first = new Set<string>()
  for (let seed = 0; seed < 20; seed++) {
    const torrent = new FakeTorrent(entries(...FOUR))
    torrent.announcer.shuffleTiers(new SeededRng(seed))
    torrent.start()
    first.add(torrent.requests[0]!.url)
  }
  expect([...first].toSorted()).toEqual(['http://t1', 'http://t2'])
})

test('a thousand dead trackers are gone through without haste', () => {
  const torrent = new FakeTorrent(
    entries(...Array.from({ length: 1000 }, (_, i): [string, number] => [`http://d${i}`, i & 7])),
  )
  for (const tracker of torrent.shown()) torrent.answers.set(tracker.url, status(500))
  torrent.announcer.start(torrent.time)
  let rounds = 0
  while (torrent.pending.length > 0) {
    torrent.settle()
    if (++rounds > 5) throw new Error('no end')
  }
  expect(Object.values(counts(torrent)).every(n => n === 1)).toBe(true)
})
