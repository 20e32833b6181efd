import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { InfoHash, Sha1Hash } from '../../../src/core/digest.ts'
import { ProtocolVersion, ReannounceFlags } from '../../../src/core/enums.ts'
import { errnoError } from '../../../src/core/error-code.ts'
import { Operation } from '../../../src/core/operation.ts'
import { Announcer, HIGH_PRIORITY } from '../../../src/torrent/announcer.ts'
import { AnnounceEntry } from '../../../src/tracker/announce-entry.ts'
import { emptyResponse } from '../../../src/tracker/announce-request.ts'
import { entries, FakeTorrent, ME, socket, status, V1, V2 } from './announcer-fakes.ts'

const A = 'http://a/announce'
const B = 'http://b/announce'

describe('events', () => {
  test('started comes first and once, stopped last', () => {
    const torrent = new FakeTorrent()
    torrent.start()
    torrent.pass(4000)
    torrent.stop()
    torrent.pass(4000)
    expect(torrent.take()).toEqual([`0: ${A} started`, `1800: ${A} none`, `3600: ${A} none`, `4000: ${A} stopped`])
  })

  test('started is repeated until a tracker has heard it', () => {
    const torrent = new FakeTorrent()
    torrent.answers.set(A, status(500))
    torrent.start()
    torrent.answers.delete(A)
    torrent.pass(100)
    expect(torrent.take().map(l => l.split(' ')[2])).toEqual(['started', 'started'])
    torrent.pass(1800)
    expect(torrent.take().map(l => l.split(' ')[2])).toEqual(['none'])
  })

  test('stopped is not told to a tracker that never heard started', () => {
    const torrent = new FakeTorrent()
    torrent.answers.set(A, errnoError('ECONNREFUSED'))
    torrent.start()
    torrent.pass(1800)
    torrent.take()
    torrent.stop()
    torrent.pass(100)
    expect(torrent.take()).toEqual([])
  })

  test('stopped is not announced if stop_tracker_timeout is 0', () => {
    const torrent = new FakeTorrent(undefined, { stopTrackerTimeout: 0 })
    torrent.start()
    torrent.stop()
    expect(torrent.take()).toEqual([`0: ${A} started`])
  })

  test('stopped that fails goes to the next tracker that knows us, and is not repeated', () => {
    const torrent = new FakeTorrent(entries(A, B), { announceToAllTrackers: true })
    torrent.start()
    torrent.answers.set(A, status(500))
    torrent.stop()
    torrent.pass(3600)
    expect(torrent.take().slice(2)).toEqual([`0: ${A} stopped`, `0: ${B} stopped`])
  })

  test('stopped follows a started that was in flight when the torrent stopped', () => {
    const torrent = new FakeTorrent()
    torrent.announcer.start(torrent.time)
    torrent.announcer.stop(torrent.time)
    expect(torrent.take()).toEqual([`0: ${A} started`])
    torrent.settle()
    expect(torrent.take()).toEqual([`0: ${A} stopped`])
  })

  test('started is told again after a pause, also if stopped is still in flight', () => {
    const torrent = new FakeTorrent()
    torrent.start()
    torrent.pass(10)
    torrent.stop()
    torrent.pass(100)
    torrent.start()
    torrent.announcer.stop(torrent.time)
    torrent.announcer.start(torrent.time)
    torrent.pass(2)
    expect(torrent.take().map(l => l.split(' ')[2])).toEqual(['started', 'stopped', 'started', 'stopped', 'started'])
  })

  test('completed is told once, at once, whatever the intervals', () => {
    const torrent = new FakeTorrent(entries(A, B), { announceToAllTrackers: true })
    torrent.answers.set(A, { interval: 1800, minInterval: 1800 })
    torrent.answers.set(B, 'silence')
    torrent.start()
    torrent.pass(100)
    torrent.take()
    torrent.seed = true
    torrent.announcer.completed(torrent.time)
    torrent.pass(0)
    expect(torrent.take()).toEqual([`100: ${A} completed`])
    torrent.pass(1801)
    expect(torrent.take()).toEqual([`1900: ${A} none`])
    expect(torrent.shown()[0]?.endpoints[0]?.infoHashes[0].completeSent).toBe(true)
  })

  test('completed is not told by a torrent that was complete when it was added', () => {
    const torrent = new FakeTorrent()
    torrent.seed = true
    torrent.announcer.setCompleteSent()
    torrent.start()
    torrent.pass(1801)
    expect(torrent.take().map(l => l.split(' ')[2])).toEqual(['started', 'none'])
  })

  test('completed is told after started by one that completes before a tracker answered', () => {
    const torrent = new FakeTorrent()
    torrent.answers.set(A, status(500))
    torrent.start()
    torrent.seed = true
    torrent.announcer.completed(torrent.time)
    torrent.answers.delete(A)
    torrent.pass(1900)
    expect(torrent.take().map(l => l.split(' ')[2])).toEqual(['started', 'started', 'completed'])
  })

  test('a torrent that has all it wants but not all there is announces paused, and stops all the same', () => {
    const torrent = new FakeTorrent()
    torrent.finished = true
    torrent.start()
    torrent.pass(1801)
    torrent.stop()
    expect(torrent.take().map(l => l.split(' ')[2])).toEqual(['paused', 'paused', 'stopped'])
  })

  test('nothing is announced while paused, unwanted or without trackers', () => {
    for (const state of [{ paused: true }, { announces: false }]) {
      const torrent = new FakeTorrent()
      Object.assign(torrent, state)
      torrent.start()
      torrent.pass(600)
      expect(torrent.take()).toEqual([])
      torrent.paused = false
      torrent.announces = true
      torrent.pass(60)
      expect(torrent.take()).toHaveLength(1)
    }
    const none = new FakeTorrent([])
    none.start()
    expect(none.announcer.nextAnnounceAt).toBe(Number.POSITIVE_INFINITY)
    none.announcer.addTracker(new AnnounceEntry(A), none.time)
    expect(none.take()).toEqual([`0: ${A} started`])
  })
})

describe('the time of the next announce', () => {
  test('is what the tracker said', () => {
    for (const interval of [440, 1200, 1800]) {
      const torrent = new FakeTorrent()
      torrent.answers.set(A, { interval })
      torrent.start()
      expect(torrent.announcer.nextAnnounceAt).toBe(torrent.time + interval * 1000)
      torrent.pass(interval * 5)
      expect(torrent.take()).toEqual(
        [0, 1, 2, 3, 4, 5].map(n => `${n * interval}: ${A} ${n === 0 ? 'started' : 'none'}`),
      )
    }
  })

  test('is told whenever it changes', () => {
    const torrent = new FakeTorrent()
    const told: number[] = []
    torrent.nextAnnounceChanged = at => told.push(at)
    torrent.start()
    expect(told.at(-1)).toBe(torrent.time + 1_800_000)
    torrent.stop()
    expect(told.at(-1)).toBe(Number.POSITIVE_INFINITY)
    torrent.pass(10)
    expect(told).toHaveLength(3)
  })

  test('is never while not announcing', () => {
    const torrent = new FakeTorrent()
    expect(torrent.announcer.nextAnnounceAt).toBe(Number.POSITIVE_INFINITY)
    torrent.start()
    expect(torrent.announcer.isAnnouncing).toBe(true)
    torrent.stop()
    expect(torrent.announcer.nextAnnounceAt).toBe(Number.POSITIVE_INFINITY)
  })

  test('is not before the minimum interval', () => {
    const torrent = new FakeTorrent()
    torrent.answers.set(A, { interval: 300, minInterval: 1000 })
    torrent.start()
    torrent.pass(1001)
    expect(torrent.take()).toEqual([`0: ${A} started`, `1000: ${A} none`])
  })

  test('after a refusal is when the tracker allows it', () => {
    const torrent = new FakeTorrent()
    torrent.announcer.start(torrent.time)
    torrent.announcer.trackerRequestError(torrent.requests[0]!, status(200), Operation.bittorrent, 'later', 5400)
    expect(torrent.announcer.nextAnnounceAt).toBe(torrent.time + 5_400_000)
    torrent.announcer.trackerRequestError(
      torrent.requests[0]!,
      status(200),
      Operation.bittorrent,
      'go',
      Number.POSITIVE_INFINITY,
    )
    torrent.pending.length = 0
    torrent.pass(100_000)
    expect(torrent.take()).toHaveLength(1)
  })

  test('while a request is in flight for ever is a look a minute', () => {
    const torrent = new FakeTorrent()
    torrent.answers.set(A, 'silence')
    torrent.start()
    expect(torrent.announcer.nextAnnounceAt).toBe(torrent.time + 60_000)
    torrent.pass(600)
    expect(torrent.take()).toHaveLength(1)
  })
})

describe('a forced announce', () => {
  const running = (settings = {}) => {
    const torrent = new FakeTorrent(entries(A, B), settings)
    torrent.answers.set(A, { minInterval: 60, interval: 1800 }).set(B, { minInterval: 60, interval: 1800 })
    torrent.start()
    torrent.pass(10)
    torrent.take()
    torrent.takeAlerts()
    return torrent
  }

  test('of all waits for the minimum interval', () => {
    const torrent = running()
    torrent.announcer.forceReannounce(torrent.time, 0, -1, 0)
    torrent.pass(100)
    expect(torrent.take()).toEqual([`61: ${A} none`])
  })

  test('comes after the seconds given', () => {
    const torrent = running()
    torrent.announcer.forceReannounce(torrent.time, 200, -1, 0)
    torrent.pass(300)
    expect(torrent.take()).toEqual([`211: ${A} none`])
  })

  test('ignores the minimum interval if told to', () => {
    const torrent = running()
    torrent.announcer.forceReannounce(torrent.time, 0, -1, ReannounceFlags.ignoreMinInterval)
    torrent.pass(2)
    expect(torrent.take()).toEqual([`11: ${A} none`])
  })

  test('of high priority goes to the front, at once', () => {
    const torrent = running()
    torrent.announcer.forceReannounce(torrent.time, 0, -1, ReannounceFlags.ignoreMinInterval | HIGH_PRIORITY)
    expect(torrent.take()).toEqual([`10: ${A} none`])
    expect(torrent.requests.at(-1)?.highPriority).toBe(true)
  })

  test('of one tracker reaches it, whether or not another works', () => {
    for (const which of [1, B]) {
      const torrent = running()
      torrent.announcer.forceReannounce(torrent.time, 0, which, 0)
      expect(torrent.take()).toEqual([`10: ${B} started`])
      expect(torrent.requests.at(-1)?.triggeredManually).toBe(true)
      torrent.settle()
      expect(torrent.takeAlerts().at(-1)).toBe(`reply 50.0.0.1:6881 ${B} v1 0 true`)
      torrent.announcer.forceReannounce(torrent.time, 0, which, 0)
      expect(torrent.take()).toEqual([])
    }
  })

  test('of a tracker that is not there, or while paused, does nothing', () => {
    const torrent = running()
    for (const which of [2, -2, 'http://c']) torrent.announcer.forceReannounce(torrent.time, 0, which, 1)
    torrent.paused = true
    torrent.announcer.forceReannounce(torrent.time, 0, -1, 1)
    torrent.announcer.forceReannounce(torrent.time, 0, 0, 1)
    torrent.pass(10)
    expect(torrent.take()).toEqual([])
  })
})

describe('what a tracker is told', () => {
  const requestOf = (over: Partial<FakeTorrent['numbers']> = {}, settings = {}, state: Partial<FakeTorrent> = {}) => {
    const torrent = new FakeTorrent(undefined, settings)
    Object.assign(torrent.numbers, over)
    Object.assign(torrent, state)
    torrent.start()
    return torrent.requests[0]!
  }

  test('is what was transferred, less what was bad or came twice', () => {
    expect(requestOf()).toMatchObject({
      url: A,
      downloaded: 700,
      uploaded: 500,
      left: 4000,
      corrupt: 100,
      redundant: 200,
      key: 0x12345678,
      numWant: 200,
      peerId: ME,
      version: ProtocolVersion.V1,
      trackerId: '',
    })
    expect(requestOf().infoHash.equals(V1)).toBe(true)
    expect(requestOf({}, { reportTrueDownloaded: true }).downloaded).toBe(900)
    expect(requestOf({ payloadDownloaded: 10 }).downloaded).toBe(0)
    expect(requestOf({ surplusBytes: 50 }, {}, { seed: true })).toMatchObject({ downloaded: 650, redundant: 250 })
    expect(requestOf({ surplusBytes: 50 })).toMatchObject({ downloaded: 700, redundant: 200 })
  })

  test('is that 16 KiB are left while the size is unknown', () => {
    expect(requestOf({ left: null }).left).toBe(16384)
    expect(requestOf({ left: 0 }).left).toBe(0)
  })

  test('is that no peers are wanted when stopping', () => {
    const torrent = new FakeTorrent(undefined, { numWant: 33 })
    torrent.start()
    torrent.stop()
    expect(torrent.requests.map(r => r.numWant)).toEqual([33, 0])
  })

  test('of our addresses are the global ones, for private torrents of sessions that are not anonymous', () => {
    const sockets = ['8.8.8.8', '10.0.0.1', '127.0.0.1', '0.0.0.0', '::', '2001:db8::1', 'fe80::1'].map(a => socket(a))
    expect(requestOf({ privateTorrent: true }, {}, { sockets })).toMatchObject({
      ipv4: ['8.8.8.8'],
      ipv6: ['2001:db8::1'],
    })
    expect(requestOf({}, {}, { sockets })).toMatchObject({ ipv4: [], ipv6: [] })
    const anonymous = requestOf({ privateTorrent: true }, { anonymousMode: true }, { sockets })
    expect(anonymous).toMatchObject({ ipv4: [], ipv6: [] })
  })

  test('is each info-hash of a hybrid torrent, the v2 one cut to 20 bytes', () => {
    const torrent = new FakeTorrent()
    torrent.hash = new InfoHash(V1, V2)
    torrent.start()
    expect(torrent.requests.map(r => [r.version, r.infoHash.toString()])).toEqual([
      [0, V1.toString()],
      [1, new Sha1Hash(V2.view().subarray(0, 20)).toString()],
    ])
    const v2 = new FakeTorrent()
    v2.hash = new InfoHash(V2)
    v2.start()
    expect(v2.requests.map(r => r.version)).toEqual([1])
  })

  test('is its own tracker id, or the one the torrent was added with', () => {
    const torrent = new FakeTorrent()
    torrent.answers.set(A, { trackerId: 'abc' })
    torrent.start()
    torrent.pass(1801)
    expect(torrent.requests.map(r => r.trackerId)).toEqual(['', 'abc'])
    expect(torrent.takeAlerts().filter(a => a.startsWith('id'))).toEqual([`id 50.0.0.1:6881 ${A} v1 abc`])
    expect(torrent.shown()[0]?.trackerid).toBe('abc')
    const other = new FakeTorrent()
    const announcer = new Announcer(other.settings, other, 1, 'given')
    announcer.replaceTrackers(entries(A), 0)
    announcer.start(other.time)
    expect(other.requests[0]?.trackerId).toBe('given')
  })
})

describe('an answer', () => {
  test('brings peers, by address and by name, but not ourselves', () => {
    const torrent = new FakeTorrent()
    torrent.hash = new InfoHash(V2)
    torrent.answers.set(A, {
      peers4: [['1.1.1.1', 1]],
      peers6: [['::1', 2]],
      peers: [
        { hostname: '3.3.3.3', port: 3, peerId: new Uint8Array(20) },
        { hostname: 'name.test', port: 4, peerId: new Uint8Array(20) },
        { hostname: '5.5.5.5', port: 5, peerId: ME },
      ],
    })
    torrent.start()
    expect(torrent.found).toMatchObject([
      {
        endpoints: [
          ['1.1.1.1', 1],
          ['::1', 2],
          ['3.3.3.3', 3],
        ],
        hosts: [{ hostname: 'name.test', port: 4 }],
        version: 1,
      },
    ])
    expect(torrent.takeAlerts()).toEqual([
      `announce 50.0.0.1:6881 ${A} v2 started`,
      `reply 50.0.0.1:6881 ${A} v2 5 false`,
    ])
  })

  test('in compact form brings clients at our own address, but not ourselves', () => {
    const torrent = new FakeTorrent()
    torrent.sockets.push(socket('::2', 6883), socket('0.0.0.0', 6884))
    torrent.answers.set(A, {
      externalIp: '80.0.0.1',
      peers6: [
        ['::2', 6881],
        ['::2', 6883],
      ],
      peers4: [
        ['50.0.0.1', 6881],
        ['50.0.0.1', 6882],
        ['80.0.0.1', 6881],
        ['80.0.0.1', 6882],
        ['1.1.1.1', 6881],
        ['127.0.0.1', 6884],
        ['127.0.0.1', 6885],
      ],
    })
    torrent.start()
    expect(torrent.found).toMatchObject([
      {
        endpoints: [
          ['50.0.0.1', 6882],
          ['80.0.0.1', 6882],
          ['1.1.1.1', 6881],
          ['127.0.0.1', 6885],
          ['::2', 6881],
        ],
      },
      { endpoints: expect.any(Array) },
      { endpoints: expect.any(Array) },
    ])
    expect(torrent.takeAlerts().at(-1)).toContain(`${A} v1 9 false`)
  })

  test('with more host names than can be meant well is cut', () => {
    const torrent = new FakeTorrent()
    const peers = Array.from({ length: 5000 }, (_, i) => ({ hostname: `h${i}`, port: 1, peerId: new Uint8Array(20) }))
    torrent.answers.set(A, { peers })
    torrent.start()
    expect(torrent.found[0]?.hosts).toHaveLength(100)
  })

  test('votes for our address', () => {
    const torrent = new FakeTorrent()
    torrent.answers.set(A, { externalIp: '7.7.7.7' })
    torrent.start()
    expect(torrent.votes).toEqual(['50.0.0.1:6881 7.7.7.7 9.9.9.9'])
    torrent.announcer.trackerResponse(torrent.requests[0]!, null, [], { ...emptyResponse(), externalIp: '8.8.8.8' })
    expect(torrent.votes).toHaveLength(1)
  })

  test('with scrape numbers changes those of the torrent, to the largest of all trackers', () => {
    const torrent = new FakeTorrent(entries(A, B), { announceToAllTrackers: true })
    torrent.answers.set(A, { complete: 1, incomplete: 5, downloaded: -1 }).set(B, { complete: 2, incomplete: 4 })
    torrent.start()
    expect(torrent.scrapes).toEqual(['1 5 -1', '2 5 -1'])
    torrent.pass(1900)
    expect(torrent.scrapes).toHaveLength(2)
    expect(torrent.shown()[0]?.endpoints[0]?.infoHashes[0]).toMatchObject({
      scrapeComplete: 1,
      scrapeIncomplete: 5,
      scrapeDownloaded: -1,
    })
  })

  test('that warns is an alert and stays in the list until the next answer', () => {
    const torrent = new FakeTorrent()
    torrent.start()
    torrent.takeAlerts()
    torrent.announcer.trackerWarning(torrent.requests[0]!, 'careful')
    expect(torrent.takeAlerts()).toEqual([`warning 50.0.0.1:6881 ${A} v1 careful`])
    expect(torrent.shown()[0]?.endpoints[0]?.infoHashes[0].message).toBe('careful')
    torrent.pass(1801)
    expect(torrent.shown()[0]?.endpoints[0]?.infoHashes[0].message).toBe('')
  })

  test('clears the error of an earlier one and verifies the tracker', () => {
    const torrent = new FakeTorrent()
    torrent.answers.set(A, status(500))
    torrent.start()
    expect(torrent.takeAlerts()).toEqual([
      `announce 50.0.0.1:6881 ${A} v1 started`,
      `error 50.0.0.1:6881 ${A} v1 1 500 Internal Server Error  false`,
    ])
    expect(torrent.announcer.anyVerified()).toBe(false)
    expect(torrent.shown()[0]?.endpoints[0]?.infoHashes[0].lastError.value()).toBe(500)
    torrent.answers.delete(A)
    torrent.pass(20)
    expect(torrent.announcer.anyVerified()).toBe(true)
    const state = torrent.shown()[0]?.endpoints[0]?.infoHashes[0]
    expect(state).toMatchObject({ fails: 0, updating: false, startSent: true })
    expect(state?.lastError.value()).toBe(0)
    expect(state?.nextAnnounce?.getTime()).toBeGreaterThan(1_700_000_000_000)
  })

  test('from a tracker that is no longer in the list still brings its peers', () => {
    const torrent = new FakeTorrent()
    torrent.announcer.start(torrent.time)
    torrent.announcer.replaceTrackers([], torrent.time)
    torrent.answers.set(A, { peers4: [['1.1.1.1', 1]] })
    torrent.settle()
    expect(torrent.found).toHaveLength(1)
    expect(torrent.takeAlerts().at(-1)).toBe(`reply 0.0.0.0:0 ${A} v1 1 false`)
    torrent.announcer.trackerRequestError(torrent.requests[0]!, status(500), Operation.connect, '', 0)
    expect(torrent.takeAlerts().at(-1)).toContain('error 0.0.0.0:0')
    torrent.announcer.trackerWarning(torrent.requests[0]!, 'w')
    expect(torrent.takeAlerts().at(-1)).toContain('warning 0.0.0.0:0')
  })

  test('that comes after the torrent is gone is ignored', () => {
    const torrent = new FakeTorrent()
    torrent.start()
    torrent.announcer.stop(torrent.time)
    torrent.announcer.close()
    torrent.announcer.close()
    torrent.takeAlerts()
    torrent.answers.set(A, status(500))
    torrent.settle()
    torrent.announcer.trackerWarning(torrent.requests[0]!, 'w')
    torrent.announcer.trackerResponse(torrent.requests[0]!, null, [], emptyResponse())
    torrent.announcer.trackerScrapeResponse(torrent.requests[0]!, 1, 1, 1, 1)
    torrent.announcer.scrapeTracker(-1, true)
    torrent.announcer.start(torrent.time)
    torrent.pass(3600)
    expect(torrent.takeAlerts()).toEqual([])
    expect(torrent.take()).toEqual([`0: ${A} started`, `0: ${A} stopped`])
  })

  test('with an error while checking or paused waits for better times', () => {
    for (const state of [{ checking: true }, { paused: true }, { aborted: true }]) {
      const torrent = new FakeTorrent(entries(A, B))
      torrent.answers.set(A, status(500))
      torrent.announcer.start(torrent.time)
      Object.assign(torrent, state)
      torrent.settle()
      expect(torrent.take()).toEqual([`0: ${A} started`])
    }
  })
})

describe('a scrape', () => {
  test('asks the tracker named, the one that worked last, or the first', () => {
    const torrent = new FakeTorrent(entries(A, B))
    torrent.announcer.scrapeTracker(-1, false)
    torrent.announcer.scrapeTracker(1, false)
    torrent.announcer.scrapeTracker(B, false)
    torrent.announcer.scrapeTracker('http://c', false)
    expect(torrent.requests.map(r => r.url)).toEqual([A, B, B, A])
    torrent.pending.length = 0
    torrent.answers.set(A, status(500))
    torrent.start()
    torrent.announcer.scrapeTracker(-1, true)
    expect(torrent.requests.at(-1)).toMatchObject({ url: B, scrape: true, triggeredManually: true, event: 0 })
    new FakeTorrent([]).announcer.scrapeTracker(-1, false)
  })

  test('brings the numbers to the list, the torrent and an alert', () => {
    const torrent = new FakeTorrent()
    torrent.hash = new InfoHash(V1, V2)
    torrent.answers.set(A, { complete: 7, incomplete: 8 })
    torrent.announcer.scrapeTracker(-1, true)
    torrent.settle()
    expect(torrent.takeAlerts()).toEqual([
      `scrape 50.0.0.1:6881 ${A} v1 8 7 true`,
      `scrape 50.0.0.1:6881 ${A} v2 8 7 true`,
    ])
    expect(torrent.scrapes).toEqual(['7 8 -1'])
    expect(torrent.shown()[0]?.endpoints[0]?.infoHashes[1].scrapeComplete).toBe(7)
  })

  test('that fails is an alert, and no failure of the tracker', () => {
    const torrent = new FakeTorrent()
    torrent.start()
    torrent.takeAlerts()
    torrent.answers.set(A, status(404))
    torrent.announcer.scrapeTracker(-1, false)
    torrent.settle()
    expect(torrent.takeAlerts()).toEqual([`noscrape 50.0.0.1:6881 ${A} v1 404 Not Found false`])
    expect(torrent.shown()[0]?.endpoints[0]?.infoHashes[0].fails).toBe(0)
    torrent.answers.set(A, status(410))
    torrent.announcer.scrapeTracker(-1, false)
    torrent.settle()
    expect(torrent.shown()[0]?.failLimit).toBe(1)
  })
})

describe('listen sockets', () => {
  test('that appear announce at once, those that are gone are forgotten', () => {
    const torrent = new FakeTorrent()
    torrent.start()
    torrent.take()
    torrent.sockets = [...torrent.sockets, socket('f8e0::1')]
    torrent.socketsVersion++
    torrent.announcer.listenSocketsChanged(torrent.time)
    torrent.settle()
    expect(torrent.requests.map(r => r.socket.local[0])).toEqual(['50.0.0.1', 'f8e0::1'])
    torrent.sockets = torrent.sockets.slice(1)
    torrent.socketsVersion++
    torrent.announcer.listenSocketsChanged(torrent.time)
    expect(torrent.shown()[0]?.endpoints.map(e => e.localEndpoint[0])).toEqual(['f8e0::1'])
  })

  test('there being none, nothing is announced until there is one', () => {
    const torrent = new FakeTorrent()
    torrent.sockets = []
    torrent.start()
    torrent.pass(100)
    expect(torrent.take()).toEqual([])
    torrent.sockets = [socket('1.2.3.4')]
    torrent.socketsVersion++
    torrent.pass(60)
    expect(torrent.take()).toHaveLength(1)
  })
})

describe('the list', () => {
  test('may be added to: the new one is used if none works', () => {
    const torrent = new FakeTorrent()
    torrent.answers.set(A, status(500))
    torrent.start()
    torrent.take()
    expect(torrent.announcer.addTracker(new AnnounceEntry(B), torrent.time)).toBe(true)
    expect(torrent.announcer.addTracker(new AnnounceEntry(B), torrent.time)).toBe(false)
    expect(torrent.take()).toEqual([`0: ${B} started`])
    expect(torrent.announcer.numTrackers).toBe(2)
  })

  test('may be replaced: the new ones are told started', () => {
    const torrent = new FakeTorrent()
    torrent.start()
    torrent.pass(10)
    torrent.announcer.replaceTrackers(entries(B), torrent.time)
    torrent.pass(0)
    expect(torrent.take()).toEqual([`0: ${A} started`, `10: ${B} started`])
  })

  test('as it is shown is a copy', () => {
    const torrent = new FakeTorrent()
    torrent.shown()[0]!.url = 'changed'
    expect(torrent.shown()[0]?.url).toBe(A)
  })
})

test('an announcer that has announced takes less than 2 KiB', () => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const torrent = new FakeTorrent()
  const keep: Announcer[] = []
  gc()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 10_000; i++) {
    const announcer = new Announcer(torrent.settings, torrent, i)
    announcer.replaceTrackers(entries(A), 0)
    announcer.start(torrent.time)
    const request = torrent.requests.pop()!
    torrent.pending.length = 0
    announcer.trackerResponse(request, null, [], emptyResponse())
    keep.push(announcer)
  }
  torrent.log.length = torrent.alerts.length = torrent.found.length = 0
  gc()
  const each = (process.memoryUsage().heapUsed - before) / keep.length
  expect(each).toBeLessThan(2048)
})
