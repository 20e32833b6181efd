/**
 * Decoding a torrent of 100,000 files, to lazy nodes and to plain values.
 *
 *   node bench/bdecode.js [--json] [--runs N]
 *
 * Beside them the `bencode` package on the same bytes in the same run. DIST names another folder with the built
 * package.
 */

import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import baseline from 'bencode'
import { alternate, manyFiles, median } from './sample-torrents.js'

const dist = pathToFileURL(`${resolve(process.env.DIST ?? new URL('../build', import.meta.url).pathname)}/`)
const { bdecode, bdecodeNode } = await import(new URL('bencode/bdecode.js', dist).href)
const { bencode } = await import(new URL('bencode/bencode.js', dist).href)

const json = process.argv.includes('--json')
const runsAt = process.argv.indexOf('--runs')
const runs = runsAt > 0 ? Number(process.argv[runsAt + 1]) : 7

const bytes = manyFiles(bencode, 100_000)
const plain = bdecode(bytes)
const peerValue = baseline.decode(bytes)

const times = await alternate(
  {
    node: () => void bdecodeNode(bytes),
    plain: () => void bdecode(bytes),
    baseline: () => void baseline.decode(bytes),
    encode: () => void bencode(plain),
    baselineEncode: () => void baseline.encode(peerValue),
  },
  runs,
)
const ms = Object.fromEntries(Object.entries(times).map(([name, list]) => [name, median(list)]))
const result = {
  bytes: bytes.length,
  files: 100_000,
  runs,
  nodeMs: ms.node,
  plainMs: ms.plain,
  baselineMs: ms.baseline,
  encodeMs: ms.encode,
  baselineEncodeMs: ms.baselineEncode,
  nodeSpeedup: ms.baseline / ms.node,
  plainSpeedup: ms.baseline / ms.plain,
  encodeSpeedup: ms.baselineEncode / ms.encode,
}

if (json) console.log(JSON.stringify(result))
else {
  const row = (name, value, speedup) =>
    console.log(`${name.padEnd(28)} ${value.toFixed(1).padStart(8)} ms   ${speedup.toFixed(2).padStart(6)} x`)
  console.log(`${bytes.length} bytes, 100,000 files, median of ${runs}`)
  row('BdecodeNode', ms.node, result.nodeSpeedup)
  row('bdecode to plain values', ms.plain, result.plainSpeedup)
  row('bencode package, decode', ms.baseline, 1)
  row('bencode', ms.encode, result.encodeSpeedup)
  row('bencode package, encode', ms.baselineEncode, 1)
}
