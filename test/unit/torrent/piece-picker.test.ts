import { describe, expect, test } from 'vitest'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { PickerFlags } from '../../../src/core/enums.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { BlockState } from '../../../src/torrent/downloading-pieces.ts'
import { type BlockId, PickOption, type PickOptions } from '../../../src/torrent/pick-blocks.ts'
import { distributedCopies, viewBlocks, viewDownloads, viewPiece } from '../../../src/torrent/picker-views.ts'
import type { PeerPieces } from '../../../src/torrent/piece-map.ts'
import { PiecePicker } from '../../../src/torrent/piece-picker.ts'

const BLOCK = 16384
/** Blocks a piece in these tests. */
const PER_PIECE = 4
const PIECE = PER_PIECE * BLOCK
const { rarestFirst, sequential, reverse, prioritizePartials, onParole, pieceExtentAffinity } = PickOption

/** `*` has it, anything else does not. */
function bits(text: string): Bitfield {
  return Bitfield.from([...text].map(c => c === '*'))
}

interface Setup {
  /** A digit a piece: peers that have it. */
  availability?: string
  have?: string
  /** A digit a piece. */
  priority?: string
  seed?: number
  lastPieceBlocks?: number
}

function setup(pieces: number, { availability, have, priority, seed = 1, lastPieceBlocks = PER_PIECE }: Setup = {}) {
  const size = (pieces - 1) * PIECE + lastPieceBlocks * BLOCK
  const picker = new PiecePicker(size, PIECE, new SeededRng(seed))
  for (let i = 0; i < pieces; i++) {
    for (let n = Number(availability?.[i] ?? 0); n > 0; n--) picker.incRefcount(i)
    if (priority !== undefined) picker.setPiecePriority(i, Number(priority[i]))
    if (have?.[i] === '*') picker.weHave(i)
  }
  picker.checkInvariant()
  return picker
}

function pick(
  picker: PiecePicker,
  pieces: PeerPieces,
  count: number,
  options: PickOptions = rarestFirst,
  more: { contiguous?: number; peer?: number; suggested?: number[]; numPeers?: number } = {},
) {
  const ids: BlockId[] = []
  const { contiguous = 0, peer = 1, suggested = [], numPeers = 20 } = more
  const flags = picker.pickBlocks(pieces, count, contiguous, peer, options, ids, suggested, numPeers)
  picker.checkInvariant()
  const blocks = ids.map(id => [picker.pieceOf(id), picker.blockOf(id)] as const)
  expect(new Set(ids).size, 'no block is picked twice').toBe(ids.length)
  for (const [piece] of blocks) {
    expect(pieces === 'all' || pieces.getBit(piece), `peer has ${piece}`).toBe(true)
    expect(picker.isWanted(piece), `${piece} is wanted`).toBe(true)
  }
  return { blocks, pieces: [...new Set(blocks.map(b => b[0]))], flags }
}

/** Marks all blocks of a piece as written, and the piece as had. */
function complete(picker: PiecePicker, piece: number, peer = 1) {
  for (let b = 0; b < picker.blocksInPiece(piece); b++) {
    picker.markAsDownloading(piece, b, peer)
    picker.markAsWriting(piece, b, peer)
    picker.markAsFinished(piece, b, peer)
  }
  picker.weHave(piece)
  picker.checkInvariant()
}

describe('rarest first', () => {
  test('the piece fewest peers have is picked first', () => {
    const picker = setup(5, { availability: '33133' })
    expect(pick(picker, bits('*****'), 1).blocks).toEqual([[2, 0]])
  })

  test('pieces the peer lacks, pieces had and filtered pieces are never picked', () => {
    const picker = setup(6, { availability: '111111', have: '*     ', priority: '404444' })
    expect(pick(picker, bits('***  *'), 100).pieces.sort()).toEqual([2, 5])
  })

  test('pieces that nobody was counted for are not picked', () => {
    const picker = setup(3, { availability: '010' })
    expect(pick(picker, 'all', 100).pieces).toEqual([1])
  })

  test('equally rare pieces come in random order', () => {
    const first = new Set<number>()
    for (let seed = 0; seed < 200; seed++) {
      first.add(pick(setup(8, { availability: '11111111', seed }), 'all', 1).pieces[0]!)
    }
    expect(first.size).toBe(8)
  })

  test('a seed makes every piece pickable without changing their order', () => {
    const picker = setup(4, { availability: '3021' })
    picker.addPeerPieces('all')
    expect(pick(picker, 'all', 16).pieces).toEqual([1, 3, 2, 0])
    picker.removePeerPieces('all')
    expect(pick(picker, 'all', 16).pieces).toEqual([3, 2, 0])
  })

  test('reverse picks the most common piece first', () => {
    const picker = setup(4, { availability: '1423' })
    const { pieces, flags } = pick(picker, 'all', 16, rarestFirst | reverse)
    expect(pieces).toEqual([1, 3, 2, 0])
    expect(flags & PickerFlags.reverseRarestFirst).not.toBe(0)
  })

  test('priority outweighs rarity by its distance from the top', () => {
    // rank is (availability + 1) * (8 - priority)
    const picker = setup(3, { availability: '231', priority: '174' })
    expect(pick(picker, 'all', 12).pieces).toEqual([1, 2, 0])
  })

  test('a change of availability reorders the pieces at once', () => {
    const picker = setup(3, { availability: '123' })
    expect(pick(picker, 'all', 1).pieces).toEqual([0])
    picker.incRefcount(0)
    picker.incRefcount(0)
    expect(pick(picker, 'all', 1).pieces).toEqual([1])
    picker.decRefcount(2)
    picker.decRefcount(2)
    expect(pick(picker, 'all', 1).pieces).toEqual([2])
  })

  test('the order of a peer with few pieces in a large torrent is the order of the full scan', () => {
    const count = 20_000
    const picker = new PiecePicker(count * PIECE, PIECE, new SeededRng(4))
    picker.addPeerPieces('all')
    const few = new Bitfield(count)
    for (const [i, piece] of [19_999, 7, 12_345, 600, 15_000].entries()) {
      few.setBit(piece)
      for (let n = 0; n < 2 + i; n++) picker.incRefcount(piece)
    }
    // Their availability puts all of them far behind the first pieces of the order.
    expect(pick(picker, few, 100).pieces).toEqual([19_999, 7, 12_345, 600, 15_000])
  })
})

describe('pieces in flight', () => {
  test('the rest of a piece in flight goes before an open piece that is as rare', () => {
    for (let seed = 0; seed < 20; seed++) {
      const picker = setup(6, { availability: '222222', seed })
      picker.markAsDownloading(3, 0, 1)
      expect(pick(picker, 'all', 3).blocks).toEqual([
        [3, 1],
        [3, 2],
        [3, 3],
      ])
    }
  })

  test('a rarer open piece goes before a piece in flight', () => {
    const picker = setup(3, { availability: '212' })
    picker.markAsDownloading(0, 0, 1)
    expect(pick(picker, 'all', 1).pieces).toEqual([1])
  })

  test('prioritize-partials finishes pieces in flight first, rarest first, then the nearest to complete', () => {
    const picker = setup(5, { availability: '13221' })
    picker.markAsDownloading(1, 0, 1)
    picker.markAsDownloading(2, 0, 1)
    picker.markAsDownloading(3, 0, 1)
    picker.markAsDownloading(3, 1, 1)
    const { pieces, flags } = pick(picker, 'all', 8, rarestFirst | prioritizePartials)
    expect(pieces).toEqual([3, 2, 1])
    expect(flags & PickerFlags.rarestFirstPartials).not.toBe(0)
  })

  test('with more than one and a half pieces in flight per peer, those are finished first', () => {
    const picker = setup(6, { availability: '133331' })
    for (const piece of [1, 2]) picker.markAsDownloading(piece, 0, 2)
    expect(pick(picker, 'all', 1, rarestFirst, { numPeers: 2 }).pieces).not.toContain(1)
    const { pieces, flags } = pick(picker, 'all', 6, rarestFirst, { numPeers: 1 })
    expect(pieces.sort()).toEqual([1, 2])
    expect(flags & PickerFlags.partialRatio).not.toBe(0)
  })

  test('a peer that wants a run of blocks leaves a piece others are on for the last', () => {
    const picker = setup(3, { availability: '122' })
    picker.markAsDownloading(0, 1, 2)
    expect(pick(picker, 'all', 4, rarestFirst, { contiguous: PER_PIECE }).pieces).not.toContain(0)
    // Without anything else it takes what there is.
    const { blocks, flags } = pick(picker, bits('*  '), 2, rarestFirst, { contiguous: PER_PIECE })
    expect(blocks.every(([piece]) => piece === 0)).toBe(true)
    expect(blocks).toHaveLength(2)
    expect(flags & PickerFlags.backup1).not.toBe(0)
  })

  test('wanting a run starts at the longest run of open blocks', () => {
    const picker = setup(1, { availability: '1' })
    picker.markAsDownloading(0, 1, 1)
    expect(pick(picker, 'all', 2, rarestFirst, { contiguous: 2 }).blocks.slice(0, 2)).toEqual([
      [0, 2],
      [0, 3],
    ])
  })

  test('a peer on parole only gets pieces nobody else has a part in', () => {
    const picker = setup(3, { availability: '111' })
    picker.markAsDownloading(0, 0, 2)
    picker.markAsDownloading(1, 0, 1)
    const { pieces } = pick(picker, bits('** '), 10, rarestFirst | onParole | prioritizePartials, { peer: 1 })
    expect(pieces).toEqual([1])
  })

  test('a peer on parole also gets pieces of which each block is judged by itself', () => {
    const picker = setup(3, { availability: '111' })
    picker.markAsDownloading(0, 0, 2)
    picker.markAsDownloading(2, 0, 2)
    const asked = () => pick(picker, bits('* *'), 10, rarestFirst | onParole | prioritizePartials, { peer: 1 }).pieces
    expect(asked()).toEqual([])
    picker.judgedByBlock = piece => piece === 2
    expect(asked()).toEqual([2])
  })

  test('pieces asked of slow peers only rank behind open ones, until a fast peer joins', () => {
    const picker = setup(3, { availability: '222' })
    picker.markAsDownloading(1, 0, 1, reverse)
    expect(pick(picker, 'all', 8).pieces).not.toContain(1)
    picker.markAsDownloading(1, 1, 2)
    expect(pick(picker, 'all', 1).blocks).toEqual([[1, 2]])
  })

  test('a locked piece is not picked from until it is restored', () => {
    const picker = setup(2, { availability: '12' })
    complete(picker, 1)
    for (let b = 0; b < PER_PIECE; b++) picker.markAsWriting(0, b, 7)
    picker.lockPiece(0)
    picker.writeFailed(0, 0)
    expect(pick(picker, 'all', 10).blocks).toEqual([])
    picker.restorePiece(0)
    expect(pick(picker, 'all', 10).blocks).toHaveLength(PER_PIECE)
  })
})

describe('sequential', () => {
  test('pieces come in order of index, from the first one missing', () => {
    const picker = setup(6, { availability: '543211', have: '*     ' })
    expect(pick(picker, 'all', 12, sequential).pieces).toEqual([1, 2, 3])
  })

  test('reverse starts at the last one missing', () => {
    const picker = setup(6, { availability: '111111', have: '     *' })
    const { pieces, flags } = pick(picker, 'all', 12, sequential | reverse)
    expect(pieces).toEqual([4, 3, 2])
    expect(flags & PickerFlags.reverseSequential).not.toBe(0)
  })

  test('pieces of top priority go before the sequence', () => {
    const picker = setup(6, { availability: '111111', priority: '444474' })
    expect(pick(picker, 'all', 8, sequential).pieces).toEqual([4, 0])
  })

  test('a range limits the sequence, and what is outside comes after it', () => {
    const picker = setup(6, { availability: '111111' })
    picker.cursors.setRange(2, 3)
    expect(pick(picker, 'all', 8, sequential).pieces).toEqual([2, 3])
    expect(pick(picker, 'all', 24, sequential).pieces).toHaveLength(6)
  })

  test('the cursors enclose what is neither had nor filtered', () => {
    const picker = setup(5)
    const cursors = () => [picker.cursors.cursor, picker.cursors.reverseCursor]
    expect(cursors()).toEqual([0, 5])
    picker.weHave(0)
    picker.weHave(3)
    expect(cursors()).toEqual([1, 5])
    picker.setPiecePriority(4, 0)
    expect(cursors()).toEqual([1, 3])
    picker.setPiecePriority(1, 0)
    picker.weHave(2)
    expect(cursors()).toEqual([5, 0])
    picker.checkInvariant()
    picker.setPiecePriority(4, 1)
    expect(cursors()).toEqual([4, 5])
    picker.weDontHave(0)
    expect(cursors()).toEqual([0, 5])
    picker.checkInvariant()
  })
})

describe('other ways to pick', () => {
  test('with neither rarest-first nor sequential, pieces are random and no block is left out', () => {
    const first = new Set<number>()
    for (let seed = 0; seed < 60; seed++) {
      const picker = setup(5, { availability: '99999', seed })
      const { pieces, blocks, flags } = pick(picker, 'all', 100, 0)
      expect(blocks).toHaveLength(5 * PER_PIECE)
      expect(flags & PickerFlags.randomPieces).not.toBe(0)
      first.add(pieces[0]!)
    }
    expect(first.size).toBe(5)
  })

  test('suggested pieces go first', () => {
    const picker = setup(5, { availability: '12345' })
    const { pieces, flags } = pick(picker, 'all', 12, rarestFirst, { suggested: [3, 4, 99] })
    expect(pieces).toEqual([3, 4, 0])
    expect(flags & PickerFlags.suggestedPieces).not.toBe(0)
  })

  test('a suggested piece the peer does not have, or we do, is passed over', () => {
    const picker = setup(5, { availability: '12345', have: '  *  ' })
    expect(pick(picker, bits('**** '), 4, rarestFirst, { suggested: [4, 2] }).pieces).toEqual([0])
  })

  test('preferring whole pieces takes neighbours too, and all of their blocks', () => {
    const picker = setup(8, { availability: '22212222' })
    const { pieces, blocks } = pick(picker, 'all', 1, rarestFirst, { contiguous: 3 * PER_PIECE })
    expect(pieces).toEqual([1, 2, 3])
    expect(blocks).toHaveLength(3 * PER_PIECE)
  })

  test('aligned runs do not cross a multiple of their length', () => {
    const picker = setup(8, { availability: '22222122' })
    const options = rarestFirst | PickOption.alignExpandedPieces
    expect(pick(picker, 'all', 1, options, { contiguous: 4 * PER_PIECE }).pieces).toEqual([4, 5, 6, 7])
  })

  test('a run stops at pieces that are had or in flight', () => {
    const picker = setup(6, { availability: '222122', have: '*     ' })
    picker.markAsDownloading(1, 0, 9)
    expect(pick(picker, 'all', 1, rarestFirst, { contiguous: 4 * PER_PIECE }).pieces).toEqual([2, 3, 4, 5])
  })

  test('extent affinity prefers pieces near those opened lately', () => {
    const pieces = 200
    const picker = new PiecePicker(pieces * PIECE, PIECE, new SeededRng(3))
    picker.addPeerPieces('all')
    picker.markAsDownloading(70, 0, 1, pieceExtentAffinity)
    // An extent is 256 blocks, so 64 pieces here.
    const { pieces: picked, flags } = pick(picker, 'all', 63 * PER_PIECE, rarestFirst | pieceExtentAffinity)
    expect(picked.every(p => p >= 64 && p < 128)).toBe(true)
    expect(flags & PickerFlags.extentAffinity).not.toBe(0)
  })

  test('extents of mixed priority are not kept together', () => {
    const pieces = 200
    const picker = new PiecePicker(pieces * PIECE, PIECE, new SeededRng(3))
    picker.addPeerPieces('all')
    picker.setPiecePriority(80, 5)
    picker.markAsDownloading(70, 0, 1, pieceExtentAffinity)
    expect(pick(picker, 'all', 8, rarestFirst | pieceExtentAffinity).flags & PickerFlags.extentAffinity).toBe(0)
  })
})

describe('end game', () => {
  function full() {
    const picker = setup(2, { availability: '22', have: '* ' })
    for (let b = 0; b < PER_PIECE; b++) picker.markAsDownloading(1, b, b < 2 ? 1 : 2)
    return picker
  }

  test('with no open block left, one that somebody else is asked for is given', () => {
    const { blocks, flags } = pick(full(), 'all', 5, rarestFirst, { peer: 1 })
    expect(blocks).toHaveLength(1)
    expect(blocks[0]![1]).toBeGreaterThanOrEqual(2)
    expect(flags & PickerFlags.endGame).not.toBe(0)
  })

  test('a block is not given again to the peer it is asked from', () => {
    const picker = setup(1, { availability: '1' })
    for (let b = 0; b < PER_PIECE; b++) picker.markAsDownloading(0, b, 1)
    expect(pick(picker, 'all', 5, rarestFirst, { peer: 1 }).blocks).toEqual([])
  })

  test('blocks that have arrived are not given', () => {
    const picker = full()
    for (let b = 0; b < 3; b++) picker.markAsWriting(1, b, 1)
    expect(pick(picker, 'all', 5, rarestFirst, { peer: 1 }).blocks).toEqual([[1, 3]])
    picker.markAsWriting(1, 3, 2)
    expect(pick(picker, 'all', 5, rarestFirst, { peer: 1 }).blocks).toEqual([])
  })

  test('peers on parole take no part', () => {
    expect(pick(full(), 'all', 5, rarestFirst | onParole, { peer: 1 }).blocks).toEqual([])
  })

  test('a block asked from two is open again when both gave it up', () => {
    const picker = full()
    picker.markAsDownloading(1, 0, 2)
    expect(picker.numPeers(1, 0)).toBe(2)
    picker.abortDownload(1, 0, 1)
    expect(picker.isRequested(1, 0)).toBe(true)
    picker.abortDownload(1, 0, 2)
    expect(picker.isRequested(1, 0)).toBe(false)
    expect(pick(picker, 'all', 1, rarestFirst, { peer: 3 }).blocks).toEqual([[1, 0]])
  })

  test('a block that arrives twice is redundant the second time', () => {
    const picker = full()
    picker.markAsDownloading(1, 0, 2)
    expect(picker.markAsWriting(1, 0, 2)).toBe(true)
    expect(picker.numPeers(1, 0)).toBe(0)
    expect(picker.markAsWriting(1, 0, 1)).toBe(false)
    expect(picker.downloader(1, 0)).toBe(2)
  })
})

describe('blocks', () => {
  test('go from open over requested and in memory to on disk', () => {
    const picker = setup(2, { availability: '11' })
    const state = () => picker.blockState(0, 2)
    expect(state()).toBe(BlockState.none)
    expect(picker.markAsDownloading(0, 2, 5)).toBe(true)
    expect([state(), picker.numPeers(0, 2), picker.downloader(0, 2)]).toEqual([BlockState.requested, 1, 5])
    expect(picker.markAsWriting(0, 2, 5)).toBe(true)
    expect([state(), picker.isDownloaded(0, 2)]).toEqual([BlockState.writing, true])
    expect(picker.markAsDownloading(0, 2, 6)).toBe(false)
    picker.markAsFinished(0, 2)
    expect([state(), picker.isDownloaded(0, 2), picker.downloader(0, 2)]).toEqual([BlockState.finished, true, 5])
    picker.checkInvariant()
    expect(picker.downloaders(0)).toEqual([0, 0, 5, 0])
  })

  test('a request given up before anything came leaves no trace', () => {
    const picker = setup(2, { availability: '11' })
    picker.markAsDownloading(1, 0, 5)
    expect(picker.downloadQueueSize()).toBe(1)
    picker.abortDownload(1, 0, 5)
    expect(picker.downloadQueueSize()).toBe(0)
    expect(picker.isDownloading(1)).toBe(false)
    picker.checkInvariant()
  })

  test('giving up a request by a peer that is no longer the last asked keeps the attribution', () => {
    const picker = setup(1, { availability: '2' })
    picker.markAsDownloading(0, 0, 5)
    picker.markAsDownloading(0, 0, 6)
    picker.abortDownload(0, 0, 5)
    expect(picker.downloader(0, 0)).toBe(6)
    picker.checkInvariant()
  })

  test('a failed write opens the block and locks the piece', () => {
    const picker = setup(1, { availability: '1' })
    for (let b = 0; b < PER_PIECE; b++) picker.markAsWriting(0, b, 5)
    picker.writeFailed(0, 1)
    expect([picker.havePiece(0), viewPiece(picker, 0).locked, picker.counts.numWantLeft()]).toEqual([false, true, 1])
    picker.checkInvariant()
  })

  test('a peer that goes is forgotten in all attributions', () => {
    const picker = setup(2, { availability: '11' })
    picker.markAsWriting(0, 0, 5)
    picker.markAsWriting(0, 1, 6)
    picker.markAsWriting(1, 0, 5)
    picker.clearPeer(5)
    expect(picker.downloaders(0)).toEqual([0, 6, 0, 0])
    expect(picker.downloader(1, 0)).toBe(0)
  })

  test('restoring some blocks keeps the others', () => {
    const picker = setup(1, { availability: '1' })
    for (let b = 0; b < PER_PIECE; b++) picker.markAsWriting(0, b, 5)
    picker.lockPiece(0)
    picker.restorePiece(0, [1, 3])
    expect(viewBlocks(picker, 0).map(b => b.state)).toEqual([2, 0, 2, 0])
    expect(pick(picker, 'all', 10).blocks).toEqual([
      [0, 1],
      [0, 3],
    ])
  })

  test('the last piece may have fewer blocks', () => {
    const picker = setup(2, { availability: '12', lastPieceBlocks: 1, have: '* ' })
    expect(picker.blocksInPiece(1)).toBe(1)
    expect(pick(picker, 'all', 10).blocks).toEqual([[1, 0]])
    complete(picker, 1)
    expect(picker.counts.isSeeding()).toBe(true)
  })

  test('a piece smaller than a block is one block', () => {
    const picker = new PiecePicker(2500, 1000, new SeededRng(1))
    picker.addPeerPieces('all')
    expect([picker.numPieces, picker.blocksPerPiece, picker.blockSize]).toEqual([3, 1, 1000])
    expect(pick(picker, 'all', 10).blocks).toHaveLength(3)
    expect(picker.counts.bytesOf(picker.counts.want())).toBe(2500)
  })
})

describe('queues', () => {
  test('a piece moves from partial over full to finished, and to zero priority', () => {
    const picker = setup(3, { availability: '111' })
    const sizes = () => picker.downloads.queues.map(queue => queue.length)
    picker.markAsDownloading(0, 0, 1)
    expect(sizes()).toEqual([1, 0, 0, 0])
    for (let b = 1; b < PER_PIECE; b++) picker.markAsDownloading(0, b, 1)
    expect(sizes()).toEqual([0, 1, 0, 0])
    picker.setPiecePriority(0, 0)
    expect(sizes()).toEqual([0, 0, 0, 1])
    picker.setPiecePriority(0, 4)
    expect(sizes()).toEqual([0, 1, 0, 0])
    for (let b = 0; b < PER_PIECE; b++) picker.markAsWriting(0, b, 1)
    expect(sizes()).toEqual([0, 0, 1, 0])
    picker.restorePiece(0)
    expect(sizes()).toEqual([0, 0, 0, 0])
    picker.checkInvariant()
  })

  test('the download queue lists pieces by queue, and by index inside it', () => {
    const picker = setup(5, { availability: '11111' })
    for (const piece of [4, 2, 3]) picker.markAsDownloading(piece, 0, 1)
    for (let b = 0; b < PER_PIECE; b++) picker.markAsDownloading(3, b, 2)
    expect(viewDownloads(picker).map(p => p.index)).toEqual([2, 4, 3])
    expect(viewDownloads(picker)[2]).toMatchObject({ requested: 4, finished: 0, writing: 0, blocksInPiece: 4 })
  })

  test('a whole piece is had when it is said to be, and no sooner', () => {
    const picker = setup(2, { availability: '11' })
    for (let b = 0; b < PER_PIECE; b++) picker.markAsFinished(0, b, 1)
    picker.startedHashJob(0)
    expect([picker.isPieceFinished(0), viewPiece(picker, 0).hashing, picker.havePiece(0)]).toEqual([true, true, false])
    picker.completedHashJob(0)
    picker.weHave(0)
    expect([picker.havePiece(0), picker.counts.numHave(), picker.downloadQueueSize()]).toEqual([true, 1, 0])
    expect(picker.counts.haveBits().getBit(0)).toBe(true)
    expect(picker.flushedBits().getBit(0)).toBe(true)
    picker.checkInvariant()
  })
})

describe('counts', () => {
  test('wanted, had and both are counted with filtered pieces apart', () => {
    const picker = setup(5, { have: '**   ', priority: '40404', lastPieceBlocks: 1 })
    expect(picker.counts.want()).toEqual({ numPieces: 3, padBytes: 0, lastPiece: true })
    expect(picker.counts.have()).toEqual({ numPieces: 2, padBytes: 0, lastPiece: false })
    expect(picker.counts.haveWant()).toEqual({ numPieces: 1, padBytes: 0, lastPiece: false })
    expect(picker.counts.bytesOf(picker.counts.want())).toBe(2 * PIECE + BLOCK)
    expect([picker.counts.numWantLeft(), picker.counts.isFinished(), picker.counts.isSeeding()]).toEqual([
      2,
      false,
      false,
    ])
    picker.setPiecePriority(2, 0)
    picker.setPiecePriority(4, 0)
    expect([picker.counts.numWantLeft(), picker.counts.isFinished(), picker.counts.isSeeding()]).toEqual([
      0,
      true,
      false,
    ])
  })

  test('padding is not downloaded and not counted', () => {
    const picker = setup(3, { availability: '111' })
    picker.setPadBytes(1, BLOCK + 10)
    picker.setPadBytes(2, PIECE)
    expect(picker.havePiece(2)).toBe(true)
    expect(picker.counts.numHave()).toBe(1)
    expect(picker.counts.bytesOf(picker.counts.have())).toBe(0)
    expect(picker.counts.bytesOf(picker.counts.want())).toBe(2 * PIECE - BLOCK - 10)
    // Only a block that is padding throughout is left out.
    expect(pick(picker, bits(' * '), 10).blocks).toHaveLength(PER_PIECE - 1)
    for (let b = 0; b < 3; b++) picker.markAsWriting(1, b, 1)
    expect(picker.isPieceFinished(1)).toBe(true)
    picker.setPiecePriority(1, 0)
    expect(picker.counts.bytesOf(picker.counts.want())).toBe(PIECE)
    picker.checkInvariant()
  })

  test('a piece with padding leaves no trace when its requests are given up', () => {
    const picker = setup(2, { availability: '11' })
    picker.setPadBytes(0, BLOCK)
    picker.markAsDownloading(0, 0, 1)
    picker.abortDownload(0, 0, 1)
    expect(picker.downloadQueueSize()).toBe(0)
    picker.checkInvariant()
  })

  test('a piece that is lost is wanted again', () => {
    const picker = setup(3, { availability: '111', have: '***' })
    expect(picker.counts.isSeeding()).toBe(true)
    picker.weDontHave(1)
    expect([picker.counts.numHave(), picker.cursors.cursor, picker.cursors.reverseCursor]).toEqual([2, 1, 2])
    expect(pick(picker, 'all', 1).pieces).toEqual([1])
  })

  test('having everything ends all that is in flight', () => {
    const picker = setup(3, { availability: '111', priority: '044' })
    picker.markAsDownloading(1, 0, 1)
    picker.weHaveAll()
    picker.checkInvariant()
    expect([picker.counts.isSeeding(), picker.downloadQueueSize(), picker.counts.haveBits().allSet()]).toEqual([
      true,
      0,
      true,
    ])
    expect(picker.counts.haveWant().numPieces).toBe(2)
    expect(picker.isInteresting('all')).toBe(false)
  })

  test('distributed copies count whole copies, ours too, and what there is of the next', () => {
    const picker = setup(4, { availability: '2312', have: '  * ' })
    expect(distributedCopies(picker.map)).toEqual([2, 250])
    picker.addPeerPieces('all')
    expect(distributedCopies(picker.map)).toEqual([3, 250])
  })

  test('a peer is interesting if it has a piece that is wanted and not had', () => {
    const picker = setup(9, { have: '*        ', priority: '404444444' })
    expect(picker.isInteresting(bits('**       '))).toBe(false)
    expect(picker.isInteresting(bits('        *'))).toBe(true)
    expect(picker.isInteresting('all')).toBe(true)
    picker.setPiecePriority(1, 1)
    expect(picker.isInteresting(bits('**       '))).toBe(true)
  })
})

describe('availability', () => {
  test('counts haves, bitfields and seeds', () => {
    const picker = setup(4)
    picker.addPeerPieces(bits('** *'))
    picker.addPeerPieces(bits('****'))
    picker.addPeerPieces('all')
    picker.incRefcount(2)
    expect(picker.availabilities()).toEqual([3, 3, 3, 3])
    expect(picker.map.seeds).toBe(2)
    picker.removePeerPieces(bits('****'))
    picker.removePeerPieces('all')
    expect(picker.availabilities()).toEqual([1, 1, 1, 1])
    picker.checkInvariant()
  })

  test('a seed that loses a piece is counted piece by piece', () => {
    const picker = setup(3)
    picker.addPeerPieces('all')
    picker.addPeerPieces('all')
    picker.decRefcount(1)
    expect(picker.availabilities()).toEqual([2, 1, 2])
    picker.removePeerPieces(bits('* *'))
    expect(picker.availabilities()).toEqual([1, 1, 1])
    picker.checkInvariant()
  })

  test('a peer that became a seed by haves may leave as one', () => {
    const picker = setup(3)
    for (let i = 0; i < 3; i++) picker.incRefcount(i)
    picker.removePeerPieces('all')
    expect(picker.availabilities()).toEqual([0, 0, 0])
    picker.checkInvariant()
  })
})

test('sizes that are no sizes are refused', () => {
  expect(() => new PiecePicker(0, 1, new SeededRng(1))).toThrow(RangeError)
  expect(() => new PiecePicker(10, 0, new SeededRng(1))).toThrow(RangeError)
  expect(() => new PiecePicker(1e12, 32768 * BLOCK, new SeededRng(1))).toThrow(RangeError)
})

describe('a run of blocks', () => {
  test("is one peer's only while each of them is asked from that peer and nobody else", () => {
    const picker = setup(2, { availability: '11' })
    expect(picker.isRunRequested(0, 0, 2, 1)).toBe(false)
    for (let b = 0; b < 3; b++) picker.markAsDownloading(0, b, 1)
    expect([picker.isRunRequested(0, 0, 3, 1), picker.isRunRequested(0, 0, 4, 1)]).toEqual([true, false])
    expect(picker.isRunRequested(0, 0, 3, 2)).toBe(false)
    picker.markAsDownloading(0, 1, 2)
    expect([picker.isRunRequested(0, 0, 2, 1), picker.isRunRequested(0, 2, 1, 1)]).toEqual([false, true])
    picker.weHave(1)
    expect(picker.isRunRequested(1, 0, 1, 1)).toBe(false)
  })

  test('that has arrived is the same as its blocks one by one', () => {
    const [runs, blocks] = [setup(1, { availability: '1' }), setup(1, { availability: '1' })]
    for (const picker of [runs, blocks]) for (let b = 0; b < PER_PIECE; b++) picker.markAsDownloading(0, b, 1)
    runs.markRunAsWriting(0, 0, 3, 1)
    for (let b = 0; b < 3; b++) blocks.markAsWriting(0, b, 1)
    for (const picker of [runs, blocks]) {
      picker.checkInvariant()
      expect([0, 1, 2, 3].map(b => picker.blockState(0, b))).toEqual([
        BlockState.writing,
        BlockState.writing,
        BlockState.writing,
        BlockState.requested,
      ])
      expect(picker.isPieceFinished(0)).toBe(false)
    }
    runs.markRunAsWriting(0, 3, 1, 1)
    runs.checkInvariant()
    expect(runs.isPieceFinished(0)).toBe(true)
    expect(runs.downloaders(0)).toEqual([1, 1, 1, 1])
  })
})
