import { describe, expect, test } from 'vitest'
import { TrackerErrorAlert } from '../../src/alert/tracker-alerts.ts'
import { SeededRng } from '../../src/core/rng.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import type { ServedResponse } from './lib/sim-http.ts'
import { simulate } from './lib/simulation.ts'
import { makeTorrent, Swarm } from './lib/swarm.ts'

const PIECE = 64 * 1024

function noise(size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  new SeededRng(size).fill(bytes)
  return bytes
}

function bencoded(text: string): ServedResponse {
  return { body: text }
}

/** Each is an alert and a retry. */
const ANSWERS: [string, ServedResponse][] = [
  ['garbage', { body: noise(2000) }],
  ['no HTTP', { fault: 'garbage' }],
  ['nothing', { fault: 'silence' }],
  ['a broken connection', { fault: 'reset' }],
  ['half a body', { fault: 'cut', body: 'd8:intervali1800e5:peers0:e' }],
  ['an empty body', { body: '' }],
  ['a list', bencoded('l5:peerse')],
  ['a number', bencoded('i7e')],
  ['cut bencoding', bencoded('d8:intervali1800e5:peers600:abc')],
  ['a bencode bomb', bencoded('l'.repeat(200_000))],
  ['deep lists', bencoded(`d5:peers${'l'.repeat(5000)}${'e'.repeat(5000)}e`)],
  ['a huge answer', { body: new Uint8Array(30_000_000) }],
  ['a failure', bencoded('d14:failure reason6:go awae')],
  ['not found', { status: 404, statusText: 'Not Found', body: 'no' }],
  ['an internal error', { status: 500, body: noise(100) }],
  ['a redirect to itself', { status: 302, headers: { location: 'http://tracker.test:6969/announce' } }],
  ['a redirect to nowhere', { status: 302, headers: { location: 'http://nowhere.invalid/announce' } }],
  ['a redirect without a place', { status: 302 }],
  ['a redirect to another protocol', { status: 302, headers: { location: 'file:///etc/passwd' } }],
  ['an answer after minutes', { delayMs: 300_000, body: 'd8:intervali1800e5:peers0:e' }],
  ['gzip that is none', { headers: { 'content-encoding': 'gzip' }, body: noise(500) }],
]

/** Odd, but an answer, in libtorrent too. */
const ODDITIES: [string, string][] = [
  ['an empty dictionary', 'de'],
  ['peers as a number', 'd8:intervali1800e5:peersi5ee'],
  ['a failure that is no text', 'd14:failure reasoni7ee'],
  ['peers with port 0', 'd8:intervali60e5:peers6:\x01\x02\x03\x04\x00\x00e'],
  ['peers of 7 bytes', 'd8:intervali60e5:peers7:\x01\x02\x03\x04\x00\x01\x02e'],
  ['a negative interval', 'd8:intervali-60e5:peers0:e'],
  ['an interval of 2^62', 'd8:intervali4611686018427387904e5:peers0:e'],
  ['an interval that is text', 'd8:interval3:abc5:peers0:e'],
  ['peers of the wrong kind in a list', 'd8:intervali60e5:peersli5e3:abcdeleee'],
  ['our own address', 'd8:intervali60e5:peers6:\x0a\x00\x02\x01\x1a\xe1e'],
  ['negative counts', 'd8:completei-5e10:incompletei-9e8:intervali60e5:peers0:e'],
  ['a warning that is no text', 'd8:intervali60e5:peers0:15:warning messagei6ee'],
  ['a tracker id that is no text', 'd8:intervali60e5:peers0:10:tracker idli1eee'],
]

describe('a tracker that misbehaves', () => {
  test.each(ANSWERS)('with %s is an alert and is asked again; other trackers and peers go on', (_name, answer) => {
    simulate(300, sim => {
      const bad = new FakeTracker(sim, sim.host('bad tracker'))
      const good = new FakeTracker(sim, sim.host('good tracker'), { name: 'good.test', port: 7000 })
      const torrent = makeTorrent(500_000, PIECE, 1, [bad.httpUrl, good.httpUrl])
      const swarm = new Swarm(sim, torrent)
      const settings = { announce_to_all_trackers: true, announce_to_all_tiers: true }
      bad.respond = () => answer
      swarm.add('seed', { has: 'all', settings })
      const leech = swarm.add('leech', { settings })
      swarm.complete(120_000)
      sim.run(600_000)
      const errors = leech.alerts.filter(alert => alert instanceof TrackerErrorAlert)
      expect(errors.length).toBeGreaterThan(0)
      expect(errors.every(error => error.trackerUrl() === bad.httpUrl)).toBe(true)
      expect(errors[0]!.error.failed()).toBe(true)
      const [entry] = leech.handle.trackers().filter(({ url }) => url === bad.httpUrl)
      const states = entry!.endpoints.map(({ infoHashes }) => infoHashes[0]).filter(({ fails }) => fails > 0)
      expect(states.length).toBeGreaterThan(0)
      expect(states.every(({ lastError }) => lastError.failed())).toBe(true)
      const from = leech.runtime.host.addresses
      const asked = bad.announces.filter(announce => from.includes(announce.from))
      expect(asked.length).toBeGreaterThan(1)
      // neither in a hurry: at least some seconds between two attempts of one listen socket
      expect(asked.length).toBeLessThan(150)
      // and when it is well again, that shows
      bad.respond = null
      sim.run(7_200_000)
      const replies = leech.alerts.filter(alert => alert.what() === 'tracker_reply')
      expect(replies.some(reply => reply.message().includes(bad.httpUrl))).toBe(true)
      swarm.close()
    })
  })

  test.each(ODDITIES)('but only a little, with %s, is heard', (_name, text) => {
    simulate(301, sim => {
      const odd = new FakeTracker(sim, sim.host('tracker'))
      odd.respond = () => ({ body: Buffer.from(text, 'latin1') })
      const torrent = makeTorrent(500_000, PIECE, 1, [odd.httpUrl])
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all' })
      const leech = swarm.add('leech')
      leech.connectTo(seed)
      swarm.complete(120_000)
      sim.run(600_000)
      const whats = leech.whats()
      expect(whats.includes('tracker_reply') || whats.includes('tracker_error')).toBe(true)
      expect(odd.announces.length).toBeLessThan(200)
      swarm.close()
    })
  })

  test('over UDP with an error, then with silence, is asked again', () => {
    simulate(302, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker'))
      tracker.failure = 'go away'
      const swarm = new Swarm(sim, makeTorrent(500_000, PIECE, 1, [tracker.udpUrl]))
      swarm.add('seed', { has: 'all' })
      const leech = swarm.add('leech')
      sim.run(30_000)
      const error = leech.alerts.find(alert => alert instanceof TrackerErrorAlert)
      expect(error?.message()).toContain('go away')
      tracker.silent = true
      sim.run(300_000)
      tracker.silent = false
      tracker.failure = null
      swarm.complete(3_600_000)
      swarm.close()
    })
  })
})
