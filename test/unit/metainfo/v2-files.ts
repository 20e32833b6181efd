/** Files of a v2 torrent with made-up block hashes, and their whole trees computed the plain way. */

import { createHash } from 'node:crypto'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { FileStorage } from '../../../src/metainfo/file-storage.ts'
import type { HashRequest } from '../../../src/wire/hash-messages.ts'

const BLOCK = 16384

export function sha256(...parts: Uint8Array[]): Uint8Array {
  const h = createHash('sha256')
  for (const part of parts) h.update(part)
  return new Uint8Array(h.digest())
}

export const join = (nodes: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(nodes))

export class V2File {
  readonly blocks: number
  readonly perPiece: number
  readonly leafs: number
  /** All nodes, the root first. */
  readonly nodes: Uint8Array[]

  constructor(blocks: number, perPiece: number, seed = 7) {
    this.blocks = blocks
    this.perPiece = perPiece
    let leafs = 1
    while (leafs < blocks) leafs *= 2
    this.leafs = leafs
    const nodes: Uint8Array[] = new Array(2 * leafs - 1)
    for (let i = 0; i < leafs; i++) {
      nodes[leafs - 1 + i] = i < blocks ? sha256(Uint8Array.of(i >> 16, i >> 8, i, seed)) : new Uint8Array(32)
    }
    for (let i = leafs - 2; i >= 0; i--) nodes[i] = sha256(nodes[2 * i + 1]!, nodes[2 * i + 2]!)
    this.nodes = nodes
  }

  get root(): Uint8Array {
    return this.nodes[0]!
  }

  get size(): number {
    return this.blocks * BLOCK
  }

  get pieces(): number {
    return Math.ceil(this.blocks / this.perPiece)
  }

  /** Layers from the blocks to the node of a piece. */
  get pieceLevels(): number {
    return Math.min(Math.log2(this.perPiece), Math.log2(this.leafs))
  }

  /** Node `index` of the layer that many above the blocks. */
  node(layer: number, index: number): Uint8Array {
    return this.nodes[this.leafs / 2 ** layer - 1 + index]!
  }

  run(layer: number, index: number, count: number): Uint8Array {
    return join(Array.from({ length: count }, (_, i) => this.node(layer, index + i)))
  }

  pieceRoot(piece: number): Uint8Array {
    return this.node(this.pieceLevels, piece)
  }

  pieceLayer(): Uint8Array {
    return this.run(this.pieceLevels, 0, this.pieces)
  }

  blockHashes(piece: number): Uint8Array {
    const first = piece * this.perPiece
    return this.run(0, first, Math.min(this.perPiece, this.blocks - first))
  }

  /** Siblings from a node upwards. */
  proof(layer: number, index: number, length = 40): Uint8Array {
    const out: Uint8Array[] = []
    for (let at = layer; this.leafs / 2 ** at > 1 && out.length < length; at++, index = Math.floor(index / 2)) {
      out.push(this.node(at, index ^ 1))
    }
    return join(out)
  }

  /** The piece layer in the form of `AddTorrentParams`. */
  layerTrees(): [Uint8Array[], Bitfield[]] {
    const first = this.leafs / 2 ** this.pieceLevels - 1
    const mask = new Bitfield(first + this.pieces)
    for (let i = first; i < first + this.pieces; i++) mask.setBit(i)
    return [[this.pieceLayer()], [mask]]
  }
}

/** A torrent of such files, each beginning at a piece, with pad files between them. */
export function layoutOf(perPiece: number, ...list: V2File[]): FileStorage {
  const files = new FileStorage()
  files.setPieceLength(perPiece * BLOCK)
  for (const [i, file] of list.entries()) files.addFile(`t/${i}`, file.size, 0, 0, '', file.root)
  files.removeTailPadding()
  files.setNumPieces(Math.ceil(files.totalSize() / (perPiece * BLOCK)))
  return files
}

export function requestOf(file: V2File, base: number, index: number, count: number, proofLayers: number): HashRequest {
  return { root: file.root, base, index, count, proofLayers }
}
