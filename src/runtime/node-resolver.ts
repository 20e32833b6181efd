/** Host names to addresses through the system's resolver, with libtorrent's cache. */

import { lookup } from 'node:dns'
import { parseAddress } from '../core/endpoint.ts'
import { ErrorCode, errnoError, errorCodeOf, NetdbErrors, netdbCategory } from '../core/error-code.ts'
import { Lru } from '../core/lru.ts'
import type { Clock, ResolveOptions, Resolver } from '../core/runtime.ts'

const CACHE_ENTRIES = 700
const NO_ADDRESSES: readonly string[] = []

type Done = (error: ErrorCode | null, addresses: readonly string[]) => void

interface Answer {
  readonly at: number
  readonly error: ErrorCode | null
  readonly addresses: readonly string[]
}

interface Waiter {
  readonly done: Done
  readonly abortable: boolean
}

/** `getaddrinfo`, as `dns.lookup` with `{ all: true, verbatim: true }` calls it. */
export type LookupFunction = (
  host: string,
  found: (error: Error | null, addresses: readonly { readonly address: string }[]) => void,
) => void

function systemLookup(host: string, found: Parameters<LookupFunction>[1]): void {
  lookup(host, { all: true, verbatim: true }, found)
}

export class NodeResolver implements Resolver {
  readonly #clock: Clock
  readonly #lookup: LookupFunction
  readonly #answers = new Lru<string, Answer>(CACHE_ENTRIES)
  readonly #failures = new Lru<string, Answer>(CACHE_ENTRIES)
  readonly #waiting = new Map<string, Waiter[]>()
  #timeoutMs = 1200_000

  /** @param lookupHost replaces the system's resolver in tests */
  constructor(clock: Clock, lookupHost: LookupFunction = systemLookup) {
    this.#clock = clock
    this.#lookup = lookupHost
  }

  setCacheTimeout(seconds: number): void {
    this.#timeoutMs = Math.max(0, seconds) * 1000
  }

  resolve(host: string, options: ResolveOptions, done: Done): void {
    const numeric = parseAddress(host)
    if (numeric !== null) {
      queueMicrotask(() => done(null, [numeric]))
      return
    }
    const cacheOnly = options.cacheOnly === true
    const known = this.#known(host, cacheOnly)
    if (known !== null) {
      queueMicrotask(() => done(known.error, known.addresses))
      return
    }
    if (cacheOnly) {
      queueMicrotask(() => done(new ErrorCode(NetdbErrors.hostNotFound, netdbCategory()), NO_ADDRESSES))
      return
    }
    const waiter: Waiter = { done, abortable: options.abortOnShutdown === true }
    const others = this.#waiting.get(host)
    if (others !== undefined) {
      others.push(waiter)
      return
    }
    this.#waiting.set(host, [waiter])
    this.#lookup(host, (error, found) => this.#found(host, error, found))
  }

  abort(): void {
    const aborted: Waiter[] = []
    for (const [host, waiters] of this.#waiting) {
      aborted.push(...waiters.filter(waiter => waiter.abortable))
      this.#waiting.set(
        host,
        waiters.filter(waiter => !waiter.abortable),
      )
    }
    if (aborted.length === 0) return
    queueMicrotask(() => {
      for (const waiter of aborted) waiter.done(errnoError('ECANCELED'), NO_ADDRESSES)
    })
  }

  #known(host: string, stale: boolean): Answer | null {
    const now = this.#clock.now()
    const answer = this.#answers.get(host)
    if (answer !== undefined && (stale || answer.at + this.#timeoutMs >= now)) return answer
    const failure = this.#failures.get(host)
    // A failure may pass soon, so it is believed for a shorter time.
    if (failure !== undefined && (stale || failure.at + this.#timeoutMs / 8 >= now)) return failure
    return null
  }

  #found(host: string, error: Error | null, found: readonly { readonly address: string }[]): void {
    const waiters = this.#waiting.get(host) ?? []
    this.#waiting.delete(host)
    const addresses = error === null ? canonical(found) : NO_ADDRESSES
    const code =
      error !== null
        ? errorCodeOf(error)
        : addresses.length === 0
          ? new ErrorCode(NetdbErrors.noData, netdbCategory())
          : null
    const answer: Answer = { at: this.#clock.now(), error: code, addresses }
    if (code === null) {
      this.#failures.delete(host)
      this.#answers.set(host, answer)
    } else this.#failures.set(host, answer)
    for (const waiter of waiters) waiter.done(code, addresses)
  }
}

/** The system lists an address once per socket type on some platforms. */
function canonical(found: readonly { readonly address: string }[]): readonly string[] {
  const addresses = new Set<string>()
  for (const { address } of found) {
    const text = parseAddress(address)
    if (text !== null) addresses.add(text)
  }
  return [...addresses]
}
