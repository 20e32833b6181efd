/** A node that is flooded: what it keeps, what it sends, and whom it still serves. */

import { expect, test } from 'vitest'
import { bencode } from '../../../src/bencode/bencode.ts'
import { bytesToHex } from '../../../src/core/bytes.ts'
import { Sha1Hash } from '../../../src/core/digest.ts'
import { ed25519CreateKeypair } from '../../../src/core/ed25519.ts'
import { type Endpoint, endpointToCompact } from '../../../src/core/endpoint.ts'
import { randomBytes, SeededRng } from '../../../src/core/rng.ts'
import { itemTargetId, mutableItemTargetId, signMutableItem } from '../../../src/dht/item.ts'
import { generateId } from '../../../src/dht/node-id.ts'
import type { SettingsPack } from '../../../src/settings/pack-type.ts'
import * as C from '../../../src/stats/counter-ids.ts'
import { asText, type Dictionary, Rig, raw } from './tracker-rig.ts'

const PACKETS = 100_000
/** libtorrent's defaults, which a rig lifts else. */
const DEFAULTS: SettingsPack = { dht_block_ratelimit: 5, dht_upload_rate_limit: 8000 }
const FRIEND: Endpoint = ['81.2.3.4', 6881]
const HASH = new Sha1Hash('4242424242424242424242424242424242424242').view()

const rng = new SeededRng(11)
const anyone = (): Endpoint => [`${60 + rng.below(140)}.${rng.below(256)}.${rng.below(256)}.1`, 1 + rng.below(65535)]

/** Nodes of several networks that have answered. @returns their addresses */
function befriend(rig: Rig, count: number): string[] {
  const addresses: string[] = []
  for (let i = 0; i < count; i++) {
    const endpoint: Endpoint = [`${61 + i}.7.${i}.1`, 6881]
    rig.sent.length = 0
    rig.tracker.addNode(endpoint)
    const [query] = rig.sent
    rig.now += 30
    rig.reply(query!, { id: generateId(endpoint[0], rng).view() })
    addresses.push(endpoint[0])
  }
  rig.sent.length = 0
  return addresses
}

const live = (rig: Rig) => rig.node.liveNodes().map(({ endpoint }) => endpoint[0])

/** An id that shares more or less of its beginning with the victim's. */
function nearId(rig: Rig): Uint8Array {
  const id = randomBytes(rng, 20)
  id.set(rig.node.nid.view().subarray(0, rng.below(20)))
  return id
}

/** Whatever a stranger may send who knows the protocol. */
function strangePacket(rig: Rig): Uint8Array {
  const a = { id: nearId(rig) }
  const t = randomBytes(rng, 2)
  const query = (q: string, more: Dictionary) => bencode({ a: { ...a, ...more }, q, t, y: 'q' })
  const token = randomBytes(rng, 4)
  switch (rng.below(9)) {
    case 0:
      return query('ping', {})
    case 1:
      return query('find_node', { target: randomBytes(rng, 20), want: ['n4', 'n6'] })
    case 2:
      return query('get_peers', { info_hash: randomBytes(rng, 20), scrape: 1 })
    case 3:
      return query('announce_peer', { info_hash: HASH, port: rng.below(65536), token })
    case 4:
      return query('put', { token, v: randomBytes(rng, 900) })
    case 5:
      return bencode({
        ip: endpointToCompact(anyone()),
        r: { ...a, nodes: randomBytes(rng, 26 * 8), token, values: [randomBytes(rng, 6)] },
        t,
        y: 'r',
      })
    case 6:
      return bencode({ e: [rng.below(400), 'made up'], t, y: 'e' })
    case 7:
      return query('ping', { more: randomBytes(rng, 1600) })
    default:
      return randomBytes(rng, 30 + rng.below(1000))
  }
}

/** The same, with a few bits changed, cut, or with something behind it. */
function spoilt(packet: Uint8Array): Uint8Array {
  const out = packet.slice()
  switch (rng.below(4)) {
    case 0:
      return out.subarray(0, rng.below(out.length))
    case 1:
      return Buffer.concat([out, randomBytes(rng, rng.below(50))])
    case 2:
      for (let i = 0; i < 3; i++) out[rng.below(out.length)]! ^= 1 << rng.below(8)
      return out
    default:
      return out
  }
}

test('100,000 packets from as many addresses leave nothing behind, and displace nobody', () => {
  const rig = new Rig(DEFAULTS)
  rig.tracker.start(() => {})
  const friends = befriend(rig, 30)
  const before = live(rig)
  expect(before.length).toBeGreaterThan(20)
  const token = rig.token('get_peers', HASH, FRIEND)
  rig.ask('announce_peer', { info_hash: HASH, port: 5000, token }, FRIEND)
  const waiting = rig.node.rpc.numTransactions

  const out = rig.counters.get(C.DHT_DHT_BYTES_OUT)
  const began = rig.now
  let last = strangePacket(rig)
  for (let i = 0; i < PACKETS; i++) {
    // some come again from somebody else
    if (rng.below(10) > 0) last = spoilt(strangePacket(rig))
    rig.deliver(last, anyone())
    rig.now += 0.2
    rig.sent.length = 0
  }
  const seconds = (rig.now - began) / 1000
  // what is sent is no more than the limit, and answers to three seconds' worth
  expect(rig.counters.get(C.DHT_DHT_BYTES_OUT) - out).toBeLessThan(8000 * (seconds + 4))
  expect(rig.node.rpc.numTransactions).toBe(waiting)
  expect(rig.storage.counters()).toEqual({ torrents: 1, peers: 1, immutableData: 0, mutableData: 0 })
  expect(rig.events.some(line => line.startsWith('address'))).toBe(false)
  const { table } = rig.node
  table.checkInvariant()
  // who has announced with a token has proved where he is
  expect(live(rig).filter(address => !friends.includes(address))).toEqual([FRIEND[0]])
  for (const address of before) expect(live(rig)).toContain(address)
  expect(table.size().replacements).toBeLessThanOrEqual(table.numActiveBuckets * table.bucketSize)

  // as soon as it is over, everybody is served
  rig.now += 10_000
  const answer = rig.ask('get_peers', { info_hash: HASH }, ['81.9.9.9', 1])
  expect(answer!['r'].values).toEqual([asText(endpointToCompact([FRIEND[0], 5000]))])
  expect(rig.ask('ping', {}, FRIEND)).not.toBeNull()
})

test('one who floods is shut out, whatever ports and ids he uses, and nobody else is', () => {
  const rig = new Rig({ ...DEFAULTS, dht_upload_rate_limit: 100_000_000 })
  const friends = befriend(rig, 30)
  const before = live(rig)
  let answered = 0
  for (let i = 0; i < 20_000; i++) {
    if (rig.ask('find_node', { id: nearId(rig), target: HASH }, ['91.1.1.1', 1 + (i % 65535)]) !== null) answered++
    if (i % 100 === 0) expect(rig.ask('ping', {}, [friends[(i / 100) % 30]!, 6881])).not.toBeNull()
    rig.now += 0.5
  }
  expect(answered).toBe(49)
  expect(live(rig)).toEqual(before)
  // he has one place among those that wait, not one for each of his ids
  let spare = 0
  rig.node.table.forEachNode(null, ({ address }) => {
    if (address === '91.1.1.1') spare++
  })
  expect(spare).toBeLessThanOrEqual(1)
})

test('the table takes one node of a network in each bucket, however many answer with the best of ids', () => {
  const rig = new Rig()
  befriend(rig, 30)
  const before = live(rig)
  for (let i = 1; i < 255; i++) {
    const endpoint: Endpoint = [`91.1.1.${i}`, 6881]
    rig.sent.length = 0
    rig.tracker.addNode(endpoint)
    rig.reply(rig.sent[0]!, { id: i % 2 === 0 ? nearId(rig) : generateId(endpoint[0], rng).view() })
  }
  const { table } = rig.node
  table.checkInvariant()
  for (const { live, replacements } of table.buckets) {
    expect([...live, ...replacements].filter(({ address }) => address.startsWith('91.1.1.')).length).toBeLessThan(2)
  }
  const lost = before.filter(address => !live(rig).includes(address))
  expect(lost.length).toBeLessThanOrEqual(table.numActiveBuckets)
})

test('storage is no larger than the settings say, whoever has fetched tokens for it, and what was there stays', () => {
  const limits = { dht_max_torrents: 50, dht_max_peers: 20, dht_max_dht_items: 30 }
  const rig = new Rig(limits)
  const announce = (hash: Uint8Array, from: Endpoint) => {
    const answer = rig.ask('get_peers', { info_hash: hash }, from)
    const token = answer!['r'].token === undefined ? raw('none') : raw(answer!['r'].token)
    return rig.ask('announce_peer', { info_hash: hash, port: 6881, token }, from)!['y']
  }
  expect(announce(HASH, FRIEND)).toBe('r')
  const [publicKey, secretKey] = ed25519CreateKeypair(new Uint8Array(32).fill(3))
  for (let i = 0; i < 3000; i++) {
    announce(i % 2 === 0 ? HASH : randomBytes(rng, 20), anyone())
    const from = anyone()
    const v = raw(`item ${i}`)
    const token = rig.token('get', itemTargetId(bencode(v)).toBytes(), from)
    expect(rig.ask('put', { token, v }, from)!['y']).toBe('r')
    if (i % 30 === 0) {
      const salt = raw(`salt ${i}`)
      const sig = signMutableItem(bencode(v), salt, i, publicKey, secretKey)
      const target = mutableItemTargetId(salt, publicKey).toBytes()
      const put = { k: publicKey, salt, seq: i, sig, token: rig.token('get', target, from), v }
      expect(rig.ask('put', put, from)!['y']).toBe('r')
    }
    rig.now += 10
    const stored = rig.storage.counters()
    expect(stored.torrents).toBeLessThanOrEqual(limits.dht_max_torrents)
    expect(stored.peers).toBeLessThanOrEqual(limits.dht_max_torrents * limits.dht_max_peers)
    expect(stored.immutableData).toBeLessThanOrEqual(limits.dht_max_dht_items)
    expect(stored.mutableData).toBeLessThanOrEqual(limits.dht_max_dht_items)
  }
  expect(rig.storage.counters()).toMatchObject({ torrents: 50, immutableData: 30, mutableData: 30 })
  expect(announce(HASH, FRIEND)).toBe('r')
  const told = new Set<string>()
  for (let i = 0; i < 200; i++) {
    for (const peer of rig.ask('get_peers', { info_hash: HASH }, anyone())!['r'].values) told.add(bytesToHex(raw(peer)))
  }
  expect(told.size).toBe(limits.dht_max_peers)
  expect(told).toContain(bytesToHex(endpointToCompact(FRIEND)))
})
