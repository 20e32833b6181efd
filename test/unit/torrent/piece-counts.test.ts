import { expect, test } from 'vitest'
import { SeededRng } from '../../../src/core/rng.ts'
import { PieceCounts } from '../../../src/torrent/piece-counts.ts'
import { PieceMap } from '../../../src/torrent/piece-map.ts'

const PIECES = 20
const LENGTH = 1000
const LAST = 300

function bytesIn(piece: number): number {
  return piece === PIECES - 1 ? LAST : LENGTH
}

/** What there is, piece by piece. */
class Model {
  readonly map = new PieceMap(PIECES, new SeededRng(1))
  readonly counts = new PieceCounts(this.map, LENGTH, LAST)
  readonly had = new Set<number>()
  readonly pad = new Map<number, number>()

  bytes(counted: (piece: number) => boolean): number {
    let sum = 0
    for (let i = 0; i < PIECES; i++) if (counted(i)) sum += bytesIn(i) - (this.pad.get(i) ?? 0)
    return sum
  }

  check(): void {
    const { counts, map, had } = this
    counts.checkInvariant()
    const wanted = (i: number) => map.priority[i] !== 0
    const pieces = Array.from({ length: PIECES }, (_, i) => i)
    expect(counts.bytesOf(counts.have())).toBe(this.bytes(i => had.has(i)))
    expect(counts.bytesOf(counts.want())).toBe(this.bytes(wanted))
    expect(counts.bytesOf(counts.haveWant())).toBe(this.bytes(i => had.has(i) && wanted(i)))
    expect(pieces.filter(i => counts.has(i))).toEqual([...had].sort((a, b) => a - b))
    expect(pieces.filter(i => map.isWanted(i))).toEqual(pieces.filter(i => wanted(i) && !had.has(i)))
    expect(counts.numHave()).toBe(had.size)
    expect(counts.numWantLeft()).toBe(pieces.filter(i => wanted(i) && !had.has(i)).length)
    expect(counts.isFinished()).toBe(counts.numWantLeft() === 0)
    expect(counts.isSeeding()).toBe(had.size === PIECES)
  }
}

test('counts of pieces, bytes and padding are what the pieces add up to, whatever comes when', () => {
  const rng = new SeededRng(7)
  const model = new Model()
  const { map, counts, had, pad } = model
  for (let step = 0; step < 2000; step++) {
    const piece = rng.below(PIECES)
    switch (rng.below(4)) {
      case 0:
        counts.gained(piece)
        had.add(piece)
        break
      case 1:
        counts.lost(piece)
        had.delete(piece)
        break
      case 2: {
        const priority = rng.below(2) * 4
        if ((map.priority[piece] === 0) !== (priority === 0)) {
          map.priority[piece] = priority
          counts.filterChanged(piece)
        }
        break
      }
      default:
        if (!pad.has(piece)) {
          pad.set(piece, rng.below(bytesIn(piece) + 1))
          counts.setPadBytes(piece, pad.get(piece)!)
        }
    }
    model.check()
  }
  counts.gainedAll()
  for (let i = 0; i < PIECES; i++) had.add(i)
  model.check()
})
