import { describe, expect, test } from 'vitest'
import type { FileErrorAlert } from '../../src/alert/storage-alerts.ts'
import { TorrentFlags } from '../../src/core/enums.ts'
import { SES_NUM_OUTGOING_EXTENDED } from '../../src/stats/counter-ids.ts'
import { TorrentStatus } from '../../src/torrent/torrent-status.ts'
import { simulate } from './lib/simulation.ts'
import { addTorrent, makeTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 64 * 1024
const ENOSPC = 28
const EIO = 5

function fileErrors(node: SwarmNode): FileErrorAlert[] {
  return node.alerts.filter(alert => alert.what() === 'file_error') as FileErrorAlert[]
}

describe('a full disk', () => {
  test.each([
    ['whole pieces', PIECE, 5 * PIECE],
    ['half-finished pieces', 16 * PIECE, 5 * PIECE],
  ])('puts an auto-managed torrent in upload mode, and room lets it go on by itself: %s', (_name, length, free) => {
    simulate(1, sim => {
      const torrent = makeTorrent(48 * PIECE, length)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 500_000 } } })
      const leech = swarm.add('leech', {
        settings: { optimistic_disk_retry: 60 },
        params: params => {
          params.flags |= TorrentFlags.autoManaged
        },
      })
      sim.run(1000)
      leech.drive.freeBytes = free
      leech.connectTo(seed)
      sim.run(40_000)
      const errors = fileErrors(leech)
      expect(errors.length).toBeGreaterThan(0)
      expect(errors[0]!.error.value()).toBe(ENOSPC)
      expect(errors[0]!.error.category().name()).toBe('system')
      const status = leech.handle.status()
      expect(status.flags & TorrentFlags.uploadMode).not.toBe(0)
      expect(status.flags & TorrentFlags.paused).toBe(0)
      expect(status.errc.failed()).toBe(false)
      expect(status.state).toBe(TorrentStatus.State.downloading)
      leech.drive.freeBytes = Number.POSITIVE_INFINITY
      swarm.complete(300_000)
      expect(leech.whats()).not.toContain('hash_failed')
      swarm.close()
      expect(leech.holds(torrent)).toBe(true)
    })
  })

  test('of one torrent leaves the others of the session alone', () => {
    simulate(2, sim => {
      const swarm = new Swarm(sim, makeTorrent(32 * PIECE, PIECE, 1))
      const other = makeTorrent(32 * PIECE, PIECE, 2)
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 1_000_000 } } })
      const leech = swarm.add('leech')
      const seeding = addTorrent(seed, other, '/other', 'all')
      const second = addTorrent(leech, other, '/other')
      sim.run(1000)
      leech.drive.failWrites('ENOSPC', path => path === '/save')
      leech.connectTo(seed)
      second.connectPeer(seed.endpoint)
      sim.runUntilSo(() => second.status().isSeeding, 60_000)
      expect(seeding.status().isSeeding).toBe(true)
      expect(leech.handle.status().flags & TorrentFlags.uploadMode).not.toBe(0)
      leech.drive.failWrites(null)
      leech.handle.unsetFlags(TorrentFlags.uploadMode)
      leech.connectTo(seed)
      swarm.complete(120_000)
      swarm.close()
    })
  })
})

describe('a disk that fails', () => {
  test('when a piece is read for a peer, stops the torrent with the error; clearing it and resuming goes on', () => {
    simulate(3, sim => {
      const swarm = new Swarm(sim, makeTorrent(16 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 100_000 } } })
      const leech = swarm.add('leech')
      sim.run(1000)
      leech.connectTo(seed)
      sim.run(3000)
      const told = () => seed.engine.counters.get(SES_NUM_OUTGOING_EXTENDED)
      const before = told()
      seed.drive.failure = 'EIO'
      sim.run(5000)
      // lt_donthave, for the piece that could not be read
      expect(told()).toBeGreaterThan(before)
      const status = seed.handle.status()
      expect(status.errc.value()).toBe(EIO)
      expect(status.flags & TorrentFlags.paused).not.toBe(0)
      expect(status.numPeers).toBe(0)
      expect(status.errorFile).toBe(0)
      const whats = seed.whats()
      expect(whats.filter(what => what === 'torrent_error')).toHaveLength(1)
      expect(whats.filter(what => what === 'torrent_paused')).toHaveLength(1)
      expect(whats).toContain('file_error')
      seed.drive.failure = null
      seed.handle.clearError()
      seed.handle.resume()
      leech.connectTo(seed)
      swarm.complete(200_000)
      swarm.close()
    })
  })

  test('when files are checked, stops the check; it is done anew after the error is cleared', () => {
    simulate(4, sim => {
      const swarm = new Swarm(sim, makeTorrent(16 * PIECE, PIECE))
      const node = swarm.add('a', { has: 'all' })
      sim.run(2000)
      node.drive.failure = 'EIO'
      node.handle.forceRecheck()
      sim.run(2000)
      expect(node.handle.status().errc.value()).toBe(EIO)
      expect(node.handle.status().flags & TorrentFlags.paused).not.toBe(0)
      expect(fileErrors(node)).toHaveLength(1)
      node.drive.failure = null
      node.handle.resume()
      swarm.complete(30_000)
      expect(node.handle.status().errc.failed()).toBe(false)
      swarm.close()
    })
  })
})

describe('a storage that hangs for a minute', () => {
  test('leaves the other torrents 80 % of their rate', () => {
    simulate(5, sim => {
      const rate = 700_000
      const swarm = new Swarm(sim, makeTorrent(64 * 16 * PIECE, 16 * PIECE, 1))
      const other = makeTorrent(64 * 16 * PIECE, 16 * PIECE, 2)
      const first = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: rate } } })
      const leech = swarm.add('leech')
      const otherSeed = new Swarm(sim, other).add('other seed', { has: 'all', host: { up: { bytesPerSecond: rate } } })
      const second = addTorrent(leech, other, '/other')
      sim.run(3000)
      leech.connectTo(first)
      second.connectPeer(otherSeed.endpoint)
      sim.run(5000)
      const before = second.status().totalPayloadDownload
      sim.run(10_000)
      const usual = second.status().totalPayloadDownload - before
      expect(usual).toBeGreaterThan(rate * 8)
      leech.drive.hang(path => path === '/save')
      const start = second.status().totalPayloadDownload
      sim.run(60_000)
      const during = second.status().totalPayloadDownload - start
      // what comes in that minute is more than all the memory for blocks
      expect(during).toBeGreaterThan(leech.engine.disk.slots.budget * 16384)
      expect(during / 6).toBeGreaterThan(usual * 0.8)
      leech.drive.unhang()
      const held = leech.handle.status().totalPayloadDownload
      sim.run(5000)
      expect(leech.handle.status().totalPayloadDownload - held).toBeGreaterThan(rate * 2)
      otherSeed.close()
      swarm.close()
    })
  })
})
