/** A network of DHT nodes without sessions around them: honest ones, dead ones, liars, and ones behind a translator. */

import { bdecode } from '../../../src/bencode/bdecode.ts'
import { bencode } from '../../../src/bencode/bencode.ts'
import type { BencodeInput } from '../../../src/bencode/entry.ts'
import { Sha1Hash } from '../../../src/core/digest.ts'
import { type Endpoint, endpointToCompact } from '../../../src/core/endpoint.ts'
import type { Rng } from '../../../src/core/rng.ts'
import { randomBytes } from '../../../src/core/rng.ts'
import type { Datagram } from '../../../src/core/runtime.ts'
import { dhtDefaultStorageConstructor } from '../../../src/dht/default-storage.ts'
import type { DhtNode } from '../../../src/dht/dht-node.ts'
import type { DhtObserver } from '../../../src/dht/dht-observer.ts'
import type { DhtPacketSocket } from '../../../src/dht/dht-socket.ts'
import { DhtState } from '../../../src/dht/dht-state.ts'
import { DhtTracker } from '../../../src/dht/dht-tracker.ts'
import { generateId } from '../../../src/dht/node-id.ts'
import { SecretIds } from '../../../src/dht/secret-id.ts'
import type { SettingsPack } from '../../../src/settings/pack-type.ts'
import { SessionSettings } from '../../../src/settings/session-settings.ts'
import { Counters } from '../../../src/stats/counters.ts'
import type { SimRuntime } from './sim-runtime.ts'
import type { Simulation } from './simulation.ts'

const PORT = 6881
/** First bytes of addresses that are in use by everybody's providers, and not in a dark network. */
const FIRST_BYTES = [24, 31, 37, 46, 58, 62, 77, 81, 84, 88, 91, 109, 151, 176, 178, 185, 188, 193, 201, 213]

/** One honest node. */
export class NetNode {
  readonly runtime: SimRuntime
  readonly address: string
  readonly counters = new Counters()
  readonly tracker: DhtTracker
  bootstrapped = false
  #socket: Datagram | null = null

  constructor(runtime: SimRuntime, address: string, settings: SettingsPack, known: readonly Endpoint[]) {
    this.runtime = runtime
    this.address = address
    const all = new SessionSettings(settings)
    const state = new DhtState()
    state.nodes = [...known]
    const now = () => runtime.clock.now()
    const { rng } = runtime
    this.tracker = new DhtTracker({
      settings: all,
      counters: this.counters,
      observer: SILENT,
      storage: dhtDefaultStorageConstructor(all, { now, rng: rng.fork('storage') }),
      rng: rng.fork('dht'),
      secretIds: new SecretIds(rng.fork('secret')),
      state,
      now,
      setTimer: (ms, fn) => runtime.setTimer(ms, fn),
    })
    const socket: DhtPacketSocket = {
      local: [runtime.host.addresses[0]!, PORT],
      externalAddress: () => address,
      sendDht: (packet, to) => this.#socket?.send(packet, to) ?? false,
    }
    runtime.bindDatagram(
      [runtime.host.addresses[0]!, PORT],
      {
        onPacket: (packet, from) => this.tracker.incomingPacket(socket, from, packet),
        onError: () => {},
        onWritable: () => {},
      },
      (_error, bound) => {
        this.#socket = bound
        this.tracker.newSocket(socket)
        this.tracker.start(() => {
          this.bootstrapped = true
        })
      },
    )
  }

  get node(): DhtNode {
    return this.tracker.nodes[0]!
  }

  get endpoint(): Endpoint {
    return [this.address, PORT]
  }

  /** Says nothing any more. */
  die(): void {
    this.tracker.stop()
    this.#socket?.close()
    this.#socket = null
  }
}

/** What the sessions of a swarm would do with what the DHT tells them: nothing. */
const SILENT: DhtObserver = {
  answersRequests: false,
  shouldLog: () => false,
  log() {},
  logPacket() {},
  setExternalAddress() {},
  getListenPort: () => PORT,
  getPeers() {},
  outgoingGetPeers() {},
  announce() {},
  onDhtRequest: () => null,
}

export type Query = { t: Uint8Array; q: string; a: Record<string, Uint8Array> }

/**
 * A node that answers everything wrongly: nodes that do not exist, near what is looked for, and other liars; announces and
 * items that it confirms and drops. It makes itself known to others by its queries.
 *
 * `steady`: with one id that fits its address, so that it gets into routing tables; else with another id each time, near
 * what is looked for. `said`: what it tells others their address is, if not the truth.
 */
export class LyingNode {
  readonly endpoint: Endpoint
  queries = 0
  readonly #runtime: SimRuntime
  readonly #rng: Rng
  readonly #id: Uint8Array | null
  #socket: Datagram | null = null

  constructor(
    runtime: SimRuntime,
    address: string,
    friends: readonly Endpoint[],
    rng: Rng,
    steady: boolean,
    said: string | null = null,
  ) {
    this.endpoint = [address, PORT]
    this.#runtime = runtime
    this.#rng = rng
    this.#id = steady ? generateId(address, rng).toBytes() : null
    runtime.bindDatagram(
      [runtime.host.addresses[0]!, PORT],
      {
        onPacket: (packet, from) => {
          const query = asQuery(packet)
          if (query === null) return
          this.queries++
          const to: Endpoint = [said ?? from[0], from[1]]
          this.#socket?.send(bencode(lyingAnswer(query, friends, to, rng, this.#id)), from)
        },
        onError: () => {},
        onWritable: () => {},
      },
      (_error, bound) => {
        this.#socket = bound
      },
    )
  }

  /** Shows itself to a node of `all` each second. */
  court(all: () => Endpoint): void {
    const id = this.#id ?? randomBytes(this.#rng, 20)
    const query = {
      a: { id, target: randomBytes(this.#rng, 20) },
      q: 'find_node',
      t: randomBytes(this.#rng, 2),
      y: 'q',
    }
    this.#socket?.send(bencode(query), all())
    this.#runtime.setTimer(1000, () => this.court(all))
  }
}

/** A query that came; `null` for anything else. */
export function asQuery(packet: Uint8Array): Query | null {
  const message = bdecode(packet) as unknown as Record<string, unknown>
  return message['q'] === undefined
    ? null
    : ({ ...message, q: Buffer.from(message['q'] as Uint8Array).toString() } as Query)
}

/**
 * The answer of a liar: nodes that are none or `friends`, near what is looked for.
 *
 * @param to what the asker's address is said to be @param steady the id it says, `null` for one near the target
 */
export function lyingAnswer(
  { t, q, a }: Query,
  friends: readonly Endpoint[],
  to: Endpoint,
  rng: Rng,
  steady: Uint8Array | null,
): BencodeInput {
  const target = a['target'] ?? a['info_hash'] ?? a['id']!
  const near = () => {
    const id = target.slice()
    // 40 common bits: nearer than anybody honest in a network of thousands
    rng.fill(id.subarray(5))
    return id
  }
  const nodes: Uint8Array[] = []
  for (let i = 0; i < 8; i++) {
    // half of them are other liars, the rest nobody
    const friend = friends[rng.below(friends.length)]
    const endpoint: Endpoint = i % 2 === 0 && friend !== undefined ? friend : [randomAddress(rng), PORT]
    nodes.push(near(), endpointToCompact(endpoint))
  }
  const r: Record<string, BencodeInput> = { id: steady ?? near() }
  if (q !== 'ping' && q !== 'announce_peer' && q !== 'put') {
    r['nodes'] = Buffer.concat(nodes)
    r['token'] = randomBytes(rng, 8)
  }
  if (q === 'get_peers' && rng.below(2) === 0) r['values'] = []
  return { ip: endpointToCompact(to), r, t, y: 'r' }
}

export function randomAddress(rng: Rng): string {
  return `${FIRST_BYTES[rng.below(FIRST_BYTES.length)]}.${rng.below(256)}.${rng.below(256)}.${1 + rng.below(254)}`
}

export interface DhtNetOptions {
  readonly settings?: SettingsPack
}

export class DhtNet {
  readonly sim: Simulation
  readonly nodes: NetNode[] = []
  readonly liars: LyingNode[] = []
  readonly #rng: Rng
  readonly #settings: SettingsPack
  readonly #used = new Set<string>()
  #hosts = 0

  constructor(sim: Simulation, options: DhtNetOptions = {}) {
    this.sim = sim
    this.#rng = sim.rng.fork('dht-net')
    this.#settings = options.settings ?? {}
  }

  address(): string {
    for (;;) {
      const address = randomAddress(this.#rng)
      if (this.#used.has(address)) continue
      this.#used.add(address)
      return address
    }
  }

  /** A node that begins with a few of the others, as a saved state would have it. */
  add(settings: SettingsPack = {}): NetNode {
    const address = this.address()
    const runtime = this.sim.host(`dht ${++this.#hosts}`, { addresses: [address] })
    const node = new NetNode(runtime, address, { ...this.#settings, ...settings }, this.#some())
    this.nodes.push(node)
    return node
  }

  /** A node that nobody can reach who was not asked by it, and which says so (BEP 43). */
  addReadOnly(): NetNode {
    const address = this.address()
    const nat = { publicAddress: address, kind: 'restricted' } as const
    const n = ++this.#hosts
    const runtime = this.sim.host(`dht ${n}`, { addresses: [`10.${n >> 8}.${n & 255}.9`], nat })
    const node = new NetNode(runtime, address, { ...this.#settings, dht_read_only: true }, this.#some())
    return node
  }

  addLiar(said: string | null = null): LyingNode {
    const address = this.address()
    const runtime = this.sim.host(`liar ${++this.#hosts}`, { addresses: [address] })
    const friends = this.liars.map(liar => liar.endpoint)
    const liar = new LyingNode(runtime, address, friends, this.#rng.fork(address), this.liars.length % 2 === 0, said)
    this.liars.push(liar)
    runtime.setTimer(1000, () => liar.court(() => this.any().endpoint))
    return liar
  }

  /** Ends one of the nodes, but none of `keep`. */
  kill(keep: readonly NetNode[] = []): void {
    const candidates = this.nodes.filter(node => !keep.includes(node))
    const gone = candidates[this.#rng.below(candidates.length)]!
    this.nodes.splice(this.nodes.indexOf(gone), 1)
    gone.die()
  }

  any(): NetNode {
    return this.nodes[this.#rng.below(this.nodes.length)]!
  }

  /** Adds nodes, some at a time, and lets them find their places. */
  grow(count: number, perSecond = 50): void {
    for (let i = 0; i < count; i++) {
      this.add()
      if (i % perSecond === perSecond - 1) this.sim.run(1000)
    }
    this.sim.run(60_000)
  }

  id(): Sha1Hash {
    return new Sha1Hash(randomBytes(this.#rng, 20))
  }

  /** An id that fits an address (BEP 42). */
  idFor(address: string): Sha1Hash {
    return generateId(address, this.#rng)
  }

  #some(): Endpoint[] {
    if (this.nodes.length === 0) return []
    return Array.from({ length: 3 }, () => this.any().endpoint)
  }
}
