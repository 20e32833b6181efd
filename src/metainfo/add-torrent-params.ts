/** The record that describes a torrent to be added: what magnet links, resume data and .torrent files are read into. */

import { Bitfield } from '../core/bitfield.ts'
import { InfoHash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import { StorageMode, TorrentFlags } from '../core/enums.ts'
import type { TorrentInfo } from './torrent-info.ts'

/** Pieces or blocks as a program gives them: a plain list, or packed bits. */
export type Bits = Bitfield | ArrayLike<boolean>

/**
 * Everything a session needs to know to add one torrent, and everything it saves about one.
 *
 * All fields have libtorrent's defaults, so a caller sets what it cares about. Times are seconds:
 * points in time since 1970, durations as such.
 *
 * `havePieces`, `verifiedPieces` and `unfinishedPieces` are kept as packed bits, because a torrent may
 * have a million pieces. They can be assigned from plain lists or from {@link Bitfield}s; reading one
 * makes a new plain list, so changing an element of it has no effect: assign the whole list.
 */
export class AddTorrentParams {
  /** Version of the library that wrote the resume data, 20100 for 2.1.0. */
  version = 20100
  /** The metadata. `null` for a magnet link that has not got it yet. */
  ti: TorrentInfo | null = null
  /** Tracker URLs; `trackerTiers` has the tier of each, by index. */
  trackers: string[] = []
  /** Tier of each of `trackers`; where it is shorter, the last one given goes on (0 if there is none). */
  trackerTiers: number[] = []
  /** DHT nodes to ask first, host names allowed. */
  dhtNodes: [host: string, port: number][] = []
  /** Used as long as there is no metadata. */
  name = ''
  savePath = ''
  /** Where the part file is kept; `savePath` if empty. */
  partFileDir = ''
  storageMode: StorageMode = StorageMode.storageModeSparse
  /** Anything; handed back by the handle, never looked at. */
  userdata: unknown = undefined
  /** Download priority (0 to 7) of each file; files beyond the list have the default of 4. */
  filePriorities: number[] = []
  /** Download priority (0 to 7) of each piece; empty to let the file priorities decide. */
  piecePriorities: number[] = []
  /** Tracker id that a tracker gave in an earlier session. */
  trackerid = ''
  /** Combination of `TorrentFlags`. */
  flags: number = TorrentFlags.defaultFlags
  /** What to add when `ti` is not set, and which hashes `ti` must have when both are. */
  infoHashes: InfoHash = new InfoHash()
  /** Upload slots; -1 for the default. */
  maxUploads = -1
  /** Connections; -1 for the default. */
  maxConnections = -1
  /** Bytes per second; -1 for no limit. */
  uploadLimit = -1
  /** Bytes per second; -1 for no limit. */
  downloadLimit = -1
  totalUploaded = 0
  totalDownloaded = 0
  /** Seconds the torrent has been started. */
  activeTime = 0
  /** Seconds it has been started and finished. */
  finishedTime = 0
  /** Seconds it has been started and seeding. */
  seedingTime = 0
  addedTime = 0
  completedTime = 0
  lastSeenComplete = 0
  /** Seeds, peers and completed downloads as the tracker said; -1 if not known. */
  numComplete = -1
  numIncomplete = -1
  numDownloaded = -1
  /** BEP 19 web seeds. */
  urlSeeds: string[] = []
  /** Peers to connect to. */
  peers: Endpoint[] = []
  /** Peers never to connect to. */
  bannedPeers: Endpoint[] = []
  /**
   * The merkle tree of each file of a v2 torrent, each a run of 32-byte hashes: the whole tree in the
   * order of BEP 52 with the root first, or only the hashes that `merkleTreeMask` marks. Empty if nothing is known.
   */
  merkleTrees: Uint8Array[] = []
  /** For each file, which nodes of its tree `merkleTrees` holds; an empty one means all of them. */
  merkleTreeMask: Bitfield[] = []
  /** For each file, the blocks whose leaf hash is known to be right. */
  verifiedLeafHashes: Bitfield[] = []
  /** New path of each renamed file, by file index. */
  renamedFiles: Record<number, string> = {}
  lastDownload = 0
  lastUpload = 0
  /** The torrent file's own fields, kept so that it can be written again. */
  comment = ''
  createdBy = ''
  creationDate = 0
  /** Certificate, in PEM, that peers of an SSL torrent must be signed by. */
  rootCertificate = ''

  /** `havePieces` packed. @internal */
  haveBits: Bitfield = new Bitfield()
  /** `verifiedPieces` packed. @internal */
  verifiedBits: Bitfield = new Bitfield()
  /** `unfinishedPieces` packed: blocks by piece, in order of insertion. @internal */
  unfinishedBits: Map<number, Bitfield> = new Map()

  /** @param fields overrides of the defaults */
  constructor(fields?: Partial<AddTorrentParams>) {
    if (fields !== undefined) Object.assign(this, fields)
  }

  /** Pieces that are on disk and need not be checked. */
  get havePieces(): boolean[] {
    return this.haveBits.toArray()
  }

  set havePieces(value: Bits) {
    this.haveBits = toBitfield(value)
  }

  /** In seed mode, the pieces whose hash was checked already. */
  get verifiedPieces(): boolean[] {
    return this.verifiedBits.toArray()
  }

  set verifiedPieces(value: Bits) {
    this.verifiedBits = toBitfield(value)
  }

  /** Blocks on disk of pieces that are not whole, by piece. */
  get unfinishedPieces(): Record<number, boolean[]> {
    const out: Record<number, boolean[]> = {}
    for (const [piece, blocks] of this.unfinishedBits) out[piece] = blocks.toArray()
    return out
  }

  set unfinishedPieces(value: Readonly<Record<number, Bits>> | ReadonlyMap<number, Bits>) {
    const bits = new Map<number, Bitfield>()
    const entries = value instanceof Map ? value : Object.entries(value as Readonly<Record<number, Bits>>)
    for (const [piece, blocks] of entries) bits.set(Number(piece), toBitfield(blocks))
    this.unfinishedBits = bits
  }

  /** A copy whose lists can be changed without changing this one's. `ti` and `userdata` are shared. @internal */
  clone(): AddTorrentParams {
    const out = new AddTorrentParams()
    Object.assign(out, this)
    out.trackers = this.trackers.slice()
    out.trackerTiers = this.trackerTiers.slice()
    out.dhtNodes = this.dhtNodes.slice()
    out.filePriorities = this.filePriorities.slice()
    out.piecePriorities = this.piecePriorities.slice()
    out.infoHashes = new InfoHash(this.infoHashes.v1, this.infoHashes.v2)
    out.urlSeeds = this.urlSeeds.slice()
    out.peers = this.peers.slice()
    out.bannedPeers = this.bannedPeers.slice()
    out.merkleTrees = this.merkleTrees.slice()
    out.merkleTreeMask = this.merkleTreeMask.slice()
    out.verifiedLeafHashes = this.verifiedLeafHashes.slice()
    out.renamedFiles = { ...this.renamedFiles }
    out.haveBits = this.haveBits.clone()
    out.verifiedBits = this.verifiedBits.clone()
    out.unfinishedBits = new Map(this.unfinishedBits)
    return out
  }
}

function toBitfield(value: Bits): Bitfield {
  return value instanceof Bitfield ? value.clone() : Bitfield.from(value)
}
