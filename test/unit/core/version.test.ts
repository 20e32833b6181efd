import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { generateFingerprint } from '../../../src/core/fingerprint.ts'
import * as versions from '../../../src/core/version.ts'
import { defaultSettings } from '../../../src/settings/settings-pack.ts'

const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  name: string
  version: string
}

test('what the package says of its version is the same everywhere', () => {
  const [major, minor, patch] = manifest.version.split('.').map(Number) as [number, number, number]
  expect(versions.packageVersion).toBe(manifest.version)
  expect(defaultSettings().user_agent).toBe(`${manifest.name}/${manifest.version}`)
  expect(defaultSettings().peer_fingerprint).toBe(generateFingerprint('LS', major, minor, patch))
})

test('the parts of the libtorrent version make up its text', () => {
  const { versionMajor, versionMinor, versionTiny } = versions
  expect(versions.version).toBe(`${versionMajor}.${versionMinor}.${versionTiny}.0`)
  expect(versions.versionStr).toBe(versions.version)
})
