import { expect, test } from 'vitest'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { FileStorage } from '../../../src/metainfo/file-storage.ts'
import { HashPicker } from '../../../src/torrent/hash-picker.ts'
import { HashTrees } from '../../../src/torrent/hash-trees.ts'
import { type HashRequest, uncleCount } from '../../../src/wire/hash-messages.ts'
import { sha256 } from '../metainfo/v2-files.ts'

const KIB = 1024
const MIB = 1024 * KIB
const TIB = MIB * MIB
const PIECE = 4 * MIB
const PIECES = TIB / PIECE
const LAYER = PIECES * 32
const BLOCKS = PIECE / 16384
const PIECE_LEVELS = Math.log2(BLOCKS)

/** Nodes of a file whose blocks are all the same, by their height. */
const nodes: Uint8Array[] = [new Uint8Array(32).fill(7)]
for (let height = 1; height <= 26; height++) nodes.push(sha256(nodes[height - 1]!, nodes[height - 1]!))

function run(height: number, count: number): Uint8Array {
  const out = new Uint8Array(count * 32)
  for (let i = 0; i < count; i++) out.set(nodes[height]!, i * 32)
  return out
}

function answer({ base, count, proofLayers }: HashRequest): Uint8Array {
  const uncles = uncleCount(count, proofLayers)
  const own = base + Math.log2(count)
  const out = new Uint8Array((count + uncles) * 32)
  out.set(run(base, count))
  for (let i = 0; i < uncles; i++) out.set(nodes[own + i]!, (count + i) * 32)
  return out
}

/** One file of a TiB in pieces of 4 MiB: 2^26 blocks. */
function layout(): FileStorage {
  const files = new FileStorage()
  files.setPieceLength(PIECE)
  files.addFile('big', TIB, 0, 0, '', nodes[26]!)
  files.setNumPieces(PIECES)
  return files
}

function blocksOf(piece: number, proofLayers: number): HashRequest {
  return { root: nodes[26]!, base: 0, index: piece * BLOCKS, count: BLOCKS, proofLayers }
}

test('a liar costs a TiB no more than the hashes of the blocks of its piece', () => {
  const trees = new HashTrees(layout())
  expect(trees.memoryBytes).toBeLessThan(KIB)
  expect(trees.setPieceRoot(100_000, new Uint8Array(32).fill(1))).toEqual({ passed: [], failed: [], doubtful: [] })
  expect(trees.memoryBytes).toBeLessThan(20 * KIB)
  // last of all blocks, at the end of node numbers
  const wrong = answer(blocksOf(PIECES - 1, 25))
  wrong[0]! ^= 1
  expect(trees.addHashes(0, blocksOf(PIECES - 1, 25), wrong)).toBeNull()
  expect(trees.memoryBytes).toBeLessThan(20 * KIB)
  for (const piece of [PIECES - 1, 100_000]) {
    expect(trees.addHashes(0, blocksOf(piece, 25), answer(blocksOf(piece, 25)))!.blocks).toEqual([piece])
  }
  expect(trees.blockHashes(PIECES - 1)).toEqual(run(0, BLOCKS))
  // roots of 512 runs and what is above them, and two runs of pieces known in part
  expect(trees.memoryBytes).toBeLessThan(150 * KIB)
  expect(trees.getHashes(0, blocksOf(PIECES - 1, 25))).toEqual(answer(blocksOf(PIECES - 1, 25)))
  trees.dropBlockHashes(PIECES - 1)
  expect(trees.blockHashes(PIECES - 1)).toBeNull()
})

test('a TiB takes its piece layer and little else, however it came', () => {
  const files = layout()
  const trees = new HashTrees(files)
  const picker = new HashPicker(files, trees)
  let most = 0
  for (let request = picker.pick(() => true, 0); request !== null; request = picker.pick(() => true, 0)) {
    expect(trees.addHashes(0, request, answer(request))).not.toBeNull()
    picker.received(0, request)
    most = Math.max(most, trees.memoryBytes)
  }
  expect(trees.complete).toBe(true)
  expect(most).toBeLessThan(LAYER * 1.02)
  expect(trees.memoryBytes).toBeLessThan(LAYER * 1.01)
  const [layer] = trees.pieceLayers()!
  const loaded = new HashTrees(files)
  const first = PIECES - 1
  const mask = new Bitfield(first + PIECES)
  for (let i = first; i < first + PIECES; i++) mask.setBit(i)
  loaded.load([layer!], [mask])
  expect(loaded.complete).toBe(true)
  // shared, not copied
  expect(loaded.pieceLayers()![0]!.buffer).toBe(layer!.buffer)
  for (const piece of [0, 5, 1000, 65_535, PIECES - 1]) {
    const request = blocksOf(piece, PIECE_LEVELS - 1)
    expect(loaded.addHashes(0, request, answer(request))!.blocks).toEqual([piece])
  }
  expect(loaded.memoryBytes).toBeLessThan(LAYER * 1.01 + 5 * BLOCKS * 32)
  // near the root an answer needs no hashing of half the layer
  const started = process.hrtime.bigint()
  for (let i = 0; i < 100; i++) {
    const request = { root: nodes[26]!, base: PIECE_LEVELS, index: i * 512, count: 512, proofLayers: 17 }
    expect(loaded.getHashes(0, request)!.length).toBe((512 + 9) * 32)
  }
  expect(Number(process.hrtime.bigint() - started) / 1e6).toBeLessThan(2000)
  const saved = loaded.resume()
  expect(saved.trees[0]!.length).toBe(LAYER)
  expect(saved.masks[0]!.size()).toBe(first + PIECES)
})
