/** The alerts that say in words what a session does. */

import { describe, expect, test } from 'vitest'
import { AlertCategory } from '../../src/core/enums.ts'
import { FakePeer } from './lib/fake-peer.ts'
import { simulate } from './lib/simulation.ts'
import { expectInOrder, story } from './lib/story.ts'
import { makeTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 64 * 1024
const ALL_LOGS = { alert_mask: AlertCategory.all }

describe('the log of a session', () => {
  test('tells of its start and its end', () => {
    simulate(8, sim => {
      const swarm = new Swarm(sim, makeTorrent(4 * PIECE, PIECE))
      const node = swarm.add('a', { settings: ALL_LOGS, host: { addresses: ['10.9.0.1'] } })
      // nobody listened yet
      const start = node.engine.alerts.pop().map(alert => alert.message())
      expectInOrder(start, [
        'start session',
        'version: 2.1.0.0 revision: ',
        'max-connections: ',
        'reopen listen sockets',
        'update listen interfaces: 10.9.0.1:6881',
        'parsed listen interfaces count: 1, ifaces: 10.9.0.1:6881',
        /^attempting to open listen socket to: 10\.9\.0\.1:6881 on device: .*accept-incoming/,
        ' done starting session',
      ])
      sim.run(1000)
      expectInOrder(story(node), [' listening on: 10.9.0.1 TCP port: 6881 UDP port: 6881'])
      const before = node.alerts.length
      node.engine.turn.call(() => node.engine.applySettings({ upload_rate_limit: 1000 }))
      node.engine.turn.call(() => node.engine.setPaused(true))
      sim.run(1000)
      node.close()
      expectInOrder(story(node, before), [
        'applying settings pack, reopen_listen_port=false',
        ' *** session paused ***',
        ' *** ABORT CALLED ***',
        ' aborting all torrents (1)',
        ' aborting all tracker requests',
        'torrent_removed',
      ])
    })
  })

  test('tells of a port that is taken, and of the one that is not', () => {
    simulate(9, sim => {
      const swarm = new Swarm(sim, makeTorrent(4 * PIECE, PIECE))
      const first = swarm.add('a', { host: { addresses: ['10.9.0.1'] } })
      sim.run(100)
      const second = swarm.addOn(first.runtime, 'b', { settings: { ...ALL_LOGS, max_retry_port_bind: 3 } })
      sim.run(1000)
      expectInOrder(story(second), [
        /failed to bind listen socket to: 10\.9\.0\.1:6881 on device: .* \[system\] \(98\) .* \(retries: 3\)/,
        'attempting to open listen socket to: 10.9.0.1:6882',
        ' listening on: 10.9.0.1 TCP port: 6882 UDP port: 6882',
      ])
      swarm.close()
    })
  })

  test.each<[string, string, (node: SwarmNode) => void]>([
    ['while it is paused', 'log <== INCOMING CONNECTION [ ignored, paused ]', node => node.engine.setPaused(true)],
    [
      'without torrents',
      'log <== INCOMING CONNECTION [ rejected, there are no torrents ]',
      node => node.engine.removeTorrent(node.handle.torrent(), 0),
    ],
    [
      'over its limit',
      'log <== INCOMING CONNECTION [ connections limit exceeded, conns: 0, limit: 2, slack: -2 ]',
      node => node.engine.applySettings({ connections_limit: 2, connections_slack: -2 }),
    ],
    [
      'for a torrent that is paused',
      '*** ATTACH [ rejected connection: torrent paused ]',
      node => node.handle.torrent().pause(false),
    ],
  ])('says why a connection is not taken %s', (_name, why, prepare) => {
    simulate(10, sim => {
      const torrent = makeTorrent(4 * PIECE, PIECE)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('a', { settings: ALL_LOGS })
      sim.run(1000)
      node.engine.turn.call(() => prepare(node))
      const peer = FakePeer.connect(sim.host('peer'), node.endpoint, { infoHash: torrent.infoHash.toBytes() })
      sim.run(2000)
      expect(peer.closed).not.toBeNull()
      expectInOrder(story(node), [why])
      swarm.close()
    })
  })

  test('a connection for a torrent that it does not have says so', () => {
    simulate(11, sim => {
      const swarm = new Swarm(sim, makeTorrent(4 * PIECE, PIECE))
      const node = swarm.add('a', { settings: ALL_LOGS })
      sim.run(1000)
      FakePeer.connect(sim.host('peer'), node.endpoint, { infoHash: new Uint8Array(20).fill(0xab) })
      sim.run(2000)
      expectInOrder(story(node), [
        '<<< CONNECTION [ ep: 10.0.2.1:',
        `*** ATTACH [ couldn't find a torrent with the given info_hash: ${'ab'.repeat(20)} ]`,
        '*** CONNECTION_FAILED [ op: 1 (bittorrent) ERROR: (libtorrent:',
      ])
      swarm.close()
    })
  })
})
