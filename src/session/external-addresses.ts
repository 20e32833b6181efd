/** What our addresses are as seen from outside: one vote for each listen socket. @see BEP 24, BEP 10 (`yourip`) */

import type { AlertQueue } from '../alert/alert-queue.ts'
import { ExternalIpAlert } from '../alert/session-alerts.ts'
import {
  type Endpoint,
  endpointToString,
  isLocal,
  isLoopback,
  isUnspecified,
  isV4,
  isV6,
  parseAddress,
} from '../core/endpoint.ts'
import type { Rng } from '../core/rng.ts'
import type { Turn } from '../core/turn.ts'
import { type IpSource, IpVoter } from '../net/ip-voter.ts'
import { logSession } from './session-log.ts'

/** A listen socket, as far as it matters here. Known by its identity. */
export interface VotingSocket {
  readonly local: Endpoint
  /** What is said about it is said about a proxy. */
  readonly proxied: boolean
}

/** What the votes need of the session. */
export interface ExternalAddressPort<S extends VotingSocket> {
  readonly turn: Turn
  readonly rng: Rng
  readonly alerts: AlertQueue
  sockets(): readonly S[]
}

/** Called when a listen socket has another external address than before. */
export type ExternalAddressListener<S> = (socket: S, address: string) => void

export class ExternalAddresses<S extends VotingSocket> {
  readonly #port: ExternalAddressPort<S>
  readonly #voters = new WeakMap<S, IpVoter>()
  readonly #listeners = new Set<ExternalAddressListener<S>>()
  #made = 0

  constructor(port: ExternalAddressPort<S>) {
    this.#port = port
  }

  /** Has `listener` told of changes. They come inside a turn. @returns takes it away */
  onChanged(listener: ExternalAddressListener<S>): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** What others say the address of a socket is; `null` while nobody has said anything. */
  of(socket: S): string | null {
    return this.#voters.get(socket)?.externalAddress() ?? null
  }

  /**
   * Somebody we talk to says what our address is.
   *
   * @param local our end of the connection: it tells which listen socket is meant
   * @param voter who says so; empty, or no address, if a proxy hides that
   */
  vote(local: Endpoint, address: string, source: IpSource, voter: string): void {
    const socket = this.#socketAt(local[0])
    if (socket !== null) this.voteFor(socket, address, source, voter)
  }

  /** The same, where the socket is known. */
  voteFor(socket: S, address: string, source: IpSource, voter: string): void {
    const said = parseAddress(address)
    const by = parseAddress(voter)
    if (said === null || by === null || isUnspecified(by)) return
    const { turn, alerts } = this.#port
    const voters = this.#votersOf(socket)
    if (!voters.castVote(said, source, by, turn.now)) return
    const external = voters.externalAddress()
    if (external === null) return
    logSession(
      alerts,
      () =>
        `external address updated for ${endpointToString(socket.local)} [ new-ip: ${external} ` +
        `type: ${source} last-voter: ${by} ]`,
    )
    if (alerts.wants(ExternalIpAlert)) alerts.post(new ExternalIpAlert(external))
    for (const listener of this.#listeners) listener(socket, external)
  }

  /**
   * Our address as somebody at `towards` sees it: for him on the local network our own one, else what others say it is,
   * or a public address of ours. `0.0.0.0` or `::` if it is not known.
   */
  towards(towards: string): string {
    const v6 = isV6(towards)
    const local = isLocal(towards)
    const sockets = this.#port.sockets()
    for (const socket of sockets) {
      const external = this.of(socket)
      if (!local && external !== null && isV6(external) === v6) return external
    }
    const own = sockets
      .map(socket => socket.local[0])
      .filter(address => isV6(address) === v6 && !isUnspecified(address))
    const fitting = own.filter(address => isLocal(address) === local)
    // the loopback address is what another machine sees last of all
    return fitting.find(address => isLoopback(address) === isLoopback(towards)) ?? fitting[0] ?? (v6 ? '::' : '0.0.0.0')
  }

  #votersOf(socket: S): IpVoter {
    let voters = this.#voters.get(socket)
    if (voters === undefined) {
      voters = new IpVoter(this.#port.rng.fork(`socket ${this.#made++}`), this.#port.turn.now)
      this.#voters.set(socket, voters)
    }
    return voters
  }

  /** The socket bound to the address; one bound to all addresses of its family, if there is such a one. */
  #socketAt(address: string): S | null {
    const sockets = this.#port.sockets()
    const bound = sockets.find(socket => socket.local[0] === address)
    if (bound !== undefined) return bound
    return (
      sockets.find(({ local, proxied }) => !proxied && isUnspecified(local[0]) && isV4(local[0]) === isV4(address)) ??
      null
    )
  }
}
