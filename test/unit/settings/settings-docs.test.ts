import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ALL_SETTINGS } from '../../../src/settings/settings-pack.ts'

const text = readFileSync(new URL('../../../docs/settings.md', import.meta.url), 'utf8')
const rows = new Map(
  [...text.matchAll(/^\| `(\w+)` \| `([^`]*)` \| (.+) \| (yes|not yet|cannot on Node)(: .+)? \|$/gm)].map(m => [
    m[1],
    m,
  ]),
)

test('the documentation has every setting once, with its default', () => {
  expect([...rows.keys()].sort()).toEqual(ALL_SETTINGS.map(row => row.name).sort())
  for (const row of ALL_SETTINGS)
    expect(rows.get(row.name)?.[2], row.name).toBe(row.initial === '' ? "''" : String(row.initial))
})

test('a setting that cannot have its effect says why', () => {
  for (const [name, row] of rows) if (row[4] === 'cannot on Node') expect(row[5], name).toMatch(/^: \w+/)
})
