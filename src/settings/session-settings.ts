/** The effective value of every setting, one field each: what the engine reads. */

import type { SettingsPack } from './pack-type.ts'
import { SettingFields } from './setting-fields.ts'
import type { EffectTag, SettingRow } from './setting-row.ts'
import { ALL_SETTINGS, checkSetting, type SettingValue, settingRow } from './settings-pack.ts'

export { SettingFields } from './setting-fields.ts'
export type { EffectTag } from './setting-row.ts'

const MAX_INT = 0x7fffffff

/** What `connections_limit` <= 0 means where the number of file descriptors is not known. */
const MANY_FILES = 10_000_000

/**
 * Dense settings: every field has a value that the engine can use as it is.
 *
 * Only `applyPack` changes them, the engine excepted where libtorrent itself lowers one (out of file
 * descriptors). Read a field where it is needed instead of keeping a copy, so that a change takes effect.
 */
export class SessionSettings extends SettingFields {
  readonly #maxOpenFiles: number

  /**
   * @param pack         what differs from the defaults
   * @param maxOpenFiles file descriptors this process may have; caps `connections_limit` at 80 % of them
   * @throws TypeError on an unknown name or a wrong type
   */
  constructor(pack: SettingsPack = {}, maxOpenFiles: number = MANY_FILES) {
    super()
    this.#maxOpenFiles = maxOpenFiles
    this.applyPack(pack)
    this.connectionsLimit = Math.min(this.connectionsLimit, Math.max(5, Math.floor(((maxOpenFiles - 20) * 8) / 10)))
  }

  /**
   * Takes over what the pack has, all or nothing, and corrects what is out of range as libtorrent does.
   *
   * @returns what must be brought up to date: the tags of settings whose value has changed
   * @throws TypeError on an unknown name or a wrong type; nothing is changed then
   */
  applyPack(pack: SettingsPack): ReadonlySet<EffectTag> {
    const checked: [row: SettingRow<SettingValue>, value: SettingValue][] = []
    for (const [name, value] of Object.entries(pack)) checked.push([settingRow(name), checkSetting(name, value)])
    const fields = this as unknown as Record<keyof SettingFields, SettingValue>
    const changed = new Set<EffectTag>()
    for (const [row, value] of checked) {
      if (fields[row.field] === value) continue
      fields[row.field] = value
      for (const effect of row.effects) changed.add(effect)
    }
    if (checked.length > 0) this.#correct()
    return changed
  }

  /** All settings by name, with the values in effect: what `getSettings()` answers. */
  toPack(): Required<SettingsPack> {
    return this.#collect(() => true) as unknown as Required<SettingsPack>
  }

  /** The settings that differ from their default: what a saved session keeps. */
  nonDefaultPack(): SettingsPack {
    return this.#collect((value, initial) => value !== initial) as SettingsPack
  }

  #collect(wanted: (value: SettingValue, initial: SettingValue) => boolean): Record<string, SettingValue> {
    const pack: Record<string, SettingValue> = {}
    for (const row of ALL_SETTINGS) {
      const value = this[row.field]
      if (wanted(value, row.initial)) pack[row.name] = value
    }
    return pack
  }

  #correct(): void {
    this.userAgent = this.userAgent.replace(/[\r\n]/g, ' ')
    if (this.connectionSpeed < 0) this.connectionSpeed = 200
    if (this.dhtUploadRateLimit > Math.floor(MAX_INT / 3)) this.dhtUploadRateLimit = Math.floor(MAX_INT / 3)
    if (this.aioThreads < 0) this.aioThreads = 0
    if (this.hashingThreads < 0) this.hashingThreads = 0
    if (this.downloadRateLimit < 0) this.downloadRateLimit = 0
    if (this.uploadRateLimit < 0) this.uploadRateLimit = 0
    if (this.connectionsLimit <= 0) this.connectionsLimit = this.#maxOpenFiles
  }
}
