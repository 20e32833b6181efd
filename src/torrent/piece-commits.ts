/**
 * Pieces of which every block is here: each is hashed and written in one job of the disk, and what that says is dealt with.
 *
 * A piece whose v2 hash is not known yet waits on disk (`PieceProofs`); what becomes of it is decided here too.
 */

import type { BlockIndex, FileIndex, PieceIndex } from '../core/brands.ts'
import type { Turn } from '../core/turn.ts'
import type { Geometry } from '../metainfo/geometry.ts'
import type { CommitResult, DiskError, DiskIo, PieceHashes, StorageHandle } from '../storage/disk-io.ts'
import type { Slot } from '../storage/slab.ts'
import type { DiskWatch } from './disk-watch.ts'
import { NO_PEER, type PeerRef } from './downloading-pieces.ts'
import type { FileProgress } from './file-progress.ts'
import type { PiecePicker } from './piece-picker.ts'
import { decision, differingBlocks, NOTHING_DECIDED, type PieceProofs, type ProofHost } from './piece-proofs.ts'
import type { PieceTransfers } from './piece-transfers.ts'

/** What whole pieces come to, told to the torrent. All inside a turn. */
export interface CommitHost {
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
  /** The hashes of the blocks of a piece that is not had have become known. */
  blockHashesKnown(piece: PieceIndex, hashes: Uint8Array): void
  /** A piece that was right by its v1 hash, or by what resume data says, is not by its v2 hash. */
  inconsistentHashes(piece: PieceIndex): void
  /** A write failed. The blocks it was about are open again. */
  writeFailed(error: DiskError, piece: PieceIndex): void
  fileCompleted(file: FileIndex): void
  /** The last wanted piece is there. */
  wantedComplete(): void
}

/** What is read of the content that the pieces are of, and done to it. It may lose its picker at any call of the host. */
export interface CommitSource {
  readonly geometry: Geometry
  /** `null` while every piece is there. */
  readonly picker: PiecePicker | null
  readonly proofs: PieceProofs | null
  /** Made when they are first asked for. */
  readonly transfers: PieceTransfers
  readonly fileProgress: FileProgress | null
  readonly storage: StorageHandle | null
  havePiece(piece: PieceIndex): boolean
  /** What a piece must hash to. */
  expected(piece: PieceIndex): PieceHashes
  /** Makes a picker if there is none. */
  needPicker(): PiecePicker
  /** A piece was found whole on disk. */
  foundPiece(piece: PieceIndex): void
}

export class PieceCommits implements ProofHost {
  readonly #content: CommitSource
  readonly #host: CommitHost
  readonly #disk: DiskIo
  readonly #turn: Turn
  readonly #diskWatch: DiskWatch
  #pending = 0
  /** Changes when all pieces are looked at anew: answers to older commits say nothing any more. */
  #epoch = 0

  constructor(content: CommitSource, host: CommitHost, disk: DiskIo, turn: Turn, diskWatch: DiskWatch) {
    this.#content = content
    this.#host = host
    this.#disk = disk
    this.#turn = turn
    this.#diskWatch = diskWatch
  }

  /** Commits that the disk has not answered. */
  get pending(): number {
    return this.#pending
  }

  /** All pieces are looked at anew: what is under way counts no more. */
  forget(): void {
    this.#epoch++
  }

  /** The last block of a piece has come. */
  begin(piece: PieceIndex): void {
    const content = this.#content
    const sources = content.transfers.takeForCommit(piece)
    content.picker!.startedHashJob(piece)
    this.#pending++
    this.#diskWatch.writeBegins()
    const judged = !this.#host.hashChecksDisabled
    const hashes: PieceHashes = judged ? content.expected(piece) : { v1: null, v2: null }
    const rootUnknown = judged && content.proofs !== null && hashes.v2 === null
    const wantBlockHashes = rootUnknown || this.#host.suspects(piece)
    const epoch = this.#epoch
    this.#disk.commitPiece(content.storage!, piece, sources, hashes, wantBlockHashes, result =>
      this.#turn.run('commit', () => {
        this.#pending--
        this.#diskWatch.writeEnds()
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
    const { picker, proofs } = this.#content
    if (picker === null) return
    this.#content.transfers.finished(piece)
    if (!picker.isDownloading(piece)) return
    picker.completedHashJob(piece)
    if (result.error !== null) {
      this.#notWritten(picker, piece, sources, result.error)
      return
    }
    const from = picker.downloaders(piece)
    const { v1Passed } = result
    const judgeNow = rootUnknown && v1Passed !== false
    const verdict = judgeNow ? proofs!.judgeBlocks(piece, result.blockHashes!) : NOTHING_DECIDED
    const v2Passed = rootUnknown ? decision(verdict, piece) : result.v2Passed
    if (v1Passed !== null && v2Passed !== null && v1Passed !== v2Passed) {
      picker.lockPiece(piece)
      picker.restorePiece(piece)
      this.#host.inconsistentHashes(piece)
      return
    }
    if (v1Passed === false || v2Passed === false) {
      this.#failed(piece, result.blockHashes, hashes.blocks ?? null, sources)
      proofs?.settle(verdict, piece)
      return
    }
    this.#written(piece, sources, from)
    if (rootUnknown && v1Passed === null && v2Passed === null) {
      this.#park(piece, from.some(ref => ref !== NO_PEER) ? result.blockHashes : null)
    } else this.#passed(piece, result.blockHashes)
    proofs?.settle(verdict, piece)
  }

  /** What was in memory is lost, what the commit read from disk is still there. */
  #notWritten(picker: PiecePicker, piece: PieceIndex, sources: readonly (Slot | 'disk')[], error: DiskError): void {
    const lost: BlockIndex[] = []
    const kept: BlockIndex[] = []
    for (let b = 0; b < sources.length; b++) (sources[b] === 'disk' ? kept : lost).push(b)
    picker.lockPiece(piece)
    if (kept.length > 0 && lost.length > 0) {
      picker.restorePiece(piece, lost)
      this.#content.transfers.restore(piece, kept)
    } else picker.restorePiece(piece)
    this.#host.writeFailed(error, piece)
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
    const picker = this.#content.picker!
    const from = picker.downloaders(piece)
    picker.weHave(piece)
    this.#content.proofs?.passed(piece)
    this.#host.piecePassed(piece, from, blockHashes)
    this.#content.fileProgress?.pieceDone(piece, file => this.#host.fileCompleted(file))
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
    const from = this.#content.picker!.downloaders(piece)
    if (bad !== null) this.#written(piece, sources, from, bad)
    this.#content.picker!.lockPiece(piece)
    this.#host.pieceFailed(piece, from, blockHashes, bad)
    const { picker } = this.#content
    if (picker === null) return
    const blocks = this.#content.geometry.blocksInPiece(piece)
    if (bad === null || bad.length === 0 || bad.length === blocks) {
      picker.restorePiece(piece)
      return
    }
    const good: BlockIndex[] = []
    for (let b = 0; b < blocks; b++) if (!bad.includes(b)) good.push(b)
    for (const block of good) picker.markAsFinished(piece, block)
    picker.restorePiece(piece, bad)
    this.#content.transfers.restore(piece, good)
  }

  // ---- pieces whose v2 hash is not known ---------------------------------------------------------

  /**
   * A piece was hashed as it is on disk, and its v2 hash is not known.
   *
   * @param v1Passed `null` if it has no v1 hash
   * @returns whether it is the right one; `null`: that will be known later. By what it says of other pieces the hashes of
   *   the torrent may turn out to be inconsistent
   */
  foundUnproven(piece: PieceIndex, root: Uint8Array, v1Passed: boolean | null): boolean | null {
    const content = this.#content
    const { proofs } = content
    if (proofs === null || v1Passed === false) return null
    const verdict = proofs.judge(piece, root)
    const passed = decision(verdict, piece)
    if (passed === false && v1Passed === true) return false
    if (passed === true || v1Passed === true) content.foundPiece(piece)
    else if (passed === null) {
      content.needPicker()
      this.#park(piece, null)
    }
    proofs.settle(verdict, piece)
    return passed
  }

  /** The user gives a piece again: what waits for its hash is not wanted any more. */
  forgetParked(piece: PieceIndex): void {
    const { picker, proofs } = this.#content
    if (picker === null || proofs?.forgetParked(piece) !== true) return
    this.#content.transfers.finished(piece)
    picker.lockPiece(piece)
    picker.restorePiece(piece)
  }

  /** All of it is on disk, and it counts as had once its hash is known: until then nobody is asked for it. */
  #park(piece: PieceIndex, blockHashes: Uint8Array | null): void {
    const { geometry, picker, proofs, transfers } = this.#content
    const all = Array.from({ length: geometry.blocksInPiece(piece) }, (_, b) => b)
    for (const block of all) picker!.markAsFinished(piece, block)
    transfers.restore(piece, all)
    proofs!.park(piece, blockHashes)
  }

  havePiece(piece: PieceIndex): boolean {
    return this.#content.havePiece(piece)
  }

  parkedPassed(piece: PieceIndex, blockHashes: Uint8Array | null): void {
    const content = this.#content
    if (content.picker === null || content.havePiece(piece)) return
    if (!this.#host.ready) {
      content.foundPiece(piece)
      return
    }
    content.transfers.finished(piece)
    this.#passed(piece, blockHashes)
  }

  parkedFailed(piece: PieceIndex, blockHashes: Uint8Array | null): void {
    const content = this.#content
    if (content.picker === null || content.havePiece(piece)) return
    content.transfers.finished(piece)
    this.#failed(piece, blockHashes, null)
  }

  parkedDoubted(piece: PieceIndex, blockHashes: Uint8Array | null): void {
    const content = this.#content
    const { picker } = content
    if (picker === null || content.havePiece(piece)) return
    content.transfers.finished(piece)
    const from = picker.downloaders(piece)
    picker.lockPiece(piece)
    picker.restorePiece(piece)
    this.#host.pieceDoubted(piece, from, blockHashes)
  }

  inconsistentHashes(piece: PieceIndex): void {
    this.#host.inconsistentHashes(piece)
  }

  blockHashesKnown(piece: PieceIndex, hashes: Uint8Array): void {
    this.#host.blockHashesKnown(piece, hashes)
  }
}
