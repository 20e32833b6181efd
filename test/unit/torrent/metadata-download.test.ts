import { describe, expect, test } from 'vitest'
import { bytesEqual } from '../../../src/core/bytes.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { MetadataDownload, type MetadataVerdict } from '../../../src/torrent/metadata-download.ts'

const PART = 16384
const MAX = 1_000_000

class World {
  now = 0
  readonly truth = new Uint8Array(5 * PART + 100)
  readonly banned: number[] = []
  readonly tried: number[] = []
  readonly download: MetadataDownload

  constructor() {
    new SeededRng(1).fill(this.truth)
    this.download = new MetadataDownload({
      now: () => this.now,
      maxSize: () => MAX,
      complete: bytes => this.#judge(bytes),
      ban: ref => this.banned.push(ref),
    })
  }

  #judge(bytes: Uint8Array): MetadataVerdict {
    this.tried.push(bytes.length)
    return bytesEqual(bytes, this.truth) ? 'taken' : 'mismatch'
  }

  join(ref: number, size = this.truth.length): { readonly ref: number } {
    const peer = { ref }
    this.download.joined(peer, size)
    return peer
  }

  part(index: number): Uint8Array {
    return this.truth.slice(index * PART, (index + 1) * PART)
  }

  send(peer: { readonly ref: number }, index: number, data = this.part(index), total = this.truth.length): boolean {
    return this.download.received(peer, index, total, data)
  }

  /** Asks a peer for parts as long as it is asked for any, and sends what `data` gives. */
  drain(peer: { readonly ref: number }, data: (index: number) => Uint8Array = index => this.part(index)): number {
    let count = 0
    for (let index = this.download.next(peer, []); index >= 0; index = this.download.next(peer, [])) {
      this.send(peer, index, data(index))
      count++
      if (count > 1000) throw new Error('asked for ever')
    }
    return count
  }
}

describe('download of metadata', () => {
  test('asks each part once, of whoever is there', () => {
    const world = new World()
    const a = world.join(1)
    const b = world.join(2)
    const asked = [a, b, a, b, a, b].map(peer => world.download.next(peer, []))
    expect(asked.toSorted()).toEqual([0, 1, 2, 3, 4, 5])
    expect(world.download.next(a, [])).toBe(-1)
    asked.forEach((index, i) => {
      world.send(i % 2 === 0 ? a : b, index)
    })
    expect(world.download.done).toBe(true)
    expect(world.banned).toEqual([])
    expect(world.download.next(a, [])).toBe(-1)
  })

  test('asks again after three seconds, or at once if the peer has gone or has it not', () => {
    const world = new World()
    const [a, b, c] = [world.join(1), world.join(2), world.join(3)]
    for (let i = 0; i < 6; i++) world.download.next(a, [])
    expect(world.download.next(b, [])).toBe(-1)
    world.now = 2999
    expect(world.download.next(b, [])).toBe(-1)
    world.download.rejected(a, 4)
    expect(world.download.next(b, [])).toBe(4)
    world.now = 3000
    expect(world.download.next(c, [])).toBe(0)
    world.download.left(c)
    expect(world.download.next(b, [4])).toBe(1)
    world.now = 6000
    // those that were asked for least come first
    expect(world.download.next(b, [4])).toBe(2)
  })

  test('a peer that has it not is left alone for a minute', () => {
    const world = new World()
    const a = world.join(1)
    world.download.rejected(a, world.download.next(a, []))
    world.now = 59_999
    expect(world.download.next(a, [])).toBe(-1)
    world.now = 60_000
    expect(world.download.next(a, [])).toBeGreaterThanOrEqual(0)
  })

  test('a part that one peer was asked for is not kept from others because that peer may not be asked again', () => {
    const world = new World()
    const a = world.join(1)
    const b = world.join(2)
    const first = world.download.next(a, [])
    for (let i = 0; i < 5; i++) world.download.next(b, [])
    world.now = 4000
    expect(world.download.next(a, [first])).not.toBe(first)
    expect(world.download.next(b, [])).toBeGreaterThanOrEqual(0)
  })

  test('of a peer that tells no size the first part is asked for, which tells it', () => {
    const world = new World()
    const a = world.join(1, 0)
    expect(world.download.next(a, [])).toBe(0)
    expect(world.download.next(a, [0])).toBe(-1)
    world.send(a, 0)
    expect(world.drain(a)).toBe(5)
    expect(world.download.done).toBe(true)
  })

  test.each([0, -1, MAX + 1, 2 ** 53])('a size of %d is not believed', size => {
    const world = new World()
    const a = world.join(1, size)
    expect(world.download.next(a, [])).toBe(0)
    expect(world.send(a, 0, world.part(0), size)).toBe(false)
    expect(world.download.next(a, [])).toBe(-1)
    expect(world.download.bytes).toBe(0)
  })

  test('whoever sends all of a wrong copy is banned', () => {
    const world = new World()
    const liar = world.join(7)
    world.drain(liar, () => new Uint8Array(PART).subarray(0, PART))
    // the last part is shorter: it does not fit, and the peer is left alone
    expect(world.banned).toEqual([])
    world.now = 100_000
    const index = world.download.next(liar, [])
    world.send(liar, index, new Uint8Array(100))
    expect(world.banned).toEqual([7])
  })

  test('of several who made a wrong copy the liar is found by the true one', () => {
    const world = new World()
    const peers = [1, 2, 3].map(ref => world.join(ref))
    for (let i = 0; i < 6; i++) {
      const peer = peers[i % 3]!
      const index = world.download.next(peer, [])
      const data = world.part(index)
      if (peer.ref === 2) data[0]! ^= 1
      world.send(peer, index, data)
    }
    expect(world.tried.length).toBe(1)
    expect(world.banned).toEqual([])
    // from now on each peer has a copy of its own
    world.drain(peers[0]!)
    expect(world.download.done).toBe(true)
    expect(world.banned).toEqual([2])
  })

  test('nor does the liar win by sending its own copy first', () => {
    const world = new World()
    const peers = [1, 2].map(ref => world.join(ref))
    for (let i = 0; i < 6; i++) {
      const peer = peers[i % 2]!
      const index = world.download.next(peer, [])
      world.send(peer, index, peer.ref === 2 ? new Uint8Array(world.part(index).length) : world.part(index))
    }
    world.drain(peers[1]!, index => new Uint8Array(world.part(index).length))
    expect(world.banned).toEqual([2])
    world.drain(peers[0]!)
    expect(world.download.done).toBe(true)
    expect(new Set(world.banned)).toEqual(new Set([2]))
  })

  test('holds no more than two of the largest size, whatever peers of other sizes send', () => {
    const world = new World()
    for (let n = 0; n < 50; n++) {
      const liar = world.join(100 + n, MAX - n * PART)
      world.now += 20_000
      for (let i = 0; i < 60; i++) {
        const index = world.download.next(liar, [])
        if (index >= 0) world.send(liar, index, new Uint8Array(PART), MAX - n * PART)
      }
      expect(world.download.bytes).toBeLessThanOrEqual(2 * MAX)
    }
    world.now += 20_000
    world.drain(world.join(1))
    expect(world.download.done).toBe(true)
  })
})
