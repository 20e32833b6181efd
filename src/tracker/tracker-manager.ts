/** All tracker requests in flight in a session: which protocol, how many at once, in what order, and until when. */

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

/** What the manager needs of the session. */
export interface TrackerManagerPort {
  readonly http: HttpClient
  readonly resolver: Resolver
  readonly rng: Rng
  /** Milliseconds, monotonic. */
  now(): number
  /** Runs `fn` in a turn of its own, soon. */
  defer(fn: () => void): void
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

export class TrackerManager {
  constructor(settings: TrackerSettings, port: TrackerManagerPort) {
    void settings
    void port
  }

  /** Starts or queues a request. @param requester `null` if nobody wants to know the outcome */
  queueRequest(_request: TrackerRequest, _requester: TrackerRequester | null): void {}

  /** A packet of a listen socket's UDP port. @returns true if it belonged to a request of ours */
  incomingPacket(_from: Endpoint, _packet: Uint8Array): boolean {
    return false
  }

  /** A packet that came through a SOCKS5 proxy from a host by name. */
  incomingPacketFromHost(_host: string, _packet: Uint8Array): boolean {
    return false
  }

  /** Ends requests whose time is over. Call at least once a second while `nextDeadline()` is finite. */
  tick(_now: number): void {}

  /** When `tick` has something to do next; `Infinity` if nothing is in flight. */
  nextDeadline(): number {
    return Number.POSITIVE_INFINITY
  }

  /** The session closes: aborts all but `stopped` announces and takes no others any more. */
  stop(): void {}

  /** Aborts requests without telling their requesters. @param all also `stopped` announces */
  abortAllRequests(_all = false): void {}

  /** Drops the requester of these requests, which go on (a torrent was removed). */
  forget(_requester: TrackerRequester): void {}

  /** Requests in flight, the queue not counted. */
  get numRequests(): number {
    return 0
  }

  /** No request in flight or queued. */
  get isEmpty(): boolean {
    return true
  }
}
