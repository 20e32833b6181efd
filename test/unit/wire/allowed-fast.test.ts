import { expect, test } from 'vitest'
import { allowedFastSet } from '../../../src/wire/allowed-fast.ts'

const infoHash = new Uint8Array(20).fill(0xaa)

test('the allowed fast set is that of the BEP', () => {
  expect(allowedFastSet('80.4.4.200', infoHash, 1313, 7)).toEqual([1059, 431, 808, 1217, 287, 376, 1188])
  expect(allowedFastSet('80.4.4.200', infoHash, 1313, 9)).toEqual([1059, 431, 808, 1217, 287, 376, 1188, 353, 508])
})

test('all addresses of one network get the same set', () => {
  expect(allowedFastSet('80.4.4.1', infoHash, 1313, 7)).toEqual(allowedFastSet('80.4.4.200', infoHash, 1313, 7))
  expect(allowedFastSet('80.4.5.200', infoHash, 1313, 7)).not.toEqual(allowedFastSet('80.4.4.200', infoHash, 1313, 7))
  expect(allowedFastSet('2001:db8::1', infoHash, 1313, 7)).toEqual(allowedFastSet('2001:db8::2:3', infoHash, 1313, 7))
  expect(allowedFastSet('2001:db8::1', infoHash, 1313, 7)).not.toEqual(
    allowedFastSet('2001:db8:1::1', infoHash, 1313, 7),
  )
})

test('a torrent with no more pieces than the set gets all of them', () => {
  expect(allowedFastSet('80.4.4.200', infoHash, 3, 7)).toEqual([0, 1, 2])
  expect(allowedFastSet('80.4.4.200', infoHash, 7, 7)).toEqual([0, 1, 2, 3, 4, 5, 6])
})

test('nothing is drawn from nothing', () => {
  expect(allowedFastSet('80.4.4.200', infoHash, 0, 7)).toEqual([])
  expect(allowedFastSet('80.4.4.200', infoHash, 100, 0)).toEqual([])
})

test('pieces are distinct and in range, also when almost all are drawn', () => {
  for (const numPieces of [8, 9, 100, 2 ** 31 - 1]) {
    const set = allowedFastSet('1.2.3.4', infoHash, numPieces, 7)
    expect(new Set(set).size).toBe(7)
    for (const piece of set) expect(piece).toBeLessThan(numPieces)
  }
  const most = allowedFastSet('1.2.3.4', infoHash, 1000, 999)
  expect(most.length).toBeGreaterThan(300)
  expect(new Set(most).size).toBe(most.length)
})
