/** Keeps torrents in memory: for tests, benchmarks, and programs that stream what they download elsewhere. */

import { resolve } from 'node:path'
import { BLOCK_SIZE, type BlockIndex, type FileIndex, type PieceIndex } from '../core/brands.ts'
import { bytesEqual, concatBytes, equalAt } from '../core/bytes.ts'
import { type MoveFlags, MoveFlags as MoveFlagValues, Operation, TorrentFlags } from '../core/enums.ts'
import { errnoError } from '../core/error-code.ts'
import { PieceHasher, v2LeafCount } from '../metainfo/piece-hash.ts'
import { abortedError } from './disk-error.ts'
import {
  type BlockSource,
  type CheckResult,
  CheckStatus,
  type CommitResult,
  type DiskError,
  type DiskIo,
  type DiskSettings,
  type DiskStats,
  type HashResult,
  NO_DISK_STATS,
  type OpenFile,
  type PieceHashes,
  type ReadFlags,
  type ReadResult,
  type ResumeFacts,
  type StorageHandle,
  type StorageOptions,
} from './disk-io.ts'
import { type ImmediateDiskOptions, ImmediateJobs } from './immediate-disk.ts'
import { MemoryStorage, shareFiles } from './memory-storage.ts'
import type { Slot, SlotPool } from './slab.ts'
import type { StorageState } from './storage-state.ts'
import { renameCollision } from './storage-steps.ts'

/** @see ImmediateDiskOptions */
export function createMemoryDisk(options: ImmediateDiskOptions = {}): DiskIo {
  return new MemoryDisk(options)
}

class MemoryDisk implements DiskIo {
  readonly #jobs: ImmediateJobs
  readonly #storages = new Map<number, MemoryStorage>()
  #nextId = 1
  #closed = false
  #blocksWritten = 0
  #blocksRead = 0
  #blocksHashed = 0

  constructor(options: ImmediateDiskOptions) {
    this.#jobs = new ImmediateJobs(options)
  }

  get slots(): SlotPool {
    return this.#jobs.slab
  }

  addStorage(options: StorageOptions): StorageHandle {
    const storage = new MemoryStorage(this.#nextId++, options)
    this.#storages.set(storage.id, storage)
    return storage
  }

  removeStorage(storage: StorageHandle): void {
    const state = this.#usable(storage)
    if (state === null) throw new Error('DiskIo: no such storage')
    state.removed = true
    this.#jobs.add(() => {
      this.#storages.delete(state.id)
      return () => {}
    })
  }

  commitPiece(
    storage: StorageHandle,
    piece: PieceIndex,
    sources: readonly BlockSource[],
    hashes: PieceHashes,
    wantBlockHashes: boolean,
    done: (result: CommitResult) => void,
  ): void {
    const state = this.#usable(storage)
    this.#jobs.add(() => {
      let result: CommitResult = {
        error: abortedError(Operation.fileWrite),
        v1Passed: null,
        v2Passed: null,
        blockHashes: null,
      }
      if (state !== null) result = this.#commit(state, piece, sources, hashes, wantBlockHashes)
      for (const source of sources) if (source !== 'disk') this.#jobs.slab.release(source)
      return () => done(result)
    })
  }

  spill(
    storage: StorageHandle,
    piece: PieceIndex,
    blocks: readonly { readonly block: BlockIndex; readonly slot: Slot }[],
    done: (error: DiskError | null) => void,
  ): void {
    const state = this.#usable(storage)
    this.#jobs.add(() => {
      for (const { block, slot } of blocks) {
        if (state !== null) this.#store(state, piece, block, slot)
        this.#jobs.slab.release(slot)
      }
      return () => done(state === null ? abortedError(Operation.fileWrite) : null)
    })
  }

  read(
    storage: StorageHandle,
    piece: PieceIndex,
    offset: number,
    length: number,
    _flags: ReadFlags,
    done: (result: ReadResult) => void,
  ): void {
    const state = this.#usable(storage)
    this.#jobs.add(() => {
      if (state === null) return () => done(readResult(abortedError(Operation.fileRead), null))
      const bytes = state.pieces.get(piece)
      if (bytes === undefined) {
        const error = this.#missing(state, piece)
        return () => done(readResult(error, null))
      }
      this.#blocksRead += Math.ceil(length / BLOCK_SIZE)
      return () => done(readResult(null, bytes.subarray(offset, offset + length)))
    })
  }

  hashPieces(
    storage: StorageHandle,
    first: PieceIndex,
    count: number,
    want: { readonly v1: boolean; readonly v2: boolean; readonly blockHashes: boolean },
    done: (result: HashResult) => void,
  ): void {
    const state = this.#usable(storage)
    this.#jobs.add(() => {
      const result =
        state === null
          ? { error: abortedError(Operation.fileRead), v1: null, v2: null, blockHashes: null }
          : this.#hashPieces(state, first, count, want)
      return () => done(result)
    })
  }

  checkFiles(
    storage: StorageHandle,
    resume: ResumeFacts | null,
    links: readonly string[],
    done: (result: CheckResult) => void,
  ): void {
    const state = this.#usable(storage)
    this.#jobs.add(() => {
      if (state === null) {
        const error = abortedError(Operation.checkResume)
        return () => done({ status: CheckStatus.failed, error, oversizedFile: -1 })
      }
      const trusts = resume !== null && (resume.flags & (TorrentFlags.noVerifyFiles | TorrentFlags.seedMode)) !== 0
      const { added, error } = shareFiles(state, links, [...this.#storages.values()])
      const found = memoryStatus(state, resume)
      const status = error !== null || (added && !trusts) ? CheckStatus.needFullCheck : found
      return () => done({ status, error, oversizedFile: -1 })
    })
  }

  moveStorage(
    storage: StorageHandle,
    path: string,
    flags: MoveFlags,
    done: (error: DiskError | null, path: string, needFullCheck: boolean) => void,
  ): void {
    this.#simple(storage, (error, state) => {
      if (state !== null) state.savePath = resolve(path)
      done(error, path, error === null && flags === MoveFlagValues.resetSavePath)
    })
  }

  renameFile(storage: StorageHandle, file: FileIndex, name: string, done: (error: DiskError | null) => void): void {
    this.#simple(storage, (error, state) => {
      const taken = state === null ? null : renameCollision(state, file, name)
      if (taken === null) state?.rename(file, name)
      done(error ?? taken)
    })
  }

  deleteFiles(storage: StorageHandle, flags: number, done: (error: DiskError | null) => void): void {
    this.#simple(storage, (error, state) => {
      if ((flags & 1) !== 0) state?.pieces.clear()
      done(error)
    })
  }

  setFilePriorities(
    storage: StorageHandle,
    priorities: readonly number[],
    done: (error: DiskError | null, priorities: readonly number[]) => void,
  ): void {
    this.#simple(storage, (error, state) => {
      state?.setPriorities(priorities.slice())
      done(error, priorities)
    })
  }

  releaseFiles(storage: StorageHandle, done: (error: DiskError | null) => void): void {
    this.#simple(storage, done)
  }

  stop(storage: StorageHandle, done: (error: DiskError | null) => void): void {
    this.#simple(storage, done)
  }

  openFiles(): readonly OpenFile[] {
    return []
  }

  stats(): DiskStats {
    return {
      ...NO_DISK_STATS,
      blocksInUse: this.#jobs.slab.inUse,
      queuedJobs: this.#jobs.queued,
      blocksWritten: this.#blocksWritten,
      blocksRead: this.#blocksRead,
      blocksHashed: this.#blocksHashed,
    }
  }

  applySettings(settings: DiskSettings): void {
    this.#jobs.setBudget(settings)
  }

  submit(): void {
    this.#jobs.run()
  }

  close(done: () => void): void {
    if (this.#closed) throw new Error('DiskIo: closed twice')
    this.#closed = true
    this.#jobs.add(() => done)
    this.#jobs.run()
  }

  #usable(storage: StorageHandle): MemoryStorage | null {
    const state = this.#storages.get(storage.id)
    return state === undefined || state.removed || this.#closed ? null : state
  }

  #simple(storage: StorageHandle, done: (error: DiskError | null, state: MemoryStorage | null) => void): void {
    const state = this.#usable(storage)
    this.#jobs.add(() => () => done(state === null ? abortedError(Operation.unknown) : null, state))
  }

  #commit(
    state: MemoryStorage,
    piece: PieceIndex,
    sources: readonly BlockSource[],
    hashes: PieceHashes,
    wantBlockHashes: boolean,
  ): CommitResult {
    const before = state.pieces.get(piece)
    const bytes = new Uint8Array(state.pieceSize(piece))
    if (before !== undefined) bytes.set(before)
    sources.forEach((source, block) => {
      if (source !== 'disk') copyBlock(bytes, block, this.#jobs.slab.view(source))
    })
    clearPads(state, piece, bytes)
    const hashed = hashPiece(state, piece, bytes, hashes.v1 !== null, true)
    this.#blocksHashed += sources.length
    const v1Passed = hashes.v1 === null ? null : bytesEqual(hashed.v1!, hashes.v1)
    const v2Passed = hashes.v2 === null ? null : bytesEqual(hashed.v2!, hashes.v2)
    if (v1Passed !== false && v2Passed !== false) {
      state.pieces.set(piece, bytes)
      this.#blocksWritten += sources.length
    }
    const failed = v1Passed === false || v2Passed === false
    if (failed && hashes.blocks != null && hashed.blocks !== null) {
      for (let block = 0; block < sources.length; block++) {
        const source = sources[block]!
        if (source === 'disk' || !equalAt(hashed.blocks, block * 32, hashes.blocks, block * 32, 32)) continue
        this.#store(state, piece, block, source)
      }
    }
    return { error: null, v1Passed, v2Passed, blockHashes: wantBlockHashes || failed ? hashed.blocks : null }
  }

  #store(state: MemoryStorage, piece: PieceIndex, block: BlockIndex, slot: Slot): void {
    let bytes = state.pieces.get(piece)
    if (bytes === undefined) {
      bytes = new Uint8Array(state.pieceSize(piece))
      state.pieces.set(piece, bytes)
    }
    copyBlock(bytes, block, this.#jobs.slab.view(slot))
    clearPads(state, piece, bytes)
    this.#blocksWritten++
  }

  #hashPieces(
    state: MemoryStorage,
    first: PieceIndex,
    count: number,
    want: { readonly v1: boolean; readonly v2: boolean; readonly blockHashes: boolean },
  ): HashResult {
    const v1: Uint8Array[] = []
    const v2: Uint8Array[] = []
    const blocks: Uint8Array[] = []
    let error: DiskError | null = null
    // a gap before that reads as zeros, as in a file with holes
    let highest = -1
    for (const piece of state.pieces.keys()) highest = Math.max(highest, piece)
    for (let piece = first; piece < first + count; piece++) {
      const bytes =
        state.pieces.get(piece) ??
        padOnly(state, piece) ??
        (piece < highest ? new Uint8Array(state.pieceSize(piece)) : null)
      if (bytes === null) {
        error = this.#missing(state, piece)
        break
      }
      const hashed = hashPiece(state, piece, bytes, want.v1, want.v2 || want.blockHashes)
      if (hashed.v1 !== null) v1.push(hashed.v1)
      if (hashed.v2 !== null) v2.push(hashed.v2)
      if (hashed.blocks !== null) blocks.push(hashed.blocks)
      this.#blocksHashed += Math.ceil(bytes.length / BLOCK_SIZE)
    }
    return {
      error,
      v1: want.v1 ? concatBytes(v1) : null,
      v2: want.v2 ? concatBytes(v2) : null,
      blockHashes: want.blockHashes ? concatBytes(blocks) : null,
    }
  }

  #missing(state: MemoryStorage, piece: PieceIndex): DiskError {
    const start = piece * state.files.pieceLength()
    const file = state.filesIn(start, state.pieceSize(piece))[0] ?? -1
    return { code: errnoError('ENOENT'), operation: Operation.fileOpen, file }
  }
}

function memoryStatus(state: MemoryStorage, resume: ResumeFacts | null): CheckStatus {
  const hasResume = resume !== null && (resume.haveBits.size() > 0 || (resume.flags & TorrentFlags.seedMode) !== 0)
  if (!hasResume) return state.pieces.size > 0 ? CheckStatus.needFullCheck : CheckStatus.noFiles
  for (let piece = 0; piece < resume.haveBits.size(); piece++) {
    if (resume.haveBits.getBit(piece) && !state.pieces.has(piece)) return CheckStatus.needFullCheck
  }
  return CheckStatus.ok
}

function readResult(error: DiskError | null, view: Uint8Array | null): ReadResult {
  return { error, views: view === null ? [] : [view], release: () => {} }
}

function copyBlock(bytes: Uint8Array, block: BlockIndex, view: Uint8Array): void {
  const at = block * BLOCK_SIZE
  bytes.set(view.subarray(0, Math.min(BLOCK_SIZE, bytes.length - at)), at)
}

/** Calls `each` with the files of a piece: their range in the piece. */
function forFiles(
  state: StorageState,
  piece: PieceIndex,
  each: (file: FileIndex, start: number, end: number, pad: boolean) => void,
): void {
  const files = state.files
  const begin = piece * files.pieceLength()
  const end = begin + state.pieceSize(piece)
  for (let file = files.fileIndexAtOffset(begin); file < files.numFiles(); file++) {
    const offset = files.fileOffset(file)
    if (offset >= end) return
    const from = Math.max(begin, offset) - begin
    const to = Math.min(end, offset + files.fileSize(file)) - begin
    if (from < to) each(file, from, to, state.isPad(file))
  }
}

function clearPads(state: StorageState, piece: PieceIndex, bytes: Uint8Array): void {
  forFiles(state, piece, (_, start, end, pad) => {
    if (pad) bytes.fill(0, start, end)
  })
}

/** A piece of padding alone is always there. */
function padOnly(state: StorageState, piece: PieceIndex): Uint8Array | null {
  let onlyPads = true
  forFiles(state, piece, (_file, _start, _end, pad) => {
    if (!pad) onlyPads = false
  })
  return onlyPads ? new Uint8Array(state.pieceSize(piece)) : null
}

function hashPiece(
  state: StorageState,
  piece: PieceIndex,
  bytes: Uint8Array,
  v1: boolean,
  v2: boolean,
): { v1: Uint8Array | null; v2: Uint8Array | null; blocks: Uint8Array | null } {
  const pieceLength = state.files.pieceLength()
  const hasher = new PieceHasher(v1, v2, v2 ? Math.max(1, Math.ceil(pieceLength / BLOCK_SIZE)) : 0)
  let length = 0
  let fileSize = 0
  forFiles(state, piece, (file, start, end, pad) => {
    if (pad) {
      hasher.updatePad(end - start)
      return
    }
    hasher.update(bytes.subarray(start, end))
    length += end - start
    fileSize = state.files.fileSize(file)
  })
  const v1Hash = v1 ? hasher.takeV1() : null
  if (!v2) return { v1: v1Hash, v2: null, blocks: null }
  const blocks = new Uint8Array(Math.ceil(length / BLOCK_SIZE) * 32)
  hasher.copyBlockHashes(blocks)
  return { v1: v1Hash, v2: hasher.takeV2Root(v2LeafCount(fileSize, pieceLength)), blocks }
}
