import { describe, expect, test } from 'vitest'
import { BLOCK, contentOf, fillSlots, MadeLayout, optionsFor, pieceOf, sha1 } from '../compliance/disk-io-lib.ts'
import { diskIoSuite } from '../compliance/disk-io-suite.ts'
import { SimDisk, SimDrive } from './lib/sim-disk.ts'
import { Simulation } from './lib/simulation.ts'

diskIoSuite({
  name: 'simulator',
  make() {
    const sim = new Simulation(1)
    const disk = new SimDisk(sim.clock, sim.log)
    const submitted = (condition: () => boolean) => () => {
      disk.submit()
      return condition()
    }
    return {
      disk,
      savePath: '/save',
      until: async (condition, what) => sim.runUntil(submitted(condition), 60_000, what),
      cleanUp() {},
    }
  },
})

const LAYOUT = new MadeLayout(4 * BLOCK, [{ path: 'a', size: 10 * BLOCK }])
const CONTENT = contentOf(LAYOUT)

describe('faults', () => {
  function setUp(drive: SimDrive) {
    const sim = new Simulation(1)
    const open = () => {
      const disk = new SimDisk(sim.clock, sim.log, drive)
      const storage = disk.addStorage(optionsFor(LAYOUT, '/save'))
      return { disk, storage }
    }
    const { disk, storage } = open()
    const results: string[] = []
    const commit = (piece: number, on = disk, to = storage) => {
      const bytes = pieceOf(LAYOUT, CONTENT, piece)
      on.commitPiece(to, piece, fillSlots(on, bytes), { v1: sha1(bytes), v2: null }, false, ({ error, v1Passed }) =>
        results.push(error === null ? `${piece} ${v1Passed}` : `${piece} ${error.code.message()}`),
      )
      on.submit()
    }
    return { sim, open, disk, storage, results, commit }
  }

  test('a full disk fails writes, frees their slots, and works again with room', () => {
    const drive = new SimDrive()
    drive.freeBytes = 5 * BLOCK
    const { sim, disk, results, commit } = setUp(drive)
    commit(0)
    commit(1)
    sim.run(1000)
    expect(results).toEqual(['0 true', '1 No space left on device'])
    expect(disk.slots.inUse).toBe(0)
    drive.freeBytes = Number.POSITIVE_INFINITY
    commit(1)
    sim.run(1000)
    expect(results.at(-1)).toBe('1 true')
  })

  test('corruption makes pieces fail their hash', () => {
    const drive = new SimDrive()
    drive.blocksUntilCorruption = 4
    const { sim, results, commit } = setUp(drive)
    commit(0)
    commit(1)
    sim.run(1000)
    expect(results).toEqual(['0 true', '1 false'])
  })

  test('a hung disk answers nothing until it is back', () => {
    const drive = new SimDrive()
    const { sim, results, commit } = setUp(drive)
    commit(0)
    drive.hang(path => path === '/save')
    commit(1)
    sim.run(60_000)
    expect(results).toEqual([])
    drive.unhang()
    sim.run(1000)
    expect(results).toEqual(['0 true', '1 true'])
  })

  test('time passes as the drive is fast', () => {
    const drive = new SimDrive({ seekMs: 10, writeBytesPerSecond: 4 * BLOCK, hashBytesPerSecond: 1e12 })
    const { sim, results, commit } = setUp(drive)
    commit(0)
    sim.run(990)
    expect(results).toEqual([])
    sim.run(40)
    expect(results).toEqual(['0 true'])
  })

  test('what was written is there for the next session', () => {
    const drive = new SimDrive()
    const { sim, open, disk, storage, commit } = setUp(drive)
    commit(0)
    commit(2)
    disk.removeStorage(storage)
    let closed = false
    disk.close(() => {
      closed = true
    })
    sim.runUntil(() => closed)
    const next = open()
    let read: Uint8Array | null = null
    next.disk.read(next.storage, 2, 5, 1000, {}, result => {
      read = Buffer.concat(result.views)
      result.release()
    })
    next.disk.submit()
    sim.runUntil(() => read !== null)
    expect(Buffer.from(CONTENT.subarray(8 * BLOCK + 5, 8 * BLOCK + 1005)).equals(read!)).toBe(true)
  })
})
