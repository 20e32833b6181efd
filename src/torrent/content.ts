/**
 * The pieces of one torrent: which are there, which are wanted, which are in flight, and what becomes of
 * those that arrive. Exists once the metadata is known.
 *
 * While every piece is there, no picker is kept: a seed costs next to nothing.
 */

import { Bitfield } from '../core/bitfield.ts'
import { BLOCK_SIZE, type BlockIndex, type FileIndex, type PieceIndex } from '../core/brands.ts'
import { FileFlags } from '../core/enums.ts'
import type { Rng } from '../core/rng.ts'
import type { Turn } from '../core/turn.ts'
import type { FileStorage } from '../metainfo/file-storage.ts'
import { Geometry } from '../metainfo/geometry.ts'
import type { TorrentInfo } from '../metainfo/torrent-info.ts'
import type { CommitResult, DiskError, DiskIo, PieceHashes, StorageHandle } from '../storage/disk-io.ts'
import type { Slot } from '../storage/slab.ts'
import type { HashRequest } from '../wire/hash-messages.ts'
import { NO_PEER, type PeerRef } from './downloading-pieces.ts'
import { FileProgress } from './file-progress.ts'
import type { HashTrees } from './hash-trees.ts'
import type { PickerLoops } from './pick-blocks.ts'
import { viewDownloads } from './picker-views.ts'
import { PiecePicker } from './piece-picker.ts'
import { decision, differingBlocks, NOTHING_DECIDED, PieceProofs, type ProofHost } from './piece-proofs.ts'
import { PieceTransfers } from './piece-transfers.ts'
import { applyPiecePriorities, Priorities } from './priorities.ts'

/** What the content tells its torrent. All inside a turn. */
export interface ContentHost {
  /** Files are checked: what comes to be had now comes from peers or the user. */
  readonly ready: boolean
  /** Hash checks are off (`disable_hash_checks`). */
  readonly hashChecksDisabled: boolean
  /** Whether block digests of the piece are wanted: an earlier copy of it failed. */
  suspects(piece: PieceIndex): boolean
  blockFinished(piece: PieceIndex, block: BlockIndex, from: PeerRef): void
  /** A piece passed its hash and is on disk. It counts as had already. */
  piecePassed(piece: PieceIndex, from: readonly PeerRef[], blockHashes: Uint8Array | null): void
  /**
   * A piece failed its hash. Its blocks, or the bad ones of them, are open again after this call.
   *
   * @param bad the wrong blocks, `null` if that is not known
   */
  pieceFailed(
    piece: PieceIndex,
    from: readonly PeerRef[],
    blockHashes: Uint8Array | null,
    bad: readonly BlockIndex[] | null,
  ): void
  /**
   * A piece is one of several of which one at least is wrong, nobody knows which. All of its blocks are open again after
   * this call.
   */
  pieceDoubted(piece: PieceIndex, from: readonly PeerRef[], blockHashes: Uint8Array | null): void
  /** A block is not what its hash says, which is known already. It is open again. */
  blockFailed(piece: PieceIndex, block: BlockIndex, from: PeerRef): void
  /** The hashes of the blocks of a piece that is not had have become known. */
  blockHashesKnown(piece: PieceIndex, hashes: Uint8Array): void
  /** v1 and v2 hashes of a hybrid torrent do not agree. */
  inconsistentHashes(piece: PieceIndex): void
  /** A write failed. The blocks it was about are open again. */
  writeFailed(error: DiskError, piece: PieceIndex): void
  fileCompleted(file: FileIndex): void
  /** The last wanted piece is there. */
  wantedComplete(): void
}

/** What became of a block that arrived: it was here already, or it is not what its hash says. */
export type Arrival = 'taken' | 'redundant' | 'bad'

/** A disk that answers no write for so long hangs, or is as good as hung. */
const STALL_MS = 500

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
  #transfers: PieceTransfers | null = null
  /** Commits that the disk has not answered. */
  #committing = 0
  /** Changes when all pieces are looked at anew: answers to older commits say nothing any more. */
  #epoch = 0
  /** Writes that the disk has not answered, and when it answered last, or was given the first of them. */
  #writes = 0
  #diskMovedAt = 0
  #stalled = false

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
    this.proofs = trees === null ? null : new PieceProofs(trees, this.files, this.#proofHost(host))
    this.#host = host
    this.#disk = disk
    this.#turn = turn
    this.#rng = rng
    this.#loops = loops
  }

  // ---- have and want -----------------------------------------------------------------------------

  havePiece(piece: PieceIndex): boolean {
    return this.picker === null ? this.haveAll : this.picker.isFlushed(piece)
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
    for (const [piece, bytes] of this.#padBytes()) picker.setPadBytes(piece, bytes)
    if (this.haveAll) picker.weHaveAll()
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
    this.#epoch++
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
    if (picker.isFlushed(piece)) return
    this.#transfers?.finished(piece)
    picker.weHave(piece)
    this.fileProgress?.pieceDone(piece)
  }

  /** A piece that was had counts as missing until it is found right again. */
  losePiece(piece: PieceIndex): void {
    const picker = this.needPicker()
    if (!picker.isFlushed(piece)) return
    picker.weDontHave(piece)
    this.fileProgress?.pieceLost(piece)
    this.haveAll = false
  }

  /** Every piece is whole on disk. */
  foundAll(): void {
    this.#epoch++
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
    const total = this.files.totalSize() - this.#totalPad()
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
          this.#writeBegins()
          this.#disk.spill(this.storage!, piece, blocks, error =>
            this.#turn.run('spill', () => {
              this.#writeEnds()
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
    this.#watchDisk()
    return this.transfers.lease(piece, block)
  }

  /** Slots for blocks that are asked of this peer only. @returns `null` if there are none, or it is not so */
  leaseRun(piece: PieceIndex, first: BlockIndex, count: number, from: PeerRef): readonly Slot[] | null {
    if (this.proofs?.watches(piece) === true) return null
    if (this.picker?.isRunRequested(piece, first, count, from) !== true) return null
    this.#watchDisk()
    return this.transfers.leaseRun(piece, first, count)
  }

  /** The slots that `leaseRun` gave are full. */
  runArrived(piece: PieceIndex, first: BlockIndex, slots: readonly Slot[], from: PeerRef): void {
    this.picker!.markRunAsWriting(piece, first, slots.length, from)
    this.transfers.fillRun(piece, first, slots, this.#turn.now)
    if (this.transfers.isWhole(piece)) this.#commit(piece)
  }

  /** A disk that hangs must not end up with all the memory: the other torrents need some. */
  #watchDisk(): void {
    if (this.#writes > 0 && !this.#stalled && this.#turn.now - this.#diskMovedAt > STALL_MS) this.#setStalled(true)
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
    if (transfers.isWhole(piece)) this.#commit(piece)
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
    if (this.transfers.isWhole(piece)) this.#commit(piece)
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
    return this.#committing > 0 || this.#transfers?.spilling === true
  }

  /** Nothing arrived is still only in memory. */
  get flushed(): boolean {
    return this.#committing === 0 && (this.#transfers === null || !this.#transfers.hasUnwritten)
  }

  /** What a piece must hash to. */
  expected(piece: PieceIndex): PieceHashes {
    return {
      v1: this.checksV1 ? this.info.pieceHashView(piece) : null,
      v2: this.proofs?.trees.pieceRoot(piece) ?? null,
      blocks: this.proofs?.trees.blockHashes(piece) ?? null,
    }
  }

  #writeBegins(): void {
    if (this.#writes++ === 0) this.#diskMovedAt = this.#turn.now
  }

  #writeEnds(): void {
    this.#writes--
    this.#diskMovedAt = this.#turn.now
    if (this.#stalled) this.#setStalled(false)
  }

  #setStalled(stalled: boolean): void {
    this.#stalled = stalled
    this.#disk.slots.setStalled(this.storage!, stalled)
  }

  #commit(piece: PieceIndex): void {
    const sources = this.transfers.takeForCommit(piece)
    const picker = this.picker!
    picker.startedHashJob(piece)
    this.#committing++
    this.#writeBegins()
    const judged = !this.#host.hashChecksDisabled
    const hashes: PieceHashes = judged ? this.expected(piece) : { v1: null, v2: null }
    const rootUnknown = judged && this.proofs !== null && hashes.v2 === null
    const wantBlockHashes = rootUnknown || this.#host.suspects(piece)
    const epoch = this.#epoch
    this.#disk.commitPiece(this.storage!, piece, sources, hashes, wantBlockHashes, result =>
      this.#turn.run('commit', () => {
        this.#committing--
        this.#writeEnds()
        if (epoch === this.#epoch) this.#committed(piece, sources, hashes, rootUnknown, result)
      }),
    )
  }

  #committed(
    piece: PieceIndex,
    sources: readonly (Slot | 'disk')[],
    hashes: PieceHashes,
    rootUnknown: boolean,
    result: CommitResult,
  ): void {
    const { picker } = this
    if (picker === null) return
    this.transfers.finished(piece)
    if (!picker.isDownloading(piece)) return
    picker.completedHashJob(piece)
    const from = picker.downloaders(piece)
    if (result.error !== null) {
      const lost: BlockIndex[] = []
      const kept: BlockIndex[] = []
      for (let b = 0; b < sources.length; b++) (sources[b] === 'disk' ? kept : lost).push(b)
      picker.lockPiece(piece)
      if (kept.length > 0 && lost.length > 0) {
        picker.restorePiece(piece, lost)
        this.transfers.restore(piece, kept)
      } else picker.restorePiece(piece)
      this.#host.writeFailed(result.error, piece)
      return
    }
    const { v1Passed } = result
    const judgeNow = rootUnknown && v1Passed !== false
    const verdict = judgeNow ? this.proofs!.judgeBlocks(piece, result.blockHashes!) : NOTHING_DECIDED
    const v2Passed = rootUnknown ? decision(verdict, piece) : result.v2Passed
    if (v1Passed !== null && v2Passed !== null && v1Passed !== v2Passed) {
      picker.lockPiece(piece)
      picker.restorePiece(piece)
      this.#host.inconsistentHashes(piece)
      return
    }
    if (v1Passed === false || v2Passed === false) {
      this.#failed(piece, result.blockHashes, hashes.blocks ?? null, sources)
      this.proofs?.settle(verdict, piece)
      return
    }
    this.#written(piece, sources, from)
    if (rootUnknown && v1Passed === null && v2Passed === null) {
      this.#park(piece, from.some(ref => ref !== NO_PEER) ? result.blockHashes : null)
    } else this.#passed(piece, result.blockHashes)
    this.proofs?.settle(verdict, piece)
  }

  /** Blocks that a commit has written: others were before, which has been told. */
  #written(
    piece: PieceIndex,
    sources: readonly (Slot | 'disk')[],
    from: readonly PeerRef[],
    but: readonly BlockIndex[] = [],
  ): void {
    for (let b = 0; b < sources.length; b++) {
      if (sources[b] !== 'disk' && !but.includes(b)) this.#host.blockFinished(piece, b, from[b] ?? NO_PEER)
    }
  }

  #passed(piece: PieceIndex, blockHashes: Uint8Array | null): void {
    const picker = this.picker!
    const from = picker.downloaders(piece)
    picker.weHave(piece)
    this.proofs?.passed(piece)
    this.#host.piecePassed(piece, from, blockHashes)
    this.fileProgress?.pieceDone(piece, file => this.#host.fileCompleted(file))
    if (picker.counts.isFinished()) this.#host.wantedComplete()
  }

  /**
   * @param expected what its blocks should have hashed to: the good ones are on disk
   * @param sources  where the commit had them from
   */
  #failed(
    piece: PieceIndex,
    blockHashes: Uint8Array | null,
    expected: Uint8Array | null,
    sources: readonly (Slot | 'disk')[] = [],
  ): void {
    const bad = expected === null || blockHashes === null ? null : differingBlocks(blockHashes, expected)
    const from = this.picker!.downloaders(piece)
    if (bad !== null) this.#written(piece, sources, from, bad)
    this.picker!.lockPiece(piece)
    this.#host.pieceFailed(piece, from, blockHashes, bad)
    const { picker } = this
    if (picker === null) return
    const blocks = this.geometry.blocksInPiece(piece)
    if (bad === null || bad.length === 0 || bad.length === blocks) {
      picker.restorePiece(piece)
      return
    }
    const good: BlockIndex[] = []
    for (let b = 0; b < blocks; b++) if (!bad.includes(b)) good.push(b)
    for (const block of good) picker.markAsFinished(piece, block)
    picker.restorePiece(piece, bad)
    this.transfers.restore(piece, good)
  }

  // ---- pieces whose v2 hash is not known ---------------------------------------------------------

  #proofHost(host: ContentHost): ProofHost {
    return {
      havePiece: piece => this.havePiece(piece),
      parkedPassed: (piece, blockHashes) => {
        if (this.picker === null || this.havePiece(piece)) return
        if (!host.ready) {
          this.foundPiece(piece)
          return
        }
        this.transfers.finished(piece)
        this.#passed(piece, blockHashes)
      },
      parkedFailed: (piece, blockHashes) => {
        if (this.picker === null || this.havePiece(piece)) return
        this.transfers.finished(piece)
        this.#failed(piece, blockHashes, null)
      },
      parkedDoubted: (piece, blockHashes) => {
        const { picker } = this
        if (picker === null || this.havePiece(piece)) return
        this.transfers.finished(piece)
        const from = picker.downloaders(piece)
        picker.lockPiece(piece)
        picker.restorePiece(piece)
        host.pieceDoubted(piece, from, blockHashes)
      },
      inconsistentHashes: piece => host.inconsistentHashes(piece),
      blockHashesKnown: (piece, hashes) => host.blockHashesKnown(piece, hashes),
    }
  }

  /**
   * A piece was hashed as it is on disk, and its v2 hash is not known.
   *
   * @param v1Passed `null` if it has no v1 hash
   * @returns whether it is the right one; `null`: that will be known later. By what it says of other pieces the hashes of
   *   the torrent may turn out to be inconsistent
   */
  foundUnproven(piece: PieceIndex, root: Uint8Array, v1Passed: boolean | null): boolean | null {
    if (this.proofs === null || v1Passed === false) return null
    const verdict = this.proofs.judge(piece, root)
    const passed = decision(verdict, piece)
    if (passed === false && v1Passed === true) return false
    if (passed === true || v1Passed === true) this.foundPiece(piece)
    else if (passed === null) {
      this.needPicker()
      this.#park(piece, null)
    }
    this.proofs.settle(verdict, piece)
    return passed
  }

  /** Hashes have come from a peer. @returns false if nothing proves them */
  hashesArrived(file: FileIndex, request: HashRequest, hashes: Uint8Array): boolean {
    return this.proofs?.hashesArrived(file, request, hashes) ?? false
  }

  /** The user gives a piece again: what waits for its hash is not wanted any more. */
  forgetParked(piece: PieceIndex): void {
    const { picker } = this
    if (picker === null || this.proofs?.forgetParked(piece) !== true) return
    this.transfers.finished(piece)
    picker.lockPiece(piece)
    picker.restorePiece(piece)
  }

  /** All of it is on disk, and it counts as had once its hash is known: until then nobody is asked for it. */
  #park(piece: PieceIndex, blockHashes: Uint8Array | null): void {
    const all = Array.from({ length: this.geometry.blocksInPiece(piece) }, (_, b) => b)
    for (const block of all) this.picker!.markAsFinished(piece, block)
    this.transfers.restore(piece, all)
    this.proofs!.park(piece, blockHashes)
  }

  #blocksSpilled(piece: PieceIndex, blocks: readonly BlockIndex[]): void {
    const { picker } = this
    if (picker === null) return
    for (const block of blocks) {
      picker.markAsFinished(piece, block)
      this.#host.blockFinished(piece, block, picker.downloader(piece, block))
    }
    if (this.transfers.isWhole(piece)) this.#commit(piece)
  }

  #spillFailed(piece: PieceIndex, blocks: readonly BlockIndex[], error: DiskError): void {
    const { picker } = this
    if (picker !== null) {
      for (const block of blocks) picker.writeFailed(piece, block)
      picker.restorePiece(piece, blocks)
    }
    this.#host.writeFailed(error, piece)
  }

  // ---- padding -----------------------------------------------------------------------------------

  #totalPad(): number {
    let bytes = 0
    if (!this.geometry.hasPadding) return 0
    for (let f = 0; f < this.files.numFiles(); f++) if (this.files.padFileAt(f)) bytes += this.files.fileSize(f)
    return bytes
  }

  /** Bytes of padding at the end of pieces. Padding elsewhere is downloaded like any data. */
  *#padBytes(): Generator<[PieceIndex, number]> {
    if (!this.geometry.hasPadding) return
    const length = this.files.pieceLength()
    for (let f = 0; f < this.files.numFiles(); f++) {
      if ((this.files.fileFlags(f) & FileFlags.flagPadFile) === 0 || this.files.fileSize(f) === 0) continue
      const end = this.files.fileOffset(f) + this.files.fileSize(f)
      if (end % length !== 0 && end !== this.files.totalSize()) continue
      let left = this.files.fileSize(f)
      for (let piece = Math.ceil(end / length) - 1; left > 0; piece--) {
        const inPiece = Math.min(left, Math.min(end, (piece + 1) * length) - piece * length)
        yield [piece, inPiece]
        left -= inPiece
      }
    }
  }
}
