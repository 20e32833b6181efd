/** Deadlines of pieces, as `setPieceDeadline` and its companions give them. */

import { ReadPieceAlert } from '../alert/storage-alerts.ts'
import type { PieceIndex } from '../core/brands.ts'
import { DownloadPriority } from '../core/enums.ts'
import { errnoError } from '../core/error-code.ts'
import { TorrentHandleFlags } from './handle-flags.ts'
import { readPiece } from './piece-reader.ts'
import { TimeCritical } from './time-critical.ts'
import type { Torrent } from './torrent.ts'

const { defaultPriority, dontDownload, topPriority } = DownloadPriority

export class PieceDeadlines {
  readonly #torrent: Torrent
  #pieces: TimeCritical | null = null

  constructor(torrent: Torrent) {
    this.#torrent = torrent
  }

  get size(): number {
    return this.#pieces?.size ?? 0
  }

  /** @param milliseconds from now */
  set(piece: PieceIndex, milliseconds: number, flags: number): void {
    const torrent = this.#torrent
    const { content, env } = torrent
    if (torrent.aborted || content === null || content.geometry.piece(piece) === null) {
      this.#cancelled(piece, flags)
      return
    }
    if (content.havePiece(piece)) {
      if (flags & TorrentHandleFlags.alertWhenAvailable) readPiece(torrent, piece)
      return
    }
    const picker = torrent.needPicker()
    if (picker.piecePriority(piece) === dontDownload) {
      const wasFinished = torrent.isFinished
      picker.setPiecePriority(piece, topPriority)
      torrent.completion.wantedChanged(wasFinished)
    } else picker.setPiecePriority(piece, topPriority)
    this.#pieces ??= new TimeCritical()
    const first = this.#pieces.set(piece, env.turn.now + milliseconds, flags)
    if (first) this.#cancelOthers()
    torrent.listsChanged()
    this.tick(env.turn.now)
  }

  reset(piece: PieceIndex): void {
    const entry = this.#pieces?.reset(piece) ?? null
    if (entry !== null) this.#end(entry.piece, entry.flags)
  }

  clear(): void {
    for (const entry of this.#pieces?.clear() ?? []) this.#end(entry.piece, entry.flags)
  }

  pieceDone(piece: PieceIndex): void {
    const torrent = this.#torrent
    const entry = this.#pieces?.pieceDone(piece, torrent.env.turn.now) ?? null
    if (entry !== null && entry.flags & TorrentHandleFlags.alertWhenAvailable) readPiece(torrent, piece)
  }

  /** Once a second. */
  tick(now: number): void {
    const { content, swarm, ready } = this.#torrent
    const picker = content?.picker ?? null
    if (picker === null || !ready || this.#pieces === null || this.#pieces.size === 0) return
    const peers = swarm.connections.map(peer => peer.picking)
    this.#pieces.request(peers, picker, now)
  }

  #end(piece: PieceIndex, flags: number): void {
    this.#torrent.content?.picker?.setPiecePriority(piece, defaultPriority)
    this.#cancelled(piece, flags)
  }

  #cancelled(piece: PieceIndex, flags: number): void {
    if ((flags & TorrentHandleFlags.alertWhenAvailable) === 0) return
    const torrent = this.#torrent
    torrent.env.alerts.post(new ReadPieceAlert(torrent, new Uint8Array(0), piece, 0, errnoError('ECANCELED')))
  }

  /** Requests for other pieces that are not sent yet must not stand in the way. */
  #cancelOthers(): void {
    for (const peer of this.#torrent.swarm.connections) peer.download.abortQueued()
  }
}
