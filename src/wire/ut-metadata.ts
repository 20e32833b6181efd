/** The messages of metadata exchange: a small dictionary, and after it the bytes of one part. @see BEP 9 */

import { tryBdecode } from '../bencode/bdecode.ts'
import { BdecodeNode } from '../bencode/bdecode-node.ts'
import { bencode } from '../bencode/bencode.ts'
import type { ByteWriter } from '../core/byte-writer.ts'
import { BdecodeErrors } from '../core/error-table.ts'
import { MessageId } from './messages.ts'

/** What a message is; libtorrent's `msg_t`. Other numbers are for others to define. */
export const MetadataMessageType = Object.freeze({
  request: 0,
  /** With the bytes of the part. */
  data: 1,
  /** "Have it not", or too much is asked for. */
  reject: 2,
} as const)

/** The info dictionary travels in parts of this size; the last may be shorter. In bytes. */
export const METADATA_PART_SIZE = 16384
/** A longer message ends the connection. In bytes, without id and length prefix. */
export const MAX_METADATA_MESSAGE = 17 * 1024

const LIMITS = Object.freeze({ depth: 10, tokens: 100 })

export interface MetadataMessage {
  /** A `MetadataMessageType`, or any other number. */
  readonly type: number
  /** Index of the part as the peer wrote it, which may be anything; the nearest safe integer. */
  readonly part: number
  /** Of the info dictionary in bytes; 0 if it does not say. */
  readonly totalSize: number
  /** What follows the dictionary: a view of the payload. */
  readonly data: Uint8Array
}

/** How many parts an info dictionary of so many bytes has. */
export function metadataParts(size: number): number {
  return Math.ceil(size / METADATA_PART_SIZE)
}

/** Size of a part of an info dictionary of `size` bytes. */
export function metadataPartSize(size: number, part: number): number {
  return Math.min(METADATA_PART_SIZE, size - part * METADATA_PART_SIZE)
}

/** @returns `null` if it is no dictionary, or one that lacks its type or its part */
export function decodeUtMetadata(payload: Uint8Array): MetadataMessage | null {
  const { node, error } = tryBdecode(payload, LIMITS)
  if (error !== BdecodeErrors.noError || node.type() !== BdecodeNode.Type.dictT) return null
  const type = node.dictFindInt('msg_type')
  const part = node.dictFindInt('piece')
  if (type.type() !== BdecodeNode.Type.intT || part.type() !== BdecodeNode.Type.intT) return null
  return {
    type: type.intValue(),
    // it goes back to the peer in a reject
    part: Math.max(Number.MIN_SAFE_INTEGER, Math.min(part.intValue(), Number.MAX_SAFE_INTEGER)),
    totalSize: Math.max(0, node.dictFindIntValue('total_size')),
    data: payload.subarray(node.dataSection().length),
  }
}

/**
 * Writes the message up to the bytes of the part, its length prefix included.
 *
 * @param id        what the peer calls `ut_metadata`
 * @param totalSize of the info dictionary; 0 if it is not known
 * @param dataBytes how many bytes the caller sends after it
 */
export function encodeUtMetadata(
  out: ByteWriter,
  id: number,
  type: number,
  part: number,
  totalSize: number,
  dataBytes = 0,
): void {
  const head = bencode({ msg_type: type, piece: part, ...(totalSize > 0 ? { total_size: totalSize } : {}) })
  out.uint32(2 + head.length + dataBytes)
  out.uint8(MessageId.extended).uint8(id).bytes(head)
}
