import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { AlertCategory } from '../../../src/core/enums.ts'
import {
  ALL_SETTINGS,
  checkSetting,
  defaultSettings,
  highPerformanceSeed,
  minMemoryUsage,
  nameForSetting,
  parseSetting,
  settingByName,
} from '../../../src/settings/settings-pack.ts'

const inventory = new URL('../../../../shared/api/settings.json', import.meta.url)
interface Inventory {
  settings: { name: string; kind: 'str' | 'int' | 'bool'; default: unknown; id: number }[]
  presetsFull: { high_performance_seed: Record<string, unknown>; min_memory_usage: Record<string, unknown> }
}

describe('names and ids', () => {
  test('each setting has a name and an id of its own', () => {
    expect(new Set(ALL_SETTINGS.map(row => row.name)).size).toBe(ALL_SETTINGS.length)
    expect(new Set(ALL_SETTINGS.map(row => row.id)).size).toBe(ALL_SETTINGS.length)
    expect(new Set(ALL_SETTINGS.map(row => row.field)).size).toBe(ALL_SETTINGS.length)
    for (const row of ALL_SETTINGS) {
      expect(nameForSetting(row.id)).toBe(row.name)
      expect(settingByName(row.name)).toBe(row.id)
    }
  })

  test('the kind of a setting is in the upper bits of its id', () => {
    const base = { string: 0, number: 0x4000, boolean: 0x8000 } as Record<string, number>
    for (const row of ALL_SETTINGS) expect(row.id & 0xc000, row.name).toBe(base[typeof row.initial])
  })

  test('what does not exist has no name and no id', () => {
    expect(nameForSetting(2)).toBe('')
    expect(nameForSetting(-1)).toBe('')
    for (const name of ['', 'constructor', '__proto__', 'cache_size', 'User_agent'])
      expect(settingByName(name)).toBe(-1)
  })

  test('the former name of peer_dscp still works', () => {
    expect(settingByName('peer_tos')).toBe(settingByName('peer_dscp'))
    expect(checkSetting('peer_tos', 4)).toBe(4)
  })
})

describe('defaults and presets', () => {
  test('the defaults are complete and belong to the caller', () => {
    const settings = defaultSettings()
    expect(Object.keys(settings).length).toBe(ALL_SETTINGS.length)
    expect(settings.connections_limit).toBe(200)
    expect(settings.listen_interfaces).toBe('0.0.0.0:6881,[::]:6881')
    expect(settings.announce_ip).toBe('')
    settings.connections_limit = 1
    expect(defaultSettings().connections_limit).toBe(200)
  })

  test('presets change what they are for and nothing else', () => {
    expect(highPerformanceSeed().connections_limit).toBe(8000)
    expect(highPerformanceSeed()).not.toHaveProperty('listen_interfaces')
    expect(minMemoryUsage()).not.toHaveProperty('listen_interfaces')
    for (const preset of [highPerformanceSeed(), minMemoryUsage()])
      for (const [name, value] of Object.entries(preset)) expect(checkSetting(name, value)).toBe(value)
  })

  test.runIf(existsSync(inventory))('are those of the inventory, this client’s own identity apart', () => {
    const { settings, presetsFull } = JSON.parse(readFileSync(inventory, 'utf8')) as Inventory
    const defaults = defaultSettings() as Record<string, unknown>
    expect(Object.keys(defaults).sort()).toEqual(settings.map(s => s.name).sort())
    for (const s of settings) {
      expect(settingByName(s.name)).toBe(s.id)
      if (s.name !== 'user_agent' && s.name !== 'peer_fingerprint') expect(defaults[s.name], s.name).toBe(s.default)
    }
    expect(highPerformanceSeed()).toEqual(presetsFull.high_performance_seed)
    const { user_agent, peer_fingerprint, ...rest } = minMemoryUsage()
    const { user_agent: _, peer_fingerprint: __, ...wanted } = presetsFull.min_memory_usage
    expect(rest).toEqual(wanted)
  })
})

describe('checking a value', () => {
  const refused: [name: string, value: unknown, message: string][] = [
    ['no_such_setting', 1, 'unknown name in settings_pack: no_such_setting'],
    ['__proto__', {}, 'unknown name in settings_pack: __proto__'],
    ['connections_limit', '10', 'setting connections_limit must be an integer, not the string "10"'],
    ['connections_limit', true, 'setting connections_limit must be an integer, not a boolean'],
    ['connections_limit', null, 'setting connections_limit must be an integer, not null'],
    ['connections_limit', undefined, 'setting connections_limit must be an integer, not undefined'],
    ['connections_limit', 10n, 'setting connections_limit must be an integer, not a bigint'],
    ['connections_limit', 1.5, 'setting connections_limit must be a 32-bit integer, not 1.5'],
    ['connections_limit', Number.NaN, 'setting connections_limit must be a 32-bit integer, not NaN'],
    ['connections_limit', 2 ** 31, 'setting connections_limit must be a 32-bit integer, not 2147483648'],
    ['connections_limit', -(2 ** 31) - 1, 'setting connections_limit must be a 32-bit integer, not -2147483649'],
    ['alert_mask', 2 ** 32, 'setting alert_mask must be a 32-bit integer, not 4294967296'],
    ['enable_dht', 1, 'setting enable_dht must be a boolean, not the number 1'],
    ['enable_dht', 'true', 'setting enable_dht must be a boolean, not the string "true"'],
    ['user_agent', 7, 'setting user_agent must be a string, not the number 7'],
    ['user_agent', ['a'], 'setting user_agent must be a string, not an array'],
    ['user_agent', {}, 'setting user_agent must be a string, not an object'],
  ]

  test.each(refused)('%s = %s is refused', (name, value, message) => {
    expect(() => checkSetting(name, value)).toThrow(new TypeError(message))
  })

  test('the whole range of 32 bits is taken', () => {
    expect(checkSetting('connections_limit', 2 ** 31 - 1)).toBe(2 ** 31 - 1)
    expect(checkSetting('connections_limit', -(2 ** 31))).toBe(-(2 ** 31))
    expect(Object.is(checkSetting('connections_limit', -0), 0)).toBe(true)
  })

  test('all alert categories become -1, as libtorrent reports them', () => {
    expect(checkSetting('alert_mask', AlertCategory.all)).toBe(-1)
    expect(checkSetting('alert_mask', -1)).toBe(-1)
  })
})

describe('reading a value from text', () => {
  test('takes what the type of the setting allows', () => {
    expect(parseSetting('user_agent', '12')).toBe('12')
    expect(parseSetting('connections_limit', '12')).toBe(12)
    expect(parseSetting('unchoke_slots_limit', '-1')).toBe(-1)
    for (const text of ['true', '1']) expect(parseSetting('enable_dht', text)).toBe(true)
    for (const text of ['false', '0']) expect(parseSetting('enable_dht', text)).toBe(false)
  })

  test('refuses the rest', () => {
    expect(() => parseSetting('no_such_setting', '1')).toThrow(TypeError)
    for (const text of ['', 'yes', 'TRUE', '2']) expect(() => parseSetting('enable_dht', text)).toThrow(TypeError)
    for (const text of ['', '1.5', '1e3', '0x10', ' 1', '99999999999'])
      expect(() => parseSetting('connections_limit', text)).toThrow(TypeError)
  })
})
