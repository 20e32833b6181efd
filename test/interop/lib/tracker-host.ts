/** A tracker manager on real sockets: what a session has of it, and no more. */

import type { Endpoint } from '../../../src/core/endpoint.ts'
import { isV4 } from '../../../src/core/endpoint.ts'
import type { ErrorCode } from '../../../src/core/error-code.ts'
import { errnoError } from '../../../src/core/error-code.ts'
import { operationName } from '../../../src/core/operation.ts'
import type { Datagram, Runtime, TimerHandle } from '../../../src/core/runtime.ts'
import { createNodeRuntime } from '../../../src/runtime/node-runtime.ts'
import { SessionSettings } from '../../../src/settings/session-settings.ts'
import type {
  TrackerRequest,
  TrackerRequester,
  TrackerResponse,
  TrackerSocket,
} from '../../../src/tracker/announce-request.ts'
import { TrackerManager } from '../../../src/tracker/tracker-manager.ts'

/** What came of a request. */
export interface Outcome {
  readonly response: TrackerResponse | null
  /** complete, incomplete, downloaded */
  readonly scrape: readonly [number, number, number] | null
  readonly error: ErrorCode | null
  readonly message: string
  readonly trackerIp: string | null
}

export class HostSocket implements TrackerSocket {
  readonly ssl = false
  open = true
  readonly local: Endpoint
  readonly listenPort: number

  constructor(local: Endpoint, listenPort: number) {
    this.local = local
    this.listenPort = listenPort
  }

  canRoute(address: string): boolean {
    return isV4(address) === isV4(this.local[0])
  }
}

export class TrackerHost {
  readonly settings = new SessionSettings()
  readonly runtime: Runtime = createNodeRuntime()
  readonly manager: TrackerManager
  readonly sockets: HostSocket[] = []
  readonly #datagrams = new Map<TrackerSocket, Datagram>()
  #timer: TimerHandle | null = null
  readonly idle: Promise<void>

  constructor(settings: Partial<SessionSettings> = {}) {
    Object.assign(this.settings, settings)
    let told = () => {}
    this.idle = new Promise(resolve => (told = resolve))
    const { http, resolver, rng, clock } = this.runtime
    this.manager = new TrackerManager(this.settings, {
      http,
      resolver,
      rng,
      now: () => clock.now(),
      defer: fn => this.runtime.defer(fn),
      turn: fn => fn(),
      sendUdp: (socket, to, packet) =>
        this.#datagrams.get(socket)?.send(packet, to) === true ? null : errnoError('EAGAIN'),
      sendUdpToHost: () => errnoError('EAFNOSUPPORT'),
      sentBytes: () => {},
      receivedBytes: () => {},
      queueLength: () => {},
      idle: () => told(),
    })
    this.#tick()
  }

  /** Binds a UDP socket. @param listenPort the port to announce */
  bind(address: string, listenPort: number): Promise<HostSocket> {
    return new Promise((resolve, reject) => {
      const handler = {
        onPacket: (packet: Uint8Array, from: Endpoint) => void this.manager.incomingPacket(from, packet),
        onError: () => {},
        onWritable: () => {},
      }
      this.runtime.bindDatagram([address, 0], handler, (error, datagram) => {
        if (datagram === null) return reject(new Error(error?.message()))
        const socket = new HostSocket([address, datagram.local[1]], listenPort)
        this.#datagrams.set(socket, datagram)
        this.sockets.push(socket)
        resolve(socket)
      })
    })
  }

  ask(request: TrackerRequest): Promise<Outcome> {
    return new Promise(resolve => {
      const nothing = { response: null, scrape: null, error: null, message: '', trackerIp: null }
      let warning = ''
      const requester: TrackerRequester = {
        trackerWarning: (_request, message) => {
          warning = message
        },
        trackerResponse: (_request, trackerIp, _ips, response) =>
          resolve({ ...nothing, response, trackerIp, message: warning }),
        trackerScrapeResponse: (_request, complete, incomplete, downloaded) =>
          resolve({ ...nothing, scrape: [complete, incomplete, downloaded] }),
        trackerRequestError: (_request, error, operation, message) =>
          resolve({ ...nothing, error, message: message === '' ? operationName(operation) : message }),
      }
      this.manager.queueRequest(request, requester)
    })
  }

  async close(): Promise<void> {
    this.manager.stop()
    await this.idle
    this.#timer?.cancel()
    for (const datagram of this.#datagrams.values()) datagram.close()
  }

  #tick(): void {
    this.manager.tick(this.runtime.clock.now())
    this.#timer = this.runtime.setTimer(250, () => this.#tick())
  }
}
