/** What the pieces in flight and the swarm look like to a program: snapshots of a picker. */

import type { PieceIndex } from '../core/brands.ts'
import type { BlockState, DownloadingPieces, PeerRef } from './downloading-pieces.ts'
import type { PieceMap } from './piece-map.ts'

/** State of one block of a piece in flight. */
export interface BlockView {
  readonly state: BlockState
  readonly peer: PeerRef
  /** Peers the block is asked from. */
  readonly numPeers: number
}

/** Snapshot of a piece in flight. */
export interface PieceView {
  readonly index: PieceIndex
  readonly blocksInPiece: number
  readonly finished: number
  readonly writing: number
  readonly requested: number
  readonly locked: boolean
  readonly hashing: boolean
}

/** What is read of a picker. */
export interface ViewSource {
  readonly map: PieceMap
  readonly downloads: DownloadingPieces
  blocksInPiece(piece: PieceIndex): number
}

/** How the piece stands, also if it is not in flight. */
export function viewPiece(picker: ViewSource, piece: PieceIndex): PieceView {
  const dp = picker.downloads.find(piece)
  const blocksInPiece = picker.blocksInPiece(piece)
  if (dp === undefined) {
    const flushed = picker.map.flushed(piece)
    return {
      index: piece,
      blocksInPiece,
      finished: flushed ? blocksInPiece : 0,
      writing: 0,
      requested: 0,
      locked: false,
      hashing: false,
    }
  }
  const { finished, writing, requested, locked, hashing } = dp
  return { index: piece, blocksInPiece, finished, writing, requested, locked, hashing }
}

/** Pieces in flight: partial ones, then full, finished, and those no longer wanted; each by index. */
export function viewDownloads(picker: ViewSource): PieceView[] {
  const out: PieceView[] = []
  for (const queue of picker.downloads.queues) for (const dp of queue) out.push(viewPiece(picker, dp.index))
  return out
}

/** Blocks of a piece in flight; empty if it is not. */
export function viewBlocks(picker: ViewSource, piece: PieceIndex): BlockView[] {
  const { downloads } = picker
  const dp = downloads.find(piece)
  const out: BlockView[] = []
  if (dp === undefined) return out
  const count = picker.blocksInPiece(piece)
  for (let b = 0; b < count; b++) {
    out.push({ state: downloads.state(dp, b), peer: downloads.peer(dp, b), numPeers: downloads.numPeers(dp, b) })
  }
  return out
}

/** Full copies in the swarm, ours included, and thousandths of the next one. */
export function distributedCopies(map: PieceMap): [copies: number, fraction: number] {
  let min = Number.MAX_SAFE_INTEGER
  let atMin = 0
  for (let i = 0; i < map.numPieces; i++) {
    const count = map.peerCount[i]! + (map.flushed(i) ? 1 : 0)
    if (count < min) {
      min = count
      atMin = 1
    } else if (count === min) atMin++
  }
  return [min + map.seeds, Math.floor(((map.numPieces - atMin) * 1000) / map.numPieces)]
}
