/** The older way to add a magnet link. */

import { TorrentFlags } from '../core/enums.ts'
import { AddTorrentParams } from '../metainfo/add-torrent-params.ts'
import { parseMagnetUri } from '../metainfo/magnet-uri.ts'
import type { SessionBase } from './session-api.ts'
import type { TorrentHandle } from './torrent-handle.ts'

/** Flags that a link sets. */
const OF_LINKS = TorrentFlags.defaultDontDownload | TorrentFlags.i2pTorrent

/**
 * Adds the torrent of a magnet link.
 *
 * @param params at least `savePath`; the link's trackers, web seeds, nodes and peers come in addition to those it has
 * @throws LibtorrentError if the link is malformed or the torrent cannot be added
 * @deprecated `session.addTorrent(Object.assign(parseMagnetUri(uri), { savePath }))`
 */
export function addMagnetUri(
  session: SessionBase,
  uri: string,
  params: AddTorrentParams | Partial<AddTorrentParams>,
): TorrentHandle {
  const link = parseMagnetUri(uri)
  const merged = params instanceof AddTorrentParams ? params.clone() : new AddTorrentParams(params)
  merged.infoHashes = link.infoHashes
  if (link.name !== '') merged.name = link.name
  if (link.filePriorities.length > 0) merged.filePriorities = link.filePriorities
  merged.flags |= link.flags & OF_LINKS
  // trackers without a tier are in that of the one before
  const tiers = merged.trackers.map((_, i) => merged.trackerTiers[i] ?? merged.trackerTiers.at(-1) ?? 0)
  merged.trackers = [...merged.trackers, ...link.trackers]
  merged.trackerTiers = [...tiers, ...link.trackers.map((_, i) => link.trackerTiers[i] ?? 0)]
  merged.urlSeeds = [...merged.urlSeeds, ...link.urlSeeds]
  merged.dhtNodes = [...merged.dhtNodes, ...link.dhtNodes]
  merged.peers = [...merged.peers, ...link.peers]
  return session.addTorrent(merged)
}
