import { describe, expect, test } from 'vitest'
import { SeededRng } from '../../../src/core/rng.ts'
import { FileStorage } from '../../../src/metainfo/file-storage.ts'
import { HashPicker } from '../../../src/torrent/hash-picker.ts'
import { HashTrees } from '../../../src/torrent/hash-trees.ts'
import { type HashRequest, uncleCount } from '../../../src/wire/hash-messages.ts'
import { join, layoutOf, requestOf, V2File } from '../metainfo/v2-files.ts'

const BLOCK = 16384
const all = () => true
const WRONG = new Uint8Array(32).fill(9)
const numbers = (request: HashRequest | null) =>
  request === null ? null : [request.base, request.index, request.count, request.proofLayers]

/** A file with a root of which nothing else is known. */
function bare(perPiece: number, ...blocks: number[]) {
  const files = new FileStorage()
  files.setPieceLength(perPiece * BLOCK)
  for (const [i, count] of blocks.entries()) {
    files.addFile(
      `t/${i}`,
      count * BLOCK,
      0,
      0,
      '',
      Uint8Array.of(i + 1, (i + 1) >> 8, (i + 1) >> 16, ...WRONG.subarray(3)),
    )
  }
  files.removeTailPadding()
  files.setNumPieces(Math.ceil(files.totalSize() / (perPiece * BLOCK)))
  const trees = new HashTrees(files)
  return { files, trees, picker: new HashPicker(files, trees) }
}

function answer(file: V2File, { base, index, count, proofLayers }: HashRequest): Uint8Array {
  const own = Math.ceil(Math.log2(count))
  return join([
    file.run(base, index, count),
    file.proof(base + own, Math.floor(index / 2 ** own), uncleCount(count, proofLayers)),
  ])
}

function of(file: V2File, withLayer = false) {
  const files = layoutOf(file.perPiece, file)
  const trees = new HashTrees(files)
  if (withLayer) trees.load(...file.layerTrees())
  return { files, trees, picker: new HashPicker(files, trees) }
}

describe('piece layers', () => {
  test('are asked for in runs of 512, file by file', () => {
    const { picker, files, trees } = bare(1, 4 * 512, 4 * 512)
    const picked = Array.from({ length: 9 }, () => picker.pick(all, 0))
    expect(picked.map(numbers)).toEqual([
      ...[0, 512, 1024, 1536, 0, 512, 1024, 1536].map(index => [0, index, 512, 10]),
      null,
    ])
    expect(picked.slice(0, 8).map(request => request!.root[0])).toEqual([1, 1, 1, 1, 2, 2, 2, 2])
    for (const request of picked.slice(0, 8)) {
      expect(trees.isValidRequest(files.fileIndexAtPiece(request!.root[0] === 1 ? 0 : 2048), request!)).toBe(true)
    }
    expect(picker.done).toBe(false)
  })

  test('only of peers that have a piece of the run', () => {
    const { picker } = bare(1, 4 * 512)
    const has = (piece: number) => piece === 512 || piece === 1537
    expect(numbers(picker.pick(has, 0))).toEqual([0, 512, 512, 10])
    expect(numbers(picker.pick(has, 0))).toEqual([0, 1536, 512, 10])
    expect(picker.pick(has, 0)).toBeNull()
    expect(picker.pick(() => false, 0)).toBeNull()
    expect(numbers(picker.pick(all, 0))).toEqual([0, 0, 512, 10])
  })

  test('what was asked for is asked for again after three seconds', () => {
    const { picker } = bare(4, 4 * 512)
    const first = picker.pick(all, 1000)
    expect(numbers(first)).toEqual([2, 0, 512, 8])
    expect(picker.pick(all, 3999)).toBeNull()
    expect(picker.pick(all, 4000)).toEqual(first)
    expect(picker.pick(all, 4001)).toBeNull()
  })

  test('what was rejected is asked for again at once, but not for ever', () => {
    const { picker } = bare(1, 4 * 512)
    const only = (piece: number) => piece === 0
    const request = picker.pick(only, 0)!
    picker.rejected(0, request)
    expect(picker.pick(only, 1)).toEqual(request)
    let asked = 0
    for (let now = 1; now < 30_001; now += 10) {
      const again = picker.pick(only, now)
      if (again === null) continue
      asked++
      picker.rejected(0, again)
    }
    expect(asked).toBeGreaterThan(5)
    expect(asked).toBeLessThan(25)
  })

  test('the last run is as short as it may be', () => {
    const shapes: [blocks: number, perPiece: number, last: number[]][] = [
      [4 * 1029, 4, [2, 1024, 8, 10]],
      [4 * 1025, 4, [2, 1024, 2, 10]],
      [4 * 513, 4, [2, 512, 2, 9]],
      [513, 1, [0, 512, 2, 9]],
      [3, 1, [0, 0, 4, 1]],
      [2, 1, [0, 0, 2, 0]],
      [5, 4, [2, 0, 2, 0]],
    ]
    for (const [blocks, perPiece, last] of shapes) {
      const { picker, trees } = bare(perPiece, blocks)
      const picked: HashRequest[] = []
      for (let request = picker.pick(all, 0); request !== null; request = picker.pick(all, 0)) picked.push(request)
      expect(numbers(picked.at(-1)!), `${blocks}`).toEqual(last)
      expect(picked).toHaveLength(Math.ceil(blocks / perPiece / 512))
      for (const request of picked) expect(trees.isValidRequest(0, request)).toBe(true)
    }
  })

  test('a proof reaches only up to what is known', () => {
    const file = new V2File(2048, 1)
    const { trees, picker } = of(file)
    const first = picker.pick(all, 0)!
    expect(first.proofLayers).toBe(10)
    expect(trees.addHashes(0, first, answer(file, first))).not.toBeNull()
    picker.received(0, first)
    // the uncles of the first are the root of the second run and the parent of the others
    const second = picker.pick(all, 0)!
    expect(numbers(second)).toEqual([0, 512, 512, 8])
    expect(answer(file, second)).toHaveLength(512 * 32)
    expect(trees.addHashes(0, second, answer(file, second))).not.toBeNull()
    const third = picker.pick(all, 0)!
    expect(numbers(third)).toEqual([0, 1024, 512, 9])
    expect(trees.addHashes(0, third, answer(file, third))).not.toBeNull()
    const fourth = picker.pick(all, 0)!
    expect(numbers(fourth)).toEqual([0, 1536, 512, 8])
    expect(trees.addHashes(0, fourth, answer(file, fourth))).not.toBeNull()
    expect(picker.done).toBe(true)
    for (const request of [second, third, fourth]) picker.received(0, request)
    expect(picker.pick(all, 1e9)).toBeNull()
  })

  test('what is known is not asked for', () => {
    const file = new V2File(1024, 1)
    expect(of(file, true).picker.done).toBe(true)
    const { trees, files } = of(file)
    const request = requestOf(file, 0, 512, 512, 9)
    trees.addHashes(0, request, answer(file, request))
    const picker = new HashPicker(files, trees)
    expect(numbers(picker.pick(all, 0))).toEqual([0, 0, 512, 8])
    expect(picker.pick(all, 0)).toBeNull()
    expect(bare(4, 4, 3, 1).picker.done).toBe(true)
  })

  test('an answer that was not proven is asked for again at once', () => {
    const file = new V2File(1024, 1)
    const { trees, picker } = of(file)
    const request = picker.pick(n => n < 512, 0)!
    expect(trees.addHashes(0, request, answer(file, request).fill(1, 0, 32))).toBeNull()
    picker.received(0, request)
    expect(picker.pick(n => n < 512, 0)).toEqual(request)
  })

  test('a late answer completes a request that was given up', () => {
    const file = new V2File(4 * 512, 4)
    const { trees, picker } = of(file)
    const request = picker.pick(all, 0)!
    picker.rejected(0, request)
    expect(trees.addHashes(0, request, answer(file, request))).not.toBeNull()
    picker.received(0, request)
    expect(picker.pick(all, 10_000)).toBeNull()
    expect(picker.done).toBe(true)
  })

  test('pieces that prove each other are not asked for', () => {
    const file = new V2File(9, 1)
    const files = layoutOf(1, file, new V2File(5, 1))
    const trees = new HashTrees(files)
    const picker = new HashPicker(files, trees)
    for (let piece = 0; piece < 9; piece++) trees.setPieceRoot(piece, file.pieceRoot(piece))
    expect(numbers(picker.pick(all, 0))).toEqual([0, 0, 8, 2])
    expect(picker.pick(all, 0)).toBeNull()
    expect(picker.done).toBe(false)
  })

  test('a hundred thousand files take no time', () => {
    const { picker } = bare(1, ...new Array<number>(100_000).fill(2))
    const asked = new Set<string>()
    for (let i = 0; i < 1000; i++) asked.add(String(picker.pick(all, 0)!.root))
    expect(asked.size).toBe(1000)
    // a peer that has the last file only
    let last: HashRequest | null = null
    for (let i = 0; i < 100 && last === null; i++) last = picker.pick(piece => piece >= 199_998, 0)
    expect(last!.root.subarray(0, 3)).toEqual(Uint8Array.of(100_000 & 255, 100_000 >> 8, 100_000 >> 16))
  })

  test('files with the same content are asked for once, of peers that have either', () => {
    const file = new V2File(9, 1)
    const files = layoutOf(1, file, file, new V2File(5, 1))
    const picker = new HashPicker(files, new HashTrees(files))
    const request = picker.pick(piece => piece === 17, 0)
    expect(request!.root).toEqual(file.root)
    expect(picker.pick(piece => piece === 3, 0)).toBeNull()
    expect(picker.pick(all, 0)!.root).toEqual(new V2File(5, 1).root)
    expect(picker.pick(all, 0)).toBeNull()
  })

  test('a peer that has next to nothing of a big torrent costs little, and gets its turn', () => {
    const { picker } = bare(1, 1 << 20)
    let looks = 0
    const has = (piece: number) => {
      looks++
      return piece === 1_000_000
    }
    let picks = 0
    for (; picks < 100 && picker.pick(has, 0) === null; picks++) expect(looks).toBeLessThanOrEqual(20_000 * (picks + 1))
    expect(picks).toBeLessThan(100)
  })
})

describe('block hashes', () => {
  const file = new V2File(38, 4)

  test('come before piece layers, of peers that have the piece', () => {
    const { picker, trees } = of(file)
    picker.wantBlocks(3)
    picker.wantBlocks(3)
    expect(picker.done).toBe(false)
    // nothing is known: the proof goes up to the root
    expect(numbers(picker.pick(piece => piece === 3, 0))).toEqual([0, 12, 4, 5])
    expect(numbers(picker.pick(piece => piece === 3, 0))).toEqual([2, 0, 16, 3])
    expect(picker.pick(piece => piece === 3, 2999)).toBeNull()
    expect(picker.pick(piece => piece === 2, 3000)!.base).toBe(2)
    expect(numbers(picker.pick(piece => piece === 3, 3000))).toEqual([0, 12, 4, 5])
    const request = requestOf(file, 0, 12, 4, 5)
    expect(trees.isValidRequest(0, request)).toBe(true)
    expect(trees.addHashes(0, request, answer(file, request))!.blocks).toEqual([3])
    picker.received(0, request)
    expect(picker.pick(piece => piece === 3, 10_000)!.base).toBe(2)
  })

  test('need no proof if the hash of the piece is known', () => {
    const { picker, trees } = of(file, true)
    for (const piece of [9, 0]) {
      picker.wantBlocks(piece)
      const request = picker.pick(all, 0)!
      expect(numbers(request)).toEqual([0, 4 * piece, 4, 1])
      expect(trees.addHashes(0, request, answer(file, request))!.blocks).toEqual([piece])
      expect(answer(file, request)).toHaveLength(4 * 32)
      picker.received(0, request)
      expect(picker.done).toBe(true)
      picker.wantBlocks(piece)
      expect(picker.done).toBe(true)
    }
  })

  test('those that were asked for least often come first', () => {
    const { files, trees } = of(file, true)
    const had = new Set<number>()
    const picker = new HashPicker(files, trees, piece => had.has(piece))
    for (const piece of [1, 2, 3]) picker.wantBlocks(piece)
    const pick = (now: number) => picker.pick(all, now)!.index / 4
    expect([pick(0), pick(0)]).toEqual([1, 2])
    expect([pick(5000), pick(5000), pick(5000)]).toEqual([3, 1, 2])
    expect(picker.pick(all, 5000)).toBeNull()
    picker.rejected(0, requestOf(file, 0, 8, 4, 1))
    expect(pick(5001)).toBe(2)
    had.add(3).add(1)
    expect(pick(10_000)).toBe(2)
    expect(picker.pick(all, 10_000)).toBeNull()
    had.add(2)
    expect(picker.pick(all, 20_000)).toBeNull()
    expect(picker.done).toBe(true)
  })

  test('of a file that is shorter than a piece are those of the whole file', () => {
    const small = new V2File(3, 16)
    const { picker, trees } = of(small)
    picker.wantBlocks(0)
    const request = picker.pick(all, 0)!
    expect(numbers(request)).toEqual([0, 0, 4, 1])
    expect(trees.isValidRequest(0, request)).toBe(true)
    expect(trees.addHashes(0, request, answer(small, request))!.blocks).toEqual([0])
  })

  test('are not wanted where the hash of the piece is that of its block, nor where one request cannot bring them', () => {
    const one = of(new V2File(1, 16))
    one.picker.wantBlocks(0)
    expect(one.picker.done).toBe(true)
    const blocks = of(new V2File(9, 1), true)
    blocks.picker.wantBlocks(3)
    expect(blocks.picker.done).toBe(true)
    const huge = bare(16_384, 16_384)
    huge.picker.wantBlocks(0)
    expect(huge.picker.done).toBe(true)
  })

  test('of one file serve all with its content', () => {
    const files = layoutOf(4, file, file)
    const trees = new HashTrees(files)
    trees.load(...file.layerTrees())
    const picker = new HashPicker(files, trees)
    picker.wantBlocks(12)
    const request = picker.pick(all, 0)!
    expect(numbers(request)).toEqual([0, 8, 4, 1])
    picker.rejected(trees.fileOfRoot(request.root), request)
    expect(picker.pick(all, 0)).toEqual(request)
    trees.addHashes(trees.fileOfRoot(request.root), request, answer(file, request))
    picker.received(trees.fileOfRoot(request.root), request)
    expect(picker.done).toBe(true)
    expect(trees.blockHashes(12)).toEqual(file.blockHashes(2))
  })
})

test('answers and rejections that nobody asked for are no trouble', () => {
  const rng = new SeededRng(3)
  const { picker } = bare(4, 4 * 1029, 3, 64)
  for (let i = 0; i < 2000; i++) {
    const request = {
      root: WRONG,
      base: rng.below(8),
      index: rng.below(3000),
      count: rng.below(9000),
      proofLayers: rng.below(40),
    }
    const file = rng.below(8) - 1
    picker.received(file, request)
    picker.rejected(file, request)
  }
  expect(numbers(picker.pick(all, 0))).toEqual([2, 0, 512, 10])
})

test.each([
  [2058, 2],
  [4 * 513, 4],
  [700, 1],
])('every picked answer proves itself, in any order: %i blocks, %i to a piece', (blocks, perPiece) => {
  const file = new V2File(blocks, perPiece)
  for (let seed = 0; seed < 5; seed++) {
    const rng = new SeededRng(seed)
    const { picker, trees } = of(file)
    for (let i = 0; i < 5; i++) picker.wantBlocks(rng.below(file.pieces))
    const waiting: HashRequest[] = []
    for (let now = 0; !picker.done; now += 500) {
      if (now > 1e6) throw new Error('never done')
      const at = rng.below(file.pieces)
      const request = picker.pick(piece => piece >= at, now)
      if (request !== null) waiting.push(request)
      if (waiting.length === 0 || rng.below(2) === 0) continue
      const [late] = waiting.splice(rng.below(waiting.length), 1)
      expect(trees.isValidRequest(0, late!)).toBe(true)
      const roll = rng.below(4)
      if (roll === 0) picker.rejected(0, late!)
      else {
        expect(trees.addHashes(0, late!, answer(file, late!))).not.toBeNull()
        picker.received(0, late!)
      }
    }
    expect(trees.complete).toBe(true)
  }
})
