/** Announces and scrapes over UDP (BEP 15, 41): the conversation of one request, and what requests share. */

import { type Endpoint, endpointsEqual, endpointToString, isUnspecified, isV6 } from '../core/endpoint.ts'
import { ProxyType, TrackerEvent } from '../core/enums.ts'
import { type ErrorCode, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Lru } from '../core/lru.ts'
import { Operation } from '../core/operation.ts'
import { emptyResponse, type TrackerRequest, type TrackerRequester, type TrackerSocket } from './announce-request.ts'
import { portToAnnounce, type TrackerJob, type TrackerManagerPort, type TrackerSettings } from './tracker-job.ts'
import { isError, parseUrl } from './tracker-url.ts'
import {
  decodeAnnounce,
  decodeConnect,
  decodeError,
  decodeHeader,
  decodeScrape,
  encodeAnnounce,
  encodeConnect,
  encodeScrape,
  UDP_OVERHEAD,
  UdpAction,
} from './udp-codec.ts'

const DEFAULT_PORT = 443
/** Seconds; the protocol has no such field. */
const MIN_INTERVAL = 60
/** A host with more addresses than this is tried at the first ones only. */
const MAX_ADDRESSES = 32
const MAX_CONNECTION_IDS = 1000

interface ConnectionId {
  readonly id: Uint8Array
  readonly expires: number
}

/** All UDP requests of a session: finds the one a packet belongs to, and keeps the connection ids. */
export class UdpClient {
  readonly settings: TrackerSettings
  readonly port: TrackerManagerPort
  readonly #ended: (job: TrackerJob) => void
  readonly #byTransaction = new Map<number, UdpRequest>()
  /**
   * Deviation: libtorrent keys them by the tracker's address alone. Trackers bind an id to the address and
   * port it was given to, and two trackers may share an address.
   */
  readonly #connectionIds = new WeakMap<TrackerSocket, Lru<string, ConnectionId>>()

  /** @param ended called when a request is over, before its requester hears of it */
  constructor(settings: TrackerSettings, port: TrackerManagerPort, ended: (job: TrackerJob) => void) {
    this.settings = settings
    this.port = port
    this.#ended = ended
  }

  get length(): number {
    return this.#byTransaction.size
  }

  [Symbol.iterator](): IterableIterator<UdpRequest> {
    return this.#byTransaction.values()
  }

  create(request: TrackerRequest, requester: TrackerRequester | null): UdpRequest {
    const job = new UdpRequest(this, request, requester)
    job.transactionId = this.register(job)
    return job
  }

  /** @returns true if the packet belonged to a request */
  incomingPacket(from: Endpoint | null, packet: Uint8Array): boolean {
    const header = decodeHeader(packet)
    if (header === null) return false
    const job = this.#byTransaction.get(header.transactionId)
    return job?.receive(from, header.action, packet) ?? false
  }

  /** Gives a request a new transaction id, never 0. */
  register(job: UdpRequest): number {
    let id = 0
    while (id === 0 || this.#byTransaction.has(id)) id = this.port.rng.uint32()
    this.#byTransaction.set(id, job)
    return id
  }

  unregister(transactionId: number): void {
    this.#byTransaction.delete(transactionId)
  }

  end(job: UdpRequest): void {
    this.unregister(job.transactionId)
    this.#ended(job)
  }

  connectionId(socket: TrackerSocket, tracker: string, now: number): Uint8Array | null {
    const entry = this.#connectionIds.get(socket)?.get(tracker)
    if (entry === undefined) return null
    if (now < entry.expires) return entry.id
    this.forgetConnectionId(socket, tracker)
    return null
  }

  rememberConnectionId(socket: TrackerSocket, tracker: string, id: Uint8Array, now: number): void {
    let ids = this.#connectionIds.get(socket)
    if (ids === undefined) {
      ids = new Lru(MAX_CONNECTION_IDS)
      this.#connectionIds.set(socket, ids)
    }
    ids.set(tracker, { id, expires: now + this.settings.udpTrackerTokenExpiry * 1000 })
  }

  forgetConnectionId(socket: TrackerSocket, tracker: string): void {
    this.#connectionIds.get(socket)?.delete(tracker)
  }
}

/**
 * One announce or scrape. Looks the host up, connects unless a connection id is at hand, asks, and goes
 * on to the host's next address if one fails. A lost packet is not sent again: the announcer retries.
 */
export class UdpRequest implements TrackerJob {
  readonly request: TrackerRequest
  readonly requester: TrackerRequester | null
  transactionId = 0
  readonly #client: UdpClient
  /** Addresses left to try, the present one first. */
  #endpoints: Endpoint[] = []
  #target: Endpoint = ['0.0.0.0', 0]
  /** Set if a proxy resolves the name. */
  #hostname = ''
  #path = ''
  /** What was sent last and awaits its answer; `null` before the first. */
  #awaiting: UdpAction | null = null
  #startedAt = 0
  #heardAt = 0
  #running = false
  #over = false

  constructor(client: UdpClient, request: TrackerRequest, requester: TrackerRequester | null) {
    this.#client = client
    this.request = request
    this.requester = requester
  }

  get deadline(): number {
    if (!this.#running) return Number.POSITIVE_INFINITY
    const settings = this.#client.settings
    const completion =
      this.request.event === TrackerEvent.stopped ? settings.stopTrackerTimeout : settings.trackerCompletionTimeout
    const receive = settings.trackerReceiveTimeout
    return Math.min(
      completion > 0 ? this.#startedAt + completion * 1000 : Number.POSITIVE_INFINITY,
      receive > 0 ? this.#heardAt + receive * 1000 : Number.POSITIVE_INFINITY,
    )
  }

  start(): void {
    this.#restartTimeout()
    const parts = parseUrl(this.request.url)
    if (isError(parts)) {
      this.#failSoon(parts, Operation.parseAddress)
      return
    }
    const port = parts.port < 0 ? DEFAULT_PORT : parts.port
    if (port === 0) {
      this.#failSoon(libtorrentError(LibtorrentErrors.invalidPort), Operation.parseAddress)
      return
    }
    this.#path = parts.path
    if (this.#proxyResolves()) {
      this.#hostname = parts.hostname
      this.#target = ['0.0.0.0', port]
      this.#ask()
      return
    }
    // the session may be closing when `stopped` is sent: not worth waiting for a name server
    const options = { cacheOnly: this.request.event === TrackerEvent.stopped, abortOnShutdown: true }
    this.#client.port.resolver.resolve(parts.hostname, options, (error, addresses) => {
      this.#client.port.turn(() => this.#resolved(error, addresses, port))
    })
  }

  timeOut(): void {
    this.#fail(libtorrentError(LibtorrentErrors.timedOut), Operation.timer)
  }

  abort(): void {
    if (this.#over) return
    this.#over = true
    this.#client.end(this)
  }

  /**
   * A packet with our transaction id.
   *
   * @param from `null` if a proxy that resolves names hides it
   * @returns false if it is none of ours after all
   */
  receive(from: Endpoint | null, action: number, packet: Uint8Array): boolean {
    if (this.#over || this.#awaiting === null) return false
    if (from !== null && !isUnspecified(this.#target[0]) && !endpointsEqual(from, this.#target)) return false
    this.#client.port.receivedBytes(packet.length + UDP_OVERHEAD)
    if (action === UdpAction.error) {
      this.#client.forgetConnectionId(this.request.socket, this.#trackerKey())
      this.#fail(libtorrentError(LibtorrentErrors.trackerFailure), Operation.bittorrent, decodeError(packet))
      return true
    }
    if (action !== this.#awaiting) return false
    this.#heardAt = this.#client.port.now()
    if (action === UdpAction.connect) return this.#connected(packet)
    return action === UdpAction.announce ? this.#announced(packet) : this.#scraped(packet)
  }

  /** Deviation: libtorrent keeps the name even if trackers do not go through the proxy, and then cannot send to it. */
  #proxyResolves(): boolean {
    const { proxyHostnames, proxyTrackerConnections, proxyType } = this.#client.settings
    const isSocks5 = proxyType === ProxyType.socks5 || proxyType === ProxyType.socks5Pw
    return isSocks5 && proxyHostnames && proxyTrackerConnections
  }

  #restartTimeout(): void {
    this.#running = true
    this.#startedAt = this.#heardAt = this.#client.port.now()
  }

  #resolved(error: ErrorCode | null, addresses: readonly string[], port: number): void {
    if (this.#over) return
    if (error !== null) {
      this.#fail(error, Operation.hostnameLookup)
      return
    }
    const { socket, isBlocked } = this.request
    if (!socket.open) {
      this.#fail(libtorrentError(LibtorrentErrors.invalidListenSocket), Operation.hostnameLookup)
      return
    }
    this.#heardAt = this.#client.port.now()
    const routable = addresses.filter(address => socket.canRoute(address))
    const allowed = isBlocked === null ? routable : routable.filter(address => !isBlocked(address))
    const first = allowed[0]
    if (first === undefined) {
      const why = routable.length === 0 ? LibtorrentErrors.announceSkipped : LibtorrentErrors.bannedByIpFilter
      this.#fail(libtorrentError(why), Operation.hostnameLookup)
      return
    }
    this.#endpoints = allowed.slice(0, MAX_ADDRESSES).map(address => [address, port] as const)
    this.#target = [first, port]
    this.#ask()
  }

  /** Sends the request itself if a connection id is known, else asks for one. */
  #ask(): void {
    if (this.#over) return
    const id = this.#client.connectionId(this.request.socket, this.#trackerKey(), this.#client.port.now())
    if (id !== null) this.#askWith(id)
    else this.#send(UdpAction.connect, encodeConnect(this.transactionId))
  }

  #askWith(id: Uint8Array): void {
    const { request } = this
    const { settings } = this.#client
    if (request.scrape) {
      this.#send(UdpAction.scrape, encodeScrape(id, this.transactionId, request.infoHash.view()))
      return
    }
    const ip = settings.anonymousMode ? '' : settings.announceIp
    const port = portToAnnounce(request, settings)
    this.#send(UdpAction.announce, encodeAnnounce(id, this.transactionId, request, port, ip, this.#path))
  }

  #send(action: UdpAction, packet: Uint8Array): void {
    const { port } = this.#client
    const { socket } = this.request
    const error = !socket.open
      ? libtorrentError(LibtorrentErrors.invalidListenSocket)
      : this.#hostname === ''
        ? port.sendUdp(socket, this.#target, packet)
        : port.sendUdpToHost(socket, this.#hostname, this.#target[1], packet)
    if (error !== null) {
      this.#failSoon(error, Operation.sockWrite)
      return
    }
    this.#awaiting = action
    port.sentBytes(packet.length + UDP_OVERHEAD)
  }

  #connected(packet: Uint8Array): boolean {
    const id = decodeConnect(packet)
    if (id === null) return false
    const client = this.#client
    client.unregister(this.transactionId)
    this.transactionId = client.register(this)
    client.rememberConnectionId(this.request.socket, this.#trackerKey(), id, client.port.now())
    this.#askWith(id)
    return true
  }

  #announced(packet: Uint8Array): boolean {
    const v6 = isV6(this.#target[0])
    const reply = decodeAnnounce(packet, v6 ? 16 : 4)
    if (reply === null) return false
    if (reply.peers === null) {
      this.#fail(libtorrentError(LibtorrentErrors.invalidTrackerResponseLength), Operation.bittorrent)
      return false
    }
    const response = emptyResponse()
    response.interval = Math.max(reply.interval, this.#client.settings.minAnnounceInterval)
    response.minInterval = MIN_INTERVAL
    response.incomplete = reply.incomplete
    response.complete = reply.complete
    if (v6) response.peers6 = reply.peers
    else response.peers4 = reply.peers
    const ips = this.#endpoints.map(endpoint => endpoint[0])
    const ip = isUnspecified(this.#target[0]) ? null : this.#target[0]
    this.abort()
    this.requester?.trackerResponse(this.request, ip, ips, response)
    return true
  }

  #scraped(packet: Uint8Array): boolean {
    const reply = decodeScrape(packet)
    if (reply === null) {
      this.#fail(libtorrentError(LibtorrentErrors.invalidTrackerResponseLength), Operation.bittorrent)
      return true
    }
    this.abort()
    this.requester?.trackerScrapeResponse(this.request, reply.complete, reply.incomplete, reply.downloaded, -1)
    return true
  }

  /** The present address failed: goes on with the next, or gives up. */
  #fail(error: ErrorCode, operation: Operation, message = ''): void {
    if (this.#over) return
    this.#endpoints = this.#endpoints.filter(endpoint => !endpointsEqual(endpoint, this.#target))
    const next = this.#endpoints[0]
    if (next === undefined || !this.request.socket.open) {
      this.abort()
      this.requester?.trackerRequestError(this.request, error, operation, message, 0)
      return
    }
    this.#target = next
    this.#awaiting = null
    this.#restartTimeout()
    this.#ask()
  }

  /** For failures that can arise while the requester is still inside the call that queued the request. */
  #failSoon(error: ErrorCode, operation: Operation): void {
    this.#awaiting = null
    this.#client.port.defer(() => this.#fail(error, operation))
  }

  #trackerKey(): string {
    return this.#hostname === '' ? endpointToString(this.#target) : `${this.#hostname}:${this.#target[1]}`
  }
}
