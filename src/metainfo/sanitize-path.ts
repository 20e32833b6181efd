/** Makes names out of torrent files safe to use as file names, as libtorrent does. */

import { decodeUtf8 } from '../core/text.ts'

/** Longer names are cut here, in bytes (characters on Windows), keeping a short extension. */
const MAX_ELEMENT = 240
/** The dot of an extension is looked for in this many bytes at the end. */
const EXTENSION_REACH = 10

const WINDOWS = process.platform === 'win32'
/** Characters that Windows does not allow beside the control characters. */
const WINDOWS_INVALID = '?<>"|\b*:'

/** ASCII bytes that need no further look: 1 valid, 0 control, separator, or invalid on this system. */
const PLAIN = new Uint8Array(256)
for (let c = 32; c < 127; c++) {
  const text = String.fromCharCode(c)
  if (text !== '/' && text !== '\\' && !(WINDOWS && WINDOWS_INVALID.includes(text))) PLAIN[c] = 1
}

const DOT = 0x2e
const UNDERSCORE = 0x5f

/**
 * Decodes one UTF-8 sequence of `b` at `at`.
 *
 * @returns the code point times 8 plus the bytes it takes; for an ill-formed one minus the bytes to skip
 */
function decodeAt(b: Uint8Array, at: number, end: number): number {
  const lead = b[at]!
  if (lead < 0x80) return lead * 8 + 1
  let length = 0
  let code = 0
  if (lead >> 5 === 0b110) {
    length = 2
    code = lead & 0x1f
  } else if (lead >> 4 === 0b1110) {
    length = 3
    code = lead & 0x0f
  } else if (lead >> 3 === 0b11110) {
    length = 4
    code = lead & 0x07
  } else if (lead >> 2 === 0b111110) {
    return -Math.min(5, end - at)
  } else {
    return -1
  }
  if (length > end - at) return -(end - at)
  for (let i = 1; i < length; i++) {
    const c = b[at + i]!
    if (c >> 6 !== 0b10) return -length
    code = (code << 6) | (c & 0x3f)
  }
  const least = length === 2 ? 0x80 : length === 3 ? 0x800 : 0x10000
  if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return -length
  return code * 8 + length
}

/**
 * Characters that are dropped: NUL, separators, and those of Unicode that are invisible or change the direction of
 * writing, with which a name can be made to look like another one.
 */
function isDropped(c: number): boolean {
  if (c < 128) return c === 0 || c === 0x2f || c === 0x5c
  return (
    c === 0x061c ||
    (c >= 0x200b && c <= 0x200f) ||
    (c >= 0x202a && c <= 0x202e) ||
    (c >= 0x2060 && c <= 0x2064) ||
    (c >= 0x2066 && c <= 0x2069) ||
    c === 0xfeff
  )
}

/** Characters that become `_`. */
function isInvalid(c: number, windows: boolean): boolean {
  if (c < 32 || (c >= 0x7f && c <= 0x9f)) return true
  return windows && c < 128 && WINDOWS_INVALID.includes(String.fromCharCode(c))
}

/**
 * Whether a name is safe as it is, so that `sanitizeElement` would not change it. A quick look that says no to
 * some that are.
 */
export function isPlainElement(b: Uint8Array, start: number, end: number): boolean {
  if (end - start >= MAX_ELEMENT || end - start <= 2) return isPlainShort(b, start, end)
  let i = start
  while (i < end && PLAIN[b[i]!] === 1) i++
  if (i === end) return !WINDOWS || (b[end - 1] !== DOT && b[end - 1] !== 0x20)
  while (i < end) {
    const r = decodeAt(b, i, end)
    if (r < 0 || isDropped(r >> 3) || isInvalid(r >> 3, WINDOWS)) return false
    i += r & 7
  }
  return !WINDOWS || (b[end - 1] !== DOT && b[end - 1] !== 0x20)
}

/** One or two bytes may be `.` or `..`. */
function isPlainShort(b: Uint8Array, start: number, end: number): boolean {
  if (end - start > 2 || end === start) return false
  for (let i = start; i < end; i++) if (PLAIN[b[i]!] === 0 || b[i] === DOT || b[i] === 0x20) return false
  return true
}

/**
 * One element of a path, cleaned.
 *
 * Separators and deceptive characters are dropped, control characters and ill-formed UTF-8 become `_`, the
 * length is limited, and `.` and `..` do not survive.
 *
 * @param force   the element must not vanish: what would becomes `_`
 * @param windows apply the rules of Windows; those of this system unless given
 * @returns `null` if nothing is left
 */
export function sanitizeElement(
  b: Uint8Array,
  start: number,
  end: number,
  force: boolean,
  windows: boolean = WINDOWS,
): string | null {
  if (end - start === 1 && b[start] === DOT && !force) return null
  if (start === end) return '_'
  let out = ''
  let added = 0
  let characters = 0
  let dots = 0
  let extensionFound = false
  let i = start
  while (i < end) {
    const r = decodeAt(b, i, end)
    const length = r < 0 ? -r : r & 7
    const code = r >> 3
    if (r >= 0 && isDropped(code)) {
      i += length
      continue
    }
    characters++
    if (r < 0 || isInvalid(code, windows)) {
      out += '_'
      added++
      i += length
      continue
    }
    out += String.fromCodePoint(code)
    if (code === DOT) dots++
    added += length
    if ((windows ? characters : added) >= MAX_ELEMENT && !extensionFound) {
      const dot = extensionDot(b, Math.max(end - EXTENSION_REACH, i), end)
      if (dot < 0) break
      extensionFound = true
      i = dot
    } else {
      i += length
    }
  }
  if (added === dots && added <= 2) return force ? '_' : null
  if (windows) {
    out = out.replace(/[ .]+$/, '')
    if (out === '') return force ? '_' : null
  }
  return out
}

/** The last dot behind `after`, -1 if there is none. */
function extensionDot(b: Uint8Array, after: number, end: number): number {
  for (let j = end - 1; j > after; j--) if (b[j] === DOT) return j
  return -1
}

/** Text of bytes that should be UTF-8: each ill-formed sequence becomes `_`. */
export function verifiedText(b: Uint8Array): string {
  const text = decodeUtf8(b)
  if (text !== null) return text
  let out = ''
  for (let i = 0; i < b.length; ) {
    const r = decodeAt(b, i, b.length)
    out += r < 0 ? String.fromCharCode(UNDERSCORE) : String.fromCodePoint(r >> 3)
    i += r < 0 ? -r : r & 7
  }
  return out
}
