/** Pieces with a deadline (streaming): asked for ahead of all others, from the peers that will deliver soonest. */

import type { BlockIndex, PieceIndex } from '../core/brands.ts'
import { BlockState, type PeerRef } from './downloading-pieces.ts'
import type { BlockId } from './pick-blocks.ts'
import { viewBlocks, viewPiece } from './picker-views.ts'
import type { PeerPieces } from './piece-map.ts'
import type { PiecePicker } from './piece-picker.ts'

/** What is read of a connection and done to it. */
export interface TimeCriticalPeer {
  readonly ref: PeerRef
  readonly pieces: PeerPieces
  /** It may be asked now: it does not choke us, is not on parole, closing, or deep in requests already. */
  readonly canRequestTimeCritical: boolean
  /** Milliseconds until it has delivered what it was asked for and `extraBytes` more, as far as is known. */
  downloadQueueTime(extraBytes: number): number
  /** Among the requests sent. */
  hasSent(piece: PieceIndex, block: BlockIndex): boolean
  /** Among the requests picked but not sent. */
  hasQueued(piece: PieceIndex, block: BlockIndex): boolean
  /** Moves a queued request to the front. @returns false if it is there already */
  makeTimeCritical(piece: PieceIndex, block: BlockIndex): boolean
  /** Puts a request before those not sent yet, marking it in the picker. @returns false if it cannot be taken */
  addTimeCritical(piece: PieceIndex, block: BlockIndex, busy: boolean): boolean
  /** Sends what was added. */
  sendRequests(): void
}

/** A piece with a deadline. */
export interface DeadlinePiece {
  readonly piece: PieceIndex
  /** Clock, ms. */
  readonly deadline: number
  /** `DeadlineFlags`. */
  readonly flags: number
}

class Entry implements DeadlinePiece {
  readonly piece: PieceIndex
  deadline: number
  flags: number
  firstRequested = -1
  lastRequested = -1

  constructor(piece: PieceIndex, deadline: number, flags: number) {
    this.piece = piece
    this.deadline = deadline
    this.flags = flags
  }
}

/** A peer with more than this queued is asked for no more, ms. */
const MAX_QUEUE_TIME = 2000
/** Requests are issued once a second: those due before the next time count as due. */
const TICK_MS = 1000
const BLOCK = 16 * 1024

/** See the head of the file. What priority a piece gets when a deadline is set or ends is the owner's to apply. */
export class TimeCritical {
  /** By deadline. */
  readonly #pieces: Entry[] = []
  /** Of pieces with deadlines, ms from the first request to the end; 0: none yet. */
  #averageTime = 0
  #deviation = 0

  get size(): number {
    return this.#pieces.length
  }

  /** By deadline. */
  pieces(): readonly DeadlinePiece[] {
    return this.#pieces
  }

  has(piece: PieceIndex): boolean {
    return this.#pieces.some(p => p.piece === piece)
  }

  /**
   * Sets or moves a deadline. The owner gives the piece top priority.
   *
   * @returns true if it is the first one there is: requests for other pieces are then better cancelled
   */
  set(piece: PieceIndex, deadline: number, flags: number): boolean {
    const first = this.#pieces.length === 0
    let entry = this.#take(piece)
    if (entry === null) entry = new Entry(piece, deadline, flags)
    entry.deadline = deadline
    entry.flags = flags
    let at = this.#pieces.length
    while (at > 0 && this.#pieces[at - 1]!.deadline > deadline) at--
    this.#pieces.splice(at, 0, entry)
    return first
  }

  /**
   * A piece has arrived and is good: its time goes into the average.
   *
   * @returns its entry, whose flags may ask for an alert; `null` if it had no deadline
   */
  pieceDone(piece: PieceIndex, now: number): DeadlinePiece | null {
    const entry = this.#take(piece)
    if (entry === null || entry.firstRequested < 0) return entry
    const took = now - entry.firstRequested
    if (this.#averageTime === 0) this.#averageTime = took
    else {
      const difference = Math.abs(took - this.#averageTime)
      this.#deviation = this.#deviation === 0 ? difference : Math.floor((this.#deviation * 9 + difference) / 10)
      this.#averageTime = Math.floor((this.#averageTime * 9 + took) / 10)
    }
    return entry
  }

  /** Drops a deadline. @returns its entry, `null` if there was none */
  reset(piece: PieceIndex): DeadlinePiece | null {
    return this.#take(piece)
  }

  /** Drops those pieces no longer wanted, or all of them. @returns the dropped */
  clear(drop: (piece: PieceIndex) => boolean = () => true): DeadlinePiece[] {
    const dropped: Entry[] = []
    for (let i = this.#pieces.length - 1; i >= 0; i--) {
      if (drop(this.#pieces[i]!.piece)) dropped.unshift(...this.#pieces.splice(i, 1))
    }
    return dropped
  }

  /** Asks for blocks of pieces that are due. Once a second. */
  request(connections: Iterable<TimeCriticalPeer>, picker: PiecePicker, now: number): void {
    if (this.#pieces.length === 0) return
    const peers: TimeCriticalPeer[] = []
    for (const peer of connections) if (peer.canRequestTimeCritical) peers.push(peer)
    sortByQueue(peers)
    // The slowest tenth could only stall a piece.
    peers.length = Math.floor((peers.length * 9 + 9) / 10)
    const asked = new Set<TimeCriticalPeer>()
    const horizon = now + this.#averageTime + this.#deviation * 4 + TICK_MS
    for (let i = 0; i < this.#pieces.length && peers.length > 0; i++) {
      const entry = this.#pieces[i]!
      if (i > 0 && entry.deadline > horizon) break
      const timedOut = this.#timedOut(entry, picker, now)
      if (timedOut < 0) continue
      const skipped: TimeCriticalPeer[] = []
      this.#requestPiece(entry, peers, skipped, asked, picker, timedOut, now)
      if (skipped.length > 0) {
        peers.push(...skipped)
        sortByQueue(peers)
      }
      if (peers.length > 0 && peers[0]!.downloadQueueTime(0) > MAX_QUEUE_TIME) break
    }
    for (const peer of asked) peer.sendRequests()
  }

  /** How many times over the piece should have been here; -1: nothing is to be asked for. */
  #timedOut(entry: Entry, picker: PiecePicker, now: number): number {
    if (picker.havePiece(entry.piece)) return -1
    const info = viewPiece(picker, entry.piece)
    if (info.finished + info.writing + info.requested < info.blocksInPiece) return 0
    if (entry.lastRequested < 0) entry.lastRequested = now
    if (this.#averageTime === 0 || info.requested === 0) return -1
    const usual = Math.max(1, this.#averageTime + Math.floor(this.#deviation / 2))
    const times = Math.floor((now - entry.lastRequested) / usual)
    return times === 0 ? -1 : times
  }

  /** Asks for all blocks of one piece, each from the peer that would deliver it first. `peers` is kept sorted. */
  #requestPiece(
    entry: Entry,
    peers: TimeCriticalPeer[],
    skipped: TimeCriticalPeer[],
    asked: Set<TimeCriticalPeer>,
    picker: PiecePicker,
    timedOut: number,
    now: number,
  ): void {
    while (peers.length > 0 && peers[0]!.downloadQueueTime(0) <= MAX_QUEUE_TIME) {
      const at = peers.findIndex(p => p.pieces === 'all' || p.pieces.getBit(entry.piece))
      if (at === -1) return
      const peer = peers[at]!
      let block = firstOpen(picker, entry.piece)
      const busy = block === -1
      if (busy) {
        if (timedOut === 0) return
        block = leastAsked(picker, entry.piece, timedOut)
      }
      if (block === -1) return
      const taken = peer.hasSent(entry.piece, block)
        ? false
        : peer.hasQueued(entry.piece, block)
          ? peer.makeTimeCritical(entry.piece, block)
          : peer.addTimeCritical(entry.piece, block, busy)
      if (!taken) {
        // It has been asked, so it may be what holds the piece up: somebody else's turn, until the next piece.
        skipped.push(peer)
        peers.splice(at, 1)
        continue
      }
      asked.add(peer)
      if (!busy) entry.lastRequested = now
      if (entry.firstRequested < 0) entry.firstRequested = now
      if (peer.canRequestTimeCritical) moveBack(peers, at)
      else peers.splice(at, 1)
    }
  }

  #take(piece: PieceIndex): Entry | null {
    const at = this.#pieces.findIndex(p => p.piece === piece)
    return at === -1 ? null : this.#pieces.splice(at, 1)[0]!
  }
}

/** Lowest block nobody is asked for; -1 if there is none or the piece is locked. */
function firstOpen(picker: PiecePicker, piece: PieceIndex): BlockIndex {
  const out: BlockId[] = []
  picker.addBlocks(piece, 1, out)
  return out.length === 0 ? -1 : picker.blockOf(out[0]!)
}

/** The block of a stalled piece that fewest peers are asked for, if it is not more than `timedOut`; -1 for none. */
function leastAsked(picker: PiecePicker, piece: PieceIndex, timedOut: number): BlockIndex {
  const blocks = viewBlocks(picker, piece)
  let chosen = -1
  let fewest = timedOut + 1
  for (let b = 0; b < blocks.length; b++) {
    const { state, numPeers } = blocks[b]!
    if (state === BlockState.requested && numPeers < fewest) {
      fewest = numPeers
      chosen = b
    }
  }
  return chosen
}

function sortByQueue(peers: TimeCriticalPeer[]): void {
  peers.sort((a, b) => a.downloadQueueTime(BLOCK) - b.downloadQueueTime(BLOCK))
}

/** Its queue has grown: puts it behind those that are faster now. */
function moveBack(peers: TimeCriticalPeer[], at: number): void {
  const time = peers[at]!.downloadQueueTime(BLOCK)
  while (at + 1 < peers.length && time > peers[at + 1]!.downloadQueueTime(BLOCK)) {
    const next = peers[at + 1]!
    peers[at + 1] = peers[at]!
    peers[at] = next
    at++
  }
}
