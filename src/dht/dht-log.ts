/** The log of the DHT, as its parts see it. */

import type { DhtModule } from '../core/enums.ts'

/** Takes lines for `DhtLogAlert`. Ask `shouldLog` first: lines are built only if somebody wants them. */
export interface DhtLog {
  shouldLog(module: DhtModule): boolean
  log(module: DhtModule, message: string): void
}
