/** The alerts that say in words what a session, its torrents and their peers do. */

import { describe, expect, test } from 'vitest'
import { PeerLogAlert } from '../../src/alert/log-alerts.ts'
import { PEER_LOG_EVENT_NAMES } from '../../src/alert/peer-log-events.ts'
import { BLOCK_SIZE } from '../../src/core/brands.ts'
import { AlertCategory, TorrentFlags } from '../../src/core/enums.ts'
import type { Arena } from './lib/arena.ts'
import { ARENA_PIECE, inArena, u32 } from './lib/arena.ts'
import { FakePeer, PeerMessage } from './lib/fake-peer.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import { simulate } from './lib/simulation.ts'
import { makeTorrent, type NodeOptions, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 64 * 1024
const ALL_LOGS = { alert_mask: AlertCategory.all }

/** All that a node has told since its alert number `since`, in order. Also what came before anybody listened. */
function story(node: SwarmNode, since = 0): string[] {
  return node.alerts.slice(since).map(alert => `${alert.what()} ${alert.message()}`)
}

/** Each of these is in the story, after the one before it. */
function expectInOrder(lines: readonly string[], parts: readonly (string | RegExp)[]): void {
  let at = 0
  for (const part of parts) {
    const found = lines.findIndex(
      (line, i) => i >= at && (typeof part === 'string' ? line.includes(part) : part.test(line)),
    )
    if (found < 0) {
      const early = lines.findIndex(line => (typeof part === 'string' ? line.includes(part) : part.test(line)))
      throw new Error(`${early < 0 ? 'missing' : 'too early'}: ${part}; after: ${lines[at - 1] ?? 'the start'}`)
    }
    at = found + 1
  }
}

/** The messages in the log of a node's peers, by their names. */
function messages(node: SwarmNode, direction: PeerLogAlert.Direction): string[] {
  const alerts = node.alerts.filter(alert => alert instanceof PeerLogAlert && alert.direction === direction)
  return alerts.map(alert => PEER_LOG_EVENT_NAMES[(alert as PeerLogAlert).eventType]!)
}

describe('the log of peers', () => {
  test('has what each side sent as what the other got', () => {
    simulate(1, sim => {
      const swarm = new Swarm(sim, makeTorrent(16 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all', settings: ALL_LOGS })
      const leech = swarm.add('leech', { settings: ALL_LOGS })
      const other = swarm.add('other', { has: [1, 2, 3] })
      sim.run(1000)
      leech.connectTo(seed)
      sim.runUntilSo(() => leech.isSeeding, 60_000)
      sim.run(2000)
      const { incomingMessage, outgoingMessage } = PeerLogAlert.Direction
      for (const [from, to] of [
        [seed, leech],
        [leech, seed],
      ] as const) {
        // the bits of the handshake may still be without a torrent when they come, and have a name of their own
        const sent = messages(from, outgoingMessage).filter(name => name !== 'HANDSHAKE')
        const got = messages(to, incomingMessage)
        // the last ones are sent to someone who has hung up: seeds want nothing of each other
        expect(got).toEqual(sent.slice(0, got.length))
        expect(sent.length - got.length).toBeLessThan(15)
      }
      expect(messages(leech, incomingMessage).filter(name => name === 'PIECE').length).toBe(64)
      expect(messages(seed, incomingMessage).filter(name => name === 'REQUEST').length).toBe(64)
      expect(new Set(messages(leech, incomingMessage))).toContain('EXTENDED_HANDSHAKE')
      expect(messages(other, incomingMessage)).toEqual([])
      swarm.close()
    })
  })
})

describe('the log of a torrent', () => {
  test('tells of adding, announcing, connecting, picking, pieces, pausing and a tracker that fails', () => {
    simulate(2, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker'))
      const swarm = new Swarm(sim, makeTorrent(4 * PIECE, PIECE, 1, [tracker.httpUrl]))
      swarm.add('seed', { has: 'all' })
      sim.run(3000)
      const leech = swarm.add('leech', { settings: ALL_LOGS, host: { addresses: ['10.9.0.1'] } })
      sim.runUntilSo(() => leech.isSeeding, 60_000)
      const url = tracker.httpUrl
      expectInOrder(story(leech), [
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
      const paused = leech.alerts.length
      leech.handle.pause()
      sim.run(2000)
      tracker.failure = 'go away'
      leech.handle.resume()
      sim.run(2000)
      expectInOrder(story(leech, paused), [
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
    inArena(4, { alone: true, pieces: 4, victim: { settings: ALL_LOGS } }, (arena: Arena) => {
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
      const leech = swarm.add('leech', { settings: ALL_LOGS })
      sim.run(1000)
      leech.drive.failWrites('ENOSPC')
      leech.connectTo(seed)
      sim.run(10_000)
      expectInOrder(story(leech), [
        /PIECE_FINISHED \[ p: \d \| chk: disk failed \| size: 65536 \]/,
        /disk error: \(28\) .* \[write : file_write\] in file: /,
        'file_error',
        '*** set-upload-mode: 1',
      ])
      leech.handle.unsetFlags(TorrentFlags.uploadMode)
      sim.run(100)
      expectInOrder(story(leech), ['*** set-upload-mode: 1', '*** set-upload-mode: 0'])
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

describe('the log of a peer', () => {
  test('says why a connection is not made', () => {
    simulate(14, sim => {
      const swarm = new Swarm(sim, makeTorrent(4 * PIECE, PIECE))
      const node = swarm.add('a', { settings: ALL_LOGS })
      const nobody = sim.host('nobody')
      sim.run(1000)
      node.handle.connectPeer([nobody.host.addresses[0]!, 6881])
      sim.run(60_000)
      expectInOrder(story(node), [
        '>>> ASYNC_CONNECT [ dst: 10.0.2.1:6881 ]',
        '*** CONNECTION_FAILED [ 10.0.2.1:6881 ERROR: (system:',
        /\*\*\* CONNECTION_FAILED \[ op: \d+ \(connect\) ERROR: \(system:/,
        'peer_disconnected',
      ])
      swarm.close()
    })
  })

  test('says how long it waited before it gave up', () => {
    inArena(15, { alone: true, pieces: 4, victim: { settings: ALL_LOGS } }, arena => {
      arena.attack({ greets: false })
      arena.attackAfterHandshake()
      arena.sim.run(200_000)
      const lines = story(arena.victim)
      expectInOrder(lines, [
        /\*\*\* NO_HANDSHAKE \[ waited 1\d seconds \]/,
        /CONNECTION_CLOSED \[ op: 1 \(bittorrent\) ERROR: \(libtorrent:\d+\) timed out: no handshake/,
        /\*\*\* LAST_ACTIVITY \[ 12\d seconds ago \]/,
      ])
      arena.swarm.close()
    })
  })

  test('says what is wrong with what the peer sends', () => {
    inArena(16, { alone: true, pieces: 4, victim: { has: [0, 1], settings: ALL_LOGS } }, arena => {
      const peer = arena.attackAfterHandshake()
      peer.send(PeerMessage.cancel, u32(0, 0, BLOCK_SIZE))
      peer.send(PeerMessage.reject, u32(0, 0, BLOCK_SIZE))
      peer.send(PeerMessage.reject, u32(7, 0, BLOCK_SIZE))
      peer.send(PeerMessage.suggest, u32(1))
      peer.send(PeerMessage.allowedFast, u32(1))
      peer.sendRequest(3, 0, BLOCK_SIZE)
      arena.sim.run(500)
      peer.sendHave(2)
      peer.sendHave(2)
      peer.sendHave(99)
      arena.sim.run(500)
      expectInOrder(story(arena.victim), [
        '*** INVALID_CANCEL [ got cancel not in the queue ]',
        '*** REJECT [ piece not in request queue (0, 0) ]',
        '*** REJECT [ invalid reject message (7, 0, 16384) ]',
        '*** INVALID_SUGGEST [ 1 ]',
        '*** INVALID_ALLOWED_FAST [ 1 ]',
        '*** INVALID_REQUEST [ peer is not interested i: 0 t: 65536 n: 4 h: 0 block_limit: 16384 ]',
        '*** INTERESTED [ artificial incoming INTERESTED message ]',
        '*** INVALID_REQUEST [ i: 1 t: 65536 n: 4 h: 0 block_limit: 16384 ]',
        '<<< HAVE [ got redundant HAVE message for index: 2 ]',
        '*** INVALID_HAVE [ have-metadata have_piece: 99 size: 4 ]',
        '*** PEER_ERROR [ op: 1 (bittorrent) ERROR: (libtorrent:',
      ])
      arena.swarm.close()
    })
  })

  test('tells of a peer that is late, and of slots that are taken', () => {
    const settings = { ...ALL_LOGS, unchoke_slots_limit: 0, request_timeout: 3 }
    inArena(17, { alone: true, pieces: 16, victim: { has: [0], settings } }, arena => {
      const peer = arena.attackAfterHandshake()
      peer.send(PeerMessage.haveAll)
      peer.send(PeerMessage.interested)
      peer.send(PeerMessage.unchoke)
      arena.sim.run(10_000)
      expectInOrder(story(arena.victim), [
        '*** UNCHOKE [ did not unchoke, the number of uploads (0) is more than or equal to the available slots (0), limit (0) ]',
        '==> REQUEST',
        /\*\*\* PIECE_REQUEST_TIMED_OUT \[ \d+ time: \d+ to: \d+ \]/,
        'peer_snubbed',
      ])
      arena.swarm.close()
    })
  })
})

describe('the pace of a peer', () => {
  test('is in its log: the window of requests, and the end of slow start', () => {
    simulate(18, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 200_000 } } })
      const leech = swarm.add('leech', { settings: ALL_LOGS })
      sim.run(1000)
      leech.connectTo(seed)
      sim.runUntilSo(() => leech.isSeeding, 60_000)
      expectInOrder(story(leech), [
        /\*\*\* SLOW_START \[ exit slow start: prev-dl: \d+ dl: \d+ \]/,
        /\*\*\* UPDATE_QUEUE_SIZE \[ dqs: \d+ max: 2000 dl: \d{6} qt: 3 snubbed: 0 slow-start: 0 \]/,
      ])
      swarm.close()
    })
  })

  test('of choking: rounds are in the log of the session, optimistic slots in that of the peer', () => {
    simulate(19, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const settings = { ...ALL_LOGS, unchoke_slots_limit: 2 }
      const seed = swarm.add('seed', { has: 'all', settings, host: { up: { bytesPerSecond: 20_000 } } })
      for (const n of [1, 2, 3, 4]) swarm.add(`leech ${n}`, { host: { addresses: [`81.0.0.${n}`] } })
      sim.run(1000)
      for (const node of swarm.nodes.slice(1)) node.connectTo(seed)
      sim.run(60_000)
      expectInOrder(story(seed), [
        'ATTACHED CONNECTION',
        /^log RECALCULATE UNCHOKE SLOTS: \[ peers: 4 eligible-peers: 4 allowed-slots: 2 \]$/,
      ])
      expect(story(seed).some(line => /OPTIMISTIC_UNCHOKE \[ session-time: \d+ \]/.test(line))).toBe(true)
      swarm.close()
    })
  })
})

describe('the log of a session', () => {
  test('tells of its start and its end', () => {
    simulate(8, sim => {
      const swarm = new Swarm(sim, makeTorrent(4 * PIECE, PIECE))
      const node = swarm.add('a', { settings: ALL_LOGS, host: { addresses: ['10.9.0.1'] } })
      // nobody listened yet
      const start = node.engine.alerts.pop().map(alert => alert.message())
      expectInOrder(start, [
        'start session',
        'version: 2.1.0.0 revision: ',
        'max-connections: ',
        'reopen listen sockets',
        'update listen interfaces: 10.9.0.1:6881',
        'parsed listen interfaces count: 1, ifaces: 10.9.0.1:6881',
        /^attempting to open listen socket to: 10\.9\.0\.1:6881 on device: .*accept-incoming/,
        ' done starting session',
      ])
      sim.run(1000)
      expectInOrder(story(node), [' listening on: 10.9.0.1 TCP port: 6881 UDP port: 6881'])
      const before = node.alerts.length
      node.engine.turn.call(() => node.engine.applySettings({ upload_rate_limit: 1000 }))
      node.engine.turn.call(() => node.engine.setPaused(true))
      sim.run(1000)
      node.close()
      expectInOrder(story(node, before), [
        'applying settings pack, reopen_listen_port=false',
        ' *** session paused ***',
        ' *** ABORT CALLED ***',
        ' aborting all torrents (1)',
        ' aborting all tracker requests',
        'torrent_removed',
      ])
    })
  })

  test('tells of a port that is taken, and of the one that is not', () => {
    simulate(9, sim => {
      const swarm = new Swarm(sim, makeTorrent(4 * PIECE, PIECE))
      const first = swarm.add('a', { host: { addresses: ['10.9.0.1'] } })
      sim.run(100)
      const second = swarm.addOn(first.runtime, 'b', { settings: { ...ALL_LOGS, max_retry_port_bind: 3 } })
      sim.run(1000)
      expectInOrder(story(second), [
        /failed to bind listen socket to: 10\.9\.0\.1:6881 on device: .* \[system\] \(98\) .* \(retries: 3\)/,
        'attempting to open listen socket to: 10.9.0.1:6882',
        ' listening on: 10.9.0.1 TCP port: 6882 UDP port: 6882',
      ])
      swarm.close()
    })
  })

  test.each<[string, string, (node: SwarmNode) => void]>([
    ['while it is paused', 'log <== INCOMING CONNECTION [ ignored, paused ]', node => node.engine.setPaused(true)],
    [
      'without torrents',
      'log <== INCOMING CONNECTION [ rejected, there are no torrents ]',
      node => node.engine.removeTorrent(node.handle.torrent(), 0),
    ],
    [
      'over its limit',
      'log <== INCOMING CONNECTION [ connections limit exceeded, conns: 0, limit: 2, slack: -2 ]',
      node => node.engine.applySettings({ connections_limit: 2, connections_slack: -2 }),
    ],
    [
      'for a torrent that is paused',
      '*** ATTACH [ rejected connection: torrent paused ]',
      node => node.handle.torrent().pause(false),
    ],
  ])('says why a connection is not taken %s', (_name, why, prepare) => {
    simulate(10, sim => {
      const torrent = makeTorrent(4 * PIECE, PIECE)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('a', { settings: ALL_LOGS })
      sim.run(1000)
      node.engine.turn.call(() => prepare(node))
      const peer = FakePeer.connect(sim.host('peer'), node.endpoint, { infoHash: torrent.infoHash.toBytes() })
      sim.run(2000)
      expect(peer.closed).not.toBeNull()
      expectInOrder(story(node), [why])
      swarm.close()
    })
  })

  test('a connection for a torrent that it does not have says so', () => {
    simulate(11, sim => {
      const swarm = new Swarm(sim, makeTorrent(4 * PIECE, PIECE))
      const node = swarm.add('a', { settings: ALL_LOGS })
      sim.run(1000)
      FakePeer.connect(sim.host('peer'), node.endpoint, { infoHash: new Uint8Array(20).fill(0xab) })
      sim.run(2000)
      expectInOrder(story(node), [
        '<<< CONNECTION [ ep: 10.0.2.1:',
        `*** ATTACH [ couldn't find a torrent with the given info_hash: ${'ab'.repeat(20)} ]`,
        '*** CONNECTION_FAILED [ op: 1 (bittorrent) ERROR: (libtorrent:',
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
      const leech = swarm.add('leech', { settings: { alert_mask: mask } })
      sim.run(1000)
      leech.connectTo(seed)
      sim.runUntilSo(() => leech.isSeeding, 60_000)
      sim.run(2000)
      swarm.close()
      const posted = new Set([...seed.whats(), ...leech.whats()])
      expect(LOGS.filter(([what]) => posted.has(what)).map(([what]) => what)).toEqual(
        LOGS.filter(([what]) => what !== name).map(([what]) => what),
      )
    })
  })
})
