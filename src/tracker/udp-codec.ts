/** The packets of the UDP tracker protocol (BEP 15, BEP 41). No I/O. */

import { ByteWriter } from '../core/byte-writer.ts'
import { bytesToText, readInt32, readUint32, textToBytes } from '../core/bytes.ts'
import { type Endpoint, endpointsFromCompact, parseV4 } from '../core/endpoint.ts'
import type { TrackerRequest } from './announce-request.ts'

/** What a packet asks or answers. */
export const UdpAction = Object.freeze({ connect: 0, announce: 1, scrape: 2, error: 3 } as const)
export type UdpAction = (typeof UdpAction)[keyof typeof UdpAction]

/** Protocol id of a connect request. */
const PROTOCOL_ID_HIGH = 0x417
const PROTOCOL_ID_LOW = 0x27101980
/** Option "URL data": path and query of the tracker's URL. @see BEP 41 */
const OPTION_URL_DATA = 2

/** Bytes of IP and UDP headers, for the statistics. */
export const UDP_OVERHEAD = 28

export function encodeConnect(transactionId: number): Uint8Array {
  return new ByteWriter(16)
    .uint32(PROTOCOL_ID_HIGH)
    .uint32(PROTOCOL_ID_LOW)
    .uint32(UdpAction.connect)
    .uint32(transactionId)
    .finish()
}

/**
 * @param connectionId 8 bytes, from the connect response
 * @param announceIp   IPv4 address to tell the tracker; empty for the sender's
 * @param path         path and query of the tracker's URL; only the first 255 bytes are sent
 */
export function encodeAnnounce(
  connectionId: Uint8Array,
  transactionId: number,
  request: TrackerRequest,
  listenPort: number,
  announceIp: string,
  path: string,
): Uint8Array {
  const out = new ByteWriter(100 + path.length)
    .bytes(connectionId)
    .uint32(UdpAction.announce)
    .uint32(transactionId)
    .bytes(request.infoHash.view())
    .bytes(request.peerId)
    .uint64(request.downloaded)
    .uint64(request.left)
    .uint64(request.uploaded)
    .uint32(request.event)
    .uint32(Math.max(0, parseV4(announceIp)))
    .uint32(request.key)
    .uint32(request.numWant)
    .uint16(listenPort)
  const urlData = textToBytes(path).subarray(0, 255)
  if (urlData.length > 0) out.uint8(OPTION_URL_DATA).uint8(urlData.length).bytes(urlData)
  return out.finish()
}

export function encodeScrape(connectionId: Uint8Array, transactionId: number, infoHash: Uint8Array): Uint8Array {
  return new ByteWriter(36).bytes(connectionId).uint32(UdpAction.scrape).uint32(transactionId).bytes(infoHash).finish()
}

/** Action and transaction id of a response. @returns `null` if it cannot be one */
export function decodeHeader(packet: Uint8Array): { action: number; transactionId: number } | null {
  if (packet.length < 8) return null
  const action = readUint32(packet, 0)
  return action > UdpAction.error ? null : { action, transactionId: readUint32(packet, 4) }
}

/** @returns the connection id, a copy; `null` if the packet is too short */
export function decodeConnect(packet: Uint8Array): Uint8Array | null {
  // kept beyond this call, so a copy: `slice` of a `Buffer` is none
  return packet.length < 16 ? null : new Uint8Array(packet.subarray(8, 16))
}

/** An announce response. */
export interface UdpAnnounceReply {
  readonly interval: number
  readonly incomplete: number
  readonly complete: number
  /** `null` if the rest of the packet is no whole number of peers. */
  readonly peers: Endpoint[] | null
}

/**
 * @param addressLength that of the tracker's own address: it lists peers of its family
 * @returns `null` if the packet is too short
 */
export function decodeAnnounce(packet: Uint8Array, addressLength: 4 | 16): UdpAnnounceReply | null {
  if (packet.length < 20) return null
  const whole = (packet.length - 20) % (addressLength + 2) === 0
  return {
    interval: readInt32(packet, 8),
    incomplete: readInt32(packet, 12),
    complete: readInt32(packet, 16),
    peers: whole ? endpointsFromCompact(packet.subarray(20), addressLength) : null,
  }
}

/** @returns `null` if the packet is too short */
export function decodeScrape(packet: Uint8Array): { complete: number; downloaded: number; incomplete: number } | null {
  if (packet.length < 20) return null
  return { complete: readInt32(packet, 8), downloaded: readInt32(packet, 12), incomplete: readInt32(packet, 16) }
}

/** The text of an error response. */
export function decodeError(packet: Uint8Array): string {
  return bytesToText(packet.subarray(8)).replace(/\0+$/, '')
}
