/**
 * The pieces of one torrent: which are there, which are wanted, which are in flight, and where the blocks that arrive go.
 * Exists once the metadata is known. What becomes of whole pieces is `PieceCommits`' business.
 *
 * While every piece is there, no picker is kept: a seed costs next to nothing.
 */

import { Bitfield } from '../core/bitfield.ts'
import { BLOCK_SIZE, type BlockIndex, type FileIndex, type PieceIndex } from '../core/brands.ts'
import type { Rng } from '../core/rng.ts'
import type { Turn } from '../core/turn.ts'
import type { FileStorage } from '../metainfo/file-storage.ts'
import { Geometry } from '../metainfo/geometry.ts'
import type { TorrentInfo } from '../metainfo/torrent-info.ts'
import type { DiskError, DiskIo, PieceHashes, StorageHandle } from '../storage/disk-io.ts'
import type { Slot } from '../storage/slab.ts'
import type { HashRequest } from '../wire/hash-messages.ts'
import { DiskWatch } from './disk-watch.ts'
import type { PeerRef } from './downloading-pieces.ts'
import { FileProgress } from './file-progress.ts'
import type { HashTrees } from './hash-trees.ts'
import { type LayerHost, LayerMaker } from './layer-maker.ts'
import type { PickerLoops } from './pick-blocks.ts'
import { viewDownloads } from './picker-views.ts'
import { type CommitHost, PieceCommits } from './piece-commits.ts'
import { PiecePicker } from './piece-picker.ts'
import { PieceProofs } from './piece-proofs.ts'
import { PieceTransfers } from './piece-transfers.ts'
import { applyPiecePriorities, Priorities } from './priorities.ts'

/** What the content tells its torrent. All inside a turn. */
export interface ContentHost extends CommitHost, LayerHost {
  /** A block is not what its hash says, which is known already. It is open again. */
  blockFailed(piece: PieceIndex, block: BlockIndex, from: PeerRef): void
}

/** What became of a block that arrived: it was here already, or it is not what its hash says. */
export type Arrival = 'taken' | 'redundant' | 'bad'

export class Content {
  readonly info: TorrentInfo
  readonly files: FileStorage
  readonly geometry: Geometry
  /** `null` while every piece is there, and before anything was looked at. */
  picker: PiecePicker | null = null
  haveAll = false
  storage: StorageHandle | null = null
  readonly priorities: Priorities
  /** `null` if there are no v2 hashes. */
  readonly proofs: PieceProofs | null
  /** `null` if there are no v2 hashes. */
  readonly layers: LayerMaker | null
  /** What becomes of pieces that are whole. */
  readonly commits: PieceCommits
  fileProgress: FileProgress | null = null
  /** What was set piece by piece, while there is no picker that knows. */
  #pieceOverrides: ArrayLike<number> | null = null

  /** Pieces are compared with their v1 hashes: unless there are v2 ones and `TorrentFlags.disableV1Hashes` is set. */
  readonly checksV1: boolean

  readonly #host: ContentHost
  readonly #disk: DiskIo
  readonly #turn: Turn
  readonly #rng: Rng
  readonly #loops: PickerLoops
  readonly #diskWatch: DiskWatch
  #transfers: PieceTransfers | null = null

  /**
   * @param trees    what is known of the v2 hashes, `null` if there are none
   * @param checksV1 whether a hybrid torrent's v1 hashes are looked at
   */
  constructor(
    info: TorrentInfo,
    trees: HashTrees | null,
    checksV1: boolean,
    filePriorities: readonly number[],
    host: ContentHost,
    disk: DiskIo,
    turn: Turn,
    rng: Rng,
    loops: PickerLoops,
  ) {
    this.info = info
    this.checksV1 = info.v1() && checksV1
    this.files = info.layout()
    this.geometry = new Geometry(this.files, info.v1())
    this.priorities = new Priorities(this.files, filePriorities)
    this.#diskWatch = new DiskWatch(turn, stalled => disk.slots.setStalled(this.storage!, stalled))
    this.commits = new PieceCommits(this, host, disk, turn, this.#diskWatch)
    this.proofs = trees === null ? null : new PieceProofs(trees, this.files, this.commits)
    this.layers = this.proofs === null ? null : new LayerMaker(this, this.proofs, host, disk, turn)
    this.#host = host
    this.#disk = disk
    this.#turn = turn
    this.#rng = rng
    this.#loops = loops
  }

  // ---- have and want -----------------------------------------------------------------------------

  havePiece(piece: PieceIndex): boolean {
    return this.picker === null ? this.haveAll : this.picker.havePiece(piece)
  }

  get numHave(): number {
    if (this.picker !== null) return this.picker.counts.numHave()
    return this.haveAll ? this.geometry.numPieces : 0
  }

  haveBits(): Bitfield {
    return this.picker === null ? new Bitfield(this.geometry.numPieces, this.haveAll) : this.picker.counts.haveBits()
  }

  get isSeed(): boolean {
    return this.picker === null ? this.haveAll : this.picker.counts.isSeeding()
  }

  get isFinished(): boolean {
    return this.picker === null ? this.haveAll : this.picker.counts.isFinished()
  }

  wants(piece: PieceIndex): boolean {
    return this.picker?.isWanted(piece) ?? false
  }

  /** The picker; makes it if there is none. @param onMade peers must be counted into a new one */
  needPicker(onMade?: (picker: PiecePicker) => void): PiecePicker {
    if (this.picker !== null) return this.picker
    const picker = new PiecePicker(
      this.files.totalSize(),
      this.files.pieceLength(),
      this.#rng.fork('picker'),
      this.#loops,
    )
    for (const [piece, bytes] of this.geometry.paddingOfPieces()) picker.setPadBytes(piece, bytes)
    if (this.haveAll) picker.weHaveAll()
    picker.judgedByBlock = piece => this.proofs?.watches(piece) === true
    this.picker = picker
    this.fileProgress = new FileProgress(this.files, piece => picker.havePiece(piece))
    if (!this.priorities.allDefault) applyPiecePriorities(picker, this.priorities.piecePriorities(), picker.numPieces)
    if (this.#pieceOverrides !== null) applyPiecePriorities(picker, this.#pieceOverrides, picker.numPieces)
    this.#pieceOverrides = null
    onMade?.(picker)
    return picker
  }

  /** Priorities that were set piece by piece, from the first on; they count once there is a picker. */
  setPiecePriorities(priorities: ArrayLike<number>): void {
    if (this.picker === null) this.#pieceOverrides = priorities
    else applyPiecePriorities(this.picker, priorities, this.picker.numPieces)
  }

  /** Forgets what is only needed while something is missing. */
  dropPicker(): void {
    if (this.picker === null || !this.picker.counts.isSeeding()) return
    this.haveAll = true
    this.picker = null
    this.fileProgress = null
    this.#transfers?.clear()
    this.#transfers = null
  }

  /** Forgets what was known about pieces: before a recheck, and after an error that makes it doubtful. */
  forgetPieces(): void {
    this.commits.forget()
    this.#transfers?.clear()
    this.#transfers = null
    // what the user wants of which piece stays
    if (this.picker !== null) this.#pieceOverrides = this.picker.piecePriorities()
    this.picker = null
    this.fileProgress = null
    this.haveAll = false
    this.proofs?.forget()
  }

  /** A piece was found whole on disk. */
  foundPiece(piece: PieceIndex): void {
    const picker = this.needPicker()
    if (picker.havePiece(piece)) return
    this.#transfers?.finished(piece)
    picker.weHave(piece)
    this.fileProgress?.pieceDone(piece)
  }

  /** A piece that was had counts as missing until it is found right again. */
  losePiece(piece: PieceIndex): void {
    const picker = this.needPicker()
    if (!picker.havePiece(piece)) return
    picker.weDontHave(piece)
    this.proofs?.trees.forgetPieceRoot(piece)
    this.fileProgress?.pieceLost(piece)
    this.haveAll = false
  }

  /** Every piece is whole on disk. */
  foundAll(): void {
    this.commits.forget()
    this.#transfers?.clear()
    this.#transfers = null
    this.picker = null
    this.fileProgress = null
    this.haveAll = true
    this.proofs?.clear()
    if (!this.priorities.allDefault) this.needPicker()
  }

  /** Bytes had and wanted, pad files not counted. */
  bytes(): { total: number; done: number; wanted: number; wantedDone: number } {
    const total = this.files.sizeOnDisk()
    const { picker } = this
    if (picker === null) {
      const done = this.haveAll ? total : 0
      return { total, done, wanted: total, wantedDone: done }
    }
    const { counts } = picker
    let done = counts.bytesOf(counts.have())
    let wantedDone = counts.bytesOf(counts.haveWant())
    for (const piece of viewDownloads(picker)) {
      if (picker.havePiece(piece.index)) continue
      const payload = picker.pieceSize(piece.index) - counts.padBytes(piece.index)
      let bytes = 0
      for (let at = 0; at < payload; at += BLOCK_SIZE) {
        if (picker.isDownloaded(piece.index, at / BLOCK_SIZE)) bytes += Math.min(BLOCK_SIZE, payload - at)
      }
      done += bytes
      if (picker.piecePriority(piece.index) > 0) wantedDone += bytes
    }
    return { total, done, wanted: counts.bytesOf(counts.want()), wantedDone }
  }

  // ---- blocks ------------------------------------------------------------------------------------

  get transfers(): PieceTransfers {
    this.#transfers ??= new PieceTransfers(
      {
        blocksInPiece: piece => this.geometry.blocksInPiece(piece),
        payloadBlocks: piece => this.picker?.payloadBlocks(piece) ?? this.geometry.blocksInPiece(piece),
        spill: (piece, blocks, done) => {
          this.#diskWatch.writeBegins()
          this.#disk.spill(this.storage!, piece, blocks, error =>
            this.#turn.run('spill', () => {
              this.#diskWatch.writeEnds()
              done(error)
            }),
          )
        },
        blocksSpilled: (piece, blocks) => this.#blocksSpilled(piece, blocks),
        spillFailed: (piece, blocks, error) => this.#spillFailed(piece, blocks, error),
      },
      this.#disk.slots,
      () => this.storage!,
    )
    return this.#transfers
  }

  /** The transfers, if there are any. */
  get openTransfers(): PieceTransfers | null {
    return this.#transfers
  }

  leaseSlot(piece: PieceIndex, block: BlockIndex): Slot {
    this.#diskWatch.look()
    return this.transfers.lease(piece, block)
  }

  /** Slots for blocks that are asked of this peer only. @returns `null` if there are none, or it is not so */
  leaseRun(piece: PieceIndex, first: BlockIndex, count: number, from: PeerRef): readonly Slot[] | null {
    if (this.proofs?.watches(piece) === true) return null
    if (this.picker?.isRunRequested(piece, first, count, from) !== true) return null
    this.#diskWatch.look()
    return this.transfers.leaseRun(piece, first, count)
  }

  /** The slots that `leaseRun` gave are full. */
  runArrived(piece: PieceIndex, first: BlockIndex, slots: readonly Slot[], from: PeerRef): void {
    this.picker!.markRunAsWriting(piece, first, slots.length, from)
    this.transfers.fillRun(piece, first, slots, this.#turn.now)
    if (this.transfers.isWhole(piece)) this.commits.begin(piece)
  }

  abandonSlot(piece: PieceIndex, block: BlockIndex, slot: Slot): void {
    this.transfers.abandon(piece, block, slot)
  }

  blockArrived(piece: PieceIndex, block: BlockIndex, slot: Slot, from: PeerRef): Arrival {
    const picker = this.picker!
    const { transfers, proofs } = this
    if (proofs?.watches(piece) === true && picker.isRequested(piece, block)) {
      if (!proofs.isBlockRight(piece, block, this.#disk.slots.view(slot))) {
        transfers.abandon(piece, block, slot)
        picker.abortDownload(piece, block, from)
        this.#host.blockFailed(piece, block, from)
        return 'bad'
      }
    }
    if (!picker.markAsWriting(piece, block, from)) {
      transfers.abandon(piece, block, slot)
      return 'redundant'
    }
    if (!transfers.fill(piece, block, slot, this.#turn.now)) return 'redundant'
    if (transfers.isWhole(piece)) this.commits.begin(piece)
    return 'taken'
  }

  /** Resume data says these blocks of an incomplete piece are on disk. */
  restoreBlocks(piece: PieceIndex, blocks: Bitfield): void {
    const picker = this.needPicker()
    const here: BlockIndex[] = []
    const count = Math.min(blocks.size(), this.geometry.blocksInPiece(piece))
    for (let b = 0; b < count; b++) {
      if (!blocks.getBit(b)) continue
      here.push(b)
      picker.markAsFinished(piece, b)
    }
    this.transfers.restore(piece, here)
    if (this.transfers.isWhole(piece)) this.commits.begin(piece)
  }

  /** Writes what is in memory of incomplete pieces. @param olderThan only pieces whose oldest block came before, ms */
  spill(olderThan = Number.POSITIVE_INFINITY, atMost?: number): number {
    return this.#transfers?.spill(olderThan, atMost) ?? 0
  }

  /** Memory is short: lets go of what is reserved, and writes what is half done. */
  relieveMemory(): void {
    this.#transfers?.releaseRuns()
    this.#transfers?.spill(Number.POSITIVE_INFINITY)
  }

  /** Something is on its way to the disk. */
  get writing(): boolean {
    return this.commits.pending > 0 || this.#transfers?.spilling === true
  }

  /** Nothing arrived is still only in memory. */
  get flushed(): boolean {
    return this.commits.pending === 0 && (this.#transfers === null || !this.#transfers.hasUnwritten)
  }

  /** Hashes have come from a peer. @returns false if nothing proves them */
  hashesArrived(file: FileIndex, request: HashRequest, hashes: Uint8Array): boolean {
    return this.proofs?.hashesArrived(file, request, hashes) ?? false
  }

  /** What a piece must hash to. */
  expected(piece: PieceIndex): PieceHashes {
    return {
      v1: this.checksV1 ? this.info.pieceHashView(piece) : null,
      v2: this.proofs?.trees.pieceRoot(piece) ?? null,
      blocks: this.proofs?.trees.blockHashes(piece) ?? null,
    }
  }

  #blocksSpilled(piece: PieceIndex, blocks: readonly BlockIndex[]): void {
    const { picker } = this
    if (picker === null) return
    for (const block of blocks) {
      picker.markAsFinished(piece, block)
      this.#host.blockFinished(piece, block, picker.downloader(piece, block))
    }
    if (this.transfers.isWhole(piece)) this.commits.begin(piece)
  }

  #spillFailed(piece: PieceIndex, blocks: readonly BlockIndex[], error: DiskError): void {
    const { picker } = this
    if (picker !== null) {
      for (const block of blocks) picker.writeFailed(piece, block)
      picker.restorePiece(piece, blocks)
    }
    this.#host.writeFailed(error, piece)
  }
}
