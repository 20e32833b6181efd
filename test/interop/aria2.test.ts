import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Aria2 } from './lib/aria2.ts'
import { canTest } from './lib/child.ts'
import type { Opentracker } from './lib/opentracker.ts'
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

const stage = setStage()
const { space } = stage

describe.runIf(canTest('aria2', 'opentracker'))('with aria2', () => {
  let tracker: Opentracker
  const contents: Content[] = []

  beforeAll(async () => {
    // a torrent for each test: aria2 must not find the peers of another one
    for (let i = 0; i < 4; i++) contents.push(await makeContent(space, `for-aria2-${i}`, MIXED))
    tracker = await trackerFor(contents)
  })
  afterAll(() => tracker?.stop())

  for (const protocol of ['HTTP', 'UDP'] as const) {
    const url = () => (protocol === 'HTTP' ? tracker.httpUrl : tracker.udpUrl)

    test(`we download from it, found over ${protocol}`, async () => {
      const content = contents.pop()!
      const seed = await stage.keep(Aria2.start({ torrent: torrentFile(space, content, url()), save: content.parent }))
      await announced(tracker, content.infoHash, 'seed', [seed.child])
      const save = space.dir('leech')
      const leech = await stage.ours({ torrent: withTracker(content, url()), save })
      await leech.finished()
      expect(leech.handle.status()).toMatchObject({ progress: 1, totalFailedBytes: 0 })
      expectArrived(content, save)
    })

    test(`it downloads from us, found over ${protocol}`, async () => {
      const content = contents.pop()!
      await stage.ours({ torrent: withTracker(content, url()), save: content.parent })
      await announced(tracker, content.infoHash, 'seed')
      const save = space.dir('leech')
      const leech = await stage.keep(Aria2.start({ torrent: torrentFile(space, content, url()), save }))
      await leech.finished()
      expectArrived(content, save)
    })
  }
})
