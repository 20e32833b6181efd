/** First-in-first-out queue that never shifts an array. */

export class RingQueue<T> {
  #items: (T | undefined)[] = new Array(16)
  #head = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  push(item: T): void {
    if (this.#length === this.#items.length) this.#grow()
    this.#items[(this.#head + this.#length) & (this.#items.length - 1)] = item
    this.#length++
  }

  /** Puts an item before all others. */
  unshift(item: T): void {
    if (this.#length === this.#items.length) this.#grow()
    this.#head = (this.#head + this.#items.length - 1) & (this.#items.length - 1)
    this.#items[this.#head] = item
    this.#length++
  }

  /** Puts another item in the place of the newest, of which there must be one. */
  replaceLast(item: T): void {
    if (this.#length === 0) throw new RangeError('RingQueue: nothing to replace')
    this.#items[(this.#head + this.#length - 1) & (this.#items.length - 1)] = item
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined
    const item = this.#items[this.#head]
    this.#items[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#items.length - 1)
    this.#length--
    return item
  }

  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#items[this.#head]
  }

  /** @param index 0 is the oldest */
  at(index: number): T | undefined {
    return index < 0 || index >= this.#length ? undefined : this.#items[(this.#head + index) & (this.#items.length - 1)]
  }

  /** Drops the items that `keep` refuses; the order of the others stays. @returns how many were dropped */
  filter(keep: (item: T) => boolean): number {
    const count = this.#length
    let dropped = 0
    for (let i = 0; i < count; i++) {
      const item = this.shift() as T
      if (keep(item)) this.push(item)
      else dropped++
    }
    return dropped
  }

  clear(): void {
    this.#items = new Array(16)
    this.#head = 0
    this.#length = 0
  }

  *[Symbol.iterator](): Generator<T> {
    for (let i = 0; i < this.#length; i++) yield this.at(i) as T
  }

  #grow(): void {
    const grown: (T | undefined)[] = new Array(this.#items.length * 2)
    for (let i = 0; i < this.#length; i++) grown[i] = this.at(i)
    this.#items = grown
    this.#head = 0
  }
}
