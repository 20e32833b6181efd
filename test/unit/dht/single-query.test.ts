import { describe, expect, test } from 'vitest'
import { bencode } from '../../../src/bencode/bencode.ts'
import { Sha1Hash } from '../../../src/core/digest.ts'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import type { KrpcMessage } from '../../../src/dht/krpc.ts'
import { SampleInfohashes, type Samples } from '../../../src/dht/sample-infohashes.ts'
import { DirectRequest, RefreshQuery, SingleQuery } from '../../../src/dht/single-query.ts'
import { DHT_DHT_SAMPLE_INFOHASHES_OUT } from '../../../src/stats/counter-ids.ts'
import { atDistance, compactNodes, type Dict, FakeNetwork, hash, text } from './fake-network.ts'

const NOBODY = new Sha1Hash()
const TARGET = hash('1234876923549721020394873245098347598635')
const ID = hash('1111111111222222222233333333334444444444')
const THERE: Endpoint = ['21.0.0.1', 1234]
const NODES = [
  { id: atDistance(TARGET, 50), endpoint: ['22.0.0.1', 1] as Endpoint },
  { id: atDistance(TARGET, 60), endpoint: ['23.0.0.1', 2] as Endpoint },
]

describe('a query to one node', () => {
  test('puts it into the table if it answers', () => {
    const network = new FakeNetwork()
    network.remote(THERE, ID)
    const query = new SingleQuery(network.node)
    expect(query.send({ method: 'ping' }, THERE, NOBODY)).toBe(true)
    expect(network.running.size).toBe(0)
    network.advance(100)
    expect(network.table.findNode(ID).map(({ endpoint }) => endpoint)).toEqual([THERE])
    expect(network.rpc.numAllocatedObservers).toBe(0)
    network.advance(20_000)
    expect(network.table.size().nodes).toBe(1)
  })

  test('counts as a failure of the node at each tick until it answers', () => {
    const network = new FakeNetwork()
    const node = network.silent(THERE, ID)
    network.know([node])
    const entry = network.table.findNode(ID)[0]!
    new SingleQuery(network.node).send({ method: 'ping' }, THERE, ID)
    network.advance(999)
    expect(entry.failCount).toBe(0)
    network.advance(1)
    expect(entry.failCount).toBe(1)
    network.advance(10_000)
    expect(entry.failCount).toBeGreaterThanOrEqual(10)
    network.advance(10_000)
    const { failCount } = entry
    expect(network.rpc.numTransactions).toBe(0)
    network.advance(10_000)
    expect(entry.failCount).toBe(failCount)
  })

  test('can go to several, as an announce does', () => {
    const network = new FakeNetwork()
    const query = new SingleQuery(network.node)
    for (const { id, endpoint } of NODES) {
      network.remote(endpoint, id)
      query.send(
        { method: 'announce_peer', infoHash: TARGET, port: 7, token: id.toBytes(), seed: false, impliedPort: false },
        endpoint,
        id,
      )
    }
    expect(network.sent.map(({ method, args }) => [method, args['token']])).toEqual(
      NODES.map(({ id }) => ['announce_peer', id.toBytes()]),
    )
    network.advance(100)
    expect(network.table.size().nodes).toBe(2)
  })
})

test('a refresh tells the table of the nodes in the answer', () => {
  const network = new FakeNetwork()
  network.remote(THERE, ID, () => ({ nodes: compactNodes(NODES) }))
  const query = { method: 'get_peers', infoHash: TARGET, noseed: false, bootstrap: false } as const
  new RefreshQuery(network.node).send(query, THERE, ID)
  network.advance(100)
  const { nodes, replacements } = network.table.size()
  expect(nodes + replacements).toBe(3)
  // but does not ask them
  network.advance(5000)
  expect(network.sent).toHaveLength(1)
})

describe('a query of the user\u2019s own', () => {
  function ask(entry: Dict, answer: (network: FakeNetwork) => void) {
    const network = new FakeNetwork()
    answer(network)
    const answers: (string | null)[] = []
    const request = new DirectRequest(network.node, (message: KrpcMessage | null, from) => {
      expect(from).toEqual(THERE)
      answers.push(message === null ? null : text(message.toNode().dictFindDict('r').dictFindStringValue('x')))
    })
    request.send({ method: 'direct', entry }, THERE, NOBODY)
    return { network, answers }
  }

  test('is answered with the response', () => {
    const { network, answers } = ask({ q: 'test_good' }, network => {
      network.remote(THERE, ID, ({ method }) => ({ x: method }))
    })
    network.advance(100)
    expect(answers).toEqual(['test_good'])
    network.advance(20_000)
    expect(answers).toHaveLength(1)
    expect(network.table.size().nodes).toBe(1)
  })

  test('is answered with nothing after 15 seconds, and not before', () => {
    const { network, answers } = ask({ q: 'x' }, () => {})
    network.advance(14_900)
    expect(answers).toEqual([])
    network.advance(400)
    expect(answers).toEqual([null])
  })

  test('is answered with nothing if an error comes, or a response without an id', () => {
    for (const packet of [
      (t: Uint8Array) => bencode({ e: [204, 'unknown'], t, y: 'e' }),
      (t: Uint8Array) => bencode({ r: { x: 'no id' }, t, y: 'r' }),
    ]) {
      const { network, answers } = ask({ q: 'x' }, network => {
        network.remote(THERE, ID).answer = query => ({ packet: packet(query.tid) })
      })
      network.advance(100)
      expect(answers).toEqual([null])
    }
  })

  test('is answered with nothing if the node goes away', () => {
    const { network, answers } = ask({ q: 'x' }, () => {})
    network.rpc.close()
    expect(answers).toEqual([null])
  })
})

describe('a sample of info-hashes', () => {
  const GOOD: Dict = {
    interval: 10,
    num: 2,
    samples: hash('1000000000000000000000000000000000000001').toBytes(),
    nodes: compactNodes(NODES),
  }

  function ask(r: Dict) {
    const network = new FakeNetwork()
    network.remote(THERE, ID, () => r)
    const found: Samples[] = []
    const query = new SampleInfohashes(network.node, samples => void found.push(samples))
    expect(query.ask(THERE, TARGET)).toBe(true)
    network.advance(20_000)
    return { network, found }
  }

  test('is asked for with a target', () => {
    const { network } = ask(GOOD)
    const [query] = network.sent
    expect([query!.method, query!.args['target']]).toEqual(['sample_infohashes', TARGET.toBytes()])
    expect(network.counters.get(DHT_DHT_SAMPLE_INFOHASHES_OUT)).toBe(1)
  })

  test('has hashes, when to ask again, how many there are, and nodes to ask next', () => {
    const { network, found } = ask(GOOD)
    expect(found).toHaveLength(1)
    const { id, interval, num, samples, nodes } = found[0]!
    expect([id.toString(), interval, num]).toEqual([ID.toString(), 10, 2])
    expect(samples.map(String)).toEqual(['1000000000000000000000000000000000000001'])
    expect(nodes.map(({ nid, endpoint }) => [nid.toString(), endpoint])).toEqual(
      NODES.map(({ id, endpoint }) => [id.toString(), endpoint]),
    )
    expect(network.sent).toHaveLength(1)
    expect(network.table.size().nodes).toBe(1)
  })

  test('may be empty, and come without nodes', () => {
    const { found } = ask({ interval: 0, num: 0, samples: new Uint8Array(0) })
    expect(found).toHaveLength(1)
    expect(found[0]!.samples).toEqual([])
    expect(found[0]!.nodes).toEqual([])
    expect(ask({ ...GOOD, interval: 21_600, num: 0x7fffffff }).found).toHaveLength(1)
  })

  test('is none if anything of it is wrong or missing', () => {
    const without = (key: string) => Object.fromEntries(Object.entries(GOOD).filter(([name]) => name !== key))
    for (const r of [
      without('interval'),
      without('num'),
      without('samples'),
      { ...GOOD, interval: -1 },
      { ...GOOD, interval: 21_601 },
      { ...GOOD, interval: 'x' },
      { ...GOOD, num: -1 },
      { ...GOOD, num: 0x80000000 },
      { ...GOOD, samples: new Uint8Array(19) },
      { ...GOOD, samples: new Uint8Array(21) },
      { ...GOOD, samples: [] },
    ]) {
      expect(ask(r).found, JSON.stringify(r)).toEqual([])
    }
  })
})
