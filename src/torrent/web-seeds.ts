/**
 * The web seeds of a torrent: which there are, when they are connected to, and what becomes of those that fail.
 *
 * A server that lacks a file is not asked for it again. One that redirects is left for the server it names, which becomes
 * a web seed of its own until the session ends. One whose data is bad is banned, or taken not to have that file.
 *
 * @see BEP 19
 */

import { PeerBlockedAlert } from '../alert/peer-alerts.ts'
import { UrlSeedAlert } from '../alert/tracker-alerts.ts'
import { Bitfield } from '../core/bitfield.ts'
import type { PieceIndex } from '../core/brands.ts'
import { type Endpoint, endpointToString, isGlobal, isLocal } from '../core/endpoint.ts'
import { PeerBlockedReason } from '../core/enums.ts'
import {
  ErrorCode,
  errnoError,
  httpCategory,
  libtorrentError,
  NetdbErrors,
  NO_ERROR,
  netdbCategory,
} from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import { shuffle } from '../core/rng.ts'
import type { HttpHead, HttpSession, ProxyOptions } from '../core/runtime.ts'
import { parseUrl, type UrlParts } from '../core/url.ts'
import type { AddTorrentParams } from '../metainfo/add-torrent-params.ts'
import { proxyFor, proxyResolves } from '../net/proxy.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import { Severity } from '../peer/peer-host.ts'
import { retryAfter } from '../peer/web-seed-answer.ts'
import type { LinkEnd } from '../peer/web-seed-server.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import { isIdna } from '../tracker/tracker-url.ts'
import type { PeerEntry } from './peer-entry.ts'
import type { Torrent } from './torrent.ts'
import { logTorrent } from './torrent-log.ts'
import { WebSeed, type WebSeedReports } from './web-seed.ts'
import { hasSeveralFiles, originOf, portOf, redirectTarget, withSlash } from './web-seed-url.ts'

/** Used at a time if `max_web_seed_connections` sets no limit. */
const MANY = 100
/** How often we let ourselves be sent on, as with trackers. */
const MAX_HOPS = 5
/** Web seeds known from redirects; a server may send us to ever new ones. */
const MAX_EPHEMERAL = 100
/** Statuses that say nothing about the file: the server may have it later. */
const TEMPORARY = new Set([408, 425, 429, 502, 503, 504])
/** A proxy looks up the host: we do not know its address. */
const UNKNOWN_ADDRESS = '0.0.0.0'

export class WebSeeds implements WebSeedReports {
  readonly #torrent: Torrent
  /** In the order in which they are tried. */
  #list: WebSeed[]

  constructor(torrent: Torrent, params: AddTorrentParams) {
    this.#torrent = torrent
    const { ti } = params
    const directory = ti !== null && hasSeveralFiles(ti.layout())
    // what a program has set in the torrent info, which may have more than a URL
    const known = new Map((ti?.webSeeds() ?? []).map(entry => [entry.url, entry]))
    const urls = new Set(params.urlSeeds.map(url => (directory ? withSlash(url) : url)))
    const seeds = [...urls].map(url => new WebSeed(known.get(url) ?? { url, auth: '', extraHeaders: [] }))
    this.#list = shuffle(seeds, torrent.env.rng)
  }

  // ---- the list ----------------------------------------------------------------------------------

  /** Those that are known and not banned, sorted. */
  urls(): string[] {
    const usable = this.#list.filter(seed => !seed.removed && seed.entry?.banned !== true)
    return [...new Set(usable.map(seed => seed.url))].sort()
  }

  /** Those to save: not those that only redirects have named. */
  savedUrls(): string[] {
    return this.urls().filter(url => this.#find(url)?.ephemeral === false)
  }

  add(url: string): void {
    const known = this.#find(url)
    if (known !== undefined) {
      if (!known.ephemeral) return
      known.ephemeral = false
    } else this.#list.push(new WebSeed({ url, auth: '', extraHeaders: [] }))
    this.#torrent.needSave.metadata()
    this.#torrent.listsChanged()
  }

  remove(url: string): void {
    const seed = this.#find(url)
    if (seed === undefined) return
    if (!seed.ephemeral) this.#torrent.needSave.metadata()
    this.#remove(seed)
  }

  #find(url: string): WebSeed | undefined {
    return this.#list.find(seed => seed.url === url && !seed.removed)
  }

  #remove(seed: WebSeed): void {
    const { swarm } = this.#torrent
    seed.removed = true
    logTorrent(this.#torrent, () => `removing web seed: "${seed.url}"`)
    this.#list = this.#list.filter(other => other !== seed)
    seed.peer?.disconnect(errnoError('ECANCELED'), Operation.bittorrent)
    if (seed.entry !== null) swarm.list.releaseDetached(seed.entry)
    seed.entry = null
    this.#torrent.listsChanged()
  }

  // ---- connecting --------------------------------------------------------------------------------

  /** Whether time may bring a connection. */
  get wantsTick(): boolean {
    const torrent = this.#torrent
    if (this.#list.length === 0 || !torrent.ready || torrent.isFinished || torrent.isPaused) return false
    return this.#list.some(seed => !seed.disabled && seed.interesting)
  }

  /** Connects to those that are due, up to the limits. */
  connect(): void {
    const torrent = this.#torrent
    const { turn } = torrent.env
    if (this.#list.length === 0 || !this.#mayConnect) return
    const { maxWebSeedConnections } = this.settings
    let left = maxWebSeedConnections > 0 ? maxWebSeedConnections : MANY
    for (const seed of this.#list.slice()) {
      if (left <= 0 || !this.#mayConnect) return
      if (seed.disabled || seed.removed || !seed.interesting || seed.retryAt > turn.now) continue
      left--
      if (seed.peer === null && !seed.resolving) this.#open(seed)
    }
  }

  get #mayConnect(): boolean {
    const torrent = this.#torrent
    const { connects, settings } = torrent.env
    if (torrent.aborted || torrent.isPaused || torrent.pausing.graceful) return false
    if (!torrent.ready || torrent.uploadOnly) return false
    return torrent.swarm.size < torrent.maxConnections && connects.numConnections < settings.connectionsLimit
  }

  #open(seed: WebSeed): void {
    const parts = this.#checked(seed)
    if (parts === null) return
    const { settings } = this
    const port = portOf(parts)
    if (seed.endpoints.length > 0) this.#connectTo(seed, parts, seed.endpoints[0]!)
    else if (proxyResolves(settings, 'peer')) this.#connectTo(seed, parts, [UNKNOWN_ADDRESS, port])
    else {
      const { resolver, turn } = this.#torrent.env
      seed.resolving = true
      logTorrent(this.#torrent, () => `resolving web seed: "${parts.host}" ${seed.url}`)
      resolver.resolve(parts.host, { abortOnShutdown: true }, (error, addresses) =>
        turn.run('web seed look-up', () => this.#resolved(seed, parts, error, addresses)),
      )
    }
  }

  /** @returns its URL's parts; `null` if it cannot be used, which was told */
  #checked(seed: WebSeed): UrlParts | null {
    const { settings } = this
    const { connects } = this.#torrent.env
    const parts = parseUrl(seed.url)
    if (typeof parts !== 'object') {
      logTorrent(this.#torrent, () => `failed to parse web seed url: ${libtorrentError(parts).message()}`)
      this.#failed(seed, parts)
      this.#remove(seed)
      return null
    }
    const port = portOf(parts)
    const protocol = parts.protocol.toLowerCase()
    let refusal: LibtorrentErrors | null = null
    if (!settings.allowIdna && isIdna(parts.host)) refusal = LibtorrentErrors.blockedByIdna
    else if (seed.entry?.banned === true) refusal = LibtorrentErrors.peerBanned
    else if (protocol !== 'http' && protocol !== 'https') refusal = LibtorrentErrors.unsupportedUrlProtocol
    else if (port > 0 && port <= 0xffff && connects.isPortBlocked(port)) refusal = LibtorrentErrors.portBlocked
    if (refusal !== null) {
      logTorrent(this.#torrent, () => `${this.#refusalText(refusal)}: ${seed.url}`)
      this.#failed(seed, refusal)
      seed.disabled = true
      return null
    }
    if (port === 0 || port > 0xffff || !URL.canParse(seed.url)) {
      this.#failed(seed, LibtorrentErrors.invalidPort)
      this.#remove(seed)
      return null
    }
    return parts
  }

  #refusalText(refusal: LibtorrentErrors): string {
    switch (refusal) {
      case LibtorrentErrors.blockedByIdna:
        return 'IDNA disallowed in web seeds'
      case LibtorrentErrors.peerBanned:
        return 'banned web seed'
      default:
        return `web seed refused (${libtorrentError(refusal).message()})`
    }
  }

  #resolved(seed: WebSeed, parts: UrlParts, error: ErrorCode | null, addresses: readonly string[]): void {
    const { turn } = this.#torrent.env
    logTorrent(this.#torrent, () => `completed resolve: ${seed.url}`)
    seed.resolving = false
    if (seed.removed || this.#torrent.aborted) return
    if (error !== null || addresses.length === 0) {
      const code = error ?? NO_ERROR
      logTorrent(this.#torrent, () => `*** HOSTNAME LOOKUP FAILED: ${seed.url}: (${code.value()}) ${code.message()}`)
      this.#post(seed, error ?? new ErrorCode(NetdbErrors.hostNotFound, netdbCategory()), '')
      seed.retryAt = turn.now + this.settings.webSeedNameLookupRetry * 1000
      return
    }
    const allowed = seed.noLocalAddresses ? addresses.filter(isGlobal) : addresses
    if (allowed.length === 0) {
      this.#failed(seed, LibtorrentErrors.bannedByIpFilter)
      seed.disabled = true
      return
    }
    const port = portOf(parts)
    seed.endpoints = allowed.map((address): Endpoint => [address, port])
    for (const endpoint of seed.endpoints) logTorrent(this.#torrent, () => `  -> ${endpointToString(endpoint)}`)
    if (seed.peer === null && this.#mayConnect) this.#connectTo(seed, parts, seed.endpoints[0]!)
  }

  #connectTo(seed: WebSeed, parts: UrlParts, endpoint: Endpoint): void {
    const torrent = this.#torrent
    const { env } = torrent
    const [address] = endpoint
    if (torrent.appliesIpFilter && env.connects.isBlocked(address)) {
      this.#blocked(endpoint, PeerBlockedReason.ipFilter)
      seed.endpoints.shift()
      if (seed.endpoints.length === 0) this.#waitToRetry(seed)
      return
    }
    // a torrent must not be able to make us ask services of the local network for more than files
    if (this.settings.ssrfMitigation && address !== UNKNOWN_ADDRESS && isLocal(address) && parts.path.includes('?')) {
      logTorrent(torrent, () => `*** SSRF MITIGATION BLOCKED WEB SEED: ${seed.url}`)
      this.#failed(seed, LibtorrentErrors.ssrfMitigation)
      this.#blocked(endpoint, PeerBlockedReason.ssrfMitigation)
      seed.disabled = true
      return
    }
    logTorrent(torrent, () => `web seed connection started: [${endpointToString(endpoint)}] ${seed.url}`)
    const { list } = torrent.swarm
    if (seed.entry === null) seed.entry = list.addDetached(endpoint)
    else {
      seed.entry.address = address
      seed.entry.port = endpoint[1]
    }
    seed.reported = false
    const server = seed.server(torrent.content!.files, endpoint, parts.host, this)
    seed.peer = torrent.swarm.connectWebSeed(seed.entry, server)
  }

  // ---- WebSeedReports ----------------------------------------------------------------------------

  get settings(): SessionSettings {
    return this.#torrent.env.settings
  }

  get proxy(): ProxyOptions | null {
    return proxyFor(this.settings, 'peer')
  }

  localAddress(to: Endpoint): string | null {
    return this.#torrent.env.connects.outgoingAddress(to)
  }

  openSession(pipelining: number): HttpSession {
    return this.#torrent.env.http.session(pipelining)
  }

  /**
   * The server that is named gets the file, and is a web seed from now on; this one is not asked for it again.
   *
   * Deviation: libtorrent lets itself be sent on without end.
   */
  redirected(seed: WebSeed, file: number, head: HttpHead, location: string): LinkEnd {
    const torrent = this.#torrent
    const { files } = torrent.content!
    const target = redirectTarget(location, head.url)
    if (target === null) return this.unusable(seed, libtorrentError(LibtorrentErrors.missingLocation))
    const hops = Math.max(seed.hops, seed.redirects.get(file)?.hops ?? 0) + 1
    const remote = seed.peer?.endpoint[0] ?? UNKNOWN_ADDRESS
    const noLocal = seed.noLocalAddresses || (this.settings.ssrfMitigation && isGlobal(remote))
    seed.lacks(file, files)
    const several = hasSeveralFiles(files)
    if (hops > MAX_HOPS) this.#failed(seed, LibtorrentErrors.redirecting)
    else {
      const other = this.#found(several ? originOf(target) : target, seed, several ? 0 : hops, noLocal)
      if (several && other !== null) {
        other.redirects.set(file, { url: target, hops })
        other.gains(file)
        this.#tell(other)
      }
    }
    return { error: libtorrentError(LibtorrentErrors.redirecting), severity: Severity.normal }
  }

  /** A web seed that a redirect named. @returns `null` if there are too many */
  #found(url: string, by: WebSeed, hops: number, noLocal: boolean): WebSeed | null {
    const known = this.#find(url)
    if (known !== undefined) return known
    if (this.#list.filter(seed => seed.ephemeral).length >= MAX_EPHEMERAL) return null
    // what was meant for one server is not for others
    const auth = originOf(url) === originOf(by.url) ? by.auth : ''
    const seed = new WebSeed({ url, auth, extraHeaders: by.extraHeaders }, { hops, noLocal })
    const { files } = this.#torrent.content!
    // a directory has the files that redirects name, and no others
    if (hasSeveralFiles(files)) seed.haveFiles = new Bitfield(files.numFiles())
    this.#list.push(seed)
    return seed
  }

  /** Connected already, it has more than it had. */
  #tell(seed: WebSeed): void {
    const { peer } = seed
    if (peer === null || peer.disconnecting || peer.inHandshake || seed.haveFiles === null) return
    const pieces = seed.server(this.#torrent.content!.files, peer.endpoint, '', this).pieces
    if (pieces === 'all') return
    for (let piece = 0; piece < pieces.size(); piece++) {
      if (pieces.getBit(piece) && !peer.hasPiece(piece)) peer.availability.onHave(piece)
    }
  }

  /**
   * Deviation: libtorrent takes every status for "not here", also those that name a time to come back: a server of one
   * file that is overloaded is never asked again.
   */
  refused(seed: WebSeed, file: number, head: HttpHead): LinkEnd {
    const torrent = this.#torrent
    const { status, statusText } = head
    if (!TEMPORARY.has(status)) seed.lacks(file, torrent.content!.files)
    const seconds = retryAfter(head) ?? this.settings.urlseedWaitRetry
    seed.retryAt = torrent.env.turn.now + seconds * 1000
    const error = new ErrorCode(status, httpCategory())
    this.#post(seed, error, `${status} ${statusText}`)
    return { error, severity: Severity.failure }
  }

  unusable(seed: WebSeed, error: ErrorCode): LinkEnd {
    seed.disabled = true
    this.#post(seed, error, '')
    return { error, severity: Severity.peerError }
  }

  /** A connection has ended. */
  closed(peer: PeerConnection, error: ErrorCode, operation: Operation, severity: Severity): void {
    const seed = this.#list.find(other => other.peer === peer)
    if (seed === undefined) return
    seed.peer = null
    if (operation === Operation.connect) seed.endpoints.shift()
    if (error.is(LibtorrentErrors.uninterestingUploadPeer)) {
      if (seed.ephemeral) seed.interesting = false
      this.#waitToRetry(seed)
    }
    if (severity > Severity.normal) {
      // libtorrent leaves it at the alerts of peers, which do not say which web seed it was
      if (!seed.reported) this.#post(seed, error, '')
      this.#waitToRetry(seed)
    }
    if (seed.disabled && seed.ephemeral) this.#remove(seed)
    if (error.is(LibtorrentErrors.redirecting)) this.#torrent.env.turn.later(() => this.connect())
  }

  #waitToRetry(seed: WebSeed): void {
    seed.retryAt = Math.max(seed.retryAt, this.#torrent.env.turn.now + this.settings.urlseedWaitRetry * 1000)
  }

  // ---- bad data ----------------------------------------------------------------------------------

  /**
   * A piece failed that one peer alone sent. A web seed of several files may have another copy of one of them: it is taken
   * not to have that file, or the piece if it has parts of several.
   *
   * @returns whether the peer may be banned for it
   */
  mayBan(entry: PeerEntry, piece: PieceIndex): boolean {
    if (!entry.webSeed) return true
    const { files, geometry } = this.#torrent.content!
    const peer = entry.connection as PeerConnection | null
    if (!hasSeveralFiles(files) || peer === null) return true
    const parts = files.mapBlock(piece, 0, geometry.pieceSize(piece)).filter(part => !files.padFileAt(part.fileIndex))
    if (parts.length === 1) {
      for (const other of geometry.piecesOfFile(parts[0]!.fileIndex)) peer.availability.onDontHave(other)
    } else peer.availability.onDontHave(piece)
    return peer.availability.numHave === 0
  }

  // ---- telling -----------------------------------------------------------------------------------

  #failed(seed: WebSeed, error: LibtorrentErrors): void {
    this.#post(seed, libtorrentError(error), '')
  }

  #post(seed: WebSeed, error: ErrorCode, said: string): void {
    const { alerts } = this.#torrent.env
    seed.reported = true
    if (alerts.wants(UrlSeedAlert)) alerts.post(new UrlSeedAlert(this.#torrent, error, seed.url, said))
  }

  #blocked(endpoint: Endpoint, reason: PeerBlockedReason): void {
    const { alerts } = this.#torrent.env
    if (alerts.wants(PeerBlockedAlert)) alerts.post(new PeerBlockedAlert(this.#torrent, endpoint, reason))
  }
}
