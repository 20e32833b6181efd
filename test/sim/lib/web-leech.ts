/** A session that downloads from web seeds. */

import { expect } from 'vitest'
import { PeerDisconnectedAlert, PeerErrorAlert } from '../../../src/alert/peer-alerts.ts'
import { UrlSeedAlert } from '../../../src/alert/tracker-alerts.ts'
import type { Simulation } from './simulation.ts'
import { type NodeOptions, type SimTorrent, Swarm, type SwarmNode } from './swarm.ts'

export function leech(
  sim: Simulation,
  torrent: SimTorrent,
  urls: readonly string[],
  options: NodeOptions = {},
): SwarmNode {
  return new Swarm(sim, torrent).add('leech', {
    ...options,
    params: params => {
      params.urlSeeds.push(...urls)
      options.params?.(params)
    },
  })
}

/** Waits until the torrent is whole, and looks at what is on disk. */
export function complete(sim: Simulation, node: SwarmNode, torrent: SimTorrent, limitMs = 60_000): void {
  sim.runUntilSo(() => node.isSeeding, limitMs, 'the download')
  node.close()
  expect(node.holds(torrent)).toBe(true)
}

/** The errors of the web seed alerts that came, with their URLs. */
export function complaints(node: SwarmNode): string[] {
  return node.alerts
    .filter(alert => alert instanceof UrlSeedAlert)
    .map(alert => `${alert.serverUrl()}: ${alert.error.message()}`)
}

/** Why connections ended. */
export function ends(node: SwarmNode): string[] {
  const gone = node.alerts.filter(alert => alert instanceof PeerDisconnectedAlert || alert instanceof PeerErrorAlert)
  return gone.map(alert => alert.error.message())
}
