/** Ranges of files. */

/** A byte range of one file. */
export class FileSlice {
  fileIndex = 0
  /** In the file, in bytes. */
  offset = 0
  /** In bytes. */
  size = 0
}

/** Slices of files written by `FileStorage.mapBlockInto`, reused from call to call. */
export class SliceList {
  count = 0
  files: Int32Array = new Int32Array(4)
  /** In the file, in bytes. */
  offsets: Float64Array = new Float64Array(4)
  /** In bytes. */
  sizes: Float64Array = new Float64Array(4)

  push(file: number, offset: number, size: number): void {
    const i = this.count++
    if (i === this.files.length) this.#grow()
    this.files[i] = file
    this.offsets[i] = offset
    this.sizes[i] = size
  }

  #grow(): void {
    const files = new Int32Array(this.files.length * 2)
    const offsets = new Float64Array(files.length)
    const sizes = new Float64Array(files.length)
    files.set(this.files)
    offsets.set(this.offsets)
    sizes.set(this.sizes)
    this.files = files
    this.offsets = offsets
    this.sizes = sizes
  }
}
