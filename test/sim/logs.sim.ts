/** The alerts that say in words what a session, its torrents and their peers do. */

import { describe, expect, test } from 'vitest'
import { PeerLogAlert } from '../../src/alert/log-alerts.ts'
import { PEER_LOG_EVENT_NAMES } from '../../src/alert/peer-log-events.ts'
import { AlertCategory } from '../../src/core/enums.ts'
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
})
