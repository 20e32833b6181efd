/** The entries of a peer list: in the order of their addresses, so those of one address are neighbours, and by their ids. */

import type { PeerRef } from './downloading-pieces.ts'
import { PeerEntry, type PeerSources } from './peer-entry.ts'

export class PeerEntries {
  #sorted: PeerEntry[] = []
  #byId: (PeerEntry | undefined)[] = [undefined]
  #freeIds: PeerRef[] = []

  get size(): number {
    return this.#sorted.length
  }

  /** By address text. Read only; valid until the next change. */
  get sorted(): readonly PeerEntry[] {
    return this.#sorted
  }

  /** The entry with that id, whether it is among the sorted ones or not. */
  byId(id: PeerRef): PeerEntry | undefined {
    return this.#byId[id]
  }

  /** A new entry with an id, which it has until `release`. It is not among the sorted ones yet. */
  make(address: string, port: number, connectable: boolean, source: PeerSources): PeerEntry {
    const id = this.#freeIds.pop() ?? this.#byId.length
    const entry = new PeerEntry(id, address, port, connectable, source)
    this.#byId[id] = entry
    return entry
  }

  /** Its id may be given to another from now on. */
  release(entry: PeerEntry): void {
    this.#byId[entry.id] = undefined
    this.#freeIds.push(entry.id)
  }

  /** @returns where it is now, before others of its address */
  insert(entry: PeerEntry): number {
    const at = this.#lowerBound(entry.address)
    this.#sorted.splice(at, 0, entry)
    return at
  }

  /** It keeps its id. */
  removeAt(at: number): void {
    this.#sorted.splice(at, 1)
  }

  /** @param port `null` for any @returns the first that fits */
  find(address: string, port: number | null): PeerEntry | null {
    for (let i = this.#lowerBound(address); this.#sorted[i]?.address === address; i++) {
      if (port === null || this.#sorted[i]!.port === port) return this.#sorted[i]!
    }
    return null
  }

  /** @returns -1 if it is not among the sorted ones */
  indexOf(entry: PeerEntry): number {
    for (let i = this.#lowerBound(entry.address); this.#sorted[i]?.address === entry.address; i++) {
      if (this.#sorted[i] === entry) return i
    }
    return -1
  }

  /** Forgets all entries and all ids. */
  clear(): void {
    this.#sorted = []
    this.#byId = [undefined]
    this.#freeIds = []
  }

  /** Throws an `Error` if the order or the ids do not hold; for tests. */
  checkInvariant(): void {
    for (let i = 0; i < this.#sorted.length; i++) {
      const entry = this.#sorted[i]!
      if (i > 0 && this.#sorted[i - 1]!.address > entry.address) throw new Error('PeerEntries: not sorted')
      if (this.#byId[entry.id] !== entry) throw new Error(`PeerEntries: id ${entry.id} is not its entry's`)
    }
  }

  #lowerBound(address: string): number {
    let low = 0
    let high = this.#sorted.length
    while (low < high) {
      const mid = (low + high) >> 1
      if (this.#sorted[mid]!.address < address) low = mid + 1
      else high = mid
    }
    return low
  }
}
