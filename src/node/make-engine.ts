/** Puts an engine on Node's sockets, files and threads. With all it imports it is what `new Session` loads. */

export { dhtDefaultStorageConstructor } from '../dht/default-storage.ts'

import { createNodeRuntime } from '../runtime/node-runtime.ts'
import { Engine } from '../session/engine.ts'
import type { SessionParams } from '../session/session-params.ts'
import { createDisabledDisk } from '../storage/disabled-disk.ts'
import { createNodeDisk } from '../storage/node/disk-pool.ts'
import { maxOpenFiles } from './open-files.ts'

/** @param paused torrents do nothing until the session is resumed */
export function makeEngine(params: SessionParams, paused: boolean): Engine {
  const disabled = params.diskIoConstructor?.kind === 'disabled'
  return new Engine({
    runtime: createNodeRuntime(),
    settings: params.settings,
    ipFilter: params.ipFilter,
    dhtState: params.dhtState,
    dhtStorageConstructor: params.dhtStorageConstructor,
    paused,
    maxOpenFiles: maxOpenFiles(),
    createDisk: (settings, turn) =>
      disabled
        ? createDisabledDisk({ settings, defer: fn => queueMicrotask(() => turn(fn)) })
        : createNodeDisk({ settings, turn }),
  })
}
