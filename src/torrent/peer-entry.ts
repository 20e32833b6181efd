/** A known peer of a torrent, connected or not: small, for there may be thousands per torrent. */

import type { Endpoint } from '../core/endpoint.ts'
import type { Operation } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import type { PeerRef } from './downloading-pieces.ts'
import { peerPriority } from './peer-rank.ts'

/** Where a peer was heard of; bits, as `PeerInfo.source`. */
export const PeerSource = Object.freeze({
  tracker: 1,
  dht: 2,
  pex: 4,
  lsd: 8,
  resumeData: 16,
  incoming: 32,
} as const)
/** Combination of `PeerSource` bits. */
export type PeerSources = number

/** What the peer list asks of a connection. `PeerConnection` is one. */
export interface ListedConnection {
  remote(): Endpoint
  localEndpoint(): Endpoint
  isOutgoing(): boolean
  /** It ended, or is ending, with an error of the peer's making. */
  failed(): boolean
  /** Bytes of payload since it was made, and those of earlier connections. */
  totalPayloadDownload(): number
  totalPayloadUpload(): number
  /** `failure`: counts as the peer's fault. Must call `PeerList.connectionClosed`, now or later. */
  disconnect(error: ErrorCode, operation: Operation, failure?: boolean): void
  /** Its entry. */
  setPeerEntry(entry: PeerEntry): void
  /** Totals of earlier connections of the same peer. */
  addStat(downloaded: number, uploaded: number): void
}

const SOURCE_MASK = 0x3f
const CONNECTABLE = 1 << 6
const OPTIMISTIC = 1 << 7
const SEED = 1 << 8
const UPLOAD_ONLY = 1 << 9
const MAYBE_UPLOAD_ONLY = 1 << 10
const PE_SUPPORT = 1 << 11
const ON_PAROLE = 1 << 12
const BANNED = 1 << 13
const SUPPORTS_UTP = 1 << 14
const HOLEPUNCH = 1 << 16
const WEB_SEED = 1 << 17
const PROTOCOL_V2 = 1 << 18

const FAILS_MASK = 0x1f
const TRUST_SHIFT = 5
const TRUST_BIAS = 7
const HASHFAILS_SHIFT = 9

/** `failcount` saturates here. */
const MAX_FAILCOUNT = 31
const MIN_TRUST = -7
const MAX_TRUST = 8
const MAX_HASHFAILS = 255
const MAX_KIB = 0x7fffffff

/**
 * See the head of the file. What decides whether the peer may be connected to (`connection`, `banned`,
 * `seed`, `uploadOnly`, `failcount`, `connectable`, `webSeed`) is changed through `PeerList` only, which keeps count.
 */
export class PeerEntry {
  /** Unique in its torrent while the entry is known; what the picker attributes blocks to. */
  readonly id: PeerRef
  /** Canonical address text. Only that of a web seed changes, which is not in the list that is sorted by it. */
  address: string
  port: number
  connection: ListedConnection | null = null
  /** Session time in seconds of the last attempt or end of connection; 0: never. */
  lastConnected = 0
  /** Session time in seconds. */
  lastOptimisticallyUnchoked = 0
  /** Payload of earlier connections, KiB; 0 while connected (the connection then has them). */
  prevAmountDownload = 0
  prevAmountUpload = 0
  /** Signed image of the rank, 0 if not known yet. */
  #rank = 0
  #bits: number
  /** failcount, trust, hash failures. */
  #marks = TRUST_BIAS << TRUST_SHIFT

  constructor(id: PeerRef, address: string, port: number, connectable: boolean, source: PeerSources) {
    this.id = id
    this.address = address
    this.port = port
    // Peers are thought to speak uTP until they are found not to.
    this.#bits = (source & SOURCE_MASK) | SUPPORTS_UTP | (connectable ? CONNECTABLE : 0)
  }

  endpoint(): Endpoint {
    return [this.address, this.port]
  }

  get source(): PeerSources {
    return this.#bits & SOURCE_MASK
  }

  addSource(source: PeerSources): void {
    this.#bits |= source & SOURCE_MASK
  }

  /** Its port is one it listens on. */
  get connectable(): boolean {
    return (this.#bits & CONNECTABLE) !== 0
  }
  set connectable(on: boolean) {
    this.#set(CONNECTABLE, on)
  }

  get optimisticallyUnchoked(): boolean {
    return (this.#bits & OPTIMISTIC) !== 0
  }
  set optimisticallyUnchoked(on: boolean) {
    this.#set(OPTIMISTIC, on)
  }

  get seed(): boolean {
    return (this.#bits & SEED) !== 0
  }
  set seed(on: boolean) {
    this.#set(SEED, on)
  }

  /** It said that it downloads nothing (BEP 21). */
  get uploadOnly(): boolean {
    return (this.#bits & UPLOAD_ONLY) !== 0
  }
  set uploadOnly(on: boolean) {
    this.#set(UPLOAD_ONLY, on)
  }

  /** Somebody else said so. */
  get maybeUploadOnly(): boolean {
    return (this.#bits & MAYBE_UPLOAD_ONLY) !== 0
  }
  set maybeUploadOnly(on: boolean) {
    this.#set(MAYBE_UPLOAD_ONLY, on)
  }

  /** Encryption is tried first. */
  get peSupport(): boolean {
    return (this.#bits & PE_SUPPORT) !== 0
  }
  set peSupport(on: boolean) {
    this.#set(PE_SUPPORT, on)
  }

  /** It had a part in a piece that failed: it gets pieces of its own until one passes. */
  get onParole(): boolean {
    return (this.#bits & ON_PAROLE) !== 0
  }
  set onParole(on: boolean) {
    this.#set(ON_PAROLE, on)
  }

  get banned(): boolean {
    return (this.#bits & BANNED) !== 0
  }
  set banned(on: boolean) {
    this.#set(BANNED, on)
  }

  get supportsUtp(): boolean {
    return (this.#bits & SUPPORTS_UTP) !== 0
  }
  set supportsUtp(on: boolean) {
    this.#set(SUPPORTS_UTP, on)
  }

  /** @see BEP 55 */
  get supportsHolepunch(): boolean {
    return (this.#bits & HOLEPUNCH) !== 0
  }
  set supportsHolepunch(on: boolean) {
    this.#set(HOLEPUNCH, on)
  }

  get webSeed(): boolean {
    return (this.#bits & WEB_SEED) !== 0
  }
  set webSeed(on: boolean) {
    this.#set(WEB_SEED, on)
  }

  /** It is in the swarm of the v2 info-hash. */
  get protocolV2(): boolean {
    return (this.#bits & PROTOCOL_V2) !== 0
  }
  set protocolV2(on: boolean) {
    this.#set(PROTOCOL_V2, on)
  }

  /** Failed attempts in a row, 0 to 31. */
  get failcount(): number {
    return this.#marks & FAILS_MASK
  }
  set failcount(count: number) {
    this.#marks = (this.#marks & ~FAILS_MASK) | Math.max(0, Math.min(MAX_FAILCOUNT, count))
  }

  /** -7 (bad pieces) to 8 (good ones). */
  get trustPoints(): number {
    return ((this.#marks >> TRUST_SHIFT) & 0xf) - TRUST_BIAS
  }
  set trustPoints(points: number) {
    const value = Math.max(MIN_TRUST, Math.min(MAX_TRUST, points)) + TRUST_BIAS
    this.#marks = (this.#marks & ~(0xf << TRUST_SHIFT)) | (value << TRUST_SHIFT)
  }

  /** Failed pieces it had a part in, 0 to 255. */
  get hashfails(): number {
    return (this.#marks >> HASHFAILS_SHIFT) & MAX_HASHFAILS
  }
  set hashfails(count: number) {
    const value = Math.max(0, Math.min(MAX_HASHFAILS, count))
    this.#marks = (this.#marks & ~(MAX_HASHFAILS << HASHFAILS_SHIFT)) | (value << HASHFAILS_SHIFT)
  }

  /** Takes over a closing connection's totals. */
  keepTotals(downloaded: number, uploaded: number): void {
    this.prevAmountDownload = Math.min(MAX_KIB, Math.floor(downloaded / 1024))
    this.prevAmountUpload = Math.min(MAX_KIB, Math.floor(uploaded / 1024))
  }

  /**
   * BEP 40 rank towards us, higher is better; computed once.
   *
   * @param self our external address of its family, and listen port
   */
  rank(self: Endpoint): number {
    if (this.#rank === 0) this.#rank = peerPriority(self, this.endpoint()) | 0
    return this.#rank >>> 0
  }

  /** Our external address has changed. */
  clearRank(): void {
    this.#rank = 0
  }

  #set(bit: number, on: boolean): void {
    this.#bits = on ? this.#bits | bit : this.#bits & ~bit
  }
}
