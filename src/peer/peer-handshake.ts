/**
 * The handshake of one connection, and what is said right after it: the extended handshake and what we have.
 *
 * An outgoing connection speaks first; an incoming one has no torrent until the peer has named it.
 *
 * @see BEP 3, BEP 52 (the torrent's other info hash)
 */

import { bytesEqual } from '../core/bytes.ts'
import { Sha1Hash } from '../core/digest.ts'
import { ProtocolVersion } from '../core/enums.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import { readFeatures } from '../wire/handshake.ts'
import type { PeerConnection } from './peer-connection.ts'
import { Severity } from './peer-host.ts'

export class PeerHandshake {
  readonly #peer: PeerConnection
  #sent = false
  #done = false
  #infoHash = new Sha1Hash()

  /** @param peer its torrent is set, if it has one */
  constructor(peer: PeerConnection) {
    this.#peer = peer
    if (peer.host === null) return
    const { infoHash } = peer.host
    this.#infoHash = infoHash.hasV1() ? infoHash.v1 : infoHash.getBest()
  }

  /** The peer has told its id and may stay. */
  get done(): boolean {
    return this.#done
  }

  /** Of the torrent's info hashes, the one we name. */
  get infoHash(): Sha1Hash {
    return this.#infoHash
  }

  write(): void {
    const peer = this.#peer
    if (this.#sent || peer.host === null) return
    this.#sent = true
    const features = { extended: true, fast: true, dht: true, v2Upgrade: false }
    peer.link.writeHandshake(features, this.#infoHash.view(), peer.ourPeerId.view())
  }

  onInfoHash(reserved: Uint8Array, infoHash: Uint8Array): void {
    const peer = this.#peer
    const features = readFeatures(reserved)
    peer.supportsExtended = features.extended
    peer.supportsFast = features.fast
    peer.dhtPort.onHandshake(features.dht)
    if (!(peer.host === null ? this.#attach(infoHash) : this.#matches(infoHash))) return
    if (peer.entry !== null) peer.entry.protocolV2 = peer.protocolV2
    peer.link.decoder.setFastSupported(peer.supportsFast)
    const { geometry } = peer.host!
    if (geometry !== null) peer.link.decoder.setNumPieces(geometry.numPieces)
  }

  /** Finds the torrent of an incoming connection, and answers. @returns false if it was closed */
  #attach(infoHash: Uint8Array): boolean {
    const peer = this.#peer
    const hash = new Sha1Hash(infoHash)
    const found = peer.session.attach(peer, hash)
    if (peer.disconnecting) return false
    if ('message' in found) {
      const severity = found.is(LibtorrentErrors.invalidInfoHash) ? Severity.failure : Severity.peerError
      peer.disconnect(found, Operation.bittorrent, severity)
      return false
    }
    peer.host = found
    this.#infoHash = hash
    peer.protocolV2 = found.infoHash.hasV2() && found.infoHash.get(ProtocolVersion.V2).equals(hash)
    found.alert(peer, { kind: 'connect', outgoing: false })
    if (peer.disconnecting) return false
    this.write()
    peer.availability.join()
    return true
  }

  /** The answer must be for the torrent that was asked for. @returns false if it was not */
  #matches(infoHash: Uint8Array): boolean {
    const peer = this.#peer
    const ours = peer.host!.infoHash
    if (ours.hasV2() && bytesEqual(infoHash, ours.v2.view().subarray(0, 20))) {
      peer.protocolV2 = true
      return true
    }
    if (bytesEqual(infoHash, this.#infoHash.view())) return true
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
    if (peer.supportsExtended) peer.extensions.writeHandshake()
    if (host.ready) {
      peer.announcements.writeBitfield()
      peer.dhtPort.afterBitfield()
      if (host.numHave > 0) host.maybeUnchoke(peer)
    }
    host.peerReady(peer)
  }
}
