import { expect, test } from 'vitest'
import { errnoError } from '../../../src/core/error-code.ts'
import { Operation } from '../../../src/core/operation.ts'
import { entries, FakeTorrent, socket } from './announcer-fakes.ts'

const A = 'http://a/announce'
const B = 'http://b/announce'

/** What a torrent says while something is done with it. */
function said(torrent: FakeTorrent, what: () => void): string[] {
  torrent.story = []
  what()
  const { story } = torrent
  torrent.story = null
  return story
}

test('a torrent without trackers says so', () => {
  const torrent = new FakeTorrent([])
  expect(said(torrent, () => torrent.start())).toEqual(['*** announce: no trackers'])
})

test('every tracker that is looked at is named, with what speaks for and against it', () => {
  const torrent = new FakeTorrent(entries([A, 0], [B, 1]))
  expect(said(torrent, () => torrent.announcer.start(torrent.time))).toEqual([
    '*** announce: [ announce_to_all_tiers: 0 announce_to_all_trackers: 0 num_trackers: 2 ]',
    `*** tracker:  (0) [ep: 50.0.0.1:6881 ] "${A}" [  i->tier: 0 tier: 2147483647 working: 1 limit: 0 can: 1 sent: 0 ]`,
    `==> TRACKER REQUEST "${A}" event: started abort: 0 port: 6881 fails: 0 upd: 0 ep: 50.0.0.1:6881`,
    '*** update_tracker_timer: [ announce_to_all_tiers: 0 announce_to_all_trackers: 0 num_trackers: 2 ]',
    `*** tracker: (0) [ep: 50.0.0.1:6881 ] "${A}" [ found: 0 i->tier: 0 tier: 2147483647 working: 1 fails: 0 limit: 0 upd: 1 ]`,
    '*** update tracker timer: before_now: 0 none_eligible: 1 next_announce_in: 60',
  ])
})

test('a response is told with its intervals and addresses, and when the next announce is due', () => {
  const torrent = new FakeTorrent(entries(A))
  torrent.answers.set(A, { interval: 900, minInterval: 60, externalIp: '8.8.8.8' })
  const lines = said(torrent, () => torrent.start())
  expect(lines).toContain(
    'TRACKER RESPONSE [ interval: 900 | min-interval: 60 | external ip: 8.8.8.8 | resolved to: 9.9.9.9,  | we connected to: 9.9.9.9 ]',
  )
  expect(lines.at(-1)).toBe('*** update tracker timer: before_now: 0 none_eligible: 0 next_announce_in: 900')
})

test('an error is told, with what it does to the tracker', () => {
  const torrent = new FakeTorrent(entries(A))
  torrent.answers.set(A, errnoError('ECONNREFUSED'))
  const lines = said(torrent, () => torrent.start())
  expect(lines).toContain('*** tracker error: (111) Connection refused [connect] ')
  expect(lines).toContain(`*** increment tracker fail count [ep: 50.0.0.1:6881 url: ${A} 1]`)
  expect(lines.some(line => line.includes('disabling endpoint'))).toBe(false)
})

test('an endpoint that cannot reach the tracker is given up', () => {
  const torrent = new FakeTorrent(entries(A))
  torrent.answers.set(A, errnoError('EAFNOSUPPORT'))
  expect(said(torrent, () => torrent.start())).toContain(`*** disabling endpoint [ep: 50.0.0.1:6881 url: ${A} ]`)
})

test('an error of a listen socket that is gone names it', () => {
  const torrent = new FakeTorrent(entries(A))
  torrent.start()
  const request = { ...torrent.requests[0]!, socket: socket('50.0.0.9') }
  const fail = () =>
    torrent.announcer.trackerRequestError(request, errnoError('ECONNREFUSED'), Operation.connect, '', 0)
  expect(said(torrent, fail)).toContain(`*** no matching endpoint for request [${A}, 50.0.0.9:6881]`)
})

test('what keeps a torrent from announcing is told', () => {
  const torrent = new FakeTorrent(entries(A))
  torrent.start()
  const again = (): string[] => said(torrent, () => torrent.announcer.listenSocketsChanged(torrent.time))
  torrent.announces = false
  expect(again()).toEqual(['*** announce: event != stopped && not announcing to trackers'])
  torrent.paused = true
  expect(again()).toEqual(['*** announce: event != stopped && paused'])
  torrent.settings.stopTrackerTimeout = 0
  expect(said(torrent, () => torrent.stop())).toEqual(['*** announce: event == stopped && stop_tracker_timeout <= 0'])
})

test('a tracker that the user names and that is not there is told, and sockets that are missing', () => {
  const torrent = new FakeTorrent(entries(A))
  torrent.start()
  const force = (url: string | number): string[] =>
    said(torrent, () => torrent.announcer.forceReannounce(torrent.time, 0, url, 0))
  expect(force('http://other/')).toEqual(['*** tracker URL not found http://other/'])
  torrent.sockets = []
  torrent.socketsVersion++
  expect(force(A)).toEqual(['*** found no tracker endpoints to announce'])
  expect(force(-1)[0]).toBe('*** found no tracker endpoints to announce')
})
