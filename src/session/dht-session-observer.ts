/** What the DHT tells its session, made alerts of. */

import type { AlertQueue } from '../alert/alert-queue.ts'
import {
  DhtAnnounceAlert,
  DhtGetPeersAlert,
  DhtLogAlert,
  DhtOutgoingGetPeersAlert,
  DhtPktAlert,
} from '../alert/dht-alerts.ts'
import { tryBdecode } from '../bencode/bdecode.ts'
import { printEntry } from '../bencode/print-entry.ts'
import type { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { DhtModule } from '../core/enums.ts'
import type { DhtObserver } from '../dht/dht-observer.ts'
import type { DhtPacketSocket } from '../dht/dht-socket.ts'
import type { ListenSocket } from './listen-sockets.ts'

/** A listen socket, as a DHT node uses it. */
export class DhtListenSocket implements DhtPacketSocket {
  readonly socket: ListenSocket
  readonly local: Endpoint
  readonly #external: () => string

  /** @param external our address as others see it */
  constructor(socket: ListenSocket, local: Endpoint, external: () => string) {
    this.socket = socket
    this.local = local
    this.#external = external
  }

  externalAddress(): string {
    return this.#external()
  }

  sendDht(packet: Uint8Array, to: Endpoint, isAnswer: boolean): boolean {
    return this.socket.send(packet, to, 'other', isAnswer) === null
  }
}

/** What the observer needs beside alerts. */
export interface DhtObserverPort {
  readonly alerts: AlertQueue
  /** A node says what our address is. */
  voteExternalAddress(socket: ListenSocket, address: string, voter: string): void
}

export class DhtSessionObserver implements DhtObserver {
  readonly answersRequests = false
  readonly #port: DhtObserverPort

  constructor(port: DhtObserverPort) {
    this.#port = port
  }

  shouldLog(_module: DhtModule): boolean {
    return this.#port.alerts.wants(DhtLogAlert)
  }

  log(module: DhtModule, text: string): void {
    this.#port.alerts.post(new DhtLogAlert(module, text))
  }

  logPacket(incoming: boolean, packet: Uint8Array, node: Endpoint): void {
    const { alerts } = this.#port
    if (!alerts.wants(DhtPktAlert)) return
    const { incoming: came, outgoing } = DhtPktAlert.Direction
    alerts.post(new DhtPktAlert(packet.slice(), incoming ? came : outgoing, node, describePacket))
  }

  setExternalAddress(socket: DhtPacketSocket, address: string, source: string): void {
    this.#port.voteExternalAddress((socket as DhtListenSocket).socket, address, source)
  }

  getListenPort(ssl: boolean, socket: DhtPacketSocket): number {
    const { proxied, listenPort } = (socket as DhtListenSocket).socket
    // through a proxy nobody can connect to us; TLS listeners are not there yet
    return ssl || proxied ? 0 : listenPort
  }

  getPeers(infoHash: Sha1Hash): void {
    const { alerts } = this.#port
    if (alerts.wants(DhtGetPeersAlert)) alerts.post(new DhtGetPeersAlert(infoHash))
  }

  outgoingGetPeers(target: Sha1Hash, sentTarget: Sha1Hash, to: Endpoint): void {
    const { alerts } = this.#port
    if (alerts.wants(DhtOutgoingGetPeersAlert)) alerts.post(new DhtOutgoingGetPeersAlert(target, sentTarget, to))
  }

  announce(infoHash: Sha1Hash, address: string, port: number): void {
    const { alerts } = this.#port
    if (alerts.wants(DhtAnnounceAlert)) alerts.post(new DhtAnnounceAlert(address, port, infoHash))
  }

  onDhtRequest(): null {
    return null
  }
}

/** Of a broken packet, what can be read. */
function describePacket(packet: Uint8Array): string {
  return printEntry(tryBdecode(packet, { depth: 100, tokens: 100 }).node, true)
}
