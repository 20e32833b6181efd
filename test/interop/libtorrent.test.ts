import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { canTest } from './lib/child.ts'
import { BLOCK, MIB } from './lib/files.ts'
import type { LtPeer, LtPeerOptions } from './lib/lt-peer.ts'
import { PIECE } from './lib/make.ts'
import type { Opentracker } from './lib/opentracker.ts'
import type { Ours, OursOptions } from './lib/ours.ts'
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

const { space, theirs, ours, theirSeed, ourSeed } = setStage()

async function oursFetches(
  content: Content,
  options: Partial<OursOptions> = {},
): Promise<{ leech: Ours; save: string }> {
  const save = space.dir('leech')
  return { leech: await ours({ torrent: content.torrent, save, ...options }), save }
}

async function theyFetch(
  content: Content,
  options: Partial<LtPeerOptions> = {},
): Promise<{ leech: LtPeer; save: string }> {
  const save = space.dir('leech')
  return { leech: await theirs({ torrent: torrentFile(space, content), save, ...options }), save }
}

async function arrivedHere(content: Content, leech: Ours, save: string): Promise<void> {
  await leech.finished()
  expect(leech.alerts.filter(alert => alert.what() === 'hash_failed')).toEqual([])
  expect(leech.handle.status()).toMatchObject({ progress: 1, isSeeding: true, totalFailedBytes: 0 })
  expectArrived(content, save)
}

async function arrivedThere(content: Content, leech: LtPeer, save: string): Promise<void> {
  await leech.event('finished')
  expect(await leech.status()).toMatchObject({ progress: 1, failed: 0, error: '' })
  expectArrived(content, save)
}

describe.runIf(canTest('libtorrent', 'opentracker'))('with libtorrent', () => {
  let mixed: Content
  let tracker: Opentracker

  beforeAll(async () => {
    mixed = await makeContent(space, 'mixed', MIXED)
    tracker = await trackerFor([mixed])
  })
  afterAll(() => tracker?.stop())

  for (const protocol of ['HTTP', 'UDP'] as const) {
    const url = () => (protocol === 'HTTP' ? tracker.httpUrl : tracker.udpUrl)

    test(`we download from a seed found over ${protocol}`, async () => {
      const seed = await theirSeed(mixed, { torrent: torrentFile(space, mixed, url()) })
      await seed.event('announced')
      const { leech, save } = await oursFetches(mixed, { torrent: withTracker(mixed, url()) })
      await arrivedHere(mixed, leech, save)
    })

    test(`a leech that finds us over ${protocol} downloads from us`, async () => {
      const seed = await ourSeed(mixed, { torrent: withTracker(mixed, url()) })
      await seed.alert('tracker_reply')
      await announced(tracker, mixed.infoHash, 'seed')
      const { leech, save } = await theyFetch(mixed, { torrent: torrentFile(space, mixed, url()) })
      await arrivedThere(mixed, leech, save)
    })
  }

  test('we download over a connection that they made', async () => {
    const { leech, save } = await oursFetches(mixed)
    const seed = await theirSeed(mixed)
    seed.connect(leech.endpoint)
    await arrivedHere(mixed, leech, save)
  })

  test('they download over a connection that we made', async () => {
    const { leech, save } = await theyFetch(mixed)
    const seed = await ourSeed(mixed)
    seed.handle.connectPeer(leech.endpoint)
    await arrivedThere(mixed, leech, save)
  })

  test('64 MiB arrive whole in both directions', async () => {
    const content = await makeContent(space, 'large', [['', 64 * MIB + 1]])
    const seed = await theirSeed(content)
    const first = await oursFetches(content)
    first.leech.handle.connectPeer(seed.endpoint)
    await arrivedHere(content, first.leech, first.save)
    const second = await theyFetch(content)
    second.leech.connect(first.leech.endpoint)
    await arrivedThere(content, second.leech, second.save)
  })

  for (const [name, length] of [
    ['one byte', 1],
    ['one block', BLOCK],
    ['one piece', PIECE],
    ['one piece and a byte', PIECE + 1],
  ] as const) {
    test(`a torrent of ${name} goes both ways`, async () => {
      const content = await makeContent(space, name.replaceAll(' ', '-'), [['', length]])
      const seed = await theirSeed(content)
      const first = await oursFetches(content)
      first.leech.handle.connectPeer(seed.endpoint)
      await arrivedHere(content, first.leech, first.save)
      const second = await theyFetch(content)
      second.leech.connect(first.leech.endpoint)
      await arrivedThere(content, second.leech, second.save)
    })
  }

  for (const [kind, flags] of [
    ['with pad files', ['v1_only', 'canonical_files']],
    ['that is hybrid', []],
    ['of v2', ['v2_only']],
  ] as const) {
    test(`a torrent ${kind} goes both ways`, async () => {
      const content = await makeContent(space, kind.replaceAll(' ', '-'), MIXED, flags)
      const seed = await theirSeed(content)
      const first = await oursFetches(content)
      first.leech.handle.connectPeer(seed.endpoint)
      await arrivedHere(content, first.leech, first.save)
      const second = await theyFetch(content)
      second.leech.connect(first.leech.endpoint)
      await arrivedThere(content, second.leech, second.save)
    })
  }

  test('that tries encryption first comes back without it', async () => {
    const seed = await ourSeed(mixed)
    const encryptionEnabled = { in_enc_policy: 1, out_enc_policy: 1 }
    const { leech, save } = await theyFetch(mixed, { settings: encryptionEnabled })
    leech.connect(seed.endpoint)
    await arrivedThere(mixed, leech, save)
  })

  test('that has half of the torrent exchanges the halves with us', async () => {
    const content = await makeContent(space, 'halves', [
      ['a', 2 * MIB],
      ['b', 2 * MIB],
    ])
    const seed = await theirSeed(content)
    const { leech: first, save } = await oursFetches(content)
    first.handle.filePriority(1, 0)
    first.handle.connectPeer(seed.endpoint)
    await first.finished()
    expect(first.handle.status()).toMatchObject({ isFinished: true, isSeeding: false })
    const other = await theyFetch(content)
    other.leech.connect(first.endpoint)
    await first.until('they have the first half', () => first.handle.status().totalPayloadUpload >= 2 * MIB)
    other.leech.connect(seed.endpoint)
    await other.leech.event('finished')
    await seed.stop()
    first.handle.filePriority(1, 4)
    first.handle.connectPeer(other.leech.endpoint)
    await first.until('the second half', () => first.handle.status().isSeeding)
    expectArrived(content, save)
    expectArrived(content, other.save)
  })
})
