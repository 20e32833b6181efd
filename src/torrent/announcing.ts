/**
 * When a torrent is announced, and to whom: trackers, the DHT and the local network are each let in on it or not by
 * auto-management, and nobody is while it is paused or its files are not checked.
 */

import type { Torrent } from './torrent.ts'
import { logTorrent } from './torrent-log.ts'

export class Announcing {
  readonly #torrent: Torrent
  /** Whether auto-management lets it be announced there. */
  toTrackers = true
  toDht = true
  toLsd = true
  /** Payload bytes there were when it began: trackers are told of what came since. */
  base = { up: 0, down: 0 }

  constructor(torrent: Torrent) {
    this.#torrent = torrent
  }

  /** Unless something speaks against it. */
  start(): void {
    const torrent = this.#torrent
    if (torrent.isPaused) logTorrent(torrent, () => 'start_announcing(), paused')
    if (torrent.isPaused || torrent.aborted || !this.toTrackers) return
    if (torrent.content !== null && !torrent.ready) {
      logTorrent(torrent, () => 'start_announcing(), files not checked (with valid metadata)')
      return
    }
    if (torrent.announcer.isAnnouncing) return
    const { stats, env } = torrent
    this.base = { up: stats.totalPayloadUpload(), down: stats.totalPayloadDownload() }
    torrent.announcer.start(env.turn.now)
    torrent.dht.started()
    this.changed()
    env.discovery.announceLocallySoon(torrent)
  }

  stop(): void {
    const { announcer, env } = this.#torrent
    announcer.stop(env.turn.now)
    this.changed()
  }

  /** What auto-management has decided. */
  allow(trackers: boolean, dht: boolean, lsd: boolean): void {
    this.toDht = dht
    this.toLsd = lsd
    if (this.toTrackers === trackers) return
    this.toTrackers = trackers
    if (trackers) this.start()
    else this.stop()
  }

  /** Everywhere. */
  get isAllowed(): boolean {
    return this.toTrackers && this.toDht && this.toLsd
  }

  /** Pausing and going on take it away and give it back; they see to the announces themselves. */
  setAllowed(on: boolean): void {
    this.toTrackers = on
    this.toDht = on
    this.toLsd = on
  }

  /** Trackers, or what they are told, have changed: the next announce may be due at another time. */
  changed(): void {
    const torrent = this.#torrent
    torrent.env.registry.announceAt(torrent, torrent.announcer.nextAnnounceAt)
  }

  /** Its time has come. */
  tick(now: number): void {
    this.#torrent.announcer.tick(now)
    this.changed()
  }
}
