/** The alerts that the connections of a torrent raise, made only if somebody wants them. */

import type { AlertTorrent } from '../alert/alert.ts'
import type { AlertQueue } from '../alert/alert-queue.ts'
import { PeerLogAlert } from '../alert/log-alerts.ts'
import {
  BlockDownloadingAlert,
  BlockTimeoutAlert,
  BlockUploadedAlert,
  IncomingRequestAlert,
  InvalidRequestAlert,
  PeerConnectAlert,
  PeerDisconnectedAlert,
  PeerErrorAlert,
  PeerSnubbedAlert,
  PeerUnsnubbedAlert,
  UnwantedBlockAlert,
} from '../alert/peer-alerts.ts'
import { PerformanceAlert } from '../alert/torrent-alerts.ts'
import { BLOCK_SIZE } from '../core/brands.ts'
import { Sha256Hash } from '../core/digest.ts'
import { PerformanceWarning } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import type { Operation } from '../core/operation.ts'
import { PeerRequest } from '../core/peer-request.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import { type HashNotice, type LogNotice, type PeerNotice, Severity } from '../peer/peer-host.ts'
import { type BlockRequest, requestOf } from '../peer/upload-queue.ts'
import { closeReason } from './close-reason.ts'
import type { Torrent } from './torrent.ts'

export function postNotice(torrent: Torrent, peer: PeerConnection, notice: PeerNotice): void {
  const { alerts } = torrent.env
  const { endpoint, pid } = peer
  switch (notice.kind) {
    case 'blockDownloading':
      if (alerts.wants(BlockDownloadingAlert)) {
        alerts.post(new BlockDownloadingAlert(torrent, endpoint, pid, notice.block, notice.piece))
      }
      break
    case 'unwantedBlock':
      if (alerts.wants(UnwantedBlockAlert)) {
        alerts.post(new UnwantedBlockAlert(torrent, endpoint, pid, notice.block, notice.piece))
      }
      break
    case 'blockTimeout':
      if (alerts.wants(BlockTimeoutAlert)) {
        alerts.post(new BlockTimeoutAlert(torrent, endpoint, pid, notice.block, notice.piece))
      }
      break
    case 'connect':
      if (alerts.wants(PeerConnectAlert)) {
        const direction = notice.outgoing ? PeerConnectAlert.Direction.out : PeerConnectAlert.Direction.in
        alerts.post(new PeerConnectAlert(torrent, endpoint, pid, peer.socketType, direction))
      }
      break
    case 'error':
      if (alerts.wants(PeerErrorAlert)) {
        alerts.post(new PeerErrorAlert(torrent, endpoint, pid, notice.operation, notice.error))
      }
      break
    case 'snubbed':
      if (alerts.wants(PeerSnubbedAlert)) alerts.post(new PeerSnubbedAlert(torrent, endpoint, pid))
      break
    case 'unsnubbed':
      if (alerts.wants(PeerUnsnubbedAlert)) alerts.post(new PeerUnsnubbedAlert(torrent, endpoint, pid))
      break
    case 'invalidRequest':
      if (alerts.wants(InvalidRequestAlert)) {
        alerts.post(
          new InvalidRequestAlert(
            torrent,
            endpoint,
            pid,
            toPeerRequest(notice.request),
            hasPiece(torrent, notice.request.piece),
            peer.peerInterested,
            notice.withheld,
          ),
        )
      }
      break
    case 'blocksUploaded':
      for (let i = 0; i < notice.run.count && alerts.wants(BlockUploadedAlert); i++) {
        const block = Math.floor((notice.run.begin + i * notice.run.length) / BLOCK_SIZE)
        alerts.post(new BlockUploadedAlert(torrent, endpoint, pid, block, notice.run.piece))
      }
      break
    case 'incomingRequests':
      for (let i = 0; i < notice.run.count && alerts.wants(IncomingRequestAlert); i++) {
        const request = toPeerRequest(requestOf(notice.run, i))
        alerts.post(new IncomingRequestAlert(torrent, endpoint, pid, request))
      }
      break
    case 'outstandingLimit':
      if (alerts.wants(PerformanceAlert)) {
        alerts.post(new PerformanceAlert(torrent, PerformanceWarning.outstandingRequestLimitReached))
      }
      break
    case 'log':
      postLog(alerts, torrent, peer, notice)
      break
    case 'hashLog':
      if (alerts.wants(PeerLogAlert)) logHashes(torrent, peer, notice)
      break
  }
}

/** A line for the log of a connection. @param source as in {@link postClosed} */
export function postLog(alerts: AlertQueue, source: AlertTorrent, peer: PeerConnection, notice: LogNotice): void {
  if (!alerts.wants(PeerLogAlert)) return
  const direction = PeerLogAlert.Direction[notice.direction]
  const event = PeerLogAlert.Event[notice.event]
  alerts.post(new PeerLogAlert(source, peer.endpoint, peer.pid, direction, event, notice.text))
}

/**
 * A connection has ended: an error of the peer's, or nobody's fault.
 *
 * @param source torrent of the connection, or what stands for none
 */
export function postClosed(
  alerts: AlertQueue,
  source: AlertTorrent,
  peer: PeerConnection,
  error: ErrorCode,
  operation: Operation,
  severity: Severity,
): void {
  if (!error.failed()) return
  const { endpoint, pid, socketType } = peer
  if (severity === Severity.peerError) {
    if (alerts.wants(PeerErrorAlert)) alerts.post(new PeerErrorAlert(source, endpoint, pid, operation, error))
  } else if (alerts.wants(PeerDisconnectedAlert)) {
    const reason = closeReason(error)
    alerts.post(new PeerDisconnectedAlert(source, endpoint, pid, operation, socketType, error, reason))
  }
}

function logHashes(torrent: Torrent, peer: PeerConnection, { direction, event, request }: HashNotice): void {
  const { base, index, count, proofLayers } = request
  // of what it rejects libtorrent does not name the file
  const isRejected = event === 'hashReject' && direction === 'outgoingMessage'
  const file = torrent.content?.geometry.files.fileIndexForRoot(new Sha256Hash(request.root)) ?? -1
  const text = `base: ${base | 0} idx: ${index | 0} cnt: ${count | 0} proofs: ${proofLayers | 0}`
  torrent.env.alerts.post(
    new PeerLogAlert(
      torrent,
      peer.endpoint,
      peer.pid,
      PeerLogAlert.Direction[direction],
      PeerLogAlert.Event[event],
      isRejected ? text : `file: ${file} ${text}`,
    ),
  )
}

/** The index comes from the peer: there may be no such piece. */
function hasPiece({ content }: Torrent, piece: number): boolean {
  return content !== null && piece < content.geometry.numPieces && content.havePiece(piece)
}

/** What peers ask for may be any number, and is signed in libtorrent. */
function toPeerRequest(request: BlockRequest): PeerRequest {
  return new PeerRequest(request.piece | 0, request.begin | 0, request.length | 0)
}
