/** The extended handshake: which extensions a peer understands, and what it says of itself. @see BEP 10 */

import { tryBdecode } from '../bencode/bdecode.ts'
import { BdecodeNode } from '../bencode/bdecode-node.ts'
import { bencodeInto } from '../bencode/bencode.ts'
import type { BencodeInput } from '../bencode/entry.ts'
import type { ByteWriter } from '../core/byte-writer.ts'
import { bytesToText } from '../core/bytes.ts'
import { addressBytes, addressFromBytes } from '../core/endpoint.ts'
import { BdecodeErrors } from '../core/error-table.ts'
import { EXTENDED_HANDSHAKE_ID, MessageId, PREFIX_SIZE } from './messages.ts'

/** The ids under which we receive extended messages: those libtorrent uses. */
export const ExtensionId = Object.freeze({
  ut_pex: 1,
  ut_metadata: 2,
  upload_only: 3,
  ut_holepunch: 4,
  lt_donthave: 7,
  share_mode: 8,
} as const)

/** An extended handshake as received. Absent and nonsensical values are alike. */
export interface ExtendedHandshake {
  /** The ids, 1 to 255, that the peer wants extended messages sent with, by name of the extension. */
  readonly ids: ReadonlyMap<string, number>
  /** Port it listens on; 0 if it does not say. */
  readonly listenPort: number
  /** Name and version of the client; empty if it does not say. */
  readonly client: string
  /** Requests it queues before it drops them; 0 if it does not say. */
  readonly requestQueue: number
  /** Wants no data. @see BEP 21 */
  readonly uploadOnly: boolean
  readonly shareMode: boolean
  /** Seconds since it saw a whole copy of the torrent; -1 if it does not say. */
  readonly completeAgo: number
  /** Size of the info dictionary; 0 if it does not say. @see BEP 9 */
  readonly metadataSize: number
  /** Our address as the peer sees it. */
  readonly yourIp: string | null
  /** Further addresses of the peer. */
  readonly ipv4: string | null
  readonly ipv6: string | null
  /** All of it, for plugins: views of the message, valid as long as that. */
  readonly root: BdecodeNode
}

/** What an extended handshake says; what is left out is not said. */
export interface ExtendedHandshakeFields {
  readonly ids: Readonly<Record<string, number>>
  readonly listenPort?: number
  readonly client?: string
  readonly requestQueue?: number
  readonly uploadOnly?: boolean
  readonly shareMode?: boolean
  /** libtorrent sends -1 if it does not know. */
  readonly completeAgo?: number
  readonly metadataSize?: number
  /** The receiver's address as we see it, canonical. */
  readonly yourIp?: string
  readonly ipv4?: string
  readonly ipv6?: string
  /** Keys of plugins. */
  readonly extra?: Readonly<Record<string, BencodeInput>>
}

/** Handshakes have some dozens of values; a peer must not make us build millions. */
const LIMITS = Object.freeze({ depth: 100, tokens: 10_000 })
const MAX_EXTENSIONS = 256
/** Names are shown and kept as long as the connection. */
const MAX_CLIENT_BYTES = 256

/**
 * Reads the payload of the extended message with id 0.
 *
 * @returns `null` if it is not a bencoded dictionary, which libtorrent takes no notice of
 */
export function decodeExtendedHandshake(payload: Uint8Array): ExtendedHandshake | null {
  const { node, error } = tryBdecode(payload, LIMITS)
  if (error !== BdecodeErrors.noError || node.type() !== BdecodeNode.Type.dictT) return null
  const port = node.dictFindIntValue('p')
  const completeAgo = node.dictFindIntValue('complete_ago', -1)
  return {
    ids: readIds(node.dictFindDict('m')),
    listenPort: port > 0 && port <= 0xffff ? port : 0,
    client: readClient(node.dictFindStringValue('v')),
    requestQueue: positive(node.dictFindIntValue('reqq')),
    uploadOnly: node.dictFindIntValue('upload_only') !== 0,
    shareMode: node.dictFindIntValue('share_mode') !== 0,
    completeAgo: completeAgo >= 0 && completeAgo <= 0x7fffffff ? completeAgo : -1,
    metadataSize: positive(node.dictFindIntValue('metadata_size')),
    yourIp: readAddress(node.dictFindStringValue('yourip')),
    ipv4: readAddress(node.dictFindStringValue('ipv4'), 4),
    ipv6: readAddress(node.dictFindStringValue('ipv6'), 16),
    root: node,
  }
}

/** Writes the whole message, length prefix included. */
export function encodeExtendedHandshake(out: ByteWriter, fields: ExtendedHandshakeFields): void {
  const dictionary: Record<string, BencodeInput> = { ...fields.extra, m: fields.ids }
  if (fields.listenPort !== undefined) dictionary['p'] = fields.listenPort
  if (fields.client !== undefined) dictionary['v'] = fields.client
  if (fields.requestQueue !== undefined) dictionary['reqq'] = fields.requestQueue
  if (fields.uploadOnly === true) dictionary['upload_only'] = 1
  if (fields.shareMode === true) dictionary['share_mode'] = 1
  if (fields.completeAgo !== undefined) dictionary['complete_ago'] = fields.completeAgo
  if (fields.metadataSize !== undefined) dictionary['metadata_size'] = fields.metadataSize
  if (fields.yourIp !== undefined) dictionary['yourip'] = addressBytes(fields.yourIp)
  if (fields.ipv4 !== undefined) dictionary['ipv4'] = addressBytes(fields.ipv4)
  if (fields.ipv6 !== undefined) dictionary['ipv6'] = addressBytes(fields.ipv6)
  const start = out.length
  out.uint32(0).uint8(MessageId.extended).uint8(EXTENDED_HANDSHAKE_ID)
  bencodeInto(out, dictionary)
  out.patchUint32(start, out.length - start - PREFIX_SIZE)
}

function readIds(m: BdecodeNode): Map<string, number> {
  const ids = new Map<string, number>()
  const count = Math.min(m.type() === BdecodeNode.Type.dictT ? m.dictSize() : 0, MAX_EXTENSIONS)
  for (let i = 0; i < count; i++) {
    const [name, value] = m.dictAt(i)
    if (value.type() !== BdecodeNode.Type.intT) continue
    const id = value.intValue()
    // 0 means "no longer"; other ids do not fit the message.
    if (id > 0 && id <= 0xff && !ids.has(name)) ids.set(name, id)
  }
  return ids
}

function readClient(bytes: Uint8Array): string {
  // libtorrent puts an underscore in place of what is no UTF-8.
  return bytesToText(bytes.subarray(0, MAX_CLIENT_BYTES)).replaceAll('\ufffd', '_')
}

function positive(value: number): number {
  return value > 0 && value <= 0x7fffffff ? value : 0
}

function readAddress(bytes: Uint8Array, length?: 4 | 16): string | null {
  if (length !== undefined && bytes.length !== length) return null
  return bytes.length === 4 || bytes.length === 16 ? addressFromBytes(bytes, 0, bytes.length) : null
}
