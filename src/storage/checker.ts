/**
 * Start of a torrent: compares the files on disk with resume data, makes hard links, and creates empty
 * files and symbolic links. In steps, see `storage-steps.ts`.
 */

import * as path from 'node:path'
import { TorrentFlags } from '../core/enums.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import { DiskFailure } from './disk-error.ts'
import { type CheckResult, CheckStatus, type DiskError, type ResumeFacts } from './disk-io.ts'
import type { StorageState } from './storage-state.ts'
import { isMissing, loadPartSteps, type Steps, statFailure } from './storage-steps.ts'

/** Files looked up per step: a torrent of 100,000 files does not hold a worker for long at a time. */
const STAT_STEP = 4096

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
  let added = false
  let mismatch: DiskError | null = null
  try {
    added = yield* makeLinks(state, links, sizes)
  } catch (error) {
    if (!(error instanceof DiskFailure)) throw error
    mismatch = { code: error.code, operation: error.operation, file: error.file }
  }
  if (!hasResume) {
    const any = partExists || sizes.some(size => size > 0)
    const status = mismatch !== null || any ? CheckStatus.needFullCheck : CheckStatus.noFiles
    return { status, error: mismatch, oversizedFile }
  }
  mismatch ??= findMismatch(state, resume, sizes, added)
  const status = mismatch !== null || (added && !isSeed(state, resume)) ? CheckStatus.needFullCheck : CheckStatus.ok
  return { status, error: mismatch, oversizedFile }
}

/** Sizes by file index; `-errno` where there is none. Links count as missing, so that they are made or verified. */
function* statAll(state: StorageState): Steps<{ sizes: number[]; partExists: boolean }> {
  const count = state.files.numFiles()
  const sizes: number[] = new Array(count).fill(0)
  let partExists = false
  for (let first = 0; first < count; first += STAT_STEP) {
    const end = Math.min(count, first + STAT_STEP)
    const files: number[] = []
    const paths: string[] = []
    for (let file = first; file < end; file++) {
      if (state.isPad(file) || state.isSymlink(file)) continue
      files.push(file)
      paths.push(state.path(file))
    }
    if (end === count) paths.push(state.partPath())
    const found = (yield { kind: 'stat', paths }).numbers!
    for (let i = 0; i < files.length; i++) sizes[files[i]!] = found[i]!
    if (end === count) partExists = found[files.length]! >= 0
  }
  return { sizes, partExists }
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
  if (links.length > 0) {
    yield {
      kind: 'symlink',
      files: links,
      targets: links.map(file => path.relative(path.dirname(state.files.filePath(file)), state.files.symlink(file))),
      paths: links.map(file => state.path(file)),
    }
  }
  if (created.length > 0) {
    yield {
      kind: 'create',
      files: created,
      paths: created.map(file => state.path(file)),
      flags: created.map(file => state.files.fileFlags(file) & 4),
    }
  }
  return oversized
}

/** @returns whether a file came into being by a link; `sizes` are brought up to date */
function* makeLinks(state: StorageState, links: readonly string[], sizes: number[]): Steps<boolean> {
  const files: number[] = []
  links.forEach((target, file) => {
    if (target !== '' && file < sizes.length) files.push(file)
  })
  if (files.length === 0) return false
  const paths = files.map(file => state.path(file))
  const result = yield { kind: 'hardLink', files, targets: files.map(file => links[file]!), paths }
  const found = (yield { kind: 'stat', paths }).numbers!
  files.forEach((file, i) => {
    sizes[file] = found[i]!
  })
  return result.numbers![0] === 1
}

function isSeed(state: StorageState, resume: ResumeFacts): boolean {
  if ((resume.flags & TorrentFlags.seedMode) !== 0) return true
  return resume.haveBits.size() >= state.files.numPieces() && resume.haveBits.allSet()
}

/** The first file that is not as resume data has it. Unwanted files may live in the part file: they are left out. */
function findMismatch(
  state: StorageState,
  resume: ResumeFacts,
  sizes: readonly number[],
  linksAdded: boolean,
): DiskError | null {
  const seed = isSeed(state, resume)
  if (!seed && linksAdded) return null
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
