/**
 * Rate limits on real sockets: how far the rate of a torrent in windows of 10 s is from its limit.
 *
 *   node bench/rates.js [--limit BYTES_PER_SECOND] [--peers 1,200] [--windows N] [--json]
 *
 * A session of ours seeds with an upload limit to so many bare leeches, which ask for more as fast as they are given, and
 * downloads with a download limit from so many bare seeds; these run in another thread. The limit is the torrent's: session
 * limits leave out peers of the local network. Environment: DIST, where the built package is.
 */

import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

const BLOCK = 16384
const PIECE = 1 << 20
const PIECES = 256
const HEADER = 13

/** A leech or a seed that does no more than it must. */
class BarePeer {
  received = 0
  #socket
  #role
  #buffer = Buffer.alloc(0)
  #greeted = false
  #next
  #block = Buffer.alloc(HEADER + BLOCK)

  constructor(socket, role, infoHash, index) {
    this.#socket = socket
    this.#role = role
    this.#next = index * 7
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('data', chunk => this.#take(chunk))
    const id = Buffer.from(`-XX0000-${String(index).padStart(12, '0')}`)
    const reserved = Buffer.from([0, 0, 0, 0, 0, 0, 0, 4])
    socket.write(Buffer.concat([Buffer.from('\x13BitTorrent protocol', 'latin1'), reserved, infoHash, id]))
    this.#block.writeUInt32BE(9 + BLOCK, 0)
    this.#block[4] = 7
  }

  #take(chunk) {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk])
    if (!this.#greeted) {
      if (this.#buffer.length < 68) return
      this.#greeted = true
      this.#buffer = this.#buffer.subarray(68)
      // have-none and interested, or have-all and unchoke
      this.#socket.write(Buffer.from(this.#role === 'leech' ? '000000010f0000000102' : '000000010e0000000101', 'hex'))
    }
    while (this.#buffer.length >= 4) {
      const length = this.#buffer.readUInt32BE(0)
      if (this.#buffer.length < 4 + length) return
      const message = this.#buffer.subarray(4, 4 + length)
      this.#buffer = this.#buffer.subarray(4 + length)
      if (length > 0) this.#handle(message)
    }
  }

  #handle(message) {
    if (message[0] === 1 && this.#role === 'leech') for (let i = 0; i < 4; i++) this.#request()
    else if (message[0] === 7) {
      this.received += message.length - 9
      this.#request()
    } else if (message[0] === 6 && this.#role === 'seed') {
      message.copy(this.#block, 5, 1, 9)
      this.#socket.write(Buffer.from(this.#block))
    }
  }

  #request() {
    const block = this.#next++ % (PIECES * (PIECE / BLOCK))
    const request = Buffer.alloc(17)
    request.writeUInt32BE(13, 0)
    request[4] = 6
    request.writeUInt32BE(Math.floor(block / (PIECE / BLOCK)), 5)
    request.writeUInt32BE((block % (PIECE / BLOCK)) * BLOCK, 9)
    request.writeUInt32BE(BLOCK, 13)
    this.#socket.write(request)
  }
}

/** Zeros: the bare seeds need no file. */
function makeTorrent() {
  const hash = createHash('sha1').update(Buffer.alloc(PIECE)).digest()
  const pieces = Buffer.concat(new Array(PIECES).fill(hash))
  const info = Buffer.concat([
    Buffer.from(`d6:lengthi${PIECE * PIECES}e4:name5:rates12:piece lengthi${PIECE}e6:pieces${pieces.length}:`),
    pieces,
    Buffer.from('e'),
  ])
  return {
    file: Buffer.concat([Buffer.from('d4:info'), info, Buffer.from('e')]),
    infoHash: createHash('sha1').update(info).digest(),
  }
}

if (isMainThread) await main()
else {
  const { role, count, port } = workerData
  const infoHash = Buffer.from(workerData.infoHash)
  const peers = []
  if (role === 'leech') {
    for (let i = 0; i < count; i++) {
      peers.push(new BarePeer(createConnection({ port, host: '127.0.0.1' }), role, infoHash, i))
    }
    parentPort.postMessage([])
  } else {
    const ports = []
    for (let i = 0; i < count; i++) {
      const server = createServer(socket => peers.push(new BarePeer(socket, role, infoHash, i)))
      await new Promise(done => server.listen(0, '127.0.0.1', done))
      ports.push(server.address().port)
    }
    parentPort.postMessage(ports)
  }
}

async function main() {
  const { values } = parseArgs({
    options: {
      limit: { type: 'string', default: '1000000' },
      peers: { type: 'string', default: '1,200' },
      windows: { type: 'string', default: '3' },
      json: { type: 'boolean', default: false },
    },
  })
  const peer = await import('./lib/our-peer.mjs')
  const limit = Number(values.limit)
  const torrent = makeTorrent()
  const rows = []
  for (const direction of ['up', 'down']) {
    for (const count of values.peers.split(',').map(Number)) {
      rows.push(await measure(peer, torrent, direction, count, limit, Number(values.windows)))
    }
  }
  if (values.json) console.log(JSON.stringify({ bench: 'rates', limit, rows }))
  else {
    console.log(`payload in windows of 10 s beside a limit of ${limit} B/s\n`)
    for (const { direction, peers, off } of rows) {
      const all = off.map(part => `${part >= 0 ? '+' : ''}${(part * 100).toFixed(1)} %`)
      console.log(`${direction.padEnd(5)} ${String(peers).padStart(4)} peers   ${all.join('   ')}`)
    }
  }
}

async function measure({ start, until }, torrent, direction, count, limit, windows) {
  const save = mkdtempSync(join(tmpdir(), 'bench-rates-'))
  if (direction === 'up') writeFileSync(join(save, 'rates'), Buffer.alloc(PIECE * PIECES))
  const file = join(save, 'rates.torrent')
  writeFileSync(file, torrent.file)
  const { session, handle } = start(file, save, ['connections_limit=500', 'connection_speed=500'])
  await until(session, 'torrent_checked')
  if (direction === 'up') handle.setUploadLimit(limit)
  else handle.setDownloadLimit(limit)
  const role = direction === 'up' ? 'leech' : 'seed'
  const infoHash = new Uint8Array(torrent.infoHash)
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { role, count, port: session.listenPort(), infoHash },
  })
  const ports = await new Promise(done => worker.once('message', done))
  for (const port of ports) handle.connectPeer(['127.0.0.1', port])
  const sleep = ms => new Promise(done => setTimeout(done, ms))
  const payload = () => {
    const status = handle.status()
    return direction === 'up' ? status.totalPayloadUpload : status.totalPayloadDownload
  }
  await sleep(4000)
  const off = []
  for (let w = 0; w < windows; w++) {
    const [bytes, started] = [payload(), performance.now()]
    await sleep(10_000)
    off.push((payload() - bytes) / ((performance.now() - started) / 1000) / limit - 1)
  }
  const { numPeers } = handle.status()
  if (numPeers !== count) throw new Error(`${numPeers} of ${count} peers are connected`)
  await worker.terminate()
  await session.close()
  rmSync(save, { recursive: true, force: true })
  return { direction, peers: count, off }
}
