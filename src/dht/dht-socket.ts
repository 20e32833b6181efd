/** The socket of one DHT node. */

import type { Endpoint } from '../core/endpoint.ts'

/** A bound UDP socket that the DHT may use; the session owns it. */
export interface DhtPacketSocket {
  readonly local: Endpoint
  /** Our address as others see it; unspecified (`0.0.0.0`, `::`) while it is not known. */
  externalAddress(): string
  /**
   * @param packet copied before return
   * @param isAnswer see `Datagram.send`
   * @returns false if it cannot leave
   */
  sendDht(packet: Uint8Array, to: Endpoint, isAnswer: boolean): boolean
}
