/**
 * The handshake of one connection, and what is said right after it: the extended handshake and what we have.
 *
 * An outgoing connection speaks first; an incoming one has no torrent until the peer has named it. A connection is v2 if
 * both sides name the v2 hash. To the v1 hash of a hybrid torrent, with the bit set that says so, the answer is the v2
 * hash: that upgrades the connection.
 *
 * @see BEP 3, BEP 52 (upgrade path)
 */

import { Sha1Hash } from '../core/digest.ts'
import { ProtocolVersion } from '../core/enums.ts'
import { type ErrorCode, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import { readFeatures } from '../wire/handshake.ts'
import type { PeerConnection } from './peer-connection.ts'
import { type PeerHost, Severity } from './peer-host.ts'

export class PeerHandshake {
  readonly #peer: PeerConnection
  #sent = false
  #done = false
  /** The peer has named the torrent too. */
  #agreed = false
  #infoHash: Sha1Hash | null = null

  /** @param peer its torrent is set, if it has one */
  constructor(peer: PeerConnection) {
    this.#peer = peer
  }

  /** The peer has told its id and may stay. */
  get done(): boolean {
    return this.#done
  }

  /**
   * Of the torrent's info hashes, the one we name: the same each time, until the peer answers with the other one.
   *
   * An outgoing connection names the v2 hash to peers that are known to have it. Zeros if there is no torrent yet.
   */
  get infoHash(): Sha1Hash {
    const { entry, host } = this.#peer
    if (host === null) return new Sha1Hash()
    const { infoHash } = host
    const isV2 = infoHash.hasV2() && (entry?.protocolV2 === true || !infoHash.hasV1())
    this.#infoHash ??= isV2 ? infoHash.get(ProtocolVersion.V2) : infoHash.v1
    return this.#infoHash
  }

  write(): void {
    const peer = this.#peer
    if (this.#sent || peer.host === null) return
    this.#sent = true
    const { infoHash } = this
    const v2Upgrade = peer.host.infoHash.hasV2() && !namesV2(peer.host, infoHash)
    const features = { extended: true, fast: true, dht: true, v2Upgrade }
    peer.link.writeHandshake(features, infoHash.view(), peer.ourPeerId.view())
  }

  onInfoHash(reserved: Uint8Array, infoHash: Uint8Array): void {
    const peer = this.#peer
    const features = readFeatures(reserved)
    peer.supportsExtended = features.extended
    peer.supportsFast = features.fast
    peer.dhtPort.onHandshake(features.dht)
    const hash = new Sha1Hash(infoHash)
    if (!(peer.host === null ? this.#attach(hash, features.v2Upgrade) : this.#matches(hash))) return
    this.#agreed = true
    this.#updateProtocol()
    peer.link.decoder.setFastSupported(peer.supportsFast)
    const { geometry } = peer.host!
    if (geometry !== null) peer.link.decoder.setNumPieces(geometry.numPieces)
  }

  /** What we both called the torrent may have been its v2 hash all the time: links may give it cut, as if it were v1. */
  metadataKnown(): void {
    if (this.#agreed) this.#updateProtocol()
  }

  #updateProtocol(): void {
    const peer = this.#peer
    peer.protocolV2 = namesV2(peer.host!, this.infoHash)
    peer.link.decoder.setProtocolV2(peer.protocolV2)
    if (peer.protocolV2 && peer.entry !== null) peer.entry.protocolV2 = true
  }

  /**
   * Finds the torrent of an incoming connection, and answers.
   *
   * @param upgrades the peer named the v1 hash, and would speak v2
   * @returns false if it was closed
   */
  #attach(hash: Sha1Hash, upgrades: boolean): boolean {
    const peer = this.#peer
    const found = peer.session.attach(peer, hash, upgrades)
    if (peer.disconnecting) return false
    if ('message' in found) {
      if (peer.logsMessages) peer.log('info', 'attach', attachText(found, hash))
      const severity = found.is(LibtorrentErrors.invalidInfoHash) ? Severity.failure : Severity.peerError
      peer.disconnect(found, Operation.bittorrent, severity)
      return false
    }
    peer.host = found
    peer.log('info', 'attach', 'attached to torrent')
    found.alert(peer, { kind: 'connect', outgoing: false })
    if (peer.disconnecting) return false
    const { geometry, infoHash } = found
    if (upgrades && geometry !== null && !infoHash.hasV2()) {
      peer.disconnect(libtorrentError(LibtorrentErrors.invalidInfoHash), Operation.bittorrent)
      return false
    }
    this.#infoHash = upgrades && infoHash.hasV2() ? infoHash.get(ProtocolVersion.V2) : hash
    // while the metadata is not known we may lack the v2 hash: then the next connection is a v2 one
    if (upgrades && peer.entry !== null) peer.entry.protocolV2 = true
    this.write()
    peer.availability.join()
    return true
  }

  /** The answer must be for the torrent that was asked for, by either hash. @returns false if it was not */
  #matches(hash: Sha1Hash): boolean {
    const peer = this.#peer
    if (namesV2(peer.host!, hash)) {
      this.#infoHash = hash
      return true
    }
    if (hash.equals(this.infoHash) && !hash.isAllZeros()) return true
    peer.disconnect(libtorrentError(LibtorrentErrors.invalidInfoHash), Operation.bittorrent, Severity.failure)
    return false
  }

  onPeerId(peerId: Uint8Array): void {
    const peer = this.#peer
    const { host } = peer
    if (host === null || peer.disconnecting) return
    peer.pid = new Sha1Hash(peerId)
    const refusal = host.peerIdentified(peer)
    if (peer.disconnecting) return
    if (refusal !== null) {
      peer.disconnect(refusal, Operation.bittorrent)
      return
    }
    this.#done = true
    peer.log('info', 'handshake', 'connection ready')
    if (peer.supportsExtended) peer.extensions.writeHandshake()
    if (host.ready) {
      peer.announcements.writeBitfield()
      peer.dhtPort.afterBitfield()
      peer.hashes.maybeRequest()
      if (host.numHave > 0) host.maybeUnchoke(peer)
    }
    host.peerReady(peer)
  }
}

/** Why a connection gets no torrent. */
function attachText(error: ErrorCode, hash: Sha1Hash): string {
  if (error.is(LibtorrentErrors.invalidInfoHash)) return `couldn't find a torrent with the given info_hash: ${hash}`
  return `rejected connection: ${error.message()}`
}

function namesV2(host: PeerHost, hash: Sha1Hash): boolean {
  return host.infoHash.hasV2() && host.infoHash.get(ProtocolVersion.V2).equals(hash)
}
