/** Disk errors as plain numbers, so that they can cross to and from a worker. */

import type { FileIndex } from '../core/brands.ts'
import {
  ErrorCode,
  errnoError,
  errorCodeOf,
  genericCategory,
  libtorrentCategory,
  libtorrentError,
  MiscErrors,
  miscCategory,
  systemCategory,
} from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import type { Operation } from '../core/operation.ts'
import type { DiskError } from './disk-io.ts'

/** `[category, value, operation, file]`. */
export type WireError = readonly [number, number, Operation, FileIndex]

const CATEGORIES = [systemCategory(), libtorrentCategory(), miscCategory(), genericCategory()]

/** Stands for the part file where a file index is expected; libtorrent's `torrent_status::error_file_partfile`. */
export const PART_FILE_INDEX = -6

/** A disk operation failed: thrown inside a job, caught where the job ends. */
export class DiskFailure extends Error {
  readonly code: ErrorCode
  readonly operation: Operation
  readonly file: FileIndex

  constructor(code: ErrorCode, operation: Operation, file: FileIndex) {
    super(code.message())
    this.code = code
    this.operation = operation
    this.file = file
  }
}

/** Wraps whatever Node threw. */
export function diskFailure(error: unknown, operation: Operation, file: FileIndex): DiskFailure {
  return error instanceof DiskFailure ? error : new DiskFailure(errorCodeOf(error), operation, file)
}

/** The file ends before the bytes that were to be read. */
export function shortRead(operation: Operation, file: FileIndex): DiskFailure {
  return new DiskFailure(libtorrentError(LibtorrentErrors.fileTooShort), operation, file)
}

/** The system took no more bytes. */
export function shortWrite(operation: Operation, file: FileIndex): DiskFailure {
  return new DiskFailure(new ErrorCode(MiscErrors.eof, miscCategory()), operation, file)
}

/** What a job answers when it was given up before it ran. */
export function abortedError(operation: Operation): DiskError {
  return { code: errnoError('ECANCELED'), operation, file: -1 }
}

export function toWireError(failure: DiskFailure): WireError {
  const category = CATEGORIES.indexOf(failure.code.category())
  return [Math.max(0, category), failure.code.value(), failure.operation, failure.file]
}

export function fromWireError(error: WireError | null): DiskError | null {
  if (error === null) return null
  return { code: new ErrorCode(error[1], CATEGORIES[error[0]]!), operation: error[2], file: error[3] }
}
