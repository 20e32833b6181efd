/**
 * The two extended messages that are a few bytes each: `lt_donthave` (BEP 54) and `upload_only` (BEP 21).
 *
 * libtorrent takes no notice of one with another length, so neither does a caller that gets `null` here.
 */

import type { ByteWriter } from '../core/byte-writer.ts'
import { readUint32 } from '../core/bytes.ts'
import { MessageId } from './messages.ts'

/** The sender has lost a piece it had announced. @param id the receiver's id for `lt_donthave` */
export function encodeDontHave(out: ByteWriter, id: number, piece: number): void {
  out.uint32(6).uint8(MessageId.extended).uint8(id).uint32(piece)
}

/** @returns the piece; `null` if the payload is not one number */
export function decodeDontHave(payload: Uint8Array): number | null {
  return payload.length === 4 ? readUint32(payload, 0) : null
}

/** The sender wants no more data, or does again. @param id the receiver's id for `upload_only` */
export function encodeUploadOnly(out: ByteWriter, id: number, uploadOnly: boolean): void {
  out
    .uint32(3)
    .uint8(MessageId.extended)
    .uint8(id)
    .uint8(uploadOnly ? 1 : 0)
}

/** @returns `null` if the payload is not one byte */
export function decodeUploadOnly(payload: Uint8Array): boolean | null {
  return payload.length === 1 ? payload[0] !== 0 : null
}
