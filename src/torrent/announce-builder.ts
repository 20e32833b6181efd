/** What a torrent tells its trackers, and the peers they tell it. */

import { bytesEqual } from '../core/bytes.ts'
import { Sha1Hash } from '../core/digest.ts'
import { type Endpoint, isLocal, isLoopback, isUnspecified, isV4, parseAddress } from '../core/endpoint.ts'
import { ProtocolVersion, TrackerEvent } from '../core/enums.ts'
import type { TrackerPeer, TrackerRequest, TrackerResponse, TrackerSocket } from '../tracker/announce-request.ts'
import type { TrackerState } from '../tracker/tracker-state.ts'
import type { AnnouncerPort, AnnouncerSettings } from './announcer-port.ts'

/** Announced as `left` while the size is unknown, so that trackers do not take us for a seed. */
const UNKNOWN_LEFT = 16 * 1024
/** Host names to look up from one answer: no tracker may make us ask name servers without end. */
const MAX_HOSTS = 100
const NO_PEER_ID = new Uint8Array(20)
const NO_HASH = new Sha1Hash()
const NO_SOCKET: TrackerSocket = Object.freeze({
  local: ['0.0.0.0', 0] as const,
  ssl: false,
  open: false,
  listenPort: 0,
  canRoute: () => false,
})

/** An announce, all but what differs between listen sockets and info-hashes. */
export function announceRequest(
  tracker: TrackerState,
  event: TrackerEvent,
  key: number,
  settings: Pick<AnnouncerSettings, 'anonymousMode' | 'reportTrueDownloaded' | 'numWant'>,
  port: AnnouncerPort,
): TrackerRequest {
  const { anonymousMode, reportTrueDownloaded, numWant } = settings
  const s = port.snapshot()
  let downloaded = s.payloadDownloaded - s.failedBytes
  let redundant = s.redundantBytes
  if (!reportTrueDownloaded) {
    downloaded -= redundant
    // else what was counted could exceed the size of the torrent, which upsets some trackers
    if (port.isSeed()) {
      downloaded -= s.surplusBytes
      redundant += s.surplusBytes
    }
  }
  const ipv4: string[] = []
  const ipv6: string[] = []
  // our addresses are nobody's business but a private tracker's
  if (!anonymousMode && s.privateTorrent) {
    for (const socket of port.listenSockets()) {
      const address = socket.local[0]
      if (!isUnspecified(address) && !isLocal(address)) (isV4(address) ? ipv4 : ipv6).push(address)
    }
  }
  return {
    ...emptyRequest(tracker, key, port),
    peerId: s.peerId,
    downloaded: Math.max(0, downloaded),
    uploaded: s.payloadUploaded,
    left: s.left ?? UNKNOWN_LEFT,
    corrupt: s.failedBytes,
    redundant,
    numWant: event === TrackerEvent.stopped ? 0 : Math.max(0, numWant),
    ipv4,
    ipv6,
    privateTorrent: s.privateTorrent,
  }
}

/** A scrape, all but what differs between listen sockets and info-hashes. */
export function scrapeRequest(
  tracker: TrackerState,
  manually: boolean,
  key: number,
  port: AnnouncerPort,
): TrackerRequest {
  return {
    ...emptyRequest(tracker, key, port),
    scrape: true,
    privateTorrent: port.snapshot().privateTorrent,
    triggeredManually: manually,
  }
}

function emptyRequest(tracker: TrackerState, key: number, port: AnnouncerPort): TrackerRequest {
  return {
    url: tracker.url,
    trackerId: '',
    scrape: false,
    highPriority: false,
    event: TrackerEvent.none,
    infoHash: NO_HASH,
    version: ProtocolVersion.V1,
    peerId: NO_PEER_ID,
    downloaded: 0,
    uploaded: 0,
    left: 0,
    corrupt: 0,
    redundant: 0,
    key,
    numWant: 0,
    ipv4: [],
    ipv6: [],
    socket: NO_SOCKET,
    privateTorrent: false,
    triggeredManually: false,
    isBlocked: port.trackerFilter(),
  }
}

/**
 * Peers by address, and those whose name must be looked up; not ourselves.
 *
 * Deviation: in compact answers, which name no peer ids, libtorrent finds ourselves by connecting, and then avoids the
 * address. Where several clients share it, that keeps them apart, so here our own endpoints are left out beforehand.
 *
 * @param sockets those we listen on
 */
export function splitPeers(
  response: TrackerResponse,
  ownId: Uint8Array,
  sockets: readonly TrackerSocket[],
): [Endpoint[], TrackerPeer[]] {
  const isOther = (peer: Endpoint) => !sockets.some(socket => isOurs(peer, socket, response.externalIp))
  const endpoints = response.peers4.concat(response.peers6).filter(isOther)
  const hosts: TrackerPeer[] = []
  if (response.peers.length === 0) return [endpoints, hosts]
  for (const peer of response.peers) {
    if (bytesEqual(peer.peerId, ownId)) continue
    const address = parseAddress(peer.hostname)
    if (address !== null) endpoints.push([address, peer.port])
    else if (hosts.length < MAX_HOSTS) hosts.push(peer)
  }
  return [endpoints, hosts]
}

/** A socket on all interfaces is known to be on the loopback one; the addresses of the others are not known here. */
function isOurs([address, port]: Endpoint, socket: TrackerSocket, externalIp: string | null): boolean {
  if (port !== socket.listenPort) return false
  const at = socket.local[0]
  return address === at || address === externalIp || (isUnspecified(at) && isLoopback(address))
}
