/**
 * A webtorrent peer for bench/loopback.js. usage: webtorrent-peer.mjs seed|leech TORRENT SAVE
 *
 * Speaks the lines of our-seed.mjs and our-leech.mjs. Environment: BENCH_WEBTORRENT, a folder with webtorrent installed in it.
 */

import { createRequire, register } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { commands, emit } from './lines.mjs'

const require = createRequire(pathToFileURL(resolve(process.env.BENCH_WEBTORRENT, 'package.json')))
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

const { default: WebTorrent } = await import(pathToFileURL(require.resolve('webtorrent')))

const [role, file, save] = process.argv.slice(2)
const client = new WebTorrent({
  dht: false,
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
