import { createHash } from 'node:crypto'
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
