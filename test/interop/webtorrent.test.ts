/** webtorrent 2.8: peers found by the DHT, metadata and files by each other's connections. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { DHT_ONLY, type Node, NpmNode, OurNode } from './lib/dht-nodes.ts'
import { Workspace } from './lib/files.ts'
import { Ours } from './lib/ours.ts'
import { type Content, expectArrived, MIXED, makeContent, torrentFile } from './lib/scenario.ts'
import { installWebtorrent, Webtorrent, type WebtorrentModules } from './lib/webtorrent.ts'

const space = new Workspace()
const running: { stop(): Promise<unknown> }[] = []
let modules: WebtorrentModules

beforeAll(async () => {
  modules = await installWebtorrent()
})
afterEach(async () => {
  await Promise.all(running.splice(0).map(each => each.stop()))
})
afterAll(() => {
  modules?.remove()
  space.remove()
})

function kept<P extends { stop(): Promise<unknown> }>(peer: P): P {
  running.push(peer)
  return peer
}

const magnet = (content: Content) => `magnet:?xt=urn:btih:${content.infoHash}`
const settings = { ...DHT_ONLY, dht_announce_interval: 1 }

/** The node that both sides know: of the package that webtorrent has, or ours. */
const MIDDLES = { 'bittorrent-dht': NpmNode, ours: OurNode }

describe.each(Object.keys(MIDDLES) as (keyof typeof MIDDLES)[])(
  'a magnet link without trackers, a node of %s',
  kind => {
    let middle: Node
    let content: Content

    beforeEach(async () => {
      // a new one each time: it would tell of nodes that are gone, and lookups wait for their answers
      middle = kept(await MIDDLES[kind].start(kind, ['127.46.1.1', 0]))
      content = await makeContent(space, `by-${kind}`, MIXED, ['v1_only'], 16384)
    })

    test('we download from webtorrent', async () => {
      const torrent = torrentFile(space, content)
      const seed = kept(new Webtorrent({ modules, torrent, save: content.parent, nodes: [middle.endpoint] }))
      await seed.event('finished')
      await seed.event('announced')
      const save = space.dir('leech')
      const leech = kept(await Ours.start({ magnet: magnet(content), save, listen: '127.46.2.1:0', settings }))
      leech.session.addDhtNode(middle.endpoint)
      await leech.alert('metadata_received')
      await leech.finished()
      expect(leech.handle.status()).toMatchObject({ progress: 1, isSeeding: true, totalFailedBytes: 0 })
      expectArrived(content, save)
    })

    test('webtorrent downloads from us', async () => {
      const seed = kept(
        await Ours.start({ torrent: content.torrent, save: content.parent, listen: '127.46.3.1:0', settings }),
      )
      seed.session.addDhtNode(middle.endpoint)
      // it asks once only
      await middle.find(content.infoHash, [seed.endpoint])
      const save = space.dir('leech')
      const leech = kept(new Webtorrent({ modules, magnet: magnet(content), save, nodes: [middle.endpoint] }))
      await leech.event('metadata')
      await leech.event('finished')
      expectArrived(content, save, { emptyFiles: false })
    })
  },
)
