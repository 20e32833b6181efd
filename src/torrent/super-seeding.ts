/**
 * Super seeding: a first seed shows each peer one piece at a time, and the next one when the peer has passed the last
 * on, so that each piece leaves it about once.
 *
 * @see BEP 16
 */

import type { PieceIndex } from '../core/brands.ts'
import type { Rng } from '../core/rng.ts'
import { NO_PIECE, type SuperSeedView } from '../peer/super-seed-view.ts'
import type { PeerPieces } from './piece-map.ts'

/** What is read of a connection of the torrent. */
export interface SuperSeededPeer {
  readonly pieces: PeerPieces
  readonly superSeed: SuperSeedView
}

/**
 * The piece to show to a peer: one it lacks that fewest others have; those being shown to others come last.
 *
 * One pass over the pieces of each peer: call it when a peer is due for a piece, not more often.
 *
 * @param theirs what that peer has
 * @param peers  all connections of the torrent
 * @returns `NO_PIECE` if the peer has everything
 */
export function pieceToSuperSeed(
  numPieces: number,
  theirs: PeerPieces,
  peers: Iterable<SuperSeededPeer>,
  rng: Rng,
): PieceIndex {
  if (theirs === 'all') return NO_PIECE
  const count = new Uint32Array(numPieces)
  let everywhere = 0
  const views: SuperSeedView[] = []
  for (const peer of peers) {
    if (peer.superSeed.active) views.push(peer.superSeed)
    if (peer.pieces === 'all') everywhere++
    else addBits(peer.pieces.data(), count)
  }
  let lowest = Number.MAX_SAFE_INTEGER
  let ties = 0
  let chosen = NO_PIECE
  for (let piece = 0; piece < numPieces; piece++) {
    if (theirs.getBit(piece)) continue
    let availability = count[piece]! + everywhere
    if (availability > lowest) continue
    if (isShown(views, piece)) availability = SHOWN
    if (availability > lowest) continue
    if (availability < lowest) {
      lowest = availability
      ties = 0
    }
    // Each of the equal ones is as likely: the n-th replaces the choice one time in n.
    if (rng.below(++ties) === 0) chosen = piece
  }
  return chosen
}

/** Pieces shown to somebody rank behind all others. */
const SHOWN = 0x3fffffff

function isShown(views: readonly SuperSeedView[], piece: PieceIndex): boolean {
  for (let i = 0; i < views.length; i++) if (views[i]!.shows(piece)) return true
  return false
}

function addBits(bytes: Uint8Array, count: Uint32Array): void {
  for (let i = 0; i < bytes.length; i++) {
    const b = bytes[i]!
    if (b === 0) continue
    for (let k = 0; k < 8; k++) if (b & (0x80 >> k)) count[(i << 3) + k]!++
  }
}
