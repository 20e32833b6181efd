/**
 * A seed of ours: usage our-seed.mjs TORRENT SAVE [NAME=VALUE]...
 *
 * Prints `{"event":"ready","port":...}` when it has checked its files; ends when standard input does.
 */

import { commands, emit } from './lines.mjs'
import { start, until } from './our-peer.mjs'

const [torrent, save, ...sets] = process.argv.slice(2)
const { session, handle } = start(torrent, save, sets)
await until(session, 'torrent_checked')
emit({ event: 'ready', port: session.listenPort(), progress: handle.status().progress })
for await (const _ of commands());
await session.close()
