/**
 * BitTorrent v2 with libtorrent: torrents of which a peer knows only the info-hash, so that it has to ask for the hashes of
 * pieces and blocks; merkle trees in resume data; hybrid torrents under either of their names.
 */

import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { canTest } from './lib/child.ts'
import { BLOCK, digests, KIB, MIB, type Shape } from './lib/files.ts'
import type { LtPeer } from './lib/lt-peer.ts'
import { makeTorrent, PIECE } from './lib/make.ts'
import { lib, type Ours } from './lib/ours.ts'
import { type Content, expectArrived, linkTo, makeContent, torrentFile } from './lib/scenario.ts'
import { setStage } from './lib/stage.ts'

type Which = 'v1' | 'v2' | 'both'

const KINDS = [
  ['v2', ['v2_only']],
  ['hybrid', []],
] as const

/** Each kind of torrent by each of its links. */
const LINKS = [
  ['v2', ['v2_only'], 'v2'],
  ['hybrid', [], 'v1'],
  ['hybrid', [], 'v2'],
  ['hybrid', [], 'both'],
] as const

/** Files of all sizes that are special in a merkle tree. */
const SIZES: Shape = [
  ['a/tiny', 5],
  ['b/empty', 0],
  ['c/one block', BLOCK],
  ['d/one piece', PIECE],
  ['e/power of two', 8 * PIECE],
  ['f/a block more', 5 * PIECE + BLOCK],
  ['g/not whole', 3 * PIECE + 12345],
  ['h/same as g', 0],
]

/** More pieces than one request for hashes may ask for. */
const LONG: Shape = [['', 600 * 32 * KIB + BLOCK]]
const LONG_PIECE = 32 * KIB

const BYTES_PER_SECOND = 3 * MIB

const { space, theirs, ours, theirSeed, ourSeed } = setStage()

/** Waits for something of ours, and no longer once its torrent has failed. */
function waitFor<T>(peer: Ours, what: string, look: () => T | null | undefined | false): Promise<T> {
  return peer.until(
    what,
    () => {
      const failed = peer.alerts.find(alert => alert.what() === 'torrent_error')
      if (failed !== undefined) throw new Error(failed.message())
      return look()
    },
    40_000,
  )
}

async function arrivedHere(content: Content, leech: Ours, save: string): Promise<void> {
  await waitFor(leech, 'everything', () => leech.handle.status().isSeeding)
  expect(leech.alerts.filter(alert => alert.what() === 'hash_failed')).toEqual([])
  expect(leech.handle.status()).toMatchObject({ progress: 1, totalFailedBytes: 0 })
  expectArrived(content, save)
}

async function arrivedThere(content: Content, leech: LtPeer, save: string): Promise<void> {
  await leech.event('finished', 40_000)
  expect(leech.events.filter(event => event.event === 'hash_failed')).toEqual([])
  expect(await leech.status()).toMatchObject({ progress: 1, failed: 0 })
  expectArrived(content, save)
}

/** A torrent file can be made of resume data: the piece layers are in it. */
function expectPieceLayers(content: Content, resume: Uint8Array): void {
  const original = lib.loadTorrentBuffer(content.torrent)
  const written = lib.loadTorrentBuffer(lib.writeTorrentFileBuf(lib.readResumeData(resume)))
  expect(written.infoHashes.equals(original.infoHashes)).toBe(true)
  expect(written.merkleTrees).toEqual(original.merkleTrees)
}

/** Files of the same content, of which a torrent file has the hashes once. */
async function makeSizes(name: string, flags: readonly string[]): Promise<Content> {
  const first = await makeContent(space, name, SIZES, flags)
  const folder = join(first.parent, name)
  copyFileSync(join(folder, 'g/not whole'), join(folder, 'h/same as g'))
  const torrent = await makeTorrent(folder, flags)
  const hashes = lib.loadTorrentBuffer(torrent).infoHashes
  const infoHash = (hashes.hasV1() ? hashes.v1 : hashes.v2).toString().slice(0, 40)
  return { ...first, torrent, infoHash, files: digests(folder) }
}

describe.runIf(canTest('libtorrent'))('by a torrent file', () => {
  for (const [kind, flags] of KINDS) {
    test(`a ${kind} torrent of files of all sizes comes from libtorrent`, async () => {
      const content = await makeSizes(`from-${kind}`, flags)
      const seed = await theirSeed(content)
      const save = space.dir('leech')
      const leech = await ours({ torrent: content.torrent, save })
      leech.handle.connectPeer(seed.endpoint)
      await arrivedHere(content, leech, save)
    })

    test(`a ${kind} torrent of files of all sizes goes to libtorrent`, async () => {
      const content = await makeSizes(`to-${kind}`, flags)
      const seed = await ourSeed(content)
      const save = space.dir('leech')
      const leech = await theirs({ torrent: torrentFile(space, content), save, connect: [seed.endpoint] })
      await arrivedThere(content, leech, save)
    })

    test(`a ${kind} torrent whose file has no piece layers comes from libtorrent`, async () => {
      const content = await makeSizes(`bare-${kind}`, flags)
      const params = lib.loadTorrentBuffer(content.torrent)
      params.merkleTrees = []
      const bare = lib.writeTorrentFileBuf(params, lib.WriteFlags.allowMissingPieceLayer)
      expect(lib.loadTorrentBuffer(bare).merkleTrees).toEqual([])
      const seed = await theirSeed(content)
      const save = space.dir('leech')
      const leech = await ours({ torrent: bare, save })
      leech.handle.connectPeer(seed.endpoint)
      await arrivedHere(content, leech, save)
      expectPieceLayers(content, await leech.saveResume())
    })
  }
})

describe.runIf(canTest('libtorrent'))('by a link', () => {
  async function weFetch(content: Content, which: Which): Promise<void> {
    const seed = await theirSeed(content)
    const save = space.dir('leech')
    const leech = await ours({ magnet: linkTo(content, which), save })
    leech.handle.connectPeer(seed.endpoint)
    await arrivedHere(content, leech, save)
    const { infoHashes } = lib.loadTorrentBuffer(content.torrent)
    expect(leech.handle.infoHashes().equals(infoHashes)).toBe(true)
    const whole = leech.handle.torrentFileWithHashes()
    expect(whole?.v2PieceHashesVerified()).toBe(true)
    expectPieceLayers(content, await leech.saveResume())
  }

  async function theyFetch(content: Content, which: Which): Promise<void> {
    const seed = await ourSeed(content)
    const save = space.dir('leech')
    const leech = await theirs({ magnet: linkTo(content, which), save, connect: [seed.endpoint] })
    await arrivedThere(content, leech, save)
    expectPieceLayers(content, await leech.saveResume())
    const errors = seed.alerts.filter(alert => alert.what() === 'peer_error').map(alert => alert.message())
    expect(errors).toEqual([])
  }

  for (const [kind, flags, which] of LINKS) {
    const what = `a ${kind} torrent with ${which === 'both' ? 'both hashes' : `its ${which} hash`}`

    test(`${what} comes from libtorrent, hashes and all`, async () => {
      await weFetch(await makeSizes(`link-from-${kind}-${which}`, flags), which)
    })

    test(`${what} goes to libtorrent, hashes and all`, async () => {
      await theyFetch(await makeSizes(`link-to-${kind}-${which}`, flags), which)
    })
  }

  test('a hybrid torrent of which only the v2 hashes are looked at comes from libtorrent', async () => {
    const content = await makeSizes('v1-disabled', [])
    const seed = await theirSeed(content)
    const save = space.dir('leech')
    const params = lib.parseMagnetUri(linkTo(content, 'v1'))
    params.flags |= lib.TorrentFlags.disableV1Hashes
    const leech = await ours({ params, save })
    leech.handle.connectPeer(seed.endpoint)
    await arrivedHere(content, leech, save)
    expect(leech.handle.flags() & lib.TorrentFlags.disableV1Hashes).not.toBe(0)
    expectPieceLayers(content, await leech.saveResume())
  })

  test('one file of a v2 torrent comes from libtorrent, with its hashes', async () => {
    const content = await makeSizes('one-file', ['v2_only'])
    const files = lib.loadTorrentBuffer(content.torrent).ti!.layout()
    const wanted = Array.from({ length: files.numFiles() }, (_, i) => i).find(i => files.fileSize(i) === 8 * PIECE)!
    const seed = await theirSeed(content)
    const save = space.dir('leech')
    const params = lib.parseMagnetUri(linkTo(content, 'v2'))
    params.filePriorities = Array.from({ length: files.numFiles() }, (_, i) => (i === wanted ? 4 : 0))
    const leech = await ours({ params, save })
    leech.handle.connectPeer(seed.endpoint)
    await waitFor(leech, 'the file', () => leech.handle.status().isFinished)
    expect(leech.handle.status().totalWantedDone).toBe(8 * PIECE)
    const path = join(content.name, 'e/power of two')
    expect(readFileSync(join(save, path)).equals(readFileSync(join(content.parent, path)))).toBe(true)
    expect(leech.handle.pieceLayers()[wanted]!.length).toBe(8 * 32)
  })

  test('a v2 torrent of more pieces than one request covers comes from libtorrent', async () => {
    await weFetch(await makeContent(space, 'long-from', LONG, ['v2_only'], LONG_PIECE), 'v2')
  })

  test('a v2 torrent of more pieces than one request covers goes to libtorrent', async () => {
    await theyFetch(await makeContent(space, 'long-to', LONG, ['v2_only'], LONG_PIECE), 'v2')
  })

  test('a v2 torrent whose pieces are blocks comes from libtorrent', async () => {
    await weFetch(await makeContent(space, 'blocks-from', SIZES, ['v2_only'], BLOCK), 'v2')
  })

  test('a v2 torrent whose pieces are blocks goes to libtorrent', async () => {
    await theyFetch(await makeContent(space, 'blocks-to', SIZES, ['v2_only'], BLOCK), 'v2')
  })

  test('a v2 torrent with large pieces comes from libtorrent', async () => {
    await weFetch(await makeContent(space, 'large-from', [['', 5 * MIB + BLOCK]], ['v2_only'], 2 * MIB), 'v2')
  })

  test('a v2 torrent with large pieces goes to libtorrent', async () => {
    await theyFetch(await makeContent(space, 'large-to', [['', 5 * MIB + BLOCK]], ['v2_only'], 2 * MIB), 'v2')
  })
})

describe.runIf(canTest('libtorrent'))('one hybrid swarm', () => {
  test('a leech of ours with the v1 hash and one of libtorrent with the v2 hash', async () => {
    const content = await makeContent(space, 'swarm-a', [...SIZES, ['z', 4 * MIB]], [])
    const seed = await theirSeed(content, { upload_limit: BYTES_PER_SECOND })
    const [firstSave, secondSave] = [space.dir('leech'), space.dir('leech')]
    const first = await ours({ magnet: linkTo(content, 'v1'), save: firstSave })
    first.handle.connectPeer(seed.endpoint)
    // from now on it has both names
    await first.alert('metadata_received')
    const second = await theirs({
      magnet: linkTo(content, 'v2'),
      save: secondSave,
      listen: '127.0.0.4:0',
      connect: [first.endpoint],
    })
    await arrivedHere(content, first, firstSave)
    await arrivedThere(content, second, secondSave)
    expect((await second.status()).downloaded).toBeGreaterThan(4 * MIB)
  })

  test('a leech of libtorrent with the v1 hash and one of ours with the v2 hash', async () => {
    const content = await makeContent(space, 'swarm-b', [...SIZES, ['z', 4 * MIB]], [])
    const seed = await ourSeed(content)
    seed.handle.setUploadLimit(BYTES_PER_SECOND)
    const [firstSave, secondSave] = [space.dir('leech'), space.dir('leech')]
    const first = await theirs({ magnet: linkTo(content, 'v1'), save: firstSave, connect: [seed.endpoint] })
    await first.event('checked')
    const second = await ours({ magnet: linkTo(content, 'v2'), save: secondSave, listen: '127.0.0.4:0' })
    second.handle.connectPeer(first.endpoint)
    await arrivedThere(content, first, firstSave)
    await arrivedHere(content, second, secondSave)
  })

  test('leeches that know it by different hashes meet at a seed of ours, and trade', async () => {
    const content = await makeContent(space, 'swarm-c', [...SIZES, ['z', 4 * MIB]], [])
    const seed = await ourSeed(content)
    seed.handle.setUploadLimit(BYTES_PER_SECOND)
    const saves = [space.dir('leech'), space.dir('leech'), space.dir('leech')] as const
    const first = await ours({ magnet: linkTo(content, 'v1'), save: saves[0], listen: '127.0.0.4:0' })
    const second = await ours({ magnet: linkTo(content, 'v2'), save: saves[1], listen: '127.0.0.5:0' })
    for (const peer of [first, second]) peer.handle.connectPeer(seed.endpoint)
    for (const peer of [first, second]) await peer.alert('metadata_received')
    const third = await theirs({
      magnet: linkTo(content, 'v2'),
      save: saves[2],
      listen: '127.0.0.6:0',
      connect: [first.endpoint, second.endpoint],
    })
    first.handle.connectPeer(second.endpoint)
    await arrivedHere(content, first, saves[0])
    await arrivedHere(content, second, saves[1])
    await arrivedThere(content, third, saves[2])
    expect(first.handle.infoHashes().equals(second.handle.infoHashes())).toBe(true)
  })
})

describe.runIf(canTest('libtorrent'))('a liar', () => {
  for (const [kind, flags] of KINDS) {
    test(`in the swarm of a ${kind} torrent is found, and nobody else is banned`, async () => {
      const content = await makeContent(space, `lies-${kind}`, [['', 4 * MIB]], flags)
      const lies = space.dir('lies')
      const data = readFileSync(join(content.parent, content.name))
      // the last block of each piece
      for (let at = PIECE - 1; at < data.length; at += PIECE) data[at]! ^= 1
      writeFileSync(join(lies, content.name), data)
      // they do not connect to us, which they would from another address
      const liar = await theirSeed(
        { ...content, parent: lies },
        { settings: { disable_hash_checks: true, connection_speed: 0 }, seed_mode: true, upload_limit: MIB },
      )
      const honest = await theirSeed(content, {
        settings: { connection_speed: 0 },
        listen: '127.0.0.4:0',
        upload_limit: MIB,
      })
      const save = space.dir('leech')
      const leech = await ours({ magnet: linkTo(content, 'v2'), save })
      leech.handle.connectPeer(liar.endpoint)
      leech.handle.connectPeer(honest.endpoint)
      await waitFor(leech, 'everything', () => leech.handle.status().isSeeding)
      expectArrived(content, save)
      const banned = leech.alerts.filter(alert => alert.what() === 'peer_ban') as unknown as { ep: [string, number] }[]
      const addresses = banned.map(({ ep }) => ep[0])
      expect(addresses).toContain('127.0.0.2')
      expect(addresses).not.toContain('127.0.0.4')
      expect(leech.alerts.map(alert => alert.what())).toContain('hash_failed')
    })
  }
})

/** What another session needs to go on: the data, and the files as they were left. */
interface Interrupted {
  readonly resume: Uint8Array
  readonly save: string
  readonly pieces: readonly boolean[]
}

describe.runIf(canTest('libtorrent'))('resume data with merkle trees', () => {
  const half: Shape = [...SIZES, ['z/large', 6 * MIB + 5]]

  async function ourHalf(content: Content, which: Which): Promise<Interrupted> {
    const save = space.dir('partial')
    const peer = await ours({ magnet: linkTo(content, which), save })
    peer.handle.setDownloadLimit(BYTES_PER_SECOND)
    peer.handle.connectPeer((await theirSeed(content)).endpoint)
    await waitFor(peer, 'a part', () => peer.handle.status().progress > 0.3)
    peer.handle.pause()
    const resume = await peer.saveResume()
    const { pieces } = peer.handle.status(lib.StatusFlags.queryPieces)
    await peer.stop()
    return { resume, save, pieces }
  }

  async function theirHalf(content: Content, which: Which): Promise<Interrupted> {
    const save = space.dir('partial')
    const seed = await theirSeed(content)
    const peer = await theirs({
      magnet: linkTo(content, which),
      save,
      download_limit: BYTES_PER_SECOND,
      connect: [seed.endpoint],
    })
    while ((await peer.status()).progress <= 0.3) await new Promise(resolve => setTimeout(resolve, 50))
    peer.child.tell({ do: 'pause' })
    const resume = await peer.saveResume()
    const { pieces } = await peer.status()
    await peer.stop()
    await seed.stop()
    return { resume, save, pieces }
  }

  async function weGoOn(content: Content, from: Interrupted): Promise<Ours> {
    const peer = await ours({ params: lib.readResumeData(from.resume), save: from.save })
    expect(peer.alerts.filter(alert => alert.what() === 'fastresume_rejected')).toEqual([])
    expect(peer.handle.status(lib.StatusFlags.queryPieces).pieces).toEqual(from.pieces)
    expect(await peer.blocksHashed()).toBe(0)
    expect(peer.states).not.toContain(lib.TorrentStatus.checkingFiles)
    peer.handle.setDownloadLimit(0)
    peer.handle.connectPeer((await theirSeed(content, { listen: '127.0.0.5:0' })).endpoint)
    await arrivedHere(content, peer, from.save)
    return peer
  }

  async function theyGoOn(content: Content, from: Interrupted): Promise<LtPeer> {
    const peer = await theirs({ resume: space.file('their.resume', from.resume), save: from.save })
    expect(peer.events.filter(event => event.event === 'rejected' || event.event === 'error')).toEqual([])
    expect((await peer.status()).pieces).toEqual(from.pieces)
    expect(await peer.blocksHashed()).toBe(0)
    expect(peer.states).not.toContain('checking_files')
    peer.connect((await theirSeed(content, { listen: '127.0.0.5:0' })).endpoint)
    await arrivedThere(content, peer, from.save)
    return peer
  }

  for (const [kind, flags, which] of LINKS) {
    if (kind === 'hybrid' && which === 'both') continue
    const what = `of a ${kind} torrent that was begun by its ${which} hash`

    test(`${what} here, lets libtorrent go on`, async () => {
      const content = await makeContent(space, `ours-${kind}-${which}`, half, flags)
      const peer = await theyGoOn(content, await ourHalf(content, which))
      expectPieceLayers(content, await peer.saveResume())
    })

    test(`${what} there, lets us go on`, async () => {
      const content = await makeContent(space, `theirs-${kind}-${which}`, half, flags)
      const peer = await weGoOn(content, await theirHalf(content, which))
      expectPieceLayers(content, await peer.saveResume())
    })
  }

  for (const [kind, flags] of KINDS) {
    test(`of a whole ${kind} torrent with all block hashes, libtorrent's, makes us a seed that tells them`, async () => {
      const content = await makeSizes(`blocks-${kind}`, flags)
      const first = await theirSeed(content)
      const resume = await first.saveResume()
      await first.stop()
      // as libtorrent keeps them after a check: leaves, not pieces
      const params = lib.readResumeData(resume)
      const files = params.ti!.layout()
      const long = Array.from({ length: files.numFiles() }, (_, i) => i).find(i => files.fileSize(i) === 8 * PIECE)!
      expect(params.merkleTrees[long]!.length / 32).toBe(files.fileNumBlocks(long))
      expectPieceLayers(content, resume)

      const seed = await ours({ params, save: content.parent, listen: '127.0.0.3:0' })
      expect(seed.handle.status().isSeeding).toBe(true)
      expect(await seed.blocksHashed()).toBe(0)
      expectPieceLayers(content, await seed.saveResume())
      const save = space.dir('leech')
      const leech = await theirs({ magnet: linkTo(content, 'v2'), save, connect: [seed.endpoint] })
      await arrivedThere(content, leech, save)
    })

    test(`of a whole ${kind} torrent, ours, makes libtorrent a seed that tells hashes`, async () => {
      const content = await makeSizes(`whole-${kind}`, flags)
      const first = await ourSeed(content)
      const resume = await first.saveResume()
      await first.stop()
      const seed = await theirs({
        resume: space.file('their.resume', resume),
        save: content.parent,
        listen: '127.0.0.2:0',
      })
      expect(await seed.status()).toMatchObject({ state: 'seeding', progress: 1 })
      const save = space.dir('leech')
      const leech = await ours({ magnet: linkTo(content, 'v2'), save })
      leech.handle.connectPeer(seed.endpoint)
      await arrivedHere(content, leech, save)
    })
  }

  test('whose trees are of another torrent is taken without them', async () => {
    const content = await makeContent(space, 'mixed-up', [['', 2 * MIB]], ['v2_only'])
    const other = await makeContent(space, 'another', [['', 2 * MIB]], ['v2_only'])
    const first = await theirSeed(content)
    const params = lib.readResumeData(await first.saveResume())
    await first.stop()
    const wrong = lib.loadTorrentBuffer(other.torrent)
    params.merkleTrees = wrong.merkleTrees
    params.merkleTreeMask = wrong.merkleTreeMask
    params.verifiedLeafHashes = wrong.verifiedLeafHashes
    params.havePieces = []
    const save = space.dir('leech')
    const leech = await ours({ params, save })
    leech.handle.connectPeer((await theirSeed(content)).endpoint)
    await arrivedHere(content, leech, save)
    expectPieceLayers(content, await leech.saveResume())
  })
})
