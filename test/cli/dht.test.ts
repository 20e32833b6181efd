import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Session } from '../../src/index.ts'
import { Command, DIST } from './lib/command.ts'

type Library = typeof import('../../src/index.ts')

/** Nodes of a DHT on this machine: all in one network, and asked by one address. */
const SETTINGS = {
  enable_lsd: false,
  enable_upnp: false,
  enable_natpmp: false,
  dht_restrict_routing_ips: false,
  dht_restrict_search_ips: false,
  dht_block_ratelimit: 1000,
  dht_upload_rate_limit: 1_000_000,
  dht_bootstrap_nodes: '',
}
const NODES = 8

let folder = ''
let library: Library
const sessions: Session[] = []
let bootstrap = ''
const at = (name: string) => join(folder, name)

async function until(isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !isSo(); i++) await new Promise(resolve => setTimeout(resolve, 20))
  expect(isSo()).toBe(true)
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cli-dht-'))
  library = await import(pathToFileURL(join(DIST, 'index.js')).href)
  const known = (session: Session) => session.sessionState(library.Session.saveDhtState).dhtState.nodes.length
  for (let i = 0; i < NODES; i++) {
    const session = new library.Session({ ...SETTINGS, listen_interfaces: `127.0.0.${i + 1}:0` })
    sessions.push(session)
    await until(() => session.listenPort() !== 0 && session.isDhtRunning())
  }
  // nobody tells of a node that has not answered: each is asked by all others
  const endpoints = sessions.map((session, i): [string, number] => [`127.0.0.${i + 1}`, session.listenPort()])
  for (const session of sessions) for (const endpoint of endpoints) session.addDhtNode(endpoint)
  await until(() => sessions.every(session => known(session) >= NODES - 1))
  bootstrap = `127.0.0.1:${sessions[0]!.listenPort()}`
})

afterAll(async () => {
  for (const session of sessions) await session.close()
  rmSync(folder, { recursive: true })
})

async function dht(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const set = Object.entries(SETTINGS).flatMap(([name, value]) =>
    name === 'dht_bootstrap_nodes' ? [] : ['--set', `${name}=${value}`],
  )
  const own = ['--bootstrap', bootstrap, '--listen', '127.0.0.77:0', ...set]
  const command = new Command(['dht', ...args, ...own])
  const code = await command.exit
  return { code, out: command.stdout, err: command.stderr }
}

describe('dht', () => {
  test('put and get of what never changes', async () => {
    const { code, out, err } = await dht('put', 'hello, wörld')
    expect([code, err]).toEqual([0, ''])
    expect(out).toMatch(/^[0-9a-f]{40}\n$/)
    expect(await dht('get', out.trim())).toEqual({ code: 0, out: 'hello, wörld\n', err: '' })
    const json = JSON.parse((await dht('get', out.trim(), '--json')).out)
    expect(json).toEqual({ event: 'item', target: out.trim(), value: 'hello, wörld' })
  })

  test('put and get of versions, by a key that is made', async () => {
    const key = at('key')
    const first = await dht('put', 'one', '--key', key, '--salt', 'news', '--json')
    expect([first.code, first.err]).toEqual([0, ''])
    const stored = JSON.parse(first.out)
    expect(stored).toMatchObject({ event: 'stored', salt: 'news', seq: 1 })
    expect(stored.key).toMatch(/^[0-9a-f]{64}$/)
    expect(statSync(key).mode & 0o077).toBe(0)
    expect(readFileSync(key, 'utf8')).toMatch(/^[0-9a-f]{64}\n$/)
    writeFileSync(at('value'), 'two')
    expect((await dht('put', at('value'), '--file', '--key', key, '--salt', 'news')).out.trim()).toBe(stored.key)
    const { out } = await dht('get', stored.key, '--salt', 'news', '--json')
    expect(JSON.parse(out)).toMatchObject({ event: 'item', key: stored.key, salt: 'news', seq: 2, value: 'two' })
    expect((await dht('get', stored.key)).code).toBe(1)
  })

  test('peers and samples', async () => {
    const infoHash = 'ab'.repeat(20)
    sessions[2]!.dhtAnnounce(new library.Sha1Hash(infoHash), 5555)
    await expect.poll(async () => (await dht('peers', infoHash)).out, { timeout: 20_000 }).toContain('127.0.0.3:5555\n')
    const named = await dht('peers', `magnet:?xt=urn:btih:${infoHash}`, '--json')
    const events = named.out
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    expect(events).toContainEqual({ event: 'peer', address: '127.0.0.3', port: 5555 })
    expect(events.at(-1)).toEqual({ event: 'done', infoHash, peers: 1 })
    expect((await dht('sample')).out).toBe(`${infoHash}\n`)
  })

  test('what is not there', async () => {
    const missing = await dht('get', '12'.repeat(20))
    expect(missing).toEqual({ code: 1, out: '', err: `error: ${'12'.repeat(20)}: nobody has it\n` })
    const nobody = await dht('peers', '34'.repeat(20))
    expect(nobody).toEqual({ code: 1, out: '', err: `error: nobody is known to have ${'34'.repeat(20)}\n` })
    const large = await dht('put', 'x'.repeat(1001))
    expect(large.code).toBe(1)
    expect(large.err).toContain('1000 bytes')
  })

  test.each([
    [['get', 'zz']],
    [['get', '12'.repeat(20), '--salt', 'x']],
    [['peers', 'zz']],
    [['put', 'x', '--salt', 'y']],
    [['put']],
    [[]],
  ])('wrong usage: %j', async args => {
    const command = new Command(['dht', ...args])
    expect(await command.exit).toBe(2)
  })

  test('nobody answers', async () => {
    const args = ['--bootstrap', '127.0.0.1:1', '--listen', '127.0.0.1:0', '--timeout', '2']
    const command = new Command(['dht', 'get', '12'.repeat(20), ...args])
    expect(await command.exit).toBe(1)
    expect(command.stderr).toBe('error: no node of the DHT answers\n')
    const deaf = new Command(['dht', 'get', '12'.repeat(20), '--listen', '192.0.2.1:1', '--timeout', '2'])
    expect(await deaf.exit).toBe(1)
    expect(deaf.stderr).toContain('192.0.2.1')
  })
})
