/** WebTorrent 2.8 from a folder outside of the project, into which it was installed without scripts, as a peer of others. */

import { createRequire, register } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

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

/**
 * A client that does no more than it is told: TCP, and the DHT if it is wished for. Its errors end the process.
 *
 * @param {string} folder where `npm install --ignore-scripts webtorrent@2.8` was run
 * @param {object | false} dht its option of that name
 */
export async function startWebtorrent(folder, dht) {
  register(module(hook))
  const require = createRequire(pathToFileURL(resolve(folder, 'package.json')))
  const { default: WebTorrent } = await import(pathToFileURL(require.resolve('webtorrent')))
  const client = new WebTorrent({
    dht,
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
  return client
}
