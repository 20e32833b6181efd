/** Chooses which blocks to ask a peer for: rarest first, in sequence, or random, and busy ones in end game. */

import type { BlockIndex, PieceIndex } from '../core/brands.ts'
import { PickerFlags } from '../core/enums.ts'
import type { Rng } from '../core/rng.ts'
import {
  BlockState,
  type DownloadingPiece,
  type DownloadingPieces,
  NO_PEER,
  type PeerRef,
} from './downloading-pieces.ts'
import type { PickCursors } from './pick-cursors.ts'
import { type PeerPieces, type PieceMap, PieceState } from './piece-map.ts'

/** How to pick; a bit mask. At most one of `rarestFirst` and `sequential`; neither means random pieces. */
export const PickOption = Object.freeze({
  rarestFirst: 1,
  /** The most common pieces first; the last ones first if sequential. For slow peers. */
  reverse: 2,
  /** Only pieces that no one but this peer has contributed to, or that are judged by block: a bad one has one culprit. */
  onParole: 4,
  /** Finish pieces in flight before opening new ones. */
  prioritizePartials: 8,
  sequential: 16,
  /** Grow runs of pieces inside aligned ranges only. */
  alignExpandedPieces: 64,
  /** Prefer pieces near those asked for lately, in ranges of 4 MiB: kinder to disks when pieces are small. */
  pieceExtentAffinity: 128,
} as const)
/** Combination of `PickOption` bits. */
export type PickOptions = number

/**
 * A block of the torrent as one number: `piece * blocksPerPiece + block`. Exact also where it exceeds 2^31.
 *
 * Made and taken apart by the `PiecePicker` it belongs to.
 */
export type BlockId = number

/** How many pieces the picker has looked at, by why: the `picker.*_loops` metrics. One object may serve many pickers. */
export interface PickerLoops {
  partial: number
  suggest: number
  sequential: number
  rare: number
  reverseRare: number
  randStart: number
  rand: number
  busy: number
}

export function newPickerLoops(): PickerLoops {
  return { partial: 0, suggest: 0, sequential: 0, rare: 0, reverseRare: 0, randStart: 0, rand: 0, busy: 0 }
}

/** What the chooser reads of the picker that owns it. */
export interface PickSource {
  readonly map: PieceMap
  readonly downloads: DownloadingPieces
  /** Between them are the pieces that are neither ours nor filtered. */
  readonly cursors: PickCursors
  blocksInPiece(piece: PieceIndex): number
  /** Blocks that are not all padding. */
  payloadBlocks(piece: PieceIndex): number
  /** Each block of it is judged by itself: who sent a bad one is known, whoever sent the others. */
  judgedByBlock(piece: PieceIndex): boolean
}

/** 4 MiB of blocks. */
const EXTENT_BLOCKS = 256
const MAX_RECENT_EXTENTS = 5
const MAX_BUSY_PIECES = 200
/** With more blocks than this in pieces in flight, those are finished first. */
const MAX_PARTIAL_BLOCKS = 2048
const TOP_PRIORITY = 7
/** Pieces of the order looked at before asking whether the peer has so few that sorting those is cheaper. */
const SCAN_BEFORE_SPARSE = 4096
const SPARSE_LIMIT = 2048

/** See the head of the file. One per picker; holds the scratch space of a pick. */
export class BlockChooser {
  readonly #source: PickSource
  readonly #rng: Rng
  readonly #loops: PickerLoops
  readonly #recentExtents: number[] = []

  // State of one pick, so that helpers need no long argument lists and no closures.
  #bits: Uint8Array | null = null
  #out: BlockId[] = []
  readonly #backup: BlockId[] = []
  /** Pieces dealt with: not to be looked at again in this pick. */
  readonly #ignored = new Set<PieceIndex>()
  #left = 0
  #contiguous = 0
  #peer: PeerRef = NO_PEER
  #options: PickOptions = 0

  constructor(source: PickSource, rng: Rng, loops: PickerLoops) {
    this.#source = source
    this.#rng = rng
    this.#loops = loops
  }

  /**
   * @see PiecePicker.pickBlocks
   */
  pick(
    pieces: PeerPieces,
    numBlocks: number,
    preferContiguous: number,
    peer: PeerRef,
    options: PickOptions,
    out: BlockId[],
    suggested: readonly PieceIndex[],
    numPeers: number,
  ): PickerFlags {
    if (numBlocks <= 0) return 0
    this.#bits = pieces === 'all' ? null : pieces.data()
    this.#out = out
    this.#backup.length = 0
    this.#ignored.clear()
    this.#left = numBlocks
    this.#contiguous = preferContiguous
    this.#peer = peer
    this.#options = options
    const flags = this.#pickFree(suggested, numPeers)
    this.#bits = null
    this.#out = []
    return flags
  }

  /** Notes that a piece was opened, for `pieceExtentAffinity`. */
  recordOpened(piece: PieceIndex): void {
    const { map, downloads } = this.#source
    if (downloads.blocksPerPiece >= EXTENT_BLOCKS || this.#recentExtents.length >= MAX_RECENT_EXTENTS) return
    const size = this.#extentSize()
    const extent = Math.floor(piece / size)
    if (this.#recentExtents.includes(extent)) return
    const priority = map.priority[piece]
    const end = Math.min((extent + 1) * size, map.numPieces)
    let haveAll = true
    for (let i = extent * size; i < end; i++) {
      if (i === piece) continue
      if (!map.flushed(i)) haveAll = false
      if (map.priority[i] !== priority) return
    }
    if (!haveAll) this.#recentExtents.push(extent)
  }

  #pickFree(suggested: readonly PieceIndex[], numPeers: number): PickerFlags {
    const { map, downloads } = this.#source
    let flags: PickerFlags = 0
    const partials = downloads.queues[PieceState.downloading]!.length
    if (partials > (numPeers * 3) / 2 || partials * downloads.blocksPerPiece > MAX_PARTIAL_BLOCKS) {
      this.#options |= PickOption.prioritizePartials
      this.#contiguous = 0
      flags |= PickerFlags.partialRatio
    }
    if (this.#contiguous > 0) flags |= PickerFlags.preferContiguous

    if (this.#options & PickOption.prioritizePartials) {
      flags |= this.#pickPartials()
      if (this.#left <= 0) return flags
      this.#takeBackup()
      if (this.#left <= 0) return flags
    }
    for (let i = 0; i < suggested.length; i++) {
      this.#loops.suggest++
      const piece = suggested[i]!
      if (piece >= map.numPieces || !this.#isFree(piece)) continue
      flags |= PickerFlags.suggestedPieces
      this.#addBlocks(piece)
      this.#ignored.add(piece)
      if (this.#left <= 0) return flags
    }
    if (this.#options & PickOption.sequential) {
      flags |= this.#pickSequential()
      if (this.#left <= 0) return flags
    }
    if (this.#options & (PickOption.rarestFirst | PickOption.sequential)) {
      map.freshen()
      if (this.#options & PickOption.reverse) flags |= this.#pickMostCommon()
      else {
        if (this.#options & PickOption.pieceExtentAffinity) flags |= this.#pickNearRecent()
        if (this.#left > 0) flags |= this.#pickRarest()
      }
    } else flags |= this.#pickRandom()
    if (this.#left <= 0) return flags

    flags |= PickerFlags.backup1
    this.#takeBackup()
    if (this.#left <= 0 || this.#options & PickOption.onParole) return flags
    return flags | this.#pickBusy()
  }

  /** Pieces in flight, those nobody else works on first: their blocks go to the output, others' to the backup. */
  #pickPartials(): PickerFlags {
    const { map, downloads } = this.#source
    const queue = downloads.queues[PieceState.downloading]!
    let flags: PickerFlags = 0
    const partials: DownloadingPiece[] = []
    for (let i = 0; i < queue.length; i++) {
      this.#loops.partial++
      if (this.#isFree(queue[i]!.index)) partials.push(queue[i]!)
    }
    if (this.#options & PickOption.rarestFirst) {
      flags |= PickerFlags.rarestFirstPartials
      // The nearest to complete first among the equally rare.
      partials.sort((a, b) => map.peerCount[a.index]! - map.peerCount[b.index]! || b.taken() - a.taken())
    }
    for (let i = 0; i < partials.length; i++) {
      flags |= PickerFlags.prioritizePartials
      this.#addFromPartial(partials[i]!)
      if (this.#left <= 0 || this.#backup.length >= this.#left) break
    }
    return flags
  }

  /** Pieces of top priority in order of rank, then all in order of index. */
  #pickSequential(): PickerFlags {
    const { map } = this.#source
    const { cursor, reverseCursor } = this.#source.cursors
    let flags: PickerFlags = 0
    map.freshen()
    // Those at the head of the order. A common piece of top priority may rank behind a rare one of another: it is taken
    // in its turn. Deviation: libtorrent then never takes it.
    for (let i = 0; i < map.orderSize; i++) {
      const piece = map.order[i]!
      if (map.priority[piece] !== TOP_PRIORITY) break
      this.#loops.sequential++
      if (!this.#isFree(piece)) continue
      flags |= PickerFlags.prioSequentialPieces
      this.#addBlocks(piece)
      this.#ignored.add(piece)
      if (this.#left <= 0) return flags
    }
    const backwards = (this.#options & PickOption.reverse) !== 0
    const step = backwards ? -1 : 1
    const end = backwards ? cursor - 1 : reverseCursor
    for (let piece = backwards ? reverseCursor - 1 : cursor; backwards ? piece > end : piece < end; piece += step) {
      this.#loops.sequential++
      if (this.#noneFreeAround(piece)) {
        piece = backwards ? piece & ~7 : piece | 7
        continue
      }
      if (!this.#isFree(piece)) continue
      flags |= backwards ? PickerFlags.reverseSequential : PickerFlags.sequentialPieces
      this.#addBlocks(piece)
      if (this.#left <= 0) break
    }
    return flags
  }

  /** In sequential mode the range between the cursors is done already. */
  #alreadyInSequence(piece: PieceIndex): boolean {
    if ((this.#options & PickOption.sequential) === 0) return false
    const { cursor, reverseCursor } = this.#source.cursors
    return piece >= cursor && piece < reverseCursor
  }

  #pickMostCommon(): PickerFlags {
    const { map } = this.#source
    let flags: PickerFlags = 0
    for (let i = map.orderSize - 1; i >= 0; i--) {
      this.#loops.reverseRare++
      const piece = map.order[i]!
      if (!this.#isFree(piece) || this.#alreadyInSequence(piece)) continue
      flags |= PickerFlags.reverseRarestFirst
      this.#addBlocks(piece)
      if (this.#left <= 0) break
    }
    return flags
  }

  #pickNearRecent(): PickerFlags {
    const { map } = this.#source
    const extents = this.#recentExtents
    const size = this.#extentSize()
    let flags: PickerFlags = 0
    let done = -1
    for (let e = 0; e < extents.length && this.#left > 0; e++) {
      const end = Math.min((extents[e]! + 1) * size, map.numPieces)
      let haveAll = true
      for (let piece = extents[e]! * size; piece < end; piece++) {
        if (!map.flushed(piece)) haveAll = false
        if (!this.#isFree(piece) || this.#alreadyInSequence(piece)) continue
        flags |= PickerFlags.extentAffinity
        this.#addBlocks(piece)
        this.#ignored.add(piece)
        if (this.#left <= 0) {
          haveAll = false
          break
        }
      }
      if (haveAll) done = e
    }
    if (done !== -1) extents.splice(done, 1)
    return flags
  }

  #pickRarest(): PickerFlags {
    const { map } = this.#source
    const { order, orderSize } = map
    let flags: PickerFlags = 0
    for (let i = 0; i < orderSize; i++) {
      this.#loops.rare++
      if (i === SCAN_BEFORE_SPARSE) {
        const few = this.#fewFreePieces(i)
        if (few !== null) return flags | this.#pickListed(few)
      }
      const piece = order[i]!
      if (!this.#isFree(piece) || this.#alreadyInSequence(piece)) continue
      flags |= PickerFlags.rarestFirst
      this.#addBlocks(piece)
      if (this.#left <= 0) break
    }
    return flags
  }

  /**
   * What is left to look at if the peer has only a few wanted pieces: those placed at `from` or later, in
   * pick order. Keeps a pick from a peer with little to offer from walking a million pieces.
   */
  #fewFreePieces(from: number): PieceIndex[] | null {
    const { place, wanted } = this.#source.map
    const bits = this.#bits
    if (bits === null) return null
    const found: PieceIndex[] = []
    for (let i = 0; i < bits.length; i++) {
      const b = bits[i]! & wanted[i]!
      if (b === 0) continue
      for (let k = 0; k < 8; k++) {
        if ((b & (0x80 >> k)) === 0) continue
        const piece = (i << 3) + k
        if (this.#source.map.rank(piece) === -1 || place[piece]! < from) continue
        if (found.length === SPARSE_LIMIT) return null
        found.push(piece)
      }
    }
    return found.sort((a, b) => place[a]! - place[b]!)
  }

  #pickListed(pieces: readonly PieceIndex[]): PickerFlags {
    let flags: PickerFlags = 0
    for (let i = 0; i < pieces.length && this.#left > 0; i++) {
      this.#loops.rare++
      if (this.#alreadyInSequence(pieces[i]!)) continue
      flags |= PickerFlags.rarestFirst
      this.#addBlocks(pieces[i]!)
    }
    return flags
  }

  /** Walks all pieces once, from a random one on. */
  #pickRandom(): PickerFlags {
    const { map } = this.#source
    const count = map.numPieces
    let flags: PickerFlags = 0
    const start = this.#rng.below(count)
    for (let walked = 0; walked < count && this.#left > 0; ) {
      this.#loops.randStart++
      const piece = (start + walked) % count
      if (this.#noneFreeAround(piece)) {
        walked += Math.min(8 - (piece & 7), count - piece)
        continue
      }
      walked++
      if (!this.#isFree(piece) || this.#ignored.has(piece)) continue
      flags |= PickerFlags.randomPieces
      this.#loops.rand++
      this.#addBlocks(piece)
    }
    return flags
  }

  /** End game: one block, of a piece that has no open ones, that is asked from somebody else. */
  #pickBusy(): PickerFlags {
    const { downloads } = this.#source
    const full = downloads.queues[PieceState.full]!
    const partials: DownloadingPiece[] = []
    for (let i = 0; i < full.length && partials.length < MAX_BUSY_PIECES; i++) {
      if (!full[i]!.locked && this.#hasBit(full[i]!.index)) partials.push(full[i]!)
    }
    const busy: BlockIndex[] = []
    while (partials.length > 0) {
      this.#loops.busy++
      const at = this.#rng.below(partials.length)
      const dp = partials[at]!
      const blocks = this.#source.blocksInPiece(dp.index)
      for (let b = 0; b < blocks; b++) {
        if (downloads.state(dp, b) === BlockState.requested && downloads.peer(dp, b) !== this.#peer) busy.push(b)
      }
      if (busy.length > 0) {
        this.#push(dp.index, busy[this.#rng.below(busy.length)]!)
        return PickerFlags.endGame
      }
      partials[at] = partials[partials.length - 1]!
      partials.pop()
    }
    return 0
  }

  #addBlocks(piece: PieceIndex): void {
    const { map, downloads } = this.#source
    if (this.#ignored.size > 0 && this.#ignored.has(piece)) return
    const queue = map.queue(piece)
    if (queue === PieceState.downloading) {
      if ((this.#options & PickOption.prioritizePartials) === 0) this.#addFromPartial(downloads.find(piece)!)
      return
    }
    if (queue !== PieceState.open) return
    if (this.#contiguous === 0) {
      const count = Math.min(this.#source.payloadBlocks(piece), this.#left)
      for (let b = 0; b < count; b++) this.#push(piece, b)
      this.#left -= count
      return
    }
    this.#addRun(piece)
  }

  /** Whole pieces, and neighbours that are free too, until both counts are met; may exceed the number asked for. */
  #addRun(piece: PieceIndex): void {
    let start = piece
    let end = piece + 1
    const { map, downloads } = this.#source
    const whole = Math.ceil(this.#contiguous / downloads.blocksPerPiece)
    const aligned = (this.#options & PickOption.alignExpandedPieces) !== 0
    const lower = aligned ? piece - (piece % whole) : Math.max(0, piece - whole + 1)
    while (start > lower && this.#canOpen(start - 1)) start--
    const upper = Math.min(aligned ? lower + whole : start + whole, map.numPieces)
    while (end < upper && this.#canOpen(end)) end++

    let contiguous = this.#contiguous
    for (let k = start; k < end; k++) {
      if (this.#ignored.has(k)) {
        contiguous--
        if (contiguous <= 0 && this.#left <= 0) break
        continue
      }
      this.#ignored.add(k)
      const blocks = this.#source.payloadBlocks(k)
      for (let b = 0; b < blocks; b++) {
        this.#push(k, b)
        this.#left--
        contiguous--
        if (contiguous <= 0 && this.#left <= 0) break
      }
    }
    this.#left = Math.max(0, this.#left)
  }

  #addFromPartial(dp: DownloadingPiece): void {
    if (dp.locked || !this.#hasBit(dp.index)) return
    const { downloads } = this.#source
    const blocks = this.#source.blocksInPiece(dp.index)
    const onParole = (this.#options & PickOption.onParole) !== 0

    // The longest run of open blocks, and whether anybody else has a part in this piece.
    let exclusive = true
    let exclusiveActive = true
    let run = 0
    let longest = 0
    let first = 0
    for (let b = 0; b <= blocks; b++) {
      const state = b < blocks ? downloads.state(dp, b) : BlockState.finished
      if (state === BlockState.none) {
        run++
        continue
      }
      if (run > longest) {
        longest = run
        first = b - run
      }
      run = 0
      if (b === blocks) break
      const peer = downloads.peer(dp, b)
      if (peer !== this.#peer) {
        exclusive = false
        if (state === BlockState.requested && peer !== NO_PEER) exclusiveActive = false
      }
    }
    if (onParole && !exclusive && !this.#source.judgedByBlock(dp.index)) return
    if (this.#contiguous === 0) first = 0

    // Somebody else is on this piece and it has no run as long as wished for: only if nothing better is found.
    if (this.#contiguous > longest && !exclusiveActive && !onParole) {
      if (this.#backup.length >= this.#left) return
      for (let j = 0; j < blocks; j++) {
        const b = (j + first) % blocks
        if (downloads.state(dp, b) === BlockState.none) this.#backup.push(this.#id(dp.index, b))
      }
      return
    }
    let contiguous = this.#contiguous
    for (let j = 0; j < blocks; j++) {
      const b = (j + first) % blocks
      if (downloads.state(dp, b) !== BlockState.none) continue
      this.#push(dp.index, b)
      this.#left--
      if (contiguous > 0) contiguous--
      else if (this.#left <= 0) break
    }
    this.#left = Math.max(0, this.#left)
  }

  #takeBackup(): void {
    const count = Math.min(this.#backup.length, this.#left)
    for (let i = 0; i < count; i++) this.#out.push(this.#backup[i]!)
    this.#backup.splice(0, count)
    this.#left -= count
  }

  #push(piece: PieceIndex, block: BlockIndex): void {
    this.#out.push(this.#id(piece, block))
  }

  #id(piece: PieceIndex, block: BlockIndex): BlockId {
    return piece * this.#source.downloads.blocksPerPiece + block
  }

  #extentSize(): number {
    return Math.max(1, Math.floor(EXTENT_BLOCKS / this.#source.downloads.blocksPerPiece))
  }

  #hasBit(piece: PieceIndex): boolean {
    return this.#bits === null || (this.#bits[piece >> 3]! & (0x80 >> (piece & 7))) !== 0
  }

  /** None of the eight pieces that share its byte is free: they can be skipped at once. */
  #noneFreeAround(piece: PieceIndex): boolean {
    const at = piece >> 3
    const wanted = this.#source.map.wanted[at]!
    return (this.#bits === null ? wanted : wanted & this.#bits[at]!) === 0
  }

  /** The peer has it and we want it. */
  #isFree(piece: PieceIndex): boolean {
    const mask = 0x80 >> (piece & 7)
    const at = piece >> 3
    return (this.#source.map.wanted[at]! & mask) !== 0 && (this.#bits === null || (this.#bits[at]! & mask) !== 0)
  }

  #canOpen(piece: PieceIndex): boolean {
    return this.#isFree(piece) && this.#source.map.state[piece] === PieceState.open
  }
}
