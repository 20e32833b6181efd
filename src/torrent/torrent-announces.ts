/** What the announcer of a torrent sees of it, and the alerts its announces raise. */

import {
  ScrapeFailedAlert,
  ScrapeReplyAlert,
  TrackerAnnounceAlert,
  TrackerErrorAlert,
  TrackeridAlert,
  TrackerReplyAlert,
  TrackerWarningAlert,
} from '../alert/tracker-alerts.ts'
import type { InfoHash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import { PexFlags, ProtocolVersion, type TrackerEvent } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import type { Operation } from '../core/operation.ts'
import type { AddTorrentParams } from '../metainfo/add-torrent-params.ts'
import { AnnounceEntry } from '../tracker/announce-entry.ts'
import type { TrackerPeer, TrackerRequest, TrackerSocket } from '../tracker/announce-request.ts'
import { Announcer } from './announcer.ts'
import type { AnnouncerPort, AnnounceSnapshot } from './announcer-port.ts'
import { PeerSource } from './peer-entry.ts'
import type { Torrent } from './torrent.ts'
import { logPeersAdded, logTorrent } from './torrent-log.ts'

class TorrentAnnounces implements AnnouncerPort {
  readonly #torrent: Torrent

  constructor(torrent: Torrent) {
    this.#torrent = torrent
  }

  now(): number {
    return this.#torrent.env.turn.now
  }

  queueRequest(request: TrackerRequest): void {
    this.#torrent.env.discovery.queueRequest(request, this.#torrent.announcer)
  }

  listenSockets(): readonly TrackerSocket[] {
    return this.#torrent.env.discovery.listenSockets(false)
  }

  listenSocketsVersion(): number {
    return this.#torrent.env.discovery.listenSocketsVersion()
  }

  trackerFilter(): ((address: string) => boolean) | null {
    const { settings, connects } = this.#torrent.env
    if (!settings.applyIpFilterToTrackers || !this.#torrent.appliesIpFilter) return null
    return address => connects.isBlocked(address)
  }

  nextAnnounceChanged(at: number): void {
    this.#torrent.env.registry.announceAt(this.#torrent, at)
  }

  infoHash(): InfoHash {
    return this.#torrent.infoHashes
  }

  isSeed(): boolean {
    return this.#torrent.isSeed
  }

  isFinished(): boolean {
    return this.#torrent.isFinished
  }

  isPaused(): boolean {
    return this.#torrent.isPaused
  }

  isChecking(): boolean {
    const { kind } = this.#torrent.state
    return kind === 'checking' || kind === 'checkingResume'
  }

  isAborted(): boolean {
    return this.#torrent.aborted
  }

  announcesToTrackers(): boolean {
    return this.#torrent.announcing.toTrackers
  }

  snapshot(): AnnounceSnapshot {
    const torrent = this.#torrent
    const { content, stats } = torrent
    const { base } = torrent.announcing
    let left: number | null = null
    if (content !== null) {
      const { total, done } = torrent.isSeed ? { total: 0, done: 0 } : content.bytes()
      left = total - done
    }
    return {
      peerId: torrent.peerId,
      payloadDownloaded: stats.totalPayloadDownload() - base.down,
      payloadUploaded: stats.totalPayloadUpload() - base.up,
      failedBytes: torrent.failedBytes,
      redundantBytes: torrent.redundantBytes,
      surplusBytes: 0,
      left,
      privateTorrent: content?.info.priv() ?? false,
    }
  }

  peersFound(endpoints: readonly Endpoint[], hosts: readonly TrackerPeer[], version: ProtocolVersion): void {
    const torrent = this.#torrent
    if (torrent.aborted) return
    const flags = version === ProtocolVersion.V2 ? PexFlags.pexLtV2 : 0
    this.#addPeers('tracker', endpoints, flags)
    const { resolver, turn } = torrent.env
    for (const { hostname, port } of hosts) {
      resolver.resolve(hostname, { abortOnShutdown: true }, (error, addresses) =>
        turn.run('peer name', () => {
          if (error !== null) logTorrent(torrent, () => `peer name lookup error: ${error.message()}`)
          if (error === null && !torrent.aborted && addresses.length > 0) {
            this.#addPeers('name-lookup', [[addresses[0]!, port]], flags)
          }
        }),
      )
    }
  }

  #addPeers(from: string, endpoints: readonly Endpoint[], flags: number): void {
    const { swarm } = this.#torrent
    for (const endpoint of endpoints) swarm.addPeer(endpoint, PeerSource.tracker, flags)
    logPeersAdded(this.#torrent, from, endpoints)
    swarm.connectBoost()
  }

  scrapeChanged(complete: number, incomplete: number, downloaded: number): void {
    const torrent = this.#torrent
    torrent.scrapeComplete = complete
    torrent.scrapeIncomplete = incomplete
    torrent.scrapeDownloaded = downloaded
    torrent.stateUpdated()
    if (torrent.autoManaged && torrent.isFinished) torrent.env.registry.triggerAutoManage()
  }

  externalAddress(socket: TrackerSocket, address: string, trackerIp: string): void {
    this.#torrent.env.discovery.voteExternalAddress(socket.local, address, trackerIp)
  }

  explain(text: () => string): void {
    logTorrent(this.#torrent, text)
  }

  trackerAnnounceAlert(local: Endpoint, url: string, version: ProtocolVersion, event: TrackerEvent): void {
    const { alerts } = this.#torrent.env
    if (alerts.wants(TrackerAnnounceAlert)) {
      alerts.post(new TrackerAnnounceAlert(this.#torrent, local, version, url, event))
    }
  }

  trackerReplyAlert(local: Endpoint, url: string, version: ProtocolVersion, numPeers: number, forced: boolean): void {
    const { alerts } = this.#torrent.env
    if (forced || alerts.wants(TrackerReplyAlert)) {
      alerts.post(new TrackerReplyAlert(this.#torrent, local, version, url, numPeers))
    }
  }

  trackerErrorAlert(
    local: Endpoint,
    url: string,
    version: ProtocolVersion,
    timesInRow: number,
    operation: Operation,
    error: ErrorCode,
    failureReason: string,
    forced: boolean,
  ): void {
    const { alerts } = this.#torrent.env
    if (forced || alerts.wants(TrackerErrorAlert)) {
      alerts.post(
        new TrackerErrorAlert(this.#torrent, local, version, url, timesInRow, error, failureReason, operation),
      )
    }
  }

  trackerWarningAlert(local: Endpoint, url: string, version: ProtocolVersion, message: string): void {
    const { alerts } = this.#torrent.env
    if (alerts.wants(TrackerWarningAlert)) {
      alerts.post(new TrackerWarningAlert(this.#torrent, local, version, url, message))
    }
  }

  scrapeReplyAlert(
    local: Endpoint,
    url: string,
    version: ProtocolVersion,
    incomplete: number,
    complete: number,
    forced: boolean,
  ): void {
    const { alerts } = this.#torrent.env
    if (forced || alerts.wants(ScrapeReplyAlert)) {
      alerts.post(new ScrapeReplyAlert(this.#torrent, local, version, url, incomplete, complete))
    }
  }

  scrapeFailedAlert(local: Endpoint, url: string, version: ProtocolVersion, error: ErrorCode, forced: boolean): void {
    const { alerts } = this.#torrent.env
    if (forced || alerts.wants(ScrapeFailedAlert)) {
      alerts.post(new ScrapeFailedAlert(this.#torrent, local, version, url, error, ''))
    }
  }

  trackeridAlert(local: Endpoint, url: string, version: ProtocolVersion, trackerId: string): void {
    const { alerts } = this.#torrent.env
    if (alerts.wants(TrackeridAlert)) alerts.post(new TrackeridAlert(this.#torrent, local, version, url, trackerId))
  }
}

/** The announcer of a torrent, with the trackers that it was added with. */
export function newAnnouncer(torrent: Torrent, params: AddTorrentParams): Announcer {
  const { rng, settings, turn } = torrent.env
  const announcer = new Announcer(settings, new TorrentAnnounces(torrent), rng.uint32(), params.trackerid)
  let tier = 0
  params.trackers.forEach((url, i) => {
    tier = params.trackerTiers[i] ?? tier
    const entry = new AnnounceEntry(url)
    entry.tier = tier
    entry.source = TRACKER_SOURCE_TORRENT
    announcer.addTracker(entry, turn.now)
  })
  return announcer
}

const TRACKER_SOURCE_TORRENT = 1
