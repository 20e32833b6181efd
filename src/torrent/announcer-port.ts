/** What an announcer needs of its torrent and session: settings, the numbers it reports, and the port it speaks through. */

import type { InfoHash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { ProtocolVersion, TrackerEvent } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import type { Operation } from '../core/operation.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import type { TrackerPeer, TrackerRequest, TrackerSocket } from '../tracker/announce-request.ts'

/** The settings that decide where and when is announced. */
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
  /** Milliseconds, monotonic: the same clock as the `now` of the announcer's methods. */
  now(): number
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

  /** `Announcer.nextAnnounceAt` has another value: for an owner that keeps torrents ordered by it. */
  nextAnnounceChanged?(at: number): void

  /** Says what happens and why. @param text called only if somebody reads it */
  explain(text: () => string): void

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
