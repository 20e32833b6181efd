/**
 * A webtorrent peer with one torrent, which finds peers by the DHT. usage: webtorrent-peer.mjs CONFIG
 *
 * CONFIG is JSON: modules (a folder with webtorrent installed in it), torrent (path) or magnet, save, nodes (of the DHT, each
 * "address:port"). Prints one JSON object a line; ends when stdin does.
 */

import { startWebtorrent } from '../../../bench/lib/start-webtorrent.mjs'

const config = JSON.parse(process.argv[2])
const emit = event => process.stdout.write(`${JSON.stringify(event)}\n`)

const client = await startWebtorrent(config.modules, { bootstrap: config.nodes })
const torrent = client.add(config.torrent ?? config.magnet, { path: config.save, announce: [] })
torrent.on('metadata', () => emit({ event: 'metadata' }))
torrent.on('dhtAnnounce', () => emit({ event: 'announced' }))
torrent.on('done', () => emit({ event: 'finished' }))
torrent.on('ready', () => emit({ event: 'ready', port: client.torrentPort, progress: torrent.progress }))
process.stdin.on('end', () => process.exit(0)).resume()
