/** Upload slots over all torrents: who has one, and the rounds in which they are handed out anew. */

import type { AlertQueue } from '../alert/alert-queue.ts'
import type { Turn } from '../core/turn.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import * as C from '../stats/counter-ids.ts'
import type { Counters } from '../stats/counters.ts'
import type { PeerEntry } from '../torrent/peer-entry.ts'
import type { Torrent } from '../torrent/torrent.ts'
import type { ChokePort } from '../torrent/torrent-env.ts'
import { recalculateOptimisticUnchokes, recalculateUnchokeSlots, type UnchokePeer } from './choke-sort.ts'
import type { PeerQuota } from './rate-limits.ts'
import { logSession } from './session-log.ts'

/** What the choker needs of the session. */
export interface ChokerPort {
  readonly turn: Turn
  readonly settings: SessionSettings
  readonly counters: Counters
  readonly alerts: AlertQueue
  connections(): Iterable<PeerConnection>
  torrentOf(peer: PeerConnection): Torrent | null
  sessionTime(): number
}

export class GlobalChoker implements ChokePort {
  readonly #port: ChokerPort
  #slots: number
  #unchoked = 0
  #lastRound = Number.NEGATIVE_INFINITY
  #lastOptimistic = Number.NEGATIVE_INFINITY
  #due = false
  #optimisticDue = false

  constructor(port: ChokerPort) {
    this.#port = port
    this.#slots = slotsOf(port.settings)
    this.#showSlots()
  }

  mayUnchoke(_peer: PeerConnection): boolean {
    return this.#unchoked < this.#slots
  }

  unchoked(_peer: PeerConnection): void {
    this.#unchoked++
  }

  choked(_peer: PeerConnection): void {
    this.#unchoked--
  }

  closed(_peer: PeerConnection): void {
    this.#unchoked--
  }

  trigger(): void {
    this.#due = true
  }

  triggerOptimistic(): void {
    this.#optimisticDue = true
  }

  settingsChanged(): void {
    this.#slots = slotsOf(this.#port.settings)
    this.#showSlots()
    this.trigger()
  }

  /** Runs the rounds whose time has come. */
  tick(now: number): void {
    const { settings } = this.#port
    if (this.#due || now - this.#lastRound >= settings.unchokeInterval * 1000) this.#round(now)
    if (this.#optimisticDue || now - this.#lastOptimistic >= settings.optimisticUnchokeInterval * 1000) {
      this.#optimisticRound(now)
    }
  }

  #round(now: number): void {
    const { settings, counters } = this.#port
    const interval = Number.isFinite(this.#lastRound) ? now - this.#lastRound : settings.unchokeInterval * 1000
    this.#due = false
    this.#lastRound = now
    const faces = this.#faces()
    if (faces.length === 0) return
    const optimistic = counters.get(C.PEER_NUM_PEERS_UP_UNCHOKED_OPTIMISTIC)
    const round = recalculateUnchokeSlots(faces, interval, settings, now, optimistic, {
      unchoke: face => face.torrent.uploadSlots.unchoke(face.peer),
      choke: face => {
        face.torrent.uploadSlots.choke(face.peer)
      },
      endOptimistic: face => this.#endOptimistic(face),
      resetRound: face => {
        face.peer.downloadedAtLastRound = face.peer.stats.totalPayloadDownload()
        face.peer.uploadedAtLastRound = face.peer.stats.totalPayloadUpload()
      },
    })
    logSession(
      this.#port.alerts,
      () =>
        `RECALCULATE UNCHOKE SLOTS: [ peers: ${faces.length} eligible-peers: ${round.eligible} ` +
        `allowed-slots: ${Number.isFinite(round.slots) ? round.slots : -1} ]`,
    )
    this.#slots = round.slots
    this.#showSlots()
    if (round.optimisticDue) this.#optimisticDue = true
  }

  #optimisticRound(now: number): void {
    const { settings, counters } = this.#port
    this.#optimisticDue = false
    this.#lastOptimistic = now
    const faces = this.#faces()
    if (faces.length === 0) return
    const round = recalculateOptimisticUnchokes(faces, settings, this.#slots)
    const time = this.#port.sessionTime()
    for (const face of round.unchoke) {
      const entry = face.peer.entry as PeerEntry | null
      if (entry === null || !face.torrent.uploadSlots.unchoke(face.peer)) continue
      entry.optimisticallyUnchoked = true
      entry.lastOptimisticallyUnchoked = time
      face.peer.log('info', 'optimisticUnchoke', `session-time: ${time}`)
      counters.inc(C.PEER_NUM_PEERS_UP_UNCHOKED_OPTIMISTIC)
    }
    for (const face of round.keep) {
      const entry = face.peer.entry as PeerEntry | null
      if (entry !== null) entry.lastOptimisticallyUnchoked = time
      face.peer.log('info', 'optimisticUnchoke', `already unchoked | session-time: ${time}`)
    }
    for (const face of round.choke) {
      this.#endOptimistic(face)
      face.torrent.uploadSlots.choke(face.peer)
    }
  }

  #endOptimistic(face: ChokeFace): void {
    const { entry } = face.peer
    if (entry === null || !entry.optimisticallyUnchoked) return
    entry.optimisticallyUnchoked = false
    this.#port.counters.inc(C.PEER_NUM_PEERS_UP_UNCHOKED_OPTIMISTIC, -1)
  }

  #faces(): ChokeFace[] {
    const out: ChokeFace[] = []
    for (const peer of this.#port.connections()) {
      const torrent = this.#port.torrentOf(peer)
      if (torrent !== null && !peer.inHandshake) out.push(new ChokeFace(peer, torrent))
    }
    return out
  }

  #showSlots(): void {
    this.#port.counters.set(C.SES_NUM_UNCHOKE_SLOTS, Number.isFinite(this.#slots) ? this.#slots : 0x7fffffff)
  }
}

function slotsOf(settings: SessionSettings): number {
  return settings.unchokeSlotsLimit < 0 ? Number.POSITIVE_INFINITY : settings.unchokeSlotsLimit
}

/** A connection as the rounds see it. */
class ChokeFace implements UnchokePeer {
  readonly peer: PeerConnection
  readonly torrent: Torrent

  constructor(peer: PeerConnection, torrent: Torrent) {
    this.peer = peer
    this.torrent = torrent
  }

  get uploadPriority(): number {
    return (this.peer.quota as PeerQuota).uploadPriority
  }
  get downloadedInLastRound(): number {
    return this.peer.stats.totalPayloadDownload() - this.peer.downloadedAtLastRound
  }
  get uploadedInLastRound(): number {
    return this.peer.stats.totalPayloadUpload() - this.peer.uploadedAtLastRound
  }
  get uploadedSinceUnchoked(): number {
    return this.peer.stats.totalPayloadUpload() - this.peer.choking.uploadedAtLastUnchoke
  }
  get timeOfLastUnchoke(): number {
    return this.peer.choking.lastUnchoke
  }
  get isChoked(): boolean {
    return this.peer.amChoking
  }
  get totalPayloadUpload(): number {
    return this.peer.stats.totalPayloadUpload()
  }
  get numHavePieces(): number {
    return this.peer.availability.numHave
  }
  get pieceLength(): number {
    return this.torrent.content?.geometry.pieceLength ?? 0
  }
  get totalSize(): number {
    return this.torrent.content?.geometry.totalSize ?? 0
  }
  get ignoresSlots(): boolean {
    return this.peer.ignoresUnchokeSlots
  }
  get isWebSeed(): boolean {
    return this.peer.isWebSeed
  }
  get isTorrentPaused(): boolean {
    return this.torrent.isPaused
  }
  get hasMetadata(): boolean {
    return this.torrent.content !== null
  }
  get isInterested(): boolean {
    return this.peer.peerInterested
  }
  get isConnecting(): boolean {
    return this.peer.connecting
  }
  get isDisconnecting(): boolean {
    return this.peer.disconnecting
  }
  get isOptimisticallyUnchoked(): boolean {
    return this.peer.entry?.optimisticallyUnchoked === true
  }
  get hasFreeUploadSlot(): boolean {
    return this.torrent.uploadSlots.hasFree
  }
  get lastOptimisticallyUnchoked(): number {
    return (this.peer.entry as PeerEntry | null)?.lastOptimisticallyUnchoked ?? 0
  }
}
