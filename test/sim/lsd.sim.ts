import { describe, expect, test } from 'vitest'
import { LogAlert } from '../../src/alert/log-alerts.ts'
import { LsdPeerAlert } from '../../src/alert/peer-alerts.ts'
import { LsdErrorAlert } from '../../src/alert/session-alerts.ts'
import { Sha1Hash } from '../../src/core/digest.ts'
import { type Endpoint, endpointToString, isLoopback } from '../../src/core/endpoint.ts'
import { AlertCategory, ProxyType, TorrentFlags } from '../../src/core/enums.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { LSD_GROUP_V4, LSD_GROUP_V6 } from '../../src/net/lsd.ts'
import { readLsdMessage, writeLsdMessage } from '../../src/net/lsd-message.ts'
import type { SettingsPack } from '../../src/settings/pack-type.ts'
import * as C from '../../src/stats/counter-ids.ts'
import { PeerSource } from '../../src/torrent/peer-entry.ts'
import type { SimRuntime } from './lib/sim-runtime.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import {
  addTorrent,
  makeFilesTorrent,
  makeTorrent,
  type NodeOptions,
  type SimTorrent,
  Swarm,
  type SwarmNode,
} from './lib/swarm.ts'

const PIECE = 64 * 1024
const small = () => makeTorrent(8 * PIECE, PIECE)
const LSD: SettingsPack = { enable_lsd: true }

/** A host on the one local network of these tests. */
const onLan = (n: number) => ({ addresses: [`192.168.5.${n}`, `fd00:5::${n.toString(16)}`] })

function node(n: number, options: NodeOptions = {}): NodeOptions {
  return { ...options, host: { ...onLan(n), ...options.host }, settings: { ...LSD, ...options.settings } }
}

/** A machine that hears all announces, as `second port hash`. */
class Listener {
  readonly heard: string[] = []
  readonly from = new Set<string>()
  readonly runtime: SimRuntime
  readonly #sim: Simulation
  #send: (packet: Uint8Array) => void = () => {}

  constructor(sim: Simulation, n = 250, group: Endpoint = LSD_GROUP_V4) {
    this.#sim = sim
    this.runtime = sim.host(`listener ${n}`, onLan(n))
    const interfaceAddress = this.runtime.host.addresses[group === LSD_GROUP_V4 ? 0 : 1]!
    this.runtime.bindMulticast(
      { group, interfaceAddress, hops: 1 },
      {
        onPacket: (packet, from) => this.#note(packet, from),
        onError: error => {
          throw new Error(error.message())
        },
        onWritable: () => {},
      },
      (error, socket) => {
        if (socket === null) throw new Error(error?.message())
        this.#send = packet => void socket.send(packet, group)
      },
    )
    sim.run(1)
  }

  say(packet: Uint8Array): void {
    this.#send(packet)
  }

  announce(port: number, infoHash: Sha1Hash): void {
    this.say(writeLsdMessage('239.192.152.143', port, infoHash, 9))
  }

  #note(packet: Uint8Array, from: Endpoint): void {
    const message = readLsdMessage(packet)
    if (typeof message === 'string' || from[0] === this.runtime.host.addresses[0]) return
    this.from.add(from[0])
    for (const hash of message.infoHashes) {
      this.heard.push(`${Math.floor(this.#sim.clock.now() / 1000)} ${message.port} ${hash.toString().slice(0, 6)}`)
    }
  }
}

const id = (torrent: SimTorrent) => torrent.infoHash.toString().slice(0, 6)
/** The peers that its first torrent knows of. */
const known = (of: SwarmNode) => [...([...of.engine.registry.all()][0]!.swarm.known?.entries() ?? [])]
const apply = (of: SwarmNode, settings: SettingsPack) => of.engine.turn.call(() => of.engine.applySettings(settings))
const flags = (value: number): Pick<NodeOptions, 'params'> => ({
  params: params => {
    params.flags |= value
  },
})

describe('two hosts of one network', () => {
  test('find each other, and the torrent gets complete', () => {
    simulate(1, sim => {
      const swarm = new Swarm(sim, small())
      const seed = swarm.add('seed', node(1, { has: 'all' }))
      const leech = swarm.add('leech', node(2))
      swarm.complete(10_000)
      const [found] = leech.alerts.filter(alert => alert instanceof LsdPeerAlert)
      expect(found?.ep[1]).toBe(6881)
      expect(seed.engine.counters.get(C.NET_ON_LSD_COUNTER)).toBeGreaterThan(0)
      expect(leech.engine.counters.get(C.NET_ON_LSD_PEER_COUNTER)).toBeGreaterThan(0)
      expect(leech.handle.status().announcingToLsd).toBe(true)
      const sources = [seed, leech].flatMap(each => known(each).map(entry => entry.source))
      expect(sources.some(source => (source & PeerSource.lsd) !== 0)).toBe(true)
      swarm.close()
    })
  })

  test('find each other by IPv6 alone', () => {
    simulate(2, sim => {
      const swarm = new Swarm(sim, small())
      for (const n of [1, 2]) {
        const addresses = [`fd00:5::${n}`]
        swarm.add(`${n}`, node(n, { has: n === 1 ? 'all' : [], host: { addresses } }))
      }
      swarm.complete(10_000)
      swarm.close()
    })
  })

  test('on different networks do not', () => {
    simulate(3, sim => {
      const swarm = new Swarm(sim, small())
      const host = (n: number) => ({ addresses: [`192.168.${n}.1`, `fd00:${n}::1`] })
      swarm.add('seed', node(1, { has: 'all', host: host(1) }))
      const leech = swarm.add('leech', node(2, { host: host(2) }))
      sim.run(600_000)
      expect(leech.handle.status().progress).toBe(0)
      expect(leech.engine.counters.get(C.NET_ON_LSD_PEER_COUNTER)).toBe(0)
      swarm.close()
    })
  })

  test('find each other with the hash that both have of a hybrid torrent', () => {
    simulate(4, sim => {
      const hybrid = makeFilesTorrent([3 * PIECE, PIECE + 5], PIECE, 0)
      const listener = new Listener(sim)
      const swarm = new Swarm(sim, hybrid)
      const settings = { allow_multiple_connections_per_ip: true }
      const seed = swarm.add('seed', node(1, { has: 'all', settings }))
      sim.run(20_000)
      const both = [seed.handle.infoHashes().v1.toString(), seed.handle.infoHashes().v2.toString()]
      const heard = both.map(hash => listener.heard.filter(line => line.endsWith(hash.slice(0, 6))).length)
      expect(heard).toEqual([5, 5])
      for (const [hash, flag] of both.map((hash, i) => [hash.slice(0, 40), i === 0 ? 0 : 128] as const)) {
        listener.announce(7000 + flag, new Sha1Hash(hash))
      }
      sim.run(30)
      expect(
        known(seed)
          .map(({ port, protocolV2 }) => [port, protocolV2])
          .sort(),
      ).toEqual([
        [7000, false],
        [7128, true],
      ])
      swarm.close()
    })
  })
})

describe('a network of thirty', () => {
  test('with nothing but local service discovery all get complete', () => {
    simulate(5, sim => {
      const swarm = new Swarm(sim, makeTorrent(16 * PIECE, PIECE))
      for (let n = 1; n <= 30; n++) swarm.add(`${n}`, node(n, { has: n === 1 ? 'all' : [] }))
      swarm.complete(120_000)
      swarm.close()
      for (const each of swarm.nodes) expect(each.holds(swarm.torrent)).toBe(true)
    })
  })

  test('and with half of the packets lost, too', () => {
    simulate(6, sim => {
      sim.net.setDefaultPath({ loss: 0.5, latencyMs: 1 })
      const swarm = new Swarm(sim, small())
      for (let n = 1; n <= 8; n++) swarm.add(`${n}`, node(n, { has: n === 1 ? 'all' : [] }))
      swarm.complete(1_200_000)
      swarm.close()
    })
  })
})

describe('a torrent', () => {
  test('that begins is announced at once, and then every interval, each time thrice', () => {
    simulate(7, sim => {
      const listener = new Listener(sim)
      const torrent = small()
      const one = new Swarm(sim, torrent).add('a', node(1, { settings: { local_service_announce_interval: 100 } }))
      sim.run(230_000)
      expect(listener.heard).toEqual(
        // the second announce comes early, and takes the place of what was left of the first
        [0, 2, 4, 6, 10, 104, 106, 110, 204, 206, 210].map(second => `${second} 6881 ${id(torrent)}`),
      )
      expect([...listener.from]).toEqual(['192.168.5.1'])
      expect(one.engine.counters.get(C.NET_ON_LSD_COUNTER)).toBe(4)
      one.close()
    })
  })

  test('speaks IPv6 too', () => {
    simulate(8, sim => {
      const listener = new Listener(sim, 250, LSD_GROUP_V6)
      const one = new Swarm(sim, small()).add('a', node(1))
      sim.run(1000)
      expect([...listener.from]).toEqual(['fd00:5::1'])
      one.close()
    })
  })

  test('has its turn once in an interval, however many there are; new ones come first', () => {
    simulate(9, sim => {
      const torrents = Array.from({ length: 10 }, (_, i) => makeTorrent(PIECE, PIECE, i + 1))
      const listener = new Listener(sim)
      const one = new Swarm(sim, torrents[0]!).add('a', node(1, { settings: { local_service_announce_interval: 200 } }))
      for (const torrent of torrents.slice(1)) addTorrent(one, torrent, `/save/${id(torrent)}`)
      sim.run(41_000)
      // those that begin follow each other within four seconds
      expect(new Set(listener.heard.map(line => line.slice(-6)))).toEqual(new Set(torrents.map(id)))
      listener.heard.length = 0
      sim.run(210_000)
      const first = new Map<string, number>()
      const starts: string[] = []
      for (const line of listener.heard) {
        const [second, , hash] = line.split(' ') as [string, string, string]
        if (!first.has(hash) || Number(second) - first.get(hash)! > 10) {
          first.set(hash, Number(second))
          starts.push(hash)
        }
      }
      expect(starts.slice(0, 10).toSorted()).toEqual(torrents.map(id).toSorted())
      expect(starts.length).toBeLessThanOrEqual(11)
      one.close()
    })
  })

  test('that is private is neither announced nor given peers', () => {
    simulate(10, sim => {
      const listener = new Listener(sim)
      const hidden = makeFilesTorrent([5 * PIECE], PIECE, CreateFlags.v1Only, 1, true)
      const swarm = new Swarm(sim, hidden)
      const nodes = [swarm.add('seed', node(1, { has: 'all' })), swarm.add('leech', node(2))]
      sim.run(10_000)
      nodes[0]!.handle.forceLsdAnnounce()
      listener.announce(7000, hidden.infoHash)
      sim.run(700_000)
      expect(listener.heard).toEqual([])
      for (const each of nodes) {
        expect(known(each)).toEqual([])
        expect(each.alerts.some(alert => alert instanceof LsdPeerAlert)).toBe(false)
      }
      expect(nodes[0]!.engine.counters.get(C.NET_ON_LSD_PEER_COUNTER)).toBe(1)
      swarm.close()
    })
  })

  test.each([
    ['disable_lsd', TorrentFlags.disableLsd],
    ['paused', TorrentFlags.paused],
    ['I2P', TorrentFlags.i2pTorrent],
  ])('that is %s is not announced', (_name, flag) => {
    simulate(11, sim => {
      const listener = new Listener(sim)
      const one = new Swarm(sim, small()).add('a', node(1, flags(flag)))
      sim.run(5000)
      one.handle.forceLsdAnnounce()
      sim.run(400_000)
      expect(listener.heard).toEqual([])
      one.handle.unsetFlags(flag)
      if (flag !== TorrentFlags.i2pTorrent) {
        one.handle.forceLsdAnnounce()
        sim.run(1000)
        expect(listener.heard.length).toBeGreaterThan(0)
      }
      one.close()
    })
  })

  test('beyond active_lsd_limit is not announced, and says so', () => {
    simulate(12, sim => {
      const listener = new Listener(sim)
      const torrents = [small(), makeTorrent(PIECE, PIECE, 2), makeTorrent(PIECE, PIECE, 3)]
      const managed = { params: flags(TorrentFlags.autoManaged).params!, settings: { active_lsd_limit: 1 } }
      const one = new Swarm(sim, torrents[0]!).add('a', node(1, managed))
      const others = torrents
        .slice(1)
        .map(torrent => addTorrent(one, torrent, `/save/${id(torrent)}`, [], managed.params))
      sim.run(60_000)
      listener.heard.length = 0
      sim.run(900_000)
      expect(new Set(listener.heard.map(line => line.slice(-6)))).toEqual(new Set([id(torrents[0]!)]))
      expect([one.handle, ...others].map(handle => handle.status().announcingToLsd)).toEqual([true, false, false])
      one.close()
    })
  })

  test('that is resumed is announced at once, and by force at any time', () => {
    simulate(13, sim => {
      const listener = new Listener(sim)
      const one = new Swarm(sim, small()).add('a', node(1))
      sim.run(20_000)
      listener.heard.length = 0
      one.handle.pause()
      sim.run(1000)
      one.handle.resume()
      sim.run(1000)
      expect(listener.heard.length).toBe(1)
      sim.run(20_000)
      listener.heard.length = 0
      one.handle.forceLsdAnnounce()
      sim.run(20_000)
      expect(listener.heard.length).toBe(3)
      one.close()
    })
  })
})

describe('a session', () => {
  test('does not hear itself, not even by another interface on the same wire', () => {
    simulate(14, sim => {
      const addresses = ['192.168.5.1', '192.168.5.2', 'fd00:5::1']
      const one = new Swarm(sim, small()).add('a', node(1, { host: { addresses } }))
      sim.run(700_000)
      expect(one.engine.counters.get(C.NET_ON_LSD_COUNTER)).toBeGreaterThan(2)
      expect(one.engine.counters.get(C.NET_ON_LSD_PEER_COUNTER)).toBe(0)
      one.close()
    })
  })

  test('on the same machine is found by the loopback interface', () => {
    simulate(15, sim => {
      const runtime = sim.host('machine')
      const swarm = new Swarm(sim, small())
      const listen = (port: number) => ({ ...LSD, listen_interfaces: `127.0.0.1:${port}` })
      swarm.addOn(runtime, 'seed', { has: 'all', settings: listen(6881) })
      const leech = swarm.addOn(runtime, 'leech', { settings: listen(6882) })
      swarm.complete(10_000)
      const found = leech.alerts.filter(alert => alert instanceof LsdPeerAlert)
      expect(found.every(({ ep }) => isLoopback(ep[0]) && ep[1] === 6881)).toBe(true)
      swarm.close()
    })
  })

  test('is silent while enable_lsd is off, deaf too, and goes on when it is on again', () => {
    simulate(16, sim => {
      const listener = new Listener(sim)
      const torrent = small()
      const one = new Swarm(sim, torrent).add('a', node(1, { settings: { local_service_announce_interval: 60 } }))
      const heardPeers = () => one.engine.counters.get(C.NET_ON_LSD_PEER_COUNTER)
      sim.run(1000)
      expect(listener.heard.length).toBe(1)
      apply(one, { enable_lsd: false })
      listener.announce(7000, torrent.infoHash)
      one.handle.forceLsdAnnounce()
      sim.run(200_000)
      expect(listener.heard.length).toBe(1)
      expect(heardPeers()).toBe(0)
      apply(one, { enable_lsd: true })
      sim.run(1000)
      listener.announce(7000, torrent.infoHash)
      sim.run(1000)
      expect(heardPeers()).toBe(1)
      sim.run(60_000)
      expect(listener.heard.length).toBeGreaterThan(1)
      one.close()
      sim.run(100)
      listener.heard.length = 0
      sim.run(400_000)
      expect(listener.heard).toEqual([])
    })
  })

  test('switched on and off in quick succession leaves one discoverer for each socket', () => {
    simulate(17, sim => {
      const listener = new Listener(sim)
      const one = new Swarm(sim, small()).add('a', node(1))
      for (let i = 0; i < 10; i++) {
        apply(one, { enable_lsd: false })
        apply(one, { enable_lsd: true })
        sim.run(i % 3)
      }
      sim.run(1000)
      const { host } = one.runtime
      expect(
        host.addresses.map((address, i) => host.membersOf(i ? LSD_GROUP_V6 : LSD_GROUP_V4, address).length),
      ).toEqual([1, 1])
      listener.heard.length = 0
      one.handle.forceLsdAnnounce()
      sim.run(1000)
      expect(listener.heard.length).toBe(1)
      one.close()
      expect(host.membersOf(LSD_GROUP_V4, host.addresses[0]!)).toEqual([])
    })
  })

  test('that reaches peers through a proxy stays hidden', () => {
    simulate(18, sim => {
      const listener = new Listener(sim)
      const proxy = { proxy_type: ProxyType.socks5, proxy_hostname: '203.0.113.1', proxy_port: 1080 }
      const one = new Swarm(sim, small()).add('a', node(1, { settings: proxy }))
      sim.run(60_000)
      expect(listener.heard).toEqual([])
      apply(one, { proxy_type: ProxyType.none })
      sim.run(400_000)
      expect(listener.heard.length).toBeGreaterThan(0)
      one.close()
    })
  })

  test('that takes no connections has nothing to announce', () => {
    simulate(19, sim => {
      const listener = new Listener(sim)
      const swarm = new Swarm(sim, small())
      swarm.add('seed', node(1, { has: 'all' }))
      const one = swarm.add('a', node(2, { settings: { enable_incoming_tcp: false } }))
      swarm.complete(20_000)
      expect([...listener.from]).toEqual(['192.168.5.1'])
      expect(one.isSeeding).toBe(true)
      swarm.close()
    })
  })

  test('tells of a network that cannot be joined, and uses the others', () => {
    simulate(20, sim => {
      const listener = new Listener(sim)
      const runtime = sim.host('a', onLan(1))
      const join = runtime.bindMulticast.bind(runtime)
      runtime.bindMulticast = (options, handler, done) =>
        join(options.group === LSD_GROUP_V6 ? { ...options, interfaceAddress: 'fd00::99' } : options, handler, done)
      const one = new Swarm(sim, small()).addOn(runtime, 'a', { settings: LSD })
      sim.run(5000)
      const errors = one.alerts.filter(alert => alert instanceof LsdErrorAlert)
      expect(errors.map(({ localAddress, error }) => [localAddress, error.value()])).toEqual([['fd00:5::1', 19]])
      expect(listener.heard.length).toBeGreaterThan(0)
      one.close()
    })
  })

  test('falls silent on a network where sending fails, and says so in its log', () => {
    simulate(21, sim => {
      const listener = new Listener(sim)
      const log = { alert_mask: AlertCategory.sessionLog, local_service_announce_interval: 30 }
      const one = new Swarm(sim, small()).add('a', node(1, { settings: log }))
      sim.run(20_000)
      one.runtime.host.online = false
      sim.run(60_000)
      one.runtime.host.online = true
      listener.heard.length = 0
      sim.run(600_000)
      expect(listener.heard).toEqual([])
      const said = one.alerts.filter(alert => alert instanceof LogAlert).map(alert => alert.message())
      expect(said.filter(text => text.startsWith('*** LSD: failed to send message: (101)')).length).toBe(2)
      expect(said.some(text => text.startsWith('<== LSD: ignoring packet (cookie matched our own)'))).toBe(true)
      one.close()
    })
  })

  test('takes in a flood of lies without growing', () => {
    simulate(22, sim => {
      const listener = new Listener(sim)
      const torrent = small()
      const one = new Swarm(sim, torrent).add('a', node(1, { settings: { max_peerlist_size: 50 } }))
      sim.run(5000)
      const noise = new Uint8Array(1200)
      for (let n = 0; n < 2000; n++) {
        sim.rng.fill(noise)
        listener.say(noise)
        listener.announce(1 + sim.rng.below(65534), torrent.infoHash)
        if (n % 100 === 0) sim.run(100)
      }
      sim.run(60_000)
      expect(known(one).length).toBeLessThanOrEqual(50)
      expect(known(one).length).toBeGreaterThan(0)
      one.close()
    })
  })
})

test('where all sockets are, an announce names the port of its own', () => {
  simulate(23, sim => {
    const listener = new Listener(sim)
    const listen = [
      ['fd00:5::1', 7001],
      ['192.168.5.1', 7002],
    ] as const
    const text = listen.map(at => endpointToString(at)).join()
    const one = new Swarm(sim, small()).add('a', node(1, { settings: { listen_interfaces: text } }))
    sim.run(1000)
    expect(new Set(listener.heard.map(line => line.split(' ')[1]))).toEqual(new Set(['7002']))
    one.close()
  })
})
