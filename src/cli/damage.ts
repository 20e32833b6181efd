/**
 * What exactly is wrong with data on disk, block by block, once it is known which pieces are bad.
 *
 * Torrents have hashes of pieces. Which of a bad piece's 16 KiB blocks are not there at all can be told all the same, from
 * the sizes of files and from blocks of nothing but zeros. A block that is there is proven bad only if its piece has
 * no other; else it is one of several of which at least one is.
 */

import { type FileHandle, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { defaultBlockSize, FileFlags, type TorrentInfo } from '../index.ts'

/**
 * - `missing`: the file is not there, or ends before it
 * - `empty`: nothing but zeros, as a download that was broken off leaves it
 * - `bad`: not what it should be
 * - `suspect`: it, or another block of its piece
 */
export type BlockState = 'missing' | 'empty' | 'bad' | 'suspect'

/** Blocks in a row, all in one state: bytes of a file. */
export interface DamagedRange {
  readonly from: number
  /** One past the last byte. */
  readonly to: number
  readonly state: BlockState
}

/** Damaged files by index, each with its ranges in order. */
export type Damage = ReadonlyMap<number, readonly DamagedRange[]>

/** Part of a bad piece that lies in one file. */
interface Part {
  readonly file: number
  readonly from: number
  readonly to: number
}

/** Read at once; a multiple of the block size. */
const CHUNK = 1 << 20
const ZEROS = Buffer.alloc(defaultBlockSize)

/**
 * Looks at bad pieces. Only what is there of them is read. In v1 torrents, whose pieces run on from file to file, blocks
 * are counted from where the piece begins in a file.
 *
 * @param badPieces in ascending order
 * @param signal    ends it early, with what was found by then
 */
export async function findDamage(
  ti: TorrentInfo,
  savePath: string,
  badPieces: readonly number[],
  signal: AbortSignal,
): Promise<Damage> {
  const found = new Map<number, DamagedRange[]>()
  const reader = new BlockReader(ti, savePath)
  try {
    for (const piece of badPieces) {
      if (signal.aborted) break
      const parts = partsOf(ti, piece)
      const ranges: (DamagedRange & { readonly file: number })[] = []
      for (const part of parts) {
        for (const range of await reader.look(part)) ranges.push({ ...range, file: part.file })
      }
      const [part] = parts
      const alone = parts.length === 1 && part!.to - part!.from <= defaultBlockSize && hasHash(ti, part!.file)
      for (const { file, from, to, state } of ranges) {
        add(found, file, { from, to, state: state === 'suspect' && alone ? 'bad' : state })
      }
    }
  } finally {
    await reader.close()
  }
  return found
}

/** How many bytes of each state there are. */
export function sumDamage(damage: Damage): Record<BlockState, number> {
  const sum = { missing: 0, empty: 0, bad: 0, suspect: 0 }
  for (const ranges of damage.values()) for (const { from, to, state } of ranges) sum[state] += to - from
  return sum
}

function partsOf(ti: TorrentInfo, piece: number): Part[] {
  const files = ti.files()
  const slices = files.mapBlock(piece, 0, files.pieceSize(piece))
  const real = slices.filter(({ fileIndex, size }) => size > 0 && !files.padFileAt(fileIndex))
  return real.map(({ fileIndex: file, offset, size }) => ({ file, from: offset, to: offset + size }))
}

/** Without its piece layer a v2 file is right as a whole, or nothing of it is known to be. */
function hasHash(ti: TorrentInfo, file: number): boolean {
  return ti.v1() || ti.pieceLayer(file).length > 0
}

/** Adds a range, as one with that before it if they are alike. */
function add(found: Map<number, DamagedRange[]>, file: number, range: DamagedRange): void {
  let ranges = found.get(file)
  if (ranges === undefined) found.set(file, (ranges = []))
  const last = ranges.at(-1)
  if (last !== undefined && last.to === range.from && last.state === range.state) {
    ranges[ranges.length - 1] = { ...last, to: range.to }
  } else ranges.push(range)
}

/** Keeps the file open that was read last: pieces come in order. */
class BlockReader {
  readonly #ti: TorrentInfo
  readonly #savePath: string
  readonly #buffer = Buffer.allocUnsafe(CHUNK)
  #file = -1
  #handle: FileHandle | null = null
  #size = 0

  constructor(ti: TorrentInfo, savePath: string) {
    this.#ti = ti
    this.#savePath = savePath
  }

  /** The blocks of a part as they are on disk, in rows of the same state: there, not there, or zeros. */
  async look({ file, from, to }: Part): Promise<DamagedRange[]> {
    await this.#open(file)
    const out: DamagedRange[] = []
    const push = (end: number, state: BlockState) => {
      const at = out.at(-1)?.to ?? from
      if (end <= at) return
      if (out.at(-1)?.state === state) out[out.length - 1] = { ...out.at(-1)!, to: end }
      else out.push({ from: at, to: end, state })
    }
    const present = Math.min(to, this.#size)
    for (let at = from; at < present; ) {
      const bytes = await this.#read(at, Math.min(CHUNK, present - at))
      if (bytes.length === 0) break
      for (let k = 0; k < bytes.length; k += defaultBlockSize) {
        const block = bytes.subarray(k, k + defaultBlockSize)
        push(at + k + block.length, ZEROS.subarray(0, block.length).equals(block) ? 'empty' : 'suspect')
      }
      at += bytes.length
    }
    push(to, 'missing')
    return out
  }

  async close(): Promise<void> {
    await this.#handle?.close()
    this.#handle = null
  }

  async #open(file: number): Promise<void> {
    if (file === this.#file) return
    await this.close()
    this.#file = file
    this.#size = 0
    const files = this.#ti.files()
    if ((files.fileFlags(file) & FileFlags.flagSymlink) !== 0) return
    const path = join(this.#savePath, files.filePath(file))
    try {
      const found = await stat(path)
      if (!found.isFile()) return
      this.#handle = await open(path, 'r')
      this.#size = found.size
    } catch {
      // it is not there, or nobody may read it, which is the same to who wants it
    }
  }

  /** As much as there is, up to `length`; nothing where the disk has an error. */
  async #read(at: number, length: number): Promise<Buffer> {
    let got = 0
    while (got < length) {
      const result = await this.#handle!.read(this.#buffer, got, length - got, at + got).catch(() => null)
      if (result === null || result.bytesRead === 0) break
      got += result.bytesRead
    }
    return this.#buffer.subarray(0, got)
  }
}
