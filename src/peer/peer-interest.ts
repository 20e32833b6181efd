/**
 * Whether one peer has what we want: what it is told of that, and the end of connections that serve neither side.
 *
 * @see BEP 3 (`interested`, `not interested`)
 */

import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import * as C from '../stats/counter-ids.ts'
import { encodeInterested, encodeNotInterested } from '../wire/message-encoder.ts'
import type { PeerConnection } from './peer-connection.ts'

/** See the head of the file. The outcome is `PeerConnection.amInterested`, which is set here only. */
export class PeerInterest {
  readonly #peer: PeerConnection
  /** A look at the end of the turn is due. */
  #queued = false
  /** When our interest last ended, of the session's clock. */
  lostAt: number

  constructor(peer: PeerConnection, now: number) {
    this.#peer = peer
    this.lostAt = now
  }

  /**
   * Looks again, at the end of the turn, whether the peer has something that is wanted.
   *
   * @param counter counts the pick that follows
   */
  update(counter: number = C.PICKER_INTERESTING_PIECE_PICKS): void {
    const peer = this.#peer
    if (this.#queued || peer.disconnecting) return
    this.#queued = true
    peer.session.turn.later(() => {
      this.#queued = false
      if (peer.disconnecting) return
      if (!peer.host!.ready || !peer.availability.counted) {
        const why = peer.host!.ready ? 'connections not initialized' : 'not ready for connections'
        peer.log('info', 'updateInterest', why)
        return
      }
      const isInteresting = peer.host!.isInteresting(peer)
      peer.log('info', 'updateInterest', isInteresting ? 'interesting' : 'not interesting')
      if (isInteresting) this.begin(counter)
      else this.end()
      this.disconnectIfRedundant()
    })
  }

  /** Tells the peer that it has what we want, and asks for it if it lets us. @param counter counts the pick */
  begin(counter: number = C.PICKER_INTERESTING_PIECE_PICKS): void {
    const peer = this.#peer
    const { counters } = peer.session
    if (peer.disconnecting || peer.inHandshake || !peer.host!.ready) return
    if (!peer.amInterested) {
      peer.amInterested = true
      counters.inc(C.PEER_NUM_PEERS_DOWN_INTERESTED)
      encodeInterested(peer.link.out())
      counters.inc(C.SES_NUM_OUTGOING_INTERESTED)
    }
    if (peer.peerChoking && peer.hints.allowedFast.length === 0) return
    peer.download.refill(counter)
  }

  /** It has nothing more that we want: tells it so, or lets go of it if it is of no use at all. */
  end(): void {
    const peer = this.#peer
    const { counters, turn } = peer.session
    if (!peer.amInterested || peer.disconnecting) return
    peer.amInterested = false
    this.lostAt = turn.now
    counters.inc(C.PEER_NUM_PEERS_DOWN_INTERESTED, -1)
    peer.download.slowStart = false
    if (this.disconnectIfRedundant()) return
    encodeNotInterested(peer.link.out())
    counters.inc(C.SES_NUM_OUTGOING_NOT_INTERESTED)
  }

  /** Closes connections of no use to either side. @returns true if it did */
  disconnectIfRedundant(): boolean {
    const peer = this.#peer
    const { host } = peer
    if (peer.disconnecting || host === null || !peer.session.settings.closeRedundantConnections) return false
    if (host.geometry === null || this.#queued || peer.inHandshake) return false
    if (!peer.uploadOnly) return false
    if (host.uploadOnly && host.ready) {
      peer.log('info', 'uploadOnly', 'the peer is upload-only and our torrent is also upload-only')
      peer.disconnect(libtorrentError(LibtorrentErrors.uploadUploadConnection), Operation.bittorrent)
      return true
    }
    if (!peer.amInterested && peer.availability.bitfieldReceived && host.ready) {
      peer.log('info', 'uploadOnly', "the peer is upload-only and we're not interested in it")
      peer.disconnect(libtorrentError(LibtorrentErrors.uninterestingUploadPeer), Operation.bittorrent)
      return true
    }
    return false
  }
}
