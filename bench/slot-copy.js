/**
 * The one copy of a download: payload from a socket buffer into a shared slot. Guards the choice of
 * `Buffer.fill`, which does not care how source and target are aligned; `set` and `Buffer.copy` do.
 *
 *   node bench/slot-copy.js [--json]
 *
 * DIST names another folder with the built package.
 */

import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const dist = pathToFileURL(`${resolve(process.env.DIST ?? new URL('../build', import.meta.url).pathname)}/`)
const { Slab } = await import(new URL('storage/slab.js', dist).href)

const BLOCK = 16384
const HEADER = 13
const ROUNDS = 7
const COPIES = 20_000

const slab = new Slab({ budgetBytes: 32 << 20, defer: queueMicrotask })
const first = slab.allocateRun(64)
const shared = []
for (let i = 0; i < 64; i++)
  shared.push(Buffer.from(slab.view(first + i).buffer, slab.view(first + i).byteOffset, BLOCK))
// A 64 KiB socket buffer holds three whole blocks, each after a header: three alignments.
const socket = Buffer.allocUnsafeSlow(65536).fill(7)
const sources = [0, 1, 2].map(i =>
  socket.subarray(HEADER + i * (BLOCK + HEADER), HEADER + i * (BLOCK + HEADER) + BLOCK),
)

const ways = {
  copyIn: (i, source) => slab.copyIn(first + (i & 63), 0, source),
  set: (i, source) => shared[i & 63].set(source),
  'Buffer.copy': (i, source) => source.copy(shared[i & 63]),
}

const rows = []
for (const [name, way] of Object.entries(ways)) {
  const rates = []
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now()
    for (let i = 0; i < COPIES; i++) way(i, sources[i % 3])
    rates.push((COPIES * BLOCK) / (performance.now() - started) / 1e6)
  }
  rates.sort((a, b) => a - b)
  rows.push({ name, gbPerSecond: rates[ROUNDS >> 1], min: rates[0], max: rates[ROUNDS - 1] })
}
// `fill` repeats a shorter pattern: prove that the whole block arrived.
slab.copyIn(first, 0, Buffer.from(Array.from({ length: BLOCK }, (_, i) => (i * 31) & 255)))
for (let i = 0; i < BLOCK; i++) if (slab.view(first)[i] !== ((i * 31) & 255)) throw new Error('copyIn is wrong')

if (process.argv.includes('--json')) {
  console.log(JSON.stringify({ bench: 'slot-copy', rows, ratio: rows[0].gbPerSecond / rows[1].gbPerSecond }))
} else {
  console.log('way           GB/s (min-max)')
  for (const r of rows)
    console.log(`${r.name.padEnd(13)} ${r.gbPerSecond.toFixed(1)} (${r.min.toFixed(1)}-${r.max.toFixed(1)})`)
}
if (rows[0].gbPerSecond < rows[1].gbPerSecond) process.exitCode = 1
