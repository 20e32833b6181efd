/** The alerts that say in words what a session, its torrents and their peers do. */

import { describe, expect, test } from 'vitest'
import { PeerAlert } from '../../src/alert/alert.ts'
import { PeerLogAlert } from '../../src/alert/log-alerts.ts'
import { InvalidRequestAlert } from '../../src/alert/peer-alerts.ts'
import { PEER_LOG_EVENT_NAMES } from '../../src/alert/peer-log-events.ts'
import { BLOCK_SIZE } from '../../src/core/brands.ts'
import { AlertCategory } from '../../src/core/enums.ts'
import { inArena, u32 } from './lib/arena.ts'
import { PeerMessage as M } from './lib/fake-peer.ts'
import { simulate } from './lib/simulation.ts'
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

  test('shows the numbers of peers signed, as libtorrent reads them', () => {
    inArena(2, { victim: { settings: ALL_LOGS } }, arena => {
      const peer = arena.attackAfterHandshake()
      peer.send(M.interested)
      peer.send(M.request, u32(0xffffffff, 0x80000000, BLOCK_SIZE))
      peer.send(M.reject, u32(0xfffffffe, 16, BLOCK_SIZE))
      peer.send(M.cancel, u32(0xfffffffd, 16, BLOCK_SIZE))
      peer.send(M.suggest, u32(0xfffffffc))
      peer.send(M.allowedFast, u32(0xfffffffb))
      peer.send(M.have, u32(0xfffffffa))
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
