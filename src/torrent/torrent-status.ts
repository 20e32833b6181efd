/** A snapshot of one torrent, as `TorrentHandle.status()` gives it. */

import { InfoHash } from '../core/digest.ts'
import type { StorageMode } from '../core/enums.ts'
import { ErrorCode } from '../core/error-code.ts'
import type { RenamedFiles } from '../metainfo/renamed-files.ts'
import type { TorrentInfo } from '../metainfo/torrent-info.ts'
import type { TorrentHandle } from '../session/torrent-handle.ts'

const STATE = Object.freeze({
  checkingFiles: 1,
  downloadingMetadata: 2,
  downloading: 3,
  finished: 4,
  seeding: 5,
  checkingResumeData: 7,
} as const)

/** What a torrent is doing, how far it is, and how fast. Sizes are bytes, rates bytes per second. */
export class TorrentStatus {
  static readonly State = STATE
  static readonly errorFilePartfile = -6
  static readonly errorFileException = -5
  static readonly errorFileMetadata = -4
  static readonly errorFileSslCtx = -3
  static readonly errorFileNone = -1
  static readonly checkingFiles = 1
  static readonly downloadingMetadata = 2
  static readonly downloading = 3
  static readonly finished = 4
  static readonly seeding = 5
  static readonly checkingResumeData = 7

  /** Seconds it was not paused. */
  activeDuration: number = 0
  addedTime: number = 0
  allTimeDownload: number = 0
  allTimeUpload: number = 0
  announcingToDht: boolean = false
  announcingToLsd: boolean = false
  announcingToTrackers: boolean = false
  blockSize: number = 0
  completedTime: number = 0
  connectCandidates: number = 0
  connectionsLimit: number = 0
  currentTracker: string = ''
  /** -1 without a picker. */
  distributedCopies: number = 0
  distributedFraction: number = 0
  distributedFullCopies: number = 0
  downBandwidthQueue: number = 0
  downloadLimit: number = -1
  downloadPayloadRate: number = 0
  downloadRate: number = 0
  /** The error that stopped it. */
  errc: ErrorCode = new ErrorCode()
  /** File the error is about, or one of the `errorFile...` constants. */
  errorFile: number = -1
  /** Seconds it was finished and not paused. */
  finishedDuration: number = 0
  /** `TorrentFlags`. */
  flags: number = 0
  handle: TorrentHandle | null = null
  hasIncoming: boolean = false
  hasMetadata: boolean = false
  infoHashes: InfoHash = new InfoHash()
  isFinished: boolean = false
  isSeeding: boolean = false
  /** When payload last came; `null`: never. */
  lastDownload: Date | null = null
  lastSeenComplete: number = 0
  /** When payload was last sent; `null`: never. */
  lastUpload: Date | null = null
  listPeers: number = 0
  listSeeds: number = 0
  movingStorage: boolean = false
  name: string = ''
  /** `TorrentHandle.if...` bits: what changed since the last resume data. */
  needSaveResumeData: number = 0
  /** Seconds to the next tracker announce. */
  nextAnnounce: number = 0
  /** Seeds by the tracker; -1 unknown. */
  numComplete: number = -1
  numConnections: number = 0
  /** Downloaders by the tracker; -1 unknown. */
  numIncomplete: number = -1
  numPeers: number = 0
  numPieces: number = 0
  numSeeds: number = 0
  numUploads: number = 0
  /** Pieces that are there; filled with `queryPieces`. */
  pieces: boolean[] = []
  /** 0 to 1 of what is wanted, or of the check. */
  progress: number = 0
  /** 0 to 1,000,000. */
  progressPpm: number = 0
  /** -1 if not queued. */
  queuePosition: number = 0
  renamedFiles: RenamedFiles | null = null
  savePath: string = ''
  seedRank: number = 0
  /** Seconds it was seeding and not paused. */
  seedingDuration: number = 0
  state: TorrentStatus.State = 7
  storageMode: StorageMode = 1
  torrentFile: TorrentInfo | null = null
  /** Size of all files but pad files, bytes. */
  total: number = 0
  /** Bytes of pieces that are there, wanted or not. */
  totalDone: number = 0
  totalDownload: number = 0
  /** Bytes downloaded that failed their hash. */
  totalFailedBytes: number = 0
  totalPayloadDownload: number = 0
  totalPayloadUpload: number = 0
  /** Bytes downloaded more than once. */
  totalRedundantBytes: number = 0
  totalUpload: number = 0
  /** Bytes of wanted pieces, pad files not counted. */
  totalWanted: number = 0
  /** Bytes of wanted pieces that are there. */
  totalWantedDone: number = 0
  upBandwidthQueue: number = 0
  uploadLimit: number = -1
  uploadPayloadRate: number = 0
  uploadRate: number = 0
  uploadsLimit: number = 0
  /** Seed mode: pieces checked so far; filled with `queryVerifiedPieces`. */
  verifiedPieces: boolean[] = []

  /** True if both are of the same torrent. */
  equals(other: TorrentStatus): boolean {
    return this.handle === other.handle
  }
}

/** Types that belong to the class of the same name. */
export declare namespace TorrentStatus {
  /** `checkingFiles` ... `checkingResumeData`. */
  type State = (typeof STATE)[keyof typeof STATE]
}
