/**
 * Metadata exchange with one peer: the parts that it asks for, and those that we ask of it.
 *
 * @see BEP 9
 */

import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import * as C from '../stats/counter-ids.ts'
import {
  decodeUtMetadata,
  encodeUtMetadata,
  MAX_METADATA_MESSAGE,
  METADATA_PART_SIZE,
  MetadataMessageType,
  metadataParts,
} from '../wire/ut-metadata.ts'
import type { PeerConnection } from './peer-connection.ts'
import { Severity } from './peer-host.ts'

/** With more than this unsent, parts wait for the next second: 160 kiB. */
const SEND_BUFFER_LIMIT = METADATA_PART_SIZE * 10
/** Requests that wait; more are rejected. */
const MAX_WAITING = 1024
/** Parts asked for at a time. */
const MAX_OUTSTANDING = 2
/** A request that was not answered for so long is given up. */
const ANSWER_MS = 20_000

export class PeerMetadata {
  readonly #peer: PeerConnection
  /** What the peer calls the message; 0: it does not take it. */
  #id = 0
  /** Parts asked for, the oldest first, and when. */
  readonly #asked: number[] = []
  readonly #askedAt: number[] = []
  readonly #waiting: number[] = []
  #joined = false
  /** It asked for what we did not have. */
  #lacked = false

  constructor(peer: PeerConnection) {
    this.#peer = peer
  }

  /** Its entry in the peer list. */
  get ref(): number {
    return this.#peer.ref
  }

  /**
   * The extended handshake came.
   *
   * @param id   0 if it does not take part
   * @param size of the info dictionary; 0 if it does not say
   */
  handshake(id: number, size: number): void {
    this.#id = id
    if (id === 0) this.left()
    else if (!this.#joined || size > 0) {
      // again when it has got the metadata meanwhile
      this.#joined = true
      this.#peer.host!.metadataDownload?.joined(this, size)
    }
    this.#ask()
  }

  onMessage(payload: Uint8Array): void {
    if (this.#id === 0) return
    const peer = this.#peer
    const message = payload.length > MAX_METADATA_MESSAGE ? null : decodeUtMetadata(payload)
    if (message === null) {
      peer.disconnect(
        libtorrentError(LibtorrentErrors.invalidMetadataMessage),
        Operation.bittorrent,
        Severity.peerError,
      )
      return
    }
    peer.session.counters.inc(C.SES_NUM_INCOMING_METADATA)
    const { type, part, totalSize, data } = message
    if (type === MetadataMessageType.request) this.#onRequest(part)
    else if (type === MetadataMessageType.data) {
      const host = peer.host!
      const useful = this.#answered(part) && host.metadataDownload?.received(this, part, totalSize, data) === true
      if (!useful) host.wasted(data.length, 'unknown')
      this.#ask()
    } else if (type === MetadataMessageType.reject && this.#answered(part)) {
      peer.host!.metadataDownload?.rejected(this, part)
    }
  }

  /** Once a second. */
  tick(now: number): void {
    if (this.#id === 0) return
    while (this.#asked.length > 0 && now - this.#askedAt[0]! >= ANSWER_MS) {
      const part = this.#asked[0]!
      this.#answered(part)
      this.#peer.host!.metadataDownload?.rejected(this, part)
    }
    this.#ask()
    while (this.#waiting.length > 0 && this.#peer.link.unsentBytes < SEND_BUFFER_LIMIT) {
      this.#send(this.#waiting.shift()!)
    }
  }

  /** We have got the metadata: a peer that asked in vain may ask again, which BEP 10 has the handshake for. */
  known(): void {
    this.left()
    if (this.#lacked && !this.#peer.disconnecting) this.#peer.extensions.writeHandshake()
    this.#lacked = false
  }

  /** The connection ends, or its torrent needs nothing of it any more. */
  left(): void {
    if (!this.#joined) return
    this.#joined = false
    this.#peer.host?.metadataDownload?.left(this)
  }

  /** @returns whether the part was asked for */
  #answered(part: number): boolean {
    const at = this.#asked.indexOf(part)
    if (at < 0) return false
    this.#asked.splice(at, 1)
    this.#askedAt.splice(at, 1)
    return true
  }

  #ask(): void {
    const peer = this.#peer
    if (this.#id === 0 || peer.disconnecting || peer.host === null) return
    const download = peer.host.metadataDownload
    while (download !== null && !download.done && this.#asked.length < MAX_OUTSTANDING) {
      const part = download.next(this, this.#asked)
      if (part < 0) return
      this.#asked.push(part)
      this.#askedAt.push(peer.session.turn.now)
      this.#write(MetadataMessageType.request, part)
    }
  }

  #onRequest(part: number): void {
    const metadata = this.#peer.host!.metadata()
    this.#lacked = metadata === null
    if (metadata === null || part < 0 || part >= metadataParts(metadata.length)) this.#reject(part)
    else if (this.#peer.link.unsentBytes < SEND_BUFFER_LIMIT) this.#send(part)
    else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(part)
    else this.#reject(part)
  }

  #reject(part: number): void {
    this.#write(MetadataMessageType.reject, part)
  }

  #send(part: number): void {
    const metadata = this.#peer.host!.metadata()
    if (metadata === null) return
    const at = part * METADATA_PART_SIZE
    this.#write(MetadataMessageType.data, part, metadata.subarray(at, at + METADATA_PART_SIZE))
  }

  #write(type: number, part: number, data: Uint8Array | null = null): void {
    const { link, host, session } = this.#peer
    encodeUtMetadata(link.out(), this.#id, type, part, host!.metadata()?.length ?? 0, data?.length ?? 0)
    // the dictionary does not change: it goes out from where it lies
    if (data !== null) link.write(data)
    session.counters.inc(C.SES_NUM_OUTGOING_EXTENDED)
    session.counters.inc(C.SES_NUM_OUTGOING_METADATA)
  }
}
