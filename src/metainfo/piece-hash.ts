/**
 * The arithmetic of piece verification: SHA-1 over a piece (v1), SHA-256 over its 16 KiB blocks and the
 * merkle root above them (v2, BEP 52).
 *
 * The same code runs in the storage workers, in `setPieceHashes` and in `bench/piece-hash.js`. The bytes of
 * a piece may come in several views, because they lie scattered over slots or are read in parts:
 * neighbouring slots should come as one view, since one update over a long run costs less than one per block.
 */

import { BLOCK_SIZE } from '../core/brands.ts'
import { Hasher, Hasher256, sha256Into } from '../core/hash.ts'

const HASH_SIZE = 32
const ZEROS = new Uint8Array(BLOCK_SIZE)

/** Leaves of the subtree whose root stands for a piece of a file of `fileSize` bytes. @see BEP 52 */
export function v2LeafCount(fileSize: number, pieceLength: number): number {
  if (fileSize > pieceLength) return pieceLength / BLOCK_SIZE
  let n = 1
  while (n * BLOCK_SIZE < fileSize) n *= 2
  return n
}

/**
 * Hashes one piece after the other, each from parts.
 *
 * `update` the parts in order, then `takeV1` and `takeV2Root`, which make it ready for the next piece.
 * Leaves live in one buffer that is used again for each piece.
 */
export class PieceHasher {
  readonly #v1: Hasher | null
  readonly #partial: Hasher256 | null
  /** Room for the leaf hashes of a piece; the root is computed in place. */
  readonly #leaves: Buffer
  #blocks = 0
  /** Bytes of the block that `#partial` has got so far. */
  #partialLength = 0

  /** @param maxLeaves most leaves of one piece, a power of two; unused without `v2` */
  constructor(v1: boolean, v2: boolean, maxLeaves: number) {
    this.#v1 = v1 ? new Hasher() : null
    this.#partial = v2 ? new Hasher256() : null
    this.#leaves = Buffer.alloc(v2 ? maxLeaves * HASH_SIZE : 0)
  }

  /** The next bytes of the piece; borrowed during the call. */
  update(view: Uint8Array): void {
    if (this.#v1 !== null) this.#v1.update(view)
    if (this.#partial !== null) this.#updateBlocks(view, this.#partial)
  }

  /** Pad file bytes: zeros that only the v1 hash covers. */
  updatePad(length: number): void {
    if (this.#v1 === null) return
    for (let left = length; left > 0; left -= BLOCK_SIZE) {
      this.#v1.update(left < BLOCK_SIZE ? ZEROS.subarray(0, left) : ZEROS)
    }
  }

  /** SHA-1 of all bytes and padding since the last call, 20 bytes the caller owns. */
  takeV1(): Uint8Array {
    if (this.#v1 === null) throw new Error('PieceHasher: made without v1')
    const out = this.#v1.final().view()
    this.#v1.reset()
    return out
  }

  /** Copies the hashes of the blocks seen so far, 32 bytes each: to be called before `takeV2Root`. */
  copyBlockHashes(target: Uint8Array): void {
    this.#endBlock()
    target.set(this.#leaves.subarray(0, this.#blocks * HASH_SIZE))
  }

  /**
   * Root over the blocks since the last call; missing leaves are all zeros.
   *
   * @param leafCount a power of two, not below the number of blocks
   */
  takeV2Root(leafCount: number): Uint8Array {
    this.#endBlock()
    const leaves = this.#leaves
    leaves.fill(0, this.#blocks * HASH_SIZE, leafCount * HASH_SIZE)
    this.#blocks = 0
    for (let n = leafCount; n > 1; n >>= 1) {
      for (let i = 0; i < n; i += 2) {
        sha256Into(leaves.subarray(i * HASH_SIZE, (i + 2) * HASH_SIZE), leaves, (i >> 1) * HASH_SIZE)
      }
    }
    return new Uint8Array(leaves.subarray(0, HASH_SIZE))
  }

  #updateBlocks(view: Uint8Array, partial: Hasher256): void {
    let at = 0
    if (this.#partialLength > 0) {
      at = Math.min(BLOCK_SIZE - this.#partialLength, view.length)
      partial.update(view.subarray(0, at))
      this.#partialLength += at
      if (this.#partialLength < BLOCK_SIZE) return
      this.#endBlock()
    }
    for (; view.length - at >= BLOCK_SIZE; at += BLOCK_SIZE) {
      sha256Into(view.subarray(at, at + BLOCK_SIZE), this.#leaves, this.#nextLeaf())
    }
    if (at < view.length) {
      partial.update(view.subarray(at))
      this.#partialLength = view.length - at
    }
  }

  #endBlock(): void {
    if (this.#partial === null || this.#partialLength === 0) return
    this.#leaves.set(this.#partial.final().view(), this.#nextLeaf())
    this.#partial.reset()
    this.#partialLength = 0
  }

  /** Where the next leaf goes. */
  #nextLeaf(): number {
    const at = this.#blocks * HASH_SIZE
    if (at >= this.#leaves.length) throw new RangeError('PieceHasher: more blocks than the piece has leaves')
    this.#blocks++
    return at
  }
}
