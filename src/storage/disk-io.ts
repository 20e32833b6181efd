/**
 * The seam between torrents and their files. `src/storage/node` implements it on worker threads,
 * `memory-disk.ts` and `disabled-disk.ts` without files, `test/sim` in virtual time.
 *
 * All calls return at once; results come in a later turn, through the callbacks, each exactly once:
 * also when the storage is removed or the disk closed meanwhile (then with `operationAborted`).
 * Jobs are collected and handed over by `submit()`, which the owner calls once per poll.
 *
 * Jobs of one storage that touch the same piece run in the order given. Exclusive jobs ("fenced":
 * move, rename, delete, release, stop) wait for all earlier jobs of that storage and hold back later
 * ones. Storages never wait for each other, except for slots and worker time.
 */

import type { Bitfield } from '../core/bitfield.ts'
import type { BlockIndex, FileIndex, PieceIndex } from '../core/brands.ts'
import type { MoveFlags, StorageMode } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import type { Operation } from '../core/operation.ts'
import type { Slot, SlotPool } from './slab.ts'

/** Why a job failed, and on which file. */
export interface DiskError {
  readonly code: ErrorCode
  readonly operation: Operation
  /** -1 if no one file is to blame. */
  readonly file: FileIndex
}

/** What a storage needs to know about a torrent's files: `FileStorage` is one. Must not change while in use. */
export interface FileLayout {
  numFiles(): number
  numPieces(): number
  pieceLength(): number
  totalSize(): number
  fileSize(index: FileIndex): number
  /** Offset of the file's first byte in the torrent. */
  fileOffset(index: FileIndex): number
  /** `FileFlags` bits. */
  fileFlags(index: FileIndex): number
  /** Relative to the save path, with the torrent's name in front. */
  filePath(index: FileIndex): string
  /** Target of a symbolic link, relative to the torrent's root; empty if the file is none. */
  symlink(index: FileIndex): string
  /** The file that holds the byte; never an empty one. @param offset 0 to `totalSize() - 1` */
  fileIndexAtOffset(offset: number): FileIndex
}

/** What `checkFiles` needs to know of resume data: `AddTorrentParams` has it. */
export interface ResumeFacts {
  /** `TorrentFlags` bits. */
  readonly flags: number
  /** Pieces that were whole when the resume data was made; of no bits if nothing is known. */
  readonly haveBits: Bitfield
}

/** A storage of one disk back-end: what `addStorage` gave. Opaque. */
export interface StorageHandle {
  readonly id: number
}

export interface StorageOptions {
  /** Sizes, offsets, pad files and attributes. */
  readonly files: FileLayout
  /** New names by file index; relative to the save path, or absolute. */
  readonly renamed: ReadonlyMap<FileIndex, string>
  readonly savePath: string
  /** Where the part file goes; empty: the save path. */
  readonly partFileDir: string
  /** File name of the part file, `.<hex of info-hash>.parts`. */
  readonly partFileName: string
  readonly mode: StorageMode
  /** Per file, 0 means "not wanted": its bytes go to the part file. Shorter than the list: the rest is wanted. */
  readonly filePriorities: readonly number[]
}

/** What a piece must hash to. Either may be absent; with none nothing is compared. */
export interface PieceHashes {
  /** 20 bytes. */
  readonly v1: Uint8Array | null
  /** 32 bytes: root of the piece's own subtree (or of the file, if the file is not longer than a piece). */
  readonly v2: Uint8Array | null
  /** What its blocks must hash to, 32 bytes each: if the piece disagrees, those of its blocks that agree are kept. */
  readonly blocks?: Uint8Array | null
}

/** Where the bytes of one block of a piece to be committed are. */
export type BlockSource =
  | Slot
  /** Written before, by `spill` or in an earlier run. */
  | 'disk'

export interface CommitResult {
  readonly error: DiskError | null
  /**
   * Which of the given hashes agreed; `null` for those not given. Nothing is written unless all given ones did, but for
   * single blocks that agree with `PieceHashes.blocks`.
   */
  readonly v1Passed: boolean | null
  readonly v2Passed: boolean | null
  /**
   * SHA-256 of each block, 32 bytes a block: when asked for by `wantBlockHashes`, and always when a given hash
   * disagreed, so that the bad block's sender can be found.
   */
  readonly blockHashes: Uint8Array | null
}

export interface HashResult {
  readonly error: DiskError | null
  /** 20 bytes a piece, in order; pieces after the failing one are missing. `null` if v1 was not asked for. */
  readonly v1: Uint8Array | null
  /** 32 bytes a piece: subtree roots. `null` if v2 was not asked for. */
  readonly v2: Uint8Array | null
  /** SHA-256 of each block of each piece, when asked for; shape as in `CommitResult`. */
  readonly blockHashes: Uint8Array | null
}

export interface ReadResult {
  readonly error: DiskError | null
  /** `length` bytes, in order, in one or more views; empty on error. Valid until `release`. */
  readonly views: readonly Uint8Array[]
  /** The views are whole `piece` messages of the blocks of the range, headers included. */
  readonly framed?: boolean
  /** Gives the memory back; must be called exactly once, also on error. */
  release(): void
}

/** What a check of the files against resume data found. */
export const CheckStatus = Object.freeze({
  /** Resume data holds: nothing needs to be hashed. */
  ok: 0,
  /** No file exists: nothing needs to be hashed and no piece is there. */
  noFiles: 1,
  /** Files exist, and resume data is missing or does not describe them: hash everything. */
  needFullCheck: 2,
  /** The disk failed. */
  failed: 3,
} as const)
export type CheckStatus = (typeof CheckStatus)[keyof typeof CheckStatus]

export interface CheckResult {
  readonly status: CheckStatus
  /** Also set with `needFullCheck`: what did not fit (`mismatchingFileSize` ...). */
  readonly error: DiskError | null
  /** First file that is longer than it should be, -1 if there is none: worth an `oversized_file_alert`. */
  readonly oversizedFile: FileIndex
}

export interface ReadFlags {
  /** The block will likely not be asked for again. */
  readonly volatile?: boolean
  /** Bytes that follow in the file will likely be asked for next: read them into the cache too. */
  readonly sequential?: boolean
  /** Of whole blocks: `piece` messages rather than payload, where the back-end has them. `ReadResult.framed` tells. */
  readonly framed?: boolean
}

export interface DiskSettings {
  readonly aioThreads: number
  readonly hashingThreads: number
  readonly filePoolSize: number
  /** Write budget in bytes: `slots` beyond it are refused. */
  readonly maxQueuedDiskBytes: number
  /** `disk_io_write_mode`, `disk_io_read_mode`: an `IoBufferMode` value. */
  readonly writeMode: number
  readonly readMode: number
}

/** The jobs that have a storage to themselves. */
export type FencedKind =
  | 'checkFiles'
  | 'moveStorage'
  | 'renameFile'
  | 'deleteFiles'
  | 'setFilePriorities'
  | 'releaseFiles'
  | 'stop'

/** For `session_stats_alert`: gauges and sums since the start. Times in microseconds. */
export interface DiskStats {
  readonly queuedWriteBytes: number
  readonly readCacheBytes: number
  readonly blocksInUse: number
  readonly queuedJobs: number
  readonly runningJobs: number
  /** Jobs of the kind that are not done: queued, held back or running. */
  readonly readJobs: number
  readonly writeJobs: number
  readonly fenced: Readonly<Record<FencedKind, number>>
  /** Jobs held back by a fence, waiting fences among them. */
  readonly blockedJobs: number
  /** Workers, and those of them that write now. */
  readonly threads: number
  readonly writingThreads: number
  /** Open files of all workers, and how often one that a job needed was open already, or was not. */
  readonly filePoolSize: number
  readonly filePoolHits: number
  readonly filePoolMisses: number
  readonly blocksWritten: number
  readonly blocksRead: number
  /** Read to hash a piece of which parts were written before. */
  readonly blocksReadBack: number
  readonly blocksHashed: number
  readonly readCacheHits: number
  readonly writeOps: number
  readonly readOps: number
  readonly readTime: number
  readonly writeTime: number
  readonly hashTime: number
  readonly jobTime: number
}

/** Of a disk that has done nothing. */
export const NO_DISK_STATS: DiskStats = Object.freeze({
  queuedWriteBytes: 0,
  readCacheBytes: 0,
  blocksInUse: 0,
  queuedJobs: 0,
  runningJobs: 0,
  readJobs: 0,
  writeJobs: 0,
  fenced: Object.freeze({
    checkFiles: 0,
    moveStorage: 0,
    renameFile: 0,
    deleteFiles: 0,
    setFilePriorities: 0,
    releaseFiles: 0,
    stop: 0,
  }),
  blockedJobs: 0,
  threads: 0,
  writingThreads: 0,
  filePoolSize: 0,
  filePoolHits: 0,
  filePoolMisses: 0,
  blocksWritten: 0,
  blocksRead: 0,
  blocksReadBack: 0,
  blocksHashed: 0,
  readCacheHits: 0,
  writeOps: 0,
  readOps: 0,
  readTime: 0,
  writeTime: 0,
  hashTime: 0,
  jobTime: 0,
})

export interface OpenFile {
  readonly file: FileIndex
  /** `FileOpenMode` bits. */
  readonly openMode: number
  /** Monotonic milliseconds of the last use. */
  readonly lastUse: number
}

export interface DiskIo {
  /** Slots that block payload is received into. The write budget is theirs. */
  readonly slots: SlotPool

  addStorage(options: StorageOptions): StorageHandle
  /** Frees the storage once its jobs are done. Files stay. */
  removeStorage(storage: StorageHandle): void

  /**
   * Hashes a whole piece and, if the given hashes agree, writes it.
   *
   * The slots among `sources` belong to the job from the call on; they are freed when it ends, whatever the result.
   *
   * @param sources one per block, in order
   * @param wantBlockHashes also answer the SHA-256 of each block (v2 pieces whose layer is not known yet)
   */
  commitPiece(
    storage: StorageHandle,
    piece: PieceIndex,
    sources: readonly BlockSource[],
    hashes: PieceHashes,
    wantBlockHashes: boolean,
    done: (result: CommitResult) => void,
  ): void

  /** Writes some blocks of an incomplete piece. Owns the slots as `commitPiece` does. */
  spill(
    storage: StorageHandle,
    piece: PieceIndex,
    blocks: readonly { readonly block: BlockIndex; readonly slot: Slot }[],
    done: (error: DiskError | null) => void,
  ): void

  /** Reads part of a piece. `length` 1 to 2^20 or so; may cross file ends inside the piece. */
  read(
    storage: StorageHandle,
    piece: PieceIndex,
    offset: number,
    length: number,
    flags: ReadFlags,
    done: (result: ReadResult) => void,
  ): void

  /**
   * What is in memory of a range, at once; `null` if it must be read. A back-end without a cache has no such method.
   */
  readCached?(
    storage: StorageHandle,
    piece: PieceIndex,
    offset: number,
    length: number,
    flags: ReadFlags,
  ): ReadResult | null

  /** A block there will be read soon. A back-end without a cache has no such method. */
  readAhead?(storage: StorageHandle, piece: PieceIndex, offset: number): void

  /**
   * Hashes `count` pieces from `first` as they are on disk. Several jobs of 4 to 16 MiB each in flight keep
   * all workers busy. A missing or short file ends the job with what it has so far: see `HashResult`.
   */
  hashPieces(
    storage: StorageHandle,
    first: PieceIndex,
    count: number,
    want: { readonly v1: boolean; readonly v2: boolean; readonly blockHashes: boolean },
    done: (result: HashResult) => void,
  ): void

  /**
   * Compares the files on disk with resume data, shares files, and creates empty files and links.
   *
   * A missing file that is wanted becomes a hard link to the one named for it, or a copy where there can be no link;
   * what exists is left alone. The check then asks for a full one: what others have is hashed before it counts.
   *
   * @param resume the torrent's parameters: have bits, flags `noVerifyFiles`, `seedMode`
   * @param links per file index the absolute path of a file with the same content, empty for none
   */
  checkFiles(
    storage: StorageHandle,
    resume: ResumeFacts | null,
    links: readonly string[],
    done: (result: CheckResult) => void,
  ): void

  /** The torrent is leaving: what is being copied need not be finished. A back-end that copies nothing has no such method. */
  abandonCopies?(storage: StorageHandle): void

  /** Moves all files. @param done `path`: the new save path */
  moveStorage(
    storage: StorageHandle,
    path: string,
    flags: MoveFlags,
    done: (error: DiskError | null, path: string, needFullCheck: boolean) => void,
  ): void
  renameFile(storage: StorageHandle, file: FileIndex, name: string, done: (error: DiskError | null) => void): void
  /** @param flags `RemoveFlags` / `SessionFlags` bits: which files go */
  deleteFiles(storage: StorageHandle, flags: number, done: (error: DiskError | null) => void): void
  /** New priorities; moves bytes between part file and files. @param done the priorities in force */
  setFilePriorities(
    storage: StorageHandle,
    priorities: readonly number[],
    done: (error: DiskError | null, priorities: readonly number[]) => void,
  ): void
  /** Closes the storage's open files. */
  releaseFiles(storage: StorageHandle, done: (error: DiskError | null) => void): void
  /** Flushes, then closes the storage's open files. */
  stop(storage: StorageHandle, done: (error: DiskError | null) => void): void
  openFiles(storage: StorageHandle): readonly OpenFile[]
  stats(): DiskStats
  applySettings(settings: DiskSettings): void
  /** Hands the jobs collected since the last call to the workers. */
  submit(): void
  /** Ends the jobs there are, then all workers. `done` is the last callback. */
  close(done: () => void): void
}
