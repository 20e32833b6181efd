import { describe, expect, test } from 'vitest'
import { isLoopback } from '../../../src/core/endpoint.ts'
import type { NetworkInterface } from '../../../src/core/runtime.ts'
import { listenEndpoints } from '../../../src/net/listen-endpoints.ts'
import { parseListenInterfaces } from '../../../src/net/listen-interfaces.ts'

const LINK_LOCAL = 'fe80::d250:99ff:fe0c:9b74%eth0'
const GLOBAL_V6 = '2601:646:c600:a3:d250:99ff:fe0c:9b74'

function network(name: string, cidr: string, internet = true): NetworkInterface {
  const [address, bits] = cidr.split('/') as [string, string]
  return { name, address, prefixLength: Number(bits), loopback: isLoopback(address), internet }
}

const NETWORKS = [
  network('lo', '127.0.0.1/8', false),
  network('eth0', '192.168.1.2/24'),
  network('eth1', '24.172.48.90/24'),
  network('lo', '::1/128', false),
  network('eth0', `${LINK_LOCAL}/64`),
  network('eth0', `${GLOBAL_V6}/64`),
]

/** `address port`, and what there is to say of it. */
function open(text: string, networks: readonly NetworkInterface[] = NETWORKS): string[] {
  const { interfaces, errors } = parseListenInterfaces(text)
  expect(errors).toEqual([])
  return listenEndpoints(interfaces, networks).map(
    ({ address, port, device, ssl, localNetwork, expanded, prefixLength }) =>
      [
        `${address} ${port} ${device}/${prefixLength}`,
        ssl ? 'ssl' : '',
        localNetwork ? 'local' : '',
        expanded ? 'expanded' : '',
      ]
        .filter(word => word !== '')
        .join(' '),
  )
}

describe('listen endpoints', () => {
  test('of an address are that one, on the network it is of', () => {
    expect(open('192.168.1.2:6881,127.0.0.1:0,[::1]:7l,24.172.48.77:1s,203.0.113.1:9')).toEqual([
      '192.168.1.2 6881 eth0/24',
      '127.0.0.1 0 lo/8',
      '::1 7 lo/128 local',
      '24.172.48.77 1 eth1/24 ssl',
      '203.0.113.1 9 /0',
    ])
  })

  test('of a device are all that it has', () => {
    expect(open('eth0:6881,lo:1,eth7:5,eth1:3l')).toEqual([
      '192.168.1.2 6881 eth0/24 expanded',
      `${LINK_LOCAL} 6881 eth0/64 local expanded`,
      `${GLOBAL_V6} 6881 eth0/64 expanded`,
      '127.0.0.1 1 lo/8 local expanded',
      '::1 1 lo/128 local expanded',
      '24.172.48.90 3 eth1/24 local expanded',
    ])
  })

  test('of 0.0.0.0 and :: are those of every network of the family', () => {
    expect(open('0.0.0.0:6881,[::]:6883s')).toEqual([
      '127.0.0.1 6881 lo/8 local expanded',
      '192.168.1.2 6881 eth0/24 expanded',
      '24.172.48.90 6881 eth1/24 expanded',
      '::1 6883 lo/128 ssl local expanded',
      `${LINK_LOCAL} 6883 eth0/64 ssl local expanded`,
      `${GLOBAL_V6} 6883 eth0/64 ssl expanded`,
    ])
    expect(open('0.0.0.0:6881l', NETWORKS.slice(1, 2))).toEqual(['192.168.1.2 6881 eth0/24 local expanded'])
    expect(open('0.0.0.0:6881', NETWORKS.slice(3))).toEqual([])
  })

  test('leave out what is there already', () => {
    expect(open(`[::]:6883,[${GLOBAL_V6}]:6883,[::]:6883,[::1]:6883,[::1]:6883`)).toEqual([
      `${GLOBAL_V6} 6883 eth0/64`,
      '::1 6883 lo/128',
      `${LINK_LOCAL} 6883 eth0/64 local expanded`,
    ])
    expect(open('0.0.0.0:1,0.0.0.0:2,0.0.0.0:1s', NETWORKS.slice(1, 2))).toEqual([
      '192.168.1.2 1 eth0/24 expanded',
      '192.168.1.2 2 eth0/24 expanded',
      '192.168.1.2 1 eth0/24 ssl expanded',
    ])
    expect(open('127.0.0.1:0,127.0.0.1:0')).toHaveLength(2)
  })

  test('are for the local network where nothing leads to the internet, unless the address is public', () => {
    const one = (cidr: string, internet: boolean) => open('0.0.0.0:1', [network('x', cidr, internet)])
    expect(one('192.168.1.2/24', false)).toEqual(['192.168.1.2 1 x/24 local expanded'])
    expect(one('192.168.1.2/24', true)).toEqual(['192.168.1.2 1 x/24 expanded'])
    expect(one('1.2.3.4/16', false)).toEqual(['1.2.3.4 1 x/16 expanded'])
    expect(one('169.254.1.2/16', true)).toEqual(['169.254.1.2 1 x/16 local expanded'])
    expect(one('127.1.1.1/16', true)).toEqual(['127.1.1.1 1 x/16 local expanded'])
  })

  test('are 0.0.0.0 and :: themselves where the system tells of no network', () => {
    expect(open('0.0.0.0:6881,[::]:6881', [])).toEqual(['0.0.0.0 6881 /0', ':: 6881 /0'])
  })

  test('know the network of the very address, where networks overlap', () => {
    const networks = [network('tun0', '10.0.0.1/8'), network('eth0', '10.1.2.3/24')]
    expect(open('10.1.2.3:1', networks)).toEqual(['10.1.2.3 1 eth0/24'])
  })
})
