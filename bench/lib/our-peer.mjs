/**
 * What the seed and the leech of bench/loopback.js have in common: a session over the built package with one torrent.
 *
 * Environment: DIST, where the built package is.
 */

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const dist = process.env.DIST ? pathToFileURL(`${resolve(process.env.DIST)}/`) : new URL('../../dist/', import.meta.url)
const lib = await import(new URL('index.js', dist))

/** Default settings, but for what would look for peers elsewhere. @param sets NAME=VALUE, as JSON or text */
export function start(torrent, savePath, sets) {
  const { status, error } = lib.AlertCategory
  const settings = {
    listen_interfaces: '127.0.0.1:0',
    enable_dht: false,
    enable_lsd: false,
    enable_upnp: false,
    enable_natpmp: false,
    allow_multiple_connections_per_ip: true,
    alert_mask: status | error,
  }
  for (const set of sets) {
    const [name, value] = set.split('=')
    settings[name] = /^(-?\d+|true|false)$/.test(value) ? JSON.parse(value) : value
  }
  const session = new lib.Session(settings)
  const params = lib.loadTorrentBuffer(readFileSync(torrent))
  params.savePath = savePath
  params.flags &= ~(lib.TorrentFlags.paused | lib.TorrentFlags.autoManaged)
  return { session, handle: session.addTorrent(params) }
}

/** Until there is an alert of that name. */
export async function until(session, name) {
  for (;;) {
    await session.waitForAlert(1000)
    for (const alert of session.popAlerts()) {
      if (alert.what().endsWith('error')) process.stderr.write(`${alert.message()}\n`)
      if (alert.what() === name) return
    }
  }
}
