/** What leaves past a proxy: nothing that gives the address away. */

import { describe, expect, test } from 'vitest'
import { ListenSucceededAlert } from '../../src/alert/session-alerts.ts'
import { TrackerErrorAlert } from '../../src/alert/tracker-alerts.ts'
import { ProxyType, SocketType } from '../../src/core/enums.ts'
import type { DatagramHandler } from '../../src/core/runtime.ts'
import type { SettingsPack } from '../../src/settings/pack-type.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
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

describe('listening', () => {
  const proxied = { proxy_type: ProxyType.socks4, proxy_hostname: '10.9.9.9', proxy_port: 1080 }
  const seen = (node: SwarmNode) =>
    node.alerts
      .filter(alert => alert instanceof ListenSucceededAlert)
      .map(alert => `${alert.socketType === SocketType.tcp ? 'tcp' : 'udp'} ${alert.address}:${alert.port}`)

  function connects(sim: Simulation, to: readonly [string, number]): boolean {
    let connected: boolean | null = null
    const stream = sim.host(`visitor ${sim.clock.now()}`).connect({ to })
    stream.setHandler({
      onConnect: () => {
        connected = true
      },
      onData: () => {},
      onDrain: () => {},
      onClose: () => {
        connected ??= false
      },
    })
    sim.runUntil(() => connected !== null, 60_000)
    stream.close()
    return connected!
  }

  test('behind a proxy there is one UDP socket, and no peer gets in past the proxy', () => {
    simulate(6, sim => {
      const node = new SwarmNode(sim, 'node', makeTorrent(16384, 16384, 6), { settings: proxied })
      sim.run(1000)
      expect(seen(node)).toEqual(['udp 0.0.0.0:6881'])
      expect(node.engine.listen.sockets.map(socket => socket.listenPort)).toEqual([0])
      expect(connects(sim, node.endpoint)).toBe(false)
      node.close()
    })
  })

  test('its port is another one if that is taken', () => {
    simulate(7, sim => {
      const runtime = sim.host('node')
      runtime.bindDatagram(['0.0.0.0', 6881], { onPacket() {}, onError() {}, onWritable() {} }, () => {})
      const node = new SwarmNode(sim, 'node', makeTorrent(16384, 16384, 7), { settings: proxied }, runtime)
      sim.run(1000)
      expect(seen(node)).toEqual(['udp 0.0.0.0:6882'])
      node.close()
    })
  })

  test('the sockets follow the proxy settings', () => {
    simulate(8, sim => {
      const node = new SwarmNode(sim, 'node', makeTorrent(16384, 16384, 8), {})
      const apply = (settings: SettingsPack) => {
        node.engine.turn.run('test', () => node.engine.applySettings(settings))
        sim.run(1000)
        return connects(sim, node.endpoint)
      }
      expect(apply({})).toBe(true)
      expect(apply(proxied)).toBe(false)
      expect(apply({ proxy_peer_connections: false })).toBe(true)
      expect(apply({ proxy_peer_connections: true })).toBe(false)
      expect(apply({ proxy_type: ProxyType.none })).toBe(true)
      node.close()
    })
  })
})
