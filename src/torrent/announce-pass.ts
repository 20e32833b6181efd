/** The tier rules of BEP 12 as state: what each listen socket and info-hash has got so far in one pass over the trackers. */

import type { InfoHash } from '../core/digest.ts'
import type { ProtocolVersion } from '../core/enums.ts'
import type { TrackerSocket } from '../tracker/announce-request.ts'

/** "No tracker that works was seen": beyond every tier. */
export const NO_TIER = Number.POSITIVE_INFINITY

/** Where one listen socket and info-hash stand while the trackers are gone through in order. */
export class Lane {
  /** The tier of the last tracker that works. */
  tier = NO_TIER
  /** An announce was sent, is in flight, or is not due yet, in that tier. */
  served = false
  done = false
}

/** The lanes of one pass: one for each listen socket and info-hash kind the torrent has. */
export class AnnouncePass {
  readonly #sockets: TrackerSocket[] = []
  readonly #lanes: (Lane | null)[] = []
  readonly #v1: boolean
  readonly #v2: boolean

  constructor(hash: InfoHash) {
    this.#v1 = hash.hasV1()
    this.#v2 = hash.hasV2()
  }

  /** @returns `null` if the torrent has no info-hash of that kind */
  lane(socket: TrackerSocket, version: ProtocolVersion): Lane | null {
    let index = this.#sockets.indexOf(socket)
    if (index < 0) {
      index = this.#sockets.push(socket) - 1
      this.#lanes.push(this.#v1 ? new Lane() : null, this.#v2 ? new Lane() : null)
    }
    return this.#lanes[index * 2 + version] ?? null
  }

  get allDone(): boolean {
    return this.#lanes.every(lane => lane === null || lane.done)
  }
}
