/**
 * The upload side of one connection: what the peer asks of us, which of it is granted, and what is sent.
 *
 * Requests of an unchoked peer are admitted, and those of a choked one for the pieces that it was granted as its
 * allowed-fast set. The queue reads what was admitted; its blocks come back here to be written to the link.
 *
 * @see BEP 3 (`request`, `cancel`), BEP 6 (`reject`, `suggest`, `allowed fast`)
 */

import { BLOCK_SIZE, type PieceIndex } from '../core/brands.ts'
import { SuggestMode } from '../core/enums.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import * as C from '../stats/counter-ids.ts'
import type { DiskError, ReadResult } from '../storage/disk-io.ts'
import { allowedFastSet } from '../wire/allowed-fast.ts'
import * as M from '../wire/message-encoder.ts'
import type { PeerConnection } from './peer-connection.ts'
import { Severity } from './peer-host.ts'
import {
  type BlockRequest,
  type RequestRun,
  RequestVerdict,
  requestOf,
  type UploadPort,
  UploadQueue,
} from './upload-queue.ts'
import { ViewReader } from './view-reader.ts'

/** How long after a choke requests may still come that were sent before it was known. */
const CHOKE_GRACE_MS = 2000

export class PeerUploads implements UploadPort {
  readonly queue: UploadQueue
  readonly #peer: PeerConnection
  /** Pieces the peer may have while it is choked, and how many requests came for each. */
  readonly #acceptFast = new Map<PieceIndex, number>()
  readonly #suggested: PieceIndex[] = []
  /** Since the peer was choked last. */
  #invalidRequests = 0

  constructor(peer: PeerConnection) {
    this.#peer = peer
    this.queue = new UploadQueue(this, peer.session.settings, peer.session.counters)
  }

  // ---- what the peer asks for ----------------------------------------------------------------------

  /** The peer asks for `count` blocks in a row. */
  onRequest(piece: number, begin: number, length: number, count: number): void {
    const peer = this.#peer
    // most of what is looked at is the same for requests that come in a row from a peer that is unchoked
    const alike = !peer.amChoking && peer.peerInterested && !peer.host!.superSeeding && !this.#acceptFast.has(piece)
    if (count === 1 || alike) {
      this.#onRequests({ piece, begin, length, count })
      return
    }
    for (let i = 0; i < count && !peer.disconnecting; i++) {
      this.#onRequests({ piece, begin: begin + i * length, length, count: 1 })
    }
  }

  #onRequests(run: RequestRun): void {
    const peer = this.#peer
    const host = peer.host!
    const { counters, turn } = peer.session
    const { piece } = run
    counters.inc(C.SES_NUM_INCOMING_REQUEST, run.count)
    if (host.superSeeding && !peer.superSeed.shows(piece)) {
      counters.inc(C.PEER_INVALID_PIECE_REQUESTS)
      this.#invalidRequests++
      this.#logInvalid(piece, 'piece not super-seeded ')
      this.sendReject(run)
      host.alert(peer, { kind: 'invalidRequest', request: run, withheld: true })
      return
    }
    peer.availability.assumeHaveNone()
    if (peer.disconnecting) return
    if (host.geometry === null) {
      counters.inc(C.PEER_INVALID_PIECE_REQUESTS, run.count)
      peer.log('info', 'invalidRequest', "we don't have metadata yet")
      for (let i = 0; i < run.count; i++) this.sendReject(requestOf(run, i))
      return
    }
    if (!peer.peerInterested) {
      this.#logInvalid(piece, 'peer is not interested ')
      peer.log('info', 'interested', 'artificial incoming INTERESTED message')
      host.alert(peer, { kind: 'invalidRequest', request: run, withheld: false })
      peer.onInterested()
      if (peer.disconnecting) return
    }
    const fastCount = this.#acceptFast.get(piece)
    if (peer.amChoking && fastCount !== undefined && host.judgeRequest(peer, run) !== RequestVerdict.invalid) {
      if (fastCount >= 3 * host.geometry.blocksPerPiece) {
        this.#tooManyRequests()
        return
      }
    }
    const admitted = !peer.amChoking || fastCount !== undefined
    if (fastCount !== undefined) this.#acceptFast.set(piece, fastCount + 1)
    if (admitted) peer.lastIncomingRequest = turn.now
    if (peer.logsMessages && this.queue.length + run.count > peer.session.settings.maxAllowedInRequestQueue + 1) {
      peer.log('info', 'invalidRequest', `incoming request queue full ${this.queue.length}`)
    }
    if (!admitted) peer.log('info', 'reject', 'peer choked and piece not in allowed fast set')
    this.queue.request(run, admitted)
    if (peer.disconnecting) return
    if (admitted) host.alert(peer, { kind: 'incomingRequests', run })
    else if (turn.now - CHOKE_GRACE_MS > peer.choking.lastChoke) this.#tooManyRequests()
  }

  onCancel(piece: number, begin: number, length: number): void {
    this.#peer.session.counters.inc(C.SES_NUM_INCOMING_CANCEL)
    if (!this.queue.cancel({ piece, begin, length })) {
      this.#peer.log('info', 'invalidCancel', 'got cancel not in the queue')
    }
  }

  /** The peer was choked: what waits is rejected, but for the pieces it may have nevertheless. */
  choked(): void {
    this.#suggested.length = 0
    this.#invalidRequests = 0
    this.queue.choke(piece => this.#acceptFast.has(piece))
  }

  #logInvalid(piece: PieceIndex, why: string): void {
    const peer = this.#peer
    if (!peer.logsMessages) return
    const host = peer.host!
    const numPieces = host.geometry?.numPieces ?? 0
    const isPiece = piece < numPieces
    const size = isPiece ? host.geometry!.pieceSize(piece) : -1
    const has = isPiece && host.havePiece(piece)
    const text = `${why}i: ${+peer.peerInterested} t: ${size} n: ${numPieces} h: ${+has} block_limit: ${BLOCK_SIZE}`
    peer.log('info', 'invalidRequest', text)
  }

  #tooManyRequests(): void {
    this.#peer.disconnect(
      libtorrentError(LibtorrentErrors.tooManyRequestsWhenChoked),
      Operation.bittorrent,
      Severity.peerError,
    )
  }

  // ---- what the peer is offered --------------------------------------------------------------------

  /** Suggests pieces that are in memory. */
  sendSuggestions(count: number): void {
    const peer = this.#peer
    const { counters, settings } = peer.session
    if (!peer.supportsFast || settings.suggestMode === SuggestMode.noPieceSuggestions) return
    for (const piece of peer.host!.suggestPieces(peer, this.#suggested, count)) {
      M.encodeSuggest(peer.link.out(), piece)
      counters.inc(C.SES_NUM_OUTGOING_SUGGEST)
      this.#suggested.push(piece)
    }
    const surplus = this.#suggested.length - settings.maxSuggestPieces
    if (surplus > 0) this.#suggested.splice(0, surplus)
  }

  /** The peer has a piece. One that was suggested is taken up: it can have the next. */
  onHave(piece: PieceIndex): void {
    if (!this.#peer.amChoking && this.#suggested.includes(piece)) this.sendSuggestions(2)
  }

  /** Grants the peer the pieces it may have while it is choked. */
  sendAllowedFast(): void {
    const peer = this.#peer
    const host = peer.host!
    const { counters, settings } = peer.session
    const count = settings.allowedFastSetSize
    if (!peer.supportsFast || count <= 0) return
    const { geometry } = host
    if (geometry === null || host.superSeeding || peer.uploadOnly) {
      const why = host.superSeeding ? 'of super seeding' : 'peer is upload only'
      peer.log('info', 'allowed', `skipping allowed set because ${geometry === null ? "we don't have metadata" : why}`)
      return
    }
    for (const piece of allowedFastSet(peer.endpoint[0], peer.handshake.infoHash.view(), geometry.numPieces, count)) {
      if (peer.hasPiece(piece)) continue
      M.encodeAllowedFast(peer.link.out(), piece)
      counters.inc(C.SES_NUM_OUTGOING_ALLOWED_FAST)
      this.#acceptFast.set(piece, 0)
    }
  }

  // ---- what the queue needs (`UploadPort`) ---------------------------------------------------------

  get closed(): boolean {
    return this.#peer.disconnecting
  }

  judge(request: BlockRequest): RequestVerdict {
    return this.#peer.host!.judgeRequest(this.#peer, request)
  }

  readCached(run: RequestRun): ReadResult | null {
    return this.#peer.host!.readCached(run)
  }

  readAhead(request: BlockRequest): void {
    this.#peer.host!.readAhead(request)
  }

  read(run: RequestRun, done: (result: ReadResult) => void): void {
    this.#peer.host!.readBlocks(run, done)
  }

  readFailed(run: RequestRun, error: DiskError): void {
    this.#peer.announcements.withdrawPiece(run.piece)
    this.#peer.host!.readFailed(error)
  }

  unsentBytes(): number {
    return this.#peer.link.unsentBytes
  }

  uploadedLastSecond(): number {
    return this.#peer.uploadedLastSecond
  }

  sendBlocks(run: RequestRun, result: ReadResult): void {
    const peer = this.#peer
    const { link } = peer
    const { piece, length, count } = run
    peer.session.counters.inc(C.SES_NUM_OUTGOING_PIECE, count)
    peer.host!.alert(peer, { kind: 'blocksUploaded', run })
    if (peer.session.settings.suggestMode !== SuggestMode.noPieceSuggestions) peer.host!.pieceRead(piece)
    if (result.framed === true) {
      link.writeBlock(result.views, () => result.release(), true)
      return
    }
    const views = new ViewReader(result.views)
    for (let i = 0; i < count; i++) {
      M.encodePieceHeader(link.out(), piece, run.begin + i * length, length)
      link.writeBlock(views.take(length), i === count - 1 ? () => result.release() : noRelease)
    }
  }

  requestRejected(request: BlockRequest): void {
    const peer = this.#peer
    this.#invalidRequests++
    this.#logInvalid(request.piece, '')
    peer.host!.alert(peer, { kind: 'invalidRequest', request, withheld: false })
    if (peer.peerInterested || this.#invalidRequests % 10 !== 0 || !peer.amChoking) return
    if (this.#invalidRequests > 300 && !peer.peerChoking) {
      this.#tooManyRequests()
      return
    }
    M.encodeChoke(peer.link.out())
    peer.session.counters.inc(C.SES_NUM_OUTGOING_CHOKE)
  }

  sendReject(request: BlockRequest): void {
    const peer = this.#peer
    const { counters } = peer.session
    counters.inc(C.PEER_PIECE_REJECTS)
    if (!peer.supportsFast || peer.disconnecting) return
    M.encodeReject(peer.link.out(), request.piece, request.begin, request.length)
    counters.inc(C.SES_NUM_OUTGOING_REJECT)
  }
}

function noRelease(): void {}
