import { describe, expect, test } from 'vitest'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { FileStorage } from '../../../src/metainfo/file-storage.ts'
import { HashTrees, pieceRootOf } from '../../../src/torrent/hash-trees.ts'
import { type HashRequest, uncleCount } from '../../../src/wire/hash-messages.ts'
import { join, layoutOf, requestOf, sha256, V2File } from '../metainfo/v2-files.ts'

const BLOCK = 16384
const NOTHING = { passed: [], failed: [], doubtful: [] }
const NOTHING_ADDED = { ...NOTHING, blocks: [] }
const WRONG = new Uint8Array(32).fill(9)

/** The answer to a request, computed the plain way. */
function answer(file: V2File, { base, index, count, proofLayers }: HashRequest): Uint8Array {
  const own = Math.ceil(Math.log2(count))
  const uncles = file.proof(base + own, Math.floor(index / 2 ** own), uncleCount(count, proofLayers))
  return join([file.run(base, index, count), uncles])
}

const withLayer = (file: V2File) => {
  const trees = new HashTrees(layoutOf(file.perPiece, file))
  trees.load(...file.layerTrees())
  return trees
}

/** Request for the blocks of a piece whose hash is known. */
const blocksOf = (file: V2File, piece: number) => {
  const count = 2 ** file.pieceLevels
  return requestOf(file, 0, piece * count, count, file.pieceLevels - 1)
}

test('the root of a piece out of its blocks', () => {
  const file = new V2File(13, 4)
  const rootOf = (hashes: Uint8Array, leafs: number) => new Uint8Array(pieceRootOf(hashes, leafs))
  for (let piece = 0; piece < 4; piece++) expect(rootOf(file.blockHashes(piece), 4)).toEqual(file.pieceRoot(piece))
  const small = new V2File(3, 8)
  expect(rootOf(small.blockHashes(0), 4)).toEqual(small.root)
  expect(rootOf(sha256(), 1)).toEqual(sha256())
  expect(rootOf(new Uint8Array(0), 2)).toEqual(sha256(new Uint8Array(64)))
})

type Ask = [base: number, index: number, count: number, proofLayers: number]

describe('what is valid to ask for', () => {
  const MAX = 0x7fffffff
  const ask = (trees: HashTrees, file: number, base: number, index: number, count: number, proofLayers: number) =>
    trees.isValidRequest(file, { root: new Uint8Array(32), base, index, count, proofLayers })

  test('2048 blocks', () => {
    const files = new FileStorage()
    files.setPieceLength(BLOCK)
    files.addFile('t/a', 2048 * BLOCK, 0, 0, '', WRONG)
    files.addFile('t/empty', 0)
    files.setNumPieces(2048)
    const trees = new HashTrees(files)
    const [leafs, layers] = [2048, 11]
    for (const request of [
      [0, 0, 1, 0],
      [layers - 1, 0, 1, 0],
      [0, 100, leafs - 100, 0],
      [0, 0, leafs, 0],
      [1, 0, leafs / 2, 0],
      [2, 0, leafs / 4, 0],
      [3, 5, leafs / 8 - 5, 0],
      [0, 0, 1, layers - 1],
      [1, 0, 1, layers - 2],
    ] as Ask[]) {
      expect(ask(trees, 0, ...request), `${request}`).toBe(true)
      for (const file of [1, -1, 2, MAX]) expect(ask(trees, file, ...request)).toBe(false)
    }
    for (const request of [
      [layers, 0, 1, 0],
      [MAX, 0, 1, 0],
      [0, 0, 0, 0],
      [0, 0, leafs + 1, 0],
      [0, 100, leafs - 99, 0],
      [0, leafs, 1, 0],
      [0, MAX, MAX, 0],
      [0, 0xffffffff, 1, 0],
      [0, 0, 8193, 0],
      [0, 0, MAX, 0],
      [1, 0, leafs / 2 + 1, 0],
      [3, 5, leafs / 8 - 4, 0],
      [0, 0, 1, layers],
      [1, 0, 1, layers - 1],
      [1, 0, 1, MAX],
      [1, 0, 1, 0xffffffff],
    ] as Ask[]) {
      expect(ask(trees, 0, ...request), `${request}`).toBe(false)
      const wanted = { root: WRONG, base: request[0], index: request[1], count: request[2], proofLayers: request[3] }
      expect(trees.getHashes(0, wanted)).toBeNull()
      expect(trees.addHashes(0, wanted, new Uint8Array(32))).toBeNull()
      expect(trees.pieceToHash(0, wanted)).toBeNull()
      expect(trees.getHashesWith(0, wanted, 0, new Uint8Array(32))).toBeNull()
    }
  })

  test('nothing of a file of one block, nor of padding', () => {
    const one = new V2File(1, 4)
    const files = layoutOf(4, one, new V2File(8, 4))
    const trees = new HashTrees(files)
    expect(files.padFileAt(1)).toBe(true)
    expect(ask(trees, 0, 0, 0, 1, 0)).toBe(false)
    expect(ask(trees, 1, 0, 0, 1, 0)).toBe(false)
    expect(ask(trees, 2, 0, 0, 1, 0)).toBe(true)
  })
})

describe('files of at most a piece', () => {
  const [one, three, whole] = [new V2File(1, 4, 1), new V2File(3, 4, 2), new V2File(4, 4, 3)] as const

  test('have their root as the hash of the piece, and need no tree', () => {
    const trees = new HashTrees(layoutOf(4, one, three, whole))
    expect(trees.complete).toBe(true)
    expect([0, 1, 2].map(piece => trees.pieceRoot(piece))).toEqual([one.root, three.root, whole.root])
    expect([0, 1, 2].map(piece => trees.blockHashes(piece))).toEqual([one.root, null, null])
    expect(trees.setPieceRoot(1, three.root)).toEqual({ ...NOTHING, passed: [1], failed: [] })
    expect(trees.setPieceRoot(2, three.root)).toEqual({ ...NOTHING, passed: [], failed: [2] })
    expect(trees.pieceLayers()!.every(layer => layer.length === 0)).toBe(true)
    expect(trees.resume().trees.every(tree => tree.length === 0)).toBe(true)
    const file = trees.fileOfRoot(three.root)
    expect(trees.getHashes(file, requestOf(three, 0, 0, 4, 1))).toBeNull()
    expect(trees.pieceToHash(file, requestOf(three, 0, 0, 4, 1))).toBe(1)
    expect(trees.getHashesWith(file, requestOf(three, 0, 0, 4, 1), 1, three.blockHashes(0))).toEqual(three.run(0, 0, 4))
    expect(trees.getHashesWith(file, requestOf(three, 0, 0, 4, 1), 1, whole.blockHashes(0))).toBeNull()
    expect(trees.getHashesWith(file, requestOf(three, 0, 0, 4, 1), 2, whole.blockHashes(0))).toBeNull()
    expect(trees.memoryBytes).toBeLessThan(100)
  })

  test('get their block hashes from peers', () => {
    const trees = new HashTrees(layoutOf(4, one, three, whole))
    const file = trees.fileOfRoot(three.root)
    const before = trees.memoryBytes
    expect(trees.addHashes(file, requestOf(three, 0, 0, 4, 1), whole.run(0, 0, 4))).toBeNull()
    expect(trees.memoryBytes).toBe(before)
    const added = trees.addHashes(file, requestOf(three, 0, 0, 4, 1), three.run(0, 0, 4))
    expect(added).toEqual({ ...NOTHING, blocks: [1] })
    expect(trees.blockHashes(1)).toEqual(three.blockHashes(0))
    expect(trees.getHashes(file, requestOf(three, 1, 0, 2, 0))).toEqual(three.run(1, 0, 2))
    const saved = trees.resume()
    const again = new HashTrees(layoutOf(4, one, three, whole))
    again.load(saved.trees, saved.masks)
    expect(again.blockHashes(1)).toEqual(three.blockHashes(0))
  })

  test('a hundred thousand of them cost next to nothing', () => {
    const files = new FileStorage()
    files.setPieceLength(4 * BLOCK)
    files.reserve(200_000)
    for (let i = 0; i < 100_000; i++) {
      files.addFile(
        `t/${i}`,
        4 * BLOCK,
        0,
        0,
        '',
        Uint8Array.from({ length: 32 }, (_, k) => (i >> (8 * (k % 3))) ^ k),
      )
    }
    files.setNumPieces(100_000)
    const trees = new HashTrees(files)
    expect(trees.complete).toBe(true)
    expect(trees.setPieceRoot(99_999, trees.pieceRoot(99_999)!).passed).toEqual([99_999])
    expect(trees.setPieceRoot(5, trees.pieceRoot(6)!).failed).toEqual([5])
    expect(trees.memoryBytes).toBeLessThan(500_000)
    expect(trees.fileOfRoot(trees.pieceRoot(777)!)).toBe(777)
    expect(trees.fileOfRoot(new Uint8Array(32))).toBe(-1)
    expect(trees.fileOfRoot(new Uint8Array(3))).toBe(-1)
  })
})

describe('a file of several pieces', () => {
  test.each([
    [259, 1],
    [259, 4],
    [1029, 1],
    [2051, 4],
  ])('%i blocks, %i to a piece: the layer comes in runs', (blocks, perPiece) => {
    const file = new V2File(blocks, perPiece)
    const seed = withLayer(file)
    const trees = new HashTrees(layoutOf(perPiece, file))
    const leafs = file.leafs / 2 ** file.pieceLevels
    const length = Math.min(64, leafs)
    for (let first = 0; first < file.pieces; first += length) {
      expect(trees.complete).toBe(false)
      expect(trees.pieceLayers()).toBeNull()
      const request = requestOf(file, file.pieceLevels, first, length, Math.max(Math.log2(leafs) - 1, 0))
      const hashes = seed.getHashes(0, request)!
      expect(hashes).toEqual(answer(file, request))
      const wrong = hashes.slice()
      wrong[first % wrong.length]! ^= 1
      // a later run may be known up to its root, so that uncles are not looked at
      if (first % wrong.length < length * 32) expect(trees.addHashes(0, request, wrong)).toBeNull()
      expect(trees.addHashes(0, request, hashes.subarray(32))).toBeNull()
      expect(trees.addHashes(0, request, join([hashes, WRONG]))).toBeNull()
      expect(trees.addHashes(0, request, new Uint8Array(0))).toBeNull()
      expect(trees.addHashes(0, request, hashes)).toEqual(NOTHING_ADDED)
    }
    expect(trees.complete).toBe(true)
    expect(trees.pieceLayers()![0]).toEqual(file.pieceLayer())
  })

  test('runs that are not aligned are not taken', () => {
    const file = new V2File(64, 4)
    const trees = new HashTrees(layoutOf(4, file))
    for (const request of [
      requestOf(file, 2, 1, 2, 3),
      requestOf(file, 2, 2, 4, 3),
      requestOf(file, 0, 2, 4, 5),
      requestOf(file, 0, 4, 2, 5),
      requestOf(file, 1, 0, 4, 4),
    ]) {
      expect(trees.addHashes(0, request, answer(file, request))).toBeNull()
    }
  })

  test('the last run may be given without its padding, another may not', () => {
    const file = new V2File(4 * 1029, 4)
    const files = layoutOf(4, file)
    for (const count of [5, 8]) {
      const trees = new HashTrees(files)
      const request = requestOf(file, 2, 1024, count, 10)
      expect(trees.addHashes(0, request, answer(file, request))).toEqual(NOTHING_ADDED)
      expect(trees.pieceRoot(1028)).toEqual(file.pieceRoot(1028))
    }
    const trees = new HashTrees(files)
    for (const [index, count] of [
      [0, 5],
      [1024, 3],
    ] as const) {
      const request = requestOf(file, 2, index, count, 10)
      expect(trees.addHashes(0, request, answer(file, request))).toBeNull()
    }
  })

  test('blocks of a piece, then no more', () => {
    const file = new V2File(37, 4)
    const trees = withLayer(file)
    for (const piece of [0, 5, 9]) {
      const request = blocksOf(file, piece)
      const wrong = answer(file, request)
      wrong[40]! ^= 1
      expect(trees.addHashes(0, request, wrong)).toBeNull()
      expect(trees.blockHashes(piece)).toBeNull()
      expect(trees.addHashes(0, request, answer(file, request))).toEqual({ ...NOTHING, blocks: [piece] })
      expect(trees.addHashes(0, request, answer(file, request))).toEqual(NOTHING_ADDED)
      expect(trees.blockHashes(piece)).toEqual(file.blockHashes(piece))
      expect(trees.getHashes(0, request)).toEqual(answer(file, request))
      trees.dropBlockHashes(piece)
      expect(trees.blockHashes(piece)).toBeNull()
      expect(trees.pieceRoot(piece)).toEqual(file.pieceRoot(piece))
    }
  })

  test('the blocks of a piece bring the hash of the piece with them, if that is not known', () => {
    const file = new V2File(64, 4)
    const trees = new HashTrees(layoutOf(4, file))
    expect(trees.setPieceRoot(5, file.pieceRoot(5))).toEqual(NOTHING)
    expect(trees.setPieceRoot(4, WRONG)).toEqual(NOTHING)
    const request = requestOf(file, 0, 20, 4, 5)
    // the sibling in the proof is a piece too
    expect(trees.addHashes(0, request, answer(file, request))).toEqual({
      ...NOTHING,
      passed: [5],
      failed: [4],
      blocks: [5],
    })
    expect(trees.pieceRoot(4)).toEqual(file.pieceRoot(4))
    expect(trees.pieceRoot(6)).toBeNull()
  })
})

describe('answers with block hashes from disk', () => {
  const file = new V2File(38, 4)

  test('one piece', () => {
    const trees = withLayer(file)
    for (let piece = 0; piece < file.pieces; piece++) {
      for (const [base, index, count, proofLayers] of [
        [0, 4 * piece, 4, 1],
        [0, 4 * piece, 4, 5],
        [0, 4 * piece, 2, 4],
        [0, 4 * piece + 1, 1, 3],
        [1, 2 * piece, 2, 0],
        [1, 2 * piece, 2, 4],
      ] as const) {
        const request = requestOf(file, base, index, count, proofLayers)
        const name = `${[piece, base, index, count, proofLayers]}`
        expect(trees.getHashes(0, request), name).toBeNull()
        expect(trees.pieceToHash(0, request), name).toBe(piece)
        const hashes = trees.getHashesWith(0, request, piece, file.blockHashes(piece))
        expect(hashes, name).toEqual(answer(file, request))
        expect(trees.blockHashes(piece)).toBeNull()
        const wrong = file.blockHashes(piece)
        wrong[0]! ^= 1
        expect(trees.getHashesWith(0, request, piece, wrong)).toBeNull()
        expect(trees.getHashesWith(0, request, piece, wrong.subarray(32))).toBeNull()
        expect(trees.getHashesWith(0, request, (piece + 1) % file.pieces, file.blockHashes(piece))).toBeNull()
        expect(trees.getHashesWith(0, request, 1000, file.blockHashes(piece))).toBeNull()
      }
    }
  })

  test('more than one piece will not do, unless the other is known', () => {
    const trees = withLayer(file)
    const request = requestOf(file, 0, 8, 8, 3)
    expect(trees.pieceToHash(0, request)).toBeNull()
    expect(trees.getHashesWith(0, request, 2, file.blockHashes(2))).toBeNull()
    trees.addHashes(0, blocksOf(file, 3), answer(file, blocksOf(file, 3)))
    expect(trees.pieceToHash(0, request)).toBe(2)
    expect(trees.getHashesWith(0, request, 2, file.blockHashes(2))).toEqual(answer(file, request))
    trees.addHashes(0, blocksOf(file, 2), answer(file, blocksOf(file, 2)))
    expect(trees.pieceToHash(0, request)).toBeNull()
    expect(trees.getHashes(0, request)).toEqual(answer(file, request))
  })

  test('not without the hash of the piece, nor without the siblings', () => {
    const bare = new HashTrees(layoutOf(4, file))
    expect(bare.pieceToHash(0, requestOf(file, 0, 0, 4, 1))).toBeNull()
    expect(bare.getHashesWith(0, requestOf(file, 0, 0, 4, 1), 0, file.blockHashes(0))).toBeNull()
    const pair = requestOf(file, 2, 0, 2, 3)
    expect(bare.addHashes(0, pair, answer(file, pair))).not.toBeNull()
    expect(bare.pieceToHash(0, requestOf(file, 0, 0, 4, 2))).toBe(0)
    expect(bare.getHashesWith(0, requestOf(file, 0, 0, 4, 2), 0, file.blockHashes(0))).not.toBeNull()
    expect(bare.pieceToHash(0, requestOf(file, 0, 8, 4, 2))).toBeNull()
    // layers of the piece layer need no blocks
    expect(bare.pieceToHash(0, requestOf(file, 2, 0, 4, 1))).toBeNull()
    // nothing but padding
    expect(bare.pieceToHash(0, requestOf(file, 0, 60, 4, 1))).toBeNull()
  })

  test('layers in between are served as long as they cost little', () => {
    const big = new V2File(1 << 15, 1)
    const trees = withLayer(big)
    expect(trees.getHashes(0, requestOf(big, 5, 0, 512, 9))).toEqual(answer(big, requestOf(big, 5, 0, 512, 9)))
    expect(trees.getHashes(0, requestOf(big, 6, 0, 512, 8))).toBeNull()
    expect(trees.getHashes(0, requestOf(big, 0, 0, 8192, 14))).toEqual(answer(big, requestOf(big, 0, 0, 8192, 14)))
  })
})

describe('candidates', () => {
  const file = new V2File(4 * 13, 4)
  const all = Array.from({ length: 13 }, (_, piece) => piece)

  test('all of them, if right, complete the tree', () => {
    const trees = new HashTrees(layoutOf(4, file))
    for (const piece of all.slice(0, 12)) expect(trees.setPieceRoot(piece, file.pieceRoot(piece))).toEqual(NOTHING)
    // again, and once after it was forgotten
    expect(trees.setPieceRoot(3, file.pieceRoot(3))).toEqual(NOTHING)
    trees.forgetPieceRoot(3)
    expect(trees.setPieceRoot(12, file.pieceRoot(12))).toEqual(NOTHING)
    expect(trees.setPieceRoot(3, file.pieceRoot(3))).toEqual({ ...NOTHING, passed: all, failed: [] })
    expect(trees.complete).toBe(true)
    expect(trees.pieceLayers()).not.toBeNull()
    expect(trees.setPieceRoot(3, file.pieceRoot(3))).toEqual({ ...NOTHING, passed: [3], failed: [] })
    expect(trees.setPieceRoot(3, WRONG)).toEqual({ ...NOTHING, passed: [], failed: [3] })
  })

  test('all of them are in doubt if one is wrong, until hashes tell which', () => {
    const trees = new HashTrees(layoutOf(4, file))
    for (const piece of all.slice(1)) trees.setPieceRoot(piece, piece === 7 ? WRONG : file.pieceRoot(piece))
    expect(trees.setPieceRoot(0, file.pieceRoot(0))).toEqual({ ...NOTHING, doubtful: all })
    expect(trees.complete).toBe(false)
    const request = requestOf(file, 2, 0, 16, 3)
    expect(trees.addHashes(0, request, answer(file, request))).toEqual({
      ...NOTHING_ADDED,
      passed: all.filter(piece => piece !== 7),
      failed: [7],
    })
    expect(trees.complete).toBe(true)
  })

  test('none are left when they are forgotten', () => {
    const trees = new HashTrees(layoutOf(4, file))
    for (const piece of all) trees.setPieceRoot(piece, WRONG)
    trees.forgetPieceRoots()
    for (const piece of all.slice(1)) expect(trees.setPieceRoot(piece, file.pieceRoot(piece))).toEqual(NOTHING)
    expect(trees.setPieceRoot(0, file.pieceRoot(0)).passed).toEqual(all)
  })

  test('those under a node that is known are decided without the others', () => {
    const trees = new HashTrees(layoutOf(4, file))
    // pieces 0 to 3, and the nodes over 4 to 7 and 8 to 15
    const request = requestOf(file, 2, 0, 4, 3)
    expect(trees.addHashes(0, request, answer(file, request))).toEqual(NOTHING_ADDED)
    for (const piece of [5, 6, 7]) expect(trees.setPieceRoot(piece, file.pieceRoot(piece))).toEqual(NOTHING)
    for (const piece of [8, 9, 10, 11]) expect(trees.setPieceRoot(piece, file.pieceRoot(piece))).toEqual(NOTHING)
    expect(trees.setPieceRoot(4, WRONG)).toEqual({ ...NOTHING, doubtful: [4, 5, 6, 7] })
    // the last subtree is filled up with padding
    expect(trees.setPieceRoot(12, file.pieceRoot(12))).toEqual({ ...NOTHING, passed: [8, 9, 10, 11, 12], failed: [] })
    expect(trees.pieceRoot(12)).toEqual(file.pieceRoot(12))
    expect(trees.pieceRoot(4)).toBeNull()
  })

  test('hashes decide them, uncles too', () => {
    const trees = new HashTrees(layoutOf(4, file))
    for (const piece of all) if (piece !== 2) trees.setPieceRoot(piece, piece === 1 ? WRONG : file.pieceRoot(piece))
    const request = requestOf(file, 2, 0, 4, 3)
    expect(trees.addHashes(0, request, answer(file, request))).toEqual({
      ...NOTHING,
      passed: [0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
      failed: [1],
      blocks: [],
    })
    expect(trees.complete).toBe(true)
    expect(trees.setPieceRoot(2, file.pieceRoot(2)).passed).toEqual([2])
  })

  test('with pieces of one block', () => {
    const small = new V2File(9, 1)
    const trees = new HashTrees(layoutOf(1, small))
    trees.setPieceRoot(1, WRONG)
    trees.setPieceRoot(8, small.pieceRoot(8))
    const request = requestOf(small, 0, 0, 8, 3)
    // the last piece has nothing but padding beside it: the sibling of the run decides it
    expect(trees.addHashes(0, request, answer(small, request))).toEqual({
      ...NOTHING,
      passed: [8],
      failed: [1],
      blocks: [],
    })
    expect(trees.blockHashes(1)).toEqual(small.pieceRoot(1))
    expect(trees.complete).toBe(true)
  })
})

describe('files with the same content', () => {
  const [twin, other] = [new V2File(13, 4), new V2File(6, 4, 3)] as const
  const layout = () => layoutOf(4, twin, twin, other, twin)
  const numbers = [0, 2, 4, 6]

  test('share a tree, but not their data', () => {
    const files = layout()
    const trees = new HashTrees(files)
    expect(numbers.map(file => files.fileSize(file) > 0 && files.padFileAt(file))).toEqual([false, false, false, false])
    expect(numbers.map(file => trees.firstFile(file))).toEqual([0, 0, 4, 0])
    expect(trees.otherFiles(0)).toEqual([2, 6])
    expect(trees.fileOfRoot(twin.root)).toBe(0)
    expect(trees.fileOfRoot(other.root)).toBe(4)
    // pieces 0 to 3, 4 to 7, 8 and 9, 10 to 13
    for (const [piece, root] of [
      [0, twin.pieceRoot(0)],
      [5, WRONG],
      [10, WRONG],
      [11, twin.pieceRoot(1)],
      [8, other.pieceRoot(0)],
    ] as const) {
      expect(trees.setPieceRoot(piece, root)).toEqual(NOTHING)
    }
    const request = requestOf(twin, 2, 0, 4, 1)
    const added = trees.addHashes(0, request, answer(twin, request))
    expect(added).toEqual({ ...NOTHING, passed: [0, 11], failed: [5, 10], blocks: [] })
    expect(trees.complete).toBe(false)
    for (const piece of [0, 4, 10]) expect(trees.pieceRoot(piece)).toEqual(twin.pieceRoot(0))
    expect(trees.setPieceRoot(9, other.pieceRoot(1))).toEqual({ ...NOTHING, passed: [8, 9], failed: [] })
    expect(trees.complete).toBe(true)
    expect(trees.pieceLayers()!.map(layer => layer.length / 32)).toEqual([4, 0, 4, 0, 2, 0, 4])
    const blocks = blocksOf(twin, 3)
    expect(trees.addHashes(0, blocks, answer(twin, blocks))).toEqual({ ...NOTHING, blocks: [3, 7, 13] })
    expect(trees.blockHashes(13)).toEqual(twin.blockHashes(3))
    const saved = trees.resume()
    const again = new HashTrees(files)
    again.load(saved.trees, saved.masks)
    expect(again.complete).toBe(true)
    expect(again.blockHashes(7)).toEqual(twin.blockHashes(3))
  })

  test('what candidates of the last one prove decides those of the first', () => {
    const trees = new HashTrees(layout())
    // pieces 2 and 3 of the last twin are right together; of the first only piece 3 is there
    trees.setPieceRoot(3, WRONG)
    trees.setPieceRoot(12, twin.pieceRoot(2))
    trees.setPieceRoot(13, twin.pieceRoot(3))
    const request = requestOf(twin, 2, 0, 2, 1)
    expect(trees.addHashes(0, request, answer(twin, request))).toEqual({
      ...NOTHING,
      passed: [12, 13],
      failed: [3],
      blocks: [],
    })
  })

  test('what all pieces of one prove decides those of the others', () => {
    const trees = new HashTrees(layout())
    trees.setPieceRoot(1, WRONG)
    trees.setPieceRoot(12, twin.pieceRoot(2))
    for (const piece of [4, 5, 6]) trees.setPieceRoot(piece, twin.pieceRoot(piece - 4))
    expect(trees.setPieceRoot(7, twin.pieceRoot(3))).toEqual({ ...NOTHING, passed: [4, 5, 6, 7, 12], failed: [1] })
    expect(trees.pieceRoot(1)).toEqual(twin.pieceRoot(1))
  })

  test('a layer that is there once is enough', () => {
    const files = layout()
    const trees = new HashTrees(files)
    const layers = numbers.map(() => new Uint8Array(0))
    const [[layer], [mask]] = twin.layerTrees()
    const [[second], [secondMask]] = other.layerTrees()
    trees.load(
      [...layers.slice(0, 2), layer!, layers[0]!, second!],
      [...[0, 1].map(() => new Bitfield()), mask!, new Bitfield(), secondMask!],
    )
    expect(trees.complete).toBe(true)
    expect(trees.pieceRoot(10)).toEqual(twin.pieceRoot(0))
  })
})

describe('loading', () => {
  test('leaves out what is not proven', () => {
    const file = new V2File(37, 4)
    const files = layoutOf(4, file)
    const [[layer], [mask]] = file.layerTrees()
    const wrong = layer!.slice()
    wrong[40]! ^= 1
    const trees = new HashTrees(files)
    trees.load([wrong], [mask!])
    expect(trees.complete).toBe(false)
    expect(trees.memoryBytes).toBeLessThan(100)
    trees.load([layer!.subarray(1)], [mask!])
    trees.load([layer!], [new Bitfield()])
    trees.load([layer!, layer!, layer!], [])
    trees.load([], [mask!])
    expect(trees.complete).toBe(false)
    trees.load([layer!], [mask!])
    expect(trees.complete).toBe(true)
    expect(trees.blockHashes(0)).toBeNull()
  })

  test('a whole tree, and one with wrong blocks', () => {
    const file = new V2File(37, 4)
    const nodes = join(file.nodes)
    nodes[(file.leafs - 1 + 21) * 32]! ^= 1
    const trees = new HashTrees(layoutOf(4, file))
    trees.load([nodes], [new Bitfield()])
    expect(trees.complete).toBe(true)
    expect(Array.from({ length: 10 }, (_, piece) => trees.blockHashes(piece) !== null)).toEqual(
      Array.from({ length: 10 }, (_, piece) => piece !== 5),
    )
    trees.load([join(file.nodes)], [new Bitfield()])
    expect(trees.blockHashes(5)).toEqual(file.blockHashes(5))
    const bytes = trees.memoryBytes
    trees.dropBlockHashes(5)
    expect(trees.memoryBytes).toBe(bytes)
  })

  test('garbage changes nothing and is not thrown at', () => {
    const rng = new SeededRng(5)
    const file = new V2File(1100, 1)
    const files = layoutOf(1, file)
    for (let round = 0; round < 100; round++) {
      const mask = new Bitfield(rng.below(5000))
      const density = 1 + rng.below(50)
      for (let i = 0; i < mask.size(); i++) if (rng.below(density) === 0) mask.setBit(i)
      const known: Uint8Array[] = []
      for (let i = 0; i < mask.size(); i++) if (mask.getBit(i)) known.push(file.nodes[i % file.nodes.length]!)
      const hashes = join(known)
      if (rng.below(2) === 0 && hashes.length > 0) hashes[rng.below(hashes.length)]! ^= 1
      const trees = new HashTrees(files)
      trees.load([rng.below(3) === 0 ? hashes.subarray(0, rng.below(hashes.length + 1)) : hashes], [mask])
      for (let piece = 0; piece < 1100; piece++) {
        const root = trees.pieceRoot(piece)
        if (root !== null && !Buffer.from(root).equals(file.pieceRoot(piece))) throw new Error(`piece ${piece}`)
      }
    }
  })
})
