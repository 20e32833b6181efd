/** Alerts as they come, for `for await`. */

import type { Alert } from '../alert/alert.ts'
import { RingQueue } from '../core/ring-queue.ts'

/** Where an {@link AlertIterator} has its alerts from. */
export interface AlertSource {
  /** Has `listener` called with what is posted. @returns ends it */
  listen(listener: (alerts: readonly Alert[]) => void): () => void
  /** Has `fn` called when no more will come, at once if that is so now. @returns takes it back */
  whenEnded(fn: () => void): () => void
}

type Result = IteratorResult<Alert, void>

const DONE: Result = { done: true, value: undefined }

/**
 * Gives the alerts that are posted from the first `next()` on.
 *
 * Not an async generator: the `return()` of one waits for its `next()`, that is for one more alert.
 */
export class AlertIterator implements AsyncGenerator<Alert, void, void> {
  readonly #source: AlertSource
  readonly #signal: AbortSignal | undefined
  readonly #alerts = new RingQueue<Alert>()
  /** Calls of `next` that wait. While there are any, no alert does. */
  readonly #callers = new RingQueue<(result: Result) => void>()
  /** Lets go of the source and the signal. */
  #stop: (() => void) | null = null
  /** No more alerts come; those that wait are still given. */
  #complete = false
  #over = false

  /** @param signal ends it when aborted, also if alerts wait */
  constructor(source: AlertSource, signal: AbortSignal | undefined) {
    this.#source = source
    this.#signal = signal
  }

  next(): Promise<Result> {
    this.#start()
    const alert = this.#alerts.shift()
    if (alert !== undefined) return Promise.resolve({ done: false, value: alert })
    if (this.#complete) this.#end()
    if (this.#over) return Promise.resolve(DONE)
    return new Promise(resolve => this.#callers.push(resolve))
  }

  /** Ends the iteration, for calls of `next` that wait too. */
  async return(value?: void | PromiseLike<void>): Promise<Result> {
    this.#end()
    return { done: true, value: await value }
  }

  async throw(error: unknown): Promise<Result> {
    this.#end()
    throw error
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end()
  }

  #start(): void {
    if (this.#stop !== null || this.#over) return
    const signal = this.#signal
    if (signal?.aborted) {
      this.#over = true
      return
    }
    const abort = () => this.#end()
    signal?.addEventListener('abort', abort)
    const stopListening = this.#source.listen(alerts => {
      for (const alert of alerts) this.#receive(alert)
    })
    const forget = this.#source.whenEnded(() => {
      this.#complete = true
      if (this.#alerts.length === 0) this.#end()
    })
    this.#stop = () => {
      stopListening()
      forget()
      signal?.removeEventListener('abort', abort)
    }
  }

  #receive(alert: Alert): void {
    if (this.#over) return
    const caller = this.#callers.shift()
    if (caller === undefined) this.#alerts.push(alert)
    else caller({ done: false, value: alert })
  }

  #end(): void {
    this.#over = true
    this.#stop?.()
    this.#stop = null
    this.#alerts.clear()
    while (this.#callers.length > 0) this.#callers.shift()!(DONE)
  }
}
