import { describe, expect, test } from 'vitest'
import { BlockFinishedAlert } from '../../src/alert/peer-alerts.ts'
import { PieceFinishedAlert, TorrentErrorAlert } from '../../src/alert/torrent-alerts.ts'
import { BLOCK_SIZE } from '../../src/core/brands.ts'
import { AlertCategory, TorrentFlags } from '../../src/core/enums.ts'
import { LibtorrentErrors as E } from '../../src/core/error-table.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { readResumeData } from '../../src/metainfo/resume-read.ts'
import { writeResumeDataBuf } from '../../src/metainfo/resume-write.ts'
import * as C from '../../src/stats/counter-ids.ts'
import { TorrentHandleFlags } from '../../src/torrent/handle-flags.ts'
import { buildResumeParams } from '../../src/torrent/resume-state.ts'
import { FakePeer, PeerMessage } from './lib/fake-peer.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeFilesTorrent, type SimTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'
import { AllHashes, answerHashes, HASH_REJECT, HASH_REQUEST, rejectHashes, torrentOf, withoutLayers } from './lib/v2.ts'

const PIECE = 4 * BLOCK_SIZE
const HYBRID = 0
/** Seeds stay when all that is wanted is there. */
const KEEP = { close_redundant_connections: false }

interface Source {
  readonly peer: FakePeer
  readonly asked: () => number
}

/** A peer that has everything but tells no hashes, or all of them. */
function source(sim: Simulation, torrent: SimTorrent, to: SwarmNode, address: string, hashes?: AllHashes): Source {
  const peer = FakePeer.connect(sim.host(address, { addresses: [address] }), to.endpoint, {
    infoHash: torrent.infoHash.toBytes(),
    peerId: Buffer.from(`-XX0000-${address.padEnd(12, '-')}`),
  })
  peer.seed(torrent.content, PIECE)
  if (hashes === undefined) rejectHashes(peer)
  else answerHashes(peer, hashes)
  return { peer, asked: () => peer.messages.filter(({ id }) => id === HASH_REQUEST).length }
}

/** A session that has downloaded all but a piece of a torrent whose piece hashes it cannot learn. */
function parked(
  sim: Simulation,
  sizes: readonly number[],
  without: number,
  settings = {},
  flags: number = CreateFlags.v2Only,
) {
  const torrent = makeFilesTorrent(sizes, PIECE, flags)
  const swarm = new Swarm(sim, torrent)
  const leech = swarm.add('leech', { params: withoutLayers, settings: { ...KEEP, ...settings } })
  leech.handle.piecePriority(without, 0)
  const rejecter = source(sim, torrent, leech, '81.2.0.1')
  const wanted = torrent.content.length - PIECE
  sim.runUntilSo(() => leech.handle.status().totalDone === wanted, 20_000, 'the pieces')
  sim.run(1000)
  return { torrent, swarm, leech, rejecter }
}

function slotsInUse(node: SwarmNode): number {
  return node.engine.disk.slots.inUse
}

function resumeData(node: SwarmNode): Uint8Array {
  return node.engine.turn.call(() => writeResumeDataBuf(buildResumeParams(torrentOf(node), true)))
}

describe('pieces that wait for their hashes', () => {
  test('hold no memory for blocks, and leave none behind', () => {
    simulate(1, sim => {
      const { torrent, swarm, leech } = parked(sim, [8 * PIECE], 0)
      expect(leech.handle.status().numPieces).toBe(0)
      expect(slotsInUse(leech)).toBe(0)
      source(sim, torrent, leech, '81.2.0.2', new AllHashes(torrent))
      sim.runUntilSo(() => leech.handle.status().numPieces === 7, 60_000, 'the hashes')
      leech.handle.piecePriority(0, 4)
      swarm.complete(60_000)
      expect(slotsInUse(leech)).toBe(0)
      swarm.close()
      expect(leech.holds(torrent)).toBe(true)
    })
  })

  test('count once, and are told of once', () => {
    simulate(2, sim => {
      const settings = { alert_mask: AlertCategory.blockProgress | AlertCategory.pieceProgress }
      const { torrent, swarm, leech } = parked(sim, [8 * PIECE], 0, settings)
      expect(leech.alerts.filter(alert => alert instanceof PieceFinishedAlert)).toEqual([])
      source(sim, torrent, leech, '81.2.0.2', new AllHashes(torrent))
      leech.handle.piecePriority(0, 4)
      swarm.complete(60_000)
      const pieces = leech.alerts.filter(alert => alert instanceof PieceFinishedAlert).map(alert => alert.pieceIndex)
      expect(pieces.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
      const blocks = leech.alerts.filter(alert => alert instanceof BlockFinishedAlert)
      expect(new Set(blocks.map(({ pieceIndex, blockIndex }) => `${pieceIndex}:${blockIndex}`)).size).toBe(32)
      expect(blocks).toHaveLength(32)
      expect(leech.engine.counters.get(C.SES_NUM_PIECE_PASSED)).toBe(8)
      expect(leech.engine.counters.get(C.SES_NUM_HAVE_PIECES)).toBe(8)
      swarm.close()
    })
  })

  test.each(['at once', 'after a restart', 'after a recheck', 'after a pause'])(
    'are right when the hashes come: %s',
    when => {
      simulate(3, sim => {
        const world = parked(sim, [8 * PIECE], 0)
        const { torrent, swarm } = world
        let { leech } = world
        if (when === 'after a restart') {
          const data = resumeData(leech)
          expect(readResumeData(data).unfinishedBits.size).toBe(7)
          leech.close()
          leech = swarm.restart(leech, {
            settings: KEEP,
            params: params => void Object.assign(params, readResumeData(data), { savePath: params.savePath }),
          })
        } else if (when === 'after a recheck') leech.handle.forceRecheck()
        else if (when === 'after a pause') {
          leech.handle.pause()
          sim.run(5000)
          leech.handle.resume()
        }
        sim.run(5000)
        expect(leech.handle.status().numPieces).toBe(0)
        expect(slotsInUse(leech)).toBe(0)
        const asked: number[] = []
        const { peer } = source(sim, torrent, leech, '81.2.0.2', new AllHashes(torrent))
        const before = peer.onMessage
        peer.onMessage = message => {
          asked.push(...peer.requests.map(({ piece }) => piece))
          before(message)
        }
        sim.runUntilSo(() => leech.handle.status().numPieces === 7, 60_000, 'the hashes')
        expect(leech.handle.status().state).toBe(4)
        leech.handle.piecePriority(0, 4)
        swarm.complete(60_000)
        // what was on disk was not fetched again
        expect([...new Set(asked)]).toEqual([0])
        swarm.close()
        expect(leech.holds(torrent)).toBe(true)
      })
    },
  )

  test('may be unwanted, and become had all the same', () => {
    simulate(4, sim => {
      const { torrent, swarm, leech } = parked(sim, [8 * PIECE], 0)
      for (let piece = 1; piece < 5; piece++) leech.handle.piecePriority(piece, 0)
      source(sim, torrent, leech, '81.2.0.2', new AllHashes(torrent))
      sim.runUntilSo(() => leech.handle.status().numPieces === 7, 60_000, 'the hashes')
      torrentOf(leech).content!.picker!.checkInvariant()
      expect(leech.handle.status().isFinished).toBe(true)
      swarm.close()
    })
  })

  test('are not read for anybody, and may be given again by the user', () => {
    simulate(5, sim => {
      const { torrent, swarm, leech } = parked(sim, [8 * PIECE], 0)
      const spoilt = torrent.content.slice(3 * PIECE, 4 * PIECE)
      spoilt[9]! ^= 1
      leech.handle.addPiece(3, spoilt, TorrentHandleFlags.overwriteExisting)
      sim.run(1000)
      leech.handle.addPiece(3, torrent.content.slice(3 * PIECE, 4 * PIECE), TorrentHandleFlags.overwriteExisting)
      // without the flag what is there stays
      leech.handle.addPiece(4, spoilt)
      sim.run(1000)
      expect(leech.handle.status().numPieces).toBe(0)
      source(sim, torrent, leech, '81.2.0.2', new AllHashes(torrent))
      sim.runUntilSo(() => leech.handle.status().numPieces === 7, 60_000, 'the hashes')
      expect(leech.whats()).not.toContain('hash_failed')
      expect(slotsInUse(leech)).toBe(0)
      swarm.close()
    })
  })

  test('the last one of a file settles them all without any hashes', () => {
    simulate(6, sim => {
      const { torrent, swarm, leech, rejecter } = parked(sim, [5 * PIECE, 3 * PIECE], 7)
      expect(leech.handle.status().numPieces).toBe(5)
      leech.handle.piecePriority(7, 4)
      swarm.complete(60_000)
      expect(rejecter.asked()).toBeGreaterThan(0)
      const asked = rejecter.asked()
      sim.run(120_000)
      expect(rejecter.asked()).toBe(asked)
      swarm.close()
      expect(leech.holds(torrent)).toBe(true)
    })
  })

  test('outlive a full disk', () => {
    simulate(7, sim => {
      const torrent = makeFilesTorrent([8 * PIECE], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const leech = swarm.add('leech', { params: withoutLayers, settings: { ...KEEP, optimistic_disk_retry: 5 } })
      leech.drive.freeBytes = 5 * PIECE
      leech.handle.setFlags(TorrentFlags.autoManaged)
      const { peer } = source(sim, torrent, leech, '81.2.0.1', new AllHashes(torrent))
      const { onMessage } = peer
      // hashes only once the disk is full
      peer.onMessage = message => {
        if (message.id === PeerMessage.cancel) peer.send(PeerMessage.reject, message.payload)
        else if (message.id !== HASH_REQUEST || leech.drive.freeBytes < PIECE) onMessage(message)
        else peer.send(HASH_REJECT, message.payload)
      }
      sim.run(20_000)
      expect(leech.whats()).toContain('file_error')
      leech.drive.freeBytes = Number.POSITIVE_INFINITY
      swarm.complete(120_000)
      expect(slotsInUse(leech)).toBe(0)
      swarm.close()
      expect(leech.holds(torrent)).toBe(true)
    })
  })

  test('count for nothing if they were found by a check, and are told of then', () => {
    simulate(8, sim => {
      const torrent = makeFilesTorrent([4 * PIECE], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('alone', { has: 'all', params: withoutLayers })
      sim.run(5000)
      expect(node.isSeeding).toBe(true)
      expect(slotsInUse(node)).toBe(0)
      expect(node.engine.counters.get(C.SES_NUM_PIECE_PASSED)).toBe(0)
      swarm.close()
    })
  })
})

describe('blocks', () => {
  test('that are written before their piece is whole are told of once', () => {
    simulate(11, sim => {
      const torrent = makeFilesTorrent([6 * PIECE + 5], PIECE, HYBRID)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 50_000 } } })
      const leech = swarm.add('leech', { settings: { alert_mask: AlertCategory.blockProgress } })
      leech.connectTo(seed)
      for (let i = 0; i < 6; i++) {
        sim.run(1000)
        leech.handle.flushCache()
      }
      expect(leech.engine.disk.stats().blocksWritten).toBeGreaterThan(0)
      swarm.complete(60_000)
      const blocks = leech.alerts.filter(alert => alert instanceof BlockFinishedAlert)
      expect(new Set(blocks.map(({ pieceIndex, blockIndex }) => `${pieceIndex}:${blockIndex}`)).size).toBe(25)
      expect(blocks).toHaveLength(25)
      swarm.close()
    })
  })
})

describe('a hybrid torrent whose hashes do not agree', () => {
  const wrong = () => makeFilesTorrent([8 * PIECE], PIECE, HYBRID, 1, false, 2)
  const errors = (node: SwarmNode) =>
    node.alerts.filter(alert => alert instanceof TorrentErrorAlert).map(alert => alert.error.value())

  test('is found out by a check that has only the root to go by', () => {
    simulate(21, sim => {
      const swarm = new Swarm(sim, wrong())
      const node = swarm.add('a', { has: 'all', params: withoutLayers })
      sim.run(5000)
      expect(errors(node)).toEqual([E.torrentInconsistentHashes])
      expect(node.handle.status().numPieces).toBe(0)
      // whoever lets it go on gets the same again, and no piece meanwhile
      node.handle.resume()
      sim.run(5000)
      expect(errors(node)).toEqual([E.torrentInconsistentHashes, E.torrentInconsistentHashes])
      expect(node.handle.status().numPieces).toBe(0)
      swarm.close()
    })
  })

  test.each(['with piece hashes', 'with the root only'])('starts again when it is let go on: %s', what => {
    simulate(22, sim => {
      const torrent = wrong()
      const swarm = new Swarm(sim, torrent)
      const options = what === 'with piece hashes' ? {} : { params: withoutLayers }
      const leech = swarm.add('leech', options)
      source(sim, torrent, leech, '81.2.0.1')
      sim.run(5000)
      expect(errors(leech)).toEqual([E.torrentInconsistentHashes])
      expect(leech.handle.status().numPieces).toBe(0)
      leech.handle.resume()
      source(sim, torrent, leech, '81.2.0.2')
      sim.run(5000)
      expect(errors(leech)).toEqual([E.torrentInconsistentHashes, E.torrentInconsistentHashes])
      expect(slotsInUse(leech)).toBe(0)
      swarm.close()
    })
  })
})
