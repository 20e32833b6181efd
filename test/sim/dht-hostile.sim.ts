/** Attacks on nodes and sessions of the DHT, as far as they need a network around them. */

import { describe, expect, test } from 'vitest'
import { bencode } from '../../src/bencode/bencode.ts'
import { Sha1Hash } from '../../src/core/digest.ts'
import { type Endpoint, endpointToCompact } from '../../src/core/endpoint.ts'
import { type Rng, randomBytes } from '../../src/core/rng.ts'
import type { Datagram } from '../../src/core/runtime.ts'
import * as C from '../../src/stats/counter-ids.ts'
import { asQuery, DhtNet, lyingAnswer, type NetNode, randomAddress } from './lib/dht-net.ts'
import { addRouter, DhtSession } from './lib/dht-session.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeTorrent } from './lib/swarm.ts'

const PORT = 6881

/** An id that shares `bits` bits with another. */
function near(id: Uint8Array, bits: number, rng: Rng): Uint8Array {
  const out = randomBytes(rng, 20)
  for (let i = 0; i < bits; i++) {
    const mask = 0x80 >> (i & 7)
    out[i >> 3] = (out[i >> 3]! & ~mask) | (id[i >> 3]! & mask)
  }
  return out
}

/** Many addresses of one attacker. Each has an id near the victim's, answers what it is asked, and courts the victim. */
class Sybils {
  readonly endpoints: readonly Endpoint[]
  readonly #sockets: Datagram[] = []
  readonly #ids: Uint8Array[] = []
  readonly #rng: Rng

  constructor(sim: Simulation, addresses: readonly string[], victim: NetNode) {
    this.#rng = sim.rng.fork('sybils')
    this.endpoints = addresses.map(address => [address, PORT])
    const runtime = sim.host('attacker', { addresses })
    for (const [i, endpoint] of this.endpoints.entries()) {
      this.#ids.push(near(victim.node.nid.view(), 1 + (i % 40), this.#rng))
      runtime.bindDatagram(
        endpoint,
        {
          onPacket: (packet, from) => {
            const query = asQuery(packet)
            if (query === null) return
            const answer = lyingAnswer(query, this.endpoints, from, this.#rng, this.#ids[i]!)
            this.#sockets[i]?.send(bencode(answer), from)
          },
          onError: () => {},
          onWritable: () => {},
        },
        (_error, socket) => {
          this.#sockets[i] = socket!
        },
      )
    }
    sim.run(1)
  }

  /** Each asks a node something. @param fresh with another id each time */
  court(victim: NetNode, fresh = false): void {
    for (const [i, socket] of this.#sockets.entries()) {
      const id = fresh ? near(victim.node.nid.view(), this.#rng.below(120), this.#rng) : this.#ids[i]!
      const a = { id, target: randomBytes(this.#rng, 20) }
      socket.send(bencode({ a, q: 'find_node', t: randomBytes(this.#rng, 2), y: 'q' }), victim.endpoint)
    }
  }
}

/** The share of lookups that find what was announced: of info-hashes near the victim, by it and by others. */
function success(net: DhtNet, victim: NetNode, announced: readonly Announced[]): number {
  let hits = 0
  for (const { infoHash, owner, port } of announced) {
    for (const asker of [victim, net.any()]) {
      let hit = false
      asker.tracker.getPeers(infoHash, peers => {
        if (hit || !peers.some(peer => peer[0] === owner.address && peer[1] === port)) return
        hit = true
        hits++
      })
    }
  }
  net.sim.run(30_000)
  return hits / (announced.length * 2)
}

interface Announced {
  readonly infoHash: Sha1Hash
  readonly owner: NetNode
  readonly port: number
}

function announceNear(net: DhtNet, victim: NetNode, count: number): Announced[] {
  const rng = net.sim.rng.fork('announced')
  return Array.from({ length: count }, (_, i) => {
    const infoHash = new Sha1Hash(near(victim.node.nid.view(), i % 12, rng))
    const owner = net.any()
    owner.tracker.announce(infoHash, 2000 + i, 0, () => {})
    return { infoHash, owner, port: 2000 + i }
  })
}

const live = (node: NetNode) => node.node.liveNodes().map(({ endpoint }) => endpoint[0])

/** What becomes of a node in a network of two hundred that is attacked for two minutes. */
function besieged(seed: number, addresses: (rng: Rng) => string[], attack: (sybils: Sybils, victim: NetNode) => void) {
  const outcome = { kept: 0, enemies: 0, found: 0, known: 0 }
  simulate(seed, sim => {
    // buckets of eight throughout, so that places are scarce
    const net = new DhtNet(sim, { settings: { dht_extended_routing_table: false } })
    net.grow(200)
    const victim = net.nodes[7]!
    const before = live(victim)
    const announced = announceNear(net, victim, 60)
    sim.run(20_000)
    const sybils = new Sybils(sim, addresses(sim.rng), victim)
    for (let second = 0; second < 120; second++) {
      attack(sybils, victim)
      sim.run(1000)
    }
    const after = live(victim)
    const enemies = new Set(sybils.endpoints.map(([address]) => address))
    outcome.known = before.length
    outcome.kept = before.filter(address => after.includes(address)).length / before.length
    outcome.enemies = after.filter(address => enemies.has(address)).length
    outcome.found = success(net, victim, announced)
    victim.node.table.checkInvariant()
    // nobody else has more than a few of them either
    const others = net.nodes.map(node => live(node).filter(address => enemies.has(address)).length)
    expect(Math.max(...others)).toBeLessThan(6)
  })
  // enough for a share of them to mean something
  expect(outcome.known).toBeGreaterThan(10)
  expect(outcome.found).toBeGreaterThan(0.98)
  return outcome
}

describe('the neighbours of a node stay, and lookups find peers,', () => {
  test('while one address makes up ids near it', () => {
    const outcome = besieged(
      1,
      () => ['90.1.1.1'],
      (sybils, victim) => {
        for (let i = 0; i < 20; i++) sybils.court(victim, true)
      },
    )
    expect(outcome).toMatchObject({ kept: 1, enemies: 0 })
  })

  test('while 254 addresses of one network answer with ids near it', () => {
    const network = Array.from({ length: 254 }, (_, i) => `90.1.1.${i + 1}`)
    const outcome = besieged(
      2,
      () => network,
      (sybils, victim) => sybils.court(victim),
    )
    expect(outcome.kept).toBeGreaterThan(0.9)
    expect(outcome.enemies).toBeLessThan(4)
  })

  test('while a hundred networks do', () => {
    const networks = (rng: Rng) => [...new Set(Array.from({ length: 100 }, () => randomAddress(rng)))]
    const outcome = besieged(3, networks, (sybils, victim) => sybils.court(victim))
    expect(outcome.kept).toBeGreaterThan(0.8)
    expect(outcome.enemies).toBeLessThan(6)
  })
})

/** What strangers may send, true and broken. */
function packets(rng: Rng, nid: Uint8Array, infoHash: Uint8Array): Uint8Array[] {
  const made: Uint8Array[] = []
  for (let i = 0; i < 400; i++) {
    const id = near(nid, rng.below(160), rng)
    const t = randomBytes(rng, 2)
    const token = randomBytes(rng, 4)
    const ip = endpointToCompact(['8.8.8.8', 1])
    const valid = [
      bencode({ a: { id }, ip, q: 'ping', t, y: 'q' }),
      bencode({ a: { id, info_hash: infoHash }, q: 'get_peers', t, y: 'q' }),
      bencode({ a: { id, info_hash: infoHash, port: 1, token }, q: 'announce_peer', t, y: 'q' }),
      bencode({ a: { id, token, v: randomBytes(rng, 900) }, q: 'put', t, y: 'q' }),
      bencode({ ip, r: { id, nodes: randomBytes(rng, 208), token, values: [randomBytes(rng, 6)] }, t, y: 'r' }),
      bencode({ e: [203, 'no'], ip, t, y: 'e' }),
      bencode({ a: { id, junk: randomBytes(rng, 3000) }, q: 'ping', t, y: 'q' }),
      randomBytes(rng, 100),
    ]
    const packet = valid[i % valid.length]!
    made.push(packet)
    const broken = packet.slice(0, 1 + rng.below(packet.length))
    broken[rng.below(broken.length)]! ^= 1 << rng.below(8)
    made.push(broken)
  }
  return made
}

test('a session goes on in the middle of a flood: it keeps its nodes and its address, is found, and finds', () => {
  simulate(10, sim => {
    const router = addRouter(sim)
    sim.run(1000)
    const nodes = Array.from({ length: 6 }, (_, i) => {
      const node = new DhtSession(sim, `node ${i}`).joined()
      sim.run(6000)
      return node
    })
    sim.run(60_000)
    const [victim, seed, leech] = nodes
    const torrents = [makeTorrent(100_000, 16_384, 1), makeTorrent(100_000, 16_384, 2)]
    victim!.add(torrents[0]!, 'all')
    seed!.add(torrents[1]!, 'all')
    sim.run(10_000)

    const { engine } = victim!
    const [node] = engine.dht.tracker!.nodes
    const before = node!.liveNodes().map(({ endpoint }) => endpoint[0])
    const { nid } = node!
    const rng = sim.rng.fork('flood')
    const flood = packets(rng, nid.view(), torrents[0]!.infoHash.view())
    const { handler } = victim!.runtime.host.udpAt([victim!.address, PORT])!
    const strangers = () => {
      for (let i = 0; i < 100; i++) {
        // now and then as if it came from a node it knows
        const friend = rng.below(500) === 0 ? nodes[1 + rng.below(5)]!.address : randomAddress(rng)
        handler.onPacket(flood[rng.below(flood.length)]!.slice(), [friend, PORT])
      }
    }
    const received = engine.counters.get(C.DHT_DHT_MESSAGES_IN)
    for (let i = 0; i < 200; i++) {
      strangers()
      sim.run(100)
    }
    const downloads = [leech!.add(torrents[0]!, 'none'), victim!.add(torrents[1]!, 'none')]
    for (let i = 0; i < 200 && downloads.some(handle => !handle.status().isSeeding); i++) {
      strangers()
      sim.run(100)
    }
    expect(downloads.map(handle => handle.status().isSeeding)).toEqual([true, true])
    expect(engine.counters.get(C.DHT_DHT_MESSAGES_IN) - received).toBeGreaterThan(8000)
    expect(node!.liveNodes().map(({ endpoint }) => endpoint[0])).toEqual(expect.arrayContaining(before))
    expect(node!.nid.equals(nid)).toBe(true)
    expect(victim!.all('external_ip').map(alert => alert.externalAddress)).toEqual([victim!.address])
    expect(victim!.all('session_error')).toEqual([])
    expect(node!.rpc.numTransactions).toBeLessThan(50)
    engine.dht.tracker!.updateStatsCounters(engine.counters)
    expect(engine.counters.get(C.DHT_DHT_PEERS)).toBeLessThan(10)
    expect(engine.counters.get(C.DHT_DHT_IMMUTABLE_DATA)).toBe(0)
    for (const session of [...nodes, router]) session.end()
  })
})
