/**
 * The whole of a session but its public face: makes the parts, connects them, shuts them down in order.
 *
 * Everything that happens enters through a turn (`core/turn.ts`). The same engine runs on Node and in the
 * simulator; what differs comes in by `EngineOptions`.
 */

import { AlertQueue } from '../alert/alert-queue.ts'
import { PeerBlockedAlert, PeerDisconnectedAlert, PeerErrorAlert } from '../alert/peer-alerts.ts'
import { IncomingConnectionAlert, SessionErrorAlert, StateUpdateAlert } from '../alert/session-alerts.ts'
import { SessionStatsAlert } from '../alert/stats-alerts.ts'
import { AddTorrentAlert } from '../alert/torrent-alerts.ts'
import { type InfoHash, Sha1Hash } from '../core/digest.ts'
import { type Endpoint, isUnspecified, isV6 } from '../core/endpoint.ts'
import { PeerBlockedReason, ProtocolVersion, TorrentFlags } from '../core/enums.ts'
import { type ErrorCode, LibtorrentError, libtorrentError, NO_ERROR } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import { randomBytes } from '../core/rng.ts'
import type { Runtime, Stream, TimerHandle } from '../core/runtime.ts'
import { Turn } from '../core/turn.ts'
import type { DhtState } from '../dht/dht-state.ts'
import type { DhtStorageConstructor } from '../dht/storage.ts'
import { AddTorrentParams } from '../metainfo/add-torrent-params.ts'
import { IpFilter } from '../net/ip-filter.ts'
import { IpSource } from '../net/ip-voter.ts'
import { PortFilter } from '../net/port-filter.ts'
import { proxyFor } from '../net/proxy.ts'
import { PeerConnection } from '../peer/peer-connection.ts'
import { type PeerHost, type PeerSession, Severity } from '../peer/peer-host.ts'
import { tickUnattached } from '../peer/peer-timeouts.ts'
import type { SettingsPack } from '../settings/pack-type.ts'
import { SessionSettings } from '../settings/session-settings.ts'
import type { EffectTag } from '../settings/setting-row.ts'
import * as C from '../stats/counter-ids.ts'
import { Counters } from '../stats/counters.ts'
import type { DiskIo, DiskSettings } from '../storage/disk-io.ts'
import { closeReason } from '../torrent/close-reason.ts'
import { newPickerLoops } from '../torrent/pick-blocks.ts'
import { buildStatus } from '../torrent/status-builder.ts'
import { Torrent } from '../torrent/torrent.ts'
import type { ConnectPort, DiscoveryPort, TorrentEnv } from '../torrent/torrent-env.ts'
import type { TrackerRequest, TrackerRequester, TrackerSocket } from '../tracker/announce-request.ts'
import { TrackerManager } from '../tracker/tracker-manager.ts'
import { ConnectionScheduler } from './connection-scheduler.ts'
import { DhtHost } from './dht-host.ts'
import { DhtOperations } from './dht-operations.ts'
import { ExternalAddresses } from './external-addresses.ts'
import { GlobalChoker } from './global-choker.ts'
import { type ListenSocket, ListenSockets } from './listen-sockets.ts'
import { LsdHost } from './lsd-host.ts'
import { NetworkWatch } from './network-watch.ts'
import { OutgoingAddress } from './outgoing-address.ts'
import { RateLimits } from './rate-limits.ts'
import { fillGauges } from './session-gauges.ts'
import { TorrentHandle } from './torrent-handle.ts'
import { TorrentQueue } from './torrent-queue.ts'
import { TorrentRegistry } from './torrent-registry.ts'

/** What an engine stands on. */
export interface EngineOptions {
  readonly runtime: Runtime
  /** Makes the disk back-end; each batch of its callbacks must run inside `door`. */
  readonly createDisk: (settings: DiskSettings, door: (fn: () => void) => void) => DiskIo
  readonly settings: SettingsPack
  readonly ipFilter?: IpFilter | undefined
  /** Of an earlier run. */
  readonly dhtState?: DhtState | null
  readonly dhtStorageConstructor?: DhtStorageConstructor | null
  /** Torrents do nothing until `setPaused(false)`. */
  readonly paused?: boolean
  /** File descriptors this process may have open. */
  readonly maxOpenFiles?: number
  /** Called with what a turn threw: a bug of this library. Tests rethrow it. */
  readonly onCrash?: (error: unknown, where: string) => void
}

export class Engine implements ConnectPort, DiscoveryPort {
  readonly runtime: Runtime
  readonly turn: Turn
  readonly settings: SessionSettings
  readonly counters = new Counters()
  readonly alerts: AlertQueue
  readonly disk: DiskIo
  readonly registry: TorrentRegistry
  readonly listen: ListenSockets
  readonly external: ExternalAddresses<ListenSocket>
  readonly lsd: LsdHost
  readonly limits: RateLimits
  readonly choker: GlobalChoker
  readonly queue: TorrentQueue
  readonly trackers: TrackerManager
  readonly dht: DhtHost
  readonly dhtOperations: DhtOperations
  readonly env: TorrentEnv
  readonly peers: PeerSession

  ipFilter: IpFilter
  portFilter = new PortFilter()
  paused: boolean
  readonly connections = new Set<PeerConnection>()
  /** Incoming connections that have not said which torrent they want. */
  readonly #unattached = new Set<PeerConnection>()
  readonly #scheduler: ConnectionScheduler
  readonly #ourPeerIds = new Map<string, number>()
  readonly #started: number
  readonly #onCrash: ((error: unknown, where: string) => void) | null
  #tickTimer: TimerHandle | null = null
  #lastTick: number
  #lastSecond: number
  #submitQueued = false
  readonly #outgoing: OutgoingAddress
  readonly #networks: NetworkWatch
  #closed = false
  #closing: (() => void) | null = null

  constructor(options: EngineOptions) {
    const { runtime } = options
    this.runtime = runtime
    this.#onCrash = options.onCrash ?? null
    this.turn = new Turn(
      () => runtime.clock.now(),
      (error, where) => this.#crashed(error, where),
      () => this.#submitDisk(),
    )
    this.settings = new SessionSettings(options.settings, options.maxOpenFiles)
    this.#outgoing = new OutgoingAddress(this.settings, runtime)
    this.paused = options.paused === true
    this.ipFilter = options.ipFilter?.clone() ?? new IpFilter()
    this.alerts = new AlertQueue(runtime, this.settings.alertMask, this.settings.alertQueueSize)
    this.turn.enter()
    this.#started = this.turn.now
    this.#lastTick = this.turn.now
    this.#lastSecond = this.turn.now
    this.#networks = new NetworkWatch(runtime, this.turn.now)
    this.disk = options.createDisk(this.#diskSettings(), fn => {
      this.counters.inc(C.NET_ON_DISK_COUNTER)
      this.turn.run('disk', fn)
    })
    this.disk.slots.onRelief(() => this.turn.run('memory', () => this.#memoryFree()))
    this.registry = new TorrentRegistry({
      triggerAutoManage: () => this.queue.trigger(),
      peersWanted: () => this.#scheduler.peersWanted(),
      torrentClosed: torrent => this.#torrentClosed(torrent),
    })
    const engine = this
    this.#scheduler = new ConnectionScheduler({
      settings: this.settings,
      counters: this.counters,
      registry: this.registry,
      get numConnections() {
        return engine.connections.size
      },
      get numUnattached() {
        return engine.#unattached.size
      },
      afterPoll: fn =>
        runtime.afterPoll(() => {
          if (!this.#closed) this.turn.run('connect', fn)
        }),
    })
    this.limits = new RateLimits({
      turn: this.turn,
      settings: this.settings,
      setTimer: (ms, fn) => runtime.setTimer(ms, fn),
      torrent: id => this.registry.byId(id) ?? null,
    })
    this.choker = new GlobalChoker({
      turn: this.turn,
      settings: this.settings,
      counters: this.counters,
      connections: () => this.connections,
      torrentOf: peer => this.torrentOf(peer),
      sessionTime: () => this.sessionTime(),
    })
    this.listen = new ListenSockets({
      runtime,
      turn: this.turn,
      settings: this.settings,
      alerts: this.alerts,
      accepted: (stream, socket) => this.#accepted(stream, socket),
      packet: (packet, from, socket) => this.#packet(packet, from, socket),
      packetError: (error, to) => this.dht.packetError(error, to),
      changed: () => this.#listenSocketsChanged(),
    })
    this.external = new ExternalAddresses({
      turn: this.turn,
      rng: runtime.rng.fork('ip-voter'),
      alerts: this.alerts,
      sockets: () => this.listen.sockets,
    })
    this.external.onChanged(socket => {
      for (const torrent of this.registry.all()) torrent.swarm.known?.clearPeerRanks()
      this.dht.externalAddressChanged(socket)
    })
    this.lsd = new LsdHost({
      runtime,
      rng: runtime.rng,
      turn: this.turn,
      settings: this.settings,
      alerts: this.alerts,
      counters: this.counters,
      listen: this.listen,
      torrents: this.registry,
    })
    this.trackers = new TrackerManager(this.settings, {
      http: runtime.http,
      resolver: runtime.resolver,
      turn: fn => this.turn.run('tracker', fn),
      rng: runtime.rng.fork('trackers'),
      now: () => this.turn.now,
      defer: fn => runtime.defer(() => this.turn.run('tracker', fn)),
      sendUdp: (socket, to, packet) => (socket as ListenSocket).send(packet, to, 'tracker'),
      sendUdpToHost: (socket, host, port, packet) => (socket as ListenSocket).sendToHost(packet, host, port, 'tracker'),
      sentBytes: n => this.counters.inc(C.NET_SENT_TRACKER_BYTES, n),
      receivedBytes: n => this.counters.inc(C.NET_RECV_TRACKER_BYTES, n),
      queueLength: n => this.counters.set(C.TRACKER_NUM_QUEUED_TRACKER_ANNOUNCES, n),
      idle: () => this.#maybeClosed(),
    })
    runtime.resolver.setCacheTimeout(this.settings.resolverCacheTimeout)
    this.dht = new DhtHost(
      {
        runtime,
        turn: this.turn,
        settings: this.settings,
        counters: this.counters,
        alerts: this.alerts,
        listen: this.listen,
        registry: this.registry,
        externalAddress: socket => this.external.of(socket),
        voteExternalAddress: (socket, address, voter) => this.external.voteFor(socket, address, IpSource.dht, voter),
      },
      options.dhtState ?? null,
      options.dhtStorageConstructor ?? null,
    )
    this.dhtOperations = new DhtOperations({
      alerts: this.alerts,
      tracker: () => this.dht.tracker,
      defer: fn => runtime.defer(fn),
    })
    this.peers = this.#peerSession()
    this.env = {
      turn: this.turn,
      clock: runtime.clock,
      rng: runtime.rng.fork('torrents'),
      settings: this.settings,
      counters: this.counters,
      pickerLoops: newPickerLoops(),
      alerts: this.alerts,
      disk: this.disk,
      resolver: runtime.resolver,
      http: runtime.http,
      peers: this.peers,
      registry: this.registry,
      connects: this,
      choker: this.choker,
      discovery: this,
      dht: this.dht,
      limits: this.limits,
      sessionTime: () => this.sessionTime(),
    }
    this.queue = new TorrentQueue({
      turn: this.turn,
      settings: this.settings,
      torrents: () => this.registry.all(),
      isPaused: () => this.paused,
    })
    this.listen.reopen()
    this.dht.update()
    this.#scheduleTick()
    this.turn.leave()
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Whole seconds since the start, from 1. */
  sessionTime(): number {
    return Math.floor((this.turn.now - this.#started) / 1000) + 1
  }

  torrentOf(peer: PeerConnection): Torrent | null {
    return peer.torrentId === null ? null : (this.registry.byId(peer.torrentId) ?? null)
  }

  // ---- torrents ------------------------------------------------------------------------------------

  /**
   * Adds a torrent, or returns the one there is.
   *
   * @throws LibtorrentError if it cannot be added
   */
  addTorrent(params: AddTorrentParams): TorrentHandle {
    const fail = (error: LibtorrentErrors): never => {
      const code = libtorrentError(error)
      this.alerts.post(new AddTorrentAlert(unaddedTorrent(params), params, code))
      throw new LibtorrentError(code)
    }
    if (this.#closed) return fail(LibtorrentErrors.sessionIsClosing)
    const { ti } = params
    if (ti !== null && !ti.isValid()) return fail(LibtorrentErrors.noMetadata)
    if (ti !== null && ti.numFiles() === 0) return fail(LibtorrentErrors.noFilesInTorrent)
    if (ti !== null && contradicts(params.infoHashes, ti.infoHashes()))
      return fail(LibtorrentErrors.mismatchingInfoHash)
    const hashes = ti?.infoHashes() ?? params.infoHashes
    if (!hashes.hasV1() && !hashes.hasV2()) return fail(LibtorrentErrors.missingInfoHashInUri)
    if (params.savePath === '') return fail(LibtorrentErrors.invalidSavePath)
    const existing = this.registry.find(hashes)
    if (existing !== undefined) {
      if (params.flags & TorrentFlags.duplicateIsError) return fail(LibtorrentErrors.duplicateTorrent)
      if (this.alerts.wants(AddTorrentAlert)) this.alerts.post(new AddTorrentAlert(existing, params, NO_ERROR))
      return existing.handle
    }
    const id = this.registry.nextId()
    const handle = new TorrentHandle(this, id, hashes)
    const torrent = new Torrent(id, ownParams(params), handle, this.env, this.paused)
    handle.bind(torrent)
    this.registry.insert(torrent)
    for (const [host, port] of torrent.dhtNodes) this.dht.addNodeName(host, port)
    this.counters.inc(C.SES_NUM_TOTAL_PIECES_ADDED, ti?.numPieces() ?? 0)
    if (!torrent.appliesIpFilter) this.counters.inc(C.SES_NON_FILTER_TORRENTS)
    if (this.alerts.wants(AddTorrentAlert)) this.alerts.post(new AddTorrentAlert(torrent, params, NO_ERROR))
    torrent.start()
    if (torrent.autoManaged) this.queue.trigger()
    return handle
  }

  /** @param flags `Session.deleteFiles`, `Session.deletePartfile` */
  removeTorrent(torrent: Torrent, flags: number): void {
    if (this.registry.byId(torrent.id) !== torrent) return
    if (!torrent.appliesIpFilter) this.counters.inc(C.SES_NON_FILTER_TORRENTS, -1)
    if (flags !== 0) torrent.files.delete(flags)
    torrent.abort()
    this.registry.remove(torrent)
    this.queue.trigger()
  }

  #torrentClosed(torrent: Torrent): void {
    torrent.announcer.close()
    this.#maybeClosed()
  }

  setPaused(paused: boolean): void {
    if (this.paused === paused) return
    this.paused = paused
    for (const torrent of [...this.registry.all()]) torrent.pausing.setSession(paused)
  }

  postTorrentUpdates(flags: number): void {
    const updated = this.registry.takeUpdated()
    this.alerts.post(new StateUpdateAlert(updated.map(torrent => buildStatus(torrent, flags))))
  }

  postSessionStats(): void {
    fillGauges(this)
    this.alerts.post(new SessionStatsAlert(this.counters.snapshot()))
  }

  // ---- settings --------------------------------------------------------------------------------------

  /** @throws TypeError on an unknown name or a wrong type; nothing has changed then */
  applySettings(pack: SettingsPack): void {
    const effects = this.settings.applyPack(pack)
    for (const effect of effects) this.#applyEffect(effect)
  }

  #applyEffect(effect: EffectTag): void {
    const { settings } = this
    switch (effect) {
      case 'listenInterfaces':
        this.listen.reopen()
        break
      case 'lsd':
        this.lsd.update()
        break
      case 'proxy':
        this.listen.proxyChanged()
        break
      case 'uploadRate':
      case 'downloadRate':
        this.limits.settingsChanged()
        break
      case 'unchokeLimit':
        this.choker.settingsChanged()
        break
      case 'connectionsLimit':
        this.#scheduler.limitChanged()
        break
      case 'alertMask':
        this.alerts.setMask(settings.alertMask)
        break
      case 'alertQueueSize':
        this.alerts.setLimit(settings.alertQueueSize)
        break
      case 'autoManage':
      case 'countSlow':
        this.queue.trigger()
        break
      case 'disk':
        this.disk.applySettings(this.#diskSettings())
        break
      case 'wantPeers':
      case 'maxFailcount':
        for (const torrent of this.registry.all()) torrent.listsChanged()
        break
      case 'resolverCacheTimeout':
        this.runtime.resolver.setCacheTimeout(settings.resolverCacheTimeout)
        break
      case 'dht':
        this.dht.update()
        break
      case 'dhtBootstrapNodes':
        this.dht.bootstrapNodesChanged()
        break
      case 'dhtAnnounceInterval':
        this.dht.announces.intervalChanged()
        break
      case 'privilegedPorts':
        for (const torrent of this.registry.all()) torrent.swarm.portFilterChanged()
        break
      default:
        break
    }
  }

  #diskSettings(): DiskSettings {
    const { settings } = this
    return {
      aioThreads: settings.aioThreads,
      hashingThreads: settings.hashingThreads,
      filePoolSize: settings.filePoolSize,
      maxQueuedDiskBytes: settings.maxQueuedDiskBytes,
      writeMode: settings.diskIoWriteMode,
      readMode: settings.diskIoReadMode,
    }
  }

  setIpFilter(filter: IpFilter): void {
    this.ipFilter = filter.clone()
    for (const torrent of [...this.registry.all()]) torrent.swarm.ipFilterChanged()
  }

  #ban(address: string): void {
    this.ipFilter.addRule(address, address, IpFilter.AccessFlags.blocked)
    for (const torrent of [...this.registry.all()]) torrent.swarm.ipFilterChanged()
  }

  setPortFilter(filter: PortFilter): void {
    this.portFilter = filter
    for (const torrent of [...this.registry.all()]) torrent.swarm.portFilterChanged()
  }

  // ---- time --------------------------------------------------------------------------------------------

  #scheduleTick(): void {
    this.#tickTimer = this.runtime.setTimer(this.settings.tickInterval, () =>
      this.turn.run('tick', () => {
        this.#tickTimer = null
        if (!this.#stopped) this.#scheduleTick()
        this.#tick()
      }),
    )
  }

  get #stopped(): boolean {
    return this.#closed && this.#closing === null
  }

  #tick(): void {
    const { now } = this.turn
    this.counters.inc(C.NET_ON_TICK_COUNTER)
    this.trackers.tick(now)
    for (const torrent of this.registry.dueAnnounces(now)) torrent.announceTick(now)
    if (this.#closed) {
      this.#maybeClosed()
      return
    }
    this.#scheduler.tick(now - this.#lastTick)
    this.#lastTick = now
    const elapsed = now - this.#lastSecond
    if (elapsed >= 900) {
      this.#lastSecond = now
      this.dht.secondTick()
      for (const torrent of [...this.registry.ticking]) torrent.secondTick(elapsed)
      for (const peer of [...this.#unattached]) tickUnattached(peer, now)
      this.choker.tick(now)
      this.queue.tick(now)
      this.lsd.tick()
      this.#scheduler.secondTick()
      if (this.settings.enableIpNotifier && this.#networks.changed(now)) this.listen.reopen()
    }
    this.#scheduler.connectMore()
    this.#resumeStarved()
  }

  /** Connections that wait for memory: sees to it that some is freed, and that they notice. */
  #resumeStarved(): void {
    let starved = false
    for (const peer of this.connections) {
      if (!peer.receiving.pausedForMemory) continue
      if (!starved) this.registry.memoryShort()
      starved = true
      peer.receiving.resume()
    }
    // Nobody asks for more while memory is short: what is not written or given up now would stay for good.
    if (this.disk.slots.underPressure && !starved && !this.registry.isWriting) this.registry.memoryShort()
  }

  /** Disk jobs of this poll go out together. */
  #submitDisk(): void {
    if (this.#submitQueued) return
    this.#submitQueued = true
    this.runtime.afterPoll(() => {
      this.#submitQueued = false
      this.disk.submit()
    })
  }

  #memoryFree(): void {
    for (const peer of this.connections) {
      if (peer.receiving.pausedForMemory) peer.receiving.resume()
      if (peer.disconnecting || peer.peerChoking || !peer.amInterested) continue
      peer.download.refill(C.PICKER_INCOMING_PIECE_PICKS)
    }
  }

  // ---- connections: ConnectPort ------------------------------------------------------------------------

  connect(to: Endpoint): Stream {
    const { settings } = this
    return this.runtime.connect({ to, local: this.#outgoing.next(to), proxy: proxyFor(settings, 'peer') })
  }

  outgoingAddress(to: Endpoint): string | null {
    const address = this.#outgoing.next(to)?.[0] ?? null
    return address === null || isUnspecified(address) ? null : address
  }

  boosted(): void {
    this.#scheduler.boosted()
  }

  get numConnections(): number {
    return this.connections.size
  }

  opened(peer: PeerConnection): void {
    this.connections.add(peer)
    this.#unattached.delete(peer)
  }

  connectionClosed(peer: PeerConnection): void {
    this.connections.delete(peer)
    this.#unattached.delete(peer)
    const key = peer.ourPeerId.key()
    const count = (this.#ourPeerIds.get(key) ?? 0) - 1
    if (count <= 0) this.#ourPeerIds.delete(key)
    else this.#ourPeerIds.set(key, count)
  }

  makeRoom(torrent: Torrent): boolean {
    return this.#scheduler.makeRoom(torrent)
  }

  newPeerId(): Uint8Array {
    const id = randomBytes(this.runtime.rng, 20)
    const print = this.settings.peerFingerprint
    for (let i = 0; i < Math.min(print.length, 20); i++) id[i] = print.charCodeAt(i)
    // what clients print of peer ids, and some trackers take, are URL characters
    for (let i = print.length; i < 20; i++) id[i] = URL_CHARACTERS.charCodeAt(id[i]! % URL_CHARACTERS.length)
    const key = new Sha1Hash(id).key()
    this.#ourPeerIds.set(key, (this.#ourPeerIds.get(key) ?? 0) + 1)
    return id
  }

  isOurPeerId(peerId: Uint8Array): boolean {
    return this.#ourPeerIds.has(new Sha1Hash(peerId).key())
  }

  isBlocked(address: string): boolean {
    return (this.ipFilter.access(address) & IpFilter.AccessFlags.blocked) !== 0
  }

  isPortBlocked(port: number): boolean {
    return this.portFilter.access(port) !== 0
  }

  #accepted(stream: Stream, _socket: ListenSocket): void {
    const { settings, alerts } = this
    const { remote } = stream
    this.counters.inc(C.NET_ON_ACCEPT_COUNTER)
    if (this.#closed || this.paused) {
      stream.close()
      return
    }
    if (this.counters.get(C.SES_NON_FILTER_TORRENTS) === 0 && this.isBlocked(remote[0])) {
      if (alerts.wants(PeerBlockedAlert)) {
        alerts.post(new PeerBlockedAlert(SESSION_SOURCE, remote, PeerBlockedReason.ipFilter))
      }
      stream.close()
      return
    }
    if (this.registry.numTorrents === 0) {
      stream.close()
      return
    }
    if (alerts.wants(IncomingConnectionAlert)) alerts.post(new IncomingConnectionAlert(stream.kind, remote))
    const open = this.connections.size + this.#unattached.size
    if (open >= settings.connectionsLimit + settings.connectionsSlack) {
      if (alerts.wants(PeerDisconnectedAlert)) {
        const error = libtorrentError(LibtorrentErrors.tooManyConnections)
        alerts.post(
          new PeerDisconnectedAlert(SESSION_SOURCE, remote, NO_PEER_ID, Operation.bittorrent, stream.kind, error, 0),
        )
      }
      stream.close()
      return
    }
    this.counters.inc(C.PEER_INCOMING_CONNECTIONS)
    this.counters.set(C.NET_HAS_INCOMING_CONNECTIONS, 1)
    const peer = new PeerConnection({
      session: this.peers,
      stream,
      outgoing: false,
      peerId: new Sha1Hash(this.newPeerId()),
      host: null,
      torrentId: null,
      quota: this.limits.quotaFor(null, remote, stream.kind),
    })
    this.#unattached.add(peer)
  }

  /** An incoming connection has named its torrent. @param upgrades it would speak v2 */
  #attach(peer: PeerConnection, infoHash: Sha1Hash, upgrades: boolean): PeerHost | ErrorCode {
    const torrent = this.registry.byHash(infoHash)
    if (torrent === undefined || torrent.aborted) {
      // we have made this hash up for our DHT packets: the peer goes through what nodes are asked for
      if (torrent === undefined && this.dht.isOurSecret(infoHash)) this.#ban(peer.endpoint[0])
      return libtorrentError(LibtorrentErrors.invalidInfoHash)
    }
    if (torrent.isPaused && torrent.autoManaged && this.settings.incomingStartsQueuedTorrents) torrent.resume()
    if (torrent.isPaused || torrent.pausing.graceful) return libtorrentError(LibtorrentErrors.torrentPaused)
    if (torrent.content !== null && !torrent.ready) return libtorrentError(LibtorrentErrors.torrentNotReady)
    if (this.connections.size >= this.settings.connectionsLimit && !this.makeRoom(torrent)) {
      return libtorrentError(LibtorrentErrors.tooManyConnections)
    }
    peer.torrentId = torrent.id
    const { infoHashes } = torrent
    const isHybrid = infoHashes.hasV1() && infoHashes.hasV2()
    const speaksV2 = isHybrid ? upgrades || infoHash.equals(infoHashes.get(ProtocolVersion.V2)) : null
    const refusal = torrent.swarm.attach(peer, speaksV2)
    if (refusal !== null) {
      peer.torrentId = null
      return refusal
    }
    peer.quota.joined(torrent.id)
    return torrent.host
  }

  #peerSession(): PeerSession {
    const engine = this
    return {
      turn: this.turn,
      settings: this.settings,
      counters: this.counters,
      rng: this.runtime.rng.fork('peers'),
      slots: this.disk.slots,
      get numConnections() {
        return engine.connections.size
      },
      attach: (peer, infoHash, upgrades) => this.#attach(peer, infoHash, upgrades),
      closedUnattached: (peer, error, operation, severity) => {
        this.connectionClosed(peer)
        if (!error.failed()) return
        const { endpoint, pid, socketType } = peer
        if (severity === Severity.peerError) {
          if (!this.alerts.wants(PeerErrorAlert)) return
          this.alerts.post(new PeerErrorAlert(SESSION_SOURCE, endpoint, pid, operation, error))
        } else if (this.alerts.wants(PeerDisconnectedAlert)) {
          const reason = closeReason(error)
          this.alerts.post(
            new PeerDisconnectedAlert(SESSION_SOURCE, endpoint, pid, operation, socketType, error, reason),
          )
        }
      },
      listenPort: address => this.#listenPortFor(address),
      voteExternalAddress: (local, address, voter) => this.external.vote(local, address, IpSource.peer, voter),
      dhtPortReceived: (address, port) => this.dht.addNode([address, port]),
      dhtPort: address => this.dht.nodePort(address),
      crashed: (error, where) => this.#crashed(error, where),
    }
  }

  #listenPortFor(local: string): number {
    for (const socket of this.listen.sockets) {
      if (socket.listenPort !== 0 && isV6(socket.local[0]) === isV6(local)) return socket.listenPort
    }
    return 0
  }

  // ---- trackers: DiscoveryPort -----------------------------------------------------------------------------

  queueRequest(request: TrackerRequest, requester: TrackerRequester): void {
    this.trackers.queueRequest(request, requester)
  }

  listenSockets(ssl: boolean): readonly TrackerSocket[] {
    return this.listen.sockets.filter(socket => socket.ssl === ssl)
  }

  listenSocketsVersion(): number {
    return this.listen.version
  }

  voteExternalAddress(local: Endpoint, address: string, voter: string): void {
    this.external.vote(local, address, IpSource.tracker, voter)
  }

  externalEndpoint(towards: string): Endpoint {
    return [this.external.towards(towards), this.#listenPortFor(towards)]
  }

  announceLocally(torrent: Torrent): void {
    this.lsd.announce(torrent)
  }

  announceLocallySoon(torrent: Torrent): void {
    this.lsd.announceSoon(torrent)
  }

  #packet(packet: Uint8Array, from: Endpoint | null, socket: ListenSocket): void {
    this.counters.inc(C.NET_ON_UDP_COUNTER)
    if (from !== null && packet[0] === LETTER_D && this.dht.packet(packet, from, socket)) return
    if (from === null) this.trackers.incomingPacketFromHost(packet)
    else this.trackers.incomingPacket(from, packet)
  }

  #listenSocketsChanged(): void {
    const { now } = this.turn
    this.dht.listenSocketsChanged()
    for (const torrent of this.registry?.all() ?? []) {
      torrent.announcer.listenSocketsChanged(now)
      torrent.announceChanged()
    }
    this.lsd.update()
  }

  // ---- end ---------------------------------------------------------------------------------------------

  /**
   * Ends the session: `stopped` is announced, data written, everything closed.
   *
   * @param done called once, when nothing is left open
   */
  close(done: () => void): void {
    if (this.#closed) {
      const before = this.#closing
      if (before === null) done()
      else
        this.#closing = () => {
          before()
          done()
        }
      return
    }
    this.#closed = true
    this.lsd.close()
    for (const peer of [...this.#unattached]) {
      peer.disconnect(libtorrentError(LibtorrentErrors.sessionClosing), Operation.bittorrent)
    }
    for (const torrent of [...this.registry.all()]) {
      torrent.abort()
      this.registry.remove(torrent)
    }
    this.dht.close()
    this.trackers.stop()
    this.runtime.resolver.abort()
    this.disk.submit()
    // not before all have begun to close: a torrent without files ends at once
    this.#closing = done
    this.#maybeClosed()
  }

  #maybeClosed(): void {
    if (this.#closing === null || this.registry.closing.size > 0 || !this.trackers.isEmpty) return
    const done = this.#closing
    this.#closing = null
    this.listen.close()
    this.limits.close()
    this.#tickTimer?.cancel()
    this.disk.close(() => this.runtime.defer(done))
  }

  #crashed(error: unknown, where: string): void {
    if (this.alerts.wants(SessionErrorAlert)) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      this.alerts.post(new SessionErrorAlert(libtorrentError(LibtorrentErrors.noError), `${where}: ${text}`))
    }
    this.#onCrash?.(error, where)
  }
}

const URL_CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*()'
const NO_PEER_ID = new Sha1Hash()
/** What packets of the DHT begin with, being dictionaries. */
const LETTER_D = 0x64

/** For alerts that are about no torrent. */
const SESSION_SOURCE = { handle: TorrentHandle.INVALID, infoHashes: TorrentHandle.INVALID.infoHashesOrNone() }

function unaddedTorrent(params: AddTorrentParams) {
  return { handle: TorrentHandle.INVALID, infoHashes: params.ti?.infoHashes() ?? params.infoHashes }
}

/** A hash that was given for a torrent is not the one its metadata has. */
function contradicts(given: InfoHash, has: InfoHash): boolean {
  return (given.hasV1() && !given.v1.equals(has.v1)) || (given.hasV2() && !given.v2.equals(has.v2))
}

/**
 * What a torrent keeps, and changes as it goes. `AddTorrentAlert` shows what it was added with.
 *
 * Older programs add trackers and web seeds to the `TorrentInfo`: what it has and `params` lacks comes along.
 */
function ownParams(params: AddTorrentParams): AddTorrentParams {
  const own = Object.assign(new AddTorrentParams(), params)
  const { ti } = params
  if (ti === null) return own
  if (params.trackers.length === 0) {
    own.trackers = ti.trackers().map(tracker => tracker.url)
    own.trackerTiers = ti.trackers().map(tracker => tracker.tier)
  }
  if (params.urlSeeds.length === 0) own.urlSeeds = ti.webSeeds().map(seed => seed.url)
  if (params.dhtNodes.length === 0) own.dhtNodes = [...ti.nodes()]
  return own
}
