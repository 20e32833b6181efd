/** The canonical priority of a pair of peers: both ends compute the same, so a swarm agrees whom to keep. */

import { compareBytes } from '../core/bytes.ts'
import { crc32c } from '../core/crc32c.ts'
import { addressBytes, type Endpoint } from '../core/endpoint.ts'

/**
 * Rank of the connection between two endpoints, higher is better; the order of the two does not matter.
 *
 * Addresses are masked so that peers of one network share a rank: nobody gains by taking many addresses
 * of the same block.
 *
 * @returns unsigned 32 bits; 0 if the families differ, which the BEP leaves open
 * @see BEP 40
 */
export function peerPriority(a: Endpoint, b: Endpoint): number {
  const x = addressBytes(a[0])
  const y = addressBytes(b[0])
  if (x.length !== y.length) return 0
  const order = compareBytes(x, y)
  if (order === 0) {
    const low = Math.min(a[1], b[1])
    const high = Math.max(a[1], b[1])
    return crc32c(Uint8Array.of(low >> 8, low, high >> 8, high))
  }
  const first = order < 0 ? x : y
  const second = order < 0 ? y : x
  const unmasked = x.length === 4 ? unmaskedV4(first, second) : unmaskedV6(first, second)
  const both = new Uint8Array(first.length * 2)
  for (let i = 0; i < first.length; i++) {
    const mask = i < unmasked ? 0xff : 0x55
    both[i] = first[i]! & mask
    both[first.length + i] = second[i]! & mask
  }
  return crc32c(both)
}

/** Leading bytes kept whole: two, three in the same /16, all in the same /24. */
function unmaskedV4(a: Uint8Array, b: Uint8Array): number {
  if (a[0] !== b[0] || a[1] !== b[1]) return 2
  return a[2] !== b[2] ? 3 : 4
}

/** The first six bytes, and where those agree all up to the one after the first difference. */
function unmaskedV6(a: Uint8Array, b: Uint8Array): number {
  let differs = 0
  while (a[differs] === b[differs]) differs++
  return Math.max(differs + 1, 5) + 1
}
