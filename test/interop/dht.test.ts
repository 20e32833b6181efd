import { createHash } from 'node:crypto'
import krpc from 'k-rpc'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { canTest, until } from './lib/child.ts'
import { type Endpoint, LibtorrentNode, type Node, NpmNode, OurNode, owner } from './lib/dht-nodes.ts'

const running: { stop(): Promise<unknown> }[] = []

afterEach(async () => {
  await Promise.all(running.splice(0).map(node => node.stop()))
})

const KINDS = { ours: OurNode, libtorrent: LibtorrentNode, 'bittorrent-dht': NpmNode }
type Kind = keyof typeof KINDS
const ALL = Object.keys(KINDS) as Kind[]
const THEIRS = ALL.filter(kind => kind !== 'ours')

let networks = 0

/** A port of a network of its own: routing tables take one node of each. */
function anywhere(): Endpoint {
  return [`127.44.${++networks}.1`, 0]
}

async function start(kind: Kind, listen = anywhere(), settings = {}): Promise<Node> {
  const node = await KINDS[kind].start(`${kind} at ${listen[0]}`, listen, settings)
  running.push(node)
  return node
}

/** Makes a node known to another one. */
async function join(node: Node, contact: Node): Promise<void> {
  node.add(contact.endpoint)
  await knows(node, 1)
}

function knows(node: Node, count: number): Promise<unknown> {
  return until(`${node.name}: knows ${count} nodes`, async () => (await node.size()) >= count, { timeoutMs: 15_000 })
}

async function stop(node: Node): Promise<void> {
  running.splice(running.indexOf(node), 1)
  await node.stop()
}

const hashOf = (text: string) => createHash('sha1').update(text).digest('hex')

describe.runIf(canTest('libtorrent'))('two implementations', () => {
  const pairs: [client: Kind, server: Kind][] = THEIRS.flatMap((kind): [Kind, Kind][] => [
    [kind, 'ours'],
    ['ours', kind],
  ])

  test.each(pairs)('what a node of %s stored with one of %s is there when it comes again', async (...kinds) => {
    const [kind, serverKind] = kinds
    const server = await start(serverKind)
    const first = await start(kind)
    const { endpoint } = first
    await join(first, server)
    const hash = hashOf(`${kinds}`)
    const ada = owner(`${kinds}`)
    await first.announce(hash)
    await first.find(hash, [endpoint])
    const target = await first.put('an item, ünïcödé')
    await first.putOwned({ owner: ada, value: 'plain', salt: '' })
    await first.putOwned({ owner: ada, value: 'salted', salt: 'some salt' })
    await first.putOwned({ owner: ada, value: 'salted again', salt: 'some salt' })
    await stop(first)

    // where the first was, as others still know of it, and answers to their questions come at once
    const second = await start(kind, endpoint)
    await join(second, server)
    await second.find(hash, [endpoint])
    expect(await second.get(target)).toBe('an item, ünïcödé')
    expect(await second.getOwned(ada.publicKey, '')).toEqual({ value: 'plain', seq: 1 })
    expect(await second.getOwned(ada.publicKey, 'some salt')).toEqual({ value: 'salted again', seq: 2 })
    expect(await second.getOwned(ada.publicKey, 'other salt')).toBeNull()
    expect(await second.get(hashOf('nothing'))).toBeNull()
  })
})

describe.runIf(canTest('libtorrent'))('a DHT of three implementations', () => {
  const nodes = new Map<Kind, Node>()
  let others: Node[]

  beforeEach(async () => {
    others = await Promise.all(ALL.flatMap(kind => [kind, kind]).map(kind => start(kind)))
    // told of each other, as they would take minutes to learn by themselves
    for (const node of others) for (const other of others) if (other !== node) node.add(other.endpoint)
    for (const node of others) await knows(node, others.length - 1)
    for (const [i, kind] of ALL.entries()) nodes.set(kind, others[2 * i]!)
  })

  test('peers and items of one are found by each of the others', async () => {
    const hash = hashOf('swarm')
    for (const kind of ALL) await nodes.get(kind)!.announce(hash)
    const wanted = ALL.map(kind => nodes.get(kind)!.endpoint)
    await Promise.all(others.map(node => node.find(hash, wanted)))

    for (const kind of ALL) {
      const node = nodes.get(kind)!
      const ada = owner(kind)
      const target = await node.put(`from ${kind}`)
      expect(target).toBe(hashOf(`${`from ${kind}`.length}:from ${kind}`))
      await node.putOwned({ owner: ada, value: `signed by ${kind}`, salt: '' })
      await node.putOwned({ owner: ada, value: `salted by ${kind}`, salt: kind })
      for (const other of others) {
        expect.soft([other.name, await other.get(target)]).toEqual([other.name, `from ${kind}`])
        expect
          .soft([other.name, await other.getOwned(ada.publicKey, '')])
          .toMatchObject([other.name, { value: `signed by ${kind}`, seq: 1 }])
        expect
          .soft([other.name, await other.getOwned(ada.publicKey, kind)])
          .toMatchObject([other.name, { value: `salted by ${kind}`, seq: 1 }])
      }
    }
  })

  test('the next version of an item can come from another implementation', async () => {
    const ada = owner('ada')
    for (const [i, kind] of ALL.entries()) {
      await nodes.get(kind)!.putOwned({ owner: ada, value: `version of ${kind}`, salt: 'v' })
      for (const other of others) {
        expect
          .soft([other.name, await other.getOwned(ada.publicKey, 'v')])
          .toEqual([other.name, { value: `version of ${kind}`, seq: i + 1 }])
      }
    }
  })
})

test('a k-rpc client walks through nodes of ours, stores a peer, and finds it', async () => {
  const count = 12
  const ours = await Promise.all(Array.from({ length: count }, () => start('ours')))
  // each knows the two after it: from the first there is a way to all
  for (const [i, node] of ours.entries()) {
    for (const step of [1, 2]) node.add(ours[(i + step) % count]!.endpoint)
  }
  for (const node of ours) await knows(node, 2)

  const client = krpc({ nodes: [ours[0]!.endpoint.join(':')] })
  running.push({ stop: () => new Promise<void>(resolve => client.destroy(resolve)) })
  await new Promise<void>(resolve => client.bind(0, `127.44.${++networks}.1`, resolve))
  const hash = createHash('sha1').update('k-rpc').digest()
  type Answer = { token: Buffer; host: string; port: number; values: string[] }
  const walk = async () => {
    const answers = new Map<string, Answer>()
    await new Promise<void>((resolve, reject) => {
      const visit = ({ r }: krpc.Message, from: krpc.Peer) => {
        const host = from.address ?? from.host!
        const values = (r.values ?? []).map(each => each.toString('hex'))
        answers.set(`${host}:${from.port}`, { token: r['token']!, host, port: from.port, values })
        return undefined
      }
      client.closest(hash, { q: 'get_peers', a: { info_hash: hash } }, visit, error =>
        error ? reject(error) : resolve(),
      )
    })
    return answers
  }

  const before = await walk()
  expect([...before.keys()].sort()).toEqual(ours.map(node => node.endpoint.join(':')).sort())
  for (const { token, host, port } of before.values()) {
    const announce = { q: 'announce_peer', a: { id: client.id, info_hash: hash, port: 4001, token } }
    await new Promise<void>((resolve, reject) => {
      client.query({ host, port }, announce, error => (error ? reject(error) : resolve()))
    })
  }
  const after = await walk()
  expect(after.size).toBe(count)
  const peer = Buffer.from([127, 44, networks, 1, 4001 >> 8, 4001 & 255]).toString('hex')
  for (const { values } of after.values()) expect(values).toEqual([peer])
})

describe.runIf(canTest('libtorrent'))('a bootstrap node', () => {
  // bittorrent-dht takes no settings; it is a bootstrap node like any other
  const pairs: [newcomer: Kind, root: Kind][] = [
    ['ours', 'libtorrent'],
    ['ours', 'bittorrent-dht'],
    ['libtorrent', 'ours'],
  ]

  test.each(pairs)('a new node of %s is led to the others by one of %s', async (newcomer, rootKind) => {
    const root = await start(rootKind)
    const others = await Promise.all((['ours', 'libtorrent', 'bittorrent-dht'] as const).map(kind => start(kind)))
    for (const other of others) root.add(other.endpoint)
    await knows(root, others.length)
    const node = await start(newcomer, anywhere(), { dht_bootstrap_nodes: root.endpoint.join(':') })
    // the bootstrap node itself does not become part of the routing table
    await knows(node, others.length)
    const hash = hashOf('bootstrapped')
    await node.announce(hash)
    await Promise.all([root, ...others].map(other => other.find(hash, [node.endpoint])))
  })
})
