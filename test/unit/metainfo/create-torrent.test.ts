import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bdecode } from '../../../src/bencode/bdecode.ts'
import { bencode } from '../../../src/bencode/bencode.ts'
import type { Entry } from '../../../src/bencode/entry.ts'
import { Sha1Hash, Sha256Hash } from '../../../src/core/digest.ts'
import { FileFlags, Operation } from '../../../src/core/enums.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import { CreateFileEntry } from '../../../src/metainfo/create-file-entry.ts'
import { CreateTorrent } from '../../../src/metainfo/create-torrent.ts'
import { FileStorage } from '../../../src/metainfo/file-storage.ts'
import { loadTorrentBuffer } from '../../../src/metainfo/load-torrent.ts'
import { TorrentInfo } from '../../../src/metainfo/torrent-info.ts'
import { HashFilesError, setPieceHashes } from '../../../src/node/set-piece-hashes.ts'
import { codeOf } from './code-of.ts'

const MTIME = 1600000000
/** name, size, the character it consists of, flags */
const FILES: [name: string, size: number, fill: string, flags: number][] = [
  ['vt/sub/b.txt', 33333, 'b', FileFlags.flagExecutable],
  ['vt/a.bin', 70000, 'a', 0],
  ['vt/sub/empty', 0, 'x', 0],
  ['vt/sub/deep/exact', 16384, 'c', FileFlags.flagHidden],
  ['vt/ü/one', 1, 'e', 0],
  ['vt/b/z', 300000, 'd', 0],
  ['vt/\u{1f600}', 5, 'f', 0],
  ['vt/\uff41', 2, 'g', 0],
]

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'create-torrent-'))
  for (const [name, size, fill] of FILES) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), fill.repeat(size))
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

function entries(flags = 0): CreateFileEntry[] {
  const out = FILES.map(([name, size, , fileFlags]) => new CreateFileEntry(name, size, fileFlags, MTIME))
  if ((flags & CreateTorrent.symlinks) !== 0) {
    out.push(new CreateFileEntry('vt/link', 0, FileFlags.flagSymlink, MTIME, 'sub/b.txt'))
  }
  return out
}

const sha1Hex = (bytes: Uint8Array) => createHash('sha1').update(bytes).digest('hex')
const dict = (entry: Entry) => entry as { [key: string]: Entry }
const infoHash = (torrent: CreateTorrent) => sha1Hex(bencode(dict(torrent.generate())['info']!))

describe('torrents are those of libtorrent 2.0.8, byte for byte', () => {
  test.each([
    [0, 0, 'f24d7002fa3b89572d42a603481544a6e7ca199a', 31],
    [0, 32768, '0515d8cc12c1318f9462ffa3ffab44949a95176a', 19],
    [0, 131072, 'fd18ed5ff9b5c8d314ae5d6041ae0c2bc25f93b0', 9],
    [32, 16384, '730f2181d0aab5235b485b4c12ef64b924217189', 31],
    [32, 131072, '4e1d9e15df5d6dc23039d248c5d8fdc72c8a09e6', 9],
    [64, 0, 'df8a0687cf191aaa409eac917198f22964f915ea', 26],
    [64, 32768, '9ebb5e0f452d9a497211029c6206c4452e791c47', 13],
    [64, 131072, '17057ae57489a38a4835981ea495077585922df3', 4],
    [192, 16384, '508b41770f29a99dffa95f6c9b5aacfa0f9604ef', 31],
    [192, 131072, '23f6a3a82dfb6f648a8aa292a7938d54de4ec2d3', 9],
    [576, 16384, '3a8522d2d214ddcb789e94a904c467aca5f275af', 31],
    [512, 32768, '96162969d96c37fe7d370280d452286845106e23', 19],
    [4, 16384, '31b363c0fdab58a12f2384bf679e295c581dbc22', 31],
    [44, 32768, 'b868da9e6208e5ce7921a20d5e248c979099f1f4', 19],
  ])('flags %i, piece size %i', async (flags, pieceSize, expected, numPieces) => {
    const torrent = new CreateTorrent(entries(flags), pieceSize, flags)
    expect(torrent.numPieces()).toBe(numPieces)
    await setPieceHashes(torrent, folder)
    expect(infoHash(torrent)).toBe(expected)
    const loaded = loadTorrentBuffer(torrent.generateBuf()).ti!
    expect(loaded.v1()).toBe((flags & CreateTorrent.v2Only) === 0)
    expect(loaded.v2()).toBe((flags & CreateTorrent.v1Only) === 0)
    expect(loaded.numPieces()).toBe(numPieces)
  })

  test.each([
    [0, '7f6ddefce6943dc17b8c21b293cf12d7656d639d'],
    [32, 'ac138570a57fc832abf9bf7e0cabfe21d7ac8375'],
    [64, '26138c8595cef4f5cad396bee13bf12992b35964'],
  ])('a single file, flags %i', async (flags, expected) => {
    const file = new CreateFileEntry('a.bin', 70000, FileFlags.flagExecutable)
    const torrent = new CreateTorrent([file], 16384, flags)
    await setPieceHashes(torrent, join(folder, 'vt'))
    expect(infoHash(torrent)).toBe(expected)
  })

  test('all other fields', async () => {
    const torrent = new CreateTorrent([new CreateFileEntry('a.bin', 70000)], 16384)
    await setPieceHashes(torrent, join(folder, 'vt'))
    torrent.addTracker('http://b/', 1)
    torrent.addTracker('http://a/', 0)
    torrent.addTracker('udp://c/', 1)
    torrent.addTracker('http://a/', 3)
    torrent.addTracker('')
    torrent.addNode('host', 5)
    torrent.addUrlSeed('http://s/1')
    torrent.addUrlSeed('http://s/2')
    torrent.setComment('com')
    torrent.setCreator('cre')
    torrent.setPriv(true)
    torrent.addCollection('col')
    torrent.addSimilarTorrent(new Sha1Hash('01'.repeat(20)))
    torrent.setRootCert('PEM')
    torrent.setCreationDate(7)
    const bytes = torrent.generateBuf()
    expect(bytes).toHaveLength(762)
    expect(sha1Hex(bytes)).toBe('4dadc127fef4012822d121d9fd1794b7cab30aef')
    expect(bencode(torrent.generate())).toEqual(bytes)
    expect(torrent.priv()).toBe(true)
    const loaded = loadTorrentBuffer(bytes)
    expect(loaded.trackers).toEqual(['http://a/', 'http://b/', 'udp://c/'])
    expect(loaded.trackerTiers).toEqual([0, 1, 1])
    expect(loaded.ti!.priv()).toBe(true)
  })
})

describe('the layout', () => {
  test('v2 torrents are sorted by bytes and padded to pieces', () => {
    const torrent = new CreateTorrent(entries(), 16384)
    const names = [...torrent.fileRange()].map(i => torrent.fileAt(i).filename)
    expect(names.filter(name => !name.includes('.pad'))).toEqual([
      'vt/a.bin',
      'vt/b/z',
      'vt/sub/b.txt',
      'vt/sub/deep/exact',
      'vt/sub/empty',
      'vt/ü/one',
      'vt/\uff41',
      'vt/\u{1f600}',
    ])
    expect(names[1]).toBe('vt/.pad/11920')
    let offset = 0
    for (const i of torrent.fileRange()) {
      const file = torrent.fileAt(i)
      if (file.size > 0 && (file.flags & FileFlags.flagPadFile) === 0) expect(offset % 16384).toBe(0)
      offset += file.size
    }
    expect(offset).toBe(torrent.totalSize())
    expect(torrent.pieceSize(torrent.endPiece() - 1)).toBe(16384)
    expect(torrent.endFile()).toBe(names.length)
    expect(torrent.filePieceRange(0).length).toBe(5)
    expect([...torrent.pieceRange()]).toHaveLength(31)
  })

  test('a directory comes before its siblings whose names go on behind it, as in the file tree', () => {
    const names = ['o/a.txt', 'o/a-b', 'o/a/z', 'o/a/b/c', 'o/a/b!']
    const files = names.map(name => new CreateFileEntry(name, 1))
    for (const flags of [0, CreateTorrent.v2Only]) {
      const torrent = new CreateTorrent(files, 16384, flags)
      for (let i = 0; i < torrent.numPieces() && flags === 0; i++) torrent.setHash(i, new Uint8Array(20).fill(1))
      for (const i of torrent.fileRange()) {
        if ((torrent.fileAt(i).flags & FileFlags.flagPadFile) === 0) torrent.setHash2(i, 0, new Uint8Array(32).fill(2))
      }
      const loaded = loadTorrentBuffer(torrent.generateBuf()).ti!.layout()
      const paths = [...loaded.fileRange()].filter(i => !loaded.padFileAt(i)).map(i => loaded.filePath(i))
      expect(paths).toEqual(['o/a/b/c', 'o/a/b!', 'o/a/z', 'o/a-b', 'o/a.txt'])
    }
  })

  test.each([
    [2684355, 16384],
    [2684356, 32768],
    [10737418, 32768],
    [10737419, 65536],
    [703687441777, 8 * 1024 * 1024],
    [703687441778, 16 * 1024 * 1024],
  ])('a size of %i has pieces of %i', (size, pieceLength) => {
    expect(new CreateTorrent([new CreateFileEntry('a', size)], 0, CreateTorrent.v1Only).pieceLength()).toBe(pieceLength)
  })

  test('piece sizes that libtorrent refuses are refused', () => {
    const make = (pieceSize: number, flags: number) =>
      codeOf(() => new CreateTorrent([new CreateFileEntry('a', 100000)], pieceSize, flags))
    const { v1Only, v2Only, allowOddPieceSize } = CreateTorrent
    const invalid = LibtorrentErrors.invalidPieceSize
    expect(make(16385, 0)).toBe(invalid)
    expect(make(49152, v2Only)).toBe(invalid)
    expect(make(49152, v1Only)).toBe(0)
    expect(make(20000, v1Only)).toBe(invalid)
    expect(make(20000, v1Only | allowOddPieceSize)).toBe(0)
    expect(make(8192, v1Only)).toBe(0)
    expect(make(128 * 1024 * 1024, 0)).toBe(0)
    expect(make(256 * 1024 * 1024, 0)).toBe(invalid)
    for (const size of [-1, -16384, 0.5, Number.NaN, 2 ** 40]) expect(make(size, v1Only)).toBe(invalid)
    expect(new CreateTorrent([new CreateFileEntry('a', 100000)], 1024).pieceLength()).toBe(16384)
  })

  test('file lists that make no torrent are refused', () => {
    expect(codeOf(() => new CreateTorrent([]))).toBe(LibtorrentErrors.noFilesInTorrent)
    expect(codeOf(() => new CreateTorrent([new CreateFileEntry('a', 0)]))).toBe(LibtorrentErrors.torrentInvalidLength)
    const file = (name: string, size = 1) => new CreateFileEntry(name, size)
    expect(() => new CreateTorrent([file('a'), file('b')])).toThrow(RangeError)
    expect(() => new CreateTorrent([file('a/x'), file('b/y')])).toThrow(RangeError)
    expect(() => new CreateTorrent([file('')])).toThrow(RangeError)
    expect(() => new CreateTorrent([file('a', -1)])).toThrow(RangeError)
    expect(() => new CreateTorrent([file('a', 1.5)])).toThrow(RangeError)
    expect(() => new CreateTorrent([file('a/x', 2 ** 53 - 1), file('a/y', 2 ** 53 - 1)])).toThrow('File too large')
  })
})

describe('hashes', () => {
  const one = () => new Sha1Hash('01'.repeat(20))

  test('a torrent needs all hashes of a kind, and zeros are none', () => {
    const torrent = new CreateTorrent([new CreateFileEntry('a', 40000)], 16384)
    const attempt = () => codeOf(() => torrent.generateBuf())
    expect(attempt()).toBe(LibtorrentErrors.invalidHashEntry)
    for (let i = 0; i < 3; i++) torrent.setHash(i, i === 1 ? new Sha1Hash() : one())
    expect(attempt()).toBe(LibtorrentErrors.invalidHashEntry)
    torrent.setHash(1, one().toBytes())
    expect(loadTorrentBuffer(torrent.generateBuf()).ti!.v2()).toBe(false)
    for (let i = 0; i < 3; i++) torrent.setHash2(0, i, new Sha256Hash('02'.repeat(32)))
    expect(loadTorrentBuffer(torrent.generateBuf()).ti!.v2()).toBe(true)
  })

  test('hashes of the other kind and of pieces that are not there are refused', () => {
    const v1 = new CreateTorrent([new CreateFileEntry('a', 40000)], 16384, CreateTorrent.v1Only)
    const v2 = new CreateTorrent([new CreateFileEntry('a', 40000)], 16384, CreateTorrent.v2Only)
    expect(codeOf(() => v2.setHash(0, one()))).toBe(LibtorrentErrors.invalidHashEntry)
    expect(codeOf(() => v1.setHash2(0, 0, new Sha256Hash('02'.repeat(32))))).toBe(LibtorrentErrors.invalidHashEntry)
    expect(() => v1.setHash(3, one())).toThrow(RangeError)
    expect(() => v1.setHash(-1, one())).toThrow(RangeError)
    expect(() => v2.setHash2(1, 0, new Sha256Hash('02'.repeat(32)))).toThrow(RangeError)
    expect(() => v2.setHash2(0, 3, new Sha256Hash('02'.repeat(32)))).toThrow(RangeError)
    expect(() => v2.setHash2(0, 0, new Sha256Hash())).toThrow(RangeError)
    expect(() => v1.pieceSize(3)).toThrow(RangeError)
    expect(v1.pieceSize(2)).toBe(40000 - 32768)
  })

  test('in a v2 torrent no file has the name of a directory', () => {
    for (const names of [
      ['r/a', 'r/a/b'],
      ['r/a/b', 'r/a'],
      ['r/a', 'r/a'],
    ]) {
      const torrent = new CreateTorrent(
        names.map(name => new CreateFileEntry(name, 10)),
        16384,
      )
      for (const i of torrent.fileRange()) {
        if ((torrent.fileAt(i).flags & FileFlags.flagPadFile) === 0)
          torrent.setHash2(i, 0, new Sha256Hash('02'.repeat(32)))
      }
      expect(codeOf(() => torrent.generateBuf())).toBe(LibtorrentErrors.torrentInconsistentFiles)
    }
  })

  test('names that mean something to JavaScript are names', () => {
    const names = ['r/__proto__', 'r/constructor', 'r/toString/x']
    const torrent = new CreateTorrent(
      names.map(name => new CreateFileEntry(name, 10)),
      16384,
      CreateTorrent.v2Only,
    )
    for (const i of torrent.fileRange()) {
      if ((torrent.fileAt(i).flags & FileFlags.flagPadFile) === 0)
        torrent.setHash2(i, 0, new Sha256Hash('02'.repeat(32)))
    }
    const tree = dict(dict(torrent.generate())['info']!)['file tree'] as object
    expect(Object.keys(tree).sort()).toEqual(['__proto__', 'constructor', 'toString'])
  })
})

describe('the older constructors', () => {
  test('a file storage gives what the list of files gives', async () => {
    const storage = new FileStorage()
    for (const [name, size, , flags] of FILES) storage.addFile(name, size, flags, MTIME)
    const torrent = new CreateTorrent(storage, 16384)
    await setPieceHashes(torrent, folder)
    expect(infoHash(torrent)).toBe('f24d7002fa3b89572d42a603481544a6e7ca199a')
  })

  test.each([0, CreateTorrent.v1Only, CreateTorrent.v2Only])('a torrent is copied, flags %i', async flags => {
    const torrent = new CreateTorrent(entries(), 16384, flags)
    torrent.addTracker('http://a/')
    torrent.addUrlSeed('http://s/')
    torrent.addNode('host', 5)
    torrent.setComment('c')
    torrent.setCreationDate(5)
    await setPieceHashes(torrent, folder)
    const bytes = torrent.generateBuf()
    const copy = new CreateTorrent(new TorrentInfo(bytes))
    expect(copy.generateBuf()).toEqual(bytes)
    copy.setComment('other')
    expect(infoHash(copy)).toBe(infoHash(torrent))
  })

  test('an info dictionary that is not in order stays so', () => {
    const info = 'd4:name1:a6:lengthi4e12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae'
    const copy = new CreateTorrent(new TorrentInfo(Buffer.from(`d4:info${info}e`)))
    copy.setCreationDate(0)
    expect(Buffer.from(bencode(copy.generate())).toString()).toBe(`d4:info${info}e`)
    expect(Buffer.from(copy.generateBuf()).toString()).toBe(`d4:info${info}e`)
  })
})

describe('setPieceHashes', () => {
  test('reports each piece in order', async () => {
    const torrent = new CreateTorrent(entries(), 16384)
    const seen: number[] = []
    await setPieceHashes(torrent, folder, piece => seen.push(piece))
    expect(seen).toEqual([...torrent.pieceRange()])
  })

  test('a missing file, a short one and a directory are errors that name the file', async () => {
    const place = mkdtempSync(join(tmpdir(), 'create-torrent-'))
    const file = join(place, 'f')
    writeFileSync(file, 'x'.repeat(50000))
    const run = async () => {
      const torrent = new CreateTorrent([new CreateFileEntry('f', 50000)], 16384)
      const error = await setPieceHashes(torrent, place).then(
        () => null,
        (reason: unknown) => reason,
      )
      if (error === null) return null
      expect(codeOf(() => torrent.generateBuf())).toBe(LibtorrentErrors.invalidHashEntry)
      const { code, operation, file: name } = error as HashFilesError
      expect(error).toBeInstanceOf(HashFilesError)
      expect(name).toBe(file)
      return [code.message(), operation]
    }
    expect(await run()).toBeNull()
    truncateSync(file, 49999)
    expect(await run()).toEqual(['End of file', Operation.fileRead])
    unlinkSync(file)
    expect(await run()).toEqual(['No such file or directory', Operation.fileOpen])
    mkdirSync(file)
    expect(await run()).toEqual(['Is a directory', Operation.fileRead])
    rmSync(place, { recursive: true })
  })

  test('a progress function that returns false stops it, and one that throws gives its error', async () => {
    const torrent = new CreateTorrent(entries(), 16384)
    const seen: number[] = []
    const stop = setPieceHashes(torrent, folder, piece => seen.push(piece) < 3)
    await expect(stop).rejects.toThrow('Operation canceled')
    expect(seen).toEqual([0, 1, 2])
    const failing = setPieceHashes(torrent, folder, () => {
      throw new Error('mine')
    })
    await expect(failing).rejects.toThrow('mine')
    expect(codeOf(() => torrent.generateBuf())).toBe(LibtorrentErrors.invalidHashEntry)
  })

  test('an abort signal stops it with its reason, before and while it runs', async () => {
    const torrent = new CreateTorrent(entries(), 16384)
    await expect(setPieceHashes(torrent, folder, { signal: AbortSignal.abort('no') })).rejects.toBe('no')
    const controller = new AbortController()
    const seen: number[] = []
    const run = setPieceHashes(
      torrent,
      folder,
      piece => {
        seen.push(piece)
        if (piece === 2) controller.abort('enough')
      },
      { signal: controller.signal },
    )
    await expect(run).rejects.toBe('enough')
    expect(seen).toEqual([0, 1, 2])
  })
})

test('what generate() gives is what the buffer decodes to', async () => {
  const torrent = new CreateTorrent(entries(), 65536)
  await setPieceHashes(torrent, folder)
  expect(torrent.generate()).toEqual(bdecode(torrent.generateBuf()))
})
