/**
 * Idle torrents in a session of ours: usage idle-torrents.mjs COUNT leech|seed|paused [TRACKER]
 *
 * Prints one JSON line of what they cost. Start with `--expose-gc`. Environment: DIST, where the built package is;
 * SETTLE and MEASURE, seconds.
 */

import { createHash } from 'node:crypto'
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { emit } from './lines.mjs'

const dist = process.env.DIST ? pathToFileURL(`${resolve(process.env.DIST)}/`) : new URL('../../dist/', import.meta.url)
const { AlertCategory, bencode, loadTorrentBuffer, Session, TorrentFlags, TorrentStatus } = await import(
  new URL('index.js', dist)
)

const [countText, mode, tracker] = process.argv.slice(2)
const count = Number(countText)
const settleMs = Number(process.env.SETTLE ?? 8) * 1000
const measureMs = Number(process.env.MEASURE ?? 8) * 1000
const checking = TorrentStatus.State.checkingResumeData
const flags = { leech: 0, seed: TorrentFlags.seedMode, paused: TorrentFlags.paused }[mode]
const savePath = mkdtempSync(join(tmpdir(), 'bench-scale-'))

const PIECES = 100
const PIECE_LENGTH = 1 << 18
const infos = []
for (let i = 0; i < count; i++) {
  const hash = createHash('sha1').update(String(i)).digest()
  const info = {
    name: `t${String(i).padStart(6, '0')}`,
    'piece length': PIECE_LENGTH,
    length: PIECES * PIECE_LENGTH,
    pieces: Buffer.concat(new Array(PIECES).fill(hash)),
  }
  infos.push(loadTorrentBuffer(bencode({ info })).ti)
  if (mode === 'seed') {
    // nothing but a size, as no peer will ask for anything
    const file = openSync(join(savePath, info.name), 'w')
    ftruncateSync(file, info.length)
    closeSync(file)
  }
}
const session = new Session({
  listen_interfaces: '127.0.0.1:0',
  enable_dht: false,
  enable_lsd: false,
  enable_upnp: false,
  enable_natpmp: false,
  active_limit: -1,
  active_downloads: -1,
  active_seeds: -1,
  alert_mask: AlertCategory.error,
})
await sleep(500)
globalThis.gc?.()
await sleep(100)

const memory = () => {
  const { rss, heapUsed, external } = process.memoryUsage()
  return { rss, heap: heapUsed + external }
}
const cpuMs = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
const before = memory()
const cpuBefore = cpuMs()
const started = performance.now()
for (const ti of infos) {
  const params = { ti, savePath, flags }
  if (tracker !== undefined) params.trackers = [tracker]
  session.addTorrent(params)
}
const addSeconds = (performance.now() - started) / 1000
// each is looked at until it is checked; the status of all of them, again and again, would be what is measured
for (const handle of session.getTorrents()) while (handle.status().state === checking) await sleep(20)
const readySeconds = (performance.now() - started) / 1000
const addCpuSeconds = (cpuMs() - cpuBefore) / 1000
await sleep(settleMs)
const after = memory()
const idleFrom = performance.now()
const idleCpu = cpuMs()
await sleep(measureMs)
const idlePercent = ((cpuMs() - idleCpu) / (performance.now() - idleFrom)) * 100
globalThis.gc?.()
await sleep(200)
const collected = memory()
const kib = bytes => bytes / 1024 / count
emit({
  who: 'ours',
  mode,
  tracker: tracker !== undefined,
  count,
  addPerSecond: count / addSeconds,
  readyPerSecond: count / readySeconds,
  addCpuSeconds,
  kibEach: kib(after.rss - before.rss),
  kibEachCollected: kib(collected.rss - before.rss),
  heapKibEach: kib(collected.heap - before.heap),
  idlePercent,
  verified: tracker === undefined ? undefined : session.getTorrents().filter(h => h.trackers()[0].verified).length,
})
if (process.env.HOLD) await globalThis.hold?.()
const closing = performance.now()
await session.close()
if (process.env.VERBOSE) process.stderr.write(`closed in ${((performance.now() - closing) / 1000).toFixed(2)} s\n`)
rmSync(savePath, { recursive: true, force: true })
