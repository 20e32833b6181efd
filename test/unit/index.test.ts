import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

type Library = typeof import('../../src/index.ts')
type Session = import('../../src/index.ts').Session

/** Sessions come from the built package: their workers, and the engine, are loaded from there. */
const DIST = process.env['DIST'] ?? join(import.meta.dirname, '../../dist')
const lib = (await import(pathToFileURL(join(DIST, 'index.js')).href)) as Library

let folder: string
const sessions: Session[] = []

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'index-test-'))
})

afterAll(async () => {
  await Promise.all(sessions.map(session => session.close()))
  rmSync(folder, { recursive: true, force: true })
})

function start(...args: ConstructorParameters<Library['Session']>): Session {
  const session = new lib.Session(...args)
  sessions.push(session)
  return session
}

const QUIET = { listen_interfaces: '', enable_dht: false }

describe('session state', () => {
  test('is what differs from the defaults, and makes an equal session', () => {
    const session = start({ ...QUIET, connections_limit: 123, user_agent: 'agent/1', enable_lsd: false })
    const filter = new lib.IpFilter()
    filter.addRule('10.0.0.0', '10.255.255.255', lib.IpFilter.AccessFlags.blocked)
    filter.addRule('2001:db8::', '2001:db8::ffff', lib.IpFilter.AccessFlags.blocked)
    session.setIpFilter(filter)

    const saved = lib.writeSessionParamsBuf(session.sessionState())
    const params = lib.readSessionParams(saved)
    expect(params.settings).toMatchObject({ connections_limit: 123, user_agent: 'agent/1', enable_lsd: false })
    expect(params.settings).not.toHaveProperty('active_limit')
    const again = start(params)
    expect(again.getSettings()).toEqual(session.getSettings())
    expect(again.getIpFilter().exportFilter()).toEqual(filter.exportFilter())
  })

  test('is in the format of libtorrent', () => {
    const params = new lib.SessionParams({ enable_dht: false, active_limit: 7, user_agent: 'x' })
    params.ipFilter.addRule('1.2.3.0', '1.2.3.255', 1)
    const id = new lib.Sha1Hash('ab'.repeat(20))
    params.dhtState.nids.push(['9.8.7.6', id])
    params.dhtState.nodes.push(['1.2.3.4', 0x1234])
    params.dhtState.nodes6.push(['::1', 0x1234])
    expect(lib.bdecode(lib.writeSessionParamsBuf(params))).toEqual({
      'dht state': {
        'node-id': [Uint8Array.of(...id.toBytes(), 9, 8, 7, 6)],
        nodes: [Uint8Array.of(1, 2, 3, 4, 0x12, 0x34)],
        nodes6: [Uint8Array.of(...new Array(15).fill(0), 1, 0x12, 0x34)],
      },
      ip_filter4: [
        Uint8Array.of(0, 0, 0, 0, 1, 2, 2, 255, 0, 0, 0, 0),
        Uint8Array.of(1, 2, 3, 0, 1, 2, 3, 255, 0, 0, 0, 1),
        Uint8Array.of(1, 2, 4, 0, 255, 255, 255, 255, 0, 0, 0, 0),
      ],
      ip_filter6: [Uint8Array.from([...new Array(16).fill(0), ...new Array(16).fill(255), 0, 0, 0, 0])],
      settings: { active_limit: 7, enable_dht: 0, user_agent: Uint8Array.of(120) },
    })
  })

  test('flags say which parts', () => {
    const params = new lib.SessionParams({ active_limit: 7 })
    expect(Object.keys(lib.writeSessionParams(params, lib.Session.saveSettings))).toEqual(['settings'])
    expect(Object.keys(lib.writeSessionParams(params, lib.Session.saveIpFilter))).toEqual(['ip_filter4', 'ip_filter6'])
    expect(lib.writeSessionParams(params, lib.Session.saveDhtState)).toEqual({ 'dht state': { 'node-id': [] } })
    const both = lib.writeSessionParams(params)
    expect(lib.readSessionParams(both, lib.Session.saveIpFilter).settings).toEqual({})
  })

  test('what is not understood is passed over', () => {
    const odd = {
      settings: {
        active_limit: 'seven',
        enable_dht: 2,
        user_agent: 5,
        no_such_setting: 1,
        connections_limit: 2n ** 40n + 9n,
      },
      ip_filter4: ['text', Uint8Array.of(1), Uint8Array.of(9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1), 5],
      'dht state': { 'node-id': [5, Uint8Array.of(1)], nodes: [Uint8Array.of(1, 2, 3, 4, 0, 5), 'x'], nodes6: 7 },
    }
    const params = lib.readSessionParams(odd)
    expect(params.settings).toEqual({ enable_dht: true, connections_limit: 9 })
    expect(params.ipFilter.empty()).toBe(true)
    expect([params.dhtState.nids, params.dhtState.nodes6]).toEqual([[], []])
    expect(params.dhtState.nodes).toEqual([['1.2.3.4', 5]])
    expect(lib.readSessionParams(lib.bencode([1])).settings).toEqual({})
    expect(() => lib.readSessionParams(Uint8Array.of(120))).toThrow(lib.LibtorrentError)
  })

  test('loadState changes what saveState has and nothing else', () => {
    const from = start({ ...QUIET, connections_limit: 77 })
    const session = start({ ...QUIET, active_limit: 3 })
    session.loadState(from.saveState())
    expect(session.getSettings()).toMatchObject({ connections_limit: 77, active_limit: 3 })
  })
})

describe('addMagnetUri', () => {
  test("adds the link's torrent with what the caller gave beside it", () => {
    const session = start(QUIET)
    const uri = `magnet:?xt=urn:btih:${'ab'.repeat(20)}&dn=name&tr=http%3A%2F%2Fb.invalid%2F`
    const handle = lib.addMagnetUri(session, uri, {
      savePath: folder,
      trackers: ['http://a.invalid/'],
      flags: lib.TorrentFlags.paused,
    })
    expect(handle.status().name).toBe('name')
    expect(handle.infoHash().toString()).toBe('ab'.repeat(20))
    expect(handle.trackers().map(tracker => tracker.url)).toEqual(['http://a.invalid/', 'http://b.invalid/'])
    expect(() => lib.addMagnetUri(session, 'http://x', { savePath: folder })).toThrow(lib.LibtorrentError)
  })

  test('of the files of a link that selects some, the others are not wanted', () => {
    const files = ['a', 'b', 'c'].map(name => ({ length: 5, path: [name] }))
    const info = lib.bencode({ files, name: 'set', 'piece length': 16_384, pieces: new Uint8Array(20) })
    const hash = createHash('sha1').update(info).digest('hex')
    const handle = lib.addMagnetUri(start(QUIET), `magnet:?xt=urn:btih:${hash}&so=1`, { savePath: folder })
    expect(handle.setMetadata(info)).toBe(true)
    expect(handle.getFilePriorities()).toEqual([0, 4, 0])
  })
})

test('the classes of what a session gives are those that are exported', () => {
  const session = start({ ...QUIET, alert_mask: lib.AlertCategory.status })
  const params = lib.parseMagnetUri(`magnet:?xt=urn:btih:${'cd'.repeat(20)}`)
  params.savePath = folder
  const handle = session.addTorrent(params)
  expect(session).toBeInstanceOf(lib.Session)
  expect(handle).toBeInstanceOf(lib.TorrentHandle)
  expect(handle.status()).toBeInstanceOf(lib.TorrentStatus)
  const alert = session.popAlerts().find(a => a.what() === 'add_torrent')!
  expect(alert).toBeInstanceOf(lib.AddTorrentAlert)
  expect(lib.alertCast(alert, lib.AddTorrentAlert)).toBe(alert)
  expect(lib.alertCast(alert, lib.StateChangedAlert)).toBeNull()
  expect(alert.type()).toBeLessThan(lib.numAlertTypes)
  expect(() => session.addTorrent({})).toThrow(lib.LibtorrentError)
})

test('waiting for alerts that nobody pops does not stop the world', async () => {
  const session = start({ ...QUIET, alert_mask: lib.AlertCategory.status })
  session.postSessionStats()
  let ticked = false
  setTimeout(() => {
    ticked = true
  }, 10)
  while (!ticked) expect(await session.waitForAlert(1000)).toBe(true)
})

test('names that programs of before use are there', () => {
  expect(lib.PeerId).toBe(lib.Sha1Hash)
  expect(lib.identifyClient(new lib.Sha1Hash(new TextEncoder().encode('-TR3000-123456789012')))).toBe(
    'Transmission 3.0.0',
  )
})

test('sessions store and find items through the DHT, over real sockets', async () => {
  const settings = { enable_lsd: false, enable_upnp: false, enable_natpmp: false, dht_bootstrap_nodes: '' }
  const first = start({ ...settings, listen_interfaces: '127.0.0.1:0', alert_mask: lib.AlertCategory.dht })
  await once(first, 'dht_bootstrap')
  const second = start({
    ...settings,
    listen_interfaces: '127.0.0.2:0',
    dht_bootstrap_nodes: `127.0.0.1:${first.listenPort()}`,
    alert_mask: lib.AlertCategory.dht,
  })
  await once(second, 'dht_bootstrap')
  expect(second.isDhtRunning()).toBe(true)
  const seed = lib.ed25519CreateSeed()
  const [publicKey, secretKey] = lib.ed25519CreateKeypair(seed)
  second.dhtPutMutableItem(secretKey, publicKey, 'hello')
  const put = (await once(second, 'dht_put')) as InstanceType<Library['DhtPutAlert']>
  expect(put.numSuccess).toBeGreaterThanOrEqual(1)
  expect(put.seq).toBe(1)
  second.dhtGetMutableItem(publicKey)
  const got = (await once(second, 'dht_mutable_item')) as InstanceType<Library['DhtMutableItemAlert']>
  expect(got.item).toEqual(new TextEncoder().encode('hello'))
})

function once(session: Session, name: 'dht_bootstrap' | 'dht_put' | 'dht_mutable_item'): Promise<unknown> {
  return new Promise(done => session.once(name, done))
}
