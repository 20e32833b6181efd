/**
 * The files of a torrent: names, sizes, attributes, and where each lies in the run of bytes that pieces divide.
 *
 * Kept as a structure of arrays: a torrent of 100,000 files is a few typed arrays and not 100,000 objects.
 * Names stay in the metadata they were read from and become text when they are asked for.
 */

import { BLOCK_SIZE } from '../core/brands.ts'
import { bytesEqual } from '../core/bytes.ts'
import { Sha256Hash } from '../core/digest.ts'
import { FileFlags } from '../core/enums.ts'
import { ErrorCode, errnoError, genericCategory, LibtorrentError, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { IndexRange } from '../core/index-range.ts'
import { PeerRequest } from '../core/peer-request.ts'
import { FileSlice, type SliceList } from './file-slice.ts'
import { HASH_SIZE, merkleFirstLeaf, merkleNumLeafs } from './merkle.ts'
import { isCompletePath, joinPath, splitFirst, splitLast } from './path.ts'

/** Words per file: where its name is; length of the name and flags; path index. */
const STRIDE = 3
const NAME_AT = 0
const NAME_FLAGS = 1
const PATH = 2
/** In the flags: the path does not begin with the name of the torrent. */
const NO_ROOT = 16
const FLAG_MASK = 15
/** Path index of a file directly in the save path. */
const NO_PATH = -1
/** Path index of a file with an absolute path. */
const ABSOLUTE = -2
/** Longest name of one file, in bytes. */
const MAX_NAME = 4095

const NO_BYTES = new Uint8Array(0)

export class FileStorage {
  static readonly flagPadFile: number = FileFlags.flagPadFile
  static readonly flagHidden: number = FileFlags.flagHidden
  static readonly flagExecutable: number = FileFlags.flagExecutable
  static readonly flagSymlink: number = FileFlags.flagSymlink
  /** Largest file: its merkle tree must be counted in 31 bits. */
  static readonly maxFileSize: number = 17592186028032
  static readonly maxFileOffset: number = 281474976710655
  static readonly maxNumPieces: number = 1073741823
  static readonly maxPieceSize: number = 536854528

  #count = 0
  /** Offset of each file, and behind the last one the total size. A size is the distance to the next offset. */
  #offsets = new Float64Array(2)
  #words = new Int32Array(STRIDE)
  /** What borrowed names and hashes lie in. */
  #source: Uint8Array = NO_BYTES
  #ownNames: string[] = []
  #paths: string[] = []
  /** Index of each path, while files are being added. */
  #pathIndex: Map<string, number> | null = null
  /** Per file: 0 for none, offset in the source + 1, or -1 - index in `#ownRoots`. */
  #roots: Int32Array | null = null
  #ownRoots: Uint8Array[] = []
  #mtimes: Float64Array | null = null
  #symlinkIndex: Map<number, number> | null = null
  #symlinks: string[] = []
  #name = ''
  #sizeOnDisk = 0
  #numPieces = 0
  #pieceLength = 0
  #v2 = false
  #sealed = false

  /** True once a piece length was set. */
  isValid(): boolean {
    return this.#pieceLength > 0
  }

  /**
   * Appends a file.
   *
   * In a v2 torrent, a file that does not end at the end of a piece is followed by a pad file.
   *
   * @param path     with the name of the torrent as its first part, unless it is the only file
   * @param size     in bytes
   * @param flags    combination of `FileFlags`
   * @param mtime    seconds since 1970, 0 for none
   * @param linkpath what a symlink points to, relative to the torrent's directory
   * @param root     32 bytes: root of its merkle tree, makes this a v2 torrent; for files that are not empty
   * @throws LibtorrentError EFBIG, ENAMETOOLONG, `torrentInvalidLength`; `torrentMissingPiecesRoot` or
   *   `torrentInconsistentFiles` if files with and without a root are mixed
   */
  addFile(path: string, size: number, flags = 0, mtime = 0, linkpath = '', root: Uint8Array | null = null): void {
    this.#mutable('addFile')
    if (!(Number.isSafeInteger(size) && size >= 0)) {
      throw new RangeError('FileStorage.addFile: size must be an integer >= 0')
    }
    if (path === '') throw new RangeError('FileStorage.addFile: path must not be empty')
    if (size > FileStorage.maxFileSize) throw genericError('EFBIG')
    if (FileStorage.maxFileOffset - this.totalSize() < size) throw failure(LibtorrentErrors.torrentInvalidLength)
    const leaf = splitLast(path)[1]
    if (leaf.length > MAX_NAME / 3 && Buffer.byteLength(leaf) > MAX_NAME) throw genericError('ENAMETOOLONG')
    if (!hasParent(path)) this.#name = path
    else if (this.#count === 0) this.#name = splitFirst(path)[0]
    this.#checkVersion(size, linkpath, root !== null)
    const at = this.#append(size, flags, mtime, linkpath)
    this.#setPath(at, path)
    if (root !== null) {
      this.#ownRoots.push(root.slice(0, HASH_SIZE))
      this.#setRoot(at, -this.#ownRoots.length)
    }
    this.#padTail()
  }

  /**
   * Changes where a file is to be stored, under the same rules as the path given to `addFile`.
   *
   * @deprecated `RenamedFiles` keeps new names beside an unchanged layout
   */
  renameFile(index: number, newFilename: string): void {
    this.#mutable('renameFile')
    this.#check(index)
    if (newFilename === '') throw new RangeError('FileStorage.renameFile: the name must not be empty')
    this.#setPath(index, newFilename)
  }

  /** Names the torrent; the first part of the path of its files, if it has more than one. */
  setName(name: string): void {
    this.#mutable('setName')
    this.#name = name
  }

  name(): string {
    return this.#name
  }

  setNumPieces(count: number): void {
    this.#mutable('setNumPieces')
    this.#numPieces = count
  }

  numPieces(): number {
    return this.#numPieces
  }

  /** Index behind the last piece. */
  endPiece(): number {
    return this.#numPieces
  }

  lastPiece(): number {
    return this.#numPieces - 1
  }

  pieceRange(): IndexRange {
    return new IndexRange(0, this.#numPieces)
  }

  setPieceLength(length: number): void {
    this.#mutable('setPieceLength')
    this.#pieceLength = length
  }

  /** Of all pieces but the last, in bytes. */
  pieceLength(): number {
    return this.#pieceLength
  }

  blocksPerPiece(): number {
    return Math.ceil(this.#pieceLength / BLOCK_SIZE)
  }

  numFiles(): number {
    return this.#count
  }

  /** Index behind the last file. */
  endFile(): number {
    return this.#count
  }

  fileRange(): IndexRange {
    return new IndexRange(0, this.#count)
  }

  /** Of all files, pad files included, in bytes. */
  totalSize(): number {
    return this.#offsets[this.#count]!
  }

  /** Of all files without pad files, in bytes. */
  sizeOnDisk(): number {
    return this.#sizeOnDisk
  }

  /** Whether files have merkle roots. */
  v2(): boolean {
    return this.#v2
  }

  /** Size of a piece; the last one may be shorter. */
  pieceSize(index: number): number {
    this.#checkPiece(index)
    if (index < this.#numPieces - 1) return this.#pieceLength
    return this.totalSize() - (this.#numPieces - 1) * this.#pieceLength
  }

  /** Size of a piece as v2 counts it: it ends where its file does, without padding. */
  pieceSize2(index: number): number {
    this.#checkPiece(index)
    const start = index * this.#pieceLength
    const next = this.#upperBound(start)
    if (next >= this.#count) return this.pieceSize(index)
    return Math.min(this.#pieceLength, this.#offsets[next]! - start)
  }

  /** Blocks in a piece as v2 counts it. */
  blocksInPiece2(index: number): number {
    return Math.ceil(this.pieceSize2(index) / BLOCK_SIZE)
  }

  /** The file that has the byte at `offset` of the torrent. */
  fileIndexAtOffset(offset: number): number {
    if (!(offset >= 0 && offset < this.totalSize())) throw new RangeError(`FileStorage: no byte at ${offset}`)
    return this.#upperBound(offset) - 1
  }

  /** The file in which a piece starts. */
  fileIndexAtPiece(piece: number): number {
    this.#checkPiece(piece)
    return this.#upperBound(piece * this.#pieceLength) - 1
  }

  /** The file in which a piece ends. */
  lastFileIndexAtPiece(piece: number): number {
    return this.#upperBound(piece * this.#pieceLength + this.pieceSize(piece) - 1) - 1
  }

  /** The first file with this merkle root, -1 if there is none. */
  fileIndexForRoot(root: Sha256Hash): number {
    const wanted = root.view()
    for (let i = 0; i < this.#count; i++) {
      const own = this.rootView(i)
      if (own === null ? root.isAllZeros() : bytesEqual(own, wanted)) return i
    }
    return -1
  }

  /** The piece in which a file starts. */
  pieceIndexAtFile(index: number): number {
    return Math.floor(this.fileOffset(index) / this.#pieceLength)
  }

  /** The piece in which a file ends. */
  lastPieceIndexAtFile(index: number): number {
    return Math.floor((this.fileOffset(index) + this.fileSize(index) - 1) / this.#pieceLength)
  }

  /** The slices of files that a range of a piece covers. A range that goes past the end is cut. */
  mapBlock(piece: number, offset: number, size: number): FileSlice[] {
    const out: FileSlice[] = []
    if (this.#count === 0) return out
    let at = this.#rangeStart(piece, offset)
    let left = Math.min(size, this.totalSize() - at)
    for (let file = this.#upperBound(at) - 1; left > 0; file++) {
      const end = this.#offsets[file + 1]!
      if (end <= at) continue
      const slice = new FileSlice()
      slice.fileIndex = file
      slice.offset = at - this.#offsets[file]!
      slice.size = Math.min(left, end - at)
      out.push(slice)
      at += slice.size
      left -= slice.size
    }
    return out
  }

  /** As `mapBlock`, without making objects: replaces the content of `out`. @internal */
  mapBlockInto(piece: number, offset: number, size: number, out: SliceList): void {
    out.count = 0
    if (this.#count === 0) return
    const offsets = this.#offsets
    let at = this.#rangeStart(piece, offset)
    let left = Math.min(size, this.totalSize() - at)
    for (let file = this.#upperBound(at) - 1; left > 0; file++) {
      const end = offsets[file + 1]!
      if (end <= at) continue
      const take = Math.min(left, end - at)
      out.push(file, at - offsets[file]!, take)
      at += take
      left -= take
    }
  }

  /** Where a range of a file lies in the pieces; past the end of the torrent, piece `endPiece()` and length 0. */
  mapFile(file: number, offset: number, size: number): PeerRequest {
    const at = file < this.#count ? offset + this.fileOffset(file) : Number.POSITIVE_INFINITY
    if (at >= this.totalSize()) return new PeerRequest(this.#numPieces, 0, 0)
    const piece = Math.floor(at / this.#pieceLength)
    return new PeerRequest(piece, at % this.#pieceLength, Math.min(size, this.totalSize() - at))
  }

  /** In bytes. */
  fileSize(index: number): number {
    this.#check(index)
    return this.#offsets[index + 1]! - this.#offsets[index]!
  }

  /** In the torrent, in bytes. */
  fileOffset(index: number): number {
    this.#check(index)
    return this.#offsets[index]!
  }

  /** Offset of each file and, last, the total size: read only, and only the first `numFiles() + 1`. @internal */
  offsetsView(): Float64Array {
    return this.#offsets
  }

  padFileAt(index: number): boolean {
    return (this.fileFlags(index) & FileFlags.flagPadFile) !== 0
  }

  /** Combination of `FileFlags`. */
  fileFlags(index: number): number {
    this.#check(index)
    return (this.#words[index * STRIDE + NAME_FLAGS]! >> 16) & FLAG_MASK
  }

  fileAbsolutePath(index: number): boolean {
    this.#check(index)
    return this.#words[index * STRIDE + PATH] === ABSOLUTE
  }

  /** The last part of its path. */
  fileName(index: number): string {
    this.#check(index)
    const at = index * STRIDE
    const nameAt = this.#words[at + NAME_AT]!
    if (nameAt < 0) return this.#ownNames[-1 - nameAt]!
    const source = this.#source
    const length = this.#words[at + NAME_FLAGS]! & 0xffff
    return Buffer.from(source.buffer, source.byteOffset + nameAt, length).toString('utf8')
  }

  /** The path of a file, under `savePath` unless it is absolute. */
  filePath(index: number, savePath = ''): string {
    const name = this.fileName(index)
    const at = index * STRIDE
    const path = this.#words[at + PATH]!
    if (path === ABSOLUTE) return name
    if (path === NO_PATH) return joinPath(savePath, name)
    const noRoot = (this.#words[at + NAME_FLAGS]! & (NO_ROOT << 16)) !== 0
    const branch = noRoot ? savePath : joinPath(savePath, this.#name)
    return joinPath(joinPath(branch, this.#paths[path]!), name)
  }

  /** The path without the name of the torrent in front. @internal */
  innerPath(index: number): string {
    const path = this.#words[index * STRIDE + PATH]!
    const name = this.fileName(index)
    return path >= 0 ? joinPath(this.#paths[path]!, name) : name
  }

  /** Root of the merkle tree of a file; zeros if it has none. */
  root(index: number): Sha256Hash {
    const view = this.rootView(index)
    return view === null ? new Sha256Hash() : new Sha256Hash(view)
  }

  /** As `root`, a view of 32 bytes, or `null` if it has none. @internal */
  rootView(index: number): Uint8Array | null {
    this.#check(index)
    const at = this.#roots === null ? 0 : this.#roots[index]!
    if (at === 0) return null
    return at > 0 ? this.#source.subarray(at - 1, at - 1 + HASH_SIZE) : this.#ownRoots[-1 - at]!
  }

  /** What a symlink points to, with the name of the torrent in front; `''` for other files. */
  symlink(index: number): string {
    this.#check(index)
    const link = this.#symlinkIndex?.get(index)
    return link === undefined ? '' : joinPath(this.#name, this.#symlinks[link]!)
  }

  /** As `symlink` but relative to the torrent's directory. @internal */
  innerSymlink(index: number): string {
    const link = this.#symlinkIndex?.get(index)
    return link === undefined ? '' : this.#symlinks[link]!
  }

  /** Points a symlink elsewhere. @internal */
  setInnerSymlink(index: number, target: string): void {
    this.#mutable('setInnerSymlink')
    const link = this.#symlinkIndex?.get(index)
    if (link !== undefined) this.#symlinks[link] = target
  }

  /** Whether there are symlinks. @internal */
  hasSymlinks(): boolean {
    return this.#symlinkIndex !== null
  }

  /** Seconds since 1970, 0 if not known. */
  mtime(index: number): number {
    this.#check(index)
    return this.#mtimes === null ? 0 : (this.#mtimes[index] ?? 0)
  }

  /** Pieces of a file in a v2 torrent, where files start at pieces. */
  fileNumPieces(index: number): number {
    return Math.ceil(this.fileSize(index) / this.#pieceLength)
  }

  /** Pieces of a file in a v2 torrent, counted from its first. */
  filePieceRange(index: number): IndexRange {
    return new IndexRange(0, this.fileNumPieces(index))
  }

  fileNumBlocks(index: number): number {
    return Math.ceil(this.fileSize(index) / BLOCK_SIZE)
  }

  /** Node of the merkle tree of a file that is the first of the piece layer. */
  fileFirstPieceNode(index: number): number {
    return merkleFirstLeaf(merkleNumLeafs(this.fileNumPieces(index)))
  }

  /** Node of the merkle tree of a file that is the first of the block layer. */
  fileFirstBlockNode(index: number): number {
    return merkleFirstLeaf(merkleNumLeafs(this.fileNumBlocks(index)))
  }

  /** Directories of the torrent, without its name in front; the list itself. @internal */
  paths(): readonly string[] {
    return this.#paths
  }

  /** Index in `paths()` of the directory of a file, negative if it is in none. @internal */
  pathIndexOf(index: number): number {
    return this.#words[index * STRIDE + PATH]!
  }

  /** Whether the path of a file does not begin with the name of the torrent. @internal */
  lacksRoot(index: number): boolean {
    return (this.#words[index * STRIDE + NAME_FLAGS]! & (NO_ROOT << 16)) !== 0
  }

  /** Where in `sourceView()` the name of a file is; negative if it is not there. @internal */
  borrowedNameAt(index: number): number {
    return this.#words[index * STRIDE + NAME_AT]!
  }

  borrowedNameLength(index: number): number {
    return this.#words[index * STRIDE + NAME_FLAGS]! & 0xffff
  }

  /** What borrowed names lie in. @internal */
  sourceView(): Uint8Array {
    return this.#source
  }

  /** Sets what borrowed names and roots lie in; kept, must not change. @internal */
  borrowFrom(source: Uint8Array): void {
    this.#source = source
  }

  /** Makes room for so many files, so that adding them does not move what is there. @internal */
  reserve(files: number): void {
    if (files > this.#words.length / STRIDE) this.#resize(files)
  }

  /** Index of a directory in `paths()`, added if it is new. @internal */
  pathIndex(path: string): number {
    let index = this.#pathIndex
    if (index === null) {
      index = new Map()
      for (let i = 0; i < this.#paths.length; i++) index.set(this.#paths[i]!, i)
      this.#pathIndex = index
    }
    let i = index.get(path)
    if (i === undefined) {
      i = this.#paths.length
      this.#paths.push(path)
      index.set(path, i)
    }
    return i
  }

  /**
   * Appends a file under the torrent's name, its name borrowed from the source. Sizes and the version are
   * checked as `addFile` does; the name is not.
   *
   * @param path   from `pathIndex`
   * @param rootAt where in the source its merkle root is, -1 for none
   * @internal
   */
  addBorrowed(
    torrentName: string,
    path: number,
    nameAt: number,
    nameLength: number,
    size: number,
    flags: number,
    mtime: number,
    symlink: string,
    rootAt: number,
  ): void {
    if (size > FileStorage.maxFileSize) throw genericError('EFBIG')
    if (FileStorage.maxFileOffset - this.#offsets[this.#count]! < size) {
      throw failure(LibtorrentErrors.torrentInvalidLength)
    }
    if (this.#count === 0) this.#name = torrentName
    this.#checkVersion(size, symlink, rootAt >= 0)
    const index = this.#append(size, flags, mtime, symlink)
    const w = index * STRIDE
    this.#words[w + NAME_AT] = nameAt
    this.#words[w + NAME_FLAGS]! |= nameLength
    this.#words[w + PATH] = path
    if (rootAt >= 0) this.#setRoot(index, rootAt + 1)
    if (this.#v2) this.#padTail()
  }

  /**
   * Drops the pad file behind the last file that is not empty, if there is one: hybrid torrents of libtorrent before
   * 2.0.8 lack it in their v1 list. @internal
   */
  removeTailPadding(): void {
    let f = this.#count - 1
    while (f >= 0 && this.fileSize(f) === 0) f--
    if (f < 0 || !this.padFileAt(f)) return
    const start = this.#offsets[f]!
    this.#words.copyWithin(f * STRIDE, (f + 1) * STRIDE, this.#count * STRIDE)
    this.#roots?.copyWithin(f, f + 1, this.#count)
    this.#mtimes?.copyWithin(f, f + 1, this.#count)
    this.#count--
    this.#offsets.fill(start, f, this.#count + 1)
    if (this.#symlinkIndex !== null) {
      const moved = new Map<number, number>()
      for (const [file, link] of this.#symlinkIndex) moved.set(file > f ? file - 1 : file, link)
      this.#symlinkIndex = moved
    }
  }

  /** Gives back spare room and forbids further changes. @internal */
  seal(): this {
    if (this.#words.length !== this.#count * STRIDE) this.#resize(this.#count)
    this.#pathIndex = null
    this.#sealed = true
    return this
  }

  /** A copy that can be changed. @internal */
  clone(): FileStorage {
    const out = new FileStorage()
    out.#count = this.#count
    out.#offsets = this.#offsets.slice()
    out.#words = this.#words.slice()
    out.#source = this.#source
    out.#ownNames = this.#ownNames.slice()
    out.#paths = this.#paths.slice()
    out.#roots = this.#roots === null ? null : this.#roots.slice()
    out.#ownRoots = this.#ownRoots.slice()
    out.#mtimes = this.#mtimes === null ? null : this.#mtimes.slice()
    out.#symlinkIndex = this.#symlinkIndex === null ? null : new Map(this.#symlinkIndex)
    out.#symlinks = this.#symlinks.slice()
    out.#name = this.#name
    out.#sizeOnDisk = this.#sizeOnDisk
    out.#numPieces = this.#numPieces
    out.#pieceLength = this.#pieceLength
    out.#v2 = this.#v2
    return out
  }

  /** Files with a root cannot be mixed with files without; empty files and symlinks have none in either. */
  #checkVersion(size: number, symlink: string, v2: boolean): void {
    if (symlink !== '' || size === 0) return
    // so far there are only symlinks, or only empty files: this is the first one to tell
    if (this.#count === this.#symlinks.length || this.totalSize() === 0) {
      this.#v2 = v2
      if (v2 && this.#pieceLength <= 0) throw new RangeError('FileStorage: a v2 file needs the piece length to be set')
    } else if (this.#v2 !== v2) {
      throw failure(this.#v2 ? LibtorrentErrors.torrentMissingPiecesRoot : LibtorrentErrors.torrentInconsistentFiles)
    }
  }

  #append(size: number, flags: number, mtime: number, symlink: string): number {
    const index = this.#count
    if (index * STRIDE === this.#words.length) this.#resize(Math.max(4, index * 2))
    if (symlink !== '') {
      this.#symlinkIndex ??= new Map()
      this.#symlinkIndex.set(index, this.#symlinks.length)
      this.#symlinks.push(symlink)
    } else {
      flags &= ~FileFlags.flagSymlink
    }
    this.#words[index * STRIDE + NAME_FLAGS] = (flags & FLAG_MASK) << 16
    if (mtime !== 0) {
      this.#mtimes ??= new Float64Array(this.#words.length / STRIDE)
      this.#mtimes[index] = mtime
    }
    this.#offsets[index + 1] = this.#offsets[index]! + size
    this.#count = index + 1
    if ((flags & FileFlags.flagPadFile) === 0) this.#sizeOnDisk += size
    return index
  }

  #padTail(): void {
    if (!this.#v2) return
    const total = this.totalSize()
    const over = total % this.#pieceLength
    if (over === 0) return
    const size = this.#pieceLength - over
    if (total > FileStorage.maxFileOffset - size) throw failure(LibtorrentErrors.torrentInvalidLength)
    const onDisk = this.#sizeOnDisk
    const index = this.#append(size, FileFlags.flagPadFile, 0, '')
    this.#sizeOnDisk = onDisk
    this.#words[index * STRIDE + PATH] = this.pathIndex('.pad')
    this.#setOwnName(index, String(size))
  }

  /** Splits a path into directory and name. */
  #setPath(index: number, path: string): void {
    const w = index * STRIDE
    this.#words[w + NAME_FLAGS]! &= ~((NO_ROOT << 16) | 0xffff)
    if (isCompletePath(path)) {
      this.#words[w + PATH] = ABSOLUTE
      this.#setOwnName(index, path)
      return
    }
    const [branch, leaf] = splitLast(path)
    this.#setOwnName(index, leaf)
    if (branch === '') {
      this.#words[w + PATH] = NO_PATH
      return
    }
    const [first, rest] = splitFirst(branch)
    if (first === this.#name) {
      this.#words[w + PATH] = this.pathIndex(rest.replace(/^\/+/, ''))
    } else {
      this.#words[w + NAME_FLAGS]! |= NO_ROOT << 16
      this.#words[w + PATH] = this.pathIndex(branch)
    }
  }

  #setOwnName(index: number, name: string): void {
    this.#ownNames.push(name)
    this.#words[index * STRIDE + NAME_AT] = -this.#ownNames.length
  }

  #setRoot(index: number, at: number): void {
    this.#roots ??= new Int32Array(this.#words.length / STRIDE)
    this.#roots[index] = at
  }

  #resize(capacity: number): void {
    const words = new Int32Array(capacity * STRIDE)
    words.set(this.#words.subarray(0, this.#count * STRIDE))
    this.#words = words
    const offsets = new Float64Array(capacity + 1)
    offsets.set(this.#offsets.subarray(0, this.#count + 1))
    this.#offsets = offsets
    if (this.#roots !== null) {
      const roots = new Int32Array(capacity)
      roots.set(this.#roots.subarray(0, this.#count))
      this.#roots = roots
    }
    if (this.#mtimes !== null) {
      const mtimes = new Float64Array(capacity)
      mtimes.set(this.#mtimes.subarray(0, this.#count))
      this.#mtimes = mtimes
    }
  }

  /** First file that starts behind `offset`. */
  #upperBound(offset: number): number {
    const offsets = this.#offsets
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (offsets[middle]! > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  #rangeStart(piece: number, offset: number): number {
    this.#checkPiece(piece)
    if (!(offset >= 0)) throw new RangeError('FileStorage: offset must be >= 0')
    return piece * this.#pieceLength + offset
  }

  #check(index: number): void {
    if (!(index >= 0 && index < this.#count)) throw new RangeError(`FileStorage: no file ${index}`)
  }

  #checkPiece(piece: number): void {
    if (!(piece >= 0 && piece < this.#numPieces)) throw new RangeError(`FileStorage: no piece ${piece}`)
  }

  #mutable(where: string): void {
    if (this.#sealed) throw new TypeError(`FileStorage.${where}: the files of a loaded torrent do not change`)
  }
}

function failure(error: LibtorrentErrors): LibtorrentError {
  return new LibtorrentError(libtorrentError(error))
}

function genericError(name: string): LibtorrentError {
  return new LibtorrentError(new ErrorCode(errnoError(name).value(), genericCategory()))
}

function hasParent(path: string): boolean {
  return /[/\\]/.test(path.slice(0, -1))
}
