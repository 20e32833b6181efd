/** What a torrent may be added with, and what comes along in its `TorrentInfo`. */

import type { InfoHash } from '../core/digest.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import type { AddTorrentParams } from '../metainfo/add-torrent-params.ts'

/** Why a torrent cannot be added with these; `null` if it can. */
export function refusalOf(params: AddTorrentParams): LibtorrentErrors | null {
  const { ti } = params
  if (ti !== null && !ti.isValid()) return LibtorrentErrors.noMetadata
  if (ti !== null && ti.numFiles() === 0) return LibtorrentErrors.noFilesInTorrent
  if (ti !== null && contradicts(params.infoHashes, ti.infoHashes())) return LibtorrentErrors.mismatchingInfoHash
  const hashes = hashesOf(params)
  if (!hashes.hasV1() && !hashes.hasV2()) return LibtorrentErrors.missingInfoHashInUri
  const hasPath = typeof params.savePath === 'string' && params.savePath !== ''
  return hasPath ? null : LibtorrentErrors.invalidSavePath
}

/** Those of the metadata, if that is there. */
export function hashesOf(params: AddTorrentParams): InfoHash {
  return params.ti?.infoHashes() ?? params.infoHashes
}

/** Older programs add trackers and web seeds to the `TorrentInfo`: what it has and `params` lacks comes along. */
export function withCarriedLists(params: AddTorrentParams): AddTorrentParams {
  const { ti } = params
  if (ti === null) return params
  if (params.trackers.length === 0) {
    for (const tracker of ti.trackers()) {
      params.trackers.push(tracker.url)
      params.trackerTiers.push(tracker.tier)
    }
  }
  if (params.urlSeeds.length === 0) for (const seed of ti.webSeeds()) params.urlSeeds.push(seed.url)
  if (params.dhtNodes.length === 0) params.dhtNodes.push(...ti.nodes())
  return params
}

/** A hash that was given for a torrent is not the one its metadata has. */
function contradicts(given: InfoHash, has: InfoHash): boolean {
  return (given.hasV1() && !given.v1.equals(has.v1)) || (given.hasV2() && !given.v2.equals(has.v2))
}
