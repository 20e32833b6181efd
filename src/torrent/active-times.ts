/** For how long a torrent was started, finished and seeding. */

import type { AddTorrentParams } from '../metainfo/add-torrent-params.ts'

/** Seconds accumulated, plus what runs now. Moments are milliseconds of the session's clock. */
export class ActiveTimes {
  #active: number
  #finished: number
  #seeding: number
  /** -1: not running. */
  #startedAt = -1
  #finishedAt = -1
  #seedingAt = -1
  #isFinished = false
  #isSeeding = false

  constructor(before: Pick<AddTorrentParams, 'activeTime' | 'finishedTime' | 'seedingTime'>) {
    this.#active = before.activeTime
    this.#finished = before.finishedTime
    this.#seeding = before.seedingTime
  }

  /** Not paused from now on. */
  start(now: number): void {
    this.stop(now)
    this.#startedAt = now
    if (this.#isFinished) this.#finishedAt = now
    if (this.#isSeeding) this.#seedingAt = now
  }

  /** Paused or removed. */
  stop(now: number): void {
    this.#active = this.active(now)
    this.#finished = this.finishedFor(now)
    this.#seeding = this.seedingFor(now)
    this.#startedAt = -1
    this.#finishedAt = -1
    this.#seedingAt = -1
  }

  finished(now: number): void {
    if (this.#isFinished) return
    this.#isFinished = true
    if (this.#startedAt >= 0) this.#finishedAt = now
  }

  seeding(now: number): void {
    if (this.#isSeeding) return
    this.#isSeeding = true
    if (this.#startedAt >= 0) this.#seedingAt = now
  }

  /** Something is missing again. */
  unfinished(now: number): void {
    this.#finished = this.finishedFor(now)
    this.#seeding = this.seedingFor(now)
    this.#isFinished = false
    this.#isSeeding = false
    this.#finishedAt = -1
    this.#seedingAt = -1
  }

  /** Whole seconds. */
  active(now: number): number {
    return this.#active + since(this.#startedAt, now)
  }

  finishedFor(now: number): number {
    return this.#finished + since(this.#finishedAt, now)
  }

  seedingFor(now: number): number {
    return this.#seeding + since(this.#seedingAt, now)
  }
}

function since(moment: number, now: number): number {
  return moment < 0 ? 0 : Math.floor((now - moment) / 1000)
}
