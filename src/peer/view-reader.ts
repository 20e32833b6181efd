/** Cuts bytes that lie in several views into ranges that follow each other. */
export class ViewReader {
  readonly #views: readonly Uint8Array[]
  #index = 0
  /** Bytes of the present view that were taken. */
  #at = 0

  constructor(views: readonly Uint8Array[]) {
    this.#views = views
  }

  /** The next `length` bytes, as parts of the views. */
  take(length: number): Uint8Array[] {
    const out: Uint8Array[] = []
    for (let left = length; left > 0; ) {
      const view = this.#views[this.#index]
      if (view === undefined) throw new RangeError('ViewReader: not so many bytes')
      const part = view.subarray(this.#at, this.#at + left)
      if (part.length > 0) out.push(part)
      left -= part.length
      this.#at += part.length
      if (this.#at === view.length) {
        this.#index++
        this.#at = 0
      }
    }
    return out
  }
}
