/** Says in words what torrents do and why, for programs that want `TorrentLogAlert`s. */

import type { AlertTorrent } from '../alert/alert.ts'
import type { AlertQueue } from '../alert/alert-queue.ts'
import { TorrentLogAlert } from '../alert/log-alerts.ts'
import type { Endpoint } from '../core/endpoint.ts'
import { TorrentFlags } from '../core/enums.ts'
import { operationName } from '../core/operation.ts'
import type { CheckResult, DiskError } from '../storage/disk-io.ts'
import type { Torrent } from './torrent.ts'
import { UNLIMITED } from './torrent-limits.ts'

/** Whose log it is. */
export interface LoggedTorrent extends AlertTorrent {
  readonly env: { readonly alerts: AlertQueue }
}

/** Puts a line into the log of a torrent. @param text called only if somebody reads it */
export function logTorrent(torrent: LoggedTorrent, text: () => string): void {
  const { alerts } = torrent.env
  if (alerts.wants(TorrentLogAlert)) alerts.post(new TorrentLogAlert(torrent, text()))
}

/** What it was added with. */
export function logCreated(torrent: Torrent): void {
  logTorrent(torrent, () => {
    const { env, files, uploadSlots, added } = torrent
    const flags: readonly (readonly [boolean, string])[] = [
      [((added?.flags ?? 0) & TorrentFlags.seedMode) !== 0, 'seed-mode'],
      [torrent.uploadMode.on, 'upload-mode'],
      [torrent.appliesIpFilter, 'apply-ip-filter'],
      [torrent.pausing.paused, 'paused'],
      [torrent.autoManaged, 'auto-managed'],
      [torrent.subscribed, 'update-subscribe'],
      [torrent.superSeeding, 'super-seeding'],
      [torrent.sequential, 'sequential-download'],
      [torrent.stopWhenReady, 'stop-when-ready'],
    ]
    const names = flags.map(([on, name]) => (on ? `${name} ` : '')).join('')
    return (
      `creating torrent: ${added?.ti?.name() ?? torrent.name()} max-uploads: ${limitText(uploadSlots.limit)} ` +
      `max-connections: ${limitText(torrent.maxConnections)} upload-limit: ${env.limits.torrentLimit(torrent, 'up')} ` +
      `download-limit: ${env.limits.torrentLimit(torrent, 'down')} flags: ${names} ` +
      `save-path: ${files.savePath} part-file-path: ${files.partFileDir}`
    )
  })
}

/** Peers were heard of. @param source where */
export function logPeersAdded(torrent: Torrent, source: string, peers: readonly Endpoint[]): void {
  if (peers.length === 0) return
  logTorrent(torrent, () => {
    const addresses = peers.map(([address]) => `${address} `).join('')
    return `${source} add_peer() [ ${addresses}] connect-candidates: ${torrent.swarm.known?.numConnectCandidates() ?? -1}`
  })
}

/** Whether the files are as resume data has them. */
export function logResumeChecked(torrent: Torrent, { status, error }: CheckResult, isRejected: boolean): void {
  if (!isRejected) {
    logTorrent(torrent, () => 'fastresume data accepted')
    return
  }
  logTorrent(torrent, () => {
    if (error === null) return `fastresume data rejected: ret: ${status}`
    const { code, operation, file } = error
    return `fastresume data rejected: ret: ${status} (${code.value()}) op: ${operationName(operation)} file: ${file} ${code.message()}`
  })
}

/** A disk job failed. @param job what it was to do */
export function logDiskError(torrent: Torrent, { code, operation, file }: DiskError, job: string): void {
  logTorrent(
    torrent,
    () =>
      `disk error: (${code.value()}) ${code.message()} [${job} : ${operationName(operation)}] ` +
      `in file: ${torrent.files.describe(file)}`,
  )
}

/** -1 for none. */
export function limitText(limit: number): string {
  return `${limit === UNLIMITED ? -1 : limit}`
}
