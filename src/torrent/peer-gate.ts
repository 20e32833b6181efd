/**
 * What the connections of a torrent see of it: each of their events goes to the one or two parts it concerns.
 */

import { PeerLogAlert } from '../alert/log-alerts.ts'
import type { Bitfield } from '../core/bitfield.ts'
import { BLOCK_SIZE, type BlockIndex, type PieceIndex } from '../core/brands.ts'
import type { InfoHash } from '../core/digest.ts'
import { type ErrorCode, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { Geometry } from '../metainfo/geometry.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import type { HashExchange, MetadataRequests, PeerHost, PeerNotice, Severity, WasteReason } from '../peer/peer-host.ts'
import type { PexHost } from '../peer/peer-pex.ts'
import { type BlockRequest, type RequestRun, RequestVerdict } from '../peer/upload-queue.ts'
import * as C from '../stats/counter-ids.ts'
import type { DiskError, ReadFlags, ReadResult } from '../storage/disk-io.ts'
import type { Slot } from '../storage/slab.ts'
import type { PeerEntry } from './peer-entry.ts'
import { PeerSource } from './peer-entry.ts'
import { postClosed, postNotice } from './peer-notices.ts'
import { pickLog } from './picker-log.ts'
import { viewPiece } from './picker-views.ts'
import { requestBlocks } from './request-blocks.ts'
import { pieceToSuperSeed } from './super-seeding.ts'
import type { Torrent } from './torrent.ts'

export class PeerGate implements PeerHost {
  readonly #torrent: Torrent

  constructor(torrent: Torrent) {
    this.#torrent = torrent
  }

  get infoHash(): InfoHash {
    return this.#torrent.infoHashes
  }
  get geometry(): Geometry | null {
    return this.#torrent.content?.geometry ?? null
  }
  get ready(): boolean {
    return this.#torrent.ready
  }
  get uploadOnly(): boolean {
    return this.#torrent.uploadOnly
  }
  get isSeed(): boolean {
    return this.#torrent.isSeed
  }
  get gracefulPause(): boolean {
    return this.#torrent.pausing.graceful
  }
  get uploadMode(): boolean {
    return this.#torrent.uploadMode.on
  }
  get superSeeding(): boolean {
    return this.#torrent.superSeeding
  }
  get isPrivate(): boolean {
    return this.#torrent.isPrivate
  }
  get numPeers(): number {
    return this.#torrent.swarm.size
  }
  get maxConnections(): number {
    return this.#torrent.maxConnections
  }
  get pex(): PexHost {
    return this.#torrent.pex
  }

  havePiece(piece: PieceIndex): boolean {
    return this.#torrent.content?.havePiece(piece) ?? false
  }
  get numHave(): number {
    return this.#torrent.content?.numHave ?? 0
  }
  haveBits(): Bitfield {
    return this.#torrent.content!.haveBits()
  }
  completeAgo(): number {
    const { lastSeenComplete, env } = this.#torrent
    if (lastSeenComplete === 0) return -1
    return Math.max(0, Math.floor(env.clock.posixSeconds() - lastSeenComplete))
  }
  metadata(): Uint8Array | null {
    return this.#torrent.info?.infoSection() ?? null
  }
  get metadataDownload(): MetadataRequests | null {
    return this.#torrent.metadata.download
  }
  get hashes(): HashExchange | null {
    return this.#torrent.hashes
  }

  // ---- the peer ----------------------------------------------------------------------------------

  peerIdentified(peer: PeerConnection): ErrorCode | null {
    const { swarm, env } = this.#torrent
    if (env.connects.isOurPeerId(peer.pid.view())) {
      if (peer.entry !== null) swarm.ban(peer.entry as PeerEntry)
      return libtorrentError(LibtorrentErrors.selfConnection)
    }
    if (!env.settings.allowMultipleConnectionsPerPid) {
      for (const other of swarm.connections) {
        if (other === peer || other.disconnecting || !other.pid.equals(peer.pid)) continue
        // both ends must close the same one
        peer.log('info', 'duplicatePeer', `the id of "${other.endpoint[0]}"`)
        if (peer.pid.lessThan(peer.ourPeerId) !== peer.outgoing) {
          return libtorrentError(LibtorrentErrors.duplicatePeerId)
        }
        other.disconnect(libtorrentError(LibtorrentErrors.duplicatePeerId), Operation.bittorrent)
        break
      }
    }
    return null
  }

  peerReady(peer: PeerConnection): void {
    const { swarm } = this.#torrent
    if (peer.outgoing) swarm.numConnecting--
    if (peer.entry !== null) swarm.list.setFailcount(peer.entry as PeerEntry, 0)
  }

  peerListenPort(peer: PeerConnection, port: number): void {
    if (peer.entry !== null) {
      this.#torrent.swarm.list.updatePeerPort(port, peer.entry as PeerEntry, PeerSource.incoming)
    }
  }

  peerBecameSeed(peer: PeerConnection, seed: boolean): void {
    this.#torrent.swarm.setSeed(peer, seed)
  }

  peerUploadOnly(peer: PeerConnection, uploadOnly: boolean): void {
    this.#torrent.swarm.setUploadOnly(peer, uploadOnly)
  }

  seenComplete(secondsAgo: number): void {
    const torrent = this.#torrent
    torrent.lastSeenComplete = Math.max(torrent.lastSeenComplete, torrent.env.clock.posixSeconds() - secondsAgo)
  }

  peerClosed(peer: PeerConnection, error: ErrorCode, operation: Operation, severity: Severity): void {
    const torrent = this.#torrent
    if (peer.availability.counted) this.peerLostAll(peer)
    torrent.swarm.remove(peer)
    if (peer.isWebSeed) torrent.webSeeds.closed(peer, error, operation, severity)
    postClosed(torrent.env.alerts, torrent, peer, error, operation, severity)
    torrent.connectionClosed()
  }

  // ---- what it has -------------------------------------------------------------------------------

  peerHas(_peer: PeerConnection, piece: PieceIndex): void {
    this.#torrent.content?.picker?.incRefcount(piece)
  }
  peerHasBits(_peer: PeerConnection, bits: Bitfield): void {
    this.#torrent.content?.picker?.addPeerPieces(bits)
  }
  peerHasAll(_peer: PeerConnection): void {
    this.#torrent.content?.picker?.addPeerPieces('all')
  }
  peerLost(_peer: PeerConnection, piece: PieceIndex): void {
    this.#torrent.content?.picker?.decRefcount(piece)
  }
  peerLostBits(_peer: PeerConnection, bits: Bitfield): void {
    this.#torrent.content?.picker?.removePeerPieces(bits)
  }
  peerLostAll(peer: PeerConnection): void {
    this.#torrent.content?.picker?.removePeerPieces(peer.pieces)
  }

  isInteresting(peer: PeerConnection): boolean {
    const { content } = this.#torrent
    if (this.uploadOnly || content === null) return false
    return content.picker?.isInteresting(peer.pieces) ?? false
  }

  wantsPiece(piece: PieceIndex): boolean {
    return !this.uploadOnly && (this.#torrent.content?.wants(piece) ?? false)
  }

  // ---- downloading -------------------------------------------------------------------------------

  pickBlocks(peer: PeerConnection): boolean {
    const torrent = this.#torrent
    const { content, env } = torrent
    const picker = content?.picker ?? null
    if (picker === null || !torrent.ready || this.uploadOnly) return false
    const { settings } = env
    const before = peer.download.length
    requestBlocks(
      peer.picking,
      {
        picker,
        numPeers: torrent.swarm.size,
        isSequential: torrent.sequential,
        numTimeCritical: torrent.deadlines.size,
        wholePiecesThreshold: settings.wholePiecesThreshold,
        initialPickerThreshold: settings.initialPickerThreshold,
        strictEndGameMode: settings.strictEndGameMode,
        pieceExtentAffinity: settings.pieceExtentAffinity,
        prioritizePartialPieces: settings.prioritizePartialPieces,
      },
      pickLog(torrent, peer, picker),
    )
    return peer.download.length > before
  }

  markRequested(peer: PeerConnection, piece: PieceIndex, block: BlockIndex, options: number): boolean {
    return this.#torrent.content?.picker?.markAsDownloading(piece, block, peer.ref, options) ?? false
  }

  abortRequest(peer: PeerConnection, piece: PieceIndex, block: BlockIndex): void {
    this.#torrent.content?.picker?.abortDownload(piece, block, peer.ref)
  }

  isDownloaded(piece: PieceIndex, block: BlockIndex): boolean {
    const { content } = this.#torrent
    if (content === null) return true
    return content.picker === null ? content.haveAll : content.picker.isDownloaded(piece, block)
  }

  isRequested(piece: PieceIndex, block: BlockIndex): boolean {
    return this.#torrent.content?.picker?.isRequested(piece, block) ?? false
  }

  freeBlocks(piece: PieceIndex): number {
    const picker = this.#torrent.content?.picker ?? null
    if (picker === null) return 0
    const { blocksInPiece, finished, writing, requested } = viewPiece(picker, piece)
    return blocksInPiece - finished - writing - requested
  }

  leaseSlot(peer: PeerConnection, piece: PieceIndex, block: BlockIndex): Slot {
    const { content, env } = this.#torrent
    const slot = content!.leaseSlot(piece, block)
    if (slot < 0) {
      // The peer is read no further until a commit or a spill has freed memory; make sure that one is under way.
      peer.receiving.pauseForMemory()
      env.registry.memoryShort()
    } else this.#spillUnderPressure()
    return slot
  }

  abandonSlot(piece: PieceIndex, block: BlockIndex, slot: Slot): void {
    const { content, env } = this.#torrent
    if (content === null) env.disk.slots.release(slot)
    else content.abandonSlot(piece, block, slot)
  }

  blockArrived(peer: PeerConnection, piece: PieceIndex, block: BlockIndex, slot: Slot): void {
    const torrent = this.#torrent
    const content = torrent.content!
    const several = (content.picker?.numPeers(piece, block) ?? 0) > 1
    torrent.lastDownload = torrent.env.turn.now
    const arrival = content.blockArrived(piece, block, slot, peer.ref)
    if (arrival === 'redundant') this.wasted(content.geometry.blockSize(piece, block), 'unknown')
    else if (arrival === 'taken' && several) this.#cancelElsewhere(piece, block, peer)
  }

  /** A block came from one peer: others that were asked for it need not send it. */
  #cancelElsewhere(piece: PieceIndex, block: BlockIndex, from: PeerConnection): void {
    for (const peer of this.#torrent.swarm.connections) {
      if (peer !== from) peer.download.cancel(piece, block, false)
    }
  }

  leaseRun(peer: PeerConnection, piece: PieceIndex, first: BlockIndex, count: number): readonly Slot[] | null {
    const { content } = this.#torrent
    const slots = content?.leaseRun(piece, first, count, peer.ref) ?? null
    if (slots !== null) this.#spillUnderPressure()
    return slots
  }

  runArrived(peer: PeerConnection, piece: PieceIndex, first: BlockIndex, slots: readonly Slot[]): void {
    const torrent = this.#torrent
    torrent.lastDownload = torrent.env.turn.now
    torrent.content!.runArrived(piece, first, slots, peer.ref)
  }

  /** With a commit under way memory is about to be free: what is spilled has to be read again. */
  #spillUnderPressure(): void {
    const { content, env } = this.#torrent
    if (env.disk.slots.underPressure && !content!.writing) content!.spill(env.turn.now, SPILL_BLOCKS)
  }

  wasted(bytes: number, reason: WasteReason): void {
    const { env } = this.#torrent
    this.#torrent.redundantBytes += bytes
    env.counters.inc(C.NET_RECV_REDUNDANT_BYTES, bytes)
    env.counters.inc(WASTE_COUNTERS[reason], bytes)
  }

  // ---- uploading ---------------------------------------------------------------------------------

  judgeRequest(_peer: PeerConnection, request: BlockRequest): RequestVerdict {
    const torrent = this.#torrent
    const { content } = torrent
    const { piece, begin, length } = request
    const admissible = length <= BLOCK_SIZE && content?.geometry.isValidRequest(piece, begin, length) === true
    if (content === null || !torrent.ready || !admissible) {
      return RequestVerdict.invalid
    }
    if (torrent.seedMode !== null) return torrent.seedMode.judge(piece)
    return content.havePiece(piece) ? RequestVerdict.serve : RequestVerdict.invalid
  }

  readCached(run: RequestRun): ReadResult | null {
    const { env, content } = this.#torrent
    const { disk } = env
    if (disk.readCached === undefined) return null
    return disk.readCached(content!.storage!, run.piece, run.begin, run.length * run.count, this.#readFlags(run))
  }

  readAhead(request: BlockRequest): void {
    const { env, content } = this.#torrent
    if (content === null || !this.#torrent.ready || !content.havePiece(request.piece)) return
    env.disk.readAhead?.(content.storage!, request.piece, request.begin)
  }

  readBlocks(run: RequestRun, done: (result: ReadResult) => void): void {
    const { env, content } = this.#torrent
    const length = run.length * run.count
    const asked = env.turn.now
    env.disk.read(content!.storage!, run.piece, run.begin, length, this.#readFlags(run), result =>
      env.turn.run('read', () => {
        if (result.error === null) this.#readTook(env.turn.now - asked)
        done(result)
      }),
    )
  }

  #readTook(ms: number): void {
    const { counters } = this.#torrent.env
    counters.blend(C.DISK_REQUEST_LATENCY, ms * 1000, LATENCY_WEIGHT)
    counters.inc(C.DISK_DISK_READ_LATENCY1 + Math.min(Math.floor(ms / LATENCY_STEP_MS), LATENCY_STEPS - 1))
  }

  #readFlags(run: RequestRun): ReadFlags {
    const { env, content } = this.#torrent
    const { piece, begin, length } = run
    return {
      sequential: true,
      volatile: env.settings.diskIoReadMode === 2,
      // the last block of a piece is shorter, and whole nevertheless
      framed: begin % BLOCK_SIZE === 0 && length === content!.geometry.blockSize(piece, begin / BLOCK_SIZE),
    }
  }

  readFailed(error: DiskError): void {
    this.#torrent.errors.disk(error, 'read')
  }

  pieceRead(piece: PieceIndex): void {
    this.#torrent.pieceRead(piece)
  }

  suggestPieces(peer: PeerConnection, already: readonly PieceIndex[], count: number): PieceIndex[] {
    return this.#torrent.suggestPieces(peer, already, count)
  }

  pieceToSuperSeed(peer: PeerConnection): PieceIndex {
    const { swarm, content, env } = this.#torrent
    const views = swarm.connections.map(({ pieces, superSeed }) => ({ pieces, superSeed }))
    return pieceToSuperSeed(content!.geometry.numPieces, peer.pieces, views, env.rng)
  }

  maybeUnchoke(peer: PeerConnection): void {
    const torrent = this.#torrent
    if (!peer.amChoking || !torrent.ready || peer.isWebSeed) return
    const { choker, counters, settings } = torrent.env
    if (peer.ignoresUnchokeSlots) {
      peer.log('info', 'unchoke', 'about to unchoke, peer ignores unchoke slots')
      torrent.uploadSlots.unchoke(peer)
    } else if (torrent.uploadSlots.hasFree && choker.mayUnchoke(peer)) torrent.uploadSlots.unchoke(peer)
    else if (peer.logsMessages) {
      const slots = `available slots (${counters.get(C.SES_NUM_UNCHOKE_SLOTS)}), limit (${settings.unchokeSlotsLimit})`
      const uploads = counters.get(C.PEER_NUM_PEERS_UP_UNCHOKED)
      const text = `did not unchoke, the number of uploads (${uploads}) is more than or equal to the ${slots}`
      peer.log('info', 'unchoke', torrent.uploadSlots.hasFree ? text : 'did not unchoke, max uploads of the torrent')
    }
  }

  releaseUnchokeSlot(peer: PeerConnection): void {
    const torrent = this.#torrent
    const optimistic = peer.entry?.optimisticallyUnchoked === true
    torrent.uploadSlots.choke(peer)
    if (peer.ignoresUnchokeSlots) return
    torrent.env.choker.trigger()
    if (optimistic) torrent.env.choker.triggerOptimistic()
  }

  // ---- counting and telling ----------------------------------------------------------------------

  receivedBytes(payload: number, protocol: number): void {
    const { counters } = this.#torrent.env
    this.#torrent.stats.receivedBytes(payload, protocol)
    counters.inc(C.NET_RECV_PAYLOAD_BYTES, payload)
    counters.inc(C.NET_RECV_BYTES, payload + protocol)
  }

  sentBytes(payload: number, protocol: number): void {
    const torrent = this.#torrent
    const { counters, turn } = torrent.env
    torrent.stats.sentBytes(payload, protocol)
    if (payload > 0) torrent.lastUpload = turn.now
    counters.inc(C.NET_SENT_PAYLOAD_BYTES, payload)
    counters.inc(C.NET_SENT_BYTES, payload + protocol)
  }

  get logsPeers(): boolean {
    return this.#torrent.env.alerts.wants(PeerLogAlert)
  }

  alert(peer: PeerConnection, notice: PeerNotice): void {
    postNotice(this.#torrent, peer, notice)
  }
}

/** How many blocks are written early at once when memory runs short. */
const SPILL_BLOCKS = 256
/** Of the latest read in the average latency, percent. */
const LATENCY_WEIGHT = 5
/** The histogram of read latencies has so many steps of so many milliseconds. */
const LATENCY_STEPS = 20
const LATENCY_STEP_MS = 30

const WASTE_COUNTERS: Readonly<Record<WasteReason, number>> = {
  timedOut: C.SES_WASTE_PIECE_TIMED_OUT,
  cancelled: C.SES_WASTE_PIECE_CANCELLED,
  unknown: C.SES_WASTE_PIECE_UNKNOWN,
  seed: C.SES_WASTE_PIECE_SEED,
  endGame: C.SES_WASTE_PIECE_END_GAME,
  closing: C.SES_WASTE_PIECE_CLOSING,
}
