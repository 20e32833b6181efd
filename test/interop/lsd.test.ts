import { describe, expect, test } from 'vitest'
import type { LsdPeerAlert } from '../../src/alert/peer-alerts.ts'
import { canTest } from './lib/child.ts'
import { MIB } from './lib/files.ts'
import type { LtPeer } from './lib/lt-peer.ts'
import type { Ours } from './lib/ours.ts'
import { type Content, expectArrived, makeContent, torrentFile } from './lib/scenario.ts'
import { setStage } from './lib/stage.ts'

/** Nobody tells anybody of a peer: all that there is is multicast on the loopback interface. */
const settings = { enable_lsd: true }
const stage = setStage()
const { space } = stage

function startOurs(content: Content, save: string, listen = '127.0.0.3:0'): Promise<Ours> {
  return stage.ours({ torrent: content.torrent, save, listen, settings })
}

function startTheirs(content: Content, save: string, listen = '127.0.0.4:0'): Promise<LtPeer> {
  return stage.theirs({ torrent: torrentFile(space, content), save, listen, settings })
}

/** Waits until our session was told of the other one. */
function heard(ours: Ours, theirs: LtPeer): Promise<unknown> {
  return ours.until('a local peer', () =>
    ours.alerts.some(
      alert => alert.what() === 'lsd_peer' && (alert as LsdPeerAlert).ep.join() === theirs.endpoint.join(),
    ),
  )
}

describe.runIf(canTest('libtorrent'))('by local service discovery alone', () => {
  test('our leech finds a seed of libtorrent', async () => {
    const content = await makeContent(space, 'theirs', [['', 3 * MIB + 7]])
    const save = space.dir('leech')
    const leech = await startOurs(content, save)
    const seed = await startTheirs(content, content.parent)
    await heard(leech, seed)
    await leech.finished()
    expectArrived(content, save)
  })

  test('a leech of libtorrent finds our seed', async () => {
    const content = await makeContent(space, 'ours', [['', 3 * MIB + 7]])
    const save = space.dir('leech')
    const leech = await startTheirs(content, save)
    const seed = await startOurs(content, content.parent)
    const { message } = await leech.event<{ message: string }>('lsd_peer')
    expect(message).toContain(seed.endpoint.join(':'))
    await leech.event('finished')
    expectArrived(content, save)
  })

  test('they find each other with either hash of a hybrid torrent', async () => {
    const content = await makeContent(space, 'hybrid', [['a', 2 * MIB + 3]], [])
    const save = space.dir('leech')
    const leech = await startOurs(content, save)
    const seed = await startTheirs(content, content.parent)
    await Promise.all([heard(leech, seed), seed.event('lsd_peer')])
    await leech.finished()
    expectArrived(content, save)
  })

  test('a swarm of both gets complete', async () => {
    const content = await makeContent(space, 'swarm', [
      ['a', 4 * MIB + 1],
      ['b/c', MIB],
    ])
    const saves = [1, 2, 3, 4].map(n => space.dir(`leech ${n}`))
    const ours = [
      await startOurs(content, saves[0]!, '127.0.0.11:0'),
      await startOurs(content, saves[1]!, '127.0.0.12:0'),
    ]
    const theirs = [
      await startTheirs(content, saves[2]!, '127.0.0.13:0'),
      await startTheirs(content, saves[3]!, '127.0.0.14:0'),
    ]
    await startTheirs(content, content.parent, '127.0.0.15:0')
    await Promise.all([...ours.map(leech => leech.finished()), ...theirs.map(leech => leech.event('finished'))])
    for (const save of saves) expectArrived(content, save)
  })
})
