/**
 * What one peer has: the messages that tell it, and its share in the availability that the torrent's picker counts.
 *
 * Peers tell what they have at once, the torrent may learn its number of pieces later. Until the torrent is ready what
 * was told is kept as it is, and counted when `join` is called.
 *
 * @see BEP 3 (`have`, `bitfield`), BEP 6 (`have all`, `have none`), BEP 54 (`lt_donthave`)
 */

import { Bitfield } from '../core/bitfield.ts'
import type { PieceIndex } from '../core/brands.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import * as C from '../stats/counter-ids.ts'
import type { PeerConnection } from './peer-connection.ts'
import { Severity } from './peer-host.ts'

export class PeerAvailability {
  readonly #peer: PeerConnection
  /** Without metadata: as far as the peer told, unchecked beyond `max_piece_count`. */
  have = new Bitfield()
  /** Bits set in `have`. */
  numHave = 0
  /** It said so; `have` is empty as long as the number of pieces is not known. */
  haveAll = false
  /** It told in some form what it has, or that it has nothing was concluded. */
  bitfieldReceived = false
  /** It is counted in the torrent's picker. */
  counted = false

  constructor(peer: PeerConnection) {
    this.#peer = peer
  }

  get isSeed(): boolean {
    if (this.haveAll) return true
    // as long as the number of pieces is not known, nobody but a peer that says so is known to have all
    return this.numHave > 0 && this.numHave === this.have.size() && (this.#peer.host?.geometry ?? null) !== null
  }

  hasPiece(piece: PieceIndex): boolean {
    return this.haveAll || (piece < this.have.size() && this.have.getBit(piece))
  }

  /** Counts what the peer has, once the torrent is ready. */
  join(): void {
    const peer = this.#peer
    const host = peer.host!
    if (this.counted || !host.ready) return
    const pieces = host.geometry!.numPieces
    if (this.haveAll) {
      this.have.resize(pieces, true)
      this.numHave = pieces
    } else {
      const beyond = this.have.size() > pieces
      this.have.resize(pieces)
      if (beyond) this.numHave = this.have.count()
    }
    this.counted = true
    if (this.isSeed) {
      host.peerBecameSeed(peer, true)
      host.peerHasAll(peer)
    } else if (this.numHave > 0) host.peerHasBits(peer, this.have)
    peer.interest.update()
  }

  onHave(piece: number): void {
    const peer = this.#peer
    const host = peer.host!
    const { counters, settings } = peer.session
    counters.inc(C.SES_NUM_INCOMING_HAVE)
    this.assumeHaveNone()
    if (peer.disconnecting) return
    peer.uploads.onHave(piece)
    const geometry = host.geometry
    if (geometry === null || !this.counted) {
      if (geometry === null ? piece > settings.maxPieceCount : piece >= geometry.numPieces) {
        if (geometry !== null) this.#invalidHave(piece)
        return
      }
      // the bits of one that has all are made when it joins
      if (this.haveAll) return
      const size = this.have.size()
      // doubled, as a peer may tell of one piece after the other
      if (piece >= size) {
        this.have.resize(geometry?.numPieces ?? Math.min(Math.max(piece + 1, size * 2), settings.maxPieceCount + 1))
      }
      if (!this.have.getBit(piece)) {
        this.have.setBit(piece)
        this.numHave++
      }
      return
    }
    if (piece >= geometry.numPieces) {
      this.#invalidHave(piece)
      return
    }
    if (host.superSeeding && peer.superSeed.shows(piece)) {
      peer.announcements.showPiece(piece, host.pieceToSuperSeed(peer))
    }
    if (this.have.getBit(piece)) {
      if (peer.logsMessages) peer.log('incoming', 'have', `got redundant HAVE message for index: ${piece}`)
      return
    }
    this.have.setBit(piece)
    this.numHave++
    host.peerHas(peer, piece)
    if (this.isSeed) {
      if (peer.stats.totalPayloadDownload() > 0) host.seenComplete(0)
      peer.log('info', 'seed', 'this is a seed')
      host.peerBecameSeed(peer, true)
    }
    // interest first: a peer that has just become a seed may have become the one we need
    if (!peer.amInterested && !host.uploadOnly && host.wantsPiece(piece)) peer.interest.begin()
    peer.interest.disconnectIfRedundant()
  }

  #invalidHave(piece: number): void {
    const peer = this.#peer
    if (peer.logsMessages) {
      peer.log('info', 'invalidHave', `have-metadata have_piece: ${piece} size: ${peer.host?.geometry?.numPieces ?? 0}`)
    }
    peer.disconnect(libtorrentError(LibtorrentErrors.invalidHave), Operation.bittorrent, Severity.peerError)
  }

  onBitfield(bits: Uint8Array): void {
    const peer = this.#peer
    const host = peer.host!
    const { counters, settings } = peer.session
    counters.inc(C.SES_NUM_INCOMING_BITFIELD)
    const geometry = host.geometry
    const size = geometry?.numPieces ?? bits.length * 8
    if (geometry === null && size > settings.maxPieceCount) {
      peer.disconnect(libtorrentError(LibtorrentErrors.invalidBitfieldSize), Operation.bittorrent, Severity.peerError)
      return
    }
    this.#forget()
    this.bitfieldReceived = true
    this.have = new Bitfield(bits, size)
    this.numHave = this.have.count()
    const isSeed = geometry !== null && this.isSeed
    if (isSeed) peer.log('info', 'seed', 'this is a seed')
    host.peerBecameSeed(peer, isSeed)
    if (!host.ready) return
    this.counted = true
    if (this.isSeed) {
      host.peerHasAll(peer)
      if (!host.uploadOnly) peer.interest.begin()
      peer.interest.disconnectIfRedundant()
    } else {
      host.peerHasBits(peer, this.have)
      peer.interest.update()
    }
  }

  onHaveAll(): void {
    const peer = this.#peer
    const host = peer.host!
    peer.session.counters.inc(C.SES_NUM_INCOMING_HAVE_ALL)
    this.#forget()
    this.bitfieldReceived = true
    this.haveAll = true
    peer.log('info', 'seed', 'this is a seed')
    host.peerBecameSeed(peer, true)
    if (host.ready) this.join()
    peer.interest.disconnectIfRedundant()
  }

  onHaveNone(): void {
    this.#peer.session.counters.inc(C.SES_NUM_INCOMING_HAVE_NONE)
    this.#forget()
    this.#haveNone()
  }

  /** A peer with nothing may send no bitfield at all. */
  assumeHaveNone(): void {
    if (!this.bitfieldReceived) this.#haveNone()
  }

  #haveNone(): void {
    const peer = this.#peer
    const host = peer.host!
    this.bitfieldReceived = true
    host.peerBecameSeed(peer, false)
    if (host.ready) {
      this.have = new Bitfield(host.geometry!.numPieces)
      this.counted = true
    }
    peer.interest.end()
    peer.interest.disconnectIfRedundant()
  }

  #forget(): void {
    const peer = this.#peer
    if (this.counted) {
      if (this.isSeed) peer.host!.peerLostAll(peer)
      else peer.host!.peerLostBits(peer, this.have)
      this.counted = false
    }
    this.haveAll = false
    this.numHave = 0
    this.have = new Bitfield()
  }

  /** It has a piece no more. */
  onDontHave(piece: number): void {
    const peer = this.#peer
    const host = peer.host!
    const geometry = host.geometry
    if (geometry === null || piece >= geometry.numPieces || !this.hasPiece(piece)) {
      if (peer.logsMessages) peer.log('incoming', 'dontHave', `invalid or redundant, piece: ${piece}`)
      return
    }
    const wasSeed = this.isSeed
    if (this.have.size() === 0) {
      this.have.resize(geometry.numPieces, true)
      this.numHave = geometry.numPieces
    }
    this.have.clearBit(piece)
    this.numHave--
    this.haveAll = false
    if (this.counted) host.peerLost(peer, piece)
    if (wasSeed) host.peerBecameSeed(peer, false)
  }
}
