/** All tracker requests in flight in a session: which protocol, how many at once, in what order, and until when. */

import type { Endpoint } from '../core/endpoint.ts'
import { TrackerEvent } from '../core/enums.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { TrackerRequest, TrackerRequester } from './announce-request.ts'
import { HttpTracker } from './http-tracker.ts'
import type { TrackerJob, TrackerManagerPort, TrackerSettings } from './tracker-job.ts'
import { urlProtocol } from './tracker-url.ts'
import { UdpClient } from './udp-client.ts'

export type { TrackerManagerPort, TrackerSettings } from './tracker-job.ts'

/**
 * Runs requests and tells their requesters the outcome.
 *
 * HTTP requests beyond `max_concurrent_http_announces` wait their turn; UDP requests never do. No
 * requester is called from inside `queueRequest`.
 */
export class TrackerManager {
  readonly #settings: TrackerSettings
  readonly #port: TrackerManagerPort
  readonly #udp: UdpClient
  readonly #http = new Set<HttpTracker>()
  #queue: HttpTracker[] = []
  #stopped = false
  #idleTold = false

  constructor(settings: TrackerSettings, port: TrackerManagerPort) {
    this.#settings = settings
    this.#port = port
    this.#udp = new UdpClient(settings, port, () => this.#checkIdle())
  }

  /** Starts or queues a request. @param requester `null` if nobody wants to know the outcome */
  queueRequest(request: TrackerRequest, requester: TrackerRequester | null): void {
    if (this.#stopped && request.event !== TrackerEvent.stopped) return
    this.#idleTold = false
    const protocol = urlProtocol(request.url)
    if (protocol === 'http' || protocol === 'https') {
      const job = new HttpTracker(this.#settings, this.#port, request, requester, ended => this.#httpEnded(ended))
      if (this.#http.size < this.#settings.maxConcurrentHttpAnnounces) this.#startHttp(job)
      else {
        if (request.highPriority) this.#queue.unshift(job)
        else this.#queue.push(job)
        this.#port.queueLength(this.#queue.length)
      }
    } else if (protocol === 'udp') {
      this.#udp.create(request, requester).start()
    } else {
      const error = libtorrentError(LibtorrentErrors.unsupportedUrlProtocol)
      this.#port.defer(() => requester?.trackerRequestError(request, error, Operation.parseAddress, '', 0))
    }
  }

  /** A packet of a listen socket's UDP port. @returns true if it belonged to a request of ours */
  incomingPacket(from: Endpoint, packet: Uint8Array): boolean {
    return this.#udp.incomingPacket(from, packet)
  }

  /** A packet that came through a SOCKS5 proxy from a host it knows by name. @returns as `incomingPacket` */
  incomingPacketFromHost(packet: Uint8Array): boolean {
    return this.#udp.incomingPacket(null, packet)
  }

  /** Ends requests whose time is over. Call about once a second while `nextDeadline()` is finite. */
  tick(now: number): void {
    // collected first: a requester that is told may queue new requests
    const late: TrackerJob[] = []
    for (const job of this.#http) if (job.deadline <= now) late.push(job)
    for (const job of this.#udp) if (job.deadline <= now) late.push(job)
    for (const job of late) if (job.deadline <= now) job.timeOut()
  }

  /** The session closes: aborts all but `stopped` announces and takes no others any more. */
  stop(): void {
    this.#stopped = true
    this.abortAllRequests()
    this.#checkIdle()
  }

  /** Aborts requests without telling their requesters. @param all also `stopped` announces */
  abortAllRequests(all = false): void {
    const goes = (job: TrackerJob) => all || job.request.event !== TrackerEvent.stopped
    this.#queue = this.#queue.filter(job => !goes(job))
    this.#port.queueLength(this.#queue.length)
    for (const job of [...this.#udp, ...this.#http]) if (goes(job)) job.abort()
  }

  /** Requests in flight, the queue not counted. */
  get numRequests(): number {
    return this.#http.size + this.#udp.length
  }

  /** No request in flight or queued. */
  get isEmpty(): boolean {
    return this.numRequests === 0 && this.#queue.length === 0
  }

  #startHttp(job: HttpTracker): void {
    this.#http.add(job)
    job.start()
  }

  #httpEnded(job: HttpTracker): void {
    this.#http.delete(job)
    while (this.#queue.length > 0 && this.#http.size < this.#settings.maxConcurrentHttpAnnounces) {
      this.#startHttp(this.#queue.shift()!)
      this.#port.queueLength(this.#queue.length)
    }
    this.#checkIdle()
  }

  #checkIdle(): void {
    if (!this.#stopped || this.#idleTold || !this.isEmpty) return
    this.#idleTold = true
    this.#port.idle()
  }
}
