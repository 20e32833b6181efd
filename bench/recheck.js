/**
 * Full check of a file: ours (driving `DiskIo.hashPieces` as a checking torrent does) beside libtorrent's
 * `force_recheck`, alternating, page cache warm.
 *
 *   node bench/recheck.js [--size MiB] [--piece KiB] [--runs N] [--kinds v1,v2,hybrid] [--dir DIR] [--json]
 *
 * libtorrent is driven through its Python binding (`python3-libtorrent`); without it only ours is measured. "bare" is the
 * floor: what two threads reach that do nothing but read and hash (bench/lib/bare-check.mjs).
 * Environment: DIST, where the built package is; PYTHON.
 */

import { execFileSync, spawnSync } from 'node:child_process'
import * as crypto from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '2048' },
    piece: { type: 'string', default: '1024' },
    runs: { type: 'string', default: '5' },
    kinds: { type: 'string', default: 'v1,v2,hybrid' },
    dir: { type: 'string', default: path.join(os.tmpdir(), 'libtorrent-ts-bench') },
    json: { type: 'boolean', default: false },
    ours: { type: 'string' },
    ahead: { type: 'string', default: '8' },
    chunk: { type: 'string', default: '16' },
  },
})
const size = Number(values.size) * 2 ** 20
const pieceLength = Number(values.piece) * 1024
const file = path.join(values.dir, `recheck-${values.size}.bin`)
const dist = new URL(process.env.DIST ? `file://${path.resolve(process.env.DIST)}/` : '../build/', import.meta.url)
const python = process.env.PYTHON ?? '/usr/bin/python3'

/** One process, one check: so that peak memory is its own. */
async function measureOurs(kind) {
  const { createNodeDisk } = await import(new URL('storage/node/disk-pool.js', dist))
  const files = {
    numFiles: () => 1,
    numPieces: () => Math.ceil(size / pieceLength),
    pieceLength: () => pieceLength,
    totalSize: () => size,
    fileSize: () => size,
    fileOffset: () => 0,
    fileFlags: () => 0,
    filePath: () => path.basename(file),
    symlink: () => '',
    fileIndexAtOffset: () => 0,
  }
  const settings = {
    aioThreads: 10,
    hashingThreads: 1,
    filePoolSize: 40,
    maxQueuedDiskBytes: 1 << 20,
    writeMode: 0,
    readMode: 0,
  }
  const disk = createNodeDisk({ settings })
  const storage = disk.addStorage({
    files,
    renamed: new Map(),
    savePath: values.dir,
    partFileDir: '',
    partFileName: '.recheck.parts',
    mode: 1,
    filePriorities: [],
  })
  const want = { v1: kind !== 'v2', v2: kind !== 'v1', blockHashes: false }
  const pieces = files.numPieces()
  // Worker start-up is part of a session, not of a check; libtorrent's threads run already, too.
  await new Promise(done => {
    let left = 2
    for (let i = 0; i < 2; i++) disk.hashPieces(storage, i, 1, want, () => --left === 0 && done())
    disk.submit()
  })
  const perJob = Math.max(1, Math.round((Number(values.chunk) * 2 ** 20) / pieceLength))
  const cpu = process.cpuUsage()
  const started = performance.now()
  let seen = 0
  await new Promise((resolve, reject) => {
    let next = 0
    let inFlight = 0
    const feed = () => {
      while (next < pieces && inFlight < Number(values.ahead)) {
        const count = Math.min(perJob, pieces - next)
        inFlight++
        disk.hashPieces(storage, next, count, want, result => {
          inFlight--
          if (result.error !== null) return reject(new Error(result.error.code.message()))
          seen += count
          if (seen === pieces) resolve()
          feed()
        })
        next += count
      }
      disk.submit()
    }
    feed()
  })
  const seconds = (performance.now() - started) / 1000
  const used = process.cpuUsage(cpu)
  await new Promise(done => disk.close(done))
  return {
    who: 'ours',
    kind,
    seconds,
    cpu: (used.user + used.system) / 1e6,
    peakMiB: process.resourceUsage().maxRSS / 1024,
  }
}

const PYTHON_CHECK = `
import sys, os, json, select, time, resource, libtorrent as lt
torrent, save, sets = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
ti = lt.torrent_info(torrent)
st = dict(listen_interfaces="", enable_dht=False, enable_lsd=False, enable_upnp=False, enable_natpmp=False,
  alert_mask=lt.alert.category_t.status_notification | lt.alert.category_t.error_notification, **sets)
ses = lt.session(st)
ready, posted = os.pipe(); ses.set_alert_fd(posted)
p = lt.add_torrent_params(); p.ti = ti; p.save_path = save; p.flags = lt.torrent_flags.seed_mode
h = ses.add_torrent(p)
while h.status().state != lt.torrent_status.seeding: time.sleep(0.05)
time.sleep(0.2); ses.pop_alerts()
def cpu():
  r = resource.getrusage(resource.RUSAGE_SELF); return r.ru_utime + r.ru_stime
c, t = cpu(), time.monotonic()
h.force_recheck()
done = False
while not done:
  if select.select([ready], [], [], 1)[0]: os.read(ready, 4096)
  done = any(isinstance(a, lt.torrent_checked_alert) for a in ses.pop_alerts())
t = time.monotonic() - t
assert h.status().progress == 1.0
print(json.dumps(dict(seconds=t, cpu=cpu() - c, peakMiB=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)))
`

const PYTHON_MAKE = `
import sys, os, libtorrent as lt
name, size, piece, kind, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
fs = lt.file_storage(); fs.add_file(os.path.basename(name), size)
flags = dict(v1=lt.create_torrent.v1_only, v2=lt.create_torrent.v2_only, hybrid=0)[kind]
ct = lt.create_torrent(fs, piece, flags)
lt.set_piece_hashes(ct, os.path.dirname(name))
open(out, "wb").write(lt.bencode(ct.generate()))
`

function makeData() {
  fs.mkdirSync(values.dir, { recursive: true })
  if (fs.statSync(file, { throwIfNoEntry: false })?.size === size) return
  const fd = fs.openSync(file, 'w')
  const cipher = crypto.createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16))
  const zeros = Buffer.alloc(1 << 20)
  for (let at = 0; at < size; at += zeros.length) fs.writeSync(fd, cipher.update(zeros))
  fs.closeSync(fd)
}

function warm() {
  const fd = fs.openSync(file, 'r')
  const buffer = Buffer.alloc(1 << 20)
  while (fs.readSync(fd, buffer, 0, buffer.length, null) > 0);
  fs.closeSync(fd)
}

function torrentOf(kind) {
  const out = path.join(values.dir, `recheck-${values.size}-${values.piece}-${kind}.torrent`)
  if (!fs.existsSync(out)) execFileSync(python, ['-c', PYTHON_MAKE, file, String(size), String(pieceLength), kind, out])
  return out
}

function runOurs(kind) {
  const args = [new URL(import.meta.url).pathname, '--ours', kind]
  for (const name of ['size', 'piece', 'dir', 'ahead', 'chunk']) args.push(`--${name}`, values[name])
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }))
}

function runLibtorrent(kind, name, sets) {
  const out = execFileSync(python, ['-c', PYTHON_CHECK, torrentOf(kind), values.dir, JSON.stringify(sets)], {
    encoding: 'utf8',
  })
  return { who: name, kind, ...JSON.parse(out) }
}

function runBare(kind) {
  const args = [new URL('lib/bare-check.mjs', import.meta.url).pathname, file, kind, String(pieceLength)]
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }))
}

function median(numbers) {
  const sorted = numbers.slice().sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

function main() {
  makeData()
  const hasPeer = spawnSync(python, ['-c', 'import libtorrent']).status === 0
  const rows = []
  for (const kind of values.kinds.split(',')) {
    const candidates = [['ours', () => runOurs(kind)]]
    if (hasPeer) {
      candidates.push(['libtorrent', () => runLibtorrent(kind, 'libtorrent', {})])
      candidates.push([
        'libtorrent, hashing_threads=2',
        () => runLibtorrent(kind, 'libtorrent-2', { hashing_threads: 2 }),
      ])
    }
    candidates.push(['bare: two threads read and hash', () => runBare(kind)])
    const results = candidates.map(() => [])
    for (let run = 0; run < Number(values.runs); run++) {
      candidates.forEach(([, fn], i) => {
        warm()
        results[i].push(fn())
      })
    }
    candidates.forEach(([who], i) => {
      const gib = results[i].map(r => size / r.seconds / 2 ** 30)
      rows.push({
        kind,
        who,
        gibPerSecond: median(gib),
        min: Math.min(...gib),
        max: Math.max(...gib),
        cpuSeconds: median(results[i].map(r => r.cpu)),
        peakMiB: Math.max(...results[i].map(r => r.peakMiB)),
      })
    })
  }
  const rate = (kind, name) =>
    Math.max(...rows.filter(r => r.kind === kind && r.who.startsWith(name)).map(r => r.gibPerSecond))
  for (const row of rows) {
    if (row.who !== 'ours') continue
    if (hasPeer) row.ratio = row.gibPerSecond / rate(row.kind, 'libtorrent')
    row.ofBare = row.gibPerSecond / rate(row.kind, 'bare')
  }
  if (values.json) {
    console.log(
      JSON.stringify({
        bench: 'recheck',
        sizeMiB: Number(values.size),
        pieceKiB: Number(values.piece),
        runs: Number(values.runs),
        rows,
      }),
    )
    return
  }
  console.log(`check of ${values.size} MiB, ${values.piece} KiB pieces, ${values.runs} runs\n`)
  console.log(
    'kind    who                            GiB/s (min-max)       CPU s   peak MiB   ours / best libtorrent, / bare',
  )
  for (const r of rows) {
    console.log(
      `${r.kind.padEnd(7)} ${r.who.padEnd(30)} ${r.gibPerSecond.toFixed(2)} (${r.min.toFixed(2)}-${r.max.toFixed(2)})      ${r.cpuSeconds.toFixed(2)}   ${r.peakMiB.toFixed(0).padStart(8)}   ${r.ofBare === undefined ? '' : `${r.ratio === undefined ? '-' : r.ratio.toFixed(2)}   ${r.ofBare.toFixed(2)}`}`,
    )
  }
}

if (values.ours !== undefined) console.log(JSON.stringify(await measureOurs(values.ours)))
else main()
