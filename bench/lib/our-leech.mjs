/**
 * A leech of ours: usage our-leech.mjs TORRENT SAVE [NAME=VALUE]...
 *
 * Prints `{"event":"ready"}` when it has checked its files; then reads a line `go PORT...`, connects to the seeds at these
 * ports, and prints `{"event":"finished","seconds":...}` when all pieces are there.
 */

import { commands, emit } from './lines.mjs'
import { start, until } from './our-peer.mjs'

const [torrent, save, ...sets] = process.argv.slice(2)
const { session, handle } = start(torrent, save, sets)
await until(session, 'torrent_checked')
emit({ event: 'ready', port: session.listenPort(), progress: handle.status().progress })
for await (const line of commands()) {
  const ports = line.split(' ').slice(1)
  const started = performance.now()
  for (const port of ports) handle.connectPeer(['127.0.0.1', Number(port)])
  await until(session, 'torrent_finished')
  emit({ event: 'finished', seconds: (performance.now() - started) / 1000 })
}
await session.close()
