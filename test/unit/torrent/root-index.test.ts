import { expect, test } from 'vitest'
import type { FileStorage } from '../../../src/metainfo/file-storage.ts'
import { RootIndex } from '../../../src/torrent/root-index.ts'

/** Files of one size with these roots. */
function layout(roots: readonly (Uint8Array | null)[], size = 1 << 20): FileStorage {
  return {
    numFiles: () => roots.length,
    fileSize: () => size,
    padFileAt: () => false,
    rootView: (file: number) => roots[file]!,
  } as unknown as FileStorage
}

/** @param n what the first four bytes are */
function root(n: number, tail = 0): Uint8Array {
  const out = new Uint8Array(32).fill(tail)
  new DataView(out.buffer).setUint32(0, n)
  return out
}

function found(index: RootIndex, of: Uint8Array): string[] {
  return [...index.find(of)].map(({ torrent, file }) => `${torrent}/${file}`)
}

test('files are found by root, in every torrent that has them', () => {
  const index = new RootIndex(() => true)
  index.add(1, layout([root(5), root(6), null, root(7)]))
  index.add(2, layout([root(7), root(0xffffffff)]))
  expect(found(index, root(5))).toEqual(['1/0'])
  expect(found(index, root(7))).toEqual(['1/3', '2/0'])
  expect(found(index, root(0xffffffff))).toEqual(['2/1'])
  expect(found(index, root(8))).toEqual([])
})

test('small files and pad files are left out', () => {
  const index = new RootIndex(() => true)
  index.add(1, layout([root(1)], 16383))
  index.add(2, { ...layout([root(1)]), padFileAt: () => true } as unknown as FileStorage)
  index.add(3, layout([root(1)], 16384))
  expect(found(index, root(1))).toEqual(['3/0'])
})

test('of torrents that are gone nothing is left once there is need for room', () => {
  const gone = new Set<number>()
  const index = new RootIndex(id => !gone.has(id))
  for (let id = 1; id <= 2000; id++) {
    index.add(id, layout(Array.from({ length: 10 }, (_, i) => root(id * 7919 + i * 104729))))
    gone.add(id - 10)
  }
  expect(index.bytes).toBeLessThan(20_000)
  for (let id = 1991; id <= 2000; id++) expect(found(index, root(id * 7919))).toContain(`${id}/0`)
})

test('a file that is in every torrent takes the place of eight', () => {
  const gone = new Set<number>()
  const index = new RootIndex(id => !gone.has(id))
  for (let id = 1; id <= 5000; id++) index.add(id, layout([root(9)]))
  expect(found(index, root(9))).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map(id => `${id}/0`))
  gone.add(3)
  index.add(5001, layout([root(9)]))
  expect(found(index, root(9))).toContain('5001/0')
  expect(index.bytes).toBeLessThan(5000)
})

test('many files cost 24 to 48 bytes each', () => {
  const index = new RootIndex(() => true)
  const roots = Array.from({ length: 10_000 }, (_, i) => root(Math.imul(i + 1, 0x9e3779b1) >>> 0))
  index.add(1, layout(roots))
  expect(index.bytes / 10_000).toBeGreaterThanOrEqual(24)
  expect(index.bytes / 10_000).toBeLessThanOrEqual(48)
  expect(roots.every((r, i) => found(index, r).includes(`1/${i}`))).toBe(true)
})

test('roots that were made to meet in one place cost no time', () => {
  const index = new RootIndex(() => true)
  // the same low bits, whatever the size of the table
  const roots = Array.from({ length: 4000 }, (_, i) => root((i << 20) >>> 0, i & 255))
  const began = performance.now()
  for (let id = 1; id <= 50; id++) index.add(id, layout(roots))
  for (const r of roots) expect([...index.find(r)].length).toBeLessThanOrEqual(64)
  expect(performance.now() - began).toBeLessThan(2000)
})
