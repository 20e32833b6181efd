/** Lists of nodes and peers in responses (BEP 5, BEP 32). */

import { TOKEN_LIST, TOKEN_STRING } from '../bencode/token-table.ts'
import { Sha1Hash } from '../core/digest.ts'
import { type Endpoint, endpointFromCompact, endpointsFromCompact, isV4, isV6 } from '../core/endpoint.ts'
import type { KrpcMessage } from './krpc.ts'

/** Bytes of an id. */
const ID = 20

/**
 * Calls `found` for each node under `nodes` or `nodes6` of a response; a cut last one is ignored.
 *
 * IPv4 addresses that come mapped among IPv6 ones are left out: no socket of that family could reach them.
 */
export function forEachNode(
  message: KrpcMessage,
  key: 'nodes' | 'nodes6',
  family: 4 | 6,
  found: (id: Sha1Hash, endpoint: Endpoint) => void,
): void {
  if (message.responseToken < 0) return
  const { table } = message
  const token = table.findKind(message.responseToken, key, TOKEN_STRING)
  if (token < 0) return
  // a view of its own: whoever is called may send packets, but none comes in meanwhile
  const bytes = table.string(token)
  const addressLength = family === 4 ? 4 : 16
  const size = ID + addressLength + 2
  for (let at = 0; at + size <= bytes.length; at += size) {
    const endpoint = endpointFromCompact(bytes, at + ID, addressLength)
    if (family === 6 && isV4(endpoint[0])) continue
    found(Sha1Hash.at(bytes, at), endpoint)
  }
}

/**
 * The peers under `values` of a response.
 *
 * A list of compact endpoints; one that is no string ends it, those of odd sizes are passed over. If it has a single string
 * and came from an IPv4 node, that may hold many endpoints, which is how the first clients wrote it.
 *
 * @returns `null` if there is no such list
 */
export function readPeers(message: KrpcMessage, from: Endpoint): Endpoint[] | null {
  if (message.responseToken < 0) return null
  const { table } = message
  const list = table.findKind(message.responseToken, 'values', TOKEN_LIST)
  if (list < 0) return null
  const end = table.next(list) - 1
  const first = list + 1
  if (end - first === 1 && table.kind(first) === TOKEN_STRING && !isV6(from[0])) {
    return endpointsFromCompact(table.string(first), 4)
  }
  const peers: Endpoint[] = []
  for (let i = first; i < end; i = table.next(i)) {
    if (table.kind(i) !== TOKEN_STRING) break
    const length = table.stringLength(i)
    if (length === 6) peers.push(endpointFromCompact(table.buffer, table.stringStart(i), 4))
    else if (length === 18) peers.push(endpointFromCompact(table.buffer, table.stringStart(i), 16))
  }
  return peers
}
