/** Datagrams through a SOCKS5 proxy: UDP trackers, and a proxy that refuses, is silent, goes away and comes back. */

import { describe, expect, test } from 'vitest'
import { Socks5Alert } from '../../src/alert/session-alerts.ts'
import { TrackerErrorAlert } from '../../src/alert/tracker-alerts.ts'
import { ProxyType, ReannounceFlags } from '../../src/core/enums.ts'
import { operationName } from '../../src/core/operation.ts'
import type { SettingsPack } from '../../src/settings/pack-type.ts'
import { FakeSocks5, type FakeSocks5Options } from './lib/fake-socks5.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeTorrent, SwarmNode } from './lib/swarm.ts'

/** A session, a UDP tracker, and a proxy between them. */
class Scene {
  readonly sim: Simulation
  readonly tracker: FakeTracker
  readonly proxy: FakeSocks5
  readonly proxyAddress: string
  readonly node: SwarmNode

  constructor(sim: Simulation, settings: SettingsPack = {}, options: FakeSocks5Options = {}, tracker?: string) {
    this.sim = sim
    const trackerHost = sim.host('tracker')
    this.tracker = new FakeTracker(sim, trackerHost)
    const proxyHost = sim.host('proxy')
    this.proxyAddress = proxyHost.host.addresses[0]!
    this.proxy = new FakeSocks5(proxyHost, [this.proxyAddress, 1080], options)
    sim.run(10)
    const url = tracker ?? `udp://${trackerHost.host.addresses[0]}:6969/announce`
    const runtime = sim.host('node')
    this.node = new SwarmNode(
      sim,
      'node',
      makeTorrent(16384, 16384, 9, [url]),
      {
        settings: {
          proxy_type: ProxyType.socks5,
          proxy_hostname: this.proxyAddress,
          proxy_port: 1080,
          proxy_hostnames: false,
          ...settings,
        },
      },
      runtime,
    )
  }

  get relayed(): boolean {
    return this.node.engine.listen.sockets.some(socket => socket.association?.relay != null)
  }

  get socksErrors(): string[] {
    return this.node.alerts
      .filter(alert => alert instanceof Socks5Alert)
      .map(alert => `${operationName(alert.op)}: ${alert.error.message()}`)
  }

  get trackerErrors(): string[] {
    return this.node.alerts.filter(alert => alert instanceof TrackerErrorAlert).map(alert => alert.error.message())
  }

  apply(settings: SettingsPack): void {
    this.node.engine.turn.run('test', () => this.node.engine.applySettings(settings))
  }

  announce(): void {
    this.node.handle.forceReannounce(0, 0, ReannounceFlags.ignoreMinInterval)
  }

  /** Seconds between the connections that the proxy got. */
  get gaps(): number[] {
    const times = this.proxy.connections
    return times.slice(1).map((at, i) => Math.round((at - times[i]!) / 1000))
  }
}

describe('UDP trackers behind SOCKS5', () => {
  test('are asked through the proxy; before it relays, nothing is sent', () => {
    simulate(11, sim => {
      const scene = new Scene(sim)
      sim.run(60_000)
      expect(scene.trackerErrors).toEqual(['Permission denied'])
      expect(scene.tracker.announces.map(({ from, event }) => `${from} ${event}`)).toEqual([
        `${scene.proxyAddress} started`,
      ])
      expect(new Set(scene.proxy.targets).size).toBe(1)
      expect(scene.proxy.announced).toEqual([['0.0.0.0', 0]])
      expect(scene.socksErrors).toEqual([])
      scene.node.close()
      expect(scene.tracker.announces.map(({ from, event }) => `${from} ${event}`)).toEqual([
        `${scene.proxyAddress} started`,
        `${scene.proxyAddress} stopped`,
      ])
    })
  })

  test('with proxy_hostnames the proxy looks them up', () => {
    simulate(12, sim => {
      const scene = new Scene(sim, { proxy_hostnames: true }, { piecemeal: true }, 'udp://tracker.test:6969/announce')
      sim.run(60_000)
      expect(scene.tracker.announces.map(({ from }) => from)).toEqual([scene.proxyAddress])
      expect(new Set(scene.proxy.targets)).toEqual(new Set(['tracker.test:6969']))
      scene.node.close()
    })
  })

  test('are asked directly if they are not to go through the proxy, and their answers get in', () => {
    simulate(13, sim => {
      const scene = new Scene(sim, { proxy_tracker_connections: false })
      sim.run(1000)
      expect(scene.relayed).toBe(true)
      scene.announce()
      sim.run(10_000)
      expect(scene.tracker.announces.length).toBeGreaterThan(0)
      expect(new Set(scene.tracker.announces.map(({ from }) => from))).toEqual(
        new Set([scene.node.runtime.host.addresses[0]]),
      )
      expect(scene.proxy.targets).toEqual([])
      scene.node.close()
    })
  })

  test('each listen socket has an association of its own, as far as its family reaches the proxy', () => {
    simulate(14, sim => {
      const scene = new Scene(sim, { proxy_peer_connections: false, socks5_udp_send_local_ep: true })
      sim.run(1000)
      expect(scene.node.engine.listen.sockets.map(socket => socket.association?.relay != null)).toEqual([true, false])
      expect(scene.proxy.announced).toEqual([[scene.node.runtime.host.addresses[0], 6881]])
      expect(scene.socksErrors).toEqual(['hostname_lookup: No route to host'])
      scene.node.close()
    })
  })

  test('are asked with a login', () => {
    simulate(15, sim => {
      const login = { proxy_type: ProxyType.socks5Pw, proxy_username: 'me', proxy_password: 'secret' }
      const scene = new Scene(sim, login, { password: 'secret' })
      sim.run(60_000)
      expect(scene.proxy.logins).toEqual(['me:secret'])
      expect(scene.tracker.announces).toHaveLength(1)
      scene.node.close()
    })
  })
})

describe('a SOCKS5 proxy that', () => {
  test('refuses is asked again, later each time', () => {
    simulate(21, sim => {
      const scene = new Scene(sim, {}, { reply: 1 })
      sim.run(45_000)
      expect(scene.gaps).toEqual([5, 7, 9, 13])
      expect(scene.socksErrors).toEqual(Array(5).fill('handshake: SOCKS general failure'))
      expect(scene.tracker.announces).toEqual([])
      expect(new Set(scene.trackerErrors)).toEqual(new Set(['Permission denied']))
      scene.proxy.options = {}
      sim.run(20_000)
      expect(scene.relayed).toBe(true)
      scene.node.close()
    })
  })

  test('takes no such login is not asked again, until the login is another one', () => {
    simulate(22, sim => {
      const login = { proxy_type: ProxyType.socks5Pw, proxy_username: 'me', proxy_password: 'guess' }
      const scene = new Scene(sim, login, { password: 'secret' })
      sim.run(300_000)
      expect(scene.proxy.logins).toEqual(['me:guess'])
      expect(scene.socksErrors).toEqual(['handshake: SOCKS authentication error'])
      scene.apply({ proxy_password: 'secret' })
      sim.run(1000)
      expect(scene.relayed).toBe(true)
      scene.node.close()
    })
  })

  test('hangs up is connected to again, and nothing leaves meanwhile', () => {
    simulate(23, sim => {
      const scene = new Scene(sim)
      sim.run(60_000)
      expect(scene.tracker.announces).toHaveLength(1)
      scene.proxy.hangUp()
      sim.run(1000)
      expect(scene.relayed).toBe(false)
      expect(scene.socksErrors).toEqual(['sock_read: End of file'])
      scene.announce()
      sim.run(1000)
      expect(scene.trackerErrors).toEqual(['Permission denied', 'Permission denied'])
      sim.run(5000)
      expect(scene.relayed).toBe(true)
      sim.run(120_000)
      expect(scene.tracker.announces.map(({ from }) => from)).toEqual([scene.proxyAddress, scene.proxyAddress])
      expect(scene.proxy.connections).toHaveLength(2)
      scene.node.close()
    })
  })

  test('says nothing is given up and tried again', () => {
    simulate(24, sim => {
      const scene = new Scene(sim, {}, { silent: true })
      sim.run(30_000)
      expect(scene.gaps).toEqual([15])
      expect(scene.socksErrors).toEqual(Array(2).fill('handshake: timed out'))
      scene.node.close()
    })
  })

  test('is not there is tried again', () => {
    simulate(25, sim => {
      const scene = new Scene(sim, { proxy_port: 1081 })
      sim.run(6000)
      expect(scene.socksErrors).toEqual(['connect: Connection refused', 'connect: Connection refused'])
      scene.node.close()
    })
  })

  test('has no name that can be looked up is tried again', () => {
    simulate(26, sim => {
      const scene = new Scene(sim, { proxy_hostname: 'proxy.invalid' })
      sim.run(4000)
      expect(scene.socksErrors).toHaveLength(1)
      expect(scene.socksErrors[0]).toMatch(/^hostname_lookup: /)
      scene.node.close()
    })
  })

  test('leaves its relay address open is itself the relay', () => {
    simulate(27, sim => {
      const scene = new Scene(sim)
      scene.proxy.options = { bound: Uint8Array.of(1, 0, 0, 0, 0, 0x12, 0x34) }
      sim.run(1000)
      expect(scene.node.engine.listen.sockets[0]!.association!.relay).toEqual([scene.proxyAddress, 0x1234])
      scene.node.close()
    })
  })

  test('is replaced by none is left', () => {
    simulate(28, sim => {
      const scene = new Scene(sim)
      sim.run(1000)
      expect(scene.relayed).toBe(true)
      scene.apply({ proxy_type: ProxyType.none })
      sim.run(300_000)
      expect(scene.relayed).toBe(false)
      expect(scene.proxy.connections).toHaveLength(1)
      expect(scene.tracker.announces.at(-1)!.from).toBe(scene.node.runtime.host.addresses[0])
      scene.node.close()
    })
  })
})
