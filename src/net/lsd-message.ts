/** The one message of local service discovery, written and read. @see BEP 14 */

import { bytesToBinary } from '../core/bytes.ts'
import { Sha1Hash } from '../core/digest.ts'

/** What somebody on the local network says. */
export interface LsdMessage {
  /** Where he takes connections, 1 to 65534. */
  readonly port: number
  /** Hexadecimal number by which a client knows its own messages; `null` if there is none. */
  readonly cookie: number | null
  /** v1 hashes, and v2 hashes cut to 20 bytes; none of them zero. */
  readonly infoHashes: readonly Sha1Hash[]
}

/** What is longer is cut there, before it is read. */
const MAX_BYTES = 1500
const METHOD = 'bt-search'

/** @param host the group's address, an IPv6 one in brackets */
export function writeLsdMessage(host: string, port: number, infoHash: Sha1Hash, cookie: number): Uint8Array {
  const text =
    `BT-SEARCH * HTTP/1.1\r\nHost: ${host}:6771\r\nPort: ${port}\r\n` +
    `Infohash: ${infoHash}\r\ncookie: ${cookie.toString(16)}\r\n\r\n\r\n`
  return new TextEncoder().encode(text)
}

/**
 * Reads a message, as freely as libtorrent does: lines may end without a carriage return, names in any case, headers in
 * any order, unknown ones are passed over, and of numbers the digits at the beginning count. The head must be whole:
 * it ends with a line without a colon.
 *
 * @returns in words what is wrong, if it is no such message; info-hashes that are none are left out
 */
export function readLsdMessage(packet: Uint8Array): LsdMessage | string {
  const text = bytesToBinary(packet.subarray(0, MAX_BYTES))
  const first = text.indexOf('\n')
  if (first < 1) return 'incomplete HTTP message'
  let port: string | null = null
  let cookie: string | null = null
  const hashes: string[] = []
  let whole = false
  let at = first + 1
  while (!whole) {
    const end = text.indexOf('\n', at)
    if (end < 0) return 'incomplete HTTP message'
    const line = text.slice(at, text[end - 1] === '\r' && end > at ? end - 1 : end)
    at = end + 1
    const colon = line.indexOf(':')
    if (colon < 0) {
      whole = true
      continue
    }
    const value = line.slice(colon + 1).replace(/^[ \t]+/, '')
    switch (line.slice(0, colon).toLowerCase()) {
      case 'port':
        port ??= value
        break
      case 'cookie':
        cookie ??= value
        break
      case 'infohash':
        hashes.push(value)
        break
      default:
        break
    }
  }
  const method = /^[^ \r]*/.exec(text.slice(0, first))![0].toLowerCase()
  if (method !== METHOD) return `invalid HTTP method: ${method}`
  if (port === null || port === '') return 'invalid BT-SEARCH, missing port'
  const number = leadingNumber(port, /^\s*\+?(\d+)/, 10)
  // libtorrent takes 65535 for too large
  if (number === null || number < 1 || number >= 65535) return `invalid BT-SEARCH port value: ${port}`
  return {
    port: number,
    cookie: cookie === null ? null : leadingNumber(cookie, /^\s*\+?(?:0x)?([\da-f]+)/i, 16),
    infoHashes: hashes
      .filter(hash => /^[\da-f]{40}$/i.test(hash))
      .map(hash => new Sha1Hash(hash))
      .filter(hash => !hash.isAllZeros()),
  }
}

function leadingNumber(text: string, pattern: RegExp, base: number): number | null {
  const match = pattern.exec(text)
  return match === null ? null : Number.parseInt(match[1]!, base)
}
