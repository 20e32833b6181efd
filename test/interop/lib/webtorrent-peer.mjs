/**
 * A webtorrent peer with one torrent, which finds peers by the DHT. usage: webtorrent-peer.mjs CONFIG
 *
 * CONFIG is JSON: modules (a folder with webtorrent installed in it), torrent (path) or magnet, save, nodes (of the DHT, each
 * "address:port"). Prints one JSON object a line; ends when stdin does.
 */

import { createRequire, register } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const config = JSON.parse(process.argv[2])
const emit = event => process.stdout.write(`${JSON.stringify(event)}\n`)

// Installed without scripts it has no WebRTC, which TCP does not need: an empty module stands in for the addon. And 2.8.5
// gives arr2hex() strings, which uint8-util takes no more.
const module = code => `data:text/javascript,${encodeURIComponent(code)}`
const noWebrtc = module(
  'export default {};export const RTCPeerConnection=0,RTCSessionDescription=0,RTCIceCandidate=0,MediaStream=0',
)
const hook = `export async function resolve(name, context, next) {
  if (/^(webrtc-polyfill|node-datachannel)/.test(name)) return { url: '${noWebrtc}', shortCircuit: true }
  const found = await next(name, context)
  if (name !== 'uint8-util' || !context.parentURL?.includes('/webtorrent/lib/')) return found
  const code = 'export * from "' + found.url + '";import { arr2hex as hex } from "' + found.url + '";' +
    'export const arr2hex = bytes => typeof bytes === "string" ? bytes : hex(bytes)'
  return { url: 'data:text/javascript,' + encodeURIComponent(code), shortCircuit: true }
}`
register(module(hook))

const require = createRequire(pathToFileURL(resolve(config.modules, 'package.json')))
const { default: WebTorrent } = await import(pathToFileURL(require.resolve('webtorrent')))

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
