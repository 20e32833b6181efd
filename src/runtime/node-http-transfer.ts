/** One HTTP request with its redirects. `undici` speaks HTTP; where its socket comes from and where its bytes go is decided here. */

import type { Socket } from 'node:net'
import { constants } from 'node:os'
import type { Dispatcher } from 'undici'
import { ProxyType } from '../core/enums.ts'
import { type ErrorCode, errorCodeOf, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { HttpHead, HttpRequestOptions, HttpSink, ProxyOptions, Resolver } from '../core/runtime.ts'
import { ContentDecoder } from './node-content-decoder.ts'
import { endOfFile, genericError, operationOf } from './node-errors.ts'
import { GatedSocket } from './node-gated-socket.ts'
import { HttpConnection } from './node-http-connection.ts'
import { type GiveSocket, HttpLine, type LineUser } from './node-http-line.ts'
import type { KeptLine } from './node-http-session.ts'
import { proxyAuthorization } from './node-proxy.ts'

/** Credentials that are for one server only. */
const PRIVATE_HEADERS = new Set(['authorization', 'cookie'])

export class HttpTransfer implements LineUser {
  readonly #options: HttpRequestOptions
  readonly #sink: HttpSink
  readonly #resolver: Resolver
  /** Where the connection comes from and is left, if others are to use it too. */
  readonly #kept: KeptLine | null
  #redirectsLeft: number
  #done = false
  #paused = false
  /** Events of an earlier hop that come late are told apart by their line. */
  #line: HttpLine | null = null
  /** Of this hop. */
  #url: URL | null = null
  /** What was parsed already when `pause` was called, or before its turn, and whether it was the last of it. */
  #heldHead: HttpHead | null = null
  #held: Uint8Array[] = []
  #heldEnd = false
  #decoder: ContentDecoder | null = null
  #encoding = ''
  #receivedBytes = 0
  /** The request is on its way: from now on the server is timed. Before, the connection keeps its own time. */
  #answerDue = false
  #timer: NodeJS.Timeout | null = null

  constructor(options: HttpRequestOptions, sink: HttpSink, resolver: Resolver, kept: KeptLine | null = null) {
    this.#options = options
    this.#sink = sink
    this.#resolver = resolver
    this.#kept = kept
    this.#redirectsLeft = options.maxRedirects
  }

  /** @returns after which callbacks may come, some of them at once */
  start(): void {
    let url: URL
    try {
      url = new URL(this.#options.url)
    } catch {
      this.#fail(libtorrentError(LibtorrentErrors.urlParseError), Operation.parseAddress)
      return
    }
    this.#request(url, basicAuthorization(url), this.#options.headers ?? {})
  }

  pause(): void {
    this.#paused = true
    this.#line?.gate?.shut()
    this.#decoder?.pause()
    this.#stopTimer()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    queueMicrotask(() => this.#flow())
  }

  /** Gives what is held back, and lets more come. */
  #flow(): void {
    if (this.#done || this.#paused) return
    this.#startTimer()
    this.#deliverHeld()
    if (this.#done || this.#paused) return
    if (this.#heldHead === null) this.#decoder?.resume()
    if (this.#decoder?.full !== true) this.#line?.gate?.open()
  }

  abort(): void {
    this.#done = true
    this.#stopTimer()
    this.#release()
  }

  #request(url: URL, authorization: string | null, headers: Readonly<Record<string, string>>): void {
    if (url.protocol !== 'http:' && url.protocol !== 'https:') {
      this.#fail(libtorrentError(LibtorrentErrors.unsupportedUrlProtocol), Operation.parseAddress)
      return
    }
    const refused = this.#options.filterUrl?.(url) ?? null
    if (refused !== null) {
      this.#fail(refused, Operation.bittorrent)
      return
    }
    const line =
      this.#kept?.lineTo(url.origin, () => new HttpLine(url.origin, this.#kept!.pipelining)) ?? new HttpLine(url.origin)
    this.#line = line
    this.#url = url
    line.join(this)
    if (line.isOpen && line.isNext(this)) this.#awaitAnswer()
    if (this.#paused) line.gate?.shut()
    const plainProxy = url.protocol === 'http:' ? httpProxy(this.#options.proxy) : null
    const path = url.pathname + url.search
    const sent = lowerCaseNames(headers)
    if (this.#options.decompress !== false) sent['accept-encoding'] ??= 'gzip'
    if (authorization !== null) sent['authorization'] = authorization
    if (plainProxy !== null) {
      const proxyLogin = proxyAuthorization(plainProxy)
      if (proxyLogin !== null) sent['proxy-authorization'] = proxyLogin
    }
    try {
      line.client.dispatch(
        {
          origin: url.origin,
          path: plainProxy === null ? path : url.origin + path,
          method: this.#options.method ?? 'GET',
          headers: sent,
          body: this.#options.body ?? null,
          reset: this.#kept === null,
          // else no request is sent behind it until its answer begins
          blocking: false,
        },
        new HopHandler(line, this, url, authorization, headers),
      )
    } catch {
      this.#fail(genericError(constants.errno.EINVAL), Operation.bittorrent)
    }
  }

  /** @internal */
  openLine(line: HttpLine, give: GiveSocket): void {
    // a kept connection may turn out to be gone: the new one keeps its own time
    this.#stopTimer()
    this.#answerDue = false
    const connection = new HttpConnection(this.#url ?? new URL(line.origin), this.#options, this.#resolver)
    line.connection = connection
    connection.open({
      connected: socket => {
        const gate = new GatedSocket(socket)
        if (this.#paused) gate.shut()
        line.gate = gate
        this.#awaitAnswer()
        // All that is asked of it is a duplex stream.
        give(null, gate as unknown as Socket)
      },
      failed: (error, operation) => {
        if (this.#line === line) this.#fail(error, operation)
        // The client is gone by then; it only wants to hear that there is no socket.
        give(new Error(error.message()), null)
      },
    })
  }

  /** @internal */
  nextInLine(line: HttpLine): void {
    if (this.#paused) line.gate?.shut()
    if (line.isOpen) this.#awaitAnswer()
    // the request before has yet to be told that it is over
    queueMicrotask(() => this.#flow())
  }

  /** @internal */
  lineLost(): void {
    queueMicrotask(() => this.#fail(genericError(constants.errno.ECANCELED), Operation.sockRead))
  }

  /** @internal */
  owns(line: HttpLine): boolean {
    return !this.#done && this.#line === line
  }

  /** @internal @returns where to go instead of reading this response, or `null` */
  redirectTarget(status: number, location: string | undefined, from: URL): URL | 'failed' | null {
    if (status < 300 || status > 399 || this.#redirectsLeft <= 0) return null
    if (location === undefined || location === '') {
      this.#fail(libtorrentError(LibtorrentErrors.httpMissingLocation), Operation.bittorrent)
      return 'failed'
    }
    try {
      return new URL(location, from)
    } catch {
      this.#fail(libtorrentError(LibtorrentErrors.urlParseError), Operation.parseAddress)
      return 'failed'
    }
  }

  /** @internal Credentials stay with the server they were meant for. */
  follow(to: URL, from: URL, authorization: string | null, headers: Readonly<Record<string, string>>): void {
    this.#redirectsLeft--
    this.#stopTimer()
    this.#answerDue = false
    this.#release()
    const same = to.origin === from.origin
    const kept = same
      ? headers
      : Object.fromEntries(Object.entries(headers).filter(([name]) => !PRIVATE_HEADERS.has(name.toLowerCase())))
    this.#request(to, basicAuthorization(to) ?? (same ? authorization : null), kept)
  }

  /** @internal */
  head(status: number, statusText: string, headers: Readonly<Record<string, string>>, url: URL): void {
    this.#progress()
    if (this.#options.decompress !== false) this.#encoding = headers['content-encoding']?.trim().toLowerCase() ?? ''
    const remoteAddress = this.#line?.connection?.remoteAddress ?? ''
    const head = { status, statusText, headers, url: url.href, remoteAddress }
    if (this.#isNext) this.#sink.onHead(head)
    else this.#heldHead = head
  }

  /** The answers before its own are over. */
  get #isNext(): boolean {
    return this.#line?.isNext(this) === true
  }

  get #holdsBack(): boolean {
    return this.#paused || this.#heldHead !== null || this.#held.length > 0
  }

  /** @internal */
  body(chunk: Uint8Array): void {
    this.#progress()
    this.#receivedBytes += chunk.length
    if (this.#receivedBytes > this.#options.maxBodyBytes) {
      this.#fail(genericError(constants.errno.EFBIG), Operation.sockRead)
      return
    }
    if (chunk.length === 0) return
    if (this.#decoder === null) {
      if (!ContentDecoder.knows(this.#encoding)) {
        if (this.#holdsBack) this.#held.push(chunk)
        else this.#sink.onData(chunk)
        return
      }
      this.#decoder = new ContentDecoder(this.#encoding, chunk[0]!, this.#options.maxBodyBytes, {
        onData: decoded => this.#decoded(decoded),
        onRoom: () => {
          if (!this.#paused && !this.#done) this.#line?.gate?.open()
        },
        onEnd: () => this.#end(),
        onError: error => this.#fail(error, Operation.bittorrent),
      })
      if (this.#holdsBack) this.#decoder.pause()
    }
    this.#decoder.write(chunk)
    if (this.#decoder.full) this.#line?.gate?.shut()
  }

  /** @internal */
  bodyEnd(): void {
    this.#stopTimer()
    this.#answerDue = false
    if (this.#decoder !== null) this.#decoder.end()
    else if (this.#holdsBack) this.#heldEnd = true
    else this.#end()
  }

  /** @internal */
  broken(error: Error): void {
    const { code } = error as { code?: unknown }
    const text = typeof code === 'string' ? code : ''
    if (text.startsWith('HPE_') || error.name === 'HTTPParserError')
      this.#fail(libtorrentError(LibtorrentErrors.httpParseError), Operation.sockRead)
    else if (text === 'UND_ERR_HEADERS_OVERFLOW') this.#fail(genericError(constants.errno.EFBIG), Operation.sockRead)
    else if (text === 'UND_ERR_SOCKET' || text === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH')
      this.#fail(endOfFile(), Operation.sockRead)
    else if (text === 'UND_ERR_DESTROYED') this.#fail(genericError(constants.errno.ECANCELED), Operation.sockRead)
    else if (text === 'UND_ERR_INVALID_ARG') this.#fail(genericError(constants.errno.EINVAL), Operation.bittorrent)
    else this.#fail(errorCodeOf(error), operationOf(error, Operation.sockRead))
  }

  #deliverHeld(): void {
    if (!this.#isNext) return
    const head = this.#heldHead
    this.#heldHead = null
    if (head !== null) this.#sink.onHead(head)
    while (this.#held.length > 0 && !this.#paused && !this.#done) this.#sink.onData(this.#held.shift()!)
    if (this.#heldEnd && this.#held.length === 0 && !this.#paused) this.#end()
  }

  #decoded(chunk: Uint8Array): void {
    if (this.#done) return
    this.#sink.onData(chunk)
  }

  #end(): void {
    if (this.#done) return
    const line = this.#line
    if (this.#kept !== null && line !== null) {
      this.#line = null
      line.leave(this)
      this.#kept.left(line)
    }
    this.abort()
    this.#sink.onEnd()
  }

  #fail(error: ErrorCode, operation: Operation): void {
    if (this.#done) return
    this.abort()
    this.#sink.onError(error, operation)
  }

  #release(): void {
    const line = this.#line
    this.#line = null
    this.#heldHead = null
    this.#held = []
    this.#heldEnd = false
    this.#decoder?.cancel()
    this.#decoder = null
    line?.close(this)
  }

  /** The request is with the server: it is timed from now on. */
  #awaitAnswer(): void {
    this.#answerDue = true
    this.#startTimer()
  }

  #startTimer(): void {
    this.#stopTimer()
    if (this.#done || this.#paused || !this.#answerDue) return
    this.#timer = setTimeout(this.#timedOut, this.#options.timeoutMs)
  }

  #progress(): void {
    this.#timer?.refresh()
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  readonly #timedOut = () => this.#fail(libtorrentError(LibtorrentErrors.timedOut), Operation.sockRead)
}

/** Passes on what one hop's client reports, until the hop is over. */
class HopHandler implements Dispatcher.DispatchHandler {
  readonly #line: HttpLine
  readonly #transfer: HttpTransfer
  readonly #url: URL
  readonly #authorization: string | null
  readonly #headers: Readonly<Record<string, string>>

  constructor(
    line: HttpLine,
    transfer: HttpTransfer,
    url: URL,
    authorization: string | null,
    headers: Readonly<Record<string, string>>,
  ) {
    this.#line = line
    this.#transfer = transfer
    this.#url = url
    this.#authorization = authorization
    this.#headers = headers
  }

  onRequestStart(): void {}

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
    statusText?: string,
  ): void {
    if (!this.#transfer.owns(this.#line) || status < 200) return
    const flat = flatten(headers)
    const target = this.#transfer.redirectTarget(status, flat['location'], this.#url)
    if (target === 'failed') return
    if (target !== null) this.#transfer.follow(target, this.#url, this.#authorization, this.#headers)
    else this.#transfer.head(status, statusText ?? '', flat, this.#url)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    if (this.#transfer.owns(this.#line)) this.#transfer.body(chunk)
  }

  onResponseEnd(): void {
    if (this.#transfer.owns(this.#line)) this.#transfer.bodyEnd()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#transfer.owns(this.#line)) this.#transfer.broken(error)
  }
}

function httpProxy(proxy: ProxyOptions | null | undefined): ProxyOptions | null {
  return proxy != null && (proxy.type === ProxyType.http || proxy.type === ProxyType.httpPw) ? proxy : null
}

function basicAuthorization(url: URL): string | null {
  if (url.username === '' && url.password === '') return null
  const text = `${unescapeText(url.username)}:${unescapeText(url.password)}`
  return `Basic ${Buffer.from(text).toString('base64')}`
}

function unescapeText(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function lowerCaseNames(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

function flatten(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const flat: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name] = typeof value === 'string' ? value : value.join(', ')
  }
  return flat
}
