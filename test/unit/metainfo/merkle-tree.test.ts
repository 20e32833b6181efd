import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { MerkleTree, SetBlockResult } from '../../../src/metainfo/merkle-tree.ts'

const sha256 = (...parts: Uint8Array[]) => {
  const h = createHash('sha256')
  for (const part of parts) h.update(part)
  return new Uint8Array(h.digest())
}

/** A whole tree computed the plain way: all nodes, root first. */
function reference(blocks: number): Uint8Array[] {
  let leafs = 1
  while (leafs < blocks) leafs *= 2
  const nodes: Uint8Array[] = new Array(2 * leafs - 1)
  for (let i = 0; i < leafs; i++) {
    nodes[leafs - 1 + i] = i < blocks ? sha256(Uint8Array.of(i >> 8, i, 7)) : new Uint8Array(32)
  }
  for (let i = leafs - 2; i >= 0; i--) nodes[i] = sha256(nodes[2 * i + 1]!, nodes[2 * i + 2]!)
  return nodes
}

const join = (nodes: Uint8Array[]) => new Uint8Array(Buffer.concat(nodes))

const SHAPES: [blocks: number, perPiece: number][] = [
  [1, 1],
  [1, 4],
  [2, 1],
  [2, 4],
  [3, 4],
  [4, 4],
  [5, 4],
  [7, 2],
  [8, 2],
  [9, 1],
  [13, 4],
  [16, 4],
  [259, 8],
]

function pieceStart(blocks: number, perPiece: number): number {
  const pieces = Math.ceil(blocks / perPiece)
  let leafs = 1
  while (leafs < pieces) leafs *= 2
  return leafs - 1
}

function pieceLayer(nodes: Uint8Array[], blocks: number, perPiece: number): Uint8Array {
  const pieces = Math.ceil(blocks / perPiece)
  // a file that is shorter than a piece has its root as the only one
  if (pieces === 1) return nodes[0]!
  const start = pieceStart(blocks, perPiece)
  return join(nodes.slice(start, start + pieces))
}

describe.each(SHAPES)('%i blocks, %i to a piece', (blocks, perPiece) => {
  const nodes = reference(blocks)
  const firstLeaf = (nodes.length - 1) / 2
  const make = () => new MerkleTree(blocks, perPiece, nodes[0]!)

  const expectComplete = (tree: MerkleTree) => {
    tree.checkInvariant()
    expect(tree.isComplete()).toBe(true)
    expect(tree.verifiedLeafs().allSet()).toBe(true)
    expect(Buffer.from(tree.buildVector()).equals(join(nodes))).toBe(true)
    for (let i = 0; i < nodes.length; i++) expect(tree.compareNode(i, nodes[i]!), `node ${i}`).toBe(true)
  }

  test('a whole tree loads, complete', () => {
    const tree = make()
    expect(tree.size()).toBe(nodes.length)
    tree.loadTree(join(nodes))
    expectComplete(tree)
    expect(Buffer.from(tree.getPieceLayer()).toString('hex')).toBe(
      blocks === 1 ? '' : Buffer.from(pieceLayer(nodes, blocks, perPiece)).toString('hex'),
    )
  })

  test('a wrong root or size changes nothing', () => {
    const tree = make()
    const wrong = join(nodes)
    wrong[0]! ^= 1
    tree.loadTree(wrong)
    tree.loadTree(join(nodes).subarray(32))
    tree.checkInvariant()
    expect(tree.isComplete()).toBe(blocks === 1)
  })

  test('a piece layer loads only if it adds up to the root', () => {
    const layer = pieceLayer(nodes, blocks, perPiece)
    const tree = make()
    const bad = layer.slice()
    bad[5]! ^= 1
    expect(tree.loadPieceLayer(bad)).toBe(false)
    expect(tree.loadPieceLayer(layer.subarray(1))).toBe(false)
    expect(tree.loadPieceLayer(layer)).toBe(true)
    tree.checkInvariant()
  })

  test('what it saves loads again', () => {
    const full = make()
    full.loadTree(join(nodes))
    const partial = make()
    partial.loadPieceLayer(pieceLayer(nodes, blocks, perPiece))
    partial.setBlock(0, nodes[firstLeaf]!)
    for (const tree of [full, partial]) {
      const { hashes, mask } = tree.buildSparseVector()
      // masks in files are whole bytes
      const bytes = new Bitfield(mask.data(), mask.numBytes() * 8)
      const again = make()
      again.loadSparseTree(hashes, bytes)
      again.checkInvariant()
      expect(again.isComplete()).toBe(tree.isComplete())
      expect(again.verifiedLeafs().toArray()).toEqual(tree.verifiedLeafs().toArray())
      const cut = make()
      cut.loadSparseTree(hashes.subarray(32), bytes)
      cut.checkInvariant()
    }
  })

  test('blocks in any order complete the tree', () => {
    const tree = make()
    tree.loadPieceLayer(pieceLayer(nodes, blocks, perPiece))
    for (let k = 0; k < blocks; k++) {
      const block = (k * 5 + 3) % blocks
      if (blocks % 5 === 0) tree.setBlock(k, nodes[firstLeaf + k]!)
      else tree.setBlock(block, nodes[firstLeaf + block]!)
      tree.checkInvariant()
    }
    expectComplete(tree)
  })

  test('a wrong block is found', () => {
    const tree = make()
    tree.loadTree(join(nodes))
    expect(tree.setBlock(0, nodes[firstLeaf]!).result).toBe(SetBlockResult.ok)
    expect(tree.setBlock(0, new Uint8Array(32).fill(1))).toEqual({
      result: SetBlockResult.blockHashFailed,
      firstBlock: 0,
      numBlocks: 1,
    })
    if (blocks === 1) return
    const other = make()
    const results = Array.from({ length: blocks }, (_, i) => {
      const { result } = other.setBlock(i, i === 0 ? new Uint8Array(32).fill(1) : nodes[firstLeaf + i]!)
      other.checkInvariant()
      return result
    })
    expect(results.filter(result => result === SetBlockResult.hashFailed)).toHaveLength(1)
    expect(results).not.toContain(SetBlockResult.ok)
  })

  test('hashes with proofs carry a tree from one side to the other', () => {
    const source = make()
    source.loadTree(join(nodes))
    const layers = Math.log2(firstLeaf + 1)
    const runs = [2, 4, 8].filter(count => count <= firstLeaf + 1)
    for (const count of runs) {
      const target = make()
      for (let at = 0; at < blocks; at += count) {
        // one layer is left out: the root is known
        const got = source.getHashes(0, at, count, Math.max(0, layers - 1))
        const hashes = got.subarray(0, count * 32)
        const uncles = got.subarray(count * 32)
        const broken = hashes.slice()
        broken[0]! ^= 1
        if (blocks > 1 && !target.isComplete() && !target.blocksVerified(at, 1)) {
          expect(target.addHashes(firstLeaf + at, 10, broken, uncles)).toBeNull()
          target.checkInvariant()
        }
        expect(target.addHashes(firstLeaf + at, 10, hashes, uncles)).toEqual({ passed: [], failed: [] })
        target.checkInvariant()
      }
      expectComplete(target)
    }
  })
})

test('blocks hashed before the proof came are passed or failed by it', () => {
  const nodes = reference(8)
  const source = new MerkleTree(8, 2, nodes[0]!)
  source.loadTree(join(nodes))

  const byBlocks = new MerkleTree(8, 2, nodes[0]!)
  for (let i = 0; i < 4; i++) byBlocks.setBlock(i, i === 1 ? new Uint8Array(32).fill(9) : nodes[7 + i]!)
  const got = source.getHashes(0, 0, 4, 2)
  const byBlock = byBlocks.addHashes(7, 100, got.subarray(0, 128), got.subarray(128))
  expect(byBlock).toEqual({ passed: [100, 101], failed: [{ piece: 100, blocks: [1] }] })
  byBlocks.checkInvariant()

  const byPieces = new MerkleTree(8, 2, nodes[0]!)
  for (let i = 0; i < 4; i++) byPieces.setBlock(i, i === 1 ? new Uint8Array(32).fill(9) : nodes[7 + i]!)
  const layer = source.getHashes(1, 0, 4, 0)
  const byPiece = byPieces.addHashes(3, 100, layer, new Uint8Array(0))
  expect(byPiece).toEqual({ passed: [101], failed: [{ piece: 100, blocks: [] }] })
  byPieces.checkInvariant()
  expect(byPieces.verifiedLeafs().toArray()).toEqual([false, false, true, true, false, false, false, false])
})

test('hashes that are not known give an empty answer', () => {
  const nodes = reference(16)
  const tree = new MerkleTree(16, 4, nodes[0]!)
  expect(tree.getHashes(0, 0, 4, 0)).toHaveLength(0)
  tree.loadPieceLayer(pieceLayer(nodes, 16, 4))
  expect(tree.getHashes(0, 0, 4, 0)).toHaveLength(0)
  expect(Buffer.from(tree.getHashes(2, 0, 4, 0)).equals(pieceLayer(nodes, 16, 4))).toBe(true)
})

test('runs that are not aligned or leave the tree are refused', () => {
  const nodes = reference(16)
  const tree = new MerkleTree(16, 4, nodes[0]!)
  const run = join(nodes.slice(15, 19))
  expect(tree.addHashes(16, 0, run, new Uint8Array(0))).toBeNull()
  expect(tree.addHashes(31, 0, run, new Uint8Array(0))).toBeNull()
  expect(tree.addHashes(15, 0, new Uint8Array(0), run)).toBeNull()
  expect(tree.addHashes(15, 0, run, new Uint8Array(32 * 40))).toBeNull()
  tree.checkInvariant()
})

test('garbage masks and hashes never break the tree', () => {
  let x = 12345
  const next = () => (x = (Math.imul(x, 1103515245) + 12345) >>> 0) >>> 16
  const nodes = reference(13)
  for (let round = 0; round < 300; round++) {
    const tree = new MerkleTree(13, 4, nodes[0]!)
    const mask = new Bitfield(next() % 64)
    for (let i = 0; i < mask.size(); i++) if (next() % 3 > 0) mask.setBit(i)
    const known: Uint8Array[] = []
    for (let i = 0; i < mask.size(); i++) if (mask.getBit(i)) known.push(nodes[i % nodes.length]!)
    const hashes = join(known)
    if (next() % 2 === 0 && hashes.length > 0) hashes[next() % hashes.length]! ^= 1
    tree.loadSparseTree(hashes, mask)
    tree.checkInvariant()
  }
})
