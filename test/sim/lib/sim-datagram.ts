/** UDP in virtual time: packets that are late, lost, too large or unwelcome. */

import type { Endpoint } from '../../../src/core/endpoint.ts'
import { isUnspecified, isV6 } from '../../../src/core/endpoint.ts'
import { type ErrorCode, errnoError } from '../../../src/core/error-code.ts'
import { Operation } from '../../../src/core/operation.ts'
import type { Datagram, DatagramHandler } from '../../../src/core/runtime.ts'
import type { SimHost, SimNetwork, UdpPort } from './sim-network.ts'

const HEADER_BYTES = 28
const MAX_PACKET_BYTES = 65507
const POISON = 0xdb

class SimDatagram implements Datagram {
  readonly local: Endpoint
  readonly #net: SimNetwork
  readonly #host: SimHost
  readonly #port: UdpPort
  #closed = false
  #full = false

  constructor(net: SimNetwork, host: SimHost, port: UdpPort) {
    this.#net = net
    this.#host = host
    this.#port = port
    this.local = port.local
  }

  send(packet: Uint8Array, to: Endpoint): boolean {
    if (this.#closed) return false
    if (packet.length > MAX_PACKET_BYTES || isV6(to[0]) !== isV6(this.local[0])) {
      this.#error(packet.length > MAX_PACKET_BYTES ? 'EMSGSIZE' : 'EINVAL', to)
      return true
    }
    const size = packet.length + HEADER_BYTES
    if (!this.#host.up.hasRoom(this.#net.clock.now(), size)) {
      if (!this.#full) this.#awaitRoom(size)
      this.#full = true
      return false
    }
    const source = isUnspecified(this.local[0]) ? this.#host.sourceFor(to[0]) : this.local[0]
    if (source === null) {
      this.#error('ENETUNREACH', to)
      return true
    }
    this.#host.contacted(this.local[1], to)
    const target = this.#net.hostAt(to[0], this.#host)
    if (target === null || !this.#net.passes(this.#host, target, 'udp')) return true
    if (packet.length + HEADER_BYTES > this.#net.path(this.#host, target).mtu) return true
    if (this.#net.loses(this.#host, target)) return true
    const bytes = packet.slice()
    const from: Endpoint = target === this.#host ? [source, this.local[1]] : this.#host.seenAs([source, this.local[1]])
    this.#net.carry(this.#host, target, size, true, () => arrive(this.#net, target, bytes, from, to))
    return true
  }

  close(): void {
    this.#closed = true
    this.#host.closeUdp(this.#port)
  }

  #error(name: string, to: Endpoint): void {
    this.#net.clock.after(0, () => {
      if (!this.#closed) this.#port.handler.onError(errnoError(name), Operation.sockWrite, false, to)
    })
  }

  #awaitRoom(size: number): void {
    this.#net.clock.after(5, () => {
      if (this.#closed) return
      if (!this.#host.up.hasRoom(this.#net.clock.now(), size * 2)) {
        this.#awaitRoom(size)
        return
      }
      this.#full = false
      this.#port.handler.onWritable()
    })
  }
}

function arrive(net: SimNetwork, target: SimHost, bytes: Uint8Array, from: Endpoint, to: Endpoint): void {
  if (!target.admits('udp', to[1], from)) return
  const local: Endpoint =
    target.nat !== undefined && to[0] === target.nat.publicAddress ? [target.addresses[0]!, to[1]] : to
  const port = target.udpAt(local)
  net.log.add(
    `${target.name} udp ${to.join(':')} ${port === null ? 'is closed to' : 'gets'} ${bytes.length} from ${from.join(':')}`,
  )
  if (port === null) return
  port.handler.onPacket(bytes, from)
  bytes.fill(POISON)
}

/** Binds a UDP port of `host`. */
export function bindInSim(
  net: SimNetwork,
  host: SimHost,
  at: Endpoint,
  handler: DatagramHandler,
  done: (error: ErrorCode | null, socket: Datagram | null) => void,
): void {
  net.clock.after(0, () => {
    const local: Endpoint = [at[0], at[1] === 0 ? host.freePort() : at[1]]
    const own = host.addresses.includes(at[0]) || at[0].startsWith('127.') || at[0] === '::1'
    if (!isUnspecified(at[0]) && !own) {
      done(errnoError('EADDRNOTAVAIL'), null)
      return
    }
    if (host.udpAt(local) !== null) {
      done(errnoError('EADDRINUSE'), null)
      return
    }
    const port: UdpPort = { local, handler }
    host.openUdp(port)
    done(null, new SimDatagram(net, host, port))
  })
}
