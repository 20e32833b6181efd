/**
 * How torrents reach trackers and the local network, and what they learn of our own addresses: all of it by the listen
 * sockets.
 */

import type { Endpoint } from '../core/endpoint.ts'
import type { Runtime } from '../core/runtime.ts'
import type { Turn } from '../core/turn.ts'
import { IpSource } from '../net/ip-voter.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import * as C from '../stats/counter-ids.ts'
import type { Counters } from '../stats/counters.ts'
import type { Torrent } from '../torrent/torrent.ts'
import type { DiscoveryPort } from '../torrent/torrent-env.ts'
import type { TrackerRequest, TrackerRequester, TrackerSocket } from '../tracker/announce-request.ts'
import { TrackerManager } from '../tracker/tracker-manager.ts'
import type { ExternalAddresses } from './external-addresses.ts'
import type { ListenSocket, ListenSockets } from './listen-sockets.ts'
import type { LsdHost } from './lsd-host.ts'

/** What discovery needs of the session. */
export interface DiscoveryHost {
  readonly runtime: Runtime
  readonly turn: Turn
  readonly settings: SessionSettings
  readonly counters: Counters
  readonly listen: ListenSockets
  readonly external: ExternalAddresses<ListenSocket>
  readonly lsd: LsdHost
  /** No tracker is waited for any more. */
  trackersIdle(): void
}

export class Discovery implements DiscoveryPort {
  readonly #host: DiscoveryHost
  readonly trackers: TrackerManager

  constructor(host: DiscoveryHost) {
    this.#host = host
    const { runtime, turn, settings, counters } = host
    this.trackers = new TrackerManager(settings, {
      http: runtime.http,
      resolver: runtime.resolver,
      turn: fn => turn.run('tracker', fn),
      rng: runtime.rng.fork('trackers'),
      now: () => turn.now,
      defer: fn => runtime.defer(() => turn.run('tracker', fn)),
      sendUdp: (socket, to, packet) => (socket as ListenSocket).send(packet, to, 'tracker'),
      sendUdpToHost: (socket, to, port, packet) => (socket as ListenSocket).sendToHost(packet, to, port, 'tracker'),
      sentBytes: n => counters.inc(C.NET_SENT_TRACKER_BYTES, n),
      receivedBytes: n => counters.inc(C.NET_RECV_TRACKER_BYTES, n),
      queueLength: n => counters.set(C.TRACKER_NUM_QUEUED_TRACKER_ANNOUNCES, n),
      idle: () => host.trackersIdle(),
    })
  }

  queueRequest(request: TrackerRequest, requester: TrackerRequester): void {
    this.trackers.queueRequest(request, requester)
  }

  listenSockets(ssl: boolean): readonly TrackerSocket[] {
    return this.#host.listen.sockets.filter(socket => socket.ssl === ssl)
  }

  listenSocketsVersion(): number {
    return this.#host.listen.version
  }

  voteExternalAddress(local: Endpoint, address: string, voter: string): void {
    this.#host.external.vote(local, address, IpSource.tracker, voter)
  }

  externalEndpoint(towards: string): Endpoint {
    const { external, listen } = this.#host
    return [external.towards(towards), listen.portFor(towards)]
  }

  announceLocally(torrent: Torrent): void {
    this.#host.lsd.announce(torrent)
  }

  announceLocallySoon(torrent: Torrent): void {
    this.#host.lsd.announceSoon(torrent)
  }
}
