/** What the metrics of a session say about what it did. */

import { describe, expect, test } from 'vitest'
import type { SessionStatsAlert } from '../../src/alert/stats-alerts.ts'
import { TorrentFlags } from '../../src/core/enums.ts'
import * as S from '../../src/stats/transfer-stats.ts'
import { inArena } from './lib/arena.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeTorrent, type NodeOptions, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 64 * 1024
const NOBODY = ['10.9.9.9', 7000] as const

/** The session's metrics, as an alert brings them. */
function stats(sim: Simulation, node: SwarmNode): Record<string, number> {
  node.engine.turn.call(() => node.engine.postSessionStats())
  sim.run(1)
  return (node.alerts.filter(a => a.what() === 'session_stats').at(-1) as SessionStatsAlert).values
}

/** Of all metrics with such a name. */
function sum(values: Record<string, number>, name: RegExp): number {
  return Object.entries(values).reduce((total, [key, value]) => (name.test(key) ? total + value : total), 0)
}

describe('a transfer is seen', () => {
  test('in the reads and writes of sockets, by their sizes, and in the headers of packets', () => {
    simulate(1, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 400_000 } } })
      const leech = swarm.add('leech')
      sim.run(1000)
      leech.connectTo(seed)
      sim.run(4000)
      const [peer] = leech.engine.connections
      const down = stats(sim, leech)
      expect(down['net.on_read_counter']).toBeGreaterThan(10)
      expect(down['net.on_write_counter']).toBeGreaterThan(5)
      expect(sum(down, /^sock_bufs\.socket_recv_size/)).toBe(down['net.on_read_counter'])
      expect(sum(down, /^sock_bufs\.socket_send_size/)).toBe(down['net.on_write_counter'])
      // the handshake has 68 bytes, and with it go the messages after it
      expect(down['sock_bufs.socket_send_size6']! + down['sock_bufs.socket_send_size7']!).toBeGreaterThan(0)
      expect(down['net.sent_ip_overhead_bytes']).toBe(peer!.stats.total(S.UPLOAD_IP_OVERHEAD))
      expect(down['net.recv_ip_overhead_bytes']).toBe(peer!.stats.total(S.DOWNLOAD_IP_OVERHEAD))
      expect(down['net.sent_ip_overhead_bytes']! - down['net.recv_ip_overhead_bytes']!).toBe(40)
      expect(down['ses.num_outstanding_accept']).toBe(2)
      swarm.close()
    })
  })

  test('in the pieces that were looked at for it', () => {
    simulate(2, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all' })
      const anyOrder = swarm.add('any order')
      const inOrder = swarm.add('in order', {
        params: params => {
          params.flags |= TorrentFlags.sequentialDownload
        },
      })
      sim.run(1000)
      for (const leech of [anyOrder, inOrder]) leech.connectTo(seed)
      swarm.complete()
      const one = stats(sim, anyOrder)
      for (const kind of ['rand', 'rand_start', 'rare', 'partial', 'busy'])
        expect(one[`picker.piece_picker_${kind}_loops`], kind).toBeGreaterThan(0)
      expect(one['picker.piece_picker_sequential_loops']).toBe(0)
      expect(stats(sim, inOrder)['picker.piece_picker_sequential_loops']).toBeGreaterThan(0)
      swarm.close()
    })
  })

  test('in how long reads took, and in how often the disk called', () => {
    simulate(3, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all' })
      const leech = swarm.add('leech')
      sim.run(1000)
      leech.connectTo(seed)
      swarm.complete()
      const up = stats(sim, seed)
      expect(up['net.on_disk_counter']).toBeGreaterThan(64)
      expect(up['disk.request_latency']).toBeGreaterThan(100)
      expect(up['disk.disk_read_latency1']).toBeGreaterThan(10)
      expect(sum(up, /^disk\.disk_read_latency/)).toBeLessThanOrEqual(up['disk.num_blocks_read']!)
      swarm.close()
    })
  })

  test('in the peers that wait for the disk', () => {
    simulate(4, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all' })
      const leech = swarm.add('leech')
      sim.run(1000)
      leech.connectTo(seed)
      let waiting = 0
      for (let i = 0; i < 1000 && waiting === 0; i++) waiting = stats(sim, seed)['peer.num_peers_up_disk']!
      expect(waiting).toBe(1)
      swarm.complete()
      expect(stats(sim, seed)['peer.num_peers_up_disk']).toBe(0)
      swarm.close()
    })
  })
})

describe('picks are counted by what led to them', () => {
  test('a block that is there already', () => {
    inArena(7, { alone: true }, arena => {
      const peer = arena.attack()
      peer.seed(arena.torrent.content, PIECE)
      const send = peer.sendBlock.bind(peer)
      peer.sendBlock = (piece, begin, bytes) => {
        send(piece, begin, bytes)
        send(piece, begin, bytes)
      }
      arena.sim.run(20_000)
      const down = stats(arena.sim, arena.victim)
      expect(down['net.recv_redundant_bytes']).toBeGreaterThan(0)
      expect(down['picker.incoming_redundant_piece_picks']).toBeGreaterThan(0)
      arena.finish()
    })
  })

  test('a piece that failed its hash', () => {
    inArena(2, { alone: true }, arena => {
      for (const lies of [true, false, false]) {
        arena.attack().seed(arena.torrent.content, PIECE, (_request, block) => {
          if (lies) block[0]! ^= 1
        })
      }
      arena.sim.run(20_000)
      const down = stats(arena.sim, arena.victim)
      expect(down['ses.num_piece_failed']).toBeGreaterThan(0)
      expect(down['picker.hash_fail_piece_picks']).toBeGreaterThan(0)
      arena.finish()
    })
  })
})

describe('connections are counted', () => {
  test('by how they end', () => {
    simulate(5, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 50_000 } } })
      const leech = swarm.add('leech')
      sim.host('nobody', { addresses: [NOBODY[0]] })
      sim.run(1000)
      leech.handle.connectPeer(NOBODY)
      sim.run(1000)
      const refused = stats(sim, leech)
      expect(refused['peer.connrefused_peers']).toBe(1)
      expect(refused['peer.connect_timeouts']).toBe(1)
      leech.connectTo(seed)
      sim.run(2000)
      leech.handle.pause()
      sim.run(1000)
      expect(stats(sim, leech)['peer.uninteresting_peers']).toBe(1)
      expect(stats(sim, seed)['peer.eof_peers']).toBe(1)
      swarm.close()
    })
  })

  test('also those that are not made, for want of a peer that is due or of leave to', () => {
    simulate(6, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const waits = swarm.add('waits')
      const mayNot = swarm.add('may not', { settings: { enable_outgoing_tcp: false } })
      sim.host('nobody', { addresses: [NOBODY[0]] })
      sim.run(1000)
      for (const node of [waits, mayNot]) node.handle.connectPeer(NOBODY)
      sim.run(5000)
      const one = stats(sim, waits)
      expect(one['peer.connection_attempts']).toBe(1)
      expect(one['peer.no_peer_connection_attempts']).toBeGreaterThan(0)
      expect(one['peer.missed_connection_attempts']).toBe(0)
      const other = stats(sim, mayNot)
      expect(other['peer.connection_attempts']).toBe(0)
      expect(other['peer.missed_connection_attempts']).toBeGreaterThan(0)
      swarm.close()
    })
  })
})

describe('a torrent is counted in one state', () => {
  const states: [string, NodeOptions, (node: SwarmNode) => void, string][] = [
    ['downloading', {}, () => {}, 'downloading'],
    ['downloading in upload mode', {}, node => node.handle.setFlags(TorrentFlags.uploadMode), 'upload_only'],
    ['seeding', { has: 'all' }, () => {}, 'seeding'],
    ['seeding in upload mode', { has: 'all' }, node => node.handle.setFlags(TorrentFlags.uploadMode), 'seeding'],
    ['finished but for what is not wanted', {}, node => node.handle.prioritizeFiles([0]), 'upload_only'],
    ['paused', {}, node => node.handle.pause(), 'stopped'],
  ]
  test.each(states)('%s', (_name, options, change, state) => {
    simulate(9, sim => {
      const swarm = new Swarm(sim, makeTorrent(4 * PIECE, PIECE))
      const node = swarm.add('node', options)
      sim.run(1000)
      change(node)
      sim.run(1000)
      const values = stats(sim, node)
      const counted = Object.keys(values).filter(key => /^ses\.num_\w+_torrents$/.test(key) && values[key]! > 0)
      const own = counted.filter(key => !key.includes('filter') && !key.includes('loaded'))
      expect(own).toEqual([`ses.num_${state}_torrents`])
      swarm.close()
    })
  })
})
