/**
 * Who lets whom ask for blocks: choking in both directions, and the peer's interest, which ours follows.
 *
 * Which peers are unchoked is decided elsewhere; here it is done.
 *
 * @see BEP 3 (`choke`, `unchoke`), BEP 6
 */

import * as C from '../stats/counter-ids.ts'
import { encodeChoke, encodeUnchoke } from '../wire/message-encoder.ts'
import type { PeerConnection } from './peer-connection.ts'

/** See the head of the file. The outcome is `PeerConnection.amChoking`, `peerChoking` and `peerInterested`, set here only. */
export class PeerChoking {
  readonly #peer: PeerConnection
  /** Milliseconds, of the session's clock: when we last let it ask for blocks, and last stopped that. */
  lastUnchoke = Number.NEGATIVE_INFINITY
  lastChoke = Number.NEGATIVE_INFINITY
  /** When the peer's interest last ended. */
  interestLostAt: number
  /** Bytes of payload it had been sent at `lastUnchoke`. */
  uploadedAtLastUnchoke = 0

  constructor(peer: PeerConnection, now: number) {
    this.#peer = peer
    this.interestLostAt = now
  }

  // ---- what the peer says

  onChoke(): void {
    const peer = this.#peer
    const { counters } = peer.session
    counters.inc(C.SES_NUM_INCOMING_CHOKE)
    if (!peer.peerChoking) counters.inc(C.PEER_NUM_PEERS_DOWN_UNCHOKED, -1)
    peer.peerChoking = true
    peer.setEndgame(false)
    peer.download.choked(peer.supportsFast)
  }

  onUnchoke(): void {
    const peer = this.#peer
    const { counters } = peer.session
    counters.inc(C.SES_NUM_INCOMING_UNCHOKE)
    if (peer.peerChoking) counters.inc(C.PEER_NUM_PEERS_DOWN_UNCHOKED)
    peer.peerChoking = false
    peer.download.unchoked()
    if (peer.amInterested) peer.download.refill(C.PICKER_UNCHOKE_PIECE_PICKS)
  }

  onInterested(): void {
    const peer = this.#peer
    const { counters } = peer.session
    const host = peer.host!
    counters.inc(C.SES_NUM_INCOMING_INTERESTED)
    if (!peer.peerInterested) {
      counters.inc(C.PEER_NUM_PEERS_UP_INTERESTED)
      peer.peerInterested = true
    }
    if (peer.interest.disconnectIfRedundant()) return
    if (host.gracefulPause) {
      peer.log('info', 'unchoke', 'did not unchoke, graceful pause mode')
      return
    }
    if (!peer.amChoking) {
      peer.log('info', 'unchoke', 'sending redundant unchoke')
      // it may have missed ours
      encodeUnchoke(peer.link.out())
      counters.inc(C.SES_NUM_OUTGOING_UNCHOKE)
      return
    }
    host.maybeUnchoke(peer)
  }

  onNotInterested(): void {
    const peer = this.#peer
    const { counters, turn } = peer.session
    counters.inc(C.SES_NUM_INCOMING_NOT_INTERESTED)
    if (peer.peerInterested) {
      counters.inc(C.PEER_NUM_PEERS_UP_INTERESTED, -1)
      this.interestLostAt = turn.now
      peer.peerInterested = false
    }
    if (!peer.amChoking) peer.host!.releaseUnchokeSlot(peer)
  }

  // ---- what it is told

  /** @returns true if the peer was unchoked until now */
  choke(): boolean {
    const peer = this.#peer
    const { counters, turn } = peer.session
    if (peer.amChoking || peer.disconnecting) return false
    if (peer.entry?.optimisticallyUnchoked) {
      peer.entry.optimisticallyUnchoked = false
      counters.inc(C.PEER_NUM_PEERS_UP_UNCHOKED_OPTIMISTIC, -1)
    }
    encodeChoke(peer.link.out())
    counters.inc(C.SES_NUM_OUTGOING_CHOKE)
    counters.inc(C.PEER_NUM_PEERS_UP_UNCHOKED_ALL, -1)
    if (!peer.ignoresUnchokeSlots) counters.inc(C.PEER_NUM_PEERS_UP_UNCHOKED, -1)
    peer.amChoking = true
    this.lastChoke = turn.now
    peer.uploads.choked()
    return true
  }

  /** @returns true if the peer was choked until now */
  unchoke(): boolean {
    const peer = this.#peer
    const { counters, turn } = peer.session
    if (!peer.amChoking || peer.disconnecting || peer.inHandshake || !peer.host!.ready) return false
    peer.uploads.sendSuggestions(2)
    this.lastUnchoke = turn.now
    encodeUnchoke(peer.link.out())
    counters.inc(C.SES_NUM_OUTGOING_UNCHOKE)
    counters.inc(C.PEER_NUM_PEERS_UP_UNCHOKED_ALL)
    if (!peer.ignoresUnchokeSlots) counters.inc(C.PEER_NUM_PEERS_UP_UNCHOKED)
    peer.amChoking = false
    this.uploadedAtLastUnchoke = peer.stats.totalPayloadUpload()
    return true
  }
}
