import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Aria2 } from './lib/aria2.ts'
import { canTest } from './lib/child.ts'
import type { Opentracker } from './lib/opentracker.ts'
import { lib, type Ours } from './lib/ours.ts'
import {
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

/** A link that says no more than which torrent it is. */
function magnet(content: Content, tracker?: string, which: 'v1' | 'v2' | 'both' = 'v1'): string {
  const { v1, v2 } = lib.loadTorrentBuffer(content.torrent).ti!.infoHashes()
  const names = [which === 'v2' ? '' : `xt=urn:btih:${v1}`, which === 'v1' ? '' : `xt=urn:btmh:1220${v2}`]
  const tail = tracker === undefined ? [] : [`tr=${encodeURIComponent(tracker)}`]
  return `magnet:?${[...names.filter(name => name !== ''), ...tail].join('&')}`
}

/** Small pieces: an info dictionary of several parts. */
const many = (name: string, flags: readonly string[] = ['v1_only']) => makeContent(space, name, MIXED, flags, 16384)

function ourSeed(content: Content, tracker?: string): Promise<Ours> {
  return stage.ours({ torrent: withTracker(content, tracker), save: content.parent, listen: '127.0.0.3:0' })
}

async function ourLeech(link: string): Promise<{ leech: Ours; save: string }> {
  const save = space.dir('leech')
  return { leech: await stage.ours({ magnet: link, save }), save }
}

async function arrivedHere(content: Content, leech: Ours, save: string): Promise<void> {
  await leech.alert('metadata_received')
  await leech.finished()
  expect(leech.handle.status()).toMatchObject({ progress: 1, isSeeding: true, totalFailedBytes: 0 })
  expect(leech.handle.torrentFile()!.infoSection()).toEqual(lib.loadTorrentBuffer(content.torrent).ti!.infoSection())
  expectArrived(content, save)
}

describe.runIf(canTest('libtorrent'))('magnet links, with libtorrent', () => {
  let content: Content
  let hybrid: Content

  beforeAll(async () => {
    content = await many('lt-magnet')
    hybrid = await many('lt-hybrid', [])
  })

  test('we get the metadata and the files from it', async () => {
    const seed = await stage.theirSeed(content)
    const { leech, save } = await ourLeech(magnet(content))
    leech.handle.connectPeer(seed.endpoint)
    await arrivedHere(content, leech, save)
  })

  test('it gets the metadata and the files from us', async () => {
    const seed = await ourSeed(content)
    const save = space.dir('leech')
    const leech = await stage.theirs({ magnet: magnet(content), save, connect: [seed.endpoint] })
    await leech.event('finished')
    expectArrived(content, save)
  })

  test.each(['v1', 'v2', 'both'] as const)('we get a hybrid torrent by a link with %s', async which => {
    const seed = await stage.theirSeed(hybrid)
    const { leech, save } = await ourLeech(magnet(hybrid, undefined, which))
    leech.handle.connectPeer(seed.endpoint)
    await arrivedHere(hybrid, leech, save)
    const { ti } = lib.loadTorrentBuffer(hybrid.torrent)
    expect(leech.handle.infoHashes().equals(ti!.infoHashes())).toBe(true)
  })

  test('it gets a hybrid torrent from us by its v1 name', async () => {
    const seed = await ourSeed(hybrid)
    const save = space.dir('leech')
    const leech = await stage.theirs({ magnet: magnet(hybrid), save, connect: [seed.endpoint] })
    await leech.event('finished')
    expectArrived(hybrid, save)
  })

  test('a leech of ours with nothing but the metadata passes it on', async () => {
    const first = await stage.ours({ torrent: content.torrent, save: space.dir('empty'), listen: '127.0.0.3:0' })
    const second = (await ourLeech(magnet(content))).leech
    second.handle.connectPeer(first.endpoint)
    await second.alert('metadata_received')
    const save = space.dir('leech')
    const leech = await stage.theirs({ magnet: magnet(content), save, connect: [second.endpoint] })
    await leech.event('state')
    await leech.event('checked')
    expect((await leech.status()).pieces.length).toBeGreaterThan(100)
  })
})

describe.runIf(canTest('transmission'))('magnet links, with transmission', () => {
  let content: Content

  beforeAll(async () => {
    content = await many('tr-magnet')
  })

  test('we get the metadata and the files from it', async () => {
    const seed = await stage.keep(Transmission.start({ torrent: torrentFile(space, content), save: content.parent }))
    const { leech, save } = await ourLeech(magnet(content))
    leech.handle.connectPeer(seed.endpoint)
    await leech.finished(90_000)
    expectArrived(content, save)
  })

  test('it gets the metadata and the files from us', async () => {
    const save = space.dir('leech')
    const leech = await stage.keep(Transmission.start({ torrent: magnet(content), save }))
    // it closes its connections once it has the metadata
    const settings = { min_reconnect_time: 2 }
    const seed = await stage.ours({ torrent: content.torrent, save: content.parent, settings })
    seed.handle.connectPeer(leech.endpoint)
    await leech.finished()
    expectArrived(content, save, { emptyFiles: false })
  })
})

describe.runIf(canTest('aria2', 'opentracker'))('magnet links, with aria2', () => {
  let tracker: Opentracker
  const contents: Content[] = []

  beforeAll(async () => {
    // a torrent for each test: aria2 must not find the peers of another one
    for (let i = 0; i < 2; i++) contents.push(await many(`aria2-magnet-${i}`))
    tracker = await trackerFor(contents)
  })
  afterAll(() => tracker?.stop())

  test('we get the metadata and the files from it', async () => {
    const content = contents.pop()!
    const torrent = torrentFile(space, content, tracker.httpUrl)
    await stage.keep(Aria2.start({ torrent, save: content.parent }))
    const { leech, save } = await ourLeech(magnet(content, tracker.httpUrl))
    await arrivedHere(content, leech, save)
  })

  test('it gets the metadata and the files from us', async () => {
    const content = contents.pop()!
    const seed = await ourSeed(content, tracker.httpUrl)
    await seed.alert('tracker_reply')
    const save = space.dir('leech')
    const leech = await stage.keep(Aria2.start({ torrent: magnet(content, tracker.httpUrl), save }))
    await leech.finished()
    expectArrived(content, save)
  })
})
