import { describe, expect, test } from 'vitest'
import { TorrentFlags } from '../../src/core/enums.ts'
import type { SettingsPack } from '../../src/settings/pack-type.ts'
import { simulate } from './lib/simulation.ts'
import { makeTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 64 * 1024
const LIMIT = 300_000
/** Peers count as local to the session, and local peers have no limits, if they are in private networks. */
const FAR = (n: number) => ({ addresses: [`81.2.${n >> 8}.${(n & 255) + 1}`] })

/** One session and `count` others, all with addresses of the public network. */
function swarmOf(
  sim: Parameters<Parameters<typeof simulate>[1]>[0],
  count: number,
  what: 'seeds' | 'leeches',
  settings: SettingsPack,
): { swarm: Swarm; node: SwarmNode } {
  const swarm = new Swarm(sim, makeTorrent(120 * PIECE, PIECE))
  const many: SettingsPack = { connection_speed: 500, unchoke_slots_limit: -1, connections_limit: 500 }
  const node = swarm.add('one', {
    ...(what === 'leeches' ? { has: 'all' as const } : {}),
    host: FAR(0),
    settings: { ...many, ...settings },
  })
  for (let i = 1; i <= count; i++) {
    swarm.add(`${i}`, {
      ...(what === 'seeds' ? { has: 'all' as const } : {}),
      host: FAR(i),
      settings: many,
      // nothing is hashed but what is asked for
      params: params => {
        if (what === 'seeds') params.flags |= TorrentFlags.seedMode
      },
    })
  }
  sim.run(3000)
  for (const other of swarm.nodes.slice(1)) other.connectTo(node)
  return { swarm, node }
}

/** Payload in ten seconds, per second. */
function rate(sim: { run(ms: number): void }, node: SwarmNode, direction: 'up' | 'down'): number {
  const total = () => {
    const status = node.handle.status()
    return direction === 'up' ? status.totalUpload : status.totalDownload
  }
  const before = total()
  sim.run(10_000)
  return (total() - before) / 10
}

function expectWithin5Percent(actual: number, limit: number): void {
  expect(actual).toBeGreaterThan(limit * 0.95)
  expect(actual).toBeLessThan(limit * 1.05)
}

describe.each([1, 200])('with %i peers, ten seconds keep to within 5 percent', peers => {
  const limit = peers === 1 ? LIMIT : 400_000

  test('the download limit of the session', () => {
    simulate(1, sim => {
      const { swarm, node } = swarmOf(sim, peers, 'seeds', { download_rate_limit: limit })
      sim.run(4000)
      expectWithin5Percent(rate(sim, node, 'down'), limit)
      swarm.close()
    })
  })

  test('the upload limit of the session', () => {
    simulate(2, sim => {
      const { swarm, node } = swarmOf(sim, peers, 'leeches', { upload_rate_limit: limit })
      sim.run(4000)
      expectWithin5Percent(rate(sim, node, 'up'), limit)
      swarm.close()
    })
  })
})

describe('a limit', () => {
  test('the download limit of the torrent, set while it runs', () => {
    simulate(3, sim => {
      const { swarm, node } = swarmOf(sim, 20, 'seeds', {})
      node.handle.setDownloadLimit(LIMIT)
      sim.run(4000)
      expectWithin5Percent(rate(sim, node, 'down'), LIMIT)
      swarm.close()
    })
  })

  test('the upload limit of the torrent, set while it runs', () => {
    simulate(4, sim => {
      const { swarm, node } = swarmOf(sim, 20, 'leeches', {})
      node.handle.setUploadLimit(LIMIT)
      sim.run(4000)
      expectWithin5Percent(rate(sim, node, 'up'), LIMIT)
      swarm.close()
    })
  })

  test('that is lowered, raised and lifted counts at once', () => {
    simulate(5, sim => {
      const { swarm, node } = swarmOf(sim, 1, 'seeds', { download_rate_limit: 150_000 })
      sim.run(4000)
      expectWithin5Percent(rate(sim, node, 'down'), 150_000)
      node.engine.turn.call(() => node.engine.applySettings({ download_rate_limit: 300_000 }))
      sim.run(2000)
      expectWithin5Percent(rate(sim, node, 'down'), 300_000)
      node.engine.turn.call(() => node.engine.applySettings({ download_rate_limit: 0 }))
      swarm.complete(20_000)
      swarm.close()
    })
  })

  test('does not hold back peers of the local network', () => {
    simulate(6, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all' })
      const leech = swarm.add('leech', { settings: { download_rate_limit: 10_000 } })
      sim.run(1000)
      leech.connectTo(seed)
      swarm.complete(60_000)
      swarm.close()
    })
  })
})
