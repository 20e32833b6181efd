/** What a program holds of a torrent. There is one object per torrent, so `===` compares torrents. */

import { StateUpdateAlert } from '../alert/session-alerts.ts'
import { FilePrioritiesAlert, FileProgressAlert, FileStatusAlert } from '../alert/storage-alerts.ts'
import { PeerInfoAlert, PieceAvailabilityAlert, PieceInfoAlert, TrackerListAlert } from '../alert/torrent-alerts.ts'
import type { TorrentId } from '../core/brands.ts'
import { copyBytes } from '../core/bytes.ts'
import { InfoHash, type Sha1Hash } from '../core/digest.ts'
import { type Endpoint, parseAddress } from '../core/endpoint.ts'
import type {
  DeadlineFlags,
  FileProgressFlags,
  MoveFlags,
  PauseFlags,
  ReannounceFlags,
  SaveResumeFlags,
  StatusFlags,
  TorrentFlags,
} from '../core/enums.ts'
import { LibtorrentError, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { OpenFileState } from '../core/open-file-state.ts'
import type { PartialPieceInfo } from '../core/partial-piece-info.ts'
import type { AddTorrentParams } from '../metainfo/add-torrent-params.ts'
import type { RenamedFiles } from '../metainfo/renamed-files.ts'
import { TorrentInfo } from '../metainfo/torrent-info.ts'
import type { PeerInfo } from '../peer/peer-info.ts'
import { TorrentHandleFlags } from '../torrent/handle-flags.ts'
import { addPiece, readPiece } from '../torrent/piece-reader.ts'
import { clampPriority } from '../torrent/priorities.ts'
import { buildResumeParams, saveResumeData } from '../torrent/resume-state.ts'
import { buildDownloadQueue, buildFileProgress, buildPeerInfo, buildStatus } from '../torrent/status-builder.ts'
import type { Torrent } from '../torrent/torrent.ts'
import { flagsOf, setFlags } from '../torrent/torrent-flags.ts'
import { UNLIMITED } from '../torrent/torrent-limits.ts'
import { logTorrent } from '../torrent/torrent-log.ts'
import type { TorrentStatus } from '../torrent/torrent-status.ts'
import { AnnounceEntry } from '../tracker/announce-entry.ts'
import type { Engine } from './engine.ts'

/**
 * A torrent of a session.
 *
 * Stays usable until the torrent is removed; then its methods throw `LibtorrentError` with
 * `invalid_torrent_handle`, and `isValid()` answers false.
 */
export class TorrentHandle {
  static readonly alertWhenAvailable = 1
  static readonly flushDiskCache = 1
  static readonly gracefulPause = 1
  static readonly highPriority = 2
  static readonly ifConfigChanged = 32
  static readonly ifCountersChanged = 8
  static readonly ifDownloadProgress = 16
  static readonly ifMetadataChanged = 128
  static readonly ifStateChanged = 64
  static readonly ignoreMinInterval = 1
  static readonly onlyIfModified = 248
  static readonly overwriteExisting = 1
  static readonly pieceGranularity = 1
  static readonly queryAccurateDownloadCounters = 2
  static readonly queryDistributedCopies = 1
  static readonly queryLastSeenComplete = 4
  static readonly queryName = 64
  static readonly queryPieces = 8
  static readonly queryRenamedFiles = 256
  static readonly querySavePath = 128
  static readonly queryTorrentFile = 32
  static readonly queryVerifiedPieces = 16
  static readonly saveInfoDict = 2

  /** A handle of no torrent. @internal */
  static readonly INVALID: TorrentHandle = new TorrentHandle(null, -1, new InfoHash())

  readonly #engine: Engine | null
  readonly #id: TorrentId
  readonly #infoHashes: InfoHash
  #bound: Torrent | null = null

  /** @internal */
  constructor(engine: Engine | null, id: TorrentId, infoHashes: InfoHash) {
    this.#engine = engine
    this.#id = id
    this.#infoHashes = infoHashes
  }

  /** @internal */
  bind(torrent: Torrent): void {
    this.#bound = torrent
  }

  /** @internal */
  infoHashesOrNone(): InfoHash {
    return this.#infoHashes
  }

  /** The torrent behind the handle. @internal */
  torrent(): Torrent {
    const torrent = this.#bound
    if (torrent === null || this.#engine?.registry.byId(this.#id) !== torrent) {
      throw new LibtorrentError(libtorrentError(LibtorrentErrors.invalidTorrentHandle))
    }
    return torrent
  }

  /** The torrent is in its session. */
  isValid(): boolean {
    return this.#bound !== null && this.#engine?.registry.byId(this.#id) === this.#bound
  }

  inSession(): boolean {
    return this.isValid()
  }

  /** Unique in its session. */
  id(): number {
    return this.#id
  }

  equals(other: TorrentHandle): boolean {
    return this === other
  }

  /** Any fixed order. */
  lessThan(other: TorrentHandle): boolean {
    return this.#id < other.#id
  }

  /** What was given as `AddTorrentParams.userdata`. */
  userdata(): unknown {
    return this.torrent().userdata
  }

  // ---- state ---------------------------------------------------------------------------------------

  /** @param flags which of the costlier fields to fill; all of them by default */
  status(flags: StatusFlags = 0xffffffff): TorrentStatus {
    return this.#call(torrent => buildStatus(torrent, flags))
  }

  /** Answers by a `StateUpdateAlert`. */
  postStatus(flags: StatusFlags = 0xffffffff): void {
    this.#call(torrent => torrent.env.alerts.post(new StateUpdateAlert([buildStatus(torrent, flags)])))
  }

  infoHashes(): InfoHash {
    return this.torrent().infoHashes
  }

  /** The v1 info-hash; of a torrent that has none the first 20 bytes of the v2 one. */
  infoHash(): Sha1Hash {
    const { infoHashes } = this.torrent()
    return infoHashes.hasV1() ? infoHashes.v1 : infoHashes.getBest()
  }

  /** `null` as long as there is no metadata. */
  torrentFile(): TorrentInfo | null {
    return this.torrent().info
  }

  /**
   * Gives a torrent that was added by a magnet link its metadata.
   *
   * @param metadata bencoded info dictionary
   * @returns false if it is not that of the torrent, or there is one already
   */
  setMetadata(metadata: Uint8Array): boolean {
    return this.#call(torrent => torrent.metadata.set(copyBytes(metadata)) === 'taken')
  }

  /**
   * A copy of the metadata that has the piece layers of a v2 torrent too; `null` if not all of them are known.
   *
   * @deprecated `saveResumeData` with `saveInfoDict`, then `writeTorrentFile`
   */
  torrentFileWithHashes(): TorrentInfo | null {
    const { info, content } = this.torrent()
    if (info === null) return null
    if (!info.v2()) return new TorrentInfo(info)
    return content?.proofs?.trees.complete === true ? info.withPieceLayers(this.pieceLayers()) : null
  }

  /**
   * The piece layer of each file of a v2 torrent, 32 bytes a piece; of a file of at most one piece that is its root.
   * Empty where it is not known, and for pad files and empty files.
   *
   * @returns an empty list for v1 torrents, and as long as there is no metadata
   */
  pieceLayers(): Uint8Array[] {
    const { content } = this.torrent()
    const trees = content?.proofs?.trees
    if (trees === undefined) return []
    return Array.from({ length: content!.info.numFiles() }, (_, i) => trees.pieceLayer(i)?.slice() ?? new Uint8Array(0))
  }

  flags(): TorrentFlags {
    return flagsOf(this.torrent())
  }

  /** Sets flags; with a mask, those of the mask to what `flags` has. */
  setFlags(flags: TorrentFlags, mask: TorrentFlags = flags): void {
    this.#call(torrent => setFlags(torrent, flags, mask))
  }

  unsetFlags(flags: TorrentFlags): void {
    this.#call(torrent => setFlags(torrent, 0, flags))
  }

  /** @param flags `gracefulPause`: requests that are on their way are waited for */
  pause(flags: PauseFlags = 0): void {
    this.#call(torrent => torrent.pause((flags & TorrentHandleFlags.gracefulPause) !== 0))
  }

  resume(): void {
    this.#call(torrent => torrent.resume())
  }

  /** Forgets the error that stopped the torrent, and lets it go on. */
  clearError(): void {
    this.#call(torrent => torrent.errors.clear())
  }

  /** Hashes all files anew. */
  forceRecheck(): void {
    this.#call(torrent => torrent.checker.forceRecheck())
  }

  // ---- resume data ---------------------------------------------------------------------------------

  /** Answers by `SaveResumeDataAlert` or `SaveResumeDataFailedAlert`. */
  saveResumeData(flags: SaveResumeFlags = 0): void {
    this.#call(torrent => saveResumeData(torrent, flags))
  }

  /** What `saveResumeData` would answer, at once and without writing anything out. */
  getResumeData(flags: SaveResumeFlags = 0): AddTorrentParams {
    return this.#call(torrent => buildResumeParams(torrent, (flags & TorrentHandleFlags.saveInfoDict) !== 0))
  }

  /** Whether anything changed since resume data was last saved. @param flags which changes count */
  needSaveResumeData(flags: SaveResumeFlags = TorrentHandleFlags.onlyIfModified): boolean {
    return (this.torrent().needSave.bits & flags) !== 0
  }

  /** Writes what is in memory; answers by `CacheFlushedAlert`. */
  flushCache(): void {
    this.#call(torrent => torrent.flushCache())
  }

  // ---- pieces --------------------------------------------------------------------------------------

  havePiece(index: number): boolean {
    const { content } = this.torrent()
    return content !== null && content.geometry.piece(index) !== null && content.havePiece(index)
  }

  /** Answers by `ReadPieceAlert`. */
  readPiece(index: number): void {
    this.#call(torrent => readPiece(torrent, index))
  }

  /** Gives the torrent a piece, as if a peer had sent it. @param flags `overwriteExisting` */
  addPiece(index: number, data: Uint8Array, flags = 0): void {
    this.#call(torrent => addPiece(torrent, index, data, flags))
  }

  getDownloadQueue(): PartialPieceInfo[] {
    return this.#call(torrent => buildDownloadQueue(torrent))
  }

  /** Answers by `PieceInfoAlert`. */
  postDownloadQueue(): void {
    this.#call(torrent => {
      const queue = buildDownloadQueue(torrent)
      torrent.env.alerts.post(
        new PieceInfoAlert(
          torrent,
          queue,
          queue.flatMap(piece => piece.blocks),
        ),
      )
    })
  }

  /** How many peers have each piece; empty for a seed. */
  pieceAvailability(): number[] {
    return this.torrent().content?.picker?.availabilities() ?? []
  }

  /** Answers by `PieceAvailabilityAlert`. */
  postPieceAvailability(): void {
    this.#call(torrent =>
      torrent.env.alerts.post(new PieceAvailabilityAlert(torrent, torrent.content?.picker?.availabilities() ?? [])),
    )
  }

  piecePriority(index: number): number
  piecePriority(index: number, priority: number): void
  piecePriority(index: number, priority?: number): number | undefined {
    return this.#call(torrent => {
      const { content } = torrent
      if (priority === undefined) {
        if (content === null || content.geometry.piece(index) === null) return 0
        return content.picker?.piecePriority(index) ?? DEFAULT_PRIORITY
      }
      if (content === null) {
        const text = () => `*** SET_PIECE_PRIORITY [ idx: ${index} prio: ${priority} ignored. no metadata yet ]`
        logTorrent(torrent, text)
      }
      if (content === null || content.geometry.piece(index) === null) return undefined
      this.#setPriorities(torrent, [[index, priority]])
      return undefined
    })
  }

  getPiecePriorities(): number[] {
    const { content } = this.torrent()
    if (content === null) return []
    if (content.picker === null) return new Array<number>(content.geometry.numPieces).fill(DEFAULT_PRIORITY)
    return Array.from(content.picker.piecePriorities())
  }

  /** One priority (0 to 7) per piece from the first on, or pairs of piece and priority. */
  prioritizePieces(priorities: readonly number[] | readonly (readonly [piece: number, priority: number])[]): void {
    this.#call(torrent => {
      if (torrent.content === null) {
        if (torrent.added !== null && typeof priorities[0] === 'number') {
          torrent.added.piecePriorities = (priorities as number[]).slice()
        } else logTorrent(torrent, () => '*** PRIORITIZE_PIECES [ ignored. no metadata yet ]')
        return
      }
      const pairs = priorities.map((p, i): readonly [number, number] =>
        typeof p === 'number' ? [i, p] : (p as readonly [number, number]),
      )
      this.#setPriorities(torrent, pairs)
    })
  }

  #setPriorities(torrent: Torrent, pairs: Iterable<readonly [number, number]>): void {
    const wasFinished = torrent.isFinished
    const picker = torrent.needPicker()
    let changed = false
    for (const [piece, priority] of pairs) {
      if (torrent.content!.geometry.piece(piece) === null) continue
      if (picker.setPiecePriority(piece, clampPriority(priority))) changed = true
    }
    torrent.needSave.config()
    if (changed) torrent.completion.wantedChanged(wasFinished)
  }

  /** @param deadline milliseconds from now @param flags `alertWhenAvailable`: a `ReadPieceAlert` when it is there */
  setPieceDeadline(index: number, deadline: number, flags: DeadlineFlags = 0): void {
    this.#call(torrent => torrent.deadlines.set(index, deadline, flags))
  }

  resetPieceDeadline(index: number): void {
    this.#call(torrent => torrent.deadlines.reset(index))
  }

  clearPieceDeadlines(): void {
    this.#call(torrent => torrent.deadlines.clear())
  }

  /** Downloads pieces from `first` to `last`, or to the end of the file that `first` is in, in order. */
  setSequentialRange(first: number, last?: number): void {
    this.#call(torrent => {
      const { content } = torrent
      if (content === null || !torrent.ready || content.geometry.piece(first) === null) return
      const end = last ?? content.geometry.piecesOfFile(content.geometry.lastFileOfPiece(first)).end - 1
      if (content.geometry.piece(end) === null) return
      torrent.sequential = true
      if (!content.haveAll) torrent.needPicker().cursors.setRange(first, end)
    })
  }

  // ---- files ---------------------------------------------------------------------------------------

  /** Bytes of each file that are there. @param flags `pieceGranularity`: whole pieces only, which is cheaper */
  fileProgress(flags: FileProgressFlags = 0): number[] {
    return this.#call(torrent => buildFileProgress(torrent, (flags & TorrentHandleFlags.pieceGranularity) !== 0))
  }

  /** Answers by `FileProgressAlert`. */
  postFileProgress(flags: FileProgressFlags = 0): void {
    this.#call(torrent =>
      torrent.env.alerts.post(
        new FileProgressAlert(torrent, buildFileProgress(torrent, (flags & TorrentHandleFlags.pieceGranularity) !== 0)),
      ),
    )
  }

  /** Files that are open now. */
  fileStatus(): OpenFileState[] {
    return this.#call(torrent => openFiles(torrent))
  }

  /** Answers by `FileStatusAlert`. */
  postFileStatus(): void {
    this.#call(torrent => torrent.env.alerts.post(new FileStatusAlert(torrent, openFiles(torrent))))
  }

  filePriority(index: number): number
  filePriority(index: number, priority: number): void
  filePriority(index: number, priority?: number): number | undefined {
    return this.#call(torrent => {
      if (priority === undefined) {
        return (
          torrent.content?.priorities.filePriority(index) ?? torrent.added?.filePriorities[index] ?? DEFAULT_PRIORITY
        )
      }
      torrent.files.setFilePriority(index, priority)
      return undefined
    })
  }

  getFilePriorities(): number[] {
    const torrent = this.torrent()
    return torrent.content?.priorities.filePriorities() ?? torrent.added?.filePriorities.slice() ?? []
  }

  /** Answers by `FilePrioritiesAlert`. */
  postFilePriorities(): void {
    this.#call(torrent => torrent.env.alerts.post(new FilePrioritiesAlert(torrent, this.getFilePriorities())))
  }

  /** One priority (0 to 7) per file; files beyond the list get the default. Answers by `FilePrioAlert`. */
  prioritizeFiles(priorities: readonly number[]): void {
    this.#call(torrent => torrent.files.prioritizeFiles(priorities))
  }

  getRenamedFiles(): RenamedFiles {
    return this.torrent().files.renamed
  }

  /** Answers by `FileRenamedAlert` or `FileRenameFailedAlert`. @param path relative to the save path, or absolute */
  renameFile(index: number, path: string): void {
    checkPath('renameFile', path)
    // it would stand for the save path itself
    if (path === '') throw new TypeError('renameFile: path must not be empty')
    this.#call(torrent => torrent.files.rename(index, path))
  }

  /** Answers by `StorageMovedAlert` or `StorageMovedFailedAlert`. */
  moveStorage(path: string, flags: MoveFlags = 0): void {
    checkPath('moveStorage', path)
    this.#call(torrent => torrent.files.move(path, flags))
  }

  // ---- peers ---------------------------------------------------------------------------------------

  getPeerInfo(): PeerInfo[] {
    return this.#call(torrent => peerInfo(torrent))
  }

  /** Answers by `PeerInfoAlert`. */
  postPeerInfo(): void {
    this.#call(torrent => torrent.env.alerts.post(new PeerInfoAlert(torrent, peerInfo(torrent))))
  }

  /**
   * Makes a peer known, and connects to it as soon as there is room.
   *
   * @param source `PeerInfo.tracker` ...
   * @param flags  `PexFlags`
   * @throws TypeError if the endpoint is no address and port
   */
  connectPeer(endpoint: Endpoint, source = 0, flags = 0): void {
    const address = parseAddress(endpoint[0])
    const port = endpoint[1]
    if (address === null || !Number.isInteger(port) || port < 0 || port > 65535) {
      throw new TypeError('connectPeer: expected [address, port]')
    }
    this.#call(torrent => {
      torrent.swarm.addPeer([address, port], source, flags)
      torrent.listsChanged()
    })
  }

  /** Disconnects and forgets all peers. */
  clearPeers(): void {
    this.#call(torrent => {
      torrent.swarm.disconnectAll(libtorrentError(LibtorrentErrors.noError), 0)
      torrent.swarm.known?.clear()
      torrent.listsChanged()
    })
  }

  // ---- trackers --------------------------------------------------------------------------------------

  trackers(): AnnounceEntry[] {
    return this.#call(torrent => torrent.announcer.trackers(torrent.env.turn.now, torrent.env.clock.posixSeconds()))
  }

  /** Answers by `TrackerListAlert`. */
  postTrackers(): void {
    this.#call(torrent => torrent.env.alerts.post(new TrackerListAlert(torrent, this.trackers())))
  }

  /** Adds a tracker; one with the same URL is kept as it is. */
  addTracker(tracker: AnnounceEntry | TrackerLike): void {
    this.#call(torrent => {
      torrent.announcer.addTracker(toEntry(tracker), torrent.env.turn.now)
      torrent.needSave.metadata()
      torrent.announcing.changed()
    })
  }

  replaceTrackers(trackers: readonly (AnnounceEntry | TrackerLike)[]): void {
    this.#call(torrent => {
      torrent.announcer.replaceTrackers(trackers.map(toEntry), torrent.env.turn.now)
      torrent.needSave.metadata()
      torrent.announcing.changed()
    })
  }

  /**
   * Announces again.
   *
   * @param seconds from now
   * @param tracker index in `trackers()`, or URL; -1: all
   * @param flags   `ignoreMinInterval`
   */
  forceReannounce(seconds = 0, tracker: number | string = -1, flags: ReannounceFlags = 0): void {
    this.#call(torrent => {
      torrent.announcer.forceReannounce(torrent.env.turn.now, seconds, tracker, flags)
      torrent.announcing.changed()
    })
  }

  /** Tells the local network of the torrent now, as far as it is announced there at all. */
  forceLsdAnnounce(): void {
    this.#call(torrent => torrent.env.discovery.announceLocally(torrent))
  }

  /** Announces the torrent to the DHT now, if it may be announced at all. */
  forceDhtAnnounce(): void {
    this.#call(torrent => torrent.dht.announce())
  }

  /** Asks a tracker for the size of the swarm; answers by `ScrapeReplyAlert` or `ScrapeFailedAlert`. */
  scrapeTracker(tracker: number | string = -1): void {
    this.#call(torrent => torrent.announcer.scrapeTracker(tracker, true))
  }

  // ---- limits and queue ------------------------------------------------------------------------------

  /** Bytes per second; -1: no limit. */
  uploadLimit(): number {
    const torrent = this.torrent()
    return torrent.env.limits.torrentLimit(torrent, 'up')
  }

  setUploadLimit(limit: number): void {
    this.#call(torrent => {
      torrent.env.limits.setTorrentLimit(torrent, 'up', limit)
      logTorrent(torrent, () => `*** set-upload-limit: ${limit}`)
      torrent.needSave.config()
      torrent.stateUpdated()
    })
  }

  /** Bytes per second; -1: no limit. */
  downloadLimit(): number {
    const torrent = this.torrent()
    return torrent.env.limits.torrentLimit(torrent, 'down')
  }

  setDownloadLimit(limit: number): void {
    this.#call(torrent => {
      torrent.env.limits.setTorrentLimit(torrent, 'down', limit)
      logTorrent(torrent, () => `*** set-download-limit: ${limit}`)
      torrent.needSave.config()
      torrent.stateUpdated()
    })
  }

  /** -1: no limit. */
  maxUploads(): number {
    const { limit } = this.torrent().uploadSlots
    return limit === UNLIMITED ? -1 : limit
  }

  setMaxUploads(count: number): void {
    this.#call(torrent => torrent.uploadSlots.setLimit(count))
  }

  /** -1: no limit. */
  maxConnections(): number {
    const { maxConnections } = this.torrent()
    return maxConnections === UNLIMITED ? -1 : maxConnections
  }

  setMaxConnections(count: number): void {
    this.#call(torrent => torrent.setMaxConnections(count))
  }

  /** Place in the download queue; -1 for torrents that are finished. */
  queuePosition(): number {
    const torrent = this.torrent()
    return torrent.env.registry.queuePosition(torrent)
  }

  queuePositionUp(): void {
    this.#move(torrent => torrent.env.registry.queuePosition(torrent) - 1)
  }

  queuePositionDown(): void {
    this.#move(torrent => torrent.env.registry.queuePosition(torrent) + 1)
  }

  queuePositionTop(): void {
    this.#move(() => 0)
  }

  queuePositionBottom(): void {
    this.#move(() => Number.MAX_SAFE_INTEGER)
  }

  queuePositionSet(position: number): void {
    this.#move(() => position)
  }

  #move(to: (torrent: Torrent) => number): void {
    this.#call(torrent => {
      const { registry } = torrent.env
      const from = registry.queuePosition(torrent)
      registry.moveInQueue(torrent, to(torrent))
      logTorrent(torrent, () => `*** queue position: ${from} -> ${registry.queuePosition(torrent)}`)
    })
  }

  // ---- web seeds ---------------------------------------------------------------------------------------

  /** URLs of the web seeds that are known and not banned, sorted. @see BEP 19 */
  urlSeeds(): string[] {
    return this.torrent().webSeeds.urls()
  }

  /** Adds a web seed; nothing happens if it is known. Its faults come as `UrlSeedAlert`. */
  addUrlSeed(url: string): void {
    this.#call(torrent => torrent.webSeeds.add(url))
  }

  /** Removes a web seed and closes its connection. */
  removeUrlSeed(url: string): void {
    this.#call(torrent => torrent.webSeeds.remove(url))
  }

  #call<T>(fn: (torrent: Torrent) => T): T {
    const torrent = this.torrent()
    return torrent.env.turn.call(() => fn(torrent))
  }
}

/** A tracker as a plain object. */
export interface TrackerLike {
  readonly url: string
  readonly tier?: number
  readonly failLimit?: number
  readonly trackerid?: string
  readonly source?: number
}

const DEFAULT_PRIORITY = 4
const TRACKER_SOURCE_CLIENT = 2

function toEntry(tracker: AnnounceEntry | TrackerLike): AnnounceEntry {
  const entry = new AnnounceEntry(tracker.url)
  entry.tier = tracker.tier ?? 0
  entry.failLimit = tracker.failLimit ?? 0
  entry.trackerid = tracker.trackerid ?? ''
  entry.source = tracker.source || TRACKER_SOURCE_CLIENT
  return entry
}

/** What is no path would be found out only when a disk job runs. */
function checkPath(method: string, path: unknown): void {
  if (typeof path !== 'string') throw new TypeError(`${method}: path must be a string`)
  if (path.includes('\0')) throw new TypeError(`${method}: path must not contain a null character`)
}

function openFiles(torrent: Torrent): OpenFileState[] {
  const storage = torrent.content?.storage ?? null
  if (storage === null) return []
  const { clock, turn, disk } = torrent.env
  const offset = clock.posixSeconds() * 1000 - turn.now
  return disk
    .openFiles(storage)
    .map(
      file => new OpenFileState(file.file, file.openMode as OpenFileState['openMode'], new Date(offset + file.lastUse)),
    )
}

function peerInfo(torrent: Torrent): PeerInfo[] {
  const { now } = torrent.env.turn
  return torrent.swarm.connections.filter(peer => !peer.disconnecting).map(peer => buildPeerInfo(peer, now))
}
