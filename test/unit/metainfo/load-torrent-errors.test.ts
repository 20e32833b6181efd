import { expect, test } from 'vitest'
import { bencode } from '../../../src/bencode/bencode.ts'
import type { BencodeInput } from '../../../src/bencode/entry.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import type { LoadTorrentLimits } from '../../../src/metainfo/load-limits.ts'
import { loadTorrentBuffer, loadTorrentFile, loadTorrentParsed } from '../../../src/metainfo/load-torrent.ts'
import { TorrentInfo } from '../../../src/metainfo/torrent-info.ts'
import {
  content,
  type Dict,
  errorOf,
  hashV2,
  infoV2,
  layers,
  leaf,
  multiV1,
  singleV1,
  torrent,
} from './sample-torrents.ts'

const big = hashV2(content(100_000), 32768)
const small = hashV2(content(20_000, 2), 32768)
const tree = { a: leaf(big), b: leaf(small) }

const without = (dict: Dict, key: string): Dict => {
  const { [key]: _, ...rest } = dict
  return rest
}
const path = (...elements: BencodeInput[]) => ({ path: elements })
const v1 = (files: Dict[], over?: Dict) => torrent(multiV1(files, over))
const one = [path('foo', 'bar.txt')]
const splice = (bytes: Uint8Array, from: string, to: string) =>
  Buffer.from(Buffer.from(bytes).toString('latin1').replace(from, to), 'latin1')
const deep = (depth: number): Dict => {
  let node: Dict = { f: leaf(small) }
  for (let i = 0; i < depth; i++) node = { d: node }
  return node
}

const cases: Record<string, [keyof typeof LibtorrentErrors, Uint8Array, LoadTorrentLimits?]> = {
  'a string': ['torrentIsNoDict', bencode('torrent')],
  'a list': ['torrentIsNoDict', bencode([1])],
  'no info dictionary': ['torrentMissingInfo', bencode({ announce: 'http://a/b' })],
  'an info that is no dictionary': ['torrentMissingInfo', torrent('x')],
  'no piece length': ['torrentMissingPieceLength', v1(one, { 'piece length': 'x' })],
  'piece length 0': ['torrentMissingPieceLength', v1(one, { 'piece length': 0 })],
  'a negative piece length': ['torrentMissingPieceLength', v1(one, { 'piece length': -16384 })],
  'a piece length over the limit': ['torrentMissingPieceLength', v1(one, { 'piece length': 536854529 })],
  'no name': ['torrentMissingName', torrent(without(multiV1(one), 'name'))],
  'a name that is no string': ['torrentMissingName', torrent(multiV1(one, { name: 3 }))],
  'a single file with an empty name': ['torrentMissingName', torrent(singleV1({ name: '' }))],
  'a single file named with separators only': ['torrentMissingName', torrent(singleV1({ name: '//\\' }))],
  'a single file named with NULs only': ['torrentMissingName', torrent(singleV1({ name: '\0\0' }))],
  'a single file named ..': ['torrentMissingName', torrent(singleV1({ name: '..' }))],
  'a negative size of the single file': ['torrentInvalidLength', torrent(singleV1({ length: -1 }))],
  'no size of the single file': ['torrentInvalidLength', torrent(without(singleV1(), 'length'))],
  'a negative file size': ['torrentInvalidLength', v1([{ ...one[0]!, length: -1 }])],
  'a file size that is no integer': ['torrentInvalidLength', v1([{ ...one[0]!, length: '5' }])],
  'a file larger than is possible': ['torrentInvalidLength', v1([{ ...one[0]!, length: 17592186028033 }])],
  'sizes that add up to too much': [
    'torrentInvalidLength',
    v1(
      Array.from({ length: 17 }, (_, i) => ({ ...path(`f${i}`), length: 17592186028032 })),
      { pieces: 'x' },
    ),
  ],
  'only empty files': ['torrentInvalidLength', v1([{ ...one[0]!, length: 0 }])],
  'an empty single file': ['torrentInvalidLength', torrent(singleV1({ length: 0, pieces: '' }))],
  'a path with an integer in it': ['torrentInvalidName', v1([path('a', 5, 'b')])],
  'no path': ['torrentMissingName', v1([{}])],
  'an empty path': ['torrentMissingName', v1([path()])],
  'a path that is no list': ['torrentMissingName', v1([{ path: 'a' }])],
  'a file that is no dictionary': ['torrentFileParseFailed', torrent(multiV1([], { files: ['x'] }))],
  'an empty file list': ['noFilesInTorrent', v1([])],
  'a symlink path with an integer in it': [
    'torrentInvalidName',
    v1([{ ...one[0]!, attr: 'l', 'symlink path': ['a', 1] }]),
  ],
  'a path that is too deep': ['torrentDirectoryTooDeep', v1([path('a', 'b', 'c')]), { maxDirectoryDepth: 2 }],
  'a path of 101 elements': ['torrentDirectoryTooDeep', v1([path(...new Array<string>(101).fill('d'))])],
  'a symlink path that is too deep': [
    'torrentDirectoryTooDeep',
    v1([{ ...one[0]!, attr: 'l', 'symlink path': new Array<string>(101).fill('d') }]),
  ],
  'no piece hashes': ['torrentMissingPieces', torrent(without(multiV1(one), 'pieces'))],
  'piece hashes that are no string': ['torrentMissingPieces', v1(one, { pieces: [] })],
  'piece hashes of odd length': ['torrentInvalidHashes', v1(one, { pieces: 'x'.repeat(21) })],
  'too few piece hashes': ['torrentInvalidHashes', v1([{ ...one[0]!, length: 20_000 }], { pieces: 'x'.repeat(20) })],
  'more pieces than the limit': ['tooManyPiecesInTorrent', torrent(singleV1({ length: 50_000 })), { maxPieces: 3 }],
  'more pieces than can be counted': [
    'tooManyPiecesInTorrent',
    torrent(singleV1({ length: 17592186011648, 'piece length': 16 })),
  ],
  'names that are there too often': ['tooManyDuplicateFilenames', v1(new Array<Dict>(120).fill(path('a')))],
  'a file tree without a version': ['torrentMissingMetaVersion', torrent({ ...multiV1(one), 'file tree': tree })],
  'an unknown version': ['torrentUnknownVersion', torrent(infoV2(tree, { 'meta version': 3 }))],
  'v2 without a file tree': ['torrentMissingFileTree', torrent(without(infoV2(tree), 'file tree'))],
  'v2 with a piece length that is no power of two': [
    'torrentMissingPieceLength',
    torrent(infoV2(tree, { 'piece length': 32768 + 16384 })),
  ],
  'v2 with a piece length below a block': [
    'torrentMissingPieceLength',
    torrent(infoV2(tree, { 'piece length': 8192 })),
  ],
  'v2 with a file that is no dictionary': ['torrentFileParseFailed', torrent(infoV2({ a: { '': 'x' } }))],
  'v2 with a tree entry that is no dictionary': ['torrentFileParseFailed', torrent(infoV2({ a: 'x' }))],
  'v2 with an empty file name': ['torrentFileParseFailed', torrent(infoV2({ '': leaf(big) }))],
  'v2 with a file beside the end of a directory': [
    'torrentFileParseFailed',
    torrent(infoV2({ a: { ...leaf(big), b: leaf(small) } })),
  ],
  'v2 with a directory too deep': ['torrentDirectoryTooDeep', torrent(infoV2(deep(3))), { maxDirectoryDepth: 2 }],
  'v2 without files': ['noFilesInTorrent', torrent(infoV2({ a: {} }))],
  'v2 with a pad file': ['torrentInvalidPadFile', torrent(infoV2({ a: leaf(small, { attr: 'p' }) }))],
  'v2 without a root': ['torrentMissingPiecesRoot', torrent(infoV2({ a: { '': { length: 5 } } }))],
  'v2 with a short root': ['torrentMissingPiecesRoot', torrent(infoV2({ a: leaf(small, { 'pieces root': 'x' }) }))],
  'v2 with a root of zeros': [
    'torrentMissingPiecesRoot',
    torrent(infoV2({ a: leaf(small, { 'pieces root': new Uint8Array(32) }) })),
  ],
  'v2 with a negative size': ['torrentInvalidLength', torrent(infoV2({ a: leaf(small, { length: -1 }) }))],
  'v2 with a file larger than is possible': [
    'torrentInvalidLength',
    torrent(infoV2({ a: leaf(small, { length: 17592186028033 }) })),
  ],
  'v2 with more pieces than the limit': ['tooManyPiecesInTorrent', torrent(infoV2(tree)), { maxPieces: 4 }],
  'v2 with only empty files': ['torrentInvalidLength', torrent(infoV2({ a: { '': { length: 0 } } }))],
  'v2 with unsorted keys': ['invalidBencoding', splice(torrent(infoV2(tree)), '4:name4:test', '4:aame4:test')],
  'v2 with a key that is there twice': [
    'invalidBencoding',
    splice(torrent(infoV2(tree)), '4:name4:test', '4:name4:test4:name4:test'),
  ],
  'v2 with a leading zero in an integer': ['invalidBencoding', splice(torrent(infoV2(tree)), 'i32768e', 'i032768e')],
  'v2 with a leading zero in a length': ['invalidBencoding', splice(torrent(infoV2(tree)), '4:name', '04:name')],
  'a piece layer of another file': ['torrentInvalidPieceLayer', torrent(infoV2({ b: leaf(small) }), layers(big))],
  'a piece layer with a short key': [
    'torrentInvalidPieceLayer',
    torrent(infoV2(tree), { 'piece layers': { abc: big.layer } }),
  ],
  'a piece layer that is no string': [
    'torrentInvalidPieceLayer',
    torrent(infoV2(tree), { 'piece layers': { [Buffer.from(big.root).toString('latin1')]: [] } }),
  ],
  'a piece layer that is no multiple of a hash': [
    'torrentInvalidPieceLayer',
    torrent(infoV2(tree), layers({ ...big, layer: big.layer.subarray(1) })),
  ],
  'a piece layer that is too short': [
    'torrentInvalidPieceLayer',
    torrent(infoV2(tree), layers({ ...big, layer: big.layer.subarray(32) })),
  ],
  'a piece layer with a wrong hash': [
    'torrentInvalidPieceLayer',
    torrent(infoV2(tree), layers({ ...big, layer: big.layer.map((b, i) => (i === 40 ? b ^ 1 : b)) })),
  ],
  'a hybrid whose lists differ': [
    'torrentInconsistentFiles',
    torrent({ ...infoV2({ a: leaf(small) }), length: 20_001, pieces: 'x'.repeat(20) }),
  ],
  'a hybrid whose names differ': [
    'torrentInconsistentFiles',
    torrent({ ...infoV2({ a: leaf(small) }), length: 20_000, name: 'b', pieces: 'x'.repeat(20) }),
  ],
  'a hybrid without padding': [
    'torrentInconsistentFiles',
    torrent({
      ...infoV2(tree),
      files: [
        { length: 100_000, path: ['a'] },
        { length: 20_000, path: ['b'] },
      ],
      pieces: 'x'.repeat(100),
    }),
  ],
}

test.each(Object.entries(cases))('%s is refused with the error that libtorrent gives', (_, [name, input, limits]) => {
  const expected = `libtorrent:${LibtorrentErrors[name]}`
  expect(errorOf(() => loadTorrentBuffer(input, limits))).toBe(expected)
  expect(errorOf(() => new TorrentInfo(input, limits))).toBe(expected)
})

test('every error of the table above has a text', () => {
  for (const [, [, input, limits]] of Object.entries(cases)) {
    expect(() => loadTorrentBuffer(input, limits)).toThrow(/^[a-z].{5,}/i)
  }
})

test('what is not bencoded gives the error of the decoder', () => {
  expect(errorOf(() => loadTorrentBuffer(Buffer.from('d4:info')))).toBe('bdecode:3')
  expect(errorOf(() => loadTorrentBuffer(new Uint8Array(0)))).toBe('bdecode:3')
  const nested = Buffer.from(`d4:info${'l'.repeat(200)}${'e'.repeat(200)}e`)
  expect(errorOf(() => loadTorrentBuffer(nested))).toBe('bdecode:5')
  expect(errorOf(() => loadTorrentBuffer(torrent(singleV1()), { maxDecodeTokens: 5 }))).toBe('bdecode:6')
  expect(errorOf(() => loadTorrentBuffer(torrent(singleV1()), { maxDecodeDepth: 1 }))).toBe('bdecode:5')
})

test('a file that cannot be read gives the error of the system, one that is too large its own', () => {
  expect(errorOf(() => loadTorrentFile('/does/not/exist.torrent'))).toBe('generic:2')
  expect(errorOf(() => loadTorrentFile(import.meta.filename, { maxBufferSize: 100 }))).toBe('libtorrent:100')
  expect(errorOf(() => loadTorrentFile(import.meta.filename))).toBe('bdecode:1')
})

test('decoded content that is no dictionary is refused', () => {
  expect(errorOf(() => loadTorrentParsed([1, 2]))).toBe(`libtorrent:${LibtorrentErrors.torrentIsNoDict}`)
})

test('an info section alone must be a dictionary', () => {
  expect(errorOf(() => TorrentInfo.fromInfoSection(Buffer.from('le')))).toBe(
    `libtorrent:${LibtorrentErrors.torrentInfoNoDict}`,
  )
})

test('mutated torrents load or give an error, and nothing else', () => {
  const rng = new SeededRng(77)
  const pad = { length: 31072, path: ['.pad', '31072'], attr: 'p' }
  const seeds = [
    torrent(multiV1([path('foo', 'bar.txt'), { ...path('a', 'l'), attr: 'l', 'symlink path': ['foo', 'bar.txt'] }]), {
      announce: 'http://a.b/c',
      'announce-list': [['udp://x:1/'], ['http://y/']],
      'url-list': ['http://seed/ a'],
      nodes: [['127.0.0.1', 1]],
      comment: 'caf\u00e9',
    }),
    torrent(singleV1({ 'ssl-cert': 'x', similar: ['a'.repeat(20)], collections: ['c'] })),
    torrent(infoV2(tree), layers(big)),
    torrent(
      {
        ...infoV2(tree),
        files: [{ length: 100_000, path: ['a'] }, pad, { length: 20_000, path: ['b'] }],
        pieces: 'x'.repeat(100),
      },
      layers(big),
    ),
    bencode({ 'magnet-uri': `magnet:?xt=urn:btih:${'a'.repeat(40)}` }),
  ]
  const alphabet = Buffer.from('dlie0123456789:-apx/\\.\0\xff', 'latin1')
  for (let round = 0; round < 6_000; round++) {
    const input = Array.from(seeds[rng.below(seeds.length)]!)
    for (let n = 1 + rng.below(3); n > 0; n--) {
      const at = rng.below(input.length)
      const c = rng.below(2) === 0 ? alphabet[rng.below(alphabet.length)]! : rng.below(256)
      const kind = rng.below(3)
      if (kind === 0) input[at] = c
      else if (kind === 1) input.splice(at, 0, c)
      else input.splice(at, 1 + rng.below(3))
    }
    errorOf(() => {
      const files = loadTorrentBuffer(Uint8Array.from(input)).ti?.layout()
      if (files === undefined) return
      for (let i = 0; i < files.numFiles(); i++) {
        const name = files.filePath(i)
        if (/(^|\/)\.\.?(\/|$)|\0|\\|^\//.test(name)) throw new Error(`unsafe name ${JSON.stringify(name)}`)
        const link = files.symlink(i)
        if (/(^|\/)\.\.(\/|$)|^\//.test(link)) throw new Error(`unsafe link ${JSON.stringify(link)}`)
      }
    })
  }
})

test('what is neither a path nor bytes', () => {
  expect(() => loadTorrentFile(5 as unknown as string)).toThrow(TypeError)
  expect(() => loadTorrentFile(new Uint8Array(2) as unknown as string)).toThrow('expected the path of a torrent file')
  expect(() => loadTorrentBuffer('a.torrent' as unknown as Uint8Array)).toThrow('expected a Uint8Array, not string')
})
