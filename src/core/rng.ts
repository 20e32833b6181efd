/** Random numbers. All of the engine's randomness comes through `Rng`, so a simulation can be replayed. */

/** A stream of random numbers. */
export interface Rng {
  /** 0 to 2^32 - 1. */
  uint32(): number
  /** 0 to `limit - 1`; `limit` 1 to 2^32. */
  below(limit: number): number
  /** Fills `target` with random bytes. */
  fill(target: Uint8Array): void
  /**
   * A stream of its own for one part: a draw added there does not shift the others.
   *
   * @param name the same name gives the same stream in a seeded generator
   */
  fork(name: string): Rng
}

export function randomBytes(rng: Rng, count: number): Uint8Array {
  const out = new Uint8Array(count)
  rng.fill(out)
  return out
}

/** Reorders `items` in place, each order equally likely. */
export function shuffle<T>(items: T[], rng: Rng): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = rng.below(i + 1)
    const t = items[i]!
    items[i] = items[j]!
    items[j] = t
  }
  return items
}

/** xoshiro128** by Blackman and Vigna, seeded by splitmix32. Fast and replayable; not for secrets. */
export class SeededRng implements Rng {
  readonly #seed: number
  #a = 0
  #b = 0
  #c = 0
  #d = 0

  constructor(seed: number) {
    this.#seed = seed >>> 0
    let s = this.#seed
    const next = () => {
      s = (s + 0x9e3779b9) >>> 0
      let z = s
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
      return (z ^ (z >>> 16)) >>> 0
    }
    this.#a = next()
    this.#b = next()
    this.#c = next()
    this.#d = next() | 1
  }

  uint32(): number {
    const x = Math.imul(this.#b, 5)
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0
    const t = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= t
    this.#d = (this.#d << 11) | (this.#d >>> 21)
    return result
  }

  below(limit: number): number {
    return Math.floor((this.uint32() / 0x100000000) * limit)
  }

  fill(target: Uint8Array): void {
    for (let i = 0; i < target.length; i++) target[i] = this.uint32() >>> 24
  }

  fork(name: string): Rng {
    let h = this.#seed ^ 0x811c9dc5
    for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193)
    return new SeededRng(h)
  }
}
