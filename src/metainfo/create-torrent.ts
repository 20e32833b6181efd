/** Builds a new torrent: v1, v2 or hybrid (BEP 3, BEP 47, BEP 52). */

import { bdecode } from '../bencode/bdecode.ts'
import type { Entry } from '../bencode/entry.ts'
import { Sha1Hash, Sha256Hash } from '../core/digest.ts'
import { FileFlags } from '../core/enums.ts'
import { LibtorrentError, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { IndexRange } from '../core/index-range.ts'
import { wallClockSeconds } from '../core/local-files.ts'
import { encodeTorrent } from './create-encode.ts'
import { CreateFileEntry, pathElements } from './create-file-entry.ts'
import { CreateFlags } from './create-flags.ts'
import { canonicalLayout, checkFiles, choosePieceLength } from './create-layout.ts'
import { ANY_SIZE, exactEntry } from './exact-entry.ts'
import { FileStorage } from './file-storage.ts'
import { TorrentInfo } from './torrent-info.ts'

const V1_SIZE = 20
const V2_SIZE = 32

/**
 * Everything that goes into a new .torrent file.
 *
 * Give it the files (`listFiles`), set what else it should say, let `setPieceHashes` hash the files (or set
 * each hash), and take the result from `generateBuf()`. It is hybrid unless `v1Only` or `v2Only` was given.
 */
export class CreateTorrent {
  static readonly modificationTime = CreateFlags.modificationTime
  static readonly symlinks = CreateFlags.symlinks
  static readonly v2Only = CreateFlags.v2Only
  static readonly v1Only = CreateFlags.v1Only
  static readonly canonicalFiles = CreateFlags.canonicalFiles
  static readonly noAttributes = CreateFlags.noAttributes
  static readonly canonicalFilesNoTailPadding = CreateFlags.canonicalFilesNoTailPadding
  static readonly allowOddPieceSize = CreateFlags.allowOddPieceSize

  readonly #files: readonly CreateFileEntry[]
  readonly #totalSize: number
  readonly #pieceLength: number
  readonly #numPieces: number
  readonly #name: string
  readonly #multiFile: boolean
  readonly #flags: number
  /** The info dictionary of the torrent this one was made from, kept byte for byte. */
  readonly #infoSection: Uint8Array | null

  readonly #trackers: { readonly url: string; readonly tier: number }[] = []
  readonly #nodes: [host: string, port: number][] = []
  readonly #urlSeeds: string[] = []
  readonly #collections: string[] = []
  readonly #similar: Uint8Array[] = []
  #comment = ''
  #createdBy = ''
  #creationDate = wallClockSeconds()
  #rootCertificate = ''
  #private = false

  /** 20 bytes a piece; zeros where not set. `null` until one is. */
  #v1Hashes: Uint8Array | null = null
  /** 32 bytes a piece of a file, file after file. `null` until one is set. */
  #v2Hashes: Uint8Array | null = null
  /** Where each file begins in `#v2Hashes`, counted in hashes, with one entry more at the end. Made on first use. */
  #v2First: Float64Array | null = null

  /**
   * @param files     all files, below one common directory unless there is only one
   * @param pieceSize 0 to choose it by the total size. A power of two, 16 KiB to 128 MiB; v1-only torrents
   *   may have any multiple of 16 KiB
   * @param flags     combination of the static members
   * @throws LibtorrentError `noFilesInTorrent`, `torrentInvalidLength` (nothing but empty files), `invalidPieceSize`;
   *   RangeError if files have no common directory
   */
  constructor(files: readonly CreateFileEntry[], pieceSize?: number, flags?: number)
  /** @deprecated give it the list of files */
  constructor(files: FileStorage, pieceSize?: number, flags?: number)
  /**
   * A copy of a torrent: its info dictionary stays as it is.
   *
   * @deprecated use `writeTorrentFile`
   */
  constructor(info: TorrentInfo)
  constructor(source: readonly CreateFileEntry[] | FileStorage | TorrentInfo, pieceSize = 0, flags = 0) {
    if (source instanceof TorrentInfo) {
      this.#files = entriesOf(source.layout())
      this.#totalSize = source.totalSize()
      this.#pieceLength = source.pieceLength()
      this.#numPieces = source.numPieces()
      this.#name = source.name()
      this.#multiFile = source.numFiles() > 1
      this.#flags = (source.v1() ? 0 : CreateFlags.v2Only) | (source.v2() ? 0 : CreateFlags.v1Only)
      this.#infoSection = source.infoSection()
      this.#private = source.priv()
      this.#copyFrom(source)
      return
    }
    const entries = source instanceof FileStorage ? entriesOf(source) : source.slice()
    const size = checkFiles(entries)
    this.#infoSection = null
    this.#flags = flags
    this.#pieceLength = choosePieceLength(pieceSize, size, flags)
    const elements = pathElements(entries[0]!.filename)
    this.#multiFile = entries.length > 1 || elements.length > 1
    this.#name = elements[0]!
    const canonical = CreateFlags.canonicalFiles | CreateFlags.canonicalFilesNoTailPadding
    const layout =
      (flags & CreateFlags.v1Only) === 0 || (flags & canonical) !== 0
        ? canonicalLayout(entries, this.#pieceLength, (flags & CreateFlags.canonicalFilesNoTailPadding) === 0)
        : { files: entries, totalSize: size }
    this.#files = layout.files
    this.#totalSize = layout.totalSize
    this.#numPieces = Math.ceil(layout.totalSize / this.#pieceLength)
  }

  /**
   * The torrent as plain values, to add keys of one's own before encoding it.
   *
   * Strings are `Uint8Array`s, as `bdecode` gives them.
   *
   * @throws LibtorrentError as {@link generateBuf}
   */
  generate(): Entry {
    const entry = bdecode(this.generateBuf(), ANY_SIZE) as { [key: string]: Entry }
    const info = this.#infoSection
    if (info !== null) entry['info'] = exactEntry(info)
    return entry
  }

  /**
   * The .torrent file.
   *
   * @throws LibtorrentError `invalidHashEntry` if neither all v1 nor all v2 hashes are set, `torrentInconsistentFiles`
   *   if a v2 torrent has a file and a directory of the same name
   */
  generateBuf(): Uint8Array {
    const v2 = this.#v2Complete()
    const v1 = this.#v1Complete()
    if (!v1 && !v2) throw new LibtorrentError(libtorrentError(LibtorrentErrors.invalidHashEntry))
    return encodeTorrent({
      files: this.#files,
      name: this.#name,
      multiFile: this.#multiFile,
      pieceLength: this.#pieceLength,
      flags: this.#flags,
      infoSection: this.#infoSection,
      v1Hashes: v1 ? this.#v1Hashes : null,
      v2Hashes: v2 ? this.#v2Hashes : null,
      v2First: v2 ? this.#firstHashes() : null,
      trackers: this.#trackers,
      nodes: this.#nodes,
      urlSeeds: this.#urlSeeds,
      collections: this.#collections,
      similar: this.#similar,
      comment: this.#comment,
      createdBy: this.#createdBy,
      creationDate: this.#creationDate,
      rootCertificate: this.#rootCertificate,
      isPrivate: this.#private,
    })
  }

  setComment(comment: string): void {
    this.#comment = comment
  }

  setCreator(creator: string): void {
    this.#createdBy = creator
  }

  /** @param date seconds since 1970; 0 to leave it out. The time the object was made, unless set */
  setCreationDate(date: number): void {
    this.#creationDate = date
  }

  /**
   * Sets the SHA-1 of a piece.
   *
   * @param hash not all zeros, which stands for "not set"
   * @throws LibtorrentError `invalidHashEntry` with `v2Only`; RangeError
   */
  setHash(index: number, hash: Sha1Hash | Uint8Array): void {
    if (this.isV2Only()) throw new LibtorrentError(libtorrentError(LibtorrentErrors.invalidHashEntry))
    if (!inRange(index, this.#numPieces)) throw new RangeError(`CreateTorrent.setHash: there is no piece ${index}`)
    this.#v1Hashes ??= new Uint8Array(this.#numPieces * V1_SIZE)
    this.#v1Hashes.set(new Sha1Hash(hash instanceof Sha1Hash ? hash.view() : hash).view(), index * V1_SIZE)
  }

  /**
   * Sets the v2 hash of a piece of a file: the root over the piece's 16 KiB blocks.
   *
   * @param piece counted from the start of the file
   * @throws LibtorrentError `invalidHashEntry` with `v1Only`; RangeError
   */
  setHash2(file: number, piece: number, hash: Sha256Hash | Uint8Array): void {
    if (!inRange(file, this.#files.length)) throw new RangeError(`CreateTorrent.setHash2: there is no file ${file}`)
    const entry = this.#files[file]!
    const isPad = (entry.flags & FileFlags.flagPadFile) !== 0
    if (isPad || !inRange(piece, Math.ceil(entry.size / this.#pieceLength))) {
      throw new RangeError(`CreateTorrent.setHash2: file ${file} has no piece ${piece}`)
    }
    const value = new Sha256Hash(hash instanceof Sha256Hash ? hash.view() : hash)
    if (value.isAllZeros()) throw new RangeError('CreateTorrent.setHash2: expected a hash that is not all zeros')
    if (this.isV1Only()) throw new LibtorrentError(libtorrentError(LibtorrentErrors.invalidHashEntry))
    const first = this.#firstHashes()
    this.#v2Hashes ??= new Uint8Array(first[this.#files.length]! * V2_SIZE)
    this.#v2Hashes.set(value.view(), (first[file]! + piece) * V2_SIZE)
  }

  /** @param url of a file, or of the directory that holds the torrent's. @see BEP 19 */
  addUrlSeed(url: string): void {
    this.#urlSeeds.push(url)
  }

  /** A DHT node to start from. @see BEP 5 */
  addNode(host: string, port: number): void {
    this.#nodes.push([host, port])
  }

  /**
   * Adds a tracker, unless it is there already.
   *
   * @param tier all trackers of a tier are tried before those of the next. @see BEP 12
   */
  addTracker(announceUrl: string, tier = 0): void {
    if (announceUrl === '' || this.#trackers.some(tracker => tracker.url === announceUrl)) return
    this.#trackers.push({ url: announceUrl, tier })
    this.#trackers.sort((a, b) => a.tier - b.tier)
  }

  /** Makes it an SSL torrent: peers need a certificate signed by this one. @param pem in PEM format */
  setRootCert(pem: string): void {
    this.#rootCertificate = pem
  }

  /** Peers come from the torrent's trackers only. @see BEP 27 */
  setPriv(priv: boolean): void {
    this.#private = priv
  }

  priv(): boolean {
    return this.#private
  }

  /** Names another torrent that is likely to share files with this one. @see BEP 38 */
  addSimilarTorrent(infoHash: Sha1Hash): void {
    this.#similar.push(infoHash.toBytes())
  }

  /** Names a collection; torrents with one in common likely share files. @see BEP 38 */
  addCollection(collection: string): void {
    this.#collections.push(collection)
  }

  isV2Only(): boolean {
    return (this.#flags & CreateFlags.v2Only) !== 0
  }

  isV1Only(): boolean {
    return (this.#flags & CreateFlags.v1Only) !== 0
  }

  /** Pieces of all files together, pad files included. */
  numPieces(): number {
    return this.#numPieces
  }

  pieceLength(): number {
    return this.#pieceLength
  }

  /** Size of a piece; only the last may be smaller than the others. */
  pieceSize(index: number): number {
    if (!inRange(index, this.#numPieces)) throw new RangeError(`CreateTorrent.pieceSize: there is no piece ${index}`)
    if (index < this.#numPieces - 1) return this.#pieceLength
    return this.#totalSize - (this.#numPieces - 1) * this.#pieceLength
  }

  /** Size of all files, pad files included. */
  totalSize(): number {
    return this.#totalSize
  }

  pieceRange(): IndexRange {
    return new IndexRange(0, this.#numPieces)
  }

  /** One past the last piece. */
  endPiece(): number {
    return this.#numPieces
  }

  fileRange(): IndexRange {
    return new IndexRange(0, this.#files.length)
  }

  /** One past the last file. */
  endFile(): number {
    return this.#files.length
  }

  /** Pieces of a file, counted from its start. For v2 and hybrid torrents, where files start at pieces. */
  filePieceRange(file: number): IndexRange {
    return new IndexRange(0, Math.ceil(this.fileAt(file).size / this.#pieceLength))
  }

  /** A file, pad files included, in the order the torrent will have. */
  fileAt(file: number): CreateFileEntry {
    if (!inRange(file, this.#files.length)) throw new RangeError(`CreateTorrent.fileAt: there is no file ${file}`)
    return this.#files[file]!
  }

  /** All files; not to be changed. @internal */
  fileList(): readonly CreateFileEntry[] {
    return this.#files
  }

  /** Where the hashes of each file begin in what {@link adoptHashes} takes. @internal */
  firstHashes(): Float64Array {
    return this.#firstHashes()
  }

  /**
   * Sets all hashes at once.
   *
   * @param v1 20 bytes a piece, `null` with `v2Only`; kept
   * @param v2 32 bytes a piece of a file, file after file, `null` with `v1Only`; kept
   * @internal
   */
  adoptHashes(v1: Uint8Array | null, v2: Uint8Array | null): void {
    if (v1 !== null) this.#v1Hashes = v1
    if (v2 !== null) this.#v2Hashes = v2
  }

  #firstHashes(): Float64Array {
    if (this.#v2First !== null) return this.#v2First
    const first = new Float64Array(this.#files.length + 1)
    for (let i = 0; i < this.#files.length; i++) {
      const file = this.#files[i]!
      const isPad = (file.flags & FileFlags.flagPadFile) !== 0
      first[i + 1] = first[i]! + (isPad ? 0 : Math.ceil(file.size / this.#pieceLength))
    }
    this.#v2First = first
    return first
  }

  #v1Complete(): boolean {
    return this.#v1Hashes !== null && noneZero(this.#v1Hashes, V1_SIZE)
  }

  #v2Complete(): boolean {
    return this.#v2Hashes !== null && noneZero(this.#v2Hashes, V2_SIZE)
  }

  #copyFrom(info: TorrentInfo): void {
    if (info.creationDate() > 0) this.#creationDate = info.creationDate()
    this.#createdBy = info.creator()
    this.#comment = info.comment()
    for (const [host, port] of info.nodes()) this.addNode(host, port)
    for (const tracker of info.trackers()) this.addTracker(tracker.url, tracker.tier)
    for (const seed of info.webSeeds()) this.addUrlSeed(seed.url)
    if (info.v1()) {
      for (let i = 0; i < this.#numPieces; i++) this.setHash(i, info.hashForPiece(i))
    }
    if (!info.v2()) return
    const layout = info.layout()
    for (let i = 0; i < this.#files.length; i++) {
      const file = this.#files[i]!
      if ((file.flags & FileFlags.flagPadFile) !== 0 || file.size === 0) continue
      if (file.size <= this.#pieceLength) {
        this.setHash2(i, 0, layout.root(i))
        continue
      }
      const layer = info.pieceLayer(i)
      for (let at = 0; at < layer.length; at += V2_SIZE) {
        this.setHash2(i, at / V2_SIZE, layer.subarray(at, at + V2_SIZE))
      }
    }
  }
}

function inRange(index: number, end: number): boolean {
  return Number.isInteger(index) && index >= 0 && index < end
}

/** Whether no hash is all zeros. */
function noneZero(hashes: Uint8Array, size: number): boolean {
  for (let at = 0; at < hashes.length; at += size) {
    let i = at
    while (i < at + size && hashes[i] === 0) i++
    if (i === at + size) return false
  }
  return true
}

function entriesOf(storage: FileStorage): CreateFileEntry[] {
  const out: CreateFileEntry[] = []
  for (let i = 0; i < storage.numFiles(); i++) {
    const flags = storage.fileFlags(i)
    const isLink = (flags & FileFlags.flagSymlink) !== 0
    const link = isLink ? storage.innerSymlink(i) : ''
    out.push(new CreateFileEntry(storage.filePath(i), isLink ? 0 : storage.fileSize(i), flags, storage.mtime(i), link))
  }
  return out
}
