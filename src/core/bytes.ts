/** Big-endian integers, comparison and text forms of byte sequences. */

const decoder = new TextDecoder('utf-8')
const encoder = new TextEncoder()

export function readUint16(b: Uint8Array, at: number): number {
  return (b[at]! << 8) | b[at + 1]!
}

/** Unsigned: 2^31 and above stay positive. */
export function readUint32(b: Uint8Array, at: number): number {
  return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0
}

export function readInt32(b: Uint8Array, at: number): number {
  return (b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!
}

export function writeUint16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8
  b[at + 1] = value
}

export function writeUint32(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 24
  b[at + 1] = value >>> 16
  b[at + 2] = value >>> 8
  b[at + 3] = value
}

/** @param value 0 to 2^53 */
export function writeUint64(b: Uint8Array, at: number, value: number): void {
  writeUint32(b, at, Math.floor(value / 0x100000000))
  writeUint32(b, at + 4, value >>> 0)
}

/** UTF-8; ill-formed input gives U+FFFD. */
export function bytesToText(b: Uint8Array): string {
  return decoder.decode(b)
}

export function textToBytes(s: string): Uint8Array {
  return encoder.encode(s)
}

/** One character per byte, 0-255. The inverse of {@link binaryToBytes}. */
export function bytesToBinary(b: Uint8Array): string {
  return Buffer.from(b.buffer, b.byteOffset, b.byteLength).toString('latin1')
}

/** @param s characters 0-255; the high part of others is dropped */
export function binaryToBytes(s: string): Uint8Array {
  const out = new Uint8Array(s.length)
  for (let i = 0; i < s.length; i++) out[i] = s.charCodeAt(i)
  return out
}

export function bytesToHex(b: Uint8Array): string {
  return Buffer.from(b.buffer, b.byteOffset, b.byteLength).toString('hex')
}

/** @returns `null` if `s` is not an even number of hex digits */
export function hexToBytes(s: string): Uint8Array | null {
  if (s.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(s)) return null
  const out = new Uint8Array(s.length / 2)
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(s.slice(2 * i, 2 * i + 2), 16)
  return out
}

export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && equalAt(a, 0, b, 0, a.length)
}

/** Compares `length` bytes of `a` from `aAt` with those of `b` from `bAt`. */
export function equalAt(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[aAt + i] !== b[bAt + i]) return false
  return true
}

/** Lexicographic by byte value; a prefix comes first. Negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length)
  for (let i = 0; i < n; i++) {
    const d = a[i]! - b[i]!
    if (d !== 0) return d
  }
  return a.length - b.length
}

/** A copy. Of a `Buffer`, which a program may give for any bytes, `slice()` would be a view of the same memory. */
export function copyBytes(b: Uint8Array): Uint8Array {
  return new Uint8Array(b)
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const p of parts) length += p.length
  const out = new Uint8Array(length)
  let at = 0
  for (const p of parts) {
    out.set(p, at)
    at += p.length
  }
  return out
}
