/** Node ids: distance between them (Kademlia), and ids bound to an IP address (BEP 42). */

import { crc32c } from '../core/crc32c.ts'
import { Sha1Hash } from '../core/digest.ts'
import { addressBytes, isLocal, isV4, parseV4 } from '../core/endpoint.ts'
import { sha1 } from '../core/hash.ts'
import { type Rng, randomBytes } from '../core/rng.ts'

/** Bytes of a node id. */
export const NODE_ID_SIZE = 20

/** Whether `a` is strictly closer to `target` than `b` is. */
export function closerTo(target: Sha1Hash, a: Sha1Hash, b: Sha1Hash): boolean {
  return closerAt(target.view(), 0, a.view(), b.view())
}

/** As {@link closerTo}, of the target at `at` in `bytes`. */
export function closerAt(bytes: Uint8Array, at: number, a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < NODE_ID_SIZE; i++) {
    const x = a[i]!
    const y = b[i]!
    if (x !== y) {
      const t = bytes[at + i]!
      return (x ^ t) < (y ^ t)
    }
  }
  return false
}

/** `n` with 2^n <= distance < 2^(n+1), 0 to 159; 0 also for equal ids. */
export function distanceExp(a: Sha1Hash, b: Sha1Hash): number {
  return distanceExpAt(a.view(), b.view(), 0)
}

/** As {@link distanceExp}, of the id at `at` in `bytes`. */
export function distanceExpAt(id: Uint8Array, bytes: Uint8Array, at: number): number {
  for (let i = 0; i < NODE_ID_SIZE; i++) {
    const d = id[i]! ^ bytes[at + i]!
    if (d !== 0) return 159 - i * 8 - (Math.clz32(d) - 24)
  }
  return 0
}

/** The smallest {@link distanceExp} of an id to any of `ids`; 160 if there are none. */
export function minDistanceExp(id: Sha1Hash, ids: readonly Sha1Hash[]): number {
  let min = 160
  for (const other of ids) min = Math.min(min, distanceExp(id, other))
  return min
}

/** Eight bits from bit `offset` on; zeros beyond the end. */
export function byteAtBit(id: Uint8Array, offset: number): number {
  const i = offset >> 3
  const shift = offset & 7
  return (((id[i] ?? 0) << shift) | ((id[i + 1] ?? 0) >> (8 - shift))) & 0xff
}

/** The id whose first `bits` bits, 0 to 160, are ones. */
export function generatePrefixMask(bits: number): Sha1Hash {
  const out = new Uint8Array(NODE_ID_SIZE).fill(0xff, 0, bits >> 3)
  if (bits < 160) out[bits >> 3] = 0xff << (8 - (bits & 7))
  return new Sha1Hash(out)
}

/** A random id. */
export function generateRandomId(rng: Rng): Sha1Hash {
  return new Sha1Hash(sha1(randomBytes(rng, NODE_ID_SIZE)))
}

/** A random id that is right for a node at `address`. @see BEP 42 */
export function generateId(address: string, rng: Rng): Sha1Hash {
  return generateIdImpl(address, rng.uint32(), rng)
}

/**
 * As {@link generateId}, with the number that makes ids of one address differ.
 *
 * @param r its low byte is the id's last one; its low three bits go into the checksum
 */
export function generateIdImpl(address: string, r: number, rng: Rng): Sha1Hash {
  const c = addressChecksum(address, r)
  const id = randomBytes(rng, NODE_ID_SIZE)
  id[0] = c >>> 24
  id[1] = c >>> 16
  id[2] = ((c >>> 8) & 0xf8) | (id[2]! & 7)
  id[19] = r
  return new Sha1Hash(id)
}

/** Whether a node at `address` may have this id; local addresses may have any. @see BEP 42 */
export function verifyId(id: Sha1Hash, address: string): boolean {
  return verifyIdAt(id.view(), 0, address)
}

/** As {@link verifyId}, of the id at `at` in `bytes`. */
export function verifyIdAt(bytes: Uint8Array, at: number, address: string): boolean {
  const c = addressChecksum(address, bytes[at + 19]!)
  if (
    bytes[at] === c >>> 24 &&
    bytes[at + 1] === ((c >>> 16) & 0xff) &&
    (bytes[at + 2]! & 0xf8) === ((c >>> 8) & 0xf8)
  ) {
    return true
  }
  return isLocal(address)
}

const V4_MASK = [0x03, 0x0f, 0x3f, 0xff]
const V6_MASK = [0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff]
const masked4 = new Uint8Array(4)
const masked6 = new Uint8Array(8)

/** CRC-32C of the masked address and three bits of `r`: its 21 high bits begin the id. */
function addressChecksum(address: string, r: number): number {
  let masked: Uint8Array
  if (isV4(address)) {
    masked = masked4
    const packed = parseV4(address)
    for (let i = 0; i < 4; i++) masked[i] = (packed >>> (24 - 8 * i)) & V4_MASK[i]!
  } else {
    masked = masked6
    const bytes = addressBytes(address)
    for (let i = 0; i < 8; i++) masked[i] = bytes[i]! & V6_MASK[i]!
  }
  masked[0]! |= (r & 7) << 5
  return crc32c(masked)
}
