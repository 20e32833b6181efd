/** What torrents share: the services of the session, and the ports through which a torrent calls up. */

import type { AlertQueue } from '../alert/alert-queue.ts'
import type { InfoHash, Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { Clock, HttpClient, Resolver, Rng, Stream } from '../core/runtime.ts'
import type { Turn } from '../core/turn.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import type { PeerSession } from '../peer/peer-host.ts'
import type { RateQuota } from '../peer/rate-quota.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import type { Counters } from '../stats/counters.ts'
import type { DiskIo } from '../storage/disk-io.ts'
import type { TrackerRequest, TrackerRequester, TrackerSocket } from '../tracker/announce-request.ts'
import type { PickerLoops } from './pick-blocks.ts'
import type { TorrentFile } from './shared-files.ts'
import type { Torrent } from './torrent.ts'

/** The read-mostly record given to every torrent. */
export interface TorrentEnv {
  readonly turn: Turn
  readonly clock: Clock
  readonly rng: Rng
  readonly settings: SessionSettings
  readonly counters: Counters
  /** Of all pickers. */
  readonly pickerLoops: PickerLoops
  readonly alerts: AlertQueue
  readonly disk: DiskIo
  readonly resolver: Resolver
  readonly http: HttpClient
  /** What connections get. */
  readonly peers: PeerSession
  readonly registry: RegistryPort
  readonly connects: ConnectPort
  readonly choker: ChokePort
  readonly discovery: DiscoveryPort
  readonly dht: DhtPort
  readonly limits: LimitPort
  /** Whole seconds since the session began, never 0: what peer entries keep. */
  sessionTime(): number
}

/** Lists of torrents, kept by the session. */
export interface RegistryPort {
  /** The torrent wants `secondTick`. */
  wantsTick(torrent: Torrent, wants: boolean): void
  /** It wants more connections. */
  wantsPeers(torrent: Torrent, wants: boolean): void
  /** When its announcer has something to do; `Infinity` for never. */
  announceAt(torrent: Torrent, when: number): void
  /** Something that `status()` shows has changed. */
  stateUpdated(torrent: Torrent): void
  /** Memory for blocks is used up: torrents are to let go of what they can. */
  memoryShort(): void
  /** The queue is to be looked at again. */
  triggerAutoManage(): void
  queuePosition(torrent: Torrent): number
  /** In the queue or not; new ones go to its end. */
  setQueued(torrent: Torrent, queued: boolean): void
  moveInQueue(torrent: Torrent, position: number): void
  /** The torrent is gone; its storage is closed. */
  torrentClosed(torrent: Torrent): void
  /** Torrents in the session. */
  readonly numTorrents: number
  /** Another torrent that has one of these hashes. */
  conflicting(torrent: Torrent, infoHash: InfoHash): Torrent | null
  /** Its hashes are these from now on: a link may name only one of two. */
  updateInfoHash(torrent: Torrent, infoHash: InfoHash): void
  /** It is known what files the torrent has: others may share them. */
  filesKnown(torrent: Torrent): void
  /** Torrents that are said to share files, by either of the two: by info-hash or collection. */
  similar(torrent: Torrent): Torrent[]
  /** Files that may have the root: a few of them, to be compared. @param root 32 bytes */
  filesWithRoot(root: Uint8Array): TorrentFile[]
}

/** Connections of the session. */
export interface ConnectPort {
  /** Starts a connection. */
  connect(to: Endpoint): Stream
  /** Address that a connection to there is to start from; `null` leaves it to the system. */
  outgoingAddress(to: Endpoint): string | null
  /** A connection was started ahead of its turn: it counts against `connection_speed`. */
  boosted(): void
  /** Connections, half-open ones too, and their limit. */
  readonly numConnections: number
  opened(peer: PeerConnection): void
  connectionClosed(peer: PeerConnection): void
  /** Makes room for one more connection of this torrent, if another one has more to spare. @returns false if not */
  makeRoom(torrent: Torrent): boolean
  newPeerId(): Uint8Array
  isOurPeerId(peerId: Uint8Array): boolean
  isBlocked(address: string): boolean
  isPortBlocked(port: number): boolean
}

/** Upload slots of the session. */
export interface ChokePort {
  /** A slot is free, or the peer needs none. */
  mayUnchoke(peer: PeerConnection): boolean
  unchoked(peer: PeerConnection): void
  choked(peer: PeerConnection): void
  /** An unchoked peer has left. */
  closed(peer: PeerConnection): void
  /** Slots are to be handed out anew, soon. */
  trigger(): void
  triggerOptimistic(): void
}

/** Trackers, the local network, and our addresses as others see them. */
export interface DiscoveryPort {
  queueRequest(request: TrackerRequest, requester: TrackerRequester): void
  listenSockets(ssl: boolean): readonly TrackerSocket[]
  listenSocketsVersion(): number
  voteExternalAddress(local: Endpoint, address: string, voter: string): void
  /** Our endpoint as a peer with that address sees it. */
  externalEndpoint(towards: string): Endpoint
  /** Tells the local network that we have the torrent, if that may be told. */
  announceLocally(torrent: Torrent): void
  /** The torrent has begun to announce: it is to be one of the next that the local network is told of. */
  announceLocallySoon(torrent: Torrent): void
}

/** The DHT of the session. */
export interface DhtPort {
  readonly isRunning: boolean
  /** It runs, and peers could reach us. */
  readonly canAnnounce: boolean
  /**
   * Looks up the peers of a swarm, and announces that we are one.
   *
   * @param port  0 for that of our listen socket
   * @param flags `AnnounceFlags`
   * @param found called with the peers of each node that knows some
   */
  announce(infoHash: Sha1Hash, port: number, flags: number, found: (peers: readonly Endpoint[]) => void): void
  /** The torrent is to announce soon. */
  prioritize(torrent: Torrent): void
  /** There may be a node. */
  addNode(endpoint: Endpoint): void
}

/** Rate limits of torrents and their connections. */
export interface LimitPort {
  quotaFor(torrent: Torrent | null, remote: Endpoint, socketType: number): RateQuota
  setTorrentLimit(torrent: Torrent, direction: 'up' | 'down', bytesPerSecond: number): void
  torrentLimit(torrent: Torrent, direction: 'up' | 'down'): number
  torrentRemoved(torrent: Torrent): void
}
