import { expect, test } from 'vitest'
import { internetDevices, isPointToPoint } from '../../../src/runtime/node-routes.ts'

const HEAD = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n'
const ZERO = '0'.repeat(32)
const v4 = (name: string, destination: string, flags = '0003') =>
  `${name}\t${destination}\t010200C0\t${flags}\t0\t0\t0\t00000000\t0\t0\t0   \n`
const v6 = (name: string, destination: string, flags = '00000001') =>
  `${destination} 40 ${ZERO} 00 ${ZERO} 00000100 00000001 00000000 ${flags}     ${name}\n`
const devices = (route: string | null, route6: string | null) => {
  const found = internetDevices(path => (path.endsWith('ipv6_route') ? route6 : route))
  return found === null ? null : [[...found.v4], [...found.v6]]
}

test('the devices with a default route, or one to public addresses, lead to the internet', () => {
  const route = HEAD + v4('eth0', '00000000') + v4('br0', '000011AC') + v4('wg0', '00000080') + v4('eth1', '0000A8C0')
  const route6 = v6('eth0', ZERO) + v6('eth1', `fe80${'0'.repeat(28)}`) + v6('eth2', `2001${'0'.repeat(28)}`)
  expect(devices(route, route6)).toEqual([
    ['eth0', 'wg0'],
    ['eth0', 'eth2'],
  ])
})

test('routes that only refuse lead nowhere', () => {
  expect(devices(HEAD + v4('eth0', '00000000', '0203'), v6('lo', ZERO, '00200200'))).toBeNull()
})

test('what is missing or cannot be read is not known', () => {
  expect(devices(null, null)).toBeNull()
  expect(devices(HEAD, '')).toBeNull()
  expect(devices(`${HEAD}eth0\neth0\tzz\n\n`, 'x\n \n')).toBeNull()
})

test('the flags of a device tell whether it is one end of a wire', () => {
  const read = (path: string) => (path === '/sys/class/net/tun0/flags' ? '0x10d1\n' : '0x1003\n')
  expect(isPointToPoint('tun0', read)).toBe(true)
  expect(isPointToPoint('eth0', read)).toBe(false)
  expect(isPointToPoint('tun0', () => null)).toBe(false)
  const flagged = () => '0x10'
  expect([isPointToPoint('../tun0', flagged), isPointToPoint('', flagged)]).toEqual([false, false])
})
