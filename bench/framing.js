/**
 * Decoding of a peer's stream: blocks copied into shared memory slots, and small messages.
 *
 *   node bench/framing.js [--json] [--runs N]
 *
 * Beside it `bittorrent-protocol`, fed the same chunks in the same run, copying with the same function.
 * DIST names another folder with the built package.
 */

import { resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'
import BaselineWire from 'bittorrent-protocol'

const dist = pathToFileURL(`${resolve(process.env.DIST ?? new URL('../build', import.meta.url).pathname)}/`)
const { ByteWriter } = await import(new URL('core/byte-writer.js', dist).href)
const { MessageDecoder } = await import(new URL('wire/message-decoder.js', dist).href)
const { encodeHandshake, HANDSHAKE_SIZE } = await import(new URL('wire/handshake.js', dist).href)
const encode = await import(new URL('wire/message-encoder.js', dist).href)

const json = process.argv.includes('--json')
const runsAt = process.argv.indexOf('--runs')
const runs = runsAt > 0 ? Number(process.argv[runsAt + 1]) : 5

const BLOCK = 16384
const CHUNK = 65536
const PIECES = 1000
const SLOTS = 256

const slots = Array.from({ length: SLOTS }, () => Buffer.from(new SharedArrayBuffer(BLOCK)))

/** `fill` with a source of exactly the range's length is the copy that does not care how the two are aligned. */
function copyInto(slot, offset, source) {
  slot.fill(source, offset, offset + source.length)
}

function cut(bytes) {
  const chunks = []
  // Chunks of their own memory, as a socket gives them.
  for (let at = 0; at < bytes.length; at += CHUNK) chunks.push(Uint8Array.from(bytes.subarray(at, at + CHUNK)))
  return chunks
}

function blockStream(count) {
  const w = new ByteWriter(count * (BLOCK + 13))
  const payload = new Uint8Array(BLOCK).map((_, i) => i * 7)
  for (let i = 0; i < count; i++) encode.encodePiece(w, i % PIECES, 0, payload)
  return cut(w.view())
}

function haveStream(count) {
  const w = new ByteWriter(count * 9)
  for (let i = 0; i < count; i++) encode.encodeHave(w, i % 100_000)
  return cut(w.view())
}

class Sink {
  blocks = 0
  haves = 0
  #slot = slots[0]

  onHave() {
    this.haves++
  }
  onPieces(piece, _begin, length, count, chunk, at) {
    for (let i = 0, start = at + 13; i < count; i++, start += 13 + length) {
      copyInto(slots[(piece + i) % SLOTS], 0, chunk.subarray(start, start + length))
    }
    this.blocks += count
    return count
  }
  onPieceHeader(piece) {
    this.#slot = slots[piece % SLOTS]
    return true
  }
  onPiecePayload(chunk, start, end, offset) {
    copyInto(this.#slot, offset, chunk.subarray(start, end))
  }
  onPieceEnd() {
    this.blocks++
  }
  onProtocolError(error) {
    throw new Error(String(error))
  }
}

function ours(chunks, rounds) {
  const sink = new Sink()
  const decoder = new MessageDecoder(sink)
  const start = performance.now()
  for (let round = 0; round < rounds; round++) for (const chunk of chunks) decoder.push(chunk)
  const seconds = (performance.now() - start) / 1000
  return { seconds, blocks: sink.blocks, haves: sink.haves }
}

async function baseline(chunks, rounds) {
  const features = { extended: false, fast: false, dht: false, v2Upgrade: false }
  const wire = new BaselineWire()
  const result = { seconds: 0, blocks: 0, haves: 0 }
  wire.on('piece', (piece, _begin, data) => {
    copyInto(slots[piece % SLOTS], 0, data)
    result.blocks++
  })
  wire.on('have', () => result.haves++)
  wire.on('data', () => {})
  const shake = encodeHandshake(features, new Uint8Array(20), new Uint8Array(HANDSHAKE_SIZE - 48))
  wire.handshake(new Uint8Array(20), new Uint8Array(20))
  wire.write(shake)
  await new Promise(done => setImmediate(done))
  const start = performance.now()
  for (let round = 0; round < rounds; round++) {
    for (const chunk of chunks) if (!wire.write(chunk)) await new Promise(done => wire.once('drain', done))
  }
  await new Promise(done => setImmediate(done))
  result.seconds = (performance.now() - start) / 1000
  wire.destroy()
  return result
}

function summary(values) {
  const sorted = values.toSorted((a, b) => a - b)
  return { median: sorted[sorted.length >> 1], min: sorted[0], max: sorted[sorted.length - 1] }
}

const BLOCKS = 512
const HAVES = 500_000
const blockChunks = blockStream(BLOCKS)
const haveChunks = haveStream(HAVES)
const ROUNDS = 64
const BASELINE_ROUNDS = 16

const samples = { blocks: [], haves: [], baselineBlocks: [], baselineHaves: [] }
for (let run = -1; run < runs; run++) {
  const a = ours(blockChunks, ROUNDS)
  const b = await baseline(blockChunks, BASELINE_ROUNDS)
  const c = ours(haveChunks, 4)
  const d = await baseline(haveChunks, 1)
  if (a.blocks !== BLOCKS * ROUNDS || b.blocks !== BLOCKS * BASELINE_ROUNDS || c.haves !== HAVES * 4)
    throw new Error('a message was lost')
  // The first run warms up.
  if (run < 0) continue
  samples.blocks.push(a.blocks / a.seconds)
  samples.baselineBlocks.push(b.blocks / b.seconds)
  samples.haves.push(c.haves / c.seconds)
  samples.baselineHaves.push(HAVES / d.seconds)
}

const blocks = summary(samples.blocks)
const baselineBlocks = summary(samples.baselineBlocks)
const haves = summary(samples.haves)
const baselineHaves = summary(samples.baselineHaves)

if (json) {
  console.log(
    JSON.stringify({
      bench: 'framing',
      runs,
      blockBytesPerSecond: Math.round(blocks.median * BLOCK),
      blockMessagesPerSecond: Math.round(blocks.median),
      haveMessagesPerSecond: Math.round(haves.median),
      baseline: {
        name: 'bittorrent-protocol',
        blockBytesPerSecond: Math.round(baselineBlocks.median * BLOCK),
        blockMessagesPerSecond: Math.round(baselineBlocks.median),
        haveMessagesPerSecond: Math.round(baselineHaves.median),
      },
    }),
  )
} else {
  const row = (name, s, bytes) =>
    `${name.padEnd(36)} ${(s.median / 1e6).toFixed(3).padStart(9)} M/s   (${(s.min / 1e6).toFixed(3)} - ${(s.max / 1e6).toFixed(3)})${bytes ? `   ${((s.median * BLOCK) / 1e9).toFixed(2)} GB/s` : ''}`
  console.log(`median of ${runs} runs, messages per second (lowest - highest); chunks of 64 KiB`)
  console.log(row('16 KiB blocks into slots', blocks, true))
  console.log(row('  bittorrent-protocol', baselineBlocks, true))
  console.log(row('have', haves, false))
  console.log(row('  bittorrent-protocol', baselineHaves, false))
}
