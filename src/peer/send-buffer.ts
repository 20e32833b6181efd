/**
 * What a peer is to be sent: chained views, small messages packed together, blocks as they lie in
 * the read cache. One `Stream.write` per flush.
 */

import { ByteWriter } from '../core/byte-writer.ts'
import { framedPayload } from '../core/piece-frames.ts'

/** A batch for `Stream.write`. */
export interface SendBatch {
  readonly views: Uint8Array[]
  readonly bytes: number
  /** How many of the bytes are block payload. */
  readonly payloadBytes: number
  /** Gives back the memory of the blocks; called once the transport is done with them. */
  readonly release: () => void
}

/** What an entry consists of. */
const PROTOCOL = 0
const PAYLOAD = 1
/** Whole `piece` messages. */
const FRAMES = 2

interface Entry {
  readonly view: Uint8Array
  readonly kind: number
  /** Bytes of it that were handed out. */
  taken: number
  /** Set on the last view of a block. */
  readonly release: (() => void) | null
}

export class SendBuffer {
  #entries: Entry[] = []
  #bytes = 0
  readonly #small = new ByteWriter(128)

  /** Bytes not handed out by `take` yet. */
  get bytes(): number {
    return this.#bytes + this.#small.length
  }

  /** Where messages are written; the writer must not be kept beyond the call that writes. */
  get out(): ByteWriter {
    return this.#small
  }

  /** Appends bytes that nobody changes any more. */
  append(view: Uint8Array): void {
    if (view.length === 0) return
    this.#closeRun()
    this.#add(view, PROTOCOL, null)
  }

  /**
   * Appends the parts of a block; `release` is called when they were sent, or never will be.
   *
   * @param framed the parts are whole `piece` messages, each but the last of a block of 16 KiB
   */
  appendBlock(views: readonly Uint8Array[], release: () => void, framed = false): void {
    this.#closeRun()
    const last = views.length - 1
    for (let i = 0; i <= last; i++) this.#add(views[i]!, framed ? FRAMES : PAYLOAD, i === last ? release : null)
    if (last < 0) release()
  }

  /**
   * Hands out the oldest bytes.
   *
   * @param limit at most so many; a view may be cut
   * @returns `null` if there is nothing, or `limit` is below 1
   */
  take(limit: number = Number.POSITIVE_INFINITY): SendBatch | null {
    this.#closeRun()
    if (this.#entries.length === 0 || limit < 1) return null
    const views: Uint8Array[] = []
    const releases: (() => void)[] = []
    let bytes = 0
    let payloadBytes = 0
    let used = 0
    for (; used < this.#entries.length && bytes < limit; used++) {
      const entry = this.#entries[used]!
      const { view, taken } = entry
      const end = Math.min(view.length, taken + Math.floor(limit - bytes))
      if (end === taken) break
      views.push(taken === 0 && end === view.length ? view : view.subarray(taken, end))
      bytes += end - taken
      if (entry.kind === PAYLOAD) payloadBytes += end - taken
      else if (entry.kind === FRAMES) payloadBytes += framedPayload(end) - framedPayload(taken)
      entry.taken = end
      if (end < view.length) break
      if (entry.release !== null) releases.push(entry.release)
    }
    if (used === this.#entries.length) this.#entries = []
    else this.#entries.splice(0, used)
    this.#bytes -= bytes
    return {
      views,
      bytes,
      payloadBytes,
      release: () => {
        for (let i = 0; i < releases.length; i++) releases[i]!()
        releases.length = 0
      },
    }
  }

  /** Drops everything, giving the memory back. */
  clear(): void {
    this.take()?.release()
  }

  #closeRun(): void {
    if (this.#small.length === 0) return
    const view = this.#small.finish()
    this.#small.clear()
    this.#add(view, PROTOCOL, null)
  }

  #add(view: Uint8Array, kind: number, release: (() => void) | null): void {
    this.#entries.push({ view, kind, taken: 0, release })
    this.#bytes += view.length
  }
}
