/** Consecutive indices, as `pieceRange()` and `fileRange()` give them. */

/** The integers from `begin` up to but not including `end`; iterates without making a list. */
export class IndexRange {
  readonly begin: number
  readonly end: number

  constructor(begin: number, end: number) {
    this.begin = begin
    this.end = Math.max(begin, end)
  }

  /** How many. */
  get length(): number {
    return this.end - this.begin
  }

  *[Symbol.iterator](): Generator<number> {
    for (let i = this.begin; i < this.end; i++) yield i
  }
}
