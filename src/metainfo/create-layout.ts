/** How the files of a new torrent are ordered, padded and cut into pieces. */

import { BLOCK_SIZE } from '../core/brands.ts'
import { compareBytes, textToBytes } from '../core/bytes.ts'
import { FileFlags } from '../core/enums.ts'
import { ErrorCode, genericCategory, LibtorrentError, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { CreateFileEntry, pathElements } from './create-file-entry.ts'
import { CreateFlags } from './create-flags.ts'

/** Larger pieces are refused: some clients cannot take them. */
const MAX_PIECE_LENGTH = 128 * 1024 * 1024
/** `errno` EFBIG, "File too large". */
const FILE_TOO_LARGE = 27

/**
 * Largest total size for which the piece length is 16 KiB, 32 KiB ... 8 MiB; above, it is 16 MiB.
 *
 * They keep the list of hashes at about twice the square root of the size.
 */
const SIZE_LIMITS = [
  2684355, 10737418, 42949673, 171798692, 687194767, 2748779069, 10995116278, 43980465111, 175921860444, 703687441777,
]

/** Files in their final order, with pad files, and the size of all of them. */
export interface FileLayout {
  readonly files: readonly CreateFileEntry[]
  readonly totalSize: number
}

/**
 * Checks a list of files.
 *
 * @returns the size of all
 * @throws LibtorrentError `noFilesInTorrent`, `torrentInvalidLength`, EFBIG; RangeError for a malformed entry
 */
export function checkFiles(files: readonly CreateFileEntry[]): number {
  if (files.length === 0) throw new LibtorrentError(libtorrentError(LibtorrentErrors.noFilesInTorrent))
  let total = 0
  const root = pathElements(files[0]!.filename)[0]
  for (const file of files) {
    if (!Number.isSafeInteger(file.size) || file.size < 0) {
      throw new RangeError(`CreateTorrent: size of ${file.filename} is no file size`)
    }
    total += file.size
    if (files.length === 1) continue
    const elements = pathElements(file.filename)
    if (elements.length < 2 || elements[0] !== root) {
      throw new RangeError(`CreateTorrent: expected all files below one directory, not ${file.filename}`)
    }
  }
  if (root === undefined) throw new RangeError('CreateTorrent: expected a file name')
  if (total === 0) throw new LibtorrentError(libtorrentError(LibtorrentErrors.torrentInvalidLength))
  if (!Number.isSafeInteger(total)) throw new LibtorrentError(new ErrorCode(FILE_TOO_LARGE, genericCategory()))
  return total
}

/**
 * The length of pieces.
 *
 * @param wanted 0 to choose it by the total size
 * @throws LibtorrentError `invalidPieceSize`
 */
export function choosePieceLength(wanted: number, totalSize: number, flags: number): number {
  let length = wanted
  if (length === 0) {
    let i = 0
    while (i < SIZE_LIMITS.length && SIZE_LIMITS[i]! < totalSize) i++
    length = BLOCK_SIZE * 2 ** i
  }
  const powerOfTwo = (n: number) => Number.isInteger(n) && n > 0 && n <= MAX_PIECE_LENGTH && (n & (n - 1)) === 0
  let valid: boolean
  if ((flags & CreateFlags.v1Only) === 0) {
    length = Math.max(length, BLOCK_SIZE)
    valid = powerOfTwo(length)
  } else {
    valid = length % BLOCK_SIZE === 0 || powerOfTwo(length) || (flags & CreateFlags.allowOddPieceSize) !== 0
  }
  if (!valid || !Number.isInteger(length) || length < 1 || length > MAX_PIECE_LENGTH) {
    throw new LibtorrentError(libtorrentError(LibtorrentErrors.invalidPieceSize))
  }
  return length
}

/**
 * Sorts files by path and pads them so that each starts at a piece: what BEP 52 asks for.
 *
 * @param tailPadding false to leave out the pad file at the end of the last file
 */
export function canonicalLayout(
  files: readonly CreateFileEntry[],
  pieceLength: number,
  tailPadding: boolean,
): FileLayout {
  const sorted = sortByPath(files)
  const root = pathElements(sorted[0]!.filename)[0]!
  const out: CreateFileEntry[] = []
  let offset = 0
  const pad = (size: number) => {
    const rest = offset % pieceLength
    if (rest === 0 || size === 0) return
    const length = pieceLength - rest
    out.push(new CreateFileEntry(`${root}/.pad/${length}`, length, FileFlags.flagPadFile))
    offset += length
  }
  for (const file of sorted) {
    if ((file.flags & FileFlags.flagPadFile) !== 0) continue
    if (!tailPadding) pad(file.size)
    out.push(file)
    offset += file.size
    // A torrent of one file has no padding: else no hybrid torrent could consist of one file.
    if (tailPadding && sorted.length > 1) pad(file.size)
  }
  return { files: out, totalSize: offset }
}

/**
 * In the order of the file tree: part by part, each by its bytes (JavaScript's own order differs beyond U+FFFF).
 *
 * Deviation: libtorrent 2.1 compares whole paths, in which `a.txt` and `a-b` come before what is in the directory `a`. The
 * tree then has keys that are not sorted, and no libtorrent loads the torrent. 2.0 sorts as is done here.
 */
function sortByPath(files: readonly CreateFileEntry[]): readonly CreateFileEntry[] {
  // no name has a byte below the separator's, once that is zero
  const keyed = files.map(file => ({ file, key: textToBytes(pathElements(file.filename).join('\0')) }))
  keyed.sort((a, b) => compareBytes(a.key, b.key))
  return keyed.map(entry => entry.file)
}
