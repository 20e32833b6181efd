/** Network addresses: canonical text, packed bytes, compact forms (BEP 5, 7, 23) and what kind an address is. */

import { createRequire } from 'node:module'
import { bytesToBinary } from './bytes.ts'

/**
 * Address and port.
 *
 * The address is canonical text: dotted quad, or IPv6 in its shortest lower-case form without
 * brackets (RFC 5952), possibly with a zone (`fe80::1%eth0`). An IPv4-mapped address is written as IPv4.
 */
export type Endpoint = readonly [address: string, port: number]

export function isV4(address: string): boolean {
  return !address.includes(':')
}

export function isV6(address: string): boolean {
  return address.includes(':')
}

/** Canonical text of an address. @returns `null` if `text` is not an IPv4 or IPv6 address */
export function parseAddress(text: string): string | null {
  const packed = parseV4(text)
  if (packed >= 0) return text
  if (!text.includes(':')) return null
  const percent = text.indexOf('%')
  const zone = percent < 0 ? '' : text.slice(percent)
  const bare = percent < 0 ? text : text.slice(0, percent)
  if (!ipaddr().IPv6.isValid(bare)) return null
  const v6 = ipaddr().IPv6.parse(bare)
  return v6.isIPv4MappedAddress() ? v6.toIPv4Address().toString() : v6.toRFC5952String() + zone
}

/** The four bytes of a dotted quad without leading zeros as a number 0 to 2^32 - 1; -1 for any other text. */
export function parseV4(text: string): number {
  let value = 0
  let octet = -1
  let dots = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 46) {
      if (octet < 0 || ++dots > 3) return -1
      value = value * 256 + octet
      octet = -1
    } else if (c >= 48 && c <= 57) {
      if (octet === 0) return -1
      octet = octet < 0 ? c - 48 : octet * 10 + (c - 48)
      if (octet > 255) return -1
    } else return -1
  }
  return dots === 3 && octet >= 0 ? value * 256 + octet : -1
}

/**
 * An address in network byte order, 4 or 16 bytes; a zone is dropped.
 *
 * @throws RangeError if `address` is not canonical: the caller has skipped `parseAddress`
 */
export function addressBytes(address: string): Uint8Array {
  if (isV4(address)) {
    const packed = parseV4(address)
    if (packed < 0) throw new RangeError(`addressBytes: ${address} is not an address`)
    return Uint8Array.of(packed >>> 24, packed >>> 16, packed >>> 8, packed)
  }
  const percent = address.indexOf('%')
  const bare = percent < 0 ? address : address.slice(0, percent)
  if (!ipaddr().IPv6.isValid(bare)) throw new RangeError(`addressBytes: ${address} is not an address`)
  return Uint8Array.from(ipaddr().IPv6.parse(bare).toByteArray())
}

/** Canonical text of 4 or 16 bytes at `at`. */
export function addressFromBytes(bytes: Uint8Array, at: number, length: 4 | 16): string {
  if (length === 4) return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`
  const { IPv6 } = ipaddr()
  const v6 = new IPv6(Array.from(bytes.subarray(at, at + 16)))
  return v6.isIPv4MappedAddress() ? v6.toIPv4Address().toString() : v6.toRFC5952String()
}

/** Address and port as trackers, PEX and the DHT pack them: 6 or 18 bytes. @see BEP 5, BEP 7, BEP 23 */
export function endpointToCompact(endpoint: Endpoint): Uint8Array {
  const address = addressBytes(endpoint[0])
  const out = new Uint8Array(address.length + 2)
  out.set(address)
  out[address.length] = endpoint[1] >>> 8
  out[address.length + 1] = endpoint[1]
  return out
}

/** Reads one compact endpoint at `at`. */
export function endpointFromCompact(bytes: Uint8Array, at: number, addressLength: 4 | 16): Endpoint {
  const p = at + addressLength
  return [addressFromBytes(bytes, at, addressLength), (bytes[p]! << 8) | bytes[p + 1]!]
}

/** A list of compact endpoints; a cut last one is ignored. */
export function endpointsFromCompact(bytes: Uint8Array, addressLength: 4 | 16): Endpoint[] {
  const out: Endpoint[] = []
  const size = addressLength + 2
  for (let at = 0; at + size <= bytes.length; at += size) out.push(endpointFromCompact(bytes, at, addressLength))
  return out
}

/** Whether it is the number of a port, `lowest` or above. */
export function isPort(port: number, lowest: 0 | 1): boolean {
  return Number.isInteger(port) && port >= lowest && port <= 65535
}

/** `1.2.3.4:80`, `[::1]:80`: how libtorrent prints an endpoint. Fit as a `Map` key. */
export function endpointToString(endpoint: Endpoint): string {
  return isV6(endpoint[0]) ? `[${endpoint[0]}]:${endpoint[1]}` : `${endpoint[0]}:${endpoint[1]}`
}

export function endpointsEqual(a: Endpoint, b: Endpoint): boolean {
  return a[1] === b[1] && a[0] === b[0]
}

/** A short `Map` key of an address: its bytes as a binary string. */
export function addressKey(address: string): string {
  return bytesToBinary(addressBytes(address))
}

export function isLoopback(address: string): boolean {
  return isV4(address) ? address.startsWith('127.') : address === '::1'
}

/** The zone of an IPv6 address, with its percent sign; empty if there is none. */
export function zoneOf(address: string): string {
  const percent = address.indexOf('%')
  return percent < 0 ? '' : address.slice(percent)
}

/** `0.0.0.0` and `::`. */
export function isUnspecified(address: string): boolean {
  return address === '0.0.0.0' || address === '::'
}

export function isMulticast(address: string): boolean {
  const first = addressBytes(address)[0]!
  return isV4(address) ? first >= 224 && first < 240 : first === 0xff
}

/**
 * Addresses of a network of one's own, or of one's provider: private, shared, link-local, site-local and loopback ranges
 * (`is_local` of libtorrent).
 */
export function isLocal(address: string): boolean {
  const b = addressBytes(address)
  if (b.length === 4) {
    return (
      b[0] === 10 ||
      (b[0] === 172 && (b[1]! & 0xf0) === 16) ||
      (b[0] === 192 && b[1] === 168) ||
      (b[0] === 169 && b[1] === 254) ||
      b[0] === 127 ||
      (b[0] === 100 && (b[1]! & 0xc0) === 64)
    )
  }
  const scope = b[0] === 0xff ? b[1]! & 0x0f : 0
  return (
    isLinkLocal(address) ||
    (b[0]! & 0xfe) === 0xfc ||
    (b[0] === 0xfe && (b[1]! & 0xc0) === 0xc0) ||
    scope === 2 ||
    scope === 5 ||
    isLoopback(address)
  )
}

export function isLinkLocal(address: string): boolean {
  const b = addressBytes(address)
  return b.length === 4 ? b[0] === 169 && b[1] === 254 : b[0] === 0xfe && (b[1]! & 0xc0) === 0x80
}

/** `is_global` of libtorrent: IPv4 outside the local and unspecified ranges, IPv6 in 2000::/3. */
export function isGlobal(address: string): boolean {
  const b = addressBytes(address)
  if (b.length === 16) return (b[0]! & 0xe0) === 0x20
  return !isLocal(address) && !isUnspecified(address) && !isMulticast(address)
}

/** True if both addresses agree in their first `prefixBits` bits. Different families never do. */
export function sameNetwork(a: string, b: string, prefixBits: number): boolean {
  const x = addressBytes(a)
  const y = addressBytes(b)
  if (x.length !== y.length) return false
  const whole = prefixBits >> 3
  for (let i = 0; i < whole; i++) if (x[i] !== y[i]) return false
  const rest = prefixBits & 7
  return rest === 0 || ((x[whole]! ^ y[whole]!) & (0xff << (8 - rest)) & 0xff) === 0
}

type IpAddr = typeof import('ipaddr.js')

let loaded: IpAddr | null = null

/**
 * Reads and writes IPv6. Loaded with the first such address, and required: that is what this package is made for,
 * and importing it would have Node start its analyser of CommonJS modules, which takes 5 MiB.
 */
function ipaddr(): IpAddr {
  loaded ??= createRequire(import.meta.url)('ipaddr.js') as IpAddr
  return loaded
}
