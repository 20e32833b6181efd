/** Virtual time: a heap of events. Nothing happens between two events, so a day takes as long as what happens in it. */

import type { Clock, TimerHandle } from '../../../src/core/runtime.ts'

/** Wall-clock second at virtual time 0. */
const START_OF_TIME = 1_700_000_000
/** Events at one moment beyond which something reschedules itself without time passing. */
const MAX_EVENTS_AT_ONCE = 1_000_000

class SimEvent implements TimerHandle {
  readonly time: number
  readonly seq: number
  fn: (() => void) | null

  constructor(time: number, seq: number, fn: () => void) {
    this.time = time
    this.seq = seq
    this.fn = fn
  }

  cancel(): void {
    this.fn = null
  }
}

export class SimClock implements Clock {
  #now = 0
  #seq = 0
  #heap: SimEvent[] = []
  #deferred: (() => void)[] = []
  #afterPoll: (() => void)[] = []
  #eventsNow = 0

  now(): number {
    return this.#now
  }

  posixSeconds(): number {
    return START_OF_TIME + Math.floor(this.#now / 1000)
  }

  /** Events of one moment run in the order they were made. */
  after(delayMs: number, fn: () => void): TimerHandle {
    return this.at(this.#now + Math.max(0, delayMs), fn)
  }

  at(time: number, fn: () => void): TimerHandle {
    const event = new SimEvent(Math.max(time, this.#now), this.#seq++, fn)
    this.#push(event)
    return event
  }

  /** Runs `fn` before any other event. */
  defer(fn: () => void): void {
    this.#deferred.push(fn)
  }

  /** Runs `fn` when no event is left at this moment. */
  afterPoll(fn: () => void): void {
    this.#afterPoll.push(fn)
  }

  /** Runs one event and what it deferred. @returns false if there is none up to `limit` */
  step(limit = Number.POSITIVE_INFINITY): boolean {
    if (this.#runDeferred()) return true
    while (this.#heap.length > 0 && this.#heap[0]!.fn === null) this.#pop()
    const next = this.#heap[0]
    if (this.#afterPoll.length > 0 && (next === undefined || next.time > this.#now)) {
      for (const fn of this.#afterPoll.splice(0)) {
        fn()
        this.#runDeferred()
      }
      return true
    }
    if (next === undefined || next.time > limit) return false
    this.#pop()
    if (next.time > this.#now) this.#eventsNow = 0
    else if (++this.#eventsNow > MAX_EVENTS_AT_ONCE) throw new Error(`time stands still at ${this.#now} ms`)
    this.#now = next.time
    const fn = next.fn!
    next.fn = null
    fn()
    this.#runDeferred()
    return true
  }

  /** Runs everything up to `time`, which is then the present. */
  runUntil(time: number): void {
    while (this.step(time)) {}
    this.#now = Math.max(this.#now, time)
  }

  #runDeferred(): boolean {
    if (this.#deferred.length === 0) return false
    // What these defer in turn joins the end of the list.
    for (let i = 0; i < this.#deferred.length; i++) {
      if (i > MAX_EVENTS_AT_ONCE) throw new Error(`deferred functions defer each other without end at ${this.#now} ms`)
      this.#deferred[i]!()
    }
    this.#deferred.length = 0
    return true
  }

  #push(event: SimEvent): void {
    const heap = this.#heap
    let at = heap.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(event, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = event
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
      if (!before(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

function before(a: SimEvent, b: SimEvent): boolean {
  return a.time < b.time || (a.time === b.time && a.seq < b.seq)
}
