import { expect, test } from 'vitest'
import { SessionSettings } from '../../../src/settings/session-settings.ts'
import { ALL_SETTINGS, defaultSettings, type SettingsPack } from '../../../src/settings/settings-pack.ts'

test('fresh settings have every default in its field', () => {
  const settings = new SessionSettings()
  for (const row of ALL_SETTINGS) expect(settings[row.field], row.name).toBe(row.initial)
  expect(settings.toPack()).toEqual(defaultSettings())
  expect(settings.nonDefaultPack()).toEqual({})
})

test('a pack changes what it names', () => {
  const settings = new SessionSettings({ connections_limit: 50, enable_dht: false, user_agent: 'me/1' })
  expect(settings.connectionsLimit).toBe(50)
  expect(settings.enableDht).toBe(false)
  expect(settings.userAgent).toBe('me/1')
  expect(settings.uploadRateLimit).toBe(0)
  expect(settings.nonDefaultPack()).toEqual({ connections_limit: 50, enable_dht: false, user_agent: 'me/1' })
})

test('applying tells what must be brought up to date, each once', () => {
  const settings = new SessionSettings()
  expect([...settings.applyPack({ active_downloads: 1, active_seeds: 1, upload_rate_limit: 5 })].sort()).toEqual([
    'autoManage',
    'uploadRate',
  ])
  expect([...settings.applyPack({ proxy_type: 2 })].sort()).toEqual(['listenInterfaces', 'proxy'])
  expect([...settings.applyPack({ num_want: 10 })]).toEqual([])
})

test('a value that stays the same touches nothing', () => {
  const settings = new SessionSettings()
  expect([...settings.applyPack(defaultSettings())]).toEqual([])
  expect([...settings.applyPack({})]).toEqual([])
})

test('a pack with a mistake changes nothing', () => {
  const settings = new SessionSettings()
  const bad = { connections_limit: 7, no_such_setting: 1 } as SettingsPack
  expect(() => settings.applyPack(bad)).toThrow(TypeError)
  expect(settings.connectionsLimit).toBe(200)
  expect(() => new SessionSettings({ enable_dht: 1 } as unknown as SettingsPack)).toThrow(TypeError)
})

test('values out of range are corrected as libtorrent corrects them', () => {
  const settings = new SessionSettings({}, 1024)
  settings.applyPack({
    connection_speed: -1,
    dht_upload_rate_limit: 2 ** 31 - 1,
    aio_threads: -1,
    hashing_threads: -5,
    upload_rate_limit: -1,
    download_rate_limit: -1,
    connections_limit: 0,
    user_agent: 'a\nb\r\nc',
  })
  expect(settings.connectionSpeed).toBe(200)
  expect(settings.dhtUploadRateLimit).toBe(715827882)
  expect(settings.aioThreads).toBe(0)
  expect(settings.hashingThreads).toBe(0)
  expect(settings.uploadRateLimit).toBe(0)
  expect(settings.downloadRateLimit).toBe(0)
  expect(settings.connectionsLimit).toBe(1024)
  expect(settings.userAgent).toBe('a b  c')
})

test('at the start connections get at most 80 % of the file descriptors', () => {
  expect(new SessionSettings({ connections_limit: 8000 }, 1024).connectionsLimit).toBe(803)
  expect(new SessionSettings({ connections_limit: 100 }, 1024).connectionsLimit).toBe(100)
  expect(new SessionSettings({}, 10).connectionsLimit).toBe(5)
})

test('a former name in a pack sets the setting of today', () => {
  const settings = new SessionSettings()
  settings.applyPack({ peer_tos: 8 } as SettingsPack)
  expect(settings.peerDscp).toBe(8)
  expect(settings.toPack()).not.toHaveProperty('peer_tos')
})
