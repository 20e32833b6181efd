/**
 * One peer as the choice of blocks sees it: what it has and how it is doing, and how it is asked for a block.
 *
 * Satisfies the ports of those who choose, the torrent's `RequestingPeer` and `TimeCriticalPeer`.
 */

import type { BlockIndex, PieceIndex } from '../core/brands.ts'
import type { PeerConnection } from './peer-connection.ts'

export class PeerPicking {
  readonly #peer: PeerConnection
  /** Web seeds want runs of blocks; peers have no other options of their own. */
  readonly preferContiguous: number
  readonly pickOptions = 0

  constructor(peer: PeerConnection, preferContiguous: number) {
    this.#peer = peer
    this.preferContiguous = preferContiguous
  }

  // ---- the peer

  get ref(): number {
    return this.#peer.ref
  }

  get pieces(): PeerConnection['pieces'] {
    return this.#peer.pieces
  }

  get allowedFast(): readonly PieceIndex[] {
    return this.#peer.hints.allowedFast
  }

  get suggested(): readonly PieceIndex[] {
    return this.#peer.hints.suggested
  }

  get isChoking(): boolean {
    return this.#peer.peerChoking
  }

  get isOnParole(): boolean {
    return this.#peer.onParole
  }

  get isSnubbed(): boolean {
    return this.#peer.download.snubbed
  }

  get downloadRate(): number {
    return this.#peer.stats.downloadPayloadRate()
  }

  // ---- its requests

  get desiredQueueSize(): number {
    return this.#peer.download.desiredSize
  }

  get numRequests(): number {
    return this.#peer.download.length
  }

  hasRequest(piece: PieceIndex, block: BlockIndex): boolean {
    // what is asked for is not picked again, but for requests that timed out or were cancelled
    return this.#peer.download.hasDoubtful && (this.hasSent(piece, block) || this.hasQueued(piece, block))
  }

  hasSent(piece: PieceIndex, block: BlockIndex): boolean {
    return this.#peer.download.sent.indexOf(piece, block) >= 0
  }

  hasQueued(piece: PieceIndex, block: BlockIndex): boolean {
    return this.#peer.download.queued.indexOf(piece, block) >= 0
  }

  /** Milliseconds until everything outstanding is here, and so many bytes more. */
  downloadQueueTime(extraBytes: number): number {
    return this.#peer.download.queueTime(extraBytes) * 1000
  }

  get canRequestTimeCritical(): boolean {
    const peer = this.#peer
    const { download } = peer
    return (
      !peer.disconnecting &&
      !peer.peerChoking &&
      peer.amInterested &&
      !peer.onParole &&
      !download.snubbed &&
      !peer.host!.uploadMode &&
      download.length <= download.desiredSize * 2
    )
  }

  // ---- asking

  addRequest(piece: PieceIndex, block: BlockIndex, busy: boolean, options: number): boolean {
    if (busy && this.#peer.download.hasBusy) return false
    return this.#request(piece, block, busy, false, options)
  }

  addTimeCritical(piece: PieceIndex, block: BlockIndex, busy: boolean): boolean {
    return this.#request(piece, block, busy, true, 0)
  }

  makeTimeCritical(piece: PieceIndex, block: BlockIndex): boolean {
    return this.#peer.download.moveToFront(piece, block)
  }

  sendRequests(): void {
    this.#peer.download.sendQueued()
  }

  setEndgame(on: boolean): void {
    this.#peer.setEndgame(on)
  }

  #request(piece: PieceIndex, block: BlockIndex, busy: boolean, front: boolean, options: number): boolean {
    const peer = this.#peer
    const host = peer.host!
    if (peer.disconnecting || host.uploadMode || !host.markRequested(peer, piece, block, options)) return false
    peer.download.add(piece, block, host.geometry!.blockSize(piece, block), busy, front)
    return true
  }
}
