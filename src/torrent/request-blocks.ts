/** Decides what to ask one peer next: how to pick, how much, and when a block that others are asked for may be taken. */

import { Bitfield } from '../core/bitfield.ts'
import type { BlockIndex, PieceIndex } from '../core/brands.ts'
import type { PickerFlags } from '../core/enums.ts'
import type { PeerRef } from './downloading-pieces.ts'
import { type BlockId, PickOption, type PickOptions } from './pick-blocks.ts'
import type { PeerPieces } from './piece-map.ts'
import type { PiecePicker } from './piece-picker.ts'

/** What is read of a connection and done to it. */
export interface RequestingPeer {
  /** Its entry's id. */
  readonly ref: PeerRef
  readonly pieces: PeerPieces
  /** Requests to keep in flight. */
  readonly desiredQueueSize: number
  /** Requests sent and not answered, and requests picked but not sent. */
  readonly numRequests: number
  /** It chokes us: only allowed-fast pieces may be asked for. */
  readonly isChoking: boolean
  /** In order of preference. @see BEP 6 */
  readonly allowedFast: readonly PieceIndex[]
  readonly suggested: readonly PieceIndex[]
  /** Blocks to pick in a row; 0: decide by its rate. Web seeds set it. */
  readonly preferContiguous: number
  /** Options it always has: `alignExpandedPieces` for web seeds. */
  readonly pickOptions: PickOptions
  readonly isSnubbed: boolean
  readonly isOnParole: boolean
  /** Payload bytes per second. */
  readonly downloadRate: number
  /** Among its requests, those sent and timed out included. */
  hasRequest(piece: PieceIndex, block: BlockIndex): boolean
  /**
   * Takes the request; marks it in the picker with `markAsDownloading`.
   *
   * @param busy    others are asked for the block too
   * @param options what it was picked with: `markAsDownloading` takes them
   * @returns false if it cannot be taken; another is tried
   */
  addRequest(piece: PieceIndex, block: BlockIndex, busy: boolean, options: PickOptions): boolean
  setEndgame(on: boolean): void
}

/** What is read of the torrent and the settings. */
export interface RequestContext {
  readonly picker: PiecePicker
  readonly numPeers: number
  readonly isSequential: boolean
  /** Pieces with a deadline there are. */
  readonly numTimeCritical: number
  /** `whole_pieces_threshold`, seconds. */
  readonly wholePiecesThreshold: number
  /** `initial_picker_threshold`, pieces. */
  readonly initialPickerThreshold: number
  readonly strictEndGameMode: boolean
  readonly pieceExtentAffinity: boolean
  readonly prioritizePartialPieces: boolean
}

/** Gets told what is picked and what is not, if anybody reads that. */
export interface PickLog {
  /** Before anything is picked. @param wanted blocks; 0 or less if the queue is full */
  begins(wanted: number): void
  /** @param picked borrowed */
  picked(picked: readonly BlockId[], flags: PickerFlags, preferContiguous: number): void
  alreadyAsked(piece: PieceIndex, block: BlockIndex): void
}

/** What a call of `requestBlocks` did. */
export interface RequestOutcome {
  /** False: its queue is full, nothing was tried. */
  readonly tried: boolean
  /** What was picked from, for `picker_log_alert`; not all of it was requested. Valid until the next call. */
  readonly picked: readonly BlockId[]
  readonly flags: PickerFlags
}

/** A run of whole pieces is not longer than this, bytes. */
const MAX_CONTIGUOUS = 8 * 1024 * 1024

const IDLE: RequestOutcome = { tried: false, picked: [], flags: 0 }
const NOTHING: RequestOutcome = { tried: true, picked: [], flags: 0 }

/**
 * How to pick for a peer now: in sequence, the first few pieces at random, then rarest first.
 *
 * Slow peers take common pieces, so that they end up sharing them; peers on parole get pieces of their own.
 */
export function pickOptionsFor(peer: RequestingPeer, context: RequestContext): PickOptions {
  let options = peer.pickOptions
  if (context.isSequential) options |= PickOption.sequential
  else if (context.picker.counts.numHave() < context.initialPickerThreshold) options |= PickOption.prioritizePartials
  else {
    options |= PickOption.rarestFirst
    if (peer.isSnubbed) options |= PickOption.reverse
    else if (context.pieceExtentAffinity && context.numTimeCritical === 0) options |= PickOption.pieceExtentAffinity
  }
  if (context.prioritizePartialPieces) options |= PickOption.prioritizePartials
  if (peer.isOnParole) options |= PickOption.onParole | PickOption.prioritizePartials
  return options
}

/** Blocks in a row that suit the peer's rate: the whole pieces it delivers in `whole_pieces_threshold` seconds. */
export function contiguousBlocksFor(peer: RequestingPeer, context: RequestContext): number {
  if (peer.preferContiguous > 0 || context.numTimeCritical > 0 || context.wholePiecesThreshold <= 0) {
    return peer.preferContiguous
  }
  const { pieceLength, blocksPerPiece } = context.picker
  const window = Math.min(peer.downloadRate * context.wholePiecesThreshold, MAX_CONTIGUOUS)
  return Math.floor(window / pieceLength) * blocksPerPiece
}

/**
 * Fills the request queue of a peer.
 *
 * Blocks that others are asked for (end game) are taken one at a time, by peers with nothing else in flight, and
 * with `strict_end_game_mode` only when every wanted piece is in flight.
 */
export function requestBlocks(
  peer: RequestingPeer,
  context: RequestContext,
  log: PickLog | null = null,
): RequestOutcome {
  const { picker } = context
  let left = peer.desiredQueueSize - peer.numRequests
  log?.begins(left)
  if (left <= 0) return IDLE
  if (peer.isChoking && peer.allowedFast.length === 0) return NOTHING
  const contiguous = contiguousBlocksFor(peer, context)
  const options = pickOptionsFor(peer, context)
  const picked: BlockId[] = []
  const flags = picker.pickBlocks(
    peer.isChoking ? allowedPieces(peer, picker.numPieces) : peer.pieces,
    left,
    contiguous,
    peer.ref,
    options,
    picked,
    peer.suggested,
    context.numPeers,
  )
  const outcome = { tried: true, picked, flags }
  log?.picked(picked, flags, contiguous)
  const noBusyBlocks =
    (context.strictEndGameMode && picker.downloadQueueSize() < picker.counts.numWantLeft()) || peer.numRequests > 0

  let busy: BlockId = -1
  for (let i = 0; i < picked.length; i++) {
    // With a run asked for, all of it is taken, also beyond the wished number.
    if (contiguous === 0 && left <= 0) break
    const id = picked[i]!
    const piece = picker.pieceOf(id)
    const block = picker.blockOf(id)
    if (picker.numPeers(piece, block) > 0) {
      // Busy blocks come last: nothing but those follows.
      if (left <= 0 || noBusyBlocks) break
      busy = id
      continue
    }
    // A timed-out request is free for others in the picker, but this peer may still answer it.
    if (peer.hasRequest(piece, block)) {
      log?.alreadyAsked(piece, block)
      continue
    }
    if (peer.addRequest(piece, block, false, options)) left--
  }
  if (left <= 0) {
    peer.setEndgame(false)
    return outcome
  }
  // Too few allowed-fast pieces are not the end of the game.
  if (!peer.isChoking) peer.setEndgame(true)
  if (busy !== -1 && peer.numRequests === 0) {
    peer.addRequest(picker.pieceOf(busy), picker.blockOf(busy), true, options)
  }
  return outcome
}

function allowedPieces(peer: RequestingPeer, numPieces: number): Bitfield {
  const bits = new Bitfield(numPieces)
  for (const piece of peer.allowedFast) {
    if (piece < numPieces && (peer.pieces === 'all' || peer.pieces.getBit(piece))) bits.setBit(piece)
  }
  return bits
}
