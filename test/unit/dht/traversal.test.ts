import { describe, expect, test } from 'vitest'
import { Sha1Hash } from '../../../src/core/digest.ts'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import { FindData, type TokenNode } from '../../../src/dht/find-data.ts'
import type { KrpcMessage } from '../../../src/dht/krpc.ts'
import { type Observer, ObserverFlag } from '../../../src/dht/observer.ts'
import { Traversal } from '../../../src/dht/traversal.ts'
import type { TraversalNode } from '../../../src/dht/traversal-port.ts'
import { atDistance, closest, compactNodes, FakeNetwork, hash, honestNodes, type Remote } from './fake-network.ts'

const TARGET = hash('0123456789abcdef0123456789abcdef01234567')
const NOBODY = new Sha1Hash()
const { initial } = ObserverFlag

/** A lookup with `find_node` whose insides can be seen. */
class Lookup extends FindData {
  found: readonly TokenNode[] | null = null
  ends = 0

  constructor(node: TraversalNode, target = TARGET) {
    super(node, target, nodes => {
      this.found = nodes
      this.ends++
    })
  }

  name(): string {
    return 'lookup'
  }

  get observers(): readonly Observer[] {
    return this.results
  }

  protected invoke(observer: Observer): boolean {
    return this.node.rpc.invoke({ method: 'find_node', target: this.target }, observer)
  }
}

/** Nodes at distances 2^150, 2^149, ... of the target, each in a network of its own. */
function line(network: FakeNetwork, count: number, first = 150): Remote[] {
  return Array.from({ length: count }, (_, i) =>
    network.remote([`21.0.${i}.1`, 1000 + i], atDistance(TARGET, first - i)),
  )
}

function ports(network: FakeNetwork): number[] {
  return network.sent.map(query => query.to[1])
}

describe('nodes of a lookup', () => {
  test('are sorted by distance, those whose id is not known at the end', () => {
    const network = new FakeNetwork()
    const lookup = new Lookup(network.node)
    const nodes = line(network, 6)
    lookup.addEntry(NOBODY, ['22.0.0.1', 1], initial)
    for (const i of [3, 0, 5]) lookup.addEntry(nodes[i]!.id, nodes[i]!.endpoint, initial)
    lookup.addEntry(NOBODY, ['22.0.0.2', 2], initial)
    for (const i of [1, 4, 2]) lookup.addEntry(nodes[i]!.id, nodes[i]!.endpoint, initial)
    expect(lookup.observers.map(({ endpoint }) => endpoint[1])).toEqual([1005, 1004, 1003, 1002, 1001, 1000, 1, 2])
    expect(lookup.numSortedResults).toBe(6)
    lookup.checkInvariant()
  })

  test('move from the tail to their place when they tell their id', () => {
    const network = new FakeNetwork()
    const lookup = new Lookup(network.node)
    for (let i = 0; i < 10; i++) lookup.addEntry(NOBODY, [`22.0.${i}.1`, i + 1], initial)
    expect(lookup.numSortedResults).toBe(0)
    expect(lookup.observers.map(({ endpoint }) => endpoint[1])).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    const { observers } = lookup
    observers[5]!.setId(atDistance(TARGET, 100))
    expect(lookup.numSortedResults).toBe(1)
    expect(observers.map(({ endpoint }) => endpoint[1])).toEqual([6, 1, 2, 3, 4, 5, 7, 8, 9, 10])
    observers[9]!.setId(atDistance(TARGET, 99))
    observers[9]!.setId(atDistance(TARGET, 101))
    expect(observers.map(({ endpoint }) => endpoint[1])).toEqual([10, 6, 9, 1, 2, 3, 4, 5, 7, 8])
    // known already, but it has changed
    observers[0]!.setId(atDistance(TARGET, 120))
    expect(observers.map(({ endpoint }) => endpoint[1])).toEqual([6, 9, 10, 1, 2, 3, 4, 5, 7, 8])
    expect(lookup.numSortedResults).toBe(3)
    lookup.checkInvariant()
  })

  test('may be ourselves, who may have what is looked for', () => {
    const network = new FakeNetwork()
    const lookup = new Lookup(network.node)
    lookup.traverse(network.node.nid, ['22.0.0.1', 1])
    expect(lookup.observers).toHaveLength(1)
  })

  test('with the id of another are not added', () => {
    const network = new FakeNetwork()
    const lookup = new Lookup(network.node)
    lookup.addEntry(atDistance(TARGET, 100), ['22.0.0.1', 1], initial)
    lookup.addEntry(atDistance(TARGET, 100), ['22.0.1.1', 2], initial)
    lookup.addEntry(atDistance(TARGET, 100), ['22.0.2.1', 3], 0)
    expect(lookup.observers.map(({ endpoint }) => endpoint[1])).toEqual([1])
    expect(network.rpc.numAllocatedObservers).toBe(1)
  })

  test('told of by others are one a network', () => {
    for (const [family, a, b, c] of [
      [4, '22.0.0.1', '22.0.0.200', '22.0.1.1'],
      [6, '2001:db8:0:1::1', '2001:db8:0:1:ffff::2', '2001:db8:0:2::1'],
    ] as const) {
      for (const restrict of [true, false]) {
        const network = new FakeNetwork({ family })
        network.settings.dhtRestrictSearchIps = restrict
        const lookup = new Lookup(network.node)
        lookup.addEntry(atDistance(TARGET, 100), [a, 1], 0)
        lookup.addEntry(atDistance(TARGET, 90), [b, 2], 0)
        lookup.addEntry(atDistance(TARGET, 80), [c, 3], 0)
        const found = lookup.observers.map(({ endpoint }) => endpoint[1])
        expect(found).toEqual(restrict ? [3, 1] : [3, 2, 1])
      }
    }
  })

  test('of our own table are taken also where they share a network', () => {
    const network = new FakeNetwork()
    const lookup = new Lookup(network.node)
    lookup.addEntry(atDistance(TARGET, 100), ['22.0.0.1', 1], initial)
    lookup.addEntry(atDistance(TARGET, 90), ['22.0.0.2', 2], initial)
    // and do not take it from those told of by others
    lookup.addEntry(atDistance(TARGET, 80), ['22.0.0.3', 3], 0)
    lookup.addEntry(atDistance(TARGET, 70), ['22.0.0.4', 4], 0)
    expect(lookup.observers.map(({ endpoint }) => endpoint[1])).toEqual([3, 2, 1])
  })

  test('are a hundred at most, the closest', () => {
    const network = new FakeNetwork()
    const lookup = new Lookup(network.node)
    for (let i = 0; i < 150; i++) lookup.addEntry(atDistance(TARGET, i), [`22.${i}.0.1`, i + 1], 0)
    expect(lookup.observers).toHaveLength(100)
    expect(lookup.numSortedResults).toBe(100)
    expect(lookup.observers.map(({ endpoint }) => endpoint[1])).toEqual(Array.from({ length: 100 }, (_, i) => i + 1))
    expect(network.rpc.numAllocatedObservers).toBe(100)
    lookup.addEntry(NOBODY, ['23.0.0.1', 1], initial)
    expect(lookup.observers).toHaveLength(100)
  })

  test('that fall off the end while they are asked are nobody\u2019s concern any more', () => {
    const network = new FakeNetwork()
    const lookup = new Lookup(network.node)
    const far = line(network, 3, 159)
    for (const node of far) {
      network.silent(node.endpoint, node.id)
      lookup.addEntry(node.id, node.endpoint, initial)
    }
    lookup.start()
    network.advance(1100)
    expect([lookup.invokeCount, lookup.branchFactor]).toEqual([3, 8])
    for (let i = 0; i < 98; i++) lookup.addEntry(atDistance(TARGET, i), [`22.${i}.0.1`, i + 1], 0)
    expect(lookup.observers).toHaveLength(100)
    expect([lookup.invokeCount, lookup.branchFactor]).toEqual([2, 7])
    lookup.checkInvariant()
    network.advance(20_000)
    lookup.checkInvariant()
    network.finish()
    expect(lookup.ends).toBe(1)
    expect(network.rpc.numAllocatedObservers).toBe(0)
  })
})

describe('what is under way', () => {
  test('is as many queries as the setting says', () => {
    for (const branching of [1, 3, 5, 8]) {
      const network = new FakeNetwork()
      network.settings.dhtSearchBranching = branching
      const lookup = new Lookup(network.node)
      for (const node of line(network, 20)) lookup.addEntry(node.id, node.endpoint, initial)
      lookup.start()
      expect(network.sent).toHaveLength(branching)
      expect(lookup.invokeCount).toBe(branching)
      // the closest first
      expect(ports(network)).toEqual(Array.from({ length: branching }, (_, i) => 1019 - i))
    }
  })

  test('is one more for each that is late, and one less again when it answers or fails', () => {
    const network = new FakeNetwork()
    network.settings.dhtSearchBranching = 3
    const nodes = line(network, 12)
    const lookup = new Lookup(network.node)
    for (const node of nodes) {
      // the closest answers after 3 s; the second never; the rest never
      if (node === nodes[11]) node.latency = 3000
      else network.silent(node.endpoint, node.id)
      lookup.addEntry(node.id, node.endpoint, initial)
    }
    lookup.start()
    expect(ports(network)).toEqual([1011, 1010, 1009])
    network.advance(999)
    expect([network.sent.length, lookup.branchFactor]).toEqual([3, 3])
    network.advance(2)
    expect([network.sent.length, lookup.branchFactor, lookup.invokeCount]).toEqual([6, 6, 6])
    network.advance(1100)
    expect([network.sent.length, lookup.branchFactor, lookup.invokeCount]).toEqual([9, 9, 9])
    // the late answer closes the slot it had opened, so nobody else is asked in its place
    network.advance(800)
    expect(lookup.numResponses).toBe(0)
    network.advance(150)
    expect(lookup.numResponses).toBe(1)
    lookup.checkInvariant()
    network.finish()
    expect(lookup.ends).toBe(1)
    expect(lookup.numTimeouts).toBe(11)
  })

  test('does not count what is behind the first nodes if lookups are aggressive', () => {
    // Nodes far away are asked first and do not answer; then closer ones are told of.
    const sentTo = (aggressive: boolean) => {
      const network = new FakeNetwork()
      network.settings.dhtAggressiveLookups = aggressive
      network.settings.dhtSearchBranching = 2
      const near = line(network, 6, 50)
      const far: Remote[] = []
      for (let i = 0; i < 2; i++) far.push(network.remote([`23.0.${i}.1`, 1 + i], atDistance(TARGET, 150 + i)))
      network.silent(far[1]!.endpoint, far[1]!.id)
      network.remote(far[0]!.endpoint, far[0]!.id, () => ({ nodes: compactNodes(near) }))
      for (const node of near) network.silent(node.endpoint, node.id)
      const lookup = new Lookup(network.node)
      for (const node of far) lookup.addEntry(node.id, node.endpoint, initial)
      lookup.start()
      network.advance(500)
      return network.sent.length - 2
    }
    expect(sentTo(false)).toBe(1)
    expect(sentTo(true)).toBe(2)
  })

  test('moves on when a query cannot be sent', () => {
    const network = new FakeNetwork()
    network.settings.dhtSearchBranching = 2
    const nodes = line(network, 4)
    network.canSend = to => to[1] < 1002
    const lookup = new Lookup(network.node)
    for (const node of nodes) lookup.addEntry(node.id, node.endpoint, initial)
    lookup.start()
    expect(ports(network)).toEqual([1001, 1000])
    network.finish()
    expect(lookup.numResponses).toBe(2)
    expect(lookup.numTimeouts).toBe(0)
  })

  test('is told by status()', () => {
    const network = new FakeNetwork()
    network.settings.dhtSearchBranching = 3
    const nodes = line(network, 10)
    for (const node of nodes.slice(0, 9)) network.silent(node.endpoint, node.id)
    const lookup = new Lookup(network.node)
    expect(lookup.status().lastSent).toBe(0x7fffffff)
    for (const node of nodes) lookup.addEntry(node.id, node.endpoint, initial)
    lookup.start()
    const shared = { type: 'lookup', target: TARGET, timeouts: 0 }
    expect(lookup.status()).toEqual({
      ...shared,
      branchFactor: 3,
      firstTimeout: 0,
      lastSent: 0,
      nodesLeft: 7,
      outstandingRequests: 3,
      responses: 0,
    })
    network.advance(4100)
    expect(lookup.status()).toMatchObject({ responses: 1, firstTimeout: 9, nodesLeft: 0, outstandingRequests: 9 })
    expect(lookup.status().lastSent).toBeGreaterThanOrEqual(1)
    expect(network.running.has(lookup)).toBe(true)
  })
})

describe('a lookup ends', () => {
  test('at once if there is nobody to ask', () => {
    const network = new FakeNetwork()
    const lookup = new Lookup(network.node)
    lookup.start()
    expect(lookup.ends).toBe(1)
    expect(lookup.found).toEqual([])
    expect(lookup.isDone).toBe(true)
    expect(network.running.size).toBe(0)
  })

  test('when eight have answered and none closer is waited for', () => {
    const network = new FakeNetwork()
    network.settings.dhtSearchBranching = 3
    const nodes = line(network, 20)
    const lookup = new Lookup(network.node)
    for (const node of nodes) {
      network.remote(node.endpoint, node.id, () => ({ token: node.id.toBytes() }))
      lookup.addEntry(node.id, node.endpoint, initial)
    }
    lookup.start()
    network.finish()
    // two more than eight are asked, as three are under way all the time
    expect(ports(network).slice(0, 8)).toEqual([1019, 1018, 1017, 1016, 1015, 1014, 1013, 1012])
    expect(network.sent.length).toBeLessThanOrEqual(10)
    expect(lookup.found!.map(({ endpoint }) => endpoint[1])).toEqual([1019, 1018, 1017, 1016, 1015, 1014, 1013, 1012])
    expect(lookup.found![0]!.token).toEqual(nodes[19]!.id.toBytes())
    expect(lookup.ends).toBe(1)
  })

  test('only once the closest has answered, or failed', () => {
    const network = new FakeNetwork()
    const nodes = line(network, 20)
    nodes[19]!.latency = 5000
    const lookup = new Lookup(network.node)
    for (const node of nodes) lookup.addEntry(node.id, node.endpoint, initial)
    lookup.start()
    network.advance(4900)
    expect(lookup.isDone).toBe(false)
    network.advance(200)
    expect(lookup.isDone).toBe(true)
    expect(network.now - 1_000_000).toBeLessThan(5200)
  })

  test('when all have failed', () => {
    const network = new FakeNetwork()
    const lookup = new Lookup(network.node)
    for (const node of line(network, 20)) {
      network.silent(node.endpoint, node.id)
      lookup.addEntry(node.id, node.endpoint, initial)
    }
    lookup.start()
    network.finish()
    expect(lookup.numTimeouts).toBe(20)
    expect(lookup.found).toEqual([])
    expect(lookup.ends).toBe(1)
  })

  test('once, though the last answers come after it', () => {
    // Eight are asked; a ninth, closest of all, is told of by the first that answers. The farthest answers last.
    const network = new FakeNetwork()
    network.settings.dhtSearchBranching = 8
    const nodes = line(network, 9)
    const ninth = nodes[8]!
    nodes.forEach((node, i) => {
      network.remote(node.endpoint, node.id, () => (i === 1 ? { nodes: compactNodes([ninth]) } : {}), 10 * (i + 1))
    })
    network.remotes.get('21.0.0.1:1000')!.latency = 500
    const lookup = new Lookup(network.node)
    for (const node of nodes.slice(0, 8)) lookup.addEntry(node.id, node.endpoint, initial)
    lookup.start()
    expect(network.sent).toHaveLength(8)
    network.advance(300)
    expect(lookup.ends).toBe(1)
    network.advance(10_000)
    expect(lookup.ends).toBe(1)
    expect(network.rpc.numTransactions).toBe(0)
    expect(network.rpc.numAllocatedObservers).toBe(0)
    // the late answer still shows that the node is there
    expect(network.table.findNode(nodes[0]!.id).some(({ endpoint }) => endpoint[1] === 1000)).toBe(true)
  })

  test('when what is under way has come back, if it is told to ask nobody else', () => {
    const network = new FakeNetwork()
    const lookup = new Lookup(network.node)
    for (const node of line(network, 20)) lookup.addEntry(node.id, node.endpoint, initial)
    lookup.start()
    lookup.abort()
    network.finish()
    expect(network.sent).toHaveLength(5)
    expect([lookup.numResponses, lookup.ends]).toEqual([5, 1])
  })

  test('once also if whoever hears of it ends everything', () => {
    const network = new FakeNetwork()
    network.settings.dhtSearchBranching = 9
    const nodes = line(network, 9)
    nodes[0]!.latency = 5000
    let ends = 0
    class Closing extends Lookup {
      protected override onDone(): void {
        ends++
        network.rpc.close()
        super.onDone()
      }
    }
    const lookup = new Closing(network.node)
    for (const node of nodes) lookup.addEntry(node.id, node.endpoint, initial)
    lookup.start()
    network.finish()
    expect([ends, lookup.ends]).toEqual([1, 1])
    expect(network.rpc.numAllocatedObservers).toBe(0)
  })

  test('with what it has if the node goes away', () => {
    const network = new FakeNetwork()
    const lookup = new Lookup(network.node)
    for (const node of line(network, 20)) {
      network.silent(node.endpoint, node.id)
      lookup.addEntry(node.id, node.endpoint, initial)
    }
    lookup.start()
    network.advance(1500)
    network.rpc.close()
    expect(lookup.ends).toBe(1)
    expect(network.running.size).toBe(0)
    expect(network.rpc.numAllocatedObservers).toBe(0)
  })
})

describe('a lookup begins', () => {
  test('with the closest nodes of the table, also those that have failed', () => {
    const network = new FakeNetwork()
    const nodes = line(network, 8)
    network.know(nodes)
    network.table.nodeFailed(nodes[7]!.id, nodes[7]!.endpoint)
    const lookup = new Lookup(network.node)
    lookup.start()
    expect(ports(network)).toContain(1007)
    expect(lookup.observers.every(observer => observer.has(initial))).toBe(true)
  })

  test('with the routers as well if it has less than three nodes', () => {
    for (const [count, expected] of [
      [0, [1, 2]],
      [2, [1001, 1000, 1, 2]],
      [3, [1002, 1001, 1000]],
    ] as const) {
      const network = new FakeNetwork()
      network.table.addRouterNode(['23.0.0.1', 1])
      network.table.addRouterNode(['23.0.1.1', 2])
      network.know(line(network, count))
      const lookup = new Lookup(network.node)
      lookup.start()
      expect(ports(network)).toEqual(expected)
    }
  })

  test('and a router gets into no table, and tells its id', () => {
    const network = new FakeNetwork()
    const router = network.remote(['23.0.0.1', 1], atDistance(TARGET, 10), () => ({ token: new Uint8Array(1) }))
    network.table.addRouterNode(router.endpoint)
    const lookup = new Lookup(network.node)
    lookup.start()
    network.finish()
    expect(lookup.found).toEqual([{ id: router.id, endpoint: router.endpoint, token: new Uint8Array(1) }])
    expect(network.table.size().nodes).toBe(0)
  })
})

describe('nodes in responses', () => {
  test('are asked in turn, and heard of by the table', () => {
    const network = new FakeNetwork()
    const [first, second, third] = line(network, 3)
    network.remote(first!.endpoint, first!.id, () => ({ nodes: compactNodes([second!]) }))
    network.remote(second!.endpoint, second!.id, () => ({ nodes: compactNodes([third!, first!]) }))
    network.know([first!])
    const lookup = new Lookup(network.node)
    lookup.start()
    network.finish()
    expect(ports(network)).toEqual([1000, 1001, 1002])
    expect(network.table.size().nodes).toBe(3)
  })

  test('that are cut short are left out', () => {
    for (const size of [0, 1, 25, 51]) {
      const network = new FakeNetwork()
      const [first, second, third] = line(network, 3)
      const nodes = compactNodes([second!, third!]).subarray(0, size)
      network.remote(first!.endpoint, first!.id, () => ({ nodes }))
      network.know([first!])
      new Lookup(network.node).start()
      network.finish()
      expect(network.sent).toHaveLength(1 + Math.floor(size / 26))
    }
  })

  test('count under the key of our family only', () => {
    const six = (i: number) => ({ id: atDistance(TARGET, i), endpoint: [`2001:db8:${i}::1`, i] as Endpoint })
    const four = (i: number) => ({ id: atDistance(TARGET, i), endpoint: [`24.0.${i}.1`, i] as Endpoint })
    for (const family of [4, 6] as const) {
      const network = new FakeNetwork({ family })
      const first = family === 4 ? four(120) : six(120)
      const both = { nodes: compactNodes([four(9)]), nodes6: compactNodes([six(7)]) }
      network.remote(first.endpoint, first.id, () => both)
      const lookup = new Lookup(network.node)
      lookup.addEntry(first.id, first.endpoint, initial)
      lookup.start()
      network.advance(100)
      expect(ports(network)).toEqual([120, family === 4 ? 9 : 7])
    }
  })

  test('of IPv6 that are IPv4 addresses in disguise are left out', () => {
    const network = new FakeNetwork({ family: 6 })
    const first = { id: atDistance(TARGET, 120), endpoint: ['2001:db8::1', 120] as Endpoint }
    const mapped = new Uint8Array(38).fill(1, 0, 20)
    mapped.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1, 0, 80], 20)
    network.remote(first.endpoint, first.id, () => ({ nodes6: mapped }))
    const lookup = new Lookup(network.node)
    lookup.addEntry(first.id, first.endpoint, initial)
    lookup.start()
    network.finish()
    expect(network.sent).toHaveLength(1)
  })

  test('with the id 0 are asked all the same, last', () => {
    const network = new FakeNetwork()
    network.logging = true
    const [first, second] = line(network, 2)
    const nameless = { id: NOBODY, endpoint: ['25.0.0.1', 25] as Endpoint }
    network.remote(first!.endpoint, first!.id, () => ({ nodes: compactNodes([nameless, second!]) }))
    network.know([first!])
    new Lookup(network.node).start()
    network.advance(500)
    expect(ports(network)).toEqual([1000, 1001, 25])
    expect(network.lines.some(text => text.includes('id 0'))).toBe(true)
    network.finish()
  })

  test('with port 0 are not asked', () => {
    const network = new FakeNetwork()
    const [first] = line(network, 1)
    const wrong = { id: atDistance(TARGET, 3), endpoint: ['25.0.0.1', 0] as Endpoint }
    network.remote(first!.endpoint, first!.id, () => ({ nodes: compactNodes([wrong]) }))
    network.know([first!])
    new Lookup(network.node).start()
    network.finish()
    expect(network.sent).toHaveLength(1)
  })
})

test('silent nodes count as failed in the table, but not those whose id we made up', () => {
  const network = new FakeNetwork()
  const [known] = line(network, 1)
  network.silent(known!.endpoint, known!.id)
  network.know([known!])
  const failures: string[] = []
  const { table } = network
  const node: TraversalNode = {
    ...network.node,
    table: {
      bucketSize: 8,
      routerNodes: [['23.0.0.1', 1]],
      findNode: (target, count, includeFailed) => table.findNode(target, count, includeFailed),
      heardAbout: () => {},
      nodeFailed: id => void failures.push(id.toString()),
    },
  }
  new Lookup(node).start()
  expect(network.sent).toHaveLength(2)
  network.finish()
  // late, then failed
  expect(failures).toEqual([known!.id.toString(), known!.id.toString()])
})

describe('in a network of honest nodes', () => {
  test('the closest nodes of all are found', () => {
    const network = new FakeNetwork()
    const nodes = honestNodes(network, 400, (_query, self) => ({ token: self.id.toBytes() }))
    network.know(nodes.slice(0, 5))
    for (let round = 0; round < 10; round++) {
      const target = network.randomId()
      const lookup = new Lookup(network.node, target)
      const before = network.sent.length
      lookup.start()
      network.finish()
      const best = closest(nodes, target, 8).map(({ id }) => id.toString())
      expect(lookup.found!.map(({ id }) => id.toString())).toEqual(best)
      expect(network.sent.length - before).toBeLessThan(60)
    }
  })

  test('also if a third of them do not answer', () => {
    const network = new FakeNetwork()
    const nodes = honestNodes(network, 400, (_query, self) => ({ token: self.id.toBytes() }))
    const dead = new Set(nodes.filter((_, i) => i % 3 === 0))
    for (const node of dead) node.answer = () => null
    network.know(nodes.slice(1, 3))
    for (let round = 0; round < 5; round++) {
      const target = network.randomId()
      const lookup = new Lookup(network.node, target)
      const start = network.now
      lookup.start()
      network.finish()
      const alive = nodes.filter(node => !dead.has(node))
      const best = new Set(closest(alive, target, 8).map(({ id }) => id.toString()))
      const found = lookup.found!.filter(({ id }) => best.has(id.toString()))
      expect(found.length).toBeGreaterThanOrEqual(6)
      expect(network.now - start).toBeLessThan(40_000)
    }
  })
})

describe('nodes that make up others', () => {
  /** A node whose answers are always eight new ones, ever closer to the target, at addresses `address` gives. */
  function liar(network: FakeNetwork, endpoint: Endpoint, id: Sha1Hash, address: (n: number) => Endpoint) {
    let made = 0
    const answer = () => {
      const nodes = Array.from({ length: 8 }, () => {
        const n = made++
        const fake = TARGET.toBytes()
        fake[4 + (n % 16)]! ^= 1 + ((n >> 4) & 127)
        const at = address(n)
        // all of them are the attacker, and answer in the same way
        const entry = { id: new Sha1Hash(fake), endpoint: at }
        const remote = network.remote(at, entry.id)
        remote.answer = query => ({ r: { id: entry.id.toBytes(), ...answer(), x: query.method } })
        return entry
      })
      return { nodes: compactNodes(nodes) }
    }
    network.remote(endpoint, id, answer)
  }

  test('in one network get one into the lookup', () => {
    const network = new FakeNetwork()
    const honest = line(network, 9)
    network.know(honest)
    liar(network, honest[0]!.endpoint, honest[0]!.id, n => ['66.6.6.1', 1 + n])
    const lookup = new Lookup(network.node)
    lookup.start()
    network.finish()
    expect(network.sent.filter(({ to }) => to[0] === '66.6.6.1').length).toBeLessThanOrEqual(1)
    expect(lookup.ends).toBe(1)
  })

  test('that own the whole Internet cannot make it go on for ever', () => {
    const network = new FakeNetwork()
    const honest = line(network, 9)
    network.know(honest)
    liar(network, honest[0]!.endpoint, honest[0]!.id, n => [`66.${(n >> 8) & 255}.${n & 255}.1`, 6881])
    const lookup = new Lookup(network.node)
    lookup.start()
    network.finish(20_000)
    expect(lookup.ends).toBe(1)
    expect(network.sent.length).toBeLessThan(200)
    expect(network.rpc.numAllocatedObservers).toBeLessThanOrEqual(network.rpc.numTransactions)
  })

  test('that lie about their own id are sorted by what they say', () => {
    const network = new FakeNetwork()
    const nodes = line(network, 4)
    const said = atDistance(TARGET, 1)
    network.remotes.get('21.0.0.1:1000')!.answer = () => ({ r: { id: said.toBytes(), token: new Uint8Array(2) } })
    const lookup = new Lookup(network.node)
    for (const node of nodes) lookup.addEntry(node.id, node.endpoint, initial)
    lookup.start()
    network.finish()
    expect(lookup.found!.map(({ id }) => id.toString())).toEqual([said.toString()])
  })
})

test('a token counts for the node that gave it, not for one that it claims to be', () => {
  const network = new FakeNetwork()
  const [liar, silent] = line(network, 2)
  network.silent(silent!.endpoint, silent!.id)
  liar!.answer = () => ({ r: { id: silent!.id.toBytes(), token: Uint8Array.of(9) } })
  const lookup = new Lookup(network.node)
  for (const { id, endpoint } of [liar!, silent!]) lookup.addEntry(id, endpoint, initial)
  lookup.start()
  network.finish()
  expect(lookup.found!.map(({ endpoint }) => endpoint)).toEqual([liar!.endpoint])
})

test('a lookup that is over takes no more nodes', () => {
  const network = new FakeNetwork()
  const lookup = new Lookup(network.node)
  lookup.start()
  lookup.addEntry(atDistance(TARGET, 5), ['22.0.0.1', 1], 0)
  lookup.traverse(atDistance(TARGET, 5), ['22.0.0.1', 1])
  expect(lookup.observers).toHaveLength(0)
  expect(network.table.size().nodes).toBe(0)
})

test('lines are written only if somebody reads them', () => {
  for (const logging of [false, true]) {
    const network = new FakeNetwork()
    network.logging = logging
    const nodes = line(network, 3)
    network.silent(nodes[0]!.endpoint, nodes[0]!.id)
    network.know(nodes)
    network.lines.length = 0
    new Lookup(network.node).start()
    network.finish()
    if (!logging) expect(network.lines).toEqual([])
    else {
      for (const word of [
        'new lookup',
        'added',
        'asking',
        'response',
        'late',
        'timed out',
        'completed. distance: 148',
      ]) {
        expect(
          network.lines.some(text => text.startsWith('[1] ') && text.includes(word)),
          word,
        ).toBe(true)
      }
    }
  }
})

test('a lookup of another kind need not know tokens', () => {
  class Bare extends Traversal {
    replies = 0
    name(): string {
      return 'bare'
    }
    onReply(observer: Observer, message: KrpcMessage): void {
      this.replies++
      this.takeNodes(observer, message)
      observer.done()
    }
    protected invoke(observer: Observer): boolean {
      return this.node.rpc.invoke({ method: 'ping' }, observer)
    }
  }
  const network = new FakeNetwork()
  const bare = new Bare(network.node, TARGET)
  for (const node of line(network, 4)) bare.addEntry(node.id, node.endpoint, initial)
  bare.start()
  network.finish()
  expect(bare.replies).toBe(4)
})
