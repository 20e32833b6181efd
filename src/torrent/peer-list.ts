/** The peers a torrent knows: found, counted, chosen to connect to, banned and forgotten. */

import { type Endpoint, isLinkLocal, isUnspecified, isV6 } from '../core/endpoint.ts'
import { Operation, PexFlags } from '../core/enums.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import type { Rng } from '../core/rng.ts'
import { type CandidateConditions, ConnectCandidates } from './connect-candidates.ts'
import type { PeerRef } from './downloading-pieces.ts'
import { survivorOf } from './duplicate-connection.ts'
import { PeerEntries } from './peer-entries.ts'
import { type ListedConnection, type PeerEntry, PeerSource, type PeerSources } from './peer-entry.ts'
import { connectedFirst, erasedFirst, type PeerOrderContext } from './peer-order.ts'

/** What the list reads of its torrent and the settings, at each use; and whom it tells. */
export interface PeerListHost extends CandidateConditions {
  /** `max_peerlist_size`, or `max_paused_peerlist_size` while paused; 0 is no limit. */
  readonly maxPeerlistSize: number
  /** `min_reconnect_time`, seconds. */
  readonly minReconnectTime: number
  /** `allow_multiple_connections_per_ip`. */
  readonly allowMultipleConnectionsPerIp: boolean
  /** Our own endpoint as a peer with that address sees it: for BEP 40. */
  externalEndpoint(towards: string): Endpoint
  /** The entry is gone and its id may be given to another: forget it in the picker, smart ban and elsewhere. */
  peerErased(entry: PeerEntry): void
}

/** What `addPeer` did. */
export interface AddedPeer {
  readonly entry: PeerEntry
  /** It was not known. */
  readonly isNew: boolean
}

const CANDIDATES = 10
/** Entries looked at per search: the rest are looked at in later ones. */
const MAX_SCAN = 300
/** Of the limit: beyond it a search for candidates also forgets useless entries. */
const HIGH_MARK = 0.95

/** See the head of the file. */
export class PeerList {
  readonly #host: PeerListHost
  readonly #rng: Rng
  readonly #entries = new PeerEntries()
  /** Not to be erased while a connection of it is being replaced. */
  #locked: PeerEntry | null = null
  #seeds = 0
  #roundRobin = 0
  /** Best candidates of the last search, best first. */
  #candidates: PeerEntry[] = []
  readonly #eligible: ConnectCandidates

  constructor(host: PeerListHost, rng: Rng) {
    this.#host = host
    this.#rng = rng
    this.#eligible = new ConnectCandidates(host.maxFailcount)
  }

  get size(): number {
    return this.#entries.size
  }

  /** All entries, sorted by address. Read only; valid until the next change. */
  entries(): readonly PeerEntry[] {
    return this.#entries.sorted
  }

  /** The entry with that id, web seeds' included. */
  byId(id: PeerRef): PeerEntry | undefined {
    return this.#entries.byId(id)
  }

  numSeeds(): number {
    return this.#seeds
  }

  numConnectCandidates(): number {
    this.#recountIfStale()
    return this.#eligible.count
  }

  /**
   * An entry that is not in the list: web seeds take part in block attribution and bans, but are never candidates.
   *
   * It has an id until `releaseDetached`.
   */
  addDetached(endpoint: Endpoint): PeerEntry {
    const entry = this.#entries.make(endpoint[0], endpoint[1], false, 0)
    entry.webSeed = true
    return entry
  }

  releaseDetached(entry: PeerEntry): void {
    this.#host.peerErased(entry)
    this.#entries.release(entry)
  }

  /**
   * A peer was heard of.
   *
   * @param source one `PeerSource`
   * @param flags  `PexFlags`
   * @returns `null` if it is refused: no usable address, or the list is full
   */
  addPeer(remote: Endpoint, source: PeerSources, flags = 0): AddedPeer | null {
    const [address, port] = remote
    if (port === 0 || port === 1 || isUnspecified(address) || (isV6(address) && isLinkLocal(address))) return null
    const known = this.#findEndpoint(address, port)
    if (known !== null) {
      this.#refresh(known, source, flags, port)
      return { entry: known, isNew: false }
    }
    const limit = this.#host.maxPeerlistSize
    if (limit > 0 && this.#entries.size >= limit) {
      if (source === PeerSource.resumeData) return null
      this.#makeRoom(false)
      if (this.#entries.size >= limit) return null
    }
    const entry = this.#entries.make(address, port, true, source)
    if (flags & PexFlags.pexEncryption) entry.peSupport = true
    if (flags & PexFlags.pexSeed) entry.maybeUploadOnly = true
    this.#applyFlags(entry, flags)
    this.#insert(entry)
    this.#eligible.add(entry)
    return { entry, isNew: true }
  }

  /**
   * An incoming connection has named its torrent, or an outgoing one was made from outside the list.
   *
   * The entry is found or made and given to the connection. If the peer is connected already, one of the two
   * connections is closed, both ends choosing the same one.
   *
   * @param sessionTime seconds
   * @param speaksV2 what it has said itself; `null` if nothing can be told from it. It counts also if `c` is refused:
   *   the next connection of ours then names a hash that the peer has.
   * @returns false if `c` was refused; it has been told to disconnect
   */
  newConnection(c: ListedConnection, sessionTime: number, speaksV2: boolean | null = null): boolean {
    const [address, port] = c.remote()
    let entry = this.#findEndpoint(address, port)
    if (entry !== null) {
      if (speaksV2 !== null) entry.protocolV2 = speaksV2
      if (entry.banned) {
        c.disconnect(libtorrentError(LibtorrentErrors.peerBanned), Operation.bittorrent)
        return false
      }
      if (entry.connection !== null && !this.#replaces(c, entry, entry.connection)) return false
      this.#eligible.remove(entry)
    } else {
      const limit = this.#host.maxPeerlistSize
      if (limit > 0 && this.#entries.size >= limit) {
        this.#makeRoom(true)
        if (this.#entries.size >= limit) {
          c.disconnect(libtorrentError(LibtorrentErrors.tooManyConnections), Operation.bittorrent)
          return false
        }
      }
      entry = this.#entries.make(address, port, false, PeerSource.incoming)
      this.#insert(entry)
    }
    c.setPeerEntry(entry)
    c.addStat(entry.prevAmountDownload * 1024, entry.prevAmountUpload * 1024)
    entry.prevAmountDownload = 0
    entry.prevAmountUpload = 0
    entry.connection = c
    entry.lastConnected = sessionTime
    return true
  }

  /** An outgoing connection was started to an entry that `connectOnePeer` gave; its `lastConnected` is the caller's. */
  setConnection(entry: PeerEntry, c: ListedConnection): void {
    this.#eligible.remove(entry)
    entry.connection = c
    entry.maybeUploadOnly = false
    c.addStat(entry.prevAmountDownload * 1024, entry.prevAmountUpload * 1024)
    entry.prevAmountDownload = 0
    entry.prevAmountUpload = 0
  }

  /**
   * A connection with an entry has ended. Its totals go to the entry.
   *
   * @param sessionTime seconds
   */
  connectionClosed(c: ListedConnection, entry: PeerEntry, sessionTime: number): void {
    if (entry.connection !== c) return
    entry.keepTotals(c.totalPayloadDownload(), c.totalPayloadUpload())
    entry.connection = null
    entry.optimisticallyUnchoked = false
    entry.lastConnected = sessionTime
    if (c.failed()) entry.failcount++
    if (this.#entries.byId(entry.id) !== entry) return
    this.#eligible.add(entry)
    // Its port is not one to connect to, and with several connections per address nobody will ask for it again.
    if (this.#host.allowMultipleConnectionsPerIp && !entry.connectable && entry !== this.#locked && !entry.webSeed) {
      this.erasePeer(entry)
    }
  }

  /** The entry best to connect to next; `null` if none is due. Its connection attempt is the caller's. */
  connectOnePeer(sessionTime: number): PeerEntry | null {
    this.#recountIfStale()
    this.#candidates = this.#candidates.filter(entry => this.#eligible.includes(entry))
    if (this.#candidates.length === 0) this.#findCandidates(sessionTime)
    return this.#candidates.shift() ?? null
  }

  /**
   * The peer said which port it listens on.
   *
   * @returns false if its connection was closed, because that endpoint is connected already
   */
  updatePeerPort(port: number, entry: PeerEntry, source: PeerSources): boolean {
    if (entry.port === port) return true
    if (this.#host.allowMultipleConnectionsPerIp) {
      const other = this.#findEndpoint(entry.address, port)
      if (other !== null && other.connection !== null) {
        this.#eligible.change(other, () => {
          other.connectable = true
          other.addSource(source)
        })
        this.#locked = entry
        entry.connection?.disconnect(libtorrentError(LibtorrentErrors.duplicatePeerId), Operation.bittorrent)
        this.#locked = null
        this.erasePeer(entry)
        return false
      }
      if (other !== null) this.erasePeer(other)
    }
    this.#eligible.change(entry, () => {
      entry.port = port
      entry.addSource(source)
      entry.connectable = true
      entry.clearRank()
    })
    return true
  }

  banPeer(entry: PeerEntry): void {
    this.#eligible.change(entry, () => {
      entry.banned = true
    })
  }

  setFailcount(entry: PeerEntry, count: number): void {
    this.#eligible.change(entry, () => {
      entry.failcount = count
    })
  }

  setSeed(entry: PeerEntry, seed: boolean): void {
    if (entry.seed === seed) return
    this.#eligible.change(entry, () => {
      entry.seed = seed
    })
    if (!entry.webSeed) this.#seeds += seed ? 1 : -1
  }

  setUploadOnly(entry: PeerEntry, uploadOnly: boolean): void {
    if (entry.uploadOnly === uploadOnly) return
    this.#eligible.change(entry, () => {
      entry.uploadOnly = uploadOnly
    })
  }

  /** Our external address or port has changed: ranks are computed anew. */
  clearPeerRanks(): void {
    for (const entry of this.#entries.sorted) entry.clearRank()
  }

  /**
   * Erases the peers that the filter blocks, closing their connections.
   *
   * @returns endpoints of those that were connected
   */
  applyIpFilter(isBlocked: (address: string) => boolean): Endpoint[] {
    return this.#filter(entry => isBlocked(entry.address), LibtorrentErrors.bannedByIpFilter)
  }

  applyPortFilter(isBlocked: (port: number) => boolean): Endpoint[] {
    return this.#filter(entry => isBlocked(entry.port), LibtorrentErrors.bannedByPortFilter)
  }

  /** Forgets a peer. Its connection, if any, is the caller's to close. */
  erasePeer(entry: PeerEntry): void {
    const at = this.#entries.indexOf(entry)
    if (at !== -1) this.#eraseAt(at)
  }

  /** Forgets everything, without telling the host. */
  clear(): void {
    this.#entries.clear()
    this.#candidates = []
    this.#seeds = 0
    this.#eligible.clear()
    this.#roundRobin = 0
  }

  /** The counts and the order agree with the entries. Throws an `Error` if not; for tests. */
  checkInvariant(): void {
    let seeds = 0
    let candidates = 0
    this.#entries.checkInvariant()
    for (const entry of this.#entries.sorted) {
      if (entry.seed) seeds++
      if (this.#eligible.includes(entry)) candidates++
    }
    if (seeds !== this.#seeds) throw new Error(`PeerList: ${this.#seeds} seeds counted, there are ${seeds}`)
    if (candidates !== this.#eligible.count) {
      throw new Error(`PeerList: ${this.#eligible.count} candidates counted, there are ${candidates}`)
    }
    for (const c of this.#candidates)
      if (this.#entries.indexOf(c) === -1) throw new Error('PeerList: candidate was erased')
  }

  // ---- internals

  #recountIfStale(): void {
    this.#eligible.update(this.#host, this.#entries.sorted)
  }

  /** A known peer was heard of again. */
  #refresh(entry: PeerEntry, source: PeerSources, flags: number, port: number): void {
    this.#eligible.change(entry, () => {
      entry.connectable = true
      if (entry.port !== port) {
        entry.port = port
        entry.clearRank()
      }
      entry.addSource(source)
      // A tracker hears from its peers: this one is likely alive after all.
      if (source === PeerSource.tracker && entry.failcount > 0) entry.failcount--
      if (flags & PexFlags.pexSeed && entry.connection === null) entry.maybeUploadOnly = true
      this.#applyFlags(entry, flags)
    })
  }

  #applyFlags(entry: PeerEntry, flags: number): void {
    if (flags & PexFlags.pexUtp) entry.supportsUtp = true
    if (flags & PexFlags.pexHolepunch) entry.supportsHolepunch = true
    if (flags & PexFlags.pexLtV2) entry.protocolV2 = true
  }

  /** Of two connections to one peer one is told to go. @returns true if the new one stays */
  #replaces(c: ListedConnection, entry: PeerEntry, other: ListedConnection): boolean {
    const survivor = survivorOf(other, c, this.#rng)
    if (survivor === 'self') {
      c.disconnect(libtorrentError(LibtorrentErrors.selfConnection), Operation.bittorrent, true)
      other.disconnect(libtorrentError(LibtorrentErrors.selfConnection), Operation.bittorrent, true)
      return false
    }
    const duplicate = libtorrentError(LibtorrentErrors.duplicatePeerId)
    if (survivor === 'earlier') {
      c.disconnect(duplicate, Operation.bittorrent)
      return false
    }
    this.#locked = entry
    other.disconnect(duplicate, Operation.bittorrent)
    this.#locked = null
    return true
  }

  #findCandidates(sessionTime: number): void {
    const { maxPeerlistSize, minReconnectTime } = this.#host
    const crowded = maxPeerlistSize > 0 && this.#entries.size >= maxPeerlistSize * HIGH_MARK
    const order: PeerOrderContext = {
      isFinished: this.#eligible.isFinished,
      externalEndpoint: towards => this.#host.externalEndpoint(towards),
    }
    const best = this.#candidates
    let worst: PeerEntry | null = null
    for (let n = Math.min(this.#entries.size, MAX_SCAN); n > 0 && this.#entries.size > 0; n--) {
      if (this.#roundRobin >= this.#entries.size) this.#roundRobin = 0
      const entry = this.#entries.sorted[this.#roundRobin]!
      if (crowded && this.#isErasable(entry) && (worst === null || erasedFirst(entry, worst))) {
        if (entry.source === PeerSource.resumeData) {
          this.#eraseAt(this.#roundRobin)
          continue
        }
        worst = entry
      }
      this.#roundRobin++
      if (!this.#eligible.includes(entry)) continue
      const wait = (entry.failcount + 1) * minReconnectTime
      if (entry.lastConnected !== 0 && sessionTime - entry.lastConnected < wait) continue
      if (best.length === CANDIDATES) {
        if (!connectedFirst(entry, best[CANDIDATES - 1]!, order)) continue
        best.pop()
      }
      let at = best.length
      while (at > 0 && connectedFirst(entry, best[at - 1]!, order)) at--
      best.splice(at, 0, entry)
    }
    if (worst !== null) this.erasePeer(worst)
  }

  /** Of no use: not connected, not to be connected to, and failed or only remembered. */
  #isErasable(entry: PeerEntry): boolean {
    if (entry === this.#locked || entry.connection !== null || this.#eligible.includes(entry)) return false
    return entry.failcount > 0 || entry.source === PeerSource.resumeData
  }

  /** Forgets entries, down to 95 % of the limit if they are easy to spare. @param force also a useful one, if it must be */
  #makeRoom(force: boolean): void {
    const limit = this.#host.maxPeerlistSize
    if (limit === 0 || this.#entries.size === 0) return
    this.#recountIfStale()
    let low = Math.floor((limit * 95) / 100)
    if (low === limit) low--
    let worst: PeerEntry | null = null
    let worstForced: PeerEntry | null = null
    let at = this.#rng.below(this.#entries.size)
    for (let n = Math.min(this.#entries.size, MAX_SCAN); n > 0 && this.#entries.size >= low; n--) {
      if (at >= this.#entries.size) at = 0
      const entry = this.#entries.sorted[at]!
      if (this.#isErasable(entry) && (worst === null || erasedFirst(entry, worst))) {
        if (entry.source === PeerSource.resumeData) {
          if (worstForced === entry) worstForced = null
          this.#eraseAt(at)
          continue
        }
        worst = entry
      }
      if (entry !== this.#locked && entry.connection === null) {
        if (worstForced === null || erasedFirst(entry, worstForced)) worstForced = entry
      }
      at++
    }
    if (worst !== null) this.erasePeer(worst)
    else if (force && worstForced !== null) this.erasePeer(worstForced)
  }

  #filter(matches: (entry: PeerEntry) => boolean, code: LibtorrentErrors): Endpoint[] {
    const closed: Endpoint[] = []
    // Closing a connection may itself erase entries, so victims are named first.
    for (const entry of this.#entries.sorted.filter(e => e !== this.#locked && matches(e))) {
      if (entry.connection !== null) {
        closed.push(entry.connection.remote())
        entry.connection.disconnect(libtorrentError(code), Operation.bittorrent)
      }
      this.erasePeer(entry)
    }
    return closed
  }

  #insert(entry: PeerEntry): void {
    const at = this.#entries.insert(entry)
    if (this.#roundRobin >= at) this.#roundRobin++
  }

  #eraseAt(at: number): void {
    const entry = this.#entries.sorted[at]!
    if (entry.seed) this.#seeds--
    this.#eligible.remove(entry)
    this.#entries.removeAt(at)
    if (this.#roundRobin > at) this.#roundRobin--
    const cached = this.#candidates.indexOf(entry)
    if (cached !== -1) this.#candidates.splice(cached, 1)
    this.#host.peerErased(entry)
    this.#entries.release(entry)
  }

  /** The entry a connection with that endpoint is of: by address alone, unless there may be several per address. */
  #findEndpoint(address: string, port: number): PeerEntry | null {
    return this.#entries.find(address, this.#host.allowMultipleConnectionsPerIp ? port : null)
  }
}
