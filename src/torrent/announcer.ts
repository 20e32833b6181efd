/** Decides when one torrent announces to which of its trackers, from which listen socket, with which event (BEP 3, 12, 21). */

import { binaryToBytes, bytesToBinary, bytesToText, textToBytes } from '../core/bytes.ts'
import { type Endpoint, endpointToString } from '../core/endpoint.ts'
import { ProtocolVersion, ReannounceFlags, TrackerEvent } from '../core/enums.ts'
import { type ErrorCode, errnoError, genericCategory, httpCategory, systemCategory } from '../core/error-code.ts'
import type { Operation } from '../core/operation.ts'
import type { Rng } from '../core/rng.ts'
import type { AnnounceEntry } from '../tracker/announce-entry.ts'
import type { TrackerRequest, TrackerRequester, TrackerResponse } from '../tracker/announce-request.ts'
import { TrackerList } from '../tracker/tracker-list.ts'
import { type EndpointState, type InfohashState, type TrackerState, UNSET } from '../tracker/tracker-state.ts'
import { announceRequest, scrapeRequest, splitPeers } from './announce-builder.ts'
import {
  logCandidate,
  logDueTime,
  logFailed,
  logPass,
  logRequest,
  logResponse,
  logTimer,
  logTrackerError,
} from './announce-log.ts'
import { AnnouncePass, NO_TIER } from './announce-pass.ts'
import type { AnnouncerPort, AnnouncerSettings } from './announcer-port.ts'

export type { AnnouncerPort, AnnouncerSettings, AnnounceSnapshot } from './announcer-port.ts'

/** Flag of `forceReannounce` beside `ReannounceFlags.ignoreMinInterval`: to the front of the queue, at once. */
export const HIGH_PRIORITY = 2

/** When no tracker can be announced to, how long until the next look. */
const RETRY_LOOK_MS = 60_000
const NO_ENDPOINT: Endpoint = ['0.0.0.0', 0]
const VERSIONS = [ProtocolVersion.V1, ProtocolVersion.V2] as const

/**
 * The announcing of one torrent.
 *
 * Each listen socket announces each of the torrent's info-hashes to one tracker that works: the first of
 * the lowest tier, unless `announce_to_all_trackers` (in that tier) or `announce_to_all_tiers` say more.
 * A failure of any kind is an alert and a later retry.
 */
export class Announcer implements TrackerRequester {
  readonly #settings: AnnouncerSettings
  readonly #port: AnnouncerPort
  readonly #key: number
  readonly #trackerId: string
  readonly #trackers = new TrackerList()
  #announcing = false
  #nextAnnounceAt = Number.POSITIVE_INFINITY
  /** `completed` was told to a tracker, or need not be. */
  #completeSent = false
  #complete = -1
  #incomplete = -1
  #downloaded = -1
  #closed = false

  /**
   * @param key 32 random bits, the torrent's own
   * @param trackerId sent to trackers that have not given one themselves (`AddTorrentParams.trackerid`)
   */
  constructor(settings: AnnouncerSettings, port: AnnouncerPort, key: number, trackerId = '') {
    this.#settings = settings
    this.#port = port
    this.#key = key >>> 0
    this.#trackerId = bytesToBinary(textToBytes(trackerId))
  }

  /** Begins to announce (the torrent starts or resumes); the torrent clears its transfer numbers first. */
  start(now: number, highPriority = false): void {
    if (this.#announcing || this.#closed) return
    this.#announcing = true
    if (this.#settings.preferUdpTrackers) this.#trackers.prioritizeUdp()
    this.#trackers.reset()
    this.#announce(now, TrackerEvent.none, highPriority)
  }

  /** Announces `stopped` where the tracker knows of us, and falls silent. */
  stop(now: number): void {
    if (!this.#announcing) return
    this.#announcing = false
    this.#setNext(Number.POSITIVE_INFINITY)
    this.#trackers.stopAnnouncing(now)
    this.#announce(now, TrackerEvent.stopped, false)
  }

  /** The torrent is gone: what still comes from trackers is ignored. Call `stop` before. Idempotent. */
  close(): void {
    this.#closed = true
    this.#announcing = false
    this.#setNext(Number.POSITIVE_INFINITY)
  }

  /** All pieces have arrived: announces `completed`. */
  completed(now: number): void {
    if (!this.#announcing) return
    this.#trackers.completed(now)
    this.#announce(now, TrackerEvent.none, false)
  }

  /** The torrent was complete when it was added or checked: `completed` will not be announced. */
  setCompleteSent(): void {
    this.#completeSent = true
    this.#trackers.setCompleteSent()
  }

  /** Announces if it is time. */
  tick(now: number): void {
    if (this.#announcing && now >= this.#nextAnnounceAt) this.#announce(now, TrackerEvent.none, false)
  }

  /** When `tick` has something to do; `Infinity` while not announcing. */
  get nextAnnounceAt(): number {
    return this.#nextAnnounceAt
  }

  get isAnnouncing(): boolean {
    return this.#announcing
  }

  /**
   * The user asks for an announce out of order.
   *
   * @param seconds from now
   * @param tracker index or URL; -1 for all
   * @param flags   `ReannounceFlags`, and {@link HIGH_PRIORITY}
   */
  forceReannounce(now: number, seconds: number, tracker: number | string, flags: ReannounceFlags): void {
    if (!this.#announcing || this.#port.isPaused()) return
    const at = now + seconds * 1000
    const highPriority = (flags & HIGH_PRIORITY) !== 0
    if (tracker === -1) {
      let found = false
      for (const each of this.#trackers) if (this.#trigger(each, at, flags)) found = true
      if (!found) this.#port.explain(() => '*** found no tracker endpoints to announce')
      if (highPriority) this.#announce(now, TrackerEvent.none, true)
      else this.#updateTimer(now)
      return
    }
    const one = typeof tracker === 'string' ? this.#trackers.find(tracker) : this.#trackers.at(tracker)
    if (one === null) this.#port.explain(() => `*** tracker URL not found ${tracker}`)
    else if (this.#trigger(one, at, flags)) this.#announceTo(one, now, highPriority)
    else this.#port.explain(() => '*** found no tracker endpoints to announce')
  }

  /** @param tracker index or URL; -1 for the last that worked, else the first */
  scrapeTracker(tracker: number | string, manually: boolean): void {
    if (this.#closed) return
    const named = typeof tracker === 'string' ? this.#trackers.find(tracker) : this.#trackers.at(tracker)
    const chosen = named ?? this.#trackers.lastWorking ?? this.#trackers.at(0)
    if (chosen === null) return
    const base = scrapeRequest(chosen, manually, this.#key, this.#port)
    const hash = this.#port.infoHash()
    this.#sync(chosen)
    for (const endpoint of chosen.endpoints) {
      if (!endpoint.enabled) continue
      for (const version of VERSIONS) {
        if (!hash.has(version)) continue
        this.#port.queueRequest({ ...base, socket: endpoint.socket, version, infoHash: hash.get(version) })
      }
    }
  }

  /** @returns false if there was a tracker of that URL; its source flags are merged */
  addTracker(entry: AnnounceEntry, now: number): boolean {
    const added = this.#trackers.add(entry)
    if (added && this.#announcing) this.#announce(now, TrackerEvent.none, false)
    return added
  }

  /** Forgets all trackers and what is known of them. */
  replaceTrackers(entries: readonly AnnounceEntry[], now: number): void {
    this.#trackers.replace(entries)
    if (this.#settings.preferUdpTrackers) this.#trackers.prioritizeUdp()
    if (this.#announcing && this.#trackers.length > 0) this.#announce(now, TrackerEvent.none, false)
  }

  /** Reorders each tier at random, as BEP 12 asks of clients; libtorrent leaves that to who makes the list. */
  shuffleTiers(rng: Rng): void {
    this.#trackers.shuffleTiers(rng)
    if (this.#settings.preferUdpTrackers) this.#trackers.prioritizeUdp()
  }

  /**
   * A copy of the list with its state.
   *
   * @param posixSeconds the time of day at `now`, to which the deadlines are converted
   */
  trackers(now: number, posixSeconds: number): AnnounceEntry[] {
    return Array.from(this.#trackers, tracker => tracker.toEntry(now, posixSeconds))
  }

  get numTrackers(): number {
    return this.#trackers.length
  }

  /** URL of the tracker that answered last; empty if none did. */
  lastWorkingUrl(): string {
    return this.#trackers.lastWorking?.url ?? ''
  }

  /** Whether any tracker has ever answered. */
  anyVerified(): boolean {
    return this.#trackers.anyVerified()
  }

  /** The listen sockets have changed: new ones announce at once, and those without a way out try again. */
  listenSocketsChanged(now: number): void {
    this.#trackers.enableAll()
    if (this.#announcing) this.#announce(now, TrackerEvent.none, false)
  }

  trackerWarning(request: TrackerRequest, message: string): void {
    if (this.#closed) return
    const endpoint = this.#trackers.find(request.url)?.find(request.socket) ?? null
    if (endpoint !== null) endpoint.of(request.version).message = message
    this.#port.trackerWarningAlert(endpoint?.local ?? NO_ENDPOINT, request.url, request.version, message)
  }

  trackerResponse(
    request: TrackerRequest,
    trackerIp: string | null,
    trackerIps: readonly string[],
    response: TrackerResponse,
  ): void {
    if (this.#closed) return
    logResponse(this.#port, response, trackerIp, trackerIps)
    const { url, version, socket } = request
    const now = this.#port.now()
    if (response.externalIp !== null && trackerIp !== null && socket.open) {
      this.#port.externalAddress(socket, response.externalIp, trackerIp)
    }
    const tracker = this.#trackers.find(url)
    const endpoint = tracker?.find(socket) ?? null
    if (tracker !== null && endpoint !== null) this.#succeeded(tracker, endpoint, request, response, now)
    if (!this.#announcing && request.event !== TrackerEvent.stopped) {
      // we stopped while this was in flight, when it could not be taken back
      this.#trackers.stopAnnouncing(now)
      this.#announce(now, TrackerEvent.stopped, false)
    } else this.#updateTimer(now)

    const [endpoints, hosts] = splitPeers(response, this.#port.snapshot().peerId, this.#port.listenSockets())
    this.#port.peersFound(endpoints, hosts, version)
    const count = response.peers.length + response.peers4.length + response.peers6.length
    const local = endpoint?.local ?? NO_ENDPOINT
    this.#port.trackerReplyAlert(local, url, version, count, request.triggeredManually)
  }

  trackerScrapeResponse(
    request: TrackerRequest,
    complete: number,
    incomplete: number,
    downloaded: number,
    _downloaders: number,
  ): void {
    if (this.#closed) return
    const { url, version } = request
    const endpoint = this.#trackers.find(url)?.find(request.socket) ?? null
    if (endpoint !== null) {
      endpoint.of(version).scraped(complete, incomplete, downloaded)
      this.#updateScrape()
    }
    const local = endpoint?.local ?? NO_ENDPOINT
    this.#port.scrapeReplyAlert(local, url, version, incomplete, complete, request.triggeredManually)
  }

  trackerRequestError(
    request: TrackerRequest,
    error: ErrorCode,
    operation: Operation,
    message: string,
    retryInterval: number,
  ): void {
    if (this.#closed) return
    logTrackerError(this.#port, error, operation, message)
    const { url, version, triggeredManually } = request
    const tracker = this.#trackers.find(url)
    const endpoint = tracker?.find(request.socket) ?? null
    const local = endpoint?.local ?? NO_ENDPOINT
    if (tracker !== null && isForever(error, retryInterval)) tracker.dontTryAgain()
    if (request.scrape) {
      this.#port.scrapeFailedAlert(local, url, version, error, triggeredManually)
    } else {
      const fails = tracker === null ? 0 : this.#failed(tracker, endpoint, request, error, message, retryInterval)
      this.#port.trackerErrorAlert(local, url, version, fails, operation, error, message, triggeredManually)
    }
    const port = this.#port
    const now = port.now()
    const goesOn = this.#announcing
      ? !port.isAborted() && !port.isPaused() && !port.isChecking() && request.event !== TrackerEvent.stopped
      : request.event === TrackerEvent.stopped
    if (goesOn) this.#announce(now, request.event, request.highPriority)
    else this.#updateTimer(now)
  }

  /** Goes through the trackers in order and announces where one is due and the tier rules allow it. */
  #announce(now: number, asked: TrackerEvent, highPriority: boolean): void {
    const port = this.#port
    if (this.#trackers.length === 0) {
      port.explain(() => '*** announce: no trackers')
      this.#setNext(Number.POSITIVE_INFINITY)
      return
    }
    let event: TrackerEvent = port.isAborted() ? TrackerEvent.stopped : asked
    if (event === TrackerEvent.stopped) {
      if (this.#settings.stopTrackerTimeout <= 0) {
        port.explain(() => '*** announce: event == stopped && stop_tracker_timeout <= 0')
        return
      }
    } else if (!port.announcesToTrackers() || port.isPaused()) {
      port.explain(
        () => `*** announce: event != stopped && ${port.isPaused() ? 'paused' : 'not announcing to trackers'}`,
      )
      if (this.#announcing) this.#setNext(now + RETRY_LOOK_MS)
      return
    }
    const isSeed = port.isSeed()
    if (event === TrackerEvent.none && port.isFinished() && !isSeed) event = TrackerEvent.paused

    const { announceToAllTiers, announceToAllTrackers } = this.#settings
    const justOne = !announceToAllTiers && !announceToAllTrackers
    const pass = new AnnouncePass(port.infoHash())
    let base: TrackerRequest | null = null
    let index = -1
    logPass(port, 'announce', this.#settings, this.#trackers.length)
    for (const tracker of this.#trackers) {
      index++
      this.#sync(tracker)
      for (const endpoint of tracker.endpoints) {
        for (const version of VERSIONS) {
          const lane = pass.lane(endpoint.socket, version)
          if (lane === null || !endpoint.enabled || lane.done) continue
          const state = endpoint.of(version)
          if (event === TrackerEvent.stopped && !state.startSent && !state.known) continue
          const can = state.canAnnounce(now, this.#owesCompleted(state, isSeed), tracker.failLimit)
          logCandidate(port, index, tracker, endpoint, state, lane, can)
          if (announceToAllTiers && !announceToAllTrackers && lane.served && tracker.tier <= lane.tier) {
            if (lane.tier !== NO_TIER) continue
          }
          if (tracker.tier > lane.tier && lane.served && !announceToAllTiers) continue
          if (state.isWorking) {
            lane.tier = tracker.tier
            lane.served = false
          }
          if (can) {
            base ??= announceRequest(tracker, event, this.#key, this.#settings, port)
            this.#send(base, tracker, endpoint, version, event, highPriority, now)
            lane.served = true
          } else if (state.isWorking) lane.served = true
          else continue
          if (state.isWorking && justOne) lane.done = true
        }
      }
      if (pass.allDone) break
    }
    this.#updateTimer(now)
  }

  /** Announces to this tracker whatever the others do: the user has asked for it by name. */
  #announceTo(tracker: TrackerState, now: number, highPriority: boolean): void {
    const port = this.#port
    if (port.isAborted() || port.isPaused() || !port.announcesToTrackers()) return
    const hash = port.infoHash()
    const isSeed = port.isSeed()
    const base = announceRequest(tracker, TrackerEvent.none, this.#key, this.#settings, port)
    for (const endpoint of tracker.endpoints) {
      if (!endpoint.enabled) continue
      for (const version of VERSIONS) {
        if (!hash.has(version)) continue
        const state = endpoint.of(version)
        if (!state.canAnnounce(now, this.#owesCompleted(state, isSeed), tracker.failLimit)) continue
        this.#send(base, tracker, endpoint, version, TrackerEvent.none, highPriority, now)
      }
    }
    this.#updateTimer(now)
  }

  #send(
    base: TrackerRequest,
    tracker: TrackerState,
    endpoint: EndpointState,
    version: ProtocolVersion,
    asked: TrackerEvent,
    highPriority: boolean,
    now: number,
  ): void {
    const state = endpoint.of(version)
    let event = asked
    if (event === TrackerEvent.none) {
      if (!state.startSent) event = TrackerEvent.started
      else if (this.#owesCompleted(state, this.#port.isSeed())) event = TrackerEvent.completed
    }
    const request: TrackerRequest = {
      ...base,
      url: tracker.url,
      trackerId: tracker.trackerId === '' ? this.#trackerId : tracker.trackerId,
      event,
      highPriority,
      infoHash: this.#port.infoHash().get(version),
      version,
      socket: endpoint.socket,
      triggeredManually: state.triggeredManually,
    }
    state.triggeredManually = false
    logRequest(this.#port, request, state, endpoint.local, this.#port.isAborted())
    this.#port.queueRequest(request)
    state.updating = true
    state.nextAnnounce = now
    state.minAnnounce = now
    this.#port.trackerAnnounceAlert(endpoint.local, tracker.url, version, event)
  }

  /** Finds when the next announce is due, by the same rules as `#announce`. */
  #updateTimer(now: number): void {
    if (!this.#announcing) {
      this.#port.explain(() => '*** update tracker timer: not announcing')
      return
    }
    const { announceToAllTiers, announceToAllTrackers } = this.#settings
    const pass = new AnnouncePass(this.#port.infoHash())
    let next = Number.POSITIVE_INFINITY
    let index = -1
    logPass(this.#port, 'update_tracker_timer', this.#settings, this.#trackers.length)
    for (const tracker of this.#trackers) {
      index++
      for (const endpoint of tracker.endpoints) {
        for (const version of VERSIONS) {
          const lane = pass.lane(endpoint.socket, version)
          if (lane === null || !endpoint.enabled || lane.done) continue
          logDueTime(this.#port, index, tracker, endpoint, endpoint.peek(version), lane)
          if (announceToAllTiers && !announceToAllTrackers && lane.served && tracker.tier <= lane.tier) {
            if (lane.tier !== NO_TIER) continue
          }
          if (lane.tier !== NO_TIER && tracker.tier > lane.tier) {
            if (!announceToAllTiers && lane.served) continue
            lane.served = false
          }
          lane.tier = tracker.tier
          const state = endpoint.peek(version)
          if (state === null || (tracker.failLimit !== 0 && state.fails >= tracker.failLimit)) continue
          if (state.updating) lane.served = true
          else if (state.nextAnnounce !== UNSET) {
            next = Math.min(next, Math.max(state.nextAnnounce, state.minAnnounce))
          }
          if (state.isWorking) lane.served = true
          if (lane.served && !announceToAllTrackers && !announceToAllTiers) lane.done = true
        }
      }
      if (pass.allDone) break
    }
    logTimer(this.#port, now, next, RETRY_LOOK_MS)
    this.#setNext(next === Number.POSITIVE_INFINITY ? now + RETRY_LOOK_MS : Math.max(next, now))
  }

  #setNext(at: number): void {
    if (at === this.#nextAnnounceAt) return
    this.#nextAnnounceAt = at
    this.#port.nextAnnounceChanged?.(at)
  }

  #owesCompleted(state: InfohashState, isSeed: boolean): boolean {
    return isSeed && !this.#completeSent && !state.completeSent
  }

  #sync(tracker: TrackerState): void {
    tracker.syncEndpoints(this.#port.listenSockets(), this.#port.listenSocketsVersion())
  }

  /** @returns whether there is an endpoint to announce */
  #trigger(tracker: TrackerState, at: number, flags: ReannounceFlags): boolean {
    const hash = this.#port.infoHash()
    const ignoreMin = (flags & ReannounceFlags.ignoreMinInterval) !== 0
    this.#sync(tracker)
    for (const endpoint of tracker.endpoints) {
      for (const version of VERSIONS) {
        if (!hash.has(version)) continue
        const state = endpoint.of(version)
        state.nextAnnounce = (ignoreMin ? at : Math.max(at, state.minAnnounce)) + 1000
        if (ignoreMin) state.minAnnounce = UNSET
        state.triggeredManually = true
      }
    }
    return tracker.endpoints.length > 0
  }

  #succeeded(
    tracker: TrackerState,
    endpoint: EndpointState,
    request: TrackerRequest,
    response: TrackerResponse,
    now: number,
  ): void {
    const state = endpoint.of(request.version)
    state.scraped(response.complete, response.incomplete, response.downloaded)
    if (request.event === TrackerEvent.started) state.startSent = true
    if (request.event === TrackerEvent.completed) {
      state.completeSent = true
      // one tracker is enough to be counted
      this.#completeSent = true
    }
    state.succeeded(now, response.interval, response.minInterval, response.warningMessage)
    // we started again while `stopped` was in flight: the tracker has just forgotten us
    if (request.event === TrackerEvent.stopped) {
      state.known = false
      if (this.#announcing) state.nextAnnounce = state.minAnnounce = now
    }
    tracker.verified = true
    this.#trackers.recordWorking(tracker)
    if (response.trackerId !== '' && response.trackerId !== tracker.trackerId) {
      tracker.trackerId = response.trackerId
      const text = bytesToText(binaryToBytes(response.trackerId))
      this.#port.trackeridAlert(endpoint.local, request.url, request.version, text)
    }
    this.#updateScrape()
  }

  /** @returns failures in a row */
  #failed(
    tracker: TrackerState,
    endpoint: EndpointState | null,
    request: TrackerRequest,
    error: ErrorCode,
    message: string,
    retryInterval: number,
  ): number {
    let fails = 0
    if (endpoint !== null) {
      const state = endpoint.of(request.version)
      const interval = Number.isFinite(retryInterval) ? retryInterval : 0
      state.failed(this.#port.now(), this.#settings.trackerBackoff, interval)
      state.lastError = error
      state.message = message
      fails = state.fails
      if (isNoFamily(error)) endpoint.enabled = false
      logFailed(this.#port, tracker.url, endpoint, fails)
    } else
      this.#port.explain(
        () => `*** no matching endpoint for request [${request.url}, ${endpointToString(request.socket.local)}]`,
      )
    const hash = this.#port.infoHash()
    const works = tracker.endpoints.some(each =>
      VERSIONS.some(version => hash.has(version) && (each.peek(version)?.isWorking ?? true)),
    )
    if (!works) this.#trackers.deprioritize(tracker)
    return fails
  }

  #updateScrape(): void {
    let complete = -1
    let incomplete = -1
    let downloaded = -1
    for (const tracker of this.#trackers) {
      for (const endpoint of tracker.endpoints) {
        for (const state of endpoint.states()) {
          complete = Math.max(complete, state.scrapeComplete)
          incomplete = Math.max(incomplete, state.scrapeIncomplete)
          downloaded = Math.max(downloaded, state.scrapeDownloaded)
        }
      }
    }
    if (complete === this.#complete && incomplete === this.#incomplete && downloaded === this.#downloaded) return
    this.#complete = complete
    this.#incomplete = incomplete
    this.#downloaded = downloaded
    this.#port.scrapeChanged(complete, incomplete, downloaded)
  }
}

/** The tracker wants to be left alone: "410 Gone", or `retry in: never` (BEP 31). */
function isForever(error: ErrorCode, retryInterval: number): boolean {
  return retryInterval === Number.POSITIVE_INFINITY || (error.value() === 410 && error.category() === httpCategory())
}

/** The listen socket's address family cannot reach it. */
function isNoFamily(error: ErrorCode): boolean {
  if (error.category() !== systemCategory() && error.category() !== genericCategory()) return false
  return error.value() === errnoError('EAFNOSUPPORT').value()
}
