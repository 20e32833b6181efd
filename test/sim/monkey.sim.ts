/** Sessions that are told to do anything at any time come out whole all the same. */

import { describe, expect, test } from 'vitest'
import { type MoveFlags, TorrentFlags } from '../../src/core/enums.ts'
import { SeededRng } from '../../src/core/rng.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { readResumeData } from '../../src/metainfo/resume-read.ts'
import { writeResumeDataBuf } from '../../src/metainfo/resume-write.ts'
import { buildResumeParams } from '../../src/torrent/resume-state.ts'
import { simulate } from './lib/simulation.ts'
import { makeFilesTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 64 * 1024
const FILES = [9 * PIECE + 7, 0, 100, 3 * PIECE - 107, 12 * PIECE + 5000]
const KINDS = [CreateFlags.v1Only, 0, CreateFlags.v2Only]
const PIECES = 26
/** How many worlds, and the first one's seed: more are tried by hand. */
const COUNT = Number(process.env['SIM_SEEDS'] ?? 6)
const FIRST = Number(process.env['SIM_FIRST_SEED'] ?? 1)
const SEEDS = Array.from({ length: COUNT }, (_, i) => FIRST + i)
const FAULTS = ['EIO', 'ENOSPC', 'EROFS', 'ENOENT']
const FLAGS = [
  TorrentFlags.uploadMode,
  TorrentFlags.sequentialDownload,
  TorrentFlags.autoManaged,
  TorrentFlags.superSeeding,
  TorrentFlags.stopWhenReady,
  TorrentFlags.shareMode,
]

type Act = (node: SwarmNode, rng: SeededRng, others: readonly SwarmNode[], content: Uint8Array) => void

const ACTS: Record<string, Act> = {
  pause: node => node.handle.pause(),
  pauseGracefully: node => node.handle.pause(1),
  resume: node => node.handle.resume(),
  resumeAgain: node => node.handle.resume(),
  clearError: node => node.handle.clearError(),
  recheck: node => node.handle.forceRecheck(),
  pauseSession: node => node.engine.turn.run('test', () => node.engine.setPaused(true)),
  resumeSession: node => node.engine.turn.run('test', () => node.engine.setPaused(false)),
  saveResume: node => node.handle.saveResumeData(),
  flush: node => node.handle.flushCache(),
  connect: (node, rng, others) => node.connectTo(others[rng.below(others.length)]!),
  connectMore: (node, rng, others) => node.connectTo(others[rng.below(others.length)]!),
  clearPeers: node => node.handle.clearPeers(),
  piecePriority: (node, rng) => node.handle.piecePriority(rng.below(PIECES), rng.below(8)),
  piecePriorities: (node, rng) => node.handle.prioritizePieces(Array.from({ length: PIECES }, () => rng.below(8))),
  filePriority: (node, rng) => node.handle.prioritizeFiles(FILES.map(() => rng.below(3) * 4)),
  deadline: (node, rng) => node.handle.setPieceDeadline(rng.below(PIECES), rng.below(3000), 1),
  clearDeadlines: node => node.handle.clearPieceDeadlines(),
  read: (node, rng) => node.handle.readPiece(rng.below(PIECES)),
  addGood: (node, rng, _others, content) => {
    const piece = rng.below(PIECES)
    node.handle.addPiece(piece, content.slice(piece * PIECE, (piece + 1) * PIECE), rng.below(2))
  },
  addBad: (node, rng) => node.handle.addPiece(rng.below(PIECES), new Uint8Array(PIECE), rng.below(2)),
  setFlag: (node, rng) => node.handle.setFlags(FLAGS[rng.below(FLAGS.length)]!),
  unsetFlag: (node, rng) => node.handle.unsetFlags(FLAGS[rng.below(FLAGS.length)]!),
  limit: (node, rng) => node.handle.setDownloadLimit([-1, 20_000, 200_000][rng.below(3)]!),
  connections: (node, rng) => node.handle.setMaxConnections(rng.below(4)),
  uploads: (node, rng) => node.handle.setMaxUploads(rng.below(4)),
  rename: (node, rng) => node.handle.renameFile(rng.below(FILES.length), `name ${rng.below(3)}`),
  move: (node, rng) => node.handle.moveStorage(`/elsewhere ${rng.below(3)}`, rng.below(3) as MoveFlags),
  fault: (node, rng) => {
    node.drive.failure = FAULTS[rng.below(FAULTS.length)]!
  },
  faultOfWrites: (node, rng) => node.drive.failWrites(FAULTS[rng.below(FAULTS.length)]!),
  full: (node, rng) => {
    node.drive.freeBytes = rng.below(4) * PIECE
  },
  repair: node => repair(node),
  repairAgain: node => repair(node),
  hang: node => node.drive.hang(),
  unhang: node => node.drive.unhang(),
  status: node => {
    node.handle.status()
    node.handle.getPeerInfo()
    node.handle.getDownloadQueue()
    node.handle.fileProgress()
    node.handle.pieceAvailability()
  },
}

function repair(node: SwarmNode): void {
  node.drive.failure = null
  node.drive.failWrites(null)
  node.drive.freeBytes = Number.POSITIVE_INFINITY
  node.drive.unhang()
}

function checkInvariants(node: SwarmNode): void {
  const { content } = node.handle.torrent()
  content?.picker?.checkInvariant()
  content?.openTransfers?.checkInvariant()
  node.handle.torrent().swarm.known?.checkInvariant()
}

describe('anything at any time', () => {
  test.each(SEEDS)('seed %i', seed => {
    simulate(seed, sim => {
      const rng = new SeededRng(seed * 7919)
      const torrent = makeFilesTorrent(FILES, PIECE, KINDS[seed % 3])
      const swarm = new Swarm(sim, torrent)
      const settings = { min_reconnect_time: 1, optimistic_disk_retry: 20, auto_manage_startup: 5 }
      swarm.add('seed', { has: 'all', settings, host: { up: { bytesPerSecond: 400_000 } } })
      for (let i = 0; i < 3; i++) swarm.add(`leech ${i}`, { settings, has: rng.below(2) === 0 ? [1, 5] : [] })
      const done: string[] = []
      try {
        for (let step = 0; step < 120; step++) {
          const node = swarm.nodes[rng.below(swarm.nodes.length)]!
          if (rng.below(30) === 0) {
            if (node.name === 'seed') continue
            done.push(`${node.name} restart`)
            repair(node)
            const data = rng.below(2) === 0 ? writeResumeDataBuf(buildResumeParams(node.handle.torrent(), false)) : null
            node.close()
            swarm.restart(node, {
              settings,
              params: params => {
                if (data !== null) Object.assign(params, { ...readResumeData(data), ti: params.ti, savePath: '/save' })
              },
            })
          } else {
            const names = Object.keys(ACTS)
            const name = names[rng.below(names.length)]!
            done.push(`${node.name} ${name}`)
            // what nobody else has would be lost
            if (node.name === 'seed' && (name === 'move' || name === 'addBad')) continue
            ACTS[name]!(
              node,
              rng,
              swarm.nodes.filter(other => other !== node),
              torrent.content,
            )
          }
          sim.run(rng.below(3) === 0 ? rng.below(4000) : rng.below(100))
          for (const one of swarm.nodes) checkInvariants(one)
        }
        for (const node of swarm.nodes) {
          repair(node)
          node.engine.turn.run('test', () => node.engine.setPaused(false))
          for (const flag of FLAGS) node.handle.unsetFlags(flag)
          node.handle.setDownloadLimit(-1)
          node.handle.setMaxConnections(-1)
          node.handle.setMaxUploads(-1)
        }
        sim.run(5000)
        for (const node of swarm.nodes) {
          node.handle.clearError()
          node.handle.resume()
          node.handle.prioritizeFiles(FILES.map(() => 4))
        }
        sim.run(30_000)
        // a check that was told "no such file" has taken what is there for missing
        swarm.nodes[0]!.handle.forceRecheck()
        sim.run(30_000)
        for (const node of swarm.nodes) node.handle.prioritizePieces(Array.from({ length: PIECES }, () => 4))
        sim.run(2000)
        for (const node of swarm.nodes.slice(1)) node.connectTo(swarm.nodes[0]!)
        swarm.complete(600_000)
        for (const node of swarm.nodes) {
          checkInvariants(node)
          node.handle.forceRecheck()
        }
        sim.run(20_000)
        for (const node of swarm.nodes) expect([node.name, node.isSeeding]).toEqual([node.name, true])
        for (const node of swarm.nodes) expect(node.whats()).not.toContain('session_error')
        for (const node of swarm.nodes) expect(node.engine.disk.slots.inUse).toBe(0)
        swarm.close()
      } catch (error) {
        throw new Error(`after ${done.join(', ')}: ${(error as Error).stack}`, { cause: error })
      }
    })
  })
})
