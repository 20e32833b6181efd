/** How many connections a session has: whose turn it is to make one, and who lets go of some when there are too many. */

import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import * as C from '../stats/counter-ids.ts'
import type { Counters } from '../stats/counters.ts'
import type { Torrent } from '../torrent/torrent.ts'

/** What the scheduler needs of the session. */
export interface SchedulerPort {
  readonly settings: Pick<
    SessionSettings,
    'connectionSpeed' | 'connectionsLimit' | 'peerTurnoverCutoff' | 'peerTurnoverInterval'
  >
  readonly counters: Counters
  readonly registry: {
    all(): IterableIterator<Torrent>
    /** Torrents that have connections, or are about to. */
    readonly ticking: ReadonlySet<Torrent>
    readonly wantingPeers: Set<Torrent>
  }
  /** Connections of torrents, half-open ones too. */
  readonly numConnections: number
  /** Those that have not said yet which torrent they want. */
  readonly numUnattached: number
  /** Runs `fn` in a turn, when what is going on now is over; not at all once the session is closed. */
  afterPoll(fn: () => void): void
}

/** Seconds from the start to the first turnover. */
const FIRST_TURNOVER = 90
/** With fewer connections than that, an exchange of peers would disrupt. */
const LEAST_TO_TURN_OVER = 6

export class ConnectionScheduler {
  readonly #port: SchedulerPort
  /** Connections that may be made now. */
  #budget = 0
  #queued = false
  #first = true
  /** Seconds until the next turnover. */
  #turnoverIn = FIRST_TURNOVER

  constructor(port: SchedulerPort) {
    this.#port = port
  }

  get #open(): number {
    return this.#port.numConnections + this.#port.numUnattached
  }

  /** Time has passed. */
  tick(elapsedMs: number): void {
    const { connectionSpeed } = this.#port.settings
    this.#budget = Math.min(connectionSpeed, this.#budget + (connectionSpeed * elapsedMs) / 1000)
  }

  /** Torrents want connections that did not before. */
  peersWanted(): void {
    if (this.#queued) return
    this.#queued = true
    this.#port.afterPoll(() => {
      this.#queued = false
      this.connectMore()
    })
  }

  /** A connection was made ahead of its turn. */
  boosted(): void {
    this.#budget--
  }

  /** Makes connections for the torrents that want some, one each in turn, at `connection_speed`. */
  connectMore(): void {
    const { settings, registry, counters } = this.#port
    if (this.#first) {
      this.#first = false
      this.#budget += settings.connectionSpeed
    }
    let fruitless = 0
    while (this.#budget >= 1 && registry.wantingPeers.size > 0 && fruitless < registry.wantingPeers.size) {
      if (this.#open >= settings.connectionsLimit) break
      const torrent = registry.wantingPeers.values().next().value!
      // to the end of the line
      registry.wantingPeers.delete(torrent)
      counters.inc(C.PEER_CONNECTION_ATTEMPT_LOOPS)
      const made = torrent.swarm.connectOne()
      if (torrent.wantsPeers) registry.wantingPeers.add(torrent)
      if (made) {
        this.#budget--
        fruitless = 0
      } else fruitless++
    }
  }

  /** Makes room for one more connection of this torrent, if another one has more to spare. @returns false if not */
  makeRoom(torrent: Torrent): boolean {
    const largest = this.#largestTorrent()
    if (largest === null || largest.swarm.size <= torrent.swarm.size) return false
    const peer = largest.swarm.lowestRanking()
    peer?.disconnect(libtorrentError(LibtorrentErrors.tooManyConnections), Operation.bittorrent)
    return peer !== null
  }

  /** `connections_limit` may be lower than before: each torrent loses its share of what is too many. */
  limitChanged(): void {
    const { settings, registry, numConnections } = this.#port
    let surplus = numConnections - settings.connectionsLimit
    if (surplus <= 0) return
    const torrents = [...registry.all()].toSorted((a, b) => b.swarm.size - a.swarm.size)
    for (const torrent of torrents) {
      if (surplus <= 0) break
      const share = Math.max(1, Math.ceil((torrent.swarm.size * surplus) / this.#port.numConnections))
      const before = torrent.swarm.size
      torrent.swarm.disconnectDownTo(
        before - Math.min(share, before),
        libtorrentError(LibtorrentErrors.tooManyConnections),
      )
      surplus -= before - torrent.swarm.size
    }
  }

  /** Once a second: every `peer_turnover_interval`, the session or else the torrents that are full let go of a few peers. */
  secondTick(): void {
    if (--this.#turnoverIn > 0) return
    const { settings, registry } = this.#port
    this.#turnoverIn = settings.peerTurnoverInterval
    const limit = settings.connectionsLimit
    if (limit < LEAST_TO_TURN_OVER) return
    const cutoff = Math.min(settings.peerTurnoverCutoff, 100)
    if (this.#open >= Math.floor((limit * cutoff) / 100)) {
      this.#largestTorrent()?.swarm.turnover()
      return
    }
    for (const torrent of registry.ticking) if (torrent.swarm.isFull) torrent.swarm.turnover()
  }

  /** The torrent with the most connections. */
  #largestTorrent(): Torrent | null {
    let largest: Torrent | null = null
    for (const torrent of this.#port.registry.ticking) {
      if (largest === null || torrent.swarm.size > largest.swarm.size) largest = torrent
    }
    return largest
  }
}
