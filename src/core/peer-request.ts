/** What a peer asks for: a part of a piece. */

export class PeerRequest {
  readonly piece: number
  /** Byte in the piece. */
  readonly start: number
  /** In bytes. */
  readonly length: number

  constructor(piece = 0, start = 0, length = 0) {
    this.piece = piece
    this.start = start
    this.length = length
  }

  equals(other: PeerRequest): boolean {
    return this.piece === other.piece && this.start === other.start && this.length === other.length
  }
}
