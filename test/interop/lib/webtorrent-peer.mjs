/**
 * A webtorrent peer with one torrent, which finds peers by the DHT. usage: webtorrent-peer.mjs CONFIG
 *
 * CONFIG is JSON: modules (a folder with webtorrent installed in it), torrent (path) or magnet, save, nodes (of the DHT, each
 * "address:port"). Prints one JSON object a line; ends when stdin does.
 */

import { loadWebtorrent } from '../../../bench/lib/load-webtorrent.mjs'

const config = JSON.parse(process.argv[2])
const emit = event => process.stdout.write(`${JSON.stringify(event)}\n`)
const WebTorrent = await loadWebtorrent(config.modules)

const client = new WebTorrent({
  dht: { bootstrap: config.nodes },
  tracker: false,
  lsd: false,
  natUpnp: false,
  natPmp: false,
  utp: false,
  utPex: false,
})
client.on('error', error => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})
const torrent = client.add(config.torrent ?? config.magnet, { path: config.save, announce: [] })
torrent.on('metadata', () => emit({ event: 'metadata' }))
torrent.on('dhtAnnounce', () => emit({ event: 'announced' }))
torrent.on('done', () => emit({ event: 'finished' }))
torrent.on('ready', () => emit({ event: 'ready', port: client.torrentPort, progress: torrent.progress }))
process.stdin.on('end', () => process.exit(0)).resume()
