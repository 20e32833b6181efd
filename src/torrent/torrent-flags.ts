/** What a torrent is set to, as `TorrentFlags`: read from all its parts, and changed in them. */

import { TorrentFlags } from '../core/enums.ts'
import * as C from '../stats/counter-ids.ts'
import type { Torrent } from './torrent.ts'
import { logTorrent } from './torrent-log.ts'

/** Flags that no part has a state of its own for: they are kept as they are given. */
export const KEPT_FLAGS =
  TorrentFlags.disableDht |
  TorrentFlags.disableLsd |
  TorrentFlags.disablePex |
  TorrentFlags.shareMode |
  TorrentFlags.i2pTorrent |
  TorrentFlags.disableV1Hashes

/** All flags that are set now. */
export function flagsOf(torrent: Torrent): number {
  let flags = torrent.otherFlags
  if (torrent.seedMode !== null) flags |= TorrentFlags.seedMode
  if (torrent.uploadMode.on) flags |= TorrentFlags.uploadMode
  if (torrent.appliesIpFilter) flags |= TorrentFlags.applyIpFilter
  if (torrent.pausing.paused) flags |= TorrentFlags.paused
  if (torrent.autoManaged) flags |= TorrentFlags.autoManaged
  if (torrent.superSeeding) flags |= TorrentFlags.superSeeding
  if (torrent.sequential) flags |= TorrentFlags.sequentialDownload
  if (torrent.stopWhenReady) flags |= TorrentFlags.stopWhenReady
  if (torrent.subscribed) flags |= TorrentFlags.updateSubscribe
  return flags
}

/** @param mask which of the flags to change */
export function setFlags(torrent: Torrent, flags: number, mask: number): void {
  const changes = (bit: number) => (mask & bit) !== 0
  const on = (bit: number) => (flags & bit) !== 0
  if (changes(TorrentFlags.seedMode) && !on(TorrentFlags.seedMode)) torrent.leaveSeedMode(true)
  if (changes(TorrentFlags.uploadMode)) torrent.uploadMode.set(on(TorrentFlags.uploadMode))
  if (changes(TorrentFlags.applyIpFilter)) setApplyIpFilter(torrent, on(TorrentFlags.applyIpFilter))
  if (changes(TorrentFlags.paused)) {
    if (on(TorrentFlags.paused)) torrent.pause(true)
    else torrent.resume()
  }
  if (changes(TorrentFlags.autoManaged)) torrent.setAutoManaged(on(TorrentFlags.autoManaged))
  if (changes(TorrentFlags.superSeeding)) setSuperSeeding(torrent, on(TorrentFlags.superSeeding))
  if (changes(TorrentFlags.sequentialDownload) && torrent.sequential !== on(TorrentFlags.sequentialDownload)) {
    torrent.sequential = on(TorrentFlags.sequentialDownload)
    logTorrent(torrent, () => `*** set-sequential-download: ${+torrent.sequential}`)
    torrent.needSave.config()
    torrent.stateUpdated()
  }
  if (changes(TorrentFlags.stopWhenReady)) torrent.stopWhenReady = on(TorrentFlags.stopWhenReady)
  if (changes(TorrentFlags.updateSubscribe)) torrent.subscribed = on(TorrentFlags.updateSubscribe)
  // which hashes count is settled when a torrent is added
  const settable = mask & KEPT_FLAGS & ~TorrentFlags.disableV1Hashes
  const kept = (torrent.otherFlags & ~settable) | (flags & settable)
  if (kept !== torrent.otherFlags) {
    const isShared = (kept & TorrentFlags.shareMode) !== 0
    if (changes(TorrentFlags.shareMode)) logTorrent(torrent, () => `*** set-share-mode: ${+isShared}`)
    torrent.otherFlags = kept
    torrent.needSave.config()
  }
}

function setApplyIpFilter(torrent: Torrent, on: boolean): void {
  if (torrent.appliesIpFilter === on) return
  torrent.appliesIpFilter = on
  torrent.env.counters.inc(C.SES_NON_FILTER_TORRENTS, on ? -1 : 1)
  torrent.needSave.config()
  torrent.swarm.ipFilterChanged()
  torrent.stateUpdated()
}

function setSuperSeeding(torrent: Torrent, on: boolean): void {
  if (torrent.superSeeding === on) return
  torrent.superSeeding = on
  torrent.needSave.state()
  torrent.stateUpdated()
  if (on) return
  // whoever was shown single pieces may now see all
  for (const peer of torrent.swarm.connections) peer.announcements.endSuperSeeding()
}
