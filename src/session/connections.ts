/**
 * The connections of a session: those there are, what they start from, by which ids we are known on them, and with which
 * addresses and ports there are to be none.
 */

import { Sha1Hash } from '../core/digest.ts'
import { type Endpoint, isUnspecified } from '../core/endpoint.ts'
import { randomBytes } from '../core/rng.ts'
import type { Runtime, Stream } from '../core/runtime.ts'
import { IpFilter } from '../net/ip-filter.ts'
import { PortFilter } from '../net/port-filter.ts'
import { proxyFor } from '../net/proxy.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import type { Torrent } from '../torrent/torrent.ts'
import type { ConnectPort } from '../torrent/torrent-env.ts'
import type { ConnectionScheduler } from './connection-scheduler.ts'
import { OutgoingAddress } from './outgoing-address.ts'

/** What connections need of the session. */
export interface ConnectionsPort {
  readonly runtime: Runtime
  readonly settings: SessionSettings
  readonly scheduler: Pick<ConnectionScheduler, 'boosted' | 'makeRoom'>
  torrents(): Iterable<Torrent>
}

export class Connections implements ConnectPort {
  readonly #port: ConnectionsPort
  readonly #outgoing: OutgoingAddress
  /** Those of torrents, half-open ones too. */
  readonly open = new Set<PeerConnection>()
  /** Incoming ones that have not said which torrent they want. */
  readonly unattached = new Set<PeerConnection>()
  /** How many torrents and incoming connections have the id. */
  readonly #ourPeerIds = new Map<string, number>()
  #ipFilter: IpFilter
  #portFilter = new PortFilter()

  constructor(port: ConnectionsPort, ipFilter: IpFilter) {
    this.#port = port
    this.#outgoing = new OutgoingAddress(port.settings, port.runtime)
    this.#ipFilter = ipFilter.clone()
  }

  // ---- opened and closed ---------------------------------------------------------------------------

  connect(to: Endpoint): Stream {
    const { runtime, settings } = this.#port
    return runtime.connect({ to, local: this.#outgoing.next(to), proxy: proxyFor(settings, 'peer') })
  }

  outgoingAddress(to: Endpoint): string | null {
    const address = this.#outgoing.next(to)?.[0] ?? null
    return address === null || isUnspecified(address) ? null : address
  }

  boosted(): void {
    this.#port.scheduler.boosted()
  }

  makeRoom(torrent: Torrent): boolean {
    return this.#port.scheduler.makeRoom(torrent)
  }

  get numConnections(): number {
    return this.open.size
  }

  opened(peer: PeerConnection): void {
    this.open.add(peer)
    this.unattached.delete(peer)
  }

  connectionClosed(peer: PeerConnection): void {
    this.open.delete(peer)
    this.unattached.delete(peer)
    const key = peer.ourPeerId.key()
    const count = (this.#ourPeerIds.get(key) ?? 0) - 1
    if (count <= 0) this.#ourPeerIds.delete(key)
    else this.#ourPeerIds.set(key, count)
  }

  // ---- our peer ids --------------------------------------------------------------------------------

  newPeerId(): Uint8Array {
    const { runtime, settings } = this.#port
    const id = randomBytes(runtime.rng, 20)
    const print = settings.peerFingerprint
    for (let i = 0; i < Math.min(print.length, 20); i++) id[i] = print.charCodeAt(i)
    // what clients print of peer ids, and some trackers take, are URL characters
    for (let i = print.length; i < 20; i++) id[i] = URL_CHARACTERS.charCodeAt(id[i]! % URL_CHARACTERS.length)
    const key = new Sha1Hash(id).key()
    this.#ourPeerIds.set(key, (this.#ourPeerIds.get(key) ?? 0) + 1)
    return id
  }

  isOurPeerId(peerId: Uint8Array): boolean {
    return this.#ourPeerIds.has(new Sha1Hash(peerId).key())
  }

  // ---- filters -------------------------------------------------------------------------------------

  /** A copy. */
  get ipFilter(): IpFilter {
    return this.#ipFilter.clone()
  }

  setIpFilter(filter: IpFilter): void {
    this.#ipFilter = filter.clone()
    this.#ipFilterChanged()
  }

  ban(address: string): void {
    this.#ipFilter.addRule(address, address, IpFilter.AccessFlags.blocked)
    this.#ipFilterChanged()
  }

  #ipFilterChanged(): void {
    for (const torrent of [...this.#port.torrents()]) torrent.swarm.ipFilterChanged()
  }

  setPortFilter(filter: PortFilter): void {
    this.#portFilter = filter
    for (const torrent of [...this.#port.torrents()]) torrent.swarm.portFilterChanged()
  }

  isBlocked(address: string): boolean {
    return (this.#ipFilter.access(address) & IpFilter.AccessFlags.blocked) !== 0
  }

  isPortBlocked(port: number): boolean {
    return this.#portFilter.access(port) !== 0
  }
}

const URL_CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*()'
