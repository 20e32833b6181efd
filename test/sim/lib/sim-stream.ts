/** TCP in virtual time: byte pipes with a window, whose chunks are cut anew at random. */

import { constants } from 'node:os'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import { isLoopback, isUnspecified } from '../../../src/core/endpoint.ts'
import { SocketType } from '../../../src/core/enums.ts'
import { ErrorCode, errnoError, MiscErrors, miscCategory } from '../../../src/core/error-code.ts'
import { Operation } from '../../../src/core/operation.ts'
import { RingQueue } from '../../../src/core/ring-queue.ts'
import type { Rng } from '../../../src/core/rng.ts'
import type { ConnectOptions, Listener, ListenHandler, Stream, StreamHandler } from '../../../src/core/runtime.ts'
import type { SimHost, SimNetwork, TcpPort } from './sim-network.ts'

const WINDOW_BYTES = 256 * 1024
/** Room is told of in steps of this size: well below the window, so that nobody waits for ever. */
const ACK_BYTES = 32 * 1024
const SEGMENT_BYTES = 16 * 1024
const MAX_CHUNK_BYTES = 64 * 1024
const HEADER_BYTES = 40
const FIRST_RETRY_MS = 200
const MAX_RETRY_MS = 10_000
/** A connection whose packets do not get through for this long is given up, as Linux does by default for SYNs. */
const GIVE_UP_MS = 127_000
/** Chunks are overwritten after `onData`, so that who keeps one without a copy is found out. */
const POISON = 0xdb

type Item =
  | { readonly kind: 'open' | 'fin' | 'reset' }
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  | { readonly kind: 'ack'; readonly count: number }

interface Unsent {
  readonly view: Uint8Array
  at: number
  readonly onFlushed: (() => void) | undefined
}

export function endOfFile(): ErrorCode {
  return new ErrorCode(MiscErrors.eof, miscCategory())
}

export class SimStream implements Stream {
  readonly kind = SocketType.tcp
  local: Endpoint
  remote: Endpoint
  readonly #net: SimNetwork
  readonly #rng: Rng
  readonly #host: SimHost
  #peerHost: SimHost | null = null
  #peer: SimStream | null = null
  #handler: StreamHandler | null = null
  #state: 'connecting' | 'open' | 'closed' = 'connecting'
  #paused = false

  readonly #unsent = new RingQueue<Unsent>()
  #queuedBytes = 0
  #wantDrain = false
  #pumpDue = false
  /** What the other side still has room for. */
  #window = WINDOW_BYTES
  readonly #outbox = new RingQueue<Item>()
  readonly #onTheWay = new RingQueue<Item>()
  #stalled = false
  #stuckSince = -1

  #received: Uint8Array[] = []
  #receivedBytes = 0
  /** Bytes read since the other side was last told of room. */
  #unacknowledged = 0
  #deliveryDue = false
  #ended: { readonly error: ErrorCode; readonly operation: Operation } | null = null

  constructor(net: SimNetwork, rng: Rng, host: SimHost, local: Endpoint, remote: Endpoint) {
    this.#net = net
    this.#rng = rng
    this.#host = host
    this.local = local
    this.remote = remote
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  get attended(): boolean {
    return this.#handler !== null
  }

  get closed(): boolean {
    return this.#state === 'closed'
  }

  setHandler(handler: StreamHandler): void {
    this.#handler = handler
  }

  write(views: readonly Uint8Array[], onFlushed?: () => void): void {
    if (this.#state === 'closed') {
      if (onFlushed !== undefined) this.#net.clock.after(0, onFlushed)
      return
    }
    if (views.length === 0) this.#unsent.push({ view: new Uint8Array(0), at: 0, onFlushed })
    for (let i = 0; i < views.length; i++) {
      this.#queuedBytes += views[i]!.length
      this.#unsent.push({ view: views[i]!, at: 0, onFlushed: i === views.length - 1 ? onFlushed : undefined })
    }
    if (this.#queuedBytes > 0) this.#wantDrain = true
    this.#schedulePump(0)
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#scheduleDelivery()
  }

  close(): void {
    if (this.#state === 'closed') return
    this.#log('closes')
    const unread = this.#receivedBytes > 0
    this.#shut()
    if (this.#peer !== null) this.#send({ kind: unread ? 'reset' : 'fin' })
  }

  /** The transport failed. @internal */
  fail(error: ErrorCode, operation: Operation): void {
    if (this.#state === 'closed') return
    this.#log(`lost: ${error.message()}`)
    const handler = this.#handler
    this.#shut()
    handler?.onClose(error, operation)
  }

  /** Ties the two ends of an accepted connection together; this is the accepting one. @internal */
  accept(other: SimStream, otherHost: SimHost): void {
    this.#peer = other
    this.#peerHost = otherHost
    other.#peer = this
    other.#peerHost = this.#host
    this.#state = 'open'
    this.#send({ kind: 'open' })
  }

  #shut(): void {
    this.#state = 'closed'
    this.#handler = null
    this.#queuedBytes = 0
    this.#received = []
    this.#receivedBytes = 0
    const left: (() => void)[] = []
    for (const { onFlushed } of this.#unsent) if (onFlushed !== undefined) left.push(onFlushed)
    this.#unsent.clear()
    if (left.length > 0) this.#net.clock.after(0, () => left.forEach(flushed => void flushed()))
  }

  #schedulePump(delayMs: number): void {
    if (this.#pumpDue) return
    this.#pumpDue = true
    this.#net.clock.after(delayMs, () => {
      this.#pumpDue = false
      this.#pump()
    })
  }

  /** Moves bytes from the writer's views to the wire as far as the other side has room. */
  #pump(): void {
    while (this.#state === 'open' && this.#unsent.length > 0) {
      const wanted = Math.min(SEGMENT_BYTES, this.#window, this.#queuedBytes)
      if (wanted === 0 && this.#queuedBytes > 0) return
      if (wanted > 0 && this.#host !== this.#peerHost && !this.#host.up.hasRoom(this.#net.clock.now(), wanted)) {
        // By chance, so that streams on one line get alike.
        this.#schedulePump(1 + this.#rng.below(9))
        return
      }
      this.#sendSegment(wanted)
    }
    if (this.#state !== 'open' || !this.#wantDrain) return
    this.#wantDrain = false
    this.#handler?.onDrain()
  }

  #sendSegment(length: number): void {
    const bytes = new Uint8Array(length)
    const flushed: (() => void)[] = []
    let filled = 0
    for (;;) {
      const first = this.#unsent.peek()
      if (first === undefined) break
      const count = Math.min(length - filled, first.view.length - first.at)
      bytes.set(first.view.subarray(first.at, first.at + count), filled)
      filled += count
      first.at += count
      if (first.at < first.view.length) break
      this.#unsent.shift()
      if (first.onFlushed !== undefined) flushed.push(first.onFlushed)
    }
    this.#queuedBytes -= length
    this.#window -= length
    if (length > 0) this.#send({ kind: 'data', bytes })
    for (const done of flushed) done()
  }

  #send(item: Item): void {
    this.#outbox.push(item)
    this.#empty()
  }

  /** Puts items on the wire in order; one that does not get through holds back those behind it. */
  #empty(): void {
    if (this.#stalled) return
    const to = this.#peerHost!
    const now = this.#net.clock.now()
    while (this.#outbox.length > 0) {
      const item = this.#outbox.peek()!
      if (!this.#net.passes(this.#host, to, 'tcp')) {
        if (this.#stuckSince < 0) this.#stuckSince = now
        const stuck = now - this.#stuckSince
        if (stuck >= GIVE_UP_MS) {
          this.#outbox.clear()
          this.fail(errnoError('ETIMEDOUT'), Operation.sockWrite)
          return
        }
        this.#retryIn(Math.min(MAX_RETRY_MS, Math.max(FIRST_RETRY_MS, stuck)))
        return
      }
      this.#stuckSince = -1
      if (item.kind === 'data' && this.#net.loses(this.#host, to)) {
        this.#retryIn(Math.max(FIRST_RETRY_MS, this.#net.path(this.#host, to).latencyMs * 2))
        return
      }
      this.#outbox.shift()
      this.#onTheWay.push(item)
      const size = HEADER_BYTES + (item.kind === 'data' ? item.bytes.length : 0)
      this.#net.carry(this.#host, to, size, false, () => this.#peer!.#arrived(this.#onTheWay.shift()!))
    }
  }

  #retryIn(ms: number): void {
    this.#stalled = true
    this.#net.clock.after(ms, () => {
      this.#stalled = false
      this.#empty()
    })
  }

  #arrived(item: Item): void {
    if (this.#state === 'closed') {
      if (item.kind === 'data' || item.kind === 'open') this.#send({ kind: 'reset' })
      return
    }
    switch (item.kind) {
      case 'open':
        this.#state = 'open'
        this.#log('is connected')
        this.#handler?.onConnect()
        this.#schedulePump(0)
        break
      case 'data':
        this.#received.push(item.bytes)
        this.#receivedBytes += item.bytes.length
        this.#scheduleDelivery()
        break
      case 'ack':
        this.#window += item.count
        this.#pump()
        break
      case 'fin':
        this.#ended ??= { error: endOfFile(), operation: Operation.sockRead }
        this.#scheduleDelivery()
        break
      case 'reset':
        // What was not read is lost, and whoever still writes hears of it at once.
        this.#received = []
        this.#receivedBytes = 0
        this.#ended = { error: errnoError('ECONNRESET'), operation: Operation.sockRead }
        if (this.#queuedBytes > 0) this.fail(errnoError('ECONNRESET'), Operation.sockWrite)
        else this.#scheduleDelivery()
        break
    }
  }

  #scheduleDelivery(): void {
    if (this.#deliveryDue || this.#state !== 'open' || this.#paused) return
    if (this.#receivedBytes === 0 && this.#ended === null) return
    this.#deliveryDue = true
    this.#net.clock.after(0, () => {
      this.#deliveryDue = false
      this.#deliver()
    })
  }

  #deliver(): void {
    if (this.#state !== 'open' || this.#paused) return
    if (this.#receivedBytes > 0) {
      const chunk = this.#cut()
      this.#net.log.mix(chunk.length)
      this.#handler?.onData(chunk)
      const count = chunk.length
      chunk.fill(POISON)
      this.#unacknowledged += count
      if (this.#unacknowledged >= ACK_BYTES && !this.closed) {
        this.#send({ kind: 'ack', count: this.#unacknowledged })
        this.#unacknowledged = 0
      }
    } else if (this.#ended !== null) this.fail(this.#ended.error, this.#ended.operation)
    this.#scheduleDelivery()
  }

  /** Takes all that came, or cuts where nobody expects it. */
  #cut(): Uint8Array {
    const all = Math.min(this.#receivedBytes, MAX_CHUNK_BYTES)
    const chunk = new Uint8Array(this.#rng.below(3) === 0 ? 1 + this.#rng.below(all) : all)
    let filled = 0
    while (filled < chunk.length) {
      const first = this.#received[0]!
      const part = first.subarray(0, chunk.length - filled)
      chunk.set(part, filled)
      filled += part.length
      if (part.length === first.length) this.#received.shift()
      else this.#received[0] = first.subarray(part.length)
    }
    this.#receivedBytes -= chunk.length
    return chunk
  }

  #log(what: string): void {
    this.#net.log.add(`${this.#host.name} tcp ${this.local.join(':')} -> ${this.remote.join(':')} ${what}`)
  }
}

/** Starts a connection from `host`. */
export function connectInSim(net: SimNetwork, rng: Rng, host: SimHost, options: ConnectOptions): SimStream {
  const { to } = options
  const given = options.local ?? null
  const address = given === null || isUnspecified(given[0]) ? host.sourceFor(to[0]) : given[0]
  const local: Endpoint = [address ?? '0.0.0.0', given !== null && given[1] !== 0 ? given[1] : host.freePort()]
  const stream = new SimStream(net, rng, host, local, to)
  net.clock.after(0, () => {
    if (stream.closed) return
    if (options.proxy != null && options.proxy.type !== 0)
      stream.fail(new ErrorCode(constants.errno.EOPNOTSUPP), Operation.connect)
    else if (address === null) stream.fail(errnoError('ENETUNREACH'), Operation.connect)
    else if (given !== null && !isUnspecified(given[0]) && !ownAddress(host, given[0]))
      stream.fail(errnoError('EADDRNOTAVAIL'), Operation.sockBind)
    else if (isLoopback(local[0]) && net.hostAt(to[0], host) !== host)
      stream.fail(errnoError('EINVAL'), Operation.connect)
    else knock(net, rng, host, stream, 1000)
  })
  return stream
}

function ownAddress(host: SimHost, address: string): boolean {
  return host.addresses.includes(address) || address.startsWith('127.') || address === '::1'
}

/** Sends the first packet, again and again as long as nobody answers. */
function knock(net: SimNetwork, rng: Rng, host: SimHost, stream: SimStream, nextMs: number): void {
  if (stream.closed) return
  const target = net.hostAt(stream.remote[0], host)
  if (target !== null && net.passes(host, target, 'tcp') && !net.loses(host, target)) {
    const from = host === target ? stream.local : host.seenAs(stream.local)
    if (host === target || target.admits('tcp', stream.remote[1], from)) {
      net.carry(host, target, HEADER_BYTES, false, () => answer(net, rng, host, target, stream, from))
      return
    }
  }
  if (nextMs > 64_000) net.clock.after(nextMs, () => stream.fail(errnoError('ETIMEDOUT'), Operation.connect))
  else net.clock.after(nextMs, () => knock(net, rng, host, stream, nextMs * 2))
}

function answer(net: SimNetwork, rng: Rng, host: SimHost, target: SimHost, stream: SimStream, from: Endpoint): void {
  const local: Endpoint = target.nat === undefined ? stream.remote : [target.addresses[0]!, stream.remote[1]]
  const port = target.tcpAt(local)
  if (port === null) {
    net.carry(target, host, HEADER_BYTES, false, () => stream.fail(errnoError('ECONNREFUSED'), Operation.connect))
    return
  }
  if (stream.closed) return
  const accepted = new SimStream(net, rng, target, local, from)
  accepted.accept(stream, host)
  net.log.add(`${target.name} tcp ${local.join(':')} accepts ${from.join(':')}`)
  port.handler.onAccept(accepted)
  if (!accepted.attended) accepted.close()
}

class SimListener implements Listener {
  readonly local: Endpoint
  readonly #host: SimHost
  readonly #port: TcpPort

  constructor(host: SimHost, port: TcpPort) {
    this.#host = host
    this.#port = port
    this.local = port.local
  }

  close(): void {
    this.#host.closeTcp(this.#port)
  }
}

/** Opens a listening port of `host`. */
export function listenInSim(
  net: SimNetwork,
  host: SimHost,
  at: Endpoint,
  handler: ListenHandler,
  done: (error: ErrorCode | null, listener: Listener | null) => void,
): void {
  net.clock.after(0, () => {
    const local: Endpoint = [at[0], at[1] === 0 ? host.freePort() : at[1]]
    if (!isUnspecified(at[0]) && !ownAddress(host, at[0])) {
      done(errnoError('EADDRNOTAVAIL'), null)
      return
    }
    if (host.tcpAt(local) !== null) {
      done(errnoError('EADDRINUSE'), null)
      return
    }
    const port: TcpPort = { local, handler }
    host.openTcp(port)
    done(null, new SimListener(host, port))
  })
}
