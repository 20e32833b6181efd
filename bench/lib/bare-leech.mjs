/**
 * A leech that is no more than the data path: usage bare-leech.mjs TORRENT SAVE v1|v2|hybrid
 *
 * Asks a bare-seed.mjs for all pieces in order, copies what comes into shared memory, and has two threads hash and
 * write it. Speaks the lines of our-leech.mjs. The file must be there. TORRENT is a v1 torrent; for v2 blocks are hashed too, or
 * instead, and compared with nothing.
 */

import { Buffer } from 'node:buffer'
import { connect } from 'node:net'
import { Worker } from 'node:worker_threads'
import { BLOCK, bareTorrent, HEADER, REQUEST } from './bare-torrent.mjs'
import { commands, emit } from './lines.mjs'

const SLOTS = 16
const [torrent, save, kind] = process.argv.slice(2)
const { file, pieceLength, numPieces, hashes } = bareTorrent(torrent, save)
const blocks = pieceLength / BLOCK
const slab = new SharedArrayBuffer(SLOTS * pieceLength)
const memory = Buffer.from(slab)
const workers = [1, 2].map(
  () =>
    new Worker(new URL('./bare-worker.mjs', import.meta.url), {
      workerData: { role: 'leech', file, slab, pieceLength, hashes, kind },
    }),
)

function download(port, done) {
  const free = Array.from({ length: SLOTS }, (_, i) => i)
  const slots = new Map()
  const header = new Uint8Array(HEADER)
  const fields = new DataView(header.buffer)
  let [asked, written, given] = [0, 0, 0]
  let [inHeader, left, to, piece, begin] = [0, 0, 0, 0, 0]

  function request() {
    const batch = []
    for (; free.length > 0 && asked < numPieces; asked++) {
      slots.set(asked, free.pop())
      const messages = Buffer.alloc(blocks * REQUEST)
      for (let i = 0; i < blocks; i++) {
        const at = i * REQUEST
        messages.writeUInt32BE(13, at)
        messages[at + 4] = 6
        messages.writeUInt32BE(asked, at + 5)
        messages.writeUInt32BE(i * BLOCK, at + 9)
        messages.writeUInt32BE(BLOCK, at + 13)
      }
      batch.push(messages)
    }
    if (batch.length > 0) socket.write(Buffer.concat(batch))
  }

  function take(count, chunk) {
    for (let at = 0; at < count; ) {
      if (left === 0) {
        const n = Math.min(HEADER - inHeader, count - at)
        for (let i = 0; i < n; i++) header[inHeader + i] = chunk[at + i]
        inHeader += n
        at += n
        if (inHeader < HEADER) break
        inHeader = 0
        piece = fields.getUint32(5)
        begin = fields.getUint32(9)
        to = slots.get(piece) * pieceLength + begin
        left = BLOCK
        continue
      }
      const n = Math.min(left, count - at)
      memory.fill(chunk.subarray(at, at + n), to, to + n)
      to += n
      at += n
      left -= n
      if (left === 0 && begin + BLOCK === pieceLength) {
        workers[given++ % workers.length].postMessage({ piece, slot: slots.get(piece) })
        slots.delete(piece)
      }
    }
    return true
  }

  for (const worker of workers) {
    worker.on('message', ({ slot }) => {
      free.push(slot)
      if (++written === numPieces) done()
      else if (free.length >= SLOTS / 4) request()
    })
  }
  const onread = { buffer: new Uint8Array(65536), callback: take }
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, onread }, request)
}

emit({ event: 'ready', port: 0, progress: 0 })
for await (const line of commands()) {
  const started = performance.now()
  await new Promise(resolve => download(Number(line.split(' ')[1]), resolve))
  emit({ event: 'finished', seconds: (performance.now() - started) / 1000 })
}
process.exit()
