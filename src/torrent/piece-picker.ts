/**
 * What is had, what is wanted, what is in flight and what to ask for next.
 *
 * "Have" is loose: the hash was right. "Flushed" is strict: and every block is on disk; the picker
 * then tracks its blocks no more.
 */

import { Bitfield } from '../core/bitfield.ts'
import { BLOCK_SIZE, type BlockIndex, type PieceIndex } from '../core/brands.ts'
import type { DownloadPriority, PickerFlags } from '../core/enums.ts'
import type { Rng } from '../core/rng.ts'
import { BlockState, type DownloadingPiece, DownloadingPieces, NO_PEER, type PeerRef } from './downloading-pieces.ts'
import {
  BlockChooser,
  type BlockId,
  newPickerLoops,
  type PickerLoops,
  PickOption,
  type PickOptions,
} from './pick-blocks.ts'
import { FLUSHED, type PeerPieces, PieceMap, PieceState } from './piece-map.ts'

/** A set of pieces, as far as its size in bytes depends on it. */
export interface PieceCount {
  readonly numPieces: number
  /** Bytes of those pieces that are pad files. */
  readonly padBytes: number
  /** The last piece, which may be shorter, is one of them. */
  readonly lastPiece: boolean
}

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
  readonly passedHashCheck: boolean
  readonly locked: boolean
  readonly hashing: boolean
}

/** Lengths of the four download queues. */
export interface QueueSizes {
  readonly partial: number
  readonly full: number
  readonly finished: number
  readonly zeroPrio: number
}

/** How one piece stands. */
export interface PieceStats {
  readonly peerCount: number
  /** Bucket in the pick order, lower is picked first; -1: not pickable. */
  readonly rank: number
  readonly flushed: boolean
  readonly downloading: boolean
}

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
  /** @internal */
  readonly map: PieceMap
  /** @internal */
  readonly downloads: DownloadingPieces
  readonly #chooser: BlockChooser
  readonly #blocksInLast: number
  readonly #have: Bitfield
  readonly #padBytes = new Map<PieceIndex, number>()

  // Counts of pieces and of their pad bytes. `filtered`: priority 0 and not had; `haveFiltered`: and had.
  #numHave = 0
  #numFiltered = 0
  #numHaveFiltered = 0
  #allPad = 0
  #havePad = 0
  #filteredPad = 0
  #haveFilteredPad = 0

  // Every piece below the cursor and from the reverse cursor on is flushed or filtered. When all are, the
  // cursor is `numPieces` and the reverse cursor 0.
  #cursor: PieceIndex = 0
  #reverseCursor: PieceIndex

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
    this.#blocksInLast = Math.ceil((totalSize - (this.numPieces - 1) * pieceLength) / this.blockSize)
    this.#reverseCursor = this.numPieces
    this.#have = new Bitfield(this.numPieces)
    this.map = new PieceMap(this.numPieces, rng)
    this.downloads = new DownloadingPieces(this.blocksPerPiece)
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
    const pad = this.#padBytes.size === 0 ? 0 : (this.#padBytes.get(piece) ?? 0)
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
    this.#padBytes.set(piece, bytes)
    this.#allPad += bytes
    const filtered = this.map.priority[piece] === 0
    if (this.havePiece(piece)) {
      this.#havePad += bytes
      if (filtered) this.#haveFilteredPad += bytes
    } else if (filtered) this.#filteredPad += bytes
    if (bytes === this.pieceSize(piece)) this.weHave(piece)
  }

  padBytesInPiece(piece: PieceIndex): number {
    return this.#padBytes.get(piece) ?? 0
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

  /** Peers counted as having everything. */
  numSeeds(): number {
    return this.map.seeds
  }

  /** Full copies in the swarm, ours included, and thousandths of the next one. `[1, 0]` shape: `[copies, fraction]`. */
  distributedCopies(): [copies: number, fraction: number] {
    let min = Number.MAX_SAFE_INTEGER
    let atMin = 0
    for (let i = 0; i < this.numPieces; i++) {
      const count = this.map.peerCount[i]! + (this.map.flushed(i) ? 1 : 0)
      if (count < min) {
        min = count
        atMin = 1
      } else if (count === min) atMin++
    }
    return [min + this.map.seeds, Math.floor(((this.numPieces - atMin) * 1000) / this.numPieces)]
  }

  // ---- have and want

  /** Its hash was right; it may not be on disk yet. */
  havePiece(piece: PieceIndex): boolean {
    return this.#have.getBit(piece)
  }

  /** It is ours and on disk. */
  isFlushed(piece: PieceIndex): boolean {
    return this.map.flushed(piece)
  }

  /** The pieces we have, as the `bitfield` message packs them. Not a copy: read only. */
  haveBits(): Bitfield {
    return this.#have
  }

  /** Pieces on disk: what resume data records. A new object. */
  flushedBits(): Bitfield {
    const out = new Bitfield(this.numPieces)
    for (let i = 0; i < this.numPieces; i++) if (this.map.place[i] === FLUSHED) out.setBit(i)
    return out
  }

  /** True if the peer has a piece that we want and do not have. */
  isInteresting(pieces: PeerPieces): boolean {
    if (this.numWantLeft() === 0) return false
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

  numHave(): number {
    return this.#numHave
  }

  /**
   * Pieces wanted and not had.
   *
   * Deviation: libtorrent adds the pieces had and filtered, which are not missing.
   */
  numWantLeft(): number {
    return this.numPieces - this.#numHave - this.#numFiltered
  }

  /** Every wanted piece is had. */
  isFinished(): boolean {
    return this.numPieces - this.#numFiltered <= this.#numHave
  }

  isSeeding(): boolean {
    return this.#numHave === this.numPieces
  }

  /** Pieces not filtered, had or not. */
  want(): PieceCount {
    return {
      numPieces: this.numPieces - this.#numFiltered - this.#numHaveFiltered,
      padBytes: this.#allPad - this.#filteredPad - this.#haveFilteredPad,
      lastPiece: this.map.priority[this.numPieces - 1] !== 0,
    }
  }

  /** Pieces had of those not filtered. */
  haveWant(): PieceCount {
    const last = this.numPieces - 1
    return {
      numPieces: this.#numHave - this.#numHaveFiltered,
      padBytes: this.#havePad - this.#haveFilteredPad,
      lastPiece: this.havePiece(last) && this.map.priority[last] !== 0,
    }
  }

  /** Pieces had. */
  have(): PieceCount {
    return { numPieces: this.#numHave, padBytes: this.#havePad, lastPiece: this.havePiece(this.numPieces - 1) }
  }

  allPieces(): PieceCount {
    return { numPieces: this.numPieces, padBytes: this.#allPad, lastPiece: true }
  }

  /** Bytes of a set of pieces, padding not counted. */
  bytesOf(count: PieceCount): number {
    let bytes = count.numPieces * this.pieceLength - count.padBytes
    if (count.lastPiece) bytes -= this.pieceLength - this.pieceSize(this.numPieces - 1)
    return bytes
  }

  /** Lowest piece not had (and not filtered); `numPieces` if there is none. */
  get cursor(): PieceIndex {
    return this.#cursor
  }

  /** One past the highest piece not had (and not filtered); 0 if there is none. */
  get reverseCursor(): PieceIndex {
    return this.#reverseCursor
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
      this.downloads.remove(dp, map.queue(piece))
      map.state[piece] = PieceState.open
    }
    this.#accountHave(piece)
    map.takeOut(before, place)
    map.place[piece] = FLUSHED
    this.#tightenCursors(piece)
  }

  /** Every piece is ours. */
  weHaveAll(): void {
    const { map } = this
    this.downloads.clear()
    map.state.fill(PieceState.open)
    map.place.fill(FLUSHED)
    map.wanted.fill(0)
    map.clearOrder()
    this.#have.setAll()
    this.#numHaveFiltered += this.#numFiltered
    this.#numFiltered = 0
    this.#haveFilteredPad += this.#filteredPad
    this.#filteredPad = 0
    this.#numHave = this.numPieces
    this.#havePad = this.#allPad
    this.#cursor = this.numPieces
    this.#reverseCursor = 0
  }

  /** Takes a piece back: it is lost, or was never there. Also drops what is in flight of it. */
  weDontHave(piece: PieceIndex): void {
    const { map } = this
    const before = map.rank(piece)
    const dp = this.downloads.find(piece)
    if (dp !== undefined) {
      this.downloads.remove(dp, map.queue(piece))
      map.state[piece] = PieceState.open
    } else if (!map.flushed(piece)) return
    this.#accountLost(piece)
    if (map.flushed(piece)) {
      map.place[piece] = 0
      if (map.priority[piece] !== 0) this.#widenCursors(piece)
    }
    map.moved(piece, before)
  }

  /** The hash was right. The piece is flushed at once if all of it is on disk, else when its last block is. */
  piecePassed(piece: PieceIndex): void {
    const dp = this.downloads.find(piece)
    if (dp === undefined || dp.locked) return
    dp.passedHashCheck = true
    this.#accountHave(piece)
    if (dp.finished === this.blocksInPiece(piece)) this.weHave(piece)
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
    const { map } = this
    const old = map.priority[piece]!
    if (old === priority) return false
    const before = map.rank(piece)
    const pad = this.padBytesInPiece(piece)
    const had = this.havePiece(piece)
    map.priority[piece] = priority
    const flipped = (old === 0) !== (priority === 0)
    if (flipped) {
      const sign = priority === 0 ? 1 : -1
      if (had) {
        this.#numHaveFiltered += sign
        this.#haveFilteredPad += sign * pad
      } else {
        this.#numFiltered += sign
        this.#filteredPad += sign * pad
        map.setWanted(piece, priority !== 0)
      }
      if (!map.flushed(piece)) {
        if (priority === 0) this.#tightenCursors(piece)
        else this.#widenCursors(piece)
      }
    }
    const dp = this.downloads.find(piece)
    if (dp !== undefined) this.#requeue(dp, before)
    else map.moved(piece, before)
    return flipped
  }

  /**
   * Limits sequential picking to a range, until pieces of it complete.
   *
   * @param last inclusive
   */
  setSequentialRange(first: PieceIndex, last: PieceIndex): void {
    this.#cursor = first
    this.#reverseCursor = last + 1
    while (this.#cursor < this.numPieces && this.#isDone(this.#cursor)) this.#cursor++
    while (this.#reverseCursor > 0 && this.#isDone(this.#reverseCursor - 1)) this.#reverseCursor--
    if (this.#cursor >= this.#reverseCursor) {
      this.#cursor = this.numPieces
      this.#reverseCursor = 0
    }
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

  /** On disk. */
  isFinishedBlock(piece: PieceIndex, block: BlockIndex): boolean {
    return this.blockState(piece, block) === BlockState.finished
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
      dp = this.#open(piece)
      if (reverse) this.#setReverse(piece, true)
    }
    const state = downloads.state(dp, block)
    if (state >= BlockState.writing) {
      this.#settle(dp, before)
      return false
    }
    if (!reverse) this.#setReverse(piece, false)
    else if (dp.requested === 0) this.#setReverse(piece, true)
    const asked = state === BlockState.requested ? downloads.numPeers(dp, block) : 0
    if (asked === 0) dp.requested++
    downloads.set(dp, block, BlockState.requested, peer, asked + 1)
    this.#requeue(dp, before)
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
    const dp = downloads.find(piece) ?? this.#open(piece)
    const state = downloads.state(dp, block)
    if (state >= BlockState.writing) {
      this.#settle(dp, before)
      return false
    }
    if (state === BlockState.requested) dp.requested--
    dp.writing++
    downloads.set(dp, block, BlockState.writing, peer, 0)
    this.#requeue(dp, before)
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
    this.#requeue(dp, before)
  }

  /** The block is on disk. `NO_PEER` keeps the attribution there is. */
  markAsFinished(piece: PieceIndex, block: BlockIndex, peer: PeerRef = NO_PEER): void {
    const { map, downloads } = this
    if (map.flushed(piece)) return
    const before = map.rank(piece)
    const dp = downloads.find(piece) ?? this.#open(piece)
    const state = downloads.state(dp, block)
    if (state === BlockState.finished) {
      this.#settle(dp, before)
      return
    }
    if (state === BlockState.requested) dp.requested--
    else if (state === BlockState.writing) dp.writing--
    dp.finished++
    const keep = peer === NO_PEER && state === BlockState.writing
    downloads.set(dp, block, BlockState.finished, keep ? downloads.peer(dp, block) : peer, 0)
    this.#requeue(dp, before)
    if (dp.passedHashCheck && !dp.hashing && dp.finished === this.blocksInPiece(piece)) this.weHave(piece)
  }

  /** A block in memory was given up before it reached the disk: it may be asked for again. */
  markAsCanceled(piece: PieceIndex, block: BlockIndex): void {
    const dp = this.downloads.find(piece)
    if (dp === undefined || this.downloads.state(dp, block) !== BlockState.writing) return
    const before = this.map.rank(piece)
    dp.writing--
    this.downloads.set(dp, block, BlockState.none, NO_PEER, 0)
    this.#settle(dp, before)
  }

  /** Writing the block failed: it is open again, the piece is locked until `restorePiece` and, if it passed, no longer had. */
  writeFailed(piece: PieceIndex, block: BlockIndex): void {
    const dp = this.downloads.find(piece)
    if (dp === undefined) return
    const state = this.downloads.state(dp, block)
    if (state === BlockState.finished) return
    const before = this.map.rank(piece)
    if (state === BlockState.writing) dp.writing--
    else if (state === BlockState.requested) dp.requested--
    this.downloads.set(dp, block, BlockState.none, NO_PEER, 0)
    this.#unpass(dp)
    dp.locked = true
    this.#settle(dp, before)
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
    this.#settle(dp, before)
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

  isHashing(piece: PieceIndex): boolean {
    return this.downloads.find(piece)?.hashing === true
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
    if (dp === undefined) return
    this.#unpass(dp)
    dp.locked = true
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
    this.#unpass(dp)
    if (blocks.length === 0) {
      this.#close(dp, before)
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
    this.#settle(dp, before)
  }

  /** How the piece stands, also if it is not in flight. */
  pieceInfo(piece: PieceIndex): PieceView {
    const dp = this.downloads.find(piece)
    const blocksInPiece = this.blocksInPiece(piece)
    if (dp === undefined) {
      return {
        index: piece,
        blocksInPiece,
        finished: this.map.flushed(piece) ? blocksInPiece : 0,
        writing: 0,
        requested: 0,
        passedHashCheck: this.map.flushed(piece),
        locked: false,
        hashing: false,
      }
    }
    const { finished, writing, requested, passedHashCheck, locked, hashing } = dp
    return { index: piece, blocksInPiece, finished, writing, requested, passedHashCheck, locked, hashing }
  }

  pieceStats(piece: PieceIndex): PieceStats {
    return {
      peerCount: this.map.availability(piece),
      rank: this.map.rank(piece),
      flushed: this.map.flushed(piece),
      downloading: this.isDownloading(piece),
    }
  }

  /** Pieces in flight: partial ones, then full, finished, and those no longer wanted; each by index. */
  downloadQueue(): PieceView[] {
    const out: PieceView[] = []
    for (const queue of this.downloads.queues) for (const dp of queue) out.push(this.pieceInfo(dp.index))
    return out
  }

  downloadQueueSize(): number {
    return this.downloads.size
  }

  downloadQueueSizes(): QueueSizes {
    const [partial, full, finished, zeroPrio] = this.downloads.queues
    return {
      partial: partial!.length,
      full: full!.length,
      finished: finished!.length,
      zeroPrio: zeroPrio!.length,
    }
  }

  /** Blocks of a piece in flight; empty if it is not. */
  blocks(piece: PieceIndex): BlockView[] {
    const { downloads } = this
    const dp = downloads.find(piece)
    const out: BlockView[] = []
    if (dp === undefined) return out
    const count = this.blocksInPiece(piece)
    for (let b = 0; b < count; b++) {
      out.push({ state: downloads.state(dp, b), peer: downloads.peer(dp, b), numPeers: downloads.numPeers(dp, b) })
    }
    return out
  }

  // ---- internals

  #open(piece: PieceIndex): DownloadingPiece {
    const filtered = this.map.priority[piece] === 0
    const queue = filtered ? PieceState.zeroPrio : PieceState.downloading
    this.map.state[piece] = queue
    return this.downloads.add(piece, queue, this.blocksInPiece(piece), this.payloadBlocks(piece))
  }

  /** Drops everything in flight of a piece. */
  #close(dp: DownloadingPiece, before: number): void {
    this.downloads.remove(dp, this.map.queue(dp.index))
    this.map.state[dp.index] = PieceState.open
    this.map.moved(dp.index, before)
  }

  /** After blocks were given up: the piece leaves when nothing but padding is left of it. */
  #settle(dp: DownloadingPiece, before: number): void {
    const pad = this.blocksInPiece(dp.index) - this.payloadBlocks(dp.index)
    if (dp.taken() <= pad && !dp.hashing) this.#close(dp, before)
    else this.#requeue(dp, before)
  }

  #setReverse(piece: PieceIndex, reverse: boolean): void {
    const { state } = this.map
    const now = state[piece]!
    if (reverse && now <= PieceState.full) state[piece] = now + PieceState.downloadingReverse
    else if (!reverse && now > PieceState.open) state[piece] = now - PieceState.downloadingReverse
  }

  /** Puts a piece in flight into the queue and the bucket its counts call for. */
  #requeue(dp: DownloadingPiece, before: number): void {
    const { map } = this
    const piece = dp.index
    const reverse = map.isReverse(piece) ? PieceState.downloadingReverse : 0
    let next: number
    if (map.priority[piece] === 0) next = PieceState.zeroPrio
    else if (dp.taken() < this.blocksInPiece(piece)) next = PieceState.downloading + reverse
    else if (dp.requested > 0) next = PieceState.full + reverse
    else next = PieceState.finished
    if (next !== map.state[piece]) {
      const from = map.queue(piece)
      map.state[piece] = next
      this.downloads.move(dp, from, map.queue(piece))
    }
    map.moved(piece, before)
  }

  #unpass(dp: DownloadingPiece): void {
    if (!dp.passedHashCheck) return
    dp.passedHashCheck = false
    this.#accountLost(dp.index)
  }

  #accountHave(piece: PieceIndex): void {
    if (this.#have.getBit(piece)) return
    this.#have.setBit(piece)
    this.map.setWanted(piece, false)
    this.#numHave++
    const pad = this.padBytesInPiece(piece)
    this.#havePad += pad
    if (this.map.priority[piece] !== 0) return
    this.#numFiltered--
    this.#filteredPad -= pad
    this.#numHaveFiltered++
    this.#haveFilteredPad += pad
  }

  #accountLost(piece: PieceIndex): void {
    if (!this.#have.getBit(piece)) return
    this.#have.clearBit(piece)
    this.#numHave--
    const pad = this.padBytesInPiece(piece)
    this.#havePad -= pad
    if (this.map.priority[piece] !== 0) {
      this.map.setWanted(piece, true)
      return
    }
    this.#numFiltered++
    this.#filteredPad += pad
    this.#numHaveFiltered--
    this.#haveFilteredPad -= pad
  }

  /** Nothing is left to pick of it: flushed or filtered. */
  #isDone(piece: PieceIndex): boolean {
    return this.map.place[piece] === FLUSHED || this.map.priority[piece] === 0
  }

  /** A piece became flushed or filtered. */
  #tightenCursors(piece: PieceIndex): void {
    if (piece === this.#cursor) {
      while (this.#cursor < this.#reverseCursor && this.#isDone(this.#cursor)) this.#cursor++
    }
    if (piece === this.#reverseCursor - 1) {
      while (this.#reverseCursor > this.#cursor && this.#isDone(this.#reverseCursor - 1)) this.#reverseCursor--
    }
    if (this.#cursor >= this.#reverseCursor) {
      this.#cursor = this.numPieces
      this.#reverseCursor = 0
    }
  }

  /** A piece is to be picked again. */
  #widenCursors(piece: PieceIndex): void {
    if (piece < this.#cursor) this.#cursor = piece
    if (piece >= this.#reverseCursor) this.#reverseCursor = piece + 1
  }

  /** The counts and the order agree with the pieces. Throws an `Error` if not; O(pieces), for tests. */
  checkInvariant(): void {
    const { map, downloads } = this
    map.checkInvariant()
    let have = 0
    let filtered = 0
    let haveFiltered = 0
    let havePad = 0
    let filteredPad = 0
    let haveFilteredPad = 0
    for (let i = 0; i < this.numPieces; i++) {
      const dp = downloads.find(i)
      const had = map.flushed(i) || dp?.passedHashCheck === true
      expect(had === this.havePiece(i), `have bit of ${i}`)
      expect(!(map.flushed(i) && dp !== undefined), `${i} is flushed and in flight`)
      expect((dp === undefined) === (map.state[i] === PieceState.open), `state of ${i}`)
      const off = map.priority[i] === 0
      expect(map.isWanted(i) === (!had && !off), `wanted bit of ${i}`)
      const pad = this.padBytesInPiece(i)
      if (had) {
        have++
        havePad += pad
      }
      if (off && had) {
        haveFiltered++
        haveFilteredPad += pad
      } else if (off) {
        filtered++
        filteredPad += pad
      }
      if (!this.#isDone(i)) expect(map.priority[i]! > 0, `${i} is done`)
    }
    expect(have === this.#numHave && havePad === this.#havePad, 'pieces had')
    expect(filtered === this.#numFiltered && filteredPad === this.#filteredPad, 'pieces filtered')
    expect(haveFiltered === this.#numHaveFiltered && haveFilteredPad === this.#haveFilteredPad, 'had and filtered')
    if (this.#cursor === this.numPieces) expect(this.#reverseCursor === 0, 'cursors of a finished torrent')
    else {
      expect(this.#cursor < this.#reverseCursor, 'cursors are in order')
      expect(!this.#isDone(this.#cursor), 'cursor is at an open piece')
      expect(!this.#isDone(this.#reverseCursor - 1), 'reverse cursor is after an open piece')
    }
    let queued = 0
    for (let q = 0; q < downloads.queues.length; q++) {
      let last = -1
      for (const dp of downloads.queues[q]!) {
        queued++
        expect(dp.index > last, `queue ${q} is sorted`)
        last = dp.index
        expect(map.queue(dp.index) === q, `queue of ${dp.index}`)
        expect(downloads.find(dp.index) === dp, `lookup of ${dp.index}`)
        this.#checkBlocks(dp, q)
      }
    }
    expect(queued === downloads.size, 'every piece in flight is in one queue')
  }

  #checkBlocks(dp: DownloadingPiece, queue: number): void {
    const counts = [0, 0, 0, 0]
    const total = this.blocksInPiece(dp.index)
    for (let b = 0; b < total; b++) {
      const state = this.downloads.state(dp, b)
      counts[state]!++
      const asked = this.downloads.numPeers(dp, b)
      expect(state === BlockState.requested ? asked > 0 : asked === 0, `peers of block ${dp.index}:${b}`)
    }
    expect(counts[1] === dp.requested && counts[2] === dp.writing && counts[3] === dp.finished, `counts of ${dp.index}`)
    expect((this.map.priority[dp.index] === 0) === (queue === PieceState.zeroPrio), `zero priority of ${dp.index}`)
    if (queue === PieceState.downloading) expect(counts[0]! > 0, `${dp.index} has an open block`)
    if (queue === PieceState.full) expect(counts[0] === 0 && dp.requested > 0, `${dp.index} is full`)
    if (queue === PieceState.finished) expect(dp.finished + dp.writing === total, `${dp.index} is finished`)
  }
}

function expect(claim: boolean, what: string): void {
  if (!claim) throw new Error(`PiecePicker: not so: ${what}`)
}
