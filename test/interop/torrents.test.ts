import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { canTest } from './lib/child.ts'
import { noise, Workspace, writeShape } from './lib/files.ts'
import { type LtTorrent, ltTool } from './lib/lt-tool.ts'
import { FLAGS, KINDS, type MakeOptions, makeTorrent, PIECE, SHAPES, sortedFiles } from './lib/make.ts'
import { lib } from './lib/ours.ts'

const EVERYTHING: MakeOptions = {
  trackers: [
    ['http://127.0.0.1:6969/announce', 0],
    ['udp://127.0.0.1:6969/announce', 1],
  ],
  webSeed: 'http://127.0.0.1:8080/files/',
  node: ['router.example', 6881],
  comment: 'a comment: Füße',
  creator: 'interop',
}

const space = new Workspace()
afterAll(() => space.remove())

/** A torrent as we load it, in the form of `ltTool.describe`. */
function describeOurs(torrent: Uint8Array): LtTorrent {
  const params = lib.loadTorrentBuffer(torrent)
  const ti = params.ti!
  const files = ti.layout()
  const hashes = ti.infoHashes()
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  return {
    v1: hashes.hasV1() ? hashes.v1.toString() : '',
    v2: hashes.hasV2() ? hashes.v2.toString() : '',
    name: ti.name(),
    pieceLength: ti.pieceLength(),
    numPieces: ti.numPieces(),
    totalSize: ti.totalSize(),
    files: Array.from({ length: files.numFiles() }, (_, i) => ({
      path: files.filePath(i),
      size: files.fileSize(i),
      offset: files.fileOffset(i),
      flags: files.fileFlags(i),
      root: hashes.hasV2() ? hex(files.root(i).toBytes()) : '',
    })),
    pieces: hashes.hasV1() ? Array.from({ length: ti.numPieces() }, (_, i) => hex(ti.hashForPiece(i))) : [],
    comment: params.comment,
    creator: params.createdBy,
    trackers: params.trackers.map((url, i): [string, number] => [url, params.trackerTiers[i]!]).sort(),
    webSeeds: params.urlSeeds.slice().sort(),
    nodes: params.dhtNodes.slice().sort(),
    private: ti.priv(),
    info: createHash('sha256').update(ti.infoSection()).digest('hex'),
  }
}

describe.runIf(canTest('libtorrent'))('a torrent', () => {
  for (const [kind, flags] of Object.entries(KINDS)) {
    for (const [shape, files] of Object.entries(SHAPES)) {
      const name = `${kind} ${shape}`.replaceAll(' ', '-')
      const parent = space.dir()
      writeShape(parent, name, files)

      test(`${kind}, ${shape}: made by us, loads in libtorrent as the same`, async () => {
        const torrent = await makeTorrent(join(parent, name), flags, EVERYTHING)
        expect(ltTool.describe(torrent)).toEqual(describeOurs(torrent))
      })

      test(`${kind}, ${shape}: made by libtorrent, loads here as the same, and ours has its info-hash`, async () => {
        const bits = flags.reduce((all, flag) => all | FLAGS[flag]!, 0)
        const listed = sortedFiles(join(parent, name), bits)
        const theirs = ltTool.create({
          parent,
          files: listed.map(file => ({ path: file.filename, size: file.size, flags: file.flags })),
          pieceSize: PIECE,
          flags,
          trackers: [['http://tracker.example/announce', 2]],
          comment: 'theirs',
        })
        const loaded = describeOurs(theirs)
        expect(loaded).toEqual(ltTool.describe(theirs))
        const ours = describeOurs(await makeTorrent(join(parent, name), flags, EVERYTHING))
        expect({ v1: ours.v1, v2: ours.v2, info: ours.info }).toEqual({
          v1: loaded.v1,
          v2: loaded.v2,
          info: loaded.info,
        })
      })
    }
  }

  test('that is private, with a symbolic link, is read the same on both sides', () => {
    const parent = space.dir()
    writeShape(parent, 'linked', [
      ['data/file', PIECE + 1],
      ['other', 10],
    ])
    for (const flags of [['v1_only', 'symlinks'], ['v2_only', 'symlinks'], ['symlinks']]) {
      const theirs = ltTool.create({
        parent,
        files: [
          { path: 'linked/data/file', size: PIECE + 1, flags: 0 },
          { path: 'linked/link', size: 0, flags: 8, symlink: 'linked/data/file' },
          { path: 'linked/other', size: 10, flags: 4 },
        ],
        pieceSize: PIECE,
        flags,
        private: true,
      })
      expect(describeOurs(theirs)).toEqual(ltTool.describe(theirs))
      expect(describeOurs(theirs).private).toBe(true)
    }
  })

  test('written again by us from what we loaded is the same to libtorrent', async () => {
    const parent = space.dir()
    writeShape(parent, 'again', SHAPES['many files']!)
    for (const flags of Object.values(KINDS)) {
      const torrent = await makeTorrent(join(parent, 'again'), flags, EVERYTHING)
      const again = lib.writeTorrentFileBuf(lib.loadTorrentBuffer(torrent), lib.WriteFlags.includeDhtNodes)
      expect(ltTool.describe(again)).toEqual(ltTool.describe(torrent))
    }
  })
})

describe.runIf(canTest('mktorrent'))('a torrent of mktorrent', () => {
  test('loads, and ours has the same pieces', async () => {
    const parent = space.dir()
    writeShape(parent, 'content', SHAPES['many files']!)
    const out = join(parent, 'made.torrent')
    const run = spawnSync('mktorrent', [
      '-l',
      '16',
      '-a',
      'http://t.example/announce',
      '-o',
      out,
      join(parent, 'content'),
    ])
    expect(run.status, String(run.stderr)).toBe(0)
    const params = lib.loadTorrentFile(out)
    const files = params.ti!.layout()
    const entries = Array.from({ length: files.numFiles() }, (_, i) => [files.filePath(i), files.fileSize(i)] as const)
    const torrent = new lib.CreateTorrent(
      entries.map(([path, size]) => new lib.CreateFileEntry(path, size)),
      PIECE,
      lib.CreateTorrent.v1Only,
    )
    await lib.setPieceHashes(torrent, parent)
    expect(new lib.TorrentInfo(torrent.generateBuf()).infoHash().toString()).toBe(params.ti!.infoHash().toString())
  })
})

describe('a torrent file', () => {
  test('of nothing but noise is refused on both sides', () => {
    const path = space.file('noise.torrent', noise(5000, 1))
    expect(() => lib.loadTorrentFile(path)).toThrow()
    expect(() => ltTool.describe(readFileSync(path))).toThrow()
  })
})
