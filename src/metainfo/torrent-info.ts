/** The metadata of a torrent: names, sizes and hashes. What its info-hash covers never changes. */

import type { BdecodeNode } from '../bencode/bdecode-node.ts'
import type { Entry } from '../bencode/entry.ts'
import type { TokenTable } from '../bencode/token-table.ts'
import { bytesToBinary, bytesToText } from '../core/bytes.ts'
import { InfoHash, Sha1Hash, Sha256Hash } from '../core/digest.ts'
import { TrackerSource } from '../core/enums.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import type { IndexRange } from '../core/index-range.ts'
import type { PeerRequest } from '../core/peer-request.ts'
import { isValidTrackerUrl } from '../core/url.ts'
import { resolveDuplicateFilenames } from './duplicate-filenames.ts'
import type { FileSlice } from './file-slice.ts'
import { FileStorage } from './file-storage.ts'
import { type LoadTorrentLimits, withDefaultLimits } from './load-limits.ts'
import { parseMagnetUri } from './magnet-uri.ts'
import { failLoad } from './parse-file-entry.ts'
import { type InfoRecord, parseInfo } from './parse-info.ts'
import { parseTorrentFile, type TorrentFileRecord } from './parse-torrent-file.ts'
import { type FileTrees, treesOfLayers } from './piece-layers.ts'
import { decodeTorrentBuffer, decodeTorrentFile, decodeTorrentValue } from './torrent-source.ts'
import { type WebSeedEntry, WebSeedType } from './web-seed-entry.ts'

const SHA1_SIZE = 20
const NO_BYTES = new Uint8Array(0)

/** A tracker of a torrent file, with the fields of an `AnnounceEntry` that has not announced yet. */
export interface TorrentTracker {
  readonly url: string
  readonly tier: number
  readonly source: TrackerSource
  readonly failLimit: number
  readonly trackerid: string
  readonly verified: boolean
  readonly endpoints: readonly []
}

/** What only programs written for older versions keep in here rather than in `AddTorrentParams`. */
interface Extras {
  trackers: TorrentTracker[]
  webSeeds: WebSeedEntry[]
  nodes: [host: string, port: number][]
}

export class TorrentInfo {
  readonly #info: InfoRecord | null
  readonly #infoHashes: InfoHash
  readonly #layout: FileStorage
  #similar: readonly Sha1Hash[] = []
  #collections: readonly Uint8Array[] = []
  #fileTrees: FileTrees | null = null
  #layersByRoot: Map<string, Uint8Array> | null = null
  #isI2p = false
  #comment = ''
  #creator = ''
  #creationDate = 0
  #extras: Extras | null = null
  /** Files under their new names, once a file was renamed. */
  #renamed: FileStorage | null = null

  /** A torrent of which nothing but the info-hash is known. */
  constructor(infoHash: InfoHash | Sha1Hash | Sha256Hash)
  /** A copy. */
  constructor(other: TorrentInfo)
  /**
   * Loads a torrent file.
   *
   * @deprecated `loadTorrentFile`, `loadTorrentBuffer` and `loadTorrentParsed` give trackers, web seeds and
   *   nodes in an `AddTorrentParams`, where a session takes them from
   * @param source path of the file, its content, or its decoded content
   * @throws LibtorrentError
   */
  constructor(source: string | Uint8Array | BdecodeNode | Entry, limits?: LoadTorrentLimits)
  constructor(source: InfoRecord | TorrentFileRecord, limits?: LoadTorrentLimits)
  constructor(
    source:
      | InfoHash
      | Sha1Hash
      | Sha256Hash
      | TorrentInfo
      | string
      | Uint8Array
      | BdecodeNode
      | Entry
      | InfoRecord
      | TorrentFileRecord,
    limits?: LoadTorrentLimits,
  ) {
    if (source instanceof TorrentInfo) {
      this.#info = source.#info
      this.#infoHashes = source.#infoHashes
      this.#layout = source.#layout
      this.#similar = source.#similar
      this.#collections = source.#collections
      this.#fileTrees = source.#fileTrees
      this.#isI2p = source.#isI2p
      this.#comment = source.#comment
      this.#creator = source.#creator
      this.#creationDate = source.#creationDate
      this.#extras = source.#extras === null ? null : copyExtras(source.#extras)
      this.#renamed = source.#renamed === null ? null : source.#renamed.clone()
      return
    }
    if (source instanceof InfoHash || source instanceof Sha1Hash || source instanceof Sha256Hash) {
      this.#info = null
      this.#infoHashes = bareInfoHash(source)
      this.#layout = new FileStorage()
      return
    }
    if (isInfoRecord(source)) {
      this.#info = source
      this.#infoHashes = source.infoHashes
      this.#layout = source.files
      return
    }
    const whole = withDefaultLimits(limits)
    const record = isFileRecord(source) ? source : parseTorrentFile(decodeSource(source, whole), whole)
    if (typeof record === 'string') {
      this.#info = null
      this.#infoHashes = parseMagnetUri(record).infoHashes
      this.#layout = new FileStorage()
      return
    }
    this.#info = record.info
    this.#infoHashes = record.info.infoHashes
    this.#layout = record.info.files
    this.#similar = record.similar
    this.#collections = record.collections
    this.#fileTrees = record.fileTrees
    this.#isI2p = record.isI2p
    this.#comment = record.comment
    this.#creator = record.createdBy
    this.#creationDate = record.creationDate
    if (isFileRecord(source)) return
    this.#extras = extrasOf(record)
    const renamed = resolveDuplicateFilenames(record.info.files, whole.maxDuplicateFilenames)
    for (const [index, path] of Object.entries(renamed)) this.renameFile(Number(index), path)
  }

  /**
   * Makes one from an info dictionary alone, as peers send it (BEP 9).
   *
   * @throws LibtorrentError
   * @internal
   */
  static fromInfoSection(section: Uint8Array | BdecodeNode, limits?: LoadTorrentLimits): TorrentInfo {
    const whole = withDefaultLimits(limits)
    if (section instanceof Uint8Array) return new TorrentInfo(parseInfo(decodeTorrentBuffer(section, whole), 0, whole))
    const table = section.table()
    if (table === null) return failLoad(LibtorrentErrors.torrentInfoNoDict)
    return new TorrentInfo(parseInfo(table, section.token(), whole))
  }

  /** Where files lie and what the metadata calls them: read only. */
  layout(): FileStorage {
    return this.#layout
  }

  /**
   * The files under the names that `renameFile` gave them.
   *
   * @deprecated `layout()`, with `RenamedFiles` for names
   */
  files(): FileStorage {
    return this.#renamed ?? this.#layout
  }

  /** @deprecated `layout()` */
  origFiles(): FileStorage {
    return this.#layout
  }

  /** @deprecated `RenamedFiles`, or `TorrentHandle.renameFile` */
  renameFile(index: number, newFilename: string): void {
    if (this.#layout.filePath(index) === newFilename && this.#renamed === null) return
    this.#renamed ??= this.#layout.clone()
    this.#renamed.renameFile(index, newFilename)
  }

  /** @deprecated `layout()` has all of it */
  fileAt(index: number): { path: string; size: number; offset: number; mtime: number; flags: number } {
    const files = this.files()
    return {
      path: files.filePath(index),
      size: files.fileSize(index),
      offset: files.fileOffset(index),
      mtime: files.mtime(index),
      flags: files.fileFlags(index),
    }
  }

  /** Of the torrent: its directory, or its only file. */
  name(): string {
    return this.#layout.name()
  }

  /** Whether the metadata is known. */
  isValid(): boolean {
    return this.#layout.isValid()
  }

  /** Whether the files are known. */
  isLoaded(): boolean {
    return this.#layout.numFiles() > 0
  }

  infoHashes(): InfoHash {
    return this.#infoHashes
  }

  /**
   * The v1 info-hash; of a v2-only torrent the first 20 bytes of the v2 one.
   *
   * Deviation: libtorrent gives the truncated v2 hash of a hybrid torrent, which older clients do not find by.
   *
   * @deprecated use `infoHashes()`
   */
  infoHash(): Sha1Hash {
    return this.#infoHashes.hasV1() ? this.#infoHashes.v1 : this.#infoHashes.getBest()
  }

  v1(): boolean {
    return this.#infoHashes.hasV1()
  }

  v2(): boolean {
    return this.#infoHashes.hasV2()
  }

  /** In bytes, pad files included. */
  totalSize(): number {
    return this.#layout.totalSize()
  }

  /** In bytes, without pad files. */
  sizeOnDisk(): number {
    return this.#layout.sizeOnDisk()
  }

  pieceLength(): number {
    return this.#layout.pieceLength()
  }

  numPieces(): number {
    return this.#layout.numPieces()
  }

  blocksPerPiece(): number {
    return this.#layout.blocksPerPiece()
  }

  lastPiece(): number {
    return this.#layout.lastPiece()
  }

  endPiece(): number {
    return this.#layout.endPiece()
  }

  pieceRange(): IndexRange {
    return this.#layout.pieceRange()
  }

  pieceSize(index: number): number {
    return this.#layout.pieceSize(index)
  }

  /** What may be requested of a piece: in a v2-only torrent without padding. */
  pieceSizeForReq(index: number): number {
    return this.v1() ? this.#layout.pieceSize(index) : this.#layout.pieceSize2(index)
  }

  numFiles(): number {
    return this.#layout.numFiles()
  }

  mapBlock(piece: number, offset: number, size: number): FileSlice[] {
    return this.#layout.mapBlock(piece, offset, size)
  }

  mapFile(file: number, offset: number, size: number): PeerRequest {
    return this.#layout.mapFile(file, offset, size)
  }

  /**
   * SHA-1 of a piece: a copy.
   *
   * @throws RangeError if there is no such piece, or the torrent has no v1 hashes
   */
  hashForPiece(index: number): Uint8Array {
    return this.pieceHashView(index).slice()
  }

  /** As `hashForPiece`, a view that must not be changed. @internal */
  pieceHashView(index: number): Uint8Array {
    const info = this.#info
    if (info === null || info.pieceHashesAt < 0) throw new RangeError('TorrentInfo: there are no v1 piece hashes')
    if (!(index >= 0 && index < this.numPieces())) throw new RangeError(`TorrentInfo: no piece ${index}`)
    const at = info.pieceHashesAt + index * SHA1_SIZE
    return info.section.subarray(at, at + SHA1_SIZE)
  }

  /**
   * Hashes of the pieces of a file of a v2 torrent, 32 bytes each: a view that must not be changed. Of a file of at
   * most one piece that is the root. Empty if they are not known, and of pad files, empty files and v1 torrents.
   *
   * What came with the torrent file: a session does not add what peers tell.
   *
   * @throws RangeError if there is no such file
   * @deprecated `AddTorrentParams.merkleTrees`, or `TorrentHandle.pieceLayers`
   */
  pieceLayer(file: number): Uint8Array {
    const files = this.#layout
    if (files.padFileAt(file)) return NO_BYTES
    if (files.fileSize(file) <= files.pieceLength()) return files.rootView(file) ?? NO_BYTES
    return this.#layerOf(file)
  }

  /** Files with the same content share a layer: the torrent file has it once. */
  #layerOf(file: number): Uint8Array {
    const trees = this.#fileTrees?.trees
    if (trees === undefined) return NO_BYTES
    if (trees[file]!.length > 0) return trees[file]!
    if (this.#layersByRoot === null) {
      this.#layersByRoot = new Map()
      for (let i = 0; i < trees.length; i++) {
        const root = trees[i]!.length > 0 ? this.#layout.rootView(i) : null
        if (root !== null) this.#layersByRoot.set(bytesToBinary(root), trees[i]!)
      }
    }
    const root = this.#layout.rootView(file)
    return (root === null ? undefined : this.#layersByRoot.get(bytesToBinary(root))) ?? NO_BYTES
  }

  /**
   * A copy with these piece layers.
   *
   * @param layers of each file, 32 bytes a piece; empty for files that need none. They are kept, and not checked
   * @internal
   */
  withPieceLayers(layers: readonly Uint8Array[]): TorrentInfo {
    const copy = new TorrentInfo(this)
    copy.#fileTrees = treesOfLayers(this.#layout, layers)
    return copy
  }

  /** Whether piece layers came with the torrent file, each then checked against its root. @deprecated */
  v2PieceHashesVerified(): boolean {
    return this.#fileTrees !== null
  }

  /** What came with the file about its merkle trees. @internal */
  fileTrees(): FileTrees | null {
    return this.#fileTrees
  }

  /** The bencoded info dictionary itself, not a copy: it must not be changed. */
  infoSection(): Uint8Array {
    return this.#info === null ? NO_BYTES : this.#info.section
  }

  /** @deprecated `infoSection()` */
  metadata(): Uint8Array {
    return this.infoSection()
  }

  /** @deprecated `infoSection().length` */
  metadataSize(): number {
    return this.infoSection().length
  }

  /** Peers may only be found through its trackers. @see BEP 27 */
  priv(): boolean {
    return this.#info?.isPrivate ?? false
  }

  isI2p(): boolean {
    return this.#isI2p
  }

  /** Info-hashes of torrents that may share files with this one. @see BEP 38 */
  similarTorrents(): Sha1Hash[] {
    return [...(this.#info?.similar ?? []), ...this.#similar]
  }

  /** Names of collections whose torrents may share files. @see BEP 38 */
  collections(): string[] {
    return [...(this.#info?.collections ?? []), ...this.#collections].map(bytesToText)
  }

  /** PEM of the certificate that peers must be signed by, `''` if this is no SSL torrent. */
  sslCert(): string {
    const cert = this.#info?.sslCert ?? null
    return cert === null ? '' : bytesToText(cert)
  }

  /** @deprecated `AddTorrentParams.comment` */
  comment(): string {
    return this.#comment
  }

  /** @deprecated `AddTorrentParams.createdBy` */
  creator(): string {
    return this.#creator
  }

  /** Seconds since 1970. @deprecated `AddTorrentParams.creationDate` */
  creationDate(): number {
    return this.#creationDate
  }

  /** @deprecated `AddTorrentParams.trackers` */
  trackers(): TorrentTracker[] {
    return this.#extras === null ? [] : this.#extras.trackers.slice()
  }

  /** One that is there already, or cannot be used, is passed over. @deprecated `AddTorrentParams.trackers` */
  addTracker(url: string, tier = 0, source: TrackerSource = TrackerSource.sourceClient): void {
    const { trackers } = this.#own()
    if (trackers.some(tracker => tracker.url === url) || !isValidTrackerUrl(url)) return
    trackers.push(trackerOf(url, tier, source))
    trackers.sort((a, b) => a.tier - b.tier)
  }

  /** @deprecated `AddTorrentParams.urlSeeds` */
  webSeeds(): WebSeedEntry[] {
    return this.#extras === null ? [] : this.#extras.webSeeds.slice()
  }

  /** @deprecated `AddTorrentParams.urlSeeds` */
  addUrlSeed(url: string, auth = '', extraHeaders: WebSeedEntry['extraHeaders'] = []): void {
    this.#own().webSeeds.push({ url, type: WebSeedType.urlSeed, auth, extraHeaders })
  }

  /** @deprecated `AddTorrentParams.urlSeeds` */
  setWebSeeds(seeds: readonly WebSeedEntry[]): void {
    this.#own().webSeeds = seeds.slice()
  }

  /** DHT nodes. @deprecated `AddTorrentParams.dhtNodes` */
  nodes(): [host: string, port: number][] {
    return this.#extras === null ? [] : this.#extras.nodes.slice()
  }

  /** @deprecated `AddTorrentParams.dhtNodes` */
  addNode(host: string, port: number): void {
    this.#own().nodes.push([host, port])
  }

  #own(): Extras {
    this.#extras ??= { trackers: [], webSeeds: [], nodes: [] }
    return this.#extras
  }
}

function bareInfoHash(source: InfoHash | Sha1Hash | Sha256Hash): InfoHash {
  if (source instanceof InfoHash) return new InfoHash(source.v1, source.v2)
  return source instanceof Sha1Hash ? new InfoHash(source) : new InfoHash(source)
}

/** Decoded dictionaries hold no digests or storages, so these fields tell our own records from them. */
function isInfoRecord(source: unknown): source is InfoRecord {
  return typeof source === 'object' && (source as Partial<InfoRecord>).files instanceof FileStorage
}

function isFileRecord(source: unknown): source is TorrentFileRecord {
  return typeof source === 'object' && isInfoRecord((source as Partial<TorrentFileRecord>).info ?? 0)
}

function decodeSource(
  source: string | Uint8Array | BdecodeNode | Entry,
  limits: Required<LoadTorrentLimits>,
): TokenTable {
  if (typeof source === 'string') return decodeTorrentFile(source, limits)
  if (source instanceof Uint8Array) return decodeTorrentBuffer(source, limits)
  return decodeTorrentValue(source, limits)
}

function trackerOf(url: string, tier: number, source: TrackerSource): TorrentTracker {
  return { url, tier: tier & 0xff, source, failLimit: 0, trackerid: '', verified: false, endpoints: [] }
}

function extrasOf(record: TorrentFileRecord): Extras {
  return {
    trackers: record.trackers.map((url, i) => trackerOf(url, record.trackerTiers[i]!, TrackerSource.sourceTorrent)),
    webSeeds: record.urlSeeds.map(url => ({ url, type: WebSeedType.urlSeed, auth: '', extraHeaders: [] })),
    nodes: record.nodes.slice(),
  }
}

function copyExtras(extras: Extras): Extras {
  return { trackers: extras.trackers.slice(), webSeeds: extras.webSeeds.slice(), nodes: extras.nodes.slice() }
}
