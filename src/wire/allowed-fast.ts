/** Which pieces a choked peer may download nevertheless. @see BEP 6 */

import { readUint32 } from '../core/bytes.ts'
import { addressBytes } from '../core/endpoint.ts'
import { sha1 } from '../core/hash.ts'

/** Bounds the search when almost every piece is in the set already. As libtorrent. */
const MAX_DRAWS = 500

/**
 * The set that BEP 6 derives from a peer's network and the torrent, so that all peers offer the same one.
 *
 * Deviation: libtorrent hashes the whole address, which gives a user a set for each address it has. We
 * cut IPv4 addresses to /24 as the BEP says, and IPv6 ones, which the BEP leaves open, to /64.
 *
 * @param address canonical address of the peer the set is for
 * @param infoHash 20 bytes, the hash the connection was made with
 * @param count    size of the set; all pieces, in order, if there are no more
 * @returns        piece indices in the order they are drawn
 */
export function allowedFastSet(address: string, infoHash: Uint8Array, numPieces: number, count: number): number[] {
  const out: number[] = []
  if (count <= 0 || numPieces <= 0) return out
  if (count >= numPieces) {
    for (let i = 0; i < numPieces; i++) out.push(i)
    return out
  }
  const network = addressBytes(address)
  network.fill(0, network.length === 4 ? 3 : 8)
  let x = new Uint8Array(network.length + 20)
  x.set(network)
  x.set(infoHash.subarray(0, 20), network.length)
  const seen = new Set<number>()
  for (let draws = 0; draws < MAX_DRAWS; ) {
    x = sha1(x) as Uint8Array<ArrayBuffer>
    for (let at = 0; at < 20; at += 4, draws++) {
      const piece = readUint32(x, at) % numPieces
      if (seen.has(piece)) continue
      seen.add(piece)
      out.push(piece)
      if (out.length === count) return out
    }
  }
  return out
}
