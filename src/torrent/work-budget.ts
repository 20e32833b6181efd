/** How much work may be done for somebody: so much at once, then so much a second. */
export class WorkBudget {
  readonly #perSecond: number
  readonly #atOnce: number
  #left: number
  /** Milliseconds. */
  #at = Number.NEGATIVE_INFINITY

  /**
   * @param perSecond above 0, of any unit
   * @param atOnce    after a time of rest
   */
  constructor(perSecond: number, atOnce: number) {
    this.#perSecond = perSecond
    this.#atOnce = atOnce
    this.#left = atOnce
  }

  /** Whether anything is left. @param now milliseconds, monotonic */
  mayWork(now: number): boolean {
    if (now > this.#at) {
      this.#left = Math.min(this.#atOnce, this.#left + ((now - this.#at) * this.#perSecond) / 1000)
      this.#at = now
    }
    return this.#left > 0
  }

  /** It may go into debt: a piece of work that is larger than the whole budget is done, and paid for afterwards. */
  spend(work: number): void {
    this.#left -= work
  }
}
