/**
 * `piece` messages that lie one after the other in memory, as a seed keeps the blocks it has read: they are sent with one
 * write, and with one call for many of them.
 *
 * @see BEP 3
 */

import { BLOCK_SIZE } from './brands.ts'
import { writeUint32 } from './bytes.ts'

/** A `piece` message before its payload: length, id, piece, begin. */
export const PIECE_HEADER_SIZE = 13
/** Distance between the messages of two blocks: a header and 16 KiB. */
export const FRAME_SIZE: number = PIECE_HEADER_SIZE + BLOCK_SIZE

const PIECE_ID = 7

/**
 * Writes the 13 bytes before the payload of a `piece` message.
 *
 * @param length of the payload
 * @returns the offset after them
 */
export function putPieceHeader(target: Uint8Array, at: number, piece: number, begin: number, length: number): number {
  writeUint32(target, at, 9 + length)
  target[at + 4] = PIECE_ID
  writeUint32(target, at + 5, piece)
  writeUint32(target, at + 9, begin)
  return at + PIECE_HEADER_SIZE
}

/** Payload among the first `count` bytes of messages of whole blocks, of which the last may be shorter. */
export function framedPayload(count: number): number {
  const whole = Math.floor(count / FRAME_SIZE)
  return whole * BLOCK_SIZE + Math.max(0, count - whole * FRAME_SIZE - PIECE_HEADER_SIZE)
}

/** Length of the messages that carry `payload` bytes in blocks of 16 KiB, of which the last may be shorter. */
export function framedLength(payload: number): number {
  return payload + Math.ceil(payload / BLOCK_SIZE) * PIECE_HEADER_SIZE
}
