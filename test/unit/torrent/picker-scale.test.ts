import { expect, test } from 'vitest'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { newPickerLoops, PickOption } from '../../../src/torrent/pick-blocks.ts'
import { PiecePicker } from '../../../src/torrent/piece-picker.ts'

const BLOCK = 16384
const PIECES = 1_000_000

function large() {
  const loops = newPickerLoops()
  const picker = new PiecePicker(PIECES * BLOCK * 2, BLOCK * 2, new SeededRng(1), loops)
  return { picker, loops }
}

test('a million pieces: an announced piece changes the order without a rebuild', () => {
  const { picker } = large()
  picker.addPeerPieces('all')
  picker.map.freshen()
  const rng = new SeededRng(2)
  for (let i = 0; i < 1000; i++) picker.incRefcount(rng.below(PIECES))
  for (let i = 0; i < 1000; i++) picker.weHave(rng.below(PIECES))
  const few = new Bitfield(PIECES)
  for (let i = 0; i < 40; i++) few.setBit(i * 1000)
  picker.addPeerPieces(few)
  picker.removePeerPieces(few)
  expect(picker.map.dirty).toBe(false)
  picker.map.checkInvariant()
})

test('a million pieces: a pick looks at no more pieces than it needs', () => {
  const { picker, loops } = large()
  picker.addPeerPieces('all')
  picker.pickBlocks('all', 32, 0, 1, PickOption.rarestFirst, [], [], 10)
  expect(loops.rare).toBeLessThanOrEqual(32)
  // Nor from a peer that has little to offer.
  const few = new Bitfield(PIECES)
  for (let i = 0; i < 40; i++) few.setBit(i * 20_000)
  loops.rare = 0
  const out: number[] = []
  picker.pickBlocks(few, 100, 0, 1, PickOption.rarestFirst, out, [], 10)
  expect(out).toHaveLength(80)
  expect(loops.rare).toBeLessThan(5000)
})

test('a million pieces: in sequence and at random, what a peer lacks is skipped in bulk', () => {
  const { picker, loops } = large()
  const few = new Bitfield(PIECES)
  for (const piece of [3, 500_000, 999_999]) few.setBit(piece)
  picker.addPeerPieces(few)
  for (const options of [PickOption.sequential, PickOption.sequential | PickOption.reverse, 0]) {
    loops.sequential = 0
    loops.randStart = 0
    const out: number[] = []
    picker.pickBlocks(few, 100, 0, 1, options, out, [], 10)
    const pieces = [...new Set(out.map(id => picker.pieceOf(id)))]
    if (options !== 0)
      expect(pieces).toEqual(options & PickOption.reverse ? [999_999, 500_000, 3] : [3, 500_000, 999_999])
    else expect(pieces.sort((a, b) => a - b)).toEqual([3, 500_000, 999_999])
    expect(loops.sequential + loops.randStart).toBeLessThan(PIECES / 8 + 100)
  }
})

test('a million pieces: the picker takes some ten bytes for each', () => {
  const { picker } = large()
  picker.map.freshen()
  const { map } = picker
  const bytes =
    map.peerCount.byteLength +
    map.state.byteLength +
    map.priority.byteLength +
    map.place.byteLength +
    map.order.byteLength +
    map.wanted.byteLength +
    picker.counts.haveBits().data().byteLength
  expect(bytes / PIECES).toBeLessThan(13)
})
