import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bdecode, bdecodeNode } from '../../../src/bencode/bdecode.ts'
import { bencode } from '../../../src/bencode/bencode.ts'
import { InfoHash, Sha1Hash, Sha256Hash } from '../../../src/core/digest.ts'
import { TrackerSource } from '../../../src/core/enums.ts'
import { TorrentInfo } from '../../../src/metainfo/torrent-info.ts'
import { content, hashV2, infoV2, layers, leaf, multiV1, singleV1, torrent } from './sample-torrents.ts'

const file = torrent(multiV1([{ path: ['a', 'b'] }, { path: ['c'] }]), {
  announce: 'http://tracker/announce',
  'url-list': 'http://seed/x',
  nodes: [['router', 6881]],
  comment: 'says',
  'created by': 'someone',
  'creation date': 99,
})

test('the constructor of older programs takes a path, bytes and decoded content', () => {
  const directory = mkdtempSync(join(tmpdir(), 'torrent-info-'))
  try {
    const path = join(directory, 'x.torrent')
    writeFileSync(path, file)
    for (const source of [path, file, Buffer.from(file), bdecode(file), bdecodeNode(file)]) {
      const info = new TorrentInfo(source)
      expect(info.name()).toBe('temp')
      expect(info.trackers()).toEqual([
        {
          url: 'http://tracker/announce',
          tier: 0,
          source: TrackerSource.sourceTorrent,
          failLimit: 0,
          trackerid: '',
          verified: false,
          endpoints: [],
        },
      ])
      expect(info.webSeeds()).toEqual([{ url: 'http://seed/x/', type: 0, auth: '', extraHeaders: [] }])
      expect(info.nodes()).toEqual([['router', 6881]])
      expect([info.comment(), info.creator(), info.creationDate()]).toEqual(['says', 'someone', 99])
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('one made from hashes knows nothing else', () => {
  const v1 = new Sha1Hash('ab'.repeat(20))
  const v2 = new Sha256Hash('cd'.repeat(32))
  expect(new TorrentInfo(v1).infoHash().equals(v1)).toBe(true)
  expect(new TorrentInfo(v2).infoHashes().v2.equals(v2)).toBe(true)
  const both = new TorrentInfo(new InfoHash(v1, v2))
  expect([both.v1(), both.v2(), both.isValid(), both.isLoaded(), both.numFiles()]).toEqual([
    true,
    true,
    false,
    false,
    0,
  ])
  expect([both.name(), both.infoSection().length, both.trackers(), both.priv()]).toEqual(['', 0, [], false])
  expect(() => both.hashForPiece(0)).toThrow(RangeError)
})

test('one made from a file that holds a magnet link has its info-hash', () => {
  const info = new TorrentInfo(bencode({ 'magnet-uri': `magnet:?xt=urn:btih:${'ab'.repeat(20)}` }))
  expect(info.infoHash().toString()).toBe('ab'.repeat(20))
  expect(info.isValid()).toBe(false)
})

test('a template string shows the info-hash in hex', () => {
  const info = new TorrentInfo(file)
  expect(`${info.infoHash()}`).toMatch(/^[0-9a-f]{40}$/)
})

test('trackers are added once, sorted by tier', () => {
  const info = new TorrentInfo(file)
  info.addTracker('udp://late:1/', 5)
  info.addTracker('udp://early:1/')
  info.addTracker('udp://late:1/', 1)
  info.addTracker('nonsense')
  expect(info.trackers().map(t => [t.url, t.tier])).toEqual([
    ['http://tracker/announce', 0],
    ['udp://early:1/', 0],
    ['udp://late:1/', 5],
  ])
})

test('web seeds and nodes can be added and replaced', () => {
  const info = new TorrentInfo(torrent(singleV1()))
  info.addUrlSeed('http://a/', 'user:pw', [['X-A', 'b']])
  expect(info.webSeeds()).toEqual([{ url: 'http://a/', type: 0, auth: 'user:pw', extraHeaders: [['X-A', 'b']] }])
  info.setWebSeeds([])
  expect(info.webSeeds()).toEqual([])
  info.addNode('h', 1)
  expect(info.nodes()).toEqual([['h', 1]])
})

test('a copy does not share what can be changed', () => {
  const info = new TorrentInfo(file)
  const copy = new TorrentInfo(info)
  copy.addTracker('udp://x:1/')
  copy.renameFile(0, 'elsewhere/b')
  expect(info.trackers().length).toBe(1)
  expect(info.files().filePath(0)).toBe('temp/a/b')
  expect(copy.files().filePath(0)).toBe('elsewhere/b')
  expect(copy.infoSection()).toBe(info.infoSection())
})

test('renaming changes files() and neither layout() nor origFiles()', () => {
  const info = new TorrentInfo(file)
  expect(info.files()).toBe(info.layout())
  info.renameFile(0, 'temp/z/new')
  info.renameFile(1, '/absolute')
  expect([info.files().filePath(0, '/s'), info.files().filePath(1, '/s')]).toEqual(['/s/temp/z/new', '/absolute'])
  expect([info.layout().filePath(0), info.origFiles().filePath(1)]).toEqual(['temp/a/b', 'temp/c'])
  expect(info.fileAt(0)).toEqual({ path: 'temp/z/new', size: 425, offset: 0, mtime: 0, flags: 0 })
})

test('the layout of a loaded torrent does not change', () => {
  const layout = new TorrentInfo(file).layout()
  expect(() => layout.addFile('temp/x', 1)).toThrow(TypeError)
  expect(() => layout.setPieceLength(5)).toThrow(TypeError)
})

test('duplicate names are new ones in files()', () => {
  const info = new TorrentInfo(torrent(multiV1([{ path: ['a'] }, { path: ['A'] }])))
  expect(info.files().filePath(1)).toBe('temp/A.1')
  expect(info.layout().filePath(1)).toBe('temp/A')
})

test('an info section from a peer is the whole torrent', () => {
  const big = hashV2(content(70_000), 32768)
  for (const dictionary of [singleV1(), infoV2({ a: leaf(big) })]) {
    const section = bencode(dictionary)
    const info = TorrentInfo.fromInfoSection(section)
    expect(info.infoHashes().toString()).toBe(new TorrentInfo(torrent(dictionary, layers(big))).infoHashes().toString())
    expect(info.metadata()).toEqual(section)
    expect(info.metadataSize()).toBe(section.length)
  }
})

test('the one info-hash of a hybrid torrent is the v1 one, which every client finds by', () => {
  const v1 = new Sha1Hash('11'.repeat(20))
  const hybrid = new TorrentInfo(new InfoHash(v1, new Sha256Hash('22'.repeat(32))))
  expect(hybrid.infoHash().equals(v1)).toBe(true)
  expect(hybrid.infoHashes().getBest().equals(v1)).toBe(false)
})
