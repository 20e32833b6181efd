/** Rate limits: of the session, of torrents, of classes of peers, and what they mean to one connection. */

import type { TorrentId } from '../core/brands.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { SocketType } from '../core/enums.ts'
import type { TimerHandle } from '../core/runtime.ts'
import type { Turn } from '../core/turn.ts'
import type { BandwidthChannel } from '../net/bandwidth-channel.ts'
import { BandwidthManager, type BandwidthSocket } from '../net/bandwidth-manager.ts'
import type { IpFilter } from '../net/ip-filter.ts'
import {
  classesOf,
  DOWNLOAD_CHANNEL,
  defaultPeerClassFilter,
  defaultPeerClassTypeFilter,
  GLOBAL_PEER_CLASS,
  PeerClassPool,
  PeerClassSet,
  type PeerClassTypeFilter,
  type TransferChannel,
  UPLOAD_CHANNEL,
} from '../net/peer-class.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import type { RateQuota } from '../peer/rate-quota.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import type { Torrent } from '../torrent/torrent.ts'
import type { LimitPort } from '../torrent/torrent-env.ts'

/** Quota is handed out that often while somebody waits for some. */
const TICK_MS = 50
/** What a connection asks for at once: a block and its header, or what its buffer holds. */
const MIN_REQUEST = 16 * 1024 + 13
const MAX_REQUEST = 256 * 1024

/** What `RateLimits` needs of the session. */
export interface RateLimitPort {
  readonly turn: Turn
  readonly settings: SessionSettings
  setTimer(delayMs: number, fn: () => void): TimerHandle
  torrent(id: TorrentId): Torrent | null
}

export class RateLimits implements LimitPort {
  readonly pool = new PeerClassPool()
  readonly managers = [new BandwidthManager(UPLOAD_CHANNEL), new BandwidthManager(DOWNLOAD_CHANNEL)] as const
  byAddress: IpFilter = defaultPeerClassFilter()
  byType: PeerClassTypeFilter = defaultPeerClassTypeFilter()
  readonly #port: RateLimitPort
  /** The class of each torrent that has a limit. */
  readonly #torrents = new Map<Torrent, PeerClassSet>()
  #timer: TimerHandle | null = null
  #lastUpdate = 0
  #closed = false

  constructor(port: RateLimitPort) {
    this.#port = port
    this.settingsChanged()
  }

  /** `upload_rate_limit` or `download_rate_limit` has changed. */
  settingsChanged(): void {
    const global = this.pool.at(GLOBAL_PEER_CLASS)!
    global.setLimit(UPLOAD_CHANNEL, this.#port.settings.uploadRateLimit)
    global.setLimit(DOWNLOAD_CHANNEL, this.#port.settings.downloadRateLimit)
  }

  quotaFor(torrent: Torrent | null, remote: Endpoint, socketType: number): RateQuota {
    const classes = new PeerClassSet(this.pool)
    classes.addMask(classesOf(remote[0], socketType as SocketType, this.byAddress, this.byType))
    return new PeerQuota(this, classes, torrent)
  }

  setTorrentLimit(torrent: Torrent, direction: 'up' | 'down', bytesPerSecond: number): void {
    const limit = bytesPerSecond > 0 ? bytesPerSecond : 0
    let classes = this.#torrents.get(torrent)
    if (classes === undefined) {
      if (limit === 0) return
      classes = new PeerClassSet(this.pool)
      const id = this.pool.create('torrent')
      classes.add(id)
      this.pool.release(id)
      this.#torrents.set(torrent, classes)
    }
    const own = this.pool.at(classes.ids[0]!)!
    own.setLimit(direction === 'up' ? UPLOAD_CHANNEL : DOWNLOAD_CHANNEL, limit)
    // connections that had no limit to wait for may have one now, and the other way round
    for (const peer of torrent.swarm.connections) (peer.quota as PeerQuota).limitsChanged(peer)
  }

  torrentLimit(torrent: Torrent, direction: 'up' | 'down'): number {
    const classes = this.#torrents.get(torrent)
    if (classes === undefined) return -1
    const info = this.pool.at(classes.ids[0]!)!.getInfo()
    return (direction === 'up' ? info.uploadLimit : info.downloadLimit) || -1
  }

  torrentRemoved(torrent: Torrent): void {
    this.#torrents.get(torrent)?.clear()
    this.#torrents.delete(torrent)
  }

  /** The limits in force for a connection: its classes' and its torrent's. */
  channelsOf(classes: PeerClassSet, torrent: Torrent | null, channel: TransferChannel): BandwidthChannel[] {
    const out: BandwidthChannel[] = []
    classes.limitedChannels(channel, out)
    if (torrent !== null) this.#torrents.get(torrent)?.limitedChannels(channel, out)
    return out
  }

  torrent(id: TorrentId): Torrent | null {
    return this.#port.torrent(id)
  }

  /** Somebody waits for quota: time must pass for it. */
  wake(): void {
    if (this.#timer !== null || this.#closed) return
    this.#lastUpdate = this.#port.turn.now
    this.#schedule()
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#timer = null
    for (const manager of this.managers) manager.close()
  }

  #schedule(): void {
    this.#timer = this.#port.setTimer(TICK_MS, () =>
      this.#port.turn.run('rate limits', () => {
        this.#timer = null
        const { now } = this.#port.turn
        const elapsed = now - this.#lastUpdate
        this.#lastUpdate = now
        for (const manager of this.managers) manager.update(elapsed)
        if (!this.#closed && this.managers.some(manager => manager.isActive())) this.#schedule()
      }),
    )
  }
}

/** One connection's account in both directions. Costs nothing while no limit concerns it. */
export class PeerQuota implements RateQuota, BandwidthSocket {
  readonly #limits: RateLimits
  readonly #classes: PeerClassSet
  #torrent: Torrent | null
  #peer: PeerConnection | null = null
  /** Bytes granted and not used, by channel. */
  readonly #left: [number, number] = [0, 0]
  readonly #waiting: [boolean, boolean] = [false, false]

  constructor(limits: RateLimits, classes: PeerClassSet, torrent: Torrent | null) {
    this.#limits = limits
    this.#classes = classes
    this.#torrent = torrent
  }

  get ignoreUnchokeSlots(): boolean {
    return this.#classes.ids.length === 0 || this.#classes.ignoresUnchokeSlots()
  }

  get connectionLimitFactor(): number {
    return this.#classes.connectionLimitFactor()
  }

  get uploadPriority(): number {
    return this.#classes.priority(UPLOAD_CHANNEL)
  }

  get mayReceive(): boolean {
    return !this.#waiting[DOWNLOAD_CHANNEL]
  }

  get downloadLimit(): number {
    let limit = Number.POSITIVE_INFINITY
    for (const channel of this.#channels(DOWNLOAD_CHANNEL)) limit = Math.min(limit, channel.limit)
    return limit
  }

  attach(peer: PeerConnection): void {
    this.#peer = peer
  }

  /** The torrent of an incoming connection is known. */
  joined(torrentId: TorrentId): void {
    this.#torrent = this.#limits.torrent(torrentId)
  }

  detach(): void {
    this.#peer = null
    for (const channel of [UPLOAD_CHANNEL, DOWNLOAD_CHANNEL] as const) {
      const left = this.#left[channel]
      if (left > 0) {
        for (const c of this.#channels(channel)) c.returnQuota(left)
        this.#left[channel] = 0
      }
    }
    this.#classes.clear()
  }

  received(peer: PeerConnection, bytes: number): void {
    const channels = this.#channels(DOWNLOAD_CHANNEL)
    if (channels.length === 0) return
    this.#left[DOWNLOAD_CHANNEL] -= bytes
    if (this.#left[DOWNLOAD_CHANNEL] < 0) {
      this.#limits.managers[DOWNLOAD_CHANNEL].charge(channels, -this.#left[DOWNLOAD_CHANNEL])
      this.#left[DOWNLOAD_CHANNEL] = 0
    }
    if (this.#left[DOWNLOAD_CHANNEL] > 0 || this.#waiting[DOWNLOAD_CHANNEL]) return
    if (!this.#ask(DOWNLOAD_CHANNEL, MIN_REQUEST, channels)) peer.receiving.pause()
  }

  sent(_peer: PeerConnection, bytes: number): void {
    if (this.#left[UPLOAD_CHANNEL] > 0) this.#left[UPLOAD_CHANNEL] = Math.max(0, this.#left[UPLOAD_CHANNEL] - bytes)
  }

  sendQuota(_peer: PeerConnection, wanted: number): number {
    const channels = this.#channels(UPLOAD_CHANNEL)
    if (channels.length === 0 || wanted === 0) return Number.POSITIVE_INFINITY
    if (this.#left[UPLOAD_CHANNEL] > 0) return this.#left[UPLOAD_CHANNEL]
    if (this.#waiting[UPLOAD_CHANNEL]) return 0
    return this.#ask(UPLOAD_CHANNEL, Math.min(wanted, MAX_REQUEST), channels) ? this.#left[UPLOAD_CHANNEL] : 0
  }

  assignBandwidth(channel: number, amount: number): void {
    const c = channel as TransferChannel
    this.#waiting[c] = false
    this.#left[c] += amount
    const peer = this.#peer
    if (peer === null) return
    if (c === DOWNLOAD_CHANNEL) peer.receiving.resume()
    else peer.link.resumeSending()
  }

  isDisconnecting(): boolean {
    return this.#peer === null
  }

  /** A limit was set or lifted: nobody may wait for one that is gone. */
  limitsChanged(peer: PeerConnection): void {
    if (this.#channels(UPLOAD_CHANNEL).length === 0) peer.link.resumeSending()
    this.#limits.wake()
  }

  #ask(channel: TransferChannel, bytes: number, channels: readonly BandwidthChannel[]): boolean {
    const granted = this.#limits.managers[channel].requestBandwidth(
      this,
      bytes,
      this.#classes.priority(channel),
      channels,
    )
    this.#limits.wake()
    if (granted > 0) {
      this.#left[channel] += granted
      return true
    }
    this.#waiting[channel] = true
    return false
  }

  #channels(channel: TransferChannel): BandwidthChannel[] {
    return this.#limits.channelsOf(this.#classes, this.#torrent, channel)
  }
}
