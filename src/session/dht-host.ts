/**
 * The DHT of a session: when it starts and stops, its sockets, the nodes it begins with, and what it has to do with
 * torrents. What users ask of it is in `dht-operations.ts`.
 */

import type { AlertQueue } from '../alert/alert-queue.ts'
import { DhtBootstrapAlert, DhtErrorAlert } from '../alert/dht-alerts.ts'
import type { Sha1Hash } from '../core/digest.ts'
import { type Endpoint, isV6 } from '../core/endpoint.ts'
import type { ErrorCode } from '../core/error-code.ts'
import { Operation } from '../core/operation.ts'
import type { Rng, Runtime, TimerHandle } from '../core/runtime.ts'
import type { Turn } from '../core/turn.ts'
import { dhtDefaultStorageConstructor } from '../dht/default-storage.ts'
import { DhtState } from '../dht/dht-state.ts'
import { DhtTracker } from '../dht/dht-tracker.ts'
import { SecretIds } from '../dht/secret-id.ts'
import type { DhtStorageConstructor } from '../dht/storage.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import * as C from '../stats/counter-ids.ts'
import type { Counters } from '../stats/counters.ts'
import type { Torrent } from '../torrent/torrent.ts'
import type { DhtPort } from '../torrent/torrent-env.ts'
import { parseHostPorts } from './bootstrap-list.ts'
import { DhtAnnounceQueue } from './dht-announce-queue.ts'
import { DhtNodeHints } from './dht-node-hints.ts'
import { DhtListenSocket, DhtSessionObserver } from './dht-session-observer.ts'
import type { ListenSocket } from './listen-sockets.ts'
import { logSession } from './session-log.ts'

/** What the DHT needs of the session. */
export interface DhtHostPort {
  readonly runtime: Runtime
  readonly turn: Turn
  readonly settings: SessionSettings
  readonly counters: Counters
  readonly alerts: AlertQueue
  readonly listen: {
    readonly sockets: readonly ListenSocket[]
    /** Some are still being bound. */
    readonly pending: boolean
  }
  /** The address of a socket as others see it; `null` while it is not known. */
  externalAddress(socket: ListenSocket): string | null
  voteExternalAddress(socket: ListenSocket, address: string, voter: string): void
  readonly registry: {
    all(): IterableIterator<Torrent>
    readonly numTorrents: number
  }
}

/** Errors of a socket that say that nobody listens at the other end. */
const UNREACHABLE = new Set([103 /* ECONNABORTED */, 104 /* ECONNRESET */, 111 /* ECONNREFUSED */])

export class DhtHost implements DhtPort {
  readonly #port: DhtHostPort
  readonly #observer: DhtSessionObserver
  readonly announces: DhtAnnounceQueue
  readonly #hints: DhtNodeHints
  readonly #secretIds: SecretIds
  readonly #rng: Rng
  readonly #sockets = new Map<ListenSocket, DhtListenSocket>()
  #tracker: DhtTracker | null = null
  /** Ids and nodes for the next start. */
  #state: DhtState
  #storage: DhtStorageConstructor
  #routers: Endpoint[] = []
  /** Bootstrap nodes whose addresses are being looked up: only then is it known where to begin. */
  #lookups = 0
  #closed = false

  constructor(port: DhtHostPort, state: DhtState | null, storage: DhtStorageConstructor | null) {
    this.#port = port
    this.#state = state ?? new DhtState()
    this.#storage = storage ?? dhtDefaultStorageConstructor
    this.#observer = new DhtSessionObserver(port)
    this.#rng = port.runtime.rng.fork('dht')
    this.#secretIds = new SecretIds(this.#rng.fork('secrets'))
    this.announces = new DhtAnnounceQueue({
      settings: port.settings,
      setTimer: (ms, fn) => this.#setTimer(ms, fn),
      hasNodes: () => this.#tracker?.hasNodes() === true,
      registry: port.registry,
    })
    this.#hints = new DhtNodeHints({
      rng: this.#rng,
      isEnabled: () => port.settings.enableDht && !this.#closed,
      isRunning: () => this.#tracker !== null,
      resolve: (host, found) => this.#resolveNode(host, found),
      ask: endpoint => this.#tracker?.addNode(endpoint),
    })
  }

  /** `null` while the DHT is switched off, or has not started yet. */
  get tracker(): DhtTracker | null {
    return this.#tracker
  }

  get isRunning(): boolean {
    return this.#tracker !== null
  }

  // ---- life --------------------------------------------------------------------------------------

  /** `enable_dht` may have changed. */
  update(): void {
    const { settings } = this.#port
    if (!settings.enableDht || this.#closed) this.#stop()
    else if (settings.dhtBootstrapNodes !== '' && this.#routers.length === 0) this.bootstrapNodesChanged()
    else this.#maybeStart()
  }

  /**
   * Looks up the bootstrap nodes; the DHT starts when all have been found or not.
   *
   * Deviation: libtorrent starts a running DHT anew then, and forgets what it knew.
   */
  bootstrapNodesChanged(): void {
    const { settings, runtime, turn } = this.#port
    if (!settings.enableDht || this.#closed) return
    for (const [host, port] of parseHostPorts(settings.dhtBootstrapNodes)) {
      this.#lookups++
      runtime.resolver.resolve(host, { abortOnShutdown: true }, (error, addresses) =>
        turn.run('DHT router', () => {
          this.#lookups--
          if (error !== null) this.#lookupFailed(error)
          for (const address of addresses) this.#addRouter([address, port])
          this.#maybeStart()
        }),
      )
    }
    this.#maybeStart()
  }

  #lookupFailed(error: ErrorCode): void {
    const { alerts } = this.#port
    if (!this.#closed && alerts.wants(DhtErrorAlert)) alerts.post(new DhtErrorAlert(Operation.hostnameLookup, error))
  }

  #addRouter(endpoint: Endpoint): void {
    if (this.#routers.some(([address, port]) => address === endpoint[0] && port === endpoint[1])) return
    this.#routers.push(endpoint)
    this.#tracker?.addRouterNode(endpoint)
  }

  #maybeStart(): void {
    const { settings, alerts, counters, turn, listen } = this.#port
    if (this.#tracker !== null || !settings.enableDht || this.#closed) return
    if (this.#lookups > 0) logSession(alerts, () => `not starting DHT, outstanding router lookups: ${this.#lookups}`)
    if (this.#lookups > 0 || listen.pending) return
    logSession(alerts, () => 'starting DHT, running: false, router lookups: 0')
    const rng = this.#rng
    const now = () => turn.now
    const tracker = new DhtTracker({
      settings,
      counters,
      observer: this.#observer,
      storage: this.#storage(settings, { now, rng: rng.fork('storage') }),
      rng,
      secretIds: this.#secretIds,
      state: this.#state,
      now,
      setTimer: (ms, fn) => this.#setTimer(ms, fn),
    })
    this.#tracker = tracker
    this.#state = new DhtState()
    for (const router of this.#routers) tracker.addRouterNode(router)
    this.#syncSockets(tracker)
    tracker.start(() => {
      // lookups that are broken off when the DHT stops end as well
      if (this.#tracker !== tracker) return
      if (alerts.wants(DhtBootstrapAlert)) alerts.post(new DhtBootstrapAlert())
      this.announces.start()
    })
    this.#hints.resume()
  }

  /** Deviation: libtorrent forgets the ids and nodes of a DHT that is switched off. */
  #stop(): void {
    const tracker = this.#tracker
    if (tracker === null) return
    logSession(this.#port.alerts, () => 'about to stop DHT, running: true')
    this.#state = tracker.state()
    this.#tracker = null
    this.#sockets.clear()
    this.announces.stop()
    tracker.stop()
  }

  close(): void {
    this.#closed = true
    this.#stop()
  }

  #setTimer(ms: number, fn: () => void): TimerHandle {
    const { runtime, turn } = this.#port
    return runtime.setTimer(ms, () => turn.run('DHT', fn))
  }

  /** The storage of the next start. */
  setStorage(storage: DhtStorageConstructor): void {
    this.#storage = storage
  }

  /** What the next start begins with. */
  setState(state: DhtState): void {
    this.#state = state
  }

  /** Takes over what an earlier run has kept: nodes that are given are asked at once. */
  loadState(state: DhtState): void {
    if (state.nids.length + state.nodes.length + state.nodes6.length === 0) return
    this.#stop()
    this.#state = state
    this.update()
  }

  /** What to keep for the next run. */
  state(): DhtState {
    return this.#tracker?.state() ?? this.#state
  }

  // ---- sockets and packets -----------------------------------------------------------------------

  /** Listen sockets have come or gone. */
  listenSocketsChanged(): void {
    const tracker = this.#tracker
    if (tracker === null) this.#maybeStart()
    else this.#syncSockets(tracker)
  }

  /** One node for each socket that others can reach. */
  #syncSockets(tracker: DhtTracker): void {
    const { sockets } = this.#port.listen
    for (const [socket, ours] of this.#sockets) {
      if (sockets.includes(socket) && socket.udp !== null) continue
      this.#sockets.delete(socket)
      tracker.deleteSocket(ours)
    }
    for (const socket of sockets) {
      if (this.#sockets.has(socket) || socket.udp === null || socket.ssl || socket.endpoint.localNetwork) continue
      const { local } = socket.udp
      const unknown = isV6(local[0]) ? '::' : '0.0.0.0'
      const ours = new DhtListenSocket(socket, local, () => this.#port.externalAddress(socket) ?? unknown)
      this.#sockets.set(socket, ours)
      tracker.newSocket(ours)
    }
  }

  /** A datagram came. @param packet borrowed @returns whether it was for the DHT */
  packet(packet: Uint8Array, from: Endpoint, socket: ListenSocket): boolean {
    const tracker = this.#tracker
    if (tracker === null) return false
    const ours = this.#sockets.get(socket)
    return ours !== undefined && tracker.incomingPacket(ours, from, packet)
  }

  /** A datagram could not be delivered. */
  packetError(error: ErrorCode, to: Endpoint): void {
    if (UNREACHABLE.has(error.value())) this.#tracker?.unreachable(to)
  }

  /** The address of a socket as others see it has changed. */
  externalAddressChanged(socket: ListenSocket): void {
    const ours = this.#sockets.get(socket)
    if (ours !== undefined) this.#tracker?.updateNodeId(ours)
  }

  /** Port of our node on the socket that fits a local address; -1 for none. */
  nodePort(localAddress: string): number {
    if (this.#tracker === null) return -1
    const v6 = isV6(localAddress)
    for (const { local } of this.#sockets.values()) if (isV6(local[0]) === v6) return local[1]
    return -1
  }

  // ---- nodes -------------------------------------------------------------------------------------

  addNode(endpoint: Endpoint): void {
    this.#hints.add(endpoint)
  }

  /** A node that torrents and users name. While the DHT is off, names are not looked up. */
  addNodeName(host: string, port: number): void {
    this.#hints.addName(host, port)
  }

  #resolveNode(host: string, found: (addresses: readonly string[]) => void): void {
    const { runtime, turn } = this.#port
    runtime.resolver.resolve(host, { abortOnShutdown: true }, (error, addresses) =>
      turn.run('DHT node', () => {
        if (error !== null) this.#lookupFailed(error)
        found(addresses)
      }),
    )
  }

  secondTick(): void {
    this.#hints.secondTick()
    this.announces.secondTick()
  }

  /** Whether an info-hash was made up by us, and seen in our DHT packets only. */
  isOurSecret(infoHash: Sha1Hash): boolean {
    return this.#secretIds.verify(infoHash)
  }

  // ---- torrents ----------------------------------------------------------------------------------

  get canAnnounce(): boolean {
    return this.#tracker !== null && this.#port.listen.sockets.length > 0
  }

  announce(infoHash: Sha1Hash, port: number, flags: number, found: (peers: readonly Endpoint[]) => void): void {
    this.#tracker?.announce(infoHash, port, flags, found)
  }

  prioritize(torrent: Torrent): void {
    if (this.announces.prioritize(torrent)) {
      logSession(this.#port.alerts, () => `prioritizing DHT announce: "${torrent.name()}"`)
    }
  }

  // ---- statistics --------------------------------------------------------------------------------

  fillGauges(): void {
    const { counters } = this.#port
    if (this.#tracker !== null) this.#tracker.updateStatsCounters(counters)
    else for (let gauge = C.DHT_DHT_NODES; gauge <= C.DHT_DHT_ALLOCATED_OBSERVERS; gauge++) counters.set(gauge, 0)
  }
}
