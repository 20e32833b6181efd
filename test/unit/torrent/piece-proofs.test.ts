import { describe, expect, test } from 'vitest'
import { HashPicker } from '../../../src/torrent/hash-picker.ts'
import { HashTrees } from '../../../src/torrent/hash-trees.ts'
import { PieceProofs, type ProofHost } from '../../../src/torrent/piece-proofs.ts'
import { layoutOf, requestOf, V2File } from '../metainfo/v2-files.ts'

class Host implements ProofHost {
  readonly had = new Set<number>()
  readonly told: string[] = []
  readonly digests: (number | null)[] = []

  havePiece(piece: number): boolean {
    return this.had.has(piece)
  }
  parkedPassed(piece: number): void {
    this.told.push(`passed ${piece}`)
    this.had.add(piece)
  }
  parkedFailed(piece: number, blockHashes: Uint8Array | null): void {
    this.told.push(`failed ${piece}`)
    this.digests.push(blockHashes?.length ?? null)
  }
  parkedDoubted(piece: number): void {
    this.told.push(`doubted ${piece}`)
  }
  inconsistentHashes(piece: number): void {
    this.told.push(`inconsistent ${piece}`)
  }
  blockHashesKnown(piece: number, hashes: Uint8Array): void {
    this.told.push(`blocks of ${piece}: ${hashes.length / 32}`)
  }
}

function world(perPiece: number, ...list: V2File[]) {
  const files = layoutOf(perPiece, ...list)
  const host = new Host()
  const trees = new HashTrees(files)
  return { files, host, trees, proofs: new PieceProofs(trees, files, host) }
}

describe('block hashes of two files that are the same', () => {
  const file = new V2File(12, 4)

  function twins() {
    const made = world(4, file, new V2File(12, 4))
    made.trees.load(...file.layerTrees())
    // of piece 1, and of piece 4, which is the same
    const arrive = () => made.proofs.hashesArrived(0, requestOf(file, 0, 4, 4, 1), file.run(0, 4, 4))
    return { ...made, arrive }
  }

  test('are kept for the one whose piece is missing', () => {
    const { host, trees, proofs, arrive } = twins()
    host.had.add(1)
    expect(arrive()).toBe(true)
    expect(host.told).toEqual(['blocks of 4: 4'])
    expect([1, 4].map(piece => proofs.watches(piece))).toEqual([false, true])
    proofs.passed(4)
    expect(trees.blockHashes(4)).toBeNull()
  })

  test('are kept until both pieces are there', () => {
    const { host, trees, proofs, arrive } = twins()
    expect(arrive()).toBe(true)
    expect(host.told).toEqual(['blocks of 1: 4', 'blocks of 4: 4'])
    proofs.passed(1)
    expect(trees.blockHashes(4)).toEqual(file.blockHashes(1))
    proofs.passed(4)
    expect(trees.blockHashes(1)).toBeNull()
  })

  test('are not kept if both are there', () => {
    const { host, trees, arrive } = twins()
    host.had.add(1).add(4)
    expect(arrive()).toBe(true)
    expect(host.told).toEqual([])
    expect(trees.blockHashes(1)).toBeNull()
  })
})

test('block hashes of a file of one piece are not kept for longer than they are of use', () => {
  const file = new V2File(4, 4)
  const { trees, proofs } = world(4, file)
  const { memoryBytes } = trees
  expect(proofs.hashesArrived(0, requestOf(file, 0, 0, 4, 1), file.run(0, 0, 4))).toBe(true)
  expect(proofs.watches(0)).toBe(true)
  proofs.passed(0)
  expect(trees.memoryBytes).toBe(memoryBytes)
})

test('nothing is watched after everything is forgotten', () => {
  const file = new V2File(12, 4)
  const { trees, proofs } = world(4, file)
  trees.load(...file.layerTrees())
  expect(proofs.hashesArrived(0, requestOf(file, 0, 4, 4, 1), file.run(0, 4, 4))).toBe(true)
  proofs.forget()
  expect(proofs.watches(1)).toBe(false)
  expect(trees.blockHashes(1)).toBeNull()
})

describe('pieces that do not add up', () => {
  const file = new V2File(12, 4)

  function doubtful() {
    const made = world(4, file)
    for (let piece = 0; piece < 3; piece++) {
      const root = piece === 1 ? new Uint8Array(32).fill(9) : file.pieceRoot(piece)
      const verdict = made.proofs.judge(piece, root)
      made.proofs.park(piece, null)
      made.proofs.settle(verdict, piece)
    }
    expect(made.host.told).toEqual([])
    return made
  }

  test('wait for hashes, which tell', () => {
    const { host, proofs } = doubtful()
    for (let i = 0; i < 3; i++) proofs.hashesRefused(i * 1000)
    expect(proofs.hashesArrived(0, requestOf(file, 2, 0, 4, 1), file.run(2, 0, 4))).toBe(true)
    expect(host.told).toEqual(['failed 1', 'passed 0', 'passed 2'])
    for (let i = 0; i < 9; i++) proofs.hashesRefused(100_000 * i)
    expect(host.told).toHaveLength(3)
  })

  test('are given up after several refusals and a minute', () => {
    const { host, proofs, trees } = doubtful()
    for (let i = 0; i < 9; i++) proofs.hashesRefused(1000 + i * 7000)
    expect(host.told).toEqual([])
    proofs.hashesRefused(61_000)
    expect(host.told.sort()).toEqual(['doubted 0', 'doubted 1', 'doubted 2'])
    // and begin anew
    expect(trees.setPieceRoot(0, file.pieceRoot(0))).toEqual({ passed: [], failed: [], doubtful: [] })
    for (let i = 0; i < 9; i++) proofs.hashesRefused(200_000 * i)
    expect(host.told).toHaveLength(3)
  })

  test('show that one is wrong that is had, if one of them is', () => {
    const { host, proofs } = world(4, file)
    host.had.add(1)
    for (let piece = 0; piece < 3; piece++) {
      const verdict = proofs.judge(piece, piece === 1 ? new Uint8Array(32).fill(9) : file.pieceRoot(piece))
      if (piece !== 1) proofs.park(piece, null)
      proofs.settle(verdict, piece)
    }
    expect(host.told).toEqual(['inconsistent 1'])
  })

  test('are given up after a minute and several refusals', () => {
    const { host, proofs } = doubtful()
    for (let i = 0; i < 3; i++) proofs.hashesRefused(i * 100_000)
    expect(host.told).toEqual([])
    proofs.hashesRefused(300_000)
    expect(host.told).toHaveLength(3)
  })
})

test('digests of blocks are kept of so many pieces only', () => {
  // pieces of 128 MiB
  const file = new V2File(24 * 8192, 8192)
  const { host, proofs } = world(8192, file)
  for (let piece = 0; piece < 24; piece++) {
    proofs.judge(piece, new Uint8Array(32).fill(1))
    proofs.park(piece, new Uint8Array(32 * 8192))
    // again, as after a check
    proofs.park(piece, new Uint8Array(32 * 8192))
  }
  const [trees, masks] = file.layerTrees()
  expect(masks[0]!.size()).toBe(31 + 24)
  expect(proofs.hashesArrived(0, requestOf(file, 13, 0, 32, 4), file.run(13, 0, 32))).toBe(true)
  expect(host.told).toHaveLength(24)
  expect(trees).toHaveLength(1)
  expect(host.digests.filter(length => length !== null)).toHaveLength(16)
})

describe('hashes are taken as they are asked for', () => {
  const file = new V2File(600 * 4, 4)
  const { files, trees } = world(4, file)
  const picker = new HashPicker(files, trees)
  const asked = (base: number, index: number, count: number) =>
    picker.isAskedLike(0, requestOf(file, base, index, count, 10 - base))

  test.each([
    [2, 0, 512, true],
    [2, 512, 512, true],
    [2, 512, 128, true],
    [2, 512, 88, true],
    [2, 512, 64, false],
    [2, 0, 256, false],
    [2, 256, 256, false],
    [2, 1, 512, false],
    [2, 1024, 512, false],
    [3, 0, 256, false],
    [1, 0, 1024, false],
    [0, 4, 4, true],
  ])('layer %i, %i and %i more: %s', (base, index, count, is) => {
    expect(asked(base, index, count)).toBe(is)
  })
})

test('what an answer costs is known before', () => {
  const file = new V2File(1029 * 4, 4)
  const { trees } = world(4, file)
  trees.load(...file.layerTrees())
  const cost = (base: number, index: number, count: number, proofLayers: number) =>
    trees.nodesToCompute(0, requestOf(file, base, index, count, proofLayers))
  // what others usually ask for
  expect(cost(2, 0, 512, 10)).toBe(0)
  expect(cost(2, 1024, 8, 2)).toBe(0)
  expect(cost(0, 4, 4, 2)).toBe(0)
  // a proof inside of a run of 512: 2 + 4 + ... + 256 hashes are merged
  expect(cost(2, 0, 2, 10)).toBe(502)
  expect(cost(4, 0, 4, 0)).toBe(12)
  expect(cost(2, 0, 8192, 0)).toBe(0)
})
