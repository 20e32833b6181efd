import { describe, expect, test } from 'vitest'
import { ExternalIpAlert } from '../../src/alert/session-alerts.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import { simulate } from './lib/simulation.ts'
import { makeTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 64 * 1024
const PUBLIC = '81.9.9.9'

const told = (node: SwarmNode) =>
  node.alerts.filter(alert => alert instanceof ExternalIpAlert).map(alert => alert.externalAddress)
const known = (node: SwarmNode) =>
  Object.fromEntries(node.engine.listen.sockets.map(socket => [socket.local[0], node.engine.external.of(socket)]))

describe('our external address', () => {
  test('behind a translator is what peers see, and belongs to the listen socket they are connected through', () => {
    simulate(1, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const hidden = swarm.add('hidden', {
        host: { addresses: ['10.1.1.1', 'fd00::1'], nat: { publicAddress: PUBLIC, kind: 'open' } },
      })
      const changes: string[] = []
      hidden.engine.external.onChanged((socket, address) => void changes.push(`${socket.local[0]} ${address}`))
      for (let n = 1; n <= 3; n++) {
        swarm.add(`${n}`, { has: 'all', host: { addresses: [`81.1.0.${n}`], up: { bytesPerSecond: 20_000 } } })
      }
      sim.run(2000)
      for (const seed of swarm.nodes.slice(1)) hidden.connectTo(seed)
      sim.run(10_000)
      expect(told(hidden)).toEqual([PUBLIC])
      expect(known(hidden)).toEqual({ '10.1.1.1': PUBLIC, 'fd00::1': null })
      expect(changes).toEqual([`10.1.1.1 ${PUBLIC}`])
      expect(hidden.engine.externalEndpoint('81.1.0.1')).toEqual([PUBLIC, 6881])
      expect(hidden.engine.externalEndpoint('10.1.1.7')).toEqual(['10.1.1.1', 6881])
      expect(told(swarm.nodes[1]!)).toEqual(['81.1.0.1'])
      swarm.close()
    })
  })

  test('is forgotten with its listen socket, and kept with it', () => {
    simulate(2, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const settings = { listen_interfaces: '81.5.0.1:6881,81.5.0.2:6881' }
      const node = swarm.add('node', { host: { addresses: ['81.5.0.1', '81.5.0.2'] }, settings })
      sim.run(1000)
      const [one, two] = node.engine.listen.sockets
      for (const [socket, address] of [
        [one, '81.7.0.1'],
        [two, '81.7.0.2'],
      ] as const) {
        node.engine.turn.call(() => node.engine.external.voteFor(socket!, address, 8, '99.0.0.1'))
      }
      expect(known(node)).toEqual({ '81.5.0.1': '81.7.0.1', '81.5.0.2': '81.7.0.2' })
      node.engine.turn.call(() => node.engine.applySettings({ listen_interfaces: '81.5.0.1:6881,81.5.0.2:7000' }))
      sim.run(1000)
      expect(known(node)).toEqual({ '81.5.0.1': '81.7.0.1', '81.5.0.2': null })
      swarm.close()
    })
  })

  test('is taken from trackers', () => {
    simulate(3, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker', { addresses: ['81.2.0.1'] }))
      tracker.respond = () => ({
        body: Buffer.from('d11:external ip4:\x51\x09\x09\x098:intervali1800e5:peers0:e', 'latin1'),
      })
      const torrent = makeTorrent(8 * PIECE, PIECE, 1, [tracker.httpUrl])
      const node = new Swarm(sim, torrent).add('node', { host: { addresses: ['10.1.1.1', 'fd00::1'] } })
      sim.run(5000)
      expect(told(node)).toEqual([PUBLIC])
      expect(known(node)).toEqual({ '10.1.1.1': PUBLIC, 'fd00::1': null })
      node.close()
    })
  })
})
