/** The alerts that say in words what torrents do. */

import { describe, expect, test } from 'vitest'
import { AlertCategory, TorrentFlags } from '../../src/core/enums.ts'
import { ARENA_PIECE, inArena } from './lib/arena.ts'
import { addRouter, DhtSession } from './lib/dht-session.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import { simulate } from './lib/simulation.ts'
import { expectInOrder, story } from './lib/story.ts'
import { makeTorrent, type NodeOptions, Swarm } from './lib/swarm.ts'
import { leech } from './lib/web-leech.ts'
import { WebServer } from './lib/web-server.ts'

const PIECE = 64 * 1024
const ALL_LOGS = { alert_mask: AlertCategory.all }

describe('the log of a torrent', () => {
  test('tells of adding, announcing, connecting, picking, pieces, pausing and a tracker that fails', () => {
    simulate(2, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker'))
      const swarm = new Swarm(sim, makeTorrent(4 * PIECE, PIECE, 1, [tracker.httpUrl]))
      swarm.add('seed', { has: 'all' })
      sim.run(3000)
      const taker = swarm.add('leech', { settings: ALL_LOGS, host: { addresses: ['10.9.0.1'] } })
      sim.runUntilSo(() => taker.isSeeding, 60_000)
      const url = tracker.httpUrl
      expectInOrder(story(taker), [
        'creating torrent: file-1 max-uploads: -1 max-connections: -1 upload-limit: -1 download-limit: -1 flags: apply-ip-filter',
        'init torrent: file-1',
        'init, async_check_files',
        'fastresume data accepted',
        'set_state() 3',
        '*** announce: [ announce_to_all_tiers: 0 announce_to_all_trackers: 0 num_trackers: 1 ]',
        `*** tracker:  (0) [ep: 10.9.0.1:6881 ] "${url}"`,
        `==> TRACKER REQUEST "${url}" event: started abort: 0 port: 6881 fails: 0 upd: 0 ep: 10.9.0.1:6881`,
        'tracker_announce',
        'TRACKER RESPONSE [ interval: 1800 | min-interval: 30 |',
        'next_announce_in: 1800',
        'tracker add_peer() [ 10.0.2.1 ] connect-candidates: 1',
        '*** FOUND CONNECTION CANDIDATE [ ip: 10.0.2.1:6881 rank:',
        '>>> CONNECTION [ ep: 10.0.2.1:6881 type: TCP seed: 0 local:',
        '>>> ASYNC_CONNECT [ dst: 10.0.2.1:6881 ]',
        'peer_connect',
        '>>> CONNECTION_ESTABLISHED [ ep: 10.0.2.1:6881 ]',
        '*** HANDSHAKE [ connection ready ]',
        '*** SEED [ this is a seed ]',
        '==> INTERESTED',
        /\*\*\* PIECE_PICKER \[ dlq: 0 rqq: 0 target: \d+ req: \d+ endgame: 0 \]/,
        /picker_log .* picker_log \[ .*\] \(\d+,0\) /,
        /\*\*\* PIECE_PICKER \[ prefer_contiguous: 0 picked: \d+ \]/,
        'block_downloading',
        '==> REQUEST',
        /PIECE_FINISHED \[ p: \d \| chk: passed \| size: 65536 \]/,
        /PIECE_PASSED \(\d\) \(num_have: 1\)/,
        'piece_finished',
        '(num_have: 4)',
        'set_state() 4',
        'set_state() 5',
        `==> TRACKER REQUEST "${url}" event: completed`,
        '*** SEED [ CLOSING CONNECTION ]',
        '*** CONNECTION_CLOSED [ op: 1 (bittorrent) ERROR: (libtorrent:98) torrent finished ]',
        'peer_disconnected',
      ])
      const paused = taker.alerts.length
      taker.handle.pause()
      sim.run(2000)
      tracker.failure = 'go away'
      taker.handle.resume()
      sim.run(2000)
      expectInOrder(story(taker, paused), [
        'torrent_paused',
        'event: stopped',
        'torrent_resumed',
        'event: started',
        '*** tracker error: (173) tracker sent a failure message [bittorrent] go away',
        `*** increment tracker fail count [ep: 10.9.0.1:6881 url: ${url} 1]`,
      ])
      swarm.close()
    })
  })

  test.each<[string, NodeOptions, 'all' | 'none', RegExp]>([
    ['nothing, and there is nothing', {}, 'none', /fastresume data accepted/],
    ['nothing, and there is something', { has: [0] }, 'none', /fastresume data rejected: ret: 2/],
    ['all, and there is nothing', {}, 'all', /fastresume data rejected: ret: \d/],
    ['all, and there is all', { has: 'all' }, 'all', /fastresume data accepted/],
  ])('tells what became of resume data that promises %s', (_name, there, promised, line) => {
    simulate(3, sim => {
      const swarm = new Swarm(sim, makeTorrent(4 * PIECE, PIECE))
      const node = swarm.add('a', {
        ...there,
        settings: ALL_LOGS,
        params: params => {
          if (promised === 'all') params.haveBits.resize(4, true)
        },
      })
      sim.run(2000)
      const lines = story(node).filter(text => text.includes('fastresume data'))
      expect(lines).toEqual([expect.stringMatching(line)])
      if (promised === 'all') expect(node.whats().includes('fastresume_rejected')).toBe(/rejected/.test(lines[0]!))
      swarm.close()
    })
  })

  test('tells of a recheck', () => {
    simulate(13, sim => {
      const swarm = new Swarm(sim, makeTorrent(4 * PIECE, PIECE))
      const node = swarm.add('a', { has: 'all', settings: ALL_LOGS })
      sim.run(2000)
      const since = node.alerts.length
      node.handle.forceRecheck()
      sim.run(2000)
      expectInOrder(story(node, since), [
        'on_force_recheck: status:',
        'on_force_recheck: starting from 0',
        'start_checking, m_checking_piece: 4',
        'on_piece_hashed, piece: 3 passed: 1',
        'on_piece_hashed, completed',
        'set_state() 5',
      ])
      swarm.close()
    })
  })

  test('tells of a piece that is wrong, and of the ban that follows', () => {
    inArena(4, { alone: true, pieces: 4, victim: { settings: ALL_LOGS } }, arena => {
      const liar = arena.attack()
      liar.seed(arena.torrent.content, ARENA_PIECE, (_request, block) => {
        block[7]! ^= 0x55
      })
      arena.sim.run(20_000)
      const [address, port] = liar.stream.local
      expectInOrder(story(arena.victim), [
        `ATTACHED CONNECTION "${address}:${port}" connections: 1 limit: -1 num-peers: 1`,
        '*** ATTACH [ attached to torrent ]',
        /PIECE_FINISHED \[ p: \d \| chk: failed \| size: 65536 \]/,
        'hash_failed',
        `*** BANNING PEER: "${address}:${port}" Too many corrupt pieces`,
        '*** BANNING_PEER [ Too many corrupt pieces ]',
        '*** CONNECTION_CLOSED [ op: 1 (bittorrent) ERROR:',
      ])
      arena.swarm.close()
    })
  })

  test('tells of a full disk, and of upload mode', () => {
    simulate(5, sim => {
      const swarm = new Swarm(sim, makeTorrent(8 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all' })
      const taker = swarm.add('leech', { settings: ALL_LOGS })
      sim.run(1000)
      taker.drive.failWrites('ENOSPC')
      taker.connectTo(seed)
      sim.run(10_000)
      expectInOrder(story(taker), [
        /PIECE_FINISHED \[ p: \d \| chk: disk failed \| size: 65536 \]/,
        /disk error: \(28\) .* \[write : file_write\] in file: /,
        'file_error',
        '*** set-upload-mode: 1',
      ])
      taker.handle.unsetFlags(TorrentFlags.uploadMode)
      sim.run(100)
      expectInOrder(story(taker), ['*** set-upload-mode: 1', '*** set-upload-mode: 0'])
      swarm.close()
    })
  })

  test.each<[string, string, NodeOptions, boolean]>([
    ['without a DHT', 'DHT: no dht initialized', {}, false],
    ['that is private', 'DHT: private torrent, no DHT announce', { settings: { enable_dht: true } }, true],
    [
      'that is told not to',
      'DHT: torrent has DHT disabled flag',
      { settings: { enable_dht: true }, params: params => void (params.flags |= TorrentFlags.disableDht) },
      false,
    ],
    [
      'that is paused',
      'DHT: torrent paused, no DHT announce',
      { settings: { enable_dht: true }, params: params => void (params.flags |= TorrentFlags.paused) },
      false,
    ],
  ])('says why one %s is not announced to the DHT', (_name, why, options, isPrivate) => {
    simulate(6, sim => {
      const swarm = new Swarm(sim, makeTorrent(4 * PIECE, PIECE, 1, [], isPrivate))
      const node = swarm.add('a', {
        ...options,
        settings: { ...ALL_LOGS, dht_bootstrap_nodes: '', ...options.settings },
      })
      sim.run(1000)
      node.handle.forceDhtAnnounce()
      sim.run(1000)
      expectInOrder(story(node), [why])
      expect(story(node).some(line => line.includes('START DHT announce'))).toBe(false)
      swarm.close()
    })
  })

  test('tells of an announce to the DHT and the peers that it brings; the session of its DHT', () => {
    simulate(20, sim => {
      const torrent = makeTorrent(4 * PIECE, PIECE)
      const router = addRouter(sim)
      const seed = new DhtSession(sim, 'seed').joined()
      sim.run(10_000)
      seed.add(torrent, 'all')
      sim.run(30_000)
      const node = new DhtSession(sim, 'leech', { settings: ALL_LOGS })
      const before = node.engine.alerts.pop().map(alert => alert.message())
      expectInOrder(before, ['not starting DHT, outstanding router lookups: 1'])
      node.joined()
      node.add(torrent, 'none')
      sim.run(30_000)
      expectInOrder(
        node.received.map(alert => alert.message()),
        [
          'starting DHT, running: false, router lookups: 0',
          'prioritizing DHT announce: "file-1"',
          'START DHT announce',
          /END DHT announce \(\d+ ms\) \(1 peers\)/,
          `DHT add_peer() [ ${seed.address} ] connect-candidates:`,
          `FOUND CONNECTION CANDIDATE [ ip: ${seed.address}:6881`,
        ],
      )
      const ended = node.received.length
      for (const each of [node, seed, router]) each.end()
      expectInOrder(
        node.received.slice(ended).map(alert => alert.message()),
        [' *** ABORT CALLED ***', 'about to stop DHT, running: true'],
      )
    })
  })

  test('tells of web seeds: looked up, connected to, refused', () => {
    simulate(21, sim => {
      const torrent = makeTorrent(4 * PIECE, PIECE)
      const server = new WebServer(sim, 'seed.test')
      const url = server.put(torrent)
      const address = server.runtime.host.addresses[0]!
      const bad = [`${url}file-1?secret`, 'http://nowhere.test/', 'ftp://seed.test/x', 'http://xn--nxasmq6b.test/']
      const node = leech(sim, torrent, [url, ...bad], {
        settings: { ...ALL_LOGS, ssrf_mitigation: true, allow_idna: false },
      })
      sim.runUntilSo(() => node.isSeeding, 60_000)
      const lines = story(node)
      expectInOrder(lines, [
        `resolving web seed: "seed.test" ${url}`,
        `completed resolve: ${url}`,
        `  -> ${address}:80`,
        `web seed connection started: [${address}:80] ${url}`,
        '(num_have: 4)',
      ])
      expectInOrder(lines, [/\*\*\* HOSTNAME LOOKUP FAILED: http:\/\/nowhere\.test\/: \(\d+\) \w+/])
      expectInOrder(lines, [`*** SSRF MITIGATION BLOCKED WEB SEED: ${bad[0]}`])
      expectInOrder(lines, [`web seed refused (unsupported URL protocol): ${bad[2]}`])
      expectInOrder(lines, [`IDNA disallowed in web seeds: ${bad[3]}`])
      const removed = node.alerts.length
      node.handle.removeUrlSeed(url)
      sim.run(100)
      expectInOrder(story(node, removed), [`removing web seed: "${url}"`])
      node.close()
    })
  })

  test('has what the user sets', () => {
    simulate(7, sim => {
      const swarm = new Swarm(sim, makeTorrent(4 * PIECE, PIECE))
      const { handle } = swarm.add('a', { settings: ALL_LOGS })
      sim.run(1000)
      handle.setMaxUploads(3)
      handle.setMaxConnections(7)
      handle.setUploadLimit(1000)
      handle.setDownloadLimit(2000)
      handle.setFlags(TorrentFlags.sequentialDownload)
      sim.run(1000)
      expectInOrder(story(swarm.nodes[0]!), [
        '*** set-max-uploads: 3',
        '*** set-max-connections: 7',
        '*** set-upload-limit: 1000',
        '*** set-download-limit: 2000',
        '*** set-sequential-download: 1',
      ])
      swarm.close()
    })
  })
})

describe('log alerts that nobody wants', () => {
  const LOGS: readonly [string, number][] = [
    ['log', AlertCategory.sessionLog],
    ['torrent_log', AlertCategory.torrentLog],
    ['peer_log', AlertCategory.peerLog],
    ['picker_log', AlertCategory.pickerLog],
  ]

  test.each(LOGS)('of the type %s are not posted, the others are', (name, category) => {
    simulate(12, sim => {
      const swarm = new Swarm(sim, makeTorrent(8 * PIECE, PIECE))
      const mask = LOGS.reduce((bits, [, bit]) => bits | bit, 0) & ~category
      const seed = swarm.add('seed', { has: 'all', settings: { alert_mask: mask } })
      const taker = swarm.add('leech', { settings: { alert_mask: mask } })
      sim.run(1000)
      taker.connectTo(seed)
      sim.runUntilSo(() => taker.isSeeding, 60_000)
      sim.run(2000)
      swarm.close()
      const posted = new Set([...seed.whats(), ...taker.whats()])
      expect(LOGS.filter(([what]) => posted.has(what)).map(([what]) => what)).toEqual(
        LOGS.filter(([what]) => what !== name).map(([what]) => what),
      )
    })
  })
})
