/** Peers without trackers: by the DHT, by other peers, on the local network; and for whom none of it is. */

import { describe, expect, test } from 'vitest'
import { DhtAnnounceAlert, DhtGetPeersAlert } from '../../src/alert/dht-alerts.ts'
import { LsdPeerAlert } from '../../src/alert/peer-alerts.ts'
import { AlertCategory, TorrentFlags } from '../../src/core/enums.ts'
import type { AddTorrentParams } from '../../src/metainfo/add-torrent-params.ts'
import { CreateTorrent } from '../../src/metainfo/create-torrent.ts'
import { loadTorrentBuffer } from '../../src/metainfo/load-torrent.ts'
import { parseMagnetUri } from '../../src/metainfo/magnet-uri.ts'
import { LSD_GROUP_V4 } from '../../src/net/lsd.ts'
import { readLsdMessage } from '../../src/net/lsd-message.ts'
import { PeerInfo } from '../../src/peer/peer-info.ts'
import type { TorrentHandle } from '../../src/session/torrent-handle.ts'
import type { SettingsPack } from '../../src/settings/pack-type.ts'
import * as C from '../../src/stats/counter-ids.ts'
import { PeerSource } from '../../src/torrent/peer-entry.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { addTorrent, makeTorrent, type SimTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 16 * 1024
const TORRENT = makeTorrent(40 * PIECE, PIECE)
const PRIVATE = makeTorrent(20 * PIECE, PIECE, 2, [], true)
const ROUTER = 'router.example'
const DHT: SettingsPack = { enable_dht: true, dht_bootstrap_nodes: `${ROUTER}:6881` }
const LSD: SettingsPack = { enable_lsd: true }
const NO_PEX = TorrentFlags.disablePex
const DHT_ALERTS: SettingsPack = { alert_mask: AlertCategory.dht | AlertCategory.status | AlertCategory.peer }

/** Networks of their own, on the Internet. */
const outside = (n: number) => ({ addresses: [`81.${n}.7.1`], up: { bytesPerSecond: 10_000 } })
/** One network of all. */
const onLan = (n: number) => ({ addresses: [`192.168.5.${n}`], up: { bytesPerSecond: 10_000 } })

/** Turns the params of a torrent into those of its magnet link: no metadata, and what the link says besides. */
function asMagnet(rest = '', flags = 0): (params: AddTorrentParams) => void {
  return params => {
    const link = parseMagnetUri(`magnet:?xt=urn:btih:${params.ti!.infoHashes().v1}${rest}`)
    Object.assign(params, { ...link, savePath: params.savePath, flags: params.flags | flags })
  }
}

function withFlags(flags: number): (params: AddTorrentParams) => void {
  return params => {
    params.flags |= flags
  }
}

/** A session that others begin their DHT with. It has another torrent. */
function addRouter(sim: Simulation, n = 250): SwarmNode {
  const settings = { ...DHT_ALERTS, enable_dht: true, dht_bootstrap_nodes: '' }
  const router = new Swarm(sim, makeTorrent(PIECE, PIECE, 99)).add('router', {
    host: outside(n),
    settings,
    params: withFlags(TorrentFlags.paused),
  })
  sim.names.set(ROUTER, { addresses: router.runtime.host.addresses })
  return router
}

/** How the peers a session is connected to were found, all together. */
function sourcesOf(handle: TorrentHandle): number {
  return handle.getPeerInfo().reduce((all, info) => all | info.source, 0)
}

/**
 * Lets all complete.
 *
 * @returns for each session how the peers were found that it was connected to at any time
 */
function completeAll(sim: Simulation, swarm: Swarm, limitMs = 1_200_000): number[] {
  const sources = swarm.nodes.map(() => 0)
  const look = () => {
    for (const [i, node] of swarm.nodes.entries()) sources[i]! |= sourcesOf(node.handle)
    return swarm.nodes.every(node => node.isSeeding)
  }
  sim.runEverySecond(look, limitMs, () => 'all to complete')
  for (const node of swarm.nodes.slice(1)) expect(node.whats()).toContain('metadata_received')
  swarm.close()
  for (const node of swarm.nodes) expect(node.holds(swarm.torrent), node.name).toBe(true)
  return sources
}

/** In a swarm of thirty, nearly everybody has made a connection, and nobody found peers in another way. */
function expectOnly(sources: readonly number[], expected: number): void {
  for (const source of sources) expect(source & ~(expected | PeerSource.incoming)).toBe(0)
  expect(sources.filter(source => (source & expected) === expected).length).toBeGreaterThan(25)
}

describe('thirty sessions, of which one has the torrent and 29 its magnet link', () => {
  test('complete by the DHT alone', () => {
    simulate(1, sim => {
      const router = addRouter(sim)
      const swarm = new Swarm(sim, TORRENT)
      for (let n = 1; n <= 30; n++) {
        const params = n === 1 ? withFlags(NO_PEX) : asMagnet('', NO_PEX)
        swarm.add(`${n}`, { host: outside(n), settings: DHT, params, ...(n === 1 ? { has: 'all' } : {}) })
      }
      expectOnly(completeAll(sim, swarm), PeerSource.dht)
      router.close()
    })
  })

  test('complete by peer exchange alone, each being given one peer', () => {
    simulate(2, sim => {
      const swarm = new Swarm(sim, TORRENT)
      for (let n = 1; n <= 30; n++) {
        // a chain: the seed is known to one only
        const params = n === 1 ? withFlags(0) : asMagnet(`&x.pe=81.${n - 1}.7.1:6881`)
        swarm.add(`${n}`, { host: outside(n), params, ...(n === 1 ? { has: 'all' } : {}) })
      }
      expectOnly(completeAll(sim, swarm), PeerSource.pex | PeerSource.resumeData)
    })
  })

  test('complete by local service discovery alone', () => {
    simulate(3, sim => {
      const swarm = new Swarm(sim, TORRENT)
      for (let n = 1; n <= 30; n++) {
        const params = n === 1 ? withFlags(NO_PEX) : asMagnet('', NO_PEX)
        swarm.add(`${n}`, { host: onLan(n), settings: LSD, params, ...(n === 1 ? { has: 'all' } : {}) })
      }
      expectOnly(completeAll(sim, swarm), PeerSource.lsd)
    })
  })
})

test('a peer says how it was found, also in several ways', () => {
  simulate(4, sim => {
    const router = addRouter(sim)
    const swarm = new Swarm(sim, TORRENT)
    const tracker = new FakeTracker(sim, sim.host('tracker', { addresses: ['81.200.1.1'] }))
    const quiet = withFlags(NO_PEX)
    // they ask for nobody themselves
    const byDht = swarm.add('by dht', { host: outside(1), settings: DHT, params: quiet })
    const byPex = swarm.add('by pex', { host: outside(2) })
    const told = swarm.add('told', { host: outside(3) })
    const tracked = swarm.add('tracked', { host: outside(4), params: quiet })
    const coming = swarm.add('coming', { host: outside(5), params: quiet })
    tracker.addPeer(TORRENT.infoHash.toString(), '81.4.7.1', 6881)
    tracker.addPeer(TORRENT.infoHash.toString(), '81.1.7.1', 6881)
    sim.run(30_000)
    told.connectTo(byPex)
    sim.run(5000)
    const subject = swarm.add('subject', {
      host: { addresses: ['81.6.7.1', '192.168.5.6'], up: { bytesPerSecond: 20_000 } },
      settings: { ...DHT, ...LSD },
      params: asMagnet(`&x.pe=81.3.7.1:6881&tr=${encodeURIComponent(tracker.httpUrl)}`),
    })
    sim.run(10_000)
    coming.connectTo(subject)
    const near = swarm.add('near', { host: { addresses: ['192.168.5.7'] }, settings: LSD, params: quiet })
    const sources = () =>
      Object.fromEntries(subject.handle.getPeerInfo().map(info => [info.remoteEndpoint()[0], info.source]))
    sim.run(5000)
    expect(sources()).toEqual({
      [byDht.endpoint[0]]: PeerInfo.dht | PeerInfo.tracker,
      // who has told of the other
      [told.endpoint[0]]: PeerInfo.resumeData | PeerInfo.pex,
      [byPex.endpoint[0]]: PeerInfo.pex,
      [tracked.endpoint[0]]: PeerInfo.tracker,
      [coming.endpoint[0]]: PeerInfo.incoming,
      [near.endpoint[0]]: PeerInfo.lsd,
    })
    // a minute later they have been told of the others too
    sim.run(120_000)
    expect(sources()[byDht.endpoint[0]]).toBe(PeerInfo.dht | PeerInfo.tracker | PeerInfo.pex)
    expect(sources()[near.endpoint[0]]).toBe(PeerInfo.lsd)
    swarm.close()
    router.close()
  })
})

/** How the peers were found that a session knows of. */
function sourcesOfKnown(node: SwarmNode, of: SimTorrent): number[] {
  const list = node.engine.registry.byHash(of.infoHash)!.swarm.known
  return Array.from(list?.entries() ?? [], entry => entry.source)
}

/** All info-hashes that somebody announces on the local network. */
function listen(sim: Simulation): Set<string> {
  const heard = new Set<string>()
  const runtime = sim.host('listener', onLan(250))
  runtime.bindMulticast(
    { group: LSD_GROUP_V4, interfaceAddress: '192.168.5.250', hops: 1 },
    {
      onPacket: packet => {
        const message = readLsdMessage(packet)
        if (typeof message !== 'string') for (const hash of message.infoHashes) heard.add(hash.toString())
      },
      onError: error => {
        throw new Error(error.message())
      },
      onWritable: () => {},
    },
    () => {},
  )
  return heard
}

describe('a private torrent (BEP 27)', () => {
  test('is found by its tracker only, while a public one of the same session uses everything', () => {
    simulate(10, sim => {
      const router = addRouter(sim)
      const heard = listen(sim)
      const tracker = new FakeTracker(sim, sim.host('tracker', { addresses: ['81.200.1.1'] }))
      const swarm = new Swarm(sim, TORRENT)
      const settings = { ...DHT_ALERTS, ...DHT, ...LSD }
      const secret: TorrentHandle[] = []
      const both = [1, 2, 3].map(n => {
        const addresses = [`81.${n}.7.1`, `192.168.5.${n}`]
        const up = { bytesPerSecond: 6000 }
        const node = swarm.add(`${n}`, { host: { addresses, up }, settings, ...(n === 1 ? { has: 'all' } : {}) })
        sim.run(10_000)
        const change = (params: AddTorrentParams) => {
          // of all three, only the third asks the tracker, which knows the first only
          if (n === 3) params.trackers.push(tracker.httpUrl)
        }
        secret.push(addTorrent(node, PRIVATE, '/private', n === 1 ? 'all' : [], change))
        return node
      })
      tracker.addPeer(PRIVATE.infoHash.toString(), '81.1.7.1', 6881)
      for (const handle of secret) {
        handle.forceDhtAnnounce()
        handle.forceLsdAnnounce()
      }
      swarm.complete(600_000)
      sim.run(400_000)
      const hashes = new Set(
        [router, ...both].flatMap(node =>
          node.alerts
            .filter(alert => alert instanceof DhtAnnounceAlert || alert instanceof DhtGetPeersAlert)
            .map(alert => alert.infoHash.toString()),
        ),
      )
      expect(hashes.has(TORRENT.infoHash.toString())).toBe(true)
      expect(hashes.has(PRIVATE.infoHash.toString())).toBe(false)
      expect(heard).toEqual(new Set([TORRENT.infoHash.toString()]))
      const seen = both.flatMap(node => node.alerts.filter(alert => alert instanceof LsdPeerAlert))
      expect(seen.length).toBeGreaterThan(0)
      expect(seen.every(alert => alert.handle.infoHashes().v1.equals(TORRENT.infoHash))).toBe(true)
      // the third has its peer by the tracker; the second found none, though all three met in the public swarm
      expect(secret.map(handle => handle.status().isSeeding)).toEqual([true, false, true])
      expect(secret[1]!.getPeerInfo()).toEqual([])
      expect(secret[1]!.status().listPeers).toBe(0)
      expect(sourcesOfKnown(both[0]!, PRIVATE)).toEqual([PeerSource.incoming])
      expect(sourcesOfKnown(both[2]!, PRIVATE)).toEqual([PeerSource.tracker])
      expect(both[0]!.engine.counters.get(C.SES_NUM_INCOMING_PEX)).toBeGreaterThan(0)
      swarm.close()
      router.close()
    })
  })

  test('gives its metadata to nobody who has the link only, be he connected or not', () => {
    simulate(11, sim => {
      const router = addRouter(sim)
      const swarm = new Swarm(sim, PRIVATE)
      const settings = { ...DHT, ...LSD }
      const seed = swarm.add('seed', { host: onLan(1), settings, has: 'all' })
      sim.run(10_000)
      const link = `&x.pe=${seed.endpoint.join(':')}`
      const told = swarm.add('told', { host: onLan(2), settings, params: asMagnet(link) })
      const alone = swarm.add('alone', { host: onLan(3), settings, params: asMagnet() })
      sim.run(400_000)
      // those who have the link only cannot know that it is private: they meet, and tell each other of the seed
      const met = seed.handle.getPeerInfo().map(info => info.remoteEndpoint()[0])
      expect(met.toSorted()).toEqual([told.endpoint[0], alone.endpoint[0]].toSorted())
      expect(sourcesOf(seed.handle)).toBe(PeerSource.incoming)
      for (const node of [told, alone]) expect(node.handle.status().hasMetadata).toBe(false)
      expect(seed.engine.counters.get(C.SES_NUM_INCOMING_PEX)).toBe(0)
      swarm.close()
      router.close()
    })
  })
})

describe('what a torrent or a link brings along', () => {
  test('nodes of a .torrent are the way into the DHT, and so to its peers', () => {
    simulate(20, sim => {
      const router = addRouter(sim)
      const creator = new CreateTorrent(loadTorrentBuffer(TORRENT.file).ti!)
      creator.addNode(router.endpoint[0], 6881)
      const withNodes: SimTorrent = { ...TORRENT, file: creator.generateBuf() }
      expect(loadTorrentBuffer(withNodes.file).ti!.infoHashes().v1.equals(TORRENT.infoHash)).toBe(true)
      const swarm = new Swarm(sim, withNodes)
      const settings = { ...DHT, dht_bootstrap_nodes: '' }
      swarm.add('seed', { host: outside(1), settings, has: 'all' })
      sim.run(20_000)
      swarm.add('leech', { host: outside(2), settings })
      swarm.complete(120_000)
      const [seed, leech] = swarm.nodes
      // whoever heard of the other first
      expect([sourcesOfKnown(seed!, TORRENT), sourcesOfKnown(leech!, TORRENT)].flat()).toContain(PeerSource.dht)
      swarm.close()
      router.close()
    })
  })

  test('so are those of a magnet link (`dht=`), by name', () => {
    simulate(21, sim => {
      const router = addRouter(sim)
      const swarm = new Swarm(sim, TORRENT)
      swarm.add('seed', { host: outside(1), settings: DHT, has: 'all' })
      sim.run(20_000)
      const settings = { ...DHT, dht_bootstrap_nodes: '' }
      swarm.add('leech', { host: outside(2), settings, params: asMagnet(`&dht=${ROUTER}:6881`) })
      swarm.complete(120_000)
      swarm.close()
      router.close()
    })
  })

  test('peers of a magnet link (`x.pe`), of both families, are connected to at once', () => {
    simulate(22, sim => {
      const swarm = new Swarm(sim, TORRENT)
      swarm.add('v4', { host: outside(1), has: 'all' })
      swarm.add('v6', { host: { addresses: ['2001:db8:7::1'] }, has: 'all' })
      sim.run(1000)
      const params = asMagnet('&x.pe=81.1.7.1:6881&x.pe=[2001:db8:7::1]:6881&x.pe=nonsense&x.pe=81.9.9.9:0')
      const up = { bytesPerSecond: 100_000 }
      const leech = swarm.add('leech', { host: { addresses: ['81.2.7.1', '2001:db8:8::1'], down: up }, params })
      sim.run(3000)
      const found = leech.handle.getPeerInfo().map(info => [info.remoteEndpoint()[0], info.source])
      expect(found.toSorted()).toEqual([
        ['2001:db8:7::1', PeerInfo.resumeData],
        ['81.1.7.1', PeerInfo.resumeData],
      ])
      swarm.complete(60_000)
      swarm.close()
    })
  })
})

test('use_dht_as_fallback: the DHT is asked once no tracker has ever worked, and is not while one has', () => {
  simulate(30, sim => {
    const router = addRouter(sim)
    const tracker = new FakeTracker(sim, sim.host('tracker', { addresses: ['81.200.1.1'] }), { intervalSeconds: 300 })
    const torrents = [1, 2].map(n => makeTorrent(8 * PIECE, PIECE, 10 + n, n === 1 ? [tracker.httpUrl] : []))
    const settings = { ...DHT, use_dht_as_fallback: true, dht_announce_interval: 60 }
    const node = new Swarm(sim, torrents[0]!).add('subject', { host: outside(1), settings, has: 'all' })
    const other = addTorrent(node, torrents[1]!, '/other', 'all', params => {
      params.trackers.push('http://nowhere.test/announce')
    })
    sim.run(400_000)
    const heard = (of: SimTorrent): number =>
      router.alerts.filter(alert => alert instanceof DhtAnnounceAlert && alert.infoHash.equals(of.infoHash)).length
    expect(tracker.announces.length).toBeGreaterThan(0)
    // when it began, the tracker had not answered yet
    expect([heard(torrents[0]!), node.handle.status().announcingToTrackers]).toEqual([1, true])
    expect(heard(torrents[1]!)).toBeGreaterThan(3)
    expect(other.status().announcingToDht).toBe(true)
    // a tracker that has worked once counts as one that works
    tracker.silent = true
    sim.run(900_000)
    expect(heard(torrents[0]!)).toBe(1)
    node.engine.turn.call(() => node.engine.applySettings({ use_dht_as_fallback: false }))
    sim.run(200_000)
    expect(heard(torrents[0]!)).toBeGreaterThan(1)
    node.close()
    router.close()
  })
})
