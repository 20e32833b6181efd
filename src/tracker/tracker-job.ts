/** What the tracker manager and its two kinds of requests have in common: the ports to the session, and a request's life. */

import type { Endpoint } from '../core/endpoint.ts'
import type { ErrorCode } from '../core/error-code.ts'
import type { HttpClient, Resolver, Rng } from '../core/runtime.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import type { TrackerRequest, TrackerRequester, TrackerSocket } from './announce-request.ts'

/** The settings that tracker requests obey, read anew at each request. */
export type TrackerSettings = Pick<
  SessionSettings,
  | 'trackerCompletionTimeout'
  | 'trackerReceiveTimeout'
  | 'stopTrackerTimeout'
  | 'trackerMaximumResponseLength'
  | 'maxHttpRecvBufferSize'
  | 'minAnnounceInterval'
  | 'udpTrackerTokenExpiry'
  | 'maxConcurrentHttpAnnounces'
  | 'announcePort'
  | 'announceIp'
  | 'announceCryptoSupport'
  | 'inEncPolicy'
  | 'reportRedundantBytes'
  | 'anonymousMode'
  | 'userAgent'
  | 'validateHttpsTrackers'
  | 'ssrfMitigation'
  | 'allowIdna'
  | 'proxyType'
  | 'proxyHostname'
  | 'proxyPort'
  | 'proxyUsername'
  | 'proxyPassword'
  | 'proxyHostnames'
  | 'proxyTrackerConnections'
>

/** What tracker requests need of the session. */
export interface TrackerManagerPort {
  readonly http: Pick<HttpClient, 'request'>
  readonly resolver: Resolver
  readonly rng: Rng
  /** Milliseconds, monotonic. */
  now(): number
  /** Runs `fn` in a turn of its own, soon. */
  defer(fn: () => void): void
  /** Runs `fn` now, in a turn: what HTTP client and resolver call back enters through it. */
  turn(fn: () => void): void
  /** Sends a UDP tracker packet from a listen socket. @returns why it could not be sent, else `null` */
  sendUdp(socket: TrackerSocket, to: Endpoint, packet: Uint8Array): ErrorCode | null
  /** The same through a SOCKS5 proxy that resolves the name. */
  sendUdpToHost(socket: TrackerSocket, host: string, port: number, packet: Uint8Array): ErrorCode | null
  /** Statistics: `net.sent_tracker_bytes`, `net.recv_tracker_bytes`, `tracker.num_queued_tracker_announces`. */
  sentBytes(count: number): void
  receivedBytes(count: number): void
  queueLength(length: number): void
  /** After `stop()`: the last request has ended. */
  idle(): void
}

/** A request in the hands of the manager. */
export interface TrackerJob {
  readonly request: TrackerRequest
  /** `null` if nobody wants to hear of the outcome. */
  readonly requester: TrackerRequester | null
  /** When it times out; `Infinity` before it started or without a limit. */
  readonly deadline: number
  start(): void
  /** Its deadline has come. May go on with another address and a new deadline. */
  timeOut(): void
  /** Ends it; nobody is told. Idempotent. */
  abort(): void
}

/** The port to announce. Trackers take 0 for a mistake, so a socket that takes no connections says 1. */
export function portToAnnounce(request: TrackerRequest, settings: Pick<SessionSettings, 'announcePort'>): number {
  if (settings.announcePort > 0 && settings.announcePort <= 0xffff) return settings.announcePort
  return request.socket.listenPort || 1
}
