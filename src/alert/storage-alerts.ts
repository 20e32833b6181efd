/** Alerts about the files of a torrent and its resume data. */

import type { InfoHash } from '../core/digest.ts'
import { AlertCategory, AlertPriority, Operation } from '../core/enums.ts'
import { type ErrorCode, NO_ERROR } from '../core/error-code.ts'
import type { OpenFileState } from '../core/open-file-state.ts'
import { operationName } from '../core/operation.ts'
import type { AddTorrentParams } from '../metainfo/add-torrent-params.ts'
import { type AlertTorrent, hashPrefix, TorrentAlert } from './alert.ts'

/** Answers `readPiece()`. */
export class ReadPieceAlert extends TorrentAlert {
  static override readonly alertType = 5
  static override readonly staticCategory: number = AlertCategory.storage
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** The piece; empty if it could not be read. */
  readonly buffer: Uint8Array
  readonly piece: number
  /** Bytes in `buffer`. */
  readonly size: number
  /** Why it could not be read, if it could not. */
  readonly error: ErrorCode

  constructor(torrent: AlertTorrent, buffer: Uint8Array, piece: number, size: number, error: ErrorCode) {
    super(torrent)
    this.buffer = buffer
    this.piece = piece
    this.size = size
    this.error = error
  }

  override message(): string {
    return this.error.failed()
      ? `${super.message()}: read_piece ${this.piece} failed: ${this.error.message()}`
      : `${super.message()}: read_piece ${this.piece} successful`
  }
}

/** Every piece that a file overlaps has passed its hash check. */
export class FileCompletedAlert extends TorrentAlert {
  static override readonly alertType = 6
  static override readonly staticCategory: number = AlertCategory.fileProgress
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** File index. */
  readonly index: number

  constructor(torrent: AlertTorrent, index: number) {
    super(torrent)
    this.index = index
  }

  override message(): string {
    return `${super.message()}: file ${this.index} finished downloading`
  }
}

/** Answers `renameFile()`: it is done. */
export class FileRenamedAlert extends TorrentAlert {
  static override readonly alertType = 7
  static override readonly staticCategory: number = AlertCategory.storage
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** File index. */
  readonly index: number
  readonly #newName: string
  readonly #oldName: string

  constructor(torrent: AlertTorrent, index: number, newName: string, oldName: string) {
    super(torrent)
    this.index = index
    this.#newName = newName
    this.#oldName = oldName
  }

  /** Relative to the save path, unless absolute. */
  newName(): string {
    return this.#newName
  }

  oldName(): string {
    return this.#oldName
  }

  override message(): string {
    return `${super.message()}: file ${this.index} renamed from "${this.#oldName}" to "${this.#newName}"`
  }
}

/** Answers `renameFile()`: it could not be done. */
export class FileRenameFailedAlert extends TorrentAlert {
  static override readonly alertType = 8
  static override readonly staticCategory: number = AlertCategory.storage
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** File index. */
  readonly index: number
  /** What went wrong. */
  readonly error: ErrorCode

  constructor(torrent: AlertTorrent, index: number, error: ErrorCode) {
    super(torrent)
    this.index = index
    this.error = error
  }

  override message(): string {
    return `${super.message()}: failed to rename file ${this.index}: ${this.error.message()}`
  }
}

/** Answers `moveStorage()`: all files are at their new place. */
export class StorageMovedAlert extends TorrentAlert {
  static override readonly alertType = 33
  static override readonly staticCategory: number = AlertCategory.storage
  static override readonly priority: AlertPriority = AlertPriority.critical
  readonly #storagePath: string
  readonly #oldPath: string

  constructor(torrent: AlertTorrent, storagePath: string, oldPath: string) {
    super(torrent)
    this.#storagePath = storagePath
    this.#oldPath = oldPath
  }

  /** Where the files are now. */
  storagePath(): string {
    return this.#storagePath
  }

  /** Where they were. */
  oldPath(): string {
    return this.#oldPath
  }

  override message(): string {
    return `${super.message()} moved storage from "${this.#oldPath}" to: "${this.#storagePath}"`
  }
}

/** Answers `moveStorage()`: it failed. */
export class StorageMovedFailedAlert extends TorrentAlert {
  static override readonly alertType = 34
  static override readonly staticCategory: number = AlertCategory.storage
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** What went wrong. */
  readonly error: ErrorCode
  /** What was being done. */
  readonly op: Operation
  readonly #filePath: string

  constructor(torrent: AlertTorrent, error: ErrorCode, filePath: string, op: Operation) {
    super(torrent)
    this.error = error
    this.#filePath = filePath
    this.op = op
  }

  /** The file the error is about, if any. */
  filePath(): string {
    return this.#filePath
  }

  override message(): string {
    return `${super.message()} storage move failed. ${operationName(this.op)} (${this.#filePath}): ${this.error.message()}`
  }
}

/** The files of a removed torrent are deleted, as `removeTorrent()` was told. */
export class TorrentDeletedAlert extends TorrentAlert {
  static override readonly alertType = 35
  static override readonly staticCategory: number = AlertCategory.storage
  static override readonly priority: AlertPriority = AlertPriority.critical
  readonly infoHashes: InfoHash

  constructor(torrent: AlertTorrent, infoHashes: InfoHash) {
    super(torrent)
    this.infoHashes = infoHashes
  }

  override message(): string {
    return `${hashPrefix(this.infoHashes)} deleted`
  }
}

/** The files of a removed torrent could not be deleted. */
export class TorrentDeleteFailedAlert extends TorrentAlert {
  static override readonly alertType = 36
  static override readonly staticCategory: number = AlertCategory.error | AlertCategory.storage
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** What went wrong. */
  readonly error: ErrorCode
  readonly infoHashes: InfoHash

  constructor(torrent: AlertTorrent, error: ErrorCode, infoHashes: InfoHash) {
    super(torrent)
    this.error = error
    this.infoHashes = infoHashes
  }

  override message(): string {
    return `${hashPrefix(this.infoHashes)} torrent deletion failed: ${this.error.message()}`
  }
}

/** Answers `saveResumeData()`. */
export class SaveResumeDataAlert extends TorrentAlert {
  static override readonly alertType = 37
  static override readonly staticCategory: number = AlertCategory.storage
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** Give it to `writeResumeData()`, or straight to `addTorrent()`. */
  readonly params: AddTorrentParams

  constructor(torrent: AlertTorrent, params: AddTorrentParams) {
    super(torrent)
    this.params = params
  }

  override message(): string {
    return `${super.message()} resume data generated`
  }
}

/** Answers `saveResumeData()`: there is nothing to save, or it could not be gathered. */
export class SaveResumeDataFailedAlert extends TorrentAlert {
  static override readonly alertType = 38
  static override readonly staticCategory: number = AlertCategory.error | AlertCategory.storage
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** What went wrong. */
  readonly error: ErrorCode

  constructor(torrent: AlertTorrent, error: ErrorCode) {
    super(torrent)
    this.error = error
  }

  override message(): string {
    return `${super.message()} resume data was not generated: ${this.error.message()}`
  }
}

/** A file could not be read or written; the torrent stops, or goes on with uploading only. */
export class FileErrorAlert extends TorrentAlert {
  static override readonly alertType = 43
  static override readonly staticCategory: number = AlertCategory.error | AlertCategory.storage | AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.high
  /** What went wrong. */
  readonly error: ErrorCode
  /** What was being done. */
  readonly op: Operation
  readonly #filename: string

  constructor(torrent: AlertTorrent, error: ErrorCode, filename: string, op: Operation) {
    super(torrent)
    this.error = error
    this.#filename = filename
    this.op = op
  }

  filename(): string {
    return this.#filename
  }

  override message(): string {
    return `${super.message()} ${operationName(this.op)} (${this.#filename}) error: ${this.error.message()}`
  }
}

/** The resume data does not fit the files on disk; they are checked in full. */
export class FastresumeRejectedAlert extends TorrentAlert {
  static override readonly alertType = 53
  static override readonly staticCategory: number = AlertCategory.error | AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** What does not fit. */
  readonly error: ErrorCode
  /** What was being done. */
  readonly op: Operation
  readonly #filePath: string

  constructor(torrent: AlertTorrent, error: ErrorCode, filePath: string, op: Operation) {
    super(torrent)
    this.error = error
    this.#filePath = filePath
    this.op = op
  }

  /** The file the error is about, if any. */
  filePath(): string {
    return this.#filePath
  }

  override message(): string {
    return `${super.message()} fast resume rejected. ${operationName(this.op)}(${this.#filePath}): ${this.error.message()}`
  }
}

/** Everything downloaded up to `flushCache()`, a pause or a removal is on disk. */
export class CacheFlushedAlert extends TorrentAlert {
  static override readonly alertType = 58
  static override readonly staticCategory: number = AlertCategory.storage
  static override readonly priority: AlertPriority = AlertPriority.high
}

/** Answers `prioritizeFiles()` and `filePriority()`: the new priorities are in effect. */
export class FilePrioAlert extends TorrentAlert {
  static override readonly alertType = 97
  static override readonly staticCategory: number = AlertCategory.storage
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** Why a file could not be moved to or from the part file, if so. */
  readonly error: ErrorCode
  /** What was being done. */
  readonly op: Operation

  constructor(torrent: AlertTorrent, error: ErrorCode = NO_ERROR, op: Operation = Operation.unknown) {
    super(torrent)
    this.error = error
    this.op = op
  }

  override message(): string {
    return `${super.message()} file priorities updated`
  }
}

/** A file is larger on disk than it should be. It is left as it is. */
export class OversizedFileAlert extends TorrentAlert {
  static override readonly alertType = 98
  static override readonly staticCategory: number = AlertCategory.storage
  static override readonly priority: AlertPriority = AlertPriority.normal

  override message(): string {
    return `${super.message()} has an oversized file`
  }
}

/** Answers `postFileProgress()`. */
export class FileProgressAlert extends TorrentAlert {
  static override readonly alertType = 101
  static override readonly staticCategory: number = AlertCategory.fileProgress
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** Bytes that each file has. */
  readonly files: readonly number[]

  constructor(torrent: AlertTorrent, files: readonly number[]) {
    super(torrent)
    this.files = files
  }

  override message(): string {
    return `${super.message()} file_progress`
  }
}

/** Answers `postFilePriorities()`. */
export class FilePrioritiesAlert extends TorrentAlert {
  static override readonly alertType = 105
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** The priority of each file. */
  readonly priorities: readonly number[]

  constructor(torrent: AlertTorrent, priorities: readonly number[]) {
    super(torrent)
    this.priorities = priorities
  }

  override message(): string {
    return `${super.message()} file_priorities`
  }
}

/** Answers `postFileStatus()`. */
export class FileStatusAlert extends TorrentAlert {
  static override readonly alertType = 106
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** The files that are open. */
  readonly state: readonly OpenFileState[]

  constructor(torrent: AlertTorrent, state: readonly OpenFileState[]) {
    super(torrent)
    this.state = state
  }

  override message(): string {
    return `${super.message()} file_status`
  }
}
