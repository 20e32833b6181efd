/** The alerts that say in words what goes over connections, and what becomes of them. */

import { describe, expect, test } from 'vitest'
import { PeerAlert } from '../../src/alert/alert.ts'
import { PeerLogAlert } from '../../src/alert/log-alerts.ts'
import { InvalidRequestAlert } from '../../src/alert/peer-alerts.ts'
import { PEER_LOG_EVENT_NAMES } from '../../src/alert/peer-log-events.ts'
import { BLOCK_SIZE } from '../../src/core/brands.ts'
import { AlertCategory } from '../../src/core/enums.ts'
import { inArena, u32 } from './lib/arena.ts'
import { PeerMessage } from './lib/fake-peer.ts'
import { simulate } from './lib/simulation.ts'
import { expectInOrder, story } from './lib/story.ts'
import { makeTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 64 * 1024
const ALL_LOGS = { alert_mask: AlertCategory.all }

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

  test('shows the numbers of peers signed, as libtorrent reads them', () => {
    inArena(2, { victim: { settings: ALL_LOGS } }, arena => {
      const peer = arena.attackAfterHandshake()
      peer.send(PeerMessage.interested)
      peer.send(PeerMessage.request, u32(0xffffffff, 0x80000000, BLOCK_SIZE))
      peer.send(PeerMessage.reject, u32(0xfffffffe, 16, BLOCK_SIZE))
      peer.send(PeerMessage.cancel, u32(0xfffffffd, 16, BLOCK_SIZE))
      peer.send(PeerMessage.suggest, u32(0xfffffffc))
      peer.send(PeerMessage.allowedFast, u32(0xfffffffb))
      peer.send(PeerMessage.have, u32(0xfffffffa))
      arena.sim.run(1000)
      const own = arena.victim.alerts.filter(alert => alert instanceof PeerAlert && alert.ep[0].startsWith('81.'))
      const refused = own.filter(alert => alert instanceof InvalidRequestAlert)
      expect(refused.map(({ request }) => [request.piece, request.start, request.length])).toEqual([
        [-1, -0x80000000, BLOCK_SIZE],
      ])
      expect(refused[0]!.message()).toContain(
        'peer sent an invalid piece request (piece: -1 start: -2147483648 len: 16384)',
      )
      const log = own.filter(alert => alert instanceof PeerLogAlert)
      const text = (name: string, direction: PeerLogAlert.Direction) =>
        log.find(a => a.direction === direction && PEER_LOG_EVENT_NAMES[a.eventType] === name)?.logMessage()
      const { incomingMessage, outgoingMessage } = PeerLogAlert.Direction
      expect(text('REQUEST', incomingMessage)).toBe('piece: -1 s: 80000000 l: 4000')
      expect(text('REJECT', outgoingMessage)).toBe('piece: -1 | s: -2147483648 | l: 16384')
      expect(text('REJECT', incomingMessage)).toBe('piece: -2 s: 10 l: 4000')
      expect(text('CANCEL', incomingMessage)).toBe('piece: -3 s: 10 l: 4000')
      expect(text('SUGGEST_PIECE', incomingMessage)).toBe('piece: -4')
      expect(text('ALLOWED_FAST', incomingMessage)).toBe('-5')
      expect(text('HAVE', incomingMessage)).toBe('piece: -6')
      arena.finish()
    })
  })
})
