import { describe, expect, test } from 'vitest'
import { BdecodeError, bdecode, bdecodeNode } from '../../../src/bencode/bdecode.ts'
import { bencode } from '../../../src/bencode/bencode.ts'
import type { Entry } from '../../../src/bencode/entry.ts'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { Sha1Hash, Sha256Hash } from '../../../src/core/digest.ts'
import { StorageMode, TorrentFlags, WriteFlags } from '../../../src/core/enums.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import { AddTorrentParams } from '../../../src/metainfo/add-torrent-params.ts'
import { CreateFileEntry } from '../../../src/metainfo/create-file-entry.ts'
import { CreateTorrent } from '../../../src/metainfo/create-torrent.ts'
import { loadTorrentBuffer } from '../../../src/metainfo/load-torrent.ts'
import { readResumeData } from '../../../src/metainfo/resume-read.ts'
import { writeResumeData, writeResumeDataBuf } from '../../../src/metainfo/resume-write.ts'
import { writeTorrentFile, writeTorrentFileBuf } from '../../../src/metainfo/write-torrent-file.ts'
import { codeOf } from './code-of.ts'

/** Written by libtorrent 2.0.8, whose format (version 1) has a byte for each piece. */
const LIBTORRENT_2_0 = Buffer.from(
  'ZDExOmFjdGl2ZV90aW1laTFlMTA6YWRkZWRfdGltZWkxNjAwMDAwMDAwZTEwOmFsbG9jYXRpb244OmFsbG9jYXRlMTU6YXBwbHlfaXBfZmlsdGVyaTBlMTI6YXV0b19tYW5hZ2VkaTBlMTI6YmFubmVkX3BlZXJzNjoJCAcGADYxMzpiYW5uZWRfcGVlcnM2MDoxNDpjb21wbGV0ZWRfdGltZWkxNjAwMDAwMDAxZTEzOmNyZWF0aW9uIGRhdGVpNWUxMTpkaXNhYmxlX2RodGkxZTExOmRpc2FibGVfbHNkaTBlMTE6ZGlzYWJsZV9wZXhpMGUxOTpkb3dubG9hZF9yYXRlX2xpbWl0aTE4ZTExOmZpbGUtZm9ybWF0MjI6bGlidG9ycmVudCByZXN1bWUgZmlsZTEyOmZpbGUtdmVyc2lvbmkxZTEzOmZpbGVfcHJpb3JpdHlsaTRlaTBlZTEzOmZpbmlzaGVkX3RpbWVpMmU5Omh0dHBzZWVkc2xlNDppbmZvZDU6ZmlsZXNsZDY6bGVuZ3RoaTQwMDAwZTQ6cGF0aGwxOmFlZWQ2Omxlbmd0aGk1MDAwMGU0OnBhdGhsMTpiZWVlNDpuYW1lMTp0MTI6cGllY2UgbGVuZ3RoaTE2Mzg0ZTY6cGllY2VzMTIwOgEBAQEBAQEBAQEBAQEBAQEBAQEBAgICAgICAgICAgICAgICAgICAgIDAwMDAwMDAwMDAwMDAwMDAwMDAwQEBAQEBAQEBAQEBAQEBAQEBAQEBQUFBQUFBQUFBQUFBQUFBQUFBQUGBgYGBgYGBgYGBgYGBgYGBgYGBmU5OmluZm8taGFzaDIwOvf3QluSbJlIKYEp653X82hDyebUMTA6aW5mby1oYXNoMjMyOgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAMTM6bGFzdF9kb3dubG9hZGkxMGUxODpsYXN0X3NlZW5fY29tcGxldGVpOWUxMTpsYXN0X3VwbG9hZGkxMWUxODpsaWJ0b3JyZW50LXZlcnNpb243OjIuMC44LjAxMjptYXBwZWRfZmlsZXNsMDozOnQvY2UxNTptYXhfY29ubmVjdGlvbnNpMTZlMTE6bWF4X3VwbG9hZHNpMTVlNDpuYW1lMTp0MTI6bnVtX2NvbXBsZXRlaTEyZTE0Om51bV9kb3dubG9hZGVkaTE0ZTE0Om51bV9pbmNvbXBsZXRlaTEzZTY6cGF1c2VkaTBlNTpwZWVyczY6AQIDBAAFNjpwZWVyczYxODoAAAAAAAAAAAAAAAAAAAABAAYxNDpwaWVjZV9wcmlvcml0eTY6BAQABwEENjpwaWVjZXM2OgEAAwEAADk6c2F2ZV9wYXRoODovZGF0YS/DvDk6c2VlZF9tb2RlaTFlMTI6c2VlZGluZ190aW1laTNlMTk6c2VxdWVudGlhbF9kb3dubG9hZGkxZTEwOnNoYXJlX21vZGVpMGUxNTpzdG9wX3doZW5fcmVhZHlpMGUxMzpzdXBlcl9zZWVkaW5naTBlMTY6dG90YWxfZG93bmxvYWRlZGk3ZTE0OnRvdGFsX3VwbG9hZGVkaTEwOTk1MTE2Mjc3NzZlODp0cmFja2Vyc2xsMTA6aHR0cDovL2EveGUwOmw5OnVkcDovL2I6MTk6aHR0cDovL2MvZWUxMDp1bmZpbmlzaGVkbGQ3OmJpdG1hc2sxOoA1OnBpZWNlaTFlZWUxMTp1cGxvYWRfbW9kZWkwZTE3OnVwbG9hZF9yYXRlX2xpbWl0aTE3ZTg6dXJsLWxpc3RsOTpodHRwOi8vdy9lZQ==',
  'base64',
)

type Dictionary = { [key: string]: Entry }

const HEADER = { 'file-format': 'libtorrent resume file', 'file-version': 2, 'info-hash': new Uint8Array(20).fill(1) }

function read(fields: Dictionary): AddTorrentParams {
  return readResumeData(bencode({ ...HEADER, ...fields }))
}

function makeTorrent(flags: number, sizes: number[] = [100000, 5]): AddTorrentParams {
  const files = sizes.map((size, i) => new CreateFileEntry(`t/${i}`, size))
  const torrent = new CreateTorrent(files, 16384, flags)
  if (!torrent.isV2Only()) {
    for (const i of torrent.pieceRange()) torrent.setHash(i, new Sha1Hash(new Uint8Array(20).fill(i + 1)))
  }
  if (!torrent.isV1Only()) {
    for (const i of torrent.fileRange()) {
      if (torrent.fileAt(i).flags !== 0) continue
      for (const k of torrent.filePieceRange(i)) {
        torrent.setHash2(i, k, new Sha256Hash(new Uint8Array(32).fill(torrent.fileAt(i).size + k + 1)))
      }
    }
  }
  torrent.setCreationDate(5)
  torrent.setComment('c')
  return loadTorrentBuffer(torrent.generateBuf())
}

function fullParams(): AddTorrentParams {
  const p = makeTorrent(0)
  Object.assign(p, {
    name: 'n',
    savePath: '/data/ü',
    partFileDir: '/parts',
    rootCertificate: 'PEM',
    storageMode: StorageMode.storageModeAllocate,
    trackers: ['http://a/', 'udp://b:1', 'http://c/'],
    trackerTiers: [0, 2, 2],
    urlSeeds: ['http://w/'],
    filePriorities: [4, 0, 7, 1],
    piecePriorities: [4, 0, 7],
    peers: [
      ['1.2.3.4', 5],
      ['::1', 6],
    ],
    bannedPeers: [
      ['9.8.7.6', 54],
      ['2001:db8::1', 1],
    ],
    renamedFiles: { 2: 'x/ü' },
    totalUploaded: 2 ** 40,
    totalDownloaded: 7,
    activeTime: 1,
    finishedTime: 2,
    seedingTime: 3,
    addedTime: 1600000000,
    completedTime: 1600000001,
    lastSeenComplete: 9,
    lastDownload: 10,
    lastUpload: 11,
    numComplete: 12,
    numIncomplete: 13,
    numDownloaded: 14,
    maxUploads: 15,
    maxConnections: 16,
    uploadLimit: 17,
    downloadLimit: 18,
    comment: 'co',
    createdBy: 'cr',
    creationDate: 5,
    flags: TorrentFlags.sequentialDownload | TorrentFlags.disablePex | TorrentFlags.i2pTorrent | TorrentFlags.paused,
  })
  p.havePieces = [true, false, true, true, false, false, true, true]
  p.verifiedPieces = [false, false, true, false, false, false, false, false]
  p.unfinishedPieces = { 9: [true, false, false, false, false, false, false, false], 4: new Bitfield(8, true) }
  return p
}

describe('resume data of libtorrent 2.0', () => {
  test('every field is read', () => {
    const p = readResumeData(LIBTORRENT_2_0)
    expect(p).toMatchObject({
      name: 't',
      savePath: '/data/ü',
      storageMode: StorageMode.storageModeAllocate,
      trackers: ['http://a/x', 'udp://b:1', 'http://c/'],
      trackerTiers: [0, 1, 1],
      urlSeeds: ['http://w/'],
      filePriorities: [4, 0],
      piecePriorities: [4, 4, 0, 7, 1, 4],
      peers: [
        ['1.2.3.4', 5],
        ['::1', 6],
      ],
      bannedPeers: [['9.8.7.6', 54]],
      renamedFiles: { 1: 't/c' },
      totalUploaded: 2 ** 40,
      totalDownloaded: 7,
      activeTime: 1,
      finishedTime: 2,
      seedingTime: 3,
      addedTime: 1600000000,
      completedTime: 1600000001,
      lastSeenComplete: 9,
      lastDownload: 10,
      lastUpload: 11,
      numComplete: 12,
      numIncomplete: 13,
      numDownloaded: 14,
      maxUploads: 15,
      maxConnections: 16,
      uploadLimit: 17,
      downloadLimit: 18,
      creationDate: 5,
    })
    expect(p.havePieces).toEqual([true, false, true, true, false, false])
    expect(p.verifiedPieces).toEqual([false, false, true, false, false, false])
    expect(p.unfinishedPieces[1]![0]).toBe(true)
    expect(p.ti!.infoHashes().v1.toString()).toBe('f7f7425b926c9948298129eb9dd7f36843c9e6d4')
    expect(p.ti!.numFiles()).toBe(2)
    const kept = TorrentFlags.sequentialDownload | TorrentFlags.disableDht
    expect(p.flags & kept).toBe(kept)
    // a file that is not wanted does not go with seed mode
    expect(p.flags & (TorrentFlags.seedMode | TorrentFlags.paused | TorrentFlags.needSaveResume)).toBe(0)
  })

  test('keys of programs on top of it are passed over', () => {
    const entry = bdecode(LIBTORRENT_2_0) as Dictionary
    entry['qBt-category'] = 'films'
    entry['qBt-ratioLimit'] = -2000
    expect(readResumeData(entry).name).toBe('t')
    expect(readResumeData(bdecodeNode(bencode(entry))).savePath).toBe('/data/ü')
  })

  test('any cut of it is an error, not an exception of another kind', () => {
    for (let i = 0; i < LIBTORRENT_2_0.length; i += 7) {
      expect(() => readResumeData(LIBTORRENT_2_0.subarray(0, i))).toThrow(BdecodeError)
    }
  })
})

describe('writing and reading', () => {
  test('everything comes back', () => {
    const p = fullParams()
    const back = readResumeData(writeResumeDataBuf(p))
    expect(Buffer.from(back.ti!.infoSection()).equals(p.ti!.infoSection())).toBe(true)
    for (const key of Object.keys(p) as (keyof AddTorrentParams)[]) {
      if (['ti', 'flags', 'merkleTreeMask', 'verifiedLeafHashes'].includes(key)) continue
      expect(back[key], key).toEqual(p[key])
    }
    const lists = (1 << 11) | (1 << 12)
    // not kept, so it has its default
    expect(back.flags).toBe(p.flags | TorrentFlags.updateSubscribe | lists)
    expect(back.havePieces).toEqual(p.havePieces)
    expect(back.unfinishedPieces).toEqual(p.unfinishedPieces)
    expect(Buffer.from(writeTorrentFileBuf(back)).equals(writeTorrentFileBuf(p))).toBe(true)
  })

  test('the plain form encodes to the buffer', () => {
    for (const p of [fullParams(), new AddTorrentParams()]) {
      expect(Buffer.from(bencode(writeResumeData(p))).equals(writeResumeDataBuf(p))).toBe(true)
    }
  })

  test('it has the keys of libtorrent 2.1, in the version of the format that 2.0 reads too', () => {
    const entry = writeResumeData(fullParams()) as Dictionary
    const text = (key: string) => Buffer.from(entry[key] as Uint8Array).toString('latin1')
    expect(text('file-format')).toBe('libtorrent resume file')
    expect(entry['file-version']).toBe(1)
    expect(text('libtorrent-version')).toBe('2.1.0.0')
    expect(text('allocation')).toBe('allocate')
    expect(text('pieces')).toBe('\x01\x00\x03\x01\x00\x00\x01\x01')
    expect(text('peers')).toBe('\x01\x02\x03\x04\x00\x05')
    expect(text('peers6')).toHaveLength(18)
    expect(text('banned_peers6')).toHaveLength(18)
    expect(entry['unfinished']).toMatchObject([{ piece: 4 }, { piece: 9 }])
    expect(entry['trackers']).toHaveLength(3)
    expect(entry['mapped_files']).toHaveLength(3)
    expect(entry).toMatchObject({ i2p: 1, paused: 1, auto_managed: 0, sequential_download: 1 })
    const empty = writeResumeData(new AddTorrentParams()) as Dictionary
    expect(empty).toMatchObject({ trackers: [], 'url-list': [], paused: 1, num_complete: -1 })
    for (const key of ['info', 'pieces', 'verified', 'peers', 'trees', 'unfinished', 'name'])
      expect(empty).not.toHaveProperty(key)
  })

  test('lists given to AddTorrentParams are copied, and read back as plain lists', () => {
    const list = [true, false]
    const p = new AddTorrentParams({ havePieces: list })
    list[1] = true
    expect(p.havePieces).toEqual([true, false])
    p.havePieces[0] = false
    expect(p.havePieces).toEqual([true, false])
    p.unfinishedPieces = new Map([[3, [true]]])
    expect(p.unfinishedPieces).toEqual({ 3: [true] })
    const copy = p.clone()
    copy.trackers.push('x')
    copy.haveBits.setBit(1)
    expect(p.trackers).toEqual([])
    expect(p.havePieces).toEqual([true, false])
  })
})

describe('what is wrong with resume data', () => {
  test.each<[string, Entry, LibtorrentErrors]>([
    ['no dictionary', [], LibtorrentErrors.notADictionary],
    ['no tag', { 'info-hash': 'a'.repeat(20) }, LibtorrentErrors.invalidFileTag],
    ['another tag', { ...HEADER, 'file-format': 'x' }, LibtorrentErrors.invalidFileTag],
    ['another version', { ...HEADER, 'file-version': 3 }, LibtorrentErrors.invalidFileTag],
    ['no info-hash', { 'file-format': HEADER['file-format'] }, LibtorrentErrors.missingInfoHash],
    ['a short info-hash', { ...HEADER, 'info-hash': 'abc' }, LibtorrentErrors.missingInfoHash],
    ['another info dictionary', { ...HEADER, info: { name: 'x' } }, LibtorrentErrors.mismatchingInfoHash],
  ])('%s', (_, entry, code) => {
    expect(codeOf(() => readResumeData(entry))).toBe(code)
  })

  test('an info dictionary beyond the limits is an error', () => {
    const p = makeTorrent(CreateTorrent.v1Only)
    expect(codeOf(() => readResumeData(writeResumeDataBuf(p), { maxPieces: 3 }))).toBe(
      LibtorrentErrors.tooManyPiecesInTorrent,
    )
    expect(() => readResumeData(writeResumeDataBuf(p), { maxDecodeTokens: 10 })).toThrow(BdecodeError)
  })

  test('fields of the wrong type or value leave the default', () => {
    const p = read({
      name: 5,
      trackers: ['x', ['http://a/', 7], 3],
      'url-list': ['', 5, 'http://w/'],
      pieces: 3,
      peers: 'abc',
      peers6: [1],
      unfinished: [5, { piece: -1, bitmask: 'a' }, { piece: 2 }, { piece: 3, bitmask: '' }, { piece: 4, bitmask: 'a' }],
      file_priority: [300, -1, 'x', 9],
      piece_priority: new Uint8Array([0, 255, 3]),
      mapped_files: ['', 'a', 5],
      trees: [{ hashes: 'x'.repeat(32) }, { hashes: 'x' }, { hashes: '' }],
      max_uploads: 'many',
      flags: 5,
    })
    expect(p.name).toBe('')
    expect(p.trackers).toEqual(['http://a/', ''])
    expect(p.urlSeeds).toEqual(['http://w/'])
    expect(p.havePieces).toEqual([])
    expect(p.peers).toEqual([])
    expect(Object.keys(p.unfinishedPieces)).toEqual(['4'])
    expect(p.filePriorities).toEqual([7, 7, 4, 7])
    expect(p.piecePriorities).toEqual([0, 7, 3])
    expect(p.renamedFiles).toEqual({ 1: 'a' })
    expect(p.merkleTrees).toHaveLength(1)
    expect(p.maxUploads).toBe(-1)
  })
})

describe('writeTorrentFile', () => {
  test.each([0, CreateTorrent.v1Only, CreateTorrent.v2Only])(
    'a torrent that was loaded is written again, flags %i',
    flags => {
      const p = makeTorrent(flags)
      p.trackers = ['http://a/', 'http://b/']
      p.trackerTiers = [0, 1]
      p.urlSeeds = ['http://w/']
      p.dhtNodes = [['h', 5]]
      const bytes = writeTorrentFileBuf(p, WriteFlags.includeDhtNodes)
      const back = loadTorrentBuffer(bytes)
      for (const key of ['trackers', 'trackerTiers', 'urlSeeds', 'dhtNodes', 'comment', 'creationDate'] as const) {
        expect(back[key]).toEqual(p[key])
      }
      expect(back.infoHashes.equals(p.infoHashes)).toBe(true)
      expect(back.merkleTrees).toEqual(p.merkleTrees)
      expect(Buffer.from(bencode(writeTorrentFile(p, WriteFlags.includeDhtNodes))).equals(bytes)).toBe(true)
      const bare = writeTorrentFile(p, WriteFlags.noHttpSeeds) as Dictionary
      expect(Object.keys(bare)).not.toContain('url-list')
      expect(Object.keys(bare)).not.toContain('nodes')
    },
  )

  test('one tracker is the announce key, and its list is left out', () => {
    const p = makeTorrent(CreateTorrent.v1Only)
    p.trackers = ['http://a/']
    const entry = writeTorrentFile(p) as Dictionary
    expect(Buffer.from(entry['announce'] as Uint8Array).toString()).toBe('http://a/')
    expect(entry).not.toHaveProperty('announce-list')
  })

  test('what is missing is an error', () => {
    expect(codeOf(() => writeTorrentFile(new AddTorrentParams()))).toBe(LibtorrentErrors.torrentMissingInfo)
    const p = makeTorrent(CreateTorrent.v2Only)
    const trees = p.merkleTrees
    p.merkleTrees = []
    expect(codeOf(() => writeTorrentFile(p))).toBe(LibtorrentErrors.torrentMissingPieceLayer)
    expect(codeOf(() => writeTorrentFile(p, WriteFlags.allowMissingPieceLayer))).toBe(0)
    p.merkleTrees = trees.slice(1)
    expect(codeOf(() => writeTorrentFile(p))).toBe(LibtorrentErrors.torrentMissingPieceLayer)
    p.merkleTrees = trees.map(() => new Uint8Array(0))
    expect(codeOf(() => writeTorrentFile(p))).toBe(LibtorrentErrors.torrentInvalidPieceLayer)
    // the flag is for params without trees only, as in libtorrent
    expect(codeOf(() => writeTorrentFile(p, WriteFlags.allowMissingPieceLayer))).toBe(
      LibtorrentErrors.torrentInvalidPieceLayer,
    )
  })

  test('files with the same content share a piece layer', () => {
    const p = makeTorrent(0, [40000, 40000])
    expect(loadTorrentBuffer(writeTorrentFileBuf(p)).infoHashes.equals(p.infoHashes)).toBe(true)
  })
})
