/** Finds out our external address from what others say it is. One per listen socket. */

import { isLocal, isMulticast, isUnspecified, isV4 } from '../core/endpoint.ts'
import type { Rng } from '../core/rng.ts'

/** Who said so: bits, as several may. */
export const IpSource = Object.freeze({ dht: 2, peer: 4, tracker: 8, router: 16 } as const)
export type IpSource = (typeof IpSource)[keyof typeof IpSource]

interface Candidate {
  readonly address: string
  readonly voters: Set<string>
  sources: number
  votes: number
}

/** With so many votes, or after so long, the winner is settled and counting starts anew. */
const VOTES_TO_SETTLE = 50
const SETTLE_AFTER_MS = 5 * 60_000
/** Votes before the first, provisional address may be given up for another. */
const VOTES_TO_RECONSIDER = 25
/** One vote is too few to change one's mind. */
const MIN_VOTES = 2
const MAX_CANDIDATES = 40
/** Voters remembered for a candidate, and those that named a new one: a flood of lies must not cost memory. */
const MAX_VOTERS = 1024

/**
 * Each source has one vote for each address, and may name one new address, between two settlements.
 *
 * The first address named is taken at once and kept until a clear majority says otherwise.
 */
export class IpVoter {
  readonly #rng: Rng
  #candidates: Candidate[] = []
  /** Sources that have named an address nobody had named. */
  #namers = new Set<string>()
  #address: string | null = null
  #votes = 0
  /** An address was settled by majority; it stays until the next settlement. */
  #settled = false
  #lastSettled: number

  /** @param now milliseconds, as in `castVote` */
  constructor(rng: Rng, now: number) {
    this.#rng = rng
    this.#lastSettled = now
  }

  /** Canonical; `null` while nobody has said anything. */
  externalAddress(): string | null {
    return this.#address
  }

  /**
   * Counts one statement. Addresses that cannot be ours from outside are ignored, and so are sources
   * of the other family.
   *
   * @param ip     canonical address that is said to be ours
   * @param source canonical address of who says so
   * @returns      true if `externalAddress()` has changed
   */
  castVote(ip: string, type: IpSource, source: string, now: number): boolean {
    // Deviation: libtorrent would count multicast addresses
    if (isUnspecified(ip) || isLocal(ip) || isMulticast(ip) || isV4(ip) !== isV4(source)) return false
    let candidate = this.#candidates.find(c => c.address === ip)
    if (candidate === undefined) {
      if (this.#namers.has(source) || this.#namers.size >= MAX_VOTERS) return this.#maybeSettle(now)
      this.#namers.add(source)
      if (this.#candidates.length > MAX_CANDIDATES && !this.#makeRoom()) return this.#maybeSettle(now)
      candidate = { address: ip, voters: new Set(), sources: 0, votes: 0 }
      this.#candidates.push(candidate)
    }
    candidate.sources |= type
    if (candidate.voters.has(source) || candidate.voters.size >= MAX_VOTERS) return this.#maybeSettle(now)
    candidate.voters.add(source)
    candidate.votes++
    this.#votes++
    if (this.#settled) return this.#maybeSettle(now)

    let best = this.#candidates[0]!
    for (const c of this.#candidates) if (order(c, best) < 0) best = c
    if (best.address === this.#address) return this.#maybeSettle(now)
    if (this.#address !== null) return this.#votes >= VOTES_TO_RECONSIDER ? this.#maybeSettle(now) : false
    this.#address = best.address
    return true
  }

  /** Drops the newest of the least voted for, half of the time: liars cannot push the others out at will. */
  #makeRoom(): boolean {
    if (this.#rng.below(2) === 1) return false
    this.#candidates.sort(order)
    this.#candidates.pop()
    return true
  }

  #maybeSettle(now: number): boolean {
    const due = this.#votes > 0 && now - this.#lastSettled >= SETTLE_AFTER_MS
    if (this.#settled && this.#votes < VOTES_TO_SETTLE && !due) return false
    if (this.#candidates.length === 0) return false
    this.#candidates.sort(order)
    const [first, second] = this.#candidates
    if (second === undefined) {
      if (first!.votes < MIN_VOTES) return false
    } else if (Math.floor((first!.votes * 2) / 3) <= second.votes) return false

    const changed = this.#address !== first!.address
    this.#address = first!.address
    this.#namers.clear()
    this.#candidates = []
    this.#votes = 0
    this.#lastSettled = now
    this.#settled = true
    return changed
  }
}

/** Most votes first. */
function order(a: Candidate, b: Candidate): number {
  return b.votes - a.votes || b.sources - a.sources
}
