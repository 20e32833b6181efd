/**
 * Finds who sent bad data in v1 torrents, where only a whole piece can be verified.
 *
 * When a piece fails, the digest and the sender of each of its blocks are kept. When it passes later,
 * a sender whose digest differs from the good block's is guilty. So is one that sends two different
 * versions of a block. (v2 verifies blocks by themselves and needs none of this.)
 */

import type { BlockIndex, PieceIndex } from '../core/brands.ts'
import { bytesEqual } from '../core/bytes.ts'
import { NO_PEER, type PeerRef } from './downloading-pieces.ts'

/**
 * Digest of a block of the piece that was just judged; `null` if it could not be read. Any kind will do (SHA-1 of the
 * bytes, or the SHA-256 that a commit gives), as long as it is always the same. May be a borrowed view.
 */
export type BlockDigest = (block: BlockIndex) => Uint8Array | null

interface Suspicion {
  readonly peer: PeerRef
  readonly digest: Uint8Array
}

/** Suspicions kept, of all pieces together; those of the pieces that failed first go first. */
const MAX_SUSPICIONS = 1 << 16

/** See the head of the file. */
export class SmartBan {
  /** By piece, in order of failure: suspicions by block. */
  readonly #failed = new Map<PieceIndex, Map<BlockIndex, Suspicion[]>>()
  #count = 0

  /** Something is kept about the piece: its blocks' digests are worth having when it passes. */
  suspects(piece: PieceIndex): boolean {
    return this.#failed.has(piece)
  }

  /** Blocks of the piece something is kept about. */
  suspectBlocks(piece: PieceIndex): BlockIndex[] {
    return [...(this.#failed.get(piece)?.keys() ?? [])].sort((a, b) => a - b)
  }

  get empty(): boolean {
    return this.#failed.size === 0
  }

  /**
   * A piece has failed its hash check.
   *
   * @param senders by block, 0 for unknown; `PiecePicker.downloaders` before the piece is restored
   * @returns peers that have sent this block before with other content: guilty, whichever was right
   */
  pieceFailed(piece: PieceIndex, senders: readonly PeerRef[], digest: BlockDigest): PeerRef[] {
    const guilty = new Set<PeerRef>()
    let blocks = this.#failed.get(piece)
    if (blocks === undefined) {
      blocks = new Map()
      this.#failed.set(piece, blocks)
    }
    for (let block = 0; block < senders.length; block++) {
      const peer = senders[block]!
      if (peer === NO_PEER) continue
      const bytes = digest(block)
      if (bytes === null) continue
      let list = blocks.get(block)
      if (list === undefined) blocks.set(block, (list = []))
      const before = list.find(s => s.peer === peer)
      if (before === undefined) {
        list.push({ peer, digest: bytes.slice() })
        this.#count++
      } else if (!bytesEqual(before.digest, bytes)) guilty.add(peer)
    }
    if (blocks.size === 0) this.#failed.delete(piece)
    while (this.#count > MAX_SUSPICIONS) this.#drop(this.#failed.keys().next().value!)
    return [...guilty]
  }

  /**
   * A piece that failed before has passed. Forgets what was kept about it.
   *
   * @returns peers that had sent something else than the good data
   */
  piecePassed(piece: PieceIndex, digest: BlockDigest): PeerRef[] {
    const guilty = new Set<PeerRef>()
    const blocks = this.#failed.get(piece)
    if (blocks === undefined) return []
    this.#drop(piece)
    for (const [block, list] of blocks) {
      const good = digest(block)
      if (good === null) continue
      for (const { peer, digest: theirs } of list) if (!bytesEqual(theirs, good)) guilty.add(peer)
    }
    return [...guilty]
  }

  /** The peer's entry is going away and its id with it. */
  forgetPeer(peer: PeerRef): void {
    for (const [piece, blocks] of this.#failed) {
      for (const [block, list] of blocks) {
        const rest = list.filter(s => s.peer !== peer)
        if (rest.length === list.length) continue
        this.#count -= list.length - rest.length
        if (rest.length > 0) blocks.set(block, rest)
        else blocks.delete(block)
      }
      if (blocks.size === 0) this.#failed.delete(piece)
    }
  }

  #drop(piece: PieceIndex): void {
    for (const list of this.#failed.get(piece)!.values()) this.#count -= list.length
    this.#failed.delete(piece)
  }
}
