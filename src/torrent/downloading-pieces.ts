/** Pieces in flight: the state of each of their blocks, and the queues they are in. */

import type { BlockIndex, PieceIndex } from '../core/brands.ts'
import { NUM_QUEUES } from './piece-map.ts'

/**
 * Names a peer in block attributions: `PeerEntry.id`, above 0; 0 is nobody.
 *
 * It outlives the connection, so that bad data can be blamed on a peer that has left, and is
 * cleared by `PiecePicker.clearPeer` when the entry goes.
 */
export type PeerRef = number

/** Nobody. */
export const NO_PEER: PeerRef = 0

/** State of a block. The numbers are those of `PartialPieceInfo.blocks[].state`. */
export const BlockState = Object.freeze({
  /** May be asked for. */
  none: 0,
  /** Asked for from at least one peer. */
  requested: 1,
  /** Here, in memory. */
  writing: 2,
  /** Here, on disk. */
  finished: 3,
} as const)
export type BlockState = (typeof BlockState)[keyof typeof BlockState]

/** A piece in flight. Owned by `DownloadingPieces`: read only for everybody else. */
export class DownloadingPiece {
  readonly index: PieceIndex
  /** Where its blocks start in the block arrays. */
  readonly base: number
  /** Blocks on disk. */
  finished = 0
  /** Blocks in memory. */
  writing = 0
  /** Blocks asked for. */
  requested = 0
  /** Its hash was right, but not all of it is on disk. */
  passedHashCheck = false
  /** No block may be picked until `restorePiece`. */
  locked = false
  /** It is being hashed. */
  hashing = false

  constructor(index: PieceIndex, base: number) {
    this.index = index
    this.base = base
  }

  /** Blocks that are not open. */
  taken(): number {
    return this.finished + this.writing + this.requested
  }
}

const STATE_MASK = 3
const PEERS_SHIFT = 2
const MAX_PEERS = 0x3fff
const INITIAL_PIECES = 4

/** See the head of the file. Block rows are pooled: a piece that leaves gives its rows to the next. */
export class DownloadingPieces {
  readonly blocksPerPiece: number
  /** By `PieceState` 0 to 3; each sorted by piece index. */
  readonly queues: readonly DownloadingPiece[][]
  readonly #byPiece = new Map<PieceIndex, DownloadingPiece>()
  readonly #free: number[] = []
  #rows = 0
  #peer: Int32Array
  /** `BlockState`, and above it the number of peers the block is asked from. */
  #word: Uint16Array

  constructor(blocksPerPiece: number) {
    this.blocksPerPiece = blocksPerPiece
    this.queues = Array.from({ length: NUM_QUEUES }, () => [])
    this.#peer = new Int32Array(INITIAL_PIECES * blocksPerPiece)
    this.#word = new Uint16Array(INITIAL_PIECES * blocksPerPiece)
  }

  get size(): number {
    return this.#byPiece.size
  }

  find(piece: PieceIndex): DownloadingPiece | undefined {
    return this.#byPiece.get(piece)
  }

  /** Adds a piece whose blocks are all open, except that those from `payloadBlocks` on are finished (padding). */
  add(piece: PieceIndex, queue: number, blocks: number, payloadBlocks: number): DownloadingPiece {
    const base = this.#free.pop() ?? this.#newRows()
    const dp = new DownloadingPiece(piece, base)
    this.#peer.fill(NO_PEER, base, base + this.blocksPerPiece)
    this.#word.fill(BlockState.none, base, base + this.blocksPerPiece)
    if (payloadBlocks < blocks) {
      this.#word.fill(BlockState.finished, base + payloadBlocks, base + blocks)
      dp.finished = blocks - payloadBlocks
    }
    this.#byPiece.set(piece, dp)
    insertSorted(this.queues[queue]!, dp)
    return dp
  }

  remove(dp: DownloadingPiece, queue: number): void {
    removeSorted(this.queues[queue]!, dp)
    this.#byPiece.delete(dp.index)
    this.#free.push(dp.base)
  }

  move(dp: DownloadingPiece, from: number, to: number): void {
    if (from === to) return
    removeSorted(this.queues[from]!, dp)
    insertSorted(this.queues[to]!, dp)
  }

  clear(): void {
    for (const queue of this.queues) queue.length = 0
    this.#byPiece.clear()
    this.#free.length = 0
    this.#rows = 0
    this.#peer = new Int32Array(INITIAL_PIECES * this.blocksPerPiece)
    this.#word = new Uint16Array(INITIAL_PIECES * this.blocksPerPiece)
  }

  state(dp: DownloadingPiece, block: BlockIndex): BlockState {
    return (this.#word[dp.base + block]! & STATE_MASK) as BlockState
  }

  /** Who was asked last, or who sent it. */
  peer(dp: DownloadingPiece, block: BlockIndex): PeerRef {
    return this.#peer[dp.base + block]!
  }

  /** Number of peers the block is asked from. */
  numPeers(dp: DownloadingPiece, block: BlockIndex): number {
    return this.#word[dp.base + block]! >> PEERS_SHIFT
  }

  set(dp: DownloadingPiece, block: BlockIndex, state: BlockState, peer: PeerRef, numPeers: number): void {
    this.#peer[dp.base + block] = peer
    this.#word[dp.base + block] = state | (Math.min(numPeers, MAX_PEERS) << PEERS_SHIFT)
  }

  setPeer(dp: DownloadingPiece, block: BlockIndex, peer: PeerRef): void {
    this.#peer[dp.base + block] = peer
  }

  /** Forgets a peer everywhere: its entry is going away. */
  clearPeer(peer: PeerRef): void {
    for (const dp of this.#byPiece.values()) {
      const end = dp.base + this.blocksPerPiece
      for (let i = dp.base; i < end; i++) if (this.#peer[i] === peer) this.#peer[i] = NO_PEER
    }
  }

  #newRows(): number {
    const base = this.#rows
    this.#rows += this.blocksPerPiece
    if (this.#rows > this.#peer.length) {
      const size = Math.max(this.#rows, this.#peer.length * 2)
      const peer = new Int32Array(size)
      peer.set(this.#peer)
      this.#peer = peer
      const word = new Uint16Array(size)
      word.set(this.#word)
      this.#word = word
    }
    return base
  }
}

function lowerBound(queue: readonly DownloadingPiece[], piece: PieceIndex): number {
  let low = 0
  let high = queue.length
  while (low < high) {
    const mid = (low + high) >> 1
    if (queue[mid]!.index < piece) low = mid + 1
    else high = mid
  }
  return low
}

function insertSorted(queue: DownloadingPiece[], dp: DownloadingPiece): void {
  queue.splice(lowerBound(queue, dp.index), 0, dp)
}

function removeSorted(queue: DownloadingPiece[], dp: DownloadingPiece): void {
  const at = lowerBound(queue, dp.index)
  if (queue[at] === dp) queue.splice(at, 1)
}
