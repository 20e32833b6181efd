/**
 * Pieces from slots to disk: hash, compare, write in the workers; nothing else. The floor of a download.
 *
 *   node bench/commit.js [--size MiB] [--piece KiB] [--runs N] [--dir DIR] [--json]
 *
 * "new": the file is made by the run, so the kernel fills fresh page cache; "existing": it is overwritten.
 * Environment: DIST, where the built package is.
 */

import * as crypto from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '512' },
    piece: { type: 'string', default: '1024' },
    runs: { type: 'string', default: '5' },
    dir: { type: 'string', default: path.join(os.tmpdir(), 'libtorrent-ts-bench', 'commit') },
    json: { type: 'boolean', default: false },
  },
})
const BLOCK = 16384
const size = Number(values.size) * 2 ** 20
const pieceLength = Number(values.piece) * 1024
const dist = new URL(process.env.DIST ? `file://${path.resolve(process.env.DIST)}/` : '../build/', import.meta.url)
const { createNodeDisk } = await import(new URL('storage/node/disk-pool.js', dist))

const files = {
  numFiles: () => 1,
  numPieces: () => size / pieceLength,
  pieceLength: () => pieceLength,
  totalSize: () => size,
  fileSize: () => size,
  fileOffset: () => 0,
  fileFlags: () => 0,
  filePath: () => 'commit.bin',
  symlink: () => '',
  fileIndexAtOffset: () => 0,
}
const settings = {
  aioThreads: 10,
  hashingThreads: 1,
  filePoolSize: 40,
  maxQueuedDiskBytes: 1 << 20,
  writeMode: 0,
  readMode: 0,
}
const payload = crypto.randomBytes(pieceLength)
const v1 = crypto.createHash('sha1').update(payload).digest()

async function once(disk, storage) {
  const blocks = pieceLength / BLOCK
  const pieces = files.numPieces()
  const cpu = process.cpuUsage()
  const started = performance.now()
  await new Promise((resolve, reject) => {
    let next = 0
    let left = pieces
    const feed = () => {
      while (next < pieces) {
        const run = disk.slots.allocateRun(blocks, storage)
        if (run < 0) break
        const slots = Array.from({ length: blocks }, (_, i) => run + i)
        for (let i = 0; i < blocks; i++) disk.slots.copyIn(run + i, 0, payload.subarray(i * BLOCK, (i + 1) * BLOCK))
        disk.commitPiece(storage, next++, slots, { v1, v2: null }, false, result => {
          if (result.error !== null || !result.v1Passed)
            return reject(new Error(result.error?.code.message() ?? 'hash'))
          if (--left === 0) resolve()
          feed()
        })
      }
      disk.submit()
    }
    feed()
  })
  const used = process.cpuUsage(cpu)
  return { mbPerSecond: size / (performance.now() - started) / 1000, cpu: (used.user + used.system) / 1e6 }
}

async function measure(existing) {
  fs.rmSync(values.dir, { recursive: true, force: true })
  const disk = createNodeDisk({ settings })
  const storage = disk.addStorage({
    files,
    renamed: new Map(),
    savePath: values.dir,
    partFileDir: '',
    partFileName: '.commit.parts',
    mode: 1,
    filePriorities: [],
  })
  if (existing) await once(disk, storage)
  const result = await once(disk, storage)
  await new Promise(done => disk.close(done))
  fs.rmSync(values.dir, { recursive: true, force: true })
  return result
}

const kinds = { new: [], existing: [] }
for (let run = 0; run < Number(values.runs); run++) {
  kinds.new.push(await measure(false))
  kinds.existing.push(await measure(true))
}
const rows = Object.entries(kinds).map(([kind, results]) => {
  const rates = results.map(r => r.mbPerSecond).sort((a, b) => a - b)
  const cpus = results.map(r => r.cpu).sort((a, b) => a - b)
  const middle = rates.length >> 1
  return { kind, mbPerSecond: rates[middle], min: rates[0], max: rates.at(-1), cpuSeconds: cpus[middle] }
})
if (values.json)
  console.log(JSON.stringify({ bench: 'commit', sizeMiB: Number(values.size), pieceKiB: Number(values.piece), rows }))
else {
  console.log('file      MB/s (min-max)      CPU s')
  for (const r of rows) {
    console.log(
      `${r.kind.padEnd(9)} ${r.mbPerSecond.toFixed(0)} (${r.min.toFixed(0)}-${r.max.toFixed(0)})   ${r.cpuSeconds.toFixed(2)}`,
    )
  }
}
