/**
 * Whole `piece` messages that lie one after the other in memory, as a seed keeps the blocks it has read: they are
 * sent with one write, and with one call for many of them.
 */

import { BLOCK_SIZE } from '../core/brands.ts'
import { PIECE_HEADER_SIZE } from './messages.ts'

/** Distance between the messages of two blocks: a header and 16 KiB. */
export const FRAME_SIZE = PIECE_HEADER_SIZE + BLOCK_SIZE

/** Payload among the first `count` bytes of messages of whole blocks, of which the last may be shorter. */
export function framedPayload(count: number): number {
  const whole = Math.floor(count / FRAME_SIZE)
  return whole * BLOCK_SIZE + Math.max(0, count - whole * FRAME_SIZE - PIECE_HEADER_SIZE)
}

/** Length of the messages that carry `payload` bytes in blocks of 16 KiB, of which the last may be shorter. */
export function framedLength(payload: number): number {
  return payload + Math.ceil(payload / BLOCK_SIZE) * PIECE_HEADER_SIZE
}
