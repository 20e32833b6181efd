import { expect, test } from 'vitest'
import { SeededRng } from '../../../src/core/rng.ts'
import { HashTrees } from '../../../src/torrent/hash-trees.ts'
import { type HashRequest, uncleCount } from '../../../src/wire/hash-messages.ts'
import { join, layoutOf, requestOf, V2File } from '../metainfo/v2-files.ts'

/** All nodes of one content, and which of them are known; the data of each file that has it. */
class ModelTree {
  readonly file: V2File
  /** First piece of each file. */
  readonly offsets: number[] = []
  readonly known = new Set<number>([0])
  readonly blocks = new Set<number>()
  /** By piece of the torrent: whether the candidate is right. */
  readonly candidates = new Map<number, boolean>()

  constructor(file: V2File) {
    this.file = file
  }

  nodeOf(layer: number, index: number): number {
    return this.file.leafs / 2 ** layer - 1 + index
  }

  isKnown(node: number): boolean {
    return this.known.has(node) || this.firstPiece(node)[0] >= this.file.pieces
  }

  /** Pieces under a node of the upper tree. */
  firstPiece(node: number): [first: number, end: number] {
    const level = Math.floor(Math.log2(node + 1))
    const count = this.file.leafs / 2 ** this.file.pieceLevels / 2 ** level
    const first = (node + 1 - 2 ** level) * count
    return [first, first + count]
  }

  knowAllUnder(node: number, last: number): void {
    if (node > last) return
    this.known.add(node)
    this.knowAllUnder(2 * node + 1, last)
    this.knowAllUnder(2 * node + 2, last)
  }

  /** @returns whether the run is proven */
  add({ base, index, count }: HashRequest, uncles: number): boolean {
    const own = Math.ceil(Math.log2(count))
    let node = this.nodeOf(base + own, index / 2 ** own)
    const chain: number[] = []
    for (; !this.isKnown(node); node = (node - 1) >> 1) {
      if (chain.length === uncles) return false
      chain.push(node)
    }
    for (const link of chain) this.known.add(link).add(((link - 1) ^ 1) + 1)
    const { pieceLevels, perPiece, pieces } = this.file
    const lowest = Math.max(base, pieceLevels)
    this.knowAllUnder(this.nodeOf(base + own, index / 2 ** own), 2 * (this.file.leafs / 2 ** lowest) - 2)
    for (let block = index; base === 0 && pieceLevels > 0 && block < index + count; block += perPiece) {
      if (block / perPiece < pieces) this.blocks.add(block / perPiece)
    }
    return true
  }

  settle(): { passed: number[]; failed: number[] } {
    const out = { passed: [] as number[], failed: [] as number[] }
    for (let changed = true; changed; ) {
      changed = false
      for (const offset of this.offsets) {
        for (let piece = 0; piece < this.file.pieces; piece++) {
          if (!this.candidates.has(offset + piece)) continue
          let node = this.nodeOf(this.file.pieceLevels, piece)
          while (!this.isKnown(node)) node = (node - 1) >> 1
          const [first, end] = this.firstPiece(node)
          const under: number[] = []
          for (let i = first; i < Math.min(end, this.file.pieces); i++) under.push(offset + i)
          if (!under.every(i => this.candidates.has(i))) continue
          const right = under.every(i => this.candidates.get(i))
          // which one is wrong shows when more hashes come
          if (!right && under.length > 1) continue
          for (const i of under) this.candidates.delete(i)
          ;(right ? out.passed : out.failed).push(...under)
          if (right) this.knowAllUnder(node, 2 * (this.file.leafs / 2 ** this.file.pieceLevels) - 2)
          changed = true
        }
      }
    }
    return out
  }
}

const sorted = (list: readonly number[]) => [...list].sort((a, b) => a - b)

function answer(file: V2File, { base, index, count, proofLayers }: HashRequest): Uint8Array {
  const own = Math.ceil(Math.log2(count))
  return join([
    file.run(base, index, count),
    file.proof(base + own, Math.floor(index / 2 ** own), uncleCount(count, proofLayers)),
  ])
}

/** A run that may be added: of the piece layer or above, or the blocks of whole pieces. */
function randomRun(file: V2File, rng: SeededRng): HashRequest {
  const layers = Math.log2(file.leafs)
  const low = file.pieces === 1 || rng.below(3) === 0
  const base = low ? 0 : Math.min(layers - 1, file.pieceLevels + (rng.below(4) === 0 ? rng.below(3) : 0))
  const own = Math.min(layers - base, (low ? file.pieceLevels : 0) + rng.below(4), 12)
  const count = 2 ** Math.max(own, low ? Math.min(file.pieceLevels, layers) : 0)
  const places = Math.ceil(file.blocks / 2 ** base / count)
  const most = layers - base - 1
  return requestOf(file, base, rng.below(places) * count, count, rng.below(3) === 0 ? rng.below(most + 1) : most)
}

const SHAPES: [perPiece: number, blocks: number[]][] = [
  [1, [5, 1, 9, 5]],
  [4, [13, 3, 13, 64, 4, 1]],
  [2, [1100, 2, 7, 7, 7]],
  [8, [8 * 513, 8, 9]],
]

test.each(SHAPES)('pieces of %i blocks: trees know what a plain model knows', (perPiece, sizes) => {
  const rounds = Math.max(...sizes) > 1000 ? 4 : 60
  for (let round = 0; round < rounds; round++) {
    const rng = new SeededRng(1000 * perPiece + round)
    const contents = new Map<number, V2File>()
    for (const size of sizes) if (!contents.has(size)) contents.set(size, new V2File(size, perPiece))
    const files = layoutOf(perPiece, ...sizes.map(size => contents.get(size)!))
    let trees = new HashTrees(files)
    const models = new Map<number, ModelTree>()
    const owners: { model: ModelTree; first: number; file: number }[] = []
    for (let file = 0, i = 0; file < files.numFiles(); file++) {
      if (files.padFileAt(file)) continue
      const size = sizes[i++]!
      let model = models.get(size)
      if (model === undefined) models.set(size, (model = new ModelTree(contents.get(size)!)))
      const first = files.pieceIndexAtFile(file)
      model.offsets.push(first)
      owners.push({ model, first, file })
      expect(trees.fileOfRoot(model.file.root)).toBe(owners.find(owner => owner.model === model)!.file)
    }
    for (let step = 0; step < 120; step++) {
      const { model, first, file } = owners[rng.below(owners.length)]!
      const own = rng.below(model.file.pieces)
      const piece = first + own
      const kind = rng.below(10)
      if (kind < 5) {
        // near each other, so that groups come about
        for (let i = own & ~3; i < Math.min(own + 4, model.file.pieces); i++) {
          const right = rng.below(20) > 0
          model.candidates.set(first + i, right)
          const got = trees.setPieceRoot(first + i, right ? model.file.pieceRoot(i) : new Uint8Array(32).fill(1))
          const expected = model.settle()
          expect(sorted(got.passed)).toEqual(sorted(expected.passed))
          expect(sorted(got.failed)).toEqual(sorted(expected.failed))
        }
      } else if (kind < 8) {
        if (model.file.blocks === 1) continue
        const request = randomRun(model.file, rng)
        const hashes = answer(model.file, request)
        if (rng.below(4) === 0) {
          const wrong = hashes.slice()
          wrong[rng.below(request.count * 32)]! ^= 1 + rng.below(255)
          expect(trees.addHashes(file, request, wrong)).toBeNull()
        }
        const before = new Set(model.blocks)
        const proven = model.add(request, hashes.length / 32 - request.count)
        const got = trees.addHashes(file, request, hashes)
        expect(got !== null, `${JSON.stringify({ ...request, root: 0 })}`).toBe(proven)
        if (got === null) continue
        const expected = model.settle()
        expect(sorted(got.passed)).toEqual(sorted(expected.passed))
        expect(sorted(got.failed)).toEqual(sorted(expected.failed))
        const added = [...model.blocks].filter(i => !before.has(i))
        expect(sorted(got.blocks)).toEqual(sorted(model.offsets.flatMap(offset => added.map(i => i + offset))))
      } else if (kind === 8) {
        trees.forgetPieceRoot(piece)
        model.candidates.delete(piece)
        if (model.blocks.size === model.file.pieces) continue
        trees.dropBlockHashes(piece)
        model.blocks.delete(own)
      } else if (rng.below(4) === 0) {
        const saved = trees.resume()
        trees = new HashTrees(files)
        trees.load(saved.trees, saved.masks)
        for (const each of models.values()) each.candidates.clear()
      }
    }
    for (const { model, first, file } of owners) {
      for (let i = 0; i < model.file.pieces; i++) {
        const root = trees.pieceRoot(first + i)
        const known = model.isKnown(model.nodeOf(model.file.pieceLevels, i))
        expect(root === null ? null : Buffer.from(root).toString('hex')).toBe(
          known ? Buffer.from(model.file.pieceRoot(i)).toString('hex') : null,
        )
        const blocks = trees.blockHashes(first + i)
        const blocksKnown = model.file.pieceLevels === 0 ? known : model.blocks.has(i)
        expect(blocks === null ? null : Buffer.from(blocks).toString('hex')).toBe(
          blocksKnown ? Buffer.from(model.file.blockHashes(i)).toString('hex') : null,
        )
      }
      for (let i = 0; i < 20 && model.file.blocks > 1; i++) {
        const request = randomRun(model.file, rng)
        const hashes = trees.getHashes(file, request)
        if (hashes !== null) expect(Buffer.from(hashes).equals(answer(model.file, request))).toBe(true)
      }
    }
    const all = owners.every(({ model }) =>
      Array.from({ length: model.file.pieces }, (_, i) => i).every(i =>
        model.isKnown(model.nodeOf(model.file.pieceLevels, i)),
      ),
    )
    expect(trees.complete).toBe(all)
  }
})
