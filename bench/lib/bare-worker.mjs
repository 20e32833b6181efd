/** The thread of a bare peer: reads pieces into whole messages, or hashes and writes pieces. */

import { createHash } from 'node:crypto'
import { openSync, readvSync, writeSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { BLOCK, HEADER } from './bare-torrent.mjs'

const { role, file, slab, pieceLength, hashes, kind } = workerData
const blocks = pieceLength / BLOCK
const fd = openSync(file, role === 'seed' ? 'r' : 'r+')

function read(piece, slot) {
  const start = slot * blocks * (HEADER + BLOCK)
  const payload = []
  for (let i = 0; i < blocks; i++) {
    const at = start + i * (HEADER + BLOCK)
    const header = new DataView(slab, at, HEADER)
    header.setUint32(0, 9 + BLOCK)
    header.setUint8(4, 7)
    header.setUint32(5, piece)
    header.setUint32(9, i * BLOCK)
    payload.push(new Uint8Array(slab, at + HEADER, BLOCK))
  }
  readvSync(fd, payload, piece * pieceLength)
}

function write(piece, slot) {
  const bytes = new Uint8Array(slab, slot * pieceLength, pieceLength)
  if (kind !== 'v2') {
    const digest = createHash('sha1').update(bytes).digest()
    if (digest.compare(hashes, piece * 20, piece * 20 + 20) !== 0) throw new Error(`piece ${piece} is bad`)
  }
  if (kind !== 'v1') {
    for (let b = 0; b < pieceLength; b += BLOCK) {
      createHash('sha256')
        .update(bytes.subarray(b, b + BLOCK))
        .digest()
    }
  }
  writeSync(fd, bytes, 0, pieceLength, piece * pieceLength)
}

parentPort.on('message', ({ piece, slot }) => {
  if (role === 'seed') read(piece, slot)
  else write(piece, slot)
  parentPort.postMessage({ piece, slot })
})
