/**
 * Ed25519 signatures with libtorrent's keys: the secret key is the 64 bytes that a seed is expanded to, not the seed.
 *
 * Such keys can be added to, which is why the signing is done here on the curve itself: Node signs with seeds only.
 */

import * as crypto from 'node:crypto'
import { createRequire } from 'node:module'
import { bytesToHex, concatBytes, copyBytes } from './bytes.ts'
import { secureRandomFill } from './hash.ts'

/** 2^252 + ...: the order of the base point. */
const ORDER = 0x1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3edn
/** What comes before the 32 bytes of a public key in its DER form. @see RFC 8410 */
const SPKI_PREFIX = Uint8Array.of(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00)

/** 32 random bytes to make a key pair of. */
export function ed25519CreateSeed(): Uint8Array {
  const seed = new Uint8Array(32)
  secureRandomFill(seed)
  return seed
}

/**
 * The keys that a seed stands for.
 *
 * @param seed 32 bytes
 * @returns public key of 32 bytes, secret key of 64
 * @throws RangeError for another length
 */
export function ed25519CreateKeypair(seed: Uint8Array): [publicKey: Uint8Array, secretKey: Uint8Array] {
  checkSize('ed25519CreateKeypair', 'seed', seed, 32)
  const secretKey = sha512(seed)
  secretKey[0]! &= 248
  secretKey[31] = (secretKey[31]! & 63) | 64
  return [multiplyBase(toNumber(secretKey.subarray(0, 32))), secretKey]
}

/**
 * Signs a message.
 *
 * @param publicKey 32 bytes @param secretKey 64 bytes
 * @returns 64 bytes
 * @throws RangeError for keys of another length
 * @see RFC 8032
 */
export function ed25519Sign(msg: Uint8Array, publicKey: Uint8Array, secretKey: Uint8Array): Uint8Array {
  checkSize('ed25519Sign', 'publicKey', publicKey, 32)
  checkSize('ed25519Sign', 'secretKey', secretKey, 64)
  const nonce = toNumber(sha512(secretKey.subarray(32), msg)) % ORDER
  const point = multiplyBase(nonce)
  const challenge = toNumber(sha512(point, publicKey, msg)) % ORDER
  const proof = (challenge * toNumber(secretKey.subarray(0, 32)) + nonce) % ORDER
  return concatBytes([point, toBytes(proof)])
}

/**
 * Whether `sig` was made of `msg` with the secret key that belongs to `publicKey`. False for anything malformed.
 *
 * Deviation: a signature whose number is not the smallest that fits is refused (RFC 8032), so that nobody can make a second
 * one of it; libtorrent takes some of them.
 */
export function ed25519Verify(sig: Uint8Array, msg: Uint8Array, publicKey: Uint8Array): boolean {
  if (sig.length !== 64 || publicKey.length !== 32) return false
  const der = Buffer.concat([SPKI_PREFIX, publicKey])
  const key = crypto.createPublicKey({ key: der, format: 'der', type: 'spki' })
  return crypto.verify(null, msg, key, sig)
}

/**
 * Adds a number to a key: of the public and the secret key of a pair the result is a pair again.
 *
 * @param key    a public key of 32 bytes or a secret key of 64
 * @param scalar 32 bytes, little-endian; the highest bit does not count
 * @throws RangeError for other lengths, Error if a public key is no point of the curve
 */
export function ed25519AddScalar(key: Uint8Array, scalar: Uint8Array): Uint8Array {
  checkSize('ed25519AddScalar', 'scalar', scalar, 32)
  const masked = copyBytes(scalar)
  masked[31]! &= 127
  const n = toNumber(masked) % ORDER
  if (key.length === 64) {
    const sum = (n + toNumber(key.subarray(0, 32))) % ORDER
    return concatBytes([toBytes(sum), sha512(key.subarray(32), scalar).subarray(0, 32)])
  }
  checkSize('ed25519AddScalar', 'key', key, 32)
  const { Point } = curve().ed25519
  const point = Point.fromBytes(key, true)
  return (n === 0n ? point : point.add(Point.BASE.multiply(n))).toBytes()
}

/**
 * The secret that two key pairs share, each computed from one's own secret key and the other's public key (X25519).
 *
 * @param publicKey 32 bytes @param secretKey 64 bytes
 * @returns 32 bytes
 * @throws RangeError for keys of another length, Error for a public key that is no point of the curve or of small order
 */
export function ed25519KeyExchange(publicKey: Uint8Array, secretKey: Uint8Array): Uint8Array {
  checkSize('ed25519KeyExchange', 'publicKey', publicKey, 32)
  checkSize('ed25519KeyExchange', 'secretKey', secretKey, 64)
  const { ed25519, x25519 } = curve()
  return x25519.getSharedSecret(secretKey.slice(0, 32), ed25519.utils.toMontgomery(publicKey))
}

function checkSize(where: string, name: string, bytes: Uint8Array, size: number): void {
  if (bytes.length !== size) throw new RangeError(`${where}: expected a ${name} of ${size} bytes, not ${bytes.length}`)
}

function sha512(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = crypto.createHash('sha512')
  for (const part of parts) hash.update(part)
  return new Uint8Array(hash.digest())
}

/** @param scalar not a multiple of the order, but for 0 */
function multiplyBase(scalar: bigint): Uint8Array {
  const { Point } = curve().ed25519
  const n = scalar % ORDER
  return (n === 0n ? Point.ZERO : Point.BASE.multiply(n)).toBytes()
}

/** Little-endian. */
function toNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x${bytesToHex(copyBytes(bytes).reverse())}`)
}

/** 32 bytes, little-endian. */
function toBytes(value: bigint): Uint8Array {
  return new Uint8Array(Buffer.from(value.toString(16).padStart(64, '0'), 'hex')).reverse()
}

type Curve = typeof import('@noble/curves/ed25519.js')

let loaded: Curve | null = null

/** Arithmetic on the curve, loaded with the first key: few programs ever sign. */
function curve(): Curve {
  loaded ??= createRequire(import.meta.url)('@noble/curves/ed25519.js') as Curve
  return loaded
}
