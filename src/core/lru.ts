/** Map of bounded size: the entry unused for longest goes first. */

export class Lru<K, V> {
  readonly #map = new Map<K, V>()
  readonly #limit: number
  readonly #onEvict: ((key: K, value: V) => void) | null

  constructor(limit: number, onEvict: ((key: K, value: V) => void) | null = null) {
    this.#limit = limit
    this.#onEvict = onEvict
  }

  /** Marks the entry as just used. */
  get(key: K): V | undefined {
    const value = this.#map.get(key)
    if (value === undefined) return undefined
    this.#map.delete(key)
    this.#map.set(key, value)
    return value
  }

  set(key: K, value: V): void {
    this.#map.delete(key)
    this.#map.set(key, value)
    while (this.#map.size > this.#limit) {
      const [oldest, gone] = this.#map.entries().next().value as [K, V]
      this.#map.delete(oldest)
      this.#onEvict?.(oldest, gone)
    }
  }

  delete(key: K): boolean {
    return this.#map.delete(key)
  }
}
