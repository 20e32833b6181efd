/** What a torrent asks of a tracker and what it gets back: the records between announcer, tracker manager and protocols. */

import type { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { ProtocolVersion, TrackerEvent } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import type { Operation } from '../core/operation.ts'

/**
 * A listen socket as trackers see it. The owner keeps one object for the life of each socket: trackers
 * recognise a socket by the identity of this object.
 */
export interface TrackerSocket {
  readonly local: Endpoint
  /** Whether it takes the connections of SSL torrents; other torrents do not announce it. */
  readonly ssl: boolean
  /** False once the socket was closed: requests in flight for it fail with `invalid_listen_socket`. */
  readonly open: boolean
  /** The port that peers reach it at (after port mapping); 0 if it takes no connections. */
  readonly listenPort: number
  /** Whether packets to that address can leave from here (family, zone, local networks). */
  canRoute(address: string): boolean
}

/** One announce or scrape, for one info-hash, from one listen socket, to one tracker. */
export interface TrackerRequest {
  readonly url: string
  /** `trackerid` parameter, a character for each byte: trackers choose the bytes. Empty for none. */
  readonly trackerId: string
  readonly scrape: boolean
  /** Goes to the front of the queue when too many requests are in flight. */
  readonly highPriority: boolean
  readonly event: TrackerEvent
  /** The v1 hash, or the first 20 bytes of the v2 hash. */
  readonly infoHash: Sha1Hash
  readonly version: ProtocolVersion
  /** 20 bytes. */
  readonly peerId: Uint8Array
  readonly downloaded: number
  readonly uploaded: number
  readonly left: number
  readonly corrupt: number
  readonly redundant: number
  /** 32 bits, the same in all requests of one torrent: lets a tracker recognise us after an address change. */
  readonly key: number
  readonly numWant: number
  /** Addresses of ours to tell the tracker (BEP 7). */
  readonly ipv4: readonly string[]
  readonly ipv6: readonly string[]
  readonly socket: TrackerSocket
  readonly privateTorrent: boolean
  /** Asked for by a call of the user: its alerts are posted regardless of the mask. */
  readonly triggeredManually: boolean
  /** True for addresses that the IP filter blocks; `null` if trackers are not filtered. */
  readonly isBlocked: ((address: string) => boolean) | null
}

/** A peer of the non-compact list: its address may be a host name. */
export interface TrackerPeer {
  readonly hostname: string
  readonly port: number
  /** 20 bytes; zeros if the tracker gave none. */
  readonly peerId: Uint8Array
}

/** An answer to an announce, or the parts of it that came with an error. */
export interface TrackerResponse {
  peers: TrackerPeer[]
  peers4: Endpoint[]
  peers6: Endpoint[]
  /** Our address as the tracker sees it; `null` if it did not say. @see BEP 24 */
  externalIp: string | null
  /** A character for each byte. */
  trackerId: string
  failureReason: string
  warningMessage: string
  /** Seconds to the next announce. */
  interval: number
  /** Seconds before which not even a forced announce may come. */
  minInterval: number
  /** Seconds to wait after a failure; `Infinity` is "never again"; -1 if not said. @see BEP 31 */
  retryIn: number
  /** Seeds in the swarm; -1 if not said, as the next ones. */
  complete: number
  incomplete: number
  downloaded: number
  downloaders: number
}

/** Receives the outcome of requests; exactly one of the last three comes for each, unless it was aborted. Never called from inside the call that queued the request. */
export interface TrackerRequester {
  /** Comes before the response or the error it was part of. */
  trackerWarning(request: TrackerRequest, message: string): void
  /**
   * @param trackerIp who answered; `null` if a proxy hides it
   * @param trackerIps the addresses the tracker's name stands for, as far as known
   */
  trackerResponse(
    request: TrackerRequest,
    trackerIp: string | null,
    trackerIps: readonly string[],
    response: TrackerResponse,
  ): void
  trackerScrapeResponse(
    request: TrackerRequest,
    complete: number,
    incomplete: number,
    downloaded: number,
    downloaders: number,
  ): void
  /**
   * @param message the tracker's own words; empty if it had none
   * @param retryInterval seconds the tracker asks to wait at least; 0 if it did not say, `Infinity` for "never again"
   */
  trackerRequestError(
    request: TrackerRequest,
    error: ErrorCode,
    operation: Operation,
    message: string,
    retryInterval: number,
  ): void
}

/** A response that says nothing. */
export function emptyResponse(): TrackerResponse {
  return {
    peers: [],
    peers4: [],
    peers6: [],
    externalIp: null,
    trackerId: '',
    failureReason: '',
    warningMessage: '',
    interval: 1800,
    minInterval: 1,
    retryIn: -1,
    complete: -1,
    incomplete: -1,
    downloaded: -1,
    downloaders: -1,
  }
}
