/**
 * Fenced work on a storage as a list of steps: each `yield` is a file task for a worker, its result comes
 * back, an error comes back as a throw. The decisions are here, the I/O is not, so they are tested without.
 */

import * as path from 'node:path'
import type { FileIndex } from '../core/brands.ts'
import { FileFlags, MoveFlags, Operation } from '../core/enums.ts'
import { ErrorCode, errnoError, libtorrentError, systemCategory } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { DiskFailure } from './disk-error.ts'
import type { DiskError } from './disk-io.ts'
import { findNames, realFiles } from './other-names.ts'
import { partEntryOffset, partHeaderSize } from './part-file.ts'
import { allocates, type StorageState } from './storage-state.ts'
import { type FileTask, SliceFlags } from './worker-protocol.ts'

/** What a worker answers to a task. */
export interface TaskResult {
  readonly numbers: readonly number[] | null
  readonly data: Uint8Array | null
}

/** A job in steps that ends with an `R`. */
export type Steps<R> = Generator<FileTask, R, TaskResult>

/** `SessionFlags` of libtorrent: what `deleteFiles` removes. */
const DELETE_FILES = 1
const DELETE_PART_FILE = 2

/** What `stat` answers for a file that is not there. */
const MISSING = -errnoError('ENOENT').value()

/** Deleting everything also deletes the part file. */
export function* deleteSteps(state: StorageState, flags: number): Steps<void> {
  const files: FileIndex[] = []
  const paths: string[] = []
  if ((flags & DELETE_FILES) !== 0) {
    for (let file = 0; file < state.files.numFiles(); file++) {
      if (state.isPad(file)) continue
      files.push(file)
      paths.push(state.name(file))
    }
  }
  const partPath = (flags & (DELETE_FILES | DELETE_PART_FILE)) !== 0 ? state.partPath() : ''
  state.dropPart()
  state.forgetCreated()
  yield { kind: 'delete', root: state.savePath, files, paths, partPath }
}

/** @returns whether the files at the new place must be checked */
export function* moveSteps(state: StorageState, to: string, flags: MoveFlags): Steps<boolean> {
  if (flags !== MoveFlags.resetSavePath && flags !== MoveFlags.resetSavePathUnchecked) {
    const collision = state.collisionUnder(to)
    if (collision >= 0) throw new DiskFailure(fileCollision(), Operation.fileRename, collision)
  }
  const files: FileIndex[] = []
  const paths: string[] = []
  for (let file = 0; file < state.files.numFiles(); file++) {
    // Files renamed to absolute paths stay where they are, under which other files may be; pad files are nowhere.
    if (state.isPad(file) || state.isElsewhere(file) || !state.ownsPath(file)) continue
    files.push(file)
    paths.push(state.name(file))
  }
  const result = yield {
    kind: 'move',
    from: state.savePath,
    to,
    files,
    paths,
    flags,
    partFrom: state.part === null ? '' : state.partPath(),
    partTo: state.partPath(to),
  }
  state.savePath = to
  state.forgetCreated()
  yield* findNames(state, realFiles(state))
  return result.numbers?.[0] === 1 || flags === MoveFlags.resetSavePath
}

export function* renameSteps(state: StorageState, file: FileIndex, name: string): Steps<void> {
  if (file < 0 || file >= state.files.numFiles()) return
  const taken = renameCollision(state, file, name)
  if (taken !== null) throw new DiskFailure(taken.code, taken.operation, file)
  // what is under the name of another file is not to be moved away
  const isThere = state.ownsPath(file)
  const from = state.path(file)
  const before = state.name(file)
  state.rename(file, name)
  const to = state.path(file)
  state.rename(file, before)
  if (isThere) yield { kind: 'rename', file, from, to }
  state.rename(file, name)
  yield* findNames(state, [file])
}

/** Why a file must not have a name: another one of its torrent has it. `null` if none has. */
export function renameCollision(state: StorageState, file: FileIndex, name: string): DiskError | null {
  if (!state.isTaken(file, name)) return null
  return { code: fileCollision(), operation: Operation.fileRename, file }
}

function fileCollision(): ErrorCode {
  return libtorrentError(LibtorrentErrors.fileCollision)
}

/**
 * Finds out which unwanted files are on disk all the same, and what the part file has.
 *
 * @param sizes of all files, if they were looked up before
 */
export function* loadPartSteps(state: StorageState, sizes: readonly number[] | null): Steps<void> {
  const unwanted: FileIndex[] = []
  state.priorities.forEach((priority, file) => {
    if (priority === 0 && file < state.files.numFiles() && !state.isPad(file)) unwanted.push(file)
  })
  const found =
    sizes === null
      ? (yield { kind: 'stat', paths: unwanted.map(file => state.path(file)) }).numbers!
      : unwanted.map(file => sizes[file]!)
  unwanted.forEach((file, i) => {
    state.usePart(file, found[i]! <= 0)
  })
  if (unwanted.some(file => state.inPart(file))) {
    const length = partHeaderSize(state.files.numPieces())
    const { data } = yield { kind: 'readHeader', path: state.partPath(), length }
    const part = state.needPart()
    if (data !== null) state.partOnDisk = part.load(data)
  }
  state.partLoaded = true
}

/** @returns the priorities in force afterwards */
export function* prioritySteps(state: StorageState, wanted: readonly number[]): Steps<readonly number[]> {
  if (!state.partLoaded) yield* loadPartSteps(state, null)
  const priorities = Array.from({ length: Math.max(wanted.length, state.priorities.length) }, (_, i) =>
    state.priority(i),
  )
  const count = Math.min(wanted.length, state.files.numFiles())
  for (let file = 0; file < count; file++) {
    if (state.isPad(file)) continue
    const before = priorities[file]!
    const after = wanted[file]!
    if (before === 0 && after !== 0) yield* leavePart(state, file)
    else if (before !== 0 && after === 0) yield* enterPart(state, file)
    priorities[file] = after
    // Step by step, so that an error half-way leaves what was done in force.
    state.setPriorities(priorities.slice())
  }
  return state.priorities
}

/** Makes the symbolic links of a torrent, where no other file of it belongs. */
export function* makeLinks(state: StorageState, all: readonly FileIndex[]): Steps<void> {
  const files = all.filter(file => state.ownsPath(file))
  if (files.length === 0) return
  yield {
    kind: 'symlink',
    files,
    targets: files.map(file => path.relative(path.dirname(state.files.filePath(file)), state.files.symlink(file))),
    paths: files.map(file => state.path(file)),
  }
}

/** Makes the files that hold nothing, where no other file belongs. */
export function* makeEmptyFiles(state: StorageState, all: readonly FileIndex[]): Steps<void> {
  const files = all.filter(file => state.ownsPath(file))
  if (files.length === 0) return
  yield {
    kind: 'create',
    files,
    paths: files.map(file => state.path(file)),
    flags: files.map(file => state.files.fileFlags(file) & FileFlags.flagExecutable),
  }
}

/** A file becomes wanted: it comes into being if no piece will bring it; its bytes move from the part file to it. */
function* leavePart(state: StorageState, file: FileIndex): Steps<void> {
  const part = state.part
  const wasInPart = state.inPart(file)
  const size = state.files.fileSize(file)
  if (!wasInPart) return
  if (size === 0) {
    yield* state.isSymlink(file) ? makeLinks(state, [file]) : makeEmptyFiles(state, [file])
    return
  }
  if (part === null) return
  const start = state.files.fileOffset(file)
  const pieceLength = state.files.pieceLength()
  const ranges: number[] = []
  const entries: number[] = []
  const whole: number[] = []
  for (let at = start; at < start + size; ) {
    const piece = Math.floor(at / pieceLength)
    const within = at - piece * pieceLength
    const length = Math.min(start + size - at, pieceLength - within)
    if (part.has(piece)) {
      ranges.push(part.offset(piece) + within, at - start, length)
      if (length === pieceLength) {
        whole.push(piece)
        entries.push(partEntryOffset(piece), 0xffffffff)
      }
    }
    at += length
  }
  if (ranges.length === 0) return
  if (!state.claim(file)) {
    throw new DiskFailure(fileCollision(), Operation.fileOpen, file)
  }
  const path = state.path(file)
  const flags = (state.files.fileFlags(file) & FileFlags.flagExecutable) !== 0 ? SliceFlags.executable : 0
  const partPath = state.partPath()
  const removePart = whole.length === part.size
  yield {
    kind: 'exportPart',
    part: { path: partPath, header: null, entries },
    file,
    path,
    fileSize: size,
    flags,
    ranges,
    removePart,
  }
  for (const piece of whole) part.free(piece)
  if (removePart) state.partOnDisk = false
  if (!allocates(state)) state.setCreated(file)
}

/** A file becomes unwanted: if it is on disk it stays a file. */
function* enterPart(state: StorageState, file: FileIndex): Steps<void> {
  const { numbers } = yield { kind: 'stat', paths: [state.path(file)] }
  const size = numbers![0]!
  if (size < 0 && !isMissing(size)) throw statFailure(size, file)
  state.usePart(file, isMissing(size))
  if (isMissing(size)) state.needPart()
}

/** Whether a size from a `stat` task means that there is no such file. */
export function isMissing(size: number): boolean {
  return size === MISSING
}

/** The error a size below zero stands for. */
export function statFailure(size: number, file: FileIndex): DiskFailure {
  return new DiskFailure(new ErrorCode(-size, systemCategory()), Operation.fileStat, file)
}
