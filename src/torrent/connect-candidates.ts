/** Which known peers may be connected to, and how many they are: counted as they change, not by going through all. */

import type { PeerEntry } from './peer-entry.ts'

/** What decides besides the peer itself. */
export interface CandidateConditions {
  /** Nothing more is wanted: peers that only upload are no use. */
  readonly isFinished: boolean
  /** `max_failcount`. */
  readonly maxFailcount: number
}

export class ConnectCandidates {
  // What the count was made under; when the conditions differ, everything is counted anew.
  #finished = false
  #maxFailcount: number
  #count = 0

  constructor(maxFailcount: number) {
    this.#maxFailcount = maxFailcount
  }

  get count(): number {
    return this.#count
  }

  /** As it was when they were last counted. */
  get isFinished(): boolean {
    return this.#finished
  }

  includes(entry: PeerEntry): boolean {
    return (
      entry.connection === null &&
      !entry.banned &&
      !entry.webSeed &&
      entry.connectable &&
      !((entry.seed || entry.uploadOnly) && this.#finished) &&
      entry.failcount < this.#maxFailcount
    )
  }

  /** The entry is one to count from now on, if it is a candidate. */
  add(entry: PeerEntry): void {
    if (this.includes(entry)) this.#count++
  }

  /** It is about to be none. */
  remove(entry: PeerEntry): void {
    if (this.includes(entry)) this.#count--
  }

  /** Changes what a candidate is made of, and the count with it. */
  change(entry: PeerEntry, change: () => void): void {
    const was = this.includes(entry)
    change()
    const is = this.includes(entry)
    if (was !== is) this.#count += is ? 1 : -1
  }

  /** Counts anew if the conditions have changed. */
  update({ isFinished, maxFailcount }: CandidateConditions, entries: readonly PeerEntry[]): void {
    if (isFinished === this.#finished && maxFailcount === this.#maxFailcount) return
    this.#finished = isFinished
    this.#maxFailcount = maxFailcount
    this.#count = 0
    for (const entry of entries) this.add(entry)
  }

  clear(): void {
    this.#count = 0
  }
}
