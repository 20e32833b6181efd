/** What a DHT node stores for others: who may answer for it, and how it is asked. */

import type { BencodeInput } from '../bencode/entry.ts'
import type { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { Rng } from '../core/rng.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import type { SequenceNumber } from './item.ts'

/** How much a storage holds. */
export interface DhtStorageCounters {
  /** Info-hashes that peers are stored for. */
  torrents: number
  /** Peers of all torrents together. */
  peers: number
  /** Immutable items. @see BEP 44 */
  immutableData: number
  /** Mutable items. @see BEP 44 */
  mutableData: number
}

/** A mutable item as a node answers it. @see BEP 44 */
export interface StoredMutableItem {
  readonly seq: SequenceNumber
  /** Left out with `signature` and `publicKey` if the asker has this version. */
  readonly value?: Uint8Array
  /** 64 bytes. */
  readonly signature?: Uint8Array
  /** 32 bytes. */
  readonly publicKey?: Uint8Array
}

/** Some of the info-hashes a node has peers for. @see BEP 51 */
export interface InfohashesSample {
  /** Seconds until there is another sample. */
  readonly interval: number
  /** How many info-hashes there are in all. */
  readonly num: number
  /** The sample, 20 bytes each. */
  readonly samples: Uint8Array
}

/**
 * Keeps peers and items for other nodes; all nodes of a session share one.
 *
 * Made by a {@link DhtStorageConstructor} each time the DHT is started. Byte arrays that are given to it are borrowed: it
 * keeps copies. Nothing may throw.
 */
export interface DhtStorageInterface {
  /** The ids of our nodes: what is close to one of them is worth keeping. */
  updateNodeIds(ids: readonly Sha1Hash[]): void

  /**
   * Puts what is known about a torrent into the answer `peers`:
   * its name as `n`, if there is one; for a scrape the 256-byte filters `BFpe` of downloaders and `BFsd` of seeds
   * (BEP 33); else some compact endpoints of the requester's family as the list `values`.
   *
   * @param noseed    leave out seeds
   * @param requester address of the asker
   * @returns whether the asker gets no token, there being no room for it to announce itself
   */
  getPeers(
    infoHash: Sha1Hash,
    noseed: boolean,
    scrape: boolean,
    requester: string,
    peers: { [key: string]: BencodeInput },
  ): boolean

  /** @param name of the torrent, may be empty; text in any encoding and of any length */
  announcePeer(infoHash: Sha1Hash, endp: Endpoint, name: Uint8Array, seed: boolean): void

  /** The bencoded value, `null` if it is not here. */
  getImmutableItem(target: Sha1Hash): Uint8Array | null

  /** @param buf bencoded value, checked @param addr who puts it */
  putImmutableItem(target: Sha1Hash, buf: Uint8Array, addr: string): void

  /** The version of an item, `null` if it is not here. */
  getMutableItemSeq(target: Sha1Hash): SequenceNumber | null

  /**
   * An item, `null` if it is not here.
   *
   * @param seq       the version the asker has; negative for none was said
   * @param forceFill give the value whatever the version
   */
  getMutableItem(target: Sha1Hash, seq: SequenceNumber, forceFill: boolean): StoredMutableItem | null

  /**
   * Stores an item whose signature was checked, or replaces an older version of it.
   *
   * @param buf bencoded value @param sig 64 bytes @param pk 32 bytes @param addr who puts it
   */
  putMutableItem(
    target: Sha1Hash,
    buf: Uint8Array,
    sig: Uint8Array,
    seq: SequenceNumber,
    pk: Uint8Array,
    salt: Uint8Array,
    addr: string,
  ): void

  getInfohashesSample(): InfohashesSample

  /** Called now and then: time to drop what has expired. */
  tick(): void

  counters(): DhtStorageCounters
}

export type DhtStorageSettings = Pick<
  SessionSettings,
  | 'dhtMaxTorrents'
  | 'dhtMaxPeers'
  | 'dhtMaxPeersReply'
  | 'dhtMaxDhtItems'
  | 'dhtItemLifetime'
  | 'dhtSampleInfohashesInterval'
  | 'dhtMaxInfohashesSampleCount'
>

/** What a storage may use of the session. */
export interface DhtStorageEnv {
  /** The session's clock, in ms. */
  now(): number
  readonly rng: Rng
}

/** Makes a storage. `settings` are live: they show a change as soon as it is made. */
export type DhtStorageConstructor = (settings: DhtStorageSettings, env: DhtStorageEnv) => DhtStorageInterface
