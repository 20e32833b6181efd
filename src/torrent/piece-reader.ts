/** Reads a whole piece for the user, and takes one in from the user. */

import { ReadPieceAlert } from '../alert/storage-alerts.ts'
import { BLOCK_SIZE, type PieceIndex } from '../core/brands.ts'
import { type ErrorCode, errnoError, libtorrentError, NO_ERROR } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { NO_PEER } from './downloading-pieces.ts'
import { TorrentHandleFlags } from './handle-flags.ts'
import type { Torrent } from './torrent.ts'

const NOTHING = new Uint8Array(0)
/** Bytes per read job. */
const CHUNK = 1 << 20

/** Answers by `ReadPieceAlert`. */
export function readPiece(torrent: Torrent, piece: PieceIndex): void {
  const { content, env } = torrent
  const answer = (data: Uint8Array, error: ErrorCode): void => {
    env.alerts.post(new ReadPieceAlert(torrent, data, piece, data.length, error))
  }
  const refusal = whyNotReadable(torrent, piece)
  if (refusal !== null || content === null) {
    answer(NOTHING, refusal ?? libtorrentError(LibtorrentErrors.noMetadata))
    return
  }
  const size = content.geometry.requestSize(piece)
  const data = new Uint8Array(size)
  let left = Math.ceil(size / CHUNK)
  let failure: ErrorCode | null = null
  for (let at = 0; at < size; at += CHUNK) {
    const length = Math.min(CHUNK, size - at)
    env.disk.read(content.storage!, piece, at, length, {}, result =>
      env.turn.run('read piece', () => {
        if (result.error !== null) {
          failure ??= result.error.code
          torrent.errors.disk(result.error, 'read')
        } else {
          let to = at
          for (const view of result.views) {
            data.set(view, to)
            to += view.length
          }
        }
        result.release()
        if (--left === 0) answer(failure === null ? data : NOTHING, failure ?? NO_ERROR)
      }),
    )
  }
  env.disk.submit()
}

function whyNotReadable(torrent: Torrent, piece: PieceIndex): ErrorCode | null {
  const { content } = torrent
  if (torrent.aborted || torrent.deleted) return errnoError('ECANCELED')
  if (content === null) return libtorrentError(LibtorrentErrors.noMetadata)
  const there = content.geometry.piece(piece) !== null && content.havePiece(piece)
  return there ? null : libtorrentError(LibtorrentErrors.invalidPieceIndex)
}

/**
 * Takes a piece from the user as if a peer had sent it: hashed, then written.
 *
 * @param data the whole piece; of another length it is ignored
 */
export function addPiece(torrent: Torrent, piece: PieceIndex, data: Uint8Array, flags: number): void {
  const { content, env } = torrent
  if (content === null || torrent.aborted || torrent.deleted || !torrent.ready) return
  if (content.geometry.piece(piece) === null || data.length !== content.geometry.requestSize(piece)) return
  const overwrite = (flags & TorrentHandleFlags.overwriteExisting) !== 0
  if (content.haveAll && content.picker === null && (!overwrite || torrent.seedMode !== null)) return
  const picker = torrent.needPicker()
  if (picker.havePiece(piece)) {
    if (!overwrite) return
    torrent.losePiece(piece)
  } else if (overwrite) content.commits.forgetParked(piece)
  const blocks = picker.payloadBlocks(piece)
  for (let b = 0; b < blocks; b++) {
    if (picker.isDownloaded(piece, b)) continue
    const slot = content.leaseSlot(piece, b)
    if (slot < 0) {
      content.spill()
      return
    }
    env.disk.slots.copyIn(slot, 0, data.subarray(b * BLOCK_SIZE, b * BLOCK_SIZE + content.geometry.blockSize(piece, b)))
    picker.markAsDownloading(piece, b, NO_PEER)
    content.blockArrived(piece, b, slot, NO_PEER)
  }
  env.disk.submit()
}
