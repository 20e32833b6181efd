/** The DHT storage that is used unless another is set: three maps in memory, with limits. */

import type { BencodeInput } from '../bencode/entry.ts'
import { BloomFilter, hashAddress } from '../core/bloom-filter.ts'
import { bytesEqual } from '../core/bytes.ts'
import type { Sha1Hash } from '../core/digest.ts'
import { type Endpoint, isV4 } from '../core/endpoint.ts'
import type { SequenceNumber } from './item.ts'
import { minDistanceExp, NODE_ID_SIZE } from './node-id.ts'
import { PeerSet } from './peer-set.ts'
import type {
  DhtStorageCounters,
  DhtStorageEnv,
  DhtStorageInterface,
  DhtStorageSettings,
  InfohashesSample,
  StoredMutableItem,
} from './storage.ts'

/** How often peers announce themselves, ms. */
const ANNOUNCE_INTERVAL = 30 * 60 * 1000
/** A peer that has not for so long is gone. */
const PEER_LIFETIME = (ANNOUNCE_INTERVAL * 3) / 2
/** Items are kept for at least so long, ms. */
const MIN_ITEM_LIFETIME = 120 * 60 * 1000
const MAX_NAME = 100
/** BEP 51 allows no more seconds. */
const MAX_SAMPLE_INTERVAL = 21600
/** So many info-hashes fit a packet beside the nodes. */
const MAX_SAMPLES = 20
/** Bytes of the filter that tells announcers of an item apart. */
const ANNOUNCERS_FILTER = 128

interface StoredTorrent {
  readonly infoHash: Sha1Hash
  name: Uint8Array | null
  readonly peers4: PeerSet
  readonly peers6: PeerSet
}

/** What items of both kinds have. */
class StoredItem {
  readonly target: Sha1Hash
  value: Uint8Array
  /** How far from the nearest of our ids, as a power of two. */
  distance: number
  lastSeen = 0
  /** Addresses it was put from: a measure of how much it is wanted. */
  numAnnouncers = 0
  readonly #announcers = new BloomFilter(ANNOUNCERS_FILTER)

  constructor(target: Sha1Hash, value: Uint8Array, distance: number) {
    this.target = target
    this.value = value.slice()
    this.distance = distance
  }

  touch(address: string, now: number): void {
    this.lastSeen = now
    const hash = hashAddress(address)
    if (this.#announcers.find(hash)) return
    this.#announcers.set(hash)
    this.numAnnouncers++
  }

  /** Five more announcers are worth as much as half the distance. */
  get importance(): number {
    return Math.trunc(this.numAnnouncers / 5) - this.distance
  }
}

class StoredMutable extends StoredItem {
  seq: SequenceNumber
  signature: Uint8Array
  readonly publicKey: Uint8Array

  constructor(
    target: Sha1Hash,
    value: Uint8Array,
    distance: number,
    seq: SequenceNumber,
    signature: Uint8Array,
    publicKey: Uint8Array,
  ) {
    super(target, value, distance)
    this.seq = seq
    this.signature = signature.slice()
    this.publicKey = publicKey.slice()
  }
}

/** The storage of a session that sets no other one. A {@link DhtStorageConstructor}. */
export function dhtDefaultStorageConstructor(settings: DhtStorageSettings, env: DhtStorageEnv): DhtStorageInterface {
  return new DefaultDhtStorage(settings, env)
}

/** Maps are by `Sha1Hash.key()`. */
class DefaultDhtStorage implements DhtStorageInterface {
  readonly #settings: DhtStorageSettings
  readonly #env: DhtStorageEnv
  readonly #torrents = new Map<string, StoredTorrent>()
  readonly #immutable = new Map<string, StoredItem>()
  readonly #mutable = new Map<string, StoredMutable>()
  #nodeIds: readonly Sha1Hash[] = []
  #numPeers = 0
  #samples = new Uint8Array(0)
  /** When the sample was taken, ms. */
  #sampledAt = Number.NEGATIVE_INFINITY

  constructor(settings: DhtStorageSettings, env: DhtStorageEnv) {
    this.#settings = settings
    this.#env = env
  }

  updateNodeIds(ids: readonly Sha1Hash[]): void {
    this.#nodeIds = [...ids]
    for (const item of this.#immutable.values()) item.distance = minDistanceExp(item.target, ids)
    for (const item of this.#mutable.values()) item.distance = minDistanceExp(item.target, ids)
  }

  getPeers(
    infoHash: Sha1Hash,
    noseed: boolean,
    scrape: boolean,
    requester: string,
    peers: { [key: string]: BencodeInput },
  ): boolean {
    const settings = this.#settings
    const torrent = this.#torrents.get(infoHash.key())
    if (torrent === undefined) return this.#torrents.size >= settings.dhtMaxTorrents
    const v4 = isV4(requester)
    const set = v4 ? torrent.peers4 : torrent.peers6
    if (torrent.name !== null) peers['n'] = torrent.name
    if (scrape) {
      const { downloaders, seeds } = set.scrape()
      peers['BFpe'] = downloaders
      peers['BFsd'] = seeds
    } else {
      // addresses of IPv6 are four times as long
      const most = v4 ? settings.dhtMaxPeersReply : Math.trunc(settings.dhtMaxPeersReply / 4)
      peers['values'] = set.sample(most, noseed, this.#env.rng)
    }
    // a peer that is here already may announce itself again; it does so from another port than the DHT's
    return set.size >= settings.dhtMaxPeers && !set.hasAddress(requester)
  }

  announcePeer(infoHash: Sha1Hash, endp: Endpoint, name: Uint8Array, seed: boolean): void {
    const settings = this.#settings
    let torrent = this.#torrents.get(infoHash.key())
    if (torrent === undefined) {
      if (this.#torrents.size >= settings.dhtMaxTorrents) return
      torrent = { infoHash, name: null, peers4: new PeerSet(4), peers6: new PeerSet(6) }
      this.#torrents.set(infoHash.key(), torrent)
    }
    if (name.length > 0 && torrent.name === null) torrent.name = name.slice(0, MAX_NAME)
    const set = isV4(endp[0]) ? torrent.peers4 : torrent.peers6
    if (set.announce(endp, seed, this.#env.now(), settings.dhtMaxPeers)) this.#numPeers++
  }

  getImmutableItem(target: Sha1Hash): Uint8Array | null {
    return this.#immutable.get(target.key())?.value ?? null
  }

  putImmutableItem(target: Sha1Hash, buf: Uint8Array, addr: string): void {
    let item = this.#immutable.get(target.key())
    if (item === undefined) {
      this.#makeRoom(this.#immutable)
      item = new StoredItem(target, buf, minDistanceExp(target, this.#nodeIds))
      this.#immutable.set(target.key(), item)
    }
    item.touch(addr, this.#env.now())
  }

  getMutableItemSeq(target: Sha1Hash): SequenceNumber | null {
    return this.#mutable.get(target.key())?.seq ?? null
  }

  getMutableItem(target: Sha1Hash, seq: SequenceNumber, forceFill: boolean): StoredMutableItem | null {
    const item = this.#mutable.get(target.key())
    if (item === undefined) return null
    if (!forceFill && !(seq >= 0 && seq < item.seq)) return { seq: item.seq }
    return { seq: item.seq, value: item.value, signature: item.signature, publicKey: item.publicKey }
  }

  putMutableItem(
    target: Sha1Hash,
    buf: Uint8Array,
    sig: Uint8Array,
    seq: SequenceNumber,
    pk: Uint8Array,
    _salt: Uint8Array,
    addr: string,
  ): void {
    let item = this.#mutable.get(target.key())
    if (item === undefined) {
      this.#makeRoom(this.#mutable)
      item = new StoredMutable(target, buf, minDistanceExp(target, this.#nodeIds), seq, sig, pk)
      this.#mutable.set(target.key(), item)
    } else if (item.seq < seq) {
      if (!bytesEqual(item.value, buf)) item.value = buf.slice()
      item.seq = seq
      item.signature = sig.slice()
    }
    item.touch(addr, this.#env.now())
  }

  getInfohashesSample(): InfohashesSample {
    this.#refreshSample()
    return { interval: this.#sampleInterval(), num: this.#torrents.size, samples: this.#samples }
  }

  tick(): void {
    const now = this.#env.now()
    for (const [key, torrent] of this.#torrents) {
      this.#numPeers -= torrent.peers4.purge(now - PEER_LIFETIME) + torrent.peers6.purge(now - PEER_LIFETIME)
      if (torrent.peers4.size + torrent.peers6.size === 0) this.#torrents.delete(key)
    }
    const seconds = this.#settings.dhtItemLifetime
    if (seconds === 0) return
    const oldest = now - Math.max(seconds * 1000, MIN_ITEM_LIFETIME)
    for (const [key, item] of this.#immutable) if (item.lastSeen <= oldest) this.#immutable.delete(key)
    for (const [key, item] of this.#mutable) if (item.lastSeen <= oldest) this.#mutable.delete(key)
  }

  counters(): DhtStorageCounters {
    return {
      torrents: this.#torrents.size,
      peers: this.#numPeers,
      immutableData: this.#immutable.size,
      mutableData: this.#mutable.size,
    }
  }

  /** Drops the least important item if there is no room for another one; of equals that with the smallest target. */
  #makeRoom<T extends StoredItem>(table: Map<string, T>): void {
    if (table.size === 0 || table.size < this.#settings.dhtMaxDhtItems) return
    let least: T | null = null
    for (const item of table.values()) {
      if (least === null || item.importance < least.importance) least = item
      else if (item.importance === least.importance && item.target.lessThan(least.target)) least = item
    }
    table.delete(least!.target.key())
  }

  #sampleInterval(): number {
    return Math.min(Math.max(this.#settings.dhtSampleInfohashesInterval, 0), MAX_SAMPLE_INTERVAL)
  }

  /** The same sample is given for a while, so that nobody gets all by asking again and again. */
  #refreshSample(): void {
    const now = this.#env.now()
    const interval = this.#sampleInterval()
    const most = Math.min(Math.max(this.#settings.dhtMaxInfohashesSampleCount, 0), MAX_SAMPLES)
    const isFresh = interval > 0 && this.#sampledAt + interval * 1000 > now
    if (isFresh && this.#samples.length >= most * NODE_ID_SIZE) return
    let candidates = this.#torrents.size
    let left = Math.min(most, candidates)
    const samples = new Uint8Array(left * NODE_ID_SIZE)
    let at = 0
    for (const { infoHash } of this.#torrents.values()) {
      if (left === 0) break
      if (this.#env.rng.below(candidates--) >= left) continue
      samples.set(infoHash.view(), at)
      at += NODE_ID_SIZE
      left--
    }
    this.#samples = samples
    this.#sampledAt = now
  }
}
