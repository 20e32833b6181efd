/** Tracker addresses taken apart, and the checks that keep them from being misused. */

import { ErrorCode, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'

/** The parts of a URL as trackers need them. */
export interface UrlParts {
  /** As written, without the colon. */
  readonly protocol: string
  /** `user:password`; empty if there is none. */
  readonly auth: string
  /** Without brackets. */
  readonly hostname: string
  /** -1 if not given. */
  readonly port: number
  /** Path and query, beginning with `/`. */
  readonly path: string
}

/** Takes a URL apart with libtorrent's rules, which are narrower than those of `URL`. */
export function parseUrl(url: string): UrlParts | ErrorCode {
  const scheme = /^\s*([^:]*):\/\//.exec(url)
  if (scheme === null) return libtorrentError(LibtorrentErrors.unsupportedUrlProtocol)
  const start = scheme[0].length
  const stop = url.slice(start).search(/[/?#]/)
  const end = stop < 0 ? url.length : start + stop
  let authority = url.slice(start, end)
  let auth = ''
  const at = authority.indexOf('@')
  if (at > authority.indexOf(':') && authority.includes(':') && at >= 0) {
    auth = authority.slice(0, at)
    authority = authority.slice(at + 1)
  }
  let hostname: string
  let rest: string
  const literal = authority.startsWith('[')
  if (literal) {
    const close = authority.indexOf(']')
    if (close < 0) return libtorrentError(LibtorrentErrors.expectedCloseBracketInAddress)
    hostname = authority.slice(1, close)
    rest = authority.slice(close + 1)
  } else {
    const colon = authority.indexOf(':')
    hostname = colon < 0 ? authority : authority.slice(0, colon)
    rest = colon < 0 ? '' : authority.slice(colon)
  }
  if (!(literal ? /^[0-9A-Za-z.:%_~-]+$/ : /^[0-9A-Za-z.-]+$/).test(hostname)) {
    return libtorrentError(LibtorrentErrors.invalidHostname)
  }
  let port = -1
  const colon = rest.indexOf(':')
  if (colon >= 0) {
    const digits = rest.slice(colon + 1)
    port = Number(digits)
    if (!/^\d*$/.test(digits) || port > 65535) return libtorrentError(LibtorrentErrors.invalidPort)
  }
  const tail = url.slice(end)
  return { protocol: scheme[1]!, auth, hostname, port, path: tail.startsWith('/') ? tail : `/${tail}` }
}

/** The lower-case protocol of a URL; empty if it has none. */
export function urlProtocol(url: string): string {
  const colon = url.indexOf(':')
  return colon < 0 ? '' : url.slice(0, colon).trim().toLowerCase()
}

/** Whether a host name has a label in the ASCII form of internationalised names, which can look like another name. */
export function isIdna(hostname: string): boolean {
  return /(^|\.)xn--/i.test(hostname)
}

const ANNOUNCE_ARGUMENTS = new Set([
  'info_hash',
  'event',
  'port',
  'left',
  'key',
  'uploaded',
  'downloaded',
  'corrupt',
  'peer_id',
])

/** Whether a query already has parameters of an announce: a sign that the URL aims at something that is no tracker. */
export function hasAnnounceArguments(query: string): boolean {
  for (const argument of query.split('&')) {
    const equals = argument.indexOf('=')
    if (ANNOUNCE_ARGUMENTS.has((equals < 0 ? argument : argument.slice(0, equals)).toLowerCase())) return true
  }
  return false
}

/** True for an error, false for parts. */
export function isError(value: unknown): value is ErrorCode {
  return value instanceof ErrorCode
}
