/** Keeps nodes out that send too many packets. */

import { parseV4 } from '../core/endpoint.ts'
import { DhtModule } from '../core/enums.ts'
import type { DhtLog } from './dht-log.ts'

/** Senders that are counted at a time. */
const SLOTS = 20
/** The packets of so many ms are counted together. */
const WINDOW = 10_000

/**
 * Counts the packets of those that send most.
 *
 * Who sends more than ten times the limit within ten seconds is not heard until it has been silent for the block timeout.
 */
export class DosBlocker {
  /** Packets a second. */
  #rateLimit = 5
  /** ms. */
  #blockTimeout = 5 * 60 * 1000
  /** IPv4 addresses as numbers; -1 where there is another, or none. */
  readonly #v4 = new Float64Array(SLOTS).fill(-1)
  readonly #v6: string[] = new Array<string>(SLOTS).fill('')
  readonly #counts = new Float64Array(SLOTS)
  /** When the packets of a slot have taken long enough to be fine, or a block is over. */
  readonly #limits = new Float64Array(SLOTS).fill(Number.NEGATIVE_INFINITY)

  /** @param limit packets a second, `dht_block_ratelimit`; at least 1 is taken */
  setRateLimit(limit: number): void {
    this.#rateLimit = Math.max(1, limit)
  }

  /** @param seconds how long a node is blocked, `dht_block_timeout`; at least 1 is taken */
  setBlockTimer(seconds: number): void {
    this.#blockTimeout = Math.max(1, seconds) * 1000
  }

  /** A packet has come. @param now ms @returns whether it may pass */
  incoming(address: string, now: number, log: DhtLog | null = null): boolean {
    const slot = this.#find(address)
    if (slot < 0) {
      this.#take(address, now)
      return true
    }
    const count = ++this.#counts[slot]!
    const most = this.#rateLimit * 10
    if (count < most) return true
    if (now < this.#limits[slot]!) {
      if (count === most) {
        if (log?.shouldLog(DhtModule.tracker)) {
          const ms = Math.trunc(now - this.#limits[slot]! + WINDOW)
          log.log(DhtModule.tracker, `BANNING PEER [ ip: ${address} time: ${ms} ms count: ${count} ]`)
        }
        this.#limits[slot] = now + this.#blockTimeout
      }
      return false
    }
    this.#counts[slot] = 0
    this.#limits[slot] = now + WINDOW
    return true
  }

  #find(address: string): number {
    const packed = parseV4(address)
    if (packed < 0) return this.#v6.indexOf(address)
    const v4 = this.#v4
    for (let i = 0; i < SLOTS; i++) if (v4[i] === packed) return i
    return -1
  }

  /** Counts a new sender in the slot of the one that sent least; of those, the one whose time is up first. */
  #take(address: string, now: number): void {
    const counts = this.#counts
    const limits = this.#limits
    let min = 0
    for (let i = 1; i < SLOTS; i++) {
      if (counts[i]! < counts[min]! || (counts[i] === counts[min] && limits[i]! < limits[min]!)) min = i
    }
    const packed = parseV4(address)
    this.#v4[min] = packed
    this.#v6[min] = packed < 0 ? address : ''
    counts[min] = 1
    limits[min] = now + WINDOW
  }
}
