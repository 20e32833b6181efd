/** The file list of a v1 torrent (BEP 3, attributes of BEP 47) into a `FileStorage`. */

import { TOKEN_DICT, TOKEN_END, TOKEN_LIST, TOKEN_STRING, type TokenTable } from '../bencode/token-table.ts'
import { bytesToBinary } from '../core/bytes.ts'
import { FileFlags } from '../core/enums.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import type { FileStorage } from './file-storage.ts'
import {
  FileFields,
  failLoad,
  fileFlagsOf,
  fileSizeOf,
  mtimeOf,
  pathDepth,
  symlinkTargetOf,
} from './parse-file-entry.ts'
import { isPlainElement, sanitizeElement } from './sanitize-path.ts'

/** Blocks of a file must be countable in a 31-bit merkle tree. */
const MAX_BLOCKS = 0x3fffffff
/** BitComet's mark for padding, from before there were attributes. */
const PADDING_MARK = '_____padding_file_'
const PADDING_MARK_BYTES = Array.from(PADDING_MARK, c => c.charCodeAt(0))

/**
 * The one file of a torrent without a file list, described in the info dictionary itself.
 *
 * @throws LibtorrentError
 */
export function parseSingleFileV1(t: TokenTable, info: number, files: FileStorage, maxDepth: number): void {
  const fields = new FileFields()
  fields.read(t, info)
  let flags = fileFlagsOf(t, fields)
  const size = fileSizeOf(t, fields, flags, MAX_BLOCKS)
  let name = t.findKind(info, 'name.utf-8', TOKEN_STRING)
  if (name < 0) name = t.findKind(info, 'name', TOKEN_STRING)
  if (name < 0 || t.stringLength(name) === 0) failLoad(LibtorrentErrors.torrentMissingName)
  const path = sanitizeElement(t.buffer, t.stringStart(name), t.stringEnd(name), false)
  if (path === null) failLoad(LibtorrentErrors.torrentMissingName)
  if (path.includes(PADDING_MARK)) flags |= FileFlags.flagPadFile
  const link = (flags & FileFlags.flagSymlink) !== 0 ? symlinkTargetOf(t, fields, maxDepth) : null
  files.addFile(path, size, flags, mtimeOf(t, fields), link ?? '')
}

/** Reads the `files` list of the info dictionary, file by file. */
export class FileListV1 {
  readonly #table: TokenTable
  readonly #files: FileStorage
  readonly #torrentName: string
  readonly #maxDepth: number
  /** Offsets in the table's buffer minus this are offsets in the info section, from which names are borrowed. */
  readonly #infoOffset: number
  readonly #fields = new FileFields()
  /** Path index and padding mark (bit 0) of the directories met, by their bencoded elements. */
  readonly #directories = new Map<string, number>()
  /** The directory of the previous file, which the next one mostly shares. */
  #lastStart = 0
  #lastLength = -1
  #last = 0

  constructor(t: TokenTable, infoOffset: number, files: FileStorage, torrentName: string, maxDepth: number) {
    this.#table = t
    this.#infoOffset = infoOffset
    this.#files = files
    this.#torrentName = torrentName
    this.#maxDepth = maxDepth
  }

  /** @throws LibtorrentError */
  read(list: number): void {
    const t = this.#table
    const nameMarked = this.#torrentName.includes(PADDING_MARK)
    this.#files.reserve(t.childCount(list))
    for (let file = list + 1; t.kind(file) !== TOKEN_END; file = t.next(file)) this.#file(file, nameMarked)
  }

  #file(dict: number, nameMarked: boolean): void {
    const t = this.#table
    if (t.kind(dict) !== TOKEN_DICT) failLoad(LibtorrentErrors.torrentFileParseFailed)
    const fields = this.#fields
    fields.read(t, dict)
    let flags = fileFlagsOf(t, fields)
    const size = fileSizeOf(t, fields, flags, MAX_BLOCKS)
    let list = fields.pathUtf8
    if (list < 0 || t.kind(list) !== TOKEN_LIST) list = fields.path
    if (list < 0 || t.kind(list) !== TOKEN_LIST || t.kind(list + 1) === TOKEN_END) {
      // padding needs no name
      if ((flags & FileFlags.flagPadFile) === 0) failLoad(LibtorrentErrors.torrentMissingName)
      this.#addNamed(`.pad/${size}`, size, flags)
      return
    }
    const leaf = list + pathDepth(t, list, this.#maxDepth)
    const directory = this.#directory(list, leaf)
    const start = t.stringStart(leaf)
    const end = t.stringEnd(leaf)
    if ((directory & 1) !== 0 || nameMarked || hasPaddingMark(t.buffer, start, end)) flags |= FileFlags.flagPadFile
    if (this.#files.numFiles() > 0 && this.#files.name() !== this.#torrentName) {
      // the first file was padding without a name, so the directory of the torrent is not its first part
      this.#addNamed(this.#wholePath(directory >> 1, start, end), size, flags)
      return
    }
    let link = ''
    if ((flags & FileFlags.flagSymlink) !== 0) link = symlinkTargetOf(t, fields, this.#maxDepth) ?? ''
    if (isPlainElement(t.buffer, start, end)) {
      const nameAt = start - this.#infoOffset
      const mtime = mtimeOf(t, fields)
      this.#files.addBorrowed(this.#torrentName, directory >> 1, nameAt, end - start, size, flags, mtime, link, -1)
    } else {
      this.#files.addFile(this.#wholePath(directory >> 1, start, end), size, flags, mtimeOf(t, fields), link)
    }
  }

  #addNamed(path: string, size: number, flags: number): void {
    const t = this.#table
    const link = (flags & FileFlags.flagSymlink) !== 0 ? symlinkTargetOf(t, this.#fields, this.#maxDepth) : null
    this.#files.addFile(path, size, flags, mtimeOf(t, this.#fields), link ?? '')
  }

  #wholePath(directory: number, start: number, end: number): string {
    const leaf = sanitizeElement(this.#table.buffer, start, end, true) ?? '_'
    const inner = this.#files.paths()[directory]!
    return inner === '' ? `${this.#torrentName}/${leaf}` : `${this.#torrentName}/${inner}/${leaf}`
  }

  /** @returns the path index of the elements before `leaf`, times 2, plus 1 if they have the padding mark */
  #directory(list: number, leaf: number): number {
    const t = this.#table
    const b = t.buffer
    const start = t.offset(list + 1)
    const length = t.offset(leaf) - start
    if (length === this.#lastLength) {
      const last = this.#lastStart
      let i = 0
      while (i < length && b[start + i] === b[last + i]) i++
      if (i === length) return this.#last
    }
    const key = bytesToBinary(b.subarray(start, start + length))
    let found = this.#directories.get(key)
    if (found === undefined) {
      let path = ''
      for (let i = list + 1; i < leaf; i++) {
        const element = sanitizeElement(b, t.stringStart(i), t.stringEnd(i), true) ?? '_'
        path = i === list + 1 ? element : `${path}/${element}`
      }
      found = this.#files.pathIndex(path) * 2 + (path.includes(PADDING_MARK) ? 1 : 0)
      this.#directories.set(key, found)
    }
    this.#lastStart = start
    this.#lastLength = length
    this.#last = found
    return found
  }
}

/** Whether a name has BitComet's mark, of which the first character is looked for first. */
function hasPaddingMark(b: Uint8Array, start: number, end: number): boolean {
  const last = end - PADDING_MARK_BYTES.length
  for (let i = start; i <= last; i++) {
    let k = 0
    while (k < PADDING_MARK_BYTES.length && b[i + k] === PADDING_MARK_BYTES[k]) k++
    if (k === PADDING_MARK_BYTES.length) return true
  }
  return false
}
