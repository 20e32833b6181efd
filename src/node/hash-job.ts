/** Reads and hashes pieces of local files: the work of `setPieceHashes`, in a worker or in this thread. */

import { closeSync, openSync, readSync } from 'node:fs'
import { BLOCK_SIZE } from '../core/brands.ts'
import { Operation } from '../core/enums.ts'
import { PieceHasher, v2LeafCount } from '../metainfo/piece-hash.ts'

/**
 * Bytes read at a time.
 *
 * Small enough to stay in the cache of a core between the read and the hash (`bench/create.js`).
 */
const READ_SIZE = 1024 * 1024

/** What to hash, in a form that can be sent to workers; the arrays are shared between them. */
export interface HashPlan {
  /** Full path of each file. */
  readonly paths: readonly string[]
  readonly sizes: Float64Array
  /** Where each file starts in the torrent, with the total size as one entry more. */
  readonly offsets: Float64Array
  /** 1 for pad files. */
  readonly pads: Uint8Array
  readonly pieceLength: number
  readonly numPieces: number
  /** Gets 20 bytes a piece; `null` to leave SHA-1 out. */
  readonly v1: Uint8Array | null
  /** Gets 32 bytes a piece of a file; `null` to leave v2 hashes out. */
  readonly v2: Uint8Array | null
  /** Index of the first hash of each file in `v2`. */
  readonly v2First: Float64Array | null
}

/** What a worker is started with. */
export interface WorkerTask {
  readonly plan: HashPlan
  /** Pieces of a run. */
  readonly runLength: number
  /** Shared: at `NEXT_RUN` the next run to take, at `STOP` whether to stop. */
  readonly control: Int32Array
}

/** Indices into `WorkerTask.control`. */
export const NEXT_RUN = 0
export const STOP = 1

/** What a worker sends: the number of a run that is done, or why one failed. */
export type WorkerReport = number | HashFailure

/** Why a piece could not be hashed. Plain, so that it can be sent. */
export interface HashFailure {
  /** What Node threw; `null` at an end of file that came too early. */
  readonly cause: { readonly code?: string; readonly errno?: number; readonly message: string } | null
  readonly operation: Operation
  /** Index of the file. */
  readonly file: number
}

/** Hashes pieces of one plan; pieces in order are fastest. */
export class HashJob {
  readonly #plan: HashPlan
  readonly #hasher: PieceHasher
  readonly #buffer: Uint8Array
  #fd = -1
  /** The file that is open, -1 if none is. */
  #openFile = -1

  constructor(plan: HashPlan) {
    this.#plan = plan
    const leaves = Math.max(1, plan.pieceLength / BLOCK_SIZE)
    this.#hasher = new PieceHasher(plan.v1 !== null, plan.v2 !== null, leaves)
    this.#buffer = new Uint8Array(Math.min(READ_SIZE, Math.max(plan.pieceLength, BLOCK_SIZE)))
  }

  /** Hashes one piece and stores the result. @returns `null`, or why it failed */
  hashPiece(piece: number): HashFailure | null {
    const { offsets, pads, v1, v2, pieceLength } = this.#plan
    const start = piece * pieceLength
    const end = Math.min(start + pieceLength, offsets[offsets.length - 1]!)
    let file = this.#fileAt(start)
    const first = file
    for (let at = start; at < end; file++) {
      const fileEnd = Math.min(offsets[file + 1]!, end)
      const length = fileEnd - at
      if (length <= 0) continue
      if (pads[file] === 1) this.#hasher.updatePad(length)
      else {
        const failure = this.#hashRange(file, at - offsets[file]!, length)
        if (failure !== null) return failure
      }
      at = fileEnd
    }
    if (v1 !== null) v1.set(this.#hasher.takeV1(), piece * 20)
    if (v2 !== null) this.#storeRoot(v2, first, start)
    return null
  }

  close(): void {
    if (this.#openFile >= 0) closeSync(this.#fd)
    this.#openFile = -1
  }

  /** In v2 torrents a piece holds one file only, followed by padding. */
  #storeRoot(v2: Uint8Array, file: number, start: number): void {
    const { sizes, offsets, v2First, pieceLength } = this.#plan
    const root = this.#hasher.takeV2Root(v2LeafCount(sizes[file]!, pieceLength))
    const index = v2First![file]! + (start - offsets[file]!) / pieceLength
    v2.set(root, index * 32)
  }

  #hashRange(file: number, position: number, length: number): HashFailure | null {
    try {
      this.#open(file)
    } catch (error) {
      return failed(error, Operation.fileOpen, file)
    }
    const buffer = this.#buffer
    try {
      while (length > 0) {
        const want = Math.min(length, buffer.length)
        const got = readSync(this.#fd, buffer, 0, want, position)
        if (got === 0) return { cause: null, operation: Operation.fileRead, file }
        this.#hasher.update(got === buffer.length ? buffer : buffer.subarray(0, got))
        position += got
        length -= got
      }
    } catch (error) {
      return failed(error, Operation.fileRead, file)
    }
    return null
  }

  #open(file: number): void {
    if (this.#openFile === file) return
    this.close()
    this.#fd = openSync(this.#plan.paths[file]!, 'r')
    this.#openFile = file
  }

  /** The file that holds the byte at `offset`; empty files hold none. */
  #fileAt(offset: number): number {
    const { offsets } = this.#plan
    let low = 0
    let high = offsets.length - 1
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (offsets[middle]! <= offset) low = middle
      else high = middle
    }
    return low
  }
}

function failed(error: unknown, operation: Operation, file: number): HashFailure {
  const { code, errno, message } = error as NodeJS.ErrnoException
  const cause: { code?: string; errno?: number; message: string } = { message: String(message) }
  if (code !== undefined) cause.code = code
  if (errno !== undefined) cause.errno = errno
  return { cause, operation, file }
}
