/** Names in virtual time. */

import { parseAddress } from '../../../src/core/endpoint.ts'
import { ErrorCode, errnoError, NetdbErrors, netdbCategory } from '../../../src/core/error-code.ts'
import type { ResolveOptions, Resolver } from '../../../src/core/runtime.ts'
import type { SimClock } from './sim-clock.ts'

export interface NameRecord {
  readonly addresses: readonly string[]
  readonly error?: ErrorCode
  readonly delayMs?: number
}

const DEFAULT_DELAY_MS = 30

/** The names of a simulated world, shared by its hosts. */
export class SimNames {
  readonly #records = new Map<string, NameRecord>([['localhost', { addresses: ['127.0.0.1', '::1'] }]])

  set(name: string, record: NameRecord): void {
    this.#records.set(name, record)
  }

  delete(name: string): void {
    this.#records.delete(name)
  }

  get(name: string): NameRecord {
    return this.#records.get(name) ?? { addresses: [], error: new ErrorCode(NetdbErrors.hostNotFound, netdbCategory()) }
  }
}

/** One host's resolver: no cache of time, but one of what was ever found, for `cacheOnly`. */
export class SimResolver implements Resolver {
  readonly #clock: SimClock
  readonly #names: SimNames
  readonly #found = new Map<string, NameRecord>()
  readonly #abortable = new Set<() => void>()

  constructor(clock: SimClock, names: SimNames) {
    this.#clock = clock
    this.#names = names
  }

  resolve(
    host: string,
    options: ResolveOptions,
    done: (error: ErrorCode | null, addresses: readonly string[]) => void,
  ): void {
    const numeric = parseAddress(host)
    if (numeric !== null) {
      this.#clock.after(0, () => done(null, [numeric]))
      return
    }
    if (options.cacheOnly === true) {
      const known = this.#found.get(host)
      const error =
        known === undefined ? new ErrorCode(NetdbErrors.hostNotFound, netdbCategory()) : (known.error ?? null)
      this.#clock.after(0, () => done(error, known?.addresses ?? []))
      return
    }
    const record = this.#names.get(host)
    const answer = this.#clock.after(record.delayMs ?? DEFAULT_DELAY_MS, () => {
      this.#abortable.delete(abort)
      this.#found.set(host, record)
      done(record.error ?? null, record.addresses)
    })
    const abort = () => {
      answer.cancel()
      done(errnoError('ECANCELED'), [])
    }
    if (options.abortOnShutdown === true) this.#abortable.add(abort)
  }

  setCacheTimeout(): void {}

  abort(): void {
    const waiting = [...this.#abortable]
    this.#abortable.clear()
    this.#clock.after(0, () => waiting.forEach(abort => void abort()))
  }
}
