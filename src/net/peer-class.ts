/** Peer classes: groups of peers that share rate limits, priorities and privileges. */

import { PeerClassTypeFilterSocketType, SocketType } from '../core/enums.ts'
import { BandwidthChannel, INFINITE_QUOTA } from './bandwidth-channel.ts'
import { IpFilter } from './ip-filter.ts'

/** Index of a peer class in its pool. */
export type PeerClassId = number

/** The classes every session has. */
export const GLOBAL_PEER_CLASS: PeerClassId = 0
export const TCP_PEER_CLASS: PeerClassId = 1
export const LOCAL_PEER_CLASS: PeerClassId = 2

/** Indices of `PeerClass.channels` and `priorities`, and the numbers of the two bandwidth managers. */
export const UPLOAD_CHANNEL = 0
export const DOWNLOAD_CHANNEL = 1
export type TransferChannel = typeof UPLOAD_CHANNEL | typeof DOWNLOAD_CHANNEL

/** What can be set of a peer class. */
export interface PeerClassInfo {
  /** Its peers are unchoked always. Enough if one class of a peer says so. */
  ignoreUnchokeSlots: boolean
  /** Percent of the connection limits that count for its peers: 200 lets them in until twice the limit. */
  connectionLimitFactor: number
  /** For people to read. */
  label: string
  /** Bytes per second of all its peers together; 0 is no limit. Positive limits below 10 become 10. */
  uploadLimit: number
  downloadLimit: number
  /** Share of bandwidth against other peers, 1 to 255. */
  uploadPriority: number
  downloadPriority: number
}

/** Lowest limit that is not "no limit". */
const MIN_LIMIT = 10
const MAX_LIMIT = INFINITE_QUOTA - 1

export class PeerClass {
  readonly channels: readonly [upload: BandwidthChannel, download: BandwidthChannel] = [
    new BandwidthChannel(),
    new BandwidthChannel(),
  ]
  /** By channel. */
  readonly priorities: [upload: number, download: number] = [1, 1]
  ignoreUnchokeSlots = false
  connectionLimitFactor = 100
  label: string

  constructor(label: string) {
    this.label = label
  }

  /** @param limit bytes per second; 0 and less is no limit */
  setLimit(channel: TransferChannel, limit: number): void {
    this.channels[channel].throttle(normalLimit(limit))
  }

  getInfo(): PeerClassInfo {
    return {
      ignoreUnchokeSlots: this.ignoreUnchokeSlots,
      connectionLimitFactor: this.connectionLimitFactor,
      label: this.label,
      uploadLimit: this.channels[UPLOAD_CHANNEL].limit,
      downloadLimit: this.channels[DOWNLOAD_CHANNEL].limit,
      uploadPriority: this.priorities[UPLOAD_CHANNEL],
      downloadPriority: this.priorities[DOWNLOAD_CHANNEL],
    }
  }

  /** What is left out of `info` stays as it is. */
  setInfo(info: Partial<PeerClassInfo>): void {
    this.ignoreUnchokeSlots = info.ignoreUnchokeSlots ?? this.ignoreUnchokeSlots
    this.connectionLimitFactor = info.connectionLimitFactor ?? this.connectionLimitFactor
    this.label = info.label ?? this.label
    if (info.uploadLimit !== undefined) this.setLimit(UPLOAD_CHANNEL, info.uploadLimit)
    if (info.downloadLimit !== undefined) this.setLimit(DOWNLOAD_CHANNEL, info.downloadLimit)
    if (info.uploadPriority !== undefined) this.priorities[UPLOAD_CHANNEL] = normalPriority(info.uploadPriority)
    if (info.downloadPriority !== undefined) this.priorities[DOWNLOAD_CHANNEL] = normalPriority(info.downloadPriority)
  }
}

/** The limit that is set when a user asks for `limit`: whole bytes, 0 for none, else 10 or more. */
export function normalLimit(limit: number): number {
  if (!(limit > 0)) return 0
  return Math.min(MAX_LIMIT, Math.max(MIN_LIMIT, Math.floor(limit)))
}

function normalPriority(priority: number): number {
  return Math.min(255, Math.max(1, Math.floor(priority)))
}

/** All peer classes of a session. A class lives as long as its creator or a peer holds it. */
export class PeerClassPool {
  readonly #classes: (PeerClass | null)[] = []
  readonly #references: number[] = []
  readonly #free: PeerClassId[] = []

  /** With the classes `global`, `tcp` and `local`. */
  constructor() {
    this.create('global')
    this.create('tcp')
    const local = this.at(this.create('local'))!
    local.ignoreUnchokeSlots = true
    local.connectionLimitFactor = 150
  }

  /** The caller holds the class until `release`. */
  create(label: string): PeerClassId {
    const id = this.#free.pop() ?? this.#classes.length
    this.#classes[id] = new PeerClass(label)
    this.#references[id] = 1
    return id
  }

  /** `null` if there is no such class. */
  at(id: PeerClassId): PeerClass | null {
    return this.#classes[id] ?? null
  }

  hold(id: PeerClassId): void {
    if (this.at(id) === null) throw new RangeError(`PeerClassPool.hold: no class ${id}`)
    this.#references[id]!++
  }

  /** Undoes one `create` or `hold`; the last one frees the class. Unknown classes are ignored. */
  release(id: PeerClassId): void {
    if (this.at(id) === null) return
    if (--this.#references[id]! > 0) return
    this.#classes[id] = null
    this.#free.push(id)
  }
}

/** The classes a peer or torrent belongs to. */
export class PeerClassSet {
  readonly #pool: PeerClassPool
  readonly #ids: PeerClassId[] = []

  constructor(pool: PeerClassPool) {
    this.#pool = pool
  }

  get ids(): readonly PeerClassId[] {
    return this.#ids
  }

  has(id: PeerClassId): boolean {
    return this.#ids.includes(id)
  }

  /** Ignores classes that do not exist. */
  add(id: PeerClassId): void {
    if (this.#ids.includes(id) || this.#pool.at(id) === null) return
    this.#pool.hold(id)
    this.#ids.push(id)
  }

  /** Adds the classes whose bits are set. */
  addMask(mask: number): void {
    for (let id = 0; id < 32; id++) if ((mask >>> id) & 1) this.add(id)
  }

  remove(id: PeerClassId): void {
    const at = this.#ids.indexOf(id)
    if (at < 0) return
    this.#ids.splice(at, 1)
    this.#pool.release(id)
  }

  /** Lets go of all classes. */
  clear(): void {
    for (const id of this.#ids.splice(0)) this.#pool.release(id)
  }

  /** Appends the channels that have a limit. */
  limitedChannels(channel: TransferChannel, out: BandwidthChannel[]): void {
    for (const id of this.#ids) {
      const c = this.#pool.at(id)!.channels[channel]
      if (c.limit !== 0) out.push(c)
    }
  }

  /** Highest priority of the classes; 1 without any. */
  priority(channel: TransferChannel): number {
    let priority = 1
    for (const id of this.#ids) priority = Math.max(priority, this.#pool.at(id)!.priorities[channel])
    return priority
  }

  ignoresUnchokeSlots(): boolean {
    return this.#ids.some(id => this.#pool.at(id)!.ignoreUnchokeSlots)
  }

  /** Highest factor of the classes; 100 if none has one. */
  connectionLimitFactor(): number {
    return Math.max(0, ...this.#ids.map(id => this.#pool.at(id)!.connectionLimitFactor)) || 100
  }
}

const NUM_SOCKET_TYPES = 6
const MAX_CLASS = 31

/**
 * Adds classes to new peers, and takes classes from them, by kind of socket. It comes after the filter
 * that gives classes by address. Only classes 0 to 31 can be named; others, and unknown sockets, are ignored.
 */
export class PeerClassTypeFilter {
  static readonly tcpSocket: number = PeerClassTypeFilterSocketType.tcpSocket
  static readonly utpSocket: number = PeerClassTypeFilterSocketType.utpSocket
  static readonly sslTcpSocket: number = PeerClassTypeFilterSocketType.sslTcpSocket
  static readonly sslUtpSocket: number = PeerClassTypeFilterSocketType.sslUtpSocket
  static readonly i2pSocket: number = PeerClassTypeFilterSocketType.i2pSocket

  readonly #added = new Uint32Array(NUM_SOCKET_TYPES)
  readonly #allowed = new Uint32Array(NUM_SOCKET_TYPES).fill(0xffffffff)

  /** Peers on such a socket get the class. */
  add(type: number, peerClass: number): void {
    if (isValid(type, peerClass)) this.#added[type]! |= 1 << peerClass
  }

  /** Undoes `add`. */
  remove(type: number, peerClass: number): void {
    if (isValid(type, peerClass)) this.#added[type]! &= ~(1 << peerClass)
  }

  /** Peers on such a socket lose the class. */
  disallow(type: number, peerClass: number): void {
    if (isValid(type, peerClass)) this.#allowed[type]! &= ~(1 << peerClass)
  }

  /** Undoes `disallow`. */
  allow(type: number, peerClass: number): void {
    if (isValid(type, peerClass)) this.#allowed[type]! |= 1 << peerClass
  }

  /** @param mask bit per class. @returns the mask after the rules for such a socket */
  apply(type: number, mask: number): number {
    if (!isSocketType(type)) return mask
    return ((mask & this.#allowed[type]!) | this.#added[type]!) >>> 0
  }

  equals(other: PeerClassTypeFilter): boolean {
    for (let i = 0; i < NUM_SOCKET_TYPES; i++)
      if (this.#added[i] !== other.#added[i] || this.#allowed[i] !== other.#allowed[i]) return false
    return true
  }

  /** A filter that changes independently of this one. @internal */
  clone(): PeerClassTypeFilter {
    const copy = new PeerClassTypeFilter()
    copy.#added.set(this.#added)
    copy.#allowed.set(this.#allowed)
    return copy
  }
}

/** A session's filter by kind of socket until the user sets one: TCP, TLS and I2P peers are in the `tcp` class. */
export function defaultPeerClassTypeFilter(): PeerClassTypeFilter {
  const filter = new PeerClassTypeFilter()
  filter.add(PeerClassTypeFilterSocketType.tcpSocket, TCP_PEER_CLASS)
  filter.add(PeerClassTypeFilterSocketType.sslTcpSocket, TCP_PEER_CLASS)
  filter.add(PeerClassTypeFilterSocketType.i2pSocket, TCP_PEER_CLASS)
  return filter
}

/** A session's filter by address until the user sets one: peers of our own network are `local`, all others `global`. */
export function defaultPeerClassFilter(): IpFilter {
  const filter = new IpFilter()
  const global = 1 << GLOBAL_PEER_CLASS
  const local = 1 << LOCAL_PEER_CLASS
  filter.addRule('0.0.0.0', '255.255.255.255', global)
  filter.addRule('10.0.0.0', '10.255.255.255', local)
  filter.addRule('172.16.0.0', '172.31.255.255', local)
  filter.addRule('192.168.0.0', '192.168.255.255', local)
  filter.addRule('169.254.0.0', '169.254.255.255', local)
  filter.addRule('127.0.0.0', '127.255.255.255', local)
  filter.addRule('::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', global)
  filter.addRule('fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', local)
  filter.addRule('fe80::', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff', local)
  filter.addRule('::1', '::1', local)
  return filter
}

/** The kind under which `PeerClassTypeFilter` knows a socket, indexed by `SocketType`. */
const FILTER_TYPE: Readonly<Record<SocketType, number>> = Object.freeze({
  [SocketType.tcp]: PeerClassTypeFilterSocketType.tcpSocket,
  [SocketType.socks5]: PeerClassTypeFilterSocketType.tcpSocket,
  [SocketType.http]: PeerClassTypeFilterSocketType.tcpSocket,
  [SocketType.utp]: PeerClassTypeFilterSocketType.utpSocket,
  [SocketType.i2p]: PeerClassTypeFilterSocketType.i2pSocket,
  [SocketType.rtc]: PeerClassTypeFilterSocketType.rtcSocket,
  [SocketType.tcpSsl]: PeerClassTypeFilterSocketType.sslTcpSocket,
  [SocketType.socks5Ssl]: PeerClassTypeFilterSocketType.sslTcpSocket,
  [SocketType.httpSsl]: PeerClassTypeFilterSocketType.sslTcpSocket,
  [SocketType.utpSsl]: PeerClassTypeFilterSocketType.sslUtpSocket,
})

/** Mask of the classes that a new peer belongs to. */
export function classesOf(address: string, type: SocketType, byAddress: IpFilter, byType: PeerClassTypeFilter): number {
  return byType.apply(FILTER_TYPE[type], byAddress.access(address))
}

function isSocketType(type: number): boolean {
  return Number.isInteger(type) && type >= 0 && type < NUM_SOCKET_TYPES
}

function isValid(type: number, peerClass: number): boolean {
  return isSocketType(type) && Number.isInteger(peerClass) && peerClass >= 0 && peerClass <= MAX_CLASS
}
