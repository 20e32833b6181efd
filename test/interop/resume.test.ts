import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { canTest } from './lib/child.ts'
import { KIB, MIB } from './lib/files.ts'
import type { LtPeer } from './lib/lt-peer.ts'
import { ltTool } from './lib/lt-tool.ts'
import { lib } from './lib/ours.ts'
import { type Content, expectArrived, makeContent, torrentFile } from './lib/scenario.ts'
import { setStage } from './lib/stage.ts'

const stage = setStage()
const { space } = stage

const LENGTH = 8 * MIB + 5
const BYTES_PER_SECOND = 3 * MIB

/** What another session needs to go on: the data, and the files as they were left. */
interface Interrupted {
  readonly resume: Uint8Array
  readonly save: string
  /** Done when it was interrupted. */
  readonly pieces: readonly boolean[]
}

async function oursInterrupted(content: Content, whole: boolean): Promise<Interrupted> {
  const save = whole ? content.parent : space.dir('partial')
  const peer = await stage.ours({ torrent: content.torrent, save })
  if (!whole) {
    peer.handle.setDownloadLimit(BYTES_PER_SECOND)
    peer.handle.connectPeer((await theirSeed(content)).endpoint)
    await peer.until('a part', () => peer.handle.status().progress > 0.3)
    peer.handle.pause()
  }
  const resume = await peer.saveResume()
  const pieces = peer.handle.status(lib.StatusFlags.queryPieces).pieces
  await peer.stop()
  return { resume, save, pieces }
}

async function theirsInterrupted(content: Content, whole: boolean): Promise<Interrupted> {
  const save = whole ? content.parent : space.dir('partial')
  const limit = whole ? {} : { download_limit: BYTES_PER_SECOND }
  const peer = await stage.theirs({ torrent: torrentFile(space, content), save, ...limit })
  if (!whole) {
    peer.connect((await theirSeed(content)).endpoint)
    while ((await peer.status()).progress <= 0.3) await new Promise(resolve => setTimeout(resolve, 50))
    peer.child.tell({ do: 'pause' })
  }
  const resume = await peer.saveResume()
  const { pieces } = await peer.status()
  await peer.stop()
  return { resume, save, pieces }
}

function theirSeed(content: Content): Promise<LtPeer> {
  return stage.theirSeed(content, { seed_mode: true })
}

/** libtorrent goes on from there without reading the files again, to the end. */
async function theyContinue(content: Content, from: Interrupted, whole: boolean): Promise<void> {
  const peer = await stage.theirs({ resume: space.file('their.resume', from.resume), save: from.save })
  expect(peer.events.filter(event => event.event === 'rejected' || event.event === 'error')).toEqual([])
  const status = await peer.status()
  expect(status.pieces).toEqual(from.pieces)
  expect(peer.states).not.toContain('checking_files')
  expect(await peer.blocksHashed()).toBe(0)
  if (whole) return expect(status.state).toBe('seeding')
  expect(status.state).toBe('downloading')
  peer.connect((await theirSeed(content)).endpoint)
  await peer.event('finished')
  expect((await peer.status()).failed).toBe(0)
  expect((await peer.status()).downloaded).toBeLessThan(LENGTH)
  expectArrived(content, from.save)
}

/** We go on from there without reading the files again, to the end. */
async function weContinue(content: Content, from: Interrupted, whole: boolean): Promise<void> {
  const peer = await stage.ours({ params: lib.readResumeData(from.resume), save: from.save })
  expect(peer.alerts.filter(alert => alert.what() === 'fastresume_rejected')).toEqual([])
  const status = peer.handle.status(lib.StatusFlags.queryPieces)
  expect(status.pieces).toEqual(from.pieces)
  expect(peer.states).not.toContain(lib.TorrentStatus.checkingFiles)
  expect(await peer.blocksHashed()).toBe(0)
  if (whole) return expect(status.state).toBe(lib.TorrentStatus.seeding)
  expect(status.state).toBe(lib.TorrentStatus.downloading)
  peer.handle.setDownloadLimit(0)
  peer.handle.connectPeer((await theirSeed(content)).endpoint)
  await peer.finished()
  expect(peer.handle.status().totalFailedBytes).toBe(0)
  expect(peer.handle.status().totalPayloadDownload).toBeLessThan(LENGTH)
  expectArrived(content, from.save)
}

describe.runIf(canTest('libtorrent'))('resume data', () => {
  for (const [kind, flags] of [
    ['v1', ['v1_only']],
    ['hybrid', []],
    ['v2', ['v2_only']],
  ] as const) {
    for (const whole of [true, false]) {
      const what = `of a ${whole ? 'whole' : 'half-finished'} ${kind} torrent`

      test(`${what}, ours, lets libtorrent continue without a recheck`, async () => {
        const content = await makeContent(space, 'ours', [['', LENGTH]], flags, 512 * KIB)
        const from = await oursInterrupted(content, whole)
        expect(ltTool.readResume(from.resume).havePieces).toEqual(from.pieces)
        await theyContinue(content, from, whole)
      })

      test(`${what}, libtorrent's, lets us continue without a recheck`, async () => {
        const content = await makeContent(space, 'theirs', [['', LENGTH]], flags, 512 * KIB)
        const from = await theirsInterrupted(content, whole)
        expect(lib.readResumeData(from.resume).havePieces).toEqual(from.pieces)
        await weContinue(content, from, whole)
      })

      test(`${what}, ours, lets us continue without a recheck`, async () => {
        const content = await makeContent(space, 'again', [['', LENGTH]], flags, 512 * KIB)
        await weContinue(content, await oursInterrupted(content, whole), whole)
      })
    }
  }

  test('of files that are gone is rejected, and the torrent starts anew', async () => {
    const content = await makeContent(space, 'gone', [['', LENGTH]])
    const from = await oursInterrupted(content, true)
    const save = join(space.dir(), 'empty')
    const peer = await stage.ours({ params: lib.readResumeData(from.resume), save })
    await peer.alert('fastresume_rejected')
    peer.handle.connectPeer((await theirSeed(content)).endpoint)
    await peer.until('everything again', () => peer.handle.status().isSeeding)
    expectArrived(content, save)
  })
})
