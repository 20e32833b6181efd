/**
 * The bytes that go through one connection: charged to its rate limits, told to its torrent, and counted, along with the IP
 * and TCP headers they cost.
 */

import { isV6 } from '../core/endpoint.ts'
import * as C from '../stats/counter-ids.ts'
import type { PeerConnection } from './peer-connection.ts'

export class PeerTraffic {
  readonly #peer: PeerConnection
  readonly #v6: boolean

  constructor(peer: PeerConnection) {
    this.#peer = peer
    this.#v6 = isV6(peer.endpoint[0])
  }

  /** An outgoing connection is under way. */
  connecting(): void {
    const { session, stats } = this.#peer
    session.counters.inc(C.NET_SENT_IP_OVERHEAD_BYTES, stats.sentSyn(this.#v6))
  }

  /** It was accepted. */
  connected(): void {
    this.#countOverhead(this.#peer.stats.receivedSynAck(this.#v6))
  }

  received(payload: number, protocol: number): void {
    const peer = this.#peer
    const { counters, turn } = peer.session
    peer.lastReceive = turn.now
    peer.stats.receivedBytes(payload, protocol)
    counters.inc(C.NET_ON_READ_COUNTER)
    counters.inc(C.SOCK_BUFS_SOCKET_RECV_SIZE3 + sizeClass(payload + protocol))
    this.#countOverhead(peer.stats.transceivedIpPacket(payload + protocol, this.#v6))
    if (!this.#isUnreported) peer.host?.receivedBytes(payload, protocol)
    peer.quota.received(peer, payload + protocol)
  }

  sent(payload: number, protocol: number): void {
    const peer = this.#peer
    const { counters, turn } = peer.session
    const { now } = turn
    peer.lastSent = now
    if (payload > 0) peer.lastSentPayload = now
    peer.stats.sentBytes(payload, protocol)
    counters.inc(C.NET_ON_WRITE_COUNTER)
    counters.inc(C.SOCK_BUFS_SOCKET_SEND_SIZE3 + sizeClass(payload + protocol))
    this.#countOverhead(peer.stats.transceivedIpPacket(payload + protocol, this.#v6))
    if (!this.#isUnreported) peer.host?.sentBytes(payload, protocol)
    peer.quota.sent(peer, payload + protocol)
  }

  /** What goes through it is not the torrent's business (`report_web_seed_downloads`). */
  get #isUnreported(): boolean {
    return this.#peer.isWebSeed && !this.#peer.session.settings.reportWebSeedDownloads
  }

  /** Headers count both ways: what goes one way is acknowledged the other. */
  #countOverhead(bytes: number): void {
    const { counters } = this.#peer.session
    counters.inc(C.NET_SENT_IP_OVERHEAD_BYTES, bytes)
    counters.inc(C.NET_RECV_IP_OVERHEAD_BYTES, bytes)
  }
}

/** Which of the `sock_bufs` metrics a read or write of so many bytes is counted in: powers of two, 8 to 2^20. */
function sizeClass(bytes: number): number {
  return Math.min(31 - Math.clz32((bytes >> 3) | 1), 17)
}
