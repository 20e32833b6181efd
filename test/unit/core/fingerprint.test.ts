import { describe, expect, test } from 'vitest'
import { binaryToBytes } from '../../../src/core/bytes.ts'
import { CLIENT_CODES, CLIENT_PATTERNS } from '../../../src/core/client-names.ts'
import { Sha1Hash } from '../../../src/core/digest.ts'
import {
  clientFingerprint,
  Fingerprint,
  generateFingerprint,
  generateFingerprintBytes,
  identifyClient,
} from '../../../src/core/fingerprint.ts'

const id = (text: string) => new Sha1Hash(binaryToBytes(text.padEnd(20, '.')))

describe('making a fingerprint', () => {
  test.each([
    ['AB', [1, 2, 3, 4], '-AB1234-'],
    ['AB', [1, 2], '-AB1200-'],
    ['..', [1, 10], '-..1A00-'],
    ['CZ', [1, 15, 16, 17], '-CZ1FGH-'],
  ] as const)('%s %s is %s', (name, [major, ...rest], text) => {
    expect(generateFingerprint(name, major, ...rest)).toBe(text)
    expect(generateFingerprintBytes(name, major, ...rest)).toEqual(binaryToBytes(text))
    expect(generateFingerprint(binaryToBytes(name), major, ...rest)).toBe(text)
  })

  test('refuses other names than of two characters, and negative versions', () => {
    for (const name of ['', 'A', 'ABC'])
      expect(() => generateFingerprint(name, 1)).toThrow(new RangeError('fingerprint name must be 2 bytes'))
    for (const bad of [-1, 1.5, Number.NaN])
      expect(() => generateFingerprintBytes('AB', 1, bad)).toThrow(
        new RangeError('fingerprint version must be a positive integer'),
      )
    expect(() => new Fingerprint('A', 1, 0, 0, 0)).toThrow(RangeError)
  })

  test('the former class does the same', () => {
    const fingerprint = new Fingerprint('LT', 2, 1, 0, 12)
    expect(String(fingerprint)).toBe('-LT210C-')
    expect(fingerprint.tagVersion).toBe(12)
  })
})

describe('identifying a client', () => {
  test.each([
    ['\0'.repeat(20), 'Unknown'],
    ['-AZ123B-', 'Azureus 1.2.3.11'],
    ['-AZ1230-', 'Azureus 1.2.3'],
    ['-qB4520-', 'qBittorrent 4.5.2'],
    ['-A~1230-', 'Ares 1.2.3'],
    ['-xx1230-', 'xx 1.2.3'],
    ['S123--', 'Shadow 1.2.3'],
    ['S\x01\x02\x03....\0', 'Shadow 1.2.3'],
    ['S\x80\x02\x03....\0', 'Unknown [S...................]'],
    ['M1-2-3--', 'Mainline 1.2.3'],
    ['M7-10-115--', 'Mainline 7.10.115'],
    ['M0-7--6', 'Mainline 0.7.-6'],
    ['\0'.repeat(12), 'Generic'],
    ['\0'.repeat(13), 'Experimental 3.1'],
    [`${'\0'.repeat(12)}\x97`, 'Experimental 3.2.1b2'],
    ['-BOWA0C-', 'Bits on Wheels A0C'],
    ['eXuser name 12', "eXeem ('user name 12')"],
    ['exbc', 'BitComet'],
    ['xxBS', 'BitSpirit'],
    ['.....Azureus', 'Azureus 2.0.3.2'],
    ['-AB~23\x7f-', 'AnyEvent BitTorrent 71.2.3.72'],
    ['....................', 'Unknown [....................]'],
    ['\x01abc\xff ', 'Unknown [.abc. ..............]'],
    ['constructor', 'Unknown [constructor.........]'],
  ])('%j is %s', (text, client) => {
    expect(identifyClient(id(text))).toBe(client)
  })

  test('every code of the two usual styles is known', () => {
    for (const [code, name] of Object.entries(CLIENT_CODES)) {
      const text = code.length === 2 ? `-${code}1230-` : `${code}123--`
      expect(identifyClient(id(text)), text).toMatch(
        name.startsWith('MLDonkey') ? /^MLdonkey/ : new RegExp(`^${literally(name)}`),
      )
    }
  })

  test('every pattern is found at its place', () => {
    for (const [offset, text] of CLIENT_PATTERNS)
      expect(identifyClient(id('~'.repeat(offset) + text)), text).toBe(
        CLIENT_PATTERNS.find(([at, t]) => text.startsWith(t) && at === offset)?.[2],
      )
  })

  test('our own default is one of them', () => {
    expect(identifyClient(id('-LS0100-'))).toBe('libtorrent-ts 0.1.0')
  })
})

describe('the fingerprint of a client', () => {
  test('has name and version in the usual styles', () => {
    expect(clientFingerprint(id('-AZ123B-'))).toMatchObject({
      name: 'AZ',
      majorVersion: 1,
      minorVersion: 2,
      revisionVersion: 3,
      tagVersion: 11,
    })
    expect(clientFingerprint(id('-AZ123B-'))).toBeInstanceOf(Fingerprint)
    expect(clientFingerprint(id('S123--'))).toMatchObject({ name: 'S', majorVersion: 1, tagVersion: 0 })
    expect(clientFingerprint(id('M7-10-115--'))).toMatchObject({ name: 'M', minorVersion: 10, revisionVersion: 115 })
  })

  test('is null in any other', () => {
    for (const text of ['', '-AZ12', '-AZ1/30-', '-\x1fZ1230-', '*123--', 'M7-10', '\0'.repeat(20)])
      expect(clientFingerprint(id(text)), text).toBe(null)
  })
})

function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
