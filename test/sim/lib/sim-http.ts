/** HTTP in virtual time: a client without bytes on a wire, and the servers it can reach. */

import { constants } from 'node:os'
import { gunzipSync, inflateRawSync, inflateSync } from 'node:zlib'
import { isLoopback, isV6 } from '../../../src/core/endpoint.ts'
import {
  ErrorCode,
  errnoError,
  genericCategory,
  gzipCategory,
  libtorrentError,
  sslCategory,
} from '../../../src/core/error-code.ts'
import { GzipErrors, LibtorrentErrors } from '../../../src/core/error-table.ts'
import { Operation } from '../../../src/core/operation.ts'
import type { Rng } from '../../../src/core/rng.ts'
import type {
  HttpClient,
  HttpRequest,
  HttpRequestOptions,
  HttpSession,
  HttpSink,
  Resolver,
  TimerHandle,
} from '../../../src/core/runtime.ts'
import type { SimHost, SimNetwork } from './sim-network.ts'
import { endOfFile } from './sim-stream.ts'

/** A request as a server sees it. */
export interface ServedRequest {
  readonly method: string
  readonly url: URL
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** Address of the client, as seen by the server. */
  readonly from: string
  /** Requests with the same number came over one connection. */
  readonly connection: number
}

/** What a server does with a request. */
export interface ServedResponse {
  readonly status?: number
  readonly statusText?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
  readonly delayMs?: number
  /** The body comes in pieces of `bytes`, each so long after the one before. */
  readonly drip?: { readonly bytes: number; readonly everyMs: number }
  /**
   * `silence`: no answer; `garbage`: bytes that are no HTTP; `reset`: the connection breaks; `cut`: the body ends half-way;
   * `stall`: it stops there, and the connection stays.
   */
  readonly fault?: 'silence' | 'garbage' | 'reset' | 'cut' | 'stall'
}

export type HttpServer = (request: ServedRequest) => ServedResponse

const ANSWER_BYTES = 200
const PIECE_BYTES = 32 * 1024
/** Parts of a body that a client which does not read lets come before the server feels it. */
const WINDOW = 8

/** The HTTP servers of a simulated world, by host and port. */
export class SimHttpServers {
  #connections = 0

  newConnection(): number {
    return ++this.#connections
  }

  readonly #servers = new Map<string, { readonly serve: HttpServer; readonly trusted: boolean }>()

  /** @param trusted whether its certificate is good, for https */
  listen(host: SimHost, port: number, serve: HttpServer, trusted = true): void {
    this.#servers.set(`${host.name} ${port}`, { serve, trusted })
  }

  close(host: SimHost, port: number): void {
    this.#servers.delete(`${host.name} ${port}`)
  }

  at(host: SimHost, port: number): { readonly serve: HttpServer; readonly trusted: boolean } | null {
    return this.#servers.get(`${host.name} ${port}`) ?? null
  }
}

export class SimHttpClient implements HttpClient {
  readonly #net: SimNetwork
  readonly #rng: Rng
  readonly #host: SimHost
  readonly #resolver: Resolver
  readonly #servers: SimHttpServers

  constructor(net: SimNetwork, rng: Rng, host: SimHost, resolver: Resolver, servers: SimHttpServers) {
    this.#net = net
    this.#rng = rng
    this.#host = host
    this.#resolver = resolver
    this.#servers = servers
  }

  request(options: HttpRequestOptions, sink: HttpSink): HttpRequest {
    return this.start(options, sink, null)
  }

  session(pipelining = 1): HttpSession {
    return new SimHttpSession(pipelining, (options, sink, kept) => this.start(options, sink, kept))
  }

  start(options: HttpRequestOptions, sink: HttpSink, kept: Kept | null): SimHttpRequest {
    const world = { net: this.#net, rng: this.#rng, host: this.#host, resolver: this.#resolver, servers: this.#servers }
    const request = new SimHttpRequest(world, options, sink, kept)
    kept?.requests.push(request)
    request.start()
    return request
  }
}

/** The connection that a session has: to whom, and its number. */
interface Kept {
  to: { readonly origin: string; readonly address: string; readonly connection: number } | null
  /** Under way, in their order. */
  readonly requests: SimHttpRequest[]
}

class SimHttpSession implements HttpSession {
  readonly #start: (options: HttpRequestOptions, sink: HttpSink, kept: Kept) => SimHttpRequest
  readonly #pipelining: number
  readonly #kept: Kept = { to: null, requests: [] }

  constructor(pipelining: number, start: (options: HttpRequestOptions, sink: HttpSink, kept: Kept) => SimHttpRequest) {
    this.#pipelining = Math.max(1, pipelining)
    this.#start = start
  }

  request(options: HttpRequestOptions, sink: HttpSink): HttpRequest {
    if (this.#kept.requests.length >= this.#pipelining) throw new Error('more requests than the session was made for')
    return this.#start(options, sink, this.#kept)
  }

  close(): void {
    for (const request of this.#kept.requests.slice()) request.abort()
    this.#kept.to = null
  }
}

interface HttpSide {
  readonly net: SimNetwork
  readonly rng: Rng
  readonly host: SimHost
  readonly resolver: Resolver
  readonly servers: SimHttpServers
}

class SimHttpRequest implements HttpRequest {
  readonly #net: SimNetwork
  readonly #rng: Rng
  readonly #host: SimHost
  readonly #resolver: Resolver
  readonly #servers: SimHttpServers
  readonly #options: HttpRequestOptions
  readonly #sink: HttpSink
  readonly #kept: Kept | null
  /** Requests that wait for this one's connection. */
  readonly #whenSent: (() => void)[] = []
  #redirectsLeft: number
  #done = false
  #paused = false
  #timer: TimerHandle | null = null
  #steps: (() => void)[] = []
  #stepDue = false
  /** The connection, and who is at its other end. */
  #to: Kept['to'] = null
  #from: SimHost | null = null
  /** Of the body, what is not here yet. */
  #rest: Uint8Array = new Uint8Array(0)
  /** Parts of it that are on their way, and their bytes. */
  #coming = 0
  #comingBytes = 0
  #drip: ServedResponse['drip'] | null = null
  #last: (() => void) | null = null

  constructor(side: HttpSide, options: HttpRequestOptions, sink: HttpSink, kept: Kept | null) {
    this.#net = side.net
    this.#rng = side.rng
    this.#host = side.host
    this.#resolver = side.resolver
    this.#servers = side.servers
    this.#kept = kept
    this.#options = options
    this.#sink = sink
    this.#redirectsLeft = options.maxRedirects
  }

  start(): void {
    this.#net.clock.after(0, () => {
      if (this.#done) return
      if (!URL.canParse(this.#options.url)) {
        this.#fail(libtorrentError(LibtorrentErrors.urlParseError), Operation.parseAddress)
        return
      }
      const url = new URL(this.#options.url)
      this.#go(url, credentials(url), this.#options.headers ?? {})
    })
  }

  pause(): void {
    this.#paused = true
    this.#timer?.cancel()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    if (this.#steps.length === 0 && this.#from !== null && this.#before === null)
      this.#startTimer(this.#options.timeoutMs)
    this.#scheduleStep()
  }

  abort(): void {
    if (this.#done) return
    this.#done = true
    this.#steps = []
    this.#timer?.cancel()
    this.#leave(false)
  }

  #go(url: URL, login: string | null, headers: Readonly<Record<string, string>>): void {
    if (url.protocol !== 'http:' && url.protocol !== 'https:') {
      this.#fail(libtorrentError(LibtorrentErrors.unsupportedUrlProtocol), Operation.parseAddress)
      return
    }
    const refused = this.#options.filterUrl?.(url) ?? null
    if (refused !== null) {
      this.#fail(refused, Operation.bittorrent)
      return
    }
    const before = this.#before
    if (before !== null && before.#to === null) {
      before.#whenSent.push(() => this.#go(url, login, headers))
      return
    }
    if (this.#reuse(url, login, headers)) return
    const name = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname
    this.#startTimer(this.#options.timeoutMs * 2)
    this.#resolver.resolve(name, {}, (error, found) => {
      if (this.#done) return
      if (error !== null) {
        this.#fail(error, Operation.hostnameLookup)
        return
      }
      const allowed = this.#options.filterAddresses?.(found, url) ?? found
      if (allowed instanceof ErrorCode) this.#fail(allowed, Operation.bittorrent)
      else if (allowed.length === 0)
        this.#fail(libtorrentError(LibtorrentErrors.bannedByIpFilter), Operation.bittorrent)
      else
        this.#connect(
          url,
          login,
          headers,
          allowed.filter(address => this.#fits(address)),
          0,
        )
    })
  }

  /** The request whose answer comes before this one's. */
  get #before(): SimHttpRequest | null {
    const requests = this.#kept?.requests ?? []
    return requests[requests.indexOf(this) - 1] ?? null
  }

  /** It is over: the next one's turn, unless the connection is gone. */
  #leave(good: boolean): void {
    const requests = this.#kept?.requests
    if (requests === undefined || !requests.includes(this)) return
    const at = requests.indexOf(this)
    requests.splice(at, 1)
    if (good) {
      const next = requests[at]
      if (next === undefined || at > 0) return
      if (!next.#paused) next.#startTimer(next.#options.timeoutMs)
      next.#scheduleStep()
      return
    }
    this.#kept!.to = null
    for (const request of requests.slice()) {
      this.#net.clock.after(0, () => request.#fail(errnoError('ECANCELED'), Operation.sockRead))
    }
  }

  /** Goes over the connection that is kept, if it is to this server. */
  #reuse(url: URL, login: string | null, headers: Readonly<Record<string, string>>): boolean {
    const before = this.#before
    const to = (before === null ? null : before.#to) ?? this.#kept?.to ?? null
    if (to === null || to.origin !== url.origin) return false
    const source = this.#options.localAddress ?? this.#host.sourceFor(to.address)
    const target = this.#net.hostAt(to.address, this.#host)
    const server = target === null ? null : this.#servers.at(target, portOf(url))
    if (source === null || target === null || server === null) return false
    this.#exchange(url, login, headers, target, server.serve, source, to.address, to.connection)
    return true
  }

  #fits(address: string): boolean {
    const { family, localAddress } = this.#options
    if (family !== undefined && (family === 6) !== isV6(address)) return false
    return localAddress == null || isV6(localAddress) === isV6(address)
  }

  #connect(
    url: URL,
    login: string | null,
    headers: Readonly<Record<string, string>>,
    addresses: readonly string[],
    at: number,
  ): void {
    if (addresses.length === 0) {
      this.#fail(new ErrorCode(constants.errno.EAFNOSUPPORT, genericCategory()), Operation.connect)
      return
    }
    const address = addresses[at]!
    const next = (error: ErrorCode) => {
      if (this.#done) return
      if (at + 1 < addresses.length) this.#connect(url, login, headers, addresses, at + 1)
      else this.#fail(error, Operation.connect)
    }
    const timedOut = () => next(libtorrentError(LibtorrentErrors.timedOut))
    this.#timer?.cancel()
    const timer = this.#net.clock.after(this.#options.timeoutMs, timedOut)
    this.#timer = timer
    const source = this.#options.localAddress ?? this.#host.sourceFor(address)
    const target = this.#net.hostAt(address, this.#host)
    if (source === null) {
      this.#net.clock.after(0, () => next(errnoError('ENETUNREACH')))
      return
    }
    if (isLoopback(source) && target !== this.#host) {
      this.#net.clock.after(0, () => next(errnoError('EINVAL')))
      return
    }
    if (target === null || !this.#net.passes(this.#host, target, 'tcp')) return
    const server = this.#servers.at(target, portOf(url))
    const roundTrip = this.#net.path(this.#host, target).latencyMs * 2
    this.#net.clock.after(roundTrip, () => {
      if (this.#done || this.#timer !== timer) return
      if (server === null) next(errnoError('ECONNREFUSED'))
      else if (url.protocol === 'https:' && !server.trusted && this.#options.verifyCertificate)
        this.#fail(new ErrorCode(1, sslCategory()), Operation.sslHandshake)
      else this.#exchange(url, login, headers, target, server.serve, source, address, this.#servers.newConnection())
    })
  }

  #exchange(
    url: URL,
    login: string | null,
    headers: Readonly<Record<string, string>>,
    target: SimHost,
    serve: HttpServer,
    source: string,
    address: string,
    connection: number,
  ): void {
    const sent: Record<string, string> = { host: url.host }
    if (this.#options.decompress !== false) sent['accept-encoding'] = 'gzip'
    for (const [name, value] of Object.entries(headers)) sent[name.toLowerCase()] = value
    if (login !== null) sent['authorization'] = login
    this.#to = { origin: url.origin, address, connection }
    if (this.#before === null) this.#startTimer(this.#options.timeoutMs)
    const { latencyMs } = this.#net.path(this.#host, target)
    this.#net.clock.after(latencyMs, () => {
      if (this.#done || !this.#net.passes(this.#host, target, 'tcp')) return
      const from = target === this.#host ? source : this.#host.seenAs([source, 0])[0]
      const body = this.#options.body ?? new Uint8Array(0)
      const response = serve({ method: this.#options.method ?? 'GET', url, headers: sent, body, from, connection })
      this.#net.log.add(`${target.name} http ${url.pathname} from ${from}: ${response.fault ?? response.status ?? 200}`)
      if (response.fault === 'silence') return
      this.#net.clock.after(response.delayMs ?? 0, () => {
        if (!this.#net.passes(target, this.#host, 'tcp')) return
        const bytes = bodyBytes(response)
        const first = Math.min(bytes.length, response.drip === undefined ? PIECE_BYTES : 0)
        this.#net.carry(target, this.#host, ANSWER_BYTES + first, false, () => {
          this.#from = target
          this.#answered(url, login, headers, response, bytes, first)
        })
      })
    })
    for (const next of this.#whenSent.splice(0)) next()
  }

  #answered(
    url: URL,
    login: string | null,
    headers: Readonly<Record<string, string>>,
    response: ServedResponse,
    bytes: Uint8Array,
    arrived: number,
  ): void {
    if (this.#done) return
    if (response.fault === 'garbage') {
      this.#fail(libtorrentError(LibtorrentErrors.httpParseError), Operation.sockRead)
      return
    }
    if (response.fault === 'reset') {
      this.#fail(errnoError('ECONNRESET'), Operation.sockRead)
      return
    }
    const status = response.status ?? 200
    const answered: Record<string, string> = { 'content-length': String(bytes.length) }
    for (const [name, value] of Object.entries(response.headers ?? {})) answered[name.toLowerCase()] = value
    if (status >= 300 && status < 400 && this.#redirectsLeft > 0) {
      this.#redirect(url, login, headers, answered['location'])
      return
    }
    this.#steps.push(() =>
      this.#sink.onHead({
        status,
        statusText: response.statusText ?? (status === 200 ? 'OK' : ''),
        headers: answered,
        url: url.href,
        remoteAddress: this.#to?.address ?? '',
      }),
    )
    this.#queueBody(response, bytes, answered, arrived)
    this.#scheduleStep()
  }

  #redirect(
    from: URL,
    login: string | null,
    headers: Readonly<Record<string, string>>,
    location: string | undefined,
  ): void {
    if (location === undefined || location === '') {
      this.#fail(libtorrentError(LibtorrentErrors.httpMissingLocation), Operation.bittorrent)
      return
    }
    if (!URL.canParse(location, from.href)) {
      this.#fail(libtorrentError(LibtorrentErrors.urlParseError), Operation.parseAddress)
      return
    }
    this.#redirectsLeft--
    const to = new URL(location, from)
    this.#go(to, credentials(to) ?? (to.origin === from.origin ? login : null), headers)
  }

  #queueBody(
    response: ServedResponse,
    bytes: Uint8Array,
    answered: Readonly<Record<string, string>>,
    arrived: number,
  ): void {
    const limit = this.#options.maxBodyBytes
    const encoding = this.#options.decompress === false ? '' : (answered['content-encoding'] ?? '')
    const cut = response.fault === 'cut' || response.fault === 'stall'
    let whole = cut ? bytes.subarray(0, bytes.length >> 1) : bytes
    let failure: ErrorCode | null = response.fault === 'cut' ? endOfFile() : null
    if (whole.length > limit) {
      whole = whole.subarray(0, limit)
      failure = new ErrorCode(constants.errno.EFBIG, genericCategory())
    } else if (encoding !== '' && whole.length > 0 && failure === null) {
      const decoded = decode(encoding, whole)
      if (decoded instanceof ErrorCode) {
        whole = new Uint8Array(0)
        failure = decoded
      } else {
        whole = decoded.subarray(0, limit)
        if (decoded.length > limit) failure = new ErrorCode(GzipErrors.inflatedDataTooLarge, gzipCategory())
      }
      arrived = whole.length
    }
    this.#drip = response.drip ?? null
    this.#rest = whole
    const last = () => {
      if (response.fault === 'stall') return
      this.#steps.push(() => {
        if (failure !== null) this.#fail(failure, Operation.sockRead)
        else {
          if (this.#kept !== null) this.#kept.to = answered['connection'] === 'close' ? null : this.#to
          this.#done = true
          this.#timer?.cancel()
          this.#leave(true)
          this.#sink.onEnd()
        }
      })
      this.#scheduleStep()
    }
    this.#last = last
    this.#arrived(Math.min(arrived, whole.length))
  }

  /** So many bytes more of the body are here: they are handed on in parts, and more is let come. */
  #arrived(count: number): void {
    const whole = this.#rest.subarray(0, count)
    this.#rest = this.#rest.subarray(count)
    for (let at = 0; at < whole.length; ) {
      const chunk = whole.slice(at, at + 1 + this.#rng.below(Math.min(whole.length - at, PIECE_BYTES)))
      at += chunk.length
      this.#steps.push(() => this.#sink.onData(chunk))
    }
    if (this.#rest.length === 0) this.#last?.()
    else this.#letCome()
  }

  #letCome(): void {
    const window = this.#drip === null ? WINDOW : 1
    while (this.#coming + this.#steps.length < window && this.#rest.length > this.#comingBytes) {
      const count = Math.min(this.#rest.length - this.#comingBytes, this.#drip?.bytes ?? PIECE_BYTES)
      this.#coming++
      this.#comingBytes += count
      this.#send(this.#from!, count)
    }
  }

  #send(from: SimHost, count: number): void {
    this.#net.clock.after(this.#drip?.everyMs ?? 0, () => {
      if (this.#done || !this.#net.passes(from, this.#host, 'tcp')) return
      this.#net.carry(from, this.#host, count, false, () => {
        this.#coming--
        this.#comingBytes -= count
        if (this.#done) return
        if (!this.#paused && this.#before === null) this.#startTimer(this.#options.timeoutMs)
        this.#arrived(count)
        this.#scheduleStep()
      })
    })
  }

  #scheduleStep(): void {
    if (this.#stepDue || this.#paused || this.#steps.length === 0 || this.#before !== null) return
    this.#stepDue = true
    this.#timer?.cancel()
    this.#net.clock.after(0, () => {
      this.#stepDue = false
      if (this.#done || this.#paused) return
      this.#steps.shift()!()
      if (this.#done) return
      this.#letCome()
      // what is to come is waited for
      if (this.#steps.length === 0) this.#startTimer(this.#options.timeoutMs)
      else this.#scheduleStep()
    })
  }

  #fail(error: ErrorCode, operation: Operation): void {
    if (this.#done) return
    this.abort()
    this.#sink.onError(error, operation)
  }

  #startTimer(ms: number): void {
    this.#timer?.cancel()
    this.#timer = this.#net.clock.after(ms, () =>
      this.#fail(libtorrentError(LibtorrentErrors.timedOut), Operation.sockRead),
    )
  }
}

function portOf(url: URL): number {
  return url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
}

function credentials(url: URL): string | null {
  if (url.username === '' && url.password === '') return null
  const text = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  return `Basic ${Buffer.from(text).toString('base64')}`
}

function bodyBytes(response: ServedResponse): Uint8Array {
  const { body } = response
  return body === undefined ? new Uint8Array(0) : typeof body === 'string' ? new TextEncoder().encode(body) : body
}

function decode(encoding: string, bytes: Uint8Array): Uint8Array | ErrorCode {
  try {
    if (encoding === 'gzip' || encoding === 'x-gzip') return gunzipSync(bytes)
    if (encoding === 'deflate') return (bytes[0]! & 0x0f) === 8 ? inflateSync(bytes) : inflateRawSync(bytes)
    return bytes
  } catch {
    return new ErrorCode(GzipErrors.invalidGzipHeader, gzipCategory())
  }
}
