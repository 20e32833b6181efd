/** Connections that others make to us: whether they are taken at all, and which torrent they go to. */

import type { AlertQueue } from '../alert/alert-queue.ts'
import { PeerBlockedAlert, PeerDisconnectedAlert } from '../alert/peer-alerts.ts'
import { IncomingConnectionAlert } from '../alert/session-alerts.ts'
import { Sha1Hash } from '../core/digest.ts'
import { PeerBlockedReason, ProtocolVersion } from '../core/enums.ts'
import { type ErrorCode, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { Stream } from '../core/runtime.ts'
import { logOpened } from '../peer/connection-log.ts'
import { PeerConnection } from '../peer/peer-connection.ts'
import type { LogNotice, PeerHost, PeerSession, Severity } from '../peer/peer-host.ts'
import { tickUnattached } from '../peer/peer-timeouts.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import * as C from '../stats/counter-ids.ts'
import type { Counters } from '../stats/counters.ts'
import { postClosed, postLog } from '../torrent/peer-notices.ts'
import type { LimitPort } from '../torrent/torrent-env.ts'
import type { Connections } from './connections.ts'
import { logNotTaken } from './session-log.ts'
import { TorrentHandle } from './torrent-handle.ts'
import type { TorrentRegistry } from './torrent-registry.ts'

/** What incoming connections need of the session. */
export interface IncomingPort {
  readonly settings: SessionSettings
  readonly counters: Counters
  readonly alerts: AlertQueue
  readonly registry: TorrentRegistry
  readonly limits: Pick<LimitPort, 'quotaFor'>
  readonly connections: Connections
  /** What connections get. */
  readonly peers: PeerSession
  /** Why the session takes no connections; `null` if it does. */
  deafness(): 'paused' | 'aborting' | null
  /** We have made this hash up for our packets of the DHT. */
  isOurSecret(infoHash: Sha1Hash): boolean
}

export class IncomingConnections {
  readonly #port: IncomingPort

  constructor(port: IncomingPort) {
    this.#port = port
  }

  accepted(stream: Stream): void {
    const { settings, alerts, counters, registry, connections, limits, peers } = this.#port
    const { remote } = stream
    counters.inc(C.NET_ON_ACCEPT_COUNTER)
    const deafness = this.#port.deafness()
    if (deafness !== null) {
      logNotTaken(alerts, `ignored, ${deafness}`)
      stream.close()
      return
    }
    if (counters.get(C.SES_NON_FILTER_TORRENTS) === 0 && connections.isBlocked(remote[0])) {
      logNotTaken(alerts, 'filtered blocked ip')
      if (alerts.wants(PeerBlockedAlert)) {
        alerts.post(new PeerBlockedAlert(NO_TORRENT, remote, PeerBlockedReason.ipFilter))
      }
      stream.close()
      return
    }
    if (registry.numTorrents === 0) {
      logNotTaken(alerts, 'rejected, there are no torrents')
      stream.close()
      return
    }
    if (alerts.wants(IncomingConnectionAlert)) alerts.post(new IncomingConnectionAlert(stream.kind, remote))
    const quota = limits.quotaFor(null, remote, stream.kind)
    const open = connections.open.size + connections.unattached.size
    const limit = Math.floor((settings.connectionsLimit * 100) / quota.connectionLimitFactor)
    if (open >= limit + settings.connectionsSlack) {
      quota.detach()
      const most = () => `limit: ${settings.connectionsLimit}, slack: ${settings.connectionsSlack}`
      logNotTaken(alerts, () => `connections limit exceeded, conns: ${open}, ${most()}`)
      if (alerts.wants(PeerDisconnectedAlert)) {
        const error = libtorrentError(LibtorrentErrors.tooManyConnections)
        alerts.post(
          new PeerDisconnectedAlert(NO_TORRENT, remote, NO_PEER_ID, Operation.bittorrent, stream.kind, error, 0),
        )
      }
      stream.close()
      return
    }
    counters.inc(C.PEER_INCOMING_CONNECTIONS)
    counters.set(C.NET_HAS_INCOMING_CONNECTIONS, 1)
    const peer = new PeerConnection({
      session: peers,
      stream,
      outgoing: false,
      peerId: new Sha1Hash(connections.newPeerId()),
      host: null,
      torrentId: null,
      quota,
    })
    connections.unattached.add(peer)
    logOpened(peer)
  }

  /**
   * A connection has named its torrent.
   *
   * @param upgrades it would speak v2
   * @returns what it gets of the torrent, or why it is refused
   */
  attach(peer: PeerConnection, infoHash: Sha1Hash, upgrades: boolean): PeerHost | ErrorCode {
    const { settings, registry, connections } = this.#port
    const torrent = registry.byHash(infoHash)
    if (torrent === undefined || torrent.aborted) {
      // nobody knows the hash but from our packets: the peer goes through what nodes are asked for
      if (torrent === undefined && this.#port.isOurSecret(infoHash)) connections.ban(peer.endpoint[0])
      return libtorrentError(LibtorrentErrors.invalidInfoHash)
    }
    if (torrent.isPaused && torrent.autoManaged && settings.incomingStartsQueuedTorrents) torrent.resume()
    if (torrent.isPaused || torrent.pausing.graceful) return libtorrentError(LibtorrentErrors.torrentPaused)
    if (torrent.content !== null && !torrent.ready) return libtorrentError(LibtorrentErrors.torrentNotReady)
    if (connections.open.size >= settings.connectionsLimit && !connections.makeRoom(torrent)) {
      return libtorrentError(LibtorrentErrors.tooManyConnections)
    }
    peer.torrentId = torrent.id
    const { infoHashes } = torrent
    const isHybrid = infoHashes.hasV1() && infoHashes.hasV2()
    const speaksV2 = isHybrid ? upgrades || infoHash.equals(infoHashes.get(ProtocolVersion.V2)) : null
    const refusal = torrent.swarm.attach(peer, speaksV2)
    if (refusal !== null) {
      peer.torrentId = null
      return refusal
    }
    peer.quota.joined(torrent.id)
    return torrent.host
  }

  /** A line for the log of a connection that has no torrent. */
  log(peer: PeerConnection, notice: LogNotice): void {
    postLog(this.#port.alerts, NO_TORRENT, peer, notice)
  }

  /** A connection has ended that has no torrent. */
  closed(peer: PeerConnection, error: ErrorCode, operation: Operation, severity: Severity): void {
    this.#port.connections.connectionClosed(peer)
    postClosed(this.#port.alerts, NO_TORRENT, peer, error, operation, severity)
  }

  /** Once a second: those that do not say what they want are let go. */
  tick(now: number): void {
    for (const peer of [...this.#port.connections.unattached]) tickUnattached(peer, now)
  }

  /** The session ends. */
  close(): void {
    for (const peer of [...this.#port.connections.unattached]) {
      peer.disconnect(libtorrentError(LibtorrentErrors.sessionClosing), Operation.bittorrent)
    }
  }
}

const NO_PEER_ID = new Sha1Hash()
/** For alerts that are about no torrent. */
const NO_TORRENT = { handle: TorrentHandle.INVALID, infoHashes: TorrentHandle.INVALID.infoHashesOrNone() }
