/** The announces of one torrent to the DHT (BEP 5), and the peers they bring. */

import { DhtReplyAlert } from '../alert/tracker-alerts.ts'
import type { Endpoint } from '../core/endpoint.ts'
import { AnnounceFlags, PexFlags, ProtocolVersion, TorrentFlags } from '../core/enums.ts'
import { PeerSource } from './peer-entry.ts'
import type { Torrent } from './torrent.ts'
import { logPeersAdded, logTorrent } from './torrent-log.ts'

/** With so many peers, a torrent that begins need not be announced ahead of others. */
const ENOUGH_PEERS = 50
const VERSIONS = [ProtocolVersion.V1, ProtocolVersion.V2] as const

export class DhtAnnounces {
  readonly #torrent: Torrent

  constructor(torrent: Torrent) {
    this.#torrent = torrent
  }

  /** The torrent announces itself from now on, or there is a DHT from now on. */
  started(): void {
    const torrent = this.#torrent
    if (!torrent.announcer.isAnnouncing || (torrent.swarm.known?.size ?? 0) >= ENOUGH_PEERS) return
    torrent.env.dht.prioritize(torrent)
  }

  /** Whether it may be announced now. Private torrents have their trackers only. @see BEP 27 */
  get allowed(): boolean {
    const torrent = this.#torrent
    const { dht, settings } = torrent.env
    if ((torrent.otherFlags & TorrentFlags.disableDht) !== 0 || !dht.canAnnounce) return false
    if (torrent.aborted || torrent.isPaused || !torrent.announcing.toDht) return false
    if (torrent.content !== null && (!torrent.ready || torrent.content.info.priv())) return false
    return !settings.useDhtAsFallback || !torrent.announcer.anyVerified()
  }

  /** Looks for peers, and tells that we are one; with each info-hash of the torrent. */
  announce(): void {
    const torrent = this.#torrent
    if (!this.allowed) {
      logNoDhtAnnounce(torrent)
      return
    }
    const { dht, settings, turn } = torrent.env
    logTorrent(torrent, () => 'START DHT announce')
    const started = turn.now
    let flags = torrent.isSeed ? AnnounceFlags.seed : 0
    // the port that our packets come from is likelier to be right behind a NAT
    if (settings.announcePort === 0 && settings.enableIncomingUtp) flags |= AnnounceFlags.impliedPort
    for (const version of VERSIONS) {
      if (!torrent.infoHashes.has(version)) continue
      const infoHash = torrent.infoHashes.get(version)
      dht.announce(infoHash, settings.announcePort, flags, peers => this.#found(peers, version, started))
    }
  }

  #found(peers: readonly Endpoint[], version: ProtocolVersion, started: number): void {
    const torrent = this.#torrent
    const elapsed = Math.floor(torrent.env.turn.now - started)
    logTorrent(torrent, () => `END DHT announce (${elapsed} ms) (${peers.length} peers)`)
    if (torrent.aborted || peers.length === 0) return
    const { alerts } = torrent.env
    if (alerts.wants(DhtReplyAlert)) alerts.post(new DhtReplyAlert(torrent, peers.length))
    if (torrent.content?.info.priv()) return
    const flags = version === ProtocolVersion.V2 ? PexFlags.pexLtV2 : 0
    for (const peer of peers) torrent.swarm.addPeer(peer, PeerSource.dht, flags)
    logPeersAdded(torrent, 'DHT', peers)
    torrent.swarm.connectBoost()
  }
}

/** Each reason there is not to announce it. */
function logNoDhtAnnounce(torrent: Torrent): void {
  const { dht, settings } = torrent.env
  const { content, announcer } = torrent
  if (!dht.isRunning) {
    logTorrent(torrent, () => 'DHT: no dht initialized')
    return
  }
  if (!dht.canAnnounce) logTorrent(torrent, () => 'DHT: no listen sockets')
  if (content !== null && !torrent.ready) logTorrent(torrent, () => 'DHT: files not checked, skipping DHT announce')
  if (!torrent.announcing.toDht) logTorrent(torrent, () => 'DHT: queueing disabled DHT announce')
  if (torrent.isPaused) logTorrent(torrent, () => 'DHT: torrent paused, no DHT announce')
  if ((torrent.otherFlags & TorrentFlags.disableDht) !== 0) {
    logTorrent(torrent, () => 'DHT: torrent has DHT disabled flag')
  }
  if (content?.info.priv()) logTorrent(torrent, () => 'DHT: private torrent, no DHT announce')
  if (settings.useDhtAsFallback && announcer.anyVerified()) {
    logTorrent(torrent, () => 'DHT: only using DHT as fallback and there are working trackers')
  }
}
