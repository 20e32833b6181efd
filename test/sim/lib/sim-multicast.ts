/** Multicast in virtual time: what is sent to a group is heard by its members on the same network. */

import type { Endpoint } from '../../../src/core/endpoint.ts'
import { endpointsEqual, isLoopback, isMulticast, isV6 } from '../../../src/core/endpoint.ts'
import { type ErrorCode, errnoError } from '../../../src/core/error-code.ts'
import { Operation } from '../../../src/core/operation.ts'
import type { Datagram, DatagramHandler, MulticastOptions } from '../../../src/core/runtime.ts'
import type { GroupMember, SimHost, SimNetwork } from './sim-network.ts'

const HEADER_BYTES = 28
const MAX_PACKET_BYTES = 65507
const POISON = 0xdb

class SimGroupSocket implements Datagram {
  readonly local: Endpoint
  readonly #net: SimNetwork
  readonly #host: SimHost
  readonly #member: GroupMember
  #closed = false

  constructor(net: SimNetwork, host: SimHost, member: GroupMember) {
    this.#net = net
    this.#host = host
    this.#member = member
    this.local = [isV6(member.group[0]) ? '::' : '0.0.0.0', member.group[1]]
  }

  send(packet: Uint8Array, to: Endpoint): boolean {
    if (this.#closed) return false
    const { group, by } = this.#member
    // sessions send to nobody else by such a socket
    if (!endpointsEqual(to, group)) throw new Error(`${to.join(':')} is not the group ${group.join(':')}`)
    if (packet.length > MAX_PACKET_BYTES) {
      this.#error('EMSGSIZE', to)
      return true
    }
    if (!isLoopback(by) && !this.#host.online) {
      this.#error('ENETUNREACH', to)
      return true
    }
    const from: Endpoint = [by, group[1]]
    const size = packet.length + HEADER_BYTES
    for (const host of [this.#host, ...this.#net.neighbours(this.#host, by)]) {
      if (!this.#net.passes(this.#host, host, 'udp')) continue
      if (size > this.#net.path(this.#host, host).mtu || this.#net.loses(this.#host, host)) continue
      const bytes = packet.slice()
      this.#net.carry(this.#host, host, size, true, () => arrive(this.#net, host, bytes, from, group))
    }
    return true
  }

  close(): void {
    this.#closed = true
    this.#host.leave(this.#member)
  }

  #error(name: string, to: Endpoint): void {
    this.#net.clock.after(0, () => {
      if (!this.#closed) this.#member.handler.onError(errnoError(name), Operation.sockWrite, false, to)
    })
  }
}

function arrive(net: SimNetwork, host: SimHost, packet: Uint8Array, from: Endpoint, group: Endpoint): void {
  for (const member of host.membersOf(group, from[0])) {
    // a socket may be closed by what another one has heard
    if (!host.membersOf(group, from[0]).includes(member)) continue
    net.log.add(`${host.name} group ${group.join(':')} gets ${packet.length} from ${from.join(':')}`)
    const bytes = packet.slice()
    member.handler.onPacket(bytes, from)
    bytes.fill(POISON)
  }
}

/** Joins a group with a socket of `host`. */
export function joinInSim(
  net: SimNetwork,
  host: SimHost,
  options: MulticastOptions,
  handler: DatagramHandler,
  done: (error: ErrorCode | null, socket: Datagram | null) => void,
): void {
  const { group, interfaceAddress: by } = options
  net.clock.after(0, () => {
    if (!isMulticast(group[0]) || isV6(group[0]) !== isV6(by)) {
      done(errnoError('EINVAL'), null)
      return
    }
    if (!host.addresses.includes(by) && !isLoopback(by)) {
      done(errnoError('ENODEV'), null)
      return
    }
    const member: GroupMember = { group, by, handler }
    host.join(member)
    done(null, new SimGroupSocket(net, host, member))
  })
}
