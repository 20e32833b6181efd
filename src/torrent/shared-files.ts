/**
 * Files that a torrent has in common with others of the session: what is on disk already need not come again.
 *
 * @see BEP 38; BEP 52: files with the same content have the same root
 */

import type { FileIndex } from '../core/brands.ts'
import { bytesEqual, bytesToBinary } from '../core/bytes.ts'
import { sha1 } from '../core/hash.ts'
import type { FileStorage } from '../metainfo/file-storage.ts'
import type { TorrentInfo } from '../metainfo/torrent-info.ts'
import type { Torrent } from './torrent.ts'

const SHA1_SIZE = 20

/** A torrent whose files may be used. */
export interface FileSource {
  readonly info: TorrentInfo
  /** The file is on disk with all its bytes, where `path` says. */
  isWhole(file: FileIndex): boolean
  /** Where it is on disk. */
  path(file: FileIndex): string
}

/**
 * For each file of one torrent the path of a file with the same content.
 *
 * v2 files are the same if their root and size are, whatever the piece sizes. v1 files are compared by the hashes of
 * their pieces, so both must begin with a piece, have the same piece size, and be followed by the same bytes (padding,
 * or nothing) to the end of the last piece.
 */
export class ResolveLinks {
  readonly #info: TorrentInfo
  readonly #files: FileStorage
  /** Files that have no link yet, by size and piece hashes. */
  #byHashes: Map<string, FileIndex[]> | null = null
  #sizes: Set<number> | null = null
  /** Files that have no link yet, by root. */
  #byRoot: Map<string, FileIndex[]> | null = null
  #links: string[] | null = null

  constructor(info: TorrentInfo) {
    this.#info = info
    this.#files = info.layout()
  }

  /** Looks for files that the other torrent has too. Each file of it serves one of ours. */
  match(source: FileSource): void {
    if (this.#info.v2() && source.info.v2()) this.#matchV2(source)
    if (this.#info.v1() && source.info.v1()) this.#matchV1(source)
  }

  /** Whether a file has a link. */
  has(file: FileIndex): boolean {
    return this.#links !== null && this.#links[file] !== ''
  }

  /** @param path of a file with the same content */
  set(file: FileIndex, path: string): void {
    this.#links ??= new Array<string>(this.#files.numFiles()).fill('')
    this.#links[file] = path
  }

  /** By file index, empty for none; of no elements if there is none at all. */
  links(): string[] {
    return this.#links ?? []
  }

  #matchV2(source: FileSource): void {
    this.#byRoot ??= this.#indexRoots()
    const theirs = source.info.layout()
    for (let file = 0; file < theirs.numFiles(); file++) {
      if (!canBeShared(theirs, file)) continue
      const ours = this.#byRoot.get(bytesToBinary(theirs.rootView(file)!))
      // the root of a file of two hashes is that of one of two blocks
      const at = ours?.findIndex(o => !this.has(o) && this.#files.fileSize(o) === theirs.fileSize(file)) ?? -1
      if (at < 0 || !source.isWhole(file)) continue
      this.set(ours![at]!, source.path(file))
      ours!.splice(at, 1)
    }
  }

  #indexRoots(): Map<string, FileIndex[]> {
    const out = new Map<string, FileIndex[]>()
    for (let file = 0; file < this.#files.numFiles(); file++) {
      if (canBeShared(this.#files, file)) append(out, bytesToBinary(this.#files.rootView(file)!), file)
    }
    return out
  }

  #matchV1(source: FileSource): void {
    const theirs = source.info.layout()
    if (theirs.pieceLength() !== this.#files.pieceLength()) return
    this.#sizes ??= this.#sizesOfAligned()
    for (let file = 0; file < theirs.numFiles(); file++) {
      if (!isAligned(theirs, file) || !this.#sizes.has(theirs.fileSize(file))) continue
      this.#byHashes ??= this.#indexHashes()
      const ours = this.#byHashes.get(hashesKey(source.info, file))
      const at = ours?.findIndex(o => !this.has(o)) ?? -1
      if (at < 0 || !source.isWhole(file)) continue
      this.set(ours![at]!, source.path(file))
      ours!.splice(at, 1)
    }
  }

  #sizesOfAligned(): Set<number> {
    const out = new Set<number>()
    for (let file = 0; file < this.#files.numFiles(); file++) {
      if (isAligned(this.#files, file)) out.add(this.#files.fileSize(file))
    }
    return out
  }

  #indexHashes(): Map<string, FileIndex[]> {
    const out = new Map<string, FileIndex[]>()
    for (let file = 0; file < this.#files.numFiles(); file++) {
      if (isAligned(this.#files, file)) append(out, hashesKey(this.#info, file), file)
    }
    return out
  }
}

/** Pad files and empty ones, symbolic links among them, are made and not shared. */
function canBeShared(files: FileStorage, file: FileIndex): boolean {
  return files.fileSize(file) > 0 && !files.padFileAt(file)
}

function isAligned(files: FileStorage, file: FileIndex): boolean {
  return canBeShared(files, file) && files.fileOffset(file) % files.pieceLength() === 0
}

/** The hashes of a file's pieces lie side by side in the metadata: one digest stands for all of them. */
function hashesKey(info: TorrentInfo, file: FileIndex): string {
  const files = info.layout()
  const size = files.fileSize(file)
  const first = info.pieceHashView(files.pieceIndexAtFile(file))
  const count = Math.ceil(size / files.pieceLength())
  return `${size} ${bytesToBinary(sha1(new Uint8Array(first.buffer, first.byteOffset, count * SHA1_SIZE)))}`
}

function append(map: Map<string, FileIndex[]>, key: string, file: FileIndex): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [file])
  else list.push(file)
}

// ---- torrents of a session -------------------------------------------------------------------------

/** A file of a torrent. */
export interface TorrentFile {
  readonly torrent: Torrent
  readonly file: FileIndex
}

/**
 * Per file of a torrent the path of a file of another torrent of the session with the same content, empty for none; of
 * no elements if there is none at all.
 *
 * Torrents that are named as similar come first, then those that have a file of the same root.
 *
 * Deviation: libtorrent asks that all of the other torrent be there, of which the file is part. Here the file must be.
 */
export function sharedFiles(torrent: Torrent): string[] {
  const { info } = torrent
  if (info === null) return []
  const { registry } = torrent.env
  const resolve = new ResolveLinks(info)
  for (const other of registry.similar(torrent)) {
    const source = sourceOf(other)
    if (source !== null) resolve.match(source)
  }
  if (info.v2()) {
    const files = info.layout()
    for (let file = 0; file < files.numFiles(); file++) {
      if (!canBeShared(files, file) || resolve.has(file)) continue
      for (const other of registry.filesWithRoot(files.rootView(file)!)) {
        if (other.torrent === torrent || !isSame(files, file, other)) continue
        const source = sourceOf(other.torrent)
        if (source === null || !source.isWhole(other.file)) continue
        resolve.set(file, source.path(other.file))
        break
      }
    }
  }
  return resolve.links()
}

function isSame(files: FileStorage, file: FileIndex, other: TorrentFile): boolean {
  const theirs = other.torrent.info?.layout()
  const root = theirs?.rootView(other.file) ?? null
  if (theirs === undefined || root === null) return false
  return theirs.fileSize(other.file) === files.fileSize(file) && bytesEqual(root, files.rootView(file)!)
}

/** @returns `null` if its files are not where it says, or are about to leave */
function sourceOf(torrent: Torrent): FileSource | null {
  const { content, files } = torrent
  if (content === null || content.storage === null || torrent.aborted || torrent.deleted || files.moving) return null
  if (!torrent.isSeed && !torrent.ready) return null
  return {
    info: content.info,
    isWhole: file => isOnDisk(torrent, file),
    path: file => files.describe(file),
  }
}

/** Unwanted files may be in the part file. */
function isOnDisk(torrent: Torrent, file: FileIndex): boolean {
  const content = torrent.content!
  if (content.priorities.filePriority(file) === 0) return false
  if (torrent.isSeed) return true
  const { begin, end } = content.geometry.piecesOfFile(file)
  for (let piece = begin; piece < end; piece++) if (!content.havePiece(piece)) return false
  return true
}
