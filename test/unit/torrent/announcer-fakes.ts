import { InfoHash, Sha1Hash, Sha256Hash } from '../../../src/core/digest.ts'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import { endpointToString, isV4 } from '../../../src/core/endpoint.ts'
import type { ErrorCode } from '../../../src/core/error-code.ts'
import { ErrorCode as Code, httpCategory } from '../../../src/core/error-code.ts'
import { Operation } from '../../../src/core/operation.ts'
import { SessionSettings } from '../../../src/settings/session-settings.ts'
import { Announcer, type AnnouncerPort, type AnnounceSnapshot } from '../../../src/torrent/announcer.ts'
import { AnnounceEntry } from '../../../src/tracker/announce-entry.ts'
import {
  emptyResponse,
  type TrackerPeer,
  type TrackerRequest,
  type TrackerResponse,
  type TrackerSocket,
} from '../../../src/tracker/announce-request.ts'

export const EVENTS = ['none', 'completed', 'started', 'stopped', 'paused']
export const V1 = new Sha1Hash('1'.repeat(20))
export const V2 = new Sha256Hash('2'.repeat(32))
export const ME = new TextEncoder().encode('-LT2100-123456789012')

/** What a tracker answers: a response, an error, or nothing at all. */
export type Answer = Partial<TrackerResponse> | ErrorCode | 'silence'

export function socket(address: string, port = 6881): TrackerSocket & { open: boolean } {
  return {
    local: [address, port],
    ssl: false,
    open: true,
    listenPort: port,
    canRoute: other => isV4(other) === isV4(address),
  }
}

export function entries(...urls: (string | [string, number])[]): AnnounceEntry[] {
  return urls.map(each => {
    const [url, tier] = typeof each === 'string' ? [each, 0] : each
    return Object.assign(new AnnounceEntry(url), { tier })
  })
}

/** A torrent with trackers that answer as told, in virtual time. */
export class FakeTorrent implements AnnouncerPort {
  readonly settings = new SessionSettings()
  readonly announcer: Announcer
  time = 1_000_000
  sockets: TrackerSocket[] = [socket('50.0.0.1')]
  socketsVersion = 1
  hash = new InfoHash(V1)
  seed = false
  finished = false
  paused = false
  checking = false
  aborted = false
  announces = true
  blocked: ((address: string) => boolean) | null = null
  numbers: AnnounceSnapshot = {
    peerId: ME,
    payloadDownloaded: 1000,
    payloadUploaded: 500,
    failedBytes: 100,
    redundantBytes: 200,
    surplusBytes: 0,
    left: 4000,
    privateTorrent: false,
  }
  /** By URL; others answer that there are no peers. */
  readonly answers = new Map<string, Answer | ((request: TrackerRequest) => Answer)>()
  /** Every request, in order. */
  readonly requests: TrackerRequest[] = []
  /** `seconds since start: url event`. */
  readonly log: string[] = []
  readonly alerts: string[] = []
  /** What it says of what it does, if anybody listens. */
  story: string[] | null = null
  readonly found: { endpoints: readonly Endpoint[]; hosts: readonly TrackerPeer[]; version: number }[] = []
  readonly scrapes: string[] = []
  readonly votes: string[] = []
  nextAnnounceChanged?: (at: number) => void
  readonly pending: TrackerRequest[] = []
  readonly #start = 1_000_000

  constructor(trackers: AnnounceEntry[] = entries('http://a/announce'), settings: Partial<SessionSettings> = {}) {
    Object.assign(this.settings, settings)
    this.announcer = new Announcer(this.settings, this, 0x12345678)
    this.announcer.replaceTrackers(trackers, this.time)
  }

  /** Lets trackers answer what they were asked. */
  settle(): void {
    for (let round = 0; this.pending.length > 0; round++) {
      if (round > 1000) throw new Error('announces without end')
      for (const request of this.pending.splice(0)) this.#answer(request)
    }
  }

  /** Lets time pass with two ticks a second. */
  pass(seconds: number): void {
    const end = this.time + seconds * 1000
    this.settle()
    while (this.time < end) {
      this.time = Math.min(end, this.time + 500)
      this.announcer.tick(this.time)
      this.settle()
    }
  }

  start(): void {
    this.announcer.start(this.time)
    this.settle()
  }

  stop(): void {
    this.announcer.stop(this.time)
    this.settle()
  }

  /** Takes the log away. */
  take(): string[] {
    return this.log.splice(0)
  }

  takeAlerts(): string[] {
    return this.alerts.splice(0)
  }

  shown(): AnnounceEntry[] {
    return this.announcer.trackers(this.time, 1_700_000_000)
  }

  #answer(request: TrackerRequest): void {
    const told = this.answers.get(request.url) ?? {}
    const answer = typeof told === 'function' ? told(request) : told
    if (answer === 'silence') return
    if (answer instanceof Code) {
      this.announcer.trackerRequestError(request, answer, Operation.connect, '', 0)
    } else if (request.scrape) {
      this.announcer.trackerScrapeResponse(request, answer.complete ?? 7, answer.incomplete ?? 8, -1, -1)
    } else {
      this.announcer.trackerResponse(request, '9.9.9.9', ['9.9.9.9'], { ...emptyResponse(), ...answer })
    }
  }

  queueRequest(request: TrackerRequest): void {
    this.requests.push(request)
    this.pending.push(request)
    const at = Math.round((this.time - this.#start) / 1000)
    this.log.push(`${at}: ${request.url} ${request.scrape ? 'scrape' : EVENTS[request.event]}`)
  }

  now(): number {
    return this.time
  }
  listenSockets(): readonly TrackerSocket[] {
    return this.sockets
  }
  listenSocketsVersion(): number {
    return this.socketsVersion
  }
  trackerFilter(): ((address: string) => boolean) | null {
    return this.blocked
  }
  infoHash(): InfoHash {
    return this.hash
  }
  isSeed(): boolean {
    return this.seed
  }
  isFinished(): boolean {
    return this.seed || this.finished
  }
  isPaused(): boolean {
    return this.paused
  }
  isChecking(): boolean {
    return this.checking
  }
  isAborted(): boolean {
    return this.aborted
  }
  announcesToTrackers(): boolean {
    return this.announces
  }
  snapshot(): AnnounceSnapshot {
    return this.numbers
  }
  peersFound(endpoints: readonly Endpoint[], hosts: readonly TrackerPeer[], version: number): void {
    this.found.push({ endpoints, hosts, version })
  }
  scrapeChanged(complete: number, incomplete: number, downloaded: number): void {
    this.scrapes.push(`${complete} ${incomplete} ${downloaded}`)
  }
  externalAddress(from: TrackerSocket, address: string, trackerIp: string): void {
    this.votes.push(`${endpointToString(from.local)} ${address} ${trackerIp}`)
  }
  explain(text: () => string): void {
    this.story?.push(text())
  }
  #alert(name: string, local: Endpoint, ...rest: unknown[]): void {
    this.alerts.push(`${name} ${endpointToString(local)} ${rest.join(' ')}`)
  }
  trackerAnnounceAlert(local: Endpoint, url: string, version: number, event: number): void {
    this.#alert('announce', local, url, `v${version + 1}`, EVENTS[event])
  }
  trackerReplyAlert(local: Endpoint, url: string, version: number, numPeers: number, forced: boolean): void {
    this.#alert('reply', local, url, `v${version + 1}`, numPeers, forced)
  }
  trackerErrorAlert(
    local: Endpoint,
    url: string,
    version: number,
    times: number,
    _operation: Operation,
    error: ErrorCode,
    reason: string,
    forced: boolean,
  ): void {
    this.#alert('error', local, url, `v${version + 1}`, times, error.message(), reason, forced)
  }
  trackerWarningAlert(local: Endpoint, url: string, version: number, message: string): void {
    this.#alert('warning', local, url, `v${version + 1}`, message)
  }
  scrapeReplyAlert(local: Endpoint, url: string, v: number, incomplete: number, complete: number, forced: boolean) {
    this.#alert('scrape', local, url, `v${v + 1}`, incomplete, complete, forced)
  }
  scrapeFailedAlert(local: Endpoint, url: string, version: number, error: ErrorCode, forced: boolean): void {
    this.#alert('noscrape', local, url, `v${version + 1}`, error.message(), forced)
  }
  trackeridAlert(local: Endpoint, url: string, version: number, id: string): void {
    this.#alert('id', local, url, `v${version + 1}`, id)
  }
}

export const status = (code: number) => new Code(code, httpCategory())
