/**
 * Upload mode: the torrent downloads nothing, and serves what it has. The user asks for it, or the disk takes no more;
 * then, under auto-management, the disk is tried again after a while.
 */

import type { Torrent } from './torrent.ts'
import { logTorrent } from './torrent-log.ts'

export class UploadMode {
  readonly #torrent: Torrent
  on: boolean
  #since = 0

  constructor(torrent: Torrent, on: boolean) {
    this.#torrent = torrent
    this.on = on
  }

  set(on: boolean): void {
    if (this.on === on) return
    const torrent = this.#torrent
    const { swarm } = torrent
    this.on = on
    logTorrent(torrent, () => `*** set-upload-mode: ${+on}`)
    torrent.needSave.state()
    torrent.stateUpdated()
    torrent.tellUploadOnly()
    if (on) {
      this.#since = torrent.env.turn.now
      for (const peer of swarm.connections) {
        if (peer.uploadOnly) peer.interest.update()
        peer.download.cancelAll()
      }
    } else {
      for (const entry of swarm.known?.entries() ?? []) entry.lastConnected = 0
      for (const peer of swarm.connections) peer.interest.update()
    }
    torrent.listsChanged()
  }

  /** Once a second. */
  tick(now: number): void {
    const { autoManaged, env } = this.#torrent
    if (this.on && autoManaged && now - this.#since >= env.settings.optimisticDiskRetry * 1000) this.set(false)
  }
}
