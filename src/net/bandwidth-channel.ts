/** One rate limit: of a peer, a torrent, a peer class or the session, in one direction. */

/** Largest limit, and the quota of a channel without one: libtorrent's 2^31 - 1. */
export const INFINITE_QUOTA = 0x7fffffff

/**
 * Unused quota is kept for so long. It decides how far a transfer that starts after a pause may exceed the
 * limit: at 250 ms it stays within 2.5 % of the limit over 10 s.
 *
 * Deviation: libtorrent keeps 3 s.
 */
export const MAX_SURPLUS_MS = 250

/** Debts beyond so much time are forgiven: after a limit was lowered, transfers must not stand still for hours. */
export const MAX_DEBT_MS = 10_000

/** Debt that is never forgiven: a chunk as a socket hands it over. */
const MIN_DEBT_LIMIT = 65536

/**
 * A budget of bytes that fills at the rate of the limit.
 *
 * It may go below zero: bytes that arrived before they could be refused are a debt, which is paid off before
 * anything more is granted.
 */
export class BandwidthChannel {
  #limit = 0
  #quota = 0

  /** Requests that wait for this channel; kept by the `BandwidthManager`. @internal */
  waiting = 0

  /** Bytes per second; 0 is no limit. */
  get limit(): number {
    return this.#limit
  }

  /**
   * Changes the limit. What is owed stays owed, unless the limit is lifted.
   *
   * @param limit bytes per second below 2^31; 0 is no limit
   */
  throttle(limit: number): void {
    if (!Number.isInteger(limit) || limit < 0 || limit >= INFINITE_QUOTA)
      throw new RangeError('BandwidthChannel.throttle: expected 0 to 2^31 - 2')
    this.#limit = limit
    if (limit === 0) this.#quota = 0
    else this.#quota = Math.min(this.#quota, this.#surplus(MAX_SURPLUS_MS))
  }

  /** Bytes that may be used now; never negative. */
  quotaLeft(): number {
    return this.#limit === 0 ? INFINITE_QUOTA : Math.max(0, Math.floor(this.#quota))
  }

  /** Bytes used beyond the limit; 0 if there are none. */
  debt(): number {
    return this.#quota < 0 ? -this.#quota : 0
  }

  /** Milliseconds until the debt is paid; 0 if there is none. */
  delayMs(): number {
    return this.#quota < 0 ? (-this.#quota * 1000) / this.#limit : 0
  }

  /** True if more time would not add quota. */
  isFull(): boolean {
    return this.#limit === 0 || this.#quota >= this.#surplus(MAX_SURPLUS_MS)
  }

  /** Adds the quota of the time that has passed. Not more than the greater of it and `MAX_SURPLUS_MS` is kept. */
  updateQuota(elapsedMs: number): void {
    if (this.#limit === 0) return
    // Fractions of a byte are kept: a limit of 5 bytes a second is 5, whatever the tick.
    const quota = this.#quota + this.#surplus(elapsedMs)
    this.#quota = Math.min(quota, this.#surplus(Math.max(elapsedMs, MAX_SURPLUS_MS)) + 1)
  }

  /** Takes bytes out; the quota may become a debt. */
  useQuota(amount: number): void {
    if (this.#limit === 0) return
    const cap = Math.max(this.#surplus(MAX_DEBT_MS), MIN_DEBT_LIMIT)
    // A single amount is always owed in full: only what piles up is forgiven.
    this.#quota = Math.max(this.#quota - amount, Math.min(this.#quota, -cap, -amount))
  }

  /** Puts back bytes that were granted and not used. */
  returnQuota(amount: number): void {
    if (this.#limit !== 0) this.#quota += amount
  }

  #surplus(ms: number): number {
    return (this.#limit * ms) / 1000
  }
}
