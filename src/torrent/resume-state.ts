/** What is saved of a torrent, and whether there is anything new to save. */

import { SaveResumeDataAlert, SaveResumeDataFailedAlert } from '../alert/storage-alerts.ts'
import { Bitfield } from '../core/bitfield.ts'
import { TorrentFlags } from '../core/enums.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { shuffle } from '../core/rng.ts'
import { AddTorrentParams } from '../metainfo/add-torrent-params.ts'
import { TorrentHandleFlags as H } from './handle-flags.ts'
import type { PiecePicker } from './piece-picker.ts'
import type { Torrent } from './torrent.ts'
import { flagsOf } from './torrent-flags.ts'
import { UNLIMITED } from './torrent-limits.ts'

/** What has changed since resume data was last made: `TorrentHandle.if...` bits. */
export class NeedSave {
  #bits = 0

  get bits(): number {
    return this.#bits
  }

  counters(): void {
    this.#bits |= H.ifCountersChanged
  }
  progress(): void {
    this.#bits |= H.ifDownloadProgress
  }
  config(): void {
    this.#bits |= H.ifConfigChanged
  }
  state(): void {
    this.#bits |= H.ifStateChanged
  }
  metadata(): void {
    this.#bits |= H.ifMetadataChanged
  }
  clear(): void {
    this.#bits = 0
  }
}

/**
 * Makes resume data and posts it, once all it tells of is on disk.
 *
 * @param flags `TorrentHandle.saveInfoDict`, and `if...` bits: nothing is saved if none of that has changed
 */
export function saveResumeData(torrent: Torrent, flags: number): void {
  const { env, needSave, content } = torrent
  const conditions = flags & H.onlyIfModified
  if (conditions !== 0 && (needSave.bits & conditions) === 0) {
    const error = libtorrentError(LibtorrentErrors.resumeDataNotModified)
    env.alerts.post(new SaveResumeDataFailedAlert(torrent, error))
    return
  }
  const answer = () => {
    needSave.clear()
    env.alerts.post(new SaveResumeDataAlert(torrent, buildResumeParams(torrent, (flags & H.saveInfoDict) !== 0)))
  }
  const storage = content?.storage ?? null
  if (content === null || storage === null || content.flushed) {
    answer()
    return
  }
  // blocks of incomplete pieces are worth nothing if they are not on disk
  content.spill()
  env.disk.releaseFiles(storage, () => env.turn.run('save resume data', answer))
  env.disk.submit()
}

/** Peers that are saved, if there are more. */
const MAX_PEERS = 100

/** @param saveInfoDict put the metadata in too */
export function buildResumeParams(torrent: Torrent, saveInfoDict: boolean): AddTorrentParams {
  const { env, content } = torrent
  const { now } = env.turn
  const p = new AddTorrentParams()
  p.storageMode = torrent.storageMode
  p.totalUploaded = torrent.totalUploaded
  p.totalDownloaded = torrent.totalDownloaded
  p.activeTime = torrent.times.active(now)
  p.finishedTime = torrent.times.finishedFor(now)
  p.seedingTime = torrent.times.seedingFor(now)
  p.lastSeenComplete = Math.floor(torrent.lastSeenComplete)
  p.lastUpload = posixOf(torrent, torrent.lastUpload)
  p.lastDownload = posixOf(torrent, torrent.lastDownload)
  p.numComplete = torrent.scrapeComplete
  p.numIncomplete = torrent.scrapeIncomplete
  p.numDownloaded = torrent.scrapeDownloaded
  p.flags = flagsOf(torrent)
  p.addedTime = Math.floor(torrent.addedTime)
  p.completedTime = Math.floor(torrent.completion.time)
  p.savePath = torrent.files.savePath
  p.partFileDir = torrent.files.partFileDir
  p.comment = torrent.comment
  p.createdBy = torrent.createdBy
  p.creationDate = torrent.creationDate
  p.infoHashes = torrent.infoHashes
  p.name = torrent.name()
  p.dhtNodes = torrent.dhtNodes.slice()
  p.urlSeeds = torrent.webSeeds.savedUrls()
  p.userdata = torrent.userdata
  for (const tracker of torrent.announcer.trackers(now, env.clock.posixSeconds())) {
    p.trackers.push(tracker.url)
    p.trackerTiers.push(tracker.tier)
  }
  p.uploadLimit = env.limits.torrentLimit(torrent, 'up')
  p.downloadLimit = env.limits.torrentLimit(torrent, 'down')
  p.maxConnections = torrent.maxConnections === UNLIMITED ? -1 : torrent.maxConnections
  p.maxUploads = torrent.uploadSlots.limit === UNLIMITED ? -1 : torrent.uploadSlots.limit
  addPeers(torrent, p)
  if (saveInfoDict) p.ti = torrent.info
  if (content === null) {
    if (torrent.added !== null) keepAdded(torrent.added, p)
    return p
  }
  p.renamedFiles = torrent.files.renamed.exportFilenames(content.files)
  if (torrent.seedMode === null) p.filePriorities = content.priorities.raw().slice()
  addPieces(torrent, p)
  const trees = content.proofs?.trees.resume() ?? null
  if (trees !== null) {
    p.merkleTrees = trees.trees
    p.merkleTreeMask = trees.masks
    p.verifiedLeafHashes = trees.verified
  }
  return p
}

/**
 * What was known when the torrent was added, and waits for the metadata.
 *
 * Deviation: libtorrent forgets all of it but file priorities, so that a link that is saved twice before anybody tells
 * the metadata is checked, and got under other names.
 */
function keepAdded(added: AddTorrentParams, p: AddTorrentParams): void {
  p.filePriorities = added.filePriorities.slice()
  p.piecePriorities = added.piecePriorities.slice()
  p.flags |= added.flags & (TorrentFlags.seedMode | TorrentFlags.defaultDontDownload)
  p.renamedFiles = { ...added.renamedFiles }
  p.haveBits = added.haveBits
  p.verifiedBits = added.verifiedBits
  p.unfinishedBits = new Map(added.unfinishedBits)
  p.merkleTrees = added.merkleTrees
  p.merkleTreeMask = added.merkleTreeMask
  p.verifiedLeafHashes = added.verifiedLeafHashes
}

function addPieces(torrent: Torrent, p: AddTorrentParams): void {
  const content = torrent.content!
  const { numPieces } = content.geometry
  const { added } = torrent
  if (added !== null) {
    // the files were not looked at yet: what was known before is all that is known
    p.haveBits = added.haveBits
    p.verifiedBits = added.verifiedBits
    p.unfinishedBits = new Map(added.unfinishedBits)
    addPiecePriorities(content.picker, p)
    return
  }
  const known = torrent.isChecking ? torrent.checker.numChecked : torrent.ready ? numPieces : 0
  if (known > 0) {
    p.haveBits = content.picker === null ? new Bitfield(numPieces, content.haveAll) : content.picker.flushedBits()
    p.haveBits.resize(known)
  }
  if (torrent.seedMode !== null) p.verifiedBits = torrent.seedMode.verified.clone()
  for (const { piece, blocks, onDisk } of content.openTransfers?.unfinished() ?? []) {
    const bits = new Bitfield(blocks)
    for (let b = 0; b < blocks; b++) if (onDisk(b)) bits.setBit(b)
    p.unfinishedBits.set(piece, bits)
  }
  addPiecePriorities(content.picker, p)
}

function addPiecePriorities(picker: PiecePicker | null, p: AddTorrentParams): void {
  if (picker === null) return
  const priorities = picker.piecePriorities()
  if (priorities.some(priority => priority !== 4)) p.piecePriorities = Array.from(priorities)
}

function addPeers(torrent: Torrent, p: AddTorrentParams): void {
  const deferred = []
  for (const entry of torrent.swarm.known?.entries() ?? []) {
    if (entry.banned) p.bannedPeers.push(entry.endpoint())
    else if (!entry.connectable || entry.failcount > 0 || entry.trustPoints < 0) continue
    else if (entry.lastConnected === 0) {
      if (deferred.length < MAX_PEERS) deferred.push(entry)
    } else p.peers.push(entry.endpoint())
  }
  for (const entry of shuffle(deferred, torrent.env.rng)) {
    if (p.peers.length >= MAX_PEERS) break
    p.peers.push(entry.endpoint())
  }
}

/** A moment of the session's clock as seconds since 1970; 0 for never. */
export function posixOf(torrent: Torrent, moment: number): number {
  if (moment < 0) return 0
  const { clock, turn } = torrent.env
  return Math.floor(clock.posixSeconds() - (turn.now - moment) / 1000)
}
