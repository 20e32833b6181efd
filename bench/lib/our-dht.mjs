/**
 * A DHT node of ours that nothing holds back: usage our-dht.mjs [NAME=VALUE]...
 *
 * A session as users make it, with the limits of the DHT lifted. Prints `{"event":"ready","port":...}`; ends when standard
 * input does. Environment: DIST, where the built package is.
 */

import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { commands, emit } from './lines.mjs'

const dist = process.env.DIST ? pathToFileURL(`${resolve(process.env.DIST)}/`) : new URL('../../dist/', import.meta.url)
const { Session } = await import(new URL('index.js', dist))

const settings = {
  listen_interfaces: '127.0.0.1:0',
  enable_dht: true,
  enable_lsd: false,
  enable_upnp: false,
  enable_natpmp: false,
  dht_bootstrap_nodes: '',
  dht_upload_rate_limit: 1_000_000_000,
  dht_block_ratelimit: 10_000_000,
  dht_block_timeout: 1,
  dht_restrict_routing_ips: false,
  dht_restrict_search_ips: false,
  recv_socket_buffer_size: 4 << 20,
  send_socket_buffer_size: 4 << 20,
  alert_mask: 0,
}
for (const set of process.argv.slice(2)) {
  const [name, value] = set.split('=')
  settings[name] = /^(-?\d+|true|false)$/.test(value) ? JSON.parse(value) : value
}
const session = new Session(settings)
while (!session.isDhtRunning()) await sleep(20)
emit({ event: 'ready', port: session.listenPort() })
for await (const _ of commands());
await session.close()
