import { describe, expect, test } from 'vitest'
import { BLOCK_SIZE } from '../../../src/core/brands.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import type { DiskError } from '../../../src/storage/disk-io.ts'
import { Slab, type Slot } from '../../../src/storage/slab.ts'
import { PieceTransfers } from '../../../src/torrent/piece-transfers.ts'

const BLOCKS = 8

/** A torrent that has only transfers. Jobs are done when the test says so. */
class World {
  readonly slab: Slab
  readonly transfers: PieceTransfers
  readonly spills: { slots: Slot[]; done: (error: DiskError | null) => void }[] = []
  readonly written: number[] = []
  readonly lost: number[] = []

  constructor(slots: number) {
    this.slab = new Slab({ budgetBytes: slots * BLOCK_SIZE, defer: () => {} })
    this.transfers = new PieceTransfers(
      {
        blocksInPiece: () => BLOCKS,
        payloadBlocks: piece => (piece === 3 ? BLOCKS - 2 : BLOCKS),
        spill: (_piece, blocks, done) => void this.spills.push({ slots: blocks.map(({ slot }) => slot), done }),
        blocksSpilled: (_piece, blocks) => void this.written.push(...blocks),
        spillFailed: (_piece, blocks) => void this.lost.push(...blocks),
      },
      this.slab,
      () => ({ id: 1 }),
    )
  }

  finishSpill(error: DiskError | null = null): void {
    const job = this.spills.shift()!
    for (const slot of job.slots) this.slab.release(slot)
    job.done(error)
  }

  commit(piece: number): void {
    for (const source of this.transfers.takeForCommit(piece)) if (source !== 'disk') this.slab.release(source)
    this.transfers.finished(piece)
  }
}

const FAILED = { code: null, operation: 0, file: 0 } as unknown as DiskError

describe('transfers', () => {
  test('a block that two peers send takes two slots, and both are given back', () => {
    const world = new World(64)
    const { transfers, slab } = world
    const first = transfers.lease(0, 0)
    const second = transfers.lease(0, 0)
    expect(second).not.toBe(first)
    // the later copy wins, so the slot that was reserved for the block is free again while the block is filled
    expect(transfers.fill(0, 0, second, 0)).toBe(true)
    expect(transfers.fill(0, 0, first, 0)).toBe(false)
    for (let b = 1; b < BLOCKS; b++) expect(transfers.fill(0, b, transfers.lease(0, b), 0)).toBe(true)
    expect(transfers.isWhole(0)).toBe(true)
    world.commit(0)
    expect(slab.inUse).toBe(0)
    slab.checkInvariant()
  })

  test('what was written of a piece counts until its commit has ended', () => {
    const world = new World(64)
    const { transfers } = world
    for (let b = 0; b < BLOCKS - 1; b++) transfers.fill(0, b, transfers.lease(0, b), 0)
    transfers.spill(1)
    world.finishSpill()
    const saved = () =>
      [...transfers.unfinished()].map(({ blocks, onDisk }) => Array.from({ length: blocks }, (_, b) => onDisk(b)))
    const written = [[...new Array(BLOCKS - 1).fill(true), false]]
    expect(saved()).toEqual(written)
    transfers.fill(0, BLOCKS - 1, transfers.lease(0, BLOCKS - 1), 2)
    for (const source of transfers.takeForCommit(0)) if (source !== 'disk') world.slab.release(source)
    // resume data that is made now may be all that is left
    expect(saved()).toEqual(written)
    transfers.finished(0)
    expect(saved()).toEqual([])
  })

  test('neighbouring blocks are received into a run of slots, or into others when there is none', () => {
    const world = new World(64)
    const { transfers, slab } = world
    expect(transfers.fill(0, 5, transfers.lease(0, 5), 3)).toBe(true)
    expect(transfers.leaseRun(0, 2, 4)).toBeNull()
    const slots = transfers.leaseRun(0, 0, 5)!
    expect(slots.map(slot => slot - slots[0]!)).toEqual([0, 1, 2, 3, 4])
    transfers.fillRun(0, 0, slots, 7)
    transfers.checkInvariant()
    expect(transfers.leaseRun(0, 0, 1)).toBeNull()
    transfers.fillRun(0, 6, transfers.leaseRun(0, 6, 2)!, 8)
    expect(transfers.isWhole(0)).toBe(true)
    world.commit(0)
    expect(slab.inUse).toBe(0)
    transfers.fillRun(1, 0, transfers.leaseRun(1, 0, 1)!, 9)
    transfers.releaseRuns()
    transfers.fillRun(1, 1, transfers.leaseRun(1, 1, 7)!, 9)
    expect([transfers.isWhole(1), slab.inUse]).toEqual([true, BLOCKS])
    world.commit(1)
    expect(slab.inUse).toBe(0)
    slab.checkInvariant()
  })

  test('a run of slots whose peer leaves, or that memory does not suffice for, is given back', () => {
    const { transfers, slab } = new World(6)
    const slots = transfers.leaseRun(0, 0, 3)!
    for (let b = 0; b < 3; b++) transfers.abandon(0, b, slots[b]!)
    expect(slab.inUse).toBe(0)
    expect(transfers.leaseRun(0, 0, 7)).toBeNull()
    expect(slab.inUse).toBe(0)
    slab.checkInvariant()
  })

  test('clearing frees what is filled and what is reserved', () => {
    const { transfers, slab } = new World(64)
    const twice = transfers.lease(0, 1)
    transfers.fill(0, 1, transfers.lease(0, 1), 0)
    transfers.abandon(0, 1, twice)
    transfers.clear()
    expect(slab.inUse).toBe(0)
  })

  test('a piece nobody fills keeps no memory', () => {
    const { transfers, slab } = new World(64)
    transfers.abandon(0, 4, transfers.lease(0, 4))
    expect(slab.inUse).toBe(0)
  })

  test('padding counts as being on disk', () => {
    const world = new World(64)
    for (let b = 0; b < BLOCKS - 2; b++) world.transfers.fill(3, b, world.transfers.lease(3, b), 0)
    expect(world.transfers.isWhole(3)).toBe(true)
    expect(world.transfers.takeForCommit(3).slice(-2)).toEqual(['disk', 'disk'])
  })

  test('without memory there is no lease', () => {
    const { transfers } = new World(2)
    expect(transfers.lease(0, 0)).toBeGreaterThanOrEqual(0)
    expect(transfers.lease(0, 1)).toBeGreaterThanOrEqual(0)
    expect(transfers.lease(0, 2)).toBe(-1)
  })

  test('only old blocks are spilled, and no more than asked for', () => {
    const world = new World(64)
    world.transfers.fill(0, 0, world.transfers.lease(0, 0), 100)
    world.transfers.fill(1, 0, world.transfers.lease(1, 0), 200)
    expect(world.transfers.spill(100)).toBe(0)
    expect(world.transfers.spill(150)).toBe(1)
    expect(world.transfers.spill(1000, 0)).toBe(0)
    expect(world.transfers.spilling).toBe(true)
    world.finishSpill()
    expect(world.written).toEqual([0])
    expect([...world.transfers.unfinished()].map(({ piece }) => piece)).toEqual([0])
  })

  test('blocks that could not be written are open again', () => {
    const world = new World(64)
    world.transfers.fill(0, 5, world.transfers.lease(0, 5), 0)
    world.transfers.spill(1)
    world.finishSpill(FAILED)
    expect(world.lost).toEqual([5])
    expect(world.transfers.hasUnwritten).toBe(false)
    expect(world.transfers.fill(0, 5, world.transfers.lease(0, 5), 0)).toBe(true)
  })

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('whatever happens, in any order, no slot is lost (seed %i)', seed => {
    const rng = new SeededRng(seed)
    const world = new World(40)
    const { transfers, slab } = world
    const leases: { piece: number; block: number; slot: Slot }[] = []
    const filled = new Set<string>()
    const committing: { piece: number; slots: Slot[] }[] = []
    for (let step = 0; step < 5000; step++) {
      const piece = rng.below(6)
      switch (rng.below(9)) {
        case 0:
        case 1:
        case 2: {
          const block = rng.below(piece === 3 ? BLOCKS - 2 : BLOCKS)
          const slot = transfers.lease(piece, block)
          if (slot >= 0) leases.push({ piece, block, slot })
          break
        }
        case 3:
        case 4: {
          if (leases.length === 0) break
          const [lease] = leases.splice(rng.below(leases.length), 1)
          if (transfers.fill(lease!.piece, lease!.block, lease!.slot, step))
            filled.add(`${lease!.piece} ${lease!.block}`)
          break
        }
        case 5: {
          if (leases.length === 0) break
          const [lease] = leases.splice(rng.below(leases.length), 1)
          transfers.abandon(lease!.piece, lease!.block, lease!.slot)
          break
        }
        case 6:
          transfers.spill(step - rng.below(20), rng.below(10))
          break
        case 7:
          if (world.spills.length > 0) world.finishSpill(rng.below(4) === 0 ? FAILED : null)
          break
        default:
          if (rng.below(20) === 0) transfers.releaseRuns()
          if (transfers.isWhole(piece)) {
            const slots = transfers.takeForCommit(piece).filter((source): source is Slot => source !== 'disk')
            committing.push({ piece, slots })
          } else if (committing.length > 0 && rng.below(2) === 0) {
            const job = committing.shift()!
            for (const slot of job.slots) slab.release(slot)
            transfers.finished(job.piece)
          }
      }
      transfers.checkInvariant()
      slab.checkInvariant()
    }
    expect(filled.size).toBeGreaterThan(10)
    while (world.spills.length > 0) world.finishSpill()
    for (const job of committing) {
      for (const slot of job.slots) slab.release(slot)
      transfers.finished(job.piece)
    }
    for (const { piece, block, slot } of leases) transfers.abandon(piece, block, slot)
    transfers.clear()
    expect(slab.inUse).toBe(0)
    slab.checkInvariant()
  })
})

describe('a piece of which all is on disk', () => {
  test('holds no slots, before and after it is done with', () => {
    const world = new World(64)
    const { transfers, slab } = world
    transfers.restore(0, [0, 1, 2, 3, 4, 5, 6, 7])
    expect(transfers.isWhole(0)).toBe(true)
    expect(slab.inUse).toBe(0)
    transfers.finished(0)
    expect([...transfers.unfinished()]).toEqual([])
    expect(slab.inUse).toBe(0)
  })

  test('that is done with before it is whole gives back what it holds', () => {
    const world = new World(64)
    const { transfers, slab } = world
    transfers.restore(0, [0, 1])
    transfers.fill(0, 2, transfers.lease(0, 2), 0)
    transfers.finished(0)
    expect(slab.inUse).toBe(0)
    expect(transfers.filledBlocks).toBe(0)
    transfers.checkInvariant()
    // also if some of it is being written
    transfers.fill(1, 2, transfers.lease(1, 2), 0)
    transfers.spill(Number.POSITIVE_INFINITY)
    transfers.finished(1)
    expect(transfers.spilling).toBe(false)
    world.finishSpill()
    expect(world.written).toEqual([])
    expect(slab.inUse).toBe(0)
  })
})
