/** Nodes that torrents, peers and users name: a few are asked at a time, however many are named. */

import { type Endpoint, endpointToString, isPort } from '../core/endpoint.ts'
import type { Rng } from '../core/rng.ts'

/** What the hints need of the DHT. */
export interface DhtNodeHintsPort {
  readonly rng: Rng
  /** `enable_dht`: as long as it is off, no name is looked up. */
  isEnabled(): boolean
  /** There is a DHT to tell of nodes. */
  isRunning(): boolean
  /** Looks up a name; `found` gets no addresses if that fails. */
  resolve(host: string, found: (addresses: readonly string[]) => void): void
  /** Asks a node something: if it answers it is known from then on. */
  ask(endpoint: Endpoint): void
}

/** Nodes that wait, and names; then others are given up for new ones. */
const MAX_WAITING = 200
const MAX_LOOKUPS = 20
/** Nodes asked at once, and then in a second. */
const BURST = 20
const PER_SECOND = 5
/** As long as this, in seconds, a node that is named again is not asked again. */
const REMEMBERED = 60

/**
 * Deviation: libtorrent asks each node as often as it is named, so that many torrents with the same nodes make a flood.
 */
export class DhtNodeHints {
  readonly #port: DhtNodeHintsPort
  #nodes: Endpoint[] = []
  #names: [host: string, port: number][] = []
  /** Names that are being looked up. */
  readonly #lookups = new Set<string>()
  #credit = BURST
  /** Those asked lately. */
  readonly #asked = new Set<string>()
  #seconds = 0

  constructor(port: DhtNodeHintsPort) {
    this.#port = port
  }

  add(endpoint: Endpoint): void {
    if (this.#asked.has(endpointToString(endpoint))) return
    if (this.#nodes.some(([address, port]) => address === endpoint[0] && port === endpoint[1])) return
    this.#keep(this.#nodes, endpoint)
    this.#askSome()
  }

  /** Torrents may say anything: what is no port is passed over. */
  addName(host: string, port: number): void {
    if (!isPort(port, 1)) return
    if (this.#lookups.has(`${host} ${port}`)) return
    if (this.#names.some(([otherHost, otherPort]) => host === otherHost && port === otherPort)) return
    this.#keep(this.#names, [host, port])
    this.resume()
  }

  /** The DHT has been switched on, or has started. */
  resume(): void {
    while (this.#port.isEnabled() && this.#lookups.size < MAX_LOOKUPS) {
      const name = this.#names.shift()
      if (name === undefined) break
      this.#lookUp(name[0], name[1])
    }
    this.#askSome()
  }

  #lookUp(host: string, port: number): void {
    const key = `${host} ${port}`
    this.#lookups.add(key)
    this.#port.resolve(host, addresses => {
      this.#lookups.delete(key)
      for (const address of addresses) this.add([address, port])
      this.resume()
    })
  }

  secondTick(): void {
    if (++this.#seconds % REMEMBERED === 0) this.#asked.clear()
    this.#credit = Math.min(BURST, this.#credit + PER_SECOND)
    this.#askSome()
  }

  #askSome(): void {
    while (this.#credit > 0 && this.#port.isRunning()) {
      const endpoint = this.#nodes.shift()
      if (endpoint === undefined) return
      this.#credit--
      this.#asked.add(endpointToString(endpoint))
      this.#port.ask(endpoint)
    }
  }

  #keep<T>(list: T[], item: T): void {
    if (list.length < MAX_WAITING) list.push(item)
    else list[this.#port.rng.below(MAX_WAITING)] = item
  }
}
