/**
 * Throws everything away: writes succeed, reads give zeros. For measuring the network alone.
 *
 * Deviation: libtorrent's answers all-zero hashes and needs hash checks switched off; here every commit
 * passes. `hashPieces` answers zeros, as there.
 */

import type { BlockIndex, PieceIndex } from '../core/brands.ts'
import type { MoveFlags } from '../core/enums.ts'
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
import type { Slot, SlotPool } from './slab.ts'

/** @see ImmediateDiskOptions */
export function createDisabledDisk(options: ImmediateDiskOptions = {}): DiskIo {
  return new DisabledDisk(options)
}

class DisabledDisk implements DiskIo {
  readonly #jobs: ImmediateJobs
  #nextId = 1

  constructor(options: ImmediateDiskOptions) {
    this.#jobs = new ImmediateJobs(options)
  }

  get slots(): SlotPool {
    return this.#jobs.slab
  }

  addStorage(_options: StorageOptions): StorageHandle {
    return { id: this.#nextId++ }
  }

  removeStorage(): void {}

  commitPiece(
    _storage: StorageHandle,
    _piece: PieceIndex,
    sources: readonly BlockSource[],
    hashes: PieceHashes,
    wantBlockHashes: boolean,
    done: (result: CommitResult) => void,
  ): void {
    for (const source of sources) if (source !== 'disk') this.#jobs.slab.release(source)
    const result: CommitResult = {
      error: null,
      v1Passed: hashes.v1 === null ? null : true,
      v2Passed: hashes.v2 === null ? null : true,
      blockHashes: wantBlockHashes ? new Uint8Array(sources.length * 32) : null,
    }
    this.#answer(() => done(result))
  }

  spill(
    _storage: StorageHandle,
    _piece: PieceIndex,
    blocks: readonly { readonly block: BlockIndex; readonly slot: Slot }[],
    done: (error: DiskError | null) => void,
  ): void {
    for (const { slot } of blocks) this.#jobs.slab.release(slot)
    this.#answer(() => done(null))
  }

  read(
    _storage: StorageHandle,
    _piece: PieceIndex,
    _offset: number,
    length: number,
    _flags: ReadFlags,
    done: (result: ReadResult) => void,
  ): void {
    this.#answer(() => done({ error: null, views: [new Uint8Array(length)], release: () => {} }))
  }

  hashPieces(
    _storage: StorageHandle,
    _first: PieceIndex,
    count: number,
    want: { readonly v1: boolean; readonly v2: boolean; readonly blockHashes: boolean },
    done: (result: HashResult) => void,
  ): void {
    this.#answer(() =>
      done({
        error: null,
        v1: want.v1 ? new Uint8Array(count * 20) : null,
        v2: want.v2 ? new Uint8Array(count * 32) : null,
        blockHashes: want.blockHashes ? new Uint8Array(0) : null,
      }),
    )
  }

  checkFiles(
    _storage: StorageHandle,
    _resume: ResumeFacts | null,
    _links: readonly string[],
    done: (result: CheckResult) => void,
  ): void {
    this.#answer(() => done({ status: CheckStatus.ok, error: null, oversizedFile: -1 }))
  }

  moveStorage(
    _storage: StorageHandle,
    path: string,
    _flags: MoveFlags,
    done: (error: DiskError | null, path: string, needFullCheck: boolean) => void,
  ): void {
    this.#answer(() => done(null, path, false))
  }

  renameFile(_storage: StorageHandle, _file: number, _name: string, done: (error: DiskError | null) => void): void {
    this.#answer(() => done(null))
  }

  deleteFiles(_storage: StorageHandle, _flags: number, done: (error: DiskError | null) => void): void {
    this.#answer(() => done(null))
  }

  setFilePriorities(
    _storage: StorageHandle,
    priorities: readonly number[],
    done: (error: DiskError | null, priorities: readonly number[]) => void,
  ): void {
    this.#answer(() => done(null, priorities))
  }

  releaseFiles(_storage: StorageHandle, done: (error: DiskError | null) => void): void {
    this.#answer(() => done(null))
  }

  stop(_storage: StorageHandle, done: (error: DiskError | null) => void): void {
    this.#answer(() => done(null))
  }

  openFiles(): readonly OpenFile[] {
    return []
  }

  stats(): DiskStats {
    return {
      ...NO_DISK_STATS,
      blocksInUse: this.#jobs.slab.inUse,
      queuedJobs: this.#jobs.queued,
    }
  }

  applySettings(settings: DiskSettings): void {
    this.#jobs.setBudget(settings)
  }

  submit(): void {
    this.#jobs.run()
  }

  close(done: () => void): void {
    this.#answer(done)
    this.#jobs.run()
  }

  #answer(fn: () => void): void {
    this.#jobs.add(() => fn)
  }
}
