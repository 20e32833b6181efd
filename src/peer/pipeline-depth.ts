/**
 * How many requests to keep in flight to one peer: enough to cover `request_queue_time` at the rate it delivers.
 *
 * A new connection starts low and grows by one per block (slow start) until its rate stops growing.
 */

/** Fewest requests to a peer that is not snubbed. */
export const MIN_REQUEST_QUEUE = 2
/** Where slow start begins. */
export const INITIAL_REQUEST_QUEUE = 4

/** A rate that grew by less than this since the last second, in bytes, ends slow start. */
const SLOW_START_SLACK = 5000
const MAX_QUEUE = 0xffff

/** Settings and measurements an update reads. */
export interface PipelineInput {
  /** Payload bytes per second from the peer. */
  readonly downloadRate: number
  /** `request_queue_time`, seconds. */
  readonly requestQueueTime: number
  /** Bytes of a request. */
  readonly blockSize: number
  /** Bytes per second that rate limits leave it; 0 for none. No deeper queue than they let through. */
  readonly rateLimit: number
}

/** See the head of the file. */
export class PipelineDepth {
  #desired = INITIAL_REQUEST_QUEUE
  #max: number
  #slowStart = true
  #snubbed = false
  #lastSecond = 0

  /** @param maxOutRequestQueue the setting; the peer's `reqq` may lower or raise it later */
  constructor(maxOutRequestQueue: number) {
    this.#max = clampQueue(maxOutRequestQueue)
  }

  /** Requests to keep in flight, at least 1. */
  get desired(): number {
    return this.#desired
  }

  get max(): number {
    return this.#max
  }

  /** `max_out_request_queue`, or what the peer said it takes (`reqq`, BEP 10). */
  set max(limit: number) {
    this.#max = clampQueue(limit)
  }

  get slowStart(): boolean {
    return this.#slowStart
  }

  get snubbed(): boolean {
    return this.#snubbed
  }

  /** A block came in time for the first time since the peer was snubbed, or at all. Call before `update`. */
  blockReceived(): void {
    this.#snubbed = false
    if (this.#slowStart && this.#desired < MAX_QUEUE) this.#desired++
  }

  /** The peer has not delivered for too long: one request at a time. */
  snub(): void {
    this.#snubbed = true
    this.#slowStart = false
    this.#desired = 1
  }

  /** It came to nothing: no longer interested, or choked while idle. */
  endSlowStart(): void {
    this.#slowStart = false
  }

  /**
   * Once a second, before `update`.
   *
   * @param downloaded  payload bytes of this second
   * @param isChoked    the peer chokes us: then nothing can grow, and slow start goes on
   * @returns true if slow start has ended now
   */
  secondTick(downloaded: number, isChoked: boolean): boolean {
    const before = this.#lastSecond
    this.#lastSecond = downloaded
    if (!this.#slowStart || isChoked || before === 0 || before + SLOW_START_SLACK < downloaded) return false
    this.#slowStart = false
    return true
  }

  /** Computes `desired` anew. */
  update(input: PipelineInput): number {
    if (this.#snubbed) {
      this.#desired = 1
      return 1
    }
    if (!this.#slowStart) this.#desired = blocksIn(input.downloadRate, input)
    let limit = this.#max
    if (input.rateLimit > 0) limit = Math.min(limit, blocksIn(input.rateLimit, input) + 1)
    this.#desired = Math.max(MIN_REQUEST_QUEUE, Math.min(this.#desired, limit))
    return this.#desired
  }
}

function blocksIn(rate: number, input: PipelineInput): number {
  return Math.min(MAX_QUEUE, Math.floor((input.requestQueueTime * rate) / input.blockSize))
}

function clampQueue(limit: number): number {
  return Math.max(1, Math.min(MAX_QUEUE, Math.trunc(limit)))
}
