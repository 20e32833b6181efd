/** Snapshots of a torrent for the API: its status, its peers, its pieces in flight, its files. */

import { BLOCK_SIZE } from '../core/brands.ts'
import { SocketType, type StatusFlags } from '../core/enums.ts'
import type { BlockInfo, PartialPieceInfo } from '../core/partial-piece-info.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import { PeerInfo } from '../peer/peer-info.ts'
import { BlockState } from './downloading-pieces.ts'
import { TorrentHandleFlags as H } from './handle-flags.ts'
import type { PeerEntry } from './peer-entry.ts'
import { distributedCopies, viewBlocks, viewDownloads } from './picker-views.ts'
import { seedRankOf } from './seed-rank.ts'
import type { Torrent } from './torrent.ts'
import { flagsOf } from './torrent-flags.ts'
import { UNLIMITED } from './torrent-limits.ts'
import { publicState } from './torrent-state.ts'
import { TorrentStatus } from './torrent-status.ts'

/** @param flags which of the costlier fields to fill: `TorrentHandle.query...` */
export function buildStatus(torrent: Torrent, flags: StatusFlags): TorrentStatus {
  const { env, content, stats, swarm, times } = torrent
  const { now } = env.turn
  const st = new TorrentStatus()
  st.handle = torrent.handle
  st.infoHashes = torrent.infoHashes
  if (flags & H.queryName) st.name = torrent.name()
  if (flags & H.querySavePath) st.savePath = torrent.files.savePath
  if (flags & H.queryTorrentFile) st.torrentFile = torrent.info
  if (flags & H.queryRenamedFiles) st.renamedFiles = torrent.files.renamed
  st.hasIncoming = swarm.hasIncoming
  st.errc = torrent.errors.code
  st.errorFile = torrent.errors.file
  st.movingStorage = torrent.files.moving
  st.announcingToTrackers = torrent.announcing.toTrackers
  st.announcingToDht = torrent.announcing.toDht
  st.announcingToLsd = torrent.announcing.toLsd
  st.addedTime = Math.floor(torrent.addedTime)
  st.completedTime = Math.floor(torrent.completion.time)
  st.numConnections = swarm.size
  st.numPeers = swarm.size - swarm.numConnecting
  st.numSeeds = swarm.numSeeds
  st.numUploads = swarm.numUploads
  st.listPeers = swarm.known?.size ?? 0
  st.listSeeds = swarm.known?.numSeeds() ?? 0
  st.connectCandidates = swarm.numCandidates
  st.seedRank = seedRankOf(torrent)
  st.allTimeUpload = torrent.totalUploaded
  st.allTimeDownload = torrent.totalDownloaded
  st.activeDuration = times.active(now)
  st.finishedDuration = times.finishedFor(now)
  st.seedingDuration = times.seedingFor(now)
  st.lastUpload = dateOf(torrent, torrent.lastUpload)
  st.lastDownload = dateOf(torrent, torrent.lastDownload)
  st.lastSeenComplete = Math.floor(torrent.lastSeenComplete)
  st.storageMode = torrent.storageMode
  st.numComplete = torrent.scrapeComplete
  st.numIncomplete = torrent.scrapeIncomplete
  st.isSeeding = torrent.isSeed
  st.isFinished = torrent.isFinished
  st.hasMetadata = torrent.info !== null
  st.totalPayloadDownload = stats.totalPayloadDownload()
  st.totalPayloadUpload = stats.totalPayloadUpload()
  st.totalDownload = stats.totalDownload()
  st.totalUpload = stats.totalUpload()
  st.totalFailedBytes = torrent.failedBytes
  st.totalRedundantBytes = torrent.redundantBytes
  st.downloadRate = stats.downloadRate()
  st.uploadRate = stats.uploadRate()
  st.downloadPayloadRate = stats.downloadPayloadRate()
  st.uploadPayloadRate = stats.uploadPayloadRate()
  const next = torrent.isPaused ? now : torrent.announcer.nextAnnounceAt
  st.nextAnnounce = Number.isFinite(next) ? Math.max(0, Math.floor((next - now) / 1000)) : 0
  st.currentTracker = torrent.announcer.lastWorkingUrl()
  st.uploadsLimit = torrent.uploadSlots.limit === UNLIMITED ? -1 : torrent.uploadSlots.limit
  st.connectionsLimit = torrent.maxConnections === UNLIMITED ? -1 : torrent.maxConnections
  st.uploadLimit = env.limits.torrentLimit(torrent, 'up')
  st.downloadLimit = env.limits.torrentLimit(torrent, 'down')
  st.queuePosition = env.registry.queuePosition(torrent)
  st.needSaveResumeData = torrent.needSave.bits
  st.flags = flagsOf(torrent)
  st.state = publicState(torrent.state)
  st.distributedCopies = -1
  st.distributedFullCopies = -1
  st.distributedFraction = -1
  if (content === null) return st
  st.blockSize = Math.min(BLOCK_SIZE, content.geometry.pieceLength)
  const bytes = content.bytes()
  st.total = bytes.total
  st.totalDone = torrent.seedMode !== null ? bytes.total : bytes.done
  st.totalWanted = bytes.wanted
  st.totalWantedDone = torrent.seedMode !== null ? bytes.wanted : bytes.wantedDone
  if (torrent.isChecking) st.progressPpm = torrent.checker.progressPpm
  else if (st.totalWanted === 0) st.progressPpm = 1_000_000
  else st.progressPpm = Math.floor((st.totalWantedDone * 1_000_000) / st.totalWanted)
  st.progress = st.progressPpm / 1_000_000
  st.numPieces = content.numHave
  if (flags & H.queryPieces) st.pieces = content.haveBits().toArray()
  if (flags & H.queryVerifiedPieces) st.verifiedPieces = torrent.seedMode?.verified.toArray() ?? []
  if (flags & H.queryDistributedCopies && content.picker !== null) {
    const [copies, fraction] = distributedCopies(content.picker.map)
    st.distributedFullCopies = copies
    st.distributedFraction = fraction
    st.distributedCopies = copies + fraction / 1000
  }
  return st
}

export function buildPeerInfo(peer: PeerConnection, now: number): PeerInfo {
  const { stats, download, link } = peer
  const entry = peer.entry as PeerEntry | null
  const p = new PeerInfo()
  p.setEndpoints(peer.endpoint, link.local)
  p.pid = peer.pid
  p.client = peer.clientVersion
  p.connectionType = peer.isWebSeed ? PeerInfo.webSeed : PeerInfo.standardBittorrent
  p.upSpeed = stats.uploadRate()
  p.downSpeed = stats.downloadRate()
  p.payloadUpSpeed = stats.uploadPayloadRate()
  p.payloadDownSpeed = stats.downloadPayloadRate()
  p.uploadRatePeak = peer.uploadRatePeak
  p.downloadRatePeak = peer.downloadRatePeak
  p.totalDownload = stats.totalPayloadDownload()
  p.totalUpload = stats.totalPayloadUpload()
  p.rtt = download.requestTimes.mean()
  p.downloadQueueLength = download.length
  p.downloadQueueTime = download.queueTime()
  p.targetDlQueueLength = download.desiredSize
  p.queueBytes = download.outstandingBytes
  p.requestTimeout =
    download.sent.length === 0 ? -1 : Math.floor((download.requestedAt - now) / 1000) + download.requestTimeout()
  for (const pending of download.sent) {
    if (pending.timedOut) p.timedOutRequests++
    if (pending.busy) p.busyRequests++
  }
  p.uploadQueueLength = peer.uploads.queue.length
  p.pendingDiskReadBytes = peer.uploads.queue.readingBytes
  p.usedSendBuffer = link.unsentBytes
  p.sendBufferSize = link.unsentBytes
  p.receiveBufferSize = link.decoder.bufferedCapacity
  p.usedReceiveBuffer = link.decoder.blockReceived
  const { receiving } = download
  if (receiving !== null) {
    p.downloadingPieceIndex = receiving.block.piece
    p.downloadingBlockIndex = receiving.block.block
    p.downloadingProgress = receiving.bytes
    p.downloadingTotal = receiving.block.length
  }
  p.lastRequest = secondsSince(download.lastRequest, now)
  p.lastActive = secondsSince(Math.max(peer.lastSent, peer.lastReceive), now)
  const { have, haveAll, numHave } = peer.availability
  const size = have.size()
  p.numPieces = haveAll && size === 0 ? 0 : numHave
  p.pieces = have.toArray()
  p.progress = size === 0 ? 0 : numHave / size
  p.progressPpm = Math.floor(p.progress * 1_000_000)
  p.flags = peerFlags(peer)
  p.readState = peer.receiving.paused
    ? peer.receiving.pausedForMemory
      ? PeerInfo.bwDisk
      : PeerInfo.bwLimit
    : PeerInfo.bwNetwork
  p.writeState = link.unsentBytes > 0 ? PeerInfo.bwNetwork : PeerInfo.bwIdle
  if (entry !== null) {
    p.source = entry.source
    p.failcount = entry.failcount
    p.numHashfails = entry.hashfails
  }
  return p
}

function peerFlags(peer: PeerConnection): number {
  let flags = 0
  const set = (on: boolean, bit: number) => {
    if (on) flags |= bit
  }
  set(peer.amInterested, PeerInfo.interesting)
  set(peer.amChoking, PeerInfo.choked)
  set(peer.peerInterested, PeerInfo.remoteInterested)
  set(peer.peerChoking, PeerInfo.remoteChoked)
  set(peer.supportsExtended, PeerInfo.supportsExtensions)
  set(peer.outgoing, PeerInfo.outgoingConnection)
  set(!peer.connecting && peer.inHandshake, PeerInfo.handshake)
  set(peer.connecting, PeerInfo.connecting)
  set(peer.onParole, PeerInfo.onParole)
  set(peer.isSeed, PeerInfo.seed)
  set(peer.entry?.optimisticallyUnchoked === true, PeerInfo.optimisticUnchoke)
  set(peer.download.snubbed, PeerInfo.snubbed)
  set(peer.uploadOnly, PeerInfo.uploadOnly)
  set(peer.endgame, PeerInfo.endgameMode)
  set(peer.socketType === SocketType.utp || peer.socketType === SocketType.utpSsl, PeerInfo.utpSocket)
  return flags
}

/** Pieces in flight, with the state of each of their blocks. */
export function buildDownloadQueue(torrent: Torrent): PartialPieceInfo[] {
  const { content, swarm } = torrent
  const picker = content?.picker
  if (content === null || picker === null || picker === undefined) return []
  const progress = new Map<string, number>()
  for (const peer of swarm.connections) {
    const { receiving } = peer.download
    if (receiving !== null) progress.set(`${receiving.block.piece}:${receiving.block.block}`, receiving.bytes)
  }
  return viewDownloads(picker).map(view => {
    const { index: pieceIndex, blocksInPiece, finished, writing, requested } = view
    const blocks = viewBlocks(picker, pieceIndex).map((block, b): BlockInfo => {
      const blockSize = content.geometry.blockSize(pieceIndex, b)
      return {
        peer: swarm.entry(block.peer)?.endpoint() ?? ['0.0.0.0', 0],
        bytesProgress: block.state >= BlockState.writing ? blockSize : (progress.get(`${pieceIndex}:${b}`) ?? 0),
        blockSize,
        state: block.state,
        numPeers: block.numPeers,
      }
    })
    return { pieceIndex, blocksInPiece, finished, writing, requested, blocks }
  })
}

/** Bytes of each file that are there. @param pieceGranularity count verified pieces only, which is cheaper */
export function buildFileProgress(torrent: Torrent, pieceGranularity: boolean): number[] {
  const { content } = torrent
  if (content === null) return []
  const { files, picker, geometry } = content
  if (torrent.isSeed) return Array.from({ length: files.numFiles() }, (_, i) => files.fileSize(i))
  const out = content.fileProgress?.toArray() ?? new Array<number>(files.numFiles()).fill(0)
  if (pieceGranularity || picker === null) return out
  for (const view of viewDownloads(picker)) {
    if (picker.havePiece(view.index)) continue
    for (let b = 0; b < view.blocksInPiece; b++) {
      if (!picker.isDownloaded(view.index, b)) continue
      const size = geometry.blockSize(view.index, b)
      if (size === 0) continue
      for (const slice of files.mapBlock(view.index, b * BLOCK_SIZE, size)) out[slice.fileIndex]! += slice.size
    }
  }
  return out
}

function secondsSince(moment: number, now: number): number {
  return Number.isFinite(moment) ? Math.floor((now - moment) / 1000) : Math.floor(now / 1000)
}

function dateOf(torrent: Torrent, moment: number): Date | null {
  if (moment < 0) return null
  const { clock, turn } = torrent.env
  return new Date(Math.round(clock.posixSeconds() * 1000 - (turn.now - moment)))
}
