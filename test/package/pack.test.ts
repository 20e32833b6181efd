/** The package as it is published: packed, installed into an empty project, imported, and used to transfer a torrent. */

import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const run = promisify(execFile)
const ROOT = resolve(import.meta.dirname, '../..')
const NPM = process.platform === 'win32' ? 'npm.cmd' : 'npm'

let folder = ''
let project = ''
let packed: readonly string[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'package-'))
  project = join(folder, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{"name":"empty","private":true,"type":"module"}')
  // what is built is packed: building here would pull it away from under other tests
  const { stdout } = await run(NPM, ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], { cwd: ROOT })
  const [made] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }]
  packed = made.files.map(file => file.path)
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']
  await run(NPM, ['install', join(folder, made.filename), ...quiet], { cwd: project })
}, 180_000)

afterAll(() => rmSync(folder, { recursive: true }))

async function script(name: string, source: string): Promise<string> {
  writeFileSync(join(project, name), source)
  const { stdout } = await run(process.execPath, [name], { cwd: project, timeout: 60_000 })
  return stdout
}

describe('the package', () => {
  test('has what is built and what is to be read, and nothing else', () => {
    const outside = packed.filter(path => !/^(dist\/|docs\/|README\.md$|LICENSE$|package\.json$)/.test(path))
    expect(outside).toEqual([])
    for (const path of ['dist/index.js', 'dist/index.d.ts', 'dist/cli/main.js', 'README.md', 'LICENSE']) {
      expect(packed).toContain(path)
    }
    expect(packed.filter(path => path.endsWith('.ts') && !path.endsWith('.d.ts'))).toEqual([])
  })

  test('brings no native code along', () => {
    const native = readdirSync(join(project, 'node_modules'), { recursive: true, encoding: 'utf8' })
    expect(native.filter(path => /\.node$|binding\.gyp$/.test(path))).toEqual([])
  })

  test('its command runs', async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    const { stdout } = await run(NPM, ['exec', '--no', 'libtorrent-ts', '--', '--version'], { cwd: project })
    expect(stdout.trim()).toBe(version)
  })

  test('nothing but its entry can be imported', async () => {
    const source = "import('libtorrent-ts/dist/cli/main.js').catch(error => console.log(error.code))"
    expect(await script('inner.js', source)).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED\n')
  })

  test('the demo says which package it lacks', async () => {
    // hides one that may be installed in a folder above
    const hollow = join(project, 'node_modules/bittorrent-tracker')
    mkdirSync(hollow)
    writeFileSync(join(hollow, 'package.json'), '{"name":"bittorrent-tracker","exports":{"./server":"./none.js"}}')
    const failure = await run(NPM, ['exec', '--no', 'libtorrent-ts', '--', 'demo'], { cwd: project }).catch(e => e)
    expect(failure.code).toBe(1)
    expect(failure.stderr).toContain('npm install bittorrent-tracker')
  })
})

describe('TypeScript finds the types', () => {
  const SOURCE = `
import { type AddTorrentParams, type Endpoint, loadTorrentFile, Session, TorrentInfo } from 'libtorrent-ts'
const session: Session = new Session({ listen_interfaces: '127.0.0.1:0' })
const params: AddTorrentParams = loadTorrentFile('x.torrent')
const peer: Endpoint = ['127.0.0.1', 6881]
session.addTorrent(params).connectPeer(peer)
session.on('piece_finished', alert => console.log(alert.pieceIndex.toFixed()))
const hash: string = new TorrentInfo('x.torrent').infoHash().toString()
// @ts-expect-error: a setting that is not there is an error before it runs
session.applySettings({ no_such_setting: 1 })
export { hash }
`

  test.each([
    ['node16', 'node16'],
    ['esnext', 'bundler'],
  ])('with --module %s --moduleResolution %s', async (module, resolution) => {
    const name = `types-${resolution}.ts`
    writeFileSync(join(project, name), SOURCE)
    const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
    const types = ['--typeRoots', join(ROOT, 'node_modules/@types'), '--types', 'node']
    const options = ['--noEmit', '--strict', '--target', 'es2023', '--module', module, '--moduleResolution', resolution]
    const result = await run(process.execPath, [compiler, name, ...options, ...types], { cwd: project }).catch(e => e)
    expect(result.stdout).toBe('')
  })
})

test('an installed package transfers a torrent', async () => {
  const output = await script(
    'transfer.js',
    `
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { AlertCategory, CreateTorrent, listFiles, loadTorrentBuffer, Session, setPieceHashes } from 'libtorrent-ts'

mkdirSync('seed')
const data = randomBytes(20 * 1024 * 1024 + 7)
writeFileSync('seed/data.bin', data)
const made = new CreateTorrent(listFiles('seed/data.bin'))
await setPieceHashes(made, 'seed')
const file = made.generateBuf()

const seed = new Session({ listen_interfaces: '127.0.0.1:0', enable_dht: false })
const leech = new Session({ listen_interfaces: '127.0.0.1:0', enable_dht: false, alert_mask: AlertCategory.status })
const params = path => Object.assign(loadTorrentBuffer(file), { savePath: path })
const seeding = seed.addTorrent(params('seed'))
while (!seeding.status().isSeeding) await seed.waitForAlert(1000)
const finished = new Promise(resolve => leech.on('torrent_finished', resolve))
leech.addTorrent(params('leech')).connectPeer(['127.0.0.1', seed.listenPort()])
await finished
console.log(readFileSync('leech/data.bin').equals(data) ? 'equal' : 'different')
await Promise.all([seed.close(), leech.close()])
`,
  ).catch(error => `${error.stdout}${error.stderr}`)
  expect(output).toBe('equal\n')
})
