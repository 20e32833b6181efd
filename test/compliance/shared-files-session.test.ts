/** Whole sessions on real disks: a file of one torrent becomes a file of another. */

import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { TorrentFlags } from '../../src/core/enums.ts'
import { loadTorrentBuffer } from '../../src/metainfo/load-torrent.ts'
import { Session } from '../../src/node/session.ts'
import type { TorrentHandle } from '../../src/session/torrent-handle.ts'
import { fileBytes, torrentOf } from '../sim/lib/shared-torrent.ts'
import type { SimTorrent } from '../sim/lib/swarm.ts'

const PIECE = 65536
const BIG = fileBytes(12 * PIECE + 777, 1)
const OLD = { 'a.txt': fileBytes(3000, 3), big: BIG }
const NEW = { big2: BIG, little: fileBytes(2 * PIECE + 5, 2) }
const LIMIT_MS = 20_000

let root: string
let sessions: Session[]

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'shared-'))
  sessions = []
})

afterEach(async () => {
  await Promise.all(sessions.map(session => session.close()))
  fs.rmSync(root, { recursive: true, force: true })
})

function open(): Session {
  const session = new Session({
    listen_interfaces: '127.0.0.1:0',
    enable_dht: false,
    enable_lsd: false,
    enable_upnp: false,
    enable_natpmp: false,
    allow_multiple_connections_per_ip: true,
  })
  sessions.push(session)
  return session
}

function write(directory: string, files: Readonly<Record<string, Uint8Array>>): void {
  fs.mkdirSync(path.join(root, directory), { recursive: true })
  for (const [name, bytes] of Object.entries(files)) fs.writeFileSync(path.join(root, directory, name), bytes)
}

function add(session: Session, torrent: SimTorrent, savePath: string, flags = 0): TorrentHandle {
  const params = loadTorrentBuffer(torrent.file)
  params.savePath = path.join(root, savePath)
  params.flags = (params.flags & ~(TorrentFlags.paused | TorrentFlags.autoManaged)) | flags
  return session.addTorrent(params)
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const limit = performance.now() + LIMIT_MS
  while (!condition()) {
    if (performance.now() > limit) throw new Error(`waited in vain for: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

test('a file of the same root becomes a hard link; the rest is downloaded', async () => {
  const [first, second] = [torrentOf('old', OLD), torrentOf('new', NEW)]
  write('a/old', OLD)
  write('seed/new', NEW)
  const [ours, theirs] = [open(), open()]
  const one = add(ours, first, 'a')
  const seed = add(theirs, second, 'seed')
  await until(() => one.status().isSeeding && seed.status().isSeeding, 'the seeds')
  const two = add(ours, second, 'b')
  await until(() => two.status().state === 3, 'the check')
  expect(fs.statSync(path.join(root, 'b/new/big2')).ino).toBe(fs.statSync(path.join(root, 'a/old/big')).ino)
  expect(two.status().totalDone).toBe(BIG.length)
  two.connectPeer(['127.0.0.1', theirs.listenPort()])
  await until(() => two.status().isSeeding, 'the rest')
  expect(two.status().totalPayloadDownload).toBe(NEW.little.length)
  expect(fs.readFileSync(path.join(root, 'b/new/little')).equals(NEW.little)).toBe(true)
})

test('a broken one is repaired in the new torrent and stays as it is in the old one', async () => {
  const [first, second] = [torrentOf('old', OLD), torrentOf('new', NEW)]
  const broken = BIG.slice()
  broken[5 * PIECE + 7]! ^= 1
  write('a/old', { ...OLD, big: broken })
  write('seed/new', NEW)
  const [ours, theirs] = [open(), open()]
  // nobody has looked at what it has
  const one = add(ours, first, 'a', TorrentFlags.seedMode)
  const seed = add(theirs, second, 'seed')
  await until(() => one.status().isSeeding && seed.status().isSeeding, 'the seeds')
  const two = add(ours, second, 'b')
  await until(() => two.status().state === 3, 'the check')
  const [old, shared] = [path.join(root, 'a/old/big'), path.join(root, 'b/new/big2')]
  expect(fs.statSync(shared).ino).toBe(fs.statSync(old).ino)
  expect(two.status().totalDone).toBe(BIG.length - PIECE)
  two.connectPeer(['127.0.0.1', theirs.listenPort()])
  await until(() => two.status().isSeeding, 'the rest')
  expect(fs.readFileSync(old).equals(broken)).toBe(true)
  expect(fs.readFileSync(shared).equals(BIG)).toBe(true)
  expect(fs.readdirSync(path.join(root, 'b/new')).sort()).toEqual(['big2', 'little'])
})

test('two torrents that would write to one file: the second one says so and stops', async () => {
  const size = 64 * PIECE
  const filesOf = (seed: number) => ({ x: fileBytes(size, seed), [`y${seed}`]: fileBytes(9, seed) })
  const [one5, two6] = [filesOf(5), filesOf(6)]
  const [first, second] = [torrentOf('same', one5), torrentOf('same', two6)]
  write('one/same', one5)
  write('two/same', two6)
  const [ours, theirs] = [open(), open()]
  const seeds = [add(theirs, first, 'one'), add(theirs, second, 'two')]
  await until(() => seeds.every(seed => seed.status().isSeeding), 'the seeds')
  const one = add(ours, first, 'here')
  one.setDownloadLimit(500_000)
  await until(() => one.status().state === 3, 'the first')
  one.connectPeer(['127.0.0.1', theirs.listenPort()])
  await until(() => one.status().numPieces > 0, 'a piece')
  const two = add(ours, second, 'here')
  await until(() => two.status().state === 3, 'the second')
  two.connectPeer(['127.0.0.1', theirs.listenPort()])
  await until(() => two.status().errc.failed(), 'the error')
  expect(two.status().errc.message()).toBe('torrent file collides with file from another torrent')
  expect((two.flags() & TorrentFlags.paused) !== 0).toBe(true)
  one.setDownloadLimit(0)
  await until(() => one.status().isSeeding, 'the first to complete')
  expect(fs.readFileSync(path.join(root, 'here/same/x')).equals(one5.x)).toBe(true)
})
