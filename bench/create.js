/**
 * Hashing a file for a new torrent: v1, v2 and hybrid.
 *
 *   node bench/create.js [--size MIB] [--runs N] [--piece-length KIB] [--dir DIR] [--json]
 *
 * Beside it, alternating in the same run, `mktorrent -t 2` and `set_piece_hashes` of libtorrent's Python binding.
 * A side that is not installed is left out. The file is made once, and read before the first run so that it is in
 * the page cache. DIST names another folder with the built package.
 */

import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'

const dist = pathToFileURL(`${resolve(process.env.DIST ?? new URL('../build', import.meta.url).pathname)}/`)
const { CreateTorrent } = await import(new URL('metainfo/create-torrent.js', dist).href)
const { listFiles } = await import(new URL('metainfo/list-files.js', dist).href)
const { setPieceHashes } = await import(new URL('node/set-piece-hashes.js', dist).href)
const { sha1 } = await import(new URL('core/hash.js', dist).href)
const { bencode } = await import(new URL('bencode/bencode.js', dist).href)

const MIB = 1024 * 1024
const KINDS = { v1: CreateTorrent.v1Only, v2: CreateTorrent.v2Only, hybrid: 0 }

const LIBTORRENT = `
import hashlib, json, os, sys, time
import libtorrent as lt
path, piece, flags = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
fs = lt.file_storage()
fs.add_file(os.path.basename(path), os.path.getsize(path))
t = lt.create_torrent(fs, piece, flags=flags)
begin = time.perf_counter()
lt.set_piece_hashes(t, os.path.dirname(path))
seconds = time.perf_counter() - begin
print(json.dumps([seconds, hashlib.sha1(lt.bencode(t.generate()[b'info'])).hexdigest()]))
`

function argument(name, value) {
  const at = process.argv.indexOf(name)
  return at > 0 ? process.argv[at + 1] : value
}

const json = process.argv.includes('--json')
const size = Number(argument('--size', 512)) * MIB
const runs = Number(argument('--runs', 5))
const pieceLength = Number(argument('--piece-length', 1024)) * 1024
const folder = mkdtempSync(join(argument('--dir', tmpdir()), 'create-'))
const file = join(folder, 'data')

try {
  makeFile()
  await main()
} finally {
  rmSync(folder, { recursive: true })
}

function makeFile() {
  const chunk = new Uint32Array(MIB)
  let x = 1
  const fd = openSync(file, 'w')
  for (let left = size; left > 0; left -= chunk.byteLength) {
    for (let i = 0; i < chunk.length; i++) chunk[i] = x = (Math.imul(x, 1664525) + 1013904223) >>> 0
    writeSync(fd, chunk, 0, Math.min(left, chunk.byteLength))
  }
  closeSync(fd)
  const back = openSync(file, 'r')
  const buffer = new Uint8Array(MIB)
  while (readSync(back, buffer) > 0);
  closeSync(back)
}

async function ours(kind) {
  const torrent = new CreateTorrent(listFiles(file), pieceLength, KINDS[kind] | CreateTorrent.noAttributes)
  const begin = performance.now()
  await setPieceHashes(torrent, folder)
  const seconds = (performance.now() - begin) / 1000
  const hash = Buffer.from(sha1(bencode(torrent.generate().info))).toString('hex')
  return { seconds, hash }
}

function libtorrent(kind) {
  const args = ['-c', LIBTORRENT, file, String(pieceLength), String(KINDS[kind])]
  const { status, stdout } = spawnSync(process.env.PYTHON ?? '/usr/bin/python3', args, { encoding: 'utf8' })
  if (status !== 0) return null
  const [seconds, hash] = JSON.parse(stdout)
  return { seconds, hash }
}

/** The time of the whole process, which is how it is used. */
function mktorrent() {
  const output = join(folder, 'mktorrent.torrent')
  const args = ['-t', '2', '-l', String(Math.log2(pieceLength)), '-o', output, '-a', 'http://127.0.0.1/announce', file]
  const begin = performance.now()
  const { status } = spawnSync('mktorrent', args)
  const seconds = (performance.now() - begin) / 1000
  if (status !== 0 || statSync(output).size === 0 || readFileSync(output)[0] !== 0x64) return null
  rmSync(output)
  return { seconds, hash: '' }
}

async function main() {
  const rows = []
  for (const kind of Object.keys(KINDS)) {
    rows.push({ name: `ours ${kind}`, run: () => ours(kind), seconds: [] })
    rows.push({ name: `libtorrent ${kind}`, run: () => libtorrent(kind), seconds: [] })
    if (kind === 'v1') rows.push({ name: 'mktorrent -t 2', run: mktorrent, seconds: [] })
  }
  const hashes = new Map()
  for (let run = 0; run < runs; run++) {
    for (const row of rows) {
      const result = await row.run()
      if (result === null) continue
      row.seconds.push(result.seconds)
      const kind = row.name.split(' ')[1]
      if (result.hash === '') continue
      if (hashes.has(kind) && hashes.get(kind) !== result.hash) throw new Error(`${row.name}: another info-hash`)
      hashes.set(kind, result.hash)
    }
  }
  const median = name => {
    const { seconds } = rows.find(row => row.name === name)
    return seconds.length === 0 ? null : seconds.toSorted((a, b) => a - b)[seconds.length >> 1]
  }
  const ratio = (name, other) => (median(other) === null ? null : Number((median(other) / median(name)).toFixed(3)))
  const ratios = {
    'v1 to mktorrent -t 2': ratio('ours v1', 'mktorrent -t 2'),
    'v1 to libtorrent': ratio('ours v1', 'libtorrent v1'),
    'v2 to libtorrent': ratio('ours v2', 'libtorrent v2'),
    'hybrid to libtorrent': ratio('ours hybrid', 'libtorrent hybrid'),
  }
  if (json) {
    const results = Object.fromEntries(rows.map(row => [row.name, { median: median(row.name), seconds: row.seconds }]))
    console.log(JSON.stringify({ size, pieceLength, runs, ratios, results }))
    return
  }
  console.log(`${size / MIB} MiB, pieces of ${pieceLength / 1024} KiB, median (least - most) of ${runs}`)
  for (const { name, seconds } of rows) {
    const rate = value => (size / value / (1024 * MIB)).toFixed(2)
    const text =
      seconds.length === 0
        ? 'not installed'
        : `${rate(median(name))} GiB/s (${rate(Math.max(...seconds))} - ${rate(Math.min(...seconds))})`
    console.log(`${name.padEnd(18)} ${text}`)
  }
  for (const [name, value] of Object.entries(ratios)) console.log(`${name}: ${value === null ? '-' : `${value} x`}`)
}
