/** A torrent in memory, and files that pass from one to another. */

import { resolve } from 'node:path'
import type { FileIndex, PieceIndex } from '../core/brands.ts'
import { Operation } from '../core/enums.ts'
import { errnoError, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import type { DiskError } from './disk-io.ts'
import { StorageState } from './storage-state.ts'

/** Pieces as they were written; those that were not are missing. */
export class MemoryStorage extends StorageState {
  readonly pieces = new Map<PieceIndex, Uint8Array>()
}

/**
 * Copies files that other storages have, where a disk would make links: into missing files that are wanted.
 *
 * @param links per file the path of a file with the same content, empty for none
 * @returns whether a file came into being, and the first that could not
 */
export function shareFiles(
  state: MemoryStorage,
  links: readonly string[],
  storages: readonly MemoryStorage[],
): { added: boolean; error: DiskError | null } {
  let added = false
  let error: DiskError | null = null
  for (const [file, link] of links.entries()) {
    const size = state.files.fileSize(file)
    if (link === '' || size === 0 || state.priority(file) === 0 || state.isPad(file) || hasAny(state, file)) continue
    const source = findFile(storages, resolve(link))
    if (source === null || source.state.files.fileSize(source.file) !== size) {
      const code = source === null ? errnoError('ENOENT') : libtorrentError(LibtorrentErrors.mismatchingFileSize)
      error ??= { code, operation: Operation.fileHardLink, file }
      continue
    }
    copyFile(source.state, source.file, state, file)
    added = true
  }
  return { added, error }
}

function findFile(storages: readonly MemoryStorage[], name: string): { state: MemoryStorage; file: FileIndex } | null {
  for (const state of storages) {
    for (let file = 0; file < state.files.numFiles(); file++) {
      if (!state.isPad(file) && state.path(file) === name && hasAny(state, file)) return { state, file }
    }
  }
  return null
}

/** Whether there would be such a file on a disk. */
function hasAny(state: MemoryStorage, file: FileIndex): boolean {
  const length = state.files.pieceLength()
  const end = state.files.fileOffset(file) + state.files.fileSize(file)
  const first = Math.floor(state.files.fileOffset(file) / length)
  for (let piece = first; piece * length < end; piece++) if (state.pieces.has(piece)) return true
  return false
}

function copyFile(from: MemoryStorage, fromFile: FileIndex, to: MemoryStorage, toFile: FileIndex): void {
  const size = from.files.fileSize(fromFile)
  for (let at = 0; at < size; ) {
    const source = locate(from, fromFile, at)
    const target = locate(to, toFile, at)
    const length = Math.min(size - at, source.left, target.left)
    let bytes = to.pieces.get(target.piece)
    if (bytes === undefined) {
      bytes = new Uint8Array(to.pieceSize(target.piece))
      to.pieces.set(target.piece, bytes)
    }
    const given = from.pieces.get(source.piece)
    if (given !== undefined) bytes.set(given.subarray(source.offset, source.offset + length), target.offset)
    at += length
  }
}

/** Where a byte of a file is, and how many are left in its piece. */
function locate(state: MemoryStorage, file: FileIndex, at: number): { piece: number; offset: number; left: number } {
  const length = state.files.pieceLength()
  const position = state.files.fileOffset(file) + at
  const piece = Math.floor(position / length)
  const offset = position - piece * length
  return { piece, offset, left: length - offset }
}
