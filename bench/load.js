/**
 * Loading a torrent of 100,000 files.
 *
 *   node bench/load.js [--json] [--runs N]
 *
 * Beside it libtorrent's `torrent_info`, through its Python binding if that is installed (the clock is read
 * inside that process, so starting it does not count), and the `parse-torrent` package. DIST names another
 * folder with the built package.
 */

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import parseTorrent from 'parse-torrent'
import { alternate, manyFiles, median } from './sample-torrents.js'

const dist = pathToFileURL(`${resolve(process.env.DIST ?? new URL('../build', import.meta.url).pathname)}/`)
const { bencode } = await import(new URL('bencode/bencode.js', dist).href)
const { loadTorrentBuffer } = await import(new URL('metainfo/load-torrent.js', dist).href)

const json = process.argv.includes('--json')
const runsAt = process.argv.indexOf('--runs')
const runs = runsAt > 0 ? Number(process.argv[runsAt + 1]) : 7

/** Loads once for every line it reads, and answers with the milliseconds. */
const PEER = `
import sys, time, warnings
warnings.simplefilter('ignore')
import libtorrent
data = open(sys.argv[1], 'rb').read()
print('ready', flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    info = libtorrent.torrent_info(data)
    print((time.perf_counter() - start) * 1000, flush=True)
    del info
`

/** @returns `null` if there is no binding */
async function startPeer(path) {
  const child = spawn('/usr/bin/python3', ['-c', PEER, path], { stdio: ['pipe', 'pipe', 'ignore'] })
  const failed = new Promise(done => {
    child.once('error', () => done(null))
    child.once('exit', () => done(null))
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => {
    const line = await Promise.race([lines.next(), failed])
    return line === null || line.done ? null : line.value
  }
  if ((await next()) !== 'ready') return null
  return {
    async load() {
      child.stdin.write('go\n')
      return Number(await next())
    },
    stop: () => child.stdin.end(),
  }
}

const bytes = manyFiles(bencode, 100_000)
const directory = mkdtempSync(join(tmpdir(), 'bench-load-'))
try {
  const path = join(directory, 'sample.torrent')
  writeFileSync(path, bytes)
  const peer = await startPeer(path)
  const contenders = {
    ours: () => void loadTorrentBuffer(bytes),
    parseTorrent: async () => void (await parseTorrent(bytes)),
  }
  if (peer !== null) contenders.libtorrent = () => peer.load()
  const times = await alternate(contenders, runs)
  peer?.stop()
  const ours = median(times.ours)
  const parse = median(times.parseTorrent)
  const libtorrent = times.libtorrent === undefined ? null : median(times.libtorrent)
  if (json) {
    console.log(
      JSON.stringify({
        bytes: bytes.length,
        files: 100_000,
        runs,
        oursMs: ours,
        libtorrentMs: libtorrent,
        parseTorrentMs: parse,
        timeOfLibtorrent: libtorrent === null ? null : ours / libtorrent,
        parseTorrentSpeedup: parse / ours,
      }),
    )
  } else {
    const row = (name, value) => console.log(`${name.padEnd(28)} ${value.toFixed(1).padStart(8)} ms`)
    console.log(`${bytes.length} bytes, 100,000 files, median of ${runs}`)
    row('loadTorrentBuffer', ours)
    if (libtorrent === null) console.log('libtorrent                   not installed')
    else row('libtorrent torrent_info', libtorrent)
    row('parse-torrent', parse)
  }
} finally {
  rmSync(directory, { recursive: true, force: true })
}
