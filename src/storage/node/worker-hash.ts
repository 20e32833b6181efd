/** Piece hashers of a worker, kept between jobs: their leaf buffers are as large as a piece is long. */

import { BLOCK_SIZE } from '../../core/brands.ts'
import { PieceHasher, v2LeafCount } from '../../metainfo/piece-hash.ts'

const KEPT = 4

interface Kept {
  readonly hasher: PieceHasher
  readonly key: number
}

/** Lends hashers. One that is not given back, because its job failed half-way, is forgotten. */
export class HasherCache {
  readonly #idle: Kept[] = []
  readonly #keys = new WeakMap<PieceHasher, number>()

  take(v1: boolean, v2: boolean, pieceLength: number): PieceHasher {
    const leaves = v2 ? Math.max(1, Math.ceil(pieceLength / BLOCK_SIZE)) : 0
    const key = leaves * 4 + (v2 ? 2 : 0) + (v1 ? 1 : 0)
    const at = this.#idle.findIndex(kept => kept.key === key)
    if (at >= 0) return this.#idle.splice(at, 1)[0]!.hasher
    const hasher = new PieceHasher(v1, v2, leaves)
    this.#keys.set(hasher, key)
    return hasher
  }

  /** @param hasher all its results were taken, so that it is ready for another piece */
  give(hasher: PieceHasher): void {
    if (this.#idle.length >= KEPT) this.#idle.shift()
    this.#idle.push({ hasher, key: this.#keys.get(hasher)! })
  }
}

/** Leaves under a piece's root. */
export function leafCount(fileSize: number, pieceLength: number): number {
  return v2LeafCount(fileSize, pieceLength)
}
