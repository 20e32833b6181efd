/** What one peer has asked of us: requests admitted, blocks being read, blocks sent. */

import type { PieceIndex } from '../core/brands.ts'
import { RingQueue } from '../core/ring-queue.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import {
  PEER_CANCELLED_PIECE_REQUESTS,
  PEER_CHOKED_PIECE_REQUESTS,
  PEER_INVALID_PIECE_REQUESTS,
  PEER_MAX_PIECE_REQUESTS,
  PEER_NUM_PEERS_UP_REQUESTS,
  PEER_PIECE_REQUESTS,
} from '../stats/counter-ids.ts'
import type { Counters } from '../stats/counters.ts'
import type { DiskError, ReadResult } from '../storage/disk-io.ts'

/** Part of a piece, as `request`, `cancel` and `reject` name it. */
export interface BlockRequest {
  readonly piece: PieceIndex
  readonly begin: number
  readonly length: number
}

export type UploadSettings = Pick<
  SessionSettings,
  'maxAllowedInRequestQueue' | 'sendBufferWatermark' | 'sendBufferLowWatermark' | 'sendBufferWatermarkFactor'
>

/** How a request is to be answered. */
export const RequestVerdict = Object.freeze({
  /** The piece is there: read it. */
  serve: 0,
  /** The range is wrong, or the piece is not there. */
  invalid: 1,
  /** The piece must be hashed before it may be sent (seed mode), or is announced early: not yet. */
  wait: 2,
} as const)
export type RequestVerdict = (typeof RequestVerdict)[keyof typeof RequestVerdict]

/** What an `UploadQueue` needs of its connection. */
export interface UploadPort {
  /** Judges a request by the torrent's geometry and what it has. */
  judge(request: BlockRequest): RequestVerdict
  /** A peer sent a request that cannot be served; counted, an alert, maybe the end of the connection. */
  requestRejected(request: BlockRequest): void
  sendReject(request: BlockRequest): void
  /** The block if it is in memory already. */
  readCached(request: BlockRequest): ReadResult | null
  /** Gets into memory what will be read soon. */
  readAhead(request: BlockRequest): void
  read(request: BlockRequest, done: (result: ReadResult) => void): void
  sendBlock(request: BlockRequest, views: readonly Uint8Array[], release: () => void): void
  readFailed(request: BlockRequest, error: DiskError): void
  /** Bytes waiting in the send buffer. */
  unsentBytes(): number
  /** Payload bytes sent in the last whole second. */
  uploadedLastSecond(): number
  readonly closed: boolean
}

/** How many requests ahead a disk read begins, so that no request need wait for it: a mebibyte of them. */
const AHEAD_REQUESTS = 64
/** Offsets in a piece at which it is time to look ahead. */
const AHEAD_EVERY = 256 * 1024

interface Read {
  readonly request: BlockRequest
  /** `null` until it was read. */
  result: ReadResult | null
}

export class UploadQueue {
  readonly #port: UploadPort
  readonly #settings: UploadSettings
  readonly #counters: Counters
  readonly #requests = new RingQueue<BlockRequest>()
  /** Blocks being read, in the order asked for. They are sent in that order, whichever is read first. */
  readonly #reads = new RingQueue<Read>()
  #readingBytes = 0
  #filling = false
  /** The peer counts among those with requests. */
  #counted = false

  constructor(port: UploadPort, settings: UploadSettings, counters: Counters) {
    this.#port = port
    this.#settings = settings
    this.#counters = counters
  }

  /** Requests that are not being read yet. */
  get length(): number {
    return this.#requests.length
  }

  /** Bytes being read for the peer. */
  get readingBytes(): number {
    return this.#readingBytes
  }

  /**
   * Takes a request in, or rejects it.
   *
   * @param admitted false if the peer is choked and the piece is not in its allowed-fast set
   */
  request(request: BlockRequest, admitted: boolean): void {
    this.#counters.inc(PEER_PIECE_REQUESTS)
    if (this.#requests.length > this.#settings.maxAllowedInRequestQueue) {
      this.#counters.inc(PEER_MAX_PIECE_REQUESTS)
      this.#port.sendReject(request)
      return
    }
    if (this.#port.judge(request) === RequestVerdict.invalid) {
      this.#counters.inc(PEER_INVALID_PIECE_REQUESTS)
      this.#port.sendReject(request)
      this.#port.requestRejected(request)
      return
    }
    if (!admitted) {
      this.#counters.inc(PEER_CHOKED_PIECE_REQUESTS)
      this.#port.sendReject(request)
      return
    }
    if (!this.#counted) this.#counters.inc(PEER_NUM_PEERS_UP_REQUESTS)
    this.#counted = true
    this.#requests.push(request)
    this.fill()
  }

  /** The peer wants a request no more. What is being read already is sent nevertheless, as libtorrent does. */
  cancel(request: BlockRequest): void {
    const dropped = this.#requests.filter(
      r => r.piece !== request.piece || r.begin !== request.begin || r.length !== request.length,
    )
    if (dropped === 0) return
    this.#counters.inc(PEER_CANCELLED_PIECE_REQUESTS, dropped)
    this.#emptied()
    for (let i = 0; i < dropped; i++) this.#port.sendReject(request)
  }

  /** We choke the peer: rejects what waits, but for the pieces it may have nevertheless. */
  choke(keep: (piece: PieceIndex) => boolean): void {
    this.#rejectWhere(r => !keep(r.piece), PEER_CHOKED_PIECE_REQUESTS)
  }

  /** A piece is gone, or failed its check. */
  rejectPiece(piece: PieceIndex): void {
    this.#rejectWhere(r => r.piece === piece, -1)
  }

  clear(): void {
    this.#requests.clear()
    this.#emptied()
  }

  /** Reads blocks for the oldest requests, as many as keep the send buffer filled. */
  fill(): void {
    if (this.#filling || this.#requests.length === 0) return
    this.#filling = true
    const watermark = this.#watermark()
    let waiting = 0
    while (this.#requests.length > waiting && this.#port.unsentBytes() + this.#readingBytes < watermark) {
      const request = this.#requests.shift()!
      const verdict = this.#port.judge(request)
      if (verdict === RequestVerdict.wait) {
        this.#requests.push(request)
        waiting++
      } else if (verdict === RequestVerdict.invalid) {
        this.#port.sendReject(request)
      } else this.#read(request)
      if (this.#port.closed) break
    }
    this.#filling = false
    this.#emptied()
  }

  #read(request: BlockRequest): void {
    if (request.begin % AHEAD_EVERY === 0) {
      const coming = this.#requests.at(AHEAD_REQUESTS)
      if (coming !== undefined && coming.piece !== request.piece) this.#port.readAhead(coming)
    }
    if (this.#reads.length === 0) {
      const cached = this.#port.readCached(request)
      if (cached !== null) {
        this.#port.sendBlock(request, cached.views, cached.release)
        return
      }
    }
    const read: Read = { request, result: null }
    this.#readingBytes += request.length
    this.#reads.push(read)
    this.#port.read(request, result => {
      read.result = result
      this.#sendRead()
    })
  }

  /** Sends what is read, up to the first block that is not: peers look for answers in the order they asked. */
  #sendRead(): void {
    let read = this.#reads.peek()
    while (read !== undefined && read.result !== null) {
      this.#reads.shift()
      const { request, result } = read
      this.#readingBytes -= request.length
      if (this.#port.closed) result.release()
      else if (result.error !== null) {
        result.release()
        this.#port.readFailed(request, result.error)
        if (!this.#port.closed) this.#port.sendReject(request)
      } else this.#port.sendBlock(request, result.views, () => result.release())
      read = this.#reads.peek()
    }
    if (!this.#port.closed) this.fill()
  }

  /**
   * How many bytes may be on their way to the peer's socket.
   *
   * libtorrent starts at `send_buffer_low_watermark` (10 kB) and follows the rate of the last second, so a
   * fast link needs seconds to fill. Deviation: the upper mark is in force from the start while nothing
   * of it is stuck, since the blocks lie in the read cache anyway.
   */
  #watermark(): number {
    const settings = this.#settings
    const upper = settings.sendBufferWatermark
    const byRate = (this.#port.uploadedLastSecond() * settings.sendBufferWatermarkFactor) / 100
    const fresh = byRate === 0 ? upper : byRate
    return Math.max(settings.sendBufferLowWatermark, Math.min(fresh, upper))
  }

  #rejectWhere(test: (request: BlockRequest) => boolean, counter: number): void {
    if (this.#requests.length === 0) return
    const rejected: BlockRequest[] = []
    this.#requests.filter(r => {
      if (!test(r)) return true
      rejected.push(r)
      return false
    })
    if (rejected.length === 0) return
    if (counter >= 0) this.#counters.inc(counter, rejected.length)
    this.#emptied()
    for (const r of rejected) this.#port.sendReject(r)
  }

  #emptied(): void {
    if (!this.#counted || this.#requests.length > 0) return
    this.#counted = false
    this.#counters.inc(PEER_NUM_PEERS_UP_REQUESTS, -1)
  }
}
