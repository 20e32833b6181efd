/**
 * Files that share their content with others: hard links to files of other torrents, copies where there can be
 * no link, and copies of files that are about to be written to although they have another name. In steps, see
 * `storage-steps.ts`.
 */

import * as path from 'node:path'
import type { FileIndex } from '../core/brands.ts'
import { Operation } from '../core/enums.ts'
import { ErrorCode, errnoError, libtorrentError, systemCategory } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { DiskFailure } from './disk-error.ts'
import type { DiskError } from './disk-io.ts'
import { realFiles, statSteps } from './other-names.ts'
import type { StorageState } from './storage-state.ts'
import { isMissing, type Steps } from './storage-steps.ts'
import { LinkOutcome } from './worker-protocol.ts'

/** Links made per step. */
const LINK_STEP = 512
/** Bytes copied per step: other torrents' jobs come in between. */
const COPY_STEP = 16 << 20

/** What became of the links of a check. */
export interface LinkResult {
  /** Files have come into being. */
  readonly added: boolean
  /** The first that could not be made. The others were made all the same. */
  readonly error: DiskError | null
}

/**
 * Brings files into being that are somewhere else already. What exists is left alone, whatever it is.
 *
 * Deviation: libtorrent stops at the first failure, looks at no size, and links files that are not wanted too.
 *
 * @param links per file the absolute path of a file with the same content, empty for none
 * @param sizes of all files as they were found; brought up to date
 */
export function* linkSteps(state: StorageState, links: readonly string[], sizes: number[]): Steps<LinkResult> {
  const files = missingFiles(state, links, sizes)
  const made: FileIndex[] = []
  let error: DiskError | null = null
  const failed = (thrown: unknown): void => {
    if (!(thrown instanceof DiskFailure)) throw thrown
    error ??= { code: thrown.code, operation: thrown.operation, file: thrown.file }
  }
  for (let first = 0; first < files.length && !state.abandoned; first += LINK_STEP) {
    const batch = files.slice(first, first + LINK_STEP)
    let outcomes: readonly number[] = []
    try {
      outcomes = yield* linkBatch(state, batch, links)
    } catch (thrown) {
      failed(thrown)
    }
    for (let i = 0; i < outcomes.length && !state.abandoned; i++) {
      try {
        if (yield* finishLink(state, batch[i]!, links[batch[i]!]!, outcomes[i]!)) made.push(batch[i]!)
      } catch (thrown) {
        failed(thrown)
      }
    }
  }
  yield* statSteps(state, made, sizes)
  return { added: made.length > 0, error }
}

function* linkBatch(
  state: StorageState,
  files: readonly FileIndex[],
  links: readonly string[],
): Steps<readonly number[]> {
  const { numbers } = yield {
    kind: 'hardLink',
    files,
    targets: files.map(file => links[file]!),
    sizes: files.map(file => state.files.fileSize(file)),
    paths: files.map(file => state.path(file)),
  }
  return numbers!
}

/** @returns whether the file has come into being */
function* finishLink(state: StorageState, file: FileIndex, target: string, outcome: number): Steps<boolean> {
  if (outcome < 0) {
    throw new DiskFailure(new ErrorCode(-outcome, systemCategory()), Operation.fileHardLink, file)
  }
  if (outcome === LinkOutcome.changed) {
    throw new DiskFailure(libtorrentError(LibtorrentErrors.mismatchingFileSize), Operation.fileHardLink, file)
  }
  if (outcome === LinkOutcome.mustCopy) {
    return yield* copySteps(state, file, target, state.files.fileSize(file), false)
  }
  return outcome === LinkOutcome.linked
}

/** Unwanted files stay away: their place is the part file. So do those whose name is another file's. */
function missingFiles(state: StorageState, links: readonly string[], sizes: readonly number[]): FileIndex[] {
  const out: FileIndex[] = []
  links.forEach((target, file) => {
    if (target === '' || file >= sizes.length || !isMissing(sizes[file]!)) return
    if (state.files.fileSize(file) === 0 || state.isPad(file) || state.priority(file) === 0) return
    if (!state.ownsPath(file)) return
    out.push(file)
  })
  return out
}

/**
 * Gives a file content of its own if it has another name on disk, where a torrent or a program counts on what it holds.
 * Whoever reads under the other name goes on reading what is there now.
 *
 * A failure is noted for the writes that wait, which fail with it.
 */
export function* separateSteps(state: StorageState, file: FileIndex): Steps<void> {
  try {
    if (!state.namesKnown) {
      yield* statSteps(state, realFiles(state), [])
      state.namesKnown = true
    }
    // if another storage writes under that path, the writes that wait will fail
    if (state.otherNames?.has(file) !== true || !state.claim(file)) return
    yield* copySteps(state, file, state.path(file), -1, true)
    state.setOtherNames(file, false)
  } catch (error) {
    if (!(error instanceof DiskFailure)) throw error
    if (error.code.equals(errnoError('ENOENT'))) {
      // it has gone: what is written makes it anew
      state.setOtherNames(file, false)
      return
    }
    state.allocationFailures ??= new Map()
    state.allocationFailures.set(file, { code: error.code, operation: error.operation, file })
  }
}

/**
 * Copies a file to where it belongs, by way of a file of another name: one that is half done is never taken for whole.
 *
 * @param size that the source must have; -1 for whatever it has
 * @returns false if there is such a file meanwhile, and it is not to be replaced
 */
function* copySteps(
  state: StorageState,
  file: FileIndex,
  from: string,
  size: number,
  replace: boolean,
): Steps<boolean> {
  const to = state.path(file)
  const temporary = path.join(path.dirname(to), `${state.partFileName.replace(/\.parts$/, '')}.${file}.copy`)
  try {
    for (let offset = 0; ; ) {
      const { numbers } = yield { kind: 'copyPart', file, from, to: temporary, offset, step: COPY_STEP, size }
      offset = numbers![0]!
      if (offset >= numbers![1]!) break
      if (state.abandoned) throw new DiskFailure(errnoError('ECANCELED'), Operation.fileCopy, file)
    }
    const { numbers } = yield { kind: 'placeCopy', file, from: temporary, to, replace }
    return numbers![0] === 1
  } catch (error) {
    if (!(error instanceof DiskFailure)) throw error
    try {
      yield { kind: 'delete', root: '/', files: [], paths: [], partPath: temporary }
    } catch (again) {
      // the first error is the one to tell
      if (!(again instanceof DiskFailure)) throw again
    }
    throw error
  }
}
