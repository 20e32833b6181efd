import { describe, expect, test } from 'vitest'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeFilesTorrent, makeTorrent, type NodeOptions, type SimTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'
import { WebServer } from './lib/web-server.ts'

const PIECE = 64 * 1024

function leech(sim: Simulation, torrent: SimTorrent, urls: readonly string[], options: NodeOptions = {}): SwarmNode {
  return new Swarm(sim, torrent).add('leech', {
    ...options,
    params: params => {
      params.urlSeeds.push(...urls)
      options.params?.(params)
    },
  })
}

/** Waits until the torrent is whole, and looks at what is on disk. */
function complete(sim: Simulation, node: SwarmNode, torrent: SimTorrent, limitMs = 60_000): void {
  sim.runUntilSo(() => node.isSeeding, limitMs, 'the download')
  node.close()
  expect(node.holds(torrent)).toBe(true)
}

describe('a download from a web seed alone', () => {
  test('of one file', () => {
    simulate(1, sim => {
      const torrent = makeTorrent(3_000_000, PIECE)
      const server = new WebServer(sim, 'seed.test')
      const node = leech(sim, torrent, [server.put(torrent)])
      complete(sim, node, torrent)
      expect(server.bytes).toBe(3_000_000)
      expect(new Set(server.served.map(({ connection }) => connection)).size).toBe(1)
    })
  })

  const layouts: readonly (readonly [string, number])[] = [
    ['v1', CreateFlags.v1Only],
    ['v2', CreateFlags.v2Only],
    ['hybrid', 0],
  ]
  for (const [kind, flags] of layouts) {
    test(`of several files, ${kind}`, () => {
      simulate(2, sim => {
        const torrent = makeFilesTorrent([100_000, 1, 0, 300_000, PIECE, 20_000, 70_000], PIECE, flags)
        const server = new WebServer(sim, 'seed.test')
        const node = leech(sim, torrent, [server.put(torrent, '/a/b/')])
        complete(sim, node, torrent)
        expect(server.bytes).toBe(100_000 + 1 + 300_000 + PIECE + 20_000 + 70_000)
        expect(server.served.some(({ path }) => path.includes('.pad'))).toBe(false)
      })
    })
  }
})
