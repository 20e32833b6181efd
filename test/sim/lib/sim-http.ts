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
}

/** What a server does with a request. */
export interface ServedResponse {
  readonly status?: number
  readonly statusText?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
  readonly delayMs?: number
  /** `silence`: no answer; `garbage`: bytes that are no HTTP; `reset`: the connection breaks; `cut`: the body ends half-way. */
  readonly fault?: 'silence' | 'garbage' | 'reset' | 'cut'
}

export type HttpServer = (request: ServedRequest) => ServedResponse

const ANSWER_BYTES = 200

/** The HTTP servers of a simulated world, by host and port. */
export class SimHttpServers {
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
    const request = new SimHttpRequest(this.#net, this.#rng, this.#host, this.#resolver, this.#servers, options, sink)
    request.start()
    return request
  }
}

class SimHttpRequest implements HttpRequest {
  readonly #net: SimNetwork
  readonly #rng: Rng
  readonly #host: SimHost
  readonly #resolver: Resolver
  readonly #servers: SimHttpServers
  readonly #options: HttpRequestOptions
  readonly #sink: HttpSink
  #redirectsLeft: number
  #done = false
  #paused = false
  #timer: TimerHandle | null = null
  #steps: (() => void)[] = []
  #stepDue = false

  constructor(
    net: SimNetwork,
    rng: Rng,
    host: SimHost,
    resolver: Resolver,
    servers: SimHttpServers,
    options: HttpRequestOptions,
    sink: HttpSink,
  ) {
    this.#net = net
    this.#rng = rng
    this.#host = host
    this.#resolver = resolver
    this.#servers = servers
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
    this.#scheduleStep()
  }

  abort(): void {
    this.#done = true
    this.#steps = []
    this.#timer?.cancel()
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
    const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
    const server = this.#servers.at(target, port)
    const roundTrip = this.#net.path(this.#host, target).latencyMs * 2
    this.#net.clock.after(roundTrip, () => {
      if (this.#done || this.#timer !== timer) return
      if (server === null) next(errnoError('ECONNREFUSED'))
      else if (url.protocol === 'https:' && !server.trusted && this.#options.verifyCertificate)
        this.#fail(new ErrorCode(1, sslCategory()), Operation.sslHandshake)
      else this.#exchange(url, login, headers, target, server.serve, source, address)
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
  ): void {
    const sent: Record<string, string> = { host: url.host, 'accept-encoding': 'gzip' }
    for (const [name, value] of Object.entries(headers)) sent[name.toLowerCase()] = value
    if (login !== null) sent['authorization'] = login
    this.#startTimer(this.#options.timeoutMs)
    const { latencyMs } = this.#net.path(this.#host, target)
    this.#net.clock.after(latencyMs, () => {
      if (this.#done || !this.#net.passes(this.#host, target, 'tcp')) return
      const from = target === this.#host ? source : this.#host.seenAs([source, 0])[0]
      const body = this.#options.body ?? new Uint8Array(0)
      const response = serve({ method: this.#options.method ?? 'GET', url, headers: sent, body, from })
      this.#net.log.add(`${target.name} http ${url.pathname} from ${from}: ${response.fault ?? response.status ?? 200}`)
      if (response.fault === 'silence') return
      this.#net.clock.after(response.delayMs ?? 0, () => {
        if (!this.#net.passes(target, this.#host, 'tcp')) return
        const bytes = bodyBytes(response)
        this.#net.carry(target, this.#host, ANSWER_BYTES + bytes.length, false, () =>
          this.#answered(url, login, headers, response, bytes, address),
        )
      })
    })
  }

  #answered(
    url: URL,
    login: string | null,
    headers: Readonly<Record<string, string>>,
    response: ServedResponse,
    bytes: Uint8Array,
    address: string,
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
        remoteAddress: address,
      }),
    )
    this.#queueBody(response, bytes, answered['content-encoding'] ?? '')
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

  #queueBody(response: ServedResponse, bytes: Uint8Array, encoding: string): void {
    const limit = this.#options.maxBodyBytes
    let whole = response.fault === 'cut' ? bytes.subarray(0, bytes.length >> 1) : bytes
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
    }
    for (let at = 0; at < whole.length; ) {
      const chunk = whole.slice(at, at + 1 + this.#rng.below(Math.min(whole.length - at, 32 * 1024)))
      at += chunk.length
      this.#steps.push(() => this.#sink.onData(chunk))
    }
    this.#steps.push(() => {
      if (failure !== null) this.#fail(failure, Operation.sockRead)
      else {
        this.abort()
        this.#sink.onEnd()
      }
    })
  }

  #scheduleStep(): void {
    if (this.#stepDue || this.#paused || this.#steps.length === 0) return
    this.#stepDue = true
    this.#timer?.cancel()
    this.#net.clock.after(0, () => {
      this.#stepDue = false
      if (this.#done || this.#paused) return
      this.#steps.shift()!()
      this.#scheduleStep()
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
