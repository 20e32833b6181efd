/**
 * The whole of a session but its public face: makes the parts, connects them, shuts them down in order.
 *
 * Everything that happens enters through a turn (`core/turn.ts`). The same engine runs on Node and in the
 * simulator; what differs comes in by `EngineOptions`.
 */

import { AlertQueue } from '../alert/alert-queue.ts'
import { PeerLogAlert } from '../alert/log-alerts.ts'
import { SessionErrorAlert, StateUpdateAlert } from '../alert/session-alerts.ts'
import { SessionStatsAlert, SessionStatsHeaderAlert } from '../alert/stats-alerts.ts'
import { AddTorrentAlert } from '../alert/torrent-alerts.ts'
import type { Endpoint } from '../core/endpoint.ts'
import { TorrentFlags } from '../core/enums.ts'
import { LibtorrentError, libtorrentError, NO_ERROR } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import type { Runtime, TimerHandle } from '../core/runtime.ts'
import { Turn } from '../core/turn.ts'
import type { DhtState } from '../dht/dht-state.ts'
import type { DhtStorageConstructor } from '../dht/storage.ts'
import type { AddTorrentParams } from '../metainfo/add-torrent-params.ts'
import { IpFilter } from '../net/ip-filter.ts'
import { IpSource } from '../net/ip-voter.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import type { PeerSession } from '../peer/peer-host.ts'
import type { SettingsPack } from '../settings/pack-type.ts'
import { SessionSettings } from '../settings/session-settings.ts'
import * as C from '../stats/counter-ids.ts'
import { Counters } from '../stats/counters.ts'
import type { DiskIo, DiskSettings } from '../storage/disk-io.ts'
import { newPickerLoops } from '../torrent/pick-blocks.ts'
import { buildStatus } from '../torrent/status-builder.ts'
import { Torrent } from '../torrent/torrent.ts'
import type { TorrentEnv } from '../torrent/torrent-env.ts'
import type { TrackerManager } from '../tracker/tracker-manager.ts'
import { hashesOf, ownParams, refusalOf } from './addable-params.ts'
import { ConnectionScheduler } from './connection-scheduler.ts'
import { Connections } from './connections.ts'
import { DhtHost } from './dht-host.ts'
import { DhtOperations } from './dht-operations.ts'
import { Discovery } from './discovery.ts'
import { ExternalAddresses } from './external-addresses.ts'
import { GlobalChoker } from './global-choker.ts'
import { IncomingConnections } from './incoming-connections.ts'
import { type ListenSocket, ListenSockets } from './listen-sockets.ts'
import { LsdHost } from './lsd-host.ts'
import { NetworkWatch } from './network-watch.ts'
import { RateLimits } from './rate-limits.ts'
import { fillGauges } from './session-gauges.ts'
import { logSession, logStarted } from './session-log.ts'
import { applyEffect, diskSettings } from './settings-effects.ts'
import { StarvedConnections } from './starved-connections.ts'
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

export class Engine {
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
  readonly discovery: Discovery
  readonly trackers: TrackerManager
  readonly dht: DhtHost
  readonly dhtOperations: DhtOperations
  readonly env: TorrentEnv
  readonly peers: PeerSession

  readonly scheduler: ConnectionScheduler
  readonly connects: Connections
  /** Those of torrents. */
  readonly connections: ReadonlySet<PeerConnection>
  paused: boolean
  readonly #incoming: IncomingConnections
  readonly #starved: StarvedConnections
  readonly #started: number
  readonly #onCrash: ((error: unknown, where: string) => void) | null
  #tickTimer: TimerHandle | null = null
  #lastTick: number
  #lastSecond: number
  #submitQueued = false
  readonly #networks: NetworkWatch
  #closed = false
  #statsHeaderPosted = false
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
    this.paused = options.paused === true
    this.alerts = new AlertQueue(runtime, this.settings.alertMask, this.settings.alertQueueSize)
    this.turn.enter()
    this.#started = this.turn.now
    this.#lastTick = this.turn.now
    this.#lastSecond = this.turn.now
    this.#networks = new NetworkWatch(runtime, this.turn.now)
    this.disk = options.createDisk(diskSettings(this.settings), fn => {
      this.counters.inc(C.NET_ON_DISK_COUNTER)
      this.turn.run('disk', fn)
    })
    this.disk.slots.onRelief(() => this.turn.run('memory', () => this.#starved.memoryFree()))
    this.registry = new TorrentRegistry({
      triggerAutoManage: () => this.queue.trigger(),
      peersWanted: () => this.scheduler.peersWanted(),
      torrentClosed: torrent => this.#torrentClosed(torrent),
    })
    const engine = this
    this.scheduler = new ConnectionScheduler({
      settings: this.settings,
      counters: this.counters,
      registry: this.registry,
      get numConnections() {
        return engine.connections.size
      },
      get numUnattached() {
        return engine.connects.unattached.size
      },
      afterPoll: fn =>
        runtime.afterPoll(() => {
          if (!this.#closed) this.turn.run('connect', fn)
        }),
    })
    this.connects = new Connections(
      { runtime, settings: this.settings, scheduler: this.scheduler, torrents: () => this.registry.all() },
      options.ipFilter ?? new IpFilter(),
    )
    this.connections = this.connects.open
    this.#starved = new StarvedConnections({
      connections: this.connections,
      slots: this.disk.slots,
      registry: this.registry,
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
      alerts: this.alerts,
      connections: () => this.connections,
      torrentOf: peer => this.torrentOf(peer),
      sessionTime: () => this.sessionTime(),
    })
    this.listen = new ListenSockets({
      runtime,
      turn: this.turn,
      settings: this.settings,
      alerts: this.alerts,
      accepted: stream => this.#incoming.accepted(stream),
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
    this.discovery = new Discovery({
      runtime,
      turn: this.turn,
      settings: this.settings,
      counters: this.counters,
      listen: this.listen,
      external: this.external,
      lsd: this.lsd,
      trackersIdle: () => this.#maybeClosed(),
    })
    this.trackers = this.discovery.trackers
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
    this.#incoming = new IncomingConnections({
      settings: this.settings,
      counters: this.counters,
      alerts: this.alerts,
      registry: this.registry,
      limits: this.limits,
      connections: this.connects,
      peers: this.peers,
      deafness: () => (this.#closed ? 'aborting' : this.paused ? 'paused' : null),
      isOurSecret: infoHash => this.dht.isOurSecret(infoHash),
    })
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
      connects: this.connects,
      choker: this.choker,
      discovery: this.discovery,
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
    logStarted(this.alerts, this.settings, options.maxOpenFiles)
    this.listen.reopen()
    this.dht.update()
    this.#scheduleTick()
    logSession(this.alerts, () => ' done starting session')
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
      this.alerts.post(
        new AddTorrentAlert({ handle: TorrentHandle.INVALID, infoHashes: hashesOf(params) }, params, code),
      )
      throw new LibtorrentError(code)
    }
    if (this.#closed) return fail(LibtorrentErrors.sessionIsClosing)
    const refusal = refusalOf(params)
    if (refusal !== null) return fail(refusal)
    const hashes = hashesOf(params)
    const existing = this.registry.find(hashes)
    if (existing !== undefined) {
      if (params.flags & TorrentFlags.duplicateIsError) return fail(LibtorrentErrors.duplicateTorrent)
      this.alerts.post(new AddTorrentAlert(existing, params, NO_ERROR))
      return existing.handle
    }
    const id = this.registry.nextId()
    const handle = new TorrentHandle(this, id, hashes)
    const torrent = new Torrent(id, ownParams(params), handle, this.env, this.paused)
    handle.bind(torrent)
    this.registry.insert(torrent)
    for (const [host, port] of torrent.dhtNodes) this.dht.addNodeName(host, port)
    this.counters.inc(C.SES_NUM_TOTAL_PIECES_ADDED, params.ti?.numPieces() ?? 0)
    if (!torrent.appliesIpFilter) this.counters.inc(C.SES_NON_FILTER_TORRENTS)
    this.alerts.post(new AddTorrentAlert(torrent, params, NO_ERROR))
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
    logSession(this.alerts, () => ` *** session ${paused ? 'paused' : 'resumed'} ***`)
    for (const torrent of [...this.registry.all()]) torrent.pausing.setSession(paused)
  }

  postTorrentUpdates(flags: number): void {
    const updated = this.registry.takeUpdated()
    this.alerts.post(new StateUpdateAlert(updated.map(torrent => buildStatus(torrent, flags))))
  }

  postSessionStats(): void {
    if (!this.#statsHeaderPosted) this.alerts.post(new SessionStatsHeaderAlert())
    this.#statsHeaderPosted = true
    fillGauges(this)
    this.alerts.post(new SessionStatsAlert(this.counters.snapshot()))
  }

  // ---- settings --------------------------------------------------------------------------------------

  /** @throws TypeError on an unknown name or a wrong type; nothing has changed then */
  applySettings(pack: SettingsPack): void {
    const effects = this.settings.applyPack(pack)
    logSession(this.alerts, () => `applying settings pack, reopen_listen_port=${effects.has('listenInterfaces')}`)
    for (const effect of effects) applyEffect(this, effect)
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
    for (const torrent of this.registry.dueAnnounces(now)) torrent.announcing.tick(now)
    if (this.#closed) {
      this.#maybeClosed()
      return
    }
    this.scheduler.tick(now - this.#lastTick)
    this.#lastTick = now
    const elapsed = now - this.#lastSecond
    if (elapsed >= 900) {
      this.#lastSecond = now
      this.dht.secondTick()
      for (const torrent of [...this.registry.ticking]) torrent.secondTick(elapsed)
      this.#incoming.tick(now)
      this.choker.tick(now)
      this.queue.tick(now)
      this.lsd.tick()
      this.scheduler.secondTick()
      if (this.settings.enableIpNotifier && this.#networks.changed(now)) {
        logSession(this.alerts, () => 'received ip change from internal ip_notifier')
        this.listen.reopen()
      }
    }
    this.scheduler.connectMore()
    this.#starved.tick()
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

  // ---- connections ---------------------------------------------------------------------------------

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
      attach: (peer, infoHash, upgrades) => this.#incoming.attach(peer, infoHash, upgrades),
      closedUnattached: (peer, error, operation, severity) => this.#incoming.closed(peer, error, operation, severity),
      listenPort: address => this.listen.portFor(address),
      voteExternalAddress: (local, address, voter) => this.external.vote(local, address, IpSource.peer, voter),
      dhtPortReceived: (address, port) => this.dht.addNode([address, port]),
      dhtPort: address => this.dht.nodePort(address),
      get logsPeers() {
        return engine.alerts.wants(PeerLogAlert)
      },
      log: (peer, notice) => this.#incoming.log(peer, notice),
      crashed: (error, where) => this.#crashed(error, where),
    }
  }

  // ---- listen sockets ------------------------------------------------------------------------------

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
      torrent.announcing.changed()
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
    logSession(this.alerts, () => ' *** ABORT CALLED ***')
    const open = this.connections.size + this.connects.unattached.size
    logSession(this.alerts, () => ` aborting all connections (${open})`)
    this.lsd.close()
    this.#incoming.close()
    logSession(this.alerts, () => ` aborting all torrents (${this.registry.numTorrents})`)
    for (const torrent of [...this.registry.all()]) {
      torrent.abort()
      this.registry.remove(torrent)
    }
    this.dht.close()
    logSession(this.alerts, () => ' aborting all tracker requests')
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
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.alerts.post(new SessionErrorAlert(libtorrentError(LibtorrentErrors.noError), `${where}: ${text}`))
    this.#onCrash?.(error, where)
  }
}

/** What packets of the DHT begin with, being dictionaries. */
const LETTER_D = 0x64
