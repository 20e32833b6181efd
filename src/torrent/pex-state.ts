/**
 * What the peers of a torrent are told of each other: who is connected, and once a minute who came and who left.
 *
 * Both messages are made once for all connections, so that what many peers cost a second does not grow with
 * their square.
 *
 * @see BEP 11
 */

import { type Endpoint, endpointToString } from '../core/endpoint.ts'
import type { PexHost, PexOutgoing } from '../peer/peer-pex.ts'
import { encodePex, type PexPeer } from '../wire/ut-pex.ts'
import { PeerSource } from './peer-entry.ts'

/** A connection, as far as others are told of it. */
export interface PexConnection {
  readonly extensions: {
    readonly pex: {
      /** Where to connect to it; `null` if it is not to be told of. */
      endpoint(): Endpoint | null
      /** `PexFlags` */
      flags(): number
    }
  }
}

/** The torrent. */
export interface PexTorrent {
  readonly isPrivate: boolean
  /** The user has turned peer exchange off. */
  readonly pexDisabled: boolean
  readonly swarm: {
    readonly connections: readonly PexConnection[]
    addPeer(endpoint: Endpoint, source: number, flags: number): unknown
    connectBoost(): void
  }
}

const INTERVAL_MS = 60_000
/** Peers one message adds. */
const MAX_ADDED = 100

export class PexState implements PexHost {
  readonly #torrent: PexTorrent
  #lastRound = Number.NEGATIVE_INFINITY
  /** Who has been added and not dropped since, in the messages of changes; by endpoint. */
  #told = new Map<string, Endpoint>()
  #changes: PexOutgoing | null = null
  /** Of this second. */
  #full: PexOutgoing | null = null

  constructor(torrent: PexTorrent) {
    this.#torrent = torrent
  }

  get allowed(): boolean {
    return !this.#torrent.isPrivate
  }

  get enabled(): boolean {
    return this.allowed && !this.#torrent.pexDisabled
  }

  /** Once a second, before the connections have theirs; not needed while there are none. */
  tick(now: number): void {
    this.#full = null
    if (!this.enabled) {
      this.#told.clear()
      this.#changes = null
    } else if (now - this.#lastRound >= INTERVAL_MS) {
      this.#lastRound = now
      this.#changes = this.#round()
    }
  }

  /**
   * Deviation: beyond the 100 peers a message adds, libtorrent takes those it has told of for dropped, and for a peer
   * that connected to us it drops the port of that connection, which it has told nobody. Here they are told of in the
   * next round, and what is dropped is what was added.
   */
  #round(): PexOutgoing | null {
    const present = new Map<string, Endpoint>()
    const added: PexPeer[] = []
    for (const { extensions } of this.#torrent.swarm.connections) {
      const endpoint = extensions.pex.endpoint()
      if (endpoint === null) continue
      const key = endpointToString(endpoint)
      if (!this.#told.has(key)) {
        if (added.length === MAX_ADDED || present.has(key)) continue
        added.push({ endpoint, flags: extensions.pex.flags() })
      }
      present.set(key, endpoint)
    }
    const dropped: Endpoint[] = []
    for (const [key, endpoint] of this.#told) if (!present.has(key)) dropped.push(endpoint)
    this.#told = present
    return added.length + dropped.length === 0 ? null : outgoing(added, dropped)
  }

  full(): PexOutgoing {
    this.#full ??= this.#everybody()
    return this.#full
  }

  #everybody(): PexOutgoing {
    const added: PexPeer[] = []
    for (const { extensions } of this.#torrent.swarm.connections) {
      if (added.length === MAX_ADDED) break
      const endpoint = extensions.pex.endpoint()
      if (endpoint !== null) added.push({ endpoint, flags: extensions.pex.flags() })
    }
    return outgoing(added, [])
  }

  changes(): PexOutgoing | null {
    return this.#changes
  }

  found(endpoint: Endpoint, flags: number): void {
    this.#torrent.swarm.addPeer(endpoint, PeerSource.pex, flags)
  }

  foundAll(): void {
    this.#torrent.swarm.connectBoost()
  }
}

function outgoing(added: readonly PexPeer[], dropped: readonly Endpoint[]): PexOutgoing {
  return { payload: encodePex(added, dropped), numAdded: added.length, numDropped: dropped.length }
}
