/**
 * The piece picker: choosing blocks, and keeping up with what peers announce.
 *
 *   node bench/picker.js [--pieces N,N...] [--peers N] [--runs N] [--json]
 *
 * Beside it, in the same run, a rarity map done the plain way, as common JavaScript clients have it: a count per piece,
 * recounted from the peers' bitfields when they change, and a scan over all pieces for each choice.
 * DIST names another folder with the built package.
 */

import { resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'

const dist = pathToFileURL(`${resolve(process.env.DIST ?? new URL('../build', import.meta.url).pathname)}/`)
const { Bitfield } = await import(new URL('core/bitfield.js', dist).href)
const { SeededRng } = await import(new URL('core/rng.js', dist).href)
const { PiecePicker } = await import(new URL('torrent/piece-picker.js', dist).href)
const { PickOption } = await import(new URL('torrent/pick-blocks.js', dist).href)

const json = process.argv.includes('--json')
const runs = Number(argument('--runs', 5))
const peerCount = Number(argument('--peers', 50))
const sizes = argument('--pieces', '1000,100000').split(',').map(Number)

const BLOCKS = 16
const BLOCK = 16384
const WINDOW = 32
const WARM_UP = 2
/** Blocks to choose per measurement; the plain scan is stopped after this many milliseconds. */
const CHOICES = 20_000
const SCAN_MS = 500

function argument(name, value) {
  const at = process.argv.indexOf(name)
  return at > 0 ? process.argv[at + 1] : value
}

/** Every peer has its own half of the pieces; one in ten has all. */
function makePeers(pieces, rng) {
  return Array.from({ length: peerCount }, (_, i) => {
    const bits = new Bitfield(pieces)
    const bytes = bits.data()
    rng.fill(bytes)
    if (i % 10 === 0) bits.setAll()
    return new Bitfield(bytes, pieces)
  })
}

/** The plain way. */
class RarityMap {
  constructor(pieces, peers, rng) {
    this.pieces = pieces
    this.peers = peers
    this.rng = rng
    this.counts = new Array(pieces).fill(0)
    /** By piece, `null` for not begun: what each block is. */
    this.reserved = new Array(pieces).fill(null)
    this.recount()
  }

  recount() {
    for (let i = 0; i < this.pieces; i++) {
      this.counts[i] = 0
      for (const peer of this.peers) if (peer.getBit(i)) this.counts[i]++
    }
  }

  have(piece) {
    this.counts[piece]++
  }

  rarest(bits) {
    let rarest = []
    let lowest = Number.POSITIVE_INFINITY
    for (let i = 0; i < this.pieces; i++) {
      if (!bits.getBit(i) || this.reserved[i]?.every(Boolean)) continue
      if (this.counts[i] === lowest) rarest.push(i)
      else if (this.counts[i] < lowest) {
        rarest = [i]
        lowest = this.counts[i]
      }
    }
    return rarest[this.rng.below(rarest.length || 1)] ?? -1
  }

  /** Reserves one window of blocks. */
  choose(bits, count) {
    let chosen = 0
    while (chosen < count) {
      const piece = this.rarest(bits)
      if (piece === -1) break
      this.reserved[piece] ??= new Array(BLOCKS).fill(false)
      for (let b = 0; b < BLOCKS && chosen < count; b++) {
        if (this.reserved[piece][b]) continue
        this.reserved[piece][b] = true
        chosen++
      }
    }
    return chosen
  }
}

/** Requests as a swarm makes them: a window per peer in turn; what was asked for before arrives. */
function downloadOurs(pieces, peers, rng) {
  const picker = new PiecePicker(pieces * BLOCKS * BLOCK, BLOCKS * BLOCK, rng)
  for (const peer of peers) picker.addPeerPieces(peer)
  picker.map.freshen()
  const queues = peers.map(() => [])
  let choices = 0
  let picks = 0
  const start = performance.now()
  for (let turn = 0; choices < CHOICES; turn++) {
    const at = turn % peers.length
    for (const id of queues[at]) {
      const piece = picker.pieceOf(id)
      picker.markAsWriting(piece, picker.blockOf(id), at + 1)
      if (picker.isPieceFinished(piece)) picker.weHave(piece)
    }
    const out = []
    picker.pickBlocks(peers[at], WINDOW, 0, at + 1, PickOption.rarestFirst, out, [], peers.length)
    picks++
    for (const id of out) picker.markAsDownloading(picker.pieceOf(id), picker.blockOf(id), at + 1)
    queues[at] = out
    choices += out.length
    if (turn >= peers.length && picker.counts.isFinished()) break
  }
  const ms = performance.now() - start
  return { blocksPerSecond: (choices / ms) * 1000, picksPerSecond: (picks / ms) * 1000 }
}

function downloadPlain(pieces, peers, rng) {
  const map = new RarityMap(pieces, peers, rng)
  let choices = 0
  let picks = 0
  const start = performance.now()
  for (let turn = 0; choices < CHOICES && performance.now() - start < SCAN_MS; turn++) {
    const chosen = map.choose(peers[turn % peers.length], WINDOW)
    picks++
    choices += chosen
    if (chosen === 0) break
  }
  const ms = performance.now() - start
  return { blocksPerSecond: (choices / ms) * 1000, picksPerSecond: (picks / ms) * 1000 }
}

function havesOurs(pieces, peers, rng) {
  const picker = new PiecePicker(pieces * BLOCKS * BLOCK, BLOCKS * BLOCK, rng)
  for (const peer of peers) picker.addPeerPieces(peer)
  picker.map.freshen()
  const count = 200_000
  const start = performance.now()
  for (let i = 0; i < count; i++) picker.incRefcount(rng.below(pieces))
  return (count / (performance.now() - start)) * 1000
}

function bitfieldsOurs(pieces, peers, rng) {
  const picker = new PiecePicker(pieces * BLOCKS * BLOCK, BLOCKS * BLOCK, rng)
  const rounds = Math.max(1, Math.floor(2_000_000 / pieces / peers.length))
  const start = performance.now()
  for (let r = 0; r < rounds; r++) {
    for (const peer of peers) picker.addPeerPieces(peer)
    for (const peer of peers) picker.removePeerPieces(peer)
  }
  return ((rounds * peers.length * 2) / (performance.now() - start)) * 1000
}

function bitfieldsPlain(pieces, peers, rng) {
  const map = new RarityMap(pieces, peers, rng)
  let count = 0
  const start = performance.now()
  // A peer that comes or goes has everything counted anew.
  while (performance.now() - start < SCAN_MS / 2) {
    map.recount()
    count++
  }
  return (count / (performance.now() - start)) * 1000
}

function rebuildMs(pieces, peers, rng) {
  const picker = new PiecePicker(pieces * BLOCKS * BLOCK, BLOCKS * BLOCK, rng)
  for (const peer of peers) picker.addPeerPieces(peer)
  const start = performance.now()
  picker.map.freshen()
  return performance.now() - start
}

/** Median and the whole range. */
function summary(values) {
  const sorted = values.toSorted((a, b) => a - b)
  return { median: sorted[sorted.length >> 1], min: sorted[0], max: sorted[sorted.length - 1] }
}

const results = []
for (const pieces of sizes) {
  const rows = { blocks: [], picks: [], haves: [], bitfields: [], rebuild: [], plainBlocks: [], plainBitfields: [] }
  // The first runs warm up and are not counted.
  for (let run = 0; run < WARM_UP + runs; run++) {
    const rng = new SeededRng(run + 1)
    const peers = makePeers(pieces, rng)
    const ours = downloadOurs(pieces, peers, rng.fork('ours'))
    const plain = downloadPlain(pieces, peers, rng.fork('plain'))
    const haves = havesOurs(pieces, peers, rng)
    const bitfields = bitfieldsOurs(pieces, peers, rng)
    const plainBitfields = bitfieldsPlain(pieces, peers, rng)
    const rebuild = rebuildMs(pieces, peers, rng)
    if (run < WARM_UP) continue
    rows.blocks.push(ours.blocksPerSecond)
    rows.picks.push(ours.picksPerSecond)
    rows.haves.push(haves)
    rows.bitfields.push(bitfields)
    rows.rebuild.push(rebuild)
    rows.plainBlocks.push(plain.blocksPerSecond)
    rows.plainBitfields.push(plainBitfields)
  }
  const result = { pieces, peers: peerCount }
  for (const [name, values] of Object.entries(rows)) result[name] = summary(values)
  results.push(result)
}

if (json) console.log(JSON.stringify({ bench: 'picker', runs, results }))
else {
  const table = {}
  const show = n => Math.round(n).toLocaleString('en')
  for (const r of results) {
    table[`${show(r.pieces)} pieces, ${r.peers} peers`] = {
      'blocks chosen/s': show(r.blocks.median),
      'plain scan': show(r.plainBlocks.median),
      factor: (r.blocks.median / r.plainBlocks.median).toFixed(0),
      'picks of 32/s': show(r.picks.median),
      'haves/s': show(r.haves.median),
      'bitfields/s': show(r.bitfields.median),
      'plain recount/s': show(r.plainBitfields.median),
      'rebuild ms': r.rebuild.median.toFixed(2),
    }
  }
  console.table(table)
}
