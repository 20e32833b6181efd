/** What a session is made from, and what is saved of one. */

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
  /** `Session.paused`. */
  flags = 0

  constructor(settings: SettingsPack = {}) {
    this.settings = settings
  }
}
