/**
 * What a lookup in the DHT costs: how many queries `get_peers` of random info-hashes sends, in a network of nodes of ours on
 * real sockets, for a session of ours and one of libtorrent.
 *
 *   node bench/dht-lookups.js [--nodes N] [--lookups N] [--settle S] [--restrict true|false] [--seed N]
 *     [--json]
 *
 * Both join by the same nodes and stay; each info-hash is looked up by one and then by the other, in turn first and second.
 * The nodes count what comes to them with that info-hash, so that a session's upkeep of its routing table does not count, and
 * a query that is sent twice counts twice. Limits are lifted on both; `--restrict` is `dht_restrict_routing_ips` and
 * `dht_restrict_search_ips`, on both as well.
 *
 * libtorrent is driven through its Python binding (`python3-libtorrent`); without it only ours is measured. Environment: DIST,
 * where the built modules are, PACKAGE, where the built package is; PYTHON.
 */

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import {
  createNodeRuntime,
  DhtNet,
  generateRandomId,
  LIMITS_LIFTED,
  loopbackAddress,
  SeededRng,
} from './lib/dht-net.mjs'
import { PeerProcess } from './lib/peer-process.mjs'
import { median } from './sample-torrents.js'

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '300' },
    lookups: { type: 'string', default: '50' },
    settle: { type: 'string', default: '20' },
    restrict: { type: 'string', default: 'true' },
    seed: { type: 'string', default: '1' },
    set: { type: 'string', multiple: true, default: [] },
    json: { type: 'boolean', default: false },
  },
})
const count = Number(values.nodes)
const lookups = Number(values.lookups)
const settleMs = Number(values.settle) * 1000
const python = process.env.PYTHON ?? (existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3')
const script = name => fileURLToPath(new URL(`lib/${name}`, import.meta.url))

/** All nodes are on this machine: when nothing has come for so long, a lookup is over. */
const QUIET_MS = 200
const PORT = 16881
const BOOTSTRAP = 3

const settings = {
  ...LIMITS_LIFTED,
  dht_restrict_routing_ips: values.restrict === 'true',
  dht_restrict_search_ips: values.restrict === 'true',
}
const rng = new SeededRng(Number(values.seed))
const net = new DhtNet(createNodeRuntime(), rng, settings)
for (let i = 0; i < count; i++) {
  await new Promise(bound => net.add([loopbackAddress(i), PORT], net.some(BOOTSTRAP), bound))
}
while (net.nodes.some(node => !node.bootstrapped)) await sleep(100)

const bootstrap = net.nodes
  .slice(0, BOOTSTRAP)
  .map(({ endpoint }) => endpoint.join(':'))
  .join()
const sets = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
const joiners = {
  ours: new PeerProcess(process.execPath, [
    script('our-dht-joiner.mjs'),
    '127.200.0.1',
    bootstrap,
    ...sets,
    ...values.set,
  ]),
}
if (spawnSync(python, ['-c', 'import libtorrent']).status === 0) {
  joiners.libtorrent = new PeerProcess(python, [script('libtorrent-dht-joiner.py'), '127.201.0.1', bootstrap, ...sets])
} else console.error(`libtorrent is left out: ${python} has no module of that name`)
for (const joiner of Object.values(joiners)) await joiner.event('ready')
await sleep(settleMs)

/** @returns the queries that the nodes got */
async function lookUp(joiner, target) {
  const key = target.toString()
  let queries = 0
  let last = performance.now()
  net.onGetPeers = infoHash => {
    if (infoHash.toString() !== key) return
    queries++
    last = performance.now()
  }
  joiner.say(key)
  while (queries === 0 || performance.now() - last < QUIET_MS) {
    await sleep(20)
    if (performance.now() - last > 10_000) throw new Error('a lookup sent nothing')
  }
  return queries
}

const queries = Object.fromEntries(Object.keys(joiners).map(name => [name, []]))
for (let i = 0; i < lookups; i++) {
  const target = generateRandomId(rng)
  const order = Object.keys(joiners)
  if (i % 2 === 1) order.reverse()
  for (const name of order) queries[name].push(await lookUp(joiners[name], target))
}
for (const joiner of Object.values(joiners)) await joiner.stop()
net.close()

const mean = list => list.reduce((sum, value) => sum + value, 0) / list.length
const summary = Object.fromEntries(
  Object.entries(queries).map(([name, list]) => [
    name,
    { median: median(list), mean: mean(list), min: Math.min(...list), max: Math.max(...list) },
  ]),
)
const ratio = summary.libtorrent === undefined ? undefined : summary.ours.mean / summary.libtorrent.mean
/** Ours less libtorrent's for the same info-hash, and how far chance may have moved the mean of that (one standard error). */
const differences = queries.libtorrent?.map((value, i) => queries.ours[i] - value)
const difference = differences && {
  mean: mean(differences),
  error: Math.sqrt(mean(differences.map(value => (value - mean(differences)) ** 2)) / differences.length),
}
if (values.json)
  console.log(JSON.stringify({ nodes: count, lookups, restrict: values.restrict, ...summary, ratio, difference }))
else {
  console.log(`queries of a get_peers lookup, ${lookups} lookups among ${count} nodes`)
  for (const [name, { median, mean, min, max }] of Object.entries(summary)) {
    console.log(
      `${name.padEnd(12)} median ${median.toFixed(1).padStart(6)}   mean ${mean.toFixed(2).padStart(6)}   (${min}-${max})`,
    )
  }
  if (ratio !== undefined) {
    console.log(`ours / libtorrent, by the means: ${ratio.toFixed(2)}`)
    console.log(`ours - libtorrent, lookup by lookup: ${difference.mean.toFixed(2)} +- ${difference.error.toFixed(2)}`)
  }
}
