/**
 * The merkle trees of a v2 torrent of 1 TiB: what they take in memory, and what the steps of hash exchange cost.
 *
 *   node bench/merkle-memory.js [--runs N] [--json]
 *
 * Files of 1 TiB in all, in pieces of 1 and 16 MiB. `stored` is what the trees say they hold, `measured` is what the process took
 * (heap and array buffers after a collection). Block layers are measured on a torrent of 16 GiB and computed for the TiB; beside
 * them stands what all nodes of the trees would take. DIST names another folder with the built package.
 */

import { resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const dist = pathToFileURL(`${resolve(process.env.DIST ?? new URL('../build', import.meta.url).pathname)}/`)
const { Bitfield } = await import(new URL('core/bitfield.js', dist).href)
const { FileStorage } = await import(new URL('metainfo/file-storage.js', dist).href)
const merkle = await import(new URL('metainfo/merkle.js', dist).href)
const { HashTrees } = await import(new URL('torrent/hash-trees.js', dist).href)
const { HashPicker } = await import(new URL('torrent/hash-picker.js', dist).href)
const { uncleCount } = await import(new URL('wire/hash-messages.js', dist).href)

const json = process.argv.includes('--json')
const runs = Number(argument('--runs', 3))

const MIB = 2 ** 20
const GIB = 2 ** 30
const TIB = 2 ** 40
const BLOCK = 16384
const HASH = 32
/** Pieces whose block hashes are held at a time. */
const FAILED_PIECES = 100

function argument(name, value) {
  const at = process.argv.indexOf(name)
  return at > 0 ? process.argv[at + 1] : value
}

setFlagsFromString('--expose_gc')
const collect = runInNewContext('gc')

function memory() {
  for (let i = 0; i < 3; i++) collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** A file whose blocks all have the same hash: its nodes are known by their height, besides those that have padding under them. */
class SampleFile {
  constructor(blocks, perPiece, seed) {
    this.blocks = blocks
    this.levels = Math.log2(perPiece)
    this.pieces = blocks / perPiece
    this.nodes = [new Uint8Array(HASH).fill(seed)]
    for (let h = 0; h < 30; h++) this.nodes.push(new Uint8Array(merkle.mergeHash(this.nodes[h], this.nodes[h])))
    this.root = new Uint8Array(merkle.merkleSubtreeRoot(this.layer(), merkle.merkleNumLeafs(this.pieces), this.levels))
  }

  run(height, count) {
    const out = new Uint8Array(count * HASH)
    for (let i = 0; i < count; i++) out.set(this.nodes[height], i * HASH)
    return out
  }

  layer() {
    return this.run(this.levels, this.pieces)
  }

  /** Layer and mask as a torrent file gives them. */
  trees() {
    const first = merkle.merkleFirstLeaf(merkle.merkleNumLeafs(this.pieces))
    return [this.layer(), maskOf(first, this.pieces)]
  }

  /** All nodes, as if each had its place in memory. */
  get allNodes() {
    return merkle.merkleNumNodes(merkle.merkleNumLeafs(this.blocks)) * HASH
  }
}

function maskOf(first, count) {
  const mask = new Bitfield(first + count)
  for (let i = first; i < first + count; i++) mask.setBit(i)
  return mask
}

function torrent(total, fileCount, pieceLength) {
  const perPiece = pieceLength / BLOCK
  const pieces = Math.ceil(total / fileCount / pieceLength)
  const list = Array.from({ length: fileCount }, (_, i) => new SampleFile(pieces * perPiece, perPiece, i + 1))
  const files = new FileStorage()
  files.setPieceLength(pieceLength)
  for (const [i, file] of list.entries()) files.addFile(`t/${i}`, file.blocks * BLOCK, 0, 0, '', file.root)
  files.setNumPieces(files.totalSize() / pieceLength)
  return { files, list }
}

const blocksOf = (file, piece) => {
  const count = 2 ** file.levels
  return { root: file.root, base: 0, index: piece * count, count, proofLayers: file.levels - 1 }
}

function measure(total, fileCount, pieceLength) {
  const { files, list } = torrent(total, fileCount, pieceLength)
  const base = memory()
  const state = trees => ({ stored: trees.memoryBytes, measured: memory() - base })
  let trees = new HashTrees(files)
  for (const file of list) {
    trees.pieceRoot(0)
    trees.fileOfRoot(file.root)
  }
  const rootOnly = state(trees)
  trees = null
  const withLayers = new HashTrees(files)
  {
    const given = list.map(file => file.trees())
    const none = given.map(() => new Bitfield())
    withLayers.load(
      given.map(each => each[0]),
      given.map(each => each[1]),
      none,
    )
  }
  if (!withLayers.complete) throw new Error('a piece layer was not taken')
  const layers = state(withLayers)
  for (let i = 0; i < FAILED_PIECES; i++) {
    const file = list[i % fileCount]
    const request = blocksOf(file, Math.floor(i / fileCount))
    if (withLayers.addHashes(i % fileCount, request, file.run(0, request.count)) === null) throw new Error('blocks')
  }
  const failed = state(withLayers)
  const blockLayers = list.reduce((sum, file) => sum + file.blocks * HASH, 0)
  return {
    files: fileCount,
    pieceMiB: pieceLength / MIB,
    pieces: files.numPieces(),
    rootOnly,
    layers,
    failed,
    blockLayers: layers.stored + blockLayers,
    allNodes: list.reduce((sum, file) => sum + file.allNodes, 0),
  }
}

/** With all block hashes, on a torrent that is small enough. */
function measureBlocks(pieceLength) {
  const { files, list } = torrent(16 * GIB, 1, pieceLength)
  const [file] = list
  const base = memory()
  const trees = new HashTrees(files)
  trees.load([file.run(0, file.blocks)], [maskOf(merkle.merkleFirstLeaf(file.blocks), file.blocks)], [new Bitfield()])
  if (trees.blockHashes(0) === null) throw new Error('the block layer was not taken')
  const measured = memory() - base
  return {
    pieceMiB: pieceLength / MIB,
    stored: trees.memoryBytes,
    measured,
    formula: (file.blocks + file.pieces) * HASH,
  }
}

function answer(file, { base, count, proofLayers }) {
  const own = base + Math.log2(count)
  const uncles = Array.from({ length: uncleCount(count, proofLayers) }, (_, i) => file.nodes[own + i])
  return Buffer.concat([file.run(base, count), ...uncles])
}

/** One TiB in one file, from the root to the piece layer. */
function times(pieceLength) {
  const { files, list } = torrent(TIB, 1, pieceLength)
  const [file] = list
  const trees = new HashTrees(files)
  const picker = new HashPicker(files, trees)
  const all = () => true
  let count = 0
  let adding = 0
  let picking = 0
  for (;;) {
    const t0 = performance.now()
    const request = picker.pick(all, 0)
    picking += performance.now() - t0
    if (request === null) break
    const hashes = answer(file, request)
    const t1 = performance.now()
    trees.addHashes(0, request, hashes)
    picker.received(0, request)
    adding += performance.now() - t1
    count++
  }
  const per = (times, work) => {
    const start = performance.now()
    for (let i = 0; i < times; i++) work(i)
    return ((performance.now() - start) / times) * 1000
  }
  const pieces = files.numPieces()
  const root = file.nodes[file.levels]
  const known = per(100_000, i => trees.setPieceRoot((i * 7919) % pieces, root))
  const get = per(1000, i =>
    trees.getHashes(0, {
      root: file.root,
      base: file.levels,
      index: (i * 512) % pieces,
      count: 512,
      proofLayers: Math.log2(pieces) - 1,
    }),
  )
  const bare = new HashTrees(files)
  const unknown = per(Math.min(pieces - 1, 60_000), i => bare.setPieceRoot(i, root))
  return {
    pieceMiB: pieceLength / MIB,
    addHashes512: (adding / count) * 1000,
    pick: (picking / count) * 1000,
    getHashes512: get,
    setKnown: known,
    setUnknown: unknown,
  }
}

const median = list => list.toSorted((a, b) => a - b)[list.length >> 1]
const results = []
for (const pieceLength of [MIB, 16 * MIB]) {
  for (const fileCount of [1, 100]) results.push(measure(TIB, fileCount, pieceLength))
}
const blocks = [MIB, 16 * MIB].map(measureBlocks)
const steps = [MIB, 16 * MIB].map(pieceLength => {
  const list = Array.from({ length: runs }, () => times(pieceLength))
  return Object.fromEntries(Object.keys(list[0]).map(key => [key, median(list.map(each => each[key]))]))
})

if (json)
  console.log(JSON.stringify({ bench: 'merkle-memory', runs, failedPieces: FAILED_PIECES, results, blocks, steps }))
else {
  const size = n => (n < 0 ? '0' : n < MIB ? `${(n / 1024).toFixed(1)} KiB` : `${(n / MIB).toFixed(1)} MiB`)
  const both = ({ stored, measured }) => `${size(stored)} (${size(measured)})`
  console.log('1 TiB: stored (measured)')
  console.table(
    Object.fromEntries(
      results.map(r => [
        `${r.files} file${r.files > 1 ? 's' : ''}, ${r.pieceMiB} MiB pieces`,
        {
          'root only': both(r.rootOnly),
          'piece layers': both(r.layers),
          [`+ blocks of ${FAILED_PIECES} pieces`]: both(r.failed),
          'block layers, computed': size(r.blockLayers),
          'all nodes, computed': size(r.allNodes),
        },
      ]),
    ),
  )
  console.log('16 GiB with its block layer')
  console.table(
    Object.fromEntries(
      blocks.map(r => [
        `1 file, ${r.pieceMiB} MiB pieces`,
        { stored: size(r.stored), measured: size(r.measured), 'by the formula': size(r.formula) },
      ]),
    ),
  )
  console.log('1 TiB in one file: microseconds')
  console.table(
    Object.fromEntries(
      steps.map(r => [
        `${r.pieceMiB} MiB pieces`,
        {
          'addHashes of 512': r.addHashes512.toFixed(0),
          'getHashes of 512': r.getHashes512.toFixed(0),
          pick: r.pick.toFixed(1),
          'setPieceRoot, known': r.setKnown.toFixed(2),
          'setPieceRoot, unknown': r.setUnknown.toFixed(2),
        },
      ]),
    ),
  )
}
