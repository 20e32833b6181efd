/** What is remembered of one tracker: its state per listen socket and info-hash kind, and the back-off after failures. */

import { binaryToBytes, bytesToBinary, bytesToText, textToBytes } from '../core/bytes.ts'
import type { Endpoint } from '../core/endpoint.ts'
import { ProtocolVersion } from '../core/enums.ts'
import { ErrorCode } from '../core/error-code.ts'
import { type AnnounceEndpoint, AnnounceEntry, type AnnounceInfohash, freshInfohash } from './announce-entry.ts'
import type { TrackerSocket } from './announce-request.ts'

const RETRY_DELAY_MIN = 5
const RETRY_DELAY_MAX = 60 * 60
const MAX_FAILS = 127
const MAX_FAIL_LIMIT = 255

/** "Not yet": earlier than any moment. */
export const UNSET = Number.NEGATIVE_INFINITY

/**
 * Delay before the next announce to a tracker that has just failed.
 *
 * Grows with the square of the failure count, so that a dead tracker costs almost nothing: with the
 * default back-off of 250 the delays are 17, 55, 117, 205, 317, ... seconds.
 *
 * @param fails         consecutive failures, >= 1
 * @param backoff       setting `tracker_backoff`, percent, >= 0
 * @param retryInterval seconds the tracker asked to wait at least; 0 if it did not say
 * @returns seconds
 */
export function retryDelay(fails: number, backoff: number, retryInterval: number): number {
  const grown = RETRY_DELAY_MIN + Math.trunc((fails * fails * RETRY_DELAY_MIN * backoff) / 100)
  return Math.max(retryInterval, Math.min(RETRY_DELAY_MAX, grown))
}

/** One tracker, one listen socket, one info-hash. Times are milliseconds of the engine's clock. */
export class InfohashState {
  message = ''
  lastError: ErrorCode | null = null
  nextAnnounce = UNSET
  minAnnounce = UNSET
  scrapeIncomplete = -1
  scrapeComplete = -1
  scrapeDownloaded = -1
  fails = 0
  updating = false
  startSent = false
  completeSent = false
  triggeredManually = false
  /** The tracker knows of us since we last started: it has answered any announce. */
  known = false

  get isWorking(): boolean {
    return this.fails === 0
  }

  /** A new session begins from the tracker's point of view. */
  reset(): void {
    this.startSent = false
    this.known = false
    this.nextAnnounce = UNSET
    this.minAnnounce = UNSET
  }

  /** An announce was answered. @param interval, minInterval seconds */
  succeeded(now: number, interval: number, minInterval: number, message: string): void {
    this.nextAnnounce = now + interval * 1000
    this.minAnnounce = now + minInterval * 1000
    this.updating = false
    this.fails = 0
    this.lastError = null
    this.message = message
    this.known = true
  }

  /** Takes the numbers that were said, not negative ones. */
  scraped(complete: number, incomplete: number, downloaded: number): void {
    if (complete >= 0) this.scrapeComplete = complete
    if (incomplete >= 0) this.scrapeIncomplete = incomplete
    if (downloaded >= 0) this.scrapeDownloaded = downloaded
  }

  /** @param retryInterval seconds; see {@link retryDelay} */
  failed(now: number, backoff: number, retryInterval: number): void {
    if (this.fails < MAX_FAILS) this.fails++
    this.nextAnnounce = now + retryDelay(this.fails, backoff, retryInterval) * 1000
    this.updating = false
  }

  /**
   * @param mustSendComplete `completed` waits to be sent, which even the minimum interval does not hold up
   * @param failLimit failures in a row after which the tracker is given up; 0 is never
   */
  canAnnounce(now: number, mustSendComplete: boolean, failLimit: number): boolean {
    // a second of slack, since deadlines are met by a timer that runs about once a second
    return (
      now + 1000 >= this.nextAnnounce &&
      (now >= this.minAnnounce || mustSendComplete) &&
      (this.fails < failLimit || failLimit === 0) &&
      !this.updating
    )
  }
}

/** One tracker as seen from one listen socket. */
export class EndpointState {
  readonly socket: TrackerSocket
  enabled = true
  #v1: InfohashState | null = null
  #v2: InfohashState | null = null

  constructor(socket: TrackerSocket) {
    this.socket = socket
  }

  get local(): Endpoint {
    return this.socket.local
  }

  /** The state of one info-hash kind, made when first asked for. */
  of(version: ProtocolVersion): InfohashState {
    if (version === ProtocolVersion.V1) return (this.#v1 ??= new InfohashState())
    return (this.#v2 ??= new InfohashState())
  }

  /** The same without making it. */
  peek(version: ProtocolVersion): InfohashState | null {
    return version === ProtocolVersion.V1 ? this.#v1 : this.#v2
  }

  /** The states that exist. */
  *states(): Generator<InfohashState> {
    if (this.#v1 !== null) yield this.#v1
    if (this.#v2 !== null) yield this.#v2
  }
}

/** One tracker of a torrent. Its endpoints are made at the first announce, so a torrent that waits costs little. */
export class TrackerState {
  readonly url: string
  /** A character for each byte. */
  trackerId: string
  tier: number
  failLimit: number
  source: number
  verified = false
  endpoints: readonly EndpointState[] = NONE
  #socketsVersion = 0

  constructor(url: string, tier: number, source: number, failLimit = 0, trackerId = '') {
    this.url = url
    this.tier = tier
    this.source = source
    this.failLimit = failLimit
    this.trackerId = bytesToBinary(textToBytes(trackerId))
  }

  /** Makes the endpoints match the listen sockets, keeping the state of those that stay. */
  syncEndpoints(sockets: readonly TrackerSocket[], version: number): void {
    if (version === this.#socketsVersion) return
    this.#socketsVersion = version
    this.endpoints = sockets.map(socket => this.find(socket) ?? new EndpointState(socket))
  }

  find(socket: TrackerSocket): EndpointState | null {
    for (const endpoint of this.endpoints) if (endpoint.socket === socket) return endpoint
    return null
  }

  /** One failure is enough to give it up from now on. */
  dontTryAgain(): void {
    this.failLimit = 1
  }

  /**
   * @param now          the engine's clock
   * @param posixSeconds the time of day at `now`
   */
  toEntry(now: number, posixSeconds: number): AnnounceEntry {
    const entry = new AnnounceEntry(this.url)
    entry.trackerid = bytesToText(binaryToBytes(this.trackerId))
    entry.tier = this.tier
    entry.failLimit = this.failLimit
    entry.source = this.source
    entry.verified = this.verified
    const toDate = (at: number) => (at === UNSET ? null : new Date(posixSeconds * 1000 + (at - now)))
    entry.endpoints = this.endpoints.map(
      (endpoint): AnnounceEndpoint => ({
        localEndpoint: endpoint.local,
        enabled: endpoint.enabled,
        infoHashes: [toInfohash(endpoint.peek(0), toDate), toInfohash(endpoint.peek(1), toDate)],
      }),
    )
    return entry
  }
}

const NONE: readonly EndpointState[] = Object.freeze([])

/** A tier or fail limit as libtorrent's one byte holds it. */
export function clampByte(value: number): number {
  return Number.isFinite(value) ? Math.min(MAX_FAIL_LIMIT, Math.max(0, Math.trunc(value))) : 0
}

function toInfohash(state: InfohashState | null, toDate: (at: number) => Date | null): AnnounceInfohash {
  const out = freshInfohash()
  if (state === null) return out
  out.message = state.message
  if (state.lastError !== null) out.lastError = new ErrorCode(state.lastError.value(), state.lastError.category())
  out.nextAnnounce = toDate(state.nextAnnounce)
  out.minAnnounce = toDate(state.minAnnounce)
  out.scrapeIncomplete = state.scrapeIncomplete
  out.scrapeComplete = state.scrapeComplete
  out.scrapeDownloaded = state.scrapeDownloaded
  out.fails = state.fails
  out.updating = state.updating
  out.startSent = state.startSent
  out.completeSent = state.completeSent
  out.triggeredManually = state.triggeredManually
  return out
}
