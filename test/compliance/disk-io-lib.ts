/** Torrents made up for the disk suites: layouts, content that is a function of the offset, hashes. */

import { createHash } from 'node:crypto'
import type { DiskIo, FileLayout, PieceHashes, StorageHandle, StorageOptions } from '../../src/storage/disk-io.ts'

export const BLOCK = 16384
export const PAD = 1
export const EXECUTABLE = 4
export const SYMLINK = 8

export interface MadeFile {
  readonly path: string
  readonly size: number
  readonly flags?: number
  readonly target?: string
}

/** A list of files. */
export class MadeLayout implements FileLayout {
  readonly files: readonly MadeFile[]
  readonly #offsets: number[] = []
  readonly #pieceLength: number
  readonly #total: number

  constructor(pieceLength: number, files: readonly MadeFile[]) {
    this.#pieceLength = pieceLength
    this.files = files
    let at = 0
    for (const file of files) {
      this.#offsets.push(at)
      at += file.size
    }
    this.#total = at
  }

  numFiles(): number {
    return this.files.length
  }
  numPieces(): number {
    return Math.ceil(this.#total / this.#pieceLength)
  }
  pieceLength(): number {
    return this.#pieceLength
  }
  totalSize(): number {
    return this.#total
  }
  fileSize(index: number): number {
    return this.files[index]!.size
  }
  fileOffset(index: number): number {
    return this.#offsets[index]!
  }
  fileFlags(index: number): number {
    return this.files[index]!.flags ?? 0
  }
  filePath(index: number): string {
    return this.files[index]!.path
  }
  symlink(index: number): string {
    return this.files[index]!.target ?? ''
  }
  fileIndexAtOffset(offset: number): number {
    let found = 0
    for (let i = 0; i < this.files.length; i++) {
      if (this.#offsets[i]! <= offset && this.files[i]!.size > 0) found = i
    }
    return found
  }
}

/** The torrent's bytes: pad files are zeros, all else depends on the offset. */
export function contentOf(layout: MadeLayout): Uint8Array {
  const out = new Uint8Array(layout.totalSize())
  for (let i = 0; i < out.length; i++) out[i] = (i * 2654435761) >>> 24
  layout.files.forEach((file, index) => {
    const at = layout.fileOffset(index)
    if ((file.flags ?? 0) & PAD) out.fill(0, at, at + file.size)
  })
  return out
}

export function pieceOf(layout: MadeLayout, content: Uint8Array, piece: number): Uint8Array {
  const at = piece * layout.pieceLength()
  return content.subarray(at, Math.min(content.length, at + layout.pieceLength()))
}

export function sha1(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha1').update(bytes).digest())
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest())
}

/** Bytes of the piece that v2 covers (all but padding), and leaves under its root. */
export function v2Part(layout: MadeLayout, content: Uint8Array, piece: number): { bytes: Uint8Array; leaves: number } {
  const begin = piece * layout.pieceLength()
  const file = layout.fileIndexAtOffset(begin)
  const end = Math.min(begin + layout.pieceLength(), layout.fileOffset(file) + layout.fileSize(file))
  let leaves = layout.pieceLength() / BLOCK
  if (layout.fileSize(file) <= layout.pieceLength()) {
    leaves = 1
    while (leaves * BLOCK < layout.fileSize(file)) leaves *= 2
  }
  return { bytes: content.subarray(begin, end), leaves }
}

/** SHA-256 of each block. */
export function blockHashes(bytes: Uint8Array): Uint8Array {
  const out: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += BLOCK) out.push(sha256(bytes.subarray(at, at + BLOCK)))
  return new Uint8Array(Buffer.concat(out))
}

/** The plain definition of BEP 52, level by level. */
export function v2Root(layout: MadeLayout, content: Uint8Array, piece: number): Uint8Array {
  const { bytes, leaves } = v2Part(layout, content, piece)
  const flat = blockHashes(bytes)
  let row: Uint8Array[] = []
  for (let i = 0; i < leaves; i++) row.push(i * 32 < flat.length ? flat.slice(i * 32, i * 32 + 32) : new Uint8Array(32))
  while (row.length > 1) {
    const up: Uint8Array[] = []
    for (let i = 0; i < row.length; i += 2) up.push(sha256(new Uint8Array(Buffer.concat([row[i]!, row[i + 1]!]))))
    row = up
  }
  return row[0]!
}

export function optionsFor(layout: FileLayout, savePath: string, more: Partial<StorageOptions> = {}): StorageOptions {
  return {
    files: layout,
    renamed: new Map(),
    savePath,
    partFileDir: '',
    partFileName: '.0123456789abcdef.parts',
    mode: 1,
    filePriorities: [],
    ...more,
  }
}

/** Puts a piece into slots: a run if there is one. */
export function fillSlots(disk: DiskIo, bytes: Uint8Array, scattered = false): number[] {
  const count = Math.ceil(bytes.length / BLOCK)
  const run = scattered ? -1 : disk.slots.allocateRun(count)
  const slots = Array.from({ length: count }, (_, i) => (run < 0 ? disk.slots.allocate() : run + i))
  if (slots.includes(-1)) throw new Error('no slots left')
  if (scattered) slots.reverse()
  slots.forEach((slot, i) => {
    disk.slots.copyIn(slot, 0, bytes.subarray(i * BLOCK, (i + 1) * BLOCK))
  })
  return slots
}

export const NO_HASHES: PieceHashes = { v1: null, v2: null }

/** What a callback of a job was given, once it was. */
export interface Pending<T> {
  value: T | undefined
  /** How often it was called. */
  calls: number
}

/** Runs a job to its end. `start` gets the callback. */
export type Runner = <T extends unknown[]>(start: (done: (...args: T) => void) => void) => Promise<T>

/** Commits all pieces with their v1 hashes. */
export async function writeAll(
  run: Runner,
  disk: DiskIo,
  storage: StorageHandle,
  layout: MadeLayout,
  content: Uint8Array,
): Promise<void> {
  for (let piece = 0; piece < layout.numPieces(); piece++) {
    const bytes = pieceOf(layout, content, piece)
    const slots = fillSlots(disk, bytes)
    const [result] = await run<[Parameters<Parameters<DiskIo['commitPiece']>[5]>[0]]>(done =>
      disk.commitPiece(storage, piece, slots, { v1: sha1(bytes), v2: null }, false, done),
    )
    if (result.error !== null || result.v1Passed !== true) {
      throw new Error(`piece ${piece} was not written: ${result.error?.code.message()}`)
    }
  }
}
