/** What all alerts have: a type, a time, a category and a text; and those of them that concern a torrent, a peer, a tracker. */

import { bytesToHex } from '../core/bytes.ts'
import { type InfoHash, Sha1Hash } from '../core/digest.ts'
import { type Endpoint, endpointToString } from '../core/endpoint.ts'
import { AlertCategory, AlertPriority, ProtocolVersion, type SocketType } from '../core/enums.ts'
import type { TorrentHandle } from '../session/torrent-handle.ts'
import { ALERT_NAMES } from './alert-names.ts'

/** What the class of an alert tells without an instance. */
export interface AlertStatics {
  /** libtorrent's number for the type. */
  readonly alertType: number
  /** `AlertCategory` bits: the alert is posted if the mask has one of them. 0 if it answers a call, then always. */
  readonly staticCategory: number
  /** How far the queue may be over its limit for an alert of this type to be kept. */
  readonly priority: AlertPriority
}

/** The class of an alert. */
export type AlertClass<T extends Alert = Alert> = AlertStatics & { readonly prototype: T }

/**
 * Something that happened in a session.
 *
 * An alert does not change after it was posted, and stays valid when the torrent or peer is gone.
 */
export abstract class Alert {
  static readonly alertType: number = -1
  static readonly staticCategory: number = 0
  static readonly priority: AlertPriority = AlertPriority.normal

  // the names of the categories in libtorrent before 1.2, which programs still use
  static readonly errorNotification = AlertCategory.error
  static readonly peerNotification = AlertCategory.peer
  static readonly portMappingNotification = AlertCategory.portMapping
  static readonly storageNotification = AlertCategory.storage
  static readonly trackerNotification = AlertCategory.tracker
  static readonly connectNotification = AlertCategory.connect
  static readonly statusNotification = AlertCategory.status
  static readonly ipBlockNotification = AlertCategory.ipBlock
  static readonly performanceWarning = AlertCategory.performanceWarning
  static readonly dhtNotification = AlertCategory.dht
  static readonly sessionLogNotification = AlertCategory.sessionLog
  static readonly torrentLogNotification = AlertCategory.torrentLog
  static readonly peerLogNotification = AlertCategory.peerLog
  static readonly incomingRequestNotification = AlertCategory.incomingRequest
  static readonly dhtLogNotification = AlertCategory.dhtLog
  static readonly dhtOperationNotification = AlertCategory.dhtOperation
  static readonly portMappingLogNotification = AlertCategory.portMappingLog
  static readonly pickerLogNotification = AlertCategory.pickerLog
  static readonly fileProgressNotification = AlertCategory.fileProgress
  static readonly pieceProgressNotification = AlertCategory.pieceProgress
  static readonly uploadNotification = AlertCategory.upload
  static readonly blockProgressNotification = AlertCategory.blockProgress
  static readonly allCategories = AlertCategory.all

  #postedAt = 0

  /** When it was posted. */
  timestamp(): Date {
    return new Date(this.#postedAt)
  }

  /** libtorrent's number for the type: `PieceFinishedAlert.alertType`. */
  type(): number {
    return (this.constructor as unknown as AlertStatics).alertType
  }

  /** The name of the type, without `_alert`: `piece_finished`. */
  what(): string {
    return ALERT_NAMES[this.type()] ?? ''
  }

  /** `AlertCategory` bits. */
  category(): number {
    return (this.constructor as unknown as AlertStatics).staticCategory
  }

  /** What happened, in words. Built at each call. */
  message(): string {
    return ''
  }

  toString(): string {
    return this.message()
  }

  /** @param time when it is posted, in milliseconds since 1970 @internal */
  stamp(time: number): void {
    this.#postedAt = time
  }
}

/** What an alert keeps of the torrent it is about; a torrent is one. */
export interface AlertTorrent {
  /** Not valid if the alert is about no torrent in particular. */
  readonly handle: TorrentHandle
  readonly infoHashes: InfoHash
}

/** Something that happened to a torrent. */
export abstract class TorrentAlert extends Alert {
  /** May be invalid by now, or if the alert is about no torrent in particular. */
  readonly handle: TorrentHandle
  readonly #infoHashes: InfoHash

  constructor(torrent: AlertTorrent) {
    super()
    this.handle = torrent.handle
    this.#infoHashes = torrent.infoHashes
  }

  /** The beginning of the info-hash, which classes put in front of their own text. */
  override message(): string {
    return hashPrefix(this.#infoHashes)
  }
}

const ENDPOINT_TYPE = Object.freeze({ ipEndpoint: 0, i2pEndpoint: 1 } as const)

/** Something that happened with a peer of a torrent. */
export abstract class PeerAlert extends TorrentAlert {
  static readonly EndpointType = ENDPOINT_TYPE

  readonly ep: Endpoint
  /** All zeros as long as it is not known. */
  readonly pid: Sha1Hash

  constructor(torrent: AlertTorrent, ep: Endpoint, pid: Sha1Hash) {
    super(torrent)
    this.ep = ep
    this.pid = pid
  }

  override message(): string {
    return `${super.message()} peer ${endpointToString(this.ep)}`
  }
}

/** Something that happened with a tracker of a torrent. */
export abstract class TrackerAlert extends TorrentAlert {
  /** The listen socket that the announce is for. */
  readonly localEndpoint: Endpoint
  /** Which of the info-hashes of a hybrid torrent was announced. */
  readonly version: ProtocolVersion
  readonly #url: string

  constructor(torrent: AlertTorrent, localEndpoint: Endpoint, version: ProtocolVersion, url: string) {
    super(torrent)
    this.localEndpoint = localEndpoint
    this.version = version
    this.#url = url
  }

  trackerUrl(): string {
    return this.#url
  }

  override message(): string {
    const version = this.version === ProtocolVersion.V1 ? 'v1' : 'v2'
    return `${super.message()} (${this.#url})[${endpointToString(this.localEndpoint)}-${version}]`
  }
}

/** Types of alerts there are; ids of types are below it. */
export const numAlertTypes = 107
/** Ids that programs may give to alert types of their own begin here. */
export const userAlertId = 10000

/** The alert as this type, or `null` if it is of another one. */
export function alertCast<T extends Alert>(alert: Alert, type: AlertClass<T>): T | null {
  return alert.type() === type.alertType ? (alert as T) : null
}

/** How alerts name a torrent: six hex digits of its info-hash, the v2 one if there is one. @internal */
export function hashPrefix(infoHashes: InfoHash): string {
  if (infoHashes.hasV2()) return bytesToHex(infoHashes.v2.view().subarray(0, 3))
  if (infoHashes.hasV1()) return bytesToHex(infoHashes.v1.view().subarray(0, 3))
  return '------'
}

/** Indexed by `SocketType`. */
const SOCKET_TYPES: readonly string[] = [
  'TCP',
  'Socks5',
  'HTTP',
  'uTP',
  'I2P',
  'RTC',
  'SSL/TCP',
  'SSL/Socks5',
  'SSL/HTTP',
  'SSL/uTP',
]

/** @internal */
export function socketTypeName(type: SocketType): string {
  return SOCKET_TYPES[type] ?? ''
}

/** For alerts about a peer that has not said its id. @internal */
export const NO_PEER_ID = new Sha1Hash()

/** For alerts about no socket in particular. @internal */
export const NO_ENDPOINT: Endpoint = ['0.0.0.0', 0]
