/** What the DHT tells its session, and asks of it. */

import type { BdecodeNode } from '../bencode/bdecode-node.ts'
import type { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { DhtLog } from './dht-log.ts'
import type { DhtPacketSocket } from './dht-socket.ts'

/** The session, as the DHT sees it. */
export interface DhtObserver extends DhtLog {
  /** A packet came or goes. @param packet borrowed */
  logPacket(incoming: boolean, packet: Uint8Array, node: Endpoint): void
  /** A node says what our address is. @param source the node's address */
  setExternalAddress(socket: DhtPacketSocket, address: string, source: string): void
  /** The port on which peers are accepted, 0 for none. */
  getListenPort(ssl: boolean, socket: DhtPacketSocket): number
  /** Somebody asks for the peers of a swarm. */
  getPeers(infoHash: Sha1Hash): void
  /** We ask for the peers of a swarm. @param sentTarget what is really sent, see `dht_privacy_lookups` */
  outgoingGetPeers(target: Sha1Hash, sentTarget: Sha1Hash, to: Endpoint): void
  /** Somebody says that it is in a swarm. */
  announce(infoHash: Sha1Hash, address: string, port: number): void
  /** Queries may be answered by somebody else: only then `onDhtRequest` is called. */
  readonly answersRequests: boolean
  /**
   * A query came in, before it is dealt with.
   *
   * @returns what to answer instead of the DHT's own answer: the value of `r`, bencoded; `null` for none
   */
  onDhtRequest(query: string, from: Endpoint, request: BdecodeNode): Uint8Array | null
}
