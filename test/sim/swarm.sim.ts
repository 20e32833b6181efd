import { describe, expect, test } from 'vitest'
import { type BlockUploadedAlert, IncomingRequestAlert } from '../../src/alert/peer-alerts.ts'
import { AlertCategory, TorrentFlags } from '../../src/core/enums.ts'
import { FakePeer } from './lib/fake-peer.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeTorrent, Swarm } from './lib/swarm.ts'

const PIECE = 64 * 1024

/** Connects each node to the one before it. */
function chain(swarm: Swarm): void {
  for (let i = 1; i < swarm.nodes.length; i++) swarm.nodes[i]!.connectTo(swarm.nodes[i - 1]!)
}

function finish(swarm: Swarm): void {
  swarm.close()
  for (const node of swarm.nodes) expect(node.holds(swarm.torrent), node.name).toBe(true)
}

describe('a swarm', () => {
  test('one seed and one leech', () => {
    simulate(1, sim => {
      const swarm = new Swarm(sim, makeTorrent(1_000_000, PIECE))
      const seed = swarm.add('seed', { has: 'all' })
      swarm.add('leech').connectTo(seed)
      swarm.complete(60_000)
      finish(swarm)
    })
  })

  test('tells of each block that is asked for and sent, if that is wanted', () => {
    simulate(1, sim => {
      const torrent = makeTorrent(1_000_000, PIECE)
      const swarm = new Swarm(sim, torrent)
      const { upload, blockProgress, incomingRequest } = AlertCategory
      const settings = { alert_mask: upload | blockProgress | incomingRequest, alert_queue_size: 10_000 }
      const seed = swarm.add('seed', { has: 'all', settings })
      const leech = swarm.add('leech', { settings })
      leech.connectTo(seed)
      swarm.complete(60_000)
      const every: string[] = []
      for (let at = 0; at < torrent.content.length; at += 16384) {
        every.push(`${Math.floor(at / PIECE)} ${(at % PIECE) / 16384}`)
      }
      const told = (node: typeof seed, what: string) =>
        node.alerts
          .filter(alert => alert.what() === what)
          .map(alert => alert as BlockUploadedAlert)
          .map(({ pieceIndex, blockIndex }) => `${pieceIndex} ${blockIndex}`)
          .sort()
      expect(told(seed, 'block_uploaded')).toEqual(every.toSorted())
      expect(told(leech, 'block_downloading')).toEqual(every.toSorted())
      expect(told(leech, 'block_finished')).toEqual(every.toSorted())
      const requests = seed.alerts.filter(alert => alert instanceof IncomingRequestAlert)
      expect(new Set(requests.map(({ req }) => `${req.piece} ${req.start / 16384}`)).size).toBe(every.length)
      finish(swarm)
    })
  })

  test('one seed and fifty leeches, found through a tracker', () => {
    simulate(2, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker'))
      const swarm = new Swarm(sim, makeTorrent(2_000_000, PIECE, 1, [tracker.httpUrl]))
      const line = { up: { bytesPerSecond: 500_000 }, down: { bytesPerSecond: 2_000_000 } }
      swarm.add('seed', { has: 'all', host: line })
      sim.run(2000)
      for (let i = 0; i < 50; i++) swarm.add(`leech ${i}`, { host: line })
      swarm.complete(600_000)
      finish(swarm)
      expect(tracker.members(swarm.torrent.infoHash.toString())).toBe(0)
    })
  })

  test('a chain of sessions passes the data on', () => {
    simulate(3, sim => {
      const swarm = new Swarm(sim, makeTorrent(500_000, PIECE))
      swarm.add('seed', { has: 'all' })
      for (let i = 0; i < 5; i++) swarm.add(`leech ${i}`)
      chain(swarm)
      swarm.complete(600_000)
      finish(swarm)
    })
  })

  test('sessions that each have a part complete each other', () => {
    simulate(4, sim => {
      const swarm = new Swarm(sim, makeTorrent(12 * PIECE, PIECE))
      swarm.add('a', { has: [0, 1, 2, 3] })
      swarm.add('b', { has: [4, 5, 6, 7] })
      swarm.add('c', { has: [8, 9, 10, 11] })
      chain(swarm)
      swarm.nodes[2]!.connectTo(swarm.nodes[0]!)
      swarm.complete(120_000)
      finish(swarm)
    })
  })
})

describe('a bad network', () => {
  test.each([1, 2, 3])('loses packets, is slow and uneven (seed %i)', seed => {
    simulate(seed, sim => {
      const swarm = new Swarm(sim, makeTorrent(1_000_000, PIECE))
      sim.net.setDefaultPath({ latencyMs: 80, loss: 0.03 })
      swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 200_000 } } })
      for (let i = 0; i < 4; i++) swarm.add(`leech ${i}`, { host: { up: { bytesPerSecond: 30_000 * (i + 1) } } })
      for (const a of swarm.nodes) for (const b of swarm.nodes) if (a.name < b.name) a.connectTo(b)
      swarm.complete(600_000)
      finish(swarm)
    })
  })

  test('a partition is outlived', () => {
    simulate(5, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker'), { intervalSeconds: 60 })
      const swarm = new Swarm(sim, makeTorrent(4_000_000, PIECE, 1, [tracker.httpUrl]))
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 100_000 } } })
      sim.run(2000)
      swarm.add('leech')
      sim.run(10_000)
      const heal = sim.net.partition([seed.runtime.host])
      sim.run(300_000)
      expect(swarm.nodes[1]!.isSeeding).toBe(false)
      heal()
      swarm.complete(1_200_000)
      finish(swarm)
    })
  })
})

describe('trouble', () => {
  test('a peer that sends bad pieces is banned, and the rest complete', () => {
    simulate(6, sim => {
      const torrent = makeTorrent(16 * PIECE, PIECE)
      const swarm = new Swarm(sim, torrent)
      const liar = sim.host('liar')
      let sent = 0
      FakePeer.listen(liar, ['0.0.0.0', 6881], { infoHash: torrent.infoHash.toBytes() }, peer => {
        peer.seed(torrent.content, PIECE, (_request, block) => {
          sent++
          block[0]! ^= 1
        })
      })
      const leeches = [swarm.add('a'), swarm.add('b')]
      sim.run(1000)
      for (const leech of leeches) leech.connectTo({ endpoint: [liar.host.addresses[0]!, 6881] })
      sim.run(20_000)
      expect(sent).toBeGreaterThan(0)
      const seed = swarm.add('seed', { has: 'all' })
      for (const leech of leeches) leech.connectTo(seed)
      swarm.complete(300_000)
      for (const leech of leeches) {
        expect(leech.whats()).toContain('hash_failed')
        expect(leech.whats()).toContain('peer_ban')
      }
      finish(swarm)
    })
  })

  test('a full disk stops the torrent with an error, and room lets it go on', () => {
    simulate(7, sim => {
      const swarm = new Swarm(sim, makeTorrent(1_000_000, PIECE))
      const seed = swarm.add('seed', { has: 'all' })
      const leech = swarm.add('leech')
      leech.drive.freeBytes = 5 * PIECE
      leech.connectTo(seed)
      sim.run(30_000)
      expect(leech.whats()).toContain('file_error')
      expect(leech.isSeeding).toBe(false)
      leech.drive.freeBytes = Number.POSITIVE_INFINITY
      leech.handle.clearError()
      leech.handle.unsetFlags(TorrentFlags.uploadMode)
      leech.handle.resume()
      leech.connectTo(seed)
      swarm.complete(300_000)
      finish(swarm)
    })
  })

  test('a disk that hangs for a minute loses nothing', () => {
    simulate(8, sim => {
      const swarm = new Swarm(sim, makeTorrent(2_000_000, PIECE))
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 200_000 } } })
      const leech = swarm.add('leech')
      leech.connectTo(seed)
      sim.run(4000)
      leech.drive.hang()
      sim.run(60_000)
      leech.drive.unhang()
      leech.connectTo(seed)
      swarm.complete(300_000)
      finish(swarm)
    })
  })

  test('a tracker that is down is asked again, and then it works', () => {
    simulate(9, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker'))
      tracker.silent = true
      const swarm = new Swarm(sim, makeTorrent(300_000, PIECE, 1, [tracker.udpUrl]))
      swarm.add('seed', { has: 'all' })
      const leech = swarm.add('leech')
      sim.run(120_000)
      expect(leech.whats()).toContain('tracker_error')
      tracker.silent = false
      swarm.complete(1_200_000)
      expect(tracker.announces.some(({ event }) => event === 'started')).toBe(true)
      finish(swarm)
      expect(tracker.announces.some(({ event }) => event === 'stopped')).toBe(true)
    })
  })

  test('a session that was closed half-way goes on from its disk', () => {
    simulate(10, sim => {
      const swarm = new Swarm(sim, makeTorrent(2_000_000, PIECE))
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 200_000 } } })
      const first = swarm.add('leech')
      first.connectTo(seed)
      sim.run(5000)
      first.close()
      const second = swarm.restart(first)
      sim.run(3000)
      const { progress } = second.handle.status()
      expect(progress).toBeGreaterThan(0.2)
      expect(progress).toBeLessThan(0.9)
      second.connectTo(seed)
      swarm.complete(120_000)
      finish(swarm)
    })
  })
})

describe('replay', () => {
  function run(seed: number): string {
    const sim: Simulation = simulate(seed, world => {
      const swarm = new Swarm(world, makeTorrent(600_000, PIECE))
      world.net.setDefaultPath({ latencyMs: 30, loss: 0.01 })
      swarm.add('seed', { has: 'all' })
      for (let i = 0; i < 4; i++) swarm.add(`leech ${i}`)
      for (const node of swarm.nodes.slice(1)) node.connectTo(swarm.nodes[0]!)
      swarm.complete(120_000)
      finish(swarm)
    })
    return sim.log.digest
  }

  test('the same seed gives the same log, and another seed another', () => {
    expect(run(21)).toBe(run(21))
    expect(run(21)).not.toBe(run(22))
  })
})
