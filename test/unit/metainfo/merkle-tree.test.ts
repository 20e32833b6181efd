import { describe, expect, test } from 'vitest'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { bytesEqual, bytesToHex } from '../../../src/core/bytes.ts'
import { getHashes } from '../../../src/metainfo/merkle-serve.ts'
import { MerkleTree } from '../../../src/metainfo/merkle-tree.ts'
import { join, V2File } from './v2-files.ts'

const NONE = new Uint8Array(0)

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
  // more than one run of pieces, the last one odd
  [1030, 1],
  [2 * 1029, 2],
  [4 * 1025 - 3, 4],
]

const treeOf = (file: V2File) => new MerkleTree(file.blocks, file.perPiece, file.root)
const serve = (tree: MerkleTree, base: number, index: number, count: number, proofLayers: number) =>
  getHashes(tree, { base, index, count, proofLayers })
const maskOf = (size: number, ...nodes: number[]) => {
  const mask = new Bitfield(size)
  for (const node of nodes) mask.setBit(node)
  return mask
}
const range = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i)
const corrupt = (hashes: Uint8Array) => {
  const out = hashes.slice()
  out[146542934 % out.length]! ^= 0x26
  return out
}

/** Numbers of the nodes that a tree has, each having been compared. Block padding is left out: it is always there. */
function known(tree: MerkleTree, file: V2File): number[] {
  const out: number[] = []
  for (let i = 0; i < tree.size; i++) {
    const node = tree.node(i)
    if (tree.hasNode(i) !== (node !== null)) throw new Error(`hasNode(${i}) is wrong`)
    if (node === null) continue
    if (!bytesEqual(node, file.nodes[i]!)) throw new Error(`node ${i} is wrong`)
    out.push(i)
  }
  return out
}

describe.each(SHAPES)('%i blocks, %i to a piece', (blocks, perPiece) => {
  const file = new V2File(blocks, perPiece)
  const { nodes, leafs, pieceLevels } = file
  const pieceStart = leafs / 2 ** pieceLevels - 1
  const upperSize = 2 * pieceStart + 1
  const make = () => treeOf(file)

  const expectComplete = (tree: MerkleTree) => {
    tree.checkInvariant()
    expect(tree.isComplete).toBe(true)
    expect(tree.hasPieceLayer).toBe(true)
    expect(tree.verifiedLeafs().allSet()).toBe(true)
    expect(known(tree, file)).toHaveLength(nodes.length)
    for (let piece = 0; piece < file.pieces; piece++) {
      expect(bytesToHex(tree.pieceRoot(piece)!)).toBe(bytesToHex(file.pieceRoot(piece)))
      expect(bytesToHex(tree.blockHashes(piece)!)).toBe(bytesToHex(file.blockHashes(piece)))
    }
  }

  test('a new tree has its root only', () => {
    const tree = make()
    tree.checkInvariant()
    expect(tree.size).toBe(nodes.length)
    expect(tree.numPieces).toBe(file.pieces)
    expect(tree.hasPieceLayer).toBe(file.pieces === 1)
    expect(tree.isComplete).toBe(blocks === 1)
    expect(tree.pieceRoot(0)).toEqual(file.pieces === 1 ? file.root : null)
    expect(tree.blockHashes(0)).toEqual(blocks === 1 ? file.root : null)
    expect(tree.verifiedLeafs().count()).toBe(blocks === 1 ? 1 : 0)
  })

  test('a whole tree loads, complete', () => {
    const tree = make()
    tree.loadTree(join(nodes))
    expectComplete(tree)
    expect(bytesToHex(tree.pieceLayer!)).toBe(bytesToHex(file.pieceLayer()))
    const sparse = make()
    sparse.loadSparseTree(join(nodes), new Bitfield(nodes.length, true))
    expectComplete(sparse)
  })

  test('a wrong root or size changes nothing', () => {
    const tree = make()
    const wrong = join(nodes)
    wrong[0]! ^= 1
    tree.loadTree(wrong)
    tree.loadTree(join(nodes).subarray(32))
    tree.loadTree(NONE)
    tree.checkInvariant()
    expect(tree.isComplete).toBe(blocks === 1)
    expect(tree.hasPieceLayer).toBe(file.pieces === 1)
  })

  test('nodes that the root does not prove are left out, the others stay', () => {
    const other = new MerkleTree(blocks, perPiece, new Uint8Array(32).fill(7))
    other.loadSparseTree(join(nodes.slice(1, 3)), maskOf(nodes.length, ...range(1, Math.min(2, nodes.length - 1))))
    other.checkInvariant()
    expect(other.hasNode(0)).toBe(true)
    if (blocks > 2) expect(other.hasNode(1)).toBe(false)
    if (blocks < 5) return
    // one block of the last piece is wrong: only that piece has no block hashes
    const wrong = join(nodes)
    wrong[(leafs - 1 + blocks - 1) * 32]! ^= 1
    const tree = make()
    tree.loadTree(wrong)
    tree.checkInvariant()
    if (pieceLevels === 0) return
    expect(tree.hasPieceLayer).toBe(true)
    expect(tree.blockHashes(0)).toEqual(file.blockHashes(0))
    expect(tree.blockHashes(file.pieces - 1)).toBeNull()
  })

  test('a piece layer loads only if it adds up to the root, and is shared', () => {
    const layer = file.pieceLayer()
    const tree = make()
    const bad = layer.slice()
    bad[5]! ^= 1
    expect(tree.loadPieceLayer(bad)).toBe(false)
    expect(tree.loadPieceLayer(layer.subarray(1))).toBe(false)
    expect(tree.loadPieceLayer(layer)).toBe(true)
    tree.checkInvariant()
    expect(tree.hasPieceLayer).toBe(true)
    expect(known(tree, file).filter(i => i < upperSize)).toHaveLength(upperSize)
    if (file.pieces > 1) expect(tree.pieceLayer).toBe(layer)
    const sparse = make()
    sparse.loadSparseTree(layer, maskOf(pieceStart + file.pieces, ...range(pieceStart, file.pieces)))
    if (file.pieces > 1) expect(sparse.pieceLayer).toBe(layer)
    expect(known(sparse, file)).toEqual(known(tree, file))
  })

  test('what it saves loads again', () => {
    const full = make()
    full.loadTree(join(nodes))
    const layer = make()
    layer.loadPieceLayer(file.pieceLayer())
    const some = make()
    some.loadPieceLayer(file.pieceLayer())
    const count = 2 ** pieceLevels
    for (let piece = 0; piece < file.pieces; piece += 3) {
      expect(some.addHashes(0, piece * count, file.run(0, piece * count, count), NONE)).not.toBeNull()
    }
    const partial = make()
    const at = Math.floor(file.pieces / 2)
    partial.addHashes(0, at * count, file.run(0, at * count, count), file.proof(pieceLevels, at))
    for (const tree of [make(), full, layer, some, partial]) {
      tree.checkInvariant()
      const { hashes, mask } = tree.buildSparseVector()
      expect(hashes.length).toBe(mask.count() * 32)
      // masks in files are whole bytes
      const bytes = new Bitfield(mask.data(), mask.numBytes() * 8)
      const again = make()
      again.loadSparseTree(hashes.slice(), bytes)
      again.checkInvariant()
      expect(known(again, file)).toEqual(known(tree, file))
      expect(again.isComplete).toBe(tree.isComplete)
      expect(again.verifiedLeafs().equals(tree.verifiedLeafs())).toBe(true)
      const cut = make()
      cut.loadSparseTree(hashes.slice(32), bytes)
      cut.checkInvariant()
    }
  })

  test('hashes with proofs carry a tree from one side to the other', () => {
    const source = make()
    source.loadTree(join(nodes))
    const layers = Math.log2(leafs)
    if (layers === 0) return
    for (const [base, count] of [
      [0, 2 ** Math.max(1, pieceLevels)],
      [0, leafs],
      [pieceLevels, 2],
      [pieceLevels, 8],
    ] as const) {
      if (base >= layers || count > leafs / 2 ** base || leafs / count > 1000) continue
      const target = make()
      const end = Math.ceil(blocks / 2 ** base)
      for (let at = 0; at < end; at += count) {
        const got = serve(source, base, at, count, layers - base - 1)!
        const hashes = got.subarray(0, count * 32)
        const uncles = got.subarray(count * 32)
        if (target.node(leafs / 2 ** base - 1 + at) === null) {
          expect(target.addHashes(base, at, corrupt(hashes), uncles)).toBeNull()
          if (uncles.length > 0 && !target.hasNode(1)) {
            expect(target.addHashes(base, at, hashes, corrupt(uncles))).toBeNull()
            expect(target.addHashes(base, at, hashes, uncles.subarray(32))).toBeNull()
          }
          if (blocks < 300) target.checkInvariant()
        }
        const added = target.addHashes(base, at, hashes, uncles)!
        const first = Math.floor((at * 2 ** base) / 2 ** pieceLevels)
        expect(added.firstPiece <= first && added.endPiece > first).toBe(true)
      }
      target.checkInvariant()
      if (base === 0) expectComplete(target)
      else expect(target.hasPieceLayer).toBe(true)
    }
  })
})

describe('259 blocks, as in the test of the reference', () => {
  const file = (perPiece: number) => new V2File(259, perPiece)
  const block = 511

  test('a run may be given with or without its padding', () => {
    for (const perPiece of [1, 2, 4]) {
      const f = file(perPiece)
      const tree = treeOf(f)
      const blocks = perPiece === 1 ? [] : range(0, f.pieces)
      expect(tree.addHashes(0, 0, f.run(0, 0, 512), NONE)).toEqual({ firstPiece: 0, endPiece: f.pieces, blocks })
      expect(known(tree, f)).toHaveLength(1023)
      expect(tree.verifiedLeafs().allSet()).toBe(true)
      const short = treeOf(f)
      expect(short.addHashes(0, 0, f.run(0, 0, 259), NONE)).not.toBeNull()
      expect(short.isComplete).toBe(true)
    }
    const f = file(4)
    const tree = treeOf(f)
    expect(tree.addHashes(2, 0, f.run(2, 0, 65), NONE)).toEqual({ firstPiece: 0, endPiece: 65, blocks: [] })
    expect(known(tree, f).filter(i => i < block + 259)).toEqual([
      ...range(0, 255),
      ...range(255, 256).filter(i => i >= 255 + 130),
    ])
    expect(tree.verifiedLeafs().empty()).toBe(true)
  })

  test.each([0, 64, 5, 30])('the blocks of piece %i, with a proof', piece => {
    const f = file(4)
    const run = f.run(0, piece * 4, 4)
    const proof = f.proof(2, piece)
    const tree = treeOf(f)
    expect(tree.addHashes(0, piece * 4, run, corrupt(proof))).toBeNull()
    expect(tree.addHashes(0, piece * 4, corrupt(run), proof)).toBeNull()
    expect(tree.verifiedLeafs().empty()).toBe(true)
    expect(tree.addHashes(0, piece * 4, run, proof)).toEqual({ firstPiece: 0, endPiece: 65, blocks: [piece] })
    tree.checkInvariant()
    for (let i = 127 + piece; i > 0; i = (i - 1) >> 1) {
      expect(tree.hasNode(i)).toBe(true)
      expect(tree.hasNode(((i - 1) ^ 1) + 1)).toBe(true)
    }
    const pieces = range(0, 65).filter(i => tree.pieceRoot(i) !== null)
    expect(pieces).toEqual([piece, piece ^ 1].filter(i => i < 65).sort((a, b) => a - b))
    expect(range(0, 65).filter(i => tree.blockHashes(i) !== null)).toEqual([piece])
    tree.dropBlockHashes(piece)
    expect(tree.verifiedLeafs().empty()).toBe(true)
    expect(tree.pieceRoot(piece)).toEqual(f.pieceRoot(piece))
    tree.checkInvariant()
  })

  test('a proof need only reach a node that is known', () => {
    const f = file(4)
    const tree = treeOf(f)
    expect(tree.addHashes(7, 0, f.run(7, 0, 4), NONE)).not.toBeNull()
    expect(known(tree, f).filter(i => i < 7)).toEqual(range(0, 7))
    expect(tree.addHashes(2, 0, f.run(2, 0, 4), f.proof(4, 0, 3))).toEqual({ firstPiece: 0, endPiece: 32, blocks: [] })
    expect(range(0, 65).filter(i => tree.pieceRoot(i) !== null)).toEqual([0, 1, 2, 3])
    expect(tree.layersToKnown(4)).toBe(2)
    expect(tree.layersToKnown(8)).toBe(3)
    expect(tree.layersToKnown(3)).toBe(0)
    tree.checkInvariant()
  })

  test('runs with their proofs', () => {
    const f = file(2)
    const tree = treeOf(f)
    tree.loadTree(join(f.nodes))
    const cases: [number, number, number, number, number[]][] = [
      [0, 0, 259, 0, []],
      [0, 1, 258, 0, []],
      [0, 0, 258, 0, []],
      [1, 0, 256, 0, []],
      [1, 0, 4, 2, [64]],
      [1, 2, 8, 5, []],
      [0, 0, 512, 8, []],
      [0, 256, 256, 8, [1]],
      [0, 256, 128, 8, [6, 1]],
      [1, 128, 64, 7, [6, 1]],
      [1, 128, 64, 0, []],
    ]
    for (const [base, index, count, proofLayers, uncles] of cases) {
      const expected = [f.run(base, index, count)]
      if (index === 2) {
        let at = Math.floor((255 + 2 - 7) / 8) // node over hash 2, three layers up
        for (let i = 0; i < 3; i++, at = (at - 1) >> 1) expected.push(f.nodes[((at - 1) ^ 1) + 1]!)
      } else for (const node of uncles) expected.push(f.nodes[node]!)
      const hashes = serve(tree, base, index, count, proofLayers)!
      expect(bytesToHex(hashes), `${[base, index, count, proofLayers]}`).toBe(bytesToHex(join(expected)))
    }
  })

  test('one hash alone comes with its sibling', () => {
    const f = file(4)
    const tree = treeOf(f)
    tree.loadPieceLayer(f.pieceLayer())
    const hashes = serve(tree, 2, 64, 1, 6)!
    expect(bytesToHex(hashes)).toBe(bytesToHex(join([f.node(2, 64), f.proof(2, 64)])))
    expect(treeOf(f).addHashes(2, 64, hashes.subarray(0, 32), hashes.subarray(32))).not.toBeNull()
  })
})
