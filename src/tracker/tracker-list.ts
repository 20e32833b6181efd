/** The trackers of one torrent in the order they are tried: by tier, the ones that failed last in each (BEP 12). */

import { TrackerSource } from '../core/enums.ts'
import { type Rng, shuffle } from '../core/rng.ts'
import type { AnnounceEntry } from './announce-entry.ts'
import { clampByte, TrackerState } from './tracker-state.ts'
import { isError, parseUrl } from './tracker-url.ts'

/** Beyond this many trackers an index by URL pays for itself. */
const INDEX_FROM = 16

export class TrackerList {
  #trackers: TrackerState[] = []
  #byUrl: Map<string, TrackerState> | null = null
  #lastWorking: TrackerState | null = null

  get length(): number {
    return this.#trackers.length
  }

  [Symbol.iterator](): IterableIterator<TrackerState> {
    return this.#trackers[Symbol.iterator]()
  }

  at(index: number): TrackerState | null {
    return this.#trackers[index] ?? null
  }

  find(url: string): TrackerState | null {
    if (this.#byUrl !== null) return this.#byUrl.get(url) ?? null
    for (const tracker of this.#trackers) if (tracker.url === url) return tracker
    return null
  }

  /** Adds at the end of its tier. @returns false if the URL is empty or was there; its source flags are merged then */
  add(entry: AnnounceEntry): boolean {
    if (entry.url === '') return false
    const known = this.find(entry.url)
    if (known !== null) {
      known.source |= entry.source
      return false
    }
    const tracker = stateOf(entry)
    let at = this.#trackers.length
    while (at > 0 && this.#trackers[at - 1]!.tier > tracker.tier) at--
    this.#trackers.splice(at, 0, tracker)
    this.#index(tracker)
    return true
  }

  /** Forgets all trackers and their state, and takes these. */
  replace(entries: readonly AnnounceEntry[]): void {
    this.#trackers = []
    this.#byUrl = null
    this.#lastWorking = null
    for (const entry of entries) {
      if (entry.url === '') continue
      const known = this.find(entry.url)
      if (known !== null) {
        known.source |= entry.source
        continue
      }
      const tracker = stateOf(entry)
      this.#trackers.push(tracker)
      this.#index(tracker)
    }
    this.#trackers.sort((a, b) => a.tier - b.tier)
  }

  /** Reorders each tier at random, so that not all peers load the tracker named first. @see BEP 12 */
  shuffleTiers(rng: Rng): void {
    let from = 0
    while (from < this.#trackers.length) {
      const tier = this.#trackers[from]!.tier
      let to = from
      while (to < this.#trackers.length && this.#trackers[to]!.tier === tier) to++
      this.#trackers.splice(from, to - from, ...shuffle(this.#trackers.slice(from, to), rng))
      from = to
    }
  }

  /** Where a host has a UDP tracker and, before it, an HTTP one, they change places: UDP costs both sides less. */
  prioritizeUdp(): void {
    const trackers = this.#trackers
    const hosts = new Map<TrackerState, string>()
    const hostOf = (tracker: TrackerState): string => {
      let host = hosts.get(tracker)
      if (host === undefined) {
        const parts = parseUrl(tracker.url)
        host = isError(parts) ? '' : parts.hostname
        hosts.set(tracker, host)
      }
      return host
    }
    const firstOther = new Map<string, number[]>()
    for (let i = 0; i < trackers.length; i++) {
      const tracker = trackers[i]!
      const host = hostOf(tracker)
      if (!tracker.url.startsWith('udp://')) {
        const places = firstOther.get(host)
        if (places === undefined) firstOther.set(host, [i])
        else places.push(i)
        continue
      }
      const places = firstOther.get(host)
      const first = places?.shift()
      if (places === undefined || first === undefined) continue
      trackers[i] = trackers[first]!
      trackers[first] = tracker
      places.push(i)
    }
  }

  /** Puts a tracker that failed behind the others of its tier. */
  deprioritize(tracker: TrackerState): void {
    const from = this.#trackers.indexOf(tracker)
    if (from < 0) return
    let to = from + 1
    while (to < this.#trackers.length && this.#trackers[to]!.tier === tracker.tier) to++
    this.#trackers.splice(to, 0, tracker)
    this.#trackers.splice(from, 1)
  }

  /** The tracker that answered last. */
  get lastWorking(): TrackerState | null {
    return this.#lastWorking
  }

  recordWorking(tracker: TrackerState): void {
    this.#lastWorking = tracker
  }

  /** Endpoints that were switched off for lack of their address family get another chance. */
  enableAll(): void {
    for (const tracker of this.#trackers) for (const endpoint of tracker.endpoints) endpoint.enabled = true
  }

  /** The torrent is complete: due at once where `completed` was not sent. */
  completed(now: number): void {
    for (const tracker of this.#trackers) {
      for (const endpoint of tracker.endpoints) {
        if (!endpoint.enabled) continue
        for (const state of endpoint.states()) {
          if (state.completeSent) continue
          state.nextAnnounce = now
          state.minAnnounce = now
        }
      }
    }
  }

  setCompleteSent(): void {
    for (const tracker of this.#trackers) {
      for (const endpoint of tracker.endpoints) for (const state of endpoint.states()) state.completeSent = true
    }
  }

  /** A new session begins from the trackers' point of view. */
  reset(): void {
    for (const tracker of this.#trackers) {
      for (const endpoint of tracker.endpoints) for (const state of endpoint.states()) state.reset()
    }
  }

  /** Due at once, whatever the intervals say, so that `stopped` can be sent. */
  stopAnnouncing(now: number): void {
    for (const tracker of this.#trackers) {
      for (const endpoint of tracker.endpoints) {
        for (const state of endpoint.states()) {
          state.nextAnnounce = now
          state.minAnnounce = now
        }
      }
    }
  }

  anyVerified(): boolean {
    return this.#trackers.some(tracker => tracker.verified)
  }

  /** Asserts what always holds; for tests. */
  checkInvariant(): void {
    const urls = new Set(this.#trackers.map(tracker => tracker.url))
    if (urls.size !== this.#trackers.length) throw new Error('TrackerList: a URL is there twice')
    if (this.#byUrl !== null && this.#byUrl.size !== urls.size) throw new Error('TrackerList: index out of date')
    for (const tracker of this.#trackers) {
      if (this.find(tracker.url) !== tracker) throw new Error('TrackerList: index names another tracker')
    }
  }

  #index(tracker: TrackerState): void {
    if (this.#byUrl !== null) this.#byUrl.set(tracker.url, tracker)
    else if (this.#trackers.length > INDEX_FROM) {
      this.#byUrl = new Map(this.#trackers.map(known => [known.url, known]))
    }
  }
}

function stateOf(entry: AnnounceEntry): TrackerState {
  const source = entry.source === 0 ? TrackerSource.sourceClient : entry.source
  return new TrackerState(entry.url, clampByte(entry.tier), source, clampByte(entry.failLimit), entry.trackerid)
}
