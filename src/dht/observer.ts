/** A query under way: whom it went to, and who wants the answer. */

import type { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { KrpcMessage } from './krpc.ts'
import { verifyId } from './node-id.ts'

/** States of an {@link Observer}, as bits: a query passes through several. */
export const ObserverFlag = Object.freeze({
  /** It was sent, or sending it failed. */
  queried: 1,
  /** The node comes from our table or was given, and was not told by another node. */
  initial: 2,
  /** We do not know the node's id; `id` is made up. */
  noId: 4,
  /** It is late, so another query may be sent in its place. */
  shortTimeout: 8,
  /** No answer came, or no usable one. */
  failed: 16,
  /** The node answered. */
  alive: 32,
  /** Nothing about it is to be reported any more. */
  done: 64,
  /** The nodes that it told of are not all made up, as far as one can tell. */
  credible: 128,
} as const)

/** Who asked: a lookup, or what stands for one with a single query. */
export interface Asker {
  /** Names the lookup in the log. */
  readonly searchId: number
  /** A response came; it is reported back by `done()` or `timeout()` of the observer. @param message borrowed */
  onReply(observer: Observer, message: KrpcMessage, from: Endpoint): void
  /** The response is dealt with. */
  finished(observer: Observer): void
  /** @param short the answer is late, but may still come */
  failed(observer: Observer, short: boolean): void
  /** The node's id has changed. */
  resort(observer: Observer): void
  /** No more queries, please: the node is going away. */
  abort(): void
}

export class Observer {
  readonly asker: Asker
  readonly endpoint: Endpoint
  /** Bits of {@link ObserverFlag}. */
  flags: number
  /** When it was sent, ms of the session's clock; before that when it was made. */
  sentAt: number
  /** The write token a put needs; `null` for other queries. */
  readonly token: Uint8Array | null
  /** How many hold it: the list of its lookup, the list of transactions. */
  holders = 0
  #id: Sha1Hash
  #verified: boolean | null = null

  constructor(asker: Asker, endpoint: Endpoint, id: Sha1Hash, now: number, token: Uint8Array | null = null) {
    this.asker = asker
    this.endpoint = endpoint
    this.#id = id
    this.flags = 0
    this.sentAt = now
    this.token = token
  }

  /** The node's id. */
  get id(): Sha1Hash {
    return this.#id
  }

  /** The id fits the address (BEP 42), so it cannot have been chosen to be near a target. */
  get verified(): boolean {
    this.#verified ??= !this.has(ObserverFlag.noId) && verifyId(this.#id, this.endpoint[0])
    return this.#verified
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0
  }

  /** The node has told its id, or another one than we thought. */
  setId(id: Sha1Hash): void {
    if (this.#id.equals(id)) return
    this.#id = id
    this.#verified = verifyId(id, this.endpoint[0])
    this.asker.resort(this)
  }

  /** The answer is dealt with. */
  done(): void {
    if (this.has(ObserverFlag.done)) return
    this.flags |= ObserverFlag.done
    this.asker.finished(this)
  }

  /** The answer is late; it is still waited for. */
  shortTimeout(): void {
    if (this.has(ObserverFlag.shortTimeout)) return
    this.asker.failed(this, true)
  }

  /** No answer came, or one that is of no use. */
  timeout(): void {
    if (this.has(ObserverFlag.done)) return
    this.flags |= ObserverFlag.done
    this.asker.failed(this, false)
  }

  /** The node is going away. */
  abort(): void {
    if (this.has(ObserverFlag.done)) return
    this.flags |= ObserverFlag.done
    this.asker.abort()
    this.asker.failed(this, false)
  }
}
