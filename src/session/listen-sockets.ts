/** The sockets a session listens on, TCP for peers and UDP for trackers, as `listen_interfaces` asks for. */

import type { AlertQueue } from '../alert/alert-queue.ts'
import { ListenFailedAlert, ListenSucceededAlert, UdpErrorAlert } from '../alert/session-alerts.ts'
import {
  type Endpoint,
  endpointsEqual,
  endpointToString,
  isLoopback,
  isUnspecified,
  isV4,
  isV6,
  parseAddress,
  sameNetwork,
  zoneOf,
} from '../core/endpoint.ts'
import { SocketType } from '../core/enums.ts'
import { ErrorCode, errnoError, genericCategory, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { Datagram, Listener, Runtime, Stream } from '../core/runtime.ts'
import type { Turn } from '../core/turn.ts'
import { type ListenEndpoint, listenEndpoints } from '../net/listen-endpoints.ts'
import { parseListenInterfaces } from '../net/listen-interfaces.ts'
import { acceptsIncoming, type ProxySettings, type ProxyUse, proxyFor, udpOnlyByProxy, udpRoute } from '../net/proxy.ts'
import { unwrapRelayed, wrapForRelay, wrapForRelayByName } from '../net/socks5-udp.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import type { TrackerSocket } from '../tracker/announce-request.ts'
import { logBindFailed, logOpening, logSession } from './session-log.ts'
import { Socks5Association } from './socks5-association.ts'

/** What the listen sockets need of the session. */
export interface ListenPort {
  readonly runtime: Runtime
  readonly turn: Turn
  readonly settings: SessionSettings
  readonly alerts: AlertQueue
  accepted(stream: Stream, socket: ListenSocket): void
  /** @param from `null` if it came through a proxy that knows the sender by name */
  packet(packet: Uint8Array, from: Endpoint | null, socket: ListenSocket): void
  /** A packet could not be delivered. */
  packetError(error: ErrorCode, to: Endpoint): void
  /** The set of sockets is another one now. */
  changed(): void
}

const EADDRINUSE = 98
const ANY_V4 = '0.0.0.0'

/** One place to listen: a TCP listener and a UDP socket on the same port. */
export class ListenSocket implements TrackerSocket {
  local: Endpoint
  readonly ssl: boolean
  /** What it was opened for; the port may be another one in the end. */
  readonly endpoint: ListenEndpoint
  /** Peers come and go through a proxy only: it takes no connections, and reaches all that the proxy can. */
  readonly proxied: boolean
  open = true
  listenPort = 0
  listener: Listener | null = null
  udp: Datagram | null = null
  /** With the SOCKS5 proxy, if there is one. */
  association: Socks5Association | null = null
  readonly #settings: ProxySettings

  constructor(settings: ProxySettings, local: Endpoint, endpoint: ListenEndpoint, proxied: boolean) {
    this.#settings = settings
    this.local = local
    this.endpoint = endpoint
    this.ssl = endpoint.ssl
    this.proxied = proxied
  }

  canRoute(address: string): boolean {
    if (this.proxied) return true
    const own = this.local[0]
    if (isV4(own) !== isV4(address) || zoneOf(own) !== zoneOf(address)) return false
    if (own === address || isUnspecified(own)) return true
    // Deviation: libtorrent lets a loopback address that the user has named try to reach others, in vain
    if (isLoopback(own)) return isLoopback(address)
    return !this.endpoint.localNetwork || sameNetwork(address, own, this.endpoint.prefixLength)
  }

  /**
   * Sends a datagram by the way that the proxy settings demand.
   *
   * @param isAnswer see `Datagram.send`
   * @returns why it cannot leave, else `null`, also if it is lost at once
   */
  send(packet: Uint8Array, to: Endpoint, use: ProxyUse, isAnswer = false): ErrorCode | null {
    const { udp } = this
    if (udp === null) return libtorrentError(LibtorrentErrors.invalidListenSocket)
    if (udpRoute(this.#settings, use) !== 'direct') return this.#sendWrapped(udp, wrapForRelay(to, packet))
    if (isV4(to[0]) !== isV4(udp.local[0])) return errnoError('EAFNOSUPPORT')
    udp.send(packet, to, isAnswer)
    return null
  }

  /** The same to a host that the SOCKS5 proxy looks up. */
  sendToHost(packet: Uint8Array, host: string, port: number, use: ProxyUse): ErrorCode | null {
    const { udp } = this
    if (udp === null) return libtorrentError(LibtorrentErrors.invalidListenSocket)
    if (udpRoute(this.#settings, use) === 'direct') {
      const address = parseAddress(host)
      return address === null ? errnoError('EINVAL') : this.send(packet, [address, port], use)
    }
    const wrapped = wrapForRelayByName(host, port, packet)
    return wrapped === null ? errnoError('ENAMETOOLONG') : this.#sendWrapped(udp, wrapped)
  }

  /** What the proxy does not relay must not leave past it: that would give our address away. */
  #sendWrapped(udp: Datagram, packet: Uint8Array): ErrorCode | null {
    const relay = this.association?.relay ?? null
    if (relay === null) return new ErrorCode(errnoError('EACCES').value(), genericCategory())
    udp.send(packet, relay)
    return null
  }

  close(): void {
    this.open = false
    this.listener?.close()
    this.closeUdp()
  }

  closeUdp(): void {
    this.association?.close()
    this.association = null
    this.udp?.close()
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

  /** Port of a socket of that family that accepts connections; 0 if there is none. */
  portFor(address: string): number {
    for (const socket of this.#sockets) {
      if (socket.listenPort !== 0 && isV6(socket.local[0]) === isV6(address)) return socket.listenPort
    }
    return 0
  }

  /** Still waiting for the outcome of binding. */
  get pending(): boolean {
    return this.#opening > 0
  }

  /** Closes what the settings say no more, and opens what they say and is not open. */
  reopen(): void {
    if (this.#closed) return
    const run = ++this.#run
    const { settings, alerts } = this.#port
    logSession(alerts, () => 'reopen listen sockets')
    const wanted = this.#endpoints()
    const proxied = !acceptsIncoming(settings)
    const kept = this.#sockets.filter(socket => {
      const accepts = socket.listener !== null
      if (socket.proxied !== proxied || accepts !== (settings.enableIncomingTcp && !proxied)) return false
      if (socket.udp === null) return false
      const at = wanted.findIndex(endpoint => isSame(endpoint, socket.endpoint))
      if (at >= 0) wanted.splice(at, 1)
      return at >= 0
    })
    for (const socket of this.#sockets) {
      if (kept.includes(socket)) continue
      const { local, endpoint } = socket
      logSession(alerts, () => `closing listen socket for ${endpointToString(local)} on device "${endpoint.device}"`)
      socket.close()
    }
    this.#sockets = kept
    if (kept.length + wanted.length === 0) logSession(alerts, () => 'no listen sockets')
    for (const endpoint of wanted) {
      const { address, port } = endpoint
      if (endpoint.ssl) {
        // TLS listeners are not there yet: saying nothing would make peers try in vain
        this.#failed(
          endpoint.device,
          [address, port],
          Operation.sockListen,
          errnoError('EOPNOTSUPP'),
          SocketType.tcpSsl,
        )
      } else this.#open(run, endpoint, [address, port], settings.maxRetryPortBind)
    }
    this.#changed()
  }

  #endpoints(): ListenEndpoint[] {
    const { settings, runtime, alerts } = this.#port
    const { interfaces, errors } = parseListenInterfaces(settings.listenInterfaces)
    logSession(alerts, () => `update listen interfaces: ${settings.listenInterfaces}`)
    logSession(alerts, () => {
      const names = interfaces.map(
        ({ device, port, ssl, local }) => `${device}:${port}${ssl ? 's' : ''}${local ? 'l' : ''}`,
      )
      return `parsed listen interfaces count: ${interfaces.length}, ifaces: ${names.join(', ')}`
    })
    for (const text of errors) {
      this.#failed(
        text,
        [ANY_V4, 0],
        Operation.parseAddress,
        libtorrentError(LibtorrentErrors.invalidPort),
        SocketType.tcp,
      )
    }
    if (!acceptsIncoming(settings)) {
      // one socket, on a port that stays the same from session to session
      const port = interfaces[0]?.port ?? 0
      const none = { device: '', ssl: false, localNetwork: false, expanded: false, prefixLength: 0 }
      return [{ address: ANY_V4, port, ...none }]
    }
    const networks = runtime.interfaces()
    for (const { device, port } of interfaces) {
      if (parseAddress(device) !== null || networks.some(network => network.name === device)) continue
      this.#failed(device, [ANY_V4, port], Operation.enumIf, errnoError('ENODEV'), SocketType.tcp)
    }
    return listenEndpoints(interfaces, networks)
  }

  /** Another proxy, or another login for it. */
  proxyChanged(): void {
    for (const socket of this.#sockets) this.#associate(socket)
  }

  close(): void {
    this.#closed = true
    this.#run++
    this.#closeAll()
  }

  #open(run: number, entry: ListenEndpoint, at: Endpoint, retries: number): void {
    const { runtime, turn, settings } = this.#port
    const proxied = !acceptsIncoming(settings)
    logOpening(this.#port.alerts, at, entry, settings.enableIncomingTcp && !proxied)
    if (!settings.enableIncomingTcp || proxied) {
      this.#openUdp(run, entry, new ListenSocket(settings, at, entry, proxied), at, retries)
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
          socket = new ListenSocket(settings, listener.local, entry, false)
          socket.listener = listener
          socket.listenPort = listener.local[1]
          this.#succeeded(listener.local, SocketType.tcp)
          this.#openUdp(run, entry, socket, listener.local, 0)
        }),
    )
  }

  #retry(run: number, entry: ListenEndpoint, at: Endpoint, retries: number, error: ErrorCode, type: SocketType): void {
    const { settings } = this.#port
    const [address, port] = at
    const inUse = error.value() === EADDRINUSE
    const next = inUse && port !== 0 && retries > 0
    const any = inUse && port !== 0 && settings.listenSystemPortFallback
    const kind = type === SocketType.tcp ? 'listen' : 'udp'
    logBindFailed(this.#port.alerts, kind, at, entry.device, error, next || any ? `retries: ${retries}` : 'giving up')
    if (next) this.#open(run, entry, [address, port + 1], retries - 1)
    else if (any) this.#open(run, entry, [address, 0], 0)
    else this.#failed(entry.device, [address, entry.port], Operation.sockBind, error, type)
  }

  #openUdp(run: number, entry: ListenEndpoint, socket: ListenSocket, at: Endpoint, retries: number): void {
    const { runtime, turn, alerts } = this.#port
    this.#opening++
    runtime.bindDatagram(
      at,
      {
        onPacket: (packet, from) => {
          turn.enter()
          try {
            if (socket.open) this.#received(packet, from, socket)
          } catch (error) {
            turn.crash(error, 'udp')
          } finally {
            turn.leave()
          }
        },
        onError: (error, operation, fatal, to) =>
          turn.run('udp', () => {
            if (to !== null) this.#port.packetError(error, to)
            const at = to ?? socket.local
            logSession(alerts, () => `UDP error: ${endpointToString(at)} (${error.value()}) ${error.message()}`)
            if (alerts.wants(UdpErrorAlert)) alerts.post(new UdpErrorAlert(socket.local, operation, error))
            if (!fatal) return
            socket.closeUdp()
            socket.udp = null
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
            else {
              logBindFailed(alerts, 'udp', at, entry.device, why, 'giving up')
              this.#failed(entry.device, at, Operation.sockBind, why, SocketType.utp)
            }
          } else {
            socket.udp = udp
            if (socket.listener === null) socket.local = udp.local
            this.#associate(socket)
            this.#succeeded(udp.local, SocketType.utp)
          }
          if (socket.udp !== null || socket.listener !== null) {
            const ports = `TCP port: ${socket.listenPort} UDP port: ${socket.udp?.local[1] ?? 0}`
            logSession(alerts, () => ` listening on: ${socket.local[0]} ${ports}`)
            this.#sockets = [...this.#sockets, socket]
            this.#changed()
          }
        }),
    )
  }

  /** Asks the SOCKS5 proxy to relay the socket's datagrams, if there is such a proxy. */
  #associate(socket: ListenSocket): void {
    const { settings } = this.#port
    socket.association?.close()
    socket.association = null
    if (socket.udp === null || udpRoute(settings, 'other') !== 'proxy') return
    const proxy = proxyFor(settings, 'other')!
    socket.association = new Socks5Association(this.#port, proxy, socket, settings.socks5UdpSendLocalEp)
  }

  /**
   * Deviation: libtorrent drops all that does not come from the relay once there is one, also the answers to what
   * leaves past the proxy by the settings.
   */
  #received(packet: Uint8Array, from: Endpoint, socket: ListenSocket): void {
    const relay = socket.association?.relay ?? null
    if (relay !== null && endpointsEqual(from, relay)) {
      const relayed = unwrapRelayed(packet)
      if (relayed !== null) this.#port.packet(relayed.payload, relayed.from, socket)
    } else if (!udpOnlyByProxy(this.#port.settings)) {
      this.#port.packet(packet, from, socket)
    }
  }

  #lost(socket: ListenSocket, error: ErrorCode, operation: Operation): void {
    const { alerts } = this.#port
    logSession(alerts, () => `error accepting connection on '${endpointToString(socket.local)}': ${error.message()}`)
    socket.close()
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
    for (const socket of this.#sockets) socket.close()
    this.#sockets = []
  }

  #changed(): void {
    this.#version++
    this.#port.changed()
  }
}

/** The socket that is open for one would be opened for the other. */
function isSame(a: ListenEndpoint, b: ListenEndpoint): boolean {
  return (
    a.address === b.address &&
    a.port === b.port &&
    a.device === b.device &&
    a.ssl === b.ssl &&
    a.localNetwork === b.localNetwork &&
    a.expanded === b.expanded
  )
}
