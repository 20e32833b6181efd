import { describe, expect, test } from 'vitest'
import { TorrentFlags } from '../../src/core/enums.ts'
import { LibtorrentErrors } from '../../src/core/error-table.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { CreateTorrent } from '../../src/metainfo/create-torrent.ts'
import { loadTorrentBuffer } from '../../src/metainfo/load-torrent.ts'
import { simulate } from './lib/simulation.ts'
import { makeFilesTorrent, makeTorrent, type SimTorrent, Swarm } from './lib/swarm.ts'

const PIECE = 64 * 1024

/** A hybrid torrent whose v1 hashes are all wrong. */
function wrongV1(): SimTorrent {
  const torrent = makeFilesTorrent([5 * PIECE + 100, PIECE], PIECE, 0)
  const ti = loadTorrentBuffer(torrent.file).ti!
  const first = Buffer.from(ti.hashForPiece(0)).toString('latin1')
  const text = Buffer.from(torrent.file).toString('latin1')
  const at = text.indexOf(first)
  const file = Buffer.from(torrent.file)
  file.fill(0x31, at, at + 20 * ti.numPieces())
  return { ...torrent, file, infoHash: loadTorrentBuffer(file).ti!.infoHashes().v1 }
}

const disableV1 = (params: { flags: number }) => {
  params.flags |= TorrentFlags.disableV1Hashes
}

describe('a hybrid torrent', () => {
  test('whose hashes do not agree stops with an error', () => {
    simulate(1, sim => {
      const swarm = new Swarm(sim, wrongV1())
      const seed = swarm.add('seed', { has: 'all' })
      sim.run(5000)
      expect(seed.handle.status().errc.value()).toBe(LibtorrentErrors.torrentInconsistentHashes)
      swarm.close()
    })
  })

  test('is checked by its v2 hashes alone if that was asked for when it was added', () => {
    simulate(2, sim => {
      const swarm = new Swarm(sim, wrongV1())
      const seed = swarm.add('seed', { has: 'all', params: disableV1 })
      const leech = swarm.add('leech', { params: disableV1 })
      sim.run(5000)
      expect(seed.handle.status().isSeeding).toBe(true)
      leech.connectTo(seed)
      swarm.complete(60_000)
      expect(leech.whats()).not.toContain('hash_failed')
      expect(leech.handle.flags() & TorrentFlags.disableV1Hashes).not.toBe(0)
      leech.handle.unsetFlags(TorrentFlags.disableV1Hashes)
      expect(leech.handle.flags() & TorrentFlags.disableV1Hashes).not.toBe(0)
      leech.handle.forceRecheck()
      sim.run(5000)
      expect(leech.handle.status()).toMatchObject({ isSeeding: true, progress: 1 })
      expect(leech.handle.getResumeData().flags & TorrentFlags.disableV1Hashes).not.toBe(0)
      swarm.close()
    })
  })
})

test('a v1 torrent is checked by its v1 hashes, whatever was asked for', () => {
  simulate(3, sim => {
    const torrent = makeTorrent(3 * PIECE, PIECE)
    const file = Buffer.from(torrent.file)
    file.fill(0x31, file.length - 42, file.length - 22)
    const swarm = new Swarm(sim, { ...torrent, file, infoHash: loadTorrentBuffer(file).ti!.infoHashes().v1 })
    const node = swarm.add('a', { has: 'all', params: disableV1 })
    sim.run(5000)
    expect(node.handle.status()).toMatchObject({ isSeeding: false, numPieces: 2 })
    expect(node.handle.flags() & TorrentFlags.disableV1Hashes).toBe(0)
    swarm.close()
  })
})

describe('metadata with hashes', () => {
  test.each([
    ['v2', CreateFlags.v2Only],
    ['hybrid', 0],
  ])('of a %s torrent in a session makes the same torrent again', (_, flags) => {
    simulate(4, sim => {
      const torrent = makeFilesTorrent([5 * PIECE + 100, PIECE, 5], PIECE, flags)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('a', { has: 'all' })
      sim.run(2000)
      const loaded = loadTorrentBuffer(torrent.file)
      const layers = node.handle.pieceLayers()
      expect(layers.map(layer => layer.length)).toEqual(
        Array.from({ length: loaded.ti!.numFiles() }, (_, i) => loaded.ti!.pieceLayer(i).length),
      )
      const whole = node.handle.torrentFileWithHashes()!
      expect(whole).not.toBe(node.handle.torrentFile())
      expect(whole.v2PieceHashesVerified()).toBe(true)
      expect(layers.map((_, i) => whole.pieceLayer(i))).toEqual(layers)
      const again = loadTorrentBuffer(new CreateTorrent(whole).generateBuf())
      expect(again.infoHashes.equals(loaded.infoHashes)).toBe(true)
      expect(again.merkleTrees).toEqual(loaded.merkleTrees)
      swarm.close()
    })
  })

  test('of a v1 torrent has none, and is a copy', () => {
    simulate(5, sim => {
      const swarm = new Swarm(sim, makeTorrent(3 * PIECE, PIECE))
      const node = swarm.add('a', { has: 'all' })
      sim.run(2000)
      expect(node.handle.pieceLayers()).toEqual([])
      expect(node.handle.torrentFileWithHashes()!.infoHashes().equals(node.handle.infoHashes())).toBe(true)
      swarm.close()
    })
  })

  test('is not to be had while the piece hashes are not known', () => {
    simulate(6, sim => {
      const torrent = makeFilesTorrent([5 * PIECE, PIECE], PIECE, 0)
      const swarm = new Swarm(sim, torrent)
      const magnet = swarm.add('a', {
        params: params => {
          params.ti = null
          params.merkleTrees = []
          params.merkleTreeMask = []
        },
      })
      sim.run(1000)
      expect(magnet.handle.torrentFileWithHashes()).toBeNull()
      expect(magnet.handle.pieceLayers()).toEqual([])
      expect(magnet.handle.setMetadata(loadTorrentBuffer(torrent.file).ti!.infoSection())).toBe(true)
      expect(magnet.handle.torrentFileWithHashes()).toBeNull()
      expect(magnet.handle.pieceLayers().map(layer => layer.length)).toEqual([0, 32])
      swarm.close()
    })
  })
})
