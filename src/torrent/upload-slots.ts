/** Which peers of a torrent are unchoked, and how many may be. Peers that need no slot are not counted. */

import type { PeerConnection } from '../peer/peer-connection.ts'
import type { Torrent } from './torrent.ts'
import { UNLIMITED } from './torrent-limits.ts'
import { limitText, logTorrent } from './torrent-log.ts'

export class UploadSlots {
  readonly #torrent: Torrent
  /** `UNLIMITED` for no limit. */
  limit = UNLIMITED

  constructor(torrent: Torrent) {
    this.#torrent = torrent
  }

  /** @param limit none if 0 or less */
  setLimit(limit: number): void {
    const value = limit > 0 ? limit : UNLIMITED
    if (this.limit === value) return
    this.limit = value
    logTorrent(this.#torrent, () => `*** set-max-uploads: ${limitText(value)}`)
    this.#torrent.needSave.config()
    this.#torrent.stateUpdated()
  }

  get hasFree(): boolean {
    return this.#torrent.swarm.numUploads < this.limit
  }

  /** @returns whether the peer is unchoked now and was not before */
  unchoke(peer: PeerConnection): boolean {
    const torrent = this.#torrent
    if (!peer.ignoresUnchokeSlots && !this.hasFree) return false
    if (!peer.choking.unchoke()) return false
    if (!peer.ignoresUnchokeSlots) {
      torrent.swarm.numUploads++
      torrent.env.choker.unchoked(peer)
    }
    torrent.stateUpdated()
    return true
  }

  /** @returns whether the peer is choked now and was not before */
  choke(peer: PeerConnection): boolean {
    const torrent = this.#torrent
    if (!peer.choking.choke()) return false
    if (!peer.ignoresUnchokeSlots) {
      torrent.swarm.numUploads--
      torrent.env.choker.choked(peer)
    }
    torrent.stateUpdated()
    return true
  }
}
