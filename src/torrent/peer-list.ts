/** The peers a torrent knows: found, counted, chosen to connect to, banned and forgotten. */

import {
  addressKey,
  type Endpoint,
  endpointsEqual,
  isLinkLocal,
  isLocal,
  isUnspecified,
  isV6,
} from '../core/endpoint.ts'
import { Operation, PexFlags } from '../core/enums.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import type { Rng } from '../core/rng.ts'
import type { PeerRef } from './downloading-pieces.ts'
import { type ListedConnection, MAX_FAILCOUNT, PeerEntry, PeerSource, type PeerSources } from './peer-entry.ts'

/** What the list reads of its torrent and the settings, at each use; and whom it tells. */
export interface PeerListHost {
  /** Nothing more is wanted: peers that only upload are no use. */
  readonly isFinished: boolean
  /** `max_peerlist_size`, or `max_paused_peerlist_size` while paused; 0 is no limit. */
  readonly maxPeerlistSize: number
  /** `min_reconnect_time`, seconds. */
  readonly minReconnectTime: number
  /** `max_failcount`. */
  readonly maxFailcount: number
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
/** Times a peer may ask to be tried again at once. */
const MAX_FAST_RECONNECTS = 2
/** Of the limit: beyond it a search for candidates also forgets useless entries. */
const HIGH_MARK = 0.95

/** See the head of the file. Entries are sorted by address text, so those of one address are neighbours. */
export class PeerList {
  readonly #host: PeerListHost
  readonly #rng: Rng
  #entries: PeerEntry[] = []
  #byId: (PeerEntry | undefined)[] = [undefined]
  #freeIds: PeerRef[] = []
  /** Not to be erased while a connection of it is being replaced. */
  #locked: PeerEntry | null = null
  #seeds = 0
  #roundRobin = 0
  /** Best candidates of the last search, best first. */
  #candidates: PeerEntry[] = []
  // What `isConnectCandidate` was last counted under; when the torrent's differs, everything is counted anew.
  #finished = false
  #maxFailcount = 3
  #connectCandidates = 0

  constructor(host: PeerListHost, rng: Rng) {
    this.#host = host
    this.#rng = rng
    this.#maxFailcount = host.maxFailcount
  }

  get size(): number {
    return this.#entries.length
  }

  /** All entries, sorted by address. Read only; valid until the next change. */
  entries(): readonly PeerEntry[] {
    return this.#entries
  }

  /** The entry with that id, web seeds' included. */
  byId(id: PeerRef): PeerEntry | undefined {
    return this.#byId[id]
  }

  numSeeds(): number {
    return this.#seeds
  }

  numConnectCandidates(): number {
    this.#recountIfStale()
    return this.#connectCandidates
  }

  /** Entries of an address: more than one only with `allow_multiple_connections_per_ip`. */
  findPeers(address: string): PeerEntry[] {
    const out: PeerEntry[] = []
    for (let i = this.#lowerBound(address); this.#entries[i]?.address === address; i++) out.push(this.#entries[i]!)
    return out
  }

  /**
   * An entry that is not in the list: web seeds take part in block attribution and bans, but are never candidates.
   *
   * It has an id until `releaseDetached`.
   */
  addDetached(endpoint: Endpoint): PeerEntry {
    const entry = this.#newEntry(endpoint[0], endpoint[1], false, 0)
    entry.webSeed = true
    return entry
  }

  releaseDetached(entry: PeerEntry): void {
    this.#host.peerErased(entry)
    this.#release(entry)
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
    if (limit > 0 && this.#entries.length >= limit) {
      if (source === PeerSource.resumeData) return null
      this.#makeRoom(false)
      if (this.#entries.length >= limit) return null
    }
    const entry = this.#newEntry(address, port, true, source)
    if (flags & PexFlags.pexEncryption) entry.peSupport = true
    if (flags & PexFlags.pexSeed) entry.maybeUploadOnly = true
    this.#applyFlags(entry, flags)
    this.#insert(entry)
    if (this.#isCandidate(entry)) this.#connectCandidates++
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
      if (this.#isCandidate(entry)) this.#connectCandidates--
    } else {
      const limit = this.#host.maxPeerlistSize
      if (limit > 0 && this.#entries.length >= limit) {
        this.#makeRoom(true)
        if (this.#entries.length >= limit) {
          c.disconnect(libtorrentError(LibtorrentErrors.tooManyConnections), Operation.bittorrent)
          return false
        }
      }
      entry = this.#newEntry(address, port, false, PeerSource.incoming)
      this.#insert(entry)
    }
    c.setPeerEntry(entry)
    c.addStat(entry.prevAmountDownload * 1024, entry.prevAmountUpload * 1024)
    entry.prevAmountDownload = 0
    entry.prevAmountUpload = 0
    entry.connection = c
    if (!c.fastReconnect()) entry.lastConnected = sessionTime
    return true
  }

  /** An outgoing connection was started to an entry that `connectOnePeer` gave; its `lastConnected` is the caller's. */
  setConnection(entry: PeerEntry, c: ListedConnection): void {
    const was = this.#isCandidate(entry)
    entry.connection = c
    entry.maybeUploadOnly = false
    c.addStat(entry.prevAmountDownload * 1024, entry.prevAmountUpload * 1024)
    entry.prevAmountDownload = 0
    entry.prevAmountUpload = 0
    if (was) this.#connectCandidates--
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
    if (c.fastReconnect() && entry.fastReconnects < MAX_FAST_RECONNECTS) {
      entry.fastReconnects++
      entry.lastConnected = Math.max(0, sessionTime - this.#host.minReconnectTime * this.#host.maxFailcount)
    }
    if (c.failed()) entry.failcount++
    if (this.#byId[entry.id] !== entry) return
    if (this.#isCandidate(entry)) this.#connectCandidates++
    // Its port is not one to connect to, and with several connections per address nobody will ask for it again.
    if (this.#host.allowMultipleConnectionsPerIp && !entry.connectable && entry !== this.#locked && !entry.webSeed) {
      this.erasePeer(entry)
    }
  }

  /** The entry best to connect to next; `null` if none is due. Its connection attempt is the caller's. */
  connectOnePeer(sessionTime: number): PeerEntry | null {
    this.#recountIfStale()
    this.#candidates = this.#candidates.filter(entry => this.#isCandidate(entry))
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
        this.#change(other, () => {
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
    this.#change(entry, () => {
      entry.port = port
      entry.addSource(source)
      entry.connectable = true
      entry.clearRank()
    })
    return true
  }

  banPeer(entry: PeerEntry): void {
    this.#change(entry, () => {
      entry.banned = true
    })
  }

  setFailcount(entry: PeerEntry, count: number): void {
    this.#change(entry, () => {
      entry.failcount = count
    })
  }

  incFailcount(entry: PeerEntry): void {
    if (entry.failcount < MAX_FAILCOUNT) this.setFailcount(entry, entry.failcount + 1)
  }

  setSeed(entry: PeerEntry, seed: boolean): void {
    if (entry.seed === seed) return
    this.#change(entry, () => {
      entry.seed = seed
    })
    if (!entry.webSeed) this.#seeds += seed ? 1 : -1
  }

  setUploadOnly(entry: PeerEntry, uploadOnly: boolean): void {
    if (entry.uploadOnly === uploadOnly) return
    this.#change(entry, () => {
      entry.uploadOnly = uploadOnly
    })
  }

  /** Our external address or port has changed: ranks are computed anew. */
  clearPeerRanks(): void {
    for (const entry of this.#entries) entry.clearRank()
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
    const at = this.#indexOf(entry)
    if (at !== -1) this.#eraseAt(at)
  }

  /** Forgets everything, without telling the host. */
  clear(): void {
    this.#entries = []
    this.#candidates = []
    this.#byId = [undefined]
    this.#freeIds = []
    this.#seeds = 0
    this.#connectCandidates = 0
    this.#roundRobin = 0
  }

  /** The counts and the order agree with the entries. Throws an `Error` if not; for tests. */
  checkInvariant(): void {
    let seeds = 0
    let candidates = 0
    for (let i = 0; i < this.#entries.length; i++) {
      const entry = this.#entries[i]!
      if (i > 0 && this.#entries[i - 1]!.address > entry.address) throw new Error('PeerList: not sorted')
      if (this.#byId[entry.id] !== entry) throw new Error(`PeerList: id ${entry.id} is not its entry's`)
      if (entry.seed) seeds++
      if (this.#isCandidate(entry)) candidates++
    }
    if (seeds !== this.#seeds) throw new Error(`PeerList: ${this.#seeds} seeds counted, there are ${seeds}`)
    if (candidates !== this.#connectCandidates) {
      throw new Error(`PeerList: ${this.#connectCandidates} candidates counted, there are ${candidates}`)
    }
    for (const c of this.#candidates) if (this.#indexOf(c) === -1) throw new Error('PeerList: candidate was erased')
  }

  // ---- internals

  #isCandidate(entry: PeerEntry): boolean {
    return (
      entry.connection === null &&
      !entry.banned &&
      !entry.webSeed &&
      entry.connectable &&
      !((entry.seed || entry.uploadOnly) && this.#finished) &&
      entry.failcount < this.#maxFailcount
    )
  }

  /** Changes what a candidate is made of, and the count with it. */
  #change(entry: PeerEntry, change: () => void): void {
    const was = this.#isCandidate(entry)
    change()
    const is = this.#isCandidate(entry)
    if (was !== is && !entry.webSeed) this.#connectCandidates += is ? 1 : -1
  }

  #recountIfStale(): void {
    const { isFinished, maxFailcount } = this.#host
    if (isFinished === this.#finished && maxFailcount === this.#maxFailcount) return
    this.#finished = isFinished
    this.#maxFailcount = maxFailcount
    this.#connectCandidates = 0
    for (const entry of this.#entries) if (this.#isCandidate(entry)) this.#connectCandidates++
  }

  /** A known peer was heard of again. */
  #refresh(entry: PeerEntry, source: PeerSources, flags: number, port: number): void {
    this.#change(entry, () => {
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

  /**
   * Of two connections to one peer, decides which stays. @returns true if the new one does; the loser is told
   */
  #replaces(c: ListedConnection, entry: PeerEntry, other: ListedConnection): boolean {
    if (endpointsEqual(other.remote(), c.localEndpoint()) || endpointsEqual(other.localEndpoint(), c.remote())) {
      c.disconnect(libtorrentError(LibtorrentErrors.selfConnection), Operation.bittorrent, true)
      other.disconnect(libtorrentError(LibtorrentErrors.selfConnection), Operation.bittorrent, true)
      return false
    }
    const duplicate = libtorrentError(LibtorrentErrors.duplicatePeerId)
    if (other.isOutgoing() === c.isOutgoing()) {
      c.disconnect(duplicate, Operation.bittorrent)
      return false
    }
    // Both ends know both listen ports, and keep the connection that the one with the lower port made.
    const outgoing = c.isOutgoing()
    const ours = (outgoing ? other : c).localEndpoint()[1]
    const theirs = (outgoing ? c : other).remote()[1]
    // With the same port the address decides. A coin, as libtorrent throws, makes both ends close both connections
    // every other time, and they meet again, at the same moment, a minute later.
    const near = addressKey(c.localEndpoint()[0])
    const far = addressKey(c.remote()[0])
    const first = ours !== theirs ? ours < theirs : near !== far ? near < far : this.#rng.below(2) === 0
    const loses = first !== outgoing
    if (loses && !other.failed()) {
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
    const crowded = maxPeerlistSize > 0 && this.#entries.length >= maxPeerlistSize * HIGH_MARK
    const best = this.#candidates
    let worst: PeerEntry | null = null
    for (let n = Math.min(this.#entries.length, MAX_SCAN); n > 0 && this.#entries.length > 0; n--) {
      if (this.#roundRobin >= this.#entries.length) this.#roundRobin = 0
      const entry = this.#entries[this.#roundRobin]!
      if (crowded && this.#isErasable(entry) && (worst === null || erasedFirst(entry, worst))) {
        if (entry.source === PeerSource.resumeData) {
          this.#eraseAt(this.#roundRobin)
          continue
        }
        worst = entry
      }
      this.#roundRobin++
      if (!this.#isCandidate(entry)) continue
      const wait = (entry.failcount + 1) * minReconnectTime
      if (entry.lastConnected !== 0 && sessionTime - entry.lastConnected < wait) continue
      if (best.length === CANDIDATES) {
        if (!this.#preferred(entry, best[CANDIDATES - 1]!)) continue
        best.pop()
      }
      let at = best.length
      while (at > 0 && this.#preferred(entry, best[at - 1]!)) at--
      best.splice(at, 0, entry)
    }
    if (worst !== null) this.erasePeer(worst)
  }

  /** Whether to connect to `a` rather than to `b`. */
  #preferred(a: PeerEntry, b: PeerEntry): boolean {
    if (a.failcount !== b.failcount) return a.failcount < b.failcount
    const aLocal = isLocal(a.address)
    if (aLocal !== isLocal(b.address)) return aLocal
    if (a.lastConnected !== b.lastConnected) return a.lastConnected < b.lastConnected
    if (this.#finished && a.maybeUploadOnly !== b.maybeUploadOnly) return b.maybeUploadOnly
    const aSource = sourceRank(a.source)
    const bSource = sourceRank(b.source)
    if (aSource !== bSource) return aSource > bSource
    return a.rank(this.#host.externalEndpoint(a.address)) > b.rank(this.#host.externalEndpoint(b.address))
  }

  /** Of no use: not connected, not to be connected to, and failed or only remembered. */
  #isErasable(entry: PeerEntry): boolean {
    if (entry === this.#locked || entry.connection !== null || this.#isCandidate(entry)) return false
    return entry.failcount > 0 || entry.source === PeerSource.resumeData
  }

  /** Forgets entries, down to 95 % of the limit if they are easy to spare. @param force also a useful one, if it must be */
  #makeRoom(force: boolean): void {
    const limit = this.#host.maxPeerlistSize
    if (limit === 0 || this.#entries.length === 0) return
    this.#recountIfStale()
    let low = Math.floor((limit * 95) / 100)
    if (low === limit) low--
    let worst: PeerEntry | null = null
    let worstForced: PeerEntry | null = null
    let at = this.#rng.below(this.#entries.length)
    for (let n = Math.min(this.#entries.length, MAX_SCAN); n > 0 && this.#entries.length >= low; n--) {
      if (at >= this.#entries.length) at = 0
      const entry = this.#entries[at]!
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
    for (const entry of this.#entries.filter(e => e !== this.#locked && matches(e))) {
      if (entry.connection !== null) {
        closed.push(entry.connection.remote())
        entry.connection.disconnect(libtorrentError(code), Operation.bittorrent)
      }
      this.erasePeer(entry)
    }
    return closed
  }

  #newEntry(address: string, port: number, connectable: boolean, source: PeerSources): PeerEntry {
    const id = this.#freeIds.pop() ?? this.#byId.length
    const entry = new PeerEntry(id, address, port, connectable, source)
    this.#byId[id] = entry
    return entry
  }

  #release(entry: PeerEntry): void {
    this.#byId[entry.id] = undefined
    this.#freeIds.push(entry.id)
  }

  #insert(entry: PeerEntry): void {
    const at = this.#lowerBound(entry.address)
    this.#entries.splice(at, 0, entry)
    if (this.#roundRobin >= at) this.#roundRobin++
  }

  #eraseAt(at: number): void {
    const entry = this.#entries[at]!
    if (entry.seed) this.#seeds--
    if (this.#isCandidate(entry)) this.#connectCandidates--
    this.#entries.splice(at, 1)
    if (this.#roundRobin > at) this.#roundRobin--
    const cached = this.#candidates.indexOf(entry)
    if (cached !== -1) this.#candidates.splice(cached, 1)
    this.#host.peerErased(entry)
    this.#release(entry)
  }

  /** The entry a connection with that endpoint is of: by address alone, unless there may be several per address. */
  #findEndpoint(address: string, port: number): PeerEntry | null {
    const any = !this.#host.allowMultipleConnectionsPerIp
    for (let i = this.#lowerBound(address); this.#entries[i]?.address === address; i++) {
      if (any || this.#entries[i]!.port === port) return this.#entries[i]!
    }
    return null
  }

  #indexOf(entry: PeerEntry): number {
    for (let i = this.#lowerBound(entry.address); this.#entries[i]?.address === entry.address; i++) {
      if (this.#entries[i] === entry) return i
    }
    return -1
  }

  #lowerBound(address: string): number {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const mid = (low + high) >> 1
      if (this.#entries[mid]!.address < address) low = mid + 1
      else high = mid
    }
    return low
  }
}

/** Whether `a` is less worth keeping than `b`. */
function erasedFirst(a: PeerEntry, b: PeerEntry): boolean {
  if (a.failcount !== b.failcount) return a.failcount > b.failcount
  const aResume = a.source === PeerSource.resumeData
  if (aResume !== (b.source === PeerSource.resumeData)) return aResume
  if (a.connectable !== b.connectable) return !a.connectable
  return a.trustPoints < b.trustPoints
}

/** Peers heard of from a tracker come first, then local discovery, DHT, exchange. */
function sourceRank(source: PeerSources): number {
  let rank = 0
  if (source & PeerSource.tracker) rank |= 8
  if (source & PeerSource.lsd) rank |= 4
  if (source & PeerSource.dht) rank |= 2
  if (source & PeerSource.pex) rank |= 1
  return rank
}
