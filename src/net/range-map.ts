/** Flags for all numbers from 0 to a maximum, stored as ranges: what IP and port filters are made of. */

/** Numbers below 2^53, or `bigint`s for IPv6 addresses. */
export type RangeKey = number | bigint

export interface Range<K extends RangeKey> {
  readonly first: K
  readonly last: K
  readonly flags: number
}

/** Up to so many rules are put in one by one; more are put in together. */
const FEW = 8

/**
 * A sorted list of where the flags change; no two neighbours have the same flags.
 *
 * Rules are collected and put in place by the first reader, all at once: a block list of 300,000
 * unsorted rules then takes n log n steps, not n^2.
 */
export class RangeMap<K extends RangeKey> {
  readonly #max: K
  readonly #next: (key: K) => K
  readonly #previous: (key: K) => K
  /** First key of each range; `#starts[0]` is 0. The end of a range is the start of the next. */
  #starts: K[]
  #flags: number[] = [0]
  #pending: Range<K>[] = []

  constructor(zero: K, max: K, next: (key: K) => K, previous: (key: K) => K) {
    this.#starts = [zero]
    this.#max = max
    this.#next = next
    this.#previous = previous
  }

  /** Sets the flags from `first` to `last`, both included; later rules overrule earlier ones. */
  set(first: K, last: K, flags: number): void {
    this.#pending.push({ first, last, flags })
  }

  get(key: K): number {
    this.#settle()
    return this.#flags[this.#find(key)]!
  }

  /** True if all flags are 0. */
  empty(): boolean {
    this.#settle()
    return this.#starts.length === 1 && this.#flags[0] === 0
  }

  /** The fewest ranges that cover all keys, in order. */
  ranges(): Range<K>[] {
    this.#settle()
    const out: Range<K>[] = []
    for (let i = 0; i < this.#starts.length; i++) {
      const last = i + 1 < this.#starts.length ? this.#previous(this.#starts[i + 1]!) : this.#max
      out.push({ first: this.#starts[i]!, last, flags: this.#flags[i]! })
    }
    return out
  }

  clone(): RangeMap<K> {
    this.#settle()
    const copy = new RangeMap(this.#starts[0]!, this.#max, this.#next, this.#previous)
    copy.#starts = this.#starts.slice()
    copy.#flags = this.#flags.slice()
    return copy
  }

  /** Index of the range that holds `key`. */
  #find(key: K): number {
    let low = 0
    let high = this.#starts.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (this.#starts[middle]! <= key) low = middle
      else high = middle
    }
    return low
  }

  #settle(): void {
    const pending = this.#pending
    if (pending.length === 0) return
    this.#pending = []
    if (pending.length <= FEW) for (const rule of pending) this.#insert(rule)
    else this.#rebuild([...this.ranges(), ...pending])
  }

  #insert({ first, last, flags }: Range<K>): void {
    const from = this.#find(first)
    const to = this.#find(last)
    const flagsAfter = this.#flags[to]!
    const starts: K[] = []
    const values: number[] = []
    const add = (start: K, value: number, before: number | undefined) => {
      if (value === before) return
      starts.push(start)
      values.push(value)
    }
    const before = from > 0 ? this.#flags[from - 1] : undefined
    if (this.#starts[from]! < first) {
      add(this.#starts[from]!, this.#flags[from]!, before)
      add(first, flags, this.#flags[from])
    } else add(first, flags, before)
    let following = to + 1
    const end = following < this.#starts.length ? this.#previous(this.#starts[following]!) : this.#max
    if (last < end) add(this.#next(last), flagsAfter, flags)
    else if (this.#flags[following] === flags) following++
    this.#starts.splice(from, following - from, ...starts)
    this.#flags.splice(from, following - from, ...values)
  }

  /**
   * Sweeps over the ends of all rules: at each place the flags are those of the latest rule there.
   *
   * @param rules in order of age; the first ones cover everything
   */
  #rebuild(rules: readonly Range<K>[]): void {
    const byStart = rules.map((_, i) => i)
    byStart.sort((a, b) => compare(rules[a]!.first, rules[b]!.first) || a - b)
    const starts: K[] = []
    const flags: number[] = []
    // A heap of rule numbers, the latest on top; rules that ended are dropped when they get there.
    const heap: number[] = []
    let next = 0
    let at = rules[byStart[0]!]!.first
    for (;;) {
      for (; next < byStart.length && rules[byStart[next]!]!.first <= at; next++) push(heap, byStart[next]!)
      while (heap.length > 0 && rules[heap[0]!]!.last < at) pop(heap)
      const top = rules[heap[0]!]!
      if (flags.length === 0 || flags[flags.length - 1] !== top.flags) {
        starts.push(at)
        flags.push(top.flags)
      }
      const nextStart = next < byStart.length ? rules[byStart[next]!]!.first : null
      if (nextStart !== null && nextStart <= top.last) at = nextStart
      else if (top.last < this.#max) at = this.#next(top.last)
      else break
    }
    this.#starts = starts
    this.#flags = flags
  }
}

function compare(a: RangeKey, b: RangeKey): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function push(heap: number[], value: number): void {
  let i = heap.push(value) - 1
  while (i > 0) {
    const parent = (i - 1) >> 1
    if (heap[parent]! >= value) break
    heap[i] = heap[parent]!
    i = parent
  }
  heap[i] = value
}

function pop(heap: number[]): void {
  const value = heap.pop()!
  if (heap.length === 0) return
  let i = 0
  for (;;) {
    let child = 2 * i + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && heap[child + 1]! > heap[child]!) child++
    if (heap[child]! <= value) break
    heap[i] = heap[child]!
    i = child
  }
  heap[i] = value
}
