import { describe, expect, test } from 'vitest'
import { ProtocolVersion, TrackerSource } from '../../../src/core/enums.ts'
import { libtorrentError } from '../../../src/core/error-code.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { AnnounceEntry } from '../../../src/tracker/announce-entry.ts'
import { TrackerList } from '../../../src/tracker/tracker-list.ts'
import { InfohashState, retryDelay, TrackerState, UNSET } from '../../../src/tracker/tracker-state.ts'
import { FakeSocket } from './fakes.ts'

function entry(url: string, tier = 0, source = 0): AnnounceEntry {
  return Object.assign(new AnnounceEntry(url), { tier, source })
}

function list(...entries: [string, number][]): TrackerList {
  const out = new TrackerList()
  for (const [url, tier] of entries) out.add(entry(url, tier))
  out.checkInvariant()
  return out
}

const urls = (trackers: TrackerList) => Array.from(trackers, t => t.url)

describe('the list of trackers', () => {
  test('is ordered by tier, and in a tier by when they were added', () => {
    expect(urls(list(['a', 1], ['b', 0], ['c', 1], ['d', 0], ['e', 2]))).toEqual(['b', 'd', 'a', 'c', 'e'])
  })

  test('has each URL once; whoever names it again is added to its sources', () => {
    const trackers = list(['a', 0])
    expect(trackers.add(entry('a', 3, TrackerSource.sourceTex))).toBe(false)
    expect(trackers.add(entry(''))).toBe(false)
    expect(trackers.length).toBe(1)
    expect(trackers.at(0)).toMatchObject({ tier: 0, source: TrackerSource.sourceClient | TrackerSource.sourceTex })
  })

  test('can be replaced, which forgets what was known', () => {
    const trackers = list(['a', 0], ['b', 0])
    trackers.recordWorking(trackers.at(0)!)
    trackers.replace([entry('z', 5), entry('y', 1), entry(''), entry('z', 0, 4), entry('x', 1)])
    trackers.checkInvariant()
    expect(urls(trackers)).toEqual(['y', 'x', 'z'])
    expect(trackers.find('z')?.source).toBe(TrackerSource.sourceClient | 4)
    expect(trackers.lastWorking).toBeNull()
    expect(trackers.find('a')).toBeNull()
  })

  test('puts a tracker that failed behind the others of its tier', () => {
    const trackers = list(['a', 0], ['b', 0], ['c', 0], ['d', 1])
    trackers.deprioritize(trackers.find('a')!)
    expect(urls(trackers)).toEqual(['b', 'c', 'a', 'd'])
    trackers.deprioritize(trackers.find('d')!)
    expect(urls(trackers)).toEqual(['b', 'c', 'a', 'd'])
    trackers.deprioritize(trackers.find('a')!)
    expect(urls(trackers)).toEqual(['b', 'c', 'a', 'd'])
    trackers.checkInvariant()
  })

  test('moves a UDP tracker to where its host has an HTTP one', () => {
    const trackers = list(
      ['http://a/x', 0],
      ['http://b/x', 0],
      ['udp://b:1/x', 0],
      ['udp://c:1/x', 0],
      ['udp://a:1', 1],
    )
    trackers.prioritizeUdp()
    expect(urls(trackers)).toEqual(['udp://a:1', 'udp://b:1/x', 'http://b/x', 'udp://c:1/x', 'http://a/x'])
    trackers.prioritizeUdp()
    expect(urls(trackers)).toEqual(['udp://a:1', 'udp://b:1/x', 'http://b/x', 'udp://c:1/x', 'http://a/x'])
  })

  test('pairs each UDP tracker of a host with another HTTP one', () => {
    const trackers = list(['http://a/1', 0], ['http://a/2', 0], ['udp://a:1', 0], ['udp://a:2', 0], ['nonsense', 0])
    trackers.prioritizeUdp()
    expect(urls(trackers)).toEqual(['udp://a:1', 'udp://a:2', 'http://a/1', 'http://a/2', 'nonsense'])
  })

  test('can be shuffled inside its tiers', () => {
    const entries = Array.from({ length: 40 }, (_, i): [string, number] => [`u${i}`, i % 3])
    const trackers = list(...entries)
    const before = urls(trackers)
    trackers.shuffleTiers(new SeededRng(1))
    trackers.checkInvariant()
    expect(urls(trackers)).not.toEqual(before)
    expect(urls(trackers).toSorted()).toEqual(before.toSorted())
    expect(Array.from(trackers, t => t.tier)).toEqual(Array.from(trackers, t => t.tier).toSorted())
  })

  test('of thousands finds each by its URL', () => {
    const trackers = new TrackerList()
    for (let i = 0; i < 5000; i++) trackers.add(entry(`u${i}`, i & 255))
    trackers.checkInvariant()
    expect(trackers.find('u4999')?.url).toBe('u4999')
    expect(trackers.add(entry('u17'))).toBe(false)
  })

  test('tiers and limits are kept in one byte', () => {
    const trackers = list(['a', 300], ['b', -4], ['c', Number.NaN], ['d', 1.7])
    expect(Object.fromEntries(Array.from(trackers, t => [t.url, t.tier]))).toEqual({ a: 255, b: 0, c: 0, d: 1 })
  })
})

describe('back-off', () => {
  test.each([
    [1, 17],
    [2, 55],
    [3, 117],
    [4, 205],
    [5, 317],
    [6, 455],
    [7, 617],
    [8, 805],
    [16, 3205],
    [17, 3600],
    [127, 3600],
  ])('after %i failures waits %i seconds', (fails, seconds) => {
    expect(retryDelay(fails, 250, 0)).toBe(seconds)
  })

  test('follows tracker_backoff, and is never shorter than what the tracker asks', () => {
    expect(retryDelay(3, 0, 0)).toBe(5)
    expect(retryDelay(3, 100, 0)).toBe(50)
    expect(retryDelay(1, 250, 1800)).toBe(1800)
    expect(retryDelay(1, 250, 7200)).toBe(7200)
  })

  test('counts failures up to 127, and a success ends it', () => {
    const state = new InfohashState()
    for (let i = 0; i < 200; i++) state.failed(0, 250, 0)
    expect(state.fails).toBe(127)
    expect(state.nextAnnounce).toBe(3_600_000)
    state.succeeded(1000, 1800, 60, 'w')
    expect(state).toMatchObject({ fails: 0, nextAnnounce: 1_801_000, minAnnounce: 61_000, message: 'w' })
  })
})

describe('whether a tracker may be announced to', () => {
  const due = (over: Partial<InfohashState>, must = false, limit = 0) =>
    Object.assign(new InfohashState(), over).canAnnounce(10_000, must, limit)

  test('depends on the time, with a second of slack', () => {
    expect(due({})).toBe(true)
    expect(due({ nextAnnounce: 11_000 })).toBe(true)
    expect(due({ nextAnnounce: 11_001 })).toBe(false)
  })

  test('depends on the minimum interval, unless completed must be sent', () => {
    expect(due({ minAnnounce: 10_000 })).toBe(true)
    expect(due({ minAnnounce: 10_001 })).toBe(false)
    expect(due({ minAnnounce: 10_001 }, true)).toBe(true)
  })

  test('depends on whether a request is in flight, and on the fail limit', () => {
    expect(due({ updating: true })).toBe(false)
    expect(due({ fails: 3 }, false, 3)).toBe(false)
    expect(due({ fails: 2 }, false, 3)).toBe(true)
    expect(due({ fails: 100 }, false, 0)).toBe(true)
  })
})

describe('the endpoints of a tracker', () => {
  test('follow the listen sockets and keep the state of those that stay', () => {
    const tracker = new TrackerState('u', 0, 1)
    const [a, b, c] = [new FakeSocket(), new FakeSocket(), new FakeSocket()]
    expect(tracker.endpoints).toHaveLength(0)
    tracker.syncEndpoints([a, b], 1)
    tracker.find(b)!.of(ProtocolVersion.V1).fails = 5
    tracker.syncEndpoints([], 1)
    expect(tracker.endpoints).toHaveLength(2)
    tracker.syncEndpoints([c, b], 2)
    expect(tracker.endpoints.map(e => e.socket)).toEqual([c, b])
    expect(tracker.find(b)!.of(ProtocolVersion.V1).fails).toBe(5)
    expect(tracker.find(a)).toBeNull()
  })

  test('are shown with times of day', () => {
    const tracker = new TrackerState('u', 3, 1, 9, 'id')
    tracker.syncEndpoints([new FakeSocket(['1.2.3.4', 5])], 1)
    const state = tracker.endpoints[0]!.of(ProtocolVersion.V2)
    state.failed(50_000, 250, 0)
    state.lastError = libtorrentError(LibtorrentErrors.trackerFailure)
    state.message = 'm'
    const shown = tracker.toEntry(60_000, 1_700_000_000)
    expect(shown).toBeInstanceOf(AnnounceEntry)
    expect(shown).toMatchObject({ url: 'u', tier: 3, failLimit: 9, trackerid: 'id', source: 1, verified: false })
    const [v1, v2] = shown.endpoints[0]!.infoHashes
    expect(shown.endpoints[0]).toMatchObject({ localEndpoint: ['1.2.3.4', 5], enabled: true })
    expect(v1).toMatchObject({ nextAnnounce: null, minAnnounce: null, fails: 0, scrapeComplete: -1, message: '' })
    expect(v1.lastError.value()).toBe(0)
    expect(v2).toMatchObject({ fails: 1, message: 'm', minAnnounce: null })
    expect(v2.nextAnnounce).toEqual(new Date(1_700_000_007_000))
    expect(v2.lastError.is(LibtorrentErrors.trackerFailure)).toBe(true)
    expect(state.minAnnounce).toBe(UNSET)
  })
})
