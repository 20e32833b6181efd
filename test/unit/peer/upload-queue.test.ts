import { describe, expect, test } from 'vitest'
import {
  type BlockRequest,
  type RequestRun,
  RequestVerdict,
  type UploadPort,
  UploadQueue,
} from '../../../src/peer/upload-queue.ts'
import * as C from '../../../src/stats/counter-ids.ts'
import { Counters } from '../../../src/stats/counters.ts'
import type { DiskError, ReadResult } from '../../../src/storage/disk-io.ts'

const SETTINGS = {
  maxAllowedInRequestQueue: 20,
  sendBufferWatermark: 65536,
  sendBufferLowWatermark: 16384,
  sendBufferWatermarkFactor: 50,
}
const FAILED = {} as DiskError
const BLOCK = 16384

/** `piece`, or `piece:block+count` for more than the first block. */
function describeRun({ piece, begin, count }: RequestRun): string {
  return begin === 0 && count === 1 ? `${piece}` : `${piece}:${begin / BLOCK}+${count}`
}

class World implements UploadPort {
  readonly counters = new Counters()
  readonly queue = new UploadQueue(this, SETTINGS, this.counters)
  readonly log: string[] = []
  readonly reads: { run: RequestRun; done: (result: ReadResult) => void }[] = []
  verdict: (request: BlockRequest) => RequestVerdict = () => RequestVerdict.serve
  unsent = 0
  /** A piece that is in memory. */
  cached = -1
  released = 0
  closed = false
  closeOnFailure = false

  judge(request: BlockRequest): RequestVerdict {
    return this.verdict(request)
  }
  requestRejected(request: BlockRequest): void {
    this.log.push(`invalid ${request.piece}`)
  }
  sendReject(request: BlockRequest): void {
    this.log.push(`reject ${request.piece}`)
  }
  readCached(run: RequestRun): ReadResult | null {
    if (run.piece !== this.cached) return null
    return { error: null, views: [], release: () => void this.released++ }
  }
  readAhead(): void {}
  read(run: RequestRun, done: (result: ReadResult) => void): void {
    this.reads.push({ run, done })
  }
  sendBlocks(run: RequestRun, result: ReadResult): void {
    this.log.push(`send ${describeRun(run)}`)
    result.release()
  }
  readFailed(run: RequestRun): void {
    this.queue.rejectPiece(run.piece)
    this.log.push('failed')
    if (!this.closeOnFailure) return
    this.closed = true
    this.queue.clear()
  }
  unsentBytes(): number {
    return this.unsent
  }
  uploadedLastSecond(): number {
    return 0
  }

  ask(piece: number, admitted = true): void {
    this.queue.request({ piece, begin: 0, length: BLOCK, count: 1 }, admitted)
  }
  /** Asks for `count` blocks from `block` on, in one go. */
  askRun(piece: number, block: number, count: number): void {
    this.queue.request({ piece, begin: block * BLOCK, length: BLOCK, count }, true)
  }
  answer(index: number, error: DiskError | null = null): void {
    const [read] = this.reads.splice(index, 1)
    read!.done({ error, views: [], release: () => void this.released++ })
  }
  get asking(): number {
    return this.counters.get(C.PEER_NUM_PEERS_UP_REQUESTS)
  }
}

describe('requests', () => {
  test('are read as far as the send buffer has room, and sent in the order asked for', () => {
    const world = new World()
    for (let p = 0; p < 10; p++) world.ask(p)
    expect(world.reads.map(({ run }) => run.piece)).toEqual([0, 1, 2, 3])
    world.answer(2)
    world.answer(1)
    expect(world.log).toEqual([])
    world.answer(0)
    expect(world.log).toEqual(['send 0', 'send 1', 'send 2'])
    expect(world.released).toBe(3)
  })

  test('for what is in memory are answered at once, but never before an earlier one', () => {
    const world = new World()
    world.cached = 1
    world.ask(1)
    world.ask(0)
    world.ask(1)
    expect(world.log).toEqual(['send 1'])
    for (const { run } of [...world.reads]) void world.answer(world.reads.findIndex(read => read.run === run))
    expect(world.log).toEqual(['send 1', 'send 0', 'send 1'])
  })

  test('wait while what was read before is not sent', () => {
    const world = new World()
    world.unsent = 70_000
    world.ask(0)
    expect(world.reads).toHaveLength(0)
    world.unsent = 0
    world.queue.fill()
    expect(world.reads).toHaveLength(1)
  })

  test('beyond the limit of the queue are rejected', () => {
    const world = new World()
    world.unsent = 1e6
    for (let p = 0; p < 100; p++) world.ask(p)
    expect(world.queue.length).toBe(21)
    expect(world.log).toHaveLength(79)
    expect(world.counters.get(C.PEER_MAX_PIECE_REQUESTS)).toBe(79)
  })

  test('that are invalid, or come while the peer is choked, are rejected and counted', () => {
    const world = new World()
    world.verdict = () => RequestVerdict.invalid
    world.ask(1)
    world.verdict = () => RequestVerdict.serve
    world.ask(2, false)
    expect(world.log).toEqual(['reject 1', 'invalid 1', 'reject 2'])
    expect(world.counters.get(C.PEER_INVALID_PIECE_REQUESTS)).toBe(1)
    expect(world.counters.get(C.PEER_CHOKED_PIECE_REQUESTS)).toBe(1)
    expect(world.asking).toBe(0)
  })

  test('that must wait do not keep the others from being read', () => {
    const world = new World()
    world.verdict = ({ piece }) => (piece === 0 ? RequestVerdict.wait : RequestVerdict.serve)
    world.unsent = 1e6
    for (let p = 0; p < 3; p++) world.ask(p)
    world.unsent = 0
    world.queue.fill()
    expect(world.reads.map(({ run }) => run.piece)).toEqual([1, 2])
    expect(world.queue.length).toBe(1)
  })

  test('that are cancelled or choked are rejected, but for allowed pieces', () => {
    const world = new World()
    world.unsent = 1e6
    for (let p = 0; p < 5; p++) world.ask(p)
    world.queue.cancel({ piece: 3, begin: 0, length: 16384 })
    world.queue.cancel({ piece: 4, begin: 0, length: 1 })
    world.queue.choke(piece => piece === 1)
    expect(world.log).toEqual(['reject 3', 'reject 0', 'reject 2', 'reject 4'])
    expect(world.queue.length).toBe(1)
    expect(world.asking).toBe(1)
    world.queue.clear()
    expect(world.asking).toBe(0)
  })

  test('whose read fails are rejected', () => {
    const world = new World()
    world.ask(5)
    world.answer(0, FAILED)
    expect(world.log).toEqual(['failed', 'reject 5'])
    expect(world.released).toBe(1)
    expect(world.queue.readingBytes).toBe(0)
  })

  test.each([0, 3])('when a failed read ends the connection with %i waiting, the count of askers is right', waiting => {
    const world = new World()
    world.closeOnFailure = true
    world.ask(0)
    world.unsent = 1e6
    for (let p = 1; p <= waiting; p++) world.ask(p)
    world.answer(0, FAILED)
    expect(world.asking).toBe(0)
  })

  test('for blocks in a row are read and sent as runs, cut where a line of the cache ends and where room does', () => {
    const world = new World()
    world.askRun(1, 14, 5)
    expect(world.reads.map(({ run }) => describeRun(run))).toEqual(['1:14+2', '1:16+2'])
    world.answer(0)
    expect(world.log).toEqual(['send 1:14+2'])
    expect(world.reads.map(({ run }) => describeRun(run))).toEqual(['1:16+2', '1:18+1'])
    world.answer(1)
    world.answer(0)
    expect(world.log).toEqual(['send 1:14+2', 'send 1:16+2', 'send 1:18+1'])
    expect(world.queue.readingBytes).toBe(0)
    expect(world.asking).toBe(0)
    expect(world.counters.get(C.PEER_PIECE_REQUESTS)).toBe(5)
  })

  test('that come one by one wait as one run when they follow each other', () => {
    const world = new World()
    world.unsent = 1e6
    for (let block = 0; block < 3; block++) world.askRun(1, block, 1)
    world.askRun(1, 4, 1)
    world.askRun(2, 5, 1)
    expect(world.queue.length).toBe(5)
    world.unsent = 0
    world.cached = 1
    world.queue.fill()
    expect(world.log).toEqual(['send 1:0+3', 'send 1:4+1'])
    expect(world.reads.map(({ run }) => describeRun(run))).toEqual(['2:5+1'])
  })

  test('in a run beyond the limit of the queue are rejected, the others not', () => {
    const world = new World()
    world.unsent = 1e6
    world.askRun(3, 0, 30)
    expect(world.queue.length).toBe(21)
    expect(world.log).toEqual(new Array(9).fill('reject 3'))
    expect(world.counters.get(C.PEER_MAX_PIECE_REQUESTS)).toBe(9)
    expect(world.counters.get(C.PEER_PIECE_REQUESTS)).toBe(30)
  })

  test('in a run that ends beyond the piece are judged one by one', () => {
    const world = new World()
    world.unsent = 1e6
    world.verdict = ({ begin }) => (begin < 2 * BLOCK ? RequestVerdict.serve : RequestVerdict.invalid)
    world.askRun(7, 0, 4)
    expect(world.queue.length).toBe(2)
    expect(world.log).toEqual(['reject 7', 'invalid 7', 'reject 7', 'invalid 7'])
  })

  test('are cancelled within a run, and the others are sent', () => {
    const world = new World()
    world.unsent = 1e6
    world.askRun(1, 0, 5)
    for (const block of [2, 0, 4, 4]) world.queue.cancel({ piece: 1, begin: block * BLOCK, length: BLOCK })
    world.queue.cancel({ piece: 1, begin: 3 * BLOCK + 1, length: BLOCK })
    expect(world.queue.length).toBe(2)
    expect(world.counters.get(C.PEER_CANCELLED_PIECE_REQUESTS)).toBe(3)
    world.unsent = 0
    world.cached = 1
    world.queue.fill()
    expect(world.log).toEqual(['reject 1', 'reject 1', 'reject 1', 'send 1:1+1', 'send 1:3+1'])
  })

  test('in a run whose read fails are all rejected', () => {
    const world = new World()
    world.askRun(5, 0, 3)
    world.answer(0, FAILED)
    expect(world.log).toEqual(['failed', 'reject 5', 'reject 5', 'reject 5'])
  })

  test('blocks that were read for a closed connection are let go', () => {
    const world = new World()
    for (let p = 0; p < 3; p++) world.ask(p)
    world.closed = true
    world.queue.clear()
    for (let i = 0; i < 3; i++) world.answer(0)
    expect(world.log).toEqual([])
    expect(world.released).toBe(3)
    expect(world.asking).toBe(0)
  })
})
