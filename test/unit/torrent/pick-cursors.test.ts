import { expect, test } from 'vitest'
import { SeededRng } from '../../../src/core/rng.ts'
import { PickCursors } from '../../../src/torrent/pick-cursors.ts'
import { FLUSHED, PieceMap } from '../../../src/torrent/piece-map.ts'

/** `*` is had, `-` filtered, anything else to be picked. */
function cursorsOf(pieces: string): { map: PieceMap; cursors: PickCursors; at: () => [number, number] } {
  const map = new PieceMap(pieces.length, new SeededRng(1))
  const cursors = new PickCursors(map)
  ;[...pieces].forEach((c, i) => {
    if (c === '*') map.place[i] = FLUSHED
    else if (c === '-') map.priority[i] = 0
    else return
    cursors.tighten(i)
    cursors.checkInvariant()
  })
  return { map, cursors, at: () => [cursors.cursor, cursors.reverseCursor] }
}

test.each([
  ['......', [0, 6]],
  ['**..-*', [2, 4]],
  ['.****.', [0, 6]],
  ['*-.*-*', [2, 3]],
  ['**--**', [6, 0]],
] as const)('what is had or filtered at either end of %s is left out', (pieces, expected) => {
  expect(cursorsOf(pieces).at()).toEqual(expected)
})

test('a piece to be picked again widens them, also when everything was done', () => {
  const { map, cursors, at } = cursorsOf('******')
  map.place[3] = 0
  cursors.widen(3)
  expect(at()).toEqual([3, 4])
  map.place[1] = 0
  cursors.widen(1)
  expect(at()).toEqual([1, 4])
  cursors.checkInvariant()
})

test.each([
  [2, 4, [2, 5]],
  [0, 2, [1, 3]],
  [0, 0, [6, 0]],
  [3, 5, [3, 5]],
] as const)('the range from %i to %i of *....* begins and ends with pieces to be picked', (first, last, expected) => {
  const { cursors, at } = cursorsOf('*....*')
  cursors.setRange(first, last)
  expect(at()).toEqual(expected)
  cursors.checkInvariant()
})
