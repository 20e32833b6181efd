/** Splitting URLs the way libtorrent does, and what it takes for one to be a tracker's. */

import { LibtorrentErrors } from './error-table.ts'

/** The parts of a URL, undecoded. */
export interface UrlParts {
  readonly protocol: string
  /** `user:password`, or empty. */
  readonly auth: string
  /** Without the brackets of an IPv6 address. */
  readonly host: string
  /** -1 if the URL names none. */
  readonly port: number
  /** Path, query and fragment; starts with a slash. */
  readonly path: string
}

/** @returns the parts, or why it is no URL that libtorrent would connect to */
export function parseUrl(url: string): UrlParts | LibtorrentErrors {
  const colon = url.indexOf(':')
  if (colon < 0 || url.slice(colon, colon + 3) !== '://') return LibtorrentErrors.unsupportedUrlProtocol
  const protocol = url.slice(0, colon).trimStart()
  let start = colon + 3
  const end = indexOfAny(url, start)
  const at = url.indexOf('@', start)
  const firstColon = url.indexOf(':', start)
  let auth = ''
  if (at >= 0 && firstColon >= 0 && firstColon < at && at < end) {
    auth = url.slice(start, at)
    start = at + 1
  }
  const literal = url[start] === '['
  let host: string
  let portAt: number
  if (literal) {
    const close = url.indexOf(']', start)
    if (close < 0) return LibtorrentErrors.expectedCloseBracketInAddress
    host = url.slice(start + 1, close)
    portAt = url.indexOf(':', close)
  } else {
    portAt = url.indexOf(':', start)
    host = url.slice(start, portAt >= 0 && portAt < end ? portAt : end)
  }
  if (host === '' || !(literal ? /^[a-zA-Z0-9.:%_~-]+$/ : /^[a-zA-Z0-9.-]+$/).test(host)) {
    return LibtorrentErrors.invalidHostname
  }
  let port = -1
  if (portAt >= 0 && portAt < end) {
    const digits = url.slice(portAt + 1, end)
    if (!/^[0-9]*$/.test(digits)) return LibtorrentErrors.invalidPort
    port = Number(digits)
  }
  const path = url.slice(end)
  return { protocol, auth, host, port, path: path.startsWith('/') ? path : `/${path}` }
}

function indexOfAny(url: string, from: number): number {
  for (let i = from; i < url.length; i++) {
    const c = url[i]
    if (c === '/' || c === '?' || c === '#') return i
  }
  return url.length
}

/**
 * True for `http`, `https` and `udp` URLs with a well-formed host and port.
 *
 * Spaces and control characters must be escaped: left as they are they could inject header lines.
 */
export function isValidTrackerUrl(url: string): boolean {
  for (let i = 0; i < url.length; i++) {
    const c = url.charCodeAt(i)
    if (c <= 0x20 || c === 0x7f) return false
  }
  return /^(?:https?|udp):\/\//i.test(url) && typeof parseUrl(url) === 'object'
}

/** True if the host ends in `.i2p`. */
export function isI2pUrl(url: string): boolean {
  const parts = parseUrl(url)
  return typeof parts === 'object' && parts.host.endsWith('.i2p')
}

/** Bytes of a URL that need no escape; those of reserved meaning are left to whoever wrote it. */
const URL_PLAIN = /^[%+;?:@=&,$/\-_!.~*()A-Za-z0-9]*$/
const PATH_PLAIN = /[^/\-_!.~*()A-Za-z0-9]/gu

/** Escapes the path of a URL if it has characters that must be; a URL that is none is returned as it is. */
export function escapeUrlPath(url: string): string {
  const parts = parseUrl(url)
  if (typeof parts !== 'object' || URL_PLAIN.test(parts.path)) return url
  const host = parts.host.includes(':') ? `[${parts.host}]` : parts.host
  const auth = parts.auth === '' ? '' : `${parts.auth}@`
  const port = parts.port === -1 ? '' : `:${parts.port}`
  return `${parts.protocol}://${auth}${host}${port}${escapePath(parts.path)}`
}

/** Escapes what must not stand in a path as it is. Slashes stay. */
export function escapePath(path: string): string {
  return path.replace(PATH_PLAIN, escapeCharacter)
}

function escapeCharacter(character: string): string {
  let out = ''
  for (const b of new TextEncoder().encode(character)) out += `%${b.toString(16).padStart(2, '0')}`
  return out
}
