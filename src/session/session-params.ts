/** What a session is made from, and what is saved of one. */

import { DhtState } from '../dht/dht-state.ts'
import type { DhtStorageConstructor } from '../dht/storage.ts'
import { IpFilter } from '../net/ip-filter.ts'
import type { SettingsPack } from '../settings/pack-type.ts'

/** Which disk back-end a session uses. @see defaultDiskIoConstructor */
export interface DiskIoConstructor {
  /** @internal */
  readonly kind: 'files' | 'disabled'
}

/** Parameters of `new Session(...)`. */
export class SessionParams {
  /** What differs from the defaults. */
  settings: SettingsPack
  ipFilter: IpFilter = new IpFilter()
  /** Where torrents keep their data; files on disk if not set. */
  diskIoConstructor: DiskIoConstructor | null = null
  /** Ids of our DHT nodes and nodes to begin with, of an earlier run. */
  dhtState: DhtState = new DhtState()
  /** What keeps the peers and items that other nodes store with us; in memory if not set. */
  dhtStorageConstructor: DhtStorageConstructor | null = null
  /** `Session.paused`. */
  flags = 0

  constructor(settings: SettingsPack = {}) {
    this.settings = settings
  }
}
