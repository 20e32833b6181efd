/** One announce or scrape over HTTP: what the HTTP client is told to do and to refuse, and what becomes of its answer. */

import { concatBytes } from '../core/bytes.ts'
import { isLoopback, isUnspecified } from '../core/endpoint.ts'
import { ProxyType, TrackerEvent } from '../core/enums.ts'
import { ErrorCode, errnoError, genericCategory, httpCategory, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { HttpHead, HttpRequest, HttpRequestOptions, HttpSink, ProxyOptions } from '../core/runtime.ts'
import type { TrackerRequest, TrackerRequester } from './announce-request.ts'
import { announceUrl, parseTrackerResponse } from './http-announce.ts'
import { portToAnnounce, type TrackerJob, type TrackerManagerPort, type TrackerSettings } from './tracker-job.ts'
import { isError, isIdna, parseUrl } from './tracker-url.ts'

const MAX_REDIRECTS = 5
/** Bytes of a head, for the statistics. */
const HEAD_SIZE = 100
/** What anonymous clients say they are, so as not to stand out. */
const ANONYMOUS_USER_AGENT = 'curl/7.81.0'
/** For the HTTP client when there is no limit: a day. */
const NO_TIMEOUT_MS = 86_400_000

interface Failure {
  readonly error: ErrorCode
  readonly operation: Operation
}

export class HttpTracker implements TrackerJob {
  readonly request: TrackerRequest
  readonly requester: TrackerRequester | null
  readonly #settings: TrackerSettings
  readonly #port: TrackerManagerPort
  readonly #ended: (job: HttpTracker) => void
  #http: HttpRequest | null = null
  #deadline = Number.POSITIVE_INFINITY
  #body: Uint8Array[] = []
  #bodySize = 0
  #remote: string | null = null
  #addresses: readonly string[] = []
  /** Why we ourselves refused a host or address: what the HTTP client reports then is only its consequence. */
  #refusal: Failure | null = null
  #over = false

  constructor(
    settings: TrackerSettings,
    port: TrackerManagerPort,
    request: TrackerRequest,
    requester: TrackerRequester | null,
    ended: (job: HttpTracker) => void,
  ) {
    this.#settings = settings
    this.#port = port
    this.request = request
    this.requester = requester
    this.#ended = ended
  }

  get deadline(): number {
    return this.#deadline
  }

  start(): void {
    const settings = this.#settings
    const { request } = this
    const url = announceUrl(request, portToAnnounce(request, settings), settings)
    if (isError(url)) {
      this.#failSoon(url, Operation.bittorrent)
      return
    }
    if (!request.socket.open) {
      this.#failSoon(libtorrentError(LibtorrentErrors.invalidListenSocket), Operation.getInterface)
      return
    }
    const parts = parseUrl(url)
    if (isError(parts) || !URL.canParse(url)) {
      const error = isError(parts) ? parts : libtorrentError(LibtorrentErrors.urlParseError)
      this.#failSoon(error, Operation.sockRead)
      return
    }
    const stopped = request.event === TrackerEvent.stopped
    const timeout = stopped ? settings.stopTrackerTimeout : settings.trackerCompletionTimeout
    if (timeout > 0) this.#deadline = this.#port.now() + timeout * 1000
    this.#http = this.#port.http.request(this.#options(url, timeout), this.#sink())
    this.#port.sentBytes(url.length + HEAD_SIZE)
  }

  timeOut(): void {
    this.#fail(libtorrentError(LibtorrentErrors.timedOut), Operation.sockRead)
  }

  abort(): void {
    if (this.#over) return
    this.#over = true
    this.#http?.abort()
    this.#http = null
    this.#body = []
    this.#ended(this)
  }

  #sink(): HttpSink {
    const port = this.#port
    return {
      onHead: head => port.turn(() => this.#onHead(head)),
      onData: chunk => port.turn(() => this.#onData(chunk)),
      onEnd: () => port.turn(() => this.#onEnd()),
      onError: error => port.turn(() => this.#onError(error)),
    }
  }

  #onHead(head: HttpHead): void {
    if (this.#over) return
    if (head.remoteAddress !== '') this.#remote = head.remoteAddress
    if (head.status === 200) return
    this.#fail(new ErrorCode(head.status, httpCategory()), Operation.bittorrent, head.statusText)
  }

  #onData(chunk: Uint8Array): void {
    if (this.#over) return
    this.#bodySize += chunk.length
    if (this.#bodySize > this.#maxBody()) {
      this.#fail(new ErrorCode(errnoError('EFBIG').value(), genericCategory()), Operation.sockRead)
      return
    }
    this.#body.push(new Uint8Array(chunk))
  }

  #onEnd(): void {
    if (this.#over) return
    this.#port.receivedBytes(this.#bodySize + HEAD_SIZE)
    const { request } = this
    const body = concatBytes(this.#body)
    const { response, error } = parseTrackerResponse(body, request.scrape ? request.infoHash.key() : null)
    response.interval = Math.max(response.interval, this.#settings.minAnnounceInterval)
    const requester = this.requester
    if (response.warningMessage !== '') requester?.trackerWarning(request, response.warningMessage)
    if (error !== null) {
      const retry = response.retryIn > 0 ? response.retryIn : response.interval
      this.#fail(error, Operation.bittorrent, response.failureReason, retry)
      return
    }
    this.abort()
    if (request.scrape) {
      const { complete, incomplete, downloaded, downloaders } = response
      requester?.trackerScrapeResponse(request, complete, incomplete, downloaded, downloaders)
    } else {
      requester?.trackerResponse(request, this.#remote, this.#addresses, response)
    }
  }

  #onError(error: ErrorCode): void {
    if (this.#over) return
    if (this.#refusal !== null) this.#fail(this.#refusal.error, this.#refusal.operation)
    else this.#fail(error, Operation.sockRead)
  }

  #options(url: string, timeoutSeconds: number): HttpRequestOptions {
    const settings = this.#settings
    const { request } = this
    const headers: Record<string, string> = {}
    const anonymous = settings.anonymousMode && !request.privateTorrent
    const userAgent = anonymous ? ANONYMOUS_USER_AGENT : settings.userAgent
    if (userAgent !== '') headers['user-agent'] = userAgent
    const proxy = this.#proxy()
    const local = request.socket.local[0]
    return {
      url,
      headers,
      localAddress: proxy !== null || isUnspecified(local) ? null : local,
      proxy,
      timeoutMs: timeoutSeconds > 0 ? timeoutSeconds * 1000 : NO_TIMEOUT_MS,
      maxBodyBytes: this.#maxBody(),
      maxRedirects: MAX_REDIRECTS,
      verifyCertificate: settings.validateHttpsTrackers,
      filterUrl: target => this.#filterUrl(target),
      filterAddresses: (addresses, target) => this.#filterAddresses(addresses, target),
    }
  }

  #maxBody(): number {
    const { trackerMaximumResponseLength, maxHttpRecvBufferSize } = this.#settings
    return Math.max(0, Math.min(trackerMaximumResponseLength, maxHttpRecvBufferSize))
  }

  #proxy(): ProxyOptions | null {
    const settings = this.#settings
    if (settings.proxyType === ProxyType.none || !settings.proxyTrackerConnections) return null
    return {
      type: settings.proxyType,
      hostname: settings.proxyHostname,
      port: settings.proxyPort,
      username: settings.proxyUsername,
      password: settings.proxyPassword,
    }
  }

  #filterUrl(target: URL): ErrorCode | null {
    if (this.#settings.allowIdna || !isIdna(target.hostname)) return null
    return this.#refuse(LibtorrentErrors.blockedByIdna, Operation.sockRead)
  }

  /** Leaves the addresses that may be connected to, from this listen socket, for this path. */
  #filterAddresses(addresses: readonly string[], target: URL): readonly string[] | ErrorCode {
    const { socket, isBlocked } = this.request
    let left = addresses.filter(address => socket.canRoute(address))
    if (left.length === 0) return this.#refuse(LibtorrentErrors.announceSkipped, Operation.getInterface)
    // a torrent must not be able to make us ask services of this machine for anything but an announce
    if (this.#settings.ssrfMitigation && !isTrackerPath(target.pathname, this.request.scrape)) {
      left = left.filter(address => !isLoopback(address))
      if (left.length === 0) return this.#refuse(LibtorrentErrors.ssrfMitigation, Operation.bittorrent)
    }
    if (isBlocked !== null) left = left.filter(address => !isBlocked(address))
    if (left.length === 0) return this.#refuse(LibtorrentErrors.bannedByIpFilter, Operation.bittorrent)
    this.#addresses = left
    return left
  }

  #refuse(error: LibtorrentErrors, operation: Operation): ErrorCode {
    this.#refusal = { error: libtorrentError(error), operation }
    return this.#refusal.error
  }

  #fail(error: ErrorCode, operation: Operation, message = '', retryInterval = 0): void {
    if (this.#over) return
    this.abort()
    this.requester?.trackerRequestError(this.request, error, operation, message, retryInterval)
  }

  /** For failures that arise while the requester is still inside the call that queued the request. */
  #failSoon(error: ErrorCode, operation: Operation): void {
    this.#port.defer(() => this.#fail(error, operation))
  }
}

/** Deviation: libtorrent allows `/announce` only and so cannot scrape the trackers of this machine that it announces to. */
function isTrackerPath(path: string, scrape: boolean): boolean {
  return path.startsWith('/announce') || (scrape && path.startsWith('/scrape'))
}
