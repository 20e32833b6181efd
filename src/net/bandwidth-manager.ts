/**
 * Shares rate limits among peers, in one direction. No timers: the owner calls `update` with the time passed.
 *
 * Two ways to use it, which may be mixed:
 * - *ask first* (uploads, requests for blocks): `requestBandwidth` grants at once or queues; a queued grant
 *   comes by `assignBandwidth` during a later `update`.
 * - *owe* (downloads: Node hands over whole chunks): `charge` what arrived; if that gives a delay, stop reading
 *   and ask, and read on when the grant comes.
 *
 * Grants are given to one peer after the other, not in ever smaller shares to all at once: so each is a
 * useful size, and 200 peers that wake together cannot overdraw the limit together. Each peer's turn comes
 * at intervals that its priority shortens (start-time fair queueing).
 *
 * Deviation: libtorrent splits the quota of each tick among all who wait.
 */

import { type BandwidthChannel, INFINITE_QUOTA } from './bandwidth-channel.ts'

/** A peer as the bandwidth manager sees it. */
export interface BandwidthSocket {
  /**
   * Ends a request that was queued. Called at the end of `BandwidthManager.update` and `close`.
   *
   * @param channel the manager's channel number
   * @param amount  bytes granted; 0 if the peer is disconnecting or the manager closes
   */
  assignBandwidth(channel: number, amount: number): void
  /** True drops a queued request; what was set aside for it goes back to the channels. */
  isDisconnecting(): boolean
}

interface Request {
  readonly socket: BandwidthSocket
  /** Those with a limit when the request was made. */
  readonly channels: readonly BandwidthChannel[]
  readonly size: number
  /** Order of service: the virtual time at which it may start. */
  readonly start: number
  assigned: number
  /** Updates left until a part is granted instead of the whole. */
  patience: number
}

/** Longest time that one `update` accounts for, as in libtorrent: a machine that slept must not burst. */
const MAX_ELAPSED_MS = 3000
/** A request that got some bytes, and not all, in so many updates gets those it has. */
const PATIENCE = 20
/** A block. Grants are not made smaller than this by the fairness rule. */
const MIN_SHARE = 16384
/** One grant takes at most so much of the slowest limit's time, so that others do not wait long. */
const MAX_SHARE_MS = 100

export class BandwidthManager {
  readonly #channel: number
  /** Sorted by `start`. */
  #queue: Request[] = []
  /** Channels that are waited for, in debt, or not full: the ones time changes. */
  readonly #active = new Set<BandwidthChannel>()
  #virtualTime = 0
  /** Where the last request of a peer ends in virtual time. */
  #finish = new WeakMap<BandwidthSocket, number>()
  #queuedBytes = 0
  #closed = false

  /** @param channel handed to `assignBandwidth`: 0 upload, 1 download */
  constructor(channel: number) {
    this.#channel = channel
  }

  queueSize(): number {
    return this.#queue.length
  }

  /** Bytes that are asked for and not yet granted. */
  queuedBytes(): number {
    return this.#queuedBytes
  }

  /**
   * Asks for quota. A peer may have one queued request at a time.
   *
   * @param bytes    > 0; fewer may be granted, so that others get their turn
   * @param priority 1 to 255; twice the priority is twice the share
   * @param channels the limits the peer is subject to; those without a limit are ignored
   * @returns        bytes granted; 0 if queued (or closed)
   */
  requestBandwidth(
    socket: BandwidthSocket,
    bytes: number,
    priority: number,
    channels: readonly BandwidthChannel[],
  ): number {
    if (this.#closed) return 0
    const limited = channels.filter(c => c.limit !== 0)
    if (limited.length === 0) return bytes
    const size = shareOf(bytes, limited)
    const start = Math.max(this.#virtualTime, this.#finish.get(socket) ?? 0)
    this.#finish.set(socket, start + size / Math.max(1, priority))
    for (const channel of limited) this.#active.add(channel)
    const request: Request = { socket, channels: limited, size, start, assigned: 0, patience: PATIENCE }
    // Quota that is left is set aside at once, or the channel would be full before the next update.
    if (limited.every(c => c.waiting === 0)) this.#serve(request)
    if (request.assigned === size) return size
    for (const channel of limited) channel.waiting++
    this.#queuedBytes += size - request.assigned
    this.#enqueue(request)
    return 0
  }

  /**
   * Takes bytes that were transferred already out of all channels.
   *
   * @returns milliseconds until the debts are paid: 0 if the transfer may go on
   */
  charge(channels: readonly BandwidthChannel[], bytes: number): number {
    let delay = 0
    for (let i = 0; i < channels.length; i++) {
      const channel = channels[i]!
      if (channel.limit === 0) continue
      channel.useQuota(bytes)
      this.#active.add(channel)
      delay = Math.max(delay, channel.delayMs())
    }
    return delay
  }

  /** True if time changes anything: something is queued, or a limit is not at rest. */
  isActive(): boolean {
    return this.#queue.length > 0 || this.#active.size > 0
  }

  /**
   * Lets time pass: fills the channels and serves the queue.
   *
   * @param elapsedMs since the last call. 50 to 500 ms give smooth rates; 3000 at most count
   */
  update(elapsedMs: number): void {
    if (this.#closed) return
    const elapsed = Math.min(elapsedMs, MAX_ELAPSED_MS)
    for (const channel of this.#active) {
      channel.updateQuota(elapsed)
      if (channel.waiting === 0 && channel.isFull()) this.#active.delete(channel)
    }
    if (this.#queue.length === 0) return
    const done: Request[] = []
    const waiting: Request[] = []
    for (const request of this.#queue) {
      if (request.socket.isDisconnecting()) {
        this.#dismiss(request, done)
        continue
      }
      const before = request.assigned
      this.#serve(request)
      this.#queuedBytes -= request.assigned - before
      if (request.assigned === request.size || (request.patience <= 0 && request.assigned > 0)) {
        this.#queuedBytes -= request.size - request.assigned
        this.#leave(request)
        done.push(request)
      } else waiting.push(request)
    }
    this.#queue = waiting
    // Only now: a peer that is told asks again at once.
    for (const request of done) request.socket.assignBandwidth(this.#channel, request.assigned)
  }

  /** Ends all queued requests. Further ones are neither granted nor queued. Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    const queue = this.#queue
    this.#queue = []
    this.#queuedBytes = 0
    this.#active.clear()
    for (const request of queue) this.#leave(request)
    for (const request of queue) request.socket.assignBandwidth(this.#channel, request.assigned)
  }

  /** @throws Error if the books do not balance */
  checkInvariant(): void {
    let bytes = 0
    let start = 0
    const waiting = new Map<BandwidthChannel, number>()
    for (const request of this.#queue) {
      bytes += request.size - request.assigned
      if (request.start < start) throw new Error('BandwidthManager: queue is not in order')
      start = request.start
      for (const channel of request.channels) waiting.set(channel, (waiting.get(channel) ?? 0) + 1)
    }
    if (bytes !== this.#queuedBytes) throw new Error(`BandwidthManager: ${this.#queuedBytes} queued, found ${bytes}`)
    for (const [channel, count] of waiting)
      if (channel.waiting < count || !this.#active.has(channel)) throw new Error('BandwidthManager: channel is lost')
  }

  #enqueue(request: Request): void {
    const queue = this.#queue
    let low = 0
    let high = queue.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (queue[middle]!.start <= request.start) low = middle + 1
      else high = middle
    }
    queue.splice(low, 0, request)
  }

  #serve(request: Request): void {
    let amount = request.size - request.assigned
    for (const channel of request.channels) amount = Math.min(amount, channel.quotaLeft())
    if (amount > 0) {
      for (const channel of request.channels) channel.useQuota(amount)
      request.assigned += amount
      this.#virtualTime = Math.max(this.#virtualTime, request.start)
    }
    if (request.assigned > 0) request.patience--
  }

  #dismiss(request: Request, done: Request[]): void {
    this.#queuedBytes -= request.size - request.assigned
    for (const channel of request.channels) channel.returnQuota(request.assigned)
    request.assigned = 0
    this.#leave(request)
    done.push(request)
  }

  #leave(request: Request): void {
    for (const channel of request.channels) channel.waiting--
  }
}

function shareOf(bytes: number, channels: readonly BandwidthChannel[]): number {
  let slowest = INFINITE_QUOTA
  for (const channel of channels) slowest = Math.min(slowest, channel.limit)
  return Math.min(bytes, Math.max(MIN_SHARE, Math.floor((slowest * MAX_SHARE_MS) / 1000)))
}
