/**
 * What the main thread and the disk workers say to each other. Jobs are self-contained: they carry the
 * paths and ranges they need, so a worker knows nothing of a storage but the files it has open.
 */

import type { WireError } from './disk-error.ts'

/** Slices of a range of a torrent's bytes, flat: {@link SLICE} fields per slice, in order. */
export type WireSlices = (number | string)[]

/** Positions within one slice. */
export const SLICE = Object.freeze({
  /** File index. */
  file: 0,
  /** `SliceFlags` bits. */
  flags: 1,
  path: 2,
  /** Of the first byte, in the file at `path`. */
  offset: 3,
  length: 4,
  /** Size the file has when it is whole. */
  fileSize: 5,
  stride: 6,
} as const)

export const SliceFlags = Object.freeze({
  /** Zeros that are on no disk. */
  pad: 1,
  /** In the part file. */
  part: 2,
  executable: 4,
  /** Bring the file to its full size before the first write. */
  truncate: 8,
  /** The part file has nothing of this piece. */
  absent: 16,
} as const)

/** Source of a block that is no slot. */
export const BLOCK_ON_DISK = -1
/** Block that the job leaves alone. */
export const BLOCK_NOT_GIVEN = -2

export const WireOp = Object.freeze({ commit: 0, read: 1, hash: 2, close: 3, file: 4 } as const)
export type WireOp = (typeof WireOp)[keyof typeof WireOp]

interface WireJobBase {
  /** Unique, 1 to 2^31 - 1. */
  id: number
  /** Index of the claim cell that says whether the job may still start; see `CLAIM_CELLS`, `NO_CELL`. */
  cell: number
  readonly storage: number
}

/** Part-file header upkeep that goes along with a write. */
export interface WirePart {
  readonly path: string
  /** Written first if the file is shorter than this; `null` if it is known to be there. */
  readonly header: Uint8Array | null
  /** `[offset, value]` pairs of entries to write. */
  readonly entries: readonly number[]
}

/** Hash a piece, compare, write. Without hashes: just write (a spill). */
export interface WireCommit extends WireJobBase {
  readonly op: 0
  readonly slices: WireSlices
  /** One per block: a slot, `BLOCK_ON_DISK` or `BLOCK_NOT_GIVEN`. */
  readonly slots: readonly number[]
  readonly pieceSize: number
  readonly v1: Uint8Array | null
  readonly v2: Uint8Array | null
  /** If the piece is wrong, blocks with these hashes are written all the same. */
  readonly blocks: Uint8Array | null
  readonly pieceLength: number
  readonly wantBlockHashes: boolean
  readonly part: WirePart | null
  readonly sync: boolean
}

/** Read a range into slots of the read slab, with message headers before them, or into memory of its own. */
export interface WireRead extends WireJobBase {
  readonly op: 1
  readonly piece: number
  /** Offset of the range in the piece. */
  readonly begin: number
  readonly slices: WireSlices
  readonly length: number
  readonly slots: readonly number[] | null
}

/** Hash pieces as they are on disk. */
export interface WireHash extends WireJobBase {
  readonly op: 2
  readonly slices: WireSlices
  readonly length: number
  readonly pieceLength: number
  readonly v1: boolean
  readonly v2: boolean
  readonly blockHashes: boolean
}

/** Close the files of a storage. */
export interface WireClose extends WireJobBase {
  readonly op: 3
}

/** One of the file operations of `node/file-ops.ts`. */
export interface WireFile extends WireJobBase {
  readonly op: 4
  readonly task: FileTask
}

export type WireJob = WireCommit | WireRead | WireHash | WireClose | WireFile

/** What became of a hard link. */
export const LinkOutcome = Object.freeze({
  /** There is a file of that name: it was left alone. */
  exists: 0,
  linked: 1,
  /** No link can be made there, on another device for one: the file must be copied. */
  mustCopy: 2,
  /** The target is not a file of the size it should have. */
  changed: 3,
} as const)

/** Things done to whole files. */
export type FileTask =
  | {
      readonly kind: 'stat'
      readonly paths: readonly string[]
      /** After the sizes, say for each path whether the file has other names: 1 or 0. */
      readonly names?: boolean
    }
  | { readonly kind: 'readHeader'; readonly path: string; readonly length: number }
  | {
      readonly kind: 'create'
      /** Empty files; directories are made. */
      readonly files: readonly number[]
      readonly paths: readonly string[]
      readonly flags: readonly number[]
    }
  | {
      readonly kind: 'symlink'
      readonly files: readonly number[]
      readonly targets: readonly string[]
      readonly paths: readonly string[]
    }
  | {
      /** Answers a `LinkOutcome` per file, or `-errno`. */
      readonly kind: 'hardLink'
      readonly files: readonly number[]
      readonly targets: readonly string[]
      /** What each target must have. */
      readonly sizes: readonly number[]
      readonly paths: readonly string[]
    }
  | {
      /** Copies some of a file. Answers how far the copy has come, and how long it will be. */
      readonly kind: 'copyPart'
      readonly file: number
      readonly from: string
      /** Must not exist when the first part is copied: what is there is deleted. */
      readonly to: string
      readonly offset: number
      /** Bytes to copy in this step. */
      readonly step: number
      /** What the source must have; -1 for whatever it has. */
      readonly size: number
    }
  | {
      /** Gives a finished copy its name. Answers 1, or 0 if there is such a file and it is not to be replaced. */
      readonly kind: 'placeCopy'
      readonly file: number
      readonly from: string
      readonly to: string
      readonly replace: boolean
    }
  | {
      readonly kind: 'move'
      readonly from: string
      readonly to: string
      /** Relative paths with their file index. */
      readonly files: readonly number[]
      readonly paths: readonly string[]
      readonly flags: number
      readonly partFrom: string
      readonly partTo: string
    }
  | { readonly kind: 'rename'; readonly file: number; readonly from: string; readonly to: string }
  | {
      readonly kind: 'delete'
      readonly root: string
      readonly files: readonly number[]
      readonly paths: readonly string[]
      /** Absolute; empty to leave the part file. */
      readonly partPath: string
    }
  | {
      readonly kind: 'exportPart'
      readonly part: WirePart
      readonly file: number
      readonly path: string
      readonly fileSize: number
      readonly flags: number
      /** `[offset in part file, offset in file, length]` triples. */
      readonly ranges: readonly number[]
      readonly removePart: boolean
    }
  | {
      readonly kind: 'allocate'
      readonly file: number
      readonly path: string
      readonly flags: number
      readonly fileSize: number
      /** Bytes to write in this step. */
      readonly step: number
    }

/** The answer to one job. */
export interface WireAnswer {
  readonly id: number
  readonly error: WireError | null
  /** Commit: 0 not given, 1 agreed, 2 disagreed. */
  v1State: number
  v2State: number
  v1: Uint8Array | null
  v2: Uint8Array | null
  blockHashes: Uint8Array | null
  /** Read without slots. */
  data: Uint8Array | null
  /** File tasks: sizes (stat: -errno for none), or whatever the task says. */
  numbers: readonly number[] | null
  /** Files opened and closed since the last answer: `[1 or 0, storage, file, mode]` each. */
  files: number[] | null
  readTime: number
  writeTime: number
  hashTime: number
  blocksHashed: number
  readOps: number
  writeOps: number
  /** How often a file that was needed was open, or was not. */
  fileHits: number
  fileMisses: number
}

/** Main thread to worker. */
export type ToWorker =
  | { readonly type: 'jobs'; readonly jobs: readonly WireJob[] }
  | { readonly type: 'segment'; readonly pool: number; readonly index: number; readonly memory: SharedArrayBuffer }
  | { readonly type: 'limit'; readonly maxFiles: number }
  | { readonly type: 'exit' }

/** `workerData` of a disk worker. */
export interface WorkerInit {
  /** Segments of the write slab and of the read slab. */
  readonly segments: readonly [readonly SharedArrayBuffer[], readonly SharedArrayBuffer[]]
  readonly claims: SharedArrayBuffer
  readonly maxFiles: number
}

/** Jobs one worker may have in flight, at most; requests to close files do not count. */
export const CLAIM_CELLS = 64
/** `cell` of a job that cannot be taken back: a request to close files. */
export const NO_CELL = -1
