/**
 * Where alerts wait for the program.
 *
 * A producer asks `wants()` first and only then makes the alert, but for the few that answer a call whatever
 * the mask says, as in libtorrent. The program takes them with
 * `popAlerts()`, or listens, or both; it is called between turns, never inside one.
 */

import type { Clock } from '../core/runtime.ts'
import type { Alert, AlertStatics } from './alert.ts'
import { AlertsDroppedAlert } from './session-alerts.ts'

/** What the queue needs of the world; a `Runtime` has it. */
export interface AlertQueuePort {
  readonly clock: Pick<Clock, 'now' | 'posixSeconds'>
  /** Runs `fn` after the present turn. */
  defer(fn: () => void): void
}

/** Gets alerts a short time after they were posted, in order. */
export type AlertListener = (alerts: readonly Alert[]) => void

/** How many bits the set of dropped types has: libtorrent's number, which leaves room for types to come. */
const DROPPED_BITS = 128

export class AlertQueue {
  readonly #port: AlertQueuePort
  /** From the steady clock to the system time. */
  #clockOffset = 0
  #mask: number
  #limit: number
  #queue: Alert[] = []
  #dropped: boolean[] | null = null
  /** Whether the program takes alerts out itself. If it only listens, what was delivered is let go. */
  #polled = false
  #flushDue = false
  #notifyDue = false
  #notify: (() => void) | null = null
  #waiters: (() => void)[] = []
  #listeners: AlertListener[] = []
  /** Posted since the last flush. Kept also if nobody listens yet: who asks for something and then listens gets the answer. */
  #fresh: Alert[] = []

  /**
   * @param mask  `AlertCategory` bits that are wanted
   * @param limit alerts of normal priority are dropped when so many wait
   */
  constructor(port: AlertQueuePort, mask: number, limit: number) {
    this.#port = port
    this.#mask = mask
    this.#limit = limit
  }

  /** Whether alerts of this class are wanted. Those without a category answer a call, and always are. */
  wants(type: AlertStatics): boolean {
    return (this.#mask & type.staticCategory) !== 0 || type.staticCategory === 0
  }

  /** Queues an alert. It belongs to the program from now on. */
  post(alert: Alert): void {
    const type = alert.constructor as unknown as AlertStatics
    alert.stamp(this.#time())
    this.#fresh.push(alert)
    this.#scheduleFlush()
    if (this.#listeners.length > 0 && !this.#polled) return
    if (this.#queue.length >= this.#limit * (1 + type.priority)) {
      this.#dropped ??= new Array<boolean>(DROPPED_BITS).fill(false)
      this.#dropped[type.alertType] = true
      return
    }
    this.#queue.push(alert)
    if (this.#queue.length === 1) {
      this.#notifyDue = true
    }
  }

  /** Everything that waits, oldest first; at the end `AlertsDroppedAlert` if any were dropped. */
  pop(): Alert[] {
    this.#polled = true
    if (this.#queue.length === 0) return []
    const alerts = this.#queue
    this.#queue = []
    if (this.#dropped !== null) {
      const dropped = new AlertsDroppedAlert(this.#dropped)
      dropped.stamp(this.#time())
      this.#dropped = null
      alerts.push(dropped)
    }
    return alerts
  }

  /** Whether `pop()` would return something. */
  get pending(): boolean {
    return this.#queue.length > 0
  }

  /** How many alerts wait. */
  get size(): number {
    return this.#queue.length
  }

  get mask(): number {
    return this.#mask
  }

  setMask(mask: number): void {
    this.#mask = mask
  }

  /** @returns the limit that was in effect */
  setLimit(limit: number): number {
    const before = this.#limit
    this.#limit = limit
    return before
  }

  /**
   * Has `notify` called when the queue goes from empty to not empty, and once now if it is not empty.
   *
   * @param notify `null` takes the former one away
   */
  setNotify(notify: (() => void) | null): void {
    this.#notify = notify
    if (notify === null) return
    this.#polled = true
    if (this.#queue.length === 0) return
    this.#notifyDue = true
    this.#scheduleFlush()
  }

  /**
   * Has `fn` called once, as soon as something waits.
   *
   * @returns takes it back; harmless after the call
   */
  whenPending(fn: () => void): () => void {
    this.#polled = true
    this.#waiters.push(fn)
    if (this.#queue.length > 0) {
      this.#notifyDue = true
      this.#scheduleFlush()
    }
    return () => {
      this.#waiters = this.#waiters.filter(waiter => waiter !== fn)
    }
  }

  /**
   * Has `listener` called with what is posted from now on, and what was since the program was last let go on, whether it
   * is popped or not. The limit of the queue does not apply to it.
   *
   * @returns ends it
   */
  listen(listener: AlertListener): () => void {
    this.#listeners = [...this.#listeners, listener]
    return () => {
      this.#listeners = this.#listeners.filter(other => other !== listener)
    }
  }

  /** Milliseconds since 1970. The system time comes in whole seconds; the steady clock tells alerts within one apart. */
  #time(): number {
    const { clock } = this.#port
    const second = clock.posixSeconds() * 1000
    const now = clock.now()
    const estimate = now + this.#clockOffset
    if (estimate < second || estimate >= second + 1000) this.#clockOffset = second - now
    return now + this.#clockOffset
  }

  #scheduleFlush(): void {
    if (this.#flushDue) return
    this.#flushDue = true
    this.#port.defer(() => this.#flush())
  }

  #flush(): void {
    this.#flushDue = false
    const fresh = this.#fresh
    this.#fresh = []
    if (fresh.length > 0) for (const listener of this.#listeners) this.#call(() => listener(fresh))
    if (!this.#notifyDue) return
    this.#notifyDue = false
    if (this.#queue.length === 0) return
    const waiters = this.#waiters
    this.#waiters = []
    for (const waiter of waiters) this.#call(waiter)
    if (this.#notify !== null) this.#call(this.#notify)
  }

  /** An error of the program's own function surfaces as one, without harm to the other functions. */
  #call(fn: () => void): void {
    try {
      fn()
    } catch (error) {
      this.#port.defer(() => {
        throw error
      })
    }
  }
}
