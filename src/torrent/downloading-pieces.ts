/** Pieces in flight: the state of each of their blocks, and the queues they are in, which follow from it. */

import type { BlockIndex, PieceIndex } from '../core/brands.ts'
import { NUM_QUEUES, type PieceMap, PieceState } from './piece-map.ts'

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
  /** How many there are. */
  readonly blocks: number
  /** Blocks on disk. */
  finished = 0
  /** Blocks in memory. */
  writing = 0
  /** Blocks asked for. */
  requested = 0
  /** No block may be picked until `restorePiece`. */
  locked = false
  /** It is being hashed. */
  hashing = false

  constructor(index: PieceIndex, base: number, blocks: number) {
    this.index = index
    this.base = base
    this.blocks = blocks
  }

  /** Blocks that are not open. */
  taken(): number {
    return this.finished + this.writing + this.requested
  }
}

/** How many blocks there are. */
export interface BlockLayout {
  /** In every piece but the last. */
  readonly blocksPerPiece: number
  blocksInPiece(piece: PieceIndex): number
  /** Blocks that are not all padding; padding is at the end of a piece. */
  payloadBlocks(piece: PieceIndex): number
}

const STATE_MASK = 3
const PEERS_SHIFT = 2
const MAX_PEERS = 0x3fff
const INITIAL_PIECES = 4

/**
 * See the head of the file. Block rows are pooled: a piece that leaves gives its rows to the next.
 *
 * `PieceMap.state` is written here. What changes the state of blocks keeps the counts of the piece and then says `requeue` or
 * `settle`, with the rank the piece had before.
 */
export class DownloadingPieces {
  readonly blocksPerPiece: number
  /** By `PieceState` 0 to 3; each sorted by piece index. */
  readonly queues: readonly DownloadingPiece[][]
  readonly #map: PieceMap
  readonly #layout: BlockLayout
  readonly #byPiece = new Map<PieceIndex, DownloadingPiece>()
  readonly #free: number[] = []
  #rows = 0
  #peer: Int32Array
  /** `BlockState`, and above it the number of peers the block is asked from. */
  #word: Uint16Array

  constructor(map: PieceMap, layout: BlockLayout) {
    const { blocksPerPiece } = layout
    this.#map = map
    this.#layout = layout
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

  /** Adds a piece. Its blocks are open, except that those that are all padding are finished. */
  open(piece: PieceIndex): DownloadingPiece {
    const queue = this.#map.priority[piece] === 0 ? PieceState.zeroPrio : PieceState.downloading
    this.#map.state[piece] = queue
    const blocks = this.#layout.blocksInPiece(piece)
    const payloadBlocks = this.#layout.payloadBlocks(piece)
    const base = this.#free.pop() ?? this.#newRows()
    const dp = new DownloadingPiece(piece, base, blocks)
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

  /** Takes a piece out, with all that is in flight of it. Its place in the pick order is the caller's business. */
  remove(dp: DownloadingPiece): void {
    removeSorted(this.queues[this.#map.queue(dp.index)]!, dp)
    this.#map.state[dp.index] = PieceState.open
    this.#byPiece.delete(dp.index)
    this.#free.push(dp.base)
  }

  /** Drops everything in flight of a piece: it may be picked afresh. */
  close(dp: DownloadingPiece, before: number): void {
    this.remove(dp)
    this.#map.moved(dp.index, before)
  }

  /** Puts a piece in flight into the queue and the bucket its counts call for. */
  requeue(dp: DownloadingPiece, before: number): void {
    const map = this.#map
    const piece = dp.index
    const reverse = map.isReverse(piece) ? PieceState.downloadingReverse : 0
    let next: number
    if (map.priority[piece] === 0) next = PieceState.zeroPrio
    else if (dp.taken() < dp.blocks) next = PieceState.downloading + reverse
    else if (dp.requested > 0) next = PieceState.full + reverse
    else next = PieceState.finished
    if (next !== map.state[piece]) {
      const from = map.queue(piece)
      map.state[piece] = next
      const to = map.queue(piece)
      if (from !== to) {
        removeSorted(this.queues[from]!, dp)
        insertSorted(this.queues[to]!, dp)
      }
    }
    map.moved(piece, before)
  }

  /** As `requeue`, after blocks were given up: the piece leaves when nothing but padding is left of it. */
  settle(dp: DownloadingPiece, before: number): void {
    const pad = dp.blocks - this.#layout.payloadBlocks(dp.index)
    if (dp.taken() <= pad && !dp.hashing) this.close(dp, before)
    else this.requeue(dp, before)
  }

  /** Marks a piece as one that only slow peers are asked for, or not. `requeue` is to follow. */
  setReverse(piece: PieceIndex, reverse: boolean): void {
    const { state } = this.#map
    const now = state[piece]!
    if (reverse && now <= PieceState.full) state[piece] = now + PieceState.downloadingReverse
    else if (!reverse && now > PieceState.open) state[piece] = now - PieceState.downloadingReverse
  }

  /** Takes all pieces out. */
  clear(): void {
    this.#map.state.fill(PieceState.open)
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

  /** Forgets a peer everywhere: its entry is going away. */
  clearPeer(peer: PeerRef): void {
    for (const dp of this.#byPiece.values()) {
      const end = dp.base + this.blocksPerPiece
      for (let i = dp.base; i < end; i++) if (this.#peer[i] === peer) this.#peer[i] = NO_PEER
    }
  }

  /** Queues and counts agree with the blocks, and with the piece map. Throws an `Error` if not; for tests. */
  checkInvariant(): void {
    for (let i = 0; i < this.#map.numPieces; i++) {
      expect((this.find(i) === undefined) === (this.#map.state[i] === PieceState.open), `state of ${i}`)
    }
    let queued = 0
    for (let q = 0; q < this.queues.length; q++) {
      let last = -1
      for (const dp of this.queues[q]!) {
        queued++
        expect(dp.index > last, `queue ${q} is sorted`)
        last = dp.index
        expect(this.#map.queue(dp.index) === q, `queue of ${dp.index}`)
        expect(this.find(dp.index) === dp, `lookup of ${dp.index}`)
        this.#checkBlocks(dp, q)
      }
    }
    expect(queued === this.size, 'every piece in flight is in one queue')
  }

  #checkBlocks(dp: DownloadingPiece, queue: number): void {
    const counts = [0, 0, 0, 0]
    const total = dp.blocks
    for (let b = 0; b < total; b++) {
      const state = this.state(dp, b)
      counts[state]!++
      const asked = this.numPeers(dp, b)
      expect(state === BlockState.requested ? asked > 0 : asked === 0, `peers of block ${dp.index}:${b}`)
    }
    expect(counts[1] === dp.requested && counts[2] === dp.writing && counts[3] === dp.finished, `counts of ${dp.index}`)
    expect((this.#map.priority[dp.index] === 0) === (queue === PieceState.zeroPrio), `zero priority of ${dp.index}`)
    if (queue === PieceState.downloading) expect(counts[0]! > 0, `${dp.index} has an open block`)
    if (queue === PieceState.full) expect(counts[0] === 0 && dp.requested > 0, `${dp.index} is full`)
    if (queue === PieceState.finished) expect(dp.finished + dp.writing === total, `${dp.index} is finished`)
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

function expect(claim: boolean, what: string): void {
  if (!claim) throw new Error(`DownloadingPieces: not so: ${what}`)
}
