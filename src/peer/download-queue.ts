/**
 * What we ask one peer for: how many requests to keep in flight, which are sent, what arrives, what is
 * late.
 *
 * Requests are topped up when half of the window is free, and go out together at the end of the turn:
 * one write per refill, not one per block.
 */

import type { SlidingAverage } from '../core/averages.ts'
import type { BlockIndex, PieceIndex } from '../core/brands.ts'
import { BLOCK_SIZE } from '../core/brands.ts'
import { FRAME_SIZE, PIECE_HEADER_SIZE } from '../core/piece-frames.ts'
import * as C from '../stats/counter-ids.ts'
import type { Slot } from '../storage/slab.ts'
import type { PeerConnection } from './peer-connection.ts'
import type { PeerSession, WasteReason } from './peer-host.ts'
import { PendingBlock, PendingBlocks } from './pending-blocks.ts'
import { newRequestTimes } from './request-times.ts'

/** Requests to one peer at the least. */
const MIN_REQUESTS = 2
/** Of all memory for blocks, the share that requests in flight may fill. */
const WINDOW_SHARE = 0.25
/** Where slow start begins, as in libtorrent. */
const INITIAL_REQUESTS = 4

export class DownloadQueue {
  readonly #peer: PeerConnection
  readonly #session: PeerSession
  /** Sent, in the order sent. */
  readonly sent = new PendingBlocks()
  /** Picked, not sent yet. */
  readonly queued = new PendingBlocks()
  readonly requestTimes: SlidingAverage = newRequestTimes()
  outstandingBytes = 0
  desiredSize = INITIAL_REQUESTS
  slowStart = true
  snubbed = false
  /** Milliseconds. */
  lastRequest = Number.NEGATIVE_INFINITY
  lastPiece = Number.NEGATIVE_INFINITY
  lastUnchoked = Number.NEGATIVE_INFINITY
  /** When the request that is now the oldest became so. */
  requestedAt = Number.NEGATIVE_INFINITY

  // the block being received
  #receiving: PendingBlock | null = null
  #slot: Slot = -1
  #received = 0
  #flushQueued = false
  /** Requests sent that are timed out or not wanted. */
  #doubtful = 0

  constructor(peer: PeerConnection, session: PeerSession) {
    this.#peer = peer
    this.#session = session
  }

  get length(): number {
    return this.sent.length + this.queued.length
  }

  /** Block that is arriving, and how many bytes of it are here. */
  get receiving(): { block: PendingBlock; bytes: number } | null {
    return this.#receiving === null ? null : { block: this.#receiving, bytes: this.#received }
  }

  // ---- asking --------------------------------------------------------------------------------------

  /** Picks blocks until the window is full, and sends their requests. @param counter counts the pick */
  refill(counter: number): void {
    const peer = this.#peer
    const host = peer.host!
    if (peer.disconnecting || host.uploadMode || host.gracefulPause || this.#session.slots.underPressure) return
    this.#updateDesiredSize()
    if (this.length >= this.desiredSize) {
      this.#send()
      return
    }
    if (host.pickBlocks(peer)) this.#session.counters.inc(counter)
    this.#send()
  }

  /**
   * Takes a picked block. The picker has marked it.
   *
   * @param front of those not sent yet: for pieces with a deadline
   */
  add(piece: PieceIndex, block: BlockIndex, length: number, busy: boolean, front = false): void {
    const pending = new PendingBlock(piece, block, length, busy)
    if (front) this.queued.insert(0, pending)
    else this.queued.push(pending)
    this.#peer.host!.alert(this.#peer, { kind: 'blockDownloading', piece, block })
  }

  /** Some request was given up, and may still be answered. */
  get hasDoubtful(): boolean {
    return this.#doubtful > 0
  }

  /** At most one busy block at a time is asked of a peer. */
  get hasBusy(): boolean {
    return this.sent.some(isBusy) || this.queued.some(isBusy)
  }

  /** What the peer still has to answer is half of what it should be: more that was picked already counts for nothing. */
  get #runsDry(): boolean {
    return this.sent.length <= this.desiredSize >> 1
  }

  /** Sends what is queued, at the end of the turn. */
  #send(): void {
    if (this.#flushQueued || this.queued.length === 0 || this.sent.length >= this.desiredSize) return
    this.#flushQueued = true
    this.#session.turn.later(() => {
      this.#flushQueued = false
      this.#sendNow()
    })
  }

  #sendNow(): void {
    const peer = this.#peer
    const host = peer.host!
    if (peer.disconnecting || !host.ready || host.uploadMode || host.gracefulPause) return
    const wasEmpty = this.sent.length === 0
    const { link } = peer
    let count = 0
    let last: PendingBlock | null = null
    while (this.queued.length > 0) {
      if (this.sent.length >= this.desiredSize && !(link.mergesRequests && this.#follows(last))) break
      const pending = this.queued.shift()!
      if (host.isDownloaded(pending.piece, pending.block)) {
        host.abortRequest(peer, pending.piece, pending.block)
        continue
      }
      this.sent.push(pending)
      last = pending
      this.outstandingBytes += pending.length
      link.request(pending.piece, pending.block * BLOCK_SIZE, pending.length)
      count++
    }
    if (count === 0) return
    const { now } = this.#session.turn
    this.#session.counters.inc(C.SES_NUM_OUTGOING_REQUEST, count)
    this.lastRequest = now
    this.lastPiece = now
    if (wasEmpty) {
      this.#session.counters.inc(C.PEER_NUM_PEERS_DOWN_REQUESTS)
      this.requestedAt = now
    }
  }

  /** Whether the next to be sent is the block right after this one. */
  #follows(last: PendingBlock | null): boolean {
    if (last === null) return false
    const { blocksPerPiece } = this.#peer.host!.geometry!
    const next = this.queued.at(0)
    return next.piece * blocksPerPiece + next.block === last.piece * blocksPerPiece + last.block + 1
  }

  // ---- receiving -----------------------------------------------------------------------------------

  /**
   * Whole blocks of 16 KiB have come, one after the other. What is plain about them is dealt with at once for all: they
   * were asked for in this order, of this peer only, and there is memory for them.
   *
   * @param at of the first block's message in `chunk`
   * @returns how many were taken; the rest comes by {@link begin}
   */
  takeRun(piece: PieceIndex, first: BlockIndex, count: number, chunk: Uint8Array, at: number): number {
    const peer = this.#peer
    const host = peer.host!
    const { slots, turn, counters } = this.#session
    if (this.snubbed || host.uploadOnly || host.gracefulPause) return 0
    const n = this.sent.plainRun(piece, first, count)
    const targets = n === 0 ? null : host.leaseRun(peer, piece, first, n)
    if (targets === null) return 0
    for (let i = 0, from = at + PIECE_HEADER_SIZE; i < n; i++, from += FRAME_SIZE) {
      slots.copyIn(targets[i]!, 0, chunk.subarray(from, from + BLOCK_SIZE))
    }
    const { now } = turn
    if (this.slowStart) this.desiredSize += n
    this.sent.drop(n)
    this.outstandingBytes = Math.max(0, this.outstandingBytes - n * BLOCK_SIZE)
    // all but the first have waited for nothing but the one before
    this.requestTimes.addSample(Math.round(now - this.requestedAt))
    for (let i = 1; i < n; i++) this.requestTimes.addSample(0)
    this.lastPiece = now
    if (this.sent.length > 0) this.requestedAt = now
    else counters.inc(C.PEER_NUM_PEERS_DOWN_REQUESTS, -1)
    host.runArrived(peer, piece, first, targets)
    if (!peer.disconnecting && this.#runsDry) this.refill(C.PICKER_INCOMING_PIECE_PICKS)
    return n
  }

  /** A valid block begins to arrive. @returns whether its payload is wanted */
  begin(piece: PieceIndex, block: BlockIndex, length: number): boolean {
    const peer = this.#peer
    const host = peer.host!
    this.#received = 0
    this.#slot = -1
    let at = this.sent.indexOf(piece, block)
    let asked = true
    if (at < 0) {
      // not asked for, or not yet
      const queuedAt = this.queued.indexOf(piece, block)
      const pending = queuedAt >= 0 ? this.queued.removeAt(queuedAt) : new PendingBlock(piece, block, length, false)
      if (queuedAt < 0) {
        asked = false
        pending.notWanted = true
        this.#doubtful++
        peer.log('info', 'invalidRequest', 'The block we just got was not in the request queue')
        host.alert(peer, { kind: 'unwantedBlock', piece, block })
      }
      if (this.sent.length === 0) {
        this.#session.counters.inc(C.PEER_NUM_PEERS_DOWN_REQUESTS)
        this.requestedAt = this.#session.turn.now
      }
      this.sent.insert(0, pending)
      this.outstandingBytes += length
      at = 0
    }
    const pending = this.sent.at(at)
    this.#receiving = pending
    // Deviation: libtorrent takes a block that it asked others for from whoever sends it. A liar could spoil the
    // pieces of honest peers with that, until they are banned along with it.
    if (!asked || (pending.notWanted && !host.isRequested(piece, block))) return false
    if (host.isDownloaded(piece, block) || host.uploadOnly) return false
    this.#slot = host.leaseSlot(peer, piece, block)
    return this.#slot >= 0
  }

  payload(chunk: Uint8Array, start: number, end: number, offset: number): void {
    this.#session.slots.copyIn(
      this.#slot,
      offset,
      start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end),
    )
    this.#received = offset + (end - start)
  }

  /** The block is whole. */
  end(): void {
    const peer = this.#peer
    const host = peer.host!
    const pending = this.#receiving!
    const slot = this.#slot
    this.#receiving = null
    this.#slot = -1
    const { now } = this.#session.turn
    this.lastPiece = now
    if (this.slowStart) this.desiredSize++
    this.#removeSent(pending)
    this.requestTimes.addSample(Math.round(now - this.requestedAt))
    const late = now - this.requestedAt >= this.requestTimeout() * 1000
    if (this.sent.length > 0) this.requestedAt = now
    const here = host.isDownloaded(pending.piece, pending.block)
    const counter = here ? C.PICKER_INCOMING_REDUNDANT_PIECE_PICKS : C.PICKER_INCOMING_PIECE_PICKS
    if (slot < 0) {
      const lost = !pending.notWanted && !pending.timedOut && !here
      // Without a slot nothing was kept: the block must be asked for again.
      if (lost) host.abortRequest(peer, pending.piece, pending.block)
      host.wasted(pending.length, host.uploadOnly ? 'seed' : wasteReason(pending))
    } else {
      if (this.snubbed && !late) {
        this.snubbed = false
        host.alert(peer, { kind: 'unsnubbed' })
      }
      if (here) {
        host.abandonSlot(pending.piece, pending.block, slot)
        host.wasted(pending.length, wasteReason(pending))
      } else host.blockArrived(peer, pending.piece, pending.block, slot)
    }
    if (peer.disconnecting) return
    if (host.gracefulPause) peer.checkGracefulPause()
    else if (this.#runsDry) this.refill(counter)
  }

  rejected(piece: PieceIndex, block: BlockIndex): void {
    const peer = this.#peer
    const at = this.sent.indexOf(piece, block)
    if (at < 0 && peer.logsMessages) {
      peer.log('info', 'reject', `piece not in request queue (${piece}, ${block * BLOCK_SIZE})`)
    }
    if (at >= 0) {
      const pending = this.sent.at(at)
      this.#removeSent(pending)
      if (!pending.timedOut && !pending.notWanted) peer.host!.abortRequest(peer, piece, block)
    }
    if (this.queued.length === 0 && this.sent.length < 2 && !peer.peerChoking) this.refill(C.PICKER_REJECT_PIECE_PICKS)
  }

  /** The peer chokes us. With the fast extension it rejects each request; else what was sent is lost. */
  choked(fast: boolean): void {
    const peer = this.#peer
    this.abortQueued()
    if (!fast) {
      while (this.sent.length > 0) {
        const pending = this.sent.at(this.sent.length - 1)
        if (pending === this.#receiving) break
        this.#removeSent(pending)
        if (!pending.timedOut && !pending.notWanted) peer.host!.abortRequest(peer, pending.piece, pending.block)
      }
    }
  }

  unchoked(): void {
    this.lastUnchoked = this.#session.turn.now
  }

  /** Takes back one request: its block came from another peer, or its piece is not wanted. */
  cancel(piece: PieceIndex, block: BlockIndex, force: boolean): void {
    const peer = this.#peer
    const host = peer.host!
    const at = this.sent.indexOf(piece, block)
    if (at < 0) {
      const queuedAt = this.queued.indexOf(piece, block)
      if (queuedAt < 0) return
      this.queued.removeAt(queuedAt)
      host.abortRequest(peer, piece, block)
      return
    }
    const pending = this.sent.at(at)
    if (pending.notWanted) return
    if (!pending.timedOut) this.#doubtful++
    pending.notWanted = true
    if (force) host.abortRequest(peer, piece, block)
    if (pending !== this.#receiving) this.#writeCancel(pending)
  }

  cancelAll(): void {
    if (this.length > 0) this.#peer.log('info', 'cancelAllRequests')
    this.abortQueued()
    for (const pending of this.sent) if (pending !== this.#receiving) this.#writeCancel(pending)
  }

  #writeCancel(pending: PendingBlock): void {
    if (this.#peer.disconnecting) return
    this.#peer.link.cancel(pending.piece, pending.block * BLOCK_SIZE, pending.length)
    this.#session.counters.inc(C.SES_NUM_OUTGOING_CANCEL)
  }

  /** Gives back what was picked and not sent. */
  abortQueued(): void {
    const peer = this.#peer
    let pending = this.queued.pop()
    while (pending !== undefined) {
      peer.host!.abortRequest(peer, pending.piece, pending.block)
      pending = this.queued.pop()
    }
  }

  /** The connection ends: gives everything back. */
  close(): void {
    const peer = this.#peer
    const { host } = peer
    if (this.sent.length > 0) this.#session.counters.inc(C.PEER_NUM_PEERS_DOWN_REQUESTS, -1)
    if (host !== null) {
      if (this.#receiving !== null && this.#slot >= 0) {
        host.abandonSlot(this.#receiving.piece, this.#receiving.block, this.#slot)
        if (this.#received > 0) host.wasted(this.#received, 'closing')
      }
      for (const pending of this.sent) {
        if (!pending.timedOut && !pending.notWanted) host.abortRequest(peer, pending.piece, pending.block)
      }
      for (const pending of this.queued) host.abortRequest(peer, pending.piece, pending.block)
    }
    this.#receiving = null
    this.#slot = -1
    this.sent.clear()
    this.queued.clear()
    this.#doubtful = 0
    this.outstandingBytes = 0
  }

  #removeSent(pending: PendingBlock): void {
    const at = this.sent.at(0) === pending ? 0 : this.sent.indexOf(pending.piece, pending.block)
    if (at < 0) return
    this.sent.removeAt(at)
    if (pending.timedOut || pending.notWanted) this.#doubtful--
    this.outstandingBytes = Math.max(0, this.outstandingBytes - pending.length)
    if (this.sent.length === 0) this.#session.counters.inc(C.PEER_NUM_PEERS_DOWN_REQUESTS, -1)
  }

  // ---- pace ----------------------------------------------------------------------------------------

  /** Seconds that a request may take. */
  requestTimeout(): number {
    const { requestTimeout } = this.#session.settings
    const times = this.requestTimes
    if (times.numSamples() === 0) return requestTimeout
    const mean = times.mean()
    const ms = times.numSamples() < 2 ? mean + mean / 5 : mean + times.avgDeviation() * 4
    return Math.max(2, Math.min(Math.floor((ms + 999) / 1000), requestTimeout))
  }

  /** Seconds until everything outstanding is here, and so many bytes more. */
  queueTime(extraBytes = 0): number {
    const rate = Math.max(50, this.#peer.stats.downloadPayloadRate())
    return (this.outstandingBytes + extraBytes) / rate
  }

  /** Puts a request that is not sent yet before the others. @returns false if it is there, or not queued */
  moveToFront(piece: PieceIndex, block: BlockIndex): boolean {
    const at = this.queued.indexOf(piece, block)
    if (at <= 0) return false
    this.queued.insert(0, this.queued.removeAt(at))
    return true
  }

  /** Sends what was added from outside `refill`. */
  sendQueued(): void {
    this.#send()
  }

  #updateDesiredSize(): void {
    const before = this.desiredSize
    this.#computeDesiredSize()
    if (this.desiredSize !== before && this.#peer.logsMessages) this.#logDesiredSize()
  }

  #logDesiredSize(): void {
    const peer = this.#peer
    const rate = peer.stats.downloadPayloadRate()
    const { requestQueueTime } = this.#session.settings
    peer.log(
      'info',
      'updateQueueSize',
      `dqs: ${this.desiredSize} max: ${peer.maxOutRequests} dl: ${rate} qt: ${requestQueueTime} ` +
        `snubbed: ${+this.snubbed} slow-start: ${+this.slowStart}`,
    )
  }

  #computeDesiredSize(): void {
    if (this.snubbed) {
      this.desiredSize = 1
      return
    }
    if (!this.slowStart) {
      const rate = this.#peer.stats.downloadPayloadRate()
      this.desiredSize = Math.floor((this.#session.settings.requestQueueTime * rate) / BLOCK_SIZE)
    }
    this.desiredSize = Math.max(MIN_REQUESTS, Math.min(this.desiredSize, this.#peer.maxOutRequests, this.#fairShare()))
  }

  /**
   * What is asked for must have room when it comes: all peers together ask for a quarter of the memory.
   * A deeper window gains nothing on a fast link (measured: 32 to 2000 made little difference), and one
   * that exceeds the memory has half-done pieces written out early.
   */
  #fairShare(): number {
    const { slots, counters } = this.#session
    const peers = Math.max(1, counters.get(C.PEER_NUM_PEERS_DOWN_REQUESTS))
    return Math.floor((slots.budget * WINDOW_SHARE) / peers)
  }

  /** Once a second: leaves slow start, notices late requests. @param receivedLastSecond payload of the second before */
  tick(now: number, receivedLastSecond: number, receivedThisSecond: number): void {
    const peer = this.#peer
    const host = peer.host!
    const { settings } = this.#session
    if (peer.endgame && peer.amInterested && this.length === 0 && now - 5000 >= this.lastRequest) {
      this.lastRequest = now
      this.refill(C.PICKER_END_GAME_PIECE_PICKS)
      if (peer.disconnecting) return
    }
    if (this.sent.length > 0 && !peer.receiving.paused && now > this.requestedAt + this.requestTimeout() * 1000) {
      this.#logTimeout(now - this.requestedAt, this.requestTimeout())
      this.#snub()
    }
    if (
      this.slowStart &&
      !peer.peerChoking &&
      receivedLastSecond > 0 &&
      receivedLastSecond + 5000 >= receivedThisSecond
    ) {
      this.slowStart = false
      if (peer.logsMessages) {
        peer.log('info', 'slowStart', `exit slow start: prev-dl: ${receivedLastSecond} dl: ${receivedThisSecond}`)
      }
    }
    if (!host.ready || peer.disconnecting) return
    this.#updateDesiredSize()
    if (this.desiredSize >= settings.maxOutRequestQueue) host.alert(peer, { kind: 'outstandingLimit' })
    if (this.sent.length > 0 && !peer.receiving.paused && now - this.lastPiece > settings.pieceTimeout * 1000) {
      this.#logTimeout(now - this.lastPiece, settings.pieceTimeout)
      this.#snub()
    }
    if (!peer.peerChoking && peer.amInterested && this.#runsDry) {
      this.refill(C.PICKER_INCOMING_PIECE_PICKS)
    }
  }

  /** @param limit seconds */
  #logTimeout(ms: number, limit: number): void {
    if (!this.#peer.logsMessages) return
    const text = `${this.sent.length} time: ${Math.floor(ms / 1000)} to: ${limit}`
    this.#peer.log('info', 'pieceRequestTimedOut', text)
  }

  /** The peer is late: one request at a time from now on, and the last one may be asked of others. */
  #snub(): void {
    const peer = this.#peer
    const host = peer.host!
    if (!this.snubbed) {
      this.snubbed = true
      this.slowStart = false
      host.alert(peer, { kind: 'snubbed' })
    }
    this.desiredSize = 1
    if (peer.onParole || !host.ready) return
    this.abortQueued()
    for (let i = this.sent.length - 1; i >= 0; i--) {
      const pending = this.sent.at(i)
      if (pending.timedOut || pending.notWanted) continue
      if (host.freeBlocks(pending.piece) > 0) break
      host.alert(peer, { kind: 'blockTimeout', piece: pending.piece, block: pending.block })
      this.desiredSize = 2
      if (host.pickBlocks(peer)) this.#session.counters.inc(C.PICKER_SNUBBED_PIECE_PICKS)
      this.desiredSize = 1
      pending.timedOut = true
      this.#doubtful++
      host.abortRequest(peer, pending.piece, pending.block)
      break
    }
    this.#send()
  }
}

function isBusy(pending: PendingBlock): boolean {
  return pending.busy
}

function wasteReason(pending: PendingBlock): WasteReason {
  if (pending.timedOut) return 'timedOut'
  if (pending.notWanted) return 'cancelled'
  return pending.busy ? 'endGame' : 'unknown'
}
