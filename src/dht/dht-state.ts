/** What the DHT keeps from one run to the next: its ids, and nodes to begin with. */

import { BdecodeNode } from '../bencode/bdecode-node.ts'
import type { Entry } from '../bencode/entry.ts'
import { concatBytes } from '../core/bytes.ts'
import { Sha1Hash } from '../core/digest.ts'
import {
  addressBytes,
  addressFromBytes,
  type Endpoint,
  endpointFromCompact,
  endpointToCompact,
} from '../core/endpoint.ts'
import { NODE_ID_SIZE } from './node-id.ts'

/** The saved state of the DHT. */
export class DhtState {
  /** The id of the node at each of our addresses; `0.0.0.0` where the address was not kept. */
  nids: [address: string, id: Sha1Hash][] = []
  /** Nodes to begin with, IPv4. */
  nodes: Endpoint[] = []
  /** Nodes to begin with, IPv6. */
  nodes6: Endpoint[] = []

  clear(): void {
    this.nids = []
    this.nodes = []
    this.nodes6 = []
  }
}

/** The state as a dictionary, in libtorrent's form. */
export function saveDhtState(state: DhtState): { [key: string]: Entry } {
  const out: { [key: string]: Entry } = {
    'node-id': state.nids.map(([address, id]) => concatBytes([id.view(), addressBytes(address)])),
  }
  if (state.nodes.length > 0) out['nodes'] = state.nodes.map(endpointToCompact)
  if (state.nodes6.length > 0) out['nodes6'] = state.nodes6.map(endpointToCompact)
  return out
}

/** Reads what {@link saveDhtState} made, also by versions that kept one id without an address. What is malformed is left out. */
export function readDhtState(e: BdecodeNode): DhtState {
  const state = new DhtState()
  if (e.type() !== BdecodeNode.Type.dictT) return state
  state.nids = extractNodeIds(e, 'node-id')
  state.nodes = readEndpoints(e.dictFindList('nodes'))
  state.nodes6 = readEndpoints(e.dictFindList('nodes6'))
  return state
}

/** The ids under `key`: a list of ids with addresses, or one id alone. */
export function extractNodeIds(e: BdecodeNode, key: string): [address: string, id: Sha1Hash][] {
  if (e.type() !== BdecodeNode.Type.dictT) return []
  const single = e.dictFindStringValue(key)
  if (single.length === NODE_ID_SIZE) return [['0.0.0.0', new Sha1Hash(single)]]
  const out: [string, Sha1Hash][] = []
  for (const bytes of stringsOf(e.dictFindList(key))) {
    const size = (bytes?.length ?? 0) - NODE_ID_SIZE
    if (bytes === null || (size !== 4 && size !== 16)) continue
    out.push([addressFromBytes(bytes, NODE_ID_SIZE, size), new Sha1Hash(bytes.subarray(0, NODE_ID_SIZE))])
  }
  return out
}

/** Stops at what is no string, as libtorrent does. */
function readEndpoints(list: BdecodeNode): Endpoint[] {
  const out: Endpoint[] = []
  for (const bytes of stringsOf(list)) {
    if (bytes === null) break
    if (bytes.length === 6) out.push(endpointFromCompact(bytes, 0, 4))
    else if (bytes.length === 18) out.push(endpointFromCompact(bytes, 0, 16))
  }
  return out
}

/** The strings of a list, `null` for what is none. */
function* stringsOf(list: BdecodeNode): Generator<Uint8Array | null> {
  if (list.type() !== BdecodeNode.Type.listT) return
  const size = list.listSize()
  for (let i = 0; i < size; i++) {
    const node = list.listAt(i)
    yield node.type() === BdecodeNode.Type.stringT ? node.stringValue() : null
  }
}
