/**
 * One peer of one torrent: where everything that concerns it meets.
 *
 * Holds the state that others read, how the connection begins and ends, and its parts, each with the messages that are its
 * own: the link and its handshake, the extension protocol, what the peer has (`availability`), what it is told that we have
 * (`announcements`), what it invites us to ask for (`hints`), whether we want anything of it (`interest`), who may ask for
 * blocks (`choking`), merkle hashes (`hashes`), the blocks asked for (`download`, and `picking` for those who choose them),
 * the blocks asked of us (`uploads`), the pauses of reading (`receiving`), the bytes as such (`traffic`), the rate-limit
 * quotas. Geometry is checked here and in these parts, at the door: what goes on to the torrent are valid pieces and blocks.
 *
 * @see BEP 3, BEP 6
 */

import type { Bitfield } from '../core/bitfield.ts'
import { BLOCK_SIZE, type PieceIndex, type TorrentId } from '../core/brands.ts'
import { Sha1Hash } from '../core/digest.ts'
import { type Endpoint, isLocal } from '../core/endpoint.ts'
import type { SocketType } from '../core/enums.ts'
import { type ErrorCode, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { Stream } from '../core/runtime.ts'
import * as C from '../stats/counter-ids.ts'
import { TransferStats } from '../stats/transfer-stats.ts'
import type { HashRequest } from '../wire/hash-messages.ts'
import * as M from '../wire/message-encoder.ts'
import { BtLink } from './bt-link.ts'
import { countClose } from './close-counters.ts'
import { logClosed, logConnectFailed, logEstablished } from './connection-log.ts'
import { DownloadQueue } from './download-queue.ts'
import { PeerAvailability } from './peer-availability.ts'
import { PeerChoking } from './peer-choking.ts'
import { PeerDhtPort } from './peer-dht-port.ts'
import { PeerExtensions } from './peer-extensions.ts'
import { countClosed, countConnected, countOpened } from './peer-gauges.ts'
import { PeerHandshake } from './peer-handshake.ts'
import { PeerHashes } from './peer-hashes.ts'
import { PeerHints } from './peer-hints.ts'
import type { LogNotice, PeerHost, PeerSession } from './peer-host.ts'
import { Severity } from './peer-host.ts'
import { PeerInterest } from './peer-interest.ts'
import type { PeerLink, PeerLinkOwner } from './peer-link.ts'
import { PeerPicking } from './peer-picking.ts'
import { PeerTraffic } from './peer-traffic.ts'
import { PeerUploads } from './peer-uploads.ts'
import { PieceAnnouncements } from './piece-announcements.ts'
import type { RateQuota } from './rate-quota.ts'
import { ReceiveControl } from './receive-control.ts'
import { SuperSeedView } from './super-seed-view.ts'
import { WebSeedLink } from './web-seed-link.ts'
import type { WebSeedServer } from './web-seed-server.ts'

/** Entry of the peer list that a connection belongs to; the fields it touches. */
export interface PeerEntryLike {
  readonly id: number
  failcount: number
  hashfails: number
  onParole: boolean
  optimisticallyUnchoked: boolean
  seed: boolean
  protocolV2: boolean
  source: number
}

export interface PeerInit {
  readonly session: PeerSession
  /** To a client; or the server of a web seed. */
  readonly stream: Stream | WebSeedServer
  readonly outgoing: boolean
  readonly peerId: Sha1Hash
  /** `null` for incoming connections: the handshake tells. */
  readonly host: PeerHost | null
  readonly torrentId: TorrentId | null
  readonly quota: RateQuota
}

export class PeerConnection implements PeerLinkOwner {
  readonly session: PeerSession
  readonly link: PeerLink
  /** At the other end is a web server, not a client. @see BEP 19 */
  readonly isWebSeed: boolean
  readonly outgoing: boolean
  /** Remote address and port. */
  readonly endpoint: Endpoint
  readonly ourPeerId: Sha1Hash
  readonly quota: RateQuota
  readonly stats = new TransferStats()
  readonly handshake: PeerHandshake
  readonly extensions = new PeerExtensions(this)
  readonly availability = new PeerAvailability(this)
  readonly announcements = new PieceAnnouncements(this)
  readonly hints = new PeerHints(this)
  readonly hashes = new PeerHashes(this)
  readonly dhtPort = new PeerDhtPort(this)
  readonly interest: PeerInterest
  readonly choking: PeerChoking
  readonly download: DownloadQueue
  readonly uploads: PeerUploads
  readonly receiving = new ReceiveControl(this)
  readonly traffic: PeerTraffic
  readonly picking: PeerPicking
  readonly local: boolean

  host: PeerHost | null
  /** Of the torrent it belongs to. */
  torrentId: TorrentId | null
  entry: PeerEntryLike | null = null
  /** What the picker and the alerts know the peer by; set when it joins a torrent. */
  ref = 0
  pid = new Sha1Hash()
  /** What the peer says it runs; `v` of its extension handshake. */
  clientVersion: Uint8Array = new Uint8Array(0)

  connecting: boolean
  disconnecting = false
  #failed = false

  // Set by `interest` and `choking`.
  amChoking = true
  amInterested = false
  peerChoking = true
  peerInterested = false

  peerUploadOnly = false
  supportsFast = false
  supportsExtended = false
  /** Both sides name the torrent by its v2 hash. @see BEP 52 */
  protocolV2 = false

  /** Largest request queue the peer accepts. */
  maxOutRequests: number
  endgame = false

  /** Milliseconds, of the session's clock. */
  readonly createdAt: number
  lastReceive: number
  lastSent: number
  lastSentPayload = Number.NEGATIVE_INFINITY
  lastIncomingRequest = Number.NEGATIVE_INFINITY
  downloadedAtLastRound = 0
  uploadedAtLastRound = 0
  uploadRatePeak = 0
  downloadRatePeak = 0
  uploadedLastSecond = 0
  downloadedLastSecond = 0
  /** In super seeding, the pieces this peer was shown. */
  readonly superSeed = new SuperSeedView()

  constructor(init: PeerInit) {
    const { session } = init
    this.session = session
    this.outgoing = init.outgoing
    this.connecting = init.outgoing
    this.host = init.host
    this.torrentId = init.torrentId
    this.ourPeerId = init.peerId
    this.quota = init.quota
    this.endpoint = init.stream.remote
    this.local = isLocal(this.endpoint[0])
    this.maxOutRequests = session.settings.maxOutRequestQueue
    const now = session.turn.now
    this.createdAt = now
    this.lastReceive = now
    this.lastSent = now
    this.traffic = new PeerTraffic(this)
    this.interest = new PeerInterest(this, now)
    this.choking = new PeerChoking(this, now)
    this.handshake = new PeerHandshake(this)
    this.download = new DownloadQueue(this, session)
    this.uploads = new PeerUploads(this)
    if (init.stream.kind === 'webSeed') {
      this.isWebSeed = true
      this.peerUploadOnly = true
      this.picking = new PeerPicking(this, init.stream.contiguousBlocks)
      this.link = new WebSeedLink(init.stream, this, session)
    } else {
      this.isWebSeed = false
      this.picking = new PeerPicking(this, 0)
      this.link = new BtLink(init.stream, this, session.turn)
    }
    countOpened(session.counters, this)
    if (this.connecting) this.traffic.connecting()
    this.quota.attach(this)
  }

  get socketType(): SocketType {
    return this.link.kind
  }

  get inHandshake(): boolean {
    return !this.handshake.done
  }

  get isSeed(): boolean {
    return this.availability.isSeed
  }

  get onParole(): boolean {
    return this.entry?.onParole === true
  }

  /** The peer downloads nothing more. */
  get uploadOnly(): boolean {
    return this.peerUploadOnly || this.isSeed
  }

  remote(): Endpoint {
    return this.endpoint
  }

  localEndpoint(): Endpoint {
    return this.link.local
  }

  isOutgoing(): boolean {
    return this.outgoing
  }

  failed(): boolean {
    return this.#failed
  }

  totalPayloadDownload(): number {
    return this.stats.totalPayloadDownload()
  }

  totalPayloadUpload(): number {
    return this.stats.totalPayloadUpload()
  }

  setPeerEntry(entry: PeerEntryLike): void {
    this.entry = entry
    this.ref = entry.id
  }

  addStat(downloaded: number, uploaded: number): void {
    this.stats.addPrevious(downloaded, uploaded)
  }

  /** What it has, as far as is known. */
  get pieces(): Bitfield | 'all' {
    return this.isSeed ? 'all' : this.availability.have
  }

  hasPiece(piece: PieceIndex): boolean {
    return this.availability.hasPiece(piece)
  }

  // ---- life ------------------------------------------------------------------------------------

  linkConnected(): void {
    this.connecting = false
    countConnected(this.session.counters)
    this.lastReceive = this.session.turn.now
    this.traffic.connected()
    logEstablished(this)
    if (this.host?.gracefulPause) {
      this.disconnect(libtorrentError(LibtorrentErrors.torrentPaused), Operation.bittorrent)
      return
    }
    this.handshake.write()
  }

  linkClosed(error: ErrorCode, operation: Operation): void {
    if (this.connecting) this.connectFailed(error)
    else this.disconnect(error, operation)
  }

  get logsMessages(): boolean {
    return (this.host ?? this.session).logsPeers
  }

  logMessage(notice: LogNotice): void {
    if (this.host !== null) this.host.alert(this, notice)
    else this.session.log(this, notice)
  }

  /** Puts a line into the log of this connection, if anyone reads it. */
  log(direction: LogNotice['direction'], event: LogNotice['event'], text = ''): void {
    if (!this.logsMessages) return
    // messages that were written before this come before it
    this.link.outWithNext()
    this.logMessage({ kind: 'log', direction, event, text })
  }

  linkCrashed(error: unknown): void {
    this.session.crashed(error, `peer ${this.endpoint[0]}:${this.endpoint[1]}`)
    this.disconnect(libtorrentError(LibtorrentErrors.noError), Operation.unknown, Severity.peerError)
  }

  connectFailed(error: ErrorCode): void {
    logConnectFailed(this, error)
    this.session.counters.inc(C.PEER_CONNECT_TIMEOUTS)
    this.disconnect(error, Operation.connect, Severity.failure)
  }

  onProtocolError(error: ErrorCode): void {
    this.disconnect(error, Operation.bittorrent, Severity.peerError)
  }

  /** Ends the connection. Idempotent. */
  disconnect(error: ErrorCode, operation: Operation, how: Severity | boolean = Severity.normal): void {
    if (this.disconnecting) return
    const severity = how === true ? Severity.failure : how === false ? Severity.normal : how
    this.disconnecting = true
    const { counters } = this.session
    if (severity > Severity.normal) this.#failed = true
    counters.inc(C.PEER_DISCONNECTED_PEERS)
    countClose(counters, error)
    if (severity === Severity.peerError) counters.inc(C.PEER_ERROR_PEERS)
    if (severity > Severity.normal) {
      counters.inc(C.PEER_ERROR_TCP_PEERS)
      counters.inc(this.outgoing ? C.PEER_ERROR_OUTGOING_PEERS : C.PEER_ERROR_INCOMING_PEERS)
    }
    countClosed(counters, this)
    this.link.close()
    logClosed(this, error, operation, severity)
    this.download.close()
    this.uploads.queue.clear()
    this.extensions.metadata.left()
    this.hashes.left()
    this.quota.detach()
    if (this.host !== null) this.host.peerClosed(this, error, operation, severity)
    else this.session.closedUnattached(this, error, operation, severity)
  }

  /** Its class is exempt from upload slots. */
  get ignoresUnchokeSlots(): boolean {
    return this.quota.ignoreUnchokeSlots
  }

  // ---- handshake -------------------------------------------------------------------------------

  onForeignProtocol(_bytes: Uint8Array): void {
    // Encrypted connections begin like this.
    this.disconnect(libtorrentError(LibtorrentErrors.invalidInfoHash), Operation.bittorrent, Severity.failure)
  }

  onInfoHash(reserved: Uint8Array, infoHash: Uint8Array): void {
    this.handshake.onInfoHash(reserved, infoHash)
  }

  onPeerId(peerId: Uint8Array): void {
    this.handshake.onPeerId(peerId)
  }

  /** The metadata came: what the peer tells from now on is checked against it. */
  metadataKnown(): void {
    if (this.disconnecting || this.host === null) return
    this.link.decoder.setNumPieces(this.host.geometry!.numPieces)
    this.handshake.metadataKnown()
    this.extensions.metadata.known()
  }

  /** The files are checked: brings the peer's state in line with the geometry. */
  hostReady(): void {
    if (this.disconnecting || this.host === null) return
    this.link.decoder.setNumPieces(this.host.geometry!.numPieces)
    this.availability.join()
    if (this.isSeed) this.log('info', 'init', 'this is a seed')
    if (this.disconnecting || !this.handshake.done) return
    this.announcements.writeBitfield()
    this.dhtPort.afterBitfield()
    this.hashes.maybeRequest()
    this.interest.update()
  }

  // ---- what the peer has -----------------------------------------------------------------------

  onHave(piece: number): void {
    this.availability.onHave(piece)
    this.hashes.maybeRequest()
  }

  onBitfield(bits: Uint8Array): void {
    this.availability.onBitfield(bits)
    this.hashes.maybeRequest()
  }

  onHaveAll(): void {
    this.availability.onHaveAll()
    this.hashes.maybeRequest()
  }

  onHaveNone(): void {
    this.availability.onHaveNone()
  }

  // ---- interest and choking ----------------------------------------------------------------------

  onChoke(): void {
    this.choking.onChoke()
  }

  onUnchoke(): void {
    this.choking.onUnchoke()
  }

  onInterested(): void {
    this.choking.onInterested()
  }

  onNotInterested(): void {
    this.choking.onNotInterested()
  }

  setEndgame(on: boolean): void {
    if (this.endgame === on) return
    this.endgame = on
    this.session.counters.inc(C.PEER_NUM_PEERS_END_GAME, on ? 1 : -1)
  }

  // ---- downloading -------------------------------------------------------------------------------

  onPieces(piece: number, begin: number, length: number, count: number, chunk: Uint8Array, at: number): number {
    const { geometry, ready } = this.host!
    // what is not as it should be is looked at block by block
    if (length !== BLOCK_SIZE || geometry === null || !ready || !this.availability.bitfieldReceived) return 0
    if (!geometry.isBlock(piece, begin, length)) return 0
    if (!geometry.isBlock(piece, begin + (count - 1) * length, length)) return 0
    const taken = this.download.takeRun(piece, begin / BLOCK_SIZE, count, chunk, at)
    this.session.counters.inc(C.SES_NUM_INCOMING_PIECE, taken)
    return taken
  }

  onPieceHeader(piece: number, begin: number, length: number): boolean {
    this.session.counters.inc(C.SES_NUM_INCOMING_PIECE)
    const geometry = this.host!.geometry
    if (geometry === null || !this.host!.ready || !geometry.isBlock(piece, begin, length)) {
      if (length === 0) return false
      if (this.logsMessages) this.log('info', 'invalidPiece', `piece: ${piece} s: ${begin} l: ${length}`)
      this.disconnect(libtorrentError(LibtorrentErrors.invalidPiece), Operation.bittorrent, Severity.peerError)
      return false
    }
    this.availability.assumeHaveNone()
    if (this.disconnecting) return false
    return this.download.begin(piece, begin / BLOCK_SIZE, length)
  }

  onPiecePayload(chunk: Uint8Array, start: number, end: number, offset: number): void {
    this.download.payload(chunk, start, end, offset)
  }

  onPieceEnd(piece: number, begin: number, length: number): void {
    if (this.disconnecting) return
    if (length === 0) {
      this.host!.alert(this, {
        kind: 'error',
        error: libtorrentError(LibtorrentErrors.peerSentEmptyPiece),
        operation: Operation.bittorrent,
      })
      const geometry = this.host!.geometry
      if (geometry !== null && piece < geometry.numPieces && begin < geometry.pieceSize(piece)) {
        this.onReject(piece, begin, geometry.blockSize(piece, Math.floor(begin / BLOCK_SIZE)))
      }
      return
    }
    this.download.end()
  }

  onReject(piece: number, begin: number, length: number): void {
    const host = this.host!
    this.session.counters.inc(C.SES_NUM_INCOMING_REJECT)
    if (!host.geometry?.isBlock(piece, begin, length)) {
      if (this.logsMessages) this.log('info', 'reject', `invalid reject message (${piece}, ${begin}, ${length})`)
      return
    }
    this.download.rejected(piece, begin / BLOCK_SIZE)
    this.hints.rejected(piece)
    if (host.gracefulPause) this.checkGracefulPause()
  }

  onSuggest(piece: number): void {
    this.hints.onSuggest(piece)
  }

  onAllowedFast(piece: number): void {
    this.hints.onAllowedFast(piece)
  }

  /** A graceful pause ends the connection once nothing is outstanding. */
  checkGracefulPause(): void {
    if (this.download.outstandingBytes === 0) {
      this.log('info', 'gracefulPause', 'NO MORE DOWNLOAD')
      this.disconnect(libtorrentError(LibtorrentErrors.torrentPaused), Operation.bittorrent)
    }
  }

  // ---- uploading -----------------------------------------------------------------------------------

  onRequest(piece: number, begin: number, length: number, count: number): void {
    this.uploads.onRequest(piece, begin, length, count)
  }

  onCancel(piece: number, begin: number, length: number): void {
    this.uploads.onCancel(piece, begin, length)
  }

  keepAlive(): void {
    M.encodeKeepAlive(this.link.out())
  }

  // ---- extension protocol ------------------------------------------------------------------------------

  onExtendedHeader(id: number, length: number): boolean {
    return this.extensions.onHeader(id, length)
  }

  onExtended(id: number, payload: Uint8Array): void {
    this.extensions.onMessage(id, payload)
  }

  // ---- the rest of the wire ------------------------------------------------------------------------------

  onKeepAlive(): void {}

  onDhtPort(port: number): void {
    this.dhtPort.onPort(port)
  }

  onHashRequest(request: HashRequest): void {
    this.hashes.onHashRequest(request)
  }

  onHashes(request: HashRequest, hashes: Uint8Array): void {
    this.hashes.onHashes(request, hashes)
  }

  onHashReject(request: HashRequest): void {
    this.hashes.onHashReject(request)
  }

  onUnknownHeader(_id: number, _length: number): boolean {
    return false
  }

  onUnknown(_id: number, _payload: Uint8Array): void {}

  linkReceived(payload: number, protocol: number): void {
    this.traffic.received(payload, protocol)
    this.receiving.received()
  }

  linkSent(payload: number, protocol: number): void {
    this.traffic.sent(payload, protocol)
  }

  linkDrained(): void {
    this.hashes.fill()
    this.uploads.queue.fill()
    this.receiving.drained()
  }

  sendQuota(): number {
    return this.quota.sendQuota(this, this.link.unsentBytes)
  }
}
