/**
 * Whose turn it is to announce to the DHT: every torrent once in `dht_announce_interval`, one after the other, and new ones
 * before.
 */

import type { TimerHandle } from '../core/runtime.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import type { Torrent } from '../torrent/torrent.ts'

/** What the queue needs of the session. */
export interface DhtAnnouncePort {
  readonly settings: Pick<SessionSettings, 'dhtAnnounceInterval'>
  /** Runs `fn` once, inside a turn. */
  setTimer(delayMs: number, fn: () => void): TimerHandle
  /** Our nodes know somebody whom they could ask. */
  hasNodes(): boolean
  readonly registry: {
    /** In the order they were added; goes on over those that are added meanwhile. */
    all(): IterableIterator<Torrent>
    readonly numTorrents: number
  }
}

/** While torrents wait for their first announce, they go that far apart at most. */
const PRIORITY_MS = 4000
/** With so many torrents, another one changes the pace too little to reckon it anew. */
const MANY_TORRENTS = 40

export class DhtAnnounceQueue {
  readonly #port: DhtAnnouncePort
  readonly #prioritized = new Set<Torrent>()
  /** Where the round has come to. */
  #round: IterableIterator<Torrent> | null = null
  #timer: TimerHandle | null = null
  /** The DHT is there. */
  #started = false
  /** It has been joined. */
  #running = false
  /** The number of torrents that the pace was reckoned for. */
  #pacedFor = 0

  constructor(port: DhtAnnouncePort) {
    this.#port = port
  }

  /**
   * Our nodes have looked for others. Announcing makes sense as soon as they know one, which may come later by a torrent,
   * a peer or the user.
   *
   * Deviation: libtorrent lets torrents that were there before the DHT wait for a whole interval, and those whose first
   * announce finds nobody to ask.
   */
  start(): void {
    this.#started = true
    this.#maybeBegin()
  }

  #maybeBegin(): void {
    if (this.#running || !this.#port.hasNodes()) return
    this.#running = true
    for (const torrent of this.#port.registry.all()) torrent.dht.started()
    if (this.#prioritized.size === 0) this.intervalChanged()
  }

  stop(): void {
    this.#started = false
    this.#running = false
    this.#prioritized.clear()
    this.#timer?.cancel()
    this.#timer = null
  }

  /** A torrent begins, with few peers: it announces ahead of the others. @returns false if nobody announces */
  prioritize(torrent: Torrent): boolean {
    if (!this.#running) return false
    this.#prioritized.add(torrent)
    if (this.#prioritized.size === 1) this.#schedule(0)
    return true
  }

  intervalChanged(): void {
    if (!this.#running) return
    const { settings, registry } = this.#port
    const { numTorrents } = registry
    this.#pacedFor = numTorrents
    const pace = Math.max(Math.trunc((1000 * settings.dhtAnnounceInterval) / Math.max(numTorrents, 1)), 1)
    this.#schedule(this.#prioritized.size > 0 ? Math.min(PRIORITY_MS, pace) : pace)
  }

  /** Looks once a second whether there is a first node, and whether there are more torrents: the first change the pace. */
  secondTick(): void {
    if (!this.#started) return
    this.#maybeBegin()
    if (this.#pacedFor < MANY_TORRENTS && this.#pacedFor !== this.#port.registry.numTorrents) this.intervalChanged()
  }

  #schedule(delay: number): void {
    this.#timer?.cancel()
    this.#timer = this.#port.setTimer(delay, () => this.#announceNext())
  }

  #announceNext(): void {
    if (!this.#running) return
    this.intervalChanged()
    const next = this.#nextPrioritized() ?? this.#nextInRound()
    next?.dht.announce()
  }

  #nextPrioritized(): Torrent | null {
    for (const torrent of this.#prioritized) {
      this.#prioritized.delete(torrent)
      if (!torrent.aborted) return torrent
    }
    return null
  }

  #nextInRound(): Torrent | null {
    for (let attempt = 0; attempt < 2; attempt++) {
      this.#round ??= this.#port.registry.all()
      const { value, done } = this.#round.next()
      if (done !== true) return value
      this.#round = null
    }
    return null
  }
}
