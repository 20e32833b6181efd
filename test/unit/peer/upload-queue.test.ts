import { describe, expect, test } from 'vitest'
import { type BlockRequest, RequestVerdict, type UploadPort, UploadQueue } from '../../../src/peer/upload-queue.ts'
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

class World implements UploadPort {
  readonly counters = new Counters()
  readonly queue = new UploadQueue(this, SETTINGS, this.counters)
  readonly log: string[] = []
  readonly reads: { request: BlockRequest; done: (result: ReadResult) => void }[] = []
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
  readCached(request: BlockRequest): ReadResult | null {
    if (request.piece !== this.cached) return null
    return { error: null, views: [], release: () => void this.released++ }
  }
  readAhead(): void {}
  read(request: BlockRequest, done: (result: ReadResult) => void): void {
    this.reads.push({ request, done })
  }
  sendBlock(request: BlockRequest, _views: readonly Uint8Array[], release: () => void): void {
    this.log.push(`send ${request.piece}`)
    release()
  }
  readFailed(request: BlockRequest): void {
    this.log.push(`failed ${request.piece}`)
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
    this.queue.request({ piece, begin: 0, length: 16384 }, admitted)
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
    expect(world.reads.map(({ request }) => request.piece)).toEqual([0, 1, 2, 3])
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
    for (const { request } of [...world.reads])
      void world.answer(world.reads.findIndex(read => read.request === request))
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
    expect(world.reads.map(({ request }) => request.piece)).toEqual([1, 2])
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
    expect(world.log).toEqual(['failed 5', 'reject 5'])
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
