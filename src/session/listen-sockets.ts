/** The sockets a session listens on, TCP for peers and UDP for trackers, as `listen_interfaces` asks for. */

import type { AlertQueue } from '../alert/alert-queue.ts'
import { ListenFailedAlert, ListenSucceededAlert, UdpErrorAlert } from '../alert/session-alerts.ts'
import { type Endpoint, isLoopback, isUnspecified, isV4, parseAddress } from '../core/endpoint.ts'
import { SocketType } from '../core/enums.ts'
import { type ErrorCode, errnoError, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { Datagram, Listener, Runtime, Stream } from '../core/runtime.ts'
import type { Turn } from '../core/turn.ts'
import { type ListenInterface, parseListenInterfaces } from '../net/listen-interfaces.ts'
import { acceptsIncoming } from '../net/proxy.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import type { TrackerSocket } from '../tracker/announce-request.ts'

/** What the listen sockets need of the session. */
export interface ListenPort {
  readonly runtime: Runtime
  readonly turn: Turn
  readonly settings: SessionSettings
  readonly alerts: AlertQueue
  accepted(stream: Stream, socket: ListenSocket): void
  packet(packet: Uint8Array, from: Endpoint, socket: ListenSocket): void
  /** The set of sockets is another one now. */
  changed(): void
}

const EADDRINUSE = 98
const ANY_V4 = '0.0.0.0'

/** One place to listen: a TCP listener and a UDP socket on the same port. */
export class ListenSocket implements TrackerSocket {
  local: Endpoint
  readonly ssl: boolean
  /** Peers come and go through a proxy only: it takes no connections, and reaches all that the proxy can. */
  readonly proxied: boolean
  open = true
  listenPort = 0
  listener: Listener | null = null
  udp: Datagram | null = null

  constructor(local: Endpoint, ssl: boolean, proxied: boolean) {
    this.local = local
    this.ssl = ssl
    this.proxied = proxied
  }

  canRoute(address: string): boolean {
    if (this.proxied) return true
    const own = this.local[0]
    if (isV4(own) !== isV4(address)) return false
    if (isUnspecified(own)) return true
    return isLoopback(own) === isLoopback(address)
  }
}

export class ListenSockets {
  readonly #port: ListenPort
  #sockets: ListenSocket[] = []
  #version = 1
  /** Bind attempts that have not answered; those of an older opening are closed when they do. */
  #opening = 0
  #run = 0
  #closed = false

  constructor(port: ListenPort) {
    this.#port = port
  }

  get sockets(): readonly ListenSocket[] {
    return this.#sockets
  }

  get version(): number {
    return this.#version
  }

  /** Still waiting for the outcome of binding. */
  get pending(): boolean {
    return this.#opening > 0
  }

  /** Closes what is open and opens what the settings say. */
  reopen(): void {
    if (this.#closed) return
    this.#closeAll()
    const run = ++this.#run
    const { settings } = this.#port
    const { interfaces, errors } = parseListenInterfaces(settings.listenInterfaces)
    for (const text of errors) {
      this.#failed(
        text,
        ['0.0.0.0', 0],
        Operation.parseAddress,
        libtorrentError(LibtorrentErrors.invalidPort),
        SocketType.tcp,
      )
    }
    if (!acceptsIncoming(settings)) {
      // one socket, on a port that stays the same from session to session
      const entry: ListenInterface = { device: ANY_V4, port: interfaces[0]?.port ?? 0, ssl: false, local: false }
      this.#open(run, entry, [ANY_V4, entry.port], settings.maxRetryPortBind)
      this.#changed()
      return
    }
    const seen = new Set<string>()
    for (const entry of interfaces) {
      for (const address of this.#addressesOf(entry)) {
        const key = `${address}:${entry.port}`
        if (seen.has(key) && entry.port !== 0) continue
        seen.add(key)
        if (entry.ssl) {
          // TLS listeners are not there yet: saying nothing would make peers try in vain
          this.#failed(
            entry.device,
            [address, entry.port],
            Operation.sockListen,
            errnoError('EOPNOTSUPP'),
            SocketType.tcpSsl,
          )
          continue
        }
        this.#open(run, entry, [address, entry.port], settings.maxRetryPortBind)
      }
    }
    this.#changed()
  }

  close(): void {
    this.#closed = true
    this.#run++
    this.#closeAll()
  }

  #addressesOf(entry: ListenInterface): string[] {
    const address = parseAddress(entry.device)
    if (address !== null) return [address]
    const found = this.#port.runtime
      .interfaces()
      .filter(i => i.name === entry.device)
      .map(i => i.address)
    if (found.length === 0) {
      this.#failed(entry.device, ['0.0.0.0', entry.port], Operation.enumIf, errnoError('ENODEV'), SocketType.tcp)
    }
    return found
  }

  #open(run: number, entry: ListenInterface, at: Endpoint, retries: number): void {
    const { runtime, turn, settings } = this.#port
    const proxied = !acceptsIncoming(settings)
    if (!settings.enableIncomingTcp || proxied) {
      this.#openUdp(run, entry, new ListenSocket(at, entry.ssl, proxied), at, retries)
      return
    }
    this.#opening++
    let listener: Listener | null = null
    let socket: ListenSocket | null = null
    runtime.listen(
      at,
      {
        onAccept: stream =>
          turn.run('accept', () => {
            if (socket?.open) this.#port.accepted(stream, socket)
            else stream.close()
          }),
        onError: (error, operation) =>
          turn.run('listen', () => {
            if (socket !== null) this.#lost(socket, error, operation)
          }),
      },
      (error, opened) =>
        turn.run('listen', () => {
          this.#opening--
          listener = opened
          if (run !== this.#run) {
            listener?.close()
            return
          }
          if (error !== null || listener === null) {
            this.#retry(run, entry, at, retries, error ?? errnoError('EADDRINUSE'), SocketType.tcp)
            return
          }
          socket = new ListenSocket(listener.local, entry.ssl, false)
          socket.listener = listener
          socket.listenPort = listener.local[1]
          this.#succeeded(listener.local, SocketType.tcp)
          this.#openUdp(run, entry, socket, listener.local, 0)
        }),
    )
  }

  #retry(run: number, entry: ListenInterface, at: Endpoint, retries: number, error: ErrorCode, type: SocketType): void {
    const { settings } = this.#port
    const [address, port] = at
    const inUse = error.value() === EADDRINUSE
    if (inUse && retries > 0 && port !== 0) this.#open(run, entry, [address, port + 1], retries - 1)
    else if (inUse && settings.listenSystemPortFallback && port !== 0) this.#open(run, entry, [address, 0], 0)
    else this.#failed(entry.device, [address, entry.port], Operation.sockBind, error, type)
  }

  #openUdp(run: number, entry: ListenInterface, socket: ListenSocket, at: Endpoint, retries: number): void {
    const { runtime, turn, alerts } = this.#port
    this.#opening++
    runtime.bindDatagram(
      at,
      {
        onPacket: (packet, from) => {
          turn.enter()
          try {
            if (socket.open) this.#port.packet(packet, from, socket)
          } catch (error) {
            turn.crash(error, 'udp')
          } finally {
            turn.leave()
          }
        },
        onError: (error, operation, fatal) =>
          turn.run('udp', () => {
            if (alerts.wants(UdpErrorAlert)) alerts.post(new UdpErrorAlert(socket.local, operation, error))
            if (fatal) socket.udp = null
          }),
        onWritable: () => {},
      },
      (error, udp) =>
        turn.run('bind', () => {
          this.#opening--
          if (run !== this.#run) {
            udp?.close()
            socket.listener?.close()
            return
          }
          if (error !== null || udp === null) {
            const why = error ?? errnoError('EADDRINUSE')
            if (socket.listener === null) this.#retry(run, entry, at, retries, why, SocketType.utp)
            else this.#failed(entry.device, at, Operation.sockBind, why, SocketType.utp)
          } else {
            socket.udp = udp
            if (socket.listener === null) socket.local = udp.local
            this.#succeeded(udp.local, SocketType.utp)
          }
          if (socket.udp !== null || socket.listener !== null) {
            this.#sockets = [...this.#sockets, socket]
            this.#changed()
          }
        }),
    )
  }

  #lost(socket: ListenSocket, error: ErrorCode, operation: Operation): void {
    socket.open = false
    socket.udp?.close()
    this.#sockets = this.#sockets.filter(s => s !== socket)
    this.#failed(socket.local[0], socket.local, operation, error, SocketType.tcp)
    this.#changed()
  }

  #succeeded(at: Endpoint, type: SocketType): void {
    const { alerts } = this.#port
    if (alerts.wants(ListenSucceededAlert)) alerts.post(new ListenSucceededAlert(at[0], at[1], type))
  }

  #failed(device: string, at: Endpoint, operation: Operation, error: ErrorCode, type: SocketType): void {
    const { alerts } = this.#port
    if (alerts.wants(ListenFailedAlert))
      alerts.post(new ListenFailedAlert(device, at[0], at[1], operation, error, type))
  }

  #closeAll(): void {
    for (const socket of this.#sockets) {
      socket.open = false
      socket.listener?.close()
      socket.udp?.close()
    }
    this.#sockets = []
  }

  #changed(): void {
    this.#version++
    this.#port.changed()
  }
}
