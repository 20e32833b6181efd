/** What a {@link MessageDecoder} tells its owner. */

import type { ErrorCode } from '../core/error-code.ts'
import type { HashRequest } from './hash-messages.ts'

/**
 * Receives the messages of one peer, in order, during `MessageDecoder.push`.
 *
 * Numbers are what the peer wrote: unsigned 32 bits, not compared with any geometry. Views are
 * borrowed: valid during the call only. Every method may call `MessageDecoder.stop` or `fail`;
 * nothing is called after that.
 */
export interface WireSink {
  onKeepAlive(): void
  onChoke(): void
  onUnchoke(): void
  onInterested(): void
  onNotInterested(): void
  onHave(piece: number): void
  /** @param bits packed, most significant first; of the right length if the number of pieces was set */
  onBitfield(bits: Uint8Array): void
  /**
   * @param count requests that came in a row: this one and those for the ranges of the same length right after it. How
   *   many come together depends on how the stream was cut
   */
  onRequest(piece: number, begin: number, length: number, count: number): void
  /**
   * Whole blocks of the same length, each right after the one before it, headers included.
   *
   * @param at of the first message in `chunk`; the next one begins `PIECE_HEADER_SIZE + length` bytes on
   * @param length of each block's payload
   * @param count at least 1; how many come together depends on how the stream was cut
   * @returns how many of them, from the first on, are dealt with; the others come by {@link onPieceHeader}
   */
  onPieces(piece: number, begin: number, length: number, count: number, chunk: Uint8Array, at: number): number
  /**
   * The header of a block is here; its payload follows by {@link onPiecePayload}.
   *
   * @param length 0 to the decoder's `maxBlockLength`; some clients send 0 to reject a request
   * @returns true to get the payload, false to have it skipped
   */
  onPieceHeader(piece: number, begin: number, length: number): boolean
  /**
   * Part of the payload of the block announced last: `chunk` from `start` to `end`.
   *
   * @param offset where in the block it belongs; parts come in order without gaps
   */
  onPiecePayload(chunk: Uint8Array, start: number, end: number, offset: number): void
  /** The last byte of the block is here. Also called for a skipped block and for one of length 0. */
  onPieceEnd(piece: number, begin: number, length: number): void
  onCancel(piece: number, begin: number, length: number): void
  onDhtPort(port: number): void
  onSuggest(piece: number): void
  onHaveAll(): void
  onHaveNone(): void
  onReject(piece: number, begin: number, length: number): void
  onAllowedFast(piece: number): void
  /**
   * An extended message begins. Called before memory is reserved for its payload.
   *
   * @param id extended message id, 0 for the extended handshake
   * @param length of the payload that follows
   * @returns true to get it by {@link onExtended} once it is whole, false to have it skipped
   */
  onExtendedHeader(id: number, length: number): boolean
  onExtended(id: number, payload: Uint8Array): void
  onHashRequest(request: HashRequest): void
  /** @param hashes the base layer and then the uncle hashes, 32 bytes each; their number fits the request */
  onHashes(request: HashRequest, hashes: Uint8Array): void
  onHashReject(request: HashRequest): void
  /**
   * A message with an id that this library does not know begins.
   *
   * @returns true to get it by {@link onUnknown} once it is whole; false to have the connection
   *   fail with `invalid_message`, as libtorrent does if no plugin wants it
   */
  onUnknownHeader(id: number, length: number): boolean
  onUnknown(id: number, payload: Uint8Array): void
  /** The peer broke the protocol. Called once; the last call. */
  onProtocolError(error: ErrorCode): void
}
