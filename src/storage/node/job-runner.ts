/**
 * Runs disk jobs, one after the other, with blocking I/O. Lives in a worker; unit tests run it in-process.
 */

import { performance } from 'node:perf_hooks'
import { BLOCK_SIZE } from '../../core/brands.ts'
import { bytesEqual, concatBytes, equalAt } from '../../core/bytes.ts'
import { Operation } from '../../core/enums.ts'
import { errnoError } from '../../core/error-code.ts'
import { FRAME_SIZE, PIECE_HEADER_SIZE, putPieceHeader } from '../../core/piece-frames.ts'
import { DiskFailure, diskFailure, toWireError, type WireError } from '../disk-error.ts'
import { SEGMENT_SLOTS } from '../slab.ts'
import {
  BLOCK_NOT_GIVEN,
  BLOCK_ON_DISK,
  SLICE,
  SliceFlags,
  type WireAnswer,
  type WireCommit,
  type WireFile,
  type WireHash,
  type WireJob,
  WireOp,
  type WirePart,
  type WireRead,
} from '../worker-protocol.ts'
import { runFileTask } from './file-ops.ts'
import {
  readFully,
  readViews,
  syncFile,
  type WorkerFiles,
  type WriteTarget,
  writePartEntries,
  writeViews,
} from './worker-files.ts'
import { HasherCache, leafCount } from './worker-hash.ts'

/** Large enough that a call's cost vanishes, small enough that the bytes are still in the cache when they are hashed. */
const READ_STEP = 256 * 1024

/** Executes {@link WireJob}s over shared slots and a pool of open files. */
export class JobRunner {
  readonly #files: WorkerFiles
  /** Segments of the write slab and of the read slab. */
  readonly #segments: [SharedArrayBuffer[], SharedArrayBuffer[]]
  /** Views of slots of the read slab, made when first used. */
  readonly #frames: { readonly header: Uint8Array; readonly payload: Uint8Array }[] = []
  readonly #hashers = new HasherCache()
  #scratch: Uint8Array | null = null
  #readTime = 0
  #writeTime = 0
  #hashTime = 0
  #blocksHashed = 0
  #readOps = 0
  #writeOps = 0

  constructor(files: WorkerFiles, segments: readonly [readonly SharedArrayBuffer[], readonly SharedArrayBuffer[]]) {
    this.#files = files
    this.#segments = [segments[0].slice(), segments[1].slice()]
  }

  addSegment(pool: number, index: number, memory: SharedArrayBuffer): void {
    this.#segments[pool]![index] = memory
  }

  /** @param cancelled polled between the parts of a long job */
  run(job: WireJob, cancelled: () => boolean): WireAnswer {
    this.#readTime = this.#writeTime = this.#hashTime = 0
    this.#readOps = this.#writeOps = this.#blocksHashed = 0
    const answer = emptyAnswer(job.id)
    let error: WireError | null = null
    try {
      switch (job.op) {
        case WireOp.commit:
          this.#commit(job, answer)
          break
        case WireOp.read:
          this.#read(job, answer)
          break
        case WireOp.hash:
          this.#hash(job, answer, cancelled)
          break
        case WireOp.close:
          this.#files.closeStorage(job.storage)
          break
        case WireOp.file:
          this.#fileTask(job, answer)
          break
      }
    } catch (thrown) {
      error = toWireError(diskFailure(thrown, Operation.exception, -1))
    }
    return {
      ...answer,
      error,
      files: this.#files.takeEvents(),
      ...this.#files.takeCounts(),
      readTime: Math.round(this.#readTime * 1000),
      writeTime: Math.round(this.#writeTime * 1000),
      hashTime: Math.round(this.#hashTime * 1000),
      blocksHashed: this.#blocksHashed,
      readOps: this.#readOps,
      writeOps: this.#writeOps,
    }
  }

  #fileTask(job: WireFile, answer: WireAnswer): void {
    const result = runFileTask(job.task, job.storage, this.#files)
    if (result instanceof Uint8Array) answer.data = result
    else answer.numbers = result
  }

  #commit(job: WireCommit, answer: WireAnswer): void {
    const runs = this.#runsOf(job)
    if (job.v1 !== null || job.v2 !== null || job.wantBlockHashes) {
      this.#verify(job, runs, answer)
      if (answer.v1State === 2 || answer.v2State === 2) {
        // whoever has to find out which block is bad needs these; they are not worth having otherwise
        if (answer.blockHashes === null) {
          this.#verify({ ...job, v1: null, v2: null, wantBlockHashes: true }, runs, answer)
        }
        if (job.blocks !== null) this.#timedWrite(job, this.#runsOf({ ...job, slots: goodSlots(job, answer) }))
        return
      }
    }
    this.#timedWrite(job, runs)
  }

  #timedWrite(job: WireCommit, runs: readonly Run[]): void {
    const started = performance.now()
    try {
      this.#write(job, runs)
    } finally {
      this.#writeTime += performance.now() - started
    }
  }

  /** Hashes the piece from its slots and from what is on disk, and compares. */
  #verify(job: WireCommit, runs: readonly Run[], answer: WireAnswer): void {
    const started = performance.now()
    const readBefore = this.#readTime
    const v2 = job.v2 !== null || job.wantBlockHashes
    const hasher = this.#hashers.take(job.v1 !== null, v2, job.pieceLength)
    const slices = job.slices
    let at = 0
    let v2Length = 0
    let v2FileSize = 0
    for (let s = 0; s < slices.length; s += SLICE.stride) {
      const length = slices[s + SLICE.length] as number
      if (((slices[s + SLICE.flags] as number) & SliceFlags.pad) !== 0) {
        hasher.updatePad(length)
      } else {
        this.#feed(job.storage, slices, s, runs, at, length, view => hasher.update(view))
        v2Length += length
        v2FileSize = slices[s + SLICE.fileSize] as number
      }
      at += length
    }
    if (job.v1 !== null) answer.v1State = bytesEqual(hasher.takeV1(), job.v1) ? 1 : 2
    if (v2) {
      if (job.wantBlockHashes) {
        answer.blockHashes = new Uint8Array(Math.ceil(v2Length / BLOCK_SIZE) * 32)
        hasher.copyBlockHashes(answer.blockHashes)
      }
      const root = hasher.takeV2Root(leafCount(v2FileSize, job.pieceLength))
      if (job.v2 !== null) answer.v2State = bytesEqual(root, job.v2) ? 1 : 2
    }
    this.#hashers.give(hasher)
    this.#blocksHashed += Math.ceil(job.pieceSize / BLOCK_SIZE)
    this.#hashTime += performance.now() - started - (this.#readTime - readBefore)
  }

  /** Gives the bytes `[start, start + length)` of the piece to `take`, from slots or from the file. */
  #feed(
    storage: number,
    slices: WireCommit['slices'],
    slice: number,
    runs: readonly Run[],
    start: number,
    length: number,
    take: (view: Uint8Array) => void,
  ): void {
    const end = start + length
    for (const run of runs) {
      const from = Math.max(start, run.start)
      const to = Math.min(end, run.end)
      if (from >= to) continue
      if (run.view !== null) {
        take(run.view.subarray(from - run.start, to - run.start))
        continue
      }
      this.#readRange(storage, slices, slice, from - start, to - from, take)
    }
  }

  #write(job: WireCommit, runs: readonly Run[]): void {
    if (job.part !== null) this.#writePartHeader(job.storage, job.part)
    const slices = job.slices
    let at = 0
    for (let s = 0; s < slices.length; s += SLICE.stride) {
      const length = slices[s + SLICE.length] as number
      const flags = slices[s + SLICE.flags] as number
      if ((flags & SliceFlags.pad) === 0) this.#writeSlice(job, runs, s, at, length)
      at += length
    }
  }

  #writeSlice(job: WireCommit, runs: readonly Run[], s: number, start: number, length: number): void {
    const slices = job.slices
    const file = slices[s + SLICE.file] as number
    const flags = slices[s + SLICE.flags] as number
    const offset = slices[s + SLICE.offset] as number
    const operation = (flags & SliceFlags.part) !== 0 ? Operation.partfileWrite : Operation.fileWrite
    let target: WriteTarget | null = null
    let views: Uint8Array[] = []
    let viewsStart = 0
    let viewsEnd = 0
    const end = start + length
    for (const run of runs) {
      const from = Math.max(start, run.start)
      const to = Math.min(end, run.end)
      if (from >= to || run.view === null) continue
      if (target === null) {
        const name = slices[s + SLICE.path] as string
        target = this.#files.openForWrite(job.storage, file, name, flags, slices[s + SLICE.fileSize] as number)
      }
      if (views.length > 0 && from !== viewsEnd) {
        this.#writeOps += writeViews(target, views, offset + viewsStart - start, operation, file)
        views = []
      }
      if (views.length === 0) viewsStart = from
      views.push(run.view.subarray(from - run.start, to - run.start))
      viewsEnd = to
    }
    if (target === null) return
    if (views.length > 0) this.#writeOps += writeViews(target, views, offset + viewsStart - start, operation, file)
    if (job.sync) syncFile(target.fd, file)
  }

  #writePartHeader(storage: number, part: WirePart): void {
    const { fd } = this.#files.openForWrite(storage, 0, part.path, SliceFlags.part, 0)
    writePartEntries(fd, part)
  }

  #read(job: WireRead, answer: WireAnswer): void {
    const started = performance.now()
    const views: Uint8Array[] = []
    if (job.slots === null) {
      answer.data = new Uint8Array(job.length)
      views.push(answer.data)
    } else {
      for (let i = 0; i < job.slots.length; i++) {
        const at = i * BLOCK_SIZE
        views.push(this.#frame(job.slots[i]!, job.piece, job.begin + at, Math.min(BLOCK_SIZE, job.length - at)))
      }
    }
    const slices = job.slices
    let at = 0
    for (let s = 0; s < slices.length; s += SLICE.stride) {
      const length = slices[s + SLICE.length] as number
      this.#readInto(job.storage, slices, s, views, at, length)
      at += length
    }
    this.#readTime += performance.now() - started
  }

  /** A slot of the read slab: writes the header of its message. @returns where its payload goes */
  #frame(slot: number, piece: number, begin: number, length: number): Uint8Array {
    const segment = this.#segments[1][Math.floor(slot / SEGMENT_SLOTS)]
    if (segment === undefined) throw new Error(`JobRunner: slot ${slot} is in no known segment`)
    let frame = this.#frames[slot]
    if (frame === undefined) {
      const at = (slot % SEGMENT_SLOTS) * FRAME_SIZE
      const payload = new Uint8Array(segment, at + PIECE_HEADER_SIZE, BLOCK_SIZE)
      frame = { header: new Uint8Array(segment, at, PIECE_HEADER_SIZE), payload }
      this.#frames[slot] = frame
    }
    putPieceHeader(frame.header, 0, piece, begin, length)
    return length === BLOCK_SIZE ? frame.payload : frame.payload.subarray(0, length)
  }

  #readInto(
    storage: number,
    slices: WireRead['slices'],
    s: number,
    views: readonly Uint8Array[],
    start: number,
    length: number,
  ): void {
    const flags = slices[s + SLICE.flags] as number
    const offset = slices[s + SLICE.offset] as number
    const file = slices[s + SLICE.file] as number
    const pad = (flags & SliceFlags.pad) !== 0
    const fd = pad ? -1 : this.#openSlice(storage, slices, s)
    const operation = (flags & SliceFlags.part) !== 0 ? Operation.partfileRead : Operation.fileRead
    const targets: Uint8Array[] = []
    let viewStart = 0
    for (const view of views) {
      const from = Math.max(0, start - viewStart)
      const to = Math.min(view.length, start + length - viewStart)
      if (from < to) targets.push(to - from === view.length ? view : view.subarray(from, to))
      viewStart += view.length
    }
    if (pad) for (const target of targets) target.fill(0)
    else this.#readOps += readViews(fd, targets, offset, operation, file)
  }

  /** Descriptor for reading one slice. */
  #openSlice(storage: number, slices: WireRead['slices'], s: number): number {
    const flags = slices[s + SLICE.flags] as number
    const file = slices[s + SLICE.file] as number
    if ((flags & SliceFlags.absent) !== 0) {
      throw new DiskFailure(errnoError('ENOENT'), Operation.partfileRead, file)
    }
    return this.#files.openForRead(storage, file, slices[s + SLICE.path] as string, flags)
  }

  /** Reads part of a slice through the scratch buffer. */
  #readRange(
    storage: number,
    slices: WireRead['slices'],
    s: number,
    start: number,
    length: number,
    take: (view: Uint8Array) => void,
  ): void {
    const flags = slices[s + SLICE.flags] as number
    const offset = slices[s + SLICE.offset] as number
    const file = slices[s + SLICE.file] as number
    const fd = this.#openSlice(storage, slices, s)
    const operation = (flags & SliceFlags.part) !== 0 ? Operation.partfileRead : Operation.fileRead
    const scratch = this.#scratchBuffer()
    for (let at = 0; at < length; at += READ_STEP) {
      const n = Math.min(READ_STEP, length - at)
      const view = n === READ_STEP ? scratch : scratch.subarray(0, n)
      const started = performance.now()
      this.#readOps += readFully(fd, view, offset + start + at, operation, file)
      this.#readTime += performance.now() - started
      take(view)
    }
  }

  #hash(job: WireHash, answer: WireAnswer, cancelled: () => boolean): void {
    const started = performance.now()
    const pieces = Math.ceil(job.length / job.pieceLength)
    const v1 = job.v1 ? new Uint8Array(pieces * 20) : null
    const v2 = job.v2 ? new Uint8Array(pieces * 32) : null
    const blocks: Uint8Array[] = []
    let done = 0
    try {
      const walk = new SliceWalk(job.slices)
      for (; done < pieces; done++) {
        if (cancelled()) throw new DiskFailure(errnoError('ECANCELED'), Operation.fileRead, -1)
        const size = Math.min(job.pieceLength, job.length - done * job.pieceLength)
        this.#hashPiece(job, walk, size, done, v1, v2, job.blockHashes ? blocks : null)
      }
    } finally {
      answer.v1 = v1 === null ? null : v1.subarray(0, done * 20)
      answer.v2 = v2 === null ? null : v2.subarray(0, done * 32)
      if (job.blockHashes) answer.blockHashes = concatBytes(blocks)
      this.#hashTime += performance.now() - started - this.#readTime
    }
  }

  #hashPiece(
    job: WireHash,
    walk: SliceWalk,
    size: number,
    index: number,
    v1: Uint8Array | null,
    v2: Uint8Array | null,
    blocks: Uint8Array[] | null,
  ): void {
    const needV2 = v2 !== null || blocks !== null
    const hasher = this.#hashers.take(job.v1, needV2, job.pieceLength)
    let v2Length = 0
    let v2FileSize = 0
    for (let left = size; left > 0; ) {
      const s = walk.slice
      const n = Math.min(left, walk.left)
      if (((job.slices[s + SLICE.flags] as number) & SliceFlags.pad) !== 0) {
        hasher.updatePad(n)
      } else {
        this.#readRange(job.storage, job.slices, s, walk.at, n, view => hasher.update(view))
        v2Length += n
        v2FileSize = job.slices[s + SLICE.fileSize] as number
      }
      walk.advance(n)
      left -= n
    }
    if (v1 !== null) v1.set(hasher.takeV1(), index * 20)
    if (needV2) {
      if (blocks !== null) {
        const out = new Uint8Array(Math.ceil(v2Length / BLOCK_SIZE) * 32)
        hasher.copyBlockHashes(out)
        blocks.push(out)
      }
      const root = hasher.takeV2Root(leafCount(v2FileSize, job.pieceLength))
      v2?.set(root, index * 32)
    }
    this.#hashers.give(hasher)
    this.#blocksHashed += Math.ceil(size / BLOCK_SIZE)
  }

  /** The piece as runs: neighbouring slots as one view, blocks on disk as `null`. Blocks not given are in no run. */
  #runsOf(job: WireCommit): Run[] {
    const out: Run[] = []
    let start = 0
    this.#forRuns(job.slots, (segment, first, count) => {
      const end = Math.min(job.pieceSize, start + count * BLOCK_SIZE)
      if (segment !== null) {
        out.push({ start, end, view: new Uint8Array(segment, first * BLOCK_SIZE, end - start) })
      } else if (first === BLOCK_ON_DISK) {
        out.push({ start, end, view: null })
      }
      start += count * BLOCK_SIZE
    })
    // Blocks beyond the list are on disk, or padding: a v2 piece may be shorter than the v1 one.
    if (start < job.pieceSize) out.push({ start, end: job.pieceSize, view: null })
    return out
  }

  /** Groups neighbouring slots. For blocks that are no slots, `segment` is `null` and `first` says which kind. */
  #forRuns(
    slots: readonly number[],
    each: (segment: SharedArrayBuffer | null, first: number, count: number) => void,
  ): void {
    for (let i = 0; i < slots.length; ) {
      const slot = slots[i]!
      let n = 1
      if (slot === BLOCK_ON_DISK || slot === BLOCK_NOT_GIVEN) {
        while (i + n < slots.length && slots[i + n] === slot) n++
        each(null, slot, n)
      } else {
        const index = slot % SEGMENT_SLOTS
        while (i + n < slots.length && slots[i + n] === slot + n && index + n < SEGMENT_SLOTS) n++
        const segment = this.#segments[0][Math.floor(slot / SEGMENT_SLOTS)]
        if (segment === undefined) throw new Error(`JobRunner: slot ${slot} is in no known segment`)
        each(segment, index, n)
      }
      i += n
    }
  }

  #scratchBuffer(): Uint8Array {
    this.#scratch ??= new Uint8Array(READ_STEP)
    return this.#scratch
  }
}

/** The slots of blocks that are what they should be. */
function goodSlots(job: WireCommit, answer: WireAnswer): number[] {
  const { blockHashes } = answer
  return job.slots.map((slot, b) => {
    const good = blockHashes !== null && equalAt(blockHashes, b * 32, job.blocks!, b * 32, 32)
    return good ? slot : BLOCK_NOT_GIVEN
  })
}

/** Part of a piece: in memory, or (`view` is `null`) on disk. Offsets are within the piece. */
interface Run {
  readonly start: number
  readonly end: number
  readonly view: Uint8Array | null
}

/** Position in a list of slices. */
class SliceWalk {
  readonly #slices: WireHash['slices']
  /** Index of the slice's first field. */
  slice = 0
  /** Offset within the slice. */
  at = 0

  constructor(slices: WireHash['slices']) {
    this.#slices = slices
  }

  /** Bytes left in the slice. */
  get left(): number {
    return (this.#slices[this.slice + SLICE.length] as number) - this.at
  }

  advance(count: number): void {
    this.at += count
    if (this.left === 0 && this.slice + SLICE.stride < this.#slices.length) {
      this.slice += SLICE.stride
      this.at = 0
    }
  }
}

function emptyAnswer(id: number): WireAnswer {
  return {
    id,
    error: null,
    v1State: 0,
    v2State: 0,
    v1: null,
    v2: null,
    blockHashes: null,
    data: null,
    numbers: null,
    files: null,
    readTime: 0,
    writeTime: 0,
    hashTime: 0,
    blocksHashed: 0,
    readOps: 0,
    writeOps: 0,
    fileHits: 0,
    fileMisses: 0,
  }
}
