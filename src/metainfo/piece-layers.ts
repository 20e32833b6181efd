/** The `piece layers` of a v2 torrent file: hashes of the pieces of each file, checked against its root (BEP 52). */

import { TOKEN_END, TOKEN_STRING, type TokenTable } from '../bencode/token-table.ts'
import { Bitfield } from '../core/bitfield.ts'
import { bytesEqual, bytesToBinary } from '../core/bytes.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import type { FileStorage } from './file-storage.ts'
import { HASH_SIZE, merkleFirstLeaf, merkleNumLeafs, merklePad, merkleRoot } from './merkle.ts'
import { MerkleTree } from './merkle-tree.ts'
import { failLoad } from './parse-file-entry.ts'

/** What is known of the merkle tree of each file, in the form of `AddTorrentParams`. */
export interface FileTrees {
  /** The piece layer of each file, 32 bytes per piece; empty where none was given. */
  readonly trees: Uint8Array[]
  /** Which nodes of the tree `trees` holds. Nodes behind the end of the mask are not known. */
  readonly masks: Bitfield[]
  /** Blocks whose hash is known to be right; empty means none. */
  readonly verified: Bitfield[]
}

const NONE = new Uint8Array(0)
const NO_BITS = new Bitfield()

/**
 * @param layers token of the dictionary
 * @throws LibtorrentError `torrentInvalidPieceLayer` if a layer is of no file, there twice, of the wrong size, or
 *   does not hash to its root
 */
export function parsePieceLayers(t: TokenTable, layers: number, files: FileStorage): FileTrees {
  const count = files.numFiles()
  const out = noTrees(count)
  const byRoot = new Map<string, number>()
  for (let i = 0; i < count; i++) {
    if (files.fileSize(i) <= files.pieceLength()) continue
    const root = files.rootView(i)
    const key = root === null ? '' : bytesToBinary(root)
    if (!byRoot.has(key)) byRoot.set(key, i)
  }
  const pad = merklePad(files.blocksPerPiece(), 1)
  for (let key = layers + 1; t.kind(key) !== TOKEN_END; key = t.next(key + 1)) {
    const value = key + 1
    if (t.stringLength(key) !== HASH_SIZE || t.kind(value) !== TOKEN_STRING) invalid()
    const root = t.string(key)
    const rootKey = bytesToBinary(root)
    const file = byRoot.get(rootKey)
    if (file === undefined) invalid()
    const pieces = files.fileNumPieces(file)
    if (t.stringLength(value) !== pieces * HASH_SIZE) invalid()
    const layer = t.string(value).slice()
    if (!bytesEqual(merkleRoot(layer, pad), root)) invalid()
    setLayer(out, files, file, layer)
    byRoot.delete(rootKey)
  }
  return out
}

/**
 * Piece layers out of the trees that resume data holds, each in any form: the whole tree, or the nodes a mask marks.
 * What is not proven by the file's root is left out.
 */
export function restorePieceLayers(
  files: FileStorage,
  trees: readonly Uint8Array[],
  masks: readonly Bitfield[],
): FileTrees {
  const count = files.numFiles()
  const out = noTrees(count)
  const blocksPerPiece = files.blocksPerPiece()
  for (let file = 0; file < Math.min(count, trees.length); file++) {
    const root = files.rootView(file)
    if (root === null || files.padFileAt(file) || files.fileSize(file) <= files.pieceLength()) continue
    const hashes = trees[file]!
    const mask = masks[file]
    const tree = new MerkleTree(files.fileNumBlocks(file), blocksPerPiece, root)
    if (mask === undefined || mask.empty()) tree.loadTree(hashes)
    else tree.loadSparseTree(hashes, mask)
    if (tree.pieceLayer !== null) setLayer(out, files, file, tree.pieceLayer)
  }
  return out
}

/**
 * Piece layers that are known to be right, in the form of `AddTorrentParams`.
 *
 * @param layers of each file, 32 bytes per piece; those of files that need none are passed over
 */
export function treesOfLayers(files: FileStorage, layers: readonly Uint8Array[]): FileTrees {
  const out = noTrees(files.numFiles())
  for (let file = 0; file < out.trees.length; file++) {
    const layer = layers[file] ?? NONE
    if (files.fileSize(file) <= files.pieceLength() || layer.length !== files.fileNumPieces(file) * HASH_SIZE) continue
    setLayer(out, files, file, layer)
  }
  return out
}

function noTrees(count: number): FileTrees {
  return {
    trees: new Array<Uint8Array>(count).fill(NONE),
    masks: new Array<Bitfield>(count).fill(NO_BITS),
    verified: new Array<Bitfield>(count).fill(NO_BITS),
  }
}

function setLayer(out: FileTrees, files: FileStorage, file: number, layer: Uint8Array): void {
  out.trees[file] = layer
  out.masks[file] = pieceLayerMask(files.fileNumPieces(file))
  // with pieces of one block the hashes of pieces are those of blocks
  if (files.blocksPerPiece() === 1) out.verified[file] = new Bitfield(files.fileNumBlocks(file), true)
}

/** Marks the nodes of the piece layer. It ends with the last of them: a whole mask may take a bit per block. */
function pieceLayerMask(pieces: number): Bitfield {
  const first = merkleFirstLeaf(merkleNumLeafs(pieces))
  const mask = new Bitfield(first + pieces)
  for (let i = first; i < first + pieces; i++) mask.setBit(i)
  return mask
}

function invalid(): never {
  failLoad(LibtorrentErrors.torrentInvalidPieceLayer)
}
