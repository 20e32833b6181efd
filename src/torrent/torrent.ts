/**
 * One torrent: owns its parts, and holds what they have in common: where it is in its life, and what the user asked for.
 *
 * What happens is in the parts: `Content` (pieces), `Swarm` (peers), `PeerGate` (events of connections), `Checker` and
 * `FileOperations` (files), `Announcing` (trackers, DHT, local network), `PieceVerdicts` (blame), `Completion`, `Pausing`,
 * `ErrorState`, `UploadMode`, `UploadSlots`.
 */

import type { AlertTorrent } from '../alert/alert.ts'
import { CacheFlushedAlert } from '../alert/storage-alerts.ts'
import {
  StateChangedAlert,
  TorrentCheckedAlert,
  TorrentFinishedAlert,
  TorrentRemovedAlert,
} from '../alert/torrent-alerts.ts'
import type { PieceIndex, TorrentId } from '../core/brands.ts'
import type { InfoHash } from '../core/digest.ts'
import { type StorageMode, SuggestMode, TorrentFlags } from '../core/enums.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { AddTorrentParams } from '../metainfo/add-torrent-params.ts'
import type { TorrentInfo } from '../metainfo/torrent-info.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import { secondTick } from '../peer/peer-timeouts.ts'
import type { TorrentHandle } from '../session/torrent-handle.ts'
import { DOWNLOAD_PAYLOAD, TransferStats, UPLOAD_PAYLOAD } from '../stats/transfer-stats.ts'
import { ActiveTimes } from './active-times.ts'
import type { Announcer } from './announcer.ts'
import { Announcing } from './announcing.ts'
import { Checker } from './checker.ts'
import { Completion } from './completion.ts'
import type { Content } from './content.ts'
import { DhtAnnounces } from './dht-announces.ts'
import { ErrorState } from './error-state.ts'
import { FileOperations } from './file-operations.ts'
import { Pausing } from './pausing.ts'
import type { PeerEntry } from './peer-entry.ts'
import { PeerSource } from './peer-entry.ts'
import { PeerGate } from './peer-gate.ts'
import { PexState } from './pex-state.ts'
import { PieceDeadlines } from './piece-deadlines.ts'
import type { PiecePicker } from './piece-picker.ts'
import { PieceVerdicts } from './piece-verdicts.ts'
import { NeedSave } from './resume-state.ts'
import type { SeedMode } from './seed-mode.ts'
import { SuggestPieces } from './suggest-pieces.ts'
import { Swarm, type SwarmHost } from './swarm.ts'
import { newAnnouncer } from './torrent-announces.ts'
import type { TorrentEnv } from './torrent-env.ts'
import { KEPT_FLAGS } from './torrent-flags.ts'
import type { TorrentHashes } from './torrent-hashes.ts'
import { UNLIMITED } from './torrent-limits.ts'
import { limitText, logCreated, logPeersAdded, logTorrent } from './torrent-log.ts'
import { TorrentMetadata } from './torrent-metadata.ts'
import { publicState, type TorrentState } from './torrent-state.ts'
import { UploadMode } from './upload-mode.ts'
import { UploadSlots } from './upload-slots.ts'
import { WebSeeds } from './web-seeds.ts'

export class Torrent implements SwarmHost, AlertTorrent {
  readonly id: TorrentId
  readonly env: TorrentEnv
  readonly handle: TorrentHandle
  readonly swarm: Swarm
  readonly announcing: Announcing
  readonly announcer: Announcer
  readonly dht: DhtAnnounces
  readonly verdicts: PieceVerdicts
  readonly files: FileOperations
  readonly checker: Checker
  readonly pex = new PexState(this)
  readonly times: ActiveTimes
  readonly completion: Completion
  readonly needSave = new NeedSave()
  readonly host: PeerGate
  readonly metadata: TorrentMetadata
  readonly stats = new TransferStats()

  infoHashes: InfoHash
  content: Content | null = null
  /** Exchange of v2 hashes, if it has any and its metadata is known. */
  hashes: TorrentHashes | null = null
  state: TorrentState
  /** What it was added with, until the files are checked. */
  added: AddTorrentParams | null
  seedMode: SeedMode | null = null
  superSeeding: boolean
  readonly deadlines: PieceDeadlines

  readonly errors = new ErrorState(this)
  aborted = false
  readonly pausing: Pausing
  readonly uploadMode: UploadMode
  autoManaged: boolean
  sequential: boolean
  appliesIpFilter: boolean
  stopWhenReady: boolean
  subscribed: boolean
  /** Flags that are kept and shown: `disable_dht` ... */
  otherFlags: number
  deleted = false
  /** It has ended: nothing of it is under way any more. */
  closed = false

  maxConnections = UNLIMITED
  readonly uploadSlots = new UploadSlots(this)
  readonly storageMode: StorageMode
  readonly userdata: unknown

  totalUploaded: number
  totalDownloaded: number
  redundantBytes = 0
  failedBytes = 0
  /** Milliseconds of the session's clock; -1: never. */
  lastUpload = -1
  lastDownload = -1
  readonly addedTime: number
  lastSeenComplete: number
  scrapeComplete: number
  scrapeIncomplete: number
  scrapeDownloaded: number
  readonly #name: string
  #suggest: SuggestPieces | null = null
  /** Reported in the last `state_update_alert`, or queued for the next. */
  updateQueued = false
  readonly peerId: Uint8Array
  /** Of the .torrent file; kept for resume data. */
  readonly comment: string
  readonly createdBy: string
  readonly creationDate: number
  readonly dhtNodes: [host: string, port: number][]
  readonly webSeeds: WebSeeds

  constructor(id: TorrentId, params: AddTorrentParams, handle: TorrentHandle, env: TorrentEnv, sessionPaused: boolean) {
    const { flags } = params
    this.id = id
    this.env = env
    this.handle = handle
    this.added = params
    this.infoHashes = params.ti?.infoHashes() ?? params.infoHashes
    this.pausing = new Pausing(this, (flags & TorrentFlags.paused) !== 0, sessionPaused)
    this.uploadMode = new UploadMode(this, (flags & TorrentFlags.uploadMode) !== 0)
    this.autoManaged = (flags & TorrentFlags.autoManaged) !== 0
    this.sequential = (flags & TorrentFlags.sequentialDownload) !== 0
    this.appliesIpFilter = (flags & TorrentFlags.applyIpFilter) !== 0
    this.stopWhenReady = (flags & TorrentFlags.stopWhenReady) !== 0
    this.subscribed = (flags & TorrentFlags.updateSubscribe) !== 0
    this.superSeeding = (flags & TorrentFlags.superSeeding) !== 0
    this.otherFlags = flags & KEPT_FLAGS
    this.storageMode = params.storageMode
    this.userdata = params.userdata
    this.totalUploaded = params.totalUploaded
    this.totalDownloaded = params.totalDownloaded
    this.addedTime = params.addedTime || env.clock.posixSeconds()
    this.lastSeenComplete = params.lastSeenComplete
    this.scrapeComplete = params.numComplete
    this.scrapeIncomplete = params.numIncomplete
    this.scrapeDownloaded = params.numDownloaded
    this.#name = params.name
    this.comment = params.comment
    this.createdBy = params.createdBy
    this.creationDate = params.creationDate
    this.dhtNodes = params.dhtNodes
    this.peerId = env.connects.newPeerId()
    this.state = { kind: params.ti === null ? 'needsMetadata' : 'checkingResume' }
    this.times = new ActiveTimes(params)
    this.completion = new Completion(this, params.completedTime)
    this.host = new PeerGate(this)
    this.metadata = new TorrentMetadata(this, params.ti !== null)
    this.swarm = new Swarm(this, env)
    this.verdicts = new PieceVerdicts(this)
    this.files = new FileOperations(this, params)
    this.checker = new Checker(this)
    this.deadlines = new PieceDeadlines(this)
    this.announcing = new Announcing(this)
    this.announcer = newAnnouncer(this, params)
    this.dht = new DhtAnnounces(this)
    this.webSeeds = new WebSeeds(this, params)
  }

  // ---- what it is --------------------------------------------------------------------------------

  name(): string {
    return this.info?.name() ?? this.#name
  }

  /** `null` as long as the metadata is not known. */
  get info(): TorrentInfo | null {
    return this.content?.info ?? this.metadata.info
  }

  /** Files are checked: pieces can be exchanged. */
  get ready(): boolean {
    const { kind } = this.state
    return kind === 'downloading' || kind === 'finished' || kind === 'seeding'
  }

  get isSeed(): boolean {
    return this.content !== null && (this.seedMode !== null || this.content.isSeed)
  }

  get isFinished(): boolean {
    return this.content !== null && (this.isSeed || this.content.isFinished)
  }

  /** Downloads nothing. */
  get uploadOnly(): boolean {
    return this.isFinished || this.uploadMode.on
  }

  /** Only its trackers may say who is in it; false as long as the metadata is not known. @see BEP 27 */
  get isPrivate(): boolean {
    return this.info?.priv() ?? false
  }

  get pexDisabled(): boolean {
    return (this.otherFlags & TorrentFlags.disablePex) !== 0
  }

  get isPaused(): boolean {
    return this.pausing.isPaused
  }

  get isChecking(): boolean {
    return this.state.kind === 'checking'
  }

  // ---- life --------------------------------------------------------------------------------------

  /** Begins, once it is in the registry. */
  start(): void {
    const params = this.added!
    this.uploadSlots.setLimit(params.maxUploads)
    this.setMaxConnections(params.maxConnections)
    this.env.limits.setTorrentLimit(this, 'up', params.uploadLimit)
    this.env.limits.setTorrentLimit(this, 'down', params.downloadLimit)
    logCreated(this)
    this.needSave.clear()
    for (const peer of params.peers) this.swarm.addPeer(peer, PeerSource.resumeData)
    for (const peer of params.bannedPeers) {
      const entry = this.swarm.addPeer(peer, PeerSource.resumeData)
      if (entry !== null) this.swarm.ban(entry)
    }
    logPeersAdded(this, 'add_torrent', params.peers)
    this.env.registry.setQueued(this, true)
    if (!this.isPaused) this.times.start(this.env.turn.now)
    if (params.ti === null) this.announcing.start()
    else this.metadata.attach(params.ti)
    if (params.peers.length > 0) this.swarm.connectBoost()
    this.listsChanged()
  }

  setState(state: TorrentState): void {
    const before = publicState(this.state)
    const after = publicState(state)
    const wasChecking = this.state.kind === 'checking' || this.state.kind === 'checkingResume'
    this.state = state
    if (before === after) return
    const { alerts } = this.env
    if (alerts.wants(StateChangedAlert)) alerts.post(new StateChangedAlert(this, after, before))
    if (state.kind === 'finished' && alerts.wants(TorrentFinishedAlert)) alerts.post(new TorrentFinishedAlert(this))
    this.stateUpdated()
    logTorrent(this, () => `set_state() ${after}`)
    if (this.stopWhenReady && this.ready && wasChecking) {
      logTorrent(this, () => 'stop_when_ready triggered')
      this.stopWhenReady = false
      this.setAutoManaged(false)
      this.pause(false)
    }
  }

  /** The files are as the piece map says: pieces can be exchanged. */
  filesChecked(): void {
    if (this.aborted) return
    const { env } = this
    if (this.autoManaged) env.registry.triggerAutoManage()
    const { content } = this
    if (content === null) return
    if (this.isSeed) this.announcer.setCompleteSent()
    else this.superSeeding = false
    if (!this.isFinished) {
      this.setState({ kind: 'downloading' })
      env.registry.setQueued(this, true)
    } else this.completion.finished(true)
    if (env.alerts.wants(TorrentCheckedAlert)) env.alerts.post(new TorrentCheckedAlert(this))
    for (const peer of this.swarm.connections.slice()) peer.hostReady()
    this.announcing.start()
    this.webSeeds.connect()
    content.layers?.look()
    this.listsChanged()
  }

  /** Peers learn that we download nothing, or do so again. */
  tellUploadOnly(): void {
    if (this.superSeeding) return
    for (const peer of this.swarm.connections.slice()) {
      if (this.uploadOnly) peer.interest.end()
      peer.extensions.sendUploadOnly(this.uploadOnly)
    }
  }

  /** Ends the torrent. `stopped` is announced, what is in memory written, the storage closed. */
  abort(): void {
    if (this.aborted) return
    this.aborted = true
    const { env } = this
    this.announcing.stop()
    this.swarm.disconnectAll(libtorrentError(LibtorrentErrors.torrentRemoved), Operation.bittorrent)
    this.times.stop(env.turn.now)
    this.content?.spill()
    this.checker.stop()
    const storage = this.content?.storage ?? null
    env.registry.wantsTick(this, false)
    env.registry.wantsPeers(this, false)
    env.limits.torrentRemoved(this)
    const closed = () => {
      this.closed = true
      this.content?.openTransfers?.clear()
      if (storage !== null) env.disk.removeStorage(storage)
      env.alerts.post(new TorrentRemovedAlert(this, this.infoHashes, this.userdata))
      env.registry.torrentClosed(this)
    }
    if (storage !== null) env.disk.abandonCopies?.(storage)
    if (storage === null) closed()
    else env.disk.stop(storage, () => env.turn.run('torrent closed', closed))
  }

  // ---- pause and resume --------------------------------------------------------------------------

  pause(graceful: boolean): void {
    this.pausing.pause(graceful)
  }

  resume(): void {
    this.pausing.resume()
  }

  setAutoManaged(on: boolean): void {
    if (this.autoManaged === on) return
    this.autoManaged = on
    this.needSave.state()
    this.stateUpdated()
    this.env.registry.triggerAutoManage()
  }

  /** Writes what is in memory; `CacheFlushedAlert` says when that is done. */
  flushCache(): void {
    const { alerts, disk, turn } = this.env
    const done = () => {
      if (alerts.wants(CacheFlushedAlert)) alerts.post(new CacheFlushedAlert(this))
    }
    const storage = this.content?.storage ?? null
    if (storage === null) {
      done()
      return
    }
    this.content!.spill()
    disk.releaseFiles(storage, () => turn.run('flush cache', done))
    disk.submit()
  }

  leaveSeedMode(checkFiles: boolean): void {
    if (this.seedMode === null) return
    if (checkFiles) logTorrent(this, () => '*** FAILED SEED MODE, rechecking')
    logTorrent(this, () => `*** LEAVING SEED MODE (${checkFiles ? 'as non-seed' : 'as seed'})`)
    this.seedMode = null
    this.needSave.state()
    if (checkFiles) {
      this.content!.haveAll = false
      this.checker.forceRecheck()
    } else this.content!.layers?.look()
    this.listsChanged()
  }

  // ---- pieces ------------------------------------------------------------------------------------

  /**
   * A piece that is had is not what its v2 hash says: the v1 and the v2 hashes of a hybrid torrent do not go together. If
   * no v1 hashes are looked at, it was only said to be there, by resume data.
   */
  inconsistentHashes(piece: PieceIndex): void {
    if (!this.content!.checksV1) {
      this.checker.forceRecheck()
      return
    }
    const file = this.content!.files.fileIndexAtPiece(piece)
    this.errors.set(libtorrentError(LibtorrentErrors.torrentInconsistentHashes), file)
    this.content!.forgetPieces()
    this.checker.startOver()
    // whoever lets it go on gets everything anew
    this.needPicker()
    this.completion.resumeDownload()
    this.pause(false)
  }

  /** The picker; a new one is told what the connected peers have. */
  needPicker(): PiecePicker {
    return this.content!.needPicker(picker => {
      for (const peer of this.swarm.connections) if (peer.availability.counted) picker.addPeerPieces(peer.pieces)
    })
  }

  // ---- peers: SwarmHost --------------------------------------------------------------------------

  get alertSource(): this {
    return this
  }

  get wantsPeers(): boolean {
    if (this.aborted || this.isPaused || this.pausing.graceful) return false
    if (this.content !== null && !this.ready) return false
    if (this.swarm.size >= this.maxConnections) return false
    if (this.isSeed && !this.env.settings.seedingOutgoingConnections) return false
    return this.swarm.numCandidates > 0
  }

  peerErased(entry: PeerEntry): void {
    this.content?.picker?.clearPeer(entry.id)
    this.verdicts.forgetPeer(entry.id)
  }

  connectionsChanged(): void {
    this.listsChanged()
  }

  connectionClosed(): void {
    this.pausing.connectionClosed()
  }

  /** A piece is in memory. While pieces are suggested the picker is kept, which knows how common they are. */
  pieceRead(piece: PieceIndex): void {
    const { settings } = this.env
    if (settings.suggestMode === SuggestMode.noPieceSuggestions || this.content === null) return
    const copies = this.needPicker().availability(piece)
    const availability = Math.floor((copies * 100) / Math.max(1, this.swarm.size))
    this.#suggest ??= new SuggestPieces()
    this.#suggest.pieceRead(piece, availability, settings.maxSuggestPieces)
  }

  /** The user replaces a piece that is had: until the new one is found right, it is gone. */
  losePiece(piece: PieceIndex): void {
    this.content!.losePiece(piece)
    this.#suggest?.pieceLost(piece)
    // who is not told asks for it again and again
    for (const peer of this.swarm.connections) peer.announcements.withdrawPiece(piece)
    this.completion.wantedChanged(true)
  }

  suggestPieces(peer: PeerConnection, already: readonly PieceIndex[], count: number): PieceIndex[] {
    return this.#suggest?.pick(peer.pieces, already, count) ?? []
  }

  setMaxConnections(limit: number): void {
    const value = limit > 0 ? Math.max(2, limit) : UNLIMITED
    if (this.maxConnections === value) return
    this.maxConnections = value
    this.needSave.config()
    this.stateUpdated()
    logTorrent(this, () => `*** set-max-connections: ${limitText(value)}`)
    this.swarm.disconnectDownTo(value, libtorrentError(LibtorrentErrors.tooManyConnections))
    this.listsChanged()
  }

  // ---- time --------------------------------------------------------------------------------------

  /** Whether a second of doing nothing would change anything. */
  get wantsTick(): boolean {
    return (
      !this.aborted &&
      (this.swarm.size > 0 ||
        this.uploadMode.on ||
        this.deadlines.size > 0 ||
        this.webSeeds.wantsTick ||
        (this.content?.openTransfers?.hasUnwritten ?? false) ||
        !this.stats.isIdle())
    )
  }

  secondTick(elapsedMs: number): void {
    const { now } = this.env.turn
    this.uploadMode.tick(now)
    const moving = this.stats.uploadRate() > 0 || this.stats.downloadRate() > 0
    if (!this.isPaused || this.pausing.graceful) {
      if (!this.uploadMode.on) this.deadlines.tick(now)
      this.pex.tick(now)
      for (const peer of this.swarm.connections.slice()) {
        if (!peer.disconnecting) secondTick(peer, now, elapsedMs)
      }
      this.content?.spill(now - SPILL_AGE_MS)
      this.webSeeds.connect()
    }
    this.totalUploaded += this.stats.sinceTick(UPLOAD_PAYLOAD)
    this.totalDownloaded += this.stats.sinceTick(DOWNLOAD_PAYLOAD)
    if (!this.stats.isIdle()) this.needSave.counters()
    this.stats.secondTick(elapsedMs)
    if (moving) this.stateUpdated()
    this.listsChanged()
  }

  listsChanged(): void {
    const { registry } = this.env
    registry.wantsTick(this, this.wantsTick)
    registry.wantsPeers(this, this.wantsPeers)
  }

  stateUpdated(): void {
    if (this.subscribed && !this.updateQueued) this.env.registry.stateUpdated(this)
  }
}

/** Blocks of incomplete pieces are written when they are that old. */
const SPILL_AGE_MS = 30_000
