/** Alerts about one peer of a torrent. */

import type { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import {
  AlertCategory,
  AlertPriority,
  type CloseReason,
  type Operation,
  type PeerBlockedReason,
  type SocketType,
} from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import { operationName } from '../core/operation.ts'
import type { PeerRequest } from '../core/peer-request.ts'
import { type AlertTorrent, NO_PEER_ID, PeerAlert, socketTypeName } from './alert.ts'

/** Indexed by `PeerBlockedReason`. */
const BLOCK_REASONS: readonly string[] = [
  'ip_filter',
  'port_filter',
  'i2p_mixed',
  'privileged_ports',
  'utp_disabled',
  'tcp_disabled',
  'invalid_local_interface',
  'ssrf_mitigation',
]

const DIRECTION = Object.freeze({ in: 0, out: 1 } as const)

/** The peer sent bad data and is not connected to again. */
export class PeerBanAlert extends PeerAlert {
  static override readonly alertType = 19
  static override readonly staticCategory: number = AlertCategory.peer
  static override readonly priority: AlertPriority = AlertPriority.normal

  override message(): string {
    return `${super.message()} banned peer`
  }
}

/** A snubbed peer has begun to send again. */
export class PeerUnsnubbedAlert extends PeerAlert {
  static override readonly alertType = 20
  static override readonly staticCategory: number = AlertCategory.peer
  static override readonly priority: AlertPriority = AlertPriority.normal

  override message(): string {
    return `${super.message()} peer unsnubbed`
  }
}

/** The peer has not sent what we asked for, for a long time. */
export class PeerSnubbedAlert extends PeerAlert {
  static override readonly alertType = 21
  static override readonly staticCategory: number = AlertCategory.peer
  static override readonly priority: AlertPriority = AlertPriority.normal

  override message(): string {
    return `${super.message()} peer snubbed`
  }
}

/** The peer broke the protocol; it is disconnected. */
export class PeerErrorAlert extends PeerAlert {
  static override readonly alertType = 22
  static override readonly staticCategory: number = AlertCategory.peer
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** What was being done. */
  readonly op: Operation
  /** What went wrong. */
  readonly error: ErrorCode

  constructor(torrent: AlertTorrent, ep: Endpoint, pid: Sha1Hash, op: Operation, error: ErrorCode) {
    super(torrent, ep, pid)
    this.op = op
    this.error = error
  }

  override message(): string {
    return `${super.message()} peer error [${operationName(this.op)}] [${this.error.category().name()}]: ${this.error.message()}`
  }
}

/** A connection to or from a peer is up. */
export class PeerConnectAlert extends PeerAlert {
  static override readonly alertType = 23
  static override readonly staticCategory: number = AlertCategory.connect
  static override readonly priority: AlertPriority = AlertPriority.normal
  static readonly Direction = DIRECTION
  readonly socketType: SocketType
  /** Who began it. */
  readonly direction: PeerConnectAlert.Direction

  constructor(
    torrent: AlertTorrent,
    ep: Endpoint,
    pid: Sha1Hash,
    socketType: SocketType,
    direction: PeerConnectAlert.Direction,
  ) {
    super(torrent, ep, pid)
    this.socketType = socketType
    this.direction = direction
  }

  override message(): string {
    const direction = this.direction === DIRECTION.in ? 'incoming' : 'outgoing'
    return `${super.message()} ${direction} connection to peer (${socketTypeName(this.socketType)})`
  }
}

export declare namespace PeerConnectAlert {
  type Direction = (typeof DIRECTION)[keyof typeof DIRECTION]
}

/** A peer has closed the connection, or we have. */
export class PeerDisconnectedAlert extends PeerAlert {
  static override readonly alertType = 24
  static override readonly staticCategory: number = AlertCategory.connect
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** What was being done. */
  readonly op: Operation
  readonly socketType: SocketType
  /** Why. */
  readonly error: ErrorCode
  /** The reason that was given over uTP or in the extension protocol. */
  readonly reason: CloseReason

  constructor(
    torrent: AlertTorrent,
    ep: Endpoint,
    pid: Sha1Hash,
    op: Operation,
    socketType: SocketType,
    error: ErrorCode,
    reason: CloseReason,
  ) {
    super(torrent, ep, pid)
    this.op = op
    this.socketType = socketType
    this.error = error
    this.reason = reason
  }

  override message(): string {
    return `${super.message()} disconnecting (${socketTypeName(this.socketType)}) [${operationName(this.op)}] [${this.error.category().name()}]: ${this.error.message()} (reason: ${this.reason})`
  }
}

/** The peer asked for something that it may not ask for, or that does not exist. */
export class InvalidRequestAlert extends PeerAlert {
  static override readonly alertType = 25
  static override readonly staticCategory: number = AlertCategory.peer
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly request: PeerRequest
  /** Whether we have the piece. */
  readonly weHave: boolean
  /** Whether the peer had said that it is interested. */
  readonly peerInterested: boolean
  /** Whether super seeding hides the piece from this peer. */
  readonly withheld: boolean

  constructor(
    torrent: AlertTorrent,
    ep: Endpoint,
    pid: Sha1Hash,
    request: PeerRequest,
    weHave: boolean,
    peerInterested: boolean,
    withheld: boolean,
  ) {
    super(torrent, ep, pid)
    this.request = request
    this.weHave = weHave
    this.peerInterested = peerInterested
    this.withheld = withheld
  }

  override message(): string {
    const { piece, start, length } = this.request
    const why = this.withheld
      ? ': super seeding withheld piece'
      : !this.weHave
        ? ": we don't have piece"
        : !this.peerInterested
          ? ': peer is not interested'
          : ''
    return `${super.message()} peer sent an invalid piece request (piece: ${piece} start: ${start} len: ${length})${why}`
  }
}

/** The peer rejected a block that we had asked for. */
export class RequestDroppedAlert extends PeerAlert {
  static override readonly alertType = 28
  static override readonly staticCategory: number = AlertCategory.peer | AlertCategory.blockProgress
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly pieceIndex: number
  /** Block in the piece, of 16 KiB. */
  readonly blockIndex: number

  constructor(torrent: AlertTorrent, ep: Endpoint, pid: Sha1Hash, blockIndex: number, pieceIndex: number) {
    super(torrent, ep, pid)
    this.pieceIndex = pieceIndex
    this.blockIndex = blockIndex
  }

  override message(): string {
    return `${super.message()} peer dropped block ( piece: ${this.pieceIndex} block: ${this.blockIndex})`
  }
}

/** A block that we had asked for did not come in time. */
export class BlockTimeoutAlert extends PeerAlert {
  static override readonly alertType = 29
  static override readonly staticCategory: number = AlertCategory.peer | AlertCategory.blockProgress
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly pieceIndex: number
  /** Block in the piece, of 16 KiB. */
  readonly blockIndex: number

  constructor(torrent: AlertTorrent, ep: Endpoint, pid: Sha1Hash, blockIndex: number, pieceIndex: number) {
    super(torrent, ep, pid)
    this.pieceIndex = pieceIndex
    this.blockIndex = blockIndex
  }

  override message(): string {
    return `${super.message()} peer timed out request ( piece: ${this.pieceIndex} block: ${this.blockIndex})`
  }
}

/** A block is complete. */
export class BlockFinishedAlert extends PeerAlert {
  static override readonly alertType = 30
  static override readonly staticCategory: number = AlertCategory.blockProgress
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly pieceIndex: number
  /** Block in the piece, of 16 KiB. */
  readonly blockIndex: number

  constructor(torrent: AlertTorrent, ep: Endpoint, pid: Sha1Hash, blockIndex: number, pieceIndex: number) {
    super(torrent, ep, pid)
    this.pieceIndex = pieceIndex
    this.blockIndex = blockIndex
  }

  override message(): string {
    return `${super.message()} block finished downloading (piece: ${this.pieceIndex} block: ${this.blockIndex})`
  }
}

/** A block was requested from the peer. */
export class BlockDownloadingAlert extends PeerAlert {
  static override readonly alertType = 31
  static override readonly staticCategory: number = AlertCategory.blockProgress
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly pieceIndex: number
  /** Block in the piece, of 16 KiB. */
  readonly blockIndex: number

  constructor(torrent: AlertTorrent, ep: Endpoint, pid: Sha1Hash, blockIndex: number, pieceIndex: number) {
    super(torrent, ep, pid)
    this.pieceIndex = pieceIndex
    this.blockIndex = blockIndex
  }

  override message(): string {
    return `${super.message()} requested block (piece: ${this.pieceIndex} block: ${this.blockIndex})`
  }
}

/** The peer sent a block that we had not asked for. */
export class UnwantedBlockAlert extends PeerAlert {
  static override readonly alertType = 32
  static override readonly staticCategory: number = AlertCategory.peer
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly pieceIndex: number
  /** Block in the piece, of 16 KiB. */
  readonly blockIndex: number

  constructor(torrent: AlertTorrent, ep: Endpoint, pid: Sha1Hash, blockIndex: number, pieceIndex: number) {
    super(torrent, ep, pid)
    this.pieceIndex = pieceIndex
    this.blockIndex = blockIndex
  }

  override message(): string {
    return `${super.message()} received block not in download queue (piece: ${this.pieceIndex} block: ${this.blockIndex})`
  }
}

/** A block was sent to the peer. */
export class BlockUploadedAlert extends PeerAlert {
  static override readonly alertType = 94
  static override readonly staticCategory: number = AlertCategory.upload
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly pieceIndex: number
  /** Block in the piece, of 16 KiB. */
  readonly blockIndex: number

  constructor(torrent: AlertTorrent, ep: Endpoint, pid: Sha1Hash, blockIndex: number, pieceIndex: number) {
    super(torrent, ep, pid)
    this.pieceIndex = pieceIndex
    this.blockIndex = blockIndex
  }

  override message(): string {
    return `${super.message()} block uploaded to a peer (piece: ${this.pieceIndex} block: ${this.blockIndex})`
  }
}

/** A peer was not let in, or not connected to. */
export class PeerBlockedAlert extends PeerAlert {
  static override readonly alertType = 54
  static override readonly staticCategory: number = AlertCategory.ipBlock
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly reason: PeerBlockedReason

  constructor(torrent: AlertTorrent, ep: Endpoint, reason: PeerBlockedReason) {
    super(torrent, ep, NO_PEER_ID)
    this.reason = reason
  }

  override message(): string {
    return `${super.message()}: blocked peer [${BLOCK_REASONS[this.reason] ?? ''}]`
  }
}

/** A peer was found by local service discovery. */
export class LsdPeerAlert extends PeerAlert {
  static override readonly alertType = 60
  static override readonly staticCategory: number = AlertCategory.peer
  static override readonly priority: AlertPriority = AlertPriority.normal

  constructor(torrent: AlertTorrent, ep: Endpoint) {
    super(torrent, ep, NO_PEER_ID)
  }

  override message(): string {
    return `${super.message()}: received peer from local service discovery`
  }
}

/** The peer asks for a block. */
export class IncomingRequestAlert extends PeerAlert {
  static override readonly alertType = 84
  static override readonly staticCategory: number = AlertCategory.incomingRequest
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly req: PeerRequest

  constructor(torrent: AlertTorrent, ep: Endpoint, pid: Sha1Hash, req: PeerRequest) {
    super(torrent, ep, pid)
    this.req = req
  }

  override message(): string {
    return `${super.message()}: incoming request [ piece: ${this.req.piece} start: ${this.req.start} length: ${this.req.length} ]`
  }
}
