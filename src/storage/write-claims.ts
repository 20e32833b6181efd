/** Which storage writes which file: two torrents whose paths are the same must not write over each other. */

/** The paths that are open for writing, of all storages of a disk. */
export class WriteClaims {
  readonly #owners = new Map<string, number>()
  readonly #paths = new Map<number, string[]>()

  /**
   * A storage is about to write to a file.
   *
   * @param path absolute
   * @returns false if another storage does so
   */
  take(path: string, storage: number): boolean {
    const owner = this.#owners.get(path)
    if (owner !== undefined) return owner === storage
    this.#owners.set(path, storage)
    const paths = this.#paths.get(storage)
    if (paths === undefined) this.#paths.set(storage, [path])
    else paths.push(path)
    return true
  }

  /** All files of the storage are closed. */
  release(storage: number): void {
    const paths = this.#paths.get(storage)
    if (paths === undefined) return
    for (const path of paths) this.#owners.delete(path)
    this.#paths.delete(storage)
  }

  /** Number of files that are claimed. */
  get size(): number {
    return this.#owners.size
  }
}
