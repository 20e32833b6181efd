import { describe, expect, test } from 'vitest'
import { bencode } from '../../../src/bencode/bencode.ts'
import type { Entry } from '../../../src/bencode/entry.ts'
import { textToBytes } from '../../../src/core/bytes.ts'
import { ed25519CreateKeypair } from '../../../src/core/ed25519.ts'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import type { TokenNode } from '../../../src/dht/find-data.ts'
import { GetItem } from '../../../src/dht/get-item.ts'
import { Item, itemTargetId, mutableItemTargetId, signMutableItem } from '../../../src/dht/item.ts'
import { ObserverFlag } from '../../../src/dht/observer.ts'
import { PutItem } from '../../../src/dht/put-item.ts'
import { DHT_DHT_GET_OUT, DHT_DHT_PUT_OUT } from '../../../src/stats/counter-ids.ts'
import {
  atDistance,
  compactNodes,
  type Dict,
  FakeNetwork,
  hash,
  honestNodes,
  type Remote,
  text,
} from './fake-network.ts'

const HELLO = textToBytes('12:Hello World!')
/** Of BEP 44's third test vector. */
const HELLO_TARGET = hash('e5f96f6f38320f0f33959cb4d3d656452117aadb')
const NO_SALT: Uint8Array = new Uint8Array(0)
const SALT: Uint8Array = textToBytes('foobar')
const KEYS = keypair(3)
const OTHER_KEYS = keypair(4)
const TOKEN = textToBytes('tokn')

function keypair(seed: number) {
  const [publicKey, secretKey] = ed25519CreateKeypair(new Uint8Array(32).fill(seed))
  return { publicKey, secretKey }
}

/** What a callback was given, as text: it holds a newer version later. */
interface Seen {
  value: string
  seq: Item['seq']
  authoritative: boolean
}

/** Nodes at ever smaller distances of `target`, all known to us. */
function around(network: FakeNetwork, target: ReturnType<typeof hash>, answers: readonly (Dict | null)[]): Remote[] {
  const nodes = answers.map((answer, i) => {
    const endpoint: Endpoint = [`21.0.${i}.1`, 1000 + i]
    const latency = 20 * (i + 1)
    return network.remote(endpoint, atDistance(target, 150 - i), () => answer && { token: TOKEN, ...answer }, latency)
  })
  network.know(nodes)
  return nodes
}

/** A signed response. */
function signed(value: string, seq: number | bigint, salt = NO_SALT, more: Dict = {}, keys = KEYS): Dict {
  const encoded = bencode(value)
  const sig = signMutableItem(encoded, salt, seq, keys.publicKey, keys.secretKey)
  return { k: keys.publicKey, seq, sig, v: value, ...more }
}

function recorder() {
  const seen: Seen[] = []
  const callback = (item: Item, authoritative: boolean) => {
    const value = item.isEmpty ? '' : text(item.value as Entry)
    seen.push({ value, seq: item.seq, authoritative })
  }
  return { seen, callback }
}

function getMutable(answers: readonly (Dict | null)[], salt = NO_SALT) {
  const network = new FakeNetwork()
  const target = mutableItemTargetId(salt, KEYS.publicKey)
  around(network, target, answers)
  const { seen, callback } = recorder()
  const lookup = GetItem.mutable(network.node, KEYS.publicKey, salt, callback, null)
  expect(lookup.target.equals(target)).toBe(true)
  lookup.start()
  network.finish()
  return { network, seen, lookup }
}

describe('an immutable item', () => {
  function get(answers: readonly (Dict | null)[]) {
    const network = new FakeNetwork()
    around(network, HELLO_TARGET, answers)
    const { seen, callback } = recorder()
    const ends: (readonly TokenNode[])[] = []
    const lookup = GetItem.immutable(network.node, HELLO_TARGET, callback, nodes => void ends.push(nodes))
    lookup.start()
    return { network, seen, lookup, ends }
  }

  test('is told of as soon as it is found, and nobody else is asked', () => {
    const { network, seen, lookup, ends } = get([{}, { v: 'Hello World!' }, ...Array(10).fill({ v: 'Hello World!' })])
    expect(itemTargetId(HELLO).equals(HELLO_TARGET)).toBe(true)
    expect(network.sent.every(({ method, args }) => method === 'get' && args['seq'] === undefined)).toBe(true)
    expect(network.sent[0]!.args['target']).toEqual(HELLO_TARGET.toBytes())
    expect(lookup.name()).toBe('get')
    expect(network.sent).toHaveLength(5)
    network.finish()
    expect(seen).toEqual([{ value: 'Hello World!', seq: 0, authoritative: true }])
    expect(network.sent).toHaveLength(5)
    expect(lookup.numResponses).toBe(0)
    expect(ends).toHaveLength(1)
    network.advance(20_000)
    expect(seen).toHaveLength(1)
    expect(ends).toHaveLength(1)
    expect(network.counters.get(DHT_DHT_GET_OUT)).toBe(network.sent.length)
    expect(network.rpc.numAllocatedObservers).toBe(0)
  })

  test('that has another hash is not it', () => {
    const { network, seen } = get([{ v: 'Hello World?' }, { v: 7 }, { v: ['Hello World!'] }, { v: 'Hello World!' }])
    network.finish()
    expect(seen).toEqual([{ value: 'Hello World!', seq: 0, authoritative: true }])
  })

  test('that nobody has is empty at the end', () => {
    const { network, seen, ends } = get([{}, null, { v: 'Hello World?' }])
    network.finish()
    expect(seen).toEqual([{ value: '', seq: 0, authoritative: true }])
    expect(ends[0]).toHaveLength(2)
  })

  test('that comes after the end is nobody\u2019s concern any more', () => {
    const network = new FakeNetwork()
    network.settings.dhtSearchBranching = 9
    const { seen, callback } = recorder()
    let ends = 0
    const lookup = GetItem.immutable(network.node, HELLO_TARGET, callback, () => ends++)
    const nodes = around(network, HELLO_TARGET, [{ v: 'Hello World!' }, ...Array(8).fill({})])
    nodes[0]!.latency = 500
    for (const { id, endpoint } of nodes) lookup.addEntry(id, endpoint, ObserverFlag.initial)
    lookup.start()
    network.finish()
    expect([seen.length, ends]).toEqual([1, 1])
    network.advance(2000)
    expect(network.table.findNode(nodes[0]!.id)[0]!.rtt).toBeGreaterThan(100)
    expect([seen.length, ends]).toEqual([1, 1])
  })

  test('is not looked at if only the nodes are wanted', () => {
    const network = new FakeNetwork()
    around(network, HELLO_TARGET, Array(8).fill({ v: 'Hello World!' }))
    let ends = 0
    const lookup = GetItem.immutable(network.node, HELLO_TARGET, null, nodes => {
      ends++
      expect(nodes).toHaveLength(8)
      expect(nodes[0]!.token).toEqual(TOKEN)
    })
    lookup.start()
    network.finish()
    expect(ends).toBe(1)
  })
})

describe('a mutable item', () => {
  test('is told of when it is found, and as the newest at the end', () => {
    for (const salt of [NO_SALT, SALT]) {
      const { seen } = getMutable([signed('one', 4, salt)], salt)
      expect(seen).toEqual([
        { value: 'one', seq: 4, authoritative: false },
        { value: 'one', seq: 4, authoritative: true },
      ])
    }
  })

  test('is told of again for each newer version, whatever the order', () => {
    const { seen } = getMutable([4, 3, 9, 9, 5, 10].map(seq => signed(`v${seq}`, seq)))
    // the closest, which is the last of the list, is asked first but slower to answer
    expect(seen.at(-1)).toEqual({ value: 'v10', seq: 10, authoritative: true })
    const versions = seen.slice(0, -1).map(({ seq }) => Number(seq))
    expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b))
    expect(seen.slice(0, -1).every(({ authoritative }) => !authoritative)).toBe(true)
  })

  test('may have the version 0, or one beyond 2^53', () => {
    expect(getMutable([signed('zero', 0)]).seen[0]).toEqual({ value: 'zero', seq: 0, authoritative: false })
    const big = 2n ** 63n - 1n
    const { seen } = getMutable([signed('big', big), signed('less', big - 1n)])
    expect(seen.at(-1)).toEqual({ value: 'big', seq: big, authoritative: true })
  })

  test('is not taken if anything of it is wrong', () => {
    const good = signed('one', 4)
    const wrong: Dict[] = [
      { ...good, v: 'two' },
      { ...good, seq: 5 },
      { ...good, sig: new Uint8Array(64) },
      { ...good, sig: new Uint8Array(63) },
      { ...good, k: new Uint8Array(32) },
      { ...good, k: new Uint8Array(31) },
      { ...good, k: 7 },
      { ...good, sig: 7 },
      signed('one', 4, NO_SALT, {}, OTHER_KEYS),
      signed('one', 4, SALT),
    ]
    for (const answer of wrong) {
      const { seen, lookup } = getMutable([answer])
      expect(seen).toEqual([{ value: '', seq: 0, authoritative: true }])
      // it still is an answer
      expect(lookup.numResponses).toBe(1)
    }
  })

  test('without a version is no answer at all', () => {
    const { k, sig, v } = signed('one', 4)
    const { seen, lookup } = getMutable([{ k: k!, sig: sig!, v: v! }])
    expect(seen).toEqual([{ value: '', seq: 0, authoritative: true }])
    expect([lookup.numResponses, lookup.numTimeouts]).toEqual([0, 1])
  })

  test('that is not there is empty at the end', () => {
    const { seen } = getMutable([{}, {}, null])
    expect(seen).toEqual([{ value: '', seq: 0, authoritative: true }])
  })
})

describe('a put', () => {
  function targets(network: FakeNetwork, count: number, silent = 0): TokenNode[] {
    return Array.from({ length: count }, (_, i) => {
      const endpoint: Endpoint = [`21.0.${i}.1`, 1000 + i]
      const id = atDistance(HELLO_TARGET, 100 + i)
      if (i < silent) network.silent(endpoint, id)
      else network.remote(endpoint, id)
      return { id, endpoint, token: textToBytes(`token${i}`) }
    })
  }

  function put(network: FakeNetwork, item: Item | null, nodes: readonly TokenNode[]) {
    const results: number[] = []
    const lookup = new PutItem(network.node, (stored, responses) => {
      if (item !== null) expect(stored).toBe(item)
      results.push(responses)
    })
    if (item !== null) lookup.setItem(item)
    lookup.setTargets(nodes)
    lookup.start()
    return { lookup, results }
  }

  test('of an immutable item goes to each node with the token it gave', () => {
    const network = new FakeNetwork()
    network.table.addRouterNode(['23.0.0.1', 1])
    const { lookup, results } = put(network, Item.ofValue('Hello World!'), targets(network, 8))
    expect(lookup.name()).toBe('put_data')
    network.finish()
    expect(results).toEqual([8])
    expect(network.sent).toHaveLength(8)
    for (const { to, method, args } of network.sent) {
      expect(method).toBe('put')
      expect(text(args['token'])).toBe(`token${to[1] - 1000}`)
      expect(text(args['v'])).toBe('Hello World!')
      expect(Object.keys(args).sort()).toEqual(['id', 'token', 'v'])
    }
    expect(network.counters.get(DHT_DHT_PUT_OUT)).toBe(8)
  })

  test('of a mutable item has all that is signed', () => {
    for (const salt of [NO_SALT, SALT]) {
      const network = new FakeNetwork()
      const item = new Item()
      item.sign('Hello World!', salt, 4, KEYS.publicKey, KEYS.secretKey)
      put(network, item, targets(network, 1))
      const { args } = network.sent[0]!
      expect(args['k']).toEqual(KEYS.publicKey)
      expect(args['sig']).toEqual(signMutableItem(HELLO, salt, 4, KEYS.publicKey, KEYS.secretKey))
      expect(args['seq']).toBe(4)
      expect(args['salt']).toEqual(salt.length > 0 ? salt : undefined)
    }
  })

  test('counts who has stored it', () => {
    const network = new FakeNetwork()
    const nodes = targets(network, 8, 3)
    network.remotes.get('21.0.7.1:1007')!.answer = query => ({
      packet: bencode({ e: [206, 'invalid signature'], t: query.tid, y: 'e' }),
    })
    const { lookup, results } = put(network, Item.ofValue('Hello World!'), nodes)
    expect(results).toEqual([])
    network.finish()
    expect(results).toEqual([4])
    expect([lookup.numResponses, lookup.numTimeouts]).toEqual([4, 4])
  })

  test('ends at once if there is nobody, or nothing to put', () => {
    const network = new FakeNetwork()
    expect(put(network, Item.ofValue(1), []).results).toEqual([0])
    expect(put(network, null, targets(network, 3)).results).toEqual([0])
    expect(network.sent).toEqual([])
    expect(network.running.size).toBe(0)
  })

  test('goes to the nodes that the lookup before it has found', () => {
    const network = new FakeNetwork()
    const stored = new Map<string, Dict>()
    const nodes = honestNodes(network, 200, (query, self) => {
      if (query.method === 'put') stored.set(self.id.toString(), query.args)
      return query.method === 'get' ? { token: self.id.toBytes() } : {}
    })
    network.know(nodes.slice(0, 3))
    const item = Item.ofValue('Hello World!')
    const results: number[] = []
    const writing = new PutItem(network.node, (_item, responses) => void results.push(responses))
    writing.setItem(item)
    GetItem.immutable(network.node, item.target(), null, found => {
      writing.setTargets(found)
      writing.start()
    }).start()
    network.finish()
    expect(results).toEqual([8])
    expect(stored.size).toBe(8)
    for (const [id, args] of stored) expect(args['token']).toEqual(hash(id).toBytes())
  })

  test('of a new version waits until the old ones are known, and is made once', () => {
    // As many nodes as can be asked at once, a closer one that one of them tells of, and the farthest answers last.
    const network = new FakeNetwork()
    network.settings.dhtSearchBranching = 8
    const target = mutableItemTargetId(NO_SALT, KEYS.publicKey)
    const answers = Array.from({ length: 8 }, (): Dict => signed('old', 3))
    const nodes = around(network, target, answers)
    const ninth = network.remote(['29.0.0.1', 29], atDistance(target, 20), () => ({
      token: TOKEN,
      ...signed('new', 4),
    }))
    answers[1]!['nodes'] = compactNodes([ninth])
    nodes[0]!.latency = 700
    let updates = 0
    const writing = new PutItem(network.node, () => {})
    const item = new Item()
    GetItem.mutable(
      network.node,
      KEYS.publicKey,
      NO_SALT,
      (current, authoritative) => {
        if (!authoritative) return
        updates++
        expect(text(current.value as Entry)).toBe('new')
        item.sign('newest', NO_SALT, Number(current.seq) + 1, KEYS.publicKey, KEYS.secretKey)
        writing.setItem(item)
      },
      found => {
        writing.setTargets(found)
        writing.start()
      },
    ).start()
    expect(network.sent).toHaveLength(8)
    network.finish()
    network.advance(2000)
    expect(updates).toBe(1)
    const puts = network.sent.filter(({ method }) => method === 'put')
    expect(puts).toHaveLength(8)
    expect(puts.every(({ args }) => args['seq'] === 5 && text(args['v']) === 'newest')).toBe(true)
    expect(puts.some(({ to }) => to === nodes[0]!.endpoint)).toBe(false)
  })
})
