import { describe, expect, test } from 'vitest'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { PickOption } from '../../../src/torrent/pick-blocks.ts'
import { PiecePicker } from '../../../src/torrent/piece-picker.ts'
import {
  contiguousBlocksFor,
  pickOptionsFor,
  type RequestContext,
  type RequestingPeer,
  requestBlocks,
} from '../../../src/torrent/request-blocks.ts'

const BLOCK = 16384
const PER_PIECE = 4
type Mutable<T> = { -readonly [K in keyof T]: T[K] }

function context(pieces: number, fields: Partial<RequestContext> = {}): Mutable<RequestContext> {
  return {
    picker: new PiecePicker(pieces * PER_PIECE * BLOCK, PER_PIECE * BLOCK, new SeededRng(1)),
    numPeers: 10,
    isSequential: false,
    numTimeCritical: 0,
    wholePiecesThreshold: 20,
    initialPickerThreshold: 0,
    strictEndGameMode: true,
    pieceExtentAffinity: false,
    prioritizePartialPieces: false,
    ...fields,
  }
}

class Peer implements RequestingPeer {
  desiredQueueSize = 4
  isChoking = false
  allowedFast: number[] = []
  suggested: number[] = []
  preferContiguous = 0
  pickOptions = 0
  isSnubbed = false
  isOnParole = false
  downloadRate = 0
  endgame: boolean | null = null
  readonly requests: string[] = []
  readonly refuses = new Set<string>()
  readonly #picker: PiecePicker
  readonly ref: number
  readonly pieces: Bitfield | 'all'

  constructor(picker: PiecePicker, ref: number, pieces: Bitfield | 'all' = 'all') {
    this.#picker = picker
    this.ref = ref
    this.pieces = pieces
    picker.addPeerPieces(pieces)
  }
  get numRequests() {
    return this.requests.length
  }
  hasRequest(piece: number, block: number) {
    return this.requests.some(r => r.startsWith(`${piece}:${block}`))
  }
  addRequest(piece: number, block: number, busy: boolean, options = 0) {
    if (this.refuses.has(`${piece}:${block}`)) return false
    this.#picker.markAsDownloading(piece, block, this.ref, options)
    this.requests.push(`${piece}:${block}${busy ? '!' : ''}`)
    return true
  }
  setEndgame(on: boolean) {
    this.endgame = on
  }
}

describe('how to pick', () => {
  const c = context(10, { initialPickerThreshold: 2 })
  const options = (peer: Partial<Peer>, more: Partial<RequestContext> = {}) =>
    pickOptionsFor(Object.assign(new Peer(c.picker, 1), peer), { ...c, ...more })
  const { rarestFirst, sequential, reverse, prioritizePartials, onParole, pieceExtentAffinity } = PickOption

  test('the first pieces are random, and finished first', () => {
    expect(options({})).toBe(prioritizePartials)
    c.picker.weHave(0)
    c.picker.weHave(1)
    expect(options({})).toBe(rarestFirst)
  })

  test('sequential torrents, slow peers, peers on parole and web seeds each have their way', () => {
    expect(options({ isSnubbed: true }, { isSequential: true })).toBe(sequential)
    expect(options({ isSnubbed: true }, { pieceExtentAffinity: true })).toBe(rarestFirst | reverse)
    expect(options({}, { pieceExtentAffinity: true })).toBe(rarestFirst | pieceExtentAffinity)
    expect(options({}, { pieceExtentAffinity: true, numTimeCritical: 1 })).toBe(rarestFirst)
    expect(options({ isOnParole: true })).toBe(rarestFirst | onParole | prioritizePartials)
    expect(options({}, { prioritizePartialPieces: true })).toBe(rarestFirst | prioritizePartials)
    expect(options({ pickOptions: PickOption.alignExpandedPieces })).toBe(rarestFirst | PickOption.alignExpandedPieces)
  })

  test('fast peers get the whole pieces they deliver in the threshold, up to 8 MiB', () => {
    const peer = new Peer(c.picker, 1)
    const blocks = (rate: number, more: Partial<RequestContext> = {}) => {
      peer.downloadRate = rate
      return contiguousBlocksFor(peer, { ...c, ...more })
    }
    const pieceRate = (PER_PIECE * BLOCK) / 20
    expect(blocks(pieceRate - 1)).toBe(0)
    expect(blocks(pieceRate)).toBe(PER_PIECE)
    expect(blocks(pieceRate * 2.5)).toBe(2 * PER_PIECE)
    expect(blocks(1e9)).toBe((8 * 1024 * 1024) / BLOCK)
    expect(blocks(1e9, { wholePiecesThreshold: 0 })).toBe(0)
    expect(blocks(1e9, { numTimeCritical: 1 })).toBe(0)
    peer.preferContiguous = 7
    expect(blocks(1e9)).toBe(7)
  })
})

describe('requesting', () => {
  test('fills the queue up to its size', () => {
    const c = context(10)
    const peer = new Peer(c.picker, 1)
    expect(requestBlocks(peer, c).tried).toBe(true)
    expect([peer.requests.length, peer.endgame]).toEqual([4, false])
    expect(requestBlocks(peer, c).tried).toBe(false)
    peer.desiredQueueSize = 6
    requestBlocks(peer, c)
    expect(new Set(peer.requests).size).toBe(6)
  })

  test('a run of whole pieces is taken whole', () => {
    const c = context(10)
    const peer = new Peer(c.picker, 1)
    peer.desiredQueueSize = 1
    peer.preferContiguous = 2 * PER_PIECE
    requestBlocks(peer, c)
    expect(peer.requests).toHaveLength(2 * PER_PIECE)
  })

  test('a peer that chokes us is asked for allowed-fast pieces it has, and that is no end game', () => {
    const c = context(20)
    const has = new Bitfield(20, true)
    has.clearBit(5)
    const peer = new Peer(c.picker, 1, has)
    peer.isChoking = true
    peer.desiredQueueSize = 20
    requestBlocks(peer, c)
    expect(peer.requests).toEqual([])
    peer.allowedFast = [3, 5, 99]
    requestBlocks(peer, c)
    expect(peer.requests).toEqual(['3:0', '3:1', '3:2', '3:3'])
    expect(peer.endgame).toBeNull()
  })

  test('a request that timed out is not made again by the same peer', () => {
    const c = context(1)
    const peer = new Peer(c.picker, 1)
    requestBlocks(peer, c)
    c.picker.abortDownload(0, 2, 1)
    peer.desiredQueueSize = 8
    requestBlocks(peer, c)
    expect(peer.requests).toHaveLength(4)
  })

  test('a request that cannot be made is passed over', () => {
    const c = context(1)
    const peer = new Peer(c.picker, 1)
    peer.desiredQueueSize = 2
    peer.refuses.add('0:0')
    requestBlocks(peer, c)
    // Two were picked, one of them refused.
    expect(peer.requests).toEqual(['0:1'])
  })
})

test('what slow peers alone are asked for ranks behind open pieces', () => {
  const c = context(3)
  const slow = new Peer(c.picker, 1)
  slow.isSnubbed = true
  slow.desiredQueueSize = 1
  requestBlocks(slow, c)
  const fast = new Peer(c.picker, 2)
  fast.desiredQueueSize = 2 * PER_PIECE
  requestBlocks(fast, c)
  const taken = slow.requests[0]!.split(':')[0]!
  expect(fast.requests.every(r => !r.startsWith(`${taken}:`))).toBe(true)
})

describe('end game', () => {
  function allRequested(fields: Partial<RequestContext> = {}) {
    const c = context(1, fields)
    const first = new Peer(c.picker, 1)
    requestBlocks(first, c)
    return { c, first, second: new Peer(c.picker, 2) }
  }

  test('a peer with nothing in flight takes one block that another is asked for', () => {
    const { c, second } = allRequested()
    requestBlocks(second, c)
    expect(second.requests).toHaveLength(1)
    expect([second.requests[0]!.endsWith('!'), second.endgame]).toEqual([true, true])
    requestBlocks(second, c)
    expect(second.requests, 'and no other before it has come').toHaveLength(1)
  })

  test('not before every wanted piece is in flight, if strict', () => {
    for (const strictEndGameMode of [true, false]) {
      const c = context(2, { strictEndGameMode })
      const has = Bitfield.from([true, false])
      const first = new Peer(c.picker, 1, has)
      requestBlocks(first, c)
      const second = new Peer(c.picker, 2, has)
      requestBlocks(second, c)
      expect(second.requests).toHaveLength(strictEndGameMode ? 0 : 1)
    }
  })

  test('open blocks are taken before busy ones', () => {
    const { c, first, second } = allRequested()
    c.picker.abortDownload(0, 1, first.ref)
    requestBlocks(second, c)
    expect(second.requests).toEqual(['0:1'])
  })
})
