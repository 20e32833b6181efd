import { describe, expect, test } from 'vitest'
import { Sha1Hash } from '../../../src/core/digest.ts'
import { type Endpoint, endpointToCompact, endpointToString } from '../../../src/core/endpoint.ts'
import type { TokenNode } from '../../../src/dht/find-data.ts'
import { GetPeers, ObfuscatedGetPeers } from '../../../src/dht/get-peers.ts'
import { distanceExp } from '../../../src/dht/node-id.ts'
import { ObserverFlag } from '../../../src/dht/observer.ts'
import { Bootstrap } from '../../../src/dht/refresh.ts'
import { DHT_DHT_GET_PEERS_OUT } from '../../../src/stats/counter-ids.ts'
import { atDistance, closest, compactNodes, FakeNetwork, hash, honestNodes, type Query } from './fake-network.ts'

const TARGET = hash('1234876923549721020394873245098347598635')
const NOBODY = new Sha1Hash()
const A: Endpoint = ['21.0.0.1', 1234]
const B: Endpoint = ['22.0.0.1', 2235]
const A_ID = hash('1111111111222222222233333333334444444444')
const B_ID = atDistance(TARGET, 20)
const TOKEN = Uint8Array.of(0x31, 0x30)

function peers(...endpoints: Endpoint[]): Uint8Array[] {
  return endpoints.map(endpoint => endpointToCompact(endpoint))
}

function setup(noseeds = false, Kind = GetPeers) {
  const network = new FakeNetwork()
  const found: string[][] = []
  const ends: (readonly TokenNode[])[] = []
  const lookup = new Kind(
    network.node,
    TARGET,
    list => void found.push(list.map(endpointToString)),
    nodes => void ends.push(nodes),
    noseeds,
  )
  return { network, lookup, found, ends }
}

describe('get_peers', () => {
  test('asks node after node, tells of peers as they come, and of the nodes to announce to at the end', () => {
    const { network, lookup, found, ends } = setup()
    const b = network.remote(B, B_ID, () => ({
      token: Uint8Array.of(0x31, 0x31),
      values: peers(['5.0.0.1', 4114], ['5.0.0.2', 4115]),
    }))
    const a = network.remote(A, A_ID, () => ({
      nodes: compactNodes([b]),
      token: TOKEN,
      values: peers(['4.0.0.1', 4111], ['4.0.0.2', 4112], ['4.0.0.3', 4113]),
    }))
    network.know([a])
    lookup.start()
    expect(lookup.status().type).toBe('get_peers')
    expect(network.sent.map(({ to, method, args }) => [to, method, args['info_hash']])).toEqual([
      [A, 'get_peers', TARGET.toBytes()],
    ])
    network.advance(60)
    expect(found).toEqual([['4.0.0.1:4111', '4.0.0.2:4112', '4.0.0.3:4113']])
    expect(ends).toEqual([])
    expect(network.sent.map(({ to, args }) => [to, args['info_hash']])).toEqual([
      [A, TARGET.toBytes()],
      [B, TARGET.toBytes()],
    ])
    network.finish()
    expect(found[1]).toEqual(['5.0.0.1:4114', '5.0.0.2:4115'])
    // the closer one first, each with its own token
    expect(ends).toEqual([
      [
        { id: B_ID, endpoint: B, token: Uint8Array.of(0x31, 0x31) },
        { id: A_ID, endpoint: A, token: TOKEN },
      ],
    ])
    expect(network.counters.get(DHT_DHT_GET_PEERS_OUT)).toBe(2)
    expect(network.lookedUp).toEqual([
      { target: TARGET, sent: TARGET, to: A },
      { target: TARGET, sent: TARGET, to: B },
    ])
    expect(network.sent.every(({ args }) => args['noseed'] === undefined && args['bs'] === undefined)).toBe(true)
  })

  test('may ask for peers that are no seeds', () => {
    const { network, lookup } = setup(true)
    network.know([network.remote(A, A_ID)])
    lookup.start()
    expect(network.sent[0]!.args['noseed']).toBe(1)
  })

  test('cannot announce to nodes that gave no token, or another type of it', () => {
    const { network, lookup, ends } = setup()
    const nodes = [{}, { token: 7 }, { token: TOKEN }, { token: new Uint8Array(0) }].map((more, i) =>
      network.remote([`23.0.${i}.1`, i + 1], atDistance(TARGET, 100 + i), () => more),
    )
    network.know(nodes)
    lookup.start()
    network.finish()
    expect(ends[0]!.map(({ endpoint }) => endpoint[1])).toEqual([3, 4])
  })

  test('finds the tokens of the eight closest in a network', () => {
    const network = new FakeNetwork()
    const nodes = honestNodes(network, 300, (_query, self) => ({ token: self.id.toBytes() }))
    network.know(nodes.slice(0, 3))
    let found: readonly TokenNode[] = []
    new GetPeers(network.node, TARGET, null, list => void (found = list), false).start()
    network.finish()
    expect(found.map(({ id }) => id.toString())).toEqual(closest(nodes, TARGET, 8).map(({ id }) => id.toString()))
    for (const { id, token } of found) expect(token).toEqual(id.toBytes())
  })

  test('tells of peers also when they come after its end, as long as the query is not forgotten', () => {
    for (const [latency, told] of [
      [500, 9],
      [5000, 8],
    ] as const) {
      const { network, lookup, found, ends } = setup()
      network.settings.dhtSearchBranching = 9
      for (let i = 0; i < 9; i++) {
        const node = network.remote([`23.0.${i}.1`, i + 1], atDistance(TARGET, 100 + i), () => ({
          values: peers(['4.0.0.1', i + 1]),
        }))
        if (i === 8) node.latency = latency
        lookup.addEntry(node.id, node.endpoint, ObserverFlag.initial)
      }
      lookup.start()
      network.advance(100)
      expect(found).toHaveLength(8)
      expect(ends).toHaveLength(1)
      network.advance(6000)
      expect(found).toHaveLength(told)
      expect(ends).toHaveLength(1)
    }
  })
})

describe('the peers in a response', () => {
  /** What the lookup makes of `values` from a node at `from`. */
  function read(values: unknown, family: 4 | 6 = 4): string[][] {
    const network = new FakeNetwork({ family })
    const found: string[][] = []
    const from: Endpoint = family === 4 ? A : ['2001:db8::1', 1]
    network.remote(from, A_ID, () => ({ values }) as never)
    const lookup = new GetPeers(network.node, TARGET, list => void found.push(list.map(endpointToString)), null, false)
    lookup.addEntry(A_ID, from, ObserverFlag.initial)
    lookup.start()
    network.finish()
    return found
  }

  test('are a list of endpoints, those of odd sizes passed over', () => {
    expect(read(peers(['1.2.3.4', 1], ['5.6.7.8', 2]))).toEqual([['1.2.3.4:1', '5.6.7.8:2']])
    expect(read([...peers(['1.2.3.4', 1]), new Uint8Array(5), new Uint8Array(7), ...peers(['5.6.7.8', 2])])).toEqual([
      ['1.2.3.4:1', '5.6.7.8:2'],
    ])
    expect(read(peers(['1.2.3.4', 1], ['2001:db8::9', 2]))).toEqual([['1.2.3.4:1', '[2001:db8::9]:2']])
    expect(read([])).toEqual([[]])
  })

  test('end at what is no string', () => {
    expect(read([...peers(['1.2.3.4', 1]), 7, ...peers(['5.6.7.8', 2])])).toEqual([['1.2.3.4:1']])
    expect(read([['x'], ...peers(['5.6.7.8', 2])])).toEqual([[]])
  })

  test('may be many endpoints in one string, if the node is an IPv4 one', () => {
    const both = Uint8Array.of(1, 2, 3, 4, 0, 1, 5, 6, 7, 8, 0, 2)
    expect(read([both])).toEqual([['1.2.3.4:1', '5.6.7.8:2']])
    expect(read([Uint8Array.of(...both, 9, 9)])).toEqual([['1.2.3.4:1', '5.6.7.8:2']])
    // but not if it is an IPv6 one
    expect(read([both], 6)).toEqual([[]])
    expect(read(peers(['2001:db8::9', 2]), 6)).toEqual([['[2001:db8::9]:2']])
    expect(read(peers(['1.2.3.4', 1]), 6)).toEqual([['1.2.3.4:1']])
  })

  test('are none if there is no list', () => {
    for (const values of [7, new Uint8Array(6), {}]) expect(read(values)).toEqual([])
  })
})

describe('a lookup that hides its target', () => {
  function ask(query: Query, targets: Map<string, Uint8Array[]>): void {
    const list = targets.get(endpointToString(query.to)) ?? []
    list.push(query.args['info_hash'] as Uint8Array)
    targets.set(endpointToString(query.to), list)
  }

  test('tells each node only so much of it as it needs to know, and asks the closest openly', () => {
    const network = new FakeNetwork()
    const targets = new Map<string, Uint8Array[]>()
    const nodes = honestNodes(network, 300, (query, self) => {
      ask(query, targets)
      return { token: self.id.toBytes(), values: peers(['4.0.0.1', 1]) }
    })
    network.know(nodes.slice(0, 3))
    const found: string[][] = []
    const ends: (readonly TokenNode[])[] = []
    const lookup = new ObfuscatedGetPeers(
      network.node,
      TARGET,
      list => void found.push(list.map(endpointToString)),
      list => void ends.push(list),
      true,
    )
    expect(lookup.name()).toBe('get_peers [obfuscated]')
    lookup.start()
    while (!lookup.isDone) network.advance(10)
    // nobody was asked openly, so peers are no matter yet
    expect(found).toEqual([])
    expect(ends).toEqual([])
    expect([...network.running].map(traversal => traversal.name())).toEqual(['get_peers'])
    const hidden = network.lookedUp.filter(({ sent }) => !sent.equals(TARGET))
    expect(hidden.length).toBeGreaterThan(8)
    for (const { sent, to, target } of hidden) {
      expect(target).toBe(TARGET)
      const { id } = network.remotes.get(endpointToString(to))!
      const shared = 160 - distanceExp(id, TARGET)
      // the bits that count for the node and three more are right ...
      expect(159 - distanceExp(sent, TARGET)).toBeGreaterThanOrEqual(Math.min(159, shared + 3))
    }
    // ... and the next ones are random
    expect(new Set(hidden.map(({ sent }) => sent.toString())).size).toBe(hidden.length)
    expect(hidden.every(({ sent }) => distanceExp(sent, TARGET) > 100)).toBe(true)
    expect(network.sent.filter(({ args }) => args['noseed'] !== undefined).length).toBeLessThanOrEqual(5)

    network.finish()
    expect(ends).toHaveLength(1)
    const best = closest(nodes, TARGET, 8).map(({ id }) => id.toString())
    expect(ends[0]!.map(({ id }) => id.toString())).toEqual(best)
    expect(found.length).toBeGreaterThanOrEqual(8)
    // only nodes near the target have seen it
    const openly = [...targets].filter(([, list]) => list.some(sent => TARGET.equals(new Sha1Hash(sent))))
    expect(openly.length).toBeLessThanOrEqual(16)
    const open = network.sent.filter(({ args }) => TARGET.equals(new Sha1Hash(args['info_hash'] as Uint8Array)))
    expect(open.every(({ args }) => args['noseed'] === 1)).toBe(true)
  })

  test('hands on no node whose id it does not know, or that did not answer', () => {
    const { network, lookup, ends } = setup(false, ObfuscatedGetPeers)
    const a = network.remote(A, A_ID, () => ({ token: TOKEN }))
    const b = network.silent(B, B_ID)
    lookup.addEntry(a.id, A, ObserverFlag.initial)
    lookup.addEntry(b.id, B, ObserverFlag.initial)
    lookup.addEntry(NOBODY, ['24.0.0.1', 24], ObserverFlag.initial)
    network.remote(['24.0.0.1', 24], atDistance(TARGET, 3), () => ({ token: TOKEN }))
    lookup.start()
    network.finish()
    const open = network.sent.filter(({ args }) => TARGET.equals(new Sha1Hash(args['info_hash'] as Uint8Array)))
    expect(open.map(({ to }) => to)).toEqual([A])
    expect(ends).toHaveLength(1)
    expect(ends[0]!.map(({ endpoint }) => endpoint)).toEqual([A])
  })

  test('hands on sixteen nodes at most', () => {
    const { network, lookup } = setup(false, ObfuscatedGetPeers)
    network.settings.dhtSearchBranching = 20
    for (let i = 0; i < 20; i++) {
      // the closest answer last, so that all of them have answered at the end
      const node = network.remote([`23.0.${i}.1`, i + 1], atDistance(TARGET, 100 + i), () => ({}), 400 - 10 * i)
      lookup.addEntry(node.id, node.endpoint, ObserverFlag.initial)
    }
    lookup.start()
    expect(network.sent).toHaveLength(20)
    while (!lookup.isDone) network.advance(10)
    expect(lookup.numResponses).toBe(20)
    const open = network.sent.slice(20)
    expect(open.map(({ to }) => to[1])).toEqual(Array.from({ length: 16 }, (_, i) => i + 1))
    network.finish()
  })

  test('sends the whole target to a node that is the target', () => {
    const { network, lookup } = setup(false, ObfuscatedGetPeers)
    lookup.addEntry(TARGET, A, ObserverFlag.initial)
    lookup.start()
    expect(network.lookedUp[0]!.sent.equals(TARGET)).toBe(true)
  })

  test('ends the open one with it if the node goes away', () => {
    const { network, lookup, ends } = setup(false, ObfuscatedGetPeers)
    network.know([network.silent(A, A_ID)])
    lookup.start()
    network.rpc.close()
    expect(ends).toEqual([[]])
    expect(network.running.size).toBe(0)
  })
})

describe('a bootstrap', () => {
  test('looks for an id next to ours, and says to the nodes it was given that we are new', () => {
    const network = new FakeNetwork()
    const { nid } = network.node
    let ends = 0
    const near = network.remote(B, atDistance(nid, 30))
    network.remote(A, A_ID, () => ({ nodes: compactNodes([near]) }))
    const lookup = new Bootstrap(network.node, network.node.secretIds.mark(nid), () => ends++)
    expect(lookup.name()).toBe('bootstrap')
    lookup.addEntry(NOBODY, A, ObserverFlag.initial)
    lookup.start()
    network.finish()
    expect(network.sent.map(({ to, method, args }) => [to, method, args['bs']])).toEqual([
      [A, 'get_peers', 1],
      [B, 'get_peers', undefined],
    ])
    for (const { args } of network.sent) {
      const asked = new Sha1Hash(args['info_hash'] as Uint8Array)
      expect(asked.equals(nid)).toBe(false)
      expect(asked.toBytes().subarray(0, 12)).toEqual(nid.toBytes().subarray(0, 12))
      expect(network.node.secretIds.verify(asked)).toBe(true)
    }
    expect(ends).toBe(1)
    expect(network.table.size().nodes).toBe(2)
    expect(network.counters.get(DHT_DHT_GET_PEERS_OUT)).toBe(2)
    expect(network.lookedUp).toEqual([])
  })

  test('uses the id we have by then', () => {
    const network = new FakeNetwork()
    let nid = network.node.nid
    const node = Object.create(network.node, { nid: { get: () => nid } })
    const lookup = new Bootstrap(node, network.node.secretIds.mark(nid), null)
    const near = network.remote(B, atDistance(nid, 30))
    network.remote(A, A_ID, () => ({ nodes: compactNodes([near]) }))
    lookup.addEntry(NOBODY, A, ObserverFlag.initial)
    lookup.start()
    nid = A_ID
    network.finish()
    const asked = network.sent[1]!.args['info_hash'] as Uint8Array
    expect(asked.subarray(0, 12)).toEqual(A_ID.toBytes().subarray(0, 12))
  })

  test('pings the nodes it did not get to ask', () => {
    const network = new FakeNetwork()
    const { nid } = network.node
    const lookup = new Bootstrap(network.node, network.node.secretIds.mark(nid), null)
    for (let i = 0; i < 20; i++) {
      const node = network.remote([`23.0.${i}.1`, i + 1], atDistance(nid, 80 + i))
      lookup.addEntry(node.id, node.endpoint, ObserverFlag.initial)
    }
    lookup.start()
    network.finish()
    const asked = new Set(network.sent.map(({ to }) => to[1]))
    const pinged = new Set(network.pinged.map(endpoint => endpoint[1]))
    expect(asked.size).toBeLessThan(20)
    expect(asked.size + pinged.size).toBe(20)
    expect([...pinged].some(port => asked.has(port))).toBe(false)
  })

  test('asks nodes of the other family for nodes of ours', () => {
    const network = new FakeNetwork()
    const lookup = new Bootstrap(network.node, network.node.secretIds.mark(network.node.nid), null)
    lookup.addEntry(NOBODY, ['2001:db8::1', 1], ObserverFlag.initial)
    lookup.start()
    expect(network.sent[0]!.args['want']).toEqual([Uint8Array.of(0x6e, 0x34)])
  })
})
