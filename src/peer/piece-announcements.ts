/**
 * What one peer is told of the pieces we have: all of them after the handshake, each new one as it comes; in super
 * seeding one piece at a time.
 *
 * @see BEP 3 (`have`, `bitfield`), BEP 6 (`have all`, `have none`), BEP 16, BEP 54
 */

import type { PieceIndex } from '../core/brands.ts'
import * as C from '../stats/counter-ids.ts'
import * as M from '../wire/message-encoder.ts'
import type { PeerConnection } from './peer-connection.ts'
import { NO_PIECE } from './super-seed-view.ts'

export class PieceAnnouncements {
  readonly #peer: PeerConnection
  #sentBitfield = false

  constructor(peer: PeerConnection) {
    this.#peer = peer
  }

  /** What we have, in the shortest form; nothing before files are checked. */
  writeBitfield(): void {
    const peer = this.#peer
    const host = peer.host!
    if (this.#sentBitfield || peer.inHandshake) return
    this.#sentBitfield = true
    const { counters } = peer.session
    const out = peer.link.out()
    if (host.superSeeding) {
      if (peer.supportsFast) M.encodeHaveNone(out)
      for (let i = 0; i < 2; i++) this.showPiece(NO_PIECE, host.pieceToSuperSeed(peer))
    } else if (peer.supportsFast && host.isSeed) {
      M.encodeHaveAll(out)
      counters.inc(C.SES_NUM_OUTGOING_HAVE_ALL)
    } else if (host.numHave === 0) {
      if (!peer.supportsFast) return
      M.encodeHaveNone(out)
      counters.inc(C.SES_NUM_OUTGOING_HAVE_NONE)
    } else {
      M.encodeBitfield(out, host.haveBits().data())
      counters.inc(C.SES_NUM_OUTGOING_BITFIELD)
    }
    peer.uploads.sendAllowedFast()
  }

  /** We have a new piece. */
  announcePiece(piece: PieceIndex): void {
    const peer = this.#peer
    if (peer.inHandshake || peer.disconnecting || !this.#sentBitfield) return
    peer.hints.pieceIsHere(piece)
    const redundant = peer.hasPiece(piece)
    if (peer.amInterested && redundant) peer.interest.update()
    if (redundant && !peer.session.settings.sendRedundantHave) {
      if (peer.logsMessages) peer.log('info', 'have', `piece: ${piece} SUPPRESSED`)
      return
    }
    if (peer.interest.disconnectIfRedundant()) return
    // a seed has no use for it: not worth a packet of its own
    M.encodeHave(redundant ? peer.link.outWithNext() : peer.link.out(), piece)
    peer.session.counters.inc(C.SES_NUM_OUTGOING_HAVE)
  }

  /** A piece is not to be sent any more: drops the requests for it, and tells the peer if it can be told. */
  withdrawPiece(piece: PieceIndex): void {
    this.#peer.uploads.queue.rejectPiece(piece)
    this.#peer.extensions.sendDontHave(piece)
  }

  /** Shows the peer one more piece in super seeding. */
  showPiece(replaced: PieceIndex, piece: PieceIndex): void {
    const peer = this.#peer
    if (peer.inHandshake || peer.disconnecting || piece === NO_PIECE) return
    M.encodeHave(peer.link.out(), piece)
    peer.session.counters.inc(C.SES_NUM_OUTGOING_HAVE)
    if (peer.logsMessages) peer.log('info', 'superSeeding', `piece: ${piece}`)
    peer.superSeed.show(piece, replaced)
  }

  /** The torrent seeds as usual from now on: shows the peer all there is. */
  endSuperSeeding(): void {
    const peer = this.#peer
    if (!peer.superSeed.end() || peer.inHandshake || peer.disconnecting) return
    peer.log('info', 'superSeeding', 'ending')
    M.encodeBitfield(peer.link.out(), peer.host!.haveBits().data())
    peer.session.counters.inc(C.SES_NUM_OUTGOING_BITFIELD)
  }
}
