/** A tracker of a torrent as the API shows it: its URL, tier, and its state per listen socket and info-hash kind. */

import type { Endpoint } from '../core/endpoint.ts'
import { ErrorCode } from '../core/error-code.ts'

/** The state of one tracker for one listen socket and one info-hash. */
export interface AnnounceInfohash {
  /** The tracker's words in its last answer: a warning, or why it refused. */
  message: string
  lastError: ErrorCode
  /** When the next announce is due; `null` if none was made yet. */
  nextAnnounce: Date | null
  /** Before this not even a forced announce is made. */
  minAnnounce: Date | null
  /** From the last scrape or announce; -1 for unknown, as the next two. */
  scrapeIncomplete: number
  scrapeComplete: number
  scrapeDownloaded: number
  /** Failures in a row. */
  fails: number
  /** An announce is in flight. */
  updating: boolean
  startSent: boolean
  completeSent: boolean
  triggeredManually: boolean
}

/** The state of one tracker for one listen socket. */
export interface AnnounceEndpoint {
  localEndpoint: Endpoint
  enabled: boolean
  /** Indexed by `ProtocolVersion`. */
  infoHashes: [v1: AnnounceInfohash, v2: AnnounceInfohash]
}

/** A tracker in a torrent's list. Changing one that `trackers()` returned changes nothing until it is given back. */
export class AnnounceEntry {
  url: string
  trackerid = ''
  endpoints: AnnounceEndpoint[] = []
  /** 0 to 255; lower tiers are tried first. */
  tier = 0
  /** Gives the tracker up after that many failures in a row; 0 is never. */
  failLimit = 0
  /** Who named it: an OR of `TrackerSource` values. */
  source = 0
  /** It has answered at least once. */
  verified = false

  constructor(url = '') {
    this.url = url
  }
}

/** State before anything happened. */
export function freshInfohash(): AnnounceInfohash {
  return {
    message: '',
    lastError: new ErrorCode(),
    nextAnnounce: null,
    minAnnounce: null,
    scrapeIncomplete: -1,
    scrapeComplete: -1,
    scrapeDownloaded: -1,
    fails: 0,
    updating: false,
    startSent: false,
    completeSent: false,
    triggeredManually: false,
  }
}
