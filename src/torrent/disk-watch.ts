/** Notices when the disk no longer answers the writes of one torrent. */

import type { Turn } from '../core/turn.ts'

/** A disk that answers no write for so long hangs, or is as good as hung. */
const STALL_MS = 500

/**
 * See the head of the file. A disk that hangs must not end up with all the memory: the other torrents need some. So it is
 * looked at whenever memory is asked for.
 */
export class DiskWatch {
  readonly #turn: Pick<Turn, 'now'>
  readonly #setStalled: (stalled: boolean) => void
  /** Writes that the disk has not answered, and when it answered last, or was given the first of them. */
  #writes = 0
  #movedAt = 0
  #stalled = false

  /** @param setStalled told of each change */
  constructor(turn: Pick<Turn, 'now'>, setStalled: (stalled: boolean) => void) {
    this.#turn = turn
    this.#setStalled = setStalled
  }

  writeBegins(): void {
    if (this.#writes++ === 0) this.#movedAt = this.#turn.now
  }

  writeEnds(): void {
    this.#writes--
    this.#movedAt = this.#turn.now
    if (this.#stalled) this.#change(false)
  }

  look(): void {
    if (this.#writes > 0 && !this.#stalled && this.#turn.now - this.#movedAt > STALL_MS) this.#change(true)
  }

  #change(stalled: boolean): void {
    this.#stalled = stalled
    this.#setStalled(stalled)
  }
}
