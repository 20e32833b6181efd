/** The settings that `--set` and `--listen` ask for. */

import { parseSetting, type SettingsPack } from '../index.ts'
import { UsageError } from './io.ts'

/**
 * @param assignments `NAME=VALUE` each; the last one of a name counts
 * @throws UsageError if there is no such setting or the value does not fit it
 */
export function settingsOf(assignments: readonly string[] = []): SettingsPack {
  const pack: Record<string, string | number | boolean> = {}
  for (const assignment of assignments) {
    const equals = assignment.indexOf('=')
    const name = assignment.slice(0, equals).trim()
    try {
      pack[name] = parseSetting(name, assignment.slice(equals + 1))
    } catch (error) {
      throw new UsageError(`--set ${assignment}: ${(error as Error).message}`)
    }
  }
  return pack as SettingsPack
}
