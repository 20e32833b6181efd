/**
 * The peers of one torrent: those known, those connected, whom to connect to next, and who leaves when
 * there are too many.
 */

import { PeerBanAlert, PeerBlockedAlert } from '../alert/peer-alerts.ts'
import type { PieceIndex } from '../core/brands.ts'
import { Sha1Hash } from '../core/digest.ts'
import { type Endpoint, endpointToString } from '../core/endpoint.ts'
import { PeerBlockedReason, PexFlags, SocketType } from '../core/enums.ts'
import { type ErrorCode, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { Stream } from '../core/runtime.ts'
import { logOpened } from '../peer/connection-log.ts'
import { PeerConnection } from '../peer/peer-connection.ts'
import type { PeerHost } from '../peer/peer-host.ts'
import type { WebSeedServer } from '../peer/web-seed-server.ts'
import * as C from '../stats/counter-ids.ts'
import { type PeerEntry, PeerSource } from './peer-entry.ts'
import { PeerList, type PeerListHost } from './peer-list.ts'
import type { Torrent } from './torrent.ts'
import type { TorrentEnv } from './torrent-env.ts'
import { limitText, logTorrent } from './torrent-log.ts'

/** What a swarm reads of its torrent, and tells it. */
export interface SwarmHost {
  readonly isFinished: boolean
  readonly isPaused: boolean
  readonly aborted: boolean
  readonly appliesIpFilter: boolean
  readonly maxConnections: number
  /** Whether more peers are of use now. */
  readonly wantsPeers: boolean
  readonly host: PeerHost
  readonly alertSource: Torrent
  peerErased(entry: PeerEntry): void
  connectionsChanged(): void
}

export class Swarm implements PeerListHost {
  readonly #host: SwarmHost
  readonly #env: TorrentEnv
  readonly connections: PeerConnection[] = []
  #list: PeerList | null = null
  numConnecting = 0
  numSeeds = 0
  numUploads = 0
  hasIncoming = false
  /** Connections still to be made at once after a start (`torrent_connect_boost`). */
  boost: number

  constructor(host: SwarmHost, env: TorrentEnv) {
    this.#host = host
    this.#env = env
    this.boost = env.settings.torrentConnectBoost
  }

  // ---- PeerListHost ------------------------------------------------------------------------------

  get isFinished(): boolean {
    return this.#host.isFinished
  }

  get maxPeerlistSize(): number {
    const { settings } = this.#env
    return this.#host.isPaused ? settings.maxPausedPeerlistSize : settings.maxPeerlistSize
  }

  get minReconnectTime(): number {
    return this.#env.settings.minReconnectTime
  }

  get maxFailcount(): number {
    return this.#env.settings.maxFailcount
  }

  get allowMultipleConnectionsPerIp(): boolean {
    return this.#env.settings.allowMultipleConnectionsPerIp
  }

  externalEndpoint(towards: string): Endpoint {
    return this.#env.discovery.externalEndpoint(towards)
  }

  peerErased(entry: PeerEntry): void {
    this.#host.peerErased(entry)
  }

  // ---- known peers -------------------------------------------------------------------------------

  /** `null` as long as no peer was ever heard of. */
  get known(): PeerList | null {
    return this.#list
  }

  get list(): PeerList {
    this.#list ??= new PeerList(this, this.#env.rng.fork('peer-list'))
    return this.#list
  }

  entry(ref: number): PeerEntry | undefined {
    return this.#list?.byId(ref)
  }

  /**
   * A peer was heard of.
   *
   * @param source a `PeerSource`
   * @param flags  `PexFlags`
   * @returns its entry; `null` if it was refused
   */
  addPeer(endpoint: Endpoint, source: number, flags = 0): PeerEntry | null {
    const [address, port] = endpoint
    if (this.#host.appliesIpFilter && this.#env.connects.isBlocked(address)) {
      this.#blocked(endpoint, PeerBlockedReason.ipFilter)
      return null
    }
    if (this.#env.connects.isPortBlocked(port)) {
      this.#blocked(endpoint, PeerBlockedReason.portFilter)
      return null
    }
    if (this.#env.settings.noConnectPrivilegedPorts && port < 1024) {
      this.#blocked(endpoint, PeerBlockedReason.privilegedPorts)
      return null
    }
    // many clients that are nodes too do not say so
    if (source !== PeerSource.resumeData) this.#env.dht.addNode(endpoint)
    const added = this.list.addPeer(endpoint, source, this.#withProtocol(flags))
    if (added === null) return null
    this.#host.connectionsChanged()
    return added.entry
  }

  /** Peers of a torrent that has one info-hash have that. */
  #withProtocol(flags: number): number {
    const { infoHash } = this.#host.host
    if (!infoHash.hasV2()) return flags & ~PexFlags.pexLtV2
    return infoHash.hasV1() ? flags : flags | PexFlags.pexLtV2
  }

  #blocked(endpoint: Endpoint, reason: PeerBlockedReason): void {
    const { alerts } = this.#env
    if (alerts.wants(PeerBlockedAlert)) {
      alerts.post(new PeerBlockedAlert(this.#host.alertSource, endpoint, reason))
    }
  }

  ban(entry: PeerEntry): void {
    if (entry.banned || (entry.webSeed && !this.#env.settings.banWebSeeds)) return
    this.list.banPeer(entry)
    this.#env.counters.inc(C.PEER_NUM_BANNED_PEERS)
    const { alerts } = this.#env
    if (alerts.wants(PeerBanAlert)) {
      const pid = (entry.connection as PeerConnection | null)?.pid ?? new Sha1Hash()
      alerts.post(new PeerBanAlert(this.#host.alertSource, entry.endpoint(), pid))
    }
  }

  /**
   * The torrent has turned out to be private: peers known from the DHT, peer exchange or local discovery alone are
   * let go, connected or not.
   *
   * Deviation: libtorrent keeps them, and goes on exchanging peers.
   *
   * @see BEP 27
   */
  forgetPublicPeers(): void {
    for (const entry of this.#list?.entries().slice() ?? []) {
      if (entry.source === 0 || (entry.source & ~PUBLIC_SOURCES) !== 0) continue
      entry.connection?.disconnect(libtorrentError(LibtorrentErrors.noError), Operation.bittorrent)
      this.list.erasePeer(entry)
    }
    this.#host.connectionsChanged()
  }

  // ---- connecting --------------------------------------------------------------------------------

  /** Candidates there are for more connections. */
  get numCandidates(): number {
    return this.#list?.numConnectCandidates() ?? 0
  }

  /** Starts a connection to the best candidate. @returns false if there is none due */
  connectOne(): boolean {
    if (!this.#host.wantsPeers) return false
    const made = this.#connectNext()
    if (made === null) this.#env.counters.inc(C.PEER_NO_PEER_CONNECTION_ATTEMPTS)
    else if (!made) this.#env.counters.inc(C.PEER_MISSED_CONNECTION_ATTEMPTS)
    return made === true
  }

  /** @returns `null` if no candidate is due */
  #connectNext(): boolean | null {
    const entry = this.#list?.connectOnePeer(this.#env.sessionTime()) ?? null
    if (entry === null) return null
    this.#logCandidate(entry)
    return this.connectTo(entry)
  }

  #logCandidate(entry: PeerEntry): void {
    logTorrent(this.#host.alertSource, () => {
      const endpoint = entry.endpoint()
      const external = this.externalEndpoint(endpoint[0])
      const ago = this.#env.sessionTime() - entry.lastConnected
      return ` *** FOUND CONNECTION CANDIDATE [ ip: ${endpointToString(endpoint)} rank: ${entry.rank(external)} external: ${external[0]} t: ${ago} ]`
    })
  }

  /** Starts a connection to a known peer. */
  connectTo(entry: PeerEntry): boolean {
    const { settings } = this.#env
    if (this.#host.aborted || entry.connection !== null || entry.banned) return false
    if (!settings.enableOutgoingTcp) return false
    entry.lastConnected = this.#env.sessionTime()
    const stream = this.#env.connects.connect(entry.endpoint())
    this.#begin(entry, stream, stream.kind)
    return true
  }

  /** Starts a connection to a web seed. */
  connectWebSeed(entry: PeerEntry, server: WebSeedServer): PeerConnection {
    return this.#begin(entry, server, server.secure ? SocketType.tcpSsl : SocketType.tcp)
  }

  #begin(entry: PeerEntry, stream: Stream | WebSeedServer, kind: SocketType): PeerConnection {
    const peer = new PeerConnection({
      session: this.#env.peers,
      stream,
      outgoing: true,
      peerId: new Sha1Hash(this.#env.connects.newPeerId()),
      host: this.#host.host,
      torrentId: this.#host.alertSource.id,
      quota: this.#env.limits.quotaFor(this.#host.alertSource, entry.endpoint(), kind),
    })
    peer.setPeerEntry(entry)
    this.list.setConnection(entry, peer)
    this.numConnecting++
    this.#enter(peer)
    this.#env.counters.inc(C.PEER_CONNECTION_ATTEMPTS)
    logOpened(peer)
    this.#host.host.alert(peer, { kind: 'connect', outgoing: true })
    return peer
  }

  /** Connects to several peers at once after a start or the first tracker response. */
  connectBoost(): void {
    const { connects, counters, settings } = this.#env
    const mayConnect = () => connects.numConnections < settings.connectionsLimit && this.#host.wantsPeers
    while (this.boost > 0 && mayConnect() && this.#connectNext() === true) {
      this.boost--
      connects.boosted()
      counters.inc(C.PEER_BOOST_CONNECTION_ATTEMPTS)
    }
  }

  // ---- connections -------------------------------------------------------------------------------

  get size(): number {
    return this.connections.length
  }

  /**
   * Takes in an incoming connection that named this torrent.
   *
   * @param speaksV2 it has the v2 hash of a hybrid torrent; `null` if that cannot be told
   * @returns why not
   */
  attach(peer: PeerConnection, speaksV2: boolean | null): ErrorCode | null {
    this.hasIncoming = true
    if (this.#host.appliesIpFilter && this.#env.connects.isBlocked(peer.endpoint[0])) {
      this.#blocked(peer.endpoint, PeerBlockedReason.ipFilter)
      return libtorrentError(LibtorrentErrors.bannedByIpFilter)
    }
    const limit = (this.#host.maxConnections * 100) / peer.quota.connectionLimitFactor
    if (this.connections.length >= Math.floor(limit) && !this.#dropHalfOpen()) {
      if (!this.list.newConnection(peer, this.#env.sessionTime(), speaksV2)) return this.#refused(peer)
      const lowest = this.lowestRanking()
      const replaced = lowest !== null && this.#rank(lowest) < this.#rank(peer)
      this.#logClosing(replaced ? lowest : peer, 'peer list full (low peer rank)')
      if (!replaced) {
        this.list.connectionClosed(peer, peer.entry as PeerEntry, this.#env.sessionTime())
        return libtorrentError(LibtorrentErrors.tooManyConnections)
      }
      lowest.disconnect(libtorrentError(LibtorrentErrors.tooManyConnections), Operation.bittorrent)
    } else if (!this.list.newConnection(peer, this.#env.sessionTime(), speaksV2)) return this.#refused(peer)
    this.#enter(peer)
    logTorrent(
      this.#host.alertSource,
      () =>
        `ATTACHED CONNECTION "${endpointToString(peer.endpoint)}" connections: ${this.size} ` +
        `limit: ${limitText(this.#host.maxConnections)} num-peers: ${this.size}`,
    )
    return null
  }

  /** There is one to that peer, or none is wanted to it. */
  #refused(peer: PeerConnection): ErrorCode {
    this.#logClosing(peer, 'duplicate or banned peer, or peer list full')
    return libtorrentError(LibtorrentErrors.duplicatePeerId)
  }

  #logClosing(peer: PeerConnection, why: string): void {
    logTorrent(
      this.#host.alertSource,
      () =>
        `CLOSING CONNECTION "${endpointToString(peer.endpoint)}" ${why} connections: ${this.size} ` +
        `limit: ${limitText(this.#host.maxConnections)}`,
    )
  }

  #enter(peer: PeerConnection): void {
    this.connections.push(peer)
    if (peer.entry?.seed) this.numSeeds++
    this.#env.connects.opened(peer)
    this.#host.connectionsChanged()
  }

  /** A connection ended. */
  remove(peer: PeerConnection): void {
    const at = this.connections.indexOf(peer)
    if (at < 0) return
    const last = this.connections.pop()!
    if (last !== peer) this.connections[at] = last
    if (peer.outgoing && peer.inHandshake) this.numConnecting--
    if (!peer.amChoking && !peer.ignoresUnchokeSlots) {
      this.numUploads--
      this.#env.choker.closed(peer)
      this.#env.choker.trigger()
    }
    const entry = peer.entry as PeerEntry | null
    if (entry !== null) {
      if (entry.optimisticallyUnchoked) {
        entry.optimisticallyUnchoked = false
        this.#env.counters.inc(C.PEER_NUM_PEERS_UP_UNCHOKED_OPTIMISTIC, -1)
        this.#env.choker.triggerOptimistic()
      }
      if (entry.seed) this.numSeeds--
      this.list.connectionClosed(peer, entry, this.#env.sessionTime())
    }
    this.#env.connects.connectionClosed(peer)
    this.#host.connectionsChanged()
  }

  setSeed(peer: PeerConnection, seed: boolean): void {
    const entry = peer.entry as PeerEntry | null
    if (entry === null || entry.seed === seed) return
    this.list.setSeed(entry, seed)
    this.numSeeds += seed ? 1 : -1
  }

  setUploadOnly(peer: PeerConnection, on: boolean): void {
    const entry = peer.entry as PeerEntry | null
    if (entry !== null) this.list.setUploadOnly(entry, on)
  }

  disconnectAll(error: ErrorCode, operation: Operation): void {
    for (const peer of this.connections.slice()) peer.disconnect(error, operation)
  }

  /** Closes connections until at most `count` are left, the least useful first. */
  disconnectDownTo(count: number, error: ErrorCode): void {
    if (this.connections.length <= count) return
    const { now } = this.#env.turn
    const byUse = this.connections.toSorted((a, b) => compareUse(a, b, now))
    for (const peer of byUse.slice(0, byUse.length - Math.max(0, count))) peer.disconnect(error, Operation.bittorrent)
  }

  /** The connection whose rank is lowest. @see BEP 40 */
  lowestRanking(): PeerConnection | null {
    let lowest: PeerConnection | null = null
    for (const peer of this.connections) {
      if (peer.disconnecting || peer.connecting) continue
      if (lowest === null || this.#rank(peer) < this.#rank(lowest)) lowest = peer
    }
    return lowest
  }

  #rank(peer: PeerConnection): number {
    const entry = peer.entry as PeerEntry | null
    return entry === null ? 0 : entry.rank(this.externalEndpoint(peer.endpoint[0]))
  }

  /** Near its limit (`peer_turnover_cutoff`), and that is not so low that an exchange of peers would disrupt. */
  get isFull(): boolean {
    const { maxConnections } = this.#host
    const cutoff = Math.min(this.#env.settings.peerTurnoverCutoff, 100)
    return maxConnections >= 6 && this.size >= Math.floor((maxConnections * cutoff) / 100)
  }

  /** Makes room for a few peers that were not tried yet (`peer_turnover`): at least for one, if there is one. */
  turnover(): void {
    const share = Math.max(1, Math.floor((this.size * this.#env.settings.peerTurnover) / 100))
    const count = Math.min(share, this.numCandidates)
    this.disconnectDownTo(this.size - count, libtorrentError(LibtorrentErrors.optimisticDisconnect))
  }

  /** With many half-open connections, the oldest of them makes room. @returns whether one did */
  #dropHalfOpen(): boolean {
    if (this.numConnecting <= this.#host.maxConnections / 10) return false
    let oldest: PeerConnection | null = null
    for (const peer of this.connections) {
      if (peer.connecting && (oldest === null || peer.createdAt < oldest.createdAt)) oldest = peer
    }
    oldest?.disconnect(libtorrentError(LibtorrentErrors.tooManyConnections), Operation.bittorrent)
    return oldest !== null
  }

  ipFilterChanged(): void {
    if (this.#list === null || !this.#host.appliesIpFilter) return
    const { connects } = this.#env
    for (const peer of this.connections.slice()) {
      if (connects.isBlocked(peer.endpoint[0])) {
        this.#blocked(peer.endpoint, PeerBlockedReason.ipFilter)
        peer.disconnect(libtorrentError(LibtorrentErrors.bannedByIpFilter), Operation.bittorrent)
      }
    }
    for (const endpoint of this.#list.applyIpFilter(address => connects.isBlocked(address))) {
      this.#blocked(endpoint, PeerBlockedReason.ipFilter)
    }
  }

  portFilterChanged(): void {
    if (this.#list === null) return
    const { connects } = this.#env
    for (const peer of this.connections.slice()) {
      if (connects.isPortBlocked(peer.endpoint[1])) {
        this.#blocked(peer.endpoint, PeerBlockedReason.portFilter)
        peer.disconnect(libtorrentError(LibtorrentErrors.bannedByPortFilter), Operation.bittorrent)
      }
    }
    for (const endpoint of this.#list.applyPortFilter(port => connects.isPortBlocked(port))) {
      this.#blocked(endpoint, PeerBlockedReason.portFilter)
    }
  }

  /** Tells every peer of a new piece. */
  announcePiece(piece: PieceIndex): void {
    for (const peer of this.connections.slice()) peer.announcements.announcePiece(piece)
  }

  /** @param counter counts the picks that follow */
  updateInterest(counter?: number): void {
    for (const peer of this.connections) peer.interest.update(counter)
  }
}

/** Where anybody may say who is in a swarm. */
const PUBLIC_SOURCES = PeerSource.dht | PeerSource.pex | PeerSource.lsd

/** Less than 0 if the first connection would be missed less. */
function compareUse(a: PeerConnection, b: PeerConnection, now: number): number {
  return (
    Number(b.disconnecting) - Number(a.disconnecting) ||
    Number(a.amInterested) - Number(b.amInterested) ||
    Number(a.isSeed) - Number(b.isSeed) ||
    Number(b.onParole) - Number(a.onParole) ||
    averageRate(a, now) - averageRate(b, now) ||
    Number(b.amChoking) - Number(a.amChoking) ||
    a.lastReceive - b.lastReceive
  )
}

/** Payload bytes per second that a connection gave us so far. */
function averageRate(peer: PeerConnection, now: number): number {
  return Math.floor(peer.stats.totalPayloadDownload() / (Math.floor((now - peer.createdAt) / 1000) + 1))
}

export { PeerSource }
