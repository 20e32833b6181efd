/**
 * One torrent: owns its parts, routes what happens to them, and holds what they have in common: where it
 * is in its life, whether it is paused, what the user asked for.
 *
 * The algorithms are in the parts: `Content` (pieces), `Swarm` (peers), `Announcer` (trackers), `Checker`
 * (files), `PieceVerdicts` (blame), `FileOperations`.
 */

import type { AlertTorrent } from '../alert/alert.ts'
import { CacheFlushedAlert, FileErrorAlert } from '../alert/storage-alerts.ts'
import {
  MetadataReceivedAlert,
  StateChangedAlert,
  TorrentCheckedAlert,
  TorrentErrorAlert,
  TorrentFinishedAlert,
  TorrentRemovedAlert,
} from '../alert/torrent-alerts.ts'
import type { BlockIndex, PieceIndex, TorrentId } from '../core/brands.ts'
import type { InfoHash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import { type StorageMode, TorrentFlags } from '../core/enums.ts'
import { type ErrorCode, libtorrentError, NO_ERROR } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { AddTorrentParams } from '../metainfo/add-torrent-params.ts'
import type { RenamedFiles } from '../metainfo/renamed-files.ts'
import type { TorrentInfo } from '../metainfo/torrent-info.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import { secondTick } from '../peer/peer-timeouts.ts'
import type { TorrentHandle } from '../session/torrent-handle.ts'
import * as C from '../stats/counter-ids.ts'
import { DOWNLOAD_PAYLOAD, TransferStats, UPLOAD_PAYLOAD } from '../stats/transfer-stats.ts'
import type { DiskError } from '../storage/disk-io.ts'
import { AnnounceEntry } from '../tracker/announce-entry.ts'
import { ActiveTimes } from './active-times.ts'
import { Announcer } from './announcer.ts'
import { Checker } from './checker.ts'
import { Content } from './content.ts'
import { DhtAnnounces } from './dht-announces.ts'
import { FileOperations } from './file-operations.ts'
import { HashTrees } from './hash-trees.ts'
import { Pausing } from './pausing.ts'
import type { PeerEntry } from './peer-entry.ts'
import { PeerSource } from './peer-entry.ts'
import { PeerGate } from './peer-gate.ts'
import { PexState } from './pex-state.ts'
import { PieceDeadlines } from './piece-deadlines.ts'
import { PieceEvents } from './piece-events.ts'
import type { PiecePicker } from './piece-picker.ts'
import { PieceVerdicts } from './piece-verdicts.ts'
import { NeedSave } from './resume-state.ts'
import { SeedMode } from './seed-mode.ts'
import { SuggestPieces } from './suggest-pieces.ts'
import { pieceToSuperSeed } from './super-seeding.ts'
import { Swarm, type SwarmHost } from './swarm.ts'
import { TorrentAnnounces } from './torrent-announces.ts'
import type { TorrentEnv } from './torrent-env.ts'
import { TorrentHashes } from './torrent-hashes.ts'
import { UNLIMITED } from './torrent-limits.ts'
import { TorrentMetadata } from './torrent-metadata.ts'
import { publicState, type TorrentState } from './torrent-state.ts'
import { TorrentStatus } from './torrent-status.ts'
import { WebSeeds } from './web-seeds.ts'

/** Shown as a file where an error is about no file. */
const NO_FILE = TorrentStatus.errorFileNone

/** Errors of writing that end when there is room, or permission, again: the torrent goes on seeding. */
const WRITE_STOPPERS = new Set([
  30 /* EROFS */, 13 /* EACCES */, 1 /* EPERM */, 28 /* ENOSPC */, 27 /* EFBIG */, 122 /* EDQUOT */,
])
const ENOMEM = 12
const ECANCELED = 125

export class Torrent implements SwarmHost, AlertTorrent {
  readonly id: TorrentId
  readonly env: TorrentEnv
  readonly handle: TorrentHandle
  readonly swarm: Swarm
  readonly announcer: Announcer
  readonly dht: DhtAnnounces
  readonly verdicts: PieceVerdicts
  readonly files: FileOperations
  readonly checker: Checker
  readonly pex = new PexState(this)
  readonly times: ActiveTimes
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
  superSeeding: Record<string, never> | null = null
  readonly deadlines: PieceDeadlines

  error: ErrorCode = NO_ERROR
  errorFile: number = NO_FILE
  aborted = false
  readonly pausing: Pausing
  uploadMode: boolean
  #uploadModeSince = 0
  autoManaged: boolean
  sequential: boolean
  appliesIpFilter: boolean
  stopWhenReady: boolean
  subscribed: boolean
  /** Flags that are kept and shown: `disable_dht` ... */
  otherFlags: number
  /** Whether auto-management lets it announce. */
  announceToTrackers = true
  announceToDht = true
  announceToLsd = true
  deleted = false
  /** It has ended: nothing of it is under way any more. */
  closed = false

  maxConnections = UNLIMITED
  maxUploads = UNLIMITED
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
  completedTime: number
  lastSeenComplete: number
  scrapeComplete: number
  scrapeIncomplete: number
  scrapeDownloaded: number
  readonly #name: string
  /** Until there is `content`. */
  #info: TorrentInfo | null = null
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
    this.uploadMode = (flags & TorrentFlags.uploadMode) !== 0
    this.autoManaged = (flags & TorrentFlags.autoManaged) !== 0
    this.sequential = (flags & TorrentFlags.sequentialDownload) !== 0
    this.appliesIpFilter = (flags & TorrentFlags.applyIpFilter) !== 0
    this.stopWhenReady = (flags & TorrentFlags.stopWhenReady) !== 0
    this.subscribed = (flags & TorrentFlags.updateSubscribe) !== 0
    this.superSeeding = (flags & TorrentFlags.superSeeding) !== 0 ? {} : null
    this.otherFlags = flags & KEPT_FLAGS
    this.storageMode = params.storageMode
    this.userdata = params.userdata
    this.totalUploaded = params.totalUploaded
    this.totalDownloaded = params.totalDownloaded
    this.addedTime = params.addedTime || env.clock.posixSeconds()
    this.completedTime = params.completedTime
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
    this.host = new PeerGate(this)
    this.metadata = new TorrentMetadata(this, params.ti !== null)
    this.swarm = new Swarm(this, env)
    this.verdicts = new PieceVerdicts(this)
    this.files = new FileOperations(this, params)
    this.checker = new Checker(this)
    this.deadlines = new PieceDeadlines(this)
    const key = env.rng.uint32()
    this.announcer = new Announcer(env.settings, new TorrentAnnounces(this), key, params.trackerid)
    addTrackers(this.announcer, params, env)
    this.dht = new DhtAnnounces(this)
    this.webSeeds = new WebSeeds(this, params)
  }

  // ---- what it is --------------------------------------------------------------------------------

  name(): string {
    return this.info?.name() ?? this.#name
  }

  /** `null` as long as the metadata is not known. */
  get info(): TorrentInfo | null {
    return this.content?.info ?? this.#info
  }

  get renamedFiles(): RenamedFiles {
    return this.files.renamed
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
    return this.isFinished || this.uploadMode
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

  get flags(): number {
    let flags = this.otherFlags
    if (this.seedMode !== null) flags |= TorrentFlags.seedMode
    if (this.uploadMode) flags |= TorrentFlags.uploadMode
    if (this.appliesIpFilter) flags |= TorrentFlags.applyIpFilter
    if (this.pausing.paused) flags |= TorrentFlags.paused
    if (this.autoManaged) flags |= TorrentFlags.autoManaged
    if (this.superSeeding !== null) flags |= TorrentFlags.superSeeding
    if (this.sequential) flags |= TorrentFlags.sequentialDownload
    if (this.stopWhenReady) flags |= TorrentFlags.stopWhenReady
    if (this.subscribed) flags |= TorrentFlags.updateSubscribe
    return flags
  }

  /** @param mask which of the flags to change */
  setFlags(flags: number, mask: number): void {
    const changes = (bit: number) => (mask & bit) !== 0
    const on = (bit: number) => (flags & bit) !== 0
    if (changes(TorrentFlags.seedMode) && !on(TorrentFlags.seedMode)) this.leaveSeedMode(true)
    if (changes(TorrentFlags.uploadMode)) this.setUploadMode(on(TorrentFlags.uploadMode))
    if (changes(TorrentFlags.applyIpFilter)) this.#setApplyIpFilter(on(TorrentFlags.applyIpFilter))
    if (changes(TorrentFlags.paused)) {
      if (on(TorrentFlags.paused)) this.pause(true)
      else this.resume()
    }
    if (changes(TorrentFlags.autoManaged)) this.setAutoManaged(on(TorrentFlags.autoManaged))
    if (changes(TorrentFlags.superSeeding)) this.#setSuperSeeding(on(TorrentFlags.superSeeding))
    if (changes(TorrentFlags.sequentialDownload) && this.sequential !== on(TorrentFlags.sequentialDownload)) {
      this.sequential = on(TorrentFlags.sequentialDownload)
      this.needSave.config()
      this.stateUpdated()
    }
    if (changes(TorrentFlags.stopWhenReady)) this.stopWhenReady = on(TorrentFlags.stopWhenReady)
    if (changes(TorrentFlags.updateSubscribe)) this.subscribed = on(TorrentFlags.updateSubscribe)
    // which hashes count is settled when a torrent is added
    const settable = mask & KEPT_FLAGS & ~TorrentFlags.disableV1Hashes
    const kept = (this.otherFlags & ~settable) | (flags & settable)
    if (kept !== this.otherFlags) {
      this.otherFlags = kept
      this.needSave.config()
    }
  }

  // ---- life --------------------------------------------------------------------------------------

  /** Begins, once it is in the registry. */
  start(): void {
    const params = this.added!
    this.setMaxUploads(params.maxUploads)
    this.setMaxConnections(params.maxConnections)
    this.env.limits.setTorrentLimit(this, 'up', params.uploadLimit)
    this.env.limits.setTorrentLimit(this, 'down', params.downloadLimit)
    this.needSave.clear()
    for (const peer of params.peers) this.swarm.addPeer(peer, PeerSource.resumeData)
    for (const peer of params.bannedPeers) {
      const entry = this.swarm.addPeer(peer, PeerSource.resumeData)
      if (entry !== null) this.swarm.ban(entry)
    }
    this.env.registry.setQueued(this, true)
    if (!this.isPaused) this.times.start(this.env.turn.now)
    if (params.ti === null) this.startAnnouncing()
    else this.#attachInfo(params.ti)
    if (params.peers.length > 0) this.swarm.connectBoost()
    this.listsChanged()
  }

  /** The metadata that it was added without has come. */
  metadataKnown(info: TorrentInfo): void {
    const { alerts } = this.env
    this.#info = info
    if (alerts.wants(MetadataReceivedAlert)) alerts.post(new MetadataReceivedAlert(this))
    this.#attachInfo(info)
    if (this.content === null) return
    for (const peer of this.swarm.connections.slice()) peer.metadataKnown()
    this.stateUpdated()
    this.listsChanged()
  }

  #attachInfo(info: TorrentInfo): void {
    const params = this.added!
    const { env } = this
    this.#info = info
    if (info.priv()) this.swarm.forgetPublicPeers()
    if (info.numPieces() === 0) {
      this.setError(libtorrentError(LibtorrentErrors.torrentInvalidLength), NO_FILE)
      this.pause(false)
      return
    }
    const v1Disabled = info.v2() && (params.flags & TorrentFlags.disableV1Hashes) !== 0
    if (!v1Disabled) this.otherFlags &= ~TorrentFlags.disableV1Hashes
    const priorities = params.filePriorities.slice(0, info.numFiles())
    if (params.flags & TorrentFlags.defaultDontDownload) {
      while (priorities.length < info.numFiles()) priorities.push(0)
    }
    const trees = info.v2() ? treesOf(info, params) : null
    this.content = new Content(
      info,
      trees,
      !v1Disabled,
      priorities,
      new PieceEvents(this),
      env.disk,
      env.turn,
      env.rng,
      env.pickerLoops,
    )
    this.hashes = trees === null ? null : new TorrentHashes(this, this.content, trees)
    this.#info = null
    this.files.openStorage(this.content)
    if (params.flags & TorrentFlags.seedMode) {
      this.seedMode = new SeedMode(this, info.numPieces(), params.verifiedBits)
      this.content.haveAll = true
    }
    this.setState({ kind: 'checkingResume' })
    this.checker.checkResume(params)
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
    if (this.stopWhenReady && this.ready && wasChecking) {
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
    else if (this.superSeeding !== null) this.superSeeding = null
    if (!this.isFinished) {
      this.setState({ kind: 'downloading' })
      env.registry.setQueued(this, true)
    } else this.#finished(true)
    if (env.alerts.wants(TorrentCheckedAlert)) env.alerts.post(new TorrentCheckedAlert(this))
    for (const peer of this.swarm.connections.slice()) peer.hostReady()
    this.startAnnouncing()
    this.webSeeds.connect()
    this.listsChanged()
  }

  #finished(wasComplete: boolean): void {
    const { env } = this
    const seed = this.isSeed
    this.setState({ kind: 'finished' })
    env.registry.setQueued(this, false)
    this.times.finished(env.turn.now)
    if (seed) {
      this.content!.dropPicker()
      this.verdicts.clear()
      this.setState({ kind: 'seeding' })
      this.times.seeding(env.turn.now)
      if (!wasComplete && this.announcer.isAnnouncing) this.announcer.completed(env.turn.now)
    }
    if (this.completedTime === 0) this.completedTime = env.clock.posixSeconds()
    this.#tellUploadOnly()
    if (env.settings.closeRedundantConnections) {
      for (const peer of this.swarm.connections.slice()) {
        if (peer.uploadOnly) {
          peer.disconnect(libtorrentError(LibtorrentErrors.torrentFinished), Operation.bittorrent)
        }
      }
    }
    if (!wasComplete && this.content!.storage !== null) {
      this.env.disk.releaseFiles(this.content!.storage, () => {})
    }
    if (this.autoManaged) env.registry.triggerAutoManage()
    this.listsChanged()
  }

  /** More is wanted than there is: priorities changed, or a piece was lost. */
  resumeDownload(): void {
    if (this.state.kind !== 'finished' && this.state.kind !== 'seeding') return
    if (this.seedMode !== null) this.leaveSeedMode(true)
    this.setState({ kind: 'downloading' })
    this.env.registry.setQueued(this, true)
    this.completedTime = 0
    this.times.unfinished(this.env.turn.now)
    this.#tellUploadOnly()
    this.listsChanged()
  }

  #tellUploadOnly(): void {
    if (this.superSeeding !== null) return
    for (const peer of this.swarm.connections.slice()) {
      if (this.uploadOnly) peer.becomeUninterested()
      peer.extensions.sendUploadOnly(this.uploadOnly)
    }
  }

  /** Ends the torrent. `stopped` is announced, what is in memory written, the storage closed. */
  abort(): void {
    if (this.aborted) return
    this.aborted = true
    const { env } = this
    this.stopAnnouncing()
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

  // ---- announcing --------------------------------------------------------------------------------

  /** Unless something speaks against it. */
  startAnnouncing(): void {
    if (this.isPaused || this.aborted || !this.announceToTrackers) return
    if (this.content !== null && !this.ready) return
    if (this.announcer.isAnnouncing) return
    // what trackers are told counts from here
    this.announceBase = { up: this.stats.totalPayloadUpload(), down: this.stats.totalPayloadDownload() }
    this.announcer.start(this.env.turn.now)
    this.dht.started()
    this.announceChanged()
    this.env.discovery.announceLocallySoon(this)
  }

  announceBase = { up: 0, down: 0 }

  stopAnnouncing(): void {
    this.announcer.stop(this.env.turn.now)
    this.announceChanged()
  }

  /** Auto-management lets it announce, or not. */
  setAnnounces(trackers: boolean, dht: boolean, lsd: boolean): void {
    this.announceToDht = dht
    this.announceToLsd = lsd
    if (this.announceToTrackers === trackers) return
    this.announceToTrackers = trackers
    if (trackers) this.startAnnouncing()
    else this.stopAnnouncing()
  }

  announceChanged(): void {
    this.env.registry.announceAt(this, this.announcer.nextAnnounceAt)
  }

  /** Its time has come. */
  announceTick(now: number): void {
    this.announcer.tick(now)
    this.announceChanged()
  }

  // ---- errors ------------------------------------------------------------------------------------

  setError(error: ErrorCode, file: number): void {
    this.error = error
    this.errorFile = file
    const { alerts } = this.env
    if (alerts.wants(TorrentErrorAlert)) alerts.post(new TorrentErrorAlert(this, error, this.files.describe(file)))
    this.stateUpdated()
  }

  clearError(): void {
    if (!this.error.failed()) return
    this.error = NO_ERROR
    this.errorFile = NO_FILE
    this.stateUpdated()
    this.env.registry.triggerAutoManage()
    this.listsChanged()
    if (this.isChecking) this.checker.resume()
    if (this.content !== null && this.state.kind === 'checkingResume' && !this.checker.busy) {
      this.checker.checkResume(this.added)
    }
  }

  /** A disk job failed. @param what decides whether the torrent may go on uploading */
  diskError(error: DiskError, what: 'read' | 'write' | 'other', peer: PeerConnection | null = null): void {
    const { code } = error
    const system = code.category().name() === 'system' || code.category().name() === 'generic'
    if (system && code.value() === ECANCELED) return
    const { alerts } = this.env
    if (alerts.wants(FileErrorAlert)) {
      alerts.post(new FileErrorAlert(this, code, this.files.describe(error.file), error.operation))
    }
    if (system && code.value() === ENOMEM) {
      peer?.disconnect(libtorrentError(LibtorrentErrors.noMemory), error.operation)
      return
    }
    if (what === 'write' && system && WRITE_STOPPERS.has(code.value())) {
      this.setUploadMode(true)
      return
    }
    this.setError(code, error.file)
    this.pause(false)
  }

  setUploadMode(on: boolean): void {
    if (this.uploadMode === on) return
    this.uploadMode = on
    this.needSave.state()
    this.stateUpdated()
    this.#tellUploadOnly()
    if (on) {
      this.#uploadModeSince = this.env.turn.now
      for (const peer of this.swarm.connections) {
        if (peer.uploadOnly) peer.updateInterest()
        peer.download.cancelAll()
      }
    } else {
      for (const entry of this.swarm.known?.entries() ?? []) entry.lastConnected = 0
      for (const peer of this.swarm.connections) peer.updateInterest()
    }
    this.listsChanged()
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
    this.seedMode = null
    this.needSave.state()
    if (checkFiles) {
      this.content!.haveAll = false
      this.checker.forceRecheck()
    }
    this.listsChanged()
  }

  #setApplyIpFilter(on: boolean): void {
    if (this.appliesIpFilter === on) return
    this.appliesIpFilter = on
    this.env.counters.inc(C.SES_NON_FILTER_TORRENTS, on ? -1 : 1)
    this.needSave.config()
    this.swarm.ipFilterChanged()
    this.stateUpdated()
  }

  #setSuperSeeding(on: boolean): void {
    if ((this.superSeeding !== null) === on) return
    this.superSeeding = on ? {} : null
    this.needSave.state()
    this.stateUpdated()
    if (on) return
    // whoever was shown single pieces may now see all
    for (const peer of this.swarm.connections) peer.announcements.endSuperSeeding()
  }

  // ---- pieces ------------------------------------------------------------------------------------

  /** The v1 and the v2 hashes of a hybrid torrent do not go together. */
  inconsistentHashes(piece: PieceIndex): void {
    const file = this.content!.files.fileIndexAtPiece(piece)
    this.setError(libtorrentError(LibtorrentErrors.torrentInconsistentHashes), file)
    this.content!.forgetPieces()
    this.checker.startOver()
    // whoever lets it go on gets everything anew
    this.needPicker()
    this.resumeDownload()
    this.pause(false)
  }

  /** The last wanted piece is there. */
  wantedComplete(): void {
    if (this.state.kind === 'downloading') this.#finished(false)
    else if (this.state.kind === 'finished' && this.isSeed) this.#finished(false)
  }

  /** The picker; a new one is told what the connected peers have. */
  needPicker(): PiecePicker {
    return this.content!.needPicker(picker => {
      for (const peer of this.swarm.connections) if (peer.availability.counted) picker.addPeerPieces(peer.pieces)
    })
  }

  /** What is wanted has changed. @param wasFinished before */
  wantedChanged(wasFinished: boolean): void {
    if (this.content === null) return
    if (!this.ready) return
    if (this.isFinished) {
      if (!wasFinished || this.state.kind === 'downloading') this.#finished(false)
    } else if (wasFinished) this.resumeDownload()
    this.swarm.updateInterest()
    this.stateUpdated()
  }

  /** A block came from one peer: others that were asked for it need not send it. */
  cancelBlock(piece: PieceIndex, block: BlockIndex, from: PeerConnection): void {
    for (const peer of this.swarm.connections) if (peer !== from) peer.download.cancel(piece, block, false)
  }

  seenComplete(secondsAgo: number): void {
    this.lastSeenComplete = Math.max(this.lastSeenComplete, this.env.clock.posixSeconds() - secondsAgo)
  }

  secondsSinceComplete(): number {
    return this.lastSeenComplete === 0
      ? -1
      : Math.max(0, Math.floor(this.env.clock.posixSeconds() - this.lastSeenComplete))
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

  get hasFreeUploadSlot(): boolean {
    return this.swarm.numUploads < this.maxUploads
  }

  /** @returns whether the peer is unchoked now and was not before */
  unchoke(peer: PeerConnection): boolean {
    if (!peer.ignoresUnchokeSlots && !this.hasFreeUploadSlot) return false
    if (!peer.unchoke()) return false
    if (!peer.ignoresUnchokeSlots) {
      this.swarm.numUploads++
      this.env.choker.unchoked(peer)
    }
    this.stateUpdated()
    return true
  }

  choke(peer: PeerConnection): boolean {
    if (!peer.choke()) return false
    if (!peer.ignoresUnchokeSlots) {
      this.swarm.numUploads--
      this.env.choker.choked(peer)
    }
    this.stateUpdated()
    return true
  }

  pieceRead(piece: PieceIndex): void {
    const { settings } = this.env
    if (settings.suggestMode === 0 || this.content === null) return
    this.#suggest ??= new SuggestPieces()
    this.#suggest.pieceRead(piece, this.content.picker?.availability(piece) ?? 0, settings.maxSuggestPieces)
  }

  /** The user replaces a piece that is had: until the new one is found right, it is gone. */
  losePiece(piece: PieceIndex): void {
    this.content!.losePiece(piece)
    this.#suggest?.pieceLost(piece)
    // who is not told asks for it again and again
    for (const peer of this.swarm.connections) peer.announcements.withdrawPiece(piece)
    this.wantedChanged(true)
  }

  suggestPieces(peer: PeerConnection, already: readonly PieceIndex[], count: number): PieceIndex[] {
    return this.#suggest?.pick(peer.pieces, already, count) ?? []
  }

  pieceToSuperSeed(peer: PeerConnection): PieceIndex {
    const views = this.swarm.connections.map(c => ({
      pieces: c.pieces,
      superSeed: c.superSeed,
    }))
    return pieceToSuperSeed(this.content!.geometry.numPieces, peer.pieces, views, this.env.rng)
  }

  setMaxUploads(limit: number): void {
    const value = limit > 0 ? limit : UNLIMITED
    if (this.maxUploads === value) return
    this.maxUploads = value
    this.needSave.config()
    this.stateUpdated()
  }

  setMaxConnections(limit: number): void {
    const value = limit > 0 ? Math.max(2, limit) : UNLIMITED
    if (this.maxConnections === value) return
    this.maxConnections = value
    this.needSave.config()
    this.stateUpdated()
    this.swarm.disconnectDownTo(value, libtorrentError(LibtorrentErrors.tooManyConnections))
    this.listsChanged()
  }

  /** Our metadata's peers: tracker, user, resume data. */
  addPeers(endpoints: readonly Endpoint[], source: number, flags = 0): void {
    for (const endpoint of endpoints) this.swarm.addPeer(endpoint, source, flags)
    this.swarm.connectBoost()
  }

  // ---- time --------------------------------------------------------------------------------------

  /** Whether a second of doing nothing would change anything. */
  get wantsTick(): boolean {
    return (
      !this.aborted &&
      (this.swarm.size > 0 ||
        this.uploadMode ||
        this.deadlines.size > 0 ||
        this.webSeeds.wantsTick ||
        (this.content?.openTransfers?.hasUnwritten ?? false) ||
        !this.stats.isIdle())
    )
  }

  secondTick(elapsedMs: number): void {
    const { env } = this
    const { now } = env.turn
    const { settings } = env
    if (this.uploadMode && this.autoManaged && now - this.#uploadModeSince >= settings.optimisticDiskRetry * 1000) {
      this.setUploadMode(false)
    }
    const moving = this.stats.uploadRate() > 0 || this.stats.downloadRate() > 0
    if (!this.isPaused || this.pausing.graceful) {
      if (!this.uploadMode) this.deadlines.tick(now)
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

const KEPT_FLAGS =
  TorrentFlags.disableDht |
  TorrentFlags.disableLsd |
  TorrentFlags.disablePex |
  TorrentFlags.shareMode |
  TorrentFlags.i2pTorrent |
  TorrentFlags.disableV1Hashes

function addTrackers(announcer: Announcer, params: AddTorrentParams, env: TorrentEnv): void {
  const now = env.turn.now
  let tier = 0
  params.trackers.forEach((url, i) => {
    tier = params.trackerTiers[i] ?? tier
    const entry = new AnnounceEntry(url)
    entry.tier = tier
    entry.source = TRACKER_SOURCE_TORRENT
    announcer.addTracker(entry, now)
  })
}

const TRACKER_SOURCE_TORRENT = 1

/** Resume data keeps the hashes of v2 pieces apart from the info dictionary, a torrent file as well. */
function treesOf(info: TorrentInfo, params: AddTorrentParams): HashTrees {
  const trees = new HashTrees(info.layout())
  const known = info.fileTrees()
  if (known !== null) trees.load(known.trees, known.masks, known.verified)
  if (params.merkleTrees.length > 0) trees.load(params.merkleTrees, params.merkleTreeMask, params.verifiedLeafHashes)
  return trees
}
