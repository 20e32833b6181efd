/** The socket of one HTTP request: look-up, filters, addresses tried in turn, proxy, TLS. */

import type { Socket } from 'node:net'
import { constants } from 'node:os'
import { connect as connectTls } from 'node:tls'
import { isV6, parseAddress } from '../core/endpoint.ts'
import { ProxyType } from '../core/enums.ts'
import { ErrorCode, errorCodeOf, libtorrentError, sslCategory, systemCategory } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { HttpRequestOptions, ProxyOptions, Resolver } from '../core/runtime.ts'
import { genericError } from './node-errors.ts'
import { type CancelDial, type DialResult, dial } from './node-proxy.ts'

export class HttpConnection {
  readonly #url: URL
  readonly #options: HttpRequestOptions
  readonly #resolver: Resolver
  readonly #host: string
  readonly #port: number
  readonly #proxy: ProxyOptions | null
  #result: DialResult | null = null
  #addresses: readonly string[] = []
  #next = 0
  #cancelDial: CancelDial | null = null
  #tls: Socket | null = null
  #timer: NodeJS.Timeout | null = null
  #remoteAddress = ''

  constructor(url: URL, options: HttpRequestOptions, resolver: Resolver) {
    this.#url = url
    this.#options = options
    this.#resolver = resolver
    this.#host = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname
    this.#port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
    const proxy = options.proxy ?? null
    this.#proxy = proxy === null || proxy.type === ProxyType.none ? null : proxy
  }

  /** Whom the socket is connected to; empty behind a proxy. */
  get remoteAddress(): string {
    return this.#remoteAddress
  }

  open(result: DialResult): void {
    this.#result = result
    const proxy = this.#proxy
    if (proxy !== null && this.#url.protocol === 'http:' && isHttpProxy(proxy)) {
      // A plain request goes to the proxy as it is, with the whole URL in it.
      this.#dial(proxy.hostname, proxy.port, null)
      return
    }
    // SOCKS4 takes addresses only.
    if (proxy !== null && proxy.type !== ProxyType.socks4 && proxy.proxyHostnames !== false) {
      this.#dial(this.#host, this.#port, proxy)
      return
    }
    // A slow look-up is often queued behind another one: it gets twice the time.
    this.#startTimer(this.#options.timeoutMs * 2, Operation.hostnameLookup)
    this.#resolver.resolve(this.#host, {}, (error, addresses) => this.#enter(() => this.#resolved(error, addresses)))
  }

  /** Drops what is under way; no callback follows. A socket that was handed over is not touched. */
  cancel(): void {
    this.#result = null
    this.#stopTimer()
    this.#cancelDial?.()
    this.#tls?.destroy()
  }

  #resolved(error: ErrorCode | null, addresses: readonly string[]): void {
    if (this.#result === null) return
    if (error !== null) {
      this.#fail(error, Operation.hostnameLookup)
      return
    }
    const allowed = this.#options.filterAddresses?.(addresses, this.#url) ?? addresses
    if (this.#result === null) return
    if (allowed instanceof ErrorCode) {
      this.#fail(allowed, Operation.bittorrent)
      return
    }
    if (allowed.length === 0) {
      this.#fail(libtorrentError(LibtorrentErrors.bannedByIpFilter), Operation.bittorrent)
      return
    }
    this.#addresses = allowed.filter(address => this.#fits(address))
    if (this.#addresses.length === 0) {
      this.#fail(genericError(constants.errno.EAFNOSUPPORT), Operation.connect)
      return
    }
    this.#tryNext()
  }

  #fits(address: string): boolean {
    const { family, localAddress } = this.#options
    const v6 = isV6(address)
    if (family !== undefined && (family === 6) !== v6) return false
    return localAddress == null || this.#proxy !== null || isV6(localAddress) === v6
  }

  #tryNext(): void {
    this.#dial(this.#addresses[this.#next++]!, this.#port, this.#proxy)
  }

  #dial(host: string, port: number, proxy: ProxyOptions | null): void {
    this.#startTimer(this.#options.timeoutMs, Operation.connect)
    this.#cancelDial = dial(
      { host, port, proxy, localAddress: this.#options.localAddress ?? null },
      {
        connected: socket => this.#enter(() => this.#connected(socket)),
        failed: (error, operation) => this.#enter(() => this.#attemptFailed(error, operation)),
      },
    )
  }

  #connected(socket: Socket): void {
    this.#cancelDial = null
    if (this.#proxy === null) this.#remoteAddress = parseAddress(socket.remoteAddress ?? '') ?? ''
    if (this.#url.protocol === 'https:') this.#startTls(socket)
    else this.#succeed(socket)
  }

  #attemptFailed(error: ErrorCode, operation: Operation): void {
    this.#cancelDial = null
    if (this.#result === null) return
    if (this.#next < this.#addresses.length) this.#tryNext()
    else this.#fail(error, operation)
  }

  #startTls(socket: Socket): void {
    const tls = connectTls({
      socket,
      ...(parseAddress(this.#host) === null ? { servername: this.#host } : { host: this.#host }),
      rejectUnauthorized: this.#options.verifyCertificate,
      ALPNProtocols: ['http/1.1'],
    })
    this.#tls = tls
    const failed = (error: Error) => {
      const code = errorCodeOf(error)
      const known = code.category() !== systemCategory() || (error as { errno?: unknown }).errno !== undefined
      this.#fail(known ? code : new ErrorCode(1, sslCategory()), Operation.sslHandshake)
    }
    tls.on('error', failed)
    tls.once('secureConnect', () => {
      if (this.#result === null) return
      this.#tls = null
      this.#succeed(tls)
    })
  }

  #succeed(socket: Socket): void {
    this.#stopTimer()
    const result = this.#result
    this.#result = null
    if (result === null) socket.destroy()
    else result.connected(socket)
  }

  #fail(error: ErrorCode, operation: Operation): void {
    const result = this.#result
    this.cancel()
    result?.failed(error, operation)
  }

  #startTimer(ms: number, operation: Operation): void {
    this.#stopTimer()
    this.#timer = setTimeout(() => {
      const error = libtorrentError(LibtorrentErrors.timedOut)
      this.#cancelDial?.()
      if (operation === Operation.connect) this.#enter(() => this.#attemptFailed(error, operation))
      else this.#fail(error, operation)
    }, ms)
  }

  /** The door of its events: what is thrown, by a filter say, is the end of the request and not of the program. */
  #enter(fn: () => void): void {
    try {
      fn()
    } catch (error) {
      this.#fail(errorCodeOf(error), Operation.exception)
    }
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}

function isHttpProxy(proxy: ProxyOptions): boolean {
  return proxy.type === ProxyType.http || proxy.type === ProxyType.httpPw
}
