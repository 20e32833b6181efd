/** The examples, run against the built package as programs of their own. */

import { execFile, spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const run = promisify(execFile)
const ROOT = resolve(import.meta.dirname, '../..')
const DIST = resolve(process.env['DIST'] ?? join(ROOT, 'dist'))
const EXAMPLES = ['avatar', 'client', 'make_torrent', 'simple_client']
const FIXTURES = join(ROOT, 'node_modules/webtorrent-fixtures/fixtures')

const library: typeof import('../../src/index.ts') = await import(pathToFileURL(join(DIST, 'index.js')).href)

/** The examples begin with the bootstrap node of the DHT, as programs do; in tests no name is looked up outside. */
const NO_NAMES = `
import dns from 'node:dns'
import { syncBuiltinESMExports } from 'node:module'
import { isIP } from 'node:net'
const { lookup } = dns
dns.lookup = (host, options, found) =>
  isIP(host) ? lookup(host, options, found) : found(Object.assign(new Error(host), { code: 'ENOTFOUND' }))
syncBuiltinESMExports()
`
const PRELOAD = ['--import', './no-names.js']

/** What is used of the tracker package. */
interface Tracker {
  readonly http: { address(): AddressInfo }
  listen(port: number, host: string, done: () => void): void
  once(event: 'start', listener: () => void): void
  close(done: () => void): void
}

let folder = ''
let tracker: Tracker
let announceUrl = ''

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'examples-'))
  mkdirSync(at('node_modules'))
  writeFileSync(at('package.json'), '{"type":"module"}')
  writeFileSync(at('no-names.js'), NO_NAMES)
  symlinkSync(dirname(DIST), at('node_modules/libtorrent-ts'), 'junction')
  // Node 20 runs no TypeScript
  const sources = EXAMPLES.map(name => join(ROOT, `examples/${name}.ts`))
  const options = ['--ignoreConfig', '--noCheck', '--module', 'nodenext', '--target', 'es2023', '--outDir', folder]
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
  await run(process.execPath, [compiler, ...sources, ...options, '--rootDir', join(ROOT, 'examples')])

  // it is to meet nobody but the session of the test
  const client = readFileSync(at('simple_client.js'), 'utf8')
  expect(client).toContain('new Session({')
  writeFileSync(at('simple_client.js'), client.replace('new Session({', 'new Session({ enable_lsd: false,'))

  mkdirSync(at('seed/album'), { recursive: true })
  writeFileSync(at('seed/album/a.bin'), Buffer.alloc(300_000, 'leaves'))
  writeFileSync(at('seed/album/.hidden'), 'x')

  const name: string = 'bittorrent-tracker/server'
  const { default: Server } = (await import(name)) as { default: new (options: object) => Tracker }
  tracker = new Server({ http: true, udp: false, ws: false, stats: false })
  await new Promise<void>(done => tracker.listen(0, '127.0.0.1', done))
  announceUrl = `http://127.0.0.1:${tracker.http.address().port}/announce`
})

afterAll(async () => {
  await new Promise<void>(done => tracker.close(done))
  rmSync(folder, { recursive: true })
})

function at(path: string): string {
  return join(folder, path)
}

function example(name: string, ...args: string[]) {
  return run(process.execPath, [...PRELOAD, at(`${name}.js`), ...args], { cwd: folder, timeout: 30_000 })
}

test('avatar prints a magnet link that works', async () => {
  copyFileSync(join(FIXTURES, 'bunny.torrent'), at('avatar.torrent'))
  const { stdout } = await example('avatar')
  const link =
    'magnet:?xt=urn:btih:af8f10f30bf9aefecf3686922bfa0d5bd290a395&dn=bbb_sunflower_1080p_30fps_stereo_abl.mp4'
  expect(stdout).toBe(`${link}\n`)
  expect(library.parseMagnetUri(stdout.trim()).name).toBe('bbb_sunflower_1080p_30fps_stereo_abl.mp4')
})

test('make_torrent makes a torrent without hidden files, and simple_client downloads it', async () => {
  const { stdout } = await example('make_torrent', at('seed/album'), announceUrl)
  expect(stdout).toBe('       293 KiB  album/a.bin\n.\n')
  const params = library.loadTorrentFile(at('out.torrent'))
  expect(params.trackers).toEqual([announceUrl])
  expect(params.ti!.numFiles()).toBe(1)

  const session = new library.Session({ listen_interfaces: '127.0.0.1:0', enable_dht: false, enable_lsd: false })
  try {
    const announced = new Promise<void>(done => tracker.once('start', done))
    params.savePath = at('seed')
    session.addTorrent(params)
    await announced
    const client = await example('simple_client', at('out.torrent'))
    expect(client.stdout).toMatch(/^starting album\n/)
    expect(client.stdout).toMatch(/\n100\.00 % complete .* seeding\n(.*\n)*album complete\n$/)
    expect(readFileSync(at('album/a.bin')).equals(readFileSync(at('seed/album/a.bin')))).toBe(true)
  } finally {
    await session.close()
  }
})

test('client shows torrents, and keeps resume data when it is left', async () => {
  const made = new library.CreateTorrent(library.listFiles(at('seed/album')))
  await library.setPieceHashes(made, at('seed'))
  writeFileSync(at('client.torrent'), made.generateBuf())
  const args = [
    ...PRELOAD,
    at('client.js'),
    '--port',
    '0',
    '--listen-interface',
    '127.0.0.1',
    '--save-path',
    at('seed'),
  ]
  const child = spawn(process.execPath, [...args, at('client.torrent')], { cwd: folder, stdio: 'pipe' })
  let output = ''
  await new Promise<void>((done, fail) => {
    child.stdout.on('data', bytes => {
      output += bytes
      if (output.includes('state changed to: seeding')) done()
    })
    child.stderr.on('data', bytes => fail(new Error(String(bytes))))
  })
  const exit = new Promise(done => child.once('exit', done))
  child.stdin.write('q')
  expect(await exit).toBe(0)
  expect(output).toContain('name: album')
  expect(output).toContain('(q)uit, (p)ause, (u)npause, (r)eannounce')
  const resume = library.readResumeData(readFileSync(at('seed/album.fastresume')))
  expect(resume.havePieces.every(Boolean)).toBe(true)
})
