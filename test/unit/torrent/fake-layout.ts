import type { ProgressLayout } from '../../../src/torrent/file-progress.ts'
import type { PriorityLayout } from '../../../src/torrent/priorities.ts'

/** A file list given as sizes; negative ones are pad files. */
export class FakeLayout implements ProgressLayout, PriorityLayout {
  readonly #sizes: number[]
  readonly #pads: boolean[]
  readonly #offsets: number[] = []
  readonly #total: number
  readonly #length: number

  constructor(pieceLength: number, sizes: number[]) {
    this.#length = pieceLength
    this.#sizes = sizes.map(Math.abs)
    this.#pads = sizes.map(s => s < 0)
    let at = 0
    for (const size of this.#sizes) {
      this.#offsets.push(at)
      at += size
    }
    this.#total = at
  }
  numFiles = () => this.#sizes.length
  numPieces = () => Math.ceil(this.#total / this.#length)
  pieceLength = () => this.#length
  totalSize = () => this.#total
  pieceSize = (piece: number) => Math.min(this.#length, this.#total - piece * this.#length)
  fileSize = (file: number) => this.#sizes[file]!
  fileOffset = (file: number) => this.#offsets[file]!
  padFileAt = (file: number) => this.#pads[file]!
  fileIndexAtOffset = (offset: number) => {
    let file = this.#offsets.length - 1
    while (this.#offsets[file]! > offset) file--
    return file
  }
}
