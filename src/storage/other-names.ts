/** Which files are on disk, and which of them have other names there, as hard links do. In steps, see `storage-steps.ts`. */

import type { FileIndex } from '../core/brands.ts'
import { DiskFailure } from './disk-error.ts'
import type { StorageState } from './storage-state.ts'
import type { Steps } from './storage-steps.ts'

/** Files looked up per step: a torrent of 100,000 files does not hold a worker for long at a time. */
const STAT_STEP = 4096

/**
 * Looks files up: their sizes, `-errno` for those that cannot be looked at, and whether they have other names.
 *
 * @param sizes by file index: where the sizes go
 * @param also  one more path
 * @returns the size of `also`
 */
export function* statSteps(
  state: StorageState,
  files: readonly FileIndex[],
  sizes: number[],
  also: string = '',
): Steps<number> {
  let alsoSize = -1
  for (let first = 0; first < files.length || (first === 0 && also !== ''); first += STAT_STEP) {
    const batch = files.slice(first, first + STAT_STEP)
    const paths = batch.map(file => state.path(file))
    const last = first + STAT_STEP >= files.length
    if (last && also !== '') paths.push(also)
    const found = (yield { kind: 'stat', paths, names: true }).numbers!
    batch.forEach((file, i) => {
      sizes[file] = found[i]!
      state.setOtherNames(file, found[paths.length + i] === 1)
    })
    if (last && also !== '') alsoSize = found[batch.length]!
  }
  return alsoSize
}

/**
 * Files are under other paths, where others may have been: looks up anew which have other names, if it was known before.
 * Writes that came meanwhile wait behind this, and count on what was known when they came.
 */
export function* findNames(state: StorageState, files: readonly FileIndex[]): Steps<void> {
  if (!state.namesKnown) return
  state.namesKnown = false
  try {
    yield* statSteps(state, files, [])
    state.namesKnown = true
  } catch (error) {
    // the files have moved all the same; they are looked at again before the next write
    if (!(error instanceof DiskFailure)) throw error
  }
}

/** The files that are looked up: all but pad files and symbolic links. */
export function realFiles(state: StorageState): FileIndex[] {
  const out: FileIndex[] = []
  const count = state.files.numFiles()
  for (let file = 0; file < count; file++) if (!state.isPad(file) && !state.isSymlink(file)) out.push(file)
  return out
}
