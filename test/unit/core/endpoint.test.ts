import { expect, test } from 'vitest'
import { isGlobal, isLocal } from '../../../src/core/endpoint.ts'

test.each([
  ['10.0.0.0', '9.255.255.255'],
  ['10.255.255.255', '11.0.0.0'],
  ['172.16.0.0', '172.15.255.255'],
  ['172.31.255.255', '172.32.0.0'],
  ['192.168.0.0', '192.167.255.255'],
  ['169.254.255.255', '169.255.0.0'],
  ['127.0.0.1', '128.0.0.1'],
  ['100.64.0.0', '100.63.255.255'],
  ['100.127.255.255', '100.128.0.0'],
  ['::1', '::2'],
  ['fe80::1', 'fe00::1'],
  ['fec0::1', '2001:db8::1'],
  ['fd00::1', 'fb00::1'],
  ['ff02::1', 'ff01::1'],
  ['ff15::1', 'ff1e::1'],
])('%s is local, %s is not', (local, other) => {
  expect(isLocal(local)).toBe(true)
  expect(isGlobal(local)).toBe(false)
  expect(isLocal(other)).toBe(false)
})
