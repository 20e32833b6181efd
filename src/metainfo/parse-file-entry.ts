/** What the file dictionaries of v1 lists and v2 trees have in common (BEP 3, 47, 52). */

import { TOKEN_END, TOKEN_INTEGER, TOKEN_LIST, TOKEN_STRING, type TokenTable } from '../bencode/token-table.ts'
import { BLOCK_SIZE } from '../core/brands.ts'
import { FileFlags } from '../core/enums.ts'
import { LibtorrentError, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { FileStorage } from './file-storage.ts'
import { joinPath } from './path.ts'
import { sanitizeElement } from './sanitize-path.ts'

/** Throws an error of libtorrent's category. */
export function failLoad(error: LibtorrentErrors): never {
  throw new LibtorrentError(libtorrentError(error))
}

/**
 * Tokens of the values of one file's dictionary, -1 where there is none. One object is used for all files. Of a
 * key that is there twice the first counts, also if its value is of the wrong type.
 */
export class FileFields {
  attr = -1
  length = -1
  mtime = -1
  path = -1
  pathUtf8 = -1
  piecesRoot = -1
  symlinkPath = -1

  read(t: TokenTable, dict: number): void {
    this.attr = -1
    this.length = -1
    this.mtime = -1
    this.path = -1
    this.pathUtf8 = -1
    this.piecesRoot = -1
    this.symlinkPath = -1
    for (let key = dict + 1; t.kind(key) !== TOKEN_END; key = t.next(key + 1)) this.#take(t, key)
  }

  #take(t: TokenTable, key: number): void {
    const value = key + 1
    switch (t.stringLength(key)) {
      case 4:
        if (this.path < 0 && t.stringIs(key, 'path')) this.path = value
        else if (this.attr < 0 && t.stringIs(key, 'attr')) this.attr = value
        return
      case 5:
        if (this.mtime < 0 && t.stringIs(key, 'mtime')) this.mtime = value
        return
      case 6:
        if (this.length < 0 && t.stringIs(key, 'length')) this.length = value
        return
      case 10:
        if (this.pathUtf8 < 0 && t.stringIs(key, 'path.utf-8')) this.pathUtf8 = value
        return
      case 11:
        if (this.piecesRoot < 0 && t.stringIs(key, 'pieces root')) this.piecesRoot = value
        return
      case 12:
        if (this.symlinkPath < 0 && t.stringIs(key, 'symlink path')) this.symlinkPath = value
    }
  }
}

/** The attribute letters of a file as flags; letters that are not known are passed over. @see BEP 47 */
export function fileFlagsOf(t: TokenTable, fields: FileFields): number {
  if (fields.attr < 0 || t.kind(fields.attr) !== TOKEN_STRING) return 0
  let flags = 0
  const end = t.stringEnd(fields.attr)
  for (let at = t.stringStart(fields.attr); at < end; at++) {
    switch (t.buffer[at]) {
      case 0x6c:
        flags |= FileFlags.flagSymlink
        break
      case 0x78:
        flags |= FileFlags.flagExecutable
        break
      case 0x68:
        flags |= FileFlags.flagHidden
        break
      case 0x70:
        flags |= FileFlags.flagPadFile
    }
  }
  return flags
}

/** Size of a file; symlinks have none. */
export function fileSizeOf(t: TokenTable, fields: FileFields, flags: number, maxBlocks: number): number {
  if ((flags & FileFlags.flagSymlink) !== 0) return 0
  const size = fields.length >= 0 && t.kind(fields.length) === TOKEN_INTEGER ? t.int(fields.length) : -1
  if (size < 0 || size > FileStorage.maxFileSize || Math.floor(size / BLOCK_SIZE) >= maxBlocks) {
    failLoad(LibtorrentErrors.torrentInvalidLength)
  }
  return size
}

export function mtimeOf(t: TokenTable, fields: FileFields): number {
  return fields.mtime >= 0 && t.kind(fields.mtime) === TOKEN_INTEGER ? t.int(fields.mtime) : 0
}

/**
 * Number of elements of a path.
 *
 * @throws LibtorrentError `torrentDirectoryTooDeep`, or `torrentInvalidName` if an element is no string
 */
export function pathDepth(t: TokenTable, list: number, maxDepth: number): number {
  let count = 0
  let strings = true
  for (let i = list + 1; t.kind(i) !== TOKEN_END; i = t.next(i)) {
    if (t.kind(i) !== TOKEN_STRING) strings = false
    count++
  }
  if (count > maxDepth) failLoad(LibtorrentErrors.torrentDirectoryTooDeep)
  if (!strings) failLoad(LibtorrentErrors.torrentInvalidName)
  return count
}

/** Where a symlink points, relative to the torrent's directory; `null` if the dictionary does not say. */
export function symlinkTargetOf(t: TokenTable, fields: FileFields, maxDepth: number): string | null {
  const list = fields.symlinkPath
  if (list < 0 || t.kind(list) !== TOKEN_LIST) return null
  let target = ''
  const count = pathDepth(t, list, maxDepth)
  for (let i = list + 1; i <= list + count; i++) {
    // BEP 47 forbids these two; torrents that have them are read as if they had not
    if (t.stringIs(i, '.') || t.stringIs(i, '..')) continue
    target = joinPath(target, sanitizeElement(t.buffer, t.stringStart(i), t.stringEnd(i), true) ?? '_')
  }
  return target
}
