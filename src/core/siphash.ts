/**
 * SipHash-1-3 by Aumasson and Bernstein: a keyed hash for short messages, which nobody can foresee without the key.
 *
 * What Rust, Ruby and Python keep their hash tables safe with. A hash of the system's library costs six times as much for so little
 * data, nearly all of it for the way there.
 */

/** Bytes of a key. */
export const SIPHASH_KEY_SIZE = 16

/** A key, as the words it is made of. */
export class SipKey {
  readonly words: Int32Array

  /** @param key 16 bytes */
  constructor(key: Uint8Array) {
    if (key.length !== SIPHASH_KEY_SIZE) throw new RangeError(`SipKey: expected ${SIPHASH_KEY_SIZE} bytes`)
    this.words = new Int32Array(4)
    for (let i = 0; i < 4; i++) this.words[i] = word(key, 4 * i)
  }
}

/** Little-endian. */
function word(b: Uint8Array, at: number): number {
  return b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)
}

/**
 * The low 32 bits of the hash, 0 to 2^32 - 1.
 *
 * @param length of the message: the first bytes of `data`, which must have room for up to 8 more; those are overwritten
 */
export function sipHash32({ words }: SipKey, data: Uint8Array, length: number): number {
  const k0 = words[0]!
  const k1 = words[1]!
  const k2 = words[2]!
  const k3 = words[3]!
  // four numbers of 64 bits, low and high halves
  let a = k0 ^ 0x70736575
  let A = k1 ^ 0x736f6d65
  let b = k2 ^ 0x6e646f6d
  let B = k3 ^ 0x646f7261
  let c = k0 ^ 0x6e657261
  let C = k1 ^ 0x6c796765
  let d = k2 ^ 0x79746573
  let D = k3 ^ 0x74656462
  // the last eight bytes: what is left of the message, zeros, its length
  const whole = length & ~7
  for (let i = length; i < whole + 7; i++) data[i] = 0
  data[whole + 7] = length
  let m = 0
  let M = 0
  let rounds = 0
  for (let at = 0; ; at += 8) {
    if (at <= whole) {
      m = word(data, at)
      M = word(data, at + 4)
      d ^= m
      D ^= M
      rounds = 1
    } else {
      m = M = 0
      c ^= 0xff
      rounds = 3
    }
    for (; rounds > 0; rounds--) {
      let t = 0
      // a += b, b = b <<< 13 ^ a, a <<<= 32
      a = (a + b) | 0
      A = (A + B + (a >>> 0 < b >>> 0 ? 1 : 0)) | 0
      t = (b << 13) | (B >>> 19)
      B = ((B << 13) | (b >>> 19)) ^ A
      b = t ^ a
      t = a
      a = A
      A = t
      // c += d, d = d <<< 16 ^ c
      c = (c + d) | 0
      C = (C + D + (c >>> 0 < d >>> 0 ? 1 : 0)) | 0
      t = (d << 16) | (D >>> 16)
      D = ((D << 16) | (d >>> 16)) ^ C
      d = t ^ c
      // a += d, d = d <<< 21 ^ a
      a = (a + d) | 0
      A = (A + D + (a >>> 0 < d >>> 0 ? 1 : 0)) | 0
      t = (d << 21) | (D >>> 11)
      D = ((D << 21) | (d >>> 11)) ^ A
      d = t ^ a
      // c += b, b = b <<< 17 ^ c, c <<<= 32
      c = (c + b) | 0
      C = (C + B + (c >>> 0 < b >>> 0 ? 1 : 0)) | 0
      t = (b << 17) | (B >>> 15)
      B = ((B << 17) | (b >>> 15)) ^ C
      b = t ^ c
      t = c
      c = C
      C = t
    }
    if (at > whole) return (a ^ b ^ c ^ d) >>> 0
    a ^= m
    A ^= M
  }
}
