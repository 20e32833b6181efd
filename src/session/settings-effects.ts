/** What is brought up to date when settings change; what reads its setting at each use is not here. */

import type { AlertQueue } from '../alert/alert-queue.ts'
import type { Runtime } from '../core/runtime.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import type { EffectTag } from '../settings/setting-row.ts'
import type { DiskIo, DiskSettings } from '../storage/disk-io.ts'
import type { ConnectionScheduler } from './connection-scheduler.ts'
import type { DhtHost } from './dht-host.ts'
import type { GlobalChoker } from './global-choker.ts'
import type { ListenSockets } from './listen-sockets.ts'
import type { LsdHost } from './lsd-host.ts'
import type { RateLimits } from './rate-limits.ts'
import type { TorrentQueue } from './torrent-queue.ts'
import type { TorrentRegistry } from './torrent-registry.ts'

/** The parts of a session that keep something of its settings. */
export interface EffectTargets {
  readonly settings: SessionSettings
  readonly runtime: Pick<Runtime, 'resolver'>
  readonly alerts: AlertQueue
  readonly disk: DiskIo
  readonly listen: ListenSockets
  readonly lsd: LsdHost
  readonly dht: DhtHost
  readonly limits: RateLimits
  readonly choker: GlobalChoker
  readonly scheduler: ConnectionScheduler
  readonly queue: TorrentQueue
  readonly registry: TorrentRegistry
}

/** One of the effects of changed settings, as `SessionSettings.applyPack` returns them. */
export function applyEffect(on: EffectTargets, effect: EffectTag): void {
  const { settings } = on
  switch (effect) {
    case 'listenInterfaces':
      on.listen.reopen()
      break
    case 'lsd':
      on.lsd.update()
      break
    case 'proxy':
      on.listen.proxyChanged()
      break
    case 'uploadRate':
    case 'downloadRate':
      on.limits.settingsChanged()
      break
    case 'unchokeLimit':
      on.choker.settingsChanged()
      break
    case 'connectionsLimit':
      on.scheduler.limitChanged()
      break
    case 'alertMask':
      on.alerts.setMask(settings.alertMask)
      break
    case 'alertQueueSize':
      on.alerts.setLimit(settings.alertQueueSize)
      break
    case 'autoManage':
    case 'countSlow':
      on.queue.trigger()
      break
    case 'disk':
      on.disk.applySettings(diskSettings(settings))
      break
    case 'wantPeers':
    case 'maxFailcount':
      for (const torrent of on.registry.all()) torrent.listsChanged()
      break
    case 'resolverCacheTimeout':
      on.runtime.resolver.setCacheTimeout(settings.resolverCacheTimeout)
      break
    case 'dht':
      on.dht.update()
      break
    case 'dhtBootstrapNodes':
      on.dht.bootstrapNodesChanged()
      break
    case 'dhtAnnounceInterval':
      on.dht.announces.intervalChanged()
      break
    case 'privilegedPorts':
      for (const torrent of on.registry.all()) torrent.swarm.portFilterChanged()
      break
    default:
      break
  }
}

/** What of the settings the disk back-end has. */
export function diskSettings(settings: SessionSettings): DiskSettings {
  return {
    aioThreads: settings.aioThreads,
    hashingThreads: settings.hashingThreads,
    filePoolSize: settings.filePoolSize,
    maxQueuedDiskBytes: settings.maxQueuedDiskBytes,
    writeMode: settings.diskIoWriteMode,
    readMode: settings.diskIoReadMode,
  }
}
