/** Alerts about one torrent: its state, its pieces, and answers to questions about it. */

import type { InfoHash } from '../core/digest.ts'
import { AlertCategory, AlertPriority, PerformanceWarning } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import type { BlockInfo, PartialPieceInfo } from '../core/partial-piece-info.ts'
import type { AddTorrentParams } from '../metainfo/add-torrent-params.ts'
import type { TorrentInfo } from '../metainfo/torrent-info.ts'
import type { PeerInfo } from '../peer/peer-info.ts'
import type { TorrentHandle } from '../session/torrent-handle.ts'
import type { TorrentStatus } from '../torrent/torrent-status.ts'
import type { AnnounceEntry } from '../tracker/announce-entry.ts'
import { type AlertTorrent, hashPrefix, TorrentAlert } from './alert.ts'

const STATES: readonly string[] = [
  'checking (q)',
  'checking',
  'dl metadata',
  'downloading',
  'finished',
  'seeding',
  'allocating',
  'checking (r)',
]

const WARNINGS: Readonly<Record<number, string>> = {
  [PerformanceWarning.outstandingDiskBufferLimitReached]: 'max outstanding disk writes reached',
  [PerformanceWarning.outstandingRequestLimitReached]: 'max outstanding piece requests reached',
  [PerformanceWarning.uploadLimitTooLow]: 'upload limit too low (download rate will suffer)',
  [PerformanceWarning.downloadLimitTooLow]: 'download limit too low (upload rate will suffer)',
  [PerformanceWarning.sendBufferWatermarkTooLow]: 'send buffer watermark too low (upload rate will suffer)',
  [PerformanceWarning.tooManyOptimisticUnchokeSlots]: 'too many optimistic unchoke slots',
  [PerformanceWarning.tooHighDiskQueueLimit]:
    'the disk queue limit is too high compared to the cache size. The disk queue eats into the cache size',
  [PerformanceWarning.aioLimitReached]: 'outstanding AIO operations limit reached',
  [PerformanceWarning.tooFewOutgoingPorts]: 'too few ports allowed for outgoing connections',
  [PerformanceWarning.tooFewFileDescriptors]:
    'too few file descriptors are allowed for this process. connection limit lowered',
}

/** The torrent has left the session: its handle is not valid any more. */
export class TorrentRemovedAlert extends TorrentAlert {
  static override readonly alertType = 4
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.critical
  readonly infoHashes: InfoHash
  /** What the program gave along when it added the torrent. */
  readonly userdata: unknown

  constructor(torrent: AlertTorrent, infoHashes: InfoHash, userdata: unknown) {
    super(torrent)
    this.infoHashes = infoHashes
    this.userdata = userdata
  }

  override message(): string {
    return `${hashPrefix(this.infoHashes)} removed`
  }
}

/** The torrent went on to another state of its life. */
export class StateChangedAlert extends TorrentAlert {
  static override readonly alertType = 10
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.high
  /** The state it is in now. */
  readonly state: TorrentStatus.State
  /** The state it was in before. */
  readonly prevState: TorrentStatus.State

  constructor(torrent: AlertTorrent, state: TorrentStatus.State, prevState: TorrentStatus.State) {
    super(torrent)
    this.state = state
    this.prevState = prevState
  }

  override message(): string {
    return `${super.message()}: state changed to: ${STATES[this.state] ?? ''}`
  }
}

/** A piece that was downloaded does not have the hash it must have; it is downloaded again. */
export class HashFailedAlert extends TorrentAlert {
  static override readonly alertType = 18
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly pieceIndex: number

  constructor(torrent: AlertTorrent, pieceIndex: number) {
    super(torrent)
    this.pieceIndex = pieceIndex
  }

  override message(): string {
    return `${super.message()} hash for piece ${this.pieceIndex} failed`
  }
}

/** Every wanted piece is there and checked. */
export class TorrentFinishedAlert extends TorrentAlert {
  static override readonly alertType = 26
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.high

  override message(): string {
    return `${super.message()} torrent finished downloading`
  }
}

/** A piece is complete and has passed its hash check. */
export class PieceFinishedAlert extends TorrentAlert {
  static override readonly alertType = 27
  static override readonly staticCategory: number = AlertCategory.pieceProgress
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly pieceIndex: number

  constructor(torrent: AlertTorrent, pieceIndex: number) {
    super(torrent)
    this.pieceIndex = pieceIndex
  }

  override message(): string {
    return `${super.message()} piece: ${this.pieceIndex} finished downloading`
  }
}

/** The torrent has paused and all its connections are closed. */
export class TorrentPausedAlert extends TorrentAlert {
  static override readonly alertType = 39
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.high

  override message(): string {
    return `${super.message()} paused`
  }
}

/** The torrent was paused and goes on. */
export class TorrentResumedAlert extends TorrentAlert {
  static override readonly alertType = 40
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.high

  override message(): string {
    return `${super.message()} resumed`
  }
}

/** The files on disk have been compared with the hashes; what is missing will be downloaded. */
export class TorrentCheckedAlert extends TorrentAlert {
  static override readonly alertType = 41
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.high

  override message(): string {
    return `${super.message()} checked`
  }
}

/** The torrent has stopped because of an error. */
export class TorrentErrorAlert extends TorrentAlert {
  static override readonly alertType = 64
  static override readonly staticCategory: number = AlertCategory.error | AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.high
  /** What went wrong. */
  readonly error: ErrorCode
  readonly #filename: string

  constructor(torrent: AlertTorrent, error: ErrorCode, filename: string) {
    super(torrent)
    this.error = error
    this.#filename = filename
  }

  /** The file the error is about, if any. */
  filename(): string {
    return this.#filename
  }

  override message(): string {
    const text = this.error.failed() ? `(${this.error.value()} ${this.error.message()}) ` : ''
    return `${super.message()} ERROR: ${text}${this.#filename}`
  }
}

/** An SSL torrent cannot start before it is given a certificate. */
export class TorrentNeedCertAlert extends TorrentAlert {
  static override readonly alertType = 65
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.critical

  override message(): string {
    return `${super.message()} needs SSL certificate`
  }
}

/** A torrent was added, or could not be. */
export class AddTorrentAlert extends TorrentAlert {
  static override readonly alertType = 67
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** What it was added with. */
  readonly params: AddTorrentParams
  /** Why it was not added, if it was not. */
  readonly error: ErrorCode

  constructor(torrent: AlertTorrent, params: AddTorrentParams, error: ErrorCode) {
    super(torrent)
    this.params = params
    this.error = error
  }

  override message(): string {
    const { ti, name, infoHashes } = this.params
    const shown = ti ? ti.name() : name !== '' ? name : infoHashes.getBest().toString()
    return this.error.failed()
      ? `failed to add torrent "${shown}": [${this.error.category().name()}] ${this.error.message()}`
      : `added torrent: ${shown}`
  }
}

/** Metadata that peers sent does not have the info-hash of the magnet link, or is malformed. */
export class MetadataFailedAlert extends TorrentAlert {
  static override readonly alertType = 44
  static override readonly staticCategory: number = AlertCategory.error
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** What went wrong. */
  readonly error: ErrorCode

  constructor(torrent: AlertTorrent, error: ErrorCode) {
    super(torrent)
    this.error = error
  }

  override message(): string {
    return `${super.message()} invalid metadata received`
  }
}

/** The metadata of a magnet link is complete. */
export class MetadataReceivedAlert extends TorrentAlert {
  static override readonly alertType = 45
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.normal

  override message(): string {
    return `${super.message()} metadata successfully received`
  }
}

/** A limit or setting holds transfers back. */
export class PerformanceAlert extends TorrentAlert {
  static override readonly alertType = 9
  static override readonly staticCategory: number = AlertCategory.performanceWarning
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly warningCode: PerformanceWarning

  constructor(torrent: AlertTorrent, warningCode: PerformanceWarning) {
    super(torrent)
    this.warningCode = warningCode
  }

  override message(): string {
    return `${super.message()}: performance warning: ${WARNINGS[this.warningCode] ?? ''}`
  }
}

/** A hybrid torrent turned out to be the same as another one in the session: both stop. */
export class TorrentConflictAlert extends TorrentAlert {
  static override readonly alertType = 99
  static override readonly staticCategory: number = AlertCategory.error
  static override readonly priority: AlertPriority = AlertPriority.high
  /** The other torrent. */
  readonly conflictingTorrent: TorrentHandle
  /** What was received: add it again after both were removed. */
  readonly metadata: TorrentInfo

  constructor(torrent: AlertTorrent, conflictingTorrent: TorrentHandle, metadata: TorrentInfo) {
    super(torrent)
    this.conflictingTorrent = conflictingTorrent
    this.metadata = metadata
  }

  override message(): string {
    return `${super.message()} has a conflict with another torrent`
  }
}

/** Answers `postPeerInfo()`. */
export class PeerInfoAlert extends TorrentAlert {
  static override readonly alertType = 100
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** The connected peers. */
  readonly peerInfo: readonly PeerInfo[]

  constructor(torrent: AlertTorrent, peerInfo: readonly PeerInfo[]) {
    super(torrent)
    this.peerInfo = peerInfo
  }

  override message(): string {
    return `${super.message()} peer_info`
  }
}

/** Answers `postDownloadQueue()`. */
export class PieceInfoAlert extends TorrentAlert {
  static override readonly alertType = 102
  static override readonly staticCategory: number = AlertCategory.pieceProgress
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** The pieces that are being downloaded. */
  readonly pieceInfo: readonly PartialPieceInfo[]
  /** Their blocks, one piece after the other. */
  readonly blockData: readonly BlockInfo[]

  constructor(torrent: AlertTorrent, pieceInfo: readonly PartialPieceInfo[], blockData: readonly BlockInfo[]) {
    super(torrent)
    this.pieceInfo = pieceInfo
    this.blockData = blockData
  }

  override message(): string {
    return `${super.message()} piece_info`
  }
}

/** Answers `postPieceAvailability()`. */
export class PieceAvailabilityAlert extends TorrentAlert {
  static override readonly alertType = 103
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.critical
  /** How many peers have each piece. */
  readonly pieceAvailability: readonly number[]

  constructor(torrent: AlertTorrent, pieceAvailability: readonly number[]) {
    super(torrent)
    this.pieceAvailability = pieceAvailability
  }

  override message(): string {
    return `${super.message()} piece_availability`
  }
}

/** Answers `postTrackers()`. */
export class TrackerListAlert extends TorrentAlert {
  static override readonly alertType = 104
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.critical
  readonly trackers: readonly AnnounceEntry[]

  constructor(torrent: AlertTorrent, trackers: readonly AnnounceEntry[]) {
    super(torrent)
    this.trackers = trackers
  }

  override message(): string {
    return `${super.message()} tracker_list`
  }
}
