import { expect, test } from 'vitest'
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
  expect([1, 2, 3, 4, 13, 14].map(m.merkleGetParent)).toEqual([0, 0, 1, 1, 6, 6])
  expect([1, 2, 3, 4].map(m.merkleGetSibling)).toEqual([2, 1, 4, 3])
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

test('filling a subtree leaves the rest alone', () => {
  const tree = sampleTree()
  const partial = tree.slice()
  partial.fill(0, 0, 32)
  partial.fill(0, 64, 96)
  m.merkleFillTree(partial, 2, 5)
  expect(node(partial, 2)).toEqual(node(tree, 2))
  expect(m.merkleIsZero(partial, 0)).toBe(true)
})

test('a partial tree is completed where it can be, and what the root does not prove is dropped', () => {
  const tree = sampleTree()
  const partial = tree.slice()
  for (const i of [0, 1, 2]) partial.fill(0, i * 32, i * 32 + 32)
  const derived = partial.slice()
  m.merkleFillPartialTree(derived, null)
  expect(derived).toEqual(tree)
  m.merkleFillPartialTree(partial, node(tree, 0))
  expect(partial).toEqual(tree)
  // a lone leaf cannot be checked against anything
  const lone = tree.slice()
  lone.fill(0, 4 * 32, 5 * 32)
  m.merkleFillPartialTree(lone, node(tree, 0))
  expect(m.merkleIsZero(lone, 3)).toBe(true)
  expect([0, 1, 2, 5, 6].some(i => m.merkleIsZero(lone, i))).toBe(false)
  // a wrong pair does not take the others with it
  const wrong = tree.slice()
  wrong[5 * 32]! ^= 1
  m.merkleFillPartialTree(wrong, node(tree, 0))
  expect([0, 1, 2, 3, 4, 5, 6].filter(i => m.merkleIsZero(wrong, i))).toEqual([5, 6])
  const other = tree.slice()
  m.merkleFillPartialTree(other, node(tree, 1))
  expect([0, 1, 2, 3, 4, 5, 6].filter(i => m.merkleIsZero(other, i))).toEqual([1, 2, 3, 4, 5, 6])
})

test('a run of nodes is filled up to its length with the padding of its layer', () => {
  const tree = sampleTree()
  expect(m.merkleSubtreeRoot(tree.subarray(3 * 32), 4, 0)).toEqual(node(tree, 0))
  const one = node(tree, 3)
  const pair = m.mergeHash(one, new Uint8Array(32))
  expect(m.merkleSubtreeRoot(one, 4, 0)).toEqual(m.mergeHash(pair, m.merklePadAt(1)))
  expect(m.merkleSubtreeRoot(one, 1, 3)).toEqual(one)
  expect(m.merkleSubtreeRoot(one, 2, 3)).toEqual(m.mergeHash(one, m.merklePadAt(3)))
})
