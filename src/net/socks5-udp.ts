/** The header of packets that a SOCKS5 proxy relays (RFC 1928, section 7). */

import { bytesToBinary, readUint16, textToBytes, writeUint16 } from '../core/bytes.ts'
import { addressBytes, type Endpoint, endpointFromCompact, parseAddress } from '../core/endpoint.ts'

/** Forms of an address. @see RFC 1928, section 5 */
export const SocksAddress = { v4: 1, name: 3, v6: 4 } as const

/** Two reserved bytes, the fragment's number, the form of the address. */
const FIXED_BYTES = 4
const MAX_NAME_BYTES = 255

/** What came out of a relayed packet. */
export interface RelayedPacket {
  /** Who sent it; `null` if the proxy knows the sender by name. */
  readonly from: Endpoint | null
  /** A view of the packet. */
  readonly payload: Uint8Array
}

/** Address and port as SOCKS5 has them, with the form in front. */
export function socksEndpoint(endpoint: Endpoint): Uint8Array {
  const address = addressBytes(endpoint[0])
  return withPort(address.length === 4 ? SocksAddress.v4 : SocksAddress.v6, address, endpoint[1])
}

/** The packet for the relay to send on to `to`. */
export function wrapForRelay(to: Endpoint, packet: Uint8Array): Uint8Array {
  return withHeader(socksEndpoint(to), packet)
}

/**
 * The packet for the relay to send on to a host that the proxy looks up.
 *
 * @param host name, or an address as text
 * @returns `null` if a name is longer than the header can say
 */
export function wrapForRelayByName(host: string, port: number, packet: Uint8Array): Uint8Array | null {
  const address = parseAddress(host)
  if (address !== null) return wrapForRelay([address, port], packet)
  const name = textToBytes(host)
  if (name.length > MAX_NAME_BYTES) return null
  const counted = new Uint8Array(1 + name.length)
  counted[0] = name.length
  counted.set(name, 1)
  return withHeader(withPort(SocksAddress.name, counted, port), packet)
}

/**
 * Takes the header off a packet of the relay.
 *
 * @returns `null` if it is none: cut short, empty, of an unknown form, or a fragment, which are not put together
 */
export function unwrapRelayed(packet: Uint8Array): RelayedPacket | null {
  if (packet.length <= FIXED_BYTES || packet[2] !== 0) return null
  const form = packet[3]
  if (form === SocksAddress.name) return unwrapNamed(packet)
  if (form !== SocksAddress.v4 && form !== SocksAddress.v6) return null
  const length = form === SocksAddress.v4 ? 4 : 16
  const end = FIXED_BYTES + length + 2
  if (packet.length <= end) return null
  return { from: endpointFromCompact(packet, FIXED_BYTES, length), payload: packet.subarray(end) }
}

function unwrapNamed(packet: Uint8Array): RelayedPacket | null {
  const start = FIXED_BYTES + 1
  const end = start + packet[FIXED_BYTES]! + 2
  if (packet.length <= end) return null
  const address = parseAddress(bytesToBinary(packet.subarray(start, end - 2)))
  return {
    from: address === null ? null : [address, readUint16(packet, end - 2)],
    payload: packet.subarray(end),
  }
}

function withPort(form: number, address: Uint8Array, port: number): Uint8Array {
  const out = new Uint8Array(1 + address.length + 2)
  out[0] = form
  out.set(address, 1)
  writeUint16(out, 1 + address.length, port)
  return out
}

function withHeader(target: Uint8Array, packet: Uint8Array): Uint8Array {
  const out = new Uint8Array(FIXED_BYTES - 1 + target.length + packet.length)
  out.set(target, FIXED_BYTES - 1)
  out.set(packet, FIXED_BYTES - 1 + target.length)
  return out
}
