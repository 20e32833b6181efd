/**
 * Makes the piece layers of files that are there, but whose v2 hashes nobody has told: their pieces are hashed from disk.
 *
 * A hybrid torrent that came by a magnet link is complete by its v1 hashes. Pieces that arrive tell their roots, those that
 * resume data had do not; and once nothing is wanted any more, the seeds that were asked for hashes may be gone. Of a v2
 * torrent resume data may say that all is there, and have no hashes.
 *
 * Deviation: libtorrent stays without such layers. It can neither tell them nor write a torrent file.
 *
 * @see BEP 52
 */

import type { FileIndex, PieceIndex } from '../core/brands.ts'
import { bytesEqual } from '../core/bytes.ts'
import type { Turn } from '../core/turn.ts'
import type { Geometry } from '../metainfo/geometry.ts'
import type { DiskError, DiskIo, HashResult, PieceHashes, StorageHandle } from '../storage/disk-io.ts'
import type { PieceProofs } from './piece-proofs.ts'

/** What comes of it, told to the torrent. All inside a turn. */
export interface LayerHost {
  /** Whether pieces may be hashed now: the torrent runs, and its files are checked. */
  readonly mayMakeLayers: boolean
  /** Hashes of pieces have become known. */
  layersGrew(): void
  /** A piece that is had is not on disk as it was when it was found right. */
  pieceSpoilt(piece: PieceIndex): void
  readFailed(error: DiskError): void
}

/** What is read of the content that the pieces are of. */
export interface LayerSource {
  readonly geometry: Geometry
  readonly storage: StorageHandle | null
  /** Whether pieces are compared with v1 hashes. */
  readonly checksV1: boolean
  havePiece(piece: PieceIndex): boolean
  expected(piece: PieceIndex): PieceHashes
}

/** Pieces hashed at once: others are to have most of the disk's time. */
const MAX_HASHING = 2

export class LayerMaker {
  readonly #content: LayerSource
  readonly #proofs: PieceProofs
  readonly #host: LayerHost
  readonly #disk: DiskIo
  readonly #turn: Turn
  /** Files that are there and lack hashes; the first one is being hashed. */
  readonly #files = new Set<FileIndex>()
  /** Where to go on in the first file, counted in it. */
  #next = 0
  readonly #hashing = new Set<PieceIndex>()

  constructor(content: LayerSource, proofs: PieceProofs, host: LayerHost, disk: DiskIo, turn: Turn) {
    this.#content = content
    this.#proofs = proofs
    this.#host = host
    this.#disk = disk
    this.#turn = turn
  }

  /** The torrent may run again, or its files were checked: looks at all of them. */
  look(): void {
    this.#files.clear()
    this.#next = 0
    if (this.#proofs.trees.complete || !this.#host.mayMakeLayers) return
    const count = this.#content.geometry.files.numFiles()
    for (let file = 0; file < count; file++) if (this.#lacksLayer(file) && this.#isThere(file)) this.#files.add(file)
    this.#fill()
  }

  /** The last piece of a file is had. */
  fileCompleted(file: FileIndex): void {
    if (!this.#lacksLayer(file) || !this.#host.mayMakeLayers) return
    this.#files.add(file)
    this.#fill()
  }

  #lacksLayer(file: FileIndex): boolean {
    return this.#proofs.trees.pieceLayer(file) === null
  }

  #isThere(file: FileIndex): boolean {
    const { begin, end } = this.#content.geometry.piecesOfFile(file)
    for (let piece = begin; piece < end; piece++) if (!this.#content.havePiece(piece)) return false
    return true
  }

  #fill(): void {
    const { storage, checksV1 } = this.#content
    if (storage === null) return
    while (this.#hashing.size < MAX_HASHING && this.#host.mayMakeLayers) {
      const piece = this.#nextPiece()
      if (piece < 0) break
      this.#hashing.add(piece)
      this.#disk.hashPieces(storage, piece, 1, { v1: checksV1, v2: true, blockHashes: false }, result =>
        this.#turn.run('piece layer', () => this.#hashed(piece, result)),
      )
    }
    this.#disk.submit()
  }

  /** @returns -1 if there is none */
  #nextPiece(): PieceIndex {
    for (const file of this.#files) {
      const { begin, end } = this.#content.geometry.piecesOfFile(file)
      // meanwhile peers may have told its hashes, or the user taken a piece away
      while (this.#lacksLayer(file) && begin + this.#next < end) {
        const piece = begin + this.#next++
        if (!this.#content.havePiece(piece)) break
        if (!this.#proofs.trees.hasRoot(piece) && !this.#hashing.has(piece)) return piece
      }
      this.#files.delete(file)
      this.#next = 0
    }
    return -1
  }

  #hashed(piece: PieceIndex, { error, v1, v2 }: HashResult): void {
    this.#hashing.delete(piece)
    // after a recheck all files are looked at again
    if (this.#content.havePiece(piece) && this.#host.mayMakeLayers) {
      const expected = this.#content.expected(piece)
      if (error !== null) this.#host.readFailed(error)
      else if (expected.v1 !== null && !bytesEqual(v1!, expected.v1)) this.#host.pieceSpoilt(piece)
      else this.#judge(piece, v2!)
    }
    this.#fill()
  }

  #judge(piece: PieceIndex, root: Uint8Array): void {
    const verdict = this.#proofs.judge(piece, root)
    this.#proofs.settle(verdict)
    if (verdict.passed.length > 0) this.#host.layersGrew()
  }
}
