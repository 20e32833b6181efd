/**
 * Seed mode: the user says that all files are whole, so nothing is hashed until a peer asks for it. A
 * piece is then hashed once, before its first block is sent.
 */

import type { Bitfield } from '../core/bitfield.ts'
import type { PieceIndex } from '../core/brands.ts'
import { bytesEqual } from '../core/bytes.ts'
import { RequestVerdict } from '../peer/upload-queue.ts'
import type { Torrent } from './torrent.ts'

/** Pieces hashed at once. */
const MAX_VERIFYING = 3

export class SeedMode {
  readonly #torrent: Torrent
  readonly verified: Bitfield
  readonly #verifying = new Set<PieceIndex>()
  #numVerified: number

  /** @param verified pieces that were checked in earlier runs */
  constructor(torrent: Torrent, numPieces: number, verified: Bitfield) {
    this.#torrent = torrent
    this.verified = verified.clone()
    this.verified.resize(numPieces)
    this.#numVerified = this.verified.count()
  }

  judge(piece: PieceIndex): RequestVerdict {
    if (this.verified.getBit(piece) || this.#torrent.env.settings.disableHashChecks) return RequestVerdict.serve
    if (!this.#verifying.has(piece) && this.#verifying.size < MAX_VERIFYING) this.#verify(piece)
    return RequestVerdict.wait
  }

  #verify(piece: PieceIndex): void {
    const torrent = this.#torrent
    const content = torrent.content!
    const expected = content.expected(piece)
    this.#verifying.add(piece)
    const want = { v1: expected.v1 !== null, v2: expected.v2 !== null, blockHashes: false }
    torrent.env.disk.hashPieces(content.storage!, piece, 1, want, result =>
      torrent.env.turn.run('seed mode', () => {
        this.#verifying.delete(piece)
        if (torrent.seedMode !== this || torrent.aborted) return
        // without any hash nothing can be said of it: the full check will find out, with all pieces before it
        const good =
          (expected.v1 !== null || expected.v2 !== null) &&
          result.error === null &&
          (expected.v1 === null || (result.v1 !== null && bytesEqual(result.v1, expected.v1))) &&
          (expected.v2 === null || (result.v2 !== null && bytesEqual(result.v2, expected.v2)))
        if (!good) {
          torrent.leaveSeedMode(true)
          return
        }
        this.verified.setBit(piece)
        torrent.needSave.progress()
        if (++this.#numVerified === this.verified.size()) torrent.leaveSeedMode(false)
        for (const peer of torrent.swarm.connections) peer.uploads.queue.fill()
      }),
    )
    torrent.env.disk.submit()
  }
}
