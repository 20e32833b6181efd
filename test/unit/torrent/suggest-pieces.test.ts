import { expect, test } from 'vitest'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { SuggestPieces } from '../../../src/torrent/suggest-pieces.ts'

const none = new Bitfield(100)

function read(availabilities: number[], max = 10): SuggestPieces {
  const suggest = new SuggestPieces()
  availabilities.forEach((a, piece) => {
    suggest.pieceRead(piece, a, max)
  })
  return suggest
}

test('pieces no more common than the average of those read are kept, the newest is best', () => {
  // means before each: 0, 5, 7, 5.7, 5.5
  expect(read([5, 9, 3, 5, 20]).pick(none, [], 10)).toEqual([2, 3])
  expect(read([0, 1]).pick(none, [], 10)).toEqual([0])
})

test('what a peer has, or was suggested already, is left out', () => {
  const has = new Bitfield(100)
  has.setBit(2)
  expect(read([5, 5, 5, 5, 5]).pick(has, [3], 10)).toEqual([1, 4])
  expect(read([5, 5]).pick('all', [], 10)).toEqual([])
})

test('of more than asked for, the newest are given', () => {
  expect(read([5, 5, 5, 5]).pick(none, [], 2)).toEqual([2, 3])
})

test('their number is limited, the oldest go; reading one again makes it new', () => {
  const suggest = read([5, 5, 5, 5], 3)
  expect(suggest.pick(none, [], 10)).toEqual([1, 2, 3])
  suggest.pieceRead(1, 5, 3)
  expect(suggest.pick(none, [], 10)).toEqual([2, 3, 1])
  suggest.pieceLost(3)
  expect(suggest.pick(none, [], 10)).toEqual([2, 1])
  suggest.pieceRead(9, 5, 0)
  expect(suggest.size).toBe(0)
})
