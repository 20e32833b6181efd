/** What every `DiskIo` must do. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Bitfield } from '../../src/core/bitfield.ts'
import { operationName } from '../../src/core/operation.ts'
import { putPieceHeader } from '../../src/core/piece-frames.ts'
import {
  type CheckResult,
  CheckStatus,
  type CommitResult,
  type DiskError,
  type DiskIo,
  type HashResult,
  type PieceHashes,
  type ReadResult,
  type ResumeFacts,
  type StorageHandle,
  type StorageOptions,
} from '../../src/storage/disk-io.ts'
import {
  BLOCK,
  blockHashes,
  contentOf,
  fillSlots,
  MadeLayout,
  NO_HASHES,
  optionsFor,
  PAD,
  pieceOf,
  type Runner,
  sha1,
  v2Part,
  v2Root,
  writeAll,
} from './disk-io-lib.ts'

/** A disk to test and a way to let time pass. */
export interface DiskWorld {
  readonly disk: DiskIo
  readonly savePath: string
  /** Lets things happen until `condition` holds; rejects if it does not within ten seconds. */
  until(condition: () => boolean, what: string): Promise<void>
  /** After the disk was closed: removes files. */
  cleanUp(): void
}

export interface DiskWorldFactory {
  readonly name: string
  make(): DiskWorld
}

/** Blocks in a piece that is 64 KiB, files that begin and end anywhere, an empty one, a pad file. */
const MIXED = new MadeLayout(4 * BLOCK, [
  { path: 't/a', size: 3 * BLOCK + 100 },
  { path: 't/empty', size: 0 },
  { path: 't/dir/b', size: 10 },
  { path: 't/.pad/1', size: BLOCK - 110, flags: PAD },
  { path: 't/dir/c', size: 9 * BLOCK + 7 },
])
/** Files aligned to pieces, as v2 demands. */
const ALIGNED = new MadeLayout(4 * BLOCK, [
  { path: 'v/large', size: 9 * BLOCK + 5 },
  { path: 'v/.pad/1', size: 3 * BLOCK - 5, flags: PAD },
  { path: 'v/small', size: 2 * BLOCK + 1 },
])

/** Runs the suite on one back-end. */
export function diskIoSuite(factory: DiskWorldFactory): void {
  describe(`disk: ${factory.name}`, () => {
    let world: DiskWorld
    let disk: DiskIo
    let closed = false
    let inCall = false

    beforeEach(() => {
      world = factory.make()
      disk = world.disk
      closed = false
    })

    afterEach(async () => {
      if (!closed) await close()
      world.cleanUp()
    })

    async function close(): Promise<void> {
      closed = true
      let over = false
      disk.close(() => {
        over = true
      })
      await world.until(() => over, 'the end of the disk')
    }

    const run: Runner = async start => {
      let result: unknown[] | undefined
      let calls = 0
      inCall = true
      start((...args) => {
        if (inCall) throw new Error('a callback came from inside the call')
        calls++
        result = args
      })
      disk.submit()
      inCall = false
      await world.until(() => result !== undefined, 'the end of a job')
      expect(calls).toBe(1)
      return result as never
    }

    const commit = async (
      storage: StorageHandle,
      piece: number,
      sources: readonly (number | 'disk')[],
      hashes: PieceHashes,
      want = false,
    ): Promise<CommitResult> =>
      (await run<[CommitResult]>(done => disk.commitPiece(storage, piece, sources, hashes, want, done)))[0]

    const read = async (storage: StorageHandle, piece: number, offset: number, length: number): Promise<Uint8Array> => {
      const [result] = await run<[ReadResult]>(done => disk.read(storage, piece, offset, length, {}, done))
      expect(result.error).toBeNull()
      const copy = new Uint8Array(Buffer.concat(result.views))
      result.release()
      return copy
    }

    const hash = async (
      storage: StorageHandle,
      first: number,
      count: number,
      want: { v1: boolean; v2: boolean; blockHashes: boolean },
    ): Promise<HashResult> => (await run<[HashResult]>(done => disk.hashPieces(storage, first, count, want, done)))[0]

    test('blocks that are read for a peer come as its messages, or as they are', async () => {
      const content = contentOf(MIXED)
      const storage = disk.addStorage(optionsFor(MIXED, world.savePath))
      await writeAll(run, disk, storage, MIXED, content)
      for (let piece = 0; piece < MIXED.numPieces(); piece++) {
        const bytes = pieceOf(MIXED, content, piece)
        for (const from of [0, BLOCK]) {
          if (from >= bytes.length) continue
          const [result] = await run<[ReadResult]>(done =>
            disk.read(storage, piece, from, bytes.length - from, { framed: true }, done),
          )
          expect(result.error).toBeNull()
          const got = Buffer.concat(result.views)
          result.release()
          const expected: Buffer[] = []
          for (let at = from; at < bytes.length; at += BLOCK) {
            const block = bytes.subarray(at, at + BLOCK)
            const header = Buffer.alloc(result.framed === true ? 13 : 0)
            if (result.framed === true) putPieceHeader(header, 0, piece, at, block.length)
            expected.push(header, Buffer.from(block))
          }
          expect(got.equals(Buffer.concat(expected)), `piece ${piece} from ${from}`).toBe(true)
        }
      }
    })

    test('what was committed is read back, over file ends, empty files and padding', async () => {
      const content = contentOf(MIXED)
      const storage = disk.addStorage(optionsFor(MIXED, world.savePath))
      await writeAll(run, disk, storage, MIXED, content)
      expect(disk.slots.inUse).toBe(0)
      for (let piece = 0; piece < MIXED.numPieces(); piece++) {
        const bytes = pieceOf(MIXED, content, piece)
        expectBytes(await read(storage, piece, 0, bytes.length), bytes)
        expectBytes(await read(storage, piece, 5, bytes.length - 9), bytes.subarray(5, bytes.length - 4))
      }
    })

    test('a piece in slots that lie anywhere is as good as one in a run', async () => {
      const content = contentOf(MIXED)
      const storage = disk.addStorage(optionsFor(MIXED, world.savePath))
      for (let piece = 0; piece < MIXED.numPieces(); piece++) {
        const bytes = pieceOf(MIXED, content, piece)
        const result = await commit(storage, piece, fillSlots(disk, bytes, true), { v1: sha1(bytes), v2: null })
        expect(result).toEqual({ error: null, v1Passed: true, v2Passed: null, blockHashes: null })
        expectBytes(await read(storage, piece, 0, bytes.length), bytes)
      }
      expect(disk.slots.inUse).toBe(0)
    })

    test('a piece that fails its v1 hash is not written, and its slots are free', async () => {
      const content = contentOf(MIXED)
      const storage = disk.addStorage(optionsFor(MIXED, world.savePath))
      const good = pieceOf(MIXED, content, 2)
      await commit(storage, 2, fillSlots(disk, good), { v1: sha1(good), v2: null })
      const bad = good.slice()
      bad[100]! ^= 1
      const result = await commit(storage, 2, fillSlots(disk, bad), { v1: sha1(good), v2: null })
      expect(result.error).toBeNull()
      expect(result.v1Passed).toBe(false)
      expect(disk.slots.inUse).toBe(0)
      expectBytes(await read(storage, 2, 0, good.length), good)
      // nobody asked for these: they tell who sent the bad block
      expectBytes(result.blockHashes!, blockHashes(bad))
    })

    test('a v2 root is compared, and block hashes are answered when asked for', async () => {
      const content = contentOf(ALIGNED)
      const storage = disk.addStorage(optionsFor(ALIGNED, world.savePath))
      for (let piece = 0; piece < ALIGNED.numPieces(); piece++) {
        const bytes = pieceOf(ALIGNED, content, piece)
        const root = v2Root(ALIGNED, content, piece)
        const wrong = await commit(storage, piece, fillSlots(disk, bytes), { v1: sha1(bytes), v2: otherRoot(root) })
        expect([wrong.error, wrong.v1Passed, wrong.v2Passed]).toEqual([null, true, false])
        const both = await commit(storage, piece, fillSlots(disk, bytes), { v1: sha1(bytes), v2: root })
        expect([both.error, both.v1Passed, both.v2Passed]).toEqual([null, true, true])
        const unknown = await commit(storage, piece, fillSlots(disk, bytes), NO_HASHES, true)
        expect([unknown.error, unknown.v1Passed, unknown.v2Passed]).toEqual([null, null, null])
        expectBytes(unknown.blockHashes!, blockHashes(v2Part(ALIGNED, content, piece).bytes))
        expectBytes(await read(storage, piece, 0, bytes.length), bytes)
      }
    })

    test('of a bad piece whose block hashes are known the good blocks are kept', async () => {
      const content = contentOf(ALIGNED)
      const storage = disk.addStorage(optionsFor(ALIGNED, world.savePath))
      for (const piece of [0, 2]) {
        const { bytes } = v2Part(ALIGNED, content, piece)
        const hashes = { v1: null, v2: v2Root(ALIGNED, content, piece), blocks: blockHashes(bytes) }
        const bad = bytes.slice()
        bad[bytes.length - 1]! ^= 1
        const badBlock = Math.ceil(bytes.length / BLOCK) - 1
        const first = await commit(storage, piece, fillSlots(disk, bad), hashes)
        expect([first.error, first.v2Passed]).toEqual([null, false])
        expectBytes(first.blockHashes!, blockHashes(bad))
        expect(disk.slots.inUse).toBe(0)
        // only the bad one comes again; the others are read back
        const again = fillSlots(disk, bytes).map((slot, block) => {
          if (block === badBlock) return slot
          disk.slots.release(slot)
          return 'disk' as const
        })
        const second = await commit(storage, piece, again, hashes)
        expect([second.error, second.v2Passed]).toEqual([null, true])
        expectBytes(await read(storage, piece, 0, bytes.length), bytes)
      }
    })

    test('a v2 piece may come without slots for its padding', async () => {
      const content = contentOf(ALIGNED)
      const storage = disk.addStorage(optionsFor(ALIGNED, world.savePath))
      const { bytes } = v2Part(ALIGNED, content, 2)
      const result = await commit(storage, 2, fillSlots(disk, bytes), { v1: null, v2: v2Root(ALIGNED, content, 2) })
      expect([result.error, result.v2Passed]).toEqual([null, true])
      expectBytes(await read(storage, 2, 0, 4 * BLOCK), pieceOf(ALIGNED, content, 2))
    })

    test('spilled blocks count at the commit that names them as on disk', async () => {
      const content = contentOf(MIXED)
      const storage = disk.addStorage(optionsFor(MIXED, world.savePath))
      const bytes = pieceOf(MIXED, content, 0)
      const slots = fillSlots(disk, bytes)
      const [error] = await run<[DiskError | null]>(done =>
        disk.spill(
          storage,
          0,
          [
            { block: 1, slot: slots[1]! },
            { block: 3, slot: slots[3]! },
          ],
          done,
        ),
      )
      expect(error).toBeNull()
      expect(disk.slots.inUse).toBe(2)
      const result = await commit(storage, 0, [slots[0]!, 'disk', slots[2]!, 'disk'], { v1: sha1(bytes), v2: null })
      expect([result.error, result.v1Passed]).toEqual([null, true])
      expect(disk.slots.inUse).toBe(0)
      expectBytes(await read(storage, 0, 0, bytes.length), bytes)
    })

    test('jobs of one piece run in the order given', async () => {
      const content = contentOf(MIXED)
      const storage = disk.addStorage(optionsFor(MIXED, world.savePath))
      const bytes = pieceOf(MIXED, content, 1)
      const order: string[] = []
      for (let round = 0; round < 5; round++) {
        const slots = fillSlots(disk, bytes)
        disk.spill(storage, 1, [{ block: 0, slot: slots[0]! }], () => order.push(`spill ${round}`))
        const sources = ['disk' as const, ...slots.slice(1)]
        disk.commitPiece(storage, 1, sources, { v1: sha1(bytes), v2: null }, false, result => {
          expect(result.v1Passed).toBe(true)
          order.push(`commit ${round}`)
        })
        disk.read(storage, 1, 0, BLOCK, {}, result => {
          expect(Buffer.concat(result.views).equals(bytes.subarray(0, BLOCK))).toBe(true)
          result.release()
          order.push(`read ${round}`)
        })
      }
      disk.submit()
      await world.until(() => order.length === 15, 'all jobs')
      const writes = order.filter(name => !name.startsWith('read'))
      const rounds = [0, 1, 2, 3, 4]
      expect(writes).toEqual(rounds.flatMap(round => [`spill ${round}`, `commit ${round}`]))
      for (const round of rounds) {
        expect(order.indexOf(`read ${round}`)).toBeGreaterThan(order.indexOf(`commit ${round}`))
      }
    })

    test('hashes of pieces on disk are those of their bytes, padding included for v1 only', async () => {
      const content = contentOf(ALIGNED)
      const storage = disk.addStorage(optionsFor(ALIGNED, world.savePath))
      await writeAll(run, disk, storage, ALIGNED, content)
      const result = await hash(storage, 0, 4, { v1: true, v2: true, blockHashes: true })
      expect(result.error).toBeNull()
      const pieces = [0, 1, 2, 3]
      expect(result.v1).toEqual(joined(pieces.map(piece => sha1(pieceOf(ALIGNED, content, piece)))))
      expect(result.v2).toEqual(joined(pieces.map(piece => v2Root(ALIGNED, content, piece))))
      expect(result.blockHashes).toEqual(joined(pieces.map(p => blockHashes(v2Part(ALIGNED, content, p).bytes))))
    })

    test('hashing ends at a missing file, with the pieces before it', async () => {
      const content = contentOf(MIXED)
      const storage = disk.addStorage(optionsFor(MIXED, world.savePath))
      const first = pieceOf(MIXED, content, 0)
      await commit(storage, 0, fillSlots(disk, first), { v1: sha1(first), v2: null })
      const result = await hash(storage, 0, MIXED.numPieces(), { v1: true, v2: false, blockHashes: false })
      expect(result.v1).toEqual(sha1(first))
      expect(result.error?.code.message()).toBe('No such file or directory')
      expect(result.error?.file).toBe(4)
    })

    test('reading what is not there is an error, and gives no bytes', async () => {
      const storage = disk.addStorage(optionsFor(MIXED, world.savePath))
      const [result] = await run<[ReadResult]>(done => disk.read(storage, 0, 0, BLOCK, {}, done))
      result.release()
      expect(result.views).toEqual([])
      expect(result.error?.code.message()).toBe('No such file or directory')
      expect(operationName(result.error!.operation)).toBe('file_open')
      expect(result.error?.file).toBe(0)
    })

    test('a torrent that was never here has no files; one that was needs a check or resume data', async () => {
      const content = contentOf(MIXED)
      const storage = disk.addStorage(optionsFor(MIXED, world.savePath))
      const check = async (have: Bitfield | null): Promise<CheckResult> =>
        (
          await run<[CheckResult]>(done =>
            disk.checkFiles(storage, have === null ? null : { flags: 0, haveBits: have }, [], done),
          )
        )[0]
      expect(await check(null)).toEqual({ status: CheckStatus.noFiles, error: null, oversizedFile: -1 })
      await writeAll(run, disk, storage, MIXED, content)
      expect((await check(null)).status).toBe(CheckStatus.needFullCheck)
      const all = new Bitfield(MIXED.numPieces(), true)
      expect(await check(all)).toEqual({ status: CheckStatus.ok, error: null, oversizedFile: -1 })
      const [error] = await run<[DiskError | null]>(done => disk.deleteFiles(storage, 1, done))
      expect(error).toBeNull()
      expect((await check(null)).status).toBe(CheckStatus.noFiles)
      expect((await check(all)).status).toBe(CheckStatus.needFullCheck)
    })

    test('after a move, renames and new priorities the bytes are still there', async () => {
      const content = contentOf(MIXED)
      const storage = disk.addStorage(optionsFor(MIXED, world.savePath))
      await writeAll(run, disk, storage, MIXED, content)
      const target = `${world.savePath}/elsewhere`
      const moved = await run<[DiskError | null, string, boolean]>(done => disk.moveStorage(storage, target, 0, done))
      expect(moved).toEqual([null, target, false])
      expect(await run<[DiskError | null]>(done => disk.renameFile(storage, 0, 'other/name', done))).toEqual([null])
      const wanted = [4, 4, 4, 4, 0]
      const [error, priorities] = await run<[DiskError | null, readonly number[]]>(done =>
        disk.setFilePriorities(storage, wanted, done),
      )
      expect(error).toBeNull()
      expect(priorities).toEqual(wanted)
      for (let piece = 0; piece < MIXED.numPieces(); piece++) {
        const bytes = pieceOf(MIXED, content, piece)
        expectBytes(await read(storage, piece, 0, bytes.length), bytes)
      }
    })

    test('a file does not get the name of another one', async () => {
      const content = contentOf(MIXED)
      const storage = disk.addStorage(optionsFor(MIXED, world.savePath))
      await writeAll(run, disk, storage, MIXED, content)
      const [error] = await run<[DiskError | null]>(done =>
        disk.renameFile(storage, 0, `.//${MIXED.filePath(2)}`, done),
      )
      expect(error!.code.message()).toBe('torrent file collides with file from another torrent')
      expect([operationName(error!.operation), error!.file]).toEqual(['file_rename', 0])
      for (let piece = 0; piece < MIXED.numPieces(); piece++) {
        const bytes = pieceOf(MIXED, content, piece)
        expectBytes(await read(storage, piece, 0, bytes.length), bytes)
      }
    })

    describe('a file that another storage has', () => {
      /** The second file has the size of the first of `ALIGNED`. */
      const SHARING = new MadeLayout(4 * BLOCK, [
        { path: 'w/own', size: BLOCK },
        { path: 'w/.pad/1', size: 3 * BLOCK, flags: PAD },
        { path: 'w/dir/copy', size: 9 * BLOCK + 5 },
        { path: 'w/.pad/2', size: 3 * BLOCK - 5, flags: PAD },
        { path: 'w/other', size: 2 * BLOCK + 1 },
      ])
      const content = contentOf(ALIGNED)
      const shared = content.subarray(0, 9 * BLOCK + 5)
      const check = async (storage: StorageHandle, links: readonly string[], resume: ResumeFacts | null = null) =>
        (await run<[CheckResult]>(done => disk.checkFiles(storage, resume, links, done)))[0]
      const source = async (): Promise<StorageHandle> => {
        const storage = disk.addStorage(optionsFor(ALIGNED, `${world.savePath}/old`))
        await writeAll(run, disk, storage, ALIGNED, content)
        return storage
      }
      const add = (more: Partial<StorageOptions> = {}): StorageHandle =>
        disk.addStorage(optionsFor(SHARING, `${world.savePath}/new`, { partFileName: '.new.parts', ...more }))
      const links = (large: string, small = '') => ['', '', large, '', small]
      const readShared = async (storage: StorageHandle): Promise<Uint8Array> =>
        new Uint8Array(
          Buffer.concat([
            await read(storage, 1, 0, 4 * BLOCK),
            await read(storage, 2, 0, 4 * BLOCK),
            await read(storage, 3, 0, BLOCK + 5),
          ]),
        )

      test('comes into being, and is to be checked', async () => {
        await source()
        const storage = add()
        const result = await check(storage, links(`${world.savePath}/old/v/large`))
        expect([result.status, result.error]).toEqual([CheckStatus.needFullCheck, null])
        expectBytes(await readShared(storage), shared)
        const hashed = await hash(storage, 1, 1, { v1: true, v2: false, blockHashes: false })
        expectBytes(hashed.v1!, sha1(pieceOf(ALIGNED, content, 0)))
        const [rest] = await run<[ReadResult]>(done => disk.read(storage, 4, 0, BLOCK, {}, done))
        rest.release()
        expect(rest.error).not.toBeNull()
      })

      test('is to be checked even if resume data has it all', async () => {
        await source()
        const storage = add()
        const bytes = pieceOf(SHARING, contentOf(SHARING), 4)
        await commit(storage, 0, fillSlots(disk, new Uint8Array(4 * BLOCK)), NO_HASHES)
        await commit(storage, 4, fillSlots(disk, bytes), NO_HASHES)
        const resume = { flags: 0, haveBits: new Bitfield(SHARING.numPieces(), true) }
        expect((await check(storage, links(`${world.savePath}/old/v/large`), resume)).status).toBe(
          CheckStatus.needFullCheck,
        )
        expectBytes(await readShared(storage), shared)
      })

      test('that cannot be had is told, and the others are shared all the same', async () => {
        await source()
        const storage = add()
        const result = await check(storage, links(`${world.savePath}/nowhere`, `${world.savePath}/old/v/small`))
        const { code, operation, file } = result.error!
        expect([code.message(), operationName(operation), file]).toEqual([
          'No such file or directory',
          'file_hard_link',
          2,
        ])
        expect(result.status).toBe(CheckStatus.needFullCheck)
        expectBytes(await read(storage, 4, 0, 2 * BLOCK + 1), content.subarray(12 * BLOCK))
      })

      test('of another size is not taken', async () => {
        await source()
        const storage = add()
        const result = await check(storage, links(`${world.savePath}/old/v/small`))
        expect([result.error?.code.message(), result.error?.file]).toEqual(['mismatching file size', 2])
        const [gone] = await run<[ReadResult]>(done => disk.read(storage, 1, 0, BLOCK, {}, done))
        gone.release()
        expect(gone.error).not.toBeNull()
      })

      test('does not take the place of one that is there, or is not wanted', async () => {
        await source()
        const storage = add()
        const bytes = pieceOf(SHARING, contentOf(SHARING), 2)
        await commit(storage, 2, fillSlots(disk, bytes), NO_HASHES)
        expect((await check(storage, links(`${world.savePath}/old/v/large`))).error).toBeNull()
        expectBytes(await read(storage, 2, 0, 4 * BLOCK), bytes)
        const unwanted = add({ savePath: `${world.savePath}/third`, filePriorities: [4, 4, 0, 4, 4] })
        const result = await check(unwanted, links(`${world.savePath}/old/v/large`))
        expect([result.status, result.error]).toEqual([CheckStatus.noFiles, null])
      })

      test('is not changed there when it is written to here', async () => {
        const old = await source()
        const storage = add()
        await check(storage, links(`${world.savePath}/old/v/large`))
        // what is read before keeps the file open
        expectBytes(await readShared(storage), shared)
        const bytes = pieceOf(SHARING, contentOf(SHARING), 2)
        const written = await Promise.all(
          [2, 3].map(piece =>
            commit(storage, piece, fillSlots(disk, pieceOf(SHARING, contentOf(SHARING), piece)), NO_HASHES),
          ),
        )
        expect(written.map(result => result.error)).toEqual([null, null])
        expectBytes(await read(storage, 1, 0, 4 * BLOCK), shared.subarray(0, 4 * BLOCK))
        expectBytes(await read(storage, 2, 0, 4 * BLOCK), bytes)
        for (let piece = 0; piece < ALIGNED.numPieces(); piece++) {
          const whole = pieceOf(ALIGNED, content, piece)
          expectBytes(await read(old, piece, 0, whole.length), whole)
        }
      })
    })

    test('an exclusive job waits for earlier jobs and holds back later ones', async () => {
      const content = contentOf(MIXED)
      const storage = disk.addStorage(optionsFor(MIXED, world.savePath))
      const order: string[] = []
      const write = (piece: number): void => {
        const bytes = pieceOf(MIXED, content, piece)
        disk.commitPiece(storage, piece, fillSlots(disk, bytes), { v1: sha1(bytes), v2: null }, false, result => {
          expect(result.v1Passed).toBe(true)
          order.push(`piece ${piece}`)
        })
      }
      write(0)
      write(1)
      disk.releaseFiles(storage, () => order.push('release'))
      write(2)
      disk.stop(storage, () => order.push('stop'))
      write(3)
      disk.submit()
      await world.until(() => order.length === 6, 'all jobs')
      expect(new Set(order.slice(0, 2))).toEqual(new Set(['piece 0', 'piece 1']))
      expect(order.slice(2)).toEqual(['release', 'piece 2', 'stop', 'piece 3'])
    })

    test('after a storage is removed its jobs still end, and new ones are aborted', async () => {
      const content = contentOf(MIXED)
      const storage = disk.addStorage(optionsFor(MIXED, world.savePath))
      const bytes = pieceOf(MIXED, content, 0)
      let before: CommitResult | null = null
      disk.commitPiece(storage, 0, fillSlots(disk, bytes), { v1: sha1(bytes), v2: null }, false, result => {
        before = result
      })
      disk.removeStorage(storage)
      const [late] = await run<[CommitResult]>(done =>
        disk.commitPiece(storage, 1, fillSlots(disk, bytes), NO_HASHES, false, done),
      )
      expect(late.error?.code.message()).toBe('Operation canceled')
      await world.until(() => before !== null, 'the earlier job')
      expect(before!.error).toBeNull()
      const [result] = await run<[ReadResult]>(done => disk.read(storage, 0, 0, BLOCK, {}, done))
      result.release()
      expect(result.error?.code.message()).toBe('Operation canceled')
      expect(disk.slots.inUse).toBe(0)
    })

    test('closing ends every job, each with one callback, the last of all its own', async () => {
      const content = contentOf(MIXED)
      const storage = disk.addStorage(optionsFor(MIXED, world.savePath))
      let calls = 0
      for (let round = 0; round < 10; round++) {
        for (let piece = 0; piece < MIXED.numPieces(); piece++) {
          const bytes = pieceOf(MIXED, content, piece)
          disk.commitPiece(storage, piece, fillSlots(disk, bytes), { v1: sha1(bytes), v2: null }, false, () => calls++)
        }
        disk.hashPieces(storage, 0, 4, { v1: true, v2: false, blockHashes: false }, () => calls++)
        disk.releaseFiles(storage, () => calls++)
      }
      let atEnd = -1
      closed = true
      disk.close(() => {
        atEnd = calls
      })
      await world.until(() => atEnd >= 0, 'the end of the disk')
      expect(atEnd).toBe(10 * (MIXED.numPieces() + 2))
      expect(calls).toBe(atEnd)
      expect(disk.slots.inUse).toBe(0)
    })

    test('whatever is done at once, every read sees the writes before it and none after', async () => {
      let seed = 7
      const random = (n: number): number => {
        seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
        return (seed >> 8) % n
      }
      const storages = [0, 1, 2].map(i => disk.addStorage(optionsFor(MIXED, `${world.savePath}/${i}`)))
      /** Generation of each piece, as of the last write given. */
      const written = storages.map(() => new Array<number>(MIXED.numPieces()).fill(-1))
      const content = contentOf(MIXED)
      const bytesOf = (piece: number, generation: number): Uint8Array => {
        const out = pieceOf(MIXED, content, piece).map(byte => byte ^ generation)
        if (piece === 0) out.fill(0, 3 * BLOCK + 110, 4 * BLOCK)
        return out
      }
      let given = 0
      let ended = 0
      const wrong: string[] = []
      const end = (fine: boolean, what: string): void => {
        ended++
        if (!fine) wrong.push(what)
      }
      for (let n = 0; n < 400; n++) {
        const which = random(3)
        const storage = storages[which]!
        const piece = random(MIXED.numPieces())
        const generation = written[which]![piece]!
        given++
        const kind = random(8)
        if (kind < 3 || generation < 0) {
          const bytes = bytesOf(piece, n & 127)
          written[which]![piece] = n & 127
          const hashes = { v1: sha1(bytes), v2: null }
          const slots = fillSlots(disk, bytes, kind === 0)
          disk.commitPiece(storage, piece, slots, hashes, false, r => end(r.v1Passed === true, `commit ${n}`))
        } else if (kind < 6) {
          const bytes = bytesOf(piece, generation)
          const offset = random(bytes.length - 1)
          const length = 1 + random(Math.min(BLOCK, bytes.length - offset - 1))
          disk.read(storage, piece, offset, length, { sequential: kind === 5 }, r => {
            const got = Buffer.concat(r.views)
            end(got.equals(bytes.subarray(offset, offset + length)), `read ${n}`)
            r.release()
          })
        } else if (kind === 6) {
          const expected = sha1(bytesOf(piece, generation))
          disk.hashPieces(storage, piece, 1, { v1: true, v2: false, blockHashes: false }, r =>
            end(r.v1 !== null && Buffer.compare(r.v1, expected) === 0, `hash ${n}`),
          )
        } else {
          disk.releaseFiles(storage, error => end(error === null, `release ${n}`))
        }
        if (random(10) === 0) disk.submit()
        if (n % 50 === 49) await world.until(() => ended === given, 'a batch of jobs')
      }
      await world.until(() => ended === given, 'all jobs')
      expect(wrong).toEqual([])
      expect(disk.slots.inUse).toBe(0)
    })

    test('pieces of several storages do not mix', async () => {
      const content = contentOf(MIXED)
      const other = content.map(byte => byte ^ 0xff)
      const one = disk.addStorage(optionsFor(MIXED, `${world.savePath}/one`))
      const two = disk.addStorage(optionsFor(MIXED, `${world.savePath}/two`))
      expect(one.id).not.toBe(two.id)
      const bytes = [pieceOf(MIXED, content, 3), pieceOf(MIXED, other, 3)] as const
      await commit(one, 3, fillSlots(disk, bytes[0]), { v1: sha1(bytes[0]), v2: null })
      await commit(two, 3, fillSlots(disk, bytes[1]), { v1: sha1(bytes[1]), v2: null })
      expectBytes(await read(one, 3, 0, bytes[0].length), bytes[0])
      expectBytes(await read(two, 3, 0, bytes[1].length), bytes[1])
    })
  })
}

/** `toEqual` takes its time over long arrays. */
function expectBytes(actual: Uint8Array, expected: Uint8Array): void {
  expect(Buffer.compare(actual, expected)).toBe(0)
}

/** Some other 32 bytes. */
function otherRoot(root: Uint8Array): Uint8Array {
  const out = root.slice()
  out[0]! ^= 1
  return out
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}
