/** Which torrents of a session have a file with a given root: cheap enough to be kept for all files of all torrents. */

import type { FileIndex, TorrentId } from '../core/brands.ts'
import { BLOCK_SIZE } from '../core/brands.ts'
import type { FileStorage } from '../metainfo/file-storage.ts'

/** Words of one entry: first bytes of the root, torrent, file. */
const STRIDE = 3
const KEY = 0
const ID = 1
const FILE = 2
/** No torrent has this id. */
const EMPTY = 0
/** Torrents that are known for one root. There are files that a group puts into every torrent. */
const PER_ROOT = 8
/**
 * Entries looked at for one root. Roots are whatever a torrent file says, so they may have been chosen to meet in one
 * place; what finds no room is not shared.
 */
const MAX_PROBES = 64
const FIRST_SIZE = 256

/**
 * A hash table of integers, 12 bytes an entry and at most half full: 24 to 48 bytes a file. Files of torrents that are
 * gone stay in it until it grows.
 */
export class RootIndex {
  readonly #alive: (torrent: TorrentId) => boolean
  #table = new Int32Array(FIRST_SIZE * STRIDE)
  #size = FIRST_SIZE
  #used = 0

  /** @param alive whether there still is such a torrent */
  constructor(alive: (torrent: TorrentId) => boolean) {
    this.#alive = alive
  }

  /** Enters the files of a torrent. Those smaller than a block are not worth it. */
  add(torrent: TorrentId, files: FileStorage): void {
    for (let file = 0; file < files.numFiles(); file++) {
      if (files.fileSize(file) < BLOCK_SIZE || files.padFileAt(file)) continue
      const root = files.rootView(file)
      if (root === null) continue
      if (this.#used * 2 >= this.#size) this.#grow()
      this.#insert(keyOf(root), torrent, file)
    }
  }

  /** Files that may have the root: those whose root begins like it. */
  *find(root: Uint8Array): Generator<{ torrent: TorrentId; file: FileIndex }> {
    const key = keyOf(root)
    const table = this.#table
    const size = this.#size
    for (let probe = 0, slot = slotOf(key, size); probe < MAX_PROBES; probe++, slot = (slot + 1) & (size - 1)) {
      const at = slot * STRIDE
      if (table[at + ID] === EMPTY) return
      if (table[at + KEY] === key) yield { torrent: table[at + ID]!, file: table[at + FILE]! }
    }
  }

  /** Bytes taken. */
  get bytes(): number {
    return this.#table.byteLength
  }

  /** Of files of one torrent whose roots begin alike, as those of the same content do, the first is known. */
  #insert(key: number, torrent: TorrentId, file: FileIndex): void {
    const table = this.#table
    const mask = this.#size - 1
    let same = 0
    for (let probe = 0, slot = slotOf(key, this.#size); probe < MAX_PROBES; probe++, slot = (slot + 1) & mask) {
      const at = slot * STRIDE
      if (table[at + ID] === EMPTY) this.#used++
      else {
        if (table[at + KEY] !== key) continue
        if (table[at + ID] === torrent) return
        if (this.#alive(table[at + ID]!)) {
          if (++same === PER_ROOT) return
          continue
        }
      }
      table[at + KEY] = key
      table[at + ID] = torrent
      table[at + FILE] = file
      return
    }
  }

  #grow(): void {
    const before = this.#table
    let alive = 0
    for (let at = 0; at < before.length; at += STRIDE) if (this.#isAlive(before, at)) alive++
    // at most a quarter full, so that the next time is far off
    while (this.#size < alive * 4) this.#size *= 2
    this.#table = new Int32Array(this.#size * STRIDE)
    this.#used = 0
    for (let at = 0; at < before.length; at += STRIDE) {
      if (this.#isAlive(before, at)) this.#insert(before[at + KEY]!, before[at + ID]!, before[at + FILE]!)
    }
  }

  #isAlive(table: Int32Array, at: number): boolean {
    return table[at + ID] !== EMPTY && this.#alive(table[at + ID]!)
  }
}

/** Roots are hashes: any four bytes will do. */
function keyOf(root: Uint8Array): number {
  return (root[0]! << 24) | (root[1]! << 16) | (root[2]! << 8) | root[3]!
}

/** @param size a power of two */
function slotOf(key: number, size: number): number {
  return key & (size - 1)
}
