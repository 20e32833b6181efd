import { expect, test } from 'vitest'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { NO_PIECE, SuperSeedView } from '../../../src/peer/super-seed-view.ts'
import { pieceToSuperSeed } from '../../../src/torrent/super-seeding.ts'

const bits = (text: string) => Bitfield.from([...text].map(c => c === '*'))
const peer = (text: string | 'all', ...shown: number[]) => {
  const superSeed = new SuperSeedView()
  for (const piece of shown) superSeed.show(piece)
  return { pieces: text === 'all' ? ('all' as const) : bits(text), superSeed }
}

test('a peer may ask for the piece it is shown and for the one before', () => {
  const view = new SuperSeedView()
  expect([view.active, view.shows(NO_PIECE)]).toEqual([false, false])
  view.show(4)
  expect([view.active, view.shows(4), view.shows(5)]).toEqual([true, true, false])
  view.show(5)
  view.show(6)
  expect([4, 5, 6].map(p => view.shows(p))).toEqual([false, true, true])
  expect([view.end(), view.end(), view.shows(6)]).toEqual([true, false, false])
})

test('the piece a peer has got by now makes way first', () => {
  const view = new SuperSeedView()
  view.show(4)
  view.show(5)
  view.show(6, 5)
  expect([4, 5, 6].map(p => view.shows(p))).toEqual([true, false, true])
})

test('a peer is shown the rarest piece it lacks', () => {
  const peers = [peer('**  '), peer('* * '), peer('*** ')]
  expect(pieceToSuperSeed(4, bits('    '), peers, new SeededRng(1))).toBe(3)
  expect(pieceToSuperSeed(4, bits('   *'), peers, new SeededRng(1))).not.toBe(0)
})

test('what others are being shown comes last', () => {
  const peers = [peer('   ', 1), peer('*  ', 2)]
  expect(pieceToSuperSeed(3, bits('   '), peers, new SeededRng(1))).toBe(0)
  expect([1, 2]).toContain(pieceToSuperSeed(3, bits('*  '), peers, new SeededRng(1)))
})

test('of equally rare ones each is as likely', () => {
  const count = new Map<number, number>()
  const rng = new SeededRng(3)
  for (let i = 0; i < 400; i++) {
    const piece = pieceToSuperSeed(4, bits('*   '), [peer('all')], rng)
    count.set(piece, (count.get(piece) ?? 0) + 1)
  }
  expect([...count.keys()].sort()).toEqual([1, 2, 3])
  for (const n of count.values()) expect(n).toBeGreaterThan(90)
})

test('a peer that has everything is shown nothing', () => {
  expect(pieceToSuperSeed(2, 'all', [], new SeededRng(1))).toBe(NO_PIECE)
  expect(pieceToSuperSeed(2, bits('**'), [], new SeededRng(1))).toBe(NO_PIECE)
})
