/**
 * A seed that is no more than the data path: usage bare-seed.mjs TORRENT SAVE
 *
 * Reads on a thread, and sends pieces in order as requests for them come: no handshake, no checks, no limits. Speaks
 * the lines of our-seed.mjs. What it reaches is what Node allows on this machine.
 */

import { createServer } from 'node:net'
import { Worker } from 'node:worker_threads'
import { BLOCK, bareTorrent, HEADER, REQUEST } from './bare-torrent.mjs'
import { commands, emit } from './lines.mjs'

const SLOTS = 8
const { file, pieceLength, numPieces } = bareTorrent(...process.argv.slice(2))
const stride = (pieceLength / BLOCK) * (HEADER + BLOCK)
const slab = new SharedArrayBuffer(SLOTS * stride)
const worker = new Worker(new URL('./bare-worker.mjs', import.meta.url), {
  workerData: { role: 'seed', file, slab, pieceLength },
})

const server = createServer({ noDelay: true }, socket => {
  const free = Array.from({ length: SLOTS }, (_, i) => i)
  const ready = new Map()
  let [reading, sent, requested, cut] = [0, 0, 0, 0]
  const read = () => {
    while (free.length > 0 && reading < numPieces) worker.postMessage({ piece: reading++, slot: free.pop() })
  }
  const send = () => {
    while (ready.has(sent) && requested * BLOCK >= (sent + 1) * pieceLength) {
      const slot = ready.get(sent)
      ready.delete(sent++)
      socket.write(new Uint8Array(slab, slot * stride, stride), () => {
        free.push(slot)
        read()
      })
    }
  }
  worker.on('message', ({ piece, slot }) => {
    ready.set(piece, slot)
    send()
  })
  socket.on('data', chunk => {
    cut += chunk.length
    requested += Math.floor(cut / REQUEST)
    cut %= REQUEST
    send()
  })
  socket.on('error', () => {})
  read()
})
server.listen(0, '127.0.0.1', () => emit({ event: 'ready', port: server.address().port, progress: 1 }))
for await (const _ of commands());
process.exit()
