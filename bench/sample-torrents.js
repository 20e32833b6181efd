/** Torrents of many files, made up, for the benches of decoding and loading. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** A v1 torrent of `count` files in directories of 100, like a mirror of packages. */
export function manyFiles(bencode, count) {
  const files = []
  let total = 0
  for (let i = 0; i < count; i++) {
    const length = 1000 + ((i * 7919) % 50_000)
    total += length
    files.push({ length, path: [`directory-${Math.floor(i / 100)}`, `file-${i}.bin`] })
  }
  const pieceLength = 1 << 20
  const pieces = new Uint8Array(Math.ceil(total / pieceLength) * 20).map((_, i) => i * 31)
  return bencode({
    announce: 'http://tracker.example.com/announce',
    info: { files, name: 'sample', 'piece length': pieceLength, pieces },
  })
}

export function median(values) {
  const sorted = values.slice().sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc')

/** Milliseconds of each run of each contender, taking turns so that what else the machine does hits all alike. */
export async function alternate(contenders, runs) {
  const times = Object.fromEntries(Object.keys(contenders).map(name => [name, []]))
  // once unmeasured, so that no one pays for being first
  for (const run of Object.values(contenders)) await run()
  for (let i = 0; i < runs; i++) {
    for (const [name, run] of Object.entries(contenders)) {
      const reported = await time(run)
      times[name].push(reported)
    }
  }
  return times
}

/** A contender in another process measures itself and returns milliseconds; the others return nothing. */
async function time(run) {
  // the garbage of one is not to be charged to the next
  collectGarbage({ type: 'minor' })
  const start = performance.now()
  const own = await run()
  return typeof own === 'number' ? own : performance.now() - start
}
