/** The forms in which a torrent file is handed over, each to the token table of its content. */

import { bdecodeNode } from '../bencode/bdecode.ts'
import { BdecodeNode } from '../bencode/bdecode-node.ts'
import { bencode } from '../bencode/bencode.ts'
import type { Entry } from '../bencode/entry.ts'
import type { TokenTable } from '../bencode/token-table.ts'
import { ErrorCode, errorCodeOf, genericCategory, LibtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { readWholeFile } from '../core/local-files.ts'
import type { LoadTorrentLimits } from './load-limits.ts'
import { failLoad } from './parse-file-entry.ts'

/** @throws LibtorrentError `metadataTooLarge`, what the decoder reports, or the error of the operating system */
export function decodeTorrentFile(path: string, limits: Required<LoadTorrentLimits>): TokenTable {
  if (typeof path !== 'string') throw new TypeError(`expected the path of a torrent file, not ${typeof path}`)
  const content = readWholeFile(path, limits.maxBufferSize)
  if (content === null) failLoad(LibtorrentErrors.metadataTooLarge)
  if (content instanceof Uint8Array) return decodeTorrentBuffer(content, limits)
  // that it is one of the operating system is said in its portable form, as libtorrent does here
  throw new LibtorrentError(new ErrorCode(errorCodeOf(content).value(), genericCategory()))
}

/** @throws LibtorrentError */
export function decodeTorrentBuffer(content: Uint8Array, limits: Required<LoadTorrentLimits>): TokenTable {
  const options = { depth: limits.maxDecodeDepth, tokens: limits.maxDecodeTokens }
  return bdecodeNode(content, options).table()!
}

/**
 * @param value a node, or the plain value that `bdecode` gives
 * @throws LibtorrentError
 */
export function decodeTorrentValue(value: BdecodeNode | Entry, limits: Required<LoadTorrentLimits>): TokenTable {
  if (!(value instanceof BdecodeNode)) return decodeTorrentBuffer(bencode(value), limits)
  const table = value.table()
  if (table === null) return failLoad(LibtorrentErrors.torrentIsNoDict)
  // a node inside a larger value is read again from its own bytes, so that the torrent is at token 0
  return value.token() === 0 ? table : decodeTorrentBuffer(value.dataSection(), limits)
}
