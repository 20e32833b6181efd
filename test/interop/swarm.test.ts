import { describe, expect, test } from 'vitest'
import { Aria2 } from './lib/aria2.ts'
import { canTest } from './lib/child.ts'
import { MIB } from './lib/files.ts'
import type { LtPeer } from './lib/lt-peer.ts'
import type { Ours } from './lib/ours.ts'
import { announced, expectArrived, makeContent, torrentFile, trackerFor, withTracker } from './lib/scenario.ts'
import { setStage } from './lib/stage.ts'
import { Transmission } from './lib/transmission.ts'

const stage = setStage()
const { space } = stage

describe.runIf(canTest('libtorrent', 'transmission', 'aria2', 'opentracker'))('a swarm', () => {
  test('of one slow seed and leeches of every kind ends with everybody whole', async () => {
    const content = await makeContent(space, 'swarm', [
      ['a', 7 * MIB + 1],
      ['b/c', 5 * MIB],
    ])
    const tracker = await stage.keep(trackerFor([content]))
    const torrent = torrentFile(space, content, tracker.httpUrl)
    const seed = await stage.theirs({ torrent, save: content.parent, listen: '127.0.0.2:0', upload_limit: 3 * MIB })
    await announced(tracker, content.infoHash, 'seed', [seed.child])

    const saves = ['transmission', 'aria2', 'libtorrent', 'ours', 'ours'].map(name => space.dir(name))
    const transmission = await stage.keep(Transmission.start({ torrent, save: saves[0]!, address: '127.0.0.6' }))
    await announced(tracker, content.infoHash, 'leech', [transmission.child])
    const aria2 = await stage.keep(Aria2.start({ torrent, save: saves[1]! }))
    const libtorrent = await stage.theirs({ torrent, save: saves[2]!, listen: '127.0.0.5:0' })
    const ours: Ours[] = []
    for (const [i, url] of [tracker.httpUrl, tracker.udpUrl].entries()) {
      const listen = `127.0.0.${3 + i}:0`
      const leech = await stage.ours({ torrent: withTracker(content, url), save: saves[3 + i]!, listen })
      ours.push(leech)
    }
    await Promise.all([
      transmission.finished(),
      aria2.finished(),
      libtorrent.event('finished'),
      ...ours.map(leech => leech.finished()),
    ])
    for (const save of saves) expectArrived(content, save)
    expect(ours.reduce((sum, leech) => sum + leech.handle.status().totalPayloadUpload, 0)).toBeGreaterThan(0)
    for (const leech of ours) expect(leech.handle.status().totalFailedBytes).toBe(0)
  })

  test('of one seed of ours and leeches of other kinds ends with everybody whole', async () => {
    const content = await makeContent(space, 'from-us', [['', 12 * MIB + 3]])
    const tracker = await stage.keep(trackerFor([content]))
    const torrent = torrentFile(space, content, tracker.udpUrl)
    const saves = ['aria2', 'libtorrent', 'libtorrent', 'ours'].map(name => space.dir(name))
    const seed = await stage.ours({ torrent: withTracker(content, tracker.udpUrl), save: content.parent })
    seed.handle.setUploadLimit(4 * MIB)
    await announced(tracker, content.infoHash, 'seed')
    const aria2 = await stage.keep(Aria2.start({ torrent, save: saves[0]! }))
    const theirs: LtPeer[] = []
    for (const i of [1, 2]) {
      const leech = await stage.theirs({ torrent, save: saves[i]!, listen: `127.0.0.${6 + i}:0` })
      theirs.push(leech)
    }
    const ours = await stage.ours({
      torrent: withTracker(content, tracker.httpUrl),
      save: saves[3]!,
      listen: '127.0.0.3:0',
    })
    await Promise.all([aria2.finished(), ours.finished(), ...theirs.map(leech => leech.event('finished'))])
    for (const save of saves) expectArrived(content, save)
  })
})
