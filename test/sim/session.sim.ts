import { describe, expect, test } from 'vitest'
import type { PeerBlockedAlert } from '../../src/alert/peer-alerts.ts'
import type { ListenFailedAlert, ListenSucceededAlert } from '../../src/alert/session-alerts.ts'
import type { SessionStatsAlert } from '../../src/alert/stats-alerts.ts'
import { AlertCategory, PeerBlockedReason, TorrentFlags } from '../../src/core/enums.ts'
import { IpFilter } from '../../src/net/ip-filter.ts'
import { PortFilter } from '../../src/net/port-filter.ts'
import type { SettingsPack } from '../../src/settings/pack-type.ts'
import { FakePeer } from './lib/fake-peer.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import { simulate } from './lib/simulation.ts'
import { makeTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 64 * 1024

describe('the end of a session', () => {
  test('tells trackers, closes every connection and port, and leaves no timer', () => {
    simulate(1, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker'))
      const torrent = makeTorrent(8 * PIECE, PIECE, 1, [tracker.httpUrl, tracker.udpUrl])
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all' })
      const leech = swarm.add('leech')
      sim.run(1000)
      leech.connectTo(seed)
      sim.run(5000)
      seed.close()
      leech.close()
      expect(tracker.members(torrent.infoHash.toString())).toBe(0)
      for (const { host } of [seed.runtime, leech.runtime]) {
        expect(host.tcpAt([host.addresses[0]!, 6881])).toBeNull()
      }
      sim.run(10_000)
      const events = sim.log.digest
      sim.run(600_000)
      expect(sim.log.digest).toBe(events)
    })
  })

  test('waits no longer for a dead tracker than stop_tracker_timeout', () => {
    simulate(2, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker'))
      const torrent = makeTorrent(8 * PIECE, PIECE, 1, [tracker.httpUrl, tracker.udpUrl])
      const node = new Swarm(sim, torrent).add('a', { has: 'all', settings: { stop_tracker_timeout: 3 } })
      sim.run(5000)
      tracker.silent = true
      const before = sim.clock.now()
      node.close()
      expect(sim.clock.now() - before).toBeGreaterThan(1000)
      expect(sim.clock.now() - before).toBeLessThan(6000)
    })
  })
})

describe('filters', () => {
  test('by address close connections there are, refuse new ones, and tell of both', () => {
    simulate(3, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const seed = swarm.add('seed', {
        has: 'all',
        host: { up: { bytesPerSecond: 50_000 } },
        // the two others are not to hear of each other
        params: params => {
          params.flags |= TorrentFlags.disablePex
        },
      })
      const leech = swarm.add('leech')
      const exempt = swarm.add('exempt', {
        params: params => {
          params.flags &= ~TorrentFlags.applyIpFilter
        },
      })
      sim.run(1000)
      leech.connectTo(seed)
      exempt.connectTo(seed)
      sim.run(2000)
      expect(leech.handle.status().numPeers).toBe(1)
      const [address] = seed.endpoint
      const filter = new IpFilter()
      filter.addRule(address, address, IpFilter.AccessFlags.blocked)
      for (const node of [leech, exempt]) node.engine.turn.call(() => node.engine.connects.setIpFilter(filter))
      sim.run(500)
      expect(leech.handle.status().numPeers).toBe(0)
      expect(exempt.handle.status().numPeers).toBe(1)
      leech.connectTo(seed)
      seed.connectTo(leech)
      sim.run(70_000)
      expect(leech.handle.status().numPeers).toBe(0)
      const blocked = leech.alerts.filter(alert => alert.what() === 'peer_blocked') as PeerBlockedAlert[]
      expect(blocked.length).toBeGreaterThanOrEqual(3)
      for (const alert of blocked) expect(alert.reason).toBe(PeerBlockedReason.ipFilter)
      swarm.close()
    })
  })

  test('by port, and of privileged ports, are for peers to connect to', () => {
    simulate(4, sim => {
      const node = new Swarm(sim, makeTorrent(8 * PIECE, PIECE)).add('a', {
        settings: { no_connect_privileged_ports: true },
      })
      sim.run(1000)
      const filter = new PortFilter()
      filter.addRule(7000, 7999, 1)
      node.engine.turn.call(() => node.engine.connects.setPortFilter(filter))
      node.handle.connectPeer(['10.7.7.7', 7500])
      node.handle.connectPeer(['10.7.7.7', 80])
      node.handle.connectPeer(['10.7.7.8', 8000])
      sim.run(1000)
      const reasons = node.alerts.filter(a => a.what() === 'peer_blocked').map(a => (a as PeerBlockedAlert).reason)
      expect(reasons).toEqual([PeerBlockedReason.portFilter, PeerBlockedReason.privilegedPorts])
      expect(node.handle.status().listPeers).toBe(1)
      node.close()
    })
  })
})

describe('connections', () => {
  test('are kept to the limit of the torrent and of the session', () => {
    simulate(5, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      // peers of the local network count one and a half times
      const node = swarm.add('a', { has: 'all', settings: { connections_limit: 18, connections_slack: 0 } })
      // so slow that nobody is done, and leaves, before the counts are looked at
      const line = { down: { bytesPerSecond: 20_000 } }
      for (let i = 0; i < 20; i++) swarm.add(`${i}`, { host: line })
      sim.run(1000)
      for (const other of swarm.nodes.slice(1)) other.connectTo(node)
      sim.run(3000)
      expect(node.handle.status().numConnections).toBeLessThanOrEqual(12)
      expect(node.handle.status().numConnections).toBeGreaterThanOrEqual(11)
      node.handle.setMaxConnections(5)
      expect(node.handle.status().numConnections).toBe(5)
      node.handle.setMaxConnections(-1)
      node.engine.turn.call(() => node.engine.applySettings({ connections_limit: 3 }))
      expect(node.handle.status().numConnections).toBeLessThanOrEqual(3)
      swarm.close()
    })
  })

  test('between two that need nothing of each other are closed, unless they are to be kept', () => {
    simulate(6, sim => {
      const swarm = new Swarm(sim, makeTorrent(8 * PIECE, PIECE))
      const keep = { close_redundant_connections: false }
      const pairs = [
        [swarm.add('a', { has: 'all' }), swarm.add('b', { has: 'all' })],
        [swarm.add('c', { has: 'all', settings: keep }), swarm.add('d', { has: 'all', settings: keep })],
      ] as const
      sim.run(2000)
      for (const [one, other] of pairs) one.connectTo(other)
      sim.run(5000)
      expect(pairs.map(([one]) => one.handle.status().numPeers)).toEqual([0, 1])
      swarm.close()
    })
  })
})

describe('listening', () => {
  test('on a port that is taken goes to the next, and then to any', () => {
    simulate(7, sim => {
      const runtime = sim.host('a')
      const torrent = makeTorrent(8 * PIECE, PIECE)
      FakePeer.listen(runtime, ['0.0.0.0', 6881], { infoHash: torrent.infoHash.toBytes() }, () => {})
      sim.run(100)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.addOn(runtime, 'a', {
        settings: { listen_interfaces: '10.0.1.1:6881', max_retry_port_bind: 3 },
      })
      const reopen = (settings: SettingsPack) =>
        node.engine.turn.call(() => {
          node.engine.applySettings({ listen_interfaces: '' })
          node.engine.applySettings({ listen_interfaces: '10.0.1.1:6881', ...settings })
        })
      sim.run(1000)
      const good = node.alerts.filter(a => a.what() === 'listen_succeeded') as ListenSucceededAlert[]
      expect(good.map(({ port }) => port)).toEqual([6882, 6882])
      reopen({ max_retry_port_bind: 0 })
      sim.run(1000)
      const last = (node.alerts.filter(a => a.what() === 'listen_succeeded') as ListenSucceededAlert[]).at(-1)!
      expect([6881, 6882]).not.toContain(last.port)
      reopen({ listen_system_port_fallback: false })
      sim.run(1000)
      const failed = node.alerts.filter(a => a.what() === 'listen_failed') as ListenFailedAlert[]
      expect(failed).toHaveLength(1)
      expect(failed[0]!.port).toBe(6881)
      expect(failed[0]!.error.value()).toBe(98)
      node.close()
    })
  })

  const openAt = (node: SwarmNode) => node.engine.listen.sockets.map(socket => socket.local.join(' ')).sort()

  test('on all addresses is listening on each, where those of the local network do not announce elsewhere', () => {
    simulate(71, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker'))
      const torrent = makeTorrent(8 * PIECE, PIECE, 1, [tracker.httpUrl])
      const node = new Swarm(sim, torrent).add('a', {
        host: { addresses: ['10.1.1.1', '192.168.3.4', '2001:db8:1::1'] },
        settings: { listen_interfaces: '0.0.0.0:6881,[::]:6881', announce_to_all_trackers: true },
      })
      sim.run(5000)
      expect(openAt(node)).toEqual([
        '10.1.1.1 6881',
        '127.0.0.1 6881',
        '192.168.3.4 6881',
        '2001:db8:1::1 6881',
        '::1 6881',
      ])
      const local = node.engine.listen.sockets.filter(socket => socket.endpoint.localNetwork)
      expect(local.map(socket => socket.local[0]).sort()).toEqual(['127.0.0.1', '::1'])
      expect(new Set(tracker.announces.map(announce => announce.from))).toEqual(
        new Set(['10.1.1.1', '192.168.3.4', '2001:db8:1::1']),
      )
      node.close()
    })
  })

  test('goes on where the settings and the networks still ask for it', () => {
    simulate(72, sim => {
      const node = new Swarm(sim, makeTorrent(8 * PIECE, PIECE)).add('a', {
        host: { addresses: ['10.1.1.1', '10.1.2.1'] },
        settings: { listen_interfaces: '0.0.0.0:6881' },
      })
      sim.run(1000)
      const before = [...node.engine.listen.sockets]
      expect(openAt(node)).toEqual(['10.1.1.1 6881', '10.1.2.1 6881', '127.0.0.1 6881'])
      node.engine.turn.call(() => node.engine.applySettings({ listen_interfaces: '10.1.2.1:6881,0.0.0.0:6881' }))
      sim.run(1000)
      expect(openAt(node)).toEqual(['10.1.1.1 6881', '10.1.2.1 6881', '127.0.0.1 6881'])
      const kept = node.engine.listen.sockets.filter(socket => before.includes(socket))
      // the one that is named now is another one than the one that was found
      expect(kept.map(socket => socket.local[0]).sort()).toEqual(['10.1.1.1', '127.0.0.1'])
      expect(kept.every(socket => socket.open)).toBe(true)
      node.engine.turn.call(() => node.engine.applySettings({ listen_interfaces: '10.1.2.1:6881' }))
      sim.run(1000)
      expect(openAt(node)).toEqual(['10.1.2.1 6881'])
      expect(before.every(socket => !socket.open)).toBe(true)
      node.close()
    })
  })

  test('follows the networks of the machine, if it is to watch them', () => {
    simulate(73, sim => {
      const runtime = sim.host('a', { addresses: ['10.1.1.1', '10.1.2.1'] })
      let gone = '10.1.2.1'
      const all = runtime.interfaces.bind(runtime)
      runtime.interfaces = () => all().filter(({ address }) => address !== gone)
      const settings = { listen_interfaces: '0.0.0.0:6881' }
      const node = new Swarm(sim, makeTorrent(8 * PIECE, PIECE)).addOn(runtime, 'a', { settings })
      sim.run(30_000)
      const [first] = node.engine.listen.sockets
      expect(openAt(node)).toEqual(['10.1.1.1 6881', '127.0.0.1 6881'])
      gone = ''
      sim.run(15_000)
      expect(openAt(node)).toEqual(['10.1.1.1 6881', '10.1.2.1 6881', '127.0.0.1 6881'])
      expect(node.engine.listen.sockets).toContain(first)
      node.engine.turn.call(() => node.engine.applySettings({ enable_ip_notifier: false }))
      gone = '10.1.1.1'
      sim.run(60_000)
      expect(openAt(node)).toHaveLength(3)
      node.engine.turn.call(() => node.engine.applySettings({ enable_ip_notifier: true }))
      sim.run(15_000)
      expect(openAt(node)).toEqual(['10.1.2.1 6881', '127.0.0.1 6881'])
      node.close()
    })
  })
})

describe('alerts and statistics', () => {
  test('that the mask leaves out do not come; those with an answer to give do', () => {
    simulate(8, sim => {
      const node = new Swarm(sim, makeTorrent(8 * PIECE, PIECE)).add('a', {
        settings: { alert_mask: AlertCategory.error },
      })
      sim.run(3000)
      expect(node.whats().filter(what => what !== 'add_torrent')).toEqual([])
      node.handle.saveResumeData()
      sim.run(1000)
      expect(node.whats()).toContain('save_resume_data')
      node.engine.turn.call(() => node.engine.applySettings({ alert_mask: AlertCategory.status }))
      node.handle.pause()
      sim.run(1000)
      expect(node.whats()).toContain('torrent_paused')
      node.close()
    })
  })

  test('count torrents and peers by what they do', () => {
    simulate(9, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 100_000 } } })
      const leech = swarm.add('leech')
      sim.run(1000)
      leech.connectTo(seed)
      sim.run(4000)
      const stats = (node: typeof seed) => {
        node.engine.turn.call(() => node.engine.postSessionStats())
        sim.run(100)
        return (node.alerts.filter(a => a.what() === 'session_stats').at(-1) as SessionStatsAlert).values
      }
      const up = stats(seed)
      expect(up['ses.num_seeding_torrents']).toBe(1)
      expect(up['peer.num_peers_connected']).toBe(1)
      expect(up['peer.num_peers_up_unchoked_all']).toBe(1)
      expect(up['peer.num_peers_up_interested']).toBe(1)
      const down = stats(leech)
      expect(down['ses.num_downloading_torrents']).toBe(1)
      expect(down['peer.num_peers_down_interested']).toBe(1)
      expect(down['peer.num_peers_down_unchoked']).toBe(1)
      expect(down['net.recv_payload_bytes']).toBe(leech.handle.status().totalPayloadDownload)
      expect(down['ses.num_have_pieces']).toBe(leech.handle.status().numPieces)
      stats(seed)
      const posted = seed.whats().filter(what => what.startsWith('session_stats'))
      expect(posted).toEqual(['session_stats_header', 'session_stats', 'session_stats'])
      leech.handle.pause()
      sim.run(1000)
      const paused = stats(leech)
      expect(paused['ses.num_stopped_torrents']).toBe(1)
      expect(paused['ses.num_downloading_torrents']).toBe(0)
      for (const [name, value] of Object.entries(paused)) {
        if (name.startsWith('peer.num_peers_') || name === 'peer.num_tcp_peers') expect(value, name).toBe(0)
      }
      swarm.close()
    })
  })
})

describe('upload slots', () => {
  test('are as many as the limit says, and the torrent has its own', () => {
    simulate(10, sim => {
      const far = (n: number) => ({ addresses: [`81.3.0.${n}`] })
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const seed = swarm.add('seed', {
        has: 'all',
        host: { ...far(1), up: { bytesPerSecond: 100_000 } },
        settings: { unchoke_slots_limit: 4, choking_algorithm: 0 },
      })
      for (let i = 0; i < 10; i++) swarm.add(`${i}`, { host: far(i + 2) })
      sim.run(1000)
      for (const other of swarm.nodes.slice(1)) other.connectTo(seed)
      const seen = new Set<string>()
      for (let i = 0; i < 90; i++) {
        sim.run(1000)
        const unchoked = [...seed.engine.connections].filter(peer => !peer.amChoking)
        for (const peer of unchoked) seen.add(peer.endpoint[0])
        expect(unchoked.length).toBeLessThanOrEqual(4)
      }
      // the optimistic slot and seed choking go round
      expect(seen.size).toBeGreaterThan(5)
      expect(seed.handle.status().numUploads).toBe(4)
      seed.handle.setMaxUploads(2)
      sim.run(60_000)
      expect([...seed.engine.connections].filter(peer => !peer.amChoking).length).toBeLessThanOrEqual(4)
      swarm.close()
    })
  })
})

describe('alerts that answer a call', () => {
  test('come whatever the mask says', () => {
    simulate(31, sim => {
      const swarm = new Swarm(sim, makeTorrent(8 * PIECE, PIECE))
      const node = swarm.add('a', { has: 'all', settings: { alert_mask: 0 } })
      sim.run(1000)
      node.handle.renameFile(0, 'other')
      node.handle.renameFile(0, 'one more')
      node.engine.turn.run('test', () => {
        node.engine.postSessionStats()
        node.engine.postSessionStats()
      })
      sim.run(1000)
      node.engine.turn.run('test', () => node.engine.removeTorrent(node.handle.torrent(), 1))
      sim.run(1000)
      expect(node.whats().sort()).toEqual([
        'add_torrent',
        'file_renamed',
        'file_renamed',
        'session_stats',
        'session_stats',
        'session_stats_header',
        'torrent_deleted',
        'torrent_removed',
      ])
      expect(node.whats().indexOf('session_stats_header')).toBeLessThan(node.whats().indexOf('session_stats'))
      swarm.close()
    })
  })
})
