import { expect, test } from 'vitest'
import { PeerAvailability } from '../../../src/peer/peer-availability.ts'
import type { PeerConnection } from '../../../src/peer/peer-connection.ts'
import { Counters } from '../../../src/stats/counters.ts'

const PIECES = 20

/** A peer of a torrent whose number of pieces becomes known when `ready` is set. */
class World {
  ready = false
  /** By piece: how often it counts in the torrent's picker. */
  readonly picker: number[] = new Array(PIECES).fill(0)
  readonly availability: PeerAvailability

  constructor() {
    const world = this
    const host = {
      get geometry() {
        return world.ready ? { numPieces: PIECES } : null
      },
      get ready() {
        return world.ready
      },
      superSeeding: false,
      uploadOnly: false,
      peerBecameSeed() {},
      seenComplete() {},
      wantsPiece: () => false,
      peerHas: (_: unknown, piece: number) => void this.picker[piece]!++,
      peerHasAll: () => this.picker.forEach((_, i) => void this.picker[i]!++),
      peerHasBits: (_: unknown, bits: { getBit(i: number): boolean }) =>
        this.picker.forEach((_, i) => void (this.picker[i]! += bits.getBit(i) ? 1 : 0)),
      peerLost: (_: unknown, piece: number) => void this.picker[piece]!--,
      peerLostAll: () => this.picker.forEach((_, i) => void this.picker[i]!--),
      peerLostBits: (_: unknown, bits: { getBit(i: number): boolean }) =>
        this.picker.forEach((_, i) => void (this.picker[i]! -= bits.getBit(i) ? 1 : 0)),
    }
    const peer = {
      host,
      disconnecting: false,
      amInterested: false,
      session: { counters: new Counters(), settings: { maxPieceCount: 1000 } },
      logsMessages: false,
      log() {},
      stats: { totalPayloadDownload: () => 0 },
      uploads: { onHave() {} },
      interest: { update() {}, begin() {}, end() {}, disconnectIfRedundant: () => false },
      disconnect() {
        throw new Error('disconnected')
      },
    }
    this.availability = new PeerAvailability(peer as unknown as PeerConnection)
  }

  join(): void {
    this.ready = true
    this.availability.join()
  }
}

test.each([0, 5, PIECES - 1])(
  'what a peer with all pieces says of piece %i beside does not change its count',
  piece => {
    const world = new World()
    world.availability.onHaveAll()
    world.availability.onHave(piece)
    world.join()
    expect(world.picker).toEqual(new Array(PIECES).fill(1))
    world.availability.onDontHave(3)
    expect([world.availability.numHave, world.availability.have.count()]).toEqual([PIECES - 1, PIECES - 1])
    // says anew what it has: the old count is taken back whole
    world.availability.onHaveNone()
    expect(world.picker).toEqual(new Array(PIECES).fill(0))
  },
)

test('what is told before the number of pieces is known is counted once it is', () => {
  const world = new World()
  for (const piece of [2, 9, 2]) world.availability.onHave(piece)
  world.join()
  world.availability.onHave(4)
  const expected = world.picker.map((_, i) => ([2, 4, 9].includes(i) ? 1 : 0))
  expect(world.picker).toEqual(expected)
  expect(world.availability.numHave).toBe(3)
})

test('a peer that tells of one piece after the other is no seed before their number is known', () => {
  const world = new World()
  const sizes = new Set<number>()
  for (let piece = 0; piece <= 1000; piece++) {
    world.availability.onHave(piece)
    sizes.add(world.availability.have.size())
    expect(world.availability.isSeed).toBe(false)
  }
  // it does not grow with each message, and not beyond the limit
  expect(sizes.size).toBeLessThan(12)
  expect(world.availability.have.size()).toBe(1001)
  world.availability.onHave(1001)
  expect(world.availability.have.size()).toBe(1001)
  world.join()
  expect([world.availability.isSeed, world.availability.numHave]).toEqual([true, PIECES])
})
