import { describe, expect, test } from 'vitest'
import { bencode } from '../../src/bencode/bencode.ts'
import { Sha1Hash } from '../../src/core/digest.ts'
import { ed25519CreateKeypair } from '../../src/core/ed25519.ts'
import { AnnounceFlags, TorrentFlags } from '../../src/core/enums.ts'
import { signMutableItem } from '../../src/dht/item.ts'
import { verifyId } from '../../src/dht/node-id.ts'
import { parseMagnetUri } from '../../src/metainfo/magnet-uri.ts'
import type { MutableItemData } from '../../src/session/dht-operations.ts'
import { readSessionParams, writeSessionParamsBuf } from '../../src/session/session-state.ts'
import type { SettingsPack } from '../../src/settings/pack-type.ts'
import * as C from '../../src/stats/counter-ids.ts'
import { PeerSource } from '../../src/torrent/peer-entry.ts'
import { addRouter, DhtSession, ROUTER } from './lib/dht-session.ts'
import { FakePeer } from './lib/fake-peer.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeFilesTorrent, makeTorrent } from './lib/swarm.ts'

const TORRENT = makeTorrent(200_000, 16_384)
const TARGET = new Sha1Hash('0101010101010101010101010101010101010101')
const [PUBLIC, SECRET] = ed25519CreateKeypair(new Uint8Array(32).fill(7))

function text(bytes: unknown): string {
  return Buffer.from(bytes as Uint8Array).toString()
}

/** A router and some sessions that know it, all joined. */
function network(
  sim: Simulation,
  count: number,
  settings: SettingsPack = {},
): { router: DhtSession; nodes: DhtSession[] } {
  const router = addRouter(sim)
  sim.run(1000)
  const nodes: DhtSession[] = []
  for (let i = 0; i < count; i++) {
    const node = new DhtSession(sim, `node ${i}`, { settings }).joined()
    nodes.push(node)
    // it has just learnt its address, and so taken another id than the router was told
    sim.run(6000)
    node.dhtGetPeers(new Sha1Hash(new Uint8Array(20).fill(i)))
    // until the router has seen that it answers, and tells others of it
    sim.run(6000)
  }
  sim.run(30_000)
  return { router, nodes }
}

function end(...sessions: readonly DhtSession[]): void {
  for (const session of sessions) session.end()
}

/** Live nodes in the table of the session's first node. */
function known(session: DhtSession): string[] {
  const { tracker } = session.engine.dht
  return tracker!.nodes[0]!.liveNodes().map(({ endpoint }) => endpoint[0])
}

describe('joining', () => {
  test('from one router, all get to know each other', () => {
    simulate(1, sim => {
      const { router, nodes } = network(sim, 6)
      for (const node of nodes) {
        expect(node.isDhtRunning()).toBe(true)
        const others = nodes.filter(other => other !== node).map(other => other.address)
        expect(known(node).toSorted()).toEqual(others.toSorted())
      }
      nodes[0]!.postSessionStats()
      nodes[0]!.postDhtStats()
      sim.run(1000)
      expect(nodes[0]!.engine.counters.get(C.DHT_DHT_NODES)).toBe(5)
      const stats = nodes[0]!.all('dht_stats')
      expect(stats).toHaveLength(1)
      expect(stats[0]!.localEndpoint).toEqual([nodes[0]!.address, 6881])
      expect(stats[0]!.routingTable[0]!.numNodes).toBe(5)
      end(router, ...nodes)
    })
  })

  test('our address as others see it makes the id', () => {
    simulate(2, sim => {
      const { router, nodes } = network(sim, 3)
      const [alert] = nodes[0]!.all('external_ip')
      expect(alert!.externalAddress).toBe(nodes[0]!.address)
      const { nid } = nodes[0]!.engine.dht.tracker!.nodes[0]!
      expect(verifyId(nid, nodes[0]!.address)).toBe(true)
      end(router, ...nodes)
    })
  })

  test('a bootstrap node whose name is not found is told of, and the DHT starts nevertheless', () => {
    simulate(3, sim => {
      const node = new DhtSession(sim, 'node', { settings: { dht_bootstrap_nodes: 'nowhere.example:1, ,[::1]:5' } })
      const error = node.next('dht_error')
      expect(error.message()).toContain('hostname_lookup')
      node.joined()
      expect(node.isDhtRunning()).toBe(true)
      node.end()
    })
  })

  test('nodes of torrents, magnet links and users are asked', () => {
    simulate(4, sim => {
      const settings = { dht_bootstrap_nodes: '' }
      const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(name => new DhtSession(sim, name, { settings }).joined())
      sim.names.set('c.example', { addresses: [c!.address] })
      a!.add(TORRENT, 'none', params => params.dhtNodes.push([b!.address, 6881]))
      const { dhtNodes } = parseMagnetUri(`magnet:?xt=urn:btih:${'ab'.repeat(20)}&dht=c.example:6881`)
      a!.add(makeTorrent(20_000, 16_384, 2), 'none', params => params.dhtNodes.push(...dhtNodes))
      a!.addDhtNode([d!.address, 6881])
      sim.run(5000)
      expect(known(a!).toSorted()).toEqual([b, c, d].map(node => node!.address).toSorted())
      end(a!, b!, c!, d!)
    })
  })

  test('without enable_dht no name is looked up and no packet sent', () => {
    simulate(5, sim => {
      const asked: string[] = []
      const get = sim.names.get.bind(sim.names)
      sim.names.get = name => {
        asked.push(name)
        return get(name)
      }
      const node = new DhtSession(sim, 'node', { settings: { enable_dht: false } })
      node.add(TORRENT, 'none', params => params.dhtNodes.push(['c.example', 1]))
      node.addDhtNode(['d.example', 1])
      node.dhtGetPeers(TARGET)
      node.postDhtStats()
      sim.run(60_000)
      expect(asked).toEqual([])
      expect(node.isDhtRunning()).toBe(false)
      expect(node.engine.counters.get(C.DHT_DHT_MESSAGES_OUT)).toBe(0)
      expect(node.all('dht_stats').map(alert => alert.routingTable)).toEqual([[]])
      // what was named meanwhile is not forgotten
      node.applySettings({ enable_dht: true })
      sim.run(5000)
      expect(asked.toSorted()).toEqual([ROUTER, 'c.example', 'd.example'].toSorted())
      node.end()
    })
  })

  test('switched off and on again: knows the same nodes', () => {
    simulate(6, sim => {
      const { router, nodes } = network(sim, 4)
      const [node] = nodes
      const before = known(node!).toSorted()
      const { nid } = node!.engine.dht.tracker!.nodes[0]!
      node!.applySettings({ enable_dht: false })
      expect(node!.isDhtRunning()).toBe(false)
      const sent = node!.engine.counters.get(C.DHT_DHT_MESSAGES_OUT)
      sim.run(60_000)
      expect(node!.engine.counters.get(C.DHT_DHT_MESSAGES_OUT)).toBe(sent)
      // the router is away: only what was known can help
      router.end()
      node!.applySettings({ enable_dht: true })
      node!.next('dht_bootstrap')
      sim.run(5000)
      expect(known(node!).toSorted()).toEqual(before)
      expect(node!.engine.dht.tracker!.nodes[0]!.nid.equals(nid)).toBe(true)
      end(...nodes)
    })
  })

  test('other bootstrap nodes are asked too, and what runs goes on', () => {
    simulate(7, sim => {
      const { router, nodes } = network(sim, 2)
      const other = new DhtSession(sim, 'other', { settings: { dht_bootstrap_nodes: '' } }).joined()
      sim.names.set('other.example', { addresses: [other.address] })
      const { tracker } = nodes[0]!.engine.dht
      nodes[0]!.applySettings({ dht_bootstrap_nodes: 'other.example:6881' })
      sim.run(1000)
      expect(nodes[0]!.engine.dht.tracker).toBe(tracker)
      nodes[0]!.dhtGetPeers(TARGET)
      sim.run(20_000)
      expect(known(other)).toContain(nodes[0]!.address)
      end(router, other, ...nodes)
    })
  })
})

describe('state', () => {
  test('saved and restored: no router is needed', () => {
    simulate(10, sim => {
      const { router, nodes } = network(sim, 4)
      const [node] = nodes
      const saved = writeSessionParamsBuf(node!.sessionState())
      const { nid } = node!.engine.dht.tracker!.nodes[0]!
      node!.end()
      router.end()
      const { dhtState, settings } = readSessionParams(saved)
      expect(settings.dht_bootstrap_nodes).toBe(`${ROUTER}:6881`)
      expect(dhtState.nids).toEqual([[node!.address, nid]])
      expect(dhtState.nodes).toHaveLength(3)
      const again = new DhtSession(sim, 'again', {
        runtime: node!.runtime,
        state: dhtState,
        settings: { dht_bootstrap_nodes: '' },
      }).joined()
      sim.run(5000)
      expect(known(again)).toHaveLength(3)
      expect(again.engine.dht.tracker!.nodes[0]!.nid.equals(nid)).toBe(true)
      end(again, ...nodes.slice(1))
    })
  })

  test('of a session whose DHT has not started, or is off, is what it was given', () => {
    simulate(11, sim => {
      const { router, nodes } = network(sim, 2)
      const { dhtState } = nodes[0]!.sessionState()
      const off = new DhtSession(sim, 'off', { state: dhtState, settings: { enable_dht: false } })
      sim.run(5000)
      expect(off.sessionState().dhtState).toEqual(dhtState)
      off.applySettings({ enable_dht: true, dht_bootstrap_nodes: '' })
      off.loadState(nodes[1]!.saveState())
      sim.run(5000)
      expect(off.isDhtRunning()).toBe(true)
      expect(known(off)).toContain(nodes[0]!.address)
      end(off, router, ...nodes)
    })
  })

  test('leaves out what the flags leave out', () => {
    simulate(12, sim => {
      const { router, nodes } = network(sim, 2)
      expect(nodes[0]!.sessionState(DhtSession.saveSettings).dhtState.nodes).toEqual([])
      const settings = readSessionParams(nodes[0]!.saveState(), DhtSession.saveSettings)
      expect(settings.dhtState.nodes).toEqual([])
      const state = nodes[0]!.saveState(DhtSession.saveDhtState)
      expect(Object.keys(state)).toEqual(['dht state'])
      end(router, ...nodes)
    })
  })
})

describe('torrents', () => {
  test('without a tracker find each other, and data flows', () => {
    simulate(20, sim => {
      const { router, nodes } = network(sim, 4)
      const [seed, leech] = nodes
      seed!.add(TORRENT, 'all')
      sim.run(20_000)
      const handle = leech!.add(TORRENT, 'none')
      sim.runUntilSo(() => handle.status().isSeeding, 60_000, 'the download')
      const [reply] = leech!.all('dht_reply')
      expect(reply!.numPeers).toBe(1)
      expect(reply!.handle).toBe(handle)
      const peer = leech!.engine.registry.byHash(TORRENT.infoHash)!.swarm.known!.entries()[0]!
      expect(peer.endpoint()).toEqual([seed!.address, 6881])
      expect(peer.source & PeerSource.dht).toBe(PeerSource.dht)
      // others were told of the seed, as one
      const told = [router, ...nodes].flatMap(node => node.all('dht_announce'))
      expect(told.every(({ infoHash }) => infoHash.equals(TORRENT.infoHash))).toBe(true)
      expect(told.some(({ ip, port }) => ip === seed!.address && port === 6881)).toBe(true)
      end(router, ...nodes)
    })
  })

  test('that were there before the DHT are announced as soon as it is joined', () => {
    simulate(21, sim => {
      const router = addRouter(sim)
      const seed = new DhtSession(sim, 'seed')
      seed.add(TORRENT, 'all')
      seed.joined()
      sim.run(10_000)
      expect(router.all('dht_announce').map(({ ip }) => ip)).toContain(seed.address)
      end(seed, router)
    })
  })

  test('are announced again, each once in dht_announce_interval', () => {
    simulate(22, sim => {
      const router = addRouter(sim)
      const seed = new DhtSession(sim, 'seed', { settings: { dht_announce_interval: 100 } })
      const torrents = [1, 2, 3, 4].map(n => makeTorrent(20_000, 16_384, n))
      for (const torrent of torrents) seed.add(torrent, 'all')
      seed.joined()
      sim.run(60_000)
      const before = router.all('dht_announce').length
      sim.run(1_000_000)
      const told = router.all('dht_announce').slice(before)
      for (const { infoHash } of torrents) {
        const count = told.filter(alert => alert.infoHash.equals(infoHash)).length
        expect(Math.abs(count - 10), `${infoHash}: ${count}`).toBeLessThanOrEqual(1)
      }
      seed.applySettings({ dht_announce_interval: 1000 })
      const then = router.all('dht_announce').length
      sim.run(1_000_000)
      expect(Math.abs(router.all('dht_announce').length - then - 4)).toBeLessThanOrEqual(1)
      end(seed, router)
    })
  })

  test('have a force_dht_announce', () => {
    simulate(23, sim => {
      const { router, nodes } = network(sim, 2)
      const handle = nodes[0]!.add(TORRENT, 'all')
      sim.run(20_000)
      const before = router.all('dht_announce').length
      handle.forceDhtAnnounce()
      sim.run(10_000)
      expect(router.all('dht_announce').length).toBeGreaterThan(before)
      end(router, ...nodes)
    })
  })

  test('of both versions are announced with both info-hashes', () => {
    simulate(24, sim => {
      const { router, nodes } = network(sim, 2)
      const hybrid = makeFilesTorrent([100_000], 16_384, 0)
      const handle = nodes[0]!.add(hybrid, 'all')
      sim.run(20_000)
      const { v1, v2 } = handle.infoHashes()
      const told = new Set(router.all('dht_announce').map(({ infoHash }) => infoHash.toString()))
      expect(told).toEqual(new Set([v1.toString(), v2.toString().slice(0, 40)]))
      end(router, ...nodes)
    })
  })

  /** The announces that others hear of, if a session has such a torrent. */
  function heardOf(
    seed: number,
    add: (session: DhtSession) => void,
    settings: Record<string, number | string | boolean> = {},
  ): number {
    let heard = -1
    simulate(seed, sim => {
      const { router, nodes } = network(sim, 2)
      const session = new DhtSession(sim, 'subject', { settings }).joined()
      add(session)
      sim.run(60_000)
      heard = [router, ...nodes]
        .flatMap(node => [...node.all('dht_announce'), ...node.all('dht_get_peers')])
        .filter(({ infoHash }) => infoHash.equals(TORRENT.infoHash) || infoHash.equals(PRIVATE.infoHash)).length
      end(session, router, ...nodes)
    })
    return heard
  }

  const PRIVATE = makeTorrent(20_000, 16_384, 5, [], true)

  test('are heard of', () => {
    expect(heardOf(30, session => session.add(TORRENT, 'all'))).toBeGreaterThan(0)
  })

  test('that are private are never announced nor looked up, even if that is forced', () => {
    const add = (session: DhtSession) => session.add(PRIVATE, 'none').forceDhtAnnounce()
    expect(heardOf(31, add)).toBe(0)
  })

  test('that have the DHT disabled are not announced', () => {
    const disabled = (session: DhtSession) =>
      session.add(TORRENT, 'all', params => {
        params.flags |= TorrentFlags.disableDht
      })
    expect(heardOf(32, disabled)).toBe(0)
  })

  test('that are paused are not announced', () => {
    expect(
      heardOf(33, session => session.add(TORRENT, 'all', params => void (params.flags |= TorrentFlags.paused))),
    ).toBe(0)
  })

  test('beyond active_dht_limit are not announced', () => {
    const managed = (session: DhtSession) =>
      session.add(TORRENT, 'all', params => void (params.flags |= TorrentFlags.autoManaged))
    expect(heardOf(34, managed, { active_dht_limit: 0 })).toBe(0)
    expect(heardOf(35, managed, { active_dht_limit: 1 })).toBeGreaterThan(0)
  })

  test('with a tracker that has failed are announced, also with use_dht_as_fallback', () => {
    const tracked = (session: DhtSession) =>
      session.add(TORRENT, 'all', params => params.trackers.push('http://none/a'))
    expect(heardOf(36, tracked, { use_dht_as_fallback: true })).toBeGreaterThan(0)
  })
})

test('use_dht_as_fallback leaves torrents alone whose tracker works', () => {
  simulate(40, sim => {
    const { router, nodes } = network(sim, 2)
    const session = new DhtSession(sim, 'subject', { settings: { use_dht_as_fallback: true } }).joined()
    const handle = session.add(TORRENT, 'all')
    sim.run(20_000)
    const before = router.all('dht_announce').length
    expect(before).toBeGreaterThan(0)
    session.engine.registry.byHash(TORRENT.infoHash)!.announcer.anyVerified = () => true
    handle.forceDhtAnnounce()
    sim.run(20_000)
    expect(router.all('dht_announce').length).toBe(before)
    end(session, router, ...nodes)
  })
})

describe('peers', () => {
  /** A session that a scripted peer connects to. */
  function withPeer(sim: Simulation, reserved: number, settings = {}) {
    const { router, nodes } = network(sim, 2)
    const session = new DhtSession(sim, 'subject', { settings }).joined()
    session.add(TORRENT, 'all')
    sim.run(5000)
    const peer = FakePeer.connect(sim.host('peer', { addresses: ['91.1.1.1'] }), [session.address, 6881], {
      infoHash: TORRENT.infoHash.toBytes(),
      peerId: Buffer.from('-XX0000-000000000000'),
      reserved: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, reserved),
    })
    sim.runUntil(() => peer.handshake !== null, 30_000, 'the handshake')
    sim.run(500)
    return { session, peer, finish: () => end(session, router, ...nodes), nodes }
  }
  const ports = (peer: FakePeer) =>
    peer.messages.filter(({ id }) => id === 9).map(({ payload }) => Buffer.from(payload).readUInt16BE(0))

  test('that are nodes too are told our port, once', () => {
    simulate(50, sim => {
      const { session, peer, finish } = withPeer(sim, 0x05)
      expect(peer.handshake![27]! & 1).toBe(1)
      expect(ports(peer)).toEqual([6881])
      peer.send(9, Buffer.from([0, 80]))
      sim.run(500)
      expect(ports(peer)).toEqual([6881])
      expect(session.engine.counters.get(C.SES_NUM_OUTGOING_DHT_PORT)).toBe(1)
      expect(session.engine.counters.get(C.SES_NUM_INCOMING_DHT_PORT)).toBe(1)
      finish()
    })
  })

  test('that do not say so are told when they tell theirs', () => {
    simulate(51, sim => {
      const { peer, finish } = withPeer(sim, 0x04)
      expect(ports(peer)).toEqual([])
      peer.send(9, Buffer.from([0x1a, 0xe1]))
      sim.run(500)
      expect(ports(peer)).toEqual([6881])
      finish()
    })
  })

  test('are told nothing while the DHT is off', () => {
    simulate(52, sim => {
      const { session, peer, finish } = withPeer(sim, 0x05)
      session.applySettings({ enable_dht: false })
      const second = FakePeer.connect(sim.host('second', { addresses: ['91.1.2.1'] }), [session.address, 6881], {
        ...peer.options,
        peerId: Buffer.from('-XX0000-000000000001'),
      })
      sim.run(2000)
      expect(second.handshake).not.toBeNull()
      expect(ports(second)).toEqual([])
      finish()
    })
  })

  test('are asked at the port they tell', () => {
    simulate(53, sim => {
      const { router, nodes } = network(sim, 1)
      const stranger = new DhtSession(sim, 'stranger', { settings: { dht_bootstrap_nodes: '' } }).joined()
      stranger.add(TORRENT, 'all')
      sim.run(2000)
      const handle = nodes[0]!.add(TORRENT, 'none')
      handle.connectPeer([stranger.address, 6881])
      sim.runUntilSo(() => handle.status().isSeeding, 60_000, 'the download')
      sim.run(10_000)
      expect(known(nodes[0]!)).toContain(stranger.address)
      expect(known(stranger)).toContain(nodes[0]!.address)
      end(router, stranger, ...nodes)
    })
  })

  test('that ask for an info-hash of our own making are shut out', () => {
    simulate(54, sim => {
      const { router, nodes } = network(sim, 2)
      const [session] = nodes
      session!.add(TORRENT, 'all')
      sim.run(1000)
      const { secretIds } = session!.engine.dht.tracker!.nodes[0]!
      const peer = FakePeer.connect(sim.host('snoop', { addresses: ['91.1.1.1'] }), [session!.address, 6881], {
        infoHash: secretIds.generate().toBytes(),
        peerId: Buffer.from('-XX0000-000000000000'),
      })
      sim.runUntil(() => peer.closed !== null, 30_000, 'the end')
      expect(session!.getIpFilter().access('91.1.1.1')).toBe(1)
      expect(session!.getIpFilter().access('91.1.1.2')).toBe(0)
      end(router, ...nodes)
    })
  })
})

describe('what programs ask', () => {
  test('immutable items', () => {
    simulate(60, sim => {
      const { router, nodes } = network(sim, 5)
      const target = nodes[0]!.dhtPutImmutableItem({ hello: 'world', n: 1 })
      const put = nodes[0]!.next('dht_put')
      expect(put.target.equals(target)).toBe(true)
      expect(put.numSuccess).toBeGreaterThanOrEqual(4)
      nodes[4]!.dhtGetItem(target)
      const got = nodes[4]!.next('dht_immutable_item')
      expect(got.item).toEqual({ hello: Uint8Array.from(Buffer.from('world')), n: 1 })
      expect(got.message()).toBe(`DHT immutable item ${target} [ { 'hello': 'world', 'n': 1 } ]`)
      nodes[4]!.dhtGetImmutableItem(TARGET)
      expect(nodes[4]!.next('dht_immutable_item').item).toBeNull()
      expect(() => nodes[0]!.dhtPutImmutableItem('x'.repeat(1000))).toThrow(RangeError)
      end(router, ...nodes)
    })
  })

  test('mutable items', () => {
    simulate(61, sim => {
      const { router, nodes } = network(sim, 5)
      for (const [i, data] of ['first', 'second'].entries()) {
        nodes[0]!.dhtPutMutableItem(SECRET, PUBLIC, data, 'salt')
        const put = nodes[0]!.next('dht_put')
        expect(put.seq).toBe(i + 1)
        expect(text(put.salt)).toBe('salt')
        expect(put.numSuccess).toBeGreaterThanOrEqual(4)
      }
      // another writer goes on from there
      nodes[3]!.dhtPutItem(
        PUBLIC,
        item => {
          expect(text(item.value)).toBe('second')
          item.value = 'third'
          item.seq += 5
          item.signature = signMutableItem(bencode('third'), item.salt, item.seq, PUBLIC, SECRET)
        },
        'salt',
      )
      expect(nodes[3]!.next('dht_put').numSuccess).toBeGreaterThanOrEqual(4)
      nodes[4]!.dhtGetMutableItem(PUBLIC, 'salt')
      sim.run(20_000)
      const got = nodes[4]!.all('dht_mutable_item')
      expect(got.map(({ seq, authoritative }) => [seq, authoritative]).at(-1)).toEqual([7, true])
      expect(text(got.at(-1)!.item)).toBe('third')
      // what a program gives is its own again after the call, also if it is a Buffer
      const [secret, own, data, salt] = [SECRET, PUBLIC, 'fourth', 'salt'].map(each => Buffer.from(each))
      nodes[0]!.dhtPutMutableItem(secret!, own!, data!, salt!)
      for (const each of [secret!, own!, data!, salt!]) each.fill(0)
      expect(nodes[0]!.next('dht_put').numSuccess).toBeGreaterThanOrEqual(4)
      const [key, name] = [PUBLIC, 'salt'].map(each => Buffer.from(each))
      nodes[4]!.dhtGetMutableItem(key!, name!)
      for (const each of [key!, name!]) each.fill(0)
      sim.run(20_000)
      expect(text(nodes[4]!.all('dht_mutable_item').at(-1)!.item)).toBe('fourth')
      // a version beyond 2^53, which numbers round
      nodes[3]!.dhtPutItem(PUBLIC, item => {
        item.value = 'late'
        item.seq = 2 ** 60
        item.signature = signMutableItem(bencode('late'), item.salt, 2n ** 60n, PUBLIC, SECRET)
      })
      expect(nodes[3]!.next('dht_put').numSuccess).toBeGreaterThanOrEqual(4)
      nodes[4]!.dhtGetItem(PUBLIC, 'none')
      const none = nodes[4]!.next('dht_mutable_item')
      expect([none.item, none.authoritative]).toEqual([null, true])
      end(router, ...nodes)
    })
  })

  test('what the function of a program throws is the program’s, and nothing is stored', () => {
    simulate(62, sim => {
      const { router, nodes } = network(sim, 2)
      const thrown: unknown[] = []
      nodes[0]!.runtime.defer = fn => {
        try {
          fn()
        } catch (error) {
          thrown.push(error)
        }
      }
      const changes: ((item: MutableItemData) => void)[] = [
        () => {
          throw new Error('of the program')
        },
        item => Object.assign(item, { value: 'x', seq: -1 }),
        item => Object.assign(item, { value: 'x', seq: 1.5 }),
        item => Object.assign(item, { value: 'x', signature: new Uint8Array(63) }),
      ]
      for (const change of changes) {
        nodes[0]!.dhtPutItem(PUBLIC, change)
        expect(nodes[0]!.next('dht_put').numSuccess).toBe(0)
      }
      expect(thrown.map(error => (error as Error).message)).toEqual([
        'of the program',
        'dhtPutItem: -1 is not a version',
        'dhtPutItem: 1.5 is not a version',
        'dhtPutItem: expected a signature of 64 bytes, not 63',
      ])
      expect(nodes[0]!.engine.counters.get(C.DHT_DHT_PUT_OUT)).toBe(0)
      end(router, ...nodes)
    })
  })

  test('wrong keys and addresses throw', () => {
    simulate(63, sim => {
      const node = new DhtSession(sim, 'node', { settings: { enable_dht: false } })
      const short = PUBLIC.subarray(1)
      expect(() => node.dhtGetMutableItem(short)).toThrow(RangeError)
      expect(() => node.dhtPutMutableItem(PUBLIC, PUBLIC, 'x')).toThrow(RangeError)
      expect(() => node.dhtPutMutableItem(SECRET, short, 'x')).toThrow(RangeError)
      expect(() => node.dhtPutMutableItem(SECRET, PUBLIC, 'x'.repeat(997))).toThrow(RangeError)
      expect(() => node.dhtPutItem(short, () => {})).toThrow(RangeError)
      expect(() => node.dhtSampleInfohashes(['host.example', 1], TARGET)).toThrow(TypeError)
      expect(() => node.dhtDirectRequest(['', 1], {})).toThrow(TypeError)
      for (const port of [-1, 65536, 1.5, Number.NaN]) {
        expect(() => node.dhtAnnounce(TARGET, port)).toThrow(RangeError)
        expect(() => node.addDhtNode(['1.2.3.4', port])).toThrow(RangeError)
        expect(() => node.dhtDirectRequest(['1.2.3.4', port], {})).toThrow(RangeError)
        expect(() => node.dhtSampleInfohashes(['1.2.3.4', port], TARGET)).toThrow(RangeError)
      }
      expect(() => node.addDhtNode(['1.2.3.4', 0])).toThrow(RangeError)
      node.end()
    })
  })

  test('peers, and announces by hand', () => {
    simulate(64, sim => {
      const { router, nodes } = network(sim, 4)
      nodes[0]!.dhtAnnounce(TARGET, 1234, AnnounceFlags.seed)
      sim.run(10_000)
      nodes[1]!.dhtGetPeers(TARGET)
      const reply = nodes[1]!.next('dht_get_peers_reply')
      expect(reply.infoHash.equals(TARGET)).toBe(true)
      expect(reply.peers()).toEqual([[nodes[0]!.address, 1234]])
      const out = nodes[1]!.all('dht_outgoing_get_peers').filter(({ infoHash }) => infoHash.equals(TARGET))
      expect(out.length).toBeGreaterThan(0)
      expect(out.every(({ obfuscatedInfoHash }) => obfuscatedInfoHash.equals(TARGET))).toBe(true)
      end(router, ...nodes)
    })
  })

  test('live nodes, samples of info-hashes, queries of their own', () => {
    simulate(65, sim => {
      const { router, nodes } = network(sim, 4)
      const [node, other] = nodes
      node!.postDhtStats()
      const { nid } = node!.next('dht_stats')
      node!.dhtLiveNodes(nid)
      const live = node!.next('dht_live_nodes')
      expect(live.numNodes).toBe(3)
      node!.dhtLiveNodes(TARGET)
      expect(node!.next('dht_live_nodes').nodes).toEqual([])

      other!.dhtAnnounce(TARGET, 1)
      sim.run(10_000)
      node!.dhtSampleInfohashes([nodes[2]!.address, 6881], TARGET)
      const sample = node!.next('dht_sample_infohashes')
      expect(sample.samples.map(hash => hash.toString())).toEqual([TARGET.toString()])
      expect([sample.numInfohashes, sample.interval, sample.endpoint]).toEqual([1, 21_600, [nodes[2]!.address, 6881]])

      node!.dhtDirectRequest([other!.address, 6881], { q: 'ping', a: {} }, { mine: 1 })
      const direct = node!.next('dht_direct_response')
      expect(direct.userdata).toEqual({ mine: 1 })
      expect(direct.response()!.dictFindDict('r').dictFindStringValue('id')).toHaveLength(20)
      node!.dhtDirectRequest(['81.200.1.1', 6881], { q: 'ping', a: {} })
      expect(node!.next('dht_direct_response').response()).toBeNull()
      end(router, ...nodes)
    })
  })

  test('a storage of their own', () => {
    simulate(66, sim => {
      const { router, nodes } = network(sim, 2)
      const asked: string[] = []
      nodes[0]!.setDhtStorage(() => ({
        updateNodeIds: () => {},
        getPeers: infoHash => asked.push(infoHash.toString()) > 0,
        announcePeer: () => {},
        getImmutableItem: () => null,
        putImmutableItem: () => {},
        getMutableItemSeq: () => null,
        getMutableItem: () => null,
        putMutableItem: () => {},
        getInfohashesSample: () => ({ interval: 0, num: 0, samples: new Uint8Array(0) }),
        tick: () => {},
        counters: () => ({ torrents: 11, peers: 12, immutableData: 13, mutableData: 14 }),
      }))
      nodes[0]!.applySettings({ enable_dht: false })
      nodes[0]!.applySettings({ enable_dht: true })
      sim.run(10_000)
      nodes[1]!.dhtGetPeers(TARGET)
      sim.run(10_000)
      expect(asked).toContain(TARGET.toString())
      nodes[0]!.postSessionStats()
      const { counters } = nodes[0]!.engine
      const gauges = [C.DHT_DHT_TORRENTS, C.DHT_DHT_PEERS, C.DHT_DHT_IMMUTABLE_DATA, C.DHT_DHT_MUTABLE_DATA]
      expect(gauges.map(index => counters.get(index))).toEqual([11, 12, 13, 14])
      nodes[0]!.applySettings({ enable_dht: false })
      nodes[0]!.postSessionStats()
      expect(gauges.map(index => counters.get(index))).toEqual([0, 0, 0, 0])
      end(router, ...nodes)
    })
  })
})

test('a read-only session finds peers, but nobody finds it', () => {
  simulate(70, sim => {
    const { router, nodes } = network(sim, 3)
    const shy = new DhtSession(sim, 'shy', { settings: { dht_read_only: true } }).joined()
    nodes[0]!.add(TORRENT, 'all')
    sim.run(20_000)
    const handle = shy.add(TORRENT, 'none')
    sim.runUntilSo(() => handle.status().isSeeding, 60_000, 'the download')
    sim.run(60_000)
    for (const node of [router, ...nodes]) expect(known(node)).not.toContain(shy.address)
    nodes[1]!.dhtDirectRequest([shy.address, 6881], { q: 'ping', a: {} })
    expect(nodes[1]!.next('dht_direct_response').response()).toBeNull()
    end(router, shy, ...nodes)
  })
})

describe('sockets', () => {
  test('of both families have a node each, and peers of both are found', () => {
    simulate(80, sim => {
      const addresses = (n: number) => [`81.${n}.1.1`, `2001:db8:${n}::1`]
      const settings = { dht_bootstrap_nodes: '' }
      const router = new DhtSession(sim, 'router', { settings, addresses: addresses(1) })
      sim.names.set(ROUTER, { addresses: addresses(1) })
      const make = (n: number) => new DhtSession(sim, `node ${n}`, { addresses: addresses(n) }).joined()
      const nodes = [2, 3, 4].map(make)
      sim.run(30_000)
      nodes[0]!.dhtAnnounce(TARGET, 1234)
      sim.run(20_000)
      nodes[1]!.dhtGetPeers(TARGET)
      sim.run(20_000)
      const peers = nodes[1]!.all('dht_get_peers_reply').flatMap(alert => alert.peers().map(([address]) => address))
      expect(new Set(peers)).toEqual(new Set(addresses(2)))
      end(router, ...nodes)
    })
  })

  test('that are closed and opened anew keep the node’s id and its neighbours', () => {
    simulate(81, sim => {
      const { router, nodes } = network(sim, 4)
      const [node] = nodes
      const { nid } = node!.engine.dht.tracker!.nodes[0]!
      const before = known(node!).toSorted()
      node!.reopenNetworkSockets()
      sim.run(20_000)
      expect(node!.engine.dht.tracker!.nodes).toHaveLength(1)
      expect(node!.engine.dht.tracker!.nodes[0]!.nid.equals(nid)).toBe(true)
      expect(known(node!).toSorted()).toEqual(before)
      end(router, ...nodes)
    })
  })

  test('that come late are joined with: the DHT begins then', () => {
    simulate(83, sim => {
      const { router, nodes } = network(sim, 1)
      const node = new DhtSession(sim, 'late', { settings: { listen_interfaces: '' } })
      node.add(TORRENT, 'all')
      sim.run(20_000)
      expect(node.isDhtRunning()).toBe(true)
      expect(node.all('dht_bootstrap')).toHaveLength(0)
      node.applySettings({ listen_interfaces: '0.0.0.0:6881' })
      node.joined()
      sim.run(20_000)
      expect(node.all('dht_bootstrap')).toHaveLength(1)
      expect(router.all('dht_announce').map(({ ip }) => ip)).toContain(node.address)
      end(router, node, ...nodes)
    })
  })

  test('for the local network have none', () => {
    simulate(82, sim => {
      const settings = { listen_interfaces: '0.0.0.0:6881l,[::]:6881' }
      const node = new DhtSession(sim, 'node', { settings, addresses: ['81.1.1.1', '2001:db8:1::1'] }).joined()
      expect(node.engine.dht.tracker!.nodes.map(({ family }) => family)).toEqual([6])
      node.end()
    })
  })
})

test('a session that is closed says no more, and all its timers are gone', () => {
  simulate(90, sim => {
    const { router, nodes } = network(sim, 3)
    nodes[0]!.dhtGetPeers(TARGET)
    nodes[0]!.end()
    const { counters } = nodes[0]!.engine
    const sent = counters.get(C.DHT_DHT_MESSAGES_OUT)
    sim.run(600_000)
    expect(counters.get(C.DHT_DHT_MESSAGES_OUT)).toBe(sent)
    end(router, ...nodes.slice(1))
    sim.run(60_000)
    expect(sim.clock.step(sim.clock.now() + 3_600_000)).toBe(false)
  })
})

test('a session that ends while it joins leaves no timer behind', () => {
  simulate(90, sim => {
    const session = new DhtSession(sim, 'alone', { settings: { dht_bootstrap_nodes: '10.9.9.9:6881' } })
    sim.run(3000)
    expect(session.engine.dht.isRunning).toBe(true)
    session.end()
    const ended = sim.clock.now()
    while (sim.clock.step(ended + 3_600_000)) expect(sim.clock.now() - ended).toBeLessThan(1000)
  })
})
