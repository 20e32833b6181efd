/** A listen socket's association with a SOCKS5 proxy: the connection that keeps the proxy relaying its datagrams. */

import type { AlertQueue } from '../alert/alert-queue.ts'
import { Socks5Alert } from '../alert/session-alerts.ts'
import { type Endpoint, isUnspecified, isV4 } from '../core/endpoint.ts'
import { ErrorCode, errnoError, genericCategory, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { ProxyOptions, Runtime, Stream, TimerHandle } from '../core/runtime.ts'
import type { Turn } from '../core/turn.ts'
import { type AssociateOutcome, Socks5Associate } from '../net/socks5-associate.ts'

/** What an association needs of the session. */
export interface AssociationPort {
  readonly runtime: Runtime
  readonly turn: Turn
  readonly alerts: AlertQueue
}

/** The socket whose datagrams are relayed. */
export interface AssociatedSocket {
  readonly local: Endpoint
  canRoute(address: string): boolean
}

const DEADLINE_MS = 10_000
const KEEP_ALIVE_MS = 30_000
const MAX_FAILURES = 200

/** Seconds until the next attempt. */
function retryDelay(failures: number): number {
  return Math.min(120, Math.floor((failures * failures) / 2)) + 5
}

/** Keeps up the association, or tries to, until it is closed. */
export class Socks5Association {
  readonly #port: AssociationPort
  readonly #proxy: ProxyOptions
  readonly #socket: AssociatedSocket
  readonly #tellsLocal: boolean
  #stream: Stream | null = null
  #relay: Endpoint | null = null
  /** Of the attempt, or until the next one. */
  #timer: TimerHandle | null = null
  #failures = 0
  #closed = false

  /** @param tellsLocal tells the proxy where the socket is bound */
  constructor(port: AssociationPort, proxy: ProxyOptions, socket: AssociatedSocket, tellsLocal: boolean) {
    this.#port = port
    this.#proxy = proxy
    this.#socket = socket
    this.#tellsLocal = tellsLocal
    this.#lookUp()
  }

  /** Where wrapped packets go to and come from; `null` while the proxy relays none. */
  get relay(): Endpoint | null {
    return this.#relay
  }

  close(): void {
    this.#closed = true
    this.#drop()
  }

  #lookUp(): void {
    this.#port.runtime.resolver.resolve(this.#proxy.hostname, { abortOnShutdown: true }, (error, addresses) =>
      this.#enter(() => this.#resolved(error, addresses)),
    )
  }

  #resolved(error: ErrorCode | null, addresses: readonly string[]): void {
    const { local } = this.#socket
    if (error !== null) {
      if (!error.equals(errnoError('ECANCELED'))) this.#failed(local, Operation.hostnameLookup, error)
      return
    }
    // Deviation: a socket that reaches everything through the proxy does not reach the proxy itself over another
    // family. libtorrent takes the first address all the same, and then cannot bind.
    const address = addresses.find(a => isV4(a) === isV4(local[0]) && this.#socket.canRoute(a))
    if (address === undefined) {
      this.#failed(local, Operation.hostnameLookup, generic('EHOSTUNREACH'))
      return
    }
    this.#connect([address, this.#proxy.port])
  }

  #connect(proxy: Endpoint): void {
    const { local } = this.#socket
    let connected = false
    const stream = this.#port.runtime.connect({
      to: proxy,
      local: isUnspecified(local[0]) ? null : [local[0], 0],
      keepAliveMs: KEEP_ALIVE_MS,
    })
    const associate = new Socks5Associate(
      {
        username: this.#proxy.username,
        password: this.#proxy.password,
        proxy,
        local: this.#tellsLocal ? local : null,
      },
      bytes => stream.write([bytes]),
    )
    this.#stream = stream
    // Deviation: libtorrent's limit ends with the connection; a proxy that then says nothing is never given up.
    this.#after(DEADLINE_MS, () =>
      this.#failed(
        proxy,
        connected ? Operation.handshake : Operation.connect,
        libtorrentError(LibtorrentErrors.timedOut),
      ),
    )
    stream.setHandler({
      onConnect: () =>
        this.#enter(() => {
          connected = true
          associate.start()
        }),
      onData: chunk =>
        this.#enter(() => {
          if (this.#relay !== null) return
          const outcome = associate.receive(chunk)
          if (outcome !== null) this.#answered(proxy, outcome)
        }),
      onDrain: () => {},
      onClose: (error, operation) =>
        this.#enter(() => {
          if (this.#relay !== null) this.#hungUp(proxy, error)
          else this.#failed(proxy, connected ? Operation.handshake : operation, error)
        }),
    })
  }

  #answered(proxy: Endpoint, outcome: AssociateOutcome): void {
    if (outcome.relay === null) {
      this.#refused(proxy, outcome.error, outcome.final)
    } else if (isV4(outcome.relay[0]) !== isV4(this.#socket.local[0])) {
      this.#failed(proxy, Operation.handshake, generic('EAFNOSUPPORT'))
    } else {
      this.#timer?.cancel()
      this.#failures = 0
      this.#relay = outcome.relay
    }
  }

  /** Deviation: libtorrent takes a wrong login and a refused association without a word, and asks for neither again. */
  #refused(proxy: Endpoint, error: ErrorCode, final: boolean): void {
    if (!final) {
      this.#failed(proxy, Operation.handshake, error)
      return
    }
    this.#drop()
    this.#tell(proxy, Operation.handshake, error)
  }

  /** The proxy relays as long as the connection lasts. */
  #hungUp(proxy: Endpoint, error: ErrorCode): void {
    this.#tell(proxy, Operation.sockRead, error)
    this.#retry()
  }

  #failed(at: Endpoint, operation: Operation, error: ErrorCode): void {
    this.#tell(at, operation, error)
    this.#failures = Math.min(MAX_FAILURES, this.#failures + 1)
    this.#retry()
  }

  #retry(): void {
    this.#drop()
    this.#after(retryDelay(this.#failures) * 1000, () => this.#lookUp())
  }

  #drop(): void {
    this.#timer?.cancel()
    this.#stream?.close()
    this.#stream = null
    this.#relay = null
  }

  #after(ms: number, fn: () => void): void {
    this.#timer = this.#port.runtime.setTimer(ms, () => this.#enter(fn))
  }

  #enter(fn: () => void): void {
    this.#port.turn.run('socks5', () => {
      if (!this.#closed) fn()
    })
  }

  #tell(at: Endpoint, operation: Operation, error: ErrorCode): void {
    const { alerts } = this.#port
    if (alerts.wants(Socks5Alert)) alerts.post(new Socks5Alert(at, operation, error))
  }
}

function generic(name: string): ErrorCode {
  return new ErrorCode(errnoError(name).value(), genericCategory())
}
