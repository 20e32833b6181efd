/** A network of scripted DHT nodes in virtual time, and one real node's parts among them. */

import { bdecode } from '../../../src/bencode/bdecode.ts'
import { bencode } from '../../../src/bencode/bencode.ts'
import type { Entry } from '../../../src/bencode/entry.ts'
import { concatBytes } from '../../../src/core/bytes.ts'
import { Sha1Hash } from '../../../src/core/digest.ts'
import { type Endpoint, endpointToCompact, endpointToString } from '../../../src/core/endpoint.ts'
import { randomBytes, SeededRng } from '../../../src/core/rng.ts'
import type { DhtLog } from '../../../src/dht/dht-log.ts'
import { KrpcDecoder } from '../../../src/dht/krpc.ts'
import { closerTo } from '../../../src/dht/node-id.ts'
import { RoutingTable } from '../../../src/dht/routing-table.ts'
import { RpcManager } from '../../../src/dht/rpc-manager.ts'
import { SecretIds } from '../../../src/dht/secret-id.ts'
import type { Traversal } from '../../../src/dht/traversal.ts'
import type { TraversalNode } from '../../../src/dht/traversal-port.ts'
import { SessionSettings } from '../../../src/settings/session-settings.ts'
import { Counters } from '../../../src/stats/counters.ts'

export type Dict = { [key: string]: Entry }

/** A query as a remote node reads it. */
export interface Query {
  readonly to: Endpoint
  readonly packet: Uint8Array
  /** What is under `q`. */
  readonly method: string
  /** What is under `a`. */
  readonly args: Dict
  readonly tid: Uint8Array
  readonly all: Dict
}

/** What a remote node answers: `r` of the response, a whole packet, or nothing. */
export type Answer = { r: Dict } | { packet: Uint8Array } | null

export interface Remote {
  readonly id: Sha1Hash
  readonly endpoint: Endpoint
  /** ms until the answer is there. */
  latency: number
  answer: (query: Query) => Answer
}

export function text(bytes: Entry | undefined): string {
  return bytes instanceof Uint8Array ? Buffer.from(bytes).toString('latin1') : String(bytes)
}

export function hash(hex: string): Sha1Hash {
  return new Sha1Hash(hex)
}

export function compactNode(node: { readonly id: Sha1Hash; readonly endpoint: Endpoint }): Uint8Array {
  return concatBytes([node.id.toBytes(), endpointToCompact(node.endpoint)])
}

export function compactNodes(nodes: readonly { readonly id: Sha1Hash; readonly endpoint: Endpoint }[]): Uint8Array {
  return concatBytes(nodes.map(compactNode))
}

/** An id that is `target` with bit `159 - distance` flipped: its distance is 2^distance exactly. */
export function atDistance(target: Sha1Hash, distance: number): Sha1Hash {
  const bytes = target.toBytes()
  const bit = 159 - distance
  bytes[bit >> 3]! ^= 0x80 >> (bit & 7)
  return new Sha1Hash(bytes)
}

export class FakeNetwork {
  readonly rng = new SeededRng(7)
  readonly settings = new SessionSettings()
  readonly counters = new Counters()
  readonly running = new Set<Traversal>()
  /** All queries that our node sent. */
  readonly sent: Query[] = []
  readonly remotes = new Map<string, Remote>()
  readonly lines: string[] = []
  /** What `outgoingGetPeers` was called with. */
  readonly lookedUp: { target: Sha1Hash; sent: Sha1Hash; to: Endpoint }[] = []
  readonly pinged: Endpoint[] = []
  readonly table: RoutingTable
  readonly rpc: RpcManager
  readonly node: TraversalNode
  /** Calls it for each datagram that leaves; false for one that cannot. */
  canSend: (to: Endpoint) => boolean = () => true
  logging = false
  now = 1_000_000
  readonly #decoder = new KrpcDecoder()
  readonly #events: { at: number; order: number; run: () => void }[] = []
  #order = 0
  #nextTick: number
  #searches = 0

  constructor(options: { family?: 4 | 6; id?: Sha1Hash } = {}) {
    const { family = 4, id = hash('3123456789abcdef0123456789abcdef01234567') } = options
    const now = () => this.now
    const log: DhtLog = {
      shouldLog: () => this.logging,
      log: (_module, message) => void this.lines.push(message),
    }
    const { settings, rng } = this
    this.table = new RoutingTable({ id, family, settings, now, log })
    const { table } = this
    this.rpc = new RpcManager({ id, family, settings, table, rng, log, now, send: this.#send })
    this.node = {
      nid: id,
      table,
      rpc: this.rpc,
      settings,
      rng,
      secretIds: new SecretIds(rng),
      counters: this.counters,
      log,
      family,
      nodesKey: family === 4 ? 'nodes' : 'nodes6',
      now,
      searchId: () => ++this.#searches,
      outgoingGetPeers: (target, sent, to) => void this.lookedUp.push({ target, sent, to }),
      addNode: endpoint => void this.pinged.push(endpoint),
      addTraversal: traversal => void this.running.add(traversal),
      removeTraversal: traversal => void this.running.delete(traversal),
    }
    this.#nextTick = this.now + 1000
  }

  /** Adds a remote node that answers every query with its id and what `extra` says. */
  remote(endpoint: Endpoint, id: Sha1Hash, extra: (query: Query) => Dict | null = () => ({}), latency = 50): Remote {
    const remote: Remote = {
      id,
      endpoint,
      latency,
      answer: query => {
        const more = extra(query)
        return more === null ? null : { r: { id: id.toBytes(), ...more } }
      },
    }
    this.remotes.set(endpointToString(endpoint), remote)
    return remote
  }

  /** A remote node that never answers. */
  silent(endpoint: Endpoint, id: Sha1Hash): Remote {
    return this.remote(endpoint, id, () => null)
  }

  /** Puts remote nodes into our routing table as if they had answered us. */
  know(remotes: readonly Remote[]): void {
    for (const { id, endpoint } of remotes) this.table.nodeSeen(id, endpoint, 10)
  }

  randomId(): Sha1Hash {
    return new Sha1Hash(randomBytes(this.rng, 20))
  }

  /** Hands our node a packet, as if it came from `from`. @returns whether it answered a query */
  deliver(packet: Uint8Array, from: Endpoint): boolean {
    const message = this.#decoder.decode(packet)
    return message !== null && this.rpc.incoming(message, from)
  }

  /** A response to `query`, encoded. */
  response(query: Query, r: Dict): Uint8Array {
    return bencode({ r, t: query.tid, y: 'r' })
  }

  /** Lets time pass. */
  advance(ms: number): void {
    const until = this.now + ms
    for (;;) {
      this.#events.sort((a, b) => a.at - b.at || a.order - b.order)
      const next = this.#events[0]
      const at = Math.min(next?.at ?? Number.POSITIVE_INFINITY, this.#nextTick)
      if (at > until) break
      this.now = Math.max(this.now, at)
      if (next !== undefined && next.at === at) {
        this.#events.shift()
        next.run()
      } else this.#nextTick = this.now + this.rpc.tick()
      for (const traversal of this.running) traversal.checkInvariant()
    }
    this.now = until
  }

  /** Lets time pass until no lookup is running. @throws Error if that takes longer than `limit` ms */
  finish(limit = 120_000): void {
    const until = this.now + limit
    while (this.running.size > 0) {
      if (this.now >= until) throw new Error('a lookup does not end')
      this.advance(10)
    }
  }

  after(ms: number, run: () => void): void {
    this.#events.push({ at: this.now + ms, order: this.#order++, run })
  }

  readonly #send = (packet: Uint8Array, to: Endpoint): boolean => {
    if (!this.canSend(to)) return false
    const copy = packet.slice()
    const all = bdecode(copy) as Dict
    const query: Query = {
      to,
      packet: copy,
      method: text(all['q']),
      args: all['a'] as Dict,
      tid: all['t'] as Uint8Array,
      all,
    }
    this.sent.push(query)
    const remote = this.remotes.get(endpointToString(to))
    const answer = remote?.answer(query) ?? null
    if (answer !== null) {
      const bytes = 'packet' in answer ? answer.packet : this.response(query, answer.r)
      this.after(remote!.latency, () => void this.deliver(bytes, to))
    }
    return true
  }
}

/** The `count` of `nodes` that are closest to `target`, the closest first. */
export function closest<T extends { readonly id: Sha1Hash }>(
  nodes: readonly T[],
  target: Sha1Hash,
  count: number,
): T[] {
  const sorted = [...nodes].sort((a, b) => (closerTo(target, a.id, b.id) ? -1 : closerTo(target, b.id, a.id) ? 1 : 0))
  return sorted.slice(0, count)
}

/**
 * A network of `count` honest nodes, each in a network of its own, that know some of the others as Kademlia would have it.
 *
 * @param extra what a node says beside its id and the nodes it knows
 */
export function honestNodes(
  network: FakeNetwork,
  count: number,
  extra: (query: Query, self: Remote) => Dict = () => ({}),
): Remote[] {
  const nodes: Remote[] = []
  for (let i = 0; i < count; i++) {
    const endpoint: Endpoint = [`${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.${1 + (i % 200)}`, 6881 + (i % 100)]
    const self: Remote = network.remote(endpoint, network.randomId())
    nodes.push(self)
  }
  for (const self of nodes) {
    // eight of each distance, as far as there are so many
    const known: Remote[] = []
    const perDistance = new Map<number, number>()
    const start = network.rng.below(count)
    for (let i = 0; i < count; i++) {
      const other = nodes[(start + i) % count]!
      if (other === self) continue
      const exp = leading(self.id, other.id)
      const have = perDistance.get(exp) ?? 0
      if (have >= 8) continue
      perDistance.set(exp, have + 1)
      known.push(other)
    }
    self.answer = query => {
      const target = query.args['target'] ?? query.args['info_hash']
      const nodesFor = target instanceof Uint8Array ? closest(known, new Sha1Hash(target), 8) : []
      return { r: { id: self.id.toBytes(), nodes: compactNodes(nodesFor), ...extra(query, self) } }
    }
    self.latency = 20 + network.rng.below(200)
  }
  return nodes
}

/** Bits that two ids share at the beginning. */
function leading(a: Sha1Hash, b: Sha1Hash): number {
  const x = a.view()
  const y = b.view()
  for (let i = 0; i < 20; i++) {
    const d = x[i]! ^ y[i]!
    if (d !== 0) return i * 8 + Math.clz32(d) - 24
  }
  return 160
}
