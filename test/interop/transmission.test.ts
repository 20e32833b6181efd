import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { canTest } from './lib/child.ts'
import { Workspace } from './lib/files.ts'
import { spareAddresses } from './lib/net.ts'
import type { Opentracker } from './lib/opentracker.ts'
import { Ours } from './lib/ours.ts'
import {
  announced,
  type Content,
  expectArrived,
  MIXED,
  makeContent,
  torrentFile,
  trackerFor,
  withTracker,
} from './lib/scenario.ts'
import { Transmission } from './lib/transmission.ts'

const space = new Workspace()
const peers: { stop(): Promise<void> }[] = []

afterEach(async () => {
  for (const peer of peers.splice(0)) await peer.stop()
})
afterAll(() => space.remove())

async function arrived(content: Content, leech: Ours, save: string): Promise<void> {
  await leech.finished(90_000)
  expect(leech.handle.status()).toMatchObject({ progress: 1, totalFailedBytes: 0 })
  expectArrived(content, save)
}

describe.runIf(canTest('transmission', 'opentracker'))('with transmission', () => {
  let tracker: Opentracker
  let direct: Content
  const contents: Content[] = []

  beforeAll(async () => {
    direct = await makeContent(space, 'direct', MIXED)
    for (let i = 0; i < 4; i++) contents.push(await makeContent(space, `for-transmission-${i}`, MIXED))
    tracker = await trackerFor(contents)
  })
  afterAll(() => tracker?.stop())

  test('we download from it', async () => {
    const seed = await Transmission.start({ torrent: torrentFile(space, direct), save: direct.parent })
    peers.push(seed)
    const save = space.dir('leech')
    const leech = await Ours.start({ torrent: direct.torrent, save })
    peers.push(leech)
    leech.handle.connectPeer(seed.endpoint)
    await arrived(direct, leech, save)
  })

  test('it downloads from us', async () => {
    const save = space.dir('leech')
    const leech = await Transmission.start({ torrent: torrentFile(space, direct), save })
    peers.push(leech)
    const seed = await Ours.start({ torrent: direct.torrent, save: direct.parent })
    peers.push(seed)
    seed.handle.connectPeer(leech.endpoint)
    await leech.finished()
    expectArrived(direct, save, { emptyFiles: false })
  })

  // on loopback it is always we who connect: it refuses peers in 127/8 that a tracker tells it of
  for (const protocol of ['HTTP', 'UDP'] as const) {
    const url = () => (protocol === 'HTTP' ? tracker.httpUrl : tracker.udpUrl)

    test(`we download from it, found over ${protocol}`, async () => {
      const content = contents.pop()!
      const seed = await Transmission.start({ torrent: torrentFile(space, content, url()), save: content.parent })
      peers.push(seed)
      await announced(tracker, content.infoHash, 'seed', [seed.child])
      const save = space.dir('leech')
      const leech = await Ours.start({ torrent: withTracker(content, url()), save, listen: '127.0.0.3:0' })
      peers.push(leech)
      await arrived(content, leech, save)
    })

    test(`it downloads from us, who found it over ${protocol}`, async () => {
      const content = contents.pop()!
      const save = space.dir('leech')
      const leech = await Transmission.start({ torrent: torrentFile(space, content, url()), save })
      peers.push(leech)
      await announced(tracker, content.infoHash, 'leech', [leech.child])
      const torrent = withTracker(content, url())
      const seed = await Ours.start({ torrent, save: content.parent, listen: '127.0.0.3:0' })
      peers.push(seed)
      await leech.finished()
      expectArrived(content, save, { emptyFiles: false })
    })
  }
})

const spare = canTest('transmission', 'opentracker') ? spareAddresses(2) : null
afterAll(() => spare?.release())

describe.runIf(spare !== null)('with transmission, outside of 127/8', () => {
  const [first, second] = (spare?.addresses ?? []) as [string, string]

  for (const protocol of ['HTTP', 'UDP'] as const) {
    test(`it downloads from us, whom it found over ${protocol}`, async () => {
      const content = await makeContent(space, `outside-${protocol}`, MIXED)
      const tracker = await trackerFor([content], first)
      peers.push(tracker)
      const url = protocol === 'HTTP' ? tracker.httpUrl : tracker.udpUrl
      const torrent = withTracker(content, url)
      const settings = { seeding_outgoing_connections: false }
      const seed = await Ours.start({ torrent, save: content.parent, listen: `${first}:0`, settings })
      peers.push(seed)
      await announced(tracker, content.infoHash, 'seed')
      const save = space.dir('leech')
      const leech = await Transmission.start({ torrent: torrentFile(space, content, url), save, address: second })
      peers.push(leech)
      await leech.finished()
      expectArrived(content, save, { emptyFiles: false })
    })
  }
})
