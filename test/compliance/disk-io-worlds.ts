/** The back-ends that the disk suite runs on. */

import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import type { DiskIo, DiskSettings } from '../../src/storage/disk-io.ts'
import { createMemoryDisk } from '../../src/storage/memory-disk.ts'
import { createNodeDisk } from '../../src/storage/node/disk-pool.ts'
import type { DiskWorld, DiskWorldFactory } from './disk-io-suite.ts'

const LIMIT_MS = 10_000

export const SETTINGS: DiskSettings = {
  aioThreads: 10,
  hashingThreads: 1,
  filePoolSize: 40,
  maxQueuedDiskBytes: 1 << 20,
  writeMode: 0,
  readMode: 0,
}

export async function untilTrue(condition: () => boolean, what: string, submit: () => void): Promise<void> {
  const limit = performance.now() + LIMIT_MS
  while (!condition()) {
    if (performance.now() > limit) throw new Error(`waited in vain for: ${what}`)
    submit()
    await new Promise(resolve => setImmediate(resolve))
  }
}

function worldOf(disk: DiskIo): DiskWorld {
  const savePath = fs.mkdtempSync(path.join(os.tmpdir(), 'disk-io-'))
  return {
    disk,
    savePath,
    until: (condition, what) => untilTrue(condition, what, () => disk.submit()),
    cleanUp: () => fs.rmSync(savePath, { recursive: true, force: true }),
  }
}

/** Workers come from the built package: `npm test` builds it first. */
export const nodeDiskWorld: DiskWorldFactory = {
  name: 'worker threads, real files',
  make: () => worldOf(createNodeDisk({ settings: SETTINGS })),
}

export const memoryDiskWorld: DiskWorldFactory = {
  name: 'memory',
  make: () => worldOf(createMemoryDisk({ settings: SETTINGS })),
}
