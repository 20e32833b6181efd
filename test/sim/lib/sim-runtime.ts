/** A `Runtime` on virtual time: one host's view of a simulated world. */

import type { Endpoint } from '../../../src/core/endpoint.ts'
import { isLoopback } from '../../../src/core/endpoint.ts'
import type { ErrorCode } from '../../../src/core/error-code.ts'
import type { Rng } from '../../../src/core/rng.ts'
import type {
  ConnectOptions,
  Datagram,
  DatagramHandler,
  Listener,
  ListenHandler,
  MulticastOptions,
  NetworkInterface,
  Runtime,
  Stream,
  TimerHandle,
} from '../../../src/core/runtime.ts'
import type { SimClock } from './sim-clock.ts'
import { bindInSim } from './sim-datagram.ts'
import { SimHttpClient, type SimHttpServers } from './sim-http.ts'
import { joinInSim } from './sim-multicast.ts'
import { prefixLength, type SimHost, type SimNetwork } from './sim-network.ts'
import { type SimNames, SimResolver } from './sim-resolver.ts'
import { connectInSim, listenInSim } from './sim-stream.ts'

export class SimRuntime implements Runtime {
  readonly host: SimHost
  readonly clock: SimClock
  readonly rng: Rng
  readonly resolver: SimResolver
  readonly http: SimHttpClient
  readonly #net: SimNetwork
  readonly #cuts: Rng

  constructor(net: SimNetwork, host: SimHost, rng: Rng, names: SimNames, servers: SimHttpServers) {
    this.host = host
    this.clock = net.clock
    this.rng = rng.fork('engine')
    this.#cuts = rng.fork('cuts')
    this.resolver = new SimResolver(net.clock, names)
    this.http = new SimHttpClient(net, rng.fork('http'), host, this.resolver, servers)
    this.#net = net
  }

  setTimer(delayMs: number, fn: () => void): TimerHandle {
    return this.clock.after(delayMs, fn)
  }

  defer(fn: () => void): void {
    this.clock.defer(fn)
  }

  afterPoll(fn: () => void): void {
    this.clock.afterPoll(fn)
  }

  connect(options: ConnectOptions): Stream {
    return connectInSim(this.#net, this.#cuts, this.host, options)
  }

  listen(
    at: Endpoint,
    handler: ListenHandler,
    done: (error: ErrorCode | null, listener: Listener | null) => void,
  ): void {
    listenInSim(this.#net, this.host, at, handler, done)
  }

  bindDatagram(
    at: Endpoint,
    handler: DatagramHandler,
    done: (error: ErrorCode | null, socket: Datagram | null) => void,
  ): void {
    bindInSim(this.#net, this.host, at, handler, done)
  }

  bindMulticast(
    options: MulticastOptions,
    handler: DatagramHandler,
    done: (error: ErrorCode | null, socket: Datagram | null) => void,
  ): void {
    joinInSim(this.#net, this.host, options, handler, done)
  }

  interfaces(): readonly NetworkInterface[] {
    return ['127.0.0.1', '::1', ...this.host.addresses].map(address => ({
      name: isLoopback(address) ? 'lo' : 'eth0',
      address,
      prefixLength: prefixLength(address),
      loopback: isLoopback(address),
      internet: !isLoopback(address),
    }))
  }
}
