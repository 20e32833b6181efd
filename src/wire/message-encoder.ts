/** Writes peer wire messages, length prefix included, into a `ByteWriter` that the owner sends as one write. */

import type { ByteWriter } from '../core/byte-writer.ts'
import { type HashRequest, writeHashRequest } from './hash-messages.ts'
import { HASH_HEADER_LENGTH, MessageId } from './messages.ts'

/** The 13 bytes before the payload of a `piece` message. @param length of the payload */
export function encodePieceHeader(out: ByteWriter, piece: number, begin: number, length: number): void {
  out
    .uint32(9 + length)
    .uint8(MessageId.piece)
    .uint32(piece)
    .uint32(begin)
}

export function encodeKeepAlive(out: ByteWriter): void {
  out.uint32(0)
}

export function encodeChoke(out: ByteWriter): void {
  out.uint32(1).uint8(MessageId.choke)
}

export function encodeUnchoke(out: ByteWriter): void {
  out.uint32(1).uint8(MessageId.unchoke)
}

export function encodeInterested(out: ByteWriter): void {
  out.uint32(1).uint8(MessageId.interested)
}

export function encodeNotInterested(out: ByteWriter): void {
  out.uint32(1).uint8(MessageId.notInterested)
}

export function encodeHave(out: ByteWriter, piece: number): void {
  out.uint32(5).uint8(MessageId.have).uint32(piece)
}

/** @param bits packed, most significant first, spare bits zero: `Bitfield.data()` */
export function encodeBitfield(out: ByteWriter, bits: Uint8Array): void {
  out
    .uint32(1 + bits.length)
    .uint8(MessageId.bitfield)
    .bytes(bits)
}

export function encodeRequest(out: ByteWriter, piece: number, begin: number, length: number): void {
  encodeBlockMessage(out, MessageId.request, piece, begin, length)
}

/** A whole `piece` message with its payload copied: for tests and small messages. */
export function encodePiece(out: ByteWriter, piece: number, begin: number, payload: Uint8Array): void {
  encodePieceHeader(out, piece, begin, payload.length)
  out.bytes(payload)
}

export function encodeCancel(out: ByteWriter, piece: number, begin: number, length: number): void {
  encodeBlockMessage(out, MessageId.cancel, piece, begin, length)
}

export function encodeDhtPort(out: ByteWriter, port: number): void {
  out.uint32(3).uint8(MessageId.dhtPort).uint16(port)
}

export function encodeSuggest(out: ByteWriter, piece: number): void {
  out.uint32(5).uint8(MessageId.suggest).uint32(piece)
}

export function encodeHaveAll(out: ByteWriter): void {
  out.uint32(1).uint8(MessageId.haveAll)
}

export function encodeHaveNone(out: ByteWriter): void {
  out.uint32(1).uint8(MessageId.haveNone)
}

export function encodeReject(out: ByteWriter, piece: number, begin: number, length: number): void {
  encodeBlockMessage(out, MessageId.reject, piece, begin, length)
}

export function encodeAllowedFast(out: ByteWriter, piece: number): void {
  out.uint32(5).uint8(MessageId.allowedFast).uint32(piece)
}

/** @param id the receiver's id for the extension, from its extended handshake; 0 for the handshake itself */
export function encodeExtended(out: ByteWriter, id: number, payload: Uint8Array): void {
  out
    .uint32(2 + payload.length)
    .uint8(MessageId.extended)
    .uint8(id)
    .bytes(payload)
}

export function encodeHashRequest(out: ByteWriter, request: HashRequest): void {
  encodeHashHeader(out, MessageId.hashRequest, request, 0)
}

/** @param hashes 32 bytes each: the base layer, then the uncle hashes */
export function encodeHashes(out: ByteWriter, request: HashRequest, hashes: Uint8Array): void {
  encodeHashHeader(out, MessageId.hashes, request, hashes.length)
  out.bytes(hashes)
}

export function encodeHashReject(out: ByteWriter, request: HashRequest): void {
  encodeHashHeader(out, MessageId.hashReject, request, 0)
}

function encodeBlockMessage(out: ByteWriter, id: MessageId, piece: number, begin: number, length: number): void {
  out.uint32(13).uint8(id).uint32(piece).uint32(begin).uint32(length)
}

function encodeHashHeader(out: ByteWriter, id: MessageId, request: HashRequest, following: number): void {
  const header = new Uint8Array(HASH_HEADER_LENGTH - 1)
  writeHashRequest(header, 0, request)
  out
    .uint32(HASH_HEADER_LENGTH + following)
    .uint8(id)
    .bytes(header)
}
