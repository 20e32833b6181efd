/** Says in words what a session does and why, for programs that want `LogAlert`s. */

import type { AlertQueue } from '../alert/alert-queue.ts'
import { LogAlert } from '../alert/log-alerts.ts'
import type { Endpoint } from '../core/endpoint.ts'
import { endpointToString } from '../core/endpoint.ts'
import type { ErrorCode } from '../core/error-code.ts'
import { versionRevision, versionStr } from '../core/version.ts'
import type { ListenEndpoint } from '../net/listen-endpoints.ts'
import type { SessionSettings } from '../settings/session-settings.ts'

/** Puts a line into the log of the session. @param text called only if somebody reads it */
export function logSession(alerts: AlertQueue, text: () => string): void {
  if (alerts.wants(LogAlert)) alerts.post(new LogAlert(text()))
}

/** @param maxFiles file descriptors this process may have open, if that is known */
export function logStarted(alerts: AlertQueue, settings: SessionSettings, maxFiles: number | undefined): void {
  logSession(alerts, () => 'start session')
  logSession(alerts, () => `version: ${versionStr} revision: ${versionRevision}`)
  logSession(alerts, () => `max-connections: ${settings.connectionsLimit} max-files: ${maxFiles ?? -1}`)
}

/** A connection came that is not taken. */
export function logNotTaken(alerts: AlertQueue, why: string | (() => string)): void {
  logSession(alerts, () => `<== INCOMING CONNECTION [ ${typeof why === 'string' ? why : why()} ]`)
}

/** @param accepts it takes connections */
export function logOpening(alerts: AlertQueue, at: Endpoint, entry: ListenEndpoint, accepts: boolean): void {
  logSession(alerts, () => {
    const flags = [
      entry.ssl ? 'ssl ' : '',
      entry.localNetwork ? 'local-network ' : '',
      accepts ? 'accept-incoming ' : 'no-incoming ',
      entry.expanded ? 'expanded-ip ' : '',
    ]
    return `attempting to open listen socket to: ${endpointToString(at)} on device: ${entry.device} ${flags.join('')}`
  })
}

/** @param kind empty for TCP @param what becomes of it */
export function logBindFailed(
  alerts: AlertQueue,
  kind: 'listen' | 'udp',
  at: Endpoint,
  device: string,
  error: ErrorCode,
  what: string,
): void {
  logSession(
    alerts,
    () =>
      `failed to bind ${kind} socket to: ${endpointToString(at)} on device: ${device} : ` +
      `[${error.category().name()}] (${error.value()}) ${error.message()} (${what})`,
  )
}
