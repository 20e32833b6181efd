/** Says in words when a torrent announces to which tracker, why not to others, and what they answer. */

import { type Endpoint, endpointToString } from '../core/endpoint.ts'
import { TrackerEvent } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import { type Operation, operationName } from '../core/operation.ts'
import type { TrackerRequest, TrackerResponse } from '../tracker/announce-request.ts'
import type { EndpointState, InfohashState, TrackerState } from '../tracker/tracker-state.ts'
import type { Lane } from './announce-pass.ts'
import type { AnnouncerSettings } from './announcer-port.ts'

/** Where the lines go. */
export interface AnnounceLogPort {
  /** @param text called only if somebody reads it */
  explain(text: () => string): void
}

const EVENTS: Readonly<Record<TrackerEvent, string>> = {
  [TrackerEvent.none]: '',
  [TrackerEvent.completed]: 'completed',
  [TrackerEvent.started]: 'started',
  [TrackerEvent.stopped]: 'stopped',
  [TrackerEvent.paused]: 'paused',
}

/** The trackers are gone through. @param what for: to announce, or to see when that is due */
export function logPass(
  port: AnnounceLogPort,
  what: 'announce' | 'update_tracker_timer',
  settings: AnnouncerSettings,
  numTrackers: number,
): void {
  port.explain(() => {
    const { announceToAllTiers, announceToAllTrackers } = settings
    return `*** ${what}: [ announce_to_all_tiers: ${+announceToAllTiers} announce_to_all_trackers: ${+announceToAllTrackers} num_trackers: ${numTrackers} ]`
  })
}

/** A tracker is looked at, to announce to it. */
export function logCandidate(
  port: AnnounceLogPort,
  index: number,
  tracker: TrackerState,
  endpoint: EndpointState,
  state: InfohashState,
  lane: Lane,
  can: boolean,
): void {
  port.explain(
    () =>
      `*** tracker:  (${index}) [ep: ${endpointToString(endpoint.local)} ] "${tracker.url}" [ ` +
      ` i->tier: ${tracker.tier} tier: ${tierText(lane)} working: ${+state.isWorking} limit: ${tracker.failLimit}` +
      ` can: ${+can} sent: ${+lane.served} ]`,
  )
}

/** A tracker is looked at, for when to announce to it. */
export function logDueTime(
  port: AnnounceLogPort,
  index: number,
  tracker: TrackerState,
  endpoint: EndpointState,
  state: InfohashState | null,
  lane: Lane,
): void {
  port.explain(
    () =>
      `*** tracker: (${index}) [ep: ${endpointToString(endpoint.local)} ] "${tracker.url}" [` +
      ` found: ${+lane.served} i->tier: ${tracker.tier} tier: ${tierText(lane)}` +
      ` working: ${+(state?.isWorking ?? true)} fails: ${state?.fails ?? 0} limit: ${tracker.failLimit}` +
      ` upd: ${+(state?.updating ?? false)} ]`,
  )
}

/** @param next when the next announce is due; `Infinity` if no tracker can be announced to */
export function logTimer(port: AnnounceLogPort, now: number, next: number, retryMs: number): void {
  port.explain(() => {
    const isNone = next === Number.POSITIVE_INFINITY
    const seconds = Math.floor((isNone ? retryMs : Math.max(0, next - now)) / 1000)
    return `*** update tracker timer: before_now: ${+(next < now)} none_eligible: ${+isNone} next_announce_in: ${seconds}`
  })
}

export function logRequest(
  port: AnnounceLogPort,
  { url, event, socket }: TrackerRequest,
  state: InfohashState,
  local: Endpoint,
  isAborted: boolean,
): void {
  port.explain(
    () =>
      `==> TRACKER REQUEST "${url}" event: ${EVENTS[event]} abort: ${+isAborted} port: ${socket.listenPort} ` +
      `fails: ${state.fails} upd: ${+state.updating} ep: ${endpointToString(local)}`,
  )
}

export function logResponse(
  port: AnnounceLogPort,
  { interval, minInterval, externalIp }: TrackerResponse,
  trackerIp: string | null,
  trackerIps: readonly string[],
): void {
  port.explain(
    () =>
      `TRACKER RESPONSE [ interval: ${interval} | min-interval: ${minInterval} | external ip: ${externalIp ?? ''} | ` +
      `resolved to: ${trackerIps.map(address => `${address}, `).join('')} | we connected to: ${trackerIp ?? ''} ]`,
  )
}

export function logTrackerError(port: AnnounceLogPort, error: ErrorCode, operation: Operation, said: string): void {
  port.explain(() => `*** tracker error: (${error.value()}) ${error.message()} [${operationName(operation)}] ${said}`)
}

/** A failure counts against the tracker on one endpoint. */
export function logFailed(port: AnnounceLogPort, url: string, { local, enabled }: EndpointState, fails: number): void {
  const at = () => `[ep: ${endpointToString(local)} url: ${url}`
  port.explain(() => `*** increment tracker fail count ${at()} ${fails}]`)
  if (!enabled) port.explain(() => `*** disabling endpoint ${at()} ]`)
}

/** libtorrent's "none yet" is the largest int. */
function tierText({ tier }: Lane): string {
  return Number.isFinite(tier) ? `${tier}` : '2147483647'
}
