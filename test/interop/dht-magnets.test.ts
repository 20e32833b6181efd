/** Magnet links that name a torrent and nothing else: peers are found by the DHT. */

import { afterAll, afterEach, beforeAll, describe, test } from 'vitest'
import { canTest, until } from './lib/child.ts'
import { DHT_ONLY, type Endpoint, LibtorrentNode, type Node, NpmNode, OurNode } from './lib/dht-nodes.ts'
import { Workspace } from './lib/files.ts'
import { LtPeer } from './lib/lt-peer.ts'
import { spareAddresses } from './lib/net.ts'
import { Ours } from './lib/ours.ts'
import { type Content, expectArrived, MIXED, makeContent, torrentFile } from './lib/scenario.ts'
import { Transmission } from './lib/transmission.ts'

const space = new Workspace()
const running: { stop(): Promise<unknown> }[] = []

afterEach(async () => {
  await Promise.all(running.splice(0).map(each => each.stop()))
})
afterAll(() => space.remove())

function kept<P extends { stop(): Promise<unknown> }>(peer: P): P {
  running.push(peer)
  return peer
}

const magnet = (content: Content) => `magnet:?xt=urn:btih:${content.infoHash}`
/** A second between announces, so that a leech that came before its seed asks again soon. */
const settings = { ...DHT_ONLY, dht_announce_interval: 1 }

async function startOurs(
  of: { torrent: Uint8Array } | { magnet: string },
  save: string,
  listen: string,
  more: object = {},
): Promise<Ours> {
  return kept(await Ours.start({ ...of, save, listen, settings: { ...settings, ...more } }))
}

/** For nodes whose addresses are close to each other. */
const NEIGHBOURS = { dht_restrict_routing_ips: false, dht_restrict_search_ips: false }

/** The node that both sides know, and nobody else. */
const MIDDLES = { ours: OurNode, libtorrent: LibtorrentNode, 'bittorrent-dht': NpmNode }

describe.runIf(canTest('libtorrent'))('magnet links without trackers, over 127/8', () => {
  const middles = Object.keys(MIDDLES) as (keyof typeof MIDDLES)[]
  let middle: Node

  async function world(kind: keyof typeof MIDDLES): Promise<Content> {
    middle = kept(await MIDDLES[kind].start(kind, ['127.45.1.1', 0]))
    return makeContent(space, `by-${kind}`, MIXED, ['v1_only'], 16384)
  }

  test.each(middles)('we find a seed of libtorrent by a node of %s, and download all', async kind => {
    const content = await world(kind)
    const torrent = torrentFile(space, content)
    const nodes = [middle.endpoint]
    kept(await LtPeer.start({ torrent, save: content.parent, listen: '127.45.2.1:0', settings, nodes }))
    const save = space.dir('leech')
    const leech = await startOurs({ magnet: magnet(content) }, save, '127.45.3.1:0')
    leech.session.addDhtNode(middle.endpoint)
    await leech.finished()
    expectArrived(content, save)
  })

  test.each(middles)('libtorrent finds our seed by a node of %s, and downloads all', async kind => {
    const content = await world(kind)
    const seed = await startOurs({ torrent: content.torrent }, content.parent, '127.45.3.1:0')
    seed.session.addDhtNode(middle.endpoint)
    const save = space.dir('leech')
    const nodes = [middle.endpoint]
    const leech = kept(await LtPeer.start({ magnet: magnet(content), save, listen: '127.45.2.1:0', settings, nodes }))
    await leech.event('finished')
    expectArrived(content, save)
  })
})

const spare = canTest('libtorrent', 'transmission') ? spareAddresses(4) : null
afterAll(() => spare?.release())

describe.runIf(spare !== null)('magnet links without trackers, with transmission', () => {
  const [us, them, crowd, third] = (spare?.addresses ?? []) as [string, string, string, string]
  const nodes: Node[] = []

  beforeAll(async () => {
    for (let i = 0; i < 8; i++) nodes.push(await NpmNode.start(`bittorrent-dht ${i}`, [crowd, 0]))
    nodes.push(await OurNode.start('ours', [us, 0], NEIGHBOURS))
    nodes.push(await LibtorrentNode.start('libtorrent', [third, 0], NEIGHBOURS))
    for (const node of nodes) for (const other of nodes) if (other !== node) node.add(other.endpoint)
    for (const node of nodes) await until(`${node.name}: knows others`, async () => (await node.size()) > 3)
  })
  afterAll(async () => {
    await Promise.all(nodes.map(node => node.stop()))
  })

  const endpoints = (): Endpoint[] => nodes.map(node => node.endpoint)

  test('we find its seed, and it finds ours', async () => {
    const [theirs, ours] = await Promise.all(
      ['theirs', 'ours'].map(name => makeContent(space, name, MIXED, ['v1_only'], 16384)),
    )
    const torrent = torrentFile(space, theirs!)
    const saves = [space.dir('leech'), space.dir('leech')] as const
    kept(await Transmission.start({ torrent, save: theirs!.parent, address: them, nodes: endpoints() }))
    const options = { torrent: magnet(ours!), save: saves[0], address: them, nodes: endpoints() }
    const theirLeech = kept(await Transmission.start(options))
    const seed = await startOurs({ torrent: ours!.torrent }, ours!.parent, `${us}:0`, NEIGHBOURS)
    const ourLeech = await startOurs({ magnet: magnet(theirs!) }, saves[1], `${us}:0`, NEIGHBOURS)
    for (const ours of [seed, ourLeech]) for (const node of endpoints()) ours.session.addDhtNode(node)
    await Promise.all([ourLeech.finished(90_000), theirLeech.finished(90_000)])
    expectArrived(theirs!, saves[1])
    expectArrived(ours!, saves[0], { emptyFiles: false })
  })
})
