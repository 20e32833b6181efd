/** Alerts about trackers and web seeds of a torrent. */

import type { Endpoint } from '../core/endpoint.ts'
import { AlertCategory, AlertPriority, type Operation, ProtocolVersion, type TrackerEvent } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import { type AlertTorrent, NO_ENDPOINT, TorrentAlert, TrackerAlert } from './alert.ts'

/** Indexed by `TrackerEvent`. */
const EVENTS: readonly string[] = ['none', 'completed', 'started', 'stopped', 'paused']

/** An announce failed. */
export class TrackerErrorAlert extends TrackerAlert {
  static override readonly alertType = 11
  static override readonly staticCategory: number = AlertCategory.error | AlertCategory.tracker
  static override readonly priority: AlertPriority = AlertPriority.high
  /** Failures since the last success. */
  readonly timesInRow: number
  /** What went wrong. */
  readonly error: ErrorCode
  /** What was being done. */
  readonly op: Operation
  readonly #failureReason: string

  constructor(
    torrent: AlertTorrent,
    localEndpoint: Endpoint,
    version: ProtocolVersion,
    url: string,
    timesInRow: number,
    error: ErrorCode,
    failureReason: string,
    op: Operation,
  ) {
    super(torrent, localEndpoint, version, url)
    this.timesInRow = timesInRow
    this.error = error
    this.#failureReason = failureReason
    this.op = op
  }

  /** What the tracker itself said; empty if it said nothing. */
  failureReason(): string {
    return this.#failureReason
  }

  /** The same as `failureReason()`. */
  errorMessage(): string {
    return this.#failureReason
  }

  override message(): string {
    return `${super.message()} ${this.error.message()} "${this.#failureReason}" (${this.timesInRow})`
  }
}

/** The tracker accepted an announce and has something to say to the user. */
export class TrackerWarningAlert extends TrackerAlert {
  static override readonly alertType = 12
  static override readonly staticCategory: number = AlertCategory.error | AlertCategory.tracker
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly #warningMessage: string

  constructor(
    torrent: AlertTorrent,
    localEndpoint: Endpoint,
    version: ProtocolVersion,
    url: string,
    warningMessage: string,
  ) {
    super(torrent, localEndpoint, version, url)
    this.#warningMessage = warningMessage
  }

  warningMessage(): string {
    return this.#warningMessage
  }

  override message(): string {
    return `${super.message()} warning: ${this.#warningMessage}`
  }
}

/** A scrape succeeded. A number that the tracker did not give is -1. */
export class ScrapeReplyAlert extends TrackerAlert {
  static override readonly alertType = 13
  static override readonly staticCategory: number = AlertCategory.tracker
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** Peers that are downloading. */
  readonly incomplete: number
  /** Peers that have everything. */
  readonly complete: number

  constructor(
    torrent: AlertTorrent,
    localEndpoint: Endpoint,
    version: ProtocolVersion,
    url: string,
    incomplete: number,
    complete: number,
  ) {
    super(torrent, localEndpoint, version, url)
    this.incomplete = incomplete
    this.complete = complete
  }

  override message(): string {
    return `${super.message()} scrape reply: ${this.incomplete} ${this.complete}`
  }
}

/** A scrape failed. */
export class ScrapeFailedAlert extends TrackerAlert {
  static override readonly alertType = 14
  static override readonly staticCategory: number = AlertCategory.error | AlertCategory.tracker
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** What went wrong. */
  readonly error: ErrorCode
  readonly #errorMessage: string

  constructor(
    torrent: AlertTorrent,
    localEndpoint: Endpoint,
    version: ProtocolVersion,
    url: string,
    error: ErrorCode,
    errorMessage: string,
  ) {
    super(torrent, localEndpoint, version, url)
    this.error = error
    this.#errorMessage = errorMessage
  }

  /** What the tracker itself said; empty if it said nothing. */
  errorMessage(): string {
    return this.#errorMessage
  }

  override message(): string {
    return `${super.message()} scrape failed: ${this.#errorMessage}`
  }
}

/** An announce succeeded. */
export class TrackerReplyAlert extends TrackerAlert {
  static override readonly alertType = 15
  static override readonly staticCategory: number = AlertCategory.tracker
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** Peers in the answer, known ones included. */
  readonly numPeers: number

  constructor(torrent: AlertTorrent, localEndpoint: Endpoint, version: ProtocolVersion, url: string, numPeers: number) {
    super(torrent, localEndpoint, version, url)
    this.numPeers = numPeers
  }

  override message(): string {
    return `${super.message()} received peers: ${this.numPeers}`
  }
}

/** The DHT has found peers. */
export class DhtReplyAlert extends TrackerAlert {
  static override readonly alertType = 16
  static override readonly staticCategory: number = AlertCategory.tracker | AlertCategory.dht
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly numPeers: number

  constructor(torrent: AlertTorrent, numPeers: number) {
    super(torrent, NO_ENDPOINT, ProtocolVersion.V1, '')
    this.numPeers = numPeers
  }

  override message(): string {
    return `${super.message()} received DHT peers: ${this.numPeers}`
  }
}

/** An announce is sent. */
export class TrackerAnnounceAlert extends TrackerAlert {
  static override readonly alertType = 17
  static override readonly staticCategory: number = AlertCategory.tracker
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly event: TrackerEvent

  constructor(
    torrent: AlertTorrent,
    localEndpoint: Endpoint,
    version: ProtocolVersion,
    url: string,
    event: TrackerEvent,
  ) {
    super(torrent, localEndpoint, version, url)
    this.event = event
  }

  override message(): string {
    return `${super.message()} sending announce (${EVENTS[this.event] ?? ''})`
  }
}

/** The tracker has given us an id to send along from now on. */
export class TrackeridAlert extends TrackerAlert {
  static override readonly alertType = 61
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly #trackerId: string

  constructor(
    torrent: AlertTorrent,
    localEndpoint: Endpoint,
    version: ProtocolVersion,
    url: string,
    trackerId: string,
  ) {
    super(torrent, localEndpoint, version, url)
    this.#trackerId = trackerId
  }

  trackerId(): string {
    return this.#trackerId
  }

  override message(): string {
    return `trackerid received: ${this.#trackerId}`
  }
}

/** A web seed failed. */
export class UrlSeedAlert extends TorrentAlert {
  static override readonly alertType = 42
  static override readonly staticCategory: number = AlertCategory.error | AlertCategory.peer
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** What went wrong. */
  readonly error: ErrorCode
  readonly #serverUrl: string
  readonly #errorMessage: string

  constructor(torrent: AlertTorrent, error: ErrorCode, serverUrl: string, errorMessage: string) {
    super(torrent)
    this.error = error
    this.#serverUrl = serverUrl
    this.#errorMessage = errorMessage
  }

  serverUrl(): string {
    return this.#serverUrl
  }

  /** What the server itself said; empty if it said nothing. */
  errorMessage(): string {
    return this.#errorMessage
  }

  override message(): string {
    return `${super.message()} url seed (${this.#serverUrl}) failed: ${this.error.message()}`
  }
}
