/** Sessions that know more or less of a v2 or hybrid torrent come out whole, whatever they are told and whoever lies. */

import { describe, expect, test } from 'vitest'
import { PeerBanAlert } from '../../src/alert/peer-alerts.ts'
import { BLOCK_SIZE } from '../../src/core/brands.ts'
import { InfoHash } from '../../src/core/digest.ts'
import type { Endpoint } from '../../src/core/endpoint.ts'
import { ProtocolVersion, TorrentFlags } from '../../src/core/enums.ts'
import { SeededRng } from '../../src/core/rng.ts'
import type { AddTorrentParams } from '../../src/metainfo/add-torrent-params.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { loadTorrentBuffer } from '../../src/metainfo/load-torrent.ts'
import { readResumeData } from '../../src/metainfo/resume-read.ts'
import { writeResumeDataBuf } from '../../src/metainfo/resume-write.ts'
import type { TorrentInfo } from '../../src/metainfo/torrent-info.ts'
import { TorrentHandleFlags } from '../../src/torrent/handle-flags.ts'
import { fileBytes, torrentOf } from './lib/shared-torrent.ts'
import { SimDrive } from './lib/sim-disk.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { type NodeOptions, piecesOf, type SimTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'
import { AllHashes, asMagnet, wholeTrees, withoutLayers } from './lib/v2.ts'
import { startLiar } from './lib/v2-liar.ts'

/** How many worlds, and the first one's seed: more are tried by hand. */
const COUNT = Number(process.env['SIM_SEEDS'] ?? 8)
const FIRST = Number(process.env['SIM_FIRST_SEED'] ?? 1)
const SEEDS = Array.from({ length: COUNT }, (_, i) => FIRST + i)
/** Worlds in which something was wrong once. */
const MENDED: readonly (readonly [string, number])[] = [
  ['a seed that never makes its piece layers', 8],
  ['a leech all of whose peers are on parole', 171],
]
const LIAR: Endpoint = ['82.2.2.2', 6881]
const STEPS = 6
/** Bytes of all files but the last one: what a world costs has a bound. */
const MAX_CONTENT = 8 << 20

/** Sizes of files, in bytes, by the piece length. */
const SIZES: readonly ((piece: number) => number)[] = [
  () => 0,
  () => 1,
  () => BLOCK_SIZE - 1,
  () => BLOCK_SIZE,
  () => BLOCK_SIZE + 1,
  piece => piece,
  piece => piece + 1,
  piece => 2 * piece,
  piece => 3 * piece - 5,
  piece => 5 * piece + BLOCK_SIZE,
  piece => 8 * piece,
  piece => 11 * piece + 77,
]

/** What somebody knows of the torrent when it is added. */
const KNOWN: Readonly<Record<string, (params: AddTorrentParams, torrent: SimTorrent) => void>> = {
  torrentFile: () => {},
  infoOnly: withoutLayers,
  magnet: asMagnet,
  v1Magnet: params => {
    asMagnet(params)
    if (params.infoHashes.hasV1()) params.infoHashes = new InfoHash(params.infoHashes.v1)
  },
  v2Magnet: params => {
    asMagnet(params)
    params.infoHashes = new InfoHash(params.infoHashes.v2)
  },
  wholeTrees: (params, torrent) => {
    params.merkleTrees = wholeTrees(torrent)
    params.merkleTreeMask = []
  },
  v2Only: params => {
    params.flags |= TorrentFlags.disableV1Hashes
  },
}

class World {
  readonly sim: Simulation
  readonly rng: SeededRng
  readonly torrent: SimTorrent
  readonly info: TorrentInfo
  readonly swarm: Swarm
  /** All there ever were, also those that were started again since. */
  readonly sessions: SwarmNode[] = []
  readonly story: string[] = []
  readonly #hasLiar: boolean

  constructor(sim: Simulation) {
    this.sim = sim
    this.rng = new SeededRng(sim.seed * 7919)
    this.torrent = makeTorrent(sim.seed, this.rng)
    this.info = loadTorrentBuffer(this.torrent.file).ti!
    this.swarm = new Swarm(sim, this.torrent)
    const host = { up: { bytesPerSecond: this.pick([30_000, 100_000, 400_000]) } }
    this.#add('seed', this.pick(['torrentFile', 'infoOnly']), { has: 'all', host })
    const leeches = 1 + this.rng.below(4)
    for (let i = 0; i < leeches; i++) {
      this.#add(`leech ${i}`, this.pick(Object.keys(KNOWN)), { drive: this.#drive(), host })
    }
    this.#hasLiar = this.rng.below(4) !== 0
    if (!this.#hasLiar) return
    const infoHashes = this.info.infoHashes()
    const version = infoHashes.hasV1() && this.rng.below(2) === 0 ? ProtocolVersion.V1 : ProtocolVersion.V2
    this.story.push(startLiar(sim, this.torrent, LIAR, infoHashes.get(version).toBytes(), this.rng))
    for (const leech of this.leeches) leech.connectTo({ endpoint: LIAR })
  }

  get seed(): SwarmNode {
    return this.swarm.nodes[0]!
  }

  get leeches(): SwarmNode[] {
    return this.swarm.nodes.slice(1)
  }

  pick<T>(list: readonly T[]): T {
    return list[this.rng.below(list.length)]!
  }

  /** One number for each file or piece. */
  draw(count: number, one: () => number): number[] {
    return Array.from({ length: count }, one)
  }

  connect(): void {
    const { nodes } = this.swarm
    for (const a of nodes) for (const b of nodes) if (a !== b && this.rng.below(2) === 0) a.connectTo(b)
    for (const leech of this.leeches) leech.connectTo(this.seed)
  }

  /** Ends a session, and starts it again with resume data that knows nothing of its last moments. */
  restart(node: SwarmNode): void {
    const data = writeResumeDataBuf(node.handle.getResumeData(this.pick([0, TorrentHandleFlags.saveInfoDict])))
    const hasFile = this.rng.below(2) === 0
    node.close()
    const again = this.swarm.restart(node, {
      params: params => {
        const { ti, savePath } = params
        Object.assign(params, readResumeData(data), { savePath })
        if (hasFile) params.ti ??= ti
      },
    })
    this.sessions.push(again)
  }

  #add(name: string, known: string, options: NodeOptions): void {
    this.story.push(`${name} has ${known}`)
    const params = (params: AddTorrentParams) => KNOWN[known]!(params, this.torrent)
    this.sessions.push(this.swarm.add(name, { ...options, params }))
  }

  /** A disk on which some pieces may be, not all of them right. */
  #drive(): SimDrive {
    const drive = new SimDrive()
    if (this.rng.below(3) !== 0) return drive
    const isSpoilt = this.rng.below(2) === 0
    const pieces = piecesOf(this.torrent, 'all')
    for (const [piece, bytes] of [...pieces]) {
      if (this.rng.below(2) === 0) pieces.delete(piece)
      else if (isSpoilt && this.rng.below(4) === 0) {
        const wrong = bytes.slice()
        wrong[this.rng.below(wrong.length)]! ^= 1
        pieces.set(piece, wrong)
      }
    }
    drive.fill('/save', `.${this.torrent.infoHash}.parts`, pieces)
    return drive
  }
}

/** Of several files, some of them the same; the last one has pieces of its own. */
function makeTorrent(seed: number, rng: SeededRng): SimTorrent {
  const pieceLength = BLOCK_SIZE * 2 ** rng.below(5)
  const files: Record<string, Uint8Array> = {}
  // a file that is alone has padding behind it, which is no part of the content
  const count = Math.max(1, rng.below(7))
  let total = 0
  let last: Uint8Array | null = null
  for (let i = 0; i < count; i++) {
    const size = SIZES[rng.below(SIZES.length)]!(pieceLength)
    if (total + size > MAX_CONTENT) continue
    if (last === null || rng.below(3) !== 0) last = bytesOf(size, seed * 100 + i)
    files[`file ${i}`] = last
    total += last.length
  }
  files['last'] = bytesOf(3 * pieceLength + 1, seed * 100 + count)
  return torrentOf(`world ${seed}`, files, { pieceLength, flags: rng.below(2) === 0 ? 0 : CreateFlags.v2Only })
}

/** Without zeros: what was never written reads as such, and would be found right. */
function bytesOf(size: number, seed: number): Uint8Array {
  return fileBytes(size, seed).map(byte => byte | 1)
}

const ACTS: Readonly<Record<string, (world: World, node: SwarmNode) => void>> = {
  pause: ({ sim, rng }, { handle }) => {
    handle.pause()
    sim.run(rng.below(500))
    handle.resume()
  },
  recheck: (_world, { handle }) => handle.forceRecheck(),
  restart: (world, node) => world.restart(node),
  filePriorities: (world, { handle }) => {
    handle.prioritizeFiles(world.draw(world.info.numFiles(), () => world.pick([0, 4])))
  },
  piecePriorities: (world, { handle }) => {
    handle.prioritizePieces(world.draw(world.info.numPieces(), () => world.pick([0, 4, 4])))
  },
  sequential: (_world, { handle }) => handle.setFlags(TorrentFlags.sequentialDownload),
  save: (_world, { handle }) => {
    handle.saveResumeData(TorrentHandleFlags.flushDiskCache)
    handle.flushCache()
  },
  connect: world => world.connect(),
}

function checkInvariants(node: SwarmNode): void {
  const { content, swarm } = node.handle.torrent()
  content?.picker?.checkInvariant()
  content?.openTransfers?.checkInvariant()
  swarm.known?.checkInvariant()
}

function trueLayers({ torrent, info }: World): Uint8Array[] {
  const { trees } = new AllHashes(torrent)
  return Array.from({ length: info.numFiles() }, (_, file) => trees.pieceLayer(file) ?? new Uint8Array(0))
}

/** Does anything, then lets everybody have all of it. */
function live(world: World): void {
  const { sim, rng, swarm, info, story } = world
  world.connect()
  for (let step = 0; step < STEPS; step++) {
    sim.run(200 + rng.below(4000))
    const node = world.pick(world.leeches)
    const act = world.pick(Object.keys(ACTS))
    story.push(`${node.name} ${act}`)
    ACTS[act]!(world, node)
    for (const one of swarm.nodes) checkInvariants(one)
  }
  for (const { handle } of world.leeches) {
    handle.prioritizeFiles(world.draw(info.numFiles(), () => 4))
    handle.prioritizePieces(world.draw(info.numPieces(), () => 4))
  }
  world.connect()
  sim.run(1000)
  world.connect()
  swarm.complete(900_000)
  sim.run(2000)
}

function judge(world: World): void {
  const { swarm, torrent, sessions } = world
  const layers = trueLayers(world)
  for (const node of swarm.nodes) {
    checkInvariants(node)
    expect([node.name, node.handle.pieceLayers()]).toEqual([node.name, layers])
  }
  swarm.close()
  for (const node of swarm.nodes) expect([node.name, node.holds(torrent)]).toEqual([node.name, true])
  for (const { name, alerts } of sessions) {
    const errors = alerts.filter(alert => alert.what() === 'torrent_error' || alert.what() === 'session_error')
    expect([name, errors.map(alert => alert.message())]).toEqual([name, []])
    const banned = alerts.filter(alert => alert instanceof PeerBanAlert).map(({ ep }) => ep[0])
    expect([name, banned.filter(address => address !== LIAR[0])]).toEqual([name, []])
  }
}

function play(seed: number): void {
  simulate(seed, sim => {
    const world = new World(sim)
    try {
      live(world)
      judge(world)
    } catch (error) {
      throw new Error(`after ${world.story.join(', ')}: ${(error as Error).stack}`, { cause: error })
    }
  })
}

describe('any world of v2', () => {
  test.each(SEEDS)('seed %i', play)
})

describe('a world that once went wrong', () => {
  test.each(MENDED)('%s: seed %i', (_what, seed) => play(seed))
})
