/**
 * Piece verification of data in memory: hash a piece that lies in 16 KiB slots and compare it.
 *
 *   node bench/piece-hash.js [--json] [--runs N] [--seconds S] [--piece-length BYTES]
 *
 * The code is that of the storage workers, on one thread and on all. Beside it what the machine can do
 * (`openssl speed`), simple-sha1, and a SHA-1 in plain JavaScript, in the same run.
 * DIST names another folder with the built package.
 */

import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

const dist = pathToFileURL(`${resolve(process.env.DIST ?? new URL('../build', import.meta.url).pathname)}/`)
const { PieceHasher } = await import(new URL('metainfo/piece-hash.js', dist).href)
const { bytesEqual } = await import(new URL('core/bytes.js', dist).href)

const SLOT = 16384
/** More than the caches of a core hold, as pieces in flight are. */
const DATA = 64 * 1024 * 1024

function argument(name, value) {
  const at = process.argv.indexOf(name)
  return at > 0 ? Number(process.argv[at + 1]) : value
}

/** Pieces in shared memory, each one run of neighbouring slots. */
function makePieces(pieceLength) {
  const memory = new Uint8Array(new SharedArrayBuffer(DATA))
  let x = 1
  const words = new Uint32Array(memory.buffer)
  for (let i = 0; i < words.length; i++) words[i] = x = (Math.imul(x, 1664525) + 1013904223) >>> 0
  const pieces = []
  for (let at = 0; at + pieceLength <= DATA; at += pieceLength) pieces.push(memory.subarray(at, at + pieceLength))
  return pieces
}

/** Calls `verify` for one piece after the other for so long. @returns bytes per second */
function measure(pieces, seconds, verify) {
  const expected = pieces.map(piece => verify(piece, null))
  const end = performance.now() + seconds * 1000
  const begin = performance.now()
  let bytes = 0
  for (let i = 0; performance.now() < end; i = (i + 1) % pieces.length) {
    verify(pieces[i], expected[i])
    bytes += pieces[i].length
  }
  return (bytes * 1000) / (performance.now() - begin)
}

function check(hash, expected) {
  if (expected !== null && !bytesEqual(hash, expected)) throw new Error('a piece did not verify')
  return hash
}

function verifyV1() {
  const hasher = new PieceHasher(true, false, 1)
  return (piece, expected) => {
    hasher.update(piece)
    return check(hasher.takeV1(), expected)
  }
}

function verifyV2(pieceLength) {
  const leaves = pieceLength / SLOT
  const hasher = new PieceHasher(false, true, leaves)
  return (piece, expected) => {
    hasher.update(piece)
    return check(hasher.takeV2Root(leaves), expected)
  }
}

if (!isMainThread) {
  const { pieceLength, seconds } = workerData
  const pieces = makePieces(pieceLength)
  const verify = verifyV1()
  measure(pieces, 0.05, verify)
  // All threads begin together.
  parentPort.once('message', () => {
    parentPort.postMessage(measure(pieces, seconds, verify))
    parentPort.close()
  })
  parentPort.postMessage('ready')
} else await main()

async function main() {
  const json = process.argv.includes('--json')
  const runs = argument('--runs', 5)
  const seconds = argument('--seconds', 0.5)
  const pieceLength = argument('--piece-length', 1024 * 1024)
  const threads = availableParallelism()
  const pieces = makePieces(pieceLength)
  const { default: simpleSha1 } = await import('simple-sha1')

  const rows = {
    openssl: () => opensslSpeed(),
    'one thread, v1': () => measure(pieces, seconds, verifyV1()),
    'all threads, v1': () => measureThreads(threads, pieceLength, seconds),
    'one thread, v2': () => measure(pieces, seconds, verifyV2(pieceLength)),
    'simple-sha1': () => measure(pieces, seconds, (piece, expected) => checkHex(simpleSha1.sync(piece), expected)),
    'plain JavaScript': () =>
      measure(pieces.slice(0, 1), seconds, (piece, expected) => check(plainSha1(piece), expected)),
  }
  // One after the other, so that a slow moment of the machine does not hit one of them only.
  const results = Object.fromEntries(Object.keys(rows).map(name => [name, []]))
  for (let run = 0; run < runs; run++) {
    for (const [name, row] of Object.entries(rows)) results[name].push(await row())
  }
  const median = name => results[name].toSorted((a, b) => a - b)[results[name].length >> 1]
  const openssl = median('openssl')
  if (json) {
    console.log(
      JSON.stringify({
        singleThreadBytesPerSecond: median('one thread, v1'),
        allThreadsBytesPerSecond: median('all threads, v1'),
        pieceLength,
        threads,
        v2BytesPerSecond: median('one thread, v2'),
        opensslBytesPerSecond: openssl,
        simpleSha1BytesPerSecond: median('simple-sha1'),
        plainJavaScriptBytesPerSecond: median('plain JavaScript'),
        ratioToOpenssl: openssl > 0 ? median('one thread, v1') / openssl : null,
        runs,
      }),
    )
    return
  }
  console.log(`pieces of ${pieceLength / 1024} KiB, ${threads} threads, median (least - most) of ${runs}`)
  for (const [name, values] of Object.entries(results)) {
    const gb = value => (value / 1e9).toFixed(2)
    const ratio = openssl > 0 ? `  ${(median(name) / openssl).toFixed(2)} x openssl` : ''
    const spread = `(${gb(Math.min(...values))} - ${gb(Math.max(...values))})`
    console.log(`${name.padEnd(18)} ${gb(median(name))} GB/s ${spread}${ratio}`)
  }
}

function checkHex(hash, expected) {
  if (expected !== null && hash !== expected) throw new Error('a piece did not verify')
  return hash
}

async function measureThreads(threads, pieceLength, seconds) {
  const workers = Array.from(
    { length: threads },
    () => new Worker(new URL(import.meta.url), { workerData: { pieceLength, seconds } }),
  )
  const next = worker => new Promise((done, fail) => worker.once('message', done).once('error', fail))
  await Promise.all(workers.map(next))
  const results = workers.map(next)
  for (const worker of workers) worker.postMessage('go')
  return (await Promise.all(results)).reduce((sum, value) => sum + value, 0)
}

/** What OpenSSL reaches on one thread with buffers of 256 KiB; 0 where there is no `openssl` command. */
function opensslSpeed() {
  const args = ['speed', '-mr', '-evp', 'sha1', '-bytes', '262144', '-seconds', '2']
  const { stdout } = spawnSync('openssl', args, { encoding: 'utf8' })
  const line = /^\+F:\d+:[^:]*:([\d.]+)$/m.exec(stdout ?? '')
  return line === null ? 0 : Number(line[1])
}

/** SHA-1 as FIPS 180-4 has it. */
function plainSha1(data) {
  const padded = new Uint8Array((((data.length + 8) >> 6) + 1) << 6)
  padded.set(data)
  padded[data.length] = 0x80
  const view = new DataView(padded.buffer)
  view.setUint32(padded.length - 8, Math.floor(data.length / 0x20000000))
  view.setUint32(padded.length - 4, data.length << 3)
  const state = new Int32Array([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0])
  const w = new Int32Array(80)
  for (let at = 0; at < padded.length; at += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + i * 4)
    for (let i = 16; i < 80; i++) {
      const x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]
      w[i] = (x << 1) | (x >>> 31)
    }
    let [a, b, c, d, e] = state
    for (let i = 0; i < 80; i++) {
      let f
      if (i < 20) f = ((b & c) | (~b & d)) + 0x5a827999
      else if (i < 40) f = (b ^ c ^ d) + 0x6ed9eba1
      else if (i < 60) f = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
      else f = (b ^ c ^ d) + 0xca62c1d6
      const next = (((a << 5) | (a >>> 27)) + f + e + w[i]) | 0
      e = d
      d = c
      c = (b << 30) | (b >>> 2)
      b = a
      a = next
    }
    state[0] += a
    state[1] += b
    state[2] += c
    state[3] += d
    state[4] += e
  }
  const out = new DataView(new ArrayBuffer(20))
  for (let i = 0; i < 5; i++) out.setInt32(i * 4, state[i])
  return new Uint8Array(out.buffer)
}
