import { InvalidArgumentError } from 'commander'
import { describe, expect, test } from 'vitest'
import { collectAssignment, collectPeer, collectUrl, parseListen, parseSize } from '../../../src/cli/arguments.ts'

describe('addresses', () => {
  test('an IPv6 address goes in brackets', () => {
    expect(collectPeer('[::1]:6881')).toEqual([{ host: '::1', port: 6881 }])
    expect(collectPeer('seed.example:1', [{ host: 'a', port: 2 }])).toEqual([
      { host: 'a', port: 2 },
      { host: 'seed.example', port: 1 },
    ])
    expect(parseListen('[::]:0')).toBe('[::]:0')
    expect(parseListen('0.0.0.0:6881')).toBe('0.0.0.0:6881')
  })

  test.each(['', ':1', 'host', 'host:', 'host:x', 'host:65536', '::1:6881', '[::1]', 'host:0'])('%j is none', text => {
    expect(() => collectPeer(text)).toThrow(InvalidArgumentError)
  })
})

describe('sizes', () => {
  test.each([
    ['262144', 262144],
    ['256k', 262144],
    ['256KiB', 262144],
    ['1 M', 1048576],
    ['1GB', 1073741824],
  ])('%s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
  })

  test.each(['', '0', '-1', '1.5M', 'M', '1T', '1e6'])('%j is none', text => {
    expect(() => parseSize(text)).toThrow(InvalidArgumentError)
  })
})

test('a setting has a name, an equals sign and any value', () => {
  expect(collectAssignment('user_agent=a=b')).toEqual(['user_agent=a=b'])
  expect(collectAssignment('proxy_hostname=', ['x=1'])).toEqual(['x=1', 'proxy_hostname='])
  expect(() => collectAssignment('user_agent')).toThrow(InvalidArgumentError)
  expect(() => collectAssignment('=1')).toThrow(InvalidArgumentError)
})

test('a tracker is a URL', () => {
  expect(collectUrl('udp://tracker.example:80/announce')).toHaveLength(1)
  expect(() => collectUrl('tracker.example')).toThrow(InvalidArgumentError)
})
