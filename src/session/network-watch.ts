/** Notices that this machine is on other networks than before. */

import type { Runtime } from '../core/runtime.ts'

/** Looking costs little, but not nothing. */
const LOOK_EVERY_MS = 10_000

export class NetworkWatch {
  readonly #runtime: Pick<Runtime, 'interfaces'>
  #lastLook: number
  #seen: string

  constructor(runtime: Pick<Runtime, 'interfaces'>, now: number) {
    this.#runtime = runtime
    this.#lastLook = now
    this.#seen = this.#look()
  }

  /** @returns whether the networks have changed since the last time it said so, if it is time to look */
  changed(now: number): boolean {
    if (now - this.#lastLook < LOOK_EVERY_MS) return false
    this.#lastLook = now
    const seen = this.#look()
    if (seen === this.#seen) return false
    this.#seen = seen
    return true
  }

  #look(): string {
    return this.#runtime
      .interfaces()
      .map(({ name, address, prefixLength, internet }) => `${name} ${address}/${prefixLength} ${internet}`)
      .sort()
      .join(',')
  }
}
