import { describe, expect, test } from 'vitest'
import { bencode } from '../../../src/bencode/bencode.ts'
import type { BencodeInput } from '../../../src/bencode/entry.ts'
import { BloomFilter } from '../../../src/core/bloom-filter.ts'
import { textToBytes } from '../../../src/core/bytes.ts'
import { Sha1Hash } from '../../../src/core/digest.ts'
import { ed25519CreateKeypair } from '../../../src/core/ed25519.ts'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import { itemTargetId, mutableItemTargetId, type SequenceNumber, signMutableItem } from '../../../src/dht/item.ts'
import * as C from '../../../src/stats/counter-ids.ts'
import { ASKER, type Dictionary, Rig, raw } from './tracker-rig.ts'

const HASH = raw('01010101010101010101')
const FROM: Endpoint = ['10.0.0.9', 20]
/** Keeps the asker out of the table. */
const SHY = { ro: 1 }
const NODE_ID = new Sha1Hash('3123456789abcdef01232456789abcdef0123456')
const [PUBLIC, SECRET] = ed25519CreateKeypair(new Uint8Array(32).fill(7))

function compact(id: Sha1Hash, ...address: number[]): string {
  return Buffer.concat([id.view(), Uint8Array.from(address)]).toString('latin1')
}

describe('every answer', () => {
  test('has our id, the asker’s address and port, its transaction and our version', () => {
    const rig = new Rig()
    expect(rig.ask('ping', {}, ['10.0.0.9', 5000])).toEqual({
      ip: '\x0a\x00\x00\x09\x13\x88',
      r: { id: Buffer.from(rig.node.nid.view()).toString('latin1'), p: 5000 },
      t: '10',
      v: 'LT\x02\x10',
      y: 'r',
    })
    expect(rig.counters.get(C.DHT_DHT_PING_IN)).toBe(1)
    expect(rig.counters.get(C.DHT_DHT_MESSAGES_IN)).toBe(1)
    expect(rig.counters.get(C.DHT_DHT_MESSAGES_OUT)).toBe(1)
    expect(rig.counters.get(C.DHT_DHT_BYTES_OUT)).toBeGreaterThan(50)
  })

  test('goes also to a transaction of any length', () => {
    const rig = new Rig()
    for (const t of ['', 'a', 'x'.repeat(300)]) expect(rig.ask('ping', {}, FROM, { t })!['t']).toBe(t)
  })
})

describe('a query that says too little', () => {
  test.each<[string, Dictionary, string]>([
    ['no name', { a: { id: ASKER }, t: '10', y: 'q' }, "missing 'q' key"],
    ['a number as name', { a: { id: ASKER }, q: 1, t: '10', y: 'q' }, "missing 'q' key"],
    ['no arguments', { q: 'ping', t: '10000000000000', y: 'q' }, "missing 'a' key"],
    ['a list as arguments', { a: ['id', ASKER], q: 'ping', t: '10', y: 'q' }, "missing 'a' key"],
    ['no id', { a: { target: HASH }, q: 'ping', t: '10', y: 'q' }, "missing 'id' key"],
    ['an id that is a number', { a: { id: 20 }, q: 'ping', t: '10', y: 'q' }, "missing 'id' key"],
    ['an id of 19 bytes', { a: { id: raw('a'.repeat(19)) }, q: 'ping', t: '10', y: 'q' }, "invalid value for 'id'"],
    ['an id of 21 bytes', { a: { id: raw('a'.repeat(21)) }, q: 'ping', t: '10', y: 'q' }, "invalid value for 'id'"],
  ])('%s', (_what, packet, text) => {
    const rig = new Rig()
    expect(rig.deliver(packet, FROM)).toBe(true)
    expect(rig.sent).toHaveLength(1)
    const { message } = rig.sent[0]!
    expect(message).toEqual({ e: [203, text], t: packet['t'], v: 'LT\x02\x10', y: 'e' })
    // who cannot say who it is gets no place in the table
    expect(rig.node.table.size()).toEqual({ nodes: 0, replacements: 0, confirmed: 0 })
  })

  test.each<[string, Dictionary, string]>([
    ['find_node', {}, "missing 'target' key"],
    ['find_node', { target: 5 }, "missing 'target' key"],
    ['find_node', { target: raw('short') }, "invalid value for 'target'"],
    ['get_peers', {}, "missing 'info_hash' key"],
    ['get_peers', { info_hash: raw('x'.repeat(21)) }, "invalid value for 'info_hash'"],
    ['announce_peer', {}, "missing 'info_hash' key"],
    ['announce_peer', { info_hash: raw('1') }, "invalid value for 'info_hash'"],
    ['announce_peer', { info_hash: HASH }, "missing 'port' key"],
    ['announce_peer', { info_hash: HASH, port: '1' }, "missing 'port' key"],
    ['announce_peer', { info_hash: HASH, port: 1 }, "missing 'token' key"],
    ['announce_peer', { info_hash: HASH, port: 1, token: 1 }, "missing 'token' key"],
    ['get', {}, "missing 'target' key"],
    ['get', { target: raw('1') }, "invalid value for 'target'"],
    ['put', {}, "missing 'token' key"],
    ['put', { token: 'abcd' }, "missing 'v' key"],
    ['sample_infohashes', {}, "missing 'target' key"],
    ['sample_infohashes', { target: raw('1') }, "invalid value for 'target'"],
    ['unheard_of', {}, 'unknown message'],
    ['unheard_of', { target: raw('1'), info_hash: 5 }, 'unknown message'],
  ])('%s with %j', (q, args, text) => {
    const rig = new Rig()
    expect(rig.refusal(q, args)).toEqual([203, text])
    const invalid: Record<string, number> = {
      find_node: C.DHT_DHT_INVALID_FIND_NODE,
      get_peers: C.DHT_DHT_INVALID_GET_PEERS,
      announce_peer: C.DHT_DHT_INVALID_ANNOUNCE,
      get: C.DHT_DHT_INVALID_GET,
      put: C.DHT_DHT_INVALID_PUT,
      sample_infohashes: C.DHT_DHT_INVALID_SAMPLE_INFOHASHES,
    }
    if (invalid[q] !== undefined) expect(rig.counters.get(invalid[q])).toBe(1)
  })

  test('is told the address it comes from if it has said who it is', () => {
    const answer = new Rig().ask('find_node', {})
    expect(answer!['ip']).toBe('\x0a\x00\x00\x09\x00\x14')
    expect(answer!['r'].id).toHaveLength(20)
  })
})

describe('find_node', () => {
  test('tells the nodes closest to the target', () => {
    const rig = new Rig()
    rig.node.table.nodeSeen(NODE_ID, ['4.4.4.4', 4440], 10)
    const answer = rig.ask('find_node', { target: HASH })
    expect(answer!['r'].nodes).toBe(compact(NODE_ID, 4, 4, 4, 4, 4440 >> 8, 4440 & 255))
    expect(rig.counters.get(C.DHT_DHT_FIND_NODE_IN)).toBe(1)
  })

  test('tells an empty list if there is none', () => {
    expect(new Rig().ask('find_node', { target: HASH })!['r'].nodes).toBe('')
  })

  test('queries of the future that have a target are answered as it is', () => {
    const rig = new Rig()
    rig.node.table.nodeSeen(NODE_ID, ['4.4.4.4', 4440], 10)
    for (const args of [{ target: HASH }, { info_hash: HASH }, { target: raw('1'), info_hash: HASH }]) {
      expect(rig.ask('vote', args, FROM, SHY)!['r'].nodes).toHaveLength(26)
    }
    expect(rig.ask('vote', { target: HASH, want: ['n6'] })!['r'].nodes).toBeUndefined()
  })
})

describe('want (BEP 32)', () => {
  function dual() {
    const rig = new Rig()
    const socket6 = rig.addSocket(['2002::1', 6881])
    rig.node.table.nodeSeen(NODE_ID, ['4.4.4.4', 4440], 10)
    rig.tracker.nodes[1]!.table.nodeSeen(NODE_ID, ['4::4', 4441], 10)
    const v4 = compact(NODE_ID, 4, 4, 4, 4, 4440 >> 8, 4440 & 255)
    const v6 = compact(NODE_ID, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 4441 >> 8, 4441 & 255)
    const nodes = (q: string, want: BencodeInput, v6Socket = false) => {
      const from: Endpoint = v6Socket ? ['10::1', 20] : FROM
      const target = q === 'get_peers' ? { info_hash: HASH } : { target: HASH }
      const answer = rig.ask(q, { ...target, want }, from, SHY, v6Socket ? socket6 : rig.socket)
      return [answer!['r'].nodes, answer!['r'].nodes6]
    }
    return { rig, socket6, nodes, v4, v6 }
  }

  test('a node of one family may ask for nodes of the other, or both', () => {
    const { nodes, v4, v6 } = dual()
    expect(nodes('find_node', ['n6'])).toEqual([undefined, v6])
    expect(nodes('get_peers', ['n4'], true)).toEqual([v4, undefined])
    expect(nodes('find_node', ['n4', 'n6'], true)).toEqual([v4, v6])
    expect(nodes('get', ['n6', 'n4'])).toEqual([v4, v6])
    expect(nodes('sample_infohashes', ['n6'])).toEqual([undefined, v6])
  })

  test('what we do not know is passed over; a list of nothing asks for nothing', () => {
    const { nodes, v4 } = dual()
    expect(nodes('find_node', [])).toEqual([undefined, undefined])
    expect(nodes('find_node', ['n5', 4, ['n6'], 'n4', 'n4'])).toEqual([v4, undefined])
    expect(nodes('find_node', 'n6')).toEqual([v4, undefined])
  })

  test('a family we have no node of brings nothing', () => {
    expect(new Rig().ask('find_node', { target: HASH, want: ['n6'] })!['r'].nodes6).toBeUndefined()
  })

  test('without it, nodes of the family of the socket', () => {
    const { rig, socket6, v6 } = dual()
    const answer = rig.ask('find_node', { target: HASH }, ['10::1', 20], SHY, socket6)
    expect(answer!['r'].nodes6).toBe(v6)
    expect(answer!['ip']).toHaveLength(18)
  })
})

describe('get_peers and announce_peer', () => {
  const args = (token: Uint8Array, more: Dictionary = {}): Dictionary => ({
    info_hash: HASH,
    n: 'test',
    port: 8080,
    token,
    ...more,
  })

  test('who announces itself is found by others', () => {
    const rig = new Rig()
    const hex = new Sha1Hash(HASH).toString()
    expect(rig.ask('get_peers', { info_hash: HASH })!['r'].values).toBeUndefined()
    expect(rig.ask('announce_peer', args(rig.token('get_peers', HASH)))!['r'].id).toHaveLength(20)
    const answer = rig.ask('get_peers', { info_hash: HASH }, ['10.0.0.10', 1])
    expect(answer!['r'].values).toEqual(['\x0a\x00\x00\x09\x1f\x90'])
    expect(answer!['r'].n).toBe('test')
    expect(answer!['r'].token).toHaveLength(4)
    expect(rig.events.filter(event => !event.startsWith('get_peers'))).toEqual([`announce ${hex} 10.0.0.9:8080`])
    expect(rig.counters.get(C.DHT_DHT_ANNOUNCE_PEER_IN)).toBe(1)
    expect(rig.counters.get(C.DHT_DHT_GET_PEERS_IN)).toBe(3)
    // it has proved its address
    expect(rig.node.table.size().nodes).toBe(1)
  })

  test('implied_port takes the port of the packet', () => {
    const rig = new Rig()
    rig.ask('announce_peer', args(rig.token('get_peers', HASH), { implied_port: 1, port: -5 }))
    const answer = rig.ask('get_peers', { info_hash: HASH }, ['10.0.0.10', 1])
    expect(answer!['r'].values).toEqual(['\x0a\x00\x00\x09\x00\x14'])
  })

  test.each([-1, 65536, 2 ** 40])('port %d is none', port => {
    const rig = new Rig()
    expect(rig.refusal('announce_peer', args(rig.token('get_peers', HASH), { port }))).toEqual([203, 'invalid port'])
    expect(rig.counters.get(C.DHT_DHT_INVALID_ANNOUNCE)).toBe(1)
  })

  test('a token is good for one info-hash and one address, until the secret has changed twice', () => {
    const rig = new Rig()
    const token = rig.token('get_peers', HASH)
    const refused = [203, 'invalid token']
    const other = raw('x'.repeat(20))
    expect(rig.refusal('announce_peer', args(token, { info_hash: other }))).toEqual(refused)
    expect(rig.refusal('announce_peer', args(token), ['10.0.0.10', 20])).toEqual(refused)
    for (const bad of ['', 'abc', 'abcd', 'abcde']) {
      expect(rig.refusal('announce_peer', args(raw(bad)))).toEqual(refused)
    }
    expect(rig.counters.get(C.DHT_DHT_INVALID_ANNOUNCE)).toBe(6)
    // another port of the same host is the same host
    expect(rig.ask('announce_peer', args(token), ['10.0.0.9', 999])!['y']).toBe('r')
    rig.node.newWriteKey()
    expect(rig.ask('announce_peer', args(token))!['y']).toBe('r')
    rig.node.newWriteKey()
    expect(rig.refusal('announce_peer', args(token))).toEqual(refused)
  })

  test('noseed leaves out seeds', () => {
    const rig = new Rig()
    for (const [i, seed] of [0, 1, 1, 0].entries()) {
      const from: Endpoint = [`10.0.1.${i}`, 20]
      rig.ask('announce_peer', args(rig.token('get_peers', HASH, from), { port: 100 + i, seed }), from)
    }
    const ports = (more: Dictionary) => {
      const values = rig.ask('get_peers', { info_hash: HASH, ...more })!['r'].values as string[]
      return values.map(value => value.charCodeAt(5)).toSorted()
    }
    expect(ports({})).toEqual([100, 101, 102, 103])
    expect(ports({ noseed: 0 })).toEqual([100, 101, 102, 103])
    expect(ports({ noseed: 1 })).toEqual([100, 103])
  })

  test('a scrape is answered by filters of downloaders and seeds (BEP 33)', () => {
    const rig = new Rig()
    for (let i = 0; i < 100; i++) {
      const from: Endpoint = [`81.${i}.${(i * 37) & 255}.1`, 6000]
      rig.ask('announce_peer', args(rig.token('get_peers', HASH, from), { seed: Number(i >= 50) }), from)
    }
    const { r } = rig.ask('get_peers', { info_hash: HASH, scrape: 1 }) as { r: Record<string, string> }
    const sizes = [r['BFpe']!, r['BFsd']!].map(bits => new BloomFilter(raw(bits)).size())
    for (const size of sizes) expect(Math.abs(size - 50)).toBeLessThan(3)
    expect(r['values']).toBeUndefined()
    expect(r['n']).toBe('test')
  })

  test('no token while there is no room for one more peer', () => {
    const rig = new Rig({ dht_max_peers: 1 })
    rig.ask('announce_peer', args(rig.token('get_peers', HASH)))
    expect(rig.ask('get_peers', { info_hash: HASH }, ['10.0.0.10', 1])!['r'].token).toBeUndefined()
    expect(rig.ask('get_peers', { info_hash: HASH })!['r'].token).toHaveLength(4)
  })

  test('what a storage of the user’s says is checked', () => {
    const rig = new Rig()
    const storage = rig.storage as { getPeers: unknown }
    storage.getPeers = (...[, , , , peers]: [unknown, unknown, unknown, unknown, Dictionary]) => {
      Object.assign(peers, { n: 'name', values: [raw('123456'), 5, 'text'], BFpe: 5 })
      return true
    }
    const { r } = rig.ask('get_peers', { info_hash: HASH }) as { r: Record<string, unknown> }
    expect(r['n']).toBe('name')
    expect(r['values']).toEqual(['123456'])
    expect(r['BFpe']).toBeUndefined()
    expect(r['token']).toBeUndefined()
  })
})

describe('get and put of immutable items', () => {
  const value = { A: 'a', num: 5 }
  const encoded = bencode(value)
  const target = itemTargetId(encoded).toBytes()

  test('what is put is got, by whoever asks', () => {
    const rig = new Rig()
    const token = rig.token('get', target)
    expect(rig.ask('get', { target })!['r'].v).toBeUndefined()
    expect(rig.ask('put', { token, v: value })!['y']).toBe('r')
    expect(rig.ask('get', { target }, ['10.0.0.10', 1])!['r'].v).toEqual(value)
    // who says a version asks for mutable items only
    expect(rig.ask('get', { seq: 0, target })!['r'].v).toBeUndefined()
    expect(rig.counters.get(C.DHT_DHT_PUT_IN)).toBe(1)
    expect(rig.counters.get(C.DHT_DHT_GET_IN)).toBe(4)
    expect(rig.node.table.size().nodes).toBe(1)
  })

  test('the token must be for that item and address', () => {
    const rig = new Rig()
    const token = rig.token('get', target)
    expect(rig.refusal('put', { token, v: 'something else' })).toEqual([203, 'invalid token'])
    expect(rig.refusal('put', { token, v: value }, ['10.0.0.10', 1])).toEqual([203, 'invalid token'])
    expect(rig.counters.get(C.DHT_DHT_INVALID_PUT)).toBe(2)
  })

  test('a thousand bytes are the limit, encoded', () => {
    const rig = new Rig()
    const fits = raw('x'.repeat(996))
    expect(bencode(fits)).toHaveLength(1000)
    expect(rig.refusal('put', { token: 'abcd', v: raw('x'.repeat(997)) })).toEqual([205, 'message too big'])
    const token = rig.token('get', itemTargetId(bencode(fits)).toBytes())
    expect(rig.ask('put', { token, v: fits })!['y']).toBe('r')
  })

  test.each([
    ['i01e', 'leading zero in integer'],
    ['01:a', 'leading zero in string length'],
    ['d1:bi0e1:ai0ee', 'unsorted dictionary key'],
    ['d1:ai0e1:ai0ee', 'duplicate dictionary key'],
  ])('a value encoded as %s is refused', (v, text) => {
    const rig = new Rig()
    const packet = `d1:ad2:id20:${'A'.repeat(20)}5:token4:abcd1:v${v}e1:q3:put1:t2:101:y1:qe`
    rig.deliver(raw(packet), FROM)
    expect(rig.sent[0]!.message['e']).toEqual([203, text])
    expect(rig.counters.get(C.DHT_DHT_INVALID_PUT)).toBe(1)
  })
})

describe.each(['', 'foobar'])('get and put of mutable items with the salt %j', saltText => {
  const salt = textToBytes(saltText)
  const target = mutableItemTargetId(salt, PUBLIC).toBytes()

  function item(v: string, seq: SequenceNumber, more: Dictionary = {}): Dictionary {
    const sig = signMutableItem(bencode(v), salt, seq, PUBLIC, SECRET)
    return { k: PUBLIC, seq, sig, v, ...(salt.length > 0 ? { salt } : {}), ...more }
  }

  function setup() {
    const rig = new Rig()
    const token = rig.token('get', target)
    return { rig, token, get: (more: Dictionary = {}) => rig.ask('get', { target, ...more })!['r'] }
  }

  test('what is put is got, with its signature', () => {
    const { rig, token, get } = setup()
    const put = item('one', 4, { token })
    expect(rig.ask('put', put)!['y']).toBe('r')
    const text = (bytes: unknown) => Buffer.from(bytes as Uint8Array).toString('latin1')
    expect(get()).toMatchObject({ v: 'one', seq: 4, k: text(PUBLIC), sig: text(put['sig']) })
  })

  test('who has that version gets no value', () => {
    const { rig, token, get } = setup()
    rig.ask('put', item('one', 4, { token }))
    expect(get({ seq: 3 })).toMatchObject({ v: 'one', seq: 4 })
    for (const seq of [4, 5]) {
      const { v, k, sig, seq: ours } = get({ seq })
      expect([v, k, sig, ours]).toEqual([undefined, undefined, undefined, 4])
    }
  })

  test('a broken signature', () => {
    const { rig, token } = setup()
    const sig = (item('one', 4)['sig'] as Uint8Array).slice()
    sig[2]! ^= 0xaa
    expect(rig.refusal('put', item('one', 4, { sig, token }))).toEqual([206, 'invalid signature'])
    expect(rig.refusal('put', item('one', 4, { seq: 5, token }))).toEqual([206, 'invalid signature'])
    expect(rig.refusal('put', item('one', 4, { v: 'two', token }))).toEqual([206, 'invalid signature'])
    expect(rig.counters.get(C.DHT_DHT_INVALID_PUT)).toBe(3)
  })

  test('a version below zero', () => {
    const { rig, token } = setup()
    const refused = [203, 'invalid (negative) sequence number']
    expect(rig.refusal('put', item('one', -1, { token }))).toEqual(refused)
  })

  test('an older version than there is; the same one is taken', () => {
    const { rig, token, get } = setup()
    rig.ask('put', item('one', 4, { token }))
    expect(rig.refusal('put', item('zero', 3, { token }))).toEqual([302, 'old sequence number'])
    expect(rig.ask('put', item('one', 4, { token }))!['y']).toBe('r')
    expect(rig.ask('put', item('two', 5, { token }))!['y']).toBe('r')
    expect(get()).toMatchObject({ v: 'two', seq: 5 })
  })

  test('cas: the version there is must be the one that was expected', () => {
    const { rig, token, get } = setup()
    rig.ask('put', item('one', 4, { token }))
    expect(rig.refusal('put', item('two', 5, { cas: 3, token }))).toEqual([301, 'CAS mismatch'])
    expect(rig.ask('put', item('two', 5, { cas: 4, token }))!['y']).toBe('r')
    expect(rig.refusal('put', item('two', 5, { cas: 4, token }))).toEqual([301, 'CAS mismatch'])
    expect(get()).toMatchObject({ v: 'two', seq: 5 })
    // of an item that is not there yet, nothing can be expected
    const other = new Rig()
    expect(other.ask('put', item('one', 1, { cas: 7, token: other.token('get', target) }))!['y']).toBe('r')
  })

  test('versions are exact beyond 2^53', () => {
    const { rig, token, get } = setup()
    const big = 2n ** 62n
    expect(rig.ask('put', item('one', big, { token }))!['y']).toBe('r')
    expect(get()['seq']).toBe(big)
    expect(rig.refusal('put', item('zero', big - 1n, { token }))).toEqual([302, 'old sequence number'])
    expect(rig.refusal('put', item('two', big + 1n, { cas: big + 1n, token }))).toEqual([301, 'CAS mismatch'])
    expect(rig.ask('put', item('two', big + 1n, { cas: big, token }))!['y']).toBe('r')
    expect(get({ seq: big })).toMatchObject({ v: 'two', seq: big + 1n })
  })

  test('a key without a signature does not get at the owner’s place', () => {
    const { rig, token, get } = setup()
    rig.ask('put', item('one', 4, { token }))
    const { sig, seq, ...unsigned } = item('fake', 5, { token })
    for (const part of [{}, { sig: sig! }, { seq: seq! }]) {
      expect(rig.refusal('put', { ...unsigned, ...part })).toEqual([203, 'invalid token'])
    }
    expect(get()).toMatchObject({ v: 'one', seq: 4 })
  })

  test('keys and signatures of another length count as none', () => {
    const { rig, token } = setup()
    expect(rig.refusal('put', item('one', 4, { k: PUBLIC.subarray(1), token }))).toEqual([203, 'invalid token'])
    expect(rig.refusal('put', item('one', 4, { sig: new Uint8Array(63), token }))).toEqual([203, 'invalid token'])
  })
})

test('a salt has 64 bytes at most', () => {
  const rig = new Rig()
  const put = { k: PUBLIC, salt: raw('s'.repeat(65)), seq: 1, sig: new Uint8Array(64), token: 'abcd', v: 'x' }
  expect(rig.refusal('put', put)).toEqual([207, 'salt too big'])
  expect(rig.refusal('put', { ...put, salt: raw('s'.repeat(64)) })).toEqual([203, 'invalid token'])
})

test('sample_infohashes tells some of the info-hashes there are (BEP 51)', () => {
  const rig = new Rig({ dht_sample_infohashes_interval: 60 })
  for (let i = 0; i < 30; i++) {
    const hash = new Uint8Array(20).fill(i)
    rig.ask('announce_peer', { info_hash: hash, port: 1, token: rig.token('get_peers', hash) })
  }
  const { r } = rig.ask('sample_infohashes', { target: HASH }) as { r: Record<string, unknown> }
  expect(r).toMatchObject({ interval: 60, num: 30 })
  expect(r['samples']).toHaveLength(20 * 20)
  // the asker itself is known by now
  expect(r['nodes']).toHaveLength(26)
  expect(rig.counters.get(C.DHT_DHT_SAMPLE_INFOHASHES_IN)).toBe(1)
})

describe('who asks', () => {
  test('is noted as a node that has not proved itself', () => {
    const rig = new Rig()
    rig.ask('ping', {})
    expect(rig.node.table.size()).toEqual({ nodes: 0, replacements: 1, confirmed: 0 })
  })

  test('and answers nobody is not (BEP 43)', () => {
    const rig = new Rig()
    expect(rig.ask('ping', {}, FROM, { ro: 1 })!['y']).toBe('r')
    expect(rig.node.table.size().replacements).toBe(0)
    // nor when it has proved itself
    const token = raw(rig.ask('get_peers', { info_hash: HASH }, FROM, SHY)!['r'].token)
    const announced = rig.ask('announce_peer', { info_hash: HASH, port: 1, token }, FROM, SHY)!
    expect(announced['e']).toBeUndefined()
    expect(rig.node.table.size()).toEqual({ nodes: 0, replacements: 0, confirmed: 0 })
    rig.ask('ping', {}, FROM, { ro: 0 })
    expect(rig.node.table.size().replacements).toBe(1)
  })

  test('must have an id that fits its address, with dht_enforce_node_id (BEP 42)', () => {
    const rig = new Rig({ dht_enforce_node_id: true })
    const id = new Sha1Hash('5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401').toBytes()
    const from: Endpoint = ['124.31.75.21', 1]
    expect(rig.ask('find_node', { id, target: HASH }, from)!['y']).toBe('r')
    expect(rig.node.table.size().replacements).toBe(1)
    id[0] = 0x18
    const answer = rig.ask('find_node', { id, target: HASH }, ['124.31.75.22', 1])!
    expect(answer['e']).toEqual([203, 'invalid node ID'])
    expect(answer['ip']).toHaveLength(6)
    expect(answer['r']).toBeUndefined()
    expect(rig.node.table.size().replacements).toBe(1)
  })
})

test('somebody else may answer instead of us', () => {
  const rig = new Rig()
  const asked: string[] = []
  rig.foreign = query => {
    asked.push(query)
    return query === 'x_weather' ? bencode({ sky: 'blue' }) : null
  }
  expect(rig.ask('x_weather', {})).toMatchObject({ r: { sky: 'blue' }, t: '10', y: 'r' })
  expect(rig.ask('ping', {})!['r'].id).toHaveLength(20)
  expect(asked).toEqual(['x_weather', 'ping'])
})
