/** The engine's view of the world, on Node. */

import type { Endpoint } from '../core/endpoint.ts'
import { ProxyType, SocketType } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import type {
  ConnectOptions,
  Datagram,
  DatagramHandler,
  HttpClient,
  Listener,
  ListenHandler,
  MulticastOptions,
  NetworkInterface,
  Runtime,
  Stream,
  TimerHandle,
} from '../core/runtime.ts'
import { NodeClock, NodeRng, NodeTimer } from './node-clock.ts'
import { bindMulticastOnNode, bindOnNode } from './node-datagram.ts'
import { NodeHttpClient } from './node-http.ts'
import { nodeInterfaces } from './node-interfaces.ts'
import { connectThroughProxy } from './node-proxy.ts'
import { type LookupFunction, NodeResolver } from './node-resolver.ts'
import { listenOnNode, NodeStream } from './node-stream.ts'

export interface NodeRuntimeOptions {
  /** Instead of the system's name resolution. */
  readonly lookup?: LookupFunction
}

class NodeRuntime implements Runtime {
  readonly clock = new NodeClock()
  readonly rng = new NodeRng()
  readonly resolver: NodeResolver
  readonly http: HttpClient

  constructor(options: NodeRuntimeOptions) {
    this.resolver = new NodeResolver(this.clock, options.lookup)
    this.http = new NodeHttpClient(this.resolver)
  }

  setTimer(delayMs: number, fn: () => void): TimerHandle {
    return new NodeTimer(delayMs, fn)
  }

  defer(fn: () => void): void {
    queueMicrotask(fn)
  }

  afterPoll(fn: () => void): void {
    setImmediate(fn)
  }

  connect(options: ConnectOptions): Stream {
    const proxy = options.proxy ?? null
    if (proxy !== null && proxy.type !== ProxyType.none) return connectThroughProxy(options, proxy)
    const stream = new NodeStream(SocketType.tcp, options.to)
    stream.connect(options)
    return stream
  }

  listen(
    at: Endpoint,
    handler: ListenHandler,
    done: (error: ErrorCode | null, listener: Listener | null) => void,
  ): void {
    listenOnNode(at, handler, done)
  }

  bindDatagram(
    at: Endpoint,
    handler: DatagramHandler,
    done: (error: ErrorCode | null, socket: Datagram | null) => void,
  ): void {
    bindOnNode(at, handler, done)
  }

  bindMulticast(
    options: MulticastOptions,
    handler: DatagramHandler,
    done: (error: ErrorCode | null, socket: Datagram | null) => void,
  ): void {
    bindMulticastOnNode(options, handler, done)
  }

  interfaces(): readonly NetworkInterface[] {
    return nodeInterfaces()
  }
}

/**
 * Sockets, timers and names of this process.
 *
 * It holds nothing open by itself: what keeps the process alive are the sockets, timers and requests
 * made through it, until they are closed.
 */
export function createNodeRuntime(options: NodeRuntimeOptions = {}): Runtime {
  return new NodeRuntime(options)
}
