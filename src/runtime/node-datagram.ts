/** UDP sockets of `node:dgram` as `Datagram`. */

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import type { AddressInfo } from 'node:net'
import { type Endpoint, isV6, parseAddress } from '../core/endpoint.ts'
import { type ErrorCode, errorCodeOf } from '../core/error-code.ts'
import { Operation } from '../core/operation.ts'
import type { Datagram, DatagramHandler, MulticastOptions } from '../core/runtime.ts'
import { operationOf } from './node-errors.ts'
import { nodeInterfaces } from './node-interfaces.ts'

/** Unsent bytes beyond which `send` refuses. The system sends at once as a rule, so this is what it holds back. */
const MAX_QUEUED_BYTES = 256 * 1024
/** A packet of a common network fits one. */
const SLOT_BYTES = 1536
const SLOTS = 32
/** How often a full queue is looked at. */
const LOOK_MS = 10

class NodeDatagram implements Datagram {
  readonly local: Endpoint
  readonly #socket: Socket
  readonly #handler: DatagramHandler
  #closed = false
  #full = false
  /** While it is full. */
  #wakeAt: ReturnType<typeof setTimeout> | null = null
  /** Bytes that fit the queue at least: what the system holds back is asked for only when these are used up. */
  #room = 0
  /** Where packets are copied to, each to a slot; made with the first one. */
  #slab = new ArrayBuffer(0)
  readonly #slots: Uint8Array[] = []
  #nextSlot = SLOTS

  constructor(socket: Socket, local: Endpoint, handler: DatagramHandler) {
    this.#socket = socket
    this.local = local
    this.#handler = handler
    socket.on('message', this.#onMessage)
  }

  send(packet: Uint8Array, to: Endpoint, isAnswer = false): boolean {
    if (this.#closed) return false
    if (packet.length > this.#room) {
      this.#room = MAX_QUEUED_BYTES - this.#socket.getSendQueueSize()
      if (packet.length > this.#room) {
        this.#full = true
        this.#wakeAt ??= setTimeout(this.#lookForRoom, LOOK_MS)
        return false
      }
    }
    this.#room -= packet.length
    const copy = this.#copy(packet)
    // a callback is a twentieth of the cost of an answer (`bench/dht.js`); one in a slab full shows a socket that fails
    if (isAnswer && this.#nextSlot !== 1) this.#socket.send(copy, to[1], to[0])
    else this.#socket.send(copy, to[1], to[0], this.#onSent)
    return true
  }

  /**
   * What cannot leave at once is kept by reference, so packets have to be copied. As a rule all have left when the slab is
   * full, and it is used again, with the same views where lengths are the same: `Buffer.from` and the garbage it makes take a
   * tenth of the time of an answer of the DHT (`bench/dht.js`).
   */
  #copy(packet: Uint8Array): Uint8Array {
    const size = packet.length
    if (size > SLOT_BYTES) return packet.slice()
    if (this.#nextSlot === SLOTS) {
      if (this.#slab.byteLength === 0 || this.#socket.getSendQueueSize() > 0) {
        this.#slab = new ArrayBuffer(SLOTS * SLOT_BYTES)
        this.#slots.length = 0
      }
      this.#nextSlot = 0
    }
    const slot = this.#nextSlot++
    let copy = this.#slots[slot]
    if (copy === undefined || copy.length !== size) {
      copy = new Uint8Array(this.#slab, slot * SLOT_BYTES, size)
      this.#slots[slot] = copy
    }
    copy.set(packet)
    return copy
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    if (this.#wakeAt !== null) clearTimeout(this.#wakeAt)
    this.#socket.close()
  }

  /** The socket broke by itself. */
  fail(error: Error): void {
    if (this.#closed) return
    this.close()
    this.#handler.onError(errorCodeOf(error), operationOf(error, Operation.sockRead), true, null)
  }

  readonly #onMessage = (packet: Uint8Array, from: RemoteInfo) => {
    if (this.#closed) return
    const address = from.family === 'IPv6' ? (parseAddress(from.address) ?? from.address) : from.address
    this.#handler.onPacket(packet, [address, from.port])
  }

  readonly #onSent = (error: Error | null) => {
    if (this.#closed) return
    if (error !== null) {
      const { address, port } = error as { address?: string; port?: number }
      const to: Endpoint | null = address === undefined || port === undefined ? null : [address, port]
      this.#handler.onError(errorCodeOf(error), operationOf(error, Operation.sockWrite), false, to)
    }
    if (this.#full) this.#lookForRoom()
  }

  /** What is queued may be answers alone, whose leaving is not told. */
  readonly #lookForRoom = () => {
    if (this.#wakeAt !== null) clearTimeout(this.#wakeAt)
    this.#wakeAt = null
    if (this.#closed || !this.#full) return
    if (this.#socket.getSendQueueSize() > MAX_QUEUED_BYTES / 2) {
      this.#wakeAt = setTimeout(this.#lookForRoom, LOOK_MS)
      return
    }
    this.#full = false
    this.#handler.onWritable()
  }
}

/** Destinations are addresses already: looking them up would only cost a turn of the event loop. */
function noLookup(
  address: string,
  _options: unknown,
  found: (error: NodeJS.ErrnoException | null, address: string, family: number) => void,
): void {
  found(null, address, isV6(address) ? 6 : 4)
}

type Done = (error: ErrorCode | null, socket: Datagram | null) => void

/** Binds a UDP socket; an IPv6 one takes IPv6 only. */
export function bindOnNode(at: Endpoint, handler: DatagramHandler, done: Done): void {
  const v6 = isV6(at[0])
  const socket = createSocket({ type: v6 ? 'udp6' : 'udp4', ipv6Only: v6, lookup: noLookup })
  bind(socket, at, handler, done)
}

/** Binds a UDP socket that has joined a multicast group. */
export function bindMulticastOnNode(options: MulticastOptions, handler: DatagramHandler, done: Done): void {
  const { group, interfaceAddress, hops } = options
  const v6 = isV6(group[0])
  const socket = createSocket({ type: v6 ? 'udp6' : 'udp4', ipv6Only: v6, lookup: noLookup, reuseAddr: true })
  bind(socket, [v6 ? '::' : '0.0.0.0', group[1]], handler, done, () => {
    const by = v6 ? zoneOf(interfaceAddress) : interfaceAddress
    socket.addMembership(group[0], by)
    socket.setMulticastInterface(by)
    socket.setMulticastTTL(hops)
    socket.setMulticastLoopback(true)
  })
}

/** How the system wants the interface of an IPv6 group to be named: by zone. */
function zoneOf(address: string): string {
  if (address.includes('%')) return `::${address.slice(address.indexOf('%'))}`
  const found = nodeInterfaces().find(network => network.address === address)
  if (found === undefined) throw Object.assign(new Error('no such interface'), { code: 'ENODEV', syscall: 'bind' })
  return `::%${found.name}`
}

/** @param prepare sets the bound socket up; what it throws is a failure to bind */
function bind(socket: Socket, at: Endpoint, handler: DatagramHandler, done: Done, prepare = () => {}): void {
  let datagram: NodeDatagram | null = null
  let settled = false
  const failed = (error: Error) => {
    if (datagram !== null) datagram.fail(error)
    else if (!settled) {
      settled = true
      socket.close()
      done(errorCodeOf(error), null)
    }
  }
  socket.on('error', failed)
  socket.on('listening', () => {
    let bound: AddressInfo
    try {
      prepare()
      bound = socket.address()
    } catch (error) {
      failed(error as Error)
      return
    }
    settled = true
    datagram = new NodeDatagram(socket, [parseAddress(bound.address) ?? bound.address, bound.port], handler)
    done(null, datagram)
  })
  queueMicrotask(() => {
    try {
      socket.bind({ address: at[0], port: at[1], exclusive: true })
    } catch (error) {
      failed(error as Error)
    }
  })
}
