/**
 * Start of a torrent: compares the files on disk with resume data, shares files with other torrents, and
 * creates empty files and symbolic links. In steps, see `storage-steps.ts`.
 */

import { TorrentFlags } from '../core/enums.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { DiskFailure } from './disk-error.ts'
import { type CheckResult, CheckStatus, type DiskError, type ResumeFacts } from './disk-io.ts'
import { linkSteps } from './linker.ts'
import { realFiles, statSteps } from './other-names.ts'
import type { StorageState } from './storage-state.ts'
import { isMissing, loadPartSteps, makeEmptyFiles, makeLinks, type Steps, statFailure } from './storage-steps.ts'

/**
 * The whole check.
 *
 * @param links per file the path of a file with the same content, empty for none
 * @throws DiskFailure if the disk failed in a way that a full check would not cure
 */
export function* checkSteps(
  state: StorageState,
  resume: ResumeFacts | null,
  links: readonly string[],
): Steps<CheckResult> {
  const hasResume = resume !== null && (resume.haveBits.size() > 0 || (resume.flags & TorrentFlags.seedMode) !== 0)
  if (hasResume && (resume.flags & TorrentFlags.noVerifyFiles) !== 0) {
    return { status: CheckStatus.ok, error: null, oversizedFile: -1 }
  }
  const { sizes, partExists } = yield* statAll(state)
  yield* loadPartSteps(state, sizes)
  const oversizedFile = yield* createMissing(state, sizes)
  const { added, error } = yield* linkSteps(state, links, sizes)
  if (!hasResume) {
    const any = partExists || sizes.some(size => size > 0)
    const status = error !== null || any ? CheckStatus.needFullCheck : CheckStatus.noFiles
    return { status, error, oversizedFile }
  }
  // Deviation: libtorrent believes resume data of a seed about files that it has just linked. Here only seed mode does.
  const unhashed = added && (resume.flags & TorrentFlags.seedMode) === 0
  const mismatch = error ?? (unhashed ? null : findMismatch(state, resume, sizes))
  const status = mismatch !== null || unhashed ? CheckStatus.needFullCheck : CheckStatus.ok
  return { status, error: mismatch, oversizedFile }
}

/** Sizes by file index; `-errno` where there is none. Links count as missing, so that they are made or verified. */
function* statAll(state: StorageState): Steps<{ sizes: number[]; partExists: boolean }> {
  const sizes: number[] = new Array(state.files.numFiles()).fill(0)
  const part = yield* statSteps(state, realFiles(state), sizes, state.partPath())
  state.namesKnown = true
  return { sizes, partExists: part >= 0 }
}

/** Creates empty files and links. Existing files are never cut. @returns the first file that is too long, or -1 */
function* createMissing(state: StorageState, sizes: readonly number[]): Steps<number> {
  let oversized = -1
  const created: number[] = []
  const links: number[] = []
  for (let file = 0; file < sizes.length; file++) {
    if (state.isPad(file)) continue
    const size = sizes[file]!
    const whole = state.files.fileSize(file)
    if (size > whole && oversized < 0) oversized = file
    if (state.priority(file) === 0) continue
    if (size < 0 && !isMissing(size)) throw statFailure(size, file)
    if (whole > 0) continue
    if (state.isSymlink(file)) links.push(file)
    else if (isMissing(size)) created.push(file)
  }
  yield* makeLinks(state, links)
  yield* makeEmptyFiles(state, created)
  return oversized
}

function isSeed(state: StorageState, resume: ResumeFacts): boolean {
  if ((resume.flags & TorrentFlags.seedMode) !== 0) return true
  return resume.haveBits.size() >= state.files.numPieces() && resume.haveBits.allSet()
}

/** The first file that is not as resume data has it. Unwanted files may live in the part file: they are left out. */
function findMismatch(state: StorageState, resume: ResumeFacts, sizes: readonly number[]): DiskError | null {
  const seed = isSeed(state, resume)
  const seedMode = (resume.flags & TorrentFlags.seedMode) !== 0
  for (let file = 0; file < sizes.length; file++) {
    if (state.isPad(file) || state.isSymlink(file)) continue
    if (state.priority(file) === 0 && !seedMode) continue
    const whole = state.files.fileSize(file)
    if (!seed && (whole === 0 || !hasAnyPiece(state, resume, file))) continue
    const size = sizes[file]!
    if (size < 0) {
      // An empty file that was missing has been created meanwhile.
      if (whole === 0 && isMissing(size)) continue
      if (!isMissing(size)) return toError(statFailure(size, file))
      return { code: libtorrentError(LibtorrentErrors.mismatchingFileSize), operation: Operation.fileStat, file }
    }
    if (seed && size < whole) {
      return { code: libtorrentError(LibtorrentErrors.mismatchingFileSize), operation: Operation.checkResume, file }
    }
  }
  return null
}

function toError(failure: DiskFailure): DiskError {
  return { code: failure.code, operation: failure.operation, file: failure.file }
}

function hasAnyPiece(state: StorageState, resume: ResumeFacts, file: number): boolean {
  const pieceLength = state.files.pieceLength()
  const offset = state.files.fileOffset(file)
  const first = Math.floor(offset / pieceLength)
  const last = Math.floor((offset + state.files.fileSize(file) - 1) / pieceLength)
  const end = Math.min(last + 1, resume.haveBits.size())
  for (let piece = first; piece < end; piece++) if (resume.haveBits.getBit(piece)) return true
  return false
}
