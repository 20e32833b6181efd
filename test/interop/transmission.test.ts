import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { canTest } from './lib/child.ts'
import { spareAddresses } from './lib/net.ts'
import type { Opentracker } from './lib/opentracker.ts'
import type { Ours } from './lib/ours.ts'
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
import { setStage } from './lib/stage.ts'
import { Transmission } from './lib/transmission.ts'

const stage = setStage()
const { space } = stage

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
    const seed = await stage.keep(Transmission.start({ torrent: torrentFile(space, direct), save: direct.parent }))
    const save = space.dir('leech')
    const leech = await stage.ours({ torrent: direct.torrent, save })
    leech.handle.connectPeer(seed.endpoint)
    await arrived(direct, leech, save)
  })

  test('it downloads from us', async () => {
    const save = space.dir('leech')
    const leech = await stage.keep(Transmission.start({ torrent: torrentFile(space, direct), save }))
    const seed = await stage.ours({ torrent: direct.torrent, save: direct.parent })
    seed.handle.connectPeer(leech.endpoint)
    await leech.finished()
    expectArrived(direct, save, { emptyFiles: false })
  })

  // on loopback it is always we who connect: it refuses peers in 127/8 that a tracker tells it of
  for (const protocol of ['HTTP', 'UDP'] as const) {
    const url = () => (protocol === 'HTTP' ? tracker.httpUrl : tracker.udpUrl)

    test(`we download from it, found over ${protocol}`, async () => {
      const content = contents.pop()!
      const seed = await stage.keep(
        Transmission.start({ torrent: torrentFile(space, content, url()), save: content.parent }),
      )
      await announced(tracker, content.infoHash, 'seed', [seed.child])
      const save = space.dir('leech')
      const leech = await stage.ours({ torrent: withTracker(content, url()), save, listen: '127.0.0.3:0' })
      await arrived(content, leech, save)
    })

    test(`it downloads from us, who found it over ${protocol}`, async () => {
      const content = contents.pop()!
      const save = space.dir('leech')
      const leech = await stage.keep(Transmission.start({ torrent: torrentFile(space, content, url()), save }))
      await announced(tracker, content.infoHash, 'leech', [leech.child])
      const torrent = withTracker(content, url())
      await stage.ours({ torrent, save: content.parent, listen: '127.0.0.3:0' })
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
      const tracker = await stage.keep(trackerFor([content], first))
      const url = protocol === 'HTTP' ? tracker.httpUrl : tracker.udpUrl
      const torrent = withTracker(content, url)
      const settings = { seeding_outgoing_connections: false }
      await stage.ours({ torrent, save: content.parent, listen: `${first}:0`, settings })
      await announced(tracker, content.infoHash, 'seed')
      const save = space.dir('leech')
      const leech = await stage.keep(
        Transmission.start({ torrent: torrentFile(space, content, url), save, address: second }),
      )
      await leech.finished()
      expectArrived(content, save, { emptyFiles: false })
    })
  }
})
