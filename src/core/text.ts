/** Text forms of bytes: UTF-8 checks, percent escapes (RFC 3986), base32 (RFC 4648). */

const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Decodes UTF-8. @returns `null` if it is ill-formed */
export function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return strictDecoder.decode(bytes)
  } catch {
    return null
  }
}

const UNRESERVED = new Uint8Array(256)
for (const c of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*()')
  UNRESERVED[c.charCodeAt(0)] = 1
const ESCAPES = Array.from({ length: 256 }, (_, i) => '%' + i.toString(16).padStart(2, '0'))

/** Escapes every byte that is not unreserved, with lower-case digits as libtorrent does. */
export function escapeBytes(bytes: Uint8Array): string {
  let out = ''
  for (let i = 0; i < bytes.length; i++) {
    const b = bytes[i]!
    out += UNRESERVED[b] ? String.fromCharCode(b) : ESCAPES[b]!
  }
  return out
}

/** Undoes percent escapes and `+`. @returns `null` if an escape is cut short or not hex */
export function unescapeBytes(text: string): Uint8Array | null {
  const utf8 = new TextEncoder().encode(text)
  const out = new Uint8Array(utf8.length)
  let n = 0
  for (let i = 0; i < utf8.length; i++) {
    const c = utf8[i]!
    if (c === 0x2b) out[n++] = 0x20
    else if (c !== 0x25) out[n++] = c
    else {
      const digits = String.fromCharCode(utf8[i + 1] ?? 0, utf8[i + 2] ?? 0)
      if (!/^[0-9a-fA-F]{2}$/.test(digits)) return null
      out[n++] = Number.parseInt(digits, 16)
      i += 2
    }
  }
  return out.slice(0, n)
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** Either case, padding allowed at the end. @returns `null` on any other character */
export function decodeBase32(text: string): Uint8Array | null {
  const digits = text.replace(/=+$/, '').toUpperCase()
  const out = new Uint8Array(Math.floor((digits.length * 5) / 8))
  let n = 0
  let bits = 0
  let value = 0
  for (const c of digits) {
    const d = BASE32.indexOf(c)
    if (d < 0) return null
    value = (value << 5) | d
    bits += 5
    if (bits >= 8) {
      bits -= 8
      out[n++] = (value >>> bits) & 0xff
      value &= (1 << bits) - 1
    }
  }
  return out
}
