import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TrackerRequest } from '../../src/tracker/announce-request.ts'
import { entries, FakeTorrent, V1 } from '../unit/torrent/announcer-fakes.ts'
import { type Opentracker, startOpentracker } from './lib/opentracker.ts'
import { TrackerHost } from './lib/tracker-host.ts'

let tracker: Opentracker

beforeAll(async () => {
  tracker = await startOpentracker({ infoHashes: [V1.toString()] })
})

afterAll(async () => {
  await tracker.stop()
})

/** A torrent whose requests go out for real. */
class LiveTorrent extends FakeTorrent {
  host: TrackerHost | null = null

  override queueRequest(request: TrackerRequest): void {
    super.queueRequest(request)
    this.pending.length = 0
    this.host?.manager.queueRequest(request, this.announcer)
  }

  override now(): number {
    return this.host?.runtime.clock.now() ?? 0
  }
}

async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (what()) return
    await sleep(25)
  }
  throw new Error('waited in vain')
}

test('a torrent goes past a dead tracker, is found by another one, and says goodbye when the session closes', async () => {
  const host = new TrackerHost()
  const dead = 'http://localhost:1/announce'
  const torrents = await Promise.all(
    [tracker.udpUrl, tracker.httpUrl].map(async (url, i) => {
      const torrent = new LiveTorrent(entries([dead, 0], [url, 1]))
      torrent.host = host
      torrent.sockets = [await host.bind('127.0.0.1', 7001 + i)]
      torrent.numbers = { ...torrent.numbers, left: i === 0 ? 0 : 10, peerId: new Uint8Array(20).fill(65 + i) }
      return torrent
    }),
  )
  const [seed, leech] = torrents as [LiveTorrent, LiveTorrent]
  seed.announcer.start(seed.now())
  await until(() => seed.found.length === 1)
  expect(seed.alerts.map(alert => alert.split(' ')[0])).toEqual(['announce', 'error', 'announce', 'reply'])
  leech.announcer.start(leech.now())
  await until(() => leech.found.length === 1)
  expect(leech.found[0]?.endpoints).toContainEqual(['127.0.0.1', 7001])
  expect(leech.scrapes.at(-1)).toMatch(/^1 1 /)
  expect(seed.announcer.lastWorkingUrl()).toBe(tracker.udpUrl)
  expect(leech.announcer.nextAnnounceAt).toBeGreaterThan(leech.now())

  for (const torrent of torrents) torrent.announcer.stop(torrent.now())
  await host.close()
  for (const torrent of torrents) expect(torrent.log.at(-1)).toContain('stopped')

  const later = new TrackerHost()
  const scraper = new LiveTorrent(entries(tracker.httpUrl))
  scraper.host = later
  scraper.sockets = [await later.bind('127.0.0.1', 7003)]
  scraper.announcer.scrapeTracker(-1, true)
  await until(() => scraper.alerts.length === 1)
  expect(scraper.alerts[0]).toMatch(/^scrape .* v1 0 0 true$/)
  await later.close()
})
