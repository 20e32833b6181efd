/**
 * The routing table of the DHT: nodes that come and go, and look-ups as queries ask for them.
 *
 *   node bench/dht-table.js [--runs N] [--json]
 *
 * Beside it, in the same run, a look-up done the plain way: all nodes sorted by their distance as a big integer.
 * DIST names another folder with the built package.
 */

import { resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'

const dist = pathToFileURL(`${resolve(process.env.DIST ?? new URL('../build', import.meta.url).pathname)}/`)
const { SeededRng } = await import(new URL('core/rng.js', dist).href)
const { SessionSettings } = await import(new URL('settings/session-settings.js', dist).href)
const { RoutingTable } = await import(new URL('dht/routing-table.js', dist).href)
const { generateId, generateRandomId } = await import(new URL('dht/node-id.js', dist).href)
const { WriteTokens } = await import(new URL('dht/write-token.js', dist).href)
const { DosBlocker } = await import(new URL('dht/dos-blocker.js', dist).href)

const json = process.argv.includes('--json')
const runs = Number(argument('--runs', 3))

const NODES = 20_000
const COUNT = 50_000
const WARM_UP = 1
/** The plain way is slow. */
const PLAIN_COUNT = 200

function argument(name, value) {
  const at = process.argv.indexOf(name)
  return at > 0 ? process.argv[at + 1] : value
}

const rng = new SeededRng(1)
const nodes = Array.from({ length: NODES }, () => {
  const address = [rng.below(223) + 1, rng.below(256), rng.below(256), rng.below(256)].join('.')
  return { id: generateId(address, rng), endpoint: [address, 1 + rng.below(65535)] }
})
const targets = Array.from({ length: 1024 }, () => generateRandomId(rng))

function makeTable() {
  return new RoutingTable({ id: targets[0], family: 4, settings: new SessionSettings(), now: () => 0 })
}

function perSecond(count, work) {
  const start = performance.now()
  for (let i = 0; i < count; i++) work(i)
  return (count / (performance.now() - start)) * 1000
}

/** An address as a datagram brings it: text that nobody has seen before. */
function freshEndpoint([address, port]) {
  return [Buffer.from(address).toString('latin1'), port]
}

function measure() {
  const table = makeTable()
  const seen = perSecond(NODES, i => table.nodeSeen(nodes[i].id, nodes[i].endpoint, 20 + (i & 127)))
  const live = []
  table.forEachNode(node => live.push(node), null)
  const packets = live.map(node => ({ bytes: node.id.toBytes(), endpoint: freshEndpoint(node.endpoint) }))
  const known = perSecond(COUNT, i => {
    const { bytes, endpoint } = packets[i % packets.length]
    table.heardAboutAt(bytes, 0, endpoint)
  })
  const strangers = perSecond(COUNT, i => {
    const { id, endpoint } = nodes[i % NODES]
    table.heardAboutAt(id.view(), 0, endpoint)
  })
  const out = []
  let found = 0
  const lookups = perSecond(COUNT, i => {
    table.findNodeAt(targets[i & 1023].view(), 0, 8, false, out)
    found += out.length
  })
  const tokens = new WriteTokens(rng)
  const token = new Uint8Array(4)
  const tokensPerSecond = perSecond(COUNT, i =>
    tokens.generateInto(packets[i % packets.length].endpoint[0], targets[i & 1023].view(), 0, token, 0),
  )
  const blocker = new DosBlocker()
  const blocked = perSecond(COUNT, i => blocker.incoming(packets[i % packets.length].endpoint[0], i))
  const number = id => BigInt(`0x${id}`)
  const all = live.map(node => ({ node, number: number(node.id) }))
  const plain = perSecond(PLAIN_COUNT, i => {
    const target = number(targets[i])
    const distances = all.map(({ node, number }) => ({ node, distance: number ^ target }))
    distances.sort((a, b) => (a.distance < b.distance ? -1 : 1))
    found += distances.slice(0, 8).length
  })
  if (found !== (COUNT + PLAIN_COUNT) * 8) throw new Error(`${found} nodes found`)
  return {
    live: live.length,
    nodeSeen: seen,
    heardAboutKnown: known,
    heardAboutStranger: strangers,
    findNode: lookups,
    findNodePlain: plain,
    writeToken: tokensPerSecond,
    dosBlocker: blocked,
  }
}

const results = []
for (let i = 0; i < WARM_UP + runs; i++) {
  const result = measure()
  if (i >= WARM_UP) results.push(result)
}
const median = name => results.map(r => r[name]).sort((a, b) => a - b)[results.length >> 1]
const summary = Object.fromEntries(Object.keys(results[0]).map(name => [name, Math.round(median(name))]))
if (json) console.log(JSON.stringify(summary))
else {
  console.log(`${summary.live} nodes in use; per second, the median of ${runs}:`)
  for (const [name, value] of Object.entries(summary)) {
    if (name !== 'live') console.log(`${name.padEnd(20)} ${value.toLocaleString('en').padStart(12)}`)
  }
}
