/**
 * What one peer has asked of us: requests admitted, blocks being read, blocks sent.
 *
 * Peers ask for one block after the other. What they ask for in a row is kept, read and sent as one run,
 * up to a line of the read cache at a time: most of what a seed does is then done once for 16 blocks.
 */

import { BLOCK_SIZE, type PieceIndex } from '../core/brands.ts'
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
import { LINE_SIZE } from '../storage/read-cache.ts'

/** Part of a piece, as `request`, `cancel` and `reject` name it. */
export interface BlockRequest {
  readonly piece: PieceIndex
  readonly begin: number
  readonly length: number
}

/** `count` requests of `length` bytes each, the first from `begin` on, one after the other. */
export interface RequestRun extends BlockRequest {
  readonly count: number
}

/** One request of a run. */
export function requestOf(run: RequestRun, index: number): BlockRequest {
  return { piece: run.piece, begin: run.begin + index * run.length, length: run.length }
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
  /** The blocks if they are in memory already. */
  readCached(run: RequestRun): ReadResult | null
  /** Gets into memory what will be read soon. */
  readAhead(request: BlockRequest): void
  read(run: RequestRun, done: (result: ReadResult) => void): void
  /** Sends what was read, and gives its memory back. */
  sendBlocks(run: RequestRun, result: ReadResult): void
  /** Blocks of the run could not be read. Their requests are rejected after this. */
  readFailed(run: RequestRun, error: DiskError): void
  /** Bytes waiting in the send buffer. */
  unsentBytes(): number
  /** Payload bytes sent in the last whole second. */
  uploadedLastSecond(): number
  readonly closed: boolean
}

/** How many requests ahead a disk read begins, so that no request need wait for it: a mebibyte of them. */
const AHEAD_REQUESTS = 64

interface Read {
  readonly run: RequestRun
  /** `null` until it was read. */
  result: ReadResult | null
}

export class UploadQueue {
  readonly #port: UploadPort
  readonly #settings: UploadSettings
  readonly #counters: Counters
  readonly #runs = new RingQueue<RequestRun>()
  /** Requests in `#runs`. */
  #waiting = 0
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
    return this.#waiting
  }

  /** Bytes being read for the peer. */
  get readingBytes(): number {
    return this.#readingBytes
  }

  /**
   * Takes requests in, or rejects them.
   *
   * @param admitted false if the peer is choked and the piece is not in its allowed-fast set
   */
  request(run: RequestRun, admitted: boolean): void {
    const { count } = run
    if (count > 1 && !this.#isPlain(run)) {
      for (let i = 0; i < count && !this.#port.closed; i++) this.request({ ...requestOf(run, i), count: 1 }, admitted)
      return
    }
    this.#counters.inc(PEER_PIECE_REQUESTS, count)
    let taken = 0
    while (taken < count) {
      // libtorrent looks whether the limit is exceeded before it takes one more
      const room = this.#settings.maxAllowedInRequestQueue + 1 - this.#waiting
      if (room <= 0) break
      const n = Math.min(room, count - taken)
      this.#admit(n === count ? run : { ...run, begin: run.begin + taken * run.length, count: n }, admitted)
      if (this.#port.closed) return
      taken += n
    }
    this.#counters.inc(PEER_MAX_PIECE_REQUESTS, count - taken)
    for (; taken < count; taken++) this.#port.sendReject(requestOf(run, taken))
  }

  /**
   * The peer wants a request no more. What is being read already is sent nevertheless, as libtorrent does.
   *
   * @returns false if there is no such request
   */
  cancel(request: BlockRequest): boolean {
    let dropped = 0
    for (let i = this.#runs.length; i > 0; i--) {
      const run = this.#runs.shift()!
      const at = run.piece === request.piece && run.length === request.length ? request.begin - run.begin : -1
      const index = at / run.length
      if (at < 0 || index >= run.count || !Number.isInteger(index)) {
        this.#runs.push(run)
        continue
      }
      if (index > 0) this.#runs.push({ ...run, count: index })
      const rest = run.count - index - 1
      if (rest > 0) this.#runs.push({ ...run, begin: request.begin + run.length, count: rest })
      dropped++
    }
    if (dropped === 0) return false
    this.#waiting -= dropped
    this.#counters.inc(PEER_CANCELLED_PIECE_REQUESTS, dropped)
    this.#emptied()
    for (let i = 0; i < dropped; i++) this.#port.sendReject(request)
    return true
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
    this.#runs.clear()
    this.#waiting = 0
    this.#emptied()
  }

  /** Reads blocks for the oldest requests, as many as keep the send buffer filled. */
  fill(): void {
    if (this.#filling || this.#waiting === 0) return
    this.#filling = true
    const watermark = this.#watermark()
    let passedOver = 0
    while (this.#runs.length > passedOver) {
      const room = watermark - this.#port.unsentBytes() - this.#readingBytes
      if (room <= 0) break
      const run = this.#runs.shift()!
      const verdict = this.#port.judge(run)
      if (verdict === RequestVerdict.wait) {
        this.#runs.push(run)
        passedOver++
      } else if (verdict === RequestVerdict.invalid) {
        this.#waiting -= run.count
        this.#rejectAll(run)
      } else this.#readFrom(run, room)
      if (this.#port.closed) break
    }
    this.#filling = false
    this.#emptied()
  }

  /** All requests of the run are judged alike: blocks of one piece, the last of them within it. */
  #isPlain(run: RequestRun): boolean {
    const whole = run.length === BLOCK_SIZE && run.begin % BLOCK_SIZE === 0
    return whole && this.#port.judge(requestOf(run, run.count - 1)) !== RequestVerdict.invalid
  }

  #admit(run: RequestRun, admitted: boolean): void {
    if (this.#port.judge(run) === RequestVerdict.invalid) {
      this.#counters.inc(PEER_INVALID_PIECE_REQUESTS, run.count)
      for (let i = 0; i < run.count && !this.#port.closed; i++) {
        const request = requestOf(run, i)
        this.#port.sendReject(request)
        this.#port.requestRejected(request)
      }
      return
    }
    if (!admitted) {
      this.#counters.inc(PEER_CHOKED_PIECE_REQUESTS, run.count)
      this.#rejectAll(run)
      return
    }
    if (!this.#counted) this.#counters.inc(PEER_NUM_PEERS_UP_REQUESTS)
    this.#counted = true
    this.#enqueue(run)
    this.fill()
  }

  /** Appends to the queue; what continues its last run becomes part of that. */
  #enqueue(run: RequestRun): void {
    this.#waiting += run.count
    const last = this.#runs.at(this.#runs.length - 1)
    const continues =
      last !== undefined &&
      last.piece === run.piece &&
      last.length === run.length &&
      run.length === BLOCK_SIZE &&
      last.begin + last.count * last.length === run.begin
    if (continues) this.#runs.replaceLast({ ...last, count: last.count + run.count })
    else this.#runs.push(run)
  }

  /** Reads from the beginning of the oldest run, which is off the queue; what is left of it goes back to its head. */
  #readFrom(run: RequestRun, room: number): void {
    const toStep = Math.ceil((LINE_SIZE - (run.begin % LINE_SIZE)) / run.length)
    const count = Math.min(run.count, toStep, Math.ceil(room / run.length))
    this.#waiting -= count
    if (count < run.count) {
      this.#runs.unshift({ ...run, begin: run.begin + count * run.length, count: run.count - count })
      this.#read({ ...run, count })
    } else this.#read(run)
  }

  #read(run: RequestRun): void {
    if (run.begin % LINE_SIZE === 0) this.#lookAhead(run.piece)
    if (this.#reads.length === 0) {
      const cached = this.#port.readCached(run)
      if (cached !== null) {
        this.#port.sendBlocks(run, cached)
        return
      }
    }
    const read: Read = { run, result: null }
    this.#readingBytes += run.length * run.count
    this.#reads.push(read)
    this.#port.read(run, result => {
      read.result = result
      this.#sendRead()
    })
  }

  /** Has the next piece read that is asked for, when its turn is not far off. */
  #lookAhead(piece: PieceIndex): void {
    let left = AHEAD_REQUESTS
    for (let i = 0; i < this.#runs.length; i++) {
      const run = this.#runs.at(i)!
      if (left < run.count) {
        if (run.piece !== piece) this.#port.readAhead(requestOf(run, left))
        return
      }
      left -= run.count
    }
  }

  /** Sends what is read, up to the first block that is not: peers look for answers in the order they asked. */
  #sendRead(): void {
    let read = this.#reads.peek()
    while (read !== undefined && read.result !== null) {
      this.#reads.shift()
      const { run, result } = read
      this.#readingBytes -= run.length * run.count
      if (this.#port.closed) result.release()
      else if (result.error !== null) {
        result.release()
        this.#port.readFailed(run, result.error)
        this.#rejectAll(run)
      } else this.#port.sendBlocks(run, result)
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

  #rejectWhere(test: (run: RequestRun) => boolean, counter: number): void {
    if (this.#waiting === 0) return
    const rejected: RequestRun[] = []
    this.#runs.filter(run => {
      if (!test(run)) return true
      rejected.push(run)
      this.#waiting -= run.count
      if (counter >= 0) this.#counters.inc(counter, run.count)
      return false
    })
    this.#emptied()
    for (const run of rejected) this.#rejectAll(run)
  }

  #rejectAll(run: RequestRun): void {
    for (let i = 0; i < run.count && !this.#port.closed; i++) this.#port.sendReject(requestOf(run, i))
  }

  #emptied(): void {
    if (!this.#counted || this.#waiting > 0) return
    this.#counted = false
    this.#counters.inc(PEER_NUM_PEERS_UP_REQUESTS, -1)
  }
}
