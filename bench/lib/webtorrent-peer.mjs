/**
 * A webtorrent peer for bench/loopback.js. usage: webtorrent-peer.mjs seed|leech TORRENT SAVE
 *
 * Speaks the lines of our-seed.mjs and our-leech.mjs. Environment: BENCH_WEBTORRENT, a folder with webtorrent installed in it.
 */

import { resolve } from 'node:path'
import { commands, emit } from './lines.mjs'
import { startWebtorrent } from './start-webtorrent.mjs'

const [role, file, save] = process.argv.slice(2)
const client = await startWebtorrent(process.env.BENCH_WEBTORRENT, false)
const torrent = client.add(resolve(file), { path: resolve(save), announce: [] })
await new Promise(done => torrent.once(role === 'seed' ? 'done' : 'ready', done))
emit({ event: 'ready', port: client.torrentPort, progress: torrent.progress })
for await (const line of commands()) {
  const started = performance.now()
  const done = new Promise(resolve => torrent.once('done', resolve))
  for (const port of line.split(' ').slice(1)) torrent.addPeer(`127.0.0.1:${port}`)
  await done
  emit({ event: 'finished', seconds: (performance.now() - started) / 1000 })
}
process.exit(0)
