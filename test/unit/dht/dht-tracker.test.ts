import { describe, expect, test } from 'vitest'
import { bencode } from '../../../src/bencode/bencode.ts'
import { Sha1Hash } from '../../../src/core/digest.ts'
import { ed25519CreateKeypair } from '../../../src/core/ed25519.ts'
import { type Endpoint, endpointToCompact } from '../../../src/core/endpoint.ts'
import { AnnounceFlags } from '../../../src/core/enums.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { isDarkInternet } from '../../../src/dht/dark-internet.ts'
import { DhtState } from '../../../src/dht/dht-state.ts'
import { Item } from '../../../src/dht/item.ts'
import { generateId, verifyId } from '../../../src/dht/node-id.ts'
import * as C from '../../../src/stats/counter-ids.ts'
import { asText, type Packet, Rig, raw } from './tracker-rig.ts'

const HASH = new Sha1Hash(raw('01010101010101010101'))
const FROM: Endpoint = ['10.0.0.9', 20]
const OTHER: Endpoint = ['4.4.4.4', 4440]
const OTHER_ID = new Sha1Hash('3123456789abcdef01232456789abcdef0123456')
const [PUBLIC, SECRET] = ed25519CreateKeypair(new Uint8Array(32).fill(7))

function state(change: (state: DhtState) => void): DhtState {
  const out = new DhtState()
  change(out)
  return out
}

function methods(packets: readonly Packet[]): unknown[] {
  return packets.map(({ message, to }) => `${message['q']} ${to[0]}:${to[1]}`)
}

function args(packet: Packet): Record<string, unknown> {
  return packet.message['a'] as Record<string, unknown>
}

/** A rig whose node knows one other. */
function acquainted(settings = {}): Rig {
  const rig = new Rig(settings)
  rig.node.table.nodeSeen(OTHER_ID, OTHER, 10)
  return rig
}

describe('a packet', () => {
  test('that cannot be one of the DHT is for somebody else', () => {
    const rig = new Rig()
    for (const packet of [
      '',
      'd',
      'de',
      `d${'x'.repeat(18)}e`,
      'l1:a1:bbbbbbbbbbbbbbbbbbbbbbbbbe',
      'd1:y1:q'.repeat(9),
    ]) {
      expect(rig.deliver(raw(packet), FROM), packet).toBe(false)
    }
    expect(rig.counters.get(C.DHT_DHT_MESSAGES_IN)).toBe(0)
  })

  test('that is broken is counted as dropped, and left to somebody else', () => {
    const rig = new Rig()
    const deep = `d1:a${'l'.repeat(12)}${'e'.repeat(12)}e`
    const many = `d1:al${'0:'.repeat(600)}ee`
    const big = bencode({ a: { id: HASH.view() }, q: 'ping', t: raw('x'.repeat(1500)), y: 'q' })
    const broken = [raw(`d${'1:x'.repeat(11)}e`), raw(deep), raw(many), big, raw(`d1:${'x'.repeat(20)}e`)]
    for (const packet of broken) expect(rig.deliver(packet, FROM)).toBe(false)
    expect(rig.counters.get(C.DHT_DHT_MESSAGES_IN)).toBe(broken.length)
    expect(rig.counters.get(C.DHT_DHT_MESSAGES_IN_DROPPED)).toBe(broken.length)
    expect(rig.sent).toHaveLength(0)
  })

  test.each([{ t: '10' }, { t: '10', y: 5 }, { t: '10', y: 'qq' }, { t: '10', y: 'x' }, { t: '10', y: '' }])(
    'without a type is not answered: %j',
    packet => {
      const rig = new Rig()
      expect(rig.deliver({ a: { id: HASH.view() }, q: 'ping', ...packet }, FROM)).toBe(true)
      expect(rig.sent).toHaveLength(0)
    },
  )

  test.each([{ e: [203, 'what'] }, { e: [] }, { e: [203] }, { e: 'text' }, { e: ['text', 203] }, {}])(
    'that is an error is only noted: %j',
    packet => {
      const rig = new Rig()
      rig.logging = true
      expect(rig.deliver({ t: raw('\x01\x02 and more text'), y: 'e', ...packet }, FROM)).toBe(true)
      expect(rig.sent).toHaveLength(0)
      expect(rig.logs.some(line => line.includes('error'))).toBe(true)
    },
  )

  test('to the socket of another node is not answered by ours', () => {
    const rig = new Rig()
    const second = rig.addSocket(['192.168.4.2', 6881])
    rig.ask('ping', {}, FROM, {}, second)
    expect(rig.node.table.size().replacements).toBe(0)
    expect(rig.tracker.nodes[1]!.table.size().replacements).toBe(1)
  })

  test('that answers us says what our address is', () => {
    const rig = new Rig()
    rig.addSocket(['192.168.4.2', 6881])
    const ip = (bytes: Uint8Array) => {
      rig.sent.length = 0
      rig.tracker.addNode(FROM)
      expect(rig.reply(rig.sent[0]!, { id: HASH.view() }, { ip: bytes })).toBe(true)
      rig.reply(rig.sent[1]!, { id: HASH.view() })
    }
    ip(endpointToCompact(['81.2.3.4', 5]))
    ip(raw('\x51\x02\x03\x05'))
    ip(endpointToCompact(['2001:db8::7', 5]))
    ip(raw('\x51\x02\x03'))
    // of the node whose socket it came to, once
    expect(rig.events).toEqual([
      'address 81.2.3.4 says 10.0.0.9 to 192.168.4.1',
      'address 81.2.3.5 says 10.0.0.9 to 192.168.4.1',
      'address 2001:db8::7 says 10.0.0.9 to 192.168.4.1',
    ])
  })

  test('that answers nothing we have asked says nothing of our address', () => {
    const rig = new Rig()
    const ip = endpointToCompact(['81.2.3.4', 5])
    rig.tracker.addNode(FROM)
    const [query] = rig.sent
    const t = raw(query!.message['t'] as string)
    const r = { id: HASH.view() }
    rig.deliver({ a: { id: HASH.view() }, ip, q: 'ping', t, y: 'q' }, FROM)
    rig.deliver({ ip, r, t: raw('xx'), y: 'r' }, FROM)
    rig.deliver({ ip, r, t, y: 'r' }, OTHER)
    rig.deliver({ e: [203, 'no'], ip, t: raw('xx'), y: 'e' }, FROM)
    expect(rig.events).toEqual([])
    rig.deliver({ ip, r, t, y: 'r' }, FROM)
    rig.deliver({ ip, r, t, y: 'r' }, FROM)
    expect(rig.events).toEqual(['address 81.2.3.4 says 10.0.0.9 to 192.168.4.1'])
  })
})

describe('who is not answered', () => {
  test('networks that nobody is in, with dht_ignore_dark_internet', () => {
    expect(isDarkInternet('3.4.5.6')).toBe(true)
    expect(isDarkInternet('4.4.5.6')).toBe(false)
    expect(isDarkInternet('::3')).toBe(false)
    const rig = new Rig()
    expect(rig.ask('ping', {}, ['56.1.1.1', 1])).toBeNull()
    expect(rig.counters.get(C.DHT_DHT_MESSAGES_IN_DROPPED)).toBe(1)
    expect(new Rig({ dht_ignore_dark_internet: false }).ask('ping', {}, ['56.1.1.1', 1])).not.toBeNull()
  })

  test('who asks too often, for dht_block_timeout', () => {
    const rig = new Rig({ dht_block_ratelimit: 5, dht_block_timeout: 60 })
    for (let i = 0; i < 49; i++) expect(rig.ask('ping', {}), String(i)).not.toBeNull()
    expect(rig.ask('ping', {})).toBeNull()
    expect(rig.ask('ping', {}, ['10.0.0.10', 20])).not.toBeNull()
    expect(rig.counters.get(C.DHT_DHT_MESSAGES_IN_DROPPED)).toBe(1)
    rig.run(59_000)
    expect(rig.ask('ping', {})).toBeNull()
    rig.run(2000)
    expect(rig.ask('ping', {})).not.toBeNull()
  })

  test('a new dht_block_ratelimit counts soon', () => {
    const rig = new Rig({ dht_block_ratelimit: 5 })
    rig.tracker.start(() => {})
    rig.sent.length = 0
    rig.settings.applyPack({ dht_block_ratelimit: 1 })
    rig.run(5000)
    rig.sent.length = 0
    for (let i = 0; i < 9; i++) expect(rig.ask('ping', {})).not.toBeNull()
    expect(rig.ask('ping', {})).toBeNull()
  })

  test('anybody, once dht_upload_rate_limit is used up', () => {
    const rig = new Rig({ dht_upload_rate_limit: 1000 })
    let answered = 0
    for (let i = 0; i < 100; i++) if (rig.ask('ping', {}) !== null) answered++
    const size = rig.counters.get(C.DHT_DHT_BYTES_OUT) / answered
    // what is left does not matter as long as something is
    expect(answered).toBe(Math.ceil(1000 / size))
    expect(rig.counters.get(C.DHT_DHT_MESSAGES_IN_DROPPED)).toBe(100 - answered)
    const bytes = (ms: number) => {
      const before = rig.counters.get(C.DHT_DHT_BYTES_OUT)
      for (let i = 0; i < ms; i += 10) {
        rig.run(10)
        rig.ask('ping', {})
      }
      return rig.counters.get(C.DHT_DHT_BYTES_OUT) - before
    }
    expect(Math.abs(bytes(20_000) - 20_000)).toBeLessThan(200)
    // after a silence there are three seconds' worth
    rig.run(60_000)
    expect(Math.abs(bytes(2000) - 5000)).toBeLessThan(200)
  })

  test.each([0, -1])('anybody with a limit of %d', limit => {
    const rig = new Rig({ dht_upload_rate_limit: limit })
    rig.run(10_000)
    expect(rig.ask('ping', {})).toBeNull()
  })

  test('nobody is left out with the largest limit there is', () => {
    const rig = new Rig({ dht_upload_rate_limit: 0x7fffffff })
    for (let i = 0; i < 20; i++) {
      expect(rig.ask('ping', {})).not.toBeNull()
      rig.run(i * 500)
    }
  })

  test('anybody while we are read-only, and our queries say so (BEP 43)', () => {
    const rig = new Rig({ dht_read_only: true })
    for (const q of ['ping', 'get']) expect(rig.ask(q, { target: HASH.view() })).toBeNull()
    expect(rig.node.table.size().replacements).toBe(0)
    rig.tracker.addNode(OTHER)
    rig.settings.applyPack({ dht_read_only: false })
    rig.tracker.addNode(['4.4.4.5', 1])
    expect(rig.sent.map(({ message }) => message['ro'])).toEqual([1, undefined])
    expect(rig.ask('ping', {})).not.toBeNull()
  })
})

describe('the id of a node', () => {
  const external = '124.31.75.21'
  const fits = generateId(external, new SeededRng(3))

  function idOf(saved: Sha1Hash | null, address: string): Sha1Hash {
    const rig = new Rig(
      {},
      state(it => (it.nids = saved === null ? [] : [['192.168.4.2', saved]])),
    )
    rig.addSocket(['192.168.4.2', 6881], address)
    return rig.tracker.nodes[1]!.nid
  }

  test('fits our address', () => {
    expect(verifyId(idOf(null, external), external)).toBe(true)
    expect(verifyId(idOf(OTHER_ID, external), external)).toBe(true)
    expect(idOf(fits, external).equals(fits)).toBe(true)
  })

  test('is that of the last run, or random, while our address is not known', () => {
    expect(idOf(OTHER_ID, '0.0.0.0').equals(OTHER_ID)).toBe(true)
    expect(idOf(null, '0.0.0.0').isAllZeros()).toBe(false)
  })

  test('changes with our address, if it must', () => {
    const rig = new Rig()
    rig.socket.external = external
    rig.tracker.updateNodeId(rig.socket)
    const { nid } = rig.node
    expect(verifyId(nid, external)).toBe(true)
    expect(rig.node.table.id.equals(nid)).toBe(true)
    expect(rig.ask('ping', {})!.r['id']).toBe(Buffer.from(nid.view()).toString('latin1'))
    for (const address of [external, '0.0.0.0']) {
      rig.socket.external = address
      rig.tracker.updateNodeId(rig.socket)
      expect(rig.node.nid.equals(nid)).toBe(true)
    }
    const ids: (readonly Sha1Hash[])[] = []
    rig.storage.updateNodeIds = given => void ids.push(given)
    rig.socket.external = '81.1.1.1'
    rig.tracker.updateNodeId(rig.socket)
    expect(ids).toEqual([[rig.node.nid]])
  })
})

describe('the beginning', () => {
  const saved = () =>
    state(it => {
      it.nodes = [OTHER]
      it.nodes6 = [['2001:db8::4', 4]]
    })

  test('asks the nodes of the last run, also those of the other family for ours', () => {
    const rig = new Rig({}, saved())
    rig.addSocket(['2002::1', 6881])
    let done = 0
    rig.tracker.start(() => done++)
    expect(methods(rig.sent)).toEqual([
      'get_peers 4.4.4.4:4440',
      'get_peers 2001:db8::4:4',
      'get_peers 2001:db8::4:4',
      'get_peers 4.4.4.4:4440',
    ])
    expect(rig.sent.map(packet => args(packet)['want'])).toEqual([undefined, ['n4'], undefined, ['n6']])
    // each leaves by the socket of its family
    expect(rig.sent.map(({ socket, to }) => socket.local[0].includes(':') === to[0].includes(':'))).not.toContain(false)
    expect(rig.sent.map(packet => args(packet)['bs'])).toEqual([1, 1, 1, 1])
    expect(done).toBe(0)
    rig.run(20_000)
    expect(done).toBe(2)
  })

  test('without any, asks the routers', () => {
    const rig = new Rig()
    rig.tracker.addRouterNode(OTHER)
    rig.tracker.start(() => {})
    expect(methods(rig.sent)).toEqual(['get_peers 4.4.4.4:4440'])
  })

  test('without anybody, is over at once', () => {
    let done = 0
    const rig = new Rig()
    rig.tracker.start(() => done++)
    expect(done).toBe(1)
    expect(rig.sent).toHaveLength(0)
  })

  test('what cannot leave is counted', () => {
    const rig = new Rig({}, saved())
    rig.socket.broken = true
    rig.tracker.start(() => {})
    expect(rig.sent).toHaveLength(0)
    // there is no socket for the other family at all
    expect(rig.counters.get(C.DHT_DHT_MESSAGES_OUT_DROPPED)).toBe(2)
  })

  test('of a socket that comes later: with what the one before it knew', () => {
    const rig = new Rig({}, saved())
    rig.tracker.start(() => {})
    rig.node.table.nodeSeen(OTHER_ID, OTHER, 10)
    const { nid } = rig.node
    rig.tracker.deleteSocket(rig.socket)
    expect(rig.tracker.nodes).toHaveLength(0)
    rig.sent.length = 0
    const again = rig.addSocket(['192.168.4.1', 6881], '0.0.0.0')
    expect(rig.node.nid.equals(nid)).toBe(true)
    expect(methods(rig.sent)).toEqual(['get_peers 4.4.4.4:4440'])
    rig.sent.length = 0
    expect(rig.ask('ping', {}, FROM, {}, again)).not.toBeNull()
  })
})

describe('as time goes by', () => {
  test('write tokens expire after ten minutes', () => {
    const rig = new Rig()
    rig.tracker.start(() => {})
    const token = rig.token('get_peers', HASH.view())
    const announce = () => rig.ask('announce_peer', { info_hash: HASH.view(), port: 1, token })!['y']
    rig.run(299_000)
    expect(announce()).toBe('r')
    rig.run(300_000)
    rig.sent.length = 0
    expect(announce()).toBe('r')
    rig.run(2000)
    expect(announce()).toBe('e')
  })

  test('nodes are asked again, each in its turn', () => {
    const rig = acquainted()
    rig.tracker.start(() => {})
    rig.run(1)
    rig.sent.length = 0
    rig.run(15_000)
    expect(methods(rig.sent)).toEqual(Array(3).fill('get_peers 4.4.4.4:4440'))
    // for ids of the node's bucket, which we know again
    for (const packet of rig.sent) {
      const asked = new Sha1Hash(raw(args(packet)['info_hash'] as string))
      expect(rig.secretIds.verify(asked)).toBe(true)
    }
    expect(rig.counters.get(C.DHT_DHT_GET_PEERS_OUT)).toBeGreaterThanOrEqual(3)
  })

  test('the neighbourhood is looked up every ten minutes as long as few nodes are known', () => {
    const rig = new Rig(
      {},
      state(it => (it.nodes = [OTHER])),
    )
    rig.tracker.addRouterNode(['5.5.5.5', 5])
    rig.tracker.start(() => {})
    rig.run(599_000)
    const before = rig.sent.length
    rig.run(10_000)
    const asked = rig.sent.slice(before).filter(({ to }) => to[0] === '5.5.5.5')
    expect(methods(asked)).toEqual(['get_peers 5.5.5.5:5'])
    expect(rig.secretIds.verify(new Sha1Hash(raw(args(asked[0]!)['info_hash'] as string)))).toBe(true)
  })

  test('the storage is looked through every two minutes', () => {
    const rig = new Rig()
    let ticks = 0
    rig.storage.tick = () => void ticks++
    rig.tracker.start(() => {})
    rig.run(119_000)
    expect(ticks).toBe(0)
    rig.run(2000)
    expect(ticks).toBe(1)
    rig.run(120_000)
    expect(ticks).toBe(2)
  })

  test('nothing happens once it is stopped', () => {
    const rig = acquainted()
    let done = 0
    rig.tracker.start(() => done++)
    rig.tracker.getPeers(HASH, () => {})
    rig.sent.length = 0
    rig.tracker.stop()
    expect(rig.timers).toBe(0)
    rig.run(60_000)
    rig.tracker.addNode(['5.5.5.5', 5])
    expect(rig.ask('ping', {})).toBeNull()
    expect(rig.sent).toHaveLength(0)
  })

  test('a full bucket is only pinged', () => {
    const rig = acquainted()
    rig.node.table.isFull = () => true
    rig.node.tick()
    rig.node.tick()
    expect(methods(rig.sent)).toContain('ping 4.4.4.4:4440')
    expect(rig.counters.get(C.DHT_DHT_PING_OUT)).toBeGreaterThan(0)
  })
})

test('a node we are told of is asked, and known when it answers', () => {
  const rig = new Rig()
  rig.tracker.addNode(OTHER)
  rig.tracker.addNode(['2001:db8::4', 4])
  expect(methods(rig.sent)).toEqual(['get_peers 4.4.4.4:4440'])
  expect(rig.tracker.liveNodes(rig.node.nid)).toEqual([])
  const friend = new Sha1Hash('1111111111222222222233333333334444444444')
  const nodes = Buffer.concat([friend.view(), endpointToCompact(['5.5.5.5', 5])])
  rig.reply(rig.sent[0]!, { id: OTHER_ID.view(), nodes })
  expect(rig.tracker.liveNodes(rig.node.nid)).toEqual([{ nid: OTHER_ID, endpoint: OTHER }])
  // of those it tells of, nothing is known yet
  expect(rig.node.table.size()).toMatchObject({ nodes: 1, replacements: 1 })
  expect(rig.tracker.liveNodes(OTHER_ID)).toBeNull()
})

describe('an announce', () => {
  function announced(port: number, flags: number, settings = {}) {
    const rig = acquainted(settings)
    const peers: Endpoint[] = []
    rig.tracker.announce(HASH, port, flags, found => void peers.push(...found))
    const lookup = rig.sent.at(-1)!
    const values = [endpointToCompact(['81.1.1.1', 1]), raw('bad'), endpointToCompact(['81.1.1.2', 2])]
    rig.reply(lookup, { id: OTHER_ID.view(), token: 'tokn', values })
    return { rig, peers, lookup, announce: rig.sent.at(-1)! }
  }

  test('goes to the nodes closest to the info-hash, with their tokens', () => {
    const { rig, peers, lookup, announce } = announced(1234, 0)
    expect(args(lookup)['noseed']).toBeUndefined()
    expect(peers).toEqual([
      ['81.1.1.1', 1],
      ['81.1.1.2', 2],
    ])
    expect(announce.to).toEqual(OTHER)
    expect(announce.message['q']).toBe('announce_peer')
    expect(args(announce)).toEqual({
      id: asText(rig.node.nid.view()),
      info_hash: asText(HASH.view()),
      port: 1234,
      seed: 0,
      token: 'tokn',
    })
    expect(rig.counters.get(C.DHT_DHT_ANNOUNCE_PEER_OUT)).toBe(1)
    expect(rig.events).toEqual([`out ${HASH} as ${HASH}`])
  })

  test('says our listen port if no port is given', () => {
    expect(args(announced(0, 0).announce)['port']).toBe(7777)
    expect(args(announced(0, AnnounceFlags.sslTorrent).announce)['port']).toBe(0)
  })

  test('of a seed asks for peers that are none', () => {
    const { lookup, announce } = announced(0, AnnounceFlags.seed | AnnounceFlags.impliedPort)
    expect(args(lookup)['noseed']).toBe(1)
    expect(args(announce)).toMatchObject({ implied_port: 1, seed: 1 })
  })

  test('hides what it is after from those on the way, with dht_privacy_lookups', () => {
    const { lookup } = announced(0, 0, { dht_privacy_lookups: true })
    expect(args(lookup)['info_hash']).not.toBe(asText(HASH.view()))
  })
})

describe('items of several nodes', () => {
  /** Two nodes that know one other each. */
  function two() {
    const rig = acquainted()
    rig.addSocket(['192.168.4.2', 6881])
    rig.tracker.nodes[1]!.table.nodeSeen(OTHER_ID, ['5.5.5.5', 5], 10)
    const queries = (q: string) => rig.sent.filter(({ message }) => message['q'] === q)
    return { rig, queries }
  }

  test('an immutable one is told of once, when it is found', () => {
    const { rig, queries } = two()
    const item = Item.ofValue(raw('hello'))
    const found: Item[] = []
    rig.tracker.getImmutableItem(item.target(), each => void found.push(each))
    const [first, second] = queries('get')
    rig.reply(first!, { id: OTHER_ID.view() })
    expect(found).toEqual([])
    rig.reply(second!, { id: OTHER_ID.view(), v: raw('hello') })
    expect(found.map(({ value }) => asText(value))).toEqual(['hello'])
  })

  test('if nobody has it, that is told when all are done', () => {
    const { rig, queries } = two()
    const found: Item[] = []
    rig.tracker.getImmutableItem(HASH, each => void found.push(each))
    for (const query of queries('get')) rig.reply(query, { id: OTHER_ID.view() })
    expect(found.map(({ isEmpty }) => isEmpty)).toEqual([true])
  })

  test('of a mutable one, each newer version; the last time when all are done', () => {
    const { rig, queries } = two()
    const told: unknown[] = []
    const salt = raw('s')
    rig.tracker.getMutableItem(PUBLIC, salt, ({ seq, isEmpty }, last) => told.push(isEmpty ? [] : [seq, last]))
    const version = (seq: number) => {
      const item = Item.ofKey(PUBLIC, salt)
      item.sign(raw(`version ${seq}`), salt, seq, PUBLIC, SECRET)
      return { id: OTHER_ID.view(), k: PUBLIC, seq, sig: item.signature, v: raw(`version ${seq}`) }
    }
    const [first, second] = queries('get')
    rig.reply(first!, version(0))
    rig.reply(second!, version(3))
    expect(told.slice(0, 2)).toEqual([
      [0, false],
      [3, false],
    ])
    expect(told.at(-1)).toEqual([3, true])
  })

  test('puts are counted together', () => {
    const { rig, queries } = two()
    const done: number[] = []
    rig.tracker.putImmutableItem(Item.ofValue(raw('hello')), responses => void done.push(responses))
    for (const query of queries('get')) rig.reply(query, { id: OTHER_ID.view(), token: 'tokn' })
    const puts = queries('put')
    expect(puts.map(packet => args(packet))).toMatchObject([
      { token: 'tokn', v: 'hello' },
      { token: 'tokn', v: 'hello' },
    ])
    rig.reply(puts[0]!, { id: OTHER_ID.view() })
    expect(done).toEqual([])
    rig.reply(puts[1]!, { id: OTHER_ID.view() })
    expect(done).toEqual([2])
  })

  test('a mutable one is made of the version that is there', () => {
    const { rig, queries } = two()
    const done: unknown[] = []
    const salt = raw('')
    rig.tracker.start(() => {})
    const next = (item: Item) => item.sign(raw('next'), salt, Number(item.seq) + 1, PUBLIC, SECRET)
    rig.tracker.putMutableItem(PUBLIC, salt, next, (item, responses) => void done.push([item.seq, responses]))
    const there = Item.ofKey(PUBLIC, salt)
    there.sign(raw('there'), salt, 7, PUBLIC, SECRET)
    for (const query of queries('get')) {
      const { signature } = there
      rig.reply(query, { id: OTHER_ID.view(), k: PUBLIC, seq: 7, sig: signature, token: 'tokn', v: raw('there') })
    }
    const puts = queries('put')
    expect(puts.map(packet => args(packet)['seq'])).toEqual([8, 8])
    rig.reply(puts[0]!, { id: OTHER_ID.view() })
    rig.run(20_000)
    expect(done).toEqual([[8, 1]])
  })

  test('if nothing is made, nothing is sent', () => {
    const { rig, queries } = two()
    const done: number[] = []
    const leave = () => {}
    rig.tracker.putMutableItem(PUBLIC, raw(''), leave, (_item, responses) => void done.push(responses))
    for (const query of queries('get')) rig.reply(query, { id: OTHER_ID.view(), token: 'tokn' })
    expect(queries('put')).toEqual([])
    expect(done).toEqual([0])
  })
})

describe('queries of one’s own', () => {
  test('are answered, or not', () => {
    const rig = new Rig()
    const answers: unknown[] = []
    const node = rig.tracker.nodeFor(OTHER)!
    const ask = () =>
      node.directRequest(OTHER, { a: { x: 1 }, q: 'x_test' }, (message, from) =>
        answers.push(message === null ? null : [message.toNode().dictFindDict('r').dictFindIntValue('y'), from]),
      )
    ask()
    const [sent] = rig.sent
    expect(sent!.message).toMatchObject({ a: { x: 1 }, q: 'x_test', y: 'q' })
    rig.reply(sent!, { id: OTHER_ID.view(), y: 7 })
    expect(answers).toEqual([[7, OTHER]])
    rig.tracker.start(() => {})
    ask()
    rig.run(20_000)
    rig.socket.broken = true
    ask()
    expect(answers.slice(1)).toEqual([null, null])
  })

  test('need a node of the family', () => {
    expect(new Rig().tracker.nodeFor(['2001:db8::1', 1])).toBeNull()
  })

  test('samples of info-hashes (BEP 51)', () => {
    const rig = new Rig()
    const got: unknown[] = []
    rig.node.sampleInfohashes(OTHER, HASH, samples => got.push(samples))
    expect(args(rig.sent[0]!)['target']).toBe(asText(HASH.view()))
    const nodes = Buffer.concat([HASH.view(), endpointToCompact(['5.5.5.5', 5])])
    rig.reply(rig.sent[0]!, { id: OTHER_ID.view(), interval: 10, nodes, num: 2, samples: HASH.view() })
    expect(got).toEqual([
      { id: OTHER_ID, interval: 10, num: 2, samples: [HASH], nodes: [{ nid: HASH, endpoint: ['5.5.5.5', 5] }] },
    ])
    expect(rig.counters.get(C.DHT_DHT_SAMPLE_INFOHASHES_OUT)).toBe(1)
  })
})

test('an unreachable node fails its query at once', () => {
  const rig = new Rig()
  const answers: unknown[] = []
  rig.node.directRequest(OTHER, { q: 'x_test' }, message => answers.push(message))
  rig.tracker.unreachable(['4.4.4.4', 1])
  expect(answers).toEqual([])
  rig.tracker.unreachable(OTHER)
  expect(answers).toEqual([null])
})

test('what is kept for the next run: ids by local address, and nodes', () => {
  const rig = acquainted()
  rig.addSocket(['2002::1', 6881])
  rig.tracker.nodes[1]!.table.nodeSeen(OTHER_ID, ['2001:db8::4', 4], 10)
  rig.node.table.heardAbout(HASH, ['5.5.5.5', 5])
  const [four, six] = rig.tracker.nodes
  expect(rig.tracker.state()).toEqual(
    state(it => {
      it.nids = [
        ['192.168.4.1', four!.nid],
        ['2002::1', six!.nid],
      ]
      it.nodes = [OTHER, ['5.5.5.5', 5]]
      it.nodes6 = [['2001:db8::4', 4]]
    }),
  )
})

test('status and statistics', () => {
  const rig = acquainted()
  rig.node.table.heardAbout(HASH, ['5.5.5.5', 5])
  rig.tracker.getPeers(HASH, () => {})
  const [status] = rig.tracker.status()
  expect(status).toMatchObject({ localEndpoint: ['192.168.4.1', 6881], ourId: rig.node.nid })
  expect(status!.table).toEqual([{ numNodes: 1, numReplacements: 1, lastActive: 0 }])
  expect(status!.requests).toMatchObject([{ type: 'get_peers', outstandingRequests: 1, target: HASH }])
  rig.sent.length = 0
  rig.ask('announce_peer', { info_hash: HASH.view(), port: 1, token: rig.token('get_peers', HASH.view()) })
  rig.tracker.updateStatsCounters(rig.counters)
  const gauge = (index: number) => rig.counters.get(index)
  expect(gauge(C.DHT_DHT_NODES)).toBe(2)
  expect(gauge(C.DHT_DHT_NODE_CACHE)).toBe(1)
  expect(gauge(C.DHT_DHT_ALLOCATED_OBSERVERS)).toBeGreaterThanOrEqual(1)
  expect(gauge(C.DHT_DHT_TORRENTS)).toBe(1)
  expect(gauge(C.DHT_DHT_PEERS)).toBe(1)
})
