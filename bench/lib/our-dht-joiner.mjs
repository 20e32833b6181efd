/**
 * A session of ours that looks up what it is told: usage our-dht-joiner.mjs ADDRESS BOOTSTRAP NAME=VALUE...
 *
 * BOOTSTRAP is a list as `dht_bootstrap_nodes` takes it. Prints `{"event":"ready"}`; then each line of standard input is an
 * info-hash in hex to look up.
 */

import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { commands, emit } from './lines.mjs'

const dist = process.env.DIST ? pathToFileURL(`${resolve(process.env.DIST)}/`) : new URL('../../dist/', import.meta.url)
const { Session, Sha1Hash } = await import(new URL('index.js', dist))

const [address, bootstrap, ...sets] = process.argv.slice(2)
const settings = {
  listen_interfaces: `${address}:0`,
  enable_dht: true,
  enable_lsd: false,
  enable_upnp: false,
  enable_natpmp: false,
  dht_bootstrap_nodes: bootstrap,
  alert_mask: 0,
}
for (const set of sets) {
  const [name, value] = set.split('=')
  settings[name] = JSON.parse(value)
}
const session = new Session(settings)
while (!session.isDhtRunning()) await sleep(20)
emit({ event: 'ready' })
for await (const line of commands()) session.dhtGetPeers(new Sha1Hash(line.trim()))
await session.close()
