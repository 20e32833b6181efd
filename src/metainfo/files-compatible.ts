/** Whether the v1 and the v2 file list of a hybrid torrent say the same (BEP 52). */

import { FileFlags } from '../core/enums.ts'
import type { FileStorage } from './file-storage.ts'

/** Compares sizes, places, paths and symlink targets of all files but the empty ones and padding. */
export function filesCompatible(a: FileStorage, b: FileStorage): boolean {
  const count = a.numFiles()
  if (count !== b.numFiles() || a.totalSize() !== b.totalSize() || a.pieceLength() !== b.pieceLength()) return false
  for (let i = 0; i < count; i++) {
    const size = a.fileSize(i)
    const relevant = size > 0 && !a.padFileAt(i)
    if (relevant !== (b.fileSize(i) > 0 && !b.padFileAt(i))) return false
    if (!relevant) continue
    if (size !== b.fileSize(i) || a.fileOffset(i) !== b.fileOffset(i) || !samePath(a, b, i)) return false
    if ((a.fileFlags(i) & FileFlags.flagSymlink) !== 0 && a.symlink(i) !== b.symlink(i)) return false
  }
  return true
}

function samePath(a: FileStorage, b: FileStorage, i: number): boolean {
  const pathA = a.pathIndexOf(i)
  const pathB = b.pathIndexOf(i)
  const nameA = a.borrowedNameAt(i)
  const nameB = b.borrowedNameAt(i)
  // comparing text is the rule; where both names are bytes of one metadata there is no need to make any
  if (pathA < 0 || pathB < 0 || nameA < 0 || nameB < 0 || a.lacksRoot(i) || b.lacksRoot(i)) {
    return a.filePath(i) === b.filePath(i)
  }
  const length = a.borrowedNameLength(i)
  if (length !== b.borrowedNameLength(i)) return false
  const sourceA = a.sourceView()
  const sourceB = b.sourceView()
  for (let k = 0; k < length; k++) if (sourceA[nameA + k] !== sourceB[nameB + k]) return false
  return a.paths()[pathA] === b.paths()[pathB] && a.name() === b.name()
}
