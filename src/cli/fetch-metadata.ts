/** Gets what is in a torrent from its peers (BEP 9), for commands that only look at it. */

import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type AddTorrentParams,
  AlertCategory,
  type Endpoint,
  Session,
  type SettingsPack,
  TorrentFlags,
} from '../index.ts'
import { CommandError } from './io.ts'

/** How to look for peers. */
export interface FetchOptions {
  readonly settings: SettingsPack
  readonly peers: readonly Endpoint[]
  readonly timeoutMs: number
}

/**
 * Fills in the metadata of a magnet link. No file is written.
 *
 * @param params what the link says; gets its `ti`
 * @throws CommandError if no peer gives it in time
 */
export async function fetchMetadata(
  params: AddTorrentParams,
  options: FetchOptions,
  interrupt: AbortSignal,
): Promise<void> {
  const { settings, peers, timeoutMs } = options
  const session = new Session({
    listen_interfaces: '0.0.0.0:0,[::]:0',
    // gone again in a moment: see dht-session.ts
    dht_read_only: true,
    ...settings,
    alert_mask: (settings.alert_mask ?? 0) | AlertCategory.error | AlertCategory.status,
  })
  const over = new AbortController()
  try {
    const asked = Object.assign(params.clone(), {
      // nothing is wanted of the files, and nothing on disk may pass for them
      savePath: join(tmpdir(), randomUUID()),
      filePriorities: [],
      flags: TorrentFlags.updateSubscribe | TorrentFlags.applyIpFilter | TorrentFlags.defaultDontDownload,
      peers: [...params.peers, ...peers],
    })
    const handle = session.addTorrent(asked)
    const signal = AbortSignal.any([interrupt, AbortSignal.timeout(timeoutMs)])
    const info = await new Promise<AddTorrentParams['ti']>((resolve, reject) => {
      const end = () => {
        const seconds = Math.round(timeoutMs / 1000)
        const known = handle.status().listPeers
        const who = known === 0 ? 'no peer was found' : `none of ${known} known peers gave it`
        reject(new CommandError(interrupt.aborted ? 'stopped' : `no metadata after ${seconds} s: ${who}`))
      }
      // not any more once the session is closed
      if (signal.aborted) end()
      else signal.addEventListener('abort', end, { signal: over.signal })
      session.on('metadata_received', () => resolve(handle.torrentFile()))
      session.on('torrent_error', alert => reject(new CommandError(alert.error.message())))
    })
    params.ti = info
    params.infoHashes = info!.infoHashes()
    params.name = info!.name()
  } finally {
    over.abort()
    await session.close()
  }
}
