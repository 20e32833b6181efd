/**
 * Settings as users give and get them: a plain object keyed by libtorrent's names, sparse.
 *
 * Names and values are checked here, at the door; behind it the engine reads `SessionSettings`.
 */

import { BOOL_SETTINGS } from './bool-table.ts'
import { INT_SETTINGS } from './int-table.ts'
import type { SettingsPack } from './pack-type.ts'
import { HIGH_PERFORMANCE_SEED, MIN_MEMORY_USAGE } from './preset-table.ts'
import type { SettingRow } from './setting-row.ts'
import { STRING_SETTINGS } from './string-table.ts'

export type { SettingsPack } from './pack-type.ts'

/** The value of a setting. */
export type SettingValue = string | number | boolean

/** Every setting, in the order of the ids. @internal */
export const ALL_SETTINGS: readonly SettingRow<SettingValue>[] = [...STRING_SETTINGS, ...INT_SETTINGS, ...BOOL_SETTINGS]

const byName = new Map<string, SettingRow<SettingValue>>(ALL_SETTINGS.map(row => [row.name, row]))
const byId = new Map<number, string>(ALL_SETTINGS.map(row => [row.id, row.name]))
// the former name of the setting, which programs still use
byName.set('peer_tos', byName.get('peer_dscp')!)

/** Every setting with its default. A new object at each call. */
export function defaultSettings(): Required<SettingsPack> {
  const pack: Record<string, SettingValue> = {}
  for (const row of ALL_SETTINGS) pack[row.name] = row.initial
  return pack as unknown as Required<SettingsPack>
}

/** What to change for a machine that seeds many torrents to many peers. Apply it over the defaults. */
export function highPerformanceSeed(): SettingsPack {
  return { ...HIGH_PERFORMANCE_SEED }
}

/** What to change for a machine with little memory. Apply it over the defaults. */
export function minMemoryUsage(): SettingsPack {
  return { ...MIN_MEMORY_USAGE }
}

/** The name of a setting id. @returns '' if there is no such setting */
export function nameForSetting(id: number): string {
  return byId.get(id) ?? ''
}

/** The id of a setting. @returns -1 if there is none of that name */
export function settingByName(name: string): number {
  return byName.get(name)?.id ?? -1
}

/** @throws TypeError if there is no setting of that name @internal */
export function settingRow(name: string): SettingRow<SettingValue> {
  const row = byName.get(name)
  if (row === undefined) throw new TypeError(`unknown name in settings_pack: ${name}`)
  return row
}

/**
 * Checks one setting.
 *
 * @returns the value to store: flags above 2^31, such as `AlertCategory.all`, become the signed number
 *   that libtorrent reports
 * @throws TypeError if there is no such setting, or its value has another type or range
 * @internal
 */
export function checkSetting(name: string, value: unknown): SettingValue {
  const row = settingRow(name)
  const wanted = typeof row.initial
  if (typeof value !== wanted)
    throw new TypeError(
      `setting ${name} must be ${wanted === 'number' ? 'an integer' : `a ${wanted}`}, not ${describe(value)}`,
    )
  if (typeof value !== 'number') return value as SettingValue
  const limit = name === 'alert_mask' ? 0xffffffff : 0x7fffffff
  if (!Number.isInteger(value) || value < -0x80000000 || value > limit)
    throw new TypeError(`setting ${name} must be a 32-bit integer, not ${value}`)
  return value | 0
}

/**
 * Reads a value from text, as the command line gives it: `true`, `false`, `1`, `0` for booleans,
 * decimal integers, and strings as they are.
 *
 * @throws TypeError if there is no such setting or the text does not fit it
 */
export function parseSetting(name: string, text: string): SettingValue {
  const row = settingRow(name)
  if (typeof row.initial === 'string') return text
  if (typeof row.initial === 'boolean') {
    if (text === 'true' || text === '1') return true
    if (text === 'false' || text === '0') return false
    throw new TypeError(`setting ${name} must be true or false, not ${JSON.stringify(text)}`)
  }
  if (!/^[+-]?\d{1,15}$/.test(text))
    throw new TypeError(`setting ${name} must be an integer, not ${JSON.stringify(text)}`)
  return checkSetting(name, Number(text))
}

function describe(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'number') return `the number ${value}`
  if (typeof value === 'string') return `the string ${JSON.stringify(value.slice(0, 40))}`
  if (typeof value === 'object') return 'an object'
  return value === undefined ? 'undefined' : `a ${typeof value}`
}
