/**
 * Puts the info dictionary of a magnet link together from what peers send, and finds out who lied about it.
 *
 * Peers that tell the same size work on one copy together. A copy that does not have the hash was spoilt by somebody: if
 * one peer sent all of it, by that peer; else each peer of that size gets a copy of its own from then on, so the next
 * failure has one author. Once the true dictionary is known, whoever sent other bytes into a spoilt copy is found by them.
 *
 * libtorrent keeps one copy, whatever sizes it is told, and leaves peers of a spoilt one alone for 20 to 70 seconds.
 *
 * @see BEP 9
 */

import { bytesEqual } from '../core/bytes.ts'
import { sha1 } from '../core/hash.ts'
import { METADATA_PART_SIZE, metadataPartSize, metadataParts } from '../wire/ut-metadata.ts'

/** A peer that metadata is asked of. */
export interface MetadataSource {
  /** Its entry in the peer list. */
  readonly ref: number
}

export type MetadataVerdict =
  /** It is the dictionary, and the torrent has taken it. */
  | 'taken'
  /** It has not the hash. */
  | 'mismatch'
  /** It has the hash, but cannot be used: nothing more is to be asked for. */
  | 'unusable'

export interface MetadataDownloadPort {
  now(): number
  /** `max_metadata_size`. */
  maxSize(): number
  /** All parts are there. */
  complete(metadata: Uint8Array): MetadataVerdict
  /** The peer has sent what is not the metadata. */
  ban(ref: number): void
}

/** A part that was asked for is not asked for again before that, unless its peer has gone. Milliseconds. */
const REQUEST_AGAIN_MS = 3000
/** A peer that has it not, or sends what cannot be, is not asked for so long. */
const REJECTED_MS = 60_000
/** Copies that are worked on at a time: of different sizes, or of one peer each. */
const MAX_COPIES = 4
/** A copy gives its place to another one when nothing came for so long, or it is that old. */
const STALLED_MS = 10_000
const OLD_MS = 60_000
/** Parts of spoilt copies whose senders are remembered. */
const MAX_SUSPECTS = 4096

class Copy {
  readonly size: number
  /** The only peer it is asked of; `null`: all that told its size. */
  readonly owner: MetadataSource | null
  readonly parts: (Uint8Array | null)[]
  /** Who sent each part. */
  readonly senders: number[]
  readonly requests: number[]
  readonly askedAt: number[]
  readonly asked: (MetadataSource | null)[]
  readonly startedAt: number
  progressAt: number
  missing: number

  constructor(size: number, owner: MetadataSource | null, now: number) {
    const count = metadataParts(size)
    this.size = size
    this.owner = owner
    this.parts = new Array<Uint8Array | null>(count).fill(null)
    this.senders = new Array<number>(count).fill(0)
    this.requests = new Array<number>(count).fill(0)
    this.askedAt = new Array<number>(count).fill(Number.NEGATIVE_INFINITY)
    this.asked = new Array<MetadataSource | null>(count).fill(null)
    this.startedAt = now
    this.progressAt = now
    this.missing = count
  }
}

/** A part of a spoilt copy. */
interface Suspect {
  readonly ref: number
  readonly part: number
  readonly size: number
  readonly digest: Uint8Array
}

interface SourceState {
  /** Size it told; 0 if none. */
  size: number
  /** Not asked before that. */
  restUntil: number
}

export class MetadataDownload {
  readonly #port: MetadataDownloadPort
  readonly #sources = new Map<MetadataSource, SourceState>()
  #copies: Copy[] = []
  /** Sizes of which a copy that several peers worked on was spoilt. */
  readonly #spoilt = new Set<number>()
  #suspects: Suspect[] = []
  #done = false

  constructor(port: MetadataDownloadPort) {
    this.#port = port
  }

  get done(): boolean {
    return this.#done
  }

  /** Bytes held. */
  get bytes(): number {
    let sum = 0
    for (const copy of this.#copies) for (const part of copy.parts) sum += part?.length ?? 0
    return sum
  }

  /** The peer takes part in metadata exchange. @param size of the info dictionary as it says; 0 if it does not */
  joined(source: MetadataSource, size: number): void {
    if (this.#done) return
    this.#sources.set(source, { size: this.#credible(size) ? size : 0, restUntil: Number.NEGATIVE_INFINITY })
  }

  /** It has gone: what was asked of it may be asked of others at once. */
  left(source: MetadataSource): void {
    this.#sources.delete(source)
    this.#copies = this.#copies.filter(copy => copy.owner !== source)
    for (const copy of this.#copies) {
      for (let i = 0; i < copy.asked.length; i++) if (copy.asked[i] === source) copy.asked[i] = null
    }
  }

  /**
   * @param asked parts that the peer was asked for and has not sent
   * @returns the part to ask it for; -1: none for now
   */
  next(source: MetadataSource, asked: readonly number[]): number {
    const state = this.#sources.get(source)
    const now = this.#port.now()
    if (this.#done || state === undefined || now < state.restUntil) return -1
    const size = state.size === 0 ? this.#likelySize() : state.size
    // the answer tells the size
    if (size === 0) return asked.includes(0) ? -1 : 0
    const copy = this.#copyFor(source, size, now)
    if (copy === null) return -1
    let part = -1
    for (let i = 0; i < copy.parts.length; i++) {
      if (copy.parts[i] !== null || asked.includes(i)) continue
      if (copy.asked[i] !== null && now - copy.askedAt[i]! < REQUEST_AGAIN_MS) continue
      if (part < 0 || copy.requests[i]! < copy.requests[part]!) part = i
    }
    if (part < 0) return -1
    copy.requests[part]!++
    // those that did not say that they have it must not keep others from being asked
    if (state.size > 0) {
      copy.askedAt[part] = now
      copy.asked[part] = source
    }
    return part
  }

  /** The peer has not what was asked for, or will not send it. */
  rejected(source: MetadataSource, part: number): void {
    this.#rest(source)
    for (const copy of this.#copies) if (copy.asked[part] === source) copy.asked[part] = null
  }

  /**
   * A part that the peer was asked for.
   *
   * @param totalSize of the info dictionary, as the message says
   * @param data      borrowed
   * @returns false if it is of no use
   */
  received(source: MetadataSource, part: number, totalSize: number, data: Uint8Array): boolean {
    const state = this.#sources.get(source)
    if (this.#done || state === undefined) return false
    const fits =
      this.#credible(totalSize) &&
      part >= 0 &&
      part < metadataParts(totalSize) &&
      data.length === metadataPartSize(totalSize, part)
    if (!fits) {
      this.#rest(source)
      return false
    }
    const now = this.#port.now()
    state.size = totalSize
    const copy = this.#copyFor(source, totalSize, now)
    if (copy === null || copy.parts[part] !== null) return false
    this.#makeRoom(copy, data.length)
    copy.parts[part] = data.slice()
    copy.senders[part] = source.ref
    copy.asked[part] = null
    copy.progressAt = now
    copy.missing--
    if (copy.missing === 0) this.#complete(copy)
    return true
  }

  #credible(size: number): boolean {
    return size > 0 && size <= this.#port.maxSize()
  }

  #rest(source: MetadataSource): void {
    const state = this.#sources.get(source)
    if (state !== undefined) state.restUntil = this.#port.now() + REJECTED_MS
  }

  /** What peers that told no size are asked for. */
  #likelySize(): number {
    let best: Copy | null = null
    for (const copy of this.#copies) {
      if (copy.owner === null && (best === null || copy.missing / copy.size < best.missing / best.size)) best = copy
    }
    return best?.size ?? 0
  }

  #copyFor(source: MetadataSource, size: number, now: number): Copy | null {
    const owner = this.#spoilt.has(size) ? source : null
    const found = this.#copies.find(copy => copy.size === size && copy.owner === owner)
    if (found !== undefined) return found
    if (this.#copies.length >= MAX_COPIES) {
      const idle = this.#copies.findIndex(copy => now - copy.progressAt >= STALLED_MS || now - copy.startedAt >= OLD_MS)
      if (idle < 0) return null
      this.#copies.splice(idle, 1)
    }
    const copy = new Copy(size, owner, now)
    this.#copies.push(copy)
    return copy
  }

  /** All copies together hold no more than two of the largest size may: else the one that lacks most goes. */
  #makeRoom(wanted: Copy, bytes: number): void {
    while (this.#copies.length > 1 && this.bytes + bytes > 2 * this.#port.maxSize()) {
      const others = this.#copies.filter(copy => copy !== wanted)
      const worst = others.reduce((a, b) => (b.missing > a.missing ? b : a))
      this.#copies = this.#copies.filter(copy => copy !== worst)
    }
  }

  #complete(copy: Copy): void {
    const metadata = new Uint8Array(copy.size)
    copy.parts.forEach((part, i) => {
      metadata.set(part!, i * METADATA_PART_SIZE)
    })
    const verdict = this.#port.complete(metadata)
    if (verdict === 'mismatch') {
      this.#copies = this.#copies.filter(other => other !== copy)
      this.#blame(copy)
      return
    }
    this.#done = true
    this.#copies = []
    this.#sources.clear()
    const liars = new Set<number>()
    for (const { ref, part, size, digest } of this.#suspects) {
      const at = part * METADATA_PART_SIZE
      const lied = size !== metadata.length || !bytesEqual(sha1(metadata.subarray(at, at + METADATA_PART_SIZE)), digest)
      if (lied) liars.add(ref)
    }
    this.#suspects = []
    for (const ref of liars) this.#ban(ref)
  }

  #blame(copy: Copy): void {
    const first = copy.senders[0]!
    if (copy.senders.every(ref => ref === first)) {
      this.#ban(first)
      return
    }
    this.#spoilt.add(copy.size)
    for (let part = 0; part < copy.parts.length && this.#suspects.length < MAX_SUSPECTS; part++) {
      this.#suspects.push({ ref: copy.senders[part]!, part, size: copy.size, digest: sha1(copy.parts[part]!) })
    }
  }

  #ban(ref: number): void {
    for (const source of [...this.#sources.keys()]) if (source.ref === ref) this.left(source)
    this.#port.ban(ref)
  }
}
