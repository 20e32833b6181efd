/** What rate limits and peer classes mean to one connection. */

import type { TorrentId } from '../core/brands.ts'
import type { PeerConnection } from './peer-connection.ts'

/**
 * The rate limits a connection is under. Implemented by the session over its bandwidth channels.
 *
 * What was received cannot be taken back: it is charged, and reading pauses until the debt is paid. What
 * is sent takes its quota first.
 */
export interface RateQuota {
  /** The peer's class is exempt from upload slots. */
  readonly ignoreUnchokeSlots: boolean
  /** By how much its class counts against the limits of connections, in percent: with 200 half as many are taken. Above 0. */
  readonly connectionLimitFactor: number
  /** False while the connection owes for what it received. */
  readonly mayReceive: boolean
  /** Bytes per second cap for the request window; `Infinity` without a limit. */
  readonly downloadLimit: number
  attach(peer: PeerConnection): void
  /** The torrent of an incoming connection is known: its limits apply too. */
  joined(torrentId: TorrentId): void
  /** The connection is closed, or was never made. */
  detach(): void
  received(peer: PeerConnection, bytes: number): void
  sent(peer: PeerConnection, bytes: number): void
  /** How many bytes may be sent now; less than 1: the link is told by `resumeSending` when there is more. */
  sendQuota(peer: PeerConnection, wanted: number): number
}
