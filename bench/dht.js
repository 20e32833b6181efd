/**
 * A node of the DHT that is asked as fast as it answers, over UDP on one machine: ours and others in turn, all asked by the
 * same client.
 *
 *   node bench/dht.js [--queries N] [--window N] [--runs N] [--methods find_node,get_peers,ping] [--only 'ROW;...'] [--json]
 *
 * Ours is a session as users make it, libtorrent one through its Python binding (`python3-libtorrent`); without that it is
 * left out. Both with the limits of the DHT lifted: with their defaults they would soon stop answering one address that asks
 * so much. "bare" is the floor, `node:dgram` with a fixed answer (bench/lib/bare-dht.mjs). Each server is a process of its own
 * that lives for the whole run; one that is not asked waits. `--window` is the queries that are under way at a time.
 *
 * Beside the answers per second stands the processor time of the server for one. Environment: DIST, where the built package
 * is; PYTHON.
 */

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { DhtAsker } from './lib/dht-asker.mjs'
import { PeerProcess } from './lib/peer-process.mjs'
import { median } from './sample-torrents.js'

const { values } = parseArgs({
  options: {
    queries: { type: 'string', default: '100000' },
    window: { type: 'string', default: '128' },
    runs: { type: 'string', default: '7' },
    methods: { type: 'string', default: 'find_node,get_peers,ping' },
    only: { type: 'string' },
    set: { type: 'string', multiple: true, default: [] },
    json: { type: 'boolean', default: false },
  },
})
const queries = Number(values.queries)
const window = Number(values.window)
const runs = Number(values.runs)
const methods = values.methods.split(',')
const python = process.env.PYTHON ?? (existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3')
const script = name => fileURLToPath(new URL(`lib/${name}`, import.meta.url))

const SERVERS = {
  ours: [process.execPath, [...process.execArgv, script('our-dht.mjs'), ...values.set]],
  bare: [process.execPath, [...process.execArgv, script('bare-dht.mjs')]],
  'bittorrent-dht': [process.execPath, [script('npm-dht.mjs')]],
  libtorrent: [python, [script('libtorrent-dht.py')]],
}
const wanted = values.only?.split(';')
const names = Object.keys(SERVERS).filter(name => wanted === undefined || wanted.includes(name))
if (names.includes('libtorrent') && spawnSync(python, ['-c', 'import libtorrent']).status !== 0) {
  names.splice(names.indexOf('libtorrent'), 1)
  console.error(`libtorrent is left out: ${python} has no module of that name`)
}

async function measure({ process, asker }, method) {
  const cpu = process.cpuSeconds()
  const { answers, lost, errors, seconds, bytes } = await asker.ask(method, queries, window)
  if (errors > 0) throw new Error(`${errors} errors in answer to ${method}`)
  if (answers === 0) throw new Error(`no answer to ${method}`)
  const used = process.cpuSeconds() - cpu
  return { perSecond: answers / seconds, cpuMicros: (used / answers) * 1e6, lost: lost / queries, bytes }
}

const servers = {}
for (const name of names) {
  const process = new PeerProcess(...SERVERS[name])
  const { port } = await process.event('ready')
  const asker = new DhtAsker()
  await asker.connect(port)
  servers[name] = { process, asker }
}
const results = {}
// the first round warms up
for (let run = 0; run <= runs; run++) {
  for (const method of methods) {
    for (const name of names) {
      const result = await measure(servers[name], method)
      if (run > 0) ((results[method] ??= {})[name] ??= []).push(result)
    }
  }
}
for (const { process, asker } of Object.values(servers)) {
  asker.close()
  await process.stop()
}

function summarize(list) {
  const rates = list.map(result => result.perSecond)
  const middle = median(rates)
  return {
    perSecond: middle,
    /** Slowest and fastest run over the median. */
    spread: [Math.min(...rates) / middle, Math.max(...rates) / middle],
    cpuMicros: median(list.map(result => result.cpuMicros)),
    lost: median(list.map(result => result.lost)),
    answerBytes: median(list.map(result => result.bytes)),
  }
}

/** Ours over another: the median of the ratios of runs that stood next to each other. */
function ratio(list, other) {
  if (list === undefined || other === undefined) return undefined
  return median(list.map(({ perSecond }, i) => perSecond / other[i].perSecond))
}

const summary = {}
for (const [method, each] of Object.entries(results)) {
  summary[method] = Object.fromEntries(Object.entries(each).map(([name, list]) => [name, summarize(list)]))
  summary[method].overBare = ratio(each.ours, each.bare)
  summary[method].overBittorrentDht = ratio(each.ours, each['bittorrent-dht'])
  summary[method].overLibtorrent = ratio(each.ours, each.libtorrent)
}
if (values.json) console.log(JSON.stringify({ queries, window, runs, ...summary }))
else {
  console.log(`${queries} queries, ${window} under way, median of ${runs} runs`)
  console.log('                            answers/s  (min-max of median)  server us   lost   bytes   ours / it')
  for (const [method, each] of Object.entries(results)) {
    for (const [name, list] of Object.entries(each)) {
      const { perSecond, spread, cpuMicros, lost, answerBytes } = summary[method][name]
      const over = name === 'ours' ? undefined : ratio(each.ours, list)
      console.log(
        `${method.padEnd(10)} ${name.padEnd(15)}${perSecond.toFixed(0).padStart(11)}  ` +
          `(${spread.map(x => x.toFixed(2)).join('-')})`.padEnd(20) +
          `${cpuMicros.toFixed(1).padStart(10)}${(lost * 100).toFixed(1).padStart(6)}%${answerBytes.toFixed(0).padStart(8)}` +
          `${over?.toFixed(2).padStart(10) ?? ''}`,
      )
    }
  }
}
