/**
 * Packets of the DHT: an incoming query decoded, its answer encoded.
 *
 *   node bench/krpc.js [--json] [--runs N]
 *
 * Beside them the `bencode` package on the same packets in the same run. Both give what a node works with: the id, the
 * target and the transaction id; both write the same bytes. DIST names another folder with the built package.
 */

import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import baseline from 'bencode'
import { alternate, median } from './sample-torrents.js'

const dist = pathToFileURL(`${resolve(process.env.DIST ?? new URL('../build', import.meta.url).pathname)}/`)
const { Sha1Hash } = await import(new URL('core/digest.js', dist).href)
const { KrpcDecoder, KrpcMethod } = await import(new URL('dht/krpc.js', dist).href)
const { encodeReply, KrpcReply } = await import(new URL('dht/krpc-encode.js', dist).href)
const { KrpcWriter } = await import(new URL('dht/krpc-writer.js', dist).href)
const { TOKEN_STRING } = await import(new URL('bencode/token-table.js', dist).href)

const json = process.argv.includes('--json')
const runsAt = process.argv.indexOf('--runs')
const runs = runsAt > 0 ? Number(process.argv[runsAt + 1]) : 5

const PACKETS = 200_000
const FROM = ['203.0.113.77', 51413]
const id = new Sha1Hash('a'.repeat(40))

function query(method, key) {
  const args = { id: Buffer.alloc(20, 'i'), [key]: Buffer.alloc(20, 't') }
  return baseline.encode({ a: args, q: method, t: Buffer.from('aa'), v: Buffer.from('LT\x02\x10'), y: 'q' })
}

/** Many packets, in memory of their own, as they come from a socket. */
function packets(packet) {
  return Array.from({ length: 512 }, () => Buffer.from(packet))
}

const findNode = packets(query('find_node', 'target'))
const getPeers = packets(query('get_peers', 'info_hash'))
const compact = Array.from({ length: 8 }, (_, i) => new Uint8Array(26).fill(i + 1))
const nodes = compact.map(bytes => ({ compact: () => bytes }))
const peers = Array.from({ length: 20 }, (_, i) => new Uint8Array(6).fill(i + 1))
const token = new Uint8Array(4).fill(7)

const decoder = new KrpcDecoder()
const writer = new KrpcWriter()
const reply = new KrpcReply()
let sum = 0

function decodeOurs(list) {
  for (let i = 0; i < PACKETS; i++) {
    const message = decoder.decode(list[i & 511])
    if (message.checkQuery() !== '') throw new Error('no query')
    const key = message.method() === KrpcMethod.findNode ? 'target' : 'info_hash'
    sum += message.table.stringStart(message.table.findKind(message.argumentsToken, key, TOKEN_STRING))
    sum += message.transactionToken
  }
}

function decodeBaseline(list) {
  for (let i = 0; i < PACKETS; i++) {
    const { q, a, t } = baseline.decode(list[i & 511])
    const target = q[0] === 0x66 ? a.target : a.info_hash
    if (a.id.length !== 20) throw new Error('no query')
    sum += target.length + t.length
  }
}

function encodeOurs(list, values) {
  const message = decoder.decode(list[0])
  for (let i = 0; i < PACKETS; i++) {
    reply.clear()
    reply.nodes = nodes
    if (values !== null) {
      reply.values = values
      reply.token = token
    }
    writer.clear()
    encodeReply(writer, message, FROM, id, reply)
    sum += writer.length
  }
}

function encodeBaseline(values) {
  const ip = Buffer.from([203, 0, 113, 77, 200, 213])
  for (let i = 0; i < PACKETS; i++) {
    const r = { id: id.view(), nodes: Buffer.concat(compact), p: FROM[1] }
    if (values !== null) {
      r.token = token
      r.values = values
    }
    sum += baseline.encode({ ip, r, t: Buffer.from('aa'), v: Buffer.from('LT\x02\x10'), y: 'r' }).length
  }
}

function checkSame() {
  const message = decoder.decode(findNode[0])
  Object.assign(reply, { nodes, values: peers, token })
  encodeReply(writer, message, FROM, id, reply)
  const r = { id: id.view(), nodes: Buffer.concat(compact), p: FROM[1], token, values: peers }
  const ip = Buffer.from([203, 0, 113, 77, 200, 213])
  const theirs = baseline.encode({ ip, r, t: Buffer.from('aa'), v: Buffer.from('LT\x02\x10'), y: 'r' })
  if (!Buffer.from(writer.view()).equals(theirs)) throw new Error('the two encoders differ')
}

checkSame()
const times = await alternate(
  {
    decodeFindNode: () => void decodeOurs(findNode),
    decodeGetPeers: () => void decodeOurs(getPeers),
    baselineDecode: () => void decodeBaseline(findNode),
    encodeNodes: () => void encodeOurs(findNode, null),
    baselineEncodeNodes: () => void encodeBaseline(null),
    encodePeers: () => void encodeOurs(getPeers, peers),
    baselineEncodePeers: () => void encodeBaseline(peers),
  },
  runs,
)
const ns = Object.fromEntries(Object.entries(times).map(([name, list]) => [name, (median(list) * 1e6) / PACKETS]))
const result = {
  runs,
  decodeFindNodeNs: ns.decodeFindNode,
  decodeGetPeersNs: ns.decodeGetPeers,
  baselineDecodeNs: ns.baselineDecode,
  encodeNodesNs: ns.encodeNodes,
  baselineEncodeNodesNs: ns.baselineEncodeNodes,
  encodePeersNs: ns.encodePeers,
  baselineEncodePeersNs: ns.baselineEncodePeers,
  decodeSpeedup: ns.baselineDecode / ns.decodeFindNode,
  encodeNodesSpeedup: ns.baselineEncodeNodes / ns.encodeNodes,
  encodePeersSpeedup: ns.baselineEncodePeers / ns.encodePeers,
}
if (sum === 0) throw new Error('nothing was done')

if (json) console.log(JSON.stringify(result))
else {
  const row = (name, value, speedup) =>
    console.log(`${name.padEnd(36)} ${value.toFixed(0).padStart(7)} ns   ${speedup.toFixed(2).padStart(6)} x`)
  console.log(`one packet, median of ${runs} runs of ${PACKETS}`)
  row('find_node query decoded', ns.decodeFindNode, result.decodeSpeedup)
  row('get_peers query decoded', ns.decodeGetPeers, ns.baselineDecode / ns.decodeGetPeers)
  row('bencode package', ns.baselineDecode, 1)
  row('answer of 8 nodes encoded', ns.encodeNodes, result.encodeNodesSpeedup)
  row('bencode package', ns.baselineEncodeNodes, 1)
  row('answer of 8 nodes, 20 peers encoded', ns.encodePeers, result.encodePeersSpeedup)
  row('bencode package', ns.baselineEncodePeers, 1)
}
