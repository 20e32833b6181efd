/** What a peer connection needs of the torrent it belongs to, and of the session. */

import type { PeerLogEvent } from '../alert/peer-log-events.ts'
import type { Bitfield } from '../core/bitfield.ts'
import type { BlockIndex, PieceIndex } from '../core/brands.ts'
import type { InfoHash, Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { ProtocolVersion } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import type { Operation } from '../core/operation.ts'
import type { Rng } from '../core/rng.ts'
import type { Turn } from '../core/turn.ts'
import type { Geometry } from '../metainfo/geometry.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import type { Counters } from '../stats/counters.ts'
import type { DiskError, ReadResult } from '../storage/disk-io.ts'
import type { Slot, SlotPool } from '../storage/slab.ts'
import type { HashRequest } from '../wire/hash-messages.ts'
import type { PeerConnection } from './peer-connection.ts'
import type { PexHost } from './peer-pex.ts'
import type { BlockRequest, RequestRun } from './upload-queue.ts'

/** How grave the end of a connection is; decides the alert and whether the peer is blamed. */
export const Severity = Object.freeze({
  /** Either side has had enough. */
  normal: 0,
  /** The connection failed. */
  failure: 1,
  /** The peer broke the protocol. */
  peerError: 2,
} as const)
export type Severity = (typeof Severity)[keyof typeof Severity]

/** Whose fault it is that a block came which nobody waits for. */
export type WasteReason = 'timedOut' | 'cancelled' | 'unknown' | 'seed' | 'endGame' | 'closing'

/** What connections ask of the assembly of metadata. */
export interface MetadataRequests {
  readonly done: boolean
  joined(source: { readonly ref: number }, size: number): void
  left(source: { readonly ref: number }): void
  next(source: { readonly ref: number }, asked: readonly number[]): number
  rejected(source: { readonly ref: number }, part: number): void
  received(source: { readonly ref: number }, part: number, totalSize: number, data: Uint8Array): boolean
}

/** What connections ask of a torrent about its merkle trees. @see BEP 52 */
export interface HashExchange {
  /** What to ask the peer for next; `null`: nothing that it could help with. It counts as asked from now on. */
  pick(peer: PeerConnection): HashRequest | null
  /**
   * Hashes came, asked for or not; the request has to be checked too.
   *
   * @param hashes 32 bytes each; borrowed
   * @returns false if they are wrong: the peer must go
   */
  received(peer: PeerConnection, request: HashRequest, hashes: Uint8Array): boolean
  /** What was picked will not come from this peer. */
  rejected(peer: PeerConnection, request: HashRequest): void
  /**
   * Answers a request, whose numbers are plausible and not more than that.
   *
   * @param done to be called once, now or later: the hashes, as many as the request implies, or `null` to reject it
   */
  answer(peer: PeerConnection, request: HashRequest, done: (hashes: Uint8Array | null) => void): void
}

/** The torrent of a connection. Calls come inside a turn; none may re-enter the connection, but by closing it. */
export interface PeerHost {
  readonly infoHash: InfoHash
  /** `null` while the metadata is not known. */
  readonly geometry: Geometry | null
  /** Metadata is there and files are checked. */
  readonly ready: boolean
  /** Nothing more is wanted. */
  readonly uploadOnly: boolean
  readonly isSeed: boolean
  readonly gracefulPause: boolean
  readonly uploadMode: boolean
  /** Only peers of its trackers may know of it: no exchange of metadata or peers. @see BEP 27 */
  readonly isPrivate: boolean
  readonly superSeeding: boolean
  readonly numPeers: number
  readonly maxConnections: number
  readonly pex: PexHost
  /** Pieces that are whole, as the `bitfield` message shows them. Only if `ready`. */
  havePiece(piece: PieceIndex): boolean
  readonly numHave: number
  haveBits(): Bitfield
  /** Seconds since a whole copy was last seen in the swarm; -1 if never. */
  completeAgo(): number
  /** The info dictionary; `null` as long as it is not known. */
  metadata(): Uint8Array | null
  /** Puts it together; `null` once it is known. */
  readonly metadataDownload: MetadataRequests | null
  /** `null` as long as the metadata is not known, and for torrents that are v1 only. */
  readonly hashes: HashExchange | null

  /** The peer is known by its id now. @returns why it must go */
  peerIdentified(peer: PeerConnection): ErrorCode | null
  /** The handshake is done and the connection usable. */
  peerReady(peer: PeerConnection): void
  /** The listen port it told. */
  peerListenPort(peer: PeerConnection, port: number): void
  peerBecameSeed(peer: PeerConnection, seed: boolean): void
  peerUploadOnly(peer: PeerConnection, uploadOnly: boolean): void
  seenComplete(secondsAgo: number): void

  /** Availability. Called only while `ready`. */
  peerHas(peer: PeerConnection, piece: PieceIndex): void
  peerHasBits(peer: PeerConnection, bits: Bitfield): void
  peerHasAll(peer: PeerConnection): void
  peerLost(peer: PeerConnection, piece: PieceIndex): void
  peerLostBits(peer: PeerConnection, bits: Bitfield): void
  peerLostAll(peer: PeerConnection): void
  /** Whether the peer has a piece that is wanted. */
  isInteresting(peer: PeerConnection): boolean
  /** Whether one piece is wanted. */
  wantsPiece(piece: PieceIndex): boolean

  /** Picks blocks to ask the peer for, and gives them to `peer.download.add`. @returns false if there were none */
  pickBlocks(peer: PeerConnection): boolean
  /** Notes in the picker that the peer is asked for a block. @param options how it was picked @returns false if the block is here already */
  markRequested(peer: PeerConnection, piece: PieceIndex, block: BlockIndex, options: number): boolean
  /** A picked block will not come from this peer. */
  abortRequest(peer: PeerConnection, piece: PieceIndex, block: BlockIndex): void
  /** Whether the block is here already. */
  isDownloaded(piece: PieceIndex, block: BlockIndex): boolean
  isRequested(piece: PieceIndex, block: BlockIndex): boolean
  /** Blocks of the piece that nobody was asked for. */
  freeBlocks(piece: PieceIndex): number
  /** A slot for a block that begins to arrive. -1: memory is used up, the block is dropped and the peer paused. */
  leaseSlot(peer: PeerConnection, piece: PieceIndex, block: BlockIndex): Slot
  abandonSlot(piece: PieceIndex, block: BlockIndex, slot: Slot): void
  /** A leased slot is full. */
  blockArrived(peer: PeerConnection, piece: PieceIndex, block: BlockIndex, slot: Slot): void
  /** Slots for blocks that have come, if they are asked of this peer only. `null`: each must be looked at by itself. */
  leaseRun(peer: PeerConnection, piece: PieceIndex, first: BlockIndex, count: number): readonly Slot[] | null
  /** The slots that `leaseRun` gave are full. */
  runArrived(peer: PeerConnection, piece: PieceIndex, first: BlockIndex, slots: readonly Slot[]): void
  wasted(bytes: number, reason: WasteReason): void

  /** Judges a request: 0 serve, 1 invalid, 2 wait. @see RequestVerdict */
  judgeRequest(peer: PeerConnection, request: BlockRequest): 0 | 1 | 2
  /** The bytes asked for, if they are in memory. */
  readCached(run: RequestRun): ReadResult | null
  /** The bytes will be asked for soon: gets them into memory. */
  readAhead(request: BlockRequest): void
  readBlocks(run: RequestRun, done: (result: ReadResult) => void): void
  readFailed(error: DiskError): void
  /** Blocks of it are about to be sent. */
  pieceRead(piece: PieceIndex): void
  /** Pieces worth suggesting to a peer that lacks them; newest last. */
  suggestPieces(peer: PeerConnection, already: readonly PieceIndex[], count: number): PieceIndex[]
  /** Which piece to show to a peer while super seeding; -1 for none. */
  pieceToSuperSeed(peer: PeerConnection): PieceIndex

  /** Wants to be unchoked: gives it a slot if one is free. */
  maybeUnchoke(peer: PeerConnection): void
  /** Lost interest: frees its slot. */
  releaseUnchokeSlot(peer: PeerConnection): void

  receivedBytes(payload: number, protocol: number): void
  sentBytes(payload: number, protocol: number): void
  alert(peer: PeerConnection, alert: PeerNotice): void
  /** Whether anyone reads what connections put into their logs. */
  readonly logsPeers: boolean
  /** The last call. The connection's lists are still as they were. */
  peerClosed(peer: PeerConnection, error: ErrorCode, operation: Operation, severity: Severity): void
}

/** What connections have to tell the user; the torrent makes alerts of them. */
export type PeerNotice =
  | { readonly kind: 'connect'; readonly outgoing: boolean }
  | { readonly kind: 'error'; readonly error: ErrorCode; readonly operation: Operation }
  | { readonly kind: 'snubbed' | 'unsnubbed' }
  | {
      readonly kind: 'blockDownloading' | 'unwantedBlock' | 'blockTimeout'
      readonly piece: number
      readonly block: number
    }
  | { readonly kind: 'invalidRequest'; readonly request: BlockRequest; readonly withheld: boolean }
  | { readonly kind: 'incomingRequests' | 'blocksUploaded'; readonly run: RequestRun }
  | { readonly kind: 'outstandingLimit' }
  | LogNotice
  | HashNotice

/** A line for the log of the connection. */
export interface LogNotice {
  readonly kind: 'log'
  readonly direction: 'incomingMessage' | 'outgoingMessage' | 'incoming' | 'outgoing' | 'info'
  /** Names of `PeerLogAlert.Event`. */
  readonly event: keyof typeof PeerLogEvent
  readonly text: string
}

/** A message of the hash exchange, for the log. */
export interface HashNotice {
  readonly kind: 'hashLog'
  readonly direction: 'incomingMessage' | 'outgoingMessage'
  readonly event: 'hashRequest' | 'hashes' | 'hashReject'
  readonly request: HashRequest
}

/** What a connection needs of the session. */
export interface PeerSession {
  readonly turn: Turn
  readonly settings: SessionSettings
  readonly counters: Counters
  readonly rng: Rng
  readonly slots: SlotPool
  /** Connections and half-open ones. */
  readonly numConnections: number
  /**
   * Finds the torrent an incoming connection is for.
   *
   * @param upgrades the peer named the v1 hash, and would speak v2
   * @returns the torrent, or why there is none
   */
  attach(peer: PeerConnection, infoHash: Sha1Hash, upgrades: boolean): PeerHost | ErrorCode
  /** Of an incoming connection that has no torrent yet. */
  closedUnattached(peer: PeerConnection, error: ErrorCode, operation: Operation, severity: Severity): void
  /** Port to tell peers, of the listen socket that fits the local address; 0 for none. */
  listenPort(localAddress: string): number
  voteExternalAddress(local: Endpoint, address: string, voter: string): void
  /** The peer is a DHT node. */
  dhtPortReceived(address: string, port: number): void
  /** Port of our DHT node, on the socket that fits the local address; -1 for none. */
  dhtPort(localAddress: string): number
  /** As {@link PeerHost.logsPeers}, for connections that have no torrent yet. */
  readonly logsPeers: boolean
  log(peer: PeerConnection, notice: LogNotice): void
  /** A turn of this connection threw. */
  crashed(error: unknown, where: string): void
}

export type { ProtocolVersion }
