/**
 * Hash exchange with one peer: parts of merkle trees that it asks for, and those that we ask of it.
 *
 * What to ask for, what an answer is worth and where answers come from is the torrent's (`HashExchange`). Here is who
 * may ask when, and how much may be under way: little is held for a peer, whatever it sends.
 *
 * @see BEP 52
 */

import { ByteWriter } from '../core/byte-writer.ts'
import { bytesEqual } from '../core/bytes.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import { RingQueue } from '../core/ring-queue.ts'
import * as C from '../stats/counter-ids.ts'
import { type HashRequest, hashesLength, isPlausible } from '../wire/hash-messages.ts'
import * as M from '../wire/message-encoder.ts'
import { HASH_HEADER_LENGTH, PREFIX_SIZE } from '../wire/messages.ts'
import type { PeerConnection } from './peer-connection.ts'
import { type HashNotice, Severity } from './peer-host.ts'

/** Requests of ours under way. As libtorrent. */
const MAX_OUTSTANDING = 2
/** A request that was not answered for so long is given back, for others to be asked. */
const ANSWER_MS = 60_000
/** Requests given back whose answers are still welcome. */
const MAX_LATE = 4
/** A peer that refused is left alone so long, twice as long after each further time. */
const FIRST_PAUSE_MS = 3000
const MAX_PAUSE_MS = 60_000
/** A peer that is slow to answer what others could be asked for. */
const SLOW_PAUSE_MS = 10_000
/** Requests of the peer that wait; more are rejected. Clients have two or so under way. */
const MAX_WAITING = 256
/** Rejects for that reason, without the queue ever running empty, which end the connection. */
const MAX_OVERFLOWS = 1000

interface Asked {
  readonly request: HashRequest
  readonly at: number
}

export class PeerHashes {
  readonly #peer: PeerConnection
  /** Requests of ours, the oldest first. */
  #asked: Asked[] = []
  readonly #late: HashRequest[] = []
  /** Nothing is asked before. */
  #notBefore = Number.NEGATIVE_INFINITY
  /** Refusals since the last good answer. */
  #refusals = 0

  /** Requests of the peer, the oldest first. */
  readonly #waiting = new RingQueue<HashRequest>()
  /** The one that is being answered. */
  #answering: HashRequest | null = null
  #filling = false
  #overflows = 0

  constructor(peer: PeerConnection) {
    this.#peer = peer
  }

  /** Requests of ours that wait for an answer. */
  get outstanding(): number {
    return this.#asked.length
  }

  /** Requests of the peer that wait for an answer. */
  get waiting(): number {
    return this.#waiting.length + (this.#answering === null ? 0 : 1)
  }

  // ---- what we ask ---------------------------------------------------------------------------------

  /** Asks for one range of hashes, if one is wanted which the peer could have. */
  maybeRequest(): void {
    const peer = this.#peer
    if (!peer.protocolV2 || peer.disconnecting || peer.inHandshake || this.#asked.length >= MAX_OUTSTANDING) return
    const exchange = peer.host!.hashes
    const { now } = peer.session.turn
    if (exchange === null || now < this.#notBefore) return
    const request = exchange.pick(peer)
    if (request === null) return
    if (this.#asked.some(each => isSame(each.request, request))) {
      // it has been asked long enough for the torrent to want to ask somebody else
      this.#notBefore = now + SLOW_PAUSE_MS
      exchange.rejected(peer, request)
      return
    }
    this.#asked.push({ request, at: now })
    M.encodeHashRequest(peer.link.out(), request)
    peer.session.counters.inc(C.SES_NUM_OUTGOING_HASH_REQUEST)
    this.#log('outgoingMessage', 'hashRequest', request)
  }

  /**
   * An answer, asked for or not: what the root proves is welcome.
   *
   * Deviation: hashes of blocks that were not asked for are dropped. libtorrent takes them; but they are of use for
   * pieces that failed only, and by their number a peer could fill our memory.
   *
   * @param hashes 32 bytes each, as many as the request implies; borrowed
   */
  onHashes(request: HashRequest, hashes: Uint8Array): void {
    const peer = this.#peer
    const host = peer.host!
    const wasAsked = this.#take(request) || this.#takeLate(request)
    this.#log('incomingMessage', 'hashes', request)
    if (host.hashes !== null) {
      if (!wasAsked && 2 ** request.base < host.geometry!.blocksPerPiece) return
      if (host.hashes.received(peer, request, hashes)) {
        if (wasAsked) this.#refusals = 0
        this.maybeRequest()
        return
      }
    }
    this.#disconnect(LibtorrentErrors.invalidHashes)
  }

  /** The peer does not have what it was asked for. A reject of anything else means nothing. */
  onHashReject(request: HashRequest): void {
    this.#log('incomingMessage', 'hashReject', request)
    if (this.#take(request)) this.#refused(request)
    else this.#takeLate(request)
  }

  /** Once a second. */
  tick(now: number): void {
    const peer = this.#peer
    // what it answered may not have been read
    while (!peer.receiving.paused && this.#asked.length > 0 && now - this.#asked[0]!.at >= ANSWER_MS) {
      const { request } = this.#asked.shift()!
      this.#late.push(request)
      if (this.#late.length > MAX_LATE) this.#late.shift()
      this.#refused(request)
    }
    this.maybeRequest()
    this.fill()
  }

  /** The connection ends: others are asked for what this peer was. */
  left(): void {
    const peer = this.#peer
    this.#waiting.clear()
    const asked = this.#asked
    this.#asked = []
    this.#late.length = 0
    for (const { request } of asked) peer.host?.hashes?.rejected(peer, request)
  }

  /** Deviation: libtorrent asks the same peer again at once, and is refused again at once. */
  #refused(request: HashRequest): void {
    const peer = this.#peer
    this.#notBefore = peer.session.turn.now + Math.min(FIRST_PAUSE_MS * 2 ** this.#refusals, MAX_PAUSE_MS)
    this.#refusals++
    peer.host!.hashes?.rejected(peer, request)
  }

  /** @returns whether it was asked for */
  #take(request: HashRequest): boolean {
    const at = this.#asked.findIndex(each => isSame(each.request, request))
    if (at >= 0) this.#asked.splice(at, 1)
    return at >= 0
  }

  #takeLate(request: HashRequest): boolean {
    const at = this.#late.findIndex(each => isSame(each, request))
    if (at >= 0) this.#late.splice(at, 1)
    return at >= 0
  }

  // ---- what we are asked ---------------------------------------------------------------------------

  onHashRequest(request: HashRequest): void {
    this.#log('incomingMessage', 'hashRequest', request)
    if (this.#peer.host!.hashes === null || !isPlausible(request)) this.#reject(request)
    else if (this.#waiting.length < MAX_WAITING) {
      this.#waiting.push(request)
      this.fill()
    } else if (++this.#overflows > MAX_OVERFLOWS) this.#disconnect(LibtorrentErrors.invalidHashRequest)
    else this.#reject(request)
  }

  /**
   * Answers what waits, one request after the other, as long as the peer takes what it is sent.
   *
   * One at a time, since an answer may cost the reading and hashing of a piece.
   */
  fill(): void {
    const peer = this.#peer
    // an answer may come at once
    if (this.#filling) return
    this.#filling = true
    while (this.#answering === null && !peer.disconnecting && this.#hasRoom) {
      const request = this.#waiting.shift()
      if (request === undefined) {
        this.#overflows = 0
        break
      }
      this.#answering = request
      const exchange = peer.host!.hashes
      if (exchange === null) this.#answered(request, null)
      else exchange.answer(peer, request, hashes => this.#answered(request, hashes))
    }
    this.#filling = false
  }

  /** Hashes wait for blocks, blocks for hashes. */
  get #hasRoom(): boolean {
    const { link, session } = this.#peer
    return link.unsentBytes <= session.settings.sendBufferWatermark
  }

  #answered(request: HashRequest, hashes: Uint8Array | null): void {
    if (this.#answering !== request) return
    this.#answering = null
    if (this.#peer.disconnecting) return
    // of a single hash libtorrent sends one uncle less than it expects: BEP 52 has requests of two and more only
    const isWhole = hashes !== null && HASH_HEADER_LENGTH + hashes.length === hashesLength(request)
    if (isWhole) this.#send(request, hashes)
    else this.#reject(request)
    this.fill()
  }

  #send(request: HashRequest, hashes: Uint8Array): void {
    const { link, session } = this.#peer
    // with a buffer of its own: that of the connection stays as large as its largest message
    const message = new ByteWriter(PREFIX_SIZE + HASH_HEADER_LENGTH + hashes.length)
    M.encodeHashes(message, request, hashes)
    link.write(message.view())
    session.counters.inc(C.SES_NUM_OUTGOING_HASHES)
    this.#log('outgoingMessage', 'hashes', request)
  }

  #reject(request: HashRequest): void {
    const { link, session } = this.#peer
    M.encodeHashReject(link.out(), request)
    session.counters.inc(C.SES_NUM_OUTGOING_HASH_REJECT)
    this.#log('outgoingMessage', 'hashReject', request)
  }

  #disconnect(error: LibtorrentErrors): void {
    this.#peer.disconnect(libtorrentError(error), Operation.bittorrent, Severity.peerError)
  }

  #log(direction: HashNotice['direction'], event: HashNotice['event'], request: HashRequest): void {
    const peer = this.#peer
    peer.host!.alert(peer, { kind: 'hashLog', direction, event, request })
  }
}

function isSame(a: HashRequest, b: HashRequest): boolean {
  return (
    a.base === b.base &&
    a.index === b.index &&
    a.count === b.count &&
    a.proofLayers === b.proofLayers &&
    bytesEqual(a.root, b.root)
  )
}
