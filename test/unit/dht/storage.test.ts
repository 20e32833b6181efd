import { describe, expect, test } from 'vitest'
import type { BencodeInput } from '../../../src/bencode/entry.ts'
import { BloomFilter, hashAddress } from '../../../src/core/bloom-filter.ts'
import { bytesToBinary, bytesToText, textToBytes } from '../../../src/core/bytes.ts'
import type { Sha1Hash } from '../../../src/core/digest.ts'
import { type Endpoint, endpointFromCompact, endpointToString } from '../../../src/core/endpoint.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { dhtDefaultStorageConstructor } from '../../../src/dht/default-storage.ts'
import { generateRandomId, minDistanceExp } from '../../../src/dht/node-id.ts'
import { PeerSet } from '../../../src/dht/peer-set.ts'
import type { SettingsPack } from '../../../src/settings/pack-type.ts'
import { SessionSettings } from '../../../src/settings/session-settings.ts'
import { hash, SampleEndpoints } from './node-samples.ts'

const [N1, N2, N3, N4] = [1, 2, 3, 4].map(i => hash(`5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee40${i}`)) as [
  Sha1Hash,
  Sha1Hash,
  Sha1Hash,
  Sha1Hash,
]
const VALUE = textToBytes('3:abc')
const HOUR = 3_600_000
const NAME = textToBytes('torrent_name')
const NO_NAME = new Uint8Array(0)
const PK = new Uint8Array(32).fill(1)
const SIG = new Uint8Array(64).fill(2)
const SALT = textToBytes('salt')
const peer = (i: number): Endpoint => [`124.31.75.${20 + i}`, 1]

interface Answer {
  full: boolean
  values: string[] | null
  name: string | null
  dict: { [key: string]: BencodeInput }
}

class Lab {
  readonly rng = new SeededRng(11)
  readonly endpoints = new SampleEndpoints()
  readonly settings: SessionSettings
  clock = 10 * HOUR
  readonly storage

  constructor(pack: SettingsPack = {}) {
    this.settings = new SessionSettings({
      dht_max_torrents: 2,
      dht_max_dht_items: 2,
      dht_item_lifetime: 120 * 60,
      ...pack,
    })
    this.storage = dhtDefaultStorageConstructor(this.settings, { now: () => this.clock, rng: this.rng })
    this.storage.updateNodeIds([hash('0000000000000000000000000000000000000200')])
  }

  ask(infoHash: Sha1Hash, requester = '0.0.0.0', noseed = false, scrape = false): Answer {
    const dict: { [key: string]: BencodeInput } = {}
    const full = this.storage.getPeers(infoHash, noseed, scrape, requester, dict)
    const values = dict['values'] as Uint8Array[] | undefined
    const name = dict['n'] as Uint8Array | undefined
    return {
      full,
      values:
        values?.map(value => endpointToString(endpointFromCompact(value, 0, value.length === 6 ? 4 : 16))) ?? null,
      name: name === undefined ? null : bytesToText(name),
      dict,
    }
  }
}

describe('peers', () => {
  test('of a torrent are answered with its name', () => {
    const lab = new Lab()
    const { storage } = lab
    expect(lab.ask(N1)).toEqual({ full: false, values: null, name: null, dict: {} })
    storage.announcePeer(N1, peer(1), NAME, false)
    expect(lab.ask(N1)).toMatchObject({ full: false, values: ['124.31.75.21:1'], name: 'torrent_name' })
    storage.announcePeer(N1, peer(1), textToBytes('another name'), false)
    expect(lab.ask(N1)).toMatchObject({ values: ['124.31.75.21:1'], name: 'torrent_name' })

    storage.announcePeer(N2, peer(2), NAME, false)
    storage.announcePeer(N2, peer(3), NAME, false)
    // there is room for two
    storage.announcePeer(N3, peer(4), NAME, false)
    expect(lab.ask(N3)).toEqual({ full: true, values: null, name: null, dict: {} })
    expect(storage.counters()).toEqual({ torrents: 2, peers: 3, immutableData: 0, mutableData: 0 })
  })

  test('are of the family of who asks', () => {
    const lab = new Lab()
    for (let i = 1; i <= 3; i++) lab.storage.announcePeer(N1, peer(i), NAME, false)
    lab.storage.announcePeer(N1, ['2000::1', 1], NAME, false)
    lab.storage.announcePeer(N1, ['2000::2', 1], NAME, false)
    expect(lab.ask(N1, '1.2.3.4').values).toHaveLength(3)
    expect(lab.ask(N1, '2000::3').values).toEqual(['[2000::1]:1', '[2000::2]:1'])
  })

  test('have a name of at most 100 bytes', () => {
    const lab = new Lab()
    const name = textToBytes('n'.repeat(500))
    lab.storage.announcePeer(N1, peer(1), NO_NAME, false)
    expect(lab.ask(N1).name).toBeNull()
    lab.storage.announcePeer(N1, peer(1), name, false)
    name.fill(0)
    expect(lab.ask(N1).name).toBe('n'.repeat(100))
  })

  test('are no more than the limit, for each torrent and family', () => {
    const lab = new Lab({ dht_max_peers: 42 })
    for (let i = 0; i < 200; i++) {
      lab.storage.announcePeer(N1, lab.endpoints.v4(), NAME, false)
      expect(lab.storage.counters().peers).toBe(Math.min(i + 1, 42))
    }
    lab.storage.announcePeer(N1, lab.endpoints.v6(), NAME, false)
    expect(lab.storage.counters().peers).toBe(43)
  })

  test('of torrents are no more than the limit', () => {
    const lab = new Lab({ dht_max_torrents: 42 })
    for (let i = 0; i < 200; i++) {
      lab.storage.announcePeer(generateRandomId(lab.rng), lab.endpoints.v4(), NO_NAME, false)
      expect(lab.storage.counters().torrents).toBe(Math.min(i + 1, 42))
    }
  })

  test('that are here may announce themselves again when there is room for no other', () => {
    const lab = new Lab({ dht_max_peers: 2 })
    lab.storage.announcePeer(N1, ['1.2.3.4', 999], NAME, false)
    expect(lab.ask(N1, '9.9.9.9').full).toBe(false)
    lab.storage.announcePeer(N1, ['1.2.3.9', 5], NAME, false)
    expect(lab.ask(N1, '9.9.9.9').full).toBe(true)
    expect(lab.ask(N1, '1.2.3.5').full).toBe(true)
    expect(lab.ask(N1, '1.2.3.4').full).toBe(false)
    expect(lab.ask(N1, '1.2.3.9').full).toBe(false)
    // the other family has room
    expect(lab.ask(N1, '2000::1').full).toBe(false)
    lab.storage.announcePeer(N1, ['9.9.9.9', 1], NAME, false)
    expect(lab.ask(N1).values).toEqual(['1.2.3.4:999', '1.2.3.9:5'])
  })

  test('are chosen at random, a quarter as many of IPv6', () => {
    const lab = new Lab({ dht_max_peers: 2000, dht_max_peers_reply: 100 })
    const [address] = lab.endpoints.v4()
    for (let i = 0; i < 1000; i++) lab.storage.announcePeer(N1, [address, i], NAME, false)
    const seen = new Map<string, number>()
    let duplicates = 0
    for (let i = 0; i < 2; i++) {
      const { values } = lab.ask(N1)
      expect(values).toHaveLength(100)
      expect(new Set(values).size).toBe(100)
      for (const value of values!) {
        if (seen.has(value)) duplicates++
        seen.set(value, 1)
      }
    }
    expect(duplicates).toBeLessThan(25)
    for (let i = 0; i < 300; i++) lab.storage.announcePeer(N1, lab.endpoints.v6(), NAME, false)
    expect(lab.ask(N1, '2000::1').values).toHaveLength(25)

    // each as likely as the others
    const counts = new Map<string, number>()
    for (let i = 0; i < 1000; i++)
      for (const value of lab.ask(N1).values!) counts.set(value, (counts.get(value) ?? 0) + 1)
    expect(counts.size).toBe(1000)
    for (const count of counts.values()) expect(Math.abs(count - 100)).toBeLessThan(50)
  })

  test('for a seed are no seeds', () => {
    const lab = new Lab({ dht_max_peers: 2000, dht_max_peers_reply: 100 })
    const [address] = lab.endpoints.v4()
    for (let i = 0; i < 1050; i++) lab.storage.announcePeer(N1, [address, i], NAME, i >= 60)
    const { values } = lab.ask(N1, '0.0.0.0', true)
    expect(values).toHaveLength(60)
    for (const value of values!) expect(Number(value.split(':')[1])).toBeLessThan(60)
    // a seed that is none any more
    lab.storage.announcePeer(N1, [address, 1000], NAME, false)
    expect(lab.ask(N1, '0.0.0.0', true).values).toHaveLength(61)
  })

  test('for a scrape are two filters, of seeds and of others', () => {
    const lab = new Lab()
    const want = { BFpe: new BloomFilter(256), BFsd: new BloomFilter(256) }
    const check = () => {
      const { dict, values } = lab.ask(N1, '0.0.0.0', false, true)
      expect(values).toBeNull()
      expect(dict['BFpe']).toEqual(want.BFpe.toBytes())
      expect(dict['BFsd']).toEqual(want.BFsd.toBytes())
    }
    for (let i = 0; i < 50; i++) {
      const endpoint = lab.endpoints.v4()
      lab.storage.announcePeer(N1, endpoint, NAME, i % 3 === 0)
      want[i % 3 === 0 ? 'BFsd' : 'BFpe'].set(hashAddress(endpoint[0]))
      if (i % 10 === 0) check()
    }
    check()
    lab.storage.announcePeer(N1, ['1.2.3.4', 1], NAME, false)
    want.BFpe.set(hashAddress('1.2.3.4'))
    check()
    lab.storage.announcePeer(N1, ['1.2.3.4', 1], NAME, true)
    lab.clock += 46 * 60_000
    lab.storage.announcePeer(N1, ['1.2.3.4', 1], NAME, true)
    lab.storage.tick()
    want.BFpe = new BloomFilter(256)
    want.BFsd = new BloomFilter(256)
    want.BFsd.set(hashAddress('1.2.3.4'))
    check()
  })

  test('are gone after 45 minutes, and torrents without any with them', () => {
    const lab = new Lab()
    lab.storage.announcePeer(N1, peer(1), NAME, false)
    lab.clock += 20 * 60_000
    lab.storage.announcePeer(N1, peer(2), NAME, false)
    lab.storage.announcePeer(N2, ['2000::1', 1], NAME, false)
    lab.clock += 25 * 60_000
    lab.storage.tick()
    expect(lab.storage.counters()).toMatchObject({ torrents: 2, peers: 3 })
    lab.clock += 1
    lab.storage.tick()
    expect(lab.storage.counters()).toMatchObject({ torrents: 2, peers: 2 })
    expect(lab.ask(N1).values).toEqual(['124.31.75.22:1'])
    lab.clock += 20 * 60_000
    lab.storage.tick()
    expect(lab.storage.counters()).toMatchObject({ torrents: 0, peers: 0 })
    expect(lab.ask(N1)).toEqual({ full: false, values: null, name: null, dict: {} })
  })
})

test('a set of peers is what a plain map would be', () => {
  for (const family of [4, 6] as const) {
    const rng = new SeededRng(family)
    const set = new PeerSet(family)
    const model = new Map<string, { seed: boolean; at: number }>()
    const order = (a: string, b: string) => (a < b ? -1 : 1)
    for (let step = 0; step < 800; step++) {
      const now = step * 1000
      const n = rng.below(60)
      const endpoint: Endpoint = [
        family === 4 ? `1.2.${n & 3}.${n}` : `2001:db8::${(n & 3) + 1}:${n + 1}`,
        rng.below(3) * 300,
      ]
      const key = endpointToString(endpoint)
      const seed = rng.below(2) === 0
      const fits = model.has(key) || model.size < 50
      expect(set.announce(endpoint, seed, now, 50)).toBe(!model.has(key) && fits)
      if (fits) model.set(key, { seed, at: now })
      if (step % 50 === 49) {
        const oldest = now - rng.below(100) * 1000
        let dropped = 0
        for (const [old, { at }] of model) if (at < oldest && model.delete(old)) dropped++
        expect(set.purge(oldest)).toBe(dropped)
      }
      expect(set.size).toBe(model.size)
      expect(set.hasAddress(endpoint[0])).toBe(
        [...model.keys()].some(k => k.includes(`${endpoint[0]}${family === 4 ? ':' : ']'}`)),
      )
      const all = set
        .sample(1000, false, rng)
        .map(value => endpointToString(endpointFromCompact(value, 0, family === 4 ? 4 : 16)))
      expect([...all].sort(order)).toEqual([...model.keys()].sort(order))
      const leeches = [...model].filter(([, { seed }]) => !seed).length
      expect(set.sample(1000, true, rng)).toHaveLength(leeches)
      expect(set.sample(5, true, rng)).toHaveLength(Math.min(5, leeches))
    }
  }
})

describe('items', () => {
  test('are stored, and the less important dropped for others', () => {
    const { storage } = new Lab()
    expect(storage.getImmutableItem(N4)).toBeNull()
    storage.putImmutableItem(N4, VALUE, '124.31.75.21')
    expect(storage.getImmutableItem(N4)).toEqual(VALUE)
    for (const target of [N1, N2, N3]) storage.putImmutableItem(target, VALUE, '124.31.75.21')
    expect(storage.getImmutableItem(N1)).toBeNull()
    expect(storage.counters()).toMatchObject({ immutableData: 2, mutableData: 0 })
    expect(storage.getMutableItem(N4, 0, false)).toBeNull()
    storage.putMutableItem(N4, VALUE, SIG, 1, PK, SALT, '124.31.75.21')
    expect(storage.getMutableItem(N4, 0, false)).toEqual({ seq: 1, value: VALUE, signature: SIG, publicKey: PK })
    expect(storage.counters()).toMatchObject({ immutableData: 2, mutableData: 1 })
  })

  test.each(['putImmutableItem', 'putMutableItem'] as const)('are no more than the limit: %s', put => {
    const lab = new Lab({ dht_max_dht_items: 42 })
    for (let i = 0; i < 200; i++) {
      const target = generateRandomId(lab.rng)
      const [address] = lab.endpoints.v4()
      if (put === 'putImmutableItem') lab.storage.putImmutableItem(target, VALUE, address)
      else lab.storage.putMutableItem(target, VALUE, SIG, 1, PK, SALT, address)
      const { immutableData, mutableData } = lab.storage.counters()
      expect(immutableData + mutableData).toBe(Math.min(i + 1, 42))
    }
  })

  test('close to one of our ids stay', () => {
    const { storage } = new Lab()
    const ids = ['200', '400', '800'].map(end => hash(end.padStart(40, '0')))
    storage.updateNodeIds(ids)
    const near = hash('0000000000000000000000000000000000010200')
    const far = hash('0000000000000000000000000000000100000400')
    const farther = hash('0000000000000000000000010000000000000800')
    expect([near, far, farther].map(id => minDistanceExp(id, ids))).toEqual([16, 32, 64])
    storage.putImmutableItem(near, VALUE, '124.31.75.21')
    storage.putImmutableItem(far, VALUE, '124.31.75.21')
    storage.putImmutableItem(farther, VALUE, '124.31.75.21')
    expect([near, far, farther].map(id => storage.getImmutableItem(id) !== null)).toEqual([true, false, true])
    // our ids change: what was far is near
    storage.updateNodeIds([hash('0000000000000000000000010000000000000801')])
    storage.putImmutableItem(far, VALUE, '124.31.75.21')
    expect([near, far, farther].map(id => storage.getImmutableItem(id) !== null)).toEqual([false, true, true])
  })

  test('that many put stay, five of them outweighing one bit of distance', () => {
    const lab = new Lab()
    const far = hash(`${'0'.repeat(38)}1`.padEnd(40, '0'))
    const near = hash(`${'0'.repeat(37)}260`)
    const own = hash(`${'0'.repeat(37)}200`)
    lab.storage.updateNodeIds([own])
    const put = (target: Sha1Hash, announcers: number) => {
      for (let i = 0; i < announcers; i++) lab.storage.putImmutableItem(target, VALUE, `1.${i}.3.4`)
    }
    // distances 2^9 and 2^6: three bits, that is fifteen announcers
    put(far, 20)
    put(near, 4)
    put(hash(`${'0'.repeat(37)}201`), 1)
    expect([far, near].map(id => lab.storage.getImmutableItem(id) !== null)).toEqual([true, false])
  })

  test('put again from one address count one announcer', () => {
    const lab = new Lab()
    lab.storage.updateNodeIds([hash('200'.padStart(40, '0'))])
    const far = hash('10'.padStart(40, '0'))
    const near = hash('260'.padStart(40, '0'))
    for (let i = 0; i < 100; i++) lab.storage.putImmutableItem(far, VALUE, '1.2.3.4')
    lab.storage.putImmutableItem(near, VALUE, '1.2.3.4')
    lab.storage.putImmutableItem(hash('201'.padStart(40, '0')), VALUE, '1.2.3.4')
    expect(lab.storage.getImmutableItem(far)).toBeNull()
  })

  test('that are mutable are replaced by newer versions only', () => {
    const { storage } = new Lab()
    const put = (seq: number | bigint, text: string) =>
      storage.putMutableItem(
        N1,
        textToBytes(text),
        new Uint8Array(64).fill(Number(seq) & 255),
        seq,
        PK,
        SALT,
        '1.2.3.4',
      )
    expect(storage.getMutableItemSeq(N1)).toBeNull()
    put(4, '1:a')
    put(4, '1:b')
    put(3, '1:c')
    expect(storage.getMutableItemSeq(N1)).toBe(4)
    expect(storage.getMutableItem(N1, 0, true)).toMatchObject({ seq: 4, value: textToBytes('1:a') })
    put(5, '2:de')
    expect(storage.getMutableItem(N1, 0, true)).toEqual({
      seq: 5,
      value: textToBytes('2:de'),
      signature: new Uint8Array(64).fill(5),
      publicKey: PK,
    })
    put(2n ** 62n, '1:f')
    expect(storage.getMutableItemSeq(N1)).toBe(2n ** 62n)
    put(2n ** 62n - 1n, '1:g')
    expect(storage.getMutableItem(N1, 0, true)).toMatchObject({ value: textToBytes('1:f') })
  })

  test('that are mutable go only to those who have an older version', () => {
    const { storage } = new Lab()
    storage.putMutableItem(N1, VALUE, SIG, 4, PK, SALT, '1.2.3.4')
    const whole = { seq: 4, value: VALUE, signature: SIG, publicKey: PK }
    expect(storage.getMutableItem(N1, 3, false)).toEqual(whole)
    expect(storage.getMutableItem(N1, 4, false)).toEqual({ seq: 4 })
    expect(storage.getMutableItem(N1, 5, false)).toEqual({ seq: 4 })
    expect(storage.getMutableItem(N1, -1, false)).toEqual({ seq: 4 })
    expect(storage.getMutableItem(N1, 5, true)).toEqual(whole)
    expect(storage.getMutableItem(N1, 3n, false)).toEqual(whole)
  })

  test('are copies', () => {
    const { storage } = new Lab()
    const value = VALUE.slice()
    const [sig, pk] = [SIG.slice(), PK.slice()]
    storage.putImmutableItem(N1, value, '1.2.3.4')
    storage.putMutableItem(N1, value, sig, 1, pk, SALT, '1.2.3.4')
    for (const given of [value, sig, pk]) given.fill(0)
    expect(storage.getImmutableItem(N1)).toEqual(VALUE)
    expect(storage.getMutableItem(N1, 0, true)).toEqual({ seq: 1, value: VALUE, signature: SIG, publicKey: PK })
  })

  test('are kept for their lifetime after somebody put them last, two hours at least', () => {
    for (const [seconds, hours] of [
      [60, 2],
      [3 * 3600, 3],
    ] as const) {
      const lab = new Lab({ dht_item_lifetime: seconds })
      const put = () => {
        lab.storage.putImmutableItem(N1, VALUE, '1.2.3.4')
        lab.storage.putMutableItem(N2, VALUE, SIG, 1, PK, SALT, '1.2.3.4')
      }
      put()
      lab.clock += HOUR
      put()
      lab.clock += hours * HOUR - 1
      lab.storage.tick()
      expect(lab.storage.counters()).toMatchObject({ immutableData: 1, mutableData: 1 })
      lab.clock++
      lab.storage.tick()
      expect(lab.storage.counters()).toMatchObject({ immutableData: 0, mutableData: 0 })
    }
  })

  test('are kept for ever with a lifetime of 0', () => {
    const lab = new Lab({ dht_item_lifetime: 0 })
    lab.storage.putImmutableItem(N1, VALUE, '1.2.3.4')
    lab.clock += 1000 * HOUR
    lab.storage.tick()
    expect(lab.storage.counters().immutableData).toBe(1)
  })
})

describe('sample of info-hashes (BEP 51)', () => {
  const split = (samples: Uint8Array) => {
    const out: string[] = []
    for (let at = 0; at < samples.length; at += 20) out.push(bytesToBinary(samples.subarray(at, at + 20)))
    return out
  }

  test('is as large as the settings say', () => {
    const lab = new Lab({
      dht_max_torrents: 5,
      dht_sample_infohashes_interval: 10,
      dht_max_infohashes_sample_count: 2,
    })
    const all = [N1, N2, N3, N4]
    for (const infoHash of all) lab.storage.announcePeer(infoHash, peer(1), NAME, false)
    const two = lab.storage.getInfohashesSample()
    expect([two.interval, two.num, two.samples.length]).toEqual([10, 4, 40])
    lab.settings.applyPack({ dht_max_infohashes_sample_count: 5 })
    const four = lab.storage.getInfohashesSample()
    expect([four.interval, four.num]).toEqual([10, 4])
    expect(split(four.samples).sort()).toEqual(all.map(id => id.key()).sort())
  })

  test('is the same until its time is up', () => {
    const lab = new Lab({
      dht_max_torrents: 1000,
      dht_sample_infohashes_interval: 10,
      dht_max_infohashes_sample_count: 5,
    })
    for (let i = 0; i < 500; i++) lab.storage.announcePeer(generateRandomId(lab.rng), peer(1), NAME, false)
    const sample = lab.storage.getInfohashesSample().samples
    lab.clock += 9999
    expect(lab.storage.getInfohashesSample().samples).toEqual(sample)
    lab.clock++
    expect(lab.storage.getInfohashesSample().samples).not.toEqual(sample)
  })

  test('is another one each time if the interval is 0, all being as likely', () => {
    const lab = new Lab({
      dht_max_torrents: 1000,
      dht_sample_infohashes_interval: 0,
      dht_max_infohashes_sample_count: 1,
    })
    for (let i = 0; i < 1000; i++) lab.storage.announcePeer(generateRandomId(lab.rng), peer(1), NAME, false)
    const seen = new Set<string>()
    for (let i = 0; i < 1000; i++) {
      const { interval, num, samples } = lab.storage.getInfohashesSample()
      expect([interval, num, samples.length]).toEqual([0, 1000, 20])
      seen.add(bytesToBinary(samples))
    }
    expect(seen.size).toBeGreaterThan(500)
  })

  test('fits its limits, and may be empty', () => {
    const lab = new Lab({
      dht_max_torrents: 1000,
      dht_sample_infohashes_interval: 1_000_000,
      dht_max_infohashes_sample_count: 1000,
    })
    expect(lab.storage.getInfohashesSample()).toEqual({ interval: 21600, num: 0, samples: new Uint8Array(0) })
    for (let i = 0; i < 50; i++) lab.storage.announcePeer(generateRandomId(lab.rng), peer(1), NAME, false)
    expect(split(lab.storage.getInfohashesSample().samples)).toHaveLength(20)
    lab.settings.applyPack({ dht_sample_infohashes_interval: -5, dht_max_infohashes_sample_count: -5 })
    expect(lab.storage.getInfohashesSample()).toEqual({ interval: 0, num: 50, samples: new Uint8Array(0) })
  })
})
