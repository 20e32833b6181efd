/** Whether a torrent may be told of on the local network. @see BEP 14 */

import { TorrentFlags } from '../core/enums.ts'
import type { Torrent } from './torrent.ts'

/** Private torrents get their peers from trackers only (BEP 27); I2P ones must not be seen outside of it. */
export function isHiddenLocally(torrent: Torrent): boolean {
  if (torrent.info?.priv() === true) return true
  return (torrent.otherFlags & TorrentFlags.i2pTorrent) !== 0 && !torrent.env.settings.allowI2pMixed
}

/** It is neither stopped nor switched off, has something to say, and is no secret. */
export function mayAnnounceLocally(torrent: Torrent): boolean {
  if (torrent.aborted || torrent.isPaused) return false
  if ((torrent.otherFlags & TorrentFlags.disableLsd) !== 0 || !torrent.announcing.toLsd) return false
  // before its files are checked it cannot serve peers; without metadata it needs them to get that
  if (torrent.content !== null && !torrent.ready) return false
  return !isHiddenLocally(torrent)
}
