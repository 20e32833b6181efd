/** What a storage knows of a torrent, on its way into an answer. */

import type { BencodeInput } from '../bencode/entry.ts'
import { textToBytes } from '../core/bytes.ts'
import type { KrpcReply } from './krpc-encode.ts'

/**
 * Takes the dictionary that `DhtStorageInterface.getPeers` fills.
 *
 * The storage may be the user's: what is not of the kind that the key stands for is left out.
 */
export class PeersReply {
  /** One object for all queries: its keys are always the same. */
  readonly dict: { [key: string]: BencodeInput } = { n: NONE, BFpe: NONE, BFsd: NONE, values: NONE }

  clear(): void {
    const { dict } = this
    dict['n'] = NONE
    dict['BFpe'] = NONE
    dict['BFsd'] = NONE
    dict['values'] = NONE
  }

  moveTo(reply: KrpcReply): void {
    const { dict } = this
    reply.name = bytes(dict['n'])
    reply.downloaders = bytes(dict['BFpe'])
    reply.seeds = bytes(dict['BFsd'])
    const values = dict['values']
    reply.values = Array.isArray(values) ? values.filter(value => value instanceof Uint8Array) : null
  }
}

/** Nothing was written under a key. */
const NONE = 0

function bytes(value: BencodeInput | undefined): Uint8Array | null {
  if (typeof value === 'string') return textToBytes(value)
  return value instanceof Uint8Array ? value : null
}
