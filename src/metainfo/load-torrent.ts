/** Loading torrent files into what a session takes. */

import type { BdecodeNode } from '../bencode/bdecode-node.ts'
import type { Entry } from '../bencode/entry.ts'
import type { TokenTable } from '../bencode/token-table.ts'
import { TorrentFlags } from '../core/enums.ts'
import { AddTorrentParams } from './add-torrent-params.ts'
import { resolveDuplicateFilenames } from './duplicate-filenames.ts'
import { type LoadTorrentLimits, withDefaultLimits } from './load-limits.ts'
import { parseMagnetUri } from './magnet-uri.ts'
import { parseTorrentFile } from './parse-torrent-file.ts'
import { TorrentInfo } from './torrent-info.ts'
import { decodeTorrentBuffer, decodeTorrentFile, decodeTorrentValue } from './torrent-source.ts'

/**
 * Loads a torrent file (v1, v2 or hybrid).
 *
 * Names are made safe, duplicates get new ones (`renamedFiles`), symlinks stay inside the torrent, piece layers
 * are checked. A file that holds a magnet link in place of metadata gives what the link says.
 *
 * @throws LibtorrentError with libtorrent's code for whatever is wrong with it
 * @see BEP 3, 5, 12, 19, 27, 38, 47, 52
 */
export function loadTorrentFile(filename: string, limits?: LoadTorrentLimits): AddTorrentParams {
  const whole = withDefaultLimits(limits)
  return load(decodeTorrentFile(filename, whole), whole)
}

/** As {@link loadTorrentFile}, of the content of the file. Nothing of `buffer` is kept. */
export function loadTorrentBuffer(buffer: Uint8Array, limits?: LoadTorrentLimits): AddTorrentParams {
  const whole = withDefaultLimits(limits)
  return load(decodeTorrentBuffer(buffer, whole), whole)
}

/** As {@link loadTorrentFile}, of its decoded content. */
export function loadTorrentParsed(torrentFile: BdecodeNode | Entry, limits?: LoadTorrentLimits): AddTorrentParams {
  const whole = withDefaultLimits(limits)
  return load(decodeTorrentValue(torrentFile, whole), whole)
}

function load(t: TokenTable, limits: Required<LoadTorrentLimits>): AddTorrentParams {
  const record = parseTorrentFile(t, limits)
  if (typeof record === 'string') return parseMagnetUri(record)
  const params = new AddTorrentParams()
  const renamed = resolveDuplicateFilenames(record.info.files, limits.maxDuplicateFilenames)
  const info = new TorrentInfo(record)
  for (const [index, path] of Object.entries(renamed)) info.renameFile(Number(index), path)
  params.ti = info
  params.infoHashes = info.infoHashes()
  params.renamedFiles = renamed
  params.trackers = record.trackers
  params.trackerTiers = record.trackerTiers
  params.dhtNodes = record.nodes
  params.urlSeeds = record.urlSeeds
  params.comment = record.comment
  params.createdBy = record.createdBy
  params.creationDate = record.creationDate
  if (record.isI2p) params.flags += TorrentFlags.i2pTorrent
  if (record.fileTrees !== null) {
    params.merkleTrees = record.fileTrees.trees
    params.merkleTreeMask = record.fileTrees.masks
    params.verifiedLeafHashes = record.fileTrees.verified
  }
  return params
}
