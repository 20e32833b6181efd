/** Plain values of a bencoded part that must come out of `bencode` exactly as it went in. */

import { bdecode } from '../bencode/bdecode.ts'
import { bencode } from '../bencode/bencode.ts'
import { type Entry, Preformatted } from '../bencode/entry.ts'
import { bytesEqual } from '../core/bytes.ts'

/** For what was decoded before, or made here: no limits. */
export const ANY_SIZE = { depth: 1000, tokens: Number.MAX_SAFE_INTEGER } as const

/**
 * The values of an info dictionary.
 *
 * Its bytes are its identity. Where the values would be encoded otherwise (keys that are not sorted, integers with
 * leading zeros) the bytes themselves are returned, wrapped for `bencode`.
 */
export function exactEntry(bytes: Uint8Array): Entry {
  const entry = bdecode(bytes, ANY_SIZE)
  return bytesEqual(bencode(entry), bytes) ? entry : (new Preformatted(bytes) as unknown as Entry)
}
