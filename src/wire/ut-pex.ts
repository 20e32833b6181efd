/**
 * The `ut_pex` message: peers that the sender is connected to since its last message, and those it is no longer.
 *
 * @see BEP 11
 */

import { tryBdecode } from '../bencode/bdecode.ts'
import { BdecodeNode } from '../bencode/bdecode-node.ts'
import { bencode } from '../bencode/bencode.ts'
import { bytesToBinary, concatBytes } from '../core/bytes.ts'
import { type Endpoint, endpointFromCompact, endpointToCompact, isV4 } from '../core/endpoint.ts'
import { BdecodeErrors } from '../core/error-table.ts'

/** Longest message that is taken, without its ids: libtorrent's 500 KiB. */
export const MAX_PEX_LENGTH = 500 * 1024
/**
 * Peers of one list that are looked at, ten times what libtorrent sends.
 *
 * Deviation: libtorrent looks at all that fit into a message, tens of thousands, to take some dozens of them.
 */
const MAX_PEERS_LOOKED_AT = 1000
/** A message has a dozen keys and strings. */
const LIMITS = Object.freeze({ depth: 100, tokens: 10_000 })
const NO_BYTES = new Uint8Array(0)

/** One peer that is told of. */
export interface PexPeer {
  readonly endpoint: Endpoint
  /** `PexFlags` */
  readonly flags: number
}

/** Peers as a message lists them, read when asked for. Valid as long as the message. */
export class PexPeers {
  readonly #compact: Uint8Array
  readonly #flags: Uint8Array
  readonly #addressLength: 4 | 16
  readonly length: number
  /** How many the message has: more than `length` if that is too many. */
  readonly claimed: number

  /** @param flags one byte for each peer, or none at all */
  constructor(compact: Uint8Array, flags: Uint8Array, addressLength: 4 | 16) {
    this.#compact = compact
    this.#flags = flags
    this.#addressLength = addressLength
    this.claimed = Math.floor(compact.length / (addressLength + 2))
    this.length = Math.min(this.claimed, MAX_PEERS_LOOKED_AT)
  }

  /** A short `Map` key of an endpoint, the same as {@link pexKey} gives. */
  key(i: number): string {
    const size = this.#addressLength + 2
    return bytesToBinary(this.#compact.subarray(i * size, (i + 1) * size))
  }

  endpoint(i: number): Endpoint {
    return endpointFromCompact(this.#compact, i * (this.#addressLength + 2), this.#addressLength)
  }

  /** `PexFlags`, and whatever other bits the sender has set. */
  flags(i: number): number {
    return this.#flags[i] ?? 0
  }
}

/** A message as received. What is absent or of no sense is empty. */
export interface PexMessage {
  readonly added: PexPeers
  readonly dropped: PexPeers
  readonly added6: PexPeers
  readonly dropped6: PexPeers
  /** Peers said to be added, those left out for want of flags included. */
  readonly numAdded: number
  readonly numDropped: number
}

/**
 * Reads the payload of a message.
 *
 * As in libtorrent, added peers count only if there is one byte of flags for each.
 *
 * @param payload borrowed by the result
 * @returns `null` if it is not a bencoded dictionary
 */
export function decodePex(payload: Uint8Array): PexMessage | null {
  const { node, error } = tryBdecode(payload, LIMITS)
  if (error !== BdecodeErrors.noError || node.type() !== BdecodeNode.Type.dictT) return null
  const compact = node.dictFindStringValue('added')
  const compact6 = node.dictFindStringValue('added6')
  const dropped = new PexPeers(node.dictFindStringValue('dropped'), NO_BYTES, 4)
  const dropped6 = new PexPeers(node.dictFindStringValue('dropped6'), NO_BYTES, 16)
  return {
    added: withFlags(compact, node.dictFindStringValue('added.f'), 4),
    dropped,
    added6: withFlags(compact6, node.dictFindStringValue('added6.f'), 16),
    dropped6,
    numAdded: Math.floor(compact.length / 6) + Math.floor(compact6.length / 18),
    numDropped: dropped.claimed + dropped6.claimed,
  }
}

function withFlags(compact: Uint8Array, flags: Uint8Array, addressLength: 4 | 16): PexPeers {
  const fits = flags.length === Math.floor(compact.length / (addressLength + 2))
  return new PexPeers(fits ? compact : NO_BYTES, flags, addressLength)
}

/** Writes the payload of a message. All keys are there, as libtorrent has them. */
export function encodePex(added: readonly PexPeer[], dropped: readonly Endpoint[]): Uint8Array {
  const added4 = added.filter(peer => isV4(peer.endpoint[0]))
  const added6 = added.filter(peer => !isV4(peer.endpoint[0]))
  return bencode({
    added: compactList(added4.map(peer => peer.endpoint)),
    'added.f': Uint8Array.from(added4, peer => peer.flags),
    added6: compactList(added6.map(peer => peer.endpoint)),
    'added6.f': Uint8Array.from(added6, peer => peer.flags),
    dropped: compactList(dropped.filter(([address]) => isV4(address))),
    dropped6: compactList(dropped.filter(([address]) => !isV4(address))),
  })
}

/** What {@link PexPeers.key} gives for an endpoint. */
export function pexKey(endpoint: Endpoint): string {
  return bytesToBinary(endpointToCompact(endpoint))
}

function compactList(endpoints: readonly Endpoint[]): Uint8Array {
  return concatBytes(endpoints.map(endpointToCompact))
}
