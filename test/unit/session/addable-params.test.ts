import { expect, test } from 'vitest'
import { InfoHash, Sha1Hash } from '../../../src/core/digest.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import { AddTorrentParams } from '../../../src/metainfo/add-torrent-params.ts'
import { CreateFileEntry } from '../../../src/metainfo/create-file-entry.ts'
import { CreateFlags } from '../../../src/metainfo/create-flags.ts'
import { CreateTorrent } from '../../../src/metainfo/create-torrent.ts'
import { loadTorrentBuffer } from '../../../src/metainfo/load-torrent.ts'
import { TorrentInfo } from '../../../src/metainfo/torrent-info.ts'
import { hashesOf, ownParams, refusalOf } from '../../../src/session/addable-params.ts'

const OTHER = new InfoHash(new Sha1Hash(new Uint8Array(20).fill(7)))

function info(): TorrentInfo {
  const creator = new CreateTorrent([new CreateFileEntry('file', 16384)], 16384, CreateFlags.v1Only)
  creator.setHash(0, new Sha1Hash(new Uint8Array(20).fill(1)))
  return new TorrentInfo(loadTorrentBuffer(creator.generateBuf()).ti!)
}

function params(of: Partial<AddTorrentParams>): AddTorrentParams {
  return Object.assign(new AddTorrentParams(), { savePath: '/data' }, of)
}

test.each([
  ['metadata', () => ({ ti: info() }), null],
  ['a hash', () => ({ infoHashes: OTHER }), null],
  ['nothing that names it', () => ({}), LibtorrentErrors.missingInfoHashInUri],
  ['metadata and the hash of another', () => ({ ti: info(), infoHashes: OTHER }), LibtorrentErrors.mismatchingInfoHash],
  ['no place to save it', () => ({ infoHashes: OTHER, savePath: '' }), LibtorrentErrors.invalidSavePath],
])('a torrent with %s', (_what, of, refusal) => {
  expect(refusalOf(params(of()))).toBe(refusal)
})

test('the hashes of the metadata count', () => {
  const ti = info()
  expect(hashesOf(params({ ti }))).toEqual(ti.infoHashes())
  expect(hashesOf(params({ infoHashes: OTHER }))).toBe(OTHER)
})

test('trackers, web seeds and nodes of the metadata come along, but for lists that are given', () => {
  const ti = info()
  ti.addTracker('http://tracker.test/a', 2)
  ti.addUrlSeed('http://seed.test/')
  ti.addNode('node.test', 6881)
  const carried = ownParams(params({ ti }))
  expect(carried.trackers).toEqual(['http://tracker.test/a'])
  expect(carried.trackerTiers).toEqual([2])
  expect(carried.urlSeeds).toEqual(['http://seed.test/'])
  expect(carried.dhtNodes).toEqual([['node.test', 6881]])
  const own = ownParams(params({ ti, trackers: ['http://own.test/'], trackerTiers: [0] }))
  expect(own.trackers).toEqual(['http://own.test/'])
  expect(own.trackerTiers).toEqual([0])
})
