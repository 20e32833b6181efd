/** The session of Node programs: the engine over Node's sockets, files and threads. */

import { writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { DhtStorageEnv, DhtStorageInterface, DhtStorageSettings } from '../dht/storage.ts'
import { SessionBase } from '../session/session-api.ts'
import { type DiskIoConstructor, SessionParams } from '../session/session-params.ts'
import type { SettingsPack } from '../settings/pack-type.ts'

/** Files on disk: what sessions use if nothing else is said. */
export const defaultDiskIoConstructor: DiskIoConstructor = Object.freeze({ kind: 'files' })
/** The same back-end under the names libtorrent has: here all read and write with positioned calls. */
export const preadDiskIoConstructor: DiskIoConstructor = defaultDiskIoConstructor
export const posixDiskIoConstructor: DiskIoConstructor = defaultDiskIoConstructor
export const mmapDiskIoConstructor: DiskIoConstructor = defaultDiskIoConstructor
/** Drops what is written and reads zeros: for measuring everything but the disk. */
export const disabledDiskIoConstructor: DiskIoConstructor = Object.freeze({ kind: 'disabled' })

/**
 * A BitTorrent session.
 *
 * ```ts
 * await using session = new Session({ listen_interfaces: '0.0.0.0:6881' })
 * const params = loadTorrentFile('debian.torrent')
 * params.savePath = '.'
 * const handle = session.addTorrent(params)
 * ```
 */
export class Session extends SessionBase {
  /**
   * @param params settings by name, or `SessionParams`
   * @param flags  `Session.paused`: torrents do nothing until `resume()`
   * @throws TypeError on an unknown setting or one of a wrong type
   */
  constructor(params: SessionParams | SettingsPack = {}, flags = 0) {
    const full = params instanceof SessionParams ? params : new SessionParams(params)
    super(engineModule().makeEngine(full, ((full.flags | flags) & SessionBase.paused) !== 0))
  }

  /** Writes one byte to a file descriptor when alerts begin to wait: for programs that poll descriptors. */
  setAlertFd(fd: number): void {
    const byte = new Uint8Array(1)
    this.setAlertNotify(() => {
      writeSync(fd, byte)
    })
  }
}

/**
 * The storage of the DHT that a session has if it is given no other: for programs that put one of their own around it.
 *
 * @see SessionParams.dhtStorageConstructor
 */
export function dhtDefaultStorageConstructor(settings: DhtStorageSettings, env: DhtStorageEnv): DhtStorageInterface {
  return engineModule().dhtDefaultStorageConstructor(settings, env)
}

type EngineModule = typeof import('./make-engine.ts')

let loaded: EngineModule | null = null

/**
 * The engine is half of the package: programs that only read or make torrents do not pay for it. A session
 * needs it at once, so it is required and not imported.
 */
function engineModule(): EngineModule {
  loaded ??= createRequire(import.meta.url)(
    // in a checkout, where the sources are run as they are, it comes from the built package: Node 20 runs no .ts
    import.meta.url.endsWith('.ts') ? '../../dist/make-engine.js' : './make-engine.js',
  ) as EngineModule
  return loaded
}
