/** What carries a peer connection: a stream to a BitTorrent client (`BtLink`), or requests to a web server (`WebSeedLink`). */

import type { ByteWriter } from '../core/byte-writer.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { SocketType } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import type { Operation } from '../core/operation.ts'
import type { HandshakeFeatures, HandshakeSink } from '../wire/handshake.ts'
import type { MessageDecoder } from '../wire/message-decoder.ts'
import type { WireSink } from '../wire/wire-sink.ts'
import type { LogNotice } from './peer-host.ts'

/** What a link reports. All inside a turn. */
export interface PeerLinkOwner extends WireSink, HandshakeSink {
  /** The outgoing connection is up. */
  linkConnected(): void
  /** The stream ended without our doing. The last call. */
  linkClosed(error: ErrorCode, operation: Operation): void
  /** Bytes came: `payload` of them block payload. Called after their messages were handled. */
  linkReceived(payload: number, protocol: number): void
  /** Bytes were handed to the transport. */
  linkSent(payload: number, protocol: number): void
  /** The transport has taken what it was given; there is room for more blocks. */
  linkDrained(): void
  /** How many bytes may be sent now under rate limits; the link asks before each write. */
  sendQuota(): number
  /** Whether `logMessage` is to be called for each message. */
  readonly logsMessages: boolean
  logMessage(notice: LogNotice): void
  /** Something in the handling of an event threw: our bug. The owner closes. */
  linkCrashed(error: unknown): void
}

export interface PeerLink {
  readonly kind: SocketType
  /** Valid once connected. */
  readonly local: Endpoint
  /** Bytes that are not with the system yet, ours and the transport's. */
  readonly unsentBytes: number
  /** Something was written that is not with the transport yet. */
  readonly holdsBytes: boolean
  /** Requests for blocks in a row become one: a window of requests lets the whole row out with its first block. */
  readonly mergesRequests: boolean
  /** What the messages that come are checked against, and what is half here. */
  readonly decoder: Pick<
    MessageDecoder,
    'setNumPieces' | 'setFastSupported' | 'setProtocolV2' | 'bufferedCapacity' | 'blockReceived'
  >

  writeHandshake(features: HandshakeFeatures, infoHash: Uint8Array, peerId: Uint8Array): void
  /** Where messages are written: `encodeHave(link.out(), 5)`. They go out at the end of the turn. */
  out(): ByteWriter
  /** As `out`, for messages that nothing waits for: they go out along with others, or when `resumeSending` is called. */
  outWithNext(): ByteWriter
  /** Asks for a block. */
  request(piece: number, begin: number, length: number): void
  /** Takes a request back. It may be answered nevertheless. */
  cancel(piece: number, begin: number, length: number): void
  /** Sends bytes that nobody changes any more, after what was written to `out()`. */
  write(view: Uint8Array): void
  /**
   * Sends the payload of a `piece` message whose header was written to `out()` just before.
   *
   * @param framed whole `piece` messages instead, with their headers
   */
  writeBlock(views: readonly Uint8Array[], release: () => void, framed?: boolean): void
  /** Sends what waits in the buffer: there is quota again, or it has waited long enough. */
  resumeSending(): void
  /** Nothing is received until `resume`. */
  pause(): void
  resume(): void
  close(): void
}
