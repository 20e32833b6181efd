import { expect, test } from 'vitest'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { bytesToHex } from '../../../src/core/bytes.ts'
import { sha256 } from '../../../src/core/hash.ts'
import * as m from '../../../src/metainfo/merkle.ts'
import { content, hashV2 } from './sample-torrents.ts'

/** A tree of 4 leaves with different hashes, filled by the definition. */
function sampleTree(): Uint8Array {
  const tree = new Uint8Array(7 * 32)
  for (let i = 0; i < 4; i++) tree.set(sha256(Uint8Array.of(i)), (3 + i) * 32)
  for (const i of [2, 1, 0]) tree.set(sha256(tree.slice((2 * i + 1) * 32, (2 * i + 3) * 32)), i * 32)
  return tree
}
const node = (tree: Uint8Array, i: number) => tree.slice(i * 32, i * 32 + 32)
const join = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap(part => Array.from(part)))

test('indices of a flat tree', () => {
  expect([1, 2, 3, 5, 8, 1000].map(m.merkleNumLeafs)).toEqual([1, 2, 4, 8, 8, 1024])
  expect([1, 2, 4, 8].map(m.merkleNumNodes)).toEqual([1, 3, 7, 15])
  expect([1, 2, 4, 1024].map(m.merkleNumLayers)).toEqual([0, 1, 2, 10])
  expect([1, 2, 4].map(m.merkleFirstLeaf)).toEqual([0, 1, 3])
  expect([0, 1, 2, 3].map(m.merkleLayerStart)).toEqual([0, 1, 3, 7])
  expect([0, 1, 2, 3, 6, 7, 14].map(m.merkleGetLayer)).toEqual([0, 1, 1, 2, 2, 3, 3])
  expect([0, 2, 5, 14].map(m.merkleGetLayerOffset)).toEqual([0, 1, 2, 7])
  expect([1, 2, 3, 4, 13, 14].map(m.merkleGetParent)).toEqual([0, 0, 1, 1, 6, 6])
  expect([1, 2, 3, 4].map(m.merkleGetSibling)).toEqual([2, 1, 4, 3])
  expect([m.merkleGetFirstChild(0), m.merkleGetFirstChild(2), m.merkleGetFirstChild(1, 2)]).toEqual([1, 5, 7])
  expect(m.merkleToFlatIndex(2, 3)).toBe(6)
})

test('pad hashes are hashes of pairs of pad hashes, from zeros', () => {
  const zero = new Uint8Array(32)
  const one = sha256(join(zero, zero))
  expect(m.merklePadAt(0)).toEqual(zero)
  expect(m.merklePad(4, 4)).toEqual(zero)
  expect(bytesToHex(m.merklePad(4, 2))).toBe(bytesToHex(one))
  // sha256 of 64 zero bytes
  expect(bytesToHex(m.merklePad(2, 1))).toBe('f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b')
  expect(bytesToHex(m.merklePad(8, 2))).toBe(bytesToHex(sha256(join(one, one))))
})

test('a root is that of the tree filled up with padding', () => {
  const tree = sampleTree()
  expect(m.merkleRoot(tree.slice(3 * 32))).toEqual(node(tree, 0))
  expect(m.merkleRoot(tree.slice(3 * 32, 4 * 32))).toEqual(node(tree, 3))
  for (let leaves = 1; leaves <= 17; leaves++) {
    const data = content(leaves * 32, leaves)
    const pad = content(32, 99)
    const width = m.merkleNumLeafs(leaves)
    const whole = new Uint8Array(m.merkleNumNodes(width) * 32)
    const first = m.merkleFirstLeaf(width)
    for (let i = 0; i < width; i++) whole.set(i < leaves ? node(data, i) : pad, (first + i) * 32)
    m.merkleFillTree(whole, width)
    expect(m.merkleRoot(data, pad)).toEqual(node(whole, 0))
  }
  expect(() => m.merkleRoot(new Uint8Array(0))).toThrow(RangeError)
  expect(() => m.merkleRoot(new Uint8Array(33))).toThrow(RangeError)
})

test('the root of a piece layer padded as BEP 52 says is the root of the file', () => {
  for (const size of [70_000, 100_000, 131_072, 163_841]) {
    const file = hashV2(content(size), 32768)
    expect(bytesToHex(m.merkleRoot(file.layer, m.merklePad(2, 1)))).toBe(bytesToHex(file.root))
  }
})

test('filling and clearing a subtree leaves the rest alone', () => {
  const tree = sampleTree()
  const partial = tree.slice()
  partial.fill(0, 0, 32)
  partial.fill(0, 64, 96)
  m.merkleFillTree(partial, 2, 5)
  expect(node(partial, 2)).toEqual(node(tree, 2))
  expect(m.merkleIsZero(partial, 0)).toBe(true)
  m.merkleClearTree(partial, 2, 3)
  expect([1, 3, 4].every(i => m.merkleIsZero(partial, i))).toBe(true)
  expect([2, 5, 6].some(i => m.merkleIsZero(partial, i))).toBe(false)
})

test('a partial tree is completed where it can be, and orphans are dropped', () => {
  const tree = sampleTree()
  const partial = tree.slice()
  for (const i of [0, 1, 2]) partial.fill(0, i * 32, i * 32 + 32)
  m.merkleFillPartialTree(partial)
  expect(partial).toEqual(tree)
  // a lone leaf cannot be checked against anything
  const lone = tree.slice()
  lone.fill(0, 4 * 32, 5 * 32)
  m.merkleFillPartialTree(lone)
  expect(m.merkleIsZero(lone, 3)).toBe(true)
  expect([0, 1, 2, 5, 6].some(i => m.merkleIsZero(lone, i))).toBe(false)
})

test('proofs that reach a known node are inserted', () => {
  const tree = sampleTree()
  const target = new Uint8Array(tree.length)
  target.set(node(tree, 0))
  const proof = join(node(tree, 4), node(tree, 2))
  expect(m.merkleValidateAndInsertProofs(target, 3, node(tree, 3), proof)).toBe(true)
  expect([0, 1, 2, 3, 4].map(i => bytesToHex(node(target, i)))).toEqual(
    [0, 1, 2, 3, 4].map(i => bytesToHex(node(tree, i))),
  )
  // known already
  expect(m.merkleValidateAndInsertProofs(target, 3, node(tree, 3), new Uint8Array(0))).toBe(true)
  expect(m.merkleValidateAndInsertProofs(target, 3, node(tree, 4), proof)).toBe(false)
})

test('proofs that fail leave the tree as it was, also what was known of it', () => {
  const tree = sampleTree()
  const bad = node(tree, 4).map(b => b ^ 1)
  for (const [proof, known] of [
    [join(bad, node(tree, 2)), []],
    [join(node(tree, 4), bad), []],
    [node(tree, 4), []],
    [new Uint8Array(0), []],
    [join(bad, node(tree, 2)), [4]],
    [join(node(tree, 4), bad), [1]],
  ] as [Uint8Array, number[]][]) {
    const target = new Uint8Array(tree.length)
    for (const i of [0, ...known]) target.set(node(tree, i), i * 32)
    const before = target.slice()
    const leaf = known.includes(1) ? bad : node(tree, 3)
    expect(m.merkleValidateAndInsertProofs(target, 3, leaf, proof)).toBe(false)
    expect(target).toEqual(before)
  }
})

test('only what a chain from the root proves is copied', () => {
  const tree = sampleTree()
  const verified = new Bitfield(3)
  const target = new Uint8Array(tree.length)
  m.merkleValidateCopy(tree, target, node(tree, 0), verified)
  expect(target).toEqual(tree)
  expect(verified.toArray()).toEqual([true, true, true])
  const broken = tree.slice()
  broken[5 * 32]! ^= 1
  const some = new Bitfield(3)
  const half = new Uint8Array(tree.length)
  m.merkleValidateCopy(broken, half, node(tree, 0), some)
  expect(some.toArray()).toEqual([true, true, false])
  expect(m.merkleIsZero(half, 5)).toBe(true)
  const none = new Uint8Array(tree.length)
  m.merkleValidateCopy(tree, none, node(tree, 1), some)
  expect(none.every(b => b === 0)).toBe(true)
})

test('one layer is checked against the one above', () => {
  const tree = sampleTree()
  expect(m.merkleValidateSingleLayer(tree)).toBe(true)
  expect(m.merkleValidateSingleLayer(node(tree, 0))).toBe(true)
  tree[6 * 32]! ^= 1
  expect(m.merkleValidateSingleLayer(tree)).toBe(false)
  expect(m.merkleValidateNode(node(tree, 3), node(tree, 4), node(tree, 1))).toBe(true)
})

test('the largest subtree of known leaves around a block', () => {
  const tree = sampleTree()
  const only = (...known: number[]) => {
    const t = new Uint8Array(tree.length)
    for (const i of known) t.set(node(tree, i), i * 32)
    return t
  }
  expect(m.merkleFindKnownSubtree(only(0, 3, 4, 5, 6), 1, 4)).toEqual({ leafsStart: 0, leafsSize: 4, rootIndex: 0 })
  expect(m.merkleFindKnownSubtree(only(0, 1, 2, 3, 4, 5, 6), 1, 4)).toEqual({
    leafsStart: 0,
    leafsSize: 2,
    rootIndex: 1,
  })
  // leaves beyond the data need not be known
  expect(m.merkleFindKnownSubtree(only(0, 3, 4, 5), 2, 3)).toEqual({ leafsStart: 0, leafsSize: 4, rootIndex: 0 })
  expect(m.merkleFindKnownSubtree(only(0, 3, 5, 6), 2, 4)).toMatchObject({ leafsStart: 2, leafsSize: 2 })
})
