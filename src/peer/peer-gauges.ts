/** The gauges in which a connection is counted for as long as it lives, by what it is at the time. */

import { SocketType } from '../core/enums.ts'
import * as C from '../stats/counter-ids.ts'
import type { Counters } from '../stats/counters.ts'

/** What is read of a connection. */
export interface GaugedPeer {
  readonly socketType: SocketType
  readonly connecting: boolean
  readonly endgame: boolean
  readonly amInterested: boolean
  readonly peerInterested: boolean
  readonly amChoking: boolean
  readonly peerChoking: boolean
  readonly ignoresUnchokeSlots: boolean
}

/** There is a new connection: choked, and interested in nothing. */
export function countOpened(counters: Counters, peer: GaugedPeer): void {
  counters.inc(socketGauge(peer.socketType))
  counters.inc(peer.connecting ? C.PEER_NUM_PEERS_HALF_OPEN : C.PEER_NUM_PEERS_CONNECTED)
}

/** It is not `connecting` any more. */
export function countConnected(counters: Counters): void {
  counters.inc(C.PEER_NUM_PEERS_HALF_OPEN, -1)
  counters.inc(C.PEER_NUM_PEERS_CONNECTED)
}

/** It ends, as it is now: takes it out of every gauge it is in. */
export function countClosed(counters: Counters, peer: GaugedPeer): void {
  counters.inc(socketGauge(peer.socketType), -1)
  counters.inc(peer.connecting ? C.PEER_NUM_PEERS_HALF_OPEN : C.PEER_NUM_PEERS_CONNECTED, -1)
  if (peer.endgame) counters.inc(C.PEER_NUM_PEERS_END_GAME, -1)
  if (peer.amInterested) counters.inc(C.PEER_NUM_PEERS_DOWN_INTERESTED, -1)
  if (peer.peerInterested) counters.inc(C.PEER_NUM_PEERS_UP_INTERESTED, -1)
  if (!peer.amChoking) {
    counters.inc(C.PEER_NUM_PEERS_UP_UNCHOKED_ALL, -1)
    if (!peer.ignoresUnchokeSlots) counters.inc(C.PEER_NUM_PEERS_UP_UNCHOKED, -1)
  }
  if (!peer.peerChoking) counters.inc(C.PEER_NUM_PEERS_DOWN_UNCHOKED, -1)
}

/** The gauge of sockets of a kind; there is none for WebRTC. */
function socketGauge(kind: SocketType): number {
  return C.PEER_NUM_TCP_PEERS + (kind > SocketType.rtc ? kind - 1 : kind)
}
