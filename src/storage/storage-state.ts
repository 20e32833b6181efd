/**
 * One storage as the main thread knows it: where its files are now, which of them are wanted, what the
 * part file holds. Turns ranges of the torrent into slices of files. No I/O here.
 */

import * as path from 'node:path'
import type { FileIndex, PieceIndex } from '../core/brands.ts'
import { FileFlags, StorageMode } from '../core/enums.ts'
import type { DiskError, FileLayout, StorageHandle, StorageOptions } from './disk-io.ts'
import { StorageQueue } from './disk-jobs.ts'
import { PartMap, partEntryOffset } from './part-file.ts'
import { PathOwners } from './path-owners.ts'
import { SliceFlags, type WirePart, type WireSlices } from './worker-protocol.ts'
import type { WriteClaims } from './write-claims.ts'

/** Lock key of the part file as a whole. */
export const PART_KEY = -1

/** Lock key of a file that is being allocated, or given content of its own. */
export function fileKey(file: FileIndex): number {
  return -2 - file
}

/** Mutable truth about one storage. */
export class StorageState implements StorageHandle {
  readonly id: number
  readonly files: FileLayout
  readonly mode: StorageMode
  readonly partFileName: string
  readonly queue: StorageQueue
  savePath: string
  /** The storage was removed: nothing may be added. */
  removed = false
  /** Last write failed; cleared by the next one that does not. */
  failing = false
  /** The header of the part file was read, or there is no need to. */
  partLoaded = false
  /** A job to read it is on its way. */
  partLoading = false
  /** The part file exists with a header: jobs need only touch their own entries. */
  partOnDisk = false
  /** Files that are being given their disk space. */
  allocating: Set<FileIndex> | null = null
  /** Why a file could not be made ready to be written to; cleared by the next attempt. */
  allocationFailures: Map<FileIndex, DiskError> | null = null
  /** It was looked up which files have other names. */
  namesKnown = false
  /** Files that have another name on disk, as hard links do: not to be written to before they are separated from it. */
  otherNames: Set<FileIndex> | null = null
  /** Files that are being separated. */
  separating: Set<FileIndex> | null = null
  /** The torrent is leaving: copies that are under way need not be finished. */
  abandoned = false
  readonly #claims: WriteClaims | null
  readonly #partFileDir: string
  #renamed: Map<FileIndex, string> | null
  #priorities: readonly number[]
  /** Unwanted files that are on disk all the same: the part file is not used for them. */
  #notInPart: Set<FileIndex> | null = null
  /** Bit per file: brought to full size by this process. */
  #created: Uint8Array | null = null
  #part: PartMap | null = null
  /** Which files have which path below which save path; made when a name was changed and is asked about. */
  #owners: PathOwners | null = null
  #ownersSavePath = ''
  /** The path asked for last, of which file, below which save path. */
  #path = ''
  #pathFile = -1
  #pathSavePath = ''

  /** @param claims what the storages of the disk write to; `null` if they have no files in common */
  constructor(id: number, options: StorageOptions, claims: WriteClaims | null = null) {
    this.id = id
    this.#claims = claims
    this.files = options.files
    this.mode = options.mode
    this.partFileName = options.partFileName
    this.savePath = path.resolve(options.savePath)
    this.queue = new StorageQueue(id)
    this.#partFileDir = options.partFileDir
    this.#renamed = options.renamed.size === 0 ? null : new Map(options.renamed)
    this.#priorities = options.filePriorities.some(p => p === 0) ? options.filePriorities.slice() : []
    this.partLoaded = this.#priorities.length === 0
  }

  get priorities(): readonly number[] {
    return this.#priorities
  }

  /** `null` until a part file was needed. */
  get part(): PartMap | null {
    return this.#part
  }

  /** The slot map, made if there was none. */
  needPart(): PartMap {
    this.#part ??= new PartMap(this.files.numPieces(), this.files.pieceLength())
    return this.#part
  }

  dropPart(): void {
    this.#part = null
    this.partOnDisk = false
  }

  priority(file: FileIndex): number {
    return this.#priorities[file] ?? 4
  }

  setPriorities(priorities: readonly number[]): void {
    this.#priorities = priorities
  }

  /** Whether bytes of the file live in the part file. */
  inPart(file: FileIndex): boolean {
    return this.#priorities[file] === 0 && (this.#notInPart === null || !this.#notInPart.has(file))
  }

  /** @param use false if the file itself is on disk although it is not wanted */
  usePart(file: FileIndex, use: boolean): void {
    if (use) this.#notInPart?.delete(file)
    else (this.#notInPart ??= new Set()).add(file)
  }

  isPad(file: FileIndex): boolean {
    return (this.files.fileFlags(file) & FileFlags.flagPadFile) !== 0
  }

  isSymlink(file: FileIndex): boolean {
    return (this.files.fileFlags(file) & FileFlags.flagSymlink) !== 0
  }

  created(file: FileIndex): boolean {
    return this.#created !== null && (this.#created[file >> 3]! & (1 << (file & 7))) !== 0
  }

  setCreated(file: FileIndex): void {
    this.#created ??= new Uint8Array((this.files.numFiles() + 7) >> 3)
    this.#created[file >> 3]! |= 1 << (file & 7)
  }

  /** All files are closed, and will be looked at afresh: they may be changed from outside. */
  forgetCreated(): void {
    this.#created = null
    this.partOnDisk = false
    this.#claims?.release(this.id)
  }

  /**
   * The file is about to be written to.
   *
   * @returns false if another storage does so under the same path, or the path is another file's of this storage
   */
  claim(file: FileIndex): boolean {
    if (!this.ownsPath(file)) return false
    return this.#claims === null || this.#claims.take(this.path(file), this.id)
  }

  /**
   * Whether what is under the file's path is the file's: of files with the same path it is the first one's. Names of
   * metadata are all different; those that users give need not be.
   */
  ownsPath(file: FileIndex): boolean {
    return this.#renamed === null || this.#pathOwners().owner(this.path(file)) === file
  }

  /** Whether another file has the path that the file would have with that name. */
  isTaken(file: FileIndex, name: string): boolean {
    return this.#pathOwners()
      .filesAt(path.resolve(this.savePath, name))
      .some(other => other !== file)
  }

  /** The first file that would come to lie on one with an absolute name below `savePath`; -1 if there is none. */
  collisionUnder(savePath: string): FileIndex {
    const fixed = new Set<string>()
    for (const name of this.#renamed?.values() ?? []) if (path.isAbsolute(name)) fixed.add(path.normalize(name))
    const count = fixed.size === 0 ? 0 : this.files.numFiles()
    for (let file = 0; file < count; file++) {
      if (this.isPad(file) || this.isElsewhere(file)) continue
      if (fixed.has(this.pathUnder(file, savePath))) return file
    }
    return -1
  }

  #pathOwners(): PathOwners {
    if (this.#owners === null || this.#ownersSavePath !== this.savePath) {
      this.#owners = new PathOwners()
      this.#ownersSavePath = this.savePath
      const count = this.files.numFiles()
      for (let file = 0; file < count; file++) {
        if (!this.isPad(file)) this.#owners.add(this.pathUnder(file, this.savePath), file)
      }
    }
    return this.#owners
  }

  setOtherNames(file: FileIndex, has: boolean): void {
    if (has) (this.otherNames ??= new Set()).add(file)
    else if (this.otherNames?.delete(file) === true && this.otherNames.size === 0) this.otherNames = null
  }

  /** Whether the file may have to be separated before it is written to. */
  mayHaveOtherNames(file: FileIndex): boolean {
    return !this.namesKnown || this.otherNames?.has(file) === true
  }

  /** The file's name as it is now: relative to the save path, or absolute. */
  name(file: FileIndex): string {
    return this.#renamed?.get(file) ?? this.files.filePath(file)
  }

  /** Absolute. */
  path(file: FileIndex): string {
    // Neighbouring pieces are mostly of one file, and making a path costs more than all else in a small job.
    if (file !== this.#pathFile || this.savePath !== this.#pathSavePath) {
      this.#path = this.pathUnder(file, this.savePath)
      this.#pathFile = file
      this.#pathSavePath = this.savePath
    }
    return this.#path
  }

  /** In one form: names that differ by `./` or `//` give the same path. */
  pathUnder(file: FileIndex, savePath: string): string {
    return path.resolve(savePath, this.name(file))
  }

  /** Whether the file is where it is whatever the save path. */
  isElsewhere(file: FileIndex): boolean {
    return path.isAbsolute(this.name(file))
  }

  rename(file: FileIndex, name: string): void {
    const owners = this.#ownersSavePath === this.savePath ? this.#owners : null
    owners?.remove(this.path(file), file)
    this.#renamed ??= new Map()
    this.#renamed.set(file, name)
    this.#pathFile = -1
    owners?.add(this.path(file), file)
    if (this.#created !== null) this.#created[file >> 3]! &= ~(1 << (file & 7))
  }

  partPath(savePath: string = this.savePath): string {
    return path.resolve(savePath, this.#partFileDir, this.partFileName)
  }

  /** Bytes of a piece; the last one may be shorter. */
  pieceSize(piece: PieceIndex): number {
    const length = this.files.pieceLength()
    return Math.min(length, this.files.totalSize() - piece * length)
  }

  /** Files with bytes in the range, pad and empty files left out. */
  filesIn(start: number, length: number): FileIndex[] {
    const out: FileIndex[] = []
    const files = this.files
    const end = start + length
    for (let file = files.fileIndexAtOffset(start); file < files.numFiles(); file++) {
      if (files.fileOffset(file) >= end) break
      if (files.fileSize(file) > 0 && !this.isPad(file)) out.push(file)
    }
    return out
  }

  /**
   * The range in files, in order.
   *
   * @param start offset in the torrent
   * @param write allocates part-file slots and asks for files to be brought to full size
   */
  slices(start: number, length: number, write: boolean): WireSlices {
    const out: WireSlices = []
    const files = this.files
    const end = start + length
    let at = start
    for (let file = files.fileIndexAtOffset(start); at < end; file++) {
      const size = files.fileSize(file)
      if (size === 0) continue
      const flags = files.fileFlags(file)
      const offset = at - files.fileOffset(file)
      const count = Math.min(end - at, size - offset)
      if ((flags & FileFlags.flagPadFile) !== 0) {
        out.push(file, SliceFlags.pad, '', 0, count, size)
      } else if (this.inPart(file)) {
        this.#partSlices(out, file, at, count, size, write)
      } else {
        let bits = (flags & FileFlags.flagExecutable) !== 0 ? SliceFlags.executable : 0
        if (write && !this.created(file)) bits |= SliceFlags.truncate
        out.push(file, bits, this.path(file), offset, count, size)
      }
      at += count
    }
    return out
  }

  /** What a write to pieces in the part file has to record there. `null` if the range does not touch it. */
  partUpdate(slices: WireSlices, piece: PieceIndex): WirePart | null {
    for (let i = 1; i < slices.length; i += 6) {
      if (((slices[i] as number) & SliceFlags.part) === 0) continue
      const part = this.needPart()
      return {
        path: this.partPath(),
        header: this.partOnDisk ? null : part.header(),
        entries: [partEntryOffset(piece), part.entry(piece)],
      }
    }
    return null
  }

  #partSlices(out: WireSlices, file: FileIndex, start: number, length: number, size: number, write: boolean): void {
    const part = this.needPart()
    const pieceLength = this.files.pieceLength()
    const partPath = this.partPath()
    for (let at = start; at < start + length; ) {
      const piece = Math.floor(at / pieceLength)
      const within = at - piece * pieceLength
      const count = Math.min(start + length - at, pieceLength - within)
      const base = write ? part.allocate(piece) : part.offset(piece)
      const flags = base < 0 ? SliceFlags.part | SliceFlags.absent : SliceFlags.part
      out.push(file, flags, partPath, Math.max(0, base) + within, count, size)
      at += count
    }
  }
}

/** Whether files are to be given all their disk space when they are created. */
export function allocates(state: StorageState): boolean {
  return state.mode === StorageMode.storageModeAllocate
}
