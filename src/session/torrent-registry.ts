/** All torrents of a session: by id and info-hash, in queue order, and in the lists that spare the others' time. */

import type { TorrentId } from '../core/brands.ts'
import type { InfoHash, Sha1Hash } from '../core/digest.ts'
import { ProtocolVersion } from '../core/enums.ts'
import { RootIndex } from '../torrent/root-index.ts'
import type { TorrentFile } from '../torrent/shared-files.ts'
import type { Torrent } from '../torrent/torrent.ts'
import type { RegistryPort } from '../torrent/torrent-env.ts'

/** What the registry tells the session. */
export interface RegistryHost {
  triggerAutoManage(): void
  /** A torrent wants connections that did not before. */
  peersWanted(): void
  torrentClosed(torrent: Torrent): void
}

export class TorrentRegistry implements RegistryPort {
  readonly #host: RegistryHost
  readonly #byId = new Map<TorrentId, Torrent>()
  readonly #byHash = new Map<string, Torrent>()
  /** Download queue, first to go first; seeds are not in it. A set: thousands enter and leave at once. */
  #queue = new Set<Torrent>()
  /** Places in `#queue`, computed when asked for after a change. */
  #positions: Map<Torrent, number> | null = null
  readonly ticking = new Set<Torrent>()
  readonly wantingPeers = new Set<Torrent>()
  /** Torrents by the second at which they have something to announce. */
  readonly #announces = new Map<number, Set<Torrent>>()
  readonly #announceSecond = new Map<Torrent, number>()
  #earliestSecond = Number.POSITIVE_INFINITY
  #updated = new Set<Torrent>()
  /** Torrents by the info-hash that they name as similar, by collection, and by the roots of their files. */
  readonly #namedBy = new Map<string, Set<Torrent>>()
  readonly #collections = new Map<string, Set<Torrent>>()
  readonly #roots = new RootIndex(id => this.#byId.has(id))
  /** Torrents that were removed and are not closed yet. */
  readonly closing = new Set<Torrent>()
  #nextId = 1

  constructor(host: RegistryHost) {
    this.#host = host
  }

  nextId(): TorrentId {
    return this.#nextId++
  }

  get numTorrents(): number {
    return this.#byId.size
  }

  all(): IterableIterator<Torrent> {
    return this.#byId.values()
  }

  byId(id: TorrentId): Torrent | undefined {
    return this.#byId.get(id)
  }

  /** @param hash the v1 hash, or the v2 hash cut to 20 bytes */
  byHash(hash: Sha1Hash): Torrent | undefined {
    return this.#byHash.get(hash.key())
  }

  find(infoHash: InfoHash): Torrent | undefined {
    for (const key of keysOf(infoHash)) {
      const found = this.#byHash.get(key)
      if (found !== undefined) return found
    }
    return undefined
  }

  insert(torrent: Torrent): void {
    this.#byId.set(torrent.id, torrent)
    for (const key of keysOf(torrent.infoHashes)) this.#byHash.set(key, torrent)
  }

  /** Takes it out of all lists; it may still be closing. */
  remove(torrent: Torrent): void {
    this.#byId.delete(torrent.id)
    for (const key of keysOf(torrent.infoHashes)) if (this.#byHash.get(key) === torrent) this.#byHash.delete(key)
    this.setQueued(torrent, false)
    this.ticking.delete(torrent)
    this.wantingPeers.delete(torrent)
    this.announceAt(torrent, Number.POSITIVE_INFINITY)
    this.#updated.delete(torrent)
    for (const hash of torrent.info?.similarTorrents() ?? []) removeFrom(this.#namedBy, hash.key(), torrent)
    for (const name of torrent.info?.collections() ?? []) removeFrom(this.#collections, name, torrent)
    if (!torrent.closed) this.closing.add(torrent)
  }

  torrentClosed(torrent: Torrent): void {
    this.closing.delete(torrent)
    this.#host.torrentClosed(torrent)
  }

  conflicting(torrent: Torrent, infoHash: InfoHash): Torrent | null {
    for (const key of keysOf(infoHash)) {
      const other = this.#byHash.get(key)
      if (other !== undefined && other !== torrent) return other
    }
    return null
  }

  updateInfoHash(torrent: Torrent, infoHash: InfoHash): void {
    for (const key of keysOf(torrent.infoHashes)) if (this.#byHash.get(key) === torrent) this.#byHash.delete(key)
    for (const key of keysOf(infoHash)) this.#byHash.set(key, torrent)
    torrent.infoHashes = infoHash
  }

  // ---- torrents that share files -----------------------------------------------------------------

  filesKnown(torrent: Torrent): void {
    const { info } = torrent
    if (info === null) return
    for (const hash of info.similarTorrents()) addTo(this.#namedBy, hash.key(), torrent)
    for (const name of info.collections()) addTo(this.#collections, name, torrent)
    if (info.v2()) this.#roots.add(torrent.id, info.layout())
  }

  similar(torrent: Torrent): Torrent[] {
    const { info } = torrent
    if (info === null) return []
    const out = new Set<Torrent>()
    for (const hash of info.similarTorrents()) {
      const other = this.byHash(hash)
      if (other !== undefined) out.add(other)
    }
    for (const key of keysOf(torrent.infoHashes)) for (const other of this.#namedBy.get(key) ?? []) out.add(other)
    for (const name of info.collections()) for (const other of this.#collections.get(name) ?? []) out.add(other)
    out.delete(torrent)
    return [...out]
  }

  filesWithRoot(root: Uint8Array): TorrentFile[] {
    const out: TorrentFile[] = []
    for (const { torrent: id, file } of this.#roots.find(root)) {
      const torrent = this.#byId.get(id)
      if (torrent !== undefined) out.push({ torrent, file })
    }
    return out
  }

  // ---- lists -------------------------------------------------------------------------------------

  wantsTick(torrent: Torrent, wants: boolean): void {
    if (wants) this.ticking.add(torrent)
    else this.ticking.delete(torrent)
  }

  wantsPeers(torrent: Torrent, wants: boolean): void {
    if (!wants) this.wantingPeers.delete(torrent)
    else if (!this.wantingPeers.has(torrent)) {
      this.wantingPeers.add(torrent)
      this.#host.peersWanted()
    }
  }

  announceAt(torrent: Torrent, when: number): void {
    const second = Number.isFinite(when) ? Math.ceil(when / 1000) : Number.POSITIVE_INFINITY
    const before = this.#announceSecond.get(torrent)
    if (before === second) return
    if (before !== undefined) {
      const bucket = this.#announces.get(before)
      bucket?.delete(torrent)
      if (bucket?.size === 0) this.#announces.delete(before)
    }
    if (!Number.isFinite(second)) {
      this.#announceSecond.delete(torrent)
      return
    }
    this.#announceSecond.set(torrent, second)
    let bucket = this.#announces.get(second)
    if (bucket === undefined) this.#announces.set(second, (bucket = new Set()))
    bucket.add(torrent)
    this.#earliestSecond = Math.min(this.#earliestSecond, second)
  }

  /** Torrents whose time to announce has come; they must say when they are due next. */
  dueAnnounces(now: number): Torrent[] {
    const out: Torrent[] = []
    const current = Math.floor(now / 1000)
    if (this.#announces.size === 0 || this.#earliestSecond > current) return out
    let earliest = Number.POSITIVE_INFINITY
    for (const [second, torrents] of this.#announces) {
      if (second > current) {
        earliest = Math.min(earliest, second)
        continue
      }
      this.#announces.delete(second)
      for (const torrent of torrents) {
        this.#announceSecond.delete(torrent)
        out.push(torrent)
      }
    }
    this.#earliestSecond = earliest
    return out
  }

  stateUpdated(torrent: Torrent): void {
    torrent.updateQueued = true
    this.#updated.add(torrent)
  }

  takeUpdated(): Torrent[] {
    const out = [...this.#updated]
    this.#updated.clear()
    for (const torrent of out) torrent.updateQueued = false
    return out
  }

  /** Some torrent has data on its way to the disk. */
  get isWriting(): boolean {
    for (const torrent of this.ticking) if (torrent.content?.writing === true) return true
    return false
  }

  memoryShort(): void {
    for (const torrent of this.ticking) torrent.content?.relieveMemory()
  }

  triggerAutoManage(): void {
    this.#host.triggerAutoManage()
  }

  // ---- the download queue --------------------------------------------------------------------------

  queuePosition(torrent: Torrent): number {
    if (!this.#queue.has(torrent)) return -1
    if (this.#positions === null) {
      this.#positions = new Map()
      for (const queued of this.#queue) this.#positions.set(queued, this.#positions.size)
    }
    return this.#positions.get(torrent)!
  }

  setQueued(torrent: Torrent, queued: boolean): void {
    if (this.#queue.has(torrent) === queued) return
    if (queued) {
      this.#positions?.set(torrent, this.#queue.size)
      this.#queue.add(torrent)
      return
    }
    this.#queue.delete(torrent)
    // taking the last one moves nobody
    if (this.#positions?.get(torrent) === this.#queue.size) this.#positions.delete(torrent)
    else this.#positions = null
  }

  moveInQueue(torrent: Torrent, position: number): void {
    const at = this.queuePosition(torrent)
    if (at < 0) return
    const to = Math.max(0, Math.min(position, this.#queue.size - 1))
    if (to === at) return
    const order = [...this.#queue]
    order.splice(at, 1)
    order.splice(to, 0, torrent)
    this.#queue = new Set(order)
    this.#positions = null
    for (const moved of order.slice(Math.min(at, to), Math.max(at, to) + 1)) moved.stateUpdated()
    this.#host.triggerAutoManage()
  }
}

function addTo(map: Map<string, Set<Torrent>>, key: string, torrent: Torrent): void {
  const found = map.get(key)
  if (found === undefined) map.set(key, new Set([torrent]))
  else found.add(torrent)
}

function removeFrom(map: Map<string, Set<Torrent>>, key: string, torrent: Torrent): void {
  const found = map.get(key)
  if (found?.delete(torrent) === true && found.size === 0) map.delete(key)
}

function keysOf(infoHash: InfoHash): string[] {
  const out: string[] = []
  if (infoHash.hasV1()) out.push(infoHash.v1.key())
  if (infoHash.hasV2()) out.push(infoHash.get(ProtocolVersion.V2).key())
  return out
}
