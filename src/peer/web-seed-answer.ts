/** Whether what a web server answers is the range of a file that it was asked for. */

import { LibtorrentErrors } from '../core/error-table.ts'
import type { HttpHead } from '../core/runtime.ts'

/** What to do with an answer. */
export type AnswerVerdict =
  /** The body is what was asked for. */
  | { readonly kind: 'body' }
  | { readonly kind: 'redirect'; readonly location: string }
  /** Another status than success. */
  | { readonly kind: 'refused' }
  /** `fatal`: the server is not to be asked again. */
  | { readonly kind: 'wrong'; readonly error: LibtorrentErrors; readonly fatal: boolean }

/**
 * Judges the head of an answer. A whole file (200) is as good as a range if the file is what was asked for.
 *
 * @param start first byte asked for
 * @param end   one past the last
 * @see RFC 9110, 14.4 (Content-Range)
 */
export function judgeAnswer(head: HttpHead, start: number, end: number): AnswerVerdict {
  const { status, headers } = head
  if (status >= 300 && status < 400) return { kind: 'redirect', location: headers['location'] ?? '' }
  if (status !== 200 && status !== 206) return { kind: 'refused' }
  const encoding = headers['content-encoding'] ?? 'identity'
  // Deviation: libtorrent takes compressed bytes for those of the file, and bans the server when they fail their hash
  if (encoding.trim().toLowerCase() !== 'identity') return wrong(LibtorrentErrors.invalidRange, true)
  if (status === 200) {
    const length = decimal(headers['content-length'])
    if (length === null) return wrong(LibtorrentErrors.noContentLength, true)
    return start === 0 && end === length ? { kind: 'body' } : wrong(LibtorrentErrors.invalidRange, false)
  }
  const range = contentRange(headers['content-range'])
  if (range === null) return wrong(LibtorrentErrors.invalidRange, true)
  return range.start === start && range.end === end ? { kind: 'body' } : wrong(LibtorrentErrors.invalidRange, false)
}

/** @returns the range, `end` exclusive; `null` if it is none */
export function contentRange(text: string | undefined): { readonly start: number; readonly end: number } | null {
  const match = /^\s*bytes[\s=]+(\d{1,15})\s*-\s*(\d{1,15})\s*(?:\/|$)/i.exec(text ?? '')
  if (match === null) return null
  const start = Number(match[1])
  const end = Number(match[2]) + 1
  return end > start ? { start, end } : null
}

/** Seconds that a server wants to be left alone; `null` if it does not say, or names a date. */
export function retryAfter(head: HttpHead): number | null {
  const seconds = decimal(head.headers['retry-after'])
  return seconds === null || seconds === 0 ? null : Math.min(seconds, MAX_RETRY_AFTER)
}

/** A day: nobody is to keep us away for ever. */
const MAX_RETRY_AFTER = 86_400

function wrong(error: LibtorrentErrors, fatal: boolean): AnswerVerdict {
  return { kind: 'wrong', error, fatal }
}

function decimal(text: string | undefined): number | null {
  return text !== undefined && /^\s*\d{1,15}\s*$/.test(text) ? Number(text) : null
}
