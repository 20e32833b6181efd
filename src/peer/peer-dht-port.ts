/**
 * The `port` message: two peers that are DHT nodes too tell each other where their nodes listen.
 *
 * @see BEP 5 ("BitTorrent Protocol Extension")
 */

import * as C from '../stats/counter-ids.ts'
import { encodeDhtPort } from '../wire/message-encoder.ts'
import type { PeerConnection } from './peer-connection.ts'

export class PeerDhtPort {
  readonly #peer: PeerConnection
  #supported = false
  /** Our port is told once, after what pieces we have. */
  #due = false
  #sent = false

  constructor(peer: PeerConnection) {
    this.#peer = peer
  }

  /** @param supported as the handshake says */
  onHandshake(supported: boolean): void {
    this.#supported = supported
  }

  /** The peer knows what we have: it may be told more. */
  afterBitfield(): void {
    this.#due = true
    if (this.#supported) this.#send()
  }

  /** The peer tells its port; that also says that it wants ours. */
  onPort(port: number): void {
    const { session, endpoint } = this.#peer
    session.counters.inc(C.SES_NUM_INCOMING_DHT_PORT)
    session.dhtPortReceived(endpoint[0], port)
    this.#supported = true
    if (this.#due) this.#send()
  }

  #send(): void {
    const peer = this.#peer
    if (this.#sent || peer.disconnecting) return
    this.#sent = true
    const port = peer.session.dhtPort(peer.link.local[0])
    if (port < 0) return
    encodeDhtPort(peer.link.out(), port)
    peer.session.counters.inc(C.SES_NUM_OUTGOING_DHT_PORT)
  }
}
