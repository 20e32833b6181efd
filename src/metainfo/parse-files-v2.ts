/** The file tree of a v2 torrent (BEP 52) into a `FileStorage`. */

import { TOKEN_DICT, TOKEN_END, TOKEN_STRING, type TokenTable } from '../bencode/token-table.ts'
import { FileFlags } from '../core/enums.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { FileStorage } from './file-storage.ts'
import { HASH_SIZE } from './merkle.ts'
import { FileFields, failLoad, fileFlagsOf, fileSizeOf, mtimeOf, symlinkTargetOf } from './parse-file-entry.ts'
import { isPlainElement, sanitizeElement } from './sanitize-path.ts'

/** One open directory. */
interface Frame {
  /** Token of the next key. */
  key: number
  /** Without the name of the torrent. */
  readonly path: string
  /** In the storage, -1 until a file needs it. */
  index: number
}

const SLASH = 0x2f

/** Reads the `file tree` of the info dictionary. The tree is walked with a stack of its own, limited in depth. */
export class FileTreeV2 {
  readonly #table: TokenTable
  readonly #files: FileStorage
  readonly #torrentName: string
  readonly #maxDepth: number
  /** Offsets in the table's buffer minus this are offsets in the info section, from which names are borrowed. */
  readonly #infoOffset: number
  readonly #fields = new FileFields()

  constructor(t: TokenTable, infoOffset: number, files: FileStorage, torrentName: string, maxDepth: number) {
    this.#table = t
    this.#infoOffset = infoOffset
    this.#files = files
    this.#torrentName = torrentName
    this.#maxDepth = maxDepth
  }

  /**
   * @param multiFile false if the only file of a tree without directories is to be the torrent itself
   * @throws LibtorrentError
   */
  read(tree: number, multiFile: boolean): void {
    const t = this.#table
    const stack: Frame[] = [{ key: tree + 1, path: '', index: -1 }]
    let mayBeSingle = !multiFile && t.childCount(tree) === 2
    while (stack.length > 0) {
      const frame = stack[stack.length - 1]!
      if (t.kind(frame.key) === TOKEN_END) {
        stack.pop()
        continue
      }
      const key = frame.key
      const value = key + 1
      frame.key = t.next(value)
      if (t.kind(value) !== TOKEN_DICT || t.stringLength(key) === 0) failLoad(LibtorrentErrors.torrentFileParseFailed)
      if (this.#isLeaf(value)) {
        this.#file(frame, key, value + 2, mayBeSingle)
      } else {
        if (stack.length > this.#maxDepth) failLoad(LibtorrentErrors.torrentDirectoryTooDeep)
        if (t.kind(value + 1) !== TOKEN_END) {
          const name = this.#element(key)
          const path = frame.path === '' ? name : `${frame.path}/${name}`
          stack.push({ key: value + 1, path, index: -1 })
        }
      }
      mayBeSingle = false
    }
  }

  /** A file is a directory whose only entry has the empty name. */
  #isLeaf(dict: number): boolean {
    const t = this.#table
    if (t.kind(dict + 1) === TOKEN_END || t.stringLength(dict + 1) !== 0) return false
    return t.kind(t.next(dict + 2)) === TOKEN_END
  }

  #file(frame: Frame, key: number, dict: number, single: boolean): void {
    const t = this.#table
    if (t.kind(dict) !== TOKEN_DICT) failLoad(LibtorrentErrors.torrentFileParseFailed)
    const fields = this.#fields
    fields.read(t, dict)
    const flags = fileFlagsOf(t, fields)
    if ((flags & FileFlags.flagPadFile) !== 0) failLoad(LibtorrentErrors.torrentInvalidPadFile)
    const size = fileSizeOf(t, fields, flags, FileStorage.maxNumPieces)
    const mtime = mtimeOf(t, fields)
    const link = (flags & FileFlags.flagSymlink) !== 0 ? (symlinkTargetOf(t, fields, this.#maxDepth) ?? '') : ''
    let rootAt = -1
    if (link === '' && size > 0) {
      const root = fields.piecesRoot
      if (root < 0 || t.kind(root) !== TOKEN_STRING || t.stringLength(root) !== HASH_SIZE) {
        failLoad(LibtorrentErrors.torrentMissingPiecesRoot)
      }
      rootAt = t.stringStart(root)
      if (isZero(t.buffer, rootAt)) failLoad(LibtorrentErrors.torrentMissingPiecesRoot)
    }
    if (single) {
      const root = rootAt < 0 ? null : t.buffer.subarray(rootAt, rootAt + HASH_SIZE)
      this.#files.addFile(this.#element(key), size, flags, mtime, link, root)
      return
    }
    if (rootAt >= 0) rootAt -= this.#infoOffset
    const start = t.stringStart(key)
    const end = t.stringEnd(key)
    if (isPlainElement(t.buffer, start, end)) {
      if (frame.index < 0) frame.index = this.#files.pathIndex(frame.path)
      const nameAt = start - this.#infoOffset
      this.#files.addBorrowed(this.#torrentName, frame.index, nameAt, end - start, size, flags, mtime, link, rootAt)
    } else {
      const inner = frame.path === '' ? this.#element(key) : `${frame.path}/${this.#element(key)}`
      const root = rootAt < 0 ? null : this.#files.sourceView().subarray(rootAt, rootAt + HASH_SIZE)
      this.#files.addFile(`${this.#torrentName}/${inner}`, size, flags, mtime, link, root)
    }
  }

  /** The cleaned name under `key`. */
  #element(key: number): string {
    const t = this.#table
    const end = t.stringEnd(key)
    let start = t.stringStart(key)
    while (start < end && t.buffer[start] === SLASH) start++
    return sanitizeElement(t.buffer, start, end, true) ?? '_'
  }
}

function isZero(b: Uint8Array, at: number): boolean {
  for (let i = at; i < at + HASH_SIZE; i++) if (b[i] !== 0) return false
  return true
}
