/** Decides when one torrent announces to which of its trackers, from which listen socket, with which event (BEP 3, 12, 21). */

import type { InfoHash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { ProtocolVersion, ReannounceFlags, TrackerEvent } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import type { Operation } from '../core/operation.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import type { AnnounceEntry } from '../tracker/announce-entry.ts'
import type {
  TrackerPeer,
  TrackerRequest,
  TrackerRequester,
  TrackerResponse,
  TrackerSocket,
} from '../tracker/announce-request.ts'

export type AnnouncerSettings = Pick<
  SessionSettings,
  | 'announceToAllTiers'
  | 'announceToAllTrackers'
  | 'preferUdpTrackers'
  | 'stopTrackerTimeout'
  | 'trackerBackoff'
  | 'numWant'
  | 'reportTrueDownloaded'
  | 'anonymousMode'
>

/** The transfer numbers of a torrent since it started announcing. */
export interface AnnounceSnapshot {
  /** 20 bytes. */
  readonly peerId: Uint8Array
  readonly payloadDownloaded: number
  readonly payloadUploaded: number
  /** Bytes of pieces that failed their hash. */
  readonly failedBytes: number
  readonly redundantBytes: number
  /** Of blocks that are coming in although the torrent is complete. */
  readonly surplusBytes: number
  /** `null` while the size is unknown: 16 KiB is announced. */
  readonly left: number | null
  readonly privateTorrent: boolean
}

/** What an announcer needs of its torrent and session. Methods are asked anew each time. */
export interface AnnouncerPort {
  /** Hands a request to the tracker manager, with the announcer as its requester. */
  queueRequest(request: TrackerRequest): void
  /** Listen sockets of the kind (SSL or not) this torrent announces. */
  listenSockets(): readonly TrackerSocket[]
  /** Changes whenever the set of listen sockets does. Not 0. */
  listenSocketsVersion(): number
  /** The filter for tracker addresses; `null` if off (`apply_ip_filter_to_trackers`, the torrent's own flag). */
  trackerFilter(): ((address: string) => boolean) | null

  infoHash(): InfoHash
  isSeed(): boolean
  isFinished(): boolean
  isPaused(): boolean
  isChecking(): boolean
  /** The torrent is being removed: only `stopped` is announced. */
  isAborted(): boolean
  /** False while auto-management or queueing keeps it from trackers. */
  announcesToTrackers(): boolean
  snapshot(): AnnounceSnapshot

  /** A response came; its peers, possibly none. `hosts` have names that must be looked up. */
  peersFound(endpoints: readonly Endpoint[], hosts: readonly TrackerPeer[], version: ProtocolVersion): void
  /** The largest scrape numbers of all trackers; -1 for unknown. Called when one changed. */
  scrapeChanged(complete: number, incomplete: number, downloaded: number): void
  externalAddress(socket: TrackerSocket, address: string, trackerIp: string): void

  /** Alerts. `forced`: the user asked for it, so it is posted whatever the mask says. */
  trackerAnnounceAlert(local: Endpoint, url: string, version: ProtocolVersion, event: TrackerEvent): void
  trackerReplyAlert(local: Endpoint, url: string, version: ProtocolVersion, numPeers: number, forced: boolean): void
  trackerErrorAlert(
    local: Endpoint,
    url: string,
    version: ProtocolVersion,
    timesInRow: number,
    operation: Operation,
    error: ErrorCode,
    failureReason: string,
    forced: boolean,
  ): void
  trackerWarningAlert(local: Endpoint, url: string, version: ProtocolVersion, message: string): void
  scrapeReplyAlert(
    local: Endpoint,
    url: string,
    version: ProtocolVersion,
    incomplete: number,
    complete: number,
    forced: boolean,
  ): void
  scrapeFailedAlert(local: Endpoint, url: string, version: ProtocolVersion, error: ErrorCode, forced: boolean): void
  trackeridAlert(local: Endpoint, url: string, version: ProtocolVersion, trackerId: string): void
}

export class Announcer implements TrackerRequester {
  /**
   * @param key 32 random bits, the torrent's own
   * @param trackerId sent to trackers that have not given one themselves (`AddTorrentParams.trackerid`)
   */
  constructor(settings: AnnouncerSettings, port: AnnouncerPort, key: number, trackerId = '') {
    void settings
    void port
    void key
    void trackerId
  }

  /** Begins to announce (the torrent starts or resumes); the torrent clears its transfer numbers first. */
  start(_now: number, _highPriority = false): void {}
  /** Announces `stopped` where `started` was sent, and falls silent. */
  stop(_now: number): void {}
  /** All pieces have arrived: announces `completed`. */
  completed(_now: number): void {}
  /** The torrent was complete when it was added or checked: `completed` will not be announced. */
  setCompleteSent(): void {}
  /** Announces if it is time. */
  tick(_now: number): void {}
  /** When `tick` has something to do; `Infinity` while not announcing. */
  get nextAnnounceAt(): number {
    return Number.POSITIVE_INFINITY
  }
  get isAnnouncing(): boolean {
    return false
  }

  /** @param tracker index or URL; -1 for all. @param seconds from now */
  forceReannounce(_now: number, _seconds: number, _tracker: number | string, _flags: ReannounceFlags): void {}
  /** @param tracker index or URL; -1 for the last that worked, else the first */
  scrapeTracker(_tracker: number | string, _manually: boolean): void {}

  /** @returns false if there was a tracker of that URL; its source flags are merged */
  addTracker(_entry: AnnounceEntry, _now: number): boolean {
    return false
  }
  replaceTrackers(_entries: readonly AnnounceEntry[], _now: number): void {}
  /**
   * A copy of the list with its state.
   *
   * @param posixSeconds the time of day at `now`, to which the deadlines are converted
   */
  trackers(_now: number, _posixSeconds: number): AnnounceEntry[] {
    return []
  }
  /** URL of the tracker that answered last; empty if none did. */
  lastWorkingUrl(): string {
    return ''
  }
  /** Whether any tracker has ever answered. */
  anyVerified(): boolean {
    return false
  }
  /** The listen sockets have changed: new ones announce at once. */
  listenSocketsChanged(_now: number): void {}

  trackerWarning(_request: TrackerRequest, _message: string): void {}
  trackerResponse(
    _request: TrackerRequest,
    _trackerIp: string | null,
    _trackerIps: readonly string[],
    _response: TrackerResponse,
  ): void {}
  trackerScrapeResponse(
    _request: TrackerRequest,
    _complete: number,
    _incomplete: number,
    _downloaded: number,
    _downloaders: number,
  ): void {}
  trackerRequestError(
    _request: TrackerRequest,
    _error: ErrorCode,
    _operation: Operation,
    _message: string,
    _retryInterval: number,
  ): void {}
}
