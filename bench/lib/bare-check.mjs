/**
 * The floor of bench/recheck.js: two threads that read a file and hash it, and nothing else: usage bare-check.mjs FILE
 * v1|v2|hybrid PIECE_LENGTH. For v2 blocks are hashed, trees are not.
 */

import { createHash } from 'node:crypto'
import { fstatSync, openSync, readSync } from 'node:fs'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { emit } from './lines.mjs'

const BLOCK = 16384
const THREADS = 2

function check({ file, kind, pieceLength, thread }) {
  const fd = openSync(file, 'r')
  const { size } = fstatSync(fd)
  const piece = new Uint8Array(pieceLength)
  for (let at = thread * pieceLength; at < size; at += THREADS * pieceLength) {
    const bytes = piece.subarray(0, readSync(fd, piece, 0, pieceLength, at))
    if (kind !== 'v2') createHash('sha1').update(bytes).digest()
    if (kind === 'v1') continue
    for (let b = 0; b < bytes.length; b += BLOCK) {
      createHash('sha256')
        .update(bytes.subarray(b, b + BLOCK))
        .digest()
    }
  }
}

if (isMainThread) {
  const [file, kind, pieceLength] = process.argv.slice(2)
  const workers = Array.from(
    { length: THREADS },
    (_, thread) =>
      new Worker(new URL(import.meta.url), { workerData: { file, kind, pieceLength: Number(pieceLength), thread } }),
  )
  const all = fn => Promise.all(workers.map(fn))
  await all(worker => new Promise(done => worker.once('online', done)))
  const cpu = process.cpuUsage()
  const started = performance.now()
  await all(worker => {
    worker.postMessage('go')
    return new Promise(done => worker.once('message', done))
  })
  const seconds = (performance.now() - started) / 1000
  const used = process.cpuUsage(cpu)
  emit({ seconds, cpu: (used.user + used.system) / 1e6, peakMiB: process.resourceUsage().maxRSS / 1024 })
} else {
  parentPort.once('message', () => {
    check(workerData)
    parentPort.postMessage('done')
  })
}
