/** How much the DHT may send: a bucket that fills at `dht_upload_rate_limit` and holds three seconds of it. */

const BURST_SECONDS = 3
const MAX = 0x7fffffff

/**
 * Only incoming queries are held back by it: what we send ourselves and answers are charged, and nothing is answered
 * until that is paid off.
 *
 * Deviation: in libtorrent a pause of 2^31 / limit microseconds, a quarter of a second by default, fills the bucket,
 * which lets through several times the limit.
 */
export class SendQuota {
  #left: number
  #last: number

  /** @param limit bytes per second @param now ms */
  constructor(limit: number, now: number) {
    this.#left = limit
    this.#last = now
  }

  /** Whether a query may be answered. @param limit bytes per second; 0 and less allow none */
  has(limit: number, now: number): boolean {
    const elapsed = Math.max(0, now - this.#last)
    this.#last = now
    if (limit <= 0) {
      this.#left = 0
      return false
    }
    this.#left = Math.min(this.#left + (limit * elapsed) / 1000, limit * BURST_SECONDS, MAX)
    return this.#left > 0
  }

  /** Bytes were sent. */
  charge(bytes: number): void {
    this.#left -= bytes
  }
}
