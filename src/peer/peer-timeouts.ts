/** What happens to a connection by the passing of time, checked once a second. */

import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import { DOWNLOAD_PAYLOAD, UPLOAD_PAYLOAD } from '../stats/transfer-stats.ts'
import type { PeerConnection } from './peer-connection.ts'
import { NO_PIECE } from './super-seed-view.ts'

/** Unchoked and silent for so long, a peer loses its slot for good. */
const NO_REQUEST_MS = 60_000
const SUPER_SEED_PATIENCE_MS = 10_000

/** Ends connections that are dead or of no use; keeps the others alive; advances their rates. */
export function secondTick(peer: PeerConnection, now: number, elapsedMs: number): void {
  if (peer.host === null) return
  if (isTimedOut(peer, now)) return
  const { settings } = peer.session
  const { host, stats } = peer
  if (
    host.superSeeding &&
    host.ready &&
    !peer.peerInterested &&
    !peer.inHandshake &&
    peer.choking.interestLostAt + SUPER_SEED_PATIENCE_MS < now
  ) {
    peer.announcements.showPiece(NO_PIECE, host.pieceToSuperSeed(peer))
  }
  if (!peer.connecting && !peer.inHandshake && now - peer.lastSent >= (settings.peerTimeout * 1000) / 2)
    peer.keepAlive()
  peer.extensions.pex.tick(now)

  const received = stats.sinceTick(DOWNLOAD_PAYLOAD)
  peer.download.tick(now, peer.downloadedLastSecond, received)
  if (peer.disconnecting) return
  peer.downloadedLastSecond = received
  peer.uploadedLastSecond = stats.sinceTick(UPLOAD_PAYLOAD)
  stats.secondTick(elapsedMs)
  peer.uploadRatePeak = Math.max(peer.uploadRatePeak, stats.uploadPayloadRate())
  peer.downloadRatePeak = Math.max(peer.downloadRatePeak, stats.downloadPayloadRate())
  peer.uploads.queue.fill()
  peer.extensions.metadata.tick(now)
  peer.hashes.tick(now)
  if (peer.link.holdsBytes) peer.link.resumeSending()
}

/** A connection that has no torrent yet: only its handshake can time out. */
export function tickUnattached(peer: PeerConnection, now: number): void {
  const waited = now - peer.createdAt
  if (waited <= peer.session.settings.handshakeTimeout * 1000) return
  logWait(peer, 'noHandshake', waited)
  end(peer, LibtorrentErrors.timedOutNoHandshake)
}

/** @returns true if the connection was ended */
function isTimedOut(peer: PeerConnection, now: number): boolean {
  const { settings } = peer.session
  const host = peer.host!
  const silence = peer.isWebSeed ? now - Math.max(peer.lastReceive, peer.download.lastRequest) : now - peer.lastReceive
  const patience = peer.isWebSeed ? settings.urlseedTimeout : settings.peerTimeout
  if (peer.connecting) {
    const limit = settings.peerConnectTimeout + 3 * (peer.entry?.failcount ?? 0)
    if (silence <= limit * 1000) return false
    logWait(peer, 'connectFailed', silence)
    peer.connectFailed(libtorrentError(LibtorrentErrors.timedOut))
    return true
  }
  if (peer.receiving.paused && !peer.receiving.pausedForSending) return false
  if (peer.inHandshake) {
    // from the beginning: a peer that sends a byte now and then is not to hold a place for ever
    if (now - peer.createdAt <= (settings.handshakeTimeout + settings.peerConnectTimeout) * 1000) {
      if (silence <= settings.handshakeTimeout * 1000) return false
    }
    logWait(peer, 'noHandshake', Math.max(silence, now - peer.createdAt))
    return end(peer, LibtorrentErrors.timedOutNoHandshake)
  }
  if (silence > patience * 1000 && peer.uploads.queue.readingBytes === 0) {
    if (peer.logsMessages) peer.log('info', 'lastActivity', `${Math.floor(silence / 1000)} seconds ago`)
    return end(peer, LibtorrentErrors.timedOutInactivity)
  }
  const idle = now - Math.max(peer.choking.lastUnchoke, peer.lastIncomingRequest, peer.lastSentPayload)
  if (
    !peer.amChoking &&
    peer.peerInterested &&
    peer.uploads.queue.length === 0 &&
    peer.uploads.queue.readingBytes === 0 &&
    host.uploadOnly &&
    idle > NO_REQUEST_MS
  ) {
    logWait(peer, 'noRequest', idle)
    return end(peer, LibtorrentErrors.timedOutNoRequest)
  }
  const useless = settings.inactivityTimeout * 1000
  const full = peer.session.numConnections >= settings.connectionsLimit - 5 || host.numPeers >= host.maxConnections - 5
  if (
    !peer.amInterested &&
    !peer.peerInterested &&
    full &&
    now - peer.choking.interestLostAt > useless &&
    now - peer.interest.lostAt > useless
  ) {
    if (peer.logsMessages) {
      const seconds = [now - peer.interest.lostAt, now - peer.choking.interestLostAt].map(ms => Math.floor(ms / 1000))
      peer.log('info', 'mutualNoInterest', `t1: ${seconds[0]} t2: ${seconds[1]}`)
    }
    return end(peer, LibtorrentErrors.timedOutNoInterest)
  }
  return false
}

function logWait(peer: PeerConnection, event: 'connectFailed' | 'noHandshake' | 'noRequest', ms: number): void {
  if (peer.logsMessages) peer.log('info', event, `waited ${Math.floor(ms / 1000)} seconds`)
}

function end(peer: PeerConnection, error: LibtorrentErrors): true {
  peer.disconnect(libtorrentError(error), Operation.bittorrent)
  return true
}
