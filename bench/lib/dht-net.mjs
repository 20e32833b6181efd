/**
 * A network of DHT nodes of ours without sessions around them, on any runtime: real sockets or a simulated network.
 *
 * Environment: DIST, where the built modules are.
 */

import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const dist = pathToFileURL(`${resolve(process.env.DIST ?? new URL('../../build', import.meta.url).pathname)}/`)
const load = name => import(new URL(name, dist).href)

export const { SeededRng } = await load('core/rng.js')
export const { generateRandomId } = await load('dht/node-id.js')
const { dhtDefaultStorageConstructor } = await load('dht/default-storage.js')
const { DhtState } = await load('dht/dht-state.js')
const { DhtTracker } = await load('dht/dht-tracker.js')
const { SecretIds } = await load('dht/secret-id.js')
const { SessionSettings } = await load('settings/session-settings.js')
const { Counters } = await load('stats/counters.js')
export const { createNodeRuntime } = await load('runtime/node-runtime.js')

/** Addresses of networks of their own, as the DHT wants its nodes to have; all loopback. */
export function loopbackAddress(i) {
  return `127.${10 + (i >> 8)}.${i & 255}.1`
}

/** What lets a node answer whatever is asked of it. */
export const LIMITS_LIFTED = {
  dht_upload_rate_limit: 1_000_000_000,
  dht_block_ratelimit: 10_000_000,
  dht_block_timeout: 1,
}

export class DhtNet {
  /** `{ tracker, endpoint, bootstrapped }` */
  nodes = []
  /** Called for each `get_peers` that comes to a node, with its info-hash. */
  onGetPeers = () => {}
  #runtime
  #rng
  #settings

  constructor(runtime, rng, settings) {
    this.#runtime = runtime
    this.#rng = rng
    this.#settings = settings
  }

  /** @param known where it begins @param bound called when it has started */
  add(endpoint, known, bound = () => {}) {
    const runtime = this.#runtime
    const rng = this.#rng.fork(endpoint.join())
    const settings = new SessionSettings(this.#settings)
    const state = new DhtState()
    state.nodes = known
    const now = () => runtime.clock.now()
    const storage = dhtDefaultStorageConstructor(settings, { now, rng })
    const tracker = new DhtTracker({
      settings,
      counters: new Counters(),
      observer: this.#observer(),
      storage,
      rng,
      secretIds: new SecretIds(rng),
      state,
      now,
      setTimer: (ms, fn) => runtime.setTimer(ms, fn),
    })
    const node = { tracker, endpoint, bootstrapped: false, datagram: null }
    const socket = {
      local: endpoint,
      externalAddress: () => endpoint[0],
      sendDht: (packet, to) => node.datagram.send(packet, to),
    }
    const handler = {
      onPacket: (packet, from) => tracker.incomingPacket(socket, from, packet),
      onError() {},
      onWritable() {},
    }
    this.nodes.push(node)
    runtime.bindDatagram(endpoint, handler, (error, datagram) => {
      if (datagram === null) throw new Error(`${endpoint}: ${error.message()}`)
      node.datagram = datagram
      tracker.newSocket(socket)
      tracker.start(() => {
        node.bootstrapped = true
      })
      bound()
    })
    return node
  }

  #observer() {
    return {
      answersRequests: false,
      shouldLog: () => false,
      log() {},
      logPacket() {},
      setExternalAddress() {},
      getListenPort: () => 6881,
      getPeers: infoHash => this.onGetPeers(infoHash),
      outgoingGetPeers() {},
      announce() {},
      onDhtRequest: () => null,
    }
  }

  /** Nodes to begin with. */
  some(count) {
    return Array.from({ length: Math.min(count, this.nodes.length) }, () => {
      return this.nodes[this.#rng.below(this.nodes.length)].endpoint
    })
  }

  close() {
    for (const { tracker, datagram } of this.nodes) {
      tracker.stop()
      datagram?.close()
    }
  }
}
