/** A session with ten thousand torrents in the DHT: it announces them in turn, whatever their number. */

import { expect, test } from 'vitest'
import { InfoHash, Sha1Hash } from '../../src/core/digest.ts'
import { TorrentFlags } from '../../src/core/enums.ts'
import { randomBytes } from '../../src/core/rng.ts'
import { AddTorrentParams } from '../../src/metainfo/add-torrent-params.ts'
import type { SettingsPack } from '../../src/settings/pack-type.ts'
import * as C from '../../src/stats/counter-ids.ts'
import { DhtNet } from './lib/dht-net.ts'
import { DhtSession, ROUTER } from './lib/dht-session.ts'
import { type Simulation, simulate } from './lib/simulation.ts'

const TORRENTS = 10_000
const INTERVAL_S = 900

/** Of nodes so few that each hears more of one session than it would in the real network. */
const PATIENT: SettingsPack = {
  dht_block_ratelimit: 1_000_000,
  dht_upload_rate_limit: 100_000_000,
  dht_max_torrents: 20_000,
}

function joined(sim: Simulation, net: DhtNet): DhtSession {
  sim.names.set(ROUTER, { addresses: [net.nodes[0]!.address] })
  const session = new DhtSession(sim, 'subject', { settings: { ...PATIENT, alert_mask: 0 } })
  sim.run(20_000)
  return session
}

/** Adds torrents whose metadata is not known. */
function addMany(sim: Simulation, session: DhtSession, nodes: [host: string, port: number][] = []): void {
  for (let i = 0; i < TORRENTS; i++) {
    const params = new AddTorrentParams()
    params.infoHashes = new InfoHash(new Sha1Hash(randomBytes(sim.rng, 20)))
    params.savePath = '/save'
    params.dhtNodes = nodes
    params.flags &= ~(TorrentFlags.paused | TorrentFlags.autoManaged)
    session.addTorrent(params)
  }
}

test('each torrent is announced once in an interval, evenly', () => {
  simulate(1, sim => {
    const net = new DhtNet(sim, { settings: PATIENT })
    const router = net.add()
    sim.run(1000)
    const session = joined(sim, net)
    addMany(sim, session)
    const { counters, dht } = session.engine
    const announces = () => router.counters.get(C.DHT_DHT_ANNOUNCE_PEER_IN)
    const stored = () => {
      router.tracker.updateStatsCounters(router.counters)
      return router.counters.get(C.DHT_DHT_TORRENTS)
    }
    // adding them sends nothing
    expect(counters.get(C.DHT_DHT_MESSAGES_OUT)).toBeLessThan(20)
    expect(dht.tracker!.status()[0]!.requests).toEqual([])
    const perMinute: number[] = []
    for (let i = 0; i < INTERVAL_S / 60; i++) {
      const before = announces()
      sim.run(60_000)
      perMinute.push(announces() - before)
    }
    for (const count of perMinute) expect(Math.abs(count - TORRENTS / 15)).toBeLessThan(4)
    expect(stored()).toBeGreaterThan(TORRENTS - 10)
    expect(announces()).toBe(stored())
    session.end()
  })
})

test('lookups under way stay few, also with dead nodes, and so do queries', () => {
  simulate(2, sim => {
    const net = new DhtNet(sim, { settings: PATIENT })
    net.grow(40)
    const session = joined(sim, net)
    for (let i = 0; i < 12; i++) net.kill([net.nodes[0]!])
    addMany(sim, session)
    const [node] = session.engine.dht.tracker!.nodes
    let lookups = 0
    let transactions = 0
    for (let i = 0; i < 60; i++) {
      sim.run(1000)
      lookups = Math.max(lookups, node!.status().requests.length)
      transactions = Math.max(transactions, node!.rpc.numTransactions)
    }
    // 11 begin in a second, and those that wait for the dead last 15 seconds
    expect(lookups).toBeGreaterThan(20)
    expect(lookups).toBeLessThan(11 * 18)
    expect(transactions).toBeLessThan(1000)
    expect(node!.rpc.numAllocatedObservers).toBeLessThan(4000)
    expect(session.engine.counters.get(C.DHT_DHT_ANNOUNCE_PEER_OUT)).toBeGreaterThan(40 * 11 * 8)
    session.end()
  })
})

test('the nodes that all of them name are asked once', () => {
  simulate(3, sim => {
    const net = new DhtNet(sim, { settings: PATIENT })
    net.grow(3)
    const session = joined(sim, net)
    const asked: string[] = []
    const get = sim.names.get.bind(sim.names)
    sim.names.get = name => {
      asked.push(name)
      return get(name)
    }
    const asksOf = net.nodes.map(({ counters }) => counters.get(C.DHT_DHT_MESSAGES_IN))
    addMany(sim, session, [
      ['node.example', 6881],
      ['81.250.1.1', 6881],
      [net.nodes[1]!.address, 6881],
    ])
    expect(asked).toEqual(['node.example'])
    sim.run(21)
    // the one who is named, and the first torrent's lookup
    const more = net.nodes.map(({ counters }, i) => counters.get(C.DHT_DHT_MESSAGES_IN) - asksOf[i]!)
    expect(Math.max(...more)).toBeLessThan(5)
    session.end()
  })
})
