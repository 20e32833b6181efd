/** Scrapes over HTTP: where to ask, and what the answer says (BEP 48). No I/O. */

import { BdecodeNode } from '../bencode/bdecode-node.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import type { TrackerResponse } from './announce-request.ts'

/** The scrape URL of a tracker. @returns `null` if its announce URL does not say "announce": it has none then */
export function scrapeUrl(announceUrl: string): string | null {
  const at = announceUrl.indexOf('announce')
  return at < 0 ? null : `${announceUrl.slice(0, at)}scrape${announceUrl.slice(at + 'announce'.length)}`
}

/**
 * Reads the numbers of one torrent.
 *
 * @param infoHash 20 bytes as a binary string
 * @returns what is wrong with it, else `null`
 */
export function parseScrape(dict: BdecodeNode, infoHash: string, out: TrackerResponse): LibtorrentErrors | null {
  const files = dict.dictFindDict('files')
  if (files.type() === BdecodeNode.Type.noneT) return LibtorrentErrors.invalidFilesEntry
  const torrent = files.dictFindDict(infoHash)
  if (torrent.type() === BdecodeNode.Type.noneT) return LibtorrentErrors.invalidHashEntry
  out.complete = count(torrent, 'complete')
  out.incomplete = count(torrent, 'incomplete')
  out.downloaded = count(torrent, 'downloaded')
  out.downloaders = count(torrent, 'downloaders')
  return null
}

function count(node: BdecodeNode, key: string): number {
  const value = node.dictFindIntValue(key, -1)
  return value < -1 || value > 0x7fffffff ? -1 : value
}
