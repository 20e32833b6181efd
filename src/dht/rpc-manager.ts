/** Queries out, answers in: pairs them by transaction id and address, and notices what is not answered (BEP 5). */

import type { Sha1Hash } from '../core/digest.ts'
import { type Endpoint, endpointsEqual, endpointToString, isPort, isV4 } from '../core/endpoint.ts'
import { DhtModule } from '../core/enums.ts'
import type { Rng } from '../core/rng.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import type { DhtLog } from './dht-log.ts'
import { type KrpcMessage, KrpcType } from './krpc.ts'
import { encodeQuery, type KrpcQuery } from './krpc-encode.ts'
import { KrpcWriter } from './krpc-writer.ts'
import { verifyId } from './node-id.ts'
import { type Observer, ObserverFlag } from './observer.ts'

/** ms after which a query is late: its place may be taken by another. */
const SHORT_TIMEOUT = 1000
/** ms after which a query has failed. */
const TIMEOUT = 15_000
/** ms between two looks at the clock, at least. */
const MIN_TICK = 200
/** Queries under way at once: half of what transaction ids could tell apart. */
const MAX_TRANSACTIONS = 0x8000

export interface RpcOptions {
  /** Our node id. */
  readonly id: Sha1Hash
  /** Family of the node's socket. */
  readonly family: 4 | 6
  readonly settings: Pick<SessionSettings, 'dhtEnforceNodeId' | 'dhtReadOnly'>
  /** Told of each node that answers. @see RoutingTable.nodeSeen */
  readonly table: { nodeSeen(id: Sha1Hash, endpoint: Endpoint, rtt: number): boolean }
  readonly rng: Rng
  readonly log: DhtLog | null
  /** ms of the session's clock. */
  now(): number
  /** @param packet valid during the call. @returns false if it cannot leave */
  send(packet: Uint8Array, to: Endpoint): boolean
}

export class RpcManager {
  readonly #options: RpcOptions
  readonly #transactions = new Map<number, Observer>()
  readonly #writer = new KrpcWriter()
  #id: Sha1Hash
  #observers = 0
  #closed = false

  constructor(options: RpcOptions) {
    this.#options = options
    this.#id = options.id
  }

  /** Queries that are waited for, or given up but not forgotten yet. */
  get numTransactions(): number {
    return this.#transactions.size
  }

  /** Observers that somebody holds, for `dht.dht_allocated_observers`. */
  get numAllocatedObservers(): number {
    return this.#observers
  }

  updateNodeId(id: Sha1Hash): void {
    this.#id = id
  }

  /** Counts an observer in as long as a list has it. */
  hold(observer: Observer): void {
    if (observer.holders++ === 0) this.#observers++
  }

  release(observer: Observer): void {
    if (--observer.holders === 0) this.#observers--
  }

  /**
   * Sends a query to the observer's node.
   *
   * The observer must have its flag `queried`; it hears of the outcome only if this returns true.
   *
   * @returns false if it could not be sent
   */
  invoke(query: KrpcQuery, observer: Observer): boolean {
    // a node told of by another may have port 0, and one that a program's state names any number
    if (this.#closed || !isPort(observer.endpoint[1], 1)) return false
    const tid = this.#freeTransactionId()
    if (tid < 0) return false
    const { settings, family, log } = this.#options
    const to = observer.endpoint
    const native = isV4(to[0]) === (family === 4)
    this.#writer.clear()
    encodeQuery(this.#writer, query, {
      transactionId: tid,
      id: this.#id,
      want: native ? null : family === 4 ? 'n4' : 'n6',
      readOnly: settings.dhtReadOnly,
    })
    observer.sentAt = this.#options.now()
    if (log?.shouldLog(DhtModule.rpcManager)) {
      const { method } = query
      this.#log(observer, `invoking ${method} -> ${endpointToString(to)}`)
    }
    if (!this.#options.send(this.#writer.view(), to)) return false
    this.#transactions.set(tid, observer)
    this.hold(observer)
    return true
  }

  /**
   * A response or error came.
   *
   * @param message borrowed
   * @returns whether it answers a query of ours as it should
   */
  incoming(message: KrpcMessage, from: Endpoint): boolean {
    if (this.#closed) return false
    const tid = message.transactionId()
    const observer = tid < 0 ? undefined : this.#transactions.get(tid)
    if (observer === undefined || !endpointsEqual(observer.endpoint, from)) {
      this.#unknown(message, from)
      return false
    }
    this.#forget(tid, observer)
    const rtt = this.#options.now() - observer.sentAt
    const logs = this.#options.log?.shouldLog(DhtModule.rpcManager) === true
    if (logs) this.#log(observer, `answer after ${Math.trunc(rtt)} ms from ${endpointToString(from)}`)
    if (message.type === KrpcType.error) {
      if (logs) {
        const error = message.errorText()
        const what = error === null ? 'a malformed error' : `error (${error.code}) ${error.text}`
        this.#log(observer, `${what} from ${endpointToString(from)}`)
      }
      observer.timeout()
      return false
    }
    const id = message.type === KrpcType.response ? message.senderId() : null
    if (id === null || (this.#options.settings.dhtEnforceNodeId && !verifyId(id, from[0]))) {
      observer.timeout()
      return false
    }
    observer.asker.onReply(observer, message, from)
    // it answered from the address we asked: this is no spoofed sender, and may be in the table
    this.#options.table.nodeSeen(id, from, Math.trunc(rtt))
    return true
  }

  /** The system says that nobody listens there: the first query that went there has failed. */
  unreachable(endpoint: Endpoint): void {
    for (const [tid, observer] of this.#transactions) {
      if (!endpointsEqual(observer.endpoint, endpoint)) continue
      if (this.#options.log?.shouldLog(DhtModule.rpcManager)) {
        this.#log(observer, `port unreachable: ${endpointToString(endpoint)}`)
      }
      this.#forget(tid, observer)
      observer.timeout()
      return
    }
  }

  /** Looks for queries that are late or have failed. @returns ms until it should be called again */
  tick(): number {
    if (this.#transactions.size === 0) return SHORT_TIMEOUT
    const now = this.#options.now()
    const failed: Observer[] = []
    const late: Observer[] = []
    let next = SHORT_TIMEOUT
    for (const [tid, observer] of this.#transactions) {
      if (observer.has(ObserverFlag.done)) {
        this.#forget(tid, observer)
        continue
      }
      const age = now - observer.sentAt
      if (age >= TIMEOUT) {
        this.#forget(tid, observer)
        failed.push(observer)
      } else if (age >= SHORT_TIMEOUT && !observer.has(ObserverFlag.shortTimeout)) late.push(observer)
      else next = Math.min(next, TIMEOUT - age)
    }
    // both send new queries, so not before the list has been walked
    for (const observer of failed) observer.timeout()
    for (const observer of late) observer.shortTimeout()
    return Math.max(next, MIN_TICK)
  }

  /** Ends all queries; nothing is sent or taken from now on. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    const observers = [...this.#transactions.values()]
    this.#transactions.clear()
    for (const observer of observers) {
      this.release(observer)
      observer.abort()
    }
  }

  #forget(tid: number, observer: Observer): void {
    this.#transactions.delete(tid)
    this.release(observer)
  }

  /** A random id that no query has; -1 if there are too many of them. */
  #freeTransactionId(): number {
    if (this.#transactions.size >= MAX_TRANSACTIONS) return -1
    let tid = this.#options.rng.below(0x10000)
    while (this.#transactions.has(tid)) tid = (tid + 1) & 0xffff
    return tid
  }

  #unknown(message: KrpcMessage, from: Endpoint): void {
    const { log, family } = this.#options
    if (isV4(from[0]) !== (family === 4) || !log?.shouldLog(DhtModule.rpcManager)) return
    const token = message.transactionToken
    const size = token < 0 ? 0 : message.table.stringLength(token)
    log.log(DhtModule.rpcManager, `answer with unknown transaction id of ${size} bytes from ${endpointToString(from)}`)
  }

  #log(observer: Observer, text: string): void {
    this.#options.log?.log(DhtModule.rpcManager, `[${observer.asker.searchId}] ${text}`)
  }
}
