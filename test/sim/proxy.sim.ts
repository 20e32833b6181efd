/** What leaves past a proxy: nothing that gives the address away. */

import { expect, test } from 'vitest'
import { TrackerErrorAlert } from '../../src/alert/tracker-alerts.ts'
import { ProxyType } from '../../src/core/enums.ts'
import type { DatagramHandler } from '../../src/core/runtime.ts'
import type { SettingsPack } from '../../src/settings/pack-type.ts'
import { simulate } from './lib/simulation.ts'
import { makeTorrent, SwarmNode } from './lib/swarm.ts'

/** How many datagrams reached a UDP tracker that never answers, and what the session said of it. */
function announce(settings: SettingsPack): { packets: number; errors: string[] } {
  let packets = 0
  const errors: string[] = []
  simulate(5, sim => {
    const tracker = sim.host('tracker')
    const address = tracker.host.addresses[0]!
    const handler: DatagramHandler = { onPacket: () => void packets++, onError: () => {}, onWritable: () => {} }
    tracker.bindDatagram([address, 6969], handler, error => expect(error).toBeNull())
    const torrent = makeTorrent(16384, 16384, 5, [`udp://${address}:6969/announce`])
    const node = new SwarmNode(sim, 'node', torrent, { settings })
    sim.run(20_000)
    for (const alert of node.alerts) if (alert instanceof TrackerErrorAlert) errors.push(alert.error.message())
    node.close()
  })
  return { packets, errors }
}

test('without a proxy a UDP tracker is asked', () => {
  expect(announce({}).packets).toBeGreaterThan(0)
})

test('behind a proxy no packet goes to a UDP tracker directly', () => {
  for (const proxy_type of [ProxyType.socks4, ProxyType.socks5, ProxyType.socks5Pw, ProxyType.http]) {
    const { packets, errors } = announce({
      proxy_type,
      proxy_hostname: '10.9.9.9',
      proxy_port: 1080,
      proxy_hostnames: false,
    })
    expect(packets).toBe(0)
    expect(errors[0]).toBe('Permission denied')
  }
})

test('proxy_tracker_connections off: trackers are asked directly', () => {
  const direct = {
    proxy_type: ProxyType.socks5,
    proxy_hostname: '10.9.9.9',
    proxy_hostnames: false,
    proxy_tracker_connections: false,
  }
  expect(announce(direct).packets).toBeGreaterThan(0)
})
