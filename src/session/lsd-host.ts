/** Local service discovery of a session: a discoverer for each listen socket, and which torrent is announced when. */

import type { AlertQueue } from '../alert/alert-queue.ts'
import { LogAlert } from '../alert/log-alerts.ts'
import { LsdPeerAlert } from '../alert/peer-alerts.ts'
import { LsdErrorAlert } from '../alert/session-alerts.ts'
import type { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import { PexFlags, ProtocolVersion } from '../core/enums.ts'
import { RingQueue } from '../core/ring-queue.ts'
import type { Datagram, Rng, Runtime, TimerHandle } from '../core/runtime.ts'
import type { Turn } from '../core/turn.ts'
import { LSD_HOPS, Lsd } from '../net/lsd.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import * as C from '../stats/counter-ids.ts'
import type { Counters } from '../stats/counters.ts'
import { isHiddenLocally, mayAnnounceLocally } from '../torrent/local-announce.ts'
import { PeerSource } from '../torrent/peer-entry.ts'
import type { Torrent } from '../torrent/torrent.ts'
import { logPeersAdded } from '../torrent/torrent-log.ts'
import type { ListenSocket } from './listen-sockets.ts'
import { logSession } from './session-log.ts'

/** What local service discovery needs of the session. */
export interface LsdHostPort {
  readonly runtime: Pick<Runtime, 'bindMulticast' | 'setTimer'>
  readonly rng: Rng
  readonly turn: Turn
  readonly settings: SessionSettings
  readonly alerts: AlertQueue
  readonly counters: Counters
  readonly listen: {
    readonly sockets: readonly ListenSocket[]
    /** More of them may come in a moment. */
    readonly pending: boolean
  }
  readonly torrents: {
    readonly numTorrents: number
    /** A live iterator: it takes in what is added, and passes over what is removed. */
    all(): Iterator<Torrent>
    byHash(hash: Sha1Hash): Torrent | undefined
  }
}

/** While torrents wait for their first announce, they follow each other no later than this. */
const MAX_FIRST_DELAY_MS = 4000
/** From so many torrents on, one more or less does not change the interval at once. */
const MANY_TORRENTS = 40

/** The discoverer of one listen socket. */
interface LocalNetwork {
  readonly lsd: Lsd
  state: 'opening' | 'up' | 'failed'
  datagram: Datagram | null
}

export class LsdHost {
  readonly #port: LsdHostPort
  /** One for all networks, as two of them may be the same wire. Drawn when first needed. */
  #cookie = -1
  readonly #networks = new Map<ListenSocket, LocalNetwork>()
  /** Torrents that have just begun to announce: they go before those whose turn it is. */
  #first = new RingQueue<Torrent>()
  #turns: Iterator<Torrent> | null = null
  #timer: TimerHandle | null = null
  /** Torrents there were when the interval was computed. */
  #countedTorrents = 0
  #closed = false

  constructor(port: LsdHostPort) {
    this.#port = port
  }

  /** The setting, or the set of listen sockets, may be another one now. */
  update(): void {
    const { settings, listen } = this.#port
    // what is meant for a proxy must not show up on the local network
    const wanted = settings.enableLsd && !this.#closed ? listen.sockets.filter(socket => !socket.proxied) : []
    for (const [socket, network] of this.#networks) {
      if (wanted.includes(socket)) continue
      this.#networks.delete(socket)
      closeNetwork(network)
    }
    for (const socket of wanted) if (!this.#networks.has(socket)) this.#open(socket)
    if (!this.#isUp) this.#stop()
    this.#begin()
  }

  /** Once a second. */
  tick(): void {
    this.#begin()
    const { numTorrents } = this.#port.torrents
    if (this.#timer === null || this.#countedTorrents >= MANY_TORRENTS || this.#countedTorrents === numTorrents) return
    this.#arm(this.#interval())
  }

  /** The torrent has begun to announce: it is one of the next. */
  announceSoon(torrent: Torrent): void {
    const { alerts, settings } = this.#port
    if (!settings.enableLsd) logSession(alerts, () => 'not starting LSD announce timer: LSD disabled')
    if (!this.#isUp && !this.#isOpening) return
    logSession(alerts, () => `prioritizing LSD announce: "${torrent.name()}"`)
    this.#first.push(torrent)
    if (this.#first.length === 1 && this.#timer !== null) this.#arm(0)
  }

  /** Tells all networks that we have the torrent, if it may be told of. */
  announce(torrent: Torrent): void {
    if (!mayAnnounceLocally(torrent)) return
    const { infoHashes } = torrent
    const hashes = [ProtocolVersion.V1, ProtocolVersion.V2]
      .filter(version => infoHashes.has(version))
      .map(version => infoHashes.get(version))
    for (const [socket, { lsd, state }] of this.#networks) {
      // Deviation: libtorrent tells all networks the port of its first socket, and says 0 if it takes no connections
      if (state === 'up' && socket.listenPort !== 0) lsd.announce(hashes, socket.listenPort)
    }
  }

  close(): void {
    this.#closed = true
    this.update()
  }

  get #isUp(): boolean {
    for (const { state } of this.#networks.values()) if (state === 'up') return true
    return false
  }

  /** More networks may be up in a moment: a first announce waits, so that all of them hear it. */
  get #isOpening(): boolean {
    const { listen, settings } = this.#port
    if (!settings.enableLsd || this.#closed) return false
    for (const { state } of this.#networks.values()) if (state === 'opening') return true
    return listen.pending
  }

  /** Starts the timer, once everything is open that can be. */
  #begin(): void {
    if (this.#timer !== null || this.#isOpening) return
    if (!this.#isUp) this.#stop()
    else this.#arm(this.#first.length > 0 ? 0 : this.#interval())
  }

  #stop(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#turns = null
    if (!this.#isOpening) this.#first = new RingQueue()
  }

  /** So that each torrent has its turn once in `local_service_announce_interval`. */
  #interval(): number {
    const { settings, torrents } = this.#port
    const { numTorrents } = torrents
    this.#countedTorrents = numTorrents
    const each = Math.floor((settings.localServiceAnnounceInterval * 1000) / Math.max(1, numTorrents))
    const delay = Math.max(1, each)
    return this.#first.length > 0 ? Math.min(MAX_FIRST_DELAY_MS, delay) : delay
  }

  #arm(delayMs: number): void {
    const { runtime, turn } = this.#port
    this.#timer?.cancel()
    this.#timer = runtime.setTimer(delayMs, () => turn.run('lsd', () => this.#announceNext()))
  }

  #announceNext(): void {
    this.#port.counters.inc(C.NET_ON_LSD_COUNTER)
    // this one still counts as waiting: after the last that waited, the next turn comes soon too, as in libtorrent
    this.#arm(this.#interval())
    let torrent = this.#first.shift()
    while (torrent?.aborted && this.#first.length > 0) torrent = this.#first.shift()
    torrent ??= this.#nextInTurn()
    if (torrent !== undefined) this.announce(torrent)
  }

  #nextInTurn(): Torrent | undefined {
    const next = this.#turns?.next()
    if (next !== undefined && next.done !== true) return next.value
    this.#turns = this.#port.torrents.all()
    const first = this.#turns.next()
    return first.done === true ? undefined : first.value
  }

  #open(socket: ListenSocket): void {
    const { runtime, turn, alerts } = this.#port
    const [address] = socket.local
    const network: LocalNetwork = { lsd: this.#discoverer(socket), state: 'opening', datagram: null }
    this.#networks.set(socket, network)
    const current = () => this.#networks.get(socket) === network
    runtime.bindMulticast(
      { group: network.lsd.group, interfaceAddress: address, hops: LSD_HOPS },
      {
        onPacket: (packet, from) => turn.run('lsd', () => network.lsd.incoming(packet, from)),
        onError: (error, _operation, fatal) =>
          turn.run('lsd', () => {
            network.lsd.sendFailed(error)
            if (!fatal || !current()) return
            network.state = 'failed'
            if (!this.#isUp) this.#stop()
          }),
        onWritable: () => {},
      },
      (error, datagram) =>
        turn.run('lsd', () => {
          if (!current()) {
            datagram?.close()
            return
          }
          network.datagram = datagram
          network.state = datagram === null ? 'failed' : 'up'
          if (error !== null && alerts.wants(LsdErrorAlert)) alerts.post(new LsdErrorAlert(address, error))
          this.#begin()
        }),
    )
  }

  #discoverer(socket: ListenSocket): Lsd {
    const { runtime, turn, alerts, rng } = this.#port
    if (this.#cookie < 0) this.#cookie = rng.below(0x80000000)
    return new Lsd(
      { address: socket.local[0], prefixLength: socket.endpoint.prefixLength, cookie: this.#cookie },
      {
        send: (packet, group) => void this.#networks.get(socket)?.datagram?.send(packet, group),
        setTimer: (ms, fn) => runtime.setTimer(ms, () => turn.run('lsd', fn)),
        peerFound: (peer, infoHash) => this.#peerFound(peer, infoHash),
        shouldLog: () => alerts.wants(LogAlert),
        log: text => alerts.post(new LogAlert(text)),
      },
    )
  }

  #peerFound(peer: Endpoint, infoHash: Sha1Hash): void {
    const { counters, torrents, alerts } = this.#port
    counters.inc(C.NET_ON_LSD_PEER_COUNTER)
    const torrent = torrents.byHash(infoHash)
    if (torrent === undefined || torrent.aborted || isHiddenLocally(torrent)) return
    torrent.swarm.addPeer(peer, PeerSource.lsd, infoHash.equals(torrent.infoHashes.v1) ? 0 : PexFlags.pexLtV2)
    logPeersAdded(torrent, 'lsd', [peer])
    torrent.swarm.connectBoost()
    if (alerts.wants(LsdPeerAlert)) alerts.post(new LsdPeerAlert(torrent, peer))
  }
}

function closeNetwork({ lsd, datagram }: LocalNetwork): void {
  lsd.close()
  datagram?.close()
}
