/**
 * What is had, what is wanted, what is in flight and what to ask for next.
 *
 * A piece is had once its hash was right and all of it is on disk, which the disk tells in one; the picker then tracks
 * its blocks no more. libtorrent knows pieces that have passed and are still being written.
 */

import { Bitfield } from '../core/bitfield.ts'
import { BLOCK_SIZE, type BlockIndex, type PieceIndex } from '../core/brands.ts'
import type { DownloadPriority, PickerFlags } from '../core/enums.ts'
import type { Rng } from '../core/rng.ts'
import { BlockState, DownloadingPieces, NO_PEER, type PeerRef } from './downloading-pieces.ts'
import {
  BlockChooser,
  type BlockId,
  newPickerLoops,
  type PickerLoops,
  PickOption,
  type PickOptions,
} from './pick-blocks.ts'
import { PickCursors } from './pick-cursors.ts'
import { PieceCounts } from './piece-counts.ts'
import { FLUSHED, type PeerPieces, PieceMap, PieceState } from './piece-map.ts'

/** The counters of blocks of a piece are 15 bits wide in libtorrent; larger pieces are refused when loading. */
export const MAX_BLOCKS_PER_PIECE = (1 << 15) - 1

const NO_PIECES: readonly PieceIndex[] = []

/** See the head of the file. Pieces and blocks given to it must be in range (`Geometry` has checked them). */
export class PiecePicker {
  readonly numPieces: number
  readonly pieceLength: number
  readonly totalSize: number
  readonly blocksPerPiece: number
  readonly blockSize: number
  readonly #blocksInLast: number

  /** Which pieces are had and wanted, and how many. To be read only: only the picker tells it of changes. */
  readonly counts: PieceCounts
  /** @internal */
  readonly map: PieceMap
  /** @internal */
  readonly downloads: DownloadingPieces
  /** Between which pieces there is something to pick. */
  readonly cursors: PickCursors
  readonly #chooser: BlockChooser
  /** Pieces of which each block is judged by itself: peers on parole may have a part in them, whoever sent the rest. */
  judgedByBlock: (piece: PieceIndex) => boolean = () => false

  /**
   * @param totalSize   bytes of the torrent, above 0
   * @param pieceLength bytes of every piece but the last
   * @throws RangeError on sizes that metadata checks should have refused
   */
  constructor(totalSize: number, pieceLength: number, rng: Rng, loops: PickerLoops = newPickerLoops()) {
    if (!(totalSize > 0) || !(pieceLength > 0)) throw new RangeError('PiecePicker: sizes must be above 0')
    this.totalSize = totalSize
    this.pieceLength = pieceLength
    this.blockSize = Math.min(pieceLength, BLOCK_SIZE)
    this.blocksPerPiece = Math.ceil(pieceLength / this.blockSize)
    if (this.blocksPerPiece > MAX_BLOCKS_PER_PIECE) throw new RangeError('PiecePicker: pieces are too large')
    this.numPieces = Math.ceil(totalSize / pieceLength)
    const lastPieceSize = totalSize - (this.numPieces - 1) * pieceLength
    this.#blocksInLast = Math.ceil(lastPieceSize / this.blockSize)
    this.map = new PieceMap(this.numPieces, rng)
    this.counts = new PieceCounts(this.map, pieceLength, lastPieceSize)
    this.downloads = new DownloadingPieces(this.map, this)
    this.cursors = new PickCursors(this.map)
    this.#chooser = new BlockChooser(this, rng, loops)
  }

  // ---- geometry

  blocksInPiece(piece: PieceIndex): number {
    return piece === this.numPieces - 1 ? this.#blocksInLast : this.blocksPerPiece
  }

  pieceSize(piece: PieceIndex): number {
    return piece === this.numPieces - 1 ? this.totalSize - piece * this.pieceLength : this.pieceLength
  }

  /** Blocks that are not all padding; padding is at the end of a piece. */
  payloadBlocks(piece: PieceIndex): number {
    const pad = this.counts.padBytes(piece)
    if (pad === 0) return this.blocksInPiece(piece)
    return Math.ceil((this.pieceSize(piece) - pad) / this.blockSize)
  }

  blockId(piece: PieceIndex, block: BlockIndex): BlockId {
    return piece * this.blocksPerPiece + block
  }

  pieceOf(id: BlockId): PieceIndex {
    return Math.floor(id / this.blocksPerPiece)
  }

  blockOf(id: BlockId): BlockIndex {
    return id % this.blocksPerPiece
  }

  /**
   * Says how many bytes at the end of a piece are padding; at most once a piece, before any download. A piece that is
   * all padding counts as had at once.
   */
  setPadBytes(piece: PieceIndex, bytes: number): void {
    this.counts.setPadBytes(piece, bytes)
    if (bytes === this.pieceSize(piece)) this.weHave(piece)
  }

  // ---- availability

  /** Peers that have the piece. */
  availability(piece: PieceIndex): number {
    return this.map.availability(piece)
  }

  /** By piece. */
  availabilities(): number[] {
    const out: number[] = new Array(this.numPieces)
    for (let i = 0; i < this.numPieces; i++) out[i] = this.map.availability(i)
    return out
  }

  /** A peer announced one piece (`have`). */
  incRefcount(piece: PieceIndex): void {
    this.map.inc(piece)
  }

  /** A peer lost one piece (`dont_have`). */
  decRefcount(piece: PieceIndex): void {
    this.map.dec(piece)
  }

  /** A peer's pieces became known (`bitfield`, `have_all`). */
  addPeerPieces(pieces: PeerPieces): void {
    if (pieces === 'all' || pieces.allSet()) this.map.incAll()
    else this.map.incBits(pieces)
  }

  /** A peer leaves: give its pieces as they stand now. */
  removePeerPieces(pieces: PeerPieces): void {
    if (pieces === 'all' || pieces.allSet()) this.map.decAll()
    else this.map.decBits(pieces)
  }

  // ---- have and want

  /** It is ours and on disk. */
  havePiece(piece: PieceIndex): boolean {
    return this.map.flushed(piece)
  }

  /** Pieces on disk: what resume data records. A new object. */
  flushedBits(): Bitfield {
    const out = new Bitfield(this.numPieces)
    for (let i = 0; i < this.numPieces; i++) if (this.map.place[i] === FLUSHED) out.setBit(i)
    return out
  }

  /** True if the peer has a piece that we want and do not have. */
  isInteresting(pieces: PeerPieces): boolean {
    if (this.counts.numWantLeft() === 0) return false
    if (pieces === 'all') return true
    const theirs = pieces.data()
    const { wanted } = this.map
    for (let i = 0; i < theirs.length; i++) if ((theirs[i]! & wanted[i]!) !== 0) return true
    return false
  }

  /** We want the piece and do not have it: what `have` is asked against for interest. */
  isWanted(piece: PieceIndex): boolean {
    return this.map.isWanted(piece)
  }

  /** The piece is ours and on disk, whatever was in flight of it. */
  weHave(piece: PieceIndex): void {
    const { map } = this
    if (map.flushed(piece)) return
    const place = map.place[piece]!
    const before = map.rank(piece)
    const dp = this.downloads.find(piece)
    if (dp !== undefined) {
      if (dp.locked) return
      this.downloads.remove(dp)
    }
    this.counts.gained(piece)
    map.takeOut(before, place)
    map.place[piece] = FLUSHED
    this.cursors.tighten(piece)
  }

  /** Every piece is ours. */
  weHaveAll(): void {
    const { map } = this
    this.downloads.clear()
    map.place.fill(FLUSHED)
    map.clearOrder()
    this.counts.gainedAll()
    this.cursors.close()
  }

  /** Takes a piece back: it is lost, or was never there. Also drops what is in flight of it. */
  weDontHave(piece: PieceIndex): void {
    const { map } = this
    const before = map.rank(piece)
    const dp = this.downloads.find(piece)
    if (dp !== undefined) this.downloads.remove(dp)
    else if (!map.flushed(piece)) return
    this.counts.lost(piece)
    if (map.flushed(piece)) {
      map.place[piece] = 0
      if (map.priority[piece] !== 0) this.cursors.widen(piece)
    }
    map.moved(piece, before)
  }

  // ---- priority

  piecePriority(piece: PieceIndex): DownloadPriority {
    return this.map.priority[piece]!
  }

  /** By piece. */
  piecePriorities(): number[] {
    return Array.from(this.map.priority)
  }

  /**
   * @param priority 0 to 7
   * @returns true if the piece changed from filtered to not, or the reverse
   */
  setPiecePriority(piece: PieceIndex, priority: DownloadPriority): boolean {
    const { map, downloads } = this
    const old = map.priority[piece]!
    if (old === priority) return false
    const before = map.rank(piece)
    map.priority[piece] = priority
    const flipped = (old === 0) !== (priority === 0)
    if (flipped) {
      this.counts.filterChanged(piece)
      if (!map.flushed(piece)) {
        if (priority === 0) this.cursors.tighten(piece)
        else this.cursors.widen(piece)
      }
    }
    const dp = downloads.find(piece)
    if (dp !== undefined) downloads.requeue(dp, before)
    else map.moved(piece, before)
    return flipped
  }

  // ---- picking

  /**
   * Appends blocks worth asking this peer for, best first. Asking for one is the caller's decision, which
   * it reports with `markAsDownloading`.
   *
   * @param pieces           what the peer has (and lets us have: when it chokes us, only its allowed-fast pieces)
   * @param numBlocks        how many are wished for; there may be fewer, and more if `preferContiguous` is set
   * @param preferContiguous length of the run of blocks to prefer, 0 for none
   * @param options          `PickOption` bits
   * @param out              appended to; blocks that others are asked for already come last
   * @param suggested        pieces the peer suggested (BEP 6), tried before others
   * @param numPeers         peers of the torrent: with many pieces in flight per peer, those come first
   * @returns                which rules gave blocks, as `PickerFlags`
   */
  pickBlocks(
    pieces: PeerPieces,
    numBlocks: number,
    preferContiguous: number,
    peer: PeerRef,
    options: PickOptions,
    out: BlockId[],
    suggested: readonly PieceIndex[] = NO_PIECES,
    numPeers = 1,
  ): PickerFlags {
    return this.#chooser.pick(pieces, numBlocks, preferContiguous, peer, options, out, suggested, numPeers)
  }

  /** Appends up to `count` open blocks of one piece, whoever has it: for pieces with a deadline. */
  addBlocks(piece: PieceIndex, count: number, out: BlockId[]): void {
    if (this.map.flushed(piece)) return
    const dp = this.downloads.find(piece)
    if (dp?.locked) return
    const blocks = this.payloadBlocks(piece)
    for (let b = 0; b < blocks && count > 0; b++) {
      if (dp !== undefined && this.downloads.state(dp, b) !== BlockState.none) continue
      out.push(this.blockId(piece, b))
      count--
    }
  }

  // ---- blocks

  isRequested(piece: PieceIndex, block: BlockIndex): boolean {
    return this.blockState(piece, block) === BlockState.requested
  }

  /** In memory, on disk, or the whole piece is. */
  isDownloaded(piece: PieceIndex, block: BlockIndex): boolean {
    return this.blockState(piece, block) >= BlockState.writing
  }

  blockState(piece: PieceIndex, block: BlockIndex): BlockState {
    if (this.map.flushed(piece)) return BlockState.finished
    const dp = this.downloads.find(piece)
    return dp === undefined ? BlockState.none : this.downloads.state(dp, block)
  }

  /** Peers the block is asked from now. */
  numPeers(piece: PieceIndex, block: BlockIndex): number {
    const dp = this.downloads.find(piece)
    return dp === undefined ? 0 : this.downloads.numPeers(dp, block)
  }

  /** Who was asked for the block, or sent it; 0 if nobody, or it is not known. */
  downloader(piece: PieceIndex, block: BlockIndex): PeerRef {
    const dp = this.downloads.find(piece)
    if (dp === undefined || this.downloads.state(dp, block) === BlockState.none) return NO_PEER
    return this.downloads.peer(dp, block)
  }

  /** By block: who it came from or was asked from, 0 for nobody. */
  downloaders(piece: PieceIndex): PeerRef[] {
    const out: PeerRef[] = new Array(this.blocksInPiece(piece)).fill(NO_PEER)
    const dp = this.downloads.find(piece)
    if (dp !== undefined) for (let b = 0; b < out.length; b++) out[b] = this.downloads.peer(dp, b)
    return out
  }

  /**
   * The block is asked from a peer (or stands in its request queue).
   *
   * @param options of these, `reverse` marks the piece as one of slow peers; `pieceExtentAffinity` remembers its place
   * @returns false if the block is here already: do not ask
   */
  markAsDownloading(piece: PieceIndex, block: BlockIndex, peer: PeerRef, options: PickOptions = 0): boolean {
    const { map, downloads } = this
    if (map.flushed(piece)) return false
    const before = map.rank(piece)
    const reverse = (options & PickOption.reverse) !== 0
    let dp = downloads.find(piece)
    if (dp === undefined) {
      if (options & PickOption.pieceExtentAffinity) this.#chooser.recordOpened(piece)
      dp = downloads.open(piece)
      if (reverse) downloads.setReverse(piece, true)
    }
    const state = downloads.state(dp, block)
    if (state >= BlockState.writing) {
      downloads.settle(dp, before)
      return false
    }
    if (!reverse) downloads.setReverse(piece, false)
    else if (dp.requested === 0) downloads.setReverse(piece, true)
    const asked = state === BlockState.requested ? downloads.numPeers(dp, block) : 0
    if (asked === 0) dp.requested++
    downloads.set(dp, block, BlockState.requested, peer, asked + 1)
    downloads.requeue(dp, before)
    return true
  }

  /**
   * The block has arrived and is in memory.
   *
   * @returns false if it was here already: the bytes are redundant
   */
  markAsWriting(piece: PieceIndex, block: BlockIndex, peer: PeerRef): boolean {
    const { map, downloads } = this
    if (map.flushed(piece)) return false
    const before = map.rank(piece)
    const dp = downloads.find(piece) ?? downloads.open(piece)
    const state = downloads.state(dp, block)
    if (state >= BlockState.writing) {
      downloads.settle(dp, before)
      return false
    }
    if (state === BlockState.requested) dp.requested--
    dp.writing++
    downloads.set(dp, block, BlockState.writing, peer, 0)
    downloads.requeue(dp, before)
    return true
  }

  /** Whether the blocks are asked from this peer and nobody else. */
  isRunRequested(piece: PieceIndex, first: BlockIndex, count: number, peer: PeerRef): boolean {
    const { downloads } = this
    const dp = this.map.flushed(piece) ? undefined : downloads.find(piece)
    if (dp === undefined) return false
    for (let b = first; b < first + count; b++) {
      if (downloads.state(dp, b) !== BlockState.requested || downloads.numPeers(dp, b) !== 1) return false
      if (downloads.peer(dp, b) !== peer) return false
    }
    return true
  }

  /** As `markAsWriting` for each block of a run for which `isRunRequested` holds. */
  markRunAsWriting(piece: PieceIndex, first: BlockIndex, count: number, peer: PeerRef): void {
    const { downloads } = this
    const before = this.map.rank(piece)
    const dp = downloads.find(piece)!
    dp.requested -= count
    dp.writing += count
    for (let b = first; b < first + count; b++) downloads.set(dp, b, BlockState.writing, peer, 0)
    downloads.requeue(dp, before)
  }

  /** The block is on disk. `NO_PEER` keeps the attribution there is. */
  markAsFinished(piece: PieceIndex, block: BlockIndex, peer: PeerRef = NO_PEER): void {
    const { map, downloads } = this
    if (map.flushed(piece)) return
    const before = map.rank(piece)
    const dp = downloads.find(piece) ?? downloads.open(piece)
    const state = downloads.state(dp, block)
    if (state === BlockState.finished) {
      downloads.settle(dp, before)
      return
    }
    if (state === BlockState.requested) dp.requested--
    else if (state === BlockState.writing) dp.writing--
    dp.finished++
    const keep = peer === NO_PEER && state === BlockState.writing
    downloads.set(dp, block, BlockState.finished, keep ? downloads.peer(dp, block) : peer, 0)
    downloads.requeue(dp, before)
  }

  /** Writing the block failed: it is open again, and the piece is locked until `restorePiece`. */
  writeFailed(piece: PieceIndex, block: BlockIndex): void {
    const { downloads } = this
    const dp = downloads.find(piece)
    if (dp === undefined) return
    const state = downloads.state(dp, block)
    if (state === BlockState.finished) return
    const before = this.map.rank(piece)
    if (state === BlockState.writing) dp.writing--
    else if (state === BlockState.requested) dp.requested--
    downloads.set(dp, block, BlockState.none, NO_PEER, 0)
    dp.locked = true
    downloads.settle(dp, before)
  }

  /**
   * A peer is no longer asked for the block: it choked, rejected, timed out or left. The block is open again when
   * nobody else is asked for it.
   */
  abortDownload(piece: PieceIndex, block: BlockIndex, peer: PeerRef): void {
    const { downloads } = this
    const dp = downloads.find(piece)
    if (dp === undefined || downloads.state(dp, block) !== BlockState.requested) return
    const before = this.map.rank(piece)
    const left = downloads.numPeers(dp, block) - 1
    if (left > 0) {
      const last = downloads.peer(dp, block)
      downloads.set(dp, block, BlockState.requested, last === peer ? NO_PEER : last, left)
      return
    }
    downloads.set(dp, block, BlockState.none, NO_PEER, 0)
    dp.requested--
    downloads.settle(dp, before)
  }

  /** Forgets a peer in all attributions: its entry leaves the peer list. Requests are `abortDownload`'s. */
  clearPeer(peer: PeerRef): void {
    this.downloads.clearPeer(peer)
  }

  // ---- pieces in flight

  isDownloading(piece: PieceIndex): boolean {
    return this.map.state[piece] !== PieceState.open
  }

  /** Every block has arrived. */
  isPieceFinished(piece: PieceIndex): boolean {
    if (this.map.flushed(piece)) return true
    const dp = this.downloads.find(piece)
    return dp !== undefined && dp.finished + dp.writing === this.blocksInPiece(piece)
  }

  /** A hash job for the piece was handed to the disk. */
  startedHashJob(piece: PieceIndex): void {
    const dp = this.downloads.find(piece)
    if (dp !== undefined) dp.hashing = true
  }

  completedHashJob(piece: PieceIndex): void {
    const dp = this.downloads.find(piece)
    if (dp !== undefined) dp.hashing = false
  }

  /** No block of a piece in flight is picked until `restorePiece`: its hash or a write failed. */
  lockPiece(piece: PieceIndex): void {
    const dp = this.downloads.find(piece)
    if (dp !== undefined) dp.locked = true
  }

  /**
   * Makes a piece, or some of its blocks, open again after a failure, and unlocks it.
   *
   * @param blocks those to download again; empty: all, requested ones included
   */
  restorePiece(piece: PieceIndex, blocks: readonly BlockIndex[] = []): void {
    const { map, downloads } = this
    const dp = downloads.find(piece)
    if (dp === undefined) return
    const before = map.rank(piece)
    dp.locked = false
    if (blocks.length === 0) {
      downloads.close(dp, before)
      return
    }
    const payload = this.payloadBlocks(piece)
    for (const block of blocks) {
      const state = downloads.state(dp, block)
      if (state === BlockState.requested || block >= payload) continue
      if (state === BlockState.writing) dp.writing--
      else if (state === BlockState.finished) dp.finished--
      downloads.set(dp, block, BlockState.none, NO_PEER, 0)
    }
    downloads.settle(dp, before)
  }

  downloadQueueSize(): number {
    return this.downloads.size
  }

  /** Its parts agree with themselves and with each other. Throws an `Error` if not; O(pieces), for tests. */
  checkInvariant(): void {
    const { map, downloads } = this
    map.checkInvariant()
    downloads.checkInvariant()
    this.counts.checkInvariant()
    this.cursors.checkInvariant()
    for (let i = 0; i < this.numPieces; i++) {
      const had = map.flushed(i)
      if (had && downloads.find(i) !== undefined) throw new Error(`PiecePicker: ${i} is had and in flight`)
      if (had !== this.counts.has(i)) throw new Error(`PiecePicker: the have bit of ${i} is wrong`)
    }
  }
}
