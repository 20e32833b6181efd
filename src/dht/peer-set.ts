/** The peers of one torrent and one family that were announced to us: sorted, and packed to 11 or 23 bytes each. */

import { BloomFilter } from '../core/bloom-filter.ts'
import { readUint32, writeUint32 } from '../core/bytes.ts'
import { addressBytes, type Endpoint } from '../core/endpoint.ts'
import { sha1 } from '../core/hash.ts'
import type { Rng } from '../core/rng.ts'

/** Bytes of a filter of BEP 33. */
const FILTER_SIZE = 256
const FIRST_CAPACITY = 2

/** Of which peers are seeds, and which not. @see BEP 33 */
export interface ScrapeFilters {
  readonly downloaders: Uint8Array
  readonly seeds: Uint8Array
}

export class PeerSet {
  readonly #addressSize: 4 | 16
  /** Bytes of address and port, which records are sorted by; then come the flag of a seed and the time in seconds. */
  readonly #keySize: number
  readonly #recordSize: number
  #records: Uint8Array
  #size = 0
  /** What was answered to a scrape, as long as it holds: making it costs a hash a peer. */
  #filters: ScrapeFilters | null = null

  constructor(family: 4 | 6) {
    this.#addressSize = family === 4 ? 4 : 16
    this.#keySize = this.#addressSize + 2
    this.#recordSize = this.#keySize + 5
    this.#records = new Uint8Array(FIRST_CAPACITY * this.#recordSize)
  }

  get size(): number {
    return this.#size
  }

  /**
   * Adds a peer, or brings it up to date.
   *
   * @param now   ms
   * @param limit a new peer is not taken if there are as many
   * @returns whether there is one more now
   */
  announce(endpoint: Endpoint, seed: boolean, now: number, limit: number): boolean {
    const key = this.#keyOf(endpoint[0], endpoint[1])
    const i = this.#lowerBound(key)
    const added = i === this.#size || this.#compare(i, key) !== 0
    if (added) {
      if (this.#size >= limit) return false
      this.#insert(i, key)
    }
    const at = i * this.#recordSize + this.#keySize
    const flag = seed ? 1 : 0
    if (added || this.#records[at] !== flag) this.#filters = null
    this.#records[at] = flag
    writeUint32(this.#records, at + 1, Math.ceil(now / 1000))
    return added
  }

  /** Whether a peer with this address is there, whatever its port. */
  hasAddress(address: string): boolean {
    const key = this.#keyOf(address, 0)
    const i = this.#lowerBound(key)
    if (i === this.#size) return false
    const at = i * this.#recordSize
    for (let k = 0; k < this.#addressSize; k++) if (this.#records[at + k] !== key[k]) return false
    return true
  }

  /**
   * Compact endpoints of at most `count` peers, each of them as likely to be among them.
   *
   * @param noseed leave out seeds
   */
  sample(count: number, noseed: boolean, rng: Rng): Uint8Array[] {
    const records = this.#records
    const step = this.#recordSize
    let candidates = this.#size
    if (noseed) for (let i = 0; i < this.#size; i++) candidates -= records[i * step + this.#keySize]!
    let left = Math.min(count, candidates)
    const out: Uint8Array[] = []
    for (let at = 0; left > 0; at += step) {
      if (noseed && records[at + this.#keySize] === 1) continue
      // with the probability of those to choose among those that are left
      if (rng.below(candidates--) >= left) continue
      out.push(records.slice(at, at + this.#keySize))
      left--
    }
    return out
  }

  /** @see BEP 33 */
  scrape(): ScrapeFilters {
    if (this.#filters === null) {
      const downloaders = new BloomFilter(FILTER_SIZE)
      const seeds = new BloomFilter(FILTER_SIZE)
      for (let i = 0; i < this.#size; i++) {
        const at = i * this.#recordSize
        const hash = sha1(this.#records.subarray(at, at + this.#addressSize))
        if (this.#records[at + this.#keySize] === 1) seeds.set(hash)
        else downloaders.set(hash)
      }
      this.#filters = { downloaders: downloaders.toBytes(), seeds: seeds.toBytes() }
    }
    return this.#filters
  }

  /** Drops the peers that were announced before `time`, ms. @returns how many there were */
  purge(time: number): number {
    const records = this.#records
    const step = this.#recordSize
    let kept = 0
    for (let i = 0; i < this.#size; i++) {
      const at = i * step
      if (readUint32(records, at + this.#keySize + 1) * 1000 < time) continue
      if (kept < i) records.copyWithin(kept * step, at, at + step)
      kept++
    }
    const dropped = this.#size - kept
    this.#size = kept
    if (dropped > 0) this.#filters = null
    // most of the memory is of no use any more
    if (kept > 0 && records.length >= 4 * kept * step) this.#records = records.slice(0, kept * step)
    return dropped
  }

  #keyOf(address: string, port: number): Uint8Array {
    const key = new Uint8Array(this.#keySize)
    key.set(addressBytes(address))
    key[this.#addressSize] = port >>> 8
    key[this.#addressSize + 1] = port
    return key
  }

  /** Index of the first record that is not less. */
  #lowerBound(key: Uint8Array): number {
    let low = 0
    let high = this.#size
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#compare(middle, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  #compare(i: number, key: Uint8Array): number {
    const at = i * this.#recordSize
    for (let k = 0; k < key.length; k++) {
      const d = this.#records[at + k]! - key[k]!
      if (d !== 0) return d
    }
    return 0
  }

  #insert(i: number, key: Uint8Array): void {
    const step = this.#recordSize
    const need = (this.#size + 1) * step
    if (need > this.#records.length) {
      const grown = new Uint8Array(Math.ceil((this.#size * 3) / 2 + 1) * step)
      grown.set(this.#records)
      this.#records = grown
    }
    this.#records.copyWithin((i + 1) * step, i * step, this.#size * step)
    this.#records.set(key, i * step)
    this.#size++
  }
}
