/** The pieces that are being downloaded, as the API shows them. */

import type { Endpoint } from './endpoint.ts'

/** One block of a piece. */
export interface BlockInfo {
  /** Who sends it, or has sent it. */
  readonly peer: Endpoint
  /** Bytes received of it, while it comes in. */
  readonly bytesProgress: number
  /** 16 KiB, the last one of a torrent possibly less. */
  readonly blockSize: number
  /** 0 not requested, 1 requested, 2 being written, 3 finished. */
  readonly state: number
  /** How many peers it is requested from. */
  readonly numPeers: number
}

/** One piece of which something is requested or received. */
export interface PartialPieceInfo {
  readonly pieceIndex: number
  readonly blocksInPiece: number
  /** Blocks that are on disk. */
  readonly finished: number
  /** Blocks that are in memory, on their way to disk. */
  readonly writing: number
  /** Blocks that are requested. */
  readonly requested: number
  readonly blocks: readonly BlockInfo[]
}
