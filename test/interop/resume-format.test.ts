import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { canTest } from './lib/child.ts'
import { Workspace, writeShape } from './lib/files.ts'
import { type LtParams, ltTool } from './lib/lt-tool.ts'
import { KINDS, makeTorrent, PIECE } from './lib/make.ts'
import { lib } from './lib/ours.ts'

const space = new Workspace()
const torrents = new Map<string, Uint8Array>()

beforeAll(async () => {
  const parent = space.dir()
  writeShape(parent, 'content', [
    ['a', 2 * PIECE + 1],
    ['b', PIECE],
    ['c', 10],
  ])
  for (const [kind, flags] of Object.entries(KINDS))
    torrents.set(kind, await makeTorrent(join(parent, 'content'), flags))
})
afterAll(() => space.remove())

/** Everything that resume data keeps, by libtorrent's names. */
function theirFields(pieces: number): Record<string, unknown> {
  return {
    save_path: '/downloads/Füße',
    trackers: ['http://a.example/announce', 'udp://b.example:80', 'http://c.example/announce'],
    tracker_tiers: [0, 0, 1],
    url_seeds: ['http://seed.example/x/'],
    file_priorities: [4, 0, 7],
    piece_priorities: Array.from({ length: pieces }, (_, i) => i % 8),
    have_pieces: Array.from({ length: pieces }, (_, i) => i % 2 === 0),
    verified_pieces: Array.from({ length: pieces }, (_, i) => i === 2),
    unfinished_pieces: { 1: [true, false, true, true] },
    renamed_files: { 0: 'content/other' },
    peers: [
      ['192.0.2.1', 6881],
      ['2001:db8::1', 6882],
    ],
    banned_peers: [['192.0.2.9', 1]],
    max_uploads: 5,
    max_connections: 50,
    upload_limit: 10000,
    download_limit: 20000,
    total_uploaded: 123456789012,
    total_downloaded: 9876543210,
    active_time: 100,
    finished_time: 50,
    seeding_time: 40,
    added_time: 1700000000,
    completed_time: 1700000100,
    last_seen_complete: 1700000200,
    num_complete: 7,
    num_incomplete: 8,
    num_downloaded: 9,
    last_download: 1700000300,
    last_upload: 1700000400,
    storage_mode: 0,
  }
}

/** The flags that resume data keeps. */
function keptFlags(): number[] {
  const { TorrentFlags } = lib
  return [
    TorrentFlags.seedMode,
    TorrentFlags.uploadMode,
    TorrentFlags.shareMode,
    TorrentFlags.applyIpFilter,
    TorrentFlags.paused,
    TorrentFlags.autoManaged,
    TorrentFlags.superSeeding,
    TorrentFlags.sequentialDownload,
    TorrentFlags.stopWhenReady,
    TorrentFlags.disableDht,
    TorrentFlags.disableLsd,
    TorrentFlags.disablePex,
  ]
}

/** What libtorrent reads, with the flags that are kept only. */
function readTheirs(data: Uint8Array): LtParams {
  const all = keptFlags().reduce((sum, flag) => sum | flag, 0)
  const params = ltTool.readResume(data)
  return { ...params, flags: params.flags & all }
}

/** What we read, in the form of `ltTool.readResume`. */
function read(data: Uint8Array): LtParams {
  const params = lib.readResumeData(data)
  const { v1, v2 } = params.infoHashes
  return {
    v1: params.infoHashes.hasV1() ? v1.toString() : '',
    v2: params.infoHashes.hasV2() ? v2.toString() : '',
    name: params.name,
    savePath: params.savePath,
    trackers: params.trackers,
    tiers: params.trackerTiers,
    urlSeeds: params.urlSeeds,
    peers: params.peers.map(([host, port]): [string, number] => [host, port]),
    dhtNodes: params.dhtNodes,
    filePriorities: params.filePriorities,
    piecePriorities: params.piecePriorities,
    havePieces: params.havePieces,
    verifiedPieces: params.verifiedPieces,
    unfinishedPieces: params.unfinishedPieces,
    renamedFiles: params.renamedFiles,
    flags: params.flags & keptFlags().reduce((sum, flag) => sum | flag, 0),
    storageMode: params.storageMode,
    uploadLimit: params.uploadLimit,
    downloadLimit: params.downloadLimit,
    maxConnections: params.maxConnections,
    maxUploads: params.maxUploads,
    totalUploaded: params.totalUploaded,
    totalDownloaded: params.totalDownloaded,
    activeTime: params.activeTime,
    finishedTime: params.finishedTime,
    seedingTime: params.seedingTime,
    addedTime: params.addedTime,
    completedTime: params.completedTime,
    lastSeenComplete: params.lastSeenComplete,
    numComplete: params.numComplete,
    numIncomplete: params.numIncomplete,
    numDownloaded: params.numDownloaded,
    lastDownload: params.lastDownload,
    lastUpload: params.lastUpload,
    info: params.ti === null ? '' : createHash('sha256').update(params.ti.infoSection()).digest('hex'),
  }
}

describe.runIf(canTest('libtorrent'))('resume data', () => {
  for (const kind of Object.keys(KINDS)) {
    test(`of a ${kind} torrent, written by libtorrent, is read the same`, () => {
      const torrent = torrents.get(kind)!
      const pieces = lib.loadTorrentBuffer(torrent).ti!.numPieces()
      const data = ltTool.writeResume(torrent, theirFields(pieces))
      expect(read(data)).toEqual(readTheirs(data))
    })

    test(`of a ${kind} torrent, read and written again by us, is the same to libtorrent`, () => {
      const torrent = torrents.get(kind)!
      const pieces = lib.loadTorrentBuffer(torrent).ti!.numPieces()
      const data = ltTool.writeResume(torrent, theirFields(pieces))
      const again = lib.writeResumeDataBuf(lib.readResumeData(data))
      expect(readTheirs(again)).toEqual(readTheirs(data))
      expect(read(again)).toEqual(read(data))
    })
  }

  test('with the flags of each bit, written by us, has them for libtorrent', () => {
    const torrent = torrents.get('v1')!
    const kept = keptFlags()
    for (const flag of kept) {
      const params = lib.loadTorrentBuffer(torrent)
      params.flags = flag
      const data = lib.writeResumeDataBuf(params)
      expect(readTheirs(data).flags).toBe(flag)
      expect(read(data).flags).toBe(flag)
    }
  })
})
