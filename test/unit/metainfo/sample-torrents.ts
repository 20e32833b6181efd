/** Makers of torrent files, sound and broken, for the tests of loading. */

import { bencode } from '../../../src/bencode/bencode.ts'
import type { BencodeInput } from '../../../src/bencode/entry.ts'
import { bytesToBinary } from '../../../src/core/bytes.ts'
import { LibtorrentError } from '../../../src/core/error-code.ts'
import { sha1, sha256 } from '../../../src/core/hash.ts'

export type Dict = { [key: string]: BencodeInput }

const BLOCK = 16384

/** Bytes that look random and are the same every time. */
export function content(size: number, seed = 1): Uint8Array {
  const out = new Uint8Array(size)
  let x = seed * 2654435761
  for (let i = 0; i < size; i++) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0
    out[i] = x >>> 24
  }
  return out
}

/** An info dictionary of one v1 file. */
export function singleV1(over: Dict = {}): Dict {
  return { length: 425, name: 'temp', 'piece length': BLOCK, pieces: new Uint8Array(20).fill(0x61), ...over }
}

/** An info dictionary of v1 files, each 425 bytes unless it says otherwise. */
export function multiV1(files: readonly Dict[], over: Dict = {}): Dict {
  const list = files.map(file => ({ length: 425, ...file }))
  const total = list.reduce((sum, file) => sum + (typeof file.length === 'number' ? file.length : 0), 0)
  const pieces = new Uint8Array(Math.min(1000, Math.max(0, Math.ceil(total / BLOCK))) * 20).fill(0x61)
  return { files: list, name: 'temp', 'piece length': BLOCK, pieces, ...over }
}

export function torrent(info: BencodeInput, outer: Dict = {}): Uint8Array {
  return bencode({ ...outer, info })
}

/** One file of a v2 tree with its piece layer. */
export interface FileV2 {
  readonly size: number
  readonly root: Uint8Array
  /** Hashes of its pieces; empty if it has only one. */
  readonly layer: Uint8Array
}

/** Hashes content as BEP 52 says, by the definition and not by the code under test. */
export function hashV2(data: Uint8Array, pieceLength: number): FileV2 {
  let leaves: Uint8Array[] = []
  for (let at = 0; at < data.length; at += BLOCK) leaves.push(sha256(data.subarray(at, at + BLOCK)))
  const perPiece = pieceLength / BLOCK
  const single = data.length <= pieceLength
  let width = 1
  while (width < (single ? leaves.length : Math.ceil(leaves.length / perPiece) * perPiece)) width *= 2
  const zero = new Uint8Array(32)
  while (leaves.length < width) leaves.push(zero)
  let layer = new Uint8Array(0)
  for (let unit = 1; ; unit *= 2) {
    if (!single && unit === perPiece) {
      layer = concat(leaves.slice(0, Math.ceil(data.length / pieceLength)))
    }
    if (leaves.length === 1) return { size: data.length, root: leaves[0]!, layer }
    const above: Uint8Array[] = []
    for (let i = 0; i < leaves.length; i += 2) above.push(sha256(concat([leaves[i]!, leaves[i + 1]!])))
    leaves = above
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** A leaf of a file tree. */
export function leaf(file: FileV2, over: Dict = {}): Dict {
  return { '': { length: file.size, 'pieces root': file.root, ...over } }
}

export function infoV2(tree: Dict, over: Dict = {}): Dict {
  return { 'file tree': tree, 'meta version': 2, name: 'test', 'piece length': 2 * BLOCK, ...over }
}

/** The outer dictionary's piece layers for some files. */
export function layers(...files: readonly FileV2[]): Dict {
  const out: Dict = {}
  for (const file of files) if (file.layer.length > 0) out[bytesToBinary(file.root)] = file.layer
  return { 'piece layers': out }
}

/** The v1 half of a hybrid torrent, of files with their padding. */
export function piecesOf(data: Uint8Array, pieceLength: number): Uint8Array {
  const hashes: Uint8Array[] = []
  for (let at = 0; at < data.length; at += pieceLength) hashes.push(sha1(data.subarray(at, at + pieceLength)))
  return concat(hashes)
}

/** The libtorrent error that a call throws, by category and number; 'none' if it throws nothing. */
export function errorOf(call: () => unknown): string {
  try {
    call()
  } catch (e) {
    if (!(e instanceof LibtorrentError)) throw e
    return `${e.code.category().name()}:${e.code.value()}`
  }
  return 'none'
}
