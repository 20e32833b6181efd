/**
 * Lookups in a simulated network of DHT nodes of ours: how many fit a second of processor time.
 *
 *   node bench/dht-sim.js [--nodes N] [--lookups N] [--runs N] [--json]
 *
 * All nodes are whole (`DhtTracker`: packets are encoded and decoded, tables kept, timers run), only the network is made up: a
 * packet arrives after 20 to 100 ms of virtual time, as fast as the processor allows. What is measured is therefore the work of
 * all nodes that take part in a lookup, about a dozen queries and as many answers, and the upkeep of all tables meanwhile.
 * The same seed gives the same packets. Nothing runs beside it; compare two builds by DIST, where the built modules are.
 */

import { parseArgs } from 'node:util'
import { DhtNet, generateRandomId, LIMITS_LIFTED, SeededRng } from './lib/dht-net.mjs'
import { VirtualNet } from './lib/virtual-net.mjs'
import { median } from './sample-torrents.js'

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '1000' },
    lookups: { type: 'string', default: '2000' },
    runs: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  },
})
const count = Number(values.nodes)
const lookups = Number(values.lookups)
const runs = Number(values.runs)

/** Virtual ms from one lookup to the next. */
const PACE_MS = 20
/** Virtual ms in which the last lookups end. */
const TAIL_MS = 20_000
const BOOTSTRAP_MS = 60_000
const PORT = 6881

const cpuMs = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

const rng = new SeededRng(1)
const world = new VirtualNet(rng.fork('delays'), 20, 100)
const net = new DhtNet(world, rng, LIMITS_LIFTED)
const joined = cpuMs()
for (let i = 0; i < count; i++) {
  net.add([`81.${i >> 8}.${i & 255}.7`, PORT], net.some(3))
  world.advance(10)
}
world.advance(BOOTSTRAP_MS)
const joinMs = cpuMs() - joined
const late = net.nodes.filter(node => !node.bootstrapped).length
if (late > 0) throw new Error(`${late} nodes have found nobody`)

/** @returns processor ms, and packets, for each lookup */
function measure() {
  let ended = 0
  const before = world.packets
  const started = cpuMs()
  for (let i = 0; i < lookups; i++) {
    const { tracker } = net.nodes[rng.below(count)]
    tracker.nodes[0].getPeers(generateRandomId(rng), null, () => ended++, false)
    world.advance(PACE_MS)
  }
  world.advance(TAIL_MS)
  const used = cpuMs() - started
  if (ended !== lookups) throw new Error(`${lookups - ended} lookups have not ended`)
  return {
    perCpuMs: lookups / used,
    packets: (world.packets - before) / lookups,
    packetsPerCpuMs: (world.packets - before) / used,
  }
}

const results = []
// the first one warms up
for (let run = 0; run <= runs; run++) {
  const result = measure()
  if (run > 0) results.push(result)
}
net.close()
const of = name => median(results.map(result => result[name]))
const rates = results.map(result => result.perCpuMs)
const summary = {
  nodes: count,
  lookups,
  runs,
  joinCpuMs: joinMs,
  lookupsPerCpuMs: of('perCpuMs'),
  /** Slowest and fastest run over the median. */
  spread: [Math.min(...rates) / of('perCpuMs'), Math.max(...rates) / of('perCpuMs')],
  packetsPerLookup: of('packets'),
  packetsPerCpuMs: of('packetsPerCpuMs'),
}
if (values.json) console.log(JSON.stringify(summary))
else {
  const [slow, fast] = summary.spread.map(value => value.toFixed(2))
  console.log(`${count} nodes in one process, joined in ${(joinMs / 1000).toFixed(1)} s of processor time`)
  console.log(`${summary.lookupsPerCpuMs.toFixed(2)} lookups per ms of processor time (${slow}-${fast} of that)`)
  console.log(
    `${summary.packetsPerLookup.toFixed(1)} packets for each, ${summary.packetsPerCpuMs.toFixed(0)} packets per ms`,
  )
}
