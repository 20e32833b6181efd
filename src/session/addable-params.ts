/** What a torrent may be added with, and what comes along in its `TorrentInfo`. */

import type { InfoHash } from '../core/digest.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { AddTorrentParams } from '../metainfo/add-torrent-params.ts'

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

/**
 * What a torrent keeps, and changes as it goes. `AddTorrentAlert` shows what it was added with.
 *
 * Older programs add trackers and web seeds to the `TorrentInfo`: what it has and `params` lacks comes along.
 */
export function ownParams(params: AddTorrentParams): AddTorrentParams {
  const own = Object.assign(new AddTorrentParams(), params)
  const { ti } = params
  if (ti === null) return own
  if (params.trackers.length === 0) {
    own.trackers = ti.trackers().map(tracker => tracker.url)
    own.trackerTiers = ti.trackers().map(tracker => tracker.tier)
  }
  if (params.urlSeeds.length === 0) own.urlSeeds = ti.webSeeds().map(seed => seed.url)
  if (params.dhtNodes.length === 0) own.dhtNodes = [...ti.nodes()]
  return own
}

/** A hash that was given for a torrent is not the one its metadata has. */
function contradicts(given: InfoHash, has: InfoHash): boolean {
  return (given.hasV1() && !given.v1.equals(has.v1)) || (given.hasV2() && !given.v2.equals(has.v2))
}
