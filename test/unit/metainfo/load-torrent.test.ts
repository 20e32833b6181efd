import { expect, test } from 'vitest'
import { bdecode, bdecodeNode } from '../../../src/bencode/bdecode.ts'
import { bencode } from '../../../src/bencode/bencode.ts'
import type { BencodeInput } from '../../../src/bencode/entry.ts'
import { FileFlags, TorrentFlags } from '../../../src/core/enums.ts'
import { sha1, sha256 } from '../../../src/core/hash.ts'
import { loadTorrentBuffer, loadTorrentParsed } from '../../../src/metainfo/load-torrent.ts'
import {
  content,
  type Dict,
  hashV2,
  infoV2,
  layers,
  leaf,
  multiV1,
  piecesOf,
  singleV1,
  torrent,
} from './sample-torrents.ts'

const path = (...elements: BencodeInput[]) => ({ path: elements })
const link = (at: string[], to: BencodeInput[]): Dict => ({ path: at, attr: 'l', length: 0, 'symlink path': to })
const load = (info: Dict, outer?: Dict) => loadTorrentBuffer(torrent(info, outer))
const layoutOf = (info: Dict) => load(info).ti!.layout()
const pathsOf = (info: Dict) => {
  const layout = layoutOf(info)
  return Array.from(layout.fileRange(), i => layout.filePath(i))
}
const linksOf = (info: Dict) => {
  const layout = layoutOf(info)
  return Array.from(layout.fileRange(), i => layout.symlink(i))
}

test('a v1 torrent of one file', () => {
  const info = singleV1()
  const params = load(info)
  const ti = params.ti!
  expect([ti.name(), ti.numFiles(), ti.totalSize(), ti.pieceLength(), ti.numPieces()]).toEqual([
    'temp',
    1,
    425,
    16384,
    1,
  ])
  expect([ti.v1(), ti.v2(), ti.isValid(), ti.isLoaded(), ti.priv()]).toEqual([true, false, true, true, false])
  expect(ti.infoHash().toBytes()).toEqual(Uint8Array.from(sha1(bencode(info))))
  expect(params.infoHashes.equals(ti.infoHashes())).toBe(true)
  expect(ti.infoSection()).toEqual(bencode(info))
  expect(ti.hashForPiece(0)).toEqual(new Uint8Array(20).fill(0x61))
  expect(() => ti.hashForPiece(1)).toThrow(RangeError)
  expect(ti.layout().filePath(0)).toBe('temp')
  expect(ti.layout().filePath(0, '/save')).toBe('/save/temp')
})

test('nothing of the buffer is kept', () => {
  const buffer = torrent(multiV1([path('foo', 'bar.txt')]))
  const ti = loadTorrentBuffer(buffer).ti!
  buffer.fill(0)
  expect(ti.layout().filePath(0)).toBe('temp/foo/bar.txt')
  expect(ti.hashForPiece(0)[0]).toBe(0x61)
})

test('the forms of a torrent file load alike', () => {
  const buffer = torrent(multiV1([path('a', 'b')]), { comment: 'x' })
  const outer = bencode([1, bdecode(buffer)])
  for (const params of [
    loadTorrentBuffer(buffer),
    loadTorrentBuffer(Buffer.from(buffer)),
    loadTorrentParsed(bdecode(buffer)),
    loadTorrentParsed(bdecodeNode(buffer)),
    loadTorrentParsed(bdecodeNode(outer).listAt(1)),
  ]) {
    expect(params.ti!.layout().filePath(0)).toBe('temp/a/b')
    expect(params.infoHashes.v1.toBytes()).toEqual(Uint8Array.from(sha1(bencode(multiV1([path('a', 'b')])))))
    expect(params.comment).toBe('x')
  }
})

test('utf-8 variants of names are preferred', () => {
  const info = multiV1([{ 'path.utf-8': ['d', '\u00e9'], path: ['x', 'y'] }], {
    'name.utf-8': 'n\u00e9',
    name: 'other',
  })
  expect(pathsOf(info)).toEqual(['n\u00e9/d/\u00e9'])
  // one of the wrong type does not count
  expect(pathsOf(multiV1([{ 'path.utf-8': 'z', path: ['x'] }]))).toEqual(['temp/x'])
})

// paths as libtorrent 2.1 makes them
test.each<[BencodeInput[], string]>([
  [['foo', 'bar.txt'], 'temp/foo/bar.txt'],
  [['..', '..', 'bar'], 'temp/_/_/bar'],
  [['.', '/', 'bar'], 'temp/_/_/bar'],
  [['abc/../../def', '', 'bar'], 'temp/abc....def/_/bar'],
  [['/', 'bar'], 'temp/_/bar'],
  [['/abc/de'], 'temp/abcde'],
  [['\\', 'a\\b'], 'temp/_/ab'],
  [[''], 'temp/_'],
  [['a\u0001b\u007f\u0085'], 'temp/a_b__'],
  [['a\0b'], 'temp/ab'],
  [['\u202efdp.exe'], 'temp/fdp.exe'],
  [[new Uint8Array([0x66, 0xff, 0x67])], 'temp/f_g'],
  [[new Uint8Array([0xe3, 0x81])], 'temp/_'],
  [['\u65e5\u672c', '\u8a9e.txt'], 'temp/\u65e5\u672c/\u8a9e.txt'],
])('the path %j is made safe', (elements, expected) => {
  expect(pathsOf(multiV1([path(...elements)]))).toEqual([expected])
})

test('a torrent whose name vanishes is named after its info-hash', () => {
  for (const name of ['/', '..', '\0']) {
    const ti = load(multiV1([path('a')], { name })).ti!
    expect(ti.name()).toBe(ti.infoHashes().v1.toString())
  }
})

test('attributes and times of files', () => {
  const layout = layoutOf(
    multiV1([
      { ...path('a'), attr: 'hx', mtime: 1234 },
      { ...path('b'), attr: 'p' },
      { ...path('c', '_____padding_file_0_____') },
      { ...path('e'), attr: 'q7' },
    ]),
  )
  expect(Array.from(layout.fileRange(), i => layout.fileFlags(i))).toEqual([
    FileFlags.flagHidden | FileFlags.flagExecutable,
    FileFlags.flagPadFile,
    FileFlags.flagPadFile,
    0,
  ])
  expect([layout.mtime(0), layout.mtime(1)]).toEqual([1234, 0])
  expect([layout.totalSize(), layout.sizeOnDisk()]).toEqual([1700, 850])
})

test('padding without a path goes to .pad', () => {
  expect(pathsOf(multiV1([path('a'), { attr: 'p', length: 2124 }]))).toEqual(['temp/a', '.pad/2124'])
  expect(pathsOf(multiV1([{ attr: 'p', length: 7 }, path('a', 'b')]))).toEqual(['.pad/7', 'temp/a/b'])
})

test('files of one name, in any case, get numbers before their extension', () => {
  const params = load(multiV1([path('foo', 'bar.txt'), path('Foo', 'BAR.TXT'), path('foo', 'bar.1.txt'), path('foo')]))
  const { ti } = params
  expect(ti!.layout().filePath(1)).toBe('temp/Foo/BAR.TXT')
  expect(params.renamedFiles).toEqual({ 1: 'temp/Foo/BAR.1.TXT', 2: 'temp/foo/bar.1.1.txt', 3: 'temp/foo.1' })
  expect(ti!.files().filePath(1)).toBe('temp/Foo/BAR.1.TXT')
  expect(ti!.files().filePath(0)).toBe('temp/foo/bar.txt')
})

test('pad files of one size may share a name', () => {
  const pad = (length: number) => ({ ...path('.pad', '5'), attr: 'p', length })
  expect(load(multiV1([path('a'), pad(5), path('b'), pad(5)])).renamedFiles).toEqual({})
  expect(load(multiV1([path('a'), pad(5), path('b'), pad(6)])).renamedFiles).toEqual({ 3: 'temp/.pad/5.1' })
})

test('many directories and names are told apart without renaming any', () => {
  const files = Array.from({ length: 3000 }, (_, i) => path(`d${i % 700}`, `e${i % 7}`, `f${i}`))
  const params = load(multiV1(files))
  expect(params.renamedFiles).toEqual({})
  expect(params.ti!.layout().filePath(2999)).toBe('temp/d199/e3/f2999')
})

test('symlinks stay inside the torrent', () => {
  const bar = path('a', 'b', 'bar')
  const links = (...list: Dict[]) => linksOf(multiV1([bar, ...list])).slice(1)
  expect(links(link(['a', 'l'], ['a', 'b', 'bar']))).toEqual(['temp/a/b/bar'])
  // relative to the link, as older tools wrote them
  expect(links(link(['a', 'l'], ['b', 'bar']))).toEqual(['temp/a/b/bar'])
  expect(links(link(['a', 'l'], ['b']))).toEqual(['temp/a/b'])
  expect(links(link(['l'], ['a']))).toEqual(['temp/a'])
  // what does not exist points to itself
  expect(links(link(['l'], ['nowhere']))).toEqual(['temp/l'])
  expect(links(link(['l'], ['a', 'nowhere']))).toEqual(['temp/l'])
  // dots are dropped
  expect(links(link(['l'], ['..', '..', 'a', 'b', 'bar']))).toEqual(['temp/a/b/bar'])
  // through another link
  expect(links(link(['l'], ['m', 'bar']), link(['m'], ['a', 'b']))).toEqual(['temp/m/bar', 'temp/a/b'])
  // in circles
  expect(links(link(['l'], ['m', 'x']), link(['m'], ['l', 'x']))).toEqual(['temp/l', 'temp/m'])
  // an element that vanishes does so in the file and in the link
  const odd = multiV1([path('a', '/', 'bar'), link(['l'], ['a', '/', 'bar'])])
  expect(linksOf(odd)).toEqual(['', 'temp/a/_/bar'])
})

test('a path may lead through 40 links, as systems allow, and long chains cost little', () => {
  const chain = (n: number) => {
    const links = Array.from({ length: n }, (_, i) => link([`l${i}`], i === n - 1 ? ['d'] : [`l${i + 1}`, '']))
    return linksOf(multiV1([path('d', '_', 'x'), ...links]))[1]
  }
  expect(chain(2)).toBe('temp/l1/_')
  expect(chain(20_000)).toBe('temp/l0')
})

test('a symlink has no size, and is none without a target', () => {
  const layout = layoutOf(multiV1([path('a'), { ...link(['l'], ['a']), length: 99 }, { ...path('m'), attr: 'l' }]))
  expect([layout.fileSize(1), layout.fileFlags(1)]).toEqual([0, FileFlags.flagSymlink])
  expect([layout.fileSize(2), layout.fileFlags(2)]).toEqual([0, 0])
})

test('trackers keep their tiers, and those that cannot be used are left out', () => {
  const params = load(singleV1(), {
    announce: 'http://only.if/none',
    'announce-list': [
      [' \tudp://test.com:80/announce', 'ftp://x/'],
      'no list',
      ['http://b/a b', 'https://c/', 5],
      [],
      ['HTTP://d/'],
    ],
  })
  expect(params.trackers).toEqual(['udp://test.com:80/announce', 'https://c/', 'HTTP://d/'])
  expect(params.trackerTiers).toEqual([0, 2, 4])
  expect(load(singleV1(), { announce: 'http://a/b', 'announce-list': [['ftp://x/']] }).trackers).toEqual(['http://a/b'])
  expect(load(singleV1(), { announce: 'nonsense' }).trackers).toEqual([])
})

test('a tracker on I2P marks the torrent', () => {
  const params = load(singleV1(), { announce: 'http://x.i2p/announce' })
  expect(params.flags & TorrentFlags.i2pTorrent).not.toBe(0)
  expect(params.ti!.isI2p()).toBe(true)
  expect(load(singleV1()).flags).toBe(TorrentFlags.defaultFlags)
})

test('web seeds: escaped, each once, as directories if there are several files', () => {
  const many = multiV1([path('a'), path('b')])
  expect(load(singleV1(), { 'url-list': 'http://test.com/file' }).urlSeeds).toEqual(['http://test.com/file'])
  expect(load(many, { 'url-list': 'http://test.com/file' }).urlSeeds).toEqual(['http://test.com/file/'])
  expect(load(many, { 'url-list': ['http://test.com/test file/foo bar/'] }).urlSeeds).toEqual([
    'http://test.com/test%20file/foo%20bar/',
  ])
  expect(load(singleV1(), { 'url-list': ['http://a/', 'http://b/', '', 7, 'http://a/'] }).urlSeeds).toEqual([
    'http://a/',
    'http://b/',
  ])
  const latin1 = Buffer.from('http://test.com/f\xeele', 'latin1')
  expect(load(singleV1(), { 'url-list': [latin1] }).urlSeeds).toEqual(['http://test.com/f%eele'])
  expect(load(singleV1(), { 'url-list': '', httpseeds: ['http://gone/'] }).urlSeeds).toEqual([])
})

test('nodes, comment, creator and date', () => {
  const params = load(singleV1(), {
    nodes: [['127.0.0.1', 6881], ['short'], 'x', ['192.168.1.1', 6881, 'more'], [1, 2]],
    'comment.utf-8': '',
    comment: new Uint8Array([0x61, 0xff, 0x62]),
    'created by.utf-8': '\u00fc',
    'created by': 'u',
    'creation date': 1234567,
  })
  expect(params.dhtNodes).toEqual([
    ['127.0.0.1', 6881],
    ['192.168.1.1', 6881],
  ])
  expect([params.comment, params.createdBy, params.creationDate]).toEqual(['a_b', '\u00fc', 1234567])
  expect(load(singleV1(), { 'creation date': -5 }).creationDate).toBe(0)
})

test('private flag, certificate, similar torrents and collections', () => {
  const ti = load(
    singleV1({ private: 1, 'ssl-cert': 'PEM', similar: ['a'.repeat(20), 'short', 1], collections: ['bar', 2] }),
    { similar: ['b'.repeat(20)], collections: ['foo'] },
  ).ti!
  expect([ti.priv(), ti.sslCert()]).toEqual([true, 'PEM'])
  expect(ti.similarTorrents().map(hash => hash.toBytes()[0])).toEqual([0x61, 0x62])
  expect(ti.collections()).toEqual(['bar', 'foo'])
  expect(load(singleV1({ private: 0 })).ti!.priv()).toBe(false)
})

test('a magnet link in place of metadata is read', () => {
  const uri = `magnet:?xt=urn:btih:${'0123456789abcdef0123456789abcdef01234567'}&dn=n`
  const params = loadTorrentBuffer(bencode({ 'magnet-uri': uri }))
  expect(params.ti).toBeNull()
  expect(params.infoHashes.v1.toString()).toBe('0123456789abcdef0123456789abcdef01234567')
})

test('a piece may be just short of 512 MiB', () => {
  expect(load(singleV1({ 'piece length': 32767 * 0x4000 })).ti!.pieceLength()).toBe(536854528)
})

const bigData = content(100_000)
const big = hashV2(bigData, 32768)
const smallData = content(20_000, 2)
const small = hashV2(smallData, 32768)

test('a v2 torrent: padding is implied, roots and piece layers are kept', () => {
  const info = infoV2({ a: leaf(big), d: { b: leaf(small), c: { '': { length: 0 } } } })
  const params = load(info, layers(big))
  const ti = params.ti!
  const layout = ti.layout()
  expect([ti.v1(), ti.v2(), ti.numPieces(), layout.v2()]).toEqual([false, true, 5, true])
  expect(ti.infoHashes().v2.toBytes()).toEqual(Uint8Array.from(sha256(bencode(info))))
  expect(ti.infoHash().toBytes()).toEqual(Uint8Array.from(sha256(bencode(info)).subarray(0, 20)))
  expect(Array.from(layout.fileRange(), i => [layout.filePath(i), layout.fileSize(i), layout.padFileAt(i)])).toEqual([
    ['test/a', 100_000, false],
    ['test/.pad/31072', 31_072, true],
    ['test/d/b', 20_000, false],
    ['test/.pad/12768', 12_768, true],
    ['test/d/c', 0, false],
  ])
  expect(layout.root(0).toBytes()).toEqual(Uint8Array.from(big.root))
  expect(layout.root(1).isAllZeros()).toBe(true)
  expect(layout.fileIndexForRoot(layout.root(2))).toBe(2)
  expect(params.merkleTrees.map(tree => tree.length)).toEqual([128, 0, 0, 0, 0])
  expect(params.merkleTrees[0]).toEqual(big.layer)
  expect(params.merkleTreeMask[0]!.toArray()).toEqual([false, false, false, true, true, true, true])
  expect(() => ti.hashForPiece(0)).toThrow(RangeError)
  expect(ti.pieceLayer(0)).toEqual(big.layer)
  expect(ti.pieceLayer(2)).toEqual(Uint8Array.from(small.root))
  expect([ti.pieceSize(3), ti.pieceSizeForReq(3), ti.pieceSizeForReq(4)]).toEqual([32768, 1696, 20_000])
})

test('a v2 torrent of one file has no directory', () => {
  expect(pathsOf(infoV2({ alone: leaf(big) }))).toEqual(['alone', 'alone/.pad/31072'])
  expect(pathsOf(infoV2({ d: { alone: leaf(small) } }))[0]).toBe('test/d/alone')
})

test('piece layers may be missing, all or some', () => {
  const info = infoV2({ a: leaf(big), b: leaf(hashV2(content(70_000, 3), 32768)) })
  expect(load(info).merkleTrees).toEqual([])
  expect(load(info).ti!.pieceLayer(0)).toHaveLength(0)
  expect(load(info, layers(big)).merkleTrees.map(tree => tree.length)).toEqual([128, 0, 0, 0])
})

test('with pieces of one block the piece layer proves every block', () => {
  const file = hashV2(bigData, 16384)
  const params = load(infoV2({ a: leaf(file) }, { 'piece length': 16384 }), layers(file))
  expect(params.verifiedLeafHashes[0]!.toArray()).toEqual(new Array(7).fill(true))
})

test('names in a file tree are made safe, and duplicates renamed', () => {
  const params = load(infoV2({ '/': leaf(big), '\\': leaf(small), ok: leaf(small) }), layers(big))
  const layout = params.ti!.layout()
  const names = Array.from(layout.fileRange(), i => layout.filePath(i)).filter(name => !name.includes('.pad'))
  expect(names).toEqual(['test/_', 'test/_', 'test/ok'])
  expect(params.renamedFiles).toEqual({ 2: 'test/_.1' })
})

const hybridFiles = [
  { length: 100_000, path: ['a'] },
  { length: 31_072, path: ['.pad', '31072'], attr: 'p' },
  { length: 20_000, path: ['b'] },
]
const hybridData = new Uint8Array(151_072)
hybridData.set(bigData)
hybridData.set(smallData, 131_072)
const tail = { length: 12_768, path: ['.pad', '12768'], attr: 'p' }

test('a hybrid torrent has both kinds of hashes, with and without padding at its end', () => {
  const tree = { a: leaf(big), b: leaf(small) }
  const without = { ...infoV2(tree), files: hybridFiles, pieces: piecesOf(hybridData, 32768) }
  const ti = load(without, layers(big)).ti!
  expect([ti.v1(), ti.v2(), ti.numFiles(), ti.numPieces(), ti.totalSize()]).toEqual([true, true, 3, 5, 151_072])
  expect(ti.pieceHashView(1)).toEqual(piecesOf(hybridData, 32768).subarray(20, 40))
  const whole = new Uint8Array(163_840)
  whole.set(hybridData)
  const padded = { ...infoV2(tree), files: [...hybridFiles, tail], pieces: piecesOf(whole, 32768) }
  expect(load(padded, layers(big)).ti!.numFiles()).toBe(4)
})

test('a hybrid torrent of one file', () => {
  const info = { ...infoV2({ test: leaf(big) }), length: 100_000, pieces: piecesOf(bigData, 32768) }
  const ti = load(info, layers(big)).ti!
  expect([ti.v1(), ti.v2(), ti.numFiles(), ti.totalSize()]).toEqual([true, true, 1, 100_000])
})
