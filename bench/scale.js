/**
 * Idle torrents in one session: the memory and the processor time they cost, and how fast they are added.
 *
 *   node bench/scale.js [--count N] [--modes leech,seed,paused] [--trackers none,udp] [--settle S] [--measure S] [--runs N] [--json]
 *
 * Torrents of 100 pieces whose metadata is loaded before, as single runs in processes of their own, ours and libtorrent's
 * (through its Python binding, if it is installed) in turn; medians of the runs. Memory is what the resident set grows by.
 * `seed` torrents have files of the right size. `udp` gives each torrent a tracker, which answers. "added" is calls
 * returned, "ready" files checked. Environment: DIST, where the built package is; PYTHON.
 */

import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { median } from './sample-torrents.js'

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '10000' },
    modes: { type: 'string', default: 'leech,seed,paused' },
    trackers: { type: 'string', default: 'none,udp' },
    settle: { type: 'string', default: '8' },
    measure: { type: 'string', default: '8' },
    runs: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  },
})
const count = Number(values.count)
const env = { ...process.env, SETTLE: values.settle, MEASURE: values.measure }
const script = name => fileURLToPath(new URL(`lib/${name}`, import.meta.url))

/** A tracker (BEP 15) that knows nobody. */
function startTracker() {
  const socket = createSocket('udp4')
  socket.on('message', (packet, from) => {
    if (packet.length < 16) return
    const action = packet.readUInt32BE(8)
    if (action > 1) return
    const answer = Buffer.alloc(action === 0 ? 16 : 20)
    answer.writeUInt32BE(action, 0)
    packet.copy(answer, 4, 12, 16)
    if (action === 0) answer.writeUInt32BE(1, 12)
    else answer.writeUInt32BE(1800, 8)
    socket.send(answer, from.port, from.address)
  })
  return new Promise(resolve => socket.bind(0, '127.0.0.1', () => resolve(socket)))
}

/** @returns what it printed; `null` if it failed */
function run(command, args) {
  return new Promise(resolve => {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.on('data', chunk => {
      text += chunk
    })
    child.on('error', () => resolve(null))
    child.on('close', code => resolve(code === 0 ? JSON.parse(text) : null))
  })
}

function medians(runs) {
  const out = { ...runs[0] }
  for (const [name, value] of Object.entries(out)) {
    if (typeof value === 'number') out[name] = median(runs.map(each => each[name]))
  }
  return out
}

const tracker = await startTracker()
const url = `udp://127.0.0.1:${tracker.address().port}/announce`
const python = process.env.PYTHON ?? '/usr/bin/python3'
const haveLibtorrent = await new Promise(resolve => {
  const probe = spawn(python, ['-c', 'import libtorrent'], { stdio: 'ignore' })
  probe.on('error', () => resolve(false))
  probe.on('close', code => resolve(code === 0))
})
const results = []
for (const mode of values.modes.split(',')) {
  for (const trackers of values.trackers.split(',')) {
    // paused torrents do not announce
    if (mode === 'paused' && trackers !== 'none') continue
    const last = trackers === 'none' ? [] : [url]
    const ours = []
    const theirs = []
    for (let n = 0; n < Number(values.runs); n++) {
      const one = await run(process.execPath, ['--expose-gc', script('idle-torrents.mjs'), values.count, mode, ...last])
      if (one === null) throw new Error(`a run of ${mode} failed`)
      ours.push(one)
      const other = haveLibtorrent
        ? await run(python, [script('libtorrent-idle.py'), values.count, mode, ...last])
        : null
      if (other !== null) theirs.push(other)
    }
    results.push(medians(ours))
    if (theirs.length > 0) results.push(medians(theirs))
  }
}
tracker.close()

if (values.json) console.log(JSON.stringify({ bench: 'scale', count, runs: Number(values.runs), results }))
else {
  console.log(`${count} torrents, median of ${values.runs}`)
  console.log('mode    tracker  who         KiB each   heap KiB   added/s   ready/s   idle % of a core')
  for (const r of results) {
    const heap = r.heapKibEach === undefined ? '-' : r.heapKibEach.toFixed(1)
    console.log(
      `${r.mode.padEnd(7)} ${(r.tracker ? 'yes' : 'no').padEnd(8)} ${r.who.padEnd(10)} ${r.kibEach.toFixed(1).padStart(9)} ` +
        `${heap.padStart(10)} ${r.addPerSecond.toFixed(0).padStart(9)} ${r.readyPerSecond.toFixed(0).padStart(9)} ${r.idlePercent.toFixed(2).padStart(10)}`,
    )
  }
}
