/**
 * What one peer invites us to ask for: the pieces it lets us have while it chokes us, and those it suggests.
 *
 * @see BEP 6 (`suggest`, `allowed fast`)
 */

import type { PieceIndex } from '../core/brands.ts'
import * as C from '../stats/counter-ids.ts'
import type { PeerConnection } from './peer-connection.ts'

const MAX_FAST_ENTRIES = 64

export class PeerHints {
  readonly #peer: PeerConnection
  readonly allowedFast: PieceIndex[] = []
  /** Newest first. */
  readonly suggested: PieceIndex[] = []

  constructor(peer: PeerConnection) {
    this.#peer = peer
  }

  onSuggest(piece: number): void {
    const { counters, settings } = this.#peer.session
    counters.inc(C.SES_NUM_INCOMING_SUGGEST)
    if (!this.#lacks(piece)) {
      if (this.#peer.logsMessages) this.#peer.log('info', 'invalidSuggest', `${piece}`)
      return
    }
    const limit = settings.maxSuggestPieces
    if (limit <= 0) return
    if (this.suggested.length >= limit) this.suggested.length = limit - 1
    this.suggested.unshift(piece)
    if (this.#peer.logsMessages) {
      this.#peer.log('info', 'suggestPiece', `piece: ${piece} added to set: ${this.suggested.length}`)
    }
  }

  onAllowedFast(piece: number): void {
    const peer = this.#peer
    peer.session.counters.inc(C.SES_NUM_INCOMING_ALLOWED_FAST)
    if (!this.#lacks(piece)) {
      if (peer.logsMessages) peer.log('info', 'invalidAllowedFast', `${piece}`)
      return
    }
    if (this.allowedFast.length >= MAX_FAST_ENTRIES || this.allowedFast.includes(piece)) return
    this.allowedFast.push(piece)
    if (peer.availability.counted && peer.hasPiece(piece) && peer.host!.wantsPiece(piece)) peer.interest.begin()
  }

  /** A piece of the torrent that is not here. */
  #lacks(piece: number): boolean {
    const host = this.#peer.host!
    return host.geometry !== null && piece < host.geometry.numPieces && !host.havePiece(piece)
  }

  /** The peer does not give what it invited us to ask for. */
  rejected(piece: PieceIndex): void {
    remove(this.#peer.peerChoking ? this.allowedFast : this.suggested, piece)
  }

  /** We have a piece: nothing more is to be asked of it. */
  pieceIsHere(piece: PieceIndex): void {
    remove(this.suggested, piece)
    remove(this.allowedFast, piece)
  }
}

function remove(list: PieceIndex[], piece: PieceIndex): void {
  const at = list.indexOf(piece)
  if (at >= 0) list.splice(at, 1)
}
