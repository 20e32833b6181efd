/**
 * Where a torrent is in its life. Error, paused and upload mode are orthogonal to it.
 *
 * ```
 * needsMetadata -> checkingResume -> (checking ->) downloading <-> finished -> seeding
 *                        ^------------- force recheck -----------------'
 * ```
 */

import { TorrentStatus } from './torrent-status.ts'

export type TorrentState =
  /** The info dictionary is not known. */
  | { readonly kind: 'needsMetadata' }
  /** Files are being compared with resume data, or wait for that. */
  | { readonly kind: 'checkingResume' }
  /** Pieces are being hashed. */
  | { readonly kind: 'checking' }
  | { readonly kind: 'downloading' }
  /** All wanted pieces are there, but not all. */
  | { readonly kind: 'finished' }
  | { readonly kind: 'seeding' }

/** The value `status().state` shows. */
export function publicState(state: TorrentState): TorrentStatus.State {
  switch (state.kind) {
    case 'needsMetadata':
      return TorrentStatus.State.downloadingMetadata
    case 'checkingResume':
      return TorrentStatus.State.checkingResumeData
    case 'checking':
      return TorrentStatus.State.checkingFiles
    case 'downloading':
      return TorrentStatus.State.downloading
    case 'finished':
      return TorrentStatus.State.finished
    case 'seeding':
      return TorrentStatus.State.seeding
  }
}
