/** Whole sessions in a simulated world, and one torrent they share. */

import type { Alert } from '../../../src/alert/alert.ts'
import { BLOCK_SIZE } from '../../../src/core/brands.ts'
import { Sha1Hash, Sha256Hash } from '../../../src/core/digest.ts'
import { endpointToString } from '../../../src/core/endpoint.ts'
import { AlertCategory, FileFlags, ProtocolVersion, TorrentFlags } from '../../../src/core/enums.ts'
import { sha1, sha256 } from '../../../src/core/hash.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import type { AddTorrentParams } from '../../../src/metainfo/add-torrent-params.ts'
import { CreateFileEntry } from '../../../src/metainfo/create-file-entry.ts'
import { CreateFlags } from '../../../src/metainfo/create-flags.ts'
import { CreateTorrent } from '../../../src/metainfo/create-torrent.ts'
import { loadTorrentBuffer } from '../../../src/metainfo/load-torrent.ts'
import { merkleNumLeafs, merkleRoot } from '../../../src/metainfo/merkle.ts'
import { Engine } from '../../../src/session/engine.ts'
import type { TorrentHandle } from '../../../src/session/torrent-handle.ts'
import type { SettingsPack } from '../../../src/settings/pack-type.ts'
import { SimDisk, SimDrive } from './sim-disk.ts'
import type { HostOptions } from './sim-network.ts'
import type { SimRuntime } from './sim-runtime.ts'
import type { Simulation } from './simulation.ts'

const SAVE_PATH = '/save'
/** What happens to sessions, torrents, peers and pieces; not each block, request and log line. */
const ALERTS =
  AlertCategory.error |
  AlertCategory.peer |
  AlertCategory.storage |
  AlertCategory.tracker |
  AlertCategory.connect |
  AlertCategory.status |
  AlertCategory.ipBlock |
  AlertCategory.performanceWarning |
  AlertCategory.fileProgress |
  AlertCategory.pieceProgress

/** A torrent with made-up content. */
export interface SimTorrent {
  readonly content: Uint8Array
  readonly pieceLength: number
  /** The .torrent file. */
  readonly file: Uint8Array
  readonly infoHash: Sha1Hash
  /** Of a hybrid torrent that is made wrong: the content its v2 hashes are of. */
  readonly v2Content?: Uint8Array
}

/** Makes a v1 torrent of one file. */
export function makeTorrent(
  size: number,
  pieceLength: number,
  seed = 1,
  trackers: readonly string[] = [],
  isPrivate = false,
): SimTorrent {
  const content = new Uint8Array(size)
  new SeededRng(seed).fill(content)
  const creator = new CreateTorrent([new CreateFileEntry(`file-${seed}`, size)], pieceLength, CreateFlags.v1Only)
  for (let piece = 0; piece < creator.numPieces(); piece++) {
    const at = piece * pieceLength
    creator.setHash(piece, new Sha1Hash(sha1(content.subarray(at, at + creator.pieceSize(piece)))))
  }
  for (const tracker of trackers) creator.addTracker(tracker)
  creator.setPriv(isPrivate)
  const file = creator.generateBuf()
  return { content, pieceLength, file, infoHash: loadTorrentBuffer(file).ti!.infoHashes().v1 }
}

/**
 * Makes a torrent of several files, of any kind.
 *
 * @param v2Seed the v2 hashes are those of other content
 */
export function makeFilesTorrent(
  sizes: readonly number[],
  pieceLength: number,
  flags: number = CreateFlags.v1Only,
  seed = 1,
  isPrivate = false,
  v2Seed = seed,
): SimTorrent {
  const entries = sizes.map((size, i) => new CreateFileEntry(`many-${seed}/file-${i}`, size))
  const creator = new CreateTorrent(entries, pieceLength, flags)
  creator.setPriv(isPrivate)
  const { content } = contentOf(creator, seed)
  const v2 = contentOf(creator, v2Seed)
  if ((flags & CreateFlags.v2Only) === 0) {
    for (let piece = 0; piece < creator.numPieces(); piece++) {
      const at = piece * pieceLength
      creator.setHash(piece, new Sha1Hash(sha1(content.subarray(at, at + creator.pieceSize(piece)))))
    }
  }
  if ((flags & CreateFlags.v1Only) === 0) {
    for (const [f, bytes] of v2.files.entries()) setV2Hashes(creator, f, bytes, pieceLength)
  }
  const file = creator.generateBuf()
  const hashes = loadTorrentBuffer(file).ti!.infoHashes()
  const infoHash = hashes.hasV1() ? hashes.v1 : (hashes.get(ProtocolVersion.V2) as Sha1Hash)
  return { content, pieceLength, file, infoHash, v2Content: v2.content }
}

/** A v2 torrent of one file, which has padding behind it. */
export function makeOneV2(size: number, pieceLength: number): SimTorrent {
  const creator = new CreateTorrent([new CreateFileEntry('single.bin', size)], pieceLength, CreateFlags.v2Only)
  const { files } = contentOf(creator, 1)
  setV2Hashes(creator, 0, files[0]!, pieceLength)
  const content = new Uint8Array(Math.ceil(size / pieceLength) * pieceLength)
  content.set(files[0]!)
  const file = creator.generateBuf()
  const infoHash = loadTorrentBuffer(file).ti!.infoHashes().get(ProtocolVersion.V2) as Sha1Hash
  return { content, pieceLength, file, infoHash, v2Content: content }
}

/** Gives a torrent that is made the v2 hashes of a file's pieces. */
export function setV2Hashes(creator: CreateTorrent, file: number, bytes: Uint8Array, pieceLength: number): void {
  for (let piece = 0; piece * pieceLength < bytes.length; piece++) {
    const part = bytes.subarray(piece * pieceLength, (piece + 1) * pieceLength)
    const leafs: Uint8Array[] = []
    for (let at = 0; at < part.length; at += BLOCK_SIZE) leafs.push(sha256(part.subarray(at, at + BLOCK_SIZE)))
    const whole = bytes.length > pieceLength ? pieceLength / BLOCK_SIZE : merkleNumLeafs(leafs.length)
    while (leafs.length < whole) leafs.push(new Uint8Array(32))
    creator.setHash2(file, piece, new Sha256Hash(merkleRoot(Buffer.concat(leafs))))
  }
}

function contentOf(creator: CreateTorrent, seed: number): { content: Uint8Array; files: Uint8Array[] } {
  const rng = new SeededRng(seed)
  const content = new Uint8Array(creator.totalSize())
  const files: Uint8Array[] = []
  let offset = 0
  for (const { size, flags } of creator.fileList()) {
    const bytes = content.subarray(offset, offset + size)
    offset += size
    files.push((flags & FileFlags.flagPadFile) === 0 ? bytes : bytes.subarray(0, 0))
    rng.fill(files.at(-1)!)
  }
  return { content, files }
}

export interface NodeOptions {
  /** What it has when it starts; default nothing. */
  readonly has?: 'all' | readonly number[]
  readonly host?: Partial<HostOptions>
  readonly settings?: SettingsPack
  /** The disk of an earlier session. */
  readonly drive?: SimDrive
  readonly params?: (params: AddTorrentParams) => void
}

/** One session with the torrent. */
export class SwarmNode {
  readonly name: string
  readonly runtime: SimRuntime
  readonly engine: Engine
  readonly drive: SimDrive
  readonly handle: TorrentHandle
  readonly alerts: Alert[] = []
  readonly #sim: Simulation
  #closed = false

  constructor(sim: Simulation, name: string, torrent: SimTorrent, options: NodeOptions, runtime?: SimRuntime) {
    this.#sim = sim
    this.name = name
    this.drive = options.drive ?? new SimDrive()
    if (options.has !== undefined) fill(this.drive, torrent, options.has)
    this.runtime = runtime ?? sim.host(name, options.host)
    this.engine = new Engine({
      runtime: this.runtime,
      createDisk: (_settings, door) => new SimDisk(sim.clock, sim.log, this.drive, door),
      settings: {
        alert_mask: ALERTS,
        listen_interfaces: this.runtime.host.addresses.map(address => endpointToString([address, 6881])).join(),
        enable_dht: false,
        enable_lsd: false,
        ...options.settings,
      },
      onCrash: error => {
        throw error
      },
    })
    this.engine.alerts.listen(alerts => {
      for (const alert of alerts) {
        this.alerts.push(alert)
        sim.log.add(`${name}: ${alert.what()} ${alert.message()}`)
      }
    })
    const params = loadTorrentBuffer(torrent.file)
    params.savePath = SAVE_PATH
    params.flags &= ~(TorrentFlags.paused | TorrentFlags.autoManaged)
    options.params?.(params)
    this.handle = this.engine.turn.call(() => this.engine.addTorrent(params))
  }

  /** Where others reach it. */
  get endpoint(): readonly [string, number] {
    return [this.runtime.host.seenAs([this.runtime.host.addresses[0]!, 0])[0], 6881]
  }

  get isSeeding(): boolean {
    return this.handle.status().isSeeding
  }

  connectTo(other: { readonly endpoint: readonly [string, number] }): void {
    this.handle.connectPeer(other.endpoint)
  }

  /** The names of the alerts that came. */
  whats(): string[] {
    return this.alerts.map(alert => alert.what())
  }

  /** Ends the session and lets time pass until it has ended. The drive keeps what was written. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    let done = false
    this.engine.turn.run('test', () =>
      this.engine.close(() => {
        done = true
      }),
    )
    this.#sim.runUntil(() => done, 120_000, `${this.name} to close`)
  }

  /** True if the drive holds all of the torrent. Only after {@link close}. */
  holds(torrent: SimTorrent): boolean {
    const kept = this.drive.contents.get(keyOf(torrent))
    for (const [piece, bytes] of piecesOf(torrent, 'all')) {
      const have = kept?.get(piece)
      if (have === undefined || !Buffer.from(have).equals(bytes)) return false
    }
    return true
  }
}

/** Adds one more torrent to a session, on the same drive. */
export function addTorrent(
  node: SwarmNode,
  torrent: SimTorrent,
  savePath: string,
  has: 'all' | readonly number[] = [],
  change: (params: AddTorrentParams) => void = () => {},
): TorrentHandle {
  if (has === 'all' || has.length > 0) {
    node.drive.fill(savePath, partFileName(torrent), piecesOf(torrent, has))
  }
  const params = loadTorrentBuffer(torrent.file)
  params.savePath = savePath
  params.flags &= ~(TorrentFlags.paused | TorrentFlags.autoManaged)
  change(params)
  return node.engine.turn.call(() => node.engine.addTorrent(params))
}

/** Several sessions with one torrent. */
export class Swarm {
  readonly nodes: SwarmNode[] = []
  readonly torrent: SimTorrent
  readonly #sim: Simulation

  constructor(sim: Simulation, torrent: SimTorrent) {
    this.#sim = sim
    this.torrent = torrent
  }

  add(name: string, options: NodeOptions = {}): SwarmNode {
    const node = new SwarmNode(this.#sim, name, this.torrent, options)
    this.nodes.push(node)
    return node
  }

  /** Starts a session on a host that there is already. */
  addOn(runtime: SimRuntime, name: string, options: NodeOptions = {}): SwarmNode {
    const node = new SwarmNode(this.#sim, name, this.torrent, options, runtime)
    this.nodes.push(node)
    return node
  }

  /** Starts a session again on the host and the drive of one that was closed. */
  restart(old: SwarmNode, options: NodeOptions = {}): SwarmNode {
    const node = new SwarmNode(this.#sim, old.name, this.torrent, { ...options, drive: old.drive }, old.runtime)
    this.nodes[this.nodes.indexOf(old)] = node
    return node
  }

  /** Lets time pass until all have everything. */
  complete(limitMs = 600_000, which: readonly SwarmNode[] = this.nodes): void {
    let left = [...which]
    this.#sim.runEverySecond(
      () => {
        left = left.filter(node => !node.isSeeding)
        return left.length === 0
      },
      limitMs,
      () => `these to complete: ${left.map(node => `${node.name} (${node.handle.status().progress})`).join(', ')}`,
    )
  }

  close(): void {
    for (const node of this.nodes) node.close()
  }
}

export function piecesOf(torrent: SimTorrent, which: 'all' | readonly number[]): Map<number, Uint8Array> {
  const pieces = new Map<number, Uint8Array>()
  const count = Math.ceil(torrent.content.length / torrent.pieceLength)
  for (let piece = 0; piece < count; piece++) {
    const at = piece * torrent.pieceLength
    if (which === 'all' || which.includes(piece))
      pieces.set(piece, torrent.content.subarray(at, at + torrent.pieceLength))
  }
  return pieces
}

function partFileName(torrent: SimTorrent): string {
  return `.${torrent.infoHash}.parts`
}

function keyOf(torrent: SimTorrent): string {
  return `${SAVE_PATH}/${partFileName(torrent)}`
}

function fill(drive: SimDrive, torrent: SimTorrent, which: 'all' | readonly number[]): void {
  drive.fill(SAVE_PATH, partFileName(torrent), piecesOf(torrent, which))
}
