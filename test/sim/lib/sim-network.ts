/** Hosts, the links they hang on, and what lies between them. */

import type { Endpoint } from '../../../src/core/endpoint.ts'
import { isLoopback, isUnspecified, isV6, sameNetwork } from '../../../src/core/endpoint.ts'
import type { Rng } from '../../../src/core/rng.ts'
import type { DatagramHandler, ListenHandler } from '../../../src/core/runtime.ts'
import type { EventLog } from './event-log.ts'
import type { SimClock } from './sim-clock.ts'

/** One direction of a host's access line. */
export interface LinkOptions {
  /** 0: without limit. */
  readonly bytesPerSecond?: number
  /** Bytes that may wait; a datagram beyond is dropped, a stream waits. */
  readonly queueBytes?: number
}

/** What lies between two hosts, in each direction alike. */
export interface PathOptions {
  /** One way. */
  readonly latencyMs?: number
  /** Share of packets lost, 0 to 1. A stream sends them again, later. */
  readonly loss?: number
  /** Bytes of the largest datagram. */
  readonly mtu?: number
  /** Nothing passes. */
  readonly blocked?: boolean
}

export interface HostOptions {
  readonly addresses: readonly string[]
  readonly up?: LinkOptions
  readonly down?: LinkOptions
  /**
   * Behind an address translator: others see this address. Datagrams come in only from whom one was sent to
   * ("restricted"), or from anyone to a port that was used ("open"); connections only to forwarded ports.
   */
  readonly nat?: { readonly publicAddress: string; readonly kind: 'open' | 'restricted' }
}

type Protocol = 'tcp' | 'udp'
/** Decides whether a packet passes, besides the path's own options. */
export type RouteFilter = (from: SimHost, to: SimHost, protocol: Protocol) => boolean

const DEFAULT_PATH: Required<PathOptions> = { latencyMs: 20, loss: 0, mtu: 1500, blocked: false }
const DEFAULT_QUEUE_BYTES = 256 * 1024

class Link {
  readonly #bytesPerMs: number
  readonly #queueBytes: number
  #busyUntil = 0

  constructor(options: LinkOptions | undefined) {
    this.#bytesPerMs = (options?.bytesPerSecond ?? 0) / 1000
    this.#queueBytes = options?.queueBytes ?? DEFAULT_QUEUE_BYTES
  }

  /** Bytes that wait for the line. */
  queued(now: number): number {
    return this.#bytesPerMs === 0 ? 0 : Math.max(0, this.#busyUntil - now) * this.#bytesPerMs
  }

  hasRoom(now: number, bytes: number): boolean {
    return this.#bytesPerMs === 0 || this.queued(now) + bytes <= this.#queueBytes
  }

  /** When bytes that come now are through. */
  pass(now: number, bytes: number): number {
    if (this.#bytesPerMs === 0) return now
    this.#busyUntil = Math.max(now, this.#busyUntil) + bytes / this.#bytesPerMs
    return this.#busyUntil
  }
}

/** A listening TCP socket, as the network sees it. */
export interface TcpPort {
  readonly local: Endpoint
  readonly handler: ListenHandler
}

/** A bound UDP socket, as the network sees it. */
export interface UdpPort {
  readonly local: Endpoint
  readonly handler: DatagramHandler
}

/** A socket that has joined a multicast group, as the network sees it. */
export interface GroupMember {
  readonly group: Endpoint
  /** The address of the host that names the interface. */
  readonly by: string
  readonly handler: DatagramHandler
}

/** A machine with its open ports. */
export class SimHost {
  readonly name: string
  readonly addresses: readonly string[]
  readonly nat: HostOptions['nat']
  readonly up: Link
  readonly down: Link
  readonly #tcp: TcpPort[] = []
  readonly #udp: UdpPort[] = []
  readonly #groups: GroupMember[] = []
  readonly #forwarded = new Set<number>()
  readonly #contacted = new Set<string>()
  #nextPort = 49152
  /** False: cut off, as if the cable were pulled. */
  online = true

  constructor(name: string, options: HostOptions) {
    this.name = name
    this.addresses = options.addresses
    this.nat = options.nat
    this.up = new Link(options.up)
    this.down = new Link(options.down)
  }

  /** Opens a port of the translator for connections from outside. */
  forward(port: number): void {
    this.#forwarded.add(port)
  }

  /** The address this host sends from to `to`; `null` if it has none of that family. */
  sourceFor(to: string): string | null {
    if (this.addresses.includes(to)) return to
    return this.addresses.find(address => isV6(address) === isV6(to)) ?? null
  }

  /** How `local` looks from outside. */
  seenAs(local: Endpoint): Endpoint {
    return this.nat === undefined || isV6(local[0]) ? local : [this.nat.publicAddress, local[1]]
  }

  freePort(): number {
    for (;;) {
      const port = this.#nextPort
      this.#nextPort = port === 65535 ? 49152 : port + 1
      if (!this.#tcp.some(other => other.local[1] === port) && !this.#udp.some(other => other.local[1] === port))
        return port
    }
  }

  tcpAt(to: Endpoint): TcpPort | null {
    return find(this.#tcp, to)
  }

  udpAt(to: Endpoint): UdpPort | null {
    return find(this.#udp, to)
  }

  openTcp(port: TcpPort): void {
    this.#tcp.push(port)
  }

  closeTcp(port: TcpPort): void {
    const at = this.#tcp.indexOf(port)
    if (at >= 0) this.#tcp.splice(at, 1)
  }

  openUdp(port: UdpPort): void {
    this.#udp.push(port)
  }

  closeUdp(port: UdpPort): void {
    const at = this.#udp.indexOf(port)
    if (at >= 0) this.#udp.splice(at, 1)
  }

  /** The sockets that hear what is sent to a group on the network of `by`. */
  membersOf(group: Endpoint, by: string): GroupMember[] {
    return this.#groups.filter(
      member => member.group[0] === group[0] && member.group[1] === group[1] && sameSubnet(member.by, by),
    )
  }

  join(member: GroupMember): void {
    this.#groups.push(member)
  }

  leave(member: GroupMember): void {
    const at = this.#groups.indexOf(member)
    if (at >= 0) this.#groups.splice(at, 1)
  }

  /** @internal A datagram leaves through the translator. */
  contacted(localPort: number, to: Endpoint): void {
    if (this.nat === undefined) return
    this.#contacted.add(`${localPort}`)
    this.#contacted.add(`${localPort} ${to[0]} ${to[1]}`)
  }

  /** @internal What the translator lets in. */
  admits(protocol: Protocol, port: number, from: Endpoint): boolean {
    if (this.nat === undefined || this.#forwarded.has(port)) return true
    if (protocol === 'tcp') return false
    return this.#contacted.has(this.nat.kind === 'open' ? `${port}` : `${port} ${from[0]} ${from[1]}`)
  }
}

function find<T extends { readonly local: Endpoint }>(ports: readonly T[], to: Endpoint): T | null {
  const exact = ports.find(port => port.local[1] === to[1] && port.local[0] === to[0])
  if (exact !== undefined) return exact
  return (
    ports.find(
      port => port.local[1] === to[1] && isUnspecified(port.local[0]) && isV6(port.local[0]) === isV6(to[0]),
    ) ?? null
  )
}

/** Bits that the addresses of one network have in common. */
export function prefixLength(address: string): number {
  if (isLoopback(address)) return isV6(address) ? 128 : 8
  return isV6(address) ? 64 : 24
}

function sameSubnet(a: string, b: string): boolean {
  return isLoopback(a) === isLoopback(b) && sameNetwork(a, b, prefixLength(a))
}

export class SimNetwork {
  readonly clock: SimClock
  readonly log: EventLog
  readonly #rng: Rng
  readonly #byAddress = new Map<string, SimHost>()
  readonly #hosts: SimHost[] = []
  readonly #paths = new Map<string, Required<PathOptions>>()
  readonly #filters = new Set<RouteFilter>()
  #defaultPath = DEFAULT_PATH

  constructor(clock: SimClock, rng: Rng, log: EventLog) {
    this.clock = clock
    this.#rng = rng
    this.log = log
  }

  addHost(name: string, options: HostOptions): SimHost {
    const host = new SimHost(name, options)
    this.#hosts.push(host)
    const reachable = options.nat === undefined ? options.addresses : options.addresses.filter(isV6)
    for (const address of reachable) {
      if (this.#byAddress.has(address)) throw new Error(`two hosts have address ${address}`)
      this.#byAddress.set(address, host)
    }
    if (options.nat !== undefined) this.#byAddress.set(options.nat.publicAddress, host)
    return host
  }

  /** Sets what all paths are that have no options of their own. */
  setDefaultPath(options: PathOptions): void {
    this.#defaultPath = { ...DEFAULT_PATH, ...options }
  }

  setPath(a: SimHost, b: SimHost, options: PathOptions): void {
    const path = { ...this.path(a, b), ...options }
    this.#paths.set(`${a.name} ${b.name}`, path)
    this.#paths.set(`${b.name} ${a.name}`, path)
  }

  path(from: SimHost, to: SimHost): Required<PathOptions> {
    if (from === to) return { latencyMs: 0.05, loss: 0, mtu: 65535, blocked: false }
    return this.#paths.get(`${from.name} ${to.name}`) ?? this.#defaultPath
  }

  /** @returns a function that takes the filter away again */
  addFilter(filter: RouteFilter): () => void {
    this.#filters.add(filter)
    return () => this.#filters.delete(filter)
  }

  /** Cuts the network in two: nothing passes between `hosts` and the rest. @returns a function that heals it */
  partition(hosts: readonly SimHost[]): () => void {
    return this.addFilter((from, to) => hosts.includes(from) === hosts.includes(to))
  }

  /** The machines with an address on the network of `address`, other than `from`. */
  neighbours(from: SimHost, address: string): SimHost[] {
    if (isLoopback(address)) return []
    return this.#hosts.filter(host => host !== from && host.addresses.some(other => sameSubnet(address, other)))
  }

  /** Who answers at an address, seen from `from`. */
  hostAt(address: string, from: SimHost): SimHost | null {
    if (address.startsWith('127.') || address === '::1' || from.addresses.includes(address)) return from
    return this.#byAddress.get(address) ?? null
  }

  passes(from: SimHost, to: SimHost, protocol: Protocol): boolean {
    if (from === to) return true
    if (!from.online || !to.online || this.path(from, to).blocked) return false
    for (const filter of this.#filters) if (!filter(from, to, protocol)) return false
    return true
  }

  /** True by chance, as often as the path loses packets. */
  loses(from: SimHost, to: SimHost): boolean {
    const loss = this.path(from, to).loss
    return loss > 0 && this.#rng.uint32() / 0x100000000 < loss
  }

  /**
   * Carries bytes over both access lines and the path; `arrive` runs when the last of them is there.
   *
   * @param droppable a full queue at the far line loses the bytes; else they wait
   */
  carry(from: SimHost, to: SimHost, bytes: number, droppable: boolean, arrive: () => void): void {
    const sent = from === to ? this.clock.now() : from.up.pass(this.clock.now(), bytes)
    this.clock.at(sent + this.path(from, to).latencyMs, () => {
      if (droppable && from !== to && !to.down.hasRoom(this.clock.now(), bytes)) return
      const there = from === to ? this.clock.now() : to.down.pass(this.clock.now(), bytes)
      if (there <= this.clock.now()) arrive()
      else this.clock.at(there, arrive)
    })
  }
}
