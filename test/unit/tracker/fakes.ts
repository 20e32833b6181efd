import { Sha1Hash } from '../../../src/core/digest.ts'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import { endpointToString, isV4 } from '../../../src/core/endpoint.ts'
import { ProtocolVersion, TrackerEvent } from '../../../src/core/enums.ts'
import type { ErrorCode } from '../../../src/core/error-code.ts'
import type { Operation } from '../../../src/core/operation.ts'
import { operationName } from '../../../src/core/operation.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import type { HttpRequestOptions, HttpSink, Resolver } from '../../../src/core/runtime.ts'
import { SessionSettings } from '../../../src/settings/session-settings.ts'
import type {
  TrackerRequest,
  TrackerRequester,
  TrackerResponse,
  TrackerSocket,
} from '../../../src/tracker/announce-request.ts'
import type { TrackerManagerPort } from '../../../src/tracker/tracker-job.ts'
import { TrackerManager } from '../../../src/tracker/tracker-manager.ts'

export class FakeSocket implements TrackerSocket {
  ssl = false
  open = true
  listenPort = 6881
  readonly local: Endpoint

  constructor(local: Endpoint = ['0.0.0.0', 6881]) {
    this.local = local
  }

  canRoute(address: string): boolean {
    return isV4(address) === isV4(this.local[0])
  }
}

export const INFO_HASH = new Sha1Hash('abababababababababab')
export const PEER_ID = new TextEncoder().encode('-LT2100-123456789012')

export function request(over: Partial<TrackerRequest> = {}): TrackerRequest {
  return {
    url: 'http://tracker.test/announce',
    trackerId: '',
    scrape: false,
    highPriority: false,
    event: TrackerEvent.none,
    infoHash: INFO_HASH,
    version: ProtocolVersion.V1,
    peerId: PEER_ID,
    downloaded: 1,
    uploaded: 2,
    left: 3,
    corrupt: 4,
    redundant: 5,
    key: 0xbeef,
    numWant: 50,
    ipv4: [],
    ipv6: [],
    socket: new FakeSocket(),
    privateTorrent: false,
    triggeredManually: false,
    isBlocked: null,
    ...over,
  }
}

/** Writes down what a requester is told. */
export class Requester implements TrackerRequester {
  readonly log: string[] = []
  readonly responses: TrackerResponse[] = []
  readonly errors: ErrorCode[] = []
  readonly ips: (string | null)[] = []

  trackerWarning(_request: TrackerRequest, message: string): void {
    this.log.push(`warning ${message}`)
  }

  trackerResponse(_r: TrackerRequest, ip: string | null, _ips: readonly string[], response: TrackerResponse): void {
    this.log.push('response')
    this.ips.push(ip)
    this.responses.push(response)
  }

  trackerScrapeResponse(_r: TrackerRequest, complete: number, incomplete: number, downloaded: number, n: number): void {
    this.log.push(`scrape ${complete} ${incomplete} ${downloaded} ${n}`)
  }

  trackerRequestError(_r: TrackerRequest, error: ErrorCode, op: Operation, message: string, retry: number): void {
    this.errors.push(error)
    this.log.push(`error ${error.message()} | ${operationName(op)} | ${message} | ${retry}`)
  }
}

export interface FakeHttp {
  readonly options: HttpRequestOptions
  readonly sink: HttpSink
  aborted: boolean
}

/** A session around a tracker manager, in virtual time. */
export class World implements TrackerManagerPort {
  readonly settings = new SessionSettings()
  readonly rng = new SeededRng(7)
  readonly requests: FakeHttp[] = []
  readonly sent: { socket: TrackerSocket; to: string; packet: Uint8Array }[] = []
  /** Addresses by host name; hosts that are not there are not found. */
  readonly names = new Map<string, readonly string[]>()
  readonly lookups: { host: string; cacheOnly: boolean }[] = []
  sendError: ErrorCode | null = null
  lookupError: ErrorCode | null = null
  time = 1000
  sentTotal = 0
  receivedTotal = 0
  queued = 0
  idles = 0
  turns = 0
  #deferred: (() => void)[] = []
  readonly manager: TrackerManager

  constructor(settings: Partial<SessionSettings> = {}) {
    Object.assign(this.settings, settings)
    this.manager = new TrackerManager(this.settings, this)
  }

  readonly http = {
    request: (options: HttpRequestOptions, sink: HttpSink) => {
      const call: FakeHttp = { options, sink, aborted: false }
      this.requests.push(call)
      return {
        pause() {},
        resume() {},
        abort() {
          call.aborted = true
        },
      }
    },
  }

  readonly resolver: Resolver = {
    resolve: (host, options, done) => {
      this.lookups.push({ host, cacheOnly: options.cacheOnly ?? false })
      const found = this.names.get(host)
      if (found === undefined && this.lookupError === null) return
      this.defer(() => done(this.lookupError, found ?? []))
    },
    setCacheTimeout() {},
    abort() {},
  } as Resolver

  now(): number {
    return this.time
  }

  defer(fn: () => void): void {
    this.#deferred.push(fn)
  }

  turn(fn: () => void): void {
    this.turns++
    fn()
  }

  /** Runs what was deferred. */
  settle(): void {
    for (let rounds = 0; this.#deferred.length > 0; rounds++) {
      if (rounds > 1000) throw new Error('never settles')
      const todo = this.#deferred
      this.#deferred = []
      for (const fn of todo) fn()
    }
  }

  sendUdp(socket: TrackerSocket, to: Endpoint, packet: Uint8Array): ErrorCode | null {
    if (this.sendError !== null) return this.sendError
    this.sent.push({ socket, to: endpointToString(to), packet: packet.slice() })
    return null
  }

  sendUdpToHost(socket: TrackerSocket, host: string, port: number, packet: Uint8Array): ErrorCode | null {
    this.sent.push({ socket, to: `${host}:${port} by name`, packet: packet.slice() })
    return null
  }

  sentBytes(count: number): void {
    this.sentTotal += count
  }

  receivedBytes(count: number): void {
    this.receivedTotal += count
  }

  queueLength(length: number): void {
    this.queued = length
  }

  idle(): void {
    this.idles++
  }

  /** Lets time pass, with a tick each half second as the engine makes them. */
  pass(seconds: number): void {
    const end = this.time + seconds * 1000
    while (this.time < end) {
      this.time = Math.min(end, this.time + 500)
      this.manager.tick(this.time)
      this.settle()
    }
  }

  queue(over: Partial<TrackerRequest> = {}): Requester {
    const requester = new Requester()
    this.manager.queueRequest(request(over), requester)
    return requester
  }

  /** Answers an HTTP request as a server would. */
  answer(index: number, body: string | Uint8Array, status = 200, statusText = ''): void {
    const call = this.requests[index]
    if (call === undefined) throw new Error(`no request ${index}`)
    call.sink.onHead({ status, statusText, headers: {}, url: call.options.url, remoteAddress: '2.2.2.2' })
    if (call.aborted) return
    const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body
    if (bytes.length > 0) call.sink.onData(bytes)
    if (!call.aborted) call.sink.onEnd()
  }
}
