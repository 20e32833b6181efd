/**
 * The extension protocol of one connection: the extended handshake both ways, and the messages it gives ids to.
 *
 * Others learn what the peer told by the connection's own fields: `clientVersion`, `maxOutRequests`, `peerUploadOnly`.
 *
 * @see BEP 9 (`ut_metadata`), BEP 10, BEP 11 (`ut_pex`), BEP 21 (`upload_only`), BEP 54 (`lt_donthave`)
 */

import type { PieceIndex } from '../core/brands.ts'
import { textToBytes } from '../core/bytes.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import * as C from '../stats/counter-ids.ts'
import { decodeExtendedHandshake, ExtensionId, encodeExtendedHandshake } from '../wire/extended.ts'
import { decodeDontHave, decodeUploadOnly, encodeDontHave, encodeUploadOnly } from '../wire/lt-donthave.ts'
import { EXTENDED_HANDSHAKE_ID } from '../wire/messages.ts'
import type { PeerConnection } from './peer-connection.ts'
import { Severity } from './peer-host.ts'
import { PeerMetadata } from './peer-metadata.ts'
import { PeerPex } from './peer-pex.ts'

/** The extended messages we take. */
const KNOWN_EXTENDED = new Set<number>([
  EXTENDED_HANDSHAKE_ID,
  ExtensionId.ut_metadata,
  ExtensionId.upload_only,
  ExtensionId.lt_donthave,
])
/** An extended handshake or message of ours is never longer than this. */
const MAX_EXTENDED_LENGTH = 65536

export class PeerExtensions {
  readonly #peer: PeerConnection
  readonly pex: PeerPex
  /** The ids the peer gave to its messages; 0: it does not take them. */
  #uploadOnlyId = 0
  #dontHaveId = 0
  readonly metadata: PeerMetadata

  constructor(peer: PeerConnection) {
    this.#peer = peer
    this.metadata = new PeerMetadata(peer)
    this.pex = new PeerPex(peer)
  }

  writeHandshake(): void {
    const { endpoint, host, link, outgoing, session } = this.#peer
    const { settings, counters } = session
    const port = outgoing ? session.listenPort(link.local[0]) : 0
    const metadataSize = host!.metadata()?.length ?? 0
    encodeExtendedHandshake(link.out(), {
      ids: {
        ...(this.pex.offer() ? { ut_pex: ExtensionId.ut_pex } : {}),
        upload_only: ExtensionId.upload_only,
        lt_donthave: ExtensionId.lt_donthave,
        ...(host!.isPrivate ? {} : { ut_metadata: ExtensionId.ut_metadata }),
      },
      ...(host!.isPrivate || metadataSize === 0 ? {} : { metadataSize }),
      yourIp: endpoint[0],
      requestQueue: settings.maxAllowedInRequestQueue,
      completeAgo: host!.completeAgo(),
      uploadOnly: host!.geometry !== null && host!.uploadOnly && !host!.superSeeding,
      ...(port === 0 ? {} : { listenPort: port }),
      ...(settings.anonymousMode ? {} : { client: settings.handshakeClientVersion || settings.userAgent }),
    })
    counters.inc(C.SES_NUM_OUTGOING_EXT_HANDSHAKE)
  }

  sendUploadOnly(on: boolean): void {
    const peer = this.#peer
    if (peer.inHandshake || peer.disconnecting || this.#uploadOnlyId === 0) return
    encodeUploadOnly(peer.link.out(), this.#uploadOnlyId, on)
    peer.session.counters.inc(C.SES_NUM_OUTGOING_EXTENDED)
  }

  sendDontHave(piece: PieceIndex): void {
    const peer = this.#peer
    if (this.#dontHaveId === 0 || peer.inHandshake || peer.disconnecting) return
    encodeDontHave(peer.link.out(), this.#dontHaveId, piece)
    peer.session.counters.inc(C.SES_NUM_OUTGOING_EXTENDED)
  }

  /** @returns true to get the message */
  onHeader(id: number, length: number): boolean {
    if (id === ExtensionId.ut_pex) return this.pex.onHeader(length)
    if (!KNOWN_EXTENDED.has(id)) {
      const error = libtorrentError(LibtorrentErrors.invalidMessage)
      this.#peer.disconnect(error, Operation.bittorrent, Severity.peerError)
      return false
    }
    return length <= MAX_EXTENDED_LENGTH
  }

  onMessage(id: number, payload: Uint8Array): void {
    const peer = this.#peer
    if (id === EXTENDED_HANDSHAKE_ID) this.#onHandshake(payload)
    else if (id === ExtensionId.ut_pex) this.pex.onMessage(payload)
    else if (id === ExtensionId.upload_only) {
      const on = decodeUploadOnly(payload)
      if (on !== null) this.#setPeerUploadOnly(on)
    } else if (id === ExtensionId.ut_metadata) {
      if (!peer.host!.isPrivate) this.metadata.onMessage(payload)
    } else {
      const piece = decodeDontHave(payload)
      if (piece !== null) peer.availability.onDontHave(piece)
    }
    peer.session.counters.inc(C.SES_NUM_INCOMING_EXTENDED)
    peer.interest.disconnectIfRedundant()
  }

  #onHandshake(payload: Uint8Array): void {
    const handshake = decodeExtendedHandshake(payload)
    if (handshake === null) return
    const peer = this.#peer
    const { session } = peer
    const host = peer.host!
    session.counters.inc(C.SES_NUM_INCOMING_EXT_HANDSHAKE)
    this.#uploadOnlyId = handshake.ids.get('upload_only') ?? 0
    this.#dontHaveId = handshake.ids.get('lt_donthave') ?? 0
    this.pex.onHandshake(handshake.ids.get('ut_pex') ?? 0, handshake.listenPort)
    if (handshake.listenPort > 0) host.peerListenPort(peer, handshake.listenPort)
    if (peer.disconnecting) return
    if (handshake.completeAgo >= 0) host.seenComplete(handshake.completeAgo)
    if (handshake.client !== '') peer.clientVersion = textToBytes(handshake.client)
    if (handshake.requestQueue > 0) {
      if (peer.logsMessages) peer.log('info', 'maxOutQueueSize', `${peer.maxOutRequests} -> ${handshake.requestQueue}`)
      peer.maxOutRequests = Math.min(handshake.requestQueue, 0xffff)
    }
    if (handshake.yourIp !== null) {
      session.voteExternalAddress(peer.link.local, handshake.yourIp, peer.endpoint[0])
    }
    if (handshake.uploadOnly) this.#setPeerUploadOnly(true)
    if (peer.disconnecting || host.isPrivate) return
    this.metadata.handshake(handshake.ids.get('ut_metadata') ?? 0, handshake.metadataSize)
  }

  #setPeerUploadOnly(on: boolean): void {
    const peer = this.#peer
    peer.peerUploadOnly = on
    peer.host!.peerUploadOnly(peer, on)
    peer.interest.disconnectIfRedundant()
  }
}
