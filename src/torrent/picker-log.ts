/** Says what is picked for which peer, for programs that want `PickerLogAlert`s or the log of the peer. */

import { PickerLogAlert } from '../alert/log-alerts.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import type { PiecePicker } from './piece-picker.ts'
import type { PickLog } from './request-blocks.ts'
import type { Torrent } from './torrent.ts'

/** @returns `null` if nobody wants it: nothing is done per pick then */
export function pickLog(torrent: Torrent, peer: PeerConnection, picker: PiecePicker): PickLog | null {
  const { alerts } = torrent.env
  if (!peer.logsMessages && !alerts.wants(PickerLogAlert)) return null
  const { sent, queued } = peer.download
  return {
    begins: wanted =>
      peer.log(
        'info',
        'piecePicker',
        `dlq: ${sent.length} rqq: ${queued.length} target: ${peer.download.desiredSize} req: ${wanted} endgame: ${+peer.endgame}`,
      ),
    picked: (picked, flags, preferContiguous) => {
      if (picked.length > 0 && alerts.wants(PickerLogAlert)) {
        const blocks = picked.map(id => [picker.pieceOf(id), picker.blockOf(id)] as const)
        alerts.post(new PickerLogAlert(torrent, peer.endpoint, peer.pid, flags, blocks))
      }
      peer.log('info', 'piecePicker', `prefer_contiguous: ${preferContiguous} picked: ${picked.length}`)
    },
    alreadyAsked: (piece, block) => peer.log('info', 'piecePicker', `not_picking: ${piece},${block} already in queue`),
  }
}
