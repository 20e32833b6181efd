import { describe, expect, test } from 'vitest'
import type { SaveResumeDataAlert } from '../../src/alert/storage-alerts.ts'
import { HashFailedAlert } from '../../src/alert/torrent-alerts.ts'
import { Bitfield } from '../../src/core/bitfield.ts'
import { TorrentFlags } from '../../src/core/enums.ts'
import type { AddTorrentParams } from '../../src/metainfo/add-torrent-params.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { readResumeData } from '../../src/metainfo/resume-read.ts'
import { writeResumeDataBuf } from '../../src/metainfo/resume-write.ts'
import { TorrentHandle } from '../../src/session/torrent-handle.ts'
import { TorrentStatus } from '../../src/torrent/torrent-status.ts'
import { SimDrive } from './lib/sim-disk.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeFilesTorrent, makeTorrent, type SimTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const MIB = 1 << 20
const PIECE = 64 * 1024
const SLOW = { up: { bytesPerSecond: 200_000 } }

/** Saves resume data and sends it through its file format. */
function save(sim: Simulation, node: SwarmNode, flags = 0): AddTorrentParams {
  const before = node.alerts.length
  node.handle.saveResumeData(flags)
  const found = () => node.alerts.slice(before).find(alert => alert.what() === 'save_resume_data')
  sim.runUntilSo(() => found() !== undefined, 60_000, 'resume data')
  return readResumeData(writeResumeDataBuf((found() as SaveResumeDataAlert).params))
}

/** Starts a session from resume data and nothing else but the torrent file's metadata. */
function from(resume: AddTorrentParams): (params: AddTorrentParams) => void {
  return params => {
    const ti = resume.ti ?? params.ti
    Object.assign(params, resume)
    params.ti = ti
  }
}

/** Lets a leech get about `part` of the torrent, then stops both and gives its resume data. */
function half(sim: Simulation, torrent: SimTorrent, part: number, stop: (node: SwarmNode) => void = () => {}) {
  const swarm = new Swarm(sim, torrent)
  const seed = swarm.add('seed', { has: 'all', host: SLOW })
  const leech = swarm.add('leech')
  sim.run(1000)
  leech.connectTo(seed)
  sim.runUntilSo(() => leech.handle.status().totalPayloadDownload > torrent.content.length * part, 600_000)
  stop(leech)
  return { swarm, seed, leech }
}

describe('half-finished pieces', () => {
  test.each([
    ['a running torrent', () => {}],
    ['a paused torrent', (node: SwarmNode) => node.handle.pause()],
  ])('survive close and restart through resume data of %s', (_name, stop) => {
    simulate(1, sim => {
      const torrent = makeTorrent(6 * MIB, 2 * MIB)
      const { swarm, seed, leech } = half(sim, torrent, 0.4, stop)
      const resume = save(sim, leech, TorrentHandle.flushDiskCache)
      const unfinished = [...resume.unfinishedBits.values()].reduce((n, bits) => n + bits.count(), 0)
      expect(unfinished).toBeGreaterThan(10)
      const first = leech.handle.status()
      leech.close()
      const again = swarm.restart(leech, { params: from(resume) })
      again.handle.unsetFlags(TorrentFlags.paused)
      again.handle.resume()
      sim.run(500)
      const status = again.handle.status()
      expect(status.state).toBe(TorrentStatus.State.downloading)
      expect(status.totalDone).toBeGreaterThanOrEqual(unfinished * 16384)
      expect(again.whats()).not.toContain('fastresume_rejected')
      again.connectTo(seed)
      swarm.complete(120_000)
      // nothing that was there came again
      const got = first.totalPayloadDownload + again.handle.status().totalPayloadDownload
      expect(got).toBeLessThan(torrent.content.length * 1.15)
      expect(again.whats()).not.toContain('hash_failed')
      swarm.close()
      expect(again.holds(torrent)).toBe(true)
    })
  })

  test('survive a pause without any resume data', () => {
    simulate(2, sim => {
      const torrent = makeTorrent(6 * MIB, 2 * MIB)
      const { swarm, seed, leech } = half(sim, torrent, 0.4)
      const { totalDone } = leech.handle.status()
      leech.handle.pause()
      sim.run(10_000)
      expect(leech.handle.status().totalDone).toBeGreaterThanOrEqual(totalDone)
      leech.handle.resume()
      leech.connectTo(seed)
      swarm.complete(120_000)
      expect(leech.handle.status().totalPayloadDownload).toBeLessThan(torrent.content.length * 1.1)
      swarm.close()
      expect(leech.holds(torrent)).toBe(true)
    })
  })

  test('a piece whose blocks are all on disk is hashed at the start', () => {
    simulate(3, sim => {
      const torrent = makeTorrent(4 * PIECE, PIECE)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('a', { has: [0, 2] })
      sim.run(2000)
      const resume = save(sim, node)
      node.close()
      resume.haveBits.clearBit(2)
      resume.unfinishedBits.set(2, resume.haveBits.clone())
      resume.unfinishedBits.get(2)!.setAll()
      const again = swarm.restart(node, { params: from(resume) })
      sim.run(2000)
      expect(again.handle.havePiece(2)).toBe(true)
      expect(again.handle.status().numPieces).toBe(2)
      swarm.close()
    })
  })
})

describe('resume data', () => {
  test('carries pieces, priorities, trackers, peers, bans, names, limits and flags', () => {
    simulate(4, sim => {
      const torrent = makeFilesTorrent([3 * PIECE, 2 * PIECE, 5 * PIECE], PIECE)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('a', { has: [0, 1, 5] })
      sim.run(2000)
      const { handle } = node
      handle.prioritizeFiles([1, 0, 7])
      handle.piecePriority(8, 3)
      handle.addTracker({ url: 'http://one.test/announce', tier: 0 })
      handle.addTracker({ url: 'http://two.test/announce', tier: 2 })
      handle.connectPeer(['10.9.9.9', 7000])
      handle.renameFile(1, 'elsewhere/renamed')
      handle.setUploadLimit(12_345)
      handle.setDownloadLimit(54_321)
      handle.setMaxConnections(17)
      handle.setMaxUploads(5)
      handle.setFlags(TorrentFlags.sequentialDownload)
      const { torrent: inner } = { torrent: handle.torrent() }
      node.engine.turn.call(() => inner.swarm.ban(inner.swarm.addPeer(['10.8.8.8', 9000], 0)!))
      sim.run(2000)
      const resume = save(sim, node, TorrentHandle.saveInfoDict)
      expect(resume.ti).not.toBeNull()
      node.close()
      const again = swarm.restart(node, { params: from(resume) })
      sim.run(2000)
      const next = again.handle
      expect(again.whats()).not.toContain('fastresume_rejected')
      expect(
        next
          .status()
          .pieces.map((has, i) => (has ? i : -1))
          .filter(i => i >= 0),
      ).toEqual([0, 1, 5])
      expect(next.getFilePriorities()).toEqual([1, 0, 7])
      expect(next.piecePriority(8)).toBe(3)
      expect(next.piecePriority(4)).toBe(0)
      expect(next.trackers().map(({ url, tier }) => [url, tier])).toEqual([
        ['http://one.test/announce', 0],
        ['http://two.test/announce', 2],
      ])
      expect(next.getRenamedFiles().filePath(torrentInfo(next).layout(), 1)).toBe('elsewhere/renamed')
      expect([next.uploadLimit(), next.downloadLimit(), next.maxConnections(), next.maxUploads()]).toEqual([
        12_345, 54_321, 17, 5,
      ])
      expect(next.flags() & TorrentFlags.sequentialDownload).not.toBe(0)
      const back = save(sim, again)
      expect(back.bannedPeers).toEqual([['10.8.8.8', 9000]])
      swarm.close()
    })
  })

  test('of a torrent in seed mode knows which pieces were looked at', () => {
    simulate(5, sim => {
      const torrent = makeTorrent(8 * PIECE, PIECE)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', {
        has: 'all',
        host: { up: { bytesPerSecond: 60_000 } },
        params: params => {
          params.flags |= TorrentFlags.seedMode
        },
      })
      const leech = swarm.add('leech')
      sim.run(1000)
      expect(seed.handle.status().state).toBe(TorrentStatus.State.seeding)
      leech.connectTo(seed)
      sim.runUntilSo(() => leech.handle.status().numPieces >= 3, 60_000)
      const resume = save(sim, seed)
      const verified = resume.verifiedBits.count()
      expect(verified).toBeGreaterThanOrEqual(3)
      expect(verified).toBeLessThan(8)
      expect(resume.flags & TorrentFlags.seedMode).not.toBe(0)
      seed.close()
      const again = swarm.restart(seed, { params: from(resume) })
      sim.run(1000)
      expect(again.handle.status().verifiedPieces.filter(Boolean).length).toBe(verified)
      leech.connectTo(again)
      swarm.complete(120_000)
      swarm.close()
    })
  })

  test.each([
    ['v2', CreateFlags.v2Only],
    ['hybrid', 0],
  ])('of a %s torrent has the trees by which its pieces are checked', (_name, flags) => {
    simulate(6, sim => {
      const torrent = makeFilesTorrent([5 * PIECE + 100, PIECE / 2, 3 * PIECE], PIECE, flags)
      const { swarm, seed, leech } = half(sim, torrent, 0.3)
      const resume = save(sim, leech, TorrentHandle.saveInfoDict)
      expect(resume.ti!.fileTrees()).toBeNull()
      leech.close()
      const again = swarm.restart(leech, { params: from(resume) })
      sim.run(1000)
      expect(again.handle.status().errc.failed()).toBe(false)
      expect(again.handle.status().numPieces).toBeGreaterThan(0)
      expect(again.handle.pieceLayers()[0]!.length).toBe(6 * 32)
      again.connectTo(seed)
      swarm.complete(120_000)
      again.handle.forceRecheck()
      sim.run(5000)
      expect(again.handle.status().isSeeding).toBe(true)
      // once more, from what was made from resume data
      const second = save(sim, again, TorrentHandle.saveInfoDict)
      expect(second.merkleTrees).toEqual(resume.merkleTrees)
      swarm.close()
    })
  })

  test('of a v2 torrent without its trees is as good: peers have them', () => {
    simulate(7, sim => {
      const torrent = makeFilesTorrent([5 * PIECE, 3 * PIECE], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const first = swarm.add('a', { has: [0, 1, 6] })
      const seed = swarm.add('seed', { has: 'all' })
      sim.run(1000)
      const resume = save(sim, first, TorrentHandle.saveInfoDict)
      first.close()
      resume.merkleTrees = []
      const again = swarm.restart(first, { params: from(resume) })
      sim.run(1000)
      expect(again.handle.status().numPieces).toBe(3)
      expect(again.handle.pieceLayers().map(layer => layer.length)).toEqual([0, 0])
      again.connectTo(seed)
      swarm.complete(60_000)
      expect(again.handle.status().totalPayloadDownload).toBe(5 * PIECE)
      expect(again.handle.pieceLayers().map(layer => layer.length)).toEqual([5 * 32, 3 * 32])
      swarm.close()
    })
  })

  test('is refused when nothing it would hold has changed', () => {
    simulate(8, sim => {
      const swarm = new Swarm(sim, makeTorrent(4 * PIECE, PIECE))
      const node = swarm.add('a', { has: 'all' })
      sim.run(2000)
      save(sim, node)
      expect(node.handle.needSaveResumeData()).toBe(false)
      expect(node.handle.status().needSaveResumeData).toBe(0)
      const failed = () => node.alerts.filter(alert => alert.what() === 'save_resume_data_failed').length
      node.handle.saveResumeData(TorrentHandle.onlyIfModified)
      sim.run(100)
      expect(failed()).toBe(1)
      node.handle.setMaxUploads(3)
      expect(node.handle.needSaveResumeData(TorrentHandle.ifConfigChanged)).toBe(true)
      expect(node.handle.needSaveResumeData(TorrentHandle.ifDownloadProgress)).toBe(false)
      node.handle.saveResumeData(TorrentHandle.ifDownloadProgress)
      sim.run(100)
      expect(failed()).toBe(2)
      save(sim, node, TorrentHandle.onlyIfModified)
      node.handle.pause()
      expect(node.handle.needSaveResumeData(TorrentHandle.ifStateChanged)).toBe(true)
      expect(node.handle.needSaveResumeData(TorrentHandle.ifConfigChanged)).toBe(false)
      swarm.close()
    })
  })

  test('that promises files which are not there is rejected, and the torrent checked', () => {
    simulate(9, sim => {
      const torrent = makeTorrent(4 * PIECE, PIECE)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('a', { has: 'all' })
      sim.run(2000)
      const resume = save(sim, node)
      swarm.close()
      const other = new Swarm(sim, torrent).add('b', { params: from(resume) })
      sim.run(2000)
      expect(other.whats()).toContain('fastresume_rejected')
      expect(other.handle.status().numPieces).toBe(0)
      expect(other.handle.status().state).toBe(TorrentStatus.State.downloading)
      other.close()
    })
  })

  test('made in the middle of a check goes on where the check was', () => {
    simulate(10, sim => {
      const torrent = makeTorrent(64 * MIB, MIB)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('a', { has: 'all' })
      sim.runUntilSo(() => node.handle.status().progress > 0.2, 60_000)
      expect(node.handle.status().state).toBe(TorrentStatus.State.checkingFiles)
      const resume = save(sim, node)
      expect(resume.haveBits.size()).toBeGreaterThan(0)
      expect(resume.haveBits.size()).toBeLessThan(64)
      expect(resume.haveBits.allSet()).toBe(true)
      node.close()
      const again = swarm.restart(node, { params: from(resume) })
      sim.run(50)
      expect(again.handle.status().numPieces).toBe(resume.haveBits.size())
      swarm.complete(60_000)
      swarm.close()
    })
  })
})

function torrentInfo(handle: TorrentHandle) {
  return handle.torrentFile()!
}

test.each([
  ['v1', CreateFlags.v1Only],
  ['v2', CreateFlags.v2Only],
  ['hybrid', 0],
])('blocks on disk that turn out to be bad are no fault of who sent the others (%s)', (_kind, flags) => {
  simulate(6, sim => {
    // 25,000 bytes at the end of the file are followed by padding if v2 has a say
    const torrent = makeFilesTorrent([2 * PIECE + 25_000, PIECE], PIECE, flags)
    const swarm = new Swarm(sim, torrent)
    const seed = swarm.add('seed', { has: 'all', host: SLOW })
    const drive = new SimDrive()
    for (const piece of [0, 2]) {
      const bytes = torrent.content.slice(piece * PIECE, (piece + 1) * PIECE)
      bytes[100]! ^= 1
      drive.fill('/save', `.${torrent.infoHash}.parts`, new Map([[piece, bytes]]))
    }
    const leech = swarm.add('leech', {
      drive,
      params: params => {
        params.haveBits = new Bitfield(params.ti!.numPieces())
        params.unfinishedPieces = { 0: [true, false, false, false], 2: [true, false] }
      },
    })
    leech.connectTo(seed)
    swarm.complete(60_000)
    expect(
      leech.alerts
        .filter(alert => alert instanceof HashFailedAlert)
        .map(alert => alert.pieceIndex)
        .sort(),
    ).toEqual([0, 2])
    expect(leech.whats()).not.toContain('peer_ban')
    swarm.close()
    expect(leech.holds(torrent)).toBe(true)
  })
})
