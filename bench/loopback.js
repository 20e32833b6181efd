/**
 * A torrent from a seed to a leech over loopback, TCP, one file: ours and libtorrent, alternating, in two conditions: the
 * target file is in the page cache already and is overwritten, or it is new.
 *
 *   node bench/loopback.js [--size MiB] [--piece KiB] [--runs N] [--kinds v1,v2,hybrid] [--dir DIR] [--only 'ROW;...']
 *     [--conditions cached,new] [--seeds N] [--idle SECONDS] [--set NAME=VALUE]... [--threads] [--json]
 *
 * `--kinds` are the kinds of torrent, v1 unless given: webtorrent knows no others.
 * `--seeds` is the number of seeds in the row with several. `--idle` is a pause before each run to a new file, which
 * is bound by the kernel's supply of free pages. `--set` changes settings of ours. CPU is that of the transfer alone; memory is
 * the peak of the process's life, with the part that is not mapped from files beside it (libtorrent maps the torrent's files).
 *
 * `--threads` also prints what the threads of Node use: the main thread, V8's own (which compile), and the workers.
 *
 * The row "bare" is the floor: the data path without a protocol, as bare as Node allows (bench/lib/bare-*.mjs). It runs with
 * the file in the page cache only.
 *
 * libtorrent is driven through its Python binding (`python3-libtorrent`); without it only ours is measured. webtorrent is
 * measured where BENCH_WEBTORRENT names a folder that has it installed. Environment: DIST, where the built package is; PYTHON.
 */

import { spawnSync } from 'node:child_process'
import * as crypto from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { PeerProcess } from './lib/peer-process.mjs'

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '1024' },
    piece: { type: 'string', default: '1024' },
    runs: { type: 'string', default: '5' },
    kinds: { type: 'string', default: 'v1' },
    dir: { type: 'string', default: path.join(os.tmpdir(), 'libtorrent-ts-bench') },
    only: { type: 'string' },
    conditions: { type: 'string', default: 'cached,new' },
    seeds: { type: 'string', default: '8' },
    idle: { type: 'string', default: '5' },
    set: { type: 'string', multiple: true, default: [] },
    threads: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const MIB = 2 ** 20
const size = Number(values.size) * MIB
const pieceLength = Number(values.piece) * 1024
const runs = Number(values.runs)
const manySeeds = Number(values.seeds)
const python = process.env.PYTHON ?? (fs.existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3')
const name = `loopback-${values.size}.bin`
const source = path.join(values.dir, name)
const KINDS = ['v1', 'v2', 'hybrid']
const kinds = values.kinds.split(',')
const unknown = kinds.find(kind => !KINDS.includes(kind))
if (unknown !== undefined) {
  console.error(`--kinds ${unknown}: there are ${KINDS.join(', ')}`)
  process.exit(2)
}
const torrentOf = kind => path.join(values.dir, `loopback-${values.size}-${values.piece}-${kind}.torrent`)
const target = path.join(values.dir, 'target')

const script = file => fileURLToPath(new URL(`./lib/${file}`, import.meta.url))
const PEERS = {
  bare: (role, _torrent, save, kind) => [process.execPath, [script(`bare-${role}.mjs`), torrentOf('v1'), save, kind]],
  ours: (role, torrent, save) => [
    process.execPath,
    [...process.execArgv, script(`our-${role}.mjs`), torrent, save, ...values.set],
  ],
  libtorrent: (role, torrent, save) => [python, [script('libtorrent-peer.py'), role, torrent, save, 'default']],
  'libtorrent, best': (role, torrent, save) => [python, [script('libtorrent-peer.py'), role, torrent, save, 'high']],
  webtorrent: (role, torrent, save) => [process.execPath, [script('webtorrent-peer.mjs'), role, torrent, save]],
}

/** Those whose threads can be told apart. */
const NODE_PEERS = ['bare', 'ours']

const hasLibtorrent = spawnSync(python, ['-c', 'import libtorrent']).status === 0
if (!hasLibtorrent) console.error('libtorrent is not installed: no comparison')

function candidates(kind) {
  const out = [{ seed: 'ours', leech: 'ours', seeds: 1 }]
  if (hasLibtorrent) {
    out.push({ seed: 'libtorrent', leech: 'libtorrent', seeds: 1 })
    out.push({ seed: 'libtorrent, best', leech: 'libtorrent, best', seeds: 1 })
    out.push({ seed: 'libtorrent', leech: 'ours', seeds: 1 })
    out.push({ seed: 'ours', leech: 'libtorrent', seeds: 1 })
  }
  if (kind === 'v1' && process.env.BENCH_WEBTORRENT) out.push({ seed: 'webtorrent', leech: 'webtorrent', seeds: 1 })
  out.push({ seed: 'ours', leech: 'ours', seeds: manySeeds })
  out.push({ seed: 'bare', leech: 'bare', seeds: 1 })
  for (const each of out) each.kind = kind
  for (const each of out) each.name = `${each.seeds > 1 ? `${each.seeds} x ` : ''}${each.seed} -> ${each.leech}`
  return values.only === undefined ? out : out.filter(each => values.only.split(';').includes(each.name))
}

async function makeData() {
  fs.mkdirSync(values.dir, { recursive: true })
  if (fs.statSync(source, { throwIfNoEntry: false })?.size !== size) {
    const out = fs.openSync(source, 'w')
    const cipher = crypto.createCipheriv('aes-128-ctr', Buffer.alloc(16, 9), Buffer.alloc(16))
    const zeros = Buffer.alloc(MIB)
    for (let at = 0; at < size; at += zeros.length) {
      fs.writeSync(out, cipher.update(zeros.subarray(0, Math.min(zeros.length, size - at))))
    }
    fs.closeSync(out)
    for (const kind of KINDS) fs.rmSync(torrentOf(kind), { force: true })
  }
  // the bare peers take sizes and names from the v1 torrent
  for (const kind of new Set(['v1', ...kinds])) if (!fs.existsSync(torrentOf(kind))) await makeTorrent(kind)
}

async function makeTorrent(kind) {
  const dist = process.env.DIST
    ? `${path.resolve(process.env.DIST)}/`
    : fileURLToPath(new URL('../dist/', import.meta.url))
  const lib = await import(pathToFileURL(path.join(dist, 'index.js')))
  const flags = { v1: lib.CreateTorrent.v1Only, v2: lib.CreateTorrent.v2Only, hybrid: 0 }
  const torrent = new lib.CreateTorrent(lib.listFiles(source), pieceLength, flags[kind])
  await lib.setPieceHashes(torrent, values.dir)
  fs.writeFileSync(torrentOf(kind), torrent.generateBuf())
}

/** Reads the file, so that it is in the page cache. */
function warm(file) {
  const input = fs.openSync(file, 'r')
  const buffer = Buffer.alloc(MIB)
  while (fs.readSync(input, buffer, 0, buffer.length, null) > 0);
  fs.closeSync(input)
}

/** A file that has everything but one byte of each piece, so that all of it is downloaded again, in place. */
function makeStale(file) {
  if (fs.statSync(file, { throwIfNoEntry: false })?.size !== size) fs.copyFileSync(source, file)
  const out = fs.openSync(file, 'r+')
  const byte = Buffer.alloc(1)
  for (let at = 0; at < size; at += pieceLength) {
    fs.readSync(out, byte, 0, 1, at)
    byte[0] ^= 0xff
    fs.writeSync(out, byte, 0, 1, at)
  }
  fs.closeSync(out)
  warm(file)
}

const sleep = seconds => new Promise(resolve => setTimeout(resolve, seconds * 1000))

async function transfer({ seed, leech, seeds, kind }, condition) {
  const torrent = torrentOf(kind)
  const file = path.join(target, name)
  fs.mkdirSync(target, { recursive: true })
  if (condition === 'new') fs.rmSync(file, { force: true })
  else makeStale(file)
  warm(source)
  const peers = []
  try {
    const ports = []
    for (let i = 0; i < seeds; i++) {
      const peer = new PeerProcess(...PEERS[seed]('seed', torrent, values.dir, kind))
      peers.push(peer)
      const ready = await peer.event('ready')
      if (ready.progress !== 1) throw new Error(`${seed}: the seed has not all of it`)
      ports.push(ready.port)
    }
    const last = new PeerProcess(...PEERS[leech]('leech', torrent, target, kind))
    peers.push(last)
    const ready = await last.event('ready')
    if (ready.progress !== 0) throw new Error(`${leech}: the leech has some of it`)
    await sleep(condition === 'new' ? Number(values.idle) : 0.3)
    const before = peers.map(peer => peer.cpuSeconds())
    const isNode = NODE_PEERS.includes(seed) && NODE_PEERS.includes(leech)
    const threadsBefore = isNode ? peers.map(peer => peer.threadSeconds()) : []
    last.say(`go ${ports.join(' ')}`)
    const { seconds } = await last.event('finished')
    const cpu = peers.map((peer, i) => peer.cpuSeconds() - before[i])
    const threads = threadsBefore.map((was, i) => {
      const is = peers[i].threadSeconds()
      return { main: is.main - was.main, v8: is.v8 - was.v8, workers: is.workers - was.workers }
    })
    const peak = peers.map(peer => peer.memory().VmHWM)
    const anon = peers.map(peer => peer.anonMiB)
    for (const peer of peers) await peer.stop()
    if (spawnSync('cmp', ['-s', source, file]).status !== 0) throw new Error(`${leech}: the file is not what was sent`)
    return {
      seconds,
      seedCpu: cpu.slice(0, -1).reduce((a, b) => a + b, 0),
      leechCpu: cpu.at(-1),
      seedPeakMiB: Math.max(...peak.slice(0, -1)),
      leechPeakMiB: peak.at(-1),
      seedAnonMiB: Math.max(...anon.slice(0, -1)),
      leechAnonMiB: anon.at(-1),
      threads: isNode ? [addThreads(threads.slice(0, -1)), threads.at(-1)] : [],
    }
  } finally {
    for (const peer of peers) await peer.stop()
  }
}

function addThreads(all) {
  const sum = kind => all.reduce((total, threads) => total + threads[kind], 0)
  return { main: sum('main'), v8: sum('v8'), workers: sum('workers') }
}

function median(numbers) {
  const sorted = numbers.slice().sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

function summary(candidate, condition, results) {
  const rates = results.map(result => size / result.seconds / 1e6)
  const of = key => median(results.map(result => result[key]))
  return {
    condition,
    ...candidate,
    megabytesPerSecond: median(rates),
    min: Math.min(...rates),
    max: Math.max(...rates),
    seedCpuPerGiB: (of('seedCpu') / size) * 2 ** 30,
    leechCpuPerGiB: (of('leechCpu') / size) * 2 ** 30,
    seedPeakMiB: Math.max(...results.map(result => result.seedPeakMiB)),
    leechPeakMiB: Math.max(...results.map(result => result.leechPeakMiB)),
    seedAnonMiB: Math.max(...results.map(result => result.seedAnonMiB)),
    leechAnonMiB: Math.max(...results.map(result => result.leechAnonMiB)),
    threadsPerGiB: ['seed', 'leech'].slice(0, results[0].threads.length).map((role, i) => {
      const of = kind => (median(results.map(result => result.threads[i][kind])) / size) * 2 ** 30
      return { role, main: of('main'), v8: of('v8'), workers: of('workers') }
    }),
  }
}

function addRatios(rows) {
  for (const row of rows) {
    const alike = each => each.kind === row.kind && each.condition === row.condition
    const beside = name => rows.find(each => alike(each) && each.name === name)
    const plain = beside('libtorrent -> libtorrent')
    const best = beside('libtorrent, best -> libtorrent, best')
    const cpu = each => each.seedCpuPerGiB + each.leechCpuPerGiB
    if (plain !== undefined) {
      row.timesLibtorrent = row.megabytesPerSecond / plain.megabytesPerSecond
      row.cpuTimesLibtorrent = cpu(row) / cpu(plain)
    }
    if (best !== undefined) row.timesLibtorrentBest = row.megabytesPerSecond / best.megabytesPerSecond
    const one = beside('ours -> ours')
    if (row.seeds > 1 && one !== undefined) row.timesOneSeed = row.megabytesPerSecond / one.megabytesPerSecond
  }
}

function printThreads(rows) {
  console.log('\nCPU s/GiB of threads: main, V8, workers')
  for (const { kind, condition, name, threadsPerGiB } of rows) {
    const cells = threadsPerGiB.map(
      each => `${each.role} ${each.main.toFixed(2)}, ${each.v8.toFixed(2)}, ${each.workers.toFixed(2)}`,
    )
    if (cells.length > 0)
      console.log(`${kind.padEnd(7)} ${condition.padEnd(7)} ${name.padEnd(37)} ${cells.join('   ')}`)
  }
}

function print(rows) {
  console.log(`seed to leech over loopback: ${values.size} MiB, pieces of ${values.piece} KiB, medians of ${runs}\n`)
  console.log(
    'kind    file    seed -> leech                          MB/s (min-max)    CPU s/GiB seed+leech  peak MiB (anon) seed, leech   x libtorrent  x best  CPU x',
  )
  const number = (value, digits = 2) => (value === undefined ? '-' : value.toFixed(digits))
  for (const row of rows) {
    const rate = `${number(row.megabytesPerSecond, 0)} (${number(row.min, 0)}-${number(row.max, 0)})`
    const cpu = `${number(row.seedCpuPerGiB)} + ${number(row.leechCpuPerGiB)}`
    const memory = `${number(row.seedPeakMiB, 0)} (${number(row.seedAnonMiB, 0)}), ${number(row.leechPeakMiB, 0)} (${number(row.leechAnonMiB, 0)})`
    console.log(
      `${row.kind.padEnd(7)} ${row.condition.padEnd(7)} ${row.name.padEnd(37)} ${rate.padEnd(17)} ${cpu.padEnd(21)} ${memory.padEnd(29)} ${number(row.timesLibtorrent).padEnd(13)} ${number(row.timesLibtorrentBest).padEnd(7)} ${number(row.cpuTimesLibtorrent)}${row.timesOneSeed === undefined ? '' : `   ${number(row.timesOneSeed)} x one seed`}`,
    )
  }
}

await makeData()
const rows = []
for (const condition of values.conditions.split(',')) {
  // all kinds take turns, so that they can be compared with each other too
  const all = kinds.flatMap(candidates).filter(each => condition === 'cached' || each.seed !== 'bare')
  const results = all.map(() => [])
  for (let run = 0; run < runs; run++) {
    for (const [i, candidate] of all.entries()) results[i].push(await transfer(candidate, condition))
  }
  for (const [i, candidate] of all.entries()) rows.push(summary(candidate, condition, results[i]))
}
fs.rmSync(target, { recursive: true, force: true })
addRatios(rows)
if (values.json)
  console.log(
    JSON.stringify({ bench: 'loopback', sizeMiB: Number(values.size), pieceKiB: Number(values.piece), runs, rows }),
  )
else {
  print(rows)
  if (values.threads) printThreads(rows)
}
