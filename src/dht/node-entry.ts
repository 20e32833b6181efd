/** A node of the routing table. */

import { readInt32, readUint32 } from '../core/bytes.ts'
import type { Sha1Hash } from '../core/digest.ts'
import { addressBytes, type Endpoint, isV4, parseV4 } from '../core/endpoint.ts'
import { NODE_ID_SIZE, verifyId } from './node-id.ts'

/** Round-trip time that is not known. */
export const UNKNOWN_RTT = 0xffff
/** `timeoutCount` of a node that has never answered us. */
export const NOT_PINGED = 0xff
/** `lastQueried` of a node that was not asked yet. */
export const NEVER = Number.NEGATIVE_INFINITY

/** A node we know: who it is, and how it has behaved. */
export class NodeEntry {
  readonly id: Sha1Hash
  readonly endpoint: Endpoint
  /** First four bytes of the id, as a number with a sign: most comparisons of distances need no more. */
  readonly prefix: number
  /** Average round-trip time in ms, {@link UNKNOWN_RTT} if it is not known. */
  rtt: number
  /** Times in a row that it has not answered; {@link NOT_PINGED} as long as it never has. */
  timeoutCount: number
  /** Whether the id is right for its address. @see BEP 42 */
  readonly verified: boolean
  /** When we first heard of it, ms of the session's clock. */
  readonly firstSeen: number
  /** When it was last asked, ms of the session's clock, or {@link NEVER}. */
  lastQueried: number
  /** The network an attacker is taken to own as a whole: the first 24 bits of an IPv4 address, 64 of an IPv6 one. */
  readonly #networkHigh: number
  readonly #networkLow: number
  #compact: Uint8Array | null = null

  /**
   * @param now    ms of the session's clock
   * @param rtt    ms, at most {@link UNKNOWN_RTT}
   * @param pinged whether it has answered us
   */
  constructor(id: Sha1Hash, endpoint: Endpoint, now: number, rtt: number = UNKNOWN_RTT, pinged = false) {
    this.id = id
    this.endpoint = endpoint
    this.prefix = readInt32(id.view(), 0)
    this.rtt = rtt
    this.timeoutCount = pinged ? 0 : NOT_PINGED
    this.verified = verifyId(id, endpoint[0])
    this.firstSeen = now
    this.lastQueried = pinged ? now : NEVER
    if (isV4(endpoint[0])) {
      this.#networkHigh = parseV4(endpoint[0]) >>> 8
      this.#networkLow = -1
    } else {
      const bytes = addressBytes(endpoint[0])
      this.#networkHigh = readUint32(bytes, 0)
      this.#networkLow = readUint32(bytes, 4)
    }
  }

  get address(): string {
    return this.endpoint[0]
  }

  /** Whether it ever answered us. */
  get pinged(): boolean {
    return this.timeoutCount !== NOT_PINGED
  }

  /** Whether it answered the last time it was asked. */
  get confirmed(): boolean {
    return this.timeoutCount === 0
  }

  /** Times in a row that it did not answer; 0 if it was never asked. */
  get failCount(): number {
    return this.timeoutCount === NOT_PINGED ? 0 : this.timeoutCount
  }

  /** It did not answer. */
  timedOut(): void {
    if (this.timeoutCount < NOT_PINGED - 1) this.timeoutCount++
  }

  /** Moves the average a third of the way. */
  updateRtt(rtt: number): void {
    if (rtt === UNKNOWN_RTT) return
    if (this.rtt === UNKNOWN_RTT) this.rtt = rtt
    else this.rtt = Math.trunc((this.rtt * 2) / 3) + Math.trunc(rtt / 3)
  }

  /** Whether it is a better node to have than `other`: ids bound to addresses first, then the quick. */
  betterThan(other: NodeEntry): boolean {
    return this.verified === other.verified ? this.rtt < other.rtt : this.verified
  }

  /** Whether both are in one network, /24 for IPv4 and /64 for IPv6: too close to be trusted side by side. */
  inNetworkOf(other: NodeEntry): boolean {
    return this.#networkHigh === other.#networkHigh && this.#networkLow === other.#networkLow
  }

  /** Id, address and port as `nodes` and `nodes6` carry them: 26 or 38 bytes. Read only. @see BEP 5, BEP 32 */
  compact(): Uint8Array {
    if (this.#compact === null) {
      const address = addressBytes(this.endpoint[0])
      const out = new Uint8Array(NODE_ID_SIZE + address.length + 2)
      out.set(this.id.view())
      out.set(address, NODE_ID_SIZE)
      out[out.length - 2] = this.endpoint[1] >>> 8
      out[out.length - 1] = this.endpoint[1]
      this.#compact = out
    }
    return this.#compact
  }
}
