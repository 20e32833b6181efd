import { describe, expect, test } from 'vitest'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { PiecePicker } from '../../../src/torrent/piece-picker.ts'
import { TimeCritical, type TimeCriticalPeer } from '../../../src/torrent/time-critical.ts'

const BLOCK = 16384
const PER_PIECE = 4

class Peer implements TimeCriticalPeer {
  canRequestTimeCritical = true
  sent: string[] = []
  queued: string[] = []
  busy: string[] = []
  flushed = 0
  max = 100
  readonly #picker: PiecePicker
  readonly ref: number
  /** Milliseconds for a block. */
  readonly pace: number
  readonly pieces: Bitfield | 'all'

  constructor(picker: PiecePicker, ref: number, pace: number, pieces: Bitfield | 'all' = 'all') {
    this.#picker = picker
    this.ref = ref
    this.pace = pace
    this.pieces = pieces
    picker.addPeerPieces(pieces)
  }
  downloadQueueTime(extraBytes: number) {
    return (this.sent.length + this.queued.length + extraBytes / BLOCK) * this.pace
  }
  hasSent = (piece: number, block: number) => this.sent.includes(`${piece}:${block}`)
  hasQueued = (piece: number, block: number) => this.queued.includes(`${piece}:${block}`)
  makeTimeCritical = () => false
  addTimeCritical(piece: number, block: number, busy: boolean) {
    if (this.sent.length + this.queued.length >= this.max) return false
    this.#picker.markAsDownloading(piece, block, this.ref)
    this.queued.push(`${piece}:${block}`)
    if (busy) this.busy.push(`${piece}:${block}`)
    return true
  }
  sendRequests() {
    this.flushed++
    this.sent.push(...this.queued)
    this.queued = []
  }
}

const makePicker = (pieces = 10) => new PiecePicker(pieces * PER_PIECE * BLOCK, PER_PIECE * BLOCK, new SeededRng(1))

describe('deadlines', () => {
  test('are kept in order; setting one again moves it', () => {
    const critical = new TimeCritical()
    expect(critical.set(3, 300, 0)).toBe(true)
    expect(critical.set(1, 100, 0)).toBe(false)
    critical.set(2, 200, 0)
    critical.set(4, 200, 1)
    expect(critical.pieces().map(p => p.piece)).toEqual([1, 2, 4, 3])
    critical.set(3, 50, 1)
    expect(critical.pieces().map(p => [p.piece, p.deadline, p.flags])).toEqual([
      [3, 50, 1],
      [1, 100, 0],
      [2, 200, 0],
      [4, 200, 1],
    ])
    expect([critical.has(2), critical.has(9), critical.size]).toEqual([true, false, 4])
  })

  test('end with the piece, a reset, or all at once', () => {
    const critical = new TimeCritical()
    for (const piece of [1, 2, 3, 4]) critical.set(piece, piece, piece)
    expect(critical.pieceDone(1, 5)?.flags).toBe(1)
    expect(critical.pieceDone(1, 5)).toBeNull()
    expect(critical.reset(2)?.piece).toBe(2)
    expect(critical.clear(p => p === 4).map(p => p.piece)).toEqual([4])
    expect(critical.clear().map(p => p.piece)).toEqual([3])
    expect(critical.size).toBe(0)
  })
})

describe('requests', () => {
  test('each block goes to the peer that will deliver it soonest', () => {
    const picker = makePicker()
    const slow = new Peer(picker, 1, 300)
    const fast = new Peer(picker, 2, 100)
    const critical = new TimeCritical()
    critical.set(5, 1000, 0)
    critical.request([slow, fast], picker, 0)
    expect(fast.sent).toEqual(['5:0', '5:1', '5:2'])
    expect(slow.sent).toEqual(['5:3'])
    expect([fast.flushed, slow.flushed]).toEqual([1, 1])
    picker.checkInvariant()
  })

  test('peers that lack the piece, or cannot be asked now, are passed over', () => {
    const picker = makePicker()
    const lacks = new Peer(picker, 1, 1, new Bitfield(10))
    const chokes = new Peer(picker, 2, 1)
    chokes.canRequestTimeCritical = false
    const good = new Peer(picker, 3, 100)
    const critical = new TimeCritical()
    critical.set(5, 1000, 0)
    critical.request([lacks, chokes, good], picker, 0)
    expect([lacks.sent, chokes.sent, good.sent.length]).toEqual([[], [], 4])
  })

  test('no more than two seconds are queued with a peer', () => {
    const picker = makePicker()
    const peer = new Peer(picker, 1, 1500)
    const critical = new TimeCritical()
    critical.set(5, 0, 0)
    critical.request([peer], picker, 0)
    expect(peer.sent).toHaveLength(2)
  })

  test('the nearest deadline is served at any rate, later ones when they come near', () => {
    const picker = makePicker()
    const peer = new Peer(picker, 1, 1)
    const critical = new TimeCritical()
    critical.set(1, 100_000, 0)
    critical.set(2, 101_001, 0)
    critical.request([peer], picker, 0)
    expect(peer.sent).toHaveLength(4)
    critical.request([peer], picker, 100_001)
    expect(peer.sent.slice(4)).toEqual(['2:0', '2:1', '2:2', '2:3'])
  })

  test('a stalled piece is asked from others too, once more for each usual time that passes', () => {
    const picker = makePicker()
    const stalling = new Peer(picker, 1, 1)
    const critical = new TimeCritical()
    // A first piece tells what is usual: 1000 ms.
    critical.set(0, 0, 0)
    critical.request([stalling], picker, 0)
    for (let b = 0; b < PER_PIECE; b++) picker.markAsWriting(0, b, 1)
    picker.weHave(0)
    critical.pieceDone(0, 1000)
    critical.set(1, 2000, 0)
    critical.request([stalling], picker, 1000)
    expect(stalling.sent).toHaveLength(8)
    const other = new Peer(picker, 2, 100)
    critical.request([stalling, other], picker, 1500)
    expect(other.sent).toEqual([])
    critical.request([stalling, other], picker, 2000)
    expect(other.busy).toEqual(['1:0', '1:1', '1:2', '1:3'])
    critical.request([stalling, other], picker, 2100)
    expect(other.sent).toHaveLength(4)
    picker.checkInvariant()
  })

  test('pieces we have, and locked ones, are left alone', () => {
    const picker = makePicker()
    const peer = new Peer(picker, 1, 1)
    picker.weHave(3)
    for (let b = 0; b < PER_PIECE; b++) picker.markAsWriting(4, b, 1)
    picker.lockPiece(4)
    picker.writeFailed(4, 0)
    const critical = new TimeCritical()
    critical.set(3, 0, 0)
    critical.set(4, 0, 0)
    critical.request([peer], picker, 0)
    expect(peer.sent).toEqual([])
  })
})
