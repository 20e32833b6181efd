/**
 * Whether a torrent is paused, by itself or with its session, and what pausing and going on do.
 *
 * A graceful pause lets blocks that were asked for arrive first: until then the torrent counts as paused, and peers that
 * owe something stay.
 */

import { TorrentPausedAlert, TorrentResumedAlert } from '../alert/torrent-alerts.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { Torrent } from './torrent.ts'

export class Pausing {
  readonly #torrent: Torrent
  /** The torrent's own: what resume data has. */
  paused: boolean
  #sessionPaused: boolean
  #graceful = false

  constructor(torrent: Torrent, paused: boolean, sessionPaused: boolean) {
    this.#torrent = torrent
    this.paused = paused
    this.#sessionPaused = sessionPaused
  }

  get isPaused(): boolean {
    return this.paused || this.#sessionPaused
  }

  /** Paused, but for blocks that are on their way. */
  get graceful(): boolean {
    return this.#graceful
  }

  /** What the user asks for, and errors: resume data has it. */
  pause(graceful: boolean): void {
    // what was asked for is saved; what the queue decides is not
    if (!this.paused) this.#torrent.needSave.state()
    this.set(true, graceful)
  }

  /** Pauses or lets go on without a word to resume data: the queue does so. Nothing happens if it is so already. */
  set(on: boolean, gracefully = false): void {
    const torrent = this.#torrent
    const graceful = gracefully && torrent.swarm.size > 0
    if (this.paused === on) {
      if (on && this.#graceful && !graceful) {
        this.#graceful = false
        this.#stop()
      }
      return
    }
    const before = this.isPaused
    this.paused = on
    torrent.stateUpdated()
    // the session may be paused too: nothing changes then
    if (before === this.isPaused) return
    this.#graceful = on && graceful
    if (on) this.#begin()
    else this.#end()
  }

  resume(): void {
    const torrent = this.#torrent
    if (!this.paused && torrent.announcing.isAllowed) return
    this.paused = false
    torrent.needSave.state()
    if (!this.#sessionPaused) this.#graceful = false
    torrent.stateUpdated()
    this.#end()
  }

  setSession(paused: boolean): void {
    if (this.#sessionPaused === paused) return
    const before = this.isPaused
    this.#sessionPaused = paused
    if (before === this.isPaused) return
    if (paused) this.#begin()
    else this.#end()
  }

  /** A peer is gone: it may have been the last one that owed a block. */
  connectionClosed(): void {
    if (!this.#graceful || this.#torrent.swarm.size > 0 || !this.paused) return
    this.#graceful = false
    this.#stop()
  }

  postPaused(): void {
    const { alerts } = this.#torrent.env
    if (alerts.wants(TorrentPausedAlert)) alerts.post(new TorrentPausedAlert(this.#torrent))
  }

  #begin(): void {
    const torrent = this.#torrent
    const { env, swarm } = torrent
    swarm.boost = env.settings.torrentConnectBoost
    torrent.times.stop(env.turn.now)
    torrent.announcing.setAllowed(false)
    torrent.stateUpdated()
    const error = libtorrentError(LibtorrentErrors.torrentPaused)
    if (torrent.isChecking) {
      torrent.checker.pause()
      swarm.disconnectAll(error, Operation.bittorrent)
    } else if (this.#graceful) {
      for (const peer of swarm.connections.slice()) {
        if (peer.download.outstandingBytes > 0) {
          peer.log('info', 'chokingPeer', 'torrent graceful paused')
          peer.download.choked(true)
          if (!peer.amChoking) torrent.host.releaseUnchokeSlot(peer)
        } else {
          peer.log('info', 'closingConnection', 'torrent_paused')
          peer.disconnect(error, Operation.bittorrent)
        }
      }
      torrent.announcing.stop()
    } else this.#stop()
    torrent.listsChanged()
  }

  /** Lets all peers go, and writes what is in memory. */
  #stop(): void {
    const { swarm, content, env } = this.#torrent
    swarm.disconnectAll(libtorrentError(LibtorrentErrors.torrentPaused), Operation.bittorrent)
    this.#torrent.announcing.stop()
    content?.spill()
    const storage = content?.storage ?? null
    if (storage === null) this.postPaused()
    else env.disk.stop(storage, () => env.turn.run('torrent paused', () => this.postPaused()))
  }

  #end(): void {
    const torrent = this.#torrent
    const { env } = torrent
    if (this.isPaused || torrent.aborted) {
      torrent.listsChanged()
      return
    }
    if (env.alerts.wants(TorrentResumedAlert)) env.alerts.post(new TorrentResumedAlert(torrent))
    torrent.announcing.setAllowed(true)
    torrent.times.start(env.turn.now)
    torrent.errors.clear()
    torrent.stateUpdated()
    if (torrent.isChecking) {
      if (torrent.autoManaged) env.registry.triggerAutoManage()
      torrent.checker.resume()
    } else torrent.announcing.start()
    torrent.content?.layers?.look()
    torrent.listsChanged()
    torrent.swarm.connectBoost()
  }
}
