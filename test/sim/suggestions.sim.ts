/** Pieces that are in memory are suggested to peers that lack them. @see BEP 6 */

import { describe, expect, test } from 'vitest'
import { PeerLogAlert } from '../../src/alert/log-alerts.ts'
import { AlertCategory, SuggestMode } from '../../src/core/enums.ts'
import { simulate } from './lib/simulation.ts'
import { makeTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 64 * 1024
const LOGS = { alert_mask: AlertCategory.peerLog }
const SUGGESTING = { ...LOGS, suggest_mode: SuggestMode.suggestReadCache, max_suggest_pieces: 8 }

/** The pieces that others have suggested to it. */
function suggested(node: SwarmNode): number[] {
  const { incomingMessage } = PeerLogAlert.Direction
  return node.alerts
    .filter(alert => alert instanceof PeerLogAlert)
    .filter(alert => alert.direction === incomingMessage && alert.eventType === PeerLogAlert.Event.suggestPiece)
    .map(alert => Number(/\d+/.exec(alert.logMessage())![0]))
}

/** A slow seed, one that has begun to download from it, and one that comes later. */
function latecomer(settings: object, check: (seed: SwarmNode, late: SwarmNode) => void): void {
  simulate(1, sim => {
    const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
    const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 200_000 } }, settings })
    const first = swarm.add('first')
    const late = swarm.add('late', { settings: LOGS })
    sim.run(1000)
    first.connectTo(seed)
    sim.run(8000)
    const begun = first.handle.status().numPieces
    expect(begun).toBeGreaterThan(3)
    expect(begun).toBeLessThan(60)
    late.connectTo(seed)
    sim.run(12_000)
    check(seed, late)
    expect(seed.isSeeding).toBe(true)
    sim.runUntilSo(() => first.isSeeding && late.isSeeding, 120_000)
    swarm.close()
  })
}

describe('a seed', () => {
  test('suggests what it has read for others, and more when that was taken up', () => {
    latecomer(SUGGESTING, (_seed, late) => {
      const pieces = suggested(late)
      expect(pieces.length).toBeGreaterThan(2)
      expect(new Set(pieces).size).toBe(pieces.length)
      const has = late.handle.status().pieces
      expect(pieces.slice(0, 2).map(piece => has[piece])).toEqual([true, true])
    })
  })

  test('suggests nothing unless it is told to', () => {
    latecomer(LOGS, (_seed, late) => expect(suggested(late)).toEqual([]))
  })
})

test('whoever has just got a piece suggests it', () => {
  simulate(2, sim => {
    const swarm = new Swarm(sim, makeTorrent(16 * PIECE, PIECE))
    const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 150_000 } } })
    const middle = swarm.add('middle', { settings: SUGGESTING })
    const end = swarm.add('end', { settings: LOGS })
    sim.run(1000)
    middle.connectTo(seed)
    sim.run(2500)
    expect(middle.handle.status().numPieces).toBeGreaterThan(2)
    end.connectTo(middle)
    sim.runUntilSo(() => middle.isSeeding && end.isSeeding, 120_000)
    expect(suggested(end).length).toBeGreaterThan(0)
    swarm.close()
  })
})
