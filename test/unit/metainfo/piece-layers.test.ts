import { describe, expect, test } from 'vitest'
import { bdecode } from '../../../src/bencode/bdecode.ts'
import type { Entry } from '../../../src/bencode/entry.ts'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { bytesToBinary } from '../../../src/core/bytes.ts'
import { Sha1Hash, Sha256Hash } from '../../../src/core/digest.ts'
import { WriteFlags } from '../../../src/core/enums.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import type { AddTorrentParams } from '../../../src/metainfo/add-torrent-params.ts'
import { CreateFileEntry } from '../../../src/metainfo/create-file-entry.ts'
import { CreateTorrent } from '../../../src/metainfo/create-torrent.ts'
import { loadTorrentBuffer } from '../../../src/metainfo/load-torrent.ts'
import { merkleRoot } from '../../../src/metainfo/merkle.ts'
import { MerkleTree } from '../../../src/metainfo/merkle-tree.ts'
import { readResumeData } from '../../../src/metainfo/resume-read.ts'
import { writeResumeDataBuf } from '../../../src/metainfo/resume-write.ts'
import { TorrentInfo } from '../../../src/metainfo/torrent-info.ts'
import { writeTorrentFile, writeTorrentFileBuf } from '../../../src/metainfo/write-torrent-file.ts'
import { codeOf } from './code-of.ts'

const BLOCK = 16384
const PIECE = 4 * BLOCK
/** Tiny, empty, a block, a piece, one byte more than that, a power of two of pieces, three pieces less a block. */
const SIZES = [5, 0, BLOCK, PIECE, PIECE + 1, 4 * PIECE, 3 * PIECE - BLOCK]
/** Those that are longer than a piece. */
const LONG = [4, 5, 6]

/** Hashes of the blocks of a file, made up. */
function blockHashes(file: number): Uint8Array {
  const blocks = Math.ceil(SIZES[file]! / BLOCK)
  return new Uint8Array(blocks * 32).map((_, i) => (i % 32 === 0 ? 1 + file : i % 32 === 1 ? 1 + i / 32 : i))
}

function pieceHash(file: number, piece: number): Uint8Array {
  const blocks = blockHashes(file)
  const count = SIZES[file]! <= PIECE ? 2 ** Math.ceil(Math.log2(blocks.length / 32)) : 4
  const full = new Uint8Array(count * 32)
  full.set(blocks.subarray(piece * count * 32, (piece + 1) * count * 32))
  return merkleRoot(full).slice()
}

function layerOf(file: number): Uint8Array {
  return Buffer.concat(Array.from({ length: Math.ceil(SIZES[file]! / PIECE) }, (_, k) => pieceHash(file, k)))
}

function make(flags: number): AddTorrentParams {
  const torrent = new CreateTorrent(
    SIZES.map((size, i) => new CreateFileEntry(`t/${i}`, size)),
    PIECE,
    flags,
  )
  if (!torrent.isV2Only()) {
    for (const i of torrent.pieceRange()) torrent.setHash(i, new Sha1Hash(new Uint8Array(20).fill(i + 1)))
  }
  if (!torrent.isV1Only()) {
    for (const i of torrent.fileRange()) {
      const { filename, flags: attributes } = torrent.fileAt(i)
      if (attributes !== 0) continue
      const file = Number(filename.slice(2))
      for (const k of torrent.filePieceRange(i)) torrent.setHash2(i, k, new Sha256Hash(pieceHash(file, k)))
    }
  }
  torrent.setCreationDate(5)
  return loadTorrentBuffer(torrent.generateBuf())
}

/** The files by their numbers in `SIZES`: a hybrid torrent has pad files between. */
function indexOf(info: TorrentInfo, file: number): number {
  const files = info.layout()
  return Array.from({ length: files.numFiles() }, (_, i) => files.filePath(i)).indexOf(`t/${file}`)
}

/** Files whose piece hashes are not known. */
function lacking(info: TorrentInfo): number[] {
  const files = info.layout()
  return Array.from({ length: files.numFiles() }, (_, i) => i).filter(
    i => files.fileSize(i) > 0 && !files.padFileAt(i) && info.pieceLayer(i).length === 0,
  )
}

/** A file's whole tree, from blocks to root, as libtorrent keeps it. */
function fullTree(info: TorrentInfo, file: number): { tree: MerkleTree; whole: Uint8Array } {
  const files = info.layout()
  const index = indexOf(info, file)
  const tree = new MerkleTree(files.fileNumBlocks(index), files.blocksPerPiece(), files.rootView(index)!)
  const leafs = (tree.size + 1) / 2
  const whole = new Uint8Array(tree.size * 32)
  whole.set(blockHashes(file), (leafs - 1) * 32)
  for (let i = leafs - 2; i >= 0; i--) {
    whole.set(merkleRoot(whole.slice((2 * i + 1) * 32, (2 * i + 3) * 32)), i * 32)
  }
  tree.loadTree(whole)
  return { tree, whole }
}

const KINDS = [
  ['v2', CreateTorrent.v2Only],
  ['hybrid', 0],
] as const

describe.each(KINDS)('the piece layers of a %s torrent', (_, flags) => {
  const params = make(flags)
  const info = params.ti!
  const original = writeTorrentFileBuf(params)

  test('are in the torrent file, for files longer than a piece', () => {
    const layers = (writeTorrentFile(params) as { [key: string]: Entry })['piece layers'] as { [key: string]: Entry }
    expect(Object.keys(layers)).toHaveLength(LONG.length)
    for (const file of LONG) {
      const key = bytesToBinary(info.layout().rootView(indexOf(info, file))!)
      expect(Buffer.from(layers[key] as Uint8Array).equals(layerOf(file))).toBe(true)
    }
  })

  test('are told by the metadata; a short file has its root, an empty one nothing', () => {
    for (let file = 0; file < SIZES.length; file++) {
      const own = info.pieceLayer(indexOf(info, file))
      expect(Buffer.from(own).equals(layerOf(file))).toBe(true)
    }
    expect(info.v2PieceHashesVerified()).toBe(true)
    const bare = TorrentInfo.fromInfoSection(info.infoSection())
    expect(bare.v2PieceHashesVerified()).toBe(false)
    expect(bare.pieceLayer(indexOf(info, 5))).toHaveLength(0)
    expect(bare.pieceLayer(indexOf(info, 3))).toHaveLength(32)
    for (let i = 0; i < info.numFiles(); i++) {
      if (info.layout().padFileAt(i)) expect(info.pieceLayer(i)).toHaveLength(0)
    }
  })

  test('are given to a copy of metadata that came without them', () => {
    const bare = TorrentInfo.fromInfoSection(info.infoSection())
    const layers = Array.from({ length: info.numFiles() }, (_, i) => info.pieceLayer(i))
    const copy = bare.withPieceLayers(layers)
    expect(lacking(copy)).toEqual([])
    expect(lacking(bare)).toEqual(LONG.map(file => indexOf(info, file)))
    expect(copy.fileTrees()).toEqual(info.fileTrees())
    // a program that still makes torrent files this way
    const again = loadTorrentBuffer(new CreateTorrent(copy).generateBuf())
    expect(again.infoHashes.equals(params.infoHashes)).toBe(true)
    expect(again.merkleTrees).toEqual(params.merkleTrees)
  })

  test.each([
    ['whole trees', 'whole'],
    ['trees with a mask, down to the blocks', 'sparse'],
  ])('are found in %s', (_, form) => {
    const p = params.clone()
    p.merkleTrees = p.merkleTrees.map(() => new Uint8Array(0))
    p.merkleTreeMask = p.merkleTreeMask.map(() => new Bitfield())
    for (const file of LONG) {
      const index = indexOf(info, file)
      const { tree, whole } = fullTree(info, file)
      if (form === 'whole') p.merkleTrees[index] = whole
      else {
        const { hashes, mask } = tree.buildSparseVector()
        p.merkleTrees[index] = hashes
        p.merkleTreeMask[index] = mask
      }
    }
    expect(Buffer.from(writeTorrentFileBuf(p)).equals(original)).toBe(true)
    const resumed = readResumeData(writeResumeDataBuf(p))
    expect(Buffer.from(writeTorrentFileBuf(resumed)).equals(original)).toBe(true)
  })

  test('of which a part is missing are an error, not a torrent file with zeros in it', () => {
    const index = indexOf(info, 5)
    const { tree } = fullTree(info, 5)
    // the root's children, and below the left one
    const mask = new Bitfield(tree.size)
    const nodes = [0, 1, 2, 3, 4]
    for (const node of nodes) mask.setBit(node)
    const p = params.clone()
    p.merkleTrees[index] = Buffer.concat(nodes.map(node => tree.node(node)!))
    p.merkleTreeMask[index] = mask
    expect(codeOf(() => writeTorrentFileBuf(p))).toBe(LibtorrentErrors.torrentInvalidPieceLayer)
    expect(codeOf(() => writeTorrentFileBuf(p, WriteFlags.allowMissingPieceLayer))).toBe(
      LibtorrentErrors.torrentInvalidPieceLayer,
    )
  })

  test('that are wrong are an error', () => {
    const p = params.clone()
    const index = indexOf(info, 6)
    p.merkleTrees[index] = p.merkleTrees[index]!.map((byte, i) => (i === 40 ? byte ^ 1 : byte))
    expect(codeOf(() => writeTorrentFileBuf(p))).toBe(LibtorrentErrors.torrentInvalidPieceLayer)
  })

  test('of which nothing is known are an error with the text of libtorrent, unless that is allowed', () => {
    const p = params.clone()
    p.merkleTrees = []
    p.merkleTreeMask = []
    p.verifiedLeafHashes = []
    expect(() => writeTorrentFile(p)).toThrow('missing piece layer')
    const bytes = writeTorrentFileBuf(p, WriteFlags.allowMissingPieceLayer)
    expect(Object.keys(bdecode(bytes) as object)).not.toContain('piece layers')
    const back = loadTorrentBuffer(bytes)
    expect(back.infoHashes.equals(params.infoHashes)).toBe(true)
    expect(back.merkleTrees).toEqual([])
  })
})

test('a v2 torrent of short files needs no piece layers, so none can be missing', () => {
  const torrent = new CreateTorrent([new CreateFileEntry('one', PIECE)], PIECE, CreateTorrent.v2Only)
  torrent.setHash2(0, 0, new Uint8Array(32).fill(7))
  const p = loadTorrentBuffer(torrent.generateBuf())
  p.merkleTrees = []
  const written = writeTorrentFile(p) as { [key: string]: Entry }
  expect(Object.keys(written['piece layers'] as object)).toEqual([])
  expect(lacking(p.ti!)).toEqual([])
})

test('a v1 torrent has no piece layers, whatever its trees are said to be', () => {
  const p = make(CreateTorrent.v1Only)
  p.merkleTrees = [new Uint8Array(32)]
  expect(Object.keys(writeTorrentFile(p) as object)).not.toContain('piece layers')
  expect(p.ti!.pieceLayer(0)).toHaveLength(0)
  expect(p.ti!.v2PieceHashesVerified()).toBe(false)
})
