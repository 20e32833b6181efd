/** Who may download from us: the ordering of peers, and the two rounds that hand out unchoke slots. */

import { ChokingAlgorithm, SeedChokingAlgorithm } from '../core/enums.ts'

/** What the ordering reads of a peer. */
export interface ChokePeer {
  /** Of its peer classes, for upload: higher is served first. */
  readonly uploadPriority: number
  /** Payload bytes since the last round. */
  readonly downloadedInLastRound: number
  readonly uploadedInLastRound: number
  /** Payload bytes since it was last unchoked. */
  readonly uploadedSinceUnchoked: number
  /** Clock, ms. */
  readonly timeOfLastUnchoke: number
  /** We choke it. */
  readonly isChoked: boolean
  /** Payload bytes of the connection. */
  readonly totalPayloadUpload: number
  readonly numHavePieces: number
  /** Of its torrent. */
  readonly pieceLength: number
  readonly totalSize: number
}

/** What the rounds read besides. */
export interface UnchokePeer extends ChokePeer {
  /** A peer class exempts it: it is unchoked whenever it asks, without a slot. */
  readonly ignoresSlots: boolean
  readonly isWebSeed: boolean
  readonly isTorrentPaused: boolean
  /** The metadata of its torrent is known. */
  readonly hasMetadata: boolean
  readonly isInterested: boolean
  readonly isConnecting: boolean
  readonly isDisconnecting: boolean
  readonly isOptimisticallyUnchoked: boolean
  /** Its torrent may unchoke one more peer (`max_uploads`). */
  readonly hasFreeUploadSlot: boolean
  /** Session time in seconds. */
  readonly lastOptimisticallyUnchoked: number
}

/** Settings the choker reads; `SessionSettings` is one. */
export interface ChokeSettings {
  readonly chokingAlgorithm: ChokingAlgorithm
  readonly seedChokingAlgorithm: SeedChokingAlgorithm
  /** Below 0: no limit. */
  readonly unchokeSlotsLimit: number
  /** Bytes per second. */
  readonly rateChokerInitialThreshold: number
  /** Pieces per turn of the round robin. */
  readonly seedingPieceQuota: number
  /** 0: a fifth of the slots. */
  readonly numOptimisticUnchokeSlots: number
}

/** What a round does to peers. */
export interface ChokeActions<T> {
  /** @returns false if the torrent has no slot for it; it keeps its turn for the next round */
  unchoke(peer: T): boolean
  choke(peer: T): void
  /** It is unchoked for good or choked: no longer an optimistic unchoke. */
  endOptimistic(peer: T): void
  /** The byte counts of a round start over. */
  resetRound(peer: T): void
}

/** What came of a round. */
export interface UnchokeRound {
  /** Slots there are now, optimistic ones included; `Infinity` for no limit. */
  readonly slots: number
  /** Peers that competed. */
  readonly eligible: number
  /** An optimistic slot became free: the optimistic round is due now. */
  readonly optimisticDue: boolean
}

const QUOTA_TIME_MS = 60_000
const RATE_STEP = 2048
const OPTIMISTIC_SHARE = 5

/**
 * Sorts peers so that those to unchoke come first.
 *
 * @param intervalMs since the last round, for rates
 * @param now        clock, ms
 * @returns          number of slots: the setting, or for the rate based choker how many peers take
 *                   our upload at rates worth a slot; `Infinity` for no limit
 */
export function unchokeSort<T extends ChokePeer>(
  peers: T[],
  intervalMs: number,
  settings: ChokeSettings,
  now: number,
): number {
  let slots = settings.unchokeSlotsLimit < 0 ? Number.POSITIVE_INFINITY : settings.unchokeSlotsLimit
  if (settings.chokingAlgorithm === ChokingAlgorithm.rateBasedChoker)
    slots = rateBasedSlots(peers, intervalMs, settings)
  // Served in equal measure peers would keep the order the array happens to have: equal ones must not starve.
  if (settings.seedChokingAlgorithm === SeedChokingAlgorithm.fastestUpload) peers.sort(compareFastestUpload)
  else if (settings.seedChokingAlgorithm === SeedChokingAlgorithm.antiLeech) peers.sort(compareAntiLeech)
  else peers.sort((a, b) => compareRoundRobin(a, b, settings.seedingPieceQuota, now))
  return slots
}

/**
 * How many pieces a peer has, and has been given, as a score: highest for peers that have just begun and for
 * those about to finish, lowest in the middle. A peer that hides what it has scores by what it was given.
 *
 * @returns 0 to 1000
 */
export function antiLeechScore(peer: ChokePeer): number {
  const { totalSize } = peer
  if (totalSize === 0) return 0
  const given = Math.min(peer.totalPayloadUpload, Math.floor(totalSize / 2))
  const have = Math.max(given, peer.pieceLength * peer.numHavePieces)
  return Math.floor(Math.abs(((have - Math.floor(totalSize / 2)) * 2000) / totalSize))
}

/**
 * The unchoke round: takes all connections of the session, hands the slots to the best and chokes the rest.
 * Optimistic unchokes keep theirs.
 *
 * @param numOptimistic peers unchoked optimistically now
 */
export function recalculateUnchokeSlots<T extends UnchokePeer>(
  connections: Iterable<T>,
  intervalMs: number,
  settings: ChokeSettings,
  now: number,
  numOptimistic: number,
  actions: ChokeActions<T>,
): UnchokeRound {
  if (everybodyIsUnchoked(settings)) return { slots: Number.POSITIVE_INFINITY, eligible: 0, optimisticDue: false }
  let optimisticDue = false
  const lose = (peer: T): void => {
    if (!peer.isOptimisticallyUnchoked) return
    actions.endOptimistic(peer)
    numOptimistic--
    optimisticDue = true
  }
  const peers: T[] = []
  for (const peer of connections) {
    if (peer.ignoresSlots || peer.isWebSeed || peer.isTorrentPaused) actions.resetRound(peer)
    else if (peer.isInterested && !peer.isDisconnecting && !peer.isConnecting) peers.push(peer)
    else {
      if (!peer.isChoked) {
        lose(peer)
        actions.choke(peer)
      }
      actions.resetRound(peer)
    }
  }
  const slots = unchokeSort(peers, intervalMs, settings, now)
  let left = slots - (numOptimistic > 0 ? numOptimistic : optimisticShare(slots))
  for (const peer of peers) {
    if (left > 0) {
      if (!peer.isChoked || actions.unchoke(peer)) {
        left--
        lose(peer)
      }
    } else if (!peer.isChoked && !peer.isOptimisticallyUnchoked) actions.choke(peer)
    actions.resetRound(peer)
  }
  return { slots, eligible: peers.length, optimisticDue }
}

/** What the optimistic round decided; apply in this order. */
export interface OptimisticRound<T> {
  /** To be unchoked optimistically. */
  readonly unchoke: readonly T[]
  /** Optimistic unchokes that have another round. */
  readonly keep: readonly T[]
  /** Their round is over. */
  readonly choke: readonly T[]
}

/**
 * The optimistic round: the interested peers that have waited longest get a chance to show what they give. Of those that
 * never had one, the longest choked come first: a peer that has just lost its slot is not to have it back at once.
 *
 * @param slots    what the last unchoke round returned
 * @param priority breaks ties, lower first (plugins)
 */
export function recalculateOptimisticUnchokes<T extends UnchokePeer>(
  connections: Iterable<T>,
  settings: ChokeSettings,
  slots: number,
  priority: ((peer: T) => number) | null = null,
): OptimisticRound<T> {
  if (slots === 0 || everybodyIsUnchoked(settings)) return { unchoke: [], keep: [], choke: [] }
  const before: T[] = []
  const candidates: T[] = []
  for (const peer of connections) {
    if (peer.isWebSeed) continue
    if (peer.isOptimisticallyUnchoked) before.push(peer)
    if (
      !peer.isTorrentPaused &&
      !peer.isConnecting &&
      !peer.isDisconnecting &&
      peer.isInterested &&
      !peer.ignoresSlots &&
      peer.hasMetadata &&
      (peer.isOptimisticallyUnchoked || (peer.isChoked && peer.hasFreeUploadSlot))
    ) {
      candidates.push(peer)
    }
  }
  candidates.sort(
    (a, b) =>
      a.lastOptimisticallyUnchoked - b.lastOptimisticallyUnchoked ||
      (priority === null ? 0 : Math.sign(priority(a) - priority(b)) || 0) ||
      compareWaiting(a, b),
  )
  const count = settings.numOptimisticUnchokeSlots || optimisticShare(slots)
  const chosen = candidates.slice(0, count)
  const kept = new Set(chosen)
  return {
    unchoke: chosen.filter(peer => !peer.isOptimisticallyUnchoked),
    keep: chosen.filter(peer => peer.isOptimisticallyUnchoked),
    choke: before.filter(peer => !kept.has(peer)),
  }
}

/** Slots set aside for optimistic unchokes when the setting does not say. */
export function optimisticShare(slots: number): number {
  return Math.max(1, Math.floor(slots / OPTIMISTIC_SHARE))
}

function everybodyIsUnchoked(settings: ChokeSettings): boolean {
  return settings.chokingAlgorithm === ChokingAlgorithm.fixedSlotsChoker && settings.unchokeSlotsLimit < 0
}

/** One slot for each peer, fastest first, as long as each is 2 KiB/s faster than the one before asks for; and one more. */
function rateBasedSlots<T extends ChokePeer>(peers: T[], intervalMs: number, settings: ChokeSettings): number {
  peers.sort((a, b) => b.uploadedInLastRound * b.uploadPriority - a.uploadedInLastRound * a.uploadPriority)
  let threshold = settings.rateChokerInitialThreshold
  let slots = 0
  for (const peer of peers) {
    const rate = Math.floor((peer.uploadedInLastRound * 1000) / Math.max(1, intervalMs))
    if (rate < threshold) break
    slots++
    threshold += RATE_STEP
  }
  return slots + 1
}

/** Priority first, then who gives us most. */
function compareGiving(a: ChokePeer, b: ChokePeer): number {
  return b.uploadPriority - a.uploadPriority || b.downloadedInLastRound - a.downloadedInLastRound
}

/** Has had its turn: unchoked for a minute and given more than the quota. */
function quotaComplete(peer: ChokePeer, pieces: number, now: number): boolean {
  return (
    !peer.isChoked &&
    peer.uploadedSinceUnchoked > peer.pieceLength * pieces &&
    now - peer.timeOfLastUnchoke > QUOTA_TIME_MS
  )
}

function compareRoundRobin(a: ChokePeer, b: ChokePeer, pieces: number, now: number): number {
  const giving = compareGiving(a, b)
  if (giving !== 0) return giving
  const aDone = quotaComplete(a, pieces, now)
  if (aDone !== quotaComplete(b, pieces, now)) return aDone ? 1 : -1
  // What still trickles to a peer that was just choked must not put it ahead of those who wait.
  const aRate = a.isChoked ? 0 : a.uploadedInLastRound
  const bRate = b.isChoked ? 0 : b.uploadedInLastRound
  return bRate - aRate || compareWaiting(a, b)
}

function compareFastestUpload(a: ChokePeer, b: ChokePeer): number {
  return compareGiving(a, b) || b.uploadedInLastRound - a.uploadedInLastRound || compareWaiting(a, b)
}

function compareAntiLeech(a: ChokePeer, b: ChokePeer): number {
  return compareGiving(a, b) || antiLeechScore(b) - antiLeechScore(a) || compareWaiting(a, b)
}

/** The longest choked first. */
function compareWaiting(a: ChokePeer, b: ChokePeer): number {
  return a.timeOfLastUnchoke < b.timeOfLastUnchoke ? -1 : a.timeOfLastUnchoke > b.timeOfLastUnchoke ? 1 : 0
}
